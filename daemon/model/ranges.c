/* The index of a rescue's store. Owns spans, blocks and files; must never call a range complete because nothing was seen
 * to be missing: every byte is in a block, or proved to be of no interest, or in a hole. */
#include "ranges.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "enum.h"
#include "group.h"
#include "ranges-inside.h"
#include "relaylog.h"
#include "text.h"

enum { CELL = 256 * 1024 }; /* a block ends with the transaction that crosses a multiple of this */

static const char *const ends[] = {
        [RANGES_END_UNKNOWN] = "unknown", [RANGES_END_ROTATE] = "rotate",     [RANGES_END_STOP] = "stop",
        [RANGES_END_CUT] = "cut",         [RANGES_END_FOLLOWED] = "followed",
};
ENUM_STRINGS(ranges_end, RangesEnd, ends)

Ranges *ranges_new(void)
{
        return ALLOC(Ranges);
}

void range_block_done(RangeBlock *block)
{
        transaction_runs_done(&block->runs);
        free(block->stored_file);
}

Ranges *ranges_free(Ranges *ranges)
{
        if (!ranges)
                return NULL;
        for (size_t i = 0; i < ranges->n_spans; i++) {
                for (size_t j = 0; j < ranges->spans[i].n_blocks; j++)
                        range_block_done(&ranges->spans[i].blocks[j]);
                free(ranges->spans[i].blocks);
                for (size_t j = 0; j < ranges->spans[i].n_turns; j++)
                        free(ranges->spans[i].turns[j].stored_file);
                free(ranges->spans[i].turns);
        }
        for (size_t i = 0; i < ranges->n_files; i++) {
                gtid_free(ranges->files[i].before);
                free(ranges->files[i].format);
                free(ranges->files[i].ignored);
        }
        for (size_t i = 0; i < ranges->n_sources; i++) {
                range_block_done(&ranges->sources[i].block);
                free(ranges->sources[i].name);
        }
        free(ranges->spans);
        free(ranges->files);
        free(ranges->sources);
        free(ranges->borders);
        free(ranges);
        return NULL;
}

size_t ranges_add_source(Ranges *ranges, const char *name)
{
        ALLOC_GROW(ranges->sources, ranges->n_sources);
        ranges->sources[ranges->n_sources] = (RangeSource){ .name = alloc_string(name) };
        return ranges->n_sources++;
}

void ranges_add_border(Ranges *ranges, const Position *border)
{
        ALLOC_GROW(ranges->borders, ranges->n_borders);
        ranges->borders[ranges->n_borders++] = *border;
}

static bool is_border(const Ranges *ranges, const char *file, uint64_t offset)
{
        for (size_t i = 0; i < ranges->n_borders; i++)
                if (ranges->borders[i].offset == offset && strcmp(ranges->borders[i].file, file) == 0)
                        return true;
        return offset == BINLOG_MAGIC_LENGTH;
}

/* Files stand in the order of the log, so a new one moves the numbers of those behind it. */
static size_t insert_file(Ranges *ranges, size_t at, const char *name)
{
        ALLOC_GROW(ranges->files, ranges->n_files);
        memmove(ranges->files + at + 1, ranges->files + at, (ranges->n_files - at) * sizeof(RangeFile));
        ranges->n_files++;
        RangeFile file = { 0 };
        memcpy(file.name, name, strlen(name) + 1);
        ranges->files[at] = file;
        for (size_t i = 0; i < ranges->n_spans; i++)
                ranges->spans[i].file += ranges->spans[i].file >= at;
        for (size_t i = 0; i < ranges->n_sources; i++)
                ranges->sources[i].file += ranges->sources[i].file >= at;
        return at;
}

int ranges_put_file(Ranges *ranges, const char *name, size_t *ret, Failure *reterr)
{
        Position wanted = { 0 };
        size_t at = 0;
        if (strlen(name) == 0 || strlen(name) >= POSITION_FILE_MAX)
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.40s' is not the name of a binary log", name);
        memcpy(wanted.file, name, strlen(name) + 1);
        for (; at < ranges->n_files; at++) {
                Position have = { 0 };
                memcpy(have.file, ranges->files[at].name, sizeof have.file);
                if (!position_comparable(&wanted, &have))
                        return failure_set(reterr, FAILURE_INVALID, 0, "%s and %s are not of one log", name, have.file);
                int order = position_compare(&wanted, &have);
                if (order == 0) {
                        *ret = at;
                        return 0;
                }
                if (order < 0)
                        break;
        }
        *ret = insert_file(ranges, at, name);
        return 0;
}

