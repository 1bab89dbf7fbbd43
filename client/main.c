/* mhactl: the verbs, and what they are told by the environment. Knows presentation, not meaning. */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "call.h"
#include "complete.h"
#include "verb.h"

#define FAILOVER_OPTIONS                                                                                               \
        (OPTION_BIT(OPTION_TO) | OPTION_BIT(OPTION_IGNORE_LAST_FAILOVER) | OPTION_BIT(OPTION_ACCEPT_LOSS))

static int verb_help(const Context *context);

/* clang-format off */
static const Verb verbs[] = {
        { "status", "[CLUSTER]", 0, 1, OPTION_BIT(OPTION_WATCH), "the clusters, and what would happen now", verb_status,
          "Exit status: 0 healthy, 10 degraded, 11 suspect or held, 12 a run is under way, 13 halted.\n",
          "  mhactl status --watch\n"
          "  mhactl status app1 --json\n" },
        { "check", "[ready|ssh|replication|failover|config] [CLUSTER]", 0, 2, OPTION_BIT(OPTION_MESH), "whether a failover would go through", verb_check,
          "  ready        what is known without asking anybody (the default)\n"
          "  ssh          each host: login, host key, forwarding, binary logs, address, programs, clock; with --mesh also from\n"
          "               each server to each other one, which MHA needed and mhad does not\n"
          "  replication  each server: accounts, privileges, transactions, logs, semi-sync, durability, settings\n"
          "  failover     if a server died now: who would be promoted, what would be lost, how long it would take\n"
          "  config       the configuration on disk; with a file in the place of CLUSTER that one, without mhad\n"
          "mhad-checks(7) lists all that may be found, with remedies.\n"
          "Exit status: 0 ready (no error was found), 1 not ready.\n",
          "  mhactl check app1\n"
          "  mhactl check replication app1 --json\n" },
        { "wait", "CLUSTER", 1, 1, OPTION_BIT(OPTION_UNTIL) | OPTION_BIT(OPTION_TIMEOUT),
          "wait until the primary of a cluster is dead, or the cluster healthy", verb_wait,
          "dead: found to be by the daemon's rules, whether or not something is done about it (a failover that begins while\n"
          "this waits counts, too). healthy: as status 0 of mhactl status.\n"
          "  mhactl wait app1 --until dead && mail -s 'app1 has lost its primary' dba < /dev/null\n"
          "  mhactl wait app1 --until healthy --timeout 5m\n"
          "Exit status: 0 it is so, 4 the time is over, 1 there is no such cluster, 3 mhad cannot be reached.\n" },
        { "plan", "failover|switch CLUSTER", 2, 2, FAILOVER_OPTIONS | OPTION_BIT(OPTION_NO_DEMOTE) | OPTION_BIT(OPTION_MULTI_TIER),
          "what a failover or a switchover would do, without doing it", verb_plan, NULL,
          "  mhactl plan failover app1 --to db3\n"
          "  mhactl plan switch app1\n" },
        { "failover", "CLUSTER", 1, 1, FAILOVER_OPTIONS | OPTION_BIT(OPTION_YES),
          "fail over a cluster whose primary is dead", verb_failover,
          "Asks whether the primary is dead, shows what will happen, asks once more, then follows the run to its end; the\n"
          "run goes on without mhactl.\n"
          "Exit status: 0 completed, 1 refused or undone, 13 halted, 3 mhad cannot be reached; mhactl(1) has the others.\n",
          "  mhactl failover app1\n"
          "  mhactl failover app1 --to db3 --yes --ignore-last-failover\n" },
        { "switch", "CLUSTER", 1, 1,
          OPTION_BIT(OPTION_TO) | OPTION_BIT(OPTION_YES) | OPTION_BIT(OPTION_CHECK) | OPTION_BIT(OPTION_NO_DEMOTE) |
                  OPTION_BIT(OPTION_MULTI_TIER),
          "hand the primary role of a healthy cluster over", verb_switch,
          "Checks, shows from whom to whom, asks once, then follows the run to its end; the run goes on without mhactl.\n"
          "Before the new primary is opened, mhactl cancel CLUSTER takes everything back.\n"
          "Exit status: 0 completed (or ready, with --check), 1 undone, 13 halted, 3 mhad cannot be reached; refused\n"
          "because 20 the server is the primary already, 21 there is no such server, 22 it is down, 23 it does not\n"
          "replicate from the primary, 24 the cluster is paused, 25 a run is under way, 26 two servers are writable,\n"
          "27 no primary is alive, 28 the cluster is not steady, 29 a check failed, 30 there is no terminal and no --yes,\n"
          "31 the answer was no, 34 something else manages the cluster, too.\n",
          "  mhactl switch app1 --check\n"
          "  mhactl switch app1 --to db2\n" },
        { "rejoin", "CLUSTER SERVER", 2, 2, 0, "have a former primary that is back follow the primary", verb_rejoin,
          "Proves first that it has nothing that the primary lacks. What it has is saved, named, and left to you; it stays\n"
          "read-only then.\n"
          "  mhactl rejoin app1 db1\n"
          "Exit status: 0 it follows, 1 refused or not attached, 3 mhad cannot be reached.\n" },
        { "purge-relay-logs", "[CLUSTER]", 0, 1, OPTION_BIT(OPTION_SERVER), "remove relay logs that every replica has received",
          verb_purge,
          "Where relay_log_purge is off, so that they stay for a rescue. One replica after the other, or only --server; what\n"
          "another replica has not received stays, and relay_log_purge is left as it is.\n"
          "  mhactl purge-relay-logs app1\n"
          "  mhactl purge-relay-logs app1 --server db3\n"
          "Exit status: 0 done, 1 something was refused or not done, 3 mhad cannot be reached.\n" },
        { "cancel", "CLUSTER", 1, 1, OPTION_BIT(OPTION_REASON), "undo the run under way and end it", verb_cancel,
          "Until the new primary is opened. The same as mhactl run cancel CLUSTER.\n"
          "Exit status: 0 it is being undone, 32 too late, 33 no run is under way.\n",
          "  mhactl cancel app1 --reason \"wrong cluster\"\n" },
        { "pause", "CLUSTER", 1, 1, OPTION_BIT(OPTION_REASON) | OPTION_BIT(OPTION_FOR),
          "no automatic failover for a while", verb_pause, NULL,
          "  mhactl pause app1 --for 2h --reason \"kernel update\"\n" },
        { "resume", "CLUSTER", 1, 1, 0, "automatic failover again", verb_resume, NULL,
          "  mhactl resume app1\n" },
        { "acknowledge", "CLUSTER", 1, 1, 0, "the last failover was seen: the next need not wait", verb_acknowledge, NULL,
          "  mhactl acknowledge app1\n" },
        { "run", "retry|override|abandon|cancel CLUSTER", 2, 2, OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_VERDICT) | OPTION_BIT(OPTION_REASON),
          "what becomes of a run: retry, override, abandon, cancel", verb_run,
          "  retry     the failed step again\n"
          "  override  take a server's goal as met: --server SERVER --verdict met --reason TEXT\n"
          "  abandon   give up where it is; nothing is undone\n"
          "  cancel    before the point of no return: undo and end\n",
          "  mhactl run retry app1\n"
          "  mhactl run override app1 --server db3 --verdict met --reason \"attached by hand\"\n" },
        { "events", "[CLUSTER]", 0, 1, OPTION_BIT(OPTION_FOLLOW), "what happened lately; with -f, what happens", verb_events, NULL,
          "  mhactl events -f\n"
          "  mhactl events app1 --json\n" },
        { "report", "[CLUSTER] [RUN]", 0, 2, 0, "the report of the last failover, or of one", verb_report, NULL,
          "  mhactl report app1\n" },
        { "history", "[CLUSTER]", 0, 1, 0, "the runs that have ended", verb_history, NULL,
          "  mhactl history\n" },
        { "rescue", "show|fetch|copy [CLUSTER] [RUN|SERVER] [DIR]", 1, 4,
          OPTION_BIT(OPTION_FROM) | OPTION_BIT(OPTION_TO) | OPTION_BIT(OPTION_OUTPUT),
          "binary logs that are saved: see them, save a server's, copy them out", verb_rescue,
          "  show [CLUSTER [RUN]]       what is saved, of all runs or of one\n"
          "  fetch CLUSTER SERVER       save a server's binary log, from the lowest position on that a replica has executed\n"
          "  copy CLUSTER RUN DIR       copy what a run has saved into a folder, with checksums compared\n"
          "A copy is ready for mysqlbinlog, also that of a part of a file. Only root and mhad's own user can read what is saved.\n",
          "  mhactl rescue show\n"
          "  mhactl rescue fetch app1 db1 --from binlog.000007 --output /root/app1-db1\n" },
        { "metrics", "", 0, 0, 0, "figures for monitoring, in Prometheus' text format", verb_metrics,
          "What they mean is in mhad-metrics(7). metrics.listen in mhad.yaml(5) offers the same by HTTP.\n",
          "  mhactl metrics | grep app1\n" },
        { "reload", "", 0, 0, 0, "take a changed configuration over", verb_reload, NULL,
          "  mhactl reload\n" },
        { "import", "FILE", 1, 1, OPTION_BIT(OPTION_GLOBAL) | OPTION_BIT(OPTION_OUTPUT_DIR),
          "make mhad's files out of a configuration of MHA", verb_import,
          "Writes clusters.d/NAME.yaml, NAME being the file's name without .cnf, the passwords into files of their own, and\n"
          "says of every parameter what became of it. Nothing that exists is overwritten.\n"
          "  mhactl import /etc/masterha/app1.cnf\n"
          "Exit status: 0 done, 1 the file has errors, or what was made wants to be completed.\n",
          .only_text = true },
        { "server", "add|remove|set|down|up CLUSTER SERVER [KEY=VALUE...]", 1, ARGUMENTS_WORDS_MAX,
          OPTION_BIT(OPTION_CONFIG) | OPTION_BIT(OPTION_FOR) | OPTION_BIT(OPTION_REASON) | OPTION_BIT(OPTION_YES),
          "change a server in its cluster's file; take one out for a while", verb_server,
          "add, set, remove: comments and order stay; all errors are listed before anything is changed; mhad takes the file over at once.\n"
          "The keys are those of servers in mhad.yaml(5); KEY= takes one out. The primary is not removed, nor anything while\n"
          "nobody knows which server that is, without --yes.\n"
          "  mhactl server add app1 db4 host=10.0.0.4 promotion=never\n"
          "  mhactl server set app1 db4 promotion=prefer ssh_port=\n"
          "  mhactl server remove app1 db4\n"
          "down, up: while it is down, it is no candidate and raises no alarm, over a restart of mhad, too; without --for until\n"
          "it is up. CLUSTER may be left out where only one has a server of that name.\n"
          "  mhactl server down db3 --for 2h --why \"new disk\"\n"
          "  mhactl server up db3\n" },
        { "version", "", 0, 0, 0, "the versions of mhactl and mhad", verb_version, NULL,
          "  mhactl version\n" },
        { "help", "[VERB]", 0, 1, 0, "this, or how a verb is used", verb_help, NULL,
          "  mhactl help switch\n", .only_text = true },
};
/* clang-format on */

