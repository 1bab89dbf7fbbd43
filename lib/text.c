/* Growing strings and quoting. Owns nothing beyond the buffers that callers hold; must never truncate silently. */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

char *text_vformat(const char *format, va_list arguments)
{
        char *result = NULL;
        if (vasprintf(&result, format, arguments) < 0)
                abort();
        return result;
}

char *text_format(const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        char *result = text_vformat(format, arguments);
        va_end(arguments);
        return result;
}

void text_add_n(Text *text, const char *bytes, size_t length)
{
        size_t needed = text->length + length + 1;
        if (needed > text->capacity) {
                text->capacity = needed < 64 ? 64 : needed * 2;
                text->data = alloc_resize(text->data, text->capacity, 1);
        }
        memcpy(text->data + text->length, bytes, length);
        text->length += length;
        text->data[text->length] = '\0';
}

void text_add(Text *text, const char *string)
{
        text_add_n(text, string, strlen(string));
}

void text_addf(Text *text, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *piece = text_vformat(format, arguments);
        va_end(arguments);
        text_add(text, piece);
}

void text_separate(Text *text, const char *separator)
{
        if (text->length)
                text_add(text, separator);
}

char *text_take(Text *text)
{
        char *data = text->data ? text->data : alloc_string("");
        *text = (Text){ 0 };
        return data;
}

void text_done(Text *text)
{
        free(text->data);
        *text = (Text){ 0 };
}

char *text_quote_shell(const char *value)
{
        Text out = { 0 };
        text_add(&out, "'");
        for (const char *c = value; *c; c++)
                if (*c == '\'')
                        text_add(&out, "'\\''");
                else
                        text_add_n(&out, c, 1);
        text_add(&out, "'");
        return text_take(&out);
}

char *text_quote_sql(const char *value)
{
        if (!value)
                return alloc_string("NULL");
        Text out = { 0 };
        text_add(&out, "'");
        for (const char *c = value; *c; c++) {
                switch (*c) {
                case '\'':
                case '"':
                case '\\':
                case '{': /* so that no value can look like one of script.h's placeholders */
                        text_add_n(&out, "\\", 1);
                        text_add_n(&out, c, 1);
                        break;
                case '\n':
                        text_add(&out, "\\n");
                        break;
                case '\r':
                        text_add(&out, "\\r");
                        break;
                case '\x1a':
                        text_add(&out, "\\Z");
                        break;
                default:
                        text_add_n(&out, c, 1);
                }
        }
        text_add(&out, "'");
        return text_take(&out);
}

static size_t edit_distance(const char *a, const char *b)
{
        size_t length = strlen(b);
        if (strlen(a) > 64 || length > 64)
                return SIZE_MAX;
        size_t row[65];
        for (size_t j = 0; j <= length; j++)
                row[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                size_t diagonal = row[0];
                row[0] = i;
                for (size_t j = 1; j <= length; j++) {
                        size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
                        if (above + 1 < best)
                                best = above + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        row[j] = best;
                        diagonal = above;
                }
        }
        return row[length];
}

const char *text_nearest(const char *word, const char *const *names, size_t n_names)
{
        const char *nearest = NULL;
        size_t best = strlen(word) / 3 + 2;
        for (size_t i = 0; i < n_names; i++) {
                size_t distance = edit_distance(word, names[i]);
                if (distance < best) {
                        best = distance;
                        nearest = names[i];
                }
        }
        return nearest;
}

bool text_equal(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

bool text_starts_with(const char *text, const char *with)
{
        return text && strncmp(text, with, strlen(with)) == 0;
}

bool text_is_empty(const char *text)
{
        return !text || !*text;
}

void text_wipe(char *secret)
{
        if (secret)
                explicit_bzero(secret, strlen(secret));
        free(secret);
}
