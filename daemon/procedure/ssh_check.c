/* The checks of SSH. Pure. Its scripts must never change anything on a host. */
#include "ssh_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "announcement.h"
#include "source.h"
#include "status.h"
#include "text.h"

/* What tells lags and reports apart from the truth. */
#define SKEW_MOST (1 * USEC_SEC)

enum { CAPABILITY_KILL = 5, CAPABILITY_NET_ADMIN = 12 };

/* Each line is a word and what it is about. Programs are looked for as they will be called. */
static const char look_around[] =
        "echo clock $(date +%s.%N)\n"
        "echo user $(id -u) $(id -un)\n"
        "echo rights $(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)\n"
        "for p in ss ip awk sed tail head stat perl arping bash; do\n"
        "command -v $p >/dev/null 2>&1 && echo program $p; done\n"
        "[ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1 && echo systemd yes\n"
        "[ -z \"$v\" ] || { ip link show dev \"$v\" >/dev/null 2>&1 && echo device yes; }\n";

/* The index names the logs; the newest is the one that a rescue needs. */
static const char look_at_logs[] =
        "if [ -z \"$i\" ]; then IFS=,; for j in $x; do for k in \"$j\"/*.index; do "
        "[ -e \"$k\" ] && case $k in *relay*) ;; *) i=$k;; esac; done; done; unset IFS; fi\n"
        "if [ -z \"$i\" ]; then echo logs none \"$x\"; exit 0; fi\n"
        "if ! [ -r \"$i\" ]; then echo logs unreadable \"$i\"; exit 0; fi\n"
        "p=$(tail -n 1 -- \"$i\")\n"
        "case $p in /*) ;; *) p=${d:-${i%/*}}/$p;; esac\n"
        "if head -c 4 -- \"$p\" >/dev/null 2>&1; then echo logs good \"$p\"; else echo logs unreadable \"$p\"; fi\n";

static bool by_sudo(const Facts *facts)
{
        return text_equal(facts_config_string(facts, "ssh.sudo"), "commands");
}

static bool ends_attempts(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        return server_view_dialect(view)->stop_waits_for_connect;
}

/* A line for each command that sudo does not let us run; they are those that the steps of a run give to it. */
static char *ask_sudo(const Facts *facts, const char *server)
{
        if (!by_sudo(facts))
                return alloc_string("");
        Text text = { 0 };
        text_add(&text, "try() { sudo -n -l \"$@\" >/dev/null 2>&1 || echo \"denied $*\"; }\n");
        if (ends_attempts(facts, server))
                text_addf(&text, "try " SOURCE_END_ATTEMPT "\n", (int) facts_server_int(facts, server, "port", 3306));
        if (facts_config_bool(facts, "fence.stop_process", true))
                text_addf(&text, "try ss -Hltnp 'sport = :%d'\n", (int) facts_server_int(facts, server, "port", 3306));
        if (facts_config_bool(facts, "fence.stop_process", true) &&
            text_is_empty(facts_config_string(facts, "fence.command")))
                text_add(&text,
                         "for u in $(systemctl list-units --plain --no-legend --type=service 'mysql*' 'mariadb*' "
                         "2>/dev/null | awk '{print $1}'); do\n"
                         "try systemctl stop --no-block $u; try systemctl kill --signal=KILL $u; done\n");
        const char *ip = facts_config_string(facts, "address.ip");
        if (!text_is_empty(ip)) {
                const char *device = facts_config_string(facts, "address.device");
                CLEANUP(mem_free)
                char *add = announcement_addition(ip, device, facts_config_string(facts, "address.label"));
                CLEANUP(mem_free) char *bare = alloc_string_n(ip, strcspn(ip, "/"));
                text_addf(&text, "try ip %s\ntry ip addr del %s dev %s\n", add, ip, device);
                if (!strchr(ip, ':'))
                        text_addf(&text, "try arping -q -U -c 1 -I %s %s\n", device, bare);
        }
        return text_take(&text);
}

