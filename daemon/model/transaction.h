/* One transaction's id, and runs of consecutive ones in the order of a log; a filter that says fast which ones somebody
 * has. Sets and their algebra are gtid.h's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gtid.h"

enum { TRANSACTION_UUID_LENGTH = 36, TRANSACTION_TAG_MAX = 32 };

typedef struct TransactionId {
        GtidFamily family;
        bool anonymous;                         /* it has none; what follows is zero */
        char uuid[TRANSACTION_UUID_LENGTH + 1]; /* MySQL: in lower case */
        char tag[TRANSACTION_TAG_MAX + 1];      /* MySQL: "" for none */
        uint32_t domain, server;                /* MariaDB */
        uint64_t sequence;
} TransactionId;

typedef struct TransactionRun {
        TransactionId first;
        uint64_t last;
} TransactionRun;

/* Zero-initialise it. */
typedef struct TransactionRuns {
        TransactionRun *runs;
        size_t n_runs;
} TransactionRuns;

/* "uuid:5", "uuid:blue:5", "0-1-100"; "" for an anonymous one. The caller frees it. */
char *transaction_format(const TransactionId *id);
/* "uuid:5-9", "0-1-100..105". The caller frees it. */
char *transaction_format_run(const TransactionRun *run);
/* What transaction_format_run() gave. */
int transaction_parse_run(GtidFamily family, const char *text, TransactionRun *ret, Failure *reterr);

/* Anonymous ones are not kept. */
void transaction_runs_add(TransactionRuns *runs, const TransactionId *id);
void transaction_runs_add_run(TransactionRuns *runs, const TransactionRun *run);
void transaction_runs_done(TransactionRuns *runs);
/* Exactly these transactions, also for MariaDB ("0-1-100..105"). */
GtidSet *transaction_runs_to_set(const TransactionRuns *runs, GtidFamily family);

/* What somebody has, for one question a transaction. */
typedef struct TransactionFilter TransactionFilter;
TransactionFilter *transaction_filter_new(GtidFamily family, const GtidSet *has);
TransactionFilter *transaction_filter_free(TransactionFilter *filter);
DEFINE_CLEANUP(TransactionFilter *, transaction_filter_free)
/* MySQL: whether it is in the set. MariaDB: whether its domain is at least as far. Never an anonymous one. */
bool transaction_filter_has(const TransactionFilter *filter, const TransactionId *id);
bool transaction_filter_has_run(const TransactionFilter *filter, const TransactionRun *run);
