/* What a cluster tells and takes from an operator. Owns the plans under way; must never act by itself. */
#include "inside.h"

#include <errno.h>
#include <string.h>

#include "failover.h"
#include "host.h"
#include "refusal.h"
#include "switchover.h"
#include "text.h"

/* How long a plan may ask the servers. */
#define PLAN_TIMEOUT (5 * USEC_SEC)

struct PlanRequest {
        Cluster *cluster;
        Plan *plan;
        Json *blocked;
        const char *blocked_id; /* static */
        cluster_plan_fn done;
        void *userdata;
        PlanRequest *next;
};

static const char *health(const Cluster *cluster)
{
        switch (cluster->now) {
        case CLUSTER_STARTING:
                return "warning";
        case CLUSTER_STEADY:
                return cluster->topology.n_problems > 0 ? "warning" : "ok";
        case CLUSTER_SUSPECT:
                return "suspect";
        case CLUSTER_HELD:
                return "held";
        case CLUSTER_RUNNING:
                return "running";
        case CLUSTER_HALTED:
                return "halted";
        case _CLUSTER_STATE_MAX:
        case _CLUSTER_STATE_INVALID:
                break;
        }
        return "warning";
}

static void add_channel(const Cluster *cluster, size_t i, const ServerView *view, Json *json)
{
        const ReplicaChannel *channel = server_view_channel(view);
        if (!channel)
                return;
        ssize_t source = cluster->topology.entries ? cluster->topology.entries[i].source : -1;
        CLEANUP(mem_free) char *other = host_and_port(channel->source_host, channel->source_port);
        json_set_string(json, "source", source >= 0 ? cluster->config->servers[source].name : other);
        json_set_string(json, "receiver",
                        channel->receiver == RECEIVER_CONNECTED    ? "yes"
                        : channel->receiver == RECEIVER_CONNECTING ? "connecting"
                                                                   : "no");
        json_set_string(json, "applier", channel->applier_running ? "yes" : "no");
        if (channel->lag >= 0)
                json_set_int(json, "lag_ms", channel->lag * 1000);
        if (channel->delay > 0)
                json_set_int(json, "delay_ms", channel->delay * 1000);
        CLEANUP(mem_free) char *position = position_format(&channel->applied);
        json_set_string(json, "position", position);
}

static void add_problems(const Cluster *cluster, size_t i, Json *json)
{
        for (size_t k = 0; k < cluster->topology.n_problems; k++) {
                const Problem *problem = &cluster->topology.problems[k];
                if (problem->server == (ssize_t) i)
                        json_append_string(json_ensure_array(json, "problems"), problem->text);
        }
}

static Json *server_status(const Cluster *cluster, size_t i)
{
        const Server *server = &cluster->config->servers[i];
        const Watch *watch = cluster->watches[i];
        const ServerView *view = watch_view(watch);
        Json *json = json_object();
        Role role = cluster->topology.entries ? cluster->topology.entries[i].role : ROLE_UNKNOWN;
        json_set_string(json, "name", server->name);
        json_set_string(json, "host", server->host);
        json_set_int(json, "port", server->port);
        json_set_string(json, "role", role_to_string(role));
        json_set_string(json, "promotion", promotion_to_string(server->promotion));
        json_set_bool(json, "up", view->evidence == EVIDENCE_ALIVE);
        json_set_string(json, "evidence", evidence_to_string(view->evidence));
        if (view->evidence != EVIDENCE_ALIVE)
                json_set_string(json, "evidence_text", view->evidence_text);
        if (watch_last_good_real(watch))
                json_set_int(json, "last_good", (int64_t) watch_last_good_real(watch));
        if (watch_last_ping(watch))
                json_set_int(json, "ping_us", (int64_t) watch_last_ping(watch));
        json_set_int(json, "late_ticks", (int64_t) watch_late_ticks(watch));
        json_set_string(json, "version", view->version_text);
        if (view->identified)
                json_set_string(json, "flavour", flavour_to_string(view->version.flavour));
        if (view->ticked)
                json_set_bool(json, "read_only", view->read_only);
        add_channel(cluster, i, view, json);
        CLEANUP(mem_free) char *binlog = position_format(&view->binlog);
        if (!json_has(json, "position") && *binlog)
                json_set_string(json, "position", binlog);
        if (!text_is_empty(view->gtid_executed))
                json_set_string(json, "gtid", view->gtid_executed);
        add_problems(cluster, i, json);
        json_set(json, "downtime", downtime_json(cluster, server->name));
        return json;
}

