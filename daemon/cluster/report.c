/* Reports. Pure; must never say more than the facts prove. */
#include "report-inside.h"

#include <inttypes.h>
#include <string.h>

#include "purge.h"
#include "text.h"
#include "usec.h"

const Json *report_step(const Json *run, const char *name)
{
        JSON_FOREACH(step, json_get(run, "steps"))
        {
                if (text_equal(json_get_string(step, "name"), name))
                        return step;
        }
        return NULL;
}

static int64_t step_time(const Json *run, const char *name, const char *member)
{
        const Json *step = report_step(run, name);
        return text_equal(json_get_string(step, "state"), "done") ? json_get_int(step, member, 0) : 0;
}

static void set_time(Json *times, const char *name, int64_t time)
{
        if (time > 0)
                json_set_int(times, name, time);
}

static Json *times_of(const Json *run, const Facts *facts)
{
        Json *times = json_copy(json_get(facts->root, "times"));
        if (!times)
                times = json_object();
        const Json *first = json_at(json_get(run, "steps"), 0);
        int64_t last = 0;
        JSON_FOREACH(step, json_get(run, "steps"))
        {
                int64_t ended = json_get_int(step, "ended", 0);
                last = ended > last ? ended : last;
        }
        set_time(times, "started", json_get_int(first, "started", 0));
        set_time(times, "opened", step_time(run, "open-candidate", "ended"));
        set_time(times, "address", step_time(run, "move-address", "ended"));
        set_time(times, "address", step_time(run, "give-address", "ended"));
        set_time(times, "address", step_time(run, "give-address-late", "ended"));
        set_time(times, "blocked", json_get_int(report_step(run, "block-writes"), "started", 0));
        set_time(times, "unblocked", step_time(run, "unblock-writes", "ended"));
        set_time(times, "ended", last);
        return times;
}

static const char *target_verdict(const Json *run, const char *step, const char *server)
{
        return json_get_string(json_get(json_get(report_step(run, step), "targets"), server), "verdict");
}

/* The old primary after a switchover. */
static void set_handed_over(const Json *run, const char *name, Json *result)
{
        const Json *target = json_get(json_get(report_step(run, "demote"), "targets"), name);
        const char *verdict = target_verdict(run, "demote", name);
        if (!step_time(run, "open-candidate", "ended")) {
                json_set_string(result, "state", "primary");
                bool well = !report_step(run, "unblock-writes") || step_time(run, "unblock-writes", "ended") ||
                            text_equal(json_get_string(report_step(run, "unblock-writes"), "state"), "skipped");
                json_set_string(result, "text", well ? "takes writes" : "may still be read-only: look at it");
                return;
        }
        json_set_string(result, "state", text_equal(verdict, "met") ? "replica" : target ? "not attached" : "detached");
        json_set_string(result, "text",
                        target ? json_get_string(target, "why") : "is read-only and follows nobody, as ordered");
}

/* The candidate after an opening that was not confirmed, and taken back. */
static void set_taken_back(const Json *run, const Facts *facts, const char *name, Json *result)
{
        const Json *server = facts_server(facts, name);
        const char *taken = json_get_string(server, "taken"), *from = json_get_string(server, "open_position");
        bool gone = json_has(json_get(server, "fence"), "process");
        bool sure = text_equal(target_verdict(run, "candidate-closed", name), "met");
        Text text = { 0 };
        text_addf(&text, "was told to take writes, which was not confirmed; %s",
                  !sure  ? "it is not known whether it takes them"
                  : gone ? "no database process is left"
                         : "it is read-only again");
        if (!taken)
                text_addf(&text,
                          "; whether it has taken any in between is not known: they would stand in its binary log from "
                          "%s "
                          "on, and perhaps on replicas that followed it already",
                          from ? from : "its end");
        else if (*taken)
                text_addf(&text, "; what it has taken in between is not on %s: %s", facts_string(facts, "old_primary"),
                          taken);
        else
                text_add(&text, "; it has taken none");
        json_set_string(result, "state", sure ? "fenced" : "not known");
        CLEANUP(mem_free) char *sentence = text_take(&text);
        json_set_string(result, "text", sentence);
}

