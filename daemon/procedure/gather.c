/* Freezing, choosing and catching up, as goals. Pure. Must never start a receiver whose restart could drop relay logs that
 * hold what nobody else has. */
#include "gather.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "election.h"
#include "fed.h"
#include "loss.h"
#include "meanwhile.h"
#include "source.h"
#include "status.h"
#include "tail.h"
#include "text.h"

void decide_dead(const Facts *facts, Judgement *judgement)
{
        const Json *verdict = json_get(facts->root, "verdict");
        const char *old = facts_string(facts, "old_primary");
        if (!old)
                judge_as(judgement, VERDICT_HOPELESS, "nobody knows which server was the primary");
        else if (!verdict)
                judge_as(judgement, VERDICT_HOPELESS, "there is no verdict about %s", old);
        else
                judge_as(judgement, VERDICT_MET, "%s: %s", json_get_string(verdict, "row"),
                         json_get_string(verdict, "text"));
}

void judge_receiver_stopped(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        const ReplicaChannel *channel = server_view_channel(view);
        if (!channel) {
                judge_as(judgement, VERDICT_HOPELESS, "it does not replicate from anybody");
                return;
        }
        if (channel->receiver != RECEIVER_STOPPED) {
                judge_as(judgement, VERDICT_UNMET, "its receiver is %s", receiver_state_to_string(channel->receiver));
                return;
        }
        judgement->learned = server_view_to_json(view);
        json_set_bool(judgement->learned, "frozen", true);
        CLEANUP(mem_free) char *received = position_format(&channel->received);
        bool by_id = !text_is_empty(channel->gtid_retrieved);
        judge_as(judgement, VERDICT_MET, "received up to %s%s%s", received, by_id ? ", " : "",
                 by_id ? channel->gtid_retrieved : "");
}

/* The first of its threads to start would throw away what was received and not applied. */
static bool drops_relay_logs(const ServerView *view, const ReplicaChannel *channel)
{
        return server_view_dialect(view)->start_drops_relay_logs && channel->mode != SOURCE_POSITION &&
               !channel->applier_running;
}

void act_stop_receiver(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        CLEANUP(server_view_free) ServerView *view = seen ? status_read(facts, server, seen, 0, &ignored) : NULL;
        const Dialect *dialect = server_view_dialect(known);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        /* While the receiver still runs, the applier can be started and nothing is dropped. */
        if (channel && drops_relay_logs(view, channel) && !channel->applier_errno)
                script_try_sql(script, "%s", dialect->start_applier);
        if (view)
                source_end_attempt(facts, view, script);
        script_sql(script, "%s", dialect->stop_receiver);
}

/* Frozen, and then its host was shut down with the old primary's, since it is the same. */
static bool went_down(const Facts *facts, const char *server)
{
        return json_has(json_get(facts->root, "fence"), "power") &&
               facts_same_host(facts, server, facts_string(facts, "old_primary"));
}

static Json *names_where(const Facts *facts, bool frozen)
{
        Json *names = json_array();
        bool planning = json_get_bool(facts->root, "planning", false); /* then none is really stopped */
        JSON_FOREACH(replica, json_get(facts->root, "replicas"))
        {
                const char *name = json_string(replica);
                if ((facts_server_bool(facts, name, "frozen", planning) && !went_down(facts, name)) == frozen)
                        json_append_string(names, name);
        }
        return names;
}

void decide_candidate(const Facts *facts, Judgement *judgement)
{
        CLEANUP(facts_done) Facts with = facts_copy(facts);
        CLEANUP(election_input_done) ElectionInput input = { 0 };
        Json *learned = judge_learned(judgement);
        Failure failure = { 0 };
        /* Those that nobody could ask from the start stay in the list. */
        Json *left_out = names_where(facts, false);
        JSON_FOREACH(name, json_get(facts->root, "left_out"))
        {
                json_append_string(left_out, json_string(name));
        }
        json_set(learned, "left_out", left_out);
        json_set(learned, "replicas", names_where(facts, true));
        json_merge(with.root, learned);
        if (json_length(json_get(with.root, "replicas")) == 0) {
                judge_as(judgement, VERDICT_HOPELESS, "no replica can be reached: there is nobody to promote");
                return;
        }
        if (election_from_facts(&with, &input, &failure) < 0) {
                judge_as(judgement, VERDICT_HOPELESS, "%s", failure.text);
                return;
        }
        CLEANUP(election_done) Election election = election_hold(&input);
        Json *result = election_to_json(&election, &input);
        json_set(learned, "election", result);
        json_set_string(learned, "mode", election_mode_to_string(input.mode));
        if (election.candidate < 0) {
                CLEANUP(mem_free) char *remedy = election.to_accept ? loss_remedy(facts, election.to_accept) : NULL;
                judge_as(judgement, VERDICT_HOPELESS, "%s%s%s", election.why, remedy ? ". " : "", remedy ? remedy : "");
                return;
        }
        if (election.loss)
                loss_is_accepted(facts, election.loss, learned);
        json_set_string(learned, "candidate", input.candidates[election.candidate].name);
        if (election.donor >= 0)
                json_set_string(learned, "donor", input.candidates[election.donor].name);
        judge_as(judgement, VERDICT_MET, "%s: %s", input.candidates[election.candidate].name, election.why);
}

