/* The goals of the switchover, each as a function of facts and replies: what is judged, what an act says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "block.h"
#include "check.h"
#include "closing.h"
#include "events.h"
#include "handover.h"
#include "rejoin.h"
#include "hooks.h"
#include "status.h"
#include "switchover.h"
#include "text.h"
#include "tiers.h"
#include "virtual_address.h"

#define MARIADB "10.11.6-MariaDB"
#define MYSQL56 "5.6.24-log"
#define MYSQL84 "8.4.3"

static Json *parse(const char *text)
{
        Json *json = NULL;
        assert_int_equal(json_parse(text, strlen(text), &json, NULL), 0);
        return json;
}

static void learn(Facts *facts, const char *server, const char *text)
{
        CLEANUP(json_free) Json *json = parse(text);
        facts_learn(facts, server, json);
}

/* db1 hands over to db2; db3 stands by. */
static Facts fixture(const char *version, const char *mode)
{
        Facts facts = facts_new("app1", "r1", "switchover");
        for (int i = 1; i <= 3; i++) {
                char name[] = { 'd', 'b', (char) ('0' + i), '\0' };
                CLEANUP(mem_free)
                char *text = text_format(
                        "{\"name\":\"%s\",\"host\":\"%s\",\"port\":3306,\"version\":\"%s\",\"identified\":true,"
                        "\"log_bin\":true,\"log_slave_updates\":true,\"evidence\":\"alive\"}",
                        name, name, version);
                json_append_string(json_get_mutable(facts.root, "order"), name);
                learn(&facts, name, text);
                if (i > 1)
                        json_append_string(json_ensure_array(facts.root, "replicas"), name);
        }
        json_set_string(facts.root, "old_primary", "db1");
        json_set_string(facts.root, "candidate", "db2");
        json_set_string(facts.root, "mode", mode);
        return facts;
}

/* "a=1|b=x": one row; a value of "" is that, "NULL" is NULL. "-" or "!a|b": no row. */
static void set(Reply *reply, const char *text)
{
        const char *names[32], *cells[32];
        bool row = *text != '-' && *text != '!';
        char *copy = alloc_string(*text == '!' ? text + 1 : text), *save = NULL;
        size_t n = 0;
        reply->run = true;
        for (char *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
                char *equals = strchr(part, '=');
                if (equals)
                        *equals = '\0';
                names[n] = part;
                cells[n++] = equals && strcmp(equals + 1, "NULL") != 0 ? equals + 1 : NULL;
        }
        reply_set_columns(reply, n, names);
        if (row)
                reply_add_row(reply, cells);
        free(copy);
}

static Replies *replies_of(size_t n, const char *const *texts)
{
        Replies *replies = replies_new(n);
        for (size_t i = 0; i < n; i++)
                set(&replies->items[i], texts[i]);
        return replies;
}
#define REPLIES(...)                                                                                                   \
        replies_of(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), (const char *const[]){ __VA_ARGS__ })

#define TICK(read_only, gtid)                                                                                          \
        "read_only=" read_only "|super_read_only=" read_only "|gtid_executed=" gtid                                    \
        "|gtid_purged=|gtid_binlog_pos=" gtid "|gtid_slave_pos=" gtid "|gtid_current_pos=" gtid
#define BINLOG(offset) "File=binlog.000003|Position=" offset
#define REPLICA(source, receiver, applier, applied, lag)                                                               \
        "Connection_name=|Slave_IO_Running=" receiver "|Slave_SQL_Running=" applier "|Master_Host=" source             \
        "|Master_Port=3306|Master_User=repl|Master_Log_File=binlog.000003|Read_Master_Log_Pos=900|"                    \
        "Relay_Master_Log_File=binlog.000003|Exec_Master_Log_Pos=" applied "|Seconds_Behind_Master=" lag               \
        "|Last_SQL_Errno=0|Last_SQL_Error=|Last_IO_Errno=0|Using_Gtid=Slave_Pos|Gtid_IO_Pos=0-1-90"

static void expect(const Facts *facts, step_judge_fn fn, const char *server, Replies *replies, Verdict verdict,
                   const char *why)
{
        Judgement judgement = { 0 };
        fn(facts, server, replies, &judgement);
        if (judgement.verdict != verdict || !strstr(judgement.why, why))
                fail_msg("%s: %s, wanted %s: %s", verdict_to_string(judgement.verdict), judgement.why,
                         verdict_to_string(verdict), why);
        json_free(judgement.learned);
        replies_free(replies);
}

static void take(Facts *facts, step_judge_fn fn, const char *server, Replies *replies)
{
        Judgement judgement = { 0 };
        fn(facts, server, replies, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        facts_learn(facts, server, judgement.learned);
        json_free(judgement.learned);
        replies_free(replies);
}

static void expect_act(const Facts *facts, step_act_fn fn, const char *server, Replies *seen, const char *wanted,
                       const char *unwanted)
{
        CLEANUP(script_done) Script script = { 0 };
        fn(facts, server, seen, &script);
        CLEANUP(json_free) Json *json = script_to_json(&script);
        CLEANUP(mem_free) char *text = json_print(json);
        if (wanted ? !strstr(text, wanted) : !script_is_empty(&script))
                fail_msg("%s does not say %s", text, wanted ? wanted : "nothing");
        if (unwanted && strstr(text, unwanted))
                fail_msg("%s says %s", text, unwanted);
        replies_free(seen);
}

static void test_table(void **state)
{
        Failure failure = { 0 };
        if (procedure_check(&switchover, &failure) < 0)
                fail_msg("%s", failure.text);
        bool acted = false, open = false;
        for (size_t i = 0; i < switchover.n_steps; i++) {
                const Step *step = &switchover.steps[i];
                acted = acted || step->act;
                open = open || text_equal(step->name, switchover.no_return);
                assert_false(step->check && acted);
                assert_false(step->burst && open);
        }
}

static void test_replicas(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        step_judge_fn fn = judge_replica_fit;
        expect(&facts, fn, "db2", REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "Yes", "Yes", "900", "0"), BINLOG("4")),
               VERDICT_MET, "0 s behind");
        expect(&facts, fn, "db2", REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "Yes", "Yes", "900", "31"), BINLOG("4")),
               VERDICT_HOPELESS, "31 s behind");
        expect(&facts, fn, "db2", REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "Yes", "No", "900", "NULL"), BINLOG("4")),
               VERDICT_HOPELESS, "its applier is stopped");
        expect(&facts, fn, "db2", REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "No", "Yes", "900", "NULL"), BINLOG("4")),
               VERDICT_HOPELESS, "its receiver is stopped");
        expect(&facts, fn, "db2",
               REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "Connecting", "Yes", "900", "NULL"), BINLOG("4")),
               VERDICT_UNMET, "its receiver is");
        expect(&facts, fn, "db2", REPLIES(TICK("1", "0-1-9"), "-", BINLOG("4")), VERDICT_UNMET, "");
}

static void test_primary(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        step_judge_fn fn = judge_primary_fit;
#define PRIMARY(read_only, update, transaction)                                                                        \
        REPLIES(TICK(read_only, "0-1-9"), "!Slave_IO_Running|Slave_SQL_Running|Master_Host", BINLOG("4"), update,      \
                transaction)
        expect(&facts, fn, "db1", PRIMARY("0", "-", "-"), VERDICT_MET, "it takes writes");
        expect(&facts, fn, "db1", PRIMARY("0", "id=7|user=app|time=5|text=UPDATE t", "-"), VERDICT_HOPELESS,
               "session 7 of app, for 5 s: UPDATE t");
        expect(&facts, fn, "db1", PRIMARY("0", "-", "id=8|time=6"), VERDICT_HOPELESS, "that of session 8, for 6 s");
        expect(&facts, fn, "db1", PRIMARY("1", "-", "-"), VERDICT_HOPELESS, "read-only");
        CLEANUP(script_done) Script script = { 0 };
        ask_primary_fit(&facts, "db1", &script);
        assert_non_null(strstr(script.items[3].text, "NOT LIKE 'select%'"));
        assert_non_null(strstr(script.items[3].text, "<> USER()"));
        assert_null(strstr(script.items[4].text, "NOW()"));
        CLEANUP(facts_done) Facts old = fixture(MYSQL56, "position");
        CLEANUP(script_done) Script its = { 0 };
        ask_primary_fit(&old, "db1", &its);
        assert_null(strstr(its.items[3].text, "NOT LIKE 'select%'"));
        expect(&old, fn, "db1", PRIMARY("0", "id=7|user=app|time=5|text=SELECT 1", "-"), VERDICT_HOPELESS,
               "1 statement that the write block would wait for");
}