static bool is_rejoin(const Facts *facts)
{
        return text_equal(facts_string(facts, "procedure"), "rejoin");
}

/* Only two servers have to do with it. */
static void set_rejoined(const Json *run, const Facts *facts, const char *name, Json *result)
{
        bool back = text_equal(name, facts_string(facts, "old_primary"));
        bool primary = text_equal(name, facts_string(facts, "candidate"));
        bool follows = step_time(run, "attach", "ended") != 0;
        json_set_string(result, "state",
                        primary   ? "primary"
                        : !back   ? "not concerned"
                        : follows ? "replica"
                                  : "not attached");
        json_set_string(result, "text",
                        primary   ? "takes writes"
                        : !back   ? "it took no part in the run"
                        : follows ? "it follows the primary"
                                  : "it is read-only and was not attached");
}

static bool is_purge(const Facts *facts)
{
        return text_equal(facts_string(facts, "procedure"), "purge");
}

/* Nobody's part in the cluster is changed by it. */
static void set_purged(const Facts *facts, const char *name, Json *result)
{
        bool primary = text_equal(name, facts_string(facts, "old_primary"));
        bool purged = text_equal(name, facts_string(facts, "candidate"));
        CLEANUP(mem_free) char *outcome = purged ? purge_result(facts, name) : NULL;
        json_set_string(result, "state", primary ? "primary" : purged ? "purged" : "not concerned");
        json_set_string(result, "text",
                        primary  ? "takes writes"
                        : purged ? outcome
                                 : "its relay logs were left as they are");
}

/* How each server was left, from the last thing that was found out about it. */
static Json *server_result(const Json *run, const Facts *facts, const char *name)
{
        Json *result = json_object();
        json_set_string(result, "name", name);
        bool handed_over = text_equal(facts_string(facts, "procedure"), "switchover");
        if (is_rejoin(facts)) {
                set_rejoined(run, facts, name, result);
                return result;
        }
        if (is_purge(facts)) {
                set_purged(facts, name, result);
                return result;
        }
        const char *old = facts_string(facts, "old_primary"), *candidate = facts_string(facts, "candidate");
        if (text_equal(name, candidate) && step_time(run, "open-candidate", "ended")) {
                const char *lost = facts_string(facts, "lost");
                json_set_string(result, "state", "primary");
                json_set_string(result, "text",
                                !lost         ? "takes writes"
                                : handed_over ? "was opened, and does not answer any more: a failover follows"
                                              : "was opened, and does not answer any more");
                return result;
        }
        if (text_equal(name, candidate) && json_get_bool(facts->root, "opening", false)) {
                set_taken_back(run, facts, name, result);
                return result;
        }
        if (text_equal(name, old) && handed_over) {
                set_handed_over(run, name, result);
                return result;
        }
        if (text_equal(name, old)) {
                bool gone = json_has(json_get(facts_server(facts, old), "fence"), "process");
                json_set_string(result, "state", gone ? "fenced" : "dead");
                bool removed = facts_config_bool(facts, "failover.remove_dead_primary", false) &&
                               text_equal(json_get_string(run, "outcome"), "completed");
                CLEANUP(mem_free)
                char *text = text_format("%s; made read-only when it answers again%s",
                                         gone ? "no database process" : "could not be reached",
                                         removed ? "; taken out of the cluster (failover.remove_dead_primary)" : "");
                json_set_string(result, "text", text);
                return result;
        }
        const Json *target = json_get(json_get(report_step(run, "repoint-replicas"), "targets"), name);
        const char *follows = facts_server_string(facts, name, "follows");
        if (!target)
                target = json_get(json_get(report_step(run, "raise-sub-replicas"), "targets"), name);
        if (!target)
                target = json_get(json_get(report_step(run, "repoint-late"), "targets"), name);
        if (!target && handed_over && follows && !text_equal(follows, old)) {
                CLEANUP(mem_free) char *text = text_format("goes on following %s", follows);
                json_set_string(result, "state", "stays");
                json_set_string(result, "text", text);
                return result;
        }
        const char *verdict = json_get_string(target, "verdict");
        json_set_string(result, "state",
                        !target                      ? "left out"
                        : text_equal(verdict, "met") ? "replica"
                                                     : "not attached");
        json_set_string(result, "text", target ? json_get_string(target, "why") : "it took no part in the run");
        return result;
}

