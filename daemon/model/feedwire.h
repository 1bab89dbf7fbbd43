/* The server's side of the protocol as far as the receiver of a replica needs it, to stand in for a dead primary: bytes
 * in, bytes out. Knows logins, the questions of every version from MySQL 5.6 to 9.x and MariaDB 10.5 to 11.x, and the
 * framing of events; what the events are is the caller's business (exec/feed.h).
 *
 * There is no TLS here, and none is offered: the way is an SSH session or one that the operator chose. A replica that
 * insists on it (MySQL 9.x: SOURCE_SSL is 1 in a fresh channel; MariaDB from 11.4 verifies by default) must be pointed
 * here with SOURCE_SSL = 0 or MASTER_SSL = 0, which its caller restores afterwards.
 *
 * Semi-sync replicas are told that there is no such variable, and fall back to asynchronous. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "gtid.h"
#include "position.h"

typedef struct FeedWire FeedWire;

enum { FEEDWIRE_SCRAMBLE = 20 };

/* Whom a replica logs in as: who follows a source as this user follows a feed. */
#define FEED_USER "mhad_feed"

/* Strings are copied. */
typedef struct FeedWireParams {
        const char *version; /* what the replica's own @@version says: it is spoken to as by one of its kind */
        const char *user;
        const char *password;                /* at most 32 characters, or the replica does not take it */
        uint8_t scramble[FEEDWIRE_SCRAMBLE]; /* random bytes, anew for each connection */
        uint32_t thread_id;
        uint32_t server_id;      /* not the replica's */
        const char *server_uuid; /* MySQL: not the replica's */
        bool gtid_mode;          /* MySQL: the same as the replica's */
        bool crc32;              /* whether the events to come have a checksum */
        uint64_t now;            /* seconds since 1970 */
} FeedWireParams;

typedef enum FeedWirePhase {
        FEEDWIRE_LOGIN,   /* nobody has shown the password yet */
        FEEDWIRE_ASKING,  /* logged in: it asks questions */
        FEEDWIRE_DUMPING, /* it has asked for the log: feedwire_request() */
        FEEDWIRE_ENDED,   /* send what is left, then close; feedwire_failure() */
        _FEEDWIRE_PHASE_MAX,
        _FEEDWIRE_PHASE_INVALID = -22,
} FeedWirePhase;

const char *feedwire_phase_to_string(FeedWirePhase phase);

typedef struct FeedWireRequest {
        bool gtid;               /* by GTID: set counts and from does not */
        Position from;           /* as asked; the offset has 32 bits unless gtid */
        GtidSet *set;            /* what the replica has; NULL unless gtid */
        uint32_t server_id;      /* the replica's */
        uint64_t heartbeat_usec; /* it wants one when nothing came for so long; 0: none */
        bool heartbeat_v2;       /* MySQL: with the file's name and 64 bits of position */
        bool annotate;           /* MariaDB: annotated row events are wanted */
} FeedWireRequest;

/* The greeting is in the output at once. */
FeedWire *feedwire_new(const FeedWireParams *params);
FeedWire *feedwire_free(FeedWire *wire);
DEFINE_CLEANUP(FeedWire *, feedwire_free)

FeedWirePhase feedwire_phase(const FeedWire *wire);
/* Why it ended; FAILURE_NONE when the other side said goodbye (or has only asked to end another session). */
const Failure *feedwire_failure(const FeedWire *wire);
const FeedWireRequest *feedwire_request(const FeedWire *wire); /* from FEEDWIRE_DUMPING on */

/* Bytes that came, cut anywhere. What is to be answered is in the output afterwards. Memory: at most a packet of 1 MiB
 * before the dump, nothing during it. Returns the phase. */
FeedWirePhase feedwire_receive(FeedWire *wire, const void *bytes, size_t length);

/* What is to be sent, lent until the next call; feedwire_sent() takes that much off its beginning. */
const uint8_t *feedwire_output(const FeedWire *wire, size_t *ret_length);
void feedwire_sent(FeedWire *wire, size_t length);

/* While dumping: an event of so many bytes, which follow in one or more pieces. It is cut into packets as it goes. */
void feedwire_begin_event(FeedWire *wire, uint64_t length);
void feedwire_add(FeedWire *wire, const void *bytes, size_t length);
/* An error packet that ends the session; not within an event (there it ends without a word). */
void feedwire_refuse(FeedWire *wire, unsigned error, const char *text);

/* The set as it stands in COM_BINLOG_DUMP_GTID and in a PREVIOUS_GTIDS event, with tags or without. FAILURE_PROTOCOL for
 * what is none. */
int feedwire_decode_set(const void *bytes, size_t length, GtidSet **ret, Failure *reterr);
