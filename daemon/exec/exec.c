/* Scripts, carried out. Owns the jobs, a pool of connections for each server, and the secrets. Must never call a job's
 * function from inside exec_run(), nor let a job outlive its deadline. */
#include "exec.h"

#include <string.h>

#include "alloc.h"
#include "compose.h"
#include "hook.h"
#include "pool.h"
#include "reap.h"
#include "talk.h"

#define RESCUES_MAX 4
#define DEADLINE_MAX USEC_HOUR
#define CONNECT_TIMEOUT (5 * USEC_SEC)
#define SILENCE_MAX (10 * USEC_SEC) /* of TCP, under a statement that was sent and not acknowledged */
#define READY_FOR USEC_MINUTE       /* what was made ready for */

typedef struct Standby {
        struct Standby *next;
        Exec *exec;
        const Pool *pool;
        char *text;
        Talk *talk;
        ExecJob *job; /* whose turn it is; NULL while it waits for one */
} Standby;

struct ExecJob {
        ExecJob *previous, *next;
        Exec *exec;
        Pool *pool; /* NULL without a server */
        char *tag;
        bool quiesce;
        ScriptItem *items;
        size_t n_items, i;
        Replies *replies;
        usec_t deadline;
        Timer *start; /* deferred */
        Timer *timer; /* of hooks and what waits for a word: everything else keeps the deadline by itself */

        /* What is under way. */
        PoolClaim *claim;
        Sql *sql; /* kept from the first statement on to the end of the job */
        bool asking;
        SshTask *task;
        Standby *standby;
        Hook *hook;
        Reap *reap;

        exec_done_fn done;
        void *userdata;
};

struct Exec {
        Loop *loop;
        Pool **pools;
        size_t n_pools;
        PoolSettings settings;
        char *replication_password;
        Sudo sudo;
        ExecHook *hooks; /* with all that they point to */
        size_t n_hooks;
        RescueSettings rescue_settings;
        Rescue *rescues[RESCUES_MAX]; /* a run each */
        ExecJob *jobs;
        Standby *standbys;
};

static void job_step(ExecJob *job);
static Standby *standby_free(Standby *standby);

/* Ends of jobs. */

static void job_let_go(ExecJob *job)
{
        job->start = timer_free(job->start);
        job->claim = pool_abandon(job->claim);
        job->task = ssh_task_abandon(job->task);
        job->standby = standby_free(job->standby);
        job->hook = hook_abandon(job->hook);
        job->reap = reap_abandon(job->reap);
        Sql *sql = TAKE(job->sql);
        if (sql && job->asking)
                pool_drop(job->pool, sql);
        else if (sql)
                pool_give_back(job->pool, sql);
}

static void job_free(ExecJob *job)
{
        job_let_go(job);
        if (job->previous)
                job->previous->next = job->next;
        else
                job->exec->jobs = job->next;
        if (job->next)
                job->next->previous = job->previous;
        for (size_t i = 0; i < job->n_items; i++) {
                free(job->items[i].text);
                json_free(job->items[i].input);
        }
        free(job->items);
        replies_free(job->replies);
        timer_free(job->timer);
        free(job->tag);
        free(job);
}

static void job_finish(ExecJob *job)
{
        exec_done_fn done = job->done;
        void *userdata = job->userdata;
        Replies *replies = TAKE(job->replies);
        job_free(job);
        done(replies, userdata);
}

static bool is_over(const ExecJob *job)
{
        return usec_now_monotonic() >= job->deadline;
}

/* The item's reply is complete. */
static void job_next(ExecJob *job)
{
        Reply *reply = &job->replies->items[job->i];
        bool fatal = !job->items[job->i].may_fail || is_over(job);
        reply->run = true;
        if (reply->failure.kind != FAILURE_NONE && fatal) {
                job->replies->failure = reply->failure;
                job_finish(job);
                return;
        }
        job->i++;
        job_step(job);
}

static void job_fail_item(ExecJob *job, const Failure *failure)
{
        job->replies->items[job->i].failure = *failure;
        job_next(job);
}

/* Statements. */

static Rescue *find_rescue(const Exec *exec, const char *tag)
{
        for (size_t i = 0; i < RESCUES_MAX; i++)
                if (exec->rescues[i] && strcmp(rescue_run(exec->rescues[i]), tag) == 0)
                        return exec->rescues[i];
        return NULL;
}

