/* One step over its targets. Owns the jobs and timers of the step; everything returns to target_advance(). Must never
 * send an effect that was not intended, nor settle a target by anything but the judge's word or the deadline. */
#include "fanout.h"

#include "alloc.h"
#include "text.h"

/* A step without an act, or after one, is asked again soon and then less and less often. */
#define POLL_FIRST (5 * USEC_MSEC)
#define POLL_FIRST_IN_BURST USEC_MSEC
#define POLL_MOST (250 * USEC_MSEC)
#define RETRY_FIRST (50 * USEC_MSEC)
#define RETRY_MOST USEC_SEC
#define ACT_AGAIN (500 * USEC_MSEC)
#define PROGRESS_AGAIN (500 * USEC_MSEC)
/* A server that hangs costs one script at most this long. Hooks hang nobody else and have the whole step. */
#define SCRIPT_LONGEST (10 * USEC_SEC)
#define QUIESCE_LONGEST (5 * USEC_SEC)
/* One that is known to be gone may have come back a moment ago, but nobody waits for it. */
#define LOST_PATIENCE USEC_SEC
#define LOST_LONGEST (3 * USEC_SEC)

typedef struct Target {
        Fanout *fanout;
        RunTarget *target;
        ExecJob *job; /* what is under way, NULL while waiting */
        Timer *timer; /* armed while waiting */
        bool acting;  /* the job is an effect */
        bool on_host; /* it has commands for the host */
        bool sql;     /* which its statements have, so that it may go on after the job */
        bool noisy;   /* asked although it could not be quiesced */
        bool begun;   /* asked or acted at least once */
        usec_t interval, retry;
        usec_t act_at, progress_at; /* the next ones are allowed from then on */
        Verdict seen;               /* UNMET: it was asked last and answered; UNREACHABLE: it could not be asked */
        Judgement last;
        char *act_failure; /* what the last act said when it failed: for people only */
} Target;

struct Fanout {
        Loop *loop;
        Exec *exec;
        const Run *run;
        RunStep *step;
        const FanoutCalls *calls;
        void *userdata;
        usec_t begun, deadline;
        Target *targets;
        size_t n_targets;
        bool only_ask;
        bool stopped;
};

static void target_advance(void *userdata);
static void target_judge(Target *target, const Replies *replies);
static void on_quiesced(Replies *replies, void *userdata);

static const char *target_server(const Target *target)
{
        return text_is_empty(target->target->server) ? NULL : target->target->server;
}

static usec_t grow(usec_t interval, usec_t most)
{
        interval += interval / 2;
        return interval < most ? interval : most;
}

static usec_t poll_first(const Fanout *fanout)
{
        return fanout->step->step->burst ? POLL_FIRST_IN_BURST : POLL_FIRST;
}

static bool target_is_lost(const Target *target)
{
        const Fanout *fanout = target->fanout;
        return target_server(target) && fanout->calls->is_lost(fanout->step, target_server(target), fanout->userdata);
}

static usec_t job_deadline(const Target *target, const Script *script)
{
        const Fanout *fanout = target->fanout;
        usec_t longest = usec_add(loop_now(fanout->loop), target_is_lost(target) ? LOST_LONGEST : SCRIPT_LONGEST);
        return script_has(script, SCRIPT_HOOK) || fanout->deadline < longest ? fanout->deadline : longest;
}

/* Leaves time for asking. */
static usec_t quiesce_deadline(const Target *target)
{
        const Fanout *fanout = target->fanout;
        usec_t now = loop_now(fanout->loop), half = usec_sub(fanout->deadline, now) / 2;
        usec_t longest = target_is_lost(target) ? LOST_PATIENCE : QUIESCE_LONGEST;
        return usec_add(now, half < longest ? half : longest);
}

static void target_set_unsure(Target *target, bool unsure)
{
        Fanout *fanout = target->fanout;
        if (target_server(target))
                fanout->calls->set_unsure(target_server(target), unsure, fanout->userdata);
}

static void target_remember(Target *target, Judgement *judgement)
{
        json_free(target->last.learned);
        target->last = *judgement;
        *judgement = (Judgement){ 0 };
}

/* Ends */

static void target_settle(Target *target, Verdict verdict)
{
        Fanout *fanout = target->fanout;
        Text why = { 0 };
        text_add(&why, target->last.why);
        if (verdict != VERDICT_MET && target->act_failure)
                text_addf(&why, "%s%s", why.length ? "; the last attempt: " : "", target->act_failure);
        CLEANUP(mem_free) char *said = text_take(&why);
        int r = fanout->calls->settle(fanout->step, target->target, verdict, said, target->last.learned,
                                      fanout->userdata);
        if (r < 0)
                fanout_stop(fanout);
}

