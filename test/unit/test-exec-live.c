/* exec against a real server and a real sshd: what no fake would prove. Not in the unit suite; run it with
 * `meson test --suite live`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec.h"
#include "hook.h"
#include "live.h"

static Live live;
static Loop *loop;
static usec_t longest; /* between two beats of 5 ms: what blocks the loop shows here */
static usec_t last_beat;
static Timer *beat;

static void on_beat(void *userdata)
{
        usec_t now = loop_now(loop);
        if (last_beat && now - last_beat > longest)
                longest = now - last_beat;
        last_beat = now;
        timer_set_in(beat, 5 * USEC_MSEC);
}

static usec_t in(usec_t delay)
{
        return usec_add(loop_now(loop), delay);
}

static bool spin(const bool *until, usec_t timeout)
{
        usec_t end = in(timeout);
        last_beat = 0;
        timer_set_in(beat, 0);
        while (!*until && loop_now(loop) < end)
                loop_turn(loop, 10 * USEC_MSEC);
        timer_stop(beat);
        return *until;
}

static void pass(usec_t time)
{
        bool never = false;
        spin(&never, time);
}

/* A process with many threads takes a moment to stop. */
static void freeze(pid_t pid)
{
        kill(pid, SIGSTOP);
        pass(50 * USEC_MSEC);
}

static int thaw(void **state)
{
        kill(live.sql, SIGCONT);
        kill(live.ssh, SIGCONT);
        return 0;
}

/* SQL. */

typedef struct Talk {
        Sql *sql;
        bool connected, answered, lost;
        Failure failure, lost_failure;
        Replies *replies;
        usec_t at;
} Talk;

static void on_connected(Sql *sql, const Failure *failure, void *userdata)
{
        Talk *talk = userdata;
        talk->connected = true;
        talk->at = loop_now(loop);
        talk->failure = failure ? *failure : (Failure){ 0 };
}

static void on_lost(Sql *sql, const Failure *failure, void *userdata)
{
        Talk *talk = userdata;
        talk->lost = true;
        talk->at = loop_now(loop);
        talk->lost_failure = *failure;
}

static void on_reply(Sql *sql, Reply *reply, void *userdata)
{
        Talk *talk = userdata;
        replies_free(talk->replies);
        talk->replies = replies_new(1);
        talk->replies->items[0] = *reply;
        *reply = (Reply){ 0 };
        talk->answered = true;
        talk->at = loop_now(loop);
}

static SqlParams params(void)
{
        return (SqlParams){ .address = LIVE_ADDRESS,
                            .port = live.sql_port,
                            .user = LIVE_USER,
                            .password = LIVE_PASSWORD,
                            .init = SQL_INIT,
                            .role = "watch",
                            .user_timeout = 3 * USEC_SEC };
}

static void talk_connect(Talk *talk, const SqlParams *with, usec_t timeout)
{
        *talk = (Talk){ 0 };
        talk->sql = sql_connect(loop, with, in(timeout), on_connected, on_lost, talk);
        assert_false(talk->connected);
        assert_true(spin(&talk->connected, timeout + USEC_SEC));
}

static void talk_open(Talk *talk)
{
        SqlParams with = params();
        talk_connect(talk, &with, 5 * USEC_SEC);
        if (talk->failure.kind != FAILURE_NONE)
                print_error("%s\n", talk->failure.text);
        assert_int_equal(talk->failure.kind, FAILURE_NONE);
        assert_true(sql_is_usable(talk->sql));
}

static const Reply *talk_ask(Talk *talk, const char *statement, usec_t timeout)
{
        talk->answered = false;
        sql_query(talk->sql, statement, in(timeout), on_reply, talk);
        assert_false(talk->answered);
        assert_true(spin(&talk->answered, timeout + USEC_SEC));
        return &talk->replies->items[0];
}

static void talk_close(Talk *talk)
{
        talk->sql = sql_free(talk->sql);
        talk->replies = replies_free(talk->replies);
}

static void test_query(void **state)
{
        Talk talk;
        talk_open(&talk);
        assert_true(sql_thread_id(talk.sql) > 0);
        assert_null(sql_cipher(talk.sql));

        const Reply *reply = talk_ask(&talk, "SELECT 1 AS a, NULL AS b, 'x' AS c UNION SELECT 2, 'y', NULL", USEC_SEC);
        assert_true(reply_succeeded(reply));
        assert_int_equal(reply->n_rows, 2);
        assert_string_equal(reply_get(reply, 0, "A"), "1");
        assert_null(reply_get(reply, 0, "b"));
        assert_string_equal(reply_get(reply, 1, "b"), "y");

        reply = talk_ask(&talk, "SELECT @@sql_mode AS m, @@wait_timeout AS w, CONNECTION_ID() AS i", USEC_SEC);
        assert_string_equal(reply_get(reply, 0, "m"), "");
        assert_string_equal(reply_get(reply, 0, "w"), "600");
        assert_int_equal(strtoull(reply_get(reply, 0, "i"), NULL, 10), sql_thread_id(talk.sql));

        reply = talk_ask(&talk, "DO 1", USEC_SEC);
        assert_true(reply_succeeded(reply));
        assert_int_equal(reply->n_columns, 0);
        talk_close(&talk);
}

static void test_server_error(void **state)
{
        Talk talk;
        talk_open(&talk);
        const Reply *reply = talk_ask(&talk, "SELECT nonsense", USEC_SEC);
        assert_int_equal(reply->failure.kind, FAILURE_SQL);
        assert_int_equal(reply->failure.code, 1054);
        assert_int_equal(sql_evidence(talk.sql), SQL_EVIDENCE_ERROR);
        assert_true(sql_is_usable(talk.sql));
        reply = talk_ask(&talk, "SELECT 1; SELECT 2", USEC_SEC);
        assert_int_equal(reply->failure.code, 1064);
        reply = talk_ask(&talk, "SELECT 3 AS x", USEC_SEC);
        assert_string_equal(reply_get(reply, 0, "x"), "3");
        talk_close(&talk);
}

static void test_large_result(void **state)
{
        Talk talk;
        talk_open(&talk);
        longest = 0;
        const Reply *reply = talk_ask(&talk, "SELECT REPEAT('x', 8000000) AS x", 10 * USEC_SEC);
        assert_int_equal(strlen(reply_get(reply, 0, "x")), 8000000);
        reply = talk_ask(&talk, "SELECT seq FROM mysql.seq_1_to_20000", 10 * USEC_SEC);
        assert_int_equal(reply->n_rows, 20000);
        print_message("longest turn with a large result: %.1f ms\n", (double) longest / 1000);
        talk_close(&talk);
}

static void test_procedure_call(void **state)
{
        Talk talk;
        talk_open(&talk);
        talk_ask(&talk, "CREATE OR REPLACE PROCEDURE mysql.mhad_test() BEGIN SELECT 1 AS a; SELECT 2 AS b; END",
                 USEC_SEC);
        const Reply *reply = talk_ask(&talk, "CALL mysql.mhad_test()", USEC_SEC);
        assert_true(reply_succeeded(reply));
        assert_string_equal(reply_get(reply, 0, "a"), "1");
        reply = talk_ask(&talk, "SELECT 3 AS c", USEC_SEC);
        assert_string_equal(reply_get(reply, 0, "c"), "3");
        talk_close(&talk);
}

