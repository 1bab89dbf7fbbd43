/* The table of dialects. Owns nothing; must be the only place that knows which version says what. */
#include "dialect.h"

#include <errno.h>
#include <string.h>

#include "enum.h"

static const char *const source_mode_names[_SOURCE_MODE_MAX] = {
        [SOURCE_POSITION] = "position",
        [SOURCE_AUTO] = "auto",
        [SOURCE_SLAVE_POS] = "slave_pos",
        [SOURCE_CURRENT_POS] = "current_pos",
};
ENUM_STRINGS(source_mode, SourceMode, source_mode_names)

static const char *const source_tls_names[_SOURCE_TLS_MAX] = {
        [SOURCE_TLS_KEEP] = "keep",
        [SOURCE_TLS_ON] = "on",
        [SOURCE_TLS_OFF] = "off",
};
ENUM_STRINGS(source_tls, SourceTls, source_tls_names)

/* What the columns of SHOW SLAVE STATUS and SHOW REPLICA STATUS have in common. */
#define COMMON_COLUMNS                                                                                                 \
        [COLUMN_CONNECT_RETRY] = "Connect_Retry", [COLUMN_RELAY_FILE] = "Relay_Log_File",                              \
        [COLUMN_RELAY_OFFSET] = "Relay_Log_Pos", [COLUMN_RELAY_SPACE] = "Relay_Log_Space",                             \
        [COLUMN_DELAY] = "SQL_Delay", [COLUMN_RECEIVER_ERRNO] = "Last_IO_Errno",                                       \
        [COLUMN_RECEIVER_ERROR] = "Last_IO_Error", [COLUMN_APPLIER_ERRNO] = "Last_SQL_Errno",                          \
        [COLUMN_APPLIER_ERROR] = "Last_SQL_Error", [COLUMN_DO_DB] = "Replicate_Do_DB",                                 \
        [COLUMN_IGNORE_DB] = "Replicate_Ignore_DB", [COLUMN_DO_TABLE] = "Replicate_Do_Table",                          \
        [COLUMN_IGNORE_TABLE] = "Replicate_Ignore_Table", [COLUMN_WILD_DO_TABLE] = "Replicate_Wild_Do_Table",          \
        [COLUMN_WILD_IGNORE_TABLE] = "Replicate_Wild_Ignore_Table", [COLUMN_REWRITE_DB] = "Replicate_Rewrite_DB"

#define SLAVE_COLUMNS                                                                                                  \
        COMMON_COLUMNS, [COLUMN_RECEIVER_RUNNING] = "Slave_IO_Running",                                                \
                        [COLUMN_APPLIER_RUNNING] = "Slave_SQL_Running", [COLUMN_RECEIVER_STATE] = "Slave_IO_State",    \
                        [COLUMN_APPLIER_STATE] = "Slave_SQL_Running_State", [COLUMN_SOURCE_HOST] = "Master_Host",      \
                        [COLUMN_SOURCE_PORT] = "Master_Port", [COLUMN_SOURCE_USER] = "Master_User",                    \
                        [COLUMN_SOURCE_ID] = "Master_Server_Id", [COLUMN_SSL_ALLOWED] = "Master_SSL_Allowed",          \
                        [COLUMN_RECEIVED_FILE] = "Master_Log_File", [COLUMN_RECEIVED_OFFSET] = "Read_Master_Log_Pos",  \
                        [COLUMN_APPLIED_FILE] = "Relay_Master_Log_File",                                               \
                        [COLUMN_APPLIED_OFFSET] = "Exec_Master_Log_Pos", [COLUMN_LAG] = "Seconds_Behind_Master"

#define MYSQL_COLUMNS                                                                                                  \
        [COLUMN_CHANNEL] = "Channel_Name", [COLUMN_RETRIEVED_GTID] = "Retrieved_Gtid_Set",                             \
        [COLUMN_EXECUTED_GTID] = "Executed_Gtid_Set", [COLUMN_AUTO_POSITION] = "Auto_Position"

static const char *const mysql_slave_columns[_REPLICA_COLUMN_MAX] = {
        SLAVE_COLUMNS,
        MYSQL_COLUMNS,
        [COLUMN_SOURCE_UUID] = "Master_UUID",
};

