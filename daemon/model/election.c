/* The choice of candidate and donor. Owns the texts of its result; must never prefer a server to a transaction that
 * another one has received. */
#include "election.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enum.h"
#include "loss.h"
#include "topology.h"

static const char *const mode_names[_ELECTION_MODE_MAX] = {
        [ELECTION_POSITION] = "position",
        [ELECTION_MYSQL_GTID] = "mysql_gtid",
        [ELECTION_MARIADB_GTID] = "mariadb_gtid",
};
ENUM_STRINGS(election_mode, ElectionMode, mode_names)

/* What is found out about one candidate. */
typedef struct Assessment {
        size_t index;
        bool eligible;
        bool only_lacks; /* what others received is all that stands against it */
        char why[300];
        GtidSet *missing; /* GTID modes */
        GtidSet *errant;  /* GTID modes */
        uint64_t n_missing;
        ssize_t donor; /* of most of what is missing */
        char *missing_text, *errant_text;
        char *loss; /* what no donor can give; NULL: nothing */
} Assessment;

typedef struct Contest {
        const ElectionInput *input;
        Assessment *list; /* in the candidates' order until they are ranked */
        size_t n;
        GtidSet *all;     /* received by anybody, errant transactions apart */
        ssize_t farthest; /* by position; -1: nobody */
} Contest;

static bool by_gtid(const Contest *contest)
{
        return contest->input->mode != ELECTION_POSITION;
}

static const Candidate *candidate_of(const Contest *contest, const Assessment *assessment)
{
        return &contest->input->candidates[assessment->index];
}

enum { WHY_LENGTH = sizeof((Election){ 0 }.why) };

/* A reason, cut to fit. */
static void say(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char *why, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(why, WHY_LENGTH, format, arguments);
        va_end(arguments);
}

