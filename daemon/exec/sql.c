/* One connection to an SQL port. Owns the MYSQL, its descriptor's Io and one timer, which is the deadline of whatever
 * is under way. Must never block, and never call back from inside a call. */
#include "sql.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/epoll.h>

#include <errmsg.h>
#include <openssl/err.h>

#include "alloc.h"
#include "attempt.h"
#include "evidence.h"
#include "greeting.h"
#include "host.h"
#include "text.h"
#include "worker.h"

#define START (-1) /* instead of a mask of what is ready: begin the operation */

typedef enum State {
        STATE_HANDSHAKE, /* a helper thread connects */
        STATE_CONNECT,
        STATE_IDLE,
        STATE_QUERY,
        STATE_STORE, /* fetching the result set */
        STATE_NEXT,  /* the result of the next statement; or a further one of a CALL, which is thrown away */
        STATE_DEAD,
} State;

struct Sql {
        Loop *loop;
        State state;
        SqlPhase phase;
        SqlEvidence evidence;
        char *peer;

        Attempt *attempt; /* while connecting */
        Worker *worker;   /* which has the attempt in its hands until it is done */
        MYSQL *mysql;     /* once connected */
        uint64_t thread_id;
        int socket_error; /* as SO_ERROR had it */

        Io *io;
        Timer *timer;
        usec_t began;
        bool starting, ended; /* an operation that ends inside the call that starts it is reported by the timer */

        char *statement;
        int error;
        MYSQL_RES *result;
        Replies *answer; /* an item a statement */
        size_t i_answer; /* which is under way */
        Failure failure; /* of connecting, or of the connection while idle */

        sql_connected_fn connected;
        sql_lost_fn lost;
        sql_reply_fn done;
        sql_replies_fn done_many;
        void *userdata, *done_userdata;
};

static void advance(Sql *sql, int ready);

static void drop_attempt(void *attempt)
{
        attempt_free(attempt);
}

/* Everything towards the server ends here, in any state. The Io goes first: its descriptor is about to be closed. */
static void disconnect(Sql *sql)
{
        sql->io = io_free(sql->io);
        timer_stop(sql->timer);
        if (sql->worker) {
                sql->worker = worker_release(sql->worker, drop_attempt);
                sql->attempt = NULL;
        }
        sql->attempt = attempt_free(sql->attempt);
        if (sql->result)
                mysql_free_result(sql->result);
        sql->result = NULL;
        if (sql->mysql) {
                if (sql->state != STATE_IDLE)
                        (void) shutdown((int) mysql_get_socket(sql->mysql), SHUT_RDWR);
                mysql_close(sql->mysql);
        }
        sql->mysql = NULL;
        text_wipe(TAKE(sql->statement)); /* not before: the library was reading it */
        sql->state = STATE_DEAD;
}

Sql *sql_free(Sql *sql)
{
        if (!sql)
                return NULL;
        disconnect(sql);
        timer_free(sql->timer);
        replies_free(sql->answer);
        free(sql->peer);
        free(sql);
        return NULL;
}

/* Reporting. The owner may free the connection in its function, so that is the last thing done. */

static void report_reply(Sql *sql)
{
        CLEANUP(replies_free) Replies *answer = TAKE(sql->answer);
        sql_reply_fn done = TAKE(sql->done);
        sql_replies_fn done_many = TAKE(sql->done_many);
        for (size_t i = 0; i < answer->n_items; i++)
                answer->items[i].took = usec_now_monotonic() - sql->began;
        if (done)
                done(sql, &answer->items[0], sql->done_userdata);
        else
                done_many(sql, answer, sql->done_userdata);
}

static void report(Sql *sql)
{
        sql->ended = false;
        if (sql->answer) {
                report_reply(sql);
                return;
        }
        sql_connected_fn connected = TAKE(sql->connected);
        Failure failure = sql->failure;
        connected(sql, sql->state == STATE_DEAD ? &failure : NULL, sql->userdata);
}

static void end(Sql *sql)
{
        timer_stop(sql->timer);
        text_wipe(TAKE(sql->statement));
        sql->ended = true;
        if (sql->starting)
                timer_set(sql->timer, 0);
        else
                report(sql);
}

