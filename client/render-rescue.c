/* The binary logs that are saved. */
#include "render.h"

#include "cleanup.h"

char *render_size(int64_t bytes)
{
        static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
        double size = (double) bytes;
        size_t unit = 0;
        for (; size >= 999.5 && unit + 1 < ARRAY_LENGTH(units); unit++)
                size /= 1000;
        return unit == 0 ? text_format("%lld B", (long long) bytes)
                         : text_format("%.*f %s", size < 99.5, size, units[unit]);
}

static const char *kind_of(const Json *source)
{
        return text_equal(json_get_string(source, "kind"), "relay") ? "relay log" : "binary log";
}

static char *sources_in_words(const Json *sources)
{
        Text text = { 0 };
        JSON_FOREACH(source, sources)
        {
                int64_t n = json_get_int(source, "n_copied", 0);
                text_separate(&text, ", ");
                text_addf(&text, "%s: %lld %s%s", render_or(source, "server", "?"), (long long) n, kind_of(source),
                          n == 1 ? "" : "s");
        }
        return text_take(&text);
}

static const char *loss_in_words(const char *loss)
{
        return text_equal(loss, "none")   ? "nothing was lost"
               : text_equal(loss, "lost") ? "something was lost"
               : loss                     ? "whether something was lost is not known"
                                          : "";
}

static Tone state_tone(const char *state)
{
        return text_equal(state, "complete") ? TONE_GOOD : text_equal(state, "failed") ? TONE_BAD : TONE_WARN;
}

static bool is_under_way(const Json *progress)
{
        const char *state = json_get_string(progress, "state");
        return text_equal(state, "copying") || text_equal(state, "indexing");
}

void render_rescues(Text *out, const Look *look, const Json *answer)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(rescue, json_get(answer, "rescues"))
        {
                const Json *progress = json_get(rescue, "progress");
                usec_t when = (usec_t) json_get_int(rescue, "time", 0);
                const char *loss = json_get_string(rescue, "loss");
                const char *state =
                        is_under_way(progress) ? json_get_string(progress, "state") : render_or(rescue, "state", "?");
                CLEANUP(mem_free) char *time = when ? usec_format_time(when) : alloc_string("?");
                CLEANUP(mem_free) char *size = render_size(json_get_int(rescue, "bytes", 0));
                CLEANUP(mem_free) char *sources = sources_in_words(json_get(rescue, "sources"));
                columns_row(columns);
                columns_cell(columns, TONE_PLAIN, "%s", time);
                columns_cell(columns, TONE_PLAIN, "%s", render_or(rescue, "cluster", ""));
                columns_cell(columns, TONE_STRONG, "%s", render_or(rescue, "run", "?"));
                columns_cell(columns, TONE_PLAIN, "%s", render_or(rescue, "procedure", "fetch"));
                columns_cell(columns, TONE_PLAIN, "%s", size);
                columns_cell(columns, state_tone(state), "%s", state);
                columns_cell(columns, TONE_PLAIN, "%s", sources);
                columns_cell(columns, render_tone(loss), "%s", loss_in_words(loss));
        }
        columns_print(columns, "", out);
        if (json_length(json_get(answer, "rescues")) == 0)
                text_add(out, "no logs are saved\n");
}

static void add_heading(Text *out, const Look *look, const char *heading)
{
        text_add(out, "\n");
        render_add(out, look, TONE_STRONG, "%s", heading);
        text_add(out, "\n");
}

static void add_sources(Text *out, const Look *look, const Json *sources)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(source, sources)
        {
                const char *state = render_or(source, "state", "?");
                CLEANUP(mem_free) char *size = render_size(json_get_int(source, "bytes", 0));
                columns_row(columns);
                columns_cell(columns, TONE_PLAIN, "%s", render_or(source, "server", "?"));
                columns_cell(columns, state_tone(state), "%s", state);
                columns_cell(columns, TONE_PLAIN, "%lld of %lld %ss", (long long) json_get_int(source, "n_copied", 0),
                             (long long) json_get_int(source, "n_files", 0), kind_of(source));
                columns_cell(columns, TONE_PLAIN, "%s", size);
                columns_cell(columns, TONE_FAINT, "%s",
                             json_get_bool(source, "verified", false) ? "as the host's own checksums say" : "");
                const char *const troubles[] = { "failure", "damage" };
                for (size_t i = 0; i < ARRAY_LENGTH(troubles); i++)
                        if (json_has(source, troubles[i])) {
                                CLEANUP(mem_free)
                                char *why = text_format("    %s", render_or(source, troubles[i], "?"));
                                columns_below(columns, TONE_BAD, why);
                        }
        }
        add_heading(out, look, "Copied from");
        columns_print(columns, "  ", out);
}

