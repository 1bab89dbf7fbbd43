/* MHA's init_conf_load_script: parameters of MHA, printed by a program, laid over what a cluster's file says. Owns the
 * output while it is read, which may hold passwords; must never show any of it. */
#include <ctype.h>
#include <string.h>

#include "draft.h"
#include "secret.h"
#include "text.h"
#include "value.h"

static const char key[] = "hooks.mha.init_conf_load_script";

/* What MHA reads from it and has a counterpart here of which the value means the same. */
static const struct {
        const char *name, *path;
        bool seconds; /* written as a number of them */
} parameters[] = {
        { "user", "sql.user" },
        { "password", "sql.password" },
        { "repl_user", "replication.user" },
        { "repl_password", "replication.password" },
        { "ssh_user", "ssh.user" },
        { "ssh_port", "ssh.port" },
        { "ssh_connection_timeout", "ssh.connect_timeout", true },
        { "ping_type", "detection.ping" },
        { "ping_interval", "detection.ping_interval", true },
        { "master_ip_failover_script", "hooks.mha.master_ip_failover_script" },
        { "master_ip_online_change_script", "hooks.mha.master_ip_online_change_script" },
        { "shutdown_script", "hooks.mha.shutdown_script" },
        { "report_script", "hooks.mha.report_script" },
        { "ssh_options", "hooks.mha.ssh_options" },
        { "secondary_check_script", "hooks.mha.secondary_check_script" },
};

/* As MHA does: a quote at the end goes, and with it one at the beginning. */
static void strip_quotes(char **value)
{
        size_t length = strlen(*value);
        if (length == 0 || !strchr("'\"", (*value)[length - 1]))
                return;
        (*value)[length - 1] = '\0';
        *value += length > 1 && strchr("'\"", **value);
}

static void set_value(Draft *draft, Reading *reading, const Origin *origin, size_t i, char *value)
{
        const SchemaRow *row = schema_find(SCHEMA_CLUSTER, parameters[i].path);
        draft->origins[row - schema_rows] = *origin;
        if (value_is_secret(row)) {
                char **member = value_member(row, draft->config);
                text_wipe(*member);
                *member = *value ? alloc_string(value) : NULL;
                return;
        }
        if (!*value) {
                value_reset(row, draft->config);
                return;
        }
        for (char *c = value; row->type == SCHEMA_CHOICE && *c; c++)
                *c = (char) tolower((unsigned char) *c);
        CLEANUP(mem_free) char *text = text_format("%s%s", value, parameters[i].seconds ? "s" : "");
        Tree tree = { .kind = TREE_SCALAR, .text = text, .length = strlen(text), .place = origin->place };
        value_read(reading, row, &tree, draft->config);
}

/* A program that failed before it said anything would take the passwords away that it gave before. */
static void read_status(Reading *reading, const Origin *origin, const char *status, bool said_something)
{
        if (strcmp(status, "0") == 0)
                return;
        if (said_something)
                reading_warn(reading, origin->place, "%s: it ended with status %s", key, status);
        else
                reading_error_for_now(reading, origin->place, "%s: it ended with status %s and gave nothing", key,
                                      status);
}

/* said: how many parameters that mean something here. */
static void read_line(Draft *draft, Reading *reading, const Origin *origin, char *line, size_t *said)
{
        char *equals = strchr(line, '=');
        size_t i = 0;
        if (!line[strspn(line, " \t\r")])
                return;
        if (!equals) {
                reading_warn(reading, origin->place, "%s: it printed a line that is not name=value", key);
                return;
        }
        *equals = '\0';
        char *value = equals + 1;
        if (strcmp(line, "exit_status") == 0) {
                read_status(reading, origin, value, *said > 0);
                return;
        }
        while (i < ARRAY_LENGTH(parameters) && strcmp(parameters[i].name, line) != 0)
                i++;
        strip_quotes(&value);
        if (i < ARRAY_LENGTH(parameters)) {
                set_value(draft, reading, origin, i, value);
                ++*said;
        } else {
                CLEANUP(mem_free) char *shown = reading_quote_key(line);
                reading_warn(reading, origin->place, "%s: its parameter %s is ignored, say it here instead", key,
                             shown);
        }
}

void draft_run_script(Draft *draft, Reading *reading)
{
        const char *command = draft->config->hooks.mha.init_conf_load_script;
        if (!command || reading->offline)
                return;
        const Origin origin = draft->origins[schema_find(SCHEMA_CLUSTER, key) - schema_rows];
        /* What it printed counts whatever its status, as in MHA; but the status is told, and nothing at all is an error. */
        CLEANUP(mem_free) char *script = text_format("(%s\n)\necho \"exit_status=$?\"", command);
        char *const arguments[] = { (char *) "/bin/sh", (char *) "-c", script, NULL };
        char *out = NULL;
        Failure failure;
        if (secret_read_command(arguments, SECRET_COMMAND_TIMEOUT, &out, &failure) < 0) {
                reading_error_for_now(reading, origin.place, "%s: %s", key, failure.text);
                return;
        }
        size_t length = strlen(out), said = 0;
        for (char *line = out, *next; line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                read_line(draft, reading, &origin, line, &said);
        }
        explicit_bzero(out, length);
        free(out);
}
