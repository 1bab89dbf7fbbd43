/* Whatever servers and hosts answer: result sets with missing columns, NULLs and absurd values, output of programs, JSON of
 * saved logs. A procedure is walked through as in a plan that believes everything, with acts: what a step learned is what
 * the next relies on. The input says which procedure and flavour, and then, choice by choice, what each reply is; when it
 * is used up, replies are good ones. Nothing that a server says may end the process, become a placeholder of a secret, or
 * make a script that cannot be written to the journal and read back. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failover.h"
#include "failover_check.h"
#include "mhalock.h"
#include "purge.h"
#include "rejoin.h"
#include "replication_check.h"
#include "report.h"
#include "ssh_check.h"
#include "status.h"
#include "switchover.h"
#include "tail.h"
#include "topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SERVERS 3
#define TEXT_MAX 300
#define STEPS 6 /* of a procedure at a time: from which on is a choice, too */

typedef struct Input {
        const uint8_t *data;
        size_t size;
} Input;

static void require(bool holds)
{
        if (!holds)
                abort();
}

/* 0 when nothing is left: the first choice is always the good one. */
static unsigned choose(Input *input, unsigned n)
{
        if (input->size == 0)
                return 0;
        input->size--;
        return *input->data++ % n;
}

/* Up to a byte of 0 or 255. */
static char *take_text(Input *input)
{
        size_t length = 0;
        while (length < input->size && length < TEXT_MAX && input->data[length] != 0 && input->data[length] != 255)
                length++;
        char *text = alloc_string_n((const char *) input->data, length);
        size_t used = length + (length < input->size);
        input->data += used;
        input->size -= used;
        return text;
}

