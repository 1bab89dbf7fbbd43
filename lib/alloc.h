/* Memory. An allocation never returns NULL: when there is none left the process ends with a message, and whatever was
 * under way is resumed from its journal by the next one. So no caller has an out-of-memory path to get wrong. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#include "cleanup.h"

/* Zeroed memory for count objects of size bytes each. Free with free(). */
void *alloc_zero(size_t count, size_t size);
/* Like realloc(); new bytes are not zeroed. */
void *alloc_resize(void *memory, size_t count, size_t size);
/* Copies of a string; alloc_string(NULL) is NULL. Free with free(). */
char *alloc_string(const char *string);
char *alloc_string_n(const char *string, size_t length);

#define ALLOC(type) ((type *) alloc_zero(1, sizeof(type)))
#define ALLOC_ARRAY(type, count) ((type *) alloc_zero((count), sizeof(type)))
/* Makes room for one more at the end of a growing array; doubles, so appending is cheap. */
#define ALLOC_GROW(array, count)                                                                                       \
        do {                                                                                                           \
                if (((count) & ((count) -1)) == 0)                                                                     \
                        (array) = alloc_resize((array), (count) ? (count) *2 : 1, sizeof *(array));                    \
        } while (0)

static inline void *mem_free(void *memory)
{
        free(memory);
        return NULL;
}
/* `CLEANUP(mem_free) char *s = …`. */
static inline void mem_free_cleanup(void *pointer)
{
        free(*(void **) pointer);
}
