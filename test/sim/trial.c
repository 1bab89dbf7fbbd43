/* Lives and deaths of the engine. It dies in its own seams: in journal_append() and journal_replay(), which the linker
 * diverts to here (--wrap), and in exec_run() by way of sim's watch. After a death nothing it does has any effect, and an
 * effect that it still tries after a failed record is a violation. */
#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "enum.h"
#include "file.h"
#include "run.h"
#include "text.h"

static const char *const kill_names[_KILL_MAX] = {
        [KILL_NEVER] = "never",         [KILL_BEFORE_RECORD] = "before record",
        [KILL_IN_RECORD] = "in record", [KILL_AFTER_RECORD] = "after record",
        [KILL_AT_SCRIPT] = "at script", [FAIL_RECORD] = "not, but could not write record",
};
ENUM_TO_STRING(kill_kind, KillKind, kill_names)

int __real_journal_append(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                          const char *server, const Json *data, Failure *reterr);
int __wrap_journal_append(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                          const char *server, const Json *data, Failure *reterr);
int __real_journal_append_soon(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                               const char *server, const Json *data, Failure *reterr);
int __wrap_journal_append_soon(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                               const char *server, const Json *data, Failure *reterr);
int __real_journal_replay(const Journal *journal, const char *run, int (*each)(const Json *record, void *userdata),
                          void *userdata);
int __wrap_journal_replay(const Journal *journal, const char *run, int (*each)(const Json *record, void *userdata),
                          void *userdata);

static Trial *current;

void trial_violate(Trial *trial, const char *format, ...)
{
        if (trial->violation)
                return;
        va_list arguments;
        va_start(arguments, format);
        trial->violation = text_vformat(format, arguments);
        va_end(arguments);
}

static const char *journal_path(void)
{
        static char path[100];
        if (!*path)
                snprintf(path, sizeof path, "%s/mhad-sim-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
                         (int) getpid());
        return path;
}

static Kill present_kill(const Trial *trial)
{
        return trial->life <= trial->n_kills ? trial->kills[trial->life - 1] : (Kill){ 0 };
}

static char *facts_print(const Trial *trial)
{
        const Facts *facts = trial->runbook ? runbook_facts(trial->runbook) : NULL;
        return facts && facts->root ? json_print(facts->root) : NULL;
}

/* Every second death is a power cut: what was not synced is gone. */
static bool lose_unsynced(Trial *trial)
{
        struct stat status;
        if (sim_random(trial->sim, 2) || stat(journal_path(), &status) < 0 || status.st_size <= trial->synced)
                return false;
        if (truncate(journal_path(), trial->synced) < 0)
                abort();
        json_free(trial->begun);
        trial->begun = trial->begun_synced ? json_copy(trial->begun_synced) : json_object();
        return true;
}

static void die(Trial *trial, KillKind kind)
{
        trial->killed = true;
        trial->died_by = kind;
        free(trial->facts_before);
        trial->facts_before = lose_unsynced(trial) ? NULL : facts_print(trial);
        loop_exit(trial->sim->loop, 0);
}

/* The journal */

static void tear_last_line(void)
{
        int fd = open(journal_path(), O_RDWR | O_CLOEXEC);
        struct stat status;
        char *content;
        if (fd < 0 || fstat(fd, &status) < 0 || file_read(journal_path(), SIZE_MAX, &content, NULL, NULL) < 0)
                abort();
        off_t start = status.st_size - 1;
        while (start > 0 && content[start - 1] != '\n')
                start--;
        if (ftruncate(fd, start + (status.st_size - start) / 2) < 0)
                abort();
        free(content);
        close(fd);
}

static void note_record(Trial *trial, bool synced, const char *kind, const char *step, const char *server,
                        const Json *data)
{
        if (text_equal(kind, "foreseen"))
                JSON_FOREACH(name, json_get(data, "steps"))
                {
                        json_set_bool(trial->foreseen, json_string(name), synced);
                }
        if (text_equal(kind, "intent") && !synced && !json_get_bool(trial->foreseen, step, false))
                trial_violate(trial, "nobody waits until the intent of %s is on disk", step);
        if (step && !json_has(trial->begun, step)) {
                json_set_bool(trial->begun, step, true);
                bool parallel = text_equal(kind, "started") || text_equal(kind, "skipped");
                if (!parallel && !json_has(data, "targets"))
                        trial_violate(trial, "the first record of %s has no targets", step);
        } else if (step && json_has(data, "targets") && !text_equal(kind, "decided")) {
                trial_violate(trial, "the targets of %s were recorded twice", step);
        }
        if (!text_equal(kind, "intent"))
                return;
        Json *of_server = json_ensure_array(trial->intents, server && *server ? server : "-");
        json_append(of_server, json_copy(json_get(data, "script")));
}

