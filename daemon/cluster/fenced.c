/* Old primaries, and candidates that may have been opened, that may come back: made read-only and stripped of the address
 * as soon as they answer, whoever started them, until they replicate from the present primary. Owns the jobs that do it. */
#include "inside.h"

#include "virtual_address.h"
#include "text.h"

/* Between two attempts to take the address off the host of one that is read-only already. */
#define ADDRESS_PAUSE (10 * USEC_SEC)

void fenced_add(Cluster *cluster, const char *server)
{
        Json *list = json_ensure_array(cluster->state.root, "fenced");
        if (!json_array_contains(list, server))
                json_append_string(list, server);
}

void fenced_pardon(Cluster *cluster)
{
        const char *primary = cluster_primary_name(cluster);
        if (!primary || !json_array_contains(json_get(cluster->state.root, "fenced"), primary) ||
            topology_find(&cluster->topology, PROBLEM_TWO_PRIMARIES))
                return;
        const ServerView *view = watch_view(cluster->watches[cluster->topology.primary]);
        if (view->evidence != EVIDENCE_ALIVE || !view->ticked || view->read_only)
                return;
        LogFields fields = cluster_fields(cluster, primary);
        fenced_remove(cluster, primary);
        log_event(
                EVENT_WARNING, &fields,
                "%s: %s, which was replaced before, is the only one that takes writes: it counts as the primary again",
                cluster->config->name, primary);
}

void fenced_remove(Cluster *cluster, const char *server)
{
        Json *rest = json_array();
        JSON_FOREACH(name, json_get(cluster->state.root, "fenced"))
        {
                if (!text_equal(json_string(name), server))
                        json_append_string(rest, json_string(name));
        }
        json_set(cluster->state.root, "fenced", rest);
        background_forget_returning(cluster, server);
        cluster_save(cluster);
}

/* Not from a host that has it because the primary is there, too, though nobody may see for a moment that it is the primary. */
static bool takes_address(const Cluster *cluster, size_t i)
{
        ssize_t primary = cluster->topology.primary;
        ssize_t known = cluster_find(cluster, json_get_string(cluster->state.root, "known_primary"));
        return cluster->config->address.ip && cluster->config->ssh.enabled &&
               !(primary >= 0 && cluster_same_host(cluster, i, (size_t) primary)) &&
               !(known >= 0 && known != (ssize_t) i && cluster_same_host(cluster, i, (size_t) known));
}

static void on_done(Replies *replies, void *userdata)
{
        FenceSlot *slot = userdata;
        Cluster *cluster = slot->cluster;
        size_t i = (size_t) (slot - cluster->fence_slots);
        const Server *server = &cluster->config->servers[i];
        LogFields fields = cluster_fields(cluster, server->name);
        slot->job = NULL;
        slot->bare = takes_address(cluster, i) && replies->failure.kind == FAILURE_NONE &&
                     reply_succeeded(replies_at(replies, replies->n_items - 1));
        if (!slot->closes) {
                cluster_evaluate_soon(cluster);
        } else if (replies->failure.kind == FAILURE_NONE) {
                log_event(EVENT_FENCED, &fields,
                          "%s: %s, which was primary before or was to be, answers again and was made read-only; mhactl "
                          "rejoin %s %s "
                          "attaches it, if it has nothing that the others lack",
                          cluster->config->name, server->name, cluster->config->name, server->name);
                watch_hurry(cluster->watches[i]);
                watch_relax(cluster->watches[i]);
        } else {
                log_event(EVENT_ERROR, &fields,
                          "%s: %s, which was primary before or was to be, answers again and could not be made "
                          "read-only: %s; tried "
                          "again in a second",
                          cluster->config->name, server->name, replies->failure.text);
        }
        replies_free(replies);
}

/* Also to privileged accounts, where that can be had. */
static bool is_closed(const ServerView *view)
{
        return view->read_only && (view->super_read_only || !server_view_dialect(view)->super_read_only);
}

static void fence(Cluster *cluster, size_t i)
{
        const Server *server = &cluster->config->servers[i];
        const ServerView *view = watch_view(cluster->watches[i]);
        CLEANUP(script_done) Script script = { 0 };
        FenceSlot *slot = &cluster->fence_slots[i];
        usec_t now = loop_now(cluster->context.loop);
        bool tried = slot->tried;
        *slot = (FenceSlot){ .cluster = cluster, .at = now, .closes = !is_closed(view), .held = slot->held };
        slot->tried = tried && !slot->closes;
        if (slot->closes) {
                dialect_read_only(server_view_dialect(view), &script, true);
                dialect_stop_events(&script); /* read_only does not hold those of privileged accounts up */
        }
        if (takes_address(cluster, i)) {
                CLEANUP(mem_free) char *removal = address_removal(cluster->config->address.ip);
                script_try_ssh(&script, "%s", removal);
        }
        slot->job = exec_run(cluster->exec, server->name, "fence", &script,
                             usec_add(now, cluster->config->fence.timeout), on_done, slot);
}

