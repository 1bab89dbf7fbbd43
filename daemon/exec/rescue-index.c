/* What the copies hold, found out in a thread. Owns one thread at a time, which has the index while it works; must never
 * take what cannot be read for the end of a log. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "logreader.h"
#include "relaylog.h"
#include "rescue-inside.h"
#include "text.h"
#include "worker.h"

#define CHUNK ((size_t) 256 * 1024)

/* One copy, with all that the thread needs to know of it. */
typedef struct Copy {
        char *file, *path, *head;
        uint64_t from, size;
        char *next; /* what follows in the log, if more is known to */
} Copy;

/* In the hands of the thread or of the loop, never of both. */
typedef struct Work {
        Ranges *ranges;
        Position *borders;
        size_t n_borders;
        size_t source;
        bool relay;
        uint32_t own_id;
        Position start;
        Copy *copies;
        size_t n_copies;
        RelayLog *relay_log;
        const Copy *at;
        Failure failure;
} Work;

struct Indexing {
        Rescue *rescue;
        Worker *worker;
        Work *work;
        char *server;
};

static Work *work_free(Work *work)
{
        if (!work)
                return NULL;
        for (size_t i = 0; i < work->n_copies; i++) {
                free(work->copies[i].file);
                free(work->copies[i].path);
                free(work->copies[i].head);
                free(work->copies[i].next);
        }
        free(work->copies);
        free(work->borders);
        relaylog_free(work->relay_log);
        ranges_free(work->ranges);
        free(work);
        return NULL;
}

static void work_drop(void *data)
{
        work_free(data);
}

/* The thread. */

typedef int (*event_fn)(Work *work, const BinlogEvent *event);

static void stored_at(const Copy *copy, uint64_t offset, Position *ret)
{
        const char *slash = strrchr(copy->path, '/');
        snprintf(ret->file, sizeof ret->file, "%s", slash ? slash + 1 : copy->path);
        ret->offset = offset;
}

static int add_primary(Work *work, const BinlogEvent *event)
{
        RangesEvent placed = { .event = event,
                               .start.offset = event->offset,
                               .end = event->offset + event->header.length };
        snprintf(placed.start.file, sizeof placed.start.file, "%s", work->at->file);
        stored_at(work->at, event->offset - work->at->from, &placed.stored);
        return ranges_add(work->ranges, work->source, &placed, &work->failure);
}

static int add_relay(Work *work, const BinlogEvent *event)
{
        RelayEvent relay;
        int r = relaylog_step(work->relay_log, event, &relay, &work->failure);
        if (r < 0)
                return r;
        if (position_is_set(&relay.left))
                ranges_end_file(work->ranges, &relay.left, RANGES_END_FOLLOWED, relay.next);
        const Position *at = relaylog_position(work->relay_log);
        if (relay.format && position_is_set(at))
                ranges_set_format(work->ranges, at->file, relaylog_format(work->relay_log));
        if (relay.kind == RELAY_IGNORED)
                (void) ranges_add_ignored(work->ranges, &relay.start, relay.end);
        if (relay.kind != RELAY_EVENT)
                return 0;
        RangesEvent placed = { .event = event,
                               .start = relay.start,
                               .end = relay.end,
                               .rewritten = relay.rewritten,
                               .guessed = relay.guessed,
                               .corrected = relay.corrected };
        stored_at(work->at, event->offset, &placed.stored);
        return ranges_add(work->ranges, work->source, &placed, &work->failure);
}

static int take_all(Work *work, LogReader *reader, const uint8_t *bytes, size_t length, event_fn add)
{
        for (;;) {
                BinlogEvent event;
                int r = logreader_take(reader, &bytes, &length, &event, &work->failure);
                if (r <= 0)
                        return r;
                r = add(work, &event);
                if (r < 0)
                        return r;
        }
}

/* limit: how many bytes of the copy count (there may be more by now). */
static int read_copy(Work *work, const char *path, uint64_t limit, LogReader *reader, event_fn add)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return failure_errno(&work->failure, errno, "cannot open %s", path);
        CLEANUP(mem_free) uint8_t *buffer = ALLOC_ARRAY(uint8_t, CHUNK);
        int r = 0;
        for (uint64_t at = 0; r >= 0 && at < limit;) {
                ssize_t n = pread(fd, buffer, limit - at < CHUNK ? (size_t) (limit - at) : CHUNK, (off_t) at);
                if (n < 0)
                        r = failure_errno(&work->failure, errno, "cannot read %s", path);
                else if (n == 0)
                        r = failure_set(&work->failure, FAILURE_SYSTEM, EIO, "%s has become shorter", path);
                else
                        r = take_all(work, reader, buffer, (size_t) n, add);
                at += n > 0 ? (uint64_t) n : 0;
        }
        close(fd);
        return r;
}

static int ignore(Work *work, const BinlogEvent *event)
{
        return 0;
}

/* The format in force where a copy begins in the middle of its file. */
static int read_head(Work *work, const Copy *copy, BinlogFormat *ret)
{
        CLEANUP(logreader_free) LogReader *reader = logreader_new(LOGREADER_BINARY);
        uint8_t bytes[BINLOG_MAGIC_LENGTH + BINLOG_FORMAT_MAX];
        int fd = open(copy->head, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, 0);
        int error = errno;
        if (fd >= 0)
                close(fd);
        if (n < 0)
                return failure_errno(&work->failure, error, "cannot read %s", copy->head);
        int r = take_all(work, reader, bytes, (size_t) n, ignore);
        *ret = *logreader_format(reader);
        if (r >= 0 && ret->length == 0)
                r = failure_set(&work->failure, FAILURE_PROTOCOL, 0, "%s has no format description at its beginning",
                                copy->file);
        return r;
}

