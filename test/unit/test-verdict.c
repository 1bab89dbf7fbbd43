/* The table of verdicts: each row, all combinations; and the guards. */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "verdict.h"

/* Witnesses as one letter each: a alive, g gone, l lost, s stale, n reachable without opinion, u unreachable, p pending; a
 * capital letter: on the suspect's own host. */
static size_t witnesses_of(const char *letters, Witness *witnesses)
{
        size_t n = 0;
        for (; letters[n]; n++) {
                char c = (char) tolower((unsigned char) letters[n]);
                witnesses[n] = (Witness){
                        .name = "db",
                        .reachable = c != 'u',
                        .pending = c == 'p',
                        .tunnel = c == 'a'   ? TUNNEL_SAYS_GREETING
                                  : c == 'g' ? TUNNEL_SAYS_REFUSED
                                  : c == 'l' ? TUNNEL_SAYS_SILENT
                                             : TUNNEL_SAYS_NOTHING,
                        .receiver = c == 's' ? RECEIVER_SAYS_STALE : RECEIVER_SAYS_NOTHING,
                        .same_host = c != letters[n],
                };
        }
        return n;
}

static Conclusion judge(Evidence own, bool locked, const char *letters)
{
        Witness witnesses[8];
        Suspicion suspicion = { own, locked, witnesses, witnesses_of(letters, witnesses) };
        return suspicion_judge(&suspicion);
}

static void assert_row(Evidence own, const char *letters, const char *id, Finding finding)
{
        Conclusion conclusion = judge(own, false, letters);
        assert_non_null(conclusion.row);
        assert_string_equal(conclusion.row->id, id);
        assert_int_equal(conclusion.row->finding, finding);
}

static void test_alive(void **state)
{
        assert_row(EVIDENCE_ALIVE, "", "A1", FINDING_ALIVE);
        assert_row(EVIDENCE_ALIVE, "gg", "A1", FINDING_ALIVE); /* one replica cut off from it */
        assert_row(EVIDENCE_ERROR, "ll", "A2", FINDING_ALIVE); /* too many connections */
        Conclusion conclusion = judge(EVIDENCE_ALIVE, true, "aa");
        assert_string_equal(conclusion.row->id, "L1");
        assert_int_equal(conclusion.row->finding, FINDING_LOCKED);
        conclusion = judge(EVIDENCE_ERROR, true, "aa");
        assert_string_equal(conclusion.row->id, "A2");
}

static void test_stalled(void **state)
{
        assert_row(EVIDENCE_HUNG, "aa", "T1", FINDING_STALLED);
        assert_row(EVIDENCE_HUNG, "", "T1", FINDING_STALLED);
}

static void test_suspect(void **state)
{
        assert_row(EVIDENCE_UNKNOWN, "gg", "S1", FINDING_SUSPECT);
        assert_row(EVIDENCE_REFUSED, "pp", "S2", FINDING_SUSPECT);
        assert_row(EVIDENCE_SILENT, "lp", "S2", FINDING_SUSPECT);
        assert_row(EVIDENCE_REFUSED, "nn", "S3", FINDING_SUSPECT);
        assert_row(EVIDENCE_FROZEN, "nu", "S3", FINDING_SUSPECT);
}

static void test_not_reachable_from_here(void **state)
{
        static const Evidence owns[] = { EVIDENCE_REFUSED, EVIDENCE_SILENT, EVIDENCE_FROZEN };
        for (size_t i = 0; i < ARRAY_LENGTH(owns); i++) {
                assert_row(owns[i], "a", "U1", FINDING_UNREACHABLE_FROM_HERE);
                assert_row(owns[i], "aggl", "U1", FINDING_UNREACHABLE_FROM_HERE);
                assert_row(owns[i], "ap", "U1", FINDING_UNREACHABLE_FROM_HERE);
                assert_row(owns[i], "", "U2", FINDING_UNREACHABLE_FROM_HERE);
                assert_row(owns[i], "u", "I1", FINDING_ISOLATED);
                assert_row(owns[i], "uuu", "I1", FINDING_ISOLATED);
        }
}

