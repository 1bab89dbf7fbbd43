/* Who becomes primary: each rule. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "election.h"

#define P "0e11fa47-71ca-11e1-9e33-c80aa9429562"
#define U0 "3e11fa47-71ca-11e1-9e33-c80aa9429560"
#define U1 "3e11fa47-71ca-11e1-9e33-c80aa9429561"

typedef struct Vote {
        ElectionInput input;
        Election election;
} Vote;

static GtidSet *parse(ElectionMode mode, const char *text)
{
        GtidSet *set = NULL;
        GtidFamily family = mode == ELECTION_MARIADB_GTID ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL;
        assert_int_equal(gtid_parse(family, text, &set, NULL), 0);
        return set;
}

/* Healthy replicas db0, db1, … that have received (and applied) this much: an offset, or a GTID set. */
static Vote vote(ElectionMode mode, size_t n, const char *const *received)
{
        Vote vote = { .input = { .mode = mode, .n_candidates = n, .candidates = calloc(n + 1, sizeof(Candidate)) } };
        for (size_t i = 0; i < n; i++) {
                Candidate *candidate = &vote.input.candidates[i];
                *candidate = (Candidate){ .name = text_format("db%zu", i),
                                          .reachable = true,
                                          .replicates = true,
                                          .log_bin = true,
                                          .log_slave_updates = true,
                                          .applier_running = true,
                                          .version = { FLAVOUR_MYSQL, 8, 0, 36 },
                                          .filters = alloc_string(""),
                                          .server_uuid = alloc_string(i == 0 ? U0 : U1) };
                if (mode == ELECTION_POSITION) {
                        strcpy(candidate->received.file, "binlog.000003");
                        candidate->received.offset = (uint64_t) atoi(received[i]);
                        candidate->applied = candidate->received;
                } else {
                        candidate->gtid_received = parse(mode, received[i]);
                        candidate->gtid_applied = parse(mode, received[i]);
                }
        }
        return vote;
}
#define VOTE(mode, ...)                                                                                                \
        vote(mode, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), (const char *const[]){ __VA_ARGS__ })

static void vote_done(Vote *vote)
{
        election_done(&vote->election);
        election_input_done(&vote->input);
}
#define ENDS __attribute__((cleanup(vote_done)))

/* All texts, for what a test looks for. */
static char *text_of(const Vote *vote)
{
        CLEANUP(json_free) Json *json = election_to_json(&vote->election, &vote->input);
        return json_print(json);
}

static void assert_elected(Vote *vote, ssize_t candidate, ssize_t donor, const char *words)
{
        election_done(&vote->election);
        vote->election = election_hold(&vote->input);
        CLEANUP(mem_free) char *text = text_of(vote);
        if (vote->election.candidate != candidate || vote->election.donor != donor || !strstr(text, words))
                fail_msg("candidate %zd, donor %zd: %s", vote->election.candidate, vote->election.donor, text);
        assert_int_equal(vote->election.n_ranks, vote->input.n_candidates);
        for (size_t i = 0; i < vote->election.n_ranks; i++)
                assert_true(vote->election.ranks[i].why[0] != '\0');
        assert_true(vote->election.why[0] != '\0');
}

static void test_position_most_advanced(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "100", "300", "200");
        assert_elected(&a, 1, -1, "it has everything that was received");
        assert_null(a.election.loss);
        assert_string_equal(a.election.ranks[2].missing, "binlog.000003:100 - binlog.000003:300");
        /* By what was received, not by what was applied. */
        a.input.candidates[1].applied.offset = 4;
        a.input.candidates[1].unapplied = 296;
        assert_elected(&a, 1, -1, "");
        strcpy(a.input.candidates[0].received.file, "binlog.1000000");
        assert_elected(&a, 0, -1, "");
}

static void test_position_ties(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300", "300", "300");
        assert_elected(&a, 0, -1, "stands first in the configuration");
        a.input.candidates[0].unapplied = 10;
        assert_elected(&a, 1, -1, "has less left to apply");
        a.input.candidates[2].promotion = PROMOTION_PREFER;
        a.input.candidates[2].unapplied = 20;
        assert_elected(&a, 2, -1, "is preferred");
}

