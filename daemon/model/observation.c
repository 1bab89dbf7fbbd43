/* What a server says, taken in. Owns the strings of a ServerView; must never ask anything itself, nor guess: what an
 * answer does not hold stays unknown. */
#include "observation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "enum.h"

static const char *const evidence_names[_EVIDENCE_MAX] = {
        [EVIDENCE_UNKNOWN] = "unknown", [EVIDENCE_ALIVE] = "alive",   [EVIDENCE_REFUSED] = "refused",
        [EVIDENCE_SILENT] = "silent",   [EVIDENCE_FROZEN] = "frozen", [EVIDENCE_HUNG] = "hung",
        [EVIDENCE_ERROR] = "error",
};
ENUM_STRINGS(evidence, Evidence, evidence_names)

static const char *const receiver_state_names[_RECEIVER_STATE_MAX] = {
        [RECEIVER_STOPPED] = "stopped",
        [RECEIVER_CONNECTING] = "connecting",
        [RECEIVER_CONNECTED] = "connected",
};
ENUM_STRINGS(receiver_state, ReceiverState, receiver_state_names)

/* Evidence. */

static bool is_one_of(int number, const int *numbers, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (numbers[i] == number)
                        return true;
        return false;
}

bool evidence_errno_is_alive(int sql_errno)
{
        /* Too many connections, access denied, host blocked or not privileged, limits, protocol, fatal binlog errors
         * that the primary sends, TLS and authentication. 1042 (bad host name) is the primary's word about us. */
        static const int numbers[] = { 1040, 1042, 1043, 1044, 1045, 1129, 1130,  1203, 1226, 1227, 1236,
                                       1251, 1275, 1862, 2012, 2026, 2027, 13114, 2049, 2054, 2059, 2061 };
        return is_one_of(sql_errno, numbers, ARRAY_LENGTH(numbers));
}

bool evidence_errno_is_lost(int sql_errno)
{
        static const int numbers[] = { 2002, 2003, 2006, 2013, 2055, 1158, 1159, 1160, 1161, 1189, 1190, 1218 };
        return is_one_of(sql_errno, numbers, ARRAY_LENGTH(numbers));
}

bool evidence_errno_is_going_down(int sql_errno)
{
        static const int numbers[] = { 1053, 1077, 1079, 1317, 1927, 3169 };
        return is_one_of(sql_errno, numbers, ARRAY_LENGTH(numbers));
}

bool observation_note_evidence(ServerView *view, Evidence evidence, int code, const char *text, usec_t now)
{
        bool changed = view->evidence != evidence;
        if (changed)
                view->evidence_since = now;
        if (changed && evidence == EVIDENCE_ALIVE)
                view->ticked = view->replica_read = view->binlog_read = false;
        if (evidence == EVIDENCE_ALIVE || evidence == EVIDENCE_ERROR)
                view->last_alive = now;
        view->evidence = evidence;
        view->evidence_code = code;
        free(view->evidence_text);
        view->evidence_text = alloc_string(text_is_empty(text) ? NULL : text);
        return changed;
}

bool observation_note_alive(ServerView *view, usec_t now)
{
        return observation_note_evidence(view, EVIDENCE_ALIVE, 0, NULL, now);
}

static bool *is_known(ServerView *view, Observation observation)
{
        return observation == OBSERVATION_IDENTITY ? &view->identified
               : observation == OBSERVATION_TICK   ? &view->ticked
                                                   : &view->replica_read;
}

void observation_note_refusal(ServerView *view, Observation observation, const char *text)
{
        free(view->refusals[observation]);
        view->refusals[observation] = alloc_string(text);
        *is_known(view, observation) = false;
}

static void note_known(ServerView *view, Observation observation)
{
        observation_note_refusal(view, observation, NULL);
        *is_known(view, observation) = true;
}

/* Life of a view. */

static void channel_done(ReplicaChannel *channel)
{
        free(channel->name);
        free(channel->receiver_text);
        free(channel->applier_text);
        free(channel->source_host);
        free(channel->source_user);
        free(channel->source_uuid);
        free(channel->relay_file);
        free(channel->receiver_error);
        free(channel->applier_error);
        free(channel->gtid_retrieved);
        free(channel->filters);
}

static void channels_free(ReplicaChannel *channels, size_t n)
{
        for (size_t i = 0; i < n; i++)
                channel_done(&channels[i]);
        free(channels);
}

ServerView *server_view_new(void)
{
        return ALLOC(ServerView);
}

void server_view_done(ServerView *view)
{
        free(view->evidence_text);
        for (size_t i = 0; i < _OBSERVATION_MAX; i++)
                free(view->refusals[i]);
        free(view->version_text);
        free(view->server_uuid);
        free(view->hostname);
        free(view->pid_file);
        free(view->datadir);
        free(view->log_bin_basename);
        free(view->log_bin_index);
        free(view->relay_log_index);
        free(view->gtid_executed);
        free(view->gtid_purged);
        free(view->gtid_binlog_pos);
        free(view->gtid_slave_pos);
        channels_free(view->channels, view->n_channels);
        free(view->binlog_do_db);
        free(view->binlog_ignore_db);
        free(view->manager);
        json_free(view->events);
        *view = (ServerView){ 0 };
}

