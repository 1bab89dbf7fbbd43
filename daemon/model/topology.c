/* Who is primary and who follows whom. Owns the texts of the problems; must never believe the configuration or the past
 * against what a server says now. */
#include "topology.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enum.h"
#include "host.h"

static const char *const role_names[_ROLE_MAX] = {
        [ROLE_UNKNOWN] = "unknown",
        [ROLE_PRIMARY] = "primary",
        [ROLE_CO_PRIMARY] = "co_primary",
        [ROLE_REPLICA] = "replica",
        [ROLE_SUB_REPLICA] = "sub_replica",
        [ROLE_STRAY] = "stray",
        [ROLE_ALONE] = "alone",
        [ROLE_DEAD] = "dead",
        [ROLE_OBSERVER] = "observer",
};
ENUM_STRINGS(role, Role, role_names)

static const char *const problem_names[_PROBLEM_MAX] = {
        [PROBLEM_NO_PRIMARY] = "no_primary",
        [PROBLEM_TWO_PRIMARIES] = "two_primaries",
        [PROBLEM_ALL_READ_ONLY] = "all_read_only",
        [PROBLEM_AMBIGUOUS_PRIMARY] = "ambiguous_primary",
        [PROBLEM_WRITABLE_REPLICA] = "writable_replica",
        [PROBLEM_UNKNOWN_SOURCE] = "unknown_source",
        [PROBLEM_OTHER_SOURCE] = "other_source",
        [PROBLEM_ALONE] = "alone",
        [PROBLEM_SEVERAL_CHANNELS] = "several_channels",
        [PROBLEM_RECEIVER_STOPPED] = "receiver_stopped",
        [PROBLEM_RECEIVER_ERROR] = "receiver_error",
        [PROBLEM_APPLIER_STOPPED] = "applier_stopped",
        [PROBLEM_APPLIER_ERROR] = "applier_error",
        [PROBLEM_LAG] = "lag",
        [PROBLEM_DELAYED] = "delayed",
        [PROBLEM_NO_BINLOG] = "no_binlog",
        [PROBLEM_FILTERS_DIFFER] = "filters_differ",
        [PROBLEM_SERVER_DOWN] = "server_down",
        [PROBLEM_SERVER_ERROR] = "server_error",
        [PROBLEM_SERVER_UNREADABLE] = "server_unreadable",
        [PROBLEM_SERVER_UNASKED] = "server_unasked",
        [PROBLEM_DUPLICATE_ID] = "duplicate_id",
        [PROBLEM_MIXED_FLAVOURS] = "mixed_flavours",
        [PROBLEM_LOCKED] = "locked",
        [PROBLEM_OTHER_MANAGER] = "other_manager",
};
ENUM_STRINGS(problem, ProblemId, problem_names)

/* What is worked with while the picture is put together. */
typedef struct Picture {
        const TopologyServer *servers;
        ssize_t n;
        ssize_t known; /* who was primary according to the journal; -1 */
        Topology *topology;
} Picture;

static const char *name_of(const Picture *picture, ssize_t i)
{
        return picture->servers[i].server->name;
}

/* Whether it harms nobody but the server itself. */
static bool is_own_business(ProblemId id)
{
        return id != PROBLEM_ALL_READ_ONLY && id != PROBLEM_AMBIGUOUS_PRIMARY && id != PROBLEM_DUPLICATE_ID &&
               id != PROBLEM_MIXED_FLAVOURS && id != PROBLEM_OTHER_MANAGER;
}

static void add_problem(const Picture *picture, ProblemId id, ssize_t server, bool blocks, const char *format, ...)
        __attribute__((format(printf, 5, 6)));
