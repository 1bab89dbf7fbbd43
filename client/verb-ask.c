/* Verbs that only ask: one call, one rendering, and an exit status for scripts. */
#include <stdio.h>
#include <unistd.h>

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

int verb_check(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = verb_call(context, API_CHECK, verb_cluster(verb_word(context, 0)), &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        render_check(&text, &look, answer);
        verb_print(context, answer, &text);
        return json_get_bool(answer, "ready", false) ? STATUS_OK : STATUS_REFUSED;
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
