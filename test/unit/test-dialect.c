/* What is said to which version. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dialect.h"

static const Dialect *dialect(const char *text)
{
        Version version;
        assert_int_equal(version_parse(text, &version, NULL), 0);
        return dialect_for(&version);
}

static void assert_dialect(const char *version, const char *name)
{
        assert_string_equal(dialect(version)->name, name);
}

static void test_choice(void **state)
{
        assert_dialect("5.5.62", "mysql-5.6");
        assert_dialect("5.6.24-log", "mysql-5.6");
        assert_dialect("5.7.44", "mysql-5.7");
        assert_dialect("8.0.11", "mysql-8.0");
        assert_dialect("8.0.22", "mysql-8.0");
        assert_dialect("8.0.23", "mysql-8.0.23");
        assert_dialect("8.0.45", "mysql-8.0.26");
        assert_dialect("8.4.3", "mysql-8.4");
        assert_dialect("9.7.0", "mysql-8.4");
        assert_dialect("10.5.4-MariaDB", "mariadb");
        assert_dialect("10.11.19-MariaDB", "mariadb");
        assert_dialect("11.8.2-MariaDB", "mariadb-11");
        assert_dialect("5.5.5-10.11.6-MariaDB", "mariadb");
        assert_dialect("5.5.68-MariaDB", "mariadb");
        Version unknown = { 0 };
        assert_string_equal(dialect_for(&unknown)->name, "mysql-5.6");
}

/* Columns that every dialect has. */
static void assert_columns(const Dialect *d)
{
        static const ReplicaColumn needed[] = { COLUMN_CHANNEL,        COLUMN_RECEIVER_RUNNING, COLUMN_APPLIER_RUNNING,
                                                COLUMN_SOURCE_HOST,    COLUMN_SOURCE_PORT,      COLUMN_SOURCE_ID,
                                                COLUMN_RECEIVED_FILE,  COLUMN_RECEIVED_OFFSET,  COLUMN_APPLIED_FILE,
                                                COLUMN_APPLIED_OFFSET, COLUMN_RELAY_SPACE,      COLUMN_LAG,
                                                COLUMN_DELAY,          COLUMN_RECEIVER_ERRNO,   COLUMN_APPLIER_ERRNO,
                                                COLUMN_RECEIVER_ERROR, COLUMN_APPLIER_ERROR,    COLUMN_SSL_ALLOWED };
        for (size_t i = 0; i < ARRAY_LENGTH(needed); i++)
                assert_non_null(d->columns[needed[i]]);
        bool mysql = d->flavour == FLAVOUR_MYSQL;
        assert_true(mysql == (d->columns[COLUMN_SOURCE_UUID] != NULL));
        assert_true(mysql == (d->columns[COLUMN_AUTO_POSITION] != NULL));
        assert_true(mysql == (d->columns[COLUMN_USING_GTID] == NULL));
        assert_true((d->show_heartbeat == NULL) == (d->columns[COLUMN_HEARTBEATS] != NULL));
}

static void test_complete(void **state)
{
        size_t n;
        const Dialect *table = dialect_table(&n);
        for (size_t i = 0; i < n; i++) {
                const Dialect *d = &table[i];
                const char *const words[] = { d->name,
                                              d->tick,
                                              d->show_replica,
                                              d->show_binlog,
                                              d->show_binlogs,
                                              d->start_replica,
                                              d->stop_replica,
                                              d->start_receiver,
                                              d->stop_receiver,
                                              d->start_applier,
                                              d->reset_replica,
                                              d->position_wait,
                                              d->gtid_wait,
                                              d->semi_sync_source,
                                              d->semi_sync_replica,
                                              d->change_source,
                                              d->source_word };
                for (size_t w = 0; w < ARRAY_LENGTH(words); w++)
                        assert_non_null(words[w]);
                assert_columns(d);
                assert_true(d->super_read_only == (strstr(d->tick, "super_read_only") != NULL));
        }
}

