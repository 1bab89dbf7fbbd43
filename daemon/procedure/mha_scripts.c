/* MHA's arguments and exit statuses. Pure. Must never put a password into a script, nor an argument that MHA would not. */
#include "mha_scripts.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "text.h"

#define FAILOVER "mha.master_ip_failover_script"
#define ONLINE_CHANGE "mha.master_ip_online_change_script"
#define SHUTDOWN "mha.shutdown_script"
#define REPORT "mha.report_script"
#define SECONDARY_CHECK "mha.secondary_check_script"

#define PASSWORD "${sql_password}"
#define GO_ON 10
#define BODY_MAX ((size_t) 100 * 1000) /* the kernel takes no argument of more than 128 KiB */

static bool is_switchover(const Facts *facts)
{
        return text_equal(facts_string(facts, "procedure"), "switchover");
}

static bool is_configured(const Facts *facts, const char *name)
{
        CLEANUP(mem_free) char *path = text_format("hooks.%s", name);
        return facts_config_bool(facts, path, false);
}

const char *mha_script_for(const Facts *facts, const char *hook)
{
        const char *name = NULL;
        if (text_equal(hook, "stop") || text_equal(hook, "start"))
                name = is_switchover(facts) ? ONLINE_CHANGE : FAILOVER;
        else if (text_equal(hook, "shutdown") && !is_switchover(facts))
                name = SHUTDOWN;
        return name && is_configured(facts, name) ? name : NULL;
}

/* Arguments */

