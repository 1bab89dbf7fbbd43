/* The engine: carries one procedure out, goal by goal, with a journal that makes it resumable at any instruction. Knows
 * no procedure by name and no database. */
#pragma once

#include "exec.h"
#include "journal.h"
#include "loop.h"
#include "step.h"

typedef struct Runbook Runbook;

typedef enum RunOutcome {
        RUN_COMPLETED, /* every goal that is needed was reached */
        RUN_ABORTED,   /* failed before the point of no return; undone */
        RUN_HALTED,    /* waits for an operator: retry, override or abandon */
        _RUN_OUTCOME_MAX,
        _RUN_OUTCOME_INVALID = -22,
} RunOutcome;

/* What happens, as it happens, for log, status and subscribers. Strings are lent for the call. */
typedef enum RunEventKind {
        RUN_EVENT_STEP_STARTED,
        RUN_EVENT_PROGRESS,       /* a target is still unmet; why says how far it is */
        RUN_EVENT_TARGET_SETTLED, /* verdict and why */
        RUN_EVENT_STEP_SKIPPED,
        RUN_EVENT_STEP_ENDED, /* verdict: MET or what failed */
        RUN_EVENT_DECIDED,
        RUN_EVENT_UNDOING,
} RunEventKind;

typedef struct RunEvent {
        RunEventKind kind;
        const Step *step;
        const char *server; /* NULL on the daemon */
        Verdict verdict;
        const char *why;
        size_t number, total; /* step number of total, from 1 */
} RunEvent;

/* Must not call the runbook back. */
typedef void (*runbook_event_fn)(const RunEvent *event, void *userdata);
/* Never called from within begin/resume and the like; may free the runbook. For RUN_HALTED it may be called again after
 * retry/override/abandon/cancel. */
typedef void (*runbook_done_fn)(Runbook *runbook, RunOutcome outcome, const char *why, void *userdata);

const char *run_outcome_to_string(RunOutcome outcome);

/* All arguments are lent and outlive the runbook. */
Runbook *runbook_new(Loop *loop, Exec *exec, Journal *journal, const Procedure *procedure, runbook_event_fn event,
                     runbook_done_fn done, void *userdata);
/* Starts a new run. Takes initial over. -errno when the journal cannot be written: nothing was done then. */
int runbook_begin(Runbook *runbook, Facts initial, Failure *reterr);
/* Goes on with the run that the journal left open (journal_open_run()). FAILURE_INVALID for another version of the
 * procedure or an unknown step: the run is halted, never guessed (done is not called; it may be abandoned). */
int runbook_resume(Runbook *runbook, Failure *reterr);
/* The same, but it waits for an operator: it has become doubtful whether it may go on. learned, which is lent, is merged into
 * its facts; NULL for nothing. */
int runbook_resume_halted(Runbook *runbook, const char *why, const Json *learned, Failure *reterr);
/* Calls done for a run that has ended already, as its former process may not have lived to do; nothing else is done. */
int runbook_report_ended(Runbook *runbook, const char *id, Failure *reterr);
/* Ends it in the journal where it stands (outcome ABORTED), also a halted one, and one that this version cannot read: nothing is
 * undone, and done is not called; the runbook is to be freed. After a failure it is as it was. */
int runbook_leave(Runbook *runbook, const char *by, const char *reason, Failure *reterr);
/* Goes on with a run that was left. */
int runbook_take_up(Runbook *runbook, const char *id, Failure *reterr);
/* What is not settled yet on a server in the steps that are under way is settled as unreachable. */
void runbook_give_up(Runbook *runbook, const char *server, const char *why);
/* Before the point of no return, also when halted: undo and end as ABORTED. FAILURE_INVALID after it. */
int runbook_cancel(Runbook *runbook, const char *by, const char *reason, Failure *reterr);
/* A server that is known to be gone (NULL: none is): what is undone, and what follows the point of no return, waits for it a
 * second or so, but for steps that are patient. It is not on record. */
void runbook_set_lost(Runbook *runbook, const char *server);
/* After a halt: the failed step again; a target of it settled by a person (server NULL on the daemon; MET, or another
 * final verdict); or give up (outcome ABORTED, nothing undone). FAILURE_INVALID when it is not halted. A decision cannot
 * be overridden: what follows relies on what it found. */
int runbook_retry(Runbook *runbook, const char *by, Failure *reterr);
int runbook_override(Runbook *runbook, const char *server, Verdict verdict, const char *by, const char *reason,
                     Failure *reterr);
int runbook_abandon(Runbook *runbook, const char *by, const char *reason, Failure *reterr);

/* A server without which the run is about nothing has died. Before the point of no return: undo. While that is being
 * passed: the server is not waited for. After it: the run goes on without it and without hooks, so that all else is left as
 * it would be had the server died later. FAILURE_INVALID when it is halted or undone, or knows already. */
int runbook_lose(Runbook *runbook, const char *server, const char *why, Failure *reterr);

const Facts *runbook_facts(const Runbook *runbook);
const char *runbook_id(const Runbook *runbook);
/* {"run", "procedure", "state": "running|undoing|halted|ended", "outcome", "why", "step", "number", "total",
 *  "no_return_passed", "steps": [{"name","goal","state":"done|running|pending|skipped|failed|undone","started","ended",
 *  "undo": true, "targets": {"db2": {"verdict","why"}}}]}: times are wall-clock microseconds; undo steps are listed once
 * they have begun. The caller frees it. */
Json *runbook_describe(const Runbook *runbook);
Runbook *runbook_free(Runbook *runbook); /* leaves the journal as it is: a later resume goes on */
DEFINE_CLEANUP(Runbook *, runbook_free)

/* The procedure as a plan: for each step its goal and targets with their present verdict and what act would say, from
 * asking and judging alone: nothing is changed, no hook is run, no journal written.
 * {"procedure", "complete", "why", "steps": [{"name", "goal", "number", "scope", "no_return", "state": "planned|skipped|
 *  decided|unknown", "why", "targets": {"db2": {"verdict", "why", "script": […]}}, "decided": {…}}]}; with complete
 * false, why says which decision is not possible, and the steps after it are "unknown". */
typedef struct Plan Plan;
typedef void (*runbook_plan_fn)(Json *plan, void *userdata); /* plan is the callee's */

/* Takes initial over. Frees itself after done, which is called by deadline (absolute, monotonic). */
Plan *runbook_plan(Loop *loop, Exec *exec, const Procedure *procedure, Facts initial, usec_t deadline,
                   runbook_plan_fn done, void *userdata);
void runbook_plan_abandon(Plan *plan); /* done is not called; takes NULL */
