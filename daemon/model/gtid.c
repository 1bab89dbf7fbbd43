/* Sets of global transaction ids: a sorted list of disjoint intervals, each under a key. Owns its intervals; must never
 * crash on any text, nor need more memory than its length explains. */
#include "gtid.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

enum { UUID_LENGTH = 36, TAG_MAX = 32 };

/* MySQL's key is name and tag, MariaDB's is domain; what a family does not use is zero. */
typedef struct Key {
        char name[UUID_LENGTH + 1]; /* in lower case */
        char tag[TAG_MAX + 1];      /* in lower case */
        uint32_t domain;
} Key;

typedef struct Interval {
        Key key;
        uint64_t first, last; /* both belong to it */
        uint32_t server;      /* MariaDB: who wrote last; no part of the key */
} Interval;

struct GtidSet {
        GtidFamily family;
        Interval *intervals;
        size_t n_intervals;
};

static const uint64_t mysql_last = INT64_MAX;

GtidSet *gtid_new(GtidFamily family)
{
        GtidSet *set = ALLOC(GtidSet);
        set->family = family;
        return set;
}

GtidSet *gtid_free(GtidSet *set)
{
        if (set)
                free(set->intervals);
        free(set);
        return NULL;
}

static void append(GtidSet *set, Interval interval)
{
        ALLOC_GROW(set->intervals, set->n_intervals);
        set->intervals[set->n_intervals++] = interval;
}

GtidSet *gtid_copy(const GtidSet *set)
{
        GtidSet *copy = gtid_new(set->family);
        for (size_t i = 0; i < set->n_intervals; i++)
                append(copy, set->intervals[i]);
        return copy;
}

static int key_compare(const Key *a, const Key *b)
{
        int order = (a->domain > b->domain) - (a->domain < b->domain);
        if (order == 0)
                order = strcmp(a->name, b->name);
        return order != 0 ? order : strcmp(a->tag, b->tag);
}

static int interval_compare(const void *left, const void *right)
{
        const Interval *a = left, *b = right;
        int order = key_compare(&a->key, &b->key);
        if (order == 0)
                order = (a->first > b->first) - (a->first < b->first);
        return order != 0 ? order : (a->last > b->last) - (a->last < b->last);
}

static bool interval_touches(const Interval *a, const Interval *next)
{
        return key_compare(&a->key, &next->key) == 0 && (a->last == UINT64_MAX || next->first <= a->last + 1);
}

/* Sorts, and joins what overlaps or touches. */
static void normalise(GtidSet *set)
{
        if (set->n_intervals == 0)
                return;
        qsort(set->intervals, set->n_intervals, sizeof(Interval), interval_compare);
        size_t n = 1;
        for (size_t i = 1; i < set->n_intervals; i++) {
                Interval *end = &set->intervals[n - 1], *next = &set->intervals[i];
                if (!interval_touches(end, next))
                        set->intervals[n++] = *next;
                else if (next->last >= end->last) {
                        end->last = next->last;
                        end->server = next->server;
                }
        }
        set->n_intervals = n;
}

/* Reading. */

static void skip_space(const char **c)
{
        while (isspace((unsigned char) **c))
                (*c)++;
}

/* The next character that is not white space; it is consumed when it is the one expected. */
static bool skip_char(const char **c, char expected)
{
        skip_space(c);
        if (**c != expected)
                return false;
        (*c)++;
        skip_space(c);
        return true;
}

static int parse_number(const char **c, uint64_t limit, uint64_t *ret)
{
        uint64_t value = 0;
        skip_space(c);
        if (!isdigit((unsigned char) **c))
                return -EINVAL;
        for (; isdigit((unsigned char) **c); (*c)++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (**c - '0'), &value) || value > limit)
                        return -ERANGE;
        *ret = value;
        return 0;
}

static int parse_uuid(const char **c, char *ret)
{
        for (size_t i = 0; i < UUID_LENGTH; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;
                if (dash ? (*c)[i] != '-' : !isxdigit((unsigned char) (*c)[i]))
                        return -EINVAL;
                ret[i] = (char) tolower((unsigned char) (*c)[i]);
        }
        ret[UUID_LENGTH] = '\0';
        *c += UUID_LENGTH;
        return 0;
}