ServerView *server_view_free(ServerView *view)
{
        if (view)
                server_view_done(view);
        free(view);
        return NULL;
}

const Dialect *server_view_dialect(const ServerView *view)
{
        return dialect_for(&view->version);
}

const ReplicaChannel *server_view_channel(const ServerView *view)
{
        for (size_t i = 0; view && i < view->n_channels; i++)
                if (text_is_empty(view->channels[i].name))
                        return &view->channels[i];
        return view && view->n_channels == 1 ? view->channels : NULL;
}

bool server_view_is_read(const ServerView *view)
{
        return view->evidence == EVIDENCE_ALIVE && view->identified && view->ticked && view->replica_read;
}

const char *server_view_refusal(const ServerView *view)
{
        for (size_t i = 0; i < _OBSERVATION_MAX; i++)
                if (view->refusals[i])
                        return view->refusals[i];
        return NULL;
}

bool server_view_is_locked(const ServerView *view)
{
        return view->semi_sync_active && view->semi_sync_waiting > 0 &&
               view->semi_sync_clients < view->semi_sync_wait_count;
}

GtidFamily server_view_gtid_family(const ServerView *view)
{
        return view->version.flavour == FLAVOUR_MARIADB ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL;
}

/* Adds what a text says; one that cannot be read adds nothing. */
static void gtid_add(GtidSet **set, GtidFamily family, const char *text)
{
        CLEANUP(gtid_free) GtidSet *more = NULL;
        if (text_is_empty(text) || gtid_parse(family, text, &more, NULL) < 0)
                return;
        GtidSet *sum = gtid_union(*set, more);
        gtid_free(*set);
        *set = sum;
}

GtidSet *server_view_gtid_applied(const ServerView *view)
{
        GtidFamily family = server_view_gtid_family(view);
        GtidSet *set = gtid_new(family);
        gtid_add(&set, family, view->gtid_executed);
        gtid_add(&set, family, view->gtid_slave_pos);
        return set;
}

GtidSet *server_view_gtid_received(const ServerView *view)
{
        GtidSet *set = server_view_gtid_applied(view);
        for (size_t i = 0; i < view->n_channels; i++)
                gtid_add(&set, server_view_gtid_family(view), view->channels[i].gtid_retrieved);
        return set;
}

/* Reading answers. */

static uint64_t to_number(const char *text)
{
        return text ? strtoull(text, NULL, 10) : 0;
}

static unsigned to_unsigned(const char *text)
{
        uint64_t number = to_number(text);
        return number > UINT32_MAX ? UINT32_MAX : (unsigned) number;
}

/* -1: the server does not know. Servers were seen to tell a lag of 2^64 seconds, which is no better. */
static int64_t to_signed(const char *text)
{
        int64_t number = text_is_empty(text) ? -1 : strtoll(text, NULL, 10);
        return number < 0 || number > UINT32_MAX ? -1 : number;
}

static uint16_t to_port(const char *text)
{
        uint64_t number = to_number(text);
        return number > UINT16_MAX ? 0 : (uint16_t) number;
}

static bool to_bool(const char *text)
{
        return !text_is_empty(text) && strcmp(text, "0") != 0 && strcasecmp(text, "off") != 0 &&
               strcasecmp(text, "no") != 0;
}

static usec_t to_period(const char *text)
{
        double seconds = text ? strtod(text, NULL) : 0;
        return seconds > 0 && seconds < 1e9 ? (usec_t) llround(seconds * 1e6) : 0;
}

static void replace(char **string, const char *value)
{
        free(*string);
        *string = alloc_string(value);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* "b,a,b" -> "a,b": servers print the names of a filter in the order in which somebody gave them, and say them twice, but
 * never escape one. The caller frees it. */
static char *normal_list(const char *list)
{
        CLEANUP(mem_free) char *copy = alloc_string(list ? list : "");
        CLEANUP(mem_free) char **names = NULL;
        size_t n = 0;
        char *save = NULL;
        for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
                ALLOC_GROW(names, n);
                names[n++] = name;
        }
        if (n > 1)
                qsort(names, n, sizeof *names, compare_names);
        Text text = { 0 };
        for (size_t i = 0; i < n; i++) {
                if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
                        continue;
                text_separate(&text, ",");
                text_add(&text, names[i]);
        }
        return text_take(&text);
}

static int check_reply(const Reply *reply, const char *column, const char *what, Failure *reterr)
{
        if (reply_succeeded(reply) && reply_has_column(reply, column))
                return 0;
        return failure_set(reterr, FAILURE_PROTOCOL, 0, "The server did not say what was asked for (%s)", what);
}

/* The value of a row of Variable_name, Value. */
static const char *variable(const Reply *reply, const char *name)
{
        for (size_t i = 0; i < reply->n_rows; i++) {
                const char *found = reply_get(reply, i, "Variable_name");
                if (found && strcasecmp(found, name) == 0)
                        return reply_get(reply, i, "Value");
        }
        return NULL;
}

