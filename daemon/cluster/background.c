/* What is done while the cluster is watched: replicas that a failover could not wait for are attached (procedure attach), a
 * former primary that is back rejoins. Owns a runbook and a journal of its own; must never hold up a run: it ends or gives
 * way when one begins. */
#include "inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attach.h"
#include "election.h"
#include "failover.h"
#include "file.h"
#include "history.h"
#include "purge.h"
#include "refusal.h"
#include "rejoin.h"
#include "run.h"
#include "text.h"

static void on_event(const RunEvent *event, void *userdata)
{
        Cluster *cluster = userdata;
        const char *server = event->server ? event->server : "", *why = event->why ? event->why : "";
        LogFields fields = cluster_fields(cluster, *server ? server : NULL);
        fields.step = event->step ? event->step->name : NULL;
        fields.run = runbook_id(cluster->background);
        if (event->kind == RUN_EVENT_PROGRESS)
                log_event(EVENT_DEBUG, &fields, "%s: %s: %s: %s", cluster->config->name, event->step->name, server,
                          why);
        if (event->kind == RUN_EVENT_TARGET_SETTLED)
                log_event(event->verdict == VERDICT_MET ? EVENT_STEP_DONE : EVENT_STEP_FAILED, &fields,
                          "%s: %s: %s: %s%s%s", cluster->config->name, event->step->name, server,
                          event->verdict == VERDICT_MET ? "" : verdict_to_string(event->verdict),
                          event->verdict == VERDICT_MET ? "" : ": ", why);
}

/* The report of the failover is brought up to date: what is said of these servers in it was true then. */
static int add_to_report(Cluster *cluster, const Json *run, const char *id, Failure *reterr)
{
        CLEANUP(mem_free) char *path = history_report_path(cluster->directory, id);
        CLEANUP(mem_free) char *text = NULL;
        CLEANUP(json_free) Json *report = NULL;
        size_t length = 0;
        int r = file_read(path, (size_t) 16 * 1024 * 1024, &text, &length, reterr);
        if (r >= 0)
                r = json_parse(text, length, &report, reterr);
        if (r < 0)
                return r;
        Text lines = { 0 };
        const char *before = json_get_string(report, "text");
        text_addf(&lines, "%s\nAfterwards\n", before ? before : "");
        Json *list = json_ensure_array(report, "afterwards");
        JSON_FOREACH(step, json_get(run, "steps"))
        {
                JSON_FOREACH(target, json_get(step, "targets"))
                {
                        const char *verdict = json_get_string(target, "verdict"), *why = json_get_string(target, "why");
                        Json *entry = json_object();
                        json_set_string(entry, "server", json_name(target));
                        json_set_string(entry, "step", json_get_string(step, "name"));
                        json_set_string(entry, "verdict", verdict);
                        json_set_string(entry, "why", why);
                        json_append(list, entry);
                        text_addf(&lines, "  %-12s %s: %s\n", json_name(target), verdict ? verdict : "unmet",
                                  why ? why : "");
                }
        }
        CLEANUP(mem_free) char *new_text = text_take(&lines);
        json_set_string(report, "text", new_text);
        CLEANUP(mem_free) char *printed = json_print_pretty(report);
        return file_replace(path, printed, strlen(printed), 0600, reterr);
}

