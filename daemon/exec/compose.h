/* What goes over the wire from what stands in a script. Pure. */
#pragma once

#include <stdbool.h>

#include "failure.h"
#include "script.h"

/* What placeholders stand for; NULL for what is not known. */
typedef struct ComposeSecrets {
        const char *replication_password; /* "${replication_password}" */
        const char *feed_password;        /* "${feed_password}" */
} ComposeSecrets;

/* The statement behind its mark and with the placeholders replaced by the quoted passwords. FAILURE_INVALID for a tag that
 * is no identifier, and for a placeholder whose password is not known. End *ret with text_wipe(). */
int compose_statement(const char *tag, const char *text, const ComposeSecrets *secrets, char **ret, Failure *reterr);
/* The comment that statements of a tag begin with, also in the processlist; free with free(). NULL for a tag that is no
 * identifier. */
char *compose_mark(const char *tag);
/* The command for the login shell of a host that runs a POSIX shell script; free with free(). */
char *compose_command(const char *script, Sudo sudo);
/* Takes what a server quoted from a statement out of its error, if the statement had a secret in it. */
void compose_conceal(const char *text, const ComposeSecrets *secrets, Failure *failure);
/* Puts three stars wherever the secret stands in text. */
void compose_blot_out(char *text, const char *secret);
