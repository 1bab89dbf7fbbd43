/* The table of metrics and their text: every row, Prometheus' rules for names, labels, histograms; and what gathers them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics.h"
#include "scrape.h"
#include "text.h"

#define NOW (1700000000 * USEC_SEC)

static const Histogram none = { 0 };

static Json *parse(const char *text)
{
        Json *json = NULL;
        Failure failure;
        if (json_parse(text, strlen(text), &json, &failure) < 0)
                fail_msg("%s", failure.text);
        return json;
}

static char *print_cluster(const char *status, const Histogram *first)
{
        CLEANUP(json_free) Json *json = parse(status);
        CLEANUP(metrics_free) Metrics *metrics = metrics_new();
        const Histogram *pings[] = { first ? first : &none, &none, &none };
        metrics_add_cluster(metrics, json, pings, NOW);
        return metrics_print(metrics);
}

/* The value of a sample, "" when it is not there. */
static char *value_of(const char *text, const char *series)
{
        size_t length = strlen(series);
        for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncmp(line, series, length) == 0 && line[length] == ' ')
                        return alloc_string_n(line + length + 1, strcspn(line + length + 1, "\n"));
        return alloc_string("");
}

static void expect(const char *text, const char *series, const char *wanted)
{
        CLEANUP(mem_free) char *found = value_of(text, series);
        if (!text_equal(found, wanted))
                fail_msg("%s is \"%s\", not \"%s\", in\n%s", series, found, wanted, text);
}

static const char healthy[] =
        "{\"cluster\":\"app1\",\"state\":\"steady\",\"servers\":["
        "{\"name\":\"db1\",\"role\":\"primary\",\"up\":true,\"last_good\":1699999999250000,\"late_ticks\":3},"
        "{\"name\":\"db2\",\"role\":\"replica\",\"up\":true,\"lag_ms\":1500,\"downtime\":{\"by\":\"root\"}},"
        "{\"name\":\"db3\",\"role\":\"dead\",\"up\":false,\"lag_ms\":0}],"
        "\"problems\":[{\"id\":\"lag\",\"blocks\":false}],"
        "\"if_primary_died\":{\"candidate\":\"db2\",\"hold\":[]},"
        "\"last_run\":{\"run\":\"r1\",\"procedure\":\"failover\",\"outcome\":\"completed\",\"ended\":1699999000500000,"
        "\"times\":{\"last_good\":1699998990000000,\"suspected\":1699998990400000,\"verdict\":1699998991100000,"
        "\"started\":1699998991101000,\"opened\":1699998991601000,\"address\":1699998991726000,"
        "\"ended\":1699999000500000}}}";

static void test_servers(void **state)
{
        CLEANUP(mem_free) char *text = print_cluster(healthy, NULL);
        expect(text, "mhad_server_up{cluster=\"app1\",server=\"db1\"}", "1");
        expect(text, "mhad_server_up{cluster=\"app1\",server=\"db3\"}", "0");
        expect(text, "mhad_server_role{cluster=\"app1\",server=\"db1\",role=\"primary\"}", "1");
        expect(text, "mhad_server_role{cluster=\"app1\",server=\"db1\",role=\"replica\"}", "0");
        expect(text, "mhad_server_role{cluster=\"app1\",server=\"db2\",role=\"replica\"}", "1");
        expect(text, "mhad_server_role{cluster=\"app1\",server=\"db3\",role=\"dead\"}", "1");
        expect(text, "mhad_server_role{cluster=\"app1\",server=\"db1\",role=\"observer\"}", "");
        expect(text, "mhad_server_taken_out{cluster=\"app1\",server=\"db1\"}", "0");
        expect(text, "mhad_server_taken_out{cluster=\"app1\",server=\"db2\"}", "1");
        expect(text, "mhad_server_replication_lag_seconds{cluster=\"app1\",server=\"db1\"}", "");
        expect(text, "mhad_server_replication_lag_seconds{cluster=\"app1\",server=\"db2\"}", "1.5");
        expect(text, "mhad_server_replication_lag_seconds{cluster=\"app1\",server=\"db3\"}", "");
        expect(text, "mhad_server_last_good_ping_age_seconds{cluster=\"app1\",server=\"db1\"}", "0.75");
        expect(text, "mhad_server_last_good_ping_age_seconds{cluster=\"app1\",server=\"db2\"}", "");
        expect(text, "mhad_server_late_ticks_total{cluster=\"app1\",server=\"db1\"}", "3");
}