static void add_problem(const Picture *picture, ProblemId id, ssize_t server, bool blocks, const char *format, ...)
{
        Topology *topology = picture->topology;
        va_list arguments;
        if (server >= 0 && picture->servers[server].excused && is_own_business(id))
                return;
        va_start(arguments, format);
        ALLOC_GROW(topology->problems, topology->n_problems);
        topology->problems[topology->n_problems++] =
                (Problem){ .id = id, .server = server, .blocks = blocks, .text = text_vformat(format, arguments) };
        va_end(arguments);
}

/* Single servers. */

static bool has_database(const Picture *picture, ssize_t i)
{
        return picture->servers[i].view && !picture->servers[i].server->observer;
}

static bool is_up(const Picture *picture, ssize_t i)
{
        return has_database(picture, i) && server_view_is_read(picture->servers[i].view);
}

static bool is_down(const Picture *picture, ssize_t i)
{
        if (!has_database(picture, i))
                return false;
        switch (picture->servers[i].view->evidence) {
        case EVIDENCE_REFUSED:
        case EVIDENCE_SILENT:
        case EVIDENCE_FROZEN:
        case EVIDENCE_HUNG:
                return true;
        case EVIDENCE_UNKNOWN:
        case EVIDENCE_ALIVE:
        case EVIDENCE_ERROR:
        case _EVIDENCE_MAX:
        case _EVIDENCE_INVALID:
                return false;
        }
        return false;
}

/* The channel that tells whom it follows: the default one, else the first. */
static const ReplicaChannel *main_channel(const Picture *picture, ssize_t i)
{
        if (!is_up(picture, i))
                return NULL;
        const ServerView *view = picture->servers[i].view;
        const ReplicaChannel *channel = server_view_channel(view);
        return channel || view->n_channels == 0 ? channel : view->channels;
}

static bool is_replica(const Picture *picture, ssize_t i)
{
        return main_channel(picture, i) != NULL;
}

static bool is_writable(const Picture *picture, ssize_t i)
{
        return is_up(picture, i) && !picture->servers[i].view->read_only;
}

/* Sources. */

static bool uuid_is(const char *a, const char *b)
{
        return !text_is_empty(a) && !text_is_empty(b) && strcasecmp(a, b) == 0;
}

/* By UUID, or by server_id where one of the two sides has no UUID. */
static bool is_source(const ServerView *view, const ReplicaChannel *channel, bool by_uuid)
{
        if (by_uuid)
                return uuid_is(view->server_uuid, channel->source_uuid);
        bool no_uuid = text_is_empty(view->server_uuid) || text_is_empty(channel->source_uuid);
        return no_uuid && view->server_id != 0 && view->server_id == channel->source_id;
}

static ssize_t match_identity(const TopologyServer *servers, size_t n_servers, const ReplicaChannel *channel,
                              bool by_uuid)
{
        ssize_t found = -1;
        for (size_t i = 0; i < n_servers; i++) {
                if (!servers[i].view || servers[i].server->observer || !is_source(servers[i].view, channel, by_uuid))
                        continue;
                if (found >= 0)
                        return -1; /* two servers with one id tell nothing */
                found = (ssize_t) i;
        }
        return found;
}

static bool has_address(const TopologyServer *server, const char *host)
{
        if (host_is_same(server->server->host, host))
                return true;
        for (size_t i = 0; i < server->n_addresses; i++)
                if (host_is_same(server->addresses[i], host))
                        return true;
        return false;
}

static ssize_t match_address(const TopologyServer *servers, size_t n_servers, const ReplicaChannel *channel)
{
        for (size_t i = 0; i < n_servers; i++)
                if (!servers[i].server->observer && servers[i].server->port == channel->source_port &&
                    has_address(&servers[i], channel->source_host))
                        return (ssize_t) i;
        return -1;
}

ssize_t topology_match_source(const TopologyServer *servers, size_t n_servers, const ReplicaChannel *channel)
{
        ssize_t by_address = text_is_empty(channel->source_host) ? -1 : match_address(servers, n_servers, channel);
        /* While it is not connected, the id may be that of the source before this one. */
        if (by_address >= 0 && channel->receiver != RECEIVER_CONNECTED)
                return by_address;
        ssize_t by_identity = match_identity(servers, n_servers, channel, true);
        if (by_identity < 0)
                by_identity = match_identity(servers, n_servers, channel, false);
        return by_identity >= 0 ? by_identity : by_address;
}

