/* The real switchover against simulated databases with clients that write all the time, killed before, in and after every
 * record and at every script. Whatever happens: never two writable servers, nothing lost, nobody attached with a hole, and
 * in the end wholly the old or wholly the new.
 *
 * SIM_SEED=n runs that seed alone, SIM_SEEDS=n so many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "database.h"
#include "run.h"
#include "switchover.h"
#include "text.h"
#include "trial.h"

typedef struct Flavoured {
        const char *name, *version;
        bool gtid;
} Flavoured;

static const Flavoured flavoured[] = {
        { "MySQL 8.4 by GTID", "8.4.3", true },
        { "MySQL 8.0 by position", "8.0.36", false },
        { "MySQL 5.6 by position", "5.6.51-log", false },
        { "MariaDB 10.11 by GTID", "10.11.6-MariaDB", true },
        { "MariaDB 10.11 by position", "10.11.6-MariaDB", false },
};

typedef enum Trouble {
        TROUBLE_NONE,
        TROUBLE_PRIVILEGED,       /* clients that read_only does not bind */
        TROUBLE_SLOW_DISK,        /* statements fail, get stuck, or their answers get lost */
        TROUBLE_NO_ADDRESS,       /* the candidate's host cannot be given it: undo */
        TROUBLE_CANDIDATE_DIES,   /* in the block: undo */
        TROUBLE_CANDIDATE_STUCK,  /* it does not get to the end: undo */
        TROUBLE_LOCK_LOST,        /* in the block: undo, where there is a lock */
        TROUBLE_OLD_PRIMARY_DIES, /* in the block */
        TROUBLE_CANCEL,           /* an operator ends it: undo */
        _TROUBLE_MAX,
} Trouble;
static const char *const trouble_names[] = {
        "no trouble",      "privileged clients", "trouble everywhere", "no address", "candidate dies",
        "candidate stuck", "lock lost",          "old primary dies",   "cancelled",
};

/* A server's end at a record of the journal. */
typedef enum Fate {
        FATE_DIES,    /* its process */
        FATE_RETURNS, /* it is started again after a while */
        FATE_FREEZES, /* its process */
        FATE_CUT,     /* its host */
        _FATE_MAX,
} Fate;
static const char *const fate_names[] = { "dies", "dies and returns", "freezes", "is cut off" };

typedef struct Doom {
        unsigned at; /* record; 0: nothing happens */
        size_t server;
        Fate fate;
        usec_t since, until; /* 0: not yet, for good */
        Timer *timer;
} Doom;

static const Flavoured *flavour;
static Trouble trouble;
static bool happened, told;
static Doom doom;
static bool opens, open; /* the opening was begun, and confirmed */
static uint64_t end;     /* what the old primary had then */

enum { FIRST = 1000, SERVERS = 4 };

static void build_world(Sim *sim)
{
        for (size_t i = 0; i < SERVERS; i++) {
                CLEANUP(mem_free) char *name = text_format("db%zu", i + 1);
                Database *database = database_add(sim, name, flavour->version, flavour->gtid);
                database->written = true;
                database->privileged = trouble == TROUBLE_PRIVILEGED;
                database->event = i == 0 ? EVENT_RUNS : EVENT_RESTS;
                database->scheduler_off = i == 1;
        }
        Database *primary = database_of(&sim->servers[0]);
        primary->read_only = false;
        primary->has_address = true;
        primary->log = FIRST;
        for (size_t i = 1; i < SERVERS; i++) {
                Database *replica = database_of(&sim->servers[i]);
                database_follow(replica, primary, FIRST - i, FIRST - 2 * i);
                replica->super_read_only = replica->dialect->super_read_only;
        }
        database_of(&sim->servers[1])->no_address = trouble == TROUBLE_NO_ADDRESS;
        if (trouble == TROUBLE_SLOW_DISK) {
                sim->stuck = 50;
                sim->lost = 30;
                sim->refused = 50;
        }
}

