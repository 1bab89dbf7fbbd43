/* A run, from the order to its end: what happens is shown while it happens. */
#pragma once

#include "verb.h"

/* Gives the order (parameters, which become the callee's, name the cluster) and follows the run that it begins. The exit
 * status; *ret_run is set when a run was begun. The run belongs to the daemon: when this program goes, it goes on. */
int follow_order(const Context *context, ApiId method, Json *parameters, char **ret_run);
/* What became of it, and where to read on; method began it. */
void follow_print_end(const Context *context, ApiId method, const char *cluster, const char *run, int status);
