/* What the undoing of a switchover could not undo on the old primary, because that did not answer any more: done when it
 * answers again and nobody has taken its place. Owns the job that does it; that there is something to do is in the state. Must
 * never open a server while another may take writes. */
#include "inside.h"

#include "report-inside.h"
#include "switchover.h"
#include "text.h"

#define LONGEST (10 * USEC_SEC) /* of one question or act */
#define PAUSE (10 * USEC_SEC)   /* between two attempts */

static const Json *record_of(const Cluster *cluster)
{
        return json_get(cluster->state.root, "unfinished");
}

static bool concerns_old_primary(const Step *step)
{
        return step->scope == ON_OLD_PRIMARY && step->ask;
}

void unfinished_note(Cluster *cluster, const Json *run)
{
        const Facts *facts = runbook_facts(cluster->runbook);
        LogFields fields = cluster_fields(cluster, cluster->run_old);
        Text left = { 0 };
        for (size_t i = 0; i < switchover.n_undo; i++) {
                const Step *step = &switchover.undo[i];
                if (!concerns_old_primary(step) ||
                    !text_equal(json_get_string(report_step(run, step->name), "state"), "failed"))
                        continue;
                text_separate(&left, "; ");
                text_add(&left, step->goal);
        }
        CLEANUP(mem_free) char *goals = text_take(&left);
        if (text_is_empty(goals))
                return;
        Json *record = json_ensure_object(cluster->state.root, "unfinished");
        json_set_string(record, "server", cluster->run_old);
        json_set(record, "facts", json_copy(facts->root));
        log_event(EVENT_WARNING, &fields,
                  "%s: could not be undone on %s: %s. That is done as soon as it answers, if it is the primary then",
                  cluster->config->name, cluster->run_old, goals);
}

void unfinished_stop(Cluster *cluster)
{
        Unfinished *unfinished = &cluster->unfinished;
        exec_abandon(TAKE(unfinished->job));
        facts_done(&unfinished->facts);
        unfinished->facts = (Facts){ 0 };
}

static void forget(Cluster *cluster)
{
        unfinished_stop(cluster);
        json_set(cluster->state.root, "unfinished", NULL);
        cluster_save(cluster);
}

/* Nobody else takes writes, as far as can be seen; and whoever was told to, it is seen that he does not. */
static bool is_alone(const Cluster *cluster, ssize_t server, const Facts *facts)
{
        ssize_t candidate = cluster_find(cluster, facts_string(facts, "candidate"));
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                const ServerView *view = watch_view(cluster->watches[i]);
                bool answers = view->evidence == EVIDENCE_ALIVE && view->ticked &&
                               watch_asked_at(cluster->watches[i]) >= cluster->fresh_after;
                if ((ssize_t) i == server ? !answers : answers && !view->read_only)
                        return false;
                if ((ssize_t) i == candidate && !answers)
                        return false;
        }
        return candidate >= 0;
}

static bool may_go_on(const Cluster *cluster)
{
        const Json *record = record_of(cluster);
        const Facts facts = { .root = (Json *) json_get(record, "facts") };
        const char *server = json_get_string(record, "server");
        ssize_t i = cluster_find(cluster, server);
        return i >= 0 && facts.root && cluster->now == CLUSTER_STEADY && !cluster->runbook &&
               i == cluster->topology.primary &&
               !json_array_contains(json_get(cluster->state.root, "fenced"), server) && is_alone(cluster, i, &facts);
}

/* The next goal that concerns it; NULL when there is none. */
static const Step *present_step(Unfinished *unfinished)
{
        for (; unfinished->row < switchover.n_undo; unfinished->row++) {
                const Step *step = &switchover.undo[unfinished->row];
                if (concerns_old_primary(step) && !(step->skip && step->skip(&unfinished->facts)))
                        return step;
        }
        return NULL;
}

static void send(Unfinished *unfinished, const Script *script, exec_done_fn done)
{
        Cluster *cluster = unfinished->cluster;
        unfinished->job = exec_run(cluster->exec, facts_string(&unfinished->facts, "old_primary"),
                                   facts_string(&unfinished->facts, "run"), script,
                                   usec_add(loop_now(cluster->context.loop), LONGEST), done, unfinished);
}

