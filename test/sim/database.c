/* The model of a database server. Owns what the statements change; knows nothing of procedures. */
#include "database.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "saved.h"
#include "text.h"

/* Transactions a millisecond. */
#define RECEIVE_RATE 5
#define APPLY_RATE 2
#define WRITE_RATE 1

Database *database_of(const SimServer *server)
{
        return server->model;
}

/* Where a transaction ends in a server's own log. */
uint64_t database_offset(const Database *database, uint64_t transaction)
{
        return 157 + transaction * (100 + database->id);
}

uint64_t database_transaction(const Database *database, uint64_t offset, unsigned *ret_more)
{
        uint64_t size = 100 + database->id, bytes = offset > 157 ? offset - 157 : 0;
        if (ret_more)
                *ret_more = (unsigned) (bytes % size);
        return bytes / size;
}

void database_file(const Database *database, char *ret, size_t size)
{
        snprintf(ret, size, "db%u-bin.000003", database->id);
}

uint64_t database_last(const char *gtid_set)
{
        size_t n = strlen(gtid_set);
        while (n > 0 && gtid_set[n - 1] >= '0' && gtid_set[n - 1] <= '9')
                n--;
        return strtoull(gtid_set + n, NULL, 10);
}

static char *gtid_of(const Database *database, uint64_t last)
{
        if (last == 0)
                return alloc_string("");
        if (database->dialect->flavour == FLAVOUR_MARIADB)
                return text_format("0-1-%llu", (unsigned long long) last);
        return text_format("00000000-0000-0000-0000-000000000001:1-%llu", (unsigned long long) last);
}

/* Time */

static bool reaches(const Database *source)
{
        const SimServer *server = source->server;
        return !server->dead && !server->frozen && !server->cut;
}

static void replicate(Database *replica, usec_t passed)
{
        Database *source = replica->source;
        if (!source)
                return;
        replica->connected = replica->receiver_on && reaches(source) && !replica->server->cut;
        if (replica->connected && source->log < replica->received) {
                replica->receiver_on = replica->connected = false;
                replica->receiver_errno = 1236;
        }
        if (replica->connected && source->stands_in_from > replica->received)
                replica->holed = true; /* it would go on behind what it lacks */
        if (replica->connected && source->log > replica->received) {
                uint64_t most = replica->received + passed * RECEIVE_RATE / USEC_MSEC;
                replica->received = source->log < most ? source->log : most;
                replica->tail = 0;
        }
        if (replica->applier_on && !replica->stuck && replica->applied < replica->received) {
                uint64_t most = replica->applied + passed * APPLY_RATE / USEC_MSEC;
                replica->applied = replica->received < most ? replica->received : most;
                replica->log = replica->applied > replica->log ? replica->applied : replica->log;
        }
}

/* Clients. Whoever writes to a replica that has not everything has spoilt it. */
static void write_to(Database *database, usec_t passed)
{
        bool unbound = database->privileged && database->has_address && !database->super_read_only;
        if (!database->written || database_is_locked(database) || (database->read_only && !unbound))
                return;
        if (database->source && (database->applied < database->source->log || database->applied < database->received))
                database->rewritten = true;
        database->log += passed * WRITE_RATE / USEC_MSEC;
}

static void end_left_session(Database *database)
{
        if (database->named_by == database->left)
                database->named_by = 0;
        database->left = 0;
        database->left_locked = false;
}

void database_end_session(Database *database)
{
        database->locked = false;
        *database->held = *database->tried = '\0';
        if (database->named_by == database->session)
                database->named_by = 0;
        if (database->server->dead)
                end_left_session(database);
        database->session++;
}

void database_leave_session(Database *database)
{
        bool holds = database->locked || database->named_by == database->session;
        if (holds && !database->left) {
                database->left = database->session;
                database->left_locked = database->locked;
                database->session++;
        }
        database_end_session(database);
}

bool database_is_locked(const Database *database)
{
        return database->locked || database->left_locked;
}

