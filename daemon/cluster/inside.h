/* What the files of a cluster share; nobody outside this folder includes it. */
#pragma once

#include "cluster.h"
#include "log.h"
#include "runbook.h"
#include "state.h"
#include "topology.h"
#include "verdict.h"
#include "watch.h"
#include "witness.h"

typedef struct PlanRequest PlanRequest;
typedef struct Mail Mail;
typedef struct Telling Telling;
typedef struct CheckRequest CheckRequest;
typedef struct Scripts Scripts;

typedef struct Saved Saved;

typedef struct FenceSlot {
        Cluster *cluster;
        ExecJob *job;
        usec_t at;   /* when it was begun; 0: never */
        bool tried;  /* to attach it, since it is back */
        bool closes; /* the job is about more than the address */
        bool bare;   /* its host has lost the address, since it is back */
        bool held;   /* it was seen read-only, since it is back */
} FenceSlot;

/* An attempt to undo what a switchover has left on its old primary. */
typedef struct Unfinished {
        Cluster *cluster;
        ExecJob *job; /* NULL: none is under way */
        Facts facts;
        size_t row; /* of the switchover's undo */
        bool acted;
        usec_t again; /* not before */
} Unfinished;

struct Cluster {
        ClusterContext context;
        ClusterConfig *config;
        char *directory; /* of its state, journal and reports */
        State state;
        bool identities_unsaved; /* they are in it, and not on disk yet */
        Journal *journal;
        SshIdentity *identity;
        Exec *exec;
        Watch **watches; /* one a configured server, in its order */
        Witnesses *witnesses;
        Scripts *scripts;
        Timer *evaluation; /* soon, after something changed */
        Timer *slow;       /* now and then, for what only time changes */

        ClusterState now;
        usec_t since_real;
        bool settled;       /* everybody was asked once */
        usec_t fresh_after; /* what was seen before counts for nothing: a run has changed it */
        Topology topology;
        Problem *told_problems; /* what was logged, to log only news */
        size_t n_told_problems;
        char *told_held;  /* why it is held, as logged */
        char *told_purge; /* why a purge that is due waits, as logged */

        /* Suspicion. */
        ssize_t suspect; /* whom it is about */
        usec_t suspected_at, suspected_real, last_good_real;
        usec_t gone_since;     /* neither answers nor stalls; 0: it does */
        const VerdictRow *row; /* of the last conclusion */
        usec_t row_since;
        char *row_text; /* the evidence in words */
        usec_t lost_at; /* as suspected_at, or earlier: storm_count() */
        bool unanimous; /* everybody who could be asked cannot reach it */

        /* Run. */
        Runbook *runbook;
        bool resume_pending;
        usec_t resume_by;
        bool run_opened;
        char *run_old;
        char *run_new;   /* whom a run that cannot be read has told to take writes */
        usec_t retry_at; /* after an aborted run: not before */
        unsigned n_aborted;
        Telling *tellings;   /* report hooks that are under way */
        Mail *mails;         /* under way */
        Runbook *background; /* what is done while the cluster is watched; NULL: nothing */
        Journal *background_journal;
        bool background_stands; /* its journal cannot be written: it goes on when it can */
        bool background_over;   /* then it is ended: another run has changed what it was about */

        /* Returned old primaries. */
        FenceSlot *fence_slots; /* one a server */

        Unfinished unfinished;

        PlanRequest *plans;
        CheckRequest *checks;
        Saved *saved; /* logs */
};

LogFields cluster_fields(const Cluster *cluster, const char *server);
const char *cluster_primary_name(const Cluster *cluster); /* NULL when it is not known */
ssize_t cluster_find(const Cluster *cluster, const char *server);
/* Whether two servers (or observers, counted on after them) are on one host. */
bool cluster_same_host(const Cluster *cluster, size_t a, size_t b);
void cluster_transition(Cluster *cluster, ClusterEvent event, const char *detail);
void cluster_evaluate_soon(Cluster *cluster);
/* As the servers are seen now; a lag of max_lag seconds or more is a problem (0: never). Ends with topology_done(). */
Topology cluster_topology(const Cluster *cluster, int64_t max_lag);
/* Since the last run. */
bool cluster_everybody_was_asked(const Cluster *cluster);
void cluster_save(Cluster *cluster);
void cluster_hurry(Cluster *cluster, bool on);

/* suspect.c */
void suspect_begin(Cluster *cluster);
void suspect_judge(Cluster *cluster);
void suspect_end(Cluster *cluster);
GuardReasons suspect_guards(const Cluster *cluster, bool with_candidate);
bool cluster_is_paused(const Cluster *cluster);
void pause_watch(Cluster *cluster); /* ends one that is over */

/* scripts.c: what can be run, and MHA's scripts outside of runs. */
#define SCRIPTS_MAX_HOOKS 12
size_t scripts_hooks(const HooksConfig *config, ExecHook ret[SCRIPTS_MAX_HOOKS]); /* lent from config; how many */
Scripts *scripts_new(Cluster *cluster);
Scripts *scripts_free(Scripts *scripts);
void scripts_ask(Scripts *scripts); /* secondary_check_script, again and again until told to rest */
void scripts_rest(Scripts *scripts);
bool scripts_witness(const Scripts *scripts, Witness *ret); /* what it says; false when there is none */
bool scripts_are_asked(const Scripts *scripts);             /* nothing is known of it yet */
/* Why it forbids a failover, as any status but 0 does; NULL when it does not. */
const char *scripts_veto(const Scripts *scripts);
void scripts_check_status(Scripts *scripts);                /* their status commands, once for each primary */
/* What is wrong with them, for an operator; "" when nothing is, NULL when there are none or they have not ended. */
const char *scripts_status(const Scripts *scripts);

