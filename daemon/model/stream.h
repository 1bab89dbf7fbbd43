/* The event stream of a feed: what is sent of the primary's log to a replica, and the events that a primary makes for the
 * connection alone. */
#pragma once

#include "binlog.h"
#include "group.h"

/* Events for the connection, added to a buffer. server_id is the sender's; checksum: whether they end with one. */
/* "The log goes on at": begins a stream, and stands wherever the log does not go on at the end of the event before. */
void stream_add_rotate(Text *out, uint32_t server_id, const Position *to, bool checksum);
/* Up to here there is nothing more; it must be exactly where the replica stands. v2 is for who asked for it (MySQL 8.0.26
 * and later). */
void stream_add_heartbeat(Text *out, bool v2, uint32_t server_id, const Position *at, bool checksum);
/* A format description as a replica may see it in the middle of its life: not created now, not in use; and in no file
 * when it stands before a position beyond the head of its file. */
int stream_add_format(Text *out, const uint8_t *bytes, size_t length, bool in_file, Failure *reterr);

typedef enum StreamAction {
        STREAM_SEND,
        STREAM_SEND_FORMAT, /* by stream_add_format(…, true, …) */
        STREAM_DROP,
        _STREAM_ACTION_MAX,
} StreamAction;

typedef struct StreamDecision {
        StreamAction action;
        bool announce; /* the replica believes to stand elsewhere: a rotate to the event's start goes before it, and,
                        * unless the event itself is one, the file's format description (in_file: false) */
} StreamDecision;

/* What one replica is sent. Owns nothing but the filter. */
typedef struct Stream Stream;

/* has is what a replica has that asked by GTID; NULL for one that asked by position. from is where the stream begins. */
Stream *stream_new(const Position *from, GtidFamily family, const GtidSet *has);
Stream *stream_free(Stream *stream);
DEFINE_CLEANUP(Stream *, stream_free)
/* What to do with the next event of the primary's log, which has its place from start to end (their distance is not its
 * length when it was rewritten). The caller does it. Where the log has a hole it lies between two transactions. */
int stream_decide(Stream *stream, const BinlogEvent *event, const Position *start, uint64_t end, StreamDecision *ret,
                  Failure *reterr);
/* Where the log stands behind the last event, sent or dropped, and whether the replica knows it: a heartbeat may be sent
 * only when it does; before that a rotate to it (and a format description). */
const Position *stream_position(const Stream *stream);
bool stream_is_known(const Stream *stream);
/* The rotate to stream_position() was sent. */
void stream_announced(Stream *stream);
/* Transactions that were left out because the replica has them. */
uint64_t stream_n_skipped(const Stream *stream);