static const char *const mysql_replica_columns[_REPLICA_COLUMN_MAX] = {
        COMMON_COLUMNS,
        MYSQL_COLUMNS,
        [COLUMN_RECEIVER_RUNNING] = "Replica_IO_Running",
        [COLUMN_APPLIER_RUNNING] = "Replica_SQL_Running",
        [COLUMN_RECEIVER_STATE] = "Replica_IO_State",
        [COLUMN_APPLIER_STATE] = "Replica_SQL_Running_State",
        [COLUMN_SOURCE_HOST] = "Source_Host",
        [COLUMN_SOURCE_PORT] = "Source_Port",
        [COLUMN_SOURCE_USER] = "Source_User",
        [COLUMN_SOURCE_ID] = "Source_Server_Id",
        [COLUMN_SOURCE_UUID] = "Source_UUID",
        [COLUMN_SSL_ALLOWED] = "Source_SSL_Allowed",
        [COLUMN_RECEIVED_FILE] = "Source_Log_File",
        [COLUMN_RECEIVED_OFFSET] = "Read_Source_Log_Pos",
        [COLUMN_APPLIED_FILE] = "Relay_Source_Log_File",
        [COLUMN_APPLIED_OFFSET] = "Exec_Source_Log_Pos",
        [COLUMN_LAG] = "Seconds_Behind_Source",
};

static const char *const mariadb_columns[_REPLICA_COLUMN_MAX] = {
        SLAVE_COLUMNS,
        [COLUMN_CHANNEL] = "Connection_name",
        [COLUMN_USING_GTID] = "Using_Gtid",
        [COLUMN_GTID_IO_POS] = "Gtid_IO_Pos",
        [COLUMN_HEARTBEATS] = "Slave_received_heartbeats",
        [COLUMN_HEARTBEAT_PERIOD] = "Slave_heartbeat_period",
};

#define SLAVE_WORDS                                                                                                    \
        .start_replica = "START SLAVE", .stop_replica = "STOP SLAVE", .start_receiver = "START SLAVE IO_THREAD",       \
        .stop_receiver = "STOP SLAVE IO_THREAD", .start_applier = "START SLAVE SQL_THREAD",                            \
        .reset_replica = "RESET SLAVE ALL", .change_source = "CHANGE MASTER TO", .source_word = "MASTER",              \
        .rest_event = "DISABLE ON SLAVE"

#define REPLICA_WORDS                                                                                                  \
        .columns = mysql_replica_columns, .show_replica = "SHOW REPLICA STATUS", .start_replica = "START REPLICA",     \
        .stop_replica = "STOP REPLICA", .start_receiver = "START REPLICA IO_THREAD",                                   \
        .stop_receiver = "STOP REPLICA IO_THREAD", .start_applier = "START REPLICA SQL_THREAD",                        \
        .reset_replica = "RESET REPLICA ALL", .idle_worker = "Waiting for an event from Coordinator",                  \
        .change_source = "CHANGE REPLICATION SOURCE TO", .source_word = "SOURCE"

#define MYSQL_SLAVE_WORDS                                                                                              \
        SLAVE_WORDS, .columns = mysql_slave_columns, .show_replica = "SHOW SLAVE STATUS",                              \
                     .idle_worker = "Waiting for an event from Coordinator"

#define MYSQL_TICK                                                                                                     \
        "SELECT @@GLOBAL.read_only AS read_only, @@GLOBAL.super_read_only AS super_read_only, "                        \
        "@@GLOBAL.gtid_executed AS gtid_executed, @@GLOBAL.gtid_purged AS gtid_purged"

#define MYSQL_HEARTBEAT                                                                                                \
        "SELECT s.CHANNEL_NAME AS channel, s.COUNT_RECEIVED_HEARTBEATS AS received, c.HEARTBEAT_INTERVAL AS period "   \
        "FROM performance_schema.replication_connection_status AS s "                                                  \
        "JOIN performance_schema.replication_connection_configuration AS c ON c.CHANNEL_NAME = s.CHANNEL_NAME"

#define N_SESSIONS(schema)                                                                                             \
        "(SELECT VARIABLE_VALUE FROM " schema ".global_status WHERE VARIABLE_NAME = 'Threads_connected')"

