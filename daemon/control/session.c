/* One connection. Owns its descriptor, its buffers and its subscription to events. Its owner says when it is its
 * turn to answer one call; the next is not even read before that answer is gone, so that no client holds up the watching
 * or grows. Must never free itself: it ends from the loop, through its owner. */
#include "session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "frame.h"
#include "log.h"
#include "methods.h"
#include "text.h"

typedef enum SessionState {
        SESSION_READING,   /* waits for a whole message */
        SESSION_CALLING,   /* has one; waits for its turn */
        SESSION_AWAITING,  /* its answer takes time */
        SESSION_FOLLOWING, /* answers with each new event until the client goes */
        SESSION_ENDING,    /* over; waits for its owner */
} SessionState;

struct Session {
        Loop *loop;
        Registry *registry;
        Peer peer;
        SessionOwner owner;

        SessionState state;
        int fd;
        Io *io;
        Timer *last;     /* deferred: tells the owner that it is over */
        Timer *patience; /* the client owes us bytes, or reading, or we owe it an answer */

        Frame in;
        const char *message; /* the call that waits for its turn, lent by in */
        size_t message_length;
        bool in_closed;       /* the client has said all */
        usec_t partial_since; /* since when a message is incomplete; 0 when none is */

        Text out;
        size_t out_sent;
        usec_t out_since; /* when the client last read something */

        bool oneway, busy; /* of the call whose answer is awaited */
        usec_t awaiting_since, awaiting_for;
        bool subscribed;
        char *follows; /* only events of this cluster; NULL for all */
};

static size_t out_left(const Session *session)
{
        return session->out.length - session->out_sent;
}

static void on_end(void *userdata)
{
        Session *session = userdata;
        session->last = NULL;
        session->owner.ended(session, session->owner.userdata);
}

static void end(Session *session, const char *why)
{
        if (session->state == SESSION_ENDING)
                return;
        log_event(EVENT_DEBUG, NULL, "control: connection of %s ends: %s", session->peer.who, why);
        session->state = SESSION_ENDING;
        io_set_events(session->io, 0);
        timer_stop(session->patience);
        session->last = loop_defer(session->loop, on_end, session);
}

bool session_is_busy(const Session *session)
{
        return session->state == SESSION_AWAITING && session->busy;
}

bool session_is_waiting(const Session *session)
{
        return session->state == SESSION_CALLING && out_left(session) == 0;
}

/* The one place that says what is waited for, from the state and the buffers. */
static void settle(Session *session)
{
        if (session->state == SESSION_ENDING)
                return;
        bool writing = out_left(session) > 0, reading = session->state == SESSION_READING;
        if (reading && !writing && session->in_closed) {
                end(session, "closed by the client");
                return;
        }
        uint32_t events = writing ? EPOLLOUT : 0;
        if (reading && !writing)
                events |= EPOLLIN;
        if (session->state == SESSION_FOLLOWING || session->state == SESSION_AWAITING)
                events |= EPOLLRDHUP;
        io_set_events(session->io, events);

        if (session_is_waiting(session))
                session->owner.waiting(session->owner.userdata);

        if (writing)
                timer_set(session->patience, usec_add(session->out_since, SESSION_PATIENCE));
        else if (reading && session->partial_since)
                timer_set(session->patience, usec_add(session->partial_since, SESSION_PATIENCE));
        else if (session->state == SESSION_AWAITING)
                timer_set(session->patience, usec_add(session->awaiting_since, session->awaiting_for));
        else
                timer_stop(session->patience);
}

static void take_message(Session *session)
{
        int error = frame_next(&session->in, &session->message, &session->message_length);
        if (error < 0) {
                end(session, "its message is too long");
                return;
        }
        session->state = error > 0 ? SESSION_CALLING : SESSION_READING;
        if (error > 0 || frame_is_empty(&session->in))
                session->partial_since = 0;
        else if (!session->partial_since)
                session->partial_since = loop_now(session->loop);
}

static void read_some(Session *session)
{
        char bytes[16 * 1024];
        ssize_t n = recv(session->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        end(session, strerror(errno));
                return;
        }
        if (n == 0)
                session->in_closed = true;
        frame_add(&session->in, bytes, (size_t) n);
        take_message(session);
}

static void write_some(Session *session)
{
        while (out_left(session) > 0) {
                ssize_t n = send(session->fd, session->out.data + session->out_sent, out_left(session),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0) {
                        if (errno != EAGAIN && errno != EINTR)
                                end(session, strerror(errno));
                        return;
                }
                session->out_sent += (size_t) n;
                session->out_since = loop_now(session->loop);
        }
        text_done(&session->out);
        session->out_sent = 0;
}

static void drop_sent(Session *session)
{
        if (session->out_sent < session->out.length / 2)
                return;
        session->out.length -= session->out_sent;
        memmove(session->out.data, session->out.data + session->out_sent, session->out.length);
        session->out_sent = 0;
}

static void send_message(Session *session, const Json *message)
{
        CLEANUP(mem_free) char *text = json_print(message);
        api_make_text(text);
        size_t length = strlen(text) + 1, left = out_left(session);
        if (left > 0 && left + length > SESSION_OUTPUT_MAX) {
                end(session, "it does not read its answers");
                return;
        }
        if (left == 0)
                session->out_since = loop_now(session->loop);
        else
                drop_sent(session);
        text_add_n(&session->out, text, length);
        write_some(session);
}

