/* The real failover, engine and journal against simulated databases, killed before, in and after every record and at
 * every script, over seeds, flavours and ways to die. Whatever happens: never two writable servers, nothing lost that a
 * reachable replica had received, nobody attached with a hole, and one end for all.
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
#include "failover.h"
#include "run.h"
#include "text.h"
#include "trial.h"

typedef struct Flavoured {
        const char *name, *version;
        bool gtid;
} Flavoured;

static const Flavoured flavoured[] = {
        { "MySQL 8.0 by GTID", "8.0.36", true },
        { "MySQL 8.4 by position", "8.4.3", false },
        { "MySQL 5.7 by position", "5.7.44-log", false },
        { "MariaDB 10.11 by GTID", "10.11.6-MariaDB", true },
};

typedef enum Death {
        DEATH_PROCESS,      /* its process is gone, its host is there */
        DEATH_HOST,         /* its host is gone */
        DEATH_FROZEN,       /* it hangs, and has to be killed */
        DEATH_AND_REPLICA,  /* and a replica cannot be reached */
        DEATH_HALF_SENT,    /* in the middle of a transaction */
        DEATH_FEED,         /* a replica that lacks something is preferred: with GTIDs it is fed by another */
        DEATH_REPLICA_LATE, /* a replica is cut off for a while, in the middle of it all */
        DEATH_CANDIDATE,    /* the candidate is cut off for good, before it is opened: undo */
        DEATH_APPLIER,      /* the candidate cannot apply: undo */
        DEATH_CANCEL,       /* an operator ends it before anything is opened: undo */
        DEATH_SLOW_STOP,    /* and a replica had taken too long to stop its receiver */
        /* From here on logs are saved. */
        DEATH_TAIL,        /* it had logged more than anybody received */
        DEATH_TAIL_TORN,   /* and had not ended its last transaction */
        DEATH_TAIL_LATE,   /* and a replica is cut off for a while when others are fed */
        DEATH_TAIL_CANCEL, /* and it is ended when the candidate has been fed: undo */
        DEATH_TAIL_FAILS,  /* and appliers that were stopped cannot go on: undo */
        DEATH_TAIL_FULL,   /* and nothing can be saved of it: undo */
        DEATH_RELAYS,      /* its host is gone, and a replica that lacks something is preferred */
        _DEATH_MAX,
} Death;
static const char *const death_names[] = {
        "process gone",
        "host gone",
        "frozen",
        "a replica unreachable",
        "half a transaction",
        "candidate to be fed",
        "a replica cut off",
        "candidate lost",
        "cannot apply",
        "cancelled",
        "cancelled, and a receiver slow to stop",
        "a tail",
        "a torn tail",
        "a tail, and a replica cut off",
        "a tail, cancelled",
        "a tail, and appliers fail",
        "a tail, and no room for it",
        "relay logs only",
};

static const Flavoured *flavour;
static Death death;

enum { LAST = 1000 };

static void build_world(Sim *sim)
{
        static const struct {
                uint64_t received, applied;
        } replicas[] = { { 990, 700 }, { LAST, 600 }, { LAST, 850 }, { 980, 980 } };
        for (size_t i = 0; i < 5; i++) {
                CLEANUP(mem_free) char *name = text_format("db%zu", i + 1);
                database_add(sim, name, flavour->version, flavour->gtid);
        }
        Database *primary = database_of(&sim->servers[0]);
        primary->read_only = false;
        primary->has_address = true;
        primary->log = LAST;
        for (size_t i = 1; i < 5; i++) {
                Database *replica = database_of(&sim->servers[i]);
                database_follow(replica, primary, replicas[i - 1].received, replicas[i - 1].applied);
                replica->super_read_only = replica->dialect->super_read_only;
                replica->tail = death == DEATH_HALF_SENT && replicas[i - 1].received == LAST ? 40 : 0;
                replica->stuck = death == DEATH_APPLIER;
                replica->fails = death == DEATH_TAIL_FAILS;
                replica->applier_on = !replica->fails;
        }
        if (death >= DEATH_TAIL && death <= DEATH_TAIL_FULL)
                primary->log = LAST + 40;
        primary->torn = death == DEATH_TAIL_TORN ? 30 : 0;
        sim->servers[0].dead = death != DEATH_FROZEN;
        sim->servers[0].frozen = death == DEATH_FROZEN;
        primary->ssh_dead = death == DEATH_HOST || death == DEATH_RELAYS;
        sim->servers[1].cut = death == DEATH_AND_REPLICA;
        database_of(&sim->servers[1])->slow_stop = death == DEATH_SLOW_STOP ? 4 * USEC_SEC : 0;
        sim->full = death == DEATH_TAIL_FULL;
        sim->stuck = 100;
        sim->lost = 30;
        sim->refused = 50;
}

