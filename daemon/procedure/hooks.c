/* Hooks as steps. Pure: builds their input, reads their exit status. Must never put a secret into it. */
#include "hooks.h"

#include <string.h>

#include "mha_scripts.h"
#include "text.h"

bool hook_is_configured(const Facts *facts, const char *name)
{
        CLEANUP(mem_free) char *path = text_format("hooks.%s", name);
        return facts_config_bool(facts, path, false);
}

static Json *about(const Facts *facts, const char *server)
{
        if (!server)
                return NULL;
        Json *json = json_object();
        json_set_string(json, "name", server);
        json_set_string(json, "host", facts_server_string(facts, server, "host"));
        json_set_int(json, "port", facts_server_int(facts, server, "port", 3306));
        json_set_string(json, "ssh_host", facts_server_string(facts, server, "ssh_host"));
        json_set_int(json, "ssh_port", facts_server_int(facts, server, "ssh_port", 22));
        json_set_string(json, "ssh_user", facts_server_string(facts, server, "ssh_user"));
        return json;
}

/* What a hook is run as: by its own name, or as a script of MHA's. NULL: there is nothing to run. */
static const char *runner_of(const Facts *facts, const char *hook)
{
        const char *script = mha_script_for(facts, hook);
        return script ? script : hook_is_configured(facts, hook) ? hook : NULL;
}

static void ask(const Facts *facts, const char *name, const char *undoes, Script *script)
{
        Json *input = json_object();
        json_set_string(input, "hook", name);
        json_set_string(input, "undoes", undoes);
        json_set_string(input, "cluster", facts_string(facts, "cluster"));
        json_set_string(input, "run", facts_string(facts, "run"));
        json_set_string(input, "procedure", facts_string(facts, "procedure"));
        json_set(input, "old_primary", about(facts, facts_string(facts, "old_primary")));
        json_set(input, "new_primary", about(facts, facts_string(facts, "candidate")));
        script_hook(script, name, input);
}

static void judge_own(const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        if (reply_succeeded(reply) && reply->exit_status == 0) {
                judge_as(judgement, VERDICT_MET, "the hook ended well");
                return;
        }
        const char *said = reply->err ? reply->err : "";
        CLEANUP(mem_free) char *line = alloc_string_n(said, strcspn(said, "\n"));
        if (reply->failure.kind != FAILURE_NONE)
                judge_as(judgement, VERDICT_HOPELESS, "%s%s%s", reply->failure.text, *line ? ": " : "", line);
        else
                judge_as(judgement, VERDICT_HOPELESS, "exit status %d%s%s", reply->exit_status, *line ? ": " : "",
                         line);
}

static void ask_runner(const Facts *facts, const char *hook, Script *script)
{
        const char *mha = mha_script_for(facts, hook);
        if (mha)
                mha_ask(facts, mha, text_equal(hook, "start") ? "start" : "stop", script);
        else
                ask(facts, hook, NULL, script);
}

#define HOOK(hook)                                                                                                     \
        bool skip_##hook##_hook(const Facts *facts)                                                                    \
        {                                                                                                              \
                return !runner_of(facts, #hook) || facts_string(facts, "lost");                                        \
        }                                                                                                              \
        void ask_##hook##_hook(const Facts *facts, const char *server, Script *script)                                 \
        {                                                                                                              \
                ask_runner(facts, #hook, script);                                                                      \
        }                                                                                                              \
        void judge_##hook##_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement) \
        {                                                                                                              \
                (mha_script_for(facts, #hook) ? mha_judge : judge_own)(replies, judgement);                            \
        }
HOOK(prepare)
HOOK(stop)
HOOK(start)

/* MHA's scripts for a failover are not asked: a switchover runs none of them. */
bool skip_status_hook(const Facts *facts)
{
        return !hook_is_configured(facts, "status");
}

void ask_status_hook(const Facts *facts, const char *server, Script *script)
{
        hook_ask_status(facts, 0, script);
}

void judge_status_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(mem_free) char *why = hook_judge_status(replies_at(replies, 0));
        if (why)
                judge_as(judgement, VERDICT_HOPELESS, "the hooks would not work: %s", why);
        else
                judge_as(judgement, VERDICT_MET, "the hook status says that the hooks would work");
}

/* A script of MHA's takes back what it did by itself; what a hook did is taken back by the hook for that. */
static bool was_run(const Facts *facts, const char *hook)
{
        const char *runner = runner_of(facts, hook);
        return runner && json_array_contains(json_get(facts->root, "hooks_run"), runner);
}

#define ABORT_HOOK(hook)                                                                                               \
        bool skip_abort_##hook##_hook(const Facts *facts)                                                              \
        {                                                                                                              \
                return !was_run(facts, #hook) ||                                                                       \
                       (!mha_script_for(facts, #hook) && !hook_is_configured(facts, "abort"));                         \
        }                                                                                                              \
        void ask_abort_##hook##_hook(const Facts *facts, const char *server, Script *script)                           \
        {                                                                                                              \
                const char *mha = mha_script_for(facts, #hook);                                                        \
                if (mha)                                                                                               \
                        mha_ask(facts, mha, "back", script);                                                           \
                else                                                                                                   \
                        ask(facts, "abort", #hook, script);                                                            \
        }
ABORT_HOOK(stop)
ABORT_HOOK(prepare)

/* Its power need not be cut when the process is known to be gone. */
bool skip_shutdown_hook(const Facts *facts)
{
        const Json *fence = json_get(facts_server(facts, facts_string(facts, "old_primary")), "fence");
        return !runner_of(facts, "shutdown") || json_has(fence, "process");
}

void ask_shutdown_hook(const Facts *facts, const char *server, Script *script)
{
        ask_runner(facts, "shutdown", script);
}

void judge_shutdown_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (mha_script_for(facts, "shutdown")) {
                mha_judge_shutdown(facts, replies, judgement);
                return;
        }
        judge_own(replies, judgement);
        if (judgement->verdict != VERDICT_MET)
                return;
        Json *rung = json_object();
        json_set_string(rung, "result", "the shutdown hook succeeded");
        json_set_string(rung, "guarantee", "the old primary's host is off, as far as the hook can tell");
        json_set(json_ensure_object(judge_learned(judgement), "fence"), "power", rung);
}

_Static_assert(HOOK_N_STATUS == MHA_N_STATUS + 1, "HOOK_N_STATUS is wrong");

void hook_ask_status(const Facts *facts, size_t n, Script *script)
{
        size_t before = script->n_items;
        if (n > 0)
                mha_ask_status(facts, n - 1, script);
        else if (hook_is_configured(facts, "status")) {
                Json *input = json_object();
                json_set_string(input, "hook", "status");
                json_set_string(input, "cluster", facts_string(facts, "cluster"));
                json_set(input, "old_primary", about(facts, facts_string(facts, "old_primary")));
                script_hook(script, "status", input);
        }
        for (size_t i = before; i < script->n_items; i++)
                script->items[i].may_fail = true;
}

char *hook_judge_status(const Reply *reply)
{
        const char *said = reply->err ? reply->err : "";
        if (reply_succeeded(reply) && reply->exit_status == 0)
                return NULL;
        return text_format("%s%s%.*s", reply->failure.text, *said ? ": " : "", (int) strcspn(said, "\n"), said);
}
