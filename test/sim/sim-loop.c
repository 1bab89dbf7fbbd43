/* loop.h on a virtual clock: time passes only from one timer to the next. Owns the armed timers' order: by time, then by
 * when they were armed. */
#include "loop.h"

#include <errno.h>
#include <stdbool.h>

#include "alloc.h"

struct Timer {
        Loop *loop;
        Timer *previous, *next; /* among all */
        usec_t at;
        uint64_t order;
        bool armed, once;
        loop_fn fn;
        void *userdata;
};

struct Loop {
        usec_t now;
        uint64_t order;
        Timer *timers;
        bool exit;
        int code;
};

#define REAL_OFFSET (UINT64_C(1700000000) * USEC_SEC)

int loop_new(Loop **ret)
{
        *ret = ALLOC(Loop);
        (*ret)->now = USEC_HOUR;
        return 0;
}

Loop *loop_free(Loop *loop)
{
        if (loop)
                while (loop->timers)
                        timer_free(loop->timers);
        free(loop);
        return NULL;
}

static Timer *first_due(const Loop *loop)
{
        Timer *first = NULL;
        for (Timer *timer = loop->timers; timer; timer = timer->next)
                if (timer->armed &&
                    (!first || timer->at < first->at || (timer->at == first->at && timer->order < first->order)))
                        first = timer;
        return first;
}

int loop_run(Loop *loop)
{
        loop->exit = false;
        while (!loop->exit) {
                Timer *timer = first_due(loop);
                if (!timer)
                        return -EDEADLK; /* somebody waits for nothing */
                if (timer->at > loop->now)
                        loop->now = timer->at;
                timer->armed = false;
                bool once = timer->once;
                timer->fn(timer->userdata);
                if (once)
                        timer_free(timer);
        }
        return loop->code;
}

void loop_exit(Loop *loop, int code)
{
        loop->exit = true;
        loop->code = code;
}

usec_t loop_now(const Loop *loop)
{
        return loop->now;
}

usec_t loop_now_real(const Loop *loop)
{
        return loop->now + REAL_OFFSET;
}

Timer *timer_new(Loop *loop, usec_t slack, loop_fn fn, void *userdata)
{
        Timer *timer = ALLOC(Timer);
        *timer = (Timer){ .loop = loop, .next = loop->timers, .fn = fn, .userdata = userdata };
        if (loop->timers)
                loop->timers->previous = timer;
        loop->timers = timer;
        return timer;
}

void timer_set(Timer *timer, usec_t at)
{
        timer->at = at;
        timer->order = timer->loop->order++;
        timer->armed = true;
}

void timer_set_in(Timer *timer, usec_t delay)
{
        timer_set(timer, usec_add(timer->loop->now, delay));
}

void timer_stop(Timer *timer)
{
        timer->armed = false;
}

Timer *timer_free(Timer *timer)
{
        if (!timer)
                return NULL;
        if (timer->previous)
                timer->previous->next = timer->next;
        else
                timer->loop->timers = timer->next;
        if (timer->next)
                timer->next->previous = timer->previous;
        free(timer);
        return NULL;
}

Timer *loop_defer(Loop *loop, loop_fn fn, void *userdata)
{
        Timer *timer = timer_new(loop, 0, fn, userdata);
        timer->once = true;
        timer_set(timer, loop->now);
        return timer;
}
