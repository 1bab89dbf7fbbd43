/* The watch over one server. Owns one connection, one timer and the view; must never decide what an answer means for the
 * cluster. At most one question is under way at a time. */
#include "watch.h"

#include <string.h>

#include "evidence.h"
#include "identity.h"
#include "json.h"
#include "log.h"
#include "sql.h"
#include "text.h"

typedef enum WatchState {
        WATCH_WAITING, /* no connection; the timer says when to try */
        WATCH_QUEUED,  /* at the gate */
        WATCH_RESOLVING,
        WATCH_CONNECTING,
        WATCH_IDLE, /* connected; the timer says when to ask */
        WATCH_ASKING,
} WatchState;

/* What is asked, one after the other. */
typedef enum Question {
        ASK_IDENTITY,
        ASK_PING_SCHEMA, /* makes them, for ping: insert */
        ASK_PING_TABLE,
        ASK_INSERT,
        ASK_TICK,
        ASK_REPLICA,
        ASK_HEARTBEAT,
        ASK_BINLOG,
        ASK_SEMI_SYNC,
        ASK_EVENTS,
        ASK_LOCK,
        ASK_LOCK_HOLDER,
        ASK_LOCK_END,
        _ASK_MAX,
} Question;

struct Watch {
        Loop *loop;
        Resolver *resolver;
        const ClusterConfig *config;
        const Server *server;
        watch_fn changed;
        void *userdata;

        WatchState state;
        Timer *timer;
        GatePass *pass;
        ResolverQuery *query;
        Sql *sql;
        Sql *probe;          /* ping: connect: the connection that is the ping */
        bool fresh;          /* nothing was answered yet on this connection */
        bool quick;          /* hurry */
        bool again;          /* hurry came while a question was under way */
        usec_t wanted_after; /* hurry: an attempt that began since then is news, whatever it brings */
        bool primary, urgent;
        bool ping_table_made;
        bool events_asked; /* since it is the primary */
        bool write_hung;   /* the last ping: insert did; what else is answered proves nothing until one goes through */
        unsigned round;    /* counts, to ask slow things seldom */
        unsigned pending;  /* bit mask of Question */
        Question current;
        usec_t asked_at, last_ping, next_tick, last_good_real;
        uint64_t late_ticks;
        Histogram pings;
        usec_t began_at, ended_began_at; /* of the present attempt, and of the last one that has ended */
        usec_t last_status;
        MhaLocking locking;
        bool lock_changed; /* another one is wanted: asked in the next round */

        char **addresses;
        size_t n_addresses;
        ServerView *view;
        uint64_t fingerprint;
        uint64_t identity_read, events_read; /* as said last */
        bool identity_is_new;                /* one of them is another than before */
};

/* How often a server that does not answer is tried while somebody waits for it. */
#define QUICK_INTERVAL (150 * USEC_MSEC)
/* Questions that fall due within this part of the interval are asked together: waking up costs more than asking. */
#define TOGETHER 20
/* Slow facts (identity, own log of a replica) are refreshed every so many rounds. */
#define SLOW_ROUNDS 30
/* While something is refused: what the account is granted meanwhile counts for new sessions only. */
#define REFUSED_ROUNDS 10

static void connect_now(Watch *watch);
static void next_question(Watch *watch);

/* FNV-1a over what others act upon. */
static void mix(uint64_t *hash, const void *bytes, size_t length)
{
        for (size_t i = 0; i < length; i++)
                *hash = (*hash ^ ((const unsigned char *) bytes)[i]) * UINT64_C(1099511628211);
}

static void mix_text(uint64_t *hash, const char *text)
{
        mix(hash, text ? text : "", text ? strlen(text) + 1 : 1);
}

static uint64_t fingerprint(const ServerView *view)
{
        uint64_t hash = UINT64_C(14695981039346656037);
        int flags[] = { (int) view->evidence,  view->evidence_code,        view->identified,   view->ticked,
                        view->read_only,       view->super_read_only,      view->replica_read, (int) view->n_channels,
                        (int) view->server_id, server_view_is_locked(view) };
        mix(&hash, flags, sizeof flags);
        for (size_t i = 0; i < view->n_channels; i++) {
                const ReplicaChannel *channel = &view->channels[i];
                int64_t numbers[] = { channel->receiver,      channel->applier_running, channel->receiver_errno,
                                      channel->applier_errno, channel->source_port,     channel->delay };
                mix(&hash, numbers, sizeof numbers);
                mix_text(&hash, channel->source_host);
        }
        mix_text(&hash, view->manager);
        mix_text(&hash, server_view_refusal(view));
        return hash;
}

