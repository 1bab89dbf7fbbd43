/* Tones, columns, times: what all renderings share. Owns the cells of a Columns; must never print anything itself. */
#include "render.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"

static const char *const escapes[_TONE_MAX] = {
        [TONE_PLAIN] = "",        [TONE_STRONG] = "\x1b[1m", [TONE_FAINT] = "\x1b[2m", [TONE_GOOD] = "\x1b[32m",
        [TONE_WARN] = "\x1b[33m", [TONE_BAD] = "\x1b[1;31m", [TONE_BUSY] = "\x1b[36m",
};

/* Of everything that has a name in the daemon's answers. */
static const struct {
        const char *name;
        Tone tone;
        const char *mark, *plain_mark;
} states[] = {
        { "ok", TONE_GOOD, "●", "*" },        { "warning", TONE_WARN, "●", "!" },
        { "suspect", TONE_WARN, "●", "?" },   { "held", TONE_BAD, "●", "!" },
        { "running", TONE_BUSY, "▸", ">" },   { "halted", TONE_BAD, "■", "!" },
        { "error", TONE_BAD, "✗", "x" },      { "note", TONE_FAINT, "·", "-" },
        { "done", TONE_GOOD, "✓", "+" },      { "pending", TONE_FAINT, "·", "." },
        { "skipped", TONE_FAINT, "–", "-" },  { "failed", TONE_BAD, "✗", "x" },
        { "undone", TONE_WARN, "↩", "<" },    { "undoing", TONE_WARN, "↩", "<" },
        { "completed", TONE_GOOD, "✓", "+" }, { "aborted", TONE_WARN, "↩", "<" },
        { "met", TONE_GOOD, "✓", "+" },       { "unmet", TONE_BUSY, "·", "." },
        { "hopeless", TONE_BAD, "✗", "x" },   { "unreachable", TONE_BAD, "✗", "x" },
        { "timeout", TONE_BAD, "✗", "x" },    { "none", TONE_GOOD, "✓", "+" },
        { "unknown", TONE_FAINT, "?", "?" },  { "lost", TONE_BAD, "✗", "x" },
        { "steady", TONE_GOOD, "●", "*" },    { "starting", TONE_BUSY, "●", "*" },
};

static size_t find_state(const char *name)
{
        size_t i = 0;
        while (i < ARRAY_LENGTH(states) && !text_equal(states[i].name, name))
                i++;
        return i;
}

Tone render_tone(const char *state)
{
        size_t i = find_state(state);
        return i < ARRAY_LENGTH(states) ? states[i].tone : TONE_PLAIN;
}

const char *render_mark(const Look *look, const char *state)
{
        size_t i = find_state(state);
        if (i == ARRAY_LENGTH(states))
                return " ";
        return look->lines ? states[i].mark : states[i].plain_mark;
}

/* Control characters could move the cursor or change the terminal: those of ASCII and U+0080 to U+009F. */
static char *clean(char *text)
{
        for (unsigned char *c = (unsigned char *) text; *c; c++) {
                if (*c < 0x20 || *c == 0x7f)
                        *c = *c == '\n' || *c == '\t' ? ' ' : '?';
                else if (c[0] == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0)
                        c[0] = c[1] = '?';
        }
        return text;
}

static void add_toned(Text *out, const Look *look, Tone tone, const char *text)
{
        bool toned = look->colour && tone != TONE_PLAIN && *text;
        text_addf(out, "%s%s%s", toned ? escapes[tone] : "", text, toned ? "\x1b[0m" : "");
}

void render_add(Text *out, const Look *look, Tone tone, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        add_toned(out, look, tone, clean(text));
}

void render_lines(Text *out, const Look *look, const char *first, const char *rest, const char *text)
{
        for (const char *before = first; *text; before = rest) {
                size_t length = strcspn(text, "\n");
                CLEANUP(mem_free) char *line = alloc_string_n(text, length);
                render_add(out, look, TONE_FAINT, "%s", before);
                render_add(out, look, TONE_PLAIN, "%s", line);
                text_add(out, "\n");
                text += length + (text[length] == '\n');
        }
}

const char *render_or(const Json *object, const char *name, const char *otherwise)
{
        const char *value = json_get_string(object, name);
        return text_is_empty(value) ? otherwise : value;
}

char *render_ago(const Look *look, usec_t real)
{
        bool past = real <= look->now;
        CLEANUP(mem_free) char *distance = usec_format_human(past ? look->now - real : real - look->now);
        return past ? text_format("%s ago", distance) : text_format("in %s", distance);
}

char *render_duration(int64_t milliseconds)
{
        if (milliseconds <= 0)
                return alloc_string("0");
        return usec_format_human((usec_t) milliseconds * USEC_MSEC);
}

const char *render_target(const Json *target)
{
        return text_is_empty(json_name(target)) ? "mhad" : json_name(target);
}