/* Of the older name, else of the newer one. */
static const char *variable_of(const Reply *reply, const char *old_name, const char *new_name)
{
        const char *value = variable(reply, old_name);
        return value ? value : variable(reply, new_name);
}

static bool variable_is_on(const Reply *reply, const char *old_name, const char *new_name)
{
        return to_bool(variable(reply, old_name)) || to_bool(variable(reply, new_name));
}

static void read_semi_sync_identity(ServerView *view, const Reply *reply)
{
        const char *const old_source = "rpl_semi_sync_master_enabled", *const new_source =
                                                                               "rpl_semi_sync_source_enabled";
        view->semi_sync_installed = variable_of(reply, old_source, new_source) != NULL;
        view->semi_sync_source_enabled = variable_is_on(reply, old_source, new_source);
        view->semi_sync_replica_enabled =
                variable_is_on(reply, "rpl_semi_sync_slave_enabled", "rpl_semi_sync_replica_enabled");
        const char *count = variable_of(reply, "rpl_semi_sync_master_wait_for_slave_count",
                                        "rpl_semi_sync_source_wait_for_replica_count");
        view->semi_sync_wait_count = count ? to_unsigned(count) : 1;
        view->semi_sync_timeout =
                to_unsigned(variable_of(reply, "rpl_semi_sync_master_timeout", "rpl_semi_sync_source_timeout")) *
                USEC_MSEC;
}

int observation_read_identity(ServerView *view, const Reply *reply, Failure *reterr)
{
        int r = check_reply(reply, "Variable_name", "its variables", reterr);
        if (r < 0)
                return r;
        Version version;
        Failure failure;
        const char *text = variable(reply, "version");
        if (version_parse(text, &version, &failure) < 0)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "%s", failure.text);

        note_known(view, OBSERVATION_IDENTITY);
        view->version = version;
        replace(&view->version_text, text);
        view->server_id = to_unsigned(variable(reply, "server_id"));
        replace(&view->server_uuid, variable(reply, "server_uuid"));
        replace(&view->hostname, variable(reply, "hostname"));
        replace(&view->pid_file, variable(reply, "pid_file"));
        replace(&view->datadir, variable(reply, "datadir"));
        view->port = to_port(variable(reply, "port"));
        view->log_bin = to_bool(variable(reply, "log_bin"));
        view->log_slave_updates = variable_is_on(reply, "log_slave_updates", "log_replica_updates");
        replace(&view->log_bin_basename, variable(reply, "log_bin_basename"));
        replace(&view->log_bin_index, variable(reply, "log_bin_index"));
        replace(&view->relay_log_index, variable(reply, "relay_log_index"));
        view->gtid_mode = text_starts_with(variable(reply, "gtid_mode"), "ON");
        view->gtid_strict_mode = to_bool(variable(reply, "gtid_strict_mode"));
        view->relay_log_purge = to_bool(variable(reply, "relay_log_purge"));
        const char *workers = variable_of(reply, "slave_parallel_workers", "replica_parallel_workers");
        view->parallel_workers = to_unsigned(workers ? workers : variable(reply, "slave_parallel_threads"));
        view->sync_binlog = to_unsigned(variable(reply, "sync_binlog"));
        view->flush_log_at_commit = to_unsigned(variable(reply, "innodb_flush_log_at_trx_commit"));
        view->slave_net_timeout = to_number(variable_of(reply, "slave_net_timeout", "replica_net_timeout")) * USEC_SEC;
        read_semi_sync_identity(view, reply);
        return 0;
}

int observation_read_tick(ServerView *view, const Reply *reply, Failure *reterr)
{
        int r = check_reply(reply, "read_only", "whether it is read-only", reterr);
        if (r < 0)
                return r;
        if (reply->n_rows != 1)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "The server gave %zu rows where one was asked for",
                                   reply->n_rows);
        const char *executed = reply_get(reply, 0, "gtid_executed");
        note_known(view, OBSERVATION_TICK);
        view->read_only = to_bool(reply_get(reply, 0, "read_only"));
        view->super_read_only = to_bool(reply_get(reply, 0, "super_read_only"));
        replace(&view->gtid_executed, executed ? executed : reply_get(reply, 0, "gtid_current_pos"));
        replace(&view->gtid_purged, reply_get(reply, 0, "gtid_purged"));
        replace(&view->gtid_binlog_pos, reply_get(reply, 0, "gtid_binlog_pos"));
        replace(&view->gtid_slave_pos, reply_get(reply, 0, "gtid_slave_pos"));
        return 0;
}

/* A row of the replica status. */
typedef struct Row {
        const Dialect *dialect;
        const Reply *reply;
        size_t row;
} Row;

static const char *row_get(const Row *row, ReplicaColumn column)
{
        const char *name = row->dialect->columns[column];
        return name ? reply_get(row->reply, row->row, name) : NULL;
}

static char *row_copy(const Row *row, ReplicaColumn column)
{
        const char *value = row_get(row, column);
        return alloc_string(value ? value : "");
}

