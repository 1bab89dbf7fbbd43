/* The runbook of a rejoin, and its goals. Pure. Must never attach a server of which it is not proved that it has nothing of
 * its own: by position that would break it, by GTID it would spread what was lost, or hide it. */
#include "rejoin.h"

#include <inttypes.h>

#include "events.h"
#include "fence.h"
#include "handover.h"
#include "promote.h"
#include "repoint.h"
#include "status.h"
#include "tail.h"
#include "text.h"
#include "virtual_address.h"

static const Json *returning_of(const Facts *facts)
{
        return json_get(facts->root, "returning");
}

Json *rejoin_record(const Facts *run)
{
        const char *candidate = facts_string(run, "candidate");
        const char *open_position = facts_server_string(run, candidate, "open_position");
        /* In a failover the candidate says how far it has come, in a switchover the old primary where its log ends. */
        const char *drained_at = facts_server_string(run, candidate, "drained_at");
        const char *end =
                drained_at ? drained_at : facts_server_string(run, facts_string(run, "old_primary"), "end_position");
        if (!open_position)
                return NULL;
        CLEANUP(server_view_free) ServerView *old = status_known(run, facts_string(run, "old_primary"));
        Json *record = json_object();
        json_set_string(record, "run", facts_string(run, "run"));
        json_set_string(record, "procedure", facts_string(run, "procedure"));
        if (old->identified) {
                json_set_string(record, "server_uuid", old->server_uuid);
                json_set_int(record, "sync_binlog", old->sync_binlog);
                json_set_int(record, "flush_log_at_commit", old->flush_log_at_commit);
        }
        json_set_string(record, "mode", facts_string(run, "mode"));
        json_set_string(record, "new_primary", candidate);
        json_set_string(record, "end", end);
        json_set_string(record, "open_position", open_position);
        json_set_string(record, "open_gtid", facts_server_string(run, candidate, "open_gtid"));
        return record;
}

/* Only MariaDB's rejoin goes by it. */
static void bring_down(Json *record, GtidFamily family, const char *opened)
{
        CLEANUP(gtid_free) GtidSet *base = NULL;
        CLEANUP(gtid_free) GtidSet *limit = NULL;
        const char *known = json_get_string(record, "open_gtid");
        if (!known || !opened || gtid_parse(family, known, &base, NULL) < 0 ||
            gtid_parse(family, opened, &limit, NULL) < 0) {
                json_set(record, "open_gtid", NULL);
                return;
        }
        CLEANUP(gtid_free) GtidSet *lost = gtid_subtract(base, limit);
        CLEANUP(gtid_free) GtidSet *both = gtid_subtract(base, lost);
        CLEANUP(mem_free) char *text = gtid_format(both);
        json_set_string(record, "open_gtid", text);
}

void rejoin_note(Json *returning, const Facts *run)
{
        CLEANUP(server_view_free) ServerView *opened = status_known(run, facts_string(run, "candidate"));
        const char *old = facts_string(run, "old_primary");
        Json *record = rejoin_record(run);
        json_set(returning, old, record);
        if (text_equal(facts_string(run, "procedure"), "switchover")) /* nothing was lost */
                return;
        JSON_FOREACH(other, returning)
        {
                if (!text_equal(json_name(other), old))
                        bring_down(json_get_mutable(returning, json_name(other)), server_view_gtid_family(opened),
                                   json_get_string(record, "open_gtid"));
        }
}

void rejoin_prepare(Facts *facts, const char *primary, const Json *returning, const char *mode)
{
        Json *servers = json_get_mutable(facts->root, "servers"), *server = json_get_mutable(servers, primary);
        json_set_string(facts->root, "procedure", rejoin.name);
        json_set_string(facts->root, "candidate", primary);
        json_set_string(facts->root, "mode", mode);
        json_set(facts->root, "replicas", json_array());
        json_set(facts->root, "left_out", json_array());
        json_set(facts->root, "returning", json_copy(returning));
        json_set(facts->root, "verdict", NULL);
        json_set(facts->root, "times", json_object());
        json_set_string(server, "open_position", json_get_string(returning, "open_position"));
}

/* What each has. */

static void learn_view(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        CLEANUP(mem_free) char *end = position_format(&view->binlog);
        judgement->learned = server_view_to_json(view);
        judge_as(judgement, VERDICT_MET, "its own log ends at %s%s%s", end,
                 status_is_gtid(facts) ? ", and it has " : "",
                 status_is_gtid(facts) && view->gtid_executed ? view->gtid_executed : "");
}

/* The primary is asked after the other: what it has by then counts. Its set, or the end of its log, is what
 * the other must reach. */