static ComposeSecrets secrets_of(const ExecJob *job)
{
        const Rescue *rescue = find_rescue(job->exec, job->tag);
        return (ComposeSecrets){
                .replication_password = job->exec->replication_password,
                .feed_password = rescue && job->pool ? rescue_password(rescue, pool_name(job->pool)) : NULL,
        };
}

static void take_reply(ExecJob *job, Reply *reply)
{
        job->replies->items[job->i] = *reply;
        *reply = (Reply){ 0 };
        Failure *failure = &job->replies->items[job->i].failure;
        ComposeSecrets secrets = secrets_of(job);
        compose_conceal(job->items[job->i].text, &secrets, failure);
}

static void end_asking(ExecJob *job, Sql *sql)
{
        job->asking = false;
        if (!sql_is_usable(sql)) { /* the server may not know yet that we are gone */
                job->sql = NULL;
                pool_drop(job->pool, sql);
        }
        job_next(job);
}

static void on_reply(Sql *sql, Reply *reply, void *userdata)
{
        ExecJob *job = userdata;
        take_reply(job, reply);
        end_asking(job, sql);
}

/* Only the last that was run can have failed. */
static void on_replies(Sql *sql, Replies *replies, void *userdata)
{
        ExecJob *job = userdata;
        take_reply(job, &replies->items[0]);
        for (size_t k = 1; k < replies->n_items && replies->items[k].run; k++) {
                job->i++;
                take_reply(job, &replies->items[k]);
        }
        end_asking(job, sql);
}

static bool is_question(const ScriptItem *item)
{
        return item->kind == SCRIPT_SQL && !strstr(item->text, "${") &&
               (text_starts_with(item->text, "SELECT ") || text_starts_with(item->text, "SHOW "));
}

/* What was sent may have been done, whatever becomes of the answer. */
static void note_lock(ExecJob *job, const char *text)
{
        if (text_equal(text, "FLUSH TABLES WITH READ LOCK"))
                pool_hold(job->pool, job->sql, job->tag);
        else if (text_equal(text, "UNLOCK TABLES"))
                pool_hold(job->pool, job->sql, NULL);
}

static void ask(ExecJob *job)
{
        Failure failure;
        char *statement = NULL;
        ComposeSecrets secrets = secrets_of(job);
        if (compose_statement(job->tag, job->items[job->i].text, &secrets, &statement, &failure) < 0) {
                job_fail_item(job, &failure);
                return;
        }
        note_lock(job, job->items[job->i].text);
        job->asking = true;
        sql_query(job->sql, statement, job->deadline, on_reply, job);
        text_wipe(statement);
}

/* What takes long is the way there and back: so questions in a row, which change nothing and hold no secret, go together. */
static void ask_together(ExecJob *job)
{
        size_t n = 0;
        while (job->i + n < job->n_items && is_question(&job->items[job->i + n]))
                n++;
        CLEANUP(mem_free) char *mark = compose_mark(job->tag);
        if (n < 2 || !mark) {
                ask(job);
                return;
        }
        Text all = { 0 };
        for (size_t k = 0; k < n; k++)
                text_addf(&all, "%s%s %s", k ? "; " : "", mark, job->items[job->i + k].text);
        job->asking = true;
        sql_query_many(job->sql, all.data, n, job->deadline, on_replies, job);
        text_done(&all);
}

static void on_sql(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        ExecJob *job = userdata;
        job->claim = NULL;
        job->sql = sql;
        if (failure)
                job_fail_item(job, failure);
        else
                ask_together(job);
}

static void step_sql(ExecJob *job)
{
        if (job->sql)
                ask_together(job);
        else
                job->claim = pool_claim_sql(job->pool, job->tag, job->deadline, on_sql, job);
}

/* Commands. */

static void set_output(Reply *reply, int exit_status, const char *out, const char *err, const Failure *failure)
{
        reply->exit_status = exit_status;
        reply->out = alloc_string(out);
        reply->err = alloc_string(err);
        reply->failure = *failure;
}

static void on_result(const SshResult *result, void *userdata)
{
        ExecJob *job = userdata;
        job->task = NULL;
        Reply *reply = &job->replies->items[job->i];
        set_output(reply, result->exit_status, result->out, result->err, &result->failure);
        if (reply->failure.kind == FAILURE_NONE && result->exit_status != 0)
                failure_set(&reply->failure, FAILURE_EXIT, result->exit_status, "status %d on %s: %.*s",
                            result->exit_status, pool_name(job->pool), (int) strcspn(reply->err, "\n"), reply->err);
        job_next(job);
}

