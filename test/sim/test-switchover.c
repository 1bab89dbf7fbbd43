/* The real switchover against simulated databases with clients that write all the time, killed before, in and after every
 * record and at every script. Whatever happens: never two writable servers, nothing lost, nobody attached with a hole, and
 * in the end wholly the old or wholly the new.
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
#include "database.h"
#include "run.h"
#include "switchover.h"
#include "text.h"
#include "trial.h"

typedef struct Flavoured {
        const char *name, *version;
        bool gtid;
} Flavoured;

static const Flavoured flavoured[] = {
        { "MySQL 8.4 by GTID", "8.4.3", true },
        { "MySQL 8.0 by position", "8.0.36", false },
        { "MySQL 5.6 by position", "5.6.51-log", false },
        { "MariaDB 10.11 by GTID", "10.11.6-MariaDB", true },
        { "MariaDB 10.11 by position", "10.11.6-MariaDB", false },
};

typedef enum Trouble {
        TROUBLE_NONE,
        TROUBLE_PRIVILEGED,       /* clients that read_only does not bind */
        TROUBLE_SLOW_DISK,        /* statements fail, get stuck, or their answers get lost */
        TROUBLE_NO_ADDRESS,       /* the candidate's host cannot be given it: undo */
        TROUBLE_CANDIDATE_DIES,   /* in the block: undo */
        TROUBLE_CANDIDATE_STUCK,  /* it does not get to the end: undo */
        TROUBLE_LOCK_LOST,        /* in the block: undo, where there is a lock */
        TROUBLE_OLD_PRIMARY_DIES, /* in the block */
        TROUBLE_CANCEL,           /* an operator ends it: undo */
        _TROUBLE_MAX,
} Trouble;
static const char *const trouble_names[] = {
        "no trouble",      "privileged clients", "trouble everywhere", "no address", "candidate dies",
        "candidate stuck", "lock lost",          "old primary dies",   "cancelled",
};

static const Flavoured *flavour;
static Trouble trouble;
static bool happened, told;

enum { FIRST = 1000, SERVERS = 4 };

static void build_world(Sim *sim)
{
        for (size_t i = 0; i < SERVERS; i++) {
                CLEANUP(mem_free) char *name = text_format("db%zu", i + 1);
                Database *database = database_add(sim, name, flavour->version, flavour->gtid);
                database->written = true;
                database->privileged = trouble == TROUBLE_PRIVILEGED;
                database->event = i == 0 ? EVENT_RUNS : EVENT_RESTS;
                database->scheduler_off = i == 1;
        }
        Database *primary = database_of(&sim->servers[0]);
        primary->read_only = false;
        primary->has_address = true;
        primary->log = FIRST;
        for (size_t i = 1; i < SERVERS; i++) {
                Database *replica = database_of(&sim->servers[i]);
                database_follow(replica, primary, FIRST - i, FIRST - 2 * i);
                replica->super_read_only = replica->dialect->super_read_only;
        }
        database_of(&sim->servers[1])->no_address = trouble == TROUBLE_NO_ADDRESS;
        if (trouble == TROUBLE_SLOW_DISK) {
                sim->stuck = 50;
                sim->lost = 30;
                sim->refused = 50;
        }
}

static Json *build_config(void)
{
        static const char text[] =
                "{\"address\":{\"ip\":\"10.0.0.100/24\",\"device\":\"eth0\"},\"ssh\":{\"enabled\":true},"
                "\"replication\":{\"user\":\"repl\",\"has_password\":true},\"switchover\":{\"kill_sessions\":\"all\"},"
                "\"hooks\":{\"prepare\":true,\"stop\":true,\"start\":true,\"abort\":true},"
                "\"timeouts\":{\"block-writes\":5000,\"give-address\":5000,\"give-address-late\":5000,"
                "\"end-waiting\":5000,\"reach-end\":5000,\"still-blocked\":5000}}";
        Json *config = NULL;
        assert_int_equal(json_parse(text, strlen(text), &config, NULL), 0);
        return config;
}

static Facts build_facts(Sim *sim)
{
        Facts facts = facts_new("app1", "r1", "switchover");
        json_set(facts.root, "config", build_config());
        for (size_t i = 0; i < sim->n_servers; i++) {
                Database *database = database_of(&sim->servers[i]);
                const char *name = database->server->name;
                CLEANUP(server_view_free) ServerView *view = database_view(database);
                Json *server = server_view_to_json(view);
                json_set_string(server, "name", name);
                json_set_string(server, "host", name);
                json_set_int(server, "port", 3306);
                json_set(json_ensure_object(facts.root, "servers"), name, server);
                json_append_string(json_ensure_array(facts.root, "order"), name);
                if (i > 0)
                        json_append_string(json_ensure_array(facts.root, "replicas"), name);
        }
        json_set_string(facts.root, "old_primary", "db1");
        json_set_string(facts.root, "told_candidate", "db2");
        return facts;
}

