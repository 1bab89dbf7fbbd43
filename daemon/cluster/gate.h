/* A gate that lets only so many through at a time: a thousand connections made at once would make each other late, and
 * who is late looks dead. */
#pragma once

#include "loop.h"

typedef struct Gate Gate;
typedef struct GatePass GatePass;

Gate *gate_new(Loop *loop, size_t width);
Gate *gate_free(Gate *gate); /* all passes must be gone; takes NULL */
DEFINE_CLEANUP(Gate *, gate_free)

/* A pass is outside at first. admitted is called from the loop when it is let in. */
GatePass *gate_pass_new(Gate *gate, loop_fn admitted, void *userdata);
GatePass *gate_pass_free(GatePass *pass); /* leaves; takes NULL */
/* Queues at the gate, first come, first served; no-op inside and in the queue. */
void gate_enter(GatePass *pass);
/* Leaves the inside or the queue; no-op outside. */
void gate_leave(GatePass *pass);
