/* When the old primary's own log cannot be had: what one replica has received and another has not (by GTID: the candidate, and
 * its donor does not give it) is saved from its relay logs. Facts: of each that was saved, "relayed". */
#pragma once

#include "step.h"

bool skip_collect_relays(const Facts *facts);
void ask_relays(const Facts *facts, const char *server, Script *script);
void judge_relays_collected(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_collect_relays(const Facts *facts, const char *server, const Replies *seen, Script *script);
