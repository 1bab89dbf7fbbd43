/* The listening socket and its sessions. Owns both; must never answer a call itself, and never wait for a client. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api.h"
#include "file.h"
#include "log.h"
#include "session.h"
#include "text.h"

#define ACCEPT_AT_ONCE 16
#define ACCEPT_PAUSE USEC_SEC /* after running out of descriptors */

struct Control {
        Loop *loop;
        Registry *registry;
        gid_t group;
        int fd;
        Io *io;
        Timer *retry; /* accepts again */
        char *made;   /* the path of the socket file that is ours to remove, else NULL */
        Session *sessions[CONTROL_CLIENTS_MAX];
        Timer *turn;  /* deferred: answers one call of one session */
        size_t place; /* whose turn it was last */
};

/* A name that fits is at most 107 bytes long. */
static int make_address(const char *path, struct sockaddr_un *ret, Failure *reterr)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (text_is_empty(path) || strlen(path) >= sizeof address.sun_path)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "the path of the control socket, %s, must have 1 to %zu bytes", path ? path : "",
                                   sizeof address.sun_path - 1);
        memcpy(address.sun_path, path, strlen(path) + 1);
        *ret = address;
        return 0;
}

/* Removes the socket file that nobody answers on; refuses when somebody does, or when it is something else. */
static int remove_stale(const struct sockaddr_un *address, Failure *reterr)
{
        struct stat info;
        if (lstat(address->sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s is in the way of the control socket: it is no socket", address->sun_path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot create a socket");
        int error = connect(fd, (const struct sockaddr *) address, sizeof *address) < 0 ? errno : 0;
        close(fd);
        if (error != ECONNREFUSED)
                return failure_set(reterr, FAILURE_INVALID, 0, "another mhad answers on %s", address->sun_path);
        if (unlink(address->sun_path) < 0)
                return failure_errno(reterr, errno, "cannot remove the stale socket %s", address->sun_path);
        return 0;
}

static int bind_at(int fd, const struct sockaddr_un *address, Failure *reterr)
{
        if (bind(fd, (const struct sockaddr *) address, sizeof *address) == 0)
                return 0;
        int error = errno;
        if (error == EADDRINUSE) {
                int stale = remove_stale(address, reterr);
                if (stale < 0)
                        return stale;
                if (bind(fd, (const struct sockaddr *) address, sizeof *address) == 0)
                        return 0;
                error = errno;
        }
        return failure_errno(reterr, error, "cannot listen on %s", address->sun_path);
}

static int listen_at(const char *path, int *ret, Failure *reterr)
{
        struct sockaddr_un address;
        int error = make_address(path, &address, reterr);
        if (error < 0)
                return error;
        CLEANUP(mem_free) char *copy = alloc_string(path);
        if ((error = file_make_directory(dirname(copy), 0755, reterr)) < 0)
                return error;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot create the control socket");
        if ((error = bind_at(fd, &address, reterr)) < 0) {
                close(fd);
                return error;
        }
        if (chmod(path, 0666) < 0 || listen(fd, SOMAXCONN) < 0) {
                error = failure_errno(reterr, errno, "cannot listen on %s", path);
                unlink(path);
                close(fd);
                return error;
        }
        *ret = fd;
        return 0;
}

static int check_inherited(int fd, Failure *reterr)
{
        int domain = 0, type = 0, listens = 0;
        socklen_t size = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0)
                return failure_errno(reterr, errno, "the inherited control socket is of no use");
        if (domain != AF_UNIX || type != SOCK_STREAM || !listens)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "the inherited control socket is no listening Unix stream socket");
        return 0;
}

static void on_ended(Session *session, void *userdata)
{
        Control *control = userdata;
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                if (control->sessions[i] == session)
                        control->sessions[i] = session_free(session);
}

static void on_waiting(void *userdata);

/* One call a turn of the loop, whoever waits, round robin: the watching goes on between any two. */
static void on_turn(void *userdata)
{
        Control *control = userdata;
        control->turn = NULL;
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
                control->place = (control->place + 1) % CONTROL_CLIENTS_MAX;
                Session *session = control->sessions[control->place];
                if (session && session_is_waiting(session)) {
                        session_answer(session);
                        on_waiting(control);
                        return;
                }
        }
}

