/* Scheduled events follow the role: those that ran on the old primary run on the new one, and nowhere else. */
#pragma once

#include "step.h"

/* Checks of a switchover: which there are is put on record, on both sides. */
void ask_events(const Facts *facts, const char *server, Script *script);
void judge_events_known(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void judge_events_possible(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* Ahead of the block, and its undoing. */
void judge_events_rest(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_events_rest(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* The same where nobody may write, whatever his privileges: no event can be altered then, so for that long only those without
 * privileges may not. */
void act_events_rest_closed(const Facts *facts, const char *server, const Replies *seen, Script *script);
void judge_events_back(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_events_back(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* The new primary, after a failover too: then what the daemon saw on the old one while it lived is what counts. */
void judge_events_run(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_events_run(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* For the next run, should the new primary die before anybody has read from it what runs there: {"events", "event_scheduler"} as
 * they are to be known of it; NULL when they are not known. The caller frees it. */
Json *events_to_know(const Facts *facts);
/* The old primary's scheduler becomes what the new one's was. */
bool skip_scheduler(const Facts *facts);
void judge_scheduler(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_scheduler(const Facts *facts, const char *server, const Replies *seen, Script *script);