/* By GTID: whether all that any replica has received is with the candidate, its donor, or in what is saved. */
static bool all_is_had(const Facts *facts, const Json *saved)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        CLEANUP(gtid_free) GtidSet *has = NULL;
        bool whole = json_get_bool(saved, "complete", false);
        if (!whole || gtid_parse(server_view_gtid_family(view), json_get_string(saved, "lacks"), &has, NULL) < 0)
                has = gtid_new(server_view_gtid_family(view));
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(gtid_free) GtidSet *lacked = tail_lacked(facts, json_string(name));
                if (!gtid_contains(has, lacked))
                        return false;
        }
        return true;
}

bool skip_choose_again(const Facts *facts)
{
        const Json *saved = rescue_needed(facts);
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        const ReplicaChannel *channel = server_view_channel(view);
        Position has = channel ? channel->received : (Position){ 0 }, end;
        if (json_get_bool(facts->root, "planning", false) || !channel)
                return true;
        if (status_is_gtid(facts))
                return all_is_had(facts, saved);
        if (saved && position_parse(json_get_string(saved, "end"), &end, NULL) >= 0)
                has = position_max(has, end);
        /* The beginning of a transaction whose end nobody has is nobody's. */
        if (saved && json_get_bool(saved, "complete", false) &&
            position_parse(json_get_string(saved, "torn"), &end, NULL) >= 0)
                has = position_max(has, end);
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *other = status_known(facts, json_string(name));
                const ReplicaChannel *its = server_view_channel(other);
                if (its && position_compare(&its->received, &has) > 0)
                        return false;
        }
        return true;
}

void decide_candidate_again(const Facts *facts, Judgement *judgement)
{
        CLEANUP(facts_done) Facts without = facts_copy(facts);
        json_set_bool(without.root, "not_saved", true);
        decide_candidate(&without, judgement);
        Json *learned = judge_learned(judgement);
        json_set_bool(learned, "not_saved", true);
        if (!json_has(learned, "donor"))
                json_set_null(learned, "donor");
}

/* Whether the saved logs have all that the donor could give. */
static bool is_saved(const Facts *facts, const char *donor)
{
        const Json *saved = rescue_needed(facts);
        CLEANUP(server_view_free) ServerView *giver = status_known(facts, donor);
        CLEANUP(server_view_free) ServerView *taker = status_known(facts, facts_string(facts, "candidate"));
        CLEANUP(gtid_free) GtidSet *gives = server_view_gtid_received(giver);
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_received(taker);
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        if (!json_get_bool(saved, "complete", false) ||
            gtid_parse(server_view_gtid_family(taker), json_get_string(saved, "lacks"), &lacks, NULL) < 0)
                return false;
        CLEANUP(gtid_free) GtidSet *both = gtid_union(has, lacks);
        return gtid_contains(both, gives);
}

bool skip_without_donor(const Facts *facts)
{
        const char *donor = facts_string(facts, "donor");
        return text_is_empty(donor) || !status_is_gtid(facts) || is_saved(facts, donor);
}

/* What is left and how much of it was done between two looks: transactions, or bytes of one binary log. False when that
 * cannot be told. */
static bool measure(const ServerView *before, const ServerView *view, bool gtid, uint64_t *ret_left, uint64_t *ret_done)
{
        const ReplicaChannel *then = server_view_channel(before), *now = server_view_channel(view);
        if (gtid) {
                CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
                CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
                CLEANUP(gtid_free) GtidSet *applied_then = server_view_gtid_applied(before);
                CLEANUP(gtid_free) GtidSet *left = gtid_subtract(received, applied);
                CLEANUP(gtid_free) GtidSet *done = gtid_subtract(applied, applied_then);
                *ret_left = gtid_count(left);
                *ret_done = gtid_count(done);
                return true;
        }
        if (!text_equal(now->applied.file, now->received.file) || !text_equal(now->applied.file, then->applied.file))
                return false;
        *ret_left = now->received.offset - now->applied.offset;
        *ret_done = now->applied.offset - then->applied.offset;
        return true;
}

