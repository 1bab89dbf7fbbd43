/* The journal's file: what it accepts, what it cuts off, what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "file.h"
#include "journal.h"
#include "text.h"

static char *directory, *path;

static int setup(void **state)
{
        char template[] = "/tmp/mhad-journal-XXXXXX";
        directory = alloc_string(mkdtemp(template));
        path = text_format("%s/journal", directory);
        return 0;
}

static int teardown(void **state)
{
        static const char *const endings[] = { "", ".lock", ".new" };
        for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
                CLEANUP(mem_free) char *file = text_format("%s%s", path, endings[i]);
                unlink(file);
        }
        assert_int_equal(rmdir(directory), 0);
        free(path);
        free(directory);
        return 0;
}

static Journal *open_journal(void)
{
        Journal *journal = NULL;
        Failure failure = { 0 };
        if (journal_open(path, "app1", &journal, &failure) < 0)
                fail_msg("%s", failure.text);
        return journal;
}

static void append(Journal *journal, const char *run, const char *kind, const char *what)
{
        Failure failure = { 0 };
        CLEANUP(json_free) Json *data = json_object();
        json_set_string(data, "what", what);
        assert_int_equal(journal_append(journal, 1700000000123456, run, kind, "a-step", "db1", data, &failure), 0);
}

static void append_soon(Journal *journal, const char *what)
{
        CLEANUP(json_free) Json *data = json_object();
        json_set_string(data, "what", what);
        assert_int_equal(journal_append_soon(journal, 1, "r1", "settled", "a-step", "db1", data, NULL), 0);
}

static char *content(size_t *ret_length)
{
        char *bytes = NULL;
        assert_int_equal(file_read(path, 1 << 20, &bytes, ret_length, NULL), 0);
        return bytes;
}

static void write_content(const char *bytes, size_t length)
{
        assert_int_equal(file_replace(path, bytes, length, 0600, NULL), 0);
}

static int collect(const Json *record, void *userdata)
{
        Text *text = userdata;
        text_separate(text, " ");
        text_add(text, json_get_string(json_get(record, "data"), "what"));
        return 0;
}

static void assert_records(Journal *journal, const char *run, const char *expected)
{
        CLEANUP(text_done) Text text = { 0 };
        assert_int_equal(journal_replay(journal, run, collect, &text), 0);
        assert_string_equal(text.data ? text.data : "", expected);
}

static void test_appends_and_replays(void **state)
{
        CLEANUP(journal_free) Journal *journal = open_journal();
        assert_null(journal_open_run(journal));
        append(journal, "r1", "run-started", "a");
        assert_string_equal(journal_open_run(journal), "r1");
        append(journal, "r1", "run-ended", "b");
        assert_null(journal_open_run(journal));
        append(journal, "r2", "run-started", "line\nbreak and \"quotes\"");
        assert_records(journal, NULL, "a b line\nbreak and \"quotes\"");
        assert_records(journal, "r1", "a b");
        journal = journal_free(journal);
        journal = open_journal();
        assert_string_equal(journal_open_run(journal), "r2");
        append(journal, "r2", "settled", "c");
        assert_records(journal, "r2", "line\nbreak and \"quotes\" c");
}

static void test_a_record_reads_well(void **state)
{
        CLEANUP(journal_free) Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        CLEANUP(mem_free) char *line = content(NULL);
        assert_string_equal(line,
                            "{\"seq\":1,\"time\":1700000000123456,\"cluster\":\"app1\",\"run\":\"r1\",\"kind\":\"run-"
                            "started\",\"step\":\"a-step\",\"server\":\"db1\",\"data\":{\"what\":\"a\"},\"sum\":"
                            "\"5ee6a909\"}\n");
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
}

/* Wherever the last line is torn, it is as if it had not been begun. */
static void test_cuts_a_torn_last_line_off(void **state)
{
        Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        append(journal, "r1", "settled", "b");
        journal_free(journal);
        size_t length = 0, first = 0;
        CLEANUP(mem_free) char *bytes = content(&length);
        while (bytes[first++] != '\n')
                ;
        for (size_t end = first; end < length; end++) {
                write_content(bytes, end);
                CLEANUP(journal_free) Journal *torn = open_journal();
                assert_int_equal(journal_torn(torn), end - first);
                assert_records(torn, NULL, "a");
                append(torn, "r1", "settled", "c");
                assert_records(torn, NULL, "a c");
        }
}

