/* Binary-log coordinates as values. Owns nothing; must never compare file names as text. */
#include "position.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "text.h"

/* The number at the end of a file name, as its digits without leading zeros. */
static const char *file_number(const char *file, size_t *ret_stem)
{
        size_t stem = strlen(file);
        while (stem > 0 && isdigit((unsigned char) file[stem - 1]))
                stem--;
        const char *number = file + stem;
        while (*number == '0' && number[1])
                number++;
        *ret_stem = stem;
        return number;
}

static int parse_offset(const char *text, uint64_t *ret)
{
        uint64_t value = 0;
        if (!text || !*text)
                return -EINVAL;
        for (const char *c = text; *c; c++) {
                if (!isdigit((unsigned char) *c))
                        return -EINVAL;
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*c - '0'), &value))
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

static int make(const char *file, size_t length, const char *offset, Position *ret, Failure *reterr)
{
        const char *slash = memrchr(file, '/', length);
        if (slash) {
                length -= (size_t) (slash + 1 - file);
                file = slash + 1;
        }
        if (length == 0 || length >= POSITION_FILE_MAX)
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.40s' is not the name of a binary log", file);
        Position position = { 0 };
        memcpy(position.file, file, length);
        if (parse_offset(offset, &position.offset) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.40s' is not an offset in a binary log",
                                   offset ? offset : "");
        *ret = position;
        return 0;
}

int position_parse(const char *text, Position *ret, Failure *reterr)
{
        const char *colon = text ? strrchr(text, ':') : NULL;
        if (!colon)
                return failure_set(reterr, FAILURE_INVALID, 0, "'%.40s' is not a position (file:offset)",
                                   text ? text : "");
        return make(text, (size_t) (colon - text), colon + 1, ret, reterr);
}

int position_from_columns(const char *file, const char *offset, Position *ret, Failure *reterr)
{
        if (text_is_empty(file)) {
                *ret = (Position){ 0 };
                return 0;
        }
        return make(file, strlen(file), offset, ret, reterr);
}

Position position_from_json(const Json *json, const char *name)
{
        Position position = { 0 };
        const char *text = json_get_string(json, name);
        return !text_is_empty(text) && position_parse(text, &position, NULL) >= 0 ? position : (Position){ 0 };
}

char *position_format(const Position *position)
{
        if (!position_is_set(position))
                return alloc_string("");
        return text_format("%s:%llu", position->file, (unsigned long long) position->offset);
}

char *position_format_range(const Position *from, const Position *to)
{
        CLEANUP(mem_free) char *begin = position_format(from);
        CLEANUP(mem_free) char *end = position_format(to);
        return text_format("%s - %s", begin, end);
}

bool position_is_set(const Position *position)
{
        return position->file[0] != '\0';
}

bool position_comparable(const Position *a, const Position *b)
{
        if (!position_is_set(a) || !position_is_set(b))
                return false;
        size_t stem_a, stem_b;
        file_number(a->file, &stem_a);
        file_number(b->file, &stem_b);
        return stem_a == stem_b && memcmp(a->file, b->file, stem_a) == 0;
}

int position_compare(const Position *a, const Position *b)
{
        if (!position_comparable(a, b))
                return 0;
        size_t stem;
        const char *number_a = file_number(a->file, &stem), *number_b = file_number(b->file, &stem);
        size_t length_a = strlen(number_a), length_b = strlen(number_b);
        if (length_a != length_b)
                return length_a < length_b ? -1 : 1;
        int order = strcmp(number_a, number_b);
        if (order != 0)
                return order < 0 ? -1 : 1;
        return (a->offset > b->offset) - (a->offset < b->offset);
}

bool position_equal(const Position *a, const Position *b)
{
        return position_comparable(a, b) && position_compare(a, b) == 0;
}

Position position_max(Position a, Position b)
{
        if (!position_is_set(&a))
                return b;
        return position_compare(&a, &b) >= 0 ? a : b;
}

Position position_min(Position a, Position b)
{
        if (!position_is_set(&a))
                return b;
        return position_compare(&a, &b) <= 0 ? a : b;
}
