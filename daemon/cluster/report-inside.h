/* The parts of a report, for its own files only. */
#pragma once

#include "report.h"
#include "text.h"

/* A step of a run's description by its name; NULL when there is none. */
const Json *report_step(const Json *run, const char *name);
/* What was saved and fed in a failover; NULL when it saves nothing. And that for people. */
Json *report_saved(const Json *run, const Facts *facts);
void report_render_saved(Text *out, const char *old_primary, const Json *rescue);
