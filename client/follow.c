/* Following a run that the daemon carries out, by its events, to its end; also when the connection is lost meanwhile. */
#include "follow.h"

#include <stdio.h>
#include <unistd.h>

#include "call.h"
#include "log.h"
#include "refusal.h"

#define POLL_INTERVAL (2 * USEC_SEC)
#define RETURN_PATIENCE (2 * USEC_MINUTE) /* for a daemon that was restarted in the middle */

/* Following one run. */
typedef struct Follow {
        const Context *context;
        const char *cluster;
        char *run;         /* NULL when the daemon did not say */
        Call *events;      /* NULL while the connection is lost */
        int64_t last_time; /* of the last event seen: what is older is not shown again */
} Follow;

static bool concerns(const Follow *follow, const Json *event)
{
        const char *run = json_get_string(event, "run");
        return text_equal(json_get_string(event, "cluster"), follow->cluster) &&
               (!run || !follow->run || text_equal(run, follow->run));
}

static void print_event(const Follow *follow, const Json *event)
{
        const Look look = verb_look(follow->context);
        Text text = { 0 };
        if (follow->context->json) {
                CLEANUP(mem_free) char *json = json_print(event);
                text_addf(&text, "%s\n", json);
        } else
                render_event(&text, &look, event);
        fputs(text.data, stdout);
        fflush(stdout);
        text_done(&text);
}

/* The exit status that an event means; -1 for one that ends nothing. */
static int ending(const Json *event)
{
        EventId id = event_from_string(json_get_string(event, "event"));
        if (id == EVENT_RUN_COMPLETED)
                return STATUS_OK;
        if (id == EVENT_RUN_ABORTED)
                return STATUS_REFUSED;
        return id == EVENT_RUN_HALTED ? STATUS_HALTED : -1;
}

static int show_events(Follow *follow, const Json *answer)
{
        int status = -1;
        JSON_FOREACH(event, json_get(answer, "events"))
        {
                if (!concerns(follow, event))
                        continue;
                print_event(follow, event);
                follow->last_time = json_get_int(event, "time", follow->last_time);
                status = ending(event) >= 0 ? ending(event) : status;
        }
        return status;
}

/* The first answer holds what the daemon remembers: only what was not seen yet. */
static int show_news(Follow *follow, const Json *answer)
{
        CLEANUP(json_free) Json *news = json_object();
        Json *list = json_ensure_array(news, "events");
        JSON_FOREACH(event, json_get(answer, "events"))
        if (json_get_int(event, "time", 0) > follow->last_time)
                json_append(list, json_copy(event));
        return show_events(follow, news);
}

static int open_events(Follow *follow, Reply *ret, Failure *reterr)
{
        CLEANUP(call_close) Call *call = NULL;
        int error = call_open(follow->context->socket, &call, reterr);
        if (error == 0)
                error = call_send(call, API_EVENTS, verb_cluster(follow->cluster), true, reterr);
        if (error == 0)
                error = call_receive(call, CALL_PATIENCE, ret, reterr);
        if (error == 0 && ret->error)
                error = reply_failure(ret, reterr);
        if (error == 0)
                follow->events = TAKE(call);
        return error;
}

/* Before the run begins, so that none of its events is missed. */
static int begin_to_follow(Follow *follow, Failure *reterr)
{
        __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
        int error = open_events(follow, &reply, reterr);
        JSON_FOREACH(event, json_get(reply.parameters, "events"))
        if (json_get_int(event, "time", 0) > follow->last_time)
                follow->last_time = json_get_int(event, "time", 0);
        return error;
}

static int status_of(const char *outcome)
{
        return text_equal(outcome, "completed") ? STATUS_OK
               : text_equal(outcome, "halted")  ? STATUS_HALTED
                                                : STATUS_REFUSED;
}