static void tell(Watch *watch)
{
        uint64_t now = fingerprint(watch->view);
        bool wanted = watch->ended_began_at < watch->wanted_after && watch->began_at >= watch->wanted_after;
        watch->ended_began_at = watch->began_at;
        if (now == watch->fingerprint && !wanted)
                return;
        watch->fingerprint = now;
        watch->changed(watch, watch->userdata);
}

static void drop_connection(Watch *watch)
{
        gate_leave(watch->pass);
        watch->sql = sql_free(watch->sql);
        watch->probe = sql_free(watch->probe);
        watch->pending = 0;
        mha_locking_reset(&watch->locking);
        watch->lock_changed = true;
}

static usec_t interval(const Watch *watch)
{
        return watch->config->detection.ping_interval;
}

static void wait_to_connect(Watch *watch)
{
        drop_connection(watch);
        watch->state = WATCH_WAITING;
        usec_t delay = interval(watch);
        if (watch->quick && delay > QUICK_INTERVAL)
                delay = QUICK_INTERVAL;
        timer_set_in(watch->timer, delay);
}

static void note_failure(Watch *watch, const Sql *sql, const Failure *failure)
{
        Evidence evidence = evidence_of_attempt(sql_evidence(sql), sql_phase(sql), watch->fresh);
        (void) observation_note_evidence(watch->view, evidence, failure->code, failure->text, loop_now(watch->loop));
}

static void note_alive(Watch *watch)
{
        watch->fresh = false;
        watch->last_good_real = loop_now_real(watch->loop);
        (void) observation_note_alive(watch->view, loop_now(watch->loop));
}

static void on_lost(Sql *sql, const Failure *failure, void *userdata)
{
        /* A lost session alone proves little: a new connection tells at once whether the process is gone. */
        Watch *watch = userdata;
        drop_connection(watch);
        connect_now(watch);
}

static bool is_write(Question question)
{
        return question == ASK_PING_SCHEMA || question == ASK_PING_TABLE || question == ASK_INSERT;
}

static void failed(Watch *watch, const Sql *sql, const Failure *failure)
{
        bool was_session = !watch->fresh;
        if (sql == watch->sql && sql_phase(sql) == SQL_PHASE_QUERY && sql_evidence(sql) == SQL_EVIDENCE_SILENCE &&
            is_write(watch->current))
                watch->write_hung = true;
        note_failure(watch, sql, failure);
        drop_connection(watch);
        if (was_session)
                connect_now(watch);
        else
                wait_to_connect(watch);
        tell(watch);
}

static char *statement_for(const Watch *watch, Question question)
{
        const Dialect *dialect = server_view_dialect(watch->view);
        const char *table = watch->config->detection.ping_table;
        switch (question) {
        case ASK_IDENTITY:
                return alloc_string(dialect_identity());
        case ASK_PING_SCHEMA:
                return text_format("CREATE DATABASE IF NOT EXISTS %.*s", (int) strcspn(table, "."), table);
        case ASK_PING_TABLE:
                return text_format("CREATE TABLE IF NOT EXISTS %s (id TINYINT NOT NULL PRIMARY KEY, "
                                   "at BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
                                   table);
        case ASK_INSERT:
                return text_format("INSERT INTO %s (id, at) VALUES (1, UNIX_TIMESTAMP()) "
                                   "ON DUPLICATE KEY UPDATE at = UNIX_TIMESTAMP()",
                                   table);
        case ASK_TICK:
                return alloc_string(dialect->tick);
        case ASK_REPLICA:
                return alloc_string(dialect->show_replica);
        case ASK_HEARTBEAT:
                return alloc_string(dialect->show_heartbeat);
        case ASK_BINLOG:
                return alloc_string(dialect->show_binlog);
        case ASK_SEMI_SYNC:
                return alloc_string(dialect_semi_sync_status());
        case ASK_EVENTS:
                return alloc_string(dialect_events());
        case ASK_LOCK:
                return mha_locking_take(&watch->locking);
        case ASK_LOCK_HOLDER:
                return mha_locking_holder(&watch->locking);
        case ASK_LOCK_END:
                return mha_locking_end(&watch->locking);
        case _ASK_MAX:
                break;
        }
        return NULL;
}