static int parse_tag(const char **c, char *ret)
{
        size_t n = 0;
        for (; isalnum((unsigned char) **c) || **c == '_'; (*c)++, n++) {
                if (n == TAG_MAX)
                        return -EINVAL;
                ret[n] = (char) tolower((unsigned char) **c);
        }
        memset(ret + n, 0, TAG_MAX + 1 - n);
        return 0;
}

static int parse_mysql_interval(const char **c, Interval *interval)
{
        if (parse_number(c, mysql_last, &interval->first) < 0 || interval->first == 0)
                return -EINVAL;
        interval->last = interval->first;
        if (!skip_char(c, '-'))
                return 0;
        return parse_number(c, mysql_last, &interval->last) < 0 || interval->last < interval->first ? -EINVAL : 0;
}

/* "uuid:1-5:7:tag:1-3". */
static int parse_mysql_source(const char **c, GtidSet *set)
{
        Interval interval = { 0 };
        if (parse_uuid(c, interval.key.name) < 0)
                return -EINVAL;
        bool complete = false;
        while (skip_char(c, ':')) {
                complete = isdigit((unsigned char) **c);
                if (complete) {
                        if (parse_mysql_interval(c, &interval) < 0)
                                return -EINVAL;
                        append(set, interval);
                } else if (!(isalpha((unsigned char) **c) || **c == '_') || parse_tag(c, interval.key.tag) < 0)
                        return -EINVAL;
        }
        return complete ? 0 : -EINVAL;
}

/* "0-1-100". */
static int parse_mariadb_gtid(const char **c, GtidSet *set)
{
        uint64_t domain, server, sequence;
        if (parse_number(c, UINT32_MAX, &domain) < 0 || !skip_char(c, '-') ||
            parse_number(c, UINT32_MAX, &server) < 0 || !skip_char(c, '-') ||
            parse_number(c, UINT64_MAX, &sequence) < 0)
                return -EINVAL;
        if (sequence > 0)
                append(set, (Interval){ .key.domain = (uint32_t) domain,
                                        .first = 1,
                                        .last = sequence,
                                        .server = (uint32_t) server });
        return 0;
}

int gtid_parse(GtidFamily family, const char *text, GtidSet **ret, Failure *reterr)
{
        CLEANUP(gtid_free) GtidSet *set = gtid_new(family);
        const char *c = text ? text : "";
        for (skip_space(&c); *c;) {
                int r = family == GTID_FAMILY_MYSQL ? parse_mysql_source(&c, set) : parse_mariadb_gtid(&c, set);
                /* MySQL tolerates a comma at the end. */
                if (r < 0 || (!skip_char(&c, ',') && *c))
                        return failure_set(reterr, FAILURE_INVALID, 0, "'%.60s' is not a GTID set (at '%.20s')", text,
                                           c);
        }
        normalise(set);
        *ret = TAKE(set);
        return 0;
}

/* Writing. */

static void add_mysql(Text *text, const Interval *previous, const Interval *interval)
{
        bool same_source = previous && strcmp(previous->key.name, interval->key.name) == 0;
        if (!same_source) {
                text_separate(text, ",");
                text_add(text, interval->key.name);
        }
        if (interval->key.tag[0] && !(same_source && strcmp(previous->key.tag, interval->key.tag) == 0))
                text_addf(text, ":%s", interval->key.tag);
        text_addf(text, ":%" PRIu64, interval->first);
        if (interval->last > interval->first)
                text_addf(text, "-%" PRIu64, interval->last);
}

static void add_mariadb(Text *text, const Interval *interval, bool range)
{
        text_separate(text, ",");
        text_addf(text, "%u-%u-", interval->key.domain, interval->server);
        if (range && interval->first > 1 && interval->first < interval->last)
                text_addf(text, "%" PRIu64 "..", interval->first);
        text_addf(text, "%" PRIu64, interval->last);
}

