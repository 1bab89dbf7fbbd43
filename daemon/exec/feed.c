/* One feed to one replica. Owns the connections that came for it, each with its half of the protocol; the one that asked
 * for the log has a reader, whose events flow through the protocol to the wire as fast as that takes them. Must never
 * hold more of them than one round of output. */
#include "feed.h"

#include <inttypes.h>
#include <sys/random.h>

#include "alloc.h"
#include "enum.h"
#include "feed-reader.h"
#include "host.h"
#include "text.h"

#define LOGIN_TIMEOUT (10 * USEC_SEC)
#define HEARTBEAT_MAX (5 * USEC_SEC) /* however seldom, or not at all, the replica wants it */
#define HEARTBEAT_MIN (100 * USEC_MSEC)
#define LINGER_TIMEOUT (5 * USEC_SEC) /* to send a last word */
#define SESSIONS_MAX 8
#define OUTPUT_ROUND ((size_t) 128 * 1024)
#define TURN_MAX ((size_t) 4 * 1024 * 1024) /* then others have their turn */
#define STEPS_MAX 4096
#define ER_MASTER_FATAL 1236

static const char *const state_names[_FEED_STATE_MAX] = {
        [FEED_WAITING] = "waiting",
        [FEED_SENDING] = "sending",
        [FEED_LEVEL] = "level",
        [FEED_FAILED] = "failed",
};
ENUM_TO_STRING(feed_state, FeedState, state_names)

typedef struct Session Session;
struct Session {
        Feed *feed;
        Session *previous, *next;
        Wire *wire;
        FeedWire *protocol;
        Timer *timer; /* for the login, then for heartbeats, then for the last word */
        Timer *again; /* deferred: the rest of a turn */
        bool logged_in, closing;
        bool asked; /* for the log */
        FeedReader *reader;
};

struct Feed {
        Loop *loop;
        FeedStore store;
        Position expected;
        char *version, *user, *password, *server_uuid, *only_from;
        uint32_t server_id, last_thread_id;
        bool gtid_mode, crc32, stopped;
        WireListener *listener;
        Session *sessions;
        size_t n_sessions;
        Timer *notifier; /* deferred */
        FeedProgress progress;
        feed_fn changed;
        void *userdata;
};

/* Telling. */

static void on_notify(void *userdata)
{
        Feed *feed = userdata;
        feed->notifier = NULL;
        if (feed->changed)
                feed->changed(feed, feed->userdata);
}

static void notify(Feed *feed)
{
        if (!feed->notifier)
                feed->notifier = loop_defer(feed->loop, on_notify, feed);
}

static void set_state(Feed *feed, FeedState state)
{
        if (feed->progress.state == state)
                return;
        feed->progress.state = state;
        notify(feed);
}

/* Sessions. */

static void session_free(Session *session)
{
        Feed *feed = session->feed;
        if (session->reader)
                feed_reader_progress(session->reader, &feed->progress);
        if (session->asked && feed->progress.state != FEED_FAILED)
                set_state(feed, FEED_WAITING);
        feed_reader_free(session->reader);
        feedwire_free(session->protocol);
        wire_free(session->wire);
        timer_free(session->timer);
        timer_free(session->again);
        if (session->previous)
                session->previous->next = session->next;
        else
                feed->sessions = session->next;
        if (session->next)
                session->next->previous = session->previous;
        feed->n_sessions--;
        free(session);
}

/* Says a last word and ends when it is sent. */
static void session_end(Session *session)
{
        session->closing = true;
        timer_set_in(session->timer, LINGER_TIMEOUT);
}

static void session_fail(Session *session)
{
        Feed *feed = session->feed;
        CLEANUP(mem_free) char *text = text_format("mhad: %s", feed->progress.failure.text);
        feedwire_refuse(session->protocol, ER_MASTER_FATAL, text);
        session_end(session);
        feed->progress.state = FEED_FAILED;
        notify(feed);
}

static usec_t heartbeat_interval(const Session *session)
{
        usec_t wanted = feedwire_request(session->protocol)->heartbeat_usec;
        if (wanted == 0 || wanted > HEARTBEAT_MAX)
                return HEARTBEAT_MAX;
        return wanted < HEARTBEAT_MIN ? HEARTBEAT_MIN : wanted;
}

static void session_level(Session *session)
{
        Feed *feed = session->feed;
        if (feed_reader_level(session->reader, session->protocol, &feed->progress.failure) < 0) {
                session_fail(session);
                return;
        }
        timer_set_in(session->timer, heartbeat_interval(session));
        set_state(feed, FEED_LEVEL);
}