/* Commands that wait for a word: made ready by one item, told by another that has the same text. */

static Standby *standby_free(Standby *standby)
{
        if (!standby)
                return NULL;
        Standby **at = &standby->exec->standbys;
        while (*at != standby)
                at = &(*at)->next;
        *at = standby->next;
        talk_free(standby->talk);
        free(standby->text);
        free(standby);
        return NULL;
}

static Standby *find_standby(const ExecJob *job)
{
        Standby *standby = job->exec->standbys;
        while (standby &&
               (standby->job || standby->pool != job->pool || strcmp(standby->text, job->items[job->i].text) != 0))
                standby = standby->next;
        return standby;
}

static void standby_lend(Standby *standby, ExecJob *job)
{
        standby->job = job;
        job->standby = standby;
        timer_set(job->timer, job->deadline);
}

static ExecJob *standby_take_back(Standby *standby)
{
        ExecJob *job = TAKE(standby->job);
        if (job) {
                job->standby = NULL;
                timer_stop(job->timer);
        }
        return job;
}

static void on_greeted(Talk *talk, const char *line, void *userdata)
{
        static const Failure none;
        Standby *standby = userdata;
        if (!standby->job || standby->job->items[standby->job->i].kind != SCRIPT_READY)
                return;
        ExecJob *job = standby_take_back(standby);
        set_output(&job->replies->items[job->i], 0, line, "", &none);
        if (strcmp(line, "ready") != 0)
                standby_free(standby);
        job_next(job);
}

static void on_talked(Talk *talk, const SshResult *result, void *userdata)
{
        Standby *standby = userdata;
        ExecJob *job = standby_take_back(standby);
        standby_free(standby);
        if (job)
                on_result(result, job);
}

static void begin_standby(ExecJob *job, SshLink *link, const char *command)
{
        standby_free(find_standby(job));
        Standby *standby = ALLOC(Standby);
        *standby = (Standby){ .next = job->exec->standbys,
                              .exec = job->exec,
                              .pool = job->pool,
                              .text = alloc_string(job->items[job->i].text) };
        job->exec->standbys = standby;
        standby_lend(standby, job);
        standby->talk = talk_new(link, command, READY_FOR, on_greeted, on_talked, standby);
        if (job->items[job->i].kind == SCRIPT_SSH)
                talk_go(standby->talk);
}

static void free_idle_standbys(Exec *exec)
{
        for (Standby *standby = exec->standbys, *next; standby; standby = next) {
                next = standby->next;
                if (!standby->job)
                        standby_free(standby);
        }
}

static void on_link(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        ExecJob *job = userdata;
        job->claim = NULL;
        if (failure) {
                job_fail_item(job, failure);
                return;
        }
        const ScriptItem *item = &job->items[job->i];
        CLEANUP(mem_free) char *command = compose_command(item->text, job->exec->sudo);
        if (item->kind == SCRIPT_READY || item->on_word)
                begin_standby(job, link, command);
        else
                job->task = ssh_link_exec(link, command, job->deadline, on_result, job);
}

static void step_ssh(ExecJob *job)
{
        Standby *standby = job->items[job->i].on_word ? find_standby(job) : NULL;
        if (standby) {
                standby_lend(standby, job);
                talk_go(standby->talk);
        } else
                job->claim = pool_claim_ssh(job->pool, job->deadline, on_link, job);
}

/* Hooks. */

static const ExecHook *find_hook(const Exec *exec, const char *name)
{
        for (size_t i = 0; i < exec->n_hooks; i++)
                if (strcmp(exec->hooks[i].name, name) == 0)
                        return &exec->hooks[i];
        return NULL;
}

/* Who is told a password may repeat it, and what he says is logged. */
static void conceal_password(const ExecJob *job, Reply *reply)
{
        const ExecHook *hook = find_hook(job->exec, job->items[job->i].text);
        const char *password = job->exec->settings.sql.password;
        if (!password || !hook || !hook->command)
                return;
        compose_blot_out(reply->out, password);
        compose_blot_out(reply->err, password);
        compose_blot_out(reply->failure.text, password);
}

