/* The engine: which step is next, and what its end means. Owns the run's memory (run.c) and the fan-outs of the steps
 * that are under way. Changes memory only by records that are on disk; after a failed write it does nothing more but
 * say so. Every completion ends in advance(), which runs from the loop and never inside a call. */
#include "runbook.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "fanout.h"
#include "refusal.h"
#include "run.h"
#include "text.h"

struct Runbook {
        Loop *loop;
        Exec *exec;
        Journal *journal;
        const Procedure *procedure;
        runbook_event_fn event;
        runbook_done_fn done;
        void *userdata;

        Run *run;         /* NULL before begin */
        Fanout **fanouts; /* by the number of the step in run */
        Timer *next;      /* advance() is due */
        Failure broken;   /* the journal failed: memory may be ahead of nothing, but nothing more is done */
        char *refused;    /* the id of an open run which this version cannot carry on */
        bool stands;      /* memory is new after such a stop, and nobody has said yet how it goes on */
        Json *unsure;     /* servers where an effect of ours may still be on its way */
        char *lost;       /* a server that is known to be gone */
        bool all_unsure;  /* after a restart: all of which "unsure" does not say otherwise */
        unsigned burst;   /* which is under way, and by when it ends */
        usec_t burst_by;
        bool doubt;    /* a former life may have passed the point of no return, or not: it is being asked */
        char *go_back; /* it did not, as the servers say */
};

/* Records and events */

static size_t total_steps(const Runbook *runbook)
{
        return runbook->run->n_steps + runbook->run->n_undo;
}

static size_t step_index(const Runbook *runbook, const RunStep *step)
{
        return (size_t) (step - runbook->run->steps);
}

static void emit(Runbook *runbook, RunEventKind kind, const RunStep *step, const char *server, Verdict verdict,
                 const char *why)
{
        const Run *run = runbook->run;
        size_t i = step ? step_index(runbook, step) : 0;
        bool undo = step && i >= run->n_steps;
        RunEvent event = {
                .kind = kind,
                .step = step ? step->step : NULL,
                .server = text_is_empty(server) ? NULL : server,
                .verdict = verdict,
                .why = why ? why : "",
                .number = step ? (undo ? i - run->n_steps : i) + 1 : 0,
                .total = undo ? run->n_undo : run->n_steps,
        };
        if (runbook->event)
                runbook->event(&event, runbook->userdata);
}

/* What a resume would find out again by asking need not be on disk before the next intent or decision is. Not so for what
 * the daemon does itself: its ask may run a hook, and the record is that hook's intent. */
static bool may_wait_for_disk(RecordKind kind, const RunStep *step, const Failure *reterr)
{
        bool asks_only = step && step->step->scope != ON_DAEMON;
        return kind == RECORD_SKIPPED || (kind == RECORD_INTENT && step->foreseen) ||
               (asks_only && (kind == RECORD_STARTED || (kind == RECORD_SETTLED && !reterr)));
}

/* Writes, then folds in. Takes data over. */
static int record(Runbook *runbook, RecordKind kind, const RunStep *step, const char *server, Json *data,
                  Failure *reterr)
{
        CLEANUP(json_free) Json *owned = data;
        if (runbook->broken.kind != FAILURE_NONE) {
                if (reterr)
                        *reterr = runbook->broken;
                return -1;
        }
        const char *name = step ? step->step->name : NULL, *word = record_kind_to_string(kind);
        usec_t time = loop_now_real(runbook->loop);
        int r = may_wait_for_disk(kind, step, reterr) ? journal_append_soon(runbook->journal, time, runbook->run->id,
                                                                            word, name, server, owned, &runbook->broken)
                                                      : journal_append(runbook->journal, time, runbook->run->id, word,
                                                                       name, server, owned, &runbook->broken);
        if (r >= 0)
                r = run_apply(runbook->run, time, word, name, server, owned, &runbook->broken);
        if (r < 0 && reterr)
                *reterr = runbook->broken;
        return r;
}

static Json *data_why(const char *why)
{
        Json *data = json_object();
        json_set_string(data, "why", why);
        return data;
}

