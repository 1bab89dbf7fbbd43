/* frame.c: messages whole, in pieces, too long. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "frame.h"

static void expect(Frame *frame, const char *message)
{
        const char *got;
        size_t length;
        assert_int_equal(frame_next(frame, &got, &length), 1);
        assert_string_equal(got, message);
        assert_int_equal(length, strlen(message));
}

static void expect_none(Frame *frame)
{
        const char *got;
        size_t length;
        assert_int_equal(frame_next(frame, &got, &length), 0);
}

static void test_whole(void **state)
{
        __attribute__((cleanup(frame_done_cleanup))) Frame frame = frame_make(100);
        expect_none(&frame);
        frame_add(&frame, "one\0two\0\0thr", 12);
        expect(&frame, "one");
        expect(&frame, "two");
        expect(&frame, "");
        assert_false(frame_is_empty(&frame));
        expect_none(&frame);
        frame_add(&frame, "ee", 3);
        expect(&frame, "three");
        expect_none(&frame);
        assert_true(frame_is_empty(&frame));
}

static void test_byte_by_byte(void **state)
{
        static const char stream[] = "alpha\0\0beta";
        __attribute__((cleanup(frame_done_cleanup))) Frame frame = frame_make(5);
        char all[64] = "";
        for (size_t i = 0; i < sizeof stream; i++) {
                const char *got;
                size_t length;
                frame_add(&frame, stream + i, 1);
                while (frame_next(&frame, &got, &length) == 1)
                        snprintf(all + strlen(all), sizeof all - strlen(all), "[%s]", got);
        }
        assert_string_equal(all, "[alpha][][beta]");
}

static void test_limit(void **state)
{
        const char *got;
        size_t length;
        Frame frame = frame_make(4);
        frame_add(&frame, "1234", 5);
        expect(&frame, "1234");
        frame_add(&frame, "12345", 6);
        assert_int_equal(frame_next(&frame, &got, &length), -EMSGSIZE);
        frame_done(&frame);

        frame = frame_make(4);
        frame_add(&frame, "1234", 4);
        expect_none(&frame);
        frame_add(&frame, "5", 1);
        assert_int_equal(frame_next(&frame, &got, &length), -EMSGSIZE);
        frame_done(&frame);
}

/* A long message leaves no long buffer behind, and the limit stays. */
static void test_release(void **state)
{
        static char big[200000];
        memset(big, 'x', sizeof big - 1);
        __attribute__((cleanup(frame_done_cleanup))) Frame frame = frame_make(sizeof big);
        frame_add(&frame, big, sizeof big);
        expect(&frame, big);
        expect_none(&frame);
        assert_int_equal(frame.capacity, 0);
        frame_add(&frame, big, sizeof big);
        expect(&frame, big);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole),
                cmocka_unit_test(test_byte_by_byte),
                cmocka_unit_test(test_limit),
                cmocka_unit_test(test_release),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
