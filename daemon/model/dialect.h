/* How to talk to each version: the words of statements, the names of columns, and what exists where. One table; no
 * other file asks which version a server has. All statements are about the default channel. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flavour.h"
#include "position.h"
#include "script.h"
#include "usec.h"

/* Columns of the replica status. */
typedef enum ReplicaColumn {
        COLUMN_CHANNEL,
        COLUMN_RECEIVER_RUNNING, /* Yes, Connecting, Preparing or No */
        COLUMN_APPLIER_RUNNING,
        COLUMN_RECEIVER_STATE,
        COLUMN_APPLIER_STATE,
        COLUMN_SOURCE_HOST,
        COLUMN_SOURCE_PORT,
        COLUMN_SOURCE_USER,
        COLUMN_SOURCE_ID,
        COLUMN_SOURCE_UUID,
        COLUMN_CONNECT_RETRY,
        COLUMN_SSL_ALLOWED,
        COLUMN_RECEIVED_FILE,
        COLUMN_RECEIVED_OFFSET,
        COLUMN_APPLIED_FILE,
        COLUMN_APPLIED_OFFSET,
        COLUMN_RELAY_FILE,
        COLUMN_RELAY_OFFSET,
        COLUMN_RELAY_SPACE,
        COLUMN_LAG,
        COLUMN_DELAY,
        COLUMN_RECEIVER_ERRNO,
        COLUMN_RECEIVER_ERROR,
        COLUMN_APPLIER_ERRNO,
        COLUMN_APPLIER_ERROR,
        COLUMN_RETRIEVED_GTID,
        COLUMN_EXECUTED_GTID,
        COLUMN_AUTO_POSITION,
        COLUMN_USING_GTID,
        COLUMN_GTID_IO_POS,
        COLUMN_HEARTBEATS,
        COLUMN_HEARTBEAT_PERIOD,
        COLUMN_DO_DB,
        COLUMN_IGNORE_DB,
        COLUMN_DO_TABLE,
        COLUMN_IGNORE_TABLE,
        COLUMN_WILD_DO_TABLE,
        COLUMN_WILD_IGNORE_TABLE,
        COLUMN_REWRITE_DB,
        _REPLICA_COLUMN_MAX,
} ReplicaColumn;

typedef struct Dialect {
        const char *name; /* "mysql-5.6", … */
        Flavour flavour;
        unsigned since_major, since_minor, since_patch;
        const char *const *columns; /* by ReplicaColumn; NULL where there is no such column */
        /* Queries. The tick is cheap enough for every ping and never fails for lack of a variable. */
        const char *tick;
        const char *show_replica;
        const char *show_binlog;
        const char *show_heartbeat; /* columns channel, received, period; NULL: the replica status has it */
        const char *show_binlogs;   /* list of binary log files */
        /* Replication. */
        const char *start_replica, *stop_replica;
        const char *start_receiver, *stop_receiver;
        const char *start_applier;
        const char *idle_worker;     /* the state of a parallel applier that has nothing to do */
        const char *reset_replica;   /* forgets the source altogether */
        const char *position_wait;   /* function of file, offset, seconds: NULL on an error, -1 on timeout */
        const char *gtid_wait;       /* function of set, seconds */
        bool gtid_wait_1_is_timeout; /* it gives 1 when the time passed, not -1 */
        bool start_drops_relay_logs; /* by GTID, when a thread is started while neither runs */
        /* Another source can be given while the applier runs: what it received stays then, and the position to go on from is
         * what it received. Else both threads must stand, relay logs are dropped, and it is what it applied. */
        bool change_keeps_relay_logs;
        /* While the receiver waits for a host that does not answer, STOP waits, too: as long as the net time-out is, and with it
         * all else that is said about replication. */
        bool stop_waits_for_connect;
        /* Of a session with temporary tables that ends a DROP is logged, on a server where nobody may write, too: how many
         * sessions there are, those that are ending included, as an expression. NULL: it is not logged there. */
        const char *n_sessions;
        bool lock_waits_for_reads; /* FLUSH TABLES WITH READ LOCK waits for statements that only read */
        /* What exists. */
        bool super_read_only;
        bool public_key;               /* GET_…_PUBLIC_KEY for caching_sha2_password without TLS */
        const char *semi_sync_source;  /* prefix of the primary's semi-sync variables: "rpl_semi_sync_master" */
        const char *semi_sync_replica; /* the same of the replica's */
        const char *change_source;     /* "CHANGE MASTER TO" */
        const char *source_word;       /* prefix of its options: "MASTER" */
        const char *rest_event;        /* what ALTER EVENT says of one that runs on another server */
} Dialect;

/* The dialect of a version, never NULL: an unknown newer version speaks as the newest known one, an older one as the
 * oldest. */
