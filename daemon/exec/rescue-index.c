/* What the copies hold, found out in a thread, and that on the disk, so that another process need not find it out again.
 * Owns one thread at a time, which has the index while it works, and one that writes; must never take what cannot be read
 * for the end of a log, nor an index of other copies for that of these. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "logreader.h"
#include "relaylog.h"
#include "rescue-inside.h"
#include "text.h"
#include "worker.h"

#define CHUNK ((size_t) 256 * 1024)

/* One copy, with all that the thread needs to know of it. */
typedef struct Copy {
        char *server, *file, *path, *head;
        uint64_t from, size;
        char *next;   /* what follows in the log, if more is known to */
        bool indexed; /* before: only what follows may be news */
} Copy;

/* In the hands of the thread or of the loop, never of both. */
typedef struct Work {
        char *load; /* the index is read from this file; else NULL */
        bool print; /* afterwards, as text */
        Json *covers;
        char *text;
        Json *differences;
        Ranges *ranges;
        Position *borders;
        size_t n_borders;
        size_t source;
        bool relay;
        uint32_t own_id;
        Position start, around;
        Copy *copies;
        size_t n_copies;
        RelayLog *relay_log;
        const Copy *at;
        Failure failure;
        Failure damage; /* of a primary's log: what is before it counts, and what follows is missing */
} Work;

struct Indexing {
        Rescue *rescue;
        Worker *worker;
        Work *work;
        char *server; /* whose copies are read; NULL when none are */
};

/* The thread has all of it; the loop waits for its end. */
typedef struct Writing {
        char *path, *text;
        Failure failure;
} Writing;

struct IndexWriter {
        Rescue *rescue;
        Worker *worker;
        Writing *writing;
};

