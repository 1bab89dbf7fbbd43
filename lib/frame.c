/* Messages out of a byte stream. Owns its buffer, which holds at most one message and what was added at once; must
 * never look into a message. */
#include "frame.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"

Frame frame_make(size_t limit)
{
        return (Frame){ .limit = limit };
}

static void drop_consumed(Frame *frame)
{
        if (frame->start == 0)
                return;
        memmove(frame->data, frame->data + frame->start, frame->length - frame->start);
        frame->length -= frame->start;
        frame->scanned -= frame->start;
        frame->start = 0;
}

static void make_room(Frame *frame, size_t length)
{
        if (frame->capacity - frame->length >= length)
                return;
        frame->capacity = frame->length + length + frame->length / 2;
        frame->data = alloc_resize(frame->data, frame->capacity, 1);
}

void frame_add(Frame *frame, const char *bytes, size_t length)
{
        if (length == 0)
                return;
        drop_consumed(frame);
        make_room(frame, length);
        memcpy(frame->data + frame->length, bytes, length);
        frame->length += length;
}

/* A buffer that grew for one long message is not kept for a client that stays. */
static void release_when_empty(Frame *frame)
{
        size_t limit = frame->limit;
        if (frame->start == frame->length && frame->capacity > 64 * 1024) {
                frame_done(frame);
                frame->limit = limit;
        }
}

int frame_next(Frame *frame, const char **ret, size_t *ret_length)
{
        if (frame_is_empty(frame)) {
                release_when_empty(frame);
                return 0;
        }
        const char *end = memchr(frame->data + frame->scanned, '\0', frame->length - frame->scanned);
        size_t length = end ? (size_t) (end - frame->data) - frame->start : frame->length - frame->start;
        if (length > frame->limit)
                return -EMSGSIZE;
        if (!end) {
                frame->scanned = frame->length;
                return 0;
        }
        *ret = frame->data + frame->start;
        *ret_length = length;
        frame->start += length + 1;
        frame->scanned = frame->start;
        return 1;
}

bool frame_is_empty(const Frame *frame)
{
        return frame->start == frame->length;
}

void frame_done(Frame *frame)
{
        free(frame->data);
        *frame = (Frame){ 0 };
}
