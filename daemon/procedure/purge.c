/* The runbook of a purge, and its goals. Pure. Must never leave relay_log_purge other than it was, nor remove what another
 * replica was not sent. */
#include "purge.h"

#include <inttypes.h>
#include <stdlib.h>

#include "status.h"
#include "text.h"

/* How much is given back in one go, and how often in one command. */
#define PIECE "64M"
#define PIECES 16

void purge_prepare(Facts *facts, const char *server, Json *others, const char *mode)
{
        json_append_string(others, server);
        json_set_string(facts->root, "procedure", purge.name);
        json_set_string(facts->root, "candidate", server);
        json_set_string(facts->root, "mode", mode);
        json_set(facts->root, "replicas", others);
        json_set(facts->root, "left_out", json_array());
        json_set(facts->root, "verdict", NULL);
        json_set(facts->root, "times", json_object());
}

char *purge_result(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        const Json *known = facts_server(facts, server);
        if (!facts_server_bool(facts, server, "keeps_relay_logs", true))
                return alloc_string("relay_log_purge is on there: nothing to do");
        if (!json_has(known, "relay_space_after") || !channel)
                return alloc_string("nothing was removed yet: its applier did not leave the file that it is in");
        return text_format("done: %" PRIu64 " bytes before, %" PRId64 " now", channel->relay_space,
                           json_get_int(known, "relay_space_after", 0));
}

static const char *target_of(const Facts *facts)
{
        return facts_string(facts, "candidate");
}

static bool is_kept(const Facts *facts)
{
        return facts_server_bool(facts, target_of(facts), "keeps_relay_logs", true);
}

static bool skip_nothing(const Facts *facts)
{
        return !is_kept(facts);
}

static bool skip_links(const Facts *facts)
{
        /* An account that has only some commands may not write to the directory. */
        return !is_kept(facts) || !facts_config_bool(facts, "ssh.enabled", true) ||
               text_equal(facts_config_string(facts, "ssh.sudo"), "commands");
}

/* What it holds, and whether the others have it. */

static void ask_kept(const Facts *facts, const char *server, Script *script)
{
        ask_status(facts, server, script);
        script_sql(script, "%s", dialect_relay_log_purge());
}

static int purge_setting(const Reply *reply)
{
        const char *value = reply_succeeded(reply) ? reply_get(reply, 0, "relay_log_purge") : NULL;
        return value ? atoi(value) : -1;
}

static void judge_kept(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        int setting = purge_setting(replies_at(replies, _STATUS_MAX));
        if (!view)
                return;
        if (!channel || !channel->applier_running || channel->receiver != RECEIVER_CONNECTED) {
                judge_as(judgement, VERDICT_HOPELESS, "it does not replicate: its relay logs stay as they are");
                return;
        }
        if (setting < 0) {
                judge_as(judgement, VERDICT_UNMET, "it did not say whether relay_log_purge is on");
                return;
        }
        judgement->learned = server_view_to_json(view);
        json_set_bool(judgement->learned, "keeps_relay_logs", setting == 0);
        if (setting)
                judge_as(judgement, VERDICT_MET, "relay_log_purge is on: it removes what it has applied by itself");
        else
                judge_as(judgement, VERDICT_MET, "it holds %" PRIu64 " bytes of relay logs", channel->relay_space);
}

static bool has_received(const Facts *facts, const ServerView *target, const ServerView *other)
{
        const ReplicaChannel *mine = server_view_channel(target), *theirs = server_view_channel(other);
        if (!mine || !theirs)
                return false;
        if (!status_is_gtid(facts))
                return position_comparable(&theirs->received, &mine->received) &&
                       position_compare(&theirs->received, &mine->received) >= 0;
        /* What came through the relay logs; transactions of its own are in its binary log. */
        CLEANUP(gtid_free) GtidSet *has = NULL;
        CLEANUP(gtid_free) GtidSet *have = server_view_gtid_received(other);
        return gtid_parse(server_view_gtid_family(target), mine->gtid_retrieved, &has, NULL) >= 0 &&
               gtid_contains(have, has);
}

/* The target was asked first, and its purge waits until this one has received as much. What comes between this and the
 * purge is on its way to both from the primary. */
static void judge_others(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        CLEANUP(server_view_free) ServerView *target = status_known(facts, target_of(facts));
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        judgement->learned = server_view_to_json(view);
        if (has_received(facts, target, view))
                judge_as(judgement, VERDICT_MET, "it has received what %s holds", target_of(facts));
        else
                judge_as(judgement, channel && channel->receiver != RECEIVER_STOPPED ? VERDICT_UNMET : VERDICT_HOPELESS,
                         "it has not received all that %s holds and may need it: nothing is removed before it has",
                         target_of(facts));
}

