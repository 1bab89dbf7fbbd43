/* Beginning, resuming and ending the runs of a cluster. Owns the runbook, the journal and the reports; must never begin a
 * run while another is open. */
#include "inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "election.h"
#include "events.h"
#include "failover.h"
#include "failover_check.h"
#include "file.h"
#include "handover.h"
#include "loss.h"
#include "meanwhile.h"
#include "mha_scripts.h"
#include "report-inside.h"
#include "run.h"
#include "status.h"
#include "switchover.h"
#include "text.h"

/* How long a former run waits to hear from the old primary before it goes on, and pauses after an aborted run. */
#define RESUME_WAIT (3 * USEC_SEC)
/* After how long without a daemon it is more likely than not that somebody has helped himself. */
#define AWAY_LONG (15 * USEC_MINUTE)
#define RETRY_PAUSE (2 * USEC_SEC)
#define RETRIES_MAX 3
/* How long a server of a switchover, or the new primary of a failover, may not answer before the run is ended for it. */
#define LOST_AFTER (2 * USEC_SEC)
#define LOST_SILENT_AFTER (10 * USEC_SEC)
#define HOLD_PATIENCE (30 * USEC_SEC)
/* By then a primary that answers was asked which events it has. */
#define EVENTS_ARE_READ (10 * USEC_SEC)
/* Report hooks at a time: one that hangs must not gather all processes of the machine. */
#define TELLINGS_MAX 8
/* A host that has just answered. */
#define LISTING (5 * USEC_SEC)

static const Procedure *const procedures[] = { &failover, &switchover };

static const Procedure *find_procedure(const char *name)
{
        for (size_t i = 0; i < ARRAY_LENGTH(procedures); i++)
                if (text_equal(procedures[i]->name, name))
                        return procedures[i];
        return NULL;
}

static char *new_run_id(const Cluster *cluster)
{
        uint32_t random = 0;
        (void) !getrandom(&random, sizeof random, GRND_NONBLOCK);
        return text_format("r%llx%06x", (unsigned long long) (loop_now_real(cluster->context.loop) / USEC_MSEC),
                           (unsigned) (random & 0xffffff));
}

static void set_ms(Json *object, const char *name, usec_t duration)
{
        json_set_int(object, name, (int64_t) (duration / USEC_MSEC));
}

/* How long a host of which nothing is heard is tried for the sake of its logs: not when an operator goes on without knowing
 * what they hold. */
static usec_t ssh_patience(const Cluster *cluster, const Json *options)
{
        const RescueConfig *rescue = &cluster->config->rescue;
        if (!rescue->enabled || !cluster->config->ssh.enabled ||
            loss_is_named(json_get_string(options, "accept_loss"), LOSS_UNKNOWN))
                return 0;
        bool hold = rescue->on_unreachable_tail == RESCUE_TAIL_HOLD;
        return rescue->ssh_patience == 0 && hold ? HOLD_PATIENCE : rescue->ssh_patience;
}

/* A rung that has to wait for a host of which nothing is heard costs write time and gives nothing. */
static usec_t fence_time(const Cluster *cluster, ssize_t old, const Json *options)
{
        usec_t full = cluster->config->fence.timeout, hopeless = 400 * USEC_MSEC;
        usec_t patience = ssh_patience(cluster, options);
        int ssh = old >= 0 ? witnesses_ssh(cluster->witnesses, (size_t) old) : -1;
        bool waited = cluster->suspected_at && loop_now(cluster->context.loop) >= cluster->suspected_at + USEC_SEC;
        bool hope = cluster->config->fence.policy == FENCE_POLICY_REQUIRED || ssh == 1 || (ssh < 0 && !waited);
        usec_t time = hope || full < hopeless ? full : hopeless;
        return time > patience ? time : patience;
}

