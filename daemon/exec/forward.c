/* Ports on the host of an SSH session whose connections come here. Owns the listeners and the wires that they give;
 * libssh's callbacks only note what came, as in ssh.c. A port is chosen here and not by sshd: libssh reads the chosen
 * one from whatever packet came last. */
#include <errno.h>
#include <libssh/server.h>
#include <string.h>
#include <sys/random.h>

#include "alloc.h"
#include "ssh-inside.h"

#define PORT_FIRST 20000 /* below those that Linux gives to outgoing connections */
#define PORTS 12768
#define TRIES_MAX 8
#define DELIVERIES_MAX 16
#define WRITE_MAX ((size_t) 64 * 1024)

typedef enum ListenerState {
        LISTENER_WAITING, /* for the session, or for another's request to end */
        LISTENER_ASKING,
        LISTENER_OPEN,
        LISTENER_FAILED,
} ListenerState;

struct SshListener {
        SshLink *link; /* NULL when the link was freed */
        SshListener *previous, *next;
        ListenerState state;
        bool told;
        unsigned n_tries;
        uint16_t port;
        Timer *timer;
        Failure failure;
        ssh_listening_fn listening;
        wire_accept_fn accept;
        void *userdata;
};

struct Pipe {
        Wire wire;
        Loop *loop;
        SshLink *link;         /* NULL when the link was freed */
        SshListener *listener; /* until the wire was given to whom it is for */
        Pipe *previous, *next;
        ssh_channel channel; /* NULL when the session has ended */
        struct ssh_channel_callbacks_struct callbacks;
        Input input;
        bool eof, pending, wants_room;
        Timer *waker; /* when there is no link to do it */
        char peer[64];
};

/* Pipes as wires. */

static ssize_t pipe_read(Wire *wire, void *buffer, size_t size)
{
        Pipe *pipe = (Pipe *) wire;
        Input *input = &pipe->input;
        if (pipe->channel && input_refill(input, pipe->channel))
                ssh_link_stir(pipe->link);
        size_t n = input->bytes.length - input->taken;
        if (n == 0 && !pipe->channel)
                return -ECONNRESET;
        if (n == 0)
                return pipe->eof ? 0 : -EAGAIN;
        if (n > size)
                n = size;
        memcpy(buffer, input->bytes.data + input->taken, n);
        input->taken += n;
        if (input->taken == input->bytes.length) {
                input->taken = 0;
                text_done(&input->bytes);
        }
        return (ssize_t) n;
}

static bool has_room(const Pipe *pipe)
{
        return !(ssh_get_status(pipe->link->session) & SSH_WRITE_PENDING) && ssh_channel_window_size(pipe->channel) > 0;
}

static ssize_t pipe_write(Wire *wire, const void *bytes, size_t length)
{
        Pipe *pipe = (Pipe *) wire;
        if (!pipe->channel)
                return -ECONNRESET;
        if (ssh_channel_is_closed(pipe->channel))
                return -EPIPE;
        int n = 0;
        if (has_room(pipe)) {
                n = ssh_channel_write(pipe->channel, bytes, (uint32_t) (length < WRITE_MAX ? length : WRITE_MAX));
                ssh_link_stir(pipe->link);
        }
        if (n < 0)
                return -ECONNRESET;
        pipe->wants_room = n == 0;
        return n == 0 ? -EAGAIN : n;
}

static void pipe_unlink(Pipe *pipe)
{
        if (pipe->previous)
                pipe->previous->next = pipe->next;
        else if (pipe->link)
                pipe->link->forward.pipes = pipe->next;
        if (pipe->next)
                pipe->next->previous = pipe->previous;
        pipe->previous = pipe->next = NULL;
}

static void drop_channel(Pipe *pipe)
{
        if (!pipe->channel)
                return;
        (void) ssh_remove_channel_callbacks(pipe->channel, &pipe->callbacks);
        ssh_channel_free(pipe->channel);
        pipe->channel = NULL;
}