static Json *build_config(void)
{
        static const char text[] =
                "{\"address\":{\"ip\":\"10.0.0.100/24\",\"device\":\"eth0\"},\"ssh\":{\"enabled\":true},"
                "\"replication\":{\"user\":\"repl\",\"has_password\":true},\"switchover\":{\"kill_sessions\":\"all\"},"
                "\"hooks\":{\"status\":true,\"prepare\":true,\"stop\":true,\"start\":true,\"abort\":true},"
                "\"timeouts\":{\"block-writes\":5000,\"give-address\":5000,\"give-address-late\":5000,"
                "\"end-clients\":5000,\"end-waiting\":5000,\"reach-end\":5000,\"still-blocked\":5000}}";
        Json *config = NULL;
        assert_int_equal(json_parse(text, strlen(text), &config, NULL), 0);
        return config;
}

static Facts build_facts(Sim *sim)
{
        Facts facts = facts_new("app1", "r1", "switchover");
        json_set(facts.root, "config", build_config());
        for (size_t i = 0; i < sim->n_servers; i++) {
                Database *database = database_of(&sim->servers[i]);
                const char *name = database->server->name;
                CLEANUP(server_view_free) ServerView *view = database_view(database);
                Json *server = server_view_to_json(view);
                json_set_string(server, "name", name);
                json_set_string(server, "host", name);
                json_set_int(server, "port", 3306);
                json_set(json_ensure_object(facts.root, "servers"), name, server);
                json_append_string(json_ensure_array(facts.root, "order"), name);
                if (i > 0)
                        json_append_string(json_ensure_array(facts.root, "replicas"), name);
        }
        json_set_string(facts.root, "old_primary", "db1");
        json_set_string(facts.root, "told_candidate", "db2");
        return facts;
}

static void on_life(Trial *trial)
{
        for (size_t i = 0; i < trial->sim->n_servers; i++) {
                Database *database = database_of(&trial->sim->servers[i]);
                bool unheard = sim_random(trial->sim, 2); /* its host is gone: nobody tells the server */
                (unheard ? database_leave_session : database_end_session)(database);
        }
}

static const char *halted_in(const Runbook *runbook)
{
        const RunStep *step = runbook_run(runbook) ? run_blocking_step(runbook_run(runbook)) : NULL;
        return step ? step->step->name : "?";
}

/* The network is mended when an operator is called. */
static bool on_halted(Trial *trial, Runbook *runbook)
{
        if (doom.since && (doom.server != 1 || doom.fate != FATE_CUT || !opens || (open && trial->life == 1)))
                trial_violate(trial, "halted in %s", halted_in(runbook));
        if (doom.since)
                trial->sim->servers[doom.server].cut = false, doom.until = loop_now(trial->sim->loop);
        return runbook_retry(runbook, "operator", NULL) >= 0 || trial->killed;
}

static void on_cancel(void *userdata)
{
        Trial *trial = userdata;
        if (trial->runbook && !trial->killed && trial->in_life)
                told |= runbook_cancel(trial->runbook, "operator", "a mistake", NULL) >= 0 || trial->killed;
}

static void on_event(Trial *trial, const RunEvent *event, Runbook *runbook)
{
        Sim *sim = trial->sim;
        if (event->step && text_equal(event->step->name, "open-candidate")) {
                end = opens ? end : database_of(&sim->servers[0])->log;
                opens = true;
                open = open || (event->kind == RUN_EVENT_STEP_ENDED && event->verdict == VERDICT_MET);
        }
        if (event->kind != RUN_EVENT_STEP_STARTED || happened)
                return;
        bool reach = text_equal(event->step->name, "reach-end");
        if (text_equal(event->step->name, "block-writes")) {
                happened = trouble == TROUBLE_CANDIDATE_STUCK || trouble == TROUBLE_CANCEL;
                database_of(&sim->servers[1])->stuck = trouble == TROUBLE_CANDIDATE_STUCK;
                if (trouble == TROUBLE_CANCEL)
                        loop_defer(sim->loop, on_cancel, trial);
        } else if (reach && trouble == TROUBLE_CANDIDATE_DIES) {
                happened = sim->servers[1].cut = true;
        } else if (reach && trouble == TROUBLE_OLD_PRIMARY_DIES) {
                happened = sim->servers[0].dead = true;
        } else if (reach && trouble == TROUBLE_LOCK_LOST) {
                database_end_session(database_of(&sim->servers[0]));
                happened = true;
        }
}