static void target_progress(Target *target)
{
        Fanout *fanout = target->fanout;
        usec_t now = loop_now(fanout->loop);
        if (now < target->progress_at)
                return;
        target->progress_at = usec_add(now, PROGRESS_AGAIN);
        fanout->calls->progress(fanout->step, target->target, target->seen, target->last.why, fanout->userdata);
}

static void target_wait(Target *target, usec_t delay)
{
        usec_t at = usec_add(loop_now(target->fanout->loop), delay);
        timer_set(target->timer, at < target->fanout->deadline ? at : target->fanout->deadline);
}

/* It could not be asked: nothing is known about it now. */
static void target_missed(Target *target, const Failure *failure)
{
        Fanout *fanout = target->fanout;
        /* Our own deadline has cut a question short that waits in the server: what was seen before stands. */
        if (failure->kind == FAILURE_TIMEOUT && target->seen == VERDICT_UNMET &&
            loop_now(fanout->loop) >= fanout->deadline) {
                target_wait(target, 0);
                return;
        }
        Judgement nothing = { 0 };
        judge_as(&nothing, VERDICT_UNREACHABLE, "%s", failure->text);
        target_remember(target, &nothing);
        target->seen = VERDICT_UNREACHABLE;
        target_progress(target);
        target_wait(target, target->retry);
        target->retry = grow(target->retry, RETRY_MOST);
}

/* Acting */

/* The end of an act's replies, when that is what the ask would bring. */
static bool target_is_shown(Target *target, const Replies *replies)
{
        Fanout *fanout = target->fanout;
        CLEANUP(script_done) Script script = { 0 };
        if (!fanout->step->step->act_shows || replies->failure.kind != FAILURE_NONE)
                return false;
        fanout->step->step->ask(&fanout->run->facts, target_server(target), &script);
        size_t n = script.n_items;
        if (n == 0 || n > replies->n_items)
                return false;
        const Replies shown = { .items = replies->items + (replies->n_items - n), .n_items = n };
        target_judge(target, &shown);
        return true;
}

/* Of a script that ended well, what was allowed to fail: when the goal is not reached, that may be why. */
static const char *what_failed(const Replies *replies)
{
        const Failure *failure = &replies->failure;
        for (size_t i = 0; failure->kind == FAILURE_NONE && i < replies->n_items; i++)
                failure = &replies->items[i].failure;
        return failure->kind == FAILURE_NONE ? NULL : failure->text;
}

static void on_acted(Replies *replies, void *userdata)
{
        Target *target = userdata;
        target->job = NULL;
        target->acting = false;
        if (target->fanout->stopped) {
                replies_free(replies);
                target->fanout->calls->acted(target->fanout->userdata);
                return;
        }
        const Failure *failure = &replies->failure;
        free(target->act_failure);
        target->act_failure = alloc_string(what_failed(replies));
        if (failure->kind != FAILURE_NONE) {
                /* Unless the server itself refused it, it may still be at work. */
                bool refused = failure->kind == FAILURE_SQL && (failure->code < 2000 || failure->code > 2999);
                if (target->sql && !refused && failure->kind != FAILURE_EXIT)
                        target_set_unsure(target, true);
        }
        target->interval = poll_first(target->fanout);
        if (!target_is_shown(target, replies))
                target_advance(target);
        replies_free(replies);
}

static int target_intend(Target *target, const Script *script)
{
        Fanout *fanout = target->fanout;
        CLEANUP(json_free) Json *json = script_to_json(script);
        CLEANUP(mem_free) char *text = json_print(json);
        if (text_equal(text, target->target->intent))
                return 0;
        int r = fanout->calls->intend(fanout->step, target->target, script, fanout->userdata);
        if (r < 0)
                fanout_stop(fanout);
        return r;
}

