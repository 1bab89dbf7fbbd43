/* A former primary that is back becomes a replica, if it is proved that it has nothing that the present primary lacks;
 * else what it has is saved, named, and left to a person.
 *
 * Facts: old_primary is the server that is back, candidate the present primary, and "returning" what the failover that
 * replaced it has left on record: {"run", "new_primary", "end", "open_position", "open_gtid"} (how far the new primary had
 * come in the old one's log, and where its own stood when it was opened), "procedure", "sync_binlog", "flush_log_at_commit". */
#pragma once

#include "step.h"

extern const Procedure rejoin;

/* What to keep of a failover, or of a switchover, for the day when its old primary is back; NULL when it opened nobody. */
Json *rejoin_record(const Facts *run);
/* Keeps it among the records of all servers that may be back. What one of them had may be lost with the primary that has just
 * died: where the others count on what that one had, they are brought down to what this one had. */
void rejoin_note(Json *returning, const Facts *run);
/* Makes the facts of a run of runs_facts() those of a rejoin. */
void rejoin_prepare(Facts *facts, const char *primary, const Json *returning, const char *mode);
