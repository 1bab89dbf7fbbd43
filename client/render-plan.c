/* What a procedure would do: its goals, how they stand now, and the statements that would bring them about. */
#include "render.h"

#include "cleanup.h"

static void add_action(Text *out, const Look *look, const Json *action)
{
        static const char *const kinds[] = { "sql", "ssh", "hook" };
        for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
                const char *text = json_get_string(action, kinds[i]);
                if (!text)
                        continue;
                render_add(out, look, TONE_FAINT, "            %-4s ", kinds[i]);
                render_add(out, look, TONE_PLAIN, "%s", text);
                text_add(out, "\n");
        }
}

static void add_target(Text *out, const Look *look, const Json *target, bool with_statements)
{
        const char *now = json_get_string(target, "now"), *why = json_get_string(target, "why");
        const char *server = render_or(target, "server", "here");
        render_add(out, look, TONE_PLAIN, "        %s", server);
        render_add(out, look, render_tone(now), "  %s", now ? now : "");
        render_add(out, look, TONE_FAINT, "%s%s", why ? ": " : "", why ? why : "");
        text_add(out, "\n");
        if (with_statements)
                JSON_FOREACH(action, json_get(target, "would"))
        add_action(out, look, action);
}

static void add_step(Text *out, const Look *look, const Json *step, size_t number, bool with_statements)
{
        const Json *decision = json_get(step, "decision");
        bool skipped = json_get_bool(step, "skipped", false);
        render_add(out, look, TONE_FAINT, "  %2zu  ", number);
        render_add(out, look, skipped ? TONE_FAINT : TONE_PLAIN, "%s", render_or(step, "goal", "?"));
        render_add(out, look, TONE_FAINT, "%s (%s)", skipped ? " (not needed)" : "", render_or(step, "name", "?"));
        text_add(out, "\n");
        if (skipped)
                return;
        if (json_has(decision, "why")) {
                render_add(out, look, TONE_STRONG, "        %s", render_or(decision, "why", "?"));
                text_add(out, "\n");
        }
        JSON_FOREACH(target, json_get(step, "targets"))
        add_target(out, look, target, with_statements);
}

void render_plan(Text *out, const Look *look, const Json *answer, bool with_statements)
{
        const Json *plan = json_get(answer, "plan"), *blocked = json_get(plan, "blocked");
        size_t number = 0;
        render_add(out, look, TONE_STRONG, "What a %s of %s would do now:", render_or(plan, "procedure", "run"),
                   render_or(plan, "cluster", "?"));
        text_add(out, "\n\n");
        JSON_FOREACH(step, json_get(plan, "steps"))
        add_step(out, look, step, ++number, with_statements);
        if (json_length(blocked) == 0)
                return;
        text_add(out, "\n");
        render_add(out, look, TONE_BAD, "But it would not begin:");
        text_add(out, "\n");
        JSON_FOREACH(reason, blocked)
        {
                render_add(out, look, TONE_BAD, "  - %s", json_string(reason) ? json_string(reason) : "?");
                text_add(out, "\n");
        }
}
