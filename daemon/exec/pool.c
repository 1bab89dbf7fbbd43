/* Shared connections to one server. Owns them all, those that are lent to a job too, and the ids of statements that
 * were left running. Must never hand a connection to two jobs. */
#include "pool.h"

#include <string.h>

#include "alloc.h"
#include "reap.h"
#include "text.h"

#define IDLE_MAX USEC_MINUTE
#define LEFT_BEHIND_MAX 16
#define SWEEP_INTERVAL USEC_SEC
#define SWEEP_TIMEOUT (3 * USEC_SEC)
#define SWEEPS_MAX 60
#define WARM_TIMEOUT (5 * USEC_SEC)
#define MARK_OF_ALL "/* mhad "

typedef struct Connection {
        struct Connection *next;
        Pool *pool;
        Sql *sql;
        char *holder; /* the tag of the jobs whose lock its session has; NULL: anybody's */
        bool lent;
        usec_t idle_since;
} Connection;

typedef enum ClaimState { CLAIM_RESOLVING, CLAIM_CONNECTING, CLAIM_REAPING, CLAIM_READY } ClaimState;

struct PoolClaim {
        PoolClaim *next;
        Pool *pool;
        ClaimState state;
        bool ssh;
        ssh_link_lost_fn ended; /* for a session of its own */
        SshLink *own;
        usec_t deadline;
        ResolverQuery *query;
        Connection *connection;
        Reap *reap;
        uint64_t reaping[LEFT_BEHIND_MAX];
        size_t n_reaping;
        Timer *report; /* deferred */
        Failure failure;
        pool_fn done;
        void *userdata;
};

struct Pool {
        Loop *loop;
        Server server;
        const PoolSettings *settings;
        Connection *connections; /* oldest first */
        SshLink *link;
        usec_t link_used;
        PoolClaim *claims;
        Timer *idle;

        uint64_t left_behind[LEFT_BEHIND_MAX];
        size_t n_left_behind;
        unsigned n_sweeps;
        Timer *sweep;
};

/* Connections. */

static Connection *connection_find(Pool *pool, const Sql *sql)
{
        Connection *connection = pool->connections;
        while (connection && connection->sql != sql)
                connection = connection->next;
        return connection;
}

static void connection_close(Connection *connection)
{
        Connection **at = &connection->pool->connections;
        while (*at != connection)
                at = &(*at)->next;
        *at = connection->next;
        sql_free(connection->sql);
        free(connection->holder);
        free(connection);
}

static bool is_held_by_another(const Connection *connection, const char *tag)
{
        return connection->holder && !text_equal(connection->holder, tag);
}

/* The one with a lock of that tag before all others. */
static Connection *connection_idle(Pool *pool, const char *tag)
{
        Connection *found = NULL;
        for (Connection *connection = pool->connections; connection; connection = connection->next) {
                if (connection->lent || !sql_is_usable(connection->sql) || is_held_by_another(connection, tag))
                        continue;
                if (!found || connection->holder)
                        found = connection;
        }
        return found;
}

static void on_lost(Sql *sql, const Failure *failure, void *userdata)
{
        Connection *connection = userdata;
        if (!connection->lent) /* else its job will find out */
                connection_close(connection);
}

static void close_idle(Pool *pool, const char *tag, usec_t before)
{
        for (Connection *connection = pool->connections, *next; connection; connection = next) {
                next = connection->next;
                if (!connection->lent && connection->idle_since <= before && !is_held_by_another(connection, tag))
                        connection_close(connection);
        }
        if (pool->link && ssh_link_n_tasks(pool->link) == 0 && pool->link_used <= before)
                pool->link = ssh_link_free(pool->link);
}

static void on_idle(void *userdata)
{
        Pool *pool = userdata;
        close_idle(pool, NULL, usec_sub(usec_now_monotonic(), IDLE_MAX));
        if (pool->connections || pool->link)
                timer_set_in(pool->idle, IDLE_MAX / 2);
}