static void note_end(Work *work, const Copy *copy, uint64_t offset)
{
        Position end = { .offset = offset };
        snprintf(end.file, sizeof end.file, "%s", copy->file);
        if (copy->next)
                ranges_end_file(work->ranges, &end, RANGES_END_CUT, copy->next);
}

static int index_copy(Work *work, const Copy *copy)
{
        CLEANUP(logreader_free) LogReader *reader = NULL;
        work->at = copy;
        if (copy->size == 0) {
                note_end(work, copy, copy->from);
                return 0;
        }
        if (work->relay)
                reader = logreader_new(LOGREADER_RELAY);
        else if (copy->from == 0)
                reader = logreader_new(LOGREADER_BINARY);
        else {
                BinlogFormat format;
                int r = read_head(work, copy, &format);
                if (r < 0)
                        return r;
                ranges_set_format(work->ranges, copy->file, &format);
                reader = logreader_new_at(LOGREADER_BINARY, copy->from, &format);
        }
        int r = read_copy(work, copy->path, copy->size, reader, work->relay ? add_relay : add_primary);
        if (r >= 0 && !work->relay)
                note_end(work, copy, logreader_offset(reader));
        return r < 0 ? r : 0;
}

static void work_index(void *data)
{
        Work *work = data;
        for (size_t i = 0; i < work->n_borders; i++)
                ranges_add_border(work->ranges, &work->borders[i]);
        if (work->relay)
                work->relay_log = relaylog_new(work->own_id, &work->start);
        for (size_t i = 0; i < work->n_copies; i++)
                if (index_copy(work, &work->copies[i]) < 0)
                        break;
        ranges_pause(work->ranges, work->source);
}

/* The loop. */

static void note_indexed(SavedSource *source, const Work *work, const Copy *copy)
{
        if (work->failure.kind != FAILURE_NONE && (work->relay || copy >= work->at))
                return;
        for (size_t i = 0; i < source->n_files; i++) {
                SavedFile *file = &source->files[i];
                bool same = file->copied && file->from == copy->from && file->size == copy->size &&
                            text_equal(file->file, copy->file);
                if (same && (!source->relay || work->n_copies == source->n_files))
                        file->indexed = true;
        }
}

static void on_indexed(void *userdata)
{
        Indexing *indexing = userdata;
        Rescue *rescue = indexing->rescue;
        Work *work = indexing->work;
        SavedSource *source = source_find(rescue, indexing->server);
        indexing->worker = worker_release(indexing->worker, NULL);
        rescue->indexing = NULL;
        rescue->ranges = TAKE(work->ranges);
        /* What was ordered in the meantime is indexed in the next round. */
        for (size_t i = 0; i < work->n_copies; i++)
                note_indexed(source, work, &work->copies[i]);
        if (work->failure.kind != FAILURE_NONE) {
                source->failure = work->failure;
                source->end = FETCH_FAILED;
                source->bad = true;
        }
        work_free(work);
        free(indexing->server);
        free(indexing);
        indexing_start(rescue);
}

static bool is_ready(const SavedSource *source)
{
        bool any = false, all = true;
        for (size_t i = 0; i < source->n_files; i++) {
                any = any || (source->files[i].copied && !source->files[i].indexed);
                all = all && source->files[i].copied;
        }
        return any && (all || !source->relay) && !source->bad;
}

static void add_copy(Work *work, const SavedSource *source, size_t i)
{
        const SavedFile *file = &source->files[i];
        const char *next = i + 1 < source->n_files ? source->files[i + 1].file : NULL;
        ALLOC_GROW(work->copies, work->n_copies);
        work->copies[work->n_copies++] = (Copy){ .file = alloc_string(file->file),
                                                 .path = alloc_string(file->local),
                                                 .head = alloc_string(file->head),
                                                 .from = file->from,
                                                 .size = file->size,
                                                 .next = text_equal(next, file->file) ? NULL : alloc_string(next) };
}

void indexing_start(Rescue *rescue)
{
        SavedSource *source = rescue->sources;
        while (source && !is_ready(source))
                source = source->next;
        if (!source || rescue->indexing)
                return;
        Work *work = ALLOC(Work);
        *work = (Work){ .ranges = TAKE(rescue->ranges),
                        .n_borders = rescue->n_borders - rescue->n_told,
                        .relay = source->relay,
                        .own_id = source->own_id,
                        .start = source->start };
        work->borders = ALLOC_ARRAY(Position, work->n_borders + 1);
        memcpy(work->borders, rescue->borders + rescue->n_told, work->n_borders * sizeof *work->borders);
        rescue->n_told = rescue->n_borders;
        if (!source->in_index)
                source->number = ranges_add_source(work->ranges, source->server);
        source->in_index = true;
        work->source = source->number;
        for (size_t i = 0; i < source->n_files; i++)
                if (source->relay || (source->files[i].copied && !source->files[i].indexed))
                        add_copy(work, source, i);
        Indexing *indexing = ALLOC(Indexing);
        *indexing = (Indexing){ .rescue = rescue, .work = work, .server = alloc_string(source->server) };
        indexing->worker = worker_start(rescue->loop, work_index, work, on_indexed, indexing);
        rescue->indexing = indexing;
        if (indexing->worker)
                return;
        failure_errno(&source->failure, errno, "cannot start a thread");
        source->end = FETCH_LOCAL;
        rescue->ranges = TAKE(work->ranges);
        indexing_stop(rescue);
}

void indexing_stop(Rescue *rescue)
{
        Indexing *indexing = TAKE(rescue->indexing);
        if (!indexing)
                return;
        if (indexing->worker)
                worker_release(indexing->worker, work_drop);
        else
                work_free(indexing->work);
        free(indexing->server);
        free(indexing);
}
