/* What the daemon can run on its own host; and outside of runs: MHA's secondary_check_script as a witness with a veto, and the questions
 * whether the hooks would work. Owns their jobs; must never conclude anything. */
#include "inside.h"

#include <string.h>

#include "hooks.h"
#include "mha_scripts.h"
#include "text.h"

#define SECONDARY_CHECK "secondary_check_script"
#define SECONDARY_PAUSE (USEC_SEC)

/* Of masterha_secondary_check. */
#define STATUS_UNREACHABLE 0
#define STATUS_REACHABLE 3

struct Scripts {
        Cluster *cluster;

        /* The witness. */
        Timer *again;
        ExecJob *asking;
        bool wanted, answered, told;
        bool can_tell;
        TunnelOpinion opinion;
        char *veto;

        /* The status commands. */
        ExecJob *checking;
        char *checked; /* the primary that they were run for */
        char *status;
};

size_t scripts_hooks(const HooksConfig *config, ExecHook ret[SCRIPTS_MAX_HOOKS])
{
        const MhaScriptsConfig *mha = &config->mha;
        const struct {
                const char *name;
                char *const *argv;
                const char *command;
        } known[] = {
                { "prepare", config->prepare, NULL },
                { "stop", config->stop, NULL },
                { "start", config->start, NULL },
                { "report", config->report, NULL },
                { "shutdown", config->shutdown, NULL },
                { "abort", config->abort, NULL },
                { "status", config->status, NULL },
                { "mha.master_ip_failover_script", NULL, mha->master_ip_failover_script },
                { "mha.master_ip_online_change_script", NULL, mha->master_ip_online_change_script },
                { "mha.shutdown_script", NULL, mha->shutdown_script },
                { "mha.report_script", NULL, mha->report_script },
                { "mha." SECONDARY_CHECK, NULL, mha->secondary_check_script },
        };
        _Static_assert(ARRAY_LENGTH(known) == SCRIPTS_MAX_HOOKS, "SCRIPTS_MAX_HOOKS is wrong");
        size_t n = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
                bool secondary = text_equal(known[i].name, "mha." SECONDARY_CHECK);
                if (known[i].argv || known[i].command)
                        ret[n++] = (ExecHook){
                                .name = known[i].name,
                                .argv = (const char *const *) known[i].argv,
                                .command = known[i].command,
                                .password_arguments = config->mha_password_arguments,
                                .timeout = secondary ? mha->secondary_check_timeout : config->timeout,
                        };
        }
        return n;
}

static usec_t deadline_in(const Scripts *scripts, usec_t timeout)
{
        return usec_add(loop_now(scripts->cluster->context.loop), timeout);
}

/* The witness */

static void note_silence(Scripts *scripts, const Reply *reply)
{
        const Cluster *cluster = scripts->cluster;
        LogFields fields = cluster_fields(cluster, cluster_primary_name(cluster));
        if (!scripts->told)
                log_event(EVENT_WARNING, &fields, "%s: " SECONDARY_CHECK " cannot tell, which forbids a failover: %s",
                          cluster->config->name, reply->failure.text);
        scripts->told = true;
}

static void on_answer(Replies *replies, void *userdata)
{
        Scripts *scripts = userdata;
        const Reply *reply = replies_at(replies, 0);
        FailureKind kind = reply->failure.kind;
        int status = kind == FAILURE_NONE || kind == FAILURE_EXIT ? reply->exit_status : -1;
        scripts->asking = NULL;
        scripts->answered = true;
        free(scripts->veto);
        scripts->veto = status == STATUS_UNREACHABLE ? NULL : alloc_string(reply->failure.text);
        scripts->can_tell = status == STATUS_UNREACHABLE || status == STATUS_REACHABLE;
        scripts->opinion = status == STATUS_UNREACHABLE ? TUNNEL_SAYS_SILENT
                           : status == STATUS_REACHABLE ? TUNNEL_SAYS_GREETING
                                                        : TUNNEL_SAYS_NOTHING;
        if (!scripts->can_tell)
                note_silence(scripts, reply);
        replies_free(replies);
        timer_set_in(scripts->again, SECONDARY_PAUSE);
        cluster_evaluate_soon(scripts->cluster);
}