static void exclude(Assessment *assessment, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void exclude(Assessment *assessment, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(assessment->why, WHY_LENGTH, format, arguments);
        va_end(arguments);
        assessment->eligible = false;
}

/* Who can never be it. */

static bool takes_part(const Candidate *candidate)
{
        return candidate->reachable && candidate->replicates;
}

/* A living replica whose filters differ; NULL when there is none. */
static const Candidate *filters_differ_from(const Contest *contest, const Candidate *candidate)
{
        for (size_t i = 0; i < contest->n; i++) {
                const Candidate *other = &contest->input->candidates[i];
                const char *a = candidate->filters ? candidate->filters : "", *b = other->filters ? other->filters : "";
                if (other != candidate && takes_part(other) && !text_equal(a, b))
                        return other;
        }
        return NULL;
}

static bool is_same_list(const char *a, const char *b)
{
        return text_equal(a ? a : "", b ? b : "");
}

/* "do_db=a,b; ignore_db=c": each as the old primary's own log had it already. */
static bool is_explained(const ElectionInput *input, const char *filters)
{
        CLEANUP(mem_free) char *own_do = text_format("do_db=%s", input->binlog_do_db ? input->binlog_do_db : "");
        CLEANUP(mem_free)
        char *own_ignore = text_format("ignore_db=%s", input->binlog_ignore_db ? input->binlog_ignore_db : "");
        for (const char *at = filters; at && *at;) {
                CLEANUP(mem_free) char *one = alloc_string_n(at, strcspn(at, ";"));
                if (!input->binlog_read || (!text_equal(one, own_do) && !text_equal(one, own_ignore)))
                        return false;
                at = strstr(at, "; ");
                at = at ? at + 2 : NULL;
        }
        return true;
}

static bool may_lack(const Contest *contest, const Candidate *candidate)
{
        return !text_is_empty(candidate->filters) && !is_explained(contest->input, candidate->filters);
}

static bool logs_otherwise(const Contest *contest, const Candidate *candidate)
{
        const ElectionInput *input = contest->input;
        return input->binlog_read && candidate->binlog_read &&
               (!is_same_list(input->binlog_do_db, candidate->binlog_do_db) ||
                !is_same_list(input->binlog_ignore_db, candidate->binlog_ignore_db));
}

static void exclude_unfit(const Contest *contest, Assessment *assessment)
{
        const Candidate *candidate = candidate_of(contest, assessment);
        const Candidate *other = NULL;
        uint64_t limit = contest->input->max_unapplied;
        if (!candidate->reachable)
                exclude(assessment, "it cannot be reached");
        else if (!candidate->replicates)
                exclude(assessment, "it does not replicate");
        else if (candidate->downtime)
                exclude(assessment, "it is taken out: %s", candidate->downtime);
        else if (candidate->promotion == PROMOTION_NEVER)
                exclude(assessment, "the configuration says promotion: never");
        else if (!candidate->log_bin)
                exclude(assessment, "it writes no binary log");
        else if (candidate->delay > 0)
                exclude(assessment, "it stays %lld s behind on purpose", (long long) candidate->delay);
        else if (!candidate->applier_running && candidate->applier_errno != 0)
                exclude(assessment, "its applier stopped with error %d: %s", candidate->applier_errno,
                        candidate->applier_error ? candidate->applier_error : "");
        else if (!text_is_empty(candidate->filters) && (other = filters_differ_from(contest, candidate)))
                exclude(assessment, "its replication filters differ from those of %s", other->name);
        else if (contest->input->hands_over && may_lack(contest, candidate))
                exclude(assessment,
                        "its replication filters (%s) leave out what the primary has: remove them, and copy that to it",
                        candidate->filters);
        else if (contest->input->hands_over && logs_otherwise(contest, candidate))
                exclude(assessment,
                        "its binary log has other filters (binlog_do_db %s, binlog_ignore_db %s) than the primary's, "
                        "so that others would not get what they got before",
                        text_is_empty(candidate->binlog_do_db) ? "none" : candidate->binlog_do_db,
                        text_is_empty(candidate->binlog_ignore_db) ? "none" : candidate->binlog_ignore_db);
        else if (limit > 0 && candidate->unapplied > limit)
                exclude(assessment, "it has %llu bytes left to apply, more than the %llu that are allowed",
                        (unsigned long long) candidate->unapplied, (unsigned long long) limit);
        else if (!by_gtid(contest) && candidate->sub_replica)
                exclude(assessment, "it follows another replica, so that its position is one of another log");
        else if (!by_gtid(contest) && !position_is_set(&candidate->received))
                exclude(assessment, "it is not known how far it has received");
}

/* What each one lacks: GTID. */

static void add_all(GtidSet **sum, const GtidSet *more)
{
        GtidSet *both = gtid_union(*sum, more);
        gtid_free(*sum);
        *sum = both;
}

static void remove_all(GtidSet **set, const GtidSet *what)
{
        GtidSet *rest = gtid_subtract(*set, what);
        gtid_free(*set);
        *set = rest;
}

/* Transactions under its own UUID that nobody else has, as far as there is somebody to compare with. */
static GtidSet *find_errant(const Contest *contest, const Candidate *candidate)
{
        GtidSet *errant = gtid_of_source(candidate->gtid_applied, candidate->server_uuid);
        bool compared = contest->input->old_primary != NULL;
        if (contest->input->old_primary)
                remove_all(&errant, contest->input->old_primary);
        for (size_t i = 0; i < contest->n; i++) {
                const Candidate *other = &contest->input->candidates[i];
                if (other == candidate || !takes_part(other))
                        continue;
                compared = true;
                remove_all(&errant, other->gtid_received);
        }
        if (!compared)
                remove_all(&errant, candidate->gtid_applied);
        return errant;
}

static char *describe(const GtidSet *set)
{
        return gtid_is_empty(set) ? NULL : gtid_describe(set);
}

static void collect_received(Contest *contest)
{
        for (size_t i = 0; i < contest->n; i++) {
                Assessment *assessment = &contest->list[i];
                const Candidate *candidate = candidate_of(contest, assessment);
                assessment->errant = find_errant(contest, candidate);
                assessment->errant_text = describe(assessment->errant);
                if (!takes_part(candidate))
                        continue;
                CLEANUP(gtid_free) GtidSet *regular = gtid_subtract(candidate->gtid_received, assessment->errant);
                add_all(&contest->all, regular);
        }
}

/* Its binary log will have all that it received. */
static bool can_give(const Candidate *candidate)
{
        return takes_part(candidate) && candidate->log_bin && candidate->log_slave_updates &&
               (candidate->applier_running || candidate->applier_errno == 0);
}

/* Whether a is the better donor of two that give the same amount. */
static bool donor_is_better(const Contest *contest, ssize_t a, ssize_t b)
{
        const Candidate *one = &contest->input->candidates[a], *two = &contest->input->candidates[b];
        bool clean_one = !contest->list[a].errant_text, clean_two = !contest->list[b].errant_text;
        if (clean_one != clean_two)
                return clean_one;
        if ((one->delay > 0) != (two->delay > 0))
                return one->delay == 0;
        return one->unapplied < two->unapplied;
}

static void find_donor(const Contest *contest, Assessment *assessment)
{
        uint64_t least = assessment->n_missing;
        CLEANUP(gtid_free) GtidSet *loss = gtid_copy(assessment->missing);
        for (ssize_t i = 0; i < (ssize_t) contest->n; i++) {
                const Candidate *other = &contest->input->candidates[i];
                if ((size_t) i == assessment->index || !can_give(other))
                        continue;
                CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(assessment->missing, other->gtid_received);
                uint64_t left = gtid_count(rest);
                bool better = left < least || (left == least && assessment->donor >= 0 &&
                                               donor_is_better(contest, i, assessment->donor));
                if (!better)
                        continue;
                least = left;
                assessment->donor = i;
                gtid_free(loss);
                loss = TAKE(rest);
        }
        assessment->loss = contest->input->rescue ? NULL : describe(loss);
}

static void compare_gtids(Contest *contest)
{
        contest->all = gtid_new(contest->input->mode == ELECTION_MYSQL_GTID ? GTID_FAMILY_MYSQL : GTID_FAMILY_MARIADB);
        collect_received(contest);
        for (size_t i = 0; i < contest->n; i++) {
                Assessment *assessment = &contest->list[i];
                assessment->missing = gtid_subtract(contest->all, candidate_of(contest, assessment)->gtid_received);
                assessment->n_missing = gtid_count(assessment->missing);
                assessment->missing_text = describe(assessment->missing);
                find_donor(contest, assessment);
        }
}

/* The same by position. */

static void compare_positions(Contest *contest)
{
        const Candidate *candidates = contest->input->candidates;
        for (ssize_t i = 0; i < (ssize_t) contest->n; i++) {
                if (!takes_part(&candidates[i]) || candidates[i].sub_replica ||
                    !position_is_set(&candidates[i].received))
                        continue;
                if (contest->farthest < 0 ||
                    position_compare(&candidates[i].received, &candidates[contest->farthest].received) > 0)
                        contest->farthest = i;
        }
        for (size_t i = 0; i < contest->n && contest->farthest >= 0; i++) {
                const Position *most = &candidates[contest->farthest].received, *mine = &candidates[i].received;
                if (candidates[i].sub_replica || !position_is_set(mine) || position_equal(mine, most))
                        continue;
                contest->list[i].missing_text = position_format_range(mine, most);
                if (contest->input->rescue)
                        contest->list[i].donor = contest->farthest;
                else
                        contest->list[i].loss = alloc_string(contest->list[i].missing_text);
        }
}

/* Who has what this one would lose, and why that one is not it. */
static char *holders_of_loss(const Contest *contest, const Assessment *loser)
{
        Text text = { 0 };
        for (size_t i = 0; i < contest->n; i++) {
                const Assessment *other = &contest->list[i];
                bool has_all = takes_part(candidate_of(contest, other)) && !other->loss && !other->missing_text;
                if (other == loser || !has_all)
                        continue;
                text_separate(&text, ", ");
                text_addf(&text, "%s", candidate_of(contest, other)->name);
                if (!other->eligible)
                        text_addf(&text, " (%s)", other->why);
        }
        return text_take(&text);
}

static void exclude_losing(const Contest *contest)
{
        for (size_t i = 0; i < contest->n; i++) {
                Assessment *assessment = &contest->list[i];
                if (!assessment->eligible || !assessment->loss ||
                    loss_is_named(contest->input->accept_loss, assessment->loss))
                        continue;
                CLEANUP(mem_free) char *holders = holders_of_loss(contest, assessment);
                exclude(assessment, "choosing it would lose %s, which was received by %s", assessment->loss,
                        *holders ? holders : "others");
                assessment->only_lacks = true;
        }
}

/* What excludes only as long as there is another one. */

typedef bool (*flaw_fn)(const Contest *contest, const Candidate *candidate);

static bool is_newer(const Contest *contest, const Candidate *candidate)
{
        for (size_t i = 0; i < contest->n; i++) {
                const Candidate *other = &contest->input->candidates[i];
                if (takes_part(other) && version_is_set(&other->version) &&
                    version_compare_series(&candidate->version, &other->version) > 0)
                        return true;
        }
        return false;
}

static bool is_useless_to_others(const Contest *contest, const Candidate *candidate)
{
        return by_gtid(contest) && !candidate->log_slave_updates;
}

static void exclude_flawed(const Contest *contest, flaw_fn flaw, const char *why)
{
        bool another = false;
        for (size_t i = 0; i < contest->n; i++)
                another = another || (contest->list[i].eligible && !flaw(contest, &contest->input->candidates[i]));
        for (size_t i = 0; another && i < contest->n; i++)
                if (contest->list[i].eligible && flaw(contest, &contest->input->candidates[i]))
                        exclude(&contest->list[i], "%s", why);
}

/* Ranking. */

typedef enum Criterion {
        CRITERION_TOLD,
        CRITERION_ELIGIBLE,
        CRITERION_LOSS,
        CRITERION_LOG,
        CRITERION_ERRANT,
        CRITERION_PREFERRED,
        CRITERION_RECEIVED,
        CRITERION_UNAPPLIED,
        CRITERION_ORDER,
        _CRITERION_MAX,
} Criterion;

/* The smaller, the better. */
static uint64_t score(const Contest *contest, const Assessment *assessment, Criterion criterion)
{
        const Candidate *candidate = candidate_of(contest, assessment);
        switch (criterion) {
        case CRITERION_TOLD:
                return !(contest->input->told && text_equal(contest->input->told, candidate->name));
        case CRITERION_ELIGIBLE:
                return !assessment->eligible;
        case CRITERION_LOSS:
                return assessment->loss != NULL;
        case CRITERION_LOG:
                return is_useless_to_others(contest, candidate);
        case CRITERION_ERRANT:
                return assessment->errant_text != NULL;
        case CRITERION_PREFERRED:
                return candidate->promotion != PROMOTION_PREFER;
        case CRITERION_RECEIVED:
                return assessment->n_missing;
        case CRITERION_UNAPPLIED:
                return candidate->unapplied;
        case CRITERION_ORDER:
        case _CRITERION_MAX:
                return assessment->index;
        }
        return 0;
}

/* By which criterion a and b differ first, and whether a is the better one. */
static bool is_better(const Contest *contest, const Assessment *a, const Assessment *b, Criterion *ret_criterion)
{
        for (Criterion criterion = 0; criterion < _CRITERION_MAX; criterion++) {
                uint64_t mine = score(contest, a, criterion), its = score(contest, b, criterion);
                /* Equal sets may hide that one has only the beginning of its last transaction. */
                if (criterion == CRITERION_RECEIVED && mine == its) {
                        int order = position_compare(&candidate_of(contest, b)->received,
                                                     &candidate_of(contest, a)->received);
                        mine = order > 0, its = order < 0;
                }
                if (mine == its)
                        continue;
                *ret_criterion = criterion;
                return mine < its;
        }
        *ret_criterion = CRITERION_ORDER;
        return false;
}

static void rank(Contest *contest)
{
        for (size_t i = 1; i < contest->n; i++)
                for (size_t j = i; j > 0; j--) {
                        Criterion ignored;
                        if (!is_better(contest, &contest->list[j], &contest->list[j - 1], &ignored))
                                break;
                        Assessment better = contest->list[j];
                        contest->list[j] = contest->list[j - 1];
                        contest->list[j - 1] = better;
                }
}

/* Words. */

static const char *advantage(Criterion criterion)
{
        static const char *const words[_CRITERION_MAX] = {
                [CRITERION_TOLD] = "was asked for",
                [CRITERION_ELIGIBLE] = "can be promoted",
                [CRITERION_LOSS] = "loses nothing",
                [CRITERION_LOG] = "has in its binary log what the others need (log_slave_updates)",
                [CRITERION_ERRANT] = "has no transactions of its own",
                [CRITERION_PREFERRED] = "is preferred by the configuration",
                [CRITERION_RECEIVED] = "has received more",
                [CRITERION_UNAPPLIED] = "has less left to apply",
                [CRITERION_ORDER] = "stands before it in the configuration",
        };
        return words[criterion];
}

static void explain_loser(const Contest *contest, Assessment *loser)
{
        const Assessment *winner = &contest->list[0];
        Criterion criterion;
        is_better(contest, winner, loser, &criterion);
        say(loser->why, "%s %s", candidate_of(contest, winner)->name, advantage(criterion));
}

static void explain_winner(const Contest *contest, Assessment *winner)
{
        const Assessment *second = contest->n > 1 ? &contest->list[1] : NULL;
        Criterion criterion = CRITERION_ELIGIBLE;
        if (second)
                is_better(contest, winner, second, &criterion);
        const char *reason = criterion == CRITERION_ELIGIBLE ? "is the only one that can be promoted"
                             : criterion == CRITERION_ORDER
                                     ? "stands first in the configuration, the others being equal"
                                     : advantage(criterion);
        const char *has = winner->loss           ? "the loss was accepted"
                          : !winner->missing_text ? "it has everything that was received"
                          : winner->donor >= 0    ? "another gives what it lacks"
                                                  : "what it lacks is to be saved and fed to it";
        bool filtered = may_lack(contest, candidate_of(contest, winner));
        say(winner->why, "it %s; %s%s%s%s", reason, has,
            filtered ? ", but for what its replication filters leave out, as those of the others do: " : "",
            filtered ? candidate_of(contest, winner)->filters : "",
            logs_otherwise(contest, candidate_of(contest, winner))
                    ? "; its binary log has other filters than the primary's"
                    : "");
}

static void explain_none(const Contest *contest, Election *election)
{
        for (size_t i = 0; i < contest->n; i++)
                if (contest->list[i].only_lacks) {
                        say(election->why, "%s: %s", candidate_of(contest, &contest->list[i])->name,
                            contest->list[i].why);
                        election->to_accept = alloc_string(contest->list[i].loss);
                        return;
                }
        Text text = { 0 };
        for (size_t i = 0; i < contest->n; i++) {
                text_separate(&text, "; ");
                text_addf(&text, "%s: %s", candidate_of(contest, &contest->list[i])->name, contest->list[i].why);
        }
        CLEANUP(mem_free) char *all = text_take(&text);
        say(election->why, "%s", *all ? all : "there is no replica");
}

static void conclude(Contest *contest, Election *election)
{
        const char *told = contest->input->told;
        Assessment *winner = contest->n > 0 ? &contest->list[0] : NULL;
        bool found = winner && (!told || text_equal(told, candidate_of(contest, winner)->name));
        if (found && winner->eligible) {
                explain_winner(contest, winner);
                for (size_t i = 1; i < contest->n; i++)
                        if (contest->list[i].eligible)
                                explain_loser(contest, &contest->list[i]);
                election->candidate = (ssize_t) winner->index;
                election->donor = winner->missing_text ? winner->donor : -1;
                election->loss = alloc_string(winner->loss);
                say(election->why, "%s", winner->why);
                return;
        }
        for (size_t i = 0; i < contest->n; i++)
                if (contest->list[i].eligible)
                        say(contest->list[i].why, "another one was asked for");
        if (told && found && winner->only_lacks)
                election->to_accept = alloc_string(winner->loss);
        if (told && found)
                say(election->why, "%s was asked for, but %s", told, winner->why);
        else if (told)
                say(election->why, "%s was asked for, but it is not one of the replicas", told);
        else
                explain_none(contest, election);
}

/* Hands the texts over. */
static void report(Contest *contest, Election *election)
{
        election->ranks = ALLOC_ARRAY(ElectionRank, contest->n + 1);
        election->n_ranks = contest->n;
        for (size_t i = 0; i < contest->n; i++) {
                Assessment *assessment = &contest->list[i];
                ElectionRank *to = &election->ranks[i];
                to->index = assessment->index;
                to->eligible = assessment->eligible;
                memcpy(to->why, assessment->why, sizeof to->why);
                to->missing = TAKE(assessment->missing_text);
                to->errant = TAKE(assessment->errant_text);
                free(assessment->loss);
                gtid_free(assessment->missing);
                gtid_free(assessment->errant);
        }
        free(contest->list);
        gtid_free(contest->all);
}

Election election_hold(const ElectionInput *input)
{
        Election election = { .candidate = -1, .donor = -1 };
        Contest contest = { .input = input, .n = input->n_candidates, .farthest = -1 };
        contest.list = ALLOC_ARRAY(Assessment, contest.n + 1);
        for (size_t i = 0; i < contest.n; i++) {
                contest.list[i] = (Assessment){ .index = i, .eligible = true, .donor = -1 };
                exclude_unfit(&contest, &contest.list[i]);
        }
        if (by_gtid(&contest))
                compare_gtids(&contest);
        else
                compare_positions(&contest);
        exclude_losing(&contest);
        exclude_flawed(&contest, may_lack, "its replication filters leave out what the primary may have had");
        exclude_flawed(
                &contest, logs_otherwise,
                "its binary log has other filters than the primary's, so that others would not get what they got "
                "before");
        exclude_flawed(&contest, is_useless_to_others,
                       "its binary log lacks what it replicated (log_slave_updates is off), so that no other could "
                       "catch up from it");
        if (!input->allow_newer_version)
                exclude_flawed(&contest, is_newer, "its version is newer than that of a replica that would follow it");
        rank(&contest);
        conclude(&contest, &election);
        report(&contest, &election);
        return election;
}

void election_done(Election *election)
{
        for (size_t i = 0; i < election->n_ranks; i++) {
                free(election->ranks[i].missing);
                free(election->ranks[i].errant);
        }
        free(election->ranks);
        free(election->loss);
        free(election->to_accept);
        *election = (Election){ .candidate = -1, .donor = -1 };
}

Json *election_to_json(const Election *election, const ElectionInput *input)
{
        Json *json = json_object(), *ranks = json_array();
        if (election->candidate >= 0)
                json_set_string(json, "candidate", input->candidates[election->candidate].name);
        if (election->donor >= 0)
                json_set_string(json, "donor", input->candidates[election->donor].name);
        json_set_string(json, "loss", election->loss);
        json_set_string(json, "why", election->why);
        for (size_t i = 0; i < election->n_ranks; i++) {
                const ElectionRank *from = &election->ranks[i];
                Json *to = json_object();
                json_set_string(to, "server", input->candidates[from->index].name);
                json_set_bool(to, "eligible", from->eligible);
                json_set_string(to, "why", from->why);
                json_set_string(to, "missing", from->missing);
                json_set_string(to, "errant", from->errant);
                json_append(ranks, to);
        }
        json_set(json, "ranks", ranks);
        return json;
}

/* From facts. */

static uint64_t unapplied_of(const ServerView *view, const ReplicaChannel *channel)
{
        const Position *received = &channel->received, *applied = &channel->applied;
        if (!position_comparable(received, applied) || position_compare(received, applied) <= 0)
                return 0;
        if (strcmp(received->file, applied->file) == 0)
                return received->offset - applied->offset;
        /* Over several files: what is kept of relay logs bounds it, unless they are kept for ever. */
        return view->relay_log_purge ? channel->relay_space : received->offset;
}

static Candidate candidate_from_view(const char *name, const Json *json, const ServerView *view)
{
        const ReplicaChannel *channel = server_view_channel(view);
        Promotion promotion = promotion_from_string(json_get_string(json, "promotion"));
        Candidate candidate = {
                .name = alloc_string(name),
                .downtime = alloc_string(json_get_string(json, "downtime")),
                .promotion = (int) promotion < 0 ? PROMOTION_ALLOW : promotion,
                .reachable = json_get_bool(json, "frozen", false) || view->evidence == EVIDENCE_ALIVE,
                .log_bin = view->log_bin,
                .log_slave_updates = view->log_slave_updates,
                .binlog_read = view->binlog_read,
                .binlog_do_db = alloc_string(view->binlog_do_db),
                .binlog_ignore_db = alloc_string(view->binlog_ignore_db),
                .version = view->version,
                .server_uuid = alloc_string(view->server_uuid),
                .gtid_received = server_view_gtid_received(view),
                .gtid_applied = server_view_gtid_applied(view),
        };
        if (!channel)
                return candidate;
        candidate.replicates = true;
        candidate.applier_running = channel->applier_running;
        candidate.applier_errno = channel->applier_errno;
        candidate.applier_error = alloc_string(channel->applier_error);
        candidate.delay = channel->delay;
        candidate.filters = alloc_string(channel->filters);
        candidate.received = channel->received;
        candidate.applied = channel->applied;
        candidate.unapplied = unapplied_of(view, channel);
        return candidate;
}

/* The names of those who may be chosen. */
static Json *names_from_facts(const Facts *facts)
{
        const Json *replicas = json_get(facts->root, "replicas");
        if (replicas)
                return json_copy(replicas);
        Json *names = json_array();
        for (size_t i = 0; i < facts_n_servers(facts); i++) {
                const char *name = facts_server_name(facts, i);
                if (!text_equal(name, facts_string(facts, "old_primary")) &&
                    !facts_server_bool(facts, name, "observer", false))
                        json_append_string(names, name);
        }
        return names;
}

ElectionMode election_mode_of(const ServerView *const *views, size_t n)
{
        size_t n_auto = 0, n_mariadb = 0, n_channels = 0;
        for (size_t i = 0; i < n; i++) {
                const ReplicaChannel *channel = server_view_channel(views[i]);
                if (!channel)
                        continue;
                n_channels++;
                n_auto += channel->mode == SOURCE_AUTO;
                n_mariadb += channel->mode == SOURCE_SLAVE_POS || channel->mode == SOURCE_CURRENT_POS;
        }
        if (n_channels > 0 && n_auto == n_channels)
                return ELECTION_MYSQL_GTID;
        return n_channels > 0 && n_mariadb == n_channels ? ELECTION_MARIADB_GTID : ELECTION_POSITION;
}

static void find_sub_replicas(const Facts *facts, ElectionInput *input, ServerView *const *views)
{
        size_t n = input->n_candidates;
        CLEANUP(mem_free) Server *servers = ALLOC_ARRAY(Server, n + 1);
        CLEANUP(mem_free) TopologyServer *list = ALLOC_ARRAY(TopologyServer, n + 1);
        for (size_t i = 0; i < n; i++) {
                char *name = input->candidates[i].name;
                const char *host = facts_server_string(facts, name, "host");
                int64_t port = facts_server_int(facts, name, "port", 3306);
                servers[i] = (Server){ .name = name, .host = (char *) (host ? host : ""), .port = (uint16_t) port };
                list[i] = (TopologyServer){ .server = &servers[i], .view = views[i] };
        }
        for (size_t i = 0; i < n; i++) {
                const ReplicaChannel *channel = server_view_channel(views[i]);
                ssize_t source = channel ? topology_match_source(list, n, channel) : -1;
                input->candidates[i].sub_replica = source >= 0 && source != (ssize_t) i;
        }
}

static void read_rules(const Facts *facts, ElectionInput *input)
{
        int64_t limit = facts_config_int(facts, "election.max_unapplied", 0);
        input->told = alloc_string(facts_string(facts, "told_candidate"));
        input->allow_newer_version = facts_config_bool(facts, "election.allow_newer_version", false);
        input->max_unapplied = limit > 0 ? (uint64_t) limit : 0;
        input->accept_loss = alloc_string(facts_config_string(facts, "election.accept_loss"));
}

/* What no other replica can give, the old primary's log may, or the relay logs of who received it: they are read over SSH. */
static bool can_rescue(const Facts *facts)
{
        return facts_config_bool(facts, "rescue.enabled", false) && facts_config_bool(facts, "ssh.enabled", true) &&
               !json_get_bool(facts->root, "not_saved", false);
}

static void read_old_primary(const Facts *facts, ElectionInput *input)
{
        CLEANUP(server_view_free)
        ServerView *old = server_view_from_json(facts_server(facts, facts_string(facts, "old_primary")));
        if (input->mode == ELECTION_MYSQL_GTID && !text_is_empty(old->gtid_executed))
                input->old_primary = server_view_gtid_applied(old);
        input->binlog_read = old->binlog_read;
        input->binlog_do_db = alloc_string(old->binlog_do_db);
        input->binlog_ignore_db = alloc_string(old->binlog_ignore_db);
}

int election_from_facts(const Facts *facts, ElectionInput *ret, Failure *reterr)
{
        CLEANUP(json_free) Json *names = names_from_facts(facts);
        size_t n = json_length(names);
        ElectionInput input = { 0 };
        const char *mode = facts_string(facts, "mode");
        if (mode && (int) election_mode_from_string(mode) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.40s' is not a way of replication", mode);
        CLEANUP(mem_free) ServerView **views = ALLOC_ARRAY(ServerView *, n + 1);
        input.candidates = ALLOC_ARRAY(Candidate, n + 1);
        JSON_FOREACH(element, names)
        {
                const char *name = json_string(element);
                const Json *json = facts_server(facts, name);
                if (!json)
                        continue;
                views[input.n_candidates] = server_view_from_json(json);
                input.candidates[input.n_candidates] = candidate_from_view(name, json, views[input.n_candidates]);
                input.n_candidates++;
        }
        input.mode = mode ? election_mode_from_string(mode)
                          : election_mode_of((const ServerView *const *) views, input.n_candidates);
        find_sub_replicas(facts, &input, views);
        read_rules(facts, &input);
        input.rescue = can_rescue(facts);
        read_old_primary(facts, &input);
        for (size_t i = 0; i < input.n_candidates; i++)
                server_view_free(views[i]);
        *ret = input;
        return 0;
}

void election_input_done(ElectionInput *input)
{
        for (size_t i = 0; i < input->n_candidates; i++) {
                Candidate *candidate = &input->candidates[i];
                free(candidate->name);
                free(candidate->downtime);
                free(candidate->applier_error);
                free(candidate->filters);
                free(candidate->binlog_do_db);
                free(candidate->binlog_ignore_db);
                free(candidate->server_uuid);
                gtid_free(candidate->gtid_received);
                gtid_free(candidate->gtid_applied);
        }
        free(input->candidates);
        free(input->told);
        free(input->accept_loss);
        free(input->binlog_do_db);
        free(input->binlog_ignore_db);
        gtid_free(input->old_primary);
        *input = (ElectionInput){ 0 };
}
