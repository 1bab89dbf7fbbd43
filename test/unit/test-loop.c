/* The real loop: order, cancelling, and what a callback may do to the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "loop.h"
#include "worker.h"

static Loop *loop;

static int setup(void **state)
{
        return loop_new(&loop);
}

static int teardown(void **state)
{
        loop = loop_free(loop);
        return 0;
}

static void turn_for(usec_t time)
{
        usec_t end = loop_now(loop) + time;
        while (loop_now(loop) < end)
                loop_turn(loop, USEC_MSEC);
}

static char order[64];
static size_t n_order;

static void note(void *userdata)
{
        if (n_order < sizeof order - 1)
                order[n_order++] = *(const char *) userdata;
        order[n_order] = '\0';
}

static void test_timers(void **state)
{
        usec_t now = loop_now(loop);
        Timer *a = timer_new(loop, 1, note, (char[]){ 'a' }), *b = timer_new(loop, 1, note, (char[]){ 'b' });
        Timer *c = timer_new(loop, 1, note, (char[]){ 'c' }), *d = timer_new(loop, 1, note, (char[]){ 'd' });
        n_order = 0;
        timer_set(c, now + 30 * USEC_MSEC);
        timer_set(a, now + 10 * USEC_MSEC);
        timer_set(b, now + 20 * USEC_MSEC);
        timer_set(d, now + 5 * USEC_MSEC);
        timer_stop(d);
        timer_set(d, USEC_INFINITY);
        Timer *cancelled = loop_defer(loop, note, (char[]){ 'x' });
        loop_defer(loop, note, (char[]){ '1' });
        loop_defer(loop, note, (char[]){ '2' });
        timer_free(cancelled);
        assert_int_equal(n_order, 0);
        turn_for(50 * USEC_MSEC);
        assert_string_equal(order, "12abc");
        timer_set(a, 0); /* long past: now, but not from here */
        assert_int_equal(n_order, 5);
        turn_for(2 * USEC_MSEC);
        assert_string_equal(order, "12abca");
        timer_free(a);
        timer_free(b);
        timer_free(c);
        timer_free(d);
}

/* Random operations against the plainest model: a list. */
static unsigned fired;
static usec_t last_due;

typedef struct Entry {
        Timer *timer;
        usec_t due; /* 0 when not armed */
} Entry;

static void on_entry(void *userdata)
{
        Entry *entry = userdata;
        assert_true(entry->due != 0);
        assert_true(entry->due >= last_due);
        assert_true(loop_now(loop) >= entry->due);
        last_due = entry->due;
        entry->due = 0;
        fired++;
}

static void test_heap(void **state)
{
        enum { N = 500 };
        Entry *entries = ALLOC_ARRAY(Entry, N);
        unsigned armed = 0;
        srand(7);
        fired = 0;
        last_due = 0;
        usec_t now = loop_now(loop) + 20 * USEC_MSEC;
        for (size_t i = 0; i < N; i++)
                entries[i].timer = timer_new(loop, 1, on_entry, &entries[i]);
        for (size_t i = 0; i < 5000; i++) {
                Entry *entry = &entries[(size_t) rand() % N];
                entry->due = rand() % 4 ? now + (usec_t) (rand() % 20000) : 0;
                if (entry->due)
                        timer_set(entry->timer, entry->due);
                else
                        timer_stop(entry->timer);
        }
        for (size_t i = 0; i < N; i++)
                armed += entries[i].due != 0;
        turn_for(60 * USEC_MSEC);
        assert_int_equal(fired, armed);
        for (size_t i = 0; i < N; i++)
                timer_free(entries[i].timer);
        free(entries);
}

static unsigned wakes;

static void on_wake(void *userdata)
{
        wakes++;
}

/* Timers of one slack fall together and are never early. */
static void test_slack(void **state)
{
        enum { N = 100 };
        Timer *timers[N];
        usec_t now = loop_now(loop);
        wakes = 0;
        for (size_t i = 0; i < N; i++) {
                timers[i] = timer_new(loop, 10 * USEC_MSEC, on_wake, NULL);
                timer_set(timers[i], now + 30 * USEC_MSEC + i * 50);
        }
        unsigned turns = 0, before = 0;
        while (wakes < N) {
                loop_turn(loop, USEC_SEC);
                assert_true(wakes == 0 || loop_now(loop) >= now + 30 * USEC_MSEC);
                turns += wakes != before;
                before = wakes;
        }
        assert_in_range(turns, 1, 2);
        for (size_t i = 0; i < N; i++)
                timer_free(timers[i]);
}

static Io *ios[2];
static unsigned calls;

static void on_free_other(int fd, uint32_t revents, void *userdata)
{
        size_t own = (size_t) (uintptr_t) userdata;
        calls++;
        ios[1 - own] = io_free(ios[1 - own]);
        ios[own] = io_free(ios[own]);
}

static void on_silence_other(int fd, uint32_t revents, void *userdata)
{
        size_t own = (size_t) (uintptr_t) userdata;
        calls++;
        io_set_events(ios[1 - own], 0);
        io_set_events(ios[own], 0);
}