static void test_candidate(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        learn(&facts, NULL, "{\"config\":{\"switchover\":{\"running_seconds_limit_ms\":7000}}}");
        CLEANUP(script_done) Script script = { 0 };
        ask_candidate_fit(&facts, "db2", &script);
        assert_non_null(strstr(script.items[0].text, "time > 7"));
        assert_null(strstr(script.items[0].text, "NOT LIKE 'select%'")); /* one that reads counts, too */
        expect(&facts, judge_candidate_fit, "db2", REPLIES("-"), VERDICT_MET, "nothing long runs on it");
        expect(&facts, judge_candidate_fit, "db2", REPLIES("id=7|user=report|time=11|text=SELECT SLEEP(60)"),
               VERDICT_HOPELESS, "session 7 of report, for 11 s: SELECT SLEEP(60)");
        learn(&facts, "db3", "{\"gtid_slave_pos\":\"0-1-9\",\"gtid_executed\":\"0-1-9\"}");
        expect(&facts, judge_candidate_fit, "db2", REPLIES("-", "purged="), VERDICT_MET, "nothing long");
        expect(&facts, judge_candidate_fit, "db2", REPLIES("-", "purged=0-1-9"), VERDICT_MET, "nothing long");
        expect(&facts, judge_candidate_fit, "db2", REPLIES("-", "purged=0-1-10"), VERDICT_HOPELESS,
               "which db2 has in no binary log any more");
        assert_false(skip_first_log(&facts));
        take(&facts, judge_first_log, "db2", REPLIES("Log_name=binlog.000007|File_size=9"));
        CLEANUP(script_done) Script more = { 0 };
        ask_candidate_fit(&facts, "db2", &more);
        assert_string_equal(more.items[1].text, "SELECT BINLOG_GTID_POS('binlog.000007', 4) AS purged");
}

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"

static void expect_successor(const Facts *facts, Verdict verdict, const char *why)
{
        Judgement judgement = { 0 };
        decide_successor(facts, &judgement);
        if (judgement.verdict != verdict || !strstr(judgement.why, why))
                fail_msg("%s: %s, wanted %s: %s", verdict_to_string(judgement.verdict), judgement.why,
                         verdict_to_string(verdict), why);
        if (verdict == VERDICT_MET)
                assert_string_equal(json_get_string(judgement.learned, "candidate"), "db2");
        json_free(judgement.learned);
}

/* Whom a switchover chooses, and that the others find in its binary log what they lack. */
static void test_successor(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MYSQL84, "mysql_gtid");
        for (int i = 1; i <= 3; i++) {
                char name[] = { 'd', 'b', (char) ('0' + i), '\0' };
                CLEANUP(mem_free)
                char *text = text_format("{\"gtid_mode\":true,\"gtid_executed\":\"" UUID ":1-%d\",\"read_only\":%s}",
                                         i == 3 ? 40 : 50, i == 1 ? "false" : "true");
                learn(&facts, name, text);
                CLEANUP(json_free)
                Json *channels = parse("{\"channels\":[{\"name\":\"\",\"source_host\":\"db1\",\"source_port\":3306,"
                                       "\"receiver\":\"connected\",\"applier_running\":true,\"mode\":\"auto\","
                                       "\"received\":\"binlog.000003:900\",\"applied\":\"binlog.000003:900\"}]}");
                if (i > 1)
                        facts_learn(&facts, name, channels);
        }
        learn(&facts, "db2", "{\"promotion\":\"prefer\",\"gtid_purged\":\"" UUID ":1-40\"}");
        expect_successor(&facts, VERDICT_MET, "db2");
        learn(&facts, "db2", "{\"gtid_purged\":\"" UUID ":1-41\"}");
        expect_successor(&facts, VERDICT_HOPELESS, "db3 lacks ");
        expect_successor(&facts, VERDICT_HOPELESS, "which db2 has in no binary log any more");
        learn(&facts, "db2", "{\"gtid_purged\":\"\",\"log_bin\":false}");
        learn(&facts, "db3", "{\"promotion\":\"never\"}");
        expect_successor(&facts, VERDICT_HOPELESS, "db2: it writes no binary log; db3: ");
        json_set(facts.root, "replicas", json_array());
        expect_successor(&facts, VERDICT_HOPELESS, "no living replica");
}

static void test_errant(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        assert_false(skip_errant(&facts));
        learn(&facts, "db3",
              "{\"gtid_slave_pos\":\"0-1-9\",\"gtid_executed\":\"0-3-10\",\"gtid_binlog_pos\":\"0-3-10\"}");
        expect(&facts, judge_errant, "db1", REPLIES(TICK("0", "0-1-9")), VERDICT_HOPELESS, "db3 has transactions");
        expect(&facts, judge_errant, "db1", REPLIES(TICK("0", "0-1-10")), VERDICT_MET, "no replica");
        json_set_string(facts.root, "mode", "position");
        assert_true(skip_errant(&facts));
}

static void test_block_with_a_lock(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        step_judge_fn fn = judge_blocked;
        expect(&facts, fn, "db1", REPLIES("held=NULL|now=5|last_session=9", TICK("0", "0-1-9"), BINLOG("4"), "-"),
               VERDICT_UNMET, "it takes writes");
        expect(&facts, fn, "db1", REPLIES("held=NULL|now=5|last_session=9", TICK("1", "0-1-9"), BINLOG("4"), "-"),
               VERDICT_UNMET, "the lock that binds privileged accounts is not held");
        expect(&facts, fn, "db1", REPLIES("held=r0|now=5|last_session=9", TICK("1", "0-1-9"), BINLOG("4"), "-"),
               VERDICT_UNMET, "is not held");
        expect(&facts, fn, "db1", REPLIES("held=r1|now=5|last_session=9", TICK("1", "0-1-9"), BINLOG("4"), "-"),
               VERDICT_MET, "its log ends at binlog.000003:4");
        expect_act(&facts, act_block, "db1", replies_new(0), "FLUSH TABLES WITH READ LOCK", "KILL");
        const char *blocker = "id=77|user=app|command=Query|time=1", *idle = "id=78|user=app|command=Sleep|time=9";
        expect_act(&facts, act_block, "db1", REPLIES("held=NULL|tried=NULL", TICK("1", ""), BINLOG("4"), blocker),
                   "read_only = ON", "KILL");
        expect_act(&facts, act_block, "db1", REPLIES("held=NULL|tried=r1", TICK("1", ""), BINLOG("4"), blocker),
                   "KILL 77", NULL);
        expect(&facts, fn, "db1", REPLIES("held=NULL|tried=r1", TICK("0", ""), BINLOG("4"), idle), VERDICT_UNMET,
               "it takes writes; in the way may be session 78 of app (Sleep for 9 s)");
        expect_act(&facts, act_block, "db1", REPLIES("held=NULL|tried=r1", TICK("0", ""), BINLOG("4"), idle), "KILL 78",
                   NULL);
        learn(&facts, NULL, "{\"config\":{\"switchover\":{\"kill_sessions\":\"after-grace\"}}}");
        expect_act(&facts, act_block, "db1", REPLIES("held=NULL|tried=r1", TICK("0", ""), BINLOG("4"), idle),
                   "FLUSH TABLES", "KILL");
        expect_act(&facts, act_block, "db1", REPLIES("held=NULL|tried=r1", TICK("0", ""), BINLOG("4"), blocker),
                   "KILL 77", NULL);
        learn(&facts, NULL, "{\"config\":{\"switchover\":{\"kill_sessions\":\"none\"}}}");
        expect_act(&facts, act_block, "db1", REPLIES("held=NULL|tried=r1", TICK("1", ""), BINLOG("4"), blocker),
                   "FLUSH TABLES", "KILL");
        learn(&facts, "db1", "{\"end_position\":\"binlog.000003:4\"}");
        fn = judge_still_blocked;
        expect(&facts, fn, "db1", REPLIES("held=r1", TICK("1", "0-1-9"), BINLOG("4"), "-"), VERDICT_MET, "nobody");
        expect(&facts, fn, "db1", REPLIES("held=r1", TICK("1", "0-1-9"), BINLOG("5"), "-"), VERDICT_HOPELESS,
               "somebody has written");
        expect(&facts, fn, "db1", REPLIES("held=NULL", TICK("1", "0-1-9"), BINLOG("4"), "-"), VERDICT_HOPELESS,
               "not held");
}