static void on_hook(const HookResult *result, void *userdata)
{
        ExecJob *job = userdata;
        Reply *reply = &job->replies->items[job->i];
        job->hook = NULL;
        timer_stop(job->timer);
        set_output(reply, result->exit_status, result->out, result->err, &result->failure);
        conceal_password(job, reply);
        job_next(job);
}

static void on_deadline(void *userdata)
{
        ExecJob *job = userdata;
        Failure *failure = &job->replies->items[job->i].failure;
        if (job->hook)
                failure_set(failure, FAILURE_TIMEOUT, 0, "the hook %s did not end in time", job->items[job->i].text);
        else
                failure_set(failure, FAILURE_TIMEOUT, 0, "the command on %s did not end in time", pool_name(job->pool));
        job->hook = hook_abandon(job->hook);
        job->standby = standby_free(job->standby);
        job_next(job);
}

static void step_hook(ExecJob *job)
{
        const ScriptItem *item = &job->items[job->i];
        const ExecHook *hook = find_hook(job->exec, item->text);
        if (!hook) {
                Failure failure;
                failure_set(&failure, FAILURE_INVALID, 0, "no hook %s is configured", item->text);
                job_fail_item(job, &failure);
                return;
        }
        CLEANUP(invocation_done) Invocation run = invocation_make(hook, item->input, job->exec->settings.sql.password);
        usec_t deadline = usec_add(usec_now_monotonic(), hook->timeout);
        timer_set(job->timer, job->deadline);
        job->hook = hook_run(job->exec->loop, run.name, (const char *const *) run.argv, run.input,
                             (const char *const *) run.environment, deadline < job->deadline ? deadline : job->deadline,
                             on_hook, job);
}

/* Saved logs. */

static Pool *find_pool(const Exec *exec, const char *server);

static Pool *rescue_pool(const char *server, void *userdata)
{
        return find_pool(userdata, server);
}

/* The one of a run; NULL when no place is left for it. */
static Rescue *make_rescue(Exec *exec, const char *tag)
{
        for (size_t i = 0; i < RESCUES_MAX; i++)
                if (!exec->rescues[i])
                        return exec->rescues[i] =
                                       rescue_new(exec->loop, &exec->rescue_settings, tag, rescue_pool, exec);
        return NULL;
}

static void on_rescued(void *userdata)
{
        ExecJob *job = userdata;
        Exec *exec = job->exec;
        const ScriptItem *item = &job->items[job->i];
        Reply *reply = &job->replies->items[job->i];
        job->start = NULL;
        Rescue *rescue = find_rescue(exec, job->tag);
        if (!rescue && exec->rescue_settings.directory)
                rescue = make_rescue(exec, job->tag);
        if (rescue)
                rescue_do(rescue, item->text, item->input, reply);
        else
                failure_set(&reply->failure, FAILURE_INVALID, 0, "logs cannot be saved: %s",
                            exec->rescue_settings.directory ? "too many runs do it" : "there is no directory for them");
        job_next(job);
}

void exec_end_rescue(Exec *exec, const char *tag)
{
        for (size_t i = 0; i < RESCUES_MAX; i++)
                if (exec->rescues[i] && strcmp(rescue_run(exec->rescues[i]), tag) == 0)
                        exec->rescues[i] = rescue_free(exec->rescues[i]);
}

/* Steps. */

static bool needs_server(const ScriptItem *item)
{
        return item->kind == SCRIPT_SQL || item->kind == SCRIPT_SSH || item->kind == SCRIPT_READY;
}

static void job_step(ExecJob *job)
{
        if (job->i == job->n_items) {
                job_finish(job);
                return;
        }
        Failure failure;
        if (is_over(job)) {
                failure_set(&failure, FAILURE_TIMEOUT, 0, "no time was left for this");
                job_fail_item(job, &failure);
                return;
        }
        if (needs_server(&job->items[job->i]) && !job->pool) {
                failure_set(&failure, FAILURE_INVALID, 0, "there is no such server in the cluster");
                job_fail_item(job, &failure);
                return;
        }
        switch (job->items[job->i].kind) {
        case SCRIPT_SQL:
                step_sql(job);
                return;
        case SCRIPT_SSH:
                step_ssh(job);
                return;
        case SCRIPT_READY:
                job->claim = pool_claim_ssh(job->pool, job->deadline, on_link, job);
                return;
        case SCRIPT_HOOK:
                step_hook(job);
                return;
        case SCRIPT_RESCUE: /* deferred, so that no callback comes from within a call */
                job->start = loop_defer(job->exec->loop, on_rescued, job);
                return;
        case _SCRIPT_MAX:
                break;
        }
        failure_set(&failure, FAILURE_INVALID, 0, "unknown kind of script item");
        job_fail_item(job, &failure);
}