static ReceiverState row_receiver(const Row *row)
{
        const char *value = row_get(row, COLUMN_RECEIVER_RUNNING);
        if (!to_bool(value))
                return RECEIVER_STOPPED;
        return strcasecmp(value, "yes") == 0 ? RECEIVER_CONNECTED : RECEIVER_CONNECTING;
}

static SourceMode row_mode(const Row *row)
{
        const char *using_gtid = row_get(row, COLUMN_USING_GTID);
        if (using_gtid && strcasecmp(using_gtid, "slave_pos") == 0)
                return SOURCE_SLAVE_POS;
        if (using_gtid && strcasecmp(using_gtid, "current_pos") == 0)
                return SOURCE_CURRENT_POS;
        return to_bool(row_get(row, COLUMN_AUTO_POSITION)) ? SOURCE_AUTO : SOURCE_POSITION;
}

static char *row_filters(const Row *row)
{
        static const struct {
                ReplicaColumn column;
                const char *name;
        } filters[] = {
                { COLUMN_DO_DB, "do_db" },
                { COLUMN_IGNORE_DB, "ignore_db" },
                { COLUMN_DO_TABLE, "do_table" },
                { COLUMN_IGNORE_TABLE, "ignore_table" },
                { COLUMN_WILD_DO_TABLE, "wild_do_table" },
                { COLUMN_WILD_IGNORE_TABLE, "wild_ignore_table" },
                { COLUMN_REWRITE_DB, "rewrite_db" },
        };
        Text text = { 0 };
        for (size_t i = 0; i < ARRAY_LENGTH(filters); i++) {
                const char *value = row_get(row, filters[i].column);
                if (text_is_empty(value))
                        continue;
                /* Of the rules of rewrite_db the first that fits counts. */
                bool ordered = filters[i].column == COLUMN_REWRITE_DB;
                CLEANUP(mem_free) char *list = ordered ? alloc_string(value) : normal_list(value);
                text_separate(&text, "; ");
                text_addf(&text, "%s=%s", filters[i].name, list);
        }
        return text_take(&text);
}

static char *row_gtid_retrieved(const Row *row)
{
        return row_copy(row, row->dialect->columns[COLUMN_GTID_IO_POS] ? COLUMN_GTID_IO_POS : COLUMN_RETRIEVED_GTID);
}

static int read_positions(const Row *row, ReplicaChannel *channel, Failure *reterr)
{
        int r = position_from_columns(row_get(row, COLUMN_RECEIVED_FILE), row_get(row, COLUMN_RECEIVED_OFFSET),
                                      &channel->received, reterr);
        if (r < 0)
                return r;
        /* Pointed elsewhere while its applier ran: until it has received something, it tells how far it had come before. */
        if (!position_is_set(&channel->received))
                return 0;
        return position_from_columns(row_get(row, COLUMN_APPLIED_FILE), row_get(row, COLUMN_APPLIED_OFFSET),
                                     &channel->applied, reterr);
}

static int read_channel(const Row *row, ReplicaChannel *ret, Failure *reterr)
{
        ReplicaChannel channel = { 0 };
        Failure failure;
        if (read_positions(row, &channel, &failure) < 0)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "%s", failure.text);
        channel.name = row_copy(row, COLUMN_CHANNEL);
        channel.receiver = row_receiver(row);
        channel.applier_running = to_bool(row_get(row, COLUMN_APPLIER_RUNNING));
        channel.receiver_text = row_copy(row, COLUMN_RECEIVER_STATE);
        channel.applier_text = row_copy(row, COLUMN_APPLIER_STATE);
        channel.source_host = row_copy(row, COLUMN_SOURCE_HOST);
        channel.source_port = to_port(row_get(row, COLUMN_SOURCE_PORT));
        channel.source_user = row_copy(row, COLUMN_SOURCE_USER);
        channel.source_id = to_unsigned(row_get(row, COLUMN_SOURCE_ID));
        channel.source_uuid = row_copy(row, COLUMN_SOURCE_UUID);
        channel.connect_retry = to_unsigned(row_get(row, COLUMN_CONNECT_RETRY));
        channel.tls = to_bool(row_get(row, COLUMN_SSL_ALLOWED));
        channel.mode = row_mode(row);
        channel.relay_file = row_copy(row, COLUMN_RELAY_FILE);
        channel.relay_offset = to_number(row_get(row, COLUMN_RELAY_OFFSET));
        channel.relay_space = to_number(row_get(row, COLUMN_RELAY_SPACE));
        channel.lag = to_signed(row_get(row, COLUMN_LAG));
        channel.delay = (int64_t) to_unsigned(row_get(row, COLUMN_DELAY));
        channel.receiver_errno = (int) to_unsigned(row_get(row, COLUMN_RECEIVER_ERRNO));
        channel.receiver_error = row_copy(row, COLUMN_RECEIVER_ERROR);
        channel.applier_errno = (int) to_unsigned(row_get(row, COLUMN_APPLIER_ERRNO));
        channel.applier_error = row_copy(row, COLUMN_APPLIER_ERROR);
        channel.gtid_retrieved = row_gtid_retrieved(row);
        channel.filters = row_filters(row);
        channel.heartbeats = to_signed(row_get(row, COLUMN_HEARTBEATS));
        channel.heartbeat_period = to_period(row_get(row, COLUMN_HEARTBEAT_PERIOD));
        *ret = channel;
        return 0;
}

