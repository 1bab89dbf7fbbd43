/* mhactl check: each judge finds what is wrong, names it, and is silent when nothing is. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dialect-check.h"
#include "failover_check.h"
#include "file.h"
#include "replication_check.h"
#include "ssh_check.h"
#include "status.h"
#include "text.h"

#define MARIADB "10.11.6-MariaDB"
#define MYSQL84 "8.4.3"
#define UUID "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"

/* The order of the answers, as replication_check_ask() asks. */
enum { TICK, REPLICA, BINLOG, IDENTITY, HEARTBEAT, SEMI_SYNC, VARIABLES, BINLOGS, PRIVILEGES, ACCOUNT, TABLES, N };

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

/* db1 is the primary of db2 and db3. */
static Facts fixture(const char *version)
{
        Facts facts = facts_new("app1", "r1", "check");
        for (int i = 1; i <= 3; i++) {
                char name[] = { 'd', 'b', (char) ('0' + i), '\0' };
                CLEANUP(mem_free)
                char *text = text_format("{\"name\":\"%s\",\"host\":\"%s\",\"port\":3306,\"version\":\"%s\","
                                         "\"identified\":true,\"evidence\":\"alive\",\"promotion\":\"allow\"}",
                                         name, name, version);
                json_append_string(json_get_mutable(facts.root, "order"), name);
                learn(&facts, name, text);
        }
        json_set_string(facts.root, "old_primary", "db1");
        json_set(facts.root, "config",
                 parse("{\"replication\":{\"user\":\"repl\",\"heartbeat_ms\":1000},\"detection\":{\"heartbeat_stale_"
                       "ms\":"
                       "3000},\"ssh\":{\"enabled\":true}}"));
        return facts;
}

/* Rows of cells by column; texts: "a=1|b=x". One row a text. */
static void rows(Reply *reply, size_t n, const char *const *texts)
{
        reply->run = true;
        for (size_t i = 0; i < n; i++) {
                const char *names[64], *cells[64];
                char *copy = alloc_string(texts[i]), *save = NULL;
                size_t n_cells = 0;
                for (char *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
                        char *equals = strchr(part, '=');
                        *equals = '\0';
                        names[n_cells] = part;
                        cells[n_cells++] = equals + 1;
                }
                if (i == 0)
                        reply_set_columns(reply, n_cells, names);
                reply_add_row(reply, cells);
                free(copy);
        }
}
#define ROWS(reply, ...)                                                                                               \
        rows(reply, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), (const char *const[]){ __VA_ARGS__ })

static void clear(Reply *reply)
{
        Replies *one = replies_new(1);
        one->items[0] = *reply;
        replies_free(one);
        *reply = (Reply){ 0 };
}

/* Name=value pairs, "a=1|b=2", as rows of Variable_name and Value; those in with replace or follow those before. */
static void variables(Reply *reply, const char *text)
{
        static const char *const columns[] = { "Variable_name", "Value" };
        char *copy = alloc_string(text), *save = NULL;
        Reply fresh = { .run = true };
        reply_set_columns(&fresh, 2, columns);
        for (char *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
                char *equals = strchr(part, '=');
                *equals = '\0';
                reply_add_row(&fresh, (const char *const[]){ part, equals + 1 });
        }
        for (size_t i = 0; i < reply->n_rows; i++) {
                const char *name = reply_get(reply, i, "Variable_name");
                bool replaced = false;
                for (size_t k = 0; k < fresh.n_rows; k++)
                        replaced = replaced || text_equal(reply_get(&fresh, k, "Variable_name"), name);
                if (!replaced)
                        reply_add_row(&fresh, (const char *const[]){ name, reply_get(reply, i, "Value") });
        }
        clear(reply);
        *reply = fresh;
        free(copy);
}

#define GOOD_IDENTITY                                                                                                  \
        "log_bin=ON|log_slave_updates=ON|sync_binlog=1|innodb_flush_log_at_trx_commit=1|slave_net_timeout=4|"          \
        "relay_log_purge=ON|gtid_strict_mode=ON"
#define GOOD_VARIABLES                                                                                                 \
        "binlog_format=ROW|sql_mode=STRICT|max_connections=300|relay_log_recovery=ON|max_allowed_packet=1000"

#define REPLICATES                                                                                                     \
        "Connection_name=|Master_Host=db1|Master_Port=3306|Master_User=repl|Slave_IO_Running=Yes|"                     \
        "Slave_SQL_Running=Yes|Master_Log_File=binlog.000002|Read_Master_Log_Pos=500|"                                 \
        "Relay_Master_Log_File=binlog.000002|Exec_Master_Log_Pos=500|Seconds_Behind_Master=0|SQL_Delay=0|"             \
        "Last_IO_Errno=0|Last_SQL_Errno=0|Using_Gtid=Slave_Pos|Gtid_IO_Pos=0-1-10|"                                    \
        "Slave_received_heartbeats=3|Slave_heartbeat_period=1.000|Relay_Log_Space=1"