static Json *build_config(void)
{
        static const char text[] =
                "{\"address\":{\"ip\":\"10.0.0.100/24\",\"device\":\"eth0\"},\"ssh\":{\"enabled\":true},"
                "\"fence\":{\"stop_process\":true,\"policy\":\"best-effort\"},"
                "\"replication\":{\"user\":\"repl\",\"has_password\":true},"
                "\"timeouts\":{\"fence-address\":8000,\"fence-process\":8000,\"stop-receivers\":30000,"
                "\"drain-donor\":30000,\"feed-candidate\":30000,\"drain-candidate\":30000}}";
        Json *config = NULL;
        assert_int_equal(json_parse(text, strlen(text), &config, NULL), 0);
        json_set_bool(json_ensure_object(config, "rescue"), "enabled", death >= DEATH_TAIL);
        if (death == DEATH_SLOW_STOP)
                json_set_int(json_ensure_object(config, "timeouts"), "stop-receivers", 3000);
        return config;
}

static Facts build_facts(Sim *sim)
{
        Facts facts = facts_new("app1", "r1", "failover");
        json_set(facts.root, "config", build_config());
        for (size_t i = 0; i < sim->n_servers; i++) {
                Database *database = database_of(&sim->servers[i]);
                const char *name = database->server->name;
                CLEANUP(server_view_free) ServerView *view = database_view(database);
                Json *server = server_view_to_json(view);
                json_set_string(server, "name", name);
                json_set_string(server, "host", name);
                json_set_int(server, "port", 3306);
                json_set_string(server, "promotion",
                                (death == DEATH_FEED || death == DEATH_RELAYS) && i == 4 ? "prefer" : "allow");
                json_set(json_ensure_object(facts.root, "servers"), name, server);
                json_append_string(json_ensure_array(facts.root, "order"), name);
                if (i > 0 && !database->server->cut)
                        json_append_string(json_ensure_array(facts.root, "replicas"), name);
                else if (i > 0)
                        json_append_string(json_ensure_array(facts.root, "left_out"), name);
        }
        json_set_string(facts.root, "old_primary", "db1");
        json_set_bool(facts.root, "unreachable_for_all", true);
        Json *verdict = json_ensure_object(facts.root, "verdict");
        json_set_string(verdict, "row", "dead");
        json_set_string(verdict, "text", "it is dead");
        return facts;
}

static bool on_halted(Trial *trial, Runbook *runbook)
{
        return runbook_retry(runbook, "operator", NULL) >= 0 || trial->killed;
}

static void on_heal(void *userdata)
{
        ((SimServer *) userdata)->cut = false;
}

static bool told; /* the operator has spoken */

static void on_cancel(void *userdata)
{
        Trial *trial = userdata;
        if (trial->runbook && !trial->killed && trial->in_life)
                told |= runbook_cancel(trial->runbook, "operator", "a mistake", NULL) >= 0 || trial->killed;
}

static bool is_cancelled(void)
{
        return death == DEATH_CANCEL || death == DEATH_SLOW_STOP || death == DEATH_TAIL_CANCEL;
}

/* The world moves on while the run does. */
static void on_event(Trial *trial, const RunEvent *event, Runbook *runbook)
{
        Sim *sim = trial->sim;
        if (event->kind != RUN_EVENT_STEP_STARTED)
                return;
        const char *late = death == DEATH_REPLICA_LATE ? "drain-candidate"
                           : death == DEATH_TAIL_LATE  ? "rescue-candidate"
                                                       : NULL;
        if (text_equal(event->step->name, late)) {
                sim->servers[1].cut = true;
                Timer *timer = timer_new(sim->loop, 0, on_heal, &sim->servers[1]);
                timer_set_in(timer, 2 * USEC_SEC);
        }
        if (death == DEATH_CANDIDATE && text_equal(event->step->name, "drain-candidate"))
                sim_find(sim, facts_string(runbook_facts(runbook), "candidate"))->cut = true;
        if (is_cancelled() && text_equal(event->step->name, "detach-candidate"))
                loop_defer(sim->loop, on_cancel, trial);
}

static const TrialCalls calls = { .on_halted = on_halted, .on_event = on_event };

