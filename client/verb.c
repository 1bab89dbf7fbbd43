/* What the verbs share. Owns nothing. */
#include "verb.h"

#include <stdio.h>

#include "call.h"
#include "refusal.h"

const char *verb_word(const Context *context, size_t n)
{
        return n < ARGUMENTS_WORDS_MAX ? context->arguments->words[n] : NULL;
}

const char *verb_option(const Context *context, OptionId id)
{
        return context->arguments->options[id];
}

int verb_fail(const Failure *failure)
{
        Text text = { 0 };
        Look plain = { 0 };
        render_add(&text, &plain, TONE_PLAIN, "%s", failure->text);
        fprintf(stderr, "mhactl: %s\n", text.data);
        text_done(&text);
        int refused = refusal_exit_status(failure->code);
        return failure->kind != FAILURE_INVALID ? STATUS_UNREACHABLE : refused ? refused : STATUS_REFUSED;
}

Look verb_look(const Context *context)
{
        Look look = context->look;
        look.now = usec_now_real();
        return look;
}

void verb_print(const Context *context, const Json *answer, Text *text)
{
        if (context->json) {
                CLEANUP(mem_free) char *json = context->terminal ? json_print_pretty(answer) : json_print(answer);
                puts(json);
        } else if (text->data)
                fputs(text->data, stdout);
        fflush(stdout);
        text_done(text);
}

int verb_call(const Context *context, ApiId id, Json *parameters, Json **ret)
{
        Failure failure;
        return call_once(context->socket, id, parameters, ret, &failure) < 0 ? verb_fail(&failure) : STATUS_OK;
}

Json *verb_cluster(const char *cluster)
{
        Json *parameters = json_object();
        json_set_string(parameters, "cluster", cluster);
        return parameters;
}

Json *verb_run_options(const Context *context)
{
        Json *options = json_object();
        json_set_string(options, "to", verb_option(context, OPTION_TO));
        json_set_string(options, "accept_loss", verb_option(context, OPTION_ACCEPT_LOSS));
        if (verb_option(context, OPTION_IGNORE_LAST_FAILOVER))
                json_set_bool(options, "ignore_last_failover", true);
        if (verb_option(context, OPTION_NO_DEMOTE))
                json_set_bool(options, "no_demote", true);
        json_set_string(options, "multi_tier", verb_option(context, OPTION_MULTI_TIER));
        return options;
}