static void test_deadline_and_kill(void **state)
{
        Talk talk, other;
        talk_open(&talk);
        usec_t start = loop_now(loop);
        const Reply *reply = talk_ask(&talk, "SELECT SLEEP(30)", 300 * USEC_MSEC);
        assert_int_equal(reply->failure.kind, FAILURE_TIMEOUT);
        print_message("deadline of 300 ms kept after %.1f ms: %s\n", (double) (talk.at - start) / 1000,
                      reply->failure.text);
        assert_false(sql_is_usable(talk.sql));
        assert_int_equal(sql_phase(talk.sql), SQL_PHASE_QUERY);
        assert_int_equal(sql_evidence(talk.sql), SQL_EVIDENCE_SILENCE);

        /* A question to the dead connection is answered, too. */
        reply = talk_ask(&talk, "SELECT 1", USEC_SEC);
        assert_int_equal(reply->failure.kind, FAILURE_SQL);

        talk_open(&other);
        CLEANUP(mem_free) char *kill = text_format("KILL %llu", (unsigned long long) sql_thread_id(talk.sql));
        assert_true(reply_succeeded(talk_ask(&other, kill, USEC_SEC)));
        talk_close(&talk);
        talk_close(&other);
}

static void test_abandon(void **state)
{
        Talk talk;
        SqlParams with = params();
        talk_open(&talk);
        sql_query(talk.sql, "SELECT SLEEP(30)", in(10 * USEC_SEC), on_reply, &talk);
        pass(50 * USEC_MSEC);
        usec_t start = loop_now(loop);
        talk_close(&talk);
        print_message("abandoned a statement in %.2f ms\n", (double) (loop_now(loop) - start) / 1000);
        for (int i = 0; i < 5; i++) {
                Sql *sql = sql_connect(loop, &with, in(USEC_SEC), on_connected, on_lost, &talk);
                pass((usec_t) i * 200);
                sql_free(sql);
        }
        pass(50 * USEC_MSEC);
        assert_false(talk.answered);
}

static void test_wrong_password(void **state)
{
        Talk talk;
        SqlParams with = params();
        with.password = "wrong";
        talk_connect(&talk, &with, 5 * USEC_SEC);
        assert_int_equal(talk.failure.kind, FAILURE_SQL);
        assert_int_equal(talk.failure.code, 1045);
        assert_int_equal(sql_evidence(talk.sql), SQL_EVIDENCE_ERROR);
        assert_int_equal(sql_phase(talk.sql), SQL_PHASE_AUTHENTICATION);
        talk_close(&talk);
}

static void test_too_many_connections(void **state)
{
        Talk talk;
        talk_open(&talk);
        talk_ask(&talk, "SET GLOBAL max_connections = 10", USEC_SEC);
        Talk many[12];
        SqlParams with = params();
        bool refused = false;
        for (size_t i = 0; i < ARRAY_LENGTH(many); i++) {
                talk_connect(&many[i], &with, 2 * USEC_SEC);
                if (many[i].failure.kind != FAILURE_NONE) {
                        refused = true;
                        assert_int_equal(many[i].failure.code, 1040);
                        assert_int_equal(sql_evidence(many[i].sql), SQL_EVIDENCE_ERROR);
                        assert_int_equal(sql_phase(many[i].sql), SQL_PHASE_GREETING);
                }
        }
        assert_true(refused);
        for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
                talk_close(&many[i]);
        talk_ask(&talk, "SET GLOBAL max_connections = 151", USEC_SEC);
        talk_close(&talk);
}

static void test_refused(void **state)
{
        Talk talk;
        SqlParams with = params();
        with.port = live_free_port();
        usec_t start = loop_now(loop);
        talk_connect(&talk, &with, 2 * USEC_SEC);
        print_message("refused after %.1f ms: %s\n", (double) (talk.at - start) / 1000, talk.failure.text);
        assert_int_equal(sql_evidence(talk.sql), SQL_EVIDENCE_REFUSED);
        assert_int_equal(sql_phase(talk.sql), SQL_PHASE_CONNECTING);
        assert_false(sql_is_usable(talk.sql));
        talk_close(&talk);
}

/* A listener whose queue is full: the kernel drops further connection attempts, as a lost host would. */
static int black_hole(uint16_t *ret_port, int *fillers, size_t n)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET };
        socklen_t length = sizeof address;
        inet_pton(AF_INET, LIVE_ADDRESS, &address.sin_addr);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(fd, 0), 0);
        getsockname(fd, (struct sockaddr *) &address, &length);
        for (size_t i = 0; i < n; i++) {
                fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                (void) connect(fillers[i], (struct sockaddr *) &address, sizeof address);
        }
        usleep(20000);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

static void test_black_hole(void **state)
{
        Talk talk;
        SqlParams with = params();
        int fillers[4];
        int fd = black_hole(&with.port, fillers, ARRAY_LENGTH(fillers));
        talk_connect(&talk, &with, 300 * USEC_MSEC);
        assert_int_equal(talk.failure.kind, FAILURE_TIMEOUT);
        assert_int_equal(sql_phase(talk.sql), SQL_PHASE_CONNECTING);
        assert_int_equal(sql_evidence(talk.sql), SQL_EVIDENCE_SILENCE);
        print_message("%s\n", talk.failure.text);
        talk_close(&talk);
        close(fd);
        for (size_t i = 0; i < ARRAY_LENGTH(fillers); i++)
                close(fillers[i]);
}

static void test_killed_session(void **state)
{
        Talk talk, other;
        talk_open(&talk);
        talk_open(&other);
        CLEANUP(mem_free) char *kill = text_format("KILL %llu", (unsigned long long) sql_thread_id(talk.sql));
        talk_ask(&other, kill, USEC_SEC);
        assert_true(spin(&talk.lost, 2 * USEC_SEC));
        print_message("killed while idle: %s (%s)\n", talk.lost_failure.text,
                      sql_evidence_to_string(sql_evidence(talk.sql)));
        assert_false(sql_is_usable(talk.sql));
        talk_close(&talk);
        talk_close(&other);
}

static void test_frozen(void **state)
{
        Talk talk, fresh;
        SqlParams with = params();
        talk_open(&talk);
        freeze(live.sql);
        const Reply *reply = talk_ask(&talk, "SELECT 1", 300 * USEC_MSEC);
        assert_int_equal(reply->failure.kind, FAILURE_TIMEOUT);
        assert_int_equal(sql_phase(talk.sql), SQL_PHASE_QUERY);
        talk_connect(&fresh, &with, 300 * USEC_MSEC);
        assert_int_equal(fresh.failure.kind, FAILURE_TIMEOUT);
        assert_int_equal(sql_phase(fresh.sql), SQL_PHASE_GREETING);
        print_message("frozen: %s\n", fresh.failure.text);
        with.tls = SQL_TLS_REQUIRED;
        talk_close(&fresh);
        longest = 0;
        talk_connect(&fresh, &with, 300 * USEC_MSEC);
        assert_int_equal(fresh.failure.kind, FAILURE_TIMEOUT);
        assert_int_equal(sql_phase(fresh.sql), SQL_PHASE_GREETING);
        assert_int_equal(sql_evidence(fresh.sql), SQL_EVIDENCE_SILENCE);
        kill(live.sql, SIGCONT);
        talk_close(&talk);
        talk_close(&fresh);
        pass(200 * USEC_MSEC); /* the thread */
}

static void test_killed_server(void **state)
{
        Talk idle, busy, fresh;
        SqlParams with = params();
        talk_open(&idle);
        talk_open(&busy);
        sql_query(busy.sql, "SELECT SLEEP(30)", in(20 * USEC_SEC), on_reply, &busy);
        pass(50 * USEC_MSEC);
        live_kill_sql(&live);
        usec_t killed = loop_now(loop);
        assert_true(spin(&idle.lost, 2 * USEC_SEC));
        print_message("killed server seen %.1f ms after its end: %s (%s)\n",
                      ((double) idle.at - (double) killed) / 1000, idle.lost_failure.text,
                      sql_evidence_to_string(sql_evidence(idle.sql)));
        assert_true(spin(&busy.answered, 2 * USEC_SEC));
        SqlEvidence evidence = sql_evidence(busy.sql);
        assert_true(evidence == SQL_EVIDENCE_EOF || evidence == SQL_EVIDENCE_RESET);
        talk_connect(&fresh, &with, USEC_SEC);
        assert_int_equal(sql_evidence(fresh.sql), SQL_EVIDENCE_REFUSED);
        talk_close(&idle);
        talk_close(&busy);
        talk_close(&fresh);
        live_start_sql(&live);
}

