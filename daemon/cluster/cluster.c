/* One cluster. Owns its configuration, state, watches and run; cluster_transition() is the only writer of its state.
 * Changes only mark that something is to be looked at: everything is judged in evaluate(), from the loop. */
#include "inside.h"

#include <string.h>

#include "failover.h"
#include "file.h"
#include "identity.h"
#include "text.h"

/* Enough for many watches to answer before they are judged together. */
#define EVALUATION_DELAY (USEC_MSEC)
#define SLOW_INTERVAL (2 * USEC_SEC)

LogFields cluster_fields(const Cluster *cluster, const char *server)
{
        return (LogFields){
                .cluster = cluster->config->name,
                .server = server,
                .run = cluster->runbook ? runbook_id(cluster->runbook) : NULL,
        };
}

ssize_t cluster_find(const Cluster *cluster, const char *server)
{
        for (size_t i = 0; server && i < cluster->config->n_servers; i++)
                if (strcmp(cluster->config->servers[i].name, server) == 0)
                        return (ssize_t) i;
        return -1;
}

const char *cluster_directory(const Cluster *cluster)
{
        return cluster->directory;
}

const char *cluster_primary_name(const Cluster *cluster)
{
        ssize_t primary = cluster->topology.primary;
        return cluster->topology.entries && primary >= 0 ? cluster->config->servers[primary].name : NULL;
}

void cluster_save(Cluster *cluster)
{
        Failure failure = { 0 };
        LogFields fields = cluster_fields(cluster, NULL);
        cluster->identities_unsaved = false;
        if (state_save(&cluster->state, &failure) < 0)
                log_event(EVENT_ERROR, &fields, "%s: the state cannot be kept: %s", cluster->config->name,
                          failure.text);
}

void cluster_hurry(Cluster *cluster, bool on)
{
        for (size_t i = 0; i < cluster->config->n_servers; i++)
                if (on)
                        watch_hurry(cluster->watches[i]);
                else
                        watch_relax(cluster->watches[i]);
}

void cluster_evaluate_soon(Cluster *cluster)
{
        timer_set_in(cluster->evaluation, EVALUATION_DELAY);
}

void cluster_transition(Cluster *cluster, ClusterEvent event, const char *detail)
{
        const char *why;
        int next = fsm_next(cluster->now, event, &why);
        if (next < 0 || next == (int) cluster->now)
                return;
        ClusterState from = cluster->now;
        LogFields fields = cluster_fields(cluster, cluster_primary_name(cluster));
        cluster->now = (ClusterState) next;
        cluster->since_real = loop_now_real(cluster->context.loop);
        log_event(EVENT_CLUSTER_STATE, &fields, "%s: %s -> %s: %s%s%s", cluster->config->name,
                  cluster_state_to_string(from), cluster_state_to_string(cluster->now), why,
                  text_is_empty(detail) ? "" : ": ", detail ? detail : "");
        bool was_suspect = from == CLUSTER_SUSPECT || from == CLUSTER_HELD;
        bool is_suspect = cluster->now == CLUSTER_SUSPECT || cluster->now == CLUSTER_HELD;
        if (cluster->now == CLUSTER_SUSPECT && !was_suspect)
                suspect_begin(cluster);
        if (cluster->now == CLUSTER_STEADY)
                cluster->context.find(cluster->config->name, cluster_primary_name(cluster), cluster->context.userdata);
        if (was_suspect && cluster->now == CLUSTER_STEADY)
                log_event(EVENT_SUSPICION_CLEARED, &fields, "%s: %s is alive: nothing is done", cluster->config->name,
                          cluster_primary_name(cluster));
        if (was_suspect && !is_suspect)
                suspect_end(cluster);
        if (from == CLUSTER_RUNNING || from == CLUSTER_HALTED) {
                cluster->fresh_after = loop_now(cluster->context.loop);
                cluster_hurry(cluster, true);
                cluster_hurry(cluster, false);
        }
        cluster->context.changed(cluster->context.userdata);
        cluster_evaluate_soon(cluster);
}

static bool told(const Cluster *cluster, const Problem *problem)
{
        for (size_t i = 0; i < cluster->n_told_problems; i++)
                if (problem_is_same(&cluster->told_problems[i], problem))
                        return true;
        return false;
}

