/* Relay logs removed, from one replica after the other. */
#include <stdio.h>

#include "call.h"
#include "follow.h"

static int purge(const Context *context, const char *cluster, const char *server)
{
        CLEANUP(mem_free) char *run = NULL;
        Json *parameters = verb_cluster(cluster);
        json_set_string(parameters, "server", server);
        int status = follow_order(context, API_PURGE, parameters, &run);
        if (run && status != STATUS_UNREACHABLE)
                follow_print_end(context, API_PURGE, cluster, run, status);
        return status;
}

int verb_purge(const Context *context)
{
        const char *cluster = verb_word(context, 0), *only = verb_option(context, OPTION_SERVER);
        if (only && !cluster) {
                fprintf(stderr, "mhactl: name the cluster of %s, too: mhactl purge-relay-logs CLUSTER --server %s\n",
                        only, only);
                return STATUS_USAGE;
        }
        if (only)
                return purge(context, cluster, only);
        CLEANUP(json_free) Json *answer = NULL;
        int worst = verb_call(context, API_STATUS, verb_cluster(cluster), &answer);
        JSON_FOREACH(one, json_get(answer, "clusters"))
        {
                JSON_FOREACH(server, json_get(one, "servers"))
                {
                        if (!text_equal(json_get_string(server, "role"), "replica"))
                                continue;
                        int status = purge(context, json_get_string(one, "cluster"), json_get_string(server, "name"));
                        worst = status > worst ? status : worst;
                }
        }
        return worst;
}
