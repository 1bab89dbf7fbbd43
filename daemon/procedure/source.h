/* Pointing a replica at another source: the one place that writes it. */
#pragma once

#include "observation.h"
#include "step.h"

/* Ends attempts to connect to a port; all its words stand in sudoers. */
#define SOURCE_END_ATTEMPT "ss -KHtn state syn-sent 'dport = :%d'"

/* By which ids a server finds its place, as before. */
SourceMode source_mode(const Facts *facts, const char *server, const ServerView *view);
/* Where the receiver could not be stopped while it waits for a host that does not answer: that attempt ends, if SSH may. To
 * be said before the receiver is stopped; it tries again only later. */
void source_end_attempt(const Facts *facts, const ServerView *view, Script *script);
/* Stops what must be stopped, changes the source and starts replication. view is how the server is now; position is where
 * to begin (NULL: by global transaction ids). */
void source_change(const Facts *facts, const char *server, const ServerView *view, const char *source,
                   const Position *position, Script *script);
