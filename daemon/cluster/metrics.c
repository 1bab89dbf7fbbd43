/* The table of metrics, and their text. Pure; must never take a label's value from anywhere but names of the configuration
 * and closed lists of words. */
#include "metrics.h"

#include <stdio.h>
#include <string.h>

#include "enum.h"
#include "fsm.h"
#include "run.h"
#include "text.h"
#include "topology.h"

/* Where one metric's samples go, and what they are made of. */
struct Sample {
        Text *out;
        const Metric *metric;
        const char *cluster, *server;
        const Json *json; /* the server, the cluster or its last run, as the scope says */
        const Histogram *pings;
        const MetricsProcess *process;
        usec_t now;
};

static const char *const types[_METRIC_TYPE_MAX] = {
        [METRIC_GAUGE] = "gauge", [METRIC_COUNTER] = "counter", [METRIC_HISTOGRAM] = "histogram"
};
ENUM_TO_STRING(metric_type, MetricType, types)

static void add_escaped(Text *out, const char *value)
{
        for (const char *c = value; *c; c++) {
                size_t plain = strcspn(c, "\n\"\\");
                text_add_n(out, c, plain);
                c += plain;
                if (!*c)
                        return;
                text_add(out, *c == '\n' ? "\\n" : *c == '"' ? "\\\"" : "\\\\");
        }
}

static void add_label(Text *out, char *separator, const char *label, const char *value)
{
        if (!value)
                return;
        text_addf(out, "%c%s=\"", *separator, label);
        add_escaped(out, value);
        text_add(out, "\"");
        *separator = ',';
}

static void print(const Sample *sample, const char *suffix, const char *label, const char *word, double value)
{
        char separator = '{';
        text_addf(sample->out, "%s%s", sample->metric->name, suffix);
        add_label(sample->out, &separator, "cluster", sample->cluster);
        add_label(sample->out, &separator, "server", sample->server);
        if (sample->metric->scope == METRIC_OF_RUN)
                add_label(sample->out, &separator, "procedure", json_get_string(sample->json, "procedure"));
        if (label)
                add_label(sample->out, &separator, label, word);
        text_addf(sample->out, "%s %.15g\n", separator == ',' ? "}" : "", value);
}

static void add_value(const Sample *sample, double value)
{
        print(sample, "", NULL, NULL, value);
}

static double seconds(int64_t usec)
{
        return (double) usec / (double) USEC_SEC;
}

/* One of a list of words is so: 1, all others 0. */
static void add_word(const Sample *sample, const char *(*name)(int), int n, const char *now)
{
        for (int i = 0; i < n; i++)
                print(sample, "", sample->metric->label, name(i), text_equal(name(i), now));
}

static void add_histogram(const Sample *sample, const Histogram *histogram)
{
        uint64_t n = 0;
        for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
                char bound[32] = "+Inf";
                if (histogram_bound(i) != USEC_INFINITY)
                        snprintf(bound, sizeof bound, "%.15g", seconds((int64_t) histogram_bound(i)));
                n += histogram->counts[i];
                print(sample, "_bucket", "le", bound, (double) n);
        }
        print(sample, "_sum", NULL, NULL, seconds((int64_t) histogram->sum));
        print(sample, "_count", NULL, NULL, (double) n);
}

/* Servers. */

static bool is_up(const Sample *sample)
{
        return json_get_bool(sample->json, "up", false);
}

static void add_up(const Sample *sample)
{
        add_value(sample, is_up(sample));
}

static const char *role_name(int role)
{
        return role_to_string((Role) role);
}

static void add_role(const Sample *sample)
{
        add_word(sample, role_name, ROLE_OBSERVER, json_get_string(sample->json, "role"));
}

static void add_taken_out(const Sample *sample)
{
        add_value(sample, json_has(sample->json, "downtime"));
}

/* What it said before it went down is not so any more. */
static void add_lag(const Sample *sample)
{
        if (is_up(sample) && json_has(sample->json, "lag_ms"))
                add_value(sample, (double) json_get_int(sample->json, "lag_ms", 0) / 1000);
}

static void add_last_good(const Sample *sample)
{
        int64_t last = json_get_int(sample->json, "last_good", 0);
        if (last > 0)
                add_value(sample, seconds((int64_t) usec_sub(sample->now, (usec_t) last)));
}

static void add_pings(const Sample *sample)
{
        add_histogram(sample, sample->pings);
}

static void add_late_ticks(const Sample *sample)
{
        add_value(sample, (double) json_get_int(sample->json, "late_ticks", 0));
}

/* Clusters. */

static const char *state_name(int state)
{
        return cluster_state_to_string((ClusterState) state);
}

static void add_state(const Sample *sample)
{
        add_word(sample, state_name, _CLUSTER_STATE_MAX, json_get_string(sample->json, "state"));
}

