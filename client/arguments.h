/* The command line, by a table of verbs and one of options: parsing and help from the same rows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "text.h"

typedef enum OptionId {
        OPTION_SOCKET,
        OPTION_JSON,
        OPTION_NO_COLOR,
        OPTION_HELP,
        OPTION_VERSION,
        _OPTION_GLOBAL_MAX, /* those before it go with every verb */
        OPTION_WATCH,
        OPTION_FOLLOW,
        OPTION_TO,
        OPTION_YES,
        OPTION_IGNORE_LAST_FAILOVER,
        OPTION_ACCEPT_LOSS,
        OPTION_CHECK,
        OPTION_NO_DEMOTE,
        OPTION_MULTI_TIER,
        OPTION_REASON,
        OPTION_FOR,
        OPTION_SERVER,
        OPTION_VERDICT,
        OPTION_UNTIL,
        OPTION_TIMEOUT,
        OPTION_GLOBAL,
        OPTION_OUTPUT_DIR,
        OPTION_CONFIG,
        OPTION_FROM,
        OPTION_OUTPUT,
        OPTION_MESH,
        _OPTION_MAX,
} OptionId;

#define OPTION_BIT(id) (1u << (id))
#define ARGUMENTS_WORDS_MAX 16

struct Context;

typedef struct Verb {
        const char *name;
        const char *words; /* as help shows them: "CLUSTER [RUN]" */
        size_t least, most;
        unsigned options; /* OPTION_BIT() of each beyond the global ones */
        const char *doc;  /* one line */
        int (*run)(const struct Context *context);
        const char *more;     /* further lines of its own help; may be NULL */
        const char *examples; /* lines; NULL when they are among those */
        bool only_text;       /* --json does not go with it */
} Verb;

typedef struct Arguments {
        const Verb *verb; /* NULL with --help or --version alone */
        const char *words[ARGUMENTS_WORDS_MAX];
        const char *options[_OPTION_MAX]; /* the value, "" for one that has none, NULL when it is not given */
} Arguments;

/* FAILURE_INVALID with a sentence that says what is wrong, and perhaps what was meant. */
int arguments_parse(int argc, char **argv, const Verb *verbs, size_t n_verbs, Arguments *ret, Failure *reterr);
/* By its name, NULL when there is none. */
const Verb *arguments_verb(const char *name, const Verb *verbs, size_t n_verbs);
/* What help calls the value of an option ("SERVER"); NULL when it has none or is none. */
const char *arguments_option_value(const char *word);
/* The options of a verb, one a line. */
void arguments_list_options(Text *out, const Verb *verb);
/* Help for one verb, or for the program when verb is NULL. */
void arguments_help(Text *out, const Verb *verb, const Verb *verbs, size_t n_verbs);
