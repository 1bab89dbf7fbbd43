/* Ids of transactions, and runs of them. Owns the runs; must never sort a log's order away. */
#include "transaction.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

struct TransactionFilter {
        GtidFamily family;
        TransactionRuns has; /* sorted by key and sequence, disjoint */
};

static int key_compare(const TransactionId *a, const TransactionId *b)
{
        if (a->family == GTID_FAMILY_MARIADB)
                return (a->domain > b->domain) - (a->domain < b->domain);
        int order = strcmp(a->uuid, b->uuid);
        return order != 0 ? order : strcmp(a->tag, b->tag);
}

static void add_key(Text *text, const TransactionId *id)
{
        if (id->family == GTID_FAMILY_MARIADB)
                text_addf(text, "%u-%u-", id->domain, id->server);
        else
                text_addf(text, "%s:%s%s", id->uuid, id->tag, id->tag[0] ? ":" : "");
}

char *transaction_format(const TransactionId *id)
{
        return transaction_format_run(&(TransactionRun){ .first = *id, .last = id->sequence });
}

char *transaction_format_run(const TransactionRun *run)
{
        Text text = { 0 };
        if (run->first.anonymous)
                return text_take(&text);
        add_key(&text, &run->first);
        text_addf(&text, "%" PRIu64, run->first.sequence);
        if (run->last > run->first.sequence)
                text_addf(&text, "%s%" PRIu64, run->first.family == GTID_FAMILY_MARIADB ? ".." : "-", run->last);
        return text_take(&text);
}

/* Reading. */

static int read_number(const char **c, uint64_t limit, uint64_t *ret)
{
        uint64_t value = 0;
        if (!isdigit((unsigned char) **c))
                return -EINVAL;
        for (; isdigit((unsigned char) **c); (*c)++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (**c - '0'), &value) || value > limit)
                        return -EINVAL;
        *ret = value;
        return 0;
}

static bool skip(const char **c, const char *expected)
{
        size_t length = strlen(expected);
        if (strncmp(*c, expected, length) != 0)
                return false;
        *c += length;
        return true;
}

/* "5" or "5-9" ("5..9"). */
static int read_interval(const char **c, const char *dash, uint64_t limit, TransactionRun *run)
{
        if (read_number(c, limit, &run->first.sequence) < 0 || run->first.sequence == 0)
                return -EINVAL;
        run->last = run->first.sequence;
        if (!skip(c, dash))
                return 0;
        return read_number(c, limit, &run->last) < 0 || run->last < run->first.sequence ? -EINVAL : 0;
}

static int read_mariadb(const char **c, TransactionRun *run)
{
        uint64_t domain, server;
        if (read_number(c, UINT32_MAX, &domain) < 0 || !skip(c, "-") || read_number(c, UINT32_MAX, &server) < 0 ||
            !skip(c, "-"))
                return -EINVAL;
        run->first.domain = (uint32_t) domain;
        run->first.server = (uint32_t) server;
        return read_interval(c, "..", UINT64_MAX, run);
}

static int read_uuid(const char **c, char *ret)
{
        for (size_t i = 0; i < TRANSACTION_UUID_LENGTH; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;
                if (dash ? (*c)[i] != '-' : !isxdigit((unsigned char) (*c)[i]))
                        return -EINVAL;
                ret[i] = (char) tolower((unsigned char) (*c)[i]);
        }
        ret[TRANSACTION_UUID_LENGTH] = '\0';
        *c += TRANSACTION_UUID_LENGTH;
        return 0;
}

static int read_tag(const char **c, char *ret)
{
        size_t n = 0;
        for (; isalnum((unsigned char) **c) || **c == '_'; (*c)++) {
                if (n == TRANSACTION_TAG_MAX)
                        return -EINVAL;
                ret[n++] = (char) tolower((unsigned char) **c);
        }
        ret[n] = '\0';
        return n > 0 ? 0 : -EINVAL;
}

static int read_mysql(const char **c, TransactionRun *run)
{
        if (read_uuid(c, run->first.uuid) < 0 || !skip(c, ":"))
                return -EINVAL;
        if (!isdigit((unsigned char) **c) && (read_tag(c, run->first.tag) < 0 || !skip(c, ":")))
                return -EINVAL;
        return read_interval(c, "-", INT64_MAX, run);
}

int transaction_parse_run(GtidFamily family, const char *text, TransactionRun *ret, Failure *reterr)
{
        TransactionRun run = { .first.family = family };
        const char *c = text ? text : "";
        if ((family == GTID_FAMILY_MARIADB ? read_mariadb(&c, &run) : read_mysql(&c, &run)) < 0 || *c)
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.60s' is not a run of transactions",
                                   text ? text : "");
        *ret = run;
        return 0;
}

/* Runs. */

void transaction_runs_add_run(TransactionRuns *runs, const TransactionRun *run)
{
        if (run->first.anonymous)
                return;
        for (size_t i = runs->n_runs; i > 0; i--) {
                TransactionRun *last = &runs->runs[i - 1];
                if (key_compare(&last->first, &run->first) != 0)
                        continue;
                /* The newest one of the same key, and no other. */
                if (last->first.server != run->first.server || last->last == UINT64_MAX ||
                    last->last + 1 != run->first.sequence)
                        break;
                last->last = run->last;
                return;
        }
        ALLOC_GROW(runs->runs, runs->n_runs);
        runs->runs[runs->n_runs++] = *run;
}

