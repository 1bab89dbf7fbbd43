/* mhactl check replication: what is asked of each server, and what the answers mean. Pure. */
#pragma once

#include "checklist.h"
#include "facts.h"
#include "script.h"

void replication_check_ask(const Facts *facts, const char *server, Script *script);
/* Of the primary, after the others have answered: else what they have just got would look as if it lacked it. */
void replication_check_ask_again(const Facts *facts, const char *primary, Script *script);
/* replies: one a server in the order of the facts, NULL for one that was not asked (it is down); again: the primary's last
 * word, or NULL. The primary is facts "old_primary". Appends to results. */
void replication_check_judge(const Facts *facts, Replies *const *replies, const Replies *again, Json *results);