/* at: when it ended. */
static void tell_end(Cluster *cluster, const Json *run, const Facts *facts, RunOutcome outcome, const char *why,
                     usec_t at)
{
        LogFields fields = cluster_fields(cluster, NULL);
        const char *name = cluster->config->name, *old = facts_string(facts, "old_primary");
        bool well = outcome == RUN_COMPLETED;
        Failure failure = { 0 };
        fields.run = facts_string(facts, "run");
        if (text_equal(facts_string(facts, "procedure"), rejoin.name)) {
                if (well) {
                        background_forget_returning(cluster, old);
                        downtime_rejoined(cluster, old, at);
                }
                runs_report(cluster, run, facts, outcome);
                log_event(well ? EVENT_RUN_COMPLETED : EVENT_RUN_ABORTED, &fields, "%s: %s %s%s%s", name, old,
                          well ? "follows the primary again" : "is not attached", *why ? ": " : "", why);
                return;
        }
        if (text_equal(facts_string(facts, "procedure"), purge.name)) {
                fields.server = facts_string(facts, "candidate");
                CLEANUP(json_free) Json *report = past_keep_report(cluster, run, facts, outcome);
                log_event(well ? EVENT_RUN_COMPLETED : EVENT_RUN_ABORTED, &fields, "%s: purge: %s", name,
                          json_get_string(report, "summary"));
                return;
        }
        if (add_to_report(cluster, run, fields.run, &failure) < 0)
                log_event(EVENT_WARNING, &fields, "%s: the report cannot be brought up to date: %s", name,
                          failure.text);
        log_event(well ? EVENT_RUN_COMPLETED : EVENT_RUN_ABORTED, &fields,
                  "%s: what the failover left to be done in the background has ended%s%s: mhactl report %s", name,
                  *why ? ": " : "", why, name);
}

/* The id of what a failover left to be done and has given way; NULL: nothing. */
static const char *waiting_run(const Cluster *cluster)
{
        return json_get_string(cluster->state.root, "background_waits");
}

/* The id of a failover whose replicas are to be attached when that can be begun; NULL: none. */
static const char *due_failover(const Cluster *cluster)
{
        return json_get_string(cluster->state.root, "attach_due");
}

static void set_state(Cluster *cluster, const char *name, const char *run)
{
        if (text_equal(run, json_get_string(cluster->state.root, name)))
                return;
        json_set_string(cluster->state.root, name, run);
        cluster_save(cluster);
}

static void set_waiting(Cluster *cluster, const char *run)
{
        set_state(cluster, "background_waits", run);
}

/* Its journal cannot be written. */
static void on_halted(Cluster *cluster, const char *why)
{
        const char *name = cluster->config->name;
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = runbook_id(cluster->background);
        if (!cluster->background_stands)
                log_event(EVENT_RUN_HALTED, &fields,
                          "%s: what is done in the background stands still: %s. It goes on by itself when that is "
                          "mended; mhactl run abandon %s ends it where it stands",
                          name, why, name);
        cluster->background_stands = true;
}

static void forget_background(Cluster *cluster)
{
        const char *id = cluster->background ? runbook_id(cluster->background) : NULL;
        if (!cluster->runbook && id) /* whose connections are the same */
                exec_cool(cluster->exec, id);
        cluster->background = runbook_free(cluster->background);
        cluster->background_stands = cluster->background_over = false;
}

static void on_done(Runbook *runbook, RunOutcome outcome, const char *why, void *userdata)
{
        Cluster *cluster = userdata;
        LogFields fields = cluster_fields(cluster, NULL);
        Failure failure = { 0 };
        if (outcome == RUN_HALTED) {
                on_halted(cluster, why);
                return;
        }
        CLEANUP(json_free) Json *run = runbook_describe(runbook);
        tell_end(cluster, run, runbook_facts(runbook), outcome, why, loop_now_real(cluster->context.loop));
        forget_background(cluster);
        /* One that waits is still to be read. */
        if (!waiting_run(cluster) &&
            journal_compact(cluster->background_journal, cluster->config->failover.keep_runs, &failure) < 0)
                log_event(EVENT_ERROR, &fields, "%s: %s", cluster->config->name, failure.text);
        past_forget(cluster);
        cluster_evaluate_soon(cluster);
}

static void make_runbook(Cluster *cluster, const Procedure *procedure)
{
        cluster->background = runbook_new(cluster->context.loop, cluster->exec, cluster->background_journal, procedure,
                                          on_event, on_done, cluster);
}

