/* The note and the index of saved logs. Pure; must never take a damaged one for the truth. */
#include "saved.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "ranges-inside.h"
#include "text.h"

#define DIFFERENCES_TOLD 8

bool saved_is_plain_name(const char *name)
{
        return !text_is_empty(name) && strlen(name) < POSITION_FILE_MAX - 32 && !strchr(name, '/') && name[0] != '.';
}

char *saved_copy_name(const char *file, uint64_t from)
{
        return from ? text_format("%s@%" PRIu64, file, from) : alloc_string(file);
}

/* The index. */

char *saved_index_print(const Ranges *ranges, const Json *covers)
{
        CLEANUP(json_free) Json *json = json_object();
        json_set(json, "covers", json_copy(covers));
        json_set(json, "ranges", ranges_to_json(ranges));
        return json_print(json);
}

static int refuse(Failure *reterr, const char *what)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "the index of the saved logs is damaged: %s", what);
}

static bool is_number(const Json *json, const char *name)
{
        int64_t number = json_get_int(json, name, -1);
        return number >= 0 && number <= (int64_t) BINLOG_OFFSET_MAX;
}

static int check_covers(const Json *covers, const Ranges *ranges, Failure *reterr)
{
        size_t i = 0;
        CLEANUP(json_free) Json *seen = json_array();
        if (json_length(json_get(covers, "sources")) != ranges_n_sources(ranges) || !is_number(covers, "borders"))
                return refuse(reterr, "what it covers");
        JSON_FOREACH(source, json_get(covers, "sources"))
        {
                const char *server = json_get_string(source, "server");
                if (!text_equal(server, ranges_source(ranges, i++)) || json_array_contains(seen, server))
                        return refuse(reterr, "a source");
                json_append_string(seen, server);
                JSON_FOREACH(file, json_get(source, "files"))
                {
                        if (!saved_is_plain_name(json_get_string(file, "file")) || !is_number(file, "from") ||
                            !is_number(file, "size"))
                                return refuse(reterr, "a file");
                }
        }
        return 0;
}

int saved_index_parse(const char *text, size_t length, Ranges **ret, Json **ret_covers, Failure *reterr)
{
        CLEANUP(json_free) Json *json = NULL;
        CLEANUP(ranges_free) Ranges *ranges = NULL;
        int r = json_parse(text, length, &json, reterr);
        if (r >= 0)
                r = ranges_from_json(json_get(json, "ranges"), &ranges, reterr);
        if (r >= 0)
                r = check_covers(json_get(json, "covers"), ranges, reterr);
        if (r < 0)
                return r;
        *ret = TAKE(ranges);
        *ret_covers = json_copy(json_get(json, "covers"));
        return 0;
}

/* For people. */

static void set_position(Json *json, const char *name, const Position *position)
{
        CLEANUP(mem_free) char *text = position_format(position);
        json_set_string(json, name, text);
}

Json *saved_describe_answer(const RangesAnswer *answer, const GtidSet *lacks, const GtidSet *missing)
{
        Json *json = json_object(), *holes = json_ensure_array(json, "holes");
        for (size_t i = 0; i < answer->n_holes; i++)
                json_append_string(holes, answer->holes[i].text);
        json_set_bool(json, "complete", answer->n_holes == 0 && (!missing || gtid_is_empty(missing)));
        set_position(json, "end", &answer->end);
        set_position(json, "last", &answer->last);
        set_position(json, "torn", &answer->torn);
        json_set_int(json, "bytes", (int64_t) answer->bytes);
        json_set_int(json, "n_transactions", (int64_t) answer->n_groups);
        json_set_bool(json, "exact", answer->n_groups_exact);
        if (answer->runs.n_runs > 0) {
                CLEANUP(gtid_free)
                GtidSet *set = transaction_runs_to_set(&answer->runs, answer->runs.runs[0].first.family);
                CLEANUP(mem_free) char *gtids = gtid_describe(set);
                json_set_string(json, "gtids", gtids);
        }
        CLEANUP(mem_free) char *lacks_text = lacks ? gtid_format(lacks) : NULL;
        CLEANUP(mem_free) char *missing_text = missing ? gtid_format(missing) : NULL;
        json_set_string(json, "lacks", lacks_text);
        json_set_string(json, "missing", missing_text);
        return json;
}

void saved_add_differences(const Ranges *ranges, Json *json)
{
        size_t n = 0, told = 0;
        RangesOverlap *overlaps = ranges_compare(ranges, &n);
        for (size_t i = 0; i < n && told < DIFFERENCES_TOLD; i++) {
                if (overlaps[i].verdict != RANGES_DIFFER)
                        continue;
                Position to = overlaps[i].from;
                to.offset = overlaps[i].to;
                CLEANUP(mem_free) char *range = position_format_range(&overlaps[i].from, &to);
                CLEANUP(mem_free)
                char *text = text_format("%s and %s differ: %s", ranges_source(ranges, overlaps[i].a),
                                         ranges_source(ranges, overlaps[i].b), range);
                json_append_string(json_ensure_array(json, "differ"), text);
                told++;
        }
        free(overlaps);
}

