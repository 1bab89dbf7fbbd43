/* Completion. Owns nothing; must never print a name that a shell could take for anything but a name. */
#include "complete.h"

#include <ctype.h>
#include <string.h>

typedef struct Line {
        const Verb *verbs;
        size_t n_verbs;
        const Verb *verb;
        const char *words[ARGUMENTS_WORDS_MAX]; /* those before the one being typed */
        size_t n_words;
        complete_ask_fn ask;
        void *userdata;
        Text *out;
} Line;

static void add(Line *line, const char *word)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@%+-";
        if (!text_is_empty(word) && strspn(word, allowed) == strlen(word))
                text_addf(line->out, "%s\n", word);
}

static void add_names(Line *line, const Json *list, const char *member)
{
        JSON_FOREACH(entry, list)
        {
                add(line, json_get_string(entry, member));
        }
}

/* The word that stands where the verb wants a cluster. */
static const char *cluster_of(const Line *line)
{
        CLEANUP(mem_free) char *words = alloc_string(line->verb ? line->verb->words : "");
        char *rest = NULL;
        size_t i = 0;
        for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest), i++)
                if (strstr(word, "CLUSTER"))
                        return i < line->n_words ? line->words[i] : NULL;
        return NULL;
}

static void add_servers(Line *line, bool of_all)
{
        Json *parameters = json_object();
        json_set_string(parameters, "cluster", of_all ? NULL : cluster_of(line));
        CLEANUP(json_free) Json *status = line->ask(API_STATUS, parameters, line->userdata);
        JSON_FOREACH(cluster, json_get(status, "clusters"))
        {
                add_names(line, json_get(cluster, "servers"), "name");
        }
}

static void add_clusters(Line *line)
{
        CLEANUP(json_free) Json *status = line->ask(API_STATUS, NULL, line->userdata);
        add_names(line, json_get(status, "clusters"), "cluster");
}

static void add_runs(Line *line)
{
        Json *parameters = json_object();
        json_set_string(parameters, "cluster", cluster_of(line));
        CLEANUP(json_free) Json *history = line->ask(API_HISTORY, parameters, line->userdata);
        add_names(line, json_get(history, "runs"), "run");
}

static void add_verbs(Line *line)
{
        for (size_t i = 0; i < line->n_verbs; i++)
                add(line, line->verbs[i].name);
}

/* What a word of the help stands for: "CLUSTER", "add|remove", "[RUN|SERVER]". */
static void add_kind(Line *line, const char *kind)
{
        CLEANUP(mem_free) char *words = alloc_string(kind);
        char *rest = NULL;
        for (char *word = strtok_r(words, "[]|", &rest); word; word = strtok_r(NULL, "[]|", &rest))
                if (islower((unsigned char) *word))
                        add(line, word);
                else if (strcmp(word, "CLUSTER") == 0)
                        add_clusters(line);
                else if (strcmp(word, "SERVER") == 0)
                        add_servers(line, false);
                else if (strcmp(word, "RUN") == 0)
                        add_runs(line);
                else if (strcmp(word, "VERB") == 0)
                        add_verbs(line);
}

static void add_next(Line *line)
{
        CLEANUP(mem_free) char *words = alloc_string(line->verb->words);
        char *rest = NULL, *word = strtok_r(words, " ", &rest);
        for (size_t i = 0; word && i < line->n_words; i++)
                word = strtok_r(NULL, " ", &rest);
        if (word)
                add_kind(line, word);
        /* server down|up [CLUSTER] SERVER */
        bool period = text_equal(line->words[0], "down") || text_equal(line->words[0], "up");
        if (period && line->n_words == 1)
                add_servers(line, true);
}

void complete_words(Text *out, const Verb *verbs, size_t n_verbs, char **words, size_t n_words, complete_ask_fn ask,
                    void *userdata)
{
        Line line = { .verbs = verbs, .n_verbs = n_verbs, .ask = ask, .userdata = userdata, .out = out };
        const char *wanted = NULL; /* the value of the option before */
        bool no_verb = false;
        for (size_t i = 0; i + 1 < n_words; i++) {
                if (wanted)
                        wanted = NULL;
                else if (words[i][0] == '-')
                        wanted = strchr(words[i], '=') ? NULL : arguments_option_value(words[i]);
                else if (!line.verb)
                        no_verb = !(line.verb = arguments_verb(words[i], verbs, n_verbs)) || no_verb;
                else if (line.n_words < ARGUMENTS_WORDS_MAX)
                        line.words[line.n_words++] = words[i];
        }
        const char *typed = n_words ? words[n_words - 1] : "";
        if (wanted)
                add_kind(&line, wanted);
        else if (*typed == '-')
                arguments_list_options(out, line.verb);
        else if (line.verb)
                add_next(&line);
        else if (!no_verb)
                add_verbs(&line);
}