static void try_again(Unfinished *unfinished, const char *why)
{
        Cluster *cluster = unfinished->cluster;
        LogFields fields = cluster_fields(cluster, json_get_string(record_of(cluster), "server"));
        log_event(EVENT_WARNING, &fields,
                  "%s: what the switchover did on %s is not undone yet: %s; tried again in 10 s", cluster->config->name,
                  json_get_string(record_of(cluster), "server"), why);
        unfinished->again = usec_add(loop_now(cluster->context.loop), PAUSE);
        unfinished_stop(cluster);
}

static void on_asked(Replies *replies, void *userdata);

static void ask(Unfinished *unfinished)
{
        Cluster *cluster = unfinished->cluster;
        const Step *step = present_step(unfinished);
        const char *server = json_get_string(record_of(cluster), "server");
        LogFields fields = cluster_fields(cluster, server);
        if (step) {
                CLEANUP(script_done) Script script = { 0 };
                step->ask(&unfinished->facts, server, &script);
                send(unfinished, &script, on_asked);
                return;
        }
        log_event(EVENT_STEP_DONE, &fields, "%s: what the switchover did on %s is undone now", cluster->config->name,
                  server);
        ssize_t i = cluster_find(cluster, server);
        if (i >= 0)
                watch_hurry(cluster->watches[i]), watch_relax(cluster->watches[i]);
        forget(cluster);
}

/* What it said counts for nothing: it is asked. */
static void on_acted(Replies *replies, void *userdata)
{
        Unfinished *unfinished = userdata;
        unfinished->job = NULL;
        replies_free(replies);
        ask(unfinished);
}

static void on_asked(Replies *replies, void *userdata)
{
        Unfinished *unfinished = userdata;
        const Step *step = present_step(unfinished);
        const char *server = facts_string(&unfinished->facts, "old_primary");
        Judgement judgement = { 0 };
        unfinished->job = NULL;
        if (replies->failure.kind == FAILURE_NONE || replies->failure.kind == FAILURE_EXIT)
                step->judge(&unfinished->facts, server, replies, &judgement);
        else
                judge_as(&judgement, VERDICT_UNREACHABLE, "%s", replies->failure.text);
        CLEANUP(script_done) Script script = { 0 };
        if (judgement.verdict == VERDICT_UNMET && !unfinished->acted)
                step->act(&unfinished->facts, server, replies, &script);
        if (judgement.verdict == VERDICT_MET) {
                unfinished->row++;
                unfinished->acted = false;
                ask(unfinished);
        } else if (!script_is_empty(&script)) {
                unfinished->acted = true;
                send(unfinished, &script, on_acted);
        } else {
                try_again(unfinished, judgement.why);
        }
        json_free(judgement.learned);
        replies_free(replies);
}

/* What was sent and never answered must not take effect afterwards. */
static void on_quiet(Replies *replies, void *userdata)
{
        Unfinished *unfinished = userdata;
        unfinished->job = NULL;
        if (replies->failure.kind == FAILURE_NONE)
                ask(unfinished);
        else
                try_again(unfinished, replies->failure.text);
        replies_free(replies);
}

static void begin(Cluster *cluster)
{
        const Json *record = record_of(cluster);
        Unfinished *unfinished = &cluster->unfinished;
        usec_t now = loop_now(cluster->context.loop);
        *unfinished = (Unfinished){ .cluster = cluster };
        unfinished->facts = (Facts){ .root = json_copy(json_get(record, "facts")) };
        unfinished->job =
                exec_quiesce(cluster->exec, json_get_string(record, "server"), facts_string(&unfinished->facts, "run"),
                             usec_add(now, LONGEST), on_quiet, unfinished);
}

void unfinished_watch(Cluster *cluster)
{
        const Json *record = record_of(cluster);
        const char *known = json_get_string(cluster->state.root, "known_primary");
        if (!record)
                return;
        if (known && !text_equal(known, json_get_string(record, "server")))
                forget(cluster); /* it is another's place now */
        else if (!may_go_on(cluster))
                unfinished_stop(cluster);
        else if (!cluster->unfinished.job && loop_now(cluster->context.loop) >= cluster->unfinished.again)
                begin(cluster);
}