static void check_replica(Trial *trial, const Database *replica, const Database *candidate)
{
        const char *name = replica->server->name;
        if (replica->holed)
                trial_violate(trial, "%s has a hole", name);
        if (replica->applier_errno)
                trial_violate(trial, "%s applied a transaction twice", name);
        if (replica->server->cut)
                return;
        bool attached = replica->source == candidate && replica->receiver_on && replica->applier_on;
        bool can_be = flavour->gtid || death >= DEATH_TAIL || replica->applied == candidate->log;
        if (can_be && !attached)
                trial_violate(trial, "%s does not follow %s", name, candidate->server->name);
        if (attached && replica->applied != candidate->log)
                trial_violate(trial, "%s follows %s, but has %llu of %llu", name, candidate->server->name,
                              (unsigned long long) replica->applied, (unsigned long long) candidate->log);
        if (!replica->read_only)
                trial_violate(trial, "%s can be written to", name);
}

static void check_promoted(Trial *trial)
{
        Sim *sim = trial->sim;
        const Database *candidate = NULL;
        bool read = death >= DEATH_TAIL && death <= DEATH_TAIL_FULL;
        uint64_t most = read ? database_of(&sim->servers[0])->log : 0;
        for (size_t i = 1; i < sim->n_servers; i++) {
                const Database *database = database_of(&sim->servers[i]);
                if (database->n_opened && candidate)
                        trial_violate(trial, "%s and %s were opened", candidate->server->name, database->server->name);
                if (database->n_opened)
                        candidate = database;
                if (!database->server->cut && database->received > most)
                        most = database->received;
        }
        if (!candidate) {
                trial_violate(trial, "completed, and nobody was opened");
                return;
        }
        if (candidate->log != most)
                trial_violate(trial, "%s has %llu of %llu", candidate->server->name,
                              (unsigned long long) candidate->log, (unsigned long long) most);
        if (candidate->read_only || candidate->source)
                trial_violate(trial, "%s is not a primary", candidate->server->name);
        for (size_t i = 0; i < sim->n_servers; i++) {
                const Database *database = database_of(&sim->servers[i]);
                bool known = i > 0 || !database->ssh_dead;
                if (known && database->has_address != (database == candidate))
                        trial_violate(trial, "%s has the address: %d", database->server->name, database->has_address);
                if (i > 0 && database != candidate)
                        check_replica(trial, database, candidate);
        }
}

static void check_undone(Trial *trial)
{
        for (size_t i = 1; i < trial->sim->n_servers; i++) {
                const Database *database = database_of(&trial->sim->servers[i]);
                if (database->n_opened)
                        trial_violate(trial, "aborted, but %s was opened", database->server->name);
                if (database->server->cut)
                        continue;
                if (database->source != database_of(&trial->sim->servers[0]) || !database->receiver_on ||
                    (!database->applier_on && !database->fails) || database->holed)
                        trial_violate(trial, "aborted, but %s does not follow db1 again", database->server->name);
        }
}

static void check_end(Trial *trial)
{
        database_catch_up(trial->sim);
        bool undone = death == DEATH_APPLIER || death == DEATH_CANDIDATE || death == DEATH_TAIL_FAILS ||
                      death == DEATH_TAIL_FULL || (is_cancelled() && told);
        RunOutcome wanted = undone ? RUN_ABORTED : RUN_COMPLETED;
        if (is_cancelled() && told && trial->n_kills && trial->outcome == RUN_COMPLETED)
                wanted = RUN_COMPLETED; /* it died of the operator's very word */
        if (death == DEATH_TAIL_FAILS && flavour->gtid && trial->outcome == RUN_COMPLETED)
                wanted = RUN_COMPLETED; /* the others are seen to fail, and one has applied all that it received */
        if (trial->outcome != wanted)
                trial_violate(trial, "%s: %s", run_outcome_to_string(trial->outcome), trial->why);
        else if (wanted == RUN_COMPLETED)
                check_promoted(trial);
        else
                check_undone(trial);
}

typedef struct Tally {
        unsigned trials, kills, violations, scripts;
        bool quiet;
} Tally;

static unsigned try(const Procedure *procedure, uint64_t seed, const Kill *kills, size_t n_kills, Tally *tally)
{
        CLEANUP(sim_free) Sim *sim = sim_new(seed);
        build_world(sim);
        told = false;
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
        tally->scripts = trial.n_scripts;
        if (trial.violation && !tally->quiet && tally->violations <= 20) {
                print_error("SIM_SEED=%llu %s, %s:", (unsigned long long) seed, flavour->name, death_names[death]);
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
        unsigned records = try(&failover, seed, NULL, 0, tally), scripts = tally->scripts;
        uint64_t random = seed;
        for (KillKind kind = KILL_BEFORE_RECORD; kind <= KILL_AT_SCRIPT; kind++) {
                unsigned n = kind == KILL_AT_SCRIPT ? scripts : records;
                unsigned stride = n > TRIAL_POINTS ? n / TRIAL_POINTS + 1 : 1;
                for (unsigned at = 1; at <= n; at += stride) {
                        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
                        unsigned pick = (unsigned) (random >> 33);
                        Kill kills[] = { { kind, at }, { 1 + pick % 4, 1 + pick / 4 % 30 } };
                        try(&failover, seed, kills, 1 + pick / 128 % 2, tally);
                }
        }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);
        return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void test_death(void **state)
{
        death = *(Death *) *state;
        uint64_t only = number_of("SIM_SEED", 0), n = number_of("SIM_SEEDS", 1);
        unsigned violations = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                Tally tally = { 0 };
                for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++)
                        try_all(seed, &tally);
                print_message("%s, %s: %u runs, %u deaths, %u violations\n", death_names[death], flavour->name,
                              tally.trials, tally.kills, tally.violations);
                violations += tally.violations;
        }
        assert_int_equal(violations, 0);
}