static Json *problems_json(const Cluster *cluster)
{
        Json *problems = json_array();
        for (size_t i = 0; i < cluster->topology.n_problems; i++) {
                const Problem *problem = &cluster->topology.problems[i];
                Json *json = json_object();
                json_set_string(json, "id", problem_to_string(problem->id));
                json_set_string(json, "text", problem->text);
                json_set_bool(json, "blocks", problem->blocks);
                if (problem->server >= 0)
                        json_set_string(json, "server", cluster->config->servers[problem->server].name);
                json_append(problems, json);
        }
        return problems;
}

Json *cluster_holds(const Cluster *cluster)
{
        GuardReasons reasons = suspect_guards(cluster, false);
        Json *texts = json_array();
        for (size_t i = 0; i < reasons.n_items; i++)
                json_append_string(texts, reasons.items[i].text);
        return texts;
}

static Json *address_json(const Cluster *cluster)
{
        const AddressConfig *address = &cluster->config->address;
        if (!address->ip)
                return NULL;
        Json *json = json_object();
        json_set_string(json, "ip", address->ip);
        json_set_string(json, "device", address->device);
        json_set_string(json, "on", json_get_string(cluster->state.root, "address_on"));
        return json;
}

static Json *observers_json(const Cluster *cluster)
{
        Json *observers = json_array();
        for (size_t i = 0; i < cluster->config->n_observers; i++) {
                Json *json = json_object();
                json_set_string(json, "name", cluster->config->observers[i].name);
                json_set_string(json, "host", cluster->config->observers[i].host);
                json_append(observers, json);
        }
        return observers;
}

/* Until all were asked anew after a run, what is known of the old primary is older than its replacement. */
static const char *primary_now(const Cluster *cluster)
{
        const char *seen = cluster_primary_name(cluster),
                   *known = json_get_string(cluster->state.root, "known_primary");
        bool replaced = seen && json_array_contains(json_get(cluster->state.root, "fenced"), seen);
        return known && replaced ? known : seen;
}

Json *cluster_status(Cluster *cluster)
{
        Json *json = json_object();
        json_set_string(json, "cluster", cluster->config->name);
        json_set_string(json, "state", cluster_state_to_string(cluster->now));
        json_set_int(json, "since", (int64_t) cluster->since_real);
        json_set_string(json, "mode", failover_mode_to_string(cluster->config->failover.mode));
        if (cluster_is_paused(cluster))
                json_set(json, "paused", json_copy(json_get(cluster->state.root, "paused")));
        json_set_string(json, "primary", primary_now(cluster));
        json_set(json, "address", address_json(cluster));
        json_set_string(json, "health", health(cluster));
        Json *servers = json_ensure_array(json, "servers");
        for (size_t i = 0; i < cluster->config->n_servers; i++)
                json_append(servers, server_status(cluster, i));
        json_set(json, "observers", observers_json(cluster));
        json_set(json, "problems", problems_json(cluster));
        if (cluster->row) {
                Json *finding = json_ensure_object(json, "finding");
                json_set_string(finding, "row", cluster->row->id);
                json_set_string(finding, "finding", finding_to_string(cluster->row->finding));
                CLEANUP(mem_free) char *text = text_format("%s: %s", cluster->row->sentence, cluster->row_text);
                json_set_string(finding, "text", text);
        }
        Json *would = runs_if_primary_died(cluster);
        json_set(would, "hold", cluster_holds(cluster));
        json_set(json, "if_primary_died", would);
        if (cluster->runbook)
                json_set(json, "run", runbook_describe(cluster->runbook));
        if (cluster->background) {
                Json *background = runbook_describe(cluster->background);
                if (cluster->background_stands)
                        json_set_string(background, "state", "halted");
                json_set(json, "background", background);
        }
        json_set(json, "last_run", json_copy(json_get(cluster->state.root, "last_run")));
        return json;
}

