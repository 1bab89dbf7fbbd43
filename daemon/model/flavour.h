/* Which server software, in which version, from what @@version says. */
#pragma once

#include <stdbool.h>

#include "failure.h"

typedef enum Flavour {
        FLAVOUR_MYSQL, /* and Percona Server */
        FLAVOUR_MARIADB,
        _FLAVOUR_MAX,
        _FLAVOUR_INVALID = -22,
} Flavour;

typedef struct Version {
        Flavour flavour;
        unsigned major, minor, patch; /* all 0: not known */
} Version;

const char *flavour_to_string(Flavour flavour); /* "mysql", "mariadb" */
Flavour flavour_from_string(const char *name);

/* "10.11.19-MariaDB-log", "5.5.5-10.11.6-MariaDB", "5.6.24-log", "9.7.0". */
int version_parse(const char *text, Version *ret, Failure *reterr);
char *version_format(const Version *version); /* "MariaDB 10.11.19"; the caller frees it */
bool version_is_set(const Version *version);
/* Below, equal to or above 0. Flavours are ordered too, only so that the order is total. */
int version_compare(const Version *a, const Version *b);
/* The same by major and minor only: replication works from an older series to a newer one. */
int version_compare_series(const Version *a, const Version *b);
bool version_at_least(const Version *version, unsigned major, unsigned minor, unsigned patch);
