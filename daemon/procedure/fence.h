/* The fence: rungs that keep the old primary from being written to, each with what it guarantees, and the decision whether
 * that is enough to open another one. */
#pragma once

#include "step.h"

bool skip_fence_process(const Facts *facts); /* SSH or the rung is switched off */
void ask_process(const Facts *facts, const char *server, Script *script);
void judge_process_gone(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_process_stop(const Facts *facts, const char *server, const Replies *seen, Script *script);
void decide_fence_is_enough(const Facts *facts, Judgement *judgement);
