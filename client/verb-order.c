/* Verbs that change something and are done at once. */
#include <stdio.h>

#include "call.h"
#include "verb.h"

static int order(const Context *context, ApiId id, Json *parameters, const char *done)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = verb_call(context, id, parameters, &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        text_addf(&text, "%s\n", done);
        verb_print(context, answer, &text);
        return STATUS_OK;
}

int verb_add_period(const Context *context, Json *parameters)
{
        const char *for_how_long = verb_option(context, OPTION_FOR);
        usec_t duration;
        if (for_how_long && (usec_parse(for_how_long, &duration) < 0 || duration < USEC_SEC)) {
                fprintf(stderr, "mhactl: --for %s is no time: say 30m, 1h or 2d\n", for_how_long);
                return STATUS_USAGE;
        }
        if (for_how_long)
                json_set_int(parameters, "for_ms", (int64_t) (duration / USEC_MSEC));
        json_set_string(parameters, "reason", verb_option(context, OPTION_REASON));
        return STATUS_OK;
}

/* server down|up [CLUSTER] SERVER */
int verb_server_period(const Context *context)
{
        bool down = text_equal(verb_word(context, 0), "down"), with_cluster = verb_word(context, 2);
        CLEANUP(json_free) Json *parameters = verb_cluster(with_cluster ? verb_word(context, 1) : NULL);
        const char *server = verb_word(context, with_cluster ? 2 : 1);
        json_set_string(parameters, "server", server);
        if (!down && (verb_option(context, OPTION_FOR) || verb_option(context, OPTION_REASON))) {
                fputs("mhactl: --for and --why go with server down\n", stderr);
                return STATUS_USAGE;
        }
        int status = down ? verb_add_period(context, parameters) : STATUS_OK;
        if (status != STATUS_OK)
                return status;
        CLEANUP(mem_free)
        char *done = text_format(down ? "%s is taken out: no candidate, no alarm" : "%s counts again", server);
        return order(context, down ? API_SERVER_DOWN : API_SERVER_UP, TAKE(parameters), done);
}

int verb_pause(const Context *context)
{
        CLEANUP(json_free) Json *parameters = verb_cluster(verb_word(context, 0));
        int status = verb_add_period(context, parameters);
        return status != STATUS_OK
                       ? status
                       : order(context, API_PAUSE, TAKE(parameters), "paused: there will be no automatic failover");
}

int verb_resume(const Context *context)
{
        return order(context, API_RESUME, verb_cluster(verb_word(context, 0)), "resumed");
}

int verb_acknowledge(const Context *context)
{
        return order(context, API_ACKNOWLEDGE, verb_cluster(verb_word(context, 0)), "acknowledged");
}

int verb_run(const Context *context)
{
        static const char *const known[] = { "retry", "override", "abandon", "cancel" };
        const char *what = verb_word(context, 0);
        size_t i = 0;
        while (i < ARRAY_LENGTH(known) && !text_equal(known[i], what))
                i++;
        if (i == ARRAY_LENGTH(known)) {
                fprintf(stderr, "mhactl: run %s: say retry, override, abandon or cancel\n", what);
                return STATUS_USAGE;
        }
        if (text_equal(what, "override") && !verb_option(context, OPTION_VERDICT)) {
                fputs("mhactl: say mhactl run override CLUSTER --server SERVER --verdict met --reason TEXT\n", stderr);
                return STATUS_USAGE;
        }
        Json *parameters = verb_cluster(verb_word(context, 1));
        json_set_string(parameters, "what", what);
        Json *options = json_ensure_object(parameters, "options");
        json_set_string(options, "server", verb_option(context, OPTION_SERVER));
        json_set_string(options, "verdict", verb_option(context, OPTION_VERDICT));
        json_set_string(options, "reason", verb_option(context, OPTION_REASON));
        CLEANUP(mem_free)
        char *done = text_format("%s: accepted; mhactl status %s shows how it goes on", what, verb_word(context, 1));
        return order(context, API_RUN, parameters, done);
}

int verb_cancel(const Context *context)
{
        Json *parameters = verb_cluster(verb_word(context, 0));
        json_set_string(parameters, "what", "cancel");
        json_set_string(json_ensure_object(parameters, "options"), "reason", verb_option(context, OPTION_REASON));
        CLEANUP(mem_free)
        char *done = text_format("it is being undone; mhactl status %s shows how it goes on", verb_word(context, 0));
        return order(context, API_RUN, parameters, done);
}

static void print_errors(const Json *errors)
{
        const Look plain = { 0 };
        Text text = { 0 };
        JSON_FOREACH(error, errors)
        {
                render_add(&text, &plain, TONE_PLAIN, "%s", json_string(error) ? json_string(error) : "?");
                text_add(&text, "\n");
        }
        if (text.data)
                fputs(text.data, stderr);
        text_done(&text);
}

/* Not by order(): all errors of the configuration are shown. */
int verb_reload(const Context *context)
{
        CLEANUP(call_close) Call *call = NULL;
        __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
        Failure failure;
        int error = call_open(context->socket, &call, &failure);
        if (error == 0)
                error = call_send(call, API_RELOAD, NULL, false, &failure);
        if (error == 0)
                error = call_receive(call, CALL_RELOAD_PATIENCE, &reply, &failure);
        if (error < 0)
                return verb_fail(&failure);
        if (reply.error) {
                print_errors(json_get(reply.parameters, "errors"));
                (void) reply_failure(&reply, &failure);
                return verb_fail(&failure);
        }
        Text text = { 0 };
        text_add(&text, "the configuration was taken over\n");
        verb_print(context, reply.parameters, &text);
        return STATUS_OK;
}
