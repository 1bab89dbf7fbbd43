/* mhactl check, as far as servers and hosts have to be asked for it. Owns the checks under way; must never judge, and never
 * wait longer than CHECK_TIMEOUT. */
#include "inside.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "checks-ssh.h"
#include "failover_check.h"
#include "hooks.h"
#include "replication_check.h"
#include "text.h"

/* Shorter than SESSION_ANSWER_PATIENCE. */
#define CHECK_TIMEOUT (12 * USEC_SEC)

typedef struct CheckSlot {
        CheckRequest *request;
        ExecJob *job;
        Replies *replies;
} CheckSlot;

struct CheckRequest {
        Cluster *cluster;
        CheckKind kind;
        Facts facts;
        Json *results;
        usec_t deadline;
        bool *alive;
        CheckSlot *slots; /* one a server, then the primary's last word, then the scripts */
        size_t n_slots, n_pending;
        SshChecks *ssh;
        ssize_t primary;
        Timer *end; /* deferred */
        cluster_check_fn done;
        void *userdata;
        CheckRequest *next;
};

static CheckRequest *free_request(CheckRequest *request)
{
        CheckRequest **at = &request->cluster->checks;
        while (*at && *at != request)
                at = &(*at)->next;
        if (*at)
                *at = request->next;
        for (size_t i = 0; i < request->n_slots; i++) {
                exec_abandon(request->slots[i].job);
                replies_free(request->slots[i].replies);
        }
        ssh_checks_free(request->ssh);
        timer_free(request->end);
        facts_done(&request->facts);
        json_free(request->results);
        free(request->slots);
        free(request->alive);
        free(request);
        return NULL;
}

static void end(void *userdata)
{
        CheckRequest *request = userdata;
        Json *results = TAKE(request->results);
        const char *name = request->cluster->config->name;
        JSON_FOREACH_MUTABLE(result, results)
        {
                json_set_string(result, "cluster", name);
        }
        cluster_check_fn done = request->done;
        void *whose = request->userdata;
        request->end = NULL;
        free_request(request);
        done(results, whose);
}

/* Never from within the call that asked for it. */
static void end_soon(CheckRequest *request)
{
        request->end = loop_defer(request->cluster->context.loop, end, request);
}

/* Replication */

enum { SLOT_AGAIN, SLOT_STATUS, N_MORE_SLOTS = SLOT_STATUS + HOOK_N_STATUS };

static size_t n_servers(const CheckRequest *request)
{
        return request->cluster->config->n_servers;
}

static void add_topology(CheckRequest *request)
{
        const Cluster *cluster = request->cluster;
        int64_t max_lag = (int64_t) (cluster->config->switchover.max_lag / USEC_SEC);
        Topology topology = cluster_topology(cluster, max_lag);
        for (size_t i = 0; i < topology.n_problems; i++) {
                const Problem *problem = &topology.problems[i];
                check_add_problem(request->results, problem,
                                  problem->server >= 0 ? cluster->config->servers[problem->server].name : NULL);
        }
        topology_done(&topology);
}

static void check_hooks(CheckRequest *request)
{
        ExecHook hooks[SCRIPTS_MAX_HOOKS];
        size_t n = scripts_hooks(&request->cluster->config->hooks, hooks);
        for (size_t i = 0; i < n; i++)
                if (hooks[i].argv && access(hooks[i].argv[0], X_OK) < 0)
                        check_add(request->results, CHECK_HOOK, NULL, "%s: %s cannot be run: %s", hooks[i].name,
                                  hooks[i].argv[0], strerror(errno));
}

static void judge_status(CheckRequest *request, const Replies *replies)
{
        CLEANUP(mem_free) char *why = replies ? hook_judge_status(replies_at(replies, 0)) : NULL;
        if (why)
                check_add(request->results, CHECK_HOOK_STATUS, NULL, "%s", why);
}

