/* Saving relay logs, as a goal. Pure. Must never stop or start anything of the replica: its relay logs are all there is. */
#include "relays.h"

#include <inttypes.h>
#include <string.h>

#include "observation.h"
#include "status.h"
#include "tail.h"
#include "text.h"

/* How far a server has received; unset when that is not known. */
static Position received_by(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(view);
        return channel ? channel->received : (Position){ 0 };
}

/* By GTID the candidate only has to have all: the others get it from it. The positions of who follows another than the old
 * primary are of another log. */
static bool lacks_by_gtid(const Facts *facts, const char *server, const char *giver)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, giver);
        if (!text_equal(server, facts_string(facts, "candidate")) ||
            !status_follows_old(facts, giver, server_view_channel(view)))
                return false;
        CLEANUP(gtid_free) GtidSet *lacked = tail_lacked(facts, giver);
        return !gtid_is_empty(lacked);
}

static bool lacks_of(const Facts *facts, const char *server, const char *giver)
{
        if (status_is_gtid(facts))
                return lacks_by_gtid(facts, server, giver);
        Position mine = received_by(facts, server), its = received_by(facts, giver);
        return position_comparable(&mine, &its) && position_compare(&mine, &its) < 0;
}

/* Whether any replica lacks something that this one has received. */
static bool is_needed(const Facts *facts, const char *giver)
{
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                if (lacks_of(facts, json_string(name), giver))
                        return true;
        }
        return false;
}

bool skip_collect_relays(const Facts *facts)
{
        Position lowest, highest, end = tail_end(facts);
        tail_extremes(facts, &lowest, &highest);
        bool had = tail_is_had(facts) && position_compare(&end, &highest) >= 0;
        if (!rescue_is_on(facts) || had || json_get_bool(facts->root, "planning", false))
                return true;
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                if (is_needed(facts, json_string(name)))
                        return false;
        }
        return true;
}

static const char *base_name(const char *path)
{
        const char *slash = path ? strrchr(path, '/') : NULL;
        return slash ? slash + 1 : path;
}

enum { REPLY_LIST, REPLY_LOOK };

void ask_relays(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(view);
        Json *input = json_object(), *questions = json_ensure_array(input, "questions");
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *other = status_known(facts, json_string(name));
                if (lacks_of(facts, json_string(name), server))
                        tail_question(facts, json_string(name), other, questions);
        }
        if (json_length(questions) == 0) {
                json_free(input);
                return;
        }
        logs_ask(&(LogPlace){ .index = view->relay_log_index,
                              .data = view->datadir,
                              .folders = view->datadir,
                              .known = channel ? base_name(channel->relay_file) : NULL },
                 true, script);
        script_rescue(script, "look", input);
        script->items[script->n_items - 1].may_fail = true;
}

/* The last files of the list, at least as many as hold what is not applied, and at least n. */
static Json *order_of(const Facts *facts, const char *server, const Json *list, size_t n, size_t *ret_n)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(view);
        const Json *all = json_get(list, "files");
        size_t total = json_length(all), applied = total > 0 ? total - 1 : 0, i = 0;
        bool found = false;
        for (size_t j = 0; j < total; j++)
                if (text_equal(json_get_string(json_at(all, j), "file"), base_name(channel->relay_file))) {
                        applied = j;
                        found = true;
                }
        size_t first = n < total ? total - n : 0;
        first = first < applied ? first : applied;
        Json *order = json_object(), *files = json_ensure_array(order, "files");
        JSON_FOREACH(file, all)
        {
                if (i++ < first)
                        continue;
                Json *json = json_object();
                json_set_string(json, "file", json_get_string(file, "file"));
                json_set_string(json, "path", json_get_string(file, "path"));
                json_set_int(json, "from", 0);
                json_set_int(json, "to", json_get_int(file, "size", 0));
                json_append(files, json);
        }
        /* It is known in which of the primary's files the relay log begins that is being applied. */
        CLEANUP(mem_free)
        char *start = found && first == applied ? text_format("%s:0", channel->applied.file) : alloc_string("");
        json_set_string(order, "server", server);
        json_set_string(order, "kind", "relay");
        json_set_string(order, "start", start);
        json_set_string(order, "around", found ? channel->applied.file : "");
        json_set_int(order, "own_id", view->server_id);
        tail_add_borders(facts, order);
        *ret_n = total - first;
        return order;
}

