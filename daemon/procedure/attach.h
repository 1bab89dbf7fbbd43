/* Replicas that a failover has left behind: they are being fed, apply what they have, or could not be asked. They are
 * brought to where they can follow the new primary, however long it takes, while the cluster is watched as ever. */
#pragma once

#include "step.h"

extern const Procedure attach;

/* Whether a failover has left any behind; run is its description (runbook_describe()). */
bool attach_is_needed(const Json *run);
/* The facts of a run that attaches them. It bears the failover's id, so that what that one saved is at hand. */
Facts attach_facts(const Facts *failover, const Json *run);
