/* The write block: nobody writes any more, the candidate gets to the very end, and all of it can be taken back. */
#pragma once

#include "step.h"

/* Before: where the primary is, and the candidate there too. The second look is taken when the first was reached, so that
 * what is left is what was written meanwhile. */
void ask_sample(const Facts *facts, const char *server, Script *script);
void judge_sample(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void ask_caught_up(const Facts *facts, const char *server, Script *script);
void judge_caught_up(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* The same, but that it is no failure when it is not near. */
bool skip_nearer(const Facts *facts); /* it is near, or too far */
void judge_nearer(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);

/* By position: the candidate tells at once how far it has come. */
bool skip_pace(const Facts *facts);
void ask_pace(const Facts *facts, const char *server, Script *script);
void judge_pace_known(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void judge_pace_quick(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_pace_quick(const Facts *facts, const char *server, const Replies *seen, Script *script);
bool skip_pace_back(const Facts *facts); /* it was not changed */
void judge_pace_back(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_pace_back(const Facts *facts, const char *server, const Replies *seen, Script *script);

/* Nobody writes, whatever his privileges; learns the end. */
void ask_blocked(const Facts *facts, const char *server, Script *script);
void judge_blocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_block(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Where a session that ends may log something, in spite of the block: all have ended; learns the end anew. */
bool skip_end_clients(const Facts *facts);
void judge_clients_ended(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_end_clients(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Clients may come to the candidate early only where privileged accounts cannot write to it either. */
bool skip_give_early(const Facts *facts);
bool skip_give_late(const Facts *facts);
/* The candidate has applied everything up to the end; learns where its own log ends. */
void ask_reached_end(const Facts *facts, const char *server, Script *script);
void judge_reached_end(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* The block has held, and nothing was written since. */
void judge_still_blocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);

/* Nobody waits for the lock: he would never be answered once the address is gone, or write when the lock is. */
void ask_waiting(const Facts *facts, const char *server, Script *script);
void judge_nobody_waits(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_end_waiting(const Facts *facts, const char *server, const Replies *seen, Script *script);

/* After: no client session of before is left (at once, or after the grace), then no lock. */
bool skip_end_sessions(const Facts *facts);
bool skip_end_late_sessions(const Facts *facts);
void ask_sessions(const Facts *facts, const char *server, Script *script);
void judge_sessions_ended(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_end_sessions(const Facts *facts, const char *server, const Replies *seen, Script *script);
bool skip_unlock(const Facts *facts);
void judge_unlocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_unlock(const Facts *facts, const char *server, const Replies *seen, Script *script);

/* Undo: it takes writes as before. */
bool skip_undo(const Facts *facts); /* nothing was changed */
bool skip_undo_address(const Facts *facts);
void judge_unblocked(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_unblock(const Facts *facts, const char *server, const Replies *seen, Script *script);
