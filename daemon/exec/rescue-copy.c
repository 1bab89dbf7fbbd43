/* Logs copied from a server's host, one file after another. Owns the list of what was ordered, one fetch at a time for each
 * source, and the note on disk of what is whole. Must never call a file copied that is not on the disk. */
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "enum.h"
#include "file.h"
#include "rescue-inside.h"
#include "text.h"

#define HEAD_SIZE 1024 /* of a file: its format description and more */
#define LINK_TIMEOUT (10 * USEC_SEC)
#define TRY_AGAIN (500 * USEC_MSEC)
#define TRIES_MAX 6

static const char *const state_names[_SOURCE_STATE_MAX] = {
        [SOURCE_COPYING] = "copying",
        [SOURCE_INDEXING] = "indexing",
        [SOURCE_DONE] = "done",
        [SOURCE_FAILED] = "failed",
};
ENUM_TO_STRING(source_state, SourceState, state_names)

static void copy_next(SavedSource *source);

SourceState source_state(const SavedSource *source)
{
        bool copied = true, indexed = true;
        for (size_t i = 0; i < source->n_files; i++) {
                copied = copied && source->files[i].copied;
                indexed = indexed && source->files[i].indexed;
        }
        if (source->failure.kind != FAILURE_NONE && !source->claim && !source->fetch && !source->head_fetch &&
            !source->again)
                return SOURCE_FAILED;
        return !copied ? SOURCE_COPYING : indexed ? SOURCE_DONE : SOURCE_INDEXING;
}

SavedSource *source_find(const Rescue *rescue, const char *server)
{
        SavedSource *source = rescue->sources;
        while (source && !text_equal(source->server, server))
                source = source->next;
        return source;
}

Position source_begin(const Rescue *rescue)
{
        Position begin = { 0 };
        for (const SavedSource *source = rescue->sources; source; source = source->next)
                for (size_t i = 0; !source->relay && i < source->n_files; i++) {
                        Position at = { .offset = source->files[i].from };
                        snprintf(at.file, sizeof at.file, "%s", source->files[i].file);
                        begin = position_min(begin, at);
                }
        return begin;
}

/* The note. */

static Json *describe_file(const SavedFile *file)
{
        Json *json = json_object();
        json_set_string(json, "file", file->file);
        json_set_string(json, "path", file->path);
        json_set_int(json, "from", (int64_t) file->from);
        json_set_int(json, "to", (int64_t) file->to);
        json_set_int(json, "size", (int64_t) file->size);
        json_set_bool(json, "head_copied", file->head_copied);
        json_set_bool(json, "copied", file->copied);
        json_set_bool(json, "verified", file->verified);
        json_set_string(json, "sha256", text_is_empty(file->sha256) ? NULL : file->sha256);
        return json;
}

int source_save_all(Rescue *rescue, Failure *reterr)
{
        CLEANUP(json_free) Json *note = json_object();
        Json *sources = json_ensure_array(note, "sources"), *borders = json_ensure_array(note, "borders");
        json_set_string(note, "why", rescue->why);
        for (size_t i = 0; i < rescue->n_borders; i++) {
                CLEANUP(mem_free) char *border = position_format(&rescue->borders[i]);
                json_append_string(borders, border);
        }
        for (const SavedSource *source = rescue->sources; source; source = source->next) {
                CLEANUP(mem_free) char *start = position_format(&source->start);
                Json *json = json_object();
                json_set_string(json, "server", source->server);
                json_set_string(json, "kind", source->relay ? "relay" : "binlog");
                json_set_int(json, "own_id", source->own_id);
                json_set_string(json, "start", start);
                json_set_string(json, "around", source->around.file);
                if (source_state(source) == SOURCE_FAILED)
                        json_set_string(json, "failure", source->failure.text);
                if (source->damage.kind != FAILURE_NONE)
                        json_set_string(json, "damage", source->damage.text);
                Json *files = json_ensure_array(json, "files");
                for (size_t i = 0; i < source->n_files; i++)
                        json_append(files, describe_file(&source->files[i]));
                json_append(sources, json);
        }
        CLEANUP(mem_free) char *text = json_print_pretty(note);
        CLEANUP(mem_free) char *path = text_format("%s/%s", rescue->directory, SAVED_NOTE);
        return file_replace(path, text, strlen(text), 0600, reterr);
}