static ssize_t source_of(const Picture *picture, ssize_t i)
{
        return picture->topology->entries[i].source;
}

static void find_sources(const Picture *picture)
{
        for (ssize_t i = 0; i < picture->n; i++) {
                const ReplicaChannel *channel = main_channel(picture, i);
                ssize_t source = channel ? topology_match_source(picture->servers, (size_t) picture->n, channel) : -1;
                picture->topology->entries[i].source = source == i ? -1 : source;
        }
}

/* Whether following sources from i leads to target. */
static bool descends_from(const Picture *picture, ssize_t i, ssize_t target)
{
        ssize_t at = source_of(picture, i);
        for (ssize_t steps = 0; at >= 0 && steps < picture->n; steps++, at = source_of(picture, at))
                if (at == target)
                        return true;
        return false;
}

static bool is_in_circle(const Picture *picture, ssize_t i)
{
        return descends_from(picture, i, i);
}

static size_t count_followers(const Picture *picture, ssize_t i)
{
        size_t n = 0;
        for (ssize_t j = 0; j < picture->n; j++)
                n += j != i && descends_from(picture, j, i);
        return n;
}

/* Where the chain of sources of i begins: a server that does not replicate or cannot be read, a member of a circle, or
 * -1 outside the configuration. */
static ssize_t origin_of(const Picture *picture, ssize_t i)
{
        for (ssize_t steps = 0; steps <= picture->n; steps++) {
                if (!is_replica(picture, i) || is_in_circle(picture, i))
                        return i;
                i = source_of(picture, i);
                if (i < 0)
                        return -1;
        }
        return -1;
}

/* The primary. */

/* One of the candidates: the most followed, then the one of the past; -1 when that leaves more than one. */
static ssize_t most_followed(const Picture *picture, const bool *candidates)
{
        ssize_t best = -1;
        bool tie = false;
        for (ssize_t i = 0; i < picture->n; i++) {
                if (!candidates[i])
                        continue;
                size_t mine = count_followers(picture, i), its = best < 0 ? 0 : count_followers(picture, best);
                if (best < 0 || mine > its || (mine == its && i == picture->known)) {
                        best = i;
                        tie = false;
                } else if (mine == its && best != picture->known)
                        tie = true;
        }
        return tie ? -1 : best;
}

static size_t count(const Picture *picture, const bool *flags)
{
        size_t n = 0;
        for (ssize_t i = 0; i < picture->n; i++)
                n += flags[i];
        return n;
}

/* It answers, and no other server of this cluster is above it. */
static bool is_root(const Picture *picture, ssize_t i)
{
        return is_up(picture, i) && (!is_replica(picture, i) || is_in_circle(picture, i) ||
                                     (source_of(picture, i) < 0 && count_followers(picture, i) > 0));
}

static size_t find_writable(const Picture *picture, bool *writable)
{
        for (ssize_t i = 0; i < picture->n; i++)
                writable[i] = is_writable(picture, i) && is_root(picture, i);
        return count(picture, writable);
}

/* Servers that cannot be read, and at which living replicas' chains begin. */
static size_t find_missing(const Picture *picture, bool *missing)
{
        memset(missing, 0, (size_t) picture->n * sizeof *missing);
        for (ssize_t i = 0; i < picture->n; i++) {
                ssize_t origin = is_replica(picture, i) ? origin_of(picture, i) : -1;
                if (origin >= 0 && !is_up(picture, origin))
                        missing[origin] = true;
        }
        return count(picture, missing);
}

