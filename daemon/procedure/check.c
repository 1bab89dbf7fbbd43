/* The checks of a switchover, as goals. Pure. Must never judge what a replica has against an older look at the primary. */
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#include "election.h"
#include "status.h"
#include "text.h"

static int64_t limit_seconds(const Facts *facts, const char *path, int64_t otherwise_ms)
{
        int64_t ms = facts_config_int(facts, path, otherwise_ms);
        return ms < 1000 ? 1 : ms / 1000;
}

/* Replicas */

void ask_replica_fit(const Facts *facts, const char *server, Script *script)
{
        ask_status(facts, server, script);
}

static void judge_threads(const ReplicaChannel *channel, int64_t max_lag, Judgement *judgement)
{
        if (!channel)
                judge_as(judgement, VERDICT_HOPELESS, "it does not replicate from anybody");
        else if (!channel->applier_running)
                judge_as(judgement, VERDICT_HOPELESS, "its applier is stopped%s%s",
                         text_is_empty(channel->applier_error) ? "" : ": ",
                         channel->applier_error ? channel->applier_error : "");
        else if (channel->receiver == RECEIVER_STOPPED)
                judge_as(judgement, VERDICT_HOPELESS, "its receiver is stopped%s%s",
                         text_is_empty(channel->receiver_error) ? "" : ": ",
                         channel->receiver_error ? channel->receiver_error : "");
        else if (channel->receiver != RECEIVER_CONNECTED)
                judge_as(judgement, VERDICT_UNMET, "its receiver is %s", receiver_state_to_string(channel->receiver));
        else if (channel->delay == 0 && channel->lag < 0)
                judge_as(judgement, VERDICT_UNMET, "it does not know how far it is behind");
        else if (channel->delay == 0 && channel->lag > max_lag)
                judge_as(judgement, VERDICT_HOPELESS,
                         "it is %" PRId64 " s behind, more than switchover.max_lag (%" PRId64 " s)", channel->lag,
                         max_lag);
        else
                judge_as(judgement, VERDICT_MET, "its threads run; it is %" PRId64 " s behind",
                         channel->lag > 0 ? channel->lag : 0);
}

void judge_replica_fit(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        if (!view)
                return;
        if (status_rests(facts, server, view)) {
                judgement->learned = server_view_to_json(view);
                judge_as(judgement, VERDICT_MET, "its threads do not run, and it is taken out: %s",
                         facts_server_string(facts, server, "downtime"));
                return;
        }
        judge_threads(server_view_channel(view), limit_seconds(facts, "switchover.max_lag_ms", 30000), judgement);
        if (judgement->verdict == VERDICT_MET)
                judgement->learned = server_view_to_json(view);
}

/* The primary */

/* Ours come from this connection's host by its account; in the process list the host of others than those of a socket has
 * the port behind it. */
const char *check_is_client(void)
{
        return "id <> CONNECTION_ID() AND user NOT IN ('system user', 'event_scheduler', 'unauthenticated user') AND "
               "CONCAT(user, '@', IF(LOCATE(':', host), LEFT(host, CHAR_LENGTH(host) - "
               "CHAR_LENGTH(SUBSTRING_INDEX(host, ':', -1)) - 1), host)) <> USER() AND "
               "command NOT IN ('Binlog Dump', 'Binlog Dump GTID', 'Daemon', 'Slave_IO', 'Slave_SQL', 'Slave_worker')";
}

enum { PRIMARY_STATEMENTS = _STATUS_MAX, PRIMARY_TRANSACTIONS };

/* Servers count the turns of their clock's second: what has begun just before one, has lasted for one. */
static void ask_statements(Script *script, const char *condition, int64_t seconds)
{
        script_sql(script,
                   "SELECT id, user, time, LEFT(info, 60) AS text FROM information_schema.processlist WHERE %s AND "
                   "command <> 'Sleep' AND time > %" PRId64 "%s ORDER BY time DESC",
                   check_is_client(), seconds, condition);
}

