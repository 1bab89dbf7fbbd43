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
#include "run.h"
#include "text.h"
#include "trial.h"

/* The servers: "GET name", "SET name=value" and "OPEN", which counts. */

static void answer(Reply *reply, const char *value)
{
        reply_set_columns(reply, 1, (const char *const[]){ "value" });
        reply_add_row(reply, &value);
}

static void answer_get(SimServer *server, const char *name, Reply *reply)
{
        int64_t value = json_get_int(server->state, name, 0);
        if (strcmp(name, "applied") == 0 && value < json_get_int(server->state, "reach", 0))
                json_set_int(server->state, "applied", ++value);
        const char *text = json_get_string(server->state, name);
        CLEANUP(mem_free) char *number = text_format("%lld", (long long) value);
        answer(reply, text ? text : number);
}

static void execute(Sim *sim, SimServer *server, const ScriptItem *item, Reply *reply)
{
        const char *text = item->text, *equals = strchr(text, '=');
        if (!sim_is_effect(item)) {
                answer_get(server, text + 4, reply);
                return;
        }
        int64_t refuse = strcmp(text, "OPEN") == 0 ? json_get_int(server->state, "refuse", 0) : 0;
        if (refuse > 0 || sim_chance(sim, 100)) {
                if (refuse > 0)
                        json_set_int(server->state, "refuse", refuse - 1);
                failure_set(&reply->failure, FAILURE_SQL, 1205, "lock wait timeout exceeded");
                return;
        }
        if (strcmp(text, "OPEN") == 0) {
                json_set_int(server->state, "writable", 1);
                json_set_int(server->state, "opened", json_get_int(server->state, "opened", 0) + 1);
                return;
        }
        CLEANUP(mem_free) char *name = alloc_string_n(text + 4, (size_t) (equals - text - 4));
        if (equals[1] >= '0' && equals[1] <= '9')
                json_set_int(server->state, name, atoll(equals + 1));
        else
                json_set_string(server->state, name, equals + 1);
}

/* The procedure */

static unsigned life; /* a decision that is taken anew may be another one */

static void decide_confirm(const Facts *facts, Judgement *judgement)
{
        json_set_int(judge_learned(judgement), "confirmed_in", life);
        judge_as(judgement, VERDICT_MET, "it is dead");
}

static void decide_choose(const Facts *facts, Judgement *judgement)
{
        const char *best = NULL;
        int64_t most = -1;
        for (size_t i = 0; i < facts_n_servers(facts); i++) {
                const char *name = facts_server_name(facts, i);
                int64_t position = facts_server_int(facts, name, "position", -1);
                if (position > most || (position == most && life % 2 == 0)) {
                        best = name;
                        most = position;
                }
        }
        if (most < 0) {
                judge_as(judgement, VERDICT_HOPELESS, "nobody has told a position");
                return;
        }
        json_set_string(judge_learned(judgement), "candidate", best);
        judge_as(judgement, VERDICT_MET, "%s has the most", best);
}

static int64_t value_of(const Replies *replies, size_t i)
{
        const char *value = reply_get(replies_at(replies, i), 0, "value");
        return value ? atoll(value) : -1;
}

static void ask_writable(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET writable");
}

static void judge_fenced(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_as(judgement, value_of(replies, 0) == 0 ? VERDICT_MET : VERDICT_UNMET, "writable is %lld",
                 (long long) value_of(replies, 0));
}

static void act_fence(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET writable=0");
}

static void ask_receiver(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET receiver");
        script_sql(script, "GET position");
}

static void judge_stopped(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        json_set_int(judge_learned(judgement), "position", value_of(replies, 1));
        judge_as(judgement, value_of(replies, 0) == 0 ? VERDICT_MET : VERDICT_UNMET, "at %lld",
                 (long long) value_of(replies, 1));
}

static void act_stop(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET receiver=0");
}

static void ask_applied(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET applied");
}

static void judge_applied(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        bool all = value_of(replies, 0) == facts_server_int(facts, server, "position", -2);
        judge_as(judgement, all ? VERDICT_MET : VERDICT_UNMET, "applied %lld", (long long) value_of(replies, 0));
}

static void judge_open(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_as(judgement, value_of(replies, 0) == 1 ? VERDICT_MET : VERDICT_UNMET, "writable is %lld",
                 (long long) value_of(replies, 0));
}

static void act_open(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "OPEN");
}

static void ask_source(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET source");
}

static void judge_follows(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *source = reply_get(replies_at(replies, 0), 0, "value");
        bool follows = text_equal(source, facts_string(facts, "candidate"));
        judge_as(judgement, follows ? VERDICT_MET : VERDICT_UNMET, "follows %s", source ? source : "nobody");
}

