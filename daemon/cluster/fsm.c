/* The cluster's state table. Owns nothing; must never act. */
#include "fsm.h"

#include <errno.h>

#include "enum.h"

static const char *const state_names[_CLUSTER_STATE_MAX] = {
        [CLUSTER_STARTING] = "starting", [CLUSTER_STEADY] = "steady",   [CLUSTER_SUSPECT] = "suspect",
        [CLUSTER_HELD] = "held",         [CLUSTER_RUNNING] = "running", [CLUSTER_HALTED] = "halted",
};
ENUM_TO_STRING(cluster_state, ClusterState, state_names)

static const char *const event_names[_CLUSTER_EVENT_MAX] = {
        [CLUSTER_PRIMARY_ANSWERS] = "primary-answers",
        [CLUSTER_PRIMARY_SILENT] = "primary-silent",
        [CLUSTER_PRIMARY_UNKNOWN] = "primary-unknown",
        [CLUSTER_ACT_FORBIDDEN] = "act-forbidden",
        [CLUSTER_RUN_BEGUN] = "run-begun",
        [CLUSTER_RUN_COMPLETED] = "run-completed",
        [CLUSTER_RUN_ABORTED] = "run-aborted",
        [CLUSTER_RUN_HALTED] = "run-halted",
        [CLUSTER_RUN_RETRIED] = "run-retried",
};
ENUM_TO_STRING(cluster_event, ClusterEvent, event_names)

#define IGNORED -EINVAL

typedef struct Row {
        int to;
        const char *why;
} Row;

static const Row rows[_CLUSTER_STATE_MAX][_CLUSTER_EVENT_MAX] = {
        [CLUSTER_STARTING] = {
                [CLUSTER_PRIMARY_ANSWERS] = { CLUSTER_STEADY, "the servers name one primary and it answers" },
                [CLUSTER_PRIMARY_SILENT] = { CLUSTER_SUSPECT, "the replicas name a primary that does not answer" },
                [CLUSTER_PRIMARY_UNKNOWN] = { IGNORED, "still asking" },
                [CLUSTER_ACT_FORBIDDEN] = { IGNORED, "there is no verdict before a primary is known" },
                [CLUSTER_RUN_BEGUN] = { CLUSTER_RUNNING, "the run that the last daemon left open goes on" },
                [CLUSTER_RUN_COMPLETED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_ABORTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_HALTED] = { CLUSTER_HALTED, "the run that the last daemon left cannot go on" },
                [CLUSTER_RUN_RETRIED] = { IGNORED, "no run is under way" },
        },
        [CLUSTER_STEADY] = {
                [CLUSTER_PRIMARY_ANSWERS] = { IGNORED, "nothing new" },
                [CLUSTER_PRIMARY_SILENT] = { CLUSTER_SUSPECT, "the primary stopped answering" },
                [CLUSTER_PRIMARY_UNKNOWN] = { CLUSTER_STARTING, "the servers no longer agree on one primary" },
                [CLUSTER_ACT_FORBIDDEN] = { IGNORED, "the primary answers" },
                [CLUSTER_RUN_BEGUN] = { CLUSTER_RUNNING, "ordered by an operator" },
                [CLUSTER_RUN_COMPLETED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_ABORTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_HALTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_RETRIED] = { IGNORED, "no run is under way" },
        },
        [CLUSTER_SUSPECT] = {
                [CLUSTER_PRIMARY_ANSWERS] = { CLUSTER_STEADY, "the primary answers again" },
                [CLUSTER_PRIMARY_SILENT] = { IGNORED, "nothing new" },
                [CLUSTER_PRIMARY_UNKNOWN] = { CLUSTER_STARTING, "nobody is left to name the primary" },
                [CLUSTER_ACT_FORBIDDEN] = { CLUSTER_HELD, "the primary is gone, but no automatic failover is allowed" },
                [CLUSTER_RUN_BEGUN] = { CLUSTER_RUNNING, "the primary is dead" },
                [CLUSTER_RUN_COMPLETED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_ABORTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_HALTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_RETRIED] = { IGNORED, "no run is under way" },
        },
        [CLUSTER_HELD] = {
                [CLUSTER_PRIMARY_ANSWERS] = { CLUSTER_STEADY, "the primary answers again" },
                [CLUSTER_PRIMARY_SILENT] = { IGNORED, "nothing new" },
                [CLUSTER_PRIMARY_UNKNOWN] = { CLUSTER_STARTING, "nobody is left to name the primary" },
                [CLUSTER_ACT_FORBIDDEN] = { IGNORED, "nothing new" },
                [CLUSTER_RUN_BEGUN] = { CLUSTER_RUNNING, "what forbade to act is gone, or an operator ordered it" },
                [CLUSTER_RUN_COMPLETED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_ABORTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_HALTED] = { IGNORED, "no run is under way" },
                [CLUSTER_RUN_RETRIED] = { IGNORED, "no run is under way" },
        },
        [CLUSTER_RUNNING] = {
                [CLUSTER_PRIMARY_ANSWERS] = { IGNORED, "the run decides" },
                [CLUSTER_PRIMARY_SILENT] = { IGNORED, "the run decides" },
                [CLUSTER_PRIMARY_UNKNOWN] = { IGNORED, "the run decides" },
                [CLUSTER_ACT_FORBIDDEN] = { IGNORED, "the run has begun" },
                [CLUSTER_RUN_BEGUN] = { IGNORED, "one run at a time" },
                [CLUSTER_RUN_COMPLETED] = { CLUSTER_STARTING, "the run is complete; the servers are asked anew" },
                [CLUSTER_RUN_ABORTED] = { CLUSTER_STARTING, "the run was undone; the servers are asked anew" },
                [CLUSTER_RUN_HALTED] = { CLUSTER_HALTED, "the run cannot go on by itself" },
                [CLUSTER_RUN_RETRIED] = { IGNORED, "the run is going on" },
        },
        [CLUSTER_HALTED] = {
                [CLUSTER_PRIMARY_ANSWERS] = { IGNORED, "an operator decides" },
                [CLUSTER_PRIMARY_SILENT] = { IGNORED, "an operator decides" },
                [CLUSTER_PRIMARY_UNKNOWN] = { IGNORED, "an operator decides" },
                [CLUSTER_ACT_FORBIDDEN] = { IGNORED, "an operator decides" },
                [CLUSTER_RUN_BEGUN] = { IGNORED, "the halted run comes first" },
                [CLUSTER_RUN_COMPLETED] = { IGNORED, "the run is halted" },
                [CLUSTER_RUN_ABORTED] = { CLUSTER_STARTING, "the operator gave the run up" },
                [CLUSTER_RUN_HALTED] = { IGNORED, "nothing new" },
                [CLUSTER_RUN_RETRIED] = { CLUSTER_RUNNING, "the operator set it going again" },
        },
};

int fsm_next(ClusterState from, ClusterEvent event, const char **ret_why)
{
        const Row *row = &rows[from][event];
        *ret_why = row->why;
        return row->to;
}