/* By GTID: whether what is saved is all that the candidate lacks of it. */
static bool has_lacked(const Facts *facts, const char *giver, const Json *answer)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, giver);
        CLEANUP(gtid_free) GtidSet *lacked = tail_lacked(facts, giver);
        CLEANUP(gtid_free) GtidSet *saved = NULL;
        return json_get_bool(answer, "complete", false) &&
               gtid_parse(server_view_gtid_family(view), json_get_string(answer, "lacks"), &saved, NULL) >= 0 &&
               gtid_contains(saved, lacked);
}

/* Who still lacks something of it, as far as is saved; NULL for nobody. */
static const char *who_lacks(const Facts *facts, const char *server, const Json *look)
{
        Position its = received_by(facts, server);
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                if (!lacks_of(facts, json_string(name), server))
                        continue;
                const Json *answer = json_get(json_get(look, "answers"), json_string(name));
                if (status_is_gtid(facts)) {
                        if (!has_lacked(facts, server, answer))
                                return json_string(name);
                        continue;
                }
                Position end = position_from_json(answer, "end"), torn = position_from_json(answer, "torn");
                Position far = position_max(end, torn);
                if (!json_get_bool(answer, "complete", false) || !position_comparable(&far, &its) ||
                    position_compare(&far, &its) < 0)
                        return json_string(name);
        }
        return NULL;
}

void judge_relays_collected(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (!is_needed(facts, server)) {
                judge_as(judgement, VERDICT_MET, "no other replica lacks what it has received");
                return;
        }
        const Reply *listed = replies_at(replies, REPLY_LIST), *reply = replies_at(replies, REPLY_LOOK);
        CLEANUP(json_free) Json *list = tail_read_list(listed);
        CLEANUP(json_free) Json *look = rescue_answer(reply);
        const Json *source = json_get(json_get(look, "sources"), server);
        const char *state = json_get_string(source, "state"), *failure = json_get_string(source, "failure");
        const char *lacks = look ? who_lacks(facts, server, look) : NULL;
        size_t n = 0, n_files = (size_t) json_get_int(source, "n_files", 0);
        CLEANUP(mem_free) char *why = list ? NULL : tail_why_not_listed(listed);
        if (!look || !list) {
                judge_as(judgement, VERDICT_HOPELESS, "its relay logs cannot be saved: %s",
                         look ? why : reply->failure.text);
        } else if (text_equal(state, "failed")) {
                judge_as(judgement, VERDICT_HOPELESS, "its relay logs could not be copied: %s",
                         failure ? failure : "?");
        } else if (text_equal(state, "copying") || text_equal(state, "indexing") ||
                   (source && !json_has(look, "answers"))) {
                judge_as(judgement, VERDICT_UNMET, "%" PRId64 " of %" PRId64 " bytes of its relay logs are copied",
                         json_get_int(source, "bytes", 0), json_get_int(source, "total", 0));
        } else if (!source || (lacks && n_files < json_length(json_get(list, "files")))) {
                json_free(order_of(facts, server, list, 2 * n_files, &n));
                judge_as(judgement, VERDICT_UNMET, "%zu of its relay logs are to be copied", n);
        } else {
                json_set_bool(judge_learned(judgement), "relayed", true);
                judge_as(judgement, lacks ? VERDICT_HOPELESS : VERDICT_MET, "%zu of its relay logs are saved%s%s",
                         n_files, lacks ? "; they do not reach back to what is lacked by " : "", lacks ? lacks : "");
        }
}

void act_collect_relays(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(json_free) Json *list = tail_read_list(replies_at(seen, REPLY_LIST));
        CLEANUP(json_free) Json *look = rescue_answer(replies_at(seen, REPLY_LOOK));
        const Json *source = json_get(json_get(look, "sources"), server);
        const char *state = json_get_string(source, "state");
        size_t n = 0;
        if (list && (!source || text_equal(state, "done")))
                script_rescue(script, "collect",
                              order_of(facts, server, list, 2 * (size_t) json_get_int(source, "n_files", 0), &n));
}
