/* Scheduled events, as goals. Pure. On a replica each event rests, also one that is disabled on the primary, so what ran
 * there must be known from there. Must never make one run that may have run already or was switched off. */
#include "events.h"

#include <string.h>

#include "status.h"
#include "text.h"

#define HIDDEN "the account lacks the EVENT privilege: if there are events, they stay as they are"

static const char *old_primary_of(const Facts *facts)
{
        return facts_string(facts, "old_primary");
}

static bool is_event(const Json *event, const Json *other)
{
        return text_equal(json_get_string(event, "schema"), json_get_string(other, "schema")) &&
               text_equal(json_get_string(event, "name"), json_get_string(other, "name"));
}

static const Json *find(const Json *events, const Json *event)
{
        JSON_FOREACH(other, events)
        if (is_event(other, event))
                return other;
        return NULL;
}

static bool is_enabled(const Json *event)
{
        return text_equal(json_get_string(event, "status"), "ENABLED");
}

static bool rests(const Json *event)
{
        return dialect_event_rests(json_get_string(event, "status"));
}

static const Json *known_events(const Facts *facts, const char *server)
{
        return json_get(facts_server(facts, server), "events");
}

/* What the switchover itself has stopped on the old primary; NULL in a failover. */
static const Json *stopped_events(const Facts *facts)
{
        return json_get(facts_server(facts, old_primary_of(facts)), "events_stopped");
}

/* Names, and no more than fit. */
static void add_name(Text *text, const Json *event)
{
        if (text->length > 160) {
                if (!strstr(text->data, " …"))
                        text_add(text, " …");
                return;
        }
        text_separate(text, ", ");
        text_addf(text, "%s.%s", json_get_string(event, "schema"), json_get_string(event, "name"));
}

static const char *scheduler_of(const Facts *facts, const char *server)
{
        return facts_server_string(facts, server, "event_scheduler");
}

/* Asking */

void ask_events(const Facts *facts, const char *server, Script *script)
{
        script_sql(script, "%s", dialect_events());
}

static Json *read_events(const Replies *replies, Judgement *judgement)
{
        Json *read = observation_events(replies_at(replies, 0));
        if (!read)
                judge_as(judgement, VERDICT_UNMET, "it did not say which events it has");
        return read;
}

static size_t count_enabled(const Json *events)
{
        size_t n = 0;
        JSON_FOREACH(event, events)
        n += is_enabled(event);
        return n;
}

void judge_events_known(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(json_free) Json *read = read_events(replies, judgement);
        if (!read)
                return;
        const char *scheduler = json_get_string(read, "event_scheduler");
        size_t n = count_enabled(json_get(read, "events"));
        if (json_get_bool(read, "events_hidden", false))
                judge_as(judgement, VERDICT_MET, HIDDEN);
        else
                judge_as(judgement, VERDICT_MET, "%zu event%s enabled, and its event scheduler is %s", n,
                         n == 1 ? " is" : "s are", scheduler ? scheduler : "?");
        judgement->learned = TAKE(read);
}

void judge_events_possible(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *old = old_primary_of(facts);
        CLEANUP(json_free) Json *read = read_events(replies, judgement);
        if (!read)
                return;
        const char *scheduler = json_get_string(read, "event_scheduler");
        bool wanted = text_equal(scheduler_of(facts, old), "ON") && count_enabled(known_events(facts, old)) > 0;
        json_set_string(judge_learned(judgement), "event_scheduler", scheduler);
        if (wanted && text_equal(scheduler, "DISABLED"))
                judge_as(judgement, VERDICT_HOPELESS,
                         "its event scheduler is DISABLED since its start: the events of %s could not run there", old);
        else
                judge_as(judgement, VERDICT_MET, "its event scheduler is %s", scheduler ? scheduler : "?");
}

/* Altering */

static EventSpec spec_of(const Json *event)
{
        return (EventSpec){
                .schema = json_get_string(event, "schema"),
                .name = json_get_string(event, "name"),
                .definer = json_get_string(event, "definer"),
                .client = json_get_string(event, "client"),
                .collation = json_get_string(event, "collation"),
        };
}

