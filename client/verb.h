/* What every verb gets, and the verbs. Each returns its exit status. */
#pragma once

#include "api.h"
#include "arguments.h"
#include "render.h"

enum {
        STATUS_OK = 0,
        STATUS_REFUSED = 1,
        STATUS_USAGE = 2,
        STATUS_UNREACHABLE = 3,
        STATUS_TIMEOUT = 4,
        STATUS_DEGRADED = 10,
        STATUS_HELD = 11,
        STATUS_RUNNING = 12,
        STATUS_HALTED = 13,
};

typedef struct Context {
        const Arguments *arguments;
        const char *socket;
        bool json;
        bool terminal; /* standard output is one */
        Look look;
} Context;

/* The n-th word of the command line, NULL when there are fewer. */
const char *verb_word(const Context *context, size_t n);
const char *verb_option(const Context *context, OptionId id);
/* Prints "mhactl: …" to standard error and returns the exit status that suits it. */
int verb_fail(const Failure *failure);
/* The look with the present time. */
Look verb_look(const Context *context);
/* Prints and releases text, or the answer as JSON when that was asked for. */
void verb_print(const Context *context, const Json *answer, Text *text);
/* One call; parameters are taken over. STATUS_OK and *ret, or what verb_fail() gave. */
int verb_call(const Context *context, ApiId id, Json *parameters, Json **ret);
/* {"cluster": …}, empty when cluster is NULL. */
Json *verb_cluster(const char *cluster);
/* The options of a failover or a switchover as the API wants them. */
Json *verb_run_options(const Context *context);

int verb_status(const Context *context);
int verb_check(const Context *context);
int verb_plan(const Context *context);
int verb_report(const Context *context);
int verb_history(const Context *context);
int verb_metrics(const Context *context);
int verb_version(const Context *context);
int verb_failover(const Context *context);
int verb_switch(const Context *context);
int verb_purge(const Context *context);
int verb_rejoin(const Context *context);
int verb_cancel(const Context *context);
int verb_pause(const Context *context);
int verb_resume(const Context *context);
/* --for as "for_ms" and --why as "reason" among parameters; STATUS_USAGE with a sentence when it is no time. */
int verb_add_period(const Context *context, Json *parameters);
int verb_server_period(const Context *context);
int verb_acknowledge(const Context *context);
int verb_run(const Context *context);
int verb_reload(const Context *context);
int verb_events(const Context *context);
int verb_wait(const Context *context);
int verb_import(const Context *context);
int verb_server(const Context *context);
int verb_rescue(const Context *context);