static void add_files(Text *out, const Look *look, const Json *files)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(file, files)
        {
                bool copied = json_get_bool(file, "copied", false);
                CLEANUP(mem_free) char *size = render_size(json_get_int(file, "size", 0));
                columns_row(columns);
                columns_cell(columns, TONE_PLAIN, "%s", render_or(file, "name", "?"));
                columns_cell(columns, TONE_PLAIN, "bytes %lld to %lld", (long long) json_get_int(file, "from", 0),
                             (long long) json_get_int(file, "to", 0));
                columns_cell(columns, TONE_PLAIN, "%s", copied ? size : "");
                columns_cell(columns, copied ? TONE_FAINT : TONE_WARN, "%s",
                             !copied                                  ? "not copied"
                             : json_get_bool(file, "verified", false) ? "verified"
                                                                      : "not verified");
        }
        add_heading(out, look, "Files");
        columns_print(columns, "  ", out);
}

static void add_ranges(Text *out, const Look *look, const Json *ranges)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        JSON_FOREACH(range, ranges)
        {
                columns_row(columns);
                columns_cell(columns, TONE_PLAIN, "%s", render_or(range, "server", "?"));
                columns_cell(columns, TONE_PLAIN, "%s:%lld - %lld", render_or(range, "file", "?"),
                             (long long) json_get_int(range, "from", 0), (long long) json_get_int(range, "to", 0));
        }
        add_heading(out, look, "The primary's log in them");
        columns_print(columns, "  ", out);
}

static void add_lines(Text *out, const Look *look, Tone tone, const Json *lines)
{
        JSON_FOREACH(line, lines)
        {
                render_add(out, look, tone, "  %s", json_string(line) ? json_string(line) : "?");
                text_add(out, "\n");
        }
}

static void add_holds(Text *out, const Look *look, const Json *rescue)
{
        const Json *holds = json_get(rescue, "holds");
        const char *torn = json_get_string(holds, "torn");
        add_heading(out, look, "Transactions");
        if (!holds) {
                text_add(out, "  not known: the copies were not read to their end\n");
                return;
        }
        render_add(out, look, TONE_PLAIN, "  %s%lld, the last complete one ends at %s",
                   json_get_bool(holds, "exact", true) ? "" : "at most ",
                   (long long) json_get_int(holds, "n_transactions", 0), render_or(holds, "last", "?"));
        text_add(out, "\n");
        if (!text_is_empty(torn)) {
                render_add(out, look, TONE_WARN, "  behind it is the beginning of one more, up to %s", torn);
                text_add(out, "\n");
        }
        if (json_has(holds, "gtids")) {
                render_add(out, look, TONE_PLAIN, "  %s", render_or(holds, "gtids", "?"));
                text_add(out, "\n");
        }
        add_lines(out, look, TONE_BAD, json_get(holds, "holes"));
        add_lines(out, look, TONE_BAD, json_get(rescue, "differ"));
}

void render_rescue(Text *out, const Look *look, const Json *answer)
{
        const Json *rescue = json_at(json_get(answer, "rescues"), 0);
        const Json *progress = json_get(rescue, "progress");
        const char *loss = json_get_string(rescue, "loss"), *failure = json_get_string(progress, "failure");
        usec_t when = (usec_t) json_get_int(rescue, "time", 0);
        CLEANUP(mem_free) char *time = when ? usec_format_time(when) : alloc_string("?");
        CLEANUP(mem_free) char *size = render_size(json_get_int(rescue, "bytes", 0));
        render_add(out, look, TONE_STRONG, "%s: logs saved by %s %s", render_or(rescue, "cluster", "?"),
                   json_has(rescue, "procedure") ? render_or(rescue, "procedure", "?") : "order",
                   render_or(rescue, "run", "?"));
        text_add(out, "\n");
        render_add(out, look, TONE_PLAIN, "  %s, %s, in %s", time, size, render_or(rescue, "directory", "?"));
        text_add(out, "\n");
        if (json_has(rescue, "why")) {
                render_add(out, look, TONE_PLAIN, "  %s", render_or(rescue, "why", "?"));
                text_add(out, "\n");
        }
        if (loss) {
                render_add(out, look, render_tone(loss), "  %s", loss_in_words(loss));
                text_add(out, "\n");
        }
        if (failure) {
                render_add(out, look, TONE_BAD, "  %s", failure);
                text_add(out, "\n");
        }
        if (is_under_way(progress)) {
                CLEANUP(mem_free) char *copied = render_size(json_get_int(progress, "copied", 0));
                CLEANUP(mem_free) char *total = render_size(json_get_int(progress, "total", 0));
                render_add(out, look, TONE_BUSY, "  %s: %s of %s", render_or(progress, "state", "?"), copied, total);
                text_add(out, "\n");
        }
        if (!json_has(rescue, "sources"))
                return;
        add_sources(out, look, json_get(rescue, "sources"));
        add_files(out, look, json_get(rescue, "files"));
        if (json_length(json_get(rescue, "ranges")) > 0)
                add_ranges(out, look, json_get(rescue, "ranges"));
        add_holds(out, look, rescue);
}
