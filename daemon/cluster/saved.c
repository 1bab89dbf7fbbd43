/* What is saved of logs beside what a failover does: a server's log copied because somebody wants to look at it, and the
 * oldest copies removed. Owns one copy at a time and one thread that removes; must never touch what an open run has
 * saved. */
#include "inside.h"

#include <stdio.h>
#include <string.h>

#include "binlog.h"
#include "savedlogs.h"
#include "tail.h"
#include "text.h"

#define LIST_TIMEOUT (10 * USEC_SEC)
#define LOOK_INTERVAL (300 * USEC_MSEC)
#define FIRST_TRIM (10 * USEC_SEC) /* after a start, when other things matter more */

struct Saved {
        Cluster *cluster;
        SavedLogs *trimming;
        Timer *next_trim;

        /* The copy under way; run is NULL when there is none. */
        char *run, *server, *why;
        Position from, to;
        ExecJob *job;
        Timer *next_look;
        Json *last; /* how it stands or how the last one ended: see cluster_fetch_state(); NULL: there was none */
};

/* Removing. */

static void on_next_trim(void *userdata);

static void on_trimmed(Json *answer, void *userdata)
{
        Saved *saved = userdata;
        const char *name = saved->cluster->config->name;
        saved->trimming = NULL;
        JSON_FOREACH(entry, json_get(answer, "removed"))
        {
                LogFields fields = cluster_fields(saved->cluster, NULL);
                fields.run = json_get_string(entry, "run");
                bool old = text_equal(json_get_string(entry, "why"), "age");
                log_event(EVENT_RESCUE_REMOVED, &fields, "%s: the saved logs of run %s, %lld bytes, were removed: %s",
                          name, fields.run, (long long) json_get_int(entry, "bytes", 0),
                          old ? "older than rescue.keep_age" : "there are more than rescue.keep_bytes");
        }
        JSON_FOREACH(text, json_get(answer, "failures"))
        {
                LogFields fields = cluster_fields(saved->cluster, NULL);
                log_event(EVENT_WARNING, &fields, "%s: old saved logs cannot be removed: %s", name, json_string(text));
        }
        json_free(answer);
        timer_set_in(saved->next_trim, USEC_HOUR);
}

static void on_next_trim(void *userdata)
{
        Saved *saved = userdata;
        Cluster *cluster = saved->cluster;
        const RescueConfig *rescue = &cluster->config->rescue;
        if (saved->trimming)
                return;
        const char *hold[4] = { NULL };
        size_t n = 0;
        if (cluster->runbook)
                hold[n++] = runbook_id(cluster->runbook);
        if (cluster->background)
                hold[n++] = runbook_id(cluster->background);
        if (saved->run)
                hold[n++] = saved->run;
        const SavedLogsLimits limits = { .age = rescue->keep_age,
                                         .bytes = rescue->keep_bytes == CONFIG_NO_LIMIT ? 0 : rescue->keep_bytes,
                                         .hold = hold };
        saved->trimming = savedlogs_trim(cluster->context.loop, cluster->directory, &limits, on_trimmed, saved);
}

void saved_run_ended(Cluster *cluster)
{
        timer_set_in(cluster->saved->next_trim, 0);
}

/* Copying. */

static void set_last(Saved *saved, const char *state, const Json *source, const char *failure)
{
        Json *last = json_object();
        json_set_string(last, "run", saved->run);
        json_set_string(last, "server", saved->server);
        json_set_string(last, "state", state);
        json_set_int(last, "copied", json_get_int(source, "bytes", 0));
        json_set_int(last, "total", json_get_int(source, "total", 0));
        json_set_string(last, "failure", failure);
        json_free(saved->last);
        saved->last = last;
}

static void end_fetch(Saved *saved, const char *state, const Json *source, const char *failure)
{
        Cluster *cluster = saved->cluster;
        LogFields fields = cluster_fields(cluster, saved->server);
        fields.run = saved->run;
        set_last(saved, state, source, failure);
        if (failure)
                log_event(EVENT_WARNING, &fields, "%s: the log of %s could not be copied: %s", cluster->config->name,
                          saved->server, failure);
        else
                log_event(EVENT_RESCUE_FETCHED, &fields,
                          "%s: %lld bytes of the log of %s were saved: mhactl rescue show %s %s", cluster->config->name,
                          (long long) json_get_int(source, "bytes", 0), saved->server, cluster->config->name,
                          saved->run);
        exec_end_rescue(cluster->exec, saved->run);
        timer_stop(saved->next_look);
        free(TAKE(saved->run));
        free(TAKE(saved->server));
        free(TAKE(saved->why));
        saved_run_ended(cluster);
}