static Json *data_by(const char *by, const char *why)
{
        Json *data = data_why(why);
        json_set_string(data, "by", by ? by : "unknown");
        return data;
}

/* The first record of a step holds its targets. */
static Json *data_of(const RunStep *step)
{
        Json *data = json_object();
        if (step->recorded)
                return data;
        Json *targets = json_ensure_array(data, "targets");
        for (size_t i = 0; i < step->n_targets; i++)
                json_append_string(targets, step->targets[i].server);
        return data;
}

static Json *data_settled(const RunStep *step, Verdict verdict, const char *why, const Json *learned)
{
        Json *data = data_of(step);
        json_set_string(data, "verdict", verdict_to_string(verdict));
        json_set_string(data, "why", why);
        json_set(data, "learned", json_copy(learned));
        return data;
}

/* What fan-outs call */

static void advance(void *userdata);

static void schedule(Runbook *runbook)
{
        runbook->stands = false;
        if (!runbook->next)
                runbook->next = loop_defer(runbook->loop, advance, runbook);
}

static void stop_all(Runbook *runbook)
{
        for (size_t i = 0; runbook->run && i < total_steps(runbook); i++)
                if (runbook->fanouts[i])
                        fanout_stop(runbook->fanouts[i]);
}

/* Nothing may be done after a failed write, not even by another step. */
static int stop_unless_written(Runbook *runbook, int r)
{
        if (r < 0) {
                stop_all(runbook);
                schedule(runbook);
        }
        return r;
}

static int on_intend(RunStep *step, RunTarget *target, const Script *script, void *userdata)
{
        Runbook *runbook = userdata;
        Json *data = data_of(step);
        json_set(data, "script", script_to_json(script));
        return stop_unless_written(runbook, record(runbook, RECORD_INTENT, step, target->server, data, NULL));
}

static int on_settle(RunStep *step, RunTarget *target, Verdict verdict, const char *why, const Json *learned,
                     void *userdata)
{
        Runbook *runbook = userdata;
        if (runbook->doubt && verdict == VERDICT_UNMET) {
                free(runbook->go_back);
                runbook->go_back = text_format("the daemon was restarted before this: %s", step->step->goal);
                schedule(runbook);
                return -ECANCELED;
        }
        int r = record(runbook, RECORD_SETTLED, step, target->server, data_settled(step, verdict, why, learned), NULL);
        if (r >= 0)
                emit(runbook, RUN_EVENT_TARGET_SETTLED, step, target->server, verdict, why);
        if (r >= 0 && step->state != STEP_RUNNING)
                schedule(runbook);
        return stop_unless_written(runbook, r);
}

static void on_progress(RunStep *step, RunTarget *target, Verdict verdict, const char *why, void *userdata)
{
        emit(userdata, RUN_EVENT_PROGRESS, step, target->server, verdict, why);
}

static bool is_unsure(const char *server, void *userdata)
{
        Runbook *runbook = userdata;
        return json_get_bool(runbook->unsure, server, runbook->all_unsure);
}

static void set_unsure(const char *server, bool unsure, void *userdata)
{
        Runbook *runbook = userdata;
        json_set_bool(runbook->unsure, server, unsure);
}

/* Before the opening a goal fails when its time is out, not before. */
static bool is_lost(const RunStep *step, const char *server, void *userdata)
{
        const Runbook *runbook = userdata;
        return runbook->lost && text_equal(runbook->lost, server) && !step->step->patient &&
               (runbook->run->undoing || run_no_return_passed(runbook->run));
}

static void on_acted(void *userdata)
{
        schedule(userdata);
}

static const FanoutCalls fanout_calls = {
        .intend = on_intend,
        .settle = on_settle,
        .progress = on_progress,
        .is_unsure = is_unsure,
        .set_unsure = set_unsure,
        .is_lost = is_lost,
        .acted = on_acted,
};

static void free_fanouts(Runbook *runbook)
{
        for (size_t i = 0; runbook->run && i < total_steps(runbook); i++)
                runbook->fanouts[i] = fanout_free(runbook->fanouts[i]);
}

