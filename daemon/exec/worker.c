/* Helper threads. Owns an eventfd and one detached thread each; must never touch anything of the daemon's from the
 * thread but that eventfd and one atomic word. */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "alloc.h"

#define STACK_SIZE (256 * 1024)

/* The loop and the thread each put their mark; the second one frees. */
enum { MARK_NONE, MARK_RELEASED, MARK_FINISHED };

struct Worker {
        worker_fn work, done, drop;
        void *data, *userdata;
        atomic_int mark;
        int fd; /* the thread's last act on a worker that was not released is to write here */
        Io *io;
};

static void worker_destroy(Worker *worker)
{
        close(worker->fd);
        free(worker);
}

static void *thread_main(void *argument)
{
        Worker *worker = argument;
        worker->work(worker->data);
        /* Written first: after the mark the loop may free the worker. */
        (void) eventfd_write(worker->fd, 1);
        if (atomic_exchange(&worker->mark, MARK_FINISHED) == MARK_RELEASED) {
                if (worker->drop)
                        worker->drop(worker->data);
                worker_destroy(worker);
        }
        return NULL;
}

static void on_finished(int fd, uint32_t revents, void *userdata)
{
        Worker *worker = userdata;
        if (atomic_load(&worker->mark) != MARK_FINISHED)
                return; /* between the two last instructions of the thread: still readable, so the loop comes again */
        worker->io = io_free(worker->io);
        worker->done(worker->userdata);
}

/* Signals are the loop's business: a thread that inherits an open mask could be chosen to receive one. */
static int start_thread(Worker *worker)
{
        pthread_attr_t attributes;
        int r = pthread_attr_init(&attributes);
        if (r != 0)
                return r;
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void) pthread_attr_setstacksize(&attributes, STACK_SIZE);
        sigset_t all, before;
        sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t thread;
        r = pthread_create(&thread, &attributes, thread_main, worker);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return r;
}

Worker *worker_start(Loop *loop, worker_fn work, void *data, worker_fn done, void *userdata)
{
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
                return NULL;
        Worker *worker = ALLOC(Worker);
        *worker = (Worker){ .work = work, .done = done, .data = data, .userdata = userdata, .fd = fd };
        int r = start_thread(worker);
        if (r != 0) {
                worker_destroy(worker);
                errno = r;
                return NULL;
        }
        worker->io = io_new(loop, fd, EPOLLIN, on_finished, worker);
        return worker;
}

Worker *worker_release(Worker *worker, worker_fn drop)
{
        if (!worker)
                return NULL;
        bool reported = !worker->io;
        worker->io = io_free(worker->io);
        worker->drop = drop;
        if (atomic_exchange(&worker->mark, MARK_RELEASED) != MARK_FINISHED)
                return NULL;
        if (!reported && drop)
                drop(worker->data);
        worker_destroy(worker);
        return NULL;
}
