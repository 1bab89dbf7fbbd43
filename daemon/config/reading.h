/* The reading of one file: where what is wrong with it goes. */
#pragma once

#include "json.h"
#include "tree.h"

/* More errors than this help nobody; the rest is not looked for. */
#define READING_MAX_ERRORS 100

typedef struct Reading {
        const char *file;
        bool transient; /* one of the errors may be gone at the next attempt: a program has failed */
        bool offline;   /* look at nothing but the text: no secret, program or other file */
        Json *errors;   /* lent: strings "file:line:column: text" */
        Json *warnings; /* lent; may be NULL */
} Reading;

void reading_error(Reading *reading, TreePlace place, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, of what may be gone at the next attempt. */
void reading_error_for_now(Reading *reading, TreePlace place, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void reading_warn(Reading *reading, TreePlace place, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Whether there are so many errors that it is time to give up. */
bool reading_is_hopeless(const Reading *reading);
/* A value as it may stand in an error: short, printable, in quotes. Never call it for a secret. The caller frees it. */
char *reading_quote(const char *value);
/* What may be a key written together with its value, cut where a key must end; the same in quotes. */
char *reading_cut_key(const char *key);
char *reading_quote_key(const char *key);