const Dialect *dialect_for(const Version *version);
/* The whole table, for tests and the manual. */
const Dialect *dialect_table(size_t *ret_n);

/* What identifies and describes a server: SHOW GLOBAL VARIABLES of a list of names, which every version answers with
 * those that it has. Rows of Variable_name, Value. Needs no dialect; the version is in the answer. */
const char *dialect_identity(void);
/* Semi-sync state of both roles: rows of Variable_name, Value; none where the plugin is not installed. */
const char *dialect_semi_sync_status(void);

typedef enum SourceMode {
        SOURCE_POSITION,    /* file and offset */
        SOURCE_AUTO,        /* MySQL: auto position */
        SOURCE_SLAVE_POS,   /* MariaDB */
        SOURCE_CURRENT_POS, /* MariaDB */
        _SOURCE_MODE_MAX,
        _SOURCE_MODE_INVALID = -22,
} SourceMode;

typedef enum SourceTls {
        SOURCE_TLS_KEEP,
        SOURCE_TLS_ON,
        SOURCE_TLS_OFF,
        _SOURCE_TLS_MAX,
        _SOURCE_TLS_INVALID = -22,
} SourceTls;

typedef struct SourceSpec {
        const char *host;
        uint16_t port;
        const char *user;   /* NULL: user and password stay as they are */
        bool with_password; /* the placeholder ${replication_password} */
        bool feed;          /* the placeholder ${feed_password} instead */
        bool no_password;   /* an empty one, in place of that of a feed */
        bool keep_mode;     /* mode stays as it is, and so it may be said while the applier runs */
        SourceMode mode;
        Position position;    /* SOURCE_POSITION only; unset: from where it is */
        usec_t heartbeat;     /* 0: as it is */
        usec_t connect_retry; /* 0: as it is; whole seconds, at least 1 */
        SourceTls tls;
} SourceSpec;

const char *source_mode_to_string(SourceMode mode); /* "position", "auto", "slave_pos", "current_pos" */
SourceMode source_mode_from_string(const char *name);
const char *source_tls_to_string(SourceTls tls);
SourceTls source_tls_from_string(const char *name);

/* Points a stopped replica at a source. */
void dialect_change_source(const Dialect *dialect, Script *script, const SourceSpec *spec);
/* Where start_drops_relay_logs: makes a stopped replica keep them, and begin to apply at that place of theirs. It finds its
 * source by position then, until it is pointed at one again. */
void dialect_keep_relay_logs(const Dialect *dialect, Script *script, const char *file, uint64_t offset);
/* Nobody may write (with super_read_only where it exists), or everybody may. */
void dialect_read_only(const Dialect *dialect, Script *script, bool on);
/* On a server where nobody may write: privileged accounts may, or no longer. Nothing where they always may. */
void dialect_privileged_writes(const Dialect *dialect, Script *script, bool on);
/* One query of one row and one column, "result": 0 or more when reached, -1 when the time passed, NULL when the applier
 * does not run or the server gave up. */
void dialect_wait_position(const Dialect *dialect, Script *script, const Position *position, usec_t timeout);
void dialect_wait_gtid(const Dialect *dialect, Script *script, const char *gtid_set, usec_t timeout);

/* All scheduled events that the account may see, and whether they are run at all: rows of scheduler, may_see (0: the account
 * lacks the privilege), schema, name (NULL in the only row when there are none), definer, client, collation, status, once
 * (1: a single time), due (1: which has come; NULL: not known). */
const char *dialect_events(void);
/* Whether a status says that it runs on another server. */
bool dialect_event_rests(const char *status);

typedef struct EventSpec {
        const char *schema, *name;
        const char *definer;            /* as dialect_events() gives it */
        const char *client, *collation; /* the character set that its body is kept in */
} EventSpec;

/* Whether it can be altered without spoiling it: its name must be readable in the character set of its body. */
bool dialect_event_is_plain(const EventSpec *spec);
/* Makes it run here, or rest, with all else in it as it was; may fail. Between dialect_unlogged(true) and (false): it is this
 * server's alone. */
void dialect_event(const Dialect *dialect, Script *script, const EventSpec *spec, bool run);
/* No scheduled event runs; does no harm where the scheduler cannot be switched. */
void dialect_stop_events(Script *script);
/* Relay logs that are applied: whether the server removes them by itself (column relay_log_purge, 0 or 1); has it do so or
 * not; begins a new one. */
const char *dialect_relay_log_purge(void);
void dialect_set_relay_log_purge(Script *script, bool on);
void dialect_flush_relay_logs(Script *script);
void dialect_unlogged(Script *script, bool on);
/* Turns one role of semi-sync on or off; harmless where the plugin is not installed. */
void dialect_semi_sync(const Dialect *dialect, Script *script, bool source, bool on);
