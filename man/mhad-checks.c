/* Prints mhad-checks(7) from the table of checks. Run by the build, not installed. */
#include <stdio.h>

#include "checklist.h"
#include "roff.h"

static const char head[] =
        ".TH MHAD\\-CHECKS 7 \"\" \"mhad " MHAD_VERSION "\" \"mhad\"\n"
        ".SH NAME\n"
        "mhad\\-checks \\- what mhactl check may find, and what to do about it\n"
        ".SH DESCRIPTION\n"
        "\\fBmhactl check\\fR says what is known without asking anybody; \\fBcheck ssh\\fR, \\fBcheck replication\\fR, "
        "\\fBcheck failover\\fR\n"
        "and \\fBcheck config\\fR ask hosts, servers and files, all at once, and nothing is changed by it. Each "
        "finding has "
        "a level, a\n"
        "sentence, an id that stays the same, and a remedy:\n"
        ".TP\n"
        "\\fBerror\\fR\n"
        "A failover would fail, would not be begun, or would leave something broken. With one of these the exit status "
        "is "
        "1.\n"
        ".TP\n"
        "\\fBwarning\\fR\n"
        "It would go through, but slower, with a loss that could be avoided, or not twice.\n"
        ".TP\n"
        "\\fBnote\\fR\n"
        "Good to know.\n"
        ".TP\n"
        "\\fBok\\fR\n"
        "What was looked at and is well.\n"
        ".PP\n"
        "Where something could not be looked at, that is said; silence means that it was looked at.\n"
        ".PP\n"
        "With \\fB\\-\\-json\\fR: {\"what\", \"checks\": [{\"cluster\", \"server\", \"level\", \"id\", \"text\", "
        "\"remedy\"}], \"ready\"}.\n";

static void print_row(const CheckRow *row, const char *level)
{
        fputs(".TP\n\\fB", stdout);
        print_escaped(row->name);
        printf("\\fR (%s)\n", level);
        print_escaped(row->meaning);
        putchar('\n');
        if (!row->remedy)
                return;
        fputs(".br\nRemedy: ", stdout);
        print_escaped(row->remedy);
        puts(".");
}

static void print_kind(CheckKind kind, const char *title)
{
        printf(".SH %s\n", title);
        for (int id = 0; id < _CHECK_ID_MAX; id++)
                if (check_row((CheckId) id)->kind == kind)
                        print_row(check_row((CheckId) id), check_level_to_string(check_row((CheckId) id)->level));
}

/* Level: what blocks is an error; the table cannot know which. */
static void print_problems(void)
{
        puts(".SS What mhactl status tells, too\n"
             "An error when it forbids a failover by itself, else a warning.");
        for (int id = 0; id < _PROBLEM_MAX; id++) {
                const CheckRow *row = check_problem_row((ProblemId) id);
                print_row(row, check_level_to_string(row->level));
        }
}

int main(void)
{
        fputs(head, stdout);
        print_kind(CHECK_KIND_SSH, "SSH");
        print_kind(CHECK_KIND_REPLICATION, "REPLICATION");
        print_problems();
        print_kind(CHECK_KIND_FAILOVER, "FAILOVER");
        print_kind(CHECK_KIND_CONFIG, "CONFIG");
        puts(".SH SEE ALSO\n\\fBmhactl\\fR(1), \\fBmhad\\fR(8), \\fBmhad\\-privileges\\fR(7), "
             "\\fBmhad\\-from\\-mha\\fR(7)");
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
