/* Old primaries that may come back: made read-only and stripped of the address as soon as they answer, whoever started
 * them, until they replicate from the present primary. Owns the jobs that do it. */
#include "inside.h"

#include "virtual_address.h"
#include "text.h"

void fenced_add(Cluster *cluster, const char *server)
{
        Json *list = json_ensure_array(cluster->state.root, "fenced");
        if (!json_array_contains(list, server))
                json_append_string(list, server);
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
        json_set(json_get_mutable(cluster->state.root, "returning"), server, NULL);
        cluster_save(cluster);
}

static void on_done(Replies *replies, void *userdata)
{
        FenceSlot *slot = userdata;
        Cluster *cluster = slot->cluster;
        size_t i = (size_t) (slot - cluster->fence_slots);
        const Server *server = &cluster->config->servers[i];
        LogFields fields = cluster_fields(cluster, server->name);
        slot->job = NULL;
        if (replies->failure.kind == FAILURE_NONE) {
                log_event(EVENT_FENCED, &fields,
                          "%s: %s, which was primary before, answers again and was made read-only; mhactl rejoin %s %s "
                          "attaches it, if it has nothing that the others lack",
                          cluster->config->name, server->name, cluster->config->name, server->name);
                watch_hurry(cluster->watches[i]);
                watch_relax(cluster->watches[i]);
        } else {
                log_event(EVENT_ERROR, &fields,
                          "%s: %s, which was primary before, answers again and could not be made read-only: %s; tried "
                          "again in a second",
                          cluster->config->name, server->name, replies->failure.text);
        }
        replies_free(replies);
}

static void fence(Cluster *cluster, size_t i)
{
        const Server *server = &cluster->config->servers[i];
        const ServerView *view = watch_view(cluster->watches[i]);
        CLEANUP(script_done) Script script = { 0 };
        FenceSlot *slot = &cluster->fence_slots[i];
        usec_t now = loop_now(cluster->context.loop);
        *slot = (FenceSlot){ .cluster = cluster, .at = now };
        dialect_read_only(server_view_dialect(view), &script, true);
        dialect_stop_events(&script); /* read_only does not hold those of privileged accounts up */
        bool primary_is_there =
                cluster->topology.primary >= 0 && cluster_same_host(cluster, i, (size_t) cluster->topology.primary);
        if (cluster->config->address.ip && cluster->config->ssh.enabled && !primary_is_there) {
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
            cluster->now != CLUSTER_STEADY || cluster->background)
                return;
        slot->tried = true;
        if (cluster_rejoin(cluster, server->name, "mhad", &ret, &failure) < 0)
                log_event(EVENT_WARNING, &fields, "%s; when that is mended: mhactl rejoin %s %s", failure.text,
                          cluster->config->name, server->name);
}

void fenced_watch(Cluster *cluster)
{
        CLEANUP(json_free) Json *list = json_copy(json_get(cluster->state.root, "fenced"));
        JSON_FOREACH(entry, list)
        {
                const char *name = json_string(entry);
                ssize_t i = cluster_find(cluster, name);
                if (i < 0 || i == cluster->topology.primary)
                        continue;
                const ServerView *view = watch_view(cluster->watches[i]);
                if (view->evidence != EVIDENCE_ALIVE)
                        cluster->fence_slots[i].tried = false;
                if (view->evidence != EVIDENCE_ALIVE || !view->ticked)
                        continue;
                const ReplicaChannel *channel = server_view_channel(view);
                bool follows = cluster->topology.entries && cluster->topology.entries[i].role == ROLE_REPLICA &&
                               channel && channel->receiver != RECEIVER_STOPPED && cluster->now == CLUSTER_STEADY;
                if (follows && view->read_only) {
                        fenced_remove(cluster, name);
                        continue;
                }
                if (view->read_only)
                        rejoin_if_allowed(cluster, (size_t) i);
                const FenceSlot *slot = &cluster->fence_slots[i];
                bool due = !slot->at || loop_now(cluster->context.loop) >= slot->at + USEC_SEC;
                if (!view->read_only && !slot->job && due)
                        fence(cluster, (size_t) i);
        }
}

void fenced_done(Cluster *cluster)
{
        for (size_t i = 0; cluster->fence_slots && i < cluster->config->n_servers; i++)
                exec_abandon(cluster->fence_slots[i].job);
        free(cluster->fence_slots);
}