static void test_dead(void **state)
{
        assert_row(EVIDENCE_REFUSED, "gg", "D1", FINDING_DEAD);
        assert_row(EVIDENCE_REFUSED, "gp", "D1", FINDING_DEAD); /* a dead replica holds nobody up */
        assert_row(EVIDENCE_REFUSED, "gu", "D1", FINDING_DEAD);
        assert_row(EVIDENCE_REFUSED, "ll", "D2", FINDING_DEAD);
        assert_row(EVIDENCE_REFUSED, "lu", "D2", FINDING_DEAD);
        assert_row(EVIDENCE_REFUSED, "sn", "D3", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "ll", "D4", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "gu", "D4", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "lu", "D5", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "ls", "D5", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "s", "D5", FINDING_DEAD);
        assert_row(EVIDENCE_FROZEN, "ll", "D6", FINDING_DEAD);
        assert_row(EVIDENCE_FROZEN, "ln", "D7", FINDING_DEAD);
        assert_row(EVIDENCE_FROZEN, "su", "D7", FINDING_DEAD);
}

/* One on the suspect's own host reaches it whatever the network does, and is cut off with it. */
static void test_same_host(void **state)
{
        assert_row(EVIDENCE_SILENT, "llA", "D4", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "lU", "D4", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "lP", "D4", FINDING_DEAD);
        assert_row(EVIDENCE_SILENT, "laU", "U1", FINDING_UNREACHABLE_FROM_HERE);
        assert_row(EVIDENCE_SILENT, "uU", "I1", FINDING_ISOLATED);
        assert_row(EVIDENCE_SILENT, "U", "I1", FINDING_ISOLATED);
        assert_row(EVIDENCE_SILENT, "A", "S3", FINDING_SUSPECT);
        assert_row(EVIDENCE_SILENT, "uA", "S3", FINDING_SUSPECT);
        assert_row(EVIDENCE_REFUSED, "G", "D1", FINDING_DEAD);
        assert_row(EVIDENCE_REFUSED, "uG", "D1", FINDING_DEAD);
        assert_row(EVIDENCE_FROZEN, "L", "D6", FINDING_DEAD);
        assert_row(EVIDENCE_FROZEN, "P", "S2", FINDING_SUSPECT);
        Witness witness = { .name = "db2", .reachable = true, .tunnel = TUNNEL_SAYS_GREETING, .same_host = true };
        Suspicion suspicion = { EVIDENCE_SILENT, false, &witness, 1 };
        CLEANUP(mem_free) char *text = suspicion_describe(&suspicion);
        assert_string_equal(text, "here: silent; db2 is greeted by it, but is on its host");
}

/* Exactly one row fits each combination of classes, and every row fits one. */
static void test_complete(void **state)
{
        size_t n;
        const VerdictRow *rows = verdict_table(&n);
        bool used[64] = { 0 };
        for (int own = 0; own < _EVIDENCE_MAX; own++)
                for (int crowd = 0; crowd < _CROWD_MAX; crowd++)
                        for (int locked = 0; locked < 2; locked++) {
                                int fits = 0;
                                for (size_t i = 0; i < n; i++)
                                        if ((rows[i].own & (1U << own)) && (rows[i].crowd & (1U << crowd)) &&
                                            (rows[i].locked < 0 || rows[i].locked == locked)) {
                                                fits++;
                                                used[i] = true;
                                        }
                                assert_int_equal(fits, 1);
                        }
        for (size_t i = 0; i < n; i++) {
                assert_true(used[i]);
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(rows[i].id, rows[j].id);
                assert_true((rows[i].finding == FINDING_DEAD) <= (rows[i].persistence != PERSISTENCE_NONE));
        }
}