/* Sources. */

static void file_done(SavedFile *file)
{
        free(file->file);
        free(file->path);
        free(file->local);
        free(file->head);
}

static void stop_copying(SavedSource *source)
{
        source->claim = pool_abandon(source->claim);
        source->fetch = fetch_abandon(source->fetch);
        source->link = ssh_link_free(source->link);
        source->again = timer_free(source->again);
        source->fetching = NULL;
}

void source_free(SavedSource *source)
{
        stop_copying(source);
        for (size_t i = 0; i < source->n_files; i++)
                file_done(&source->files[i]);
        free(source->files);
        free(source->server);
        free(source);
}

static SavedSource *source_new(Rescue *rescue, const char *server, bool relay)
{
        SavedSource *source = ALLOC(SavedSource), **end = &rescue->sources;
        *source = (SavedSource){ .rescue = rescue, .server = alloc_string(server), .relay = relay };
        while (*end)
                end = &(*end)->next;
        return *end = source;
}

/* Where it stands among the others: before the first that comes later in the log. */
static size_t place_of(const SavedSource *source, const char *name, uint64_t from)
{
        Position at = { .offset = from };
        snprintf(at.file, sizeof at.file, "%s", name);
        size_t i = 0;
        for (; i < source->n_files; i++) {
                Position other = { .offset = source->files[i].from };
                snprintf(other.file, sizeof other.file, "%s", source->files[i].file);
                if (position_compare(&at, &other) <= 0)
                        break;
        }
        return i;
}

static SavedFile *add_file(SavedSource *source, const char *name, const char *path, uint64_t from)
{
        size_t at = place_of(source, name, from);
        SavedFile *file = at < source->n_files ? &source->files[at] : NULL;
        if (file && file->from == from && text_equal(file->file, name))
                return file;
        ALLOC_GROW(source->files, source->n_files);
        file = &source->files[at];
        memmove(file + 1, file, (source->n_files - at) * sizeof *file);
        source->n_files++;
        *file = (SavedFile){ .file = alloc_string(name), .path = alloc_string(path), .from = from };
        const char *directory = source->rescue->directory;
        CLEANUP(mem_free) char *copy = saved_copy_name(name, from);
        file->local = text_format("%s/%s/%s", directory, source->server, copy);
        if (!source->relay && from > 0)
                file->head = text_format("%s/%s/%s.head", directory, source->server, name);
        /* In relay logs what comes later is understood by what comes before. */
        for (size_t i = 0; source->relay && i < source->n_files; i++)
                source->files[i].indexed = false;
        return file;
}

static SavedFile *find_file(SavedSource *source, const char *name, uint64_t from)
{
        for (size_t i = 0; i < source->n_files; i++)
                if (source->files[i].from == from && text_equal(source->files[i].file, name))
                        return &source->files[i];
        return NULL;
}

/* Whether everything that is ordered was ordered before. */
static bool is_known(SavedSource *source, const Json *files)
{
        JSON_FOREACH(json, files)
        {
                uint64_t from = (uint64_t) json_get_int(json, "from", 0), to = (uint64_t) json_get_int(json, "to", 0);
                const SavedFile *file = find_file(source, json_get_string(json, "file"), from);
                if (!file || file->to < to)
                        return false;
        }
        return true;
}

