/* The report of a run: the daemon's own text when it has one, else the same from its parts. */
#include "render.h"

#include "cleanup.h"

static void add_heading(Text *out, const Look *look, const char *heading)
{
        text_add(out, "\n");
        render_add(out, look, TONE_STRONG, "%s", heading);
        text_add(out, "\n");
}

static void add_strings(Text *out, const Look *look, const Json *list)
{
        JSON_FOREACH(line, list)
        {
                render_add(out, look, TONE_PLAIN, "    - %s", json_string(line) ? json_string(line) : "?");
                text_add(out, "\n");
        }
}

static void add_times(Text *out, const Look *look, const Json *times)
{
        static const char *const names[][2] = {
                { "last_good", "last good ping" }, { "suspected", "suspected" },       { "verdict", "found dead" },
                { "started", "run started" },      { "opened", "new primary opened" }, { "address", "address moved" },
                { "ended", "run ended" },
        };
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        usec_t first = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
                usec_t time = (usec_t) json_get_int(times, names[i][0], 0);
                if (time == 0)
                        continue;
                first = first ? first : time;
                CLEANUP(mem_free) char *text = usec_format_time(time);
                columns_row(columns);
                columns_cell(columns, TONE_PLAIN, "%s", names[i][1]);
                columns_cell(columns, TONE_PLAIN, "%s", text);
                columns_cell(columns, TONE_FAINT, "%+.3f s", (double) (int64_t) (time - first) / 1e6);
        }
        if (first == 0)
                return;
        add_heading(out, look, "Times");
        columns_print(columns, "  ", out);
}

static void add_verdict(Text *out, const Look *look, const Json *verdict)
{
        if (!verdict)
                return;
        add_heading(out, look, "Verdict");
        render_add(out, look, TONE_PLAIN, "  %s", render_or(verdict, "text", "?"));
        render_add(out, look, TONE_FAINT, " [%s]", render_or(verdict, "row", "?"));
        text_add(out, "\n");
        if (json_has(verdict, "evidence")) {
                render_add(out, look, TONE_PLAIN, "    %s", render_or(verdict, "evidence", "?"));
                text_add(out, "\n");
        }
}

static void add_loss(Text *out, const Look *look, const Json *loss)
{
        const char *verdict = json_get_string(loss, "verdict"), *proof = json_get_string(loss, "proof");
        if (!verdict)
                return;
        add_heading(out, look, "Loss");
        render_add(out, look, render_tone(verdict), "  %s", verdict);
        render_add(out, look, TONE_PLAIN, "%s%s", proof ? ": " : "", proof ? proof : "");
        text_add(out, "\n");
        add_strings(out, look, json_get(loss, "details"));
}

/* Lines of three columns out of objects: their members by name. */
static void add_table(Text *out, const Look *look, const char *heading, const Json *list, const char *const names[3])
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(element, list)
        {
                columns_row(columns);
                for (int i = 0; i < 3; i++) {
                        const Json *member = json_get(element, names[i]);
                        int64_t number = json_get_int(element, names[i], -1);
                        const char *text = json_string(member);
                        if (member && !text && number >= 0)
                                columns_cell(columns, TONE_PLAIN, "%lld", (long long) number);
                        else
                                columns_cell(columns, i == 1 ? render_tone(text) : TONE_PLAIN, "%s", text ? text : "");
                }
        }
        if (json_length(list) == 0)
                return;
        add_heading(out, look, heading);
        columns_print(columns, "  ", out);
}

void render_report(Text *out, const Look *look, const Json *answer)
{
        const Json *report = json_get(answer, "report");
        const char *outcome = render_or(report, "outcome", "?"), *text = json_get_string(report, "text");
        if (text) {
                render_lines(out, look, "", "", text);
                return;
        }
        render_add(out, look, TONE_STRONG, "%s of %s: ", render_or(report, "procedure", "run"),
                   render_or(report, "cluster", "?"));
        render_add(out, look, render_tone(outcome), "%s", outcome);
        render_add(out, look, TONE_PLAIN, ", %s%s%s", render_or(report, "old_primary", "?"),
                   look->lines ? " → " : " -> ", render_or(report, "new_primary", "?"));
        render_add(out, look, TONE_FAINT, " (run %s)", render_or(report, "run", "?"));
        text_add(out, "\n");
        if (json_has(report, "why")) {
                render_add(out, look, TONE_PLAIN, "%s", render_or(report, "why", "?"));
                text_add(out, "\n");
        }
        add_loss(out, look, json_get(report, "loss"));
        add_verdict(out, look, json_get(report, "verdict"));
        add_times(out, look, json_get(report, "times"));
        add_table(out, look, "Fence", json_get(report, "fence"),
                  (const char *const[]){ "rung", "result", "guarantee" });
        add_table(out, look, "Candidates", json_get(report, "candidates"),
                  (const char *const[]){ "server", "rank", "why" });
        add_table(out, look, "Saved logs", json_get(json_get(report, "rescue"), "replicas"),
                  (const char *const[]){ "name", "received", "text" });
        add_table(out, look, "Servers", json_get(report, "servers"), (const char *const[]){ "name", "state", "text" });
        if (json_length(json_get(report, "steps")) > 0)
                add_heading(out, look, "Steps");
        render_steps(out, look, json_get(report, "steps"), "  ");
}
