/* The address (virtual IP) of a cluster: is it on a host, put it there, take it away. Shell text for SSH. */
#pragma once

#include "step.h"

bool address_skip(const Facts *facts);
/* The same also when the new primary is on the old one's host: the address is there and stays. */
bool address_skip_moving(const Facts *facts); /* no address is configured */
/* Both goals ask the same question, and each act shows the answer at its end. */
void ask_address(const Facts *facts, const char *server, Script *script);
void judge_address_absent(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_address_remove(const Facts *facts, const char *server, const Replies *seen, Script *script);
void judge_address_present(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_address_add(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Whether its host has started what act_address_add() needs, and waits with it for the word. Asking starts it. */
void ask_address_ready(const Facts *facts, const char *server, Script *script);
void judge_address_ready(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* The address is on that host already; or that host can be asked, and does not have it. Checks, that wait for nothing. */
void judge_address_in_place(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void judge_address_elsewhere(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* Undo: it is not there, and no command of this run that is still on its way can put it there. */
void ask_address_withdrawn(const Facts *facts, const char *server, Script *script);
void judge_address_withdrawn(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
void act_address_withdraw(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* Undo: it is (still) there, and the network is told again. */
void act_address_keep(const Facts *facts, const char *server, const Replies *seen, Script *script);
/* The shell text that removes an address wherever it is on the host, for others who fence. Free with free(). */
char *address_removal(const char *ip_with_prefix);