ssize_t ranges_find_file(const Ranges *ranges, const char *name)
{
        for (size_t i = 0; i < ranges->n_files; i++)
                if (strcmp(ranges->files[i].name, name) == 0)
                        return (ssize_t) i;
        return -1;
}

size_t ranges_n_sources(const Ranges *ranges)
{
        return ranges->n_sources;
}

const char *ranges_source(const Ranges *ranges, size_t source)
{
        return ranges->sources[source].name;
}

size_t ranges_n_files(const Ranges *ranges)
{
        return ranges->n_files;
}

const char *ranges_file(const Ranges *ranges, size_t file)
{
        return ranges->files[file].name;
}

const uint8_t *ranges_format(const Ranges *ranges, const char *file, size_t *ret_length)
{
        for (ssize_t i = ranges_find_file(ranges, file); i >= 0; i--)
                if (ranges->files[i].format) {
                        *ret_length = ranges->files[i].format_length;
                        return ranges->files[i].format;
                }
        return NULL;
}

/* Building. */

static uint64_t mix(uint64_t digest, uint64_t value)
{
        digest = (digest ^ value) * 0x9e3779b97f4a7c15u;
        return digest ^ digest >> 29;
}

RangeSpan *ranges_put_span(Ranges *ranges, size_t source, size_t file)
{
        ALLOC_GROW(ranges->spans, ranges->n_spans);
        ranges->spans[ranges->n_spans] = (RangeSpan){ .source = source, .file = file };
        return &ranges->spans[ranges->n_spans++];
}

void range_span_append(RangeSpan *span, RangeBlock block)
{
        ALLOC_GROW(span->blocks, span->n_blocks);
        span->blocks[span->n_blocks++] = block;
}

void range_span_turn(RangeSpan *span, uint64_t at, const char *stored_file, uint64_t stored_offset)
{
        ALLOC_GROW(span->turns, span->n_turns);
        span->turns[span->n_turns++] = (RangeTurn){ at, alloc_string(stored_file), stored_offset };
}

static void end_block(Ranges *ranges, RangeSource *source)
{
        if (source->block.to > 0)
                range_span_append(&ranges->spans[source->span], source->block);
        source->block = (RangeBlock){ 0 };
}

static void begin_part(RangeSource *source, const RangesEvent *event, bool inside)
{
        source->part = (RangePart){ .from = event->start.offset,
                                    .to = event->start.offset,
                                    .inside = inside,
                                    .stored_offset = event->stored.offset };
        memcpy(source->part.stored_file, event->stored.file, sizeof source->part.stored_file);
        source->part.id = source->group.gtid.id;
}

/* What is whole goes to the block under way. */
static void keep_part(RangeSource *source)
{
        RangePart *part = &source->part;
        RangeBlock *block = &source->block;
        if (block->to == 0) {
                block->from = part->from;
                block->stored_file = alloc_string(part->stored_file);
                block->stored_offset = part->stored_offset;
        }
        block->to = part->to;
        block->digest = mix(block->digest, part->digest);
        block->n_events += part->n_events;
        block->rewritten = block->rewritten || part->rewritten;
        part->to = part->certain = 0;
}

/* What is not is a block of its own. */
static void end_part(Ranges *ranges, RangeSource *source, bool ends_inside)
{
        if (source->part.to != source->part.certain) {
                source->part.to = source->part.certain;
                source->part.rewritten = true;
        }
        if (source->part.to == 0)
                return;
        end_block(ranges, source);
        bool inside = source->part.inside;
        TransactionId id = source->part.id;
        keep_part(source);
        source->block.begins_inside = inside;
        source->block.ends_inside = ends_inside;
        source->block.open = (TransactionId){ .anonymous = true };
        if (ends_inside && !inside)
                source->block.open = id;
        end_block(ranges, source);
}

void ranges_pause(Ranges *ranges, size_t index)
{
        RangeSource *source = &ranges->sources[index];
        if (!source->active)
                return;
        end_part(ranges, source, true);
        end_block(ranges, source);
        source->active = false;
}

