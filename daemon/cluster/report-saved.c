/* What a report tells of the saved logs. Pure; must never say more than the facts prove. */
#include "report-inside.h"

#include <inttypes.h>

#include "position.h"
#include "status.h"
#include "text.h"

static int64_t milliseconds(const Json *step)
{
        int64_t started = json_get_int(step, "started", 0), ended = json_get_int(step, "ended", 0);
        return ended > started ? (ended - started) / 1000 : 0;
}

static bool is_met(const Json *run, const char *step, const char *server)
{
        const Json *target = json_get(json_get(report_step(run, step), "targets"), server);
        return text_equal(json_get_string(target, "verdict"), "met");
}

/* By position each is fed; by global transaction ids all but the candidate get it from the new primary. */
static bool was_fed(const Json *run, const Facts *facts, const char *name)
{
        bool needed = json_get_bool(json_get(facts_server(facts, name), "saved"), "needed", false);
        if (text_equal(name, facts_string(facts, "candidate")))
                return needed && is_met(run, "rescue-candidate", name);
        return needed && text_equal(facts_string(facts, "mode"), "position") && is_met(run, "repoint-replicas", name);
}

static Json *replica_of(const Json *run, const Facts *facts, const char *name)
{
        const Json *saved = json_get(facts_server(facts, name), "saved");
        bool fed = was_fed(run, facts, name), needed = json_get_bool(saved, "needed", false);
        bool exact = json_get_bool(saved, "exact", true), complete = json_get_bool(saved, "complete", false);
        const char *received = json_get_string(saved, "received"),
                   *hole = json_string(json_at(json_get(saved, "holes"), 0));
        int64_t bytes = json_get_int(saved, "bytes", 0), n = json_get_int(saved, "n_transactions", 0);
        int64_t time =
                milliseconds(report_step(run, "rescue-candidate")) + milliseconds(report_step(run, "drain-candidate"));
        int64_t refused = json_get_int(json_get(facts_server(facts, name), "fed"), "refused", 0);
        bool timed = fed && text_equal(name, facts_string(facts, "candidate"));
        Json *replica = json_object();
        Text text = { 0 };
        text_addf(&text, "had received up to %s", text_is_empty(received) ? "?" : received);
        if (needed || !complete)
                text_addf(&text,
                          "; behind what it had applied %s%" PRId64 " transactions (%" PRId64 " bytes) are saved",
                          exact ? "" : "up to ", n, bytes);
        if (hole)
                text_addf(&text, "; %s", hole);
        if (fed)
                text_add(&text, "; it was fed them");
        if (timed)
                text_addf(&text, ", and had applied them after %" PRId64 " ms", time);
        if (refused)
                text_addf(&text, "; %" PRId64 " logins to its feed were refused: they were not its own", refused);
        CLEANUP(mem_free) char *said = text_take(&text);
        json_set_string(replica, "name", name);
        json_set_string(replica, "received", received);
        json_set_int(replica, "bytes", bytes);
        json_set_int(replica, "transactions", n);
        json_set_bool(replica, "complete", complete);
        json_set_bool(replica, "fed", fed);
        if (timed)
                json_set_int(replica, "milliseconds", time);
        json_set_string(replica, "text", said);
        return replica;
}

/* By position a replica that lacks something follows the candidate only once it was fed: also where the candidate itself
 * needed nothing, so that nothing was weighed. NULL when it lacked nothing. */
static Json *fed_later(const Json *run, const Facts *facts, const char *name)
{
        const char *end = facts_server_string(facts, facts_string(facts, "candidate"), "drained_at");
        CLEANUP(server_view_free) ServerView *view = status_known(facts, name);
        const ReplicaChannel *channel = server_view_channel(view);
        Position wanted = { 0 };
        if (!text_equal(facts_string(facts, "mode"), "position") || !channel || !end ||
            position_parse(end, &wanted, NULL) < 0 || !is_met(run, "repoint-replicas", name) ||
            !facts_server_bool(facts, name, "frozen", false) || !position_comparable(&channel->received, &wanted) ||
            position_compare(&channel->received, &wanted) >= 0)
                return NULL;
        CLEANUP(mem_free) char *received = position_format(&channel->received);
        CLEANUP(mem_free)
        char *text = text_format("had received up to %s; it was fed the rest, up to %s", received, end);
        Json *replica = json_object();
        json_set_string(replica, "name", name);
        json_set_string(replica, "received", received);
        json_set_bool(replica, "complete", true);
        json_set_bool(replica, "fed", true);
        json_set_string(replica, "text", text);
        return replica;
}

/* The old primary's log, in words. */
static char *describe_log(const Json *old, const char *last)
{
        const Json *tail = json_get(old, "tail"), *copy = json_get(old, "saved");
        const char *end = json_get_string(tail, "end"), *failure = json_get_string(copy, "failure");
        const char *unknown = json_get_string(old, "tail_failure");
        Text text = { 0 };
        if (end)
                text_addf(&text, "its binary log ends at %s", end);
        else
                text_addf(&text, "its binary log could not be read: %s",
                          unknown ? unknown : "its host cannot be reached");
        if (!text_is_empty(last))
                text_addf(&text, "; the last transaction that was saved ends at %s", last);
        if (failure)
                text_addf(&text, "; it could not be copied: %s", failure);
        else if (copy)
                text_addf(&text, "; %" PRId64 " bytes were copied%s", json_get_int(copy, "bytes", 0),
                          json_get_bool(copy, "verified", false) ? " and compared by SHA-256" : "");
        return text_take(&text);
}

Json *report_saved(const Json *run, const Facts *facts)
{
        const Json *old = facts_server(facts, facts_string(facts, "old_primary"));
        if (!facts_config_bool(facts, "rescue.enabled", false) ||
            text_equal(facts_string(facts, "procedure"), "switchover"))
                return NULL;
        Json *rescue = json_object(), *replicas = json_ensure_array(rescue, "replicas");
        const char *last = NULL;
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                const Json *saved = json_get(facts_server(facts, json_string(name)), "saved");
                if (!saved) {
                        Json *later = fed_later(run, facts, json_string(name));
                        if (later)
                                json_append(replicas, later);
                        continue;
                }
                if (!text_is_empty(json_get_string(saved, "last")))
                        last = json_get_string(saved, "last");
                if (json_has(saved, "differ"))
                        json_set(rescue, "differ", json_copy(json_get(saved, "differ")));
                json_set_string(rescue, "directory", json_get_string(saved, "directory"));
                json_append(replicas, replica_of(run, facts, json_string(name)));
        }
        CLEANUP(mem_free) char *text = describe_log(old, last);
        json_set_string(rescue, "end", json_get_string(json_get(old, "tail"), "end"));
        json_set_string(rescue, "last", last);
        json_set_string(rescue, "text", text);
        return rescue;
}

void report_render_saved(Text *out, const char *old_primary, const Json *rescue)
{
        if (!rescue)
                return;
        text_addf(out, "\nSaved logs\n  %-12s %s\n", old_primary ? old_primary : "?", json_get_string(rescue, "text"));
        JSON_FOREACH(replica, json_get(rescue, "replicas"))
        {
                text_addf(out, "  %-12s %s\n", json_get_string(replica, "name"), json_get_string(replica, "text"));
        }
        JSON_FOREACH(text, json_get(rescue, "differ"))
        {
                text_addf(out, "  - %s\n", json_string(text));
        }
        if (json_has(rescue, "directory"))
                text_addf(out, "  %-12s %s\n", "", json_get_string(rescue, "directory"));
}