/* All sets of up to four witnesses: whatever they say, the promises hold. */
static void test_promises(void **state)
{
        static const char alphabet[] = "aglsnup";
        for (int own = 0; own < _EVIDENCE_MAX; own++)
                for (unsigned code = 0; code < 7 * 7 * 7 * 7; code++) {
                        char letters[5] = "";
                        unsigned rest = code;
                        for (int i = 0; i < 4; i++, rest /= 7)
                                letters[i] = alphabet[rest % 7];
                        Conclusion conclusion = judge((Evidence) own, false, letters);
                        assert_non_null(conclusion.row);
                        if (conclusion.row->finding != FINDING_DEAD)
                                continue;
                        assert_true(own == EVIDENCE_REFUSED || own == EVIDENCE_SILENT || own == EVIDENCE_FROZEN);
                        assert_null(strchr(letters, 'a'));
                        assert_true(strpbrk(letters, "gls") != NULL);
                        assert_true(!strchr(letters, 'p') || strchr(letters, 'g'));
                }
}

static void test_voices(void **state)
{
        static const struct {
                ReceiverOpinion receiver;
                TunnelOpinion tunnel;
                Voice voice, when_newer;
        } rows[] = {
                { RECEIVER_SAYS_NOTHING, TUNNEL_SAYS_NOTHING, VOICE_NONE, VOICE_NONE },
                { RECEIVER_SAYS_CONNECTED, TUNNEL_SAYS_NOTHING, VOICE_ALIVE, VOICE_ALIVE },
                { RECEIVER_SAYS_CONNECTED, TUNNEL_SAYS_SILENT, VOICE_ALIVE, VOICE_LOST }, /* it heard nothing since */
                { RECEIVER_SAYS_CONNECTED, TUNNEL_SAYS_FROZEN, VOICE_ALIVE, VOICE_LOST },
                { RECEIVER_SAYS_CONNECTED, TUNNEL_SAYS_REFUSED, VOICE_ALIVE, VOICE_GONE },
                { RECEIVER_SAYS_CONNECTED, TUNNEL_SAYS_GREETING, VOICE_ALIVE, VOICE_ALIVE },
                { RECEIVER_SAYS_ERROR, TUNNEL_SAYS_NOTHING, VOICE_ALIVE, VOICE_ALIVE },
                { RECEIVER_SAYS_ERROR, TUNNEL_SAYS_SILENT, VOICE_ALIVE, VOICE_ALIVE },
                { RECEIVER_SAYS_LOST, TUNNEL_SAYS_GREETING, VOICE_ALIVE, VOICE_ALIVE },
                { RECEIVER_SAYS_LOST, TUNNEL_SAYS_ERROR, VOICE_ALIVE, VOICE_ALIVE },
                { RECEIVER_SAYS_LOST, TUNNEL_SAYS_REFUSED, VOICE_GONE, VOICE_GONE },
                { RECEIVER_SAYS_STALE, TUNNEL_SAYS_REFUSED, VOICE_GONE, VOICE_GONE },
                { RECEIVER_SAYS_NOTHING, TUNNEL_SAYS_SILENT, VOICE_LOST, VOICE_LOST },
                { RECEIVER_SAYS_STALE, TUNNEL_SAYS_FROZEN, VOICE_LOST, VOICE_LOST }, /* a frozen primary */
                { RECEIVER_SAYS_LOST, TUNNEL_SAYS_NOTHING, VOICE_LOST, VOICE_LOST },
                { RECEIVER_SAYS_STALE, TUNNEL_SAYS_NOTHING, VOICE_STALE, VOICE_STALE },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                Witness witness = { .receiver = rows[i].receiver, .tunnel = rows[i].tunnel };
                assert_int_equal(suspicion_voice(&witness), rows[i].voice);
                witness.tunnel_is_newer = true;
                assert_int_equal(suspicion_voice(&witness), rows[i].when_newer);
        }
}

