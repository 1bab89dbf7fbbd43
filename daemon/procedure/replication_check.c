/* The checks of replication. Pure. Must never say that all is well where it could not look. */
#include "replication_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect-check.h"
#include "status.h"
#include "text.h"

/* The last one may take long where there are many tables. */
enum {
        ASK_IDENTITY = _STATUS_MAX,
        ASK_HEARTBEAT,
        ASK_SEMI_SYNC,
        ASK_VARIABLES,
        ASK_BINLOGS,
        ASK_PRIVILEGES,
        ASK_ACCOUNT,
        ASK_TABLES,
};

/* All that the judges look at. */
typedef struct Look {
        const Facts *facts;
        size_t n;
        ServerView **views; /* NULL: it could not be asked */
        Replies *const *replies;
        Json **variables, **privileges; /* NULL where there was no answer */
        ssize_t primary;                /* -1: not known, or could not be asked */
        GtidSet *executed;              /* what the primary has, asked last; NULL: not known */
        Json *results;
} Look;

static const char *name_of(const Look *look, size_t i)
{
        return facts_server_name(look->facts, i);
}

/* What a failover would not even consider is not judged as a primary to be. */
static bool may_be_promoted(const Look *look, size_t i)
{
        const ReplicaChannel *channel = look->views[i] ? server_view_channel(look->views[i]) : NULL;
        const char *promotion = facts_server_string(look->facts, name_of(look, i), "promotion");
        return channel && look->views[i]->log_bin && channel->delay == 0 && !text_equal(promotion, "never");
}

static bool is_replica(const Look *look, size_t i)
{
        return (ssize_t) i != look->primary && look->views[i] && server_view_channel(look->views[i]);
}

/* Asking */

static const char *account(const Facts *facts)
{
        const char *user = facts_config_string(facts, "replication.user");
        return user ? user : "";
}

void replication_check_ask(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Dialect *dialect = server_view_dialect(view);
        ask_status(facts, server, script);
        script_sql(script, "%s", dialect_identity());
        script_try_sql(script, "%s", dialect->show_heartbeat ? dialect->show_heartbeat : "DO 0");
        script_try_sql(script, "%s", dialect_semi_sync_status());
        dialect_variables(script);
        script_try_sql(script, "%s", dialect->show_binlogs);
        script_try_sql(script, "%s", dialect_own_privileges(&view->version));
        dialect_account(script, account(facts));
        script_try_sql(script, "%s", dialect_tables_without_key());
}

void replication_check_ask_again(const Facts *facts, const char *primary, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, primary);
        script_sql(script, "%s", server_view_dialect(view)->tick);
}

/* Reading */

static ServerView *read_view(const Look *look, size_t i)
{
        const Replies *replies = look->replies[i];
        const char *name = name_of(look, i);
        Judgement judgement = { 0 };
        if (!replies)
                return NULL;
        CLEANUP(server_view_free) ServerView *view = status_read(look->facts, name, replies, 0, &judgement);
        if (!view) {
                check_add(look->results, CHECK_UNANSWERED, name, "%s",
                          replies->failure.kind != FAILURE_NONE ? replies->failure.text : judgement.why);
                return NULL;
        }
        Failure failure = { 0 };
        int r = observation_read_identity(view, replies_at(replies, ASK_IDENTITY), &failure);
        if (r >= 0 && server_view_dialect(view)->show_heartbeat && reply_succeeded(replies_at(replies, ASK_HEARTBEAT)))
                r = observation_read_heartbeat(view, replies_at(replies, ASK_HEARTBEAT), 0, &failure);
        if (r >= 0 && reply_succeeded(replies_at(replies, ASK_SEMI_SYNC)))
                r = observation_read_semi_sync(view, replies_at(replies, ASK_SEMI_SYNC), 0, &failure);
        if (r < 0) {
                check_add(look->results, CHECK_UNANSWERED, name, "%s", failure.text);
                return NULL;
        }
        return TAKE(view);
}

static void read_again(Look *look, const Replies *again)
{
        if (look->primary < 0 || !again)
                return;
        ServerView *view = look->views[look->primary];
        Failure failure = { 0 };
        if (observation_read_tick(view, replies_at(again, 0), &failure) < 0)
                check_add(look->results, CHECK_UNANSWERED, name_of(look, (size_t) look->primary), "%s", failure.text);
        else
                look->executed = server_view_gtid_applied(view);
}