static int order_file(SavedSource *source, const Json *json, Failure *reterr)
{
        const char *name = json_get_string(json, "file"), *path = json_get_string(json, "path");
        int64_t from = json_get_int(json, "from", 0), to = json_get_int(json, "to", 0);
        if (!saved_is_plain_name(name) || text_is_empty(path) || from < 0 || to < 0 || (to && to < from))
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.80s' is no file to be copied from %s",
                                   name ? name : "", source->server);
        SavedFile *file = add_file(source, name, path, (uint64_t) from);
        if ((uint64_t) to > file->to) {
                file->to = (uint64_t) to;
                file->copied = file->indexed = false;
        }
        if (file->to == file->from && file->to) /* nothing of it is wanted, but where it ends is known */
                file->copied = file->verified = true;
        return 0;
}

static bool knows_border(const Rescue *rescue, const Position *border)
{
        for (size_t i = 0; i < rescue->n_borders; i++)
                if (position_equal(&rescue->borders[i], border))
                        return true;
        return false;
}

static int add_borders(Rescue *rescue, const Json *borders, Failure *reterr)
{
        JSON_FOREACH(border, borders)
        {
                Position position;
                if (text_is_empty(json_string(border)))
                        continue;
                if (position_parse(json_string(border), &position, reterr) < 0)
                        return -EINVAL;
                if (knows_border(rescue, &position))
                        continue;
                ALLOC_GROW(rescue->borders, rescue->n_borders);
                rescue->borders[rescue->n_borders++] = position;
        }
        return 0;
}

static int make_directory(const SavedSource *source, Failure *reterr)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", source->rescue->directory, source->server);
        return file_make_directory(path, 0700, reterr);
}

static void set_around(SavedSource *source, const char *file)
{
        snprintf(source->around.file, sizeof source->around.file, "%s", file ? file : "");
}

int source_order(Rescue *rescue, const Json *input, Failure *reterr)
{
        const char *server = json_get_string(input, "server"), *start = json_get_string(input, "start");
        bool relay = text_equal(json_get_string(input, "kind"), "relay");
        if (!saved_is_plain_name(server))
                return failure_set(reterr, FAILURE_INVALID, 0, "no server to copy from is named");
        SavedSource *source = source_find(rescue, server);
        if (!source)
                source = source_new(rescue, server, relay);
        if (source->relay != relay)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "of %s either the binary logs or the relay logs can be saved", server);
        if (source->n_files && is_known(source, json_get(input, "files")) && source_state(source) != SOURCE_FAILED)
                return 0;
        stop_copying(source);
        source->apart = json_get_bool(input, "apart", source->apart);
        if (json_has(input, "why")) {
                free(rescue->why);
                rescue->why = alloc_string(json_get_string(input, "why"));
        }
        source->own_id = (uint32_t) json_get_int(input, "own_id", source->own_id);
        Position at = { 0 };
        if (!text_is_empty(start) && position_parse(start, &at, reterr) < 0)
                return -EINVAL;
        source->start = at;
        set_around(source, json_get_string(input, "around"));
        int r = add_borders(rescue, json_get(input, "borders"), reterr);
        JSON_FOREACH(file, json_get(input, "files"))
        {
                r = r < 0 ? r : order_file(source, file, reterr);
        }
        r = r < 0 ? r : make_directory(source, reterr);
        r = r < 0 ? r : source_save_all(rescue, reterr);
        if (r < 0)
                return r;
        source->failure = (Failure){ 0 };
        source->bad = false;
        source->n_tries = 0;
        copy_next(source);
        indexing_start(rescue);
        return 0;
}

static uint64_t number_of(const Json *json, const char *name)
{
        int64_t number = json_get_int(json, name, 0);
        return number < 0 ? 0 : (uint64_t) number;
}

