/* What people have done to a cluster while no daemon was at work on its failover: the run must not undo it, nor open another
 * server. Pure. */
#pragma once

#include "observation.h"
#include "step.h"

typedef struct Present {
        const char *name;
        const ServerView *view;
        bool primary; /* by what the servers say now */
} Present;

/* What is not as a failover has left it that has opened nobody, in words for people; NULL when all is, or cannot be asked.
 * detaching: it may have detached the candidate. The caller frees it. */
char *meanwhile_done(const Facts *facts, bool detaching, const Present *servers, size_t n);

/* What a run has to know of that when it is undone. The caller frees it. */
Json *meanwhile_learned(bool detaching);
/* Whether it knows, and somebody else than the run has changed whom a replica follows, or has opened it. */
bool meanwhile_is_theirs(const Facts *facts, const char *server, const ServerView *view);

/* What would take the clients away from whom people have made the primary. */
bool skip_restore_address(const Facts *facts);
bool skip_take_stop_back(const Facts *facts);
