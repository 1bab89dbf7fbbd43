/* The journal's file: lines in, lines out. Owns the descriptor, the lock and the sequence number; knows nothing of what
 * the records mean but that "run-ended" ends a run. Must never report a record as written that is not on disk.
 *
 * A line is a JSON object whose last member is the checksum (CRC32C, 8 hexadecimal digits) of all that stands before
 * it. A sync covers all that was written before, so only the last line can be torn, and those that were appended without
 * a sync ("soon") after the last one with: a disk may have taken some of them and not others. Nobody can have relied on
 * them, so all are cut off from the first bad one on. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "text.h"

#define SUM_FORMAT ",\"sum\":\"%08" PRIx32 "\"}"
#define SUM_LENGTH 18

struct Journal {
        char *path, *cluster;
        char *last_run;
        bool last_ended;
        int64_t last_seq;
        off_t length;
        size_t torn, n_soon; /* bytes cut off; records that are not synced yet */
        int fd, lock_fd;
        bool broken; /* a failed append could not be taken back */
};

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

/* Reading */

typedef struct Scan {
        const char *path;
        FILE *file;
        char *line;
        size_t capacity;
        off_t offset; /* of the line that was read last */
        size_t number;
        int64_t seq;
        bool torn; /* the line that was read last is torn, and nobody can have relied on it and what follows */
} Scan;

static int scan_begin(Scan *scan, const char *path, Failure *reterr)
{
        *scan = (Scan){ .path = path };
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        scan->file = fd < 0 ? NULL : fdopen(fd, "r");
        return scan->file ? 0 : failure_errno(reterr, errno, "cannot read the journal %s", path);
}

static void scan_end(Scan *scan)
{
        if (scan->file)
                fclose(scan->file);
        free(scan->line);
}

static bool line_is_intact(const char *line, size_t length)
{
        if (length < SUM_LENGTH + 2 || line[length - 1] != '\n')
                return false;
        char sum[SUM_LENGTH + 1];
        size_t body = length - 1 - SUM_LENGTH;
        snprintf(sum, sizeof sum, SUM_FORMAT, crc32c(line, body));
        return memcmp(line + body, sum, SUM_LENGTH) == 0;
}

static int scan_bad(const Scan *scan, Failure *reterr, const char *what)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "the journal %s is damaged in line %zu: %s", scan->path,
                           scan->number, what);
}

static int scan_parse(Scan *scan, size_t length, Json **ret, Failure *reterr)
{
        CLEANUP(json_free) Json *record = NULL;
        if (json_parse(scan->line, length, &record, NULL) < 0)
                return scan_bad(scan, reterr, "it is not JSON");
        int64_t seq = json_get_int(record, "seq", -1);
        if (seq < 1 || (scan->seq && seq != scan->seq + 1))
                return scan_bad(scan, reterr, "its sequence number does not follow the one before");
        if (!json_get_string(record, "run") || !json_get_string(record, "kind"))
                return scan_bad(scan, reterr, "it names no run or no kind");
        scan->seq = seq;
        *ret = TAKE(record);
        return 1;
}

/* Whether all intact lines from here on were appended without a sync. */
static bool rest_may_be_torn(Scan *scan)
{
        for (ssize_t length; (length = getline(&scan->line, &scan->capacity, scan->file)) >= 0;) {
                CLEANUP(json_free) Json *record = NULL;
                if (!line_is_intact(scan->line, (size_t) length))
                        continue;
                if (json_parse(scan->line, (size_t) length, &record, NULL) < 0 || !json_get_bool(record, "soon", false))
                        return false;
        }
        return true;
}

/* 1 and the next record, 0 at the end (also at a torn one), or a failure. */
static int scan_next(Scan *scan, Json **ret, Failure *reterr)
{
        scan->offset = ftello(scan->file);
        errno = 0;
        ssize_t length = getline(&scan->line, &scan->capacity, scan->file);
        if (length < 0)
                return ferror(scan->file) ? failure_errno(reterr, errno, "cannot read the journal %s", scan->path) : 0;
        scan->number++;
        if (line_is_intact(scan->line, (size_t) length))
                return scan_parse(scan, (size_t) length, ret, reterr);
        scan->torn = rest_may_be_torn(scan);
        return scan->torn ? 0 : scan_bad(scan, reterr, "its checksum is wrong");
}

int journal_replay_file(const char *path, const char *run, int (*each)(const Json *record, void *userdata),
                        void *userdata)
{
        Scan scan;
        int r = scan_begin(&scan, path, NULL);
        while (r >= 0) {
                CLEANUP(json_free) Json *record = NULL;
                r = scan_next(&scan, &record, NULL);
                if (r <= 0)
                        break;
                r = 0;
                if (!run || text_equal(run, json_get_string(record, "run")))
                        r = each(record, userdata);
                if (r != 0)
                        break;
        }
        scan_end(&scan);
        return r;
}