/* It is ended in the journal, else nothing could be begun any more; when not even that can be, later. */
static void report_failure(Cluster *cluster, const Failure *failure)
{
        LogFields fields = cluster_fields(cluster, NULL);
        log_event(EVENT_ERROR, &fields,
                  "%s: what was to be done in the background cannot go on: %s. Look whether all replicas follow, and "
                  "attach by hand those that do not",
                  cluster->config->name, failure->text);
        cluster->background_stands = cluster->background_over =
                runbook_id(cluster->background) && runbook_leave(cluster->background, "mhad", failure->text, NULL) < 0;
        if (!cluster->background_stands)
                forget_background(cluster);
}

/* What could not be resumed is begun again when there is room for it, or ended when it cannot be read. */
static void go_on(Cluster *cluster, int resumed, const Failure *failure)
{
        if (resumed < 0 && runbook_run(cluster->background))
                on_halted(cluster, failure->text);
        else if (resumed < 0)
                report_failure(cluster, failure);
}

void background_attach(Cluster *cluster, const Facts *facts, const Json *run)
{
        Failure failure = { 0 };
        const char *id = facts_string(facts, "run");
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = id;
        if (!attach_is_needed(run))
                return;
        int r = -EBUSY; /* what was there before may still be being undone */
        if (!cluster->background) {
                make_runbook(cluster, &attach);
                r = runbook_begin(cluster->background, attach_facts(facts, run), &failure);
                if (r < 0)
                        cluster->background = runbook_free(cluster->background);
                if (r < 0 && !due_failover(cluster))
                        log_event(
                                EVENT_ERROR, &fields,
                                "%s: replicas that do not follow %s yet cannot be attached: %s; tried again until that "
                                "is mended",
                                cluster->config->name, facts_string(facts, "candidate"), failure.text);
        }
        set_state(cluster, "attach_due", r < 0 ? id : NULL);
        if (r >= 0)
                log_event(EVENT_RUN_STARTED, &fields,
                          "%s: replicas that do not follow %s yet are attached in the background; it is watched "
                          "meanwhile",
                          cluster->config->name, facts_string(facts, "candidate"));
}

static void attach_due(Cluster *cluster)
{
        CLEANUP(mem_free) char *id = alloc_string(due_failover(cluster));
        CLEANUP(run_free) Run *run = NULL;
        if (run_load(cluster->journal, id, &failover, &run, NULL) < 0) {
                set_state(cluster, "attach_due", NULL);
                return;
        }
        CLEANUP(json_free) Json *described = run_describe(run);
        background_attach(cluster, &run->facts, described);
}

static bool is_attach(const Cluster *cluster)
{
        const Run *run = cluster->background ? runbook_run(cluster->background) : NULL;
        return run && run->procedure == &attach && !run->ended && !run->undoing;
}

bool background_may_begin(const Cluster *cluster)
{
        return !cluster->runbook && (!cluster->background || is_attach(cluster));
}

int background_check(Cluster *cluster, const char *server, Failure *reterr)
{
        const char *name = cluster->config->name;
        if (cluster->background_stands)
                background_watch(cluster);
        if (!background_may_begin(cluster))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: run %s is under way: mhactl status %s", name,
                                   runbook_id(cluster->runbook ? cluster->runbook : cluster->background), name);
        if (cluster->background &&
            json_array_contains(json_get(runbook_facts(cluster->background)->root, "replicas"), server))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s: run %s is about to attach %s, or looks whether it follows: mhactl status %s; "
                                   "mhactl cancel %s ends that",
                                   name, runbook_id(cluster->background), server, name, name);
        return 0;
}

/* What a failover left to be done for other servers may take a day. */
static int give_way(Cluster *cluster, Failure *reterr)
{
        if (!cluster->background)
                return 0;
        CLEANUP(mem_free) char *id = alloc_string(runbook_id(cluster->background));
        set_waiting(cluster, id); /* first: it must not be forgotten with the daemon */
        int r = runbook_leave(cluster->background, "mhad", "it gives way to an order", reterr);
        if (r < 0) {
                set_waiting(cluster, NULL);
                return r;
        }
        exec_cool(cluster->exec, id);
        forget_background(cluster);
        return 0;
}

