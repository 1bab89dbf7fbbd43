/* One step over its targets: ask, judge, act, wait, and so on until each is settled. Targets are independent of one
 * another. What must be on record goes through the calls; a negative answer stops everything. */
#pragma once

#include "exec.h"
#include "run.h"

typedef struct Fanout Fanout;

typedef struct FanoutCalls {
        /* Before an effect; must be durable when it returns. */
        int (*intend)(RunStep *step, RunTarget *target, const Script *script, void *userdata);
        /* The target's end. learned may be NULL. After the last one the fan-out does nothing more. */
        int (*settle)(RunStep *step, RunTarget *target, Verdict verdict, const char *why, const Json *learned,
                      void *userdata);
        /* At most each half second for a target. */
        void (*progress)(RunStep *step, RunTarget *target, Verdict verdict, const char *why, void *userdata);
        /* Whether an effect of ours may still be on its way to a server: it is quiesced before it is asked. */
        bool (*is_unsure)(const char *server, void *userdata);
        void (*set_unsure)(const char *server, bool unsure, void *userdata);
        /* Whether a server is known to be gone: it is not waited for until the step's own time is out. */
        bool (*is_lost)(const RunStep *step, const char *server, void *userdata);
        /* An effect has ended. */
        void (*acted)(void *userdata);
} FanoutCalls;

typedef struct FanoutSettings {
        usec_t by;     /* it ends by then, if not earlier by the step's own time-out */
        bool only_ask; /* nothing is done: a target that is unmet is settled as that */
} FanoutSettings;

/* All arguments are lent and outlive it. Begins with all targets that are not settled. calls->settle may be called
 * from within fanout_start() (when there is nothing to ask). */
Fanout *fanout_new(Loop *loop, Exec *exec, const Run *run, RunStep *step, const FanoutSettings *settings,
                   const FanoutCalls *calls, void *userdata);
void fanout_start(Fanout *fanout);
/* Abandons what is under way; the servers concerned become unsure. Nothing is called but set_unsure. */
void fanout_stop(Fanout *fanout);
/* The same, but that commands on hosts are left to their end, for nobody can call them back; calls->acted tells of it. */
void fanout_wind_down(Fanout *fanout);
/* What is not settled yet on that server ("": the daemon) is settled as unreachable. */
void fanout_give_up(Fanout *fanout, const char *server, const char *why);
bool fanout_is_idle(const Fanout *fanout); /* stopped, and nothing of it is under way */
Fanout *fanout_free(Fanout *fanout);       /* stops it */