/* InnoDB tells it in the time of the system, whatever the time zone of the server's sessions. */
#define OPEN_FOR "TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))"

void ask_primary_fit(const Facts *facts, const char *server, Script *script)
{
        int64_t seconds = limit_seconds(facts, "switchover.running_updates_limit_ms", 1000);
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        ask_status(facts, server, script);
        ask_statements(script,
                       server_view_dialect(view)->lock_waits_for_reads
                               ? " AND info IS NOT NULL"
                               : " AND LOWER(LTRIM(IFNULL(info, ''))) NOT LIKE 'select%' AND "
                                 "LOWER(LTRIM(IFNULL(info, ''))) NOT LIKE 'show%'",
                       seconds);
        script_try_sql(script,
                       "SELECT trx_mysql_thread_id AS id, " OPEN_FOR " AS time FROM information_schema.innodb_trx "
                       "WHERE trx_rows_modified > 0 AND trx_mysql_thread_id <> 0 AND " OPEN_FOR " > %" PRId64
                       " ORDER BY trx_started",
                       seconds);
}

static const char *cell(const Reply *reply, const char *column)
{
        const char *text = reply_get(reply, 0, column);
        return text ? text : "?";
}

void judge_primary_fit(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 0, judgement);
        const Reply *statements = replies_at(replies, PRIMARY_STATEMENTS);
        const Reply *transactions = replies_at(replies, PRIMARY_TRANSACTIONS);
        if (!view)
                return;
        if (view->read_only || view->super_read_only) {
                judge_as(judgement, VERDICT_HOPELESS, "it is read-only: there is nothing to hand over");
        } else if (statements->n_rows > 0) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "%zu statement%s that %s run longer than switchover.running_updates_limit; the longest is "
                         "session %s of %s, for %s s: %s",
                         statements->n_rows, statements->n_rows == 1 ? "" : "s",
                         server_view_dialect(view)->lock_waits_for_reads ? "the write block would wait for"
                                                                         : "may change data",
                         cell(statements, "id"), cell(statements, "user"), cell(statements, "time"),
                         cell(statements, "text"));
        } else if (transactions->n_rows > 0) {
                judge_as(judgement, VERDICT_HOPELESS,
                         "%zu transaction%s with changes open longer than switchover.running_updates_limit; the oldest "
                         "is that of session %s, for %s s",
                         transactions->n_rows, transactions->n_rows == 1 ? " is" : "s are", cell(transactions, "id"),
                         cell(transactions, "time"));
        } else {
                judgement->learned = server_view_to_json(view);
                judge_as(judgement, VERDICT_MET, "it takes writes, and nothing long runs on it");
        }
}

/* The candidate */

/* The old primary is alive: what one replica has received and another has not is nobody's loss. */
static void level_out(ElectionInput *input)
{
        CLEANUP(gtid_free) GtidSet *all = NULL;
        Position farthest = { 0 };
        for (size_t i = 0; i < input->n_candidates; i++) {
                Candidate *candidate = &input->candidates[i];
                farthest = position_max(farthest, candidate->received);
                if (candidate->gtid_received) {
                        GtidSet *sum =
                                all ? gtid_union(all, candidate->gtid_received) : gtid_copy(candidate->gtid_received);
                        gtid_free(all);
                        all = sum;
                }
        }
        for (size_t i = 0; i < input->n_candidates; i++) {
                Candidate *candidate = &input->candidates[i];
                candidate->received = farthest;
                candidate->unapplied = 0;
                if (candidate->gtid_received && all) {
                        gtid_free(candidate->gtid_received);
                        candidate->gtid_received = gtid_copy(all);
                }
        }
        if (input->old_primary && all) {
                gtid_free(input->old_primary);
                input->old_primary = gtid_copy(all);
        }
}

/* All that will follow the candidate. */
static Json *followers(const Facts *facts)
{
        Json *names = json_array();
        static const char *const lists[] = { "replicas", "sub_replicas" };
        for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
                JSON_FOREACH(name, json_get(facts->root, lists[i]))
                {
                        json_append_string(names, json_string(name));
                }
        }
        return names;
}