static void take_up(Cluster *cluster)
{
        Failure failure = { 0 };
        LogFields fields = cluster_fields(cluster, NULL);
        CLEANUP(mem_free) char *id = alloc_string(waiting_run(cluster));
        fields.run = id;
        make_runbook(cluster, &attach);
        int r = runbook_take_up(cluster->background, id, &failure);
        if (r >= 0)
                log_event(EVENT_RUN_RESUMED, &fields,
                          "%s: replicas that do not follow yet are attached in the background", cluster->config->name);
        if (r < 0 && runbook_run(cluster->background)) { /* there is no room */
                cluster->background = runbook_free(cluster->background);
                return;
        }
        set_waiting(cluster, NULL);
        go_on(cluster, r, &failure);
}

static void give_up_those_gone(Cluster *cluster)
{
        JSON_FOREACH(replica, json_get(runbook_facts(cluster->background)->root, "replicas"))
        {
                const char *server = json_string(replica);
                if (cluster_find(cluster, server) < 0)
                        runbook_give_up(cluster->background, server, "it is not in the configuration any more");
                else if (downtime_holds(cluster, server))
                        runbook_give_up(cluster->background, server, "it was taken out");
        }
}

/* It stands still until its journal can be written. */
static void try_again(Cluster *cluster)
{
        Failure failure;
        LogFields fields = cluster_fields(cluster, NULL);
        const Run *run = runbook_run(cluster->background);
        bool ends = cluster->background_over && !(run && run->undoing);
        if (!run) {
                if (runbook_leave(cluster->background, "mhad", "it cannot be read", NULL) >= 0)
                        forget_background(cluster);
                return;
        }
        fields.run = run->id;
        if ((ends ? runbook_cancel(cluster->background, "mhad", "another run has begun since", &failure)
                  : runbook_retry(cluster->background, "mhad", &failure)) < 0)
                return;
        cluster->background_stands = false;
        log_event(EVENT_RUN_RESUMED, &fields, "%s: what is done in the background goes on", cluster->config->name);
}

void background_watch(Cluster *cluster)
{
        if (cluster->runbook || cluster->resume_pending)
                return;
        if (cluster->background_stands)
                try_again(cluster);
        else if (is_attach(cluster))
                give_up_those_gone(cluster);
        else if (!cluster->background && cluster->now == CLUSTER_STEADY && waiting_run(cluster))
                take_up(cluster);
        else if (!cluster->background && cluster->now == CLUSTER_STEADY && due_failover(cluster))
                attach_due(cluster);
}

/* Whether it is too late to say that it is not to be attached. */
static bool is_attaching(const Run *run)
{
        for (size_t i = 0; run && run->procedure == &rejoin && i < run->n_steps; i++)
                if (text_equal(run->steps[i].step->name, "attach"))
                        return run->steps[i].state != STEP_PENDING;
        return false;
}

int background_check_order(Cluster *cluster, const char *what, const char *by, Failure *reterr)
{
        const char *name = cluster->config->name;
        const Run *run = cluster->background ? runbook_run(cluster->background) : NULL;
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = waiting_run(cluster);
        if (!cluster->background && waiting_run(cluster) && text_equal(what, "cancel")) {
                log_event(EVENT_RUN_ABORTED, &fields,
                          "%s: what the failover left to be done is not gone on with: cancelled by %s", name, by);
                set_waiting(cluster, NULL);
                return 0;
        }
        if (!cluster->background)
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_NO_RUN, "%s: no run is under way", name);
        if (text_equal(what, "cancel") && is_attaching(run))
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_TOO_LATE,
                                   "%s: %s is being attached, or follows already and catches up: it is too late", name,
                                   facts_string(&run->facts, "old_primary"));
        return 1;
}