/* What MySQL says from 5.7 on. */
#define MYSQL_57                                                                                                       \
        .flavour = FLAVOUR_MYSQL, .tick = MYSQL_TICK, .show_heartbeat = MYSQL_HEARTBEAT, .super_read_only = true,      \
        .n_sessions = N_SESSIONS("performance_schema"), .show_binlogs = "SHOW BINARY LOGS",                            \
        .gtid_wait = "WAIT_FOR_EXECUTED_GTID_SET", .gtid_wait_1_is_timeout = true

#define MARIADB                                                                                                        \
        .flavour = FLAVOUR_MARIADB, .columns = mariadb_columns,                                                        \
        .tick = "SELECT @@GLOBAL.read_only AS read_only, @@GLOBAL.gtid_binlog_pos AS gtid_binlog_pos, "                \
                "@@GLOBAL.gtid_slave_pos AS gtid_slave_pos, @@GLOBAL.gtid_current_pos AS gtid_current_pos",            \
        .show_replica = "SHOW ALL SLAVES STATUS", .show_binlog = "SHOW MASTER STATUS",                                 \
        .show_binlogs = "SHOW BINARY LOGS", .position_wait = "MASTER_POS_WAIT", .gtid_wait = "MASTER_GTID_WAIT",       \
        .idle_worker = "Waiting for work from SQL thread", .start_drops_relay_logs = true

#define OLD_SEMI_SYNC .semi_sync_source = "rpl_semi_sync_master", .semi_sync_replica = "rpl_semi_sync_slave"
#define NEW_SEMI_SYNC .semi_sync_source = "rpl_semi_sync_source", .semi_sync_replica = "rpl_semi_sync_replica"

/* By flavour, then version. */
static const Dialect dialects[] = {
        {
                .name = "mysql-5.6",
                .flavour = FLAVOUR_MYSQL,
                .since_major = 5,
                MYSQL_SLAVE_WORDS,
                OLD_SEMI_SYNC,
                .tick = "SELECT @@GLOBAL.read_only AS read_only, @@GLOBAL.gtid_executed AS gtid_executed, "
                        "@@GLOBAL.gtid_purged AS gtid_purged",
                .show_binlog = "SHOW MASTER STATUS",
                .show_binlogs = "SHOW BINARY LOGS",
                .show_heartbeat = "SELECT '' AS channel, "
                                  "(SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
                                  "WHERE VARIABLE_NAME = 'SLAVE_RECEIVED_HEARTBEATS') AS received, "
                                  "(SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
                                  "WHERE VARIABLE_NAME = 'SLAVE_HEARTBEAT_PERIOD') AS period",
                .position_wait = "MASTER_POS_WAIT",
                .gtid_wait = "WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS",
                .n_sessions = N_SESSIONS("information_schema"),
                .lock_waits_for_reads = true,
        },
        {
                .name = "mysql-5.7",
                .since_major = 5,
                .since_minor = 7,
                .since_patch = 8,
                MYSQL_57,
                MYSQL_SLAVE_WORDS,
                OLD_SEMI_SYNC,
                .show_binlog = "SHOW MASTER STATUS",
                .position_wait = "MASTER_POS_WAIT",
        },
        {
                .name = "mysql-8.0",
                .since_major = 8,
                .since_patch = 4,
                MYSQL_57,
                MYSQL_SLAVE_WORDS,
                OLD_SEMI_SYNC,
                .show_binlog = "SHOW MASTER STATUS",
                .position_wait = "MASTER_POS_WAIT",
                .public_key = true,
                .change_keeps_relay_logs = true,
        },
        {
                .name = "mysql-8.0.23",
                .since_major = 8,
                .since_patch = 23,
                MYSQL_57,
                REPLICA_WORDS,
                OLD_SEMI_SYNC,
                .show_binlog = "SHOW MASTER STATUS",
                .position_wait = "MASTER_POS_WAIT",
                .rest_event = "DISABLE ON SLAVE",
                .public_key = true,
                .change_keeps_relay_logs = true,
        },
        {
                .name = "mysql-8.0.26",
                .since_major = 8,
                .since_patch = 26,
                MYSQL_57,
                REPLICA_WORDS,
                NEW_SEMI_SYNC,
                .show_binlog = "SHOW MASTER STATUS",
                .position_wait = "SOURCE_POS_WAIT",
                .rest_event = "DISABLE ON SLAVE",
                .public_key = true,
                .change_keeps_relay_logs = true,
        },
        {
                .name = "mysql-8.4",
                .since_major = 8,
                .since_minor = 2,
                MYSQL_57,
                REPLICA_WORDS,
                NEW_SEMI_SYNC,
                .show_binlog = "SHOW BINARY LOG STATUS",
                .position_wait = "SOURCE_POS_WAIT",
                .rest_event = "DISABLE ON REPLICA",
                .public_key = true,
                .change_keeps_relay_logs = true,
        },
        {
                .name = "mariadb",
                .since_major = 10,
                MARIADB,
                SLAVE_WORDS,
                OLD_SEMI_SYNC,
        },
        {
                .name = "mariadb-11", /* seen of 11.8, and not of 10.11 */
                .since_major = 11,
                MARIADB,
                SLAVE_WORDS,
                OLD_SEMI_SYNC,
                .stop_waits_for_connect = true,
        },
};

