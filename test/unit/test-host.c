/* Host names and addresses as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "alloc.h"
#include "host.h"

static void test_same(void **state)
{
        static const struct {
                const char *a, *b;
                bool same;
        } rows[] = {
                { "db1", "DB1", true },
                { "db1", "db2", false },
                { "10.0.0.1", "10.0.0.1", true },
                { "10.0.0.1", "10.0.0.10", false },
                { "fd00::1", "fd00:0:0::1", true },
                { "fd00::1", "FD00:0000:0000:0000:0000:0000:0000:0001", true },
                { "fd00::1", "fd00::10", false },
                { "::ffff:10.0.0.1", "10.0.0.1", true },
                { "::10.0.0.1", "10.0.0.1", false },
                { "fd00::1", "db1", false },
                { "", "", false },
                { NULL, NULL, false },
                { "db1", NULL, false },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                assert_int_equal(host_is_same(rows[i].a, rows[i].b), rows[i].same);
                assert_int_equal(host_is_same(rows[i].b, rows[i].a), rows[i].same);
        }
}

static void assert_text(char *text, const char *expected)
{
        assert_string_equal(text, expected);
        free(text);
}

static void test_text(void **state)
{
        assert_text(host_canonical("fd00:0:0::00A1"), "fd00::a1");
        assert_text(host_canonical("::ffff:10.0.0.1"), "10.0.0.1");
        assert_text(host_canonical("Db1.Example"), "db1.example");
        assert_text(host_and_port("db1", 3306), "db1:3306");
        assert_text(host_and_port("10.0.0.1", 22), "10.0.0.1:22");
        assert_text(host_and_port("fd00::1", 3307), "[fd00::1]:3307");
        assert_text(host_and_port(NULL, 1), ":1");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same),
                cmocka_unit_test(test_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
