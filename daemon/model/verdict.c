/* The table of verdicts and the guards. Owns nothing; must never decide by order: exactly one row fits each case. */
#include "verdict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "enum.h"

static const char *const finding_names[_FINDING_MAX] = {
        [FINDING_ALIVE] = "alive",       [FINDING_SUSPECT] = "suspect",
        [FINDING_DEAD] = "dead",         [FINDING_UNREACHABLE_FROM_HERE] = "unreachable_from_here",
        [FINDING_ISOLATED] = "isolated", [FINDING_STALLED] = "stalled",
        [FINDING_LOCKED] = "locked",
};
ENUM_STRINGS(finding, Finding, finding_names)

static const char *const persistence_names[_PERSISTENCE_MAX] = {
        [PERSISTENCE_NONE] = "none",     [PERSISTENCE_GRACE] = "grace",     [PERSISTENCE_BLACK_HOLE] = "black_hole",
        [PERSISTENCE_FROZEN] = "frozen", [PERSISTENCE_CAREFUL] = "careful",
};
ENUM_TO_STRING(persistence, Persistence, persistence_names)

static const char *const crowd_names[_CROWD_MAX] = {
        [CROWD_NOBODY] = "nobody",   [CROWD_SEES_IT] = "sees_it",       [CROWD_GONE] = "gone",
        [CROWD_PENDING] = "pending", [CROWD_LOST_ALL] = "lost_all",     [CROWD_LOST_SOME] = "lost_some",
        [CROWD_STALE] = "stale",     [CROWD_SPEECHLESS] = "speechless", [CROWD_UNREACHABLE] = "unreachable",
};
ENUM_TO_STRING(crowd, Crowd, crowd_names)

static const char *const receiver_opinion_names[_RECEIVER_OPINION_MAX] = {
        [RECEIVER_SAYS_NOTHING] = "nothing", [RECEIVER_SAYS_CONNECTED] = "connected", [RECEIVER_SAYS_STALE] = "stale",
        [RECEIVER_SAYS_LOST] = "lost",       [RECEIVER_SAYS_ERROR] = "error",
};
ENUM_TO_STRING(receiver_opinion, ReceiverOpinion, receiver_opinion_names)

static const char *const tunnel_opinion_names[_TUNNEL_OPINION_MAX] = {
        [TUNNEL_SAYS_NOTHING] = "nothing", [TUNNEL_SAYS_GREETING] = "greeting", [TUNNEL_SAYS_ERROR] = "error",
        [TUNNEL_SAYS_REFUSED] = "refused", [TUNNEL_SAYS_SILENT] = "silent",     [TUNNEL_SAYS_FROZEN] = "frozen",
};
ENUM_TO_STRING(tunnel_opinion, TunnelOpinion, tunnel_opinion_names)

static const char *const guard_names[_GUARD_MAX] = {
        [GUARD_PAUSED] = "paused",
        [GUARD_MONITOR] = "monitor",
        [GUARD_FLAP] = "flap",
        [GUARD_STORM] = "storm",
        [GUARD_STALL] = "stall",
        [GUARD_TOPOLOGY] = "topology",
        [GUARD_HALTED] = "halted",
        [GUARD_NO_CANDIDATE] = "no_candidate",
        [GUARD_UNREACHABLE] = "unreachable",
        [GUARD_SECONDARY] = "secondary",
};
ENUM_TO_STRING(guard, Guard, guard_names)

#define OWN(evidence) (1U << EVIDENCE_##evidence)
#define CROWD(crowd) (1U << CROWD_##crowd)
#define NOT_THERE (OWN(REFUSED) | OWN(SILENT) | OWN(FROZEN))
#define ANY_CROWD ((1U << _CROWD_MAX) - 1)

