/* Host names and addresses as text. Owns nothing; must never look a name up. */
#include "host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "text.h"

/* As IPv6, an IPv4 address mapped into it; false for a name. */
static bool parse(const char *text, struct in6_addr *ret)
{
        struct in_addr v4;
        if (inet_pton(AF_INET6, text, ret) == 1)
                return true;
        if (inet_pton(AF_INET, text, &v4) != 1)
                return false;
        *ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
        memcpy(&ret->s6_addr[12], &v4, sizeof v4);
        return true;
}

bool host_is_same(const char *a, const char *b)
{
        struct in6_addr one, other;
        if (text_is_empty(a) || text_is_empty(b))
                return false;
        return strcasecmp(a, b) == 0 || (parse(a, &one) && parse(b, &other) && memcmp(&one, &other, sizeof one) == 0);
}

char *host_canonical(const char *host)
{
        struct in6_addr address;
        char text[INET6_ADDRSTRLEN] = "";
        if (parse(host, &address)) {
                bool v4 = IN6_IS_ADDR_V4MAPPED(&address);
                (void) inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &address.s6_addr[12] : address.s6_addr, text,
                                 sizeof text);
                return alloc_string(text);
        }
        char *name = alloc_string(host);
        for (char *c = name; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        return name;
}

char *host_and_port(const char *host, uint64_t port)
{
        const char *name = host ? host : "";
        return text_format(strchr(name, ':') ? "[%s]:%" PRIu64 : "%s:%" PRIu64, name, port);
}
