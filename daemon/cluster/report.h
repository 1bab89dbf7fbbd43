/* The report of a run: what happened, when, and what is proved about loss. Pure: from the run's description and facts. */
#pragma once

#include "facts.h"

/* run is runbook_describe(); the result is the "report" object of the control API, its "text" included. */
Json *report_make(const Json *run, const Facts *facts);
/* One line for the history and the log. The caller frees it. */
char *report_summary(const Json *report);
/* The member of "runs" of the history. */
Json *report_to_history(const Json *report);