static const VerdictRow rows[] = {
        { "A1", OWN(ALIVE), ANY_CROWD, 0, FINDING_ALIVE, PERSISTENCE_NONE, "It answers" },
        { "A2", OWN(ERROR), ANY_CROWD, -1, FINDING_ALIVE, PERSISTENCE_NONE, "It answers with an error, so it lives" },
        { "L1", OWN(ALIVE), ANY_CROWD, 1, FINDING_LOCKED, PERSISTENCE_CAREFUL,
          "It answers, but its writers wait for a semi-sync acknowledgement that nobody gives" },
        { "T1", OWN(HUNG), ANY_CROWD, -1, FINDING_STALLED, PERSISTENCE_CAREFUL,
          "It greets, but its queries do not return" },
        { "S1", OWN(UNKNOWN), ANY_CROWD, -1, FINDING_SUSPECT, PERSISTENCE_NONE,
          "It was not asked yet, or cannot be asked from here" },
        { "S2", NOT_THERE, CROWD(PENDING), -1, FINDING_SUSPECT, PERSISTENCE_NONE,
          "It does not answer here; the others are being asked" },
        { "S3", NOT_THERE, CROWD(SPEECHLESS), -1, FINDING_SUSPECT, PERSISTENCE_NONE,
          "It does not answer here, and of the others that can be reached none can tell" },
        { "U1", NOT_THERE, CROWD(SEES_IT), -1, FINDING_UNREACHABLE_FROM_HERE, PERSISTENCE_NONE,
          "It does not answer here, but another host sees it alive" },
        { "U2", NOT_THERE, CROWD(NOBODY), -1, FINDING_UNREACHABLE_FROM_HERE, PERSISTENCE_NONE,
          "It does not answer here, and there is neither a replica nor an observer that could be asked" },
        { "I1", NOT_THERE, CROWD(UNREACHABLE), -1, FINDING_ISOLATED, PERSISTENCE_NONE,
          "Neither it nor any of the others answers: this host may be the one that is cut off" },
        { "D1", OWN(REFUSED), CROWD(GONE), -1, FINDING_DEAD, PERSISTENCE_GRACE,
          "Its process is gone: connections are refused here and elsewhere" },
        { "D2", OWN(REFUSED), CROWD(LOST_ALL) | CROWD(LOST_SOME), -1, FINDING_DEAD, PERSISTENCE_GRACE,
          "Its process is gone: connections are refused here, and others lost it too" },
        { "D3", OWN(REFUSED), CROWD(STALE), -1, FINDING_DEAD, PERSISTENCE_CAREFUL,
          "Connections are refused here, and its replicas have heard nothing for too long" },
        { "D4", OWN(SILENT), CROWD(GONE) | CROWD(LOST_ALL), -1, FINDING_DEAD, PERSISTENCE_BLACK_HOLE,
          "Nothing comes back from it, neither here nor to anybody else" },
        { "D5", OWN(SILENT), CROWD(LOST_SOME) | CROWD(STALE), -1, FINDING_DEAD, PERSISTENCE_CAREFUL,
          "Nothing comes back from it here nor to some others; the rest cannot tell" },
        { "D6", OWN(FROZEN), CROWD(GONE) | CROWD(LOST_ALL), -1, FINDING_DEAD, PERSISTENCE_FROZEN,
          "It accepts connections but says nothing, and to the others neither" },
        { "D7", OWN(FROZEN), CROWD(LOST_SOME) | CROWD(STALE), -1, FINDING_DEAD, PERSISTENCE_CAREFUL,
          "It accepts connections but says nothing, and to some others neither; the rest cannot tell" },
};

/* Opinions. */

static bool receiver_is_overdue(const ReplicaChannel *channel, usec_t now, usec_t limit)
{
        return channel->heartbeat_period > 0 && channel->last_activity > 0 &&
               usec_sub(now, channel->last_activity) > usec_add(2 * channel->heartbeat_period, limit);
}

ReceiverOpinion suspicion_receiver(const ReplicaChannel *channel, usec_t now, usec_t limit)
{
        ReceiverOpinion quiet = receiver_is_overdue(channel, now, limit) ? RECEIVER_SAYS_STALE : RECEIVER_SAYS_NOTHING;
        switch (channel->receiver) {
        case RECEIVER_CONNECTING:
                if (evidence_errno_is_lost(channel->receiver_errno))
                        return RECEIVER_SAYS_LOST;
                /* An error of long ago, from before it died, says nothing: the next attempt may be a minute off. */
                if (evidence_errno_is_alive(channel->receiver_errno))
                        return usec_sub(now, channel->error_since) <= limit ? RECEIVER_SAYS_ERROR
                                                                            : RECEIVER_SAYS_NOTHING;
                return quiet;
        case RECEIVER_CONNECTED:
                if (channel->last_activity > 0 && usec_sub(now, channel->last_activity) <= limit)
                        return RECEIVER_SAYS_CONNECTED;
                return quiet;
        case RECEIVER_STOPPED:
        case _RECEIVER_STATE_MAX:
        case _RECEIVER_STATE_INVALID:
                return RECEIVER_SAYS_NOTHING;
        }
        return RECEIVER_SAYS_NOTHING;
}