static void on_waiting(void *userdata)
{
        Control *control = userdata;
        if (!control->turn)
                control->turn = loop_defer(control->loop, on_turn, control);
}

static bool is_patient(void *userdata)
{
        const Control *control = userdata;
        size_t n = 0;
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                n += control->sessions[i] && !session_peer(control->sessions[i])->may_change &&
                     session_is_busy(control->sessions[i]);
        return n < CONTROL_QUESTIONS_MAX;
}

/* Why there is no place for one more; NULL when there is. Those who may only ask cannot take all places, and nobody but root
 * can take those of others: an operator must always get in. */
static const char *why_full(const Control *control, const Peer *peer)
{
        size_t n = 0, strangers = 0, same = 0;
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
                const Peer *other = control->sessions[i] ? session_peer(control->sessions[i]) : NULL;
                n += other != NULL;
                strangers += other && !other->may_change;
                same += other && other->uid == peer->uid;
        }
        if (!peer->trusted && same >= CONTROL_CLIENTS_OF_ONE)
                return "you have as many connections to mhad as one user may have: end one of them";
        if (n >= CONTROL_CLIENTS_MAX ||
            (!peer->may_change && strangers >= CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_RESERVED))
                return "mhad has too many clients at the moment: try again";
        return NULL;
}

/* Read as the answer to the first call; a new socket has room for it. */
static void turn_away(int fd, const char *why)
{
        Json *reason = json_object();
        json_set_string(reason, "reason", why);
        CLEANUP(json_free) Json *error = api_make_error(API_ERROR_REFUSED, reason);
        CLEANUP(mem_free) char *text = json_print(error);
        (void) send(fd, text, strlen(text) + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(fd);
}

static void admit(Control *control, int fd)
{
        Peer peer;
        if (peer_read(fd, control->group, &peer, NULL) < 0) {
                close(fd);
                return;
        }
        const char *why = why_full(control, &peer);
        if (why) {
                turn_away(fd, why);
                return;
        }
        const SessionOwner owner = {
                .waiting = on_waiting, .patient = is_patient, .ended = on_ended, .userdata = control
        };
        size_t place = 0;
        while (control->sessions[place])
                place++;
        control->sessions[place] = session_new(control->loop, control->registry, fd, &peer, &owner);
}

static void on_connect(int listening, uint32_t revents, void *userdata)
{
        Control *control = userdata;
        for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
                int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0) {
                        admit(control, fd);
                        continue;
                }
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                        log_event(EVENT_WARNING, NULL, "cannot accept a control connection: %s", strerror(errno));
                        io_set_events(control->io, 0);
                        timer_set_in(control->retry, ACCEPT_PAUSE);
                }
                return;
        }
}

static void on_retry(void *userdata)
{
        Control *control = userdata;
        io_set_events(control->io, EPOLLIN);
}

static gid_t find_group(const char *name)
{
        if (text_is_empty(name))
                return PEER_NO_GROUP;
        const struct group *group = getgrnam(name);
        return group ? group->gr_gid : PEER_NO_GROUP;
}

int control_new(Loop *loop, Registry *registry, const char *path, int inherited_fd, const char *group, Control **ret,
                Failure *reterr)
{
        int fd = inherited_fd;
        int error = fd >= 0 ? check_inherited(fd, reterr) : listen_at(path, &fd, reterr);
        if (error < 0)
                return error;
        if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) /* systemd gives it to us as one that blocks */
                return failure_errno(reterr, errno, "the control socket is of no use");
        Control *control = ALLOC(Control);
        *control = (Control){
                .loop = loop,
                .registry = registry,
                .group = find_group(group),
                .fd = fd,
                .made = inherited_fd >= 0 ? NULL : alloc_string(path),
        };
        control->retry = timer_new(loop, 100 * USEC_MSEC, on_retry, control);
        control->io = io_new(loop, fd, EPOLLIN, on_connect, control);
        *ret = control;
        return 0;
}

int control_socket(const Control *control)
{
        return control->made ? control->fd : -1;
}

void control_leave_socket(Control *control)
{
        free(TAKE(control->made));
}

Control *control_free(Control *control)
{
        if (!control)
                return NULL;
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                session_free(control->sessions[i]);
        timer_free(control->turn);
        timer_free(control->retry);
        io_free(control->io);
        close(control->fd);
        if (control->made)
                unlink(control->made);
        free(control->made);
        free(control);
        return NULL;
}