void cluster_metrics(Cluster *cluster, Metrics *metrics)
{
        CLEANUP(json_free) Json *status = cluster_status(cluster);
        size_t n = cluster->config->n_servers;
        const Histogram **pings = ALLOC_ARRAY(const Histogram *, n);
        for (size_t i = 0; i < n; i++)
                pings[i] = watch_pings(cluster->watches[i]);
        metrics_add_cluster(metrics, status, pings, loop_now_real(cluster->context.loop));
        free(pings);
}

static void add_status_checks(Cluster *cluster, Json *checks)
{
        for (size_t i = 0; i < cluster->topology.n_problems; i++) {
                const Problem *problem = &cluster->topology.problems[i];
                check_add_problem(checks, problem,
                                  problem->server >= 0 ? cluster->config->servers[problem->server].name : NULL);
        }
        CLEANUP(json_free) Json *holds = cluster_holds(cluster);
        JSON_FOREACH(hold, holds)
        {
                check_add(checks, CHECK_GUARD, NULL, "%s", json_string(hold));
        }
        CLEANUP(json_free) Json *would = runs_if_primary_died(cluster);
        const char *candidate = json_get_string(would, "candidate"), *why = json_get_string(would, "why");
        const char *primary = cluster_primary_name(cluster);
        check_add(checks, candidate ? CHECK_CANDIDATE : CHECK_NO_CANDIDATE, candidate,
                  "if %s died now, %s would be promoted: %s", primary ? primary : "?", candidate ? candidate : "nobody",
                  why ? why : "");
        const char *scripts = scripts_status(cluster->scripts);
        if (scripts)
                check_add(checks, *scripts ? CHECK_SCRIPTS : CHECK_SCRIPTS_WELL, NULL, "%s",
                          *scripts ? scripts : "the hooks say that they would work");
}

Json *cluster_check(Cluster *cluster)
{
        Json *result = json_object(), *checks = json_ensure_array(result, "checks");
        add_status_checks(cluster, checks);
        JSON_FOREACH_MUTABLE(check, checks)
        {
                json_set_string(check, "cluster", cluster->config->name);
        }
        json_set_bool(result, "ready", cluster_is_healthy(cluster) && !check_has(checks, NULL, CHECK_LEVEL_ERROR));
        return result;
}

static void free_request(PlanRequest *request)
{
        PlanRequest **at = &request->cluster->plans;
        while (*at && *at != request)
                at = &(*at)->next;
        if (*at)
                *at = request->next;
        json_free(request->blocked);
        free(request);
}

static void on_plan(Json *plan, void *userdata)
{
        PlanRequest *request = userdata;
        json_set_string(plan, "cluster", request->cluster->config->name);
        json_set(plan, "blocked", TAKE(request->blocked));
        json_set_string(plan, "blocked_id", request->blocked_id);
        cluster_plan_fn done = request->done;
        void *whose = request->userdata;
        free_request(request);
        Json *answer = json_object();
        json_set(answer, "plan", plan);
        done(answer, whose);
}