/* A server of MariaDB with which nothing is wrong; a replica when it is not db1. */
static Replies *mariadb(int number)
{
        Replies *replies = replies_new(N);
        Reply *items = replies->items;
        CLEANUP(mem_free) char *id = text_format("version=" MARIADB "|server_id=%d|" GOOD_IDENTITY, number);
        ROWS(&items[TICK],
             number == 1 ? "read_only=0|gtid_binlog_pos=0-1-10|gtid_slave_pos=|gtid_current_pos=0-1-10"
                         : "read_only=1|gtid_binlog_pos=0-1-10|gtid_slave_pos=0-1-10|gtid_current_pos=0-1-10");
        if (number > 1)
                ROWS(&items[REPLICA], REPLICATES);
        else {
                items[REPLICA].run = true;
                reply_set_columns(&items[REPLICA], 2, (const char *const[]){ "Connection_name", "Master_Host" });
        }
        ROWS(&items[BINLOG], "File=binlog.000002|Position=500|Binlog_Do_DB=|Binlog_Ignore_DB=");
        variables(&items[IDENTITY], id);
        items[HEARTBEAT].run = true;
        variables(&items[SEMI_SYNC], "Rpl_semi_sync_master_status=OFF|Rpl_semi_sync_master_clients=0");
        variables(&items[VARIABLES], GOOD_VARIABLES);
        ROWS(&items[BINLOGS], "Log_name=binlog.000001|File_size=100", "Log_name=binlog.000002|File_size=500");
        ROWS(&items[PRIVILEGES], "Grants for mhad@%=GRANT ALL PRIVILEGES ON *.* TO `mhad`@`%`");
        ROWS(&items[ACCOUNT], "host=%|may_replicate=Y");
        items[TABLES].run = true;
        reply_set_columns(&items[TABLES], 2, (const char *const[]){ "schema", "name" });
        return replies;
}

typedef struct Case {
        Facts facts;
        Replies *replies[3];
        Replies *again;
} Case;

static Case make_case(void)
{
        Case made = { .facts = fixture(MARIADB), .again = replies_new(1) };
        for (int i = 0; i < 3; i++)
                made.replies[i] = mariadb(i + 1);
        ROWS(&made.again->items[0], "read_only=0|gtid_binlog_pos=0-1-10|gtid_slave_pos=|gtid_current_pos=0-1-10");
        return made;
}

static void case_done(Case *made)
{
        for (int i = 0; i < 3; i++)
                replies_free(made->replies[i]);
        replies_free(made->again);
        facts_done(&made->facts);
}
#define CASE __attribute__((cleanup(case_done))) Case

static const char *root; /* of the sources */
static Json *planted;    /* the ids that a test has found because it had planted the fault */

/* How many findings of that id there are about a server (NULL: about none in particular), each with words. */
static size_t found(const Json *results, const char *id, const char *server, const char *words)
{
        size_t n = 0;
        JSON_FOREACH(result, results)
        {
                if (!text_equal(json_get_string(result, "id"), id) ||
                    !text_equal(json_get_string(result, "server"), server))
                        continue;
                if (words && !strstr(json_get_string(result, "text"), words))
                        fail_msg("\"%s\" does not say \"%s\"", json_get_string(result, "text"), words);
                assert_true(text_equal(json_get_string(result, "level"), "ok") || json_has(result, "remedy"));
                n++;
        }
        if (n > 0)
                json_set_bool(planted, id, true);
        return n;
}

/* All that is found in a case must be this one thing, beside that semi-sync is off. */
static void only(Case *made, const char *id, const char *server, const char *words)
{
        CLEANUP(json_free) Json *results = json_array();
        replication_check_judge(&made->facts, made->replies, made->again, results);
        CLEANUP(mem_free) char *all = json_print_pretty(results);
        if (id && found(results, id, server, words) != 1)
                fail_msg("no %s about %s: %s", id, server ? server : "all", all);
        size_t expected = (id != NULL) + found(results, "semi_sync_off", NULL, NULL);
        if (json_length(results) != expected)
                fail_msg("more than %s: %s", id ? id : "nothing", all);
}

static Reply *answer(Case *made, int server, int question)
{
        return &made->replies[server - 1]->items[question];
}

static void set_cell(Reply *reply, const char *column, const char *value)
{
        for (size_t i = 0; i < reply->n_columns; i++)
                if (strcmp(reply->columns[i], column) == 0)
                        reply->cells[i] = (char *) value;
}

static void refuse(Reply *reply, int code, const char *text)
{
        clear(reply);
        reply->run = true;
        (void) failure_set(&reply->failure, FAILURE_SQL, code, "%s", text);
}

static void test_silent(void **state)
{
        CASE made = make_case();
        only(&made, NULL, NULL, NULL);
}

static void test_asks_in_that_order(void **state)
{
        CLEANUP(facts_done) Facts facts = fixture(MYSQL84);
        CLEANUP(script_done) Script script = { 0 };
        replication_check_ask(&facts, "db2", &script);
        assert_int_equal(script.n_items, N);
        assert_non_null(strstr(script.items[TICK].text, "gtid_purged"));
        assert_non_null(strstr(script.items[IDENTITY].text, "sync_binlog"));
        assert_non_null(strstr(script.items[HEARTBEAT].text, "HEARTBEAT_INTERVAL"));
        assert_non_null(strstr(script.items[VARIABLES].text, "'binlog_format'"));
        assert_string_equal(script.items[BINLOGS].text, "SHOW BINARY LOGS");
        assert_non_null(strstr(script.items[PRIVILEGES].text, "CURRENT_ROLE"));
        assert_non_null(strstr(script.items[ACCOUNT].text, "'repl'"));
        assert_non_null(strstr(script.items[TABLES].text, "PRIMARY"));
        for (size_t i = 0; i < script.n_items; i++)
                assert_int_equal(script.items[i].may_fail, i >= IDENTITY ? i != IDENTITY : i == BINLOG);
}

