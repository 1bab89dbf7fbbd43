/* What mhactl check may find: one table of ids with level, meaning and remedy, for the answers and for the manual. */
#pragma once

#include "json.h"
#include "topology.h"

typedef enum CheckLevel {
        CHECK_LEVEL_OK,
        CHECK_LEVEL_NOTE,    /* good to know */
        CHECK_LEVEL_WARNING, /* a failover would go through, but slower, with a loss that could be avoided, or not twice */
        CHECK_LEVEL_ERROR, /* a failover would fail, not be begun, or leave something broken */
        _CHECK_LEVEL_MAX,
        _CHECK_LEVEL_INVALID = -22,
} CheckLevel;

typedef enum CheckKind {
        CHECK_KIND_SSH,
        CHECK_KIND_REPLICATION,
        CHECK_KIND_FAILOVER,
        CHECK_KIND_CONFIG,
        _CHECK_KIND_MAX,
        _CHECK_KIND_INVALID = -22,
} CheckKind;

typedef enum CheckId {
        /* ssh */
        CHECK_SSH,
        CHECK_SSH_DISABLED,
        CHECK_SSH_UNREACHABLE,
        CHECK_SSH_HOST_KEY,
        CHECK_SSH_LOGIN,
        CHECK_SSH_COMMAND,
        CHECK_SSH_SUDO,
        CHECK_SSH_RIGHTS,
        CHECK_SSH_FORWARDING,
        CHECK_SSH_PATH,
        CHECK_SSH_REVERSE,
        CHECK_SSH_BINLOGS,
        CHECK_SSH_ADDRESS,
        CHECK_SSH_ANNOUNCEMENT,
        CHECK_SSH_PROGRAMS,
        CHECK_SSH_SYSTEMD,
        CHECK_SSH_CLOCK,
        CHECK_SSH_MESH,
        /* replication */
        CHECK_REPLICATION,
        CHECK_UNANSWERED,
        CHECK_DOWNTIME,
        CHECK_ACCOUNT_PRIVILEGES,
        CHECK_REPLICATION_ACCOUNT,
        CHECK_REPLICATION_ACCOUNT_UNKNOWN,
        CHECK_REPLICATION_USER,
        CHECK_REPLICATION_PASSWORD,
        CHECK_ERRANT,
        CHECK_PURGED,
        CHECK_PURGED_ELSEWHERE,
        CHECK_GTID_MIXED,
        CHECK_GTID_LOOSE,
        CHECK_VERSION_OLDER,
        CHECK_LOG_SLAVE_UPDATES,
        CHECK_RELAY_LOG_PURGE,
        CHECK_RELAY_LOG_RECOVERY,
        CHECK_BINLOG_FILTERS,
        CHECK_BINLOG_FORMAT,
        CHECK_SEMI_SYNC_OFF,
        CHECK_SEMI_SYNC_INACTIVE,
        CHECK_SEMI_SYNC_LOCKS,
        CHECK_SEMI_SYNC_WAIT_POINT,
        CHECK_DURABILITY,
        CHECK_HEARTBEAT,
        CHECK_VARIABLES,
        CHECK_SETTINGS,
        CHECK_PRIMARY_KEY,
        CHECK_PRIMARY_KEY_UNKNOWN,
        CHECK_HOOK,
        CHECK_HOOK_STATUS,
        /* failover */
        CHECK_CANDIDATE,
        CHECK_NO_CANDIDATE,
        CHECK_GUARD,
        CHECK_LOSS,
        CHECK_LOSS_POSSIBLE,
        CHECK_DURATION,
        CHECK_REPLICA_DIES,
        CHECK_LAST_REPLICA,
        CHECK_SCRIPTS,
        CHECK_SCRIPTS_WELL,
        CHECK_UNUSABLE,
        /* config */
        CHECK_CONFIG,
        CHECK_CONFIG_ERROR,
        CHECK_CONFIG_WARNING,
        _CHECK_ID_MAX,
        _CHECK_ID_INVALID = -22,
} CheckId;

typedef struct CheckRow {
        const char *name; /* stable: answers and the manual use it */
        CheckKind kind;
        CheckLevel level;
        const char *meaning;
        const char *remedy; /* NULL: there is nothing to do */
} CheckRow;

const char *check_level_to_string(CheckLevel level); /* "ok", "note", "warning", "error" */
CheckLevel check_level_from_string(const char *name);
const char *check_kind_to_string(CheckKind kind); /* "ssh", "replication", "failover", "config" */
CheckKind check_kind_from_string(const char *name);
const CheckRow *check_row(CheckId id);
/* The same of a problem of the topology; its level is what problem->blocks says. */
const CheckRow *check_problem_row(ProblemId id);

/* Appends {"server", "level", "id", "text", "remedy"} to results; server may be NULL. */
void check_add(Json *results, CheckId id, const char *server, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* With another level than the row's. */
void check_add_as(Json *results, CheckId id, CheckLevel level, const char *server, const char *format, ...)
        __attribute__((format(printf, 5, 6)));
void check_add_problem(Json *results, const Problem *problem, const char *server);
/* Whether something of that level or a worse one was found about a server (NULL: about anything). */
bool check_has(const Json *results, const char *server, CheckLevel level);
