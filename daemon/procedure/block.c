/* Blocking writes and waiting for the end, as goals. Pure. Where there is no super_read_only the block is a lock of the
 * run's work connection; a variable of that session says that it is held, and goes when the session does. When the
 * connection is lost and its server does not know, the session lives on: a user lock, which it has as well, names it. */
#include "block.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check.h"
#include "status.h"
#include "text.h"
#include "virtual_address.h"

#define WAIT_IN_SERVER USEC_SEC /* then it is asked again */
#define NEAR (3 * USEC_MSEC)    /* the clients hardly notice what a candidate has to apply that is so far behind */

/* The end of the old primary's log, as the candidate's server can wait for it. */

static const char *end_of_log(const ServerView *view)
{
        return view->gtid_executed; /* MariaDB: gtid_current_pos */
}

static void learn_place(Judgement *judgement, const char *position_name, const char *gtid_name, const ServerView *view)
{
        CLEANUP(mem_free) char *position = position_format(&view->binlog);
        json_set_string(judge_learned(judgement), position_name, position);
        json_set_string(judge_learned(judgement), gtid_name, end_of_log(view));
}

static bool ask_wait(const Facts *facts, const char *server, const char *position_name, const char *gtid_name,
                     Script *script)
{
        const char *old = facts_string(facts, "old_primary");
        const char *position = facts_server_string(facts, old, position_name);
        const char *gtid = facts_server_string(facts, old, gtid_name);
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Position end = { 0 };
        if (json_get_bool(facts->root, "planning", false))
                return false;
        if (status_is_gtid(facts)) {
                if (text_is_empty(gtid))
                        return false;
                dialect_wait_gtid(server_view_dialect(view), script, gtid, WAIT_IN_SERVER);
                return true;
        }
        if (position_parse(position, &end, NULL) < 0)
                return false;
        dialect_wait_position(server_view_dialect(view), script, &end, WAIT_IN_SERVER);
        return true;
}

static bool wait_succeeded(const Replies *replies, Judgement *judgement)
{
        const char *result = reply_get(replies_at(replies, 0), 0, "result");
        if (result && strtoll(result, NULL, 10) >= 0)
                return true;
        judge_as(judgement, VERDICT_UNMET, "%s",
                 result ? "it has not applied everything yet" : "its applier does not run");
        return false;
}

void ask_sample(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        script_sql(script, "%s", server_view_dialect(view)->tick);
        script_sql(script, "%s", server_view_dialect(view)->show_binlog);
        script_sql(script, "SELECT CONNECTION_ID() AS id");
}

void judge_sample(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(replies, 0), &failure) < 0 ||
            observation_read_binlog(view, replies_at(replies, 1), &failure) < 0) {
                judge_as(judgement, VERDICT_UNMET, "%s", failure.text);
                return;
        }
        CLEANUP(mem_free) char *position = position_format(&view->binlog);
        learn_place(judgement, "sample_position", "sample_gtid", view);
        judge_as(judgement, VERDICT_MET, "its log is at %s", position);
}

void ask_caught_up(const Facts *facts, const char *server, Script *script)
{
        (void) ask_wait(facts, server, "sample_position", "sample_gtid", script);
}

void judge_caught_up(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (replies->n_items == 0)
                judge_as(judgement, VERDICT_MET, "asked when it is time");
        else if (wait_succeeded(replies, judgement)) {
                json_set_int(judge_learned(judgement), "behind_us", (int64_t) replies_at(replies, 0)->took);
                judge_as(judgement, VERDICT_MET, "it has applied what the primary had a moment ago");
        }
}

/* How far it is behind changes from one moment to the next: a good one is worth waiting for, for a while. One that is far
 * behind does not come nearer while others write. */
bool skip_nearer(const Facts *facts)
{
        int64_t behind = facts_server_int(facts, facts_string(facts, "candidate"), "behind_us", 0);
        return behind <= (int64_t) NEAR || behind >= (int64_t) WAIT_IN_SERVER;
}

void judge_nearer(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_caught_up(facts, server, replies, judgement);
        if (judgement->verdict != VERDICT_UNMET || !reply_get(replies_at(replies, 0), 0, "result"))
                return;
        json_set_int(judge_learned(judgement), "behind_us", WAIT_IN_SERVER);
        judge_as(judgement, VERDICT_MET, "it is more than a second behind, and waiting does not change that");
}

/* The block */

/* In ms; what one logs that takes longer is found when it is looked whether nobody has written. */
#define ENDING_LONGEST 500