static void pipe_free(Wire *wire)
{
        Pipe *pipe = (Pipe *) wire;
        SshLink *link = pipe->link;
        drop_channel(pipe);
        pipe_unlink(pipe);
        timer_free(pipe->waker);
        text_done(&pipe->input.bytes);
        free(pipe);
        if (link)
                ssh_link_stir(link);
}

static const WireKind pipe_kind = { pipe_read, pipe_write, pipe_free };

/* What libssh tells. */

static int on_data(ssh_session session, ssh_channel channel, void *data, uint32_t length, int is_stderr, void *userdata)
{
        Pipe *pipe = userdata;
        pipe->pending = true;
        return is_stderr ? (int) length : input_take(&pipe->input, data, length);
}

static void on_end(ssh_session session, ssh_channel channel, void *userdata)
{
        Pipe *pipe = userdata;
        pipe->eof = true;
        pipe->pending = true;
}

static SshListener *listener_of(const SshLink *link, int port)
{
        SshListener *listener = link->forward.listeners;
        while (listener && (listener->state != LISTENER_OPEN || listener->port != port))
                listener = listener->next;
        return listener;
}

static void pipe_new(SshLink *link, SshListener *listener, ssh_channel channel, const char *peer)
{
        Pipe *pipe = ALLOC(Pipe);
        *pipe = (Pipe){ .wire.kind = &pipe_kind, .loop = link->loop, .link = link, .listener = listener };
        pipe->channel = channel;
        pipe->callbacks = (struct ssh_channel_callbacks_struct){
                .userdata = pipe,
                .channel_data_function = on_data,
                .channel_eof_function = on_end,
                .channel_close_function = on_end,
        };
        ssh_callbacks_init(&pipe->callbacks);
        (void) ssh_set_channel_callbacks(channel, &pipe->callbacks);
        strncpy(pipe->peer, peer ? peer : "", sizeof pipe->peer - 1);
        pipe->next = link->forward.pipes;
        if (pipe->next)
                pipe->next->previous = pipe;
        link->forward.pipes = pipe;
}

/* 1 lets libssh refuse. */
static int on_message(ssh_session session, ssh_message message, void *userdata)
{
        SshLink *link = userdata;
        if (ssh_message_type(message) != SSH_REQUEST_CHANNEL_OPEN ||
            ssh_message_subtype(message) != SSH_CHANNEL_FORWARDED_TCPIP)
                return 1;
        SshListener *listener = listener_of(link, ssh_message_channel_request_open_destination_port(message));
        if (!listener)
                return 1;
        ssh_channel channel = ssh_message_channel_request_open_reply_accept(message);
        if (!channel)
                return 1;
        link->last_number++;
        pipe_new(link, listener, channel, ssh_message_channel_request_open_originator(message));
        return 0;
}

void forward_start(SshLink *link)
{
        ssh_set_message_callback(link->session, on_message, link);
}

/* Listeners. */

static void listener_fail(SshListener *listener, const Failure *failure)
{
        listener->failure = *failure;
        listener->state = LISTENER_FAILED;
        if (listener->link && listener->link->forward.asking == listener)
                listener->link->forward.asking = NULL;
        timer_stop(listener->timer);
        if (listener->link)
                ssh_link_schedule(listener->link);
}

static void on_deadline(void *userdata)
{
        SshListener *listener = userdata;
        Failure failure;
        failure_set(&failure, FAILURE_TIMEOUT, 0, "sshd on %s did not open a port in time", listener->link->name);
        listener_fail(listener, &failure);
}

static uint16_t random_port(void)
{
        uint16_t number = 0;
        (void) !getrandom(&number, sizeof number, 0);
        return (uint16_t) (PORT_FIRST + number % PORTS);
}

