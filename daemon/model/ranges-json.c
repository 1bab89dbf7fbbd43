/* The index as JSON and back. What comes from a file is believed in nothing: an index that cannot be true is refused. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "ranges-inside.h"
#include "text.h"

static const char digits[] = "0123456789abcdef";

static void set_hex(Json *json, const char *name, const uint8_t *bytes, size_t length)
{
        CLEANUP(text_done) Text text = { 0 };
        for (size_t i = 0; i < length; i++) {
                text_add_n(&text, &digits[bytes[i] >> 4], 1);
                text_add_n(&text, &digits[bytes[i] & 15], 1);
        }
        json_set_string(json, name, text.data);
}

static Json *block_to_json(const RangeBlock *block)
{
        Json *json = json_object();
        CLEANUP(mem_free) char *digest = text_format("%016" PRIx64, block->digest);
        json_set_int(json, "from", (int64_t) block->from);
        json_set_int(json, "to", (int64_t) block->to);
        json_set_string(json, "digest", digest);
        json_set_int(json, "events", (int64_t) block->n_events);
        json_set_int(json, "groups", (int64_t) block->n_groups);
        json_set_string(json, "stored", block->stored_file);
        json_set_int(json, "offset", (int64_t) block->stored_offset);
        if (block->begins_inside)
                json_set_bool(json, "begins_inside", true);
        if (block->ends_inside)
                json_set_bool(json, "ends_inside", true);
        if (block->rewritten)
                json_set_bool(json, "rewritten", true);
        if (block->ends_inside && !block->open.anonymous) {
                CLEANUP(mem_free) char *open = transaction_format(&block->open);
                json_set_string(json, "open", open);
        }
        for (size_t i = 0; i < block->runs.n_runs; i++) {
                CLEANUP(mem_free) char *run = transaction_format_run(&block->runs.runs[i]);
                json_append_string(json_ensure_array(json, "gtids"), run);
        }
        return json;
}

static Json *file_to_json(const RangeFile *file)
{
        Json *json = json_object();
        json_set_string(json, "name", file->name);
        json_set_string(json, "end", ranges_end_to_string(file->end));
        if (file->end != RANGES_END_UNKNOWN)
                json_set_int(json, "end_at", (int64_t) file->end_at);
        if (file->next[0])
                json_set_string(json, "next", file->next);
        if (file->format)
                set_hex(json, "format", file->format, file->format_length);
        if (file->format_end)
                json_set_int(json, "format_end", (int64_t) file->format_end);
        if (file->before) {
                CLEANUP(mem_free) char *before = gtid_format(file->before);
                json_set_string(json, "before", before);
        }
        for (size_t i = 0; i < file->n_ignored; i++) {
                Json *gap = json_object();
                json_set_int(gap, "from", (int64_t) file->ignored[i].from);
                json_set_int(gap, "to", (int64_t) file->ignored[i].to);
                json_append(json_ensure_array(json, "ignored"), gap);
        }
        return json;
}

/* The family is that of the first GTID anywhere; without any it does not matter. */
static GtidFamily family_of(const Ranges *ranges)
{
        for (size_t i = 0; i < ranges->n_files; i++) {
                BinlogFormat format;
                const RangeFile *file = &ranges->files[i];
                if (file->format && binlog_read_format(file->format, file->format_length, &format, NULL) == 0)
                        return format.flavour == FLAVOUR_MARIADB ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL;
        }
        for (size_t i = 0; i < ranges->n_spans; i++)
                for (size_t j = 0; j < ranges->spans[i].n_blocks; j++)
                        if (ranges->spans[i].blocks[j].runs.n_runs > 0)
                                return ranges->spans[i].blocks[j].runs.runs[0].first.family;
        return GTID_FAMILY_MYSQL;
}

