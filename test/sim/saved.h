/* The saved logs of a simulated run (daemon/exec/rescue.h): copies that take a while and outlive the daemon, feeds that are
 * opened a moment later and end with it. In transactions, as the databases count them. */
#pragma once

#include "database.h"

void saved_do(Sim *sim, const char *verb, const Json *input, Reply *reply);
/* Who stands in for the dead primary at a port; NULL when nobody ever did. */
Database *saved_at_port(Sim *sim, unsigned port);
/* The daemon is dead, or its run is over: so are the feeds. */
void saved_end_feeds(Sim *sim);
void saved_free(Sim *sim);