/* TLS. */

static void tls_case(SqlTls tls, const char *ca, const char *name, FailureKind expected, const char *words)
{
        Talk talk;
        SqlParams with = params();
        CLEANUP(mem_free) char *file = ca ? live_path(&live, ca) : NULL;
        with.tls = tls;
        with.ca_file = file;
        with.tls_name = name;
        longest = 0;
        talk_connect(&talk, &with, 5 * USEC_SEC);
        print_message("TLS %s, CA %s, name %s: %s; longest turn %.1f ms\n", sql_tls_to_string(tls), ca ? ca : "none",
                      name ? name : "none", talk.failure.kind ? talk.failure.text : "connected",
                      (double) longest / 1000);
        assert_int_equal(talk.failure.kind, expected);
        if (expected == FAILURE_NONE) {
                assert_non_null(sql_cipher(talk.sql));
                longest = 0;
                assert_true(reply_succeeded(talk_ask(&talk, "SELECT SLEEP(0.3)", 2 * USEC_SEC)));
                const Reply *reply = talk_ask(&talk, "SELECT REPEAT('x', 3000000) AS x", 5 * USEC_SEC);
                assert_int_equal(strlen(reply_get(reply, 0, "x")), 3000000);
                print_message("  longest turn of a statement that sleeps: %.1f ms\n", (double) longest / 1000);
                pass(100 * USEC_MSEC);
                assert_false(talk.lost);
                assert_true(reply_succeeded(talk_ask(&talk, "SELECT 1", USEC_SEC)));
        } else if (words)
                assert_non_null(strstr(talk.failure.text, words));
        talk_close(&talk);
}

static void take_certificate(const char *name)
{
        Talk talk;
        assert_true(live_shell("cp %s/%s %s/server.pem", live.folder, name, live.folder));
        talk_open(&talk);
        assert_true(reply_succeeded(talk_ask(&talk, "FLUSH SSL", 5 * USEC_SEC)));
        talk_close(&talk);
}

static void test_tls(void **state)
{
        tls_case(SQL_TLS_REQUIRED, NULL, NULL, FAILURE_NONE, NULL);
        tls_case(SQL_TLS_REQUIRED, "ca.pem", NULL, FAILURE_NONE, NULL);
        tls_case(SQL_TLS_REQUIRED, "other.pem", NULL, FAILURE_SQL, NULL);
        tls_case(SQL_TLS_VERIFY, "ca.pem", NULL, FAILURE_NONE, NULL);
        tls_case(SQL_TLS_VERIFY, "other.pem", NULL, FAILURE_SQL, NULL);
        /* Of another host, by the right authority. */
        take_certificate("elsewhere.pem");
        tls_case(SQL_TLS_REQUIRED, "ca.pem", NULL, FAILURE_NONE, NULL);
        tls_case(SQL_TLS_VERIFY, "ca.pem", NULL, FAILURE_SQL, NULL);
        take_certificate("right.pem");
        tls_case(SQL_TLS_VERIFY, "ca.pem", NULL, FAILURE_NONE, NULL);
}

static void test_tls_idle_loss(void **state)
{
        Talk talk, other;
        SqlParams with = params();
        with.tls = SQL_TLS_REQUIRED;
        talk_connect(&talk, &with, 5 * USEC_SEC);
        assert_int_equal(talk.failure.kind, FAILURE_NONE);
        talk_open(&other);
        CLEANUP(mem_free) char *kill = text_format("KILL %llu", (unsigned long long) sql_thread_id(talk.sql));
        talk_ask(&other, kill, USEC_SEC);
        assert_true(spin(&talk.lost, 2 * USEC_SEC));
        print_message("killed while idle with TLS: %s\n", talk.lost_failure.text);
        talk_close(&talk);
        talk_close(&other);
}

static void test_tls_abandoned(void **state)
{
        SqlParams with = params();
        Talk talk = { 0 };
        with.tls = SQL_TLS_REQUIRED;
        for (int i = 0; i < 10; i++) {
                Sql *sql = sql_connect(loop, &with, in(USEC_SEC), on_connected, on_lost, &talk);
                pass((usec_t) i * 2 * USEC_MSEC);
                sql_free(sql);
        }
        pass(300 * USEC_MSEC);
}

static void test_memory(void **state)
{
        enum { N = 200, WAITING = 50 };
        Talk *talks = ALLOC_ARRAY(Talk, N), first;
        SqlParams with = params();
        long before, after;
        talk_open(&first);
        talk_ask(&first, "SET GLOBAL max_connections = 400", USEC_SEC);
        FILE *file = fopen("/proc/self/statm", "re");
        assert_int_equal(fscanf(file, "%*d %ld", &before), 1);
        fclose(file);
        usec_t start = loop_now(loop);
        /* At most as many at once as the server lets wait to be accepted: beyond that the kernel drops some for seconds. */
        for (size_t i = 0; i < N; i++) {
                talks[i].sql = sql_connect(loop, &with, in(10 * USEC_SEC), on_connected, on_lost, &talks[i]);
                if (i >= WAITING)
                        assert_true(spin(&talks[i - WAITING].connected, 10 * USEC_SEC));
        }
        for (size_t i = 0; i < N; i++)
                assert_true(spin(&talks[i].connected, 10 * USEC_SEC));
        usec_t opened = loop_now(loop);
        for (size_t i = 0; i < N; i++) {
                if (talks[i].failure.kind != FAILURE_NONE)
                        fail_msg("connection %zu: %s", i, talks[i].failure.text);
                sql_query(talks[i].sql, "SELECT @@read_only", in(5 * USEC_SEC), on_reply, &talks[i]);
        }
        for (size_t i = 0; i < N; i++)
                assert_true(spin(&talks[i].answered, 5 * USEC_SEC));
        usec_t asked = loop_now(loop);
        file = fopen("/proc/self/statm", "re");
        assert_int_equal(fscanf(file, "%*d %ld", &after), 1);
        fclose(file);
        print_message("%d connections: %.1f kB each, opened in %.0f ms, asked at once in %.0f ms\n", N,
                      (double) (after - before) * 4 / N, (double) (opened - start) / 1000,
                      (double) (asked - opened) / 1000);
        for (size_t i = 0; i < N; i++)
                talk_close(&talks[i]);
        free(talks);
        talk_close(&first);
}

/* Greetings. */

typedef struct Look {
        bool done;
        Greeting greeting;
} Look;

static void on_greeting(const Greeting *greeting, void *userdata)
{
        Look *look = userdata;
        look->greeting = *greeting;
        look->done = true;
}

/* SSH. */

static SshIdentity *identity;

typedef struct Shell {
        SshLink *link;
        bool ready, lost;
        Failure failure, lost_failure;
        usec_t at;
} Shell;

static void on_ready(SshLink *link, const Failure *failure, void *userdata)
{
        Shell *shell = userdata;
        shell->ready = true;
        shell->at = loop_now(loop);
        shell->failure = failure ? *failure : (Failure){ 0 };
}

static void on_link_lost(SshLink *link, const Failure *failure, void *userdata)
{
        Shell *shell = userdata;
        shell->lost = true;
        shell->lost_failure = *failure;
}

static void shell_connect_as(Shell *shell, const char *known, const char *name, const char *user, bool accept,
                             uint16_t port, usec_t timeout)
{
        CLEANUP(mem_free) char *file = live_path(&live, known);
        SshParams with = { .name = name,
                           .address = LIVE_ADDRESS,
                           .port = port,
                           .user = user,
                           .identity = identity,
                           .known_hosts_file = file,
                           .accept_unknown = accept };
        *shell = (Shell){ 0 };
        usec_t start = loop_now(loop);
        shell->link = ssh_link_new(loop, &with, in(timeout), on_ready, on_link_lost, shell);
        assert_false(shell->ready);
        assert_true(spin(&shell->ready, timeout + USEC_SEC));
        print_message("  SSH with %s as %s: %s, %.1f ms\n", known, name,
                      shell->failure.kind ? shell->failure.text : "up", (double) (shell->at - start) / 1000);
}

