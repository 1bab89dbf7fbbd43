/* One connection to a server's SQL port, as a state machine that never blocks: plain connections run on libmariadb's
 * non-blocking calls; one with TLS is made by a helper thread (the handshake blocks) and used without blocking then.
 *
 * Callbacks come from the loop, never from inside the call that asked for them, and may free the connection. */
#pragma once

#include "failure.h"
#include "loop.h"
#include "script.h"
#include "tls.h"

/* How far a connection has come; after a failure, how far it had come. */
typedef enum SqlPhase {
        SQL_PHASE_LOOKUP,         /* SQL_TLS_VERIFY with a name only: libmariadb asks the resolver itself */
        SQL_PHASE_CONNECTING,     /* no TCP connection yet */
        SQL_PHASE_GREETING,       /* the port is open; the server has not said a word (a frozen one never does) */
        SQL_PHASE_AUTHENTICATION, /* it has greeted us: TLS, login, initial statement */
        SQL_PHASE_IDLE,           /* connected, nothing asked */
        SQL_PHASE_QUERY,          /* asked, not answered */
        _SQL_PHASE_MAX,
} SqlPhase;

const char *sql_phase_to_string(SqlPhase phase);

/* What a failure says about the server. Before the greeting (SQL_PHASE_GREETING) neither silence nor a reset nor an end
 * proves that it is dead: a server whose queue of new connections is full looks the same. */
typedef enum SqlEvidence {
        SQL_EVIDENCE_NONE,        /* nothing: no failure, or one of our own (TLS settings, no descriptors, cancelled) */
        SQL_EVIDENCE_ERROR,       /* it answered with an error, so it lives (number in Failure.code) */
        SQL_EVIDENCE_REFUSED,     /* its host says that nobody listens */
        SQL_EVIDENCE_RESET,       /* the connection was reset */
        SQL_EVIDENCE_EOF,         /* the connection was closed without a word, as the kernel does for a dead process */
        SQL_EVIDENCE_UNREACHABLE, /* the network says that there is no way to the host */
        SQL_EVIDENCE_SILENCE,     /* nothing came back until the deadline, or until TCP gave up */
        _SQL_EVIDENCE_MAX,
} SqlEvidence;

const char *sql_evidence_to_string(SqlEvidence evidence);

typedef struct SqlParams {
        const char *address; /* an IP literal */
        uint16_t port;
        const char *user;
        const char *password; /* NULL for none */
        SqlTls tls;
        const char *ca_file, *cert_file, *key_file; /* each may be NULL; without a ca_file a connection takes 900 kB */
        /* SQL_TLS_VERIFY: the name in the certificate, NULL for the address. libmariadb takes it for the host to
         * connect to, so the helper thread resolves it again; SQL_PHASE_LOOKUP tells when that is where it hangs. */
        const char *tls_name;
        const char *init;    /* one statement that is run as part of connecting, or NULL; SQL_INIT is one */
        bool many;           /* sql_query_many() may be used */
        const char *role;    /* connection attribute mhad_role ("watch", "work"), or NULL */
        usec_t user_timeout; /* TCP_USER_TIMEOUT; 0 leaves it off. Keepalive is always 1 s, 1 s, 3 times */
} SqlParams;

/* What text_quote_sql() relies on, and an end for connections whose daemon is cut off. */
#define SQL_INIT "SET SESSION sql_mode = '', wait_timeout = 600"

typedef struct Sql Sql;

/* failure is NULL when it is connected. Called once. */
typedef void (*sql_connected_fn)(Sql *sql, const Failure *failure, void *userdata);
/* A connection with no query running has ended; sql_evidence() says how. Called at most once, after connected. */
typedef void (*sql_lost_fn)(Sql *sql, const Failure *failure, void *userdata);
/* The reply is lent: what is taken out of it (columns, cells) must be set to NULL and 0 in it. An error of the server
 * leaves the connection usable; anything else (codes from 2000 to 2999, a timeout) leaves it dead: sql_is_usable(). */
typedef void (*sql_reply_fn)(Sql *sql, Reply *reply, void *userdata);

/* Connects before deadline (absolute). Parameters are copied. lost may be NULL. */
Sql *sql_connect(Loop *loop, const SqlParams *params, usec_t deadline, sql_connected_fn connected, sql_lost_fn lost,
                 void *userdata);
/* Closes in any state, at once, without callbacks; takes NULL. A running query goes on in the server: its
 * sql_thread_id() is what to KILL. */
Sql *sql_free(Sql *sql);
DEFINE_CLEANUP(Sql *, sql_free)

/* One at a time, on a connected one. When deadline passes the reply is FAILURE_TIMEOUT and the connection is dead. */
void sql_query(Sql *sql, const char *statement, usec_t deadline, sql_reply_fn done, void *userdata);
/* Several statements in one packet, n of them, separated by semicolons: the answers come together. After one that fails
 * those behind it are not run. For questions only: the server goes on to the next statement whether or not the daemon still
 * lives, so nothing could be told to be over. */
typedef void (*sql_replies_fn)(Sql *sql, Replies *replies, void *userdata); /* lent, as above */
void sql_query_many(Sql *sql, const char *statements, size_t n, usec_t deadline, sql_replies_fn done, void *userdata);

bool sql_is_usable(const Sql *sql);       /* connected and idle */
SqlPhase sql_phase(const Sql *sql);       /* where it is, or where it failed */
SqlEvidence sql_evidence(const Sql *sql); /* after a failure */
uint64_t sql_thread_id(const Sql *sql);   /* the server's id of this connection; 0 before it greeted us */
const char *sql_cipher(const Sql *sql);   /* of TLS; NULL without */