Json *ranges_to_json(const Ranges *ranges)
{
        Json *json = json_object();
        json_set_string(json, "family", family_of(ranges) == GTID_FAMILY_MARIADB ? "mariadb" : "mysql");
        Json *sources = json_ensure_array(json, "sources"), *files = json_ensure_array(json, "files");
        Json *spans = json_ensure_array(json, "spans"), *borders = json_ensure_array(json, "borders");
        for (size_t i = 0; i < ranges->n_sources; i++)
                json_append_string(sources, ranges->sources[i].name);
        for (size_t i = 0; i < ranges->n_files; i++)
                json_append(files, file_to_json(&ranges->files[i]));
        for (size_t i = 0; i < ranges->n_borders; i++) {
                CLEANUP(mem_free) char *border = position_format(&ranges->borders[i]);
                json_append_string(borders, border);
        }
        for (size_t i = 0; i < ranges->n_spans; i++) {
                const RangeSpan *span = &ranges->spans[i];
                Json *entry = json_object(), *blocks = json_ensure_array(entry, "blocks");
                json_set_int(entry, "source", (int64_t) span->source);
                json_set_string(entry, "file", ranges->files[span->file].name);
                for (size_t j = 0; j < span->n_blocks; j++)
                        json_append(blocks, block_to_json(&span->blocks[j]));
                for (size_t j = 0; j < span->n_turns; j++) {
                        Json *turn = json_object();
                        json_set_int(turn, "at", (int64_t) span->turns[j].at);
                        json_set_string(turn, "stored", span->turns[j].stored_file);
                        json_set_int(turn, "offset", (int64_t) span->turns[j].stored_offset);
                        json_append(json_ensure_array(entry, "turns"), turn);
                }
                json_append(spans, entry);
        }
        return json;
}

/* Reading. */

static int refuse(Failure *reterr, const char *what)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "the index of the rescue is damaged: %s", what);
}

static bool read_offset(const Json *json, const char *name, uint64_t *ret)
{
        int64_t value = json_get_int(json, name, -1);
        if (value < 0 || value > (int64_t) BINLOG_OFFSET_MAX)
                return false;
        *ret = (uint64_t) value;
        return true;
}

static bool read_hex(const char *text, uint8_t **ret, size_t *ret_length)
{
        size_t length = strlen(text) / 2;
        uint8_t *bytes = ALLOC_ARRAY(uint8_t, length + 1);
        for (size_t i = 0; i < length; i++) {
                const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);
                if (!high || !low) {
                        free(bytes);
                        return false;
                }
                bytes[i] = (uint8_t) ((high - digits) << 4 | (low - digits));
        }
        *ret = bytes;
        *ret_length = length;
        return true;
}

static bool read_digest(const char *text, uint64_t *ret)
{
        char *end = NULL;
        if (!text || strlen(text) != 16)
                return false;
        *ret = strtoull(text, &end, 16);
        return *end == '\0';
}

static int read_block(const Json *json, GtidFamily family, RangeBlock *block, Failure *reterr)
{
        const char *stored = json_get_string(json, "stored"), *open = json_get_string(json, "open");
        if (!read_offset(json, "from", &block->from) || !read_offset(json, "to", &block->to) ||
            block->from >= block->to || !read_digest(json_get_string(json, "digest"), &block->digest) ||
            !read_offset(json, "events", &block->n_events) || !read_offset(json, "groups", &block->n_groups) ||
            !read_offset(json, "offset", &block->stored_offset) || !stored || strlen(stored) >= POSITION_FILE_MAX)
                return refuse(reterr, "a block");
        block->stored_file = alloc_string(stored);
        block->begins_inside = json_get_bool(json, "begins_inside", false);
        block->ends_inside = json_get_bool(json, "ends_inside", false);
        block->rewritten = json_get_bool(json, "rewritten", false);
        block->open.anonymous = true;
        TransactionRun run;
        if (open) {
                if (transaction_parse_run(family, open, &run, NULL) < 0)
                        return refuse(reterr, "a GTID");
                block->open = run.first;
        }
        JSON_FOREACH(text, json_get(json, "gtids"))
        {
                if (transaction_parse_run(family, json_string(text), &run, NULL) < 0)
                        return refuse(reterr, "a GTID");
                transaction_runs_add_run(&block->runs, &run);
        }
        return 0;
}

