/* Carries scripts out: the only way in which a procedure touches the world. One Exec a cluster; it keeps a few work
 * connections and SSH sessions to each server while a run needs them. Never blocks; every job ends by its deadline. */
#pragma once

#include "invocation.h"
#include "loop.h"
#include "rescue.h"
#include "resolve.h"
#include "script.h"
#include "server.h"
#include "sql.h"
#include "ssh.h"

typedef struct Exec Exec;
typedef struct ExecJob ExecJob;

typedef struct ExecConfig {
        const Server *servers;
        size_t n_servers;
        const char *sql_user;
        const char *sql_password;
        const char *replication_password; /* what "${replication_password}" stands for */
        SqlTls tls;
        const char *ca_file, *cert_file, *key_file;
        usec_t connect_timeout;      /* of one SQL or SSH connection, within a job's deadline; 0 for 5 s */
        const SshIdentity *identity; /* lent for the life of the Exec; NULL makes SSH items fail */
        const char *known_hosts_file;
        bool accept_unknown_hosts;
        Sudo sudo;
        const ExecHook *hooks;
        size_t n_hooks;
        RescueSettings rescue; /* without a directory rescue items fail */
        Resolver *resolver;    /* lent for the life of the Exec */
} ExecConfig;

/* Everything but what is said to be lent is copied. */
int exec_new(Loop *loop, const ExecConfig *config, Exec **ret);
/* Abandons all jobs and closes everything; takes NULL, returns NULL. */
Exec *exec_free(Exec *exec);
DEFINE_CLEANUP(Exec *, exec_free)

/* Never called before exec_run() has returned. replies belong to the caller from here on (replies_free()). */
typedef void (*exec_done_fn)(Replies *replies, void *userdata);

/* Runs a script's items one after another on a server (NULL for hooks only) before deadline (absolute, monotonic; it is
 * USEC_INFINITY at most and then one hour). When it passes, what is running is abandoned: the SQL connection and the
 * SSH channel are closed, and a statement left behind is killed as soon as the server can be reached again. tag is put
 * in front of every statement as a comment (the mark that exec_quiesce() finds) and must be an identifier. A session in which
 * it has run FLUSH TABLES WITH READ LOCK is its alone until UNLOCK TABLES. */
ExecJob *exec_run(Exec *exec, const char *server, const char *tag, const Script *script, usec_t deadline,
                  exec_done_fn done, void *userdata);
/* Ends a job without calling its done function; takes NULL. */
void exec_abandon(ExecJob *job);
/* The same, but a hook that runs goes on to its end, or to the end of its own time. */
void exec_leave(ExecJob *job);
/* Ends all statements that bear tag and still run on a server (of a daemon that died), then calls done with one reply
 * that succeeded, or with replies->failure set. */
ExecJob *exec_quiesce(Exec *exec, const char *server, const char *tag, usec_t deadline, exec_done_fn done,
                      void *userdata);
/* Connects SQL and SSH to a server in advance, so that a script that follows finds them warm. Failures are silent. */
void exec_warm(Exec *exec, const char *server);
void exec_warm_sql(Exec *exec, const char *server);
/* Ends the copies and feeds of a run; what is saved stays. */
void exec_end_rescue(Exec *exec, const char *tag);
/* After the run with that tag: closes idle connections and sessions, but one where another has a lock, and ends what waits
 * for its word. */
void exec_cool(Exec *exec, const char *tag);
