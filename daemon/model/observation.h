/* What is known about one server, from its own answers: who it is, what it says each time it is asked, what its
 * replication threads do, and how it can be reached. Times are monotonic and given by the caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dialect.h"
#include "gtid.h"
#include "position.h"
#include "usec.h"

/* How a server was found the last time. */
typedef enum Evidence {
        EVIDENCE_UNKNOWN, /* not asked yet, or the question did not leave this host */
        EVIDENCE_ALIVE,
        EVIDENCE_REFUSED, /* connection reset or refused: the process is gone */
        EVIDENCE_SILENT,  /* nothing comes back: connecting timed out, or there is no route */
        EVIDENCE_FROZEN,  /* it connects, but no greeting comes */
        EVIDENCE_HUNG,    /* it greets, but a query does not return */
        EVIDENCE_ERROR,   /* it answers with an error (too many connections, access denied, shutting down): it lives */
        _EVIDENCE_MAX,
        _EVIDENCE_INVALID = -22,
} Evidence;

const char *evidence_to_string(Evidence evidence);
Evidence evidence_from_string(const char *name);
/* Whether an error number that a receiver thread reports comes from the primary itself: it lives. */
bool evidence_errno_is_alive(int sql_errno);
/* Whether it says that there is no connection to the primary (2002, 2003, 2006, 2013, …). */
bool evidence_errno_is_lost(int sql_errno);
/* Whether it is the last word of a server that goes down, or of a session that is ended. */
bool evidence_errno_is_going_down(int sql_errno);

/* What a server has to say so that it can be read. */
typedef enum Observation {
        OBSERVATION_IDENTITY,
        OBSERVATION_TICK,
        OBSERVATION_REPLICA,
        _OBSERVATION_MAX,
} Observation;

typedef enum ReceiverState {
        RECEIVER_STOPPED,
        RECEIVER_CONNECTING,
        RECEIVER_CONNECTED,
        _RECEIVER_STATE_MAX,
        _RECEIVER_STATE_INVALID = -22,
} ReceiverState;

const char *receiver_state_to_string(ReceiverState state);
ReceiverState receiver_state_from_string(const char *name);

typedef struct ReplicaChannel {
        char *name; /* "" is the default channel */
        ReceiverState receiver;
        bool applier_running;
        char *receiver_text, *applier_text; /* what the threads say they do */
        char *source_host;
        uint16_t source_port;
        char *source_user;
        uint32_t source_id; /* 0: never connected */
        char *source_uuid;  /* NULL or "": not known */
        unsigned connect_retry;
        bool tls;
        SourceMode mode;
        Position received, applied; /* in the source's binary logs */
        char *relay_file;
        uint64_t relay_offset, relay_space;
        int64_t lag;   /* seconds, -1 when the server does not know */
        int64_t delay; /* seconds that it stays behind on purpose */
        int receiver_errno, applier_errno;
        char *receiver_error, *applier_error;
        char *gtid_retrieved;    /* MySQL: received by this channel; MariaDB: Gtid_IO_Pos */
        char *filters;           /* all replication filters as one normal text; "" for none */
        int64_t heartbeats;      /* received so far, -1 when not known */
        usec_t heartbeat_period; /* 0 when not known */
        usec_t last_activity;    /* when events or heartbeats were last seen to have advanced, or it was first seen */
        usec_t error_since;      /* when the receiver's error was first seen as it is now; 0: none */
} ReplicaChannel;

