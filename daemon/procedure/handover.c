/* Changing sources in a switchover, as goals. Pure. Must never attach a server that has written past the end that the
 * candidate has. */
#include "handover.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check.h"
#include "promote.h"
#include "source.h"
#include "status.h"
#include "text.h"

static const char *candidate_of(const Facts *facts)
{
        return facts_string(facts, "candidate");
}

void handover_judge_attached(const Facts *facts, const ReplicaChannel *channel, Judgement *judgement)
{
        const char *candidate = candidate_of(facts);
        if (channel->applier_errno && !channel->applier_running)
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
        else if (channel->receiver == RECEIVER_CONNECTED && channel->applier_running)
                judge_as(judgement, VERDICT_MET, "it follows %s", candidate);
        else if (facts_string(facts, "lost"))
                judge_as(judgement, VERDICT_HOPELESS, "it is set to follow %s, which does not answer any more",
                         candidate);
        else
                judge_as(judgement, VERDICT_UNMET, "its receiver is %s and its applier %s%s%s",
                         receiver_state_to_string(channel->receiver), channel->applier_running ? "runs" : "is stopped",
                         channel->receiver_errno ? ": " : "",
                         channel->receiver_errno && channel->receiver_error ? channel->receiver_error : "");
}

void handover_start_again(const ServerView *view, const ReplicaChannel *channel, Script *script)
{
        if (channel->receiver == RECEIVER_STOPPED || !channel->applier_running)
                script_sql(script, "%s", server_view_dialect(view)->start_replica);
}

/* Ahead of the block */

bool skip_premove(const Facts *facts)
{
        const char *old = facts_string(facts, "old_primary");
        CLEANUP(server_view_free) ServerView *view = status_known(facts, candidate_of(facts));
        CLEANUP(server_view_free) ServerView *primary = status_known(facts, old);
        /* Those who have moved acknowledge nothing to the old primary any more: without them its commits would stand. */
        bool acknowledgements_needed =
                primary->semi_sync_active && (primary->semi_sync_wait_count > 1 || !view->semi_sync_replica_enabled);
        return !status_is_gtid(facts) || !view->log_slave_updates || acknowledgements_needed;
}

void judge_premoved(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel)
                judge_as(judgement, VERDICT_HOPELESS, "it does not replicate any more");
        else if (status_rests(facts, server, view))
                judge_as(judgement, VERDICT_MET, "it is taken out, and left as it is");
        else if (status_follows(facts, server, channel, candidate_of(facts)))
                handover_judge_attached(facts, channel, judgement);
        else
                judge_as(judgement, VERDICT_UNMET, "it follows the old primary directly");
}

void act_premove(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!channel)
                return;
        if (status_follows(facts, server, channel, candidate_of(facts)))
                handover_start_again(view, channel, script);
        else
                source_change(facts, server, view, candidate_of(facts), NULL, script);
}

/* A circle */

bool skip_circle(const Facts *facts)
{
        const char *old = facts_string(facts, "old_primary");
        CLEANUP(server_view_free) ServerView *view = status_known(facts, old);
        const ReplicaChannel *channel = server_view_channel(view);
        return !status_follows(facts, old, channel, candidate_of(facts)) || channel->receiver == RECEIVER_STOPPED;
}

bool skip_circle_undo(const Facts *facts)
{
        return !check_is_approved(facts) || skip_circle(facts);
}

static void judge_receiver(const Facts *facts, const char *server, const Replies *replies, bool stopped,
                           Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel)
                judge_as(judgement, VERDICT_HOPELESS, "it does not replicate any more");
        else
                judge_as(judgement, (channel->receiver == RECEIVER_STOPPED) == stopped ? VERDICT_MET : VERDICT_UNMET,
                         "its receiver is %s", receiver_state_to_string(channel->receiver));
}

void judge_circle_open(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_receiver(facts, server, replies, true, judgement);
}

void act_circle_open(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->stop_receiver);
}

void judge_circle_closed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_receiver(facts, server, replies, false, judgement);
}

void act_circle_close(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->start_receiver);
}

/* The new primary */

static bool is_circle(const Facts *facts)
{
        const char *old = facts_string(facts, "old_primary");
        CLEANUP(server_view_free) ServerView *view = status_known(facts, old);
        return status_follows(facts, old, server_view_channel(view), candidate_of(facts));
}

bool skip_let_go(const Facts *facts)
{
        return is_circle(facts) && !skip_demote(facts);
}

bool skip_let_go_old(const Facts *facts)
{
        return !is_circle(facts) || !skip_demote(facts);
}

void judge_let_go(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        if (server_view_channel(view))
                judge_as(judgement, VERDICT_UNMET, "it is still configured as a replica");
        else
                judge_as(judgement, VERDICT_MET, "it follows nobody");
}

/* The others */

static bool has_all(const Facts *facts, const ServerView *view, const ReplicaChannel *channel)
{
        const char *old = facts_string(facts, "old_primary");
        if (!status_is_gtid(facts)) {
                CLEANUP(mem_free) char *applied = position_format(&channel->applied);
                return text_equal(applied, facts_server_string(facts, old, "end_position"));
        }
        CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
        CLEANUP(gtid_free) GtidSet *end = NULL;
        return gtid_parse(server_view_gtid_family(view), facts_server_string(facts, old, "end_gtid"), &end, NULL) >=
                       0 &&
               gtid_contains(applied, end);
}

