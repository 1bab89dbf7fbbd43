/* Steps that run a configured hook: the hook is asked itself, and its exit status is the answer. A hook may be run again
 * after a restart of the daemon, so it must be able to find its work already done. */
#pragma once

#include "step.h"

bool hook_is_configured(const Facts *facts, const char *name);
/* One of each per hook of a failover: {"hook", "cluster", "run", "procedure", "old_primary": {…}, "new_primary": {…}} on
 * its standard input. */
bool skip_prepare_hook(const Facts *facts);
void ask_prepare_hook(const Facts *facts, const char *server, Script *script);
bool skip_stop_hook(const Facts *facts);
void ask_stop_hook(const Facts *facts, const char *server, Script *script);
bool skip_shutdown_hook(const Facts *facts);
void ask_shutdown_hook(const Facts *facts, const char *server, Script *script);
bool skip_start_hook(const Facts *facts);
void ask_start_hook(const Facts *facts, const char *server, Script *script);
bool skip_abort_hook(const Facts *facts);
void ask_abort_hook(const Facts *facts, const char *server, Script *script);
void judge_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* The same, and a rung of the fence when it succeeded: the old primary's host has no power. */
void judge_shutdown_hook(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
