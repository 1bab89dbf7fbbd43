/* The other replicas follow the new primary; none waits for another, none is attached with a hole in it. */
#pragma once

#include "step.h"

void ask_repoint(const Facts *facts, const char *server, Script *script);
void judge_follows_candidate(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_follow_candidate(const Facts *facts, const char *server, const Replies *seen, Script *script);
bool skip_read_only(const Facts *facts); /* failover.set_read_only is off */
void judge_read_only(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_read_only(const Facts *facts, const char *server, const Replies *seen, Script *script);
void judge_level(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