/* Claims. */

PoolClaim *pool_abandon(PoolClaim *claim)
{
        if (!claim)
                return NULL;
        PoolClaim **at = &claim->pool->claims;
        while (*at != claim)
                at = &(*at)->next;
        *at = claim->next;
        resolver_abandon(claim->query);
        timer_free(claim->report);
        reap_abandon(claim->reap);
        if (claim->connection) {
                claim->connection->lent = false;
                claim->connection->idle_since = usec_now_monotonic();
                if (!sql_is_usable(claim->connection->sql))
                        connection_close(claim->connection);
        }
        free(claim);
        return NULL;
}

static void claim_report(void *userdata)
{
        PoolClaim *claim = userdata;
        claim->report = NULL;
        pool_fn done = claim->done;
        void *owner = claim->userdata;
        Failure failure = claim->failure;
        Sql *sql = claim->connection ? claim->connection->sql : NULL;
        SshLink *link = claim->ssh && failure.kind == FAILURE_NONE ? claim->pool->link : NULL;
        if (claim->own)
                link = TAKE(claim->own);
        claim->connection = NULL; /* the owner's from here on */
        pool_abandon(claim);
        done(sql, link, failure.kind == FAILURE_NONE ? NULL : &failure, owner);
}

static void claim_fail(PoolClaim *claim, const Failure *failure)
{
        claim->failure = *failure;
        if (claim->connection)
                connection_close(TAKE(claim->connection));
        claim->state = CLAIM_READY;
        claim_report(claim);
}

static void forget_left_behind(Pool *pool, uint64_t id)
{
        for (size_t i = 0; i < pool->n_left_behind; i++)
                if (pool->left_behind[i] == id)
                        pool->left_behind[i] = pool->left_behind[--pool->n_left_behind];
        if (pool->n_left_behind == 0)
                timer_stop(pool->sweep);
}

static void on_reaped(const Failure *failure, void *userdata)
{
        PoolClaim *claim = userdata;
        claim->reap = NULL;
        if (failure->kind != FAILURE_NONE) {
                claim_fail(claim, failure);
                return;
        }
        for (size_t i = 0; i < claim->n_reaping; i++)
                forget_left_behind(claim->pool, claim->reaping[i]);
        claim->state = CLAIM_READY;
        claim_report(claim);
}

/* It has a connection now. */
static void claim_connected(PoolClaim *claim)
{
        Pool *pool = claim->pool;
        if (pool->n_left_behind > 0) {
                claim->state = CLAIM_REAPING;
                memcpy(claim->reaping, pool->left_behind, sizeof claim->reaping);
                claim->n_reaping = pool->n_left_behind;
                claim->reap = reap_start(pool->loop, claim->connection->sql, MARK_OF_ALL, claim->reaping,
                                         claim->n_reaping, claim->deadline, on_reaped, claim);
                return;
        }
        claim->state = CLAIM_READY;
        claim->report = loop_defer(pool->loop, claim_report, claim);
}

static PoolClaim *claim_of(const Connection *connection)
{
        PoolClaim *claim = connection->pool->claims;
        while (claim && claim->connection != connection)
                claim = claim->next;
        return claim;
}

static void on_connected(Sql *sql, const Failure *failure, void *userdata)
{
        Connection *connection = userdata;
        PoolClaim *claim = claim_of(connection);
        if (failure)
                claim_fail(claim, failure);
        else
                claim_connected(claim);
}

static usec_t connect_deadline(const PoolClaim *claim)
{
        usec_t limit = usec_add(usec_now_monotonic(), claim->pool->settings->connect_timeout);
        return limit < claim->deadline ? limit : claim->deadline;
}

