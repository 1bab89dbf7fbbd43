/* Whatever JSON the daemon might send: shown without a control character that came from it. */
#include <stdint.h>
#include <stdlib.h>

#include "render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render_full_plan(Text *out, const Look *look, const Json *plan)
{
        render_plan(out, look, plan, true);
}

static void render_both(Text *out, const Look *look, const Json *answer)
{
        render_switch(out, look, answer, answer);
}

static void render_found(Text *out, const Look *look, const Json *plan)
{
        (void) render_checks(out, look, plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const renderings[])(Text *, const Look *, const Json *) = {
                render_status, render_check,   render_full_plan, render_report, render_history,
                render_events, render_rescues, render_rescue,    render_both,   render_found,
        };
        CLEANUP(json_free) Json *answer = NULL;
        if (size == 0 || json_parse((const char *) data + 1, size - 1, &answer, NULL) < 0)
                return 0;
        const Look look = { .lines = data[0] & 1, .now = 1795339007000000 };
        for (size_t i = 0; i < ARRAY_LENGTH(renderings); i++) {
                Text text = { 0 };
                renderings[i](&text, &look, answer);
                for (size_t c = 0; c < text.length; c++)
                        if ((unsigned char) text.data[c] < ' ' && text.data[c] != '\n')
                                abort();
                text_done(&text);
        }
        return 0;
}
