/* Statements and commands in their final form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "compose.h"
#include "text.h"

static void check_statement(const char *text, const char *password, const char *expected)
{
        char *statement = NULL;
        Failure failure;
        ComposeSecrets secrets = { .replication_password = password, .feed_password = "f'" };
        assert_int_equal(compose_statement("run-1", text, &secrets, &statement, &failure), 0);
        assert_string_equal(statement, expected);
        text_wipe(statement);
}

static void test_statement(void **state)
{
        check_statement("SELECT 1", NULL, "/* mhad run-1 */ SELECT 1");
        check_statement("", NULL, "/* mhad run-1 */ ");
        check_statement("A ${replication_password}, B", "x", "/* mhad run-1 */ A 'x', B");
        check_statement("${replication_password}${replication_password}", "a'b\\",
                        "/* mhad run-1 */ 'a\\'b\\\\''a\\'b\\\\'");
        check_statement("${replication_password", "x", "/* mhad run-1 */ ${replication_password");
        check_statement("${other}", "x", "/* mhad run-1 */ ${other}");
        check_statement("A ${feed_password}, ${replication_password}", "x", "/* mhad run-1 */ A 'f\\'', 'x'");
        check_statement("A ${replication_password}", "${feed_password}", "/* mhad run-1 */ A '$\\{feed_password}'");
        /* A password that looks like the placeholder is not replaced again. */
        check_statement("A ${replication_password}", "${replication_password}",
                        "/* mhad run-1 */ A '$\\{replication_password}'");
}

/* What a server says may stand in a statement to another: it gets no secret by that, and does not end its quotation. */
static void test_no_placeholder_from_outside(void **state)
{
        CLEANUP(mem_free) char *value = text_quote_sql("${replication_password}) OR SLEEP(${feed_password}) -- ");
        CLEANUP(mem_free) char *text = text_format("SELECT %s", value);
        CLEANUP(mem_free) char *expected = text_format("/* mhad run-1 */ %s", text);
        check_statement(text, "secret", expected);
}

static void test_refusals(void **state)
{
        static const char *const tags[] = { "", "a b", "a*/", "'", NULL };
        static const ComposeSecrets none;
        char *statement = NULL;
        Failure failure;
        for (size_t i = 0; i < ARRAY_LENGTH(tags); i++) {
                assert_true(compose_statement(tags[i], "SELECT 1", &none, &statement, &failure) < 0);
                assert_int_equal(failure.kind, FAILURE_INVALID);
                assert_null(compose_mark(tags[i]));
        }
        assert_true(compose_statement("t", "${replication_password}", &none, &statement, &failure) < 0);
        assert_true(compose_statement("t", "${feed_password}", &none, &statement, &failure) < 0);
        assert_null(statement);
}

/* What a value goes through on its way into a script, and the script on its way to the host. */
static void test_command(void **state)
{
        static const char *const values[] = { "",     "plain",      "it's", "a\"b", "$HOME `id` $(id)",
                                              "a\\b", "two\nlines", "*",    "-n",   "'''" };
        for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
                CLEANUP(mem_free) char *word = text_quote_shell(values[i]);
                CLEANUP(mem_free) char *script = text_format("printf %%s %s; printf .", word);
                CLEANUP(mem_free) char *command = compose_command(script, i % 2 ? SUDO_COMMANDS : SUDO_NOTHING);
                char output[64] = "";
                FILE *pipe = popen(command, "re");
                size_t n = fread(output, 1, sizeof output - 1, pipe);
                assert_int_equal(pclose(pipe), 0);
                assert_int_equal(n, strlen(values[i]) + 1);
                assert_memory_equal(output, values[i], n - 1);
        }
        CLEANUP(mem_free) char *sudo = compose_command("id -u", SUDO_ALL);
        assert_string_equal(sudo, "sudo -n sh -c 'id -u'");
}

static void test_conceal(void **state)
{
        Failure failure;
        failure_set(&failure, FAILURE_SQL, 1234, "wrong: 'se\\'cret' and se'cret here");
        compose_conceal("X ${replication_password}", &(ComposeSecrets){ .replication_password = "se'cret" }, &failure);
        assert_null(strstr(failure.text, "cret"));
        assert_non_null(strstr(failure.text, "here"));
        failure_set(&failure, FAILURE_SQL, 1064, "You have an error; near 'x=\\'se' at line 1");
        compose_conceal("X ${replication_password}", &(ComposeSecrets){ .replication_password = "se'cret" }, &failure);
        assert_string_equal(failure.text, "You have an error;");
        failure_set(&failure, FAILURE_SQL, 1064, "You have an error; near 'SELEC' at line 1");
        compose_conceal("SELEC", &(ComposeSecrets){ .replication_password = "se'cret" }, &failure);
        assert_string_equal(failure.text, "You have an error; near 'SELEC' at line 1");
        failure_set(&failure, FAILURE_SQL, 1, "a a a");
        compose_conceal("${replication_password}", &(ComposeSecrets){ .replication_password = "a" }, &failure);
        assert_string_equal(failure.text, "* * *");
        compose_conceal("${replication_password}", &(ComposeSecrets){ .replication_password = "" }, &failure);
        assert_string_equal(failure.text, "* * *");
}

static void test_blot_out(void **state)
{
        static const char *const cases[][3] = {
                { "a secret, secret", "secret", "a ***, ***" },
                { "a **** b", "**", "a **** b" },
                { "nothing", "", "nothing" },
                { "ababab", "ab", "******" },
                { "*", "*", "*" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                CLEANUP(mem_free) char *text = alloc_string(cases[i][0]);
                compose_blot_out(text, cases[i][1]);
                assert_string_equal(text, cases[i][2]);
        }
        compose_blot_out(NULL, "x");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blot_out), cmocka_unit_test(test_statement),
                cmocka_unit_test(test_refusals), cmocka_unit_test(test_command),
                cmocka_unit_test(test_conceal),  cmocka_unit_test(test_no_placeholder_from_outside),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
