/* Parsing and help from the tables. Pure; owns nothing: what it returns points into argv. */
#include "arguments.h"

#include <string.h>

#include "cleanup.h"

static const struct {
        const char *name, *letter, *value, *doc;
        const char *alias; /* a second long name */
} options[_OPTION_MAX] = {
        [OPTION_SOCKET] = { "--socket", NULL, "PATH",
                            "where mhad listens (else $MHAD_SOCKET, else /run/mhad/control)" },
        [OPTION_JSON] = { "--json", NULL, NULL, "JSON instead of text; not with import and help" },
        [OPTION_NO_COLOR] = { "--no-color", NULL, NULL, "no colours (nor with NO_COLOR set, nor without a terminal)" },
        [OPTION_HELP] = { "--help", "-h", NULL, "this help; after a verb, its own" },
        [OPTION_VERSION] = { "--version", NULL, NULL, "the version of mhactl" },
        [OPTION_WATCH] = { "--watch", "-w", NULL, "show it again every second" },
        [OPTION_FOLLOW] = { "--follow", "-f", NULL, "wait for new events and show them too" },
        [OPTION_TO] = { "--to", NULL, "SERVER",
                        "the server that is to be the new primary; of a log: FILE or FILE:OFFSET" },
        [OPTION_YES] = { "--yes", "-y", NULL, "do not ask" },
        [OPTION_IGNORE_LAST_FAILOVER] = { "--ignore-last-failover", NULL, NULL, "also shortly after the last one" },
        [OPTION_ACCEPT_LOSS] = { "--accept-loss", NULL, "WHAT",
                                 "go on although this is lost: the very words that the refusal ends with" },
        [OPTION_CHECK] = { "--check", NULL, NULL, "only check whether it could be done now" },
        [OPTION_NO_DEMOTE] = { "--no-demote", NULL, NULL, "leave the old primary read-only, following nobody" },
        [OPTION_MULTI_TIER] = { "--multi-tier", NULL, "stay|follow",
                                "replicas of replicas: stay where they are, or follow the new primary itself" },
        [OPTION_REASON] = { "--reason", NULL, "TEXT", "why, for the record (also: --why)", "--why" },
        [OPTION_FOR] = { "--for", NULL, "TIME", "how long: 30m, 1h, 2d (until resumed when it is not given)" },
        [OPTION_SERVER] = { "--server", NULL, "SERVER", "the server whose goal is taken as met; purge: only this one" },
        [OPTION_UNTIL] = { "--until", NULL, "dead|healthy", "dead: its primary is; healthy: nothing is wrong with it" },
        [OPTION_TIMEOUT] = { "--timeout", NULL, "TIME", "wait no longer than this: 30s, 10m, 1h" },
        [OPTION_GLOBAL] = { "--global", NULL, "FILE",
                            "MHA's defaults for all (else /etc/masterha_default.cnf, if it is there)" },
        [OPTION_OUTPUT_DIR] = { "--output-dir", NULL, "DIR",
                                "where mhad.yaml and clusters.d are or shall be (else /etc/mhad)" },
        [OPTION_MESH] = { "--mesh", NULL, NULL, "ssh: also from each server to each other one, by their own keys" },
        [OPTION_CONFIG] = { "--config", NULL, "FILE", "mhad's main file (else /etc/mhad/mhad.yaml)" },
        [OPTION_FROM] = { "--from", NULL, "POSITION", "where to begin in a log: FILE or FILE:OFFSET" },
        [OPTION_OUTPUT] = { "--output", NULL, "DIR", "copy the files into this folder then" },
        [OPTION_VERDICT] = { "--verdict", NULL, "VERDICT", "what to take as given for it: met" },
};

static bool verb_has(const Verb *verb, OptionId id)
{
        if (id == OPTION_JSON)
                return !verb || !verb->only_text;
        return id < _OPTION_GLOBAL_MAX || (verb && (verb->options & OPTION_BIT(id)));
}

static int find_option(const char *word, size_t length)
{
        for (int id = 0; id < _OPTION_MAX; id++) {
                if (!options[id].name)
                        continue;
                if (strlen(options[id].name) == length && strncmp(word, options[id].name, length) == 0)
                        return id;
                if (options[id].alias && strlen(options[id].alias) == length &&
                    strncmp(word, options[id].alias, length) == 0)
                        return id;
                if (options[id].letter && text_equal(word, options[id].letter))
                        return id;
        }
        return -1;
}

static int unknown_option(const char *word, size_t length, Failure *reterr)
{
        const char *names[_OPTION_MAX];
        size_t n = 0;
        for (int id = 0; id < _OPTION_MAX; id++)
                if (options[id].name)
                        names[n++] = options[id].name;
        CLEANUP(mem_free) char *name = alloc_string_n(word, length);
        const char *near = text_nearest(name, names, n);
        return failure_set(reterr, FAILURE_INVALID, 0,
                           near ? "unknown option %s: did you mean %s?" : "unknown option %s", name, near);
}

/* Returns how many words of argv it used. */
static int parse_option(char **argv, Arguments *arguments, Failure *reterr)
{
        size_t length = strcspn(argv[0], "=");
        const char *value = argv[0][length] ? argv[0] + length + 1 : NULL;
        int id = find_option(argv[0], length), used = 1;
        if (id < 0)
                return unknown_option(argv[0], length, reterr);
        if (!options[id].value && value)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s takes no value", options[id].name);
        if (options[id].value && !value) {
                value = argv[1];
                used = 2;
        }
        if (options[id].value && text_is_empty(value))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s needs a value: %s", options[id].name,
                                   options[id].value);
        arguments->options[id] = value ? value : "";
        return used;
}

