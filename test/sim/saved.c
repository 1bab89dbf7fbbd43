/* Saved logs and feeds of the simulated world. Owns the databases that stand in for the dead one; must never give what was
 * not copied. */
#include "saved.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

#define COPYING (60 * USEC_MSEC)
#define OPENING (20 * USEC_MSEC)

enum { COPIES_MOST = 8, STANDINS_MOST = 64 };

typedef struct Copy {
        Database *of;
        bool relay, lost;
        uint64_t from, to; /* it has the transactions after from up to to */
        unsigned torn;     /* and so many bytes of the next one */
        usec_t done;
} Copy;

typedef struct Standin {
        Database database;
        SimServer server;
        char *replica, *expected, *end;
        unsigned port;
        usec_t open;
} Standin;

typedef struct Saved {
        Copy copies[COPIES_MOST];
        size_t n_copies;
        Standin *standins[STANDINS_MOST];
        size_t n_standins;
} Saved;

static Saved *saved_of(Sim *sim)
{
        if (!sim->saved)
                sim->saved = ALLOC(Saved);
        return sim->saved;
}

static Database *primary_of(Sim *sim)
{
        return database_of(&sim->servers[0]);
}

static bool is_done(Sim *sim, const Copy *copy)
{
        return !copy->lost && loop_now(sim->loop) >= copy->done;
}

/* "db1-bin.000003:1234"; how much is behind the end of the transaction. */
static uint64_t transaction_at(Sim *sim, const char *position, unsigned *ret_more)
{
        const char *colon = strrchr(position, ':');
        return database_transaction(primary_of(sim), strtoull(colon + 1, NULL, 10), ret_more);
}

static char *position_at(Sim *sim, uint64_t transaction, unsigned more)
{
        char file[40];
        database_file(primary_of(sim), file, sizeof file);
        return text_format("%s:%llu", file, (unsigned long long) database_offset(primary_of(sim), transaction) + more);
}

/* Copies */

static void collect(Sim *sim, const Json *input)
{
        Saved *saved = saved_of(sim);
        Database *of = database_of(sim_find(sim, json_get_string(input, "server")));
        const Json *file = json_at(json_get(input, "files"), 0);
        Copy copy = { .of = of, .relay = text_equal(json_get_string(input, "kind"), "relay") };
        copy.lost = of->ssh_dead || of->server->cut || sim->full;
        if (copy.relay) {
                copy.from = of->purged;
                copy.to = of->received;
                copy.torn = of->tail;
        } else {
                uint64_t from = (uint64_t) json_get_int(file, "from", 0);
                copy.from = from ? database_transaction(of, from, NULL) : 0;
                copy.to = database_transaction(of, (uint64_t) json_get_int(file, "to", 0), &copy.torn);
        }
        for (size_t i = 0; i < saved->n_copies; i++) {
                const Copy *known = &saved->copies[i];
                if (known->of == of && known->from <= copy.from && known->to >= copy.to && !known->lost)
                        return;
        }
        copy.done = loop_now(sim->loop) + COPYING;
        if (saved->n_copies == COPIES_MOST)
                abort();
        saved->copies[saved->n_copies++] = copy;
}

static void add_sources(Sim *sim, Json *json)
{
        const Saved *saved = saved_of(sim);
        Json *sources = json_ensure_object(json, "sources");
        for (size_t i = 0; i < saved->n_copies; i++) {
                const Copy *copy = &saved->copies[i];
                Json *source = json_ensure_object(sources, copy->of->server->name);
                bool busy = text_equal(json_get_string(source, "state"), "copying");
                int64_t total = (int64_t) (database_offset(copy->of, copy->to) + copy->torn) -
                                (int64_t) (copy->from ? database_offset(copy->of, copy->from) : 0);
                json_set_string(source, "state",
                                copy->lost                    ? "failed"
                                : busy || !is_done(sim, copy) ? "copying"
                                                              : "done");
                json_set_string(source, "end", !copy->lost ? "done" : sim->full ? "local" : "lost");
                json_set_string(source, "failure",
                                !copy->lost ? NULL
                                : sim->full ? "No space left on device"
                                            : "the session ended");
                json_set_int(source, "n_files", 1);
                json_set_int(source, "total", json_get_int(source, "total", 0) + total);
        }
}