/* What another replica may still need and the candidate has purged; NULL when nothing. */
static char *purged_of(const Facts *facts, const char *candidate, const char *set)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, candidate);
        CLEANUP(gtid_free) GtidSet *purged = NULL;
        if (gtid_parse(server_view_gtid_family(view), set, &purged, NULL) < 0)
                return NULL;
        CLEANUP(json_free) Json *names = followers(facts);
        JSON_FOREACH(replica, names)
        {
                if (text_equal(json_string(replica), candidate))
                        continue;
                CLEANUP(server_view_free) ServerView *other = status_known(facts, json_string(replica));
                CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(other);
                CLEANUP(gtid_free) GtidSet *lacks = gtid_subtract(purged, applied);
                if (!gtid_is_empty(lacks)) {
                        CLEANUP(mem_free) char *text = gtid_describe(lacks);
                        return text_format("%s lacks %s, which %s has in no binary log any more", json_string(replica),
                                           text, candidate);
                }
        }
        return NULL;
}

void decide_successor(const Facts *facts, Judgement *judgement)
{
        CLEANUP(election_input_done) ElectionInput input = { 0 };
        Json *learned = judge_learned(judgement);
        Failure failure = { 0 };
        if (json_length(json_get(facts->root, "replicas")) == 0) {
                judge_as(judgement, VERDICT_HOPELESS, "there is no living replica to hand over to");
                return;
        }
        if (election_from_facts(facts, &input, &failure) < 0) {
                judge_as(judgement, VERDICT_HOPELESS, "%s", failure.text);
                return;
        }
        input.hands_over = true;
        level_out(&input);
        CLEANUP(election_done) Election election = election_hold(&input);
        json_set(learned, "election", election_to_json(&election, &input));
        json_set_string(learned, "mode", election_mode_to_string(input.mode));
        if (election.candidate < 0) {
                judge_as(judgement, VERDICT_HOPELESS, "%s", election.why);
                return;
        }
        const char *name = input.candidates[election.candidate].name;
        CLEANUP(server_view_free) ServerView *view = status_known(facts, name);
        CLEANUP(mem_free)
        char *purged = input.mode == ELECTION_MYSQL_GTID ? purged_of(facts, name, view->gtid_purged) : NULL;
        if (purged) {
                judge_as(judgement, VERDICT_HOPELESS, "%s", purged);
                return;
        }
        json_set_string(learned, "candidate", name);
        judge_as(judgement, VERDICT_MET, "%s: %s", name, election.why);
}

bool skip_first_log(const Facts *facts)
{
        return text_is_empty(facts_string(facts, "candidate")) ||
               !text_equal(facts_string(facts, "mode"), election_mode_to_string(ELECTION_MARIADB_GTID));
}

void ask_first_log(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->show_binlogs);
}

void judge_first_log(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *name = reply_get(replies_at(replies, 0), 0, "Log_name");
        json_set_string(judge_learned(judgement), "first_log", name);
        judge_as(judgement, VERDICT_MET, "its binary logs begin with %s", name ? name : "?");
}

enum { CANDIDATE_STATEMENTS, CANDIDATE_PURGED };

void ask_candidate_fit(const Facts *facts, const char *server, Script *script)
{
        const char *first = facts_server_string(facts, server, "first_log");
        ask_statements(script, "", limit_seconds(facts, "switchover.running_seconds_limit_ms", 10000));
        if (skip_first_log(facts) || !first)
                return;
        /* What stands before the first of its logs. */
        CLEANUP(mem_free) char *quoted = text_quote_sql(first);
        script_try_sql(script, "SELECT BINLOG_GTID_POS(%s, 4) AS purged", quoted);
}

