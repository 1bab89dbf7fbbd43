/* Binary-log coordinates. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "alloc.h"
#include "position.h"

static Position at(const char *text)
{
        Position position;
        assert_int_equal(position_parse(text, &position, NULL), 0);
        return position;
}

static void test_parse(void **state)
{
        Position position = at("binlog.000003:1234");
        assert_string_equal(position.file, "binlog.000003");
        assert_int_equal(position.offset, 1234);
        CLEANUP(mem_free) char *text = position_format(&position);
        assert_string_equal(text, "binlog.000003:1234");
        position = at("a:b.01:18446744073709551615");
        assert_string_equal(position.file, "a:b.01");
        assert_true(position.offset == UINT64_MAX);
}

static void test_malformed(void **state)
{
        static const char *const texts[] = { "",        "binlog.000003", ":4",
                                             "binlog:", "b.1:4x",        "b.1:-4",
                                             "/:4",     "b.1: 4",        "b.1:18446744073709551616" };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                Position position = at("keep.1:7");
                Failure failure = { 0 };
                assert_int_equal(position_parse(texts[i], &position, &failure), -EINVAL);
                assert_int_equal(failure.kind, FAILURE_INVALID);
                assert_string_equal(position.file, "keep.1");
        }
        assert_int_equal(position_parse(NULL, &(Position){ 0 }, NULL), -EINVAL);
        char name[POSITION_FILE_MAX + 8];
        memset(name, 'x', sizeof name);
        memcpy(name + sizeof name - 3, ":4", 3);
        assert_int_equal(position_parse(name, &(Position){ 0 }, NULL), -EINVAL);
}

static void test_columns(void **state)
{
        Position position = at("keep.1:7");
        assert_int_equal(position_from_columns("/var/lib/mysql/binlog.000002", "8", &position, NULL), 0);
        assert_string_equal(position.file, "binlog.000002");
        assert_int_equal(position_from_columns("", "0", &position, NULL), 0);
        assert_false(position_is_set(&position));
        assert_int_equal(position_from_columns(NULL, NULL, &position, NULL), 0);
        assert_int_equal(position_from_columns("b.1", NULL, &position, NULL), -EINVAL);
        CLEANUP(mem_free) char *text = position_format(&position);
        assert_string_equal(text, "");
}

static void test_order(void **state)
{
        /* By number, not as text: MHA has it the other way round. */
        Position old = at("binlog.999999:9"), new = at("binlog.1000000:4");
        assert_true(position_compare(&old, &new) < 0);
        assert_true(position_compare(&new, &old) > 0);
        Position a = at("binlog.000002:100"), b = at("binlog.000002:101"), c = at("binlog.2:100");
        assert_true(position_compare(&a, &b) < 0);
        assert_true(position_equal(&a, &c));
        Position other = at("mysql-bin.000002:100"), unset = { 0 };
        assert_false(position_comparable(&a, &other));
        assert_int_equal(position_compare(&a, &other), 0);
        assert_false(position_equal(&a, &other));
        assert_false(position_comparable(&a, &unset));
        assert_false(position_equal(&unset, &unset));
}

static void test_max_and_min(void **state)
{
        Position a = at("b.1:5"), b = at("b.2:4"), unset = { 0 }, found;
        found = position_max(a, b);
        assert_true(position_equal(&found, &b));
        found = position_min(a, b);
        assert_true(position_equal(&found, &a));
        found = position_max(unset, a);
        assert_true(position_equal(&found, &a));
        found = position_min(a, unset);
        assert_true(position_equal(&found, &a));
        CLEANUP(mem_free) char *range = position_format_range(&a, &b);
        assert_string_equal(range, "b.1:5 - b.2:4");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse), cmocka_unit_test(test_malformed),   cmocka_unit_test(test_columns),
                cmocka_unit_test(test_order), cmocka_unit_test(test_max_and_min),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
