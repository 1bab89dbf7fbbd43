/* Connecting with libmariadb. Owns the MYSQL until it is taken and a copy of the password until it is freed. An attempt
 * may run in a helper thread: must never touch anything but itself. */
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include <errmsg.h>

#include "address.h"
#include "alloc.h"
#include "evidence.h"
#include "host.h"
#include "text.h"

/* What a server may ask for. Left to itself the library would also hand the password over in clear. */
#define AUTHENTICATION_PLAIN "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password"
#define AUTHENTICATION_VERIFIED AUTHENTICATION_PLAIN ",mysql_clear_password,dialog,parsec"

struct Attempt {
        MYSQL *mysql;
        MYSQL *connected;
        char *host, *user, *password, *peer;
        uint16_t port;
        SqlTls tls;
        bool many;
        usec_t started, deadline, user_timeout;
        atomic_int phase;
        bool timed_out;
};

/* The library's buffers start small: a thousand idle connections are the rule here, long packets are not. */
static void initialise_library(void)
{
        mysql_library_init(0, NULL, NULL);
        size_t buffer = 4096;
        mysql_options(NULL, MYSQL_OPT_NET_BUFFER_LENGTH, &buffer);
}

static void set_string(MYSQL *mysql, enum mysql_option option, const char *value)
{
        if (value)
                mysql_options(mysql, option, value);
}

static void set_bool(MYSQL *mysql, enum mysql_option option, bool value)
{
        my_bool flag = value;
        mysql_options(mysql, option, &flag);
}

static void set_tls(MYSQL *mysql, const SqlParams *params)
{
        set_bool(mysql, MYSQL_OPT_SSL_ENFORCE, params->tls != SQL_TLS_OFF);
        set_bool(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, params->tls == SQL_TLS_VERIFY);
        if (params->tls == SQL_TLS_OFF)
                return;
        set_string(mysql, MYSQL_OPT_SSL_CA, params->ca_file);
        set_string(mysql, MYSQL_OPT_SSL_CERT, params->cert_file);
        set_string(mysql, MYSQL_OPT_SSL_KEY, params->key_file);
}

static unsigned whole_seconds(usec_t deadline)
{
        usec_t left = usec_sub(deadline, usec_now_monotonic());
        return left > USEC_HOUR ? 3600 : (unsigned) (left / USEC_SEC) + 1;
}

static MYSQL *new_handle(const SqlParams *params, usec_t deadline)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        (void) pthread_once(&once, initialise_library);
        MYSQL *mysql = mysql_init(NULL);
        if (!mysql)
                abort();
        unsigned protocol = MYSQL_PROTOCOL_TCP, off = 0;
        mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL);
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
        mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off); /* or a server could ask for any file of ours */
        mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
        mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                      params->tls == SQL_TLS_VERIFY ? AUTHENTICATION_VERIFIED : AUTHENTICATION_PLAIN);
        mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "mhad");
        if (params->role)
                mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "mhad_role", params->role);
        set_string(mysql, MYSQL_INIT_COMMAND, params->init);
        set_tls(mysql, params);
        if (params->tls != SQL_TLS_OFF) { /* bounds the handshake, which ends the helper thread */
                unsigned seconds = whole_seconds(deadline);
                mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
        }
        return mysql;
}

Attempt *attempt_new(const SqlParams *params, usec_t deadline)
{
        bool by_name = params->tls == SQL_TLS_VERIFY && params->tls_name && !address_is_literal(params->tls_name);
        Attempt *attempt = ALLOC(Attempt);
        attempt->mysql = new_handle(params, deadline);
        attempt->host = alloc_string(by_name ? params->tls_name : params->address);
        attempt->user = alloc_string(params->user);
        attempt->password = alloc_string(params->password);
        attempt->peer = host_and_port(attempt->host, params->port);
        attempt->port = params->port;
        attempt->tls = params->tls;
        attempt->many = params->many;
        attempt->started = usec_now_monotonic();
        attempt->deadline = deadline;
        attempt->user_timeout = params->user_timeout;
        attempt->phase = by_name ? SQL_PHASE_LOOKUP : SQL_PHASE_CONNECTING;
        return attempt;
}

Attempt *attempt_free(Attempt *attempt)
{
        if (!attempt)
                return NULL;
        if (attempt->mysql) {
                int fd = attempt_fd(attempt);
                if (fd >= 0)
                        (void) shutdown(fd, SHUT_RDWR); /* so that closing a suspended connection waits for nobody */
                mysql_close(attempt->mysql);
        }
        text_wipe(attempt->password);
        free(attempt->host);
        free(attempt->user);
        free(attempt->peer);
        free(attempt);
        return NULL;
}

int attempt_fd(const Attempt *attempt)
{
        return (int) mysql_get_socket(attempt->mysql);
}

SqlPhase attempt_phase(const Attempt *attempt)
{
        return (SqlPhase) atomic_load(&attempt->phase);
}

static bool has_peer(const Attempt *attempt)
{
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        return getpeername(attempt_fd(attempt), (struct sockaddr *) &peer, &length) == 0;
}