static Json *fence_of(const Facts *facts)
{
        Json *fence = json_array();
        JSON_FOREACH(rung, json_get(facts->root, "fence_rungs"))
        {
                json_append(fence, json_copy(rung));
        }
        return fence;
}

static Json *candidates_of(const Facts *facts)
{
        Json *candidates = json_array();
        int64_t rank = 1;
        JSON_FOREACH(entry, json_get(json_get(facts->root, "election"), "ranks"))
        {
                Json *candidate = json_copy(entry);
                json_set_int(candidate, "rank", rank++);
                json_append(candidates, candidate);
        }
        return candidates;
}

static void add_time(Text *out, const Json *times, const char *name, const char *label, int64_t origin)
{
        int64_t time = json_get_int(times, name, 0);
        if (time <= 0)
                return;
        CLEANUP(mem_free) char *clock = usec_format_time((usec_t) time);
        text_addf(out, "  %-26s %s", label, clock);
        if (origin > 0 && time >= origin)
                text_addf(out, "  (+%" PRId64 " ms)", (time - origin) / 1000);
        text_add(out, "\n");
}

static void add_times(Text *out, const Json *times)
{
        int64_t origin = json_get_int(times, "suspected", 0);
        text_add(out, "Times\n");
        add_time(out, times, "last_good", "last good ping", 0);
        add_time(out, times, "suspected", "suspected", 0);
        add_time(out, times, "verdict", "verdict", origin);
        add_time(out, times, "started", "run started", origin);
        add_time(out, times, "blocked", "writes blocked", origin);
        if (!origin)
                origin = json_get_int(times, "blocked", 0);
        add_time(out, times, "opened", "new primary open", origin);
        add_time(out, times, "unblocked", "old primary writable again", origin);
        add_time(out, times, "address", "address moved", origin);
        add_time(out, times, "ended", "all done", origin);
}

static void add_steps(Text *out, const Json *run)
{
        text_add(out, "\nGoals\n");
        JSON_FOREACH(step, json_get(run, "steps"))
        {
                const char *state = json_get_string(step, "state");
                int64_t started = json_get_int(step, "started", 0), ended = json_get_int(step, "ended", 0);
                if (text_equal(state, "skipped") || text_equal(state, "pending"))
                        continue;
                text_addf(out, "  %-8s %6" PRId64 " ms  %-18s %s\n", state ? state : "?",
                          ended > started ? (ended - started) / 1000 : 0, json_get_string(step, "name"),
                          json_get_string(step, "goal"));
                JSON_FOREACH(target, json_get(step, "targets"))
                {
                        const char *why = json_get_string(target, "why"), *verdict = json_get_string(target, "verdict");
                        text_addf(out, "             %s%s%s%s%s\n", json_name(target), *json_name(target) ? ": " : "",
                                  text_equal(verdict, "met") || !verdict ? "" : verdict,
                                  text_equal(verdict, "met") || !verdict ? "" : ": ", why ? why : "");
                }
        }
}

