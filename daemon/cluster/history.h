/* What has been done: the runs of clusters, from the journals and reports on the disk. They may be many: a thread reads
 * them. */
#pragma once

#include "json.h"
#include "loop.h"

typedef struct History History;

/* answer is the callee's; the history is gone when this is called. */
typedef void (*history_fn)(Json *answer, void *userdata);

typedef struct HistoryPlace {
        const char *cluster;
        const char *directory; /* of the cluster's state: journal, background and reports/ are in it */
} HistoryPlace;

/* {"runs": […]}, the newest first: what report_to_history() says, or where there is no report "run", "cluster", "started",
 * "ended" and "outcome" as the journal has them. "outcome" is "running" for the run that a journal has open. */
History *history_read(Loop *loop, const HistoryPlace *places, size_t n_places, history_fn done, void *userdata);
/* The thread goes on, nobody is told. Takes NULL. */
History *history_abandon(History *history);
/* The runs of one cluster that its two journals know, without their reports; the caller frees it. */
Json *history_of_journals(const char *directory);
/* Where the report of a run is. The caller frees it. */
char *history_report_path(const char *directory, const char *run);
