/* Whatever bytes a client sends: cut into messages, parsed, dispatched, answered. The first byte says who asks and how
 * the rest arrives. An answer is always JSON that can be read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "frame.h"
#include "methods.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A registry that answers with what it was asked, and refuses when a cluster is called "no". */
static int echo(const char *cluster, const char *word, const Json *options, Json **ret, Failure *reterr)
{
        if (cluster && strcmp(cluster, "no") == 0)
                return failure_set(reterr, FAILURE_INVALID, word ? 2 : 0, "no: %s", word);
        *ret = json_object();
        json_set_string(*ret, "cluster", cluster);
        json_set_string(*ret, "word", word);
        json_set(*ret, "options", json_copy(options));
        return 0;
}

int registry_status(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        return echo(cluster, NULL, NULL, ret, reterr);
}

int registry_check(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        return echo(cluster, NULL, NULL, ret, reterr);
}

int registry_plan(Registry *registry, const char *cluster, const char *procedure, const Json *options,
                  registry_later_fn done, void *userdata, Failure *reterr)
{
        Json *plan = NULL;
        int r = echo(cluster, procedure, options, &plan, reterr);
        if (r == 0)
                done(plan, userdata);
        return r;
}

int registry_examine(Registry *registry, const char *cluster, const char *what, bool mesh, registry_later_fn done,
                     void *userdata, Failure *reterr)
{
        return registry_plan(registry, cluster, what, NULL, done, userdata, reterr);
}

int registry_rescues(Registry *registry, const char *cluster, const char *run, registry_later_fn done, void *userdata,
                     Failure *reterr)
{
        Json *answer = NULL;
        int r = echo(cluster, run, NULL, &answer, reterr);
        if (r == 0)
                done(answer, userdata);
        return r;
}

int registry_rescue_fetch(Registry *registry, const char *cluster, const char *server, const Json *options,
                          const Asker *asker, Json **ret, Failure *reterr)
{
        return echo(cluster, server, options, ret, reterr);
}

void registry_metrics(Registry *registry, registry_later_fn done, void *userdata)
{
        done(json_object(), userdata);
}

int registry_report(Registry *registry, const char *cluster, const char *run, Json **ret, Failure *reterr)
{
        return echo(cluster, run, NULL, ret, reterr);
}

int registry_history(Registry *registry, const char *cluster, registry_later_fn done, void *userdata, Failure *reterr)
{
        return registry_rescues(registry, cluster, NULL, done, userdata, reterr);
}

int registry_events(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        return echo(cluster, NULL, NULL, ret, reterr);
}

int registry_failover(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                      Failure *reterr)
{
        return echo(cluster, asker->who, options, ret, reterr);
}

int registry_switch(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                    Failure *reterr)
{
        return echo(cluster, asker->who, options, ret, reterr);
}

int registry_purge(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                   Failure *reterr)
{
        return echo(cluster, server, NULL, ret, reterr);
}

int registry_rejoin(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                    Failure *reterr)
{
        return echo(cluster, server, NULL, ret, reterr);
}

int registry_pause(Registry *registry, const char *cluster, const char *reason, usec_t for_how_long, const Asker *asker,
                   Json **ret, Failure *reterr)
{
        return echo(cluster, reason, NULL, ret, reterr);
}

int registry_resume(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr)
{
        return echo(cluster, asker->who, NULL, ret, reterr);
}

int registry_acknowledge(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr)
{
        return echo(cluster, asker->who, NULL, ret, reterr);
}

int registry_run(Registry *registry, const char *cluster, const char *what, const Json *options, const Asker *asker,
                 Json **ret, Failure *reterr)
{
        return echo(cluster, what, options, ret, reterr);
}

int registry_server_down(Registry *registry, const char *cluster, const char *server, const char *reason,
                         usec_t for_how_long, const Asker *asker, Json **ret, Failure *reterr)
{
        return echo(cluster, server, NULL, ret, reterr);
}

int registry_server_up(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                       Failure *reterr)
{
        return echo(cluster, server, NULL, ret, reterr);
}

void registry_reload(Registry *registry, registry_reload_fn done, void *userdata)
{
        CLEANUP(json_free) Json *errors = json_array();
        json_append_string(errors, "mhad.yaml:1:1: wrong");
        Failure failure;
        (void) failure_set(&failure, FAILURE_INVALID, 0, "1 error");
        done(errors, &failure, userdata);
}

static void on_later(Json *plan, void *userdata)
{
        *(Json **) userdata = plan;
}

static void on_reloaded(const Json *errors, const Failure *failure, void *userdata)
{
        Answer answer = methods_reloaded(errors, failure);
        *(Json **) userdata = api_make_error(answer.error, answer.parameters);
}

static void answer(const char *message, size_t length, const Peer *peer)
{
        __attribute__((cleanup(api_call_done_cleanup))) ApiCall call = { 0 };
        if (api_call_parse(message, length, &call) < 0)
                return;
        CLEANUP(json_free) Json *plan = NULL;
        const Later later = { .answered = on_later, .reloaded = on_reloaded, .userdata = &plan };
        Answer got = methods_answer(NULL, &call, peer, &later);
        if (got.later != (plan != NULL))
                abort();
        CLEANUP(json_free)
        Json *reply =
                got.error ? api_make_error(got.error, got.parameters) : api_make_reply(got.parameters, got.follow);
        CLEANUP(json_free) Json *again = NULL;
        CLEANUP(mem_free) char *text = json_print(reply);
        if (json_parse(text, strlen(text), &again, NULL) < 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        const Peer peer = { .who = "fuzz (uid 0, pid 1)", .may_change = data[0] & 1 };
        size_t piece = (data[0] & 2) ? 1 + (data[0] >> 2) : size;
        __attribute__((cleanup(frame_done_cleanup))) Frame frame = frame_make(4096);
        for (size_t at = 1; at < size; at += piece) {
                const char *message;
                size_t length;
                int r;
                frame_add(&frame, (const char *) data + at, size - at < piece ? size - at : piece);
                while ((r = frame_next(&frame, &message, &length)) > 0) {
                        if (message[length] != '\0' || length > 4096)
                                abort();
                        answer(message, length, &peer);
                }
                if (r < 0)
                        break;
        }
        return 0;
}