/* A connection that was lost, and its server does not know: the session is ended by whoever finds it. */
static void test_lock_of_a_lost_connection(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        const char *writable = TICK("0", "0-1-9"), *closed = TICK("1", "0-1-9");
        const char *ours = "held=r1|holder=5|own=5", *left = "held=NULL|holder=5|own=6", *none = "holder=NULL|own=6";
        CLEANUP(script_done) Script script = { 0 };
        ask_blocked(&facts, "db1", &script);
        assert_non_null(strstr(script.items[0].text, "IS_USED_LOCK('mhad-r1') AS holder, CONNECTION_ID() AS own"));
        expect_act(&facts, act_block, "db1", replies_new(0), "DO GET_LOCK('mhad-r1', 1)", "KILL");
        expect(&facts, judge_blocked, "db1", REPLIES(ours, closed, BINLOG("4"), "-"), VERDICT_MET, "nobody writes");
        expect(&facts, judge_blocked, "db1", REPLIES(left, closed, BINLOG("4"), "-"), VERDICT_UNMET, "by session 5");
        expect_act(&facts, act_block, "db1", REPLIES(left, closed, BINLOG("4"), "-"), "KILL 5", NULL);

        expect(&facts, judge_unblocked, "db1", REPLIES(none, writable, BINLOG("4"), "-"), VERDICT_MET, "takes writes");
        expect(&facts, judge_unblocked, "db1", REPLIES("held=NULL|holder=6|own=6", writable, BINLOG("4"), "-"),
               VERDICT_MET, "takes writes");
        expect(&facts, judge_unblocked, "db1", REPLIES(left, writable, BINLOG("4"), "-"), VERDICT_UNMET,
               "its tables may be locked by session 5 of a lost connection");
        expect_act(&facts, act_unblock, "db1", REPLIES(left, writable, BINLOG("4"), "-"), "KILL 5", NULL);
        expect_act(&facts, act_unblock, "db1", REPLIES(ours, writable, BINLOG("4"), "-"), "UNLOCK", "KILL");

        expect(&facts, judge_unlocked, "db1", REPLIES(left, "-"), VERDICT_UNMET, "session 5");
        expect_act(&facts, act_unlock, "db1", REPLIES(left, "-"), "KILL 5", NULL);
        expect_act(&facts, act_unlock, "db1", REPLIES(ours, "-"), "RELEASE_LOCK", "KILL");
}

/* Where a session that ends is logged, the end of the log counts when all have ended. */
static void test_sessions_end_before_the_end(void **state)
{
        static const char *const versions[] = { MYSQL56, MYSQL84 };
        const char *client = "id=77|user=app|command=Sleep|time=9", *tick = TICK("1", "");
        for (size_t i = 0; i < 2; i++) {
                CLEANUP(facts_done) Facts facts = fixture(versions[i], "position");
                step_judge_fn fn = judge_clients_ended;
                assert_false(skip_end_clients(&facts));
                CLEANUP(script_done) Script script = { 0 };
                ask_blocked(&facts, "db1", &script);
                assert_non_null(strstr(script.items[0].text, "Threads_connected"));
                assert_non_null(strstr(script.items[0].text, "command <> 'Killed') AS ending"));
                expect(&facts, fn, "db1", REPLIES("held=r1|ended=NULL|ending=0", tick, BINLOG("4"), client),
                       VERDICT_UNMET, "1 client session is left");
                expect_act(&facts, act_end_clients, "db1",
                           REPLIES("held=r1|ended=NULL|ending=0", tick, BINLOG("4"), client), "KILL 77", "FLUSH");
                expect(&facts, fn, "db1", REPLIES("held=r1|ended=3|ending=1", tick, BINLOG("4"), "-"), VERDICT_UNMET,
                       "1 session is ending");
                expect(&facts, fn, "db1", REPLIES("held=r1|ended=NULL|ending=1", tick, BINLOG("4"), "-"), VERDICT_UNMET,
                       "1 session is ending");
                expect(&facts, fn, "db1", REPLIES("held=r1|ended=NULL|ending=0", TICK("0", ""), BINLOG("4"), "-"),
                       VERDICT_HOPELESS, "it takes writes");
                expect(&facts, fn, "db1", REPLIES("held=r1|ended=500|ending=1", tick, BINLOG("5"), "-"), VERDICT_MET,
                       "binlog.000003:5");
                take(&facts, fn, "db1", REPLIES("held=r1|ended=3|ending=0", tick, BINLOG("6"), client));
                assert_string_equal(facts_server_string(&facts, "db1", "end_position"), "binlog.000003:6");
                learn(&facts, NULL, "{\"config\":{\"switchover\":{\"kill_sessions\":\"none\"}}}");
                assert_true(skip_end_clients(&facts));
        }
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        assert_true(skip_end_clients(&facts));
}

static void test_block_without_a_lock(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MYSQL84, "mysql_gtid");
        assert_true(skip_unlock(&facts));
        expect(&facts, judge_blocked, "db1", REPLIES("held=NULL|now=5|last_session=9", TICK("1", ""), BINLOG("4"), "-"),
               VERDICT_MET, "nobody writes");
        expect_act(&facts, act_block, "db1", replies_new(0), "super_read_only = ON", "FLUSH");
        expect_act(&facts, act_unblock, "db1", replies_new(0), "read_only = OFF", "UNLOCK");
        CLEANUP(facts_done) Facts old = fixture(MYSQL56, "position");
        assert_false(skip_unlock(&old));
        expect_act(&old, act_unblock, "db1", replies_new(0), "UNLOCK TABLES", "super");
}

static void test_reached_end(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        CLEANUP(script_done) Script script = { 0 };
        ask_reached_end(&facts, "db2", &script);
        assert_true(script_is_empty(&script));
        expect(&facts, judge_reached_end, "db2", replies_new(0), VERDICT_UNMET, "known when");
        learn(&facts, "db1", "{\"end_position\":\"binlog.000003:900\"}");
        ask_reached_end(&facts, "db2", &script);
        assert_non_null(strstr(script.items[0].text, "MASTER_POS_WAIT('binlog.000003', 900"));
        expect(&facts, judge_reached_end, "db2",
               REPLIES("result=-1", TICK("1", ""), REPLICA("db1", "Yes", "Yes", "900", "0"), BINLOG("4")),
               VERDICT_UNMET, "not applied everything");
        expect(&facts, judge_reached_end, "db2",
               REPLIES("result=NULL", TICK("1", ""), REPLICA("db1", "Yes", "No", "900", "0"), BINLOG("4")),
               VERDICT_UNMET, "its applier does not run");
        expect(&facts, judge_reached_end, "db2",
               REPLIES("result=0", TICK("1", ""), REPLICA("db1", "Yes", "Yes", "900", "0"), BINLOG("4")), VERDICT_MET,
               "binlog.000003:4");
}