static const ReplicaChannel *channel_of_name(const ServerView *view, const char *name)
{
        for (size_t i = 0; i < view->n_channels; i++)
                if (text_equal(view->channels[i].name, name))
                        return &view->channels[i];
        return NULL;
}

static bool channel_advanced(const ReplicaChannel *old, const ReplicaChannel *new)
{
        return strcmp(old->received.file, new->received.file) != 0 || old->received.offset != new->received.offset ||
               !text_equal(old->gtid_retrieved, new->gtid_retrieved) || old->heartbeats != new->heartbeats ||
               (old->receiver != RECEIVER_CONNECTED && new->receiver == RECEIVER_CONNECTED);
}

/* What only a comparison with the answer before can tell. */
static void channel_follow(const ReplicaChannel *old, ReplicaChannel *channel, bool heartbeat_is_apart, usec_t now)
{
        if (old && heartbeat_is_apart) {
                channel->heartbeats = old->heartbeats;
                channel->heartbeat_period = old->heartbeat_period;
        }
        channel->last_activity = old && !channel_advanced(old, channel) ? old->last_activity : now;
        if (channel->receiver_errno != 0) {
                bool same = old && old->receiver_errno == channel->receiver_errno &&
                            text_equal(old->receiver_error, channel->receiver_error);
                channel->error_since = same ? old->error_since : now;
        }
}

int observation_read_replica(ServerView *view, const Reply *reply, usec_t now, Failure *reterr)
{
        const Dialect *dialect = server_view_dialect(view);
        int r = check_reply(reply, dialect->columns[COLUMN_SOURCE_HOST], "its replication status", reterr);
        if (r < 0)
                return r;
        ReplicaChannel *channels = NULL;
        size_t n = 0;
        for (size_t i = 0; i < reply->n_rows; i++) {
                Row row = { dialect, reply, i };
                if (text_is_empty(row_get(&row, COLUMN_SOURCE_HOST)))
                        continue;
                ReplicaChannel channel;
                r = read_channel(&row, &channel, reterr);
                if (r < 0) {
                        channels_free(channels, n);
                        return r;
                }
                channel_follow(channel_of_name(view, channel.name), &channel, dialect->show_heartbeat != NULL, now);
                ALLOC_GROW(channels, n);
                channels[n++] = channel;
        }
        channels_free(view->channels, view->n_channels);
        view->channels = channels;
        view->n_channels = n;
        note_known(view, OBSERVATION_REPLICA);
        return 0;
}

int observation_read_heartbeat(ServerView *view, const Reply *reply, usec_t now, Failure *reterr)
{
        int r = check_reply(reply, "received", "its heartbeats", reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < reply->n_rows; i++) {
                const char *name = reply_get(reply, i, "channel");
                ReplicaChannel *channel = (ReplicaChannel *) channel_of_name(view, name ? name : "");
                if (!channel)
                        continue;
                int64_t received = to_signed(reply_get(reply, i, "received"));
                if (channel->heartbeats >= 0 && received != channel->heartbeats)
                        channel->last_activity = now;
                channel->heartbeats = received;
                channel->heartbeat_period = to_period(reply_get(reply, i, "period"));
        }
        return 0;
}

int observation_read_binlog(ServerView *view, const Reply *reply, Failure *reterr)
{
        int r = check_reply(reply, "File", "its binary log position", reterr);
        if (r < 0)
                return r;
        bool any = reply->n_rows > 0; /* none with the binary log off */
        Position position;
        Failure failure;
        if (position_from_columns(any ? reply_get(reply, 0, "File") : NULL,
                                  any ? reply_get(reply, 0, "Position") : NULL, &position, &failure) < 0)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "%s", failure.text);
        view->binlog_read = true;
        view->binlog = position;
        free(view->binlog_do_db);
        free(view->binlog_ignore_db);
        view->binlog_do_db = any ? normal_list(reply_get(reply, 0, "Binlog_Do_DB")) : NULL;
        view->binlog_ignore_db = any ? normal_list(reply_get(reply, 0, "Binlog_Ignore_DB")) : NULL;
        return 0;
}

/* Acknowledgements come in the order of the log: when there were as many since the last look as waited then, all of these are
 * through. */
static usec_t wait_since(const ServerView *view, unsigned waiting, uint64_t acknowledged, usec_t now)
{
        bool through = view->semi_sync_looked > 0 && acknowledged >= view->semi_sync_acknowledged &&
                       acknowledged - view->semi_sync_acknowledged >= view->semi_sync_waiting;
        if (waiting == 0)
                return now;
        return through ? view->semi_sync_looked : view->semi_sync_since;
}