static const char identity[] =
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'server_id', 'server_uuid', 'hostname', 'pid_file', "
        "'port', 'datadir', 'log_bin', 'log_bin_basename', 'log_bin_index', 'relay_log_index', 'log_slave_updates', "
        "'log_replica_updates', 'gtid_mode', 'gtid_strict_mode', 'relay_log_purge', 'slave_parallel_workers', "
        "'replica_parallel_workers', 'slave_parallel_threads', 'sync_binlog', 'innodb_flush_log_at_trx_commit', "
        "'slave_net_timeout', 'replica_net_timeout', 'rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled', "
        "'rpl_semi_sync_slave_enabled', 'rpl_semi_sync_replica_enabled', "
        "'rpl_semi_sync_master_wait_for_slave_count', 'rpl_semi_sync_source_wait_for_replica_count', "
        "'rpl_semi_sync_master_timeout', 'rpl_semi_sync_source_timeout')";

static const char semi_sync_status[] =
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_master_status', 'Rpl_semi_sync_source_status', "
        "'Rpl_semi_sync_master_clients', 'Rpl_semi_sync_source_clients', 'Rpl_semi_sync_master_wait_sessions', "
        "'Rpl_semi_sync_source_wait_sessions', 'Rpl_semi_sync_master_yes_tx', 'Rpl_semi_sync_source_yes_tx')";

const Dialect *dialect_for(const Version *version)
{
        const Dialect *found = NULL;
        for (size_t i = 0; i < ARRAY_LENGTH(dialects); i++) {
                const Dialect *dialect = &dialects[i];
                if (dialect->flavour == version->flavour &&
                    (!found ||
                     version_at_least(version, dialect->since_major, dialect->since_minor, dialect->since_patch)))
                        found = dialect;
        }
        return found ? found : &dialects[0];
}

const Dialect *dialect_table(size_t *ret_n)
{
        *ret_n = ARRAY_LENGTH(dialects);
        return dialects;
}

const char *dialect_identity(void)
{
        return identity;
}

const char *dialect_semi_sync_status(void)
{
        return semi_sync_status;
}

static void add_option(Text *text, const Dialect *dialect, const char *option, const char *value)
{
        text_addf(text, "%s%s_%s = %s", text->length > 0 ? ", " : "", dialect->source_word, option, value);
}

static void add_quoted(Text *text, const Dialect *dialect, const char *option, const char *value)
{
        CLEANUP(mem_free) char *quoted = text_quote_sql(value);
        add_option(text, dialect, option, quoted);
}

static void add_number(Text *text, const Dialect *dialect, const char *option, uint64_t value)
{
        CLEANUP(mem_free) char *number = text_format("%llu", (unsigned long long) value);
        add_option(text, dialect, option, number);
}

static void add_mode(Text *text, const Dialect *dialect, const SourceSpec *spec)
{
        if (spec->mode == SOURCE_POSITION && position_is_set(&spec->position)) {
                add_quoted(text, dialect, "LOG_FILE", spec->position.file);
                add_number(text, dialect, "LOG_POS", spec->position.offset);
        }
        if (dialect->flavour == FLAVOUR_MARIADB)
                add_option(text, dialect, "USE_GTID",
                           spec->mode == SOURCE_POSITION      ? "no"
                           : spec->mode == SOURCE_CURRENT_POS ? "current_pos"
                                                              : "slave_pos");
        else if (!spec->keep_mode)
                add_option(text, dialect, "AUTO_POSITION", spec->mode == SOURCE_POSITION ? "0" : "1");
}