void database_catch_up(Sim *sim)
{
        usec_t now = loop_now(sim->loop);
        for (size_t i = 0; i < sim->n_servers; i++) {
                Database *database = database_of(&sim->servers[i]);
                usec_t passed = now - database->now;
                if (passed < USEC_MSEC)
                        continue;
                database->now = now;
                if (database->server->dead || database->server->frozen)
                        continue;
                write_to(database, passed);
                replicate(database, passed);
        }
}

/* Answers */

static void answer(Reply *reply, size_t n, const char *const *names, const char *const *cells)
{
        reply_set_columns(reply, n, names);
        reply_add_row(reply, cells);
}

static void answer_tick(Database *database, Reply *reply)
{
        const char *read_only = database->read_only ? "1" : "0", *super = database->super_read_only ? "1" : "0";
        CLEANUP(mem_free) char *gtid = gtid_of(database, database->log);
        CLEANUP(mem_free) char *slave = gtid_of(database, database->source ? database->applied : 0);
        static const char *const mysql[] = { "read_only", "super_read_only", "gtid_executed", "gtid_purged" };
        static const char *const old_mysql[] = { "read_only", "gtid_executed", "gtid_purged" };
        static const char *const mariadb[] = { "read_only", "gtid_binlog_pos", "gtid_slave_pos", "gtid_current_pos" };
        const char *executed = database->gtid ? gtid : "";
        if (database->dialect->flavour == FLAVOUR_MARIADB)
                answer(reply, 4, mariadb, (const char *const[]){ read_only, gtid, slave, gtid });
        else if (database->dialect->super_read_only)
                answer(reply, 4, mysql, (const char *const[]){ read_only, super, executed, "" });
        else
                answer(reply, 3, old_mysql, (const char *const[]){ read_only, executed, "" });
}

static void answer_binlog(Database *database, Reply *reply)
{
        static const char *const names[] = { "File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB" };
        char file[40];
        database_file(database, file, sizeof file);
        CLEANUP(mem_free)
        char *offset = text_format("%llu", (unsigned long long) database_offset(database, database->log));
        answer(reply, 4, names, (const char *const[]){ file, offset, "", "" });
}

static const char *applier_text(const Database *replica)
{
        return replica->applied < replica->received ? "Reading event from the relay log"
                                                    : "Slave has read all relay log; waiting for more updates";
}

static void answer_replica(Database *replica, Reply *reply)
{
        const Dialect *dialect = replica->dialect;
        const Database *source = replica->source;
        const char *names[_REPLICA_COLUMN_MAX], *cells[_REPLICA_COLUMN_MAX], *values[_REPLICA_COLUMN_MAX] = { 0 };
        char file[40];
        size_t n = 0;
        if (source)
                database_file(source, file, sizeof file);
        uint64_t received = source ? database_offset(source, replica->received) + replica->tail : 0;
        CLEANUP(mem_free) char *received_text = text_format("%llu", (unsigned long long) received);
        CLEANUP(mem_free)
        char *applied_text =
                text_format("%llu", (unsigned long long) (source ? database_offset(source, replica->applied) : 0));
        CLEANUP(mem_free) char *port = text_format("%u", source && source->port ? source->port : 3306);
        CLEANUP(mem_free) char *receiver_errno = text_format("%d", replica->receiver_errno);
        CLEANUP(mem_free) char *applier_errno = text_format("%d", replica->applier_errno);
        CLEANUP(mem_free) char *retrieved = gtid_of(replica, replica->received);
        CLEANUP(mem_free) char *executed = gtid_of(replica, replica->log);
        values[COLUMN_CHANNEL] = "";
        values[COLUMN_RECEIVER_RUNNING] = !replica->receiver_on ? "No" : replica->connected ? "Yes" : "Connecting";
        values[COLUMN_APPLIER_RUNNING] = replica->applier_on ? "Yes" : "No";
        values[COLUMN_APPLIER_STATE] = replica->applier_on ? applier_text(replica) : "";
        values[COLUMN_SOURCE_HOST] = source ? source->server->name : "";
        values[COLUMN_SOURCE_PORT] = port;
        values[COLUMN_RELAY_FILE] = "./relay.000001";
        values[COLUMN_SOURCE_USER] = "repl";
        values[COLUMN_SOURCE_UUID] = source ? source->uuid : "";
        values[COLUMN_RECEIVED_FILE] = values[COLUMN_APPLIED_FILE] = file;
        values[COLUMN_RECEIVED_OFFSET] = received_text;
        values[COLUMN_APPLIED_OFFSET] = applied_text;
        values[COLUMN_RECEIVER_ERRNO] = receiver_errno;
        values[COLUMN_RECEIVER_ERROR] = replica->receiver_errno ? "not in the source's log" : "";
        values[COLUMN_APPLIER_ERRNO] = applier_errno;
        values[COLUMN_APPLIER_ERROR] = replica->applier_errno ? "duplicate entry" : "";
        values[COLUMN_RETRIEVED_GTID] = replica->gtid ? retrieved : "";
        values[COLUMN_EXECUTED_GTID] = replica->gtid ? executed : "";
        values[COLUMN_AUTO_POSITION] = replica->gtid ? "1" : "0";
        values[COLUMN_USING_GTID] = replica->gtid ? "Slave_Pos" : "No";
        values[COLUMN_GTID_IO_POS] = replica->gtid ? retrieved : "";
        values[COLUMN_DELAY] = values[COLUMN_LAG] = "0";
        for (size_t i = 0; i < _REPLICA_COLUMN_MAX; i++)
                if (dialect->columns[i]) {
                        names[n] = dialect->columns[i];
                        cells[n++] = values[i];
                }
        reply_set_columns(reply, n, names);
        if (source)
                reply_add_row(reply, cells);
}

