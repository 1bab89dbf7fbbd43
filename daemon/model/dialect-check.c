/* What mhactl check says to each version, and how it reads the answer. Pure. */
#include "dialect-check.h"

#include <ctype.h>
#include <string.h>

#include "text.h"

/* Since and until a version (major, minor, patch); until is the first that does not want it. */
typedef struct PrivilegeRow {
        Privilege privilege; /* first, so that a row is found by it */
        Flavour flavour;
        unsigned since[3], until[3];
} PrivilegeRow;

#define MYSQL .flavour = FLAVOUR_MYSQL
#define MARIADB .flavour = FLAVOUR_MARIADB
#define SEES "to see how replication stands"
#define SESSIONS "to see sessions and transactions before a switchover"
#define ENDS "to end sessions of clients"
#define READ_ONLY "to make servers read-only and writable"
#define REPLICATES "to stop, start and point replicas"
#define FORGETS "to forget a source and flush logs"
#define SEMI_SYNC "to turn semi-sync on and off"
#define EVENTS "to let scheduled events follow the role"
#define HEARTBEATS "to see when a replica last heard from its source"
#define ACCOUNTS "to check the account of replication"
#define ON_TABLE(what, table, why)                                                                                     \
        {                                                                                                              \
                what, NULL, why, false, table                                                                          \
        }
#define STATUS_TABLE "performance_schema.replication_connection_status"
#define CONFIGURATION_TABLE "performance_schema.replication_connection_configuration"
/* No more of that table: it has the hashes of passwords, too. */
#define ACCOUNT_COLUMNS "SELECT (host, user, repl_slave_priv)"

/* MariaDB: until 10.11 SUPER includes READ ONLY ADMIN, until 11.0 the others. */
static const PrivilegeRow privileges[] = {
        { { "PROCESS", NULL, SESSIONS, false }, MYSQL },
        { { "RELOAD", NULL, FORGETS, false }, MYSQL },
        { { "REPLICATION CLIENT", NULL, SEES, false }, MYSQL },
        { { "SUPER", NULL, READ_ONLY ", replicas and sessions", false }, MYSQL, .until = { 8, 0, 0 } },
        { { "REPLICATION_SLAVE_ADMIN", "SUPER", REPLICATES, false }, MYSQL, .since = { 8, 0, 0 } },
        { { "SYSTEM_VARIABLES_ADMIN", "SUPER", READ_ONLY, false }, MYSQL, .since = { 8, 0, 0 } },
        { { "CONNECTION_ADMIN", "SUPER", ENDS, false }, MYSQL, .since = { 8, 0, 0 } },
        { { "EVENT", NULL, EVENTS, true }, MYSQL },
        { { "SET_USER_ID", "SUPER", EVENTS, true }, MYSQL, .since = { 8, 0, 0 }, .until = { 8, 2, 0 } },
        { { "SET_ANY_DEFINER", NULL, EVENTS, true }, MYSQL, .since = { 8, 2, 0 } },
        { { "SYSTEM_USER", NULL, "to let those follow whose definer has it, as root has", true },
          MYSQL,
          .since = { 8, 0, 16 } },
        { ON_TABLE("SELECT", STATUS_TABLE, HEARTBEATS), MYSQL, .since = { 5, 7, 0 } },
        { ON_TABLE("SELECT", CONFIGURATION_TABLE, HEARTBEATS), MYSQL, .since = { 5, 7, 0 } },
        { ON_TABLE(ACCOUNT_COLUMNS, "mysql.user", ACCOUNTS), MYSQL },

        { { "PROCESS", NULL, SESSIONS, false }, MARIADB },
        { { "RELOAD", NULL, FORGETS, false }, MARIADB },
        { { "REPLICATION CLIENT", "SUPER", SEES, false }, MARIADB, .until = { 10, 5, 2 } },
        { { "SUPER", NULL, READ_ONLY ", replicas and sessions", false }, MARIADB, .until = { 10, 5, 2 } },
        { { "BINLOG MONITOR", NULL, SEES, false }, MARIADB, .since = { 10, 5, 2 } },
        { { "SLAVE MONITOR", "SUPER", SEES, false }, MARIADB, .since = { 10, 5, 9 }, .until = { 11, 0, 1 } },
        { { "SLAVE MONITOR", NULL, SEES, false }, MARIADB, .since = { 11, 0, 1 } },
        { { "REPLICATION SLAVE ADMIN", "SUPER", REPLICATES, false }, MARIADB, { 10, 5, 2 }, { 11, 0, 1 } },
        { { "REPLICATION SLAVE ADMIN", NULL, REPLICATES, false }, MARIADB, .since = { 11, 0, 1 } },
        { { "REPLICATION MASTER ADMIN", "SUPER", SEMI_SYNC, false }, MARIADB, { 10, 5, 2 }, { 11, 0, 1 } },
        { { "REPLICATION MASTER ADMIN", NULL, SEMI_SYNC, false }, MARIADB, .since = { 11, 0, 1 } },
        { { "READ_ONLY ADMIN", "SUPER", READ_ONLY, false }, MARIADB, { 10, 5, 2 }, { 10, 11, 0 } },
        { { "READ_ONLY ADMIN", NULL, READ_ONLY, false }, MARIADB, .since = { 10, 11, 0 } },
        { { "CONNECTION ADMIN", "SUPER", ENDS, false }, MARIADB, { 10, 5, 2 }, { 11, 0, 1 } },
        { { "CONNECTION ADMIN", NULL, ENDS, false }, MARIADB, .since = { 11, 0, 1 } },
        { { "EVENT", NULL, EVENTS, true }, MARIADB },
        { { "SET USER", "SUPER", EVENTS, true }, MARIADB, { 10, 5, 2 }, { 11, 0, 1 } },
        { { "SET USER", NULL, EVENTS, true }, MARIADB, .since = { 11, 0, 1 } },
        { { "BINLOG ADMIN", "SUPER", EVENTS, true }, MARIADB, { 10, 5, 2 }, { 11, 0, 1 } },
        { { "BINLOG ADMIN", NULL, EVENTS, true }, MARIADB, .since = { 11, 0, 1 } },
        { { "SUPER", NULL, "to turn the event scheduler on and off", true }, MARIADB, .since = { 10, 5, 2 } },
        { ON_TABLE(ACCOUNT_COLUMNS, "mysql.user", ACCOUNTS), MARIADB },
};