static void test_sessions(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        learn(&facts, "db1", "{\"blocked_at\":100,\"last_session\":9}");
        assert_false(skip_end_sessions(&facts));
        assert_true(skip_end_late_sessions(&facts));
        expect(&facts, judge_sessions_ended, "db1", REPLIES("now=100", "-"), VERDICT_MET, "no client");
        expect(&facts, judge_sessions_ended, "db1", REPLIES("now=100", "id=8"), VERDICT_UNMET,
               "1 client session is left");
        expect_act(&facts, act_end_sessions, "db1", REPLIES("now=100", "id=8"), "KILL 8", NULL);
        learn(&facts, NULL, "{\"config\":{\"switchover\":{\"kill_sessions\":\"after-grace\",\"kill_grace_ms\":3000}}}");
        assert_true(skip_end_sessions(&facts));
        assert_false(skip_end_late_sessions(&facts));
        expect_act(&facts, act_end_sessions, "db1", REPLIES("now=102", "id=8"), NULL, NULL);
        expect_act(&facts, act_end_sessions, "db1", REPLIES("now=103", "id=8"), "KILL 8", NULL);
        learn(&facts, NULL, "{\"config\":{\"switchover\":{\"kill_sessions\":\"none\"}}}");
        assert_true(skip_end_sessions(&facts) && skip_end_late_sessions(&facts));
        expect_act(&facts, act_unlock, "db1", REPLIES("held=r1", "id=5"), "KILL 5", NULL);
        expect(&facts, judge_unlocked, "db1", REPLIES("held=r1", "-"), VERDICT_UNMET, "held");
        expect(&facts, judge_unlocked, "db1", REPLIES("held=NULL", "-"), VERDICT_MET, "no lock");
}

static void test_premove(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        assert_false(skip_premove(&facts));
        learn(&facts, "db1", "{\"semi_sync_active\":true,\"semi_sync_wait_count\":1}");
        assert_true(skip_premove(&facts)); /* the candidate acknowledges nothing */
        learn(&facts, "db2", "{\"semi_sync_replica_enabled\":true}");
        assert_false(skip_premove(&facts));
        learn(&facts, "db1", "{\"semi_sync_wait_count\":2}");
        assert_true(skip_premove(&facts));
        CLEANUP(facts_done) Facts position = fixture(MARIADB, "position");
        assert_true(skip_premove(&position));
        const char *direct = REPLICA("db1", "Yes", "Yes", "900", "0"),
                   *moved = REPLICA("db2", "Yes", "Yes", "900", "0");
        const char *stopped = REPLICA("db2", "No", "Yes", "900", "0");
        expect(&facts, judge_premoved, "db3", REPLIES(TICK("1", ""), direct, BINLOG("4")), VERDICT_UNMET, "directly");
        expect(&facts, judge_premoved, "db3", REPLIES(TICK("1", ""), moved, BINLOG("4")), VERDICT_MET, "follows db2");
        expect(&facts, judge_premoved, "db3", REPLIES(TICK("1", ""), stopped, BINLOG("4")), VERDICT_UNMET, "stopped");
        expect_act(&facts, act_premove, "db3", REPLIES(TICK("1", ""), direct, BINLOG("4")), "MASTER_HOST = 'db2'",
                   NULL);
        expect_act(&facts, act_premove, "db3", REPLIES(TICK("1", ""), stopped, BINLOG("4")), "START SLAVE", "CHANGE");
}

static void test_near(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "gtid");
        learn(&facts, "db1", "{\"sample_gtid\":\"0-1-90\"}");
        assert_true(skip_nearer(&facts));
        Replies *replies = REPLIES("result=0");
        Judgement judgement = { 0 };
        replies->items[0].took = 20 * USEC_MSEC;
        judge_caught_up(&facts, "db2", replies, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_int_equal(json_get_int(judgement.learned, "behind_us", 0), 20000);
        facts_learn(&facts, "db2", judgement.learned);
        assert_false(skip_nearer(&facts));
        learn(&facts, "db2", "{\"behind_us\":900}");
        assert_true(skip_nearer(&facts));
        expect(&facts, judge_caught_up, "db2", REPLIES("result=-1"), VERDICT_UNMET, "not applied everything");
        expect(&facts, judge_nearer, "db2", REPLIES("result=NULL"), VERDICT_UNMET, "does not run");
        expect(&facts, judge_nearer, "db2", REPLIES("result=-1"), VERDICT_MET, "more than a second behind");
        learn(&facts, "db2", "{\"behind_us\":1000000}");
        assert_true(skip_nearer(&facts));
        json_free(judgement.learned);
        replies_free(replies);
}

static void test_follow_on(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        learn(&facts, "db1", "{\"end_position\":\"binlog.000003:900\"}");
        learn(&facts, "db2", "{\"open_position\":\"binlog.000001:55\"}");
        const char *behind = REPLICA("db1", "Yes", "Yes", "500", "0"),
                   *level = REPLICA("db1", "Yes", "Yes", "900", "0");
        expect(&facts, judge_follows_on, "db3", REPLIES(TICK("1", ""), behind, BINLOG("4")), VERDICT_UNMET, "500");
        expect_act(&facts, act_follow_on, "db3", REPLIES(TICK("1", ""), behind, BINLOG("4")), NULL, NULL);
        expect_act(&facts, act_follow_on, "db3", REPLIES(TICK("1", ""), level, BINLOG("4")), "MASTER_LOG_POS = 55",
                   NULL);
        expect(&facts, judge_follows_on, "db3",
               REPLIES(TICK("1", ""), REPLICA("db2", "Yes", "Yes", "55", "0"), BINLOG("4")), VERDICT_MET,
               "follows db2");
}

/* db4 follows db3, which follows db1. */
static void test_tiers(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        assert_true(skip_tier_end(&facts));
        learn(&facts, NULL, "{\"sub_replicas\":[\"db4\"]}");
        learn(&facts, "db3", "{\"follows\":\"db1\"}");
        learn(&facts, "db4", "{\"follows\":\"db3\",\"host\":\"db4\",\"port\":3306,\"version\":\"" MARIADB "\"}");
        assert_false(skip_tier_end(&facts));
        learn(&facts, "db1", "{\"end_position\":\"binlog.000003:900\"}");
        learn(&facts, "db2", "{\"open_position\":\"binlog.000001:55\"}");
        const char *behind = REPLICA("db1", "Yes", "Yes", "500", "0"),
                   *level = REPLICA("db1", "Yes", "Yes", "900", "0");
        const char *below = REPLICA("db3", "Yes", "Yes", "700", "0"),
                   *stopped = REPLICA("db1", "Yes", "No", "500", "0");
        expect(&facts, judge_tier_end, "db3", REPLIES(TICK("1", ""), behind, BINLOG("600")), VERDICT_UNMET,
               "not applied");
        expect(&facts, judge_tier_end, "db3", REPLIES(TICK("1", ""), stopped, BINLOG("600")), VERDICT_HOPELESS, "");
        /* Where db4 would have to begin is not known as long as db3 is not at the end. */
        expect(&facts, judge_tier_end, "db4", REPLIES(TICK("1", ""), below, BINLOG("40")), VERDICT_UNMET, "");
        expect(&facts, judge_raised, "db4", REPLIES(TICK("1", ""), below, BINLOG("40")), VERDICT_HOPELESS, "db3");
        take(&facts, judge_tier_end, "db3", REPLIES(TICK("1", ""), level, BINLOG("700")));
        expect_act(&facts, act_raise, "db4",
                   REPLIES(TICK("1", ""), REPLICA("db3", "Yes", "Yes", "699", "0"), BINLOG("40")), NULL, NULL);
        expect(&facts, judge_raised, "db4", REPLIES(TICK("1", ""), below, BINLOG("40")), VERDICT_UNMET, "follows db3");
        expect_act(&facts, act_raise, "db4", REPLIES(TICK("1", ""), below, BINLOG("40")), "MASTER_LOG_POS = 55", NULL);
        expect(&facts, judge_raised, "db4",
               REPLIES(TICK("1", ""), REPLICA("db2", "Yes", "Yes", "55", "0"), BINLOG("40")), VERDICT_MET, "db2");
        json_set_string(facts.root, "mode", "mariadb_gtid");
        assert_true(skip_tier_end(&facts));
        expect_act(&facts, act_raise, "db4", REPLIES(TICK("1", ""), behind, BINLOG("40")),
                   "MASTER_USE_GTID = slave_pos", NULL);
}

