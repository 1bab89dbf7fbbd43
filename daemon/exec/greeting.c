/* The first packet of an SQL port, parsed. Pure; owns nothing. */
#include "greeting.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "enum.h"

#define HEADER 4
#define CAPABILITY_TLS 0x0800

static const char *const kind_names[_GREETING_MAX] = {
        [GREETING_SERVER] = "server",           [GREETING_ERROR] = "error",     [GREETING_REFUSED] = "refused",
        [GREETING_UNREACHABLE] = "unreachable", [GREETING_TIMEOUT] = "timeout", [GREETING_FROZEN] = "frozen",
        [GREETING_CLOSED] = "closed",           [GREETING_STRANGE] = "strange", [GREETING_UNASKED] = "unasked",
};
ENUM_TO_STRING(greeting_kind, GreetingKind, kind_names)

TunnelOpinion greeting_opinion(GreetingKind kind)
{
        switch (kind) {
        case GREETING_SERVER:
                return TUNNEL_SAYS_GREETING;
        case GREETING_ERROR:
                return TUNNEL_SAYS_ERROR;
        case GREETING_REFUSED:
        case GREETING_CLOSED:
                return TUNNEL_SAYS_REFUSED;
        case GREETING_UNREACHABLE:
        case GREETING_TIMEOUT:
                return TUNNEL_SAYS_SILENT;
        case GREETING_FROZEN:
                return TUNNEL_SAYS_FROZEN;
        case GREETING_STRANGE:
        case GREETING_UNASKED:
        case _GREETING_MAX:
        case _GREETING_INVALID:
                break;
        }
        return TUNNEL_SAYS_NOTHING;
}

bool greeting_is_alive(const Greeting *greeting)
{
        return greeting->kind == GREETING_SERVER || greeting->kind == GREETING_ERROR;
}

void greeting_set(Greeting *greeting, GreetingKind kind, const char *format, ...)
{
        *greeting = (Greeting){ .kind = kind };
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(greeting->text, sizeof greeting->text, format, arguments);
        va_end(arguments);
}

static uint32_t little_endian(const uint8_t *bytes, size_t n)
{
        uint32_t value = 0;
        for (size_t i = 0; i < n; i++)
                value |= (uint32_t) bytes[i] << (8 * i);
        return value;
}

/* A server's text may hold anything; what goes to the operator is printable. */
static void copy_text(char *to, size_t size, const uint8_t *from, size_t length)
{
        size_t n = length < size - 1 ? length : size - 1;
        for (size_t i = 0; i < n; i++)
                to[i] = from[i] >= 0x20 && from[i] != 0x7f ? (char) from[i] : '?';
        to[n] = '\0';
}

static void parse_error(const uint8_t *payload, size_t length, Greeting *ret)
{
        unsigned number = length >= 3 ? (unsigned) little_endian(payload + 1, 2) : 0;
        size_t at = length >= 3 ? 3 : length;
        if (length >= at + 6 && payload[at] == '#')
                at += 6;
        char text[160];
        copy_text(text, sizeof text, payload + at, length - at);
        greeting_set(ret, GREETING_ERROR, "the server answers with error %u: %s", number, text);
        ret->error = number;
}

/* Version, NUL, thread id (4), scramble (8), filler (1), capabilities (2). */
static void parse_server(const uint8_t *payload, size_t length, Greeting *ret)
{
        const uint8_t *end = memchr(payload + 1, '\0', length - 1);
        size_t version_length = end ? (size_t) (end - payload) - 1 : 0;
        if (!end || version_length == 0 || length < 1 + version_length + 1 + 15) {
                greeting_set(ret, GREETING_STRANGE, "the greeting is malformed");
                return;
        }
        const uint8_t *version = payload + 1;
        if (version_length > 6 && memcmp(version, "5.5.5-", 6) == 0) { /* MariaDB's disguise for old replicas */
                version += 6;
                version_length -= 6;
        }
        char name[sizeof ret->version];
        copy_text(name, sizeof name, version, version_length);
        greeting_set(ret, GREETING_SERVER, "a server of version %s greets", name);
        memcpy(ret->version, name, sizeof name);
        ret->thread_id = little_endian(end + 1, 4);
        ret->tls = little_endian(end + 1 + 13, 2) & CAPABILITY_TLS;
}

int greeting_parse(const void *bytes, size_t length, Greeting *ret)
{
        const uint8_t *packet = bytes;
        if (length < HEADER + 1)
                return 0;
        size_t payload = little_endian(packet, 3);
        uint8_t type = packet[HEADER];
        bool plausible = packet[3] == 0 && payload > 0 && payload <= GREETING_SIZE_MAX - HEADER;
        if (!plausible || (type != 10 && type != 0xff)) {
                greeting_set(ret, GREETING_STRANGE, "what answers at the port is no MySQL or MariaDB server");
                return 1;
        }
        if (length < HEADER + payload)
                return 0;
        if (type == 10)
                parse_server(packet + HEADER, payload, ret);
        else
                parse_error(packet + HEADER, payload, ret);
        return 1;
}

void greeting_from_errno(Greeting *greeting, int error)
{
        if (error == ECONNREFUSED)
                greeting_set(greeting, GREETING_REFUSED, "nobody listens at the port");
        else if (error == ETIMEDOUT)
                greeting_set(greeting, GREETING_TIMEOUT, "no answer to the connection attempt");
        else if (error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == ENETDOWN)
                greeting_set(greeting, GREETING_UNREACHABLE, "there is no way to the host: %s", strerror(error));
        else if (error == ECONNRESET || error == EPIPE)
                greeting_set(greeting, GREETING_CLOSED, "the connection was reset before the server greeted");
        else
                greeting_set(greeting, GREETING_UNASKED, "cannot connect: %s", strerror(error));
}
