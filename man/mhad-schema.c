/* Prints mhad.yaml(5) from the table of keys. Run by the build, not installed. */
#include <stdio.h>
#include <string.h>

#include "schema.h"
#include "text.h"

static void print_escaped(const char *text)
{
        if (*text == '.' || *text == '\'')
                fputs("\\&", stdout);
        for (const char *c = text; *c; c++)
                if (*c == '\\')
                        fputs("\\e", stdout);
                else if (*c == '-')
                        fputs("\\-", stdout);
                else
                        putchar(*c);
}

static void print_default(const SchemaRow *row)
{
        if (row->required)
                fputs("Required.", stdout);
        else if (row->otherwise || row->unset) {
                fputs("Default: ", stdout);
                if (row->otherwise)
                        fputs("\\fB", stdout);
                print_escaped(row->otherwise ? row->otherwise : row->unset);
                fputs(row->otherwise ? "\\fR." : ".", stdout);
        } else
                fputs("No default.", stdout);
}

static void print_key(const SchemaRow *row)
{
        CLEANUP(mem_free) char *type = schema_describe_type(row);
        fputs(".TP\n\\fB", stdout);
        print_escaped(row->path);
        fputs("\\fR: \\fI", stdout);
        print_escaped(type);
        fputs("\\fR\n", stdout);
        print_escaped(row->meaning);
        fputs("\n.br\n", stdout);
        print_default(row);
        printf(" A change takes effect %s.", schema_effect_to_string(row->effect));
        if (row->mha) {
                fputs(" MHA: ", stdout);
                print_escaped(row->mha);
                putchar('.');
        }
        putchar('\n');
}

static void print_section(const SchemaRow *row)
{
        fputs(".SS ", stdout);
        print_escaped(row->path);
        putchar('\n');
        print_escaped(row->meaning);
        putchar('\n');
}

static void print_scope(SchemaScope scope)
{
        SCHEMA_FOREACH(row, scope)
        if (row->type == SCHEMA_SECTION)
                print_section(row);
        else
                print_key(row);
}

static void print_mha_row(const SchemaRow *row)
{
        static const char *const of_scope[_SCHEMA_SCOPE_MAX] = {
                [SCHEMA_SERVER] = "servers: ", [SCHEMA_OBSERVER] = "observers: "
        };
        fputs(".TP\n\\fB", stdout);
        print_escaped(row->mha);
        fputs("\\fR\n", stdout);
        print_escaped(of_scope[row->scope] ? of_scope[row->scope] : "");
        print_escaped(row->path);
        putchar('\n');
}

/* Parameters of MHA that have no key here, and why not. */
static const struct {
        const char *name, *why;
} not_needed[] = {
        { "check_repl_filter", "filters are always compared; a replica whose filters differ is not promoted" },
        { "client_bindir, client_libdir", "no program of the database is run" },
        { "disable_log_bin, handle_raw_binlog",
          "missing events reach a replica by replication itself, not through a client" },
        { "latest_priority", "what servers says first is always the tie-breaker, never more than that" },
        { "manager_log", "the journal of systemd; see journalctl -u mhad" },
        { "master_pid_file", "the process is found on the host" },
        { "multi_tier_slave", "who replicates from whom is read from the servers" },
        { "node_label", "name of a server" },
        { "remote_workdir", "nothing is written on the hosts" },
        { "skip_init_ssh_check", "an unreachable host is reported and holds nothing up" },
        { "skip_reset_slave", "a new primary never stays a replica" },
        { "use_gtid_auto_pos", "read from the replicas" },
};

static void print_mha(void)
{
        puts(".SH FROM MHA'S PARAMETERS");
        for (size_t i = 0; i < schema_n_rows; i++)
                if (schema_rows[i].mha)
                        print_mha_row(&schema_rows[i]);
        puts(".PP\nNot needed:");
        for (size_t i = 0; i < ARRAY_LENGTH(not_needed); i++) {
                fputs(".TP\n\\fB", stdout);
                print_escaped(not_needed[i].name);
                fputs("\\fR\n", stdout);
                print_escaped(not_needed[i].why);
                fputs(".\n", stdout);
        }
}

