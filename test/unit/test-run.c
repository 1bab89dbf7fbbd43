/* The fold over a run's records: what each does, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "alloc.h"
#include "run.h"
#include "text.h"

static void decide(const Facts *facts, Judgement *judgement)
{
}

static void ask(const Facts *facts, const char *server, Script *script)
{
}

static void judge(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
}

#define ASKED .ask = ask, .judge = judge
static const Step steps[] = {
        { "one", "one", ON_REPLICAS, NEED_EVERY, THEN_CONTINUE, ASKED },
        { "two", "two", ON_REPLICAS, NEED_ONE, THEN_ABORT, ASKED, .parallel_with_next = true },
        { "three", "three", ON_REPLICAS, NEED_NONE, THEN_ABORT, ASKED },
        { "choose", "choose", ON_DAEMON, NEED_EVERY, THEN_ABORT, .decide = decide },
        { "four", "four", ON_REPLICAS, NEED_EVERY, THEN_HALT, ASKED },
};
static const Step undo[] = {
        { "one", "back", ON_REPLICAS, NEED_EVERY, THEN_CONTINUE, ASKED },
        { "two", "surely", ON_REPLICAS, NEED_EVERY, THEN_HALT, ASKED },
};
static const Procedure procedure = { "exam", 3, steps, ARRAY_LENGTH(steps), "four", undo, ARRAY_LENGTH(undo) };

static int apply_text(Run *run, const char *kind, const char *step, const char *server, const char *text,
                      Failure *reterr)
{
        CLEANUP(json_free) Json *data = NULL;
        if (text)
                assert_int_equal(json_parse(text, strlen(text), &data, NULL), 0);
        return run_apply(run, 7, kind, step, server, data, reterr);
}

static void apply(Run *run, const char *kind, const char *step, const char *server, const char *text)
{
        Failure failure = { 0 };
        if (apply_text(run, kind, step, server, text, &failure) < 0)
                fail_msg("%s", failure.text);
}

static void refuse(Run *run, const char *kind, const char *step, const char *server, const char *text,
                   const char *words)
{
        Failure failure = { 0 };
        assert_true(apply_text(run, kind, step, server, text, &failure) < 0);
        assert_int_equal(failure.kind, FAILURE_INVALID);
        if (!strstr(failure.text, words))
                fail_msg("'%s' does not say '%s'", failure.text, words);
}

#define START                                                                                                          \
        "{\"procedure\":\"exam\",\"version\":3,\"facts\":{\"run\":\"r1\",\"replicas\":[\"db1\",\"db2\"],"              \
        "\"order\":[\"db1\",\"db2\",\"db3\"]}}"
#define MET "{\"verdict\":\"met\",\"targets\":[\"db1\",\"db2\"]}"

static Run *started(void)
{
        Run *run = run_new(&procedure);
        apply(run, "run-started", NULL, NULL, START);
        return run;
}

static StepState state_of(const Run *run, const char *name)
{
        return run_step(run, name)->state;
}

static void test_another_version_is_refused(void **state)
{
        CLEANUP(run_free) Run *run = run_new(&procedure);
        refuse(run, "run-started", NULL, NULL, "{\"procedure\":\"exam\",\"version\":2,\"facts\":{\"run\":\"r1\"}}",
               "version 2 of the procedure exam and this is version 3");
        refuse(run, "run-started", NULL, NULL, "{\"procedure\":\"other\",\"version\":3,\"facts\":{\"run\":\"r1\"}}",
               "the procedure other");
        refuse(run, "settled", "one", "db1", MET, "without a beginning");
        apply(run, "run-started", NULL, NULL, START);
        refuse(run, "run-started", NULL, NULL, START, "with two");
}

static void test_what_is_unknown_is_refused(void **state)
{
        CLEANUP(run_free) Run *run = started();
        refuse(run, "settled", "none", "db1", MET, "the step none");
        refuse(run, "settled", "one", "db3", MET, "the target db3");
        refuse(run, "settled", "one", "db1", "{\"verdict\":\"perhaps\"}", "the verdict perhaps");
        refuse(run, "intent", "two", "db1", "{}", "no targets of the step two");
        refuse(run, "sung", "one", "db1", MET, "the kind sung");
        refuse(run, "run-ended", NULL, NULL, "{\"outcome\":\"fun\"}", "the outcome fun");
}

/* Invariant 5: they are what the first record says, whatever is learned later. */
static void test_targets_stay(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "intent", "one", "db1", "{\"targets\":[\"db1\"],\"script\":[{\"sql\":\"X\"}]}");
        assert_int_equal(run_step(run, "one")->n_targets, 1);
        assert_string_equal(run_step_target(run_step(run, "one"), "db1")->intent, "[{\"sql\":\"X\"}]");
        assert_false(json_has(run->facts.root, "hooks_run"));
        const char *hook = "{\"targets\":[\"db1\"],\"script\":[{\"hook\":\"stop\",\"input\":{}}]}";
        apply(run, "intent", "one", "db1", hook);
        apply(run, "intent", "one", "db1", hook);
        CLEANUP(mem_free) char *hooks = json_print(json_get(run->facts.root, "hooks_run"));
        assert_string_equal(hooks, "[\"stop\"]"); /* each once, for those who take back what it did */
        apply(run, "settled", "one", "db1", MET);
        assert_int_equal(run_step(run, "one")->n_targets, 1);
        assert_int_equal(state_of(run, "one"), STEP_DONE);
}

