/* Stands in for a dead primary towards one replica: sends the primary's own events out of local files, to the login that
 * was made for this replica only. Files are sent, not loaded: a feed needs less than 1 MiB, however large they are.
 *
 * Everybody who is attached must log in; whoever knows the password is the replica. When the end is reached the
 * connection is held with heartbeats, until the replica closes it or the feed is freed. A replica that comes again is fed
 * again from where it asks. */
#pragma once

#include "feedwire.h"
#include "loop.h"
#include "position.h"
#include "wire.h"

/* Some of one of the primary's log files, in whole events. */
typedef struct FeedPiece {
        const char *file;  /* as the primary called it */
        const char *path;  /* where the bytes are now */
        uint64_t offset;   /* in path, of the byte at from; in a relay log of an event at or before it */
        uint64_t from, to; /* which bytes of the primary's file; a whole one begins at 0 */
        /* The path is a relay log of the server with this id, where the primary's events stand among its own. 0: it has
         * the primary's bytes as they were. */
        uint32_t relay_server_id;
        /* The file's format description (ranges_format()): needed where no piece begins with it, and for a relay log
         * that is entered behind its head; else NULL and 0. */
        const uint8_t *format;
        size_t format_length;
} FeedPiece;

/* Strings are copied. */
typedef struct FeedParams {
        const FeedPiece *pieces; /* in the primary's order, not overlapping; what is not there is a hole */
        size_t n_pieces;
        Position end; /* of the last complete transaction: not a byte beyond it is sent */
        const char *version;
        const char *user, *password; /* for the other half of these see feedwire.h */
        uint32_t server_id;
        const char *server_uuid;
        bool gtid_mode;
        /* A position that is asked for has 32 bits: beyond 4 GiB this says which one is meant. Unset: it is taken as it
         * is. */
        Position expected;
} FeedParams;

typedef enum FeedState {
        FEED_WAITING, /* for the replica to connect */
        FEED_SENDING,
        FEED_LEVEL,  /* everything is sent, and heartbeats hold the connection */
        FEED_FAILED, /* the replica was told that it cannot be fed from where it is; progress.failure says why */
        _FEED_STATE_MAX,
        _FEED_STATE_INVALID = -22,
} FeedState;

const char *feed_state_to_string(FeedState state);

typedef struct FeedProgress {
        FeedState state;
        Position from;      /* of the first event that was sent in this connection; unset before */
        Position reached;   /* of the end of the last one */
        uint64_t sent;      /* bytes of events, in this connection */
        uint64_t left;      /* bytes of the log up to its end, to be sent or skipped */
        uint64_t n_skipped; /* transactions that the replica said it has */
        unsigned n_holes;   /* announced in this connection */
        unsigned n_logins;  /* that were right, in the feed's life */
        unsigned n_refused; /* connections that were not: wrong password, wrong address, no login in time */
        Failure failure;    /* of FEED_FAILED, else the last thing that went wrong */
} FeedProgress;

typedef struct Feed Feed;
/* The state has changed, or somebody was refused. From the loop; may free the feed. */
typedef void (*feed_fn)(Feed *feed, void *userdata);

Feed *feed_new(Loop *loop, const FeedParams *params, feed_fn changed, void *userdata);
/* Closes every connection at once. Takes NULL, returns NULL. To be called when the replica's receiver is stopped: it
 * would try again and again. */
Feed *feed_free(Feed *feed);
DEFINE_CLEANUP(Feed *, feed_free)
const FeedProgress *feed_progress(Feed *feed);

/* Somebody has connected: for ssh_link_listen(), with the feed as userdata. The wire is the feed's from here on. */
void feed_attach(Wire *wire, const char *peer, void *feed);
/* Listens itself, without SSH; connections from another address than only_from are closed at once. The port is
 * *ret_port when 0 was asked for. */
int feed_listen(Feed *feed, const char *address, uint16_t port, const char *only_from, uint16_t *ret_port,
                Failure *reterr);
/* Ends the feed from our side: a replica that is connected is told error 1236, which stops its receiver cleanly; nobody
 * is let in any more. */
void feed_stop(Feed *feed);
