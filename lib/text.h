/* Strings that grow, and quoting. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "alloc.h"

/* An allocated string that fits: `char *s = text_format("%s:%u", host, port)`. Free with free(). */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_vformat(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* A growing buffer; always NUL-terminated once something was added. Zero-initialise it; end with text_done(). */
typedef struct Text {
        char *data;
        size_t length;
        size_t capacity;
} Text;

void text_add(Text *text, const char *string);
void text_add_n(Text *text, const char *bytes, size_t length);
void text_addf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds separator unless the buffer is empty: for lists. */
void text_separate(Text *text, const char *separator);
/* The string, which the caller frees; never NULL ("" when nothing was added). The buffer is empty afterwards. */
char *text_take(Text *text);
void text_done(Text *text);
static inline void text_done_cleanup(Text *text)
{
        text_done(text);
}

/* 'value' as one word of a POSIX shell. Free with free(). */
char *text_quote_shell(const char *value);
/* 'value' as an SQL string literal for a session whose sql_mode lacks NO_BACKSLASH_ESCAPES (ours sets it so). NULL
 * gives the word NULL. Free with free(). */
char *text_quote_sql(const char *value);
/* The nearest of names by edit distance, or NULL when none is near enough to be a typing error. */
const char *text_nearest(const char *word, const char *const *names, size_t n_names);

bool text_equal(const char *a, const char *b);             /* NULL equals NULL only */
bool text_starts_with(const char *text, const char *with); /* NULL starts with nothing */
bool text_is_empty(const char *text);                      /* NULL or "" */
/* Overwrites a secret so that no compiler removes it, then frees it; takes NULL. */
void text_wipe(char *secret);
