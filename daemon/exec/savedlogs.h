/* The saved logs of clusters as they are on the disk: listed, and thinned out. What is done to files is done in a thread. */
#pragma once

#include "json.h"
#include "loop.h"

typedef struct SavedLogs SavedLogs;

/* answer is the callee's; the task is gone when this is called. */
typedef void (*savedlogs_fn)(Json *answer, void *userdata);

typedef struct SavedLogsPlace {
        const char *cluster;
        const char *directory; /* of the cluster's state: rescue/ and reports/ are in it */
} SavedLogsPlace;

/* {"rescues": [{"cluster", "run", "time", "bytes", "directory", "procedure", "loss", "state", "why", "sources"}]}, the newest
 * first; of one run (run is not NULL) with everything that is known of it (saved.h). state is complete, partial or failed;
 * procedure and loss are those of the run's report. A file that is only a part of a log has "head": {"name", "bytes"}: so
 * much of that file before it makes a log of it. */
SavedLogs *savedlogs_list(Loop *loop, const SavedLogsPlace *places, size_t n_places, const char *run, savedlogs_fn done,
                          void *userdata);

typedef struct SavedLogsLimits {
        usec_t age;              /* 0: any */
        uint64_t bytes;          /* in all, beside the newest; 0: any */
        const char *const *hold; /* runs that are never removed; ended by NULL */
} SavedLogsLimits;

/* Removes the oldest runs until the rest keeps the limits, but never the last one that lost something, nor anything on
 * another file system: {"removed": [{"run", "bytes", "why"}], "failures": ["sentence"]}. */
SavedLogs *savedlogs_trim(Loop *loop, const char *directory, const SavedLogsLimits *limits, savedlogs_fn done,
                          void *userdata);
/* The thread goes on, nobody is told. Takes NULL. */
SavedLogs *savedlogs_abandon(SavedLogs *task);