/* As a file system may leave it that lost the data but not the length. */
static void test_cuts_zeros_off(void **state)
{
        Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        journal_free(journal);
        size_t length = 0;
        CLEANUP(mem_free) char *bytes = content(&length);
        bytes = alloc_resize(bytes, length + 100, 1);
        memset(bytes + length, 0, 100);
        write_content(bytes, length + 100);
        CLEANUP(journal_free) Journal *torn = open_journal();
        assert_int_equal(journal_torn(torn), 100);
        assert_records(torn, NULL, "a");
}

static void assert_refused(const char *bytes, size_t length, const char *words)
{
        write_content(bytes, length);
        Journal *journal = NULL;
        Failure failure = { 0 };
        assert_true(journal_open(path, "app1", &journal, &failure) < 0);
        assert_int_equal(failure.kind, FAILURE_INVALID);
        if (!strstr(failure.text, words))
                fail_msg("'%s' does not say '%s'", failure.text, words);
}

/* Every flipped bit of a line that is not the last one. */
static void test_refuses_a_bad_line_elsewhere(void **state)
{
        Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        append(journal, "r1", "settled", "b");
        journal_free(journal);
        size_t length = 0;
        CLEANUP(mem_free) char *bytes = content(&length);
        for (size_t i = 0; bytes[i] != '\n'; i++) {
                bytes[i] ^= 4;
                assert_refused(bytes, length, "damaged in line 1: its checksum is wrong");
                bytes[i] ^= 4;
        }
}

/* Of what was not synced, a power cut may leave the end and not the beginning. */
static void test_cuts_a_hole_among_unsynced_lines_off(void **state)
{
        Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        append_soon(journal, "b");
        append_soon(journal, "c");
        append_soon(journal, "d");
        size_t before = 0, after = 0;
        CLEANUP(mem_free) char *bytes = content(&before);
        append(journal, "r1", "intent", "e");
        CLEANUP(mem_free) char *synced = content(&after);
        journal_free(journal);
        char *hole = strstr(bytes, "\"c\"");
        memset(hole, 0, 20);
        write_content(bytes, before);
        CLEANUP(journal_free) Journal *torn = open_journal();
        assert_records(torn, NULL, "a b");
        append(torn, "r1", "settled", "f");
        assert_records(torn, NULL, "a b f");
        /* With a synced line behind it, it was on disk, and something else went wrong. */
        torn = journal_free(torn);
        memset(synced + (hole - bytes), 0, 20);
        assert_refused(synced, after, "damaged in line 3: its checksum is wrong");
}

static void test_refuses_lines_that_were_moved(void **state)
{
        Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        append(journal, "r1", "settled", "b");
        append(journal, "r1", "settled", "c");
        journal_free(journal);
        size_t length = 0, line = 0;
        CLEANUP(mem_free) char *bytes = content(&length);
        while (bytes[line++] != '\n')
                ;
        CLEANUP(text_done) Text twice = { 0 }, gap = { 0 };
        text_add_n(&twice, bytes, length);
        text_add_n(&twice, bytes, length);
        assert_refused(twice.data, twice.length, "damaged in line 4: its sequence number");
        text_add_n(&gap, bytes, line);
        text_add(&gap, strchr(bytes + line, '\n') + 1);
        assert_refused(gap.data, gap.length, "damaged in line 2: its sequence number");
}

static void test_two_cannot_use_one(void **state)
{
        CLEANUP(journal_free) Journal *journal = open_journal();
        assert_null(journal_open_run(journal));
        Journal *other = NULL;
        Failure failure = { 0 };
        assert_int_equal(journal_open(path, "app1", &other, &failure), -EWOULDBLOCK);
        assert_non_null(strstr(failure.text, "another process uses the journal"));
}

