/* One SSH session to a host, as a state machine on libssh that never blocks: commands, probes of an SQL port from that
 * host, and a port on that host whose connections come here. (The prefix is ssh_link because ssh_ alone belongs to
 * libssh.)
 *
 * Callbacks come from the loop, never from inside the call that asked for them, and may free the link. */
#pragma once

#include "failure.h"
#include "greeting.h"
#include "loop.h"
#include "wire.h"

typedef struct SshIdentity SshIdentity; /* a private key, read once; shared by all links, which borrow it */

/* Reads a key file; one with a passphrase is refused. */
int ssh_identity_load(const char *file, SshIdentity **ret, Failure *reterr);
SshIdentity *ssh_identity_free(SshIdentity *identity);
DEFINE_CLEANUP(SshIdentity *, ssh_identity_free)

typedef struct SshParams {
        const char *name;    /* as the operator wrote it: looked up in known_hosts before the address */
        const char *address; /* an IP literal */
        uint16_t port;
        const char *user;
        const SshIdentity *identity; /* lent for the life of the link */
        const char *known_hosts_file;
        bool accept_unknown; /* a host that is not in the file is let in; one whose key has changed never is */
} SshParams;

typedef struct SshLink SshLink;
typedef struct SshTask SshTask;

/* failure is NULL when the session is up. Called once. */
typedef void (*ssh_link_ready_fn)(SshLink *link, const Failure *failure, void *userdata);
/* The session has ended by itself; its tasks fail for the same reason. Called at most once, after ready. */
typedef void (*ssh_link_lost_fn)(SshLink *link, const Failure *failure, void *userdata);

/* Connects before deadline (absolute). Parameters are copied. ready and lost may be NULL. */
SshLink *ssh_link_new(Loop *loop, const SshParams *params, usec_t deadline, ssh_link_ready_fn ready,
                      ssh_link_lost_fn lost, void *userdata);
/* Closes in any state, at once, without callbacks, neither its own nor its tasks'; takes NULL. */
SshLink *ssh_link_free(SshLink *link);
DEFINE_CLEANUP(SshLink *, ssh_link_free)

/* How far a link has come, or had come when it failed. */
typedef enum SshStage {
        SSH_STAGE_CONNECT, /* TCP and key exchange */
        SSH_STAGE_HOST_KEY,
        SSH_STAGE_LOGIN,
        SSH_STAGE_UP,
} SshStage;
SshStage ssh_link_stage(const SshLink *link);
bool ssh_link_is_up(const SshLink *link);     /* connected and not lost */
bool ssh_link_is_broken(const SshLink *link); /* failed or lost: only ssh_link_free() is left to do */
size_t ssh_link_n_tasks(const SshLink *link); /* under way, queued or not yet reported */

typedef struct SshResult {
        Failure failure;       /* FAILURE_NONE when the command ran to its end, whatever its status */
        int exit_status;       /* 128 + signal when a signal ended it; -1 when it did not end */
        const char *out, *err; /* at most 64 KiB of each; lent */
        bool cut;              /* there was more */
} SshResult;

typedef void (*ssh_result_fn)(const SshResult *result, void *userdata);

/* Tasks may be given at any time: they wait for the session to be up and for one of its 8 slots. A task is gone when
 * its function has been called, which happens by deadline (absolute). */
SshTask *ssh_link_exec(SshLink *link, const char *command, usec_t deadline, ssh_result_fn done, void *userdata);
/* A command whose standard output is handed over as it comes, in order and in memory of at most 4 MiB, however much it
 * is. It fails when nothing has come for so long as patience; a pause does not count. result->out is empty. */
typedef void (*ssh_bytes_fn)(const void *bytes, size_t length, void *userdata);
SshTask *ssh_link_stream(SshLink *link, const char *command, usec_t patience, ssh_bytes_fn on_bytes, ssh_result_fn done,
                         void *userdata);
/* The same, of a command whose standard input stays open until it is told so much (once, at any time) and that is all. */
SshTask *ssh_link_talk(SshLink *link, const char *command, usec_t patience, ssh_bytes_fn on_bytes, ssh_result_fn done,
                       void *userdata);
void ssh_task_tell(SshTask *task, const char *words);
/* No bytes, and no end, until it goes on: the host waits with the rest. Both may be called by on_bytes. */
void ssh_task_pause(SshTask *task);
void ssh_task_resume(SshTask *task);
/* What stands at host:port as seen from there. host may be a name: the host itself resolves it. */
SshTask *ssh_link_probe(SshLink *link, const char *host, uint16_t port, usec_t deadline, greeting_fn done,
                        void *userdata);
/* Ends a task without calling its function; takes NULL. A command goes on running on the host. */
SshTask *ssh_task_abandon(SshTask *task);

/* A port on 127.0.0.1 of the host: connections to it come here through the session. Every user of that host can reach
 * it, so what is spoken must begin with a login. */
typedef struct SshListener SshListener;
/* failure is NULL when the port is open. Called once, by deadline (absolute) at the latest. When the session ends later,
 * the listener is dead without a word: ssh_link_lost_fn tells. */
typedef void (*ssh_listening_fn)(SshListener *listener, uint16_t port, const Failure *failure, void *userdata);
SshListener *ssh_link_listen(SshLink *link, usec_t deadline, ssh_listening_fn listening, wire_accept_fn accept,
                             void *userdata);
/* Takes the port away; takes NULL. The wires that it has given live on, until the session ends (-ECONNRESET then). The
 * link may be freed before. */
SshListener *ssh_listener_free(SshListener *listener);
DEFINE_CLEANUP(SshListener *, ssh_listener_free)
