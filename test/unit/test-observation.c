/* What servers say, taken in; and what a failed attempt proves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "identity.h"
#include "observation.h"

#define UUID "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define LENGTH(...) (sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))
#define COLUMNS(reply, ...) reply_set_columns(reply, LENGTH(__VA_ARGS__), (const char *const[]){ __VA_ARGS__ })
#define ROW(reply, ...) reply_add_row(reply, (const char *const[]){ __VA_ARGS__ })

static Reply *new_reply(Replies *replies)
{
        replies->items[0].run = true;
        return &replies->items[0];
}

static void read_identity(ServerView *view, const char *version)
{
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "Variable_name", "Value");
        ROW(reply, "version", version);
        assert_int_equal(observation_read_identity(view, reply, NULL), 0);
}

static void test_identity(void **state)
{
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "Variable_name", "Value");
        static const char *const rows[][2] = { { "version", "9.7.0" },
                                               { "server_id", "3" },
                                               { "server_uuid", UUID },
                                               { "hostname", "db1" },
                                               { "pid_file", "/run/x.pid" },
                                               { "port", "3307" },
                                               { "datadir", "/var/lib/mysql/" },
                                               { "log_bin", "ON" },
                                               { "log_bin_basename", "/var/lib/mysql/binlog" },
                                               { "log_replica_updates", "ON" },
                                               { "gtid_mode", "ON_PERMISSIVE" },
                                               { "relay_log_purge", "OFF" },
                                               { "replica_parallel_workers", "4" },
                                               { "sync_binlog", "1" },
                                               { "innodb_flush_log_at_trx_commit", "2" },
                                               { "replica_net_timeout", "60" },
                                               { "rpl_semi_sync_source_enabled", "ON" },
                                               { "rpl_semi_sync_source_wait_for_replica_count", "2" },
                                               { "rpl_semi_sync_source_timeout", "1000000000000" } };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
                reply_add_row(reply, rows[i]);
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        assert_int_equal(observation_read_identity(view, reply, NULL), 0);
        assert_true(view->identified && view->log_bin && view->log_slave_updates && view->gtid_mode);
        assert_false(view->relay_log_purge || view->gtid_strict_mode);
        assert_int_equal(view->server_id, 3);
        assert_int_equal(view->port, 3307);
        assert_string_equal(view->server_uuid, UUID);
        assert_int_equal(view->parallel_workers, 4);
        assert_int_equal(view->flush_log_at_commit, 2);
        assert_true(view->slave_net_timeout == USEC_MINUTE);
        assert_true(view->semi_sync_installed && view->semi_sync_source_enabled && !view->semi_sync_replica_enabled);
        assert_int_equal(view->semi_sync_wait_count, 2);
        assert_true(view->semi_sync_timeout == (usec_t) UINT32_MAX * USEC_MSEC);
        assert_string_equal(server_view_dialect(view)->name, "mysql-8.4");
}

/* By the next process, which never reached it. */
static void test_identity_recalled(void **state)
{
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "Variable_name", "Value");
        ROW(reply, "version", "10.11.6-MariaDB");
        ROW(reply, "server_id", "3");
        ROW(reply, "datadir", "/data/db1/");
        ROW(reply, "pid_file", "/run/x.pid");
        ROW(reply, "log_bin_index", "/data/db1/binlog.index");
        ROW(reply, "rpl_semi_sync_master_enabled", "ON");
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        assert_int_equal(observation_read_identity(view, reply, NULL), 0);
        view->events = json_object();
        json_set_string(view->events, "event_scheduler", "ON");
        CLEANUP(server_view_free) ServerView *never = server_view_new();
        Server db1 = { .name = (char *) "db1", .host = (char *) "10.0.0.1", .port = 3306 }, db2 = db1, db3 = db1;
        db2.name = (char *) "db2";
        db3.name = (char *) "db3";
        Identified servers[] = { { &db2, view, false }, { &db1, view, true }, { &db3, never, false } };
        CLEANUP(json_free) Json *kept = identities_of(servers, ARRAY_LENGTH(servers));
        assert_false(json_has(kept, "db3"));

        CLEANUP(server_view_free) ServerView *next = server_view_new();
        identity_recall(kept, &db1, next);
        assert_true(next->identified && next->semi_sync_source_enabled && next->semi_sync_installed);
        assert_string_equal(next->log_bin_index, "/data/db1/binlog.index");
        assert_string_equal(next->datadir, "/data/db1/");
        assert_string_equal(next->pid_file, "/run/x.pid");
        assert_string_equal(server_view_dialect(next)->name, server_view_dialect(view)->name);
        assert_string_equal(json_get_string(next->events, "event_scheduler"), "ON");
        assert_false(server_view_is_read(next) || next->ticked);

        static const struct {
                const char *name, *host;
                uint16_t port;
                bool known;
        } table[] = {
                { "db2", "10.0.0.1", 3306, true },  { "db2", "10.0.0.2", 3306, false },
                { "db2", "10.0.0.1", 3307, false }, { "db3", "10.0.0.1", 3306, false },
                { "db9", "10.0.0.1", 3306, false },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
                Server server = { .name = (char *) table[i].name,
                                  .host = (char *) table[i].host,
                                  .port = table[i].port };
                CLEANUP(server_view_free) ServerView *other = server_view_new();
                identity_recall(kept, &server, other);
                assert_int_equal(other->identified, table[i].known);
                assert_null(other->events); /* of the primary's only */
        }
        identity_recall(NULL, &db1, never);
        assert_false(never->identified);

        /* It may be connected anew just then. */
        next->identified = false;
        CLEANUP(json_free) Json *again = identities_of(&(Identified){ &db1, next, true }, 1);
        assert_true(json_get_bool(json_get(again, "db1"), "identified", false));
}

