/* Repointing as goals. Pure. Must never let a replica skip a transaction: by position it is attached only where it stands
 * exactly where the new primary stood when it was opened. */
#include "repoint.h"

#include <stdio.h>
#include <string.h>

#include "fed.h"
#include "feedwire.h"
#include "host.h"
#include "promote.h"
#include "source.h"
#include "status.h"
#include "tail.h"
#include "text.h"

typedef enum Stage {
        STAGE_BROKEN,   /* cannot be attached; why says so */
        STAGE_APPLYING, /* by position: not yet at the end of what it received */
        STAGE_FED,      /* by position: it is given what it lacks out of the saved logs */
        STAGE_READY,    /* can be attached now */
        STAGE_STARTING, /* attached, its threads are not both running yet */
        STAGE_FOLLOWS,
} Stage;

typedef struct Progress {
        Stage stage;
        char why[512];
} Progress;

#define PROGRESS(progress_stage, ...)                                                                                  \
        ({                                                                                                             \
                Progress progress = { .stage = progress_stage };                                                       \
                snprintf(progress.why, sizeof progress.why, __VA_ARGS__);                                              \
                progress;                                                                                              \
        })

/* Replies: the replication status, a pause, ask_status()'s, and, of who can be fed, what the saved logs say. */
enum { PAUSE = 1, AFTER_PAUSE, LOOK = AFTER_PAUSE + _STATUS_MAX };

static Progress progress_attached(const Facts *facts, const ReplicaChannel *channel)
{
        const char *candidate = facts_string(facts, "candidate");
        if (channel->applier_errno && !channel->applier_running)
                return PROGRESS(STAGE_BROKEN, "its applier stopped with error %d: %s", channel->applier_errno,
                                channel->applier_error ? channel->applier_error : "");
        if (channel->receiver == RECEIVER_CONNECTED && channel->applier_running)
                return PROGRESS(STAGE_FOLLOWS, "it follows %s", candidate);
        if (facts_string(facts, "lost"))
                return PROGRESS(STAGE_BROKEN, "it is set to follow %s, which does not answer any more", candidate);
        if (channel->receiver_errno)
                return PROGRESS(STAGE_STARTING, "its receiver is %s: error %d: %s",
                                receiver_state_to_string(channel->receiver), channel->receiver_errno,
                                channel->receiver_error ? channel->receiver_error : "");
        return PROGRESS(STAGE_STARTING, "its receiver is %s and its applier %s",
                        receiver_state_to_string(channel->receiver), channel->applier_running ? "runs" : "is stopped");
}

/* A late one may have the new primary's own transactions by now: from the old one, if that was attached before. */
static GtidSet *written_since(const Facts *facts, const GtidSet *since, GtidFamily family)
{
        const char *candidate = facts_string(facts, "candidate");
        if (!text_equal(facts_string(facts, "procedure"), "attach"))
                return gtid_new(family);
        return family == GTID_FAMILY_MARIADB
                       ? gtid_of_server(since, (uint32_t) facts_server_int(facts, candidate, "server_id", 0))
                       : gtid_of_source(since, facts_server_string(facts, candidate, "server_uuid"));
}

static Progress progress_gtid(const Facts *facts, const char *server, const ServerView *view)
{
        const char *candidate = facts_string(facts, "candidate"),
                   *open = facts_server_string(facts, candidate, "open_gtid");
        /* What it received and has not applied is dropped when it is attached. Of a replica that took part it is known that the
         * new primary has it. */
        bool took_part = facts_server_bool(facts, server, "frozen", false);
        CLEANUP(gtid_free)
        GtidSet *applied = took_part ? server_view_gtid_applied(view) : server_view_gtid_received(view);
        CLEANUP(gtid_free) GtidSet *available = NULL;
        Failure failure = { 0 };
        if (gtid_parse(server_view_gtid_family(view), open, &available, &failure) < 0)
                return PROGRESS(STAGE_BROKEN, "the transactions of %s are not known: %s", candidate, failure.text);
        CLEANUP(gtid_free) GtidSet *since = gtid_subtract(applied, available);
        CLEANUP(gtid_free) GtidSet *own = written_since(facts, since, server_view_gtid_family(view));
        CLEANUP(gtid_free) GtidSet *extra = gtid_subtract(since, own);
        if (!gtid_is_empty(extra)) {
                CLEANUP(mem_free) char *text = gtid_describe(extra);
                return PROGRESS(STAGE_BROKEN, "it has transactions that %s lacks: %s; it is left as it is", candidate,
                                text);
        }
        return PROGRESS(STAGE_READY, "it can follow %s", candidate);
}

/* Where the candidate stood when it was detached, in the old primary's log: where the others by position have to come. */
static const char *end_of(const Facts *facts)
{
        const char *end = facts_server_string(facts, facts_string(facts, "candidate"), "drained_at");
        return end ? end : "";
}

/* Whether a replica may be fed at all: where it stands must be known from when it was frozen, or from before it fell silent,
 * for it is that from which the saved logs must have no hole. */
