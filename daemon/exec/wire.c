/* Byte streams over TCP sockets, and a listener for them. Each owns its descriptor and its Io; must never block. */
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "alloc.h"

#define BACKLOG 16

void wire_watch(Wire *wire, wire_fn fn, void *userdata)
{
        wire->fn = fn;
        wire->userdata = userdata;
}

ssize_t wire_read(Wire *wire, void *buffer, size_t size)
{
        return wire->kind->read(wire, buffer, size);
}

ssize_t wire_write(Wire *wire, const void *bytes, size_t length)
{
        return wire->kind->write(wire, bytes, length);
}

Wire *wire_free(Wire *wire)
{
        if (wire)
                wire->kind->free(wire);
        return NULL;
}

/* Sockets. */

typedef struct Socket {
        Wire wire;
        int fd;
        Io *io;
        bool ended; /* the other side sends no more: told once */
} Socket;

static void update_events(Socket *socket, bool wants_room)
{
        io_set_events(socket->io, (socket->ended ? 0 : EPOLLIN) | (wants_room ? (uint32_t) EPOLLOUT : 0));
}

static ssize_t socket_read(Wire *wire, void *buffer, size_t size)
{
        Socket *socket = (Socket *) wire;
        ssize_t n = recv(socket->fd, buffer, size, MSG_DONTWAIT);
        if (n < 0)
                return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
        if (n == 0 && size > 0) {
                socket->ended = true;
                update_events(socket, false);
        }
        return n;
}

static ssize_t socket_write(Wire *wire, const void *bytes, size_t length)
{
        Socket *socket = (Socket *) wire;
        ssize_t n = send(socket->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)
                return n;
        if (errno != EAGAIN && errno != EINTR && errno != EWOULDBLOCK)
                return -errno;
        update_events(socket, true);
        return -EAGAIN;
}

static void socket_free(Wire *wire)
{
        Socket *socket = (Socket *) wire;
        io_free(socket->io);
        close(socket->fd);
        free(socket);
}

static const WireKind socket_kind = { socket_read, socket_write, socket_free };

static void on_io(int fd, uint32_t revents, void *userdata)
{
        Socket *socket = userdata;
        update_events(socket, false); /* a write that finds no room asks again */
        if (socket->wire.fn)
                socket->wire.fn(socket->wire.userdata);
}

Wire *wire_from_socket(Loop *loop, int fd)
{
        Socket *made = ALLOC(Socket);
        *made = (Socket){ .wire.kind = &socket_kind, .fd = fd };
        int on = 1;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        address_set_keepalive(fd, 0); /* no user timeout: a replica may leave its window closed for long */
        made->io = io_new(loop, fd, EPOLLIN, on_io, made);
        return &made->wire;
}

/* The listener. */

struct WireListener {
        Loop *loop;
        int fd;
        Io *io;
        uint16_t port;
        wire_accept_fn accept;
        void *userdata;
};

static void on_connection(int fd, uint32_t revents, void *userdata)
{
        WireListener *listener = userdata;
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        int connected = accept4(fd, (struct sockaddr *) &peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connected < 0)
                return;
        CLEANUP(mem_free) char *name = address_format((struct sockaddr *) &peer, length);
        listener->accept(wire_from_socket(listener->loop, connected), name, listener->userdata);
}

static int open_port(const Address *address, int *ret)
{
        int on = 1;
        int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (const struct sockaddr *) &address->socket, address->length) < 0 || listen(fd, BACKLOG) < 0) {
                int error = errno;
                close(fd);
                return -error;
        }
        *ret = fd;
        return 0;
}

static uint16_t bound_port(int fd)
{
        struct sockaddr_storage bound = { 0 };
        socklen_t length = sizeof bound;
        (void) getsockname(fd, (struct sockaddr *) &bound, &length);
        return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &bound)->sin6_port
                                                 : ((struct sockaddr_in *) &bound)->sin_port);
}

int wire_listen(Loop *loop, const char *address, uint16_t port, wire_accept_fn accept, void *userdata,
                WireListener **ret, Failure *reterr)
{
        Address parsed;
        int fd = -1;
        if (address_parse(address, port, &parsed) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is no IP address to listen at", address);
        int r = open_port(&parsed, &fd);
        if (r < 0)
                return failure_errno(reterr, -r, "cannot listen at %s, port %u", address, port);
        WireListener *listener = ALLOC(WireListener);
        *listener = (WireListener){ .loop = loop, .fd = fd, .accept = accept, .userdata = userdata };
        listener->port = bound_port(fd);
        listener->io = io_new(loop, fd, EPOLLIN, on_connection, listener);
        *ret = listener;
        return 0;
}

uint16_t wire_listener_port(const WireListener *listener)
{
        return listener->port;
}

WireListener *wire_listener_free(WireListener *listener)
{
        if (!listener)
                return NULL;
        io_free(listener->io);
        close(listener->fd);
        free(listener);
        return NULL;
}
