/* A small world with a virtual clock: servers which carry statements out late, or after their client has died, or never;
 * and the two seams (loop.h, exec.h) as the engine sees them. Everything is determined by the seed. */
#pragma once

#include "exec.h"
#include "json.h"
#include "loop.h"
#include "script.h"

typedef struct Sim Sim;
typedef struct SimServer SimServer;

/* Carries one item out at once and fills the reply (run is set). Anything it refuses goes into reply->failure. */
typedef void (*sim_execute_fn)(Sim *sim, SimServer *server, const ScriptItem *item, Reply *reply);
/* Sees each script before it is sent; false: the client is dead and nothing is sent. */
typedef bool (*sim_watch_fn)(const char *server, const Script *script, void *userdata);

struct SimServer {
        char *name;
        bool dead;   /* connections are refused */
        bool frozen; /* it takes statements and answers when it thaws */
        bool cut;    /* nothing gets there or comes back */
        Json *state; /* what the statements change; of the test's own making */
        void *model;
};

struct Sim {
        Loop *loop;
        uint64_t seed, random;
        SimServer *servers;
        size_t n_servers;
        sim_execute_fn execute;
        bool (*is_effect)(const ScriptItem *item);                        /* NULL: sim_is_effect's own */
        bool (*can_be_reached)(const SimServer *server, ScriptKind kind); /* NULL: unless it is dead */
        sim_watch_fn watch;
        void *userdata;
        /* Chances in a thousand, for each statement that changes something. */
        unsigned stuck;      /* it is carried out only seconds later */
        unsigned lost;       /* the connection breaks before the answer is there */
        unsigned refused;    /* the server says no (for execute() to heed) */
        usec_t latency;      /* of each way, at most */
        usec_t stuck_for;    /* at most */
        usec_t pause;        /* set by execute(): the answer comes so much later */
        bool deaf;           /* a fault: quiescing does nothing */
        bool full;           /* mhad's own disk: nothing can be saved */
        char violation[200]; /* what must never be, seen by execute(); "" for nothing */
        Json *hooks;         /* what was run, in order: "stop", "abort stop" */
        void *statements;
        void *saved;                  /* what outlives the daemon of its saved logs; of the model's own making */
        void (*on_client_end)(Sim *); /* a client of the world is gone; NULL for nothing */
        void (*free_saved)(Sim *);
};

Sim *sim_new(uint64_t seed);
Sim *sim_free(Sim *sim);
DEFINE_CLEANUP(Sim *, sim_free)
SimServer *sim_add(Sim *sim, const char *name);
SimServer *sim_find(Sim *sim, const char *name);
unsigned sim_random(Sim *sim, unsigned below);
bool sim_chance(Sim *sim, unsigned per_mille);
/* Lets the time pass. */
void sim_pass(Sim *sim, usec_t duration);
/* Whether an item can change a server; reading statements begin with SELECT, SHOW or GET, reading shell scripts with "#". */
bool sim_is_effect(const Sim *sim, const ScriptItem *item);

/* A client of the world: of one life of the daemon. Freeing it leaves what it has sent on its way. */
Exec *sim_exec_new(Sim *sim);
Exec *sim_exec_free(Exec *exec);