static void test_needs(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "settled", "one", "db1", MET);
        assert_int_equal(state_of(run, "one"), STEP_RUNNING);
        apply(run, "settled", "one", "db2", "{\"verdict\":\"timeout\",\"why\":\"late\"}");
        assert_int_equal(state_of(run, "one"), STEP_FAILED);
        assert_null(run_blocking_step(run)); /* then continue */
        const RunTarget *target = NULL;
        assert_int_equal(run_step_verdict(run_step(run, "one"), &target), VERDICT_TIMEOUT);
        assert_string_equal(target->server, "db2");

        apply(run, "started", "two", NULL, "{\"targets\":[\"db1\",\"db2\"]}");
        apply(run, "settled", "two", "db1", "{\"verdict\":\"unreachable\"}");
        apply(run, "settled", "two", "db2", "{\"verdict\":\"met\"}");
        assert_int_equal(state_of(run, "two"), STEP_DONE); /* one was enough */
        apply(run, "started", "three", NULL, "{\"targets\":[\"db1\"]}");
        apply(run, "settled", "three", "db1", "{\"verdict\":\"hopeless\"}");
        assert_int_equal(state_of(run, "three"), STEP_DONE); /* none was needed */
}

static void test_groups_and_skipping(void **state)
{
        CLEANUP(run_free) Run *run = started();
        size_t first, end;
        assert_true(run_current_group(run, &first, &end));
        assert_int_equal(first, 0);
        assert_int_equal(end, 1);
        apply(run, "started", "two", NULL, "{\"targets\":[\"db1\"]}"); /* so "one" was skipped */
        assert_int_equal(state_of(run, "one"), STEP_SKIPPED);
        assert_true(run_current_group(run, &first, &end));
        assert_int_equal(first, 1);
        assert_int_equal(end, 3);
        assert_false(run_step_is_alone(run, run_step(run, "two")));
        assert_false(run_step_is_alone(run, run_step(run, "three")));
        assert_true(run_step_is_alone(run, run_step(run, "choose")));
        apply(run, "settled", "two", "db1", MET);
        assert_int_equal(state_of(run, "three"), STEP_PENDING); /* of the same group: not known yet */
        apply(run, "skipped", "three", NULL, NULL);
        assert_true(run_current_group(run, &first, &end));
        assert_int_equal(first, 3);
}

static void test_decisions_and_learning(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "settled", "one", "db1",
              "{\"verdict\":\"met\",\"targets\":[\"db1\"],\"learned\":{\"position\":{\"a\":1,\"b\":2}}}");
        apply(run, "decided", "choose", NULL,
              "{\"verdict\":\"met\",\"targets\":[\"\"],\"learned\":{\"candidate\":\"db1\",\"order\":null}}");
        CLEANUP(mem_free) char *facts = json_print(run->facts.root);
        assert_string_equal(facts, "{\"run\":\"r1\",\"replicas\":[\"db1\",\"db2\"],\"servers\":{\"db1\":{\"position\":"
                                   "{\"a\":1,\"b\":2}}},\"candidate\":\"db1\"}");
        assert_int_equal(state_of(run, "choose"), STEP_DONE);
        assert_false(run_no_return_passed(run));
        apply(run, "intent", "four", "db1", "{\"targets\":[\"db1\"],\"script\":[]}");
        assert_true(run_no_return_passed(run));
}

/* From the first that is proved. */
static void test_when_it_was_fenced(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "settled", "one", "db1",
              "{\"verdict\":\"met\",\"targets\":[\"db1\"],\"learned\":{\"fence\":{\"address\":{}}}}");
        assert_false(json_has(run->facts.root, "fenced_at"));
        apply(run, "settled", "two", "db1",
              "{\"verdict\":\"met\",\"targets\":[\"db1\"],\"learned\":{\"fence\":{\"process\":{}}}}");
        assert_int_equal(json_get_int(run->facts.root, "fenced_at", 0), 7);
}

