/* IP literals and socket addresses; never a name lookup. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct Address {
        struct sockaddr_storage socket;
        socklen_t length;
} Address;

/* -EINVAL when text is no IPv4 or IPv6 literal. */
int address_parse(const char *text, uint16_t port, Address *ret);
bool address_is_literal(const char *text);
/* "10.0.0.1" and "fe80::1%eth0"; free with free(). */
char *address_format(const struct sockaddr *socket, socklen_t length);
/* Keepalive of 1 s, 1 s, 3 times on a TCP socket, and TCP_USER_TIMEOUT unless it is 0. Close-on-exec too. */
void address_set_keepalive(int fd, uint64_t user_timeout);