/* How the cluster's replicas find their place: as the failover noted it, else as they do it now. */
static const char *mode_of(const Cluster *cluster, const Json *returning)
{
        const char *noted = json_get_string(returning, "mode");
        CLEANUP(mem_free) const ServerView **views = ALLOC_ARRAY(const ServerView *, cluster->config->n_servers);
        size_t n = 0;
        for (size_t i = 0; i < cluster->config->n_servers; i++)
                if (cluster->topology.entries && cluster->topology.entries[i].source == cluster->topology.primary)
                        views[n++] = watch_view(cluster->watches[i]);
        return noted ? noted : election_mode_to_string(election_mode_of(views, n));
}

static Facts facts_of_order(Cluster *cluster, const char *old_primary, const char *by, const Procedure *procedure)
{
        CLEANUP(json_free) Json *options = json_object();
        json_set_string(options, "by", by);
        return runs_facts(cluster, old_primary, options, procedure->name);
}

/* The sentence for the log is the callee's. */
static int begin(Cluster *cluster, const Procedure *procedure, Facts facts, const char *server, char *sentence,
                 Failure *reterr)
{
        CLEANUP(mem_free) char *text = sentence;
        int r = give_way(cluster, reterr);
        if (r < 0) {
                facts_done(&facts);
                return r;
        }
        make_runbook(cluster, procedure);
        r = runbook_begin(cluster->background, facts, reterr);
        if (r < 0) {
                cluster->background = runbook_free(cluster->background);
                return r;
        }
        LogFields fields = cluster_fields(cluster, server);
        fields.run = runbook_id(cluster->background);
        log_event(EVENT_RUN_STARTED, &fields, "%s: %s", cluster->config->name, text);
        return 0;
}

int background_rejoin(Cluster *cluster, const char *server, const char *by, Failure *reterr)
{
        const char *primary = cluster_primary_name(cluster);
        const Json *returning = json_get(json_get(cluster->state.root, "returning"), server);
        Facts facts = facts_of_order(cluster, server, by, &rejoin);
        rejoin_prepare(&facts, primary, returning, mode_of(cluster, returning));
        char *sentence = text_format("rejoin begins (%s): is there anything on %s that %s lacks?", by, server, primary);
        return begin(cluster, &rejoin, facts, server, sentence, reterr);
}

int background_purge(Cluster *cluster, const char *server, const char *by, Failure *reterr)
{
        ssize_t primary = cluster->topology.primary;
        Json *others = json_array();
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const char *name = cluster->config->servers[i].name;
                if (!text_equal(name, server) && cluster->topology.entries[i].source == primary)
                        json_append_string(others, name);
        }
        Facts facts = facts_of_order(cluster, cluster_primary_name(cluster), by, &purge);
        purge_prepare(&facts, server, others, mode_of(cluster, NULL));
        char *sentence = text_format("relay logs of %s that every replica has received are removed (%s)", server, by);
        return begin(cluster, &purge, facts, server, sentence, reterr);
}

void background_forget_returning(Cluster *cluster, const char *server)
{
        Json *returning = json_get_mutable(cluster->state.root, "returning");
        if (!json_has(returning, server))
                return;
        json_set(returning, server, NULL);
        cluster_save(cluster);
}

void background_note_returning(Cluster *cluster, const Facts *facts)
{
        rejoin_note(json_ensure_object(cluster->state.root, "returning"), facts);
}

void background_pause(Cluster *cluster, const char *why)
{
        if (is_attach(cluster) && give_way(cluster, NULL) >= 0)
                return;
        if (cluster->background && runbook_cancel(cluster->background, "mhad", why, NULL) < 0)
                cluster->background_over = true;
}

void background_add_left_behind(Cluster *cluster, Facts *facts)
{
        CLEANUP(run_free) Run *run = NULL;
        const char *id = waiting_run(cluster), *old = facts_string(facts, "old_primary");
        Json *left_out = json_ensure_array(facts->root, "left_out");
        if (!id || run_load(cluster->background_journal, id, &attach, &run, NULL) < 0)
                return;
        JSON_FOREACH(replica, json_get(run->facts.root, "replicas"))
        {
                const char *name = json_string(replica);
                if (cluster_find(cluster, name) >= 0 && !text_equal(name, old) &&
                    !json_array_contains(json_get(facts->root, "replicas"), name) &&
                    !json_array_contains(left_out, name))
                        json_append_string(left_out, name);
        }
}