static void shell_connect(Shell *shell, const char *known, const char *name, bool accept)
{
        shell_connect_as(shell, known, name, "root", accept, live.ssh_port, 5 * USEC_SEC);
}

static void shell_open(Shell *shell)
{
        shell_connect(shell, "known", LIVE_ADDRESS, false);
        assert_int_equal(shell->failure.kind, FAILURE_NONE);
        assert_true(ssh_link_is_up(shell->link));
}

typedef struct Run {
        bool done;
        Failure failure;
        int status;
        char *out, *err;
        bool cut;
        usec_t at;
} Run;

static void on_result(const SshResult *result, void *userdata)
{
        Run *run = userdata;
        free(run->out);
        free(run->err);
        *run = (Run){
                true,        result->failure, result->exit_status, alloc_string(result->out), alloc_string(result->err),
                result->cut, loop_now(loop)
        };
}

static void run_done(Run *run)
{
        free(run->out);
        free(run->err);
        *run = (Run){ 0 };
}

static void run_command(Shell *shell, Run *run, const char *command, usec_t timeout)
{
        run_done(run);
        ssh_link_exec(shell->link, command, in(timeout), on_result, run);
        assert_false(run->done);
        assert_true(spin(&run->done, timeout + USEC_SEC));
}

static void test_host_keys(void **state)
{
        Shell shell;
        shell_connect(&shell, "known-changed", LIVE_ADDRESS, true);
        assert_int_equal(shell.failure.kind, FAILURE_SSH);
        assert_non_null(strstr(shell.failure.text, "has changed"));
        assert_non_null(strstr(shell.failure.text, "ssh-keygen -f"));
        assert_true(ssh_link_is_broken(shell.link));
        ssh_link_free(shell.link);
        shell_connect(&shell, "known-empty", LIVE_ADDRESS, false);
        assert_int_equal(shell.failure.kind, FAILURE_SSH);
        assert_non_null(strstr(shell.failure.text, "ssh-keyscan -p"));
        ssh_link_free(shell.link);
        shell_connect(&shell, "no-such-file", LIVE_ADDRESS, false);
        assert_int_equal(shell.failure.kind, FAILURE_SSH);
        ssh_link_free(shell.link);
        shell_connect(&shell, "known-empty", LIVE_ADDRESS, true);
        assert_int_equal(shell.failure.kind, FAILURE_NONE);
        ssh_link_free(shell.link);
        shell_connect(&shell, "known-name", "db1", false);
        assert_int_equal(shell.failure.kind, FAILURE_NONE);
        ssh_link_free(shell.link);
        shell_connect(&shell, "known", "db1", false);
        assert_int_equal(shell.failure.kind, FAILURE_NONE);
        ssh_link_free(shell.link);
}

/* By the address, also in what is to be typed. */
static void test_host_keys_of_strange_names(void **state)
{
        static const char *const names[] = { "db_1", "db1-", "db-.example" };
        for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
                Shell shell;
                shell_connect(&shell, "known", names[i], false);
                assert_int_equal(shell.failure.kind, FAILURE_NONE);
                ssh_link_free(shell.link);
                shell_connect(&shell, "known-changed", names[i], true);
                assert_int_equal(shell.failure.kind, FAILURE_SSH);
                assert_non_null(strstr(shell.failure.text, "has changed"));
                ssh_link_free(shell.link);
                shell_connect(&shell, "known-empty", names[i], false);
                assert_int_equal(shell.failure.kind, FAILURE_SSH);
                assert_null(strstr(shell.failure.text, names[i]));
                assert_non_null(strstr(shell.failure.text, " " LIVE_ADDRESS " >> "));
                ssh_link_free(shell.link);
        }
}

static void test_ssh_failures(void **state)
{
        Shell shell;
        shell_connect_as(&shell, "known", LIVE_ADDRESS, "nobody-here", false, live.ssh_port, 5 * USEC_SEC);
        assert_int_equal(shell.failure.kind, FAILURE_SSH);
        ssh_link_free(shell.link);
        shell_connect_as(&shell, "known", LIVE_ADDRESS, "root", false, live_free_port(), 5 * USEC_SEC);
        assert_int_equal(shell.failure.kind, FAILURE_SSH);
        ssh_link_free(shell.link);
        freeze(live.ssh);
        shell_connect_as(&shell, "known", LIVE_ADDRESS, "root", false, live.ssh_port, 300 * USEC_MSEC);
        assert_int_equal(shell.failure.kind, FAILURE_TIMEOUT);
        ssh_link_free(shell.link);
        kill(live.ssh, SIGCONT);
        for (int i = 0; i < 15; i++) { /* freed at any state */
                CLEANUP(mem_free) char *file = live_path(&live, "known");
                SshParams with = { .name = LIVE_ADDRESS,
                                   .address = LIVE_ADDRESS,
                                   .port = live.ssh_port,
                                   .user = "root",
                                   .identity = identity,
                                   .known_hosts_file = file };
                SshLink *link = ssh_link_new(loop, &with, in(5 * USEC_SEC), NULL, NULL, NULL);
                Run run = { 0 };
                ssh_link_exec(link, "sleep 5", in(5 * USEC_SEC), on_result, &run);
                pass((usec_t) i * 3 * USEC_MSEC);
                ssh_link_free(link);
                assert_false(run.done);
        }
}

static void test_identity(void **state)
{
        SshIdentity *none = NULL;
        Failure failure;
        CLEANUP(mem_free) char *locked = live_path(&live, "locked-key");
        assert_true(ssh_identity_load(locked, &none, &failure) < 0);
        assert_non_null(strstr(failure.text, "passphrase"));
        CLEANUP(mem_free) char *garbage = live_path(&live, "init.sql");
        assert_true(ssh_identity_load(garbage, &none, &failure) < 0);
        print_message("  %s\n", failure.text);
        assert_true(ssh_identity_load("/no/such/key", &none, &failure) < 0);
        print_message("  %s\n", failure.text);
        assert_null(none);
}

static void test_commands(void **state)
{
        Shell shell;
        Run run = { 0 };
        shell_open(&shell);
        usec_t start = loop_now(loop);
        run_command(&shell, &run, "echo out; echo err >&2; exit 7", 5 * USEC_SEC);
        print_message("  first command %.1f ms\n", (double) (run.at - start) / 1000);
        assert_int_equal(run.failure.kind, FAILURE_NONE);
        assert_int_equal(run.status, 7);
        assert_string_equal(run.out, "out\n");
        assert_string_equal(run.err, "err\n");
        start = loop_now(loop);
        run_command(&shell, &run, "cat", 5 * USEC_SEC); /* its input is at the end */
        print_message("  second command %.1f ms\n", (double) (run.at - start) / 1000);
        assert_int_equal(run.status, 0);
        run_command(&shell, &run, "kill -9 $$", 5 * USEC_SEC);
        assert_int_equal(run.status, 137);
        run_command(&shell, &run, "head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2", 10 * USEC_SEC);
        assert_int_equal(run.status, 0);
        assert_true(run.cut);
        assert_int_equal(strlen(run.out), 65536);
        assert_string_equal(run.err, "end\n");
        run_command(&shell, &run, "sleep 20", 300 * USEC_MSEC);
        assert_int_equal(run.failure.kind, FAILURE_TIMEOUT);
        print_message("  %s\n", run.failure.text);
        run_command(&shell, &run, "echo still here", 5 * USEC_SEC);
        assert_string_equal(run.out, "still here\n");
        SshTask *task = ssh_link_exec(shell.link, "sleep 20", in(10 * USEC_SEC), on_result, &run);
        pass(30 * USEC_MSEC);
        ssh_task_abandon(task);
        run_command(&shell, &run, "echo again", 5 * USEC_SEC);
        assert_string_equal(run.out, "again\n");
        run_done(&run);
        assert_int_equal(ssh_link_n_tasks(shell.link), 0);
        ssh_link_free(shell.link);
}