static void connect_sql(PoolClaim *claim, const char *address)
{
        Pool *pool = claim->pool;
        SqlParams params = pool->settings->sql;
        params.address = address;
        params.port = pool->server.port;
        params.tls_name = pool->server.host;
        Connection *connection = ALLOC(Connection);
        *connection = (Connection){ .pool = pool, .lent = true };
        Connection **end = &pool->connections;
        while (*end)
                end = &(*end)->next;
        *end = connection;
        claim->connection = connection;
        claim->state = CLAIM_CONNECTING;
        connection->sql = sql_connect(pool->loop, &params, connect_deadline(claim), on_connected, on_lost, connection);
}

/* The link goes once its tasks have been told; the next claim makes another. */
static void on_link_end(SshLink *link, const Failure *failure, void *userdata)
{
        Pool *pool = userdata;
        resolver_note(pool->settings->resolver, pool->server.ssh_host, pool->server.ssh_port,
                      ssh_link_stage(link) != SSH_STAGE_CONNECT);
        if (failure && pool->link == link)
                pool->link = ssh_link_free(link);
}

static SshParams ssh_params(const Pool *pool, const char *address)
{
        SshParams params = pool->settings->ssh;
        params.name = pool->server.ssh_host;
        params.address = address;
        params.port = pool->server.ssh_port;
        params.user = pool->server.ssh_user;
        return params;
}

static void connect_own(PoolClaim *claim, const char *address)
{
        SshParams params = ssh_params(claim->pool, address);
        claim->own = ssh_link_new(claim->pool->loop, &params, connect_deadline(claim), claim->ended, claim->ended,
                                  claim->userdata);
        claim->state = CLAIM_READY;
        claim_report(claim);
}

static void connect_ssh(PoolClaim *claim, const char *address)
{
        Pool *pool = claim->pool;
        if (pool->link && ssh_link_is_broken(pool->link) && ssh_link_n_tasks(pool->link) == 0)
                pool->link = ssh_link_free(pool->link);
        if (!pool->link) {
                SshParams params = ssh_params(pool, address);
                pool->link = ssh_link_new(pool->loop, &params, connect_deadline(claim), on_link_end, on_link_end, pool);
        }
        pool->link_used = usec_now_monotonic();
        claim->state = CLAIM_READY;
        claim_report(claim);
}

static void on_resolved(const char *const *addresses, size_t n_addresses, const Failure *failure, void *userdata)
{
        PoolClaim *claim = userdata;
        claim->query = NULL;
        if (failure)
                claim_fail(claim, failure);
        else if (claim->ended)
                connect_own(claim, addresses[0]);
        else if (claim->ssh)
                connect_ssh(claim, addresses[0]);
        else
                connect_sql(claim, addresses[0]);
}

static PoolClaim *claim_new(Pool *pool, bool ssh, usec_t deadline, pool_fn done, void *userdata)
{
        PoolClaim *claim = ALLOC(PoolClaim);
        *claim = (PoolClaim){
                .next = pool->claims, .pool = pool, .ssh = ssh, .deadline = deadline, .done = done, .userdata = userdata
        };
        pool->claims = claim;
        timer_set_in(pool->idle, IDLE_MAX);
        return claim;
}

static void claim_resolve(PoolClaim *claim, const char *host, uint16_t port)
{
        claim->query = resolver_query(claim->pool->settings->resolver, host, port, claim->deadline, on_resolved, claim);
}

PoolClaim *pool_claim_sql(Pool *pool, const char *tag, usec_t deadline, pool_fn done, void *userdata)
{
        PoolClaim *claim = claim_new(pool, false, deadline, done, userdata);
        claim->connection = connection_idle(pool, tag);
        if (claim->connection) {
                claim->connection->lent = true;
                claim_connected(claim);
        } else
                claim_resolve(claim, pool->server.host, pool->server.port);
        return claim;
}