/* Second names. */

static char *index_of(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const char *index = view->relay_log_index ? view->relay_log_index : "";
        if (*index == '/' || !*index)
                return alloc_string(index);
        return text_format("%s/%s", view->datadir ? view->datadir : "", index);
}

/* "i" is the index, "d" the folder of names in it without one; prints how many bytes have a second name. */
static void ask_links(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(mem_free) char *index = index_of(facts, server);
        CLEANUP(mem_free) char *quoted = text_quote_shell(index);
        script_ssh(script,
                   "i=%s; [ -r \"$i\" ] || exit 4; b=0; for f in \"${i%%/*}\"/*.mhad-purge; do "
                   "[ -f \"$f\" ] && b=$((b + $(stat -c %%s -- \"$f\"))); done; echo $b",
                   quoted);
}

static bool read_bytes(const Reply *reply, uint64_t *ret)
{
        char *end = NULL;
        if (!reply_succeeded(reply) || !reply->out)
                return false;
        *ret = strtoull(reply->out, &end, 10);
        return end != reply->out;
}

static void judge_linked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        uint64_t bytes = 0;
        if (!read_bytes(replies_at(replies, 0), &bytes)) {
                judge_as(judgement, VERDICT_HOPELESS, "its relay logs cannot be looked at: %s",
                         replies_at(replies, 0)->failure.text);
                return;
        }
        if (bytes == 0) {
                judge_as(judgement, VERDICT_UNMET, "no relay log has a second name");
                return;
        }
        json_set_int(judge_learned(judgement), "purged_bytes", (int64_t) bytes);
        judge_as(judgement, VERDICT_MET, "%" PRIu64 " bytes have a second name", bytes);
}

static void act_link(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(mem_free) char *index = index_of(facts, server);
        CLEANUP(mem_free) char *quoted = text_quote_shell(index);
        script_ssh(script,
                   "i=%s; d=${i%%/*}; cat -- \"$i\" | while IFS= read -r p; do [ -n \"$p\" ] || continue; "
                   "p=$d/${p##*/}; [ -f \"$p\" ] && ln -f -- \"$p\" \"$p.mhad-purge\"; done",
                   quoted);
}

/* The purge itself. */

static void ask_purged(const Facts *facts, const char *server, Script *script)
{
        ask_kept(facts, server, script);
}

/* The file that its applier is in when the server has begun to remove what it leaves: it must leave that one. */
static void judge_removing(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL;
        if (!view)
                return;
        if (!channel || !channel->applier_running) {
                judge_as(judgement, VERDICT_HOPELESS, "its applier does not run");
        } else if (purge_setting(replies_at(replies, _STATUS_MAX)) != 1) {
                judge_as(judgement, VERDICT_UNMET, "it keeps what its applier leaves");
        } else {
                json_set_string(judge_learned(judgement), "removing_from", channel->relay_file);
                judge_as(judgement, VERDICT_MET, "its applier is in %s", channel->relay_file);
        }
}

static void act_remove(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        dialect_set_relay_log_purge(script, true);
}

static void judge_purged(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        CLEANUP(server_view_free) ServerView *known = status_known(facts, server);
        const ReplicaChannel *channel = view ? server_view_channel(view) : NULL, *before = server_view_channel(known);
        if (!view)
                return;
        const char *from = facts_server_string(facts, server, "removing_from");
        if (!channel || !before || !channel->applier_running || !from)
                judge_as(judgement, VERDICT_HOPELESS, "its applier does not run");
        else if (text_equal(channel->relay_file, from))
                judge_as(judgement, VERDICT_UNMET, "its applier is still in %s, which it leaves with the next event",
                         channel->relay_file);
        else {
                json_set_int(judge_learned(judgement), "relay_space_after", (int64_t) channel->relay_space);
                json_set_string(judgement->learned, "removing_from", channel->relay_file);
                judge_as(judgement, VERDICT_MET, "its relay logs have %" PRIu64 " bytes, after %" PRIu64,
                         channel->relay_space, before->relay_space);
        }
}

/* Parallel appliers that were not done with a file when their reader left it remove it when it leaves the next. */
static bool skip_left_over(const Facts *facts)
{
        const char *target = target_of(facts);
        CLEANUP(server_view_free) ServerView *view = status_known(facts, target);
        const ReplicaChannel *channel = server_view_channel(view);
        int64_t after = facts_server_int(facts, target, "relay_space_after", 0);
        return !is_kept(facts) || !channel || (uint64_t) after < channel->relay_space;
}

