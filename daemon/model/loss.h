/* A loss that an operator may accept. It is named by what it is, a range of the log, a set of transactions or "unknown", so
 * that whoever accepts one has not accepted a greater one that is found later. A long name is cut, and ends in a checksum. */
#pragma once

#include "facts.h"

#define LOSS_UNKNOWN "unknown"

/* Whether what an operator said (NULL: nothing) names this loss, alone or among others with semicolons between. White space
 * does not count. */
bool loss_is_named(const char *said, const char *loss);
/* The same of what was said when the run was ordered, "election.accept_loss" of the configuration; then it is learned, for the
 * run's fact "accepted_loss". */
bool loss_is_accepted(const Facts *facts, const char *loss, Json *learned);
/* "To go on without it: mhactl failover app1 --accept-loss '…'", with what was accepted before in this run. The caller frees
 * it. */
char *loss_remedy(const Facts *facts, const char *loss);