static void test_many_commands(void **state)
{
        enum { N = 60 };
        Shell shell;
        Run runs[N] = { 0 };
        shell_open(&shell);
        usec_t start = loop_now(loop);
        for (int i = 0; i < N; i++) {
                CLEANUP(mem_free) char *command = text_format("echo %d", i);
                ssh_link_exec(shell.link, command, in(20 * USEC_SEC), on_result, &runs[i]);
        }
        for (int i = 0; i < N; i++) {
                assert_true(spin(&runs[i].done, 20 * USEC_SEC));
                assert_int_equal(runs[i].failure.kind, FAILURE_NONE);
                assert_int_equal(atoi(runs[i].out), i);
                run_done(&runs[i]);
        }
        print_message("  %d commands on one session: %.0f ms\n", N, (double) (loop_now(loop) - start) / 1000);
        ssh_link_free(shell.link);
}

static GreetingKind probe(Shell *shell, const char *host, uint16_t port, usec_t timeout)
{
        Look look = { 0 };
        usec_t start = loop_now(loop);
        ssh_link_probe(shell->link, host, port, in(timeout), on_greeting, &look);
        assert_true(spin(&look.done, timeout + USEC_SEC));
        print_message("  probe of %s:%u: %s (%s), %.1f ms\n", host, port, greeting_kind_to_string(look.greeting.kind),
                      look.greeting.text, (double) (loop_now(loop) - start) / 1000);
        return look.greeting.kind;
}

static void test_probes(void **state)
{
        Shell shell;
        shell_open(&shell);
        assert_int_equal(probe(&shell, LIVE_ADDRESS, live.sql_port, 2 * USEC_SEC), GREETING_SERVER);
        assert_int_equal(probe(&shell, LIVE_ADDRESS, live_free_port(), 2 * USEC_SEC), GREETING_REFUSED);
        assert_int_equal(probe(&shell, "no-such-host.invalid", 3306, 8 * USEC_SEC), GREETING_UNASKED);
        assert_int_equal(probe(&shell, LIVE_ADDRESS, live.ssh_port, 2 * USEC_SEC), GREETING_STRANGE);
        freeze(live.sql);
        assert_int_equal(probe(&shell, LIVE_ADDRESS, live.sql_port, 300 * USEC_MSEC), GREETING_FROZEN);
        kill(live.sql, SIGCONT);
        uint16_t port;
        int fillers[4];
        int fd = black_hole(&port, fillers, ARRAY_LENGTH(fillers));
        assert_int_equal(probe(&shell, LIVE_ADDRESS, port, 400 * USEC_MSEC), GREETING_TIMEOUT);

        /* Several at once, with different ends, each keeps its own. */
        Look looks[6] = { 0 };
        uint16_t closed = live_free_port();
        for (size_t i = 0; i < ARRAY_LENGTH(looks); i++)
                ssh_link_probe(shell.link, LIVE_ADDRESS,
                               i % 3 == 0   ? live.sql_port
                               : i % 3 == 1 ? closed
                                            : port,
                               in(500 * USEC_MSEC), on_greeting, &looks[i]);
        for (size_t i = 0; i < ARRAY_LENGTH(looks); i++) {
                assert_true(spin(&looks[i].done, 2 * USEC_SEC));
                assert_int_equal(looks[i].greeting.kind, i % 3 == 0   ? GREETING_SERVER
                                                         : i % 3 == 1 ? GREETING_REFUSED
                                                                      : GREETING_TIMEOUT);
        }
        close(fd);
        for (size_t i = 0; i < ARRAY_LENGTH(fillers); i++)
                close(fillers[i]);
        Run run = { 0 };
        run_command(&shell, &run, "echo fine", 5 * USEC_SEC);
        assert_string_equal(run.out, "fine\n");
        run_done(&run);
        ssh_link_free(shell.link);
}

/* The pid of the sshd that serves our session. */
static pid_t session_pid(Shell *shell)
{
        Run run = { 0 };
        run_command(shell, &run, "echo $PPID", 5 * USEC_SEC);
        pid_t pid = atoi(run.out);
        run_done(&run);
        assert_true(pid > 1);
        return pid;
}

static void test_silent_host(void **state)
{
        Shell shell;
        shell_open(&shell);
        pid_t pid = session_pid(&shell);
        freeze(pid);
        assert_int_equal(probe(&shell, LIVE_ADDRESS, live.sql_port, 300 * USEC_MSEC), GREETING_UNASKED);
        kill(pid, SIGCONT);
        assert_int_equal(probe(&shell, LIVE_ADDRESS, live.sql_port, 2 * USEC_SEC), GREETING_SERVER);
        ssh_link_free(shell.link);
}

static void test_lost_session(void **state)
{
        Shell shell;
        shell_open(&shell);
        pid_t pid = session_pid(&shell);
        Run run = { 0 };
        ssh_link_exec(shell.link, "sleep 20", in(15 * USEC_SEC), on_result, &run);
        pass(30 * USEC_MSEC);
        kill(pid, SIGKILL);
        assert_true(spin(&shell.lost, 2 * USEC_SEC));
        assert_true(run.done);
        assert_int_equal(run.failure.kind, FAILURE_SSH);
        print_message("  lost: %s\n", shell.lost_failure.text);
        run_done(&run);
        ssh_link_exec(shell.link, "true", in(USEC_SEC), on_result, &run);
        assert_true(spin(&run.done, USEC_SEC));
        assert_int_equal(run.failure.kind, FAILURE_SSH);
        run_done(&run);
        ssh_link_free(shell.link);
}

/* What sshd was asked for by all of the tests before. */
static void test_ssh_forwards_nothing(void **state)
{
        Shell shell;
        Run run = { 0 };
        shell_open(&shell);
        run_command(&shell, &run, "true", 5 * USEC_SEC);
        assert_int_equal(run.failure.kind, FAILURE_NONE);
        run_done(&run);
        ssh_link_free(shell.link);
        assert_true(live_shell("grep -q 'request exec' %s/ssh.log", live.folder));
        assert_false(live_shell("grep -E 'auth-agent-req|x11-req' %s/ssh.log", live.folder));
}

/* Hooks. */

typedef struct Called {
        bool done;
        Failure failure;
        int status;
        char *out, *err;
} Called;

static void on_hook(const HookResult *result, void *userdata)
{
        Called *called = userdata;
        *called = (Called){ true, result->failure, result->exit_status, alloc_string(result->out),
                            alloc_string(result->err) };
}

static void called_done(Called *called)
{
        free(called->out);
        free(called->err);
        *called = (Called){ 0 };
}

static void call_hook(Called *called, const char *script, const char *input, usec_t timeout)
{
        const char *argv[] = { "/bin/sh", "-c", script, NULL };
        const char *environment[] = { "MHAD_TEST=yes", NULL };
        called_done(called);
        hook_run(loop, argv[0], argv, input, environment, in(timeout), on_hook, called);
        assert_false(called->done);
        assert_true(spin(&called->done, timeout + 5 * USEC_SEC));
}

