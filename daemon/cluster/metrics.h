/* What monitoring is told, in Prometheus' text format: one table of metrics, and their text out of what status says. Pure.
 * Labels are names of clusters and servers and words of closed lists, so that the number of series is bounded by the
 * configuration. */
#pragma once

#include "histogram.h"
#include "json.h"
#include "resources.h"

typedef enum MetricType {
        METRIC_GAUGE,
        METRIC_COUNTER,
        METRIC_HISTOGRAM,
        _METRIC_TYPE_MAX,
} MetricType;

/* What a sample is of, which gives its first labels. */
typedef enum MetricScope {
        METRIC_OF_SERVER,  /* cluster, server */
        METRIC_OF_CLUSTER, /* cluster */
        METRIC_OF_RUN,     /* cluster, procedure */
        METRIC_OF_PROCESS, /* none */
        _METRIC_SCOPE_MAX,
} MetricScope;

typedef struct Sample Sample;

typedef struct Metric {
        const char *name;
        MetricScope scope;
        MetricType type;
        const char *label; /* a further one; NULL: none */
        const char *help;
        void (*add)(const Sample *sample);
} Metric;

extern const Metric metrics_table[];
extern const size_t metrics_n;

const char *metric_type_to_string(MetricType type);

typedef struct MetricsProcess {
        const char *version;
        Resources resources;
        usec_t started;       /* wall clock */
        const Histogram *lag; /* of the loop */
} MetricsProcess;

/* The text while it is put together. */
typedef struct Metrics Metrics;

Metrics *metrics_new(void);
Metrics *metrics_free(Metrics *metrics);
DEFINE_CLEANUP(Metrics *, metrics_free)
void metrics_add_process(Metrics *metrics, const MetricsProcess *process);
/* status is a member of "clusters" of the control API, pings has one a member of its "servers"; now is the wall clock. */
void metrics_add_cluster(Metrics *metrics, const Json *status, const Histogram *const *pings, usec_t now);
/* The whole; the caller frees it. */
char *metrics_print(const Metrics *metrics);
