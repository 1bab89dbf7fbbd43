/* The event loop and its clock behind a seam: sd-event in the daemon, virtual time in the simulation. Everything that
 * waits, waits here. Completions are always deferred to the loop: no callback runs inside the call that asks for it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "cleanup.h"
#include "usec.h"

typedef struct Loop Loop;
typedef struct Timer Timer;
typedef struct Io Io;

typedef void (*loop_fn)(void *userdata);
typedef void (*io_fn)(int fd, uint32_t revents, void *userdata);

int loop_new(Loop **ret);
Loop *loop_free(Loop *loop);
DEFINE_CLEANUP(Loop *, loop_free)
int loop_run(Loop *loop); /* until loop_exit(); its code, or a negative errno */
void loop_exit(Loop *loop, int code);
/* One turn that waits at most so long for something to happen; for tests. */
int loop_turn(Loop *loop, usec_t timeout);

usec_t loop_now(const Loop *loop);      /* monotonic */
usec_t loop_now_real(const Loop *loop); /* wall clock, for records only */

/* A one-shot timer; created unarmed. timer_set() arms it anew (an absolute monotonic time), timer_stop() disarms. The
 * callback may set, stop or free it. slack is how late it may be: 10 ms for periodic work, 1 ms for a failover. */
Timer *timer_new(Loop *loop, usec_t slack, loop_fn fn, void *userdata);
void timer_set(Timer *timer, usec_t at);
void timer_set_in(Timer *timer, usec_t delay);
void timer_stop(Timer *timer);
Timer *timer_free(Timer *timer);
DEFINE_CLEANUP(Timer *, timer_free)

/* Watches a descriptor (EPOLL… bits of epoll_ctl(2)). Always free the Io before its descriptor is closed. */
Io *io_new(Loop *loop, int fd, uint32_t events, io_fn fn, void *userdata);
void io_set_events(Io *io, uint32_t events); /* 0 disables it */
Io *io_free(Io *io);
DEFINE_CLEANUP(Io *, io_free)

/* Calls fn once from the loop, soon. The Timer it returns is freed by itself after the call; free it to cancel. */
Timer *loop_defer(Loop *loop, loop_fn fn, void *userdata);

/* Signals and children, for main.c and hook.c. */
int loop_signal(Loop *loop, int signal, loop_fn fn, void *userdata);
typedef void (*child_fn)(pid_t pid, int status, void *userdata); /* status as of waitpid(2) */
typedef struct Child Child;
Child *child_new(Loop *loop, pid_t pid, child_fn fn, void *userdata);
Child *child_free(Child *child); /* does not end the process */
/* Answers systemd's watchdog while the loop turns; 1 when it is asked for, 0 when not. */
int loop_watchdog(Loop *loop);