/* "1234 transactions are left, about 12 s". The caller frees it. */
static char *estimate(const ServerView *before, const ServerView *view, bool gtid, double pause)
{
        uint64_t left = 0, done = 0;
        if (!measure(before, view, gtid, &left, &done))
                return alloc_string("more than one binary log is left");
        char *what = text_format("%" PRIu64 " %s left", left, gtid ? "transactions are" : "bytes are");
        if (done == 0 || pause <= 0)
                return what;
        CLEANUP(mem_free) char *first = what;
        CLEANUP(mem_free)
        char *time = usec_format_human((usec_t) ((double) left / (double) done * pause * (double) USEC_SEC));
        return text_format("%s, about %s", first, time);
}

/* What it had received when it was frozen and has no more; NULL for nothing. By position the end that it received tells. */
static char *dropped_of(const Facts *facts, const char *server, const ServerView *view)
{
        if (!status_is_gtid(facts))
                return NULL;
        CLEANUP(server_view_free) ServerView *frozen = status_known(facts, server);
        CLEANUP(gtid_free) GtidSet *had = server_view_gtid_received(frozen);
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_received(view);
        CLEANUP(gtid_free) GtidSet *dropped = gtid_subtract(had, has);
        return gtid_is_empty(dropped) ? NULL : gtid_describe(dropped);
}

/* What it was fed has an end that is known: one that seems to stand still before it is in the middle of something long. */
static bool lacks_of_feed(const Facts *facts, const char *server, const ServerView *view)
{
        const Json *fed = json_get(facts_server(facts, server), "fed");
        const Json *saved = json_get(facts_server(facts, server), "saved");
        const Position *applied_to = &server_view_channel(view)->applied; /* unset until it has received something */
        Position end = { 0 };
        if (!fed)
                return false;
        /* What is saved behind a hole is not fed. */
        if (!status_is_gtid(facts) || !json_get_bool(saved, "complete", true))
                return position_parse(json_get_string(fed, "end"), &end, NULL) >= 0 &&
                       (!position_is_set(applied_to) || position_compare(applied_to, &end) < 0);
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
        const char *text = json_get_string(saved, "lacks");
        return gtid_parse(server_view_gtid_family(view), text, &lacks, NULL) >= 0 && !gtid_contains(applied, lacks);
}

void judge_drained(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *before = status_read(facts, server, replies, 0, judgement);
        CLEANUP(server_view_free)
        ServerView *view = before ? status_read(facts, server, replies, _STATUS_MAX + 1, judgement) : NULL;
        if (!view)
                return;
        const ReplicaChannel *channel = server_view_channel(view), *channel_before = server_view_channel(before);
        if (!channel || !channel_before) {
                judge_as(judgement, VERDICT_HOPELESS, "its replication configuration is gone");
                return;
        }
        if (!channel->applier_running && channel->applier_errno) {
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
                return;
        }
        CLEANUP(mem_free) char *applied = position_format(&channel->applied);
        CLEANUP(mem_free) char *received = position_format(&channel->received);
        bool whole = !lacks_of_feed(facts, server, view);
        bool level = whole && status_is_level(view, channel, status_is_gtid(facts));
        bool unfinished =
                whole && !level && status_stands_still(view, channel_before, replies_at(replies, _STATUS_MAX));
        CLEANUP(mem_free) char *dropped = dropped_of(facts, server, view);
        if (dropped) {
                judge_as(judgement, VERDICT_HOPELESS, "it had received %s and has it no more", dropped);
                return;
        }
        if (!level && !unfinished) {
                CLEANUP(mem_free)
                char *left = estimate(before, view, status_is_gtid(facts), status_pause(facts, server));
                judge_as(judgement, VERDICT_UNMET, "applied up to %s of %s: %s%s", applied, received, left,
                         channel->applier_running ? "" : "; its applier does not run");
                return;
        }
        judgement->learned = server_view_to_json(view);
        json_set_string(judgement->learned, "drained_at", applied);
        json_set_bool(judgement->learned, "unfinished_tail", unfinished);
        judge_as(judgement, VERDICT_MET, "applied everything it received, up to %s%s", applied,
                 unfinished ? "; what follows is the beginning of a transaction whose end nobody sent" : "");
}

void act_start_applier(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        Judgement ignored = { 0 };
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!channel || channel->applier_running || channel->applier_errno)
                return;
        if (drops_relay_logs(view, channel) && channel->receiver == RECEIVER_STOPPED)
                dialect_keep_relay_logs(server_view_dialect(known), script, channel->relay_file, channel->relay_offset);
        script_sql(script, "%s", server_view_dialect(known)->start_applier);
}

