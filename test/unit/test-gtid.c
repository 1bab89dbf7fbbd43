/* GTID sets of both families. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"
#include "gtid.h"
#include "text.h"

#define A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define B "4e11fa47-71ca-11e1-9e33-c80aa9429562"

static GtidSet *mysql(const char *text)
{
        GtidSet *set = NULL;
        assert_int_equal(gtid_parse(GTID_FAMILY_MYSQL, text, &set, NULL), 0);
        return set;
}

static GtidSet *mariadb(const char *text)
{
        GtidSet *set = NULL;
        assert_int_equal(gtid_parse(GTID_FAMILY_MARIADB, text, &set, NULL), 0);
        return set;
}

static void assert_text(const GtidSet *set, const char *expected)
{
        CLEANUP(mem_free) char *text = gtid_format(set);
        assert_string_equal(text, expected);
}

static void assert_parsed(GtidFamily family, const char *text, const char *expected)
{
        CLEANUP(gtid_free) GtidSet *set = NULL;
        assert_int_equal(gtid_parse(family, text, &set, NULL), 0);
        assert_text(set, expected);
}

static void test_mysql_text(void **state)
{
        assert_parsed(GTID_FAMILY_MYSQL, NULL, "");
        assert_parsed(GTID_FAMILY_MYSQL, " \n", "");
        assert_parsed(GTID_FAMILY_MYSQL, A ":1-5", A ":1-5");
        assert_parsed(GTID_FAMILY_MYSQL, A ":7:1-5:6", A ":1-7");
        assert_parsed(GTID_FAMILY_MYSQL, A ":1-5:7,\n" B ":3\n", A ":1-5:7," B ":3");
        assert_parsed(GTID_FAMILY_MYSQL, B ":3 , " A " : 1 - 5 ,", A ":1-5," B ":3");
        assert_parsed(GTID_FAMILY_MYSQL, "3E11FA47-71CA-11E1-9E33-C80AA9429562:1", A ":1");
        assert_parsed(GTID_FAMILY_MYSQL, A ":9223372036854775807", A ":9223372036854775807");
}

static void test_mysql_tags(void **state)
{
        assert_parsed(GTID_FAMILY_MYSQL, A ":blue:1-3", A ":blue:1-3");
        assert_parsed(GTID_FAMILY_MYSQL, A ":1-2:Blue:1-3:5:_red:7", A ":1-2:_red:7:blue:1-3:5");
        assert_parsed(GTID_FAMILY_MYSQL, A ":blue:1-3," A ":4", A ":4:blue:1-3");
        CLEANUP(gtid_free) GtidSet *plain = mysql(A ":1-9"), *tagged = mysql(A ":blue:1");
        assert_false(gtid_contains(plain, tagged));
        CLEANUP(gtid_free) GtidSet *both = gtid_union(plain, tagged);
        assert_text(both, A ":1-9:blue:1");
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(both, plain);
        assert_text(rest, A ":blue:1");
}

static void assert_malformed(GtidFamily family, const char *text)
{
        GtidSet *set = NULL;
        Failure failure = { 0 };
        assert_int_equal(gtid_parse(family, text, &set, &failure), -EINVAL);
        assert_int_equal(failure.kind, FAILURE_INVALID);
        assert_null(set);
}

static void test_malformed(void **state)
{
        static const char *const mysql_texts[] = { A,
                                                   A ":",
                                                   A ":0",
                                                   A ":5-4",
                                                   A ":1-",
                                                   A ":1:",
                                                   A ":x",
                                                   A ":blue",
                                                   A ":blue:",
                                                   A ":1,,",
                                                   ",",
                                                   A ":1 " B ":1",
                                                   A ":1-2-3",
                                                   A ":9223372036854775808",
                                                   A ":1-99999999999999999999",
                                                   A ":a12345678901234567890123456789012:1",
                                                   "3e11fa47:1",
                                                   "0-1-2",
                                                   "3e11fa4771ca11e19e33c80aa9429562:1" };
        for (size_t i = 0; i < ARRAY_LENGTH(mysql_texts); i++)
                assert_malformed(GTID_FAMILY_MYSQL, mysql_texts[i]);
        static const char *const mariadb_texts[] = {
                "0",           "0-1",    "0-1-",           "0-1-2-3",        "a-1-2",
                "0-1-2 0-1-3", ",0-1-2", "4294967296-1-2", "0-4294967296-2", "0-1-18446744073709551616",
                A ":1"
        };
        for (size_t i = 0; i < ARRAY_LENGTH(mariadb_texts); i++)
                assert_malformed(GTID_FAMILY_MARIADB, mariadb_texts[i]);
}

static void test_mysql_algebra(void **state)
{
        CLEANUP(gtid_free) GtidSet *a = mysql(A ":1-10:20-30," B ":5"), *b = mysql(A ":3-4:8-22:30");
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(a, b), *back = gtid_subtract(b, a);
        assert_text(rest, A ":1-2:5-7:23-29," B ":5");
        assert_text(back, A ":11-19");
        CLEANUP(gtid_free) GtidSet *both = gtid_union(a, b);
        assert_text(both, A ":1-30," B ":5");
        assert_true(gtid_contains(both, a) && gtid_contains(both, b));
        assert_false(gtid_contains(a, both));
        assert_true(gtid_count(both) == 31);
        CLEANUP(gtid_free) GtidSet *empty = gtid_new(GTID_FAMILY_MYSQL), *own = gtid_of_source(both, B);
        assert_text(own, B ":5");
        assert_true(gtid_contains(a, empty) && gtid_contains(empty, empty) && !gtid_contains(empty, a));
        CLEANUP(gtid_free) GtidSet *copy = gtid_copy(both), *nothing = gtid_subtract(both, both);
        assert_true(gtid_equal(copy, both) && !gtid_equal(copy, a));
        assert_true(gtid_is_empty(nothing) && gtid_equal(nothing, empty));
}

static void test_one_cut_over_two_intervals(void **state)
{
        CLEANUP(gtid_free) GtidSet *a = mysql(A ":1-3:5-7:9"), *b = mysql(A ":2-6"), *whole = mysql(A ":1-100");
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(a, b), *none = gtid_subtract(a, whole);
        assert_text(rest, A ":1:7:9");
        assert_true(gtid_is_empty(none));
}

static void test_mariadb(void **state)
{
        assert_parsed(GTID_FAMILY_MARIADB, "", "");
        assert_parsed(GTID_FAMILY_MARIADB, " 1-2-5 ,\n0-1-100", "0-1-100,1-2-5");
        assert_parsed(GTID_FAMILY_MARIADB, "0-1-100,0-2-90", "0-1-100");
        assert_parsed(GTID_FAMILY_MARIADB, "0-1-100,0-2-110", "0-2-110");
        assert_parsed(GTID_FAMILY_MARIADB, "0-1-18446744073709551615", "0-1-18446744073709551615");
        CLEANUP(gtid_free)
        GtidSet *a = mariadb("0-1-100,1-2-5"), *b = mariadb("0-3-100"), *c = mariadb("0-3-104,2-1-1");
        assert_true(gtid_contains(a, b));
        assert_false(gtid_contains(b, a));
        assert_false(gtid_contains(a, c));
        assert_false(gtid_equal(a, b));
        CLEANUP(gtid_free)
        GtidSet *lack = gtid_subtract(c, a), *both = gtid_union(a, c), *own = gtid_of_server(both, 3);
        assert_text(lack, "0-3-104,2-1-1");
        CLEANUP(mem_free) char *range = gtid_describe(lack);
        assert_string_equal(range, "0-3-101..104,2-1-1");
        assert_true(gtid_count(lack) == 5);
        assert_text(both, "0-3-104,1-2-5,2-1-1");
        assert_text(own, "0-3-104");
}

static void test_huge(void **state)
{
        CLEANUP(gtid_free) GtidSet *a = mariadb("0-1-18446744073709551615"), *b = mariadb("1-1-18446744073709551615");
        CLEANUP(gtid_free) GtidSet *both = gtid_union(a, b), *none = gtid_subtract(a, both);
        assert_true(gtid_count(both) == UINT64_MAX);
        assert_true(gtid_is_empty(none));
        /* Many intervals, in the worst order. */
        Text text = { 0 };
        text_add(&text, A);
        for (unsigned i = 50000; i > 0; i--)
                text_addf(&text, ":%u", 2 * i);
        CLEANUP(gtid_free) GtidSet *many = mysql(text.data);
        text_done(&text);
        assert_true(gtid_count(many) == 50000);
        CLEANUP(gtid_free) GtidSet *all = mysql(A ":1-100000"), *gaps = gtid_subtract(all, many);
        assert_true(gtid_count(gaps) == 50000);
        CLEANUP(gtid_free) GtidSet *again = gtid_union(gaps, many);
        assert_true(gtid_equal(again, all));
}