static void learn_primary(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        learn_view(facts, server, replies, judgement);
        if (judgement->verdict != VERDICT_MET)
                return;
        CLEANUP(server_view_free) ServerView *view = server_view_from_json(judgement->learned);
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_applied(view);
        CLEANUP(mem_free) char *text = gtid_format(has);
        json_set_string(judgement->learned, "open_gtid", text);
        CLEANUP(mem_free) char *end = position_format(&view->binlog);
        json_set_string(judgement->learned, "level_position", end);
}

static const char *returned(const Facts *facts)
{
        return facts_string(facts, "old_primary");
}

/* MariaDB's ids go on with the same numbers on the new primary: only what it had when it was opened can be compared. */
static void decide_extra(const Facts *facts, Judgement *judgement)
{
        const char *primary = facts_string(facts, "candidate");
        if (!status_is_gtid(facts)) {
                judge_as(judgement, VERDICT_MET, "its binary log is compared, since it has no transaction ids");
                return;
        }
        CLEANUP(server_view_free) ServerView *view = status_known(facts, returned(facts));
        GtidFamily family = server_view_gtid_family(view);
        const char *known = facts_server_string(facts, primary, "open_gtid");
        if (family == GTID_FAMILY_MARIADB)
                known = json_get_string(returning_of(facts), "open_gtid");
        CLEANUP(gtid_free) GtidSet *base = NULL;
        Failure failure = { 0 };
        if (!known) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "what %s had when it was opened is not on record (that was another daemon, or long ago): "
                         "nothing can be proved. Compare by hand, or copy its data anew",
                         primary);
                return;
        }
        if (gtid_parse(family, known, &base, &failure) < 0) {
                judge_as(judgement, VERDICT_HOPELESS, "%s", failure.text);
                return;
        }
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_applied(view);
        CLEANUP(gtid_free) GtidSet *extra = gtid_subtract(has, base);
        if (gtid_is_empty(extra)) {
                judge_as(judgement, VERDICT_MET, "%s has every transaction that it has", primary);
                return;
        }
        CLEANUP(mem_free) char *text = gtid_describe(extra);
        json_set_string(judge_learned(judgement), "extra", text);
        judge_as(judgement, VERDICT_MET, "it has transactions that %s lacks: %s", primary, text);
}

/* Its own log behind the place that the new primary had reached: to be proved empty by position, else to be kept. */

static bool skip_own_log(const Facts *facts)
{
        return status_is_gtid(facts) && !facts_string(facts, "extra");
}

static Position own_end(const Facts *facts)
{
        return position_from_json(returning_of(facts), "end");
}

static bool reaches(const Json *files, const Position *place)
{
        JSON_FOREACH(file, files)
        {
                if (text_equal(json_get_string(file, "file"), place->file))
                        return (uint64_t) json_get_int(file, "size", 0) >= place->offset;
        }
        return false;
}

/* Nothing stands behind that place either in the log of data that was copied anew, or in one that a crash has cut. Only by
 * position this counts; the caller frees it. */
static char *why_another_log(const Facts *facts)
{
        const char *name = returned(facts), *primary = facts_string(facts, "candidate");
        const Json *tail = json_get(facts_server(facts, name), "tail");
        const char *was = json_get_string(returning_of(facts), "server_uuid"),
                   *is = facts_server_string(facts, name, "server_uuid"), *ends = json_get_string(tail, "end");
        Position end = own_end(facts), now = position_from_json(tail, "end");
        CLEANUP(mem_free)
        char *advice = text_format("If its data was copied anew, attach it by hand at the place of the copy; else copy "
                                   "its data anew from %s",
                                   primary);
        if (status_is_gtid(facts) || !position_is_set(&end) || !tail)
                return NULL;
        if (!text_is_empty(was) && !text_is_empty(is) && !text_equal(was, is))
                return text_format("its server_uuid is %s, and it was %s: this is not the data that it had. %s", is,
                                   was, advice);
        if (reaches(json_get(tail, "files"), &end))
                return NULL;
        const char *where = json_get_string(returning_of(facts), "end");
        if (position_comparable(&now, &end) && position_compare(&now, &end) < 0)
                return text_format("its log ends at %s, before %s: it is not the data that it had, or a crash has cut "
                                   "the log. %s",
                                   ends, where, advice);
        return text_format("its log, which ends at %s, does not hold %s: it is not the log that it had, or not all of "
                           "it. %s",
                           ends, where, advice);
}

static void ask_own_log(const Facts *facts, const char *server, Script *script)
{
        Json *input = json_object(), *question = json_object();
        json_set_string(question, "name", server);
        json_set_string(question, "from", json_get_string(returning_of(facts), "end"));
        json_append(json_ensure_array(input, "questions"), question);
        script_rescue(script, "look", input);
        script->items[script->n_items - 1].may_fail = true;
}

