/* Verbs about files. The daemon's program does the work; here it is only called, and the daemon told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

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
        int status = program_run(arguments);
        if (status < 0)
                return cannot_run(status);
        if (status != 0)
                return STATUS_REFUSED;
        return verb_reload(context);
}

int verb_server(const Context *context)
{
        const char *what = verb_word(context, 0);
        size_t n = 0;
        while (verb_word(context, n))
                n++;
        bool changes = text_equal(what, "add") || text_equal(what, "set"), removes = text_equal(what, "remove");
        if ((text_equal(what, "down") || text_equal(what, "up")) && (n == 2 || n == 3))
                return verb_server_period(context);
        if ((changes && n >= (text_equal(what, "set") ? 4 : 3)) || (removes && n == 3))
                return edit(context);
        fputs("mhactl: say one of these:\n"
              "  mhactl server add|set CLUSTER SERVER KEY=VALUE...\n"
              "  mhactl server remove CLUSTER SERVER\n"
              "  mhactl server down|up [CLUSTER] SERVER\n",
              stderr);
        return STATUS_USAGE;
}
