/* One cluster: its watches, its state, its run. Created from a checked configuration, which it copies. */
#pragma once

#include "checklist.h"
#include "config.h"
#include "fsm.h"
#include "gate.h"
#include "json.h"
#include "loop.h"
#include "metrics.h"
#include "resolve.h"
#include "verdict.h"

typedef struct Cluster Cluster;

typedef struct ClusterContext {
        Loop *loop;
        Resolver *resolver;
        Gate *gate;
        const char *state_directory;
        /* A primary is missed; when it was first (the same one stays lost when the cluster is configured anew). It is back. */
        usec_t (*lose)(const char *cluster, const char *primary, const char *host, void *userdata);
        void (*find)(const char *cluster, const char *primary, void *userdata);
        /* On how many hosts primaries were lost together with one that was lost then (storm_count()), and from how many on
         * that is a storm, unless the cluster's configuration says. */
        size_t (*lost)(usec_t at, char **ret_names, void *userdata);
        size_t (*storm_limit)(void *userdata);
        bool (*stalled)(void *userdata); /* the clock jumped or the process stood still a moment ago */
        bool (*starting)(void *userdata); /* not every cluster has been asked yet: cluster_is_settling() */
        void (*changed)(void *userdata); /* the summary may have changed */
        void *userdata;
} ClusterContext;

/* Adds a line to errors when cluster_new() would fail for its SSH key, which the configuration does not look into. */
void cluster_check_key(const ClusterConfig *config, Json *errors);
/* Begins to watch, and goes on with a run that a former process left. */
int cluster_new(const ClusterContext *context, const ClusterConfig *config, Cluster **ret, Failure *reterr);
Cluster *cluster_free(Cluster *cluster);
DEFINE_CLEANUP(Cluster *, cluster_free)

const char *cluster_name(const Cluster *cluster);
const ClusterConfig *cluster_config(const Cluster *cluster);
const char *cluster_directory(const Cluster *cluster); /* of its state */
ClusterState cluster_state(const Cluster *cluster);
bool cluster_is_healthy(const Cluster *cluster); /* steady and nothing that blocks */
/* Not all of its servers were asked yet since it is watched: its primary may be lost, too. */
bool cluster_is_settling(const Cluster *cluster);
/* Its address if that is known; NULL: nobody knows the primary. */
const char *cluster_primary_host(const Cluster *cluster);
/* Whether a changed configuration may be taken over now (no run is under way). */
bool cluster_may_be_replaced(const Cluster *cluster);

/* What the control API says; see registry.h. The caller frees the results. */
Json *cluster_status(Cluster *cluster);
void cluster_metrics(Cluster *cluster, Metrics *metrics); /* adds its own */
Json *cluster_check(Cluster *cluster);
/* The same, but servers or hosts are asked: the results (an array) come later, from the loop, and are the callee's. */
typedef void (*cluster_check_fn)(Json *results, void *userdata);
void cluster_examine(Cluster *cluster, CheckKind kind, bool mesh, cluster_check_fn done, void *userdata);
void cluster_examine_forget(Cluster *cluster, void *userdata); /* done is not called for that userdata any more */
typedef void (*cluster_plan_fn)(Json *plan, void *userdata);   /* plan is the callee's */
int cluster_plan(Cluster *cluster, const char *procedure, const Json *options, cluster_plan_fn done, void *userdata,
                 Failure *reterr);
void cluster_plan_forget(Cluster *cluster, void *userdata); /* done is not called for that userdata any more */
int cluster_report(Cluster *cluster, const char *run, Json **ret, Failure *reterr);
int cluster_failover(Cluster *cluster, const Json *options, const char *by, Json **ret, Failure *reterr);
/* Removes relay logs of one replica; *ret is {"run"}. */
int cluster_purge(Cluster *cluster, const char *server, const char *by, Json **ret, Failure *reterr);
int cluster_rejoin(Cluster *cluster, const char *server, const char *by, Json **ret, Failure *reterr);
int cluster_switch(Cluster *cluster, const Json *options, const char *by, Json **ret, Failure *reterr);
/* Copies a server's binary log from options' "from" to its "to" (both may be absent); *ret is {"run"}. */
int cluster_rescue_fetch(Cluster *cluster, const char *server, const Json *options, const char *by, Json **ret,
                         Failure *reterr);
/* How the last of these copies stands or ended: {"run", "server", "state": copying, indexing, complete or failed, "copied",
 * "total", "failure"}; NULL: there was none. Lent. */
const Json *cluster_fetch_state(const Cluster *cluster);
int cluster_pause(Cluster *cluster, const char *reason, usec_t for_how_long, const char *by, Failure *reterr);
int cluster_resume(Cluster *cluster, const char *by, Failure *reterr);
int cluster_acknowledge(Cluster *cluster, const char *by, Failure *reterr);
int cluster_server_down(Cluster *cluster, const char *server, const char *reason, usec_t for_how_long, const char *by,
                        Failure *reterr);
int cluster_server_up(Cluster *cluster, const char *server, const char *by, Failure *reterr);
int cluster_run(Cluster *cluster, const char *what, const Json *options, const char *by, Failure *reterr);