static void test_circle(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        assert_true(skip_circle(&facts));
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        Replies *replies = REPLIES(REPLICA("db2", "Yes", "Yes", "900", "0"));
        assert_int_equal(version_parse(MARIADB, &view->version, NULL), 0);
        assert_int_equal(observation_read_replica(view, &replies->items[0], 0, NULL), 0);
        replies_free(replies);
        CLEANUP(json_free) Json *read = server_view_to_json(view);
        Json *channels = json_object();
        json_set(channels, "channels", json_copy(json_get(read, "channels")));
        facts_learn(&facts, "db1", channels);
        json_free(channels);
        assert_false(skip_circle(&facts));
        assert_true(skip_circle_undo(&facts));
        json_set_bool(facts.root, "approved", true);
        assert_false(skip_circle_undo(&facts));
        const char *runs = REPLICA("db2", "Yes", "Yes", "900", "0"), *stopped = REPLICA("db2", "No", "Yes", "900", "0");
        expect(&facts, judge_circle_open, "db1", REPLIES(TICK("0", ""), runs, BINLOG("4")), VERDICT_UNMET, "");
        expect_act(&facts, act_circle_open, "db1", replies_new(0), "STOP SLAVE IO_THREAD", NULL);
        expect(&facts, judge_circle_open, "db1", REPLIES(TICK("0", ""), stopped, BINLOG("4")), VERDICT_MET, "");
        expect(&facts, judge_circle_closed, "db1", REPLIES(TICK("0", ""), stopped, BINLOG("4")), VERDICT_UNMET, "");
        expect_act(&facts, act_circle_close, "db1", replies_new(0), "START SLAVE IO_THREAD", NULL);
        expect(&facts, judge_demoted, "db1", REPLIES(TICK("1", ""), stopped, BINLOG("4")), VERDICT_UNMET, "stopped");
        expect_act(&facts, act_demote, "db1", REPLIES(TICK("1", ""), stopped, BINLOG("4")), "START SLAVE", "CHANGE");
}

static Replies *demotion(const char *gtid, const char *offset)
{
        CLEANUP(mem_free)
        char *tick = text_format("read_only=1|gtid_binlog_pos=%s|gtid_slave_pos=|gtid_current_pos=%s", gtid, gtid);
        CLEANUP(mem_free) char *binlog = text_format("File=binlog.000003|Position=%s", offset);
        return REPLIES(tick, "!Slave_IO_Running|Slave_SQL_Running|Master_Host", binlog);
}

static void test_demote(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        learn(&facts, "db1", "{\"end_position\":\"binlog.000003:900\",\"end_gtid\":\"0-1-9\"}");
        learn(&facts, "db2", "{\"open_position\":\"binlog.000001:55\"}");
        assert_false(skip_demote(&facts));
        expect(&facts, judge_demoted, "db1", demotion("0-1-9", "900"), VERDICT_UNMET, "follows nobody");
        expect(&facts, judge_demoted, "db1", demotion("0-1-10", "990"), VERDICT_HOPELESS, "written after the end");
        expect_act(&facts, act_demote, "db1", demotion("0-1-9", "900"), "gtid_slave_pos = '0-1-9'", NULL);
        json_set_string(facts.root, "mode", "position");
        expect(&facts, judge_demoted, "db1", demotion("", "990"), VERDICT_HOPELESS, "binlog.000003:900");
        expect_act(&facts, act_demote, "db1", demotion("", "900"), "MASTER_LOG_POS = 55", "gtid_slave_pos");
        expect_act(&facts, act_demote, "db1", demotion("", "900"), "MASTER_LOG_POS = 55", "semi_sync");
        /* One that rejoins goes by what the primary does now. */
        learn(&facts, NULL, "{\"procedure\":\"rejoin\"}");
        learn(&facts, "db1", "{\"semi_sync_installed\":true}");
        learn(&facts, "db2", "{\"semi_sync_source_enabled\":true}");
        expect_act(&facts, act_demote, "db1", demotion("", "900"), "rpl_semi_sync_slave_enabled", NULL);
        json_set_bool(facts.root, "no_demote", true);
        assert_true(skip_demote(&facts));
}

#define EVENT(name, status, once, due)                                                                                 \
        "scheduler=ON|may_see=1|schema=app|name=" name                                                                 \
        "|definer=o`x@10.%|client=latin1|collation=latin1_german2_ci|status=" status "|once=" once "|due=" due
#define NO_EVENT(scheduler) "scheduler=" scheduler "|may_see=1|name=NULL"

