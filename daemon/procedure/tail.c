/* The old primary's own logs: found, saved, weighed. Pure. Must never take what cannot be read for something that is not
 * there. */
#include "tail.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fence.h"
#include "loss.h"
#include "status.h"
#include "text.h"

/* No log is as large: a host that says so is not believed. As many as are listed are within what JSON has numbers for. */
#define FILE_MAX (UINT64_C(1) << 44)
/* So much more is copied in one go with what the candidate lacks, when another replica by position needs it later. */
#define AT_ONCE ((uint64_t) 64 * 1024 * 1024)

bool rescue_is_on(const Facts *facts)
{
        return facts_config_bool(facts, "rescue.enabled", false) && facts_config_bool(facts, "ssh.enabled", true);
}

bool rescue_is_planned(const Facts *facts)
{
        return json_get_bool(facts->root, "planning", false);
}

static const char *old_primary(const Facts *facts)
{
        return facts_string(facts, "old_primary");
}

static const Json *tail_of(const Facts *facts)
{
        return json_get(facts_server(facts, old_primary(facts)), "tail");
}

Position tail_end(const Facts *facts)
{
        return position_from_json(tail_of(facts), "end");
}

void tail_extremes(const Facts *facts, Position *ret_lowest, Position *ret_highest)
{
        *ret_lowest = *ret_highest = (Position){ 0 };
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *view = status_known(facts, json_string(name));
                const ReplicaChannel *channel = server_view_channel(view);
                if (!channel)
                        continue;
                *ret_lowest = position_min(*ret_lowest, channel->applied);
                *ret_highest = position_max(*ret_highest, channel->received);
        }
}

/* Finding. */

/* A host that let nobody in so far is not waited for: that would cost time to write. */
bool skip_find_tail(const Facts *facts)
{
        const Json *old = facts_server(facts, old_primary(facts)), *fence = json_get(old, "fence");
        bool asked = !skip_fence_process(facts) || !text_is_empty(facts_config_string(facts, "address.ip"));
        bool let_in =
                json_get_bool(old, "host_reached", false) || json_has(fence, "process") || json_has(fence, "address");
        return !rescue_is_on(facts) || (asked && !let_in);
}

/* The index of the binary logs names them all, as the server wrote them; "SIZE PATH" of each is printed, from the first on
 * that somebody may need. */
static const char list_logs[] =
        "find_index() { if [ -n \"$i\" ]; then echo \"$i\"; return; fi; IFS=,; for j in $x; do for k in "
        "\"$j\"/*.index; do "
        "if sed 's,.*/,,' \"$k\" 2>/dev/null | grep -qxF -- \"$h\"; then echo \"$k\"; return; fi; done; done; }\n"
        "i=$(find_index)\n"
        "if [ -z \"$i\" ]; then echo \"no index in $x names $h\" >&2; exit 4; fi\n"
        "all=$(cat -- \"$i\") || exit 5\n"
        "some=$(printf '%s\\n' \"$all\" | awk -v f=\"$f\" '{ n = $0; sub(\".*/\", \"\", n) } n == f { on = 1 } on')\n"
        "echo \"index $i\"\n"
        "printf '%s\\n' \"${some:-$all}\" | tail -n 400 | while IFS= read -r p; do\n"
        "case $p in /*) ;; *) p=${d:-${i%/*}}/$p;; esac\n"
        "s=$(stat -L -c %s -- \"$p\" 2>/dev/null) || s=-\n"
        "echo \"$s $p\"; done\n";

void logs_ask(const LogPlace *place, bool may_fail, Script *script)
{
        const char *name = place->index ? place->index : "";
        CLEANUP(mem_free)
        char *path = *name && *name != '/' ? text_format("%s/%s", place->data ? place->data : "", name) : NULL;
        CLEANUP(mem_free) char *index = text_quote_shell(path ? path : name);
        CLEANUP(mem_free) char *data = text_quote_shell(place->data ? place->data : "");
        CLEANUP(mem_free) char *folders = text_quote_shell(place->folders ? place->folders : "");
        CLEANUP(mem_free) char *first = text_quote_shell(place->first ? place->first : "");
        CLEANUP(mem_free) char *known = text_quote_shell(place->known ? place->known : "");
        (may_fail ? script_try_ssh : script_ssh)(script, "i=%s d=%s x=%s f=%s h=%s\n%s", index, data, folders, first,
                                                 known, list_logs);
}