static void answer_identity(Database *database, Reply *reply)
{
        CLEANUP(mem_free) char *id = text_format("%u", database->id);
        bool mysql = database->dialect->flavour == FLAVOUR_MYSQL;
        const char *const rows[][2] = {
                { "version", database->version_text },
                { "server_id", id },
                { "server_uuid", mysql ? database->uuid : NULL },
                { "port", "3306" },
                { "log_bin", "ON" },
                { mysql && database->version.major >= 8 ? "log_replica_updates" : "log_slave_updates", "ON" },
                { "gtid_mode", mysql ? (database->gtid ? "ON" : "OFF") : NULL },
                { "relay_log_purge", "ON" },
                { "datadir", "/data" },
                { "log_bin_index", "/data/bin.index" },
                { "relay_log_index", "/data/relay.index" },
                { "pid_file", "/run/mysqld.pid" },
        };
        reply_set_columns(reply, 2, (const char *const[]){ "Variable_name", "Value" });
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
                if (rows[i][1])
                        reply_add_row(reply, rows[i]);
}

static void answer_events(const Database *database, Reply *reply)
{
        static const char *const names[] = { "scheduler", "may_see", "schema",    "name",  "definer",
                                             "client",    "once",    "collation", "status" };
        bool mysql9 = strstr(database->dialect->rest_event, "REPLICA") != NULL;
        const char *status = database->event == EVENT_RUNS ? "ENABLED"
                             : mysql9                      ? "REPLICA_SIDE_DISABLED"
                                                           : "SLAVESIDE_DISABLED";
        const char *scheduler = database->scheduler_off ? "OFF" : "ON";
        if (database->event == EVENT_NONE)
                answer(reply, 3, names, (const char *const[]){ scheduler, "1", NULL });
        else
                answer(reply, 9, names,
                       (const char *const[]){ scheduler, "1", "app", "tick", "app@%", "utf8mb4", "0",
                                              "utf8mb4_general_ci", status });
}

/* Changes */

static void refuse(Reply *reply, int code, const char *text)
{
        failure_set(&reply->failure, FAILURE_SQL, code, "error %d: %s", code, text);
}

static void note_writable(Database *opened)
{
        Sim *sim = opened->sim;
        opened->n_opened++;
        for (size_t i = 0; i < sim->n_servers; i++) {
                const Database *other = database_of(&sim->servers[i]);
                if (other != opened && !other->server->dead && !other->read_only)
                        snprintf(sim->violation, sizeof sim->violation, "%s and %s can be written to at once",
                                 other->server->name, opened->server->name);
        }
}

