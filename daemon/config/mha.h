/* MHA's parameters: all of them, whether a key stands for each (the table of keys says which), and what to know about it.
 * The import and the manual are made from it. */
#pragma once

#include "schema.h"

typedef struct MhaParameter {
        const char *name;
        bool inherited; /* from the default sections; else only a server's own section counts */
        /* Without a key: why none is needed. With one: what is different. NULL: nothing. No final period. */
        const char *remark;
} MhaParameter;

extern const MhaParameter mha_parameters[];
extern const size_t mha_n_parameters;

const MhaParameter *mha_find(const char *name);
/* The parameter nearest to a name that is none; NULL when none is near. */
const char *mha_nearest(const char *name);
/* Whether the row of a key says that it stands for the parameter. */
bool mha_is_meant(const SchemaRow *row, const char *name);
/* The keys that stand for it, "servers: ssh_port, ssh.port"; NULL when there are none. The caller frees it. */
char *mha_keys(const char *name);