void tail_list(const ServerView *view, const char *folders, const Position *first, const Position *last, bool may_fail,
               Script *script)
{
        CLEANUP(mem_free)
        char *beside = view->log_bin_basename ? text_format("%s.index", view->log_bin_basename) : NULL;
        logs_ask(&(LogPlace){ .index = view->log_bin_index ? view->log_bin_index : beside,
                              .data = view->datadir,
                              .folders = folders ? folders : "/var/lib/mysql,/var/log/mysql",
                              .first = first->file,
                              .known = last->file },
                 may_fail, script);
}

static void add_list(const Facts *facts, const char *server, Script *script, bool may_fail)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Position lowest, highest;
        tail_extremes(facts, &lowest, &highest);
        tail_list(view, facts_server_string(facts, server, "binlog_directory"), &lowest, &highest, may_fail, script);
}

void ask_tail(const Facts *facts, const char *server, Script *script)
{
        add_list(facts, server, script, false);
}

/* One line of the list; false for a log that the index names and that could not be looked at. */
static bool read_listed(const char *line, unsigned long long *ret_size, char **ret_path)
{
        char *space = NULL;
        *ret_size = strtoull(line, &space, 10);
        bool known = space != line && *space == ' ' && *ret_size <= FILE_MAX;
        const char *path = line + strcspn(line, " \n");
        path += *path == ' ';
        *ret_path = alloc_string_n(path, strcspn(path, "\n"));
        return known;
}

Json *tail_read_list(const Reply *reply)
{
        const char *line = reply_succeeded(reply) ? reply->out : NULL;
        if (!text_starts_with(line, "index "))
                return NULL;
        CLEANUP(json_free) Json *tail = json_object();
        Json *files = json_ensure_array(tail, "files");
        CLEANUP(mem_free) char *index = alloc_string_n(line + 6, strcspn(line + 6, "\n"));
        json_set_string(tail, "index", index);
        bool ends = false; /* with a log whose end is known */
        while ((line = strchr(line, '\n')) && *++line) {
                unsigned long long size;
                CLEANUP(mem_free) char *path = NULL;
                ends = read_listed(line, &size, &path);
                if (!ends)
                        continue;
                const char *slash = strrchr(path, '/');
                Json *file = json_object();
                json_set_string(file, "file", slash ? slash + 1 : path);
                json_set_string(file, "path", path);
                json_set_int(file, "size", (int64_t) size);
                json_append(files, file);
                CLEANUP(mem_free) char *end = text_format("%s:%llu", json_get_string(file, "file"), size);
                json_set_string(tail, "end", end);
        }
        return ends ? TAKE(tail) : NULL;
}

char *tail_why_not_listed(const Reply *reply)
{
        const char *said = reply->err ? reply->err : "", *list = reply->out ? reply->out : "", *last = NULL;
        if (*said)
                return alloc_string_n(said, strcspn(said, "\n"));
        if (!reply_succeeded(reply))
                return alloc_string(reply->failure.text);
        for (const char *line = list; (line = strchr(line, '\n')) && *++line;)
                last = line;
        if (!last)
                return alloc_string("the index names none");
        unsigned long long size;
        CLEANUP(mem_free) char *path = NULL;
        (void) read_listed(last, &size, &path);
        return text_format("the last one that the index names, %s, cannot be looked at", path);
}

static void learn_failure(Judgement *judgement, const char *why)
{
        json_set_string(judge_learned(judgement), "tail_failure", why);
}

void judge_tail_found(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        CLEANUP(json_free) Json *tail = tail_read_list(reply);
        if (tail) {
                const char *end = json_get_string(tail, "end");
                judge_as(judgement, VERDICT_MET, "its binary log ends at %s", end);
                json_set(judge_learned(judgement), "tail", TAKE(tail));
                return;
        }
        CLEANUP(mem_free) char *why = tail_why_not_listed(reply);
        judge_as(judgement, VERDICT_HOPELESS, "its binary logs cannot be listed: %s", why);
        learn_failure(judgement, judgement->why);
}

/* Saving. */

Json *rescue_answer(const Reply *reply)
{
        Json *json = NULL;
        if (!reply_succeeded(reply) || !reply->out || json_parse(reply->out, strlen(reply->out), &json, NULL) < 0)
                return NULL;
        return json;
}