/* Where the failure of what is under way belongs. */
static Failure *failure_place(Sql *sql)
{
        return sql->answer ? &sql->answer->items[sql->i_answer].failure : &sql->failure;
}

/* Idle: a connection that ends by itself is evidence at once, no need to wait for the next question. */

static int take_socket_error(int fd)
{
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

/* Some servers say why before they hang up (killed, idle for too long, shutting down): that is an answer. */
static bool judge_last_words(Sql *sql, int fd)
{
        uint8_t bytes[512];
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
        Greeting words;
        if (n <= 0 || sql_cipher(sql) || !greeting_parse(bytes, (size_t) n, &words) || words.kind != GREETING_ERROR)
                return false;
        sql->evidence = SQL_EVIDENCE_ERROR;
        failure_set(&sql->failure, FAILURE_SQL, (int) words.error, "%s ended the connection: %s", sql->peer,
                    words.text);
        return true;
}

static void on_idle_event(Sql *sql, int fd, uint32_t revents)
{
        /* TLS has records of its own (session tickets) that may come at any time. */
        if (sql_cipher(sql) && !(revents & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
                io_set_events(sql->io, EPOLLRDHUP);
                return;
        }
        if (!judge_last_words(sql, fd)) {
                sql->evidence = evidence_of_errno(take_socket_error(fd));
                if (sql->evidence == SQL_EVIDENCE_NONE)
                        sql->evidence = SQL_EVIDENCE_EOF;
                evidence_describe(sql->evidence, SQL_PHASE_IDLE, sql->peer, CR_SERVER_LOST, "", &sql->failure);
        }
        sql->state = STATE_DEAD;
        disconnect(sql);
        if (!sql->lost)
                return;
        Failure failure = sql->failure;
        sql->lost(sql, &failure, sql->userdata);
}

/* Waiting. */

static void on_io(int fd, uint32_t revents, void *userdata)
{
        Sql *sql = userdata;
        if (sql->state == STATE_IDLE) {
                if (!sql->ended)
                        on_idle_event(sql, fd, revents);
                return;
        }
        /* While connecting the library reads the socket's error itself, and needs it. */
        if (revents & EPOLLERR && sql->phase > SQL_PHASE_CONNECTING)
                sql->socket_error = take_socket_error(fd);
        bool over = revents & (EPOLLERR | EPOLLHUP | EPOLLRDHUP);
        int ready = (over || revents & EPOLLIN ? MYSQL_WAIT_READ : 0) |
                    (over || revents & EPOLLOUT ? MYSQL_WAIT_WRITE : 0) | (revents & EPOLLPRI ? MYSQL_WAIT_EXCEPT : 0);
        advance(sql, ready);
}

static void watch(Sql *sql, uint32_t events)
{
        int fd = sql->attempt ? attempt_fd(sql->attempt) : (int) mysql_get_socket(sql->mysql);
        if (!sql->io)
                sql->io = io_new(sql->loop, fd, events, on_io, sql);
        else
                io_set_events(sql->io, events);
}

static void await(Sql *sql, int wait)
{
        if (sql->attempt)
                sql->phase = attempt_phase(sql->attempt);
        /* The same wish as when idle, so that a question takes no system call for it. */
        watch(sql, (wait & MYSQL_WAIT_READ ? EPOLLIN | EPOLLRDHUP : 0u) | (wait & MYSQL_WAIT_WRITE ? EPOLLOUT : 0u) |
                           (wait & MYSQL_WAIT_EXCEPT ? EPOLLPRI : 0u));
}

static void become_idle(Sql *sql)
{
        sql->state = STATE_IDLE;
        sql->phase = SQL_PHASE_IDLE;
        watch(sql, EPOLLIN | EPOLLRDHUP);
}

static void on_timer(void *userdata)
{
        Sql *sql = userdata;
        if (!sql->ended) {
                if (sql->attempt)
                        sql->phase = attempt_phase(sql->attempt);
                sql->evidence = sql->phase == SQL_PHASE_LOOKUP ? SQL_EVIDENCE_NONE : SQL_EVIDENCE_SILENCE;
                evidence_describe_timeout(sql->phase, sql->peer, usec_now_monotonic() - sql->began, failure_place(sql));
                disconnect(sql);
        }
        report(sql);
}

/* Ends of operations. */

static void end_connect(Sql *sql)
{
        sql->phase = attempt_phase(sql->attempt);
        sql->mysql = attempt_take(sql->attempt, &sql->evidence, &sql->failure);
        if (sql->mysql) {
                sql->attempt = attempt_free(sql->attempt);
                sql->thread_id = mysql_thread_id(sql->mysql);
                become_idle(sql);
        } else
                disconnect(sql);
        end(sql);
}

static void end_failed(Sql *sql)
{
        unsigned number = mysql_errno(sql->mysql);
        const char *text = mysql_error(sql->mysql);
        SqlEvidence evidence = evidence_of(number, text, sql->socket_error);
        evidence_describe(evidence, sql->phase, sql->peer, number, text, failure_place(sql));
        sql->evidence = evidence;
        if (evidence_is_server_error(number))
                become_idle(sql);
        else
                disconnect(sql);
        end(sql);
}

static void end_well(Sql *sql)
{
        become_idle(sql);
        end(sql);
}

static void fill_reply(Reply *reply, MYSQL_RES *result)
{
        unsigned n = mysql_num_fields(result);
        const MYSQL_FIELD *fields = mysql_fetch_fields(result);
        const char **names = ALLOC_ARRAY(const char *, n);
        for (unsigned i = 0; i < n; i++)
                names[i] = fields[i].name;
        reply_set_columns(reply, n, names);
        free(names);
        for (MYSQL_ROW row; (row = mysql_fetch_row(result));)
                reply_add_row(reply, (const char *const *) row);
}

static void store_result(Sql *sql)
{
        Reply *reply = &sql->answer->items[sql->i_answer];
        if (sql->result && reply->n_columns == 0)
                fill_reply(reply, sql->result);
        if (sql->result)
                mysql_free_result(sql->result);
        sql->result = NULL;
}

/* The state machine: call the library for the state, wait as it says, go on to the next state when it is through. */

static int call(Sql *sql, int ready)
{
        bool start = ready == START;
        /* An error of another connection, or of libssh, that is still in the thread's queue would be taken for one of this. */
        if (sql->mysql && sql_cipher(sql))
                ERR_clear_error();
        switch (sql->state) {
        case STATE_CONNECT:
                return start ? attempt_start(sql->attempt) : attempt_continue(sql->attempt, ready);
        case STATE_QUERY:
                return start ? mysql_real_query_start(&sql->error, sql->mysql, sql->statement, strlen(sql->statement))
                             : mysql_real_query_cont(&sql->error, sql->mysql, ready);
        case STATE_STORE:
                return start ? mysql_store_result_start(&sql->result, sql->mysql)
                             : mysql_store_result_cont(&sql->result, sql->mysql, ready);
        case STATE_NEXT:
                return start ? mysql_next_result_start(&sql->error, sql->mysql)
                             : mysql_next_result_cont(&sql->error, sql->mysql, ready);
        case STATE_HANDSHAKE:
        case STATE_IDLE:
        case STATE_DEAD:
                break;
        }
        return 0;
}

/* True when a further operation is to be started; else what was under way has ended. */
static bool next(Sql *sql)
{
        switch (sql->state) {
        case STATE_CONNECT:
                end_connect(sql);
                return false;
        case STATE_QUERY:
        case STATE_NEXT:
                if (sql->error) {
                        end_failed(sql);
                        return false;
                }
                sql->state = STATE_STORE;
                return true;
        case STATE_STORE:
                if (!sql->result && mysql_errno(sql->mysql)) {
                        end_failed(sql);
                        return false;
                }
                store_result(sql);
                if (!mysql_more_results(sql->mysql)) {
                        end_well(sql);
                        return false;
                }
                if (sql->i_answer + 1 < sql->answer->n_items)
                        sql->answer->items[++sql->i_answer].run = true;
                sql->state = STATE_NEXT;
                return true;
        case STATE_HANDSHAKE:
        case STATE_IDLE:
        case STATE_DEAD:
                break;
        }
        return false;
}

static void advance(Sql *sql, int ready)
{
        for (;;) {
                int wait = call(sql, ready);
                if (wait) {
                        await(sql, wait);
                        return;
                }
                if (!next(sql))
                        return;
                ready = START;
        }
}

/* Starts. */

static void begin(Sql *sql, State state, SqlPhase phase, usec_t deadline)
{
        sql->state = state;
        sql->phase = phase;
        sql->evidence = SQL_EVIDENCE_NONE;
        sql->socket_error = 0;
        sql->began = usec_now_monotonic();
        timer_set(sql->timer, deadline);
        sql->starting = true;
        if (state != STATE_HANDSHAKE)
                advance(sql, START);
        sql->starting = false;
}

static void work(void *attempt)
{
        attempt_run(attempt);
}

static void on_worker_done(void *userdata)
{
        Sql *sql = userdata;
        sql->worker = worker_release(sql->worker, NULL);
        end_connect(sql);
}

static void begin_handshake(Sql *sql, usec_t deadline)
{
        sql->worker = worker_start(sql->loop, work, sql->attempt, on_worker_done, sql);
        begin(sql, STATE_HANDSHAKE, attempt_phase(sql->attempt), deadline);
        if (sql->worker)
                return;
        failure_errno(&sql->failure, errno, "cannot start a thread for the TLS handshake");
        disconnect(sql);
        sql->ended = true;
        timer_set(sql->timer, 0);
}

Sql *sql_connect(Loop *loop, const SqlParams *params, usec_t deadline, sql_connected_fn connected, sql_lost_fn lost,
                 void *userdata)
{
        Sql *sql = ALLOC(Sql);
        *sql = (Sql){ .loop = loop, .connected = connected, .lost = lost, .userdata = userdata };
        sql->timer = timer_new(loop, USEC_MSEC, on_timer, sql);
        sql->peer = host_and_port(params->address, params->port);
        sql->attempt = attempt_new(params, deadline);
        if (params->tls != SQL_TLS_OFF)
                begin_handshake(sql, deadline);
        else
                begin(sql, STATE_CONNECT, SQL_PHASE_CONNECTING, deadline);
        return sql;
}

static void ask(Sql *sql, State state, size_t n, usec_t deadline, void *userdata)
{
        assert(!sql->answer && !sql->connected);
        sql->done_userdata = userdata;
        sql->answer = replies_new(n);
        sql->i_answer = 0;
        sql->answer->items[0].run = true;
        if (sql->state == STATE_IDLE) {
                begin(sql, state, SQL_PHASE_QUERY, deadline);
                return;
        }
        sql->answer->items[0].failure = sql->failure;
        if (sql->failure.kind == FAILURE_NONE)
                failure_set(&sql->answer->items[0].failure, FAILURE_SQL, CR_SERVER_GONE_ERROR,
                            "the connection to %s has ended", sql->peer);
        sql->starting = true;
        end(sql);
        sql->starting = false;
}

void sql_query(Sql *sql, const char *statement, usec_t deadline, sql_reply_fn done, void *userdata)
{
        sql->statement = alloc_string(statement);
        sql->done = done;
        ask(sql, STATE_QUERY, 1, deadline, userdata);
}

void sql_query_many(Sql *sql, const char *statements, size_t n, usec_t deadline, sql_replies_fn done, void *userdata)
{
        sql->statement = alloc_string(statements);
        sql->done_many = done;
        ask(sql, STATE_QUERY, n, deadline, userdata);
}

/* What is known of it. */

bool sql_is_usable(const Sql *sql)
{
        return sql->state == STATE_IDLE && !sql->answer && !sql->connected;
}

SqlPhase sql_phase(const Sql *sql)
{
        return sql->attempt ? attempt_phase(sql->attempt) : sql->phase;
}

SqlEvidence sql_evidence(const Sql *sql)
{
        return sql->evidence;
}

uint64_t sql_thread_id(const Sql *sql)
{
        return sql->thread_id;
}

const char *sql_cipher(const Sql *sql)
{
        return sql->mysql ? mysql_get_ssl_cipher(sql->mysql) : NULL;
}