static int read_file(Ranges *ranges, GtidFamily family, const Json *json, Failure *reterr)
{
        const char *name = json_get_string(json, "name"), *next = json_get_string(json, "next");
        const char *format = json_get_string(json, "format"), *before = json_get_string(json, "before");
        RangesEnd end = ranges_end_from_string(json_get_string(json, "end"));
        size_t index, n = ranges->n_files;
        if (!name || ranges_put_file(ranges, name, &index, NULL) < 0 || index != n || (int) end < 0)
                return refuse(reterr, "a file");
        RangeFile *file = &ranges->files[index];
        file->end = end;
        if (end != RANGES_END_UNKNOWN && !read_offset(json, "end_at", &file->end_at))
                return refuse(reterr, "the end of a file");
        if (next && strlen(next) < POSITION_FILE_MAX)
                memcpy(file->next, next, strlen(next) + 1);
        if (format && !read_hex(format, &file->format, &file->format_length))
                return refuse(reterr, "a format description");
        if (json_has(json, "format_end") && !read_offset(json, "format_end", &file->format_end))
                return refuse(reterr, "a format description");
        if (before && gtid_parse(family, before, &file->before, NULL) < 0)
                return refuse(reterr, "a set of GTIDs");
        JSON_FOREACH(json_gap, json_get(json, "ignored"))
        {
                RangeGap gap;
                if (!read_offset(json_gap, "from", &gap.from) || !read_offset(json_gap, "to", &gap.to) ||
                    gap.from >= gap.to)
                        return refuse(reterr, "a gap");
                ALLOC_GROW(file->ignored, file->n_ignored);
                file->ignored[file->n_ignored++] = gap;
        }
        return 0;
}

static int read_span(Ranges *ranges, GtidFamily family, const Json *json, Failure *reterr)
{
        const char *name = json_get_string(json, "file");
        ssize_t file = name ? ranges_find_file(ranges, name) : -1;
        uint64_t source;
        if (file < 0 || !read_offset(json, "source", &source) || source >= ranges->n_sources)
                return refuse(reterr, "a span");
        RangeSpan *span = ranges_put_span(ranges, (size_t) source, (size_t) file);
        JSON_FOREACH(entry, json_get(json, "blocks"))
        {
                RangeBlock block = { 0 };
                int r = read_block(entry, family, &block, reterr);
                if (r == 0 && span->n_blocks > 0 && span->blocks[span->n_blocks - 1].to != block.from)
                        r = refuse(reterr, "blocks that do not follow each other");
                if (r < 0) {
                        range_block_done(&block);
                        return r;
                }
                range_span_append(span, block);
        }
        JSON_FOREACH(entry, json_get(json, "turns"))
        {
                const char *stored = json_get_string(entry, "stored");
                uint64_t at, offset;
                if (!read_offset(entry, "at", &at) || !read_offset(entry, "offset", &offset) || !stored ||
                    strlen(stored) >= POSITION_FILE_MAX)
                        return refuse(reterr, "where a file of the source begins");
                range_span_turn(span, at, stored, offset);
        }
        return 0;
}

int ranges_from_json(const Json *json, Ranges **ret, Failure *reterr)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        GtidFamily family =
                text_equal(json_get_string(json, "family"), "mariadb") ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL;
        JSON_FOREACH(source, json_get(json, "sources"))
        {
                if (!json_string(source))
                        return refuse(reterr, "a source");
                ranges_add_source(ranges, json_string(source));
        }
        JSON_FOREACH(border, json_get(json, "borders"))
        {
                Position position;
                if (position_parse(json_string(border), &position, NULL) < 0)
                        return refuse(reterr, "a position");
                ranges_add_border(ranges, &position);
        }
        JSON_FOREACH(file, json_get(json, "files"))
        {
                int r = read_file(ranges, family, file, reterr);
                if (r < 0)
                        return r;
        }
        JSON_FOREACH(span, json_get(json, "spans"))
        {
                int r = read_span(ranges, family, span, reterr);
                if (r < 0)
                        return r;
        }
        *ret = TAKE(ranges);
        return 0;
}