static bool is_copying(Sim *sim)
{
        const Saved *saved = saved_of(sim);
        for (size_t i = 0; i < saved->n_copies; i++)
                if (!saved->copies[i].lost && !is_done(sim, &saved->copies[i]))
                        return true;
        return false;
}

/* How far it goes on from a transaction without a hole; torn: bytes behind that. */
static uint64_t reach(Sim *sim, uint64_t from, unsigned *ret_torn, bool *ret_complete)
{
        const Saved *saved = saved_of(sim);
        uint64_t end = from, most = from;
        bool further = true;
        while (further) {
                further = false;
                for (size_t i = 0; i < saved->n_copies; i++) {
                        const Copy *copy = &saved->copies[i];
                        if (!is_done(sim, copy))
                                continue;
                        most = copy->to > most ? copy->to : most;
                        if (copy->from <= end && copy->to > end) {
                                end = copy->to;
                                further = true;
                        }
                }
        }
        *ret_torn = 0;
        for (size_t i = 0; i < saved->n_copies; i++)
                if (is_done(sim, &saved->copies[i]) && saved->copies[i].to == end && saved->copies[i].torn > *ret_torn)
                        *ret_torn = saved->copies[i].torn;
        *ret_complete = end == most;
        return end;
}

static void answer(Sim *sim, const Json *question, Json *answers)
{
        const char *from_text = json_get_string(question, "from"), *has = json_get_string(question, "has");
        unsigned torn;
        bool complete;
        uint64_t from = text_is_empty(from_text) ? 0 : transaction_at(sim, from_text, NULL);
        if (has && (text_is_empty(from_text) || database_last(has) > from))
                from = database_last(has);
        uint64_t end = reach(sim, from, &torn, &complete);
        Json *json = json_ensure_object(answers, json_get_string(question, "name"));
        CLEANUP(mem_free) char *end_text = end > from ? position_at(sim, end, 0) : alloc_string("");
        CLEANUP(mem_free) char *torn_text = torn ? position_at(sim, end, torn) : alloc_string("");
        json_set_bool(json, "complete", complete);
        json_set_string(json, "end", end_text);
        json_set_string(json, "last", end_text);
        json_set_string(json, "torn", torn_text);
        json_set_int(json, "n_transactions", (int64_t) (end - from));
        if (!complete)
                json_append_string(json_ensure_array(json, "holes"), "a hole");
        if (!has)
                return;
        bool mariadb = text_equal(json_get_string(question, "family"), "mariadb");
        CLEANUP(mem_free)
        char *lacks = end == from ? alloc_string("")
                      : mariadb   ? text_format("0-1-%llu", (unsigned long long) end)
                                  : text_format("00000000-0000-0000-0000-000000000001:%llu-%llu",
                                                (unsigned long long) from + 1, (unsigned long long) end);
        json_set_string(json, "lacks", lacks);
}

/* Feeds */

Database *saved_at_port(Sim *sim, unsigned port)
{
        const Saved *saved = saved_of(sim);
        for (size_t i = 0; i < saved->n_standins; i++)
                if (saved->standins[i]->port == port)
                        return &saved->standins[i]->database;
        return NULL;
}

static Standin *living_standin(Sim *sim, const char *replica)
{
        const Saved *saved = saved_of(sim);
        for (size_t i = 0; i < saved->n_standins; i++)
                if (!saved->standins[i]->server.dead && text_equal(saved->standins[i]->replica, replica))
                        return saved->standins[i];
        return NULL;
}