/* What a process knew is gone with it. */
static void strike(Sim *sim)
{
        SimServer *server = &sim->servers[doom.server];
        Database *database = database_of(server);
        database_catch_up(sim);
        server->dead = doom.fate == FATE_DIES || doom.fate == FATE_RETURNS;
        server->frozen = doom.fate == FATE_FREEZES;
        server->cut = doom.fate == FATE_CUT;
        doom.since = loop_now(sim->loop);
        doom.until = doom.fate == FATE_RETURNS ? doom.since + USEC_SEC + sim_random(sim, 4000) * USEC_MSEC : 0;
        if (server->dead)
                database_end_session(database);
}

/* As its configuration says: writable, if it likes, but for what the daemon does about those that return. */
static void come_back(Sim *sim)
{
        Database *database = database_of(&sim->servers[doom.server]);
        bool writer = doom.at % 2;
        for (size_t i = 0; i < sim->n_servers; i++)
                writer = writer && (i == doom.server || database_of(&sim->servers[i])->read_only);
        database_catch_up(sim);
        database->server->dead = false;
        database->read_only = !writer || doom.server > 1;
        database->super_read_only = false;
        database->receiver_on = database->applier_on = database->source != NULL;
}

/* The cluster, which watches its servers during a run. */
static void on_watch(void *userdata)
{
        Trial *trial = userdata;
        Sim *sim = trial->sim;
        usec_t now = loop_now(sim->loop);
        timer_set_in(doom.timer, 250 * USEC_MSEC);
        if (doom.until && now >= doom.until && sim->servers[doom.server].dead)
                come_back(sim);
        bool lost = doom.since && now >= doom.since + 2 * USEC_SEC && !(doom.until && now >= doom.until);
        if (lost && trial->runbook && trial->in_life && !trial->killed &&
            (doom.server == 1 || (doom.server == 0 && !opens)))
                (void) runbook_lose(trial->runbook, sim->servers[doom.server].name, "it does not answer any more",
                                    NULL);
}

static void on_record(Trial *trial)
{
        if (doom.at == trial->n_all_records)
                strike(trial->sim);
}

static const TrialCalls calls = {
        .on_life = on_life, .on_halted = on_halted, .on_event = on_event, .on_record = on_record
};

/* One has the role, whole: it takes writes, has the address, and all who can be reached follow it and have all. */
static void check_role(Trial *trial, const Database *primary)
{
        Sim *sim = trial->sim;
        for (size_t i = 0; i < sim->n_servers; i++)
                database_of(&sim->servers[i])->written = database_of(&sim->servers[i])->stuck = false;
        for (int i = 0; i < 200; i++) {
                sim_pass(sim, 300 * USEC_MSEC);
                database_catch_up(sim);
        }
        for (size_t i = 0; i < sim->n_servers; i++) {
                const Database *database = database_of(&sim->servers[i]);
                const char *name = database->server->name;
                if (database->server->cut || database->server->dead || (doom.since && i == doom.server))
                        continue;
                if (i > 1 && doom.since && primary == database_of(&sim->servers[0]) && database->received > end &&
                    opens && database_of(&sim->servers[1])->log > end)
                        continue; /* it has received what the candidate took, and the old primary lacks it */
                if (database->has_address != (database == primary))
                        trial_violate(trial, "%s has the address: %d", name, database->has_address);
                if (database->read_only != (database != primary))
                        trial_violate(trial, "%s is read-only: %d", name, database->read_only);
                if (database_is_locked(database))
                        trial_violate(trial, "%s is locked", name);
                if (database->event != (database == primary ? EVENT_RUNS : EVENT_RESTS))
                        trial_violate(trial, "%s: the event %s", name,
                                      database->event == EVENT_RUNS ? "runs" : "does not run");
                if (database == primary && database->scheduler_off)
                        trial_violate(trial, "%s: its event scheduler is off", name);
                if (database->holed || database->applier_errno || database->rewritten)
                        trial_violate(trial, "%s is spoilt: hole %d, error %d, written to %d", name, database->holed,
                                      database->applier_errno, database->rewritten);
                if (database == primary ? database->source != NULL : database->source != primary)
                        trial_violate(trial, "%s follows %s", name,
                                      database->source ? database->source->server->name : "nobody");
                if (database != primary && (!database->receiver_on || !database->applier_on))
                        trial_violate(trial, "%s does not replicate", name);
                if (database->log != primary->log)
                        trial_violate(trial, "%s has %llu of %llu", name, (unsigned long long) database->log,
                                      (unsigned long long) primary->log);
        }
}

