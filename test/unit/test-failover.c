/* The goals of the failover, each as a function of facts and replies: what is judged, what an act says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "failover.h"
#include "fed.h"
#include "fence.h"
#include "gather.h"
#include "hooks.h"
#include "loss.h"
#include "meanwhile.h"
#include "promote.h"
#include "proof.h"
#include "relays.h"
#include "repoint.h"
#include "status.h"
#include "tail.h"
#include "virtual_address.h"

/* A position cluster on MySQL 5.6 and a GTID cluster on MariaDB; db1 was the primary. */
typedef struct Fixture {
        Facts facts;
        bool mariadb;
} Fixture;

static void add_server(Facts *facts, const char *name, bool mariadb)
{
        Json *server = json_object();
        json_append_string(json_get_mutable(facts->root, "order"), name);
        json_set_string(server, "name", name);
        json_set_string(server, "host", name);
        json_set_int(server, "port", 3306);
        json_set_string(server, "version", mariadb ? "10.11.6-MariaDB" : "5.6.24-log");
        json_set_bool(server, "identified", true);
        json_set_bool(server, "log_bin", true);
        json_set_bool(server, "log_slave_updates", true);
        json_set_string(server, "evidence", "alive");
        facts_learn(facts, name, server);
        json_free(server);
}

static Fixture fixture(bool mariadb)
{
        Fixture f = { .facts = facts_new("app1", "r1", "failover"), .mariadb = mariadb };
        add_server(&f.facts, "db1", mariadb);
        add_server(&f.facts, "db2", mariadb);
        add_server(&f.facts, "db3", mariadb);
        Json *replicas = json_ensure_array(f.facts.root, "replicas");
        json_append_string(replicas, "db2");
        json_append_string(replicas, "db3");
        json_set_string(f.facts.root, "old_primary", "db1");
        json_set_string(f.facts.root, "candidate", "db2");
        json_set_string(f.facts.root, "mode", mariadb ? "mariadb_gtid" : "position");
        return f;
}

static void configure(Fixture *f, const char *text)
{
        CLEANUP(json_free) Json *json = NULL;
        assert_int_equal(json_parse(text, strlen(text), &json, NULL), 0);
        json_merge(json_get_mutable(f->facts.root, "config"), json);
}

static void learn(Fixture *f, const char *server, const char *text)
{
        CLEANUP(json_free) Json *json = NULL;
        assert_int_equal(json_parse(text, strlen(text), &json, NULL), 0);
        facts_learn(&f->facts, server, json);
}

typedef struct Replica {
        const char *source, *receiver, *applier;
        const char *received_file, *received, *applied_file, *applied;
        const char *state, *error;
        const char *io_gtid, *slave_gtid;
        const char *user; /* NULL: repl */
} Replica;

static void set_row(Reply *reply, size_t n, const char *const (*cells)[2])
{
        const char *names[32], *values[32];
        for (size_t i = 0; i < n; i++) {
                names[i] = cells[i][0];
                values[i] = cells[i][1];
        }
        reply->run = true;
        reply_set_columns(reply, n, names);
        reply_add_row(reply, values);
}

static void set_replica(const Fixture *f, Reply *reply, const Replica *replica)
{
        reply->run = true;
        if (!replica) {
                reply_set_columns(reply, 3,
                                  (const char *const[]){ "Slave_IO_Running", "Slave_SQL_Running", "Master_Host" });
                return;
        }
        const char *const cells[][2] = {
                { "Connection_name", "" },
                { "Slave_IO_Running", replica->receiver },
                { "Slave_SQL_Running", replica->applier },
                { "Master_Host", replica->source },
                { "Master_Port", "3306" },
                { "Master_User", replica->user ? replica->user : "repl" },
                { "Master_Log_File", replica->received_file },
                { "Read_Master_Log_Pos", replica->received },
                { "Relay_Master_Log_File", replica->applied_file },
                { "Exec_Master_Log_Pos", replica->applied },
                { "Slave_SQL_Running_State", replica->state ? replica->state : "" },
                { "Last_SQL_Errno", replica->error ? replica->error : "0" },
                { "Last_SQL_Error", replica->error ? "Duplicate entry" : "" },
                { "Last_IO_Errno", "0" },
                { "Using_Gtid", f->mariadb ? "Slave_Pos" : NULL },
                { "Gtid_IO_Pos", replica->io_gtid },
        };
        set_row(reply, ARRAY_LENGTH(cells), cells);
}

static void set_tick(const Fixture *f, Reply *reply, bool read_only, const Replica *replica)
{
        const char *gtid = replica && replica->slave_gtid ? replica->slave_gtid : "";
        const char *const cells[][2] = {
                { "read_only", read_only ? "1" : "0" },
                { "gtid_binlog_pos", gtid },
                { "gtid_slave_pos", gtid },
                { "gtid_current_pos", gtid },
        };
        set_row(reply, f->mariadb ? 4 : 1, cells);
}

static void set_status(const Fixture *f, Replies *replies, size_t first, const Replica *replica)
{
        set_tick(f, &replies->items[first + STATUS_TICK], true, replica);
        set_replica(f, &replies->items[first + STATUS_REPLICA], replica);
        const char *const cells[][2] = { { "File", "binlog.000007" }, { "Position", "777" } };
        set_row(&replies->items[first + STATUS_BINLOG], 2, cells);
}

static Replies *status_of(const Fixture *f, const Replica *replica)
{
        Replies *replies = replies_new(_STATUS_MAX);
        set_status(f, replies, 0, replica);
        return replies;
}

/* As ask_status_twice() brings it. */
static Replies *statuses_of(const Fixture *f, const Replica *before, const Replica *after)
{
        Replies *replies = replies_new(2 * _STATUS_MAX + 1);
        set_status(f, replies, 0, before);
        set_status(f, replies, _STATUS_MAX + 1, after);
        return replies;
}

/* As ask_repoint() brings it. */
static Replies *repoint_of(const Fixture *f, const Replica *before, const Replica *after)
{
        Replies *replies = replies_new(_STATUS_MAX + 2);
        set_replica(f, &replies->items[0], before);
        set_status(f, replies, 2, after);
        return replies;
}

static Judgement judge(const Fixture *f, step_judge_fn fn, const char *server, Replies *replies)
{
        Judgement judgement = { 0 };
        fn(&f->facts, server, replies, &judgement);
        replies_free(replies);
        return judgement;
}

static void expect(const Fixture *f, step_judge_fn fn, const char *server, Replies *replies, Verdict verdict,
                   const char *why)
{
        Judgement judgement = judge(f, fn, server, replies);
        if (judgement.verdict != verdict || !strstr(judgement.why, why))
                fail_msg("%s: %s, wanted %s: %s", verdict_to_string(judgement.verdict), judgement.why,
                         verdict_to_string(verdict), why);
        json_free(judgement.learned);
}

static void expect_act(const Fixture *f, step_act_fn fn, const char *server, Replies *seen, const char *wanted)
{
        CLEANUP(script_done) Script script = { 0 };
        fn(&f->facts, server, seen, &script);
        CLEANUP(json_free) Json *json = script_to_json(&script);
        CLEANUP(mem_free) char *text = json_print(json);
        if (wanted ? !strstr(text, wanted) : !script_is_empty(&script))
                fail_msg("%s does not say %s", text, wanted ? wanted : "nothing");
        replies_free(seen);
}

static const Replica idle = { .source = "db1",
                              .receiver = "No",
                              .applier = "Yes",
                              .received_file = "binlog.000003",
                              .received = "900",
                              .applied_file = "binlog.000003",
                              .applied = "900",
                              .state = "Slave has read all relay log; waiting for more updates",
                              .io_gtid = "0-1-90",
                              .slave_gtid = "0-1-90" };
static const Replica applying = { .source = "db1",
                                  .receiver = "No",
                                  .applier = "Yes",
                                  .received_file = "binlog.000003",
                                  .received = "900",
                                  .applied_file = "binlog.000003",
                                  .applied = "500",
                                  .state = "Reading event from the relay log",
                                  .io_gtid = "0-1-90",
                                  .slave_gtid = "0-1-50" };

static void test_table_is_well_formed(void **state)
{
        Failure failure = { 0 };
        if (procedure_check(&failover, &failure) < 0)
                fail_msg("%s", failure.text);
}

static void test_receiver(void **state)
{
        Fixture f = fixture(false);
        Replica running = idle, connecting = idle;
        running.receiver = "Yes";
        connecting.receiver = "Connecting";
        expect(&f, judge_receiver_stopped, "db2", status_of(&f, &running), VERDICT_UNMET, "connected");
        expect(&f, judge_receiver_stopped, "db2", status_of(&f, &connecting), VERDICT_UNMET, "connecting");
        expect(&f, judge_receiver_stopped, "db2", status_of(&f, NULL), VERDICT_HOPELESS, "does not replicate");
        expect(&f, judge_receiver_stopped, "db2", replies_new(3), VERDICT_UNMET, "");
        Judgement judgement = judge(&f, judge_receiver_stopped, "db2", status_of(&f, &idle));
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_true(json_get_bool(judgement.learned, "frozen", false));
        json_free(judgement.learned);
        expect_act(&f, act_stop_receiver, "db2", NULL, "STOP SLAVE IO_THREAD");
        facts_done(&f.facts);
}

/* From MariaDB 11 on a receiver that waits for a dead host cannot be stopped before that has ended. */
static void test_receiver_that_waits(void **state)
{
        Replica connecting = idle, connected = idle;
        connecting.receiver = "Connecting";
        connected.receiver = "Yes";
        Fixture f = fixture(true);
        expect_act(&f, act_stop_receiver, "db2", status_of(&f, &connecting), "[{\"sql\":\"STOP SLAVE IO_THREAD\"}]");
        learn(&f, "db2", "{\"version\": \"11.8.6-MariaDB\"}");
        expect_act(&f, act_stop_receiver, "db2", status_of(&f, &connected), "[{\"sql\":\"STOP SLAVE IO_THREAD\"}]");
        expect_act(&f, act_stop_receiver, "db2", NULL, "[{\"sql\":\"STOP SLAVE IO_THREAD\"}]");
        expect_act(&f, act_stop_receiver, "db2", status_of(&f, &connecting),
                   "[{\"ssh\":\"ss -KHtn state syn-sent 'dport = :3306'\",\"may_fail\":true},"
                   "{\"sql\":\"STOP SLAVE IO_THREAD\"}]");
        configure(&f, "{\"ssh\": {\"enabled\": false}}");
        expect_act(&f, act_stop_receiver, "db2", status_of(&f, &connecting), "[{\"sql\":\"STOP SLAVE IO_THREAD\"}]");
        facts_done(&f.facts);
}