/* runs.c */
Facts runs_facts(const Cluster *cluster, const char *old_primary, const Json *options, const char *procedure);
int runs_failover(Cluster *cluster, const Json *options, Failure *reterr);
int runs_switchover(Cluster *cluster, const Json *options, Failure *reterr);
void runs_watch(Cluster *cluster);  /* what the watches mean for the run under way */
void runs_resume(Cluster *cluster); /* when it is time */
void runs_settle(Cluster *cluster); /* the cluster is steady */
int runs_open_journal(Cluster *cluster, Failure *reterr);
void runs_report(Cluster *cluster, const Json *run, const Facts *facts, RunOutcome outcome);
void runs_done(Cluster *cluster); /* frees what belongs to runs */
/* Who would be promoted now: {"candidate", "why", "blockers"}; the caller frees it. */
Json *runs_if_primary_died(const Cluster *cluster);

/* past.c */
/* Writes it, says so, and gives it to the callee. */
Json *past_keep_report(Cluster *cluster, const Json *run, const Facts *facts, RunOutcome outcome);
void past_forget(Cluster *cluster); /* reports of runs that are in no journal any more */

/* background.c */
int background_open(Cluster *cluster,
                    Failure *reterr); /* and goes on with what the last daemon left, or tells its end */
/* After a failover: attaches replicas that it left behind, if there are any. */
void background_attach(Cluster *cluster, const Facts *facts, const Json *run);
/* Whether an order about a server may begin: what a failover left to be done for others gives way, and nothing else. */
int background_check(Cluster *cluster, const char *server, Failure *reterr);
bool background_may_begin(const Cluster *cluster); /* the same for any server */
/* A former primary is back. To be checked before; so for a purge. */
int background_rejoin(Cluster *cluster, const char *server, const char *by, Failure *reterr);
int background_purge(Cluster *cluster, const char *server, const char *by, Failure *reterr);
/* Keeps what a rejoin will want to know. The caller saves the state. */
void background_note_returning(Cluster *cluster, const Facts *facts);
/* Since it follows the primary, what is on record of it is about another log: it proves nothing any more. */
void background_forget_returning(Cluster *cluster, const char *server);
/* Another run begins: what a failover left to be done waits, and goes on when that comes to nothing; all else ends. */
void background_pause(Cluster *cluster, const char *why);
/* Whom an earlier failover has left behind and nothing has attached since: left out of this one, too, not forgotten. */
void background_add_left_behind(Cluster *cluster, Facts *facts);
void background_drop(Cluster *cluster); /* that run has replaced the primary: nothing waits for it any more */
/* Now and then: goes on with what stands still or has given way, and does without servers that are gone. */
void background_watch(Cluster *cluster);
/* Whether an operator's word can be given to it: 1; 0 when nothing is left to do, as it had given way. REFUSAL_NO_RUN when
 * there is nothing, REFUSAL_TOO_LATE for a rejoin that has attached its server. */
int background_check_order(Cluster *cluster, const char *what, const char *by, Failure *reterr);
void background_done(Cluster *cluster);

/* saved.c */
void saved_open(Cluster *cluster);
void saved_run_ended(Cluster *cluster); /* old ones may have to go */
void saved_done(Cluster *cluster);

/* answers.c */
void cluster_purge_when_due(Cluster *cluster);
Json *cluster_holds(const Cluster *cluster); /* why there would be no failover by itself: sentences; the caller frees it */
void answers_done(Cluster *cluster);

/* mail.c */
void mail_report(Cluster *cluster, const Json *report); /* no-op without mail.to */
void mail_done(Cluster *cluster);

/* downtime.c */
bool downtime_holds(const Cluster *cluster, const char *server);
bool downtime_is_for_good(const Cluster *cluster, const char *server); /* nobody has said until when */
Json *downtime_json(const Cluster *cluster, const char *server); /* NULL when it counts; the caller frees it */
char *downtime_why(const Cluster *cluster, const char *server);  /* the same in words */
void downtime_watch(Cluster *cluster);                           /* ends what is over */
/* One that was a dead primary, and was taken out before that time, counts again. */
void downtime_rejoined(Cluster *cluster, const char *server, usec_t at);
void downtime_remove_dead(Cluster *cluster, const char *server, const char *run); /* does not save */

/* fenced.c */
void fenced_add(Cluster *cluster, const char *server);
void fenced_remove(Cluster *cluster, const char *server); /* and saves the state, in any case */
void fenced_pardon(Cluster *cluster);                     /* one that people have made the primary again */
void fenced_watch(Cluster *cluster);
void fenced_done(Cluster *cluster);

/* unfinished.c */
void unfinished_note(Cluster *cluster, const Json *run); /* of a switchover that was undone; does not save */
void unfinished_watch(Cluster *cluster);
void unfinished_stop(Cluster *cluster); /* until it is watched again */