static void print_help(FILE *to, const Verb *verb)
{
        Text text = { 0 };
        arguments_help(&text, verb, verbs, ARRAY_LENGTH(verbs));
        fputs(text.data, to);
        text_done(&text);
}

static int verb_help(const Context *context)
{
        const char *name = verb_word(context, 0);
        const Verb *verb = arguments_verb(name, verbs, ARRAY_LENGTH(verbs));
        if (name && !verb) {
                fprintf(stderr, "mhactl: there is no verb %s: mhactl help\n", name);
                return STATUS_USAGE;
        }
        print_help(stdout, verb);
        return STATUS_OK;
}

static const char *socket_path(const Arguments *arguments)
{
        const char *environment = getenv("MHAD_SOCKET");
        if (arguments->options[OPTION_SOCKET])
                return arguments->options[OPTION_SOCKET];
        return text_is_empty(environment) ? API_SOCKET : environment;
}

static Look make_look(const Arguments *arguments)
{
        const char *terminal = getenv("TERM");
        bool colour = isatty(STDOUT_FILENO) && !arguments->options[OPTION_NO_COLOR] && !getenv("NO_COLOR") &&
                      terminal && !text_equal(terminal, "dumb");
        return (Look){ .colour = colour, .lines = text_equal(nl_langinfo(CODESET), "UTF-8") };
}