/* In order, and what is taken back is all that was run, in reverse order. One may be run twice when its daemon died. */
static void check_hooks(Trial *trial)
{
        bool prepared = false, stopped = false, started = false;
        JSON_FOREACH(hook, trial->sim->hooks)
        {
                const char *name = json_string(hook);
                bool right = true;
                if (text_equal(name, "prepare"))
                        prepared = right = !stopped;
                else if (text_equal(name, "stop"))
                        stopped = right = prepared && !started;
                else if (text_equal(name, "start"))
                        started = right = stopped;
                else if (text_equal(name, "abort stop"))
                        stopped = !(right = !started);
                else if (text_equal(name, "abort prepare"))
                        prepared = !(right = !stopped);
                if (!right)
                        trial_violate(trial, "the hook %s is run when it is not its turn", name);
        }
        bool completed = trial->outcome == RUN_COMPLETED;
        if (prepared != completed || stopped != completed || started != completed)
                trial_violate(trial, "%s, and of the hooks is left: prepare %d, stop %d, start %d",
                              run_outcome_to_string(trial->outcome), prepared, stopped, started);
}

static void check_end(Trial *trial)
{
        Sim *sim = trial->sim;
        const Database *old = database_of(&sim->servers[0]), *candidate = database_of(&sim->servers[1]);
        bool locks = !old->dialect->super_read_only;
        bool undone = trouble == TROUBLE_NO_ADDRESS || trouble == TROUBLE_CANDIDATE_DIES ||
                      trouble == TROUBLE_CANDIDATE_STUCK || (trouble == TROUBLE_LOCK_LOST && locks) ||
                      (trouble == TROUBLE_CANCEL && told);
        database_catch_up(sim);
        if (trial->outcome == RUN_HALTED && trouble != TROUBLE_SLOW_DISK)
                trial_violate(trial, "halted: %s", trial->why);
        /* Killed or troubled it may go back; left alone it must do what it is for. */
        if (!trial->n_kills && trouble != TROUBLE_SLOW_DISK && trouble != TROUBLE_OLD_PRIMARY_DIES &&
            (trial->outcome == RUN_ABORTED) != undone)
                trial_violate(trial, "%s: %s", run_outcome_to_string(trial->outcome), trial->why);
        if (candidate->n_opened != (trial->outcome == RUN_COMPLETED))
                trial_violate(trial, "%s, and the candidate was opened %u times", run_outcome_to_string(trial->outcome),
                              candidate->n_opened);
        if (trouble != TROUBLE_SLOW_DISK) /* where hooks fail, too */
                check_hooks(trial);
        if (sim->servers[0].dead)
                return; /* the failover that follows has the rest to do */
        check_role(trial, trial->outcome == RUN_COMPLETED ? candidate : old);
}

/* The opening was confirmed and the new primary died: a failover follows, for which all others have to be its replicas. */
static void check_left(Trial *trial)
{
        Sim *sim = trial->sim;
        for (size_t i = 0; i < sim->n_servers; i++) {
                const Database *database = database_of(&sim->servers[i]);
                if (i == 1)
                        continue;
                if (!database->read_only || database->has_address || database_is_locked(database) || database->holed ||
                    database->applier_errno || database->event == EVENT_RUNS ||
                    database->source != database_of(&sim->servers[1]))
                        trial_violate(trial, "%s is not ready for a failover: follows %s", database->server->name,
                                      database->source ? database->source->server->name : "nobody");
        }
}

/* What the report says that a candidate has taken, which was told to open and is dead. */
static void check_taken(Trial *trial)
{
        const Database *candidate = database_of(&trial->sim->servers[1]);
        CLEANUP(json_free) Json *facts = NULL;
        if (!trial->facts || json_parse(trial->facts, strlen(trial->facts), &facts, NULL) < 0 ||
            !json_get_bool(facts, "opening", false) || !candidate->server->dead)
                return;
        const char *taken = json_get_string(json_get(json_get(facts, "servers"), "db2"), "taken");
        if (!taken || !*taken != (candidate->log == end))
                trial_violate(trial, "db2 has taken %llu, and it is said: %s",
                              (unsigned long long) (candidate->log - end), taken ? taken : "nothing");
}