static Look look_at(const Facts *facts, Replies *const *replies, const Replies *again, Json *results)
{
        Look look = {
                .facts = facts, .n = facts_n_servers(facts), .replies = replies, .primary = -1, .results = results
        };
        look.views = ALLOC_ARRAY(ServerView *, look.n);
        look.variables = ALLOC_ARRAY(Json *, look.n);
        look.privileges = ALLOC_ARRAY(Json *, look.n);
        for (size_t i = 0; i < look.n; i++) {
                look.views[i] = read_view(&look, i);
                if (!look.views[i])
                        continue;
                look.variables[i] = dialect_read_variables(replies_at(replies[i], ASK_VARIABLES));
                look.privileges[i] = dialect_read_privileges(replies_at(replies[i], ASK_PRIVILEGES));
                if (text_equal(facts_server_name(facts, i), facts_string(facts, "old_primary")))
                        look.primary = (ssize_t) i;
        }
        read_again(&look, again);
        return look;
}

static void look_done(Look *look)
{
        for (size_t i = 0; i < look->n; i++) {
                server_view_free(look->views[i]);
                json_free(look->variables[i]);
                json_free(look->privileges[i]);
        }
        free(look->views);
        free(look->variables);
        free(look->privileges);
        gtid_free(look->executed);
}

/* What a judge could not look at. */
static void cannot_tell(const Look *look, size_t i, int question, const char *what)
{
        const Reply *reply = replies_at(look->replies[i], (size_t) question);
        check_add_as(look->results, CHECK_UNANSWERED, CHECK_LEVEL_WARNING, name_of(look, i), "%s cannot be told: %s",
                     what,
                     reply->failure.kind != FAILURE_NONE              ? reply->failure.text
                     : look->replies[i]->failure.kind != FAILURE_NONE ? look->replies[i]->failure.text
                                                                      : "there was no answer");
}

/* Accounts */

static bool has_privilege(const Json *list, const char *name)
{
        return name && json_array_contains(list, name);
}

static void check_privileges(const Look *look, size_t i)
{
        const Json *list = look->privileges[i];
        if (!list) {
                cannot_tell(look, i, ASK_PRIVILEGES, "what the account of sql may do");
                return;
        }
        if (has_privilege(list, "ALL PRIVILEGES"))
                return;
        CLEANUP(text_done) Text of_events = { 0 };
        for (const Privilege *need = NULL; (need = dialect_next_privilege(&look->views[i]->version, need));) {
                if (need->on || has_privilege(list, need->name) || has_privilege(list, need->or_name))
                        continue;
                if (need->optional) {
                        text_separate(&of_events, ", ");
                        text_add(&of_events, need->name);
                } else
                        check_add(look->results, CHECK_ACCOUNT_PRIVILEGES, name_of(look, i),
                                  "the account of sql lacks %s%s%s, which is needed %s", need->name,
                                  need->or_name ? " or " : "", need->or_name ? need->or_name : "", need->needed_for);
        }
        if (of_events.data)
                check_add_as(
                        look->results, CHECK_ACCOUNT_PRIVILEGES, CHECK_LEVEL_WARNING, name_of(look, i),
                        "scheduled events, if there are any, would not follow the role: the account of sql lacks %s",
                        of_events.data);
        if (server_view_dialect(look->views[i])->show_heartbeat &&
            replies_at(look->replies[i], ASK_HEARTBEAT)->failure.kind != FAILURE_NONE)
                check_add_as(look->results, CHECK_ACCOUNT_PRIVILEGES, CHECK_LEVEL_WARNING, name_of(look, i),
                             "the account of sql cannot see heartbeats: %s",
                             replies_at(look->replies[i], ASK_HEARTBEAT)->failure.text);
}

