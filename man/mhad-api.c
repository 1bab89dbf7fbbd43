/* Prints mhad-api(7) from the interface description and the table of methods. The build fails when an example is missing, or
 * is no call that the daemon would accept. Run by the build, not installed. */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "roff.h"
#include "text.h"

#define INTERFACE "org.mhad"

static const char head[] =
        ".TH MHAD\\-API 7 \"\" \"mhad " MHAD_VERSION "\" \"mhad\"\n"
        ".SH NAME\n"
        "mhad\\-api \\- the control interface of mhad, org.mhad\n"
        ".SH DESCRIPTION\n"
        "Everything that \\fBmhactl\\fR(1) does it does by calling the daemon over the Unix socket "
        "\\fI" API_SOCKET "\\fR.\n"
        "It speaks varlink (https://varlink.org), so that \\fBvarlinkctl\\fR(1) and the varlink libraries of many "
        "languages do, too. A message is a JSON object that ends with a NUL byte; the longest call is 1 MiB. "
        "\\fBvarlinkctl introspect\\fR prints the interface as the running daemon has it.\n"
        ".PP\n"
        "With varlinkctl:\n"
        ".PP\n"
        ".nf\n"
        "varlinkctl call " API_SOCKET " org.mhad.Status '{\"cluster\":\"app1\"}'\n"
        ".fi\n"
        ".PP\n"
        "With anything else that reaches a socket:\n"
        ".PP\n"
        ".nf\n"
        "printf '%%s\\e0' '{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":\"app1\"}}' |\n"
        "  socat \\-t10 \\- UNIX\\-CONNECT:" API_SOCKET " | tr '\\e0' '\\en'\n"
        ".fi\n"
        ".PP\n"
        "Who gives an order gets the answer when the run has begun; \\fBStatus\\fR and \\fBEvents\\fR tell how it goes "
        "on, "
        "\\fBReport\\fR how it ended.\n"
        ".PP\n"
        "Any method may end with org.varlink.service.InvalidParameter (naming it), those that name a cluster with "
        "\\fBUnknownCluster\\fR, and those that change something with org.varlink.service.PermissionDenied, "
        "\\fBRefused\\fR or \\fBFailed\\fR.\n";

/* Parameters of one call each. */
static const struct {
        ApiId id;
        const char *parameters;
} examples[] = {
        { API_STATUS, "{\"cluster\":\"app1\"}" },
        { API_CHECK, "{\"cluster\":\"app1\",\"what\":\"replication\"}" },
        { API_PLAN, "{\"cluster\":\"app1\",\"procedure\":\"switch\",\"options\":{\"to\":\"db2\"}}" },
        { API_FAILOVER, "{\"cluster\":\"app1\",\"options\":{\"to\":\"db2\"}}" },
        { API_SWITCH, "{\"cluster\":\"app1\",\"options\":{\"to\":\"db2\"}}" },
        { API_REJOIN, "{\"cluster\":\"app1\",\"server\":\"db1\"}" },
        { API_PURGE, "{\"cluster\":\"app1\",\"server\":\"db2\"}" },
        { API_PAUSE, "{\"cluster\":\"app1\",\"reason\":\"new kernel\",\"for_ms\":3600000}" },
        { API_RESUME, "{\"cluster\":\"app1\"}" },
        { API_ACKNOWLEDGE, "{\"cluster\":\"app1\"}" },
        { API_RUN, "{\"cluster\":\"app1\",\"what\":\"retry\"}" },
        { API_SERVER_DOWN, "{\"server\":\"db3\",\"reason\":\"new disk\",\"for_ms\":7200000}" },
        { API_SERVER_UP, "{\"server\":\"db3\"}" },
        { API_EVENTS, "{\"cluster\":\"app1\"}" },
        { API_REPORT, "{\"cluster\":\"app1\"}" },
        { API_HISTORY, "{}" },
        { API_RESCUES, "{\"cluster\":\"app1\"}" },
        { API_RESCUE_FETCH, "{\"cluster\":\"app1\",\"server\":\"db1\",\"options\":{\"from\":\"binlog.000007\"}}" },
        { API_METRICS, "{}" },
        { API_RELOAD, "{}" },
        { API_VERSION, "{}" },
};

