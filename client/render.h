/* What the daemon answered, for people. Presentation only: no meaning is added, and what came from outside is stripped
 * of control characters. */
#pragma once

#include <stdbool.h>

#include "json.h"
#include "text.h"
#include "usec.h"

typedef struct Look {
        bool colour;
        bool lines; /* the terminal can show box lines and the like */
        usec_t now; /* wall clock */
} Look;

typedef enum Tone {
        TONE_PLAIN,
        TONE_STRONG,
        TONE_FAINT,
        TONE_GOOD,
        TONE_WARN,
        TONE_BAD,
        TONE_BUSY,
        _TONE_MAX,
} Tone;

/* Each appends whole lines; the value is the daemon's answer to the method of that name. */
void render_status(Text *out, const Look *look, const Json *status);
void render_check(Text *out, const Look *look, const Json *check);
void render_plan(Text *out, const Look *look, const Json *plan, bool with_scripts);
/* A switchover or a failover before it begins: who follows whom now and then (status and plan are answers). */
void render_switch(Text *out, const Look *look, const Json *status, const Json *plan);
const char *render_candidate(const Json *plan); /* whom a plan has chosen; NULL: nobody yet */
/* The checks of a plan alone; false when one of them fails. */
bool render_checks(Text *out, const Look *look, const Json *plan);
void render_report(Text *out, const Look *look, const Json *report);
/* What is saved: of all runs a line each, of the first all about it. */
void render_rescues(Text *out, const Look *look, const Json *rescues);
void render_rescue(Text *out, const Look *look, const Json *rescues);
void render_history(Text *out, const Look *look, const Json *history);
void render_events(Text *out, const Look *look, const Json *events);
void render_event(Text *out, const Look *look, const Json *event);

/* For those above. */

/* Text in a tone; control characters are replaced. */
void render_add(Text *out, const Look *look, Tone tone, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Each line of text on a line of its own, after first or, from the second on, rest. */
void render_lines(Text *out, const Look *look, const char *first, const char *rest, const char *text);
const char *render_mark(const Look *look, const char *state); /* one character for done, running, failed, … */
Tone render_tone(const char *state);                          /* of states, levels, verdicts and outcomes by name */
/* A member's text, or "-" (otherwise) when it is absent. */
const char *render_or(const Json *object, const char *name, const char *otherwise);
/* "2.1 s ago", "in 5 min 0 s". Free with free(). */
char *render_ago(const Look *look, usec_t real);
char *render_size(int64_t bytes);            /* "0", "512 B", "35.2 kB"; free with free() */
char *render_duration(int64_t milliseconds); /* "0", "40 ms", "3.2 s" */
/* The name of a step's target: of a server, or "mhad" for what concerns none. */
const char *render_target(const Json *target);
void render_steps(Text *out, const Look *look, const Json *steps, const char *indent);

/* Lines whose cells stand in columns. */
#define COLUMNS_MAX 10

typedef struct Columns Columns;
Columns *columns_new(const Look *look);
Columns *columns_free(Columns *columns);
DEFINE_CLEANUP(Columns *, columns_free)
void columns_row(Columns *columns); /* the next cells belong to a new line */
void columns_cell(Columns *columns, Tone tone, const char *format, ...) __attribute__((format(printf, 3, 4)));
void columns_below(Columns *columns, Tone tone, const char *text); /* a line of its own under the present one */
void columns_print(const Columns *columns, const char *indent, Text *out);