static void check_account(const Look *look, size_t i)
{
        const Reply *reply = replies_at(look->replies[i], ASK_ACCOUNT);
        const char *user = account(look->facts);
        if (!reply_succeeded(reply)) {
                check_add(look->results, CHECK_REPLICATION_ACCOUNT_UNKNOWN, name_of(look, i),
                          "whether the account %s exists cannot be told: %s", user, reply->failure.text);
                return;
        }
        if (reply->n_rows == 0)
                check_add(look->results, CHECK_REPLICATION_ACCOUNT, name_of(look, i),
                          "there is no account %s: nobody could replicate from it", user);
        size_t n_may = 0;
        CLEANUP(text_done) Text lacking = { 0 };
        for (size_t row = 0; row < reply->n_rows; row++) {
                bool may = text_equal(reply_get(reply, row, "may_replicate"), "Y");
                const char *host = reply_get(reply, row, "host");
                n_may += may;
                if (!may) {
                        text_separate(&lacking, ", ");
                        text_addf(&lacking, "'%s'@'%s'", user, host ? host : "");
                }
        }
        if (lacking.data)
                check_add_as(look->results, CHECK_REPLICATION_ACCOUNT,
                             n_may == 0 ? CHECK_LEVEL_ERROR : CHECK_LEVEL_WARNING, name_of(look, i),
                             "%s may not replicate from it (REPLICATION SLAVE)", lacking.data);
}

static void check_user(const Look *look, size_t i)
{
        const char *used = server_view_channel(look->views[i])->source_user, *user = account(look->facts);
        if (!text_is_empty(used) && !text_equal(used, user))
                check_add(look->results, CHECK_REPLICATION_USER, name_of(look, i),
                          "it replicates as %s; after a failover it will as %s (replication.user)", used, user);
}

static void check_password(const Look *look)
{
        const Facts *facts = look->facts;
        if (facts_config_bool(facts, "rescue.enabled", false) && facts_config_bool(facts, "ssh.enabled", true) &&
            !facts_config_bool(facts, "replication.has_password", true))
                check_add(look->results, CHECK_REPLICATION_PASSWORD, NULL,
                          "replication.password is not configured: a replica that a failover feeds what it lacks will "
                          "replicate as %s without a password then, whatever password it has now",
                          account(facts));
}

/* Transactions */

static bool uses_gtid(const Look *look, size_t i)
{
        const ReplicaChannel *channel = look->views[i] ? server_view_channel(look->views[i]) : NULL;
        return channel && channel->mode != SOURCE_POSITION;
}

static void check_errant(const Look *look, size_t i)
{
        const ServerView *view = look->views[i];
        bool told = view->version.flavour == FLAVOUR_MYSQL ? view->gtid_mode : uses_gtid(look, i);
        if (!told || !look->executed)
                return;
        CLEANUP(gtid_free) GtidSet *applied = server_view_gtid_applied(view);
        CLEANUP(gtid_free) GtidSet *errant = gtid_subtract(applied, look->executed);
        if (gtid_is_empty(errant))
                return;
        CLEANUP(mem_free) char *set = gtid_describe(errant);
        check_add(look->results, CHECK_ERRANT, name_of(look, i), "it has transactions that the primary %s lacks: %s",
                  name_of(look, (size_t) look->primary), set);
}

/* What from has in no log any more and to has not got; NULL: nothing, or not known. */
static char *purged_by_gtid(const Look *look, size_t from, size_t to)
{
        const ServerView *source = look->views[from], *replica = look->views[to];
        CLEANUP(gtid_free) GtidSet *purged = NULL;
        if (!source->gtid_mode || !replica->gtid_mode || text_is_empty(source->gtid_purged) ||
            gtid_parse(GTID_FAMILY_MYSQL, source->gtid_purged, &purged, NULL) < 0)
                return NULL;
        CLEANUP(gtid_free) GtidSet *received = server_view_gtid_received(replica);
        CLEANUP(gtid_free) GtidSet *lacks = gtid_subtract(purged, received);
        return gtid_is_empty(lacks) ? NULL : gtid_describe(lacks);
}

static char *purged_by_file(const Look *look, size_t from, const ReplicaChannel *channel)
{
        const Reply *reply = replies_at(look->replies[from], ASK_BINLOGS);
        Position first;
        if (!reply_succeeded(reply) || reply->n_rows == 0 || reply->n_columns == 0 ||
            !position_is_set(&channel->received) || position_from_columns(reply->cells[0], "4", &first, NULL) < 0 ||
            !position_comparable(&first, &channel->received) || position_compare(&channel->received, &first) >= 0)
                return NULL;
        return text_format("%s, while the first log there is %s", channel->received.file, first.file);
}

