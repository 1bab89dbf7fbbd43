/* The first packet of an SQL port: a pure parser and a raw TCP probe. A probe owns its socket; it must never write. */
#include "greeting.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "alloc.h"
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

/* The probe. */

struct GreetingProbe {
        int fd;
        bool connected;
        Io *io;
        Timer *timer;
        size_t length;
        uint8_t bytes[GREETING_SIZE_MAX];
        Greeting result;
        greeting_fn done;
        void *userdata;
};

GreetingProbe *greeting_abandon(GreetingProbe *probe)
{
        if (!probe)
                return NULL;
        probe->io = io_free(probe->io);
        probe->timer = timer_free(probe->timer);
        if (probe->fd >= 0)
                close(probe->fd);
        free(probe);
        return NULL;
}

static void report(GreetingProbe *probe)
{
        greeting_fn done = probe->done;
        void *userdata = probe->userdata;
        Greeting result = probe->result;
        greeting_abandon(probe);
        done(&result, userdata);
}

static void on_deadline(void *userdata)
{
        GreetingProbe *probe = userdata;
        if (probe->io && probe->connected)
                greeting_set(&probe->result, GREETING_FROZEN, "the port is open, but nothing greets");
        else if (probe->io)
                greeting_set(&probe->result, GREETING_TIMEOUT, "no answer to the connection attempt");
        report(probe);
}

static bool finish_connect(GreetingProbe *probe)
{
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        if (error == EINPROGRESS)
                return false;
        if (error) {
                greeting_from_errno(&probe->result, error);
                return true;
        }
        probe->connected = true;
        io_set_events(probe->io, EPOLLIN | EPOLLRDHUP);
        return false;
}

static bool read_more(GreetingProbe *probe)
{
        ssize_t n = recv(probe->fd, probe->bytes + probe->length, sizeof probe->bytes - probe->length, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n < 0) {
                greeting_from_errno(&probe->result, errno);
                return true;
        }
        if (n == 0) {
                greeting_set(&probe->result, GREETING_CLOSED, "the connection was closed before the server greeted");
                return true;
        }
        probe->length += (size_t) n;
        return greeting_parse(probe->bytes, probe->length, &probe->result) == 1;
}

static void on_io(int fd, uint32_t revents, void *userdata)
{
        GreetingProbe *probe = userdata;
        if (probe->connected ? read_more(probe) : finish_connect(probe))
                report(probe);
}

/* 0, or an errno. */
static int start(GreetingProbe *probe, Loop *loop, const Address *address)
{
        probe->fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (probe->fd < 0)
                return errno;
        if (connect(probe->fd, (const struct sockaddr *) &address->socket, address->length) < 0 && errno != EINPROGRESS)
                return errno;
        probe->io = io_new(loop, probe->fd, EPOLLOUT, on_io, probe);
        return 0;
}

GreetingProbe *greeting_probe(Loop *loop, const char *address, uint16_t port, usec_t deadline, greeting_fn done,
                              void *userdata)
{
        GreetingProbe *probe = ALLOC(GreetingProbe);
        *probe = (GreetingProbe){ .fd = -1, .done = done, .userdata = userdata };
        probe->timer = timer_new(loop, USEC_MSEC, on_deadline, probe);
        Address parsed;
        int error = address_parse(address, port, &parsed) < 0 ? EINVAL : start(probe, loop, &parsed);
        if (error) {
                greeting_from_errno(&probe->result, error);
                deadline = 0;
        }
        timer_set(probe->timer, deadline);
        return probe;
}