/* Whom the operator named. */
static int check_target(Cluster *cluster, const char *to, const char *primary, Failure *reterr)
{
        const char *name = cluster->config->name;
        ssize_t i = cluster_find(cluster, to);
        if (text_equal(to, primary))
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_PRIMARY_ALREADY, "%s: %s is the primary already",
                                   name, to);
        if (i < 0) {
                Text known = { 0 };
                for (size_t k = 0; k < cluster->config->n_servers; k++) {
                        text_separate(&known, ", ");
                        text_add(&known, cluster->config->servers[k].name);
                }
                CLEANUP(mem_free) char *list = text_take(&known);
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_UNKNOWN_SERVER,
                                   "%s: there is no server \"%s\": its servers are %s", name, to, list);
        }
        const ServerView *view = watch_view(cluster->watches[i]);
        if (view->evidence != EVIDENCE_ALIVE)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_SERVER_DOWN,
                                   "%s: %s cannot become the primary, it is %s%s%s", name, to,
                                   view->evidence == EVIDENCE_REFUSED ? "down" : evidence_to_string(view->evidence),
                                   view->evidence_text ? ": " : "", view->evidence_text ? view->evidence_text : "");
        if (server_view_refusal(view))
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_SERVER_DOWN,
                                   "%s: %s cannot become the primary, it cannot be read: %s", name, to,
                                   server_view_refusal(view));
        CLEANUP(mem_free) char *downtime = downtime_why(cluster, to);
        if (downtime)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s is taken out (%s): mhactl server up %s %s first",
                                   name, to, downtime, name, to);
        if (cluster->topology.entries[i].source != cluster->topology.primary)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_NOT_A_REPLICA,
                                   "%s: %s does not replicate from the primary %s itself, so it cannot take its place",
                                   name, to, primary);
        return 0;
}

/* Whom the operator was shown and has agreed to replace. */
static int check_from(const Cluster *cluster, const char *verb, const Json *options, const char *primary,
                      Failure *reterr)
{
        const char *from = json_get_string(options, "from"), *name = cluster->config->name;
        if (!from || text_equal(from, primary))
                return 0;
        return failure_set(reterr, FAILURE_INVALID, REFUSAL_OTHER_PRIMARY,
                           "%s: its primary is %s now, not %s: nothing was done, look again: mhactl plan %s %s", name,
                           primary, from, verb, name);
}

/* Why a switchover does not even begin; each a sentence of its own. */
static int check_switch(Cluster *cluster, const Json *options, Failure *reterr)
{
        const char *name = cluster->config->name, *primary = cluster_primary_name(cluster);
        const char *to = json_get_string(options, "to"), *tiers = json_get_string(options, "multi_tier");
        static const ProblemId writable[] = { PROBLEM_TWO_PRIMARIES, PROBLEM_WRITABLE_REPLICA };
        const Problem *manager = topology_find(&cluster->topology, PROBLEM_OTHER_MANAGER);
        if (tiers && (int) switchover_tier_from_string(tiers) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: --multi-tier is stay or follow, not %s", name,
                                   tiers);
        if (cluster->runbook)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_RUN_UNDER_WAY,
                                   "%s: run %s is under way: mhactl status %s", name, runbook_id(cluster->runbook),
                                   name);
        if (cluster_is_paused(cluster))
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_PAUSED, "%s is paused: mhactl resume %s first",
                                   name, name);
        if (manager)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_OTHER_MANAGER, "%s: %s", name, manager->text);
        for (size_t i = 0; i < ARRAY_LENGTH(writable); i++) {
                const Problem *problem = topology_find(&cluster->topology, writable[i]);
                if (problem)
                        return failure_set(reterr, FAILURE_INVALID, REFUSAL_TWO_WRITABLE,
                                           "%s: two servers are writable: %s", name, problem->text);
        }
        if (!primary)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_NO_PRIMARY,
                                   "%s: nobody knows which server is the primary", name);
        int r = check_from(cluster, "switch", options, primary, reterr);
        if (r < 0)
                return r;
        const ServerView *view = watch_view(cluster->watches[cluster->topology.primary]);
        if (view->evidence != EVIDENCE_ALIVE)
                return failure_set(
                        reterr, FAILURE_INVALID, REFUSAL_NO_PRIMARY,
                        "%s: the primary %s is not alive (%s): a switchover is for a healthy one, see mhactl "
                        "failover",
                        name, primary, evidence_to_string(view->evidence));
        if (cluster->now != CLUSTER_STEADY)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_NOT_STEADY,
                                   "%s is %s, not steady: try again in a moment", name,
                                   cluster_state_to_string(cluster->now));
        return to ? check_target(cluster, to, primary, reterr) : 0;
}

