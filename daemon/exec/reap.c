/* KILL until nothing is left. Owns nothing of the connection; must never kill an id without having seen the mark in its
 * statement, because after a restart of the server ids begin anew. */
#include "reap.h"

#include <inttypes.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

#define INTERVAL (20 * USEC_MSEC)
#define ER_NO_SUCH_THREAD 1094

struct Reap {
        Sql *sql;
        char *search;
        Reply found; /* the ids still to be killed, from i on */
        size_t i;
        usec_t deadline;
        Timer *pause;
        reap_fn done;
        void *userdata;
};

static void search(void *userdata);

static void forget_found(Reap *reap)
{
        for (size_t i = 0; i < reap->found.n_rows * reap->found.n_columns; i++)
                free(reap->found.cells[i]);
        free(reap->found.cells);
        reap->found = (Reply){ 0 };
        reap->i = 0;
}

Reap *reap_abandon(Reap *reap)
{
        if (!reap)
                return NULL;
        timer_free(reap->pause);
        forget_found(reap);
        free(reap->search);
        free(reap);
        return NULL;
}

static void finish(Reap *reap, const Failure *failure)
{
        Failure copy = *failure;
        reap_fn done = reap->done;
        void *userdata = reap->userdata;
        reap_abandon(reap);
        done(&copy, userdata);
}

static void kill_next(Reap *reap);

static void on_killed(Sql *sql, Reply *reply, void *userdata)
{
        Reap *reap = userdata;
        if (reply->failure.kind != FAILURE_NONE && reply->failure.code != ER_NO_SUCH_THREAD)
                finish(reap, &reply->failure);
        else
                kill_next(reap);
}

static void kill_next(Reap *reap)
{
        if (reap->i == reap->found.n_rows) {
                forget_found(reap);
                timer_set_in(reap->pause, INTERVAL);
                return;
        }
        CLEANUP(mem_free) char *statement = text_format("KILL %s", reap->found.cells[reap->i++]);
        sql_query(reap->sql, statement, reap->deadline, on_killed, reap);
}

static void on_found(Sql *sql, Reply *reply, void *userdata)
{
        Reap *reap = userdata;
        if (reply->failure.kind != FAILURE_NONE || reply->n_rows == 0) {
                finish(reap, &reply->failure);
                return;
        }
        reap->found = (Reply){ .cells = reply->cells, .n_rows = reply->n_rows, .n_columns = reply->n_columns };
        reply->cells = NULL;
        reply->n_rows = 0;
        kill_next(reap);
}

static void search(void *userdata)
{
        Reap *reap = userdata;
        sql_query(reap->sql, reap->search, reap->deadline, on_found, reap);
}

static char *compose_search(const char *mark, const uint64_t *ids, size_t n_ids)
{
        CLEANUP(mem_free) char *literal = text_quote_sql(mark);
        Text text = { 0 };
        text_addf(&text,
                  "SELECT id FROM information_schema.processlist"
                  " WHERE id <> CONNECTION_ID() AND LEFT(info, %zu) = %s",
                  strlen(mark), literal);
        for (size_t i = 0; i < n_ids; i++)
                text_addf(&text, "%s%" PRIu64, i == 0 ? " AND id IN (" : ", ", ids[i]);
        text_add(&text, n_ids ? ")" : "");
        return text_take(&text);
}

Reap *reap_start(Loop *loop, Sql *sql, const char *mark, const uint64_t *ids, size_t n_ids, usec_t deadline,
                 reap_fn done, void *userdata)
{
        Reap *reap = ALLOC(Reap);
        *reap = (Reap){ .sql = sql, .deadline = deadline, .done = done, .userdata = userdata };
        reap->search = compose_search(mark, ids, n_ids);
        reap->pause = timer_new(loop, USEC_MSEC, search, reap);
        search(reap);
        return reap;
}