static void test_families_do_not_mix(void **state)
{
        CLEANUP(gtid_free) GtidSet *a = mysql(A ":1"), *b = mariadb("0-1-1");
        CLEANUP(gtid_free) GtidSet *both = gtid_union(a, b), *rest = gtid_subtract(a, b);
        assert_false(gtid_contains(a, b) || gtid_equal(a, b));
        assert_true(gtid_equal(both, a) && gtid_equal(rest, a));
}

/* Against a plain array of numbers. */
static void test_random_sets(void **state)
{
        enum { SPAN = 40 };
        srandom(7);
        for (int round = 0; round < 2000; round++) {
                bool in[2][SPAN + 1] = { 0 };
                GtidSet *sets[2];
                for (int s = 0; s < 2; s++) {
                        sets[s] = gtid_new(GTID_FAMILY_MYSQL);
                        for (int n = (int) (random() % 5); n > 0; n--) {
                                long first = 1 + random() % SPAN, last = first + random() % 8;
                                last = last > SPAN ? SPAN : last;
                                CLEANUP(mem_free) char *text = text_format(A ":%ld-%ld", first, last);
                                CLEANUP(gtid_free) GtidSet *more = mysql(text), *old = sets[s];
                                sets[s] = gtid_union(old, more);
                                for (long i = first; i <= last; i++)
                                        in[s][i] = true;
                        }
                }
                CLEANUP(gtid_free) GtidSet *a = sets[0], *b = sets[1], *rest = gtid_subtract(a, b);
                uint64_t expected = 0;
                for (int i = 1; i <= SPAN; i++)
                        expected += in[0][i] && !in[1][i];
                assert_true(gtid_count(rest) == expected);
                assert_true(gtid_contains(b, a) == (expected == 0));
                CLEANUP(gtid_free) GtidSet *sum = gtid_union(rest, b), *both = gtid_union(a, b);
                assert_true(gtid_equal(sum, both));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mysql_text),
                cmocka_unit_test(test_mysql_tags),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_mysql_algebra),
                cmocka_unit_test(test_one_cut_over_two_intervals),
                cmocka_unit_test(test_mariadb),
                cmocka_unit_test(test_huge),
                cmocka_unit_test(test_families_do_not_mix),
                cmocka_unit_test(test_random_sets),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
