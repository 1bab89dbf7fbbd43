/* Freed memory, overwritten. Owns nothing. glibc overwrites what it frees when it is told to, but for small pieces: of each
 * size it keeps a few at hand as they are. Those are taken out here, wiped and given back. */
#include "scrub.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN 0x5a
#define SMALL_MOST 1032 /* the largest of which pieces are kept, … */
#define SMALL_STEP 16
#define KEPT_MOST 7 /* … and so many */

void scrub_begin(void)
{
        (void) mallopt(M_PERTURB, PATTERN);
}

void scrub_end(void)
{
        void *pieces[KEPT_MOST];
        (void) mallopt(M_PERTURB, 0);
        for (size_t size = SMALL_STEP + sizeof(void *); size <= SMALL_MOST; size += SMALL_STEP) {
                for (size_t i = 0; i < KEPT_MOST; i++) {
                        pieces[i] = malloc(size); /* calloc() would leave them where they are */
                        if (pieces[i])
                                explicit_bzero(pieces[i], size);
                }
                for (size_t i = 0; i < KEPT_MOST; i++)
                        free(pieces[i]);
        }
}
