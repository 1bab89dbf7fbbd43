/* The states of a cluster and what changes them, as a table: pure. cluster.c is its only user and the only writer. */
#pragma once

#include <stddef.h>

typedef enum ClusterState {
        CLUSTER_STARTING, /* not every server was asked yet, or nobody knows who the primary is */
        CLUSTER_STEADY,   /* the primary answers */
        CLUSTER_SUSPECT,  /* it does not; the others are being asked */
        CLUSTER_HELD,     /* it is dead (or cut off, stalled) and something forbids to act on it */
        CLUSTER_RUNNING,  /* a procedure is being carried out */
        CLUSTER_HALTED,   /* a procedure waits for an operator */
        _CLUSTER_STATE_MAX,
        _CLUSTER_STATE_INVALID = -22,
} ClusterState;

typedef enum ClusterEvent {
        CLUSTER_PRIMARY_ANSWERS, /* there is one primary and it answers */
        CLUSTER_PRIMARY_SILENT,  /* there is one and it does not */
        CLUSTER_PRIMARY_UNKNOWN, /* nobody can tell who it is */
        CLUSTER_ACT_FORBIDDEN,   /* a verdict was reached, but a guard or the verdict itself forbids to act */
        CLUSTER_RUN_BEGUN,       /* by a verdict, an order or a resume */
        CLUSTER_RUN_COMPLETED,
        CLUSTER_RUN_ABORTED,
        CLUSTER_RUN_HALTED,
        CLUSTER_RUN_RETRIED, /* an operator set a halted run going again */
        _CLUSTER_EVENT_MAX,
} ClusterEvent;

const char *cluster_state_to_string(ClusterState state);
const char *cluster_event_to_string(ClusterEvent event);

/* The state that follows, or -EINVAL when the event is ignored in that state; *ret_why is the sentence of the row in
 * both cases. Every pair has exactly one row. */
int fsm_next(ClusterState from, ClusterEvent event, const char **ret_why);