static size_t find_followed(const Picture *picture, bool *followed)
{
        for (ssize_t i = 0; i < picture->n; i++)
                followed[i] = is_root(picture, i) && count_followers(picture, i) > 0;
        return count(picture, followed);
}

/* The one of the past may have what nobody else has: while it cannot be asked, only who takes writes can have come after
 * it, and not one that was fenced (nor, at any time, one that just started as it was before). When it answers, alone and
 * read-only, it may be about to go on. */
static bool is_outdated(const Picture *picture, ssize_t primary)
{
        ssize_t known = picture->known;
        if (primary < 0 || known < 0 || primary == known)
                return false;
        if (is_writable(picture, primary) && is_root(picture, primary))
                return picture->servers[primary].fresh || (picture->servers[primary].fenced && !is_up(picture, known));
        return !is_replica(picture, known);
}

/* "db1 and db2"; the caller frees it. */
static char *names_of(const Picture *picture, const bool *flags)
{
        Text text = { 0 };
        size_t left = count(picture, flags);
        for (ssize_t i = 0; i < picture->n; i++)
                if (flags[i]) {
                        text_add(&text, name_of(picture, i));
                        left--;
                        text_add(&text, left > 1 ? ", " : left == 1 ? " and " : "");
                }
        return text_take(&text);
}

/* The only one that is writable. When nobody follows it, while the replicas follow one that cannot be read or the one of
 * the past cannot, it may be an old primary that came back, or a stranger. */
static ssize_t judge_lone_writer(const Picture *picture, ssize_t writer)
{
        if (count_followers(picture, writer) > 0 || picture->known == writer)
                return writer;
        CLEANUP(mem_free) bool *missing = ALLOC_ARRAY(bool, (size_t) picture->n);
        size_t n_missing = find_missing(picture, missing);
        bool known_is_gone = picture->known >= 0 && !is_up(picture, picture->known);
        if (n_missing == 0 && (!known_is_gone || is_outdated(picture, writer)))
                return writer;
        CLEANUP(mem_free) char *names = names_of(picture, missing);
        add_problem(picture, PROBLEM_AMBIGUOUS_PRIMARY, writer, true,
                    "%s is writable, but nobody follows it, and %s, which %s the primary, cannot be read",
                    name_of(picture, writer), n_missing > 0 ? names : name_of(picture, picture->known),
                    n_missing > 0 ? "is followed as" : "was");
        return n_missing > 0 ? most_followed(picture, missing) : writer;
}

/* However many replicas a fenced one still has: they were not attached yet. */
static ssize_t judge_several_writers(const Picture *picture, const bool *writers)
{
        CLEANUP(mem_free) char *names = names_of(picture, writers);
        CLEANUP(mem_free) bool *unfenced = ALLOC_ARRAY(bool, (size_t) picture->n);
        add_problem(picture, PROBLEM_TWO_PRIMARIES, -1, true, "%s are writable at the same time", names);
        for (ssize_t i = 0; i < picture->n; i++)
                unfenced[i] = writers[i] && !picture->servers[i].fenced;
        return most_followed(picture, count(picture, unfenced) > 0 ? unfenced : writers);
}

/* Nobody who writes can be read. Candidates: whom the chains of living replicas begin at, and a writable replica of such
 * a one that is followed itself (half of a circle whose other half is gone). */
static ssize_t judge_missing(const Picture *picture)
{
        CLEANUP(mem_free) bool *candidates = ALLOC_ARRAY(bool, (size_t) picture->n);
        if (find_missing(picture, candidates) == 0)
                return -1;
        for (ssize_t i = 0; i < picture->n; i++)
                if (is_writable(picture, i) && is_replica(picture, i) && source_of(picture, i) >= 0 &&
                    !is_up(picture, source_of(picture, i)) && (count_followers(picture, i) > 0 || i == picture->known))
                        candidates[i] = true;
        for (ssize_t i = 0; i < picture->n; i++)
                candidates[i] = candidates[i] || (is_root(picture, i) && count_followers(picture, i) > 0);
        if (picture->known >= 0 && candidates[picture->known])
                return picture->known;
        if (count(picture, candidates) > 1) {
                CLEANUP(mem_free) char *names = names_of(picture, candidates);
                add_problem(picture, PROBLEM_AMBIGUOUS_PRIMARY, -1, true,
                            "%s may each have been the primary: nobody who is can be read", names);
        }
        return most_followed(picture, candidates);
}

