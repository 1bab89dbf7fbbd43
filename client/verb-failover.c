/* A failover or a switchover that an operator orders: show what will happen, ask, then follow it to its end. The run belongs to the
 * daemon: when this program or the connection goes, it goes on. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "call.h"
#include "follow.h"
#include "refusal.h"

/* Of a run that was given up: whether it was by a check, so that it has changed nothing. */
static bool was_approved(const Context *context, const char *cluster, const char *run)
{
        CLEANUP(json_free) Json *answer = NULL;
        Json *parameters = verb_cluster(cluster);
        json_set_string(parameters, "run", run);
        if (call_once(context->socket, API_REPORT, parameters, &answer, NULL) < 0)
                return true;
        JSON_FOREACH(step, json_get(json_get(answer, "report"), "steps"))
        {
                const char *state = json_get_string(step, "state");
                if (text_equal(json_get_string(step, "name"), "approve"))
                        return text_equal(state, "done") || text_equal(state, "undone");
        }
        return true;
}

/* Asking first. */

typedef struct Order {
        ApiId method;
        const char *procedure; /* as plan knows it */
        const char *question;
        /* What will happen, and as options from whom to whom, as far as that can be said; STATUS_OK: it can be asked for.
         * NULL: nobody is asked. */
        int (*show)(const Context *context, const char *cluster, Json **ret_way);
} Order;

static int ask(const char *question)
{
        char line[16] = "";
        printf("%s [y/N] ", question);
        fflush(stdout);
        if (fgets(line, sizeof line, stdin) && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0))
                return STATUS_OK;
        fprintf(stderr, "mhactl: nothing was done\n");
        return refusal_exit_status(REFUSAL_DECLINED);
}

static Json *way_of(const Json *status, const Json *plan)
{
        Json *way = json_object();
        json_set_string(way, "from", json_get_string(json_at(json_get(status, "clusters"), 0), "primary"));
        json_set_string(way, "to", render_candidate(plan));
        return way;
}

static int ask_plan(const Context *context, const char *procedure, const char *cluster, Json **ret)
{
        Json *parameters = verb_cluster(cluster);
        json_set_string(parameters, "procedure", procedure);
        json_set(parameters, "options", verb_run_options(context));
        return verb_call(context, API_PLAN, parameters, ret);
}

static const Json *find_server(const Json *cluster, const char *name)
{
        JSON_FOREACH(server, json_get(cluster, "servers"))
        {
                if (name && text_equal(json_get_string(server, "name"), name))
                        return server;
        }
        return NULL;
}

/* The first question: the operator answers for a death that mhad has not found, and sees why where it has. */
static int ask_whether_dead(const Context *context, const Json *status)
{
        const Json *cluster = json_at(json_get(status, "clusters"), 0), *finding = json_get(cluster, "finding");
        const char *name = json_get_string(cluster, "cluster"), *primary = json_get_string(cluster, "primary");
        if (!name || !primary)
                return STATUS_OK; /* whatever is asked for, it will be refused */
        if (json_get_bool(find_server(cluster, primary), "up", false)) {
                fprintf(stderr,
                        "mhactl: %s: the primary %s is alive: a failover is for a dead one (mhactl switch %s hands its "
                        "role over)\n",
                        name, primary, name);
                return STATUS_REFUSED;
        }
        bool dead = text_equal(json_get_string(finding, "finding"), "dead");
        const Look look = verb_look(context);
        Text text = { 0 };
        render_add(&text, &look, TONE_STRONG,
                   dead ? "%s, the primary of %s, is dead:"
                        : "Whether %s, the primary of %s, is dead, mhad cannot tell:",
                   primary, name);
        render_add(&text, &look, TONE_PLAIN, " %s", render_or(finding, "text", "it does not answer"));
        render_add(&text, &look, TONE_FAINT, " [%s]", render_or(finding, "row", "-"));
        printf("%s\n\n", text.data);
        text_done(&text);
        int answer = ask(dead ? "Proceed?" : "Is it dead?");
        putchar('\n');
        return answer;
}

static int show_failover(const Context *context, const char *cluster, Json **ret_way)
{
        CLEANUP(json_free) Json *answer = NULL, *now = NULL;
        int status = verb_call(context, API_STATUS, verb_cluster(cluster), &now);
        if (status == STATUS_OK)
                status = ask_whether_dead(context, now);
        if (status == STATUS_OK)
                status = ask_plan(context, "failover", cluster, &answer);
        if (status != STATUS_OK)
                return status;
        const Look look = verb_look(context);
        Text text = { 0 };
        render_plan(&text, &look, answer, false);
        text_add(&text, "\n");
        render_switch(&text, &look, now, answer);
        fputs(text.data, stdout);
        text_done(&text);
        *ret_way = way_of(now, answer);
        return STATUS_OK;
}