static void two_ready(io_fn fn)
{
        int fds[2];
        calls = 0;
        for (size_t i = 0; i < 2; i++) {
                fds[i] = eventfd(1, EFD_CLOEXEC);
                ios[i] = io_new(loop, fds[i], EPOLLIN, fn, (void *) (uintptr_t) i);
        }
        turn_for(5 * USEC_MSEC);
        assert_int_equal(calls, 1);
        for (size_t i = 0; i < 2; i++) {
                ios[i] = io_free(ios[i]);
                close(fds[i]);
        }
}

static void test_io(void **state)
{
        two_ready(on_free_other);
        two_ready(on_silence_other);
}

/* A descriptor closed under its Io by a library, while a copy of it lives on (a child before its exec). */
static void on_count(int fd, uint32_t revents, void *userdata)
{
        calls++;
}

static void test_stale_descriptor(void **state)
{
        int fd = eventfd(0, EFD_CLOEXEC), copy = dup(fd);
        Io *io = io_new(loop, fd, EPOLLIN, on_count, NULL);
        calls = 0;
        close(fd);
        io_free(io);
        eventfd_write(copy, 1);
        turn_for(5 * USEC_MSEC);
        assert_int_equal(calls, 0);
        close(copy);
        turn_for(2 * USEC_MSEC);
}

static void on_drain(int fd, uint32_t revents, void *userdata)
{
        eventfd_t value;
        eventfd_read(fd, &value);
        calls++;
}

static void test_many_ready(void **state)
{
        enum { N = 900 };
        int *fds = ALLOC_ARRAY(int, N);
        Io **many = ALLOC_ARRAY(Io *, N);
        calls = 0;
        for (size_t i = 0; i < N; i++) {
                fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
                assert_true(fds[i] >= 0);
                many[i] = io_new(loop, fds[i], EPOLLIN, on_drain, NULL);
        }
        usec_t start = loop_now(loop);
        while (calls < N)
                loop_turn(loop, USEC_MSEC);
        print_message("%d descriptors ready at once: %.2f ms\n", N, (double) (loop_now(loop) - start) / 1000);
        for (size_t i = 0; i < N; i++) {
                io_free(many[i]);
                close(fds[i]);
        }
        free(fds);
        free(many);
}

static int child_status;

static void on_child(pid_t pid, int status, void *userdata)
{
        child_status = status;
}

static void test_children(void **state)
{
        static const struct {
                int exit, signal;
        } rows[] = { { 0, 0 }, { 7, 0 }, { 0, SIGTERM } };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                pid_t pid = fork();
                if (pid == 0) {
                        if (rows[i].signal)
                                pause();
                        _exit(rows[i].exit);
                }
                child_status = -1;
                Child *child = child_new(loop, pid, on_child, NULL);
                assert_non_null(child);
                if (rows[i].signal)
                        kill(pid, rows[i].signal);
                while (child_status < 0)
                        loop_turn(loop, USEC_MSEC);
                if (rows[i].signal)
                        assert_int_equal(WTERMSIG(child_status), rows[i].signal);
                else
                        assert_int_equal(WEXITSTATUS(child_status), rows[i].exit);
                child_free(child);
                assert_int_equal(waitpid(pid, NULL, WNOHANG), -1); /* it was reaped */
        }
}

static unsigned worked, dropped, done;

static void work(void *data)
{
        usleep(*(useconds_t *) data);
        __atomic_add_fetch(&worked, 1, __ATOMIC_SEQ_CST);
}

static void on_done(void *userdata)
{
        done++;
}

static void drop(void *data)
{
        __atomic_add_fetch(&dropped, 1, __ATOMIC_SEQ_CST);
        free(data);
}

static void test_workers(void **state)
{
        enum { N = 100 };
        useconds_t none = 0;
        Worker *worker = worker_start(loop, work, &none, on_done, NULL);
        while (done == 0)
                loop_turn(loop, USEC_MSEC);
        worker_release(worker, drop); /* after the end nothing is dropped */
        assert_int_equal(dropped, 0);
        worked = done = 0;
        for (size_t i = 0; i < N; i++) { /* released at about the time when the thread ends */
                useconds_t *data = ALLOC(useconds_t);
                *data = (useconds_t) (i * 5);
                worker = worker_start(loop, work, data, on_done, NULL);
                usleep(200);
                worker_release(worker, drop);
        }
        for (int i = 0; i < 1000 && __atomic_load_n(&dropped, __ATOMIC_SEQ_CST) < N; i++)
                usleep(1000);
        turn_for(2 * USEC_MSEC);
        assert_int_equal(dropped, N);
        assert_int_equal(worked, N);
        assert_int_equal(done, 0);
}

static void on_exit_wanted(void *userdata)
{
        loop_exit(userdata, 5);
}

static void test_signal_and_exit(void **state)
{
        assert_int_equal(loop_signal(loop, SIGUSR1, on_exit_wanted, loop), 0);
        kill(getpid(), SIGUSR1);
        assert_int_equal(loop_run(loop), 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_timers),           TEST(test_heap),       TEST(test_slack),    TEST(test_io),
                TEST(test_stale_descriptor), TEST(test_many_ready), TEST(test_children), TEST(test_workers),
                TEST(test_signal_and_exit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