char *ssh_check_script(const Facts *facts, const char *server)
{
        const char *device = facts_config_string(facts, "address.device");
        bool has_address = !text_is_empty(facts_config_string(facts, "address.ip"));
        CLEANUP(mem_free) char *quoted_device = text_quote_shell(has_address && device ? device : "");
        if (!facts_server(facts, server))
                return text_format("v=\n%sexit 0", look_around); /* an observer */
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        CLEANUP(mem_free)
        char *known = view->log_bin_index      ? alloc_string(view->log_bin_index)
                      : view->log_bin_basename ? text_format("%s.index", view->log_bin_basename)
                                               : alloc_string("");
        if (*known && *known != '/') {
                CLEANUP(mem_free) char *relative = known;
                known = text_format("%s/%s", view->datadir ? view->datadir : "", relative);
        }
        const char *folder = facts_server_string(facts, server, "binlog_directory");
        CLEANUP(mem_free) char *index = text_quote_shell(known);
        CLEANUP(mem_free) char *data = text_quote_shell(view->datadir ? view->datadir : "");
        CLEANUP(mem_free) char *search = text_quote_shell(folder ? folder : "/var/lib/mysql,/var/log/mysql");
        CLEANUP(mem_free) char *sudo = ask_sudo(facts, server);
        return text_format("v=%s i=%s d=%s x=%s\n%s%s%sexit 0", quoted_device, index, data, search, look_around, sudo,
                           look_at_logs);
}

/* Without a trace on the host: no known_hosts is read or written, which is what MHA's check came to as well. */
char *ssh_check_mesh(const char *user, const char *host, uint16_t port)
{
        CLEANUP(mem_free) char *quoted_user = text_quote_shell(user);
        CLEANUP(mem_free) char *quoted_host = text_quote_shell(host);
        return text_format(
                "ssh -o BatchMode=yes -o PasswordAuthentication=no -o StrictHostKeyChecking=no "
                "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5 -l %s -p %u -- %s exit",
                quoted_user, port, quoted_host);
}

/* Reading */