Voice suspicion_voice(const Witness *witness)
{
        TunnelOpinion tunnel = witness->tunnel;
        ReceiverOpinion receiver = witness->receiver;
        bool tried_in_vain =
                tunnel == TUNNEL_SAYS_REFUSED || tunnel == TUNNEL_SAYS_SILENT || tunnel == TUNNEL_SAYS_FROZEN;
        /* What it heard a moment ago is outdated by what it has tried since. */
        if (receiver == RECEIVER_SAYS_CONNECTED && witness->tunnel_is_newer && tried_in_vain)
                receiver = RECEIVER_SAYS_NOTHING;
        if (tunnel == TUNNEL_SAYS_GREETING || tunnel == TUNNEL_SAYS_ERROR || receiver == RECEIVER_SAYS_CONNECTED ||
            receiver == RECEIVER_SAYS_ERROR)
                return witness->same_host ? VOICE_NONE : VOICE_ALIVE;
        if (tunnel == TUNNEL_SAYS_REFUSED)
                return VOICE_GONE;
        if (tunnel == TUNNEL_SAYS_SILENT || tunnel == TUNNEL_SAYS_FROZEN || receiver == RECEIVER_SAYS_LOST)
                return VOICE_LOST;
        return receiver == RECEIVER_SAYS_STALE ? VOICE_STALE : VOICE_NONE;
}

static void count_voices(const Suspicion *suspicion, Conclusion *conclusion)
{
        size_t n_elsewhere = 0;
        for (size_t i = 0; i < suspicion->n_witnesses; i++)
                n_elsewhere += !suspicion->witnesses[i].same_host;
        for (size_t i = 0; i < suspicion->n_witnesses; i++) {
                const Witness *witness = &suspicion->witnesses[i];
                Voice voice = suspicion_voice(witness);
                conclusion->n_voices[voice]++;
                conclusion->n_reachable += witness->reachable;
                /* What it could still say would only add to what the others do. */
                if (witness->same_host && voice == VOICE_NONE && n_elsewhere > 0)
                        continue;
                conclusion->n_exist++;
                conclusion->n_pending += witness->pending;
        }
}

static Crowd crowd_of(const Conclusion *conclusion)
{
        if (conclusion->n_exist == 0)
                return CROWD_NOBODY;
        if (conclusion->n_voices[VOICE_ALIVE] > 0)
                return CROWD_SEES_IT;
        if (conclusion->n_voices[VOICE_GONE] > 0)
                return CROWD_GONE;
        if (conclusion->n_pending > 0)
                return CROWD_PENDING;
        if (conclusion->n_voices[VOICE_LOST] == conclusion->n_exist)
                return CROWD_LOST_ALL;
        if (conclusion->n_voices[VOICE_LOST] > 0)
                return CROWD_LOST_SOME;
        if (conclusion->n_voices[VOICE_STALE] > 0)
                return CROWD_STALE;
        return conclusion->n_reachable > 0 ? CROWD_SPEECHLESS : CROWD_UNREACHABLE;
}

static bool row_fits(const VerdictRow *row, Evidence own, Crowd crowd, bool locked)
{
        return (row->own & (1U << own)) && (row->crowd & (1U << crowd)) && (row->locked < 0 || row->locked == locked);
}

Conclusion suspicion_judge(const Suspicion *suspicion)
{
        Conclusion conclusion = { 0 };
        count_voices(suspicion, &conclusion);
        conclusion.crowd = crowd_of(&conclusion);
        for (size_t i = 0; i < ARRAY_LENGTH(rows) && !conclusion.row; i++)
                if (row_fits(&rows[i], suspicion->own, conclusion.crowd, suspicion->semi_sync_locked))
                        conclusion.row = &rows[i];
        return conclusion;
}

