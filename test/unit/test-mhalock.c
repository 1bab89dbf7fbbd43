/* MHA's advisory locks: what is asked, and what the answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mhalock.h"
#include "text.h"

#define LOCKING __attribute__((cleanup(mha_locking_done))) MhaLocking locking = { 0 }

/* An answer of one row. */
static void answer(MhaLocking *locking, void (*read)(MhaLocking *, const Reply *), const char *names,
                   const char *values)
{
        Reply reply = { .run = true };
        CLEANUP(mem_free) char *name_words = alloc_string(names);
        CLEANUP(mem_free) char *value_words = alloc_string(values);
        char *columns[4] = { 0 }, *cells[4] = { 0 }, *rest = NULL;
        size_t n = 0;
        for (char *word = strtok_r(name_words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
                columns[n++] = word;
        n = 0;
        for (char *word = strtok_r(value_words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
                cells[n++] = strcmp(word, "NULL") == 0 ? NULL : word;
        reply.columns = columns;
        reply.n_columns = n;
        reply.cells = cells;
        reply.n_rows = 1;
        read(locking, &reply);
}

static void expect(char *statement, const char *expected)
{
        if (!expected)
                assert_null(statement);
        else
                assert_string_equal(statement, expected);
        free(statement);
}

static void test_taken(void **state)
{
        LOCKING;
        expect(mha_locking_take(&locking), NULL);
        locking.wanted = MHA_LOCK_MONITOR;
        expect(mha_locking_take(&locking),
               "SELECT CONNECTION_ID() AS own, GET_LOCK('MHA_Master_High_Availability_Monitor', 0) AS got, "
               "IS_USED_LOCK('MHA_Master_High_Availability_Monitor') AS holder");
        answer(&locking, mha_locking_took, "own got holder", "7 1 7");
        expect(mha_locking_take(&locking), NULL);
        expect(mha_locking_holder(&locking), "SELECT user, host FROM information_schema.processlist WHERE id = 7");
        answer(&locking, mha_locking_held, "user host", "mhad 10.0.0.9:1234");
        assert_string_equal(locking.session, "7@10.0.0.9:1234");
        assert_null(locking.manager);
        expect(mha_locking_end(&locking), NULL);
        /* Another role; in 5.6 a session has only one lock. */
        locking.wanted = MHA_LOCK_FAILOVER;
        expect(mha_locking_take(&locking),
               "SELECT CONNECTION_ID() AS own, RELEASE_LOCK('MHA_Master_High_Availability_Monitor') AS released, "
               "GET_LOCK('MHA_Master_High_Availability_Failover', 0) AS got, "
               "IS_USED_LOCK('MHA_Master_High_Availability_Failover') AS holder");
        answer(&locking, mha_locking_took, "own got holder", "7 1 7");
        locking.wanted = MHA_LOCK_NONE;
        expect(mha_locking_take(&locking),
               "SELECT CONNECTION_ID() AS own, RELEASE_LOCK('MHA_Master_High_Availability_Failover') AS released");
        answer(&locking, mha_locking_took, "own released", "7 1");
        assert_int_equal(locking.held, MHA_LOCK_NONE);
        expect(mha_locking_holder(&locking), NULL);
}

static void test_somebody_else(void **state)
{
        LOCKING;
        locking.wanted = MHA_LOCK_MONITOR;
        locking.session = alloc_string("7@10.0.0.9:1234");
        answer(&locking, mha_locking_took, "own got holder", "9 0 8");
        assert_int_equal(locking.held, MHA_LOCK_NONE);
        expect(mha_locking_holder(&locking), "SELECT user, host FROM information_schema.processlist WHERE id = 8");
        answer(&locking, mha_locking_held, "user host", "mha 10.0.0.8:4321");
        assert_string_equal(locking.manager, "session 8 of mha from 10.0.0.8:4321");
        expect(mha_locking_end(&locking), NULL);
        assert_non_null(locking.session);
        /* The number of a session of ours, reused by a server that was started again. */
        answer(&locking, mha_locking_took, "own got holder", "9 0 7");
        answer(&locking, mha_locking_held, "user host", "mha 10.0.0.8:4321");
        expect(mha_locking_end(&locking), NULL);
        /* It is gone. */
        answer(&locking, mha_locking_took, "own got holder", "9 1 9");
        assert_null(locking.manager);
}

/* A session that we lost and the server has not missed yet is ended. */
static void test_our_own(void **state)
{
        LOCKING;
        locking.wanted = MHA_LOCK_FAILOVER;
        locking.session = alloc_string("7@10.0.0.9:1234");
        answer(&locking, mha_locking_took, "own got holder", "9 0 7");
        answer(&locking, mha_locking_held, "user host", "mhad 10.0.0.9:1234");
        assert_null(locking.manager);
        expect(mha_locking_end(&locking), "KILL 7");
        answer(&locking, mha_locking_took, "own got holder", "9 1 9");
        expect(mha_locking_end(&locking), NULL);
        mha_locking_reset(&locking);
        assert_non_null(locking.session);
        assert_int_equal(locking.held, MHA_LOCK_NONE);
}

static void test_no_answer(void **state)
{
        LOCKING;
        Reply failed = { .run = true, .failure = { .kind = FAILURE_SQL, .code = 1064 } }, empty = { .run = true };
        locking.wanted = MHA_LOCK_MONITOR;
        mha_locking_took(&locking, &failed);
        mha_locking_took(&locking, &empty);
        answer(&locking, mha_locking_took, "own got holder", "9 NULL NULL");
        assert_int_equal(locking.held, MHA_LOCK_NONE);
        assert_null(locking.manager);
        answer(&locking, mha_locking_took, "own got holder", "9 0 8");
        mha_locking_held(&locking, &empty);
        assert_null(locking.manager);
        answer(&locking, mha_locking_held, "user host", "NULL NULL");
        assert_string_equal(locking.manager, "session 8 of ? from ?");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_taken),
                cmocka_unit_test(test_somebody_else),
                cmocka_unit_test(test_our_own),
                cmocka_unit_test(test_no_answer),
        };
        return cmocka_run_group_tests_name("mhalock", tests, NULL, NULL);
}