/* What is undone must not come true afterwards: false as long as a command for a host may still be at work. */
static bool is_wound_down(Runbook *runbook)
{
        bool idle = true;
        for (size_t i = 0; i < runbook->run->n_steps; i++) {
                if (runbook->fanouts[i] && fanout_is_idle(runbook->fanouts[i]))
                        runbook->fanouts[i] = fanout_free(runbook->fanouts[i]);
                idle = idle && !runbook->fanouts[i];
        }
        return idle;
}

static bool any_fanout(const Runbook *runbook)
{
        for (size_t i = 0; i < total_steps(runbook); i++)
                if (runbook->fanouts[i])
                        return true;
        return false;
}

/* Steps */

static void decide(Runbook *runbook, RunStep *step)
{
        Judgement judgement = { .verdict = VERDICT_HOPELESS };
        step->step->decide(&runbook->run->facts, &judgement);
        Verdict verdict = judgement.verdict == VERDICT_MET ? VERDICT_MET : VERDICT_HOPELESS;
        Json *data = data_settled(step, verdict, judgement.why, verdict == VERDICT_MET ? judgement.learned : NULL);
        json_free(judgement.learned);
        if (record(runbook, RECORD_DECIDED, step, NULL, data, NULL) < 0)
                return;
        emit(runbook, RUN_EVENT_DECIDED, step, NULL, verdict, judgement.why);
        emit(runbook, RUN_EVENT_STEP_ENDED, step, NULL, verdict, judgement.why);
}

static int skip_step(Runbook *runbook, RunStep *step, const char *why)
{
        int r = 0;
        if (run_step_is_alone(runbook->run, step))
                run_skip_step(step);
        else
                r = record(runbook, RECORD_SKIPPED, step, NULL, NULL, NULL);
        if (r >= 0)
                emit(runbook, RUN_EVENT_STEP_SKIPPED, step, NULL, VERDICT_MET, why);
        return r;
}

/* Fixes the targets of a step whose turn has come, or skips it. */
static int prepare_step(Runbook *runbook, RunStep *step)
{
        const Facts *facts = &runbook->run->facts;
        if (step->step->skip && step->step->skip(facts))
                return skip_step(runbook, step, "there is nothing to do in this run");
        CLEANUP(json_free) Json *targets = step_targets(step->step, facts);
        if (json_length(targets) == 0)
                return skip_step(runbook, step, "it concerns no server in this run");
        run_begin_step(step, targets, loop_now_real(runbook->loop));
        emit(runbook, RUN_EVENT_STEP_STARTED, step, NULL, VERDICT_UNMET, step->step->goal);
        if (!run_step_is_alone(runbook->run, step) && !step->step->decide)
                return record(runbook, RECORD_STARTED, step, NULL, data_of(step), NULL);
        return 0;
}

static void start_step(Runbook *runbook, RunStep *step)
{
        size_t i = step_index(runbook, step);
        if (step->step->decide) {
                decide(runbook, step);
                return;
        }
        bool hurried = step->step->burst && step->step->burst == runbook->burst;
        FanoutSettings settings = { .by = hurried ? runbook->burst_by : USEC_INFINITY, .only_ask = runbook->doubt };
        runbook->fanouts[i] =
                fanout_new(runbook->loop, runbook->exec, runbook->run, step, &settings, &fanout_calls, runbook);
        fanout_start(runbook->fanouts[i]);
}

/* One record for what would else be many: inside a burst nobody waits for the disk. */
static int begin_burst(Runbook *runbook, const RunStep *first)
{
        const Run *run = runbook->run;
        unsigned burst = first->step->burst;
        if (!burst || burst == runbook->burst)
                return 0;
        Json *data = json_object(), *steps = json_ensure_array(data, "steps");
        for (const RunStep *step = first; step < run->steps + run->n_steps && step->step->burst == burst; step++)
                json_append_string(steps, step->step->name);
        int r = record(runbook, RECORD_FORESEEN, NULL, NULL, data, NULL);
        runbook->burst = burst;
        runbook->burst_by = usec_add(loop_now(runbook->loop), step_timeout(first->step, &run->facts));
        return r;
}