static void alter(const Facts *facts, const char *server, const Json *events, bool run, bool closed, Script *script)
{
        CLEANUP(server_view_free) ServerView *view = status_known(facts, server);
        const Dialect *dialect = server_view_dialect(view);
        bool opened = false;
        if (json_length(events) == 0)
                return;
        dialect_unlogged(script, true);
        JSON_FOREACH(event, events)
        {
                EventSpec spec = spec_of(event);
                if (!dialect_event_is_plain(&spec))
                        continue;
                if (closed && !opened)
                        dialect_privileged_writes(dialect, script, true);
                opened = closed;
                dialect_event(dialect, script, &spec, run);
        }
        if (opened)
                dialect_privileged_writes(dialect, script, false);
        dialect_unlogged(script, false);
}

typedef bool (*chosen_fn)(const Facts *facts, const char *server, const Json *event);

static Json *choose(const Facts *facts, const char *server, const Json *events, chosen_fn chosen)
{
        Json *list = json_array();
        JSON_FOREACH(event, events)
        {
                if (chosen(facts, server, event))
                        json_append(list, json_copy(event));
        }
        return list;
}

static char *names_of(const Json *events)
{
        Text text = { 0 };
        JSON_FOREACH(event, events)
        add_name(&text, event);
        return text_take(&text);
}

static void act_on(const Facts *facts, const char *server, const Replies *seen, chosen_fn chosen, bool run, bool closed,
                   Script *script)
{
        CLEANUP(json_free) Json *read = observation_events(replies_at(seen, 0));
        CLEANUP(json_free) Json *events = choose(facts, server, json_get(read, "events"), chosen);
        alter(facts, server, events, run, closed, script);
}

/* The old primary */

static bool to_rest(const Facts *facts, const char *server, const Json *event)
{
        return is_enabled(event);
}

/* It rests, and did not when we came. */
static bool was_stopped(const Facts *facts, const char *server, const Json *event)
{
        const Json *known = known_events(facts, server), *before = find(known, event);
        return known && rests(event) && !(before && rests(before));
}

void judge_events_rest(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(json_free) Json *read = read_events(replies, judgement);
        if (!read)
                return;
        const Json *events = json_get(read, "events");
        CLEANUP(json_free) Json *left = choose(facts, server, events, to_rest);
        if (json_length(left) > 0) {
                CLEANUP(mem_free) char *names = names_of(left);
                judge_as(judgement, VERDICT_UNMET, "enabled: %s", names);
                return;
        }
        Json *stopped = choose(facts, server, events, was_stopped);
        judge_as(judgement, VERDICT_MET, "%zu event%s ran here, and none does now", json_length(stopped),
                 json_length(stopped) == 1 ? "" : "s");
        json_set(judge_learned(judgement), "events_stopped", stopped);
}

void act_events_rest(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        act_on(facts, server, seen, to_rest, false, false, script);
}

void act_events_rest_closed(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        act_on(facts, server, seen, to_rest, false, true, script);
}

void judge_events_back(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(json_free) Json *read = read_events(replies, judgement);
        if (!read)
                return;
        CLEANUP(json_free) Json *stopped = choose(facts, server, json_get(read, "events"), was_stopped);
        CLEANUP(mem_free) char *names = names_of(stopped);
        if (*names)
                judge_as(judgement, VERDICT_UNMET, "disabled by this run: %s", names);
        else
                judge_as(judgement, VERDICT_MET, "its events are enabled as they were");
}

void act_events_back(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        act_on(facts, server, seen, was_stopped, true, false, script);
}

/* The new primary */

static bool ran_before(const Facts *facts, const Json *event)
{
        const Json *stopped = stopped_events(facts);
        const Json *seen = find(stopped ? stopped : known_events(facts, old_primary_of(facts)), event);
        return seen && (stopped || is_enabled(seen));
}

/* In a failover: between the last look and the death. */
static bool may_have_run(const Facts *facts, const Json *event)
{
        return !stopped_events(facts) && json_get_bool(event, "once", false) && json_get_bool(event, "due", true);
}

static bool to_run(const Facts *facts, const char *server, const Json *event)
{
        return rests(event) && ran_before(facts, event) && !may_have_run(facts, event);
}

/* It rests, and whether it must cannot be told. */
static bool is_in_doubt(const Facts *facts, const char *server, const Json *event)
{
        if (!rests(event) || stopped_events(facts))
                return false;
        return ran_before(facts, event) ? may_have_run(facts, event)
                                        : !find(known_events(facts, old_primary_of(facts)), event);
}

/* Those that ran and are not there at all, as after a filter; one that runs once may be gone because it has run. */
static char *lacking(const Facts *facts, const Json *events)
{
        const Json *stopped = stopped_events(facts);
        Text text = { 0 };
        JSON_FOREACH(event, stopped ? stopped : known_events(facts, old_primary_of(facts)))
        {
                if (ran_before(facts, event) && !json_get_bool(event, "once", false) && !find(events, event))
                        add_name(&text, event);
        }
        return text_take(&text);
}