void background_drop(Cluster *cluster)
{
        const char *id = waiting_run(cluster) ? waiting_run(cluster) : due_failover(cluster);
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = id;
        if (id)
                log_event(EVENT_RUN_ABORTED, &fields,
                          "%s: what an earlier failover left to be done is not gone on with, for the primary is another "
                          "one now: mhactl rejoin %s SERVER looks whether a replica that does not follow can",
                          cluster->config->name, cluster->config->name);
        set_waiting(cluster, NULL);
        set_state(cluster, "attach_due", NULL);
}

static int find_procedure(const Json *record, void *userdata)
{
        const Procedure **procedure = userdata;
        const char *name = json_get_string(json_get(json_get(record, "data"), "facts"), "procedure");
        if (text_equal(name, rejoin.name))
                *procedure = &rejoin;
        if (text_equal(name, purge.name))
                *procedure = &purge;
        return 0;
}

typedef struct Last {
        Run *run;
        usec_t at; /* of its last record */
} Last;

static int apply_record(const Json *record, void *userdata)
{
        Last *last = userdata;
        const Procedure *procedure = &attach;
        if (!last->run) {
                (void) find_procedure(record, &procedure);
                last->run = run_new(procedure);
        }
        last->at = (usec_t) json_get_int(record, "time", 0);
        return run_apply(last->run, last->at, json_get_string(record, "kind"), json_get_string(record, "step"),
                         json_get_string(record, "server"), json_get(record, "data"), NULL);
}

/* Whether its report says how it ended. What a failover left to be done adds to the failover's, if that is still there. */
static bool is_told(Cluster *cluster, const char *id, const Run *run)
{
        CLEANUP(json_free) Json *answer = NULL;
        bool there = cluster_report(cluster, id, &answer, NULL) >= 0;
        if (run->procedure != &attach)
                return there;
        return !there || json_has(json_get(answer, "report"), "afterwards");
}

/* A daemon that died between the end of a run and what follows from it has left that to us. */
static void tell_the_last(Cluster *cluster)
{
        const char *id = journal_last_run(cluster->background_journal);
        Last last = { 0 };
        bool read = id && journal_replay(cluster->background_journal, id, apply_record, &last) == 0;
        if (read && last.run && last.run->ended && !text_equal(id, waiting_run(cluster)) &&
            !is_told(cluster, id, last.run)) {
                CLEANUP(json_free) Json *json = run_describe(last.run);
                tell_end(cluster, json, &last.run->facts, last.run->outcome, last.run->why ? last.run->why : "",
                         last.at);
        }
        run_free(last.run);
}

int background_open(Cluster *cluster, Failure *reterr)
{
        CLEANUP(mem_free) char *path = text_format("%s/background", cluster->directory);
        int r = journal_open(path, cluster->config->name, &cluster->background_journal, reterr);
        if (r < 0)
                return r;
        const char *open = journal_open_run(cluster->background_journal);
        if (open) {
                Failure failure = { 0 };
                const Procedure *procedure = &attach;
                (void) journal_replay(cluster->background_journal, open, find_procedure, &procedure);
                if (text_equal(open, waiting_run(cluster))) /* the daemon died before it had given way */
                        set_waiting(cluster, NULL);
                make_runbook(cluster, procedure);
                r = runbook_resume(cluster->background, &failure);
                go_on(cluster, r, &failure);
        } else {
                tell_the_last(cluster);
        }
        /* Another run may have changed what this one is about. */
        if (journal_open_run(cluster->journal))
                background_pause(cluster, "another run goes on");
        return 0;
}

void background_done(Cluster *cluster)
{
        cluster->background = runbook_free(cluster->background);
        cluster->background_journal = journal_free(cluster->background_journal);
}
