/* exec.h against simulated servers. A statement that was sent is the world's: it is carried out whatever becomes of the
 * client, at once or seconds later, unless it is quiesced. Owns the jobs of one client. */
#include <assert.h>
#include <string.h>

#include "alloc.h"
#include "sim.h"
#include "text.h"

typedef struct Statement {
        Sim *sim;
        SimServer *server;
        struct Statement *next;
        ScriptItem item;
        char *tag;
        Timer *timer;
        ExecJob *job; /* who waits for it; NULL when nobody does */
} Statement;

struct ExecJob {
        Exec *exec;
        ExecJob *previous, *next;
        SimServer *server; /* NULL: hooks */
        char *tag;
        Script script;
        bool quiesce;
        size_t i_item;
        Replies *replies;
        Timer *timer, *deadline;
        Statement *statement; /* under way */
        exec_done_fn done;
        void *userdata;
};

struct Exec {
        Sim *sim;
        ExecJob *jobs;
};

/* The world */

static uint64_t next_random(uint64_t *state)
{
        uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

Sim *sim_new(uint64_t seed)
{
        Sim *sim = ALLOC(Sim);
        *sim = (Sim){ .seed = seed, .random = seed, .latency = 3 * USEC_MSEC, .stuck_for = 4 * USEC_SEC };
        loop_new(&sim->loop);
        return sim;
}

static void statement_free(Statement *statement)
{
        Statement **link = (Statement **) &statement->sim->statements;
        while (*link != statement)
                link = &(*link)->next;
        *link = statement->next;
        timer_free(statement->timer);
        free(statement->item.text);
        json_free(statement->item.input);
        free(statement->tag);
        free(statement);
}

Sim *sim_free(Sim *sim)
{
        if (!sim)
                return NULL;
        while (sim->statements)
                statement_free(sim->statements);
        for (size_t i = 0; i < sim->n_servers; i++) {
                free(sim->servers[i].name);
                free(sim->servers[i].model);
                json_free(sim->servers[i].state);
        }
        if (sim->free_saved)
                sim->free_saved(sim);
        free(sim->servers);
        json_free(sim->hooks);
        loop_free(sim->loop);
        free(sim);
        return NULL;
}

SimServer *sim_add(Sim *sim, const char *name)
{
        ALLOC_GROW(sim->servers, sim->n_servers);
        SimServer *server = &sim->servers[sim->n_servers++];
        *server = (SimServer){ .name = alloc_string(name), .state = json_object() };
        return server;
}

SimServer *sim_find(Sim *sim, const char *name)
{
        for (size_t i = 0; i < sim->n_servers; i++)
                if (text_equal(sim->servers[i].name, name))
                        return &sim->servers[i];
        return NULL;
}

unsigned sim_random(Sim *sim, unsigned below)
{
        return (unsigned) (next_random(&sim->random) % below);
}

bool sim_chance(Sim *sim, unsigned per_mille)
{
        return sim_random(sim, 1000) < per_mille;
}

static void on_passed(void *userdata)
{
        loop_exit(userdata, 0);
}

void sim_pass(Sim *sim, usec_t duration)
{
        Timer *timer = timer_new(sim->loop, 0, on_passed, sim->loop);
        timer_set_in(timer, duration);
        loop_run(sim->loop);
        timer_free(timer);
}

bool sim_is_effect(const Sim *sim, const ScriptItem *item)
{
        if (sim->is_effect)
                return sim->is_effect(item);
        const char *text = item->text;
        switch (item->kind) {
        case SCRIPT_SQL:
                return !text_starts_with(text, "SELECT") && !text_starts_with(text, "SHOW") &&
                       !text_starts_with(text, "GET");
        case SCRIPT_SSH:
                return !text_starts_with(text, "#");
        case SCRIPT_READY:
                return false;
        case SCRIPT_RESCUE:
                return !text_equal(text, "look");
        case SCRIPT_HOOK:
        case _SCRIPT_MAX:
                return true;
        }
        return true;
}

/* Statements */

static void job_step(void *userdata);

static usec_t latency(Sim *sim)
{
        return 100 + sim_random(sim, (unsigned) sim->latency);
}

static bool can_be_reached(const Sim *sim, const SimServer *server, ScriptKind kind)
{
        return sim->can_be_reached ? sim->can_be_reached(server, kind) : !server->dead;
}

static void on_carried_out(void *userdata)
{
        Statement *statement = userdata;
        Sim *sim = statement->sim;
        if (statement->server && statement->server->frozen && statement->item.kind == SCRIPT_SQL) {
                timer_set_in(statement->timer, 200 * USEC_MSEC);
                return;
        }
        ExecJob *job = statement->job;
        Reply unheard = { 0 };
        Reply *reply = job ? &job->replies->items[job->i_item] : &unheard;
        bool cut = statement->server && statement->server->cut;
        reply->run = !cut;
        sim->pause = 0;
        if (statement->server && !can_be_reached(sim, statement->server, statement->item.kind))
                failure_set(&reply->failure, FAILURE_SQL, 2013, "lost connection to %s", statement->server->name);
        else if (!cut && (job || statement->server)) /* a hook dies with its daemon */
                sim->execute(sim, statement->server, &statement->item, reply);
        if (job) {
                job->statement = NULL;
                if (!cut) /* else it waits until its deadline */
                        timer_set_in(job->timer, sim->pause + latency(sim));
        } else {
                Replies *rest = replies_new(1);
                rest->items[0] = unheard;
                replies_free(rest);
        }
        statement_free(statement);
}

static void job_send(ExecJob *job)
{
        Sim *sim = job->exec->sim;
        const ScriptItem *item = &job->script.items[job->i_item];
        Statement *statement = ALLOC(Statement);
        *statement = (Statement){ .sim = sim, .server = job->server, .next = sim->statements, .job = job };
        statement->item = (ScriptItem){ .kind = item->kind,
                                        .text = alloc_string(item->text),
                                        .input = json_copy(item->input),
                                        .may_fail = item->may_fail };
        statement->tag = alloc_string(job->tag);
        statement->timer = timer_new(sim->loop, 0, on_carried_out, statement);
        sim->statements = statement;
        job->statement = statement;
        usec_t delay = latency(sim);
        if (sim_is_effect(sim, item) && sim_chance(sim, sim->stuck))
                delay += sim_random(sim, (unsigned) sim->stuck_for);
        timer_set_in(statement->timer, delay);
        if (sim_is_effect(sim, item) && sim_chance(sim, sim->lost)) {
                failure_set(&job->replies->failure, FAILURE_SQL, 2013, "lost connection during the query");
                job->statement = NULL;
                statement->job = NULL;
                timer_set_in(job->timer, latency(sim));
        }
}

/* Jobs */

static void job_free(ExecJob *job)
{
        if (job->previous)
                job->previous->next = job->next;
        else
                job->exec->jobs = job->next;
        if (job->next)
                job->next->previous = job->previous;
        if (job->statement)
                job->statement->job = NULL;
        timer_free(job->timer);
        timer_free(job->deadline);
        replies_free(job->replies);
        script_done(&job->script);
        free(job->tag);
        free(job);
}

static void job_end(ExecJob *job)
{
        Replies *replies = TAKE(job->replies);
        exec_done_fn done = job->done;
        void *userdata = job->userdata;
        job_free(job);
        done(replies, userdata);
}

static void on_deadline(void *userdata)
{
        ExecJob *job = userdata;
        failure_set(&job->replies->failure, FAILURE_TIMEOUT, 0, "no answer before the deadline");
        job_end(job);
}

static void quiesce(ExecJob *job)
{
        Sim *sim = job->exec->sim;
        for (Statement *statement = sim->statements, *next; statement && !sim->deaf; statement = next) {
                next = statement->next;
                if (statement->server != job->server || strcmp(statement->tag, job->tag) != 0)
                        continue;
                if (statement->job) {
                        failure_set(&statement->job->replies->failure, FAILURE_SQL, 2013, "killed");
                        timer_set_in(statement->job->timer, latency(sim));
                        statement->job->statement = NULL;
                }
                statement_free(statement);
        }
        job->replies->items[0].run = true;
}

static bool job_connects(ExecJob *job)
{
        const SimServer *server = job->server;
        if (server && (server->cut || (server->frozen && job->quiesce)))
                return false; /* until the deadline */
        ScriptKind kind = job->quiesce ? SCRIPT_SQL : job->script.items[job->i_item].kind;
        if (server && !can_be_reached(job->exec->sim, server, kind)) {
                failure_set(&job->replies->items[job->i_item].failure, kind == SCRIPT_SSH ? FAILURE_SSH : FAILURE_SQL,
                            kind == SCRIPT_SSH ? 0 : 2003, "cannot connect to %s: connection refused", server->name);
                job->replies->items[job->i_item].run = true;
        }
        return true;
}

/* The last item's answer is there, or the job begins: what is next? */
static void job_step(void *userdata)
{
        ExecJob *job = userdata;
        Reply *last = &job->replies->items[job->i_item];
        if (last->run && last->failure.kind != FAILURE_NONE &&
            (job->quiesce || !job->script.items[job->i_item].may_fail) && job->replies->failure.kind == FAILURE_NONE)
                job->replies->failure = last->failure;
        if (last->run)
                job->i_item++;
        if (job->replies->failure.kind != FAILURE_NONE || job->i_item == job->replies->n_items) {
                job_end(job);
                return;
        }
        /* In the daemon itself. */
        Reply *reply = &job->replies->items[job->i_item];
        if (!job->quiesce && job->script.items[job->i_item].kind == SCRIPT_RESCUE) {
                reply->run = true;
                job->exec->sim->execute(job->exec->sim, job->server, &job->script.items[job->i_item], reply);
                timer_set_in(job->timer, USEC_MSEC);
                return;
        }
        if (!job_connects(job))
                return;
        if (job->replies->items[job->i_item].run) {
                timer_set_in(job->timer, latency(job->exec->sim));
                return;
        }
        if (job->quiesce)
                quiesce(job);
        else
                job_send(job);
        if (job->quiesce)
                timer_set_in(job->timer, latency(job->exec->sim));
}

static ExecJob *job_new(Exec *exec, const char *server, const char *tag, size_t n_items, usec_t deadline,
                        exec_done_fn done, void *userdata)
{
        Sim *sim = exec->sim;
        ExecJob *job = ALLOC(ExecJob);
        *job = (ExecJob){ .exec = exec,
                          .next = exec->jobs,
                          .server = server ? sim_find(sim, server) : NULL,
                          .tag = alloc_string(tag),
                          .replies = replies_new(n_items),
                          .done = done,
                          .userdata = userdata };
        assert(!server || job->server);
        if (exec->jobs)
                exec->jobs->previous = job;
        exec->jobs = job;
        job->timer = timer_new(sim->loop, 0, job_step, job);
        job->deadline = timer_new(sim->loop, 0, on_deadline, job);
        timer_set(job->deadline, deadline);
        return job;
}

static void copy_script(const Script *script, Script *ret)
{
        Json *json = script_to_json(script);
        int r = script_from_json(json, ret, NULL);
        assert(r == 0);
        json_free(json);
}

ExecJob *exec_run(Exec *exec, const char *server, const char *tag, const Script *script, usec_t deadline,
                  exec_done_fn done, void *userdata)
{
        assert(!script_is_empty(script));
        ExecJob *job = job_new(exec, server, tag, script->n_items, deadline, done, userdata);
        copy_script(script, &job->script);
        Sim *sim = exec->sim;
        if (!sim->watch || sim->watch(server, script, sim->userdata))
                job_step(job);
        return job;
}

ExecJob *exec_quiesce(Exec *exec, const char *server, const char *tag, usec_t deadline, exec_done_fn done,
                      void *userdata)
{
        ExecJob *job = job_new(exec, server, tag, 1, deadline, done, userdata);
        job->quiesce = true;
        timer_set_in(job->timer, latency(exec->sim));
        return job;
}

void exec_abandon(ExecJob *job)
{
        if (job)
                job_free(job);
}

void exec_warm(Exec *exec, const char *server)
{
}

void exec_end_rescue(Exec *exec, const char *tag)
{
        if (exec->sim->on_client_end)
                exec->sim->on_client_end(exec->sim);
}

void exec_cool(Exec *exec, const char *tag)
{
}

Exec *sim_exec_new(Sim *sim)
{
        Exec *exec = ALLOC(Exec);
        exec->sim = sim;
        return exec;
}

Exec *sim_exec_free(Exec *exec)
{
        if (!exec)
                return NULL;
        while (exec->jobs)
                job_free(exec->jobs);
        exec_end_rescue(exec, NULL);
        free(exec);
        return NULL;
}