static void on_life(Trial *trial)
{
        for (size_t i = 0; i < trial->sim->n_servers; i++)
                database_end_session(database_of(&trial->sim->servers[i]));
}

static bool on_halted(Trial *trial, Runbook *runbook)
{
        return runbook_retry(runbook, "operator", NULL) >= 0 || trial->killed;
}

static void on_cancel(void *userdata)
{
        Trial *trial = userdata;
        if (trial->runbook && !trial->killed && trial->in_life)
                told |= runbook_cancel(trial->runbook, "operator", "a mistake", NULL) >= 0 || trial->killed;
}

static void on_event(Trial *trial, const RunEvent *event, Runbook *runbook)
{
        Sim *sim = trial->sim;
        if (event->kind != RUN_EVENT_STEP_STARTED || happened)
                return;
        bool reach = text_equal(event->step->name, "reach-end");
        if (text_equal(event->step->name, "block-writes")) {
                happened = trouble == TROUBLE_CANDIDATE_STUCK || trouble == TROUBLE_CANCEL;
                database_of(&sim->servers[1])->stuck = trouble == TROUBLE_CANDIDATE_STUCK;
                if (trouble == TROUBLE_CANCEL)
                        loop_defer(sim->loop, on_cancel, trial);
        } else if (reach && trouble == TROUBLE_CANDIDATE_DIES) {
                happened = sim->servers[1].cut = true;
        } else if (reach && trouble == TROUBLE_OLD_PRIMARY_DIES) {
                happened = sim->servers[0].dead = true;
        } else if (reach && trouble == TROUBLE_LOCK_LOST) {
                database_end_session(database_of(&sim->servers[0]));
                happened = true;
        }
}

static const TrialCalls calls = { .on_life = on_life, .on_halted = on_halted, .on_event = on_event };

/* One has the role, whole: it takes writes, has the address, and all who can be reached follow it and have all. */
static void check_role(Trial *trial, const Database *primary)
{
        Sim *sim = trial->sim;
        for (size_t i = 0; i < sim->n_servers; i++)
                database_of(&sim->servers[i])->written = database_of(&sim->servers[i])->stuck = false;
        for (int i = 0; i < 200; i++) {
                sim_pass(sim, 300 * USEC_MSEC);
                database_catch_up(sim);
        }
        for (size_t i = 0; i < sim->n_servers; i++) {
                const Database *database = database_of(&sim->servers[i]);
                const char *name = database->server->name;
                if (database->server->cut || database->server->dead)
                        continue;
                if (database->has_address != (database == primary))
                        trial_violate(trial, "%s has the address: %d", name, database->has_address);
                if (database->read_only != (database != primary))
                        trial_violate(trial, "%s is read-only: %d", name, database->read_only);
                if (database->locked)
                        trial_violate(trial, "%s is locked", name);
                if (database->event != (database == primary ? EVENT_RUNS : EVENT_RESTS))
                        trial_violate(trial, "%s: the event %s", name,
                                      database->event == EVENT_RUNS ? "runs" : "does not run");
                if (database == primary && database->scheduler_off)
                        trial_violate(trial, "%s: its event scheduler is off", name);
                if (database->holed || database->applier_errno || database->rewritten)
                        trial_violate(trial, "%s is spoilt: hole %d, error %d, written to %d", name, database->holed,
                                      database->applier_errno, database->rewritten);
                if (database == primary ? database->source != NULL : database->source != primary)
                        trial_violate(trial, "%s follows %s", name,
                                      database->source ? database->source->server->name : "nobody");
                if (database != primary && (!database->receiver_on || !database->applier_on))
                        trial_violate(trial, "%s does not replicate", name);
                if (database->log != primary->log)
                        trial_violate(trial, "%s has %llu of %llu", name, (unsigned long long) database->log,
                                      (unsigned long long) primary->log);
        }
}

/* In order, and what is taken back is all that was run, in reverse order. One may be run twice when its daemon died. */
static void check_hooks(Trial *trial)
{
        bool prepared = false, stopped = false, started = false;
        JSON_FOREACH(hook, trial->sim->hooks)
        {
                const char *name = json_string(hook);
                bool right = true;
                if (text_equal(name, "prepare"))
                        prepared = right = !stopped;
                else if (text_equal(name, "stop"))
                        stopped = right = prepared && !started;
                else if (text_equal(name, "start"))
                        started = right = stopped;
                else if (text_equal(name, "abort stop"))
                        stopped = !(right = !started);
                else if (text_equal(name, "abort prepare"))
                        prepared = !(right = !stopped);
                if (!right)
                        trial_violate(trial, "the hook %s is run when it is not its turn", name);
        }
        bool completed = trial->outcome == RUN_COMPLETED;
        if (prepared != completed || stopped != completed || started != completed)
                trial_violate(trial, "%s, and of the hooks is left: prepare %d, stop %d, start %d",
                              run_outcome_to_string(trial->outcome), prepared, stopped, started);
}