/* A hook is started (its child has all descriptors until it is replaced) while a cluster is configured anew. */
static void test_a_child_does_not_keep_it(void **state)
{
        Journal *journal = open_journal();
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
                char byte;
                close(ends[1]);
                _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
        }
        close(ends[0]);
        journal_free(journal);
        journal_free(open_journal());
        close(ends[1]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

/* A full disk: the record is not there, not even a part of it, and later ones follow without a gap. */
static void test_takes_a_failed_append_back(void **state)
{
        Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        size_t length = 0;
        free(content(&length));
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit before, limit;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = length + 40;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        Failure failure = { 0 };
        assert_int_equal(journal_append(journal, 1, "r1", "settled", NULL, NULL, NULL, &failure), -EFBIG);
        assert_non_null(strstr(failure.text, "cannot write the journal"));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        size_t after = 0;
        free(content(&after));
        assert_int_equal(after, length);
        append(journal, "r1", "settled", "b");
        journal_free(journal);
        CLEANUP(journal_free) Journal *again = open_journal();
        assert_int_equal(journal_torn(again), 0);
        assert_records(again, NULL, "a b");
}

static void test_says_why_it_cannot_be_opened(void **state)
{
        CLEANUP(mem_free) char *nowhere = text_format("%s/none/journal", directory);
        Journal *journal = NULL;
        Failure failure = { 0 };
        assert_int_equal(journal_open(nowhere, "app1", &journal, &failure), -ENOENT);
        assert_non_null(strstr(failure.text, nowhere));
}

static void test_compacts(void **state)
{
        CLEANUP(journal_free) Journal *journal = open_journal();
        for (int i = 1; i <= 4; i++) {
                CLEANUP(mem_free) char *run = text_format("r%d", i);
                append(journal, run, "run-started", run);
                if (i < 4)
                        append(journal, run, "run-ended", "end");
        }
        assert_int_equal(journal_compact(journal, 5, NULL), 0);
        assert_records(journal, NULL, "r1 end r2 end r3 end r4");
        assert_int_equal(journal_compact(journal, 2, NULL), 0);
        assert_records(journal, NULL, "r2 end r3 end r4");
        append(journal, "r4", "settled", "more");
        assert_int_equal(journal_compact(journal, 0, NULL), 0);
        assert_records(journal, NULL, "r4 more");
        append(journal, "r4", "run-ended", "end");
        journal = journal_free(journal);
        journal = open_journal();
        assert_records(journal, NULL, "r4 more end");
        assert_int_equal(journal_compact(journal, 0, NULL), 0);
        assert_records(journal, NULL, "");
        append(journal, "r5", "run-started", "r5");
        journal = journal_free(journal);
        journal = open_journal();
        assert_records(journal, NULL, "r5");
}

/* One that was taken up again keeps its beginning. */
static void test_compacts_what_gave_way(void **state)
{
        CLEANUP(journal_free) Journal *journal = open_journal();
        static const char *const runs[] = { "r0", "r1", "r2", "r1" };
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
                append(journal, runs[i], i < 3 ? "run-started" : "resumed", runs[i]);
                append(journal, runs[i], "run-ended", "end");
        }
        assert_int_equal(journal_compact(journal, 1, NULL), 0);
        assert_records(journal, NULL, "r1 end r2 end r1 end");
        append(journal, "r3", "run-started", "r3");
        assert_int_equal(journal_compact(journal, 0, NULL), 0);
        assert_records(journal, NULL, "r3");
}

static void test_goes_on_after_a_failed_compaction(void **state)
{
        CLEANUP(journal_free) Journal *journal = open_journal();
        append(journal, "r1", "run-started", "a");
        append(journal, "r1", "run-ended", "b");
        append(journal, "r2", "run-started", "c");
        CLEANUP(mem_free) char *in_the_way = text_format("%s.new", path);
        assert_int_equal(mkdir(in_the_way, 0700), 0);
        Failure failure = { 0 };
        assert_true(journal_compact(journal, 0, &failure) < 0);
        assert_int_equal(rmdir(in_the_way), 0);
        append(journal, "r2", "settled", "d");
        assert_records(journal, NULL, "a b c d");
        assert_int_equal(journal_compact(journal, 0, &failure), 0);
        append(journal, "r2", "settled", "e");
        assert_records(journal, NULL, "c d e");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_appends_and_replays),
                TEST(test_a_record_reads_well),
                TEST(test_cuts_a_torn_last_line_off),
                TEST(test_cuts_zeros_off),
                TEST(test_refuses_a_bad_line_elsewhere),
                TEST(test_cuts_a_hole_among_unsynced_lines_off),
                TEST(test_refuses_lines_that_were_moved),
                TEST(test_two_cannot_use_one),
                TEST(test_a_child_does_not_keep_it),
                TEST(test_takes_a_failed_append_back),
                TEST(test_says_why_it_cannot_be_opened),
                TEST(test_compacts),
                TEST(test_compacts_what_gave_way),
                TEST(test_goes_on_after_a_failed_compaction),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