static void test_events(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        take(&facts, judge_events_known, "db1", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")));
        take(&facts, judge_events_possible, "db2", REPLIES(NO_EVENT("OFF")));
        expect(&facts, judge_events_possible, "db2", REPLIES(NO_EVENT("DISABLED")), VERDICT_HOPELESS, "DISABLED");
        expect(&facts, judge_events_rest, "db1", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")), VERDICT_UNMET,
               "app.tick");
        expect_act(&facts, act_events_rest, "db1", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")),
                   "ALTER DEFINER = `o``x`@`10.%` EVENT `app`.`tick` DISABLE ON SLAVE", NULL);
        expect_act(&facts, act_events_rest, "db1", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")),
                   "SET SESSION character_set_client = 'latin1', collation_connection = 'latin1_german2_ci'", NULL);
        expect_act(&facts, act_events_rest, "db1", REPLIES(EVENT("tick", "DISABLED", "0", "NULL")), NULL, NULL);
        /* A name that is not readable in the body's character set, or that would be a placeholder. */
        expect_act(&facts, act_events_rest, "db1", REPLIES(EVENT("t\303\244t", "ENABLED", "0", "NULL")), "sql_log_bin",
                   "ALTER");
        expect_act(&facts, act_events_rest, "db1", REPLIES(EVENT("${replication_password}", "ENABLED", "0", "NULL")),
                   "sql_log_bin", "ALTER");
        expect(&facts, judge_events_back, "db1", REPLIES(EVENT("tick", "SLAVESIDE_DISABLED", "0", "NULL")),
               VERDICT_UNMET, "app.tick");
        expect_act(&facts, act_events_back, "db1", REPLIES(EVENT("tick", "SLAVESIDE_DISABLED", "0", "NULL")),
                   "`tick` ENABLE", NULL);
        take(&facts, judge_events_rest, "db1", REPLIES(EVENT("tick", "SLAVESIDE_DISABLED", "0", "NULL")));

        expect(&facts, judge_events_run, "db2", REPLIES(EVENT("tick", "SLAVESIDE_DISABLED", "0", "NULL")),
               VERDICT_UNMET, "app.tick");
        expect_act(&facts, act_events_run, "db2", REPLIES(EVENT("tick", "SLAVESIDE_DISABLED", "0", "NULL")),
                   "`tick` ENABLE", NULL);
        expect_act(&facts, act_events_run, "db2", REPLIES(EVENT("other", "SLAVESIDE_DISABLED", "0", "NULL")), NULL,
                   NULL);
        expect(&facts, judge_events_run, "db2", REPLIES(NO_EVENT("ON")), VERDICT_HOPELESS, "does not have");
        expect(&facts, judge_events_run, "db2", REPLIES(NO_EVENT("OFF")), VERDICT_UNMET, "scheduler is OFF");
        expect_act(&facts, act_events_run, "db2", REPLIES(NO_EVENT("OFF")), "event_scheduler = ON", NULL);
        expect(&facts, judge_events_run, "db2", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")), VERDICT_MET, "1 event");
        assert_false(skip_scheduler(&facts));
        expect_act(&facts, act_scheduler, "db1", REPLIES(NO_EVENT("ON")), "event_scheduler = OFF", NULL);
        expect(&facts, judge_scheduler, "db1", REPLIES(NO_EVENT("OFF")), VERDICT_MET, "OFF");
}

static void test_events_that_rested(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MYSQL84, "mysql_gtid");
        take(&facts, judge_events_known, "db1", REPLIES(EVENT("tick", "REPLICA_SIDE_DISABLED", "0", "NULL")));
        take(&facts, judge_events_rest, "db1", REPLIES(EVENT("tick", "REPLICA_SIDE_DISABLED", "0", "NULL")));
        expect(&facts, judge_events_back, "db1", REPLIES(EVENT("tick", "REPLICA_SIDE_DISABLED", "0", "NULL")),
               VERDICT_MET, "as they were");
        expect_act(&facts, act_events_run, "db2", REPLIES(EVENT("tick", "REPLICA_SIDE_DISABLED", "0", "NULL")), NULL,
                   NULL);
        expect_act(&facts, act_events_rest, "db1", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")), "DISABLE ON REPLICA",
                   NULL);
}

/* super_read_only forbids to alter one: only that is taken away meanwhile, and only when there is one to alter. */
static void test_events_of_one_that_is_read_only(void **state)
{
        CLEANUP(facts_done) Facts mysql = fixture(MYSQL84, "mysql_gtid");
        CLEANUP(facts_done) Facts mariadb = fixture(MARIADB, "position");
        CLEANUP(script_done) Script script = { 0 };
        CLEANUP(replies_free) Replies *seen = REPLIES(EVENT("tick", "ENABLED", "0", "NULL"));
        act_events_rest_closed(&mysql, "db1", seen, &script);
        static const char *const wanted[] = { "SET SESSION sql_log_bin = 0", "SET GLOBAL super_read_only = OFF",
                                              "SET SESSION character_set_client", "ALTER DEFINER",
                                              "SET GLOBAL super_read_only = ON" };
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
                assert_ptr_equal(strstr(script.items[i].text, wanted[i]), script.items[i].text);
        expect_act(&mysql, act_events_rest_closed, "db1", REPLIES(EVENT("tick", "DISABLED", "0", "NULL")), NULL, NULL);
        expect_act(&mysql, act_events_rest_closed, "db1", REPLIES(EVENT("t\303\244t", "ENABLED", "0", "NULL")),
                   "sql_log_bin", "read_only");
        expect_act(&mariadb, act_events_rest_closed, "db1", REPLIES(EVENT("tick", "ENABLED", "0", "NULL")),
                   "DISABLE ON SLAVE", "read_only");
}

/* After a failover only what the daemon has seen of the dead primary is known. */
static void test_events_of_the_dead(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        step_judge_fn fn = judge_events_run;
        const char *resting = EVENT("tick", "SLAVESIDE_DISABLED", "0", "NULL");
        expect(&facts, fn, "db2", REPLIES(resting), VERDICT_HOPELESS, "left disabled: app.tick");
        expect_act(&facts, act_events_run, "db2", REPLIES(resting), NULL, NULL);
        expect(&facts, fn, "db2", REPLIES(NO_EVENT("OFF")), VERDICT_MET, "0 events");
        learn(&facts, "db1",
              "{\"event_scheduler\":\"ON\",\"events\":[{\"schema\":\"app\",\"name\":\"tick\",\"status\":\"ENABLED\"},"
              "{\"schema\":\"app\",\"name\":\"off\",\"status\":\"DISABLED\"}]}");
        expect_act(&facts, act_events_run, "db2", REPLIES(resting), "`tick` ENABLE", NULL);
        expect_act(&facts, act_events_run, "db2", REPLIES(EVENT("off", "SLAVESIDE_DISABLED", "0", "NULL")), NULL, NULL);
        const char *past = EVENT("tick", "SLAVESIDE_DISABLED", "1", "1");
        expect_act(&facts, act_events_run, "db2", REPLIES(past), NULL, NULL);
        expect(&facts, fn, "db2", REPLIES(past), VERDICT_HOPELESS, "left disabled: app.tick");
        expect_act(&facts, act_events_run, "db2", REPLIES(EVENT("tick", "SLAVESIDE_DISABLED", "1", "0")),
                   "`tick` ENABLE", NULL);
}

static void expect_decision(const Facts *facts, const char *step, Verdict verdict, const char *why)
{
        Judgement judgement = { 0 };
        for (size_t i = 0; i < rejoin.n_steps; i++)
                if (strcmp(rejoin.steps[i].name, step) == 0)
                        rejoin.steps[i].decide(facts, &judgement);
        if (judgement.verdict != verdict || !strstr(judgement.why, why))
                fail_msg("%s: %s, wanted %s: %s", verdict_to_string(judgement.verdict), judgement.why,
                         verdict_to_string(verdict), why);
        json_free(judgement.learned);
}

/* db1 is back; db2 was opened in its place. */
static void test_rejoin_of_one_that_is_not_durable(void **state)
{
        static const struct {
                unsigned log, tables;
                const char *by, *procedure;
                bool attached;
                const char *why;
        } rows[] = {
                { 1, 1, "mhad", "failover", true, "db1 has nothing that db2 lacks" },
                { 0, 1, "mhad", "failover", false, "sync_binlog was 0" },
                { 1, 2, "mhad", "failover", false, "mhactl rejoin app1 db1" },
                { 0, 1, "mhad", "switchover", true, "has nothing" },
                { 1, 1, "root", "failover", true, "has nothing" },
                { 0, 1, "root", "failover", true, "compare its data" },
                { 1, 2, "root", "failover", true, "innodb_flush_log_at_trx_commit 2" },
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                for (int known_before = 0; known_before < 2; known_before++) {
                        CLEANUP(facts_done) Facts facts = fixture(MYSQL84, "mysql_gtid");
                        CLEANUP(mem_free)
                        char *text = text_format("{\"sync_binlog\":%u,\"flush_log_at_commit\":%u,\"procedure\":\"%s\"}",
                                                 rows[i].log, rows[i].tables, rows[i].procedure);
                        Json *returning = parse(text);
                        json_set_string(facts.root, "ordered_by", rows[i].by);
                        json_set(facts.root, "returning", returning);
                        learn(&facts, "db1", known_before ? "{\"sync_binlog\":1,\"flush_log_at_commit\":1}" : text);
                        if (!known_before) {
                                json_set(returning, "sync_binlog", NULL);
                                json_set(returning, "flush_log_at_commit", NULL);
                        }
                        expect_decision(&facts, "nothing-extra", rows[i].attached ? VERDICT_MET : VERDICT_HOPELESS,
                                        rows[i].why);
                }
}

/* What a command has printed. */
static Replies *replies_said(const char *out)
{
        Replies *replies = replies_new(1);
        replies->items[0].run = true;
        replies->items[0].out = alloc_string(out);
        return replies;
}

/* By position: db1 is back, and db2 had applied its log up to binlog.000003:900. */
static void test_rejoin_with_another_log(void **state)
{
        static const struct {
                const char *tail, *was, *is;
                Verdict log; /* of saving it */
                const char *why;
        } rows[] = {
                { "\"end\":\"binlog.000004:157\",\"files\":[{\"file\":\"binlog.000003\",\"size\":900},"
                  "{\"file\":\"binlog.000004\",\"size\":157}]",
                  "u1", "u1", VERDICT_MET, "nothing stands in its log behind binlog.000003:900" },
                { "\"end\":\"binlog.000003:900\",\"files\":[{\"file\":\"binlog.000003\",\"size\":900}]", "", "",
                  VERDICT_MET, "nothing stands" },
                { "\"end\":\"binlog.000001:325\",\"files\":[{\"file\":\"binlog.000001\",\"size\":325}]", "", "",
                  VERDICT_HOPELESS, "its log ends at binlog.000001:325, before binlog.000003:900" },
                { "\"end\":\"binlog.000004:157\",\"files\":[{\"file\":\"binlog.000003\",\"size\":899},"
                  "{\"file\":\"binlog.000004\",\"size\":157}]",
                  "", "", VERDICT_HOPELESS, "which ends at binlog.000004:157, does not hold binlog.000003:900" },
                { "\"end\":\"binlog.000004:157\",\"files\":[{\"file\":\"binlog.000004\",\"size\":157}]", "", "",
                  VERDICT_HOPELESS, "does not hold" },
                { "\"end\":\"db1-bin.000003:950\",\"files\":[{\"file\":\"db1-bin.000003\",\"size\":950}]", "", "",
                  VERDICT_HOPELESS, "does not hold" },
                { "\"end\":\"binlog.000003:900\",\"files\":[{\"file\":\"binlog.000003\",\"size\":900}]", "u1", "u2",
                  VERDICT_HOPELESS, "its server_uuid is u2, and it was u1" },
        };
        const char *look = "{\"directory\":\"d\",\"sources\":{\"db1\":{\"state\":\"done\"}},"
                           "\"answers\":{\"db1\":{\"n_transactions\":0}}}";
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
                Json *returning = parse("{\"procedure\":\"switchover\",\"new_primary\":\"db2\",\"end\":"
                                        "\"binlog.000003:900\"}");
                json_set_string(returning, "server_uuid", rows[i].was);
                json_set(facts.root, "returning", returning);
                CLEANUP(mem_free)
                char *known = text_format("{\"server_uuid\":\"%s\",\"tail\":{%s},\"own\":{\"n_transactions\":0}}",
                                          rows[i].is, rows[i].tail);
                learn(&facts, "db1", known);
                for (size_t k = 0; k < rejoin.n_steps; k++)
                        if (strcmp(rejoin.steps[k].name, "save-own-log") == 0)
                                expect(&facts, rejoin.steps[k].judge, "db1", replies_said(look), rows[i].log,
                                       rows[i].log == VERDICT_MET ? "0 transactions" : rows[i].why);
                expect_decision(&facts, "nothing-extra", rows[i].log, rows[i].why);
                if (rows[i].log == VERDICT_MET)
                        continue;
                json_set_string(facts.root, "mode", "mysql_gtid"); /* whose sets tell */
                expect_decision(&facts, "nothing-extra", VERDICT_MET, "has nothing");
        }
}

/* MariaDB: the ids go on with the same numbers. db1 died, db2 was opened at 100; db2 died, db3 is opened at 95. */
static void test_rejoin_after_two_failovers(void **state)
{
        static const struct {
                const char *opened; /* db3, at */
                const char *has;    /* db1, now */
                bool extra;
        } rows[] = {
                { "0-1-95", "0-1-95", false },
                { "0-1-95", "0-1-98", true },
                { "0-2-120", "0-1-100", false },
                { "0-2-120", "0-1-101", true },
                { "0-1-95,1-1-7", "0-1-95,1-1-5", false },
                { "0-1-95", "0-1-95,1-1-5", true },
                { "", "0-1-1", true },
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                CLEANUP(json_free) Json *returning = json_object();
                CLEANUP(facts_done) Facts first = fixture(MARIADB, "mariadb_gtid");
                CLEANUP(facts_done) Facts second = fixture(MARIADB, "mariadb_gtid");
                CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
                json_set_string(first.root, "procedure", "failover");
                learn(&first, "db2", "{\"open_position\":\"binlog.000003:4\",\"open_gtid\":\"0-1-100,1-1-5\"}");
                rejoin_note(returning, &first);
                json_set_string(second.root, "procedure", "failover");
                json_set_string(second.root, "old_primary", "db2");
                json_set_string(second.root, "candidate", "db3");
                CLEANUP(mem_free)
                char *opened =
                        text_format("{\"open_position\":\"binlog.000003:4\",\"open_gtid\":\"%s\"}", rows[i].opened);
                learn(&second, "db3", opened);
                rejoin_note(returning, &second);
                assert_string_equal(json_get_string(json_get(returning, "db2"), "open_gtid"), rows[i].opened);

                json_set_string(facts.root, "candidate", "db3");
                json_set(facts.root, "returning", json_copy(json_get(returning, "db1")));
                CLEANUP(mem_free)
                char *has = text_format("{\"gtid_executed\":\"%s\"}", rows[i].has);
                learn(&facts, "db1", has);
                expect_decision(&facts, "compare-sets", VERDICT_MET,
                                rows[i].extra ? "it has transactions that db3 lacks" : "db3 has every transaction");
        }
        /* Nobody knows what was opened. */
        CLEANUP(json_free) Json *returning = parse("{\"db1\":{\"open_gtid\":\"0-1-100\"}}");
        CLEANUP(facts_done) Facts second = fixture(MARIADB, "mariadb_gtid");
        json_set_string(second.root, "procedure", "failover");
        json_set_string(second.root, "old_primary", "db2");
        json_set_string(second.root, "candidate", "db3");
        rejoin_note(returning, &second);
        assert_null(json_get_string(json_get(returning, "db1"), "open_gtid"));
}

/* An opening that was not confirmed. */
static void test_closed(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        json_set_bool(facts.root, "opening", true);
        learn(&facts, "db1", "{\"end_gtid\":\"0-1-9\"}");
        learn(&facts, "db2", "{\"open_position\":\"binlog.000003:400\"}");
        assert_false(skip_close(&facts));
        assert_false(skip_end_candidate(&facts));
        assert_true(skip_weigh_candidate(&facts));
        expect(&facts, judge_closed, "db2", REPLIES(TICK("0", "0-1-9"), BINLOG("400")), VERDICT_UNMET, "takes writes");
        expect_act(&facts, act_close, "db2", REPLIES(TICK("0", "0-1-9"), BINLOG("400")), "read_only = ON", "OFF");
        static const char *const seen[][3] = { { "0-1-9", "400", "" },
                                               { "0-2-11", "900", "0-2-11" },
                                               { "0-1-9", "900", "" } };
        for (size_t i = 0; i < ARRAY_LENGTH(seen); i++) {
                CLEANUP(facts_done) Facts copy = facts_copy(&facts);
                CLEANUP(mem_free)
                char *tick = text_format("read_only=1|gtid_binlog_pos=%s|gtid_slave_pos=%s|"
                                         "gtid_current_pos=%s",
                                         seen[i][0], seen[i][0], seen[i][0]);
                CLEANUP(mem_free) char *binlog = text_format("File=binlog.000003|Position=%s", seen[i][1]);
                take(&copy, judge_closed, "db2", REPLIES(tick, binlog));
                const char *taken = facts_server_string(&copy, "db2", "taken");
                if (!taken || (*seen[i][2] ? !strstr(taken, "0-2") : *taken))
                        fail_msg("%s at %s: %s", seen[i][0], seen[i][1], taken ? taken : "not known");
                assert_true(skip_end_candidate(&copy));
                expect(&copy, judge_closed, "db2", replies_new(0), VERDICT_MET, "takes no writes");
        }
        /* By position a log that does not end where it did tells nothing. */
        json_set_string(facts.root, "mode", "position");
        CLEANUP(facts_done) Facts copy = facts_copy(&facts);
        take(&copy, judge_closed, "db2", REPLIES(TICK("1", ""), BINLOG("900")));
        assert_null(facts_server_string(&copy, "db2", "taken"));
}

static void test_candidate_weighed(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        json_set_bool(facts.root, "opening", true);
        learn(&facts, "db2", "{\"open_position\":\"binlog.000003:400\",\"fence\":{\"process\":{\"result\":\"gone\"}}}");
        assert_false(skip_weigh_candidate(&facts));
        assert_true(skip_end_candidate(&facts));
        static const char *const lists[][2] = { { "index /d/i\n400 /d/binlog.000003\n", "nothing: " },
                                                { "index /d/i\n401 /d/binlog.000003\n", "to binlog.000003:401" },
                                                { "index /d/i\n400 /d/binlog.000003\n9 /d/binlog.000004\n",
                                                  "000004:9" },
                                                { "no such file", "cannot be listed" } };
        for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
                Replies *replies = replies_new(1);
                replies->items[0].run = true;
                replies->items[0].out = alloc_string(lists[i][0]);
                expect(&facts, judge_candidate_weighed, "db2", replies, i < 3 ? VERDICT_MET : VERDICT_HOPELESS,
                       lists[i][1]);
        }
}