static int show_switch(const Context *context, const char *cluster, Json **ret_way)
{
        CLEANUP(json_free) Json *plan = NULL, *now = NULL;
        int status = ask_plan(context, "switch", cluster, &plan);
        if (status == STATUS_OK)
                status = verb_call(context, API_STATUS, verb_cluster(cluster), &now);
        if (status != STATUS_OK)
                return status;
        const Look look = verb_look(context);
        Text text = { 0 }, checks = { 0 };
        bool good = render_checks(&checks, &look, plan);
        if (good || verb_option(context, OPTION_CHECK))
                render_switch(&text, &look, now, plan);
        if (!good || verb_option(context, OPTION_CHECK))
                text_addf(&text, "%s%s", text.length ? "\n" : "", checks.data ? checks.data : "");
        verb_print(context, plan, &text);
        text_done(&checks);
        *ret_way = way_of(now, plan);
        int blocked =
                refusal_exit_status((int) refusal_from_string(json_get_string(json_get(plan, "plan"), "blocked_id")));
        return good ? STATUS_OK : blocked ? blocked : refusal_exit_status(REFUSAL_CHECKS);
}

/* What was agreed to is added to the options: by the time of the answer something else may have become of the cluster. */
static int confirm(const Context *context, const Order *order, const char *cluster, Json *options)
{
        CLEANUP(json_free) Json *way = NULL;
        if (!isatty(STDIN_FILENO) || !context->terminal) {
                fprintf(stderr,
                        "mhactl: this is no terminal to ask on: say --yes (mhactl plan %s %s shows what will happen)\n",
                        order->procedure, cluster);
                return refusal_exit_status(REFUSAL_NOBODY_TO_ASK);
        }
        if (context->json) {
                fputs("mhactl: --json goes with --yes: its questions are for people\n", stderr);
                return STATUS_USAGE;
        }
        int status = order->show(context, cluster, &way);
        if (status == refusal_exit_status(REFUSAL_CHECKS))
                fprintf(stderr, "mhactl: nothing was done: a check failed\n");
        if (status != STATUS_OK)
                return status;
        const char *from = json_get_string(way, "from"), *to = json_get_string(way, "to");
        CLEANUP(mem_free) char *said = from && to ? text_format(" from %s to %s", from, to) : NULL;
        CLEANUP(mem_free) char *question = text_format("\n%s %s%s now?", order->question, cluster, said ? said : "");
        if (said)
                json_merge(options, way);
        return ask(question);
}

static int carry_out(const Context *context, const Order *order)
{
        const char *cluster = verb_word(context, 0);
        CLEANUP(mem_free) char *run = NULL;
        CLEANUP(json_free) Json *options = verb_run_options(context);
        bool asks = !verb_option(context, OPTION_YES) && order->show;
        int status = asks ? confirm(context, order, cluster, options) : STATUS_OK;
        if (status != STATUS_OK)
                return status;
        Json *parameters = verb_cluster(cluster);
        if (order->method == API_REJOIN)
                json_set_string(parameters, "server", verb_word(context, 1));
        else
                json_set(parameters, "options", TAKE(options));
        status = follow_order(context, order->method, parameters, &run);
        if (run && status == STATUS_REFUSED && order->method == API_SWITCH && !was_approved(context, cluster, run))
                status = refusal_exit_status(REFUSAL_CHECKS);
        if (run && status != STATUS_UNREACHABLE)
                follow_print_end(context, order->method, cluster, run, status);
        return status;
}

int verb_failover(const Context *context)
{
        static const Order order = { API_FAILOVER, "failover", "Fail over", show_failover };
        return carry_out(context, &order);
}

int verb_switch(const Context *context)
{
        static const Order order = { API_SWITCH, "switch", "Switch", show_switch };
        CLEANUP(json_free) Json *way = NULL;
        if (verb_option(context, OPTION_CHECK))
                return show_switch(context, verb_word(context, 0), &way);
        return carry_out(context, &order);
}

int verb_rejoin(const Context *context)
{
        static const Order order = { API_REJOIN, "rejoin", NULL, NULL };
        return carry_out(context, &order);
}
