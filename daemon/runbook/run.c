/* The fold over a run's records. Owns the facts and the steps' states; does no I/O but reading the journal, and takes
 * no decision. */
#include "run.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "enum.h"
#include "text.h"

static const char *const kind_names[_RECORD_MAX] = {
        [RECORD_RUN_STARTED] = "run-started", [RECORD_RESUMED] = "resumed", [RECORD_STARTED] = "started",
        [RECORD_FORESEEN] = "foreseen",       [RECORD_SKIPPED] = "skipped", [RECORD_DECIDED] = "decided",
        [RECORD_INTENT] = "intent",           [RECORD_SETTLED] = "settled", [RECORD_LOST] = "lost",
        [RECORD_HALTED] = "halted",           [RECORD_RETRY] = "retry",     [RECORD_UNDOING] = "undoing",
        [RECORD_RUN_ENDED] = "run-ended",
};
ENUM_STRINGS(record_kind, RecordKind, kind_names)

static const char *const state_names[_STEP_STATE_MAX] = {
        [STEP_PENDING] = "pending", [STEP_RUNNING] = "running", [STEP_DONE] = "done",
        [STEP_SKIPPED] = "skipped", [STEP_FAILED] = "failed",
};
ENUM_TO_STRING(step_state, StepState, state_names)

static const char *const outcome_names[_RUN_OUTCOME_MAX] = {
        [RUN_COMPLETED] = "completed",
        [RUN_ABORTED] = "aborted",
        [RUN_HALTED] = "halted",
};
ENUM_STRINGS(run_outcome, RunOutcome, outcome_names)

Run *run_new(const Procedure *procedure)
{
        Run *run = ALLOC(Run);
        run->procedure = procedure;
        run->n_steps = procedure->n_steps;
        run->n_undo = procedure->n_undo;
        run->steps = ALLOC_ARRAY(RunStep, run->n_steps + run->n_undo);
        for (size_t i = 0; i < run->n_steps + run->n_undo; i++)
                run->steps[i].step = i < run->n_steps ? &procedure->steps[i] : &procedure->undo[i - run->n_steps];
        return run;
}

static void step_clear(RunStep *step)
{
        for (size_t i = 0; i < step->n_targets; i++) {
                free(step->targets[i].server);
                free(step->targets[i].why);
                free(step->targets[i].intent);
        }
        free(step->targets);
        step->targets = NULL;
        step->n_targets = 0;
        step->recorded = false;
}

Run *run_free(Run *run)
{
        if (!run)
                return NULL;
        for (size_t i = 0; i < run->n_steps + run->n_undo; i++)
                step_clear(&run->steps[i]);
        free(run->steps);
        facts_done(&run->facts);
        free(run->id);
        free(run->why);
        free(run);
        return NULL;
}

/* Questions */

static RunStep *find_step(RunStep *steps, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (text_equal(steps[i].step->name, name))
                        return &steps[i];
        return NULL;
}

RunStep *run_step(const Run *run, const char *name)
{
        return run->undoing ? find_step(run->steps + run->n_steps, run->n_undo, name)
                            : find_step(run->steps, run->n_steps, name);
}

RunTarget *run_step_target(const RunStep *step, const char *server)
{
        for (size_t i = 0; i < step->n_targets; i++)
                if (text_equal(step->targets[i].server, server ? server : ""))
                        return &step->targets[i];
        return NULL;
}

/* Whether a check of the row of checks that it stands in is still to be made. */
static bool checks_are_left(const Run *run, const RunStep *step)
{
        for (; step < run->steps + run->n_steps && step->step->check; step++)
                if (step->state == STEP_PENDING || step->state == STEP_RUNNING)
                        return true;
        return false;
}

static bool step_blocks(const Run *run, const RunStep *step)
{
        bool is_undo = step >= run->steps + run->n_steps; /* each as best it can */
        return step->state == STEP_FAILED &&
               (is_undo ? step->step->on_failure == THEN_HALT : step->step->on_failure != THEN_CONTINUE) &&
               !checks_are_left(run, step);
}

static bool step_is_over(const Run *run, const RunStep *step)
{
        switch (step->state) {
        case STEP_PENDING:
        case STEP_RUNNING:
                return false;
        case STEP_FAILED:
                return !step_blocks(run, step);
        case STEP_DONE:
        case STEP_SKIPPED:
        case _STEP_STATE_MAX:
                return true;
        }
        return true;
}