/* All steps of a group are prepared before the first of them does anything, so what a restart finds is clear. */
static void start_group(Runbook *runbook, size_t first, size_t end)
{
        RunStep *steps = runbook->run->steps;
        if (first < runbook->run->n_steps && begin_burst(runbook, &steps[first]) < 0)
                return;
        for (size_t i = first; i < end; i++)
                if (steps[i].state == STEP_PENDING && prepare_step(runbook, &steps[i]) < 0)
                        return;
        for (size_t i = first; i < end && runbook->broken.kind == FAILURE_NONE; i++)
                if (steps[i].state == STEP_RUNNING && !runbook->fanouts[i])
                        start_step(runbook, &steps[i]);
}

/* Of checks all failures are told. */
static char *describe_checks(const Run *run)
{
        Text text = { 0 };
        for (size_t i = 0; i < run->n_steps; i++) {
                const RunStep *step = &run->steps[i];
                if (!step->step->check || step->state != STEP_FAILED)
                        continue;
                for (size_t k = 0; k < step->n_targets; k++) {
                        const RunTarget *target = &step->targets[k];
                        if (!target->settled || target->verdict == VERDICT_MET)
                                continue;
                        text_separate(&text, "; ");
                        text_addf(&text, "%s%s%s", target->server, *target->server ? ": " : "",
                                  target->why ? target->why : "");
                }
        }
        return text_take(&text);
}

static char *describe_failure(const RunStep *step)
{
        const RunTarget *target = NULL;
        Verdict verdict = run_step_verdict(step, &target);
        if (!target)
                return text_format("%s: not enough targets were met", step->step->name);
        return text_format("%s%s%s: %s: %s", step->step->name, *target->server ? " on " : "", target->server,
                           verdict_to_string(verdict), target->why ? target->why : "");
}

/* Steps that have ended since the last time. */
static void reap_fanouts(Runbook *runbook)
{
        for (size_t i = 0; i < total_steps(runbook); i++) {
                RunStep *step = &runbook->run->steps[i];
                if (!runbook->fanouts[i] || step->state == STEP_RUNNING)
                        continue;
                runbook->fanouts[i] = fanout_free(runbook->fanouts[i]);
                const RunTarget *target = NULL;
                Verdict verdict = run_step_verdict(step, &target);
                emit(runbook, RUN_EVENT_STEP_ENDED, step, target ? target->server : NULL, verdict,
                     target ? target->why : step->step->goal);
        }
}

/* Ends */

/* The last thing that is done: the callee may free the runbook. */
static void report(Runbook *runbook, RunOutcome outcome, const char *why)
{
        CLEANUP(mem_free) char *kept = alloc_string(why ? why : "");
        free_fanouts(runbook);
        if (runbook->run && outcome != RUN_HALTED)
                exec_end_rescue(runbook->exec, runbook->run->id);
        runbook->done(runbook, outcome, kept, runbook->userdata);
}

static int begin_undo(Runbook *runbook, const char *by, const char *why, Failure *reterr)
{
        int r = record(runbook, RECORD_UNDOING, NULL, NULL, by ? data_by(by, why) : data_why(why), reterr);
        if (r < 0)
                return r;
        runbook->doubt = false;
        for (size_t i = 0; i < total_steps(runbook); i++)
                if (runbook->fanouts[i])
                        fanout_wind_down(runbook->fanouts[i]);
        emit(runbook, RUN_EVENT_UNDOING, NULL, NULL, VERDICT_UNMET, why);
        return 0;
}

static void end_run(Runbook *runbook)
{
        const Run *run = runbook->run;
        Text why = { 0 };
        text_add(&why, run->undoing && run->why ? run->why : "");
        if (facts_string(&run->facts, "lost"))
                text_addf(&why, "%s does not answer any more", facts_string(&run->facts, "lost"));
        for (size_t i = run->n_steps; run->undoing && i < total_steps(runbook); i++)
                if (run->steps[i].state == STEP_FAILED) {
                        CLEANUP(mem_free) char *failed = describe_failure(&run->steps[i]);
                        text_addf(&why, "; not undone: %s", failed);
                }
        CLEANUP(mem_free) char *text = text_take(&why);
        Json *data = data_why(text);
        json_set_string(data, "outcome", run_outcome_to_string(run->undoing ? RUN_ABORTED : RUN_COMPLETED));
        record(runbook, RECORD_RUN_ENDED, NULL, NULL, data, NULL);
}