/* What another process has left. */
static void load_source(Rescue *rescue, const Json *json)
{
        const char *server = json_get_string(json, "server");
        if (!saved_is_plain_name(server) || source_find(rescue, server))
                return;
        SavedSource *source = source_new(rescue, server, text_equal(json_get_string(json, "kind"), "relay"));
        source->own_id = (uint32_t) json_get_int(json, "own_id", 0);
        const char *damage = json_get_string(json, "damage");
        if (damage)
                failure_set(&source->damage, FAILURE_PROTOCOL, 0, "%s", damage);
        source->start = position_from_json(json, "start");
        set_around(source, json_get_string(json, "around"));
        JSON_FOREACH(entry, json_get(json, "files"))
        {
                const char *name = json_get_string(entry, "file");
                if (!saved_is_plain_name(name))
                        continue;
                SavedFile *file = add_file(source, name, json_get_string(entry, "path"), number_of(entry, "from"));
                const char *sha256 = json_get_string(entry, "sha256");
                file->to = number_of(entry, "to");
                file->size = number_of(entry, "size");
                file->head_copied = json_get_bool(entry, "head_copied", false);
                file->copied = json_get_bool(entry, "copied", false);
                file->verified = json_get_bool(entry, "verified", false);
                if (sha256 && strlen(sha256) == sizeof file->sha256 - 1)
                        memcpy(file->sha256, sha256, sizeof file->sha256);
        }
}

void source_load_all(Rescue *rescue)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", rescue->directory, SAVED_NOTE);
        CLEANUP(mem_free) char *text = NULL;
        CLEANUP(json_free) Json *note = NULL;
        size_t length = 0;
        /* Without the note everything is copied again. */
        if (file_read(path, SAVED_NOTE_MAX, &text, &length, NULL) < 0 || json_parse(text, length, &note, NULL) < 0)
                return;
        (void) add_borders(rescue, json_get(note, "borders"), NULL);
        rescue->why = alloc_string(json_get_string(note, "why"));
        JSON_FOREACH(json, json_get(note, "sources"))
        {
                load_source(rescue, json);
        }
}

void source_go_on(Rescue *rescue)
{
        for (SavedSource *source = rescue->sources; source; source = source->next)
                copy_next(source);
}

/* Copies. */

static void on_again(void *userdata)
{
        SavedSource *source = userdata;
        source->again = timer_free(source->again);
        copy_next(source);
}

static void copy_failed(SavedSource *source, FetchEnd end, const Failure *failure)
{
        source->end = end;
        source->failure = *failure;
        source->link = ssh_link_free(source->link);
        if (end != FETCH_LOST || ++source->n_tries >= TRIES_MAX) {
                (void) source_save_all(source->rescue, NULL); /* the failure is told in any case */
                indexing_start(source->rescue);
                return;
        }
        source->again = timer_new(source->rescue->loop, 10 * USEC_MSEC, on_again, source);
        timer_set_in(source->again, TRY_AGAIN);
}

static void on_progress(uint64_t done, uint64_t total, void *userdata)
{
        SavedSource *source = userdata;
        source->fetched = done;
}

/* Both parts of a file are there. */
static void file_copied(SavedSource *source)
{
        SavedFile *file = source->fetching;
        Failure failure;
        file->copied = true;
        if (!source->bad)
                source->failure = (Failure){ 0 };
        source->n_tries = 0;
        if (source_save_all(source->rescue, &failure) < 0) {
                file->copied = false;
                copy_failed(source, FETCH_LOCAL, &failure);
                return;
        }
        copy_next(source);
        indexing_start(source->rescue);
}

/* One part failed: the other is begun again, too, and finds what has come. */
static void part_failed(SavedSource *source, const FetchResult *result)
{
        Failure failure = result->failure;
        source->fetch = fetch_abandon(source->fetch);
        source->head_fetch = fetch_abandon(source->head_fetch);
        copy_failed(source, result->end, &failure);
}

static void on_head_fetched(const FetchResult *result, void *userdata)
{
        SavedSource *source = userdata;
        source->head_fetch = NULL;
        source->fetching->head_copied = result->end == FETCH_DONE;
        if (result->end != FETCH_DONE)
                part_failed(source, result);
        else if (!source->fetch)
                file_copied(source);
}

