/* A replica that is fed out of the saved logs, in the dead primary's place. How it replicated before is on record in its
 * facts as "former" before it is pointed at the feed, and what it was fed as "fed" afterwards. */
#pragma once

#include "observation.h"
#include "step.h"

bool skip_rescue(const Facts *facts);       /* the candidate lacks nothing that is saved */
bool skip_without_feed(const Facts *facts); /* or its feed could not be opened */
/* Before it is fed, it applies what it has: unless its version keeps that while it is pointed elsewhere. */
bool skip_settle(const Facts *facts);

void ask_feed(const Facts *facts, const char *server, Script *script);
void judge_feed_waits(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_order_feed(const Facts *facts, const char *server, const Replies *seen, Script *script);

void ask_rescued(const Facts *facts, const char *server, Script *script);
void judge_rescued(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_rescue(const Facts *facts, const char *server, const Replies *seen, Script *script);

/* The same for any replica that was frozen, by position: how far it is towards having everything up to end. */
typedef enum FedStage {
        FED_HOPELESS,
        FED_UNSAVED,   /* what it lacks is to be copied */
        FED_WAITING,   /* for a copy, or for the way to it */
        FED_UNORDERED, /* a feed is to be ordered */
        FED_UNPOINTED, /* it is to be pointed at its feed */
        FED_STOPPED,   /* it is, and its threads do not run */
        FED_GOING,
        FED_LEVEL, /* it is behind the end, where the old primary wrote no transaction when it was started again */
} FedStage;

/* What to ask, as one item; what the reply means for a replica that stands still; and what is to be done about it. why says
 * how it is, for people. */
void fed_ask(const Facts *facts, const char *server, const char *end, Script *script);
FedStage fed_stage(const Facts *facts, const char *server, const ServerView *view, const Reply *reply, const char *end,
                   char **ret_why);
void fed_act(const Facts *facts, const char *server, const ServerView *view, const Reply *reply, const char *end,
             Script *script);
/* Whether there is a feed for it, and whether its channel points there. */
bool fed_is_ordered(const char *server, const Reply *reply);
bool fed_follows(const char *server, const ServerView *view, const Reply *reply);

/* Whether it is on record that the candidate was fed, or was about to be. */
bool fed_was(const Facts *facts, const char *server);
/* Adds the order that ends its feed; does no harm when there is none. */
void fed_end(const char *server, Script *script);
