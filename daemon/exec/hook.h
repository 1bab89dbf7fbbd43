/* A local program run on the operator's behalf: JSON on its standard input, a clean environment, a process group of its
 * own, bounded output and time. */
#pragma once

#include "failure.h"
#include "loop.h"

typedef struct Hook Hook;

typedef struct HookResult {
        Failure failure;       /* FAILURE_NONE with status 0, else FAILURE_EXIT, FAILURE_TIMEOUT, FAILURE_SYSTEM */
        int exit_status;       /* 128 + signal when a signal ended it; -1 when it did not end */
        const char *out, *err; /* at most 64 KiB of each; lent */
} HookResult;

typedef void (*hook_fn)(const HookResult *result, void *userdata);

/* Starts argv[0] (a path), called name in failures, with input on its standard input (may be NULL) and environment
 * (NULL-terminated "NAME=value", may be NULL) beside PATH and LANG, unless they are in it. When deadline (absolute) passes
 * its group gets SIGTERM and, 2 s later, SIGKILL. Calls done once, from the loop, when it has ended or cannot be ended; the
 * hook is gone then. */
Hook *hook_run(Loop *loop, const char *name, const char *const *argv, const char *input, const char *const *environment,
               usec_t deadline, hook_fn done, void *userdata);
/* Ends it in the same way without calling done; takes NULL. */
Hook *hook_abandon(Hook *hook);
/* Lets it go on to its end, or its deadline, without calling done; takes NULL. */
Hook *hook_leave(Hook *hook);