static void add_targets(Text *out, const Look *look, const Json *targets, const char *indent)
{
        JSON_FOREACH(target, targets)
        {
                const char *verdict = json_get_string(target, "verdict");
                if (text_equal(verdict, "met"))
                        continue;
                render_add(out, look, TONE_PLAIN, "%s     %s", indent, render_target(target));
                render_add(out, look, render_tone(verdict), "  %s", verdict ? verdict : "asking");
                render_add(out, look, TONE_PLAIN, "%s%s", json_has(target, "why") ? ": " : "",
                           render_or(target, "why", ""));
                text_add(out, "\n");
        }
}

void render_steps(Text *out, const Look *look, const Json *steps, const char *indent)
{
        JSON_FOREACH(step, steps)
        {
                const char *state = json_get_string(step, "state");
                int64_t started = json_get_int(step, "started", 0), ended = json_get_int(step, "ended", 0);
                bool open = text_equal(state, "running") || text_equal(state, "failed");
                bool quiet = text_equal(state, "pending") || text_equal(state, "skipped");
                text_add(out, indent);
                render_add(out, look, render_tone(state), "%s", render_mark(look, state));
                render_add(out, look, quiet ? TONE_FAINT : TONE_PLAIN, "  %s", render_or(step, "goal", "?"));
                if (text_equal(state, "skipped"))
                        render_add(out, look, TONE_FAINT, " (skipped)");
                if (started && ended >= started && !quiet) {
                        CLEANUP(mem_free) char *took = render_duration((ended - started) / 1000);
                        render_add(out, look, TONE_FAINT, "  %s", took);
                } else if (started && text_equal(state, "running")) {
                        CLEANUP(mem_free) char *since = usec_format_human(usec_sub(look->now, (usec_t) started));
                        render_add(out, look, TONE_FAINT, "  for %s", since);
                }
                text_add(out, "\n");
                if (open)
                        add_targets(out, look, json_get(step, "targets"), indent);
        }
}

/* Columns. */

typedef struct Row {
        char *cells[COLUMNS_MAX];
        Tone tones[COLUMNS_MAX];
        size_t n_cells;
        Text below;
} Row;

struct Columns {
        const Look *look;
        Row *rows;
        size_t n_rows;
};

Columns *columns_new(const Look *look)
{
        Columns *columns = ALLOC(Columns);
        columns->look = look;
        return columns;
}

Columns *columns_free(Columns *columns)
{
        if (!columns)
                return NULL;
        for (size_t i = 0; i < columns->n_rows; i++) {
                for (size_t c = 0; c < columns->rows[i].n_cells; c++)
                        free(columns->rows[i].cells[c]);
                text_done(&columns->rows[i].below);
        }
        free(columns->rows);
        free(columns);
        return NULL;
}

void columns_row(Columns *columns)
{
        ALLOC_GROW(columns->rows, columns->n_rows);
        columns->rows[columns->n_rows++] = (Row){ 0 };
}

void columns_cell(Columns *columns, Tone tone, const char *format, ...)
{
        Row *row = &columns->rows[columns->n_rows - 1];
        if (row->n_cells == COLUMNS_MAX)
                return;
        va_list arguments;
        va_start(arguments, format);
        row->cells[row->n_cells] = clean(text_vformat(format, arguments));
        va_end(arguments);
        row->tones[row->n_cells++] = tone;
}

void columns_below(Columns *columns, Tone tone, const char *text)
{
        Row *row = &columns->rows[columns->n_rows - 1];
        render_add(&row->below, columns->look, tone, "%s", text);
        text_add(&row->below, "\n");
}

/* In characters, as far as one UTF-8 sequence is one. */
static size_t width_of(const char *text)
{
        size_t width = 0;
        for (; *text; text++)
                width += (*text & 0xC0) != 0x80;
        return width;
}

static size_t column_width(const Columns *columns, size_t column)
{
        size_t widest = 0;
        for (size_t i = 0; i < columns->n_rows; i++)
                if (column < columns->rows[i].n_cells && width_of(columns->rows[i].cells[column]) > widest)
                        widest = width_of(columns->rows[i].cells[column]);
        return widest;
}

static void print_row(const Columns *columns, const Row *row, const size_t *widths, const char *indent, Text *out)
{
        size_t owed = 0; /* blanks, written only when something follows */
        text_add(out, indent);
        for (size_t c = 0; c < row->n_cells; c++) {
                if (widths[c] == 0)
                        continue;
                if (*row->cells[c]) {
                        text_addf(out, "%*s", (int) owed, "");
                        add_toned(out, columns->look, row->tones[c], row->cells[c]);
                        owed = 0;
                }
                owed += widths[c] - width_of(row->cells[c]) + 2;
        }
        text_add(out, "\n");
        if (row->below.length)
                text_add(out, row->below.data);
}

void columns_print(const Columns *columns, const char *indent, Text *out)
{
        size_t widths[COLUMNS_MAX];
        for (size_t c = 0; c < COLUMNS_MAX; c++)
                widths[c] = column_width(columns, c);
        for (size_t i = 0; i < columns->n_rows; i++)
                print_row(columns, &columns->rows[i], widths, indent, out);
}