static Json *frozen_config(const Cluster *cluster, ssize_t old, const Json *options)
{
        const ClusterConfig *config = cluster->config;
        const FailoverConfig *rules = &config->failover;
        Json *json = cluster_config_to_json(config);
        Json *election = json_ensure_object(json, "election"), *timeouts = json_ensure_object(json, "timeouts");
        json_set_bool(election, "allow_newer_version", rules->allow_newer_version);
        if (rules->max_unapplied != CONFIG_NO_LIMIT && rules->max_unapplied < (UINT64_C(1) << 53))
                json_set_int(election, "max_unapplied", (int64_t) rules->max_unapplied);
        json_set_string(election, "accept_loss", json_get_string(options, "accept_loss"));
        json_set_string(json_ensure_object(json, "fence"), "command", config->fence.command);
        json_set_bool(json_ensure_object(json, "replication"), "has_password", config->replication.password != NULL);
        usec_t fence = fence_time(cluster, old, options);
        set_ms(timeouts, "fence-address", fence);
        set_ms(timeouts, "fence-process", fence);
        set_ms(timeouts, "end-candidate", config->fence.timeout);
        set_ms(timeouts, "stop-receivers", 3 * USEC_SEC);
        set_ms(timeouts, "find-tail", LISTING);
        set_ms(timeouts, "collect-tail", rules->apply_timeout);
        set_ms(timeouts, "collect-relay-logs", rules->apply_timeout);
        set_ms(timeouts, "settle-candidate", rules->apply_timeout);
        set_ms(timeouts, "rescue-candidate", rules->apply_timeout);
        set_ms(timeouts, "drain-donor", rules->apply_timeout);
        set_ms(timeouts, "feed-candidate", rules->apply_timeout);
        set_ms(timeouts, "drain-candidate", rules->apply_timeout);
        set_ms(timeouts, "detach-candidate", 90 * USEC_SEC);
        set_ms(timeouts, "repoint-replicas", rules->repoint_timeout);
        set_ms(timeouts, "demote", rules->repoint_timeout);
        set_ms(timeouts, "verify-replication", rules->repoint_timeout);
        set_ms(timeouts, "raise-sub-replicas", rules->repoint_timeout);
        set_ms(timeouts, "verify-sub-replicas", rules->repoint_timeout);
        set_ms(timeouts, "catch-up", rules->apply_timeout);
        set_ms(timeouts, "catch-up-once-more", rules->apply_timeout);
        /* One that takes longer for this does not keep up: it would hold the block up as long, and longer. */
        set_ms(timeouts, "catch-up-again", config->switchover.max_write_block / 2);
        static const char *const block[] = { "block-writes", "give-address",      "reach-end",    "end-clients",
                                             "end-waiting",  "give-address-late", "still-blocked" };
        for (size_t i = 0; i < ARRAY_LENGTH(block); i++)
                set_ms(timeouts, block[i], config->switchover.max_write_block);
        set_ms(timeouts, "end-late-sessions", usec_add(config->switchover.kill_grace, 10 * USEC_SEC));
        static const char *const hooks[] = { "check-hooks", "prepare-hook",    "stop-hook",         "shutdown-hook",
                                             "start-hook",  "abort-stop-hook", "abort-prepare-hook" };
        for (size_t i = 0; i < ARRAY_LENGTH(hooks); i++)
                set_ms(timeouts, hooks[i], usec_add(config->hooks.timeout, 5 * USEC_SEC));
        return json;
}

static Json *server_facts(const Cluster *cluster, size_t i)
{
        Json *json = server_to_json(&cluster->config->servers[i]);
        CLEANUP(json_free) Json *view = server_view_to_json(watch_view(cluster->watches[i]));
        json_merge(json, view);
        const Json *events = json_get(cluster->state.root, "events_of");
        if (text_equal(json_get_string(events, "server"), cluster->config->servers[i].name))
                json_merge(json, json_get(events, "known"));
        size_t n = 0;
        const char *const *addresses = watch_addresses(cluster->watches[i], &n);
        if (n)
                json_set_string(json, "address", addresses[0]);
        CLEANUP(mem_free) char *place = server_place(&cluster->config->servers[i], n ? addresses[0] : NULL);
        json_set_string(json, "place", place);
        CLEANUP(mem_free) char *downtime = downtime_why(cluster, cluster->config->servers[i].name);
        json_set_string(json, "downtime", downtime);
        return json;
}

static Json *verdict_facts(const Cluster *cluster)
{
        Json *verdict = json_object();
        json_set_string(verdict, "row", cluster->row ? cluster->row->id : "told");
        json_set_string(verdict, "text", cluster->row ? cluster->row->sentence : "an operator said so");
        json_set_string(verdict, "evidence", cluster->row_text);
        return verdict;
}

static void set_time(Json *times, const char *name, usec_t real)
{
        if (real)
                json_set_int(times, name, (int64_t) real);
}

/* Who follows whom; and replicas of replicas, when they are to follow the new primary itself. */
static void add_tiers(const Cluster *cluster, const Json *options, Facts *facts)
{
        const Topology *topology = &cluster->topology;
        Json *servers = json_get_mutable(facts->root, "servers");
        const char *told = json_get_string(options, "multi_tier");
        SwitchoverTier tier = told ? switchover_tier_from_string(told) : cluster->config->switchover.multi_tier;
        for (size_t i = 0; topology->entries && i < cluster->config->n_servers; i++) {
                const char *name = cluster->config->servers[i].name;
                ssize_t source = topology->entries[i].source;
                const ReplicaChannel *channel = server_view_channel(watch_view(cluster->watches[i]));
                Json *server = json_ensure_object(servers, name);
                if (source >= 0)
                        json_set_string(server, "follows", cluster->config->servers[source].name);
                if (source >= 0 && channel)
                        json_set(server, "follows_at", status_follows_at(channel));
                if (tier == SWITCHOVER_TIER_FOLLOW && topology->entries[i].role == ROLE_SUB_REPLICA)
                        json_append_string(json_ensure_array(facts->root, "sub_replicas"), name);
        }
}