static void enter(Ranges *ranges, size_t index, size_t file, const RangesEvent *event)
{
        RangeSource *source = &ranges->sources[index];
        ranges_pause(ranges, index);
        source->active = true;
        source->file = file;
        source->at = event->start.offset;
        ranges_put_span(ranges, index, file);
        source->span = ranges->n_spans - 1;
        if (is_border(ranges, event->start.file, event->start.offset))
                group_reset(&source->group);
        else
                group_enter_anywhere(&source->group);
}

static void set_end(RangeFile *file, uint64_t at, RangesEnd how, const char *next)
{
        /* An event says it best; of two that only saw the end, the one that saw more. */
        bool better = file->end == RANGES_END_UNKNOWN || (at > file->end_at && how != RANGES_END_FOLLOWED) ||
                      (at >= file->end_at && file->end >= RANGES_END_CUT);
        if (!better)
                return;
        file->end = how;
        file->end_at = at;
        if (next && strlen(next) < POSITION_FILE_MAX)
                memcpy(file->next, next, strlen(next) + 1);
}

void ranges_end_file(Ranges *ranges, const Position *end, RangesEnd how, const char *next)
{
        size_t file;
        if (end->offset <= BINLOG_OFFSET_MAX && ranges_put_file(ranges, end->file, &file, NULL) == 0)
                set_end(&ranges->files[file], end->offset, how, next);
}

static void put_format(RangeFile *file, const uint8_t *bytes, size_t length)
{
        free(file->format);
        file->format = ALLOC_ARRAY(uint8_t, length);
        memcpy(file->format, bytes, length);
        file->format_length = length;
}

void ranges_set_format(Ranges *ranges, const char *name, const BinlogFormat *format)
{
        size_t file;
        if (format->length > 0 && ranges_put_file(ranges, name, &file, NULL) == 0 && !ranges->files[file].format)
                put_format(&ranges->files[file], format->bytes, format->length);
}

/* Events that say something about their file. Whether a block ends behind the event. */
static int learn(RangeFile *file, const RangesEvent *event, bool *ret_cut, Failure *reterr)
{
        Position next;
        int r = 0;
        *ret_cut = false;
        switch (event->event->header.type) {
        case BINLOG_TYPE_FORMAT:
                put_format(file, event->event->bytes, event->event->kept);
                file->format_end = event->end;
                *ret_cut = true;
                break;
        case BINLOG_TYPE_PREVIOUS_GTIDS:
        case BINLOG_TYPE_GTID_LIST:
                if (!file->before)
                        r = binlog_read_gtid_set(event->event, &file->before, reterr);
                *ret_cut = true;
                break;
        case BINLOG_TYPE_ROTATE:
                r = binlog_read_rotate(event->event, &next, reterr);
                if (r == 0)
                        set_end(file, event->end, RANGES_END_ROTATE, next.file);
                break;
        case BINLOG_TYPE_STOP:
                set_end(file, event->end, RANGES_END_STOP, NULL);
                break;
        default:
                break;
        }
        return r;
}

/* A whole transaction, or an event between two, is complete. */
static void complete(Ranges *ranges, RangeSource *source, const RangesEvent *event, GroupStep step, bool cut)
{
        if (source->part.inside) {
                end_part(ranges, source, false);
                return;
        }
        uint64_t from = source->part.from;
        keep_part(source);
        if (step != GROUP_OUTSIDE) {
                source->block.n_groups++;
                transaction_runs_add(&source->block.runs, &source->group.gtid.id);
        }
        if (cut || from / CELL != event->end / CELL || is_border(ranges, event->start.file, event->end))
                end_block(ranges, source);
}

/* MySQL's list of GTIDs: one without any. */
static uint64_t least_gtid_list(const BinlogFormat *format)
{
        return BINLOG_HEADER_LENGTH + (format->checksum ? BINLOG_CHECKSUM_LENGTH : 0) + 8;
}

static bool has_tags(const BinlogFormat *format)
{
        Version version;
        return version_parse(format->version, &version, NULL) < 0 || version_at_least(&version, 8, 3, 0);
}

/* The list stands right behind the format description. What else the replica did not keep would come under the same
 * marker; as long as there are no tags it shows, because a list grows by multiples of eight only. Where there is no
 * marker at all (MySQL 5.6's receiver leaves it out when the next event is there at once), there must be no room for the
 * least transaction that the next event allows. */
static bool is_gtid_list(const BinlogFormat *format, uint64_t length, bool marked, uint64_t least_transaction)
{
        uint64_t least = least_gtid_list(format);
        if (format->flavour != FLAVOUR_MYSQL || length < least)
                return false;
        if (has_tags(format))
                return marked;
        return (length - least) % 8 == 0 && (marked || length < least + least_transaction);
}

