/* Named events: the daemon's history, in the journal with fields and on standard error where there is no journal. */
#pragma once

#include <stdbool.h>

/* Stable names: scripts and alerts rely on them. A name is never reused with another meaning. */
typedef enum EventId {
        EVENT_STARTED,           /* the daemon watches */
        EVENT_STOPPING,          /* it was told to end */
        EVENT_CONFIG_RELOADED,   /* a new configuration is in force */
        EVENT_CONFIG_REJECTED,   /* it has errors; what was running stays in force */
        EVENT_PRIMARY_FOUND,     /* who the primary is was read from the servers */
        EVENT_TOPOLOGY_PROBLEM,  /* something is wrong with a server or with the cluster */
        EVENT_TOPOLOGY_OK,       /* it is gone */
        EVENT_SUSPECT,           /* the primary may be dead; others are being asked */
        EVENT_SUSPICION_CLEARED, /* it is not */
        EVENT_DEAD,              /* the verdict, with its row and evidence */
        EVENT_HELD,              /* dead, but no automatic failover, and why */
        EVENT_RUN_STARTED,       /* a procedure begins */
        EVENT_RUN_RESUMED,       /* after a restart of the daemon */
        EVENT_STEP_STARTED,
        EVENT_STEP_DONE,
        EVENT_STEP_FAILED,
        EVENT_RUN_COMPLETED,
        EVENT_RUN_ABORTED, /* undone: nothing was changed for good */
        EVENT_RUN_HALTED,  /* past the point of no return: an operator is needed */
        EVENT_FENCED,      /* a returned old primary was made read-only and stripped of the address */
        EVENT_CLUSTER_STATE,
        EVENT_PAUSED,
        EVENT_RESUMED,
        EVENT_ACKNOWLEDGED,
        EVENT_DOWNTIME,       /* a server was taken out by an operator or by policy */
        EVENT_DOWNTIME_OVER,  /* it counts again */
        EVENT_STALL,          /* the process or the clock jumped: observe, do not act */
        EVENT_REPORT,         /* a report was written */
        EVENT_RESCUE_ORDERED, /* somebody wants a server's log to be saved */
        EVENT_RESCUE_FETCHED, /* it is */
        EVENT_RESCUE_REMOVED, /* the saved logs of a run are too old, or too many */
        EVENT_WARNING,
        EVENT_ERROR,
        EVENT_DEBUG,
        _EVENT_MAX,
        _EVENT_INVALID = -22,
} EventId;

typedef struct LogFields {
        const char *cluster, *server, *run, *step; /* each may be NULL */
} LogFields;

const char *event_to_string(EventId id);
EventId event_from_string(const char *name);
const char *event_message_id(EventId id); /* 32 hexadecimal digits */
int event_priority(EventId id);           /* LOG_ERR, LOG_WARNING, … of syslog(3) */

/* One line, one record: MESSAGE, PRIORITY, EVENT, MESSAGE_ID and the fields given. The line on standard error begins
 * with "<priority>" under systemd without a journal, with the time on a terminal. */
void log_event(EventId id, const LogFields *fields, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Whether EVENT_DEBUG is written: when the command line or the configuration says so. */
void log_set_debug(bool on);
void log_set_debug_from(bool configuration);
/* A copy of each record goes here too (the daemon's `events`); not re-entered. NULL for none. */
typedef void (*log_tap_fn)(EventId id, const LogFields *fields, const char *message, void *userdata);
void log_set_tap(log_tap_fn tap, void *userdata);