/* Who is there is asked before where the log ends. */
enum { BLOCK_LOCK, BLOCK_TICK, BLOCK_BINLOG, BLOCK_SESSIONS };

static bool needs_lock(const Facts *facts, const char *server)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        return !server_view_dialect(view)->super_read_only;
}

static const char *lock_name(const Facts *facts)
{
        return facts_string(facts, "run");
}

#define LOCK_STATE                                                                                                     \
        "SELECT @mhad_lock AS held, @mhad_tried AS tried, UNIX_TIMESTAMP() AS now, IS_USED_LOCK('mhad-%s') AS "        \
        "holder, "                                                                                                     \
        "CONNECTION_ID() AS own"

static void ask_lock(const Facts *facts, Script *script)
{
        script_sql(script, LOCK_STATE, lock_name(facts));
}

/* The session of a lost connection of this run; NULL when there is none. */
static const char *left_session(const Reply *lock)
{
        const char *holder = reply_get(lock, 0, "holder");
        return text_equal(holder, reply_get(lock, 0, "own")) ? NULL : holder;
}

static bool judge_left_session(const Reply *lock, Judgement *judgement)
{
        const char *session = left_session(lock);
        if (session)
                judge_as(judgement, VERDICT_UNMET, "its tables may be locked by session %s of a lost connection",
                         session);
        return session;
}

static void end_left_session(const Reply *lock, Script *script)
{
        const char *session = left_session(lock);
        if (session)
                script_try_sql(script, "KILL %s", session);
}

static void end_sessions(const Reply *sessions, Script *script)
{
        for (size_t i = 0; i < sessions->n_rows; i++)
                script_try_sql(script, "KILL %s", reply_get(sessions, i, "id"));
}

static void unlock(const Facts *facts, Script *script)
{
        script_sql(script, "UNLOCK TABLES");
        script_sql(script, "SET @mhad_lock = NULL, @mhad_tried = NULL");
        script_sql(script, "DO RELEASE_LOCK('mhad-%s')", lock_name(facts));
}

static bool ends_all(const Facts *facts)
{
        const char *which = facts_config_string(facts, "switchover.kill_sessions");
        return !which || text_equal(which, "all");
}

/* A session that is killed stands in the process list for a while, and leaves it before what it logs is written; it is counted
 * until then. */
void ask_blocked(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Dialect *dialect = server_view_dialect(view);
        bool counts = dialect->n_sessions && ends_all(facts);
        script_sql(script,
                   LOCK_STATE ", (SELECT MAX(id) FROM information_schema.processlist) AS last_session, "
                              "ROUND((UNIX_TIMESTAMP(NOW(6)) - @mhad_ended) * 1000) AS ended, %s%s AS ending",
                   lock_name(facts), counts ? dialect->n_sessions : "NULL",
                   counts ? " - (SELECT COUNT(*) FROM information_schema.processlist WHERE user NOT IN "
                            "('system user', 'event_scheduler') AND command <> 'Killed')"
                          : "");
        script_sql(script, "%s", dialect->tick);
        script_sql(script, "%s", dialect->show_binlog);
        script_try_sql(script,
                       "SELECT id, user, command, time FROM information_schema.processlist WHERE %s AND "
                       "command <> 'Killed' ORDER BY command = 'Sleep', time DESC",
                       check_is_client());
}

static bool is_in_the_way(const Reply *sessions, size_t i)
{
        const char *time = reply_get(sessions, i, "time");
        return !text_equal(reply_get(sessions, i, "command"), "Sleep") && time && strtoll(time, NULL, 10) >= 1;
}

/* "; session 7 of app (Query, 3 s), …": who may hold a lock. The caller frees it. */
static char *name_sessions(const Reply *sessions)
{
        Text text = { 0 };
        for (size_t i = 0; i < sessions->n_rows && i < 5; i++) {
                const char *id = reply_get(sessions, i, "id"), *user = reply_get(sessions, i, "user");
                const char *command = reply_get(sessions, i, "command"), *time = reply_get(sessions, i, "time");
                text_addf(&text, "%s%s of %s (%s for %s s)", i == 0 ? "; in the way may be session " : ", ",
                          id ? id : "?", user ? user : "?", command ? command : "?", time ? time : "?");
        }
        if (sessions->n_rows > 5)
                text_addf(&text, " and %zu more", sessions->n_rows - 5);
        return text_take(&text);
}