static void alter_event(Database *database, const char *text, Reply *reply)
{
        bool run = strstr(text, "ENABLE") != NULL;
        if (database->super_read_only || database->locked) {
                refuse(reply, 1290, "the server is read-only or locked");
                return;
        }
        database->event = run ? EVENT_RUNS : EVENT_RESTS;
        for (size_t i = 0; run && i < database->sim->n_servers; i++) {
                const Database *other = database_of(&database->sim->servers[i]);
                if (other != database && !other->server->dead && other->event == EVENT_RUNS)
                        snprintf(database->sim->violation, sizeof database->sim->violation,
                                 "the event runs on %s and %s at once", other->server->name, database->server->name);
        }
}

static void set_global(Database *database, const char *text)
{
        bool on = strstr(text, "= ON") != NULL;
        if (strstr(text, "event_scheduler")) {
                database->scheduler_off = !on;
                return;
        }
        if (strstr(text, "semi_sync") || strstr(text, "gtid_slave_pos"))
                return;
        bool super = strstr(text, "super_read_only") != NULL;
        if (super ? on : true)
                database->read_only = super || on;
        if (super || !on)
                database->super_read_only = super && on;
        if (!database->read_only)
                note_writable(database);
}

static char *option_of(const char *text, const char *name)
{
        CLEANUP(mem_free) char *with = text_format("_%s = ", name);
        const char *found = strstr(text, with);
        if (!found)
                return NULL;
        found += strlen(with);
        if (*found == '\'')
                return alloc_string_n(found + 1, strcspn(found + 1, "'"));
        return alloc_string_n(found, strcspn(found, ", "));
}

/* By position it begins wherever it is told to: too late leaves a hole, too early repeats. Who keeps its relay logs has to go
 * on where they end. */
static bool change_position(Database *replica, const Database *source, const char *text, bool keeps, Reply *reply)
{
        CLEANUP(mem_free) char *file = option_of(text, "LOG_FILE");
        CLEANUP(mem_free) char *offset = option_of(text, "LOG_POS");
        char known[40];
        database_file(source, known, sizeof known);
        if (!file || !offset || strcmp(file, known) != 0) {
                refuse(reply, 1236, "no such log file");
                return false;
        }
        unsigned more = 0;
        uint64_t at = strtoull(offset, NULL, 10), transaction = database_transaction(source, at, &more);
        uint64_t has = keeps ? replica->received : replica->log;
        if (more > 0 && !(keeps && more == replica->tail)) {
                replica->receiver_errno = 1236; /* bogus data in the log event */
                transaction = has;
        }
        replica->holed |= transaction > has;
        if (transaction < has)
                replica->applier_errno = 1062;
        replica->received = transaction;
        if (!keeps)
                replica->applied = transaction;
        return true;
}

static Database *source_at(Database *replica, const char *text, bool *ret_feed)
{
        CLEANUP(mem_free) char *host = option_of(text, "HOST");
        CLEANUP(mem_free) char *port = option_of(text, "PORT");
        SimServer *server = host ? sim_find(replica->sim, host) : NULL;
        *ret_feed = text_equal(host, "127.0.0.1");
        if (*ret_feed)
                return saved_at_port(replica->sim, (unsigned) strtoul(port ? port : "0", NULL, 10));
        return server ? database_of(server) : NULL;
}

static void change_source(Database *replica, const char *text, Reply *reply)
{
        CLEANUP(mem_free) char *automatic = option_of(text, "AUTO_POSITION");
        CLEANUP(mem_free) char *using = option_of(text, "USE_GTID");
        bool feed = false, keeps = replica->applier_on && replica->dialect->change_keeps_relay_logs;
        Database *source = source_at(replica, text, &feed);
        if (replica->receiver_on || (replica->applier_on && (!keeps || automatic))) {
                refuse(reply, 1198, "replication threads run");
                return;
        }
        if (!source && strstr(text, "RELAY_LOG_FILE")) { /* to go on with what it has received */
                replica->gtid = false;
                return;
        }
        assert(source && strstr(text, feed ? "${feed_password}" : "${replication_password}"));
        bool gtid = text_equal(automatic, "1") || (using && !text_equal(using, "no")) || (keeps && replica->gtid);
        replica->receiver_errno = replica->applier_errno = 0;
        if (!gtid && !change_position(replica, source, text, keeps, reply))
                return;
        if (gtid && !keeps)
                replica->received = replica->applied = replica->log; /* its relay logs are gone */
        replica->gtid = gtid;
        replica->source = source;
        if (!keeps)
                replica->tail = 0;
}