int observation_read_semi_sync(ServerView *view, const Reply *reply, usec_t now_real, Failure *reterr)
{
        int r = check_reply(reply, "Variable_name", "its semi-sync status", reterr);
        if (r < 0)
                return r;
        unsigned waiting = to_unsigned(
                variable_of(reply, "Rpl_semi_sync_master_wait_sessions", "Rpl_semi_sync_source_wait_sessions"));
        uint64_t acknowledged =
                to_number(variable_of(reply, "Rpl_semi_sync_master_yes_tx", "Rpl_semi_sync_source_yes_tx"));
        view->semi_sync_active = variable_is_on(reply, "Rpl_semi_sync_master_status", "Rpl_semi_sync_source_status");
        view->semi_sync_clients =
                to_unsigned(variable_of(reply, "Rpl_semi_sync_master_clients", "Rpl_semi_sync_source_clients"));
        view->semi_sync_since = wait_since(view, waiting, acknowledged, now_real);
        view->semi_sync_waiting = waiting;
        view->semi_sync_acknowledged = acknowledged;
        view->semi_sync_looked = now_real;
        return 0;
}

Json *observation_events(const Reply *reply)
{
        static const char *const texts[] = { "schema", "name", "definer", "client", "collation", "status" };
        if (check_reply(reply, "scheduler", "its events", NULL) < 0 || reply->n_rows == 0)
                return NULL;
        Json *json = json_object();
        Json *events = json_ensure_array(json, "events");
        json_set_string(json, "event_scheduler", reply_get(reply, 0, "scheduler"));
        json_set_bool(json, "events_hidden", text_equal(reply_get(reply, 0, "may_see"), "0"));
        for (size_t i = 0; i < reply->n_rows; i++) {
                if (!reply_get(reply, i, "name"))
                        continue;
                Json *event = json_object();
                for (size_t k = 0; k < ARRAY_LENGTH(texts); k++)
                        json_set_string(event, texts[k], reply_get(reply, i, texts[k]));
                json_set_bool(event, "once", text_equal(reply_get(reply, i, "once"), "1"));
                json_set_bool(event, "due", !text_equal(reply_get(reply, i, "due"), "0"));
                json_append(events, event);
        }
        return json;
}

/* JSON. */

static void set_position(Json *json, const char *name, const Position *position)
{
        CLEANUP(mem_free) char *text = position_format(position);
        json_set_string(json, name, text);
}

static Position get_position(const Json *json, const char *name)
{
        Position position = { 0 };
        const char *text = json_get_string(json, name);
        if (!text_is_empty(text))
                position_parse(text, &position, NULL);
        return position;
}

/* Always set, so that a merge replaces an older value. */
static void set_text(Json *json, const char *name, const char *value)
{
        json_set_string(json, name, value ? value : "");
}

static char *get_text(const Json *json, const char *name)
{
        const char *value = json_get_string(json, name);
        return text_is_empty(value) ? NULL : alloc_string(value);
}

static char *get_text_or_empty(const Json *json, const char *name)
{
        const char *value = json_get_string(json, name);
        return alloc_string(value ? value : "");
}

static void set_number(Json *json, const char *name, uint64_t value)
{
        json_set_int(json, name, value < JSON_INT_MAX ? (int64_t) value : JSON_INT_MAX);
}

static uint64_t get_number(const Json *json, const char *name)
{
        int64_t value = json_get_int(json, name, 0);
        return value < 0 ? 0 : (uint64_t) value;
}

static unsigned get_unsigned(const Json *json, const char *name)
{
        uint64_t value = get_number(json, name);
        return value > UINT32_MAX ? UINT32_MAX : (unsigned) value;
}

static uint16_t get_port(const Json *json, const char *name)
{
        uint64_t value = get_number(json, name);
        return value > UINT16_MAX ? 0 : (uint16_t) value;
}

static int get_code(const Json *json, const char *name)
{
        uint64_t value = get_number(json, name);
        return value > INT32_MAX ? 0 : (int) value;
}

static Json *channel_to_json(const ReplicaChannel *channel)
{
        Json *json = json_object();
        set_text(json, "name", channel->name);
        json_set_string(json, "receiver", receiver_state_to_string(channel->receiver));
        json_set_bool(json, "applier_running", channel->applier_running);
        set_text(json, "receiver_text", channel->receiver_text);
        set_text(json, "applier_text", channel->applier_text);
        set_text(json, "source_host", channel->source_host);
        json_set_int(json, "source_port", channel->source_port);
        set_text(json, "source_user", channel->source_user);
        json_set_int(json, "source_id", channel->source_id);
        set_text(json, "source_uuid", channel->source_uuid);
        json_set_int(json, "connect_retry", channel->connect_retry);
        json_set_bool(json, "tls", channel->tls);
        json_set_string(json, "mode", source_mode_to_string(channel->mode));
        set_position(json, "received", &channel->received);
        set_position(json, "applied", &channel->applied);
        set_text(json, "relay_file", channel->relay_file);
        set_number(json, "relay_offset", channel->relay_offset);
        set_number(json, "relay_space", channel->relay_space);
        json_set_int(json, "lag", channel->lag);
        json_set_int(json, "delay", channel->delay);
        json_set_int(json, "receiver_errno", channel->receiver_errno);
        json_set_int(json, "applier_errno", channel->applier_errno);
        set_text(json, "receiver_error", channel->receiver_error);
        set_text(json, "applier_error", channel->applier_error);
        set_text(json, "gtid_retrieved", channel->gtid_retrieved);
        set_text(json, "filters", channel->filters);
        json_set_int(json, "heartbeats", channel->heartbeats);
        set_number(json, "heartbeat_period", channel->heartbeat_period);
        return json;
}