static void check_end(Trial *trial)
{
        Sim *sim = trial->sim;
        const Database *old = database_of(&sim->servers[0]), *candidate = database_of(&sim->servers[1]);
        bool locks = !old->dialect->super_read_only;
        bool undone = trouble == TROUBLE_NO_ADDRESS || trouble == TROUBLE_CANDIDATE_DIES ||
                      trouble == TROUBLE_CANDIDATE_STUCK || (trouble == TROUBLE_LOCK_LOST && locks) ||
                      (trouble == TROUBLE_CANCEL && told);
        database_catch_up(sim);
        if (trial->outcome == RUN_HALTED && trouble != TROUBLE_SLOW_DISK)
                trial_violate(trial, "halted: %s", trial->why);
        /* Killed or troubled it may go back; left alone it must do what it is for. */
        if (!trial->n_kills && trouble != TROUBLE_SLOW_DISK && trouble != TROUBLE_OLD_PRIMARY_DIES &&
            (trial->outcome == RUN_ABORTED) != undone)
                trial_violate(trial, "%s: %s", run_outcome_to_string(trial->outcome), trial->why);
        if (candidate->n_opened != (trial->outcome == RUN_COMPLETED))
                trial_violate(trial, "%s, and the candidate was opened %u times", run_outcome_to_string(trial->outcome),
                              candidate->n_opened);
        if (trouble != TROUBLE_SLOW_DISK) /* where hooks fail, too */
                check_hooks(trial);
        if (sim->servers[0].dead)
                return; /* the failover that follows has the rest to do */
        check_role(trial, trial->outcome == RUN_COMPLETED ? candidate : old);
}

typedef struct Tally {
        unsigned trials, kills, violations, scripts, completed;
        bool quiet;
} Tally;

static unsigned try(const Procedure *procedure, uint64_t seed, const Kill *kills, size_t n_kills, Tally *tally)
{
        CLEANUP(sim_free) Sim *sim = sim_new(seed);
        build_world(sim);
        told = happened = false;
        Trial trial = { .sim = sim,
                        .procedure = procedure,
                        .initial = build_facts(sim),
                        .calls = &calls,
                        .kills = kills,
                        .n_kills = n_kills };
        trial_run(&trial);
        if (!trial.violation)
                check_end(&trial);
        tally->trials++;
        tally->kills += trial.life - 1;
        tally->violations += trial.violation != NULL;
        tally->completed += trial.outcome == RUN_COMPLETED;
        tally->scripts = trial.n_scripts;
        if (trial.violation && !tally->quiet && tally->violations <= 5) {
                print_error("SIM_SEED=%llu %s, %s:", (unsigned long long) seed, flavour->name, trouble_names[trouble]);
                for (size_t i = 0; i < n_kills; i++)
                        print_error(" killed %s %u,", kill_kind_to_string(kills[i].kind), kills[i].at);
                print_error(" %s\n", trial.violation);
        }
        unsigned records = trial.n_records;
        trial_done(&trial);
        return records;
}

static void try_all(uint64_t seed, Tally *tally)
{
        unsigned records = try(&switchover, seed, NULL, 0, tally), scripts = tally->scripts;
        uint64_t random = seed;
        /* A lock does not outlive the daemon: what privileged clients write then is found, and told, but not prevented. */
        if (trouble == TROUBLE_PRIVILEGED && strncmp(flavour->version, "8.", 2) != 0)
                return;
        for (KillKind kind = KILL_BEFORE_RECORD; kind <= KILL_AT_SCRIPT; kind++) {
                unsigned n = kind == KILL_AT_SCRIPT ? scripts : records;
                unsigned stride = n > TRIAL_POINTS ? n / TRIAL_POINTS + 1 : 1;
                for (unsigned at = 1; at <= n; at += stride) {
                        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
                        unsigned pick = (unsigned) (random >> 33);
                        Kill kills[] = { { kind, at }, { 1 + pick % 4, 1 + pick / 4 % 30 } };
                        try(&switchover, seed, kills, 1 + pick / 128 % 2, tally);
                }
        }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);
        return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void test_trouble(void **state)
{
        trouble = *(Trouble *) *state;
        uint64_t only = number_of("SIM_SEED", 0), n = number_of("SIM_SEEDS", 1);
        unsigned violations = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                Tally tally = { 0 };
                for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++)
                        try_all(seed, &tally);
                print_message("%s, %s: %u runs, %u deaths, %u completed, %u violations\n", trouble_names[trouble],
                              flavour->name, tally.trials, tally.kills, tally.completed, tally.violations);
                violations += tally.violations;
        }
        assert_int_equal(violations, 0);
}