static void want_cancel(SshLink *link, uint16_t port)
{
        ALLOC_GROW(link->forward.cancels, link->forward.n_cancels);
        link->forward.cancels[link->forward.n_cancels++] = port;
}

static bool begin_request(SshLink *link)
{
        Forward *forward = &link->forward;
        if (forward->n_cancels > 0) {
                forward->request = REQUEST_CANCEL;
                forward->port = forward->cancels[--forward->n_cancels];
                return true;
        }
        for (SshListener *listener = forward->listeners; listener; listener = listener->next) {
                if (listener->state != LISTENER_WAITING)
                        continue;
                forward->request = REQUEST_LISTEN;
                forward->asking = listener;
                forward->port = listener->port = random_port();
                listener->state = LISTENER_ASKING;
                listener->n_tries++;
                return true;
        }
        return false;
}

static void end_listen(SshLink *link, bool good)
{
        SshListener *listener = link->forward.asking;
        link->forward.asking = NULL;
        if (!listener) { /* nobody wants it any more */
                if (good)
                        want_cancel(link, link->forward.port);
        } else if (good) {
                listener->state = LISTENER_OPEN;
                timer_stop(listener->timer);
                ssh_link_schedule(link);
        } else if (listener->n_tries < TRIES_MAX) {
                listener->state = LISTENER_WAITING; /* the port was taken, perhaps */
        } else {
                Failure failure;
                failure_set(&failure, FAILURE_SSH, 0,
                            "sshd on %s does not open a port for us (AllowTcpForwarding, PermitListen)", link->name);
                listener_fail(listener, &failure);
        }
}

bool forward_step(SshLink *link)
{
        Forward *forward = &link->forward;
        if (link->state != LINK_UP || (forward->request == REQUEST_NONE && !begin_request(link)))
                return false;
        bool listens = forward->request == REQUEST_LISTEN;
        int r = listens ? ssh_channel_listen_forward(link->session, "127.0.0.1", forward->port, NULL)
                        : ssh_channel_cancel_forward(link->session, "127.0.0.1", forward->port);
        if (r == SSH_AGAIN)
                return false;
        forward->request = REQUEST_NONE;
        if (listens)
                end_listen(link, r == SSH_OK);
        return true;
}

SshListener *ssh_link_listen(SshLink *link, usec_t deadline, ssh_listening_fn listening, wire_accept_fn accept,
                             void *userdata)
{
        SshListener *listener = ALLOC(SshListener);
        *listener = (SshListener){ .link = link, .listening = listening, .accept = accept, .userdata = userdata };
        listener->timer = timer_new(link->loop, USEC_MSEC, on_deadline, listener);
        timer_set(listener->timer, deadline);
        listener->next = link->forward.listeners;
        if (listener->next)
                listener->next->previous = listener;
        link->forward.listeners = listener;
        if (link->state == LINK_DEAD)
                listener_fail(listener, &link->failure);
        else
                ssh_link_stir(link);
        return listener;
}

static void listener_unlink(SshListener *listener)
{
        if (listener->previous)
                listener->previous->next = listener->next;
        else if (listener->link)
                listener->link->forward.listeners = listener->next;
        if (listener->next)
                listener->next->previous = listener->previous;
        listener->previous = listener->next = NULL;
}

/* Connections that nobody has seen yet go with their listener. */
static void drop_unseen(SshLink *link, const SshListener *listener)
{
        for (Pipe *pipe = link->forward.pipes; pipe;) {
                Pipe *next = pipe->next;
                if (pipe->listener == listener) {
                        drop_channel(pipe);
                        pipe_unlink(pipe);
                        text_done(&pipe->input.bytes);
                        free(pipe);
                }
                pipe = next;
        }
}