static void add_ready(const Sample *sample)
{
        const Json *would = json_get(sample->json, "if_primary_died");
        bool ready = text_equal(json_get_string(sample->json, "state"), cluster_state_to_string(CLUSTER_STEADY)) &&
                     json_get_string(would, "candidate") && json_length(json_get(would, "blockers")) == 0 &&
                     json_length(json_get(would, "hold")) == 0;
        JSON_FOREACH(problem, json_get(sample->json, "problems"))
        {
                ready = ready && !json_get_bool(problem, "blocks", false);
        }
        add_value(sample, ready);
}

static void add_paused(const Sample *sample)
{
        add_value(sample, json_has(sample->json, "paused"));
}

static void add_problems(const Sample *sample)
{
        add_value(sample, (double) json_length(json_get(sample->json, "problems")));
}

/* The last run. */

static const char *outcome_name(int outcome)
{
        return run_outcome_to_string((RunOutcome) outcome);
}

static void add_outcome(const Sample *sample)
{
        add_word(sample, outcome_name, _RUN_OUTCOME_MAX, json_get_string(sample->json, "outcome"));
}

/* From one time of the report to another; the first of two that is there. */
static const struct {
        const char *name, *from, *to, *or_to;
} phases[] = {
        { "unnoticed", "last_good", "suspected", NULL },
        { "verdict", "suspected", "verdict", NULL },
        { "block", "blocked", "opened", "unblocked" },
        { "open", "started", "opened", NULL },
        { "address", "opened", "address", NULL },
        { "afterwards", "opened", "ended", NULL },
        { "run", "started", "ended", NULL },
};

static void add_phases(const Sample *sample)
{
        const Json *times = json_get(sample->json, "times");
        for (size_t i = 0; i < ARRAY_LENGTH(phases); i++) {
                int64_t from = json_get_int(times, phases[i].from, 0), to = json_get_int(times, phases[i].to, 0);
                if (to == 0 && phases[i].or_to)
                        to = json_get_int(times, phases[i].or_to, 0);
                if (from > 0 && to >= from)
                        print(sample, "", sample->metric->label, phases[i].name, seconds(to - from));
        }
}

static void add_ended(const Sample *sample)
{
        int64_t ended = json_get_int(sample->json, "ended", 0);
        if (ended > 0)
                add_value(sample, seconds(ended));
}

/* The process. */

static void add_build(const Sample *sample)
{
        print(sample, "", sample->metric->label, sample->process->version, 1);
}

static void add_loop_lag(const Sample *sample)
{
        add_histogram(sample, sample->process->lag);
}

static void add_cpu(const Sample *sample)
{
        add_value(sample, seconds((int64_t) sample->process->resources.cpu));
}

static void add_memory(const Sample *sample)
{
        add_value(sample, (double) sample->process->resources.memory);
}

static void add_open_fds(const Sample *sample)
{
        add_value(sample, sample->process->resources.open_fds);
}

static void add_max_fds(const Sample *sample)
{
        add_value(sample, sample->process->resources.max_fds);
}

static void add_started(const Sample *sample)
{
        add_value(sample, seconds((int64_t) sample->process->started));
}

