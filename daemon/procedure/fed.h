/* A replica that is fed out of the saved logs, in the dead primary's place. How it replicated before is on record in its
 * facts as "former" before it is pointed at the feed, and what it was fed as "fed" afterwards. */
#pragma once

#include "observation.h"
#include "step.h"

bool skip_rescue(const Facts *facts); /* the candidate lacks nothing that is saved */
/* Before it is fed, it applies what it has: unless its version keeps that while it is pointed elsewhere. */
bool skip_settle(const Facts *facts);

void ask_feed(const Facts *facts, const char *server, Script *script);
void judge_feed_waits(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_order_feed(const Facts *facts, const char *server, const Replies *seen, Script *script);

void ask_rescued(const Facts *facts, const char *server, Script *script);
void judge_rescued(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_rescue(const Facts *facts, const char *server, const Replies *seen, Script *script);

/* Adds the order that ends its feed; does no harm when there is none. */
void fed_end(const Facts *facts, const char *server, Script *script);