static void judge_own_log(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        CLEANUP(json_free) Json *look = rescue_answer(reply);
        const Json *source = json_get(json_get(look, "sources"), server);
        const Json *answer = json_get(json_get(look, "answers"), server);
        const char *state = json_get_string(source, "state"), *failure = json_get_string(source, "failure");
        const char *unlisted = facts_server_string(facts, server, "tail_failure");
        Position end = own_end(facts);
        CLEANUP(mem_free) char *another = why_another_log(facts);
        if (another)
                judge_as(judgement, VERDICT_HOPELESS, "%s", another);
        else if (unlisted)
                judge_as(judgement, VERDICT_HOPELESS, "its log cannot be saved: %s", unlisted);
        else if (!look)
                judge_as(judgement, VERDICT_HOPELESS, "its log cannot be saved: %s", reply->failure.text);
        else if (!position_is_set(&end))
                judge_as(judgement, VERDICT_HOPELESS,
                         "how far the new primary had come in its log is not on record: nothing can be proved");
        else if (text_equal(state, "failed"))
                judge_as(judgement, VERDICT_HOPELESS, "its log cannot be saved: %s", failure ? failure : "?");
        else if (!source || !text_equal(state, "done") || !answer)
                judge_as(judgement, VERDICT_UNMET, "%" PRId64 " of %" PRId64 " bytes are copied",
                         json_get_int(source, "bytes", 0), json_get_int(source, "total", 0));
        else {
                Json *own = json_copy(answer);
                json_set_string(own, "directory", json_get_string(look, "directory"));
                json_set(judge_learned(judgement), "own", own);
                judge_as(judgement, VERDICT_MET, "%" PRId64 " transactions stand behind %s in its log",
                         json_get_int(answer, "n_transactions", 0), json_get_string(returning_of(facts), "end"));
        }
}

static void act_own_log(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(json_free) Json *look = rescue_answer(replies_at(seen, 0));
        Position end = own_end(facts);
        if (!position_is_set(&end) || json_has(json_get(look, "sources"), server))
                return;
        Json *order = tail_order(facts, &end, 0);
        if (!order) /* by GTID it is only kept */
                order = tail_order(facts, &(Position){ 0 }, 1);
        if (order)
                script_rescue(script, "collect", order);
}

/* Where a commit is not on the disk at once, a crash of the host may have cost the tables transactions that the log names, or
 * the other way round: neither ids nor positions say what it has. One that handed its role over did so alive. */
static char *why_not_durable(const Facts *facts)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, returned(facts));
        const Json *before = returning_of(facts);
        if (text_equal(json_get_string(before, "procedure"), "switchover"))
                return NULL;
        int64_t log = json_get_int(before, "sync_binlog", view->sync_binlog),
                tables = json_get_int(before, "flush_log_at_commit", view->flush_log_at_commit);
        if (log == 1 && tables == 1)
                return NULL;
        return text_format("sync_binlog was %" PRId64 " and innodb_flush_log_at_trx_commit %" PRId64
                           " there, not 1 and 1: if its host crashed, it may lack transactions that its log names",
                           log, tables);
}

static void judge_nothing_extra(const Facts *facts, char *sentence, Judgement *judgement)
{
        CLEANUP(mem_free) char *nothing = sentence;
        CLEANUP(mem_free) char *doubt = why_not_durable(facts);
        if (!doubt)
                judge_as(judgement, VERDICT_MET, "%s", nothing);
        else if (text_equal(facts_string(facts, "ordered_by"), "mhad"))
                judge_as(judgement, VERDICT_HOPELESS,
                         "%s; but %s. It is not attached by itself: if only its process ended, or its data was "
                         "compared, type: mhactl rejoin %s %s; else copy its data anew from %s",
                         nothing, doubt, facts_string(facts, "cluster"), returned(facts),
                         facts_string(facts, "candidate"));
        else
                judge_as(judgement, VERDICT_MET, "%s; but %s. If it did, compare its data", nothing, doubt);
}

