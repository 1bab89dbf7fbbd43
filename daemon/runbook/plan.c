/* A procedure as a plan: asks and judges, never acts. Owns a scratch copy of the facts, the JSON that it makes and the
 * jobs under way. Must never send an act's script, run a hook but that of a check, or write a record. */
#include "runbook.h"

#include "alloc.h"
#include "text.h"

#define SCRIPT_LONGEST (10 * USEC_SEC)
#define HOOK_LONGEST (9 * USEC_SEC) /* with the plan's own time still shorter than who asked for it waits */
#define TAG "plan"

typedef struct PlanTarget {
        Plan *plan;
        char *server; /* "" on the daemon */
        ExecJob *job;
        Json *entry; /* lent: in the plan's JSON */
} PlanTarget;

struct Plan {
        Loop *loop;
        Exec *exec;
        const Procedure *procedure;
        Facts facts;
        usec_t deadline;
        runbook_plan_fn done;
        void *userdata;
        Timer *next;
        size_t i_step;
        Json *json;
        PlanTarget *targets; /* of the present step */
        size_t n_targets, n_asking;
        bool stopped; /* a decision is not possible: what follows is not known */
};

static void plan_step(void *userdata);

static const Step *plan_current(const Plan *plan)
{
        return &plan->procedure->steps[plan->i_step];
}

static void plan_forget_targets(Plan *plan)
{
        for (size_t i = 0; i < plan->n_targets; i++) {
                exec_abandon(plan->targets[i].job);
                free(plan->targets[i].server);
        }
        free(plan->targets);
        plan->targets = NULL;
        plan->n_targets = plan->n_asking = 0;
}

void runbook_plan_abandon(Plan *plan)
{
        if (!plan)
                return;
        plan_forget_targets(plan);
        timer_free(plan->next);
        facts_done(&plan->facts);
        json_free(plan->json);
        free(plan);
}

static void plan_continue(Plan *plan)
{
        plan->i_step++;
        plan->next = loop_defer(plan->loop, plan_step, plan);
}

/* One target: judge, learn, and what act would say. */

static void plan_add_script(Json *entry, const Script *script)
{
        if (!script_is_empty(script))
                json_set(entry, "script", script_to_json(script));
}

static void plan_judge(PlanTarget *target, const Replies *replies)
{
        Plan *plan = target->plan;
        const Step *step = plan_current(plan);
        const char *server = *target->server ? target->server : NULL;
        Judgement judgement = { 0 };
        step->judge(&plan->facts, server, replies, &judgement);
        json_set_string(target->entry, "verdict", verdict_to_string(judgement.verdict));
        json_set_string(target->entry, "why", judgement.why);
        if (judgement.verdict == VERDICT_UNMET && step->act) {
                CLEANUP(script_done) Script script = { 0 };
                step->act(&plan->facts, server, replies, &script);
                plan_add_script(target->entry, &script);
        }
        facts_learn(&plan->facts, target->server, judgement.learned);
        json_free(judgement.learned);
}

static void plan_on_asked(Replies *replies, void *userdata)
{
        PlanTarget *target = userdata;
        Plan *plan = target->plan;
        target->job = NULL;
        if (replies->failure.kind != FAILURE_NONE && replies->failure.kind != FAILURE_EXIT) {
                json_set_string(target->entry, "verdict", verdict_to_string(VERDICT_UNREACHABLE));
                json_set_string(target->entry, "why", replies->failure.text);
        } else {
                plan_judge(target, replies);
        }
        replies_free(replies);
        if (--plan->n_asking == 0)
                plan_continue(plan);
}

static void plan_ask(PlanTarget *target)
{
        static const Replies nothing;
        Plan *plan = target->plan;
        const char *server = *target->server ? target->server : NULL;
        CLEANUP(script_done) Script script = { 0 };
        plan_current(plan)->ask(&plan->facts, server, &script);
        bool hook = script_has(&script, SCRIPT_HOOK);
        if (hook && !plan_current(plan)->check) {
                plan_add_script(target->entry, &script);
                return;
        }
        if (script_is_empty(&script)) {
                plan_judge(target, &nothing);
                return;
        }
        if (hook) /* what it takes is not missing to those that come after it */
                plan->deadline = usec_add(plan->deadline, HOOK_LONGEST);
        usec_t longest = usec_add(loop_now(plan->loop), hook ? HOOK_LONGEST : SCRIPT_LONGEST);
        usec_t deadline = plan->deadline < longest ? plan->deadline : longest;
        target->job = exec_run(plan->exec, server, TAG, &script, deadline, plan_on_asked, target);
        plan->n_asking++;
}