static int dead(Failure *reterr)
{
        return failure_set(reterr, FAILURE_SYSTEM, EIO, "the daemon is dead");
}

typedef int (*append_fn)(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                         const char *server, const Json *data, Failure *reterr);

static void note_synced(Trial *trial)
{
        struct stat status;
        if (stat(journal_path(), &status) == 0)
                trial->synced = status.st_size;
        json_free(trial->begun_synced);
        trial->begun_synced = json_copy(trial->begun);
}

static int divert(append_fn append, Journal *journal, usec_t real_time, const char *run, const char *kind,
                  const char *step, const char *server, const Json *data, Failure *reterr)
{
        Trial *trial = current;
        if (!trial)
                return append(journal, real_time, run, kind, step, server, data, reterr);
        if (trial->killed)
                return dead(reterr);
        trial->n_records++;
        trial->n_all_records++;
        if (trial->calls && trial->calls->on_record)
                trial->calls->on_record(trial);
        Kill kill = present_kill(trial);
        bool now = kill.at == trial->n_records;
        if (now && kill.kind == KILL_BEFORE_RECORD) {
                die(trial, kill.kind);
                return dead(reterr);
        }
        if (now && kill.kind == KILL_IN_RECORD && trial->fault == FAULT_ACCEPT_TORN) {
                CLEANUP(json_free) Json *half = json_copy(data);
                json_set(half, "learned", NULL); /* as if the line had ended there */
                append(journal, real_time, run, kind, step, server, half, reterr);
                note_record(trial, true, kind, step, server, data);
                die(trial, kill.kind);
                return dead(reterr);
        }
        if (now && kill.kind == FAIL_RECORD) {
                trial->failed = true;
                return failure_set(reterr, FAILURE_SYSTEM, ENOSPC, "the disk is full");
        }
        if (trial->fault == FAULT_ACT_BEFORE_INTENT && text_equal(kind, "intent"))
                return 0; /* it will be written some time */
        int r = append(journal, real_time, run, kind, step, server, data, reterr);
        if (r < 0)
                return r;
        if (now && kill.kind == KILL_IN_RECORD) {
                tear_last_line();
                die(trial, kill.kind);
                return dead(reterr);
        }
        note_record(trial, append == __real_journal_append, kind, step, server, data);
        if (append == __real_journal_append)
                note_synced(trial);
        if (now && kill.kind == KILL_AFTER_RECORD) {
                die(trial, kill.kind);
                return dead(reterr);
        }
        return 0;
}

int __wrap_journal_append(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                          const char *server, const Json *data, Failure *reterr)
{
        return divert(__real_journal_append, journal, real_time, run, kind, step, server, data, reterr);
}

int __wrap_journal_append_soon(Journal *journal, usec_t real_time, const char *run, const char *kind, const char *step,
                               const char *server, const Json *data, Failure *reterr)
{
        return divert(__real_journal_append_soon, journal, real_time, run, kind, step, server, data, reterr);
}

typedef struct Forgetful {
        int (*each)(const Json *record, void *userdata);
        void *userdata;
} Forgetful;

static int forget_decisions(const Json *record, void *userdata)
{
        Forgetful *forgetful = userdata;
        const char *kind = json_get_string(record, "kind");
        return text_equal(kind, "decided") ? 0 : forgetful->each(record, forgetful->userdata);
}

int __wrap_journal_replay(const Journal *journal, const char *run, int (*each)(const Json *record, void *userdata),
                          void *userdata)
{
        if (current && current->fault == FAULT_RETAKE_DECISIONS)
                return __real_journal_replay(journal, run, forget_decisions, &(Forgetful){ each, userdata });
        return __real_journal_replay(journal, run, each, userdata);
}

/* Scripts */

static bool has_effect(const Sim *sim, const Script *script)
{
        for (size_t i = 0; i < script->n_items; i++)
                if (sim_is_effect(sim, &script->items[i]))
                        return true;
        return false;
}

