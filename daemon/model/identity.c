/* Identities as they are kept. Pure: owns nothing. Must never grow with what a server says. */
#include "identity.h"

#include <string.h>

#include "host.h"

/* Printed. A path is not longer than 512 bytes on any server. */
#define ONE_MAX ((size_t) 8 * 1024)
#define EVENTS_MAX ((size_t) 64 * 1024)
#define ALL_MAX ((size_t) 256 * 1024)

static size_t size_of(const Json *json)
{
        CLEANUP(mem_free) char *text = json_print(json);
        return strlen(text);
}

static Json *identity_of(const Identified *one)
{
        CLEANUP(json_free) Json *json = server_view_identity(one->view);
        json_set_bool(json, "identified", true);
        json_set_string(json, "host", one->server->host);
        json_set_int(json, "port", one->server->port);
        if (size_of(json) > ONE_MAX)
                return NULL;
        if (one->primary && one->view->events && size_of(one->view->events) <= EVENTS_MAX)
                json_set(json, "events_known", json_copy(one->view->events));
        return TAKE(json);
}

static void keep(const Identified *one, Json *all, size_t *total)
{
        /* Not only while it is identified: it may be connected anew just now. */
        CLEANUP(json_free) Json *json = version_is_set(&one->view->version) ? identity_of(one) : NULL;
        size_t size = json ? size_of(json) : 0;
        if (!json || *total + size > ALL_MAX)
                return;
        *total += size;
        json_set(all, one->server->name, TAKE(json));
}

Json *identities_of(const Identified *servers, size_t n)
{
        Json *all = json_object();
        size_t total = 0;
        for (size_t i = 0; i < n; i++)
                if (servers[i].primary)
                        keep(&servers[i], all, &total);
        for (size_t i = 0; i < n; i++)
                if (!servers[i].primary)
                        keep(&servers[i], all, &total);
        return all;
}

void identity_recall(const Json *kept, const Server *server, ServerView *view)
{
        const Json *json = json_get(kept, server->name), *events = json_get(json, "events_known");
        if (!host_is_same(json_get_string(json, "host"), server->host) ||
            json_get_int(json, "port", 0) != server->port || view->identified)
                return;
        server_view_recall(view, json);
        if (events)
                view->events = json_copy(events);
}
