/* What each method of the control API does: a call in, an answer out. Knows nothing of connections. */
#pragma once

#include "api.h"
#include "peer.h"
#include "registry.h"

typedef struct Answer {
        const char *error; /* a varlink error, NULL when it went well */
        Json *parameters;  /* of the reply or the error; NULL for none */
        bool follow;       /* after this, every new event is a further reply */
        bool later;        /* no answer yet: it is given to the call's later function */
        bool busy;         /* servers, hosts or disks are busy with it meanwhile */
} Answer;

/* Who gets the answer of a method that takes its time; registry_forget() for that userdata takes it back. */
typedef struct Later {
        bool may_busy; /* else what would keep servers, hosts or disks busy is refused */
        registry_later_fn answered;
        registry_reload_fn reloaded;
        void *userdata;
} Later;

/* Answers a call that api_call_parse() accepted, also one that it found wrong. */
Answer methods_answer(Registry *registry, const ApiCall *call, const Peer *peer, const Later *later);
/* The answer to a reload, out of what later->reloaded got. */
Answer methods_reloaded(const Json *errors, const Failure *failure);
