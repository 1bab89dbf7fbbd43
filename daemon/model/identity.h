/* What the next process is to know of servers that it may never reach: who they are and where their files lie, as
 * observation_read_identity() read it, and which events run on the primary. Bounded in size, and without secrets. Pure. */
#pragma once

#include "observation.h"
#include "server.h"

typedef struct Identified {
        const Server *server;
        const ServerView *view;
        bool primary;
} Identified;

/* {"NAME": {"host", "port", "events_known": observation_events(), members as in server_view_to_json()}} of all that were ever
 * identified, the primary's first; the events of the primary only. What would make it too large for a state file is left out.
 * The caller frees it. */
Json *identities_of(const Identified *servers, size_t n);
/* Lays what was kept of a server under a view that has read nothing yet, unless it was of a server at another place. */
void identity_recall(const Json *kept, const Server *server, ServerView *view);