static void test_procedure_is_well_formed(void **state)
{
        Failure failure = { 0 };
        if (procedure_check(&switchover, &failure) < 0)
                fail_msg("%s", failure.text);
}

/* The same eyes must see what another table does. */
static void expect_violations(const Procedure *procedure, Trouble how, const char *what)
{
        Tally tally = { .quiet = true };
        trouble = how;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                for (uint64_t seed = 1; seed <= 3; seed++)
                        try(procedure, seed, NULL, 0, &tally);
        }
        print_message("%s: found in %u of %u runs\n", what, tally.violations, tally.trials);
        assert_true(tally.violations > 0);
}

static size_t copy_without(const Step *steps, size_t n, const char *name, Step *copy)
{
        size_t left = 0;
        for (size_t i = 0; i < n; i++)
                if (strcmp(steps[i].name, name) != 0)
                        copy[left++] = steps[i];
        assert_int_equal(left, n - 1);
        return left;
}

static void test_table_without(Trouble how, const char *name)
{
        Step steps[60];
        Procedure without = switchover;
        without.steps = steps;
        without.n_steps = copy_without(switchover.steps, switchover.n_steps, name, steps);
        CLEANUP(mem_free) char *what = text_format("without %s", name);
        expect_violations(&without, how, what);
}

static void test_undo_without(const char *name)
{
        Step undo[30];
        Procedure without = switchover;
        without.undo = undo;
        without.n_undo = copy_without(switchover.undo, switchover.n_undo, name, undo);
        CLEANUP(mem_free) char *what = text_format("undone without %s", name);
        expect_violations(&without, TROUBLE_NO_ADDRESS, what);
}

static void test_tables_with_a_hole(void **state)
{
        test_table_without(TROUBLE_NONE, "block-writes");
        test_table_without(TROUBLE_NONE, "reach-end");
        test_table_without(TROUBLE_NONE, "take-address");
        test_table_without(TROUBLE_NONE, "detach-candidate");
        test_table_without(TROUBLE_NONE, "unlock");
        test_table_without(TROUBLE_NONE, "repoint-replicas");
        test_table_without(TROUBLE_NONE, "demote");
        test_table_without(TROUBLE_NONE, "stop-events");
        test_table_without(TROUBLE_NONE, "start-events");
        test_table_without(TROUBLE_NONE, "start-hook");
        test_table_without(TROUBLE_LOCK_LOST, "still-blocked");
        test_undo_without("abort-stop-hook");
        test_undo_without("abort-prepare-hook");
}

static Json *made;

static void on_plan(Json *plan, void *userdata)
{
        made = plan;
        loop_exit(userdata, 0);
}

static void test_plan(void **state)
{
        trouble = TROUBLE_NONE;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                CLEANUP(sim_free) Sim *sim = sim_new(1);
                build_world(sim);
                Facts facts = build_facts(sim);
                json_set_bool(facts.root, "planning", true);
                Exec *exec = sim_exec_new(sim);
                runbook_plan(sim->loop, exec, &switchover, facts, usec_add(loop_now(sim->loop), 20 * USEC_SEC), on_plan,
                             sim->loop);
                assert_int_equal(loop_run(sim->loop), 0);
                if (!json_get_bool(made, "complete", false))
                        fail_msg("%s: %s", flavour->name, json_get_string(made, "why"));
                assert_int_equal(json_length(json_get(made, "steps")), switchover.n_steps);
                for (size_t j = 0; j < sim->n_servers; j++) {
                        const Database *database = database_of(&sim->servers[j]);
                        assert_int_equal(database->read_only, j > 0);
                        assert_int_equal(database->receiver_on, j > 0);
                        assert_int_equal(database->has_address, j == 0);
                        assert_false(database->locked);
                }
                made = json_free(made);
                sim_exec_free(exec);
        }
}

int main(void)
{
        static Trouble troubles[_TROUBLE_MAX];
        struct CMUnitTest tests[_TROUBLE_MAX + 3] = { cmocka_unit_test(test_procedure_is_well_formed),
                                                      cmocka_unit_test(test_tables_with_a_hole),
                                                      cmocka_unit_test(test_plan) };
        for (int i = 0; i < _TROUBLE_MAX; i++) {
                troubles[i] = (Trouble) i;
                tests[i + 3] = (struct CMUnitTest) cmocka_unit_test_prestate(test_trouble, &troubles[i]);
                tests[i + 3].name = trouble_names[i];
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
