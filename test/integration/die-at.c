/* Preloaded into mhad by the tests: ends it at a chosen record of its journal, just after the record was written. Where
 * polling from outside would come late on a loaded machine, this cannot.
 *
 *   MHAD_DIE_AT="STEP KIND"   at the first record of that step ("-": any or none) and kind
 *   MHAD_DIE_AFTER=N          at its N-th record
 *   MHAD_DIE_BY=SIGNAL        a number; SIGKILL when absent; "hang": it does not die, but does nothing any more
 *   MHAD_FULL=FILE            as long as that file is there, there is no room for a record */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t write(int fd, const void *bytes, size_t length);

static unsigned count_lines(const char *bytes, size_t length)
{
        unsigned n = 0;
        for (size_t i = 0; i < length; i++)
                n += bytes[i] == '\n';
        return n;
}

static int is_at(const char *bytes, size_t length, const char *at)
{
        char step[100], kind[100], wanted_step[120], wanted_kind[120];
        if (sscanf(at, "%99s %99s", step, kind) != 2)
                return 0;
        int n_step = snprintf(wanted_step, sizeof wanted_step, "\"step\":\"%s\"", step);
        int n_kind = snprintf(wanted_kind, sizeof wanted_kind, "\"kind\":\"%s\"", kind);
        for (const char *line = bytes, *end = bytes + length; line < end;) {
                const char *stop = memchr(line, '\n', (size_t) (end - line));
                size_t size = (size_t) ((stop ? stop : end) - line);
                if ((strcmp(step, "-") == 0 || memmem(line, size, wanted_step, (size_t) n_step)) &&
                    memmem(line, size, wanted_kind, (size_t) n_kind))
                        return 1;
                line += size + 1;
        }
        return 0;
}

ssize_t write(int fd, const void *bytes, size_t length)
{
        static ssize_t (*real)(int, const void *, size_t);
        static unsigned n_records;
        static int done; /* records are written once more when the journal is compacted */
        if (!real)
                *(void **) &real = dlsym(RTLD_NEXT, "write");
        bool record = length >= 8 && memcmp(bytes, "{\"seq\":", 7) == 0;
        const char *full = getenv("MHAD_FULL");
        if (record && full && access(full, F_OK) == 0) {
                errno = ENOSPC;
                return -1;
        }
        ssize_t written = real(fd, bytes, length);
        const char *at = getenv("MHAD_DIE_AT"), *after = getenv("MHAD_DIE_AFTER"), *by = getenv("MHAD_DIE_BY");
        if (written <= 0 || !record)
                return written;
        n_records += count_lines(bytes, length);
        if (!done && ((at && is_at(bytes, length, at)) || (after && n_records >= (unsigned) atoi(after)))) {
                done = 1;
                while (by && strcmp(by, "hang") == 0)
                        pause();
                raise(by ? atoi(by) : SIGKILL); /* to this thread: it must not get any further */
        }
        return written;
}
