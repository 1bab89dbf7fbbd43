/* An opening that was ordered and not confirmed is taken back: first it is made sure that the candidate takes no writes. */
#pragma once

#include "step.h"

/* It is read-only, or its process is gone; what it has taken meanwhile is on record. */
bool skip_close(const Facts *facts); /* it was not told to open */
void ask_closed(const Facts *facts, const char *server, Script *script);
void judge_closed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_close(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* One that does not answer: its process is ended, as a dead primary's. */
bool skip_end_candidate(const Facts *facts);
/* What stands in the log of one whose process is gone. */
bool skip_weigh_candidate(const Facts *facts);
void ask_weigh_candidate(const Facts *facts, const char *server, Script *script);
void judge_candidate_weighed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
