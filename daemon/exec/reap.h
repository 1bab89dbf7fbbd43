/* Ends statements that a job or a dead daemon has left running in a server, and sees to it that they are gone. */
#pragma once

#include "sql.h"

typedef struct Reap Reap;
/* failure->kind is FAILURE_NONE when none is left. sql may be dead then. */
typedef void (*reap_fn)(const Failure *failure, void *userdata);

/* On a usable connection: KILL whatever runs a statement that begins with mark, only of these ids when n_ids is not 0,
 * again and again until none is left or deadline (absolute) passes. Calls done once, from the loop. */
Reap *reap_start(Loop *loop, Sql *sql, const char *mark, const uint64_t *ids, size_t n_ids, usec_t deadline,
                 reap_fn done, void *userdata);
/* Ends it without calling done; takes NULL. The connection has to be closed then. */
Reap *reap_abandon(Reap *reap);
