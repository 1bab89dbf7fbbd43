/* What must hold before a healthy primary is replaced. Nothing is changed by these goals. */
#pragma once

#include "step.h"

/* Each replica's threads run, and it is not far behind. */
void ask_replica_fit(const Facts *facts, const char *server, Script *script);
void judge_replica_fit(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* The primary takes writes, and nothing runs on it that would hold the block up. */
void ask_primary_fit(const Facts *facts, const char *server, Script *script);
void judge_primary_fit(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* Who it will be: as in a failover, but that the old primary still gives everybody what they lack. */
void decide_successor(const Facts *facts, Judgement *judgement);
/* Where MariaDB's binary logs begin: which transactions are in them is asked of the first. */
bool skip_first_log(const Facts *facts);
void ask_first_log(const Facts *facts, const char *server, Script *script);
void judge_first_log(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void ask_candidate_fit(const Facts *facts, const char *server, Script *script);
void judge_candidate_fit(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* No replica has what the primary lacks. The replicas were asked before: judged against the primary's set of now. */
bool skip_errant(const Facts *facts);
void ask_errant(const Facts *facts, const char *server, Script *script);
void judge_errant(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* Every configured server takes part: one that is down would be left behind. */
void decide_everybody_is_there(const Facts *facts, Judgement *judgement);
/* All checks have passed: from here on there is something to undo. */
void decide_approved(const Facts *facts, Judgement *judgement);
bool check_is_approved(const Facts *facts);
/* SQL for a condition of the process list: sessions of clients, neither the server's own nor ours. */
const char *check_is_client(void);
