/* The rungs of the fence over SSH, and their judgement. Pure. Must never end a process that is not the old primary's
 * database: the host may have others, and their units. */
#include "fence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooks.h"
#include "text.h"

bool skip_fence_process(const Facts *facts)
{
        return !facts_config_bool(facts, "ssh.enabled", true) || !facts_config_bool(facts, "fence.stop_process", true);
}

/* One line a process that listens on the server's port or has the server's data directory open, as one that was started
 * again and does not listen yet: "PID NAME PARENT PARENT-NAME UNIT". Its pid file counts only for an account that cannot see
 * where the process works: after a reboot the number may be that of another server of the host. Only a unit that systemd itself says is led by this process or its parent
 * counts: in a container the control group names the service of somebody else. And only one without another server in it,
 * as that of mysqld_multi(1) has: it would be stopped, too. */
static const char describe[] =
        "describe() { name=$(cat /proc/$1/comm 2>/dev/null) || return 0; "
        "parent=$(awk '/^PPid:/ {print $2}' /proc/$1/status 2>/dev/null); "
        "parent_name=$(cat /proc/$parent/comm 2>/dev/null); unit=-; "
        "found=$(sed -n 's,.*/\\([^/]*\\.service\\).*,\\1,p' /proc/$1/cgroup 2>/dev/null | head -n 1); "
        "if [ -n \"$found\" ]; then main=$(systemctl show -P MainPID \"$found\" 2>/dev/null); "
        "if [ \"$main\" = \"$1\" ] || [ \"$main\" = \"$parent\" ]; then unit=$found; "
        "group=$(cat /proc/$1/cgroup); for other in /proc/[0-9]*; do "
        "case ${other#/proc/}:$(cat $other/comm 2>/dev/null) in $1:*|$parent:*|*safe) ;; *:mysqld*|*:mariadbd*) "
        "[ \"$(cat $other/cgroup 2>/dev/null)\" != \"$group\" ] || unit=-;; esac; done; fi; fi; "
        "echo \"$1 $name ${parent:-0} ${parent_name:--} $unit\"; }";

/* The same directory, whatever it is called in a container. */
static const char find_by_data[] =
        "data=$(stat -Lc %d:%i \"$d\" 2>/dev/null) && for comm in /proc/[0-9]*/comm; do process=${comm%/comm}; "
        "case $(cat $comm 2>/dev/null) in mysqld*|mariadbd*) "
        "[ \"$(stat -Lc %d:%i $process/cwd 2>/dev/null)\" != \"$data\" ] || echo ${process#/proc/};; esac; done";

/* "starting UNIT" when systemd is going to start the database again: the process that the unit had is the dead one that
 * stands in the pid file. */
static const char find_unit[] =
        "if [ -r \"$f\" ]; then read -r pid <\"$f\"; [ -n \"$(tr -d '\\0' 2>/dev/null </proc/$pid/cmdline)\" ] || "
        "for unit in $(systemctl list-units --plain --no-legend --type=service 'mysql*' 'mariadb*' 2>/dev/null | "
        "awk '$3 != \"failed\" {print $1}'); do "
        "[ \"$(systemctl show -P ExecMainPID \"$unit\")\" != \"$pid\" ] || echo \"starting $unit\"; done; fi";

void ask_process(const Facts *facts, const char *server, Script *script)
{
        const char *address = facts_server_string(facts, server, "address");
        const char *pid_file = facts_server_string(facts, server, "pid_file");
        int port = (int) facts_server_int(facts, server, "port", 3306);
        if (!address)
                address = facts_server_string(facts, server, "host");
        CLEANUP(mem_free) char *quoted = text_quote_shell(address ? address : "");
        CLEANUP(mem_free) char *quoted_file = text_quote_shell(pid_file ? pid_file : "");
        const char *data = facts_server_string(facts, server, "datadir");
        CLEANUP(mem_free) char *quoted_data = text_quote_shell(data ? data : "");
        script_ssh(
                script,
                "%s\n"
                "command -v ss >/dev/null || exit 3\n"
                "a=%s; p=%d; f=%s; d=%s\n"
                "l=$(ss -Hltnp \"sport = :$p\") || exit 5\n"
                "{ printf '%%s\\n' \"$l\" | while read -r state rq sq local rest; do case $local in\n"
                "\"*:$p\"|\"0.0.0.0:$p\"|\"[::]:$p\"|\"$a:$p\"|\"[$a]:$p\"|\"[::ffff:$a]:$p\")\n"
                "case $rest in *pid=*) echo \"$rest\" | grep -o 'pid=[0-9]*' | cut -d= -f2;; *) echo hidden;; esac;;\n"
                "esac; done\n"
                "if [ -r \"$f\" ]; then read -r pid <\"$f\"; "
                "case $(cat /proc/$pid/comm 2>/dev/null) in mysqld*|mariadbd*) "
                "stat -L /proc/$pid/cwd >/dev/null 2>&1 || echo $pid;; esac; fi\n%s; } | sort -u | "
                "while read -r pid; do if [ $pid = hidden ]; then echo hidden; else describe $pid; fi; done\n%s\nexit "
                "0",
                describe, quoted, port, quoted_file, quoted_data, find_by_data, find_unit);
}

