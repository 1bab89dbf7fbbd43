/* Feeding as goals. Pure. Must never let a replica skip a transaction: it goes on from what it has for certain, and only up to
 * what is saved without a hole. */
#include "fed.h"

#include <inttypes.h>
#include <string.h>

#include "host.h"
#include "relaylog.h"
#include "source.h"
#include "status.h"
#include "tail.h"
#include "text.h"

bool skip_rescue(const Facts *facts)
{
        return !rescue_needed(facts);
}

bool skip_without_feed(const Facts *facts)
{
        return skip_rescue(facts) || (!rescue_is_planned(facts) && !fed_was(facts, facts_string(facts, "candidate")));
}

/* By its ids one that keeps its relay logs gets again what it loses with them, should its applier stop meanwhile: it need
 * not wait. By position what it has not applied by then would be passed over. */
bool skip_settle(const Facts *facts)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        return skip_rescue(facts) || (status_is_gtid(facts) && server_view_dialect(view)->change_keeps_relay_logs);
}

static const char *state_of(const Json *feed)
{
        return json_get_string(feed, "state");
}

static bool follows_feed(const Json *feed, const ReplicaChannel *channel)
{
        int64_t port = json_get_int(feed, "port", 0);
        return port && channel->source_port == port &&
               host_is_same(channel->source_host, json_get_string(feed, "host"));
}

/* The position that it goes on from, by the way in which it is pointed at the feed. */
static const Position *resume_of(const ServerView *view, const ReplicaChannel *channel)
{
        return server_view_dialect(view)->change_keeps_relay_logs ? &channel->received : &channel->applied;
}

static void order_feed(const Facts *facts, const char *server, const ServerView *view, const char *end, Script *script)
{
        const ReplicaChannel *channel = server_view_channel(view);
        if (!channel)
                return;
        CLEANUP(mem_free)
        char *expected = status_is_gtid(facts) ? alloc_string("") : position_format(resume_of(view, channel));
        Json *input = json_object();
        const char *address = facts_server_string(facts, server, "address");
        json_set_string(input, "server", server);
        json_set_string(input, "version", view->version_text);
        json_set_int(input, "server_id", view->server_id);
        json_set_bool(input, "gtid_mode", view->gtid_mode);
        json_set_string(input, "expected", expected);
        json_set_string(input, "end", end);
        json_set_string(input, "address", address ? address : facts_server_string(facts, server, "host"));
        script_rescue(script, "feed", input);
}

static void change_to_feed(const Facts *facts, const char *server, const ServerView *view, const Json *feed,
                           Script *script)
{
        const Dialect *dialect = server_view_dialect(view);
        const ReplicaChannel *channel = server_view_channel(view);
        bool keeps = dialect->change_keeps_relay_logs;
        SourceSpec spec = {
                .host = json_get_string(feed, "host"),
                .port = (uint16_t) json_get_int(feed, "port", 0),
                .user = json_get_string(feed, "user"),
                .feed = true,
                .keep_mode = keeps,
                .mode = status_is_gtid(facts) ? source_mode(facts, server, view) : SOURCE_POSITION,
                .heartbeat = (usec_t) facts_config_int(facts, "replication.heartbeat_ms", 0) * USEC_MSEC,
                .connect_retry = USEC_SEC,
                .tls = SOURCE_TLS_OFF,
        };
        if (spec.mode == SOURCE_POSITION)
                spec.position = *resume_of(view, channel);
        /* Its relay logs are kept as long as its applier runs: whether it does is asked first, for it may stop at once. */
        if (keeps && !channel->applier_running) {
                script_sql(script, "%s", dialect->start_applier);
                return;
        }
        /* They are needed for what is not applied: while it is at it, it may still stop. */
        if (keeps && spec.mode == SOURCE_POSITION && !status_is_level(view, channel, false) &&
            !status_has_read_all(channel))
                return;
        source_end_attempt(facts, view, script);
        script_sql(script, "%s", keeps ? dialect->stop_receiver : dialect->stop_replica);
        /* One that seems to stand still may be in the middle of something long, which it ends before it stops: where it is
         * then has to be asked again. */
        if (!keeps && channel->applier_running && !status_is_level(view, channel, false))
                return;
        dialect_change_source(dialect, script, &spec);
        script_sql(script, "%s", keeps ? dialect->start_receiver : dialect->start_replica);
}

static void look(Script *script)
{
        script_rescue(script, "look", json_object());
        script->items[script->n_items - 1].may_fail = true;
}