Facts runs_facts(const Cluster *cluster, const char *old_primary, const Json *options, const char *procedure)
{
        CLEANUP(mem_free) char *run = new_run_id(cluster);
        ssize_t old = cluster_find(cluster, old_primary);
        Facts facts = facts_new(cluster->config->name, run, procedure);
        Json *order = json_get_mutable(facts.root, "order"), *servers = json_get_mutable(facts.root, "servers");
        Json *replicas = json_ensure_array(facts.root, "replicas"),
             *left_out = json_ensure_array(facts.root, "left_out");
        json_set(facts.root, "config", frozen_config(cluster, old, options));
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const char *name = cluster->config->servers[i].name;
                json_append_string(order, name);
                json_set(servers, name, server_facts(cluster, i));
                if ((ssize_t) i == old)
                        continue;
                const ServerView *view = watch_view(cluster->watches[i]);
                bool alive = view->evidence == EVIDENCE_ALIVE;
                if (alive && old >= 0 && cluster->topology.entries && cluster->topology.entries[i].source == old)
                        json_append_string(replicas, name);
                else if (!server_view_is_read(view)) /* what it has nobody knows */
                        json_append_string(left_out, name);
        }
        if (old >= 0 && witnesses_ssh(cluster->witnesses, (size_t) old) == 1)
                json_set_bool(json_get_mutable(servers, old_primary), "ssh_works", true);
        add_tiers(cluster, options, &facts);
        json_set_string(facts.root, "old_primary", old_primary);
        json_set_string(facts.root, "told_candidate", json_get_string(options, "to"));
        json_set_string(facts.root, "ordered_by", json_get_string(options, "by"));
        json_set_bool(facts.root, "no_demote", json_get_bool(options, "no_demote", false));
        if (!text_equal(procedure, switchover.name))
                json_set(facts.root, "verdict", verdict_facts(cluster));
        json_set_bool(facts.root, "unreachable_for_all", cluster->unanimous);
        json_set_int(facts.root, "epoch", json_get_int(cluster->state.root, "epoch", 0) + 1);
        Json *times = json_ensure_object(facts.root, "times");
        if (!text_equal(procedure, switchover.name)) {
                set_time(times, "last_good", cluster->last_good_real);
                set_time(times, "suspected", cluster->suspected_real);
                set_time(times, "verdict", loop_now_real(cluster->context.loop));
        }
        return facts;
}

Json *runs_if_primary_died(const Cluster *cluster)
{
        Json *result = json_object();
        const char *primary = cluster_primary_name(cluster);
        if (!primary) {
                json_set_string(result, "why", "nobody knows which server is the primary");
                return result;
        }
        CLEANUP(facts_done) Facts facts = runs_facts(cluster, primary, NULL, "failover");
        json_free(result);
        return failover_forecast(&facts, TAIL_UNKNOWN);
}

static bool is_failover(const Cluster *cluster)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        return !facts->root || !text_equal(facts_string(facts, "procedure"), switchover.name);
}

/* Once the candidate is open the flap guard holds, whatever becomes of the run and of this process. */
static void note_failover(Cluster *cluster, const Facts *facts, const char *outcome)
{
        Json *last = json_ensure_object(cluster->state.root, "last_failover");
        json_set_string(last, "run", facts_string(facts, "run"));
        json_set_int(last, "time", (int64_t) loop_now_real(cluster->context.loop));
        json_set_string(last, "outcome", outcome);
        json_set_string(last, "old_primary", facts_string(facts, "old_primary"));
        json_set_string(last, "new_primary", facts_string(facts, "candidate"));
        json_set(cluster->state.root, "acknowledged", NULL);
        json_set_int(cluster->state.root, "epoch", json_get_int(facts->root, "epoch", 1));
}

static void on_event(const RunEvent *event, void *userdata)
{
        Cluster *cluster = userdata;
        LogFields fields = cluster_fields(cluster, event->server && *event->server ? event->server : NULL);
        fields.step = event->step ? event->step->name : NULL; /* undoing is about the whole run */
        const char *why = event->why ? event->why : "";
        const char *name = cluster->config->name, *server = event->server ? event->server : "";
        const char *colon = *server ? ": " : "";
        if (event->kind == RUN_EVENT_TARGET_SETTLED && event->verdict == VERDICT_MET &&
            (text_equal(event->step->name, "move-address") || text_starts_with(event->step->name, "give-address") ||
             text_equal(event->step->name, "keep-address")))
                json_set_string(cluster->state.root, "address_on", server);
        switch (event->kind) {
        case RUN_EVENT_STEP_STARTED:
                log_event(EVENT_STEP_STARTED, &fields, "%s: step %zu of %zu, %s: %s", name, event->number, event->total,
                          event->step->name, event->step->goal);
                break;
        case RUN_EVENT_PROGRESS:
                log_event(EVENT_DEBUG, &fields, "%s: %s: %s%s%s", name, event->step->name, server, colon, why);
                break;
        case RUN_EVENT_TARGET_SETTLED:
        case RUN_EVENT_DECIDED:
                if (event->verdict == VERDICT_MET)
                        log_event(EVENT_STEP_DONE, &fields, "%s: %s: %s%s%s", name, event->step->name, server, colon,
                                  why);
                else
                        log_event(EVENT_STEP_FAILED, &fields, "%s: %s: %s%s%s: %s", name, event->step->name, server,
                                  colon, verdict_to_string(event->verdict), why);
                break;
        case RUN_EVENT_STEP_SKIPPED:
                break;
        case RUN_EVENT_STEP_ENDED:
                if (text_equal(event->step->name, "open-candidate") && event->verdict == VERDICT_MET) {
                        const char *opened = facts_string(runbook_facts(cluster->runbook), "candidate");
                        cluster->run_opened = true;
                        /* It may be started again in the middle of it. */
                        if (is_failover(cluster) || !skip_demote(runbook_facts(cluster->runbook)))
                                fenced_add(cluster, cluster->run_old);
                        cluster->fresh_after = loop_now(cluster->context.loop);
                        if (is_failover(cluster)) {
                                note_failover(cluster, runbook_facts(cluster->runbook), "running");
                        }
                        json_set_string(cluster->state.root, "known_primary", opened);
                        fenced_remove(cluster, opened); /* which saves */
                }
                break;
        case RUN_EVENT_UNDOING:
                log_event(EVENT_WARNING, &fields, "%s: undoing: %s", name, why);
                break;
        }
}