static void add_timing(Text *text, const Dialect *dialect, const SourceSpec *spec)
{
        if (spec->heartbeat > 0) {
                usec_t msec = spec->heartbeat < USEC_MSEC ? 1 : spec->heartbeat / USEC_MSEC;
                CLEANUP(mem_free)
                char *period = text_format("%llu.%03llu", (unsigned long long) (msec / 1000),
                                           (unsigned long long) (msec % 1000));
                add_option(text, dialect, "HEARTBEAT_PERIOD", period);
        }
        if (spec->connect_retry > 0)
                add_number(text, dialect, "CONNECT_RETRY",
                           spec->connect_retry < USEC_SEC ? 1 : spec->connect_retry / USEC_SEC);
}

void dialect_change_source(const Dialect *dialect, Script *script, const SourceSpec *spec)
{
        Text text = { 0 };
        add_quoted(&text, dialect, "HOST", spec->host);
        add_number(&text, dialect, "PORT", spec->port);
        if (spec->user)
                add_quoted(&text, dialect, "USER", spec->user);
        if (spec->with_password || spec->feed)
                add_option(&text, dialect, "PASSWORD", spec->feed ? "${feed_password}" : "${replication_password}");
        else if (spec->no_password)
                add_quoted(&text, dialect, "PASSWORD", "");
        add_mode(&text, dialect, spec);
        add_timing(&text, dialect, spec);
        if (spec->tls != SOURCE_TLS_KEEP)
                add_option(&text, dialect, "SSL", spec->tls == SOURCE_TLS_ON ? "1" : "0");
        if (dialect->public_key && spec->tls != SOURCE_TLS_ON)
                text_addf(&text, ", GET_%s_PUBLIC_KEY = 1", dialect->source_word);
        script_sql(script, "%s %s", dialect->change_source, text.data);
        text_done(&text);
}

void dialect_keep_relay_logs(const Dialect *dialect, Script *script, const char *file, uint64_t offset)
{
        CLEANUP(mem_free) char *quoted = text_quote_sql(file);
        script_sql(script, "%s %s_USE_GTID = no, RELAY_LOG_FILE = %s, RELAY_LOG_POS = %llu", dialect->change_source,
                   dialect->source_word, quoted, (unsigned long long) offset);
}

void dialect_read_only(const Dialect *dialect, Script *script, bool on)
{
        /* MySQL: setting super_read_only sets read_only, clearing read_only clears super_read_only. */
        if (on && dialect->super_read_only)
                script_sql(script, "SET GLOBAL super_read_only = ON");
        else
                script_sql(script, "SET GLOBAL read_only = %s", on ? "ON" : "OFF");
}

/* MySQL: read_only stays ON when super_read_only is cleared. */
void dialect_privileged_writes(const Dialect *dialect, Script *script, bool on)
{
        if (dialect->super_read_only)
                script_sql(script, "SET GLOBAL super_read_only = %s", on ? "OFF" : "ON");
}

/* Who may read the accounts sees the privileges of all: only our own count. execute_at is told in the event's own time
 * zone. */
static const char events[] =
        "SELECT @@GLOBAL.event_scheduler AS scheduler, one.may_see, e.event_schema AS `schema`, e.event_name AS name, "
        "e.definer AS definer, e.character_set_client AS client, e.collation_connection AS collation, "
        "e.status AS status, e.event_type = 'ONE TIME' AS once, "
        "e.execute_at <= CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', e.time_zone) AS due "
        "FROM (SELECT COUNT(*) AS may_see FROM information_schema.user_privileges WHERE privilege_type = 'EVENT' AND "
        "grantee = CONCAT(QUOTE(LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH(SUBSTRING_INDEX("
        "CURRENT_USER(), '@', -1)) - 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))) AS one "
        "LEFT JOIN information_schema.events AS e ON TRUE";

const char *dialect_events(void)
{
        return events;
}

bool dialect_event_rests(const char *status)
{
        return text_equal(status, "SLAVESIDE_DISABLED") || text_equal(status, "REPLICA_SIDE_DISABLED");
}

static bool is_ascii(const char *text)
{
        for (; text && *text; text++)
                if ((unsigned char) *text >= 0x80)
                        return false;
        return true;
}