static void check_doom(Trial *trial)
{
        Sim *sim = trial->sim;
        const Database *old = database_of(&sim->servers[0]), *candidate = database_of(&sim->servers[1]);
        bool completed = trial->outcome == RUN_COMPLETED;
        database_catch_up(sim);
        /* One that is started again may be writable by itself; and a power cut makes forget that it was opened. */
        bool returned = doom.server == 1 && doom.fate == FATE_RETURNS;
        if ((trial->life == 1 && completed != open) || candidate->n_opened > 1 ||
            (completed && !candidate->n_opened && !returned))
                trial_violate(trial, "%s, and it was opened %u times: %s", run_outcome_to_string(trial->outcome),
                              candidate->n_opened, trial->why);
        if (completed && doom.server == 1 && !doom.until)
                check_left(trial);
        else if (completed && doom.server != 1)
                check_role(trial, candidate);
        else if (!completed && doom.server != 0)
                check_role(trial, old);
        if (!completed && doom.server == 1)
                check_taken(trial);
        if (!completed && doom.server == 1 && doom.fate != FATE_CUT && candidate->has_address)
                trial_violate(trial, "db2 has the address");
}

typedef struct Tally {
        unsigned trials, kills, violations, scripts, completed;
        bool quiet;
} Tally;

static unsigned try(const Procedure *procedure, uint64_t seed, const Kill *kills, size_t n_kills, Tally *tally)
{
        CLEANUP(sim_free) Sim *sim = sim_new(seed);
        build_world(sim);
        told = happened = opens = open = false;
        doom.since = doom.until = 0;
        Trial trial = { .sim = sim,
                        .procedure = procedure,
                        .initial = build_facts(sim),
                        .calls = &calls,
                        .kills = kills,
                        .n_kills = n_kills };
        doom.timer = timer_new(sim->loop, 0, on_watch, &trial);
        if (doom.at)
                timer_set_in(doom.timer, 0);
        trial_run(&trial);
        if (!trial.violation && trial.n_all_records >= doom.at && doom.at)
                check_doom(&trial);
        else if (!trial.violation && !doom.at)
                check_end(&trial);
        doom.timer = timer_free(doom.timer);
        tally->trials++;
        tally->kills += trial.life - 1;
        tally->violations += trial.violation != NULL;
        tally->completed += trial.outcome == RUN_COMPLETED;
        tally->scripts = trial.n_scripts;
        if (trial.violation && !tally->quiet && tally->violations <= 5) {
                print_error("SIM_SEED=%llu %s, %s:", (unsigned long long) seed, flavour->name, trouble_names[trouble]);
                if (doom.at)
                        print_error(" db%zu %s at record %u,", doom.server + 1, fate_names[doom.fate], doom.at);
                for (size_t i = 0; i < n_kills; i++)
                        print_error(" killed %s %u,", kill_kind_to_string(kills[i].kind), kills[i].at);
                print_error(" %s\n", trial.violation);
        }
        unsigned records = trial.n_records;
        trial_done(&trial);
        return records;
}

static void try_all(uint64_t seed, Tally *tally)
{
        unsigned records = try(&switchover, seed, NULL, 0, tally), scripts = tally->scripts;
        uint64_t random = seed;
        /* A lock does not outlive the daemon: what privileged clients write then is found, and told, but not prevented. */
        if (trouble == TROUBLE_PRIVILEGED && strncmp(flavour->version, "8.", 2) != 0)
                return;
        for (KillKind kind = KILL_BEFORE_RECORD; kind <= KILL_AT_SCRIPT; kind++) {
                unsigned n = kind == KILL_AT_SCRIPT ? scripts : records;
                unsigned stride = n > TRIAL_POINTS ? n / TRIAL_POINTS + 1 : 1;
                for (unsigned at = 1; at <= n; at += stride) {
                        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
                        unsigned pick = (unsigned) (random >> 33);
                        Kill kills[] = { { kind, at }, { 1 + pick % 4, 1 + pick / 4 % 30 } };
                        try(&switchover, seed, kills, 1 + pick / 128 % 2, tally);
                }
        }
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
        const char *value = getenv(name);
        return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

static void test_trouble(void **state)
{
        trouble = *(Trouble *) *state;
        uint64_t only = number_of("SIM_SEED", 0), n = number_of("SIM_SEEDS", 1);
        unsigned violations = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                Tally tally = { 0 };
                for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++)
                        try_all(seed, &tally);
                print_message("%s, %s: %u runs, %u deaths, %u completed, %u violations\n", trouble_names[trouble],
                              flavour->name, tally.trials, tally.kills, tally.completed, tally.violations);
                violations += tally.violations;
        }
        assert_int_equal(violations, 0);
}