static void test_procedure_is_well_formed(void **state)
{
        Failure failure = { 0 };
        if (procedure_check(&failover, &failure) < 0)
                fail_msg("%s", failure.text);
}

/* The same eyes must see what a table without one of its steps does. */
static void test_table_without(Death how, const char *name)
{
        Step steps[40];
        Procedure without = failover;
        Tally tally = { .quiet = true };
        without.steps = steps;
        without.n_steps = 0;
        for (size_t i = 0; i < failover.n_steps; i++)
                if (strcmp(failover.steps[i].name, name) != 0)
                        steps[without.n_steps++] = failover.steps[i];
        assert_int_equal(without.n_steps, failover.n_steps - 1);
        death = how;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                for (uint64_t seed = 1; seed <= 5; seed++)
                        try(&without, seed, NULL, 0, &tally);
        }
        print_message("without %s: found in %u of %u runs\n", name, tally.violations, tally.trials);
        assert_true(tally.violations > 0);
}

static void test_tables_with_a_hole(void **state)
{
        test_table_without(DEATH_FROZEN, "fence-process");
        test_table_without(DEATH_PROCESS, "fence-address");
        test_table_without(DEATH_PROCESS, "drain-candidate");
        test_table_without(DEATH_FEED, "feed-candidate");
        test_table_without(DEATH_PROCESS, "detach-candidate");
        test_table_without(DEATH_PROCESS, "repoint-replicas");
        test_table_without(DEATH_PROCESS, "move-address");
        test_table_without(DEATH_TAIL, "find-tail");
        test_table_without(DEATH_TAIL, "collect-tail");
        test_table_without(DEATH_TAIL, "rescue-candidate");
        test_table_without(DEATH_RELAYS, "collect-relay-logs");
}

static Json *made; /* the plan */

static void on_plan(Json *plan, void *userdata)
{
        made = plan;
        loop_exit(userdata, 0);
}

/* What would be done if the primary died, asked of a cluster that is well: nothing is changed by it. */
static void test_plan(void **state)
{
        death = DEATH_PROCESS;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                CLEANUP(sim_free) Sim *sim = sim_new(1);
                build_world(sim);
                sim->servers[0].dead = false;
                Facts facts = build_facts(sim);
                json_set_bool(facts.root, "planning", true);
                Exec *exec = sim_exec_new(sim);
                runbook_plan(sim->loop, exec, &failover, facts, usec_add(loop_now(sim->loop), 20 * USEC_SEC), on_plan,
                             sim->loop);
                assert_int_equal(loop_run(sim->loop), 0);
                if (!json_get_bool(made, "complete", false))
                        fail_msg("%s: %s", flavour->name, json_get_string(made, "why"));
                assert_int_equal(json_length(json_get(made, "steps")), failover.n_steps);
                for (size_t j = 0; j < sim->n_servers; j++) {
                        const Database *database = database_of(&sim->servers[j]);
                        assert_int_equal(database->read_only, j > 0);
                        assert_int_equal(database->receiver_on, j > 0);
                        assert_int_equal(database->has_address, j == 0);
                        assert_false(database->server->dead);
                }
                if (getenv("SIM_TRACE")) {
                        CLEANUP(mem_free) char *text = json_print_pretty(made);
                        print_message("%s\n", text);
                }
                made = json_free(made);
                sim_exec_free(exec);
        }
}

int main(void)
{
        static Death deaths[_DEATH_MAX];
        struct CMUnitTest tests[_DEATH_MAX + 3] = { cmocka_unit_test(test_procedure_is_well_formed),
                                                    cmocka_unit_test(test_tables_with_a_hole),
                                                    cmocka_unit_test(test_plan) };
        for (int i = 0; i < _DEATH_MAX; i++) {
                deaths[i] = (Death) i;
                tests[i + 3] = (struct CMUnitTest) cmocka_unit_test_prestate(test_death, &deaths[i]);
                tests[i + 3].name = death_names[i];
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
