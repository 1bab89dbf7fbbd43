/* Verbs that only ask: one call, one rendering, and an exit status for scripts. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "program.h"
#include "verb.h"

/* The worst of the clusters. */
static int health_status(const Json *answer)
{
        static const struct {
                const char *health;
                int status;
        } rows[] = { { "warning", STATUS_DEGRADED },
                     { "suspect", STATUS_HELD },
                     { "held", STATUS_HELD },
                     { "running", STATUS_RUNNING },
                     { "halted", STATUS_HALTED } };
        int worst = STATUS_OK;
        JSON_FOREACH(cluster, json_get(answer, "clusters"))
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
                if (text_equal(json_get_string(cluster, "health"), rows[i].health) && rows[i].status > worst)
                        worst = rows[i].status;
        return worst;
}

static int show_status(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = verb_call(context, API_STATUS, verb_cluster(verb_word(context, 0)), &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        if (!context->json)
                render_status(&text, &look, answer);
        verb_print(context, answer, &text);
        return health_status(answer);
}

int verb_status(const Context *context)
{
        if (!verb_option(context, OPTION_WATCH))
                return show_status(context);
        for (;;) {
                if (context->terminal)
                        fputs("\x1b[H\x1b[2J", stdout);
                int status = show_status(context);
                if (status == STATUS_REFUSED)
                        return status;
                if (!context->terminal && !context->json)
                        puts("");
                fflush(stdout);
                sleep(1);
        }
}

static int show_check(const Context *context, const Json *answer)
{
        Text text = { 0 };
        const Look look = verb_look(context);
        render_check(&text, &look, answer);
        verb_print(context, answer, &text);
        return json_get_bool(answer, "ready", false) ? STATUS_OK : STATUS_REFUSED;
}

static const char *const kinds[] = { "ready", "ssh", "replication", "failover", "config" };

static bool is_kind(const char *word)
{
        for (size_t i = 0; word && i < ARRAY_LENGTH(kinds); i++)
                if (text_equal(word, kinds[i]))
                        return true;
        return false;
}

/* mhad reads it as whom it runs as; where it does not run, as whoever asks. */
static int check_config(const Context *context)
{
        const char *file = verb_word(context, 1);
        CLEANUP(json_free) Json *answer = NULL;
        Failure failure;
        Json *parameters = json_object();
        json_set_string(parameters, "what", "config");
        if (file && context->json) {
                fputs("mhactl: --json goes with check config alone, which mhad answers, not with a file\n", stderr);
                json_free(parameters);
                return STATUS_USAGE;
        }
        if (file || call_once(context->socket, API_CHECK, parameters, &answer, &failure) < 0) {
                if (file)
                        json_free(parameters);
                else if (failure.kind == FAILURE_INVALID || context->json)
                        return verb_fail(&failure);
                const char *const here[] = { "--check-config", file ? "--config" : NULL, file, NULL };
                int status = program_become(here);
                fprintf(stderr, "mhactl: cannot run %s: %s\n", program_path(), strerror(-status));
                return STATUS_REFUSED;
        }
        return show_check(context, answer);
}

int verb_check(const Context *context)
{
        const char *first = verb_word(context, 0);
        bool kind = is_kind(first);
        CLEANUP(json_free) Json *answer = NULL;
        if (!kind && verb_word(context, 1)) {
                fprintf(stderr, "mhactl: there is no check %s: ready, ssh, replication, failover or config\n", first);
                return STATUS_USAGE;
        }
        if (verb_option(context, OPTION_MESH) && !text_equal(first, "ssh")) {
                fputs("mhactl: --mesh goes with check ssh\n", stderr);
                return STATUS_USAGE;
        }
        if (text_equal(first, "config"))
                return check_config(context);
        Json *parameters = verb_cluster(kind ? verb_word(context, 1) : first);
        json_set_string(parameters, "what", kind ? first : NULL);
        if (verb_option(context, OPTION_MESH))
                json_set_bool(parameters, "mesh", true);
        int status = verb_call(context, API_CHECK, parameters, &answer);
        return status == STATUS_OK ? show_check(context, answer) : status;
}

int verb_plan(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        Json *parameters = verb_cluster(verb_word(context, 1));
        json_set_string(parameters, "procedure", verb_word(context, 0));
        json_set(parameters, "options", verb_run_options(context));
        int status = verb_call(context, API_PLAN, parameters, &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        render_plan(&text, &look, answer, true);
        verb_print(context, answer, &text);
        return STATUS_OK;
}

int verb_report(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        Json *parameters = verb_cluster(verb_word(context, 0));
        json_set_string(parameters, "run", verb_word(context, 1));
        int status = verb_call(context, API_REPORT, parameters, &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        render_report(&text, &look, answer);
        verb_print(context, answer, &text);
        return STATUS_OK;
}

int verb_history(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = verb_call(context, API_HISTORY, verb_cluster(verb_word(context, 0)), &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        render_history(&text, &look, answer);
        verb_print(context, answer, &text);
        return STATUS_OK;
}

int verb_metrics(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = verb_call(context, API_METRICS, NULL, &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        text_add(&text, render_or(answer, "text", ""));
        verb_print(context, answer, &text);
        return STATUS_OK;
}

int verb_version(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        if (!context->json)
                printf("mhactl %s\n", api_version());
        int status = verb_call(context, API_VERSION, NULL, &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        text_addf(&text, "mhad %s (pid %lld)\n", render_or(answer, "version", "?"),
                  (long long) json_get_int(answer, "pid", 0));
        verb_print(context, answer, &text);
        return STATUS_OK;
}

/* Waiting. */

#define WAIT_INTERVAL (500 * USEC_MSEC)

static void nap(usec_t duration)
{
        const struct timespec time = { .tv_sec = (time_t) (duration / USEC_SEC),
                                       .tv_nsec = (long) (duration % USEC_SEC) * 1000 };
        (void) nanosleep(&time, NULL);
}

static bool is_failover(const Json *run)
{
        return text_equal(json_get_string(run, "procedure"), "failover");
}

/* A failover that began meanwhile may have ended already. */
static bool is_dead(const Json *cluster, usec_t since)
{
        const Json *last = json_get(cluster, "last_run");
        return text_equal(json_get_string(json_get(cluster, "finding"), "finding"), "dead") ||
               is_failover(json_get(cluster, "run")) ||
               (is_failover(last) && (usec_t) json_get_int(last, "started", 0) >= since);
}

static bool is_reached(const Json *answer, const char *until, usec_t since)
{
        const Json *cluster = json_at(json_get(answer, "clusters"), 0);
        return text_equal(until, "dead") ? is_dead(cluster, since)
                                         : text_equal(json_get_string(cluster, "health"), "ok");
}

int verb_wait(const Context *context)
{
        const char *until = verb_option(context, OPTION_UNTIL), *timeout = verb_option(context, OPTION_TIMEOUT);
        usec_t limit = USEC_INFINITY, since = usec_now_real(), begun = usec_now_monotonic();
        if (!text_equal(until, "dead") && !text_equal(until, "healthy")) {
                fputs("mhactl: wait for what? --until dead or --until healthy\n", stderr);
                return STATUS_USAGE;
        }
        if (timeout && usec_parse(timeout, &limit) < 0) {
                fprintf(stderr, "mhactl: --timeout %s is no time: say 30s, 10m or 1h\n", timeout);
                return STATUS_USAGE;
        }
        for (;;) {
                CLEANUP(json_free) Json *answer = NULL;
                int status = verb_call(context, API_STATUS, verb_cluster(verb_word(context, 0)), &answer);
                if (status != STATUS_OK)
                        return status;
                if (is_reached(answer, until, since)) {
                        Text text = { 0 };
                        text_addf(&text, "%s is %s\n", verb_word(context, 0), until);
                        verb_print(context, answer, &text);
                        return STATUS_OK;
                }
                usec_t left = usec_sub(limit, usec_sub(usec_now_monotonic(), begun));
                if (left == 0) {
                        fprintf(stderr, "mhactl: %s is not %s\n", verb_word(context, 0), until);
                        return STATUS_TIMEOUT;
                }
                nap(left < WAIT_INTERVAL ? left : WAIT_INTERVAL);
        }
}
