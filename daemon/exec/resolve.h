/* Names to numeric addresses. Each lookup runs in a helper thread; answers are kept and refreshed behind the caller's
 * back, so that a name that was known once is answered at once, even when DNS is dead. */
#pragma once

#include "failure.h"
#include "loop.h"

typedef struct Resolver Resolver;
typedef struct ResolverQuery ResolverQuery;

/* At least one address, each in its one canonical spelling: first the one that answers at the port as far as is known, IPv4
 * before IPv6; or n_addresses 0 and a failure. All is lent. */
typedef void (*resolver_fn)(const char *const *addresses, size_t n_addresses, const Failure *failure, void *userdata);

/* An answer older than refresh is still given, and asked for again. */
Resolver *resolver_new(Loop *loop, usec_t refresh);
/* Ends all queries without calling their functions. */
Resolver *resolver_free(Resolver *resolver);
DEFINE_CLEANUP(Resolver *, resolver_free)

/* Calls done once, from the loop, by deadline (absolute). An IP literal needs no thread. The query is gone then. */
ResolverQuery *resolver_query(Resolver *resolver, const char *name, uint16_t port, usec_t deadline, resolver_fn done,
                              void *userdata);
/* Whether the first address of an answer did answer at the port. A name may have addresses where nobody listens, as when a
 * server knows only one of IPv4 and IPv6: until one has answered, all are tried, and that one is kept for a minute though
 * it answers no more, so that what is seen of a dead server does not change with the address. */
void resolver_note(Resolver *resolver, const char *name, uint16_t port, bool answered);
/* Ends a query without calling done; takes NULL. */
ResolverQuery *resolver_abandon(ResolverQuery *query);