static void test_drained(void **state)
{
        Fixture f = fixture(false);
        Replica broken = applying, tail = idle, moved = idle;
        broken.applier = "No";
        broken.error = "1062";
        tail.received = "950"; /* a transaction began, its end never came */
        moved = tail;
        moved.applied = "880";
        expect(&f, judge_drained, "db2", statuses_of(&f, &idle, &idle), VERDICT_MET, "binlog.000003:900");
        expect(&f, judge_drained, "db2", statuses_of(&f, &applying, &applying), VERDICT_UNMET, "binlog.000003:500");
        expect(&f, judge_drained, "db2", statuses_of(&f, &tail, &tail), VERDICT_MET, "nobody sent");
        expect(&f, judge_drained, "db2", statuses_of(&f, &moved, &tail), VERDICT_UNMET, "applied up to");
        expect(&f, judge_drained, "db2", statuses_of(&f, &broken, &broken), VERDICT_HOPELESS, "1062");
        expect(&f, judge_drained, "db2", statuses_of(&f, NULL, NULL), VERDICT_HOPELESS, "gone");
        Replica stopped = applying;
        stopped.applier = "No";
        expect_act(&f, act_start_applier, "db2", statuses_of(&f, &stopped, &stopped), "START SLAVE SQL_THREAD");
        expect_act(&f, act_start_applier, "db2", statuses_of(&f, &applying, &applying), NULL);
        expect_act(&f, act_start_applier, "db2", statuses_of(&f, &broken, &broken), NULL);
        facts_done(&f.facts);

        Fixture g = fixture(true);
        expect(&g, judge_drained, "db2", statuses_of(&g, &idle, &idle), VERDICT_MET, "applied everything");
        expect(&g, judge_drained, "db2", statuses_of(&g, &applying, &applying), VERDICT_UNMET, "applied up to");
        /* Just pointed at its feed it names no position, and no GTID that it has not applied. */
        Replica pointed = idle;
        pointed.receiver = "Yes";
        pointed.received_file = pointed.applied_file = "";
        learn(&g, "db2", "{\"fed\": {\"end\": \"binlog.000003:900\"}, \"saved\": {\"complete\": false}}");
        expect(&g, judge_drained, "db2", statuses_of(&g, &pointed, &pointed), VERDICT_UNMET, "applied up to");
        expect(&g, judge_drained, "db2", statuses_of(&g, &idle, &idle), VERDICT_MET, "applied everything");
        facts_done(&g.facts);
}

/* It has read all and stands still: it is done only when none of its parallel appliers is busy with a long transaction. */
static Replies *statuses_with(const Fixture *f, const Replica *replica, const char *idle_workers)
{
        Replies *replies = statuses_of(f, replica, replica);
        const char *const cells[][2] = { { "idle_workers", idle_workers } };
        set_row(&replies->items[_STATUS_MAX], 1, cells);
        return replies;
}

static void test_parallel_appliers(void **state)
{
        Fixture f = fixture(false);
        Replica busy = idle;
        busy.received = "950";
        learn(&f, "db2", "{\"parallel_workers\": 4}");
        expect(&f, judge_drained, "db2", statuses_with(&f, &busy, "3"), VERDICT_UNMET, "applied up to");
        expect(&f, judge_drained, "db2", statuses_of(&f, &busy, &busy), VERDICT_UNMET, "applied up to");
        expect(&f, judge_drained, "db2", statuses_with(&f, &busy, "4"), VERDICT_MET, "nobody sent");
        CLEANUP(script_done) Script script = { 0 };
        ask_status_twice(&f.facts, "db2", &script);
        assert_non_null(strstr(script.items[_STATUS_MAX].text, "'Waiting for an event from Coordinator'"));
        facts_done(&f.facts);
}

static void test_repoint_by_position(void **state)
{
        Fixture f = fixture(false);
        learn(&f, "db2", "{\"drained_at\": \"binlog.000003:900\", \"open_position\": \"binlog.000007:777\"}");
        Replica behind = idle, following = idle, starting = idle, receiving = idle;
        behind.received = behind.applied = "700";
        following.source = "db2";
        following.receiver = "Yes";
        starting = following;
        starting.receiver = "Connecting";
        receiving.receiver = "Connecting";
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &idle, &idle), VERDICT_UNMET,
               "everything that db2 has");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &idle, &idle), "binlog.000007");
        /* A hole is never jumped. */
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &behind, &behind), VERDICT_HOPELESS,
               "binlog.000003:700 and binlog.000003:900");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &behind, &behind), NULL);
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &applying, &applying), VERDICT_UNMET, "applies");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &applying, &applying), NULL);
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &receiving, &receiving), VERDICT_UNMET, "receiver");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &receiving, &receiving), "STOP SLAVE IO_THREAD");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &starting, &starting), VERDICT_UNMET, "connecting");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &following, &following), VERDICT_MET, "follows db2");
        json_set_string(f.facts.root, "lost", "db2"); /* it is dead: who is on the way to it is left so */
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &starting, &starting), VERDICT_HOPELESS, "any more");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &applying, &applying), VERDICT_UNMET, "applies");
        json_set(f.facts.root, "lost", NULL);
        facts_done(&f.facts);
}

static void test_repoint_by_gtid(void **state)
{
        Fixture f = fixture(true);
        learn(&f, "db2", "{\"open_gtid\": \"0-1-90\"}");
        Replica errant = idle;
        errant.slave_gtid = "0-3-95";
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &idle, &idle), VERDICT_UNMET, "can follow");
        /* What is not applied yet comes again from the new primary. */
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &applying, &applying), VERDICT_UNMET, "can follow");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &idle, &idle), "MASTER_USE_GTID");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &errant, &errant), VERDICT_HOPELESS, "lacks");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &errant, &errant), NULL);
        /* A late one may have been sent what the new primary has written since, by the old one that follows it. */
        errant.slave_gtid = "0-2-95";
        learn(&f, "db2", "{\"server_id\": 2}");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &errant, &errant), VERDICT_HOPELESS, "lacks");
        json_set_string(f.facts.root, "procedure", "attach");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &errant, &errant), VERDICT_UNMET, "can follow");
        errant.slave_gtid = "0-3-95";
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &errant, &errant), VERDICT_HOPELESS, "lacks");
        facts_done(&f.facts);
}

/* One that could not be asked in time may hold what nobody else received: it is lost when it is attached. */
static void test_repoint_late(void **state)
{
        Fixture f = fixture(true);
        learn(&f, "db2", "{\"open_gtid\": \"0-1-50\"}");
        Replica elsewhere = idle;
        elsewhere.source = "db9";
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &applying, &applying), VERDICT_HOPELESS, "lacks");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &elsewhere, &elsewhere), VERDICT_HOPELESS,
               "db9:3306");
        learn(&f, "db3", "{\"frozen\": true}");
        expect(&f, judge_follows_candidate, "db3", repoint_of(&f, &applying, &applying), VERDICT_UNMET, "can follow");
        facts_done(&f.facts);
}

static void test_no_secret_is_said(void **state)
{
        Fixture f = fixture(true);
        learn(&f, "db2", "{\"open_gtid\": \"0-1-90\"}");
        configure(&f, "{\"replication\": {\"user\": \"repl\", \"has_password\": true}}");
        expect_act(&f, act_follow_candidate, "db3", repoint_of(&f, &idle, &idle), "${replication_password}");
        facts_done(&f.facts);
}

static void test_detach_and_open(void **state)
{
        Fixture f = fixture(false);
        expect(&f, judge_detached, "db2", status_of(&f, &idle), VERDICT_UNMET, "still configured");
        Judgement judgement = judge(&f, judge_detached, "db2", status_of(&f, NULL));
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(judgement.learned, "open_position"), "binlog.000007:777");
        json_free(judgement.learned);
        expect_act(&f, act_detach, "db2", NULL, "RESET SLAVE ALL");

        Replies *replies = replies_new(1);
        set_tick(&f, &replies->items[0], true, NULL);
        expect(&f, judge_writable, "db2", replies, VERDICT_UNMET, "read-only");
        replies = replies_new(1);
        set_tick(&f, &replies->items[0], false, NULL);
        expect(&f, judge_writable, "db2", replies, VERDICT_MET, "takes writes");
        expect_act(&f, act_open, "db2", NULL, "read_only");
        facts_done(&f.facts);
}

static Replies *ssh_reply(int exit_status, const char *out)
{
        Replies *replies = replies_new(1);
        replies->items[0].run = true;
        replies->items[0].exit_status = exit_status;
        replies->items[0].out = alloc_string(out);
        if (exit_status)
                failure_set(&replies->items[0].failure, FAILURE_EXIT, exit_status, "exit status %d", exit_status);
        return replies;
}

static void test_fence_process(void **state)
{
        Fixture f = fixture(false);
        expect(&f, judge_process_gone, "db1", ssh_reply(0, ""), VERDICT_MET, "no process of the database");
        expect(&f, judge_process_gone, "db1", ssh_reply(0, "4711 mysqld 1 systemd mysql.service\n"), VERDICT_UNMET,
               "4711");
        expect(&f, judge_process_gone, "db1", ssh_reply(0, "4711 haproxy 1 init -\n"), VERDICT_HOPELESS,
               "not a database");
        expect(&f, judge_process_gone, "db1", ssh_reply(3, ""), VERDICT_HOPELESS, "iproute2");
        expect(&f, judge_process_gone, "db1", ssh_reply(0, "starting mariadb.service\n"), VERDICT_UNMET,
               "about to start mariadb.service");
        expect(&f, judge_process_gone, "db1", ssh_reply(0, "hidden\n"), VERDICT_UNMET, "may not see who");
        expect(&f, judge_process_gone, "db1", ssh_reply(0, "4711 mysqld 1 systemd mysql.service\nhidden\n"),
               VERDICT_UNMET, "may not see who");
        expect(&f, judge_process_gone, "db1", ssh_reply(0, "4711 mariadbd 1 systemd -\nstarting mariadb.service\n"),
               VERDICT_UNMET, "mariadbd (pid 4711) still runs");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "starting mariadb.service\n"),
                   "systemctl stop --no-block 'mariadb.service'");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 mariadbd 1 systemd -\nstarting mariadb.service\n"),
                   "systemctl kill --signal=KILL 'mariadb.service'");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 mysqld 1 systemd mysql.service\n"),
                   "systemctl stop --no-block 'mysql.service'");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 mysqld 1 systemd mysql.service\nhidden\n"),
                   "systemctl kill --signal=KILL 'mysql.service'");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 mysqld 4700 mysqld_safe -\n"), "kill -KILL 4700");
        /* Never anything but a database. */
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 haproxy 1 init -\n"), NULL);
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "1 mysqld 0 - -\n"), NULL);
        configure(&f, "{\"fence\": {\"command\": \"/usr/local/sbin/stop-db\"}}");
        learn(&f, "db1", "{\"port\": 3307, \"datadir\": \"/srv/my sql/\"}");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 mysqld 1 init -\n"), "/usr/local/sbin/stop-db");
        expect_act(&f, act_process_stop, "db1", ssh_reply(0, "4711 mysqld 1 init -\n"),
                   "export MHAD_SERVER='db1' MHAD_PORT=3307 MHAD_DATADIR='/srv/my sql/'");
        facts_done(&f.facts);
}