static size_t group_end(const Run *run, size_t first)
{
        size_t limit = first < run->n_steps ? run->n_steps : run->n_steps + run->n_undo;
        while (first + 1 < limit && run->steps[first].step->parallel_with_next)
                first++;
        return first + 1;
}

bool run_current_group(const Run *run, size_t *ret_first, size_t *ret_end)
{
        size_t limit = run->undoing ? run->n_steps + run->n_undo : run->n_steps;
        for (size_t first = run->undoing ? run->n_steps : 0, end; first < limit; first = end) {
                end = group_end(run, first);
                for (size_t i = first; i < end; i++)
                        if (!step_is_over(run, &run->steps[i])) {
                                *ret_first = first;
                                *ret_end = end;
                                return true;
                        }
        }
        return false;
}

bool run_step_is_alone(const Run *run, const RunStep *step)
{
        size_t i = (size_t) (step - run->steps);
        bool joined = i > 0 && i != run->n_steps && run->steps[i - 1].step->parallel_with_next;
        return !joined && group_end(run, i) == i + 1;
}

RunStep *run_blocking_step(const Run *run)
{
        size_t first = run->undoing ? run->n_steps : 0, end = run->n_steps + (run->undoing ? run->n_undo : 0);
        for (size_t i = first; i < end; i++)
                if (step_blocks(run, &run->steps[i]))
                        return &run->steps[i];
        return NULL;
}

RunStep *run_no_return_step(const Run *run)
{
        return find_step(run->steps, run->n_steps, run->procedure->no_return);
}

bool run_no_return_passed(const Run *run)
{
        const RunStep *no_return = run_no_return_step(run);
        if (!no_return)
                return false;
        for (size_t i = (size_t) (no_return - run->steps); i < run->n_steps; i++)
                if (run->steps[i].state != STEP_PENDING || run->steps[i].foreseen)
                        return true;
        return false;
}

bool run_is_lost(const Run *run, const char *server)
{
        return !run->undoing && !text_is_empty(server) && text_equal(facts_string(&run->facts, "lost"), server);
}

Verdict run_step_verdict(const RunStep *step, const RunTarget **ret_target)
{
        for (size_t i = 0; step->state != STEP_DONE && i < step->n_targets; i++)
                if (step->targets[i].settled && step->targets[i].verdict != VERDICT_MET) {
                        *ret_target = &step->targets[i];
                        return step->targets[i].verdict;
                }
        *ret_target = step->n_targets == 1 ? &step->targets[0] : NULL;
        return VERDICT_MET;
}

/* Changes */

void run_begin_step(RunStep *step, const Json *targets, usec_t real_time)
{
        step_clear(step);
        step->state = STEP_RUNNING;
        step->started = real_time;
        step->targets = ALLOC_ARRAY(RunTarget, json_length(targets));
        JSON_FOREACH(target, targets)
        {
                const char *name = json_string(target);
                step->targets[step->n_targets++].server = alloc_string(name ? name : "");
        }
}

void run_skip_step(RunStep *step)
{
        step->state = STEP_SKIPPED;
}

static bool step_is_reached(const RunStep *step)
{
        size_t met = 0;
        for (size_t i = 0; i < step->n_targets; i++)
                met += step->targets[i].verdict == VERDICT_MET;
        switch (step->step->need) {
        case NEED_EVERY:
                return met == step->n_targets;
        case NEED_ONE:
                return met > 0;
        case NEED_NONE:
        case _NEED_MAX:
                return true;
        }
        return true;
}

static void step_close(RunStep *step, usec_t real_time)
{
        for (size_t i = 0; i < step->n_targets; i++)
                if (!step->targets[i].settled)
                        return;
        step->ended = real_time;
        step->state = step_is_reached(step) ? STEP_DONE : STEP_FAILED;
}

static void step_reopen(RunStep *step)
{
        if (step->step->decide) { /* it was not taken, so it may be now */
                step_clear(step);
                step->state = STEP_PENDING;
                return;
        }
        step->state = STEP_RUNNING;
        for (size_t i = 0; i < step->n_targets; i++)
                if (step->targets[i].verdict != VERDICT_MET)
                        step->targets[i].settled = false;
}