int journal_replay(const Journal *journal, const char *run, int (*each)(const Json *record, void *userdata),
                   void *userdata)
{
        return journal_replay_file(journal->path, run, each, userdata);
}

/* Opening */

static void journal_note(Journal *journal, const char *run, const char *kind)
{
        if (!text_equal(journal->last_run, run)) {
                free(journal->last_run);
                journal->last_run = alloc_string(run);
        }
        journal->last_ended = text_equal(kind, "run-ended");
}

static int journal_lock(Journal *journal, Failure *reterr)
{
        CLEANUP(mem_free) char *path = text_format("%s.lock", journal->path);
        journal->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (journal->lock_fd < 0)
                return failure_errno(reterr, errno, "cannot open %s", path);
        if (flock(journal->lock_fd, LOCK_EX | LOCK_NB) < 0)
                return failure_errno(reterr, errno, "another process uses the journal %s", journal->path);
        return 0;
}

static int journal_open_file(Journal *journal, Failure *reterr)
{
        int fd = open(journal->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot open the journal %s", journal->path);
        if (journal->fd >= 0)
                close(journal->fd);
        journal->fd = fd;
        return file_sync_parent(journal->path, reterr);
}

static int journal_set_length(Journal *journal, off_t length)
{
        if (ftruncate(journal->fd, length) < 0 || fdatasync(journal->fd) < 0)
                return -errno;
        journal->length = length;
        return 0;
}

/* Reads it all once: finds damage, the last sequence number, the open run, and cuts a torn last line off. */
static int journal_check(Journal *journal, Failure *reterr)
{
        Scan scan;
        int r = scan_begin(&scan, journal->path, reterr);
        while (r >= 0) {
                CLEANUP(json_free) Json *record = NULL;
                r = scan_next(&scan, &record, reterr);
                if (r <= 0)
                        break;
                journal_note(journal, json_get_string(record, "run"), json_get_string(record, "kind"));
        }
        journal->last_seq = scan.seq;
        struct stat status;
        if (r == 0 && fstat(journal->fd, &status) < 0)
                r = failure_errno(reterr, errno, "cannot examine the journal %s", journal->path);
        if (r == 0)
                journal->length = status.st_size;
        if (r == 0 && scan.torn) {
                journal->torn = (size_t) (status.st_size - scan.offset);
                r = journal_set_length(journal, scan.offset);
                if (r < 0)
                        failure_errno(reterr, r, "cannot cut a torn line off the journal %s", journal->path);
        }
        scan_end(&scan);
        return r;
}

int journal_open(const char *path, const char *cluster, Journal **ret, Failure *reterr)
{
        CLEANUP(journal_free) Journal *journal = ALLOC(Journal);
        journal->path = alloc_string(path);
        journal->cluster = alloc_string(cluster);
        journal->fd = journal->lock_fd = -1;
        int r = journal_lock(journal, reterr);
        if (r == 0)
                r = journal_open_file(journal, reterr);
        if (r == 0)
                r = journal_check(journal, reterr);
        if (r < 0)
                return r;
        *ret = TAKE(journal);
        return 0;
}

Journal *journal_free(Journal *journal)
{
        if (!journal)
                return NULL;
        if (journal->fd >= 0)
                close(journal->fd);
        if (journal->lock_fd >= 0) {
                /* A child between fork and exec has this descriptor, too: closing it alone would not let go. */
                (void) flock(journal->lock_fd, LOCK_UN);
                close(journal->lock_fd);
        }
        free(journal->path);
        free(journal->cluster);
        free(journal->last_run);
        free(journal);
        return NULL;
}

size_t journal_torn(const Journal *journal)
{
        return journal->torn;
}

const char *journal_open_run(const Journal *journal)
{
        return journal->last_ended ? NULL : journal->last_run;
}

const char *journal_last_run(const Journal *journal)
{
        return journal->last_run;
}

/* Writing */

static char *journal_line(int64_t seq, usec_t real_time, const char *cluster, const char *run, const char *kind,
                          const char *step, const char *server, const Json *data, bool sync)
{
        CLEANUP(json_free) Json *record = json_object();
        json_set_int(record, "seq", seq);
        json_set_int(record, "time", (int64_t) real_time);
        json_set_string(record, "cluster", cluster);
        json_set_string(record, "run", run);
        json_set_string(record, "kind", kind);
        json_set_string(record, "step", step);
        json_set_string(record, "server", server);
        json_set(record, "data", json_copy(data));
        if (!sync)
                json_set_bool(record, "soon", true);
        CLEANUP(mem_free) char *body = json_print(record);
        size_t length = strlen(body) - 1; /* without the closing brace */
        return text_format("%.*s" SUM_FORMAT "\n", (int) length, body, crc32c(body, length));
}

static int still_broken(const Journal *journal, Failure *reterr)
{
        return failure_set(reterr, FAILURE_SYSTEM, EIO, "the journal %s cannot be written since an earlier failure",
                           journal->path);
}

static int append(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                  const char *server, const Json *data, bool sync, Failure *reterr)
{
        if (journal->broken)
                return still_broken(journal, reterr);
        CLEANUP(mem_free)
        char *line =
                journal_line(journal->last_seq + 1, real_time, journal->cluster, run, kind, step, server, data, sync);
        size_t length = strlen(line);
        int r = file_write_all(journal->fd, line, length);
        bool lost = false;
        if (r >= 0 && sync && fdatasync(journal->fd) < 0) {
                r = -errno;
                lost = journal->n_soon > 0; /* they may not be on disk although they can be read */
        }
        if (r < 0) {
                journal->broken = journal_set_length(journal, journal->length) < 0 || lost;
                return failure_errno(reterr, r, "cannot write the journal %s", journal->path);
        }
        journal->n_soon = sync ? 0 : journal->n_soon + 1;
        journal->length += (off_t) length;
        journal->last_seq++;
        journal_note(journal, run, kind);
        return 0;
}

int journal_append(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                   const char *server, const Json *data, Failure *reterr)
{
        return append(journal, real_time, run, kind, step, server, data, true, reterr);
}

int journal_append_soon(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                        const char *server, const Json *data, Failure *reterr)
{
        return append(journal, real_time, run, kind, step, server, data, false, reterr);
}

/* Compaction */

typedef struct RunStart {
        char *run;
        off_t offset;
} RunStart;

/* One that was taken up again later has its beginning before the runs that it had given way to. */
static size_t with_beginnings(const RunStart *starts, size_t n_starts, size_t first)
{
        for (size_t i = n_starts; i > first; i--)
                for (size_t k = 0; k < first; k++)
                        if (text_equal(starts[k].run, starts[i - 1].run))
                                first = k;
        return first;
}

/* Runs follow one another, so the runs that are kept are the end of the file. */
static int find_cut(const Journal *journal, size_t keep, off_t *ret, Failure *reterr)
{
        RunStart *starts = NULL;
        size_t n_starts = 0;
        Scan scan;
        int r = scan_begin(&scan, journal->path, reterr);
        while (r >= 0) {
                CLEANUP(json_free) Json *record = NULL;
                r = scan_next(&scan, &record, reterr);
                if (r <= 0)
                        break;
                const char *run = json_get_string(record, "run");
                if (n_starts && text_equal(starts[n_starts - 1].run, run))
                        continue;
                ALLOC_GROW(starts, n_starts);
                starts[n_starts++] = (RunStart){ alloc_string(run), scan.offset };
        }
        scan_end(&scan);
        keep += journal_open_run(journal) ? 1 : 0;
        if (keep == 0)
                *ret = journal->length;
        else
                *ret = n_starts > keep ? starts[with_beginnings(starts, n_starts, n_starts - keep)].offset : 0;
        while (n_starts)
                free(starts[--n_starts].run);
        free(starts);
        return r;
}

int journal_compact(Journal *journal, size_t keep, Failure *reterr)
{
        off_t cut = 0;
        if (journal->broken)
                return still_broken(journal, reterr);
        int r = find_cut(journal, keep, &cut, reterr);
        if (r < 0 || cut == 0)
                return r;
        CLEANUP(mem_free) char *content = NULL;
        size_t length = 0;
        r = file_read(journal->path, SIZE_MAX, &content, &length, reterr);
        if (r < 0)
                return r;
        r = file_replace(journal->path, content + cut, length - (size_t) cut, 0600, reterr);
        /* Also after a failure: which of the two files has the name now is not known otherwise. */
        struct stat status;
        int again = journal_open_file(journal, r < 0 ? NULL : reterr);
        if (again == 0 && fstat(journal->fd, &status) < 0)
                again = failure_errno(r < 0 ? NULL : reterr, errno, "cannot examine the journal %s", journal->path);
        journal->broken = again < 0;
        if (again == 0)
                journal->length = status.st_size;
        if (r < 0 || again < 0)
                return r < 0 ? r : again;
        journal->n_soon = 0;
        return 0;
}