/* So large is nothing in the files, and so many numbers can still be added. */
static int64_t number_of(const Json *json, const char *name)
{
        int64_t number = json_get_int(json, name, 0);
        return number < 0 || number > INT64_C(1) << 48 ? 0 : number;
}

static Json *describe_file(const char *server, const Json *file)
{
        const char *name = json_get_string(file, "file"), *sha256 = json_get_string(file, "sha256");
        int64_t from = number_of(file, "from");
        if (!saved_is_plain_name(name))
                return NULL;
        CLEANUP(mem_free) char *copy = saved_copy_name(name, (uint64_t) from);
        CLEANUP(mem_free) char *path = text_format("%s/%s", server, copy);
        Json *json = json_object();
        bool copied = json_get_bool(file, "copied", false);
        json_set_string(json, "server", server);
        json_set_string(json, "file", name);
        json_set_string(json, "name", path);
        json_set_int(json, "from", from);
        json_set_int(json, "to", copied ? from + number_of(file, "size") : number_of(file, "to"));
        json_set_int(json, "size", number_of(file, "size"));
        json_set_bool(json, "copied", copied);
        json_set_bool(json, "verified", json_get_bool(file, "verified", false));
        json_set_string(json, "sha256", sha256);
        return json;
}

static void add_source(const Json *note, Json *sources, Json *files)
{
        const char *server = json_get_string(note, "server"), *failure = json_get_string(note, "failure");
        int64_t n_files = 0, n_copied = 0, bytes = 0;
        bool verified = true;
        if (!saved_is_plain_name(server))
                return;
        JSON_FOREACH(entry, json_get(note, "files"))
        {
                Json *file = describe_file(server, entry);
                if (!file)
                        continue;
                n_files++;
                n_copied += json_get_bool(file, "copied", false);
                bytes += bytes < INT64_C(1) << 52 ? json_get_int(file, "size", 0) : 0;
                verified = verified && json_get_bool(file, "verified", false);
                json_append(files, file);
        }
        Json *json = json_object();
        json_set_string(json, "server", server);
        json_set_string(json, "kind", text_equal(json_get_string(note, "kind"), "relay") ? "relay" : "binlog");
        json_set_string(json, "state", failure ? "failed" : n_copied == n_files ? "complete" : "partial");
        json_set_string(json, "failure", failure);
        json_set_string(json, "damage", json_get_string(note, "damage"));
        json_set_int(json, "n_files", n_files);
        json_set_int(json, "n_copied", n_copied);
        json_set_int(json, "bytes", bytes);
        json_set_bool(json, "verified", verified && n_files > 0);
        json_append(sources, json);
}

/* Where the copies of binary logs begin; unset when there are only relay logs, whose places in the log only the index
 * knows. */
static Position begin_of(const Json *files, const Json *sources)
{
        Position begin = { 0 };
        JSON_FOREACH(file, files)
        {
                Position at = { .offset = (uint64_t) json_get_int(file, "from", 0) };
                snprintf(at.file, sizeof at.file, "%s", json_get_string(file, "file"));
                JSON_FOREACH(source, sources)
                {
                        if (text_equal(json_get_string(source, "server"), json_get_string(file, "server")) &&
                            text_equal(json_get_string(source, "kind"), "binlog"))
                                begin = position_min(begin, at);
                }
        }
        return begin;
}

/* Blocks that stand beside each other are one range. */
static void add_ranges(const Ranges *ranges, Json *list)
{
        Json *last = NULL;
        for (size_t i = 0; i < ranges->n_spans; i++) {
                const RangeSpan *span = &ranges->spans[i];
                if (span->n_blocks == 0)
                        continue;
                const char *server = ranges->sources[span->source].name, *file = ranges->files[span->file].name;
                int64_t from = (int64_t) span->blocks[0].from, to = (int64_t) span->blocks[span->n_blocks - 1].to;
                bool same = text_equal(json_get_string(last, "server"), server) &&
                            text_equal(json_get_string(last, "file"), file) && json_get_int(last, "to", -1) == from;
                if (!same) {
                        last = json_object();
                        json_set_string(last, "server", server);
                        json_set_string(last, "file", file);
                        json_set_int(last, "from", from);
                        json_append(list, last);
                }
                json_set_int(last, "to", to);
        }
}

Json *saved_describe(const Json *note, const Ranges *ranges)
{
        Json *json = json_object();
        json_set_string(json, "why", json_get_string(note, "why"));
        Json *sources = json_ensure_array(json, "sources"), *files = json_ensure_array(json, "files");
        JSON_FOREACH(source, json_get(note, "sources"))
        {
                add_source(source, sources, files);
        }
        if (!ranges)
                return json;
        Position begin = begin_of(files, sources);
        CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &begin);
        add_ranges(ranges, json_ensure_array(json, "ranges"));
        json_set(json, "holds", saved_describe_answer(&answer, NULL, NULL));
        saved_add_differences(ranges, json);
        return json;
}