const Privilege *dialect_next_privilege(const Version *version, const Privilege *last)
{
        for (size_t i = last ? (size_t) ((const PrivilegeRow *) last - privileges) + 1 : 0;
             i < ARRAY_LENGTH(privileges); i++) {
                const PrivilegeRow *row = &privileges[i];
                bool ended = row->until[0] && version_at_least(version, row->until[0], row->until[1], row->until[2]);
                if (row->flavour == version->flavour && !ended &&
                    version_at_least(version, row->since[0], row->since[1], row->since[2]))
                        return &row->privilege;
        }
        return NULL;
}

/* SHOW GRANTS shows those of an active role in MariaDB, and not in MySQL; before 8.0 there are no roles. */
const char *dialect_own_privileges(const Version *version)
{
        if (version->flavour == FLAVOUR_MARIADB || !version_at_least(version, 8, 0, 0))
                return "SHOW GRANTS";
        return "SELECT DISTINCT privilege_type AS privilege FROM information_schema.user_privileges "
               "WHERE grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''') "
               "OR FIND_IN_SET(grantee, REPLACE(CURRENT_ROLE(), '`', ''''))";
}

/* "GRANT SELECT, SUPER ON *.* TO …": what is granted on less than all is not told of here. */
static void add_granted(Json *list, const char *line)
{
        const char *on = text_starts_with(line, "GRANT ") ? strstr(line, " ON *.* ") : NULL;
        if (!on)
                return;
        for (const char *at = line + strlen("GRANT "); at < on;) {
                size_t length = strcspn(at, ",");
                if (at + length > on)
                        length = (size_t) (on - at);
                CLEANUP(mem_free) char *name = alloc_string_n(at, length);
                json_append_string(list, name);
                for (at += length; *at == ',' || *at == ' '; at++)
                        ;
        }
}