static void test_status_hook(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        assert_true(skip_status_hook(&facts));
        learn(&facts, NULL, "{\"config\":{\"hooks\":{\"status\":true}}}");
        assert_false(skip_status_hook(&facts));
        CLEANUP(script_done) Script script = { 0 };
        ask_status_hook(&facts, "", &script);
        assert_int_equal(script.n_items, 1);
        assert_string_equal(script.items[0].text, "status");
        expect(&facts, judge_status_hook, "", REPLIES("-"), VERDICT_MET, "would work");
        Replies *refuses = REPLIES("-");
        Reply *reply = &refuses->items[0];
        reply->exit_status = 3;
        reply->err = alloc_string("not today\nor ever\n");
        failure_set(&reply->failure, FAILURE_EXIT, 3, "status ended with status 3");
        expect(&facts, judge_status_hook, "", refuses, VERDICT_HOPELESS,
               "would not work: status ended with status 3: not today");
}

static void test_everybody(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        Judgement judgement = { 0 };
        decide_everybody_is_there(&facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        json_append_string(json_ensure_array(facts.root, "left_out"), "db3");
        decide_everybody_is_there(&facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "db3"));
        assert_false(check_is_approved(&facts));
        assert_true(skip_undo(&facts));
        json_set(facts.root, "left_out", json_array());
        learn(&facts, "db2", "{\"follows\":\"db1\"}");
        decide_everybody_is_there(&facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_non_null(strstr(judgement.why, "but db3 follows no server of the cluster"));
        learn(&facts, "db3", "{\"follows\":\"db2\"}");
        decide_everybody_is_there(&facts, &judgement);
        assert_string_equal(judgement.why, "every server answers");
}

/* One that somebody has taken out, and stopped, is nobody's business; one that runs is repointed as the others are. */
static void test_taken_out(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        learn(&facts, "db3", "{\"downtime\":\"a new disk\"}");
#define STOPPED REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "No", "No", "900", "NULL"), BINLOG("4"))
#define RUNNING REPLIES(TICK("1", "0-1-9"), REPLICA("db1", "Yes", "Yes", "900", "0"), BINLOG("4"))
        expect(&facts, judge_replica_fit, "db3", STOPPED, VERDICT_MET, "it is taken out: a new disk");
        expect(&facts, judge_replica_fit, "db3", RUNNING, VERDICT_MET, "its threads run");
        expect(&facts, judge_replica_fit, "db2", STOPPED, VERDICT_HOPELESS, "its applier is stopped");
        expect(&facts, judge_premoved, "db3", STOPPED, VERDICT_MET, "it is taken out");
        expect(&facts, judge_premoved, "db3", RUNNING, VERDICT_UNMET, "it follows the old primary");
        expect(&facts, judge_follows_on, "db3", STOPPED, VERDICT_HOPELESS, "it is taken out");
        expect(&facts, judge_follows_on, "db3", RUNNING, VERDICT_UNMET, "it follows db1");
}

/* Two that follow each other, and the old primary is to be left alone. */
static void test_pair_that_parts(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        assert_false(skip_let_go(&facts));
        assert_true(skip_let_go_old(&facts));
        learn(&facts, "db1",
              "{\"channels\":[{\"name\":\"\",\"source_host\":\"db2\",\"source_port\":3306}]}");
        assert_true(skip_let_go(&facts));
        assert_true(skip_let_go_old(&facts));
        json_set_bool(facts.root, "no_demote", true);
        assert_false(skip_let_go(&facts));
        assert_false(skip_let_go_old(&facts));
}

static Replies *listing(const char *out, bool works)
{
        Replies *replies = replies_new(1);
        Reply *reply = &replies->items[0];
        reply->run = true;
        reply->out = alloc_string(out);
        if (!works)
                failure_set(&reply->failure, FAILURE_SSH, 0, "no answer");
        return replies;
}

/* Before anything begins the old primary's host has the address, and the candidate's has not. */
static void test_address_places(void **state)
{
        static const char there[] = "2: eth0    inet 10.0.0.100/24 scope global eth0\n";
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "position");
        learn(&facts, NULL, "{\"config\":{\"address\":{\"ip\":\"10.0.0.100/24\"}}}");
        expect(&facts, judge_address_in_place, "db1", listing(there, true), VERDICT_MET, "is on eth0");
        expect(&facts, judge_address_in_place, "db1", listing("", true), VERDICT_HOPELESS, "is not on its host");
        expect(&facts, judge_address_in_place, "db1", listing("", false), VERDICT_UNMET, "no answer");
        expect(&facts, judge_address_elsewhere, "db2", listing("", true), VERDICT_MET, "does not have the address");
        expect(&facts, judge_address_elsewhere, "db2", listing(there, true), VERDICT_HOPELESS, "(eth0) already");
        expect(&facts, judge_address_elsewhere, "db2", listing("", false), VERDICT_UNMET, "no answer");
}

