/* What is to be done, as data: a procedure is an array of goals. A goal is a sentence that is true or false about one
 * server; the engine (runbook) asks, judges, acts and asks again, and settles a target only by what the server says.
 * All functions here are pure: values in, values out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "facts.h"
#include "script.h"
#include "usec.h"

/* Which servers a goal is about. Targets are computed once, when the step begins, and recorded. */
typedef enum Scope {
        ON_DAEMON,       /* once, with no server: decisions, hooks */
        ON_OLD_PRIMARY,  /* facts "old_primary" */
        ON_CANDIDATE,    /* facts "candidate" */
        ON_DONOR,        /* facts "donor"; no target when there is none */
        ON_REPLICAS,     /* facts "replicas": the replicas that take part */
        ON_OTHERS,       /* the same without the candidate */
        ON_LEFT_OUT,     /* facts "left_out": replicas that could not be asked in time */
        ON_SUB_REPLICAS, /* facts "sub_replicas": replicas of replicas that take part */
        ON_EVERY_SERVER, /* all that are configured */
        _SCOPE_MAX,
} Scope;

/* How many targets must be met for the goal to be reached. */
typedef enum Need {
        NEED_EVERY,
        NEED_ONE,  /* at least one */
        NEED_NONE, /* none: what failed is reported and nothing waits for it */
        _NEED_MAX,
} Need;

typedef enum Verdict {
        VERDICT_MET,
        VERDICT_UNMET,       /* not yet: act (again), or wait */
        VERDICT_HOPELESS,    /* it cannot become true */
        VERDICT_UNREACHABLE, /* the server could not be asked before the step's deadline */
        VERDICT_TIMEOUT,     /* still unmet at the deadline */
        _VERDICT_MAX,
        _VERDICT_INVALID = -22,
} Verdict;

typedef enum OnFailure {
        THEN_ABORT,    /* undo what was done and end; only before the point of no return */
        THEN_HALT,     /* stop here and call an operator */
        THEN_CONTINUE, /* report it and go on */
        _ON_FAILURE_MAX,
} OnFailure;

/* What a judge or a decision has to say. */
typedef struct Judgement {
        Verdict verdict;
        char why[1500]; /* for people: what was seen, how far it got */
        Json *learned;  /* merged into the facts of that server (judge) or of the run (decide); NULL for nothing. Only
                          * what is learned when a target settles is kept: a judge must not rely on earlier rounds. */
} Judgement;

/* Fills judgement->verdict and ->why and returns the verdict, so that a judge can end with `return judge_as(…)`. */
Verdict judge_as(Judgement *judgement, Verdict verdict, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* judgement->learned, made an object when it is NULL. */
Json *judge_learned(Judgement *judgement);

typedef bool (*step_skip_fn)(const Facts *facts);
/* Each fills a zeroed judgement; MET means decided, anything else that no decision is possible. */
typedef void (*step_decide_fn)(const Facts *facts, Judgement *judgement);
typedef void (*step_ask_fn)(const Facts *facts, const char *server, Script *script);
typedef void (*step_judge_fn)(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement);
/* seen: what the last ask brought (judged UNMET). An empty script means: nothing to do now but wait. */
typedef void (*step_act_fn)(const Facts *facts, const char *server, const Replies *seen, Script *script);

typedef struct Step {
        const char *name; /* its identity in the journal; never reused with another meaning */
        const char *goal; /* what is true when it ends, for the operator */
        Scope scope;
        Need need;
        OnFailure on_failure;
        usec_t timeout;        /* of the whole step; 0: facts config "timeouts.<name>" (in ms) or 30 s */
        step_skip_fn skip;     /* NULL: never skipped */
        step_decide_fn decide; /* decisions have this and nothing below */
        step_ask_fn ask;
        step_judge_fn judge;
        step_act_fn act;         /* NULL: the step only waits */
        bool parallel_with_next; /* the next step begins at once; both must have ended before the one after (for what may
                                  * take long and stands in nobody's way) */
        bool check; /* changes nothing; when it fails, the checks after it are made all the same, and all are told */
        bool act_first; /* acts before it asks, except in a life that took the run over: what it does must do no harm when
                         * it is done twice. seen is NULL then. */
        bool patient;   /* a server that is known to be gone is waited for until the step's time is out */
        bool act_shows; /* the replies to its act end with what the ask would bring */
        /* Steps of one number, not 0, follow one another: before the first of them acts, it is put on disk once that all of
         * them may. They are asked more often, and none outlasts the time-out of the first. */
        unsigned burst;
} Step;

typedef struct Procedure {
        const char *name;
        unsigned version; /* changes when a step changes its meaning: a resume refuses another version */
        const Step *steps;
        size_t n_steps;
        /* Before this step a failure undoes; after it only forward or halt. When it aborts itself, a failure of it undoes,
         * too: facts say "opening" then when it may have acted, and an undo step that halts has to make sure of it. */
        const char *no_return;
        const Step *undo; /* goals that restore, in order; each as best it can, unless it halts */
        size_t n_undo;
        bool back_on_resume; /* a daemon that takes the run over undoes it, unless the point of no return is passed: when
                              * that is not known, the step is asked, and not acted */
} Procedure;

const char *scope_to_string(Scope scope);
const char *verdict_to_string(Verdict verdict);
Verdict verdict_from_string(const char *name);

/* The names of a step's targets in the order of the configuration (a JSON array of strings; [""] for ON_DAEMON). */
Json *step_targets(const Step *step, const Facts *facts);
usec_t step_timeout(const Step *step, const Facts *facts);
/* Well-formed: unique names, the functions that each kind needs, no_return is a step. For start-up and tests. */
int procedure_check(const Procedure *procedure, Failure *reterr);
