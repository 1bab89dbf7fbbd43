/* The table of all keys: the parser, its defaults, the reload and mhad.yaml(5) come from it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which struct of config.h (or server.h) a row's member is in. */
typedef enum SchemaScope {
        SCHEMA_MAIN,     /* Config: the main file */
        SCHEMA_CLUSTER,  /* ClusterConfig: a cluster's file, and `defaults` of the main file */
        SCHEMA_SERVER,   /* Server: an element of `servers` */
        SCHEMA_OBSERVER, /* Server: an element of `observers` */
        _SCHEMA_SCOPE_MAX,
} SchemaScope;

/* What may be written, and the C type of the member. */
typedef enum SchemaType {
        SCHEMA_SECTION,  /* a map of further keys; no member */
        SCHEMA_DEFAULTS, /* a map with the keys of a cluster; no member */
        SCHEMA_SERVERS,  /* a list of maps; no member */
        SCHEMA_OBSERVERS,
        SCHEMA_BOOL,     /* bool */
        SCHEMA_PORT,     /* uint16_t */
        SCHEMA_COUNT,    /* unsigned */
        SCHEMA_DURATION, /* usec_t, whole milliseconds */
        SCHEMA_SIZE,     /* uint64_t, bytes */
        SCHEMA_CHOICE,   /* an enum: one of choices, in the order of the enum */
        SCHEMA_TEXT,     /* char *, from here on */
        SCHEMA_CLUSTER_NAME,
        SCHEMA_SERVER_NAME,
        SCHEMA_HOST,
        SCHEMA_ACCOUNT, /* an account of a host */
        SCHEMA_GROUP,
        SCHEMA_PATH,     /* absolute */
        SCHEMA_FILE,     /* absolute, and we can read it */
        SCHEMA_KEY_FILE, /* absolute, and only we can read it */
        SCHEMA_NETWORK_ADDRESS,
        SCHEMA_ENDPOINT, /* an address and a port */
        SCHEMA_DEVICE,
        SCHEMA_TABLE,
        SCHEMA_COMMAND,   /* of a shell; as a hook, nobody else is told its words */
        SCHEMA_ARGUMENTS, /* char **: a program and its arguments */
        SCHEMA_SECRET,    /* char *; the rows below share its member */
        SCHEMA_SECRET_FILE,
        SCHEMA_SECRET_CREDENTIAL,
        SCHEMA_SECRET_COMMAND,
        _SCHEMA_TYPE_MAX,
} SchemaType;

/* When a change takes effect. */
typedef enum SchemaEffect {
        SCHEMA_AT_ONCE,  /* with the reload */
        SCHEMA_NEXT_RUN, /* with the reload; a run under way keeps what it began with */
        SCHEMA_RESTART,
        _SCHEMA_EFFECT_MAX,
} SchemaEffect;

typedef struct SchemaRow {
        SchemaScope scope;
        const char *path; /* "detection.ping_interval" */
        SchemaType type;
        size_t offset;         /* of the member in the scope's struct */
        const char *otherwise; /* the default, as it would be written; NULL: none */
        const char *unset;     /* what holds then, for people; NULL: nothing */
        bool required;
        uint64_t min, max; /* of numbers, durations and sizes; max is the longest length of a text; max 0: no bounds */
        const char *const *choices; /* ends with NULL */
        SchemaEffect effect;
        const char *mha; /* MHA's name for it; NULL: it has none */
        const char *meaning;
} SchemaRow;

extern const SchemaRow schema_rows[];
extern const size_t schema_n_rows;
/* No scope has more rows. */
#define SCHEMA_MAX_ROWS 192

const SchemaRow *schema_find(SchemaScope scope, const char *path);
/* The known keys below a section ("" for the top), nearest to a key; NULL when none is near. */
const char *schema_nearest(SchemaScope scope, const char *section, const char *key);
/* The last part of a path. */
const char *schema_leaf(const SchemaRow *row);
const char *schema_effect_to_string(SchemaEffect effect);
/* What may be written there, for people: "duration from 100ms to 1m". The caller frees it. */
char *schema_describe_type(const SchemaRow *row);

/* The rows of a scope. */
#define SCHEMA_FOREACH(row, of_scope)                                                                                  \
        for (const SchemaRow *row = schema_rows; row < schema_rows + schema_n_rows; row++)                             \
                if (row->scope != (of_scope)) {                                                                        \
                } else
