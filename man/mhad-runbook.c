/* Prints mhad-runbook(7) from the tables of procedures. Run by the build, not installed. */
#include <stdio.h>

#include "attach.h"
#include "failover.h"
#include "purge.h"
#include "rejoin.h"
#include "roff.h"
#include "switchover.h"
#include "text.h"
#include "verdict.h"

static const char head[] =
        ".TH MHAD\\-RUNBOOK 7 \"\" \"mhad " MHAD_VERSION "\" \"mhad\"\n"
        ".SH NAME\n"
        "mhad\\-runbook \\- how mhad judges, what it does, step by step, and what to do when a run is halted\n"
        ".SH WHEN A RUN IS HALTED\n"
        "Nothing goes on by itself, nothing is undone, and the rest of the cluster is as the report says. First look:\n"
        ".PP\n"
        ".nf\n"
        "mhactl report app1              # what was done, what failed, on which server, and what it said\n"
        "mhactl status app1              # who takes writes now\n"
        ".fi\n"
        ".PP\n"
        "Then put right what the report names, and say how it goes on:\n"
        ".TP\n"
        "\\fBmhactl run retry app1\\fR\n"
        "Asks and tries the failed step again, then goes on. The usual answer: when the server was only slow, or a "
        "privilege or a program was missing.\n"
        ".TP\n"
        "\\fBmhactl run override app1 \\-\\-server db2 \\-\\-verdict met \\-\\-reason \"opened by hand\"\\fR\n"
        "You have done by hand what the step wants, and mhad cannot see it. Look twice: what comes after relies on "
        "it.\n"
        ".TP\n"
        "\\fBmhactl run abandon app1\\fR\n"
        "You do the rest by hand. Nothing is undone: make sure that one server alone takes writes "
        "(\\fBSELECT @@read_only\\fR), that it has the address, and that the others follow it. mhad finds the new "
        "topology by itself.\n"
        ".PP\n"
        "\\fBmhactl cancel app1\\fR undoes a run, as long as no new primary is open.\n"
        ".PP\n"
        "A run that was undone because something would be lost says so in its report, with what to put right, and what "
        "to "
        "type to go on without it: \\fBmhactl failover app1 \\-\\-accept\\-loss\\fR with the loss in quotes. That "
        "accepts this "
        "loss and no other.\n"
        ".SS Where it can halt\n";

/* Each step that halts needs one: the build fails without. */
static const struct {
        const char *name, *means, *type;
} halts[] = {
        { "open-candidate",
          "The new primary could not be made writable, or nobody knows whether it was: its server did not answer in "
          "time. The "
          "old one is made read-only as soon as it answers, and no server takes writes that mhad knows of. It is not "
          "undone, because clients may be writing to the new one already.",
          "Log in to the new primary and look: SELECT @@read_only. If the server is up, let mhad go on: mhactl run "
          "retry. If it has died, give the run up, and fail over to another one: mhactl run abandon, then mhactl "
          "failover --ignore-last-failover, as the opening counts as one. From then on the server that was to be "
          "opened is made read-only, too, when it answers again, unless mhad saw it take writes when the run was given "
          "up." },
};

static const char more_halts[] =
        ".TP\n"
        "\\fBa cluster that was changed\\fR\n"
        "A daemon that finds a failover which has opened nobody yet looks whether somebody has helped himself while no "
        "daemon was there: a replica takes writes, follows another server, or follows nobody. Then, or when it was "
        "away "
        "for a quarter of an hour longer than the step could have taken, it does nothing. When the servers are as they "
        "are to be, or another failover is to begin: \\fBmhactl run abandon\\fR, which changes nothing. When this one "
        "is to go on: \\fBmhactl run retry\\fR. \\fBmhactl cancel\\fR undoes it, and leaves the replicas that were "
        "changed, and the address, as they are.\n"
        ".TP\n"
        "\\fBthe journal\\fR\n"
        "It cannot be written (a full disk), or was left by another version of mhad whose steps meant something else: "
        "the next act could not be put on record, so there is none. Make room and \\fBmhactl run retry\\fR; after a "
        "change of version, finish by hand and \\fBmhactl run abandon\\fR.\n";