static void test_receiver(void **state)
{
        const usec_t limit = USEC_SEC, now = 100 * USEC_SEC;
        static const struct {
                ReceiverState receiver;
                int number;
                unsigned quiet, period, error_age; /* seconds */
                ReceiverOpinion opinion;
        } rows[] = {
                { RECEIVER_STOPPED, 0, 0, 1, 0, RECEIVER_SAYS_NOTHING },
                { RECEIVER_STOPPED, 1236, 0, 1, 0, RECEIVER_SAYS_NOTHING },
                { RECEIVER_CONNECTED, 0, 0, 1, 0, RECEIVER_SAYS_CONNECTED },
                { RECEIVER_CONNECTED, 0, 1, 1, 0, RECEIVER_SAYS_CONNECTED },
                { RECEIVER_CONNECTED, 0, 3, 1, 0, RECEIVER_SAYS_NOTHING },
                { RECEIVER_CONNECTED, 0, 4, 1, 0, RECEIVER_SAYS_STALE },
                { RECEIVER_CONNECTED, 0, 40, 30, 0, RECEIVER_SAYS_NOTHING }, /* may still be in time */
                { RECEIVER_CONNECTED, 0, 90, 0, 0, RECEIVER_SAYS_NOTHING },  /* period not known */
                { RECEIVER_CONNECTING, 2003, 0, 1, 50, RECEIVER_SAYS_LOST },
                { RECEIVER_CONNECTING, 2013, 9, 1, 0, RECEIVER_SAYS_LOST },
                { RECEIVER_CONNECTING, 1040, 9, 1, 0, RECEIVER_SAYS_ERROR },
                { RECEIVER_CONNECTING, 1045, 9, 1, 50, RECEIVER_SAYS_NOTHING }, /* of before it died */
                { RECEIVER_CONNECTING, 0, 0, 1, 0, RECEIVER_SAYS_NOTHING },
                { RECEIVER_CONNECTING, 0, 9, 1, 0, RECEIVER_SAYS_STALE },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                ReplicaChannel channel = { .receiver = rows[i].receiver,
                                           .receiver_errno = rows[i].number,
                                           .last_activity = now - rows[i].quiet * USEC_SEC,
                                           .heartbeat_period = rows[i].period * USEC_SEC,
                                           .error_since = now - rows[i].error_age * USEC_SEC };
                assert_int_equal(suspicion_receiver(&channel, now, limit), rows[i].opinion);
        }
}

static void test_remaining(void **state)
{
        const PersistenceTimes times = { 1 * USEC_SEC, 2 * USEC_SEC, 3 * USEC_SEC };
        static const struct {
                Evidence own;
                const char *letters;
                usec_t expected;
        } rows[] = {
                { EVIDENCE_REFUSED, "g", 1 * USEC_SEC },
                { EVIDENCE_SILENT, "l", 2 * USEC_SEC },
                { EVIDENCE_FROZEN, "l", 3 * USEC_SEC },
                { EVIDENCE_SILENT, "lu", 6 * USEC_SEC },
                { EVIDENCE_ALIVE, "", 0 },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                Conclusion conclusion = judge(rows[i].own, false, rows[i].letters);
                usec_t expected = rows[i].expected;
                assert_true(suspicion_remaining(&conclusion, &times, 0) == expected);
                assert_true(suspicion_remaining(&conclusion, &times, expected) == 0);
                if (expected > 0)
                        assert_true(suspicion_remaining(&conclusion, &times, USEC_SEC) == expected - USEC_SEC);
        }
}