static void decide_nothing_extra(const Facts *facts, Judgement *judgement)
{
        const char *name = returned(facts), *primary = facts_string(facts, "candidate"),
                   *extra = facts_string(facts, "extra");
        const Json *own = json_get(facts_server(facts, name), "own"), *returning = returning_of(facts);
        const char *directory = json_get_string(own, "directory"), *gtids = json_get_string(own, "gtids");
        int64_t n = json_get_int(own, "n_transactions", 0);
        CLEANUP(mem_free) char *another = why_another_log(facts);
        if (json_get_bool(facts->root, "planning", false)) {
                judge_as(judgement, VERDICT_MET, "judged when its log was read");
        } else if (extra) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "%s has transactions that %s lacks: %s. It stays read-only and is not attached%s%s. Look at "
                         "them "
                         "(mysqlbinlog), take over by hand what counts, then copy its data anew from %s",
                         name, primary, extra, directory ? "; they are kept in " : "", directory ? directory : "",
                         primary);
        } else if (status_is_gtid(facts)) {
                judge_nothing_extra(facts, text_format("%s has nothing that %s lacks", name, primary), judgement);
        } else if (!json_get_string(returning, "new_primary")) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "how far %s had come in its log when it was opened is not on record (that was another daemon, "
                         "or long ago, or %s never was the primary): by position nothing can be proved. Compare by "
                         "hand, or copy its data anew from %s",
                         primary, name, primary);
        } else if (!text_equal(json_get_string(returning, "new_primary"), primary)) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "%s was opened in its place, and the primary is %s now: by position nothing says where it "
                         "would have to go on",
                         json_get_string(returning, "new_primary"), primary);
        } else if (another) {
                judge_as(judgement, VERDICT_HOPELESS, "%s is not attached: %s", name, another);
        } else if (!own || json_length(json_get(own, "holes")) > 0) {
                judge_as(judgement, VERDICT_HOPELESS, "its log behind %s is not complete: %s. Nothing can be proved",
                         json_get_string(returning, "end"),
                         json_length(json_get(own, "holes")) > 0 ? json_string(json_at(json_get(own, "holes"), 0))
                                                                 : "it was not read");
        } else if (n > 0) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "%s has %" PRId64 " transactions behind %s, which %s lacks%s%s. It stays read-only and is not "
                         "attached; they are kept in %s. Look at them (mysqlbinlog), take over by hand what counts, "
                         "then "
                         "copy its data anew from %s",
                         name, n, json_get_string(returning, "end"), primary, gtids ? ": " : "", gtids ? gtids : "",
                         directory ? directory : "?", primary);
        } else {
                judge_nothing_extra(facts,
                                    text_format("nothing stands in its log behind %s, which %s had applied",
                                                json_get_string(returning, "end"), primary),
                                    judgement);
        }
}

/* Attaching. */

static void judge_rejoined(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *primary = facts_string(facts, "candidate");
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel || !status_follows(facts, server, channel, primary))
                judge_as(judgement, VERDICT_UNMET, "it follows %s",
                         channel && channel->source_host ? channel->source_host : "nobody");
        else if (channel->applier_errno && !channel->applier_running)
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
        else if (channel->receiver != RECEIVER_CONNECTED || !channel->applier_running)
                judge_as(judgement, VERDICT_UNMET, "its receiver is %s%s%s",
                         receiver_state_to_string(channel->receiver), channel->receiver_error ? ": " : "",
                         channel->receiver_error ? channel->receiver_error : "");
        else {
                json_set_bool(judge_learned(judgement), "attached", true);
                judge_as(judgement, VERDICT_MET, "it follows %s", primary);
        }
}

static const Step steps[] = {
        { "keep-read-only", "it is read-only", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 10 * USEC_SEC,
          .ask = ask_read_only, .judge = judge_read_only, .act = act_read_only },
        { "keep-address-off", "its host does not have the address", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT,
          10 * USEC_SEC, .skip = address_skip_moving, .ask = ask_address, .judge = judge_address_absent,
          .act = act_address_remove },
        { "rest-its-events", "none of its scheduled events runs", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE,
          10 * USEC_SEC, .ask = ask_events, .judge = judge_events_rest, .act = act_events_rest_closed },
        { "stay-read-only", "it is still read-only", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 10 * USEC_SEC,
          .ask = ask_read_only, .judge = judge_read_only, .act = act_read_only },
        { "what-it-has", "what it has is on record", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 10 * USEC_SEC,
          .ask = ask_status, .judge = learn_view },
        { "what-the-primary-has", "what the primary has is on record", ON_CANDIDATE, NEED_EVERY, THEN_ABORT,
          10 * USEC_SEC, .ask = ask_status, .judge = learn_primary },
        { "compare-sets", "what it has that the primary lacks is on record", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .decide = decide_extra },
        { "find-own-log", "which binary logs it has is on record", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE,
          15 * USEC_SEC, .skip = skip_own_log, .ask = ask_tail, .judge = judge_tail_found },
        { "save-own-log", "its log behind what the primary has is saved and read", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, USEC_HOUR, .skip = skip_own_log, .ask = ask_own_log, .judge = judge_own_log,
          .act = act_own_log },
        { "nothing-extra", "it has nothing that the primary lacks", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .decide = decide_nothing_extra },
        { "attach", "it follows the primary", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 60 * USEC_SEC, .ask = ask_status,
          .judge = judge_rejoined, .act = act_demote },
        { "verify-level", "it has what the primary had when this began", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE,
          USEC_HOUR, .ask = ask_status, .judge = judge_level },
};

const Procedure rejoin = {
        .name = "rejoin",
        .version = 3,
        .steps = steps,
        .n_steps = sizeof steps / sizeof *steps,
};