/* All that live are read-only or follow one that is. */
static ssize_t judge_read_only(const Picture *picture)
{
        CLEANUP(mem_free) bool *followed = ALLOC_ARRAY(bool, (size_t) picture->n);
        size_t n = find_followed(picture, followed);
        if (n == 0)
                return -1;
        ssize_t primary = most_followed(picture, followed);
        if (primary < 0) {
                CLEANUP(mem_free) char *names = names_of(picture, followed);
                add_problem(picture, PROBLEM_AMBIGUOUS_PRIMARY, -1, true, "%s are all followed, and none is writable",
                            names);
        }
        return primary;
}

/* No answer tells: the only server, or the one of the past as long as it cannot be read. */
static ssize_t judge_without_answers(const Picture *picture)
{
        ssize_t only = -1;
        size_t n_databases = 0, n_up = 0;
        for (ssize_t i = 0; i < picture->n; i++) {
                n_databases += has_database(picture, i);
                n_up += is_up(picture, i);
                only = has_database(picture, i) ? i : only;
        }
        if (n_databases == 1)
                return only;
        if (n_up > 0 || picture->known < 0)
                add_problem(picture, PROBLEM_NO_PRIMARY, -1, true, "No server %s the primary",
                            n_up > 0 ? "that answers is, or follows," : "answers, and it is not known who was");
        return picture->known >= 0 && !is_up(picture, picture->known) ? picture->known : -1;
}

static ssize_t find_candidate(const Picture *picture)
{
        CLEANUP(mem_free) bool *writers = ALLOC_ARRAY(bool, (size_t) picture->n);
        size_t n = find_writable(picture, writers);
        if (n == 1)
                return judge_lone_writer(picture, most_followed(picture, writers));
        if (n > 1)
                return judge_several_writers(picture, writers);
        ssize_t primary = judge_missing(picture);
        if (primary < 0 && !topology_find(picture->topology, PROBLEM_AMBIGUOUS_PRIMARY))
                primary = judge_read_only(picture);
        if (primary < 0 && !topology_find(picture->topology, PROBLEM_AMBIGUOUS_PRIMARY))
                primary = judge_without_answers(picture);
        return primary;
}

static ssize_t find_primary(const Picture *picture)
{
        ssize_t primary = find_candidate(picture), known = picture->known;
        if (is_outdated(picture, primary)) {
                add_problem(picture, PROBLEM_AMBIGUOUS_PRIMARY, -1, true,
                            "%s is %s, but %s was the primary since and %s, or take it out with 'mhactl server remove'",
                            name_of(picture, primary),
                            is_writable(picture, primary) ? "writable" : "followed as the primary",
                            name_of(picture, known),
                            is_up(picture, known) ? "is read-only: make it writable" : "cannot be read: bring it back");
                return -1;
        }
        if (primary >= 0 && is_up(picture, primary) && picture->servers[primary].view->read_only)
                add_problem(picture, PROBLEM_ALL_READ_ONLY, primary, true,
                            "%s is the primary, but read-only: nobody is writable", name_of(picture, primary));
        return primary;
}

/* Roles. */