/* Quiesce. */

static void quiesce_end(ExecJob *job, const Failure *failure)
{
        job->replies->items[0].run = true;
        job->replies->items[0].failure = job->replies->failure = *failure;
        job_finish(job);
}

static void on_reaped(const Failure *failure, void *userdata)
{
        ExecJob *job = userdata;
        job->reap = NULL;
        job->asking = false;
        quiesce_end(job, failure);
}

static void on_quiesce_sql(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        ExecJob *job = userdata;
        job->claim = NULL;
        job->sql = sql;
        if (failure) {
                quiesce_end(job, failure);
                return;
        }
        CLEANUP(mem_free) char *mark = compose_mark(job->tag);
        job->asking = true;
        job->reap = reap_start(job->exec->loop, sql, mark, NULL, 0, job->deadline, on_reaped, job);
}

static void quiesce_step(ExecJob *job)
{
        Failure failure;
        CLEANUP(mem_free) char *mark = compose_mark(job->tag);
        if (job->pool && mark) {
                job->claim = pool_claim_sql(job->pool, job->tag, job->deadline, on_quiesce_sql, job);
                return;
        }
        failure_set(&failure, FAILURE_INVALID, 0,
                    mark ? "there is no such server in the cluster" : "a tag must be an identifier");
        quiesce_end(job, &failure);
}

static void on_start(void *userdata)
{
        ExecJob *job = userdata;
        job->start = NULL;
        (job->quiesce ? quiesce_step : job_step)(job);
}

/* Jobs. */

static Pool *find_pool(const Exec *exec, const char *server)
{
        for (size_t i = 0; server && i < exec->n_pools; i++)
                if (strcmp(pool_name(exec->pools[i]), server) == 0)
                        return exec->pools[i];
        return NULL;
}

static ExecJob *job_new(Exec *exec, const char *server, const char *tag, usec_t deadline, exec_done_fn done,
                        void *userdata)
{
        usec_t limit = usec_add(usec_now_monotonic(), DEADLINE_MAX);
        ExecJob *job = ALLOC(ExecJob);
        *job = (ExecJob){
                .exec = exec,
                .next = exec->jobs,
                .pool = find_pool(exec, server),
                .tag = alloc_string(tag),
                .deadline = deadline < limit ? deadline : limit,
                .done = done,
                .userdata = userdata,
        };
        if (job->next)
                job->next->previous = job;
        exec->jobs = job;
        job->timer = timer_new(exec->loop, USEC_MSEC, on_deadline, job);
        job->start = loop_defer(exec->loop, on_start, job);
        return job;
}

ExecJob *exec_run(Exec *exec, const char *server, const char *tag, const Script *script, usec_t deadline,
                  exec_done_fn done, void *userdata)
{
        ExecJob *job = job_new(exec, server, tag, deadline, done, userdata);
        job->n_items = script->n_items;
        job->items = ALLOC_ARRAY(ScriptItem, script->n_items);
        for (size_t i = 0; i < script->n_items; i++) {
                const ScriptItem *item = &script->items[i];
                job->items[i] = (ScriptItem){ .kind = item->kind,
                                              .text = alloc_string(item->text),
                                              .input = item->input ? json_copy(item->input) : NULL,
                                              .may_fail = item->may_fail,
                                              .on_word = item->on_word };
        }
        job->replies = replies_new(script->n_items);
        return job;
}

ExecJob *exec_quiesce(Exec *exec, const char *server, const char *tag, usec_t deadline, exec_done_fn done,
                      void *userdata)
{
        ExecJob *job = job_new(exec, server, tag, deadline, done, userdata);
        job->quiesce = true;
        job->replies = replies_new(1);
        return job;
}

void exec_abandon(ExecJob *job)
{
        if (job)
                job_free(job);
}

void exec_leave(ExecJob *job)
{
        if (!job)
                return;
        job->hook = hook_leave(job->hook);
        job_free(job);
}

void exec_warm(Exec *exec, const char *server)
{
        Pool *pool = find_pool(exec, server);
        if (pool) {
                pool_warm_sql(pool);
                pool_warm_ssh(pool);
        }
}

