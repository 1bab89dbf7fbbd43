/* Whatever stands in a cluster's journal. The first byte says whether the checksums are put right first, or no record would
 * come through. A damaged journal is refused, never believed: what is opened can be replayed, added to, folded into a run
 * and compacted, and then opened again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failover.h"
#include "file.h"
#include "journal.h"
#include "purge.h"
#include "rejoin.h"
#include "run.h"
#include "switchover.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* There is no engine here: describe.c asks it for what only it knows. */
const Run *runbook_run(const Runbook *runbook)
{
        return NULL;
}

const char *runbook_id(const Runbook *runbook)
{
        return NULL;
}

static void require(bool holds)
{
        if (!holds)
                abort();
}

static uint32_t crc32c(const char *bytes, size_t length)
{
        uint32_t crc = ~UINT32_C(0);
        for (size_t i = 0; i < length; i++) {
                crc ^= (uint8_t) bytes[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = (crc >> 1) ^ (UINT32_C(0x82f63b78) & (~(crc & 1) + 1));
        }
        return ~crc;
}

/* Each line is a record without its sequence number, its checksum and its closing brace. */
static char *sealed(const char *text)
{
        Text out = { 0 };
        int number = 1;
        for (const char *line = text; *line; number++) {
                size_t length = strcspn(line, "\n");
                CLEANUP(mem_free) char *body = text_format("{\"seq\":%d,%.*s", number, (int) length, line);
                text_addf(&out, "%s,\"sum\":\"%08x\"}\n", body, crc32c(body, strlen(body)));
                line += length + (line[length] == '\n');
        }
        return text_take(&out);
}

static int count(const Json *record, void *userdata)
{
        require(json_get_string(record, "run") && json_get_string(record, "kind"));
        ++*(int *) userdata;
        return 0;
}

static void fold(const Journal *journal)
{
        static const Procedure *const procedures[] = { &failover, &switchover, &rejoin, &purge };
        for (size_t i = 0; i < ARRAY_LENGTH(procedures); i++) {
                CLEANUP(run_free) Run *run = NULL;
                size_t first, end;
                if (run_load(journal, journal_open_run(journal), procedures[i], &run, NULL) < 0)
                        continue;
                CLEANUP(json_free) Json *described = run_describe(run);
                free(json_print(described));
                if (run_current_group(run, &first, &end))
                        require(first < end && end <= run->n_steps + run->n_undo);
                (void) run_blocking_step(run);
                (void) run_no_return_passed(run);
        }
}

static char folder[] = "/tmp/mhad-fuzz-XXXXXX";

static void remove_folder(void)
{
        unlink("journal");
        unlink("journal.lock");
        rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        require(mkdtemp(folder) && chdir(folder) == 0);
        return atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        CLEANUP(mem_free) char *text = alloc_string_n((const char *) data + 1, size - 1);
        CLEANUP(mem_free) char *whole = data[0] & 1 ? sealed(text) : NULL;
        const char *bytes = whole ? whole : (const char *) data + 1, *path = "journal";
        FILE *file = fopen(path, "w");
        require(file != NULL);
        (void) fwrite(bytes, 1, whole ? strlen(whole) : size - 1, file);
        fclose(file);
        CLEANUP(journal_free) Journal *journal = NULL;
        Failure failure = { 0 };
        if (journal_open(path, "app1", &journal, &failure) < 0) {
                require(failure.text[0] != '\0');
                return 0;
        }
        int n = 0, after = 0;
        require(journal_replay(journal, NULL, count, &n) == 0);
        fold(journal);
        require(journal_append(journal, 1, "r", "halted", NULL, NULL, NULL, NULL) == 0);
        require(journal_replay(journal, NULL, count, &after) == 0 && after == n + 1);
        require(journal_compact(journal, data[0] >> 1 & 3, NULL) == 0);
        journal = journal_free(journal);
        require(journal_open(path, "app1", &journal, NULL) == 0);
        return 0;
}
