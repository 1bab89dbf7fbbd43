/* savedlogs.c on a folder of the test's own: what is held stays, the newest counts for no size, the rest goes by age. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "file.h"
#include "savedlogs.h"
#include "text.h"

static char folder[] = "/tmp/test-savedlogs-XXXXXX";
static Loop *loop;
static Json *got;

static void on_done(Json *answer, void *userdata)
{
        got = answer;
        loop_exit(loop, 0);
}

static void make(const char *run, int64_t age, size_t size)
{
        CLEANUP(mem_free) char *place = text_format("%s/rescue/%s/db1", folder, run);
        CLEANUP(mem_free) char *copy = text_format("%s/binlog.000001", place);
        CLEANUP(mem_free) char *note = text_format("%s/rescue/%s/saved.json", folder, run);
        CLEANUP(mem_free) char *bytes = alloc_zero(1, size);
        assert_int_equal(file_make_directory(place, 0700, NULL), 0);
        assert_int_equal(file_replace(copy, bytes, size, 0600, NULL), 0);
        assert_int_equal(file_replace(note, "{}", 2, 0600, NULL), 0);
        struct timespec when = { .tv_sec = (time_t) (usec_now_real() / USEC_SEC) - age };
        assert_int_equal(utimensat(AT_FDCWD, note, (struct timespec[]){ when, when }, 0), 0);
}

static bool is_there(const char *run)
{
        CLEANUP(mem_free) char *path = text_format("%s/rescue/%s/db1/binlog.000001", folder, run);
        return access(path, F_OK) == 0;
}

/* A loop ends once. */
static void run(void)
{
        assert_int_equal(loop_run(loop), 0);
        loop_free(loop);
        assert_int_equal(loop_new(&loop), 0);
}

static void trim(usec_t age, uint64_t bytes, const char *const *hold)
{
        const SavedLogsLimits limits = { .age = age, .bytes = bytes, .hold = hold };
        savedlogs_trim(loop, folder, &limits, on_done, NULL);
        run();
}

static void test_trim(void **state)
{
        static const char *const hold[] = { "r2", NULL }, *const nothing[] = { NULL };
        trim(USEC_SEC, 1, nothing); /* there is no folder yet */
        assert_int_equal(json_length(json_get(got, "removed")), 0);
        got = json_free(got);
        make("r1", 400, 1000);
        make("r2", 300, 1000);
        make("r3", 200, 1000);
        make("r4", 100, 5000);
        trim(0, 0, nothing);
        assert_true(is_there("r1"));
        got = json_free(got);
        trim(250 * USEC_SEC, 0, hold);
        assert_true(!is_there("r1") && is_there("r2") && is_there("r3") && is_there("r4"));
        assert_string_equal(json_get_string(json_at(json_get(got, "removed"), 0), "run"), "r1");
        got = json_free(got);
        trim(0, 1500, hold); /* r2 and r3 are more, r4 is the newest */
        assert_true(is_there("r2") && !is_there("r3") && is_there("r4"));
        got = json_free(got);
        trim(50 * USEC_SEC, 0, nothing);
        assert_true(!is_there("r2") && !is_there("r4"));
        assert_int_equal(json_length(json_get(got, "removed")), 2);
        assert_false(json_has(got, "failures"));
        got = json_free(got);
}

/* Nobody is told, and nothing is lost by it. */
static void test_abandon(void **state)
{
        make("r5", 100, 1000);
        const SavedLogsPlace place = { "app1", folder };
        savedlogs_abandon(savedlogs_list(loop, &place, 1, NULL, on_done, NULL));
        savedlogs_list(loop, &place, 1, "r5", on_done, NULL);
        run();
        const Json *rescue = json_at(json_get(got, "rescues"), 0);
        assert_string_equal(json_get_string(rescue, "cluster"), "app1");
        assert_int_equal(json_get_int(rescue, "bytes", 0), 1002);
        got = json_free(got);
        trim(50 * USEC_SEC, 0, (const char *const[]){ NULL });
        got = json_free(got);
        assert_false(is_there("r5"));
}

/* The deepest JSON that is accepted at all goes through the small stack of a thread: what is deeper is no JSON. */
static void test_deep(void **state)
{
        static const struct {
                int depth;
                bool accepted;
        } notes[] = { { 900, true }, { 998, true }, { 100000, false } };
        const SavedLogsPlace place = { "app1", folder };
        make("r6", 100, 1000);
        CLEANUP(mem_free) char *path = text_format("%s/rescue/r6/saved.json", folder);
        for (size_t i = 0; i < ARRAY_LENGTH(notes); i++) {
                Text note = { 0 };
                text_add(&note, "{\"why\":\"deep\",\"deep\":");
                for (int k = 0; k < notes[i].depth; k++)
                        text_add(&note, k % 2 ? "{\"a\":" : "[");
                text_add(&note, "1");
                for (int k = notes[i].depth; k-- > 0;)
                        text_add(&note, k % 2 ? "}" : "]");
                text_add(&note, "}");
                assert_int_equal(file_replace(path, note.data, note.length, 0600, NULL), 0);
                text_done(&note);
                savedlogs_list(loop, &place, 1, "r6", on_done, NULL);
                run();
                const char *why = json_get_string(json_at(json_get(got, "rescues"), 0), "why");
                assert_true(text_equal(why, notes[i].accepted ? "deep" : NULL));
                got = json_free(got);
        }
        make("r6", 100, 1000); /* old again */
        trim(50 * USEC_SEC, 0, (const char *const[]){ NULL });
        got = json_free(got);
        assert_false(is_there("r6"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trim),
                cmocka_unit_test(test_abandon),
                cmocka_unit_test(test_deep),
        };
        if (!mkdtemp(folder) || loop_new(&loop) < 0)
                return 1;
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        loop_free(loop);
        CLEANUP(mem_free) char *rescues = text_format("%s/rescue", folder);
        rmdir(rescues);
        rmdir(folder);
        return failed;
}