static void test_position_preferred_but_behind(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300", "100");
        a.input.candidates[1].promotion = PROMOTION_PREFER;
        assert_elected(&a, 0, -1, "would lose binlog.000003:100 - binlog.000003:300, which was received by db0");
}

static void test_position_no_silent_loss(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300", "100");
        a.input.candidates[0].promotion = PROMOTION_NEVER;
        assert_elected(&a, -1, -1,
                       "db1: choosing it would lose binlog.000003:100 - binlog.000003:300, which was "
                       "received by db0 (the configuration says promotion: never)");
        assert_string_equal(a.election.to_accept, "binlog.000003:100 - binlog.000003:300");
        a.input.accept_loss = alloc_string("binlog.000003:100 - binlog.000003:299");
        assert_elected(&a, -1, -1, "choosing it would lose");
        free(a.input.accept_loss);
        a.input.accept_loss = alloc_string("binlog.000003:100 - binlog.000003:300");
        assert_elected(&a, 1, -1, "the loss was accepted");
        assert_null(a.election.to_accept);
        assert_string_equal(a.election.loss, "binlog.000003:100 - binlog.000003:300");
        /* Accepted or not: whoever loses nothing comes first. */
        a.input.candidates[0].promotion = PROMOTION_ALLOW;
        a.input.candidates[1].promotion = PROMOTION_PREFER;
        assert_elected(&a, 0, -1, "loses nothing");
}

static void test_position_of_a_replica_of_a_replica(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300", "900");
        a.input.candidates[1].sub_replica = true;
        assert_elected(&a, 0, -1, "it follows another replica");
        a.input.candidates[1].sub_replica = false;
        a.input.candidates[1].received = (Position){ 0 };
        assert_elected(&a, 0, -1, "it is not known how far it has received");
}

typedef void (*spoil_fn)(Candidate *candidate);

static void never(Candidate *candidate)
{
        candidate->promotion = PROMOTION_NEVER;
}
static void unreachable(Candidate *candidate)
{
        candidate->reachable = false;
}
static void not_replicating(Candidate *candidate)
{
        candidate->replicates = false;
}
static void no_binlog(Candidate *candidate)
{
        candidate->log_bin = false;
}
static void delayed(Candidate *candidate)
{
        candidate->delay = 3600;
}
static void broken(Candidate *candidate)
{
        candidate->applier_running = false;
        candidate->applier_errno = 1062;
}
static void filtered(Candidate *candidate)
{
        free(candidate->filters);
        candidate->filters = alloc_string("do_db=a");
}
static void taken_out(Candidate *candidate)
{
        candidate->downtime = alloc_string("a new disk");
}
static void far_behind(Candidate *candidate)
{
        candidate->unapplied = 1001;
}
static void newer(Candidate *candidate)
{
        candidate->version.minor = 4;
}
static void no_updates(Candidate *candidate)
{
        candidate->log_slave_updates = false;
}

/* What keeps a replica from being promoted although it is first, preferred and has everything. */
static const struct {
        spoil_fn spoil;
        const char *why;
        bool only_if_another; /* it may be promoted when there is nobody else */
        bool only_gtid;
} spoils[] = {
        { never, "promotion: never", false, false },
        { unreachable, "cannot be reached", false, false },
        { not_replicating, "does not replicate", false, false },
        { no_binlog, "no binary log", false, false },
        { delayed, "3600 s behind on purpose", false, false },
        { broken, "stopped with error 1062", false, false },
        { filtered, "filters differ from those of db1", false, false },
        { taken_out, "it is taken out: a new disk", false, false },
        { far_behind, "1001 bytes left to apply", false, false },
        { newer, "its version is newer", true, false },
        { no_updates, "log_slave_updates is off", true, true },
};

static Vote two_equal(ElectionMode mode)
{
        Vote a = mode == ELECTION_POSITION     ? VOTE(mode, "300", "300")
                 : mode == ELECTION_MYSQL_GTID ? VOTE(mode, P ":1-300", P ":1-300")
                                               : VOTE(mode, "0-1-300", "0-1-300");
        a.input.max_unapplied = 1000;
        a.input.candidates[0].promotion = PROMOTION_PREFER;
        return a;
}