struct Telling {
        Cluster *cluster;
        ExecJob *job;
        Telling *next;
};

static void forget_telling(Telling *telling)
{
        Telling **at = &telling->cluster->tellings;
        while (*at != telling)
                at = &(*at)->next;
        *at = telling->next;
        free(telling);
}

static void on_report_hook(Replies *replies, void *userdata)
{
        Telling *telling = userdata;
        Cluster *cluster = telling->cluster;
        LogFields fields = cluster_fields(cluster, NULL);
        const Reply *reply = replies_at(replies, 0);
        forget_telling(telling);
        if (replies->failure.kind != FAILURE_NONE || reply->exit_status != 0)
                log_event(EVENT_WARNING, &fields, "%s: the report hook failed: %s", cluster->config->name,
                          replies->failure.kind != FAILURE_NONE ? replies->failure.text : "exit status not 0");
        replies_free(replies);
}

static size_t count_tellings(const Cluster *cluster)
{
        size_t n = 0;
        for (const Telling *telling = cluster->tellings; telling; telling = telling->next)
                n++;
        return n;
}

/* Beside those that still run: what each is told is about another run. */
static void tell_report_hook(Cluster *cluster, const Json *report, const Facts *facts)
{
        CLEANUP(script_done) Script script = { 0 };
        if (cluster->config->hooks.report) {
                Json *input = json_copy(report);
                json_set_string(input, "hook", "report");
                script_hook(&script, "report", input);
        }
        mha_ask_report(facts, report, cluster->config->file, &script);
        if (script_is_empty(&script))
                return;
        if (count_tellings(cluster) >= TELLINGS_MAX) {
                LogFields fields = cluster_fields(cluster, NULL);
                log_event(EVENT_WARNING, &fields,
                          "%s: the report hook is not told of run %s: it is still busy with %d reports before",
                          cluster->config->name, facts_string(facts, "run"), TELLINGS_MAX);
                return;
        }
        Telling *telling = ALLOC(Telling);
        *telling = (Telling){ .cluster = cluster, .next = cluster->tellings };
        cluster->tellings = telling;
        telling->job = exec_run(cluster->exec, NULL, "report", &script,
                                usec_add(loop_now(cluster->context.loop), cluster->config->hooks.timeout),
                                on_report_hook, telling);
}

static void write_report(Cluster *cluster, const Json *run, const Facts *facts, RunOutcome outcome)
{
        CLEANUP(json_free) Json *report = past_keep_report(cluster, run, facts, outcome);
        tell_report_hook(cluster, report, facts);
        mail_report(cluster, report);
        json_set(cluster->state.root, "last_run", report_to_history(report));
}

void runs_report(Cluster *cluster, const Json *run, const Facts *facts, RunOutcome outcome)
{
        write_report(cluster, run, facts, outcome);
        cluster_save(cluster);
}

/* In a failover: who was told to take writes, whatever was heard of it. NULL: nobody. */
static const char *told_to_open(const Cluster *cluster)
{
        const Run *run = runbook_run(cluster->runbook);
        const RunStep *opening = run ? run_no_return_step(run) : NULL;
        for (size_t i = 0; opening && i < opening->n_targets; i++)
                if (opening->targets[i].intent)
                        return opening->targets[i].server;
        return run ? NULL : cluster->run_new;
}

static bool is_open(const Cluster *cluster)
{
        const Run *run = runbook_run(cluster->runbook);
        const RunStep *opening = run ? run_no_return_step(run) : NULL;
        return opening && opening->state == STEP_DONE;
}

/* The run stands still, or was given up, and nobody knows whether the new primary takes writes: as long as it may, the old one
 * must not; and when nobody goes on with it, it must not either, but when it was seen that it does. */
static void note_unconfirmed(Cluster *cluster, RunOutcome outcome)
{
        const char *opened = is_failover(cluster) && outcome != RUN_COMPLETED ? told_to_open(cluster) : NULL;
        ssize_t i = cluster_find(cluster, opened);
        if (!opened)
                return;
        cluster->run_opened = true;
        fenced_add(cluster, cluster->run_old);
        if (outcome != RUN_ABORTED || is_open(cluster))
                return;
        const ServerView *view = i >= 0 ? watch_view(cluster->watches[i]) : NULL;
        if (view && view->evidence == EVIDENCE_ALIVE && view->ticked && !view->read_only)
                json_set_string(cluster->state.root, "known_primary", opened);
        else
                fenced_add(cluster, opened);
}

/* A candidate that may have been opened, or whose host may still have the address, may come back as what it must not be. */
static void note_candidate(Cluster *cluster, const Json *run, RunOutcome outcome)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        const char *candidate = facts->root ? facts_string(facts, "candidate") : NULL;
        const char *withdrawn = json_get_string(report_step(run, "withdraw-address"), "state");
        if (!is_failover(cluster) && outcome != RUN_COMPLETED && candidate &&
            (text_equal(withdrawn, "failed") || json_get_bool(facts->root, "opening", false)))
                fenced_add(cluster, candidate);
}

/* What is to run on the new primary, until that was asked for it: it may die before. */
static void keep_events(Cluster *cluster)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        Json *known = cluster->run_opened && facts->root ? events_to_know(facts) : NULL;
        if (!known)
                return;
        Json *events = json_ensure_object(cluster->state.root, "events_of");
        json_set_string(events, "server", facts_string(facts, "candidate"));
        json_set(events, "known", known);
}

