/* A two-way stream of bytes that never blocks, whatever carries it: an accepted TCP connection (here) or a connection
 * that came through an SSH session (ssh.h). */
#pragma once

#include <sys/types.h>

#include "failure.h"
#include "loop.h"

typedef struct Wire Wire;

/* From the loop: bytes may have come, the other side may have ended, or there is room again after a write that gave
 * -EAGAIN. It must read until wire_read() has nothing more, and may free the wire. */
typedef void (*wire_fn)(void *userdata);
void wire_watch(Wire *wire, wire_fn fn, void *userdata);

/* How many bytes, 0 when the other side will send no more, -EAGAIN when nothing is there yet; any other negative errno
 * when the connection is broken. */
ssize_t wire_read(Wire *wire, void *buffer, size_t size);
/* How many bytes were taken (at least one), or -EAGAIN when there is no room; any other negative errno when the
 * connection is broken. */
ssize_t wire_write(Wire *wire, const void *bytes, size_t length);
/* Closes it, after what was written; takes NULL, returns NULL. */
Wire *wire_free(Wire *wire);
DEFINE_CLEANUP(Wire *, wire_free)

/* A connected socket, which belongs to the wire from here on. */
Wire *wire_from_socket(Loop *loop, int fd);

/* Listens at an IP literal (port 0: any, see wire_listener_port()). accept gets every connection and owns it; peer is
 * the other side's address as a literal. */
typedef struct WireListener WireListener;
typedef void (*wire_accept_fn)(Wire *wire, const char *peer, void *userdata);
int wire_listen(Loop *loop, const char *address, uint16_t port, wire_accept_fn accept, void *userdata,
                WireListener **ret, Failure *reterr);
uint16_t wire_listener_port(const WireListener *listener);
WireListener *wire_listener_free(WireListener *listener); /* the wires that it has given live on */
DEFINE_CLEANUP(WireListener *, wire_listener_free)

/* For those who make wires of another kind: a Wire is the first member of theirs. */
typedef struct WireKind {
        ssize_t (*read)(Wire *wire, void *buffer, size_t size);
        ssize_t (*write)(Wire *wire, const void *bytes, size_t length);
        void (*free)(Wire *wire);
} WireKind;
struct Wire {
        const WireKind *kind;
        wire_fn fn;
        void *userdata;
};