void exec_warm_sql(Exec *exec, const char *server)
{
        Pool *pool = find_pool(exec, server);
        if (pool)
                pool_warm_sql(pool);
}

void exec_cool(Exec *exec, const char *tag)
{
        free_idle_standbys(exec);
        for (size_t i = 0; i < exec->n_pools; i++)
                pool_cool(exec->pools[i], tag);
}

/* The whole. */

static void copy_settings(Exec *exec, const ExecConfig *config)
{
        exec->settings.sql = (SqlParams){
                .user = alloc_string(config->sql_user),
                .password = alloc_string(config->sql_password),
                .tls = config->tls,
                .ca_file = alloc_string(config->ca_file),
                .cert_file = alloc_string(config->cert_file),
                .key_file = alloc_string(config->key_file),
                .init = SQL_INIT,
                .role = "work",
                .many = true,
                .user_timeout = SILENCE_MAX,
        };
        exec->settings.ssh = (SshParams){
                .identity = config->identity,
                .known_hosts_file = alloc_string(config->known_hosts_file),
                .accept_unknown = config->accept_unknown_hosts,
        };
        exec->settings.resolver = config->resolver;
        exec->settings.connect_timeout = config->connect_timeout ? config->connect_timeout : CONNECT_TIMEOUT;
}

static ExecHook copy_hook(const ExecHook *hook)
{
        size_t n = 0;
        ExecHook copy = *hook;
        copy.name = alloc_string(hook->name);
        copy.command = alloc_string(hook->command);
        if (!hook->argv)
                return copy;
        while (hook->argv[n])
                n++;
        const char **argv = ALLOC_ARRAY(const char *, n + 1);
        for (size_t i = 0; i < n; i++)
                argv[i] = alloc_string(hook->argv[i]);
        copy.argv = argv;
        return copy;
}

int exec_new(Loop *loop, const ExecConfig *config, Exec **ret)
{
        Exec *exec = ALLOC(Exec);
        exec->loop = loop;
        copy_settings(exec, config);
        exec->replication_password = alloc_string(config->replication_password);
        exec->sudo = config->sudo;
        exec->rescue_settings = config->rescue;
        exec->rescue_settings.directory = alloc_string(config->rescue.directory);
        exec->rescue_settings.listen = alloc_string(config->rescue.listen);
        exec->rescue_settings.sudo = config->sudo;
        exec->n_hooks = config->n_hooks;
        exec->hooks = ALLOC_ARRAY(ExecHook, config->n_hooks);
        for (size_t i = 0; i < config->n_hooks; i++)
                exec->hooks[i] = copy_hook(&config->hooks[i]);
        exec->n_pools = config->n_servers;
        exec->pools = ALLOC_ARRAY(Pool *, config->n_servers);
        for (size_t i = 0; i < config->n_servers; i++)
                exec->pools[i] = pool_new(loop, &config->servers[i], &exec->settings);
        *ret = exec;
        return 0;
}

static void free_settings(PoolSettings *settings)
{
        free((char *) settings->sql.user);
        text_wipe((char *) settings->sql.password);
        free((char *) settings->sql.ca_file);
        free((char *) settings->sql.cert_file);
        free((char *) settings->sql.key_file);
        free((char *) settings->ssh.known_hosts_file);
}

static void free_hook(ExecHook *hook)
{
        free((char *) hook->name);
        free((char *) hook->command);
        for (const char *const *argument = hook->argv; argument && *argument; argument++)
                free((char *) *argument);
        free((void *) hook->argv);
}

Exec *exec_free(Exec *exec)
{
        if (!exec)
                return NULL;
        while (exec->jobs)
                job_free(exec->jobs);
        free_idle_standbys(exec);
        for (size_t i = 0; i < RESCUES_MAX; i++)
                rescue_free(exec->rescues[i]);
        free((char *) exec->rescue_settings.directory);
        free((char *) exec->rescue_settings.listen);
        for (size_t i = 0; i < exec->n_pools; i++)
                pool_free(exec->pools[i]);
        free(exec->pools);
        for (size_t i = 0; i < exec->n_hooks; i++)
                free_hook(&exec->hooks[i]);
        free(exec->hooks);
        text_wipe(exec->replication_password);
        free_settings(&exec->settings);
        free(exec);
        return NULL;
}
