/* What the daemon's program does to files on an operator's behalf, without a daemon. Each prints what it did, or all that
 * is wrong, and returns an exit status. */
#pragma once

#include <stddef.h>

typedef struct ToolImport {
        const char *file, *global; /* global NULL: MHA's own default, if it is there */
        const char *directory;     /* NULL: where the configuration is */
} ToolImport;

int tool_import(const ToolImport *order);

typedef struct ToolEdit {
        const char *config; /* the main file */
        const char *what;   /* add, remove, set */
        const char *cluster, *server;
        char *const *pairs; /* KEY=VALUE; KEY= takes the key out */
        size_t n_pairs;
} ToolEdit;

/* Changes one server in a cluster's file, if the configuration is valid before and after. */
int tool_edit_server(const ToolEdit *order);