static void check_purged(const Look *look, size_t i)
{
        for (size_t from = 0; from < look->n; from++) {
                bool is_source = (ssize_t) from == look->primary;
                if (from == i || !look->views[from] || (!is_source && !may_be_promoted(look, from)))
                        continue;
                const ReplicaChannel *channel = server_view_channel(look->views[i]);
                bool follows = is_source && status_follows(look->facts, name_of(look, i), channel, name_of(look, from));
                CLEANUP(mem_free) char *lacks = purged_by_gtid(look, from, i);
                if (!lacks && follows && channel->receiver != RECEIVER_CONNECTED)
                        lacks = purged_by_file(look, from, channel);
                if (lacks)
                        check_add(look->results, is_source ? CHECK_PURGED : CHECK_PURGED_ELSEWHERE, name_of(look, i),
                                  "it lacks what %s %s has in no binary log any more: %s",
                                  is_source ? "the primary" : "the possible primary", name_of(look, from), lacks);
        }
}

static void check_modes(const Look *look)
{
        CLEANUP(text_done) Text with = { 0 };
        CLEANUP(text_done) Text without = { 0 };
        for (size_t i = 0; i < look->n; i++) {
                if (!is_replica(look, i))
                        continue;
                Text *list = uses_gtid(look, i) ? &with : &without;
                text_separate(list, ", ");
                text_add(list, name_of(look, i));
        }
        if (with.data && without.data)
                check_add(look->results, CHECK_GTID_MIXED, NULL,
                          "%s replicate%s by global transaction ids, %s by position", with.data,
                          strchr(with.data, ',') ? "" : "s", without.data);
}

/* Settings of one server */

static void check_logs(const Look *look, size_t i)
{
        const ServerView *view = look->views[i];
        const char *repository = json_get_string(look->variables[i], "relay_log_info_repository");
        const char *recovery = json_get_string(look->variables[i], "relay_log_recovery");
        if (!view->log_slave_updates && view->log_bin)
                check_add(look->results, CHECK_LOG_SLAVE_UPDATES, name_of(look, i), "log_slave_updates is off on it");
        if (view->relay_log_purge && !uses_gtid(look, i))
                check_add(look->results, CHECK_RELAY_LOG_PURGE, name_of(look, i),
                          "relay_log_purge is on: by position it keeps nothing that another one may lack");
        if (repository && strcasecmp(repository, "FILE") == 0)
                check_add(look->results, CHECK_RELAY_LOG_RECOVERY, name_of(look, i),
                          "relay_log_info_repository is FILE%s",
                          recovery && strcasecmp(recovery, "ON") == 0 ? "" : ", and relay_log_recovery is off");
}

static void check_version(const Look *look, size_t i)
{
        const ServerView *view = look->views[i], *primary = look->views[look->primary];
        if (view->version.flavour != primary->version.flavour ||
            version_compare_series(&view->version, &primary->version) >= 0)
                return;
        CLEANUP(mem_free) char *own = version_format(&view->version);
        CLEANUP(mem_free) char *other = version_format(&primary->version);
        check_add(look->results, CHECK_VERSION_OLDER, name_of(look, i), "it is %s, older than the primary's %s", own,
                  other);
}

static void check_durability(const Look *look, size_t i)
{
        const ServerView *view = look->views[i];
        if ((view->log_bin && view->sync_binlog != 1) || view->flush_log_at_commit != 1)
                check_add(look->results, CHECK_DURABILITY, name_of(look, i),
                          "sync_binlog is %u and innodb_flush_log_at_trx_commit %u, not 1 and 1", view->sync_binlog,
                          view->flush_log_at_commit);
}

static void check_format(const Look *look, size_t i)
{
        const char *format = json_get_string(look->variables[i], "binlog_format");
        if (format && strcasecmp(format, "ROW") != 0)
                check_add(look->results, CHECK_BINLOG_FORMAT, name_of(look, i), "binlog_format is %s", format);
}

/* Detection. As suspicion_receiver() judges: a heartbeat is overdue after twice its period and the limit of freshness; and
 * the receiver itself gives up after its net time-out and one attempt. */
