/* The metrics by HTTP, for Prometheus: GET /metrics, and nothing else. Whoever reaches the address may ask; nobody can change
 * anything, hold up the watching, or keep others out by holding connections open. */
#pragma once

#include "loop.h"
#include "registry.h"

#define LISTENER_CLIENTS_MAX 100 /* with one more, the oldest connection is closed */
#define LISTENER_PATIENCE 10     /* seconds, for a client that says nothing, or does not read */

typedef struct Listener Listener;

Listener *listener_new(Loop *loop, Registry *registry);
Listener *listener_free(Listener *listener);
DEFINE_CLEANUP(Listener *, listener_free)
/* Listens on an address with a port (endpoint.h) from now on, and nowhere else; NULL: nowhere. When it does so already,
 * nothing changes. That it cannot is logged, and tried again with the next call. */
void listener_set(Listener *listener, const char *address);
