/* What would happen if a server died now. Pure. Must never promise more than the configuration and the servers' answers
 * bear out. */
#include "failover_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "election.h"
#include "status.h"
#include "text.h"

/* What the steps of a failover cost that wait for nothing. */
#define STEPS (200 * USEC_MSEC)
/* What the fence tries at a host that has let nobody in. */
#define HOPELESS (400 * USEC_MSEC)
/* How long a host is tried for its logs with on_unreachable_tail: hold, when nothing else is configured. */
#define HOLD_PATIENCE (30 * USEC_SEC)

static usec_t config_usec(const Facts *facts, const char *path, usec_t otherwise)
{
        return (usec_t) facts_config_int(facts, path, (int64_t) (otherwise / USEC_MSEC)) * USEC_MSEC;
}

/* Loss */

/* Who commits is answered when a replica has it: at either wait point of semi-sync. */
static bool is_lossless(const ServerView *primary)
{
        return primary->semi_sync_active && primary->semi_sync_wait_count > 0 &&
               primary->semi_sync_clients >= primary->semi_sync_wait_count;
}

static char *ahead_by_gtid(const Facts *facts, const ServerView *primary)
{
        CLEANUP(gtid_free) GtidSet *rest = server_view_gtid_applied(primary);
        if (gtid_is_empty(rest))
                return NULL;
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *view = status_known(facts, json_string(name));
                CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
                GtidSet *less = gtid_subtract(rest, received);
                gtid_free(rest);
                rest = less;
        }
        uint64_t n = gtid_count(rest);
        return text_format("%" PRIu64 " transaction%s", n, n == 1 ? "" : "s");
}

static char *ahead_by_position(const Facts *facts, const ServerView *primary)
{
        Position farthest = { 0 };
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *view = status_known(facts, json_string(name));
                const ReplicaChannel *channel = server_view_channel(view);
                if (channel && position_comparable(&primary->binlog, &channel->received))
                        farthest = position_max(farthest, channel->received);
        }
        if (!position_is_set(&farthest))
                return NULL;
        if (position_compare(&farthest, &primary->binlog) >= 0)
                return alloc_string("0 bytes");
        if (!text_equal(farthest.file, primary->binlog.file))
                return text_format("everything since %s", farthest.file);
        return text_format("%" PRIu64 " bytes", primary->binlog.offset - farthest.offset);
}

/* What only the primary has, as it was seen the last time. */
static char *ahead(const Facts *facts, const ServerView *primary)
{
        bool gtid = server_view_gtid_family(primary) == GTID_FAMILY_MARIADB || primary->gtid_mode;
        char *by_gtid = gtid ? ahead_by_gtid(facts, primary) : NULL;
        return by_gtid ? by_gtid : ahead_by_position(facts, primary);
}

static bool may_read_tail(const Facts *facts, TailAccess tail)
{
        return tail != TAIL_UNREADABLE && facts_config_bool(facts, "ssh.enabled", true) &&
               facts_config_bool(facts, "rescue.enabled", true);
}

static char *loss_at_most(const Facts *facts, TailAccess tail, bool *ret_safe)
{
        CLEANUP(server_view_free) ServerView *primary = status_known(facts, facts_string(facts, "old_primary"));
        CLEANUP(mem_free) char *only = ahead(facts, primary);
        *ret_safe = is_lossless(primary);
        if (*ret_safe)
                return text_format(
                        "nothing that was acknowledged: commits wait for %u of %u replicas, for %.1f s at most",
                        primary->semi_sync_wait_count, primary->semi_sync_clients,
                        (double) primary->semi_sync_timeout / USEC_SEC);
        CLEANUP(mem_free)
        char *rest = text_format("what no replica has received yet (%s when last seen)", only ? only : "not known");
        if (may_read_tail(facts, tail))
                return text_format("nothing as long as its host can be reached by SSH%s; else %s",
                                   tail == TAIL_READABLE ? ", where its binary log can be read" : "", rest);
        return text_format("%s: its binary log cannot be read by SSH", rest);
}

/* Duration */

static usec_t when_process_dies(const Facts *facts)
{
        return config_usec(facts, "detection.restart_grace_ms", 700 * USEC_MSEC) + STEPS;
}

static usec_t fence_when_gone(const Facts *facts)
{
        usec_t full = config_usec(facts, "fence.timeout_ms", 5 * USEC_SEC);
        usec_t patience = config_usec(facts, "rescue.ssh_patience_ms", 0);
        bool hold = text_equal(facts_config_string(facts, "rescue.on_unreachable_tail"), "hold");
        bool required = text_equal(facts_config_string(facts, "fence.policy"), "required");
        usec_t wait = required || full < HOPELESS ? full : HOPELESS;
        patience = hold && !patience ? HOLD_PATIENCE : patience;
        return patience > wait ? patience : wait;
}

static usec_t when_host_dies(const Facts *facts)
{
        return config_usec(facts, "detection.ping_interval_ms", USEC_SEC) +
               config_usec(facts, "detection.ping_timeout_ms", USEC_SEC) +
               config_usec(facts, "detection.connect_timeout_ms", USEC_SEC) +
               config_usec(facts, "detection.confirm_timeout_ms", USEC_SEC) + fence_when_gone(facts) + STEPS;
}

static char *duration(const Facts *facts, const char *candidate)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, candidate);
        const ReplicaChannel *channel = server_view_channel(view);
        CLEANUP(mem_free) char *process = usec_format_human(when_process_dies(facts));
        CLEANUP(mem_free) char *host = usec_format_human(when_host_dies(facts));
        Text text = { 0 };
        text_addf(&text, "about %s when its process dies, at most about %s when its host does", process, host);
        if (channel && channel->lag > 0)
                text_addf(&text, ", and as long as %s needs for what it has not applied (%" PRId64 " s behind)",
                          candidate, channel->lag);
        static const char *const before[] = { "hooks.prepare", "hooks.stop", "hooks.shutdown" };
        for (size_t i = 0; i < ARRAY_LENGTH(before); i++)
                if (facts_config_bool(facts, before[i], false)) {
                        text_add(&text, ", and the hooks' time");
                        break;
                }
        return text_take(&text);
}