static void test_never_promoted(void **state)
{
        for (int mode = 0; mode < _ELECTION_MODE_MAX; mode++)
                for (size_t i = 0; i < ARRAY_LENGTH(spoils); i++) {
                        ENDS Vote a = two_equal((ElectionMode) mode);
                        spoils[i].spoil(&a.input.candidates[0]);
                        if (spoils[i].only_gtid && mode == ELECTION_POSITION) {
                                assert_elected(&a, 0, -1, "");
                                continue;
                        }
                        assert_elected(&a, 1, -1, spoils[i].why);
                        assert_false(a.election.ranks[1].eligible);
                        /* An operator cannot have it either, and gets no other instead. */
                        a.input.told = alloc_string("db0");
                        assert_elected(&a, -1, -1, "db0 was asked for, but");
                        a.input.told = mem_free(a.input.told);
                        never(&a.input.candidates[1]);
                        assert_elected(&a, spoils[i].only_if_another ? 0 : -1, -1, "");
                }
}

static void own_filters(Candidate *candidate)
{
        candidate->binlog_read = true;
        candidate->binlog_ignore_db = alloc_string("a");
}

/* Against what the old primary lets into its own log. */
static void test_filters(void **state)
{
        for (int hands_over = 0; hands_over <= 1; hands_over++) {
                /* The same filters on all: there is nobody else when it is dead. */
                ENDS Vote a = two_equal(ELECTION_MYSQL_GTID);
                a.input.hands_over = hands_over;
                filtered(&a.input.candidates[0]);
                filtered(&a.input.candidates[1]);
                assert_elected(&a, hands_over ? -1 : 0, -1,
                               hands_over ? "its replication filters (do_db=a) leave out" : "leave out, as those of");
                a.input.binlog_read = true;
                assert_elected(&a, hands_over ? -1 : 0, -1, "leave out");
                a.input.binlog_do_db = alloc_string("a,b");
                assert_elected(&a, hands_over ? -1 : 0, -1, "leave out");
                free(a.input.binlog_do_db);
                a.input.binlog_do_db = alloc_string("a");
                for (size_t i = 0; i < 2; i++) {
                        a.input.candidates[i].binlog_read = true;
                        a.input.candidates[i].binlog_do_db = alloc_string("a");
                }
                assert_elected(&a, 0, -1, "is preferred");
                free(a.input.candidates[0].filters);
                a.input.candidates[0].filters = alloc_string("do_db=a; ignore_db=b");
                free(a.input.candidates[1].filters);
                a.input.candidates[1].filters = alloc_string("do_db=a; ignore_db=b");
                assert_elected(&a, hands_over ? -1 : 0, -1, "leave out");
                a.input.binlog_ignore_db = alloc_string("b");
                for (size_t i = 0; i < 2; i++)
                        a.input.candidates[i].binlog_ignore_db = alloc_string("b");
                assert_elected(&a, 0, -1, "is preferred");

                ENDS Vote b = two_equal(ELECTION_POSITION);
                b.input.hands_over = hands_over;
                own_filters(&b.input.candidates[0]);
                assert_elected(&b, 0, -1, "is preferred");
                b.input.binlog_read = true;
                assert_elected(&b, 1, -1, "its binary log has other filters");
                own_filters(&b.input.candidates[1]);
                assert_elected(&b, hands_over ? -1 : 0, -1, "its binary log has other filters");
        }
}

static void test_permissions(void **state)
{
        ENDS Vote a = two_equal(ELECTION_POSITION);
        newer(&a.input.candidates[0]);
        a.input.allow_newer_version = true;
        assert_elected(&a, 0, -1, "is preferred");
        far_behind(&a.input.candidates[0]);
        a.input.max_unapplied = 0;
        assert_elected(&a, 0, -1, "is preferred");
        /* The same filters everywhere are no reason. */
        filtered(&a.input.candidates[0]);
        filtered(&a.input.candidates[1]);
        assert_elected(&a, 0, -1, "is preferred");
        /* An applier that is merely stopped can be started. */
        a.input.candidates[0].applier_running = false;
        assert_elected(&a, 0, -1, "is preferred");
        /* Filters of others do no harm to one that has none. */
        free(a.input.candidates[0].filters);
        a.input.candidates[0].filters = alloc_string("");
        assert_elected(&a, 0, -1, "filters differ from those of db0");
        /* A newer patch of the same series is nothing. */
        a.input.allow_newer_version = false;
        a.input.candidates[0].version = (Version){ FLAVOUR_MYSQL, 8, 0, 45 };
        assert_elected(&a, 0, -1, "");
}

