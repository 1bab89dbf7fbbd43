/* The event loop on sd-event. Owns the timers' heap and an epoll descriptor of its own inside sd-event: sd-event itself
 * looks at all ready descriptors again for each one that it dispatches, which takes seconds when thousands are ready at
 * once, and it has no cheap timers. Must never call back from inside a call that asks for something. */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "alloc.h"

#define BATCH 64
#define NOT_ARMED SIZE_MAX

struct Timer {
        Loop *loop;
        usec_t slack;
        usec_t due;
        uint64_t sequence; /* of equal times, first come, first served */
        size_t position;   /* in the heap */
        bool once;         /* freed after its call */
        loop_fn fn;
        void *userdata;
};

struct Io {
        Loop *loop;
        int fd;
        uint32_t events;
        uint32_t slot;
        io_fn fn;
        void *userdata;
};

/* What epoll hands back is the slot and its generation, not a pointer: events of an Io that an earlier callback of the
 * same batch has freed find nobody, as do those of a descriptor that a library closed while a child not yet in exec
 * held a copy of it. */
typedef struct Slot {
        Io *io;
        uint32_t generation;
        uint32_t next_free;
} Slot;

typedef struct SignalSource {
        sd_event_source *source;
        loop_fn fn;
        void *userdata;
        struct SignalSource *next;
} SignalSource;

struct Loop {
        sd_event *event;

        Timer **heap;
        size_t n_heap, n_heap_allocated;
        uint64_t sequence;
        sd_event_source *timer_source;
        usec_t armed; /* what timer_source is set to; it may be earlier than the first timer, never later */
        bool in_timers;

        int epoll_fd;
        sd_event_source *epoll_source;
        Slot *slots;
        uint32_t n_slots, first_free; /* free slots are linked, UINT32_MAX ends the list */

        SignalSource *signals;
};

struct Child {
        sd_event_source *source;
        child_fn fn;
        void *userdata;
};

/* Timers: a binary heap ordered by due time. Due is rounded up to a multiple of the slack, so that timers of one slack
 * fall together and the loop wakes once for all of them. */

static bool timer_before(const Timer *a, const Timer *b)
{
        return a->due != b->due ? a->due < b->due : a->sequence < b->sequence;
}

static void heap_place(Loop *loop, Timer *timer, size_t position)
{
        loop->heap[position] = timer;
        timer->position = position;
}

static void heap_up(Loop *loop, Timer *timer, size_t position)
{
        while (position > 0 && timer_before(timer, loop->heap[(position - 1) / 2])) {
                heap_place(loop, loop->heap[(position - 1) / 2], position);
                position = (position - 1) / 2;
        }
        heap_place(loop, timer, position);
}

static void heap_down(Loop *loop, Timer *timer, size_t position)
{
        for (;;) {
                size_t child = 2 * position + 1;
                if (child >= loop->n_heap)
                        break;
                if (child + 1 < loop->n_heap && timer_before(loop->heap[child + 1], loop->heap[child]))
                        child++;
                if (!timer_before(loop->heap[child], timer))
                        break;
                heap_place(loop, loop->heap[child], position);
                position = child;
        }
        heap_place(loop, timer, position);
}

static void heap_insert(Loop *loop, Timer *timer)
{
        if (loop->n_heap == loop->n_heap_allocated) {
                loop->n_heap_allocated = loop->n_heap_allocated ? loop->n_heap_allocated * 2 : 64;
                loop->heap = alloc_resize(loop->heap, loop->n_heap_allocated, sizeof *loop->heap);
        }
        heap_up(loop, timer, loop->n_heap++);
}

static void heap_remove(Loop *loop, Timer *timer)
{
        size_t position = timer->position;
        Timer *last = loop->heap[--loop->n_heap];
        timer->position = NOT_ARMED;
        if (last == timer)
                return;
        if (timer_before(last, timer))
                heap_up(loop, last, position);
        else
                heap_down(loop, last, position);
}

static void arm(Loop *loop)
{
        if (loop->in_timers || loop->n_heap == 0 || loop->heap[0]->due >= loop->armed)
                return;
        loop->armed = loop->heap[0]->due;
        (void) sd_event_source_set_time(loop->timer_source, loop->armed);
        (void) sd_event_source_set_enabled(loop->timer_source, SD_EVENT_ONESHOT);
}

