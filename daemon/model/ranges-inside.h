/* The inside of ranges.h, for the files that make it up. */
#pragma once

#include <sys/types.h>

#include "group.h"
#include "ranges.h"

/* Whole transactions and what stands between them; or a part of one, when it begins or ends inside. */
typedef struct RangeBlock {
        uint64_t from, to;
        uint64_t digest;
        uint64_t n_events, n_groups;
        bool begins_inside, ends_inside;
        bool rewritten;
        char *stored_file;
        uint64_t stored_offset;
        TransactionRuns runs;
        TransactionId open; /* of the transaction that begins here and does not end */
} RangeBlock;

void range_block_done(RangeBlock *block);

/* From an event on the source has the log in another file of its own: relay logs begin anew wherever they like. */
typedef struct RangeTurn {
        uint64_t at;
        char *stored_file;
        uint64_t stored_offset;
} RangeTurn;

/* Blocks of one source in one file, each beginning where the one before ends. */
typedef struct RangeSpan {
        size_t source, file;
        RangeBlock *blocks;
        size_t n_blocks;
        RangeTurn *turns; /* in their order */
        size_t n_turns;
} RangeSpan;

typedef struct RangeGap {
        uint64_t from, to;
} RangeGap;

typedef struct RangeFile {
        char name[POSITION_FILE_MAX];
        RangesEnd end;
        uint64_t end_at;
        char next[POSITION_FILE_MAX];
        uint8_t *format; /* the event */
        size_t format_length;
        uint64_t format_end; /* 0: not seen in the file itself */
        GtidSet *before;     /* what the list at its head says; NULL: none was seen */
        RangeGap *ignored;
        size_t n_ignored;
} RangeFile;

/* A transaction or an event between two, while it is read. */
typedef struct RangePart {
        uint64_t from, to; /* to is 0 when there is none */
        uint64_t certain;  /* up to here no place was guessed; 0: all were */
        uint64_t digest, n_events;
        bool rewritten, inside;
        char stored_file[POSITION_FILE_MAX];
        uint64_t stored_offset;
        TransactionId id;
} RangePart;

typedef struct RangeSource {
        char *name;
        bool active; /* what follows is what it is given while it goes on */
        size_t file, span;
        uint64_t at;
        char stored_file[POSITION_FILE_MAX]; /* which the last event is in */
        Group group;
        RangeBlock block; /* to is 0 when there is none */
        RangePart part;
} RangeSource;

struct Ranges {
        RangeSource *sources;
        size_t n_sources;
        RangeFile *files;
        size_t n_files;
        RangeSpan *spans;
        size_t n_spans;
        Position *borders;
        size_t n_borders;
};

int ranges_put_file(Ranges *ranges, const char *name, size_t *ret, Failure *reterr);
ssize_t ranges_find_file(const Ranges *ranges, const char *name);
RangeSpan *ranges_put_span(Ranges *ranges, size_t source, size_t file);
void range_span_append(RangeSpan *span, RangeBlock block);
void range_span_turn(RangeSpan *span, uint64_t at, const char *stored_file, uint64_t stored_offset);