static void expect_fence(bool process, bool off, bool required, bool unanimous, Verdict verdict, const char *why)
{
        Fixture f = fixture(false);
        configure(&f,
                  "{\"address\": {\"ip\": \"10.0.0.100/24\", \"device\": \"eth0\"}, \"hooks\": {\"shutdown\": true}}");
        if (process)
                learn(&f, "db1", "{\"fence\": {\"process\": {\"result\": \"x\", \"guarantee\": \"y\"}}}");
        if (off)
                learn(&f, NULL, "{\"fence\": {\"power\": {\"result\": \"x\", \"guarantee\": \"y\"}}}");
        if (required)
                configure(&f, "{\"fence\": {\"policy\": \"required\"}}");
        json_set_bool(f.facts.root, "unreachable_for_all", unanimous);
        Judgement judgement = { 0 };
        decide_fence_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, verdict);
        assert_non_null(strstr(judgement.why, why));
        /* Its power is no rung when the process is gone: that hook is not run then. */
        assert_int_equal(json_length(json_get(judgement.learned, "fence_rungs")), process ? 3 : 4);
        json_free(judgement.learned);
        facts_done(&f.facts);
}

static void test_order_is_enough(void **state)
{
        Fixture f = fixture(false);
        Judgement judgement = { 0 };
        json_set_string(f.facts.root, "ordered_by", "root");
        decide_fence_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_non_null(strstr(judgement.why, "root ordered it"));
        json_free(judgement.learned);
        judgement = (Judgement){ 0 };
        configure(&f, "{\"fence\": {\"policy\": \"required\"}}");
        decide_fence_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        json_free(judgement.learned);
        facts_done(&f.facts);
}

static void test_fence_is_enough(void **state)
{
        expect_fence(true, false, false, false, VERDICT_MET, "process is gone");
        expect_fence(false, true, true, false, VERDICT_MET, "host is off");
        expect_fence(true, false, true, true, VERDICT_MET, "process is gone");
        expect_fence(false, false, true, true, VERDICT_HOPELESS, "required");
        expect_fence(false, false, false, true, VERDICT_MET, "NOT FENCED");
        expect_fence(false, false, false, false, VERDICT_HOPELESS, "not everybody agrees");

        /* A process that is known to live is no reason to go on, whoever else cannot reach it. */
        Fixture f = fixture(false);
        learn(&f, "db1", "{\"still_runs\": \"mysqld\"}");
        json_set_bool(f.facts.root, "unreachable_for_all", true);
        Judgement judgement = { 0 };
        decide_fence_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "still runs there"));
        json_free(judgement.learned);
        facts_done(&f.facts);
}

static void test_address(void **state)
{
        Fixture f = fixture(false);
        assert_true(address_skip(&f.facts));
        configure(&f, "{\"address\": {\"ip\": \"10.0.0.100/24\", \"device\": \"eth0\"}}");
        assert_false(address_skip(&f.facts));
        const char *on = "2: eth0    inet 10.0.0.100/24 scope global secondary eth0\\       valid_lft forever\n";
        expect(&f, judge_address_absent, "db1", ssh_reply(0, on), VERDICT_UNMET, "eth0");
        expect(&f, judge_address_absent, "db1", ssh_reply(0, ""), VERDICT_MET, "not on the host");
        expect(&f, judge_address_absent, "db1", ssh_reply(127, ""), VERDICT_UNMET, "127");
        expect(&f, judge_address_present, "db2", ssh_reply(0, on), VERDICT_MET, "eth0");
        expect(&f, judge_address_present, "db2", ssh_reply(0, ""), VERDICT_UNMET, "not there yet");
        expect(&f, judge_address_present, "db2", ssh_reply(0, "told by perl\n"), VERDICT_UNMET, "not there yet");
        expect(&f, judge_address_present, "db2", ssh_reply(0, "told by perl\n2: eth0    inet 10.0.0.100/24 scope\n"),
               VERDICT_MET, "is on eth0: the network was told");
        expect(&f, judge_address_present, "db2", ssh_reply(0, "told by nothing\n2: eth0    inet 10.0.0.100/24 scope\n"),
               VERDICT_MET, "THE NETWORK WAS NOT TOLD");
        expect_act(&f, act_address_remove, "db1", NULL, "ip addr del");
        expect_act(&f, act_address_add, "db2", NULL, "ip addr add 10.0.0.100/24 dev eth0; ");
        expect(&f, judge_address_ready, "db2", ssh_reply(0, "ready"), VERDICT_MET, "waits for the word");
        expect(&f, judge_address_ready, "db2", ssh_reply(0, "later"), VERDICT_MET, "lacks perl");
        Script ready = { 0 }, adding = { 0 };
        ask_address_ready(&f.facts, "db2", &ready);
        act_address_add(&f.facts, "db2", NULL, &adding);
        assert_int_equal(ready.items[0].kind, SCRIPT_READY);
        assert_true(adding.items[0].on_word);
        assert_string_equal(ready.items[0].text, adding.items[0].text);
        script_done(&ready);
        script_done(&adding);
        configure(&f, "{\"address\": {\"ip\": \"fd00::64/64\", \"device\": \"eth0\"}}");
        expect_act(&f, act_address_add, "db2", NULL, "ip addr add fd00::64/64 dev eth0 nodad preferred_lft 0; ");
        expect_act(&f, act_address_add, "db2", NULL, " eth0 fd00::64 fd000000000000000000000000000064 ");
        facts_done(&f.facts);
}

static void expect_loss(const Fixture *f, const char *verdict, const char *proof)
{
        Judgement judgement = { 0 };
        decide_nothing_missing(&f->facts, &judgement);
        const Json *loss = json_get(judgement.learned, "loss");
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(loss, "verdict"), verdict);
        if (!strstr(json_get_string(loss, "proof"), proof))
                fail_msg("%s does not say %s", json_get_string(loss, "proof"), proof);
        json_free(judgement.learned);
}

static void test_loss(void **state)
{
        Fixture f = fixture(false);
        const char *at_900 = "{\"frozen\": true, \"channels\": [{\"name\": \"\", \"received\": \"binlog.000003:900\", "
                             "\"applied\": \"binlog.000003:900\"}]}";
        const char *at_950 = "{\"frozen\": true, \"channels\": [{\"name\": \"\", \"received\": \"binlog.000003:950\", "
                             "\"applied\": \"binlog.000003:950\"}]}";
        Judgement judgement = { 0 };
        learn(&f, "db2", at_900);
        learn(&f, "db3", at_900);
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(json_get(judgement.learned, "loss"), "verdict"), "unknown");
        json_free(judgement.learned);

        judgement = (Judgement){ 0 };
        /* Semi-sync: as long as it has not gone on alone. */
        learn(&f, "db1", "{\"semi_sync_active\": true, \"semi_sync_timeout\": 10000000}");
        learn(&f, "db1", "{\"semi_sync_since\": 1000000000}");
        learn(&f, NULL, "{\"fenced_at\": 1009000000}");
        decide_nothing_missing(&f.facts, &judgement);
        assert_string_equal(json_get_string(json_get(judgement.learned, "loss"), "verdict"), "none");
        json_free(judgement.learned);
        learn(&f, "db1", "{\"semi_sync_waiting\": 2, \"semi_sync_since\": 0}");
        expect_loss(&f, "unknown", "how long the 2 sessions have waited");
        learn(&f, "db1", "{\"semi_sync_waiting\": 0, \"semi_sync_since\": 1000000000}");
        learn(&f, NULL, "{\"fenced_at\": 1010500000}");
        expect_loss(&f, "unknown", "alone after 10.0 s, and one may have waited for 10.5 s");
        learn(&f, NULL, "{\"fenced_at\": 999000000}");
        expect_loss(&f, "unknown", "cannot be known");
        learn(&f, NULL, "{\"fenced_at\": null}");
        expect_loss(&f, "unknown", "is not known to be fenced");
        learn(&f, "db1", "{\"semi_sync_timeout\": 4294967295000}");
        expect_loss(&f, "none", "(semi-sync)");
        learn(&f, "db1", "{\"semi_sync_timeout\": 0}");
        learn(&f, NULL, "{\"fenced_at\": 1001000000}");
        expect_loss(&f, "unknown", "alone after 0.0 s");

        judgement = (Judgement){ 0 };
        learn(&f, "db3", at_950);
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "binlog.000003:950"));
        json_free(judgement.learned);

        judgement = (Judgement){ 0 };
        learn(&f, "db3", at_900);
        learn(&f, "db1", "{\"binlog\": \"binlog.000004:120\", \"binlog_read\": true}");
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(json_get(judgement.learned, "loss"), "verdict"), "lost");
        json_free(judgement.learned);
        facts_done(&f.facts);
}

static const char *const listing = "index /var/lib/mysql/binlog.index\n"
                                   "300 /var/lib/mysql/binlog.000002\n"
                                   "2000 /var/lib/mysql/binlog.000003\n"
                                   "500 /var/lib/mysql/binlog.000004\n";

static Fixture rescue_fixture(bool mariadb)
{
        Fixture f = fixture(mariadb);
        configure(&f, "{\"rescue\": {\"enabled\": true}}");
        learn(&f, "db2",
              "{\"frozen\": true, \"server_id\": 2, \"channels\": [{\"name\": \"\", \"source_host\": \"db1\", "
              "\"source_port\": 3306, \"tls\": true, \"received\": \"binlog.000003:900\", "
              "\"applied\": \"binlog.000003:900\"}]}");
        learn(&f, "db3",
              "{\"frozen\": true, \"channels\": [{\"name\": \"\", \"received\": \"binlog.000003:700\", "
              "\"applied\": \"binlog.000003:600\"}]}");
        learn(&f, "db1", "{\"host_reached\": true, \"log_bin_index\": \"/var/lib/mysql/binlog.index\"}");
        return f;
}

