/* The questions. The log is walked file by file from one block to the next that goes on where it ends, whichever source
 * has it. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "enum.h"
#include "ranges-inside.h"
#include "relaylog.h"
#include "text.h"

static const char *const verdicts[] = {
        [RANGES_AGREE] = "agree",
        [RANGES_DIFFER] = "differ",
        [RANGES_UNCOMPARED] = "uncompared",
};
ENUM_TO_STRING(ranges_verdict, RangesVerdict, verdicts)

void ranges_answer_done(RangesAnswer *answer)
{
        for (size_t i = 0; i < answer->n_holes; i++)
                free(answer->holes[i].text);
        free(answer->holes);
        free(answer->pieces);
        transaction_runs_done(&answer->runs);
        *answer = (RangesAnswer){ 0 };
}

static Position position_in(const Ranges *ranges, size_t file, uint64_t offset)
{
        Position position = { .offset = offset };
        memcpy(position.file, ranges->files[file].name, sizeof position.file);
        return position;
}

static void add_hole(RangesAnswer *answer, Position from, Position to, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
static void add_hole(RangesAnswer *answer, Position from, Position to, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        ALLOC_GROW(answer->holes, answer->n_holes);
        answer->holes[answer->n_holes++] =
                (RangesHole){ .from = from, .to = to, .text = text_vformat(format, arguments) };
        va_end(arguments);
}

/* The walk. */

typedef struct Walk {
        const Ranges *ranges;
        RangesAnswer *answer;
        size_t file;
        uint64_t at;
        uint64_t border;       /* in this file: behind the last complete transaction */
        size_t first_piece;    /* of this file */
        const RangeSpan *last; /* of the last piece */
        bool inside;           /* a transaction has begun, and its end is not reached */
        bool headless;         /* its beginning is not there */
        TransactionId open;
} Walk;

/* The block of a span that has the byte. */
static const RangeBlock *block_at(const RangeSpan *span, uint64_t at)
{
        size_t low = 0, high = span->n_blocks;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (span->blocks[middle].to <= at)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < span->n_blocks && span->blocks[low].from <= at ? &span->blocks[low] : NULL;
}

static int block_worth(const Walk *walk, const RangeSpan *span, const RangeBlock *block)
{
        return (!block->begins_inside && !block->ends_inside ? 16 : 0) + (block->rewritten ? 0 : 8) +
               (block->ends_inside ? 0 : 4) + (span == walk->last ? 2 : 0) + (block->from == walk->at ? 1 : 0);
}

static const RangeBlock *best_block(const Walk *walk, const RangeSpan **ret_span)
{
        const RangeBlock *best = NULL;
        for (size_t i = 0; i < walk->ranges->n_spans; i++) {
                const RangeSpan *span = &walk->ranges->spans[i];
                const RangeBlock *block = span->file == walk->file ? block_at(span, walk->at) : NULL;
                if (block && (!best || block_worth(walk, span, block) > block_worth(walk, *ret_span, best))) {
                        best = block;
                        *ret_span = span;
                }
        }
        return best;
}

/* What lies in one file of the source; stored is where its event at stored_at begins there. */
static void add_part(Walk *walk, const RangeSpan *span, bool rewritten, uint64_t from, uint64_t to,
                     const char *stored_file, uint64_t stored_offset, uint64_t stored_at)
{
        RangesAnswer *answer = walk->answer;
        RangesPiece *before = answer->n_pieces > walk->first_piece ? &answer->pieces[answer->n_pieces - 1] : NULL;
        if (before && span == walk->last && before->to == from && before->rewritten == rewritten &&
            strcmp(before->stored.file, stored_file) == 0) {
                before->to = to;
                return;
        }
        RangesPiece piece = { .source = span->source,
                              .from = position_in(walk->ranges, walk->file, from),
                              .to = to,
                              .stored.offset = stored_offset,
                              .stored_at = stored_at,
                              .rewritten = rewritten };
        memcpy(piece.stored.file, stored_file, strlen(stored_file) + 1);
        ALLOC_GROW(answer->pieces, answer->n_pieces);
        answer->pieces[answer->n_pieces++] = piece;
        walk->last = span;
}