static usec_t noticed_after(usec_t period, usec_t net_timeout, usec_t stale)
{
        usec_t missed = period + period / 4 + 150 * USEC_MSEC, limit = missed < stale ? missed : stale;
        usec_t overdue = period ? 2 * period + limit : USEC_INFINITY;
        usec_t lost = net_timeout ? net_timeout + USEC_SEC : USEC_INFINITY;
        return overdue < lost ? overdue : lost;
}

static usec_t config_usec(const Facts *facts, const char *path, usec_t otherwise)
{
        return (usec_t) facts_config_int(facts, path, (int64_t) (otherwise / USEC_MSEC)) * USEC_MSEC;
}

static long long seconds(usec_t time)
{
        return (long long) ((time + USEC_SEC - 1) / USEC_SEC);
}

static void check_heartbeat(const Look *look, size_t i)
{
        const ServerView *view = look->views[i];
        const ReplicaChannel *channel = server_view_channel(view);
        usec_t wanted = config_usec(look->facts, "replication.heartbeat_ms", USEC_SEC);
        usec_t stale = config_usec(look->facts, "detection.heartbeat_stale_ms", 3 * USEC_SEC);
        usec_t is = noticed_after(channel->heartbeat_period, view->slave_net_timeout, stale);
        usec_t might = noticed_after(wanted, view->slave_net_timeout, stale);
        bool ssh = facts_config_bool(look->facts, "ssh.enabled", true);
        if (channel->heartbeats < 0 && !channel->heartbeat_period &&
            replies_at(look->replies[i], ASK_HEARTBEAT)->failure.kind != FAILURE_NONE)
                return; /* told with the privileges */
        CLEANUP(mem_free) char *period = usec_format(channel->heartbeat_period);
        CLEANUP(mem_free) char *net = usec_format(view->slave_net_timeout);
        if (channel->heartbeat_period && view->slave_net_timeout &&
            channel->heartbeat_period >= view->slave_net_timeout)
                check_add(look->results, CHECK_HEARTBEAT, name_of(look, i),
                          "its heartbeat period (%s) is not below its net timeout (%s): when the primary is idle, it "
                          "connects again and again",
                          period, net);
        else if (is > might + USEC_SEC)
                check_add(
                        look->results, CHECK_HEARTBEAT, name_of(look, i),
                        "a cut-off primary would be noticed by its receiver in %lld s, not %lld: %s%s, net timeout %s; "
                        "%s",
                        seconds(is), seconds(might), channel->heartbeat_period ? "heartbeat period " : "no heartbeats",
                        channel->heartbeat_period ? period : "", net,
                        ssh ? "until then only SSH can tell" : "and there is no SSH that tells sooner");
}

/* Semi-sync */

static bool any_semi_sync(const Look *look)
{
        for (size_t i = 0; i < look->n; i++)
                if (look->views[i] &&
                    (look->views[i]->semi_sync_source_enabled || look->views[i]->semi_sync_replica_enabled))
                        return true;
        return false;
}

static void check_semi_sync_primary(const Look *look)
{
        size_t i = (size_t) look->primary;
        const ServerView *view = look->views[i];
        const char *point = json_get_string(look->variables[i], "rpl_semi_sync_master_wait_point");
        if (!point)
                point = json_get_string(look->variables[i], "rpl_semi_sync_source_wait_point");
        if (!view->semi_sync_source_enabled) {
                check_add(look->results, CHECK_SEMI_SYNC_INACTIVE, name_of(look, i),
                          "semi-sync is on elsewhere, but off on the primary");
                return;
        }
        if (!view->semi_sync_active)
                check_add(look->results, CHECK_SEMI_SYNC_INACTIVE, name_of(look, i),
                          "semi-sync is on, but not at work: %u replicas acknowledge, and commits wait for nobody",
                          view->semi_sync_clients);
        else if (view->semi_sync_clients < view->semi_sync_wait_count)
                check_add(look->results, CHECK_SEMI_SYNC_LOCKS, name_of(look, i),
                          "commits wait for %u acknowledgements, and %u replicas give them", view->semi_sync_wait_count,
                          view->semi_sync_clients);
        else if (view->semi_sync_clients == view->semi_sync_wait_count)
                check_add_as(look->results, CHECK_SEMI_SYNC_LOCKS, CHECK_LEVEL_NOTE, name_of(look, i),
                             "commits wait for %u acknowledgement%s, and no more replicas give them: when one is gone, "
                             "they stand for the time-out of semi-sync",
                             view->semi_sync_wait_count, view->semi_sync_wait_count == 1 ? "" : "s");
        if (!point || strcasecmp(point, "AFTER_SYNC") != 0)
                check_add(look->results, CHECK_SEMI_SYNC_WAIT_POINT, name_of(look, i), "it waits %s",
                          point ? point : "after the commit: this version knows no other way");
}