static bool can_be_fed(const Facts *facts, const char *server)
{
        if (!rescue_is_on(facts) || status_is_gtid(facts))
                return false;
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(known);
        return facts_server_bool(facts, server, "frozen", false) ||
               (channel && position_is_set(&channel->applied) && status_follows_old(facts, server, channel));
}

static bool went_back(const Facts *facts, const char *server, const ReplicaChannel *channel)
{
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *was = server_view_channel(known);
        return !was || !position_comparable(&was->applied, &channel->applied) ||
               position_compare(&channel->applied, &was->applied) < 0;
}

static Progress progress_fed(const Facts *facts, const char *server, const ServerView *view, const Reply *look)
{
        CLEANUP(mem_free) char *why = NULL;
        FedStage stage = fed_stage(facts, server, view, look, end_of(facts), &why);
        return PROGRESS(stage == FED_HOPELESS ? STAGE_BROKEN : stage == FED_LEVEL ? STAGE_READY : STAGE_FED, "%s", why);
}

static Progress progress_position(const Facts *facts, const char *server, const ServerView *view,
                                  const ReplicaChannel *before, const Replies *replies)
{
        const Reply *look = replies_at(replies, LOOK);
        const char *candidate = facts_string(facts, "candidate"), *end = end_of(facts);
        const ReplicaChannel *channel = server_view_channel(view);
        CLEANUP(mem_free) char *applied = position_format(&channel->applied);
        Position wanted = { 0 };
        bool follows_feed = can_be_fed(facts, server) && fed_follows(server, view, look);
        bool level = position_equal(&channel->applied, &channel->received);
        bool unfinished = status_stands_still(view, before, replies_at(replies, PAUSE));
        /* One that has received more than the new primary goes on to that. */
        if (text_equal(applied, end) && (follows_feed || level || unfinished || !channel->applier_running))
                return PROGRESS(STAGE_READY, "it has applied everything that %s has", candidate);
        if (follows_feed)
                return progress_fed(facts, server, view, look);
        if (channel->applier_errno && !channel->applier_running)
                return PROGRESS(STAGE_BROKEN, "its applier stopped with error %d: %s", channel->applier_errno,
                                channel->applier_error ? channel->applier_error : "");
        /* It was stopped to be pointed at its feed. */
        bool stopped = !channel->applier_running && can_be_fed(facts, server) && fed_is_ordered(server, look);
        if (!level && !unfinished && !stopped)
                return PROGRESS(STAGE_APPLYING, "it applies what it received, up to %s so far", applied);
        Progress fed = { 0 };
        if (position_parse(end, &wanted, NULL) >= 0 && position_compare(&channel->applied, &wanted) > 0) {
                if (can_be_fed(facts, server))
                        fed = progress_fed(facts, server, view, look);
                if (fed.stage != STAGE_BROKEN)
                        return fed;
                return PROGRESS(
                        STAGE_BROKEN,
                        "it has what lies between %s and %s in the old primary's binary log, and %s may lack it: it "
                        "is left as it is%s%.200s",
                        end, applied, candidate, *fed.why ? "; " : "", fed.why);
        }
        if (can_be_fed(facts, server) && !went_back(facts, server, channel))
                fed = progress_fed(facts, server, view, look);
        if (fed.stage == STAGE_FED)
                return fed;
        return PROGRESS(STAGE_BROKEN,
                        "it lacks what lies between %s and %s in the old primary's binary log: it is left stopped and "
                        "not attached, since that would skip these transactions%s%.200s",
                        applied, *end ? end : "?", *fed.why ? "; " : "", fed.why);
}

static Progress progress_of(const Facts *facts, const char *server, const Replies *replies, const ServerView *view)
{
        const char *candidate = facts_string(facts, "candidate");
        const ReplicaChannel *channel = server_view_channel(view);
        if (!channel)
                return PROGRESS(STAGE_BROKEN, "its replication configuration is gone");
        if (status_follows(facts, server, channel, candidate))
                return progress_attached(facts, channel);
        /* The port of its feed changes when its SSH session is lost. */
        bool was_fed = can_be_fed(facts, server) && text_equal(channel->source_user, FEED_USER);
        CLEANUP(mem_free) char *followed = host_and_port(channel->source_host, channel->source_port);
        if (!facts_server_bool(facts, server, "frozen", false) && !was_fed && !status_follows_old(facts, server, channel))
                return PROGRESS(STAGE_BROKEN, "it follows %s, not the old primary: it is left as it is", followed);
        const Reply *look = replies_at(replies, LOOK);
        bool fed = can_be_fed(facts, server) && fed_follows(server, view, look);
        if (channel->receiver != RECEIVER_STOPPED && !fed)
                return PROGRESS(STAGE_APPLYING, "its receiver is %s", receiver_state_to_string(channel->receiver));
        if (status_is_gtid(facts))
                return progress_gtid(facts, server, view);
        CLEANUP(server_view_free) ServerView *before = status_known(facts, server);
        if (observation_read_replica(before, replies_at(replies, 0), 0, NULL) < 0)
                return PROGRESS(STAGE_APPLYING, "its replication status cannot be read");
        return progress_position(facts, server, view, server_view_channel(before), replies);
}