static void ask(void *userdata)
{
        Scripts *scripts = userdata;
        Cluster *cluster = scripts->cluster;
        CLEANUP(script_done) Script script = { 0 };
        CLEANUP(facts_done) Facts facts = runs_facts(cluster, cluster_primary_name(cluster), NULL, "failover");
        mha_ask_secondary(&facts, &script);
        scripts->asking =
                exec_run(cluster->exec, NULL, "secondary-check", &script,
                         deadline_in(scripts, cluster->config->hooks.mha.secondary_check_timeout), on_answer, scripts);
}

void scripts_ask(Scripts *scripts)
{
        if (!scripts->cluster->config->hooks.mha.secondary_check_script || scripts->wanted)
                return;
        scripts->wanted = true;
        scripts->answered = scripts->can_tell = scripts->told = false;
        scripts->opinion = TUNNEL_SAYS_NOTHING;
        ask(scripts);
}

void scripts_rest(Scripts *scripts)
{
        scripts->wanted = false;
        free(TAKE(scripts->veto));
        exec_abandon(TAKE(scripts->asking));
        timer_stop(scripts->again);
}

bool scripts_witness(const Scripts *scripts, Witness *ret)
{
        if (!scripts->wanted)
                return false;
        *ret = (Witness){
                .name = SECONDARY_CHECK,
                .reachable = scripts->can_tell,
                .pending = !scripts->answered,
                .tunnel = scripts->opinion,
        };
        return true;
}

/* A reload may have taken it away. */
static bool has_secondary(const Scripts *scripts)
{
        return scripts->wanted && scripts->cluster->config->hooks.mha.secondary_check_script;
}

bool scripts_are_asked(const Scripts *scripts)
{
        return has_secondary(scripts) && !scripts->answered;
}

const char *scripts_veto(const Scripts *scripts)
{
        return has_secondary(scripts) ? scripts->veto : NULL;
}

/* The status commands */

static void on_status(Replies *replies, void *userdata)
{
        Scripts *scripts = userdata;
        const Cluster *cluster = scripts->cluster;
        Text text = { 0 };
        scripts->checking = NULL;
        for (size_t i = 0; i < replies->n_items; i++) {
                const Reply *reply = &replies->items[i];
                CLEANUP(mem_free) char *why = hook_judge_status(reply);
                if (!why)
                        continue;
                text_separate(&text, "; ");
                text_add(&text, why);
        }
        replies_free(replies);
        scripts->status = text_take(&text);
        LogFields fields = cluster_fields(cluster, NULL);
        if (*scripts->status)
                log_event(EVENT_WARNING, &fields, "%s: %s", cluster->config->name, scripts->status);
}

void scripts_check_status(Scripts *scripts)
{
        Cluster *cluster = scripts->cluster;
        const char *primary = cluster_primary_name(cluster);
        if (!primary || text_equal(primary, scripts->checked))
                return;
        CLEANUP(script_done) Script script = { 0 };
        CLEANUP(facts_done) Facts facts = runs_facts(cluster, primary, NULL, "failover");
        free(scripts->checked);
        scripts->checked = alloc_string(primary);
        free(scripts->status);
        scripts->status = NULL;
        exec_abandon(TAKE(scripts->checking));
        for (size_t i = 0; i < HOOK_N_STATUS; i++)
                hook_ask_status(&facts, i, &script);
        if (!script_is_empty(&script))
                scripts->checking = exec_run(cluster->exec, NULL, "status", &script,
                                             deadline_in(scripts, script.n_items * cluster->config->hooks.timeout),
                                             on_status, scripts);
}

const char *scripts_status(const Scripts *scripts)
{
        return scripts->status;
}

/* The whole */

Scripts *scripts_new(Cluster *cluster)
{
        Scripts *scripts = ALLOC(Scripts);
        scripts->cluster = cluster;
        scripts->again = timer_new(cluster->context.loop, 10 * USEC_MSEC, ask, scripts);
        return scripts;
}

Scripts *scripts_free(Scripts *scripts)
{
        if (!scripts)
                return NULL;
        exec_abandon(scripts->asking);
        exec_abandon(scripts->checking);
        timer_free(scripts->again);
        free(scripts->veto);
        free(scripts->checked);
        free(scripts->status);
        free(scripts);
        return NULL;
}