static void put_gap(RangeFile *file, uint64_t from, uint64_t to)
{
        ALLOC_GROW(file->ignored, file->n_ignored);
        file->ignored[file->n_ignored++] = (RangeGap){ .from = from, .to = to };
}

static bool put_ignored(RangeFile *file, uint64_t from, uint64_t to, bool marked, uint64_t least_transaction)
{
        BinlogFormat format;
        if (file->format_end == 0 || from != file->format_end || to <= from ||
            binlog_read_format(file->format, file->format_length, &format, NULL) < 0 ||
            !is_gtid_list(&format, to - from, marked, least_transaction))
                return false;
        for (size_t i = 0; i < file->n_ignored; i++)
                if (file->ignored[i].from == from)
                        return file->ignored[i].to == to;
        put_gap(file, from, to);
        return true;
}

bool ranges_add_ignored(Ranges *ranges, const Position *from, uint64_t to)
{
        size_t file;
        return to <= BINLOG_OFFSET_MAX && ranges_put_file(ranges, from->file, &file, NULL) == 0 &&
               put_ignored(&ranges->files[file], from->offset, to, true, 0);
}

void ranges_add_empty(Ranges *ranges, const Position *from, uint64_t to)
{
        size_t file;
        if (from->offset < to && to <= BINLOG_OFFSET_MAX && ranges_put_file(ranges, from->file, &file, NULL) == 0)
                put_gap(&ranges->files[file], from->offset, to);
}

/* By the smallest bodies that there are: of a statement, and of a GTID before it. */
static uint64_t least_transaction_with(const BinlogEvent *next)
{
        uint64_t query = BINLOG_HEADER_LENGTH + 13 + 6;
        return next->header.type == BINLOG_TYPE_GTID ? BINLOG_HEADER_LENGTH + 25 + query : query;
}

int ranges_add(Ranges *ranges, size_t index, const RangesEvent *event, Failure *reterr)
{
        size_t file;
        bool cut;
        if (event->end > BINLOG_OFFSET_MAX || event->start.offset >= event->end)
                return failure_set(reterr, FAILURE_INVALID, 0, "an event of %s cannot end at %" PRIu64,
                                   event->start.file, event->end);
        int r = ranges_put_file(ranges, event->start.file, &file, reterr);
        if (r < 0)
                return r;
        RangeSource *source = &ranges->sources[index];
        bool goes_on = source->at == event->start.offset ||
                       (event->corrected && source->part.to != 0 && event->start.offset >= source->part.certain);
        if (source->active && source->file == file && !goes_on)
                (void) put_ignored(&ranges->files[file], source->at, event->start.offset, false,
                                   least_transaction_with(event->event));
        if (!source->active || source->file != file || !goes_on)
                enter(ranges, index, file, event);
        bool unknown = source->group.state == GROUP_UNKNOWN;
        bool moved = strcmp(source->stored_file, event->stored.file) != 0;
        memcpy(source->stored_file, event->stored.file, sizeof source->stored_file);
        int step = group_step(&source->group, event->event, reterr);
        if (step < 0)
                return step;
        r = learn(&ranges->files[file], event, &cut, reterr);
        if (r < 0)
                return r;
        if (step == GROUP_OUTSIDE || step == GROUP_BEGIN)
                end_part(ranges, source, !unknown); /* nothing, or what was entered in its middle or never ended */
        if (step == GROUP_OUTSIDE)
                group_reset(&source->group);
        if (moved)
                range_span_turn(&ranges->spans[source->span], event->start.offset, event->stored.file,
                                event->stored.offset);
        if (source->part.to == 0)
                begin_part(source, event, unknown && step != GROUP_OUTSIDE && step != GROUP_BEGIN);

        RangePart *part = &source->part;
        part->digest = mix(mix(mix(part->digest, event->start.offset), event->end), event->event->digest);
        part->to = event->end;
        part->certain = event->guessed ? part->certain : event->end;
        part->n_events++;
        part->rewritten = part->rewritten || event->rewritten || event->corrected;
        source->at = event->end;
        if (step == GROUP_OUTSIDE || step == GROUP_END || step == GROUP_ALONE)
                complete(ranges, source, event, (GroupStep) step, cut);
        return 0;
}
