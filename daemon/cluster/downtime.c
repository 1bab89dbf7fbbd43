/* Servers that an operator has taken out for a while, and dead primaries that policy takes out for good: never a candidate,
 * never an alarm. Kept in the state, so that a restart changes nothing. Owns that part of the state; must never take the
 * primary out. */
#include "inside.h"

#include <errno.h>

#include "text.h"

static const Json *entry_of(const Cluster *cluster, const char *server)
{
        return json_get(json_get(cluster->state.root, "downtime"), server);
}

bool downtime_holds(const Cluster *cluster, const char *server)
{
        return entry_of(cluster, server) != NULL;
}

bool downtime_is_for_good(const Cluster *cluster, const char *server)
{
        const Json *entry = entry_of(cluster, server);
        return entry && !json_has(entry, "until");
}

Json *downtime_json(const Cluster *cluster, const char *server)
{
        return json_copy(entry_of(cluster, server));
}

char *downtime_why(const Cluster *cluster, const char *server)
{
        const Json *entry = entry_of(cluster, server);
        const char *why = json_get_string(entry, "reason");
        if (!entry)
                return NULL;
        return text_is_empty(why) ? text_format("by %s", json_get_string(entry, "by")) : alloc_string(why);
}

static void add(Cluster *cluster, const char *server, const char *by, const char *reason, usec_t until, bool removed)
{
        Json *entry = json_object();
        json_set_string(entry, "by", by);
        json_set_string(entry, "reason", reason);
        json_set_int(entry, "since", (int64_t) loop_now_real(cluster->context.loop));
        if (until < (UINT64_C(1) << 53))
                json_set_int(entry, "until", (int64_t) until);
        if (removed)
                json_set_bool(entry, "removed", true);
        json_set(json_ensure_object(cluster->state.root, "downtime"), server, entry);
}

static void remove_entry(Cluster *cluster, const char *server)
{
        Json *all = json_get_mutable(cluster->state.root, "downtime");
        json_set(all, server, NULL);
        if (json_length(all) == 0)
                json_set(cluster->state.root, "downtime", NULL);
}

static void end(Cluster *cluster, const char *server, const char *why)
{
        LogFields fields = cluster_fields(cluster, server);
        bool is_server = cluster_find(cluster, server) >= 0;
        remove_entry(cluster, server);
        cluster_save(cluster);
        log_event(EVENT_DOWNTIME_OVER, &fields, "%s: %s %s: %s", cluster->config->name, server,
                  is_server ? "counts again" : "is forgotten", why);
        cluster_evaluate_soon(cluster);
        cluster->context.changed(cluster->context.userdata);
}

void downtime_watch(Cluster *cluster)
{
        usec_t now = loop_now_real(cluster->context.loop);
        CLEANUP(json_free) Json *all = json_copy(json_get(cluster->state.root, "downtime"));
        JSON_FOREACH(entry, all)
        {
                int64_t until = json_get_int(entry, "until", 0);
                if (cluster_find(cluster, json_name(entry)) < 0)
                        end(cluster, json_name(entry), "it is not in the configuration any more");
                else if (until > 0 && (usec_t) until <= now)
                        end(cluster, json_name(entry), "its time is over");
                else if (text_equal(cluster_primary_name(cluster), json_name(entry)) && cluster->now == CLUSTER_STEADY)
                        end(cluster, json_name(entry), "it is the primary");
        }
}

void downtime_remove_dead(Cluster *cluster, const char *server, const char *run)
{
        const char *name = cluster->config->name;
        LogFields fields = cluster_fields(cluster, server);
        CLEANUP(mem_free) char *reason = text_format("it was the primary that died in run %s", run);
        add(cluster, server, "mhad", reason, USEC_INFINITY, true);
        log_event(
                EVENT_DOWNTIME, &fields,
                "%s: %s is taken out of the cluster, as failover.remove_dead_primary says: it is no candidate and "
                "raises no "
                "alarm; mhactl server remove %s %s takes it out of the file, mhactl server up %s %s has it count again",
                name, server, name, server, name, server);
}

void downtime_rejoined(Cluster *cluster, const char *server, usec_t at)
{
        const Json *entry = entry_of(cluster, server);
        if (json_get_bool(entry, "removed", false) && json_get_int(entry, "since", 0) <= (int64_t) at)
                end(cluster, server, "it follows the primary again");
}

static int check(const Cluster *cluster, const char *server, Failure *reterr)
{
        if (cluster_find(cluster, server) >= 0)
                return 0;
        Text known = { 0 };
        for (size_t i = 0; i < cluster->config->n_servers; i++) {
                text_separate(&known, ", ");
                text_add(&known, cluster->config->servers[i].name);
        }
        int r = failure_set(reterr, FAILURE_INVALID, 0, "%s: there is no server \"%s\": its servers are %s",
                            cluster->config->name, server, known.data);
        text_done(&known);
        return r;
}

int cluster_server_down(Cluster *cluster, const char *server, const char *reason, usec_t for_how_long, const char *by,
                        Failure *reterr)
{
        const char *name = cluster->config->name;
        int r = check(cluster, server, reterr);
        if (r < 0)
                return r;
        if (text_equal(cluster_primary_name(cluster), server))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s: %s is the primary: first mhactl switch %s, or mhactl pause %s", name, server,
                                   name, name);
        if (cluster->now == CLUSTER_RUNNING)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: a run is under way: mhactl status %s", name, name);
        add(cluster, server, by, reason, usec_add(loop_now_real(cluster->context.loop), for_how_long), false);
        r = state_save(&cluster->state, reterr);
        LogFields fields = cluster_fields(cluster, server);
        CLEANUP(mem_free) char *period = for_how_long == USEC_INFINITY ? NULL : usec_format_human(for_how_long);
        log_event(EVENT_DOWNTIME, &fields,
                  "%s: %s is taken out by %s%s%s%s%s: it is no candidate and raises no alarm until mhactl server up %s "
                  "%s",
                  name, server, by, period ? " for " : "", period ? period : "", text_is_empty(reason) ? "" : ": ",
                  text_is_empty(reason) ? "" : reason, name, server);
        cluster_evaluate_soon(cluster);
        cluster->context.changed(cluster->context.userdata);
        return r;
}

int cluster_server_up(Cluster *cluster, const char *server, const char *by, Failure *reterr)
{
        int r = check(cluster, server, reterr);
        if (r < 0)
                return r;
        if (!downtime_holds(cluster, server))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s was not taken out", cluster->config->name,
                                   server);
        CLEANUP(mem_free) char *why = text_format("by %s", by);
        end(cluster, server, why);
        return 0;
}