static void test_new_words_have_no_old_ones(void **state)
{
        const Dialect *d = dialect("9.7.0");
        const char *const words[] = { d->show_replica,   d->show_binlog,   d->start_replica, d->stop_replica,
                                      d->start_receiver, d->stop_receiver, d->start_applier, d->reset_replica,
                                      d->position_wait,  d->change_source, d->source_word };
        for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
                assert_null(strstr(words[i], "SLAVE"));
                assert_null(strstr(words[i], "MASTER"));
        }
        for (int i = 0; i < _REPLICA_COLUMN_MAX; i++)
                if (d->columns[i]) {
                        assert_null(strstr(d->columns[i], "Slave"));
                        assert_null(strstr(d->columns[i], "Master"));
                }
}

static void assert_change(const char *version, const SourceSpec *spec, const char *expected)
{
        __attribute__((cleanup(script_done_cleanup))) Script script = { 0 };
        dialect_change_source(dialect(version), &script, spec);
        assert_int_equal(script.n_items, 1);
        assert_string_equal(script.items[0].text, expected);
}

static void test_change_source_by_position(void **state)
{
        SourceSpec spec = { .host = "db'1",
                            .port = 3307,
                            .user = "repl",
                            .with_password = true,
                            .position = { "binlog.000007", 154 },
                            .heartbeat = 500 * USEC_MSEC,
                            .connect_retry = 10 * USEC_MSEC,
                            .tls = SOURCE_TLS_OFF };
        assert_change("5.6.24", &spec,
                      "CHANGE MASTER TO MASTER_HOST = 'db\\'1', MASTER_PORT = 3307, MASTER_USER = 'repl', "
                      "MASTER_PASSWORD = ${replication_password}, MASTER_LOG_FILE = 'binlog.000007', "
                      "MASTER_LOG_POS = 154, MASTER_AUTO_POSITION = 0, MASTER_HEARTBEAT_PERIOD = 0.500, "
                      "MASTER_CONNECT_RETRY = 1, MASTER_SSL = 0");
        spec = (SourceSpec){ .host = "db1", .port = 3306, .position = { "b.1", 4 }, .tls = SOURCE_TLS_KEEP };
        assert_change("8.0.20", &spec,
                      "CHANGE MASTER TO MASTER_HOST = 'db1', MASTER_PORT = 3306, MASTER_LOG_FILE = 'b.1', "
                      "MASTER_LOG_POS = 4, MASTER_AUTO_POSITION = 0, GET_MASTER_PUBLIC_KEY = 1");
        assert_change("10.11.6-MariaDB", &spec,
                      "CHANGE MASTER TO MASTER_HOST = 'db1', MASTER_PORT = 3306, MASTER_LOG_FILE = 'b.1', "
                      "MASTER_LOG_POS = 4, MASTER_USE_GTID = no");
}

static void test_change_source_by_gtid(void **state)
{
        SourceSpec spec = { .host = "db1", .port = 3306, .mode = SOURCE_AUTO, .connect_retry = 5 * USEC_SEC };
        assert_change("9.7.0", &spec,
                      "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'db1', SOURCE_PORT = 3306, SOURCE_AUTO_POSITION = 1, "
                      "SOURCE_CONNECT_RETRY = 5, GET_SOURCE_PUBLIC_KEY = 1");
        spec.tls = SOURCE_TLS_ON;
        assert_change("8.4.0", &spec,
                      "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'db1', SOURCE_PORT = 3306, SOURCE_AUTO_POSITION = 1, "
                      "SOURCE_CONNECT_RETRY = 5, SOURCE_SSL = 1");
        spec = (SourceSpec){ .host = "db1", .port = 3306, .mode = SOURCE_SLAVE_POS };
        assert_change("10.11.6-MariaDB", &spec,
                      "CHANGE MASTER TO MASTER_HOST = 'db1', MASTER_PORT = 3306, MASTER_USE_GTID = slave_pos");
        spec.mode = SOURCE_CURRENT_POS;
        assert_change("10.5.1-MariaDB", &spec,
                      "CHANGE MASTER TO MASTER_HOST = 'db1', MASTER_PORT = 3306, MASTER_USE_GTID = current_pos");
}

