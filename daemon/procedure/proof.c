/* The proof. Pure. Must never say more than was read or seen: a log that could not be read proves nothing. */
#include "proof.h"

#include <inttypes.h>

#include "loss.h"
#include "observation.h"
#include "status.h"
#include "tail.h"
#include "text.h"

typedef struct Proof {
        const Facts *facts;
        const char *old, *candidate;
        ServerView *view; /* of the candidate */
        const ReplicaChannel *channel;
        const Json *saved; /* what was saved for it; NULL */
        Position end;      /* of the old primary's log; unset when it could not be read */
        Json *details;
        char *missing; /* what a replica has received and the candidate lacks; NULL */
} Proof;

static void add_detail(Proof *proof, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_detail(Proof *proof, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        json_append_string(proof->details, text);
}

/* What the saved logs hold beyond what the candidate has is the beginning of a transaction that nobody has the end of. */
static bool is_nobodys(const Facts *facts, const ReplicaChannel *channel, const Position *farthest)
{
        const Json *saved = json_get(facts_server(facts, facts_string(facts, "candidate")), "saved");
        Position end = position_from_json(saved, "end"), torn = position_from_json(saved, "torn");
        return json_get_bool(saved, "complete", false) && position_comparable(&end, &channel->applied) &&
               position_compare(&channel->applied, &end) >= 0 && position_comparable(&torn, farthest) &&
               position_compare(&torn, farthest) >= 0;
}

/* What all frozen replicas received together, less what the candidate applied; NULL when nothing. By position the
 * farthest received position counts; an unfinished transaction at the end is nobody's. */
static char *missing_on(const Facts *facts, const ServerView *candidate, const ReplicaChannel *channel)
{
        bool gtid = status_is_gtid(facts);
        CLEANUP(gtid_free) GtidSet *missing = gtid_new(server_view_gtid_family(candidate));
        Position farthest = channel->received;
        JSON_FOREACH(replica, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *view = status_known(facts, json_string(replica));
                const ReplicaChannel *other = server_view_channel(view);
                if (other)
                        farthest = position_max(farthest, other->received);
        }
        /* A transaction of which only the beginning was received counts as received on some servers; when nobody has more
         * of it, nobody has it. */
        bool nobodys = facts_server_bool(facts, facts_string(facts, "candidate"), "unfinished_tail", false) &&
                       position_equal(&farthest, &channel->received);
        CLEANUP(gtid_free)
        GtidSet *has = nobodys ? server_view_gtid_received(candidate) : server_view_gtid_applied(candidate);
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(gtid_free) GtidSet *received = status_received(facts, json_string(name));
                CLEANUP(gtid_free) GtidSet *lacks = gtid_subtract(received, has);
                GtidSet *sum = gtid_union(missing, lacks);
                gtid_free(missing);
                missing = sum;
        }
        if (gtid)
                return gtid_is_empty(missing) ? NULL : gtid_describe(missing);
        if (position_compare(&farthest, &channel->received) <= 0 || is_nobodys(facts, channel, &farthest))
                return NULL;
        return position_format_range(&channel->applied, &farthest);
}

/* What the old primary was last seen to have, beyond what the candidate has; NULL when nothing is known to be missing. */
static char *missing_of_old(const Facts *facts, const ServerView *candidate, const ReplicaChannel *channel)
{
        CLEANUP(server_view_free) ServerView *old = status_known(facts, facts_string(facts, "old_primary"));
        if (status_is_gtid(facts)) {
                CLEANUP(gtid_free) GtidSet *had = server_view_gtid_applied(old);
                CLEANUP(gtid_free) GtidSet *has = server_view_gtid_applied(candidate);
                CLEANUP(gtid_free) GtidSet *missing = gtid_subtract(had, has);
                return gtid_is_empty(missing) ? NULL : gtid_describe(missing);
        }
        if (!position_comparable(&old->binlog, &channel->applied) ||
            position_compare(&old->binlog, &channel->applied) <= 0)
                return NULL;
        return position_format_range(&channel->applied, &old->binlog);
}