static void start_or_stop_applier(Database *replica, bool on)
{
        if (on && replica->fails && replica->applied < replica->received)
                replica->applier_errno = 1032;
        replica->applier_on = on && replica->applier_errno == 0;
}

static void start_or_stop(Database *replica, const char *text, Reply *reply)
{
        bool on = text_starts_with(text, "START");
        if (on && !replica->source) {
                refuse(reply, 1200, "the server is not configured as replica");
                return;
        }
        if (!on && strstr(text, "IO_THREAD"))
                replica->sim->pause = replica->slow_stop;
        if (!strstr(text, "SQL_THREAD"))
                replica->receiver_on = on && replica->receiver_errno == 0;
        if (!strstr(text, "IO_THREAD"))
                start_or_stop_applier(replica, on);
        if (!replica->receiver_on)
                replica->connected = false;
}

static void reset(Database *replica, Reply *reply)
{
        if (replica->receiver_on || replica->applier_on) {
                refuse(reply, 1198, "replication threads run");
                return;
        }
        replica->source = NULL;
        replica->received = replica->applied = replica->log;
        replica->tail = 0;
}

/* The daemon's own session: its variables, and the lock. */
static void execute_in_session(Database *database, const char *text, Reply *reply)
{
        static const char *const names[] = { "held", "tried", "now", "last_session", "own", "holder" };
        const char *quoted = strchr(text, '\'');
        CLEANUP(mem_free) char *value = quoted ? alloc_string_n(quoted + 1, strcspn(quoted + 1, "'")) : NULL;
        if (text_starts_with(text, "SELECT")) {
                const char *held = *database->held ? database->held : NULL;
                CLEANUP(mem_free) char *own = text_format("%u", database->session);
                CLEANUP(mem_free) char *holder = text_format("%u", database->named_by);
                answer(reply, 6, names,
                       (const char *const[]){ held, *database->tried ? database->tried : NULL, "1", "9", own,
                                              database->named_by ? holder : NULL });
        } else if (text_starts_with(text, "DO GET_LOCK(")) {
                database->named_by = database->named_by ? database->named_by : database->session;
        } else if (text_starts_with(text, "DO RELEASE_LOCK(")) {
                database->named_by = database->named_by == database->session ? 0 : database->named_by;
        } else if (text_starts_with(text, "KILL ")) {
                if (database->left && strtoul(text + 5, NULL, 10) == database->left)
                        end_left_session(database);
        } else if (text_starts_with(text, "FLUSH TABLES")) {
                database->locked = true;
        } else if (text_starts_with(text, "UNLOCK")) {
                database->locked = false;
        } else if (!value) {
                *database->held = *database->tried = '\0';
        } else if (strstr(text, "@mhad_lock")) {
                snprintf(database->held, sizeof database->held, "%s", value);
        } else {
                snprintf(database->tried, sizeof database->tried, "%s", value);
        }
}

/* The number of the transaction that is waited for: the last of a set, or where it ends in the source's log. */
static void answer_wait(Database *database, const char *text, Reply *reply)
{
        static const char *const names[] = { "result" };
        const char *end = strchr(text, '\'') + 1, *quote = strchr(end, '\'');
        uint64_t wanted = 0;
        if (database->gtid) {
                const char *digit = quote;
                while (digit > end && digit[-1] >= '0' && digit[-1] <= '9')
                        digit--;
                wanted = strtoull(digit, NULL, 10);
        } else {
                uint64_t offset = strtoull(quote + 2, NULL, 10);
                while (database->source && database_offset(database->source, wanted) < offset)
                        wanted++;
        }
        bool reached = database->gtid ? database->log >= wanted : database->applied >= wanted;
        database->sim->pause = reached ? 0 : 10 * USEC_MSEC;
        answer(reply, 1, names, (const char *const[]){ !database->applier_on ? NULL : reached ? "0" : "-1" });
}

static void answer_nothing(Reply *reply)
{
        reply_set_columns(reply, 1, (const char *const[]){ "id" });
}