static Role role_of(const Picture *picture, ssize_t i)
{
        ssize_t primary = picture->topology->primary;
        if (picture->servers[i].server->observer)
                return ROLE_OBSERVER;
        if (i == primary)
                return ROLE_PRIMARY;
        if (!is_up(picture, i))
                return is_down(picture, i) ? ROLE_DEAD : ROLE_UNKNOWN;
        if (!is_replica(picture, i))
                return ROLE_ALONE;
        if (source_of(picture, i) < 0)
                return ROLE_STRAY;
        if (primary >= 0 && descends_from(picture, i, primary) && descends_from(picture, primary, i))
                return ROLE_CO_PRIMARY;
        ssize_t source = source_of(picture, i);
        return source == primary || (primary < 0 && !is_replica(picture, source)) ? ROLE_REPLICA : ROLE_SUB_REPLICA;
}

/* Problems of single servers. */

static void check_reachable(const Picture *picture, ssize_t i)
{
        const ServerView *view = picture->servers[i].view;
        const char *text = view->evidence_text ? view->evidence_text : evidence_to_string(view->evidence);
        if (is_down(picture, i) && i != picture->topology->primary)
                add_problem(picture, PROBLEM_SERVER_DOWN, i, false, "%s does not answer: %s", name_of(picture, i),
                            text);
        if (view->evidence == EVIDENCE_ERROR)
                add_problem(picture, PROBLEM_SERVER_ERROR, i, false, "%s lives, but answers with an error: %s",
                            name_of(picture, i), text);
        if (view->evidence == EVIDENCE_UNKNOWN && view->evidence_text)
                add_problem(picture, PROBLEM_SERVER_UNASKED, i, false, "%s cannot be asked: %s", name_of(picture, i),
                            text);
        if (view->evidence == EVIDENCE_ALIVE && server_view_refusal(view))
                add_problem(
                        picture, PROBLEM_SERVER_UNREADABLE, i, false,
                        "%s answers, but cannot be read: %s; see that its account has what mhad-privileges(7) grants",
                        name_of(picture, i), server_view_refusal(view));
}

static void check_source(const Picture *picture, ssize_t i, const ReplicaChannel *channel)
{
        ssize_t source = source_of(picture, i), primary = picture->topology->primary;
        const ServerView *view = picture->servers[i].view;
        CLEANUP(mem_free) char *followed = host_and_port(channel->source_host, channel->source_port);
        if (view->n_channels > 1 || !text_is_empty(channel->name))
                add_problem(picture, PROBLEM_SEVERAL_CHANNELS, i, true,
                            "%s replicates over %zu channel%s, of which one is called '%s': only the default channel "
                            "is supported",
                            name_of(picture, i), view->n_channels, view->n_channels == 1 ? "" : "s",
                            text_is_empty(channel->name) ? view->channels[view->n_channels - 1].name : channel->name);
        if (source < 0)
                add_problem(picture, PROBLEM_UNKNOWN_SOURCE, i, true,
                            "%s follows %s, which is not a server of this cluster", name_of(picture, i), followed);
        else if (primary >= 0 && !descends_from(picture, i, primary))
                add_problem(picture, PROBLEM_OTHER_SOURCE, i, false, "%s follows %s, not the primary %s",
                            name_of(picture, i), name_of(picture, source), name_of(picture, primary));
}

static void check_receiver(const Picture *picture, ssize_t i, const ReplicaChannel *channel)
{
        ssize_t source = source_of(picture, i);
        bool source_is_lost = source >= 0 && is_down(picture, source);
        if (channel->receiver == RECEIVER_CONNECTED || (channel->receiver == RECEIVER_CONNECTING && source_is_lost))
                return;
        if (channel->receiver_errno != 0)
                add_problem(picture, PROBLEM_RECEIVER_ERROR, i, false, "%s does not receive: %s (%d)",
                            name_of(picture, i), channel->receiver_error ? channel->receiver_error : "",
                            channel->receiver_errno);
        else if (channel->receiver == RECEIVER_STOPPED)
                add_problem(picture, PROBLEM_RECEIVER_STOPPED, i, false, "%s does not receive: its receiver is stopped",
                            name_of(picture, i));
}