/* Whatever servers say, and however many there are, a state file can hold it. */
static void test_identities_are_bounded(void **state)
{
        enum { N = 1000 };
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "8.0.36");
        view->hostname = text_format("%0200d", 7);
        view->events = json_object();
        Server servers[N];
        Identified identified[N];
        for (size_t i = 0; i < N; i++) {
                servers[i] = (Server){ .name = text_format("db%zu", i), .host = (char *) "10.0.0.1", .port = 3306 };
                identified[i] = (Identified){ &servers[i], view, i == N - 1 };
        }
        CLEANUP(json_free) Json *kept = identities_of(identified, N);
        CLEANUP(mem_free) char *text = json_print_pretty(kept);
        assert_true(strlen(text) < (size_t) 512 * 1024);
        assert_true(json_has(kept, "db999") && json_has(kept, "db0") && !json_has(kept, "db998"));
        for (size_t i = 0; i < N; i++)
                free(servers[i].name);

        CLEANUP(mem_free) char *much = text_format("%0100000d", 7);
        Server db1 = { .name = (char *) "db1", .host = (char *) "10.0.0.1", .port = 3306 };
        json_set_string(view->events, "events", much);
        CLEANUP(json_free) Json *few = identities_of(&(Identified){ &db1, view, true }, 1);
        assert_true(json_has(few, "db1") && !json_has(json_get(few, "db1"), "events_known"));
        free(view->datadir);
        view->datadir = TAKE(much);
        CLEANUP(json_free) Json *none = identities_of(&(Identified){ &db1, view, true }, 1);
        assert_int_equal(json_length(none), 0);
}

static void test_wrong_answers(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        CLEANUP(replies_free) Replies *replies = replies_new(2);
        Reply *reply = new_reply(replies);
        Failure failure = { 0 };
        assert_int_equal(observation_read_identity(view, reply, &failure), -EPROTO);
        assert_int_equal(observation_read_identity(view, replies_at(replies, 9), NULL), -EPROTO);
        assert_int_equal(observation_read_tick(view, reply, NULL), -EPROTO);
        assert_int_equal(observation_read_replica(view, reply, 1, NULL), -EPROTO);
        assert_int_equal(observation_read_heartbeat(view, reply, 1, NULL), -EPROTO);
        assert_int_equal(observation_read_binlog(view, reply, NULL), -EPROTO);
        assert_int_equal(observation_read_semi_sync(view, reply, 1, NULL), -EPROTO);
        COLUMNS(reply, "Variable_name", "Value");
        ROW(reply, "server_id", "3");
        assert_int_equal(observation_read_identity(view, reply, &failure), -EPROTO);
        assert_int_equal(failure.kind, FAILURE_PROTOCOL);
        assert_false(view->identified);
        reply = &replies->items[1];
        reply->run = true;
        COLUMNS(reply, "read_only");
        assert_int_equal(observation_read_tick(view, reply, NULL), -EPROTO);
}

