/* Allocation that ends the process instead of failing. Owns nothing; must never return NULL. */
#include "alloc.h"

#include <stdio.h>
#include <string.h>

static void *checked(void *memory)
{
        if (!memory) {
                fputs("<2>out of memory\n", stderr);
                abort();
        }
        return memory;
}

void *alloc_zero(size_t count, size_t size)
{
        return checked(calloc(count ? count : 1, size ? size : 1));
}

void *alloc_resize(void *memory, size_t count, size_t size)
{
        return checked(reallocarray(memory, count ? count : 1, size ? size : 1));
}

char *alloc_string(const char *string)
{
        return string ? checked(strdup(string)) : NULL;
}

char *alloc_string_n(const char *string, size_t length)
{
        return checked(strndup(string, length));
}
