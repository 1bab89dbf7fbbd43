/* Names to numeric addresses. Each lookup runs in a helper thread; answers are kept and refreshed behind the caller's
 * back, so that a name that was known once is answered at once, even when DNS is dead. */
#pragma once

#include "failure.h"
#include "loop.h"

typedef struct Resolver Resolver;
typedef struct ResolverQuery ResolverQuery;

/* At least one address, IPv4 before IPv6; or n_addresses 0 and a failure. All is lent. */
typedef void (*resolver_fn)(const char *const *addresses, size_t n_addresses, const Failure *failure, void *userdata);

/* An answer older than refresh is still given, and asked for again. */
Resolver *resolver_new(Loop *loop, usec_t refresh);
/* Ends all queries without calling their functions. */
Resolver *resolver_free(Resolver *resolver);
DEFINE_CLEANUP(Resolver *, resolver_free)

/* Calls done once, from the loop, by deadline (absolute). An IP literal needs no thread. The query is gone then. */
ResolverQuery *resolver_query(Resolver *resolver, const char *name, usec_t deadline, resolver_fn done, void *userdata);
/* Ends a query without calling done; takes NULL. */
ResolverQuery *resolver_abandon(ResolverQuery *query);