static size_t waiting_output(const Session *session)
{
        size_t length;
        (void) feedwire_output(session->protocol, &length);
        return length;
}

static void say_goodbye(Session *session)
{
        feedwire_refuse(session->protocol, ER_MASTER_FATAL, "mhad: the feed is over");
        session_end(session);
}

/* One round of output; false when there is none for now. */
static bool produce(Session *session)
{
        Feed *feed = session->feed;
        if (session->closing || !session->reader)
                return false;
        if (feed->stopped && feed_reader_is_between_events(session->reader)) {
                say_goodbye(session);
                return true;
        }
        if (feed->progress.state == FEED_LEVEL)
                return false;
        FeedStep step = FEED_STEP_ON;
        for (int i = 0; i < STEPS_MAX && step == FEED_STEP_ON && waiting_output(session) < OUTPUT_ROUND; i++)
                step = feed_reader_step(session->reader, session->protocol, &feed->progress.failure);
        if (step == FEED_STEP_END)
                session_level(session);
        else if (step == FEED_STEP_BAD)
                session_fail(session);
        return step != FEED_STEP_WAIT || waiting_output(session) > 0;
}

/* True when all output is gone; false when there is no room, or when the session is gone. */
static bool flush(Session *session, size_t *turned)
{
        for (;;) {
                size_t length;
                const uint8_t *bytes = feedwire_output(session->protocol, &length);
                if (length == 0)
                        return true;
                ssize_t n = wire_write(session->wire, bytes, length);
                if (n < 0 && n != -EAGAIN)
                        session_free(session);
                if (n < 0)
                        return false;
                feedwire_sent(session->protocol, (size_t) n);
                *turned += (size_t) n;
        }
}

static void go_on(Session *session);

static void on_again(void *userdata)
{
        Session *session = userdata;
        session->again = NULL;
        go_on(session);
}

/* The session may be gone afterwards. */
static void go_on(Session *session)
{
        size_t turned = 0, rounds = 0;
        while (flush(session, &turned)) {
                if (session->closing) {
                        session_free(session);
                        return;
                }
                if (turned > TURN_MAX || ++rounds > TURN_MAX / OUTPUT_ROUND) {
                        if (!session->again)
                                session->again = loop_defer(session->feed->loop, on_again, session);
                        return;
                }
                if (!produce(session))
                        return;
        }
}

static void on_ready(void *userdata)
{
        go_on(userdata);
}

static void begin_feeding(Session *session)
{
        Feed *feed = session->feed;
        for (Session *other = feed->sessions; other;) {
                Session *next = other->next;
                if (other != session && other->asked)
                        session_free(other); /* the replica has given that one up */
                other = next;
        }
        unsigned n_logins = feed->progress.n_logins, n_refused = feed->progress.n_refused;
        feed->progress = (FeedProgress){ .n_logins = n_logins, .n_refused = n_refused, .state = FEED_SENDING };
        notify(feed);
        session->asked = true;
        if (feed_reader_new(feed->loop, &feed->store, feedwire_request(session->protocol), &feed->expected, on_ready,
                            session, &session->reader, &feed->progress.failure) < 0)
                session_fail(session);
}

static void note_refused(Feed *feed, const Failure *failure)
{
        feed->progress.n_refused++;
        if (feed->progress.state != FEED_FAILED)
                feed->progress.failure = *failure;
        notify(feed);
}

static void hear(Session *session, const void *bytes, size_t length)
{
        Feed *feed = session->feed;
        FeedWirePhase phase = feedwire_receive(session->protocol, bytes, length);
        if (!session->logged_in && (phase == FEEDWIRE_ASKING || phase == FEEDWIRE_DUMPING)) {
                session->logged_in = true;
                feed->progress.n_logins++;
                timer_stop(session->timer);
        }
        if (phase == FEEDWIRE_DUMPING && !session->asked)
                begin_feeding(session);
        if (phase == FEEDWIRE_ENDED && !session->closing) {
                if (!session->logged_in)
                        note_refused(feed, feedwire_failure(session->protocol));
                session_end(session);
        }
}

static void on_wire(void *userdata)
{
        Session *session = userdata;
        char bytes[4096];
        ssize_t n;
        while ((n = wire_read(session->wire, bytes, sizeof bytes)) > 0)
                hear(session, bytes, (size_t) n);
        if (n == -EAGAIN)
                go_on(session);
        else
                session_free(session);
}

static void on_timer(void *userdata)
{
        Session *session = userdata;
        Failure failure;
        if (session->reader && !session->closing) {
                feed_reader_heartbeat(session->reader, session->protocol);
                timer_set_in(session->timer, heartbeat_interval(session));
                go_on(session);
                return;
        }
        if (!session->logged_in && !session->closing) {
                failure_set(&failure, FAILURE_TIMEOUT, 0, "somebody connected and did not log in");
                note_refused(session->feed, &failure);
        }
        session_free(session);
}