/* The view when nobody writes; NULL when somebody may. */
static ServerView *read_blocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Dialect *dialect = server_view_dialect(view);
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(replies, BLOCK_TICK), &failure) < 0 ||
            observation_read_binlog(view, replies_at(replies, BLOCK_BINLOG), &failure) < 0) {
                judge_as(judgement, VERDICT_UNREACHABLE, "%s", failure.text);
                return NULL;
        }
        if (!view->read_only || (dialect->super_read_only && !view->super_read_only)) {
                CLEANUP(mem_free) char *who = name_sessions(replies_at(replies, BLOCK_SESSIONS));
                judge_as(judgement, VERDICT_UNMET, "it takes writes%s", who);
                return NULL;
        }
        if (judge_left_session(replies_at(replies, BLOCK_LOCK), judgement))
                return NULL;
        if (!dialect->super_read_only &&
            !text_equal(reply_get(replies_at(replies, BLOCK_LOCK), 0, "held"), lock_name(facts))) {
                CLEANUP(mem_free) char *who = name_sessions(replies_at(replies, BLOCK_SESSIONS));
                judge_as(judgement, VERDICT_UNMET,
                         "it is read-only, but the lock that binds privileged accounts is not held%s", who);
                return NULL;
        }
        return TAKE(view);
}

static int64_t number_of(const Replies *replies, const char *column, int64_t otherwise)
{
        const char *text = reply_get(replies_at(replies, BLOCK_LOCK), 0, column);
        return text ? strtoll(text, NULL, 10) : otherwise;
}

/* It was blocked, and is no longer. */
static void judge_lost(Judgement *judgement)
{
        if (judgement->verdict == VERDICT_UNMET)
                judgement->verdict = VERDICT_HOPELESS;
}

static void learn_end(const ServerView *view, const Replies *replies, Judgement *judgement)
{
        CLEANUP(mem_free) char *position = position_format(&view->binlog);
        learn_place(judgement, "end_position", "end_gtid", view);
        json_set_int(judge_learned(judgement), "blocked_at", number_of(replies, "now", 0));
        json_set_int(judge_learned(judgement), "last_session", number_of(replies, "last_session", 0));
        judge_as(judgement, VERDICT_MET, "nobody writes; its log ends at %s", position);
}

void judge_blocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = read_blocked(facts, server, replies, judgement);
        if (view)
                learn_end(view, replies, judgement);
}

void act_block(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        static const Replies nothing;
        if (!seen)
                seen = &nothing;
        const Reply *sessions = replies_at(seen, BLOCK_SESSIONS), *lock = replies_at(seen, BLOCK_LOCK);
        bool tried = text_equal(reply_get(lock, 0, "tried"), lock_name(facts)), all = ends_all(facts);
        bool may_kill = !text_equal(facts_config_string(facts, "switchover.kill_sessions"), "none");
        /* A lock may be held by one that does nothing. */
        for (size_t i = 0; tried && may_kill && i < sessions->n_rows; i++)
                if (all || is_in_the_way(sessions, i))
                        script_try_sql(script, "KILL %s", reply_get(sessions, i, "id"));
        end_left_session(lock, script);
        /* Short, so that it is seen in time what is in the way. */
        script_sql(script, "SET lock_wait_timeout = 1, @mhad_tried = '%s', @mhad_ended = NULL", lock_name(facts));
        dialect_read_only(server_view_dialect(view), script, true);
        if (needs_lock(facts, server) && !text_equal(reply_get(lock, 0, "held"), lock_name(facts))) {
                script_sql(script, "DO GET_LOCK('mhad-%s', 1)", lock_name(facts));
                script_sql(script, "FLUSH TABLES WITH READ LOCK");
                script_sql(script, "SET @mhad_lock = '%s'", lock_name(facts));
        }
        ask_blocked(facts, server, script);
}

/* Those who log something when they end */

bool skip_end_clients(const Facts *facts)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "old_primary"));
        return !server_view_dialect(view)->n_sessions || !ends_all(facts);
}

void judge_clients_ended(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = read_blocked(facts, server, replies, judgement);
        size_t n = replies_at(replies, BLOCK_SESSIONS)->n_rows;
        int64_t ended = number_of(replies, "ended", -1), ending = number_of(replies, "ending", 0);
        if (!view) {
                judge_lost(judgement);
                return;
        }
        if (ended < 0 && n > 0)
                judge_as(judgement, VERDICT_UNMET, "%zu client session%s left", n, n == 1 ? " is" : "s are");
        else if (ending > 0 && ended < ENDING_LONGEST)
                judge_as(judgement, VERDICT_UNMET, "%" PRId64 " session%s ending", ending,
                         ending == 1 ? " is" : "s are");
        else
                learn_end(view, replies, judgement);
}

