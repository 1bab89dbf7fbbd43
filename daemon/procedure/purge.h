/* Relay logs that are applied are removed from one replica, where relay_log_purge is off so that they stay for a rescue: only
 * what every other replica has received as well, and without holding the applier up.
 *
 * A server that removes a large file holds a lock meanwhile, and its applier waits. So each file gets a second name first (a
 * hard link, over SSH): what the server does then is to take a name away, which is done at once, and the bytes are given
 * back in small pieces afterwards. Without SSH the server removes the files itself. */
#pragma once

#include "step.h"

extern const Procedure purge;

/* A few words on what became of it. The caller frees them. */
char *purge_result(const Facts *facts, const char *server);
/* Makes the facts of a run of runs_facts() those of a purge: its others are the replicas that may need what it has. */
void purge_prepare(Facts *facts, const char *server, Json *others, const char *mode);