/* Invariant 1: no effect before its intent is on disk, or that of its whole burst. */
static void check_intent(Trial *trial, const char *server, const Script *script)
{
        CLEANUP(json_free) Json *json = script_to_json(script);
        CLEANUP(mem_free) char *text = json_print(json);
        JSON_FOREACH(intent, json_get(trial->intents, server ? server : "-"))
        {
                CLEANUP(mem_free) char *known = json_print(intent);
                if (strcmp(known, text) == 0)
                        return;
        }
        trial_violate(trial, "on %s an effect without an intent: %s", server ? server : "the daemon", text);
}

static bool on_script(const char *server, const Script *script, void *userdata)
{
        Trial *trial = userdata;
        bool effect = has_effect(trial->sim, script);
        if (trial->killed) {
                if (effect && trial->died_by != KILL_AT_SCRIPT)
                        trial_violate(trial, "an effect after a record that failed");
                return false;
        }
        trial->n_scripts++;
        if (effect && trial->failed)
                trial_violate(trial, "an effect after a record that failed");
        if (effect)
                check_intent(trial, server, script);
        Kill kill = present_kill(trial);
        if (kill.kind == KILL_AT_SCRIPT && kill.at == trial->n_scripts)
                die(trial, kill.kind);
        return true; /* this one is still sent */
}

/* Faults of step functions: a copy of the procedure whose judges lie. */

enum { STEPS_MOST = 40 };
static step_judge_fn true_judge[STEPS_MOST];
static Step lying[STEPS_MOST];
static Procedure lying_procedure;

static void lie(size_t i, const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        true_judge[i](facts, server, replies, judgement);
        if (!lying[i].act)
                return;
        CLEANUP(mem_free) char *name = text_format("%s on %s", lying[i].name, server);
        int64_t n_judged = json_get_int(current->judged, name, 0);
        json_set_int(current->judged, name, n_judged + 1);
        if (current->fault == FAULT_ACT_WITHOUT_ASKING && current->life > 1 && n_judged == 0)
                judgement->verdict = VERDICT_UNMET;
        if (current->fault == FAULT_SETTLE_UNCONFIRMED && n_judged > 0)
                judgement->verdict = VERDICT_MET;
}

#define LIAR(i)                                                                                                        \
        static void lie_##i(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)      \
        {                                                                                                              \
                lie(i, facts, server, replies, judgement);                                                             \
        }
LIAR(0)
LIAR(1)
LIAR(2)
LIAR(3)
LIAR(4)
LIAR(5)
LIAR(6)
LIAR(7)
LIAR(8)
LIAR(9)
static const step_judge_fn liars[] = { lie_0, lie_1, lie_2, lie_3, lie_4, lie_5, lie_6, lie_7, lie_8, lie_9 };

static const Procedure *procedure_of(const Trial *trial)
{
        if (trial->fault != FAULT_ACT_WITHOUT_ASKING && trial->fault != FAULT_SETTLE_UNCONFIRMED)
                return trial->procedure;
        lying_procedure = *trial->procedure;
        for (size_t i = 0; i < trial->procedure->n_steps && i < ARRAY_LENGTH(liars); i++) {
                lying[i] = trial->procedure->steps[i];
                true_judge[i] = lying[i].judge;
                if (lying[i].judge)
                        lying[i].judge = liars[i];
        }
        lying_procedure.steps = lying;
        return &lying_procedure;
}

/* Lives */

static void on_done(Runbook *runbook, RunOutcome outcome, const char *why, void *userdata)
{
        Trial *trial = userdata;
        if (trial->killed)
                return;
        if (trial->failed && outcome != RUN_HALTED)
                trial_violate(trial, "it went on after a record that failed");
        trial->failed = false;
        if (outcome == RUN_HALTED && trial->calls && trial->calls->on_halted && trial->calls->on_halted(trial, runbook))
                return;
        trial->outcome = outcome;
        snprintf(trial->why, sizeof trial->why, "%s", why);
        trial->in_life = false;
        loop_exit(trial->sim->loop, 0);
}

/* SIM_TRACE=1: what happens, for whoever looks for a fault. */
static void trace(const Trial *trial, const RunEvent *event)
{
        static const char *const kinds[] = {
                "started", "progress", "settled", "skipped", "ended", "decided", "undoing"
        };
        fprintf(stderr, "%u %10.6f %-8s %s %s: %s: %s\n", trial->life,
                (double) (loop_now(trial->sim->loop) - USEC_HOUR) / (double) USEC_SEC, kinds[event->kind],
                event->step ? event->step->name : "", event->server ? event->server : "",
                verdict_to_string(event->verdict), event->why);
}

