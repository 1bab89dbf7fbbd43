/* The daemon's events: what it remembers, and with -f what happens from now on. */
#include <stdio.h>

#include "call.h"
#include "verb.h"

static void print_events(const Context *context, const Json *answer)
{
        const Look look = verb_look(context);
        JSON_FOREACH(event, json_get(answer, "events"))
        {
                Text text = { 0 };
                if (context->json) {
                        CLEANUP(mem_free) char *json = json_print(event);
                        text_addf(&text, "%s\n", json);
                } else
                        render_event(&text, &look, event);
                fputs(text.data, stdout);
                text_done(&text);
        }
        fflush(stdout);
}

int verb_events(const Context *context)
{
        CLEANUP(call_close) Call *call = NULL;
        Failure failure;
        bool follow = verb_option(context, OPTION_FOLLOW);
        int error = call_open(context->socket, &call, &failure);
        if (error == 0)
                error = call_send(call, API_EVENTS, verb_cluster(verb_word(context, 0)), follow, &failure);
        bool continues = true;
        for (bool first = true; error == 0 && continues; first = false) {
                __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
                error = call_receive(call, first ? CALL_PATIENCE : USEC_INFINITY, &reply, &failure);
                if (error == 0 && reply.error)
                        error = reply_failure(&reply, &failure);
                if (error == 0)
                        print_events(context, reply.parameters);
                continues = error == 0 && reply.continues;
        }
        return error < 0 ? verb_fail(&failure) : STATUS_OK;
}
