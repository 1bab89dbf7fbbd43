/* One run in as many lives as it takes: each life is killed at a chosen point, the engine's memory dropped, the journal
 * opened again, and the run resumed, until a life is left alone to its end. */
#pragma once

#include "runbook.h"
#include "sim.h"

typedef enum KillKind {
        KILL_NEVER,
        KILL_BEFORE_RECORD, /* of this life, counted from 1 */
        KILL_IN_RECORD,     /* half of it is on disk */
        KILL_AFTER_RECORD,  /* it is on disk, and nobody knows */
        KILL_AT_SCRIPT,     /* it was sent */
        FAIL_RECORD,        /* no death: the disk is full, once */
        _KILL_MAX,
} KillKind;

typedef struct Kill {
        KillKind kind;
        unsigned at;
} Kill;

/* Faults of the engine, put in by the test to see that it would find them. */
typedef enum Fault {
        FAULT_NONE,
        FAULT_RETAKE_DECISIONS,   /* a resume forgets what was decided */
        FAULT_ACT_WITHOUT_ASKING, /* the first answer after a resume is ignored */
        FAULT_SETTLE_UNCONFIRMED, /* an act is believed */
        FAULT_ACCEPT_TORN,        /* a torn record is taken for a whole one */
        FAULT_DO_NOT_QUIESCE,
        FAULT_ACT_BEFORE_INTENT, /* an effect goes out whose intent is not on disk */
        _FAULT_MAX,
} Fault;

/* At how many places of each kind a procedure is killed at most. With sanitizers, which look for other mistakes and take ten
 * times as long, at some of them. */
#ifndef __has_feature /* only clang has it */
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define TRIAL_POINTS 10
#else
#define TRIAL_POINTS 60
#endif

typedef struct Trial Trial;

/* What happens to the world between lives and during them, and what an operator would do; each may be NULL. */
typedef struct TrialCalls {
        void (*on_life)(Trial *trial);                     /* a life begins */
        bool (*on_halted)(Trial *trial, Runbook *runbook); /* true: told to go on; false: the trial ends halted */
        void (*on_event)(Trial *trial, const RunEvent *event, Runbook *runbook);
        void (*on_record)(Trial *trial); /* before one is written */
} TrialCalls;

struct Trial {
        Sim *sim;
        const Procedure *procedure;
        Facts initial;
        const TrialCalls *calls;
        Fault fault;
        const Kill *kills; /* one a life */
        size_t n_kills;
        /* Results. */
        RunOutcome outcome;
        char why[600];
        unsigned life;                 /* number of the last one, from 1 */
        unsigned n_records, n_scripts; /* of the present life */
        unsigned n_all_records;        /* of all lives */
        char *violation;               /* what must never be, once seen */
        char *facts;                   /* at the end, as JSON */
        /* Inner. */
        Runbook *runbook;
        bool killed, in_life;
        KillKind died_by;
        Json *begun_synced; /* the same, of what a power cut leaves */
        int64_t synced;     /* bytes of the journal that a power cut leaves */
        char *facts_before; /* in memory when it was killed; NULL when the journal lost records since */
        Json *intents;      /* of the run, by server: what was on disk before an effect */
        Json *begun;        /* steps with a record */
        Json *foreseen;     /* steps of bursts that are on disk */
        Json *judged;       /* how often, by step and server, in this life */
        bool failed;        /* a record could not be written, and the operator has not spoken yet */
};

/* Lives until the end. NULL facts when no life got so far. */
void trial_run(Trial *trial);
void trial_done(Trial *trial);
void trial_violate(Trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *kill_kind_to_string(KillKind kind);