static void on_event(const Json *event, void *userdata)
{
        Session *session = userdata;
        if (session->state != SESSION_FOLLOWING)
                return;
        if (session->follows && !text_equal(session->follows, json_get_string(event, "cluster")))
                return;
        Json *parameters = json_object();
        json_append(json_ensure_array(parameters, "events"), json_copy(event));
        CLEANUP(json_free) Json *reply = api_make_reply(parameters, true);
        send_message(session, reply);
        settle(session);
}

static void follow(Session *session, const char *cluster)
{
        session->state = SESSION_FOLLOWING;
        session->follows = alloc_string(cluster);
        session->subscribed = true;
        registry_subscribe(session->registry, on_event, session);
}

/* Also for a client that wants no answer: its next call waited for this one. */
static void answer_later(Session *session, const Json *reply)
{
        if (!session->oneway)
                send_message(session, reply);
        if (session->state != SESSION_ENDING)
                take_message(session);
        settle(session);
}

static void on_later(Json *answer, void *userdata)
{
        Session *session = userdata;
        CLEANUP(json_free) Json *reply = api_make_reply(answer, false);
        if (session->state == SESSION_AWAITING)
                answer_later(session, reply);
}

static void on_reloaded(const Json *errors, const Failure *failure, void *userdata)
{
        Session *session = userdata;
        Answer answer = methods_reloaded(errors, failure);
        CLEANUP(json_free)
        Json *reply = answer.error ? api_make_error(answer.error, answer.parameters)
                                   : api_make_reply(answer.parameters, false);
        if (session->state == SESSION_AWAITING)
                answer_later(session, reply);
}

/* The cluster may have gone with a reload, and its plan with it. */
static void give_up_waiting(Session *session)
{
        registry_forget(session->registry, session);
        Json *parameters = json_object();
        json_set_string(parameters, "reason", "the answer could not be had in time");
        CLEANUP(json_free) Json *reply = api_make_error(API_ERROR_FAILED, parameters);
        answer_later(session, reply);
}

static void answer_call(Session *session, const ApiCall *call)
{
        const Later later = {
                .may_busy = session->peer.may_change || session->owner.patient(session->owner.userdata),
                .answered = on_later,
                .reloaded = on_reloaded,
                .userdata = session,
        };
        Answer answer = methods_answer(session->registry, call, &session->peer, &later);
        if (answer.later) {
                session->state = SESSION_AWAITING;
                session->oneway = call->oneway;
                session->busy = answer.busy;
                session->awaiting_since = loop_now(session->loop);
                session->awaiting_for = call->id == API_RELOAD ? SESSION_RELOAD_PATIENCE : SESSION_ANSWER_PATIENCE;
                return;
        }
        CLEANUP(json_free)
        Json *reply = answer.error ? api_make_error(answer.error, answer.parameters)
                                   : api_make_reply(answer.parameters, answer.follow);
        if (!call->oneway)
                send_message(session, reply);
        if (session->state == SESSION_ENDING)
                return;
        if (answer.follow)
                follow(session, json_get_string(call->parameters, "cluster"));
        else
                take_message(session);
}

void session_answer(Session *session)
{
        __attribute__((cleanup(api_call_done_cleanup))) ApiCall call = { 0 };
        if (api_call_parse(session->message, session->message_length, &call) < 0)
                end(session, "its message is no varlink call");
        else
                answer_call(session, &call);
        settle(session);
}

static void on_patience(void *userdata)
{
        Session *session = userdata;
        if (session->state == SESSION_AWAITING)
                give_up_waiting(session);
        else
                end(session, out_left(session) ? "it does not read its answers" : "its message stays incomplete");
}

static void on_io(int fd, uint32_t revents, void *userdata)
{
        Session *session = userdata;
        if (session->state == SESSION_ENDING)
                return;
        if (revents & EPOLLOUT)
                write_some(session);
        else if (session->state == SESSION_READING && out_left(session) == 0)
                read_some(session);
        else if (revents & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
                end(session, "the client is gone");
        settle(session);
}

Session *session_new(Loop *loop, Registry *registry, int fd, const Peer *peer, const SessionOwner *owner)
{
        Session *session = ALLOC(Session);
        *session = (Session){
                .loop = loop,
                .registry = registry,
                .peer = *peer,
                .owner = *owner,
                .fd = fd,
                .in = frame_make(peer->may_change ? API_MESSAGE_MAX : SESSION_STRANGER_MESSAGE_MAX),
        };
        session->io = io_new(loop, fd, 0, on_io, session);
        session->patience = timer_new(loop, 100 * USEC_MSEC, on_patience, session);
        settle(session);
        return session;
}

const Peer *session_peer(const Session *session)
{
        return &session->peer;
}

Session *session_free(Session *session)
{
        if (!session)
                return NULL;
        registry_forget(session->registry, session);
        if (session->subscribed)
                registry_unsubscribe(session->registry, session);
        timer_free(session->last);
        timer_free(session->patience);
        io_free(session->io);
        close(session->fd);
        frame_done(&session->in);
        text_done(&session->out);
        free(session->follows);
        free(session);
        return NULL;
}