/* The words of model/verdict.h's table, which follows. */
static const char judging[] =
        ".SH HOW A DEATH IS JUDGED\n"
        "A primary that does not answer mhad is dead when those who can see it say so, not when one path is broken. "
        "Its "
        "replicas and the observers are asked all at once, within \\fBdetection.confirm_timeout\\fR: what a replica's "
        "receiver thread has heard of it, and what comes back from its SQL port through an SSH connection to their "
        "host. "
        "Exactly one row of the table below fits what they say. Its name, such as D1, stands in \\fBmhactl status\\fR, "
        "\\fBmhactl events\\fR, the journal and reports.\n"
        ".TP\n"
        "\\fBhere\\fR\n"
        "What mhad sees itself. refused: connections are refused or reset; silent: nothing comes back; frozen: it "
        "accepts "
        "connections and does not greet; hung: it greets, but queries do not return; error: it answers with an error, "
        "such as too many connections; unknown: it was not asked yet.\n"
        ".TP\n"
        "\\fBothers\\fR\n"
        "What the others say together. nobody: there are none; sees_it: at least one sees it alive; gone: none does, "
        "and "
        "at least one is refused; pending: neither, and answers are outstanding; lost_all, lost_some: all or some have "
        "lost it; stale: replicas have heard nothing for \\fBdetection.heartbeat_stale\\fR or more, and that is all; "
        "speechless: some can be reached, and none can tell; unreachable: none can be reached.\n"
        ".TP\n"
        "\\fBmust hold for\\fR\n"
        "How long the row has to fit before anything is done. grace: \\fBdetection.restart_grace\\fR, from when it was "
        "gone; careful: twice that, as the evidence is thin; black_hole, frozen: no longer than it takes to find out "
        "(\\fBdetection.ping_timeout\\fR, \\fBdetection.connect_timeout\\fR); none: nothing is waited for.\n"
        ".PP\n"
        "Of a finding dead follows a failover, unless something holds it: see WHAT HOLDS A FAILOVER BACK in "
        "\\fBmhad\\fR(8). What follows of stalled "
        "and "
        "locked is said by \\fBdetection.on_stalled\\fR and \\fBdetection.on_locked\\fR; all others are only told.\n"
        ".PP\n"
        ".nf\n";

static const char reading[] =
        ".SH HOW TO READ THE STEPS\n"
        "A step is a goal, a sentence that is true or false about one server. mhad asks; if it is true already, that "
        "is all; "
        "else it puts on record what it is about to do, does it, and asks again, until it is true or the time is out. "
        "No step is settled by "
        "an act's exit status, and each may be done twice, so that a daemon that was restarted goes on where the old "
        "one was.\n"
        ".PP\n"
        "Each step is told with the servers that it is about, how long it may take, and what happens when it fails. "
        "Where no time is given it comes from the configuration (\\fBfence.timeout\\fR, "
        "\\fBfailover.apply_timeout\\fR, "
        "\\fBfailover.repoint_timeout\\fR, \\fBswitchover.max_write_block\\fR, \\fBhooks.timeout\\fR) or is 30 s. "
        "\\fBmhactl plan failover app1\\fR shows the same steps for your servers, with what would be said to each.\n"
        ".SS The journal\n"
        "/var/lib/mhad/\\fIcluster\\fR/journal has one JSON object a line: \"run\\-started\"; of each step \"started\" "
        "or \"skipped\", \"intent\" before it acts, \"settled\" for each server or \"decided\", with the step's name "
        "in \"step\"; \"halted\" and \"retry\"; \"undoing\"; \"run\\-ended\". \\fBmhactl report\\fR and "
        "\\fBmhactl history\\fR are made from it.\n";

static const char *const scopes[_SCOPE_MAX] = {
        [ON_DAEMON] = "mhad itself",
        [ON_OLD_PRIMARY] = "the old primary",
        [ON_CANDIDATE] = "the candidate",
        [ON_DONOR] = "the most advanced replica, if another one is promoted",
        [ON_REPLICAS] = "every replica",
        [ON_OTHERS] = "every replica but the candidate",
        [ON_LEFT_OUT] = "replicas that could not be asked in time",
        [ON_SUB_REPLICAS] = "replicas of replicas",
        [ON_EVERY_SERVER] = "every server",
};

static const char *on_failure(const Step *step)
{
        switch (step->on_failure) {
        case THEN_ABORT:
                return step->check ? "the run is refused: nothing was changed" : "the run is undone";
        case THEN_HALT:
                return "the run is halted";
        case THEN_CONTINUE:
                return "it is reported, and the run goes on";
        case _ON_FAILURE_MAX:
                break;
        }
        return "";
}