/* A record of a step shows that the steps before its group are over: those without records were skipped. */
static void run_pass_earlier(Run *run, const RunStep *step)
{
        size_t i = (size_t) (step - run->steps), first = i < run->n_steps ? 0 : run->n_steps;
        while (i > first && run->steps[i - 1].step->parallel_with_next)
                i--;
        while (i-- > first)
                if (run->steps[i].state == STEP_PENDING)
                        run_skip_step(&run->steps[i]);
}

static int bad(Failure *reterr, const char *what, const char *name)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "the journal speaks of %s %s, which this version does not know",
                           what, name ? name : "without a name");
}

static int apply_run_started(Run *run, const Json *data, Failure *reterr)
{
        const char *name = json_get_string(data, "procedure");
        int64_t version = json_get_int(data, "version", 0);
        if (!text_equal(name, run->procedure->name))
                return bad(reterr, "the procedure", name);
        if (version != run->procedure->version)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "the run began with version %lld of the procedure %s and this is version %u",
                                   (long long) version, name, run->procedure->version);
        run->facts.root = json_copy(json_get(data, "facts"));
        if (!run->facts.root)
                return bad(reterr, "a run", "without facts");
        run->id = alloc_string(facts_string(&run->facts, "run"));
        return run->id ? 0 : bad(reterr, "a run", NULL);
}

static void run_learn(Run *run, const char *server, const Json *data)
{
        const Json *learned = json_get(data, "learned");
        if (learned)
                facts_learn(&run->facts, server && *server ? server : NULL, learned);
}

static int target_settle(RunTarget *target, const Json *data, Failure *reterr)
{
        Verdict verdict = verdict_from_string(json_get_string(data, "verdict"));
        if ((int) verdict < 0)
                return bad(reterr, "the verdict", json_get_string(data, "verdict"));
        target->settled = true;
        target->verdict = verdict;
        free(target->why);
        target->why = alloc_string(json_get_string(data, "why"));
        return 0;
}

/* What the daemon ran itself may have to be taken back, whatever became of it. */
static void note_hooks(Run *run, const Json *script)
{
        JSON_FOREACH(item, script)
        {
                const char *hook = json_get_string(item, "hook");
                if (hook && !json_array_contains(json_get(run->facts.root, "hooks_run"), hook))
                        json_append_string(json_ensure_array(run->facts.root, "hooks_run"), hook);
        }
}

/* From when on the old primary acknowledges nothing: a proof may hang on how soon that was. */
static void note_fence(Run *run, const Json *data, usec_t real_time)
{
        const Json *fence = json_get(json_get(data, "learned"), "fence");
        if ((json_has(fence, "process") || json_has(fence, "power")) && !json_has(run->facts.root, "fenced_at"))
                json_set_int(run->facts.root, "fenced_at", (int64_t) real_time);
}

static int apply_to_target(Run *run, RunStep *step, RecordKind kind, usec_t real_time, const char *server,
                           const Json *data, Failure *reterr)
{
        RunTarget *target = run_step_target(step, server);
        if (!target)
                return bad(reterr, "the target", server);
        if (kind == RECORD_INTENT) {
                free(target->intent);
                target->intent = json_print(json_get(data, "script"));
                note_hooks(run, json_get(data, "script"));
                return 0;
        }
        int r = target_settle(target, data, reterr);
        if (r < 0)
                return r;
        run_learn(run, server, data);
        note_fence(run, data, real_time);
        if (json_has(data, "by"))
                run->halted = false;
        step_close(step, real_time);
        return 0;
}

static int apply_to_step(Run *run, RecordKind kind, usec_t real_time, const char *name, const char *server,
                         const Json *data, Failure *reterr)
{
        RunStep *step = run_step(run, name);
        if (!step)
                return bad(reterr, "the step", name);
        run_pass_earlier(run, step);
        if (kind == RECORD_SKIPPED) {
                run_skip_step(step);
                return 0;
        }
        const Json *targets = json_get(data, "targets");
        if (targets && step->state == STEP_PENDING)
                run_begin_step(step, targets, real_time);
        if (step->n_targets == 0)
                return bad(reterr, "no targets of the step", name);
        step->recorded = true;
        if (kind == RECORD_STARTED)
                return 0;
        return apply_to_target(run, step, kind, real_time, server, data, reterr);
}

