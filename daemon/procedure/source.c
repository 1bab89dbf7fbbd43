/* CHANGE MASTER with its surroundings. Pure. */
#include "source.h"

#include "status.h"
#include "text.h"

/* How it found its place before, kept across a change: slave_pos and current_pos are the operator's choice. */
static SourceMode mode_of(const Facts *facts, const char *server, const ServerView *view)
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

void source_change(const Facts *facts, const char *server, const ServerView *view, const char *source,
                   const Position *position, Script *script)
{
        const Dialect *dialect = server_view_dialect(view);
        const char *user = facts_config_string(facts, "replication.user");
        const char *tls = facts_config_string(facts, "replication.tls");
        SourceSpec spec = {
                .host = facts_server_string(facts, source, "host"),
                .port = (uint16_t) facts_server_int(facts, source, "port", 3306),
                .user = user,
                .with_password = user && facts_config_bool(facts, "replication.has_password", true),
                .mode = position ? SOURCE_POSITION : mode_of(facts, server, view),
                .heartbeat = (usec_t) facts_config_int(facts, "replication.heartbeat_ms", 0) * USEC_MSEC,
                .connect_retry = (usec_t) facts_config_int(facts, "replication.connect_retry_ms", 0) * USEC_MSEC,
                .tls = text_equal(tls, "on")    ? SOURCE_TLS_ON
                       : text_equal(tls, "off") ? SOURCE_TLS_OFF
                                                : SOURCE_TLS_KEEP,
        };
        if (position)
                spec.position = *position;
        script_sql(script, "%s", dialect->stop_replica);
        dialect_change_source(dialect, script, &spec);
        script_sql(script, "%s", dialect->start_replica);
}