void ask_follow_on(const Facts *facts, const char *server, Script *script)
{
        ask_status(facts, server, script);
}

void judge_follows_on(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel) {
                judge_as(judgement, VERDICT_HOPELESS, "its replication configuration is gone");
                return;
        }
        if (status_follows(facts, server, channel, candidate_of(facts))) {
                handover_judge_attached(facts, channel, judgement);
                json_set_bool(judge_learned(judgement), "attached", judgement->verdict == VERDICT_MET);
                return;
        }
        CLEANUP(mem_free) char *applied = position_format(&channel->applied);
        const char *old = facts_string(facts, "old_primary");
        if (status_rests(facts, server, view))
                judge_as(judgement, VERDICT_HOPELESS,
                         "it is taken out, its threads do not run, and it goes on following %s", old);
        else if (channel->delay > 0 && !has_all(facts, view, channel))
                judge_as(judgement, VERDICT_HOPELESS, "it stays behind on purpose, and goes on following %s", old);
        else if (!channel->applier_running && channel->applier_errno)
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
        else
                judge_as(judgement, VERDICT_UNMET, "it follows %s, and is at %s of %s", old, applied,
                         facts_server_string(facts, old, "end_position"));
}

void act_follow_on(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        const char *candidate = candidate_of(facts);
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        Position open = { 0 };
        if (!channel)
                return;
        if (status_follows(facts, server, channel, candidate)) {
                handover_start_again(view, channel, script);
                return;
        }
        bool gtid = status_is_gtid(facts);
        if (!has_all(facts, view, channel) ||
            (!gtid && position_parse(facts_server_string(facts, candidate, "open_position"), &open, NULL) < 0))
                return;
        source_change(facts, server, view, candidate, gtid ? NULL : &open, script);
}

/* The old primary */

bool skip_demote(const Facts *facts)
{
        return json_get_bool(facts->root, "no_demote", false) || !facts_config_bool(facts, "switchover.demote", true);
}

/* What it has beyond the end that the candidate has; NULL when nothing. The caller frees it. */
static char *written_since(const Facts *facts, const char *server, const ServerView *view)
{
        const char *end = facts_server_string(facts, server, "end_position");
        CLEANUP(mem_free) char *position = position_format(&view->binlog);
        if (!status_is_gtid(facts))
                return text_equal(position, end) ? NULL : text_format("%s - %s", end ? end : "?", position);
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_applied(view);
        CLEANUP(gtid_free) GtidSet *known = NULL;
        if (gtid_parse(server_view_gtid_family(view), facts_server_string(facts, server, "end_gtid"), &known, NULL) < 0)
                return alloc_string("it is not known what");
        CLEANUP(gtid_free) GtidSet *more = gtid_subtract(has, known);
        return gtid_is_empty(more) ? NULL : gtid_describe(more);
}

void judge_demoted(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (channel && status_follows(facts, server, channel, candidate_of(facts))) {
                handover_judge_attached(facts, channel, judgement);
                json_set_bool(judge_learned(judgement), "attached", judgement->verdict == VERDICT_MET);
                return;
        }
        bool planning = json_get_bool(facts->root, "planning", false);
        CLEANUP(mem_free) char *more = planning ? NULL : written_since(facts, server, view);
        if (more)
                judge_as(judgement, VERDICT_HOPELESS,
                         "it has written after the end that %s has: %s; it is left read-only and not attached",
                         candidate_of(facts), more);
        else
                judge_as(judgement, VERDICT_UNMET, "it follows nobody");
}

/* Whether the old primary is to acknowledge to the new one. One that rejoins has been restarted, so that what it says of
 * itself is of its own files. */
static bool is_to_acknowledge(const Facts *facts)
{
        if (!text_equal(facts_string(facts, "procedure"), "rejoin"))
                return !skip_semi_sync(facts);
        return facts_server_bool(facts, candidate_of(facts), "semi_sync_source_enabled", false) &&
               facts_server_bool(facts, facts_string(facts, "old_primary"), "semi_sync_installed", false);
}

void act_demote(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        const char *candidate = candidate_of(facts);
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        if (!view)
                return;
        const ReplicaChannel *channel = server_view_channel(view);
        const Dialect *dialect = server_view_dialect(view);
        if (channel && status_follows(facts, server, channel, candidate)) {
                handover_start_again(view, channel, script);
                return;
        }
        bool gtid = status_is_gtid(facts);
        Position open = { 0 };
        if (!gtid && position_parse(facts_server_string(facts, candidate, "open_position"), &open, NULL) < 0)
                return;
        if (is_to_acknowledge(facts)) {
                dialect_semi_sync(dialect, script, true, false);
                dialect_semi_sync(dialect, script, false, true);
        }
        /* It has been told by nobody so far which transactions it has: all of its own. */
        if (gtid && server_view_gtid_family(view) == GTID_FAMILY_MARIADB) {
                CLEANUP(mem_free) char *place = text_quote_sql(view->gtid_executed ? view->gtid_executed : "");
                if (channel) {
                        source_end_attempt(facts, view, script);
                        script_sql(script, "%s", dialect->stop_replica);
                }
                script_sql(script, "SET GLOBAL gtid_slave_pos = %s", place);
        }
        source_change(facts, server, view, candidate, gtid ? NULL : &open, script);
}