static void forget_told(Cluster *cluster)
{
        for (size_t i = 0; i < cluster->n_told_problems; i++)
                free(cluster->told_problems[i].text);
        free(cluster->told_problems);
}

/* Lag comes and goes; it is shown, not logged. */
static bool is_news(const Problem *problem)
{
        return problem->id != PROBLEM_LAG;
}

static void tell_problems(Cluster *cluster)
{
        Problem *now = ALLOC_ARRAY(Problem, cluster->topology.n_problems);
        size_t n = 0;
        LogFields fields = cluster_fields(cluster, NULL);
        for (size_t i = 0; i < cluster->topology.n_problems; i++) {
                const Problem *problem = &cluster->topology.problems[i];
                if (!is_news(problem))
                        continue;
                fields.server = problem->server >= 0 ? cluster->config->servers[problem->server].name : NULL;
                if (!told(cluster, problem))
                        log_event(EVENT_TOPOLOGY_PROBLEM, &fields, "%s: %s%s", cluster->config->name, problem->text,
                                  problem->blocks ? " (no automatic failover while this stands)" : "");
                now[n] = *problem;
                now[n++].text = alloc_string(problem->text);
        }
        fields.server = NULL;
        if (n == 0 && cluster->n_told_problems > 0)
                log_event(EVENT_TOPOLOGY_OK, &fields, "%s: no problem is left", cluster->config->name);
        forget_told(cluster);
        cluster->told_problems = now;
        cluster->n_told_problems = n;
}

Topology cluster_topology(const Cluster *cluster, int64_t max_lag)
{
        const ClusterConfig *config = cluster->config;
        CLEANUP(mem_free) TopologyServer *servers = ALLOC_ARRAY(TopologyServer, config->n_servers);
        const Json *fenced = json_get(cluster->state.root, "fenced");
        for (size_t i = 0; i < config->n_servers; i++) {
                servers[i].server = &config->servers[i];
                servers[i].view = watch_view(cluster->watches[i]);
                servers[i].addresses = watch_addresses(cluster->watches[i], &servers[i].n_addresses);
                servers[i].excused = downtime_holds(cluster, config->servers[i].name);
                servers[i].fenced = json_array_contains(fenced, config->servers[i].name);
                servers[i].fresh = servers[i].fenced && !(cluster->fence_slots && cluster->fence_slots[i].held);
        }
        return topology_read(servers, config->n_servers, json_get_string(cluster->state.root, "known_primary"),
                             max_lag);
}

static void read_topology(Cluster *cluster)
{
        topology_done(&cluster->topology);
        cluster->topology = cluster_topology(cluster, 0);
}

bool cluster_everybody_was_asked(const Cluster *cluster)
{
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const ServerView *view = watch_view(cluster->watches[i]);
                usec_t asked = watch_asked_at(cluster->watches[i]);
                bool half =
                        view->evidence == EVIDENCE_ALIVE && !server_view_is_read(view) && !server_view_refusal(view);
                if (!asked || asked < cluster->fresh_after || half)
                        return false;
        }
        return true;
}

/* Whoever has the monitor's lock on the primary is in charge: then the replicas' are left to them. */
static void set_locks(Cluster *cluster)
{
        const ClusterConfig *config = cluster->config;
        ssize_t primary = cluster->topology.primary;
        bool acts = config->failover.mode == FAILOVER_MODE_AUTOMATIC;
        bool in_charge = acts && primary >= 0 && !watch_view(cluster->watches[primary])->manager;
        for (size_t i = 0; i < config->n_servers; i++)
                watch_set_lock(cluster->watches[i], (ssize_t) i == primary && acts ? MHA_LOCK_MONITOR
                                                    : in_charge                    ? MHA_LOCK_FAILOVER
                                                                                   : MHA_LOCK_NONE);
}

/* The next process has to know which sessions were ours: a server may take a while to miss one. */
static void keep_lock_sessions(Cluster *cluster)
{
        Json *sessions = json_ensure_object(cluster->state.root, "lock_sessions");
        bool changed = false;
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const char *name = cluster->config->servers[i].name, *now = watch_lock_session(cluster->watches[i]);
                if (!*now || text_equal(json_get_string(sessions, name), now))
                        continue;
                json_set_string(sessions, name, now);
                changed = true;
        }
        if (changed)
                cluster_save(cluster);
}

