/* What several goals ask of a database, and how they read it. */
#pragma once

#include "observation.h"
#include "step.h"

/* Everything that changes while replication does: tick, replication status, own binary log. */
void ask_status(const Facts *facts, const char *server, Script *script);
/* Twice, a moment apart: a replica that stands still inside an unfinished transaction shows the same both times. */
void ask_status_twice(const Facts *facts, const char *server, Script *script);
/* The view of a server: what the facts say, brought up to date with the replies of ask_status() that begin at first.
 * NULL when they cannot be read; the judgement says why (UNMET). The caller frees it. */
ServerView *status_read(const Facts *facts, const char *server, const Replies *replies, size_t first,
                        Judgement *judgement);
/* The view that the facts alone give, and the dialect in it: of a server that was never identified it is that of the new
 * primary, or of another server. Never NULL; the caller frees the view. */
ServerView *status_known(const Facts *facts, const char *server);
/* The replies of one ask_status(). */
enum { STATUS_TICK, STATUS_REPLICA, STATUS_BINLOG, _STATUS_MAX };

/* Whether everything that it received is applied. */
bool status_is_level(const ServerView *view, const ReplicaChannel *channel, bool gtid);
/* How long status_ask_pause() pauses for that server, in seconds: not at all when it was level when it was frozen and was fed
 * nothing since, or when it was seen to be level at the end of its feed. Else long enough for parallel appliers, which tell
 * their position at each checkpoint (every 300 ms by default), and to see a rate; so, too, for one of which nobody knows whether it has some. */
double status_pause(const Facts *facts, const char *server);
/* Between two looks at the replication status: a pause, and how many parallel appliers have nothing to do. One item. */
void status_ask_pause(const Facts *facts, const char *server, bool pause, Script *script);
/* Whether its applier has begun with everything that was received; parallel ones may still be at work on it. */
bool status_has_read_all(const ReplicaChannel *channel);
/* Whether its applier has done all that it can between two such looks, the first of which showed before: it has read
 * everything, and no parallel one is still at work on it. view is the second look, the reply that of the pause. */
bool status_stands_still(const ServerView *view, const ReplicaChannel *before, const Reply *pause);
/* Somebody has taken it out for a while, and its threads do not both run: it is left as it is. */
bool status_rests(const Facts *facts, const char *server, const ServerView *view);
/* Whether a channel of server points at source: by the configured host, by its resolved address, or as it did when the run
 * began, when it followed source ("follows") by whatever other name ("follows_at"). */
bool status_follows(const Facts *facts, const char *server, const ReplicaChannel *channel, const char *source);
bool status_follows_old(const Facts *facts, const char *server, const ReplicaChannel *channel); /* the old primary */
/* What "follows_at" is for a channel: {"host", "port"}. The caller frees it. */
Json *status_follows_at(const ReplicaChannel *channel);
/* What a replica of the run has received, without what it has written itself and the old primary was never seen to have: an
 * election tells of that, and the others lack it for good reason. (MariaDB's ids do not tell who wrote them first.) The caller
 * frees it. */
GtidSet *status_received(const Facts *facts, const char *server);
/* Whether the run's replicas use global transaction ids; true while that is not decided. */
bool status_is_gtid(const Facts *facts);
/* The same of one of them, by its channel while that is not decided. */
bool status_finds_by_gtid(const Facts *facts, const ReplicaChannel *channel);