static void check_applier(const Picture *picture, ssize_t i, const ReplicaChannel *channel)
{
        if (channel->applier_running)
                return;
        if (channel->applier_errno != 0)
                add_problem(picture, PROBLEM_APPLIER_ERROR, i, false, "%s does not apply: %s (%d)", name_of(picture, i),
                            channel->applier_error ? channel->applier_error : "", channel->applier_errno);
        else
                add_problem(picture, PROBLEM_APPLIER_STOPPED, i, false, "%s does not apply: its applier is stopped",
                            name_of(picture, i));
}

static void check_replica(const Picture *picture, ssize_t i, int64_t max_lag)
{
        const ReplicaChannel *channel = main_channel(picture, i);
        const ServerView *view = picture->servers[i].view;
        check_source(picture, i, channel);
        check_receiver(picture, i, channel);
        check_applier(picture, i, channel);
        if (!view->read_only && !is_in_circle(picture, i))
                add_problem(picture, PROBLEM_WRITABLE_REPLICA, i, false, "%s is a replica, but writable",
                            name_of(picture, i));
        if (channel->delay > 0)
                add_problem(picture, PROBLEM_DELAYED, i, false,
                            "%s stays %lld s behind on purpose: it is never promoted", name_of(picture, i),
                            (long long) channel->delay);
        else if (max_lag > 0 && channel->lag >= max_lag)
                add_problem(picture, PROBLEM_LAG, i, false, "%s is %lld s behind", name_of(picture, i),
                            (long long) channel->lag);
        if (!view->log_bin)
                add_problem(picture, PROBLEM_NO_BINLOG, i, false, "%s writes no binary log: it is never promoted",
                            name_of(picture, i));
}

/* What a dead primary said last counts: the other manager is about to act. */
static void check_manager(const Picture *picture, ssize_t i)
{
        const ServerView *view = picture->servers[i].view;
        bool primary = i == picture->topology->primary;
        if (view->manager && (primary || is_up(picture, i)))
                add_problem(picture, PROBLEM_OTHER_MANAGER, i, true,
                            "%s has MHA's lock on %s: %s; end it, or set failover.mode: monitor here", view->manager,
                            name_of(picture, i),
                            primary ? "another manager is in charge of the cluster"
                                    : "another manager is at work, or its purge_relay_logs");
}

static void check_semi_sync(const Picture *picture, ssize_t i)
{
        const ServerView *view = picture->servers[i].view;
        if (i == picture->topology->primary && is_up(picture, i) && server_view_is_locked(view))
                add_problem(picture, PROBLEM_LOCKED, i, false,
                            "%s is locked by semi-sync: its writers wait for %u replica%s to acknowledge, and %u can",
                            name_of(picture, i), view->semi_sync_wait_count, view->semi_sync_wait_count == 1 ? "" : "s",
                            view->semi_sync_clients);
}

static void check_filters(const Picture *picture)
{
        ssize_t first = -1;
        for (ssize_t i = 0; i < picture->n; i++) {
                const ReplicaChannel *channel = main_channel(picture, i);
                if (!channel)
                        continue;
                if (first < 0)
                        first = i;
                else if (!text_equal(channel->filters, main_channel(picture, first)->filters))
                        add_problem(picture, PROBLEM_FILTERS_DIFFER, i, false,
                                    "%s has other replication filters than %s", name_of(picture, i),
                                    name_of(picture, first));
        }
}

static bool is_same_identity(const ServerView *a, const ServerView *b)
{
        return uuid_is(a->server_uuid, b->server_uuid) || (a->server_id != 0 && a->server_id == b->server_id);
}