static const char head[] =
        ".TH MHAD.YAML 5 \"\" \"mhad " MHAD_VERSION "\" \"mhad\"\n"
        ".SH NAME\n"
        "mhad.yaml \\- configuration of mhad\n"
        ".SH SYNOPSIS\n"
        ".nf\n"
        "/etc/mhad/mhad.yaml\n"
        "/etc/mhad/clusters.d/*.yaml\n"
        ".fi\n"
        ".SH DESCRIPTION\n"
        "The main file holds what concerns the daemon itself and, under \\fBdefaults\\fR, what holds for every "
        "cluster.\n"
        "Each cluster has a file of its own in the folder \\fBclusters.d\\fR beside the main file. Files whose names "
        "begin\n"
        "with a dot or do not end in \\fB.yaml\\fR are not read.\n"
        ".PP\n"
        "The files are YAML without anchors, aliases and tags. An unknown key, a key that is given twice and a value "
        "that\n"
        "does not fit are errors. \\fBmhad \\-\\-check\\-config\\fR lists all of them with file, line and column. "
        "After a change,\n"
        "\\fBsystemctl reload mhad\\fR or \\fBmhactl reload\\fR puts it in force; with an error in it, what was in "
        "force stays.\n"
        ".PP\n"
        "A cluster's own value goes before that of \\fBdefaults\\fR. The word \\fBnull\\fR puts a key, or all keys of "
        "a section,\n"
        "back to what it is when nobody says anything.\n"
        ".PP\n"
        "A duration has a unit: 500ms, 3s, 1m30s, 8h, 2d. A size has one too: 512KiB, 64MiB, 1GiB.\n"
        ".PP\n"
        "A file with a secret in it must belong to root or to the user of the daemon (\\fBmhad\\fR) and be readable "
        "for\n"
        "nobody else (mode 0600); it is refused otherwise. As the daemon has to read it, that means:\n"
        ".PP\n"
        ".nf\n"
        "chown mhad: /etc/mhad/mhad.password; chmod 600 /etc/mhad/mhad.password\n"
        ".fi\n";

static const char tail[] = ".SH EXAMPLE\n"
                           "The smallest cluster:\n"
                           ".PP\n"
                           ".nf\n"
                           "cluster: app1\n"
                           "servers:\n"
                           "  \\- {name: db1, host: 10.0.0.1}\n"
                           "  \\- {name: db2, host: 10.0.0.2}\n"
                           "sql: {user: mhad, password_file: /etc/mhad/mhad.password}\n"
                           "replication: {user: repl, password_file: /etc/mhad/repl.password}\n"
                           "ssh: {identity_file: /etc/mhad/id_ed25519}\n"
                           "address: {ip: 10.0.0.100/24, device: eth0}\n"
                           ".fi\n"
                           ".PP\n"
                           "A longer one is in /etc/mhad/clusters.d/example.yaml.disabled.\n"
                           ".SH SEE ALSO\n"
                           "\\fBmhad\\fR(8), \\fBmhactl\\fR(1), \\fBsystemd.exec\\fR(5)\n";

int main(void)
{
        fputs(head, stdout);
        puts(".SH THE MAIN FILE");
        print_scope(SCHEMA_MAIN);
        puts(".SH THE FILE OF A CLUSTER");
        print_scope(SCHEMA_CLUSTER);
        puts(".SH SERVERS\nThe keys of each element of \\fBservers\\fR.");
        print_scope(SCHEMA_SERVER);
        puts(".SH OBSERVERS\nThe keys of each element of \\fBobservers\\fR.");
        print_scope(SCHEMA_OBSERVER);
        print_mha();
        fputs(tail, stdout);
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
