/* Pointing a replica at another source: the one place that writes it. */
#pragma once

#include "observation.h"
#include "step.h"

/* By which ids a server finds its place, as before. */
SourceMode source_mode(const Facts *facts, const char *server, const ServerView *view);
/* Stops what must be stopped, changes the source and starts replication. view is how the server is now; position is where
 * to begin (NULL: by global transaction ids). */
void source_change(const Facts *facts, const char *server, const ServerView *view, const char *source,
                   const Position *position, Script *script);
