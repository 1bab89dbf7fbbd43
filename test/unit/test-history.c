/* history.c on folders of the test's own: what journals and reports tell, and that the loop is not held by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "file.h"
#include "history.h"
#include "journal.h"
#include "text.h"

static char folder[] = "/tmp/test-history-XXXXXX";
static Loop *loop;
static Json *got;
static size_t turns;

static void on_done(Json *answer, void *userdata)
{
        got = answer;
        loop_exit(loop, 0);
}

static void on_turn(void *userdata)
{
        turns++;
        (void) loop_defer(loop, on_turn, NULL);
}

static char *directory_of(const char *cluster)
{
        CLEANUP(mem_free) char *reports = text_format("%s/%s/reports", folder, cluster);
        assert_int_equal(file_make_directory(reports, 0700, NULL), 0);
        return text_format("%s/%s", folder, cluster);
}

static Journal *open_journal(const char *directory, const char *name)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", directory, name);
        Journal *journal = NULL;
        assert_int_equal(journal_open(path, "app", &journal, NULL), 0);
        return journal;
}

static void begin(Journal *journal, const char *run, usec_t time)
{
        assert_int_equal(journal_append_soon(journal, time, run, "run-started", NULL, NULL, NULL, NULL), 0);
}

static void end(Journal *journal, const char *run, usec_t time, const char *outcome)
{
        CLEANUP(json_free) Json *data = json_object();
        json_set_string(data, "outcome", outcome);
        assert_int_equal(journal_append_soon(journal, time, run, "run-ended", NULL, NULL, data, NULL), 0);
}

static void keep_report(const char *directory, const char *run, const char *outcome, size_t size)
{
        CLEANUP(mem_free) char *path = history_report_path(directory, run);
        CLEANUP(mem_free) char *padding = alloc_zero(1, size + 1);
        memset(padding, 'x', size);
        CLEANUP(mem_free)
        char *text =
                text_format("{\"run\":\"%s\",\"outcome\":\"%s\",\"procedure\":\"failover\",\"summary\":\"all is well\","
                            "\"times\":{\"started\":%d,\"ended\":%d},\"text\":\"%s\"}",
                            run, outcome, 1000, 2000, padding);
        assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static const Json *read_all(const HistoryPlace *places, size_t n)
{
        got = json_free(got);
        turns = 0;
        history_read(loop, places, n, on_done, NULL);
        assert_null(got);
        (void) loop_defer(loop, on_turn, NULL);
        assert_int_equal(loop_run(loop), 0);
        loop_free(loop); /* a loop ends once */
        assert_int_equal(loop_new(&loop), 0);
        return json_get(got, "runs");
}

static void expect(const Json *run, const char *id, const char *outcome, const char *summary)
{
        assert_string_equal(json_get_string(run, "run"), id);
        assert_string_equal(json_get_string(run, "cluster"), "app");
        assert_true(text_equal(json_get_string(run, "outcome"), outcome));
        assert_true(text_equal(json_get_string(run, "summary"), summary));
}

/* A run goes on only where a journal says so; what a report is missing for has ended as the journal says. */
static void test_outcomes(void **state)
{
        CLEANUP(mem_free) char *directory = directory_of("app");
        const HistoryPlace place = { "app", directory };
        assert_int_equal(json_length(read_all(&place, 1)), 0);
        Journal *journal = open_journal(directory, "journal"), *background = open_journal(directory, "background");
        begin(journal, "r1", 1000);
        end(journal, "r1", 2000, "completed");
        keep_report(directory, "r1", "completed", 10);
        begin(journal, "r2", 3000);
        end(journal, "r2", 4000, "aborted"); /* no report */
        begin(background, "r1", 2500);       /* what r1 left to be done */
        end(background, "r1", 2600, "aborted");
        begin(background, "r3", 5000); /* given up by a daemon that knew it no more */
        begin(background, "r4", 6000);
        end(background, "r4", 7000, "completed"); /* no report */
        begin(journal, "r5", 8000);
        begin(background, "r6", 9000);
        const Json *runs = read_all(&place, 1);
        assert_int_equal(json_length(runs), 6);
        expect(json_at(runs, 0), "r6", "running", NULL);
        expect(json_at(runs, 1), "r5", "running", NULL);
        expect(json_at(runs, 2), "r4", "completed", NULL);
        assert_int_equal(json_get_int(json_at(runs, 2), "ended", 0), 7000);
        expect(json_at(runs, 3), "r3", NULL, NULL);
        expect(json_at(runs, 4), "r2", "aborted", NULL);
        expect(json_at(runs, 5), "r1", "completed", "all is well");
        journal_free(journal);
        journal_free(background);
}

/* Of many runs with long reports the loop hears when they are read, and turns meanwhile. */
static void test_many(void **state)
{
        enum { CLUSTERS = 20, RUNS = 50 };
        HistoryPlace places[CLUSTERS];
        for (int i = 0; i < CLUSTERS; i++) {
                CLEANUP(mem_free) char *name = text_format("many%d", i);
                char *directory = directory_of(name);
                CLEANUP(journal_free) Journal *journal = open_journal(directory, "journal");
                for (int k = 0; k < RUNS; k++) {
                        CLEANUP(mem_free) char *run = text_format("c%dr%d", i, k);
                        begin(journal, run, (usec_t) k);
                        end(journal, run, (usec_t) k, "completed");
                        keep_report(directory, run, "completed", 20000);
                }
                places[i] = (HistoryPlace){ "app", directory };
        }
        assert_int_equal(json_length(read_all(places, CLUSTERS)), CLUSTERS * RUNS);
        print_message("  %zu turns\n", turns);
        assert_true(turns > 10);
        history_abandon(history_read(loop, places, CLUSTERS, on_done, NULL));
        for (int i = 0; i < CLUSTERS; i++)
                free((char *) places[i].directory);
}

static int set_up(void **state)
{
        return mkdtemp(folder) && loop_new(&loop) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
        CLEANUP(mem_free) char *command = text_format("rm -rf %s", folder);
        json_free(got);
        loop_free(loop);
        return system(command);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_many),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