static void test_cluster(void **state)
{
        CLEANUP(mem_free) char *text = print_cluster(healthy, NULL);
        expect(text, "mhad_cluster_state{cluster=\"app1\",state=\"steady\"}", "1");
        expect(text, "mhad_cluster_state{cluster=\"app1\",state=\"halted\"}", "0");
        expect(text, "mhad_cluster_failover_ready{cluster=\"app1\"}", "1");
        expect(text, "mhad_cluster_paused{cluster=\"app1\"}", "0");
        expect(text, "mhad_cluster_problems{cluster=\"app1\"}", "1");
}

/* Each thing that forbids a failover does. */
static void test_not_ready(void **state)
{
        static const char *const rows[] = {
                "\"state\":\"suspect\",\"if_primary_died\":{\"candidate\":\"db2\"}",
                "\"state\":\"steady\",\"if_primary_died\":{\"why\":\"nobody\"}",
                "\"state\":\"steady\",\"if_primary_died\":{\"candidate\":\"db2\",\"hold\":[\"paused\"]},\"paused\":{}",
                "\"state\":\"steady\",\"if_primary_died\":{\"candidate\":\"db2\",\"blockers\":[\"no\"]}",
                "\"state\":\"steady\",\"if_primary_died\":{\"candidate\":\"db2\"},\"problems\":[{\"blocks\":true}]",
                "\"state\":\"halted\"",
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                CLEANUP(mem_free) char *status = text_format("{\"cluster\":\"a\",%s}", rows[i]);
                CLEANUP(mem_free) char *text = print_cluster(status, NULL);
                expect(text, "mhad_cluster_failover_ready{cluster=\"a\"}", "0");
                expect(text, "mhad_cluster_paused{cluster=\"a\"}", strstr(rows[i], "paused\":") ? "1" : "0");
                assert_null(strstr(text, "last_run"));
        }
}

#define RUN "{cluster=\"app1\",procedure=\"failover\""
#define PHASE(name) "mhad_cluster_last_run_phase_seconds" RUN ",phase=\"" name "\"}"

static void test_run(void **state)
{
        CLEANUP(mem_free) char *text = print_cluster(healthy, NULL);
        expect(text, "mhad_cluster_last_run_outcome" RUN ",outcome=\"completed\"}", "1");
        expect(text, "mhad_cluster_last_run_outcome" RUN ",outcome=\"aborted\"}", "0");
        expect(text, "mhad_cluster_last_run_outcome" RUN ",outcome=\"halted\"}", "0");
        expect(text, "mhad_cluster_last_run_end_timestamp_seconds" RUN "}", "1699999000.5");
        expect(text, PHASE("unnoticed"), "0.4");
        expect(text, PHASE("verdict"), "0.7");
        expect(text, PHASE("open"), "0.5");
        expect(text, PHASE("address"), "0.125");
        expect(text, PHASE("afterwards"), "8.899");
        expect(text, PHASE("run"), "9.399");
        expect(text, PHASE("block"), "");
        assert_null(strstr(text, "r1"));
}

/* A switchover that was taken back, and a clock that went back. */
static void test_block(void **state)
{
        CLEANUP(mem_free)
        char *text = print_cluster("{\"cluster\":\"app1\",\"last_run\":{\"procedure\":\"failover\",\"times\":{"
                                   "\"started\":5000000,\"blocked\":6000000,\"unblocked\":6050000,\"ended\":4000000}}}",
                                   NULL);
        expect(text, PHASE("block"), "0.05");
        expect(text, PHASE("open"), "");
        expect(text, PHASE("run"), "");
}

