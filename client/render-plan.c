/* What a procedure would do: its goals, how they stand now, and the statements that would bring them about. */
#include "render.h"

#include "cleanup.h"

static void add_action(Text *out, const Look *look, const Json *action)
{
        static const char *const kinds[] = { "sql", "ssh", "ready", "hook", "rescue" };
        for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
                const char *text = json_get_string(action, kinds[i]);
                if (!text)
                        continue;
                CLEANUP(mem_free) char *first = text_format("            %-4s ", kinds[i]);
                render_lines(out, look, first, "                 ", text);
        }
}

static void add_target(Text *out, const Look *look, const Json *target, bool with_scripts)
{
        const char *verdict = json_get_string(target, "verdict"), *why = json_get_string(target, "why");
        render_add(out, look, TONE_PLAIN, "        %s", render_target(target));
        render_add(out, look, render_tone(verdict), "%s%s", verdict ? "  " : "", verdict ? verdict : "");
        render_add(out, look, TONE_FAINT, "%s%s", why ? ": " : "", why ? why : "");
        text_add(out, "\n");
        if (!with_scripts)
                return;
        JSON_FOREACH(action, json_get(target, "script"))
        add_action(out, look, action);
}

static void add_no_return(Text *out, const Look *look)
{
        const char *line = look->lines ? "───" : "---";
        render_add(out, look, TONE_WARN, "  %s from here on there is no undo %s", line, line);
        text_add(out, "\n");
}

static void add_step(Text *out, const Look *look, const Json *step, bool with_scripts)
{
        const char *state = json_get_string(step, "state"), *why = json_get_string(step, "why");
        bool skipped = text_equal(state, "skipped"), unknown = text_equal(state, "unknown");
        if (json_get_bool(step, "no_return", false))
                add_no_return(out, look);
        render_add(out, look, TONE_FAINT, "  %2lld  ", (long long) json_get_int(step, "number", 0));
        render_add(out, look, skipped || unknown ? TONE_FAINT : TONE_PLAIN, "%s", render_or(step, "goal", "?"));
        render_add(out, look, TONE_FAINT, "%s (%s)", skipped ? ": not needed" : "", render_or(step, "name", "?"));
        text_add(out, "\n");
        if (why) {
                render_add(out, look, unknown ? TONE_WARN : TONE_STRONG, "        %s", why);
                text_add(out, "\n");
        }
        JSON_FOREACH(target, json_get(step, "targets"))
        add_target(out, look, target, with_scripts);
}

void render_plan(Text *out, const Look *look, const Json *answer, bool with_scripts)
{
        const Json *plan = json_get(answer, "plan"), *blocked = json_get(plan, "blocked");
        render_add(out, look, TONE_STRONG, "What a %s of %s would do now:", render_or(plan, "procedure", "run"),
                   render_or(plan, "cluster", "?"));
        text_add(out, "\n\n");
        JSON_FOREACH(step, json_get(plan, "steps"))
        add_step(out, look, step, with_scripts);
        if (!json_get_bool(plan, "complete", true)) {
                text_add(out, "\n");
                render_add(out, look, TONE_WARN, "How it would go on cannot be said: %s", render_or(plan, "why", "?"));
                text_add(out, "\n");
        }
        if (json_length(blocked) == 0)
                return;
        text_add(out, "\n");
        render_add(out, look, TONE_WARN, "It would not begin by itself:");
        text_add(out, "\n");
        JSON_FOREACH(reason, blocked)
        {
                render_add(out, look, TONE_WARN, "  - %s", json_string(reason) ? json_string(reason) : "?");
                text_add(out, "\n");
        }
}