static void test_tail_is_found(void **state)
{
        Fixture f = rescue_fixture(false);
        assert_false(skip_find_tail(&f.facts));
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        assert_int_equal(judgement.verdict, VERDICT_MET);
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        Position end = tail_end(&f.facts);
        assert_string_equal(end.file, "binlog.000004");
        assert_int_equal(end.offset, 500);
        assert_false(skip_collect_tail(&f.facts));
        expect(&f, judge_tail_found, "db1", ssh_reply(4, ""), VERDICT_HOPELESS, "cannot be listed");
        /* In the index, and not there, or not to be looked at: what the last one holds cannot be told then. */
        expect(&f, judge_tail_found, "db1", ssh_reply(0, "index /x\n- /x/binlog.000001\n"), VERDICT_HOPELESS,
               "names, /x/binlog.000001, cannot be looked at");
        expect(&f, judge_tail_found, "db1", ssh_reply(0, "index /x\n500 /x/binlog.000007\n- /x/binlog.000008\n"),
               VERDICT_HOPELESS, "names, /x/binlog.000008, cannot be looked at");
        expect(&f, judge_tail_found, "db1", ssh_reply(0, "index /x\n- /x/binlog.000007\n500 /x/binlog.000008\n"),
               VERDICT_MET, "ends at binlog.000008:500");
        expect(&f, judge_tail_found, "db1", ssh_reply(0, "index /x\n"), VERDICT_HOPELESS, "names none");
        /* Numbers that no file has: of a host that is not what it says. */
        expect(&f, judge_tail_found, "db1",
               ssh_reply(0, "index /x\n9007199254740993 /x/a\n-1 /x/b\n99999999999999999999 /x/c\n"), VERDICT_HOPELESS,
               "names, /x/c, cannot be looked at");
        learn(&f, "db2",
              "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000004:500\", "
              "\"applied\": \"binlog.000003:900\"}]}");
        assert_true(skip_collect_tail(&f.facts));
        facts_done(&f.facts);
        /* A host that let nobody in is not waited for. */
        Fixture g = rescue_fixture(false);
        learn(&g, "db1", "{\"host_reached\": null}");
        assert_true(skip_find_tail(&g.facts));
        configure(&g, "{\"fence\": {\"stop_process\": false}}");
        assert_false(skip_find_tail(&g.facts));
        facts_done(&g.facts);
}

static Replies *collected(const char *list, const char *look)
{
        Replies *replies = replies_new(2);
        replies->items[0].run = replies->items[1].run = true;
        replies->items[0].out = alloc_string(list ? list : "");
        if (!list)
                failure_set(&replies->items[0].failure, FAILURE_SSH, 0, "no route to host");
        replies->items[1].out = look ? alloc_string(look) : NULL;
        if (!look)
                failure_set(&replies->items[1].failure, FAILURE_SYSTEM, 28, "no space left on device");
        return replies;
}

static void test_tail_is_collected(void **state)
{
        Fixture f = rescue_fixture(false);
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        const char *nothing = "{\"sources\": {}, \"answers\": {}}";
        const char *copying =
                "{\"sources\": {\"db1\": {\"state\": \"copying\", \"n_files\": 2, \"bytes\": 5, \"total\": 1900}}}";
        const char *done =
                "{\"directory\": \"/d\", \"sources\": {\"db1\": {\"state\": \"done\", \"n_files\": 2, \"bytes\": 1900, "
                "\"total\": 1900, \"verified\": true}}, \"answers\": {\"db2\": {\"complete\": true}}}";
        const char *lost =
                "{\"sources\": {\"db1\": {\"state\": \"failed\", \"n_files\": 2, \"end\": \"lost\", \"failure\": "
                "\"the session ended\"}}}";
        const char *forbidden =
                "{\"sources\": {\"db1\": {\"state\": \"failed\", \"n_files\": 2, \"end\": \"forbidden\", "
                "\"failure\": \"permission denied\"}}}";
        expect(&f, judge_tail_collected, "db1", collected(listing, nothing), VERDICT_UNMET, "1900 bytes");
        /* From where the lowest replica stands. */
        expect_act(&f, act_collect_tail, "db1", collected(listing, nothing),
                   "\"file\":\"binlog.000003\",\"path\":\"/var/lib/mysql/binlog.000003\",\"from\":600,\"to\":2000");
        expect(&f, judge_tail_collected, "db1", collected(listing, copying), VERDICT_UNMET, "5 of 1900");
        expect_act(&f, act_collect_tail, "db1", collected(listing, copying), NULL);
        expect(&f, judge_tail_collected, "db1", collected(listing, lost), VERDICT_UNMET, "session ended");
        expect_act(&f, act_collect_tail, "db1", collected(listing, lost), "collect");
        expect(&f, judge_tail_collected, "db1", collected(NULL, lost), VERDICT_HOPELESS, "session ended");
        expect(&f, judge_tail_collected, "db1", collected(listing, forbidden), VERDICT_HOPELESS, "permission denied");
        expect(&f, judge_tail_collected, "db1", collected(listing, NULL), VERDICT_HOPELESS, "no space left");
        expect(&f, judge_tail_collected, "db1", collected(listing, done), VERDICT_MET,
               "1900 bytes are saved and verified");
        /* It grew under our hands. */
        const char *grown = "index /x\n2000 /var/lib/mysql/binlog.000003\n9500 /var/lib/mysql/binlog.000004\n";
        expect(&f, judge_tail_collected, "db1", collected(grown, done), VERDICT_UNMET, "grown");
        expect_act(&f, act_collect_tail, "db1", collected(grown, done), "9500");
        facts_done(&f.facts);
}

static Replies *look_reply(const char *look)
{
        Replies *replies = replies_new(1);
        replies->items[0].run = true;
        replies->items[0].out = alloc_string(look);
        return replies;
}

static void weigh(Fixture *f, const char *answer)
{
        CLEANUP(mem_free) char *look = text_format("{\"directory\": \"/d\", \"answers\": {\"db2\": %s}}", answer);
        Judgement judgement = judge(f, judge_weighed, "db2", look_reply(look));
        assert_int_equal(judgement.verdict, VERDICT_MET);
        facts_learn(&f->facts, "db2", judgement.learned);
        json_free(judgement.learned);
}

static const char *const more = "{\"complete\": true, \"end\": \"binlog.000004:500\", \"last\": \"binlog.000004:500\", "
                                "\"n_transactions\": 7, \"bytes\": 1600, \"exact\": true, \"lacks\": \"0-1-99\"}";
static const char *const hole = "{\"complete\": false, \"end\": \"binlog.000003:950\", \"holes\": [\"nothing is there "
                                "between binlog.000003:950 and binlog.000004:4\"]}";

static void test_weighing(void **state)
{
        Fixture f = rescue_fixture(false);
        learn(&f, "db1", "{\"saved\": {\"bytes\": 1600}}");
        assert_false(skip_weigh(&f.facts));
        weigh(&f, "{\"complete\": true, \"end\": \"binlog.000003:900\"}");
        assert_true(skip_rescue(&f.facts));
        weigh(&f, more);
        assert_false(skip_rescue(&f.facts));
        assert_true(skip_tail_is_enough(&f.facts));
        learn(&f, "db2", "{\"saved\": null}");
        weigh(&f, hole);
        assert_false(skip_tail_is_enough(&f.facts));
        Judgement judgement = { 0 };
        decide_tail_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "between binlog.000003:950 and binlog.000004:4"));
        assert_non_null(strstr(judgement.why, "--accept-loss 'binlog.000003:950 - unknown'"));
        json_free(judgement.learned);
        /* A smaller loss, as that of an earlier run, is not this one. */
        learn(&f, "db1", "{\"tail\": {\"end\": \"binlog.000004:500\"}}");
        configure(&f, "{\"election\": {\"accept_loss\": \"binlog.000003:950 - binlog.000004:4\"}}");
        judgement = (Judgement){ 0 };
        decide_tail_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "not what was accepted ('binlog.000003:950 - binlog.000004:4'). To"));
        assert_non_null(strstr(judgement.why, "--accept-loss 'binlog.000003:950 - binlog.000004:500'"));
        json_free(judgement.learned);
        configure(&f, "{\"election\": {\"accept_loss\": \"binlog.000003:950-binlog.000004:500\"}}");
        judgement = (Judgement){ 0 };
        decide_tail_is_enough(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(judgement.learned, "accepted_loss"),
                            "binlog.000003:950 - binlog.000004:500");
        json_free(judgement.learned);
        facts_done(&f.facts);

        /* hold: what cannot be read is not passed over. */
        Fixture g = rescue_fixture(false);
        assert_true(skip_tail_is_enough(&g.facts));
        configure(&g, "{\"rescue\": {\"on_unreachable_tail\": \"hold\"}}");
        assert_false(skip_tail_is_enough(&g.facts));
        judgement = (Judgement){ 0 };
        decide_tail_is_enough(&g.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "host cannot be reached"));
        json_free(judgement.learned);
        facts_done(&g.facts);
}