/* What the saved logs say about its feed; NULL when there is none. The caller frees *ret_look. */
static const Json *feed_in(const Reply *reply, const char *server, Json **ret_look)
{
        *ret_look = rescue_answer(reply);
        return json_get(json_get(*ret_look, "feeds"), server);
}

/* A little is applied as soon as it is received: that is waited for at once, so that nobody has to look twice whether it
 * stands still. */
#define AT_ONCE ((int64_t) 1024 * 1024)

/* Opening. */

void ask_feed(const Facts *facts, const char *server, Script *script)
{
        if (!rescue_is_planned(facts))
                look(script);
}

static Json *former_of(const ServerView *view)
{
        const ReplicaChannel *channel = server_view_channel(view);
        Json *former = json_object();
        if (!channel)
                return former;
        json_set_string(former, "host", channel->source_host);
        json_set_int(former, "port", channel->source_port);
        json_set_string(former, "user", channel->source_user);
        json_set_bool(former, "tls", channel->tls);
        json_set_string(former, "mode", source_mode_to_string(channel->mode));
        json_set_int(former, "delay", channel->delay);
        json_set_int(former, "connect_retry", channel->connect_retry);
        return former;
}

void judge_feed_waits(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        CLEANUP(json_free) Json *looked = NULL;
        const Json *feed = feed_in(reply, server, &looked);
        const char *failure = json_get_string(feed, "failure");
        if (rescue_is_planned(facts))
                judge_as(judgement, VERDICT_UNMET, "it would be fed up to %s",
                         json_get_string(rescue_needed(facts), "end"));
        else if (!looked)
                judge_as(judgement, VERDICT_HOPELESS, "it cannot be fed: %s", reply->failure.text);
        else if (!feed)
                judge_as(judgement, VERDICT_UNMET, "there is no feed yet");
        else if (text_equal(state_of(feed), "failed"))
                judge_as(judgement, VERDICT_HOPELESS, "it cannot be fed: %s", failure ? failure : "?");
        else if (json_get_int(feed, "port", 0) == 0)
                judge_as(judgement, VERDICT_UNMET, "the way to it is being opened%s%s", failure ? ": " : "",
                         failure ? failure : "");
        else {
                CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
                json_set(judge_learned(judgement), "former", former_of(known));
                CLEANUP(mem_free)
                char *place = host_and_port(json_get_string(feed, "host"), (uint64_t) json_get_int(feed, "port", 0));
                judge_as(judgement, VERDICT_MET, "a feed waits for it at %s", place);
        }
        if (judgement->verdict != VERDICT_MET && failure)
                json_set_string(judge_learned(judgement), "feed_failure", failure);
}

void act_order_feed(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(json_free) Json *looked = NULL;
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        if (!feed_in(replies_at(seen, 0), server, &looked))
                order_feed(facts, server, view, json_get_string(rescue_needed(facts), "end"), script);
}

/* Feeding. */

void ask_rescued(const Facts *facts, const char *server, Script *script)
{
        ask_status(facts, server, script);
        if (!rescue_is_planned(facts))
                look(script);
}

static bool has_received(const Facts *facts, const ServerView *view, const Json *feed, const Json *saved)
{
        Position end = { 0 };
        bool gtid = status_is_gtid(facts), level = text_equal(state_of(feed), "level");
        /* What is saved behind a hole is not fed. */
        if (!gtid || !json_get_bool(saved, "complete", true))
                return position_parse(json_get_string(feed, "end"), &end, NULL) >= 0 && (level || !gtid) &&
                       position_compare(&server_view_channel(view)->received, &end) >= 0;
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(view);
        return gtid_parse(server_view_gtid_family(view), json_get_string(saved, "lacks"), &lacks, NULL) >= 0 &&
               gtid_contains(received, lacks) && level;
}

