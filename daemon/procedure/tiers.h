/* Replicas of replicas that are to follow the new primary itself. By global transaction ids that is a change of source like
 * any other; by position each waits until the server that it follows stands at the end, and until it has that much. */
#pragma once

#include "step.h"

/* By position: where the log of a server ends that others may follow, once it has all that the old primary had. */
bool skip_tier_end(const Facts *facts);
void judge_tier_end(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void judge_raised(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_raise(const Facts *facts, const char *server, const Replies *seen, Script *script);
