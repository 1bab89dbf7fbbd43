/* What a failover leaves to be done while the cluster is watched again: replicas that follow later (procedure attach). Owns
 * a runbook and a journal of its own; must never hold up a run, and ends when another one begins. */
#include "inside.h"

#include <string.h>

#include "attach.h"
#include "file.h"
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
static int add_to_report(Cluster *cluster, const Json *run, Failure *reterr)
{
        CLEANUP(mem_free)
        char *path = text_format("%s/reports/%s.json", cluster->directory, runbook_id(cluster->background));
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
                        json_set_string(entry, "server", target->string);
                        json_set_string(entry, "step", json_get_string(step, "name"));
                        json_set_string(entry, "verdict", verdict);
                        json_set_string(entry, "why", why);
                        json_append(list, entry);
                        text_addf(&lines, "  %-12s %s: %s\n", target->string, verdict ? verdict : "unmet",
                                  why ? why : "");
                }
        }
        CLEANUP(mem_free) char *new_text = text_take(&lines);
        json_set_string(report, "text", new_text);
        CLEANUP(mem_free) char *printed = json_print_pretty(report);
        return file_replace(path, printed, strlen(printed), 0600, reterr);
}

static void on_done(Runbook *runbook, RunOutcome outcome, const char *why, void *userdata)
{
        Cluster *cluster = userdata;
        LogFields fields = cluster_fields(cluster, NULL);
        Failure failure = { 0 };
        fields.run = runbook_id(runbook);
        CLEANUP(json_free) Json *run = runbook_describe(runbook);
        log_event(outcome == RUN_COMPLETED ? EVENT_RUN_COMPLETED : EVENT_RUN_ABORTED, &fields,
                  "%s: what the failover left to be done in the background has ended%s%s: mhactl report %s",
                  cluster->config->name, *why ? ": " : "", why, cluster->config->name);
        if (add_to_report(cluster, run, &failure) < 0)
                log_event(EVENT_WARNING, &fields, "%s: the report cannot be brought up to date: %s",
                          cluster->config->name, failure.text);
        cluster->background = runbook_free(cluster->background);
        if (journal_compact(cluster->background_journal, 1, &failure) < 0)
                log_event(EVENT_ERROR, &fields, "%s: %s", cluster->config->name, failure.text);
        cluster_evaluate_soon(cluster);
}

static void make_runbook(Cluster *cluster)
{
        cluster->background = runbook_new(cluster->context.loop, cluster->exec, cluster->background_journal, &attach,
                                          on_event, on_done, cluster);
}

static void report_failure(Cluster *cluster, const Failure *failure)
{
        LogFields fields = cluster_fields(cluster, NULL);
        log_event(EVENT_ERROR, &fields,
                  "%s: the replicas that the failover left behind are not attached: %s. Look at them and attach them "
                  "yourself",
                  cluster->config->name, failure->text);
        cluster->background = runbook_free(cluster->background);
}

void background_begin(Cluster *cluster, const Facts *facts, const Json *run)
{
        Failure failure = { 0 };
        if (!attach_is_needed(run) || cluster->background)
                return;
        make_runbook(cluster);
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = facts_string(facts, "run");
        if (runbook_begin(cluster->background, attach_facts(facts, run), &failure) < 0) {
                report_failure(cluster, &failure);
                return;
        }
        log_event(EVENT_RUN_STARTED, &fields,
                  "%s: replicas that do not follow %s yet are attached in the background; it is watched meanwhile",
                  cluster->config->name, facts_string(facts, "candidate"));
}

void background_stop(Cluster *cluster, const char *why)
{
        if (cluster->background)
                (void) runbook_cancel(cluster->background, "mhad", why, NULL);
}

int background_open(Cluster *cluster, Failure *reterr)
{
        CLEANUP(mem_free) char *path = text_format("%s/background", cluster->directory);
        int r = journal_open(path, cluster->config->name, &cluster->background_journal, reterr);
        if (r < 0 || !journal_open_run(cluster->background_journal))
                return r;
        Failure failure = { 0 };
        make_runbook(cluster);
        if (runbook_resume(cluster->background, &failure) < 0) {
                report_failure(cluster, &failure);
                return 0;
        }
        /* Another run has changed what this one was about. */
        if (cluster->resume_pending)
                background_stop(cluster, "another run goes on");
        return 0;
}

void background_done(Cluster *cluster)
{
        cluster->background = runbook_free(cluster->background);
        cluster->background_journal = journal_free(cluster->background_journal);
}
