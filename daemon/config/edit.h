/* Changes to the list of servers in the text of a cluster's file; everything else, comments and order too, stays as it
 * was written. Pure. */
#pragma once

#include <stddef.h>

#include "failure.h"

typedef struct EditPair {
        const char *key;
        const char *value; /* NULL: the key is taken out */
} EditPair;

/* Each gives the new text, which the caller frees and which differs from the old one by nothing but what was asked for, or
 * a FAILURE_INVALID that says what to do; that the result is a valid configuration is for the loader to say. Pairs need not know the table: an unknown key is written, too. */
int edit_add_server(const char *text, const char *name, const EditPair *pairs, size_t n_pairs, char **ret,
                    Failure *reterr);
int edit_remove_server(const char *text, const char *name, char **ret, Failure *reterr);
int edit_set_server(const char *text, const char *name, const EditPair *pairs, size_t n_pairs, char **ret,
                    Failure *reterr);