/* Each name is exact, whatever it is made of, and can be typed. */
static void test_names_of_losses(void **state)
{
        static const struct {
                const char *said, *loss;
                bool named;
        } rows[] = {
                { NULL, "unknown", false },
                { "", "unknown", false },
                { "", "", false },
                { "unknown", "unknown", true },
                { "unknow", "unknown", false },
                { "unknown1", "unknown", false },
                { "what it says", "unknown", false },
                { "a.1:4-a.1:9", "a.1:4 - a.1:9", true },
                { "a.1:4 - a.1:99", "a.1:4 - a.1:9", false },
                { "x ; a.1:4 - a.1:9;y", "a.1:4 - a.1:9", true },
                { "x;;y", "x", true },
                { "x;;y", "y", true },
                { "x;;y", "xy", false },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
                assert_int_equal(loss_is_named(rows[i].said, rows[i].loss), rows[i].named);
        Fixture f = fixture(false);
        CLEANUP(mem_free) char *quoted = loss_remedy(&f.facts, "it's:4");
        assert_string_equal(quoted, "To go on without it: mhactl failover app1 --accept-loss 'it'\\''s:4'");
        Text text = { 0 };
        for (int i = 0; i < 100; i++)
                text_add(&text, "0-1-99,");
        CLEANUP(mem_free) char *all = text_take(&text);
        CLEANUP(mem_free) char *most = text_format("%s1-1-1", all);
        CLEANUP(mem_free) char *remedy = loss_remedy(&f.facts, most);
        assert_true(strlen(remedy) < 300);
        const char *word = strchr(remedy, '\'') + 1;
        CLEANUP(mem_free) char *typed = alloc_string_n(word, strcspn(word, "'"));
        assert_true(loss_is_named(typed, most));
        assert_false(loss_is_named(typed, all));
        facts_done(&f.facts);
}

static Judgement decide_tail(const Fixture *f)
{
        Judgement judgement = { 0 };
        assert_false(skip_tail_is_enough(&f->facts));
        decide_tail_is_enough(&f->facts, &judgement);
        return judgement;
}

/* Why collecting ended, as it is when its time is out and as it is at once. */
static void fail_to_collect(Fixture *f, const char *list, const char *look)
{
        Judgement judgement = judge(f, judge_tail_collected, "db1", collected(list, look));
        assert_int_not_equal(judgement.verdict, VERDICT_MET);
        facts_learn(&f->facts, "db1", judgement.learned);
        json_free(judgement.learned);
}

/* What is known to be on a host that answers is not passed over; what cannot be reached any more, as the policy says. */
static void test_not_saved(void **state)
{
        const char *full = "{\"sources\": {\"db1\": {\"state\": \"failed\", \"n_files\": 2, \"end\": \"local\", "
                           "\"failure\": \"cannot write /rescue/x: No space left on device\"}}}";
        const char *slow = "{\"sources\": {\"db1\": {\"state\": \"copying\", \"n_files\": 2, \"bytes\": 5, \"total\": "
                           "1900}}, \"answers\": {}}";
        const char *cut = "{\"sources\": {\"db1\": {\"state\": \"failed\", \"n_files\": 2, \"end\": \"lost\", "
                          "\"failure\": \"the session ended\"}}}";
        const struct {
                const char *list, *look, *says, *type; /* says NULL: it goes on by default */
        } rows[] = {
                { listing, full, "No space left", "Make room" },
                { listing, slow, "5 of 1900", "failover.apply_timeout" },
                { listing, cut, "session ended", "Put that right" },
                { listing, NULL, "no space left", "Make room" },
                { NULL, full, "No space left", "Make room" }, /* a session that breaks makes no room */
                { NULL, slow, "5 of 1900", "failover.apply_timeout" },
                { NULL, cut, NULL, NULL },
                { NULL, NULL, NULL, NULL }, /* nothing was learned: nobody answered at all */
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                Fixture f = rescue_fixture(false);
                Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
                facts_learn(&f.facts, "db1", judgement.learned);
                json_free(judgement.learned);
                if (rows[i].list || rows[i].look)
                        fail_to_collect(&f, rows[i].list, rows[i].look);
                judgement = decide_tail(&f);
                assert_int_equal(judgement.verdict, rows[i].says ? VERDICT_HOPELESS : VERDICT_MET);
                if (rows[i].says) {
                        assert_non_null(strstr(judgement.why, "binlog.000003:900 - binlog.000004:500"));
                        assert_non_null(strstr(judgement.why, rows[i].says));
                        assert_non_null(strstr(judgement.why, rows[i].type));
                        assert_non_null(strstr(judgement.why, "then: mhactl failover app1."));
                        assert_non_null(strstr(judgement.why, "--accept-loss"));
                }
                json_free(judgement.learned);
                configure(&f, "{\"rescue\": {\"on_unreachable_tail\": \"hold\"}}");
                judgement = decide_tail(&f);
                assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
                if (!rows[i].says)
                        assert_non_null(strstr(judgement.why, "--accept-loss 'unknown'"));
                json_free(judgement.learned);
                for (int j = 0; j < 2; j++) {
                        configure(&f, j ? "{\"election\": {\"accept_loss\": \"binlog.000003:900 - binlog.000004:500\"}}"
                                        : "{\"election\": {\"accept_loss\": \"unknown\"}}");
                        judgement = decide_tail(&f);
                        assert_int_equal(judgement.verdict, j || !rows[i].says ? VERDICT_MET : VERDICT_HOPELESS);
                        json_free(judgement.learned);
                }
                /* What others have received can be had from them. */
                learn(&f, "db2",
                      "{\"saved\": {\"complete\": true, \"end\": \"binlog.000004:400\", \"torn\": "
                      "\"binlog.000004:500\"}}");
                assert_true(skip_tail_is_enough(&f.facts));
                learn(&f, "db2", "{\"saved\": null}");
                json_set_string(f.facts.root, "donor", "db3");
                learn(&f, "db3", "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000004:500\"}]}");
                assert_false(skip_tail_is_enough(&f.facts));
                json_set_string(f.facts.root, "mode", "mysql_gtid");
                assert_true(skip_tail_is_enough(&f.facts));
                facts_done(&f.facts);
        }
}

static Replies *rescued_of(const Fixture *f, const Replica *replica, const char *look)
{
        Replies *replies = replies_new(_STATUS_MAX + 1);
        set_status(f, replies, 0, replica);
        replies->items[_STATUS_MAX].run = true;
        replies->items[_STATUS_MAX].out = alloc_string(look);
        return replies;
}

static void test_feeding(void **state)
{
        const char *none = "{\"feeds\": {}}";
        const char *opening = "{\"feeds\": {\"db2\": {\"state\": \"opening\", \"port\": 0}}}";
        const char *waits =
                "{\"feeds\": {\"db2\": {\"state\": \"waiting\", \"host\": \"127.0.0.1\", \"port\": 4711, \"user\": "
                "\"mhad_feed\", \"end\": \"binlog.000004:500\"}}}";
        const char *level =
                "{\"feeds\": {\"db2\": {\"state\": \"level\", \"host\": \"127.0.0.1\", \"port\": 3306, \"user\": "
                "\"mhad_feed\", \"from\": \"binlog.000003:900\", \"end\": \"binlog.000004:500\", \"sent\": 1600}}}";
        const char *failed = "{\"feeds\": {\"db2\": {\"state\": \"failed\", \"failure\": \"it is ahead\"}}}";
        Fixture f = rescue_fixture(false);
        weigh(&f, more);
        assert_false(skip_settle(&f.facts));
        expect(&f, judge_feed_waits, "db2", look_reply(none), VERDICT_UNMET, "no feed");
        expect_act(&f, act_order_feed, "db2", look_reply(none),
                   "\"expected\":\"binlog.000003:900\",\"end\":\"binlog.000004:500\"");
        expect_act(&f, act_order_feed, "db2", look_reply(opening), NULL);
        expect(&f, judge_feed_waits, "db2", look_reply(opening), VERDICT_UNMET, "being opened");
        expect(&f, judge_feed_waits, "db2", look_reply(failed), VERDICT_HOPELESS, "ahead");
        /* How it was is on record before it is changed. */
        Judgement judgement = judge(&f, judge_feed_waits, "db2", look_reply(waits));
        assert_int_equal(judgement.verdict, VERDICT_MET);
        const Json *former = json_get(judgement.learned, "former");
        assert_string_equal(json_get_string(former, "host"), "db1");
        assert_true(json_get_bool(former, "tls", false));
        facts_learn(&f.facts, "db2", judgement.learned);
        json_free(judgement.learned);

        Replica fed = idle, ended = idle;
        fed.source = ended.source = "127.0.0.1";
        fed.receiver = ended.receiver = "Yes";
        ended.received_file = "binlog.000004";
        ended.received = "500";
        expect_act(&f, act_rescue, "db2", rescued_of(&f, &idle, none), "\"feed\"");
        expect_act(&f, act_rescue, "db2", rescued_of(&f, &idle, opening), NULL);
        expect(&f, judge_rescued, "db2", rescued_of(&f, &idle, waits), VERDICT_UNMET, "not pointed");
        expect_act(&f, act_rescue, "db2", rescued_of(&f, &idle, waits),
                   "MASTER_PASSWORD = ${feed_password}, MASTER_LOG_FILE = 'binlog.000003', MASTER_LOG_POS = 900");
        expect_act(&f, act_rescue, "db2", rescued_of(&f, &idle, waits), "MASTER_SSL = 0");
        expect(&f, judge_rescued, "db2", rescued_of(&f, &fed, level), VERDICT_UNMET,
               "binlog.000003:900 of binlog.000004:500");
        /* A little is applied at once, and much is not waited for here. */
        const char *much = "{\"feeds\": {\"db2\": {\"state\": \"level\", \"host\": \"127.0.0.1\", \"port\": 3306, "
                           "\"user\": \"mhad_feed\", \"end\": \"binlog.000004:500\", \"sent\": 2000000}}}";
        Replica applied = ended;
        applied.applied_file = "binlog.000004";
        applied.applied = "500";
        expect(&f, judge_rescued, "db2", rescued_of(&f, &ended, level), VERDICT_UNMET, "applies");
        expect(&f, judge_rescued, "db2", rescued_of(&f, &ended, much), VERDICT_MET, "binlog.000004:500");
        expect(&f, judge_rescued, "db2", rescued_of(&f, &applied, level), VERDICT_MET, "binlog.000004:500");
        expect(&f, judge_rescued, "db2", rescued_of(&f, &fed, failed), VERDICT_HOPELESS, "ahead");
        /* Back to where it came from, as it was. */
        {
                CLEANUP(script_done) Script script = { 0 };
                CLEANUP(replies_free) Replies *replies = status_of(&f, &fed);
                act_restore_receiver(&f.facts, "db2", replies, &script);
                assert_int_equal(script.n_items, 1); /* where it is when its applier has stopped is not known yet */
                assert_string_equal(script.items[0].text, "STOP SLAVE");
        }
        fed.applier = "No";
        expect_act(&f, act_restore_receiver, "db2", status_of(&f, &fed), "MASTER_SSL = 1");
        /* The feed's password is left to no account that has none. */
        fed.user = "mhad_feed";
        configure(&f, "{\"replication\": {\"user\": \"repl\", \"has_password\": false}}");
        expect_act(&f, act_restore_receiver, "db2", status_of(&f, &fed), "MASTER_PASSWORD = ''");
        configure(&f, "{\"replication\": {\"has_password\": true}}");
        expect_act(&f, act_restore_receiver, "db2", status_of(&f, &fed), "MASTER_PASSWORD = ${replication_password}");
        fed.user = NULL;
        fed.applier = "Yes";
        facts_done(&f.facts);

        Fixture g = rescue_fixture(true);
        weigh(&g, more);
        Replica has = ended;
        has.io_gtid = has.slave_gtid = "0-1-99";
        expect_act(&g, act_rescue, "db2", rescued_of(&g, &idle, waits), "MASTER_USE_GTID = slave_pos");
        expect(&g, judge_rescued, "db2", rescued_of(&g, &ended, level), VERDICT_UNMET, "received up to");
        expect(&g, judge_rescued, "db2", rescued_of(&g, &has, level), VERDICT_MET, "binlog.000004:500");
        facts_done(&g.facts);

        /* MySQL from 8.0 on: the applier runs on, and what was received stays. */
        Fixture h = rescue_fixture(false);
        learn(&h, "db2", "{\"version\": \"8.0.20\"}");
        learn(&h, "db2",
              "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000003:900\", "
              "\"applied\": \"binlog.000003:600\"}]}");
        weigh(&h, more);
        assert_false(skip_settle(&h.facts));
        expect_act(&h, act_order_feed, "db2", look_reply(none), "\"expected\":\"binlog.000003:900\"");
        expect_act(&h, act_rescue, "db2", rescued_of(&h, &idle, waits), "MASTER_LOG_POS = 900");
        /* They stay as long as the applier runs, which what it has not applied may make it stop. */
        Replica stopped = idle, works = idle;
        stopped.applier = "No";
        works.applied = "600";
        works.state = "Reading event from the relay log";
        expect_act(&h, act_rescue, "db2", rescued_of(&h, &works, waits), NULL);
        works.state = idle.state;
        expect_act(&h, act_rescue, "db2", rescued_of(&h, &works, waits), "MASTER_LOG_POS = 900");
        CLEANUP(script_done) Script script = { 0 };
        CLEANUP(replies_free) Replies *replies = rescued_of(&h, &stopped, waits);
        act_rescue(&h.facts, "db2", replies, &script);
        assert_int_equal(script.n_items, 1);
        assert_string_equal(script.items[0].text, "START SLAVE SQL_THREAD");
        facts_done(&h.facts);
}

/* A plan says what would be copied and fed, and asks nobody who would begin with it. */
static void test_rescue_is_planned(void **state)
{
        Fixture f = rescue_fixture(false);
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        json_set_bool(f.facts.root, "planning", true);
        assert_false(skip_rescue(&f.facts));
        assert_false(skip_without_feed(&f.facts));
        assert_true(skip_weigh(&f.facts));
        CLEANUP(script_done) Script script = { 0 };
        ask_feed(&f.facts, "db2", &script);
        ask_collected(&f.facts, "db1", &script);
        assert_true(script_is_empty(&script));
        expect(&f, judge_tail_collected, "db1", replies_new(0), VERDICT_UNMET, "1900 bytes would be copied");
        expect(&f, judge_feed_waits, "db2", replies_new(0), VERDICT_UNMET, "would be fed up to binlog.000004:500");
        expect(&f, judge_rescued, "db2", status_of(&f, &idle), VERDICT_UNMET, "would be pointed");
        expect_act(&f, act_rescue, "db2", status_of(&f, &idle), NULL);
        expect_loss(&f, "unknown", "would be saved and fed");
        facts_done(&f.facts);
}

/* The saved bytes are there: only somebody who says so goes on without them, and is told why. */
static void test_not_fed(void **state)
{
        Fixture f = rescue_fixture(false);
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        learn(&f, "db1", "{\"saved\": {\"bytes\": 1600, \"directory\": \"/d\"}}");
        weigh(&f, more);
        judgement = judge(
                &f, judge_feed_waits, "db2",
                look_reply("{\"feeds\": {\"db2\": {\"state\": \"opening\", \"port\": 0, \"failure\": \"no way\"}}}"));
        assert_int_equal(judgement.verdict, VERDICT_UNMET);
        facts_learn(&f.facts, "db2", judgement.learned);
        json_free(judgement.learned);
        assert_true(skip_without_feed(&f.facts));
        judgement = (Judgement){ 0 };
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "no way"));
        json_free(judgement.learned);
        facts_done(&f.facts);
}

