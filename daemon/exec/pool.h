/* The connections to one server that jobs share: SQL work connections, each for one job at a time, and one SSH session.
 * They are made when needed, kept while a run goes on, and closed after a minute without use. */
#pragma once

#include "resolve.h"
#include "server.h"
#include "sql.h"
#include "ssh.h"

typedef struct PoolSettings {
        SqlParams sql; /* everything but the address, the port and the certificate's name */
        SshParams ssh; /* everything but the name, the address, the port and the user */
        Resolver *resolver;
        usec_t connect_timeout;
} PoolSettings;

typedef struct Pool Pool;
typedef struct PoolClaim PoolClaim;

/* One of sql and link, or a failure. The link may still be connecting: tasks can be given to it at once. */
typedef void (*pool_fn)(Sql *sql, SshLink *link, const Failure *failure, void *userdata);

/* settings are lent; server is copied. */
Pool *pool_new(Loop *loop, const Server *server, const PoolSettings *settings);
/* Closes everything; claims must be abandoned and connections given back before. Takes NULL. */
Pool *pool_free(Pool *pool);
const char *pool_name(const Pool *pool);

/* A usable SQL connection, the caller's alone until it is given back or dropped. Statements that were left behind in
 * the server are ended first. Jobs one after another get the same connection, and find its session as they left it; those of
 * a tag get the one that is held for it, and no others do. */
PoolClaim *pool_claim_sql(Pool *pool, const char *tag, usec_t deadline, pool_fn done, void *userdata);
/* The SSH session: shared, lent until the loop turns. */
PoolClaim *pool_claim_ssh(Pool *pool, usec_t deadline, pool_fn done, void *userdata);
/* A session of its own, the caller's from here on. ended is called with NULL when it is up, and with a failure when
 * it cannot be made or is lost: it is left to be freed then. */
PoolClaim *pool_claim_own_ssh(Pool *pool, usec_t deadline, ssh_link_lost_fn ended, pool_fn done, void *userdata);
/* Ends a claim without calling its function; takes NULL. */
PoolClaim *pool_abandon(PoolClaim *claim);

/* Its session has a lock that jobs of this tag rely on; NULL: no longer. */
void pool_hold(Pool *pool, Sql *sql, const char *tag);
/* Back for others; a dead one is closed. */
void pool_give_back(Pool *pool, Sql *sql);
/* Closes it in the middle of a statement, which is then ended over another connection, as soon as there is one. */
void pool_drop(Pool *pool, Sql *sql);
/* Connect in advance; failures are silent. */
void pool_warm_sql(Pool *pool);
void pool_warm_ssh(Pool *pool);
/* Closes what is idle, but what is held for another tag. */
void pool_cool(Pool *pool, const char *tag);