void transaction_runs_add(TransactionRuns *runs, const TransactionId *id)
{
        transaction_runs_add_run(runs, &(TransactionRun){ .first = *id, .last = id->sequence });
}

void transaction_runs_done(TransactionRuns *runs)
{
        free(runs->runs);
        *runs = (TransactionRuns){ 0 };
}

static GtidSet *parsed(GtidFamily family, const char *text)
{
        GtidSet *set = NULL;
        return gtid_parse(family, text, &set, NULL) < 0 ? gtid_new(family) : set;
}

/* A set of MariaDB's begins at 1, so what is before the run is taken away. */
static GtidSet *mariadb_run_to_set(const TransactionRun *run)
{
        CLEANUP(mem_free)
        char *end = text_format("%u-%u-%" PRIu64, run->first.domain, run->first.server, run->last);
        CLEANUP(mem_free)
        char *before = text_format("%u-%u-%" PRIu64, run->first.domain, run->first.server, run->first.sequence - 1);
        CLEANUP(gtid_free) GtidSet *all = parsed(GTID_FAMILY_MARIADB, end);
        CLEANUP(gtid_free) GtidSet *less = parsed(GTID_FAMILY_MARIADB, before);
        return gtid_subtract(all, less);
}

GtidSet *transaction_runs_to_set(const TransactionRuns *runs, GtidFamily family)
{
        if (family == GTID_FAMILY_MYSQL) {
                Text text = { 0 };
                for (size_t i = 0; i < runs->n_runs; i++) {
                        CLEANUP(mem_free) char *run = transaction_format_run(&runs->runs[i]);
                        text_separate(&text, ",");
                        text_add(&text, run);
                }
                CLEANUP(mem_free) char *all = text_take(&text);
                return parsed(family, all);
        }
        GtidSet *set = gtid_new(family);
        for (size_t i = 0; i < runs->n_runs; i++) {
                CLEANUP(gtid_free) GtidSet *one = mariadb_run_to_set(&runs->runs[i]);
                GtidSet *both = gtid_union(set, one);
                gtid_free(set);
                set = both;
        }
        return set;
}

/* The filter. */

static int run_compare(const void *left, const void *right)
{
        const TransactionRun *a = left, *b = right;
        int order = key_compare(&a->first, &b->first);
        return order != 0 ? order : (a->first.sequence > b->first.sequence) - (a->first.sequence < b->first.sequence);
}

/* One part of a set's own text: "uuid:1-5:7:tag:1-3" or "0-1-100". */
static void add_part(TransactionRuns *runs, GtidFamily family, const char **c)
{
        TransactionRun run = { .first.family = family };
        if (family == GTID_FAMILY_MARIADB) {
                if (read_mariadb(c, &run) == 0) {
                        run.last = run.first.sequence;
                        run.first.sequence = 1;
                        ALLOC_GROW(runs->runs, runs->n_runs);
                        runs->runs[runs->n_runs++] = run;
                }
                return;
        }
        if (read_uuid(c, run.first.uuid) < 0)
                return;
        while (skip(c, ":"))
                if (!isdigit((unsigned char) **c)) {
                        if (read_tag(c, run.first.tag) < 0)
                                return;
                } else if (read_interval(c, "-", INT64_MAX, &run) == 0) {
                        ALLOC_GROW(runs->runs, runs->n_runs);
                        runs->runs[runs->n_runs++] = run;
                }
}

TransactionFilter *transaction_filter_new(GtidFamily family, const GtidSet *has)
{
        TransactionFilter *filter = ALLOC(TransactionFilter);
        filter->family = family;
        CLEANUP(mem_free) char *text = gtid_format(has);
        for (const char *c = text; *c; c += strcspn(c, ","), c += *c == ',')
                add_part(&filter->has, family, &c);
        if (filter->has.n_runs > 0)
                qsort(filter->has.runs, filter->has.n_runs, sizeof(TransactionRun), run_compare);
        return filter;
}

TransactionFilter *transaction_filter_free(TransactionFilter *filter)
{
        if (filter)
                transaction_runs_done(&filter->has);
        free(filter);
        return NULL;
}

bool transaction_filter_has(const TransactionFilter *filter, const TransactionId *id)
{
        return transaction_filter_has_run(filter, &(TransactionRun){ .first = *id, .last = id->sequence });
}

bool transaction_filter_has_run(const TransactionFilter *filter, const TransactionRun *wanted)
{
        if (wanted->first.anonymous || wanted->first.family != filter->family)
                return false;
        /* The last run that does not begin behind it; runs do not touch each other. */
        size_t low = 0, high = filter->has.n_runs;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (run_compare(&filter->has.runs[middle], wanted) <= 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == 0)
                return false;
        const TransactionRun *run = &filter->has.runs[low - 1];
        return key_compare(&run->first, &wanted->first) == 0 && wanted->last <= run->last;
}