static int find_verb(const char *name, const Verb *verbs, size_t n_verbs, Arguments *arguments, Failure *reterr)
{
        const char *names[32];
        size_t n = 0;
        for (size_t i = 0; i < n_verbs; i++) {
                if (text_equal(verbs[i].name, name)) {
                        arguments->verb = &verbs[i];
                        return 0;
                }
                if (n < ARRAY_LENGTH(names))
                        names[n++] = verbs[i].name;
        }
        const char *near = text_nearest(name, names, n);
        return failure_set(reterr, FAILURE_INVALID, 0, near ? "unknown verb %s: did you mean %s?" : "unknown verb %s",
                           name, near);
}

const Verb *arguments_verb(const char *name, const Verb *verbs, size_t n_verbs)
{
        for (size_t i = 0; i < n_verbs; i++)
                if (text_equal(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

const char *arguments_option_value(const char *word)
{
        int id = find_option(word, strcspn(word, "="));
        return id < 0 ? NULL : options[id].value;
}

void arguments_list_options(Text *out, const Verb *verb)
{
        for (int id = 0; id < _OPTION_MAX; id++)
                if (options[id].name && verb_has(verb, (OptionId) id))
                        text_addf(out, "%s\n", options[id].name);
}

static int check(const Arguments *arguments, size_t n_words, Failure *reterr)
{
        const Verb *verb = arguments->verb;
        if (arguments->options[OPTION_HELP] || (!verb && arguments->options[OPTION_VERSION]))
                return 0;
        if (!verb)
                return failure_set(reterr, FAILURE_INVALID, 0, "a verb is missing, such as status");
        for (int id = 0; id < _OPTION_MAX; id++)
                if (arguments->options[id] && !verb_has(verb, (OptionId) id))
                        return failure_set(reterr, FAILURE_INVALID, 0, "%s does not go with %s", options[id].name,
                                           verb->name);
        if (n_words < verb->least || n_words > verb->most)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s arguments: mhactl %s %s",
                                   n_words < verb->least ? "too few" : "too many", verb->name, verb->words);
        return 0;
}

int arguments_parse(int argc, char **argv, const Verb *verbs, size_t n_verbs, Arguments *ret, Failure *reterr)
{
        Arguments arguments = { 0 };
        size_t n_words = 0;
        bool only_words = false;
        for (int i = 1; i < argc;) {
                int error = 0, used = 1;
                if (!only_words && text_equal(argv[i], "--"))
                        only_words = true;
                else if (!only_words && argv[i][0] == '-' && argv[i][1])
                        error = used = parse_option(argv + i, &arguments, reterr);
                else if (!arguments.verb)
                        error = find_verb(argv[i], verbs, n_verbs, &arguments, reterr);
                else if (n_words++ < ARGUMENTS_WORDS_MAX)
                        arguments.words[n_words - 1] = argv[i];
                if (error < 0)
                        return error;
                i += used;
        }
        int error = check(&arguments, n_words, reterr);
        if (error == 0)
                *ret = arguments;
        return error;
}

static void help_option(Text *out, OptionId id)
{
        CLEANUP(mem_free)
        char *left =
                text_format("%s%s%s%s%s", options[id].letter ? options[id].letter : "", options[id].letter ? ", " : "",
                            options[id].name, options[id].value ? " " : "", options[id].value ? options[id].value : "");
        text_addf(out, "  %-24s  %s\n", left, options[id].doc);
}

static void help_verb(Text *out, const Verb *verb)
{
        text_addf(out, "mhactl %s%s%s%s\n\n  %s\n", verb->name, *verb->words ? " " : "", verb->words,
                  verb->options ? " [OPTION…]" : "", verb->doc);
        if (verb->more)
                text_addf(out, "\n%s", verb->more);
        if (verb->examples)
                text_addf(out, "\n%s", verb->examples);
        text_add(out, "\nOptions:\n");
        for (int id = 0; id < _OPTION_MAX; id++)
                if (options[id].name && verb_has(verb, (OptionId) id))
                        help_option(out, (OptionId) id);
}

void arguments_help(Text *out, const Verb *verb, const Verb *verbs, size_t n_verbs)
{
        if (verb) {
                help_verb(out, verb);
                return;
        }
        text_add(out,
                 "mhactl VERB [ARGUMENT…] [OPTION…]\n\n  Ask mhad about its clusters, and give it orders.\n\nVerbs:\n");
        for (size_t i = 0; i < n_verbs; i++) {
                CLEANUP(mem_free) char *left = text_format("%s %s", verbs[i].name, verbs[i].words);
                text_addf(out, "  %-28s  %s\n", left, verbs[i].doc);
        }
        text_add(out, "\nOptions with every verb:\n");
        for (int id = 0; id < _OPTION_GLOBAL_MAX; id++)
                help_option(out, (OptionId) id);
        text_add(out, "\nExit status: 0 done, 1 refused or failed, 2 wrong usage, 3 mhad cannot be reached;\n"
                      "  wait: 4 not reached in time; status: 0 healthy, 10 degraded, 11 suspect or held, 12 a run is "
                      "under way, 13 halted;\n"
                      "  check: 0 ready, 1 not ready; failover, switch: 0 completed, 1 undone, 13 halted, "
                      "20 to 34 refused.\n");
}
