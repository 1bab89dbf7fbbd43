/* The cluster's state table: every pair of state and event is a row with a sentence, and the paths that matter exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fsm.h"

static void test_every_pair_is_a_row(void **state)
{
        for (int from = 0; from < _CLUSTER_STATE_MAX; from++) {
                assert_string_not_equal(cluster_state_to_string((ClusterState) from), "?");
                for (int event = 0; event < _CLUSTER_EVENT_MAX; event++) {
                        const char *why = NULL;
                        int to = fsm_next((ClusterState) from, (ClusterEvent) event, &why);
                        assert_string_not_equal(cluster_event_to_string((ClusterEvent) event), "?");
                        assert_non_null(why);
                        assert_true(to == -22 || (to >= 0 && to < _CLUSTER_STATE_MAX));
                }
        }
}

static int walk(ClusterState from, const ClusterEvent *events, size_t n)
{
        int now = from;
        const char *why;
        for (size_t i = 0; i < n; i++) {
                int next = fsm_next((ClusterState) now, events[i], &why);
                if (next >= 0)
                        now = next;
        }
        return now;
}

#define WALK(from, ...)                                                                                                \
        walk(from, (const ClusterEvent[]){ __VA_ARGS__ },                                                              \
             sizeof((const ClusterEvent[]){ __VA_ARGS__ }) / sizeof(ClusterEvent))

static void test_paths(void **state)
{
        /* A failover from start to end, and the new watch after it. */
        assert_int_equal(WALK(CLUSTER_STARTING, CLUSTER_PRIMARY_ANSWERS), CLUSTER_STEADY);
        assert_int_equal(WALK(CLUSTER_STEADY, CLUSTER_PRIMARY_SILENT, CLUSTER_RUN_BEGUN), CLUSTER_RUNNING);
        assert_int_equal(WALK(CLUSTER_RUNNING, CLUSTER_RUN_COMPLETED, CLUSTER_PRIMARY_ANSWERS), CLUSTER_STEADY);
        /* Nothing but its end ends a run. */
        assert_int_equal(WALK(CLUSTER_RUNNING, CLUSTER_PRIMARY_ANSWERS, CLUSTER_PRIMARY_SILENT, CLUSTER_PRIMARY_UNKNOWN,
                              CLUSTER_ACT_FORBIDDEN, CLUSTER_RUN_BEGUN),
                         CLUSTER_RUNNING);
        /* A halted one waits for an operator. */
        assert_int_equal(WALK(CLUSTER_HALTED, CLUSTER_PRIMARY_ANSWERS, CLUSTER_PRIMARY_SILENT, CLUSTER_RUN_BEGUN,
                              CLUSTER_RUN_COMPLETED),
                         CLUSTER_HALTED);
        assert_int_equal(WALK(CLUSTER_HALTED, CLUSTER_RUN_RETRIED, CLUSTER_RUN_COMPLETED), CLUSTER_STARTING);
        assert_int_equal(WALK(CLUSTER_HALTED, CLUSTER_RUN_ABORTED), CLUSTER_STARTING);
        /* No run begins while the primary is only being looked for, except one that is resumed. */
        assert_int_equal(WALK(CLUSTER_STARTING, CLUSTER_ACT_FORBIDDEN), CLUSTER_STARTING);
        assert_int_equal(WALK(CLUSTER_STARTING, CLUSTER_RUN_BEGUN), CLUSTER_RUNNING);
        /* Held is left both ways. */
        assert_int_equal(WALK(CLUSTER_SUSPECT, CLUSTER_ACT_FORBIDDEN, CLUSTER_RUN_BEGUN), CLUSTER_RUNNING);
        assert_int_equal(WALK(CLUSTER_SUSPECT, CLUSTER_ACT_FORBIDDEN, CLUSTER_PRIMARY_ANSWERS), CLUSTER_STEADY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_pair_is_a_row),
                cmocka_unit_test(test_paths),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