void tail_question(const Facts *facts, const char *server, const ServerView *view, Json *questions)
{
        const ReplicaChannel *channel = server_view_channel(view);
        Json *question = json_object();
        CLEANUP(mem_free) char *from = position_format(channel ? &channel->applied : &(Position){ 0 });
        json_set_string(question, "name", server);
        json_set_string(question, "from", from);
        if (status_is_gtid(facts)) {
                bool mariadb = server_view_gtid_family(view) == GTID_FAMILY_MARIADB;
                CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
                CLEANUP(mem_free) char *has = gtid_format(applied);
                json_set_string(question, "family", mariadb ? "mariadb" : "mysql");
                json_set_string(question, "has", has);
        }
        json_append(questions, question);
}

/* How many bytes of the files lie behind a position; from is set when it is in one of them. */
static uint64_t bytes_behind(const Json *files, const Position *from)
{
        uint64_t bytes = 0;
        JSON_FOREACH(file, files)
        {
                Position end = { .offset = (uint64_t) json_get_int(file, "size", 0) };
                strncpy(end.file, json_get_string(file, "file"), sizeof end.file - 1);
                if (!position_comparable(&end, from) || position_compare(&end, from) > 0)
                        bytes += text_equal(end.file, from->file) ? end.offset - from->offset : end.offset;
        }
        return bytes;
}

uint64_t tail_bytes(const Facts *facts, const Position *from)
{
        return bytes_behind(json_get(tail_of(facts), "files"), from);
}

static Json *order_files(const Json *files, const Position *from, size_t last_files)
{
        Json *wanted = json_array();
        size_t n = json_length(files), i = 0;
        JSON_FOREACH(file, files)
        {
                size_t left = n - i++;
                Position end = { .offset = (uint64_t) json_get_int(file, "size", 0) };
                strncpy(end.file, json_get_string(file, "file"), sizeof end.file - 1);
                if (position_is_set(from) ? position_compare(&end, from) < 0 : left > last_files)
                        continue;
                bool inside = text_equal(end.file, from->file) && from->offset > 4;
                Json *json = json_object();
                json_set_string(json, "file", end.file);
                json_set_string(json, "path", json_get_string(file, "path"));
                json_set_int(json, "from", inside ? (int64_t) from->offset : 0);
                json_set_int(json, "to", (int64_t) end.offset);
                json_append(wanted, json);
        }
        return wanted;
}

void tail_add_borders(const Facts *facts, Json *order)
{
        Json *borders = json_ensure_array(order, "borders");
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                CLEANUP(server_view_free) ServerView *view = status_known(facts, json_string(name));
                const ReplicaChannel *channel = server_view_channel(view);
                CLEANUP(mem_free) char *applied = channel ? position_format(&channel->applied) : NULL;
                if (!text_is_empty(applied))
                        json_append_string(borders, applied);
        }
}

static Json *order_of(const Facts *facts, const Json *tail, const Position *from, size_t last_files)
{
        CLEANUP(json_free) Json *files = order_files(json_get(tail, "files"), from, last_files);
        if (json_length(files) == 0)
                return NULL;
        Json *order = json_object();
        json_set_string(order, "server", old_primary(facts));
        json_set_string(order, "kind", "binlog");
        json_set(order, "files", TAKE(files));
        tail_add_borders(facts, order);
        return order;
}

Json *tail_order(const Facts *facts, const Position *from, size_t last_files)
{
        return order_of(facts, tail_of(facts), from, last_files);
}

Json *tail_order_next(const Facts *facts, const Position *to)
{
        const Json *files = json_get(tail_of(facts), "files");
        size_t n = json_length(files);
        const char *path = n > 0 ? json_get_string(json_at(files, n - 1), "path") : NULL;
        const char *slash = path ? strrchr(path, '/') : NULL;
        if (!slash)
                return NULL;
        CLEANUP(mem_free) char *next = text_format("%.*s/%s", (int) (slash - path), path, to->file);
        Json *order = json_object(), *file = json_object();
        json_set_string(order, "server", old_primary(facts));
        json_set_string(order, "kind", "binlog");
        json_set_string(file, "file", to->file);
        json_set_string(file, "path", next);
        json_set_int(file, "from", 0);
        json_set_int(file, "to", (int64_t) to->offset);
        json_append(json_ensure_array(order, "files"), file);
        return order;
}

/* Where copying begins: with what the candidate has not applied, and by position with what any replica has not, unless that
 * is much more. */