/* A step failed which forbids going on. Its siblings may end what they are at before an operator is called. */
static bool handle_failure(Runbook *runbook, const RunStep *failed)
{
        CLEANUP(mem_free) char *why = failed->step->check ? describe_checks(runbook->run) : describe_failure(failed);
        bool opening = failed == run_no_return_step(runbook->run);
        if (failed->step->on_failure == THEN_ABORT && (opening || !run_no_return_passed(runbook->run)))
                return begin_undo(runbook, NULL, why, NULL) >= 0;
        if (any_fanout(runbook))
                return false;
        return record(runbook, RECORD_HALTED, failed, NULL, data_why(why), NULL) >= 0;
}

/* Asks whether the point of no return is passed; false when there is nothing more to do until something happens. */
static bool resolve_doubt(Runbook *runbook)
{
        RunStep *step = run_no_return_step(runbook->run);
        if (runbook->go_back) {
                CLEANUP(mem_free) char *why = TAKE(runbook->go_back);
                return begin_undo(runbook, NULL, why, NULL) >= 0;
        }
        if (step->state == STEP_FAILED)
                return handle_failure(runbook, step);
        if (step->state == STEP_DONE) {
                runbook->doubt = false;
                return true;
        }
        if (any_fanout(runbook))
                return false;
        if (step->state == STEP_PENDING && prepare_step(runbook, step) < 0)
                return false;
        start_step(runbook, step);
        return true;
}

/* One move; false when there is nothing more to do until something happens. */
static bool move(Runbook *runbook)
{
        if (runbook->doubt)
                return resolve_doubt(runbook);
        const Run *run = runbook->run;
        const RunStep *failed = run_blocking_step(run);
        if (run->undoing && !is_wound_down(runbook))
                return false;
        if (failed)
                return handle_failure(runbook, failed);
        if (any_fanout(runbook))
                return false;
        size_t first, end;
        if (run_current_group(run, &first, &end))
                start_group(runbook, first, end);
        else
                end_run(runbook);
        return runbook->broken.kind == FAILURE_NONE;
}

static void advance(void *userdata)
{
        Runbook *runbook = userdata;
        runbook->next = NULL;
        if (!runbook->run) {
                report(runbook, RUN_ABORTED, "abandoned");
                return;
        }
        do
                reap_fanouts(runbook);
        while (runbook->broken.kind == FAILURE_NONE && !runbook->run->ended && !runbook->run->halted && move(runbook));
        if (runbook->broken.kind != FAILURE_NONE)
                report(runbook, RUN_HALTED, runbook->broken.text);
        else if (runbook->run->ended)
                report(runbook, runbook->run->outcome, runbook->run->why);
        else if (runbook->run->halted)
                report(runbook, RUN_HALTED, runbook->run->why);
}

/* From outside */

Runbook *runbook_new(Loop *loop, Exec *exec, Journal *journal, const Procedure *procedure, runbook_event_fn event,
                     runbook_done_fn done, void *userdata)
{
        Runbook *runbook = ALLOC(Runbook);
        *runbook = (Runbook){ .loop = loop,
                              .exec = exec,
                              .journal = journal,
                              .procedure = procedure,
                              .event = event,
                              .done = done,
                              .userdata = userdata };
        runbook->fanouts = ALLOC_ARRAY(Fanout *, procedure->n_steps + procedure->n_undo);
        runbook->unsure = json_object();
        return runbook;
}

/* So that the first script to each server finds its connections made. */
static void warm(Runbook *runbook)
{
        const Facts *facts = &runbook->run->facts;
        for (size_t i = 0; i < facts_n_servers(facts); i++)
                exec_warm(runbook->exec, facts_server_name(facts, i));
}