/* Whether the candidate has applied all that was saved for it. */
static bool has_applied_saved(const Proof *proof)
{
        if (status_is_gtid(proof->facts)) {
                CLEANUP(gtid_free) GtidSet *lacks = NULL;
                CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(proof->view);
                const char *text = json_get_string(proof->saved, "lacks");
                return gtid_parse(server_view_gtid_family(proof->view), text, &lacks, NULL) >= 0 &&
                       gtid_contains(applied, lacks);
        }
        Position end = position_from_json(proof->saved, "end");
        return !position_is_set(&end) || (position_comparable(&proof->channel->applied, &end) &&
                                          position_compare(&proof->channel->applied, &end) >= 0);
}

static void conclude(Judgement *judgement, const char *verdict, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static void conclude(Judgement *judgement, const char *verdict, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        Json *loss = json_ensure_object(judge_learned(judgement), "loss");
        json_set_string(loss, "verdict", verdict);
        json_set_string(loss, "proof", text);
        judge_as(judgement, VERDICT_MET, "%s", text);
}

static void add_saved(Proof *proof)
{
        const Json *saved = proof->saved, *copy = json_get(facts_server(proof->facts, proof->old), "saved");
        const char *torn = json_get_string(saved, "torn"), *last = json_get_string(saved, "last");
        const char *received = json_get_string(saved, "received"), *gtids = json_get_string(saved, "gtids");
        add_detail(proof, "the last complete transaction that was saved ends at %s", text_is_empty(last) ? "?" : last);
        add_detail(proof,
                   "%s had received up to %s; behind what it had applied %s%" PRId64 " transactions (%" PRId64
                   " bytes) are saved%s%s",
                   proof->candidate, text_is_empty(received) ? "?" : received,
                   json_get_bool(saved, "exact", true) ? "" : "up to ", json_get_int(saved, "n_transactions", 0),
                   json_get_int(saved, "bytes", 0), text_is_empty(gtids) ? "" : ": ",
                   text_is_empty(gtids) ? "" : gtids);
        if (!text_is_empty(torn))
                add_detail(proof, "what follows up to %s is the beginning of a transaction that never ended", torn);
        if (json_has(copy, "bytes"))
                add_detail(proof, "the copy%s is in %s",
                           json_get_bool(copy, "verified", false) ? ", compared with the original by SHA-256," : "",
                           json_get_string(copy, "directory"));
        if (json_get_string(copy, "damage"))
                add_detail(proof, "%s", json_get_string(copy, "damage"));
        JSON_FOREACH(text, json_get(saved, "differ"))
        {
                add_detail(proof, "%s", json_string(text));
        }
}

/* What it was not fed. The caller frees it. */
static char *unfed(const Proof *proof)
{
        Position end = position_from_json(proof->saved, "end");
        if (!status_is_gtid(proof->facts))
                return position_format_range(&proof->channel->applied, &end);
        GtidFamily family = server_view_gtid_family(proof->view);
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(proof->view);
        if (gtid_parse(family, json_get_string(proof->saved, "lacks"), &lacks, NULL) < 0)
                return alloc_string(LOSS_UNKNOWN);
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(lacks, applied);
        return gtid_describe(rest);
}

/* What is saved can still be had: nothing goes on without it unless somebody says so. */
static void demand(Proof *proof, Judgement *judgement)
{
        CLEANUP(mem_free) char *applied = position_format(&proof->channel->applied);
        CLEANUP(mem_free) char *has = *applied ? text_format("up to %s", applied) : alloc_string("nothing of it");
        CLEANUP(mem_free) char *lost = unfed(proof);
        const char *failure = facts_server_string(proof->facts, proof->candidate, "feed_failure");
        conclude(judgement, "lost",
                 "%s has applied %s only; what it lacks is saved, but could not be fed to it%s%s",
                 proof->candidate, has, failure ? ": " : "", failure ? failure : "");
        if (loss_is_accepted(proof->facts, lost, judge_learned(judgement)))
                return;
        CLEANUP(mem_free) char *remedy = loss_remedy(proof->facts, lost);
        judge_as(judgement, VERDICT_HOPELESS,
                 "%s has applied %s only, and what it lacks is saved, but could not be fed to it%s%.240s. %s",
                 proof->candidate, has, failure ? ": " : "", failure ? failure : "", remedy);
}

/* Farther than its log goes now; unset when nobody saw anything beyond. (By ids, what the candidate has received may count in
 * the log of another. For a plan, the log may go on while it is made.) */
static Position seen_beyond_end(const Proof *proof)
{
        if (rescue_is_planned(proof->facts))
                return (Position){ 0 };
        CLEANUP(server_view_free) ServerView *old = status_known(proof->facts, proof->old);
        const Position *received = &proof->channel->received;
        if (!status_is_gtid(proof->facts) && position_compare(received, &proof->end) > 0)
                return position_max(*received, old->binlog);
        return position_compare(&old->binlog, &proof->end) > 0 ? old->binlog : (Position){ 0 };
}

/* A host that lost its power takes with it what was not synced: a log without its end does not tell what that was. */
static void prove_from_cut_log(Proof *proof, const Position *beyond, const char *end, Judgement *judgement)
{
        CLEANUP(mem_free) char *seen = position_format(beyond);
        CLEANUP(mem_free) char *old_had = missing_of_old(proof->facts, proof->view, proof->channel);
        if (old_had)
                add_detail(proof, "seen on the old primary, in no log that can be had: %s", old_had);
        conclude(judgement, old_had ? "lost" : "unknown",
                 "the binary log of %s was seen at %s and ends at %s now: %s what it has lost", proof->old, seen, end,
                 old_had ? "nobody has some of" : "it is not known whether anybody has all of");
}

/* The old primary's own log was read. */
static void prove_from_log(Proof *proof, Judgement *judgement)
{
        const Json *holes = json_get(proof->saved, "holes");
        const char *failure = json_get_string(json_get(facts_server(proof->facts, proof->old), "saved"), "failure");
        const char *lost = facts_string(proof->facts, "tail_lost");
        CLEANUP(mem_free) char *end = position_format(&proof->end);
        CLEANUP(mem_free) char *applied = position_format(&proof->channel->applied);
        Position beyond = seen_beyond_end(proof);
        if (proof->saved)
                add_saved(proof);
        JSON_FOREACH(hole, holes)
        {
                add_detail(proof, "%s", json_string(hole));
        }
        bool holed = proof->saved && !json_get_bool(proof->saved, "complete", false);
        /* By GTID what is behind a hole would count as lacked, too. */
        if (holed && (status_is_gtid(proof->facts) || has_applied_saved(proof)))
                conclude(judgement, "lost", "the binary log of %s has holes; %s has what comes before them, up to %s",
                         proof->old, proof->candidate, applied);
        else if (proof->saved && !has_applied_saved(proof))
                demand(proof, judgement);
        else if (lost)
                conclude(judgement, "lost", "the binary log of %s ends at %s, and %s of it could not be copied: %s",
                         proof->old, end, lost, failure ? failure : "its host cannot be reached any more");
        else if (position_is_set(&beyond))
                prove_from_cut_log(proof, &beyond, end, judgement);
        else if (proof->saved)
                conclude(judgement, "none", "the binary log of %s was read to its end at %s, and %s has all of it",
                         proof->old, end, proof->candidate);
        else if (rescue_is_planned(proof->facts) && !skip_collect_tail(proof->facts))
                conclude(judgement, "unknown",
                         "the binary log of %s ends at %s now; what %s lacks of it would be saved and fed to it",
                         proof->old, end, proof->candidate);
        else
                conclude(judgement, "none", "the binary log of %s ends at %s, and it was received to its end",
                         proof->old, end);
}

/* Semi-sync: who gets no acknowledgement goes on without any when its time is out. So long may a session have waited unseen; a
 * day stands for a server that cannot be fenced, and is told to be read-only as soon as it answers. */
static usec_t may_have_waited(const Facts *facts, const ServerView *old)
{
        usec_t fenced = (usec_t) json_get_int(facts->root, "fenced_at", 0), since = old->semi_sync_since;
        return since > 0 && fenced >= since ? fenced - since : 24 * USEC_HOUR;
}

static void say_semi_sync(const Proof *proof, const ServerView *old, Judgement *judgement)
{
        usec_t waited = may_have_waited(proof->facts, old);
        bool fenced = json_has(proof->facts->root, "fenced_at");
        if (old->semi_sync_timeout > waited) {
                conclude(judgement, json_length(json_get(proof->facts->root, "left_out")) == 0 ? "none" : "unknown",
                         "every transaction that any reachable replica received is on the new primary; the old "
                         "primary acknowledged commits only after a replica had received them (semi-sync)");
                return;
        }
        CLEANUP(mem_free)
        char *why = !fenced ? alloc_string("it is not known to be fenced")
                    : old->semi_sync_since == 0
                            ? text_format("how long the %u sessions have waited that did when it was last seen, is not "
                                          "known",
                                          old->semi_sync_waiting)
                            : text_format("one may have waited for %.1f s when it was fenced",
                                          (double) waited / USEC_SEC);
        conclude(judgement, "unknown",
                 "every transaction that any reachable replica received is on the new primary; the old primary "
                 "acknowledged commits only after a replica had received them (semi-sync), but without a replica it "
                 "goes on alone after %.1f s, and %s: what it committed then cannot be known from here",
                 (double) old->semi_sync_timeout / USEC_SEC, why);
}

/* It was not: what was seen before is all there is. */
static void say_what_was_seen(Proof *proof, Judgement *judgement)
{
        const Json *old = facts_server(proof->facts, proof->old);
        const char *failure = json_get_string(old, "tail_failure");
        CLEANUP(mem_free) char *old_had = missing_of_old(proof->facts, proof->view, proof->channel);
        CLEANUP(server_view_free) ServerView *view = status_known(proof->facts, proof->old);
        if (old_had)
                add_detail(proof, "seen on the old primary, on no replica that can be asked: %s", old_had);
        if (rescue_is_on(proof->facts))
                add_detail(proof, "the binary log of %s could not be read: %s", proof->old,
                           failure ? failure : "its host cannot be reached");
        if (proof->saved)
                add_saved(proof);
        const char *seen = json_get_string(old, "binlog");
        if (!text_is_empty(seen))
                add_detail(proof, "the last position at which anybody saw it is %s", seen);
        if (old_had)
                conclude(judgement, "lost",
                         "the old primary was seen ahead of every replica; its binary log has the rest");
        else if (view->semi_sync_active)
                say_semi_sync(proof, view, judgement);
        else
                conclude(judgement, "unknown",
                         "every transaction that any reachable replica received is on the new primary; what the old "
                         "primary committed in its last moments without sending it cannot be known from here");
}

static void prove(Proof *proof, Judgement *judgement)
{
        JSON_FOREACH(name, json_get(proof->facts->root, "left_out"))
        {
                add_detail(proof, "%s was left out: what only it received is not known", json_string(name));
        }
        if (position_is_set(&proof->end))
                prove_from_log(proof, judgement);
        else
                say_what_was_seen(proof, judgement);
        if (!proof->missing)
                return;
        add_detail(proof, "received by a replica, not by %s: %s", proof->candidate, proof->missing);
        if (judgement->verdict != VERDICT_MET) /* what is demanded already comes first */
                return;
        conclude(judgement, "lost", "a replica has received what the new primary lacks");
        CLEANUP(facts_done) Facts with = facts_copy(proof->facts);
        json_merge(with.root, judge_learned(judgement));
        if (loss_is_accepted(&with, proof->missing, judge_learned(judgement)))
                return;
        CLEANUP(mem_free) char *remedy = loss_remedy(&with, proof->missing);
        judge_as(judgement, VERDICT_HOPELESS, "%s lacks what another replica has received: %.240s. %s",
                 proof->candidate, proof->missing, remedy);
}

void decide_nothing_missing(const Facts *facts, Judgement *judgement)
{
        const char *candidate = facts_string(facts, "candidate");
        CLEANUP(server_view_free) ServerView *view = status_known(facts, candidate);
        Proof proof = {
                .facts = facts,
                .old = facts_string(facts, "old_primary"),
                .candidate = candidate,
                .view = view,
                .channel = server_view_channel(view),
                .saved = json_get(facts_server(facts, candidate), "saved"),
                .end = tail_end(facts),
        };
        proof.details = json_ensure_array(json_ensure_object(judge_learned(judgement), "loss"), "details");
        if (!proof.channel) {
                judge_as(judgement, VERDICT_HOPELESS, "the replication status of %s is not known", candidate);
                return;
        }
        CLEANUP(mem_free) char *missing = missing_on(facts, view, proof.channel);
        proof.missing = missing;
        prove(&proof, judgement);
        const char *accepted = json_get_string(judgement->learned, "accepted_loss");
        if (!accepted)
                accepted = facts_string(facts, "accepted_loss");
        if (!accepted)
                return;
        add_detail(&proof, "an operator has accepted the loss of %s", accepted);
        json_set_string(json_ensure_object(judge_learned(judgement), "loss"), "accepted", accepted);
}