static Position begin_of(const Facts *facts, const Json *tail)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        const ReplicaChannel *channel = server_view_channel(view);
        Position mine = channel ? channel->applied : (Position){ 0 }, lowest, highest;
        tail_extremes(facts, &lowest, &highest);
        const Json *files = json_get(tail, "files");
        if (status_is_gtid(facts) || !position_is_set(&mine) ||
            bytes_behind(files, &lowest) > bytes_behind(files, &mine) + AT_ONCE)
                return mine;
        return position_min(lowest, mine);
}

/* The whole log is received, and not the beginning of a transaction only: nobody can lack anything. */
bool skip_collect_tail(const Facts *facts)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        const ReplicaChannel *channel = server_view_channel(view);
        Position end = tail_end(facts);
        if (!position_is_set(&end) || !channel)
                return true;
        return position_comparable(&channel->received, &end) && position_compare(&channel->received, &end) >= 0;
}

enum { REPLY_LIST, REPLY_LOOK };

static void add_look(Script *script, Json *questions)
{
        Json *input = json_object();
        json_set(input, "questions", questions);
        script_rescue(script, "look", input);
        script->items[script->n_items - 1].may_fail = true;
}

static void ask_about(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Json *questions = json_array();
        tail_question(facts, server, view, questions);
        add_look(script, questions);
}

void ask_collected(const Facts *facts, const char *server, Script *script)
{
        if (rescue_is_planned(facts))
                return;
        add_list(facts, server, script, true);
        ask_about(facts, facts_string(facts, "candidate"), script);
}

/* How much is to be copied by now, as bytes and as an order. */
typedef struct Wanted {
        Json *order;
        uint64_t bytes;
        bool more; /* the log goes on before the first file of it, and it may not be enough */
} Wanted;

static Wanted wanted_of(const Facts *facts, const Replies *seen, const Json *source)
{
        CLEANUP(json_free) Json *now = seen ? tail_read_list(replies_at(seen, REPLY_LIST)) : NULL;
        const Json *tail = now ? now : tail_of(facts);
        Position from = begin_of(facts, tail);
        size_t had = (size_t) json_get_int(source, "n_files", 0);
        Wanted wanted = { .order = order_of(facts, tail, &from, had ? had : 1) };
        JSON_FOREACH(file, json_get(wanted.order, "files"))
        {
                wanted.bytes += (uint64_t) (json_get_int(file, "to", 0) - json_get_int(file, "from", 0));
        }
        wanted.more = !position_is_set(&from) &&
                      json_length(json_get(wanted.order, "files")) < json_length(json_get(tail, "files"));
        return wanted;
}

static void judge_plan(const Facts *facts, Judgement *judgement)
{
        Wanted wanted = wanted_of(facts, NULL, NULL);
        judge_as(judgement, VERDICT_UNMET, "%" PRIu64 " bytes would be copied", wanted.bytes);
        json_free(wanted.order);
}

/* What went wrong. That nothing is wrong but the time so far is told, too: it is kept when that is out. */
static void learn_not_saved(Judgement *judgement, const char *cause, const char *failure)
{
        Json *saved = json_ensure_object(judge_learned(judgement), "saved");
        json_set_string(saved, "failure", failure ? failure : "?");
        json_set_string(saved, "cause", cause);
}

static void judge_failed_copy(const Facts *facts, const Replies *replies, const Json *source, Judgement *judgement)
{
        const char *failure = json_get_string(source, "failure"), *end = json_get_string(source, "end");
        const Reply *listed = replies_at(replies, REPLY_LIST);
        bool again = text_equal(end, "lost") && reply_succeeded(listed);
        judge_as(judgement, again ? VERDICT_UNMET : VERDICT_HOPELESS, "its logs could not be copied: %s",
                 failure ? failure : "?");
        learn_not_saved(judgement, end, failure);
        /* Only when the copy was lost for good, and its host does not answer either: what is in the way of a copy elsewhere
         * is not put right by a session that breaks. */
        bool silent = !reply_succeeded(listed) && listed->failure.kind != FAILURE_EXIT;
        json_set_bool(json_ensure_object(judge_learned(judgement), "saved"), "unreachable",
                      text_equal(end, "lost") && silent);
}

