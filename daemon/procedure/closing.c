/* Taking back an opening that was not confirmed, as goals. Pure. Must never take for closed what only does not answer.
 * Learns of the candidate "closed" and "taken": what it has written since it had everything of the old primary's, "" for
 * nothing; without that member it is not known. */
#include "closing.h"

#include "fence.h"
#include "status.h"
#include "tail.h"
#include "text.h"

bool skip_close(const Facts *facts)
{
        return !json_get_bool(facts->root, "opening", false);
}

static bool process_is_gone(const Facts *facts, const char *server)
{
        return json_has(json_get(facts_server(facts, server), "fence"), "process");
}

static bool is_closed(const Facts *facts, const char *server)
{
        return facts_server_bool(facts, server, "closed", false) || process_is_gone(facts, server);
}

enum { CLOSED_TICK, CLOSED_BINLOG };

void ask_closed(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        if (is_closed(facts, server))
                return;
        script_sql(script, "%s", server_view_dialect(view)->tick);
        script_sql(script, "%s", server_view_dialect(view)->show_binlog);
}

/* By position only a log that ends where it did tells: one that was started again has begun another file. */
static void learn_taken(const Facts *facts, const char *server, const ServerView *view, Judgement *judgement)
{
        const char *opened = facts_server_string(facts, server, "open_position");
        const char *end = facts_server_string(facts, facts_string(facts, "old_primary"), "end_gtid");
        CLEANUP(mem_free) char *position = position_format(&view->binlog);
        CLEANUP(gtid_free) GtidSet *known = NULL;
        if (text_equal(position, opened)) {
                json_set_string(judge_learned(judgement), "taken", "");
        } else if (status_is_gtid(facts) && gtid_parse(server_view_gtid_family(view), end, &known, NULL) >= 0) {
                CLEANUP(gtid_free) GtidSet *has = server_view_gtid_applied(view);
                CLEANUP(gtid_free) GtidSet *more = gtid_subtract(has, known);
                CLEANUP(mem_free) char *text = gtid_is_empty(more) ? alloc_string("") : gtid_describe(more);
                json_set_string(judge_learned(judgement), "taken", text);
        }
}

void judge_closed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (replies->n_items == 0) {
                judge_as(judgement, VERDICT_MET, "it takes no writes");
                return;
        }
        if (observation_read_tick(view, replies_at(replies, CLOSED_TICK), &failure) < 0 ||
            observation_read_binlog(view, replies_at(replies, CLOSED_BINLOG), &failure) < 0) {
                judge_as(judgement, VERDICT_UNREACHABLE, "%s", failure.text);
        } else if (!view->read_only) {
                judge_as(judgement, VERDICT_UNMET, "it takes writes");
        } else {
                learn_taken(facts, server, view, judgement);
                json_set_bool(judge_learned(judgement), "closed", true);
                judge_as(judgement, VERDICT_MET, "it is read-only");
        }
}

void act_close(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        dialect_read_only(server_view_dialect(view), script, true);
}

bool skip_end_candidate(const Facts *facts)
{
        return skip_close(facts) || is_closed(facts, facts_string(facts, "candidate")) || skip_fence_process(facts);
}

bool skip_weigh_candidate(const Facts *facts)
{
        return skip_close(facts) || !process_is_gone(facts, facts_string(facts, "candidate"));
}

void ask_weigh_candidate(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Position opened = position_from_json(facts_server(facts, server), "open_position");
        tail_list(view, facts_server_string(facts, server, "binlog_directory"), &opened, &opened, false, script);
}

void judge_candidate_weighed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *opened = facts_server_string(facts, server, "open_position");
        CLEANUP(json_free) Json *list = tail_read_list(replies_at(replies, 0));
        const char *end = json_get_string(list, "end");
        if (!end) {
                judge_as(judgement, VERDICT_HOPELESS, "its binary logs cannot be listed");
                return;
        }
        CLEANUP(mem_free) char *more = text_format("%s - %s of its binary log", opened ? opened : "?", end);
        json_set_string(judge_learned(judgement), "taken", text_equal(end, opened) ? "" : more);
        if (text_equal(end, opened))
                judge_as(judgement, VERDICT_MET, "nothing: its binary log ends at %s, as before", end);
        else
                judge_as(judgement, VERDICT_MET, "what stands in its binary log from %s to %s", opened ? opened : "?",
                         end);
}