static void add(Json *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(Json *arguments, const char *format, ...)
{
        va_list values;
        va_start(values, format);
        CLEANUP(mem_free) char *argument = text_vformat(format, values);
        va_end(values);
        json_append_string(arguments, argument);
}

static const char *string_of(const Facts *facts, const char *server, const char *name)
{
        const char *value = facts_server_string(facts, server, name);
        return value ? value : "";
}

static const char *ip_of(const Facts *facts, const char *server)
{
        const char *address = facts_server_string(facts, server, "address");
        return address ? address : string_of(facts, server, "host");
}

static const char *hostname_of(const Facts *facts, const char *server)
{
        const char *name = facts_server_string(facts, server, "mha_hostname");
        return name ? name : string_of(facts, server, "host");
}

static long port_of(const Facts *facts, const char *server)
{
        return (long) facts_server_int(facts, server, "port", 3306);
}

static void add_place(const Facts *facts, Json *arguments, const char *prefix, const char *server)
{
        add(arguments, "--%s_host=%s", prefix, hostname_of(facts, server));
        add(arguments, "--%s_ip=%s", prefix, ip_of(facts, server));
        add(arguments, "--%s_port=%ld", prefix, port_of(facts, server));
}

/* What is said only where it is not as usual. */
static void add_ssh(const Facts *facts, Json *arguments, const char *prefix, const char *server, bool first)
{
        const char *host = facts_server_string(facts, server, "ssh_host");
        long port = (long) facts_server_int(facts, server, "ssh_port", 22);
        const char *options = facts_config_string(facts, "hooks.mha.ssh_options");
        if (host && !text_equal(host, string_of(facts, server, "host")) &&
            !text_equal(host, hostname_of(facts, server))) {
                add(arguments, "--%sssh_host=%s", prefix, host);
                add(arguments, "--%sssh_ip=%s", prefix, host);
        }
        if (port != 22)
                add(arguments, "--%sssh_port=%ld", prefix, port);
        if (first && options)
                add(arguments, "--ssh_options=%s", options);
}

/* SSH to the old primary's host works: it did when the run began, or a rung of the fence was asked there. */
static bool is_reachable(const Facts *facts, const char *server)
{
        return facts_server_bool(facts, server, "ssh_works", false) || json_has(facts_server(facts, server), "fence") ||
               facts_server_string(facts, server, "still_runs");
}

static void add_stop(const Facts *facts, Json *arguments, const char *server)
{
        if (is_reachable(facts, server)) {
                add(arguments, "--command=stopssh");
                add(arguments, "--ssh_user=%s", string_of(facts, server, "ssh_user"));
        } else {
                add(arguments, "--command=stop");
        }
}

static void add_failover(const Facts *facts, Json *arguments, const char *command, const char *from, const char *to)
{
        if (text_equal(command, "stop")) {
                add_place(facts, arguments, "orig_master", from);
                add_stop(facts, arguments, from);
                add_ssh(facts, arguments, "orig_master_", from, true);
                return;
        }
        bool start = text_equal(command, "start");
        add(arguments, "--command=%s", command);
        add(arguments, "--ssh_user=%s", string_of(facts, start ? to : from, "ssh_user"));
        add_place(facts, arguments, "orig_master", from);
        if (start) {
                add_place(facts, arguments, "new_master", to);
                add(arguments, "--new_master_user=%s", facts_config_string(facts, "sql.user"));
        }
        add_ssh(facts, arguments, "orig_master_", from, true);
        if (start) {
                add_ssh(facts, arguments, "new_master_", to, false);
                add(arguments, "--new_master_password=" PASSWORD);
        }
}

static void add_online_change(const Facts *facts, Json *arguments, const char *command, const char *from,
                              const char *to, bool demoted)
{
        const char *user = facts_config_string(facts, "sql.user");
        add(arguments, "--command=%s", command);
        add_place(facts, arguments, "orig_master", from);
        add(arguments, "--orig_master_user=%s", user);
        add_place(facts, arguments, "new_master", to);
        add(arguments, "--new_master_user=%s", user);
        add(arguments, "--orig_master_ssh_user=%s", string_of(facts, from, "ssh_user"));
        add(arguments, "--new_master_ssh_user=%s", string_of(facts, to, "ssh_user"));
        add_ssh(facts, arguments, "orig_master_", from, true);
        add_ssh(facts, arguments, "new_master_", to, false);
        if (demoted)
                add(arguments, "--orig_master_is_new_slave");
        add(arguments, "--orig_master_password=" PASSWORD);
        add(arguments, "--new_master_password=" PASSWORD);
}

static void add_shutdown(const Facts *facts, Json *arguments, const char *command, const char *server)
{
        const char *pid_file = facts_server_string(facts, server, "pid_file");
        bool stop = text_equal(command, "stop");
        if (stop) {
                add_stop(facts, arguments, server);
        } else {
                add(arguments, "--command=%s", command);
                add(arguments, "--ssh_user=%s", string_of(facts, server, "ssh_user"));
        }
        add(arguments, "--host=%s", hostname_of(facts, server));
        add(arguments, "--ip=%s", ip_of(facts, server));
        if (stop)
                add(arguments, "--port=%ld", port_of(facts, server));
        if (stop && !text_is_empty(pid_file))
                add(arguments, "--pid_file=%s", pid_file);
        add_ssh(facts, arguments, "", server, true);
}

static Json *begin(const char *name, Script *script)
{
        Json *input = json_object(), *arguments = json_ensure_array(input, "arguments");
        script_hook(script, name, input);
        return arguments;
}

void mha_ask(const Facts *facts, const char *name, const char *command, Script *script)
{
        const char *from = facts_string(facts, "old_primary"), *to = facts_string(facts, "candidate");
        bool demoted =
                facts_config_bool(facts, "switchover.demote", true) && !json_get_bool(facts->root, "no_demote", false);
        Json *arguments = begin(name, script);
        if (text_equal(command, "back")) {
                command = "start";
                demoted = false;
                const char *there = to ? to : from;
                to = from;
                from = there;
        }
        if (text_equal(name, SHUTDOWN))
                add_shutdown(facts, arguments, command, from);
        else if (text_equal(name, ONLINE_CHANGE))
                add_online_change(facts, arguments, command, from, to, demoted);
        else
                add_failover(facts, arguments, command, from, to);
}

void mha_ask_status(const Facts *facts, size_t n, Script *script)
{
        static const char *const names[MHA_N_STATUS] = { FAILOVER, SHUTDOWN };
        if (is_configured(facts, names[n]))
                mha_ask(facts, names[n], "status", script);
}

void mha_ask_secondary(const Facts *facts, Script *script)
{
        const char *server = facts_string(facts, "old_primary"), *ping = facts_config_string(facts, "detection.ping");
        const char *options = facts_config_string(facts, "hooks.mha.ssh_options");
        if (!is_configured(facts, SECONDARY_CHECK))
                return;
        Json *arguments = begin(SECONDARY_CHECK, script);
        CLEANUP(mem_free) char *type = alloc_string(ping ? ping : "select");
        for (char *c = type; *c; c++)
                *c = (char) toupper((unsigned char) *c);
        add(arguments, "--user=%s", string_of(facts, server, "ssh_user"));
        add_place(facts, arguments, "master", server);
        add(arguments, "--master_user=%s", facts_config_string(facts, "sql.user"));
        add(arguments, "--master_password=" PASSWORD);
        add(arguments, "--ping_type=%s", type);
        if (options)
                add(arguments, "--options=%s", options);
}

/* The report */

static void add_info(const Facts *facts, Text *text, const char *server)
{
        text_addf(text, "%s(%s:%ld)", hostname_of(facts, server), ip_of(facts, server), port_of(facts, server));
}

static const Json *find(const Json *list, const char *name)
{
        JSON_FOREACH(entry, list)
        {
                if (text_equal(json_get_string(entry, "name"), name))
                        return entry;
        }
        return NULL;
}

static void add_new(const Facts *facts, const Json *report, Json *arguments, const char *to)
{
        Text replicas = { 0 };
        JSON_FOREACH(server, json_get(report, "servers"))
        {
                if (!text_equal(json_get_string(server, "state"), "replica"))
                        continue;
                text_separate(&replicas, ",");
                text_add(&replicas, hostname_of(facts, json_get_string(server, "name")));
        }
        CLEANUP(mem_free) char *list = text_take(&replicas);
        add(arguments, "--new_master_host=%s", hostname_of(facts, to));
        add(arguments, "--new_slave_hosts=%s", list);
}

void mha_ask_report(const Facts *facts, const Json *report, const char *conf, Script *script)
{
        const Json *touched = find(json_get(report, "steps"), "stop-receivers");
        if (is_switchover(facts) || !is_configured(facts, REPORT) || json_get_int(touched, "started", 0) == 0)
                return;
        const char *old = facts_string(facts, "old_primary"), *to = json_get_string(report, "new_primary");
        const char *body = json_get_string(report, "text");
        bool well = to && text_equal(json_get_string(report, "outcome"), "completed");
        Json *arguments = begin(REPORT, script);
        add(arguments, "--orig_master_host=%s", hostname_of(facts, old));
        if (to)
                add_new(facts, report, arguments, to);
        add(arguments, "--conf=%s", conf);
        Text subject = { 0 };
        text_addf(&subject, "%s: MySQL Master failover ", facts_string(facts, "cluster"));
        add_info(facts, &subject, old);
        if (to) {
                text_add(&subject, " to ");
                add_info(facts, &subject, to);
        }
        if (well)
                text_add(&subject, " succeeded");
        CLEANUP(mem_free) char *line = text_take(&subject);
        add(arguments, "--subject=%s", line);
        CLEANUP(mem_free) char *cut = alloc_string_n(body ? body : "", strnlen(body ? body : "", BODY_MAX));
        add(arguments, "--body=%s", cut);
}

/* Exit statuses */

static char *first_line(const Reply *reply)
{
        const char *said = text_is_empty(reply->err) ? reply->out : reply->err;
        return alloc_string_n(said ? said : "", said ? strcspn(said, "\n") : 0);
}

static bool has_ended(const Reply *reply)
{
        return reply->failure.kind == FAILURE_NONE || reply->failure.kind == FAILURE_EXIT;
}

void mha_judge(const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        CLEANUP(mem_free) char *line = first_line(reply);
        const char *colon = *line ? ": " : "";
        if (!has_ended(reply))
                judge_as(judgement, VERDICT_HOPELESS, "%s%s%s", reply->failure.text, colon, line);
        else if (reply->exit_status == 0)
                judge_as(judgement, VERDICT_MET, "the script ended well");
        else if (reply->exit_status == GO_ON)
                judge_as(judgement, VERDICT_MET, "the script ended with status %d, so it goes on%s%s", GO_ON, colon,
                         line);
        else
                judge_as(judgement, VERDICT_HOPELESS, "the script ended with status %d%s%s", reply->exit_status, colon,
                         line);
}

static Json *rung(const char *result, const char *guarantee)
{
        Json *json = json_object();
        json_set_string(json, "result", result);
        json_set_string(json, "guarantee", guarantee);
        return json;
}

void mha_judge_shutdown(const Facts *facts, const Replies *replies, Judgement *judgement)
{
        mha_judge(replies, judgement);
        Json *learned = judge_learned(judgement);
        if (judgement->verdict != VERDICT_MET) {
                json_set_string(learned, "shutdown_refused", judgement->why);
        } else if (replies_at(replies, 0)->exit_status == GO_ON) {
                Json *server =
                        json_ensure_object(json_ensure_object(learned, "servers"), facts_string(facts, "old_primary"));
                json_set(json_ensure_object(server, "fence"), "process",
                         rung("shutdown_script ended the database process",
                              "nobody can write to the old primary until somebody starts it, as far as the script can "
                              "tell"));
                judge_as(judgement, VERDICT_MET, "the script ended with status %d: the process is gone, the host is up",
                         GO_ON);
        } else {
                json_set(json_ensure_object(learned, "fence"), "power",
                         rung("shutdown_script succeeded",
                              "the old primary's host is off, as far as the script can tell"));
        }
}
