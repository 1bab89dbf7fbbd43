/* MHA's advisory locks, so that one of its managers and this daemon never act on one cluster: who has the monitor's lock on
 * the primary is in charge, and nobody fails over without the failover's lock on the replicas. A session can have one lock
 * (more only in newer versions), and a server one of the two: it is primary or replica. */
#pragma once

#include <stdint.h>

#include "script.h"

typedef enum MhaLock {
        MHA_LOCK_NONE,
        MHA_LOCK_MONITOR,
        MHA_LOCK_FAILOVER,
        _MHA_LOCK_MAX,
} MhaLock;

typedef struct MhaLocking {
        MhaLock wanted, held;
        char *session;        /* the last of ours that had a lock, "17@10.0.0.9:41234"; kept over a restart */
        uint64_t holder, own; /* sessions, by number; holder 0: nobody else */
        char *manager;        /* who has it, in words; NULL: nobody else */
        bool was_ours;        /* the holder is a session of ours that the server has not missed yet */
} MhaLocking;

void mha_locking_done(MhaLocking *locking);
/* Who else has it is nobody's business any more. */
void mha_locking_forget(MhaLocking *locking);
/* A new session has no lock. */
void mha_locking_reset(MhaLocking *locking);

/* Statements, which the caller frees; NULL: there is nothing to ask. */
char *mha_locking_take(const MhaLocking *locking);   /* takes what is wanted, or gives it back */
char *mha_locking_holder(const MhaLocking *locking); /* who has it */
char *mha_locking_end(const MhaLocking *locking);    /* ends the session of ours that was left */
/* Their answers; what is no answer changes nothing. */
void mha_locking_took(MhaLocking *locking, const Reply *reply);
void mha_locking_held(MhaLocking *locking, const Reply *reply);