static void judge_feeding(const Facts *facts, const ServerView *view, const Json *feed, Judgement *judgement)
{
        const ReplicaChannel *channel = server_view_channel(view);
        const Json *saved = rescue_needed(facts);
        const char *failure = json_get_string(feed, "failure");
        if (!channel)
                judge_as(judgement, VERDICT_HOPELESS, "its replication configuration is gone");
        else if (!channel->applier_running && channel->applier_errno)
                judge_as(judgement, VERDICT_HOPELESS, "its applier stopped with error %d: %s", channel->applier_errno,
                         channel->applier_error ? channel->applier_error : "");
        else if (!feed)
                judge_as(judgement, VERDICT_UNMET, "there is no feed for it any more");
        else if (text_equal(state_of(feed), "failed"))
                judge_as(judgement, VERDICT_HOPELESS, "it cannot be fed: %s", failure ? failure : "?");
        else if (!follows_feed(feed, channel))
                judge_as(judgement, VERDICT_UNMET, "it is not pointed at its feed yet");
        else if (channel->receiver == RECEIVER_STOPPED && channel->receiver_errno &&
                 !evidence_errno_is_lost(channel->receiver_errno))
                judge_as(judgement, VERDICT_HOPELESS, "it does not take what it is fed: error %d: %s",
                         channel->receiver_errno, channel->receiver_error ? channel->receiver_error : "");
        else if (has_received(facts, view, feed, saved) && json_get_int(feed, "sent", 0) < AT_ONCE &&
                 !status_is_level(view, channel, status_is_gtid(facts)))
                judge_as(judgement, VERDICT_UNMET, "it applies what it has received");
        else if (has_received(facts, view, feed, saved))
                judge_as(judgement, VERDICT_MET, "it has received everything up to %s", json_get_string(feed, "end"));
        else {
                CLEANUP(mem_free) char *received = position_format(&channel->received);
                judge_as(judgement, VERDICT_UNMET, "it has received up to %s of %s: %" PRId64 " bytes are left",
                         received, json_get_string(feed, "end"), json_get_int(feed, "left", 0));
        }
}

void judge_rescued(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, _STATUS_MAX);
        CLEANUP(json_free) Json *looked = NULL;
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        const Json *feed = feed_in(reply, server, &looked);
        if (rescue_is_planned(facts)) {
                judge_as(judgement, VERDICT_UNMET, "it would be pointed at its feed");
                return;
        }
        if (!looked) {
                judge_as(judgement, VERDICT_HOPELESS, "it cannot be fed: %s", reply->failure.text);
                return;
        }
        judge_feeding(facts, view, feed, judgement);
        if (judgement->verdict == VERDICT_HOPELESS) {
                const char *failure = json_get_string(feed, "failure");
                json_set_string(judge_learned(judgement), "feed_failure", failure ? failure : judgement->why);
        }
        if (judgement->verdict != VERDICT_MET)
                return;
        if (status_is_level(view, server_view_channel(view), status_is_gtid(facts))) {
                judgement->learned = server_view_to_json(view);
                json_set_bool(judgement->learned, "fed_level", true);
        }
        Json *fed = json_ensure_object(judge_learned(judgement), "fed");
        json_set_string(fed, "from", json_get_string(feed, "from"));
        json_set_string(fed, "end", json_get_string(feed, "end"));
        json_set_int(fed, "bytes", json_get_int(feed, "sent", 0));
        json_set_int(fed, "refused", json_get_int(feed, "n_refused", 0));
}

void act_rescue(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        Judgement ignored = { 0 };
        CLEANUP(json_free) Json *looked = NULL;
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, seen, 0, &ignored);
        const Json *feed = feed_in(replies_at(seen, _STATUS_MAX), server, &looked);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!channel || rescue_is_planned(facts))
                return;
        const Dialect *dialect = server_view_dialect(view);
        if (!feed)
                order_feed(facts, server, view, json_get_string(rescue_needed(facts), "end"), script);
        else if (json_get_int(feed, "port", 0) == 0)
                return;
        else if (!follows_feed(feed, channel))
                change_to_feed(facts, server, view, feed, script);
        else if (channel->receiver == RECEIVER_STOPPED || !channel->applier_running)
                script_sql(script, "%s", dialect->start_replica);
}

/* Any replica. */

/* What the old primary has logged since it was started again. */
#define SINCE "since"

void fed_ask(const Facts *facts, const char *server, const char *end, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Json *input = json_object(), *questions = json_ensure_array(input, "questions");
        Position next = { .offset = BINLOG_MAGIC_LENGTH }, last;
        tail_question(facts, server, view, questions);
        if (position_parse(end, &last, NULL) >= 0 && relaylog_file_after(last.file, next.file)) {
                CLEANUP(mem_free) char *from = position_format(&next);
                Json *question = json_object();
                json_set_string(question, "name", SINCE);
                json_set_string(question, "from", from);
                json_append(questions, question);
        }
        script_rescue(script, "look", input);
        script->items[script->n_items - 1].may_fail = true;
}

bool fed_is_ordered(const char *server, const Reply *reply)
{
        CLEANUP(json_free) Json *looked = NULL;
        return feed_in(reply, server, &looked) != NULL;
}

