/* What stands at an SQL port, told from the first packet alone: no account, no protocol. Pure; ssh.h has the probe that
 * reads it, through another host. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "verdict.h"

typedef enum GreetingKind {
        GREETING_SERVER,      /* a server greets: it lives */
        GREETING_ERROR,       /* an error packet (too many connections, host blocked, shutting down): it lives */
        GREETING_REFUSED,     /* the host says that nobody listens */
        GREETING_UNREACHABLE, /* no way to the host, says the network */
        GREETING_TIMEOUT,     /* no answer to the connection attempt: host gone or cut off */
        GREETING_FROZEN,      /* the port is open and not a byte came: the process is stopped or hangs */
        GREETING_CLOSED,      /* closed or reset before the packet was complete */
        GREETING_STRANGE,     /* bytes that no MySQL or MariaDB server sends */
        GREETING_UNASKED,     /* no opinion: it could not be asked (SSH lost, forwarding prohibited, unknown name) */
        _GREETING_MAX,
        _GREETING_INVALID = -22,
} GreetingKind;

const char *greeting_kind_to_string(GreetingKind kind);

typedef struct Greeting {
        GreetingKind kind;
        unsigned error;     /* GREETING_ERROR: the server's number */
        char version[64];   /* GREETING_SERVER */
        uint32_t thread_id; /* GREETING_SERVER */
        bool tls;           /* GREETING_SERVER: it offers TLS */
        bool forbidden;     /* GREETING_UNASKED: sshd does not forward */
        char text[200];     /* one sentence for the operator, without the final period */
} Greeting;

/* Reads the first packet of a connection: 1 when it is complete (*ret is set), 0 when more bytes are needed. */
int greeting_parse(const void *bytes, size_t length, Greeting *ret);
/* As much of a first packet as is ever needed; longer ones are GREETING_STRANGE. */
#define GREETING_SIZE_MAX 1024
/* The process behind the port answered. */
bool greeting_is_alive(const Greeting *greeting);
/* What it counts for as a second opinion. */
TunnelOpinion greeting_opinion(GreetingKind kind);
/* For probes: a result of this kind with a sentence, or the one that an errno of connect(2) or recv(2) stands for. */
void greeting_set(Greeting *greeting, GreetingKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void greeting_from_errno(Greeting *greeting, int error);

typedef void (*greeting_fn)(const Greeting *greeting, void *userdata);
