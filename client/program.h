/* The daemon's own program, for what is done to files: what they mean is known there alone. */
#pragma once

#include <stdbool.h>

/* Where mhad is installed, unless $MHAD_PROGRAM says otherwise. */
const char *program_path(void);
/* Runs it in our place; returns only when it cannot be run, with errno. arguments begin after the program's name and end
 * with NULL. */
int program_become(const char *const *arguments);
/* Runs it and waits: its exit status (128 + signal), or a negative errno. With aside, what it says goes to standard error,
 * as standard output is for something else. */
int program_run(const char *const *arguments, bool aside);
