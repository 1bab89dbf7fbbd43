/* What to say to a server, and what it answered, as values. Step functions build scripts and read replies; only exec
 * carries them out. A script may be printed (plan, journal), so secrets stand in it as placeholders: exec puts the
 * value of "${replication_password}" (already quoted as an SQL literal) in at the last moment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "json.h"
#include "text.h"
#include "usec.h"

typedef enum ScriptKind {
        SCRIPT_SQL,   /* one statement on the server's work connection */
        SCRIPT_SSH,   /* a POSIX shell script for `sh -c` on the server's host, by the configured user (and sudo) */
        SCRIPT_READY, /* such a script, started in advance for a later item that has it with on_word; the answer (out) is
                       * its first line. When that is not "ready", or the item never comes, it ends without its word. */
        SCRIPT_HOOK,  /* a configured hook of that name, run by the daemon, with input as JSON on its standard input */
        SCRIPT_RESCUE, /* an order to, or a question about, the saved logs of the run; input and answer (in the reply's
                        * out) are JSON, described in exec/rescue.h. It returns at once: what takes long goes on, and is
                        * seen by asking again. */
        _SCRIPT_MAX,
} ScriptKind;

/* What of a script for a host sudo runs. */
typedef enum Sudo {
        SUDO_NOTHING,
        SUDO_ALL,      /* the shell that runs it */
        SUDO_COMMANDS, /* the single commands that need it: a short list for sudoers(5) */
        _SUDO_MAX,
} Sudo;

typedef struct ScriptItem {
        ScriptKind kind;
        char *text;    /* statement, shell script, hook name or verb */
        Json *input;   /* hooks and rescue only */
        bool may_fail; /* when it fails, that is in its reply and the next item runs; else the script ends there */
        bool on_word; /* SSH: the script prints a line when it is ready, and does nothing before it has read "go" from its
                        * standard input; when it was made ready before, it is told so now */
} ScriptItem;

typedef struct Script {
        ScriptItem *items;
        size_t n_items;
} Script;

/* Append an item. Values go in through text_quote_sql() / text_quote_shell(). */
void script_sql(Script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_try_sql(Script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_ssh(Script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_try_ssh(Script *script, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_ssh_on_word(Script *script, const char *text);
void script_ready(Script *script, const char *text);
void script_hook(Script *script, const char *name, Json *input);   /* takes input over */
void script_rescue(Script *script, const char *verb, Json *input); /* the same */
bool script_is_empty(const Script *script);
bool script_has(const Script *script, ScriptKind kind);
void script_done(Script *script);
static inline void script_done_cleanup(Script *script)
{
        script_done(script);
}
/* [{"sql": "…"}, {"ssh": "…"}, {"ready": "…"}, {"hook": "…", "input": {…}}, {"rescue": "…", "input": {…}}] and back; "may_fail": true and
 * "on_word": true where they are set. */
Json *script_to_json(const Script *script);
int script_from_json(const Json *json, Script *ret, Failure *reterr);

typedef struct Reply {
        bool run;        /* false: the script ended before it */
        Failure failure; /* FAILURE_NONE when it succeeded */
        usec_t took;     /* SQL: from the asking to the answer, of all that was asked with it */
        /* SQL: a result set (n_columns 0 for statements without one), cells row by row; a NULL cell is SQL's NULL. */
        size_t n_columns, n_rows;
        char **columns;
        char **cells;
        char *names, **texts; /* what they point into, a text a row */
        /* SSH and hooks: exit status and at most 64 KiB of each stream. Rescue: out. */
        int exit_status;
        char *out, *err;
} Reply;

typedef struct Replies {
        Reply *items; /* one for each item of the script, in its order */
        size_t n_items;
        Failure failure; /* why the whole did not end well: unreachable, deadline, or the first fatal item's failure */
} Replies;

/* The cell of a named column (case-insensitive), NULL when absent or NULL. */
const char *reply_get(const Reply *reply, size_t row, const char *column);
bool reply_has_column(const Reply *reply, const char *column);
bool reply_succeeded(const Reply *reply); /* it ran and did not fail */
/* The i-th reply; a constant empty one beyond the end, so that judges need no bounds checks. */
const Reply *replies_at(const Replies *replies, size_t i);
void reply_set_columns(Reply *reply, size_t n_columns, const char *const *names);
void reply_add_row(Reply *reply, const char *const *cells);
Replies *replies_new(size_t n_items);
Replies *replies_free(Replies *replies);
DEFINE_CLEANUP(Replies *, replies_free)