static const char *example_of(ApiId id)
{
        for (size_t i = 0; i < ARRAY_LENGTH(examples); i++)
                if (examples[i].id == id)
                        return examples[i].parameters;
        return NULL;
}

static bool print_example(ApiId id)
{
        const ApiMethod *method = api_method(id);
        const char *text = example_of(id);
        CLEANUP(json_free) Json *parameters = NULL;
        if (text)
                (void) json_parse(text, strlen(text), &parameters, &(Failure){ 0 });
        CLEANUP(mem_free) char *wrong = parameters ? api_find_invalid(method, parameters) : NULL;
        if (!parameters || wrong) {
                fprintf(stderr, "%s: no example, or a wrong one: %s\n", method->name, wrong ? wrong : "");
                return false;
        }
        fputs(".PP\n.nf\n", stdout);
        CLEANUP(mem_free)
        char *line = text_format("varlinkctl call%s " API_SOCKET " " INTERFACE ".%s '%s'",
                                 id == API_EVENTS ? " --more" : "", method->name, text);
        print_escaped(line);
        puts("\n.fi");
        return true;
}

/* A description is members with comments before them, each ended by an empty line. */
typedef struct Member {
        const char *text;
        size_t length, n_comments; /* bytes of its comment lines */
        char kind[8], name[64];
} Member;

static bool next_member(const char **at, Member *ret)
{
        for (*at += strspn(*at, "\n"); **at; *at += strspn(*at, "\n")) {
                const char *end = strstr(*at, "\n\n");
                *ret = (Member){ .text = *at, .length = end ? (size_t) (end - *at) : strlen(*at) };
                *at += ret->length;
                const char *line = ret->text;
                while (*line == '#')
                        line = strchr(line, '\n') + 1;
                ret->n_comments = (size_t) (line - ret->text);
                if (sscanf(line, "%7s %63[A-Za-z]", ret->kind, ret->name) == 2)
                        return true;
        }
        return false;
}

static void print_comment(const Member *member)
{
        for (const char *line = member->text; line < member->text + member->n_comments; line = strchr(line, '\n') + 1) {
                CLEANUP(mem_free) char *one = alloc_string_n(line + 2, strcspn(line + 2, "\n"));
                print_escaped(one);
                putchar('\n');
        }
}

static void print_code(const Member *member)
{
        puts(member->n_comments ? ".PP\n.nf" : ".nf");
        const char *end = member->text + member->length;
        for (const char *line = member->text + member->n_comments; line < end;) {
                CLEANUP(mem_free) char *one = alloc_string_n(line, strcspn(line, "\n"));
                print_escaped(one);
                putchar('\n');
                line += strlen(one) + 1;
        }
        puts(".fi");
}

static bool print_method(const Member *member)
{
        CLEANUP(mem_free) char *name = text_format(INTERFACE ".%s", member->name);
        const char *error;
        ApiId id = api_find(name, &error);
        if (id == _API_INVALID) {
                fprintf(stderr, "%s: not in the table of methods\n", name);
                return false;
        }
        printf(".SS %s\n", member->name);
        print_comment(member);
        if (api_method(id)->access == API_CHANGES)
                puts("For root, the user of mhad and the members of \\fBdaemon.socket_group\\fR.");
        if (id == API_RELOAD)
                puts("May end with \\fBConfigurationRejected\\fR.");
        print_code(member);
        return print_example(id);
}

static bool print_members(const char *kind)
{
        const char *at = api_interface_description(INTERFACE);
        Member member;
        bool good = true;
        while (good && next_member(&at, &member)) {
                if (!text_equal(member.kind, kind))
                        continue;
                if (text_equal(kind, "method")) {
                        good = print_method(&member);
                } else {
                        printf(".SS %s\n", member.name);
                        print_comment(&member);
                        print_code(&member);
                }
        }
        return good;
}

int main(void)
{
        printf(head);
        puts(".SH METHODS");
        if (!print_members("method"))
                return 1;
        puts(".SH ERRORS");
        (void) print_members("error");
        puts(".SH TYPES\nA question mark: the member may be missing. Times are microseconds since 1970\\-01\\-01 UTC. "
             "Members "
             "may be added to any object: ignore those that you do not know.");
        (void) print_members("type");
        puts(".SH SEE ALSO\n\\fBmhactl\\fR(1), \\fBmhad\\fR(8), \\fBmhad\\-metrics\\fR(7)");
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