static void learn_rung(Judgement *judgement, const char *result, const char *guarantee)
{
        Json *rung = json_object();
        json_set_string(rung, "result", result);
        json_set_string(rung, "guarantee", guarantee);
        json_set(json_ensure_object(judge_learned(judgement), "fence"), "process", rung);
}

typedef struct Process {
        int pid, parent;
        char name[32], parent_name[32], unit[128];
} Process;

/* The next line; false at the end or at one that is not ours. */
static bool next_process(const char **text, Process *ret)
{
        *ret = (Process){ 0 };
        if (!*text || sscanf(*text, "%d %31s %d %31s %127s", &ret->pid, ret->name, &ret->parent, ret->parent_name,
                             ret->unit) != 5)
                return false;
        const char *end = strchr(*text, '\n');
        *text = end ? end + 1 : NULL;
        return ret->pid > 1;
}

static bool next_unit(const char *text, char ret[static 128])
{
        const char *line = text && !text_starts_with(text, "starting ") ? strstr(text, "\nstarting ") : text;
        return line && sscanf(line, " starting %127s", ret) == 1;
}

/* To who is not root ss(8) names sockets of others without their processes. */
static bool is_hidden(const char *text)
{
        size_t length = strlen("hidden\n");
        for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (strncmp(line, "hidden\n", length) == 0)
                        return true;
        return false;
}

static bool is_database(const char *name)
{
        return text_starts_with(name, "mysqld") || text_starts_with(name, "mariadbd");
}

void judge_process_gone(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        json_set_bool(judge_learned(judgement), "host_reached", true);
        if (reply->exit_status == 3) {
                judge_as(judgement, VERDICT_HOPELESS, "the host has no ss(8): install iproute2 there");
                return;
        }
        if (!reply_succeeded(reply)) {
                judge_as(judgement, VERDICT_UNMET, "cannot look for the process: %s", reply->failure.text);
                return;
        }
        const char *out = reply->out;
        Process process;
        if (is_hidden(out)) {
                json_set_string(judge_learned(judgement), "still_runs", "a process");
                judge_as(judgement, VERDICT_UNMET,
                         "somebody listens on the port, and the account of SSH may not see who: mhad-privileges(7)");
                return;
        }
        if (next_process(&out, &process)) {
                /* Kept when the time runs out over it: a host that answers and a process that lives there. */
                if (is_database(process.name))
                        json_set_string(judge_learned(judgement), "still_runs", process.name);
                if (is_database(process.name))
                        judge_as(judgement, VERDICT_UNMET, "%s (pid %d) still runs", process.name, process.pid);
                else
                        judge_as(judgement, VERDICT_HOPELESS,
                                 "%s (pid %d) holds the port, not a database: it is not touched", process.name,
                                 process.pid);
                return;
        }
        char unit[128];
        if (next_unit(reply->out, unit)) {
                json_set_string(judge_learned(judgement), "still_runs", unit);
                judge_as(judgement, VERDICT_UNMET, "systemd is about to start %s again", unit);
                return;
        }
        json_set_null(judge_learned(judgement), "still_runs");
        learn_rung(judgement, "no process of the database is left on the host",
                   "nobody can write to the old primary until somebody starts it; its unit was stopped, not disabled");
        judge_as(judgement, VERDICT_MET, "no process of the database is left");
}