static void add_piece(Walk *walk, const RangeSpan *span, const RangeBlock *block)
{
        RangeTurn where = { block->from, block->stored_file, block->stored_offset };
        uint64_t at = walk->at;
        for (size_t i = 0; i < span->n_turns; i++) {
                const RangeTurn *turn = &span->turns[i];
                if (turn->at <= block->from || turn->at >= block->to)
                        continue;
                if (turn->at > at) {
                        add_part(walk, span, block->rewritten, at, turn->at, where.stored_file, where.stored_offset,
                                 where.at);
                        at = turn->at;
                }
                where = *turn;
        }
        add_part(walk, span, block->rewritten, at, block->to, where.stored_file, where.stored_offset, where.at);
}

/* What the block says about transactions. */
static void count_block(Walk *walk, const RangeBlock *block)
{
        RangesAnswer *answer = walk->answer;
        if (!block->begins_inside && !block->ends_inside) {
                answer->n_groups += block->n_groups;
                answer->n_groups_exact = answer->n_groups_exact && walk->at == block->from;
                for (size_t i = 0; i < block->runs.n_runs; i++)
                        transaction_runs_add_run(&answer->runs, &block->runs.runs[i]);
        } else if (block->ends_inside) {
                if (!walk->inside) {
                        walk->open = block->open;
                        walk->headless = block->begins_inside;
                }
                walk->inside = true;
                return;
        } else if (walk->inside && !walk->headless) {
                answer->n_groups++;
                transaction_runs_add(&answer->runs, &walk->open);
        } else {
                /* Entered where nothing says whether it is the middle of one. */
                answer->n_groups++;
                answer->n_groups_exact = false;
        }
        walk->inside = walk->headless = false;
        walk->border = block->to;
}

/* Takes back what is beyond the last complete transaction. */
static void settle(Walk *walk)
{
        RangesAnswer *answer = walk->answer;
        while (answer->n_pieces > walk->first_piece) {
                RangesPiece *piece = &answer->pieces[answer->n_pieces - 1];
                if (piece->to <= walk->border)
                        break;
                if (!position_is_set(&answer->torn))
                        answer->torn = position_in(walk->ranges, walk->file, piece->to);
                piece->to = walk->border;
                if (piece->from.offset < piece->to)
                        break;
                answer->n_pieces--;
        }
        bool more = answer->n_pieces > walk->first_piece || answer->n_holes == 0; /* than what is before a hole */
        if (answer->n_pieces > 0 && walk->border > 0 && more) {
                answer->last = position_in(walk->ranges, walk->file, walk->border);
                if (answer->n_holes == 0)
                        answer->end = answer->last;
        }
        walk->first_piece = answer->n_pieces;
        walk->inside = walk->headless = false;
        walk->last = NULL;
}

static uint64_t ignored_to(const RangeFile *file, uint64_t at)
{
        for (size_t i = 0; i < file->n_ignored; i++)
                if (file->ignored[i].from <= at && at < file->ignored[i].to)
                        return file->ignored[i].to;
        return 0;
}

/* The next byte of the file that is there, or 0. */
static uint64_t next_bytes(const Walk *walk)
{
        uint64_t next = 0;
        for (size_t i = 0; i < walk->ranges->n_spans; i++) {
                const RangeSpan *span = &walk->ranges->spans[i];
                if (span->file != walk->file)
                        continue;
                for (size_t j = 0; j < span->n_blocks; j++)
                        if (span->blocks[j].from > walk->at) {
                                if (next == 0 || span->blocks[j].from < next)
                                        next = span->blocks[j].from;
                                break;
                        }
        }
        return next;
}

static void name_hole(Walk *walk, Position to)
{
        settle(walk);
        Position from = position_in(walk->ranges, walk->file, walk->at);
        CLEANUP(mem_free) char *range = position_format_range(&from, &to);
        add_hole(walk->answer, from, to, "no source has %s", range);
}

/* Between the end of this file and the beginning of the next that is there. */
static void check_turn(Walk *walk)
{
        const Ranges *ranges = walk->ranges;
        const RangeFile *file = &ranges->files[walk->file];
        if (walk->file + 1 >= ranges->n_files)
                return;
        const RangeFile *next = file + 1;
        Position from = position_in(ranges, walk->file, walk->at);
        Position to = position_in(ranges, walk->file + 1, BINLOG_MAGIC_LENGTH);
        char before[POSITION_FILE_MAX];
        bool follows = strcmp(file->next, next->name) == 0 ||
                       (relaylog_file_before(next->name, before) && strcmp(before, file->name) == 0);
        if (file->end == RANGES_END_UNKNOWN)
                add_hole(walk->answer, from, to, "where %s ends is not known: no source has seen it to its end",
                         file->name);
        else if (!follows)
                add_hole(walk->answer, from, to, "no source has the files between %s and %s", file->name, next->name);
}

