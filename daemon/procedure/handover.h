/* The roles change hands: siblings are moved ahead, the new primary is detached, the old one becomes a replica. */
#pragma once

#include "step.h"

/* Before the block: by GTID the others can follow the candidate already. */
bool skip_premove(const Facts *facts);
void judge_premoved(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_premove(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* After it: the candidate follows nobody; not when the old primary follows it in a circle. */
bool skip_let_go(const Facts *facts);
void judge_let_go(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* Every other replica follows the new primary, as soon as it has all of the old one's log. */
void ask_follow_on(const Facts *facts, const char *server, Script *script);
void judge_follows_on(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_follow_on(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* The old primary follows the new one. */
bool skip_demote(const Facts *facts);
void judge_demoted(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_demote(const Facts *facts, const char *server, const Replies *seen, Script *script);
