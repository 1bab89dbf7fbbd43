/* CHANGE MASTER with its surroundings. Pure. */
#include "source.h"

#include "feedwire.h"
#include "status.h"
#include "text.h"

/* How it found its place before, kept across a change: slave_pos and current_pos are the operator's choice. */
SourceMode source_mode(const Facts *facts, const char *server, const ServerView *view)
{
        const ReplicaChannel *now = server_view_channel(view);
        if (now && now->mode != SOURCE_POSITION)
                return now->mode;
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *before = server_view_channel(known);
        if (before && before->mode != SOURCE_POSITION)
                return before->mode;
        return server_view_gtid_family(view) == GTID_FAMILY_MARIADB ? SOURCE_SLAVE_POS : SOURCE_AUTO;
}

/* A feed takes no TLS: who was fed is given back what it had. */
static SourceTls tls_of(const Facts *facts, const char *server, const ServerView *view)
{
        const char *tls = facts_config_string(facts, "replication.tls");
        const Json *former = json_get(facts_server(facts, server), "former");
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *was = server_view_channel(known), *is = server_view_channel(view);
        if (text_equal(tls, "on") || text_equal(tls, "off"))
                return text_equal(tls, "on") ? SOURCE_TLS_ON : SOURCE_TLS_OFF;
        bool had = json_get_bool(former, "tls", was && was->tls);
        return had && is && !is->tls ? SOURCE_TLS_ON : SOURCE_TLS_KEEP;
}

/* An applier with half a transaction, as a dead primary leaves it, is stopped by MySQL after a minute only, when it is a
 * parallel one. By its own ids it can go on: it drops that half when the whole comes from the other source. */
static bool applier_goes_on(const Dialect *dialect, const ServerView *view, const SourceSpec *spec)
{
        const ReplicaChannel *channel = server_view_channel(view);
        return dialect->change_keeps_relay_logs && spec->mode == SOURCE_AUTO && channel &&
               channel->mode == SOURCE_AUTO && channel->applier_running;
}

void source_end_attempt(const Facts *facts, const ServerView *view, Script *script)
{
        const ReplicaChannel *channel = server_view_channel(view);
        if (channel && channel->receiver == RECEIVER_CONNECTING && server_view_dialect(view)->stop_waits_for_connect &&
            facts_config_bool(facts, "ssh.enabled", true))
                script_try_ssh(script, SOURCE_END_ATTEMPT, channel->source_port);
}

void source_change(const Facts *facts, const char *server, const ServerView *view, const char *source,
                   const Position *position, Script *script)
{
        const Dialect *dialect = server_view_dialect(view);
        const char *user = facts_config_string(facts, "replication.user");
        const ReplicaChannel *now = server_view_channel(view);
        SourceSpec spec = {
                .host = facts_server_string(facts, source, "host"),
                .port = (uint16_t) facts_server_int(facts, source, "port", 3306),
                .user = user,
                .with_password = user && facts_config_bool(facts, "replication.has_password", true),
                .mode = position ? SOURCE_POSITION : source_mode(facts, server, view),
                .heartbeat = (usec_t) facts_config_int(facts, "replication.heartbeat_ms", 0) * USEC_MSEC,
                .connect_retry = (usec_t) facts_config_int(facts, "replication.connect_retry_ms", 0) * USEC_MSEC,
                .tls = tls_of(facts, server, view),
        };
        /* That of its feed is no other's. */
        spec.no_password = user && !spec.with_password && now && text_equal(now->source_user, FEED_USER);
        if (position)
                spec.position = *position;
        spec.keep_mode = applier_goes_on(dialect, view, &spec);
        source_end_attempt(facts, view, script);
        script_sql(script, "%s", spec.keep_mode ? dialect->stop_receiver : dialect->stop_replica);
        dialect_change_source(dialect, script, &spec);
        script_sql(script, "%s", dialect->start_replica);
}