/* One on the old primary's own host: the address stays where it is. */
static void test_same_host(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MARIADB, "mariadb_gtid");
        assert_true(address_skip(&facts) && address_skip_moving(&facts));
        CLEANUP(json_free) Json *config = parse("{\"address\": {\"ip\": \"10.0.0.100/24\"}}");
        json_merge(json_get_mutable(facts.root, "config"), config);
        assert_false(address_skip_moving(&facts)); /* not known */
        learn(&facts, "db1", "{\"place\": \"10.0.0.1:22\"}");
        learn(&facts, "db2", "{\"place\": \"10.0.0.2:22\"}");
        assert_false(address_skip_moving(&facts) || skip_give_late(&facts));
        learn(&facts, "db2", "{\"place\": \"10.0.0.1:22\"}");
        assert_true(address_skip_moving(&facts) && skip_give_late(&facts) && skip_give_early(&facts));
        assert_false(address_skip(&facts));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same_host),
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_replicas),
                cmocka_unit_test(test_primary),
                cmocka_unit_test(test_candidate),
                cmocka_unit_test(test_successor),
                cmocka_unit_test(test_address_places),
                cmocka_unit_test(test_errant),
                cmocka_unit_test(test_block_with_a_lock),
                cmocka_unit_test(test_lock_of_a_lost_connection),
                cmocka_unit_test(test_sessions_end_before_the_end),
                cmocka_unit_test(test_block_without_a_lock),
                cmocka_unit_test(test_reached_end),
                cmocka_unit_test(test_sessions),
                cmocka_unit_test(test_premove),
                cmocka_unit_test(test_near),
                cmocka_unit_test(test_follow_on),
                cmocka_unit_test(test_demote),
                cmocka_unit_test(test_tiers),
                cmocka_unit_test(test_circle),
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_events_that_rested),
                cmocka_unit_test(test_events_of_one_that_is_read_only),
                cmocka_unit_test(test_events_of_the_dead),
                cmocka_unit_test(test_rejoin_of_one_that_is_not_durable),
                cmocka_unit_test(test_rejoin_with_another_log),
                cmocka_unit_test(test_rejoin_after_two_failovers),
                cmocka_unit_test(test_closed),
                cmocka_unit_test(test_candidate_weighed),
                cmocka_unit_test(test_everybody),
                cmocka_unit_test(test_taken_out),
                cmocka_unit_test(test_pair_that_parts),
                cmocka_unit_test(test_status_hook),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