static void set_refusal(Cluster *cluster, const Json *options, PlanRequest *request)
{
        Failure failure = { 0 };
        request->blocked = json_array();
        if (check_switch(cluster, options, &failure) >= 0)
                return;
        json_append_string(request->blocked, failure.text);
        request->blocked_id = refusal_to_string(failure.code);
}

int cluster_plan(Cluster *cluster, const char *procedure, const Json *options, cluster_plan_fn done, void *userdata,
                 Failure *reterr)
{
        const char *primary = cluster_primary_name(cluster);
        bool switching = text_equal(procedure, switchover.name) || text_equal(procedure, "switch");
        const Procedure *which = switching ? &switchover : &failover;
        if (procedure && !switching && !text_equal(procedure, failover.name))
                return failure_set(reterr, FAILURE_INVALID, 0, "there is no procedure \"%s\": only failover and switch",
                                   procedure);
        if (!primary)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_NO_PRIMARY,
                                   "%s: nobody knows which server is the primary", cluster->config->name);
        PlanRequest *request = ALLOC(PlanRequest);
        *request = (PlanRequest){ .cluster = cluster, .done = done, .userdata = userdata, .next = cluster->plans };
        cluster->plans = request;
        if (switching)
                set_refusal(cluster, options, request);
        else
                request->blocked = cluster_holds(cluster);
        Facts facts = runs_facts(cluster, primary, options, which->name);
        json_set_bool(facts.root, "planning", true);
        request->plan = runbook_plan(cluster->context.loop, cluster->exec, which, facts,
                                     usec_add(loop_now(cluster->context.loop), PLAN_TIMEOUT), on_plan, request);
        return 0;
}

void cluster_plan_forget(Cluster *cluster, void *userdata)
{
        for (PlanRequest *request = cluster->plans, *next; request; request = next) {
                next = request->next;
                if (userdata && request->userdata != userdata)
                        continue;
                runbook_plan_abandon(request->plan);
                free_request(request);
        }
}

void answers_done(Cluster *cluster)
{
        cluster_plan_forget(cluster, NULL);
}