/* clang-format off */
const Metric metrics_table[] = {
        { "mhad_server_up", METRIC_OF_SERVER, METRIC_GAUGE, NULL,
          "Whether the server answers (1) or not (0).", add_up },
        { "mhad_server_role", METRIC_OF_SERVER, METRIC_GAUGE, "role",
          "The server's role: 1 for the one that it has, 0 for all others.", add_role },
        { "mhad_server_taken_out", METRIC_OF_SERVER, METRIC_GAUGE, NULL,
          "Whether an operator, or failover.remove_dead_primary, has taken the server out: what is wrong with it is no alarm.", add_taken_out },
        { "mhad_server_replication_lag_seconds", METRIC_OF_SERVER, METRIC_GAUGE, NULL,
          "How far the replica is behind by its own word; absent when it does not say, or is no replica, or is down.", add_lag },
        { "mhad_server_last_good_ping_age_seconds", METRIC_OF_SERVER, METRIC_GAUGE, NULL,
          "How long ago the server answered last; absent when it never did since mhad began to watch it.", add_last_good },
        { "mhad_server_ping_duration_seconds", METRIC_OF_SERVER, METRIC_HISTOGRAM, NULL,
          "How long answers to pings took. Those that never came are not in it.", add_pings },
        { "mhad_server_late_ticks_total", METRIC_OF_SERVER, METRIC_COUNTER, NULL,
          "Pings that came more than half an interval late, or were left out because the last was not answered yet.", add_late_ticks },
        { "mhad_cluster_state", METRIC_OF_CLUSTER, METRIC_GAUGE, "state",
          "The cluster's state: 1 for the one that it is in, 0 for all others.", add_state },
        { "mhad_cluster_failover_ready", METRIC_OF_CLUSTER, METRIC_GAUGE, NULL,
          "Whether a failover would begin by itself, with a candidate, if the primary died now; mhactl check says why not.", add_ready },
        { "mhad_cluster_paused", METRIC_OF_CLUSTER, METRIC_GAUGE, NULL,
          "Whether an operator has switched automatic failover off.", add_paused },
        { "mhad_cluster_problems", METRIC_OF_CLUSTER, METRIC_GAUGE, NULL,
          "How many problems mhactl status lists.", add_problems },
        { "mhad_cluster_last_run_outcome", METRIC_OF_RUN, METRIC_GAUGE, "outcome",
          "The outcome of the last run that has a report: 1 for the one that it had, 0 for all others.", add_outcome },
        { "mhad_cluster_last_run_phase_seconds", METRIC_OF_RUN, METRIC_GAUGE, "phase",
          "How long the phases of the last run took, by the times of its report. unnoticed: from the last good ping to the suspicion; verdict: from there to the verdict; block: how long a switchover blocked writes; open: from the start of the run until the new primary was open; address: from there until the address was moved; afterwards: from the opening to the end; run: from start to end.", add_phases },
        { "mhad_cluster_last_run_end_timestamp_seconds", METRIC_OF_RUN, METRIC_GAUGE, NULL,
          "When the last run ended, in seconds since 1970.", add_ended },
        { "mhad_build_info", METRIC_OF_PROCESS, METRIC_GAUGE, "version",
          "The version of mhad; always 1.", add_build },
        { "mhad_loop_lag_seconds", METRIC_OF_PROCESS, METRIC_HISTOGRAM, NULL,
          "How late the event loop was, measured four times a second: late in seconds means that the machine or mhad is overloaded.", add_loop_lag },
        { "process_cpu_seconds_total", METRIC_OF_PROCESS, METRIC_COUNTER, NULL,
          "CPU time that mhad has used.", add_cpu },
        { "process_resident_memory_bytes", METRIC_OF_PROCESS, METRIC_GAUGE, NULL,
          "Memory that mhad takes.", add_memory },
        { "process_open_fds", METRIC_OF_PROCESS, METRIC_GAUGE, NULL,
          "File descriptors that mhad has open.", add_open_fds },
        { "process_max_fds", METRIC_OF_PROCESS, METRIC_GAUGE, NULL,
          "File descriptors that mhad may have open.", add_max_fds },
        { "process_start_time_seconds", METRIC_OF_PROCESS, METRIC_GAUGE, NULL,
          "When mhad was started, in seconds since 1970.", add_started },
};
/* clang-format on */
const size_t metrics_n = ARRAY_LENGTH(metrics_table);

struct Metrics {
        Text texts[ARRAY_LENGTH(metrics_table)]; /* the samples of each row */
};

Metrics *metrics_new(void)
{
        return ALLOC(Metrics);
}

Metrics *metrics_free(Metrics *metrics)
{
        for (size_t i = 0; metrics && i < metrics_n; i++)
                text_done(&metrics->texts[i]);
        free(metrics);
        return NULL;
}

static void add(Metrics *metrics, MetricScope scope, Sample sample)
{
        for (size_t i = 0; i < metrics_n; i++) {
                if (metrics_table[i].scope != scope)
                        continue;
                sample.out = &metrics->texts[i];
                sample.metric = &metrics_table[i];
                sample.metric->add(&sample);
        }
}

void metrics_add_process(Metrics *metrics, const MetricsProcess *process)
{
        add(metrics, METRIC_OF_PROCESS, (Sample){ .process = process });
}

void metrics_add_cluster(Metrics *metrics, const Json *status, const Histogram *const *pings, usec_t now)
{
        Sample sample = { .cluster = json_get_string(status, "cluster"), .json = status, .now = now };
        add(metrics, METRIC_OF_CLUSTER, sample);
        sample.json = json_get(status, "last_run");
        if (sample.json)
                add(metrics, METRIC_OF_RUN, sample);
        size_t i = 0;
        JSON_FOREACH(server, json_get(status, "servers"))
        {
                sample.server = json_get_string(server, "name");
                sample.json = server;
                sample.pings = pings[i++];
                add(metrics, METRIC_OF_SERVER, sample);
        }
}

char *metrics_print(const Metrics *metrics)
{
        Text out = { 0 };
        for (size_t i = 0; i < metrics_n; i++) {
                const Metric *metric = &metrics_table[i];
                const Text *text = &metrics->texts[i];
                if (text->length == 0)
                        continue;
                text_addf(&out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                          metric_type_to_string(metric->type));
                text_add_n(&out, text->data, text->length);
        }
        return text_take(&out);
}
