/* Runs that have ended: their reports. Owns the files in reports/; must never remove one that the history or saved logs refer
 * to. */
#include "inside.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "history.h"
#include "report.h"
#include "text.h"

#define SUFFIX ".json"

Json *past_keep_report(Cluster *cluster, const Json *run, const Facts *facts, RunOutcome outcome)
{
        Failure failure = { 0 };
        CLEANUP(json_free) Json *ended = json_copy(run);
        json_set_string(ended, "outcome", run_outcome_to_string(outcome));
        Json *report = report_make(ended, facts);
        const char *id = facts_string(facts, "run"), *name = cluster->config->name;
        CLEANUP(mem_free) char *text = json_print_pretty(report), *path = history_report_path(cluster->directory, id);
        LogFields fields = cluster_fields(cluster, NULL);
        fields.run = id;
        if (file_replace(path, text, strlen(text), 0600, &failure) < 0)
                log_event(EVENT_ERROR, &fields, "%s: the report cannot be kept: %s", name, failure.text);
        else
                log_event(EVENT_REPORT, &fields, "%s: %s: mhactl report %s %s", name,
                          json_get_string(report, "summary"), name, id);
        return report;
}

static bool is_run_id(const char *run)
{
        return *run && strspn(run, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(run);
}

int cluster_report(Cluster *cluster, const char *run, Json **ret, Failure *reterr)
{
        const char *last = json_get_string(json_get(cluster->state.root, "last_run"), "run");
        if (text_is_empty(run))
                run = last;
        if (!run)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there was no run yet", cluster->config->name);
        if (!is_run_id(run))
                return failure_set(reterr, FAILURE_INVALID, 0, "\"%s\" is not the id of a run: mhactl history %s", run,
                                   cluster->config->name);
        CLEANUP(mem_free) char *path = history_report_path(cluster->directory, run);
        CLEANUP(mem_free) char *text = NULL;
        size_t length = 0;
        Json *report = NULL;
        Failure failure = { 0 };
        if (file_read(path, 16 << 20, &text, &length, &failure) < 0 || json_parse(text, length, &report, &failure) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no report of run %s: %s",
                                   cluster->config->name, run, failure.text);
        *ret = json_object();
        json_set(*ret, "report", report);
        return 0;
}

static bool holds_run(const Json *runs, const char *id)
{
        JSON_FOREACH(run, runs)
        {
                if (text_equal(json_get_string(run, "run"), id))
                        return true;
        }
        return false;
}

static bool is_wanted(const Cluster *cluster, const Json *begun, const char *run)
{
        CLEANUP(mem_free) char *rescue = text_format("%s/rescue/%s", cluster->directory, run);
        return holds_run(begun, run) || access(rescue, F_OK) == 0 ||
               text_equal(run, json_get_string(json_get(cluster->state.root, "last_run"), "run"));
}

void past_forget(Cluster *cluster)
{
        CLEANUP(mem_free) char *folder = text_format("%s/reports", cluster->directory);
        CLEANUP(json_free) Json *begun = history_of_journals(cluster->directory);
        DIR *directory = opendir(folder);
        if (!directory)
                return;
        for (const struct dirent *entry; (entry = readdir(directory));) {
                size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);
                if (length <= suffix || strcmp(entry->d_name + length - suffix, SUFFIX) != 0)
                        continue;
                CLEANUP(mem_free) char *run = text_format("%.*s", (int) (length - suffix), entry->d_name);
                CLEANUP(mem_free) char *path = history_report_path(cluster->directory, run);
                if (is_run_id(run) && !is_wanted(cluster, begun, run))
                        (void) unlink(path);
        }
        (void) closedir(directory);
}