static void test_privileges(void **state)
{
        CASE made = make_case();
        clear(answer(&made, 2, PRIVILEGES));
        ROWS(answer(&made, 2, PRIVILEGES),
             "g=GRANT PROCESS, RELOAD, SUPER, BINLOG MONITOR, EVENT, SELECT ON *.* TO `mhad`@`%` IDENTIFIED BY 'x, "
             "SUPER'",
             "g=GRANT READ_ONLY ADMIN ON `app`.* TO `mhad`@`%`");
        only(&made, "account_privileges", "db2", "lacks READ_ONLY ADMIN, which is needed to make servers read-only");
        clear(answer(&made, 2, PRIVILEGES));
        ROWS(answer(&made, 2, PRIVILEGES),
             "g=GRANT PROCESS, RELOAD, SUPER, BINLOG MONITOR, EVENT, SELECT, READ_ONLY ADMIN ON *.* TO `mhad`@`%`");
        only(&made, NULL, NULL, NULL);
        refuse(answer(&made, 2, PRIVILEGES), 1045, "no");
        only(&made, "unanswered", "db2", "what the account of sql may do cannot be told: no");
}

/* Each version wants its own; the older ones SUPER. */
static void test_privileges_of_versions(void **state)
{
        static const struct {
                const char *version, *wants, *never;
        } cases[] = {
                { "5.6.24", "SUPER", "CONNECTION_ADMIN" },
                { "5.7.44", "SUPER", "SET_ANY_DEFINER" },
                { "8.0.36", "SET_USER_ID", "SET_ANY_DEFINER" },
                { "9.1.0", "SET_ANY_DEFINER", "SET_USER_ID" },
                { "9.1.0", "SYSTEM_VARIABLES_ADMIN", "REPLICATION SLAVE ADMIN" },
                { "10.4.2-MariaDB", "REPLICATION CLIENT", "BINLOG MONITOR" },
                { "10.6.2-MariaDB", "BINLOG MONITOR", "SUPER" },
                { "11.4.2-MariaDB", "SLAVE MONITOR", "SUPER" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                Version version;
                bool wanted = false;
                assert_int_equal(version_parse(cases[i].version, &version, NULL), 0);
                for (const Privilege *need = NULL; (need = dialect_next_privilege(&version, need));) {
                        wanted = wanted || text_equal(need->name, cases[i].wants);
                        assert_true(need->optional || !text_equal(need->name, cases[i].never));
                        assert_true(version.major < 11 || version.flavour == FLAVOUR_MYSQL || !need->or_name);
                }
                if (!wanted)
                        fail_msg("%s does not want %s", cases[i].version, cases[i].wants);
        }
}

static void test_replication_account(void **state)
{
        CASE made = make_case();
        clear(answer(&made, 3, ACCOUNT));
        ROWS(answer(&made, 3, ACCOUNT), "host=10.%|may_replicate=N", "host=%|may_replicate=N");
        only(&made, "replication_account", "db3", "'repl'@'10.%', 'repl'@'%' may not replicate from it");
        clear(answer(&made, 3, ACCOUNT));
        answer(&made, 3, ACCOUNT)->run = true;
        reply_set_columns(answer(&made, 3, ACCOUNT), 2, (const char *const[]){ "host", "may_replicate" });
        only(&made, "replication_account", "db3", "there is no account repl");
        /* One that is never promoted need not have it. */
        learn(&made.facts, "db3", "{\"promotion\":\"never\"}");
        only(&made, NULL, NULL, NULL);
        refuse(answer(&made, 2, ACCOUNT), 1142, "SELECT denied");
        only(&made, "replication_account_unknown", "db2", "SELECT denied");
}

static void test_errant(void **state)
{
        CASE made = make_case();
        clear(answer(&made, 3, TICK));
        ROWS(answer(&made, 3, TICK),
             "read_only=1|gtid_binlog_pos=0-3-12|gtid_slave_pos=0-1-10|gtid_current_pos=0-3-12");
        only(&made, "errant", "db3", "the primary db1 lacks: ");
        /* What the primary did while the others were asked is not errant. */
        clear(&made.again->items[0]);
        ROWS(&made.again->items[0], "read_only=0|gtid_binlog_pos=0-1-12|gtid_slave_pos=|gtid_current_pos=0-1-12");
        only(&made, NULL, NULL, NULL);
}

static void test_purged_by_file(void **state)
{
        CASE made = make_case();
        Reply *replica = answer(&made, 2, REPLICA), *logs = answer(&made, 1, BINLOGS);
        clear(logs);
        ROWS(logs, "Log_name=binlog.000007|File_size=100");
        only(&made, NULL, NULL, NULL); /* it is connected */
        set_cell(replica, "Slave_IO_Running", "No");
        only(&made, "purged", "db2", "binlog.000002, while the first log there is binlog.000007");
}

static void test_heartbeat(void **state)
{
        CASE made = make_case();
        Reply *replica = answer(&made, 2, REPLICA);
        set_cell(replica, "Slave_heartbeat_period", "30.000");
        variables(answer(&made, 2, IDENTITY), "slave_net_timeout=60");
        only(&made, "heartbeat", "db2",
             "would be noticed by its receiver in 61 s, not 4: heartbeat period 30s, net "
             "timeout 1m");
        variables(answer(&made, 2, IDENTITY), "slave_net_timeout=10");
        only(&made, "heartbeat", "db2", "is not below its net timeout");
}

static void test_settings(void **state)
{
        CASE made = make_case();
        variables(answer(&made, 2, IDENTITY), "sync_binlog=0");
        only(&made, "durability", "db2", "sync_binlog is 0");
        variables(answer(&made, 2, IDENTITY), "sync_binlog=1");
        variables(answer(&made, 3, VARIABLES), "sql_mode=");
        only(&made, "variables", NULL, "sql_mode is STRICT on db1, db2; nothing on db3");
        variables(answer(&made, 3, VARIABLES), "sql_mode=STRICT|max_connections=10");
        only(&made, "settings", NULL, "max_connections is 300 on db1, db2; 10 on db3");
        variables(answer(&made, 3, VARIABLES), "max_connections=300");
        variables(answer(&made, 1, VARIABLES), "binlog_format=MIXED");
        only(&made, "binlog_format", "db1", "MIXED");
        variables(answer(&made, 1, VARIABLES), "binlog_format=ROW");
        variables(answer(&made, 2, IDENTITY), "gtid_strict_mode=OFF");
        only(&made, "gtid_loose", "db2", NULL);
        variables(answer(&made, 2, IDENTITY), "gtid_strict_mode=ON|version=10.6.1-MariaDB");
        only(&made, "version_older", "db2", "MariaDB 10.6.1, older than the primary's MariaDB 10.11.6");
        variables(answer(&made, 2, IDENTITY), "version=" MARIADB "|log_slave_updates=OFF");
        only(&made, "log_slave_updates", "db2", NULL);
        variables(answer(&made, 2, IDENTITY), "log_slave_updates=ON");
        /* By position there is nothing for a rescue but relay logs, with log_slave_updates or without. */
        variables(answer(&made, 3, IDENTITY), "relay_log_purge=OFF");
        for (int i = 2; i <= 3; i++)
                set_cell(answer(&made, i, REPLICA), "Using_Gtid", "No");
        CLEANUP(json_free) Json *results = json_array();
        replication_check_judge(&made.facts, made.replies, made.again, results);
        assert_int_equal(found(results, "relay_log_purge", "db2", "it keeps nothing that another one may lack"), 1);
        assert_int_equal(found(results, "relay_log_purge", "db3", NULL), 0);
        assert_false(check_has(results, NULL, CHECK_LEVEL_WARNING));
        variables(answer(&made, 3, IDENTITY), "relay_log_purge=ON");
        for (int i = 2; i <= 3; i++)
                set_cell(answer(&made, i, REPLICA), "Using_Gtid", "Slave_Pos");
        variables(answer(&made, 2, VARIABLES), "relay_log_info_repository=FILE");
        only(&made, "relay_log_recovery", "db2", "relay_log_info_repository is FILE");
        variables(answer(&made, 2, VARIABLES), "relay_log_info_repository=TABLE");
        clear(answer(&made, 2, BINLOG));
        ROWS(answer(&made, 2, BINLOG), "File=binlog.000002|Position=500|Binlog_Do_DB=app|Binlog_Ignore_DB=");
        only(&made, "binlog_filters", NULL, "binlog_do_db is nothing on db1, db3; app on db2");
}

static void test_both_filters(void **state)
{
        CASE made = make_case();
        for (int i = 1; i <= 3; i++) {
                clear(answer(&made, i, BINLOG));
                ROWS(answer(&made, i, BINLOG), "File=binlog.000002|Position=500|Binlog_Do_DB=app|Binlog_Ignore_DB=");
                if (i == 1)
                        continue;
                clear(answer(&made, i, REPLICA));
                ROWS(answer(&made, i, REPLICA), i == 2 ? REPLICATES "|Replicate_Ignore_DB=x|Replicate_Do_DB=app"
                                                       : REPLICATES "|Replicate_Ignore_DB=x|Replicate_Do_DB=app,more");
        }
        only(&made, "binlog_filters", "db3", "binlog_do_db is app, but replicate_do_db app,more");
}

static void test_tables(void **state)
{
        CASE made = make_case();
        clear(answer(&made, 1, PRIVILEGES));
        ROWS(answer(&made, 1, PRIVILEGES),
             "g=GRANT PROCESS, RELOAD, SUPER, BINLOG MONITOR, EVENT, READ_ONLY ADMIN ON *.* TO `mhad`@`%`");
        only(&made, "primary_key_unknown", "db1", "lacks SELECT on *.*");
        clear(answer(&made, 1, PRIVILEGES));
        ROWS(answer(&made, 1, PRIVILEGES), "g=GRANT ALL PRIVILEGES ON *.* TO `mhad`@`%`");
        clear(answer(&made, 1, TABLES));
        ROWS(answer(&made, 1, TABLES), "schema=app|name=a", "schema=app|name=b");
        only(&made, "primary_key", "db1", "2 tables have no primary key: app.a, app.b");
        refuse(answer(&made, 1, TABLES), 0, "the time passed");
        only(&made, "unanswered", "db1", "which tables have no primary key cannot be told: the time passed");
}

static void test_modes(void **state)
{
        CASE made = make_case();
        Reply *replica = answer(&made, 2, REPLICA);
        set_cell(replica, "Using_Gtid", "No");
        set_cell(replica, "Master_User", "other");
        CLEANUP(json_free) Json *results = json_array();
        replication_check_judge(&made.facts, made.replies, made.again, results);
        assert_int_equal(
                found(results, "gtid_mixed", NULL, "db3 replicates by global transaction ids, db2 by position"), 1);
        assert_int_equal(found(results, "replication_user", "db2", "it replicates as other"), 1);
        assert_int_equal(found(results, "relay_log_purge", "db2", NULL), 1);
        assert_int_equal(json_length(results), 4);
        CLEANUP(json_free) Json *config = parse("{\"rescue\":{\"enabled\":true},\"replication\":{\"has_password\":false}}");
        CLEANUP(json_free) Json *more = json_array();
        json_merge(json_get_mutable(made.facts.root, "config"), config);
        replication_check_judge(&made.facts, made.replies, made.again, more);
        assert_int_equal(found(more, "replication_password", NULL, "replicate as repl without a password then"), 1);
        assert_int_equal(json_length(more), 5);
}

static void semi_sync(Case *made, const char *primary_status)
{
        for (int i = 1; i <= 3; i++)
                variables(answer(made, i, IDENTITY),
                          i == 1 ? "rpl_semi_sync_master_enabled=ON|rpl_semi_sync_master_wait_for_slave_count=1"
                                 : "rpl_semi_sync_master_enabled=OFF|rpl_semi_sync_slave_enabled=ON");
        variables(answer(made, 1, SEMI_SYNC), primary_status);
        variables(answer(made, 1, VARIABLES), "rpl_semi_sync_master_wait_point=AFTER_SYNC");
}

static void test_semi_sync(void **state)
{
        CASE made = make_case();
        semi_sync(&made, "Rpl_semi_sync_master_status=ON|Rpl_semi_sync_master_clients=2");
        only(&made, NULL, NULL, NULL);
        semi_sync(&made, "Rpl_semi_sync_master_status=OFF|Rpl_semi_sync_master_clients=0");
        only(&made, "semi_sync_inactive", "db1", "commits wait for nobody");
        semi_sync(&made, "Rpl_semi_sync_master_status=ON|Rpl_semi_sync_master_clients=1");
        only(&made, "semi_sync_locks", "db1", "when one is gone");
        semi_sync(&made, "Rpl_semi_sync_master_status=ON|Rpl_semi_sync_master_clients=2");
        variables(answer(&made, 1, VARIABLES), "rpl_semi_sync_master_wait_point=AFTER_COMMIT");
        only(&made, "semi_sync_wait_point", "db1", "it waits AFTER_COMMIT");
        semi_sync(&made, "Rpl_semi_sync_master_status=ON|Rpl_semi_sync_master_clients=2");
        variables(answer(&made, 3, IDENTITY), "rpl_semi_sync_slave_enabled=OFF");
        only(&made, "semi_sync_inactive", "db3", "it acknowledges nothing");
}

static void test_unreachable(void **state)
{
        CASE made = make_case();
        replies_free(made.replies[1]);
        made.replies[1] = NULL; /* the topology tells of it */
        only(&made, NULL, NULL, NULL);
        made.replies[1] = replies_new(N);
        (void) failure_set(&made.replies[1]->failure, FAILURE_TIMEOUT, 0, "db2 did not answer within 5 s");
        only(&made, "unanswered", "db2", "db2 did not answer within 5 s");
}

/* Purged transactions, by the sets of MySQL. */
static void test_purged_by_gtid(void **state)
{
        Case made = make_case();
        for (int i = 1; i <= 3; i++) {
                variables(answer(&made, i, IDENTITY), "version=" MYSQL84 "|gtid_mode=ON");
                clear(answer(&made, i, TICK));
                ROWS(answer(&made, i, TICK),
                     i == 1   ? "read_only=0|super_read_only=0|gtid_executed=" UUID ":1-10|gtid_purged=" UUID ":1-7"
                     : i == 2 ? "read_only=1|super_read_only=1|gtid_executed=" UUID ":1-10|gtid_purged="
                              : "read_only=1|super_read_only=1|gtid_executed=" UUID ":1-5|gtid_purged=");
        }
        facts_done(&made.facts);
        made.facts = fixture(MYSQL84);
        for (int i = 2; i <= 3; i++) {
                clear(answer(&made, i, REPLICA));
                ROWS(answer(&made, i, REPLICA),
                     "Channel_Name=|Source_Host=db1|Source_Port=3306|Source_User=repl|Replica_IO_Running=Yes|"
                     "Replica_SQL_Running=Yes|Auto_Position=1|SQL_Delay=0|Last_IO_Errno=0|Last_SQL_Errno=0|Retrieved_"
                     "Gtid_Set=|"
                     "Executed_Gtid_Set=|Seconds_Behind_Source=0|Relay_Log_Space=1|Source_Log_File=binlog.000002|Read_"
                     "Source_Log_Pos=4|"
                     "Relay_Source_Log_File=binlog.000002|Exec_Source_Log_Pos=4");
                ROWS(answer(&made, i, HEARTBEAT), "channel=|received=1|period=1");
        }
        reply_set_columns(answer(&made, 1, HEARTBEAT), 3, (const char *const[]){ "channel", "received", "period" });
        clear(answer(&made, 1, REPLICA));
        answer(&made, 1, REPLICA)->run = true;
        reply_set_columns(answer(&made, 1, REPLICA), 1, (const char *const[]){ "Source_Host" });
        clear(&made.again->items[0]);
        ROWS(&made.again->items[0],
             "read_only=0|super_read_only=0|gtid_executed=" UUID ":1-10|gtid_purged=" UUID ":1-7");
        only(&made, "purged", "db3", "it lacks what the primary db1 has in no binary log any more: " UUID ":6-7");
        clear(answer(&made, 3, TICK));
        ROWS(answer(&made, 3, TICK), "read_only=1|super_read_only=1|gtid_executed=" UUID ":1-9|gtid_purged=");
        clear(answer(&made, 2, TICK));
        ROWS(answer(&made, 2, TICK),
             "read_only=1|super_read_only=1|gtid_executed=" UUID ":1-10|gtid_purged=" UUID ":1-10");
        only(&made, "purged_elsewhere", "db3", "the possible primary db2");
        case_done(&made);
}

/* SSH */

#define HOST_SAYS                                                                                                      \
        "clock 1000.5\nuser 0 root\nrights 000001ffffffffff\nprogram ss\nprogram ip\nprogram awk\nprogram sed\n"       \
        "program tail\nprogram head\nprogram stat\nprogram perl\nsystemd yes\ndevice yes\nlogs good /var/b.000009\n"

typedef struct Host {
        Facts facts;
        Reply reply;
        SshWay ways[2];
        SshLook look;
} Host;

static void host_done(Host *host)
{
        facts_done(&host->facts);
}
#define HOST __attribute__((cleanup(host_done))) Host

/* One that lacks nothing. */
static Host make_host(void)
{
        Host host = { .facts = fixture(MARIADB) };
        json_set(host.facts.root, "config",
                 parse("{\"address\":{\"ip\":\"10.0.0.9/24\",\"device\":\"eth0\"},\"ssh\":{\"enabled\":true}}"));
        host.reply = (Reply){ .run = true, .out = (char *) HOST_SAYS, .err = (char *) "" };
        host.ways[0] = (SshWay){ "db1", SSH_PATH_REACHED, "", NULL };
        host.ways[1] = (SshWay){ "db3", SSH_PATH_UNASKED, "", NULL };
        host.look = (SshLook){
                .server = "db2", .refused = CHECK_SSH, .asked = 1000 * USEC_SEC, .answered = 1001 * USEC_SEC
        };
        return host;
}

/* What is found in it, which must be one thing; that all is well is said then only when it is a note. */
static void host_has(Host *host, const char *id, const char *words)
{
        CLEANUP(json_free) Json *results = json_array();
        host->look.reply = &host->reply;
        host->look.ways = host->ways;
        host->look.n_ways = 2;
        ssh_check_judge(&host->facts, &host->look, results);
        CLEANUP(mem_free) char *all = json_print_pretty(results);
        if (found(results, id, "db2", words) != 1)
                fail_msg("no %s: %s", id, all);
        bool good = !check_has(results, "db2", CHECK_LEVEL_WARNING);
        assert_int_equal(found(results, "ssh", "db2", NULL), good);
        if (json_length(results) != 1 + (size_t) (good && strcmp(id, "ssh") != 0))
                fail_msg("more than %s: %s", id, all);
}

/* HOST_SAYS with a part of it replaced. */
static void host_says(Host *host, char *buffer, const char *part, const char *instead)
{
        const char *at = strstr(HOST_SAYS, part);
        assert_non_null(at);
        sprintf(buffer, "%.*s%s%s", (int) (at - HOST_SAYS), HOST_SAYS, instead, at + strlen(part));
        host->reply.out = buffer;
}

static void test_host(void **state)
{
        static const struct {
                const char *part, *instead, *id, *words;
        } cases[] = {
                { "clock", "clock", "ssh",
                  "logged in as root; it reaches the other databases; its newest binary log can be "
                  "read: b.000009" },
                { "0 root\nrights 000001ffffffffff", "9 mhad\nrights 0000000000001000", "ssh_rights",
                  "mhad may not end" },
                { "rights 000001ffffffffff", "rights 0000000000000020", "ssh_address",
                  "root may not change addresses" },
                { "program ip\n", "", "ssh_address", "there is no ip(8): 10.0.0.9/24" },
                { "device yes\n", "", "ssh_address", "there is no device eth0" },
                { "program perl\n", "", "ssh_announcement", "neither perl" },
                { "program perl\n", "program arping\n", "ssh", NULL },
                { "program ss\n", "", "ssh_programs", "missing on the host: ss" },
                { "systemd yes\n", "", "ssh_systemd", NULL },
                { "logs good", "logs unreadable", "ssh_binlogs", "/var/b.000009 cannot be read" },
                { "logs good /var/b.000009", "logs none /var/lib/mysql", "ssh_binlogs", "in /var/lib/mysql" },
                { "clock 1000.5", "clock 990.0", "ssh_clock", "10.0 s behind" },
                { "clock 1000.5", "clock 1004.0", "ssh_clock", "3.0 s ahead" },
                { "clock 1000.5", "clock 1000.%N", "ssh", NULL },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                HOST host = make_host();
                char buffer[1000];
                host_says(&host, buffer, cases[i].part, cases[i].instead);
                host_has(&host, cases[i].id, cases[i].words);
        }
}

static void test_host_refuses(void **state)
{
        HOST host = make_host();
        host.look.refused = CHECK_SSH_HOST_KEY;
        host.look.failure = "the host key has changed";
        host_has(&host, "ssh_host_key", "has changed");
        host.look.refused = CHECK_SSH;
        host.ways[0] = (SshWay){ "db1", SSH_PATH_FORBIDDEN, "sshd on db2 forbids forwarding", NULL };
        host.ways[1] = host.ways[0];
        host_has(&host, "ssh_forwarding", "forbids"); /* once, not for each server */
        host.ways[0] = (SshWay){ "db1", SSH_PATH_REACHED, "", NULL };
        host.ways[1] = (SshWay){ "db3", SSH_PATH_FAILED, "no route", NULL };
        host_has(&host, "ssh_path", "the database of db3 cannot be reached from it: no route");
        host.ways[1].path = SSH_PATH_UNASKED;
        host.look.listen_failure = "no port";
        host_has(&host, "ssh_reverse", "no port");
        json_set_string(json_ensure_object(json_get_mutable(host.facts.root, "config"), "rescue"), "listen",
                        "10.0.0.1");
        host_has(&host, "ssh", NULL); /* replicas come another way */
        Reply mesh = { .run = true, .exit_status = 255, .out = (char *) "", .err = (char *) "Permission denied\nmore" };
        host.ways[0].mesh = &mesh;
        host_has(&host, "ssh_mesh", "its account cannot log in to db1: Permission denied");
}

static void test_host_says_nothing(void **state)
{
        HOST host = make_host();
        host.reply.out = (char *) "";
        host_has(&host, "ssh_command", "a script gives nothing back");
        host.reply.exit_status = 1;
        host.reply.err = (char *) "sudo: a password is required\n";
        host_has(&host, "ssh_command", "sudo");
        json_set_string(json_ensure_object(json_get_mutable(host.facts.root, "config"), "ssh"), "sudo", "true");
        host_has(&host, "ssh_sudo", "a password is required");
}

static void test_host_by_sudo(void **state)
{
        HOST host = make_host();
        json_set_string(json_ensure_object(json_get_mutable(host.facts.root, "config"), "ssh"), "sudo", "commands");
        static const char *const cases[][3] = {
                { "ss -Hltnp sport = :3306", "ssh_rights", "sudo does not let the account run: ss -Hltnp" },
                { "systemctl stop --no-block mysql.service", "ssh_rights", "--no-block mysql.service" },
                { "ip addr add 10.0.0.100/24 dev eth0", "ssh_address", "ip addr add" },
                { "arping -q -U -c 1 -I eth0 10.0.0.100", "ssh_announcement", "arping" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                CLEANUP(mem_free) char *out = text_format("%sdenied %s\n", host.reply.out, cases[i][0]);
                char *good = host.reply.out;
                host.reply.out = out;
                host_has(&host, cases[i][1], cases[i][2]);
                host.reply.out = good;
        }
        host_has(&host, "ssh", NULL);
}

/* If a server died now */

static Facts living(const char *primary, const char *replicas)
{
        Facts facts = fixture(MYSQL84);
        learn(&facts, "db1", primary);
        for (int i = 2; i <= 3; i++) {
                const char *name = i == 2 ? "db2" : "db3";
                learn(&facts, name, replicas);
                json_append_string(json_ensure_array(facts.root, "replicas"), name);
        }
        json_set_string(facts.root, "mode", "mysql_gtid");
        return facts;
}

#define PRIMARY "{\"ticked\":true,\"gtid_mode\":true,\"gtid_executed\":\"" UUID ":1-12\"}"
#define A_REPLICA                                                                                                      \
        "{\"log_bin\":true,\"log_slave_updates\":true,\"ticked\":true,\"replica_read\":true,\"gtid_mode\":true,"       \
        "\"gtid_executed\":\"" UUID ":1-10\",\"channels\":[{\"name\":\"\",\"receiver\":\"connected\","                 \
        "\"applier_running\":true,\"mode\":\"auto\",\"source_host\":\"db1\",\"source_port\":3306,\"lag\":7,"           \
        "\"delay\":0}]}"

static void test_failover(void **state)
{
        CLEANUP(facts_done) Facts facts = living(PRIMARY, A_REPLICA);
        CLEANUP(json_free) Json *results = json_array();
        CLEANUP(json_free) Json *holds = json_array();
        failover_check_judge(&facts, holds, TAIL_READABLE, results);
        CLEANUP(mem_free) char *all = json_print_pretty(results);
        if (found(results, "candidate", "db1", "if it died now, db2 would be promoted") != 1 ||
            found(results, "loss_possible", "db1", "received yet (2 transactions when last seen)") != 1 ||
            found(results, "duration", "db1", "db2 needs for what it has not applied (7 s behind)") != 1 ||
            found(results, "replica_dies", "db2", "then db3 would be promoted after db1") != 1 ||
            found(results, "replica_dies", "db3", "then db2 would be promoted after db1") != 1)
                fail_msg("%s", all);
        assert_false(check_has(results, NULL, CHECK_LEVEL_WARNING));
}

static void test_failover_loss(void **state)
{
        CLEANUP(facts_done) Facts facts = living(PRIMARY, A_REPLICA);
        CLEANUP(json_free) Json *results = json_array();
        failover_check_judge(&facts, NULL, TAIL_UNREADABLE, results);
        assert_int_equal(found(results, "loss_possible", "db1", "its binary log cannot be read by SSH"), 1);
        assert_true(check_has(results, "db1", CHECK_LEVEL_WARNING));
        /* Semi-sync at work loses nothing, and a replica's death is felt when it is one of as many as are waited for. */
        learn(&facts, "db1",
              "{\"semi_sync_active\":true,\"semi_sync_clients\":1,\"semi_sync_wait_count\":1,"
              "\"semi_sync_timeout\":10000000}");
        CLEANUP(json_free) Json *lossless = json_array();
        failover_check_judge(&facts, NULL, TAIL_UNREADABLE, lossless);
        assert_int_equal(found(lossless, "loss", "db1", "commits wait for 1 of 1 replicas, for 10.0 s at most"), 1);
        assert_int_equal(found(lossless, "replica_dies", "db2", "commits would stand for the time-out of semi-sync"),
                         1);
}

static void test_failover_nobody(void **state)
{
        CLEANUP(facts_done) Facts facts = living(PRIMARY, A_REPLICA);
        CLEANUP(json_free) Json *holds = json_array();
        CLEANUP(json_free) Json *results = json_array();
        json_append_string(holds, "it is paused");
        learn(&facts, "db3", "{\"promotion\":\"never\"}");
        failover_check_judge(&facts, holds, TAIL_READABLE, results);
        assert_int_equal(found(results, "guard", NULL, "it is paused"), 1);
        assert_int_equal(found(results, "last_replica", "db2", "nobody could be promoted after db1"), 1);
        assert_int_equal(found(results, "replica_dies", "db3", "then db2 would be promoted"), 1);
        learn(&facts, "db2", "{\"log_bin\":false}");
        CLEANUP(json_free) Json *none = json_array();
        failover_check_judge(&facts, NULL, TAIL_READABLE, none);
        assert_int_equal(found(none, "no_candidate", "db1", "nobody would be promoted: "), 1);
        assert_int_equal(found(none, "candidate", "db1", NULL), 0);
}

/* The times are those of the configuration. */
static void test_failover_duration(void **state)
{
        CLEANUP(facts_done) Facts facts = living(PRIMARY, A_REPLICA);
        json_set(facts.root, "config",
                 parse("{\"detection\":{\"restart_grace_ms\":5800,\"ping_interval_ms\":3000,\"ping_timeout_ms\":2000,"
                       "\"connect_timeout_ms\":1000,\"confirm_timeout_ms\":1000},\"fence\":{\"timeout_ms\":9800,"
                       "\"policy\":\"required\"},\"hooks\":{\"stop\":true}}"));
        CLEANUP(json_free) Json *forecast = failover_forecast(&facts, TAIL_UNKNOWN);
        assert_string_equal(
                json_get_string(forecast, "duration"),
                "about 6.0 s when its process dies, at most about 17.0 s when its host does, and as long as db2 "
                "needs for what it has not applied (7 s behind), and the hooks' time");
}

/* Every row can be told to an operator and written into the manual. */
static void test_table(void **state)
{
        for (int id = 0; id < _CHECK_ID_MAX; id++) {
                const CheckRow *row = check_row((CheckId) id);
                assert_non_null(row->name);
                assert_non_null(row->meaning);
                assert_true(row->level == CHECK_LEVEL_OK || row->remedy);
                for (int other = 0; other < id; other++)
                        assert_string_not_equal(row->name, check_row((CheckId) other)->name);
        }
        for (int id = 0; id < _PROBLEM_MAX; id++)
                assert_string_equal(check_problem_row((ProblemId) id)->name, problem_to_string((ProblemId) id));
}

/* What the daemon finds without a judge is planted on real servers, in a test that names it. */
static const struct {
        CheckId id;
        const char *file;
} planted_for_real[] = {
        { CHECK_SSH_DISABLED, "test_check.py" },  { CHECK_SSH_UNREACHABLE, "test_check.py" },
        { CHECK_SSH_LOGIN, "test_check.py" },     { CHECK_DOWNTIME, "test_check.py" },
        { CHECK_HOOK, "test_check.py" },          { CHECK_HOOK_STATUS, "test_check.py" },
        { CHECK_SCRIPTS, "test_mha_scripts.py" }, { CHECK_UNUSABLE, "test_check.py" },
        { CHECK_CONFIG_ERROR, "test_check.py" },  { CHECK_CONFIG_WARNING, "test_check.py" },
};

static bool is_named(const char *file, const char *name)
{
        CLEANUP(mem_free) char *path = text_format("%s/test/integration/%s", root, file), *text = NULL;
        CLEANUP(mem_free) char *quoted = text_format("\"%s\"", name);
        size_t length = 0;
        if (file_read(path, SIZE_MAX, &text, &length, NULL) < 0)
                fail_msg("%s cannot be read", path);
        return strstr(text, quoted);
}

/* The last test: no row without one that plants its fault. Problems of the topology are planted in test-topology.c. */
static void test_each_was_planted(void **state)
{
        for (int id = 0; id < _CHECK_ID_MAX; id++) {
                const CheckRow *row = check_row((CheckId) id);
                bool good = row->level == CHECK_LEVEL_OK || json_has(planted, row->name);
                for (size_t i = 0; i < sizeof planted_for_real / sizeof *planted_for_real && !good; i++)
                        good = planted_for_real[i].id == (CheckId) id && is_named(planted_for_real[i].file, row->name);
                if (!good)
                        fail_msg("no test plants what %s finds", row->name);
        }
}

int main(int argc, char *argv[])
{
        assert(argc == 2);
        root = argv[1];
        planted = json_object();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_silent),
                cmocka_unit_test(test_asks_in_that_order),
                cmocka_unit_test(test_privileges),
                cmocka_unit_test(test_privileges_of_versions),
                cmocka_unit_test(test_replication_account),
                cmocka_unit_test(test_errant),
                cmocka_unit_test(test_purged_by_file),
                cmocka_unit_test(test_purged_by_gtid),
                cmocka_unit_test(test_heartbeat),
                cmocka_unit_test(test_settings),
                cmocka_unit_test(test_both_filters),
                cmocka_unit_test(test_tables),
                cmocka_unit_test(test_modes),
                cmocka_unit_test(test_semi_sync),
                cmocka_unit_test(test_unreachable),
                cmocka_unit_test(test_host),
                cmocka_unit_test(test_host_refuses),
                cmocka_unit_test(test_host_says_nothing),
                cmocka_unit_test(test_host_by_sudo),
                cmocka_unit_test(test_failover),
                cmocka_unit_test(test_failover_loss),
                cmocka_unit_test(test_failover_nobody),
                cmocka_unit_test(test_failover_duration),
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_each_was_planted),
        };
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        json_free(planted);
        return failed;
}
