/* What ssh.c and forward.c share of a session. */
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "ssh.h"
#include "text.h"

typedef enum LinkState {
        LINK_CONNECT, /* TCP and key exchange */
        LINK_LOGIN,
        LINK_UP,
        LINK_DEAD,
} LinkState;

/* Listeners and the connections that came to them (forward.c). */
typedef struct Pipe Pipe;
typedef struct Forward {
        SshListener *listeners;
        Pipe *pipes;
        /* libssh has one global request a session at a time: this one is under way. */
        enum { REQUEST_NONE, REQUEST_LISTEN, REQUEST_CANCEL } request;
        uint16_t port;       /* of it */
        SshListener *asking; /* whose it is; NULL when that one is gone */
        uint16_t *cancels;   /* ports to be taken away */
        size_t n_cancels;
} Forward;

struct SshLink {
        Loop *loop;
        LinkState state;
        SshStage stage;
        char *name, *address, *user, *known_hosts_file;
        uint16_t port;
        bool accept_unknown;
        const SshIdentity *identity;
        const char *lookup_name;

        ssh_session session;
        ssh_event event;
        uint32_t last_number; /* of channels */
        bool warm;            /* a command has run: sshd sends without Nagle's delay from now on */
        Io *io;
        Timer *timer;    /* the deadline of connecting */
        Timer *retry;    /* armed while no channel is to be opened */
        Timer *reporter; /* deferred */
        bool held;
        bool turning;    /* in on_io(), which hands over by itself when it is done */
        bool delivering; /* whom it calls may free it: then it is doomed, and deliver() frees the rest */
        bool doomed;
        usec_t began;

        SshTask *tasks;
        size_t n_tasks, n_open;
        Forward forward;
        Failure failure;
        bool announced; /* ready was called */
        ssh_link_ready_fn ready;
        ssh_link_lost_fn lost;
        void *userdata;
};

/* After a call of libssh from outside of the loop's turn: it may have taken in what concerns others. */
void ssh_link_stir(SshLink *link);
/* Something is to be handed over, soon. */
void ssh_link_schedule(SshLink *link);

/* Bytes of a channel on their way to whom they are for. libssh hands over all that it has each time; what is not taken
 * stays with it, and the host waits. */
#define INPUT_MAX ((size_t) 256 * 1024)
typedef struct Input {
        Text bytes;
        size_t taken; /* of them */
        bool left;    /* libssh has more */
        bool held;    /* take nothing */
} Input;
int input_take(Input *input, const void *data, uint32_t length);
/* Gets what was left; true when there was something. */
bool input_refill(Input *input, ssh_channel channel);

/* Steps listeners, and says whether one got on. */
bool forward_step(SshLink *link);
/* Whether somebody is to be called. */
bool forward_is_due(SshLink *link);
/* Calls them, until the link is doomed by one of them. */
void forward_deliver(SshLink *link);
void forward_start(SshLink *link);
/* The session ends: before its libssh session is freed. */
void forward_end(SshLink *link);
/* The link itself is freed. */
void forward_orphan(SshLink *link);