typedef struct ServerView {
        /* Reachability. */
        Evidence evidence;
        int evidence_code;                /* SQL error or errno, 0 when there is none */
        char *evidence_text;              /* the failure's sentence */
        usec_t evidence_since;            /* when it became so */
        usec_t last_alive;                /* when it last answered; 0: never */
        char *refusals[_OBSERVATION_MAX]; /* why it does not say that when asked; NULL: it does, or was not asked */

        /* Identity: observation_read_identity(), perhaps by a former process. */
        bool identified;
        Version version;
        char *version_text;
        uint32_t server_id;
        char *server_uuid; /* NULL on MariaDB */
        char *hostname, *pid_file, *datadir;
        uint16_t port;
        bool log_bin, log_slave_updates;
        char *log_bin_basename, *log_bin_index, *relay_log_index;
        bool gtid_mode;        /* MySQL: ON or ON_PERMISSIVE */
        bool gtid_strict_mode; /* MariaDB */
        bool relay_log_purge;
        unsigned parallel_workers;
        unsigned sync_binlog, flush_log_at_commit;
        usec_t slave_net_timeout;
        bool semi_sync_source_enabled, semi_sync_replica_enabled;
        bool semi_sync_installed;
        unsigned semi_sync_wait_count;
        usec_t semi_sync_timeout; /* of the primary; then it goes on alone. 0: not known */

        /* Tick: observation_read_tick(). */
        bool ticked;
        bool read_only, super_read_only;
        char *gtid_executed;                    /* MySQL gtid_executed; MariaDB gtid_current_pos */
        char *gtid_purged;                      /* MySQL */
        char *gtid_binlog_pos, *gtid_slave_pos; /* MariaDB */

        /* Replication: observation_read_replica(). */
        bool replica_read;
        ReplicaChannel *channels;
        size_t n_channels;

        /* Own binary log: observation_read_binlog(). */
        bool binlog_read;
        Position binlog;
        char *binlog_do_db, *binlog_ignore_db;

        /* Semi-sync: observation_read_semi_sync(). */
        bool semi_sync_active;      /* as a primary */
        unsigned semi_sync_clients; /* replicas that acknowledge */
        unsigned semi_sync_waiting; /* sessions that wait for one */
        uint64_t semi_sync_acknowledged; /* commits, since the server was started */
        usec_t semi_sync_looked;         /* when that was read; real time, as the next. Neither is in JSON */
        usec_t semi_sync_since;          /* nobody who waits still has begun before; 0: not known */

        /* Who else has MHA's lock on it, in words: mhalock.h; NULL: nobody, as far as is known. */
        char *manager;

        /* Scheduled events: observation_events(); NULL: not read. In JSON its members stand beside the others, and they are
         * not read back from it. */
        Json *events;
} ServerView;

ServerView *server_view_new(void);
ServerView *server_view_free(ServerView *view);
DEFINE_CLEANUP(ServerView *, server_view_free)
void server_view_done(ServerView *view); /* frees what is in it */

/* The dialect of this server (of the oldest MySQL while it is not identified). */
const Dialect *server_view_dialect(const ServerView *view);
/* The default channel, or the only one; NULL when it does not replicate, or nothing is known of it. */
const ReplicaChannel *server_view_channel(const ServerView *view);
/* Reachable now and read completely: identity, tick and replication. */
bool server_view_is_read(const ServerView *view);
/* Why it cannot be read though it answers, in a sentence; NULL: it can be, or was not asked for everything yet. */
const char *server_view_refusal(const ServerView *view);
/* Sessions wait for a semi-sync acknowledgement, and fewer replicas acknowledge than are needed. */
bool server_view_is_locked(const ServerView *view);
GtidFamily server_view_gtid_family(const ServerView *view);
/* Everything that the server received, applied or not, and what it applied: MySQL retrieved and executed; MariaDB
 * Gtid_IO_Pos (or slave position) and own transactions. Empty sets when text is malformed. */
GtidSet *server_view_gtid_received(const ServerView *view);
GtidSet *server_view_gtid_applied(const ServerView *view);

/* Takes an answer in. FAILURE_PROTOCOL when it is not what was asked for; the view is unchanged then. */
int observation_read_identity(ServerView *view, const Reply *reply, Failure *reterr);
int observation_read_tick(ServerView *view, const Reply *reply, Failure *reterr);
int observation_read_replica(ServerView *view, const Reply *reply, usec_t now, Failure *reterr);
int observation_read_heartbeat(ServerView *view, const Reply *reply, usec_t now, Failure *reterr);
int observation_read_binlog(ServerView *view, const Reply *reply, Failure *reterr);
int observation_read_semi_sync(ServerView *view, const Reply *reply, usec_t now_real, Failure *reterr);
/* {"event_scheduler": "ON|OFF|DISABLED", "events_hidden": the account may not see them, "events": [{"schema", "name",
 * "definer", "client", "collation", "status", "once", "due"}]}, which the caller frees; NULL when it is not the answer. */
Json *observation_events(const Reply *reply);
/* It answered, or an attempt failed. True when the evidence is another than before. When it is alive again, what it said
 * before (tick, replication, binary log) counts no more until it was read again. */
bool observation_note_alive(ServerView *view, usec_t now);
bool observation_note_evidence(ServerView *view, Evidence evidence, int code, const char *text, usec_t now);
/* It did not say that, for that reason: what it said before counts no more, until it is taken in again. */
void observation_note_refusal(ServerView *view, Observation observation, const char *text);

/* For status, facts and journal. Flat members named as those of ServerView (port is "sql_port"; positions are
 * "file:offset"; the version is "version" with "flavour" beside it), and "channels", an array of objects with the members
 * of ReplicaChannel. Merging a newer one into an older one gives the newer one. Times are not in it: they mean nothing
 * to another process. */
Json *server_view_to_json(const ServerView *view);
/* Only its identity; the caller frees it. And back into a view of which no identity was read. */
Json *server_view_identity(const ServerView *view);
void server_view_recall(ServerView *view, const Json *identity);
/* Takes every absent member for unknown; never fails. The caller frees it. */
ServerView *server_view_from_json(const Json *json);
