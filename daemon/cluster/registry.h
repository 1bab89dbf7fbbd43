/* All clusters: the only thing that control and main talk to. Every answer is a JSON value that goes to the client as it
 * is; every refusal is a Failure whose text says what to do. */
#pragma once

#include "json.h"
#include "loop.h"

typedef struct Registry Registry;

/* Who asks, for the record: "root (uid 0, pid 4711)". */
typedef struct Asker {
        const char *who;
} Asker;

/* Loads the configuration and begins to watch. FAILURE_INVALID with all errors of the configuration in *ret_errors (a
 * JSON array of strings "file:line:column: text") when it has any. */
int registry_new(Loop *loop, const char *config_path, Registry **ret, Json **ret_errors, Failure *reterr);
Registry *registry_free(Registry *registry);
DEFINE_CLEANUP(Registry *, registry_free)
const char *registry_socket_path(const Registry *registry);
const char *registry_socket_group(const Registry *registry); /* NULL: only root and our own user may give orders */
/* Reads the configuration, in a helper thread, for programs may be asked for passwords; takes it over, or leaves in force
 * what was running. Logs either. done (may be NULL) gets the errors of the files (lent, empty for none) and the failure,
 * NULL when it is in force; registry_forget() takes it back. */
typedef void (*registry_reload_fn)(const Json *errors, const Failure *failure, void *userdata);
void registry_reload(Registry *registry, registry_reload_fn done, void *userdata);
/* "3 clusters: 2 healthy, 1 failing over": for STATUS= of sd_notify(3). The caller frees it. changed is called from the
 * loop whenever it may have changed. */
char *registry_summary(const Registry *registry);
void registry_on_change(Registry *registry, loop_fn changed, void *userdata);
/* Where metrics are to be had by HTTP, NULL: nowhere. reloaded is called from the loop whenever a configuration has come
 * into force. */
const char *registry_metrics_listen(const Registry *registry);
void registry_on_reload(Registry *registry, loop_fn reloaded, void *userdata);

/* Questions. A cluster of NULL means all where it makes sense; an unknown one is FAILURE_INVALID naming the known. */
int registry_status(Registry *registry, const char *cluster, Json **ret, Failure *reterr);
int registry_check(Registry *registry, const char *cluster, Json **ret, Failure *reterr);
/* The answer of these comes later, from the loop: servers or disks are asked. It is the callee's. One at a time an owner
 * pointer. */
typedef void (*registry_later_fn)(Json *answer, void *userdata);
int registry_plan(Registry *registry, const char *cluster, const char *procedure, const Json *options,
                  registry_later_fn done, void *userdata, Failure *reterr);
/* The logs that are saved: of all runs, or of one with all about it (savedlogs.h). Those that are being copied have
 * "progress". */
int registry_rescues(Registry *registry, const char *cluster, const char *run, registry_later_fn done, void *userdata,
                     Failure *reterr);
/* The runs that have ended and that are under way (history.h). */
int registry_history(Registry *registry, const char *cluster, registry_later_fn done, void *userdata, Failure *reterr);
/* what is "ssh", "replication", "failover" or "config": {"what", "checks", "ready"}. mesh: also from each host to each other one. */
int registry_examine(Registry *registry, const char *cluster, const char *what, bool mesh, registry_later_fn done,
                     void *userdata, Failure *reterr);
/* All that monitoring is told (metrics.h), at most a second old: {"text"}. */
void registry_metrics(Registry *registry, registry_later_fn done, void *userdata);
void registry_forget(Registry *registry, void *userdata);
int registry_report(Registry *registry, const char *cluster, const char *run, Json **ret, Failure *reterr);
/* The last events kept in memory, oldest first: {"events": [{"time", "event", "cluster", "server", "run", "step",
 * "priority", "text"}]}. */
int registry_events(Registry *registry, const char *cluster, Json **ret, Failure *reterr);
/* Each new event from now on, as one of these objects (lent). One subscription an owner pointer. */
typedef void (*registry_event_fn)(const Json *event, void *userdata);
void registry_subscribe(Registry *registry, registry_event_fn fn, void *userdata);
void registry_unsubscribe(Registry *registry, void *userdata);

/* Orders. */
int registry_failover(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                      Failure *reterr);
int registry_switch(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                    Failure *reterr);
int registry_purge(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                   Failure *reterr);
int registry_rejoin(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                    Failure *reterr);
/* Copies a server's binary log: options hold "from" and "to", positions or files. */
int registry_rescue_fetch(Registry *registry, const char *cluster, const char *server, const Json *options,
                          const Asker *asker, Json **ret, Failure *reterr);
int registry_pause(Registry *registry, const char *cluster, const char *reason, usec_t for_how_long, const Asker *asker,
                   Json **ret, Failure *reterr);
int registry_resume(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr);
int registry_acknowledge(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr);
/* Takes a server out for a while, or has it count again. Without a cluster, the one that has a server of that name. */
int registry_server_down(Registry *registry, const char *cluster, const char *server, const char *reason,
                         usec_t for_how_long, const Asker *asker, Json **ret, Failure *reterr);
int registry_server_up(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                       Failure *reterr);
/* After a halt, or before the point of no return: what is "retry", "override", "abandon" or "cancel"; options hold
 * "server", "verdict" and "reason" where it needs them. */
int registry_run(Registry *registry, const char *cluster, const char *what, const Json *options, const Asker *asker,
                 Json **ret, Failure *reterr);
