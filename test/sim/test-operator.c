/* What an operator sees of a run and may do to it: plan, status, retry, override, abandon, cancel; and what the engine
 * refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "exam.h"
#include "run.h"
#include "text.h"

typedef struct World {
        Sim *sim;
        Exec *exec;
        Journal *journal;
        Runbook *runbook;
        char *directory, *path;
        unsigned n_done, n_scripts;
        RunOutcome outcome;
        char why[300];
        Text events;
        unsigned n_progress; /* of the drain */
        Json *plan;
        Procedure procedure; /* a copy, to be changed */
        Timer *timer;
        const char *losing, *lost; /* in which step which server dies */
        bool no_event_now;         /* a call is under way that must not call back */
        const char *fills;         /* the disk is full after this statement */
} World;

static void on_done(Runbook *runbook, RunOutcome outcome, const char *why, void *userdata)
{
        World *world = userdata;
        assert_false(world->no_event_now);
        world->n_done++;
        world->outcome = outcome;
        strncpy(world->why, why, sizeof world->why - 1);
        loop_exit(world->sim->loop, 0);
}

static void on_event(const RunEvent *event, void *userdata)
{
        static const char *const names[] = {
                [RUN_EVENT_STEP_STARTED] = "+", [RUN_EVENT_PROGRESS] = "~",   [RUN_EVENT_TARGET_SETTLED] = "=",
                [RUN_EVENT_STEP_SKIPPED] = "/", [RUN_EVENT_STEP_ENDED] = ".", [RUN_EVENT_DECIDED] = "!",
                [RUN_EVENT_UNDOING] = "<",
        };
        World *world = userdata;
        assert_false(world->no_event_now);
        if (event->kind == RUN_EVENT_PROGRESS)
                world->n_progress += text_equal(event->step->name, "drain");
        if (event->kind == RUN_EVENT_PROGRESS || event->kind == RUN_EVENT_TARGET_SETTLED)
                return;
        text_addf(&world->events, "%s%s%zu/%zu ", names[event->kind], event->step ? event->step->name : "",
                  event->number, event->total);
}

