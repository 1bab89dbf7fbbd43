/* People at work while the daemon was away. Owns nothing; must never take for theirs what the run has done itself. */
#include "meanwhile.h"

#include "hooks.h"
#include "host.h"
#include "status.h"
#include "text.h"
#include "virtual_address.h"

/* The server of the cluster that a channel points at; NULL: none of them. */
static const char *source_of(const Facts *facts, const char *server, const ReplicaChannel *channel)
{
        for (size_t i = 0; i < facts_n_servers(facts); i++)
                if (status_follows(facts, server, channel, facts_server_name(facts, i)))
                        return facts_server_name(facts, i);
        return NULL;
}

static bool is_as_known(const ReplicaChannel *known, const ReplicaChannel *now)
{
        return known && host_is_same(known->source_host, now->source_host) && known->source_port == now->source_port;
}

/* It takes writes and did not when it was seen last. */
static bool was_opened(const ServerView *known, const ServerView *now)
{
        return known->ticked && known->read_only && !now->read_only;
}

static bool is_ours(const Facts *facts, const char *server, const ServerView *view, bool detaching)
{
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(view);
        bool candidate = text_equal(server, facts_string(facts, "candidate"));
        if (was_opened(known, view))
                return false;
        if (!channel) /* with several, nobody can tell */
                return view->n_channels > 0 || (candidate && detaching);
        const char *source = source_of(facts, server, channel);
        if (!source)
                return json_has(facts_server(facts, server), "former") || /* it is on record that it is fed */
                       is_as_known(server_view_channel(known), channel);
        return text_equal(source, facts_string(facts, "old_primary")) ||
               (candidate && text_equal(source, facts_string(facts, "donor")));
}

static char *done_to(const Facts *facts, bool detaching, const Present *server)
{
        const char *name = server->name;
        CLEANUP(server_view_free) ServerView *known = status_known(facts, name);
        const ServerView *view = server->view;
        if (text_equal(name, facts_string(facts, "old_primary")) || !server_view_is_read(view))
                return NULL;
        if (was_opened(known, view) || (server->primary && !known->ticked && !view->read_only))
                return text_format("%s takes writes", name);
        if (server->primary && !text_equal(name, facts_string(facts, "candidate")))
                return text_format("%s is the primary", name);
        if (!json_array_contains(json_get(facts->root, "replicas"), name) || is_ours(facts, name, view, detaching))
                return NULL;
        const ReplicaChannel *channel = server_view_channel(view);
        if (!channel)
                return text_format("%s follows nobody", name);
        CLEANUP(mem_free) char *followed = host_and_port(channel->source_host, channel->source_port);
        const char *source = source_of(facts, name, channel);
        return text_format("%s follows %s", name, source ? source : followed);
}

char *meanwhile_done(const Facts *facts, bool detaching, const Present *servers, size_t n)
{
        Text text = { 0 };
        for (size_t i = 0; i < n; i++) {
                CLEANUP(mem_free) char *done = done_to(facts, detaching, &servers[i]);
                if (!done)
                        continue;
                text_separate(&text, ", ");
                text_add(&text, done);
        }
        if (text.length > 0)
                return text_take(&text);
        text_done(&text);
        return NULL;
}

Json *meanwhile_learned(bool detaching)
{
        Json *learned = json_object(), *meanwhile = json_ensure_object(learned, "meanwhile");
        json_set_bool(meanwhile, "detaching", detaching);
        return learned;
}

static bool is_known(const Facts *facts)
{
        return json_has(facts->root, "meanwhile");
}

bool meanwhile_is_theirs(const Facts *facts, const char *server, const ServerView *view)
{
        bool detaching = json_get_bool(json_get(facts->root, "meanwhile"), "detaching", false);
        return is_known(facts) && !is_ours(facts, server, view, detaching);
}

bool skip_restore_address(const Facts *facts)
{
        return address_skip(facts) || is_known(facts);
}

bool skip_take_stop_back(const Facts *facts)
{
        return skip_abort_stop_hook(facts) || is_known(facts);
}
