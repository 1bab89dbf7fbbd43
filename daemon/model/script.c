/* Scripts and replies as values. Owns their strings; must never run anything. */
#include "script.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const kind_members[_SCRIPT_MAX] = {
        [SCRIPT_SQL] = "sql",   [SCRIPT_SSH] = "ssh",       [SCRIPT_READY] = "ready",
        [SCRIPT_HOOK] = "hook", [SCRIPT_RESCUE] = "rescue",
};

static ScriptItem *append(Script *script, ScriptKind kind, char *text, bool may_fail)
{
        ALLOC_GROW(script->items, script->n_items);
        ScriptItem *item = &script->items[script->n_items++];
        *item = (ScriptItem){ .kind = kind, .text = text, .may_fail = may_fail };
        return item;
}

#define APPEND_FORMATTED(kind, may_fail)                                                                               \
        do {                                                                                                           \
                va_list arguments;                                                                                     \
                va_start(arguments, format);                                                                           \
                append(script, kind, text_vformat(format, arguments), may_fail);                                       \
                va_end(arguments);                                                                                     \
        } while (0)

void script_sql(Script *script, const char *format, ...)
{
        APPEND_FORMATTED(SCRIPT_SQL, false);
}

void script_try_sql(Script *script, const char *format, ...)
{
        APPEND_FORMATTED(SCRIPT_SQL, true);
}

void script_ssh(Script *script, const char *format, ...)
{
        APPEND_FORMATTED(SCRIPT_SSH, false);
}

void script_try_ssh(Script *script, const char *format, ...)
{
        APPEND_FORMATTED(SCRIPT_SSH, true);
}

void script_ssh_on_word(Script *script, const char *text)
{
        append(script, SCRIPT_SSH, alloc_string(text), false)->on_word = true;
}

void script_ready(Script *script, const char *text)
{
        append(script, SCRIPT_READY, alloc_string(text), false);
}

void script_hook(Script *script, const char *name, Json *input)
{
        append(script, SCRIPT_HOOK, alloc_string(name), false)->input = input;
}

void script_rescue(Script *script, const char *verb, Json *input)
{
        append(script, SCRIPT_RESCUE, alloc_string(verb), false)->input = input;
}

bool script_is_empty(const Script *script)
{
        return script->n_items == 0;
}

bool script_has(const Script *script, ScriptKind kind)
{
        for (size_t i = 0; i < script->n_items; i++)
                if (script->items[i].kind == kind)
                        return true;
        return false;
}

void script_done(Script *script)
{
        for (size_t i = 0; i < script->n_items; i++) {
                free(script->items[i].text);
                json_free(script->items[i].input);
        }
        free(script->items);
        *script = (Script){ 0 };
}

Json *script_to_json(const Script *script)
{
        Json *array = json_array();
        for (size_t i = 0; i < script->n_items; i++) {
                const ScriptItem *item = &script->items[i];
                Json *object = json_object();
                json_set_string(object, kind_members[item->kind], item->text);
                if (item->input)
                        json_set(object, "input", json_copy(item->input));
                if (item->may_fail)
                        json_set_bool(object, "may_fail", true);
                if (item->on_word)
                        json_set_bool(object, "on_word", true);
                json_append(array, object);
        }
        return array;
}

int script_from_json(const Json *json, Script *ret, Failure *reterr)
{
        Script script = { 0 };
        JSON_FOREACH(object, json)
        {
                int kind = 0;
                while (kind < _SCRIPT_MAX && !json_get_string(object, kind_members[kind]))
                        kind++;
                if (kind == _SCRIPT_MAX) {
                        script_done(&script);
                        return failure_set(reterr, FAILURE_INVALID, 0, "a script has an item of an unknown kind");
                }
                ScriptItem *item =
                        append(&script, (ScriptKind) kind, alloc_string(json_get_string(object, kind_members[kind])),
                               json_get_bool(object, "may_fail", false));
                item->input = json_copy(json_get(object, "input"));
                item->on_word = json_get_bool(object, "on_word", false);
        }
        *ret = script;
        return 0;
}

/* The first letters, of either case, tell most of fifty names apart. */
static bool is_named(const char *name, const char *column)
{
        return ((name[0] ^ column[0]) & ~0x20) == 0 && strcasecmp(name, column) == 0;
}

static size_t find_column(const Reply *reply, const char *column)
{
        size_t i = 0;
        while (i < reply->n_columns && !is_named(reply->columns[i], column))
                i++;
        return i;
}

const char *reply_get(const Reply *reply, size_t row, const char *column)
{
        if (!column || row >= reply->n_rows)
                return NULL;
        size_t i = find_column(reply, column);
        return i < reply->n_columns ? reply->cells[row * reply->n_columns + i] : NULL;
}

bool reply_has_column(const Reply *reply, const char *column)
{
        return column && find_column(reply, column) < reply->n_columns;
}

bool reply_succeeded(const Reply *reply)
{
        return reply->run && reply->failure.kind == FAILURE_NONE;
}

const Reply *replies_at(const Replies *replies, size_t i)
{
        static const Reply none;
        return i < replies->n_items ? &replies->items[i] : &none;
}

/* Copies texts into one piece of memory, as a status has fifty of them each second from each server. The caller frees it. */
static char *pack(char **copies, const char *const *texts, size_t n)
{
        size_t length = 0;
        for (size_t i = 0; i < n; i++)
                length += texts[i] ? strlen(texts[i]) + 1 : 0;
        char *piece = ALLOC_ARRAY(char, length), *end = piece;
        for (size_t i = 0; i < n; i++) {
                copies[i] = texts[i] ? end : NULL;
                if (texts[i])
                        end = stpcpy(end, texts[i]) + 1;
        }
        return piece;
}

void reply_set_columns(Reply *reply, size_t n_columns, const char *const *names)
{
        reply->n_columns = n_columns;
        reply->columns = ALLOC_ARRAY(char *, n_columns);
        reply->names = pack(reply->columns, names, n_columns);
}

void reply_add_row(Reply *reply, const char *const *cells)
{
        reply->cells = alloc_resize(reply->cells, (reply->n_rows + 1) * reply->n_columns, sizeof *reply->cells);
        reply->texts = alloc_resize(reply->texts, reply->n_rows + 1, sizeof *reply->texts);
        reply->texts[reply->n_rows] = pack(reply->cells + reply->n_rows * reply->n_columns, cells, reply->n_columns);
        reply->n_rows++;
}

static void reply_done(Reply *reply)
{
        for (size_t i = 0; i < reply->n_rows; i++)
                free(reply->texts[i]);
        free(reply->texts);
        free(reply->names);
        free(reply->columns);
        free(reply->cells);
        free(reply->out);
        free(reply->err);
}

Replies *replies_new(size_t n_items)
{
        Replies *replies = ALLOC(Replies);
        replies->items = ALLOC_ARRAY(Reply, n_items);
        replies->n_items = n_items;
        return replies;
}

Replies *replies_free(Replies *replies)
{
        if (!replies)
                return NULL;
        for (size_t i = 0; i < replies->n_items; i++)
                reply_done(&replies->items[i]);
        free(replies->items);
        free(replies);
        return NULL;
}