static void forget(Runbook *runbook)
{
        free_fanouts(runbook);
        runbook->run = run_free(runbook->run);
        timer_free(TAKE(runbook->next));
        free(TAKE(runbook->refused));
        free(TAKE(runbook->go_back));
        runbook->burst = 0;
        runbook->doubt = false;
        runbook->broken = (Failure){ 0 };
}

Runbook *runbook_free(Runbook *runbook)
{
        if (!runbook)
                return NULL;
        forget(runbook);
        free(runbook->fanouts);
        json_free(runbook->unsure);
        free(runbook->lost);
        free(runbook);
        return NULL;
}

int runbook_begin(Runbook *runbook, Facts initial, Failure *reterr)
{
        CLEANUP(facts_done) Facts facts = initial;
        const char *id = facts_string(&facts, "run");
        if (runbook->run)
                return failure_set(reterr, FAILURE_INVALID, 0, "this runbook has been begun already");
        if (text_is_empty(id))
                return failure_set(reterr, FAILURE_INVALID, 0, "a run needs an id");
        if (journal_open_run(runbook->journal))
                return failure_set(reterr, FAILURE_INVALID, 0, "the run %s has not ended",
                                   journal_open_run(runbook->journal));
        CLEANUP(json_free) Json *data = json_object();
        json_set_string(data, "procedure", runbook->procedure->name);
        json_set_int(data, "version", runbook->procedure->version);
        json_set(data, "facts", json_copy(facts.root));
        const char *kind = record_kind_to_string(RECORD_RUN_STARTED);
        usec_t time = loop_now_real(runbook->loop);
        int r = journal_append(runbook->journal, time, id, kind, NULL, NULL, data, reterr);
        if (r < 0)
                return r;
        runbook->run = run_new(runbook->procedure);
        r = run_apply(runbook->run, time, kind, NULL, NULL, data, reterr);
        if (r < 0)
                return r;
        warm(runbook);
        schedule(runbook);
        return 0;
}

/* Memory anew from the journal. Whatever was under way may still take effect. */
static int reload(Runbook *runbook, const char *id, Failure *reterr)
{
        Run *run = NULL;
        bool stands = runbook->stands || runbook->refused || runbook->broken.kind != FAILURE_NONE;
        int r = run_load(runbook->journal, id, runbook->procedure, &run, reterr);
        if (r < 0)
                return r;
        forget(runbook);
        runbook->stands = stands;
        runbook->run = run;
        runbook->all_unsure = true;
        json_free(runbook->unsure);
        runbook->unsure = json_object();
        return 0;
}

/* What a procedure that must not go on after a restart, or a halt, does. */
static int look_back(Runbook *runbook, Failure *reterr)
{
        const Run *run = runbook->run;
        const RunStep *no_return = run_no_return_step(run);
        if (!run->procedure->back_on_resume || run->undoing || no_return->state == STEP_DONE)
                return 0;
        if (no_return->foreseen || no_return->state != STEP_PENDING) {
                runbook->doubt = true;
                return 0;
        }
        return begin_undo(runbook, NULL, "the daemon was restarted in the middle of it", reterr);
}

static int resume(Runbook *runbook, const char *id, Json *halted, Failure *reterr)
{
        CLEANUP(json_free) Json *data = halted;
        CLEANUP(mem_free) char *own = alloc_string(id);
        int r = reload(runbook, own, reterr);
        if (r < 0) {
                free(runbook->refused);
                runbook->refused = TAKE(own);
                return r;
        }
        r = record(runbook, RECORD_RESUMED, NULL, NULL, NULL, reterr);
        if (r >= 0)
                r = data ? record(runbook, RECORD_HALTED, NULL, NULL, TAKE(data), reterr) : look_back(runbook, reterr);
        if (r < 0)
                return r;
        warm(runbook);
        schedule(runbook);
        return 0;
}

int runbook_resume(Runbook *runbook, Failure *reterr)
{
        return resume(runbook, journal_open_run(runbook->journal), NULL, reterr);
}

int runbook_resume_halted(Runbook *runbook, const char *why, const Json *learned, Failure *reterr)
{
        Json *data = data_why(why);
        json_set(data, "learned", json_copy(learned));
        return resume(runbook, journal_open_run(runbook->journal), data, reterr);
}