static void test_histogram(void **state)
{
        Histogram pings = { 0 };
        histogram_add(&pings, 0);
        histogram_add(&pings, 500);
        histogram_add(&pings, 501);
        histogram_add(&pings, 20 * USEC_MSEC);
        histogram_add(&pings, USEC_SEC + 1);
        CLEANUP(mem_free) char *text = print_cluster(healthy, &pings);
        static const char *const wanted[][2] = { { "0.0005", "2" }, { "0.001", "3" }, { "0.0025", "3" },
                                                 { "0.005", "3" },  { "0.01", "3" },  { "0.025", "4" },
                                                 { "0.1", "4" },    { "0.25", "4" },  { "1", "4" },
                                                 { "+Inf", "5" } };
        assert_int_equal(ARRAY_LENGTH(wanted), HISTOGRAM_BOUNDS + 1);
        for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
                CLEANUP(mem_free)
                char *series = text_format("mhad_server_ping_duration_seconds_bucket{cluster=\"app1\",server=\"db1\","
                                           "le=\"%s\"}",
                                           wanted[i][0]);
                expect(text, series, wanted[i][1]);
        }
        expect(text, "mhad_server_ping_duration_seconds_count{cluster=\"app1\",server=\"db1\"}", "5");
        expect(text, "mhad_server_ping_duration_seconds_sum{cluster=\"app1\",server=\"db1\"}", "1.021002");
        expect(text, "mhad_server_ping_duration_seconds_count{cluster=\"app1\",server=\"db2\"}", "0");
}

static void test_process(void **state)
{
        Histogram lag = { 0 };
        histogram_add(&lag, 2 * USEC_MSEC);
        const MetricsProcess process = { "1.2\"3\\\n", { 4096000, 1250000, 17, 20000 }, 1699999000250000, &lag };
        CLEANUP(metrics_free) Metrics *metrics = metrics_new();
        metrics_add_process(metrics, &process);
        CLEANUP(mem_free) char *text = metrics_print(metrics);
        expect(text, "mhad_build_info{version=\"1.2\\\"3\\\\\\n\"}", "1");
        expect(text, "process_cpu_seconds_total", "1.25");
        expect(text, "process_resident_memory_bytes", "4096000");
        expect(text, "process_open_fds", "17");
        expect(text, "process_max_fds", "20000");
        expect(text, "process_start_time_seconds", "1699999000.25");
        expect(text, "mhad_loop_lag_seconds_bucket{le=\"0.001\"}", "0");
        expect(text, "mhad_loop_lag_seconds_bucket{le=\"0.0025\"}", "1");
        expect(text, "mhad_loop_lag_seconds_count", "1");
}

static bool ends_with(const char *text, const char *end)
{
        return strlen(text) > strlen(end) && text_equal(text + strlen(text) - strlen(end), end);
}

/* What promtool would say of a name, where there is none. */
static void test_names(void **state)
{
        for (size_t i = 0; i < metrics_n; i++) {
                const Metric *row = &metrics_table[i];
                assert_true(text_starts_with(row->name, "mhad_") || text_starts_with(row->name, "process_"));
                assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(row->name));
                assert_int_equal(ends_with(row->name, "_total"), row->type == METRIC_COUNTER);
                static const char *const not_base[] = { "milli",   "micro", "_ms",  "_us",
                                                        "minutes", "hours", "kilo", "kib" };
                for (size_t k = 0; k < ARRAY_LENGTH(not_base); k++)
                        assert_null(strstr(row->name, not_base[k]));
                assert_true(strlen(row->help) > 10 && ends_with(row->help, "."));
                assert_null(strpbrk(row->help, "\n\\"));
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(row->name, metrics_table[k].name);
        }
}