static int apply_foreseen(Run *run, const Json *data, Failure *reterr)
{
        JSON_FOREACH(name, json_get(data, "steps"))
        {
                RunStep *step = run_step(run, json_string(name));
                if (!step)
                        return bad(reterr, "the step", json_string(name));
                step->foreseen = true;
        }
        return 0;
}

static void run_set_why(Run *run, const Json *data)
{
        free(run->why);
        run->why = alloc_string(json_get_string(data, "why"));
}

static int apply_lost(Run *run, const char *server, Failure *reterr)
{
        if (!json_array_contains(json_get(run->facts.root, "order"), server))
                return bad(reterr, "the server", server);
        json_set_string(run->facts.root, "lost", server);
        return 0;
}

static void apply_undoing(Run *run, const Json *data)
{
        const RunStep *no_return = run_no_return_step(run);
        for (size_t i = 0; no_return && i < no_return->n_targets; i++)
                if (no_return->targets[i].intent)
                        json_set_bool(run->facts.root, "opening", true);
        run->undoing = true;
        run->halted = false;
        run_set_why(run, data);
}

static int apply_run_ended(Run *run, const Json *data, Failure *reterr)
{
        RunOutcome outcome = run_outcome_from_string(json_get_string(data, "outcome"));
        if ((int) outcome < 0)
                return bad(reterr, "the outcome", json_get_string(data, "outcome"));
        run->outcome = outcome;
        run->ended = true;
        run->halted = false;
        run_set_why(run, data);
        return 0;
}

/* Also of a run that had given way to another one. */
static void apply_resumed(Run *run)
{
        if (!run->ended)
                return;
        run->ended = false;
        free(TAKE(run->why));
}

static void apply_retry(Run *run)
{
        run->halted = false;
        for (RunStep *step; (step = run_blocking_step(run));)
                step_reopen(step);
}

int run_apply(Run *run, usec_t real_time, const char *kind_name, const char *step, const char *server, const Json *data,
              Failure *reterr)
{
        RecordKind kind = record_kind_from_string(kind_name);
        if ((kind == RECORD_RUN_STARTED) != !run->id)
                return bad(reterr, "a run", "without a beginning, or with two");
        switch (kind) {
        case RECORD_RUN_STARTED:
                return apply_run_started(run, data, reterr);
        case RECORD_RESUMED:
                apply_resumed(run);
                return 0;
        case RECORD_STARTED:
        case RECORD_SKIPPED:
        case RECORD_DECIDED:
        case RECORD_INTENT:
        case RECORD_SETTLED:
                return apply_to_step(run, kind, real_time, step, server, data, reterr);
        case RECORD_FORESEEN:
                return apply_foreseen(run, data, reterr);
        case RECORD_HALTED:
                run->halted = true;
                run_set_why(run, data);
                run_learn(run, NULL, data);
                return 0;
        case RECORD_RETRY:
                apply_retry(run);
                return 0;
        case RECORD_LOST:
                return apply_lost(run, server, reterr);
        case RECORD_UNDOING:
                apply_undoing(run, data);
                return 0;
        case RECORD_RUN_ENDED:
                return apply_run_ended(run, data, reterr);
        case _RECORD_MAX:
        case _RECORD_INVALID:
                break;
        }
        return bad(reterr, "the kind", kind_name);
}

typedef struct Load {
        Run *run;
        Failure *reterr;
} Load;

static int load_record(const Json *record, void *userdata)
{
        Load *load = userdata;
        return run_apply(load->run, (usec_t) json_get_int(record, "time", 0), json_get_string(record, "kind"),
                         json_get_string(record, "step"), json_get_string(record, "server"), json_get(record, "data"),
                         load->reterr);
}

int run_load(const Journal *journal, const char *id, const Procedure *procedure, Run **ret, Failure *reterr)
{
        if (!id)
                return failure_set(reterr, FAILURE_INVALID, 0, "the journal has no open run");
        CLEANUP(run_free) Run *run = run_new(procedure);
        Failure failure = { 0 };
        int r = journal_replay(journal, id, load_record, &(Load){ run, &failure });
        if (r < 0 && failure.kind == FAILURE_NONE)
                failure_errno(&failure, r, "cannot read the journal");
        if (r < 0) {
                if (reterr)
                        *reterr = failure;
                return r;
        }
        *ret = TAKE(run);
        return 0;
}