/* What a server in order says. */
static const char *const good[][2] = {
        { "version", "8.4.3" },
        { "server_id", "2" },
        { "server_uuid", "3e11fa47-71ca-11e1-9e33-c80aa9429562" },
        { "datadir", "/var/lib/mysql/" },
        { "log_bin", "ON" },
        { "log_bin_basename", "/var/lib/mysql/binlog" },
        { "log_bin_index", "/var/lib/mysql/binlog.index" },
        { "relay_log_index", "/var/lib/mysql/relay.index" },
        { "log_slave_updates", "ON" },
        { "log_replica_updates", "ON" },
        { "gtid_mode", "ON" },
        { "read_only", "1" },
        { "gtid_executed", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77" },
        { "Retrieved_Gtid_Set", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77" },
        { "Executed_Gtid_Set", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77" },
        { "gtid_current_pos", "0-1-77" },
        { "gtid_binlog_pos", "0-1-77" },
        { "gtid_slave_pos", "0-1-77" },
        { "Gtid_IO_Pos", "0-1-77" },
        { "Using_Gtid", "Slave_Pos" },
        { "Auto_Position", "1" },
        { "Slave_IO_Running", "Yes" },
        { "Slave_SQL_Running", "Yes" },
        { "Replica_IO_Running", "Yes" },
        { "Replica_SQL_Running", "Yes" },
        { "Master_Host", "10.0.0.1" },
        { "Source_Host", "10.0.0.1" },
        { "Master_Port", "3306" },
        { "Source_Port", "3306" },
        { "Master_User", "repl" },
        { "Source_User", "repl" },
        { "Master_Log_File", "binlog.000003" },
        { "Source_Log_File", "binlog.000003" },
        { "Relay_Master_Log_File", "binlog.000003" },
        { "Relay_Source_Log_File", "binlog.000003" },
        { "Read_Master_Log_Pos", "900" },
        { "Read_Source_Log_Pos", "900" },
        { "Exec_Master_Log_Pos", "900" },
        { "Exec_Source_Log_Pos", "900" },
        { "Relay_Log_File", "relay.000002" },
        { "File", "binlog.000003" },
        { "Log_name", "binlog.000003" },
        { "result", "0" },
        { "host", "10.0.0.9" },
        { "user", "mhad" },
};

static const char *const bad[] = {
        "",
        "-1",
        "18446744073709551615",
        "9223372036854775807",
        "9007199254740993",
        "-9223372036854775808",
        "99999999999999999999999999999",
        "1e308",
        "-1e308",
        "nan",
        "inf",
        "4294967295",
        "65536",
        "No",
        "Connecting",
        "OFF",
        "NULL",
        "binlog.999999999999999999999",
        "../../../etc/shadow",
        "/",
        ".",
        "binlog.000004",
        "${replication_password}",
        "'; reboot; --",
        "reboot",
        "\\' reboot",
        "`reboot`",
        "`\\\"'$(reboot)\n\r\x1a%s%n",
        "10.11.6-MariaDB",
        "5.6.24-log",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9223372036854775807",
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:9-12,9a1b2c3d-0000-11ef-8c10-0242ac120002:tag:4",
        "0-1-18446744073709551615",
        "4294967295-4294967295-1,1-1-1",
        "\xff\xfe\x80",
};

static const char *good_value(const char *column)
{
        for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
                if (strcasecmp(good[i][0], column) == 0)
                        return good[i][1];
        return "0";
}

static char *long_text(void)
{
        char *text = alloc_zero(1, 70001);
        memset(text, 'A', 70000);
        return text;
}

/* NULL is SQL's. */
static char *cell(Input *input, const char *column)
{
        switch (choose(input, 8)) {
        case 1:
                return NULL;
        case 2:
        case 3:
        case 4:
                return alloc_string(bad[choose(input, ARRAY_LENGTH(bad))]);
        case 5:
                return take_text(input);
        case 6:
                return choose(input, 16) == 1 ? long_text() : alloc_string("db2");
        default:
                return alloc_string(good_value(column));
        }
}

typedef struct Names {
        char *items[64];
        size_t n;
} Names;

static void add_name(Names *names, const char *start, size_t length)
{
        if (length > 0 && names->n < ARRAY_LENGTH(names->items))
                names->items[names->n++] = alloc_string_n(start, length);
}

static void names_done(Names *names)
{
        while (names->n > 0)
                free(names->items[--names->n]);
}

/* Every "AS name". */
static void add_aliases(Names *names, const char *statement)
{
        for (const char *at = statement; (at = strstr(at, " AS ")); at += 4) {
                const char *name = at + 4 + (at[4] == '`');
                add_name(names, name, strcspn(name, " ,)`"));
        }
}

/* What stands in quotes: the variables that are asked for. */
static void add_quoted(Names *names, const char *statement)
{
        for (const char *at = statement; (at = strchr(at, '\'')); at++) {
                size_t length = strcspn(at + 1, "'");
                add_name(names, at + 1, length);
                at += length + (at[1 + length] == '\'');
        }
}

static void add_replica_columns(Names *names, const char *statement)
{
        size_t n;
        const Dialect *table = dialect_table(&n);
        for (size_t i = n; i-- > 0;)
                if (strcmp(table[i].show_replica, statement) == 0) {
                        for (int k = 0; k < _REPLICA_COLUMN_MAX; k++)
                                if (table[i].columns[k])
                                        add_name(names, table[i].columns[k], strlen(table[i].columns[k]));
                        return;
                }
}

static void add_row(Input *input, Reply *reply, const Names *names)
{
        char *cells[64];
        for (size_t i = 0; i < names->n; i++)
                cells[i] = cell(input, names->items[i]);
        reply_add_row(reply, (const char *const *) cells);
        for (size_t i = 0; i < names->n; i++)
                free(cells[i]);
}

static void set_columns(Reply *reply, const Names *names)
{
        reply_set_columns(reply, names->n, (const char *const *) names->items);
}

static void answer_variables(Input *input, Reply *reply, const char *statement)
{
        Names names = { 0 };
        static const char *const columns[] = { "Variable_name", "Value" };
        reply_set_columns(reply, 2, columns);
        add_quoted(&names, statement);
        for (size_t i = 0; i < names.n; i++) {
                CLEANUP(mem_free) char *value = cell(input, names.items[i]);
                reply_add_row(reply, (const char *const[]){ names.items[i], value });
        }
        names_done(&names);
}

static void answer_sql(Input *input, Reply *reply, const char *statement)
{
        Names names = { 0 };
        if (strstr(statement, " VARIABLES ") || strstr(statement, "SHOW GLOBAL STATUS")) {
                answer_variables(input, reply, statement);
                return;
        }
        add_aliases(&names, statement);
        add_replica_columns(&names, statement);
        if (names.n == 0 && strstr(statement, "SHOW"))
                for (const char *const *name =
                             (const char *const[]){ "File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Log_name",
                                                    "File_size", NULL };
                     *name; name++)
                        add_name(&names, *name, strlen(*name));
        for (unsigned drop = choose(input, 4); drop == 1 && names.n > 1; drop = choose(input, 4))
                free(names.items[--names.n]);
        if (names.n > 0)
                set_columns(reply, &names);
        static const unsigned rows[] = { 1, 0, 2, 1, 5, 1, 30, 1 };
        for (unsigned n = names.n > 0 ? rows[choose(input, 8)] : 0; n > 0; n--)
                add_row(input, reply, &names);
        names_done(&names);
}

static const char *const outputs[] = {
        "",
        "index /var/lib/mysql/binlog.index\n500 /var/lib/mysql/binlog.000002\n1200 /var/lib/mysql/binlog.000003\n",
        "index /x\n18446744073709551615 /x/binlog.000003\n",
        "index ../x\n99999999999999999999999999 ../../etc/shadow\n- gone\n5 \n7 /\n",
        "index /x\n9007199254740993 /x/binlog.000004\n9007199254740993 /x/binlog.000005\n4 /x/binlog.000006\n",
        "10 mysqld 1 systemd mysql.service\nstarting mysql.service\n",
        "2147483648 mysqld -1 x y\n",
        "clock 1.5e400\nuser -1 ?\nrights ffffffffffffffffffff\nlogs good /x\n",
        "clock 99999999999999999999.999999999\nrights zz\nsystemd yes\n",
        "2: eth0 inet 10.0.0.100/24 scope global eth0\n",
};

static void answer_program(Input *input, Reply *reply)
{
        static const int statuses[] = { 0, 0, 1, 3, 4, 255, -1, 1 << 30 };
        unsigned n = choose(input, ARRAY_LENGTH(outputs) + 1);
        reply->out = n < ARRAY_LENGTH(outputs) ? alloc_string(outputs[n]) : take_text(input);
        reply->err = choose(input, 3) == 1 ? take_text(input) : alloc_string("");
        reply->exit_status = statuses[choose(input, ARRAY_LENGTH(statuses))];
}

#define SOURCE(state, numbers)                                                                                         \
        "\"db1\":{\"state\":\"" state "\"," numbers ",\"failure\":\"cannot read\",\"end\":\"binlog.000003:1200\","     \
        "\"kind\":\"binlog\"}"
#define ANSWER(complete)                                                                                               \
        "\"answers\":{\"db2\":{\"end\":\"binlog.000003:1200\",\"torn\":\"\",\"complete\":" complete                    \
        ",\"bytes\":1e300,\"lacks\":\"0-1-99\",\"holes\":[\"binlog.000003:4-9\",7]},\"db3\":[]}"

static const char *const looks[] = {
        "{}",
        "{\"directory\":\"/x\",\"sources\":{" SOURCE("copying", "\"bytes\":1,\"total\":2,\"n_files\":1") "}}",
        "{\"directory\":\"/x\",\"sources\":{" SOURCE("done",
                                                     "\"bytes\":9,\"total\":9,\"n_files\":1") "}," ANSWER("true") "}",
        "{\"directory\":1,\"sources\":{" SOURCE("done",
                                                "\"bytes\":-1,\"total\":1e300,\"n_files\":-1") "}," ANSWER("false") "}",
        "{\"sources\":{" SOURCE("failed", "\"bytes\":9e15,\"total\":-9e15,\"n_files\":9e15") "}," ANSWER("null") "}",
        "{\"feeds\":{\"db2\":{\"state\":\"waiting\",\"port\":3306,\"host\":\"127.0.0.1\",\"sent\":1e19}}}",
        "[]",
        "null",
        "{\"sources\":[],\"answers\":\"\",\"feeds\":7}",
};

static void answer_rescue(Input *input, Reply *reply)
{
        unsigned n = choose(input, ARRAY_LENGTH(looks) + 1);
        reply->out = n < ARRAY_LENGTH(looks) ? alloc_string(looks[n]) : take_text(input);
}

static void answer(Input *input, const ScriptItem *item, Reply *reply)
{
        unsigned how = choose(input, 8);
        reply->run = how != 1;
        if (how == 2)
                failure_set(&reply->failure, FAILURE_SQL, (int) choose(input, 256) * 13, "%s",
                            bad[choose(input, ARRAY_LENGTH(bad))]);
        else if (how == 3)
                failure_set(&reply->failure, FAILURE_TIMEOUT, 0, "too late");
        else if (how != 1 && item->kind == SCRIPT_SQL)
                answer_sql(input, reply, item->text);
        else if (how != 1 && item->kind == SCRIPT_RESCUE)
                answer_rescue(input, reply);
        else if (how != 1)
                answer_program(input, reply);
}

static Replies *answer_all(Input *input, const Script *script)
{
        Replies *replies = replies_new(script->n_items);
        for (size_t i = 0; i < script->n_items; i++)
                answer(input, &script->items[i], &replies->items[i]);
        if (choose(input, 8) == 1)
                failure_set(&replies->failure, FAILURE_SYSTEM, 111, "gone");
        return replies;
}

/* A placeholder is where we have put one, and nowhere else. */
static void check_placeholders(const char *text)
{
        static const char before[] = "PASSWORD = ";
        for (const char *at = text; (at = strstr(at, "${")); at++) {
                size_t length = (size_t) (at - text);
                if (length < strlen(before) || memcmp(at - strlen(before), before, strlen(before)) != 0) {
                        fprintf(stderr, "%s\n", text);
                        abort();
                }
        }
}

/* No word of a server stands outside of quotation marks: "reboot" is in what it says, and in nothing of ours. */
static void check_quoted(const char *text, bool shell)
{
        char open = 0;
        for (const char *at = text; *at; at++) {
                if (*at == '\\' && at[1] != '\0' && !(shell && open == '\''))
                        at++;
                else if (!open && strchr(shell ? "'\"" : "'\"`", *at))
                        open = *at;
                else if (open && *at == open)
                        open = 0;
                else if (*at == 'r' && strncmp(at, "reboot", 6) == 0 && (!open || (shell && open == '"'))) {
                        fprintf(stderr, "%s\n", text);
                        abort();
                }
        }
}

static void check_json(const Json *json)
{
        CLEANUP(mem_free) char *text = json_print(json);
        CLEANUP(json_free) Json *again = NULL;
        require(json_parse(text, strlen(text), &again, NULL) == 0);
}

static void check_script(const Script *script)
{
        CLEANUP(json_free) Json *json = script_to_json(script);
        Script again = { 0 };
        check_json(json);
        require(script_from_json(json, &again, NULL) == 0 && again.n_items == script->n_items);
        script_done(&again);
        for (size_t i = 0; i < script->n_items; i++)
                if (script->items[i].kind == SCRIPT_SQL || script->items[i].kind == SCRIPT_SSH)
                        check_quoted(script->items[i].text, script->items[i].kind == SCRIPT_SSH);
        for (size_t i = 0; i < script->n_items; i++)
                if (script->items[i].kind == SCRIPT_SQL)
                        check_placeholders(script->items[i].text);
}

static void take_in(Facts *facts, const char *server, Judgement *judgement)
{
        require(judgement->verdict >= 0 && judgement->verdict < _VERDICT_MAX);
        require(memchr(judgement->why, '\0', sizeof judgement->why));
        if (judgement->learned) {
                check_json(judgement->learned);
                facts_learn(facts, server && *server ? server : NULL, judgement->learned);
        }
        judgement->learned = json_free(judgement->learned);
}

static void try_target(Input *input, Facts *facts, const Step *step, const char *server)
{
        for (int round = 0; round < 2; round++) {
                __attribute__((cleanup(script_done_cleanup))) Script ask = { 0 };
                __attribute__((cleanup(script_done_cleanup))) Script act = { 0 };
                Judgement judgement = { 0 };
                step->ask(facts, server, &ask);
                check_script(&ask);
                CLEANUP(replies_free) Replies *replies = answer_all(input, &ask);
                step->judge(facts, server, replies, &judgement);
                Verdict verdict = judgement.verdict;
                if (step->act && (verdict == VERDICT_UNMET || verdict == VERDICT_HOPELESS))
                        step->act(facts, server, replies, &act);
                check_script(&act);
                take_in(facts, server, &judgement);
                if (verdict != VERDICT_UNMET)
                        return;
        }
}

static void try_step(Input *input, Facts *facts, const Step *step)
{
        if (step->skip && step->skip(facts))
                return;
        if (step->decide) {
                Judgement judgement = { 0 };
                step->decide(facts, &judgement);
                take_in(facts, NULL, &judgement);
                return;
        }
        CLEANUP(json_free) Json *targets = step_targets(step, facts);
        (void) step_timeout(step, facts);
        JSON_FOREACH(target, targets)
        {
                try_target(input, facts, step, json_string(target));
        }
}

/* The watch over a server. */

static void fill(Input *input, Reply *reply, const char *statement)
{
        const ScriptItem item = { .kind = SCRIPT_SQL, .text = (char *) statement };
        answer(input, &item, reply);
}

static ServerView *watch(Input *input, const char *version)
{
        ServerView *view = server_view_new();
        const Dialect *dialect = server_view_dialect(view);
        for (int i = 0; i < 8; i++) {
                CLEANUP(replies_free) Replies *replies = replies_new(1);
                Reply *reply = &replies->items[0];
                const char *statements[] = { dialect_identity(),      dialect->tick,        dialect->show_replica,
                                             dialect->show_heartbeat, dialect->show_binlog, dialect_semi_sync_status(),
                                             dialect_events(),        dialect->tick };
                fill(input, reply, statements[i] ? statements[i] : "");
                usec_t now = 1000 + (usec_t) i;
                switch (i) {
                case 0:
                        (void) observation_read_identity(view, reply, NULL);
                        if (!view->identified) {
                                free(view->version_text);
                                view->version_text = alloc_string(version);
                                (void) version_parse(version, &view->version, NULL);
                        }
                        dialect = server_view_dialect(view);
                        break;
                case 1:
                        (void) observation_read_tick(view, reply, NULL);
                        break;
                case 2:
                        (void) observation_read_replica(view, reply, now, NULL);
                        break;
                case 3:
                        (void) observation_read_heartbeat(view, reply, now, NULL);
                        break;
                case 4:
                        (void) observation_read_binlog(view, reply, NULL);
                        break;
                case 5:
                        (void) observation_read_semi_sync(view, reply, 1, NULL);
                        break;
                case 6:
                        view->events = observation_events(reply);
                        break;
                default:
                        if (choose(input, 4) == 1)
                                (void) observation_note_evidence(view, (Evidence) choose(input, _EVIDENCE_MAX),
                                                                 reply->failure.code, reply->failure.text, now);
                        else
                                (void) observation_note_alive(view, now);
                }
        }
        CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
        CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
        (void) gtid_contains(received, applied);
        return view;
}

static void try_locks(Input *input)
{
        MhaLocking locking = { .wanted = MHA_LOCK_MONITOR };
        for (int i = 0; i < 2; i++) {
                CLEANUP(replies_free) Replies *replies = replies_new(2);
                CLEANUP(mem_free) char *take = mha_locking_take(&locking);
                fill(input, &replies->items[0], take ? take : "");
                mha_locking_took(&locking, &replies->items[0]);
                CLEANUP(mem_free) char *holder = mha_locking_holder(&locking);
                fill(input, &replies->items[1], holder ? holder : "");
                mha_locking_held(&locking, &replies->items[1]);
                free(mha_locking_end(&locking));
                locking.wanted = MHA_LOCK_FAILOVER;
        }
        mha_locking_done(&locking);
}

static const char *const names[SERVERS] = { "db1", "db2", "db3" };

static void try_checks(Input *input, const Facts *facts)
{
        CLEANUP(json_free) Json *results = json_array();
        CLEANUP(json_free) Json *holds = json_array();
        Replies *replies[SERVERS] = { 0 };
        for (int i = 0; i < SERVERS; i++) {
                __attribute__((cleanup(script_done_cleanup))) Script ask = { 0 };
                replication_check_ask(facts, names[i], &ask);
                check_script(&ask);
                replies[i] = choose(input, 8) == 1 ? NULL : answer_all(input, &ask);
        }
        __attribute__((cleanup(script_done_cleanup))) Script ask = { 0 };
        replication_check_ask_again(facts, "db1", &ask);
        CLEANUP(replies_free) Replies *again = choose(input, 4) == 1 ? NULL : answer_all(input, &ask);
        replication_check_judge(facts, replies, again, results);
        failover_check_judge(facts, holds, (TailAccess) choose(input, _TAIL_ACCESS_MAX), results);
        for (int i = 0; i < SERVERS; i++) {
                replies_free(replies[i]);
                CLEANUP(mem_free) char *script = ssh_check_script(facts, names[i]);
                CLEANUP(replies_free) Replies *told = replies_new(2);
                const ScriptItem item = { .kind = SCRIPT_SSH, .text = script };
                answer(input, &item, &told->items[0]);
                answer(input, &item, &told->items[1]);
                const SshWay way = { .to = "db3",
                                     .path = (SshPath) choose(input, _SSH_PATH_MAX),
                                     .text = "?",
                                     .mesh = &told->items[1] };
                const SshLook look = { .server = names[i],
                                       .refused = CHECK_SSH,
                                       .failure = "?",
                                       .reply = &told->items[0],
                                       .asked = 1795339007000000,
                                       .answered = 1795339007100000,
                                       .ways = &way,
                                       .n_ways = 1 };
                ssh_check_judge(facts, &look, results);
        }
        check_json(results);
}

static const char configuration[] =
        "{\"rescue\":{\"enabled\":true,\"on_unreachable_tail\":\"hold\",\"listen\":\"\"},\"ssh\":{\"enabled\":true},"
        "\"replication\":{\"user\":\"repl\",\"has_password\":true,\"heartbeat_ms\":500,\"connect_retry_ms\":1000,"
        "\"tls\":\"prefer\"},\"address\":{\"ip\":\"10.0.0.100/24\",\"device\":\"eth0\"},\"fence\":{\"policy\":"
        "\"best_effort\",\"stop_process\":true,\"command\":\"x\"},\"failover\":{\"set_read_only\":true},"
        "\"switchover\":{\"demote\":true,\"kill_sessions\":\"all\",\"kill_grace_ms\":500},\"hooks\":{\"start\":[\"a\"],"
        "\"stop\":[\"a\"],\"prepare\":[\"a\"],\"shutdown\":[\"a\"]},\"sql\":{\"user\":\"mhad\"},"
        "\"election\":{\"max_unapplied\":100000}}";

static Facts make_facts(Input *input, const char *procedure, const char *mode, const char *version)
{
        Facts facts = facts_new("app1", "r1", procedure);
        Json *order = json_get_mutable(facts.root, "order"), *servers = json_get_mutable(facts.root, "servers");
        Json *config = NULL;
        require(json_parse(configuration, strlen(configuration), &config, NULL) == 0);
        json_set(facts.root, "config", config);
        TopologyServer topology_servers[SERVERS];
        Server described[SERVERS];
        ServerView *views[SERVERS];
        for (int i = 0; i < SERVERS; i++) {
                views[i] = watch(input, version);
                described[i] = (Server){ .name = (char *) names[i], .host = (char *) "10.0.0.1", .port = 3306 };
                topology_servers[i] = (TopologyServer){ .server = &described[i], .view = views[i] };
                Json *json = server_view_to_json(views[i]);
                check_json(json);
                CLEANUP(server_view_free) ServerView *again = server_view_from_json(json);
                CLEANUP(json_free) Json *printed = server_view_to_json(again);
                check_json(printed);
                json_set_string(json, "name", names[i]);
                json_set_string(json, "host", "10.0.0.1");
                json_set_int(json, "port", 3306);
                json_set_string(json, "follows", i > 0 ? "db1" : NULL);
                json_append_string(order, names[i]);
                json_set(servers, names[i], json);
        }
        __attribute__((cleanup(topology_done_cleanup))) Topology topology =
                topology_read(topology_servers, SERVERS, "db1", 10);
        (void) topology_blocker(&topology);
        for (int i = 0; i < SERVERS; i++)
                server_view_free(views[i]);
        json_append_string(json_ensure_array(facts.root, "replicas"), "db2");
        json_append_string(json_ensure_array(facts.root, "replicas"), "db3");
        json_append_string(json_ensure_array(facts.root, "left_out"), "db3");
        json_append_string(json_ensure_array(facts.root, "sub_replicas"), "db3");
        json_set_string(facts.root, "old_primary", "db1");
        json_set_string(facts.root, "candidate", "db2");
        json_set_string(facts.root, "donor", "db3");
        json_set_string(facts.root, "mode", mode);
        json_set_string(json_ensure_object(facts.root, "verdict"), "row", "D1");
        return facts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const Procedure *const procedures[] = { &failover, &switchover, &rejoin, &purge };
        static const char *const modes[][2] = { { "mysql_gtid", "8.4.3" },
                                                { "position", "5.6.24-log" },
                                                { "mariadb_gtid", "10.11.6-MariaDB" },
                                                { "position", "10.11.6-MariaDB" } };
        Input input = { data, size };
        const Procedure *procedure = procedures[choose(&input, ARRAY_LENGTH(procedures))];
        const char *const *mode = modes[choose(&input, ARRAY_LENGTH(modes))];
        __attribute__((cleanup(facts_done_cleanup))) Facts facts =
                make_facts(&input, procedure->name, mode[0], mode[1]);
        if (procedure == &rejoin) {
                CLEANUP(json_free) Json *returning = rejoin_record(&facts);
                rejoin_prepare(&facts, "db2", returning, mode[0]);
        } else if (procedure == &purge) {
                Json *others = json_array();
                json_append_string(others, "db3");
                purge_prepare(&facts, "db2", others, mode[0]);
        }
        if (choose(&input, 8) == 1)
                try_locks(&input);
        if (choose(&input, 8) == 1)
                try_checks(&input, &facts);
        size_t n = procedure->n_steps + procedure->n_undo;
        size_t first = choose(&input, (unsigned) n), end = first + STEPS < n ? first + STEPS : n;
        for (size_t i = first; i < end; i++)
                try_step(&input, &facts,
                         i < procedure->n_steps ? &procedure->steps[i] : &procedure->undo[i - procedure->n_steps]);
        CLEANUP(json_free) Json *run = json_object();
        json_set_string(run, "run", "r1");
        json_set_string(run, "procedure", procedure->name);
        json_set_string(run, "outcome", "completed");
        CLEANUP(json_free) Json *report = report_make(run, &facts);
        check_json(report);
        free(report_summary(report));
        return 0;
}