static void test_told(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300", "300", "100");
        a.input.candidates[0].promotion = PROMOTION_PREFER;
        a.input.told = alloc_string("db1");
        assert_elected(&a, 1, -1, "it was asked for");
        free(a.input.told);
        a.input.told = alloc_string("db2");
        assert_elected(&a, -1, -1, "db2 was asked for, but choosing it would lose");
        free(a.input.told);
        a.input.told = alloc_string("db7");
        assert_elected(&a, -1, -1, "db7 was asked for, but it is not one of the replicas");
}

static void test_gtid_donor(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100", P ":1-110", P ":1-105");
        assert_elected(&a, 1, -1, "has received more");
        a.input.candidates[0].promotion = PROMOTION_PREFER;
        assert_elected(&a, 0, 1, "another gives what it lacks");
        assert_null(a.election.loss);
        assert_string_equal(a.election.ranks[0].missing, P ":101-110");
        /* Whoever may not be primary may still give. */
        never(&a.input.candidates[1]);
        a.input.candidates[0].promotion = PROMOTION_ALLOW;
        assert_elected(&a, 2, 1, "has received more");
        delayed(&a.input.candidates[1]);
        assert_elected(&a, 2, 1, "");
}

static void test_gtid_donor_of_mariadb(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MARIADB_GTID, "0-1-100,1-1-7", "0-1-110,1-1-7");
        a.input.candidates[0].promotion = PROMOTION_PREFER;
        assert_elected(&a, 0, 1, "0-1-101..110");
}

static void test_gtid_unequal_donors(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100", P ":1-110", P ":1-110");
        a.input.candidates[0].promotion = PROMOTION_PREFER;
        assert_elected(&a, 0, 1, "");
        delayed(&a.input.candidates[1]);
        assert_elected(&a, 0, 2, "");
        a.input.candidates[1].delay = 0;
        a.input.candidates[1].unapplied = 9;
        assert_elected(&a, 0, 2, "");
}

static void test_gtid_no_donor(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100", P ":1-110");
        never(&a.input.candidates[1]);
        no_updates(&a.input.candidates[1]);
        assert_elected(&a, -1, -1, "choosing it would lose " P ":101-110, which was received by db1");
        a.input.accept_loss = alloc_string(P ":101-110");
        assert_elected(&a, 0, -1, "the loss was accepted");
        assert_string_equal(a.election.loss, P ":101-110");
        /* Better one whose log is of no use to the others than a loss. */
        free(TAKE(a.input.accept_loss));
        a.input.candidates[1].promotion = PROMOTION_ALLOW;
        assert_elected(&a, 1, -1, "");
}

/* What nobody gives is saved from logs as it is by position. */
static void test_gtid_saved(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100", P ":1-110");
        broken(&a.input.candidates[1]);
        assert_elected(&a, -1, -1, "choosing it would lose " P ":101-110");
        a.input.rescue = true;
        assert_elected(&a, 0, -1, "what it lacks is to be saved and fed to it");
        assert_null(a.election.loss);
        assert_string_equal(a.election.ranks[0].missing, P ":101-110");
        ENDS Vote b = VOTE(ELECTION_MARIADB_GTID, "0-1-100", "0-1-110", "0-1-105");
        broken(&b.input.candidates[1]);
        b.input.candidates[0].promotion = PROMOTION_PREFER;
        b.input.rescue = true;
        assert_elected(&b, 0, 2, "another gives what it lacks");
}

static void test_received_counts(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100", P ":1-110");
        gtid_free(a.input.candidates[1].gtid_applied);
        a.input.candidates[1].gtid_applied = parse(ELECTION_MYSQL_GTID, P ":1-5");
        a.input.candidates[1].unapplied = 100000;
        assert_elected(&a, 1, -1, "has received more");
}