/* Whoever has not logged in for the longest time makes room. */
static void make_room(Feed *feed)
{
        Session *oldest = NULL;
        for (Session *session = feed->sessions; session; session = session->next)
                if (!session->logged_in)
                        oldest = session;
        if (feed->n_sessions >= SESSIONS_MAX && oldest)
                session_free(oldest);
}

void feed_attach(Wire *wire, const char *peer, void *userdata)
{
        Feed *feed = userdata;
        make_room(feed);
        if (feed->stopped || feed->n_sessions >= SESSIONS_MAX) {
                wire_free(wire);
                return;
        }
        Session *session = ALLOC(Session);
        *session = (Session){ .feed = feed, .wire = wire, .next = feed->sessions };
        FeedWireParams params = {
                .version = feed->version,
                .user = feed->user,
                .password = feed->password,
                .thread_id = ++feed->last_thread_id,
                .server_id = feed->server_id,
                .server_uuid = feed->server_uuid,
                .gtid_mode = feed->gtid_mode,
                .crc32 = feed->crc32,
                .now = loop_now_real(feed->loop) / USEC_SEC,
        };
        if (getrandom(params.scramble, sizeof params.scramble, 0) != (ssize_t) sizeof params.scramble)
                abort(); /* it cannot fail for so few bytes */
        session->protocol = feedwire_new(&params);
        session->timer = timer_new(feed->loop, 10 * USEC_MSEC, on_timer, session);
        timer_set_in(session->timer, LOGIN_TIMEOUT);
        if (session->next)
                session->next->previous = session;
        feed->sessions = session;
        feed->n_sessions++;
        wire_watch(wire, on_wire, session);
        go_on(session);
}

static void on_accept(Wire *wire, const char *peer, void *userdata)
{
        Feed *feed = userdata;
        if (host_is_same(peer, feed->only_from)) {
                feed_attach(wire, peer, feed);
                return;
        }
        Failure failure;
        failure_set(&failure, FAILURE_INVALID, 0, "a connection from %s was refused: only %s may come",
                    peer ? peer : "?", feed->only_from);
        wire_free(wire);
        note_refused(feed, &failure);
}

int feed_listen(Feed *feed, const char *address, uint16_t port, const char *only_from, uint16_t *ret_port,
                Failure *reterr)
{
        int r = wire_listen(feed->loop, address, port, on_accept, feed, &feed->listener, reterr);
        if (r < 0)
                return r;
        free(feed->only_from);
        feed->only_from = alloc_string(only_from);
        *ret_port = wire_listener_port(feed->listener);
        return 0;
}

/* The feed. */

Feed *feed_new(Loop *loop, const FeedParams *params, feed_fn changed, void *userdata)
{
        Feed *feed = ALLOC(Feed);
        *feed = (Feed){
                .loop = loop,
                .expected = params->expected,
                .version = alloc_string(params->version),
                .user = alloc_string(params->user),
                .password = alloc_string(params->password),
                .server_uuid = alloc_string(params->server_uuid),
                .server_id = params->server_id,
                .gtid_mode = params->gtid_mode,
                .changed = changed,
                .userdata = userdata,
        };
        feed_store_init(&feed->store, params);
        /* The replica asks for it before it says where it begins. */
        const char *file = position_is_set(&feed->expected) ? feed->expected.file : NULL;
        feed->crc32 = feed_store_has_checksums(&feed->store, file);
        return feed;
}

Feed *feed_free(Feed *feed)
{
        if (!feed)
                return NULL;
        wire_listener_free(feed->listener);
        while (feed->sessions)
                session_free(feed->sessions);
        timer_free(feed->notifier);
        feed_store_done(&feed->store);
        text_wipe(feed->password);
        free(feed->version);
        free(feed->user);
        free(feed->server_uuid);
        free(feed->only_from);
        free(feed);
        return NULL;
}

void feed_stop(Feed *feed)
{
        feed->stopped = true;
        feed->listener = wire_listener_free(feed->listener);
        for (Session *session = feed->sessions; session;) {
                Session *next = session->next;
                if (session->reader)
                        go_on(session);
                else if (!session->closing)
                        session_free(session);
                session = next;
        }
}

const FeedProgress *feed_progress(Feed *feed)
{
        for (const Session *session = feed->sessions; session; session = session->next)
                if (session->reader)
                        feed_reader_progress(session->reader, &feed->progress);
        return &feed->progress;
}
