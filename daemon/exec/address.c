/* Socket addresses and socket options. Owns nothing; must never ask a name server. */
#include "address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "usec.h"

int address_parse(const char *text, uint16_t port, Address *ret)
{
        if (!text)
                return -EINVAL;
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *found;
        char service[8];
        snprintf(service, sizeof service, "%u", port);
        if (getaddrinfo(text, service, &hints, &found) != 0)
                return -EINVAL;
        memcpy(&ret->socket, found->ai_addr, found->ai_addrlen);
        ret->length = found->ai_addrlen;
        freeaddrinfo(found);
        return 0;
}

bool address_is_literal(const char *text)
{
        Address ignored;
        return address_parse(text, 0, &ignored) == 0;
}

char *address_format(const struct sockaddr *socket, socklen_t length)
{
        char text[NI_MAXHOST];
        if (getnameinfo(socket, length, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
                return NULL;
        return alloc_string(text);
}

static void set(int fd, int level, int option, int value)
{
        (void) setsockopt(fd, level, option, &value, sizeof value);
}

void address_set_keepalive(int fd, uint64_t user_timeout)
{
        (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
        if (user_timeout)
                set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int) (user_timeout / USEC_MSEC));
}