static void walk_file(Walk *walk)
{
        const RangeFile *file = &walk->ranges->files[walk->file];
        walk->border = walk->at;
        walk->first_piece = walk->answer->n_pieces;
        walk->last = NULL;
        for (;;) {
                const RangeSpan *span = NULL;
                const RangeBlock *block = best_block(walk, &span);
                uint64_t ignored = block ? 0 : ignored_to(file, walk->at);
                if (block) {
                        add_piece(walk, span, block);
                        count_block(walk, block);
                        walk->at = block->to;
                        continue;
                }
                if (ignored) {
                        walk->at = ignored;
                        walk->last = NULL;
                        continue;
                }
                if (file->end != RANGES_END_UNKNOWN && walk->at >= file->end_at)
                        break;
                uint64_t next = next_bytes(walk);
                uint64_t to = next ? next : file->end != RANGES_END_UNKNOWN ? file->end_at : 0;
                if (to == 0)
                        break;
                name_hole(walk, position_in(walk->ranges, walk->file, to));
                walk->at = walk->border = to;
        }
        settle(walk);
        check_turn(walk);
}

/* The first file at or behind a position, and where to begin in it; n_files when there is none. */
static size_t find_start(const Ranges *ranges, const Position *from, RangesAnswer *answer, uint64_t *ret_at)
{
        *ret_at = BINLOG_MAGIC_LENGTH;
        if (ranges->n_files == 0)
                return 0;
        if (!position_is_set(from)) {
                Walk walk = { .ranges = ranges };
                uint64_t first = next_bytes(&walk);
                *ret_at = first ? first : BINLOG_MAGIC_LENGTH;
                return 0;
        }
        for (size_t i = 0; i < ranges->n_files; i++) {
                Position here = position_in(ranges, i, from->offset);
                int order = position_compare(&here, from);
                if (order == 0 && position_equal(&here, from)) {
                        *ret_at = from->offset < BINLOG_MAGIC_LENGTH ? BINLOG_MAGIC_LENGTH : from->offset;
                        return i;
                }
                if (order < 0)
                        continue;
                Position to = position_in(ranges, i, BINLOG_MAGIC_LENGTH);
                CLEANUP(mem_free) char *range = position_format_range(from, &to);
                if (position_comparable(from, &to))
                        add_hole(answer, *from, to, "no source has %s", range);
                else
                        add_hole(answer, *from, (Position){ 0 }, "%s is a position in another log than %s", from->file,
                                 to.file);
                return i;
        }
        return ranges->n_files;
}

static void ask_from(const Ranges *ranges, const Position *from, RangesAnswer *answer)
{
        Walk walk = { .ranges = ranges, .answer = answer };
        walk.file = find_start(ranges, from, answer, &walk.at);
        for (; walk.file < ranges->n_files; walk.file++, walk.at = BINLOG_MAGIC_LENGTH)
                walk_file(&walk);
        for (size_t i = 0; i < answer->n_pieces; i++)
                answer->bytes += answer->pieces[i].to - answer->pieces[i].from.offset;
}

RangesAnswer ranges_ask(const Ranges *ranges, const Position *from)
{
        RangesAnswer answer = { .end = *from, .last = *from, .n_groups_exact = true };
        ask_from(ranges, from, &answer);
        return answer;
}

/* By GTID. */

/* Behind the list of the newest file that has nothing else before it than what somebody has; unset when no list says. */
static Position newest_start(const Ranges *ranges, const GtidSet *has)
{
        for (size_t i = ranges->n_files; i > 0; i--) {
                const RangeFile *file = &ranges->files[i - 1];
                if (file->before && gtid_contains(has, file->before))
                        return position_in(ranges, i - 1, BINLOG_MAGIC_LENGTH);
        }
        return (Position){ 0 };
}

/* The first block with a transaction that is lacked. */
static Position first_lacking(const Ranges *ranges, GtidFamily family, const GtidSet *has)
{
        CLEANUP(transaction_filter_free) TransactionFilter *filter = transaction_filter_new(family, has);
        Position first = { 0 };
        for (size_t i = 0; i < ranges->n_spans; i++) {
                const RangeSpan *span = &ranges->spans[i];
                for (size_t j = 0; j < span->n_blocks; j++) {
                        const RangeBlock *block = &span->blocks[j];
                        bool lacks = block->ends_inside && !block->begins_inside && !block->open.anonymous &&
                                     !transaction_filter_has(filter, &block->open);
                        for (size_t k = 0; k < block->runs.n_runs && !lacks; k++)
                                lacks = !transaction_filter_has_run(filter, &block->runs.runs[k]);
                        if (lacks)
                                first = position_min(first, position_in(ranges, span->file, block->from));
                }
        }
        return first;
}