static void assert_read_only(const char *version, bool on, const char *expected)
{
        __attribute__((cleanup(script_done_cleanup))) Script script = { 0 };
        dialect_read_only(dialect(version), &script, on);
        assert_int_equal(script.n_items, 1);
        assert_string_equal(script.items[0].text, expected);
}

static void test_read_only(void **state)
{
        assert_read_only("5.6.24", true, "SET GLOBAL read_only = ON");
        assert_read_only("5.7.30", true, "SET GLOBAL super_read_only = ON");
        assert_read_only("9.7.0", false, "SET GLOBAL read_only = OFF");
        assert_read_only("10.11.6-MariaDB", true, "SET GLOBAL read_only = ON");
}

static void assert_wait(const char *version, bool gtid, usec_t timeout, const char *expected)
{
        __attribute__((cleanup(script_done_cleanup))) Script script = { 0 };
        Position position = { "b.1", 4 };
        if (gtid)
                dialect_wait_gtid(dialect(version), &script, "0-1-2", timeout);
        else
                dialect_wait_position(dialect(version), &script, &position, timeout);
        assert_string_equal(script.items[0].text, expected);
}

static void test_wait(void **state)
{
        assert_wait("5.6.24", false, 0, "SELECT MASTER_POS_WAIT('b.1', 4, 1) AS result");
        assert_wait("9.7.0", false, 90 * USEC_SEC, "SELECT SOURCE_POS_WAIT('b.1', 4, 90) AS result");
        assert_wait("5.6.24", true, USEC_SEC, "SELECT WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS('0-1-2', 1) AS result");
        assert_wait("8.4.0", true, USEC_SEC, "SELECT -WAIT_FOR_EXECUTED_GTID_SET('0-1-2', 1) AS result");
        assert_wait("10.11.1-MariaDB", true, USEC_INFINITY, "SELECT MASTER_GTID_WAIT('0-1-2', 2592000) AS result");
}

static void test_semi_sync(void **state)
{
        __attribute__((cleanup(script_done_cleanup))) Script script = { 0 };
        dialect_semi_sync(dialect("10.11.1-MariaDB"), &script, true, true);
        assert_int_equal(script.n_items, 1);
        assert_string_equal(script.items[0].text, "SET GLOBAL rpl_semi_sync_master_enabled = ON");
        assert_true(script.items[0].may_fail);
        dialect_semi_sync(dialect("9.7.0"), &script, false, false);
        assert_int_equal(script.n_items, 3);
        assert_string_equal(script.items[1].text, "SET GLOBAL rpl_semi_sync_replica_enabled = OFF");
        assert_string_equal(script.items[2].text, "SET GLOBAL rpl_semi_sync_slave_enabled = OFF");
}

static void test_names(void **state)
{
        for (int i = 0; i < _SOURCE_MODE_MAX; i++)
                assert_int_equal(source_mode_from_string(source_mode_to_string((SourceMode) i)), i);
        for (int i = 0; i < _SOURCE_TLS_MAX; i++)
                assert_int_equal(source_tls_from_string(source_tls_to_string((SourceTls) i)), i);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_choice),
                cmocka_unit_test(test_complete),
                cmocka_unit_test(test_new_words_have_no_old_ones),
                cmocka_unit_test(test_change_source_by_position),
                cmocka_unit_test(test_change_source_by_gtid),
                cmocka_unit_test(test_read_only),
                cmocka_unit_test(test_wait),
                cmocka_unit_test(test_semi_sync),
                cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
