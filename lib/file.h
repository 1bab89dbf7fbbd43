/* Files that must survive a power cut. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "failure.h"

/* Writes all of it, through interruptions and short writes. A negative errno. */
int file_write_all(int fd, const char *bytes, size_t length);
/* Replaces (or creates) a file: written beside it, fsynced, renamed, directory fsynced. */
int file_replace(const char *path, const void *bytes, size_t length, mode_t mode, Failure *reterr);
/* The same of a file that exists; owner and mode stay as they are. */
int file_rewrite(const char *path, const void *bytes, size_t length, Failure *reterr);
/* Reads a whole file of at most limit bytes. *ret is NUL-terminated; free with free(). ret_length may be NULL. */
int file_read(const char *path, size_t limit, char **ret, size_t *ret_length, Failure *reterr);
/* Makes a directory and its parents, with mode for those that it makes. */
int file_make_directory(const char *path, mode_t mode, Failure *reterr);
#define FILE_DAEMON_USER "mhad" /* whom the service runs as */
/* Refuses a file that group or others can read, or that neither root nor we own (nor, when we are root, the daemon): for
 * secrets. */
int file_check_private(const char *path, Failure *reterr);
/* fsyncs the directory that holds path. */
int file_sync_parent(const char *path, Failure *reterr);
