/* Is the primary dead? One table over what we see ourselves and what the others see of it; and what holds an automatic
 * failover back even then. A primary is dead when those who can see it say so, not when one path is broken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "observation.h"
#include "text.h"
#include "usec.h"

/* What a replica's receiver thread tells about the primary. */
typedef enum ReceiverOpinion {
        RECEIVER_SAYS_NOTHING,   /* stopped, not askable, or its state proves nothing */
        RECEIVER_SAYS_CONNECTED, /* and an event or heartbeat has come lately */
        RECEIVER_SAYS_STALE,     /* connected, but a heartbeat is overdue */
        RECEIVER_SAYS_LOST,      /* no connection: refused, reset or timed out */
        RECEIVER_SAYS_ERROR,     /* the primary turned it away with an error: it lives */
        _RECEIVER_OPINION_MAX,
        _RECEIVER_OPINION_INVALID = -22,
} ReceiverOpinion;

/* What came back through a tunnel from the witness's host to the primary's SQL port. */
typedef enum TunnelOpinion {
        TUNNEL_SAYS_NOTHING, /* no SSH, or not finished */
        TUNNEL_SAYS_GREETING,
        TUNNEL_SAYS_ERROR, /* an error packet, such as too many connections: it lives */
        TUNNEL_SAYS_REFUSED,
        TUNNEL_SAYS_SILENT, /* connecting did not end */
        TUNNEL_SAYS_FROZEN, /* connected, no greeting */
        _TUNNEL_OPINION_MAX,
        _TUNNEL_OPINION_INVALID = -22,
} TunnelOpinion;

/* A replica or an observer that may be asked for its opinion. */
typedef struct Witness {
        const char *name;
        bool reachable; /* SQL or SSH of it answers */
        bool pending;   /* an answer that may still come before the deadline of the question */
        ReceiverOpinion receiver;
        TunnelOpinion tunnel;
        bool tunnel_is_newer; /* its attempt began after the last that the receiver heard */
        bool same_host; /* as the suspect: that it reaches it says nothing of the network, and it falls silent with it */
} Witness;

/* What one witness says, all in all. */
typedef enum Voice {
        VOICE_NONE,  /* it has no opinion */
        VOICE_ALIVE, /* any sign of life outweighs everything else */
        VOICE_GONE,  /* refused */
        VOICE_LOST,  /* silent, frozen, or its receiver lost the connection */
        VOICE_STALE, /* its receiver is overdue */
        _VOICE_MAX,
} Voice;

/* What the witnesses say together; exactly one holds. */
typedef enum Crowd {
        CROWD_NOBODY,      /* no witness is configured */
        CROWD_SEES_IT,     /* at least one sees it alive */
        CROWD_GONE,        /* none does, and at least one was refused */
        CROWD_PENDING,     /* neither, and answers are outstanding */
        CROWD_LOST_ALL,    /* all lost it */
        CROWD_LOST_SOME,   /* some lost it, the others say nothing or are overdue */
        CROWD_STALE,       /* receivers are overdue, and that is all */
        CROWD_SPEECHLESS,  /* some can be reached, but none has an opinion */
        CROWD_UNREACHABLE, /* none can be reached */
        _CROWD_MAX,
        _CROWD_INVALID = -22,
} Crowd;

typedef enum Finding {
        FINDING_ALIVE,
        FINDING_SUSPECT, /* go on asking */
        FINDING_DEAD,
        FINDING_UNREACHABLE_FROM_HERE,
        FINDING_ISOLATED, /* nobody can be asked: we are the ones cut off */
        FINDING_STALLED,  /* it greets, but its queries hang */
        FINDING_LOCKED,   /* writers wait for a semi-sync acknowledgement that nobody can give */
        _FINDING_MAX,
        _FINDING_INVALID = -22,
} Finding;

/* Which of the configured times a finding must hold before it is acted on. */
typedef enum Persistence {
        PERSISTENCE_NONE,
        PERSISTENCE_GRACE,      /* process gone: for a service manager to restart it */
        PERSISTENCE_BLACK_HOLE, /* nothing comes back */
        PERSISTENCE_FROZEN,
        PERSISTENCE_CAREFUL, /* twice the longest of these: the evidence is thin */
        _PERSISTENCE_MAX,
} Persistence;

typedef struct PersistenceTimes {
        usec_t grace, black_hole, frozen;
} PersistenceTimes;

typedef struct Suspicion {
        Evidence own;
        bool semi_sync_locked; /* hint: sessions wait and fewer replicas acknowledge than are needed */
        const Witness *witnesses;
        size_t n_witnesses;
} Suspicion;

