/* What is held of a primary's log: bytes by file and position, from any number of sources (its own files, the relay logs
 * of its replicas), and the questions that a rescue has about them. An index, not the bytes: some hundred bytes for a
 * quarter of a megabyte of log.
 *
 * The bytes of a source are cut into blocks of whole transactions, so that the blocks of different sources have the same
 * borders; each has a digest over place, length and CRC32 of its events. */
#pragma once

#include "binlog.h"
#include "json.h"

typedef struct Ranges Ranges;

/* An event and its place. */
typedef struct RangesEvent {
        const BinlogEvent *event;
        Position start; /* in the primary's log */
        uint64_t end;
        Position stored;                    /* where the source has it: a file of its own and the offset there */
        bool rewritten, guessed, corrected; /* as relaylog.h says */
} RangesEvent;

typedef enum RangesEnd {
        RANGES_END_UNKNOWN,
        RANGES_END_ROTATE,   /* the file says what follows */
        RANGES_END_STOP,     /* the server was shut down */
        RANGES_END_CUT,      /* there are no more bytes in the primary's own file: a crash */
        RANGES_END_FOLLOWED, /* a replica was sent the next file */
        _RANGES_END_MAX,
        _RANGES_END_INVALID = -22,
} RangesEnd;

Ranges *ranges_new(void);
Ranges *ranges_free(Ranges *ranges);
DEFINE_CLEANUP(Ranges *, ranges_free)
const char *ranges_end_to_string(RangesEnd end);
RangesEnd ranges_end_from_string(const char *name);

/* Building it. A source's events come in any order that its logs have; what was there already is indexed once more and
 * compared like another source's. */
size_t ranges_add_source(Ranges *ranges, const char *name);
/* Before any event: a position that stands between two transactions for certain (what a replica has executed). Blocks
 * end there. */
void ranges_add_border(Ranges *ranges, const Position *border);
/* FAILURE_INVALID when it is of another log than the rest. */
int ranges_add(Ranges *ranges, size_t source, const RangesEvent *event, Failure *reterr);
/* Nothing is missing there, though no source has it (RELAY_IGNORED at the head of a file: MySQL's list of GTIDs). Told
 * only when it can be nothing else; true when it was believed. ranges_add sees by itself where the marker is missing and
 * there is room for nothing else. */
bool ranges_add_ignored(Ranges *ranges, const Position *from, uint64_t to);
/* The same of what is known to have no transaction in it (RELAY_EMPTY). */
void ranges_add_empty(Ranges *ranges, const Position *from, uint64_t to);
/* Where a file ends, when no event tells; next may be NULL. ROTATE and STOP events are understood as they are added. */
void ranges_end_file(Ranges *ranges, const Position *end, RangesEnd how, const char *next);
/* The format description of a file, when it is not among its events (RelayEvent.format). */
void ranges_set_format(Ranges *ranges, const char *file, const BinlogFormat *format);
/* After the last event of a source, or when its next event is not a continuation. */
void ranges_pause(Ranges *ranges, size_t source);

/* Asking. */

size_t ranges_n_sources(const Ranges *ranges);
const char *ranges_source(const Ranges *ranges, size_t source);
size_t ranges_n_files(const Ranges *ranges);
const char *ranges_file(const Ranges *ranges, size_t file); /* in the order of the log */
/* The format description event of a file, or of the nearest before it; NULL when there is none. */
const uint8_t *ranges_format(const Ranges *ranges, const char *file, size_t *ret_length);

typedef struct RangesPiece {
        size_t source;
        Position from;
        uint64_t to;
        Position stored;    /* an event in the source's own file, at or before from: reading begins there */
        uint64_t stored_at; /* where that event stands in the primary's log */
        bool rewritten;
} RangesPiece;

typedef struct RangesHole {
        Position from, to; /* to is unset when it is not known how far it goes */
        char *text;        /* a sentence */
} RangesHole;

typedef struct RangesAnswer {
        RangesPiece *pieces; /* in the order of the log, to the last complete transaction of each file */
        size_t n_pieces;
        RangesHole *holes;
        size_t n_holes;
        Position end;         /* behind the last complete transaction before the first hole; unset when there is none */
        Position last;        /* behind the last complete transaction at all */
        Position torn;        /* the end of the bytes of a transaction that is there in part only; unset otherwise */
        uint64_t bytes;       /* in the pieces */
        uint64_t n_groups;    /* transactions in the pieces */
        bool n_groups_exact;  /* else there may be fewer */
        TransactionRuns runs; /* their GTIDs; before from too when that is inside a block */
} RangesAnswer;

void ranges_answer_done(RangesAnswer *answer);
static inline void ranges_answer_done_cleanup(RangesAnswer *answer)
{
        ranges_answer_done(answer);
}
/* All that is there from a position on: what a replica lacks that has executed up to there, and whether it is complete
 * (no holes). From the beginning when from is unset; where it is behind everything, nothing is lacked. */
RangesAnswer ranges_ask(const Ranges *ranges, const Position *from);
/* What a replica lacks that has executed the set has: *ret_lacks is what is there for it, the answer the log from the
 * first of these transactions on (or a little before). wanted is all that it ought to have in the end, as far as that is
 * known (NULL: it is not); *ret_missing is what of it neither the replica nor any source has. */
RangesAnswer ranges_ask_gtid(const Ranges *ranges, GtidFamily family, const GtidSet *has, const GtidSet *wanted,
                             GtidSet **ret_lacks, GtidSet **ret_missing);

typedef enum RangesVerdict {
        RANGES_AGREE,
        RANGES_DIFFER,
        RANGES_UNCOMPARED, /* the blocks have different borders, or one source has rewritten bytes */
        _RANGES_VERDICT_MAX,
        _RANGES_VERDICT_INVALID = -22,
} RangesVerdict;

typedef struct RangesOverlap {
        size_t a, b;
        Position from;
        uint64_t to;
        RangesVerdict verdict;
} RangesOverlap;

const char *ranges_verdict_to_string(RangesVerdict verdict);
/* What two sources have in common, or one source twice. The caller frees it. */
RangesOverlap *ranges_compare(const Ranges *ranges, size_t *ret_n);

Json *ranges_to_json(const Ranges *ranges);
int ranges_from_json(const Json *json, Ranges **ret, Failure *reterr);