/* Each of them at each record, the daemon being killed as well in every second run. */
static void test_deaths(void **state)
{
        unsigned violations = 0;
        trouble = TROUBLE_NONE;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                Tally tally = { 0 };
                doom = (Doom){ 0 };
                unsigned records = try(&switchover, 1, NULL, 0, &tally), random = 1,
                         only = (unsigned) number_of("SIM_AT", 0);
                unsigned stride = records / TRIAL_POINTS + 1;
                for (unsigned at = 1 + (unsigned) i % stride; at <= records; at += stride)
                        for (unsigned which = 0; which < 3 * _FATE_MAX; which++) {
                                random = random * 1103515245 + 12345;
                                Kill kills[] = { { (KillKind) (KILL_BEFORE_RECORD + (random >> 16) % 4),
                                                   1 + (random >> 18) % (records + 5) } };
                                doom = (Doom){ .at = at,
                                               .server = which / _FATE_MAX,
                                               .fate = (Fate) (which % _FATE_MAX) };
                                if (!only || only == at)
                                        try(&switchover, 1, kills, (random >> 30) & 1, &tally);
                        }
                doom = (Doom){ 0 };
                print_message("deaths, %s: %u runs, %u deaths of the daemon, %u completed, %u violations\n",
                              flavour->name, tally.trials, tally.kills, tally.completed, tally.violations);
                violations += tally.violations;
        }
        assert_int_equal(violations, 0);
}

enum { MOST_STEPS = 80 };

/* Whoever does not make sure first has two primaries some time. */
static void test_deaths_are_seen(void **state)
{
        Step undo[MOST_STEPS];
        Procedure unsure = switchover;
        Tally tally = { .quiet = true };
        unsure.undo = undo;
        for (unsure.n_undo = 0; unsure.n_undo + 3 < switchover.n_undo; unsure.n_undo++)
                undo[unsure.n_undo] = switchover.undo[unsure.n_undo + 3];
        assert_string_equal(undo[0].name, "unblock-writes");
        trouble = TROUBLE_NONE;
        /* The daemon dies just when it has heard of the opening, and forgets it for want of power. */
        for (uint64_t seed = 1; seed <= 20 && tally.violations == 0; seed++)
                for (unsigned i = 0; i < ARRAY_LENGTH(flavoured) * 30; i++) {
                        unsigned at = 45 + i % 30;
                        Kill kills[] = { { KILL_AFTER_RECORD, at } };
                        flavour = &flavoured[i / 30];
                        doom = (Doom){ .at = at + 1, .server = 1, .fate = FATE_FREEZES };
                        try(&unsure, seed, kills, 1, &tally);
                }
        doom = (Doom){ 0 };
        print_message("undone without making sure: found in %u of %u runs\n", tally.violations, tally.trials);
        assert_true(tally.violations > 0);
}

static void test_procedure_is_well_formed(void **state)
{
        Failure failure = { 0 };
        if (procedure_check(&switchover, &failure) < 0)
                fail_msg("%s", failure.text);
}

/* The same eyes must see what another table does. */
static void expect_violations(const Procedure *procedure, Trouble how, const char *what)
{
        Tally tally = { .quiet = true };
        trouble = how;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                for (uint64_t seed = 1; seed <= 3; seed++)
                        try(procedure, seed, NULL, 0, &tally);
        }
        print_message("%s: found in %u of %u runs\n", what, tally.violations, tally.trials);
        assert_true(tally.violations > 0);
}