void act_end_clients(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        end_sessions(replies_at(seen, BLOCK_SESSIONS), script);
        script_sql(script, "SET @mhad_ended = UNIX_TIMESTAMP(NOW(6))");
        ask_blocked(facts, server, script);
}

/* A parallel applier of MySQL tells its position each so many milliseconds: 300, if it is not told otherwise. */

bool skip_pace(const Facts *facts)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        return status_is_gtid(facts) || server_view_gtid_family(view) != GTID_FAMILY_MYSQL ||
               view->parallel_workers == 0;
}

void ask_pace(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('slave_checkpoint_period', "
                           "'replica_checkpoint_period')");
}

void judge_pace_known(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *name = reply_get(replies_at(replies, 0), 0, "Variable_name");
        const char *value = reply_get(replies_at(replies, 0), 0, "Value");
        if (value && (text_equal(name, "slave_checkpoint_period") || text_equal(name, "replica_checkpoint_period"))) {
                json_set_string(judge_learned(judgement), "pace_name", name);
                json_set_int(judge_learned(judgement), "pace", strtoll(value, NULL, 10));
        }
        judge_as(judgement, VERDICT_MET, "each %s ms", value ? value : "?");
}

static int64_t pace_of(const Replies *replies)
{
        const char *value = reply_get(replies_at(replies, 0), 0, "Value");
        return value ? strtoll(value, NULL, 10) : 0;
}

static void set_pace(const Facts *facts, const char *server, int64_t pace, Script *script)
{
        const char *name = facts_server_string(facts, server, "pace_name");
        if (name)
                script_sql(script, "SET GLOBAL %s = %" PRId64, name, pace);
}

void judge_pace_quick(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        int64_t pace = pace_of(replies);
        judge_as(judgement, pace <= 1 ? VERDICT_MET : VERDICT_UNMET, "each %" PRId64 " ms", pace);
}

void act_pace_quick(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        set_pace(facts, server, 1, script);
}

bool skip_pace_back(const Facts *facts)
{
        const char *candidate = facts_string(facts, "candidate");
        return text_is_empty(candidate) || !facts_server_string(facts, candidate, "pace_name");
}

void judge_pace_back(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        int64_t pace = pace_of(replies), wanted = facts_server_int(facts, server, "pace", pace);
        judge_as(judgement, pace == wanted ? VERDICT_MET : VERDICT_UNMET, "each %" PRId64 " ms", pace);
}

void act_pace_back(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        set_pace(facts, server, facts_server_int(facts, server, "pace", 300), script);
}

static bool is_safe_early(const Facts *facts)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, facts_string(facts, "candidate"));
        return view->super_read_only;
}

bool skip_give_early(const Facts *facts)
{
        return address_skip_moving(facts) || !is_safe_early(facts);
}

bool skip_give_late(const Facts *facts)
{
        return address_skip_moving(facts) || is_safe_early(facts);
}

void ask_reached_end(const Facts *facts, const char *server, Script *script)
{
        if (ask_wait(facts, server, "end_position", "end_gtid", script))
                ask_status(facts, server, script);
}

void judge_reached_end(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (replies->n_items == 0) {
                judge_as(judgement, VERDICT_UNMET, "known when writes are blocked");
                return;
        }
        if (!wait_succeeded(replies, judgement))
                return;
        CLEANUP(server_view_free) ServerView *view = status_read(facts, server, replies, 1, judgement);
        if (!view)
                return;
        /* Where others by position begin: nobody has written to it yet. */
        CLEANUP(mem_free) char *end = position_format(&view->binlog);
        Json *learned = judge_learned(judgement);
        json_set_string(learned, "open_position", end);
        json_set_string(learned, "open_gtid",
                        server_view_gtid_family(view) == GTID_FAMILY_MARIADB ? view->gtid_binlog_pos
                                                                             : view->gtid_executed);
        judge_as(judgement, VERDICT_MET, "it has everything; its own log is at %s", end);
}

void judge_still_blocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = read_blocked(facts, server, replies, judgement);
        if (!view) {
                judge_lost(judgement);
                return;
        }
        CLEANUP(mem_free) char *position = position_format(&view->binlog);
        const char *end = facts_server_string(facts, server, "end_position");
        if (json_get_bool(facts->root, "planning", false) || text_equal(position, end))
                judge_as(judgement, VERDICT_MET, "nobody has written since");
        else
                judge_as(judgement, VERDICT_HOPELESS, "somebody has written: its log is at %s, and ended at %s",
                         position, end ? end : "?");
}

