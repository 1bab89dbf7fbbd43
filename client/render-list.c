/* Answers that are lists of lines: checks, past runs, events. */
#include "render.h"

#include <string.h>

#include "cleanup.h"

/* A remedy is told once: several servers mostly have the same. */
static bool was_told(const Json *results, const Json *until)
{
        JSON_FOREACH(result, results)
        {
                if (result == until)
                        return false;
                if (text_equal(json_get_string(result, "id"), json_get_string(until, "id")) &&
                    json_has(result, "remedy"))
                        return true;
        }
        return false;
}

static void add_remedies(Text *out, const Look *look, const Json *results)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        bool any = false;
        JSON_FOREACH(result, results)
        {
                const char *remedy = json_get_string(result, "remedy");
                if (!remedy || was_told(results, result))
                        continue;
                columns_row(columns);
                columns_cell(columns, TONE_FAINT, "[%s]", render_or(result, "id", "?"));
                columns_cell(columns, TONE_PLAIN, "%s", remedy);
                any = true;
        }
        if (!any)
                return;
        text_add(out, "What to do\n");
        columns_print(columns, "  ", out);
}

static size_t count_level(const Json *results, const char *level)
{
        size_t n = 0;
        JSON_FOREACH(result, results)
        n += text_equal(json_get_string(result, "level"), level);
        return n;
}

static void add_sum(Text *out, const Look *look, const Json *check)
{
        const Json *results = json_get(check, "checks");
        bool ready = json_get_bool(check, "ready", false);
        size_t errors = count_level(results, "error"), warnings = count_level(results, "warning");
        if (!json_has(check, "what"))
                render_add(out, look, ready ? TONE_GOOD : TONE_BAD, "%s",
                           ready ? "Ready: a failover would go through." : "Not ready: see the errors above.");
        else
                render_add(out, look,
                           !ready         ? TONE_BAD
                           : warnings > 0 ? TONE_WARN
                                          : TONE_GOOD,
                           "%s %s: %zu error%s, %zu warning%s.", render_or(check, "what", "?"),
                           ready ? "is OK" : "is NOT OK", errors, errors == 1 ? "" : "s", warnings,
                           warnings == 1 ? "" : "s");
        text_add(out, "\n");
}

void render_check(Text *out, const Look *look, const Json *check)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(result, json_get(check, "checks"))
        {
                const char *level = render_or(result, "level", "note");
                columns_row(columns);
                columns_cell(columns, render_tone(level), "%s %s",
                             render_mark(look, text_equal(level, "ok") ? "done" : level), level);
                columns_cell(columns, TONE_PLAIN, "%s", render_or(result, "cluster", ""));
                columns_cell(columns, TONE_PLAIN, "%s", render_or(result, "server", ""));
                columns_cell(columns, TONE_PLAIN, "%s", render_or(result, "text", "?"));
                columns_cell(columns, TONE_FAINT, "[%s]", render_or(result, "id", "?"));
        }
        columns_print(columns, "", out);
        add_remedies(out, look, json_get(check, "checks"));
        add_sum(out, look, check);
}

void render_history(Text *out, const Look *look, const Json *history)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(run, json_get(history, "runs"))
        {
                const char *outcome = render_or(run, "outcome", "?");
                usec_t started = (usec_t) json_get_int(run, "started", 0),
                       ended = (usec_t) json_get_int(run, "ended", 0);
                CLEANUP(mem_free) char *time = started ? usec_format_time(started) : alloc_string("?");
                CLEANUP(mem_free)
                char *took = ended ? render_duration((int64_t) usec_sub(ended, started) / 1000) : alloc_string("");
                columns_row(columns);
                columns_cell(columns, TONE_PLAIN, "%s", time);
                columns_cell(columns, TONE_PLAIN, "%s", render_or(run, "cluster", ""));
                columns_cell(columns, TONE_PLAIN, "%s", render_or(run, "procedure", "?"));
                columns_cell(columns, render_tone(outcome), "%s", outcome);
                columns_cell(columns, TONE_FAINT, "%s", took);
                if (json_has(run, "server"))
                        columns_cell(columns, TONE_PLAIN, "%s", render_or(run, "server", ""));
                else
                        columns_cell(columns, TONE_PLAIN, "%s%s%s", render_or(run, "old_primary", ""),
                                     look->lines ? " → " : " -> ", render_or(run, "new_primary", "?"));
                columns_cell(columns, TONE_FAINT, "%s", render_or(run, "run", ""));
                columns_cell(columns, TONE_PLAIN, "%s", render_or(run, "summary", ""));
        }
        columns_print(columns, "", out);
        if (json_length(json_get(history, "runs")) == 0)
                text_add(out, "no run has ended yet\n");
}

/* By the priorities of syslog(3): 3 is an error, 4 a warning, 5 a notice. */
static Tone priority_tone(int64_t priority)
{
        return priority <= 3 ? TONE_BAD : priority == 4 ? TONE_WARN : priority == 5 ? TONE_STRONG : TONE_PLAIN;
}

/* The text of an event is a whole sentence for the log, where the cluster's name does not stand beside it. */
static const char *without_cluster(const char *text, const char *cluster)
{
        size_t length = cluster ? strlen(cluster) : 0;
        return length && text_starts_with(text, cluster) && text_starts_with(text + length, ": ") ? text + length + 2
                                                                                                  : text;
}

void render_event(Text *out, const Look *look, const Json *event)
{
        const char *cluster = json_get_string(event, "cluster"), *server = json_get_string(event, "server");
        CLEANUP(mem_free) char *time = usec_format_time((usec_t) json_get_int(event, "time", 0));
        render_add(out, look, TONE_FAINT, "%s ", time);
        render_add(out, look, TONE_PLAIN, "%s%s%s%s", cluster ? cluster : "", cluster && server ? "/" : "",
                   server ? server : "", cluster || server ? " " : "");
        render_add(out, look, TONE_FAINT, "%s: ", render_or(event, "event", "?"));
        render_add(out, look, priority_tone(json_get_int(event, "priority", 6)), "%s",
                   without_cluster(render_or(event, "text", ""), cluster));
        text_add(out, "\n");
}

void render_events(Text *out, const Look *look, const Json *events)
{
        JSON_FOREACH(event, json_get(events, "events"))
        render_event(out, look, event);
}
