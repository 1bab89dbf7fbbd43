/* Verbs about files. The daemon's program does the work; here it is only called, and the daemon told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "program.h"
#include "verb.h"

static int cannot_run(int error)
{
        fprintf(stderr, "mhactl: cannot run %s: %s\n", program_path(), strerror(-error));
        return STATUS_REFUSED;
}

int verb_import(const Context *context)
{
        const char *arguments[8] = { "--import", verb_word(context, 0) };
        size_t n = 2;
        const char *global = verb_option(context, OPTION_GLOBAL), *directory = verb_option(context, OPTION_OUTPUT_DIR);
        if (global) {
                arguments[n++] = "--global";
                arguments[n++] = global;
        }
        if (directory) {
                arguments[n++] = "--output-dir";
                arguments[n++] = directory;
        }
        return cannot_run(program_become(arguments));
}

static int edit(const Context *context)
{
        const char *arguments[ARGUMENTS_WORDS_MAX + 5] = { NULL };
        const char *config = verb_option(context, OPTION_CONFIG);
        size_t n = 0;
        if (config) {
                arguments[n++] = "--config";
                arguments[n++] = config;
        }
        arguments[n++] = "--edit-server";
        arguments[n++] = verb_word(context, 0);
        arguments[n++] = "--";
        for (size_t i = 1; verb_word(context, i); i++)
                arguments[n++] = verb_word(context, i);
        int status = program_run(arguments, context->json);
        if (status < 0)
                return cannot_run(status);
        if (status != 0)
                return STATUS_REFUSED;
        return verb_reload(context);
}

/* Without its primary a cluster is not watched for what it is, so only who says so removes that, or what may be that. */
static int refuse_primary(const Context *context)
{
        const char *name = verb_word(context, 1), *server = verb_word(context, 2);
        CLEANUP(json_free) Json *answer = NULL;
        Failure failure = { 0 };
        if (verb_option(context, OPTION_YES))
                return STATUS_OK;
        bool asked = call_once(context->socket, API_STATUS, verb_cluster(name), &answer, &failure) >= 0;
        const Json *cluster = json_at(json_get(answer, "clusters"), 0);
        const char *primary = json_get_string(cluster, "primary");
        if (primary && !text_equal(primary, server))
                return STATUS_OK;
        Text text = { 0 };
        const Look plain = { 0 };
        if (primary)
                render_add(&text, &plain, TONE_PLAIN,
                           "%s: %s is the primary: first mhactl switch %s, or mhactl failover %s when it is dead", name,
                           server, name, name);
        else if (asked)
                render_add(&text, &plain, TONE_PLAIN,
                           "%s: mhad does not know which server is the primary, which may be %s: mhactl status %s",
                           name, server, name);
        else
                render_add(&text, &plain, TONE_PLAIN, "%s: whether %s is the primary is not known: %s", name, server,
                           failure.text);
        fprintf(stderr, "mhactl: %s; nothing was changed; --yes removes %s all the same\n", text.data, server);
        text_done(&text);
        return asked || failure.kind == FAILURE_INVALID ? STATUS_REFUSED : STATUS_UNREACHABLE;
}

int verb_server(const Context *context)
{
        const char *what = verb_word(context, 0);
        size_t n = 0;
        while (verb_word(context, n))
                n++;
        bool changes = text_equal(what, "add") || text_equal(what, "set"), removes = text_equal(what, "remove");
        if (verb_option(context, OPTION_YES) && !removes) {
                fputs("mhactl: --yes goes with server remove\n", stderr);
                return STATUS_USAGE;
        }
        if ((text_equal(what, "down") || text_equal(what, "up")) && (n == 2 || n == 3))
                return verb_server_period(context);
        if (removes && n == 3) {
                int status = refuse_primary(context);
                return status == STATUS_OK ? edit(context) : status;
        }
        if (changes && n >= (text_equal(what, "set") ? 4 : 3))
                return edit(context);
        fputs("mhactl: say one of these:\n"
              "  mhactl server add|set CLUSTER SERVER KEY=VALUE...\n"
              "  mhactl server remove CLUSTER SERVER [--yes]\n"
              "  mhactl server down|up [CLUSTER] SERVER\n",
              stderr);
        return STATUS_USAGE;
}