static void check_candidate(CheckRequest *request)
{
        if (request->primary < 0)
                return;
        CLEANUP(json_free) Json *forecast = failover_forecast(&request->facts, TAIL_UNKNOWN);
        const char *why = json_get_string(forecast, "why");
        if (!json_has(forecast, "candidate"))
                check_add(request->results, CHECK_NO_CANDIDATE, NULL, "nobody could be promoted: %s", why ? why : "");
}

/* A server about which nothing was found is said to be well. */
static void add_good(CheckRequest *request)
{
        for (size_t i = 0; i < n_servers(request); i++) {
                const char *name = request->cluster->config->servers[i].name;
                const char *version = facts_server_string(&request->facts, name, "version");
                if (request->slots[i].replies && !check_has(request->results, name, CHECK_LEVEL_WARNING))
                        check_add(request->results, CHECK_REPLICATION, name, "%s, %s: no errors, no warnings",
                                  (ssize_t) i == request->primary ? "the primary" : "a replica",
                                  version ? version : "?");
        }
}

static void judge_replication(CheckRequest *request)
{
        size_t n = n_servers(request);
        Replies **replies = ALLOC_ARRAY(Replies *, n);
        add_topology(request);
        check_hooks(request);
        for (size_t i = 0; i < n; i++)
                replies[i] = request->slots[i].replies;
        replication_check_judge(&request->facts, replies, request->slots[n + SLOT_AGAIN].replies, request->results);
        for (size_t i = 0; i < HOOK_N_STATUS; i++)
                judge_status(request, request->slots[n + SLOT_STATUS + i].replies);
        check_candidate(request);
        add_good(request);
        free(replies);
        end_soon(request);
}

static void run(CheckRequest *request, size_t slot, const char *server, const Script *script);

static void ask_again(CheckRequest *request)
{
        CLEANUP(script_done) Script script = { 0 };
        const char *primary = request->cluster->config->servers[request->primary].name;
        replication_check_ask_again(&request->facts, primary, &script);
        run(request, n_servers(request) + SLOT_AGAIN, primary, &script);
}

static void on_replies(Replies *replies, void *userdata)
{
        CheckSlot *slot = userdata;
        CheckRequest *request = slot->request;
        slot->job = NULL;
        slot->replies = replies;
        if (--request->n_pending > 0)
                return;
        bool again = slot == &request->slots[n_servers(request) + SLOT_AGAIN];
        if (!again && request->primary >= 0 && request->slots[request->primary].replies)
                ask_again(request);
        else
                judge_replication(request);
}

/* The primary's last word has time even when another server used up its own. */
static void run(CheckRequest *request, size_t slot, const char *server, const Script *script)
{
        bool again = slot == n_servers(request) + SLOT_AGAIN;
        usec_t deadline = again ? request->deadline : usec_sub(request->deadline, CHECK_TIMEOUT / 4);
        request->n_pending++;
        request->slots[slot].request = request;
        request->slots[slot].job =
                exec_run(request->cluster->exec, server, "check", script, deadline, on_replies, &request->slots[slot]);
}

static void begin_replication(CheckRequest *request)
{
        size_t n = n_servers(request);
        request->n_slots = n + N_MORE_SLOTS;
        request->slots = ALLOC_ARRAY(CheckSlot, request->n_slots);
        for (size_t i = 0; i < n; i++) {
                CLEANUP(script_done) Script script = { 0 };
                const char *name = request->cluster->config->servers[i].name;
                CLEANUP(mem_free) char *downtime = downtime_why(request->cluster, name);
                if (downtime)
                        check_add(request->results, CHECK_DOWNTIME, name, "it is taken out (%s) and not checked",
                                  downtime);
                if (downtime || !request->alive[i])
                        continue;
                replication_check_ask(&request->facts, name, &script);
                run(request, i, name, &script);
        }
        for (size_t i = 0; i < HOOK_N_STATUS && request->primary >= 0; i++) {
                CLEANUP(script_done) Script script = { 0 };
                hook_ask_status(&request->facts, i, &script);
                if (!script_is_empty(&script))
                        run(request, n + SLOT_STATUS + i, NULL, &script);
        }
        if (request->n_pending == 0)
                judge_replication(request);
}