static void test_words(void **state)
{
        Witness witnesses[] = { { .name = "db2", .reachable = true, .tunnel = TUNNEL_SAYS_REFUSED },
                                { .name = "db3", .pending = true },
                                { .name = "db4", .pending = true },
                                { .name = "db5" } };
        Suspicion suspicion = { EVIDENCE_REFUSED, false, witnesses, ARRAY_LENGTH(witnesses) };
        CLEANUP(mem_free) char *text = suspicion_describe(&suspicion);
        assert_string_equal(text, "here: refused; db2 is refused; db3 is being asked; db4 is being asked; "
                                  "db5 cannot be asked");
        CLEANUP(mem_free) char *outstanding = suspicion_outstanding(&suspicion);
        assert_string_equal(outstanding, "db3, db4");
        __attribute__((cleanup(text_done_cleanup))) Text table = { 0 };
        verdict_print(&table);
        size_t n;
        const VerdictRow *rows = verdict_table(&n);
        for (size_t i = 0; i < n; i++)
                assert_non_null(strstr(table.data, rows[i].sentence));
        assert_null(strchr(table.data, '?'));
}

static void assert_held(const GuardInput *input, Guard guard, const char *word)
{
        GuardReasons reasons = guard_check(input);
        assert_int_equal(reasons.n_items, 1);
        assert_int_equal(reasons.items[0].guard, guard);
        assert_non_null(strstr(reasons.items[0].text, word));
        assert_string_not_equal(guard_to_string(guard), "?");
}

static void test_guards(void **state)
{
        const GuardInput none = { .cluster = "app1", .flap_window = 8 * USEC_HOUR, .storm_limit = 3, .hosts_lost = 2 };
        assert_int_equal(guard_check(&none).n_items, 0);
        GuardInput input = none;
        input.paused = true;
        input.pause_reason = "maintenance";
        assert_held(&input, GUARD_PAUSED, "maintenance: type 'mhactl resume app1'");
        input = none;
        input.monitor_only = true;
        assert_held(&input, GUARD_MONITOR, "mhactl failover app1");
        input = none;
        input.stalled = true;
        assert_held(&input, GUARD_STALL, "clock");
        input = none;
        input.hosts_lost = 3;
        assert_held(&input, GUARD_STORM, "on 3 hosts were lost together, which looks like the network");
        input.lost_names = "app1 db1, app2 db4, app3 db7";
        assert_held(&input, GUARD_STORM, "(app1 db1, app2 db4, app3 db7)");
        assert_held(&input, GUARD_STORM, "type 'mhactl failover app1'");
        input.storm_limit = 0;
        assert_int_equal(guard_check(&input).n_items, 0);
        input = none;
        input.problem = "Two servers are writable";
        assert_held(&input, GUARD_TOPOLOGY, "Two servers are writable: repair it");
        assert_null(strstr(guard_check(&input).items[0].text, "failover"));
        input.primary_known = true;
        assert_held(&input, GUARD_TOPOLOGY, "Two servers are writable: repair it, or type 'mhactl failover app1'");
        input = none;
        input.secondary = "check ended with status 2";
        assert_held(&input, GUARD_SECONDARY, "does not confirm that the primary is dead (check ended with status 2)");
        input = none;
        input.halted = true;
        assert_held(&input, GUARD_HALTED, "app1");
        input = none;
        input.unreachable = "db3";
        assert_held(&input, GUARD_UNREACHABLE, "mhactl server down app1 db3");
        input = none;
        input.no_candidate = "all are delayed";
        assert_held(&input, GUARD_NO_CANDIDATE, "all are delayed");
}