static PoolClaim *claim_ssh(Pool *pool, usec_t deadline, ssh_link_lost_fn ended, pool_fn done, void *userdata)
{
        PoolClaim *claim = claim_new(pool, true, deadline, done, userdata);
        claim->ended = ended;
        if (pool->settings->ssh.identity) {
                claim_resolve(claim, pool->server.ssh_host, pool->server.ssh_port);
                return claim;
        }
        failure_set(&claim->failure, FAILURE_INVALID, 0, "no SSH key is configured");
        claim->report = loop_defer(pool->loop, claim_report, claim);
        return claim;
}

PoolClaim *pool_claim_ssh(Pool *pool, usec_t deadline, pool_fn done, void *userdata)
{
        return claim_ssh(pool, deadline, NULL, done, userdata);
}

PoolClaim *pool_claim_own_ssh(Pool *pool, usec_t deadline, ssh_link_lost_fn ended, pool_fn done, void *userdata)
{
        return claim_ssh(pool, deadline, ended, done, userdata);
}

void pool_hold(Pool *pool, Sql *sql, const char *tag)
{
        Connection *connection = connection_find(pool, sql);
        free(connection->holder);
        connection->holder = alloc_string(tag);
}

void pool_give_back(Pool *pool, Sql *sql)
{
        Connection *connection = connection_find(pool, sql);
        connection->lent = false;
        connection->idle_since = usec_now_monotonic();
        if (!sql_is_usable(sql))
                connection_close(connection);
}

/* Statements left behind: whoever connects next ends them, and if nobody does, the sweep does. */

static void on_swept(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        Pool *pool = userdata;
        if (sql)
                pool_give_back(pool, sql);
        else if (++pool->n_sweeps < SWEEPS_MAX)
                timer_set_in(pool->sweep, SWEEP_INTERVAL);
        else
                pool->n_left_behind = 0;
}

static void on_sweep(void *userdata)
{
        Pool *pool = userdata;
        (void) pool_claim_sql(pool, NULL, usec_add(usec_now_monotonic(), SWEEP_TIMEOUT), on_swept, pool);
}

void pool_drop(Pool *pool, Sql *sql)
{
        uint64_t id = sql_thread_id(sql);
        connection_close(connection_find(pool, sql));
        if (id == 0 || pool->n_left_behind == LEFT_BEHIND_MAX)
                return;
        pool->left_behind[pool->n_left_behind++] = id;
        pool->n_sweeps = 0;
        timer_set(pool->sweep, 0);
}

static void on_warm(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        Pool *pool = userdata;
        if (sql)
                pool_give_back(pool, sql);
}

void pool_warm_sql(Pool *pool)
{
        if (!pool->server.observer && !pool->connections)
                (void) pool_claim_sql(pool, NULL, usec_add(usec_now_monotonic(), WARM_TIMEOUT), on_warm, pool);
}

void pool_warm_ssh(Pool *pool)
{
        if (pool->settings->ssh.identity && !pool->link)
                (void) pool_claim_ssh(pool, usec_add(usec_now_monotonic(), WARM_TIMEOUT), on_warm, pool);
}

void pool_cool(Pool *pool, const char *tag)
{
        close_idle(pool, tag, USEC_INFINITY);
}

Pool *pool_new(Loop *loop, const Server *server, const PoolSettings *settings)
{
        Pool *pool = ALLOC(Pool);
        *pool = (Pool){ .loop = loop, .server = server_copy(server), .settings = settings };
        pool->idle = timer_new(loop, USEC_SEC, on_idle, pool);
        pool->sweep = timer_new(loop, 10 * USEC_MSEC, on_sweep, pool);
        return pool;
}

Pool *pool_free(Pool *pool)
{
        if (!pool)
                return NULL;
        while (pool->claims)
                pool_abandon(pool->claims);
        while (pool->connections)
                connection_close(pool->connections);
        ssh_link_free(pool->link);
        timer_free(pool->idle);
        timer_free(pool->sweep);
        server_done(&pool->server);
        free(pool);
        return NULL;
}

const char *pool_name(const Pool *pool)
{
        return pool->server.name;
}