/* Once: a new file is begun, which the applier goes on to. */
static void act_purge(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        if (!seen)
                dialect_flush_relay_logs(script);
}

static void ask_setting(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "%s", dialect_relay_log_purge());
}

static void judge_setting(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (purge_setting(replies_at(replies, 0)) == 0)
                judge_as(judgement, VERDICT_MET, "relay_log_purge is off, as it was");
        else
                judge_as(judgement, VERDICT_UNMET, "relay_log_purge is on");
}

static void act_setting(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        dialect_set_relay_log_purge(script, false);
}

static void judge_unlinked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        uint64_t bytes = 0;
        if (!read_bytes(replies_at(replies, 0), &bytes))
                judge_as(judgement, VERDICT_UNMET, "%s", replies_at(replies, 0)->failure.text);
        else if (bytes > 0)
                judge_as(judgement, VERDICT_UNMET, "%" PRIu64 " bytes are still to be given back", bytes);
        else
                judge_as(judgement, VERDICT_MET, "all is given back");
}

/* A name that the server still has beside ours is not shortened: that file is in use. */
static void act_unlink(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(mem_free) char *index = index_of(facts, server);
        CLEANUP(mem_free) char *quoted = text_quote_shell(index);
        script_ssh(script,
                   "i=%s; n=0; for f in \"${i%%/*}\"/*.mhad-purge; do [ -f \"$f\" ] || continue; "
                   "if [ \"$(stat -c %%h -- \"$f\")\" -gt 1 ]; then rm -f -- \"$f\"; continue; fi; "
                   "while [ -s \"$f\" ] && [ $n -lt %d ]; do "
                   "truncate -s -" PIECE " -- \"$f\" 2>/dev/null || : >\"$f\"; n=$((n + 1)); sleep 0.05; done; "
                   "[ -s \"$f\" ] || rm -f -- \"$f\"; done",
                   quoted, PIECES);
}

static const Step steps[] = {
        { "what-it-holds", "what the replica holds is on record", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, 10 * USEC_SEC,
          .ask = ask_kept, .judge = judge_kept },
        { "others-have-it", "every other replica has received what is to be removed", ON_OTHERS, NEED_EVERY, THEN_ABORT,
          10 * USEC_SEC, .skip = skip_nothing, .ask = ask_status, .judge = judge_others },
        { "link-relay-logs", "the server will only take names away", ON_CANDIDATE, NEED_NONE, THEN_CONTINUE,
          10 * USEC_SEC, .skip = skip_links, .ask = ask_links, .judge = judge_linked, .act = act_link },
        { "remove-relay-logs", "the server removes the relay logs that its applier leaves", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 10 * USEC_SEC, .skip = skip_nothing, .ask = ask_purged, .judge = judge_removing,
          .act = act_remove },
        /* Parallel appliers leave a file with the next event only, which may be long in coming. */
        { "purge-relay-logs", "the relay logs that are applied are removed", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE,
          USEC_MINUTE, .skip = skip_nothing, .act_first = true, .ask = ask_purged, .judge = judge_purged,
          .act = act_purge },
        { "purge-left-over", "those that were still being applied then are removed, too", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, USEC_MINUTE, .skip = skip_left_over, .act_first = true, .ask = ask_purged,
          .judge = judge_purged, .act = act_purge },
        { "keep-again", "relay_log_purge is as it was", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE, USEC_HOUR,
          .skip = skip_nothing, .ask = ask_setting, .judge = judge_setting, .act = act_setting },
        { "give-back", "the disk has its space back", ON_CANDIDATE, NEED_NONE, THEN_CONTINUE, USEC_HOUR,
          .skip = skip_links, .ask = ask_links, .judge = judge_unlinked, .act = act_unlink },
};

static const Step undo[] = {
        { "keep-after-all", "relay_log_purge is as it was", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE, 10 * USEC_SEC,
          .skip = skip_nothing, .ask = ask_setting, .judge = judge_setting, .act = act_setting },
        { "unlink", "no relay log has a second name", ON_CANDIDATE, NEED_NONE, THEN_CONTINUE, 10 * USEC_SEC,
          .skip = skip_links, .ask = ask_links, .judge = judge_unlinked, .act = act_unlink },
};

const Procedure purge = {
        .name = "purge",
        .version = 3,
        .steps = steps,
        .n_steps = sizeof steps / sizeof *steps,
        .undo = undo,
        .n_undo = sizeof undo / sizeof *undo,
};
