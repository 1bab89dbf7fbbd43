/* Who is primary and who follows whom, read from the servers' own answers, never from the configuration; and what is
 * wrong with it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "observation.h"
#include "server.h"

typedef enum Role {
        ROLE_UNKNOWN, /* not read yet, or not classifiable */
        ROLE_PRIMARY,
        ROLE_CO_PRIMARY,  /* replicates with the primary in a circle */
        ROLE_REPLICA,     /* of the primary */
        ROLE_SUB_REPLICA, /* of another server of this cluster, mostly a replica */
        ROLE_STRAY,       /* of a server that is not in the configuration */
        ROLE_ALONE,       /* neither replicates nor is followed */
        ROLE_DEAD,        /* down, and not the primary */
        ROLE_OBSERVER,    /* has no database */
        _ROLE_MAX,
        _ROLE_INVALID = -22,
} Role;

/* Stable names: status, alerts and the manual use them. */
typedef enum ProblemId {
        PROBLEM_NO_PRIMARY,        /* nobody can be told to be it */
        PROBLEM_TWO_PRIMARIES,     /* two writable servers */
        PROBLEM_ALL_READ_ONLY,     /* the primary is read-only */
        PROBLEM_AMBIGUOUS_PRIMARY, /* servers disagree, or only a hint of the past says who it is */
        PROBLEM_WRITABLE_REPLICA,
        PROBLEM_UNKNOWN_SOURCE, /* follows a server that is not in the configuration */
        PROBLEM_OTHER_SOURCE,   /* replicates from another server than the primary, or from a dead one */
        PROBLEM_ALONE,          /* does not replicate and is not the primary */
        PROBLEM_SEVERAL_CHANNELS,
        PROBLEM_RECEIVER_STOPPED,
        PROBLEM_RECEIVER_ERROR,
        PROBLEM_APPLIER_STOPPED,
        PROBLEM_APPLIER_ERROR,
        PROBLEM_LAG,
        PROBLEM_DELAYED,   /* on purpose: never promoted */
        PROBLEM_NO_BINLOG, /* a replica without binary log: never promoted */
        PROBLEM_FILTERS_DIFFER,
        PROBLEM_SERVER_DOWN,
        PROBLEM_SERVER_ERROR,      /* it lives, but does not let us in */
        PROBLEM_SERVER_UNREADABLE, /* it answers, but does not say what has to be known */
        PROBLEM_SERVER_UNASKED,    /* no attempt to ask it gets as far as to it */
        PROBLEM_DUPLICATE_ID,      /* two servers with one server_id or UUID */
        PROBLEM_MIXED_FLAVOURS,    /* MySQL and MariaDB in one cluster */
        PROBLEM_LOCKED,            /* the primary's writers wait for replicas to acknowledge, and too few can */
        PROBLEM_OTHER_MANAGER,     /* somebody else has MHA's lock */
        _PROBLEM_MAX,
        _PROBLEM_INVALID = -22,
} ProblemId;

typedef struct TopologyServer {
        const Server *server;
        const ServerView *view;       /* NULL for an observer */
        const char *const *addresses; /* what server->host resolves to */
        size_t n_addresses;
        bool excused; /* an operator works on it: what is wrong with it alone is no problem */
        bool fenced;  /* it was replaced, or was not to be opened: whoever else takes writes is the primary */
        bool fresh;   /* fenced, and not seen read-only since it is back: nobody can have made it writable on purpose */
} TopologyServer;

typedef struct Problem {
        ProblemId id;
        ssize_t server; /* index, -1: of the cluster */
        char *text;     /* a sentence for the operator */
        bool blocks;    /* no automatic failover while it stands */
} Problem;

typedef struct TopologyEntry {
        Role role;
        ssize_t source; /* index of the server that it follows; -1: none or not in the configuration */
} TopologyEntry;

typedef struct Topology {
        TopologyEntry *entries; /* one a server, in their order */
        size_t n_entries;
        ssize_t primary;   /* -1: not known */
        bool primary_down; /* it gives no sign of life (REFUSED, SILENT, FROZEN or HUNG) */
        Problem *problems;
        size_t n_problems;
} Topology;

const char *role_to_string(Role role);
Role role_from_string(const char *name);
const char *problem_to_string(ProblemId id);
ProblemId problem_from_string(const char *name);

/* known_primary is who it was according to the journal, or NULL: it breaks ties and never overrules the servers.
 * A lag of max_lag seconds or more is a problem; 0: never. Ends with topology_done(). */
Topology topology_read(const TopologyServer *servers, size_t n_servers, const char *known_primary, int64_t max_lag);
void topology_done(Topology *topology);
static inline void topology_done_cleanup(Topology *topology)
{
        topology_done(topology);
}
/* The first problem that blocks, or NULL. */
const Problem *topology_blocker(const Topology *topology);
/* The first problem of that kind, or NULL. */
const Problem *topology_find(const Topology *topology, ProblemId id);
/* Whether one is the other, perhaps in other words. */
bool problem_is_same(const Problem *a, const Problem *b);
/* The index of the server that a channel points at; -1 when it is none of these. */
ssize_t topology_match_source(const TopologyServer *servers, size_t n_servers, const ReplicaChannel *channel);
/* The first server that is not seen to follow the primary, itself or through others; -1: none. left_out: those that do not count,
 * one a server. */
ssize_t topology_find_apart(const Topology *topology, const bool *left_out);