static void test_tick(void **state)
{
        CLEANUP(replies_free) Replies *mysql = replies_new(1), *mariadb = replies_new(1);
        Reply *reply = new_reply(mysql);
        COLUMNS(reply, "read_only", "super_read_only", "gtid_executed", "gtid_purged");
        ROW(reply, "1", "0", UUID ":1-5", "");
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        assert_int_equal(observation_read_tick(view, reply, NULL), 0);
        assert_true(view->ticked && view->read_only && !view->super_read_only);
        assert_string_equal(view->gtid_executed, UUID ":1-5");

        reply = new_reply(mariadb);
        COLUMNS(reply, "read_only", "gtid_binlog_pos", "gtid_slave_pos", "gtid_current_pos");
        ROW(reply, "NO_LOCK", "0-1-7", "0-1-6", "0-1-7");
        assert_int_equal(observation_read_tick(view, reply, NULL), 0);
        assert_true(view->read_only);
        assert_string_equal(view->gtid_executed, "0-1-7");
        assert_string_equal(view->gtid_slave_pos, "0-1-6");
}

typedef struct Status {
        const char *running, *offset, *heartbeats, *io_errno, *gtid;
} Status;

static void read_mariadb(ServerView *view, const Status *status, usec_t now)
{
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "Connection_name", "Slave_IO_Running", "Slave_SQL_Running", "Master_Host", "Master_Port",
                "Master_Server_Id", "Master_Log_File", "Read_Master_Log_Pos", "Relay_Master_Log_File",
                "Exec_Master_Log_Pos", "Seconds_Behind_Master", "Last_IO_Errno", "Last_IO_Error", "Using_Gtid",
                "Gtid_IO_Pos", "SQL_Delay", "Slave_received_heartbeats", "Slave_heartbeat_period",
                "Replicate_Ignore_DB", "Replicate_Do_DB", "Relay_Log_Space", "Master_SSL_Allowed");
        ROW(reply, "", status->running, "Yes", "db1", "3306", "1", "bin.000002", status->offset, "bin.000002", "300",
            NULL, status->io_errno, "text", "Slave_Pos", status->gtid, "0", status->heartbeats, "0.500", "b",
            "c,a,c", "4096", "No");
        assert_int_equal(observation_read_replica(view, reply, now, NULL), 0);
}

static void test_replica_of_mariadb(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "10.11.6-MariaDB");
        Status status = { "Yes", "400", "7", "0", "0-1-9" };
        read_mariadb(view, &status, 1000);
        const ReplicaChannel *channel = server_view_channel(view);
        assert_non_null(channel);
        assert_int_equal(channel->receiver, RECEIVER_CONNECTED);
        assert_true(channel->applier_running && !channel->tls);
        assert_string_equal(channel->source_host, "db1");
        assert_int_equal(channel->source_port, 3306);
        assert_int_equal(channel->received.offset, 400);
        assert_int_equal(channel->applied.offset, 300);
        assert_int_equal(channel->lag, -1);
        assert_int_equal(channel->mode, SOURCE_SLAVE_POS);
        assert_string_equal(channel->gtid_retrieved, "0-1-9");
        assert_string_equal(channel->filters, "do_db=a,c; ignore_db=b");
        assert_true(channel->heartbeat_period == 500 * USEC_MSEC && channel->heartbeats == 7);
        assert_int_equal(channel->relay_space, 4096);
}

