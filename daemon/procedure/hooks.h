/* Steps that run a configured hook: the hook is asked itself, and its exit status is the answer. A hook may be run again
 * after a restart of the daemon, so it must be able to find its work already done. */
#pragma once

#include "step.h"

bool hook_is_configured(const Facts *facts, const char *name);
/* A failure before the point of no return takes the run back: then what the hooks stop and prepare did is taken back, in
 * this order, by the hook abort, which is told which of them it "undoes". Those that were run are in facts "hooks_run".
 * Their input: {"hook", "undoes", "cluster", "run", "procedure", "old_primary": {…}, "new_primary": {…}}. In the place of
 * stop, start and shutdown a script of MHA's may be run (mha_scripts.h). */
/* Outside of runs, and by the checks of a switchover: whether the hooks would work, by the hook status (its input: {"hook",
 * "cluster", "old_primary"}, which is the present one) and by MHA's scripts. n is below HOOK_N_STATUS; nothing is added when
 * there is none of that number. */
#define HOOK_N_STATUS 3
void hook_ask_status(const Facts *facts, size_t n, Script *script);
char *hook_judge_status(const Reply *reply); /* what is wrong, for people; NULL: nothing. The caller frees it */

bool skip_status_hook(const Facts *facts);
void ask_status_hook(const Facts *facts, const char *server, Script *script);
void judge_status_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
bool skip_prepare_hook(const Facts *facts);
void ask_prepare_hook(const Facts *facts, const char *server, Script *script);
void judge_prepare_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
bool skip_stop_hook(const Facts *facts);
void ask_stop_hook(const Facts *facts, const char *server, Script *script);
void judge_stop_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
bool skip_start_hook(const Facts *facts);
void ask_start_hook(const Facts *facts, const char *server, Script *script);
void judge_start_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
bool skip_abort_stop_hook(const Facts *facts);
void ask_abort_stop_hook(const Facts *facts, const char *server, Script *script);
bool skip_abort_prepare_hook(const Facts *facts);
void ask_abort_prepare_hook(const Facts *facts, const char *server, Script *script);
/* A rung of the fence when it succeeds: the old primary's host has no power. */
bool skip_shutdown_hook(const Facts *facts);
void ask_shutdown_hook(const Facts *facts, const char *server, Script *script);
void judge_shutdown_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
