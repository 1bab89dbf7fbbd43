/* Watching one server: a connection that is kept, a question at each interval, and what the answers say. */
#pragma once

#include "config.h"
#include "gate.h"
#include "histogram.h"
#include "loop.h"
#include "mhalock.h"
#include "observation.h"
#include "resolve.h"
#include "server.h"

typedef struct Watch Watch;

/* The view has changed in something that may matter (evidence, role, threads, errors): from the loop, never from inside a
 * call. Positions and lag that merely advance do not count. */
typedef void (*watch_fn)(Watch *watch, void *userdata);

/* All arguments are lent and outlive the watch. phase spreads the first question over the interval (0 to 1). */
Watch *watch_new(Loop *loop, Resolver *resolver, Gate *gate, const ClusterConfig *config, const Server *server,
                 double phase, watch_fn changed, void *userdata);
Watch *watch_free(Watch *watch);

const Server *watch_server(const Watch *watch);
const ServerView *watch_view(const Watch *watch);
/* What its host resolves to; *ret_n 0 while that is not known. Lent. */
const char *const *watch_addresses(const Watch *watch, size_t *ret_n);
usec_t watch_last_ping(const Watch *watch);       /* how long the last good question took; 0: none yet */
const Histogram *watch_pings(const Watch *watch); /* how long all of them took. Lent */
usec_t watch_last_good_real(const Watch *watch);  /* wall clock of the last answer; 0: none yet */
/* How often a question came more than half an interval after its time, or was left out because the answers to the last
 * had not come: 0 while watching is in time. */
uint64_t watch_late_ticks(const Watch *watch);
usec_t watch_asked_at(const Watch *watch); /* when the last attempt that has ended, well or not, began; 0: none */

/* Which of MHA's locks its session is to have. */
void watch_set_lock(Watch *watch, MhaLock lock);
/* The session that had one last, "" for none; a former process's may be handed in. */
const char *watch_lock_session(const Watch *watch);
void watch_remember_lock_session(Watch *watch, const char *session);
/* What a former process knew of it: identities_of(). To be handed in before it is asked. */
void watch_recall(Watch *watch, const Json *kept);
/* Whether it has said since the last call who it is, or which events it has, and that is not what it said before. */
bool watch_take_new_identity(Watch *watch);
/* Whether it is the primary: decides what is asked at each interval. */
void watch_set_primary(Watch *watch, bool primary);
/* Whether it is to be connected before others are, as whoever was the primary when a former process watched it. */
void watch_set_urgent(Watch *watch, bool urgent);
/* Something is wrong somewhere: ask now, and when there is no connection try at short intervals until watch_relax(). */
void watch_hurry(Watch *watch);
void watch_relax(Watch *watch);