static void carry_out(Saved *saved, const char *server, Script *script, exec_done_fn done)
{
        Cluster *cluster = saved->cluster;
        saved->job = exec_run(cluster->exec, server, saved->run, script,
                              usec_add(loop_now(cluster->context.loop), LIST_TIMEOUT), done, saved);
}

static void on_looked(Replies *replies, void *userdata)
{
        Saved *saved = userdata;
        saved->job = NULL;
        CLEANUP(json_free) Json *answer = rescue_answer(replies_at(replies, 0));
        const Json *source = json_get(json_get(answer, "sources"), saved->server);
        const char *state = json_get_string(source, "state"), *failure = json_get_string(source, "failure");
        if (!answer)
                end_fetch(saved, "failed", NULL, replies->failure.text);
        else if (text_equal(state, "failed"))
                end_fetch(saved, "failed", source, failure);
        else if (text_equal(state, "done") && !json_get_bool(answer, "writing", false))
                end_fetch(saved, "complete", source, NULL);
        else {
                set_last(saved, text_equal(state, "done") ? "indexing" : state, source, NULL);
                timer_set_in(saved->next_look, LOOK_INTERVAL);
        }
        replies_free(replies);
}

static void on_next_look(void *userdata)
{
        Saved *saved = userdata;
        CLEANUP(script_done) Script script = { 0 };
        script_rescue(&script, "look", json_object());
        carry_out(saved, NULL, &script, on_looked);
}

/* The files from the first position to the last, as an order has them. */
static Json *choose_files(const Saved *saved, const Json *list)
{
        Json *files = json_array();
        JSON_FOREACH(file, list)
        {
                Position end = { .offset = (uint64_t) json_get_int(file, "size", 0) }, begin = { 0 };
                snprintf(end.file, sizeof end.file, "%s", json_get_string(file, "file"));
                begin = end;
                begin.offset = 0;
                bool last = text_equal(end.file, saved->to.file);
                if (position_compare(&end, &saved->from) <= 0 || position_compare(&begin, &saved->to) > 0)
                        continue;
                bool inside = text_equal(end.file, saved->from.file) && saved->from.offset > BINLOG_MAGIC_LENGTH;
                Json *json = json_object();
                json_set_string(json, "file", end.file);
                json_set_string(json, "path", json_get_string(file, "path"));
                json_set_int(json, "from", inside ? (int64_t) saved->from.offset : 0);
                json_set_int(json, "to", last && saved->to.offset ? (int64_t) saved->to.offset : (int64_t) end.offset);
                json_append(files, json);
        }
        return files;
}

static void collect(Saved *saved, Json *files)
{
        CLEANUP(script_done) Script script = { 0 };
        CLEANUP(mem_free) char *border = position_format(&saved->from);
        Json *order = json_object();
        json_set_string(order, "server", saved->server);
        json_set_string(order, "kind", "binlog");
        json_set_string(order, "why", saved->why);
        json_set_bool(order, "apart", true);
        json_set(order, "files", files);
        json_append_string(json_ensure_array(order, "borders"), border);
        script_rescue(&script, "collect", order);
        carry_out(saved, NULL, &script, on_looked);
}

static void on_listed(Replies *replies, void *userdata)
{
        Saved *saved = userdata;
        const Reply *reply = replies_at(replies, 0);
        CLEANUP(json_free) Json *list = tail_read_list(reply);
        CLEANUP(mem_free) char *why = NULL;
        saved->job = NULL;
        const Json *files = json_get(list, "files");
        const char *first = json_get_string(json_at(files, 0), "file"), *end = json_get_string(list, "end");
        Json *chosen = list ? choose_files(saved, files) : NULL;
        CLEANUP(mem_free) char *unlisted = list ? NULL : tail_why_not_listed(reply);
        if (!list)
                why = text_format("its binary logs cannot be listed: %s",
                                  text_is_empty(unlisted) ? replies->failure.text : unlisted);
        else if (json_length(chosen) == 0) {
                CLEANUP(mem_free) char *from = position_format(&saved->from);
                why = text_format("there is nothing from %s on: its binary logs are %s to %s", from, first, end);
        }
        if (why) {
                end_fetch(saved, "failed", NULL, why);
                json_free(chosen);
        } else
                collect(saved, chosen);
        replies_free(replies);
}

