/* The state file. Owns one JSON document. */
#include "state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

int state_load(const char *path, State *ret, Failure *reterr)
{
        State state = { .path = alloc_string(path) };
        CLEANUP(mem_free) char *text = NULL;
        size_t length = 0;
        int r = 0;
        if (access(path, F_OK) < 0 && errno == ENOENT) {
                state.root = json_object();
        } else {
                Failure failure = { 0 };
                r = file_read(path, 1 << 20, &text, &length, &failure);
                if (r >= 0)
                        r = json_parse(text, length, &state.root, &failure);
                if (r < 0) {
                        free(state.path);
                        return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s", path, failure.text);
                }
        }
        *ret = state;
        return 0;
}

void state_done(State *state)
{
        free(state->path);
        json_free(state->root);
        *state = (State){ 0 };
}

int state_save(const State *state, Failure *reterr)
{
        CLEANUP(mem_free) char *text = json_print_pretty(state->root);
        CLEANUP(mem_free) char *line = text_format("%s\n", text);
        return file_replace(state->path, line, strlen(line), 0600, reterr);
}