void runs_settle(Cluster *cluster)
{
        usec_t now = loop_now_real(cluster->context.loop);
        if (!json_has(cluster->state.root, "events_of") || usec_sub(now, cluster->since_real) < EVENTS_ARE_READ)
                return;
        json_set(cluster->state.root, "events_of", NULL);
        cluster_save(cluster);
}

static void remember(Cluster *cluster, RunOutcome outcome)
{
        keep_events(cluster);
        if (is_failover(cluster) && (outcome == RUN_COMPLETED || cluster->run_opened))
                note_failover(cluster, runbook_facts(cluster->runbook), run_outcome_to_string(outcome));
        if (is_failover(cluster) && outcome == RUN_COMPLETED && cluster->config->failover.remove_dead_primary)
                downtime_remove_dead(cluster, cluster->run_old, runbook_id(cluster->runbook));
        cluster_save(cluster);
}

/* Whether the report of a run that has ended (outcome NULL: in whatever way) was made, also when a rejoin was the last run
 * since. */
static bool is_told(Cluster *cluster, const char *id, const char *outcome)
{
        const Json *last = json_get(cluster->state.root, "last_run");
        CLEANUP(json_free) Json *answer = NULL;
        if (text_equal(json_get_string(last, "run"), id))
                return !outcome || text_equal(json_get_string(last, "outcome"), outcome);
        if (cluster_report(cluster, id, &answer, NULL) < 0)
                return false;
        CLEANUP(json_free) Json *told = report_to_history(json_get(answer, "report"));
        return json_get_int(last, "started", 0) > json_get_int(told, "started", 0);
}

static void forget_run(Cluster *cluster)
{
        cluster->runbook = runbook_free(cluster->runbook);
        free(TAKE(cluster->run_old));
        free(TAKE(cluster->run_new));
        cluster->run_opened = false;
        saved_run_ended(cluster);
        Failure failure = { 0 };
        LogFields fields = cluster_fields(cluster, NULL);
        if (journal_compact(cluster->journal, cluster->config->failover.keep_runs, &failure) < 0)
                log_event(EVENT_ERROR, &fields, "%s: %s", cluster->config->name, failure.text);
        past_forget(cluster);
}

/* The run is over, but perhaps not all that it was about. */
static void leave_behind(Cluster *cluster, const Json *run)
{
        CLEANUP(facts_done) Facts facts = facts_copy(runbook_facts(cluster->runbook));
        bool failed_over = is_failover(cluster);
        forget_run(cluster);
        background_drop(cluster);
        if (failed_over && !facts_string(&facts, "lost"))
                background_attach(cluster, &facts, run);
}

/* What a rejoin will want to know, unless it follows the new primary already. An operator who wanted it detached may do with
 * it what he likes. */
static void note_old_primary(Cluster *cluster, RunOutcome outcome)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        bool switched = !is_failover(cluster);
        if (!cluster->run_opened || (switched ? outcome != RUN_COMPLETED : !is_open(cluster)))
                return;
        ssize_t old = cluster_find(cluster, cluster->run_old);
        bool alive = old >= 0 && watch_view(cluster->watches[old])->evidence == EVIDENCE_ALIVE;
        bool attached = facts_server_bool(facts, cluster->run_old, "attached", false) || facts_string(facts, "lost");
        if (!switched || !attached)
                background_note_returning(cluster, facts);
        if (switched && attached && alive)
                fenced_remove(cluster, cluster->run_old);
        else if (switched && !skip_demote(facts))
                fenced_add(cluster, cluster->run_old);
}

/* What an operator can do. */
static char *advice(const Cluster *cluster, const Json *run)
{
        const char *name = cluster->config->name;
        const Run *halted = runbook_run(cluster->runbook);
        if (halted && halted->halted && !run_blocking_step(halted))
                return text_format(
                        "Look at the servers. When they are as they are to be, or another failover is to begin, "
                        "type: mhactl run abandon %s, which changes nothing; when this one is to go on: mhactl "
                        "run retry %s; when it is to be undone: mhactl cancel %s",
                        name, name, name);
        if (!text_equal(json_get_string(run, "step"), "candidate-closed"))
                return text_format("Mend it and type: mhactl run retry %s; or: mhactl run abandon %s", name, name);
        const char *candidate = facts_string(runbook_facts(cluster->runbook), "candidate");
        return text_format(
                "%s was told to take writes and may do so: until it is certain that it does not, %s stays "
                "read-only. When %s answers again, type: mhactl run retry %s; when its database, or its host, "
                "is certainly off: mhactl run override %s --server %s --verdict met --reason TEXT",
                candidate, cluster->run_old, candidate, name, name, candidate);
}

/* All that follows from the end of a run is on disk, or under way with a journal of its own. */
static void note_settled(Cluster *cluster, const char *id)
{
        json_set_string(cluster->state.root, "settled_run", id);
        cluster_save(cluster);
}

static bool is_settled(Cluster *cluster, const char *id)
{
        const char *settled = json_get_string(cluster->state.root, "settled_run");
        return settled ? text_equal(settled, id) : is_told(cluster, id, NULL);
}