static void execute_sql(Database *database, const char *text, Reply *reply)
{
        const Dialect *dialect = database->dialect;
        if (strcmp(text, dialect->tick) == 0)
                answer_tick(database, reply);
        else if (strcmp(text, dialect->show_replica) == 0)
                answer_replica(database, reply);
        else if (strcmp(text, dialect->show_binlog) == 0)
                answer_binlog(database, reply);
        else if (strcmp(text, dialect_identity()) == 0)
                answer_identity(database, reply);
        else if (strstr(text, "_WAIT('") || strstr(text, "_SET('") || strstr(text, "_GTIDS('"))
                answer_wait(database, text, reply);
        else if (strcmp(text, dialect_events()) == 0)
                answer_events(database, reply);
        else if (text_starts_with(text, "SELECT @mhad"))
                execute_in_session(database, text, reply);
        else if (text_starts_with(text, "SELECT SLEEP("))
                database->sim->pause = (usec_t) (strtod(text + 13, NULL) * (double) USEC_SEC);
        else if (strstr(text, "information_schema") || strstr(text, "checkpoint_period") ||
                 strstr(text, "CONNECTION_ID") || strcmp(text, dialect->show_binlogs) == 0)
                answer_nothing(reply);
        else if (sim_chance(database->sim, database->sim->refused))
                refuse(reply, 1205, "lock wait timeout exceeded");
        else if (strstr(text, "@mhad") || text_starts_with(text, "FLUSH") || text_starts_with(text, "UNLOCK") ||
                 text_starts_with(text, "DO ") || text_starts_with(text, "KILL "))
                execute_in_session(database, text, reply);
        else if (text_starts_with(text, "SET GLOBAL"))
                set_global(database, text);
        else if (text_starts_with(text, "ALTER DEFINER = `app`@`%` EVENT `app`.`tick` "))
                alter_event(database, text, reply);
        else if (text_starts_with(text, "SET SESSION") || text_starts_with(text, "SET NAMES"))
                return; /* of the session alone */
        else if (text_starts_with(text, dialect->change_source))
                change_source(database, text, reply);
        else if (strcmp(text, dialect->reset_replica) == 0)
                reset(database, reply);
        else if (text_starts_with(text, "START ") || text_starts_with(text, "STOP "))
                start_or_stop(database, text, reply);
        else
                refuse(reply, 1064, text);
}

static void list_logs(const Database *database, const char *text, Reply *reply)
{
        char file[40];
        database_file(database, file, sizeof file);
        if (strstr(text, "relay.index"))
                reply->out = alloc_string("index /data/relay.index\n1000 /data/relay.000001\n");
        else
                reply->out = text_format("index /data/bin.index\n%llu /data/%s\n",
                                         (unsigned long long) database_offset(database, database->log) + database->torn,
                                         file);
}

static void execute_shell(Database *database, const char *text, Reply *reply)
{
        if (text_starts_with(text, "i="))
                list_logs(database, text, reply);
        else if (text_starts_with(text, "describe()"))
                reply->out = alloc_string(database->server->dead ? "" : "1234 mysqld 1 systemd mysql.service\n");
        else if (strcmp(text, "kill -KILL 1234") == 0)
                database->server->dead = true, database->server->frozen = false;
        else if (strstr(text, "ip addr add"))
                database->has_address |= !database->no_address && !(database->marked && strstr(text, "[ ! -e /run/"));
        else if (strstr(text, "ip addr del"))
                database->has_address = false, database->marked |= text_starts_with(text, ": >/run/mhad-");
        else if (!text_starts_with(text, "systemctl stop") && !text_starts_with(text, "ip -o addr show"))
                failure_set(&reply->failure, FAILURE_EXIT, reply->exit_status = 127, "not found: %.100s", text);
}

/* Most end with a look at the addresses. */
static void show_address(const Database *database, const char *text, Reply *reply)
{
        if (strstr(text, "ip -o addr show"))
                reply->out = text_format(
                        "%s%s", database->has_address ? "2: eth0    inet 10.0.0.100/24 scope global eth0\n" : "",
                        database->marked && strstr(text, "withdrawn") ? "withdrawn\n" : "");
}

