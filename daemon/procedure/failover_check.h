/* mhactl check failover: what would happen if a server died now. Pure. */
#pragma once

#include "checklist.h"
#include "facts.h"

typedef enum TailAccess {
        TAIL_UNKNOWN, /* its host was not asked */
        TAIL_READABLE,
        TAIL_UNREADABLE,
        _TAIL_ACCESS_MAX,
} TailAccess;

/* If the primary (facts "old_primary") died now: {"candidate", "why", "loss", "at_most", "duration"}. loss is what is known to
 * be lost, at_most what may be; candidate is absent when there is none. */
Json *failover_forecast(const Facts *facts, TailAccess tail);
/* The same for each server, as checks; holds are the reasons for which there would be no failover by itself (an array of
 * strings). Appends to results. */
void failover_check_judge(const Facts *facts, const Json *holds, TailAccess tail, Json *results);
