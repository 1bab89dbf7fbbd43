/* The procedure and its servers. Owns nothing. */
#include "exam.h"

#include <string.h>

#include "alloc.h"
#include "text.h"

/* The servers: "GET name", "SET name=value" and "OPEN", which counts. */

static void answer(Reply *reply, const char *value)
{
        reply_set_columns(reply, 1, (const char *const[]){ "value" });
        reply_add_row(reply, &value);
}

static void answer_get(SimServer *server, const char *name, Reply *reply)
{
        int64_t value = json_get_int(server->state, name, 0);
        if (strcmp(name, "applied") == 0 && value < json_get_int(server->state, "reach", 0))
                json_set_int(server->state, "applied", ++value);
        const char *text = json_get_string(server->state, name);
        CLEANUP(mem_free) char *number = text_format("%lld", (long long) value);
        answer(reply, text ? text : number);
}

static void execute(Sim *sim, SimServer *server, const ScriptItem *item, Reply *reply)
{
        const char *text = item->text, *equals = strchr(text, '=');
        if (!sim_is_effect(sim, item)) {
                answer_get(server, text + 4, reply);
                return;
        }
        int64_t refuse = strcmp(text, "OPEN") == 0 ? json_get_int(server->state, "refuse", 0) : 0;
        if (refuse > 0 || sim_chance(sim, sim->refused)) {
                if (refuse > 0)
                        json_set_int(server->state, "refuse", refuse - 1);
                failure_set(&reply->failure, FAILURE_SQL, 1205, "lock wait timeout exceeded");
                return;
        }
        if (strcmp(text, "OPEN") == 0) {
                json_set_int(server->state, "writable", 1);
                json_set_int(server->state, "opened", json_get_int(server->state, "opened", 0) + 1);
                return;
        }
        CLEANUP(mem_free) char *name = alloc_string_n(text + 4, (size_t) (equals - text - 4));
        if (equals[1] >= '0' && equals[1] <= '9')
                json_set_int(server->state, name, atoll(equals + 1));
        else
                json_set_string(server->state, name, equals + 1);
}

/* The procedure */

unsigned exam_life; /* a decision that is taken anew may be another one */

static void decide_confirm(const Facts *facts, Judgement *judgement)
{
        json_set_int(judge_learned(judgement), "confirmed_in", exam_life);
        judge_as(judgement, VERDICT_MET, "it is dead");
}

static void decide_choose(const Facts *facts, Judgement *judgement)
{
        const char *best = NULL;
        int64_t most = -1;
        for (size_t i = 0; i < facts_n_servers(facts); i++) {
                const char *name = facts_server_name(facts, i);
                int64_t position = facts_server_int(facts, name, "position", -1);
                if (position > most || (position == most && exam_life % 2 == 0)) {
                        best = name;
                        most = position;
                }
        }
        if (most < 0) {
                judge_as(judgement, VERDICT_HOPELESS, "nobody has told a position");
                return;
        }
        json_set_string(judge_learned(judgement), "candidate", best);
        judge_as(judgement, VERDICT_MET, "%s has the most", best);
}

static int64_t value_of(const Replies *replies, size_t i)
{
        const char *value = reply_get(replies_at(replies, i), 0, "value");
        return value ? atoll(value) : -1;
}

static void ask_writable(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET writable");
}

static void judge_fenced(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_as(judgement, value_of(replies, 0) == 0 ? VERDICT_MET : VERDICT_UNMET, "writable is %lld",
                 (long long) value_of(replies, 0));
}

static void act_fence(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET writable=0");
}

static void ask_receiver(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET receiver");
        script_sql(script, "GET position");
}

static void judge_stopped(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        json_set_int(judge_learned(judgement), "position", value_of(replies, 1));
        judge_as(judgement, value_of(replies, 0) == 0 ? VERDICT_MET : VERDICT_UNMET, "at %lld",
                 (long long) value_of(replies, 1));
}

static void act_stop(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET receiver=0");
}

static void ask_applied(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET applied");
}

static void judge_applied(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        bool all = value_of(replies, 0) == facts_server_int(facts, server, "position", -2);
        judge_as(judgement, all ? VERDICT_MET : VERDICT_UNMET, "applied %lld", (long long) value_of(replies, 0));
}