static void note_hook(Sim *sim, const ScriptItem *item)
{
        const char *undoes = json_get_string(item->input, "undoes");
        CLEANUP(mem_free) char *what = text_format("%s%s%s", item->text, undoes ? " " : "", undoes ? undoes : "");
        if (!sim->hooks)
                sim->hooks = json_array();
        json_append_string(sim->hooks, what);
}

static void execute(Sim *sim, SimServer *server, const ScriptItem *item, Reply *reply)
{
        database_catch_up(sim);
        switch (item->kind) {
        case SCRIPT_SQL:
                execute_sql(database_of(server), item->text, reply);
                break;
        case SCRIPT_SSH:
                execute_shell(database_of(server), item->text, reply);
                show_address(database_of(server), item->text, reply);
                break;
        case SCRIPT_READY:
                reply->out = alloc_string("ready");
                break;
        case SCRIPT_RESCUE:
                saved_do(sim, item->text, item->input, reply);
                break;
        case SCRIPT_HOOK:
                note_hook(sim, item);
                break;
        case _SCRIPT_MAX:
                break;
        }
}

static bool is_effect(const ScriptItem *item)
{
        const char *text = item->text;
        if (item->kind == SCRIPT_RESCUE)
                return !text_equal(text, "look");
        if (item->kind == SCRIPT_SSH)
                return !text_starts_with(text, "describe()") && !text_starts_with(text, "i=") &&
                       !(text_starts_with(text, "ip -o addr show") && !strchr(text, '|'));
        return item->kind == SCRIPT_HOOK ||
               (item->kind == SCRIPT_SQL && !text_starts_with(text, "SELECT") && !text_starts_with(text, "SHOW"));
}

static bool can_be_reached(const SimServer *server, ScriptKind kind)
{
        return kind == SCRIPT_SSH || kind == SCRIPT_READY ? !database_of(server)->ssh_dead : !server->dead;
}

/* The world */

Database *database_add(Sim *sim, const char *name, const char *version, bool gtid)
{
        SimServer *server = sim_add(sim, name);
        Database *database = ALLOC(Database);
        *database = (Database){
                .sim = sim, .id = (unsigned) sim->n_servers, .gtid = gtid, .read_only = true, .session = 1
        };
        snprintf(database->version_text, sizeof database->version_text, "%s", version);
        snprintf(database->uuid, sizeof database->uuid, "00000000-0000-0000-0000-%012u", database->id);
        int r = version_parse(version, &database->version, NULL);
        assert(r == 0);
        database->dialect = dialect_for(&database->version);
        database->now = loop_now(sim->loop);
        server->model = database;
        for (size_t i = 0; i < sim->n_servers; i++) /* they may have moved */
                database_of(&sim->servers[i])->server = &sim->servers[i];
        sim->execute = execute;
        sim->is_effect = is_effect;
        sim->can_be_reached = can_be_reached;
        sim->on_client_end = saved_end_feeds;
        sim->free_saved = saved_free;
        return database;
}

void database_follow(Database *replica, Database *source, uint64_t received, uint64_t applied)
{
        replica->source = source;
        replica->receiver_on = replica->applier_on = true;
        replica->received = received;
        replica->applied = replica->log = applied;
}

ServerView *database_view(Database *database)
{
        ServerView *view = server_view_new();
        Replies *replies = replies_new(4);
        for (size_t i = 0; i < 4; i++)
                replies->items[i].run = true;
        answer_identity(database, &replies->items[0]);
        answer_tick(database, &replies->items[1]);
        answer_replica(database, &replies->items[2]);
        answer_binlog(database, &replies->items[3]);
        Failure failure = { 0 };
        int r = observation_read_identity(view, &replies->items[0], &failure);
        if (r >= 0)
                r = observation_read_tick(view, &replies->items[1], &failure);
        if (r >= 0)
                r = observation_read_replica(view, &replies->items[2], 1, &failure);
        if (r >= 0)
                r = observation_read_binlog(view, &replies->items[3], &failure);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", database->server->name, failure.text);
        assert(r >= 0);
        observation_note_alive(view, 1);
        replies_free(replies);
        return view;
}
