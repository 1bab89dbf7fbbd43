/* Coordinates in a binary log: a file name and an offset. File names are ordered by the number at their end
 * (binlog.999999 comes before binlog.1000000); names with different stems belong to different logs and have no order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "json.h"

enum { POSITION_FILE_MAX = 256 };

typedef struct Position {
        char file[POSITION_FILE_MAX]; /* without directory; "" when the position is not known */
        uint64_t offset;
} Position;

/* "binlog.000003:1234". */
int position_parse(const char *text, Position *ret, Failure *reterr);
/* From two columns of a server's answer: a path loses its directory; NULL or an empty file gives an unset position. */
int position_from_columns(const char *file, const char *offset, Position *ret, Failure *reterr);
/* The field of an object; unset when it is missing, or is none. */
Position position_from_json(const Json *json, const char *name);
/* "binlog.000003:1234", "" when unset. The caller frees it. */
char *position_format(const Position *position);
/* "binlog.000003:4 - binlog.000004:120". The caller frees it. */
char *position_format_range(const Position *from, const Position *to);
bool position_is_set(const Position *position);
/* Whether the two can be ordered: both set and of one log. */
bool position_comparable(const Position *a, const Position *b);
/* Below, equal to or above 0, as a is before, at or after b; 0 also when they are not comparable. */
int position_compare(const Position *a, const Position *b);
bool position_equal(const Position *a, const Position *b);
/* The later (earlier) of the two; the one that is set when only one is; a when they are not comparable. */
Position position_max(Position a, Position b);
Position position_min(Position a, Position b);
