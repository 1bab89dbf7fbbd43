/* What the journal says about a run: a fold over its records, and nothing else. The engine changes its memory by
 * applying the very records that it wrote, so that memory after a resume equals memory before.
 *
 * kind         step server  data
 * run-started               procedure, version, facts
 * resumed                                                     a daemon took the run over
 * started      x            targets                           in a parallel group: before any of it acts
 * foreseen                  steps                             of a burst: any of them may act from here on
 * skipped      x                                              in a parallel group; elsewhere a step without records
 *                                                             that is followed by one with records was skipped
 * decided      x            verdict, why, learned
 * intent       x    x       script, targets                   before the effect; repeated when the script is another
 * settled      x    x       verdict, why, learned, targets    and by, when it was overridden
 * lost                x     why                               after the point of no return: nothing is done there any more
 * halted       x            why                               and learned, without a step, when a resume found it so
 * retry                     by                                what failed is unsettled again
 * undoing                   why                               from here on the undo steps
 * run-ended                 outcome, why                      and by, when it was abandoned
 *
 * "targets" stands in the first record of a step only. */
#pragma once

#include "journal.h"
#include "runbook.h"

typedef enum RecordKind {
        RECORD_RUN_STARTED,
        RECORD_RESUMED,
        RECORD_STARTED,
        RECORD_FORESEEN,
        RECORD_SKIPPED,
        RECORD_DECIDED,
        RECORD_INTENT,
        RECORD_SETTLED,
        RECORD_LOST,
        RECORD_HALTED,
        RECORD_RETRY,
        RECORD_UNDOING,
        RECORD_RUN_ENDED,
        _RECORD_MAX,
        _RECORD_INVALID = -22,
} RecordKind;

typedef enum StepState {
        STEP_PENDING,
        STEP_RUNNING,
        STEP_DONE, /* its goal was reached */
        STEP_SKIPPED,
        STEP_FAILED,
        _STEP_STATE_MAX,
} StepState;

typedef struct RunTarget {
        char *server; /* "" on the daemon */
        bool settled;
        Verdict verdict;
        char *why;
        char *intent; /* the script of the last intent, as JSON; NULL when there was none */
} RunTarget;

typedef struct RunStep {
        const Step *step;
        StepState state;
        bool recorded;         /* its targets are in the journal */
        bool foreseen;         /* it may have acted without an intent of its own on disk */
        usec_t started, ended; /* wall clock */
        RunTarget *targets;
        size_t n_targets;
} RunStep;

typedef struct Run {
        const Procedure *procedure;
        char *id; /* NULL before run-started */
        Facts facts;
        RunStep *steps; /* the procedure's, then its undo steps */
        size_t n_steps, n_undo;
        bool undoing, halted, ended;
        RunOutcome outcome; /* when ended */
        char *why;          /* of undoing, halting or ending */
} Run;

const char *record_kind_to_string(RecordKind kind);
RecordKind record_kind_from_string(const char *name);
const char *step_state_to_string(StepState state);
RunOutcome run_outcome_from_string(const char *name);

Run *run_new(const Procedure *procedure);
Run *run_free(Run *run);
DEFINE_CLEANUP(Run *, run_free)
/* Folds one record in; step, server and data may be NULL. FAILURE_INVALID for another procedure or version, an unknown
 * step, server or kind: nothing may be guessed then. */
int run_apply(Run *run, usec_t real_time, const char *kind, const char *step, const char *server, const Json *data,
              Failure *reterr);
/* A run of a journal, folded. FAILURE_INVALID when id is NULL: none is open. */
int run_load(const Journal *journal, const char *id, const Procedure *procedure, Run **ret, Failure *reterr);

/* What follows from the facts without a record: a step's begin with its targets, and its skipping. Both are found
 * again after a crash, as no fact can have changed. */
void run_begin_step(RunStep *step, const Json *targets, usec_t real_time);
void run_skip_step(RunStep *step);

/* A step of the procedure, or of its undo steps when undoing; NULL when unknown. */
RunStep *run_step(const Run *run, const char *name);
RunTarget *run_step_target(const RunStep *step, const char *server);
/* Steps run in groups: those that are parallel_with_next and the one after them. The first group with a step that is
 * neither over nor forgiven, of the procedure or, when undoing, of its undo steps; false when there is none. */
bool run_current_group(const Run *run, size_t *ret_first, size_t *ret_end);
bool run_step_is_alone(const Run *run, const RunStep *step); /* in its group */
/* The first failed step which forbids going on; NULL when there is none. A failed check does not before those after it have
 * ended. */
RunStep *run_blocking_step(const Run *run);
bool run_no_return_passed(const Run *run);
bool run_is_lost(const Run *run, const char *server);
/* The step of no return; NULL when the procedure has none. */
RunStep *run_no_return_step(const Run *run);
/* What became of a step: MET, or the first target's verdict that made it fail, whose server and why are lent. */
Verdict run_step_verdict(const RunStep *step, const RunTarget **ret_target);

/* As runbook_describe(). */
Json *run_describe(const Run *run);
/* A runbook's run; NULL before begin. For describe.c. */
const Run *runbook_run(const Runbook *runbook);