/* The lowest that any replica of the server has executed. */
static Position lowest_executed(const Cluster *cluster, ssize_t server)
{
        Position lowest = { 0 };
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const ReplicaChannel *channel = server_view_channel(watch_view(cluster->watches[i]));
                if (channel && cluster->topology.entries && cluster->topology.entries[i].source == server)
                        lowest = position_min(lowest, channel->applied);
        }
        return lowest;
}

/* "FILE:OFFSET", or "FILE" alone. */
static int read_position(const char *text, Position *ret, Failure *reterr)
{
        *ret = (Position){ 0 };
        if (!text)
                return 0;
        if (strchr(text, ':'))
                return position_parse(text, ret, reterr);
        CLEANUP(mem_free) char *with = text_format("%s:0", text);
        return position_parse(with, ret, reterr);
}

int cluster_rescue_fetch(Cluster *cluster, const char *server, const Json *options, const char *by, Json **ret,
                         Failure *reterr)
{
        Saved *saved = cluster->saved;
        const char *name = cluster->config->name;
        ssize_t i = cluster_find(cluster, server);
        Position from, to;
        if (i < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no server \"%s\": mhactl status %s", name,
                                   server, name);
        if (!cluster->config->ssh.enabled)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: logs are copied over SSH, and ssh.enabled is false",
                                   name);
        if (saved->run)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s: the log of %s is being copied: mhactl rescue show %s", name, saved->server,
                                   name);
        if (read_position(json_get_string(options, "from"), &from, reterr) < 0 ||
            read_position(json_get_string(options, "to"), &to, reterr) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: a position is FILE or FILE:OFFSET", name);
        if (!position_is_set(&from))
                from = lowest_executed(cluster, i);
        if (!position_is_set(&from))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s: no replica of %s is known that could tell from where on: say --from FILE", name,
                                   server);
        saved->run = text_format("f%llx", (unsigned long long) loop_now_real(cluster->context.loop) / 1000);
        saved->server = alloc_string(server);
        saved->why = text_format("of %s, ordered by %s", server, by);
        saved->from = from;
        saved->to = to;
        set_last(saved, "copying", NULL, NULL);
        LogFields fields = cluster_fields(cluster, server);
        fields.run = saved->run;
        CLEANUP(mem_free) char *text = position_format(&from);
        log_event(EVENT_RESCUE_ORDERED, &fields, "%s: the log of %s is copied from %s on, ordered by %s", name, server,
                  text, by);
        CLEANUP(script_done) Script script = { 0 };
        tail_list(watch_view(cluster->watches[i]), cluster->config->servers[i].binlog_directory, &from, &from, false,
                  &script);
        carry_out(saved, server, &script, on_listed);
        *ret = json_object();
        json_set_string(*ret, "run", saved->run);
        return 0;
}

const Json *cluster_fetch_state(const Cluster *cluster)
{
        return cluster->saved->last;
}

/* Life. */

void saved_open(Cluster *cluster)
{
        Saved *saved = ALLOC(Saved);
        *saved = (Saved){ .cluster = cluster };
        saved->next_trim = timer_new(cluster->context.loop, 100 * USEC_MSEC, on_next_trim, saved);
        saved->next_look = timer_new(cluster->context.loop, 10 * USEC_MSEC, on_next_look, saved);
        timer_set_in(saved->next_trim, FIRST_TRIM);
        cluster->saved = saved;
}

void saved_done(Cluster *cluster)
{
        Saved *saved = cluster->saved;
        if (!saved)
                return;
        exec_abandon(saved->job);
        savedlogs_abandon(saved->trimming);
        timer_free(saved->next_trim);
        timer_free(saved->next_look);
        json_free(saved->last);
        free(saved->run);
        free(saved->server);
        free(saved->why);
        free(saved);
}