#define COMPLETE_PATIENCE (2 * USEC_SEC)

static Json *ask_for_completion(ApiId id, Json *parameters, void *userdata)
{
        const char *socket = userdata;
        CLEANUP(call_close) Call *call = NULL;
        __attribute__((cleanup(reply_done_cleanup))) Reply reply = { 0 };
        Failure failure;
        CLEANUP(json_free) Json *owned = parameters;
        if (call_open(socket, &call, &failure) < 0 || call_send(call, id, TAKE(owned), false, &failure) < 0 ||
            call_receive(call, COMPLETE_PATIENCE, &reply, &failure) < 0 || reply.error)
                return NULL;
        return TAKE(reply.parameters);
}

/* Only for the shells. */
static int print_completion(char **words, size_t n_words)
{
        const Arguments none = { 0 };
        Text text = { 0 };
        complete_words(&text, verbs, ARRAY_LENGTH(verbs), words, n_words, ask_for_completion,
                       (char *) socket_path(&none));
        if (text.data)
                fputs(text.data, stdout);
        text_done(&text);
        return STATUS_OK;
}

int main(int argc, char **argv)
{
        if (argc > 1 && text_equal(argv[1], "__complete"))
                return print_completion(argv + 2, (size_t) argc - 2);
        Arguments arguments = { 0 };
        Failure failure;
        setlocale(LC_CTYPE, "");
        if (arguments_parse(argc, argv, verbs, ARRAY_LENGTH(verbs), &arguments, &failure) < 0) {
                fprintf(stderr, "mhactl: %s\nmhactl --help tells more\n", failure.text);
                return STATUS_USAGE;
        }
        if (arguments.options[OPTION_HELP]) {
                print_help(stdout, arguments.verb);
                return STATUS_OK;
        }
        if (!arguments.verb || arguments.options[OPTION_VERSION]) {
                printf("mhactl %s\n", api_version());
                return STATUS_OK;
        }
        const Context context = {
                .arguments = &arguments,
                .socket = socket_path(&arguments),
                .json = arguments.options[OPTION_JSON],
                .terminal = isatty(STDOUT_FILENO),
                .look = make_look(&arguments),
        };
        return arguments.verb->run(&context);
}