void judge_candidate_fit(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const Reply *statements = replies_at(replies, CANDIDATE_STATEMENTS);
        CLEANUP(mem_free)
        char *purged = purged_of(facts, server, reply_get(replies_at(replies, CANDIDATE_PURGED), 0, "purged"));
        if (purged)
                judge_as(judgement, VERDICT_HOPELESS, "%s", purged);
        else if (statements->n_rows > 0)
                judge_as(judgement, VERDICT_HOPELESS,
                         "%zu statement%s run%s on it longer than switchover.running_seconds_limit; the longest is "
                         "session %s of %s, for %s s: %s",
                         statements->n_rows, statements->n_rows == 1 ? "" : "s", statements->n_rows == 1 ? "s" : "",
                         cell(statements, "id"), cell(statements, "user"), cell(statements, "time"),
                         cell(statements, "text"));
        else
                judge_as(judgement, VERDICT_MET, "nothing long runs on it");
}

/* Transactions */

bool skip_errant(const Facts *facts)
{
        return text_is_empty(facts_string(facts, "candidate")) || !status_is_gtid(facts);
}

void ask_errant(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->tick);
}

void judge_errant(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(replies, 0), &failure) < 0) {
                judge_as(judgement, VERDICT_UNMET, "%s", failure.text);
                return;
        }
        CLEANUP(gtid_free) GtidSet *has = server_view_gtid_applied(view);
        Text text = { 0 };
        CLEANUP(json_free) Json *names = followers(facts);
        JSON_FOREACH(replica, names)
        {
                CLEANUP(server_view_free) ServerView *other = status_known(facts, json_string(replica));
                CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(other);
                CLEANUP(gtid_free) GtidSet *errant = gtid_subtract(applied, has);
                if (gtid_is_empty(errant))
                        continue;
                CLEANUP(mem_free) char *set = gtid_describe(errant);
                text_separate(&text, "; ");
                text_addf(&text, "%s has transactions that %s lacks: %s", json_string(replica), server, set);
        }
        CLEANUP(mem_free) char *found = text_take(&text);
        if (*found)
                judge_as(judgement, VERDICT_HOPELESS, "%s", found);
        else
                judge_as(judgement, VERDICT_MET, "no replica has what it lacks");
}

/* The whole */

/* Who lives, and whose place is not below the primary. */
static char *stand_aside(const Facts *facts)
{
        Text text = { 0 };
        for (size_t i = 0; i < facts_n_servers(facts); i++) {
                const char *name = facts_server_name(facts, i);
                if (text_equal(name, facts_string(facts, "old_primary")) ||
                    facts_server_string(facts, name, "follows") || facts_server_bool(facts, name, "observer", false) ||
                    json_array_contains(json_get(facts->root, "left_out"), name))
                        continue;
                text_separate(&text, " and ");
                text_add(&text, name);
        }
        return text_take(&text);
}

void decide_everybody_is_there(const Facts *facts, Judgement *judgement)
{
        Text text = { 0 };
        JSON_FOREACH(name, json_get(facts->root, "left_out"))
        {
                if (facts_server_string(facts, json_string(name), "downtime"))
                        continue;
                text_separate(&text, ", ");
                text_add(&text, json_string(name));
        }
        CLEANUP(mem_free) char *names = text_take(&text);
        CLEANUP(mem_free) char *aside = stand_aside(facts);
        if (*names)
                judge_as(judgement, VERDICT_HOPELESS, "cannot be reached and would be left behind: %s", names);
        else
                judge_as(judgement, VERDICT_MET, "every server answers%s%s%s", *aside ? ", but " : "", aside,
                         *aside ? " follows no server of the cluster, and is left as it is" : "");
}

void decide_approved(const Facts *facts, Judgement *judgement)
{
        json_set_bool(judge_learned(judgement), "approved", true);
        judge_as(judgement, VERDICT_MET, "%s will be the primary in place of %s", facts_string(facts, "candidate"),
                 facts_string(facts, "old_primary"));
}

bool check_is_approved(const Facts *facts)
{
        return json_get_bool(facts->root, "approved", false);
}
