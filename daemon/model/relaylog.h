/* What the relay logs of a replica hold of its primary's log: which events are the primary's, and where in its files they
 * stand. The replica's own events and all that only says where the reading goes on are told apart.
 *
 * MariaDB's receiver writes events that came compressed (log_bin_compress) uncompressed into the relay log: they have
 * their place, but neither their length nor their bytes are the primary's. Since MariaDB 11.4.1 the events within a
 * transaction do not say where they end (binlog_legacy_event_pos); their places are guessed from their lengths, and the
 * event that ends the transaction tells whether that was right. Since 11.4 a primary, too, finds by an index where a replica
 * that comes by GTID has to go on, and leaves out the head of that file: the list of GTIDs that it sends instead tells whether
 * there is a transaction that this replica was not sent before. */
#pragma once

#include "binlog.h"
#include "group.h"

typedef enum RelayKind {
        RELAY_OWN,      /* of the replica itself, or of the connection: in no file of the primary */
        RELAY_EVENT,    /* of the primary's log */
        RELAY_UNPLACED, /* too, but the name of the file is not known */
        RELAY_IGNORED,  /* says that the replica received what is between start and end, and did not keep it */
        RELAY_EMPTY,    /* says that no transaction is between start and end, which the replica was not sent */
        _RELAY_KIND_MAX,
} RelayKind;

typedef struct RelayEvent {
        RelayKind kind;
        Position start; /* of RELAY_EVENT, RELAY_IGNORED and RELAY_EMPTY */
        uint64_t end;
        bool rewritten; /* the bytes are not the primary's */
        bool guessed;   /* its place is, from the length of it and of those before */
        bool corrected; /* the guesses before were wrong: the transaction has rewritten events */
        bool format;    /* it is the primary's format description, in its file or repeated */
        /* Before this event the primary's log went on from the end of that file to the next: without a ROTATE, as after
         * a shutdown or a crash of the primary. There may be files without a transaction between them. Unset otherwise. */
        Position left;
        char next[POSITION_FILE_MAX];
} RelayEvent;

typedef struct RelayLog RelayLog;

/* own_id is the server_id of the replica. start is where the primary's log stands at the first event, as SHOW REPLICA
 * STATUS tells for the relay log that is being applied; unset when not known, offset 0 when only the file is. */
RelayLog *relaylog_new(uint32_t own_id, const Position *start);
RelayLog *relaylog_free(RelayLog *log);
DEFINE_CLEANUP(RelayLog *, relaylog_free)
/* The events of all files, in their order. */
int relaylog_step(RelayLog *log, const BinlogEvent *event, RelayEvent *ret, Failure *reterr);
/* When start was unset: the file in which the first event of the primary stands, as the first ROTATE behind it tells (that
 * of its end, or of a connection made anew); "" as long as that is not known. */
const char *relaylog_began_in(const RelayLog *log);
/* Where the primary's log goes on behind the last event; unset when not known. */
const Position *relaylog_position(const RelayLog *log);
/* The primary's own format description; its length is 0 before the first. */
const BinlogFormat *relaylog_format(const RelayLog *log);
/* "binlog.000010" after "binlog.000009"; false when it has no number, or the name would be too long. */
bool relaylog_file_after(const char *file, char ret[POSITION_FILE_MAX]);
/* "binlog.000009" before "binlog.000010"; false when there is none before it. */
bool relaylog_file_before(const char *file, char ret[POSITION_FILE_MAX]);
