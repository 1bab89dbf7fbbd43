/* The real engine and the real journal under a small procedure with everything in it (decisions, a parallel group, a
 * wait, a point of no return, undo), killed before, in and after every record and at every script, in the first life and
 * in the second, over seeds. Then the same with faults put in, each of which must be found.
 *
 * SIM_SEED=n runs that seed alone, SIM_SEEDS=n so many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "exam.h"
#include "run.h"
#include "text.h"
#include "trial.h"

/* Scenarios */

typedef enum Scenario {
        SCENARIO_PLAIN,
        SCENARIO_CUT,    /* one replica cannot be reached */
        SCENARIO_ABORT,  /* the candidate never applies all */
        SCENARIO_HALT,   /* it cannot be opened at first: an operator tells to retry */
        SCENARIO_CANCEL, /* an operator ends it before it is opened */
        SCENARIO_FULL,   /* the disk is full for one record: an operator makes room and tells to retry */
        _SCENARIO_MAX,
} Scenario;
static const char *const scenario_names[] = { "plain", "cut", "abort", "halt", "cancel", "full" };

static Scenario scenario;
static bool told;      /* the operator has spoken */
static bool half_told; /* and it died meanwhile: it may have been heard or not */

static void on_life(Trial *trial)
{
        exam_life = trial->life;
}

static bool on_halted(Trial *trial, Runbook *runbook)
{
        Failure failure = { 0 };
        return runbook_retry(runbook, "operator", &failure) >= 0 || trial->killed;
}

static void on_cancel(void *userdata)
{
        Trial *trial = userdata;
        Failure failure = { 0 };
        if (!trial->runbook || trial->killed || !trial->in_life)
                return;
        told |= runbook_cancel(trial->runbook, "operator", "a mistake", &failure) >= 0;
        half_told |= trial->killed;
}

/* Before the opening is asked for: the operator's word comes through the loop. */
static void on_event(Trial *trial, const RunEvent *event, Runbook *runbook)
{
        if (scenario == SCENARIO_CANCEL && event->kind == RUN_EVENT_TARGET_SETTLED &&
            (text_equal(event->step->name, "stop") || text_equal(event->step->name, "fence")))
                loop_defer(trial->sim->loop, on_cancel, trial);
}

static const TrialCalls calls = { .on_life = on_life, .on_halted = on_halted, .on_event = on_event };

static void build_world(Sim *sim)
{
        exam_world(sim);
        for (size_t i = 0; i < sim->n_servers; i++) {
                SimServer *server = &sim->servers[i];
                if (scenario == SCENARIO_ABORT)
                        json_set_int(server->state, "reach", json_get_int(server->state, "reach", 0) - 1);
                if (scenario == SCENARIO_HALT && i > 0)
                        json_set_int(server->state, "refuse", 42);
                server->cut = scenario == SCENARIO_CUT && i == 1;
        }
        sim->stuck = 150;
        sim->lost = 50;
        sim->refused = 100;
}

static int64_t state_of(const SimServer *server, const char *name)
{
        return json_get_int(server->state, name, -1);
}

static void check_undone(Trial *trial)
{
        for (size_t i = 0; i < trial->sim->n_servers; i++) {
                const SimServer *server = &trial->sim->servers[i];
                if (state_of(server, "opened") > 0)
                        trial_violate(trial, "aborted, but %s was opened", server->name);
                if (state_of(server, "writable") != (i == 0) || state_of(server, "receiver") != (i > 0))
                        trial_violate(trial, "aborted, but %s was not restored", server->name);
        }
}

static void check_done(Trial *trial)
{
        int64_t opened = 0;
        const char *candidate = NULL;
        for (size_t i = 0; i < trial->sim->n_servers; i++) {
                const SimServer *server = &trial->sim->servers[i];
                if (state_of(server, "opened") > 0) {
                        opened += state_of(server, "opened");
                        candidate = server->name;
                }
        }
        if (opened != 1) {
                trial_violate(trial, "opened %lld times", (long long) opened);
                return;
        }
        for (size_t i = 0; i < trial->sim->n_servers; i++) {
                const SimServer *server = &trial->sim->servers[i];
                bool is_candidate = text_equal(server->name, candidate);
                if (state_of(server, "writable") != is_candidate)
                        trial_violate(trial, "%s is %swritable", server->name, is_candidate ? "not " : "");
                if (server->cut || i == 0)
                        continue;
                if (!is_candidate && !text_equal(json_get_string(server->state, "source"), candidate))
                        trial_violate(trial, "%s does not follow %s", server->name, candidate);
                if (state_of(server, "receiver") != 0)
                        trial_violate(trial, "%s still receives", server->name);
        }
}

static void check_end(Trial *trial)
{
        RunOutcome wanted = scenario == SCENARIO_ABORT || told ? RUN_ABORTED : RUN_COMPLETED;
        if (half_told)
                wanted = trial->outcome;
        if (trial->outcome != wanted)
                trial_violate(trial, "%s: %s", run_outcome_to_string(trial->outcome), trial->why);
        else if (wanted == RUN_ABORTED)
                check_undone(trial);
        else
                check_done(trial);
}

typedef struct Tally {
        unsigned trials, kills, violations;
} Tally;