static ReplicaChannel channel_from_json(const Json *json)
{
        ReceiverState receiver = receiver_state_from_string(json_get_string(json, "receiver"));
        SourceMode mode = source_mode_from_string(json_get_string(json, "mode"));
        return (ReplicaChannel){
                .name = get_text_or_empty(json, "name"),
                .receiver = (int) receiver < 0 ? RECEIVER_STOPPED : receiver,
                .applier_running = json_get_bool(json, "applier_running", false),
                .receiver_text = get_text_or_empty(json, "receiver_text"),
                .applier_text = get_text_or_empty(json, "applier_text"),
                .source_host = get_text_or_empty(json, "source_host"),
                .source_port = get_port(json, "source_port"),
                .source_user = get_text_or_empty(json, "source_user"),
                .source_id = get_unsigned(json, "source_id"),
                .source_uuid = get_text_or_empty(json, "source_uuid"),
                .connect_retry = get_unsigned(json, "connect_retry"),
                .tls = json_get_bool(json, "tls", false),
                .mode = (int) mode < 0 ? SOURCE_POSITION : mode,
                .received = get_position(json, "received"),
                .applied = get_position(json, "applied"),
                .relay_file = get_text_or_empty(json, "relay_file"),
                .relay_offset = get_number(json, "relay_offset"),
                .relay_space = get_number(json, "relay_space"),
                .lag = json_get_int(json, "lag", -1),
                .delay = json_get_int(json, "delay", 0),
                .receiver_errno = get_code(json, "receiver_errno"),
                .applier_errno = get_code(json, "applier_errno"),
                .receiver_error = get_text_or_empty(json, "receiver_error"),
                .applier_error = get_text_or_empty(json, "applier_error"),
                .gtid_retrieved = get_text_or_empty(json, "gtid_retrieved"),
                .filters = get_text_or_empty(json, "filters"),
                .heartbeats = json_get_int(json, "heartbeats", -1),
                .heartbeat_period = get_number(json, "heartbeat_period"),
        };
}

static void identity_to_json(const ServerView *view, Json *json)
{
        json_set_bool(json, "identified", view->identified);
        set_text(json, "version", view->version_text);
        json_set_string(json, "flavour",
                        version_is_set(&view->version) ? flavour_to_string(view->version.flavour) : "");
        json_set_int(json, "server_id", view->server_id);
        set_text(json, "server_uuid", view->server_uuid);
        set_text(json, "hostname", view->hostname);
        set_text(json, "pid_file", view->pid_file);
        set_text(json, "datadir", view->datadir);
        json_set_int(json, "sql_port", view->port);
        json_set_bool(json, "log_bin", view->log_bin);
        json_set_bool(json, "log_slave_updates", view->log_slave_updates);
        set_text(json, "log_bin_basename", view->log_bin_basename);
        set_text(json, "log_bin_index", view->log_bin_index);
        set_text(json, "relay_log_index", view->relay_log_index);
        json_set_bool(json, "gtid_mode", view->gtid_mode);
        json_set_bool(json, "gtid_strict_mode", view->gtid_strict_mode);
        json_set_bool(json, "relay_log_purge", view->relay_log_purge);
        json_set_int(json, "parallel_workers", view->parallel_workers);
        json_set_int(json, "sync_binlog", view->sync_binlog);
        json_set_int(json, "flush_log_at_commit", view->flush_log_at_commit);
        set_number(json, "slave_net_timeout", view->slave_net_timeout);
        json_set_bool(json, "semi_sync_installed", view->semi_sync_installed);
        json_set_bool(json, "semi_sync_source_enabled", view->semi_sync_source_enabled);
        json_set_bool(json, "semi_sync_replica_enabled", view->semi_sync_replica_enabled);
        json_set_int(json, "semi_sync_wait_count", view->semi_sync_wait_count);
        set_number(json, "semi_sync_timeout", view->semi_sync_timeout);
}

static void state_to_json(const ServerView *view, Json *json)
{
        json_set_string(json, "evidence", evidence_to_string(view->evidence));
        json_set_int(json, "evidence_code", view->evidence_code);
        set_text(json, "evidence_text", view->evidence_text);
        json_set_bool(json, "ticked", view->ticked);
        json_set_bool(json, "read_only", view->read_only);
        json_set_bool(json, "super_read_only", view->super_read_only);
        set_text(json, "gtid_executed", view->gtid_executed);
        set_text(json, "gtid_purged", view->gtid_purged);
        set_text(json, "gtid_binlog_pos", view->gtid_binlog_pos);
        set_text(json, "gtid_slave_pos", view->gtid_slave_pos);
        json_set_bool(json, "binlog_read", view->binlog_read);
        set_position(json, "binlog", &view->binlog);
        set_text(json, "binlog_do_db", view->binlog_do_db);
        set_text(json, "binlog_ignore_db", view->binlog_ignore_db);
        json_set_bool(json, "semi_sync_active", view->semi_sync_active);
        json_set_int(json, "semi_sync_clients", view->semi_sync_clients);
        json_set_int(json, "semi_sync_waiting", view->semi_sync_waiting);
        set_number(json, "semi_sync_since", view->semi_sync_since);
}