static void check_semi_sync(const Look *look)
{
        if (look->primary < 0)
                return;
        if (!any_semi_sync(look)) {
                check_add(look->results, CHECK_SEMI_SYNC_OFF, NULL, "semi-sync is off");
                return;
        }
        check_semi_sync_primary(look);
        for (size_t i = 0; i < look->n; i++) {
                if (!is_replica(look, i))
                        continue;
                if (!look->views[i]->semi_sync_replica_enabled)
                        check_add(look->results, CHECK_SEMI_SYNC_INACTIVE, name_of(look, i),
                                  "it acknowledges nothing: semi-sync of a replica is off on it");
                if (may_be_promoted(look, i) && !look->views[i]->semi_sync_installed)
                        check_add(
                                look->results, CHECK_SEMI_SYNC_INACTIVE, name_of(look, i),
                                "it has no semi-sync for a primary: after its promotion commits would wait for nobody");
        }
}

/* Between servers */

/* "A on db1, db2; B on db3", or NULL when all are the same or there are less than two. */
static char *differences(const Look *look, const char *const *values)
{
        CLEANUP(text_done) Text text = { 0 };
        size_t n_values = 0;
        CLEANUP(mem_free) bool *told = ALLOC_ARRAY(bool, look->n);
        for (size_t i = 0; i < look->n; i++) {
                if (!values[i] || told[i])
                        continue;
                n_values++;
                text_separate(&text, "; ");
                text_addf(&text, "%s on %s", *values[i] ? values[i] : "nothing", name_of(look, i));
                for (size_t k = i + 1; k < look->n; k++)
                        if (values[k] && strcmp(values[k], values[i]) == 0) {
                                told[k] = true;
                                text_addf(&text, ", %s", name_of(look, k));
                        }
        }
        return n_values > 1 ? text_take(&text) : NULL;
}

static void check_variables(const Look *look)
{
        size_t n = 0;
        const ComparedVariable *compared = dialect_compared(&n);
        CLEANUP(mem_free) const char **values = ALLOC_ARRAY(const char *, look->n);
        for (size_t k = 0; k < n; k++) {
                for (size_t i = 0; i < look->n; i++) {
                        values[i] = json_get_string(look->variables[i], compared[k].name);
                        if (!values[i] && compared[k].alias)
                                values[i] = json_get_string(look->variables[i], compared[k].alias);
                }
                CLEANUP(mem_free) char *found = differences(look, values);
                if (found)
                        check_add(look->results, compared[k].data ? CHECK_VARIABLES : CHECK_SETTINGS, NULL, "%s is %s",
                                  compared[k].name, found);
        }
}

static const char *strict_mode(const ServerView *view)
{
        return view->version.flavour == FLAVOUR_MARIADB ? (view->gtid_strict_mode ? "ON" : "OFF") : NULL;
}

static void check_strict(const Look *look, size_t i)
{
        if (uses_gtid(look, i) && text_equal(strict_mode(look->views[i]), "OFF"))
                check_add(look->results, CHECK_GTID_LOOSE, name_of(look, i), "gtid_strict_mode is off on it");
}

static void check_filter(const Look *look, const char *name, char *(*value)(const ServerView *view))
{
        CLEANUP(mem_free) const char **values = ALLOC_ARRAY(const char *, look->n);
        for (size_t i = 0; i < look->n; i++) {
                const char *own = look->views[i] && look->views[i]->log_bin ? value(look->views[i]) : NULL;
                values[i] = own || !look->views[i] || !look->views[i]->log_bin ? own : "";
        }
        CLEANUP(mem_free) char *found = differences(look, values);
        if (found)
                check_add(look->results, CHECK_BINLOG_FILTERS, NULL, "%s is %s", name, found);
}

static char *do_db(const ServerView *view)
{
        return view->binlog_do_db;
}

