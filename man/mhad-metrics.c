/* Prints mhad-metrics(7) from the table of metrics, with the alerts in the file that is its argument. Run by the build, not
 * installed. */
#include <stdio.h>
#include <string.h>

#include "metrics.h"
#include "roff.h"

static const char head[] =
        ".TH MHAD\\-METRICS 7 \"\" \"mhad " MHAD_VERSION "\" \"mhad\"\n"
        ".SH NAME\n"
        "mhad\\-metrics \\- what mhad tells monitoring\n"
        ".SH DESCRIPTION\n"
        "\\fBmhactl metrics\\fR prints the figures of all clusters in Prometheus' text format. With "
        "\\fBmetrics.listen\\fR "
        "in\n"
        "\\fBmhad.yaml\\fR(5) the daemon also offers them by HTTP, below /metrics, to GET and HEAD. They are at most a "
        "second old.\n"
        ".PP\n"
        "Times are in seconds. Where a metric has one sample for each word of a list (a state, a role, an outcome), "
        "the one\n"
        "that holds is 1 and all others are 0. No label ever has the id of a run or anything else that grows: how many "
        "series\n"
        "there are depends on the configuration only. Counters and histograms begin at 0 when mhad is started, and "
        "those of a\n"
        "cluster also when its configuration has changed.\n"
        ".PP\n"
        "Nobody has to say who he is, and nothing is encrypted: that is why \\fBmetrics.listen\\fR takes only "
        "addresses of the\n"
        "host itself, unless \\fBmetrics.allow_remote\\fR says otherwise. When the address cannot be had, that is "
        "logged "
        "and the\n"
        "clusters are watched all the same; \\fBmhactl reload\\fR tries again.\n";

static const char example[] = ".SH EXAMPLES\n"
                              "In mhad.yaml:\n"
                              ".PP\n"
                              ".nf\n"
                              "metrics:\n"
                              "  listen: 127.0.0.1:9104\n"
                              ".fi\n"
                              ".PP\n"
                              "In prometheus.yml:\n"
                              ".PP\n"
                              ".nf\n"
                              "rule_files: [mhad.rules.yaml]\n"
                              "scrape_configs:\n"
                              "  \\- job_name: mhad\n"
                              "    static_configs:\n"
                              "      \\- targets: [\"127.0.0.1:9104\"]\n"
                              ".fi\n"
                              ".PP\n"
                              "Without a listener, for the textfile collector of node_exporter, each minute by cron:\n"
                              ".PP\n"
                              ".nf\n"
                              "cd /var/lib/prometheus/node\\-exporter && mhactl metrics | grep \\-v process_ > "
                              "mhad.tmp && mv mhad.tmp mhad.prom\n"
                              ".fi\n"
                              ".PP\n"
                              "Alerts, as in /usr/share/doc/mhad/examples/mhad.rules.yaml:\n"
                              ".PP\n"
                              ".nf\n";

static void print_metric(const Metric *metric)
{
        static const char *const labels[_METRIC_SCOPE_MAX] = { [METRIC_OF_SERVER] = "cluster, server",
                                                               [METRIC_OF_CLUSTER] = "cluster",
                                                               [METRIC_OF_RUN] = "cluster, procedure" };
        const char *of_scope = labels[metric->scope];
        fputs(".TP\n\\fB", stdout);
        print_escaped(metric->name);
        fputs("\\fR", stdout);
        if (of_scope || metric->label)
                printf("{%s%s%s}", of_scope ? of_scope : "", of_scope && metric->label ? ", " : "",
                       metric->label ? metric->label : "");
        printf(" (%s)\n", metric_type_to_string(metric->type));
        print_escaped(metric->help);
        putchar('\n');
}

static void print_scope(MetricScope scope, const char *title)
{
        printf(".SH %s\n", title);
        for (size_t i = 0; i < metrics_n; i++)
                if (metrics_table[i].scope == scope)
                        print_metric(&metrics_table[i]);
}

/* Without its comment. */
static int print_file(const char *path)
{
        FILE *file = fopen(path, "re");
        char line[1024];
        if (!file)
                return 1;
        while (fgets(line, sizeof line, file))
                if (line[0] != '#')
                        print_escaped(line);
        return fclose(file);
}

int main(int argc, char *argv[])
{
        fputs(head, stdout);
        print_scope(METRIC_OF_SERVER, "SERVERS");
        print_scope(METRIC_OF_CLUSTER, "CLUSTERS");
        print_scope(METRIC_OF_RUN, "THE LAST RUN OF A CLUSTER");
        print_scope(METRIC_OF_PROCESS, "THE DAEMON");
        fputs(example, stdout);
        if (argc != 2 || print_file(argv[1]) != 0)
                return 1;
        puts(".fi\n.SH SEE ALSO\n\\fBmhactl\\fR(1), \\fBmhad.yaml\\fR(5), \\fBmhad\\fR(8)");
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