static size_t copy_without(const Step *steps, size_t n, const char *name, Step *copy)
{
        size_t left = 0;
        assert_true(n <= MOST_STEPS);
        for (size_t i = 0; i < n; i++)
                if (strcmp(steps[i].name, name) != 0)
                        copy[left++] = steps[i];
        assert_int_equal(left, n - 1);
        return left;
}

static void test_table_without(Trouble how, const char *name)
{
        Step steps[MOST_STEPS];
        Procedure without = switchover;
        without.steps = steps;
        without.n_steps = copy_without(switchover.steps, switchover.n_steps, name, steps);
        CLEANUP(mem_free) char *what = text_format("without %s", name);
        expect_violations(&without, how, what);
}

static void test_undo_without(const char *name)
{
        Step undo[MOST_STEPS];
        Procedure without = switchover;
        without.undo = undo;
        without.n_undo = copy_without(switchover.undo, switchover.n_undo, name, undo);
        CLEANUP(mem_free) char *what = text_format("undone without %s", name);
        expect_violations(&without, TROUBLE_NO_ADDRESS, what);
}

static void test_tables_with_a_hole(void **state)
{
        test_table_without(TROUBLE_NONE, "block-writes");
        test_table_without(TROUBLE_NONE, "reach-end");
        test_table_without(TROUBLE_NONE, "take-address");
        test_table_without(TROUBLE_NONE, "detach-candidate");
        test_table_without(TROUBLE_NONE, "unlock");
        test_table_without(TROUBLE_NONE, "repoint-replicas");
        test_table_without(TROUBLE_NONE, "demote");
        test_table_without(TROUBLE_NONE, "stop-events");
        test_table_without(TROUBLE_NONE, "start-events");
        test_table_without(TROUBLE_NONE, "start-hook");
        test_table_without(TROUBLE_LOCK_LOST, "still-blocked");
        test_undo_without("abort-stop-hook");
        test_undo_without("abort-prepare-hook");
}

static Json *made;

static void on_plan(Json *plan, void *userdata)
{
        made = plan;
        loop_exit(userdata, 0);
}

static void test_plan(void **state)
{
        trouble = TROUBLE_NONE;
        for (size_t i = 0; i < ARRAY_LENGTH(flavoured); i++) {
                flavour = &flavoured[i];
                CLEANUP(sim_free) Sim *sim = sim_new(1);
                build_world(sim);
                Facts facts = build_facts(sim);
                json_set_bool(facts.root, "planning", true);
                Exec *exec = sim_exec_new(sim);
                runbook_plan(sim->loop, exec, &switchover, facts, usec_add(loop_now(sim->loop), 20 * USEC_SEC), on_plan,
                             sim->loop);
                assert_int_equal(loop_run(sim->loop), 0);
                if (!json_get_bool(made, "complete", false))
                        fail_msg("%s: %s", flavour->name, json_get_string(made, "why"));
                assert_int_equal(json_length(json_get(made, "steps")), switchover.n_steps);
                for (size_t j = 0; j < sim->n_servers; j++) {
                        const Database *database = database_of(&sim->servers[j]);
                        assert_int_equal(database->read_only, j > 0);
                        assert_int_equal(database->receiver_on, j > 0);
                        assert_int_equal(database->has_address, j == 0);
                        assert_false(database->locked);
                }
                made = json_free(made);
                sim_exec_free(exec);
        }
}

int main(void)
{
        static Trouble troubles[_TROUBLE_MAX];
        struct CMUnitTest tests[_TROUBLE_MAX + 5] = { cmocka_unit_test(test_procedure_is_well_formed),
                                                      cmocka_unit_test(test_tables_with_a_hole),
                                                      cmocka_unit_test(test_plan), cmocka_unit_test(test_deaths),
                                                      cmocka_unit_test(test_deaths_are_seen) };
        for (int i = 0; i < _TROUBLE_MAX; i++) {
                troubles[i] = (Trouble) i;
                tests[i + 5] = (struct CMUnitTest) cmocka_unit_test_prestate(test_trouble, &troubles[i]);
                tests[i + 5].name = trouble_names[i];
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
