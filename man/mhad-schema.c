/* Prints mhad.yaml(5) from the table of keys, or with its template as an argument mhad-from-mha(7) from that of MHA's
 * parameters. Run by the build, not installed. */
#include <stdio.h>
#include <string.h>

#include "mha.h"
#include "roff.h"
#include "schema.h"
#include "text.h"

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

/* One parameter of MHA: the keys that stand for it, and what to know. */
static void print_parameter(const MhaParameter *parameter)
{
        CLEANUP(mem_free) char *keys = mha_keys(parameter->name);
        fputs(".TP\n\\fB", stdout);
        print_escaped(parameter->name);
        fputs("\\fR\n", stdout);
        print_escaped(keys ? keys : "Not needed");
        if (parameter->remark) {
                fputs(keys ? "; " : ": ", stdout);
                print_escaped(parameter->remark);
        }
        puts(".");
}

/* mhad-from-mha(7): the template with the parameters in it. */
static int print_from_mha(const char *path)
{
        FILE *template = fopen(path, "re");
        char line[1024];
        if (!template)
                return 1;
        while (fgets(line, sizeof line, template))
                if (strcmp(line, "@PARAMETERS@\n") != 0)
                        fputs(line, stdout);
                else
                        for (size_t i = 0; i < mha_n_parameters; i++)
                                print_parameter(&mha_parameters[i]);
        fclose(template);
        return 0;
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

static const char tail[] =
        ".SH EXAMPLE\n"
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
        "\\fBmhad\\fR(8), \\fBmhactl\\fR(1), \\fBmhad\\-from\\-mha\\fR(7), \\fBsystemd.exec\\fR(5)\n";

int main(int argc, char *argv[])
{
        if (argc > 1)
                return print_from_mha(argv[1]) || fflush(stdout) ? 1 : 0;
        fputs(head, stdout);
        puts(".SH THE MAIN FILE");
        print_scope(SCHEMA_MAIN);
        puts(".SH THE FILE OF A CLUSTER");
        print_scope(SCHEMA_CLUSTER);
        puts(".SH SERVERS\nThe keys of each element of \\fBservers\\fR.");
        print_scope(SCHEMA_SERVER);
        puts(".SH OBSERVERS\nThe keys of each element of \\fBobservers\\fR.");
        print_scope(SCHEMA_OBSERVER);
        fputs(tail, stdout);
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