usec_t suspicion_remaining(const Conclusion *conclusion, const PersistenceTimes *times, usec_t held_for)
{
        usec_t longest = times->black_hole > times->frozen ? times->black_hole : times->frozen;
        switch (conclusion->row->persistence) {
        case PERSISTENCE_GRACE:
                return usec_sub(times->grace, held_for);
        case PERSISTENCE_BLACK_HOLE:
                return usec_sub(times->black_hole, held_for);
        case PERSISTENCE_FROZEN:
                return usec_sub(times->frozen, held_for);
        case PERSISTENCE_CAREFUL:
                longest = longest > times->grace ? longest : times->grace;
                return usec_sub(usec_add(longest, longest), held_for);
        case PERSISTENCE_NONE:
        case _PERSISTENCE_MAX:
                return 0;
        }
        return 0;
}

/* Words. */

static const char *voice_in_words(const Witness *witness)
{
        switch (suspicion_voice(witness)) {
        case VOICE_ALIVE:
                return witness->tunnel == TUNNEL_SAYS_GREETING    ? "is greeted by it"
                       : witness->tunnel == TUNNEL_SAYS_ERROR     ? "gets an error from it"
                       : witness->receiver == RECEIVER_SAYS_ERROR ? "is turned away by it"
                                                                  : "receives from it";
        case VOICE_GONE:
                return "is refused";
        case VOICE_LOST:
                return witness->tunnel == TUNNEL_SAYS_FROZEN   ? "connects but is not greeted"
                       : witness->tunnel == TUNNEL_SAYS_SILENT ? "gets no answer"
                                                               : "has lost it";
        case VOICE_STALE:
                return "has heard nothing for too long";
        case VOICE_NONE:
        case _VOICE_MAX:
                if (witness->same_host && witness->tunnel == TUNNEL_SAYS_GREETING)
                        return "is greeted by it, but is on its host";
                return witness->pending ? "is being asked" : witness->reachable ? "cannot tell" : "cannot be asked";
        }
        return "cannot tell";
}

char *suspicion_describe(const Suspicion *suspicion)
{
        Text text = { 0 };
        text_addf(&text, "here: %s", evidence_to_string(suspicion->own));
        for (size_t i = 0; i < suspicion->n_witnesses; i++)
                text_addf(&text, "; %s %s", suspicion->witnesses[i].name, voice_in_words(&suspicion->witnesses[i]));
        return text_take(&text);
}

char *suspicion_outstanding(const Suspicion *suspicion)
{
        Text text = { 0 };
        for (size_t i = 0; i < suspicion->n_witnesses; i++) {
                if (!suspicion->witnesses[i].pending)
                        continue;
                text_separate(&text, ", ");
                text_add(&text, suspicion->witnesses[i].name);
        }
        return text_take(&text);
}

const VerdictRow *verdict_table(size_t *ret_n)
{
        *ret_n = ARRAY_LENGTH(rows);
        return rows;
}

static void print_mask(Text *text, unsigned mask, int max, const char *(*name)(int) )
{
        if (mask == (1U << max) - 1) {
                text_add(text, "any");
                return;
        }
        const char *separator = "";
        for (int i = 0; i < max; i++)
                if (mask & (1U << i)) {
                        text_addf(text, "%s%s", separator, name(i));
                        separator = " or ";
                }
}

static const char *own_name(int value)
{
        return evidence_to_string((Evidence) value);
}

static const char *crowd_name(int value)
{
        return crowd_to_string((Crowd) value);
}

void verdict_print(Text *text)
{
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                text_addf(text, "%s\n  here: ", rows[i].id);
                print_mask(text, rows[i].own, _EVIDENCE_MAX, own_name);
                text_add(text, "\n  others: ");
                print_mask(text, rows[i].crowd, _CROWD_MAX, crowd_name);
                if (rows[i].locked >= 0)
                        text_addf(text, "\n  semi-sync locked: %s", rows[i].locked ? "yes" : "no");
                text_addf(text, "\n  finding: %s\n  must hold for: %s\n  %s.\n", finding_to_string(rows[i].finding),
                          persistence_to_string(rows[i].persistence), rows[i].sentence);
        }
}

/* Guards. */

/* As many primaries as a sentence can name. */
#define STORM_NAMED 4

static void hold(GuardReasons *reasons, Guard guard, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void hold(GuardReasons *reasons, Guard guard, const char *format, ...)
{
        GuardReason *reason = &reasons->items[reasons->n_items++];
        reason->guard = guard;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reason->text, sizeof reason->text, format, arguments);
        va_end(arguments);
}

