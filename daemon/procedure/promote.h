/* The candidate becomes the primary. */
#pragma once

#include "step.h"

void judge_detached(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_detach(const Facts *facts, const char *server, const Replies *seen, Script *script);
void ask_read_only(const Facts *facts, const char *server, Script *script);
void judge_writable(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_open(const Facts *facts, const char *server, const Replies *seen, Script *script);
bool skip_semi_sync(const Facts *facts); /* the old primary did not use it */
void ask_semi_sync(const Facts *facts, const char *server, Script *script);
void judge_semi_sync_source(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_semi_sync_source(const Facts *facts, const char *server, const Replies *seen, Script *script);
