/* Shared questions to a database and their reading. Pure. */
#include "status.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "text.h"

/* Of one that was never asked: that of the primary, or of whoever is known. A cluster has one flavour, and versions near each
 * other. */
static void assume_version(const Facts *facts, ServerView *view)
{
        const char *first[] = { facts_string(facts, "candidate"), facts_string(facts, "old_primary") };
        size_t n = ARRAY_LENGTH(first);
        for (size_t i = 0; i < n + facts_n_servers(facts); i++) {
                const char *name = i < n ? first[i] : facts_server_name(facts, i - n);
                const char *text = facts_server_string(facts, name, "version");
                if (!text_is_empty(text) && version_parse(text, &view->version, NULL) >= 0)
                        return;
        }
}

ServerView *status_known(const Facts *facts, const char *server)
{
        ServerView *view = server_view_from_json(facts_server(facts, server));
        if (!version_is_set(&view->version))
                assume_version(facts, view);
        return view;
}

void ask_status(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Dialect *dialect = server_view_dialect(view);
        script_sql(script, "%s", dialect->tick);
        script_sql(script, "%s", dialect->show_replica);
        script_try_sql(script, "%s", dialect->show_binlog);
}

bool status_is_level(const ServerView *view, const ReplicaChannel *channel, bool gtid)
{
        if (!gtid)
                return position_is_set(&channel->applied) && position_equal(&channel->applied, &channel->received);
        CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
        CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
        return gtid_contains(applied, received);
}

static bool may_have_been_fed(const Facts *facts, const char *server)
{
        return json_has(facts_server(facts, server), "former") ||
               (text_equal(server, facts_string(facts, "candidate")) && !text_is_empty(facts_string(facts, "donor")));
}

double status_pause(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(view);
        bool frozen = facts_server_bool(facts, server, "frozen", false) &&
                      (!may_have_been_fed(facts, server) || facts_server_bool(facts, server, "fed_level", false));
        if (frozen && channel && status_is_level(view, channel, status_is_gtid(facts)))
                return 0;
        return view->parallel_workers || !view->identified ? 0.35 : 0.05;
}

void status_ask_pause(const Facts *facts, const char *server, bool pause, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        double seconds = pause ? status_pause(facts, server) : 0;
        if (view->parallel_workers == 0)
                script_sql(script, "SELECT SLEEP(%.2f)", seconds);
        else
                script_sql(script,
                           "SELECT SLEEP(%.2f), (SELECT COUNT(*) FROM information_schema.processlist "
                           "WHERE state = '%s') AS idle_workers",
                           seconds, server_view_dialect(view)->idle_worker);
}

bool status_has_read_all(const ReplicaChannel *channel)
{
        return channel->applier_running && channel->applier_text &&
               strstr(channel->applier_text, "has read all relay log");
}

bool status_stands_still(const ServerView *view, const ReplicaChannel *before, const Reply *pause)
{
        const ReplicaChannel *after = server_view_channel(view);
        const char *idle = reply_succeeded(pause) ? reply_get(pause, 0, "idle_workers") : NULL;
        return before && after && status_has_read_all(before) && status_has_read_all(after) &&
               position_equal(&before->applied, &after->applied) &&
               (view->parallel_workers == 0 || (idle && strtoul(idle, NULL, 10) >= view->parallel_workers));
}

void ask_status_twice(const Facts *facts, const char *server, Script *script)
{
        ask_status(facts, server, script);
        status_ask_pause(facts, server, true, script);
        ask_status(facts, server, script);
}

ServerView *status_read(const Facts *facts, const char *server, const Replies *replies, size_t first,
                        Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        int r = observation_read_tick(view, replies_at(replies, first + STATUS_TICK), &failure);
        if (r >= 0)
                r = observation_read_replica(view, replies_at(replies, first + STATUS_REPLICA), 0, &failure);
        if (r >= 0 && reply_succeeded(replies_at(replies, first + STATUS_BINLOG)))
                r = observation_read_binlog(view, replies_at(replies, first + STATUS_BINLOG), &failure);
        if (r < 0) {
                judge_as(judgement, VERDICT_UNMET, "%s", failure.text);
                return NULL;
        }
        return TAKE(view);
}

/* Whatever a virtual address or another name of it leads to meanwhile: that is what it was told. */
static bool is_as_it_was(const Facts *facts, const char *server, const ReplicaChannel *channel, const char *source)
{
        const Json *at = json_get(facts_server(facts, server), "follows_at");
        return at && text_equal(facts_server_string(facts, server, "follows"), source) &&
               host_is_same(channel->source_host, json_get_string(at, "host")) &&
               channel->source_port == json_get_int(at, "port", 0);
}

bool status_rests(const Facts *facts, const char *server, const ServerView *view)
{
        const ReplicaChannel *channel = server_view_channel(view);
        return facts_server_string(facts, server, "downtime") && channel &&
               (channel->receiver == RECEIVER_STOPPED || !channel->applier_running);
}

bool status_follows(const Facts *facts, const char *server, const ReplicaChannel *channel, const char *source)
{
        if (!channel || !source)
                return false;
        bool named = host_is_same(channel->source_host, facts_server_string(facts, source, "host")) ||
                     host_is_same(channel->source_host, facts_server_string(facts, source, "address"));
        return (named && channel->source_port == facts_server_int(facts, source, "port", 3306)) ||
               is_as_it_was(facts, server, channel, source);
}

bool status_follows_old(const Facts *facts, const char *server, const ReplicaChannel *channel)
{
        return status_follows(facts, server, channel, facts_string(facts, "old_primary"));
}

Json *status_follows_at(const ReplicaChannel *channel)
{
        Json *at = json_object();
        json_set_string(at, "host", channel->source_host);
        json_set_int(at, "port", channel->source_port);
        return at;
}

GtidSet *status_received(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
        if (server_view_gtid_family(view) == GTID_FAMILY_MARIADB || !view->server_uuid)
                return TAKE(received);
        CLEANUP(server_view_free) ServerView *old = status_known(facts, facts_string(facts, "old_primary"));
        CLEANUP(gtid_free) GtidSet *of_old = server_view_gtid_applied(old);
        CLEANUP(gtid_free) GtidSet *own = gtid_of_source(received, view->server_uuid);
        CLEANUP(gtid_free) GtidSet *errant = gtid_subtract(own, of_old);
        return gtid_subtract(received, errant);
}

bool status_is_gtid(const Facts *facts)
{
        return !text_equal(facts_string(facts, "mode"), "position");
}

bool status_finds_by_gtid(const Facts *facts, const ReplicaChannel *channel)
{
        return facts_string(facts, "mode") ? status_is_gtid(facts) : channel->mode != SOURCE_POSITION;
}