static void timer_fire(Timer *timer)
{
        loop_fn fn = timer->fn;
        void *userdata = timer->userdata;
        heap_remove(timer->loop, timer);
        if (timer->once)
                free(timer);
        fn(userdata);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
        Loop *loop = userdata;
        usec_t now = usec_now_monotonic();
        loop->in_timers = true;
        while (loop->n_heap > 0 && loop->heap[0]->due <= now)
                timer_fire(loop->heap[0]);
        loop->in_timers = false;
        loop->armed = USEC_INFINITY;
        arm(loop);
        return 0;
}

static usec_t round_up(usec_t at, usec_t slack)
{
        if (slack <= 1 || at > USEC_INFINITY - slack)
                return at;
        return (at + slack - 1) / slack * slack;
}

Timer *timer_new(Loop *loop, usec_t slack, loop_fn fn, void *userdata)
{
        Timer *timer = ALLOC(Timer);
        *timer = (Timer){ .loop = loop, .slack = slack, .position = NOT_ARMED, .fn = fn, .userdata = userdata };
        return timer;
}

void timer_set(Timer *timer, usec_t at)
{
        timer_stop(timer);
        if (at == USEC_INFINITY)
                return;
        /* A time that has passed becomes now: or a callback that arms itself anew would never let the loop go on. */
        usec_t now = usec_now_monotonic();
        timer->due = at <= now ? now : round_up(at, timer->slack);
        timer->sequence = timer->loop->sequence++;
        heap_insert(timer->loop, timer);
        arm(timer->loop);
}

void timer_set_in(Timer *timer, usec_t delay)
{
        timer_set(timer, usec_add(usec_now_monotonic(), delay));
}

void timer_stop(Timer *timer)
{
        if (timer->position != NOT_ARMED)
                heap_remove(timer->loop, timer);
}

Timer *timer_free(Timer *timer)
{
        if (!timer)
                return NULL;
        timer_stop(timer);
        free(timer);
        return NULL;
}

Timer *loop_defer(Loop *loop, loop_fn fn, void *userdata)
{
        Timer *timer = timer_new(loop, 0, fn, userdata);
        timer->once = true;
        timer_set(timer, 0);
        return timer;
}

/* Descriptors. */

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Loop *loop = userdata;
        struct epoll_event batch[BATCH];
        int n = epoll_wait(loop->epoll_fd, batch, BATCH, 0);
        for (int i = 0; i < n; i++) {
                const Slot *slot = &loop->slots[(uint32_t) batch[i].data.u64];
                if (!slot->io || slot->generation != (uint32_t) (batch[i].data.u64 >> 32))
                        continue;
                Io *io = slot->io;
                uint32_t wanted = batch[i].events & (io->events | EPOLLERR | EPOLLHUP);
                if (io->events && wanted)
                        io->fn(io->fd, wanted, io->userdata);
        }
        return 0;
}

static uint32_t slot_take(Loop *loop, Io *io)
{
        uint32_t i = loop->first_free;
        if (i == UINT32_MAX) {
                i = loop->n_slots;
                ALLOC_GROW(loop->slots, loop->n_slots);
                loop->n_slots++;
                loop->slots[i] = (Slot){ 0 };
        } else
                loop->first_free = loop->slots[i].next_free;
        loop->slots[i].io = io;
        return i;
}

static void slot_release(Loop *loop, uint32_t i)
{
        Slot *slot = &loop->slots[i];
        slot->io = NULL;
        slot->generation++;
        slot->next_free = loop->first_free;
        loop->first_free = i;
}

Io *io_new(Loop *loop, int fd, uint32_t events, io_fn fn, void *userdata)
{
        Io *io = ALLOC(Io);
        *io = (Io){ .loop = loop, .fd = fd, .fn = fn, .userdata = userdata };
        io->slot = slot_take(loop, io);
        io_set_events(io, events);
        return io;
}

/* Errors are ignored: the descriptor may have been closed by its library, and whoever waits has a deadline. Without
 * wishes it leaves the epoll set, because errors and hang-ups would be reported all the time. */
void io_set_events(Io *io, uint32_t events)
{
        if (events == io->events)
                return;
        uint64_t token = (uint64_t) io->loop->slots[io->slot].generation << 32 | io->slot;
        struct epoll_event wish = { .events = events, .data.u64 = token };
        int operation = !io->events ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        (void) epoll_ctl(io->loop->epoll_fd, operation, io->fd, &wish);
        io->events = events;
}