/* Once each time that it is back. */
static void rejoin_if_allowed(Cluster *cluster, size_t i)
{
        FenceSlot *slot = &cluster->fence_slots[i];
        const Server *server = &cluster->config->servers[i];
        LogFields fields = cluster_fields(cluster, server->name);
        CLEANUP(json_free) Json *ret = NULL;
        Failure failure;
        if (cluster->config->failover.rejoin != FAILOVER_REJOIN_AUTOMATIC || slot->tried || slot->job ||
            cluster->now != CLUSTER_STEADY || !background_may_begin(cluster))
                return;
        slot->tried = true;
        if (cluster_rejoin(cluster, server->name, "mhad", &ret, &failure) < 0)
                log_event(EVENT_WARNING, &fields, "%s; when that is mended: mhactl rejoin %s %s", failure.text,
                          cluster->config->name, server->name);
}

/* Whom a run is about to open it opens. */
static bool is_candidate(const Cluster *cluster, const char *server)
{
        const Facts *facts = cluster->now == CLUSTER_RUNNING ? runbook_facts(cluster->runbook) : NULL;
        return facts && facts->root && text_equal(facts_string(facts, "candidate"), server);
}

/* Who looks like it because the replicas were not attached to the new one yet is not. */
static bool is_primary(const Cluster *cluster, ssize_t i)
{
        bool replaced = cluster->runbook && cluster->run_opened && i == cluster_find(cluster, cluster->run_old);
        return i == cluster->topology.primary && !replaced;
}

/* Those that were attached by whomever, and may never have been fenced. */
static void forget_returned(Cluster *cluster)
{
        CLEANUP(json_free) Json *returning = json_copy(json_get(cluster->state.root, "returning"));
        JSON_FOREACH(record, returning)
        {
                ssize_t i = cluster_find(cluster, json_name(record));
                const ServerView *view = i >= 0 ? watch_view(cluster->watches[i]) : NULL;
                const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
                if (channel && view->evidence == EVIDENCE_ALIVE && channel->receiver == RECEIVER_CONNECTED &&
                    watch_asked_at(cluster->watches[i]) >= cluster->fresh_after && cluster->topology.primary >= 0 &&
                    cluster->topology.entries[i].source == cluster->topology.primary)
                        background_forget_returning(cluster, json_name(record));
        }
}

void fenced_watch(Cluster *cluster)
{
        if (cluster->now == CLUSTER_STEADY)
                forget_returned(cluster);
        CLEANUP(json_free) Json *list = json_copy(json_get(cluster->state.root, "fenced"));
        JSON_FOREACH(entry, list)
        {
                const char *name = json_string(entry);
                ssize_t i = cluster_find(cluster, name);
                if (i < 0)
                        continue;
                const ServerView *view = watch_view(cluster->watches[i]);
                FenceSlot *slot = &cluster->fence_slots[i];
                slot->held = view->evidence == EVIDENCE_ALIVE && (slot->held || (view->ticked && view->read_only));
                if (is_primary(cluster, i) || is_candidate(cluster, name))
                        continue;
                if (view->evidence != EVIDENCE_ALIVE)
                        slot->tried = slot->bare = false;
                if (view->evidence != EVIDENCE_ALIVE || !view->ticked ||
                    watch_asked_at(cluster->watches[i]) < cluster->fresh_after)
                        continue;
                const ReplicaChannel *channel = server_view_channel(view);
                bool follows = cluster->topology.entries && cluster->topology.entries[i].role == ROLE_REPLICA &&
                               channel && channel->receiver != RECEIVER_STOPPED && cluster->now == CLUSTER_STEADY;
                bool bare = slot->bare || !takes_address(cluster, (size_t) i);
                if (follows && is_closed(view) && bare) {
                        fenced_remove(cluster, name);
                        continue;
                }
                if (view->read_only)
                        rejoin_if_allowed(cluster, (size_t) i);
                usec_t pause = is_closed(view) ? ADDRESS_PAUSE : USEC_SEC;
                bool due = !slot->at || loop_now(cluster->context.loop) >= slot->at + pause;
                if ((!is_closed(view) || !bare) && !slot->job && due)
                        fence(cluster, (size_t) i);
        }
}

void fenced_done(Cluster *cluster)
{
        for (size_t i = 0; cluster->fence_slots && i < cluster->config->n_servers; i++)
                exec_abandon(cluster->fence_slots[i].job);
        free(cluster->fence_slots);
}
