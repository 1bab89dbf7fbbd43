/* The words and the environment of a hook. Must never leave a secret in memory that it frees, nor put one into an argument
 * unless it was told to. */
#include "invocation.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define PLACEHOLDER "=${sql_password}"

typedef struct List {
        char **items;
        size_t n_items;
} List;

static void add(List *list, char *word)
{
        ALLOC_GROW(list->items, list->n_items);
        list->items[list->n_items++] = word;
}

static char **finish(List *list)
{
        add(list, NULL);
        return list->items;
}

/* In one allocation of the final size, so that growing leaves no copy behind. */
static char *with_password(const char *name, size_t length, const char *password)
{
        char *word = ALLOC_ARRAY(char, length + strlen(password) + 2), *end = mempcpy(word, name, length);
        *end++ = '=';
        strcpy(end, password);
        return word;
}

static void add_argument(const ExecHook *hook, const char *argument, const char *password, List *argv,
                         List *environment)
{
        size_t length = strcspn(argument, "=");
        if (strcmp(argument + length, PLACEHOLDER) != 0) {
                add(argv, alloc_string(argument));
        } else if (hook->password_arguments) {
                add(argv, with_password(argument, length, password));
        } else {
                size_t dashes = strspn(argument, "-");
                char *word = with_password(argument + dashes, length - dashes, password);
                for (size_t i = 0; i < length - dashes; i++)
                        word[i] = (char) toupper((unsigned char) word[i]);
                add(environment, word);
        }
}

/* The words are the shell's own arguments, so that none of them needs quotes. */
static void add_command(const ExecHook *hook, const Json *arguments, const char *password, Invocation *invocation)
{
        List argv = { 0 }, environment = { 0 };
        invocation->name = alloc_string_n(hook->command, strcspn(hook->command, " \t"));
        add(&argv, alloc_string("/bin/sh"));
        add(&argv, alloc_string("-c"));
        add(&argv, text_format("%s \"$@\"", hook->command));
        add(&argv, alloc_string(invocation->name));
        JSON_FOREACH(argument, arguments)
        {
                add_argument(hook, json_string(argument), password ? password : "", &argv, &environment);
        }
        invocation->argv = finish(&argv);
        invocation->environment = finish(&environment);
}

Invocation invocation_make(const ExecHook *hook, const Json *input, const char *sql_password)
{
        Invocation invocation = { 0 };
        List argv = { 0 };
        if (!hook->argv) {
                add_command(hook, json_get(input, "arguments"), sql_password, &invocation);
                return invocation;
        }
        for (size_t i = 0; hook->argv[i]; i++)
                add(&argv, alloc_string(hook->argv[i]));
        invocation.name = alloc_string(hook->argv[0]);
        invocation.argv = finish(&argv);
        invocation.input = input ? json_print(input) : NULL;
        return invocation;
}

static void wipe(char **words)
{
        for (char **word = words; word && *word; word++)
                text_wipe(*word);
        free(words);
}

void invocation_done(Invocation *invocation)
{
        free(invocation->name);
        wipe(invocation->argv);
        wipe(invocation->environment);
        free(invocation->input);
        *invocation = (Invocation){ 0 };
}