int cluster_failover(Cluster *cluster, const Json *options, const char *by, Json **ret, Failure *reterr)
{
        const char *name = cluster->config->name, *primary = cluster_primary_name(cluster);
        const char *to = json_get_string(options, "to");
        if (cluster->runbook)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_RUN_UNDER_WAY,
                                   "%s: run %s is under way: mhactl status %s", name, runbook_id(cluster->runbook),
                                   name);
        const Problem *ambiguous = topology_find(&cluster->topology, PROBLEM_AMBIGUOUS_PRIMARY);
        if (!primary)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_NO_PRIMARY,
                                   "%s: nobody knows which server is the primary%s%s", name, ambiguous ? ": " : "",
                                   ambiguous ? ambiguous->text : "");
        int r = check_from(cluster, "failover", options, primary, reterr);
        if (r < 0)
                return r;
        const ServerView *view = watch_view(cluster->watches[cluster->topology.primary]);
        if (view->evidence == EVIDENCE_ALIVE || view->evidence == EVIDENCE_ERROR)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s: the primary %s is alive: a failover is for a dead one", name, primary);
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const ServerView *of_server = watch_view(cluster->watches[i]);
                if (of_server->manager && of_server->evidence == EVIDENCE_ALIVE)
                        return failure_set(reterr, FAILURE_INVALID, REFUSAL_OTHER_MANAGER,
                                           "%s: %s has MHA's failover lock on %s: another manager is at work", name,
                                           of_server->manager, cluster->config->servers[i].name);
        }
        if (to && (cluster_find(cluster, to) < 0 || text_equal(to, primary)))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: \"%s\" is not one of its replicas", name, to);
        CLEANUP(mem_free) char *downtime = to ? downtime_why(cluster, to) : NULL;
        if (downtime)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s is taken out (%s): mhactl server up %s %s first",
                                   name, to, downtime, name, to);
        const Json *last = json_get(cluster->state.root, "last_failover");
        usec_t then = (usec_t) json_get_int(last, "time", 0), now = loop_now_real(cluster->context.loop);
        if (last && !json_get_bool(options, "ignore_last_failover", false) &&
            !json_get_bool(cluster->state.root, "acknowledged", false) &&
            usec_sub(now, then) < cluster->config->failover.flap_window)
                return failure_set(
                        reterr, FAILURE_INVALID, 0,
                        "%s: the last failover (%s) is too recent: look at it, then mhactl acknowledge %s, or "
                        "--ignore-last-failover",
                        name, json_get_string(last, "run"), name);
        CLEANUP(json_free) Json *with = options ? json_copy(options) : json_object();
        json_set_string(with, "by", by);
        r = runs_failover(cluster, with, reterr);
        if (r < 0)
                return r;
        *ret = json_object();
        json_set_string(*ret, "run", runbook_id(cluster->runbook));
        return 0;
}

int cluster_switch(Cluster *cluster, const Json *options, const char *by, Json **ret, Failure *reterr)
{
        int r = check_switch(cluster, options, reterr);
        if (r < 0)
                return r;
        CLEANUP(json_free) Json *with = options ? json_copy(options) : json_object();
        json_set_string(with, "by", by);
        r = runs_switchover(cluster, with, reterr);
        if (r < 0)
                return r;
        *ret = json_object();
        json_set_string(*ret, "run", runbook_id(cluster->runbook));
        return 0;
}

int cluster_rejoin(Cluster *cluster, const char *server, const char *by, Json **ret, Failure *reterr)
{
        const char *name = cluster->config->name, *primary = cluster_primary_name(cluster);
        ssize_t i = cluster_find(cluster, server);
        if (i < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no server %s", name, server);
        int r = background_check(cluster, server, reterr);
        if (r < 0)
                return r;
        if (!primary || watch_view(cluster->watches[cluster->topology.primary])->evidence != EVIDENCE_ALIVE)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no living primary to follow", name);
        if (text_equal(server, primary))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s is the primary", name, server);
        if (watch_view(cluster->watches[i])->evidence != EVIDENCE_ALIVE)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s does not answer: start its database first", name,
                                   server);
        const ServerView *view = watch_view(cluster->watches[i]);
        const ReplicaChannel *channel = server_view_channel(view);
        bool pointed = cluster->topology.entries && cluster->topology.entries[i].role == ROLE_REPLICA && channel &&
                       cluster->topology.entries[i].source == cluster->topology.primary;
        if (pointed && channel->receiver != RECEIVER_STOPPED)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s follows %s already", name, server, primary);
        /* One that was pointed there and never started is not attached yet. */
        if (pointed && !json_has(json_get(cluster->state.root, "returning"), server))
                return failure_set(
                        reterr, FAILURE_INVALID, 0,
                        "%s: %s is a replica of %s already, and only its receiver is stopped%s%s: %s%s on it "
                        "is enough",
                        name, server, primary, text_is_empty(channel->receiver_error) ? "" : ": ",
                        text_is_empty(channel->receiver_error) ? "" : channel->receiver_error,
                        channel->receiver_errno ? "mend that; then " : "", server_view_dialect(view)->start_replica);
        r = background_rejoin(cluster, server, by, reterr);
        if (r < 0)
                return r;
        *ret = json_object();
        json_set_string(*ret, "run", runbook_id(cluster->background));
        return 0;
}

