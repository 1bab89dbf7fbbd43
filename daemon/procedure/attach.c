/* The runbook that attaches late replicas: the table, and what it takes over from the failover. Pure. */
#include "attach.h"

#include "promote.h"
#include "repoint.h"
#include "status.h"
#include "text.h"

static const Step steps[] = {
        { "attach-late", "every replica that the failover left behind follows the new primary", ON_OTHERS, NEED_NONE,
          THEN_CONTINUE, USEC_DAY, .ask = ask_repoint, .judge = judge_follows_candidate, .act = act_follow_candidate },
        { "set-late-read-only", "they are read-only", ON_OTHERS, NEED_NONE, THEN_CONTINUE, 10 * USEC_SEC,
          .skip = skip_read_only, .ask = ask_read_only, .judge = judge_read_only, .act = act_read_only },
        { "verify-late", "they have what the new primary had when it was opened", ON_OTHERS, NEED_NONE, THEN_CONTINUE,
          USEC_HOUR, .ask = ask_status, .judge = judge_level },
};

const Procedure attach = {
        .name = "attach",
        .version = 1,
        .steps = steps,
        .n_steps = sizeof steps / sizeof *steps,
};

/* Those whose time ran out; of the others it is known why they cannot follow. */
static Json *late_servers(const Json *run)
{
        Json *late = json_array();
        JSON_FOREACH(step, json_get(run, "steps"))
        {
                const char *name = json_get_string(step, "name");
                if (!text_equal(name, "repoint-replicas") && !text_equal(name, "repoint-late"))
                        continue;
                JSON_FOREACH(target, json_get(step, "targets"))
                {
                        Verdict verdict = verdict_from_string(json_get_string(target, "verdict"));
                        if (verdict == VERDICT_TIMEOUT || verdict == VERDICT_UNREACHABLE)
                                json_append_string(late, json_name(target));
                }
        }
        return late;
}

bool attach_is_needed(const Json *run)
{
        CLEANUP(json_free) Json *late = late_servers(run);
        return json_length(late) > 0;
}

Facts attach_facts(const Facts *failover, const Json *run)
{
        Facts facts = facts_copy(failover);
        json_set_string(facts.root, "procedure", attach.name);
        json_set(facts.root, "replicas", late_servers(run));
        json_set(facts.root, "left_out", json_array());
        return facts;
}
