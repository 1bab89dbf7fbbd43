/* One blocking library call in a thread of its own, for what cannot be done without blocking. The thread shares nothing
 * with the daemon: it works on its own data and hands it back through the loop. */
#pragma once

#include "loop.h"

typedef struct Worker Worker;
typedef void (*worker_fn)(void *data);

/* Runs work(data) in a thread, then done(userdata) from the loop; data belongs to the caller again by then. NULL when
 * no thread can be made (errno). */
Worker *worker_start(Loop *loop, worker_fn work, void *data, worker_fn done, void *userdata);
/* After done: only releases the worker. Before: done is not called any more, and whoever ends last, this call or the
 * thread, calls drop(data) (in the thread, possibly much later). Takes NULL, returns NULL. */
Worker *worker_release(Worker *worker, worker_fn drop);
