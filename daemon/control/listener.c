/* The metrics by HTTP: libmicrohttpd in the one loop, without threads. Owns its daemon, the listening socket and its
 * connections; must never make a text itself, and never wait for a client. */
#include "listener.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint.h"
#include "log.h"
#include "text.h"

#define TEXT_FORMAT "text/plain; version=0.0.4; charset=utf-8"
#define PLAIN "text/plain; charset=utf-8"
#define CONNECTION_MEMORY ((size_t) 8 * 1024) /* for a request */
/* Above our own limit: with none left the library accepts nobody until one is closed. */
#define CONNECTIONS_MAX (LISTENER_CLIENTS_MAX + 50)

/* One connection, in the order in which they came. */
typedef struct Client {
        struct Client *next;
        int fd;
        bool closing;
} Client;

/* A question that waits for the text. */
typedef struct Request {
        Listener *listener;
        struct MHD_Connection *connection;
        bool suspended;
        struct Request *next;
} Request;

struct Listener {
        Loop *loop;
        Registry *registry;
        char *address; /* NULL: none */
        struct MHD_Daemon *daemon;
        Io *io;
        Timer *timer;
        Client *clients;
        size_t n_clients; /* that are not closing */
        Request *requests;
};

/* What the library may have to do at a time of its own. */
static void settle(Listener *listener)
{
        MHD_UNSIGNED_LONG_LONG milliseconds = 0;
        if (MHD_get_timeout(listener->daemon, &milliseconds) == MHD_YES)
                timer_set_in(listener->timer, milliseconds * USEC_MSEC);
        else
                timer_stop(listener->timer);
}

static void on_time(void *userdata)
{
        Listener *listener = userdata;
        (void) MHD_run(listener->daemon);
        settle(listener);
}

static void on_ready(int fd, uint32_t revents, void *userdata)
{
        on_time(userdata);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type, const char *text)
{
        struct MHD_Response *response =
                MHD_create_response_from_buffer(strlen(text), alloc_string(text), MHD_RESPMEM_MUST_FREE);
        (void) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
                (void) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        enum MHD_Result result = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
        return result;
}

static void on_text(Json *answer, void *userdata)
{
        Request *request = userdata;
        CLEANUP(json_free) Json *owned = answer;
        request->suspended = false;
        (void) respond(request->connection, MHD_HTTP_OK, TEXT_FORMAT, json_get_string(owned, "text"));
        MHD_resume_connection(request->connection);
        timer_set(request->listener->timer, 0); /* the library does not say by itself that there is something to do */
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *data_size,
                                  void **of_request)
{
        Listener *listener = userdata;
        bool head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
        if (strcmp(url, "/metrics") != 0)
                return respond(connection, MHD_HTTP_NOT_FOUND, PLAIN, "There is nothing here but /metrics.\n");
        if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && !head)
                return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, PLAIN,
                               "Metrics can only be read: GET or HEAD.\n");
        Request *request = ALLOC(Request);
        *request = (Request){ listener, connection, .suspended = true, .next = listener->requests };
        listener->requests = request;
        *of_request = request;
        MHD_suspend_connection(connection);
        registry_metrics(listener->registry, on_text, request);
        return MHD_YES;
}

static void on_answered(void *userdata, struct MHD_Connection *connection, void **of_request,
                        enum MHD_RequestTerminationCode how)
{
        Listener *listener = userdata;
        Request *request = *of_request;
        if (!request)
                return;
        Request **at = &listener->requests;
        while (*at != request)
                at = &(*at)->next;
        *at = request->next;
        registry_forget(listener->registry, request);
        free(request);
}

/* --- connections ---------------------------------------------------------------------------------------------------- */

/* Whoever comes gets in; whoever was here longest, and should have had his answer, goes. */
static void close_oldest(Listener *listener)
{
        for (Client *client = listener->clients; client; client = client->next) {
                if (client->closing)
                        continue;
                client->closing = true;
                listener->n_clients--;
                (void) shutdown(client->fd, SHUT_RDWR);
                return;
        }
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **of_connection,
                          enum MHD_ConnectionNotificationCode what)
{
        Listener *listener = userdata;
        Client **at = &listener->clients;
        if (what == MHD_CONNECTION_NOTIFY_STARTED) {
                Client *client = ALLOC(Client);
                client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
                while (*at)
                        at = &(*at)->next;
                *at = client;
                *of_connection = client;
                if (++listener->n_clients > LISTENER_CLIENTS_MAX)
                        close_oldest(listener);
                return;
        }
        Client *client = *of_connection;
        while (*at != client)
                at = &(*at)->next;
        *at = client->next;
        listener->n_clients -= !client->closing;
        free(client);
}

/* --- listening ------------------------------------------------------------------------------------------------------ */

static int bind_at(const char *address, int *ret, Failure *reterr)
{
        struct sockaddr_storage where;
        socklen_t length = 0;
        int on = 1, r = endpoint_parse(address, &where, &length);
        if (r < 0)
                return failure_errno(reterr, -r, "%s is no address with a port", address);
        int fd = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot create a socket");
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (const struct sockaddr *) &where, length) < 0 || listen(fd, SOMAXCONN) < 0) {
                r = failure_errno(reterr, errno, "cannot listen on %s", address);
                close(fd);
                return r;
        }
        *ret = fd;
        return 0;
}

static int start(Listener *listener, const char *address, Failure *reterr)
{
        int fd = -1, r = bind_at(address, &fd, reterr);
        if (r < 0)
                return r;
        listener->daemon = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, listener, /* */
                MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS_MAX,
                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) LISTENER_PATIENCE, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_answered, listener, MHD_OPTION_NOTIFY_CONNECTION,
                on_connection, listener, MHD_OPTION_END);
        if (!listener->daemon) {
                close(fd);
                return failure_set(reterr, FAILURE_SYSTEM, 0, "cannot start the HTTP library");
        }
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        listener->io = io_new(listener->loop, info->epoll_fd, EPOLLIN, on_ready, listener);
        listener->address = alloc_string(address);
        return 0;
}

static void stop(Listener *listener)
{
        if (!listener->daemon)
                return;
        listener->io = io_free(listener->io);
        timer_stop(listener->timer);
        /* The library cannot end connections that it was told to leave alone. */
        for (Request *request = listener->requests; request; request = request->next) {
                registry_forget(listener->registry, request);
                if (request->suspended)
                        MHD_resume_connection(request->connection);
                request->suspended = false;
        }
        MHD_stop_daemon(listener->daemon); /* closes the socket */
        listener->daemon = NULL;
        free(TAKE(listener->address));
}

void listener_set(Listener *listener, const char *address)
{
        if (text_equal(listener->address, address))
                return;
        stop(listener);
        Failure failure = { 0 };
        if (address && start(listener, address, &failure) < 0)
                log_event(
                        EVENT_WARNING, NULL,
                        "there are no metrics by HTTP: %s. End what listens there or change metrics.listen, then type: "
                        "mhactl reload",
                        failure.text);
}

Listener *listener_new(Loop *loop, Registry *registry)
{
        Listener *listener = ALLOC(Listener);
        *listener = (Listener){ .loop = loop, .registry = registry };
        listener->timer = timer_new(loop, 10 * USEC_MSEC, on_time, listener);
        return listener;
}

Listener *listener_free(Listener *listener)
{
        if (!listener)
                return NULL;
        stop(listener);
        timer_free(listener->timer);
        free(listener);
        return NULL;
}