static void note_manager(Watch *watch)
{
        free(watch->view->manager);
        watch->view->manager = alloc_string(watch->locking.manager);
}

/* What it does not say, or not so that it can be understood, does not make it less alive. */
static void note_refusal(Watch *watch, Question question, const char *text)
{
        if (question == ASK_IDENTITY)
                observation_note_refusal(watch->view, OBSERVATION_IDENTITY, text);
        else if (question == ASK_TICK)
                observation_note_refusal(watch->view, OBSERVATION_TICK, text);
        else if (question == ASK_REPLICA)
                observation_note_refusal(watch->view, OBSERVATION_REPLICA, text);
}

static void note_identity(Watch *watch, uint64_t *said, const Reply *reply)
{
        uint64_t hash = UINT64_C(14695981039346656037);
        for (size_t i = 0; i < reply->n_rows * reply->n_columns; i++)
                mix_text(&hash, reply->cells[i]);
        watch->identity_is_new = watch->identity_is_new || hash != *said;
        *said = hash;
}

static void read_answer(Watch *watch, Question question, const Reply *reply)
{
        usec_t now = loop_now(watch->loop);
        Failure failure = { 0 };
        int r = 0;
        switch (question) {
        case ASK_IDENTITY:
                r = observation_read_identity(watch->view, reply, &failure);
                note_identity(watch, &watch->identity_read, reply);
                break;
        case ASK_PING_SCHEMA:
                break;
        case ASK_PING_TABLE:
                watch->ping_table_made = true;
                break;
        case ASK_INSERT:
                break;
        case ASK_TICK:
                r = observation_read_tick(watch->view, reply, &failure);
                break;
        case ASK_REPLICA:
                r = observation_read_replica(watch->view, reply, now, &failure);
                watch->last_status = now;
                break;
        case ASK_HEARTBEAT:
                r = observation_read_heartbeat(watch->view, reply, now, &failure);
                break;
        case ASK_BINLOG:
                r = observation_read_binlog(watch->view, reply, &failure);
                break;
        case ASK_SEMI_SYNC:
                r = observation_read_semi_sync(watch->view, reply, loop_now_real(watch->loop), &failure);
                break;
        case ASK_LOCK:
                mha_locking_took(&watch->locking, reply);
                note_manager(watch);
                watch->pending |= 1u << ASK_LOCK_HOLDER;
                break;
        case ASK_LOCK_HOLDER:
                mha_locking_held(&watch->locking, reply);
                note_manager(watch);
                watch->pending |= 1u << ASK_LOCK_END;
                break;
        case ASK_LOCK_END:
                watch->lock_changed = true;
                break;
        case ASK_EVENTS:
                json_free(watch->view->events);
                watch->view->events = observation_events(reply);
                note_identity(watch, &watch->events_read, reply);
                break;
        case _ASK_MAX:
                break;
        }
        if (r < 0) {
                LogFields fields = { .cluster = watch->config->name, .server = watch->server->name };
                log_event(EVENT_DEBUG, &fields, "an answer cannot be read: %s", failure.text);
                note_refusal(watch, question, failure.text);
        }
}

static void on_reply(Sql *sql, Reply *reply, void *userdata)
{
        Watch *watch = userdata;
        bool going_down = false;
        if (!reply_succeeded(reply)) {
                if (!sql_is_usable(sql)) {
                        failed(watch, sql, &reply->failure);
                        return;
                }
                going_down = evidence_errno_is_going_down(reply->failure.code);
                if (!going_down)
                        note_refusal(watch, watch->current, reply->failure.text);
        } else {
                read_answer(watch, watch->current, reply);
        }
        if (watch->current == ASK_INSERT || !watch->primary || watch->config->detection.ping != DETECTION_PING_INSERT)
                watch->write_hung = false;
        /* A statement that is refused (a privilege, a read-only server, a missing plugin) is an answer, too. */
        if (going_down)
                (void) observation_note_evidence(watch->view, EVIDENCE_ERROR, reply->failure.code, reply->failure.text,
                                                 loop_now(watch->loop));
        else if (!watch->write_hung)
                note_alive(watch);
        if (watch->current <= ASK_REPLICA) {
                watch->last_ping = usec_sub(loop_now(watch->loop), watch->asked_at);
                histogram_add(&watch->pings, watch->last_ping);
        }
        next_question(watch);
}

