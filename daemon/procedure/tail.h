/* What the old primary had logged and nobody may have received: finding it, saving it, and what to do when it cannot be had.
 *
 * Facts: of the old primary "tail" {"index", "files": [{"file", "path", "size"}], "end"} (what lies on its host, when it could
 * be read), "tail_failure" (why not) and "saved" (why its logs could not be copied, as "failure", with its "cause", a FetchEnd or
 * "time", and whether its host is "unreachable" now; or how well they were, and where a copy cannot be read, as "damage"); of
 * the run "tail_lost" (what tail_not_had() was when it went on without it); of each replica "saved": what the saved logs hold
 * for it, as the rescue answers, and "needed": whether it lacks any of that. */
#pragma once

#include "observation.h"
#include "step.h"

/* Asks a server's host for its binary logs: all that its index names, from first on when that is set. Where the index is the
 * view knows; else it is looked for in folders (with commas between them; NULL: the usual ones) as the one that names last. */
void tail_list(const ServerView *view, const char *folders, const Position *first, const Position *last, bool may_fail,
               Script *script);
/* {"index", "files": [{"file", "path", "size"}], "end"}; NULL when it is nothing of use, or where the last log ends is not
 * known. */
Json *tail_read_list(const Reply *reply);
/* Why that is; the caller frees it. */
char *tail_why_not_listed(const Reply *reply);
/* An item that lists the logs of an index on a server's host, from the file called first on. When the index is not known, it
 * is looked for in folders (separated by commas) as that which names the file called known. */
typedef struct LogPlace {
        const char *index, *data, *folders, *first, *known; /* NULL: not known */
} LogPlace;
void logs_ask(const LogPlace *place, bool may_fail, Script *script);
/* Whether this run saves logs at all. */
bool rescue_is_on(const Facts *facts);
/* Where the old primary's own log ends; unset when that is not known. */
Position tail_end(const Facts *facts);
/* Adds the question what the saved logs hold for a server that has applied and received what the view says. */
void tail_question(const Facts *facts, const char *server, const ServerView *view, Json *questions);
/* The order that copies the old primary's logs from a position on; NULL when none of them is needed. last_files counts from
 * the end of the log when the position is unset. */
Json *tail_order(const Facts *facts, const Position *from, size_t last_files);
/* The order that copies what it has logged in the file that it began when it was started again, up to a position in it;
 * NULL when its logs were not found. */
Json *tail_order_next(const Facts *facts, const Position *to);
/* What lies on the old primary's disk, was not saved, and no replica can give the candidate; NULL for nothing. To be asked
 * before anybody is fed: by GTID a candidate's positions are its donor's afterwards. The caller frees it. */
char *tail_not_had(const Facts *facts);
/* By GTID: what a replica has received, and the candidate lacks and is not given by its donor. The caller frees it. */
GtidSet *tail_lacked(const Facts *facts, const char *giver);
/* Whether the old primary's log is at hand: saved, or the candidate can have all of it elsewhere. */
bool tail_is_had(const Facts *facts);
/* The lowest position that a replica of the run has applied and the highest that one has received. */
void tail_extremes(const Facts *facts, Position *ret_lowest, Position *ret_highest);
/* "borders" of an order: where the replicas stand. */
void tail_add_borders(const Facts *facts, Json *order);
/* How many bytes of the old primary's log lie behind a position. */
uint64_t tail_bytes(const Facts *facts, const Position *from);
/* The rescue's answer in a reply; NULL when it is none. The caller frees it. */
Json *rescue_answer(const Reply *reply);
/* A plan is made: nothing is copied or fed, only said. */
bool rescue_is_planned(const Facts *facts);
/* What the candidate lacks and the logs hold; NULL when that is nothing, or not known. In a plan, what there is now. */
const Json *rescue_needed(const Facts *facts);

bool skip_find_tail(const Facts *facts);
void ask_tail(const Facts *facts, const char *server, Script *script);
void judge_tail_found(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);

bool skip_collect_tail(const Facts *facts);
void ask_collected(const Facts *facts, const char *server, Script *script);
void judge_tail_collected(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_collect_tail(const Facts *facts, const char *server, const Replies *seen, Script *script);

bool skip_weigh(const Facts *facts);
void ask_weigh(const Facts *facts, const char *server, Script *script);
void judge_weighed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);

bool skip_tail_is_enough(const Facts *facts);
void decide_tail_is_enough(const Facts *facts, Judgement *judgement);