/* As ask_repoint() brings it for one that can be fed. */
static Replies *fed_of(const Fixture *f, const Replica *replica, const char *look)
{
        Replies *replies = replies_new(_STATUS_MAX + 3);
        set_replica(f, &replies->items[0], replica);
        set_status(f, replies, 2, replica);
        replies->items[2 + _STATUS_MAX].run = true;
        replies->items[2 + _STATUS_MAX].out = alloc_string(look);
        return replies;
}

/* By position the others are fed what they lack, and attached only then. */
static void test_repoint_fed(void **state)
{
        Fixture f = rescue_fixture(false);
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        learn(&f, "db2", "{\"drained_at\": \"binlog.000004:500\", \"open_position\": \"binlog.000007:777\"}");
        Replica behind = idle, fed = idle, ended = idle, ahead = idle;
        behind.received = behind.applied = "600";
        fed.source = ended.source = "127.0.0.1";
        fed.receiver = ended.receiver = "Yes";
        ended.received_file = ended.applied_file = ahead.received_file = ahead.applied_file = "binlog.000004";
        ended.received = ended.applied = "500";
        ahead.received = ahead.applied = "700";
        const char *nothing = "{\"sources\": {}, \"feeds\": {}}";
        const char *hole_there =
                "{\"sources\": {\"db1\": {\"state\": \"done\", \"total\": 9000}}, \"feeds\": {}, \"answers\": "
                "{\"db3\": {\"complete\": false, \"holes\": [\"a hole\"]}}}";
        const char *saved = "{\"sources\": {\"db1\": {\"state\": \"done\"}}, \"feeds\": {}, \"answers\": {\"db3\": "
                            "{\"complete\": true, \"end\": \"binlog.000004:500\"}}}";
        const char *waits =
                "{\"feeds\": {\"db3\": {\"state\": \"waiting\", \"host\": \"127.0.0.1\", \"port\": 4711, \"end\": "
                "\"binlog.000004:500\"}}}";
        const char *sends =
                "{\"feeds\": {\"db3\": {\"state\": \"sending\", \"host\": \"127.0.0.1\", \"port\": 3306, \"end\": "
                "\"binlog.000004:500\"}}}";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, nothing), VERDICT_UNMET, "to be copied: 1900");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &behind, nothing), "\"from\":600");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, hole_there), VERDICT_HOPELESS, "a hole");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, saved), VERDICT_UNMET, "is saved");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &behind, saved), "\"end\":\"binlog.000004:500\"");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &behind, waits), "MASTER_LOG_POS = 600");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &fed, sends), VERDICT_UNMET, "is fed");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &fed, sends), NULL);
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &ended, sends), "MASTER_LOG_FILE = 'binlog.000007'");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &ended, sends), "\"unfeed\"");
        /* At the end just now, and on the way to more. */
        Replica passing = idle;
        passing.received_file = passing.applied_file = "binlog.000004";
        passing.received = "700";
        passing.applied = "500";
        passing.state = "Reading event from the relay log";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &passing, nothing), VERDICT_UNMET, "it applies");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &passing, nothing), NULL);
        passing.applier = "No";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &passing, nothing), VERDICT_UNMET, "has applied everything");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &ahead, nothing), VERDICT_HOPELESS, "left as it is");
        /* It has followed the old primary into the file that it began when it was started again. */
        Replica followed = idle;
        followed.received_file = followed.applied_file = "binlog.000005";
        followed.received = followed.applied = "158";
        const char *none = "{\"sources\": {\"db1\": {\"state\": \"done\"}}, \"feeds\": {}, \"answers\": {\"since\": "
                           "{\"holes\": [], \"bytes\": 154, \"n_transactions\": 0}}}";
        const char *some = "{\"sources\": {\"db1\": {\"state\": \"done\"}}, \"feeds\": {}, \"answers\": {\"since\": "
                           "{\"holes\": [], \"bytes\": 154, \"n_transactions\": 1}}}";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &followed, nothing), VERDICT_UNMET, "is to be read");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &followed, nothing), "\"file\":\"binlog.000005\"");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &followed, none), VERDICT_UNMET, "no transaction");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &followed, none), "MASTER_LOG_FILE = 'binlog.000007'");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &followed, some), VERDICT_HOPELESS, "1 transactions");
        followed.received_file = followed.applied_file = "binlog.000006";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &followed, none), VERDICT_HOPELESS, "more than once");
        /* One that could not be asked in time is fed, too, if it is known where it stood and it has not gone back since. */
        learn(&f, "db3",
              "{\"frozen\": null, \"channels\": [{\"name\": \"\", \"source_host\": \"db1\", \"source_port\": 3306, "
              "\"received\": \"binlog.000003:600\", \"applied\": \"binlog.000003:600\"}]}");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, saved), VERDICT_UNMET, "is saved");
        /* It has applied what it had received meanwhile: a hole before that does not matter. */
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, hole_there), VERDICT_HOPELESS, "a hole");
        behind.received = behind.applied = "650";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, hole_there), VERDICT_UNMET, "which it lacks");
        expect_act(&f, act_follow_candidate, "db3", fed_of(&f, &behind, hole_there), "\"feed\"");
        behind.received = behind.applied = "600";
        /* It was pointed at a feed that is there no longer. */
        behind.source = "127.0.0.1";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, saved), VERDICT_HOPELESS, "not the old primary");
        behind.user = "mhad_feed";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, saved), VERDICT_UNMET, "is saved");
        behind = idle;
        behind.received = behind.applied = "500";
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, saved), VERDICT_HOPELESS, "skip");
        learn(&f, "db3", "{\"channels\": null}");
        expect(&f, judge_follows_candidate, "db3", fed_of(&f, &behind, saved), VERDICT_HOPELESS, "skip");
        facts_done(&f.facts);
}

/* The old primary's host is gone: what db2 has received and db3 lacks is in db2's relay logs. */
static void test_relay_logs(void **state)
{
        Fixture f = rescue_fixture(false);
        learn(&f, "db1", "{\"host_reached\": null}");
        learn(&f, "db2",
              "{\"relay_log_index\": \"/data/relay.index\", \"channels\": [{\"name\": \"\", \"relay_file\": "
              "\"./relay.000003\", \"received\": \"binlog.000003:900\", \"applied\": \"binlog.000003:900\"}]}");
        assert_false(skip_collect_relays(&f.facts));
        expect(&f, judge_relays_collected, "db3", replies_new(0), VERDICT_MET, "no other replica lacks");
        const char *list =
                "index /data/relay.index\n400 /data/relay.000001\n500 /data/relay.000002\n600 /data/relay.000003\n"
                "100 /data/relay.000004\n";
        const char *nothing = "{\"sources\": {}, \"answers\": {}}";
        const char *two = "{\"sources\": {\"db2\": {\"state\": \"done\", \"n_files\": 2}}, \"answers\": {\"db3\": "
                          "{\"complete\": false}}}";
        const char *all = "{\"sources\": {\"db2\": {\"state\": \"done\", \"n_files\": 4}}, \"answers\": {\"db3\": "
                          "{\"complete\": false}}}";
        const char *half = "{\"sources\": {\"db2\": {\"state\": \"done\", \"n_files\": 2}}, \"answers\": {\"db3\": "
                           "{\"complete\": true, "
                           "\"end\": \"binlog.000003:800\", \"torn\": \"binlog.000003:900\"}}}";
        expect(&f, judge_relays_collected, "db2", collected(list, nothing), VERDICT_UNMET, "2 of its relay logs");
        /* From the one that is applied on it is known where they begin. */
        expect_act(&f, act_collect_relays, "db2", collected(list, nothing),
                   "\"files\":[{\"file\":\"relay.000003\",\"path\":\"/data/relay.000003\",\"from\":0,\"to\":600}");
        expect_act(&f, act_collect_relays, "db2", collected(list, nothing), "\"start\":\"binlog.000003:0\"");
        /* One that the list does not have tells nothing of those that it has. */
        const char *others = "index /data/relay.index\n400 /data/relay.000001\n";
        expect_act(&f, act_collect_relays, "db2", collected(others, nothing), "\"start\":\"\"");
        expect(&f, judge_relays_collected, "db2", collected(list, two), VERDICT_UNMET, "4 of its relay logs");
        expect_act(&f, act_collect_relays, "db2", collected(list, two), "\"start\":\"\"");
        expect(&f, judge_relays_collected, "db2", collected(list, all), VERDICT_HOPELESS, "do not reach back");
        expect(&f, judge_relays_collected, "db2", collected(list, half), VERDICT_MET, "2 of its relay logs are saved");
        expect(&f, judge_relays_collected, "db2", collected(NULL, nothing), VERDICT_HOPELESS, "no route");
        expect(&f, judge_relays_collected, "db2",
               collected("index /x\n400 /x/relay.000001\n- /x/relay.000002\n", nothing), VERDICT_HOPELESS,
               "/x/relay.000002, cannot be looked at");
        /* The old primary's own log is better, and so are replicas that are level. */
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        learn(&f, "db1", "{\"saved\": {\"bytes\": 7}}");
        assert_true(skip_collect_relays(&f.facts));
        learn(&f, "db1", "{\"tail\": null, \"saved\": null}");
        learn(&f, "db3",
              "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000003:900\", "
              "\"applied\": \"binlog.000003:600\"}]}");
        assert_true(skip_collect_relays(&f.facts));
        facts_done(&f.facts);
}