/* What the scheduler must be; NULL when it may stay. */
static const char *wanted_scheduler(const char *wanted, const char *now)
{
        if (text_is_empty(wanted) || text_equal(now, "DISABLED"))
                return NULL;
        wanted = text_equal(wanted, "ON") ? "ON" : "OFF";
        return text_equal(wanted, now) ? NULL : wanted;
}

void judge_events_run(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        const char *old = old_primary_of(facts);
        CLEANUP(json_free) Json *read = read_events(replies, judgement);
        if (!read)
                return;
        const Json *events = json_get(read, "events");
        const char *scheduler = json_get_string(read, "event_scheduler");
        CLEANUP(json_free) Json *left = choose(facts, server, events, to_run);
        CLEANUP(json_free) Json *doubtful = choose(facts, server, events, is_in_doubt);
        CLEANUP(mem_free) char *names = names_of(left);
        CLEANUP(mem_free) char *doubts = names_of(doubtful);
        CLEANUP(mem_free) char *lacks = lacking(facts, events);
        const char *wanted = wanted_scheduler(scheduler_of(facts, old), scheduler);
        size_t n = count_enabled(events);
        if (*names)
                judge_as(judgement, VERDICT_UNMET, "not enabled yet: %s", names);
        else if (wanted)
                judge_as(judgement, VERDICT_UNMET, "its event scheduler is %s", scheduler ? scheduler : "?");
        else if (*doubts)
                judge_as(judgement, VERDICT_HOPELESS,
                         "it is not known whether these ran or were to run on %s, and they are left disabled: %s; "
                         "enable "
                         "what is to run",
                         old, doubts);
        else if (*lacks)
                judge_as(judgement, VERDICT_HOPELESS, "it does not have these events of %s: %s", old, lacks);
        else if (json_get_bool(read, "events_hidden", false))
                judge_as(judgement, VERDICT_MET, HIDDEN);
        else if (n > 0 && text_equal(scheduler, "DISABLED") && text_equal(scheduler_of(facts, old), "ON"))
                judge_as(judgement, VERDICT_HOPELESS, "its event scheduler is DISABLED since its start: no event runs");
        else
                judge_as(judgement, VERDICT_MET, "%zu event%s enabled, and its event scheduler is %s", n,
                         n == 1 ? " is" : "s are", scheduler ? scheduler : "?");
}

static void set_scheduler(const char *wanted, const Replies *seen, Script *script)
{
        CLEANUP(json_free) Json *read = observation_events(replies_at(seen, 0));
        const char *value = wanted_scheduler(wanted, json_get_string(read, "event_scheduler"));
        if (value)
                script_sql(script, "SET GLOBAL event_scheduler = %s", value);
}

void act_events_run(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        set_scheduler(scheduler_of(facts, old_primary_of(facts)), seen, script);
        act_on(facts, server, seen, to_run, true, false, script);
}

Json *events_to_know(const Facts *facts)
{
        const char *old = old_primary_of(facts);
        const Json *stopped = stopped_events(facts), *events = stopped ? stopped : known_events(facts, old);
        if (!events)
                return NULL;
        Json *known = json_object(), *list = json_ensure_array(known, "events");
        JSON_FOREACH(event, events)
        {
                Json *copy = json_copy(event);
                if (stopped)
                        json_set_string(copy, "status", "ENABLED");
                json_append(list, copy);
        }
        json_set_string(known, "event_scheduler", scheduler_of(facts, old));
        return known;
}

/* The old primary's scheduler */

bool skip_scheduler(const Facts *facts)
{
        const char *was = scheduler_of(facts, facts_string(facts, "candidate"));
        return text_is_empty(was) || text_equal(was, scheduler_of(facts, old_primary_of(facts)));
}

void judge_scheduler(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        CLEANUP(json_free) Json *read = read_events(replies, judgement);
        if (!read)
                return;
        const char *now = json_get_string(read, "event_scheduler");
        bool other = wanted_scheduler(scheduler_of(facts, facts_string(facts, "candidate")), now);
        judge_as(judgement, other ? VERDICT_UNMET : VERDICT_MET, "its event scheduler is %s", now ? now : "?");
}

void act_scheduler(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        set_scheduler(scheduler_of(facts, facts_string(facts, "candidate")), seen, script);
}
