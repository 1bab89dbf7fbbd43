/* Text for man(7), for the programs that print pages out of tables. */
#pragma once

#include <stdio.h>

static inline void print_escaped(const char *text)
{
        if (*text == '.' || *text == '\'')
                fputs("\\&", stdout);
        for (const char *c = text; *c; c++)
                if (*c == '\\')
                        fputs("\\e", stdout);
                else if (*c == '-')
                        fputs("\\-", stdout);
                else
                        putchar(*c);
}