/* One trial; says what went wrong when nothing may. */
static unsigned try(uint64_t seed, Fault fault, const Kill *kills, size_t n_kills, unsigned *ret_scripts, Tally *tally)
{
        CLEANUP(sim_free) Sim *sim = sim_new(seed);
        build_world(sim);
        if (fault == FAULT_DO_NOT_QUIESCE)
                sim->stuck = 500;
        told = half_told = false;
        Trial trial = { .sim = sim,
                        .procedure = &exam,
                        .initial = exam_facts(),
                        .calls = &calls,
                        .fault = fault,
                        .kills = kills,
                        .n_kills = n_kills };
        trial_run(&trial);
        if (!trial.violation)
                check_end(&trial);
        tally->trials++;
        tally->kills += trial.life - 1;
        tally->violations += trial.violation != NULL;
        if (trial.violation && fault == FAULT_NONE) {
                print_error("SIM_SEED=%llu %s:", (unsigned long long) seed, scenario_names[scenario]);
                for (size_t i = 0; i < n_kills; i++)
                        print_error(" killed %s %u,", kill_kind_to_string(kills[i].kind), kills[i].at);
                print_error(" %s\n", trial.violation);
        }
        unsigned records = trial.n_records;
        if (ret_scripts)
                *ret_scripts = trial.n_scripts;
        trial_done(&trial);
        return records;
}

/* Dies at every point of the first life, and then at one of the second. */
static void try_all(uint64_t seed, Fault fault, Tally *tally)
{
        unsigned scripts = 0, records = try(seed, fault, NULL, 0, &scripts, tally);
        uint64_t random = seed;
        for (KillKind kind = KILL_BEFORE_RECORD; kind <= KILL_AT_SCRIPT && scenario != SCENARIO_FULL; kind++) {
                unsigned n = kind == KILL_AT_SCRIPT ? scripts : records;
                unsigned stride = n > 60 ? n / 60 + 1 : 1;
                for (unsigned at = 1; at <= n; at += stride) {
                        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
                        unsigned pick = (unsigned) (random >> 33);
                        Kill kills[] = { { kind, at }, { 1 + pick % 4, 1 + pick / 4 % 20 } };
                        try(seed, fault, kills, 1 + pick / 128 % 2, NULL, tally);
                }
        }
        for (unsigned at = 2; scenario == SCENARIO_FULL && at <= records; at++)
                try(seed, fault, &(Kill){ FAIL_RECORD, at }, 1, NULL, tally);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);
        return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void test_scenario(void **state)
{
        scenario = *(Scenario *) *state;
        Tally tally = { 0 };
        uint64_t only = number_of("SIM_SEED", 0), n = number_of("SIM_SEEDS", 5);
        for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++)
                try_all(seed, FAULT_NONE, &tally);
        print_message("%s: %u runs, %u deaths, %u violations\n", scenario_names[scenario], tally.trials, tally.kills,
                      tally.violations);
        assert_int_equal(tally.violations, 0);
}

/* The same eyes must find each fault. */
static void test_fault(void **state)
{
        static const char *const names[_FAULT_MAX] = {
                [FAULT_RETAKE_DECISIONS] = "decisions retaken",
                [FAULT_ACT_WITHOUT_ASKING] = "acting without asking after a resume",
                [FAULT_SETTLE_UNCONFIRMED] = "settling before confirming",
                [FAULT_ACCEPT_TORN] = "accepting torn records",
                [FAULT_DO_NOT_QUIESCE] = "not quiescing",
                [FAULT_ACT_BEFORE_INTENT] = "acting before the intent is written",
        };
        Fault fault = *(Fault *) *state;
        Tally tally = { 0 };
        scenario = SCENARIO_PLAIN;
        for (uint64_t seed = 1; seed <= 8; seed++)
                try_all(seed, fault, &tally);
        print_message("fault, %s: found in %u of %u runs\n", names[fault], tally.violations, tally.trials);
        assert_true(tally.violations > 0);
}

static void test_procedure_is_well_formed(void **state)
{
        Failure failure = { 0 };
        assert_int_equal(procedure_check(&exam, &failure), 0);
}

int main(void)
{
        static Scenario scenarios[] = { SCENARIO_PLAIN, SCENARIO_CUT,    SCENARIO_ABORT,
                                        SCENARIO_HALT,  SCENARIO_CANCEL, SCENARIO_FULL };
        static Fault faults[] = { FAULT_RETAKE_DECISIONS, FAULT_ACT_WITHOUT_ASKING, FAULT_SETTLE_UNCONFIRMED,
                                  FAULT_ACCEPT_TORN,      FAULT_DO_NOT_QUIESCE,     FAULT_ACT_BEFORE_INTENT };
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_procedure_is_well_formed),
                cmocka_unit_test_prestate(test_scenario, &scenarios[0]),
                cmocka_unit_test_prestate(test_scenario, &scenarios[1]),
                cmocka_unit_test_prestate(test_scenario, &scenarios[2]),
                cmocka_unit_test_prestate(test_scenario, &scenarios[3]),
                cmocka_unit_test_prestate(test_scenario, &scenarios[4]),
                cmocka_unit_test_prestate(test_scenario, &scenarios[5]),
                cmocka_unit_test_prestate(test_fault, &faults[0]),
                cmocka_unit_test_prestate(test_fault, &faults[1]),
                cmocka_unit_test_prestate(test_fault, &faults[2]),
                cmocka_unit_test_prestate(test_fault, &faults[3]),
                cmocka_unit_test_prestate(test_fault, &faults[4]),
                cmocka_unit_test_prestate(test_fault, &faults[5]),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