static void test_errant(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100," U0 ":1-2", P ":1-100");
        assert_elected(&a, 1, -1, "has no transactions of its own");
        assert_string_equal(a.election.ranks[1].errant, U0 ":1-2");
        assert_null(a.election.ranks[0].missing); /* nobody misses them */
        /* Of a time when it was primary. */
        a.input.old_primary = parse(ELECTION_MYSQL_GTID, P ":1-90," U0 ":1-2");
        assert_elected(&a, 0, -1, "");
        assert_null(a.election.ranks[0].errant);
        /* More than the last look at the old primary showed is no error: that was before it died. */
        ENDS Vote b = VOTE(ELECTION_MYSQL_GTID, P ":1-100", P ":1-100");
        b.input.old_primary = parse(ELECTION_MYSQL_GTID, P ":1-90");
        assert_elected(&b, 0, -1, "");
        assert_null(b.election.ranks[0].errant);
}

static void test_errant_of_the_only_one(void **state)
{
        ENDS Vote a = VOTE(ELECTION_MYSQL_GTID, P ":1-100," U0 ":1-2");
        assert_elected(&a, 0, -1, "is the only one");
        assert_null(a.election.ranks[0].errant); /* nothing to compare with */
        a.input.old_primary = parse(ELECTION_MYSQL_GTID, P ":1-90");
        assert_elected(&a, 0, -1, "");
        assert_string_equal(a.election.ranks[0].errant, U0 ":1-2");
}

static void test_unreachable_ones_count_for_nothing(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300", "900");
        unreachable(&a.input.candidates[1]);
        newer(&a.input.candidates[0]);
        filtered(&a.input.candidates[0]);
        assert_elected(&a, 0, -1, "it has everything that was received");
}

static void test_nobody(void **state)
{
        ENDS Vote a = vote(ELECTION_POSITION, 0, NULL);
        assert_elected(&a, -1, -1, "there is no replica");
        ENDS Vote b = VOTE(ELECTION_MARIADB_GTID, "0-1-1", "0-1-1");
        never(&b.input.candidates[0]);
        unreachable(&b.input.candidates[1]);
        assert_elected(&b, -1, -1, "db0: the configuration says promotion: never; db1: it cannot be reached");
}

static void test_long_reasons(void **state)
{
        ENDS Vote a = VOTE(ELECTION_POSITION, "300");
        broken(&a.input.candidates[0]);
        a.input.candidates[0].applier_error = calloc(1, 2001);
        memset(a.input.candidates[0].applier_error, 'x', 2000);
        assert_elected(&a, -1, -1, "xxx");
}

/* From facts. */

static Facts facts_of(const char *text)
{
        Facts facts = { 0 };
        assert_int_equal(json_parse(text, strlen(text), &facts.root, NULL), 0);
        return facts;
}

#define CHANNEL(host, mode, position, gtid)                                                                            \
        "\"channels\": [{\"name\": \"\", \"source_host\": \"" host "\", \"source_port\": 3306, \"mode\": \"" mode      \
        "\", \"received\": \"" position "\", \"applied\": \"b.1:10\", \"gtid_retrieved\": \"" gtid                     \
        "\", \"applier_running\": true, \"relay_space\": 5000}]"
#define REPLICA(host, channel)                                                                                         \
        "{\"host\": \"" host "\", \"port\": 3306, \"evidence\": \"alive\", \"version\": \"9.7.0\", "                   \
        "\"log_bin\": true, \"log_slave_updates\": true, \"relay_log_purge\": true, \"gtid_executed\": \"" P           \
        ":1-5\", " channel "}"

static void test_facts_by_gtid(void **state)
{
        __attribute__((cleanup(facts_done_cleanup))) Facts facts = facts_of(
                "{\"old_primary\": \"a\", \"order\": [\"a\", \"b\", \"c\", \"o\"], \"servers\": {"
                "\"a\": {\"host\": \"ha\", \"version\": \"9.7.0\", \"gtid_executed\": \"" P ":1-4\"},"
                "\"o\": {\"host\": \"ho\", \"observer\": true},"
                "\"b\": " REPLICA(
                        "hb",
                        CHANNEL("ha", "auto", "b.1:20",
                                P ":5-6")) ","
                                           "\"c\": " REPLICA(
                                                   "hc",
                                                   CHANNEL("ha", "auto", "b.1:30",
                                                           P ":5-9")) "},"
                                                                      "\"config\": {\"election\": {\"max_unapplied\": "
                                                                      "77, \"accept_loss\": \"x\"}},"
                                                                      "\"told_candidate\": \"b\"}");
        ENDS Vote a = { 0 };
        assert_int_equal(election_from_facts(&facts, &a.input, NULL), 0);
        assert_int_equal(a.input.mode, ELECTION_MYSQL_GTID);
        assert_int_equal(a.input.n_candidates, 2);
        assert_int_equal(a.input.candidates[0].unapplied, 10);
        assert_true(a.input.max_unapplied == 77 && text_equal(a.input.accept_loss, "x") &&
                    !a.input.allow_newer_version);
        assert_true(gtid_count(a.input.old_primary) == 4);
        assert_elected(&a, 0, 1, "it was asked for");
}