static void end_round(Watch *watch)
{
        watch->state = WATCH_IDLE;
        watch->round++;
        usec_t now = loop_now(watch->loop);
        if (watch->next_tick <= now && watch->next_tick + interval(watch) > now)
                watch->next_tick += interval(watch);
        else if (watch->next_tick <= now) {
                watch->late_ticks += (now - watch->next_tick) / interval(watch); /* the answers took so long */
                watch->next_tick = now + interval(watch);
        }
        timer_set(watch->timer, watch->again ? now : watch->next_tick);
        bool reconnect = server_view_refusal(watch->view) && !watch->again && watch->round % REFUSED_ROUNDS == 0;
        watch->again = false;
        if (reconnect)
                wait_to_connect(watch);
        tell(watch);
}

static void next_question(Watch *watch)
{
        while (watch->current < _ASK_MAX && !(watch->pending & (1u << watch->current)))
                watch->current++;
        if (watch->current == _ASK_MAX) {
                end_round(watch);
                return;
        }
        watch->pending &= ~(1u << watch->current);
        CLEANUP(mem_free) char *statement = statement_for(watch, watch->current);
        if (!statement) {
                watch->current++;
                next_question(watch);
                return;
        }
        watch->state = WATCH_ASKING;
        watch->asked_at = loop_now(watch->loop);
        timer_stop(watch->timer);
        sql_query(watch->sql, statement, usec_add(watch->asked_at, watch->config->detection.ping_timeout), on_reply,
                  watch);
}

/* What this round asks. Everything the first time; later the least that shows life and what may change. */
static unsigned questions(Watch *watch)
{
        const ServerView *view = watch->view;
        const Dialect *dialect = server_view_dialect(view);
        bool first = !view->identified || (!view->ticked && !view->refusals[OBSERVATION_TICK]) ||
                     (!view->replica_read && !view->refusals[OBSERVATION_REPLICA]);
        bool wanted = watch->ended_began_at < watch->wanted_after;
        bool slow = first || wanted || watch->round % SLOW_ROUNDS == 0;
        bool replica = view->n_channels > 0;
        usec_t now = loop_now(watch->loop);
        bool status = slow || watch->quick || now >= watch->last_status + watch->config->detection.status_interval;
        unsigned ask = 0;
        if (!view->identified || slow)
                ask |= 1u << ASK_IDENTITY;
        if (!view->identified)
                return ask; /* the rest depends on the version; asked right after */
        if (replica && status)
                ask |= 1u << ASK_REPLICA;
        if (replica && status && dialect->show_heartbeat)
                ask |= 1u << ASK_HEARTBEAT;
        /* The replication status is as good a ping as the tick; read_only is looked at every few rounds. */
        if (!(ask & (1u << ASK_REPLICA)) || slow || watch->quick || watch->round % 4 == 0)
                ask |= 1u << ASK_TICK;
        if (!replica && (slow || watch->quick || !watch->primary || watch->round % 5 == 0))
                ask |= 1u << ASK_REPLICA;
        bool by_position = dialect->flavour == FLAVOUR_MYSQL && !view->gtid_mode;
        if (slow || (watch->primary && (by_position || watch->round % 5 == 0)))
                ask |= 1u << ASK_BINLOG;
        if (view->semi_sync_installed && (slow || (watch->primary && view->semi_sync_source_enabled)))
                ask |= 1u << ASK_SEMI_SYNC;
        /* A dead primary cannot be asked which of them ran. */
        if (watch->primary && (slow || !watch->events_asked)) {
                ask |= 1u << ASK_EVENTS;
                watch->events_asked = true;
        }
        if (watch->locking.wanted != watch->locking.held && (watch->lock_changed || slow || watch->round % 5 == 0)) {
                watch->lock_changed = false;
                ask |= 1u << ASK_LOCK;
        }
        if (watch->primary && watch->config->detection.ping == DETECTION_PING_INSERT)
                ask |= watch->ping_table_made ? 1u << ASK_INSERT : 1u << ASK_PING_SCHEMA | 1u << ASK_PING_TABLE;
        return ask;
}

