/* Replicas of replicas, as goals. Pure. Must never attach one that lacks something or has something twice: by position it
 * is moved only while the server above it stands still. */
#include "tiers.h"

#include "handover.h"
#include "source.h"
#include "status.h"
#include "text.h"

static const char *above(const Facts *facts, const char *server)
{
        return facts_server_string(facts, server, "follows");
}

bool skip_tier_end(const Facts *facts)
{
        return status_is_gtid(facts) || json_length(json_get(facts->root, "sub_replicas")) == 0;
}

/* Where what it applies must have come to; NULL while that is not known. */
static const char *end_for(const Facts *facts, const char *server)
{
        const char *source = above(facts, server);
        if (text_equal(source, facts_string(facts, "old_primary")))
                return facts_server_string(facts, source, "end_position");
        return facts_server_string(facts, source, "tier_end");
}

static bool stands_at_end(const Facts *facts, const char *server, const ReplicaChannel *channel)
{
        CLEANUP(mem_free) char *applied = position_format(&channel->applied);
        const char *end = end_for(facts, server);
        return end && text_equal(applied, end);
}

void judge_tier_end(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel || !channel->applier_running) {
                judge_as(judgement, VERDICT_HOPELESS, "it does not replicate");
        } else if (!stands_at_end(facts, server, channel)) {
                judge_as(judgement, VERDICT_UNMET, "it has not applied everything yet");
        } else {
                CLEANUP(mem_free) char *end = position_format(&view->binlog);
                json_set_string(judge_learned(judgement), "tier_end", end);
                judge_as(judgement, VERDICT_MET, "it has everything, and its own log is at %s", end);
        }
}

void judge_raised(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel) {
                judge_as(judgement, VERDICT_HOPELESS, "its replication configuration is gone");
        } else if (status_follows(facts, server, channel, facts_string(facts, "candidate"))) {
                handover_judge_attached(facts, channel, judgement);
                json_set_bool(judge_learned(judgement), "attached", judgement->verdict == VERDICT_MET);
        } else if (!channel->applier_running && channel->applier_errno) {
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
        } else if (!status_is_gtid(facts) && !end_for(facts, server)) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "where it would have to begin is not known, as %s did not come to the end: it goes on "
                         "following it",
                         above(facts, server) ? above(facts, server) : "its source");
        } else {
                judge_as(judgement, VERDICT_UNMET, "it follows %s", above(facts, server) ? above(facts, server) : "?");
        }
}

void act_raise(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        const char *candidate = facts_string(facts, "candidate");
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
        if (!gtid && (!stands_at_end(facts, server, channel) ||
                      position_parse(facts_server_string(facts, candidate, "open_position"), &open, NULL) < 0))
                return;
        source_change(facts, server, view, candidate, gtid ? NULL : &open, script);
}
