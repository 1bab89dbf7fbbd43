/* What all procedures share: names, targets, time-outs, the check that a table is well formed. Owns nothing. */
#include "step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "enum.h"
#include "text.h"

static const char *const scope_names[_SCOPE_MAX] = {
        [ON_DAEMON] = "daemon",     [ON_OLD_PRIMARY] = "old-primary",   [ON_CANDIDATE] = "candidate",
        [ON_DONOR] = "donor",       [ON_REPLICAS] = "replicas",         [ON_OTHERS] = "others",
        [ON_LEFT_OUT] = "left-out", [ON_SUB_REPLICAS] = "sub-replicas", [ON_EVERY_SERVER] = "every-server",
};
ENUM_TO_STRING(scope, Scope, scope_names)

static const char *const verdict_names[_VERDICT_MAX] = {
        [VERDICT_MET] = "met",           [VERDICT_UNMET] = "unmet",
        [VERDICT_HOPELESS] = "hopeless", [VERDICT_UNREACHABLE] = "unreachable",
        [VERDICT_TIMEOUT] = "timeout",
};
ENUM_STRINGS(verdict, Verdict, verdict_names)

Verdict judge_as(Judgement *judgement, Verdict verdict, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(judgement->why, sizeof judgement->why, format, arguments);
        va_end(arguments);
        return judgement->verdict = verdict;
}

Json *judge_learned(Judgement *judgement)
{
        if (!judgement->learned)
                judgement->learned = json_object();
        return judgement->learned;
}

static Json *one(const char *name)
{
        Json *targets = json_array();
        if (name)
                json_append_string(targets, name);
        return targets;
}

Json *step_targets(const Step *step, const Facts *facts)
{
        const char *candidate = facts_string(facts, "candidate");
        const Json *replicas = json_get(facts->root, "replicas");
        switch (step->scope) {
        case ON_DAEMON:
                return one("");
        case ON_OLD_PRIMARY:
                return one(facts_string(facts, "old_primary"));
        case ON_CANDIDATE:
                return one(candidate);
        case ON_DONOR:
                return one(facts_string(facts, "donor"));
        case ON_REPLICAS:
                return replicas ? json_copy(replicas) : json_array();
        case ON_OTHERS: {
                Json *targets = json_array();
                JSON_FOREACH(replica, replicas)
                {
                        if (!text_equal(json_string(replica), candidate))
                                json_append_string(targets, json_string(replica));
                }
                return targets;
        }
        case ON_LEFT_OUT: {
                const Json *left_out = json_get(facts->root, "left_out");
                return left_out ? json_copy(left_out) : json_array();
        }
        case ON_SUB_REPLICAS: {
                const Json *sub_replicas = json_get(facts->root, "sub_replicas");
                return sub_replicas ? json_copy(sub_replicas) : json_array();
        }
        case ON_EVERY_SERVER:
                return json_copy(json_get(facts->root, "order"));
        case _SCOPE_MAX:
                break;
        }
        return json_array();
}

usec_t step_timeout(const Step *step, const Facts *facts)
{
        if (step->timeout)
                return step->timeout;
        CLEANUP(mem_free) char *path = text_format("timeouts.%s", step->name);
        int64_t configured = facts_config_int(facts, path, 30000);
        return (usec_t) (configured > 0 ? configured : 1) * USEC_MSEC;
}

static int check_flags(const Procedure *procedure, const Step *step, Failure *reterr)
{
        if (step->check && (step->act || step->on_failure != THEN_ABORT))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: the check %s must not act, and abort when it fails",
                                   procedure->name, step->name);
        if ((step->act_first || step->act_shows) && !step->act)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: step %s has no act", procedure->name, step->name);
        if (step->burst && step->decide)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: a decision (%s) does not belong into a burst",
                                   procedure->name, step->name);
        return 0;
}

static int check_steps(const Procedure *procedure, const Step *steps, size_t n, Failure *reterr)
{
        for (size_t i = 0; i < n; i++) {
                const Step *step = &steps[i];
                if (text_is_empty(step->name) || text_is_empty(step->goal))
                        return failure_set(reterr, FAILURE_INVALID, 0, "%s: step %zu has no name or goal",
                                           procedure->name, i + 1);
                if (step->decide ? (step->ask || step->judge || step->act || step->scope != ON_DAEMON)
                                 : (!step->ask || !step->judge))
                        return failure_set(reterr, FAILURE_INVALID, 0,
                                           "%s: step %s needs either decide or ask and judge", procedure->name,
                                           step->name);
                int r = check_flags(procedure, step, reterr);
                if (r < 0)
                        return r;
                for (size_t j = 0; j < i; j++)
                        if (strcmp(step->name, steps[j].name) == 0)
                                return failure_set(reterr, FAILURE_INVALID, 0, "%s: two steps are called %s",
                                                   procedure->name, step->name);
        }
        return 0;
}

int procedure_check(const Procedure *procedure, Failure *reterr)
{
        bool open = false, found = !procedure->no_return, makes_sure = false;
        int r = check_steps(procedure, procedure->steps, procedure->n_steps, reterr);
        if (r >= 0)
                r = check_steps(procedure, procedure->undo, procedure->n_undo, reterr);
        for (size_t i = 0; r >= 0 && i < procedure->n_undo; i++)
                makes_sure = makes_sure || procedure->undo[i].on_failure == THEN_HALT;
        for (size_t i = 0; r >= 0 && i < procedure->n_steps; i++) {
                const Step *step = &procedure->steps[i];
                bool opens = text_equal(step->name, procedure->no_return);
                if (opens)
                        open = found = true;
                if (open && step->on_failure == THEN_ABORT && !(opens && makes_sure))
                        r = failure_set(reterr, FAILURE_INVALID, 0,
                                        "%s: step %s would abort after the point of no return", procedure->name,
                                        step->name);
        }
        if (r >= 0 && !found)
                r = failure_set(reterr, FAILURE_INVALID, 0, "%s: no step is called %s", procedure->name,
                                procedure->no_return);
        return r;
}