/* Sessions */

enum { WAITING_LOCK, WAITING_SESSIONS };

void ask_waiting(const Facts *facts, const char *server, Script *script)
{
        ask_lock(facts, script);
        script_sql(script,
                   "SELECT id FROM information_schema.processlist WHERE %s AND state LIKE 'Waiting for %%lock%%'",
                   check_is_client());
}

void judge_nobody_waits(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        size_t n = replies_at(replies, WAITING_SESSIONS)->n_rows;
        if (n > 0)
                judge_as(judgement, VERDICT_UNMET, "%zu client session%s for a lock", n, n == 1 ? " waits" : "s wait");
        else
                judge_as(judgement, VERDICT_MET, "nobody waits for a lock");
}

void act_end_waiting(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        end_sessions(replies_at(seen, WAITING_SESSIONS), script);
}

enum { SESSIONS_CLOCK, SESSIONS_CLIENTS };

bool skip_end_sessions(const Facts *facts)
{
        return !ends_all(facts);
}

bool skip_end_late_sessions(const Facts *facts)
{
        return facts_string(facts, "lost") ||
               !text_equal(facts_config_string(facts, "switchover.kill_sessions"), "after-grace");
}

void ask_sessions(const Facts *facts, const char *server, Script *script)
{
        ask_lock(facts, script);
        script_sql(script,
                   "SELECT id FROM information_schema.processlist WHERE %s AND command <> 'Killed' AND id <= %" PRId64,
                   check_is_client(), facts_server_int(facts, server, "last_session", 0));
}

static bool grace_is_over(const Facts *facts, const char *server, const Replies *replies)
{
        const char *now = reply_get(replies_at(replies, SESSIONS_CLOCK), 0, "now");
        int64_t grace = facts_config_int(facts, "switchover.kill_grace_ms", 5000) / 1000;
        return skip_end_late_sessions(facts) ||
               (now && strtoll(now, NULL, 10) >= facts_server_int(facts, server, "blocked_at", 0) + grace);
}

void judge_sessions_ended(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        size_t n = replies_at(replies, SESSIONS_CLIENTS)->n_rows;
        if (n > 0)
                judge_as(judgement, VERDICT_UNMET, "%zu client session%s left%s", n, n == 1 ? " is" : "s are",
                         grace_is_over(facts, server, replies) ? "" : ", and may still end by itself");
        else
                judge_as(judgement, VERDICT_MET, "no client session of before is left");
}

void act_end_sessions(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        if (grace_is_over(facts, server, seen))
                end_sessions(replies_at(seen, SESSIONS_CLIENTS), script);
}

bool skip_unlock(const Facts *facts)
{
        return !needs_lock(facts, facts_string(facts, "old_primary"));
}

void judge_unlocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (text_equal(reply_get(replies_at(replies, WAITING_LOCK), 0, "held"), lock_name(facts)))
                judge_as(judgement, VERDICT_UNMET, "the lock is held");
        else if (!judge_left_session(replies_at(replies, WAITING_LOCK), judgement))
                judge_as(judgement, VERDICT_MET, "no lock is held");
}

void act_unlock(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        end_sessions(replies_at(seen, WAITING_SESSIONS), script);
        end_left_session(replies_at(seen, WAITING_LOCK), script);
        unlock(facts, script);
}

/* Undo */

bool skip_undo(const Facts *facts)
{
        return !check_is_approved(facts);
}

bool skip_undo_address(const Facts *facts)
{
        return skip_undo(facts) || address_skip_moving(facts);
}

void judge_unblocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(replies, BLOCK_TICK), &failure) < 0)
                judge_as(judgement, VERDICT_UNMET, "%s", failure.text);
        else if (view->read_only || view->super_read_only)
                judge_as(judgement, VERDICT_UNMET, "it is read-only");
        else if (text_equal(reply_get(replies_at(replies, BLOCK_LOCK), 0, "held"), lock_name(facts)))
                judge_as(judgement, VERDICT_UNMET, "its tables are locked");
        else if (!judge_left_session(replies_at(replies, BLOCK_LOCK), judgement))
                judge_as(judgement, VERDICT_MET, "it takes writes again");
}

void act_unblock(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        if (needs_lock(facts, server)) {
                end_left_session(replies_at(seen, BLOCK_LOCK), script);
                unlock(facts, script);
        }
        dialect_read_only(server_view_dialect(view), script, false);
}