bool fed_follows(const char *server, const ServerView *view, const Reply *reply)
{
        CLEANUP(json_free) Json *looked = NULL;
        const ReplicaChannel *channel = server_view_channel(view);
        const Json *feed = feed_in(reply, server, &looked);
        return feed && channel && follows_feed(feed, channel);
}

static FedStage stage_as(FedStage stage, char **ret_why, const char *format, ...) __attribute__((format(printf, 3, 4)));
static FedStage stage_as(FedStage stage, char **ret_why, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        *ret_why = text_vformat(format, arguments);
        va_end(arguments);
        return stage;
}

/* Pointed at its feed. */
static FedStage stage_fed(const ReplicaChannel *channel, const Json *feed, char **ret_why)
{
        CLEANUP(mem_free) char *applied = position_format(&channel->applied);
        if (channel->applier_errno && !channel->applier_running)
                return stage_as(FED_HOPELESS, ret_why, "its applier stopped with error %d: %s", channel->applier_errno,
                                channel->applier_error ? channel->applier_error : "");
        if (channel->receiver == RECEIVER_STOPPED && channel->receiver_errno &&
            !evidence_errno_is_lost(channel->receiver_errno))
                return stage_as(FED_HOPELESS, ret_why, "it does not take what it is fed: error %d: %s",
                                channel->receiver_errno, channel->receiver_error ? channel->receiver_error : "");
        return stage_as(channel->receiver == RECEIVER_STOPPED || !channel->applier_running ? FED_STOPPED : FED_GOING,
                        ret_why, "it is fed what it lacks, and has applied up to %s of %s", applied,
                        json_get_string(feed, "end"));
}

/* Whether it has applied more than was known of it when fed_ask() asked what the saved logs hold for it. */
static bool went_on(const Facts *facts, const char *server, const ReplicaChannel *channel)
{
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *was = server_view_channel(known);
        return was && position_comparable(&was->applied, &channel->applied) &&
               position_compare(&was->applied, &channel->applied) < 0;
}

/* Whether it is all saved. A hole that lies behind where a server that was silent has come to since is none for it: the feed
 * finds out if there is another. */
static FedStage stage_unsaved(const Facts *facts, const char *server, const ReplicaChannel *channel, const Json *looked,
                              const Json *answer, char **ret_why)
{
        const char *old = facts_string(facts, "old_primary");
        const Json *source = json_get(json_get(looked, "sources"), old);
        const char *state = json_get_string(source, "state"), *failure = json_get_string(source, "failure");
        const char *hole = json_string(json_at(json_get(answer, "holes"), 0));
        uint64_t wanted = tail_bytes(facts, &channel->applied);
        if (text_equal(state, "copying") || text_equal(state, "indexing") || (state && !answer))
                return stage_as(FED_WAITING, ret_why, "what it lacks is being copied: %" PRId64 " of %" PRId64 " bytes",
                                json_get_int(source, "bytes", 0), json_get_int(source, "total", 0));
        if (text_equal(state, "failed"))
                return stage_as(FED_HOPELESS, ret_why, "what it lacks could not be copied: %s",
                                failure ? failure : "?");
        if (wanted > 0 && (uint64_t) json_get_int(source, "total", 0) < wanted)
                return stage_as(FED_UNSAVED, ret_why, "what it lacks is to be copied: %" PRIu64 " bytes", wanted);
        if (wanted > 0 && went_on(facts, server, channel))
                return stage_as(FED_UNORDERED, ret_why, "the last %" PRIu64 " bytes are saved, which it lacks", wanted);
        return stage_as(FED_HOPELESS, ret_why, "what it lacks is not saved%s%s", hole ? ": " : "", hole ? hole : "");
}