Io *io_free(Io *io)
{
        if (!io)
                return NULL;
        io_set_events(io, 0);
        slot_release(io->loop, io->slot);
        free(io);
        return NULL;
}

/* Signals and children. */

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
        SignalSource *waiting = userdata;
        waiting->fn(waiting->userdata);
        return 0;
}

static int block_signal(int signal)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signal);
        return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int loop_signal(Loop *loop, int signal, loop_fn fn, void *userdata)
{
        int r = block_signal(signal);
        if (r < 0)
                return r;
        SignalSource *waiting = ALLOC(SignalSource);
        *waiting = (SignalSource){ .fn = fn, .userdata = userdata, .next = loop->signals };
        r = sd_event_add_signal(loop->event, &waiting->source, signal, on_signal, waiting);
        if (r < 0) {
                free(waiting);
                return r;
        }
        loop->signals = waiting;
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
        Child *child = userdata;
        int status = info->si_status;
        child->fn(info->si_pid, info->si_code == CLD_EXITED ? W_EXITCODE(status, 0) : W_EXITCODE(0, status),
                  child->userdata);
        return 0;
}

Child *child_new(Loop *loop, pid_t pid, child_fn fn, void *userdata)
{
        Child *child = ALLOC(Child);
        *child = (Child){ .fn = fn, .userdata = userdata };
        if (sd_event_add_child(loop->event, &child->source, pid, WEXITED, on_child, child) < 0) {
                free(child);
                return NULL;
        }
        return child;
}

Child *child_free(Child *child)
{
        if (!child)
                return NULL;
        sd_event_source_disable_unref(child->source);
        free(child);
        return NULL;
}

/* The loop. */

static int open_epoll(Loop *loop)
{
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll_fd < 0)
                return -errno;
        return sd_event_add_io(loop->event, &loop->epoll_source, loop->epoll_fd, EPOLLIN, on_ready, loop);
}

static int open_timers(Loop *loop)
{
        /* Accuracy of 1 µs, because timers are already gathered by their slack. */
        int r = sd_event_add_time(loop->event, &loop->timer_source, CLOCK_MONOTONIC, 0, 1, on_time, loop);
        return r < 0 ? r : sd_event_source_set_enabled(loop->timer_source, SD_EVENT_OFF);
}

int loop_new(Loop **ret)
{
        CLEANUP(loop_free) Loop *loop = ALLOC(Loop);
        *loop = (Loop){ .epoll_fd = -1, .armed = USEC_INFINITY, .first_free = UINT32_MAX };
        /* sd-event wants SIGCHLD blocked for children; a peer that is gone is an errno here, not a signal. */
        int r = block_signal(SIGCHLD);
        if (r < 0)
                return r;
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        r = sd_event_new(&loop->event);
        if (r < 0)
                return r;
        r = open_epoll(loop);
        if (r < 0)
                return r;
        r = open_timers(loop);
        if (r < 0)
                return r;
        *ret = TAKE(loop);
        return 0;
}

Loop *loop_free(Loop *loop)
{
        if (!loop)
                return NULL;
        for (size_t i = 0; i < loop->n_heap; i++) {
                loop->heap[i]->position = NOT_ARMED;
                if (loop->heap[i]->once)
                        free(loop->heap[i]);
        }
        free(loop->heap);
        while (loop->signals) {
                SignalSource *waiting = loop->signals;
                loop->signals = waiting->next;
                sd_event_source_disable_unref(waiting->source);
                free(waiting);
        }
        sd_event_source_disable_unref(loop->timer_source);
        sd_event_source_disable_unref(loop->epoll_source);
        if (loop->epoll_fd >= 0)
                close(loop->epoll_fd);
        free(loop->slots);
        sd_event_unref(loop->event);
        free(loop);
        return NULL;
}

int loop_run(Loop *loop)
{
        return sd_event_loop(loop->event);
}

int loop_turn(Loop *loop, usec_t timeout)
{
        return sd_event_run(loop->event, timeout);
}

void loop_exit(Loop *loop, int code)
{
        (void) sd_event_exit(loop->event, code);
}

usec_t loop_now(const Loop *loop)
{
        return usec_now_monotonic();
}

usec_t loop_now_real(const Loop *loop)
{
        return usec_now_real();
}

int loop_watchdog(Loop *loop)
{
        return sd_event_set_watchdog(loop->event, 1);
}