static void limit_files(rlim_t length)
{
        struct rlimit limit;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = length;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool on_script(const char *server, const Script *script, void *userdata)
{
        World *world = userdata;
        struct stat status;
        world->n_scripts++;
        if (world->fills && text_equal(script->items[0].text, world->fills)) {
                signal(SIGXFSZ, SIG_IGN);
                assert_int_equal(stat(world->path, &status), 0);
                limit_files((rlim_t) status.st_size);
        }
        return true;
}

static int setup(void **state)
{
        World *world = ALLOC(World);
        char template[] = "/tmp/mhad-operator-XXXXXX";
        world->directory = alloc_string(mkdtemp(template));
        world->path = text_format("%s/journal", world->directory);
        world->sim = sim_new(1);
        exam_world(world->sim);
        exam_life = 1;
        world->sim->watch = on_script;
        world->sim->userdata = world;
        world->exec = sim_exec_new(world->sim);
        world->procedure = exam;
        assert_int_equal(journal_open(world->path, "app1", &world->journal, NULL), 0);
        world->runbook =
                runbook_new(world->sim->loop, world->exec, world->journal, &world->procedure, on_event, on_done, world);
        *state = world;
        return 0;
}

static int teardown(void **state)
{
        World *world = *state;
        runbook_free(world->runbook);
        sim_exec_free(world->exec);
        journal_free(world->journal);
        sim_free(world->sim);
        unlink(world->path);
        CLEANUP(mem_free) char *lock = text_format("%s.lock", world->path);
        unlink(lock);
        rmdir(world->directory);
        text_done(&world->events);
        json_free(world->plan);
        free(world->directory);
        free(world->path);
        free(world);
        return 0;
}

static void begin(World *world)
{
        world->no_event_now = true;
        assert_int_equal(runbook_begin(world->runbook, exam_facts(), NULL), 0);
        world->no_event_now = false;
        assert_int_equal(world->n_scripts, 0);
}

/* Until it ends or halts. */
static void run(World *world, RunOutcome outcome)
{
        unsigned before = world->n_done;
        assert_int_equal(loop_run(world->sim->loop), 0);
        assert_int_equal(world->n_done, before + 1);
        if (world->outcome != outcome)
                fail_msg("%s: %s", run_outcome_to_string(world->outcome), world->why);
}

/* The engine anew, as after a restart. */
static void restart(World *world)
{
        world->runbook = runbook_free(world->runbook);
        world->journal = journal_free(world->journal);
        assert_int_equal(journal_open(world->path, "app1", &world->journal, NULL), 0);
        world->runbook =
                runbook_new(world->sim->loop, world->exec, world->journal, &world->procedure, on_event, on_done, world);
}

static void refuse_opening(World *world)
{
        for (size_t i = 1; i < world->sim->n_servers; i++)
                json_set_int(world->sim->servers[i].state, "refuse", 1000);
}

static void allow_opening(World *world)
{
        for (size_t i = 1; i < world->sim->n_servers; i++)
                json_set_int(world->sim->servers[i].state, "refuse", 0);
}

static int count(const Json *record, void *userdata)
{
        const Json *kinds = userdata;
        const char *kind = json_get_string(record, "kind");
        json_set_int((Json *) kinds, kind, json_get_int(kinds, kind, 0) + 1);
        return 0;
}

static int64_t records_of(World *world, const char *kind)
{
        CLEANUP(json_free) Json *kinds = json_object();
        assert_int_equal(journal_replay(world->journal, NULL, count, kinds), 0);
        return json_get_int(kinds, kind, 0);
}

static void assert_says(const Failure *failure, const char *words)
{
        assert_int_equal(failure->kind, FAILURE_INVALID);
        if (!strstr(failure->text, words))
                fail_msg("'%s' does not say '%s'", failure->text, words);
}

static void test_a_run(void **state)
{
        World *world = *state;
        begin(world);
        run(world, RUN_COMPLETED);
        assert_string_equal(world->events.data,
                            "+confirm1/9 !confirm1/9 .confirm1/9 +fence2/9 /address3/9 +stop4/9 .fence2/9 .stop4/9 "
                            "+choose5/9 !choose5/9 .choose5/9 /hook6/9 +drain7/9 .drain7/9 +open8/9 .open8/9 "
                            "+follow9/9 .follow9/9 ");
        assert_null(journal_open_run(world->journal));
        assert_string_equal(runbook_id(world->runbook), "r1");
        assert_int_equal(records_of(world, "intent"), 7); /* fence, stop three, open, follow two */
        assert_int_equal(records_of(world, "settled"), 8);
        assert_int_equal(records_of(world, "decided"), 2);
}

static const Json *step_of(const Json *described, const char *name)
{
        JSON_FOREACH(step, json_get(described, "steps"))
        {
                if (text_equal(json_get_string(step, "name"), name))
                        return step;
        }
        fail_msg("no step %s", name);
        return NULL;
}

static void assert_step(const Json *described, const char *name, const char *wanted)
{
        assert_string_equal(json_get_string(step_of(described, name), "state"), wanted);
}

static void test_status_of_a_halted_run(void **state)
{
        World *world = *state;
        refuse_opening(world);
        begin(world);
        run(world, RUN_HALTED);
        assert_string_equal(world->why, "open on db3: timeout: writable is 0; the last attempt: lock wait timeout "
                                        "exceeded");
        CLEANUP(json_free) Json *status = runbook_describe(world->runbook);
        assert_string_equal(json_get_string(status, "state"), "halted");
        assert_string_equal(json_get_string(status, "why"), world->why);
        assert_string_equal(json_get_string(status, "step"), "open");
        assert_int_equal(json_get_int(status, "number", 0), 8);
        assert_int_equal(json_get_int(status, "total", 0), 9);
        assert_true(json_get_bool(status, "no_return_passed", false));
        assert_step(status, "fence", "done");
        assert_step(status, "address", "skipped");
        assert_step(status, "open", "failed");
        assert_step(status, "follow", "pending");
        const Json *target = json_get(json_get(step_of(status, "open"), "targets"), "db3");
        assert_string_equal(json_get_string(target, "verdict"), "timeout");
        assert_true(json_get_int(step_of(status, "open"), "ended", 0) -
                            json_get_int(step_of(status, "open"), "started", 0) >=
                    20000000);
        assert_string_equal(journal_open_run(world->journal), "r1");
        assert_int_equal(records_of(world, "intent"), 5); /* an act that is repeated was intended once */
}

static void test_no_return(void **state)
{
        World *world = *state;
        Failure failure = { 0 };
        refuse_opening(world);
        begin(world);
        run(world, RUN_HALTED);
        assert_true(runbook_cancel(world->runbook, "me", "no", &failure) < 0);
        assert_says(&failure, "passed its point of no return");
        assert_int_equal(records_of(world, "undoing"), 0);
        /* Halted it stays, also over a restart. */
        restart(world);
        assert_int_equal(runbook_resume(world->runbook, NULL), 0);
        unsigned before = world->n_scripts;
        run(world, RUN_HALTED);
        assert_int_equal(world->n_scripts, before);
        assert_int_equal(records_of(world, "halted"), 1);
}

static void test_retry(void **state)
{
        World *world = *state;
        Failure failure = { 0 };
        assert_true(runbook_retry(world->runbook, "me", &failure) < 0);
        assert_says(&failure, "not halted");
        refuse_opening(world);
        begin(world);
        assert_true(runbook_retry(world->runbook, "me", &failure) < 0);
        run(world, RUN_HALTED);
        allow_opening(world);
        assert_int_equal(runbook_retry(world->runbook, "me", &failure), 0);
        run(world, RUN_COMPLETED);
        assert_int_equal(records_of(world, "retry"), 1);
        assert_true(runbook_retry(world->runbook, "me", &failure) < 0);
}

static void hold(World *world)
{
        begin(world);
        sim_pass(world->sim, 4 * USEC_MSEC);
        restart(world);
        CLEANUP(json_free) Json *learned = json_object();
        json_set_bool(learned, "doubtful", true);
        assert_int_equal(runbook_resume_halted(world->runbook, "it is doubtful", learned, NULL), 0);
        unsigned before = world->n_scripts;
        run(world, RUN_HALTED);
        assert_int_equal(world->n_scripts, before);
        assert_string_equal(world->why, "it is doubtful");
        /* Halted it stays, also over a restart, and what was learned is known. */
        restart(world);
        assert_int_equal(runbook_resume(world->runbook, NULL), 0);
        run(world, RUN_HALTED);
        assert_int_equal(world->n_scripts, before);
        assert_string_equal(world->why, "it is doubtful");
        assert_true(json_get_bool(runbook_facts(world->runbook)->root, "doubtful", false));
        assert_true(runbook_override(world->runbook, "db3", VERDICT_MET, "me", "", NULL) < 0);
}

static void test_resumed_halted(void **state)
{
        World *world = *state;
        hold(world);
        assert_int_equal(runbook_retry(world->runbook, "me", NULL), 0);
        run(world, RUN_COMPLETED);
}

static void test_resumed_halted_and_cancelled(void **state)
{
        World *world = *state;
        hold(world);
        assert_int_equal(runbook_cancel(world->runbook, "me", "no", NULL), 0);
        run(world, RUN_ABORTED);
        assert_int_equal(json_get_int(sim_find(world->sim, "db1")->state, "writable", -1), 1);
}

static void test_resumed_halted_and_abandoned(void **state)
{
        World *world = *state;
        hold(world);
        unsigned before = world->n_scripts;
        assert_int_equal(runbook_abandon(world->runbook, "me", "no", NULL), 0);
        run(world, RUN_ABORTED);
        assert_int_equal(world->n_scripts, before);
}

/* What cannot be put on record halts it, and an order that is refused then does not stand in the way of another. */
static void test_full_disk(void **state)
{
        World *world = *state;
        Failure failure = { 0 };
        world->fills = "OPEN";
        begin(world);
        run(world, RUN_HALTED);
        assert_non_null(strstr(world->why, "cannot write the journal"));
        limit_files(RLIM_INFINITY);
        world->fills = NULL;
        assert_true(runbook_cancel(world->runbook, "me", "no", &failure) < 0);
        assert_says(&failure, "passed its point of no return");
        assert_true(runbook_override(world->runbook, "db2", VERDICT_MET, "me", "", &failure) < 0);
        assert_says(&failure, "does not wait for db2");
        assert_true(runbook_lose(world->runbook, "db3", "it is dead", &failure) < 0);
        assert_int_equal(runbook_retry(world->runbook, "me", &failure), 0);
        assert_true(runbook_retry(world->runbook, "me", &failure) < 0);
        run(world, RUN_COMPLETED);
        assert_int_equal(records_of(world, "halted"), 0);
}

static int find_override(const Json *record, void *userdata)
{
        const Json *data = json_get(record, "data");
        if (text_equal(json_get_string(record, "kind"), "settled") && json_has(data, "by"))
                json_merge(userdata, data);
        return 0;
}

static void test_override(void **state)
{
        World *world = *state;
        Failure failure = { 0 };
        refuse_opening(world);
        begin(world);
        run(world, RUN_HALTED);
        assert_true(runbook_override(world->runbook, "db2", VERDICT_MET, "me", "", &failure) < 0);
        assert_says(&failure, "does not wait for db2");
        assert_true(runbook_override(world->runbook, "db3", VERDICT_UNMET, "me", "", &failure) < 0);
        assert_says(&failure, "cannot be settled as unmet");
        /* Another bad verdict changes nothing. */
        assert_int_equal(runbook_override(world->runbook, "db3", VERDICT_HOPELESS, "me", "broken", &failure), 0);
        run(world, RUN_HALTED);
        assert_string_equal(world->why, "open on db3: hopeless: broken");
        json_set_int(sim_find(world->sim, "db3")->state, "writable", 1); /* by hand */
        assert_int_equal(runbook_override(world->runbook, "db3", VERDICT_MET, "me", "by hand", &failure), 0);
        run(world, RUN_COMPLETED);
        CLEANUP(json_free) Json *found = json_object();
        journal_replay(world->journal, NULL, find_override, found);
        assert_string_equal(json_get_string(found, "by"), "me");
        assert_string_equal(json_get_string(found, "why"), "by hand");
}

static void test_abandon(void **state)
{
        World *world = *state;
        refuse_opening(world);
        begin(world);
        run(world, RUN_HALTED);
        assert_int_equal(runbook_abandon(world->runbook, "me", "later", NULL), 0);
        run(world, RUN_ABORTED);
        assert_string_equal(world->why, "later");
        assert_null(journal_open_run(world->journal));
        assert_int_equal(json_get_int(sim_find(world->sim, "db1")->state, "writable", -1), 0); /* nothing undone */
}

static void cancel(void *userdata)
{
        World *world = userdata;
        assert_int_equal(runbook_cancel(world->runbook, "me", "a mistake", NULL), 0);
}

static void test_cancel(void **state)
{
        World *world = *state;
        begin(world);
        Timer *timer = timer_new(world->sim->loop, 0, cancel, world);
        timer_set_in(timer, 4 * USEC_MSEC);
        run(world, RUN_ABORTED);
        timer_free(timer);
        assert_string_equal(world->why, "cancelled by me: a mistake");
        CLEANUP(json_free) Json *status = runbook_describe(world->runbook);
        assert_string_equal(json_get_string(status, "state"), "ended");
        assert_string_equal(json_get_string(status, "outcome"), "aborted");
        assert_true(json_get_bool(step_of(status, "unfence"), "undo", false));
        assert_step(status, "unfence", "done");
        assert_step(status, "confirm", "undone");
        sim_pass(world->sim, 10 * USEC_SEC);
        assert_int_equal(json_get_int(sim_find(world->sim, "db1")->state, "writable", -1), 1);
}

static void lose(void *userdata)
{
        World *world = userdata;
        CLEANUP(json_free) Json *status = runbook_describe(world->runbook);
        bool opens = text_equal(world->losing, "open");
        if (!text_equal(json_get_string(step_of(status, world->losing), "state"), "running") ||
            (opens && records_of(world, "intent") < 5)) {
                timer_set_in(world->timer, USEC_MSEC / 4);
                return;
        }
        sim_find(world->sim, world->lost)->dead = true;
        assert_int_equal(runbook_lose(world->runbook, world->lost, "it is dead", NULL), 0);
        bool undone = text_equal(world->losing, "drain");
        assert_true(runbook_lose(world->runbook, world->lost, "it is dead", NULL) < 0);
        assert_int_equal(records_of(world, "undoing"), undone);
        assert_int_equal(records_of(world, "lost"), !undone && !opens);
}

static void run_and_lose(World *world, const char *step, const char *server, RunOutcome outcome)
{
        world->losing = step;
        world->lost = server;
        world->timer = timer_new(world->sim->loop, 0, lose, world);
        timer_set_in(world->timer, 0);
        begin(world);
        run(world, outcome);
        world->timer = timer_free(world->timer);
}

static void test_lose_before(void **state)
{
        run_and_lose(*state, "drain", "db3", RUN_ABORTED);
        assert_string_equal(((World *) *state)->why, "it is dead");
}

/* It goes on without it, and nothing waits for it. */
static void test_lose_after(void **state)
{
        World *world = *state;
        run_and_lose(world, "follow", "db2", RUN_COMPLETED);
        assert_string_equal(world->why, "db2 does not answer any more");
        CLEANUP(json_free) Json *status = runbook_describe(world->runbook);
        const Json *targets = json_get(step_of(status, "follow"), "targets");
        assert_string_equal(json_get_string(json_get(targets, "db2"), "verdict"), "unreachable");
        assert_string_equal(json_get_string(json_get(targets, "db4"), "verdict"), "met");
        int64_t started = json_get_int(step_of(status, "follow"), "started", 0);
        assert_in_range(json_get_int(step_of(status, "follow"), "ended", 0) - started, 1, USEC_SEC);
}

/* An opening that is not confirmed: halted, or undone where the procedure makes sure first; and that may halt, too. */
static void test_lose_at(void **state)
{
        World *world = *state;
        refuse_opening(world);
        run_and_lose(world, "open", "db3", RUN_HALTED);
        assert_string_equal(world->why, "open on db3: unreachable: it is dead");
}

static void test_opening_undone(void **state)
{
        World *world = *state;
        CLEANUP(mem_free) Step *steps = ALLOC_ARRAY(Step, exam.n_steps), *undo = ALLOC_ARRAY(Step, exam.n_undo + 1);
        memcpy(steps, exam.steps, exam.n_steps * sizeof *steps);
        memcpy(undo + 1, exam.undo, exam.n_undo * sizeof *undo);
        for (size_t i = 0; i < exam.n_steps; i++)
                if (text_equal(steps[i].name, exam.no_return))
                        steps[i].on_failure = THEN_ABORT;
        undo[0] = exam.steps[1]; /* fence */
        undo[0].name = "make-sure";
        undo[0].scope = ON_CANDIDATE;
        undo[0].on_failure = THEN_CONTINUE;
        undo[0].parallel_with_next = false;
        world->procedure.steps = steps;
        world->procedure.undo = undo;
        world->procedure.n_undo++;
        Failure failure = { 0 };
        assert_true(procedure_check(&world->procedure, &failure) < 0);
        assert_says(&failure, "after the point of no return");
        undo[0].on_failure = THEN_HALT;
        assert_int_equal(procedure_check(&world->procedure, NULL), 0);
        runbook_free(world->runbook);
        world->runbook =
                runbook_new(world->sim->loop, world->exec, world->journal, &world->procedure, on_event, on_done, world);
        refuse_opening(world);
        run_and_lose(world, "open", "db3", RUN_HALTED);
        assert_non_null(strstr(world->why, "make-sure on db3: unreachable"));
        assert_true(json_get_bool(runbook_facts(world->runbook)->root, "opening", false));
        CLEANUP(json_free) Json *status = runbook_describe(world->runbook);
        assert_string_equal(json_get_string(status, "step"), "make-sure");
        assert_step(status, "unfence", "pending");
        /* Halted it stays, also over a restart. */
        restart(world);
        assert_int_equal(runbook_resume(world->runbook, NULL), 0);
        run(world, RUN_HALTED);
        assert_int_equal(json_get_int(sim_find(world->sim, "db1")->state, "writable", -1), 0);
        assert_int_equal(runbook_retry(world->runbook, "me", NULL), 0);
        run(world, RUN_HALTED);
        sim_find(world->sim, "db3")->dead = false;
        assert_int_equal(runbook_retry(world->runbook, "me", NULL), 0);
        run(world, RUN_ABORTED);
        assert_int_equal(json_get_int(sim_find(world->sim, "db1")->state, "writable", -1), 1);
        runbook_free(TAKE(world->runbook)); /* which knows the copy */
}

/* What cannot be undone is said. */
static void test_undo_as_best_it_can(void **state)
{
        World *world = *state;
        for (size_t i = 1; i < 4; i++)
                json_set_int(world->sim->servers[i].state, "reach", 11);
        begin(world);
        sim_pass(world->sim, USEC_SEC);
        sim_find(world->sim, "db1")->cut = true;
        run(world, RUN_ABORTED);
        assert_non_null(strstr(world->why, "drain on db3: timeout: applied 11"));
        for (size_t i = 1; i < 4; i++)
                assert_int_equal(json_get_int(world->sim->servers[i].state, "receiver", -1), 1);
        assert_true(world->n_progress > 30 && world->n_progress <= 40); /* twice a second, for 20 s */
}

static void test_refuses_another_version(void **state)
{
        World *world = *state;
        refuse_opening(world);
        begin(world);
        run(world, RUN_HALTED);
        world->procedure.version = 2;
        restart(world);
        Failure failure = { 0 };
        unsigned before = world->n_scripts;
        assert_true(runbook_resume(world->runbook, &failure) < 0);
        assert_says(&failure, "began with version 1 of the procedure exam and this is version 2");
        assert_true(runbook_retry(world->runbook, "me", &failure) < 0);
        assert_int_equal(world->n_scripts, before);
        assert_string_equal(journal_open_run(world->journal), "r1");
        assert_int_equal(runbook_abandon(world->runbook, "me", "upgraded", &failure), 0);
        run(world, RUN_ABORTED);
        assert_null(journal_open_run(world->journal));
}

static void test_two_runs_cannot_be_open(void **state)
{
        World *world = *state;
        refuse_opening(world);
        begin(world);
        run(world, RUN_HALTED);
        restart(world);
        Failure failure = { 0 };
        assert_true(runbook_begin(world->runbook, exam_facts(), &failure) < 0);
        assert_says(&failure, "the run r1 has not ended");
}

/* One that cannot be reached is retried, and costs the others nothing. */
static void test_unreachable(void **state)
{
        World *world = *state;
        sim_find(world->sim, "db2")->dead = true;
        begin(world);
        run(world, RUN_COMPLETED);
        CLEANUP(json_free) Json *status = runbook_describe(world->runbook);
        const Json *targets = json_get(step_of(status, "stop"), "targets");
        assert_string_equal(json_get_string(json_get(targets, "db2"), "verdict"), "unreachable");
        assert_string_equal(json_get_string(json_get(targets, "db2"), "why"),
                            "cannot connect to db2: connection refused");
        assert_string_equal(json_get_string(json_get(targets, "db3"), "verdict"), "met");
        targets = json_get(step_of(status, "follow"), "targets");
        assert_string_equal(json_get_string(json_get(targets, "db2"), "verdict"), "unreachable");
        assert_string_equal(json_get_string(json_get(targets, "db4"), "verdict"), "met");
}

static void on_plan(Json *plan, void *userdata)
{
        World *world = userdata;
        world->plan = plan;
        loop_exit(world->sim->loop, 0);
}

static char *states(const World *world)
{
        Text text = { 0 };
        for (size_t i = 0; i < world->sim->n_servers; i++) {
                CLEANUP(mem_free) char *server = json_print(world->sim->servers[i].state);
                text_add(&text, server);
        }
        return text_take(&text);
}

static void test_plan(void **state)
{
        World *world = *state;
        for (size_t i = 1; i < 4; i++) /* reading it does not count it up */
                json_set_int(world->sim->servers[i].state, "reach", 0);
        CLEANUP(mem_free) char *before = states(world);
        sim_find(world->sim, "db4")->dead = true;
        runbook_plan(world->sim->loop, world->exec, &exam, exam_facts(),
                     usec_add(loop_now(world->sim->loop), 10 * USEC_SEC), on_plan, world);
        assert_int_equal(loop_run(world->sim->loop), 0);
        CLEANUP(mem_free) char *after = states(world);
        assert_string_equal(before, after);
        assert_true(json_get_bool(world->plan, "complete", false));
        assert_int_equal(json_length(json_get(world->plan, "steps")), 9);
        const Json *fence = json_get(json_get(step_of(world->plan, "fence"), "targets"), "db1");
        assert_string_equal(json_get_string(fence, "verdict"), "unmet");
        CLEANUP(mem_free) char *script = json_print(json_get(fence, "script"));
        assert_string_equal(script, "[{\"sql\":\"SET writable=0\"}]");
        const Json *stop = json_get(step_of(world->plan, "stop"), "targets");
        assert_string_equal(json_get_string(json_get(stop, "db4"), "verdict"), "unreachable");
        assert_step(world->plan, "address", "skipped");
        assert_step(world->plan, "choose", "decided");
        assert_string_equal(json_get_string(json_get(step_of(world->plan, "choose"), "decided"), "candidate"), "db3");
        assert_true(json_get_bool(step_of(world->plan, "open"), "no_return", false));
        assert_non_null(json_get(json_get(step_of(world->plan, "follow"), "targets"), "db2"));
        assert_int_equal(records_of(world, "run-started"), 0);
}

static void test_plan_without_a_decision(void **state)
{
        World *world = *state;
        for (size_t i = 1; i < 4; i++)
                world->sim->servers[i].dead = true;
        runbook_plan(world->sim->loop, world->exec, &exam, exam_facts(),
                     usec_add(loop_now(world->sim->loop), 10 * USEC_SEC), on_plan, world);
        assert_int_equal(loop_run(world->sim->loop), 0);
        assert_false(json_get_bool(world->plan, "complete", true));
        assert_string_equal(json_get_string(world->plan, "why"), "nobody has told a position");
        assert_step(world->plan, "choose", "unknown");
        assert_step(world->plan, "follow", "unknown");
}

static void test_plan_abandoned(void **state)
{
        World *world = *state;
        Plan *plan = runbook_plan(world->sim->loop, world->exec, &exam, exam_facts(), USEC_INFINITY, on_plan, world);
        sim_pass(world->sim, 2 * USEC_MSEC);
        runbook_plan_abandon(plan);
        runbook_plan_abandon(NULL);
        sim_pass(world->sim, USEC_SEC);
        assert_null(world->plan);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_a_run),
                TEST(test_status_of_a_halted_run),
                TEST(test_no_return),
                TEST(test_retry),
                TEST(test_resumed_halted),
                TEST(test_resumed_halted_and_cancelled),
                TEST(test_resumed_halted_and_abandoned),
                TEST(test_full_disk),
                TEST(test_override),
                TEST(test_abandon),
                TEST(test_cancel),
                TEST(test_lose_before),
                TEST(test_lose_after),
                TEST(test_lose_at),
                TEST(test_opening_undone),
                TEST(test_undo_as_best_it_can),
                TEST(test_refuses_another_version),
                TEST(test_two_runs_cannot_be_open),
                TEST(test_unreachable),
                TEST(test_plan),
                TEST(test_plan_without_a_decision),
                TEST(test_plan_abandoned),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
