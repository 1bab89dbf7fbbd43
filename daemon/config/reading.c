/* What is wrong with a file. Owns nothing; must never print a secret. */
#include "reading.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "text.h"

bool reading_is_hopeless(const Reading *reading)
{
        return json_length(reading->errors) >= READING_MAX_ERRORS;
}

/* What came from `defaults` is checked again with each cluster: the same line is not said twice. */
static void note(Json *list, const Reading *reading, TreePlace place, const char *format, va_list arguments)
        __attribute__((format(printf, 4, 0)));
static void note(Json *list, const Reading *reading, TreePlace place, const char *format, va_list arguments)
{
        if (!list || json_length(list) >= READING_MAX_ERRORS)
                return;
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        CLEANUP(mem_free) char *line = text_format("%s:%zu:%zu: %s", reading->file, place.line, place.column, text);
        if (!json_array_contains(list, line))
                json_append_string(list, line);
}

void reading_error(Reading *reading, TreePlace place, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        note(reading->errors, reading, place, format, arguments);
        va_end(arguments);
}

void reading_error_for_now(Reading *reading, TreePlace place, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        note(reading->errors, reading, place, format, arguments);
        va_end(arguments);
        reading->transient = true;
}

void reading_warn(Reading *reading, TreePlace place, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        note(reading->warnings, reading, place, format, arguments);
        va_end(arguments);
}

static char *quote(const char *value, size_t length)
{
        const size_t limit = 60;
        Text out = { 0 };
        text_add(&out, "\"");
        for (size_t i = 0; i < length && i < limit; i++) {
                char c = value[i];
                text_add_n(&out, isascii(c) && isprint(c) ? &c : "?", 1);
        }
        text_add(&out, value[length < limit ? length : limit] ? "…\"" : "\"");
        return text_take(&out);
}

char *reading_quote(const char *value)
{
        return quote(value, strlen(value));
}

static size_t length_of_key(const char *key)
{
        return strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
}

char *reading_cut_key(const char *key)
{
        return alloc_string_n(key, length_of_key(key));
}

char *reading_quote_key(const char *key)
{
        return quote(key, length_of_key(key));
}