static char *ignore_db(const ServerView *view)
{
        return view->binlog_ignore_db;
}

/* A member of the filters, as "do_db=a,b; ignore_db=c" gives it; NULL when it is not there. The caller frees it. */
static char *filter_of(const ReplicaChannel *channel, const char *name)
{
        size_t length = strlen(name);
        for (const char *at = channel->filters; at && *at; at = at ? at + 2 : NULL) {
                if (strncmp(at, name, length) == 0 && at[length] == '=')
                        return alloc_string_n(at + length + 1, strcspn(at + length + 1, ";"));
                at = strstr(at, "; ");
        }
        return NULL;
}

/* What one lets into its own log and what it takes from the primary's must be the same, as it was with MHA. */
static void check_both_filters(const Look *look, size_t i, const char *name, const char *own)
{
        CLEANUP(mem_free) char *taken = filter_of(server_view_channel(look->views[i]), name);
        if (taken && !text_is_empty(own) && !text_equal(taken, own))
                check_add(look->results, CHECK_BINLOG_FILTERS, name_of(look, i), "binlog_%s is %s, but replicate_%s %s",
                          name, own, name, taken);
}

/* Tables */

static void check_tables(const Look *look)
{
        if (look->primary < 0)
                return;
        size_t i = (size_t) look->primary;
        const Reply *reply = replies_at(look->replies[i], ASK_TABLES);
        const Json *privileges = look->privileges[i];
        if (!reply_succeeded(reply)) {
                cannot_tell(look, i, ASK_TABLES, "which tables have no primary key");
                return;
        }
        if (reply->n_rows == 0) {
                if (privileges && !has_privilege(privileges, "ALL PRIVILEGES") && !has_privilege(privileges, "SELECT"))
                        check_add(look->results, CHECK_PRIMARY_KEY_UNKNOWN, name_of(look, i),
                                  "which tables have no primary key cannot be told: the account of sql lacks SELECT on "
                                  "*.*");
                return;
        }
        CLEANUP(text_done) Text names = { 0 };
        size_t shown = reply->n_rows < 5 ? reply->n_rows : 5;
        for (size_t row = 0; row < shown; row++) {
                const char *schema = reply_get(reply, row, "schema"), *name = reply_get(reply, row, "name");
                text_separate(&names, ", ");
                text_addf(&names, "%s.%s", schema ? schema : "?", name ? name : "?");
        }
        check_add(look->results, CHECK_PRIMARY_KEY, name_of(look, i), "%s%zu table%s no primary key: %s%s",
                  reply->n_rows >= DIALECT_TABLES_MOST ? "at least " : "", reply->n_rows,
                  reply->n_rows == 1 ? " has" : "s have", names.data, shown < reply->n_rows ? ", …" : "");
}

/* The whole */

static void check_replica(const Look *look, size_t i)
{
        check_user(look, i);
        check_errant(look, i);
        check_purged(look, i);
        check_strict(look, i);
        check_logs(look, i);
        check_both_filters(look, i, "do_db", look->views[i]->binlog_do_db);
        check_both_filters(look, i, "ignore_db", look->views[i]->binlog_ignore_db);
        check_heartbeat(look, i);
        if (look->primary >= 0)
                check_version(look, i);
}

static void check_server(const Look *look, size_t i)
{
        bool is_primary = (ssize_t) i == look->primary;
        check_privileges(look, i);
        if (is_primary || may_be_promoted(look, i)) {
                check_account(look, i);
                check_durability(look, i);
                check_format(look, i);
        }
        if (!look->variables[i])
                cannot_tell(look, i, ASK_VARIABLES, "its variables");
        if (is_replica(look, i))
                check_replica(look, i);
}

void replication_check_judge(const Facts *facts, Replies *const *replies, const Replies *again, Json *results)
{
        Look look = look_at(facts, replies, again, results);
        for (size_t i = 0; i < look.n; i++)
                if (look.views[i])
                        check_server(&look, i);
        check_modes(&look);
        check_password(&look);
        check_filter(&look, "binlog_do_db", do_db);
        check_filter(&look, "binlog_ignore_db", ignore_db);
        check_semi_sync(&look);
        check_variables(&look);
        check_tables(&look);
        look_done(&look);
}