/* The forecast */

Json *failover_forecast(const Facts *facts, TailAccess tail)
{
        Json *result = json_object();
        CLEANUP(election_input_done) ElectionInput input = { 0 };
        Failure failure = { 0 };
        bool safe = false;
        if (json_length(json_get(facts->root, "replicas")) == 0) {
                json_set_string(result, "why", "no replica of it can be reached");
                return result;
        }
        if (election_from_facts(facts, &input, &failure) < 0) {
                json_set_string(result, "why", failure.text);
                return result;
        }
        CLEANUP(election_done) Election election = election_hold(&input);
        json_set_string(result, "why", election.why);
        json_set_string(result, "loss", election.loss);
        if (election.candidate < 0)
                return result;
        const char *candidate = input.candidates[election.candidate].name;
        CLEANUP(mem_free) char *at_most = loss_at_most(facts, tail, &safe);
        CLEANUP(mem_free) char *takes = duration(facts, candidate);
        json_set_string(result, "candidate", candidate);
        json_set_string(result, "at_most", at_most);
        json_set_string(result, "duration", takes);
        return result;
}

/* Checks */

static void check_loss(const Facts *facts, TailAccess tail, const char *primary, Json *results)
{
        bool safe = false;
        CLEANUP(mem_free) char *text = loss_at_most(facts, tail, &safe);
        CheckLevel level = may_read_tail(facts, tail) ? CHECK_LEVEL_NOTE : CHECK_LEVEL_WARNING;
        if (safe)
                check_add(results, CHECK_LOSS, primary, "lost would be %s", text);
        else
                check_add_as(results, CHECK_LOSS_POSSIBLE, level, primary, "lost would be %s", text);
}

static void check_primary(const Facts *facts, const Json *holds, TailAccess tail, Json *results)
{
        const char *primary = facts_string(facts, "old_primary");
        CLEANUP(json_free) Json *forecast = failover_forecast(facts, tail);
        const char *candidate = json_get_string(forecast, "candidate"), *why = json_get_string(forecast, "why");
        JSON_FOREACH(hold, holds)
        {
                check_add(results, CHECK_GUARD, NULL, "%s", json_string(hold));
        }
        if (!candidate) {
                check_add(results, CHECK_NO_CANDIDATE, primary, "if it died now, nobody would be promoted: %s",
                          why ? why : "");
                return;
        }
        check_add(results, CHECK_CANDIDATE, primary, "if it died now, %s would be promoted: %s", candidate,
                  why ? why : "");
        check_loss(facts, tail, primary, results);
        check_add(results, CHECK_DURATION, primary, "nobody could write for %s", json_get_string(forecast, "duration"));
        if (text_equal(facts_config_string(facts, "fence.policy"), "required"))
                check_add_as(results, CHECK_GUARD, CHECK_LEVEL_NOTE, NULL,
                             "fence.policy is required: when the primary's host cannot be reached, nobody is promoted "
                             "unless "
                             "the shutdown hook succeeds");
        if (text_equal(facts_config_string(facts, "rescue.on_unreachable_tail"), "hold"))
                check_add_as(
                        results, CHECK_GUARD, CHECK_LEVEL_NOTE, NULL,
                        "rescue.on_unreachable_tail is hold: when the primary's binary log cannot be read, nobody is "
                        "promoted until somebody says so");
}

static Facts without(const Facts *facts, const char *server)
{
        Facts rest = facts_copy(facts);
        Json *replicas = json_array();
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                if (!text_equal(json_string(name), server))
                        json_append_string(replicas, json_string(name));
        }
        json_set(rest.root, "replicas", replicas);
        return rest;
}

static void check_replica(const Facts *facts, const char *server, Json *results)
{
        const char *primary = facts_string(facts, "old_primary");
        CLEANUP(facts_done) Facts rest = without(facts, server);
        CLEANUP(json_free) Json *before = failover_forecast(facts, TAIL_UNKNOWN);
        CLEANUP(json_free) Json *after = failover_forecast(&rest, TAIL_UNKNOWN);
        const char *candidate = json_get_string(after, "candidate");
        CLEANUP(server_view_free) ServerView *view = status_known(facts, primary);
        bool waits = is_lossless(view) && view->semi_sync_clients == view->semi_sync_wait_count;
        const char *stall = waits ? "; commits would stand for the time-out of semi-sync" : "";
        if (!candidate && json_has(before, "candidate")) {
                const char *why = json_get_string(after, "why");
                check_add(results, CHECK_LAST_REPLICA, server,
                          "if it died now, nobody could be promoted after %s: %s%s", primary, why ? why : "", stall);
        } else {
                check_add(results, CHECK_REPLICA_DIES, server,
                          "if it died now, clients would not notice%s; then %s would be promoted after %s", stall,
                          candidate ? candidate : "nobody", primary);
        }
}

void failover_check_judge(const Facts *facts, const Json *holds, TailAccess tail, Json *results)
{
        const char *primary = facts_string(facts, "old_primary");
        check_primary(facts, holds, tail, results);
        for (size_t i = 0; i < facts_n_servers(facts); i++) {
                const char *name = facts_server_name(facts, i);
                if (!text_equal(name, primary) && json_array_contains(json_get(facts->root, "replicas"), name))
                        check_replica(facts, name, results);
        }
}
