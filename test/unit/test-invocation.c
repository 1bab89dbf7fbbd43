/* What is run for a hook: words, environment, input; and where a password goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "invocation.h"
#include "text.h"

static char *joined(char *const *words)
{
        Text text = { 0 };
        for (; words && *words; words++) {
                text_separate(&text, "|");
                text_add(&text, *words);
        }
        return text_take(&text);
}

static void expect(const ExecHook *hook, const char *input, const char *argv, const char *environment, const char *in)
{
        CLEANUP(json_free) Json *json = NULL;
        assert_int_equal(json_parse(input, strlen(input), &json, NULL), 0);
        CLEANUP(invocation_done) Invocation run = invocation_make(hook, json, "s3 'c\"r$t");
        CLEANUP(mem_free) char *words = joined(run.argv);
        CLEANUP(mem_free) char *variables = joined(run.environment);
        assert_string_equal(words, argv);
        assert_string_equal(variables, environment);
        if (in)
                assert_string_equal(run.input, in);
        else
                assert_null(run.input);
}

static void test_words(void **state)
{
        const ExecHook hook = { .name = "stop", .argv = (const char *const[]){ "/bin/x", "stop", NULL } };
        expect(&hook, "{\"hook\":\"stop\"}", "/bin/x|stop", "", "{\"hook\":\"stop\"}");
}

#define ARGUMENTS "{\"arguments\": [\"--command=start\", \"--a='b c'\", \"--new_password=${sql_password}\"]}"

static void test_command(void **state)
{
        ExecHook hook = { .name = "mha.x", .command = "/opt/x -v" };
        expect(&hook, ARGUMENTS, "/bin/sh|-c|/opt/x -v \"$@\"|/opt/x|--command=start|--a='b c'",
               "NEW_PASSWORD=s3 'c\"r$t", NULL);
        hook.password_arguments = true;
        expect(&hook, ARGUMENTS,
               "/bin/sh|-c|/opt/x -v \"$@\"|/opt/x|--command=start|--a='b c'|--new_password=s3 'c\"r$t", "", NULL);
}

static void test_no_password(void **state)
{
        const ExecHook hook = { .name = "mha.x", .command = "x" };
        CLEANUP(json_free) Json *json = NULL;
        assert_int_equal(json_parse(ARGUMENTS, strlen(ARGUMENTS), &json, NULL), 0);
        CLEANUP(invocation_done) Invocation run = invocation_make(&hook, json, NULL);
        assert_string_equal(run.environment[0], "NEW_PASSWORD=");
        CLEANUP(invocation_done) Invocation bare = invocation_make(&hook, NULL, NULL);
        assert_string_equal(bare.argv[3], "x");
        assert_null(bare.argv[4]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_command),
                cmocka_unit_test(test_no_password),
        };
        return cmocka_run_group_tests_name("invocation", tests, NULL, NULL);
}