static void act_follow(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET source=%s", facts_string(facts, "candidate"));
}

static bool skip_always(const Facts *facts)
{
        return true;
}

static void judge_received(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_as(judgement, value_of(replies, 0) == 1 ? VERDICT_MET : VERDICT_UNMET, "receiver is %lld",
                 (long long) value_of(replies, 0));
}

static void act_receive(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET receiver=1");
}

static void act_unfence(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET writable=1");
}

static const Step steps[] = {
        { "confirm", "it is dead", ON_DAEMON, NEED_EVERY, THEN_ABORT, .decide = decide_confirm },
        { "fence", "the old primary takes no writes", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 30 * USEC_SEC,
          .ask = ask_writable, .judge = judge_fenced, .act = act_fence, .parallel_with_next = true },
        { "address", "never needed", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 30 * USEC_SEC, .skip = skip_always,
          .ask = ask_writable, .judge = judge_fenced, .parallel_with_next = true },
        { "stop", "no replica receives", ON_REPLICAS, NEED_ONE, THEN_ABORT, 20 * USEC_SEC, .ask = ask_receiver,
          .judge = judge_stopped, .act = act_stop },
        { "choose", "one is chosen", ON_DAEMON, NEED_EVERY, THEN_ABORT, .decide = decide_choose },
        { "hook", "never needed", ON_DAEMON, NEED_EVERY, THEN_ABORT, .skip = skip_always, .ask = ask_writable,
          .judge = judge_fenced },
        { "drain", "the candidate has applied all", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, 20 * USEC_SEC,
          .ask = ask_applied, .judge = judge_applied },
        { "open", "the candidate takes writes", ON_CANDIDATE, NEED_EVERY, THEN_HALT, 20 * USEC_SEC, .ask = ask_writable,
          .judge = judge_open, .act = act_open },
        { "follow", "the others follow", ON_OTHERS, NEED_NONE, THEN_CONTINUE, 30 * USEC_SEC, .ask = ask_source,
          .judge = judge_follows, .act = act_follow },
};
static const Step undo[] = {
        { "restart", "replicas receive", ON_REPLICAS, NEED_NONE, THEN_CONTINUE, 30 * USEC_SEC, .ask = ask_receiver,
          .judge = judge_received, .act = act_receive },
        { "unfence", "the old primary takes writes", ON_OLD_PRIMARY, NEED_NONE, THEN_CONTINUE, 30 * USEC_SEC,
          .ask = ask_writable, .judge = judge_open, .act = act_unfence },
};
static const Procedure exam = { "exam", 1, steps, ARRAY_LENGTH(steps), "open", undo, ARRAY_LENGTH(undo) };

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
        life = trial->life;
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
        static const int positions[] = { 0, 10, 12, 12 };
        for (size_t i = 0; i < 4; i++) {
                CLEANUP(mem_free) char *name = text_format("db%zu", i + 1);
                SimServer *server = sim_add(sim, name);
                json_set_int(server->state, "writable", i == 0);
                json_set_int(server->state, "receiver", i > 0);
                json_set_int(server->state, "position", positions[i]);
                json_set_int(server->state, "applied", positions[i] - 5);
                json_set_int(server->state, "reach", scenario == SCENARIO_ABORT ? positions[i] - 1 : positions[i]);
                json_set_string(server->state, "source", i == 0 ? NULL : "db1");
                server->cut = scenario == SCENARIO_CUT && i == 1;
                if (scenario == SCENARIO_HALT)
                        json_set_int(server->state, "refuse", i > 0 ? 42 : 0);
        }
        sim->execute = execute;
        sim->stuck = 150;
        sim->lost = 50;
}

static Facts build_facts(void)
{
        Facts facts = facts_new("app1", "r1", "exam");
        json_set_string(facts.root, "old_primary", "db1");
        for (int i = 1; i <= 4; i++) {
                CLEANUP(mem_free) char *name = text_format("db%d", i);
                json_append_string(json_ensure_array(facts.root, "order"), name);
                if (i > 1)
                        json_append_string(json_ensure_array(facts.root, "replicas"), name);
        }
        return facts;
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
        told = half_told = false;
        Trial trial = { .sim = sim,
                        .procedure = &exam,
                        .initial = build_facts(),
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
        uint64_t only = number_of("SIM_SEED", 0), n = number_of("SIM_SEEDS", 8);
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
        for (uint64_t seed = 1; seed <= 4; seed++)
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
