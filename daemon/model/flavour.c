/* Version strings of servers. Owns nothing. */
#include "flavour.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "enum.h"
#include "text.h"

static const char *const names[_FLAVOUR_MAX] = {
        [FLAVOUR_MYSQL] = "mysql",
        [FLAVOUR_MARIADB] = "mariadb",
};
ENUM_STRINGS(flavour, Flavour, names)

/* MariaDB puts this before its version so that old replicas accept it. */
static const char compatibility_prefix[] = "5.5.5-";

static bool parse_number(const char **text, unsigned *ret)
{
        unsigned value = 0, digits = 0;
        for (; **text >= '0' && **text <= '9'; (*text)++, digits++)
                value = value * 10 + (unsigned) (**text - '0');
        *ret = value;
        return digits > 0 && digits <= 6;
}

int version_parse(const char *text, Version *ret, Failure *reterr)
{
        Version version = { 0 };
        const char *c = text ? text : "";
        version.flavour = strcasestr(c, "mariadb") ? FLAVOUR_MARIADB : FLAVOUR_MYSQL;
        if (version.flavour == FLAVOUR_MARIADB && text_starts_with(c, compatibility_prefix))
                c += strlen(compatibility_prefix);
        if (!parse_number(&c, &version.major) || version.major == 0 || *c++ != '.' ||
            !parse_number(&c, &version.minor) || (*c == '.' && (c++, !parse_number(&c, &version.patch))))
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.60s' is not a server's version", text ? text : "");
        *ret = version;
        return 0;
}

char *version_format(const Version *version)
{
        if (!version_is_set(version))
                return alloc_string("unknown version");
        return text_format("%s %u.%u.%u", version->flavour == FLAVOUR_MARIADB ? "MariaDB" : "MySQL", version->major,
                           version->minor, version->patch);
}

bool version_is_set(const Version *version)
{
        return version->major > 0;
}

static int compare(unsigned a, unsigned b)
{
        return (a > b) - (a < b);
}

int version_compare_series(const Version *a, const Version *b)
{
        int order = compare((unsigned) a->flavour, (unsigned) b->flavour);
        if (order == 0)
                order = compare(a->major, b->major);
        return order != 0 ? order : compare(a->minor, b->minor);
}

int version_compare(const Version *a, const Version *b)
{
        int order = version_compare_series(a, b);
        return order != 0 ? order : compare(a->patch, b->patch);
}

bool version_at_least(const Version *version, unsigned major, unsigned minor, unsigned patch)
{
        Version least = { version->flavour, major, minor, patch };
        return version_compare(version, &least) >= 0;
}