static void test_storm(void **state)
{
        const Loss losses[] = {
                { 100 * USEC_SEC, "10.0.0.1", "app1 db1" }, { 101 * USEC_SEC, "10.0.0.2", "app2 db1" },
                { 101 * USEC_SEC, "10.0.0.1", "app3 db1" }, { 110 * USEC_SEC, "10.0.0.3", "app4 db1" },
                { 111 * USEC_SEC, "10.0.0.4", "app5 db1" }, { 112 * USEC_SEC, "10.0.0.5", "app6 db1" },
        };
        CLEANUP(mem_free) char *names = NULL, *more = NULL;
        /* One host that dies with two primaries is one. */
        assert_int_equal(storm_count(losses, 3, 100 * USEC_SEC, &names), 2);
        assert_string_equal(names, "app1 db1, app2 db1, app3 db1");
        /* Together with the first: not the last two; with the fourth: all. However long ago that is. */
        assert_int_equal(storm_count(losses, 6, 100 * USEC_SEC, NULL), 3);
        assert_int_equal(storm_count(losses, 6, 110 * USEC_SEC, &more), 5);
        assert_string_equal(more, "app1 db1, app2 db1, app3 db1, app4 db1 and 2 more");
        assert_int_equal(storm_count(losses, 6, 200 * USEC_SEC, NULL), 0);
        assert_int_equal(storm_limit(0), 0);
        assert_int_equal(storm_limit(5), 0);
        assert_int_equal(storm_limit(6), 3);
        assert_int_equal(storm_limit(30), 11);
}

static void test_flap_window(void **state)
{
        GuardInput input = { .cluster = "app1", .flap_window = USEC_HOUR, .had_failover = true, .since_failover = 0 };
        assert_held(&input, GUARD_FLAP, "mhactl acknowledge app1");
        input.since_failover = USEC_HOUR - 1;
        assert_held(&input, GUARD_FLAP, "");
        input.acknowledged = true;
        assert_int_equal(guard_check(&input).n_items, 0);
        input.acknowledged = false;
        input.since_failover = USEC_HOUR;
        assert_int_equal(guard_check(&input).n_items, 0);
        input = (GuardInput){ .cluster = "app1", .flap_window = USEC_HOUR, .since_failover = 0 };
        assert_int_equal(guard_check(&input).n_items, 0);
}

static void test_all_guards_at_once(void **state)
{
        GuardInput input = { .cluster = "app1",
                             .paused = true,
                             .monitor_only = true,
                             .had_failover = true,
                             .flap_window = USEC_HOUR,
                             .hosts_lost = 9,
                             .storm_limit = 3,
                             .stalled = true,
                             .problem = "x",
                             .halted = true,
                             .unreachable = "y",
                             .no_candidate = "z",
                             .secondary = "w" };
        GuardReasons reasons = guard_check(&input);
        assert_int_equal(reasons.n_items, _GUARD_MAX);
}

static void test_names(void **state)
{
        for (int i = 0; i < _FINDING_MAX; i++)
                assert_int_equal(finding_from_string(finding_to_string((Finding) i)), i);
        for (int i = 0; i < _PERSISTENCE_MAX; i++)
                assert_string_not_equal(persistence_to_string((Persistence) i), "?");
        for (int i = 0; i < _CROWD_MAX; i++)
                assert_string_not_equal(crowd_to_string((Crowd) i), "?");
        for (int i = 0; i < _RECEIVER_OPINION_MAX; i++)
                assert_string_not_equal(receiver_opinion_to_string((ReceiverOpinion) i), "?");
        for (int i = 0; i < _TUNNEL_OPINION_MAX; i++)
                assert_string_not_equal(tunnel_opinion_to_string((TunnelOpinion) i), "?");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_alive),       cmocka_unit_test(test_stalled),
                cmocka_unit_test(test_suspect),     cmocka_unit_test(test_not_reachable_from_here),
                cmocka_unit_test(test_dead),        cmocka_unit_test(test_same_host),
                cmocka_unit_test(test_complete),    cmocka_unit_test(test_promises),
                cmocka_unit_test(test_voices),      cmocka_unit_test(test_receiver),
                cmocka_unit_test(test_remaining),   cmocka_unit_test(test_words),
                cmocka_unit_test(test_guards),      cmocka_unit_test(test_storm),
                cmocka_unit_test(test_flap_window), cmocka_unit_test(test_all_guards_at_once),
                cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