/* What one chosen to be fed lacks could not be saved: then the one that has it. */
static void test_choose_again(void **state)
{
        Fixture f = rescue_fixture(false);
        learn(&f, "db2", "{\"log_bin\": true}");
        json_set_string(f.facts.root, "candidate", "db3");
        assert_false(skip_choose_again(&f.facts));
        Judgement judgement = { 0 };
        decide_candidate_again(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(judgement.learned, "candidate"), "db2");
        json_free(judgement.learned);
        learn(&f, "db3", "{\"saved\": {\"needed\": true, \"complete\": true, \"end\": \"binlog.000003:900\"}}");
        assert_true(skip_choose_again(&f.facts));
        facts_done(&f.facts);
}

/* By GTID, too: db3 is to be fed what db2 has and cannot give, from the old primary's log or from db2's relay logs. */
static void test_saved_by_gtid(void **state)
{
        Fixture f = rescue_fixture(true);
        json_set_string(f.facts.root, "candidate", "db3");
        learn(&f, "db1", "{\"host_reached\": null}");
        learn(&f, "db2",
              "{\"relay_log_index\": \"/data/relay.index\", \"log_bin\": true, \"log_slave_updates\": true, "
              "\"gtid_executed\": \"0-1-80\", \"gtid_slave_pos\": \"0-1-80\", \"channels\": [{\"name\": \"\", "
              "\"source_host\": \"db1\", \"source_port\": 3306, \"gtid_retrieved\": \"0-1-90\", \"mode\": "
              "\"slave_pos\", \"applier_errno\": 1062, \"received\": \"binlog.000003:900\", \"applied\": "
              "\"binlog.000003:600\"}]}");
        learn(&f, "db3",
              "{\"log_bin\": true, \"log_slave_updates\": true, \"gtid_executed\": \"0-1-70\", \"gtid_slave_pos\": "
              "\"0-1-70\", \"channels\": [{\"name\": \"\", \"source_host\": \"db1\", \"source_port\": 3306, "
              "\"gtid_retrieved\": \"0-1-70\", \"mode\": \"slave_pos\", \"received\": \"binlog.000003:700\", "
              "\"applied\": \"binlog.000003:700\"}]}");
        Judgement judgement = { 0 };
        decide_candidate(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(judgement.learned, "candidate"), "db3");
        json_free(judgement.learned);

        assert_false(skip_collect_relays(&f.facts));
        expect(&f, judge_relays_collected, "db3", replies_new(0), VERDICT_MET, "no other replica lacks");
        const char *list = "index /data/relay.index\n400 /data/relay.000001\n";
        const char *some = "{\"sources\": {\"db2\": {\"state\": \"done\", \"n_files\": 1}}, \"answers\": {\"db3\": "
                           "{\"complete\": true, \"lacks\": \"0-1-80\"}}}";
        const char *all = "{\"sources\": {\"db2\": {\"state\": \"done\", \"n_files\": 1}}, \"answers\": {\"db3\": "
                          "{\"complete\": true, \"lacks\": \"0-1-90\"}}}";
        expect(&f, judge_relays_collected, "db2", collected(list, some), VERDICT_HOPELESS, "do not reach back");
        expect(&f, judge_relays_collected, "db2", collected(list, all), VERDICT_MET, "1 of its relay logs are saved");

        /* Saved or not. */
        assert_false(skip_choose_again(&f.facts));
        learn(&f, "db3", "{\"saved\": {\"needed\": true, \"complete\": true, \"lacks\": \"0-1-90\"}}");
        assert_true(skip_choose_again(&f.facts));
        learn(&f, "db3", "{\"saved\": {\"complete\": false}}");
        assert_false(skip_choose_again(&f.facts));
        judgement = (Judgement){ 0 };
        decide_candidate_again(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "--accept-loss"));
        json_free(judgement.learned);

        /* Who has a donor needs nothing else. */
        json_set_string(f.facts.root, "donor", "db2");
        assert_true(skip_collect_relays(&f.facts));
        assert_true(skip_choose_again(&f.facts));
        facts_done(&f.facts);
}

/* The hook shut the old primary's host down: whoever was frozen there is gone with it. */
static void test_candidate_went_down(void **state)
{
        for (int off = 0; off <= 1; off++) {
                Fixture f = rescue_fixture(true);
                learn(&f, "db1", "{\"place\": \"10.0.0.1:22\"}");
                learn(&f, "db2", "{\"log_bin\": true, \"place\": \"10.0.0.1:22\", \"promotion\": \"prefer\"}");
                learn(&f, "db3", "{\"log_bin\": true, \"place\": \"10.0.0.3:22\"}");
                if (off)
                        learn(&f, NULL, "{\"fence\": {\"power\": {\"result\": \"x\", \"guarantee\": \"y\"}}}");
                Judgement judgement = { 0 };
                decide_candidate(&f.facts, &judgement);
                assert_int_equal(judgement.verdict, VERDICT_MET);
                assert_string_equal(json_get_string(judgement.learned, "candidate"), off ? "db3" : "db2");
                assert_int_equal(json_array_contains(json_get(judgement.learned, "left_out"), "db2"), off);
                json_free(judgement.learned);
                facts_done(&f.facts);
        }
}

static void test_proof(void **state)
{
        Fixture f = rescue_fixture(false);
        expect_loss(&f, "unknown", "cannot be known");
        Judgement judgement = judge(&f, judge_tail_found, "db1", ssh_reply(0, listing));
        facts_learn(&f.facts, "db1", judgement.learned);
        json_free(judgement.learned);
        learn(&f, "db1", "{\"saved\": {\"failure\": \"the session ended\", \"unreachable\": true}}");
        judgement = decide_tail(&f);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        facts_learn(&f.facts, NULL, judgement.learned);
        json_free(judgement.learned);
        expect_loss(&f, "lost", "binlog.000003:900 - binlog.000004:500 of it could not be copied: the session ended");
        json_set_null(f.facts.root, "tail_lost");
        json_set_null(f.facts.root, "accepted_loss");
        learn(&f, "db1", "{\"saved\": {\"failure\": null, \"bytes\": 1600, \"directory\": \"/d\"}}");
        weigh(&f, more);
        judgement = (Judgement){ 0 };
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "--accept-loss"));
        json_free(judgement.learned);
        configure(&f, "{\"election\": {\"accept_loss\": \"binlog.000003:900 - binlog.000004:500\"}}");
        expect_loss(&f, "lost", "applied up to binlog.000003:900 only");
        /* What is before an accepted hole is another loss; both are to be named. */
        weigh(&f, hole);
        configure(&f, "{\"election\": {\"accept_loss\": \"a; b\"}}");
        json_set_string(f.facts.root, "accepted_loss", "b");
        judgement = (Judgement){ 0 };
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_HOPELESS);
        assert_non_null(strstr(judgement.why, "--accept-loss 'b; binlog.000003:900 - binlog.000003:950'"));
        json_free(judgement.learned);
        configure(&f, "{\"election\": {\"accept_loss\": \"b; binlog.000003:900 - binlog.000003:950\"}}");
        judgement = (Judgement){ 0 };
        decide_nothing_missing(&f.facts, &judgement);
        assert_int_equal(judgement.verdict, VERDICT_MET);
        assert_string_equal(json_get_string(json_get(judgement.learned, "loss"), "accepted"),
                            "b; binlog.000003:900 - binlog.000003:950");
        json_free(judgement.learned);
        learn(&f, "db2",
              "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000003:950\", "
              "\"applied\": \"binlog.000003:950\"}]}");
        expect_loss(&f, "lost", "has holes");
        weigh(&f, more);
        learn(&f, "db2",
              "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000004:500\", "
              "\"applied\": \"binlog.000004:500\"}]}");
        expect_loss(&f, "none", "read to its end at binlog.000004:500");
        learn(&f, "db2", "{\"saved\": null}");
        expect_loss(&f, "none", "it was received to its end");
        /* Its host lost its power, and with it what was not synced. */
        learn(&f, "db1", "{\"binlog\": \"binlog.000004:500\"}");
        expect_loss(&f, "none", "it was received to its end");
        learn(&f, "db1", "{\"binlog\": \"binlog.000004:700\"}");
        expect_loss(&f, "lost", "was seen at binlog.000004:700 and ends at binlog.000004:500 now");
        weigh(&f, more);
        expect_loss(&f, "lost", "was seen at binlog.000004:700");
        learn(&f, "db2",
              "{\"channels\": [{\"name\": \"\", \"received\": \"binlog.000004:800\", "
              "\"applied\": \"binlog.000004:800\"}], \"saved\": null}");
        expect_loss(&f, "unknown", "was seen at binlog.000004:800");
        learn(&f, "db1", "{\"binlog\": \"other.000009:700\"}");
        expect_loss(&f, "unknown", "was seen at binlog.000004:800");
        facts_done(&f.facts);
}

static void test_hooks(void **state)
{
        Fixture f = fixture(false);
        assert_true(skip_prepare_hook(&f.facts));
        configure(&f, "{\"hooks\": {\"prepare\": true}}");
        assert_false(skip_prepare_hook(&f.facts));
        CLEANUP(script_done) Script script = { 0 };
        ask_prepare_hook(&f.facts, "", &script);
        assert_string_equal(json_get_string(json_get(script.items[0].input, "old_primary"), "name"), "db1");
        expect(&f, judge_prepare_hook, "", ssh_reply(0, ""), VERDICT_MET, "ended well");
        expect(&f, judge_prepare_hook, "", ssh_reply(2, ""), VERDICT_HOPELESS, "2");
        facts_done(&f.facts);
}

typedef struct Meanwhile {
        const char *server, *source; /* NULL: it follows nobody */
        int port;
        bool read_only, primary, detaching;
        const char *wanted; /* NULL: nothing was done to it */
} Meanwhile;

static ServerView *present(const Meanwhile *now)
{
        CLEANUP(json_free) Json *json = NULL, *channel = json_object();
        static const char alive[] =
                "{\"evidence\":\"alive\",\"identified\":true,\"ticked\":true,\"replica_read\":true}";
        assert_int_equal(json_parse(alive, strlen(alive), &json, NULL), 0);
        json_set_bool(json, "read_only", now->read_only);
        json_set_string(channel, "source_host", now->source);
        json_set_int(channel, "source_port", now->port ? now->port : 3306);
        if (now->source)
                json_append(json_ensure_array(json, "channels"), json_copy(channel));
        return server_view_from_json(json);
}

static void expect_meanwhile(const Fixture *f, const Meanwhile *now)
{
        CLEANUP(server_view_free) ServerView *view = present(now);
        Present server = { .name = now->server, .view = view, .primary = now->primary };
        CLEANUP(mem_free) char *done = meanwhile_done(&f->facts, now->detaching, &server, 1);
        if (!text_equal(done, now->wanted))
                fail_msg("'%s' instead of '%s'", done ? done : "nothing", now->wanted ? now->wanted : "nothing");
}

