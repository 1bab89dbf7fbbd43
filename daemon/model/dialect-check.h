/* The words of what mhactl check asks, beside those of dialect.h. */
#pragma once

#include "dialect.h"
#include "json.h"

/* What the account of sql must be allowed to do. */
typedef struct Privilege {
        const char *name;       /* as this version's GRANT calls it */
        const char *or_name;    /* another one that includes it; NULL: none */
        const char *needed_for; /* "to see sessions" */
        bool optional;          /* only scheduled events need it */
        const char *on;         /* the table that it is granted on; NULL: on *.* */
} Privilege;

/* The next one that this version wants; begin with NULL, ends with NULL. */
const Privilege *dialect_next_privilege(const Version *version, const Privilege *last);
/* Our own global privileges, also those by an active role, and what they are as an array of names; NULL when it is not an
 * answer to that. All of them is "ALL PRIVILEGES". */
const char *dialect_own_privileges(const Version *version);
Json *dialect_read_privileges(const Reply *reply);
/* Where an account of that name exists, and whether it may replicate: rows of host, may_replicate (Y or N). */
void dialect_account(Script *script, const char *user);
/* Tables of applications that have no primary key, as far as the account may see tables: rows of schema, name; at most
 * DIALECT_TABLES_MOST. */
#define DIALECT_TABLES_MOST 100
const char *dialect_tables_without_key(void);

/* Variables that are compared between servers. */
typedef struct ComparedVariable {
        const char *name, *alias; /* alias: what other versions call it; NULL */
        bool data;                /* it decides what data means */
} ComparedVariable;

const ComparedVariable *dialect_compared(size_t *ret_n);
/* Those, and what single checks look at: rows of Variable_name, Value; read into an object by lower-case name. */
void dialect_variables(Script *script);
Json *dialect_read_variables(const Reply *reply);