void judge_fed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *donor = facts_string(facts, "donor");
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        CLEANUP(server_view_free) ServerView *from = status_known(facts, donor);
        if (!view)
                return;
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_received(view);
        CLEANUP(gtid_free) GtidSet *wanted = server_view_gtid_applied(from);
        CLEANUP(gtid_free) GtidSet *missing = gtid_subtract(wanted, has);
        const ReplicaChannel *channel = server_view_channel(view);
        if (gtid_is_empty(missing)) {
                judge_as(judgement, VERDICT_MET, "it has everything that %s has", donor);
                return;
        }
        if (status_follows(facts, server, channel, donor) && channel->receiver == RECEIVER_STOPPED &&
            channel->receiver_errno) {
                judge_as(judgement, VERDICT_HOPELESS, "%s does not give it: error %d: %s", donor,
                         channel->receiver_errno, channel->receiver_error ? channel->receiver_error : "");
                return;
        }
        judge_as(judgement, VERDICT_UNMET, "%" PRIu64 " transactions of %s are missing", gtid_count(missing), donor);
}

void act_feed(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        const char *donor = facts_string(facts, "donor");
        Judgement ignored = { 0 };
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        if (!view)
                return;
        const ReplicaChannel *channel = server_view_channel(view);
        if (!status_follows(facts, server, channel, donor))
                source_change(facts, server, view, donor, NULL, script);
        else if (channel->receiver == RECEIVER_STOPPED)
                script_sql(script, "%s", server_view_dialect(view)->start_replica);
}

void judge_receiver_restored(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        const ReplicaChannel *channel = server_view_channel(view);
        const char *old = facts_string(facts, "old_primary");
        if (meanwhile_is_theirs(facts, server, view))
                judge_as(judgement, VERDICT_HOPELESS, "it was changed while mhad was away: it is left as it is");
        else if (!status_follows_old(facts, server, channel))
                judge_as(judgement, VERDICT_UNMET, "it does not follow %s", old);
        else if (channel->receiver == RECEIVER_STOPPED || (!channel->applier_running && !channel->applier_errno))
                judge_as(judgement, VERDICT_UNMET, "it follows %s, but not all of its threads run", old);
        else
                judge_as(judgement, VERDICT_MET, "it follows %s again", old);
}

void act_restore_receiver(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        const char *old = facts_string(facts, "old_primary");
        if (!view)
                return;
        const ReplicaChannel *was = server_view_channel(known), *is = server_view_channel(view);
        const Dialect *dialect = server_view_dialect(view);
        if (!status_follows_old(facts, server, is)) {
                /* Whom else it follows by position stands in for the old primary: its positions are the old primary's. */
                const ReplicaChannel *at = is ? is : was;
                bool by_gtid = at && status_finds_by_gtid(facts, at);
                /* An applier at work is farther by the time that it has stopped: where it is then is asked first. */
                if (is && is->applier_running && !by_gtid) {
                        script_sql(script, "%s", dialect->stop_replica);
                        return;
                }
                if (at)
                        source_change(facts, server, view, old, by_gtid ? NULL : &at->applied, script);
                if (fed_was(facts, server))
                        fed_end(server, script);
                return;
        }
        if (is->receiver == RECEIVER_STOPPED)
                script_sql(script, "%s", dialect->start_receiver);
        if (!is->applier_running && !is->applier_errno)
                script_sql(script, "%s", dialect->start_applier);
}

/* Could it not be stopped in time, it may have been afterwards. Of one that nobody could ask nothing was asked. */
static bool was_to_be_stopped(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(known);
        return channel && channel->receiver != RECEIVER_STOPPED && status_follows_old(facts, server, channel);
}

void ask_left_out(const Facts *facts, const char *server, Script *script)
{
        if (was_to_be_stopped(facts, server))
                ask_status(facts, server, script);
}

void judge_left_out_restored(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *old = facts_string(facts, "old_primary");
        if (!was_to_be_stopped(facts, server)) {
                judge_as(judgement, VERDICT_MET, "nothing was done to it");
                return;
        }
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = server_view_channel(view);
        if (!view)
                return;
        if (!status_follows_old(facts, server, channel))
                judge_as(judgement, VERDICT_HOPELESS, "it does not follow %s: it is left as it is", old);
        else if (channel->receiver == RECEIVER_STOPPED)
                judge_as(judgement, VERDICT_UNMET, "its receiver is stopped");
        else
                judge_as(judgement, VERDICT_MET, "it follows %s again", old);
}

void act_restore_left_out(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(known)->start_receiver);
}