static void on_fetched(const FetchResult *result, void *userdata)
{
        SavedSource *source = userdata;
        SavedFile *file = source->fetching;
        source->fetch = NULL;
        if (result->end != FETCH_DONE) {
                part_failed(source, result);
                return;
        }
        file->verified = result->verified;
        file->size = result->size;
        memcpy(file->sha256, result->sha256, sizeof file->sha256);
        if (!source->head_fetch)
                file_copied(source);
}

static void start_fetch(SavedSource *source, SshLink *link)
{
        const SavedFile *file = source->fetching;
        Loop *loop = source->rescue->loop;
        FetchParams params = { .remote = file->path,
                               .local = file->local,
                               .from = file->from,
                               .to = file->to,
                               .sudo = source->rescue->settings->sudo };
        FetchParams head = params;
        head.local = file->head;
        head.from = 0;
        head.to = file->from < HEAD_SIZE ? file->from : HEAD_SIZE;
        source->fetched = 0;
        source->fetch = fetch_start(loop, link, &params, on_progress, on_fetched, source);
        if (file->head && !file->head_copied)
                source->head_fetch = fetch_start(loop, link, &head, NULL, on_head_fetched, source);
}

static void on_link(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        SavedSource *source = userdata;
        source->claim = NULL;
        if (failure) {
                copy_failed(source, FETCH_LOST, failure);
                return;
        }
        if (source->apart)
                source->link = link;
        start_fetch(source, link);
}

/* What goes through it fails by itself. */
static void on_link_end(SshLink *link, const Failure *failure, void *userdata)
{
}

static SavedFile *first_missing(SavedSource *source)
{
        for (size_t i = 0; i < source->n_files; i++)
                if (!source->files[i].copied)
                        return &source->files[i];
        return NULL;
}

static void copy_next(SavedSource *source)
{
        Rescue *rescue = source->rescue;
        Failure failure;
        if (source->claim || source->fetch || source->head_fetch || source->again)
                return;
        source->fetching = first_missing(source);
        if (!source->fetching) {
                source->link = ssh_link_free(source->link);
                return;
        }
        Pool *pool = rescue->pool(source->server, rescue->userdata);
        if (!pool) {
                failure_set(&failure, FAILURE_INVALID, 0, "there is no server %s in the cluster", source->server);
                copy_failed(source, FETCH_FAILED, &failure);
                return;
        }
        usec_t deadline = usec_add(loop_now(rescue->loop), LINK_TIMEOUT);
        if (source->link)
                start_fetch(source, source->link);
        else if (source->apart)
                source->claim = pool_claim_own_ssh(pool, deadline, on_link_end, on_link, source);
        else
                source->claim = pool_claim_ssh(pool, deadline, on_link, source);
}

/* For people. */

Json *source_describe(const SavedSource *source)
{
        Json *json = json_object();
        int64_t n_done = 0, bytes = (int64_t) source->fetched, total = 0;
        bool verified = true;
        if (!source->fetch)
                bytes = 0;
        for (size_t i = 0; i < source->n_files; i++) {
                const SavedFile *file = &source->files[i];
                n_done += file->copied;
                bytes += file->copied ? (int64_t) file->size : 0;
                total += file->copied ? (int64_t) file->size : file->to ? (int64_t) (file->to - file->from) : 0;
                verified = verified && file->verified;
        }
        SourceState state = source_state(source);
        json_set_string(json, "state", source_state_to_string(state));
        json_set_string(json, "kind", source->relay ? "relay" : "binlog");
        json_set_int(json, "n_files", (int64_t) source->n_files);
        json_set_int(json, "n_done", n_done);
        json_set_int(json, "bytes", bytes);
        json_set_int(json, "total", total);
        json_set_bool(json, "verified", verified);
        if (state == SOURCE_FAILED)
                json_set_string(json, "end", fetch_end_to_string(source->end));
        if (source->failure.kind != FAILURE_NONE)
                json_set_string(json, "failure", source->failure.text);
        if (source->damage.kind != FAILURE_NONE)
                json_set_string(json, "damage", source->damage.text);
        return json;
}
