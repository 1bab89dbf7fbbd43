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

typedef struct Placeholder {
        const char *text, *value, *what;
        char *literal;
} Placeholder;

enum { N_PLACEHOLDERS = 2 };

static void placeholders_of(const ComposeSecrets *secrets, Placeholder ret[N_PLACEHOLDERS])
{
        ret[0] = (Placeholder){ "${replication_password}", secrets->replication_password,
                                "no replication password is configured" };
        ret[1] = (Placeholder){ "${feed_password}", secrets->feed_password, "this server is not fed" };
}

/* The next placeholder in the text; NULL when there is none. */
static const Placeholder *next_placeholder(const Placeholder *placeholders, const char *text, const char **ret_at)
{
        const Placeholder *first = NULL;
        for (size_t i = 0; i < N_PLACEHOLDERS; i++) {
                const char *at = strstr(text, placeholders[i].text);
                if (at && (!first || at < *ret_at)) {
                        first = &placeholders[i];
                        *ret_at = at;
                }
        }
        return first;
}

/* One pass, so that a secret that looks like a placeholder is not replaced, and one allocation of the final size, so that
 * no copy with a secret in it is left behind by growing. */
static char *replace(const char *mark, const char *text, const Placeholder *placeholders)
{
        size_t size = strlen(mark) + 1 + strlen(text) + 1;
        const Placeholder *found;
        const char *at = NULL;
        for (const char *rest = text; (found = next_placeholder(placeholders, rest, &at));
             rest = at + strlen(found->text))
                size += strlen(found->literal);
        char *result = ALLOC_ARRAY(char, size), *end = stpcpy(stpcpy(result, mark), " ");
        for (; (found = next_placeholder(placeholders, text, &at)); text = at + strlen(found->text)) {
                end = mempcpy(end, text, (size_t) (at - text));
                end = stpcpy(end, found->literal);
        }
        stpcpy(end, text);
        return result;
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
        for (size_t i = 0; i < N_PLACEHOLDERS; i++)
                placeholders[i].literal = text_quote_sql(placeholders[i].value);
        *ret = replace(mark, text, placeholders);
        for (size_t i = 0; i < N_PLACEHOLDERS; i++)
                text_wipe(placeholders[i].literal);
        return 0;
}

/* For an account that is not root, and that sudo lets run a few commands. What would take more than a line in sudoers(5)
 * that names it to the letter is left out: raw frames from perl. */
static const char by_sudo[] =
        "by_sudo=yes; marks=/dev/shm\n"
        "ip() { case $1-$2 in addr-add|addr-del) sudo -n ip \"$@\";; *) command ip \"$@\";; esac; }\n"
        "systemctl() { case $1 in stop|kill) sudo -n systemctl \"$@\";; *) command systemctl \"$@\";; esac; }\n"
        "command -v ss >/dev/null && ss() { sudo -n ss \"$@\" 2>/dev/null || command ss \"$@\"; }\n"
        "command -v arping >/dev/null && arping() { sudo -n arping \"$@\"; }\n"
        "perl() { return 1; }\n";

char *compose_command(const char *script, Sudo sudo)
{
        CLEANUP(mem_free) char *whole = sudo == SUDO_COMMANDS ? text_format("%s%s", by_sudo, script) : NULL;
        CLEANUP(mem_free) char *quoted = text_quote_shell(whole ? whole : script);
        return text_format("%ssh -c %s", sudo == SUDO_ALL ? "sudo -n " : "", quoted);
}

void compose_blot_out(char *text, const char *secret)
{
        size_t length = strlen(secret), stars = length < 3 ? length : 3;
        for (char *at = text; length > 0 && at && (at = strstr(at, secret)); at += stars) {
                memset(at, '*', stars);
                memmove(at + stars, at + length, strlen(at + length) + 1);
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
                compose_blot_out(failure->text, literal);
                compose_blot_out(failure->text, placeholder->value);
                text_wipe(literal);
        }
}