static void judge_open(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_as(judgement, value_of(replies, 0) == 1 ? VERDICT_MET : VERDICT_UNMET, "writable is %lld",
                 (long long) value_of(replies, 0));
}

static void act_open(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "OPEN");
}

static void ask_source(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "GET source");
}

static void judge_follows(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *source = reply_get(replies_at(replies, 0), 0, "value");
        bool follows = text_equal(source, facts_string(facts, "candidate"));
        judge_as(judgement, follows ? VERDICT_MET : VERDICT_UNMET, "follows %s", source ? source : "nobody");
}

static void act_follow(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET source=%s", facts_string(facts, "candidate"));
}

static bool skip_always(const Facts *facts)
{
        return true;
}

static void judge_received(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_as(judgement, value_of(replies, 0) == 1 ? VERDICT_MET : VERDICT_UNMET, "receiver is %lld",
                 (long long) value_of(replies, 0));
}

static void act_receive(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET receiver=1");
}

static void act_unfence(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        script_sql(script, "SET writable=1");
}

static const Step steps[] = {
        { "confirm", "it is dead", ON_DAEMON, NEED_EVERY, THEN_ABORT, .decide = decide_confirm },
        { "fence", "the old primary takes no writes", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 30 * USEC_SEC,
          .ask = ask_writable, .judge = judge_fenced, .act = act_fence, .parallel_with_next = true },
        { "address", "never needed", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 30 * USEC_SEC, .skip = skip_always,
          .ask = ask_writable, .judge = judge_fenced, .parallel_with_next = true },
        { "stop", "no replica receives", ON_REPLICAS, NEED_ONE, THEN_ABORT, 20 * USEC_SEC, .ask = ask_receiver,
          .judge = judge_stopped, .act = act_stop },
        { "choose", "one is chosen", ON_DAEMON, NEED_EVERY, THEN_ABORT, .decide = decide_choose },
        { "hook", "never needed", ON_DAEMON, NEED_EVERY, THEN_ABORT, .skip = skip_always, .ask = ask_writable,
          .judge = judge_fenced },
        { "drain", "the candidate has applied all", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, 20 * USEC_SEC,
          .ask = ask_applied, .judge = judge_applied },
        { "open", "the candidate takes writes", ON_CANDIDATE, NEED_EVERY, THEN_HALT, 20 * USEC_SEC, .ask = ask_writable,
          .judge = judge_open, .act = act_open },
        { "follow", "the others follow", ON_OTHERS, NEED_NONE, THEN_CONTINUE, 30 * USEC_SEC, .ask = ask_source,
          .judge = judge_follows, .act = act_follow },
};
static const Step undo[] = {
        { "restart", "replicas receive", ON_REPLICAS, NEED_NONE, THEN_CONTINUE, 30 * USEC_SEC, .ask = ask_receiver,
          .judge = judge_received, .act = act_receive },
        { "unfence", "the old primary takes writes", ON_OLD_PRIMARY, NEED_NONE, THEN_CONTINUE, 30 * USEC_SEC,
          .ask = ask_writable, .judge = judge_open, .act = act_unfence },
};
const Procedure exam = { "exam", 1, steps, ARRAY_LENGTH(steps), "open", undo, ARRAY_LENGTH(undo) };

/* The world */

void exam_world(Sim *sim)
{
        static const int positions[] = { 0, 10, 12, 12 };
        for (size_t i = 0; i < 4; i++) {
                CLEANUP(mem_free) char *name = text_format("db%zu", i + 1);
                SimServer *server = sim_add(sim, name);
                json_set_int(server->state, "writable", i == 0);
                json_set_int(server->state, "receiver", i > 0);
                json_set_int(server->state, "position", positions[i]);
                json_set_int(server->state, "applied", positions[i] - 5);
                json_set_int(server->state, "reach", positions[i]);
                json_set_string(server->state, "source", i == 0 ? NULL : "db1");
        }
        sim->execute = execute;
}

Facts exam_facts(void)
{
        Facts facts = facts_new("app1", "r1", "exam");
        json_set_string(facts.root, "old_primary", "db1");
        for (int i = 1; i <= 4; i++) {
                CLEANUP(mem_free) char *name = text_format("db%d", i);
                json_append_string(json_ensure_array(facts.root, "order"), name);
                if (i > 1)
                        json_append_string(json_ensure_array(facts.root, "replicas"), name);
        }
        return facts;
}