static void learn_saved(const Json *look, const Json *source, Judgement *judgement)
{
        Json *saved = json_ensure_object(judge_learned(judgement), "saved");
        json_set_null(saved, "failure");
        json_set_string(saved, "directory", json_get_string(look, "directory"));
        json_set_int(saved, "bytes", json_get_int(source, "bytes", 0));
        json_set_bool(saved, "verified", json_get_bool(source, "verified", false));
        json_set_string(saved, "damage", json_get_string(source, "damage"));
}

void judge_tail_collected(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (rescue_is_planned(facts)) {
                judge_plan(facts, judgement);
                return;
        }
        const Reply *reply = replies_at(replies, REPLY_LOOK);
        CLEANUP(json_free) Json *look = rescue_answer(reply);
        if (!look) {
                judge_as(judgement, VERDICT_HOPELESS, "nothing can be saved: %s", reply->failure.text);
                learn_not_saved(judgement, "local", reply->failure.text);
                return;
        }
        const Json *source = json_get(json_get(look, "sources"), server);
        const Json *answer = json_get(json_get(look, "answers"), facts_string(facts, "candidate"));
        const char *state = json_get_string(source, "state");
        int64_t bytes = json_get_int(source, "bytes", 0), total = json_get_int(source, "total", 0);
        Wanted wanted = wanted_of(facts, replies, source);
        json_free(wanted.order);
        if (text_equal(state, "failed"))
                judge_failed_copy(facts, replies, source, judgement);
        else if (!source || json_get_int(source, "n_files", 0) == 0)
                judge_as(judgement, VERDICT_UNMET, "%" PRIu64 " bytes are to be copied", wanted.bytes);
        else if (!text_equal(state, "done") || !answer)
                judge_as(judgement, VERDICT_UNMET, "%" PRId64 " of %" PRId64 " bytes are copied: %s", bytes, total,
                         state ? state : "?");
        else if ((uint64_t) total < wanted.bytes)
                judge_as(judgement, VERDICT_UNMET, "its log has grown since it was copied");
        else if (wanted.more && !json_get_bool(answer, "complete", false))
                judge_as(judgement, VERDICT_UNMET, "earlier files are needed, too");
        else {
                learn_saved(look, source, judgement);
                judge_as(judgement, VERDICT_MET, "%" PRId64 " bytes are saved%s", bytes,
                         json_get_bool(source, "verified", false) ? " and verified" : "");
        }
        if (judgement->verdict == VERDICT_UNMET && !judgement->learned) {
                CLEANUP(mem_free) char *late = text_format("when its time was out, %s", judgement->why);
                learn_not_saved(judgement, "time", late);
        }
}

void act_collect_tail(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(json_free) Json *look = rescue_answer(replies_at(seen, REPLY_LOOK));
        const Json *source = json_get(json_get(look, "sources"), server);
        const char *state = json_get_string(source, "state");
        if (text_equal(state, "copying") || text_equal(state, "indexing"))
                return;
        Wanted wanted = wanted_of(facts, seen, source);
        if (wanted.more && text_equal(state, "done")) {
                json_free(wanted.order);
                CLEANUP(json_free) Json *now = tail_read_list(replies_at(seen, REPLY_LIST));
                wanted.order = order_of(facts, now ? now : tail_of(facts), &(Position){ 0 },
                                        2 * (size_t) json_get_int(source, "n_files", 1));
        }
        if (wanted.order)
                script_rescue(script, "collect", wanted.order);
}

/* Weighing. */

static bool is_saved(const Facts *facts)
{
        const Json *saved = json_get(facts_server(facts, old_primary(facts)), "saved");
        return saved && !json_has(saved, "failure");
}

static Position received_by(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const ReplicaChannel *channel = server_view_channel(view);
        return channel ? channel->received : (Position){ 0 };
}

char *tail_not_had(const Facts *facts)
{
        const char *candidate = facts_string(facts, "candidate"), *donor = facts_string(facts, "donor");
        const Json *relayed = json_get(facts_server(facts, candidate), "saved");
        Position end = tail_end(facts), has = received_by(facts, candidate);
        if (!position_is_set(&end) || is_saved(facts))
                return NULL;
        if (status_is_gtid(facts) && donor)
                has = position_max(has, received_by(facts, donor));
        if (!status_is_gtid(facts) && json_get_bool(relayed, "complete", false)) {
                has = position_max(has, position_from_json(relayed, "end"));
                has = position_max(has, position_from_json(relayed, "torn"));
        }
        if (!position_comparable(&has, &end))
                return position_format(&end);
        return position_compare(&has, &end) >= 0 ? NULL : position_format_range(&has, &end);
}

