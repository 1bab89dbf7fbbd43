/* Where secrets come from. No failure holds any part of one. */
#pragma once

#include "failure.h"
#include "usec.h"

#define SECRET_MAX_BYTES 4096
#define SECRET_COMMAND_TIMEOUT (5 * USEC_SEC)

/* What a private file holds, without one final newline. End with text_wipe(). */
int secret_read_file(const char *path, char **ret, Failure *reterr);
/* The same of a systemd credential ($CREDENTIALS_DIRECTORY/name). */
int secret_read_credential(const char *name, char **ret, Failure *reterr);
/* What a program prints. Blocks for at most timeout; then it and its children are killed. */
int secret_read_command(char *const *arguments, usec_t timeout, char **ret, Failure *reterr);