/* It went on following the old primary when that was back, into the file that it began then: does that hold anything? */
static FedStage stage_beyond(const Facts *facts, const ReplicaChannel *channel, const Json *looked, const Position *end,
                             char **ret_why)
{
        const Json *source = json_get(json_get(looked, "sources"), facts_string(facts, "old_primary"));
        const Json *answer = json_get(json_get(looked, "answers"), SINCE);
        const char *state = json_get_string(source, "state"), *failure = json_get_string(source, "failure");
        char next[POSITION_FILE_MAX];
        Position known = tail_end(facts);
        int64_t length = (int64_t) channel->applied.offset - BINLOG_MAGIC_LENGTH;
        int64_t n = json_get_int(answer, "n_transactions", 0);
        bool read = length == 0 ||
                    (json_length(json_get(answer, "holes")) == 0 && json_get_int(answer, "bytes", 0) >= length);
        if (!position_equal(&known, end) || !relaylog_file_after(end->file, next) ||
            !text_equal(next, channel->applied.file))
                return stage_as(FED_HOPELESS, ret_why, "its end was not known, or it was started more than once since");
        if (read && n > 0)
                return stage_as(FED_HOPELESS, ret_why, "%" PRId64 " transactions stand there", n);
        if (read)
                return stage_as(FED_LEVEL, ret_why,
                                "it has everything, and what it received of the old primary since that is back holds "
                                "no transaction");
        if (text_equal(state, "copying") || text_equal(state, "indexing"))
                return stage_as(FED_WAITING, ret_why, "what the old primary has logged since is being read");
        if (text_equal(state, "failed"))
                return stage_as(FED_HOPELESS, ret_why, "it could not be read: %s", failure ? failure : "?");
        return stage_as(FED_UNSAVED, ret_why, "what the old primary has logged since is to be read");
}

FedStage fed_stage(const Facts *facts, const char *server, const ServerView *view, const Reply *reply, const char *end,
                   char **ret_why)
{
        CLEANUP(json_free) Json *looked = NULL;
        const ReplicaChannel *channel = server_view_channel(view);
        const Json *feed = feed_in(reply, server, &looked);
        const Json *answer = json_get(json_get(looked, "answers"), server);
        const char *failure = json_get_string(feed, "failure");
        Position wanted = { 0 }, saved = position_from_json(answer, "end");
        if (!looked || !channel || position_parse(end, &wanted, NULL) < 0)
                return stage_as(FED_HOPELESS, ret_why, "nothing can be fed to it%s%s", looked ? "" : ": ",
                                looked ? "" : reply->failure.text);
        if (position_comparable(&channel->applied, &wanted) && position_compare(&channel->applied, &wanted) > 0)
                return stage_beyond(facts, channel, looked, &wanted, ret_why);
        if (feed && text_equal(state_of(feed), "failed"))
                return stage_as(FED_HOPELESS, ret_why, "it cannot be fed: %s", failure ? failure : "?");
        if (feed && follows_feed(feed, channel))
                return stage_fed(channel, feed, ret_why);
        if (feed && json_get_int(feed, "port", 0) == 0)
                return stage_as(FED_WAITING, ret_why, "the way to it is being opened%s%s", failure ? ": " : "",
                                failure ? failure : "");
        if (feed)
                return stage_as(FED_UNPOINTED, ret_why, "a feed waits for it");
        if (position_comparable(&saved, &wanted) && position_compare(&saved, &wanted) >= 0)
                return stage_as(FED_UNORDERED, ret_why, "what it lacks is saved");
        return stage_unsaved(facts, server, channel, looked, answer, ret_why);
}

void fed_act(const Facts *facts, const char *server, const ServerView *view, const Reply *reply, const char *end,
             Script *script)
{
        CLEANUP(json_free) Json *looked = NULL;
        CLEANUP(mem_free) char *why = NULL;
        const ReplicaChannel *channel = server_view_channel(view);
        const Json *feed = feed_in(reply, server, &looked);
        switch (fed_stage(facts, server, view, reply, end, &why)) {
        case FED_UNSAVED: {
                Position last = { 0 };
                bool beyond = position_parse(end, &last, NULL) >= 0 && position_compare(&channel->applied, &last) > 0;
                Json *order =
                        beyond ? tail_order_next(facts, &channel->applied) : tail_order(facts, &channel->applied, 0);
                if (order)
                        script_rescue(script, "collect", order);
                return;
        }
        case FED_UNORDERED:
                order_feed(facts, server, view, end, script);
                return;
        case FED_UNPOINTED:
                change_to_feed(facts, server, view, feed, script);
                return;
        case FED_STOPPED:
                script_sql(script, "%s", server_view_dialect(view)->start_replica);
                return;
        case FED_HOPELESS:
        case FED_WAITING:
        case FED_GOING:
        case FED_LEVEL:
                return;
        }
}

bool fed_was(const Facts *facts, const char *server)
{
        return json_has(facts_server(facts, server), "former");
}

void fed_end(const char *server, Script *script)
{
        Json *input = json_object();
        json_set_string(input, "server", server);
        script_rescue(script, "unfeed", input);
        script->items[script->n_items - 1].may_fail = true;
}