void act_process_stop(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        const char *command = facts_config_string(facts, "fence.command");
        if (command) {
                const char *data = facts_server_string(facts, server, "datadir");
                CLEANUP(mem_free) char *quoted_data = text_quote_shell(data ? data : "");
                CLEANUP(mem_free) char *name = text_quote_shell(server);
                script_ssh(script, "export MHAD_SERVER=%s MHAD_PORT=%d MHAD_DATADIR=%s\n%s", name,
                           (int) facts_server_int(facts, server, "port", 3306), quoted_data, command);
                return;
        }
        const char *out = replies_at(seen, 0)->out;
        Process process;
        char starting[128];
        if (next_unit(out, starting)) {
                CLEANUP(mem_free) char *unit = text_quote_shell(starting);
                script_try_ssh(script, "systemctl stop --no-block %s", unit);
                script_try_ssh(script, "systemctl kill --signal=KILL %s", unit);
        }
        while (next_process(&out, &process)) {
                if (!is_database(process.name))
                        continue;
                CLEANUP(mem_free) char *unit = text_quote_shell(process.unit);
                /* The stop is queued first, so that the service manager does not take the kill for a crash and start it
                 * again. A frozen process hears nothing but SIGKILL; a durable server loses nothing by it. */
                if (strcmp(process.unit, "-") != 0) {
                        script_try_ssh(script, "systemctl stop --no-block %s", unit);
                        script_try_ssh(script, "systemctl kill --signal=KILL %s", unit);
                }
                if (text_starts_with(process.parent_name, "mysqld_safe") ||
                    text_starts_with(process.parent_name, "mariadbd-safe"))
                        script_try_ssh(script, "kill -KILL %d", process.parent);
                script_try_ssh(script, "kill -KILL %d", process.pid);
        }
}

static void add_rung(Json *rungs, const Json *fence, const char *name, bool applies, bool *held)
{
        if (!applies)
                return;
        const Json *found = json_get(fence, name);
        Json *rung = json_object();
        json_set_string(rung, "rung", name);
        json_set_bool(rung, "held", found != NULL);
        json_set_string(rung, "result", found ? json_get_string(found, "result") : "not reached");
        json_set_string(rung, "guarantee", found ? json_get_string(found, "guarantee") : "none");
        json_append(rungs, rung);
        if (found)
                *held = true;
}

void decide_fence_is_enough(const Facts *facts, Judgement *judgement)
{
        const char *old = facts_string(facts, "old_primary");
        const Json *fence = json_get(facts_server(facts, old), "fence");
        const Json *power = json_get(facts->root, "fence");
        bool address = false, process = false, off = false;
        Json *rungs = json_ensure_array(judge_learned(judgement), "fence_rungs");
        add_rung(rungs, fence, "address", !text_is_empty(facts_config_string(facts, "address.ip")), &address);
        add_rung(rungs, fence, "process", !skip_fence_process(facts) || json_has(fence, "process"), &process);
        add_rung(rungs, power, "power", !skip_shutdown_hook(facts), &off);
        const char *running = facts_server_string(facts, old, "still_runs");
        bool unanimous = json_get_bool(facts->root, "unreachable_for_all", false);
        Json *witnesses = json_object();
        json_set_string(witnesses, "rung", "witnesses");
        json_set_bool(witnesses, "held", unanimous);
        json_set_string(witnesses, "result",
                        unanimous ? "every server and observer that could be asked cannot reach the old primary"
                                  : "somebody could still reach the old primary");
        json_set_string(witnesses, "guarantee", "none: clients on other networks could still reach it");
        json_append(rungs, witnesses);

        if (json_get_bool(facts->root, "planning", false))
                judge_as(judgement, VERDICT_MET, "judged when the rungs were tried");
        else if (facts_string(facts, "shutdown_refused"))
                judge_as(judgement, VERDICT_HOPELESS, "shutdown_script: %s", facts_string(facts, "shutdown_refused"));
        else if (process || off)
                judge_as(judgement, VERDICT_MET, "the old primary cannot take a write: %s",
                         off ? "its host is off" : "its process is gone");
        else if (text_equal(facts_config_string(facts, "fence.policy"), "required"))
                judge_as(judgement, VERDICT_HOPELESS,
                         "fence.policy is required, and neither the process nor the power of %s is known to be off",
                         old);
        else if (running && !facts_string(facts, "ordered_by"))
                judge_as(judgement, VERDICT_HOPELESS,
                         "the host of %s can be reached and %s still runs there: it was not ended in time. End it by "
                         "hand, or "
                         "order a failover",
                         old, running);
        else if (unanimous)
                judge_as(judgement, VERDICT_MET,
                         "NOT FENCED: %s could not be reached%s; going on because everybody who could be asked cannot "
                         "reach it either. It is made read-only as soon as it answers again",
                         old, address ? " except to take the address away" : "");
        else if (facts_string(facts, "ordered_by"))
                judge_as(judgement, VERDICT_MET,
                         "NOT FENCED: %s could not be reached; going on because %s ordered it. It is made read-only as "
                         "soon "
                         "as it answers again",
                         old, facts_string(facts, "ordered_by"));
        else
                judge_as(judgement, VERDICT_HOPELESS,
                         "%s could not be fenced, and not everybody agrees that it cannot be reached", old);
}