static void test_hooks(void **state)
{
        Called called = { 0 };
        call_hook(&called, "cat; env | sort >&2; exit 3", "{\"a\": 1}", 5 * USEC_SEC);
        assert_int_equal(called.failure.kind, FAILURE_EXIT);
        assert_int_equal(called.status, 3);
        assert_string_equal(called.out, "{\"a\": 1}");
        assert_non_null(strstr(called.err, "MHAD_TEST=yes"));
        assert_null(strstr(called.err, "HOME="));
        call_hook(&called, "ls -l /proc/self/fd | wc -l; grep SigBlk /proc/self/status", NULL, 5 * USEC_SEC);
        print_message("  in a hook: %s", called.out);
        assert_non_null(strstr(called.out, "SigBlk:\t0000000000000000"));
        call_hook(&called, "head -c 1000000 /dev/zero | tr '\\0' x", NULL, 5 * USEC_SEC);
        assert_int_equal(strlen(called.out), 65536);
        assert_int_equal(called.status, 0);

        /* It need not read its input, however long that is, nor close its pipes. */
        char *long_input = alloc_zero(1000001, 1);
        memset(long_input, 'x', 1000000);
        call_hook(&called, "exit 0", long_input, 5 * USEC_SEC);
        assert_int_equal(called.status, 0);
        call_hook(&called, "wc -c", long_input, 5 * USEC_SEC);
        assert_int_equal(atoi(called.out), 1000000);
        free(long_input);
        usec_t start = loop_now(loop);
        call_hook(&called, "sleep 2 & echo quick", NULL, 5 * USEC_SEC);
        assert_string_equal(called.out, "quick\n");
        assert_true(loop_now(loop) - start < USEC_SEC);

        start = loop_now(loop);
        call_hook(&called, "echo before; sleep 30", NULL, USEC_SEC);
        assert_int_equal(called.failure.kind, FAILURE_TIMEOUT);
        assert_int_equal(called.status, 128 + SIGTERM);
        assert_string_equal(called.out, "before\n");
        assert_true(loop_now(loop) - start < 3 * USEC_SEC);
        call_hook(&called, "trap '' TERM; while :; do sleep 0.1; done", NULL, USEC_SEC);
        assert_int_equal(called.status, 128 + SIGKILL);
        print_message("  %s\n", called.failure.text);
        called_done(&called);

        const char *missing[] = { "/no/such/hook", NULL };
        hook_run(loop, missing[0], missing, "x", NULL, in(USEC_SEC), on_hook, &called);
        assert_true(spin(&called.done, 2 * USEC_SEC));
        assert_int_equal(called.status, 127);
        print_message("  %s", called.err);
        called_done(&called);

        const char *slow[] = { "/bin/sleep", "30", NULL };
        hook_abandon(hook_run(loop, slow[0], slow, NULL, NULL, in(20 * USEC_SEC), on_hook, &called));
        pass(200 * USEC_MSEC);
        assert_false(called.done);
}

/* Names. */

typedef struct Found {
        bool done;
        size_t n;
        char *first;
        Failure failure;
} Found;

static void on_found(const char *const *addresses, size_t n, const Failure *failure, void *userdata)
{
        Found *found = userdata;
        found->done = true;
        found->n = n;
        found->first = n ? alloc_string(addresses[0]) : NULL;
        if (failure)
                found->failure = *failure;
}

static void find(Resolver *resolver, Found *found, const char *name)
{
        free(found->first);
        *found = (Found){ 0 };
        resolver_query(resolver, name, 3306, in(6 * USEC_SEC), on_found, found);
        assert_false(found->done);
        assert_true(spin(&found->done, 10 * USEC_SEC));
}

static void test_names(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, 100 * USEC_MSEC);
        Found found = { 0 };
        find(resolver, &found, "10.1.2.3");
        assert_string_equal(found.first, "10.1.2.3");
        find(resolver, &found, "::1");
        assert_string_equal(found.first, "::1");
        find(resolver, &found, "localhost");
        assert_string_equal(found.first, "127.0.0.1");
        pass(150 * USEC_MSEC);
        find(resolver, &found, "localhost");
        assert_string_equal(found.first, "127.0.0.1");
        find(resolver, &found, "no-such-host.invalid");
        assert_int_equal(found.n, 0);
        print_message("  %s\n", found.failure.text);
        free(found.first);
        Found never = { 0 };
        resolver_abandon(resolver_query(resolver, "localhost", 22, in(USEC_SEC), on_found, &never));
        resolver_query(resolver, "other.invalid", 22, in(USEC_SEC), on_found, &never);
        resolver = resolver_free(resolver);
        pass(100 * USEC_MSEC);
        assert_false(never.done);
}

/* Scripts. */

typedef struct Job {
        bool done;
        Replies *replies;
        usec_t at;
} Job;

static void on_job(Replies *replies, void *userdata)
{
        Job *job = userdata;
        job->done = true;
        job->at = loop_now(loop);
        job->replies = replies;
}

static Exec *make_exec(Resolver *resolver)
{
        static const char *const hook_argv[] = { "/bin/cat", NULL };
        static const char *const slow_argv[] = { "/bin/sleep", "30", NULL };
        static const ExecHook hooks[] = { { .name = "echo", .argv = hook_argv, .timeout = 5 * USEC_SEC },
                                          { .name = "slow", .argv = slow_argv, .timeout = 5 * USEC_SEC } };
        CLEANUP(mem_free) char *known = live_path(&live, "known");
        char host[] = LIVE_ADDRESS, name[] = "db1", user[] = "root", gone[] = "gone";
        Server servers[] = {
                { .name = name,
                  .host = host,
                  .port = live.sql_port,
                  .ssh_host = host,
                  .ssh_port = live.ssh_port,
                  .ssh_user = user },
                { .name = gone,
                  .host = host,
                  .port = live_free_port(),
                  .ssh_host = host,
                  .ssh_port = live_free_port(),
                  .ssh_user = user },
        };
        ExecConfig config = { .servers = servers,
                              .n_servers = ARRAY_LENGTH(servers),
                              .sql_user = LIVE_USER,
                              .sql_password = LIVE_PASSWORD,
                              .replication_password = "s'e\\cret-word",
                              .connect_timeout = USEC_SEC,
                              .identity = identity,
                              .known_hosts_file = known,
                              .hooks = hooks,
                              .n_hooks = ARRAY_LENGTH(hooks),
                              .resolver = resolver };
        Exec *exec = NULL;
        assert_int_equal(exec_new(loop, &config, &exec), 0);
        return exec;
}

static void job_run_of(Exec *exec, Job *job, const char *tag, const char *server, Script *script, usec_t timeout)
{
        replies_free(job->replies);
        *job = (Job){ 0 };
        exec_run(exec, server, tag, script, in(timeout), on_job, job);
        script_done(script);
        *script = (Script){ 0 };
        assert_false(job->done);
        assert_true(spin(&job->done, timeout + 2 * USEC_SEC));
}

static void job_run(Exec *exec, Job *job, const char *server, Script *script, usec_t timeout)
{
        job_run_of(exec, job, "run-1", server, script, timeout);
}