/* Whether what the target holds may be needed by a server that cannot say so now. */
static int check_others(const Cluster *cluster, size_t target, Failure *reterr)
{
        const char *name = cluster->config->name, *holder = cluster->config->servers[target].name;
        CLEANUP(mem_free) bool *gone = ALLOC_ARRAY(bool, cluster->config->n_servers);
        for (size_t k = 0; k < cluster->config->n_servers; k++)
                gone[k] = downtime_is_for_good(cluster, cluster->config->servers[k].name);
        ssize_t i = topology_find_apart(&cluster->topology, gone);
        if (i < 0)
                return 0;
        const char *server = cluster->config->servers[i].name;
        bool answers = server_view_is_read(watch_view(cluster->watches[i]));
        return failure_set(reterr, FAILURE_INVALID, 0,
                           "%s: %s %s, and may need relay logs that %s holds: none is removed before it follows %s. If "
                           "you do without it, type: mhactl server down %s %s (without --for), or mhactl server remove "
                           "%s %s",
                           name, server, answers ? "does not follow the primary" : "cannot be asked", holder,
                           cluster_primary_name(cluster), name, server, name, server);
}

int cluster_purge(Cluster *cluster, const char *server, const char *by, Json **ret, Failure *reterr)
{
        const char *name = cluster->config->name;
        ssize_t i = cluster_find(cluster, server);
        if (i < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no server %s", name, server);
        int r = background_check(cluster, server, reterr);
        if (r < 0)
                return r;
        if (cluster->now != CLUSTER_STEADY || !cluster->topology.entries)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is %s: relay logs may be needed", name,
                                   cluster_state_to_string(cluster->now));
        if (cluster->topology.entries[i].role != ROLE_REPLICA ||
            cluster->topology.entries[i].source != cluster->topology.primary)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s is no replica of the primary", name, server);
        r = check_others(cluster, (size_t) i, reterr);
        if (r >= 0)
                r = background_purge(cluster, server, by, reterr);
        if (r < 0)
                return r;
        json_set_int(json_ensure_object(cluster->state.root, "purged"), server,
                     (int64_t) loop_now_real(cluster->context.loop));
        cluster_save(cluster);
        *ret = json_object();
        json_set_string(*ret, "run", runbook_id(cluster->background));
        return 0;
}

/* Once, not at each attempt. */
static void tell_purge(Cluster *cluster, const char *server, const char *why)
{
        LogFields fields = cluster_fields(cluster, server);
        if (why && !text_equal(why, cluster->told_purge))
                log_event(EVENT_WARNING, &fields, "%s; the purge of %s, which is due, waits for that", why, server);
        free(cluster->told_purge);
        cluster->told_purge = alloc_string(why);
}

void cluster_purge_when_due(Cluster *cluster)
{
        usec_t every = cluster->config->failover.purge_relay_logs, now = loop_now_real(cluster->context.loop);
        if (!every || cluster->now != CLUSTER_STEADY || !background_may_begin(cluster) || !cluster->topology.entries)
                return;
        /* One at a time, and the next when this one has ended: never all at once. */
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const char *server = cluster->config->servers[i].name;
                usec_t last = (usec_t) json_get_int(json_get(cluster->state.root, "purged"), server, 0);
                CLEANUP(json_free) Json *ret = NULL;
                if (cluster->topology.entries[i].role != ROLE_REPLICA ||
                    cluster->topology.entries[i].source != cluster->topology.primary || usec_sub(now, last) < every)
                        continue;
                Failure failure = { 0 };
                int r = cluster_purge(cluster, server, "mhad", &ret, &failure);
                tell_purge(cluster, server, r < 0 ? failure.text : NULL);
                return;
        }
}