/* Each row gives something, and its samples stand together behind its HELP and TYPE. */
static void test_whole(void **state)
{
        CLEANUP(json_free) Json *first = parse(healthy);
        CLEANUP(json_free) Json *second = parse(healthy);
        json_set_string(second, "cluster", "app2");
        CLEANUP(metrics_free) Metrics *metrics = metrics_new();
        const Histogram *pings[] = { &none, &none, &none };
        const MetricsProcess process = { .version = "1", .lag = &none };
        metrics_add_cluster(metrics, first, pings, NOW);
        metrics_add_cluster(metrics, second, pings, NOW);
        metrics_add_process(metrics, &process);
        CLEANUP(mem_free) char *text = metrics_print(metrics);
        const char *at = text;
        for (size_t i = 0; i < metrics_n; i++) {
                const Metric *row = &metrics_table[i];
                CLEANUP(mem_free)
                char *head = text_format("# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                                         metric_type_to_string(row->type));
                assert_true(text_starts_with(at, head));
                at += strlen(head);
                size_t samples = 0;
                for (; *at && *at != '#'; at = strchr(at, '\n') + 1, samples++)
                        assert_true(text_starts_with(at, row->name));
                assert_true(samples > 0);
        }
        assert_int_equal(*at, '\0');
        expect(text, "mhad_server_up{cluster=\"app2\",server=\"db1\"}", "1");
}

/* Gathering. */

typedef struct World {
        Loop *loop;
        Scrape *scrape;
        size_t n_clusters, looked_at, n_processes, n_answers;
        char *text;
} World;

static bool add_cluster(size_t i, Metrics *metrics, void *userdata)
{
        World *world = userdata;
        if (i >= world->n_clusters)
                return false;
        world->looked_at++;
        CLEANUP(mem_free) char *status = text_format("{\"cluster\":\"c%zu\",\"state\":\"steady\"}", i);
        CLEANUP(json_free) Json *json = parse(status);
        metrics_add_cluster(metrics, json, NULL, NOW);
        return true;
}

static void add_process(Metrics *metrics, void *userdata)
{
        World *world = userdata;
        const MetricsProcess process = { .version = "1", .lag = &none };
        world->n_processes++;
        metrics_add_process(metrics, &process);
}

static void on_text(Json *answer, void *userdata)
{
        World *world = userdata;
        world->n_answers++;
        free(world->text);
        world->text = alloc_string(json_get_string(answer, "text"));
        json_free(answer);
}

static void never(Json *answer, void *userdata)
{
        fail();
}

static void turn(World *world, size_t answers)
{
        usec_t limit = usec_now_monotonic() + 10 * USEC_SEC;
        while (world->n_answers < answers && usec_now_monotonic() < limit)
                (void) loop_turn(world->loop, 100 * USEC_MSEC);
        assert_int_equal(world->n_answers, answers);
}

static int make_world(void **state)
{
        World *world = ALLOC(World);
        assert_int_equal(loop_new(&world->loop), 0);
        const ScrapeSource source = { add_cluster, add_process, world };
        world->scrape = scrape_new(world->loop, &source);
        world->n_clusters = 3;
        *state = world;
        return 0;
}

static int end_world(void **state)
{
        World *world = *state;
        scrape_free(world->scrape);
        loop_free(world->loop);
        free(world->text);
        free(world);
        return 0;
}

/* Nothing is done in the call itself, and who asks soon after gets the same. */
static void test_gathered(void **state)
{
        World *world = *state;
        scrape_ask(world->scrape, on_text, world);
        scrape_ask(world->scrape, on_text, world);
        scrape_ask(world->scrape, never, state);
        scrape_forget(world->scrape, state);
        assert_int_equal(world->looked_at, 0);
        turn(world, 2);
        assert_int_equal(world->looked_at, 3);
        assert_int_equal(world->n_processes, 1);
        expect(world->text, "mhad_cluster_state{cluster=\"c2\",state=\"steady\"}", "1");
        scrape_ask(world->scrape, on_text, world);
        turn(world, 3);
        assert_int_equal(world->looked_at, 3);
}

/* Clusters that have changed meanwhile are not there twice, nor is what was gathered before kept. */
static void test_restarted(void **state)
{
        World *world = *state;
        scrape_ask(world->scrape, on_text, world);
        while (world->looked_at < 2)
                (void) loop_turn(world->loop, 100 * USEC_MSEC);
        world->n_clusters = 1;
        scrape_restart(world->scrape);
        turn(world, 1);
        expect(world->text, "mhad_cluster_state{cluster=\"c0\",state=\"steady\"}", "1");
        expect(world->text, "mhad_cluster_state{cluster=\"c1\",state=\"steady\"}", "");
        const char *first = strstr(world->text, "mhad_cluster_paused{");
        assert_non_null(first);
        assert_null(strstr(first + 1, "mhad_cluster_paused{"));
        world->n_clusters = 2;
        scrape_restart(world->scrape);
        scrape_ask(world->scrape, on_text, world);
        turn(world, 2);
        expect(world->text, "mhad_cluster_state{cluster=\"c1\",state=\"steady\"}", "1");
        scrape_ask(world->scrape, never, world); /* and is freed with it */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_servers),
                cmocka_unit_test(test_cluster),
                cmocka_unit_test(test_not_ready),
                cmocka_unit_test(test_run),
                cmocka_unit_test(test_block),
                cmocka_unit_test(test_histogram),
                cmocka_unit_test(test_process),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_whole),
                cmocka_unit_test_setup_teardown(test_gathered, make_world, end_world),
                cmocka_unit_test_setup_teardown(test_restarted, make_world, end_world),
        };
        return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