/* The next process may find one of them dead, and has to know where its files are. Written with whatever else is, or at
 * leisure. */
static void keep_identities(Cluster *cluster)
{
        size_t n = cluster->config->n_servers;
        bool any = false;
        const char *known = json_get_string(cluster->state.root, "known_primary"),
                   *primary = cluster_primary_name(cluster);
        for (size_t i = 0; i < n; i++)
                any |= watch_take_new_identity(cluster->watches[i]);
        if (!any)
                return;
        CLEANUP(mem_free) Identified *servers = ALLOC_ARRAY(Identified, n);
        for (size_t i = 0; i < n; i++)
                servers[i] = (Identified){ .server = &cluster->config->servers[i],
                                           .view = watch_view(cluster->watches[i]),
                                           .primary = text_equal(cluster->config->servers[i].name,
                                                                 primary ? primary : known) };
        CLEANUP(json_free) Json *all = identities_of(servers, n);
        CLEANUP(mem_free) char *now = json_print(all);
        const Json *before = json_get(cluster->state.root, "identities");
        CLEANUP(mem_free) char *was = before ? json_print(before) : NULL;
        if (text_equal(now, was))
                return;
        json_set(cluster->state.root, "identities", TAKE(all));
        cluster->identities_unsaved = true;
}

static void note_primary(Cluster *cluster)
{
        const char *primary = cluster_primary_name(cluster);
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                watch_set_primary(cluster->watches[i], (ssize_t) i == cluster->topology.primary);
                watch_set_urgent(cluster->watches[i], false);
        }
        scripts_check_status(cluster->scripts);
        if (!primary || text_equal(primary, json_get_string(cluster->state.root, "known_primary")))
                return;
        LogFields fields = cluster_fields(cluster, primary);
        json_set_string(cluster->state.root, "known_primary", primary);
        cluster_save(cluster);
        log_event(EVENT_PRIMARY_FOUND, &fields, "%s: the primary is %s", cluster->config->name, primary);
}

static ClusterEvent what_happens(const Cluster *cluster)
{
        ssize_t primary = cluster->topology.primary;
        if (primary < 0)
                return CLUSTER_PRIMARY_UNKNOWN;
        const ServerView *view = watch_view(cluster->watches[primary]);
        return view->evidence == EVIDENCE_ALIVE ? CLUSTER_PRIMARY_ANSWERS : CLUSTER_PRIMARY_SILENT;
}

static void evaluate(void *userdata)
{
        Cluster *cluster = userdata;
        if (cluster->resume_pending) {
                runs_resume(cluster);
                return;
        }
        downtime_watch(cluster);
        pause_watch(cluster);
        read_topology(cluster);
        fenced_watch(cluster);
        keep_lock_sessions(cluster); /* also one that was taken just before a run */
        unfinished_watch(cluster);
        if (cluster->now == CLUSTER_RUNNING || cluster->now == CLUSTER_HALTED) {
                runs_watch(cluster);
                return;
        }
        bool settling = cluster->now == CLUSTER_STARTING && !cluster_everybody_was_asked(cluster);
        if (!settling)
                tell_problems(cluster);
        if (settling)
                return;
        cluster->settled = true;
        keep_identities(cluster);
        note_primary(cluster);
        fenced_pardon(cluster);
        set_locks(cluster);
        ClusterEvent event = what_happens(cluster);
        cluster_transition(cluster, event, NULL);
        if (cluster->now == CLUSTER_STEADY) {
                cluster->n_aborted = 0;
                runs_settle(cluster);
        }
        if (cluster->now == CLUSTER_SUSPECT || cluster->now == CLUSTER_HELD)
                suspect_judge(cluster);
        cluster->context.changed(cluster->context.userdata);
}

static void on_watch(Watch *watch, void *userdata)
{
        Cluster *cluster = userdata;
        const ServerView *view = watch_view(watch);
        LogFields fields = cluster_fields(cluster, watch_server(watch)->name);
        log_event(EVENT_DEBUG, &fields, "%s: %s is %s%s%s", cluster->config->name, watch_server(watch)->name,
                  evidence_to_string(view->evidence), view->evidence_text ? ": " : "",
                  view->evidence_text && view->evidence != EVIDENCE_ALIVE ? view->evidence_text : "");
        cluster_evaluate_soon(cluster);
}

