/* Detaching and opening the candidate, as goals. Pure. */
#include "promote.h"

#include "fed.h"
#include "status.h"
#include "text.h"

void judge_detached(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        if (server_view_channel(view)) {
                judge_as(judgement, VERDICT_UNMET, "it is still configured as a replica");
                return;
        }
        /* Where its own log ends before anybody writes to it: others by position begin here. */
        CLEANUP(mem_free) char *end = position_format(&view->binlog);
        Json *learned = judge_learned(judgement);
        json_set_string(learned, "open_position", end);
        json_set_string(learned, "open_gtid",
                        server_view_gtid_family(view) == GTID_FAMILY_MARIADB ? view->gtid_binlog_pos
                                                                             : view->gtid_executed);
        judge_as(judgement, VERDICT_MET, "it follows nobody; its binary log ends at %s", end);
}

void act_detach(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Dialect *dialect = server_view_dialect(view);
        script_sql(script, "%s", dialect->stop_replica);
        script_sql(script, "%s", dialect->reset_replica);
        if (fed_was(facts, server))
                fed_end(server, script);
}

void ask_read_only(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->tick);
}

void judge_writable(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(replies, 0), &failure) < 0)
                judge_as(judgement, VERDICT_UNREACHABLE, "%s", failure.text);
        else if (view->read_only || view->super_read_only)
                judge_as(judgement, VERDICT_UNMET, "it is read-only");
        else
                judge_as(judgement, VERDICT_MET, "it takes writes");
}

void act_open(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        dialect_read_only(server_view_dialect(view), script, false);
}

bool skip_semi_sync(const Facts *facts)
{
        return !facts_server_bool(facts, facts_string(facts, "old_primary"), "semi_sync_source_enabled", false) ||
               !facts_server_bool(facts, facts_string(facts, "candidate"), "semi_sync_installed", false);
}

void ask_semi_sync(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "%s", dialect_identity());
}

void judge_semi_sync_source(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (observation_read_identity(view, replies_at(replies, 0), &failure) < 0)
                judge_as(judgement, VERDICT_UNMET, "%s", failure.text);
        else if (!view->semi_sync_source_enabled)
                judge_as(judgement, VERDICT_UNMET, "semi-sync is off");
        else
                judge_as(judgement, VERDICT_MET, "semi-sync is on");
}

void act_semi_sync_source(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        dialect_semi_sync(server_view_dialect(view), script, true, true);
}
