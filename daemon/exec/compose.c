/* Statements and commands in their final form. Pure; must never leave a secret in memory that it frees. */
#include "compose.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define PLACEHOLDER "${replication_password}"
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

static size_t count_placeholders(const char *text)
{
        size_t n = 0;
        for (const char *at = text; (at = strstr(at, PLACEHOLDER)); at += strlen(PLACEHOLDER))
                n++;
        return n;
}

/* One allocation of the final size, so that no copy with the secret in it is left behind by growing. */
static char *replace(const char *mark, const char *text, const char *secret)
{
        size_t n = count_placeholders(text), size = strlen(mark) + 1 + strlen(text) + n * strlen(secret) + 1;
        char *result = ALLOC_ARRAY(char, size), *end = stpcpy(stpcpy(result, mark), " ");
        for (const char *at; (at = strstr(text, PLACEHOLDER)); text = at + strlen(PLACEHOLDER)) {
                end = mempcpy(end, text, (size_t) (at - text));
                end = stpcpy(end, secret);
        }
        stpcpy(end, text);
        return result;
}

int compose_statement(const char *tag, const char *text, const char *replication_password, char **ret, Failure *reterr)
{
        CLEANUP(mem_free) char *mark = compose_mark(tag);
        if (!mark)
                return failure_set(reterr, FAILURE_INVALID, 0, "a statement's tag must be an identifier");
        bool secret = count_placeholders(text) > 0;
        if (secret && !replication_password)
                return failure_set(reterr, FAILURE_INVALID, 0, "no replication password is configured");
        char *literal = secret ? text_quote_sql(replication_password) : alloc_string("");
        *ret = replace(mark, text, literal);
        text_wipe(literal);
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

void compose_conceal(const char *text, const char *replication_password, Failure *failure)
{
        if (count_placeholders(text) == 0 || !replication_password)
                return;
        /* A syntax error ends in the next 80 characters of the statement, which may be half a secret. */
        char *near = strstr(failure->text, " near '");
        if (near && (failure->kind == FAILURE_SQL && failure->code == SYNTAX_ERROR))
                *near = '\0';
        char *literal = text_quote_sql(replication_password);
        blot_out(failure->text, literal);
        blot_out(failure->text, replication_password);
        text_wipe(literal);
}