static void add_list(Text *out, const char *title, const Json *list, const char *const names[3])
{
        if (json_length(list) == 0)
                return;
        text_addf(out, "\n%s\n", title);
        JSON_FOREACH(entry, list)
        {
                const char *a = json_get_string(entry, names[0]), *b = json_get_string(entry, names[1]);
                const char *c = names[2] ? json_get_string(entry, names[2]) : NULL;
                text_addf(out, "  %-12s %s%s%s\n", a ? a : "", b ? b : "", c ? "\n               " : "", c ? c : "");
        }
}

static char *render(const Json *report, const Json *run)
{
        Text out = { 0 };
        const char *old = json_get_string(report, "old_primary"), *new_primary = json_get_string(report, "new_primary");
        const Json *verdict = json_get(report, "verdict"), *loss = json_get(report, "loss");
        text_addf(&out, "%s of cluster %s: %s\n", json_get_string(report, "procedure"),
                  json_get_string(report, "cluster"), json_get_string(report, "outcome"));
        if (json_has(report, "server"))
                text_addf(&out, "Run %s: %s\n", json_get_string(report, "run"), json_get_string(report, "summary"));
        else
                text_addf(&out, "Run %s: primary %s -> %s\n", json_get_string(report, "run"), old ? old : "?",
                          new_primary ? new_primary : "none");
        text_addf(&out, "Begun by %s\n", json_get_string(report, "by"));
        if (json_get_string(report, "why"))
                text_addf(&out, "%s\n", json_get_string(report, "why"));
        if (verdict) {
                text_addf(&out, "\nWhy: %s (%s)\n", json_get_string(verdict, "text"), json_get_string(verdict, "row"));
                text_addf(&out, "     %s\n\n", json_get_string(verdict, "evidence"));
        }
        add_times(&out, json_get(report, "times"));
        if (loss) {
                text_addf(&out, "\nLoss: %s\n  %s\n", json_get_string(loss, "verdict"), json_get_string(loss, "proof"));
                JSON_FOREACH(detail, json_get(loss, "details"))
                {
                        text_addf(&out, "  - %s\n", json_string(detail));
                }
        }
        report_render_saved(&out, old, json_get(report, "rescue"));
        add_list(&out, "Fence", json_get(report, "fence"), (const char *const[]){ "rung", "result", "guarantee" });
        add_list(&out, "Candidates", json_get(report, "candidates"), (const char *const[]){ "server", "why", NULL });
        add_list(&out, "Servers", json_get(report, "servers"), (const char *const[]){ "name", "state", "text" });
        add_steps(&out, run);
        return text_take(&out);
}

/* As the daemon saw it: clients wait a little longer, for the address. */
static void set_write_block(Json *report)
{
        const Json *times = json_get(report, "times");
        int64_t blocked = json_get_int(times, "blocked", 0), opened = json_get_int(times, "opened", 0);
        int64_t end = opened ? opened : json_get_int(times, "unblocked", 0);
        if (blocked > 0 && end >= blocked)
                json_set_int(report, "write_block_ms", (end - blocked + 500) / 1000);
}

static char *purge_summary(const Json *report, const Facts *facts)
{
        const char *server = facts_string(facts, "candidate"), *why = json_get_string(report, "why");
        bool well = text_equal(json_get_string(report, "outcome"), "completed");
        CLEANUP(mem_free) char *outcome = purge_result(facts, server);
        return text_format("relay logs of %s: %s", server, well ? outcome : why ? why : "left");
}