/* Also for a run that has ended under a former process, which may have done some of this. */
static void on_done(Runbook *runbook, RunOutcome outcome, const char *why, void *userdata)
{
        Cluster *cluster = userdata;
        LogFields fields = cluster_fields(cluster, NULL);
        const char *name = cluster->config->name;
        CLEANUP(json_free) Json *run = runbook_describe(cluster->runbook);
        /* One that could not be read and was abandoned has no id any more. */
        const char *known = runbook_id(cluster->runbook);
        CLEANUP(mem_free) char *id = alloc_string(known ? known : journal_last_run(cluster->journal));
        exec_cool(cluster->exec, id);
        if (outcome == RUN_HALTED || !is_told(cluster, id, run_outcome_to_string(outcome)))
                write_report(cluster, run, runbook_facts(cluster->runbook), outcome);
        note_unconfirmed(cluster, outcome);
        note_old_primary(cluster, outcome);
        note_candidate(cluster, run, outcome);
        if (!is_failover(cluster) && outcome == RUN_ABORTED)
                unfinished_note(cluster, run);
        remember(cluster, outcome);
        switch (outcome) {
        case RUN_COMPLETED:
                cluster->n_aborted = 0;
                log_event(EVENT_RUN_COMPLETED, &fields, "%s: the run is complete: %s", name,
                          json_get_string(json_get(cluster->state.root, "last_run"), "summary"));
                leave_behind(cluster, run);
                note_settled(cluster, id);
                cluster_transition(cluster, CLUSTER_RUN_COMPLETED, why);
                break;
        case RUN_ABORTED:
                if (is_failover(cluster)) {
                        cluster->n_aborted++;
                        cluster->retry_at = usec_add(loop_now(cluster->context.loop),
                                                     cluster->n_aborted >= RETRIES_MAX ? USEC_MINUTE : RETRY_PAUSE);
                }
                log_event(EVENT_RUN_ABORTED, &fields, "%s: the run was given up and undone: %s", name, why);
                forget_run(cluster);
                note_settled(cluster, id);
                cluster_transition(cluster, CLUSTER_RUN_ABORTED, why);
                break;
        case RUN_HALTED: {
                CLEANUP(mem_free) char *what = advice(cluster, run);
                log_event(EVENT_RUN_HALTED, &fields, "%s: the run cannot go on by itself: %s. %s", name, why, what);
                cluster_transition(cluster, CLUSTER_RUN_HALTED, why);
                break;
        }
        case _RUN_OUTCOME_MAX:
        case _RUN_OUTCOME_INVALID:
                break;
        }
}

static int begin(Cluster *cluster, const Procedure *procedure, const Json *options, Failure *reterr)
{
        const char *old = cluster_primary_name(cluster);
        LogFields fields = cluster_fields(cluster, old);
        background_pause(cluster, "another run begins");
        unfinished_stop(cluster);
        Facts facts = runs_facts(cluster, old, options, procedure->name);
        if (procedure == &failover)
                background_add_left_behind(cluster, &facts);
        cluster->runbook = runbook_new(cluster->context.loop, cluster->exec, cluster->journal, procedure, on_event,
                                       on_done, cluster);
        cluster->run_old = alloc_string(old);
        cluster->run_opened = false;
        int r = runbook_begin(cluster->runbook, facts, reterr);
        if (r < 0) {
                cluster->runbook = runbook_free(cluster->runbook);
                free(cluster->run_old);
                cluster->run_old = NULL;
                return r;
        }
        fields.run = runbook_id(cluster->runbook);
        log_event(EVENT_RUN_STARTED, &fields, "%s: %s begins: primary %s is to be replaced", cluster->config->name,
                  procedure->name, old);
        cluster_transition(cluster, CLUSTER_RUN_BEGUN, NULL);
        return 0;
}

int runs_failover(Cluster *cluster, const Json *options, Failure *reterr)
{
        return begin(cluster, &failover, options, reterr);
}

int runs_switchover(Cluster *cluster, const Json *options, Failure *reterr)
{
        return begin(cluster, &switchover, options, reterr);
}

static void tell_torn(const Cluster *cluster, const char *path)
{
        LogFields fields = cluster_fields(cluster, NULL);
        log_event(EVENT_WARNING, &fields,
                  "%s: the end of %s was torn, as by a crash of this host: %zu bytes were cut off, which nothing "
                  "relied on; "
                  "a run that was under way asks its servers again",
                  cluster->config->name, path, journal_torn(cluster->journal));
}

int runs_open_journal(Cluster *cluster, Failure *reterr)
{
        CLEANUP(mem_free) char *reports = text_format("%s/reports", cluster->directory);
        CLEANUP(mem_free) char *path = text_format("%s/journal", cluster->directory);
        int r = file_make_directory(reports, 0700, reterr);
        if (r >= 0)
                r = journal_open(path, cluster->config->name, &cluster->journal, reterr);
        if (r < 0)
                return r;
        if (journal_torn(cluster->journal) > 0)
                tell_torn(cluster, path);
        const char *last = journal_last_run(cluster->journal);
        if (journal_open_run(cluster->journal) || (last && !is_settled(cluster, last))) {
                cluster->resume_pending = true;
                cluster->resume_by = usec_add(loop_now(cluster->context.loop), RESUME_WAIT);
                timer_set_in(cluster->evaluation, 0);
        }
        return 0;
}

typedef struct Opening {
        Json *initial;
        char *opened; /* who was told to take writes; NULL: nobody */
        bool detaching;
        usec_t last; /* when the last record was written, by the wall clock */
} Opening;

