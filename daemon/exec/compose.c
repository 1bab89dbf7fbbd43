/* Statements and commands in their final form. Pure; must never leave a secret in memory that it frees. */
#include "compose.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define SYNTAX_ERROR 1064

static bool is_identifier(const char *tag)
{
        if (text_is_empty(tag))
                return false;
        for (const char *c = tag; *c; c++)
                if (!isalnum((unsigned char) *c) && !strchr("_-.:", *c))
                        return false;
        return true;
}

char *compose_mark(const char *tag)
{
        return is_identifier(tag) ? text_format("/* mhad %s */", tag) : NULL;
}

static size_t count_placeholders(const char *text, const char *placeholder)
{
        size_t n = 0;
        for (const char *at = text; (at = strstr(at, placeholder)); at += strlen(placeholder))
                n++;
        return n;
}

/* One allocation of the final size, so that no copy with the secret in it is left behind by growing. The text is wiped. */
static char *replace(char *text, const char *placeholder, const char *secret)
{
        size_t n = count_placeholders(text, placeholder);
        if (n == 0)
                return text;
        char *literal = text_quote_sql(secret), *rest = text;
        char *result = ALLOC_ARRAY(char, strlen(text) + n * strlen(literal) + 1), *end = result;
        for (char *at; (at = strstr(rest, placeholder)); rest = at + strlen(placeholder)) {
                end = mempcpy(end, rest, (size_t) (at - rest));
                end = stpcpy(end, literal);
        }
        stpcpy(end, rest);
        text_wipe(literal);
        text_wipe(text);
        return result;
}

typedef struct Placeholder {
        const char *text, *value, *what;
} Placeholder;

enum { N_PLACEHOLDERS = 2 };

static void placeholders_of(const ComposeSecrets *secrets, Placeholder ret[N_PLACEHOLDERS])
{
        ret[0] = (Placeholder){ "${replication_password}", secrets->replication_password,
                                "no replication password is configured" };
        ret[1] = (Placeholder){ "${feed_password}", secrets->feed_password, "this server is not fed" };
}

int compose_statement(const char *tag, const char *text, const ComposeSecrets *secrets, char **ret, Failure *reterr)
{
        Placeholder placeholders[N_PLACEHOLDERS];
        CLEANUP(mem_free) char *mark = compose_mark(tag);
        if (!mark)
                return failure_set(reterr, FAILURE_INVALID, 0, "a statement's tag must be an identifier");
        placeholders_of(secrets, placeholders);
        for (size_t i = 0; i < N_PLACEHOLDERS; i++)
                if (!placeholders[i].value && strstr(text, placeholders[i].text))
                        return failure_set(reterr, FAILURE_INVALID, 0, "%s", placeholders[i].what);
        char *result = text_format("%s %s", mark, text);
        for (size_t i = 0; i < N_PLACEHOLDERS; i++)
                result = replace(result, placeholders[i].text, placeholders[i].value);
        *ret = result;
        return 0;
}

char *compose_command(const char *script, bool use_sudo)
{
        CLEANUP(mem_free) char *quoted = text_quote_shell(script);
        return text_format("%ssh -c %s", use_sudo ? "sudo -n " : "", quoted);
}

static void blot_out(char *text, const char *secret)
{
        size_t length = strlen(secret);
        for (char *at; length > 0 && (at = strstr(text, secret));) {
                memset(at, '*', length < 3 ? length : 3);
                if (length > 3)
                        memmove(at + 3, at + length, strlen(at + length) + 1);
        }
}

void compose_conceal(const char *text, const ComposeSecrets *secrets, Failure *failure)
{
        Placeholder placeholders[N_PLACEHOLDERS];
        placeholders_of(secrets, placeholders);
        for (size_t i = 0; i < N_PLACEHOLDERS; i++) {
                const Placeholder *placeholder = &placeholders[i];
                if (!placeholder->value || !strstr(text, placeholder->text))
                        continue;
                /* A syntax error ends in the next 80 characters of the statement, which may be half a secret. */
                char *near = strstr(failure->text, " near '");
                if (near && (failure->kind == FAILURE_SQL && failure->code == SYNTAX_ERROR))
                        *near = '\0';
                char *literal = text_quote_sql(placeholder->value);
                blot_out(failure->text, literal);
                blot_out(failure->text, placeholder->value);
                text_wipe(literal);
        }
}
