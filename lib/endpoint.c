/* Addresses with ports. Pure; must never look a name up. */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static int parse_port(const char *text, in_port_t *ret)
{
        size_t digits = strspn(text, "0123456789");
        unsigned long port = digits > 0 && digits <= 5 && !text[digits] ? strtoul(text, NULL, 10) : 0;
        if (port == 0 || port > UINT16_MAX)
                return -EINVAL;
        *ret = htons((uint16_t) port);
        return 0;
}

int endpoint_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length)
{
        struct sockaddr_storage address = { 0 };
        struct sockaddr_in *v4 = (struct sockaddr_in *) &address;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &address;
        const char *colon = strrchr(text, ':');
        if (!colon)
                return -EINVAL;
        size_t length = (size_t) (colon - text);
        bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
        CLEANUP(mem_free) char *host = bracketed ? alloc_string_n(text + 1, length - 2) : alloc_string_n(text, length);
        if (parse_port(colon + 1, bracketed ? &v6->sin6_port : &v4->sin_port) < 0)
                return -EINVAL;
        if (inet_pton(bracketed ? AF_INET6 : AF_INET, host,
                      bracketed ? (void *) &v6->sin6_addr : (void *) &v4->sin_addr) != 1)
                return -EINVAL;
        address.ss_family = bracketed ? AF_INET6 : AF_INET;
        *ret = address;
        *ret_length = bracketed ? sizeof *v6 : sizeof *v4;
        return 0;
}

bool endpoint_is_loopback(const char *text)
{
        struct sockaddr_storage address;
        socklen_t length;
        if (endpoint_parse(text, &address, &length) < 0)
                return false;
        if (address.ss_family == AF_INET)
                return ntohl(((const struct sockaddr_in *) &address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) &address)->sin6_addr);
}