/* Several phases may pass in one step. At the end the library has closed a connection that failed: then the error tells
 * whether there was one. */
static bool was_connected(const Attempt *attempt, int wait)
{
        if (wait || attempt->connected)
                return has_peer(attempt);
        unsigned number = mysql_errno(attempt->mysql);
        return number != CR_CONNECTION_ERROR && number != CR_CONN_HOST_ERROR && number != CR_UNKNOWN_HOST;
}

/* Called after each step; gives wait back. */
static int observe(Attempt *attempt, int wait)
{
        SqlPhase phase = attempt_phase(attempt);
        if (phase == SQL_PHASE_LOOKUP && attempt_fd(attempt) >= 0)
                phase = SQL_PHASE_CONNECTING;
        if (phase <= SQL_PHASE_CONNECTING && was_connected(attempt, wait))
                phase = SQL_PHASE_GREETING;
        if (phase == SQL_PHASE_GREETING && mysql_thread_id(attempt->mysql) != 0)
                phase = SQL_PHASE_AUTHENTICATION;
        atomic_store(&attempt->phase, (int) phase);
        return wait;
}

int attempt_start(Attempt *attempt)
{
        int wait = mysql_real_connect_start(&attempt->connected, attempt->mysql, attempt->host, attempt->user,
                                            attempt->password, NULL, attempt->port, NULL,
                                            attempt->many ? CLIENT_MULTI_STATEMENTS : 0);
        int fd = attempt_fd(attempt);
        if (wait && fd >= 0)
                (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
        return observe(attempt, wait);
}

int attempt_continue(Attempt *attempt, int ready)
{
        return observe(attempt, mysql_real_connect_cont(&attempt->connected, attempt->mysql, ready));
}

static int poll_once(Attempt *attempt, int wait)
{
        usec_t left = usec_sub(attempt->deadline, usec_now_monotonic());
        if (left == 0) {
                attempt->timed_out = true;
                return -1;
        }
        short events = (short) ((wait & MYSQL_WAIT_READ ? POLLIN : 0) | (wait & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                                (wait & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
        struct pollfd descriptor = { .fd = attempt_fd(attempt), .events = events };
        int milliseconds = left > USEC_HOUR ? 3600 * 1000 : (int) (left / USEC_MSEC) + 1;
        if (poll(&descriptor, 1, milliseconds) <= 0)
                return 0;
        bool over = descriptor.revents & (POLLERR | POLLHUP);
        return (over || descriptor.revents & POLLIN ? wait & MYSQL_WAIT_READ : 0) |
               (over || descriptor.revents & POLLOUT ? wait & MYSQL_WAIT_WRITE : 0) |
               (descriptor.revents & POLLPRI ? wait & MYSQL_WAIT_EXCEPT : 0);
}

void attempt_run(Attempt *attempt)
{
        int wait = attempt_start(attempt);
        while (wait) {
                int ready = poll_once(attempt, wait);
                if (ready < 0)
                        return;
                if (ready > 0)
                        wait = attempt_continue(attempt, ready);
        }
}

/* The library would send the password, and go on, in clear text to a server without TLS. */
static bool lacks_tls(const Attempt *attempt)
{
        return attempt->tls != SQL_TLS_OFF && !mysql_get_ssl_cipher(attempt->mysql);
}

MYSQL *attempt_take(Attempt *attempt, SqlEvidence *reterr_evidence, Failure *reterr)
{
        SqlPhase phase = attempt_phase(attempt);
        *reterr_evidence = SQL_EVIDENCE_NONE;
        if (attempt->timed_out) {
                *reterr_evidence = phase == SQL_PHASE_LOOKUP ? SQL_EVIDENCE_NONE : SQL_EVIDENCE_SILENCE;
                evidence_describe_timeout(phase, attempt->peer, usec_now_monotonic() - attempt->started, reterr);
                return NULL;
        }
        if (!attempt->connected) {
                unsigned number = mysql_errno(attempt->mysql);
                const char *text = mysql_error(attempt->mysql);
                *reterr_evidence = evidence_of(number, text, 0);
                evidence_describe(*reterr_evidence, phase, attempt->peer, number, text, reterr);
                return NULL;
        }
        if (lacks_tls(attempt)) {
                failure_set(reterr, FAILURE_SQL, CR_SSL_CONNECTION_ERROR,
                            "%s offers no TLS, which the configuration requires", attempt->peer);
                return NULL;
        }
        int fd = attempt_fd(attempt);
        (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* or TLS reads would block */
        /* Not earlier: to a server whose queue of new connections is full a keepalive is a stray packet, to be reset. */
        address_set_keepalive(fd, attempt->user_timeout);
        if (attempt->mysql->passwd) /* kept for reconnecting, which we never do */
                explicit_bzero(attempt->mysql->passwd, strlen(attempt->mysql->passwd));
        mysql_options(attempt->mysql, MYSQL_OPT_CONNECT_ATTR_RESET, NULL); /* kept too, and 8 KiB */
        return TAKE(attempt->mysql);
}
