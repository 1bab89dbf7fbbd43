/* What is run for a configured hook: its words, or the command of a shell with a script's arguments added. Pure. */
#pragma once

#include "json.h"
#include "usec.h"

typedef struct ExecHook {
        const char *name;
        const char *const *argv; /* NULL-terminated; NULL: command is run */
        const char *command;     /* of /bin/sh; the input's "arguments" are added to it, and it reads nothing */
        bool password_arguments; /* of command: a password may stand in its arguments */
        usec_t timeout;
} ExecHook;

typedef struct Invocation {
        char *name;  /* for people */
        char **argv; /* this and environment end with NULL */
        char **environment;
        char *input; /* NULL: nothing */
} Invocation;

/* An argument "--some_password=${sql_password}" gets the password, or stands in the environment as SOME_PASSWORD instead. */
Invocation invocation_make(const ExecHook *hook, const Json *input, const char *sql_password);
void invocation_done(Invocation *invocation);
static inline void invocation_done_cleanup(Invocation *invocation)
{
        invocation_done(invocation);
}