GtidSet *tail_lacked(const Facts *facts, const char *giver)
{
        const char *donor = facts_string(facts, "donor");
        CLEANUP(server_view_free) ServerView *taker = status_known(facts, facts_string(facts, "candidate"));
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_received(taker);
        CLEANUP(gtid_free) GtidSet *gives = status_received(facts, giver);
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(gives, has);
        if (text_is_empty(donor))
                return TAKE(rest);
        CLEANUP(server_view_free) ServerView *from = status_known(facts, donor);
        CLEANUP(gtid_free) GtidSet *given = server_view_gtid_received(from);
        return gtid_subtract(rest, given);
}

bool tail_is_had(const Facts *facts)
{
        Position end = tail_end(facts);
        CLEANUP(mem_free) char *lacking = tail_not_had(facts);
        return is_saved(facts) || (position_is_set(&end) && !lacking);
}

static bool is_relayed(const Facts *facts)
{
        JSON_FOREACH(name, json_get(facts->root, "replicas"))
        {
                if (facts_server_bool(facts, json_string(name), "relayed", false))
                        return true;
        }
        return false;
}

bool skip_weigh(const Facts *facts)
{
        return rescue_is_planned(facts) || (!is_saved(facts) && !is_relayed(facts));
}

void ask_weigh(const Facts *facts, const char *server, Script *script)
{
        ask_about(facts, server, script);
}

/* Whether anything of it was not received, as far as there is no hole in it. */
static bool is_needed(const Facts *facts, const ServerView *view, const Json *answer)
{
        const ReplicaChannel *channel = server_view_channel(view);
        if (status_is_gtid(facts) && json_get_bool(answer, "complete", false)) {
                CLEANUP(gtid_free) GtidSet *lacks = NULL;
                CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
                if (gtid_parse(server_view_gtid_family(view), json_get_string(answer, "lacks"), &lacks, NULL) < 0)
                        return true;
                return !gtid_contains(received, lacks);
        }
        Position end = position_from_json(answer, "end");
        return position_is_set(&end) && channel && position_compare(&end, &channel->received) > 0;
}

void judge_weighed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(json_free) Json *look = rescue_answer(replies_at(replies, 0));
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Json *answer = json_get(json_get(look, "answers"), server);
        if (!answer) {
                judge_as(judgement, look ? VERDICT_UNMET : VERDICT_HOPELESS, "the saved logs say nothing: %s",
                         look ? "they are being indexed" : replies_at(replies, 0)->failure.text);
                return;
        }
        const ReplicaChannel *channel = server_view_channel(view);
        Json *saved = json_copy(answer);
        bool needed = is_needed(facts, view, answer), complete = json_get_bool(answer, "complete", false);
        json_set_bool(saved, "needed", needed);
        json_set_string(saved, "directory", json_get_string(look, "directory"));
        CLEANUP(mem_free) char *received = position_format(channel ? &channel->received : &(Position){ 0 });
        json_set_string(saved, "received", received);
        json_set(judge_learned(judgement), "saved", saved);
        if (json_length(json_get(look, "differ")))
                json_set(saved, "differ", json_copy(json_get(look, "differ")));
        judge_as(judgement, VERDICT_MET, "the saved logs end at %s: %s%s%s", json_get_string(answer, "end"),
                 !needed ? "it has received all of that" : "they have what it lacks", complete ? "" : "; but ",
                 complete ? "" : json_string(json_at(json_get(answer, "holes"), 0)));
}

const Json *rescue_needed(const Facts *facts)
{
        const Json *saved = json_get(facts_server(facts, facts_string(facts, "candidate")), "saved");
        if (rescue_is_planned(facts) && !skip_collect_tail(facts))
                return tail_of(facts);
        return json_get_bool(saved, "needed", false) ? saved : NULL;
}

/* Enough? */

static const Json *holes_of(const Facts *facts)
{
        const Json *saved = json_get(facts_server(facts, facts_string(facts, "candidate")), "saved");
        return json_get_bool(saved, "complete", true) ? NULL : json_get(saved, "holes");
}

bool skip_tail_is_enough(const Facts *facts)
{
        bool hold = text_equal(facts_config_string(facts, "rescue.on_unreachable_tail"), "hold");
        CLEANUP(mem_free) char *lacking = tail_not_had(facts);
        return !rescue_is_on(facts) || rescue_is_planned(facts) ||
               (!holes_of(facts) && !lacking && (!hold || tail_is_had(facts)));
}