static void check_flap(const GuardInput *input, GuardReasons *reasons)
{
        if (!input->had_failover || input->acknowledged || input->since_failover >= input->flap_window)
                return;
        CLEANUP(mem_free) char *ago = usec_format_human(input->since_failover);
        CLEANUP(mem_free) char *window = usec_format_human(input->flap_window);
        hold(reasons, GUARD_FLAP,
             "The last failover was %s ago, and within %s there is no second one by itself: look at it, then type "
             "'mhactl acknowledge %s'",
             ago, window, input->cluster);
}

static bool is_together(const Loss *loss, usec_t at)
{
        return usec_sub(loss->at, at) <= STORM_WINDOW && usec_sub(at, loss->at) <= STORM_WINDOW;
}

size_t storm_count(const Loss *losses, size_t n, usec_t at, char **ret_names)
{
        size_t hosts = 0, named = 0, together = 0;
        Text names = { 0 };
        for (size_t i = 0; i < n; i++) {
                bool is_new = is_together(&losses[i], at);
                if (!is_new)
                        continue;
                if (++together <= STORM_NAMED) {
                        text_separate(&names, ", ");
                        text_add(&names, losses[i].name);
                        named++;
                }
                for (size_t k = 0; k < i && is_new; k++)
                        is_new = !is_together(&losses[k], at) || !text_equal(losses[k].host, losses[i].host);
                hosts += is_new;
        }
        if (together > named)
                text_addf(&names, " and %zu more", together - named);
        if (ret_names)
                *ret_names = text_take(&names);
        else
                text_done(&names);
        return hosts;
}

size_t storm_limit(size_t n_hosts)
{
        return n_hosts < 6 ? 0 : n_hosts / 3 + 1;
}

GuardReasons guard_check(const GuardInput *input)
{
        GuardReasons reasons = { 0 };
        const char *cluster = input->cluster;
        if (input->paused)
                hold(&reasons, GUARD_PAUSED, "The cluster is paused%s%s: type 'mhactl resume %s'",
                     input->pause_reason ? " because of: " : "", input->pause_reason ? input->pause_reason : "",
                     cluster);
        if (input->monitor_only)
                hold(&reasons, GUARD_MONITOR,
                     "The configuration lets the cluster only be watched: type 'mhactl failover %s' to fail over now",
                     cluster);
        check_flap(input, &reasons);
        if (input->storm_limit > 0 && input->hosts_lost >= input->storm_limit)
                hold(&reasons, GUARD_STORM,
                     "The primaries on %zu hosts were lost together%s%s%s, which looks like the network: it goes on "
                     "when fewer than %zu are; if this one is dead, type 'mhactl failover %s'",
                     input->hosts_lost, input->lost_names ? " (" : "", input->lost_names ? input->lost_names : "",
                     input->lost_names ? ")" : "", input->storm_limit, cluster);
        if (input->stalled)
                hold(&reasons, GUARD_STALL,
                     "The clock jumped or the daemon stood still: it asks again before it acts; or type 'mhactl "
                     "failover %s'",
                     cluster);
        if (input->problem)
                hold(&reasons, GUARD_TOPOLOGY, "%s: repair it%s%s%s", input->problem,
                     input->primary_known ? ", or type 'mhactl failover " : "", input->primary_known ? cluster : "",
                     input->primary_known ? "'" : "");
        if (input->halted)
                hold(&reasons, GUARD_HALTED,
                     "The last run halted and waits for you: see 'mhactl report %s', then type 'mhactl run retry %s' "
                     "or 'mhactl run abandon %s'",
                     cluster, cluster, cluster);
        if (input->unreachable)
                hold(&reasons, GUARD_UNREACHABLE,
                     "%s cannot be asked either, and failover.on_unreachable_replica is abort: mend it, take it out "
                     "with "
                     "'mhactl server down %s %s', or type 'mhactl failover %s'",
                     input->unreachable, cluster, input->unreachable, cluster);
        if (input->no_candidate)
                hold(&reasons, GUARD_NO_CANDIDATE, "No replica can be promoted: %s; see 'mhactl plan failover %s'",
                     input->no_candidate, cluster);
        if (input->secondary)
                hold(&reasons, GUARD_SECONDARY,
                     "secondary_check_script does not confirm that the primary is dead (%s), and is asked again: if it "
                     "is, type 'mhactl failover %s'",
                     input->secondary, cluster);
        return reasons;
}
