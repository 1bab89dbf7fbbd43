/* The roles change hands: siblings are moved ahead, the new primary is detached, the old one becomes a replica. */
#pragma once

#include "observation.h"
#include "step.h"

/* Before the block: by GTID the others can follow the candidate already. */
bool skip_premove(const Facts *facts);
void judge_premoved(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_premove(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Two primaries that follow each other, ahead of the block and undone: what is written to the new one must not come to those
 * that still follow the old one. Replication goes on when the old primary is made a replica. */
bool skip_circle(const Facts *facts);
bool skip_circle_undo(const Facts *facts);
void judge_circle_open(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_circle_open(const Facts *facts, const char *server, const Replies *seen, Script *script);
void judge_circle_closed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_circle_close(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* After it: the candidate follows nobody; not when the old primary follows it in a circle, and goes on doing so. Else that one
 * follows nobody either. */
bool skip_let_go(const Facts *facts);
bool skip_let_go_old(const Facts *facts);
void judge_let_go(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* Every other replica follows the new primary, as soon as it has all of the old one's log. */
void ask_follow_on(const Facts *facts, const char *server, Script *script);
void judge_follows_on(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_follow_on(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Of one that points at the candidate: is it well? What makes it well. */
void handover_judge_attached(const Facts *facts, const ReplicaChannel *channel, Judgement *judgement);
void handover_start_again(const ServerView *view, const ReplicaChannel *channel, Script *script);
/* The old primary follows the new one. */
bool skip_demote(const Facts *facts);
void judge_demoted(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_demote(const Facts *facts, const char *server, const Replies *seen, Script *script);