static int read_opening(const Json *record, void *userdata)
{
        Opening *opening = userdata;
        const char *kind = json_get_string(record, "kind");
        if (!opening->initial && json_has(json_get(record, "data"), "facts"))
                opening->initial = json_copy(json_get(json_get(record, "data"), "facts"));
        const char *step = text_equal(kind, "intent") ? json_get_string(record, "step") : NULL;
        if (!opening->opened && text_equal(step, "open-candidate"))
                opening->opened = alloc_string(json_get_string(record, "server"));
        opening->detaching |= text_equal(step, "detach-candidate");
        opening->last = (usec_t) json_get_int(record, "time", 0);
        return 0;
}

/* Longer than what was under way could have taken, and some more. */
static bool was_long_ago(const Run *run, usec_t last, usec_t now)
{
        usec_t longest = 0;
        size_t first = 0, end = 0;
        (void) run_current_group(run, &first, &end);
        for (size_t i = first; i < end; i++) {
                usec_t timeout = step_timeout(run->steps[i].step, &run->facts);
                longest = timeout > longest ? timeout : longest;
        }
        return usec_sub(now, last) > usec_add(longest, AWAY_LONG);
}

/* Why a failover that has opened nobody must not simply go on; NULL when it may. */
static char *why_not(const Cluster *cluster, const Opening *opening, Json **ret_learned)
{
        CLEANUP(run_free) Run *run = NULL;
        if (run_load(cluster->journal, journal_open_run(cluster->journal), &failover, &run, NULL) < 0 || run->halted)
                return NULL;
        CLEANUP(topology_done) Topology topology = cluster_topology(cluster, 0);
        size_t n = cluster->config->n_servers;
        CLEANUP(mem_free) Present *servers = ALLOC_ARRAY(Present, n);
        for (size_t i = 0; i < n; i++)
                servers[i] = (Present){ .name = cluster->config->servers[i].name,
                                        .view = watch_view(cluster->watches[i]),
                                        .primary = (ssize_t) i == topology.primary };
        CLEANUP(mem_free) char *done = meanwhile_done(&run->facts, opening->detaching, servers, n);
        if (done) {
                *ret_learned = meanwhile_learned(opening->detaching);
                return text_format("the cluster was changed while mhad was away: %s", done);
        }
        usec_t now = loop_now_real(cluster->context.loop);
        if (!was_long_ago(run, opening->last, now))
                return NULL;
        CLEANUP(mem_free) char *time = usec_format_human(usec_sub(now, opening->last));
        return text_format("mhad was away in the middle of it, for %s: somebody may have done something else", time);
}

/* Its former process ended before all that follows from its end was on disk. */
static void settle(Cluster *cluster, const char *id)
{
        Failure failure = { 0 };
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = id;
        if (runbook_report_ended(cluster->runbook, id, &failure) < 0) {
                log_event(EVENT_ERROR, &fields,
                          "%s: what follows from the end of the last run cannot be done: %s. Look whether all servers "
                          "are as they are to be",
                          cluster->config->name, failure.text);
                note_settled(cluster, id);
                forget_run(cluster);
                return;
        }
        log_event(EVENT_RUN_RESUMED, &fields,
                  "%s: the last daemon ended with a run: what follows from its end is done now", cluster->config->name);
        cluster_transition(cluster, CLUSTER_RUN_BEGUN, NULL);
}

/* A former run goes on as soon as the old primary was asked once (it may be back), and all others when nobody is open yet; or
 * could not be asked for a while. */
void runs_resume(Cluster *cluster)
{
        Opening opening = { 0 };
        const char *open = journal_open_run(cluster->journal), *id = open ? open : journal_last_run(cluster->journal);
        (void) journal_replay(cluster->journal, id, read_opening, &opening);
        CLEANUP(json_free) Json *initial = opening.initial;
        CLEANUP(mem_free) char *opened = opening.opened;
        const char *old = json_get_string(initial, "old_primary"), *name = json_get_string(initial, "procedure");
        ssize_t i = cluster_find(cluster, old);
        usec_t now = loop_now(cluster->context.loop);
        bool waits = !text_equal(name, switchover.name); /* whose clients may be waiting */
        bool asked = opened ? i < 0 || watch_asked_at(cluster->watches[i]) : cluster_everybody_was_asked(cluster);
        if (waits && now < cluster->resume_by && !asked) {
                timer_set(cluster->evaluation, cluster->resume_by);
                return;
        }
        cluster->resume_pending = false;
        CLEANUP(json_free) Json *learned = NULL;
        CLEANUP(mem_free) char *why = open && waits && !opened ? why_not(cluster, &opening, &learned) : NULL;
        Failure failure = { 0 };
        const Procedure *procedure = find_procedure(name ? name : failover.name);
        cluster->run_old = alloc_string(old);
        cluster->run_opened = opened != NULL;
        /* The former process may have ended before it could note what the opening means. */
        if (opened && waits) {
                cluster->run_new = TAKE(opened);
                fenced_add(cluster, old);
                cluster_save(cluster);
        }
        cluster->runbook = runbook_new(cluster->context.loop, cluster->exec, cluster->journal,
                                       procedure ? procedure : &failover, on_event, on_done, cluster);
        if (!open) {
                settle(cluster, id);
                return;
        }
        LogFields fields = cluster_fields(cluster, NULL);
        int r = why ? runbook_resume_halted(cluster->runbook, why, learned, &failure)
                    : runbook_resume(cluster->runbook, &failure);
        fields.run = runbook_id(cluster->runbook);
        if (r < 0) {
                log_event(EVENT_RUN_HALTED, &fields, "%s: the run that the last daemon left cannot go on: %s",
                          cluster->config->name, failure.text);
                cluster_transition(cluster, CLUSTER_RUN_HALTED, failure.text);
                return;
        }
        if (!why)
                log_event(EVENT_RUN_RESUMED, &fields, "%s: going on with the run that the last daemon left open",
                          cluster->config->name);
        if (cluster->run_opened && is_failover(cluster)) {
                note_failover(cluster, runbook_facts(cluster->runbook), "running");
                cluster_save(cluster);
        }
        cluster_transition(cluster, CLUSTER_RUN_BEGUN, NULL);
        runs_watch(cluster);
}

