/* One connection to the daemon. Owns the socket and what was read ahead; must never wait without a limit. */
#include "call.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "alloc.h"
#include "frame.h"
#include "refusal.h"
#include "text.h"

#define ANSWER_MAX ((size_t) 256 * 1024 * 1024)
#define CONNECT_PATIENCE 5 /* seconds */

struct Call {
        int fd;
        Frame in;
};

static int not_reached(const char *path, int error, Failure *reterr)
{
        if (error == EAGAIN || error == EINPROGRESS)
                return failure_set(reterr, FAILURE_TIMEOUT, 0, "mhad does not answer on %s: journalctl -u mhad", path);
        bool absent = error == ENOENT || error == ECONNREFUSED;
        return failure_set(reterr, FAILURE_SYSTEM, error, "%s (%s: %s)",
                           absent ? "mhad is not running: systemctl start mhad" : "cannot connect to mhad", path,
                           strerror(error));
}

int call_open(const char *path, Call **ret, Failure *reterr)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof address.sun_path)
                return failure_set(reterr, FAILURE_SYSTEM, ENAMETOOLONG, "the path of the socket is too long: %s",
                                   path);
        strcpy(address.sun_path, path);
        CLEANUP(call_close) Call *call = ALLOC(Call);
        *call = (Call){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .in = frame_make(ANSWER_MAX) };
        if (call->fd < 0)
                return failure_errno(reterr, errno, "cannot create a socket");
        const struct timeval patience = { .tv_sec = CONNECT_PATIENCE };
        (void) setsockopt(call->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(call->fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return not_reached(path, errno, reterr);
        *ret = TAKE(call);
        return 0;
}

Call *call_close(Call *call)
{
        if (!call)
                return NULL;
        if (call->fd >= 0)
                close(call->fd);
        frame_done(&call->in);
        free(call);
        return NULL;
}

static int lost(Failure *reterr)
{
        return failure_set(reterr, FAILURE_PROTOCOL, 0, "mhad closed the connection: journalctl -u mhad may say why");
}

int call_send(Call *call, ApiId id, Json *parameters, bool more, Failure *reterr)
{
        CLEANUP(json_free) Json *message = api_make_call(id, parameters, more);
        CLEANUP(mem_free) char *text = json_print(message);
        size_t length = strlen(text) + 1;
        for (size_t sent = 0; sent < length;) {
                ssize_t n = send(call->fd, text + sent, length - sent, MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN)
                        return failure_set(reterr, FAILURE_TIMEOUT, 0, "mhad does not read what it is told");
                if (n < 0 && errno != EINTR)
                        /* It may have said why before it closed. */
                        return errno == EPIPE ? 0 : lost(reterr);
                sent += n > 0 ? (size_t) n : 0;
        }
        return 0;
}

static int read_some(Call *call, usec_t deadline, Failure *reterr)
{
        usec_t left = usec_sub(deadline, usec_now_monotonic());
        struct pollfd wait = { .fd = call->fd, .events = POLLIN };
        int milliseconds = left > 3600 * USEC_SEC ? -1 : (int) ((left + USEC_MSEC - 1) / USEC_MSEC);
        int ready = poll(&wait, 1, milliseconds);
        if (ready == 0)
                return failure_set(reterr, FAILURE_TIMEOUT, 0, "mhad has not answered in time");
        if (ready < 0)
                return errno == EINTR ? 0 : failure_errno(reterr, errno, "cannot wait for mhad");
        char bytes[65536];
        ssize_t n = recv(call->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                return lost(reterr);
        frame_add(&call->in, bytes, n > 0 ? (size_t) n : 0);
        return 0;
}

static int take_reply(const char *message, size_t length, Reply *ret, Failure *reterr)
{
        CLEANUP(json_free) Json *json = NULL;
        if (json_parse(message, length, &json, NULL) < 0 ||
            (json_get(json, "error") && !json_get_string(json, "error")))
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "what answers there is not mhad");
        const Json *parameters = json_get(json, "parameters");
        *ret = (Reply){
                .error = alloc_string(json_get_string(json, "error")),
                .parameters = parameters ? json_copy(parameters) : json_object(),
                .continues = json_get_bool(json, "continues", false),
        };
        return 0;
}

int call_receive(Call *call, usec_t timeout, Reply *ret, Failure *reterr)
{
        usec_t deadline = usec_add(usec_now_monotonic(), timeout);
        const char *message;
        size_t length;
        int error;
        while ((error = frame_next(&call->in, &message, &length)) == 0) {
                error = read_some(call, deadline, reterr);
                if (error < 0)
                        return error;
        }
        if (error < 0)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "the answer of mhad is too long");
        return take_reply(message, length, ret, reterr);
}

void reply_done(Reply *reply)
{
        free(reply->error);
        json_free(reply->parameters);
        *reply = (Reply){ 0 };
}

int reply_failure(const Reply *reply, Failure *reterr)
{
        const char *reason = json_get_string(reply->parameters, "reason");
        const char *parameter = json_get_string(reply->parameters, "parameter");
        if (reason)
                return failure_set(reterr, FAILURE_INVALID,
                                   (int) refusal_from_string(json_get_string(reply->parameters, "id")), "%s", reason);
        if (text_equal(reply->error, API_ERROR_PERMISSION_DENIED))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "that is for root, the user of mhad and members of its group only: try sudo");
        if (text_equal(reply->error, API_ERROR_INVALID_PARAMETER))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "mhad does not take that %s: is it of another version than mhactl? (mhactl version)",
                                   parameter ? parameter : "parameter");
        return failure_set(reterr, FAILURE_INVALID, 0,
                           "mhad says %s: is it of another version than mhactl? (mhactl version)", reply->error);
}

int call_once(const char *path, ApiId id, Json *parameters, Json **ret, Failure *reterr)
{
        CLEANUP(json_free) Json *owned = parameters;
        CLEANUP(call_close) Call *call = NULL;
        __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
        int error = call_open(path, &call, reterr);
        if (error == 0)
                error = call_send(call, id, TAKE(owned), false, reterr);
        if (error == 0)
                error = call_receive(call, CALL_PATIENCE, &reply, reterr);
        if (error == 0 && reply.error)
                error = reply_failure(&reply, reterr);
        if (error == 0)
                *ret = TAKE(reply.parameters);
        return error;
}