Json *report_make(const Json *run, const Facts *facts)
{
        Json *report = json_object();
        json_set_string(report, "cluster", facts_string(facts, "cluster"));
        json_set_string(report, "run", facts_string(facts, "run"));
        json_set_string(report, "procedure", facts_string(facts, "procedure"));
        json_set_string(report, "outcome", json_get_string(run, "outcome"));
        const char *by = facts_string(facts, "ordered_by");
        json_set_string(report, "by", by ? by : "mhad");
        json_set_string(report, "why", json_get_string(run, "why"));
        json_set_string(report, "old_primary", facts_string(facts, "old_primary"));
        if (is_rejoin(facts))
                json_set_string(report, "server", facts_string(facts, "old_primary"));
        if (is_purge(facts))
                json_set_string(report, "server", facts_string(facts, "candidate"));
        if (step_time(run, "open-candidate", "ended"))
                json_set_string(report, "new_primary", facts_string(facts, "candidate"));
        json_set(report, "times", times_of(run, facts));
        set_write_block(report);
        json_set(report, "verdict", json_copy(json_get(facts->root, "verdict")));
        json_set(report, "steps", json_copy(json_get(run, "steps")));
        json_set(report, "candidates", candidates_of(facts));
        json_set(report, "fence", fence_of(facts));
        json_set(report, "loss", json_copy(json_get(facts->root, "loss")));
        json_set(report, "rescue", report_saved(run, facts));
        Json *servers = json_ensure_array(report, "servers");
        for (size_t i = 0; i < facts_n_servers(facts); i++)
                json_append(servers, server_result(run, facts, facts_server_name(facts, i)));
        CLEANUP(mem_free)
        char *summary = is_purge(facts) ? purge_summary(report, facts) : report_summary(report);
        json_set_string(report, "summary", summary);
        char *text = render(report, run);
        json_set_string(report, "text", text);
        free(text);
        return report;
}

char *report_summary(const Json *report)
{
        const char *old = json_get_string(report, "old_primary"), *new_primary = json_get_string(report, "new_primary");
        const Json *times = json_get(report, "times");
        int64_t suspected = json_get_int(times, "suspected", 0), opened = json_get_int(times, "opened", 0);
        size_t attached = 0, others = 0;
        JSON_FOREACH(server, json_get(report, "servers"))
        {
                const char *state = json_get_string(server, "state");
                attached += text_equal(state, "replica");
                others += !text_equal(state, "primary") &&
                          (text_equal(state, "replica") || !text_equal(json_get_string(server, "name"), old));
        }
        if (text_equal(json_get_string(report, "procedure"), "rejoin"))
                return text_format("%s %s%s%s", old ? old : "?",
                                   attached ? "follows the primary again" : "is not attached",
                                   json_get_string(report, "why") ? ": " : "",
                                   json_get_string(report, "why") ? json_get_string(report, "why") : "");
        if (!new_primary)
                return text_format("%s %s: no server was opened%s%s", json_get_string(report, "procedure"),
                                   json_get_string(report, "outcome"), json_get_string(report, "why") ? ": " : "",
                                   json_get_string(report, "why") ? json_get_string(report, "why") : "");
        Text out = { 0 };
        text_addf(&out, "%s -> %s", old ? old : "?", new_primary);
        if (suspected > 0 && opened > suspected)
                text_addf(&out, ", writable %" PRId64 " ms after the first suspicion", (opened - suspected) / 1000);
        if (json_has(report, "write_block_ms"))
                text_addf(&out, ", writes blocked for %" PRId64 " ms", json_get_int(report, "write_block_ms", 0));
        text_addf(&out, ", %zu of %zu replicas follow", attached, others);
        if (json_has(report, "loss"))
                text_addf(&out, ", loss: %s", json_get_string(json_get(report, "loss"), "verdict"));
        return text_take(&out);
}

Json *report_to_history(const Json *report)
{
        Json *entry = json_object();
        static const char *const strings[] = { "run",         "cluster",     "procedure", "outcome",
                                               "old_primary", "new_primary", "server",    "summary" };
        for (size_t i = 0; i < ARRAY_LENGTH(strings); i++)
                json_set_string(entry, strings[i], json_get_string(report, strings[i]));
        json_set(entry, "times", json_copy(json_get(report, "times")));
        json_set(entry, "started", json_copy(json_get(json_get(report, "times"), "started")));
        json_set(entry, "ended", json_copy(json_get(json_get(report, "times"), "ended")));
        return entry;
}