static Work *work_free(Work *work)
{
        if (!work)
                return NULL;
        for (size_t i = 0; i < work->n_copies; i++) {
                free(work->copies[i].server);
                free(work->copies[i].file);
                free(work->copies[i].path);
                free(work->copies[i].head);
                free(work->copies[i].next);
        }
        free(work->copies);
        free(work->load);
        json_free(work->covers);
        free(work->text);
        json_free(work->differences);
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
        if (relay.kind == RELAY_EMPTY)
                ranges_add_empty(work->ranges, &relay.start, relay.end);
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
        if (ret->length > 0) { /* what comes behind it is of no interest here */
                work->failure = (Failure){ 0 };
                return 0;
        }
        if (r >= 0)
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
        if (copy->size == 0 || copy->indexed) {
                note_end(work, copy, copy->from + copy->size);
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

/* What a reader says is about a file whose name it does not know. */
static void name_file(Work *work)
{
        Failure failure = work->failure;
        if (failure.kind != FAILURE_SYSTEM)
                failure_set(&work->failure, failure.kind, failure.code, "%s of %s: %.300s", work->at->file,
                            work->at->server, failure.text);
}

/* The rest of the file is a hole in the log then. */
static bool is_damage(Work *work, const Copy *copy)
{
        if (work->relay || work->failure.kind != FAILURE_PROTOCOL)
                return false;
        Position end = { .offset = copy->from + copy->size };
        snprintf(end.file, sizeof end.file, "%s", copy->file);
        ranges_pause(work->ranges, work->source);
        ranges_end_file(work->ranges, &end, RANGES_END_CUT, copy->next);
        if (work->damage.kind == FAILURE_NONE)
                work->damage = work->failure;
        work->failure = (Failure){ 0 };
        return true;
}

static int look_for_name(Work *work, const BinlogEvent *event)
{
        RelayEvent relay;
        int r = relaylog_step(work->relay_log, event, &relay, &work->failure);
        return r < 0 ? r : position_is_set(relaylog_position(work->relay_log)) ? -ECANCELED : 0;
}

/* When the first relay logs were removed, nothing at the beginning of the others names the primary's file: what comes
 * later does, and where nothing does, all is in the one file of which something is being applied. */
static void find_start(Work *work)
{
        work->relay_log = relaylog_new(work->own_id, &work->start);
        int r = 0;
        for (size_t i = 0; i < work->n_copies && r >= 0; i++) {
                CLEANUP(logreader_free) LogReader *reader = logreader_new(LOGREADER_RELAY);
                r = read_copy(work, work->copies[i].path, work->copies[i].size, reader, look_for_name);
        }
        if (relaylog_began_in(work->relay_log)[0])
                snprintf(work->start.file, sizeof work->start.file, "%s", relaylog_began_in(work->relay_log));
        else if (r >= 0)
                work->start = work->around;
        work->failure = (Failure){ 0 }; /* it comes again */
        work->relay_log = relaylog_free(work->relay_log);
}

static void index_copies(Work *work)
{
        for (size_t i = 0; i < work->n_borders; i++)
                ranges_add_border(work->ranges, &work->borders[i]);
        if (work->relay && !position_is_set(&work->start))
                find_start(work);
        if (work->relay)
                work->relay_log = relaylog_new(work->own_id, &work->start);
        for (size_t i = 0; i < work->n_copies; i++)
                if (index_copy(work, &work->copies[i]) < 0) {
                        name_file(work);
                        if (!is_damage(work, &work->copies[i]))
                                break;
                }
        ranges_pause(work->ranges, work->source);
}

static bool was_indexed(const Work *work, const Copy *copy)
{
        return work->failure.kind == FAILURE_NONE || (!work->relay && copy < work->at);
}

/* file: one of that server's, or NULL for any. */
static const Copy *find_copy(const Work *work, const char *server, const Json *file)
{
        for (size_t i = 0; i < work->n_copies; i++) {
                const Copy *copy = &work->copies[i];
                if (!text_equal(copy->server, server))
                        continue;
                if (!file)
                        return copy;
                if (text_equal(copy->file, json_get_string(file, "file")) &&
                    copy->from == (uint64_t) json_get_int(file, "from", 0) &&
                    copy->size == (uint64_t) json_get_int(file, "size", 0))
                        return copy;
        }
        return NULL;
}

/* What could not be read is to be read again by the next process, too. */
static Json *covers_in_the_end(const Work *work)
{
        Json *covers = json_object(), *sources = json_ensure_array(covers, "sources");
        json_set_int(covers, "borders", json_get_int(work->covers, "borders", 0));
        JSON_FOREACH(source, json_get(work->covers, "sources"))
        {
                Json *kept = json_object(), *files = json_ensure_array(kept, "files");
                const char *server = json_get_string(source, "server");
                json_set_string(kept, "server", server);
                JSON_FOREACH(file, json_get(source, "files"))
                {
                        const Copy *copy = find_copy(work, server, file);
                        if (!copy || was_indexed(work, copy))
                                json_append(files, json_copy(file));
                }
                json_append(sources, kept);
        }
        return covers;
}

/* Whether the copies that an index is about are still what they were. */
static bool is_of_these(const Work *work, const Json *covers)
{
        JSON_FOREACH(source, json_get(covers, "sources"))
        {
                const char *server = json_get_string(source, "server");
                if (!find_copy(work, server, NULL))
                        return false;
                JSON_FOREACH(file, json_get(source, "files"))
                {
                        struct stat status;
                        const Copy *copy = find_copy(work, server, file);
                        if (!copy || (copy->size > 0 &&
                                      (stat(copy->path, &status) < 0 || (uint64_t) status.st_size != copy->size)))
                                return false;
                }
        }
        return true;
}

/* Without an index that can be used everything is indexed again: nothing is lost but time. */
static void load_index(Work *work)
{
        CLEANUP(mem_free) char *text = NULL;
        CLEANUP(ranges_free) Ranges *ranges = NULL;
        CLEANUP(json_free) Json *covers = NULL;
        size_t length = 0;
        if (file_read(work->load, SAVED_INDEX_MAX, &text, &length, NULL) < 0 ||
            saved_index_parse(text, length, &ranges, &covers, NULL) < 0 || !is_of_these(work, covers))
                return;
        ranges_free(work->ranges);
        work->ranges = TAKE(ranges);
        work->covers = TAKE(covers);
}

static void work_do(void *data)
{
        Work *work = data;
        if (work->load)
                load_index(work);
        else if (work->n_copies > 0)
                index_copies(work);
        work->differences = json_object();
        saved_add_differences(work->ranges, work->differences);
        if (!work->print)
                return;
        CLEANUP(json_free) Json *covers = covers_in_the_end(work);
        work->text = saved_index_print(work->ranges, covers);
}

static void write_index(void *data)
{
        Writing *writing = data;
        (void) file_replace(writing->path, writing->text, strlen(writing->text), 0600, &writing->failure);
}

/* The loop. */

static void note_indexed(SavedSource *source, const Work *work, const Copy *copy)
{
        if (!was_indexed(work, copy))
                return;
        for (size_t i = 0; i < source->n_files; i++) {
                SavedFile *file = &source->files[i];
                bool same = file->copied && file->from == copy->from && file->size == copy->size &&
                            text_equal(file->file, copy->file);
                if (same && (!source->relay || work->n_copies == source->n_files))
                        file->indexed = true;
        }
}

static void writing_drop(void *data)
{
        Writing *writing = data;
        free(writing->path);
        free(writing->text);
        free(writing);
}

static void on_written(void *userdata)
{
        IndexWriter *writer = userdata;
        Rescue *rescue = writer->rescue;
        writer->worker = worker_release(writer->worker, NULL);
        rescue->writer = NULL;
        rescue->index_failure = writer->writing->failure;
        writing_drop(writer->writing);
        free(writer);
        indexing_start(rescue);
}

static void writer_start(Rescue *rescue, char *text)
{
        IndexWriter *writer = ALLOC(IndexWriter);
        *writer = (IndexWriter){ .rescue = rescue, .writing = ALLOC(Writing) };
        writer->writing->path = text_format("%s/%s", rescue->directory, SAVED_INDEX);
        writer->writing->text = text;
        writer->worker = worker_start(rescue->loop, write_index, writer->writing, on_written, writer);
        if (writer->worker) {
                rescue->writer = writer;
                return;
        }
        failure_errno(&rescue->index_failure, errno, "cannot start a thread");
        writing_drop(writer->writing);
        free(writer);
}

/* What was read back. */
static void adopt(Rescue *rescue, const Work *work)
{
        size_t number = 0;
        JSON_FOREACH(covered, json_get(work->covers, "sources"))
        {
                SavedSource *source = source_find(rescue, json_get_string(covered, "server"));
                if (source) {
                        source->number = number;
                        source->in_index = true;
                }
                number++;
                for (size_t i = 0; source && i < source->n_files; i++)
                        JSON_FOREACH(file, json_get(covered, "files"))
                        {
                                SavedFile *ours = &source->files[i];
                                if (ours->from == (uint64_t) json_get_int(file, "from", 0) &&
                                    text_equal(ours->file, json_get_string(file, "file")))
                                        ours->indexed = true;
                        }
        }
        size_t n_told = (size_t) json_get_int(work->covers, "borders", 0);
        rescue->n_told = n_told < rescue->n_borders ? n_told : rescue->n_borders;
}

static void end_indexing(Rescue *rescue)
{
        Indexing *indexing = TAKE(rescue->indexing);
        if (indexing->worker)
                worker_release(indexing->worker, work_drop);
        else
                work_free(indexing->work);
        free(indexing->server);
        free(indexing);
}

static void on_indexed(void *userdata)
{
        Indexing *indexing = userdata;
        Rescue *rescue = indexing->rescue;
        Work *work = indexing->work;
        SavedSource *source = indexing->server ? source_find(rescue, indexing->server) : NULL;
        indexing->worker = worker_release(indexing->worker, NULL);
        rescue->ranges = TAKE(work->ranges);
        json_free(rescue->differences);
        rescue->differences = TAKE(work->differences);
        if (work->load && work->covers)
                adopt(rescue, work);
        /* What was ordered in the meantime is indexed in the next round. */
        for (size_t i = 0; source && i < work->n_copies; i++)
                note_indexed(source, work, &work->copies[i]);
        if (source && work->failure.kind != FAILURE_NONE) {
                source->failure = work->failure;
                source->end = FETCH_FAILED;
                source->bad = true;
                (void) source_save_all(rescue, NULL); /* the failure is told in any case */
        }
        if (source && work->damage.kind != FAILURE_NONE) {
                source->damage = work->damage;
                (void) source_save_all(rescue, NULL); /* the damage is told in any case */
        }
        if (source)
                rescue->unwritten = true;
        if (work->text) {
                rescue->unwritten = false;
                writer_start(rescue, TAKE(work->text));
        }
        end_indexing(rescue);
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
        char after[POSITION_FILE_MAX];
        bool another = next && !text_equal(next, file->file);
        /* What could not even be looked at is not among the copies, and is there. */
        if (another && relaylog_file_after(file->file, after))
                next = after;
        ALLOC_GROW(work->copies, work->n_copies);
        work->copies[work->n_copies++] = (Copy){ .server = alloc_string(source->server),
                                                 .file = alloc_string(file->file),
                                                 .path = alloc_string(file->local),
                                                 .head = alloc_string(file->head),
                                                 .from = file->from,
                                                 .size = file->size,
                                                 .next = another ? alloc_string(next) : NULL,
                                                 .indexed = file->indexed && !source->relay };
}

static SavedSource *source_numbered(const Rescue *rescue, size_t number)
{
        SavedSource *source = rescue->sources;
        while (source && !(source->in_index && source->number == number))
                source = source->next;
        return source;
}

/* What the index is about when this round is over: now is the source that is read in it, or NULL. */
static Json *covered(const Rescue *rescue, const SavedSource *now, size_t n_sources)
{
        Json *covers = json_object(), *sources = json_ensure_array(covers, "sources");
        json_set_int(covers, "borders", (int64_t) rescue->n_told);
        for (size_t number = 0; number < n_sources; number++) {
                const SavedSource *source = source_numbered(rescue, number);
                Json *json = json_object(), *files = json_ensure_array(json, "files");
                bool is_read = now && now->number == number;
                json_set_string(json, "server", source->server);
                for (size_t i = 0; i < source->n_files; i++) {
                        const SavedFile *file = &source->files[i];
                        if (!file->copied || !(file->indexed || is_read))
                                continue;
                        Json *entry = json_object();
                        json_set_string(entry, "file", file->file);
                        json_set_int(entry, "from", (int64_t) file->from);
                        json_set_int(entry, "size", (int64_t) file->size);
                        json_append(files, entry);
                }
                json_append(sources, json);
        }
        return covers;
}

static void run_work(Rescue *rescue, Work *work, const char *server)
{
        Indexing *indexing = ALLOC(Indexing);
        *indexing = (Indexing){ .rescue = rescue, .work = work, .server = alloc_string(server) };
        indexing->worker = worker_start(rescue->loop, work_do, work, on_indexed, indexing);
        rescue->indexing = indexing;
        if (indexing->worker)
                return;
        Failure failure;
        failure_errno(&failure, errno, "cannot start a thread");
        SavedSource *source = server ? source_find(rescue, server) : NULL;
        if (source) {
                source->failure = failure;
                source->end = FETCH_LOCAL;
        } else
                rescue->index_failure = failure;
        rescue->ranges = TAKE(work->ranges);
        end_indexing(rescue);
}

static bool is_copying(const Rescue *rescue)
{
        for (const SavedSource *source = rescue->sources; source; source = source->next)
                if (source_state(source) == SOURCE_COPYING)
                        return true;
        return false;
}

static void index_source(Rescue *rescue, SavedSource *source)
{
        Work *work = ALLOC(Work);
        *work = (Work){ .n_borders = rescue->n_borders - rescue->n_told,
                        .relay = source->relay,
                        .own_id = source->own_id,
                        .start = source->start,
                        .around = source->around };
        work->ranges = TAKE(rescue->ranges);
        work->borders = ALLOC_ARRAY(Position, work->n_borders + 1);
        memcpy(work->borders, rescue->borders + rescue->n_told, work->n_borders * sizeof *work->borders);
        rescue->n_told = rescue->n_borders;
        if (!source->in_index)
                source->number = ranges_add_source(work->ranges, source->server);
        source->in_index = true;
        work->source = source->number;
        for (size_t i = 0; i < source->n_files; i++)
                if (source->relay || source->files[i].copied)
                        add_copy(work, source, i);
        work->print = !is_copying(rescue) && !rescue->writer;
        if (work->print)
                work->covers = covered(rescue, source, ranges_n_sources(work->ranges));
        run_work(rescue, work, source->server);
}

void indexing_start(Rescue *rescue)
{
        SavedSource *source = rescue->sources;
        while (source && !is_ready(source))
                source = source->next;
        if (rescue->indexing)
                return;
        if (source) {
                index_source(rescue, source);
                return;
        }
        if (!rescue->unwritten || rescue->writer || is_copying(rescue))
                return;
        rescue->unwritten = false;
        Work *work = ALLOC(Work);
        *work = (Work){ .print = true, .covers = covered(rescue, NULL, ranges_n_sources(rescue->ranges)) };
        work->ranges = TAKE(rescue->ranges);
        run_work(rescue, work, NULL);
}

void indexing_load(Rescue *rescue)
{
        Work *work = ALLOC(Work);
        work->load = text_format("%s/%s", rescue->directory, SAVED_INDEX);
        for (const SavedSource *source = rescue->sources; source; source = source->next)
                for (size_t i = 0; i < source->n_files; i++)
                        if (source->files[i].copied)
                                add_copy(work, source, i);
        if (work->n_copies == 0) {
                work_free(work);
                return;
        }
        work->ranges = TAKE(rescue->ranges);
        run_work(rescue, work, NULL);
}

void indexing_stop(Rescue *rescue)
{
        IndexWriter *writer = TAKE(rescue->writer);
        if (writer) {
                worker_release(writer->worker, writing_drop);
                free(writer);
        }
        if (rescue->indexing)
                end_indexing(rescue);
}