/* How the run stands when no event says so; -1 while it is under way. */
static int ask_outcome(const Follow *follow)
{
        CLEANUP(json_free) Json *answer = NULL;
        if (!follow->run ||
            call_once(follow->context->socket, API_STATUS, verb_cluster(follow->cluster), &answer, NULL) < 0)
                return -1;
        const Json *cluster = json_at(json_get(answer, "clusters"), 0);
        const Json *run = json_get(cluster, "run"), *last = json_get(cluster, "last_run");
        if (text_equal(json_get_string(run, "state"), "halted"))
                return STATUS_HALTED;
        if (run || text_equal(json_get_string(json_get(cluster, "background"), "run"), follow->run))
                return -1;
        if (text_equal(json_get_string(last, "run"), follow->run))
                return status_of(json_get_string(last, "outcome"));
        CLEANUP(json_free) Json *past = NULL;
        Json *parameters = verb_cluster(follow->cluster);
        json_set_string(parameters, "run", follow->run);
        if (call_once(follow->context->socket, API_REPORT, parameters, &past, NULL) < 0)
                return -1;
        return status_of(json_get_string(json_get(past, "report"), "outcome"));
}

static int reconnect(Follow *follow)
{
        __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
        if (open_events(follow, &reply, NULL) < 0) {
                sleep(1);
                return -1;
        }
        return show_news(follow, reply.parameters);
}

static int follow_once(Follow *follow)
{
        __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
        Failure failure;
        if (call_receive(follow->events, POLL_INTERVAL, &reply, &failure) == 0)
                return show_events(follow, reply.parameters);
        if (failure.kind == FAILURE_TIMEOUT)
                return ask_outcome(follow);
        fprintf(stderr, "mhactl: %s; the run goes on when mhad is back\n", failure.text);
        follow->events = call_close(follow->events);
        return -1;
}

static int follow_to_the_end(Follow *follow)
{
        usec_t lost_at = 0;
        for (;;) {
                int status = follow->events ? follow_once(follow) : reconnect(follow);
                if (status >= 0)
                        return status;
                if (follow->events)
                        lost_at = 0;
                else if (!lost_at)
                        lost_at = usec_now_monotonic();
                else if (usec_now_monotonic() - lost_at > RETURN_PATIENCE) {
                        fprintf(stderr, "mhactl: mhad is not back: systemctl status mhad; mhactl status %s\n",
                                follow->cluster);
                        return STATUS_UNREACHABLE;
                }
        }
}

int follow_order(const Context *context, ApiId method, Json *parameters, char **ret_run)
{
        Follow follow = { .context = context, .cluster = json_get_string(parameters, "cluster") };
        CLEANUP(mem_free) char *cluster = alloc_string(follow.cluster);
        CLEANUP(json_free) Json *answer = NULL;
        Failure failure;
        follow.cluster = cluster;
        if (begin_to_follow(&follow, &failure) < 0) {
                json_free(parameters);
                return verb_fail(&failure);
        }
        int status = verb_call(context, method, parameters, &answer);
        if (status == STATUS_OK) {
                follow.run = alloc_string(json_get_string(answer, "run"));
                status = follow_to_the_end(&follow);
                *ret_run = TAKE(follow.run);
        }
        call_close(follow.events);
        return status;
}

void follow_print_end(const Context *context, ApiId method, const char *cluster, const char *run, int status)
{
        if (context->json) {
                Json *end = verb_cluster(cluster);
                json_set_string(end, "run", run);
                json_set_string(end, "outcome",
                                status == STATUS_OK       ? "completed"
                                : status == STATUS_HALTED ? "halted"
                                                          : "aborted");
                CLEANUP(mem_free) char *text = json_print(end);
                puts(text);
                json_free(end);
                return;
        }
        if (status == STATUS_OK)
                printf("Completed. All about it: mhactl report %s %s\n", cluster, run ? run : "");
        else if (status == STATUS_HALTED)
                printf("Halted: it waits for you. mhactl status %s shows where; then mhactl run "
                       "retry|override|abandon %s\n",
                       cluster, cluster);
        else if (status == refusal_exit_status(REFUSAL_CHECKS))
                printf("Not done: a check failed, and nothing was changed. All about it: mhactl report %s %s\n",
                       cluster, run ? run : "");
        else if (method == API_REJOIN)
                printf("Not attached: it is left as it is now, read-only if that could be done. All about it: mhactl "
                       "report %s %s\n",
                       cluster, run ? run : "");
        else
                printf("Not done: what was changed was undone. All about it: mhactl report %s %s\n", cluster,
                       run ? run : "");
}