void ask_repoint(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->show_replica);
        status_ask_pause(facts, server, !status_is_gtid(facts), script);
        ask_status(facts, server, script);
        if (can_be_fed(facts, server) && !json_get_bool(facts->root, "planning", false))
                fed_ask(facts, server, end_of(facts), script);
}

void judge_follows_candidate(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, AFTER_PAUSE, judgement);
        if (!view)
                return;
        Progress progress = progress_of(facts, server, replies, view);
        Verdict verdict = progress.stage == STAGE_FOLLOWS  ? VERDICT_MET
                          : progress.stage == STAGE_BROKEN ? VERDICT_HOPELESS
                                                           : VERDICT_UNMET;
        json_set_bool(judge_learned(judgement), "attached", verdict == VERDICT_MET);
        judge_as(judgement, verdict, "%s", progress.why);
}

void act_follow_candidate(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, AFTER_PAUSE, &ignored);
        if (!view)
                return;
        const char *candidate = facts_string(facts, "candidate");
        const Dialect *dialect = server_view_dialect(view);
        const ReplicaChannel *channel = server_view_channel(view);
        Progress progress = progress_of(facts, server, seen, view);
        if (progress.stage == STAGE_READY) {
                Position open = { 0 };
                bool gtid = status_is_gtid(facts);
                if (!gtid && position_parse(facts_server_string(facts, candidate, "open_position"), &open, NULL) < 0)
                        return;
                if (!skip_semi_sync(facts))
                        dialect_semi_sync(dialect, script, false, true);
                source_change(facts, server, view, candidate, gtid ? NULL : &open, script);
                if (can_be_fed(facts, server) && fed_follows(server, view, replies_at(seen, LOOK)))
                        fed_end(server, script);
        } else if (progress.stage == STAGE_FED) {
                fed_act(facts, server, view, replies_at(seen, LOOK), end_of(facts), script);
        } else if (progress.stage == STAGE_APPLYING && channel->receiver != RECEIVER_STOPPED) {
                source_end_attempt(facts, view, script);
                script_sql(script, "%s", dialect->stop_receiver);
        } else if (progress.stage == STAGE_APPLYING && !channel->applier_running && !channel->applier_errno) {
                script_sql(script, "%s", dialect->start_applier);
        } else if (progress.stage == STAGE_STARTING && !channel->applier_errno) {
                if (channel->receiver == RECEIVER_STOPPED || !channel->applier_running)
                        script_sql(script, "%s", dialect->start_replica);
        }
}

bool skip_read_only(const Facts *facts)
{
        return !facts_config_bool(facts, "failover.set_read_only", true);
}

void judge_read_only(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(replies, 0), &failure) < 0)
                judge_as(judgement, VERDICT_UNMET, "%s", failure.text);
        else if (!view->read_only || (server_view_dialect(view)->super_read_only && !view->super_read_only))
                judge_as(judgement, VERDICT_UNMET, "it is writable");
        else
                judge_as(judgement, VERDICT_MET, "it is read-only");
}

void act_read_only(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        dialect_read_only(server_view_dialect(view), script, true);
}

void judge_level(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *candidate = facts_string(facts, "candidate");
        if (json_get_bool(facts->root, "planning", false)) {
                judge_as(judgement, VERDICT_UNMET, "looked at when it follows %s", candidate);
                return;
        }
        if (!facts_server_bool(facts, server, "attached", false)) {
                judge_as(judgement, VERDICT_HOPELESS, "it is not attached");
                return;
        }
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        const ReplicaChannel *channel = server_view_channel(view);
        if (!status_follows(facts, server, channel, candidate)) {
                judge_as(judgement, VERDICT_HOPELESS, "it no longer follows %s", candidate);
                return;
        }
        if (channel->applier_errno && !channel->applier_running) {
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
                return;
        }
        /* A rejoin knows where the primary was when it began. */
        const char *later = facts_server_string(facts, candidate, "level_position");
        bool level;
        if (status_is_gtid(facts)) {
                CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
                CLEANUP(gtid_free) GtidSet *wanted = NULL;
                level = gtid_parse(server_view_gtid_family(view), facts_server_string(facts, candidate, "open_gtid"),
                                   &wanted, NULL) >= 0 &&
                        gtid_contains(applied, wanted);
        } else {
                Position wanted = { 0 };
                const char *open = facts_server_string(facts, candidate, "open_position");
                level = position_parse(later ? later : open, &wanted, NULL) >= 0 &&
                        position_compare(&channel->applied, &wanted) >= 0;
        }
        CLEANUP(mem_free) char *applied = position_format(&channel->applied);
        if (level)
                judge_as(judgement, VERDICT_MET, "it has applied everything %s",
                         later ? "that the primary had then" : "up to the opening");
        else if (facts_string(facts, "lost"))
                judge_as(judgement, VERDICT_HOPELESS, "it is at %s, and %s does not answer any more", applied,
                         candidate);
        else
                judge_as(judgement, VERDICT_UNMET, "it is at %s", applied);
}