static void test_scripts(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        CLEANUP(exec_free) Exec *exec = make_exec(resolver);
        Job job = { 0 };
        Script script = { 0 };
        exec_warm(exec, "db1");
        exec_warm(exec, "gone");
        pass(200 * USEC_MSEC);

        script_sql(&script, "SELECT CONNECTION_ID() AS id, info AS text FROM information_schema.processlist"
                            " WHERE id = CONNECTION_ID()");
        script_try_sql(&script, "SELECT nonsense");
        script_ssh(&script, "echo '%s'; exit 0", "it \"is\" quoted $HOME");
        script_try_ssh(&script, "echo bad >&2; exit 4");
        Json *input = json_object();
        json_set_string(input, "kind", "test");
        script_hook(&script, "echo", input);
        script_sql(&script, "SELECT ${replication_password} AS p");
        usec_t start = loop_now(loop);
        job_run(exec, &job, "db1", &script, 10 * USEC_SEC);
        print_message("  six warm items: %.1f ms\n", (double) (job.at - start) / 1000);
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        assert_true(text_starts_with(reply_get(replies_at(job.replies, 0), 0, "text"), "/* mhad run-1 */ SELECT"));
        assert_int_equal(replies_at(job.replies, 1)->failure.code, 1054);
        assert_string_equal(replies_at(job.replies, 2)->out, "it \"is\" quoted $HOME\n");
        assert_int_equal(replies_at(job.replies, 3)->failure.code, 4);
        assert_string_equal(replies_at(job.replies, 4)->out, "{\"kind\":\"test\"}");
        assert_string_equal(reply_get(replies_at(job.replies, 5), 0, "p"), "s'e\\cret-word");
        CLEANUP(mem_free) char *id = alloc_string(reply_get(replies_at(job.replies, 0), 0, "id"));

        /* The next job finds the same connection; an error ends the script. */
        script_sql(&script, "SELECT CONNECTION_ID() AS id");
        script_sql(&script, "SELECT ${replication_password} nonsense nonsense");
        script_sql(&script, "SELECT 1");
        job_run(exec, &job, "db1", &script, 10 * USEC_SEC);
        assert_string_equal(reply_get(replies_at(job.replies, 0), 0, "id"), id);
        assert_int_equal(job.replies->failure.code, 1064);
        assert_null(strstr(job.replies->failure.text, "cret"));
        print_message("  %s\n", job.replies->failure.text);
        assert_true(replies_at(job.replies, 1)->run);
        assert_false(replies_at(job.replies, 2)->run);

        /* Several at once. */
        Job jobs[5] = { 0 };
        start = loop_now(loop);
        for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++) {
                script_sql(&script, "SELECT SLEEP(0.3)");
                exec_run(exec, "db1", "run-1", &script, in(5 * USEC_SEC), on_job, &jobs[i]);
                script_done(&script);
                script = (Script){ 0 };
        }
        for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++) {
                assert_true(spin(&jobs[i].done, 5 * USEC_SEC));
                assert_int_equal(jobs[i].replies->failure.kind, FAILURE_NONE);
                replies_free(jobs[i].replies);
        }
        assert_true(loop_now(loop) - start < USEC_SEC);

        script_sql(&script, "SELECT 1");
        job_run(exec, &job, "gone", &script, 2 * USEC_SEC);
        print_message("  %s\n", job.replies->failure.text);
        assert_int_equal(job.replies->failure.kind, FAILURE_SQL);
        script_try_ssh(&script, "true");
        job_run(exec, &job, "gone", &script, 2 * USEC_SEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        print_message("  %s\n", replies_at(job.replies, 0)->failure.text);
        assert_int_equal(replies_at(job.replies, 0)->failure.kind, FAILURE_SSH);
        script_sql(&script, "SELECT 1");
        job_run(exec, &job, "unknown", &script, 2 * USEC_SEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_INVALID);
        script_hook(&script, "slow", NULL);
        start = loop_now(loop);
        job_run(exec, &job, NULL, &script, 300 * USEC_MSEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_TIMEOUT);
        script_ssh(&script, "sleep 20");
        job_run(exec, &job, "db1", &script, 300 * USEC_MSEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_TIMEOUT);
        replies_free(job.replies);
        exec_cool(exec, "run-1");
        pass(300 * USEC_MSEC);
}

/* Questions in a row go together, and each has its answer; one that fails keeps those behind it from being asked, unless it
 * may fail. */