Json *dialect_read_privileges(const Reply *reply)
{
        if (!reply_succeeded(reply) || reply->n_columns == 0)
                return NULL;
        Json *list = json_array();
        bool rows = reply_has_column(reply, "privilege");
        for (size_t i = 0; i < reply->n_rows; i++) {
                const char *cell = reply->cells[i * reply->n_columns];
                if (rows && cell)
                        json_append_string(list, cell);
                else if (cell)
                        add_granted(list, cell);
        }
        return list;
}

void dialect_account(Script *script, const char *user)
{
        CLEANUP(mem_free) char *quoted = text_quote_sql(user);
        script_try_sql(script, "SELECT host, repl_slave_priv AS may_replicate FROM mysql.user WHERE user = %s", quoted);
}

#define TEXT_OF(number) #number
#define LIMIT(number) "LIMIT " TEXT_OF(number)

/* table_constraints would be the place to look, but to an account with SELECT alone MariaDB shows none there. */
const char *dialect_tables_without_key(void)
{
        return "SELECT t.table_schema AS `schema`, t.table_name AS name FROM information_schema.tables AS t "
               "LEFT JOIN information_schema.statistics AS c ON c.table_schema = t.table_schema AND "
               "c.table_name = t.table_name AND c.index_name = 'PRIMARY' AND c.seq_in_index = 1 "
               "WHERE t.table_type = 'BASE TABLE' AND c.index_name IS NULL AND t.table_schema NOT IN "
               "('mysql', 'sys', 'information_schema', 'performance_schema') " LIMIT(DIALECT_TABLES_MOST);
}

static const ComparedVariable compared[] = {
        { "character_set_server", NULL, true },
        { "collation_server", NULL, true },
        { "lower_case_table_names", NULL, true },
        { "sql_mode", NULL, true },
        { "time_zone", NULL, true },
        { "system_time_zone", NULL, true },
        { "explicit_defaults_for_timestamp", NULL, true },
        { "transaction_isolation", "tx_isolation", true },
        { "default_storage_engine", NULL, true },
        { "binlog_row_image", NULL, true },
        { "max_allowed_packet", NULL, true },
        { "log_bin_trust_function_creators", NULL, true },
        { "max_connections", NULL, false },
        { "innodb_buffer_pool_size", NULL, false },
        { "innodb_log_file_size", "innodb_redo_log_capacity", false },
        { "binlog_expire_logs_seconds", NULL, false },
        { "expire_logs_days", NULL, false },
        { "wait_timeout", NULL, false },
        { "innodb_lock_wait_timeout", NULL, false },
        { "group_concat_max_len", NULL, false },
        { "slave_parallel_workers", "replica_parallel_workers", false },
        { "slave_parallel_threads", NULL, false },
};

const ComparedVariable *dialect_compared(size_t *ret_n)
{
        *ret_n = ARRAY_LENGTH(compared);
        return compared;
}

/* What single checks look at. */
static const char *const looked_at[] = {
        "binlog_format",
        "relay_log_recovery",
        "relay_log_info_repository",
        "rpl_semi_sync_master_wait_point",
        "rpl_semi_sync_source_wait_point",
};

static void add_word(Text *text, const char *name)
{
        if (name)
                text_addf(text, "%s'%s'", text->length > 0 ? ", " : "", name);
}

void dialect_variables(Script *script)
{
        CLEANUP(text_done) Text names = { 0 };
        for (size_t i = 0; i < ARRAY_LENGTH(compared); i++) {
                add_word(&names, compared[i].name);
                add_word(&names, compared[i].alias);
        }
        for (size_t i = 0; i < ARRAY_LENGTH(looked_at); i++)
                add_word(&names, looked_at[i]);
        script_try_sql(script, "SHOW GLOBAL VARIABLES WHERE Variable_name IN (%s)", names.data);
}

Json *dialect_read_variables(const Reply *reply)
{
        if (!reply_succeeded(reply))
                return NULL;
        Json *values = json_object();
        for (size_t i = 0; i < reply->n_rows; i++) {
                const char *given = reply_get(reply, i, "Variable_name");
                CLEANUP(mem_free) char *name = alloc_string(given ? given : "");
                for (char *c = name; *c; c++)
                        *c = (char) tolower((unsigned char) *c);
                json_set_string(values, name, reply_get(reply, i, "Value"));
        }
        return values;
}
