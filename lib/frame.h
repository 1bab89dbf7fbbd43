/* Cuts a byte stream into messages that end with a NUL byte, as varlink has them. No input or output of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

typedef struct Frame {
        char *data;
        size_t start;   /* where the next message begins */
        size_t length;  /* bytes held, from data on */
        size_t scanned; /* up to here there is no NUL that was not handed out */
        size_t capacity;
        size_t limit; /* the longest message, without its NUL */
} Frame;

Frame frame_make(size_t limit);
void frame_add(Frame *frame, const char *bytes, size_t length);
/* 1 and the next message (lent until the next frame_add()), 0 when it is not complete yet, -EMSGSIZE when it is longer
 * than the limit: the stream is of no use from then on. */
int frame_next(Frame *frame, const char **ret, size_t *ret_length);
/* Whether bytes wait that frame_next() has not handed out. */
bool frame_is_empty(const Frame *frame);
void frame_done(Frame *frame);
static inline void frame_done_cleanup(Frame *frame)
{
        frame_done(frame);
}