static void check_pairs(const Picture *picture)
{
        ssize_t other_flavour = -1;
        for (ssize_t i = 0; i < picture->n; i++)
                for (ssize_t j = 0; j < i; j++) {
                        if (!is_up(picture, i) || !is_up(picture, j))
                                continue;
                        const ServerView *a = picture->servers[i].view, *b = picture->servers[j].view;
                        if (is_same_identity(a, b))
                                add_problem(picture, PROBLEM_DUPLICATE_ID, i, true,
                                            "%s and %s have the same server_id or UUID, or are one server",
                                            name_of(picture, j), name_of(picture, i));
                        if (a->version.flavour != b->version.flavour)
                                other_flavour = i;
                }
        if (other_flavour >= 0)
                add_problem(picture, PROBLEM_MIXED_FLAVOURS, other_flavour, true,
                            "MySQL and MariaDB are mixed in this cluster");
}

static void find_problems(const Picture *picture, int64_t max_lag)
{
        for (ssize_t i = 0; i < picture->n; i++) {
                if (!has_database(picture, i))
                        continue;
                check_reachable(picture, i);
                check_manager(picture, i);
                check_semi_sync(picture, i);
                if (picture->topology->entries[i].role == ROLE_ALONE)
                        add_problem(picture, PROBLEM_ALONE, i, false,
                                    "%s does not replicate, and nobody counts on it as the primary",
                                    name_of(picture, i));
                if (is_replica(picture, i))
                        check_replica(picture, i, max_lag);
        }
        check_filters(picture);
        check_pairs(picture);
}

static ssize_t index_of(const TopologyServer *servers, size_t n_servers, const char *name)
{
        for (size_t i = 0; name && i < n_servers; i++)
                if (text_equal(servers[i].server->name, name) && !servers[i].server->observer)
                        return (ssize_t) i;
        return -1;
}

Topology topology_read(const TopologyServer *servers, size_t n_servers, const char *known_primary, int64_t max_lag)
{
        Topology topology = { .n_entries = n_servers, .primary = -1 };
        if (n_servers == 0)
                return topology;
        topology.entries = ALLOC_ARRAY(TopologyEntry, n_servers);
        Picture picture = { servers, (ssize_t) n_servers, index_of(servers, n_servers, known_primary), &topology };
        for (size_t i = 0; i < n_servers; i++)
                topology.entries[i].source = -1;
        find_sources(&picture);
        topology.primary = find_primary(&picture);
        topology.primary_down = topology.primary >= 0 && is_down(&picture, topology.primary);
        for (ssize_t i = 0; i < picture.n; i++)
                topology.entries[i].role = role_of(&picture, i);
        find_problems(&picture, max_lag);
        return topology;
}

void topology_done(Topology *topology)
{
        for (size_t i = 0; i < topology->n_problems; i++)
                free(topology->problems[i].text);
        free(topology->problems);
        free(topology->entries);
        *topology = (Topology){ .primary = -1 };
}

const Problem *topology_blocker(const Topology *topology)
{
        for (size_t i = 0; i < topology->n_problems; i++)
                if (topology->problems[i].blocks)
                        return &topology->problems[i];
        return NULL;
}

const Problem *topology_find(const Topology *topology, ProblemId id)
{
        for (size_t i = 0; i < topology->n_problems; i++)
                if (topology->problems[i].id == id)
                        return &topology->problems[i];
        return NULL;
}

ssize_t topology_find_apart(const Topology *topology, const bool *left_out)
{
        for (size_t i = 0; i < topology->n_entries; i++) {
                ssize_t at = (ssize_t) i;
                for (size_t steps = 0; at >= 0 && at != topology->primary && steps < topology->n_entries; steps++)
                        at = topology->entries[at].source;
                bool follows = at >= 0 && at == topology->primary;
                if (!follows && !left_out[i] && topology->entries[i].role != ROLE_OBSERVER)
                        return (ssize_t) i;
        }
        return -1;
}

bool problem_is_same(const Problem *a, const Problem *b)
{
        /* A server's may change its words each second, as an unreachable one's do; that of a cluster names whom it is about. */
        return a->id == b->id && a->server == b->server && (a->server >= 0 || text_equal(a->text, b->text));
}