/* No list says that it has all from before what is saved: what it lacks of that cannot be seen. */
static void check_before(const Ranges *ranges, const GtidSet *has, bool lacks, RangesAnswer *answer)
{
        const RangeFile *first = ranges->files;
        if (ranges->n_files == 0 || (!first->before && !lacks))
                return;
        Position at = position_in(ranges, 0, BINLOG_MAGIC_LENGTH);
        CLEANUP(gtid_free) GtidSet *older = first->before ? gtid_subtract(first->before, has) : NULL;
        CLEANUP(mem_free) char *text = older ? gtid_describe(older) : NULL;
        if (text)
                add_hole(answer, (Position){ 0 }, at, "%s is lacked, too, and older than %s", text, first->name);
        else
                add_hole(answer, (Position){ 0 }, at, "what is older than %s may be lacked, too", first->name);
}

RangesAnswer ranges_ask_gtid(const Ranges *ranges, GtidFamily family, const GtidSet *has, const GtidSet *wanted,
                             GtidSet **ret_lacks, GtidSet **ret_missing)
{
        Position start = newest_start(ranges, has);
        RangesAnswer answer = { .n_groups_exact = true };
        if (position_is_set(&start)) {
                answer.end = answer.last = start;
        } else {
                start = first_lacking(ranges, family, has);
                check_before(ranges, has, position_is_set(&start), &answer);
        }
        if (position_is_set(&start))
                ask_from(ranges, &start, &answer);
        CLEANUP(gtid_free) GtidSet *here = transaction_runs_to_set(&answer.runs, family);
        *ret_lacks = gtid_subtract(here, has);
        *ret_missing = gtid_new(family);
        if (wanted) {
                CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(wanted, has);
                gtid_free(*ret_missing);
                *ret_missing = gtid_subtract(rest, here);
        }
        return answer;
}

/* Comparing. */

static void add_overlap(RangesOverlap **overlaps, size_t *n, RangesOverlap overlap)
{
        RangesOverlap *last = *n > 0 ? &(*overlaps)[*n - 1] : NULL;
        if (overlap.from.offset >= overlap.to)
                return;
        if (last && last->a == overlap.a && last->b == overlap.b && last->verdict == overlap.verdict &&
            last->to == overlap.from.offset && strcmp(last->from.file, overlap.from.file) == 0) {
                last->to = overlap.to;
                return;
        }
        ALLOC_GROW(*overlaps, *n);
        (*overlaps)[(*n)++] = overlap;
}

static RangesVerdict compare_blocks(const RangeBlock *a, const RangeBlock *b)
{
        if (a->from != b->from || a->to != b->to || a->rewritten != b->rewritten ||
            a->begins_inside != b->begins_inside || a->ends_inside != b->ends_inside)
                return RANGES_UNCOMPARED;
        return a->digest == b->digest ? RANGES_AGREE : RANGES_DIFFER;
}

static void compare_spans(const Ranges *ranges, const RangeSpan *a, const RangeSpan *b, RangesOverlap **overlaps,
                          size_t *n)
{
        size_t i = 0, j = 0;
        while (i < a->n_blocks && j < b->n_blocks) {
                const RangeBlock *x = &a->blocks[i], *y = &b->blocks[j];
                uint64_t from = x->from > y->from ? x->from : y->from, to = x->to < y->to ? x->to : y->to;
                add_overlap(overlaps, n,
                            (RangesOverlap){ .a = a->source,
                                             .b = b->source,
                                             .to = to,
                                             .from = position_in(ranges, a->file, from),
                                             .verdict = compare_blocks(x, y) });
                i += x->to <= to;
                j += y->to <= to;
        }
}

RangesOverlap *ranges_compare(const Ranges *ranges, size_t *ret_n)
{
        RangesOverlap *overlaps = NULL;
        *ret_n = 0;
        for (size_t i = 0; i < ranges->n_spans; i++)
                for (size_t j = i + 1; j < ranges->n_spans; j++)
                        if (ranges->spans[i].file == ranges->spans[j].file)
                                compare_spans(ranges, &ranges->spans[i], &ranges->spans[j], &overlaps, ret_n);
        return overlaps;
}
