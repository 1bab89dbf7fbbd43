/* Version strings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc.h"
#include "flavour.h"

static Version version(const char *text)
{
        Version found;
        assert_int_equal(version_parse(text, &found, NULL), 0);
        return found;
}

static void assert_version(const char *text, const char *expected)
{
        Version found = version(text);
        CLEANUP(mem_free) char *printed = version_format(&found);
        assert_string_equal(printed, expected);
}

static void test_parse(void **state)
{
        assert_version("10.11.19-MariaDB-0+deb12u1-log", "MariaDB 10.11.19");
        assert_version("5.5.5-10.11.6-MariaDB", "MariaDB 10.11.6");
        assert_version("11.8.2-MariaDB", "MariaDB 11.8.2");
        assert_version("5.6.24-log", "MySQL 5.6.24");
        assert_version("8.0.36-28.1", "MySQL 8.0.36");
        assert_version("9.7.0", "MySQL 9.7.0");
        assert_version("8.4", "MySQL 8.4.0");
        assert_version("5.5.5-debug", "MySQL 5.5.5");
}

static void test_malformed(void **state)
{
        static const char *const texts[] = {
                "", "x", "8", "8.", "0.1.2", "-MariaDB", "5.5.5-MariaDB", "8.0.", "8.99999999999.1"
        };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                Version found = { 0 };
                Failure failure = { 0 };
                assert_int_equal(version_parse(texts[i], &found, &failure), -EINVAL);
                assert_int_equal(failure.kind, FAILURE_INVALID);
                assert_false(version_is_set(&found));
        }
        assert_int_equal(version_parse(NULL, &(Version){ 0 }, NULL), -EINVAL);
}

static void test_order(void **state)
{
        Version a = version("8.0.36"), b = version("8.0.4"), c = version("8.4.0"), d = version("10.11.6-MariaDB");
        assert_true(version_compare(&a, &b) > 0);
        assert_true(version_compare_series(&a, &b) == 0);
        assert_true(version_compare_series(&a, &c) < 0);
        assert_true(version_compare(&a, &d) != 0);
        assert_true(version_at_least(&a, 8, 0, 23));
        assert_false(version_at_least(&b, 8, 0, 23));
}

static void test_names(void **state)
{
        for (int i = 0; i < _FLAVOUR_MAX; i++)
                assert_int_equal(flavour_from_string(flavour_to_string((Flavour) i)), i);
        assert_int_equal(flavour_from_string("oracle"), _FLAVOUR_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_malformed),
                                            cmocka_unit_test(test_order), cmocka_unit_test(test_names) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
