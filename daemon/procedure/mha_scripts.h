/* Scripts that were written for MHA, with MHA's arguments in MHA's order. They are hooks that get {"arguments": […]}; a
 * password in one is the placeholder "${sql_password}". */
#pragma once

#include "step.h"

/* The script that takes the place of a hook ("stop", "start", "shutdown") in this procedure, as script_hook() wants its
 * name; NULL when none is configured. */
const char *mha_script_for(const Facts *facts, const char *hook);
/* As mhad says it: "status", "stop", "start", and "back", which is a start with the old primary in the place of the new
 * one and is what takes a stop back. */
void mha_ask(const Facts *facts, const char *script_name, const char *command, Script *script);
/* 0 and 10 are good, the latter with a word about it. */
void mha_judge(const Replies *replies, Judgement *judgement);
/* shutdown_script: 0 says that the power is off, 10 that the process is gone; with anything else MHA gives the failover up,
 * and so do we: "shutdown_refused" is learned. */
void mha_judge_shutdown(const Facts *facts, const Replies *replies, Judgement *judgement);
/* report_script, when a failover has ended that touched anything; else nothing is added. conf: the cluster's file. */
void mha_ask_report(const Facts *facts, const Json *report, const char *conf, Script *script);
/* The status command of the n-th of those that have one, about the primary of facts. */
void mha_ask_status(const Facts *facts, size_t n, Script *script); /* n below MHA_N_STATUS */
#define MHA_N_STATUS 2
/* secondary_check_script about the primary of facts: 0 nobody reaches it, 2 nobody could be asked, 3 somebody does. */
void mha_ask_secondary(const Facts *facts, Script *script);
