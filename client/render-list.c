/* Answers that are lists of lines: checks, past runs, events. */
#include "render.h"

#include <string.h>

#include "cleanup.h"

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
        bool ready = json_get_bool(check, "ready", false);
        render_add(out, look, ready ? TONE_GOOD : TONE_BAD, "%s",
                   ready ? "Ready: a failover would go through." : "Not ready: see the errors above.");
        text_add(out, "\n");
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