static void feed(Sim *sim, const Json *input, Reply *reply)
{
        Saved *saved = saved_of(sim);
        const char *replica = json_get_string(input, "server"), *expected = json_get_string(input, "expected"),
                   *end = json_get_string(input, "end");
        Standin *known = living_standin(sim, replica);
        if (known && text_equal(known->expected, expected) && text_equal(known->end, end))
                return;
        unsigned torn;
        bool complete;
        uint64_t from = text_is_empty(expected) ? UINT64_MAX : transaction_at(sim, expected, NULL);
        uint64_t last = transaction_at(sim, end, NULL);
        for (size_t i = 0; text_is_empty(expected) && i < saved->n_copies; i++)
                if (is_done(sim, &saved->copies[i]) && saved->copies[i].from < from)
                        from = saved->copies[i].from;
        if (from == UINT64_MAX || is_copying(sim) || reach(sim, from, &torn, &complete) < last) {
                failure_set(&reply->failure, FAILURE_INVALID, 0, "nothing is saved behind %s", expected);
                return;
        }
        if (known)
                known->server.dead = true;
        if (saved->n_standins == STANDINS_MOST)
                abort();
        const Database *primary = primary_of(sim);
        Standin *standin = ALLOC(Standin);
        *standin = (Standin){ .port = 4000 + (unsigned) saved->n_standins, .open = loop_now(sim->loop) + OPENING };
        standin->replica = alloc_string(replica);
        standin->expected = alloc_string(expected);
        standin->end = alloc_string(end);
        standin->server = (SimServer){ .name = alloc_string("127.0.0.1"), .model = &standin->database };
        standin->database = (Database){ .sim = sim,
                                        .server = &standin->server,
                                        .version = primary->version,
                                        .dialect = primary->dialect,
                                        .id = primary->id,
                                        .gtid = primary->gtid,
                                        .port = standin->port,
                                        .stands_in_from = from,
                                        .log = last };
        saved->standins[saved->n_standins++] = standin;
}

static void add_feeds(Sim *sim, Json *json)
{
        const Saved *saved = saved_of(sim);
        Json *feeds = json_ensure_object(json, "feeds");
        for (size_t i = 0; i < saved->n_standins; i++) {
                const Standin *standin = saved->standins[i];
                const Database *replica = database_of(sim_find(sim, standin->replica));
                if (standin->server.dead)
                        continue;
                Json *one = json_ensure_object(feeds, standin->replica);
                bool open = loop_now(sim->loop) >= standin->open, fed = replica->source == &standin->database;
                bool level = fed && replica->received >= standin->database.log;
                json_set_string(one, "state", !open ? "opening" : level ? "level" : fed ? "sending" : "waiting");
                json_set_string(one, "host", "127.0.0.1");
                json_set_int(one, "port", open ? standin->port : 0);
                json_set_string(one, "user", "mhad_feed");
                json_set_string(one, "end", standin->end);
        }
}

void saved_end_feeds(Sim *sim)
{
        const Saved *saved = saved_of(sim);
        for (size_t i = 0; i < saved->n_standins; i++)
                saved->standins[i]->server.dead = true;
}

void saved_do(Sim *sim, const char *verb, const Json *input, Reply *reply)
{
        if (text_equal(verb, "collect"))
                collect(sim, input);
        else if (text_equal(verb, "feed"))
                feed(sim, input, reply);
        else if (text_equal(verb, "unfeed") && living_standin(sim, json_get_string(input, "server")))
                living_standin(sim, json_get_string(input, "server"))->server.dead = true;
        if (reply->failure.kind != FAILURE_NONE)
                return;
        CLEANUP(json_free) Json *json = json_object();
        json_set_string(json, "directory", "/saved");
        add_sources(sim, json);
        add_feeds(sim, json);
        JSON_FOREACH(question, json_get(input, "questions"))
        {
                if (!is_copying(sim))
                        answer(sim, question, json_ensure_object(json, "answers"));
        }
        reply->out = json_print(json);
}

void saved_free(Sim *sim)
{
        Saved *saved = saved_of(sim);
        for (size_t i = 0; i < saved->n_standins; i++) {
                free(saved->standins[i]->replica);
                free(saved->standins[i]->expected);
                free(saved->standins[i]->end);
                free(saved->standins[i]->server.name);
                free(saved->standins[i]);
        }
        free(saved);
        sim->saved = NULL;
}