static void test_activity(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "10.11.6-MariaDB");
        Status status = { "Yes", "400", "7", "0", "0-1-9" };
        read_mariadb(view, &status, 1000);
        assert_int_equal(view->channels[0].last_activity, 1000);
        read_mariadb(view, &status, 2000);
        assert_int_equal(view->channels[0].last_activity, 1000);
        status.heartbeats = "8";
        read_mariadb(view, &status, 3000);
        assert_int_equal(view->channels[0].last_activity, 3000);
        status.offset = "500";
        read_mariadb(view, &status, 4000);
        assert_int_equal(view->channels[0].last_activity, 4000);
        status.running = "Connecting";
        status.io_errno = "2003";
        read_mariadb(view, &status, 5000);
        assert_int_equal(view->channels[0].last_activity, 4000);
        assert_int_equal(view->channels[0].error_since, 5000);
        assert_int_equal(view->channels[0].receiver, RECEIVER_CONNECTING);
        read_mariadb(view, &status, 6000);
        assert_int_equal(view->channels[0].error_since, 5000);
        status.running = "Yes";
        status.io_errno = "0";
        read_mariadb(view, &status, 7000);
        assert_int_equal(view->channels[0].last_activity, 7000);
        assert_int_equal(view->channels[0].error_since, 0);
}

static void read_mysql_at(ServerView *view, const char *source, const char *received, usec_t now)
{
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "Channel_Name", "Replica_IO_Running", "Replica_SQL_Running", "Source_Host", "Source_Port",
                "Source_UUID", "Source_Log_File", "Read_Source_Log_Pos", "Relay_Source_Log_File", "Exec_Source_Log_Pos",
                "Auto_Position", "Retrieved_Gtid_Set", "SQL_Delay", "Last_SQL_Errno");
        ROW(reply, "", "No", "No", source, "3306", UUID, received, "9", "b.1", "5", "1", UUID ":5-8", "3600", "1062");
        assert_int_equal(observation_read_replica(view, reply, now, NULL), 0);
}

static void read_mysql(ServerView *view, const char *source, usec_t now)
{
        read_mysql_at(view, source, "b.1", now);
}

static void test_replica_of_mysql(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "9.7.0");
        read_mysql(view, "db1", 1000);
        const ReplicaChannel *channel = server_view_channel(view);
        assert_int_equal(channel->receiver, RECEIVER_STOPPED);
        assert_int_equal(channel->mode, SOURCE_AUTO);
        assert_int_equal(channel->delay, 3600);
        assert_int_equal(channel->applier_errno, 1062);
        assert_int_equal(channel->heartbeats, -1);
        CLEANUP(replies_free) Replies *replies = replies_new(2);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "channel", "received", "period");
        ROW(reply, "", "4", "1.5");
        ROW(reply, "other", "4", "1.5");
        assert_int_equal(observation_read_heartbeat(view, reply, 2000, NULL), 0);
        assert_true(channel->heartbeats == 4 && channel->heartbeat_period == 1500 * USEC_MSEC);
        assert_int_equal(channel->last_activity, 1000);
        read_mysql(view, "db1", 3000); /* keeps what the other query said */
        channel = server_view_channel(view);
        assert_true(channel->heartbeats == 4 && channel->last_activity == 1000);
        reply = &replies->items[1];
        reply->run = true;
        COLUMNS(reply, "channel", "received", "period");
        ROW(reply, "", "5", "1.5");
        assert_int_equal(observation_read_heartbeat(view, reply, 4000, NULL), 0);
        assert_int_equal(channel->last_activity, 4000);
        assert_int_equal(server_view_channel(view)->applied.offset, 5);
        read_mysql_at(view, "db2", "", 5000); /* of another's log it has nothing yet */
        assert_false(position_is_set(&server_view_channel(view)->applied));
        read_mysql(view, "", 6000); /* reset, but not forgotten */
        assert_null(server_view_channel(view));
}

