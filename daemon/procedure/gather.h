/* Before anything is opened: freeze what each replica has, choose, and bring the chosen one to the end. */
#pragma once

#include "step.h"

void decide_dead(const Facts *facts, Judgement *judgement);
void judge_receiver_stopped(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_stop_receiver(const Facts *facts, const char *server, const Replies *seen, Script *script);
void decide_candidate(const Facts *facts, Judgement *judgement);
/* Once more by the rules of a run that saves nothing, when what the chosen one lacks could not be saved. */
bool skip_choose_again(const Facts *facts);
void decide_candidate_again(const Facts *facts, Judgement *judgement);
bool skip_without_donor(const Facts *facts);
void judge_drained(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_start_applier(const Facts *facts, const char *server, const Replies *seen, Script *script);
void judge_fed(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_feed(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Undo: replicas receive from the old primary again. */
void judge_receiver_restored(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_restore_receiver(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Of those that were too slow to stop. */
void ask_left_out(const Facts *facts, const char *server, Script *script);
void judge_left_out_restored(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_restore_left_out(const Facts *facts, const char *server, const Replies *seen, Script *script);