/* False when there is nothing to do now but wait. */
static bool target_act(Target *target, const Replies *seen)
{
        Fanout *fanout = target->fanout;
        usec_t now = loop_now(fanout->loop);
        if (!fanout->step->step->act || fanout->only_ask || now < target->act_at || now >= fanout->deadline)
                return false;
        CLEANUP(script_done) Script script = { 0 };
        fanout->step->step->act(&fanout->run->facts, target_server(target), seen, &script);
        if (script_is_empty(&script))
                return false;
        if (target_intend(target, &script) < 0)
                return true;
        target->act_at = usec_add(now, ACT_AGAIN);
        target->acting = true;
        target->sql = script_has(&script, SCRIPT_SQL);
        target->on_host = script_has(&script, SCRIPT_SSH);
        free(target->act_failure);
        target->act_failure = NULL;
        target->job = exec_run(fanout->exec, target_server(target), fanout->run->id, &script,
                               job_deadline(target, &script), on_acted, target);
        return true;
}

/* Asking */

static void target_judge(Target *target, const Replies *replies)
{
        Fanout *fanout = target->fanout;
        Judgement judgement = { 0 };
        fanout->step->step->judge(&fanout->run->facts, target_server(target), replies, &judgement);
        Verdict verdict = judgement.verdict;
        target_remember(target, &judgement);
        target->seen = verdict == VERDICT_UNREACHABLE ? VERDICT_UNREACHABLE : VERDICT_UNMET;
        target->retry = RETRY_FIRST;
        if (verdict == VERDICT_MET || verdict == VERDICT_HOPELESS) {
                target_settle(target, verdict);
                return;
        }
        if (target->seen == VERDICT_UNMET && fanout->only_ask) {
                target_settle(target, VERDICT_UNMET);
                return;
        }
        target_progress(target);
        if (target->seen == VERDICT_UNMET && target_act(target, replies))
                return;
        target_wait(target, target->interval);
        target->interval = grow(target->interval, POLL_MOST);
}

static bool any_sql_answer(const Replies *replies)
{
        for (size_t i = 0; i < replies->n_items; i++)
                if (reply_succeeded(&replies->items[i]) && replies->items[i].n_columns)
                        return true;
        return false;
}

static void on_asked(Replies *replies, void *userdata)
{
        static const Failure not_quiet = { FAILURE_SQL, 0, "its statements of a former attempt could not be ended" };
        Target *target = userdata;
        bool hook = target->acting, noisy = target->noisy;
        target->job = NULL;
        target->acting = target->noisy = false;
        /* An exit status is an answer, and of a hook any failure is. */
        FailureKind kind = replies->failure.kind;
        if (kind != FAILURE_NONE && kind != FAILURE_EXIT && !hook)
                target_missed(target, &replies->failure);
        else if (noisy && any_sql_answer(replies))
                target_missed(target, &not_quiet);
        else
                target_judge(target, replies);
        replies_free(replies);
}

/* Statements of a former attempt, or of a daemon that died, may still change what SQL would say; not what a host says. */
static bool target_quiesce(Target *target, const Script *script)
{
        Fanout *fanout = target->fanout;
        const char *server = target_server(target);
        if (!server || target->noisy || !script_has(script, SCRIPT_SQL) ||
            !fanout->calls->is_unsure(server, fanout->userdata))
                return false;
        target->job =
                exec_quiesce(fanout->exec, server, fanout->run->id, quiesce_deadline(target), on_quiesced, target);
        return true;
}

/* It acts unasked where nothing of ours can be on its way. */
static bool target_acts_first(Target *target)
{
        Fanout *fanout = target->fanout;
        const char *server = target_server(target);
        return fanout->step->step->act_first && !target->begun &&
               !(server && fanout->calls->is_unsure(server, fanout->userdata)) && target_act(target, NULL);
}

static void target_ask(Target *target)
{
        Fanout *fanout = target->fanout;
        CLEANUP(script_done) Script script = { 0 };
        if (target_acts_first(target)) {
                target->begun = true;
                return;
        }
        target->begun = true;
        fanout->step->step->ask(&fanout->run->facts, target_server(target), &script);
        if (script_is_empty(&script)) {
                static const Replies nothing;
                target_judge(target, &nothing);
                return;
        }
        if (target_quiesce(target, &script))
                return;
        /* A hook that is asked is an effect all the same. */
        target->acting = script_has(&script, SCRIPT_HOOK);
        target->sql = target->on_host = false;
        if (target->acting && target_intend(target, &script) < 0)
                return;
        target->job = exec_run(fanout->exec, target_server(target), fanout->run->id, &script,
                               job_deadline(target, &script), on_asked, target);
}

/* What cannot be quiesced is asked all the same, as it may be dead for good: but what its SQL says may not last, and
 * when that can be asked, it can soon be quiesced. */