static char *format(const GtidSet *set, bool range)
{
        Text text = { 0 };
        for (size_t i = 0; i < set->n_intervals; i++) {
                if (set->family == GTID_FAMILY_MYSQL)
                        add_mysql(&text, i > 0 ? &set->intervals[i - 1] : NULL, &set->intervals[i]);
                else
                        add_mariadb(&text, &set->intervals[i], range);
        }
        return text_take(&text);
}

char *gtid_format(const GtidSet *set)
{
        return format(set, false);
}

char *gtid_describe(const GtidSet *set)
{
        return format(set, true);
}

/* Algebra. */

bool gtid_is_empty(const GtidSet *set)
{
        return set->n_intervals == 0;
}

bool gtid_equal(const GtidSet *a, const GtidSet *b)
{
        if (a->family != b->family || a->n_intervals != b->n_intervals)
                return false;
        for (size_t i = 0; i < a->n_intervals; i++)
                if (interval_compare(&a->intervals[i], &b->intervals[i]) != 0 ||
                    a->intervals[i].server != b->intervals[i].server)
                        return false;
        return true;
}

bool gtid_contains(const GtidSet *set, const GtidSet *subset)
{
        if (set->family != subset->family)
                return false;
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(subset, set);
        return gtid_is_empty(rest);
}

GtidSet *gtid_union(const GtidSet *a, const GtidSet *b)
{
        GtidSet *both = gtid_copy(a);
        if (a->family == b->family)
                for (size_t i = 0; i < b->n_intervals; i++)
                        append(both, b->intervals[i]);
        normalise(both);
        return both;
}

/* Before: what ends before the interval does; after: what begins behind it. */
static bool interval_is_before(const Interval *a, const Interval *b)
{
        int order = key_compare(&a->key, &b->key);
        return order < 0 || (order == 0 && a->last < b->first);
}

GtidSet *gtid_subtract(const GtidSet *from, const GtidSet *what)
{
        if (from->family != what->family)
                return gtid_copy(from);
        GtidSet *rest = gtid_new(from->family);
        size_t j = 0;
        for (size_t i = 0; i < from->n_intervals; i++) {
                Interval left = from->intervals[i];
                bool empty = false;
                while (j < what->n_intervals && interval_is_before(&what->intervals[j], &left))
                        j++;
                /* The last one that overlaps may reach into the next interval too, so it is not consumed. */
                for (size_t k = j; !empty && k < what->n_intervals && !interval_is_before(&left, &what->intervals[k]);
                     k++) {
                        const Interval *cut = &what->intervals[k];
                        if (cut->first > left.first) {
                                Interval piece = left;
                                piece.last = cut->first - 1;
                                append(rest, piece);
                        }
                        empty = cut->last >= left.last;
                        if (!empty)
                                left.first = cut->last + 1;
                }
                if (!empty)
                        append(rest, left);
        }
        return rest;
}

GtidSet *gtid_of_source(const GtidSet *set, const char *uuid)
{
        GtidSet *part = gtid_new(set->family);
        for (size_t i = 0; uuid && set->family == GTID_FAMILY_MYSQL && i < set->n_intervals; i++)
                if (strcasecmp(set->intervals[i].key.name, uuid) == 0)
                        append(part, set->intervals[i]);
        return part;
}

GtidSet *gtid_of_server(const GtidSet *set, uint32_t server_id)
{
        GtidSet *part = gtid_new(set->family);
        for (size_t i = 0; set->family == GTID_FAMILY_MARIADB && i < set->n_intervals; i++)
                if (set->intervals[i].server == server_id)
                        append(part, set->intervals[i]);
        return part;
}

uint64_t gtid_count(const GtidSet *set)
{
        uint64_t count = 0;
        for (size_t i = 0; i < set->n_intervals; i++) {
                uint64_t length = set->intervals[i].last - set->intervals[i].first;
                if (__builtin_add_overflow(length, 1, &length) || __builtin_add_overflow(count, length, &count))
                        return UINT64_MAX;
        }
        return count;
}