SshListener *ssh_listener_free(SshListener *listener)
{
        if (!listener)
                return NULL;
        SshLink *link = listener->link;
        if (link) {
                drop_unseen(link, listener);
                if (listener->state == LISTENER_OPEN && link->state == LINK_UP)
                        want_cancel(link, listener->port);
                if (link->forward.asking == listener)
                        link->forward.asking = NULL;
        }
        listener_unlink(listener);
        timer_free(listener->timer);
        free(listener);
        if (link)
                ssh_link_stir(link);
        return NULL;
}

/* Calling those who wait. */

static bool listener_is_due(const SshListener *listener)
{
        return !listener->told && (listener->state == LISTENER_OPEN || listener->state == LISTENER_FAILED);
}

static SshListener *due_listener(const SshLink *link)
{
        SshListener *listener = link->forward.listeners;
        while (listener && !listener_is_due(listener))
                listener = listener->next;
        return listener;
}

static bool pipe_is_due(Pipe *pipe)
{
        if (pipe->listener)
                return pipe->listener->told;
        if (pipe->wants_room && pipe->channel && has_room(pipe)) {
                pipe->wants_room = false;
                pipe->pending = true;
        }
        return pipe->pending && pipe->wire.fn;
}

static Pipe *due_pipe(const SshLink *link)
{
        Pipe *pipe = link->forward.pipes;
        while (pipe && !pipe_is_due(pipe))
                pipe = pipe->next;
        return pipe;
}

bool forward_is_due(SshLink *link)
{
        return due_listener(link) || due_pipe(link);
}

static void tell_listener(SshListener *listener)
{
        Failure failure = listener->failure;
        bool failed = listener->state == LISTENER_FAILED;
        listener->told = true;
        listener->listening(listener, failed ? 0 : listener->port, failed ? &failure : NULL, listener->userdata);
}

static void tell_pipe(Pipe *pipe)
{
        SshListener *listener = pipe->listener;
        if (!listener) {
                pipe->pending = false;
                pipe->wire.fn(pipe->wire.userdata);
                return;
        }
        char peer[sizeof pipe->peer];
        memcpy(peer, pipe->peer, sizeof peer);
        pipe->listener = NULL;
        listener->accept(&pipe->wire, peer, listener->userdata);
}

/* Not endlessly: a wire whose reader fills the window again and again leaves the turn to others. */
void forward_deliver(SshLink *link)
{
        for (int i = 0; i < DELIVERIES_MAX && !link->doomed; i++) {
                SshListener *listener = due_listener(link);
                Pipe *pipe = listener ? NULL : due_pipe(link);
                if (listener)
                        tell_listener(listener);
                else if (pipe)
                        tell_pipe(pipe);
                else
                        return;
        }
}

/* The end of the session and of the link. */

void forward_end(SshLink *link)
{
        Forward *forward = &link->forward;
        for (Pipe *pipe = forward->pipes; pipe; pipe = pipe->next) {
                drop_channel(pipe);
                pipe->pending = true;
        }
        forward->request = REQUEST_NONE;
        forward->asking = NULL;
        forward->n_cancels = 0;
        for (SshListener *listener = forward->listeners; listener; listener = listener->next)
                if (listener->state != LISTENER_FAILED)
                        listener_fail(listener, &link->failure);
}

static void on_wake(void *userdata)
{
        Pipe *pipe = userdata;
        pipe->waker = NULL;
        if (pipe->wire.fn)
                pipe->wire.fn(pipe->wire.userdata);
}

void forward_orphan(SshLink *link)
{
        Forward *forward = &link->forward;
        for (SshListener *listener = forward->listeners; listener; listener = listener->next)
                drop_unseen(link, listener);
        while (forward->listeners) {
                SshListener *listener = forward->listeners;
                listener_unlink(listener);
                listener->link = NULL;
        }
        while (forward->pipes) {
                Pipe *pipe = forward->pipes;
                pipe_unlink(pipe);
                pipe->link = NULL;
                pipe->waker = loop_defer(pipe->loop, on_wake, pipe);
        }
        free(forward->cancels);
        *forward = (Forward){ 0 };
}
