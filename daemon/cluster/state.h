/* What a cluster must remember over a restart besides its runs: one small file, replaced durably. */
#pragma once

#include "json.h"
#include "usec.h"

typedef struct State {
        char *path;
        Json *root; /* {"known_primary", "epoch", "last_failover": {"run", "time", "outcome", "old_primary",
                     *  "new_primary"}, "acknowledged": bool, "paused": {"by", "reason", "until"}, "fenced": [names],
                     *  "unfinished": {"server", "facts"}, "settled_run": the last run all of whose consequences
                     *  are on disk, "attach_due": a failover that has left replicas behind, while attaching them cannot
                     *  be begun, "background_waits": the run that attaches them, when it has given way to an order,
                     *  "identities": identity.h} */
} State;

/* A missing file is an empty state; an unreadable one is an error that names it. */
int state_load(const char *path, State *ret, Failure *reterr);
void state_done(State *state);
/* Writes it if it can; the caller reports the failure. */
int state_save(const State *state, Failure *reterr);
