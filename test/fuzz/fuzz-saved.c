/* Whatever stands in the files beside saved logs: the note, a NUL, and the index. A damaged one is refused or described,
 * never believed so far that a question about it does harm. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "saved.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
        if (!holds)
                abort();
}

static char *copy_of(const uint8_t *data, size_t size)
{
        char *copy = ALLOC_ARRAY(char, size + 1);
        if (size > 0)
                memcpy(copy, data, size);
        return copy;
}

static void ask(const Ranges *ranges, GtidFamily family)
{
        CLEANUP(gtid_free) GtidSet *has = gtid_new(family);
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *missing = NULL;
        CLEANUP(ranges_answer_done) RangesAnswer some = ranges_ask_gtid(ranges, family, has, has, &lacks, &missing);
        for (size_t i = 0; i < some.n_pieces; i++) {
                require(some.pieces[i].source < ranges_n_sources(ranges));
                require(some.pieces[i].from.offset < some.pieces[i].to);
                size_t length;
                (void) ranges_format(ranges, some.pieces[i].from.file, &length);
        }
        CLEANUP(json_free) Json *json = saved_describe_answer(&some, lacks, missing);
        require(json_get_string(json, "end"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *nul = memchr(data, 0, size);
        size_t first = nul ? (size_t) (nul - data) : size, second = nul ? size - first - 1 : 0;
        CLEANUP(mem_free) char *text = copy_of(data, first);
        CLEANUP(mem_free) char *rest = copy_of(data + first + 1, second);
        CLEANUP(json_free) Json *note = NULL;
        CLEANUP(json_free) Json *covers = NULL;
        CLEANUP(ranges_free) Ranges *ranges = NULL;
        Failure failure = { 0 };
        (void) json_parse(text, first, &note, NULL);
        if (saved_index_parse(rest, second, &ranges, &covers, &failure) < 0)
                require(!ranges && !covers && failure.text[0]);
        CLEANUP(json_free) Json *described = saved_describe(note, ranges);
        JSON_FOREACH(file, json_get(described, "files"))
        {
                const char *name = json_get_string(file, "name");
                require(name[0] != '.' && strchr(name, '/') == strrchr(name, '/') && !strstr(name, "/."));
        }
        if (!ranges)
                return 0;
        ask(ranges, GTID_FAMILY_MYSQL);
        ask(ranges, GTID_FAMILY_MARIADB);
        CLEANUP(mem_free) char *printed = saved_index_print(ranges, covers);
        CLEANUP(ranges_free) Ranges *again = NULL;
        CLEANUP(json_free) Json *covers_again = NULL;
        /* Of two families in one log it cannot be read back. */
        if (saved_index_parse(printed, strlen(printed), &again, &covers_again, NULL) >= 0)
                require(ranges_n_files(again) == ranges_n_files(ranges));
        return 0;
}