static void test_people_at_work(void **state)
{
        static const Meanwhile table[] = {
                { "db1", NULL, .wanted = NULL },
                { "db2", "db1", .read_only = true, .wanted = NULL },
                { "db2", "10.0.0.1", .read_only = true, .wanted = NULL }, /* as it is known to be called */
                { "db2", "10.0.0.9", .read_only = true, .wanted = "db2 follows 10.0.0.9:3306" },
                { "db2", "db3", .read_only = true, .wanted = "db2 follows db3" },
                { "db2", NULL, .read_only = true, .wanted = "db2 follows nobody" },
                { "db2", NULL, .read_only = true, .detaching = true, .wanted = NULL },
                { "db2", NULL, .read_only = true, .detaching = true, .primary = true, .wanted = NULL },
                { "db2", NULL, .detaching = true, .wanted = "db2 takes writes" },
                { "db3", NULL, .read_only = true, .detaching = true, .wanted = "db3 follows nobody" },
                { "db3", NULL, .wanted = "db3 takes writes" },
                { "db3", "db1", .wanted = "db3 takes writes" },
                { "db3", "db2", .read_only = true, .wanted = "db3 follows db2" },
                { "db3", "db1", .read_only = true, .primary = true, .wanted = "db3 is the primary" },
                { "db4", NULL, .read_only = true, .wanted = NULL }, /* it takes no part */
                { "db4", NULL, .wanted = NULL },
                { "db4", NULL, .primary = true, .wanted = "db4 takes writes" },
        };
        static const char known[] = "{\"ticked\": true, \"read_only\": true}";
        Fixture f = fixture(true);
        add_server(&f.facts, "db4", true); /* and it was never seen */
        learn(&f, "db1", "{\"address\": \"10.0.0.1\"}");
        learn(&f, "db2", known);
        learn(&f, "db3", known);
        for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
                expect_meanwhile(&f, &table[i]);
        /* What the run itself has done, or may be about to. */
        json_set_string(f.facts.root, "donor", "db3");
        expect_meanwhile(&f, &(Meanwhile){ "db2", "db3", .read_only = true });
        expect_meanwhile(&f, &(Meanwhile){ "db3", "db2", .read_only = true, .wanted = "db3 follows db2" });
        learn(&f, "db2", "{\"former\": {\"mode\": \"position\"}}");
        expect_meanwhile(&f, &(Meanwhile){ "db2", "127.0.0.1", 40123, .read_only = true });
        /* Replicas that could always be written to. */
        learn(&f, "db3", "{\"read_only\": false}");
        expect_meanwhile(&f, &(Meanwhile){ "db3", "db1" });
        facts_done(&f.facts);
}

static void test_people_at_work_undone(void **state)
{
        Fixture f = fixture(true);
        CLEANUP(json_free) Json *learned = meanwhile_learned(true);
        Replica theirs = idle, fed = idle;
        theirs.source = "db2";
        fed.source = "127.0.0.1";
        configure(&f, "{\"address\": {\"ip\": \"10.0.0.100/24\"}}");
        expect(&f, judge_receiver_restored, "db3", status_of(&f, &theirs), VERDICT_UNMET, "does not follow db1");
        assert_false(skip_restore_address(&f.facts));
        facts_learn(&f.facts, NULL, learned);
        expect(&f, judge_receiver_restored, "db3", status_of(&f, &theirs), VERDICT_HOPELESS, "left as it is");
        expect(&f, judge_receiver_restored, "db3", status_of(&f, NULL), VERDICT_HOPELESS, "left as it is");
        expect(&f, judge_receiver_restored, "db3", status_of(&f, &idle), VERDICT_UNMET, "not all of its threads");
        expect(&f, judge_receiver_restored, "db2", status_of(&f, NULL), VERDICT_UNMET, "does not follow db1");
        learn(&f, "db2", "{\"former\": {\"mode\": \"position\"}}");
        expect(&f, judge_receiver_restored, "db2", status_of(&f, &fed), VERDICT_UNMET, "does not follow db1");
        assert_true(skip_restore_address(&f.facts));
        facts_done(&f.facts);
}

static void test_whom_it_follows(void **state)
{
        static const struct {
                const char *host;
                int port;
                const char *source;
                bool follows;
        } table[] = {
                { "db1", 3306, "db1", true },
                { "DB1", 3306, "db1", true },
                { "10.0.0.1", 3306, "db1", true },
                { "db-vip.example", 3307, "db1", true }, /* as when the run began */
                { "db-vip.example", 3306, "db1", false },
                { "db1", 3307, "db1", false },
                { "db-vip.example", 3307, "db2", false },
                { "db2", 3306, "db1", false },
                { "db2", 3306, "db2", true },
                { "127.0.0.1", 3306, "db1", false },
                { "", 3307, "db1", false },
                { "db1", 3306, NULL, false },
                { "db1", 3306, "db9", false },
        };
        Fixture f = fixture(false);
        learn(&f, "db1", "{\"address\": \"10.0.0.1\"}");
        learn(&f, "db3", "{\"follows\": \"db1\", \"follows_at\": {\"host\": \"db-vip.example\", \"port\": 3307}}");
        for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
                ReplicaChannel channel = { .source_host = (char *) table[i].host,
                                           .source_port = (uint16_t) table[i].port };
                if (status_follows(&f.facts, "db3", &channel, table[i].source) != table[i].follows)
                        fail_msg("row %zu: %s:%d", i, table[i].host, table[i].port);
        }
        assert_false(status_follows(&f.facts, "db3", NULL, "db1"));
        ReplicaChannel other = { .source_host = (char *) "db-vip.example", .source_port = 3307 };
        assert_false(status_follows_old(&f.facts, "db2", &other)); /* which did not */
        facts_done(&f.facts);
}

/* One that was never asked speaks as the others do. */
static void test_never_identified(void **state)
{
        static const struct {
                const char *candidate, *old, *other, *dialect;
        } table[] = {
                { "10.11.6-MariaDB", "10.6.1-MariaDB", NULL, "SHOW ALL SLAVES STATUS" },
                { "8.4.1", "5.7.1", NULL, "SHOW REPLICA STATUS" },
                { NULL, "8.4.1", NULL, "SHOW REPLICA STATUS" },
                { NULL, NULL, "8.4.1", "SHOW REPLICA STATUS" },
                { NULL, NULL, NULL, "SHOW SLAVE STATUS" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
                Fixture f = fixture(false);
                Json *servers = json_get_mutable(f.facts.root, "servers");
                json_set_string(json_get_mutable(servers, "db2"), "version", table[i].candidate);
                json_set_string(json_get_mutable(servers, "db1"), "version", table[i].old);
                add_server(&f.facts, "db4", false);
                json_set_string(json_get_mutable(servers, "db4"), "version", table[i].other);
                json_set_string(json_get_mutable(servers, "db3"), "version", "");
                CLEANUP(script_done) Script script = { 0 };
                ask_status(&f.facts, "db3", &script);
                assert_string_equal(script.items[STATUS_REPLICA].text, table[i].dialect);
                facts_done(&f.facts);
        }
}

/* Undone, nobody may lose what it has received and not applied: who still points where it pointed is only started. */
static void test_restore_by_another_name(void **state)
{
        static const char changes[] = "CHANGE MASTER", begins[] = "START SLAVE IO_THREAD";
        Fixture f = fixture(false);
        Replica vip = applying, fed = applying;
        vip.source = "db-vip.example";
        fed.source = "127.0.0.1";
        fed.applier = "No";
        learn(&f, "db3",
              "{\"follows\": \"db1\", \"follows_at\": {\"host\": \"db-vip.example\", \"port\": 3306}, "
              "\"channels\": [{\"source_host\": \"db-vip.example\", \"source_port\": 3306, "
              "\"receiver\": \"connecting\"}]}");
        expect(&f, judge_receiver_restored, "db3", status_of(&f, &vip), VERDICT_UNMET, "not all of its threads");
        expect_act(&f, act_restore_receiver, "db3", status_of(&f, &vip), begins);
        expect_act(&f, act_restore_receiver, "db3", status_of(&f, &fed), changes);
        expect(&f, judge_left_out_restored, "db3", status_of(&f, &vip), VERDICT_UNMET, "receiver is stopped");
        vip.receiver = "Yes";
        expect(&f, judge_receiver_restored, "db3", status_of(&f, &vip), VERDICT_MET, "follows db1 again");
        expect(&f, judge_left_out_restored, "db3", status_of(&f, &vip), VERDICT_MET, "follows db1 again");
        /* Ended before it was decided how they find their place: each as it does. */
        json_set(f.facts.root, "mode", NULL);
        expect_act(&f, act_restore_receiver, "db3", status_of(&f, &fed), "MASTER_LOG_FILE = 'binlog.000003'");
        facts_done(&f.facts);

        Fixture g = fixture(true);
        json_set(g.facts.root, "mode", NULL);
        expect_act(&g, act_restore_receiver, "db3", status_of(&g, &fed), "MASTER_USE_GTID = slave_pos");
        facts_done(&g.facts);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_is_well_formed),
                cmocka_unit_test(test_receiver),
                cmocka_unit_test(test_receiver_that_waits),
                cmocka_unit_test(test_drained),
                cmocka_unit_test(test_parallel_appliers),
                cmocka_unit_test(test_whom_it_follows),
                cmocka_unit_test(test_never_identified),
                cmocka_unit_test(test_restore_by_another_name),
                cmocka_unit_test(test_people_at_work),
                cmocka_unit_test(test_people_at_work_undone),
                cmocka_unit_test(test_repoint_by_position),
                cmocka_unit_test(test_repoint_by_gtid),
                cmocka_unit_test(test_no_secret_is_said),
                cmocka_unit_test(test_repoint_late),
                cmocka_unit_test(test_detach_and_open),
                cmocka_unit_test(test_fence_process),
                cmocka_unit_test(test_fence_is_enough),
                cmocka_unit_test(test_address),
                cmocka_unit_test(test_order_is_enough),
                cmocka_unit_test(test_loss),
                cmocka_unit_test(test_tail_is_found),
                cmocka_unit_test(test_tail_is_collected),
                cmocka_unit_test(test_weighing),
                cmocka_unit_test(test_names_of_losses),
                cmocka_unit_test(test_not_saved),
                cmocka_unit_test(test_feeding),
                cmocka_unit_test(test_rescue_is_planned),
                cmocka_unit_test(test_not_fed),
                cmocka_unit_test(test_repoint_fed),
                cmocka_unit_test(test_relay_logs),
                cmocka_unit_test(test_choose_again),
                cmocka_unit_test(test_saved_by_gtid),
                cmocka_unit_test(test_candidate_went_down),
                cmocka_unit_test(test_proof),
                cmocka_unit_test(test_hooks),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