static void on_witness(void *userdata)
{
        cluster_evaluate_soon(userdata);
}

static void on_slow(void *userdata)
{
        Cluster *cluster = userdata;
        timer_set_in(cluster->slow, SLOW_INTERVAL);
        if (cluster->identities_unsaved && (cluster->now == CLUSTER_STEADY || cluster->now == CLUSTER_STARTING))
                cluster_save(cluster);
        background_watch(cluster);
        cluster_purge_when_due(cluster);
        cluster_evaluate_soon(cluster);
}

static int make_exec(Cluster *cluster, Failure *reterr)
{
        const ClusterConfig *config = cluster->config;
        ExecHook hooks[SCRIPTS_MAX_HOOKS];
        size_t n = scripts_hooks(&config->hooks, hooks);
        CLEANUP(mem_free) char *rescues = text_format("%s/rescue", cluster->directory);
        ExecConfig exec = {
                .servers = config->servers,
                .n_servers = config->n_servers,
                .sql_user = config->sql.user,
                .sql_password = config->sql.password,
                .replication_password = config->replication.password,
                .tls = config->sql.tls.mode,
                .ca_file = config->sql.tls.ca_file,
                .cert_file = config->sql.tls.certificate_file,
                .key_file = config->sql.tls.key_file,
                .connect_timeout = config->ssh.connect_timeout,
                .identity = cluster->identity,
                .known_hosts_file = config->ssh.known_hosts_file,
                .accept_unknown_hosts = !config->ssh.strict_host_keys,
                .sudo = config->ssh.sudo,
                .hooks = hooks,
                .n_hooks = n,
                .rescue.directory = rescues,
                .rescue.listen = config->rescue.listen,
                .rescue.port = (uint16_t) config->rescue.listen_port,
                .resolver = cluster->context.resolver,
        };
        int r = exec_new(cluster->context.loop, &exec, &cluster->exec);
        return r < 0 ? failure_errno(reterr, r, "cluster %s", config->name) : 0;
}

void cluster_check_key(const ClusterConfig *config, Json *errors)
{
        SshIdentity *identity = NULL;
        Failure failure = { 0 };
        if (!config->ssh.enabled || !config->ssh.identity_file)
                return;
        if (ssh_identity_load(config->ssh.identity_file, &identity, &failure) < 0) {
                CLEANUP(mem_free) char *line = text_format("%s: ssh.identity_file: %s", config->file, failure.text);
                json_append_string(errors, line);
        }
        ssh_identity_free(identity);
}

static int load(Cluster *cluster, Failure *reterr)
{
        const ClusterConfig *config = cluster->config;
        CLEANUP(mem_free) char *path = text_format("%s/state.json", cluster->directory);
        int r = file_make_directory(cluster->directory, 0700, reterr);
        if (r >= 0)
                r = state_load(path, &cluster->state, reterr);
        if (r >= 0 && config->ssh.enabled && config->ssh.identity_file)
                r = ssh_identity_load(config->ssh.identity_file, &cluster->identity, reterr);
        if (r >= 0)
                r = make_exec(cluster, reterr);
        if (r >= 0)
                r = runs_open_journal(cluster, reterr);
        if (r >= 0)
                r = background_open(cluster, reterr);
        return r;
}

/* Spreads the watches of many clusters over the interval. */
static double phase_of(const Cluster *cluster, size_t i)
{
        uint32_t hash = 2166136261u;
        for (const char *c = cluster->config->name; *c; c++)
                hash = (hash ^ (unsigned char) *c) * 16777619u;
        hash = (hash ^ (uint32_t) (i * 0x9e3779b9u)) * 16777619u;
        return (double) (hash >> 8) / (double) (1u << 24);
}