static void test_gtid_sets(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "9.7.0");
        read_mysql(view, "db1", 1000);
        view->gtid_executed = alloc_string(UUID ":1-5");
        CLEANUP(gtid_free)
        GtidSet *received = server_view_gtid_received(view), *applied = server_view_gtid_applied(view);
        CLEANUP(mem_free) char *text = gtid_format(received);
        assert_string_equal(text, UUID ":1-8");
        assert_true(gtid_count(applied) == 5);

        CLEANUP(server_view_free) ServerView *mariadb = server_view_new();
        read_identity(mariadb, "10.11.6-MariaDB");
        read_mariadb(mariadb, &(Status){ "Yes", "400", "7", "0", "0-1-9" }, 1000);
        mariadb->gtid_slave_pos = alloc_string("0-1-8");
        mariadb->gtid_executed = alloc_string("malformed");
        CLEANUP(gtid_free) GtidSet *got = server_view_gtid_received(mariadb), *did = server_view_gtid_applied(mariadb);
        assert_true(gtid_count(got) == 9 && gtid_count(did) == 8);
}

static void test_binlog(void **state)
{
        CLEANUP(replies_free) Replies *replies = replies_new(2);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB");
        ROW(reply, "binlog.000004", "777", "", "tmp");
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        assert_int_equal(observation_read_binlog(view, reply, NULL), 0);
        assert_int_equal(view->binlog.offset, 777);
        assert_string_equal(view->binlog_ignore_db, "tmp");
        reply = &replies->items[1];
        reply->run = true;
        COLUMNS(reply, "File", "Position");
        assert_int_equal(observation_read_binlog(view, reply, NULL), 0);
        assert_false(position_is_set(&view->binlog));
}

/* The same names in another order, or twice, are the same filter; the rules of rewrite_db are not. */
static void test_filters(void **state)
{
        static const struct {
                const char *column, *value, *filters;
        } rows[] = {
                { "Replicate_Do_DB", "b,a", "do_db=a,b" },
                { "Replicate_Ignore_DB", "b,a,b,b", "ignore_db=a,b" },
                { "Replicate_Do_Table", "b.t,a.u,b.t", "do_table=a.u,b.t" },
                { "Replicate_Wild_Ignore_Table", "b.%,a\\_1.%", "wild_ignore_table=a\\_1.%,b.%" },
                { "Replicate_Rewrite_DB", "b->c,a->b", "rewrite_db=b->c,a->b" },
                { "Replicate_Do_DB", "", "" },
        };
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "10.11.6-MariaDB");
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                CLEANUP(replies_free) Replies *replies = replies_new(1);
                Reply *reply = new_reply(replies);
                COLUMNS(reply, "Connection_name", "Slave_IO_Running", "Master_Host", rows[i].column);
                ROW(reply, "", "Yes", "db1", rows[i].value);
                assert_int_equal(observation_read_replica(view, reply, 1, NULL), 0);
                assert_string_equal(server_view_channel(view)->filters, rows[i].filters);
        }
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB");
        ROW(reply, "binlog.000004", "777", "b,a,b", NULL);
        assert_int_equal(observation_read_binlog(view, reply, NULL), 0);
        assert_string_equal(view->binlog_do_db, "a,b");
        assert_string_equal(view->binlog_ignore_db, "");
}

static void read_semi_sync(ServerView *view, const char *waiting, const char *acknowledged, usec_t now)
{
        CLEANUP(replies_free) Replies *replies = replies_new(1);
        Reply *reply = new_reply(replies);
        COLUMNS(reply, "Variable_name", "Value");
        ROW(reply, "Rpl_semi_sync_master_status", "ON");
        ROW(reply, "Rpl_semi_sync_master_clients", "0");
        ROW(reply, "Rpl_semi_sync_master_wait_sessions", waiting);
        ROW(reply, "Rpl_semi_sync_master_yes_tx", acknowledged);
        assert_int_equal(observation_read_semi_sync(view, reply, now, NULL), 0);
}