int runbook_take_up(Runbook *runbook, const char *id, Failure *reterr)
{
        if (journal_open_run(runbook->journal))
                return failure_set(reterr, FAILURE_INVALID, 0, "the run %s has not ended",
                                   journal_open_run(runbook->journal));
        return resume(runbook, id, NULL, reterr);
}

int runbook_leave(Runbook *runbook, const char *by, const char *reason, Failure *reterr)
{
        const char *id = runbook_id(runbook);
        if (!id || (runbook->run && runbook->run->ended))
                return failure_set(reterr, FAILURE_INVALID, 0, "no run is under way");
        CLEANUP(json_free) Json *data = data_by(by, reason);
        json_set_string(data, "outcome", run_outcome_to_string(RUN_ABORTED));
        int r = journal_append(runbook->journal, loop_now_real(runbook->loop), id,
                               record_kind_to_string(RECORD_RUN_ENDED), NULL, NULL, data, reterr);
        if (r < 0)
                return r;
        free_fanouts(runbook);
        exec_end_rescue(runbook->exec, id);
        forget(runbook);
        return 0;
}

void runbook_give_up(Runbook *runbook, const char *server, const char *why)
{
        for (size_t i = 0; runbook->run && i < total_steps(runbook); i++)
                if (runbook->fanouts[i])
                        fanout_give_up(runbook->fanouts[i], server, why);
}

int runbook_report_ended(Runbook *runbook, const char *id, Failure *reterr)
{
        CLEANUP(run_free) Run *run = NULL;
        int r = run_load(runbook->journal, id, runbook->procedure, &run, reterr);
        if (r < 0)
                return r;
        if (!run->ended)
                return failure_set(reterr, FAILURE_INVALID, 0, "the run has not ended");
        runbook->run = TAKE(run);
        schedule(runbook);
        return 0;
}

/* An operator's word: on a run that stands still or (for a cancel) goes on. */
static int check_halted(Runbook *runbook, Failure *reterr)
{
        bool halted = runbook->run && !runbook->run->ended &&
                      (runbook->run->halted || runbook->stands || runbook->broken.kind != FAILURE_NONE);
        if (runbook->next || (!halted && !runbook->refused))
                return failure_set(reterr, FAILURE_INVALID, 0, "the run is not halted");
        int r = runbook->broken.kind != FAILURE_NONE || runbook->refused
                        ? reload(runbook, journal_open_run(runbook->journal), reterr)
                        : 0;
        return r < 0 ? r : look_back(runbook, reterr);
}

int runbook_cancel(Runbook *runbook, const char *by, const char *reason, Failure *reterr)
{
        if (!runbook->run || runbook->run->ended)
                return failure_set(reterr, FAILURE_INVALID, 0, "no run is under way");
        /* As long as it has not told that it stands, it must not forget that it has to. */
        int r = runbook->broken.kind != FAILURE_NONE && !runbook->next
                        ? reload(runbook, journal_open_run(runbook->journal), reterr)
                        : 0;
        if (r < 0)
                return r;
        if (runbook->run->undoing)
                return failure_set(reterr, FAILURE_INVALID, 0, "the run is being undone already");
        if (run_no_return_passed(runbook->run))
                return failure_set(reterr, FAILURE_INVALID, REFUSAL_TOO_LATE,
                                   "the run has passed its point of no return (%s)", runbook->procedure->no_return);
        CLEANUP(mem_free) char *why = text_format("cancelled by %s: %s", by ? by : "unknown", reason ? reason : "");
        r = begin_undo(runbook, by, why, reterr);
        if (r >= 0)
                schedule(runbook);
        return r;
}

void runbook_set_lost(Runbook *runbook, const char *server)
{
        if (text_equal(server, runbook->lost))
                return;
        free(runbook->lost);
        runbook->lost = alloc_string(server);
}