bool dialect_event_is_plain(const EventSpec *spec)
{
        const char *texts[] = { spec->schema, spec->name, spec->definer };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                bool readable = is_ascii(texts[i]) || text_starts_with(spec->client, "utf8");
                if (!texts[i] || !readable || strstr(texts[i], "${")) /* which scripts read as a placeholder */
                        return false;
        }
        return spec->client && spec->collation;
}

static void add_name(Text *text, const char *name, size_t length)
{
        text_add(text, "`");
        for (size_t i = 0; i < length; i++)
                text_add_n(text, name[i] == '`' ? "``" : name + i, name[i] == '`' ? 2 : 1);
        text_add(text, "`");
}

void dialect_event(const Dialect *dialect, Script *script, const EventSpec *spec, bool run)
{
        CLEANUP(text_done) Text text = { 0 };
        const char *at = strrchr(spec->definer, '@');
        size_t user = at ? (size_t) (at - spec->definer) : strlen(spec->definer);
        CLEANUP(mem_free) char *client = text_quote_sql(spec->client);
        CLEANUP(mem_free) char *collation = text_quote_sql(spec->collation);
        /* It takes these from the session, and the definer unless it is named. */
        script_try_sql(script, "SET SESSION character_set_client = %s, collation_connection = %s", client, collation);
        text_add(&text, "ALTER DEFINER = ");
        add_name(&text, spec->definer, user);
        if (at) {
                text_add(&text, "@");
                add_name(&text, at + 1, strlen(at + 1));
        }
        text_add(&text, " EVENT ");
        add_name(&text, spec->schema, strlen(spec->schema));
        text_add(&text, ".");
        add_name(&text, spec->name, strlen(spec->name));
        text_addf(&text, " %s", run ? "ENABLE" : dialect->rest_event);
        script_try_sql(script, "%s", text.data);
}

void dialect_stop_events(Script *script)
{
        script_try_sql(script, "SET GLOBAL event_scheduler = OFF");
}

const char *dialect_relay_log_purge(void)
{
        return "SELECT @@GLOBAL.relay_log_purge AS relay_log_purge";
}

void dialect_set_relay_log_purge(Script *script, bool on)
{
        script_sql(script, "SET GLOBAL relay_log_purge = %s", on ? "ON" : "OFF");
}

/* Not into the binary log: it would be repeated on replicas of this one. */
void dialect_flush_relay_logs(Script *script)
{
        script_sql(script, "FLUSH NO_WRITE_TO_BINLOG RELAY LOGS");
}

void dialect_unlogged(Script *script, bool on)
{
        script_sql(script, "SET SESSION sql_log_bin = %d", !on);
        if (!on)
                script_sql(script, "SET NAMES utf8mb4");
}

/* To these functions 0 means for ever. */
static unsigned long long wait_seconds(usec_t timeout)
{
        return timeout < USEC_SEC ? 1 : (timeout < 30 * USEC_DAY ? timeout : 30 * USEC_DAY) / USEC_SEC;
}

void dialect_wait_position(const Dialect *dialect, Script *script, const Position *position, usec_t timeout)
{
        CLEANUP(mem_free) char *file = text_quote_sql(position->file);
        script_sql(script, "SELECT %s(%s, %llu, %llu) AS result", dialect->position_wait, file,
                   (unsigned long long) position->offset, wait_seconds(timeout));
}

void dialect_wait_gtid(const Dialect *dialect, Script *script, const char *gtid_set, usec_t timeout)
{
        CLEANUP(mem_free) char *set = text_quote_sql(gtid_set ? gtid_set : "");
        script_sql(script,
                   dialect->gtid_wait_1_is_timeout ? "SELECT -%s(%s, %llu) AS result" : "SELECT %s(%s, %llu) AS result",
                   dialect->gtid_wait, set, wait_seconds(timeout));
}

void dialect_semi_sync(const Dialect *dialect, Script *script, bool source, bool on)
{
        static const char *const old_names[] = { "rpl_semi_sync_slave", "rpl_semi_sync_master" };
        const char *name = source ? dialect->semi_sync_source : dialect->semi_sync_replica;
        script_try_sql(script, "SET GLOBAL %s_enabled = %s", name, on ? "ON" : "OFF");
        /* Versions that know the new plugins take the old ones too. */
        if (!text_equal(name, old_names[source]))
                script_try_sql(script, "SET GLOBAL %s_enabled = %s", old_names[source], on ? "ON" : "OFF");
}