static void print_step(const Step *step, size_t number)
{
        CLEANUP(mem_free) char *time = step->timeout ? usec_format(step->timeout) : NULL;
        if (number)
                printf(".TP\n%zu. \\fB", number);
        else
                fputs(".TP\n\\fB", stdout);
        print_escaped(step->name);
        fputs("\\fR\n", stdout);
        print_escaped(step->goal);
        printf(".\n.br\nOn %s%s%s.", scopes[step->scope], time ? ", within " : "", time ? time : "");
        if (step->need == NEED_ONE)
                fputs(" One of them is enough.", stdout);
        if (step->skip)
                fputs(" Only where it is needed.", stdout);
        if (step->decide)
                fputs(" A decision, put on record with its reasons.", stdout);
        else if (!step->act && !step->check && step->scope != ON_DAEMON)
                fputs(" It changes nothing.", stdout);
        printf(" If it fails: %s.\n",
               step->need == NEED_NONE ? "it is reported, and nothing waits for it" : on_failure(step));
}

static void print_procedure(const Procedure *procedure, const char *title, const char *what)
{
        printf(".SH %s\n%s\n", title, what);
        for (size_t i = 0; i < procedure->n_steps; i++) {
                if (text_equal(procedure->steps[i].name, procedure->no_return))
                        puts(".PP\n\\fINo return.\\fR Up to here a failure undoes what was done; from here on the run "
                             "goes forward, or is halted.");
                print_step(&procedure->steps[i], i + 1);
        }
        if (procedure->n_undo == 0)
                return;
        puts(".SS Undone by\nIn this order, each as best it can:");
        for (size_t i = 0; i < procedure->n_undo; i++)
                print_step(&procedure->undo[i], 0);
}

static void print_verdicts(void)
{
        __attribute__((cleanup(text_done_cleanup))) Text table = { 0 };
        verdict_print(&table);
        fputs(judging, stdout);
        print_escaped(table.data);
        fputs(".fi\n", stdout);
}

static bool print_halts(const Procedure *const *procedures)
{
        for (; *procedures; procedures++)
                for (size_t i = 0; i < (*procedures)->n_steps; i++) {
                        const Step *step = &(*procedures)->steps[i];
                        bool known = step->on_failure != THEN_HALT;
                        for (size_t k = 0; k < ARRAY_LENGTH(halts); k++)
                                known = known || text_equal(halts[k].name, step->name);
                        if (!known) {
                                fprintf(stderr, "%s: what to do when it halts is not told\n", step->name);
                                return false;
                        }
                }
        for (size_t k = 0; k < ARRAY_LENGTH(halts); k++) {
                fputs(".TP\n\\fB", stdout);
                print_escaped(halts[k].name);
                fputs("\\fR\n", stdout);
                print_escaped(halts[k].means);
                fputs("\n.br\n", stdout);
                print_escaped(halts[k].type);
                putchar('\n');
        }
        fputs(more_halts, stdout);
        return true;
}

int main(void)
{
        static const Procedure *const procedures[] = { &failover, &switchover, &rejoin, &purge, &attach, NULL };
        fputs(head, stdout);
        if (!print_halts(procedures))
                return 1;
        print_verdicts();
        fputs(reading, stdout);
        print_procedure(&failover, "FAILOVER", "Of a primary that is dead; \\fBmhactl failover\\fR, or by itself.");
        print_procedure(&attach, "AFTER A FAILOVER",
                        "In the background, while the cluster is watched again: replicas that took too long.");
        print_procedure(
                &switchover, "SWITCHOVER",
                "Of a primary that is healthy; \\fBmhactl switch\\fR. A daemon that is restarted in the middle of it "
                "undoes it, unless the new primary is open.");
        print_procedure(&rejoin, "REJOIN",
                        "Of a former primary that is back, here the old primary; the candidate is the present one. "
                        "\\fBmhactl rejoin\\fR, or by itself with \\fBfailover.rejoin: automatic\\fR.");
        print_procedure(&purge, "PURGE OF RELAY LOGS",
                        "Of one replica, here the candidate; \\fBmhactl purge\\-relay\\-logs\\fR, or now and then with "
                        "\\fBfailover.purge_relay_logs\\fR.");
        puts(".SH SEE ALSO\n\\fBmhactl\\fR(1), \\fBmhad\\fR(8), \\fBmhad\\-checks\\fR(7), \\fBmhad.yaml\\fR(5)");
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