static void on_quiesced(Replies *replies, void *userdata)
{
        Target *target = userdata;
        target->job = NULL;
        target->noisy = replies->failure.kind != FAILURE_NONE;
        if (!target->noisy)
                target_set_unsure(target, false);
        replies_free(replies);
        target_ask(target);
}

static void target_give_up(Target *target, const char *why)
{
        Judgement judgement = { 0 };
        judge_as(&judgement, VERDICT_UNREACHABLE, "%s", why);
        target_remember(target, &judgement);
        target_settle(target, VERDICT_UNREACHABLE);
}

static void target_advance(void *userdata)
{
        Target *target = userdata;
        const Fanout *fanout = target->fanout;
        usec_t now = loop_now(fanout->loop);
        target->noisy = false;
        if (run_is_lost(fanout->run, target->target->server))
                target_give_up(target, "it does not answer any more");
        else if (target->begun && target->seen == VERDICT_UNREACHABLE && target_is_lost(target) &&
                 now >= usec_add(fanout->begun, LOST_PATIENCE))
                target_settle(target, VERDICT_UNREACHABLE);
        else if (now >= fanout->deadline)
                target_settle(target, target->seen == VERDICT_UNMET ? VERDICT_TIMEOUT : VERDICT_UNREACHABLE);
        else
                target_ask(target);
}

/* The whole */

Fanout *fanout_new(Loop *loop, Exec *exec, const Run *run, RunStep *step, const FanoutSettings *settings,
                   const FanoutCalls *calls, void *userdata)
{
        Fanout *fanout = ALLOC(Fanout);
        *fanout =
                (Fanout){ .loop = loop, .exec = exec, .run = run, .step = step, .calls = calls, .userdata = userdata };
        fanout->begun = loop_now(loop);
        usec_t deadline = usec_add(fanout->begun, step_timeout(step->step, &run->facts));
        fanout->deadline = deadline < settings->by ? deadline : settings->by;
        fanout->only_ask = settings->only_ask;
        fanout->targets = ALLOC_ARRAY(Target, step->n_targets);
        for (size_t i = 0; i < step->n_targets; i++) {
                if (step->targets[i].settled)
                        continue;
                Target *target = &fanout->targets[fanout->n_targets++];
                *target = (Target){ .fanout = fanout, .target = &step->targets[i], .seen = VERDICT_UNREACHABLE };
                target->interval = poll_first(fanout);
                target->retry = RETRY_FIRST;
                target->timer = timer_new(loop, USEC_MSEC, target_advance, target);
                judge_as(&target->last, VERDICT_UNREACHABLE, "there was no time to ask it");
        }
        return fanout;
}

void fanout_start(Fanout *fanout)
{
        for (size_t i = 0; i < fanout->n_targets && !fanout->stopped; i++)
                target_advance(&fanout->targets[i]);
}

static void target_stop(Target *target, bool leave_commands)
{
        timer_stop(target->timer);
        if (!target->job || (leave_commands && target->acting && target->on_host))
                return;
        if (target->acting && target->sql)
                target_set_unsure(target, true);
        exec_abandon(TAKE(target->job));
}

static void stop(Fanout *fanout, bool leave_commands)
{
        fanout->stopped = true;
        for (size_t i = 0; i < fanout->n_targets; i++)
                target_stop(&fanout->targets[i], leave_commands);
}

void fanout_give_up(Fanout *fanout, const char *server, const char *why)
{
        for (size_t i = 0; i < fanout->n_targets && !fanout->stopped; i++) {
                Target *target = &fanout->targets[i];
                if (target->target->settled || !text_equal(target->target->server, server))
                        continue;
                target_stop(target, false);
                target_give_up(target, why);
        }
}

void fanout_stop(Fanout *fanout)
{
        stop(fanout, false);
}

void fanout_wind_down(Fanout *fanout)
{
        stop(fanout, true);
}

bool fanout_is_idle(const Fanout *fanout)
{
        for (size_t i = 0; i < fanout->n_targets; i++)
                if (fanout->targets[i].job)
                        return false;
        return fanout->stopped;
}

Fanout *fanout_free(Fanout *fanout)
{
        if (!fanout)
                return NULL;
        fanout_stop(fanout);
        for (size_t i = 0; i < fanout->n_targets; i++) {
                timer_free(fanout->targets[i].timer);
                json_free(fanout->targets[i].last.learned);
                free(fanout->targets[i].act_failure);
        }
        free(fanout->targets);
        free(fanout);
        return NULL;
}