static void on_event(const RunEvent *event, void *userdata)
{
        Trial *trial = userdata;
        if (getenv("SIM_TRACE"))
                trace(trial, event);
        if (trial->calls && trial->calls->on_event)
                trial->calls->on_event(trial, event, trial->runbook);
}

/* Invariant 4: memory after a resume equals memory before, unless the last record was written and not applied. */
static void check_facts(Trial *trial)
{
        CLEANUP(mem_free) char *now = facts_print(trial);
        if (trial->facts_before && trial->died_by != KILL_AFTER_RECORD && !text_equal(now, trial->facts_before))
                trial_violate(trial, "the facts differ after a resume: %s and before %s", now, trial->facts_before);
}

static int find_outcome(const Json *record, void *userdata)
{
        const char *outcome = json_get_string(json_get(record, "data"), "outcome");
        if (outcome)
                *(RunOutcome *) userdata = run_outcome_from_string(outcome);
        return 0;
}

/* True when there is something to live for. */
static bool begin_life(Trial *trial, Journal *journal, Failure *failure)
{
        bool fresh = !journal_open_run(journal);
        RunOutcome outcome = _RUN_OUTCOME_INVALID;
        if (fresh && trial->life > 1)
                __real_journal_replay(journal, NULL, find_outcome, &outcome);
        if (outcome != _RUN_OUTCOME_INVALID) {
                trial->outcome = outcome;
                return false;
        }
        int r = fresh ? runbook_begin(trial->runbook, facts_copy(&trial->initial), failure)
                      : runbook_resume(trial->runbook, failure);
        if (r < 0 && !trial->killed)
                trial_violate(trial, "life %u cannot begin: %s", trial->life, failure->text);
        if (r >= 0 && !fresh)
                check_facts(trial);
        return r >= 0;
}

static void live(Trial *trial)
{
        Journal *journal = NULL;
        Failure failure = { 0 };
        trial->life++;
        trial->killed = false;
        trial->n_records = trial->n_scripts = 0;
        json_free(trial->judged);
        trial->judged = json_object();
        if (trial->calls && trial->calls->on_life)
                trial->calls->on_life(trial);
        if (journal_open(journal_path(), "app1", &journal, &failure) < 0) {
                trial_violate(trial, "%s", failure.text);
                return;
        }
        Exec *exec = sim_exec_new(trial->sim);
        const Procedure *procedure = procedure_of(trial);
        trial->runbook = runbook_new(trial->sim->loop, exec, journal, procedure, on_event, on_done, trial);
        trial->in_life = true;
        if (begin_life(trial, journal, &failure)) {
                if (!trial->killed && loop_run(trial->sim->loop) < 0)
                        trial_violate(trial, "life %u waits for nothing", trial->life);
        } else if (!trial->killed) {
                trial->in_life = false;
        }
        if (!trial->killed) {
                free(trial->facts);
                trial->facts = facts_print(trial);
        }
        trial->runbook = runbook_free(trial->runbook);
        sim_exec_free(exec);
        journal_free(journal);
}

void trial_run(Trial *trial)
{
        unlink(journal_path());
        current = trial;
        trial->intents = json_object();
        trial->begun = json_object();
        trial->foreseen = json_object();
        trial->sim->watch = on_script;
        trial->sim->userdata = trial;
        trial->sim->deaf = trial->fault == FAULT_DO_NOT_QUIESCE;
        do {
                live(trial);
                if (trial->killed)
                        sim_pass(trial->sim, sim_random(trial->sim, 300) * USEC_MSEC);
        } while (trial->killed && !trial->violation);
        /* What is still on its way arrives. */
        trial->sim->watch = NULL;
        sim_pass(trial->sim, 30 * USEC_SEC);
        if (*trial->sim->violation)
                trial_violate(trial, "%s", trial->sim->violation);
        current = NULL;
        unlink(journal_path());
        CLEANUP(mem_free) char *lock = text_format("%s.lock", journal_path());
        unlink(lock);
}

void trial_done(Trial *trial)
{
        json_free(trial->intents);
        json_free(trial->begun);
        json_free(trial->begun_synced);
        json_free(trial->foreseen);
        json_free(trial->judged);
        free(trial->violation);
        free(trial->facts);
        free(trial->facts_before);
        facts_done(&trial->initial);
}