/* From the hole on, for nothing is fed from behind it. The caller frees it. */
static char *behind_hole(const Facts *facts)
{
        const Json *saved = json_get(facts_server(facts, facts_string(facts, "candidate")), "saved");
        Position from = received_by(facts, facts_string(facts, "candidate")), lowest, to;
        from = position_max(from, position_from_json(saved, "end"));
        tail_extremes(facts, &lowest, &to);
        to = position_max(to, tail_end(facts));
        to = position_max(to, position_from_json(saved, "last"));
        CLEANUP(mem_free) char *begin = position_format(&from);
        if (!position_is_set(&from))
                return alloc_string(LOSS_UNKNOWN);
        return position_compare(&to, &from) > 0 ? position_format_range(&from, &to)
                                                : text_format("%s - " LOSS_UNKNOWN, begin);
}

static void say_hole(const Facts *facts, const Json *holes, const char *lost, Judgement *judgement)
{
        const char *damage = json_get_string(json_get(facts_server(facts, old_primary(facts)), "saved"), "damage");
        CLEANUP(mem_free) char *remedy = loss_remedy(facts, lost);
        judge_as(judgement, VERDICT_HOPELESS, "%.240s%s%.240s, so that %s would be lost. %s",
                 json_length(holes) ? json_string(json_at(holes, 0)) : "the saved logs are not complete",
                 damage ? "; " : "", damage ? damage : "", lost, remedy);
}

/* Its bytes are there, and so is its host: what is in the way can be put right. */
static void say_not_saved(const Facts *facts, const Json *saved, const char *lost, Judgement *judgement)
{
        const char *cause = json_get_string(saved, "cause");
        CLEANUP(mem_free) char *remedy = loss_remedy(facts, lost);
        judge_as(judgement, VERDICT_HOPELESS,
                 "%s of the binary log is on the host of %s, no replica has it, and it could not be saved: %.240s. %s, "
                 "then: mhactl failover %s. %s",
                 lost, old_primary(facts), json_get_string(saved, "failure"),
                 text_equal(cause, "local")  ? "Make room there, or put right what it says"
                 : text_equal(cause, "time") ? "Raise failover.apply_timeout"
                                             : "Put that right",
                 facts_string(facts, "cluster"), remedy);
}

static void say_unreachable(const Facts *facts, const char *failure, Judgement *judgement)
{
        CLEANUP(mem_free) char *remedy = loss_remedy(facts, LOSS_UNKNOWN);
        judge_as(judgement, VERDICT_HOPELESS,
                 "what only %s had cannot be known (%.240s), and rescue.on_unreachable_tail is hold. %s",
                 old_primary(facts), failure ? failure : "its host cannot be reached", remedy);
}

void decide_tail_is_enough(const Facts *facts, Judgement *judgement)
{
        bool hold = text_equal(facts_config_string(facts, "rescue.on_unreachable_tail"), "hold");
        const Json *holes = holes_of(facts), *server = facts_server(facts, old_primary(facts));
        const Json *saved = json_get(server, "saved");
        const char *failure = json_get_string(saved, "failure");
        bool unreachable = json_get_bool(saved, "unreachable", !saved);
        CLEANUP(mem_free) char *lacking = tail_not_had(facts);
        CLEANUP(mem_free) char *lost = holes ? behind_hole(facts) : alloc_string(lacking ? lacking : LOSS_UNKNOWN);
        Json *learned = judge_learned(judgement);
        if (lacking)
                json_set_string(learned, "tail_lost", lacking);
        if (loss_is_accepted(facts, lost, learned))
                judge_as(judgement, VERDICT_MET, "the loss was accepted: %.240s", lost);
        else if (holes)
                say_hole(facts, holes, lost, judgement);
        else if (lacking && !unreachable)
                say_not_saved(facts, saved, lost, judgement);
        else if (hold && loss_is_accepted(facts, LOSS_UNKNOWN, learned))
                judge_as(judgement, VERDICT_MET, "that it cannot be known what is lost was accepted");
        else if (hold)
                say_unreachable(facts, failure ? failure : json_get_string(server, "tail_failure"), judgement);
        else
                judge_as(judgement, VERDICT_MET, "%s cannot be reached any more: %s", lost,
                         failure ? failure : "the host of the old primary does not answer");
}