int runbook_lose(Runbook *runbook, const char *server, const char *why, Failure *reterr)
{
        const Run *run = runbook->run;
        const RunStep *opening = run ? run_no_return_step(run) : NULL;
        if (!opening || run->ended || run->halted || run->undoing || runbook->stands ||
            runbook->broken.kind != FAILURE_NONE || opening->state == STEP_FAILED || run_is_lost(run, server))
                return failure_set(reterr, FAILURE_INVALID, 0, "nothing is done on %s", server);
        bool before = opening->state == STEP_PENDING && !runbook->doubt, after = opening->state == STEP_DONE;
        int r = before  ? begin_undo(runbook, "mhad", why, reterr)
                : after ? record(runbook, RECORD_LOST, NULL, server, data_why(why), reterr)
                        : 0;
        for (size_t i = 0; r >= 0 && !before && i < run->n_steps; i++)
                if (runbook->fanouts[i]) {
                        fanout_give_up(runbook->fanouts[i], server, why);
                        if (after)
                                fanout_give_up(runbook->fanouts[i], "", why);
                }
        schedule(runbook);
        return r;
}

int runbook_retry(Runbook *runbook, const char *by, Failure *reterr)
{
        int r = check_halted(runbook, reterr);
        if (r >= 0)
                r = record(runbook, RECORD_RETRY, NULL, NULL, data_by(by, NULL), reterr);
        if (r >= 0)
                schedule(runbook);
        return r;
}

int runbook_override(Runbook *runbook, const char *server, Verdict verdict, const char *by, const char *reason,
                     Failure *reterr)
{
        int r = check_halted(runbook, reterr);
        if (r < 0)
                return r;
        RunStep *step = run_blocking_step(runbook->run);
        const RunTarget *target = step ? run_step_target(step, server) : NULL;
        if (!target || target->verdict == VERDICT_MET)
                return failure_set(reterr, FAILURE_INVALID, 0, "the run does not wait for %s",
                                   server ? server : "the daemon");
        if (step->step->decide)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is a decision and cannot be overridden",
                                   step->step->name);
        if (verdict == VERDICT_UNMET || (int) verdict < 0 || verdict >= _VERDICT_MAX)
                return failure_set(reterr, FAILURE_INVALID, 0, "a target cannot be settled as %s",
                                   verdict_to_string(verdict));
        Json *data = data_settled(step, verdict, reason, NULL);
        json_set_string(data, "by", by ? by : "unknown");
        r = record(runbook, RECORD_SETTLED, step, target->server, data, reterr);
        if (r < 0)
                return r;
        emit(runbook, RUN_EVENT_TARGET_SETTLED, step, server, verdict, reason);
        schedule(runbook);
        return 0;
}

/* A run that this version cannot read may be abandoned all the same. */
static int abandon_refused(Runbook *runbook, const char *by, const char *reason, Failure *reterr)
{
        CLEANUP(json_free) Json *data = data_by(by, reason);
        json_set_string(data, "outcome", run_outcome_to_string(RUN_ABORTED));
        int r = journal_append(runbook->journal, loop_now_real(runbook->loop), runbook->refused,
                               record_kind_to_string(RECORD_RUN_ENDED), NULL, NULL, data, reterr);
        if (r < 0)
                return r;
        free(TAKE(runbook->refused));
        runbook->run = run_free(runbook->run);
        schedule(runbook);
        return 0;
}

int runbook_abandon(Runbook *runbook, const char *by, const char *reason, Failure *reterr)
{
        if (runbook->refused)
                return abandon_refused(runbook, by, reason, reterr);
        int r = check_halted(runbook, reterr);
        if (r < 0)
                return r;
        Json *data = data_by(by, reason);
        json_set_string(data, "outcome", run_outcome_to_string(RUN_ABORTED));
        r = record(runbook, RECORD_RUN_ENDED, NULL, NULL, data, reterr);
        if (r >= 0)
                schedule(runbook);
        return r;
}

const Run *runbook_run(const Runbook *runbook)
{
        return runbook->run;
}

const Facts *runbook_facts(const Runbook *runbook)
{
        static const Facts none;
        return runbook->run ? &runbook->run->facts : &none;
}

const char *runbook_id(const Runbook *runbook)
{
        return runbook->run ? runbook->run->id : runbook->refused;
}