static void on_probe(Sql *sql, const Failure *failure, void *userdata)
{
        Watch *watch = userdata;
        if (failure && sql_evidence(sql) != SQL_EVIDENCE_ERROR) {
                watch->fresh = true;
                failed(watch, sql, failure);
                return;
        }
        watch->probe = sql_free(watch->probe);
        next_question(watch);
}

static Sql *open_connection(Watch *watch, sql_connected_fn connected, sql_lost_fn lost)
{
        const ClusterConfig *config = watch->config;
        SqlParams params = {
                .address = watch->addresses[0],
                .port = watch->server->port,
                .user = config->sql.user,
                .password = config->sql.password,
                .tls = config->sql.tls.mode,
                .ca_file = config->sql.tls.ca_file,
                .cert_file = config->sql.tls.certificate_file,
                .key_file = config->sql.tls.key_file,
                .tls_name = watch->server->host,
                .init = SQL_INIT,
                .role = "watch",
                .user_timeout = usec_add(config->detection.ping_timeout, config->detection.ping_interval),
        };
        usec_t deadline = usec_add(loop_now(watch->loop), config->detection.connect_timeout);
        return sql_connect(watch->loop, &params, deadline, connected, lost, watch);
}

static void ask_now(Watch *watch)
{
        watch->began_at = loop_now(watch->loop);
        watch->pending = questions(watch);
        watch->current = 0;
        if (watch->primary && watch->config->detection.ping == DETECTION_PING_CONNECT && !watch->fresh) {
                watch->state = WATCH_ASKING;
                timer_stop(watch->timer);
                watch->probe = open_connection(watch, on_probe, NULL);
                return;
        }
        next_question(watch);
}

static void on_connected(Sql *sql, const Failure *failure, void *userdata)
{
        Watch *watch = userdata;
        resolver_note(watch->resolver, watch->server->host, watch->server->port,
                      !failure || sql_evidence(sql) == SQL_EVIDENCE_ERROR);
        if (failure) {
                note_failure(watch, sql, failure);
                wait_to_connect(watch);
                tell(watch);
                return;
        }
        gate_leave(watch->pass);
        /* It may be another server than before, or another version of it. */
        watch->view->identified = false;
        watch->ping_table_made = false;
        if (watch->next_tick < loop_now(watch->loop)) /* without a connection there was no tick to miss */
                watch->next_tick = loop_now(watch->loop);
        ask_now(watch);
        watch->again = true; /* what the first answer makes possible is asked at once */
}

static void on_resolved(const char *const *addresses, size_t n, const Failure *failure, void *userdata)
{
        Watch *watch = userdata;
        watch->query = NULL;
        if (n == 0) {
                (void) observation_note_evidence(watch->view, EVIDENCE_UNKNOWN, failure->code, failure->text,
                                                 loop_now(watch->loop));
                wait_to_connect(watch);
                tell(watch);
                return;
        }
        for (size_t i = 0; i < watch->n_addresses; i++)
                free(watch->addresses[i]);
        watch->addresses = alloc_resize(watch->addresses, n, sizeof *watch->addresses);
        for (size_t i = 0; i < n; i++)
                watch->addresses[i] = alloc_string(addresses[i]);
        watch->n_addresses = n;
        watch->state = WATCH_CONNECTING;
        watch->fresh = true;
        timer_stop(watch->timer);
        watch->sql = open_connection(watch, on_connected, on_lost);
}

static void connect_admitted(void *userdata)
{
        Watch *watch = userdata;
        watch->began_at = loop_now(watch->loop);
        watch->state = WATCH_RESOLVING;
        timer_stop(watch->timer);
        usec_t deadline = usec_add(loop_now(watch->loop), watch->config->detection.connect_timeout);
        watch->query =
                resolver_query(watch->resolver, watch->server->host, watch->server->port, deadline, on_resolved, watch);
}

/* Whom somebody waits for does not queue. */
static void connect_now(Watch *watch)
{
        if (watch->primary || watch->urgent || watch->quick) {
                connect_admitted(watch);
                return;
        }
        watch->state = WATCH_QUEUED;
        timer_stop(watch->timer);
        gate_enter(watch->pass);
}