/* One step */

static void plan_decide(Plan *plan, Json *entry)
{
        Judgement judgement = { .verdict = VERDICT_HOPELESS };
        plan_current(plan)->decide(&plan->facts, &judgement);
        json_set_string(entry, "state", "decided");
        json_set_string(entry, "why", judgement.why);
        if (judgement.verdict == VERDICT_MET) {
                facts_learn(&plan->facts, NULL, judgement.learned);
                json_set(entry, "decided", TAKE(judgement.learned));
        } else {
                json_set_string(entry, "state", "unknown");
                json_set_string(plan->json, "why", judgement.why);
                json_set_bool(plan->json, "complete", false);
                plan->stopped = !plan_current(plan)->check;
        }
        json_free(judgement.learned);
}

static void plan_targets(Plan *plan, Json *entry)
{
        CLEANUP(json_free) Json *names = step_targets(plan_current(plan), &plan->facts);
        Json *entries = json_ensure_object(entry, "targets");
        plan->targets = ALLOC_ARRAY(PlanTarget, json_length(names));
        JSON_FOREACH(name, names)
        {
                const char *server = json_string(name) ? json_string(name) : "";
                plan->targets[plan->n_targets++] = (PlanTarget){ .plan = plan,
                                                                 .server = alloc_string(server),
                                                                 .entry = json_ensure_object(entries, server) };
        }
        json_set_string(entry, "state", plan->n_targets ? "planned" : "skipped");
        for (size_t i = 0; i < plan->n_targets; i++)
                plan_ask(&plan->targets[i]);
}

static Json *plan_entry(Plan *plan)
{
        const Step *step = plan_current(plan);
        Json *entry = json_object();
        json_set_string(entry, "name", step->name);
        json_set_string(entry, "goal", step->goal);
        json_set_int(entry, "number", (int64_t) plan->i_step + 1);
        json_set_string(entry, "scope", scope_to_string(step->scope));
        if (text_equal(step->name, plan->procedure->no_return))
                json_set_bool(entry, "no_return", true);
        if (step->check)
                json_set_bool(entry, "check", true);
        json_append(json_ensure_array(plan->json, "steps"), entry);
        return entry;
}

static void plan_end(Plan *plan)
{
        Json *json = TAKE(plan->json);
        runbook_plan_fn done = plan->done;
        void *userdata = plan->userdata;
        runbook_plan_abandon(plan);
        done(json, userdata);
}

static void plan_step(void *userdata)
{
        Plan *plan = userdata;
        plan->next = NULL;
        plan_forget_targets(plan);
        if (plan->i_step == plan->procedure->n_steps) {
                plan_end(plan);
                return;
        }
        const Step *step = plan_current(plan);
        Json *entry = plan_entry(plan);
        if (!step->check && !json_get_bool(plan->json, "complete", true))
                plan->stopped = true;
        if (plan->stopped)
                json_set_string(entry, "state", "unknown");
        else if (step->skip && step->skip(&plan->facts))
                json_set_string(entry, "state", "skipped");
        else if (step->decide)
                plan_decide(plan, entry);
        else
                plan_targets(plan, entry);
        if (plan->n_asking == 0)
                plan_continue(plan);
}

Plan *runbook_plan(Loop *loop, Exec *exec, const Procedure *procedure, Facts initial, usec_t deadline,
                   runbook_plan_fn done, void *userdata)
{
        Plan *plan = ALLOC(Plan);
        *plan = (Plan){ .loop = loop,
                        .exec = exec,
                        .procedure = procedure,
                        .facts = initial,
                        .deadline = deadline,
                        .done = done,
                        .userdata = userdata,
                        .json = json_object() };
        json_set_string(plan->json, "procedure", procedure->name);
        json_set_bool(plan->json, "complete", true);
        plan->next = loop_defer(loop, plan_step, plan);
        return plan;
}
