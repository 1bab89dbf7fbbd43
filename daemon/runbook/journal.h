/* The durable record of one cluster's runs: JSON lines with sequence number and checksum, on disk before journal_append()
 * returns. A torn last line is cut off on open; a bad line elsewhere is an error that an operator must look at. Beside
 * the file stands "<path>.lock", so that two daemons cannot use one journal. */
#pragma once

#include "failure.h"
#include "json.h"
#include "usec.h"

typedef struct Journal Journal;

/* Opens or creates. cluster is written into each record. FAILURE_INVALID names the line of a bad record; FAILURE_SYSTEM
 * with EWOULDBLOCK when another process has it open. */
int journal_open(const char *path, const char *cluster, Journal **ret, Failure *reterr);
Journal *journal_free(Journal *journal);
DEFINE_CLEANUP(Journal *, journal_free)
/* How many bytes of a torn end were cut off when it was opened. */
size_t journal_torn(const Journal *journal);

/* Appends one record: {"seq", "time", "cluster", "run", "kind", "step", "server", "data", "sum"}; step and server may be
 * NULL; data is lent and may be NULL. Returns when it is on disk. After a failure nothing more may be done: the record
 * is not there (or, when even that cannot be made sure, every later append fails too). */
int journal_append(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                   const char *server, const Json *data, Failure *reterr);
/* The same, but it returns when it is written: it is on disk no later than what journal_append() appends next. For records
 * whose loss only makes a resume ask again. */
int journal_append_soon(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                        const char *server, const Json *data, Failure *reterr);
/* The id of the last run when it has no "run-ended" record, else NULL. Lent until the next append. */
const char *journal_open_run(const Journal *journal);
/* Of the last record; NULL when there is none. Lent until the next append. */
const char *journal_last_run(const Journal *journal);
/* Calls each for every record of a run (NULL: of all), in order; stops when it returns non-zero and returns that. */
int journal_replay(const Journal *journal, const char *run, int (*each)(const Json *record, void *userdata),
                   void *userdata);
/* The same for a file that another thread or process may be writing to, without its lock: its last records may be missing. */
int journal_replay_file(const char *path, const char *run, int (*each)(const Json *record, void *userdata),
                        void *userdata);
/* Forgets ended runs but for the last keep of them, by rewriting the file durably. */
int journal_compact(Journal *journal, size_t keep, Failure *reterr);