int cluster_new(const ClusterContext *context, const ClusterConfig *config, Cluster **ret, Failure *reterr)
{
        CLEANUP(cluster_free) Cluster *cluster = ALLOC(Cluster);
        size_t n = config->n_servers;
        cluster->context = *context;
        cluster->config = cluster_config_copy(config);
        cluster->directory = text_format("%s/%s", context->state_directory, config->name);
        cluster->now = CLUSTER_STARTING;
        cluster->since_real = loop_now_real(context->loop);
        cluster->topology.primary = -1;
        cluster->evaluation = timer_new(context->loop, USEC_MSEC, evaluate, cluster);
        cluster->slow = timer_new(context->loop, 100 * USEC_MSEC, on_slow, cluster);
        cluster->fence_slots = ALLOC_ARRAY(FenceSlot, n);
        int r = load(cluster, reterr);
        if (r < 0)
                return r;
        cluster->witnesses = witnesses_new(context->loop, context->resolver, cluster->identity, cluster->config,
                                           on_witness, cluster);
        cluster->watches = ALLOC_ARRAY(Watch *, n);
        const Json *sessions = json_get(cluster->state.root, "lock_sessions"),
                   *identities = json_get(cluster->state.root, "identities");
        ssize_t known = cluster_find(cluster, json_get_string(cluster->state.root, "known_primary"));
        for (size_t i = 0; i < n; i++) {
                cluster->watches[i] = watch_new(context->loop, context->resolver, context->gate, cluster->config,
                                                &cluster->config->servers[i], phase_of(cluster, i), on_watch, cluster);
                watch_set_urgent(cluster->watches[i], (ssize_t) i == known);
                watch_recall(cluster->watches[i], identities);
                watch_remember_lock_session(cluster->watches[i], json_get_string(sessions, config->servers[i].name));
        }
        cluster->scripts = scripts_new(cluster);
        saved_open(cluster);
        timer_set_in(cluster->slow, SLOW_INTERVAL);
        *ret = TAKE(cluster);
        return 0;
}

Cluster *cluster_free(Cluster *cluster)
{
        if (!cluster)
                return NULL;
        timer_free(cluster->evaluation);
        timer_free(cluster->slow);
        for (size_t i = 0; cluster->watches && i < cluster->config->n_servers; i++)
                watch_free(cluster->watches[i]);
        free(cluster->watches);
        witnesses_free(cluster->witnesses);
        scripts_free(cluster->scripts);
        answers_done(cluster);
        cluster_examine_forget(cluster, NULL);
        saved_done(cluster);
        fenced_done(cluster);
        unfinished_stop(cluster);
        background_done(cluster);
        runs_done(cluster);
        exec_free(cluster->exec);
        ssh_identity_free(cluster->identity);
        topology_done(&cluster->topology);
        forget_told(cluster);
        free(cluster->told_held);
        free(cluster->told_purge);
        free(cluster->row_text);
        state_done(&cluster->state);
        free(cluster->directory);
        cluster_config_free(cluster->config);
        free(cluster);
        return NULL;
}

const char *cluster_name(const Cluster *cluster)
{
        return cluster->config->name;
}

const ClusterConfig *cluster_config(const Cluster *cluster)
{
        return cluster->config;
}

ClusterState cluster_state(const Cluster *cluster)
{
        return cluster->now;
}

bool cluster_is_healthy(const Cluster *cluster)
{
        return cluster->now == CLUSTER_STEADY && !topology_blocker(&cluster->topology);
}

static char *place_of(const Cluster *cluster, size_t i)
{
        const ClusterConfig *config = cluster->config;
        if (i >= config->n_servers)
                return server_place(&config->observers[i - config->n_servers], NULL);
        size_t n = 0;
        const char *const *addresses = watch_addresses(cluster->watches[i], &n);
        return server_place(&config->servers[i], n ? addresses[0] : NULL);
}

bool cluster_same_host(const Cluster *cluster, size_t a, size_t b)
{
        CLEANUP(mem_free) char *one = place_of(cluster, a), *other = place_of(cluster, b);
        return text_equal(one, other);
}

bool cluster_is_settling(const Cluster *cluster)
{
        return cluster->now == CLUSTER_STARTING && !cluster->settled;
}

const char *cluster_primary_host(const Cluster *cluster)
{
        ssize_t primary = cluster->topology.entries ? cluster->topology.primary : -1;
        size_t n = 0;
        const char *const *addresses = primary >= 0 ? watch_addresses(cluster->watches[primary], &n) : NULL;
        return n ? addresses[0] : primary >= 0 ? cluster->config->servers[primary].host : NULL;
}

bool cluster_may_be_replaced(const Cluster *cluster)
{
        return cluster->now != CLUSTER_RUNNING && cluster->now != CLUSTER_HALTED && !cluster->resume_pending;
}