Json *server_view_identity(const ServerView *view)
{
        Json *json = json_object();
        identity_to_json(view, json);
        return json;
}

Json *server_view_to_json(const ServerView *view)
{
        Json *json = json_object();
        identity_to_json(view, json);
        state_to_json(view, json);
        json_set_bool(json, "replica_read", view->replica_read);
        Json *channels = json_array();
        for (size_t i = 0; i < view->n_channels; i++)
                json_append(channels, channel_to_json(&view->channels[i]));
        json_set(json, "channels", channels);
        if (view->events)
                json_merge(json, view->events);
        return json;
}

static void identity_from_json(ServerView *view, const Json *json)
{
        view->version_text = get_text(json, "version");
        if (view->version_text)
                version_parse(view->version_text, &view->version, NULL);
        view->identified = json_get_bool(json, "identified", false);
        view->server_id = get_unsigned(json, "server_id");
        view->server_uuid = get_text(json, "server_uuid");
        view->hostname = get_text(json, "hostname");
        view->pid_file = get_text(json, "pid_file");
        view->datadir = get_text(json, "datadir");
        view->port = get_port(json, "sql_port");
        view->log_bin = json_get_bool(json, "log_bin", false);
        view->log_slave_updates = json_get_bool(json, "log_slave_updates", false);
        view->log_bin_basename = get_text(json, "log_bin_basename");
        view->log_bin_index = get_text(json, "log_bin_index");
        view->relay_log_index = get_text(json, "relay_log_index");
        view->gtid_mode = json_get_bool(json, "gtid_mode", false);
        view->gtid_strict_mode = json_get_bool(json, "gtid_strict_mode", false);
        view->relay_log_purge = json_get_bool(json, "relay_log_purge", false);
        view->parallel_workers = get_unsigned(json, "parallel_workers");
        view->sync_binlog = get_unsigned(json, "sync_binlog");
        view->flush_log_at_commit = get_unsigned(json, "flush_log_at_commit");
        view->slave_net_timeout = get_number(json, "slave_net_timeout");
        view->semi_sync_installed = json_get_bool(json, "semi_sync_installed", false);
        view->semi_sync_source_enabled = json_get_bool(json, "semi_sync_source_enabled", false);
        view->semi_sync_replica_enabled = json_get_bool(json, "semi_sync_replica_enabled", false);
        view->semi_sync_wait_count = get_unsigned(json, "semi_sync_wait_count");
        view->semi_sync_timeout = get_number(json, "semi_sync_timeout");
}

static void state_from_json(ServerView *view, const Json *json)
{
        Evidence evidence = evidence_from_string(json_get_string(json, "evidence"));
        view->evidence = (int) evidence < 0 ? EVIDENCE_UNKNOWN : evidence;
        view->evidence_code = get_code(json, "evidence_code");
        view->evidence_text = get_text(json, "evidence_text");
        view->ticked = json_get_bool(json, "ticked", false);
        view->read_only = json_get_bool(json, "read_only", false);
        view->super_read_only = json_get_bool(json, "super_read_only", false);
        view->gtid_executed = get_text(json, "gtid_executed");
        view->gtid_purged = get_text(json, "gtid_purged");
        view->gtid_binlog_pos = get_text(json, "gtid_binlog_pos");
        view->gtid_slave_pos = get_text(json, "gtid_slave_pos");
        view->binlog_read = json_get_bool(json, "binlog_read", false);
        view->binlog = get_position(json, "binlog");
        view->binlog_do_db = get_text(json, "binlog_do_db");
        view->binlog_ignore_db = get_text(json, "binlog_ignore_db");
        view->semi_sync_active = json_get_bool(json, "semi_sync_active", false);
        view->semi_sync_clients = get_unsigned(json, "semi_sync_clients");
        view->semi_sync_waiting = get_unsigned(json, "semi_sync_waiting");
        view->semi_sync_since = get_number(json, "semi_sync_since");
}

void server_view_recall(ServerView *view, const Json *identity)
{
        identity_from_json(view, identity);
}

ServerView *server_view_from_json(const Json *json)
{
        ServerView *view = server_view_new();
        identity_from_json(view, json);
        state_from_json(view, json);
        view->replica_read = json_get_bool(json, "replica_read", false);
        JSON_FOREACH(channel, json_get(json, "channels"))
        {
                ALLOC_GROW(view->channels, view->n_channels);
                view->channels[view->n_channels++] = channel_from_json(channel);
        }
        return view;
}
