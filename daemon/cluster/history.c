/* The history of clusters. Owns what it reads; knows the files only, whose writers may be at work, and must never touch one
 * nor a cluster. */
#include "history.h"

#include <stdlib.h>

#include "file.h"
#include "journal.h"
#include "report.h"
#include "text.h"
#include "worker.h"

#define REPORT_MAX ((size_t) 16 << 20)

typedef struct Place {
        char *cluster, *directory;
} Place;

typedef struct Job {
        Place *places;
        size_t n_places;
        Json *answer;
} Job;

struct History {
        Worker *worker;
        Timer *report; /* deferred: no thread could be had */
        Job *job;
        history_fn done;
        void *userdata;
};

char *history_report_path(const char *directory, const char *run)
{
        return text_format("%s/reports/%s.json", directory, run);
}

/* Of one journal after the other: what is done for a failover in the background goes by the failover's id. */
typedef struct Fold {
        Json *runs;
        Json *run; /* of the last record */
        bool ended;
} Fold;

static Json *find_run(const Json *runs, const char *id)
{
        JSON_FOREACH(run, runs)
        {
                if (text_equal(json_get_string(run, "run"), id))
                        return (Json *) run;
        }
        return NULL;
}

static int add_record(const Json *record, void *userdata)
{
        Fold *fold = userdata;
        const char *id = json_get_string(record, "run");
        if (!fold->run || !text_equal(json_get_string(fold->run, "run"), id))
                fold->run = find_run(fold->runs, id);
        if (!fold->run) {
                fold->run = json_object();
                json_set_string(fold->run, "run", id);
                json_set_int(fold->run, "started", json_get_int(record, "time", 0));
                json_append(fold->runs, fold->run);
        }
        fold->ended = text_equal(json_get_string(record, "kind"), "run-ended");
        if (fold->ended && !json_has(fold->run, "outcome")) {
                json_set_int(fold->run, "ended", json_get_int(record, "time", 0));
                json_set_string(fold->run, "outcome", json_get_string(json_get(record, "data"), "outcome"));
        }
        return 0;
}

static void fold_journal(const char *directory, const char *name, Json *runs)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", directory, name);
        Fold fold = { .runs = runs };
        (void) journal_replay_file(path, NULL, add_record, &fold);
        if (fold.run && !fold.ended && !json_has(fold.run, "outcome"))
                json_set_string(fold.run, "outcome", "running");
}

Json *history_of_journals(const char *directory)
{
        Json *runs = json_array();
        fold_journal(directory, "journal", runs);
        fold_journal(directory, "background", runs);
        return runs;
}

static Json *read_report(const char *directory, const char *run)
{
        CLEANUP(mem_free) char *path = history_report_path(directory, run);
        CLEANUP(mem_free) char *text = NULL;
        size_t length = 0;
        Json *report = NULL;
        if (file_read(path, REPORT_MAX, &text, &length, NULL) >= 0)
                (void) json_parse(text, length, &report, NULL);
        return report;
}

static void add_cluster(Json *all, const Place *place)
{
        CLEANUP(json_free) Json *runs = history_of_journals(place->directory);
        JSON_FOREACH(run, runs)
        {
                Json *line = json_copy(run);
                CLEANUP(json_free) Json *report = read_report(place->directory, json_get_string(run, "run"));
                json_set_string(line, "cluster", place->cluster);
                if (report) {
                        CLEANUP(json_free) Json *of_report = report_to_history(report);
                        json_merge(line, of_report);
                }
                json_append(all, line);
        }
}

static int newest_first(const void *a, const void *b)
{
        const Json *const *one = a, *const *other = b;
        int64_t mine = json_get_int(*one, "started", 0), theirs = json_get_int(*other, "started", 0);
        return (mine < theirs) - (mine > theirs);
}

/* In the thread. */
static void work(void *data)
{
        Job *job = data;
        CLEANUP(json_free) Json *all = json_array();
        for (size_t i = 0; i < job->n_places; i++)
                add_cluster(all, &job->places[i]);
        size_t n = 0;
        CLEANUP(mem_free) const Json **order = ALLOC_ARRAY(const Json *, json_length(all));
        JSON_FOREACH(run, all)
        {
                order[n++] = run;
        }
        qsort(order, n, sizeof *order, newest_first);
        job->answer = json_object();
        Json *runs = json_ensure_array(job->answer, "runs");
        for (size_t i = 0; i < n; i++)
                json_append(runs, json_copy(order[i]));
}

static void job_free(Job *job)
{
        for (size_t i = 0; i < job->n_places; i++) {
                free(job->places[i].cluster);
                free(job->places[i].directory);
        }
        free(job->places);
        json_free(job->answer);
        free(job);
}

static void job_drop(void *data)
{
        job_free(data);
}

static void on_done(void *userdata)
{
        History *history = userdata;
        history_fn done = history->done;
        void *whom = history->userdata;
        Json *answer = TAKE(history->job->answer);
        worker_release(history->worker, NULL);
        job_free(history->job);
        free(history);
        done(answer, whom);
}

/* Better late than never. */
static void on_no_thread(void *userdata)
{
        History *history = userdata;
        history->report = NULL;
        work(history->job);
        on_done(history);
}

History *history_read(Loop *loop, const HistoryPlace *places, size_t n_places, history_fn done, void *userdata)
{
        Job *job = ALLOC(Job);
        job->places = ALLOC_ARRAY(Place, n_places);
        job->n_places = n_places;
        for (size_t i = 0; i < n_places; i++)
                job->places[i] = (Place){ alloc_string(places[i].cluster), alloc_string(places[i].directory) };
        History *history = ALLOC(History);
        *history = (History){ .job = job, .done = done, .userdata = userdata };
        history->worker = worker_start(loop, work, job, on_done, history);
        if (!history->worker)
                history->report = loop_defer(loop, on_no_thread, history);
        return history;
}

History *history_abandon(History *history)
{
        if (!history)
                return NULL;
        if (history->worker)
                worker_release(history->worker, job_drop);
        else
                job_free(history->job);
        timer_free(history->report);
        free(history);
        return NULL;
}
