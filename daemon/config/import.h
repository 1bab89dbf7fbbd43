/* MHA's configuration to ours: the cluster's file, its secrets apart, and what became of each parameter. Pure: texts in,
 * texts out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

typedef struct ImportRequest {
        const char *file, *text;               /* of the application */
        const char *global_file, *global_text; /* NULL: there is none */
        const char *directory;                 /* absolute: beside mhad.yaml */
        /* Whether two names or addresses are those of one host; NULL: when they are written alike. */
        bool (*is_same_host)(const char *a, const char *b);
} ImportRequest;

typedef struct ImportFile {
        char *path, *text;
        bool secret;
} ImportFile;

#define IMPORT_SECRETS_MAX 2

typedef struct Import {
        char *cluster;   /* its name */
        ImportFile yaml; /* the cluster's file */
        ImportFile secrets[IMPORT_SECRETS_MAX];
        size_t n_secrets;
        char *main;     /* for mhad.yaml; "" when there is nothing to say */
        Json *outcomes; /* [{"place", "name", "outcome", "look"}]: one for each parameter that was given; look: somebody
                         * should. "place" is "file:line", or absent for what was not given. */
} Import;

/* Everything that is wrong is appended to errors ("file:line: text"); -EINVAL then, and ret is not set. No value of a
 * parameter stands in errors or outcomes when it may be a secret. */
int import_read(const ImportRequest *request, Import *ret, Json *errors);
void import_done(Import *import);
static inline void import_done_cleanup(Import *import)
{
        import_done(import);
}
