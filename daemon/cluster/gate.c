/* The gate: a count and a queue. Owns the timer that lets in; must never call anybody from inside a call. */
#include "gate.h"

#include "alloc.h"

typedef enum Place { PLACE_OUTSIDE, PLACE_QUEUE, PLACE_INSIDE } Place;

struct GatePass {
        Gate *gate;
        Place place;
        GatePass *previous, *next; /* in the queue */
        loop_fn admitted;
        void *userdata;
};

struct Gate {
        size_t width, n_inside;
        GatePass *first, *last;
        Timer *timer; /* set while somebody waits and there is room */
};

static void open_if_room(Gate *gate)
{
        if (gate->first && gate->n_inside < gate->width)
                timer_set(gate->timer, 0);
}

static void unqueue(GatePass *pass)
{
        Gate *gate = pass->gate;
        *(pass->previous ? &pass->previous->next : &gate->first) = pass->next;
        *(pass->next ? &pass->next->previous : &gate->last) = pass->previous;
        pass->previous = pass->next = NULL;
}

/* One at a time, as what is called may change the queue. */
static void on_timer(void *userdata)
{
        Gate *gate = userdata;
        GatePass *pass = gate->first;
        if (!pass || gate->n_inside == gate->width)
                return;
        unqueue(pass);
        pass->place = PLACE_INSIDE;
        gate->n_inside++;
        open_if_room(gate);
        pass->admitted(pass->userdata);
}

void gate_enter(GatePass *pass)
{
        Gate *gate = pass->gate;
        if (pass->place != PLACE_OUTSIDE)
                return;
        pass->place = PLACE_QUEUE;
        pass->previous = gate->last;
        *(gate->last ? &gate->last->next : &gate->first) = pass;
        gate->last = pass;
        open_if_room(gate);
}

void gate_leave(GatePass *pass)
{
        if (pass->place == PLACE_QUEUE)
                unqueue(pass);
        if (pass->place == PLACE_INSIDE)
                pass->gate->n_inside--;
        pass->place = PLACE_OUTSIDE;
        open_if_room(pass->gate);
}

GatePass *gate_pass_new(Gate *gate, loop_fn admitted, void *userdata)
{
        GatePass *pass = ALLOC(GatePass);
        *pass = (GatePass){ .gate = gate, .admitted = admitted, .userdata = userdata };
        return pass;
}

GatePass *gate_pass_free(GatePass *pass)
{
        if (!pass)
                return NULL;
        gate_leave(pass);
        free(pass);
        return NULL;
}

Gate *gate_new(Loop *loop, size_t width)
{
        Gate *gate = ALLOC(Gate);
        *gate = (Gate){ .width = width };
        gate->timer = timer_new(loop, 0, on_timer, gate);
        return gate;
}

Gate *gate_free(Gate *gate)
{
        if (!gate)
                return NULL;
        timer_free(gate->timer);
        free(gate);
        return NULL;
}
