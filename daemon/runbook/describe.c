/* A run as JSON, for status. Owns nothing. */
#include "run.h"

#include "text.h"

static Json *describe_targets(const RunStep *step)
{
        Json *targets = json_object();
        for (size_t i = 0; i < step->n_targets; i++) {
                const RunTarget *target = &step->targets[i];
                Json *json = json_object();
                if (target->settled) {
                        json_set_string(json, "verdict", verdict_to_string(target->verdict));
                        json_set_string(json, "why", target->why);
                }
                json_set(targets, target->server, json);
        }
        return targets;
}

static const char *describe_state(const Run *run, const RunStep *step, bool undo)
{
        if (!undo && run->undoing && run->ended && step->state == STEP_DONE)
                return "undone";
        return step_state_to_string(step->state);
}

static Json *describe_step(const Run *run, const RunStep *step, bool undo)
{
        Json *json = json_object();
        json_set_string(json, "name", step->step->name);
        json_set_string(json, "goal", step->step->goal);
        json_set_string(json, "state", describe_state(run, step, undo));
        if (undo)
                json_set_bool(json, "undo", true);
        if (step->started)
                json_set_int(json, "started", (int64_t) step->started);
        if (step->ended)
                json_set_int(json, "ended", (int64_t) step->ended);
        if (step->n_targets)
                json_set(json, "targets", describe_targets(step));
        return json;
}

static void describe_position(const Run *run, Json *json)
{
        size_t first, end, base = run->undoing ? run->n_steps : 0;
        json_set_int(json, "total", (int64_t) (run->undoing ? run->n_undo : run->n_steps));
        if (run->ended || !run_current_group(run, &first, &end))
                return;
        const RunStep *failed = run_blocking_step(run);
        size_t i = failed ? (size_t) (failed - run->steps) : first;
        while (!failed && i + 1 < end && run->steps[i].ended)
                i++;
        json_set_string(json, "step", run->steps[i].step->name);
        json_set_int(json, "number", (int64_t) (i - base + 1));
}

Json *runbook_describe(const Runbook *runbook)
{
        const Run *run = runbook_run(runbook);
        Json *json = run ? run_describe(run) : json_object();
        json_set_string(json, "run", runbook_id(runbook));
        return json;
}

Json *run_describe(const Run *run)
{
        Json *json = json_object();
        json_set_string(json, "run", run->id);
        json_set_string(json, "procedure", run->procedure->name);
        json_set_string(json, "state",
                        run->ended     ? "ended"
                        : run->halted  ? "halted"
                        : run->undoing ? "undoing"
                                       : "running");
        if (run->ended)
                json_set_string(json, "outcome", run_outcome_to_string(run->outcome));
        json_set_string(json, "why", text_is_empty(run->why) ? NULL : run->why);
        describe_position(run, json);
        json_set_bool(json, "no_return_passed", run_no_return_passed(run));
        Json *steps = json_ensure_array(json, "steps");
        for (size_t i = 0; i < run->n_steps + (run->undoing ? run->n_undo : 0); i++)
                json_append(steps, describe_step(run, &run->steps[i], i >= run->n_steps));
        return json;
}
