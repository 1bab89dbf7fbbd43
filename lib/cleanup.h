/* Ownership made visible: locals that release themselves, and hand-over by TAKE().
 *
 * A type X with `X *x_free(X *x)` (takes NULL, returns NULL) gets `DEFINE_CLEANUP(X *, x_free)`; a local is then
 * declared `CLEANUP(x_free) X *x = NULL;`. A cleanup only releases; it never acts on the outside world. */
#pragma once

#define DEFINE_CLEANUP(type, function)                                                                                 \
        static inline void function##_cleanup(type *pointer)                                                           \
        {                                                                                                              \
                if (*pointer)                                                                                          \
                        function(*pointer);                                                                            \
        }
#define CLEANUP(function) __attribute__((cleanup(function##_cleanup)))

/* The value of a pointer, which is NULL from now on: ownership moves to the caller. */
#define TAKE(pointer)                                                                                                  \
        ({                                                                                                             \
                __typeof__(pointer) *take_from = &(pointer);                                                           \
                __typeof__(pointer) taken = *take_from;                                                                \
                *take_from = NULL;                                                                                     \
                taken;                                                                                                 \
        })

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))