/* What follows a word at the beginning of a line; NULL when there is none. The caller frees it. */
static char *told(const char *out, const char *word)
{
        size_t length = strlen(word);
        for (const char *line = out; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (strncmp(line, word, length) == 0 && line[length] == ' ')
                        return alloc_string_n(line + length + 1, strcspn(line + length + 1, "\r\n"));
        return NULL;
}

static bool has_program(const char *out, const char *name)
{
        CLEANUP(mem_free) char *line = text_format("program %s\n", name);
        return out && strstr(out, line);
}

static char *first_line(const char *text)
{
        return alloc_string_n(text ? text : "", strcspn(text ? text : "", "\r\n"));
}

/* The judges */

/* What sudo does not let the account run; the address is put there by ip(8), and told by arping(8). */
static void check_sudo(const SshLook *look, const char *out, Json *results)
{
        size_t length = strlen("denied ");
        for (const char *line = out; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
                if (strncmp(line, "denied ", length) != 0)
                        continue;
                const char *command = line + length;
                CheckId id = text_starts_with(command, "arping ") ? CHECK_SSH_ANNOUNCEMENT
                             : text_starts_with(command, "ip ")   ? CHECK_SSH_ADDRESS
                                                                  : CHECK_SSH_RIGHTS;
                check_add(results, id, look->server, "sudo does not let the account run: %.*s",
                          (int) strcspn(command, "\n"), command);
        }
}

static bool may(const char *out, int capability)
{
        CLEANUP(mem_free) char *rights = told(out, "rights");
        return rights && (strtoull(rights, NULL, 16) >> capability & 1);
}

static void check_rights(const Facts *facts, const SshLook *look, const char *out, Json *results)
{
        CLEANUP(mem_free) char *user = told(out, "user");
        const char *name = user ? strchr(user, ' ') : NULL;
        bool stops = facts_config_bool(facts, "fence.stop_process", true);
        name = name ? name + 1 : "the account";
        if (by_sudo(facts))
                check_sudo(look, out, results);
        if (stops && !by_sudo(facts) && !may(out, CAPABILITY_KILL))
                check_add(results, CHECK_SSH_RIGHTS, look->server,
                          "%s may not end processes of others: a dead primary's "
                          "database could not be stopped",
                          name);
        if (text_is_empty(facts_config_string(facts, "address.ip")))
                return;
        const char *device = facts_config_string(facts, "address.device"),
                   *ip = facts_config_string(facts, "address.ip");
        CLEANUP(mem_free) char *found = told(out, "device");
        if (!has_program(out, "ip"))
                check_add(results, CHECK_SSH_ADDRESS, look->server, "there is no ip(8): %s could not be put there", ip);
        else if (!found)
                check_add(results, CHECK_SSH_ADDRESS, look->server, "there is no device %s: %s could not be put there",
                          device ? device : "?", ip);
        else if (by_sudo(facts))
                return; /* told with what sudo does not let it run */
        else if (!may(out, CAPABILITY_NET_ADMIN))
                check_add(results, CHECK_SSH_ADDRESS, look->server,
                          "%s may not change addresses: %s could not be put there", name, ip);
        else if (!has_program(out, "perl") &&
                 (strchr(ip, ':') || (!has_program(out, "arping") && !has_program(out, "bash"))))
                check_add(results, CHECK_SSH_ANNOUNCEMENT, look->server,
                          "neither perl nor another program there can tell the network where %s is", ip);
}

static void check_programs(const Facts *facts, const SshLook *look, const char *out, Json *results)
{
        static const char *const needed[] = { "ss", "awk", "sed", "tail", "head", "stat" };
        bool stops = facts_config_bool(facts, "fence.stop_process", true);
        CLEANUP(text_done) Text missing = { 0 };
        for (size_t i = stops || ends_attempts(facts, look->server) ? 0 : 1; i < ARRAY_LENGTH(needed); i++)
                if (!has_program(out, needed[i])) {
                        text_separate(&missing, ", ");
                        text_add(&missing, needed[i]);
                }
        if (missing.data)
                check_add(results, CHECK_SSH_PROGRAMS, look->server, "missing on the host: %s", missing.data);
        CLEANUP(mem_free) char *systemd = told(out, "systemd");
        if (stops && !systemd && text_is_empty(facts_config_string(facts, "fence.command")))
                check_add(results, CHECK_SSH_SYSTEMD, look->server,
                          "there is no systemd: a fenced database is killed, and stays down unless something restarts "
                          "it");
}

static void check_logs(const Facts *facts, const SshLook *look, const char *out, Json *results)
{
        CLEANUP(mem_free) char *logs = told(out, "logs");
        if (!facts_config_bool(facts, "rescue.enabled", true) ||
            !facts_server_bool(facts, look->server, "log_bin", true))
                return;
        if (text_starts_with(logs, "unreadable "))
                check_add(results, CHECK_SSH_BINLOGS, look->server, "%s cannot be read", logs + strlen("unreadable "));
        else if (!text_starts_with(logs, "good "))
                check_add(results, CHECK_SSH_BINLOGS, look->server, "no binary log is found in %s",
                          text_starts_with(logs, "none ") ? logs + strlen("none ") : "any directory");
}

/* Its clock was read between the question and the answer. */
static void check_clock(const SshLook *look, const char *out, Json *results)
{
        CLEANUP(mem_free) char *clock = told(out, "clock");
        char *end = NULL;
        double there = clock ? strtod(clock, &end) : 0;
        if (!clock || end == clock)
                return;
        double asked = (double) look->asked / (double) USEC_SEC, answered = (double) look->answered / (double) USEC_SEC;
        if (end && strcmp(end, ".%N") == 0) /* a date(1) that knows only seconds */
                asked -= 1;
        double off = there < asked ? there - asked : there > answered ? there - answered : 0;
        if (off * (double) USEC_SEC > (double) SKEW_MOST || off * (double) USEC_SEC < -(double) SKEW_MOST)
                check_add(results, CHECK_SSH_CLOCK, look->server, "its clock is %.1f s %s", off < 0 ? -off : off,
                          off < 0 ? "behind" : "ahead");
}

static void check_ways(const SshLook *look, Json *results)
{
        bool forbidden = false;
        for (size_t i = 0; i < look->n_ways; i++) {
                const SshWay *way = &look->ways[i];
                if (way->path == SSH_PATH_FORBIDDEN && !forbidden)
                        check_add(results, CHECK_SSH_FORWARDING, look->server, "%s", way->text);
                forbidden = forbidden || way->path == SSH_PATH_FORBIDDEN;
                if (way->path == SSH_PATH_FAILED)
                        check_add(results, CHECK_SSH_PATH, look->server,
                                  "the database of %s cannot be reached from it: %s", way->to, way->text);
        }
}

static void check_mesh(const SshLook *look, Json *results)
{
        for (size_t i = 0; i < look->n_ways; i++) {
                const Reply *reply = look->ways[i].mesh;
                if (!reply || (reply_succeeded(reply) && reply->exit_status == 0))
                        continue;
                CLEANUP(mem_free) char *said = first_line(reply->err);
                check_add(results, CHECK_SSH_MESH, look->server, "its account cannot log in to %s: %s",
                          look->ways[i].to, *said ? said : reply->failure.text);
        }
}

/* The script did not come to its end: why. */
static void check_command(const Facts *facts, const SshLook *look, Json *results)
{
        const Reply *reply = look->reply;
        CLEANUP(mem_free) char *said = first_line(reply->err);
        bool sudo = text_equal(facts_config_string(facts, "ssh.sudo"), "true");
        check_add(results, sudo && strstr(said, "sudo") ? CHECK_SSH_SUDO : CHECK_SSH_COMMAND, look->server, "%s",
                  *said                                 ? said
                  : reply->failure.kind != FAILURE_NONE ? reply->failure.text
                                                        : "a script gives nothing back");
}

static void check_host(const Facts *facts, const SshLook *look, Json *results)
{
        const char *out = look->reply->out;
        CLEANUP(mem_free) char *user = told(out, "user");
        if (!reply_succeeded(look->reply) || look->reply->exit_status != 0 || !user) {
                check_command(facts, look, results);
        } else if (!look->observer) {
                check_rights(facts, look, out, results);
                check_programs(facts, look, out, results);
                check_logs(facts, look, out, results);
        }
        check_clock(look, out, results);
        bool feeds = !look->observer && facts_config_bool(facts, "rescue.enabled", true) &&
                     text_is_empty(facts_config_string(facts, "rescue.listen"));
        if (feeds && look->listen_failure)
                check_add(results, CHECK_SSH_REVERSE, look->server, "%s", look->listen_failure);
}

void ssh_check_judge(const Facts *facts, const SshLook *look, Json *results)
{
        if (look->refused != CHECK_SSH) {
                check_add(results, look->refused, look->server, "%s", look->failure);
                return;
        }
        check_host(facts, look, results);
        check_ways(look, results);
        check_mesh(look, results);
        if (check_has(results, look->server, CHECK_LEVEL_WARNING))
                return;
        CLEANUP(mem_free) char *user = told(look->reply->out, "user");
        CLEANUP(mem_free) char *logs = told(look->reply->out, "logs");
        const char *name = user ? strchr(user, ' ') : NULL, *log = text_starts_with(logs, "good ") ? logs : NULL;
        if (log && strrchr(log, '/'))
                log = strrchr(log, '/');
        check_add(results, CHECK_SSH, look->server, "logged in as %s; it reaches the other databases%s%s",
                  name ? name + 1 : "?", log ? "; its newest binary log can be read: " : "", log ? log + 1 : "");
}