static void on_timer(void *userdata)
{
        Watch *watch = userdata;
        if (watch->state == WATCH_WAITING)
                connect_now(watch);
        else if (watch->state == WATCH_IDLE) {
                if (usec_sub(loop_now(watch->loop), watch->next_tick) > interval(watch) / 2)
                        watch->late_ticks++;
                ask_now(watch);
        }
}

void watch_hurry(Watch *watch)
{
        watch->quick = true;
        watch->wanted_after = loop_now(watch->loop);
        if (watch->state == WATCH_QUEUED) {
                gate_leave(watch->pass);
                watch->state = WATCH_WAITING;
        }
        if (watch->state == WATCH_ASKING)
                watch->again = true;
        else if (watch->state == WATCH_IDLE || watch->state == WATCH_WAITING)
                timer_set_in(watch->timer, 0);
}

void watch_relax(Watch *watch)
{
        watch->quick = false;
}

void watch_set_lock(Watch *watch, MhaLock lock)
{
        watch->lock_changed = watch->lock_changed || watch->locking.wanted != lock;
        watch->locking.wanted = lock;
        if (lock == MHA_LOCK_NONE && watch->view->manager) { /* it is not asked for any more */
                mha_locking_forget(&watch->locking);
                note_manager(watch);
        }
}

const char *watch_lock_session(const Watch *watch)
{
        return watch->locking.session ? watch->locking.session : "";
}

void watch_remember_lock_session(Watch *watch, const char *session)
{
        free(watch->locking.session);
        watch->locking.session = alloc_string(session);
}

void watch_recall(Watch *watch, const Json *kept)
{
        identity_recall(kept, watch->server, watch->view);
}

bool watch_take_new_identity(Watch *watch)
{
        bool is_new = watch->identity_is_new;
        watch->identity_is_new = false;
        return is_new;
}

void watch_set_primary(Watch *watch, bool primary)
{
        if (primary && !watch->primary)
                watch->events_asked = false;
        watch->primary = primary;
}

void watch_set_urgent(Watch *watch, bool urgent)
{
        watch->urgent = urgent;
}

Watch *watch_new(Loop *loop, Resolver *resolver, Gate *gate, const ClusterConfig *config, const Server *server,
                 double phase, watch_fn changed, void *userdata)
{
        Watch *watch = ALLOC(Watch);
        *watch = (Watch){
                .loop = loop,
                .resolver = resolver,
                .config = config,
                .server = server,
                .changed = changed,
                .userdata = userdata,
                .state = WATCH_WAITING,
                .view = server_view_new(),
                .wanted_after = loop_now(loop),
        };
        watch->timer = timer_new(loop, config->detection.ping_interval / TOGETHER, on_timer, watch);
        watch->pass = gate_pass_new(gate, connect_admitted, watch);
        /* The first question soon, the later ones spread over the interval. */
        usec_t offset = (usec_t) (phase * (double) config->detection.ping_interval);
        watch->next_tick = loop_now(loop) + offset;
        timer_set_in(watch->timer, offset / 4);
        return watch;
}

Watch *watch_free(Watch *watch)
{
        if (!watch)
                return NULL;
        resolver_abandon(watch->query);
        drop_connection(watch);
        gate_pass_free(watch->pass);
        timer_free(watch->timer);
        for (size_t i = 0; i < watch->n_addresses; i++)
                free(watch->addresses[i]);
        free(watch->addresses);
        server_view_free(watch->view);
        mha_locking_done(&watch->locking);
        free(watch);
        return NULL;
}

const Server *watch_server(const Watch *watch)
{
        return watch->server;
}

const ServerView *watch_view(const Watch *watch)
{
        return watch->view;
}

const char *const *watch_addresses(const Watch *watch, size_t *ret_n)
{
        *ret_n = watch->n_addresses;
        return (const char *const *) watch->addresses;
}

usec_t watch_last_ping(const Watch *watch)
{
        return watch->last_ping;
}

const Histogram *watch_pings(const Watch *watch)
{
        return &watch->pings;
}

usec_t watch_last_good_real(const Watch *watch)
{
        return watch->last_good_real;
}

uint64_t watch_late_ticks(const Watch *watch)
{
        return watch->late_ticks;
}

usec_t watch_asked_at(const Watch *watch)
{
        return watch->ended_began_at;
}