typedef struct VerdictRow {
        const char *id; /* stable: "D1" */
        unsigned own;   /* bit mask of Evidence */
        unsigned crowd; /* bit mask of Crowd */
        int locked;     /* 0, 1, or -1: does not matter */
        Finding finding;
        Persistence persistence;
        const char *sentence;
} VerdictRow;

typedef struct Conclusion {
        const VerdictRow *row;
        Crowd crowd;
        size_t n_exist; /* whose opinion could be had: not one that is cut off with the suspect's host */
        size_t n_reachable, n_pending, n_voices[_VOICE_MAX];
} Conclusion;

const char *finding_to_string(Finding finding);
Finding finding_from_string(const char *name);
const char *persistence_to_string(Persistence persistence);
const char *crowd_to_string(Crowd crowd);
const char *receiver_opinion_to_string(ReceiverOpinion opinion);
const char *tunnel_opinion_to_string(TunnelOpinion opinion);

/* What a receiver thread's state means at a time. An event or heartbeat is fresh for limit; a heartbeat is overdue after
 * twice its period and limit, and never when its period is not known. */
ReceiverOpinion suspicion_receiver(const ReplicaChannel *channel, usec_t now, usec_t limit);
Voice suspicion_voice(const Witness *witness);
Conclusion suspicion_judge(const Suspicion *suspicion);
/* How long a finding has yet to hold when it has held for so long: 0 when it may be acted on. */
usec_t suspicion_remaining(const Conclusion *conclusion, const PersistenceTimes *times, usec_t held_for);
/* The evidence, "here: refused; db2 is refused; db3 cannot be asked": for the record. The caller frees it. */
char *suspicion_describe(const Suspicion *suspicion);
/* Whose answers are outstanding, separated by commas; "" when none are. The caller frees it. */
char *suspicion_outstanding(const Suspicion *suspicion);

/* The table, and the table as text for the manual. */
const VerdictRow *verdict_table(size_t *ret_n);
void verdict_print(Text *text);

/* Why a dead primary is not failed over by itself. */
typedef enum Guard {
        GUARD_PAUSED,
        GUARD_MONITOR,     /* the cluster is only watched */
        GUARD_FLAP,        /* the last failover was too recent */
        GUARD_STORM,       /* many clusters lost their primaries together */
        GUARD_STALL,       /* the clock jumped or this process stood still */
        GUARD_TOPOLOGY,    /* a problem that blocks */
        GUARD_HALTED,      /* the last run waits for an operator */
        GUARD_UNREACHABLE, /* a replica cannot be reached either, and that is to hold */
        GUARD_NO_CANDIDATE,
        GUARD_SECONDARY, /* MHA's secondary_check_script does not say that it is dead */
        _GUARD_MAX,
        _GUARD_INVALID = -22,
} Guard;

typedef struct GuardInput {
        const char *cluster;
        bool paused;
        const char *pause_reason; /* may be NULL */
        bool monitor_only;
        bool had_failover;
        usec_t since_failover; /* by the wall clock; 0 also when that lies in the future */
        usec_t flap_window;
        bool acknowledged;
        size_t hosts_lost;      /* that carried primaries, together with this one: storm_count() */
        size_t storm_limit;     /* 0: no storm guard */
        const char *lost_names; /* which primaries, for people; may be NULL */
        bool stalled;
        const char *problem; /* the topology problem that blocks, or NULL */
        bool primary_known;  /* else an order to fail over is refused, too */
        bool halted;
        const char *unreachable;  /* a replica that must not be left behind and cannot be reached, or NULL */
        const char *no_candidate; /* why there is none, or NULL */
        const char *secondary;    /* what secondary_check_script said instead of "dead", or NULL */
} GuardInput;

/* Primaries that are lost within this time of each other are lost together. */
#define STORM_WINDOW (10 * USEC_SEC)

typedef struct Loss {
        usec_t at;        /* when the primary was first suspected, by the monotonic clock */
        const char *host; /* that carried it, the same for all primaries on that host */
        const char *name; /* of cluster and server, for people */
} Loss;

/* On how many hosts primaries were lost together with one that was lost then. A host that dies with several primaries is
 * one loss. *ret_names (may be NULL) becomes the list of these primaries; the caller frees it. */
size_t storm_count(const Loss *losses, size_t n, usec_t at, char **ret_names);
/* How many such hosts are too many to be a coincidence, of so many that carry primaries: a third, from six on; 0: any
 * number may be. */
size_t storm_limit(size_t n_hosts);

typedef struct GuardReason {
        Guard guard;
        char text[400]; /* why, and what to type */
} GuardReason;

typedef struct GuardReasons {
        GuardReason items[_GUARD_MAX];
        size_t n_items; /* 0: nothing holds it */
} GuardReasons;

const char *guard_to_string(Guard guard);
GuardReasons guard_check(const GuardInput *input);
