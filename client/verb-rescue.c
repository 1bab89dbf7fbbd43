/* Saved logs: looked at, ordered, copied out. The copy from a server's host belongs to the daemon: it goes on when this
 * program ends. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "copy.h"
#include "verb.h"

#define POLL_INTERVAL 300000 /* us */

static int usage(void)
{
        fputs("mhactl: rescue show [CLUSTER [RUN]], rescue fetch CLUSTER SERVER, or rescue copy CLUSTER RUN DIR\n",
              stderr);
        return STATUS_USAGE;
}

static int ask(const Context *context, const char *cluster, const char *run, Json **ret)
{
        Json *parameters = verb_cluster(cluster);
        json_set_string(parameters, "run", run);
        return verb_call(context, API_RESCUES, parameters, ret);
}

static const Json *rescue_of(const Json *answer)
{
        return json_at(json_get(answer, "rescues"), 0);
}

/* Of one run, which is there. */
static int ask_one(const Context *context, const char *cluster, const char *run, Json **ret)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = ask(context, cluster, run, &answer);
        if (status != STATUS_OK)
                return status;
        if (rescue_of(answer)) {
                *ret = TAKE(answer);
                return STATUS_OK;
        }
        Failure failure;
        failure_set(&failure, FAILURE_INVALID, 0, "%s: there is nothing saved by a run %s: mhactl rescue show %s",
                    cluster, run, cluster);
        return verb_fail(&failure);
}

static int show(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        const char *cluster = verb_word(context, 1), *run = verb_word(context, 2);
        int status = run ? ask_one(context, cluster, run, &answer) : ask(context, cluster, NULL, &answer);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        if (run)
                render_rescue(&text, &look, answer);
        else
                render_rescues(&text, &look, answer);
        verb_print(context, answer, &text);
        return STATUS_OK;
}

static int copy_out(const Context *context, const Json *rescue, const char *directory)
{
        Failure failure;
        size_t n = 0;
        int64_t bytes = 0;
        if (copy_rescue(rescue, directory, &n, &bytes, &failure) < 0) {
                fprintf(stderr, "mhactl: %s\n", failure.text);
                return STATUS_REFUSED;
        }
        CLEANUP(mem_free) char *size = render_size(bytes);
        if (!context->json)
                printf("%zu file%s, %s, in %s; their checksums are right\n", n, n == 1 ? "" : "s", size, directory);
        return STATUS_OK;
}

static int copy(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL;
        int status = ask_one(context, verb_word(context, 1), verb_word(context, 2), &answer);
        if (status == STATUS_OK)
                status = copy_out(context, rescue_of(answer), verb_word(context, 3));
        if (status == STATUS_OK && context->json) {
                Text nothing = { 0 };
                verb_print(context, answer, &nothing);
        }
        return status;
}

static void print_progress(const Context *context, const Json *progress)
{
        if (!context->terminal || context->json)
                return;
        CLEANUP(mem_free) char *copied = render_size(json_get_int(progress, "copied", 0));
        CLEANUP(mem_free) char *total = render_size(json_get_int(progress, "total", 0));
        printf("\r\x1b[K%s: %s of %s", render_or(progress, "state", "?"), copied, total);
        fflush(stdout);
}

/* Until the daemon is done with it. */
static int follow(const Context *context, const char *cluster, const char *run, Json **ret)
{
        for (;;) {
                CLEANUP(json_free) Json *answer = NULL;
                int status = ask_one(context, cluster, run, &answer);
                if (status != STATUS_OK)
                        return status;
                const Json *progress = json_get(rescue_of(answer), "progress");
                const char *state = json_get_string(progress, "state"), *why = json_get_string(progress, "failure");
                if (text_equal(state, "copying") || text_equal(state, "indexing")) {
                        print_progress(context, progress);
                        usleep(POLL_INTERVAL);
                        continue;
                }
                if (context->terminal && !context->json)
                        fputs("\r\x1b[K", stdout);
                if (text_equal(state, "complete")) {
                        *ret = TAKE(answer);
                        return STATUS_OK;
                }
                Failure failure;
                failure_set(&failure, FAILURE_INVALID, 0, "%s: %s", cluster,
                            why ? why : "the copy ended before it was complete: mhad was restarted; order it again");
                return verb_fail(&failure);
        }
}

static int fetch(const Context *context)
{
        CLEANUP(json_free) Json *answer = NULL, *found = NULL;
        const char *cluster = verb_word(context, 1), *output = verb_option(context, OPTION_OUTPUT);
        Json *parameters = verb_cluster(cluster), *options = json_ensure_object(parameters, "options");
        json_set_string(parameters, "server", verb_word(context, 2));
        json_set_string(options, "from", verb_option(context, OPTION_FROM));
        json_set_string(options, "to", verb_option(context, OPTION_TO));
        int status = verb_call(context, API_RESCUE_FETCH, parameters, &answer);
        if (status == STATUS_OK)
                status = follow(context, cluster, json_get_string(answer, "run"), &found);
        if (status != STATUS_OK)
                return status;
        Text text = { 0 };
        const Look look = verb_look(context);
        render_rescue(&text, &look, found);
        verb_print(context, found, &text);
        return output ? copy_out(context, rescue_of(found), output) : STATUS_OK;
}

int verb_rescue(const Context *context)
{
        const char *what = verb_word(context, 0);
        size_t n = 0;
        while (verb_word(context, n))
                n++;
        bool fetches = text_equal(what, "fetch");
        if ((verb_option(context, OPTION_FROM) || verb_option(context, OPTION_TO) ||
             verb_option(context, OPTION_OUTPUT)) &&
            !fetches)
                return usage();
        if (text_equal(what, "show") && n <= 3)
                return show(context);
        if (fetches && n == 3)
                return fetch(context);
        return text_equal(what, "copy") && n == 4 ? copy(context) : usage();
}