static void test_questions(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        CLEANUP(exec_free) Exec *exec = make_exec(resolver);
        Job job = { 0 };
        Script script = { 0 };
        script_sql(&script, "SET @a = 1");
        script_sql(&script, "SELECT @a AS a, info AS text FROM information_schema.processlist "
                            "WHERE id = CONNECTION_ID()");
        script_sql(&script, "SHOW VARIABLES LIKE 'nothing of this name'");
        script_try_sql(&script, "SELECT nonsense");
        script_sql(&script, "SELECT 2 AS b UNION SELECT 3");
        script_sql(&script, "SELECT info AS text FROM information_schema.processlist WHERE id = CONNECTION_ID()");
        script_sql(&script, "SET @a = 4");
        script_sql(&script, "SELECT @a AS a");
        job_run(exec, &job, "db1", &script, 10 * USEC_SEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        assert_string_equal(reply_get(replies_at(job.replies, 1), 0, "a"), "1");
        assert_int_equal(replies_at(job.replies, 2)->n_rows, 0);
        assert_int_equal(replies_at(job.replies, 2)->n_columns, 2);
        assert_int_equal(replies_at(job.replies, 3)->failure.code, 1054);
        assert_int_equal(replies_at(job.replies, 4)->n_rows, 2);
        assert_true(text_starts_with(reply_get(replies_at(job.replies, 5), 0, "text"), "/* mhad run-1 */ SELECT info"));
        assert_string_equal(reply_get(replies_at(job.replies, 7), 0, "a"), "4");

        script_sql(&script, "SELECT 1 AS a");
        script_sql(&script, "SELECT nonsense");
        script_sql(&script, "SELECT 2 AS a");
        job_run(exec, &job, "db1", &script, 10 * USEC_SEC);
        assert_int_equal(job.replies->failure.code, 1054);
        assert_string_equal(reply_get(replies_at(job.replies, 0), 0, "a"), "1");
        assert_false(replies_at(job.replies, 2)->run);

        script_sql(&script, "SELECT 1 AS a");
        script_sql(&script, "SELECT SLEEP(9)");
        script_sql(&script, "SELECT 2 AS a");
        job_run(exec, &job, "db1", &script, 300 * USEC_MSEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_TIMEOUT);
        script_sql(&script, "SELECT 1"); /* the one that was left behind is ended first */
        job_run(exec, &job, "db1", &script, 5 * USEC_SEC);
        replies_free(job.replies);
}

/* A session with a lock is its run's alone, and outlasts what others do. */
static char *session_of(Exec *exec, const char *tag, const char *first)
{
        Job job = { 0 };
        Script script = { 0 };
        script_sql(&script, "%s", first);
        script_sql(&script, "SELECT CONNECTION_ID() AS id");
        job_run_of(exec, &job, tag, "db1", &script, 5 * USEC_SEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        char *id = alloc_string(reply_get(replies_at(job.replies, 1), 0, "id"));
        replies_free(job.replies);
        return id;
}

static void test_session_with_a_lock(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        CLEANUP(exec_free) Exec *exec = make_exec(resolver);
        CLEANUP(mem_free) char *other = session_of(exec, "b", "DO 1");
        CLEANUP(mem_free) char *locked = session_of(exec, "a", "FLUSH TABLES WITH READ LOCK");
        assert_string_equal(locked, other); /* it was idle */
        CLEANUP(mem_free) char *check = session_of(exec, "b", "DO 1");
        assert_string_not_equal(check, locked);
        exec_cool(exec, "b");
        CLEANUP(mem_free) char *again = session_of(exec, "a", "DO 1");
        assert_string_equal(again, locked);
        CLEANUP(mem_free) char *more = session_of(exec, "b", "DO 1");
        assert_string_not_equal(more, locked);
        CLEANUP(mem_free) char *first = session_of(exec, "a", "UNLOCK TABLES");
        assert_string_equal(first, locked);
        CLEANUP(mem_free) char *shared = session_of(exec, "b", "FLUSH TABLES WITH READ LOCK");
        assert_string_equal(shared, locked);
        exec_cool(exec, "b");
        CLEANUP(mem_free) char *fresh = session_of(exec, "b", "DO 1");
        assert_string_not_equal(fresh, locked);
}

/* What the file on the host says. */
static void assert_noted(Exec *exec, const char *file, const char *wanted)
{
        Job job = { 0 };
        Script script = { 0 };
        script_ssh(&script, "cat %s 2>/dev/null || true", file);
        job_run(exec, &job, "db1", &script, 5 * USEC_SEC);
        assert_string_equal(replies_at(job.replies, 0)->out, wanted);
        replies_free(job.replies);
}

/* A command that waits for its word does nothing before it, and nothing at all when it does not come. */
static void test_on_word(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        CLEANUP(exec_free) Exec *exec = make_exec(resolver);
        Job job = { 0 };
        Script script = { 0 };
        CLEANUP(mem_free) char *file = text_format("/tmp/mhad-live-word-%d", (int) getpid());
        CLEANUP(mem_free)
        char *waits = text_format("echo ready; read -r word; [ \"$word\" = go ] && echo 1 >>%s && echo done $$", file);

        script_ready(&script, waits);
        job_run(exec, &job, "db1", &script, 5 * USEC_SEC);
        assert_string_equal(replies_at(job.replies, 0)->out, "ready");
        assert_noted(exec, file, "");
        script_ssh_on_word(&script, waits);
        usec_t start = loop_now(loop);
        job_run(exec, &job, "db1", &script, 5 * USEC_SEC);
        print_message("  a word to one that waits: %.1f ms\n", (double) (job.at - start) / 1000);
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        assert_true(text_starts_with(replies_at(job.replies, 0)->out, "done "));
        assert_noted(exec, file, "1\n");

        /* Nobody has made it ready. */
        script_ssh_on_word(&script, waits);
        job_run(exec, &job, "db1", &script, 5 * USEC_SEC);
        assert_true(text_starts_with(replies_at(job.replies, 0)->out, "done "));
        assert_noted(exec, file, "1\n1\n");

        /* The word does not come; it is not of the kind that waits; it ends too early. */
        script_ready(&script, waits);
        script_ready(&script, "echo later; sleep 5");
        script_ready(&script, "exit 3");
        start = loop_now(loop);
        job_run(exec, &job, "db1", &script, 4 * USEC_SEC);
        assert_string_equal(replies_at(job.replies, 1)->out, "later");
        assert_int_equal(job.replies->failure.kind, FAILURE_EXIT);
        assert_true(job.at - start < 4 * USEC_SEC);
        exec_cool(exec, "run-1");
        pass(300 * USEC_MSEC);
        assert_noted(exec, file, "1\n1\n");

        /* One that does not end in time is left to itself. */
        script_ssh_on_word(&script, "echo ready; read -r word; sleep 5");
        job_run(exec, &job, "db1", &script, 300 * USEC_MSEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_TIMEOUT);
        script_ssh(&script, "rm -f %s", file);
        job_run(exec, &job, "db1", &script, 5 * USEC_SEC);
        replies_free(job.replies);
}

static size_t count_running(Talk *talk, const char *tag)
{
        CLEANUP(mem_free)
        char *statement =
                text_format("SELECT COUNT(*) AS n FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
                            " AND info LIKE '/* mhad %s */%%'",
                            tag);
        return (size_t) atoi(reply_get(talk_ask(talk, statement, 2 * USEC_SEC), 0, "n"));
}

/* A loaded server may take its time to begin and to end a statement. */
static void assert_running(Talk *talk, const char *tag, size_t expected)
{
        for (int i = 0; i < 50 && count_running(talk, tag) != expected; i++)
                pass(100 * USEC_MSEC);
        assert_int_equal(count_running(talk, tag), expected);
}

static void test_left_behind(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        CLEANUP(exec_free) Exec *exec = make_exec(resolver);
        Talk talk;
        Job job = { 0 };
        Script script = { 0 };
        talk_open(&talk);
        script_sql(&script, "SELECT SLEEP(30)");
        job_run(exec, &job, "db1", &script, 300 * USEC_MSEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_TIMEOUT);
        assert_running(&talk, "run-1", 0);

        script_sql(&script, "SELECT SLEEP(30)");
        ExecJob *abandoned = exec_run(exec, "db1", "run-1", &script, in(20 * USEC_SEC), on_job, &job);
        assert_running(&talk, "run-1", 1);
        exec_abandon(abandoned);
        script_done(&script);
        script = (Script){ 0 };
        script_sql(&script, "SELECT COUNT(*) AS n FROM information_schema.processlist"
                            " WHERE id <> CONNECTION_ID() AND info LIKE '/* mhad %%'");
        job_run(exec, &job, "db1", &script, 2 * USEC_SEC);
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        assert_string_equal(reply_get(replies_at(job.replies, 0), 0, "n"), "0");
        replies_free(job.replies);
        talk_close(&talk);
}

static void test_quiesce(void **state)
{
        CLEANUP(resolver_free) Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        CLEANUP(exec_free) Exec *exec = make_exec(resolver);
        Talk dead[3], bystander, talk;
        Job job = { 0 };
        talk_open(&talk);
        for (size_t i = 0; i < ARRAY_LENGTH(dead); i++) {
                talk_open(&dead[i]);
                sql_query(dead[i].sql, "/* mhad run-7 */ SELECT SLEEP(30)", in(20 * USEC_SEC), on_reply, &dead[i]);
        }
        talk_open(&bystander);
        sql_query(bystander.sql, "/* mhad run-8 */ SELECT SLEEP(30)", in(20 * USEC_SEC), on_reply, &bystander);
        assert_running(&talk, "run-7", 3);
        exec_quiesce(exec, "db1", "run-7", in(5 * USEC_SEC), on_job, &job);
        assert_true(spin(&job.done, 6 * USEC_SEC));
        assert_int_equal(job.replies->failure.kind, FAILURE_NONE);
        assert_true(reply_succeeded(replies_at(job.replies, 0)));
        assert_int_equal(count_running(&talk, "run-7"), 0);
        assert_int_equal(count_running(&talk, "run-8"), 1);
        job.replies = replies_free(job.replies);
        job.done = false;
        exec_quiesce(exec, "gone", "run-7", in(2 * USEC_SEC), on_job, &job);
        assert_true(spin(&job.done, 6 * USEC_SEC));
        assert_int_equal(job.replies->failure.kind, FAILURE_SQL);
        replies_free(job.replies);
        for (size_t i = 0; i < ARRAY_LENGTH(dead); i++)
                talk_close(&dead[i]);
        talk_close(&bystander);
        talk_close(&talk);
}

static int start_world(void **state)
{
        if (!live_is_possible()) {
                print_message("needs root, mariadbd, sshd, openssl and ssh-keygen\n");
                exit(77); /* meson: skipped */
        }
        live_start(&live);
        if (loop_new(&loop) < 0)
                return -1;
        beat = timer_new(loop, 0, on_beat, NULL);
        CLEANUP(mem_free) char *key = live_path(&live, "key");
        Failure failure;
        return ssh_identity_load(key, &identity, &failure);
}

static int stop_world(void **state)
{
        ssh_identity_free(identity);
        timer_free(beat);
        loop_free(loop);
        live_stop(&live);
        return 0;
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, thaw)
        const struct CMUnitTest tests[] = {
                TEST(test_query),
                TEST(test_server_error),
                TEST(test_large_result),
                TEST(test_procedure_call),
                TEST(test_deadline_and_kill),
                TEST(test_abandon),
                TEST(test_wrong_password),
                TEST(test_too_many_connections),
                TEST(test_refused),
                TEST(test_black_hole),
                TEST(test_killed_session),
                TEST(test_frozen),
                TEST(test_killed_server),
                TEST(test_tls),
                TEST(test_tls_idle_loss),
                TEST(test_tls_abandoned),
                TEST(test_memory),
                TEST(test_identity),
                TEST(test_host_keys_of_strange_names),
                TEST(test_host_keys),
                TEST(test_ssh_failures),
                TEST(test_commands),
                TEST(test_many_commands),
                TEST(test_probes),
                TEST(test_silent_host),
                TEST(test_lost_session),
                TEST(test_ssh_forwards_nothing),
                TEST(test_hooks),
                TEST(test_names),
                TEST(test_scripts),
                TEST(test_on_word),
                TEST(test_questions),
                TEST(test_session_with_a_lock),
                TEST(test_left_behind),
                TEST(test_quiesce),
        };
        if (argc > 1)
                cmocka_set_test_filter(argv[1]);
        return cmocka_run_group_tests(tests, start_world, stop_world);
}