static void test_semi_sync(void **state)
{
        static const struct {
                const char *waiting, *acknowledged;
                usec_t since;
        } looks[] = {
                { "12", "100", 0 },  /* since when, nobody knows */
                { "3", "111", 0 },   /* one of them may wait still */
                { "2", "114", 2 },   /* all three are through */
                { "2", "114", 2 },   /* the same two */
                { "0", "116", 5 },   /* nobody waits */
                { "1", "116", 5 },   /* this one has begun after that look */
                { "1", "116", 5 },
                { "7", "500", 7 },
                { "7", "3", 7 },     /* started again: it counts anew */
        };
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        for (size_t i = 0; i < ARRAY_LENGTH(looks); i++) {
                read_semi_sync(view, looks[i].waiting, looks[i].acknowledged, i + 1);
                assert_int_equal(view->semi_sync_since, looks[i].since);
        }
        assert_true(view->semi_sync_active && view->semi_sync_clients == 0 && view->semi_sync_waiting == 7);
}

static void test_json_round_trip(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "10.11.6-MariaDB");
        read_mariadb(view, &(Status){ "Connecting", "400", "7", "2003", "0-1-9" }, 1000);
        observation_note_evidence(view, EVIDENCE_ERROR, 1040, "Too many connections", 5);
        CLEANUP(json_free) Json *json = server_view_to_json(view);
        CLEANUP(server_view_free) ServerView *copy = server_view_from_json(json);
        CLEANUP(json_free) Json *again = server_view_to_json(copy);
        CLEANUP(mem_free) char *a = json_print(json), *b = json_print(again);
        assert_string_equal(a, b);
        assert_int_equal(copy->evidence, EVIDENCE_ERROR);
        assert_int_equal(copy->channels[0].receiver, RECEIVER_CONNECTING);
        assert_true(position_equal(&copy->channels[0].received, &view->channels[0].received));

        /* A newer one merged into an older one leaves nothing of that. */
        CLEANUP(server_view_free) ServerView *empty = server_view_new();
        CLEANUP(json_free) Json *newer = server_view_to_json(empty);
        json_merge(json, newer);
        CLEANUP(mem_free) char *merged = json_print(json), *expected = json_print(newer);
        assert_string_equal(merged, expected);
}

static void test_json_of_anything(void **state)
{
        static const char *const texts[] = { "{}", "[]", "null",
                                             "{\"channels\": [1, {\"receiver\": 7}], \"sql_port\": -1}",
                                             "{\"version\": \"x\", \"evidence\": \"y\", \"binlog\": \"z\"}" };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                CLEANUP(json_free) Json *json = NULL;
                assert_int_equal(json_parse(texts[i], strlen(texts[i]), &json, NULL), 0);
                CLEANUP(server_view_free) ServerView *view = server_view_from_json(json);
                assert_int_equal(view->evidence, EVIDENCE_UNKNOWN);
                assert_int_equal(view->port, 0);
        }
        CLEANUP(server_view_free) ServerView *view = server_view_from_json(NULL);
        assert_false(view->identified);
}

/* Numbers that nobody means: seen of a lag, and of whatever else a server may tell. */
static void test_absurd_numbers(void **state)
{
        static const char *const numbers[] = { "18446744073709551615",
                                               "9223372036854775807",
                                               "-9223372036854775808",
                                               "99999999999999999999999",
                                               "1e300",
                                               "nan" };
        for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
                CLEANUP(server_view_free) ServerView *view = server_view_new();
                CLEANUP(replies_free) Replies *replies = replies_new(1);
                Reply *reply = new_reply(replies);
                const char *n = numbers[i];
                read_identity(view, "10.11.6-MariaDB");
                COLUMNS(reply, "Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "SQL_Delay",
                        "Slave_received_heartbeats", "Slave_heartbeat_period", "Relay_Log_Space", "Last_IO_Errno",
                        "Master_Port", "Master_Server_Id", "Connect_Retry");
                ROW(reply, "Yes", "Yes", n, n, n, n, n, n, n, n, n);
                if (observation_read_replica(view, reply, 1000, NULL) < 0)
                        continue;
                assert_in_range(view->channels[0].lag + 1, 0, UINT32_MAX + INT64_C(1));
                CLEANUP(json_free) Json *json = server_view_to_json(view);
                CLEANUP(server_view_free) ServerView *again = server_view_from_json(json);
                assert_true(again->channels[0].lag == view->channels[0].lag);
        }
}