/* When one that is gone has been so for as long as it takes to be sure; USEC_INFINITY when it is not. A refusal tells more than
 * silence, which may be the network's. */
static usec_t lost_at(const Cluster *cluster, const char *server, usec_t silence)
{
        ssize_t i = cluster_find(cluster, server);
        const ServerView *view = i >= 0 ? watch_view(cluster->watches[i]) : NULL;
        if (!view || view->evidence == EVIDENCE_ALIVE || view->evidence == EVIDENCE_ERROR ||
            view->evidence == EVIDENCE_UNKNOWN)
                return USEC_INFINITY;
        return usec_add(view->evidence_since, view->evidence == EVIDENCE_REFUSED ? LOST_AFTER : silence);
}

static bool is_lost(const Cluster *cluster, const char *server)
{
        return loop_now(cluster->context.loop) >= lost_at(cluster, server, LOST_AFTER);
}

static void lose(Cluster *cluster, const char *lost)
{
        LogFields fields = cluster_fields(cluster, NULL);
        CLEANUP(mem_free) char *why = text_format("%s does not answer any more", lost);
        if (runbook_lose(cluster->runbook, lost, why, NULL) >= 0)
                log_event(EVENT_WARNING, &fields, "%s: %s", cluster->config->name, why);
}

/* A switchover with one of the two dead cannot get anywhere: it must not stand in the way of a failover. */
static void watch_switchover(Cluster *cluster)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        const char *candidate = facts->root ? facts_string(facts, "candidate") : NULL;
        bool old_lost = is_lost(cluster, cluster->run_old);
        const char *lost = candidate && is_lost(cluster, candidate) ? candidate
                           : !cluster->run_opened && old_lost       ? cluster->run_old
                                                                    : NULL;
        /* Not the candidate: that it has not got the address must be asked until the time for that is out. */
        runbook_set_lost(cluster->runbook, old_lost ? cluster->run_old : NULL);
        if (lost)
                lose(cluster, lost);
}

/* Nor can a failover when the new primary has died just after its opening. */
static void watch_new_primary(Cluster *cluster)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        const char *candidate = facts->root ? facts_string(facts, "candidate") : NULL;
        usec_t at = candidate && is_open(cluster) ? lost_at(cluster, candidate, LOST_SILENT_AFTER) : USEC_INFINITY;
        if (loop_now(cluster->context.loop) >= at)
                lose(cluster, candidate);
        else if (at != USEC_INFINITY)
                timer_set(cluster->evaluation, at);
}

/* Whether it may take writes. An error is an answer, too, unless it is that of one that goes down, as when it is fenced. */
static bool lives(const ServerView *view)
{
        if (view->evidence != EVIDENCE_ERROR)
                return view->evidence == EVIDENCE_ALIVE && view->ticked && !view->read_only;
        return !evidence_errno_is_going_down(view->evidence_code);
}

/* Nothing is changed for good before the opening: when a dead primary answers after all, it stays the primary. */
void runs_watch(Cluster *cluster)
{
        ssize_t i = cluster_find(cluster, cluster->run_old);
        if (cluster->runbook && cluster->now == CLUSTER_RUNNING)
                (is_failover(cluster) ? watch_new_primary : watch_switchover)(cluster);
        if (!cluster->runbook || cluster->run_opened || i < 0 || !is_failover(cluster))
                return;
        const ServerView *view = watch_view(cluster->watches[i]);
        /* Whether it is to be the primary again is for those to say who have made another one. */
        const Run *run = runbook_run(cluster->runbook);
        bool theirs = run && run->halted && json_has(run->facts.root, "meanwhile");
        if (theirs || !lives(view))
                return;
        bool error = view->evidence == EVIDENCE_ERROR;
        CLEANUP(mem_free)
        char *why = text_format("%s answers again%s%s", cluster->run_old, error ? ", with an error: " : "",
                                error && view->evidence_text ? view->evidence_text : "");
        (void) runbook_cancel(cluster->runbook, "mhad", why, NULL);
}

void runs_done(Cluster *cluster)
{
        for (Telling *telling = cluster->tellings, *next; telling; telling = next) {
                next = telling->next;
                exec_leave(telling->job);
                free(telling);
        }
        cluster->tellings = NULL;
        mail_done(cluster);
        cluster->runbook = runbook_free(cluster->runbook);
        cluster->journal = journal_free(cluster->journal);
        free(cluster->run_old);
        free(cluster->run_new);
}
