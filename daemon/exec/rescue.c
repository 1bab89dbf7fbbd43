/* Orders and questions about the saved logs of a run, as JSON. Owns their parts (rescue-inside.h); must never wait. */
#include "rescue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "alloc.h"
#include "file.h"
#include "rescue-inside.h"
#include "text.h"

/* MySQL wants to know whom it follows: a name that no server has (RFC 9562, version 4). */
static void make_uuid(char ret[37])
{
        unsigned char b[16];
        if (getrandom(b, sizeof b, 0) != sizeof b)
                abort();
        b[6] = (unsigned char) ((b[6] & 0x0f) | 0x40);
        b[8] = (unsigned char) ((b[8] & 0x3f) | 0x80);
        snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

Rescue *rescue_new(Loop *loop, const RescueSettings *settings, const char *run, rescue_pool_fn pool, void *userdata)
{
        Rescue *rescue = ALLOC(Rescue);
        *rescue = (Rescue){ .loop = loop,
                            .settings = settings,
                            .run = alloc_string(run),
                            .directory = text_format("%s/%s", settings->directory, run),
                            .pool = pool,
                            .userdata = userdata,
                            .ranges = ranges_new() };
        make_uuid(rescue->uuid);
        source_load_all(rescue);
        indexing_load(rescue);
        source_go_on(rescue);
        return rescue;
}

Rescue *rescue_free(Rescue *rescue)
{
        if (!rescue)
                return NULL;
        indexing_stop(rescue);
        while (rescue->standins)
                standin_end(rescue, standin_server(rescue->standins));
        while (rescue->sources) {
                SavedSource *source = rescue->sources;
                rescue->sources = source->next;
                source_free(source);
        }
        ranges_free(rescue->ranges);
        json_free(rescue->differences);
        free(rescue->borders);
        free(rescue->run);
        free(rescue->why);
        free(rescue->directory);
        free(rescue);
        return NULL;
}

const char *rescue_run(const Rescue *rescue)
{
        return rescue->run;
}

const char *rescue_password(const Rescue *rescue, const char *server)
{
        const Standin *standin = standin_find(rescue, server);
        return standin ? standin_password(standin) : NULL;
}

/* Answers. */

/* As ranges_ask_gtid(), where the place in the log is known. */
static RangesAnswer ask_behind(const Rescue *rescue, const Position *from, GtidFamily family, const GtidSet *has,
                               const GtidSet *wanted, GtidSet **ret_lacks, GtidSet **ret_missing)
{
        RangesAnswer answer = ranges_ask(rescue->ranges, from);
        CLEANUP(gtid_free) GtidSet *there = transaction_runs_to_set(&answer.runs, family);
        CLEANUP(gtid_free) GtidSet *both = gtid_union(there, has);
        *ret_lacks = gtid_subtract(there, has);
        *ret_missing = wanted ? gtid_subtract(wanted, both) : NULL;
        return answer;
}

static int answer_one(const Rescue *rescue, const Json *question, Json *answers, Failure *reterr)
{
        const char *name = json_get_string(question, "name"), *from_text = json_get_string(question, "from");
        const char *family_text = json_get_string(question, "family");
        Position from = source_begin(rescue);
        if (!text_is_empty(from_text) && position_parse(from_text, &from, reterr) < 0)
                return -EINVAL;
        if (!family_text) {
                CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(rescue->ranges, &from);
                json_set(answers, name, saved_describe_answer(&answer, NULL, NULL));
                return 0;
        }
        GtidFamily family = text_equal(family_text, "mariadb") ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL;
        const char *wanted_text = json_get_string(question, "wanted");
        CLEANUP(gtid_free) GtidSet *has = NULL;
        CLEANUP(gtid_free) GtidSet *wanted = NULL;
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *missing = NULL;
        if (gtid_parse(family, json_get_string(question, "has"), &has, reterr) < 0 ||
            (wanted_text && gtid_parse(family, wanted_text, &wanted, reterr) < 0))
                return -EINVAL;
        CLEANUP(ranges_answer_done)
        RangesAnswer answer = text_is_empty(from_text)
                                      ? ranges_ask_gtid(rescue->ranges, family, has, wanted, &lacks, &missing)
                                      : ask_behind(rescue, &from, family, has, wanted, &lacks, &missing);
        json_set(answers, name, saved_describe_answer(&answer, lacks, missing));
        return 0;
}

static int answer_all(const Rescue *rescue, const Json *questions, Json *json, Failure *reterr)
{
        if (!rescue->ranges)
                return 0;
        if (json_has(rescue->differences, "differ"))
                json_set(json, "differ", json_copy(json_get(rescue->differences, "differ")));
        int r = 0;
        JSON_FOREACH(question, questions)
        {
                r = r < 0 ? r : answer_one(rescue, question, json_ensure_object(json, "answers"), reterr);
        }
        return r;
}

static Json *describe(const Rescue *rescue)
{
        Json *json = json_object(), *sources = json_ensure_object(json, "sources"),
             *feeds = json_ensure_object(json, "feeds");
        json_set_string(json, "directory", rescue->directory);
        json_set_bool(json, "writing", rescue->writer || rescue->unwritten);
        if (rescue->index_failure.kind != FAILURE_NONE)
                json_set_string(json, "failure", rescue->index_failure.text);
        for (const SavedSource *source = rescue->sources; source; source = source->next)
                json_set(sources, source->server, source_describe(source));
        for (const Standin *standin = rescue->standins; standin; standin = standin_next(standin))
                json_set(feeds, standin_server(standin), standin_describe(standin));
        return json;
}

void rescue_do(Rescue *rescue, const char *verb, const Json *input, Reply *reply)
{
        CLEANUP(json_free) Json *json = NULL;
        Failure *failure = &reply->failure;
        int r = 0;
        *failure = (Failure){ 0 };
        if (strcmp(verb, "collect") == 0)
                r = source_order(rescue, input, failure);
        else if (strcmp(verb, "feed") == 0)
                r = standin_order(rescue, input, failure);
        else if (strcmp(verb, "unfeed") == 0)
                standin_end(rescue, json_get_string(input, "server"));
        else if (strcmp(verb, "look") != 0)
                r = failure_set(failure, FAILURE_INVALID, 0, "the saved logs know no order '%s'", verb);
        if (r < 0)
                return;
        json = describe(rescue);
        if (answer_all(rescue, json_get(input, "questions"), json, failure) >= 0)
                reply->out = json_print(json);
}