/* SSH, and what hangs on it */

static void on_ssh(void *userdata)
{
        CheckRequest *request = userdata;
        if (request->kind == CHECK_KIND_FAILOVER) {
                const char *primary = request->cluster->config->servers[request->primary].name;
                TailAccess tail =
                        check_has(request->results, primary, CHECK_LEVEL_ERROR) ? TAIL_UNREADABLE : TAIL_READABLE;
                json_free(request->results);
                request->results = json_array();
                CLEANUP(json_free) Json *holds = cluster_holds(request->cluster);
                failover_check_judge(&request->facts, holds, tail, request->results);
        }
        end_soon(request);
}

static bool has_ssh(const Cluster *cluster)
{
        return cluster->config->ssh.enabled && cluster->identity;
}

static void begin_ssh(CheckRequest *request, ssize_t only, bool mesh)
{
        Cluster *cluster = request->cluster;
        SshChecksPlan plan = {
                .config = cluster->config,
                .identity = cluster->identity,
                .facts = &request->facts,
                .alive = request->alive,
                .only = only,
                .mesh = mesh,
                .deadline = request->deadline,
        };
        request->ssh = ssh_checks_new(cluster->context.loop, cluster->context.resolver, &plan, request->results, on_ssh,
                                      request);
}

static void begin_failover(CheckRequest *request)
{
        if (request->primary >= 0 && has_ssh(request->cluster)) {
                begin_ssh(request, request->primary, false);
                return;
        }
        CLEANUP(json_free) Json *holds = cluster_holds(request->cluster);
        if (request->primary >= 0)
                failover_check_judge(&request->facts, holds, TAIL_UNREADABLE, request->results);
        else
                check_add(request->results, CHECK_NO_CANDIDATE, NULL, "nobody knows which server is the primary");
        end_soon(request);
}

void cluster_examine(Cluster *cluster, CheckKind kind, bool mesh, cluster_check_fn done, void *userdata)
{
        CheckRequest *request = ALLOC(CheckRequest);
        *request = (CheckRequest){
                .cluster = cluster,
                .kind = kind,
                .facts = runs_facts(cluster, cluster_primary_name(cluster), NULL, "failover"),
                .results = json_array(),
                .deadline = usec_add(loop_now(cluster->context.loop), CHECK_TIMEOUT),
                .alive = ALLOC_ARRAY(bool, cluster->config->n_servers),
                .primary = cluster->topology.primary,
                .done = done,
                .userdata = userdata,
                .next = cluster->checks,
        };
        cluster->checks = request;
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const ServerView *view = watch_view(cluster->watches[i]);
                request->alive[i] = view->evidence == EVIDENCE_ALIVE && view->identified;
        }
        switch (kind) {
        case CHECK_KIND_SSH:
                if (has_ssh(cluster)) {
                        begin_ssh(request, -1, mesh);
                        return;
                }
                check_add(request->results, CHECK_SSH_DISABLED, NULL, "%s",
                          cluster->config->ssh.enabled ? "there is no ssh.identity_file" : "ssh.enabled is false");
                end_soon(request);
                return;
        case CHECK_KIND_REPLICATION:
                begin_replication(request);
                return;
        case CHECK_KIND_FAILOVER:
                begin_failover(request);
                return;
        case CHECK_KIND_CONFIG:
        case _CHECK_KIND_MAX:
        case _CHECK_KIND_INVALID:
                break;
        }
        end_soon(request);
}

void cluster_examine_forget(Cluster *cluster, void *userdata)
{
        for (CheckRequest *request = cluster->checks, *next; request; request = next) {
                next = request->next;
                if (!userdata || request->userdata == userdata)
                        free_request(request);
        }
}