static void test_errno(void **state)
{
        static const int mha[] = { 1040, 1042, 1043, 1044, 1045, 1129, 1130, 1203, 1226, 1251, 1275 };
        for (size_t i = 0; i < ARRAY_LENGTH(mha); i++)
                assert_true(evidence_errno_is_alive(mha[i]) && !evidence_errno_is_lost(mha[i]));
        assert_true(evidence_errno_is_lost(2003) && !evidence_errno_is_alive(2003));
        assert_false(evidence_errno_is_lost(0) || evidence_errno_is_alive(0));
}

static void test_note(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        assert_true(observation_note_alive(view, 10));
        assert_false(observation_note_alive(view, 20));
        assert_true(view->evidence_since == 10 && view->last_alive == 20);
        view->identified = view->ticked = view->replica_read = true;
        assert_true(server_view_is_read(view));
        assert_true(observation_note_evidence(view, EVIDENCE_SILENT, 0, "no answer", 30));
        assert_false(server_view_is_read(view));
        assert_true(view->evidence_since == 30 && view->last_alive == 20);
        assert_string_equal(view->evidence_text, "no answer");
        assert_true(observation_note_alive(view, 40));
        assert_false(server_view_is_read(view));
        assert_null(view->evidence_text);
}

/* What a server does not say when it is asked, it does not say until it does. */
static void test_refusal(void **state)
{
        CLEANUP(server_view_free) ServerView *view = server_view_new();
        read_identity(view, "10.11.6-MariaDB");
        (void) observation_note_alive(view, 10);
        assert_false(server_view_is_read(view) || server_view_refusal(view));
        view->ticked = true;
        observation_note_refusal(view, OBSERVATION_REPLICA, "Access denied");
        assert_string_equal(server_view_refusal(view), "Access denied");
        assert_false(observation_note_alive(view, 20)); /* as it was before: the rest still counts */
        assert_true(view->identified && view->ticked && !server_view_is_read(view));
        assert_string_equal(server_view_refusal(view), "Access denied");
        (void) observation_note_evidence(view, EVIDENCE_SILENT, 0, "no answer", 30);
        (void) observation_note_alive(view, 40);
        assert_string_equal(server_view_refusal(view), "Access denied");
        read_mariadb(view, &(Status){ "Yes", "400", "7", "0", "0-1-9" }, 1000);
        assert_null(server_view_refusal(view));
        assert_true(view->replica_read);
        observation_note_refusal(view, OBSERVATION_REPLICA, "Access denied");
        assert_false(view->replica_read);
        assert_true(evidence_errno_is_going_down(1053) && !evidence_errno_is_going_down(1227));
}

static void test_names(void **state)
{
        for (int i = 0; i < _EVIDENCE_MAX; i++)
                assert_int_equal(evidence_from_string(evidence_to_string((Evidence) i)), i);
        for (int i = 0; i < _RECEIVER_STATE_MAX; i++)
                assert_int_equal(receiver_state_from_string(receiver_state_to_string((ReceiverState) i)), i);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_identity),
                cmocka_unit_test(test_identity_recalled),
                cmocka_unit_test(test_identities_are_bounded),
                cmocka_unit_test(test_wrong_answers),
                cmocka_unit_test(test_tick),
                cmocka_unit_test(test_replica_of_mariadb),
                cmocka_unit_test(test_activity),
                cmocka_unit_test(test_replica_of_mysql),
                cmocka_unit_test(test_gtid_sets),
                cmocka_unit_test(test_binlog),
                cmocka_unit_test(test_semi_sync),
                cmocka_unit_test(test_json_round_trip),
                cmocka_unit_test(test_json_of_anything),
                cmocka_unit_test(test_absurd_numbers),
                cmocka_unit_test(test_errno),
                cmocka_unit_test(test_note),
                cmocka_unit_test(test_refusal),
                cmocka_unit_test(test_filters),
                cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
