/* A small procedure with everything in it, and servers of a few numbers, for tests of the engine. */
#pragma once

#include "sim.h"
#include "step.h"

/* confirm, (fence | address | stop), choose, hook, drain, open (no return), follow; undo: restart, unfence. */
extern const Procedure exam;
/* Of the life that decides: a decision which is taken anew in another life is another one. */
extern unsigned exam_life;

/* Servers db1 (writable) to db4, which receive from it; they know "GET name", "SET name=value" and "OPEN", which counts.
 * "refuse" is how many times a server refuses to be opened, "reach" how far its applier will come. */
void exam_world(Sim *sim);
Facts exam_facts(void);
