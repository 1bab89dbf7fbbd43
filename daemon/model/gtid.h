/* Sets of global transaction ids, of both families, as one algebra: a set is a list of intervals, each under a key.
 * MySQL: the key is a source's UUID with its tag. MariaDB: the key is a domain, and "0-1-100" is the interval from 1 to
 * 100 of domain 0 that server 1 ended, so that "a contains b" means: for each domain of b, a is at least as far. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cleanup.h"
#include "failure.h"

typedef enum GtidFamily {
        GTID_FAMILY_MYSQL,
        GTID_FAMILY_MARIADB,
        _GTID_FAMILY_MAX,
} GtidFamily;

typedef struct GtidSet GtidSet;

/* The empty set. */
GtidSet *gtid_new(GtidFamily family);
GtidSet *gtid_free(GtidSet *set);
DEFINE_CLEANUP(GtidSet *, gtid_free)
GtidSet *gtid_copy(const GtidSet *set);

/* White space is tolerated anywhere between the parts; NULL and "" are the empty set. FAILURE_INVALID for the rest.
 * Memory is proportional to the length of the text. */
int gtid_parse(GtidFamily family, const char *text, GtidSet **ret, Failure *reterr);
/* As the server writes it, without line breaks. A difference of MariaDB sets shows the end of each interval only. The
 * caller frees it. */
char *gtid_format(const GtidSet *set);
/* For people: as gtid_format(), but a MariaDB interval that does not begin at 1 is "0-1-101..105". The caller frees it. */
char *gtid_describe(const GtidSet *set);

/* The sets of each call are of one family; of two families no set contains another and they are not equal. */
bool gtid_is_empty(const GtidSet *set);
bool gtid_equal(const GtidSet *a, const GtidSet *b);
bool gtid_contains(const GtidSet *set, const GtidSet *subset);
GtidSet *gtid_union(const GtidSet *a, const GtidSet *b);
GtidSet *gtid_subtract(const GtidSet *from, const GtidSet *what);
/* What stands under one UUID (with all its tags); MariaDB: the domains that server_id ended. */
GtidSet *gtid_of_source(const GtidSet *set, const char *uuid);
GtidSet *gtid_of_server(const GtidSet *set, uint32_t server_id);
/* How many transactions; UINT64_MAX when more. */
uint64_t gtid_count(const GtidSet *set);