static void test_facts_by_position(void **state)
{
        __attribute__((cleanup(facts_done_cleanup))) Facts facts = facts_of(
                "{\"old_primary\": \"a\", \"replicas\": [\"b\", \"c\", \"d\", \"e\", \"lost\"], \"servers\": {"
                "\"b\": " REPLICA(
                        "hb",
                        CHANNEL("ha", "auto", "b.2:20",
                                "")) ","
                                     "\"c\": " REPLICA(
                                             "hc",
                                             CHANNEL("ha", "position", "b.2:30",
                                                     "")) ","
                                                          "\"d\": " REPLICA(
                                                                  "hd",
                                                                  CHANNEL("hc", "position", "b.9:30",
                                                                          "")) ","
                                                                               "\"e\": {\"host\": \"he\", \"frozen\": "
                                                                               "true, \"promotion\": \"never\"}}}");
        ENDS Vote a = { 0 };
        assert_int_equal(election_from_facts(&facts, &a.input, NULL), 0);
        assert_int_equal(a.input.mode, ELECTION_POSITION);
        assert_int_equal(a.input.n_candidates, 4);
        assert_int_equal(a.input.candidates[1].unapplied, 5000);
        assert_true(a.input.candidates[2].sub_replica && !a.input.candidates[1].sub_replica);
        assert_true(a.input.candidates[3].reachable && !a.input.candidates[3].replicates);
        assert_int_equal(a.input.candidates[3].promotion, PROMOTION_NEVER);
        assert_elected(&a, 1, -1, "");
}

static void test_facts_malformed(void **state)
{
        __attribute__((cleanup(facts_done_cleanup))) Facts facts = facts_of("{\"mode\": \"magic\"}");
        __attribute__((cleanup(facts_done_cleanup))) Facts empty = facts_of("{\"mode\": \"mariadb_gtid\"}");
        ENDS Vote a = { 0 };
        Failure failure = { 0 };
        assert_int_equal(election_from_facts(&facts, &a.input, &failure), -EINVAL);
        assert_int_equal(failure.kind, FAILURE_INVALID);
        assert_int_equal(election_from_facts(&empty, &a.input, NULL), 0);
        assert_int_equal(a.input.mode, ELECTION_MARIADB_GTID);
        assert_elected(&a, -1, -1, "there is no replica");
}

static void test_names(void **state)
{
        for (int i = 0; i < _ELECTION_MODE_MAX; i++)
                assert_int_equal(election_mode_from_string(election_mode_to_string((ElectionMode) i)), i);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_position_most_advanced),
                cmocka_unit_test(test_position_ties),
                cmocka_unit_test(test_position_preferred_but_behind),
                cmocka_unit_test(test_position_no_silent_loss),
                cmocka_unit_test(test_position_of_a_replica_of_a_replica),
                cmocka_unit_test(test_never_promoted),
                cmocka_unit_test(test_filters),
                cmocka_unit_test(test_permissions),
                cmocka_unit_test(test_told),
                cmocka_unit_test(test_gtid_donor),
                cmocka_unit_test(test_gtid_donor_of_mariadb),
                cmocka_unit_test(test_gtid_unequal_donors),
                cmocka_unit_test(test_gtid_no_donor),
                cmocka_unit_test(test_gtid_saved),
                cmocka_unit_test(test_received_counts),
                cmocka_unit_test(test_errant),
                cmocka_unit_test(test_errant_of_the_only_one),
                cmocka_unit_test(test_unreachable_ones_count_for_nothing),
                cmocka_unit_test(test_nobody),
                cmocka_unit_test(test_long_reasons),
                cmocka_unit_test(test_facts_by_gtid),
                cmocka_unit_test(test_facts_by_position),
                cmocka_unit_test(test_facts_malformed),
                cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
