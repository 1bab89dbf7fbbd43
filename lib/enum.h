/* An enum and its names, from one table. The table has one name for each value below _MAX, in any order; a missing
 * name is found by the unit test of the enum (ENUM_TO_STRING returns "?" for it). */
#pragma once

#include <errno.h>
#include <string.h>

#include "cleanup.h"

#define ENUM_TO_STRING(prefix, type, names)                                                                            \
        const char *prefix##_to_string(type value)                                                                     \
        {                                                                                                              \
                if ((int) value < 0 || (size_t) value >= ARRAY_LENGTH(names) || !(names)[value])                       \
                        return "?";                                                                                    \
                return (names)[value];                                                                                 \
        }
/* -EINVAL for an unknown name or NULL. */
#define ENUM_FROM_STRING(prefix, type, names)                                                                          \
        type prefix##_from_string(const char *name)                                                                    \
        {                                                                                                              \
                for (size_t i = 0; name && i < ARRAY_LENGTH(names); i++)                                               \
                        if ((names)[i] && strcmp((names)[i], name) == 0)                                               \
                                return (type) i;                                                                       \
                return (type) -EINVAL;                                                                                 \
        }
#define ENUM_STRINGS(prefix, type, names) ENUM_TO_STRING(prefix, type, names) ENUM_FROM_STRING(prefix, type, names)
