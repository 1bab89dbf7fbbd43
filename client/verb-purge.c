/* Relay logs removed, from one replica after the other. */
#include <stdio.h>
#include <unistd.h>

#include "call.h"
#include "verb.h"

#define POLL_INTERVAL 200000

/* Until the run is over; then what the daemon said of it. */
static int wait_for(const Context *context, const char *cluster, const char *run)
{
        for (;;) {
                CLEANUP(json_free) Json *answer = NULL;
                int status = verb_call(context, API_STATUS, verb_cluster(cluster), &answer);
                if (status != STATUS_OK)
                        return status;
                const Json *background = json_get(json_at(json_get(answer, "clusters"), 0), "background");
                if (!text_equal(json_get_string(background, "run"), run))
                        break;
                usleep(POLL_INTERVAL);
        }
        CLEANUP(json_free) Json *answer = NULL;
        int status = verb_call(context, API_EVENTS, verb_cluster(cluster), &answer);
        const Json *last = NULL;
        JSON_FOREACH(event, json_get(answer, "events"))
        {
                const char *name = json_get_string(event, "event");
                if (text_equal(json_get_string(event, "run"), run) &&
                    (text_equal(name, "run-completed") || text_equal(name, "run-aborted")))
                        last = event;
        }
        if (status != STATUS_OK)
                return status;
        if (!last) {
                fprintf(stderr, "mhactl: mhad no longer knows what became of run %s: journalctl -u mhad\n", run);
                return STATUS_REFUSED;
        }
        if (context->json) {
                CLEANUP(mem_free) char *text = json_print(last);
                puts(text);
        } else {
                printf("%s\n", json_get_string(last, "text"));
        }
        return text_equal(json_get_string(last, "event"), "run-completed") ? STATUS_OK : STATUS_REFUSED;
}

static int purge(const Context *context, const char *cluster, const char *server)
{
        CLEANUP(json_free) Json *answer = NULL;
        Json *parameters = verb_cluster(cluster);
        json_set_string(parameters, "server", server);
        int status = verb_call(context, API_PURGE, parameters, &answer);
        return status == STATUS_OK ? wait_for(context, cluster, json_get_string(answer, "run")) : status;
}

int verb_purge(const Context *context)
{
        const char *cluster = verb_word(context, 0), *only = verb_option(context, OPTION_SERVER);
        if (only)
                return purge(context, cluster, only);
        CLEANUP(json_free) Json *answer = NULL;
        int worst = verb_call(context, API_STATUS, verb_cluster(cluster), &answer);
        JSON_FOREACH(server, json_get(json_at(json_get(answer, "clusters"), 0), "servers"))
        {
                if (!text_equal(json_get_string(server, "role"), "replica"))
                        continue;
                int status = purge(context, cluster, json_get_string(server, "name"));
                worst = status > worst ? status : worst;
        }
        return worst;
}