static void test_retry_and_override(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "settled", "four", "db1", MET);
        apply(run, "settled", "four", "db2", "{\"verdict\":\"timeout\"}");
        assert_ptr_equal(run_blocking_step(run), run_step(run, "four"));
        apply(run, "halted", "four", NULL, "{\"why\":\"late\"}");
        assert_true(run->halted);
        apply(run, "retry", NULL, NULL, "{\"by\":\"me\"}");
        assert_false(run->halted);
        assert_int_equal(state_of(run, "four"), STEP_RUNNING);
        assert_true(run_step_target(run_step(run, "four"), "db1")->settled);
        assert_false(run_step_target(run_step(run, "four"), "db2")->settled);
        apply(run, "settled", "four", "db2", "{\"verdict\":\"hopeless\"}");
        apply(run, "halted", "four", NULL, "{\"why\":\"worse\"}");
        apply(run, "settled", "four", "db2", "{\"verdict\":\"met\",\"by\":\"me\",\"why\":\"done by hand\"}");
        assert_false(run->halted);
        assert_null(run_blocking_step(run));
        size_t first, end;
        assert_false(run_current_group(run, &first, &end));
}

static void test_a_decision_that_failed_may_be_retaken(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "decided", "choose", NULL, "{\"verdict\":\"hopeless\",\"targets\":[\"\"]}");
        assert_ptr_equal(run_blocking_step(run), run_step(run, "choose"));
        apply(run, "retry", NULL, NULL, NULL);
        assert_int_equal(state_of(run, "choose"), STEP_PENDING);
}

/* Undo steps may bear the names of steps, and none of them blocks but one that halts. */
static void test_undoing(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "settled", "one", "db1", MET);
        apply(run, "undoing", NULL, NULL, "{\"why\":\"told\"}");
        size_t first, end;
        assert_true(run_current_group(run, &first, &end));
        assert_int_equal(first, ARRAY_LENGTH(steps));
        apply(run, "settled", "one", "db1", "{\"verdict\":\"timeout\",\"targets\":[\"db1\"]}");
        assert_int_equal(run->steps[0].state, STEP_RUNNING);
        assert_int_equal(run->steps[ARRAY_LENGTH(steps)].state, STEP_FAILED);
        assert_null(run_blocking_step(run));
        apply(run, "settled", "two", "db1", "{\"verdict\":\"timeout\",\"targets\":[\"db1\"]}");
        assert_ptr_equal(run_blocking_step(run), &run->steps[ARRAY_LENGTH(steps) + 1]);
        apply(run, "retry", NULL, NULL, NULL);
        assert_null(run_blocking_step(run));
        apply(run, "settled", "two", "db1", "{\"verdict\":\"met\"}");
        assert_false(run_current_group(run, &first, &end));
        assert_false(json_has(run->facts.root, "opening"));
        apply(run, "run-ended", NULL, NULL, "{\"outcome\":\"aborted\",\"why\":\"told\"}");
        assert_true(run->ended);
        assert_int_equal(run->outcome, RUN_ABORTED);
}

/* It may have been opened when its act was intended, not before. */
static void test_undoing_an_opening(void **state)
{
        CLEANUP(run_free) Run *run = started();
        apply(run, "settled", "three", "db1", MET);
        apply(run, "intent", "four", "db2", "{\"script\":[],\"targets\":[\"db1\",\"db2\"]}");
        apply(run, "undoing", NULL, NULL, "{\"why\":\"told\"}");
        assert_true(json_get_bool(run->facts.root, "opening", false));
}

static void test_lost(void **state)
{
        CLEANUP(run_free) Run *run = started();
        refuse(run, "lost", NULL, "db9", "{\"why\":\"dead\"}", "the server db9");
        assert_false(run_is_lost(run, "db2"));
        apply(run, "lost", NULL, "db2", "{\"why\":\"dead\"}");
        assert_true(run_is_lost(run, "db2"));
        assert_false(run_is_lost(run, "db1"));
        assert_false(run_is_lost(run, ""));
}

static void test_names(void **state)
{
        for (int i = 0; i < _RECORD_MAX; i++)
                assert_int_equal(record_kind_from_string(record_kind_to_string((RecordKind) i)), i);
        for (int i = 0; i < _RUN_OUTCOME_MAX; i++)
                assert_int_equal(run_outcome_from_string(run_outcome_to_string((RunOutcome) i)), i);
        for (int i = 0; i < _STEP_STATE_MAX; i++)
                assert_string_not_equal(step_state_to_string((StepState) i), "?");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_another_version_is_refused),
                cmocka_unit_test(test_what_is_unknown_is_refused),
                cmocka_unit_test(test_targets_stay),
                cmocka_unit_test(test_needs),
                cmocka_unit_test(test_groups_and_skipping),
                cmocka_unit_test(test_decisions_and_learning),
                cmocka_unit_test(test_when_it_was_fenced),
                cmocka_unit_test(test_retry_and_override),
                cmocka_unit_test(test_a_decision_that_failed_may_be_retaken),
                cmocka_unit_test(test_undoing),
                cmocka_unit_test(test_undoing_an_opening),
                cmocka_unit_test(test_lost),
                cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