int cluster_pause(Cluster *cluster, const char *reason, usec_t for_how_long, const char *by, Failure *reterr)
{
        Json *paused = json_ensure_object(cluster->state.root, "paused");
        usec_t until = usec_add(loop_now_real(cluster->context.loop), for_how_long);
        json_set_string(paused, "by", by);
        json_set_string(paused, "reason", reason);
        json_set(paused, "until", NULL);
        if (until < (UINT64_C(1) << 53))
                json_set_int(paused, "until", (int64_t) until);
        int r = state_save(&cluster->state, reterr);
        LogFields fields = cluster_fields(cluster, NULL);
        log_event(EVENT_PAUSED, &fields, "%s: paused by %s%s%s: no automatic failover until mhactl resume %s",
                  cluster->config->name, by, reason ? ": " : "", reason ? reason : "", cluster->config->name);
        cluster->context.changed(cluster->context.userdata);
        return r;
}

int cluster_resume(Cluster *cluster, const char *by, Failure *reterr)
{
        if (!json_has(cluster->state.root, "paused"))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is not paused", cluster->config->name);
        json_set(cluster->state.root, "paused", NULL);
        int r = state_save(&cluster->state, reterr);
        LogFields fields = cluster_fields(cluster, NULL);
        log_event(EVENT_RESUMED, &fields, "%s: resumed by %s", cluster->config->name, by);
        cluster_evaluate_soon(cluster);
        cluster->context.changed(cluster->context.userdata);
        return r;
}

int cluster_acknowledge(Cluster *cluster, const char *by, Failure *reterr)
{
        if (!json_has(cluster->state.root, "last_failover"))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no failover to acknowledge",
                                   cluster->config->name);
        json_set_bool(cluster->state.root, "acknowledged", true);
        int r = state_save(&cluster->state, reterr);
        LogFields fields = cluster_fields(cluster, NULL);
        log_event(EVENT_ACKNOWLEDGED, &fields,
                  "%s: the last failover was acknowledged by %s: the next one may be automatic", cluster->config->name,
                  by);
        cluster_evaluate_soon(cluster);
        return r;
}

/* What an operator may say of a run that stands still, and "cancel" of any. */
static int give_word(Runbook *runbook, const char *name, const char *what, const Json *options, const char *by,
                     Failure *reterr)
{
        const char *reason = json_get_string(options, "reason");
        if (text_equal(what, "retry"))
                return runbook_retry(runbook, by, reterr);
        if (text_equal(what, "cancel"))
                return runbook_cancel(runbook, by, reason ? reason : "ordered", reterr);
        if (text_equal(what, "abandon"))
                return runbook_abandon(runbook, by, reason ? reason : "ordered", reterr);
        if (!text_equal(what, "override"))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: \"%s\" is none of retry, override, abandon, cancel",
                                   name, what ? what : "");
        Verdict verdict = verdict_from_string(json_get_string(options, "verdict"));
        if ((int) verdict < 0)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s: say --verdict met, when what the step wants was done by hand", name);
        return runbook_override(runbook, json_get_string(options, "server"), verdict, by, reason, reterr);
}

int cluster_run(Cluster *cluster, const char *what, const Json *options, const char *by, Failure *reterr)
{
        const char *name = cluster->config->name;
        if (!cluster->runbook) {
                int r = background_check_order(cluster, what, by, reterr);
                if (r > 0)
                        r = give_word(cluster->background, name, what, options, by, reterr);
                cluster->background_stands = cluster->background_stands && r < 0;
                return r;
        }
        int r = give_word(cluster->runbook, name, what, options, by, reterr);
        if (r >= 0 && !text_equal(what, "abandon") && cluster->now == CLUSTER_HALTED)
                cluster_transition(cluster, CLUSTER_RUN_RETRIED, by);
        return r;
}
