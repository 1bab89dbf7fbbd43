/* All clusters and what they share: resolver, configuration, the memory of events, the guards that look at more than one
 * cluster. Must never know what a cluster does. */
#include "registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "cluster.h"
#include "config.h"
#include "examination.h"
#include "history.h"
#include "log.h"
#include "savedlogs.h"
#include "scrape.h"
#include "text.h"
#include "worker.h"

#define EVENTS_KEPT 500
/* How late the loop may be before what it saw meanwhile is not trusted, and for how long it is not. */
#define HEARTBEAT (250 * USEC_MSEC)
#define STALL_LIMIT (2 * USEC_SEC)
#define STALL_CAUTION (5 * USEC_SEC)
/* How many connections to servers that nobody waits for are made at a time. */
#define CONNECTING_MOST 16

/* A cluster that is configured and cannot be watched (its journal is damaged, say): the others must not suffer for it. */
typedef struct Unusable {
        char *name;
        char *why;
} Unusable;

/* Somebody wants to know what the disk tells: which logs are saved, or what has been done. */
typedef struct Question Question;
struct Question {
        Question *next;
        Registry *registry;
        char *cluster, *run; /* NULL: all */
        SavedLogs *task;
        History *history;
        registry_later_fn done;
        void *userdata;
};

/* Somebody wants something checked that takes its time. */
typedef struct Check Check;
struct Check {
        Check *next;
        Registry *registry;
        Examination *examination;
        registry_later_fn done;
        void *userdata;
};

/* The files while they are being read. */
typedef struct Reading {
        char *path;
        Config *config;
        Json *errors, *warnings;
        int r;
} Reading;

/* Somebody who wants them to be read anew. */
typedef struct Reloader {
        registry_reload_fn done;
        void *userdata;
        unsigned round; /* the reading that was begun after the wish */
} Reloader;

typedef struct Subscriber {
        registry_event_fn fn;
        void *userdata;
} Subscriber;

struct Registry {
        Loop *loop;
        char *path;
        Config *config;
        Resolver *resolver;
        Gate *gate;
        Cluster **clusters;
        size_t n_clusters;
        Unusable *unusable;
        size_t n_unusable;
        loop_fn changed;
        void *changed_userdata;
        Timer *changed_timer;
        loop_fn reloaded;
        void *reloaded_userdata;
        Timer *heartbeat;
        usec_t beat_at, stalled_until;
        int64_t clock_offset; /* wall clock less monotonic */
        Histogram lag;        /* of the heartbeat */
        usec_t started_real;
        Scrape *scrape;
        Json *events[EVENTS_KEPT];
        size_t first_event, n_events;
        Question *questions;
        Check *checks;
        Loss *losses; /* of each cluster the last primary, unless it came back */
        size_t n_losses;
        Reading *reading;
        Worker *reader;
        unsigned round; /* of the reading that is under way, or of the last */
        Reloader *reloaders;
        size_t n_reloaders;
        Subscriber *subscribers;
        size_t n_subscribers;
};

static Json *event_json(Registry *registry, EventId id, const LogFields *fields, const char *message)
{
        Json *event = json_object();
        json_set_int(event, "time", (int64_t) loop_now_real(registry->loop));
        json_set_string(event, "event", event_to_string(id));
        json_set_string(event, "cluster", fields->cluster);
        json_set_string(event, "server", fields->server);
        json_set_string(event, "run", fields->run);
        json_set_string(event, "step", fields->step);
        json_set_int(event, "priority", event_priority(id));
        json_set_string(event, "text", message);
        return event;
}

static void on_log(EventId id, const LogFields *fields, const char *message, void *userdata)
{
        Registry *registry = userdata;
        Json *event = event_json(registry, id, fields, message);
        size_t at = (registry->first_event + registry->n_events) % EVENTS_KEPT;
        if (registry->n_events == EVENTS_KEPT) {
                json_free(registry->events[registry->first_event]);
                registry->first_event = (registry->first_event + 1) % EVENTS_KEPT;
        } else {
                registry->n_events++;
        }
        registry->events[at] = event;
        for (size_t i = 0; i < registry->n_subscribers; i++)
                registry->subscribers[i].fn(event, registry->subscribers[i].userdata);
}

static void tell_changed(void *userdata)
{
        Registry *registry = userdata;
        if (registry->changed)
                registry->changed(registry->changed_userdata);
}

static void on_changed(void *userdata)
{
        Registry *registry = userdata;
        timer_set_in(registry->changed_timer, 50 * USEC_MSEC);
}

static void free_loss(Loss *loss)
{
        free((char *) loss->host);
        free((char *) loss->name);
}

/* The same primary stays lost, also when its cluster is configured anew meanwhile; another one takes its place. */
static usec_t lose(const char *cluster, const char *primary, const char *host, void *userdata)
{
        Registry *registry = userdata;
        CLEANUP(mem_free) char *name = text_format("%s %s", cluster, primary);
        CLEANUP(mem_free) char *of_cluster = text_format("%s ", cluster);
        Loss *loss = NULL;
        for (size_t i = 0; i < registry->n_losses && !loss; i++) {
                if (text_equal(registry->losses[i].name, name))
                        return registry->losses[i].at;
                if (text_starts_with(registry->losses[i].name, of_cluster))
                        loss = &registry->losses[i];
        }
        if (!loss) {
                ALLOC_GROW(registry->losses, registry->n_losses);
                loss = &registry->losses[registry->n_losses++];
                *loss = (Loss){ 0 };
        }
        free_loss(loss);
        *loss = (Loss){ .at = loop_now(registry->loop), .host = alloc_string(host), .name = TAKE(name) };
        return loss->at;
}

static void find_again(const char *cluster, const char *primary, void *userdata)
{
        Registry *registry = userdata;
        CLEANUP(mem_free) char *name = text_format("%s %s", cluster, primary);
        for (size_t i = 0; i < registry->n_losses; i++) {
                if (!text_equal(registry->losses[i].name, name))
                        continue;
                free_loss(&registry->losses[i]);
                registry->losses[i] = registry->losses[--registry->n_losses];
                return;
        }
}

static size_t count_lost(usec_t at, char **ret_names, void *userdata)
{
        Registry *registry = userdata;
        return storm_count(registry->losses, registry->n_losses, at, ret_names);
}

static int compare_hosts(const void *a, const void *b)
{
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static size_t choose_storm_limit(void *userdata)
{
        Registry *registry = userdata;
        CLEANUP(mem_free) const char **hosts = ALLOC_ARRAY(const char *, registry->n_clusters);
        size_t n = 0, distinct = 0;
        for (size_t i = 0; i < registry->n_clusters; i++) {
                hosts[n] = cluster_primary_host(registry->clusters[i]);
                n += hosts[n] != NULL;
        }
        qsort(hosts, n, sizeof *hosts, compare_hosts);
        for (size_t i = 0; i < n; i++)
                distinct += i == 0 || strcmp(hosts[i - 1], hosts[i]) != 0;
        return storm_limit(distinct);
}

static bool is_stalled(void *userdata)
{
        Registry *registry = userdata;
        return loop_now(registry->loop) < registry->stalled_until;
}

static bool is_starting(void *userdata)
{
        Registry *registry = userdata;
        for (size_t i = 0; i < registry->n_clusters; i++)
                if (cluster_is_settling(registry->clusters[i]))
                        return true;
        return false;
}

/* At times that a timer keeps exactly. */
static usec_t next_beat(usec_t now)
{
        return (now / HEARTBEAT + 1) * HEARTBEAT;
}

static void on_heartbeat(void *userdata)
{
        Registry *registry = userdata;
        usec_t now = loop_now(registry->loop), late = usec_sub(now, registry->beat_at);
        int64_t offset = (int64_t) loop_now_real(registry->loop) - (int64_t) now,
                jump = offset - registry->clock_offset;
        registry->clock_offset = offset;
        histogram_add(&registry->lag, late);
        if (late > STALL_LIMIT) {
                registry->stalled_until = now + STALL_CAUTION;
                log_event(EVENT_STALL, NULL,
                          "this process stood still for %llu ms: what it saw meanwhile is not trusted for %llu s",
                          (unsigned long long) (late / USEC_MSEC), (unsigned long long) (STALL_CAUTION / USEC_SEC));
        } else if (jump > (int64_t) STALL_LIMIT || jump < -(int64_t) STALL_LIMIT) {
                log_event(EVENT_STALL, NULL, "the wall clock jumped by %lld ms: times in records are off by that",
                          (long long) (jump / 1000));
        }
        registry->beat_at = next_beat(now);
        timer_set(registry->heartbeat, registry->beat_at);
}

static ClusterContext context_of(Registry *registry)
{
        return (ClusterContext){
                .loop = registry->loop,
                .resolver = registry->resolver,
                .gate = registry->gate,
                .state_directory = registry->config->daemon.state_directory,
                .lose = lose,
                .find = find_again,
                .lost = count_lost,
                .storm_limit = choose_storm_limit,
                .stalled = is_stalled,
                .starting = is_starting,
                .changed = on_changed,
                .userdata = registry,
        };
}

static Failure invalid(size_t n)
{
        Failure failure;
        (void) failure_set(&failure, FAILURE_INVALID, 0, "the configuration has %zu error%s", n, n == 1 ? "" : "s");
        return failure;
}

static void warn(const Json *warnings)
{
        JSON_FOREACH(warning, warnings)
        {
                log_event(EVENT_WARNING, NULL, "%s", json_string(warning));
        }
}

static int load(const char *path, Config **ret, Json **ret_errors, Failure *reterr)
{
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(json_free) Json *warnings = json_array();
        int r = config_load(path, ret, errors, warnings);
        if (r < 0) {
                if (reterr)
                        *reterr = invalid(json_length(errors));
                *ret_errors = TAKE(errors);
                return r;
        }
        warn(warnings);
        return 0;
}

static void drop_reading(void *data)
{
        Reading *reading = data;
        config_free(reading->config);
        json_free(reading->errors);
        json_free(reading->warnings);
        free(reading->path);
        free(reading);
}

static int add_cluster(Registry *registry, const ClusterConfig *config, Failure *reterr)
{
        ClusterContext context = context_of(registry);
        Cluster *cluster = NULL;
        Failure failure = { 0 };
        int r = cluster_new(&context, config, &cluster, &failure);
        if (r >= 0) {
                ALLOC_GROW(registry->clusters, registry->n_clusters);
                registry->clusters[registry->n_clusters++] = cluster;
                return 0;
        }
        LogFields fields = { .cluster = config->name };
        log_event(EVENT_ERROR, &fields, "%s: it cannot be watched: %s; mend that and type: mhactl reload", config->name,
                  failure.text);
        ALLOC_GROW(registry->unusable, registry->n_unusable);
        registry->unusable[registry->n_unusable++] =
                (Unusable){ alloc_string(config->name), alloc_string(failure.text) };
        return failure_set(reterr, FAILURE_INVALID, 0, "cluster %s cannot be watched: %s", config->name, failure.text);
}

static void forget_unusable(Registry *registry)
{
        for (size_t i = 0; i < registry->n_unusable; i++) {
                free(registry->unusable[i].name);
                free(registry->unusable[i].why);
        }
        free(registry->unusable);
        registry->unusable = NULL;
        registry->n_unusable = 0;
}

static Json *unusable_status(const Unusable *unusable)
{
        Json *json = json_object(), *problem = json_object();
        json_set_string(json, "cluster", unusable->name);
        json_set_string(json, "state", "halted");
        json_set_string(json, "health", "halted");
        json_set(json, "servers", json_array());
        json_set_string(problem, "id", "unusable");
        json_set_string(problem, "text", unusable->why);
        json_set_bool(problem, "blocks", true);
        json_append(json_ensure_array(json, "problems"), problem);
        return json;
}

/* One that cannot be watched counts, too. */
static bool add_cluster_metrics(size_t i, Metrics *metrics, void *userdata)
{
        Registry *registry = userdata;
        if (i < registry->n_clusters) {
                cluster_metrics(registry->clusters[i], metrics);
                return true;
        }
        i -= registry->n_clusters;
        if (i >= registry->n_unusable)
                return false;
        CLEANUP(json_free) Json *status = unusable_status(&registry->unusable[i]);
        metrics_add_cluster(metrics, status, NULL, 0);
        return true;
}

static void add_process_metrics(Metrics *metrics, void *userdata)
{
        Registry *registry = userdata;
        const MetricsProcess process = {
                .version = api_version(),
                .resources = resources_read(),
                .started = registry->started_real,
                .lag = &registry->lag,
        };
        metrics_add_process(metrics, &process);
}

int registry_new(Loop *loop, const char *config_path, Registry **ret, Json **ret_errors, Failure *reterr)
{
        CLEANUP(registry_free) Registry *registry = ALLOC(Registry);
        registry->loop = loop;
        registry->path = alloc_string(config_path);
        registry->changed_timer = timer_new(loop, 10 * USEC_MSEC, tell_changed, registry);
        registry->heartbeat = timer_new(loop, 10 * USEC_MSEC, on_heartbeat, registry);
        registry->started_real = loop_now_real(loop);
        const ScrapeSource source = { add_cluster_metrics, add_process_metrics, registry };
        registry->scrape = scrape_new(loop, &source);
        log_set_tap(on_log, registry);
        int r = load(config_path, &registry->config, ret_errors, reterr);
        if (r < 0)
                return r;
        log_set_debug_from(registry->config->daemon.log_level == LOG_LEVEL_DEBUG);
        registry->resolver = resolver_new(loop, USEC_MINUTE);
        registry->gate = gate_new(loop, CONNECTING_MOST);
        for (size_t i = 0; i < registry->config->n_clusters; i++)
                (void) add_cluster(registry, &registry->config->clusters[i], NULL);
        registry->beat_at = next_beat(loop_now(loop));
        registry->clock_offset = (int64_t) loop_now_real(loop) - (int64_t) loop_now(loop);
        timer_set(registry->heartbeat, registry->beat_at);
        *ret = TAKE(registry);
        return 0;
}

static void forget_question(Question *question)
{
        Question **at = &question->registry->questions;
        while (*at != question)
                at = &(*at)->next;
        *at = question->next;
        savedlogs_abandon(question->task);
        history_abandon(question->history);
        free(question->cluster);
        free(question->run);
        free(question);
}

Registry *registry_free(Registry *registry)
{
        if (!registry)
                return NULL;
        log_set_tap(NULL, NULL);
        while (registry->questions)
                forget_question(registry->questions);
        for (size_t i = 0; i < registry->n_clusters; i++)
                cluster_free(registry->clusters[i]);
        free(registry->clusters);
        forget_unusable(registry);
        scrape_free(registry->scrape);
        timer_free(registry->changed_timer);
        timer_free(registry->heartbeat);
        gate_free(registry->gate);
        resolver_free(registry->resolver);
        config_free(registry->config);
        for (size_t i = 0; i < registry->n_events; i++)
                json_free(registry->events[(registry->first_event + i) % EVENTS_KEPT]);
        if (registry->reader)
                worker_release(registry->reader, drop_reading);
        else if (registry->reading)
                drop_reading(registry->reading);
        free(registry->reloaders);
        free(registry->subscribers);
        while (registry->n_losses)
                free_loss(&registry->losses[--registry->n_losses]);
        free(registry->losses);
        free(registry->path);
        free(registry);
        return NULL;
}

const char *registry_socket_path(const Registry *registry)
{
        return registry->config->daemon.socket;
}

const char *registry_socket_group(const Registry *registry)
{
        return registry->config->daemon.socket_group;
}

const char *registry_metrics_listen(const Registry *registry)
{
        return registry->config->metrics.listen;
}

static ssize_t find(const Registry *registry, const char *name)
{
        for (size_t i = 0; name && i < registry->n_clusters; i++)
                if (strcmp(cluster_name(registry->clusters[i]), name) == 0)
                        return (ssize_t) i;
        return -1;
}

static Cluster *detach(Registry *registry, size_t i)
{
        Cluster *cluster = registry->clusters[i];
        registry->n_clusters--;
        memmove(registry->clusters + i, registry->clusters + i + 1,
                (registry->n_clusters - i) * sizeof *registry->clusters);
        return cluster;
}

/* A cluster in the middle of a run keeps what it began with: a configuration that would change it is refused whole. */
static int check_busy(const Registry *registry, const Config *config, Failure *reterr)
{
        for (size_t i = 0; i < registry->n_clusters; i++) {
                const Cluster *cluster = registry->clusters[i];
                const ClusterConfig *wanted = config_find_cluster(config, cluster_name(cluster));
                if (cluster_may_be_replaced(cluster) ||
                    (wanted && cluster_config_equal(wanted, cluster_config(cluster))))
                        continue;
                return failure_set(
                        reterr, FAILURE_INVALID, 0,
                        "cluster %s has a run under way and its configuration changed: reload when it has ended",
                        cluster_name(cluster));
        }
        return 0;
}

/* A key that is of no use would end the watching of a cluster. One that is not watched has nothing to lose. */
static int check_keys(const Registry *registry, const Config *config, Json *errors, Failure *reterr)
{
        for (size_t i = 0; i < config->n_clusters; i++) {
                const ClusterConfig *wanted = &config->clusters[i];
                ssize_t at = find(registry, wanted->name);
                bool unusable = at < 0 && config_find_cluster(registry->config, wanted->name);
                if (!unusable && (at < 0 || !cluster_config_equal(wanted, cluster_config(registry->clusters[at]))))
                        cluster_check_key(wanted, errors);
        }
        if (json_length(errors) == 0)
                return 0;
        *reterr = invalid(json_length(errors));
        return -EINVAL;
}

static void reject(const Json *errors, const Failure *failure)
{
        JSON_FOREACH(error, errors)
        {
                log_event(EVENT_CONFIG_REJECTED, NULL, "%s", json_string(error));
        }
        log_event(EVENT_CONFIG_REJECTED, NULL, "the new configuration is not used, what was running stays in force: %s",
                  failure->text);
}

static int take_over(Registry *registry, Reading *reading, Failure *reterr)
{
        CLEANUP(config_free) Config *config = TAKE(reading->config);
        int r = reading->r;
        if (r < 0)
                *reterr = invalid(json_length(reading->errors));
        else
                r = check_busy(registry, config, reterr);
        if (r >= 0)
                r = check_keys(registry, config, reading->errors, reterr);
        if (r < 0) {
                reject(reading->errors, reterr);
                return r;
        }
        warn(reading->warnings);
        CLEANUP(json_free) Json *diff = config_diff(registry->config, config);
        forget_unusable(registry);
        for (size_t i = registry->n_clusters; i-- > 0;) {
                const ClusterConfig *wanted = config_find_cluster(config, cluster_name(registry->clusters[i]));
                if (wanted && cluster_config_equal(wanted, cluster_config(registry->clusters[i])))
                        continue;
                for (Check *check = registry->checks; check; check = check->next)
                        examination_lose(check->examination, registry->clusters[i]);
                cluster_free(detach(registry, i));
        }
        for (size_t i = 0; i < config->n_clusters; i++)
                if (find(registry, config->clusters[i].name) < 0 &&
                    add_cluster(registry, &config->clusters[i], reterr) < 0)
                        r = -EINVAL;
        /* What only a restart changes stays as it was: the paths that are in use. */
        Config *old = registry->config;
        char *directory = old->daemon.state_directory, *socket = old->daemon.socket;
        old->daemon.state_directory = config->daemon.state_directory;
        old->daemon.socket = config->daemon.socket;
        config->daemon.state_directory = directory;
        config->daemon.socket = socket;
        registry->config = TAKE(config);
        config_free(old);
        log_set_debug_from(registry->config->daemon.log_level == LOG_LEVEL_DEBUG);
        CLEANUP(mem_free) char *text = json_print(diff);
        log_event(EVENT_CONFIG_RELOADED, NULL, "the configuration was read again: %s",
                  config_diff_is_empty(diff) ? "nothing changed" : text);
        on_changed(registry);
        scrape_restart(registry->scrape);
        if (registry->reloaded)
                registry->reloaded(registry->reloaded_userdata);
        return r;
}

static void read_files(void *data)
{
        Reading *reading = data;
        reading->r = config_load(reading->path, &reading->config, reading->errors, reading->warnings);
}

static void start_reading(Registry *registry);

/* One at a time: what it does may bring another wish, or take one back. */
static bool next_reloader(Registry *registry, unsigned round, Reloader *ret)
{
        for (size_t i = 0; i < registry->n_reloaders; i++)
                if (registry->reloaders[i].round <= round) {
                        *ret = registry->reloaders[i];
                        registry->reloaders[i] = registry->reloaders[--registry->n_reloaders];
                        return true;
                }
        return false;
}

static void on_read(void *userdata)
{
        Registry *registry = userdata;
        Reading *reading = TAKE(registry->reading);
        registry->reader = worker_release(registry->reader, NULL);
        unsigned round = registry->round;
        Failure failure = { 0 };
        int r = take_over(registry, reading, &failure);
        Reloader reloader;
        while (next_reloader(registry, round, &reloader))
                if (reloader.done)
                        reloader.done(reading->errors, r < 0 ? &failure : NULL, reloader.userdata);
        drop_reading(reading);
        if (registry->n_reloaders > 0 && !registry->reading)
                start_reading(registry);
}

static void start_reading(Registry *registry)
{
        Reading *reading = ALLOC(Reading);
        *reading = (Reading){ .path = alloc_string(registry->path), .errors = json_array(), .warnings = json_array() };
        registry->round++;
        registry->reading = reading;
        registry->reader = worker_start(registry->loop, read_files, reading, on_read, registry);
        if (registry->reader)
                return;
        read_files(reading); /* no thread can be had: better late than never */
        (void) loop_defer(registry->loop, on_read, registry);
}

void registry_reload(Registry *registry, registry_reload_fn done, void *userdata)
{
        bool later = registry->reading; /* it may have read already what has changed since */
        if (!later)
                start_reading(registry);
        ALLOC_GROW(registry->reloaders, registry->n_reloaders);
        registry->reloaders[registry->n_reloaders++] = (Reloader){ done, userdata, registry->round + later };
}

char *registry_summary(const Registry *registry)
{
        size_t counts[_CLUSTER_STATE_MAX] = { 0 };
        for (size_t i = 0; i < registry->n_clusters; i++)
                counts[cluster_state(registry->clusters[i])]++;
        static const char *const words[_CLUSTER_STATE_MAX] = {
                [CLUSTER_STARTING] = "starting", [CLUSTER_STEADY] = "healthy",       [CLUSTER_SUSPECT] = "suspect",
                [CLUSTER_HELD] = "held",         [CLUSTER_RUNNING] = "failing over", [CLUSTER_HALTED] = "halted",
        };
        Text out = { 0 };
        size_t n = registry->n_clusters + registry->n_unusable;
        text_addf(&out, "%zu cluster%s", n, n == 1 ? "" : "s");
        const char *separator = ": ";
        for (int state = 0; state < _CLUSTER_STATE_MAX; state++)
                if (counts[state]) {
                        text_addf(&out, "%s%zu %s", separator, counts[state], words[state]);
                        separator = ", ";
                }
        if (registry->n_unusable)
                text_addf(&out, "%s%zu unusable", separator, registry->n_unusable);
        return text_take(&out);
}

void registry_on_change(Registry *registry, loop_fn changed, void *userdata)
{
        registry->changed = changed;
        registry->changed_userdata = userdata;
}

void registry_on_reload(Registry *registry, loop_fn reloaded, void *userdata)
{
        registry->reloaded = reloaded;
        registry->reloaded_userdata = userdata;
}

static int get(const Registry *registry, const char *name, Cluster **ret, Failure *reterr)
{
        ssize_t i = find(registry, name);
        if (i >= 0) {
                *ret = registry->clusters[i];
                return 0;
        }
        if (!name && registry->n_clusters == 1) {
                *ret = registry->clusters[0];
                return 0;
        }
        for (size_t k = 0; name && k < registry->n_unusable; k++)
                if (strcmp(registry->unusable[k].name, name) == 0)
                        return failure_set(reterr, FAILURE_INVALID, 0,
                                           "%s cannot be watched: %s; mend that and type: mhactl reload", name,
                                           registry->unusable[k].why);
        Text known = { 0 };
        for (size_t k = 0; k < registry->n_clusters; k++) {
                text_separate(&known, ", ");
                text_add(&known, cluster_name(registry->clusters[k]));
        }
        int r = failure_set(reterr, FAILURE_INVALID, ENOENT, "%s%s%s: the clusters are: %s",
                            name ? "there is no cluster \"" : "name a cluster", name ? name : "", name ? "\"" : "",
                            known.data ? known.data : "none");
        text_done(&known);
        return r;
}

typedef Json *(*answer_fn)(Cluster *cluster);

/* The lists that each cluster gives under member, in one; all clusters when none is named. */
static int gather(Registry *registry, const char *name, const char *member, answer_fn answer, Json **ret,
                  Failure *reterr)
{
        Cluster *only = NULL;
        if (name) {
                int r = get(registry, name, &only, reterr);
                if (r < 0)
                        return r;
        }
        Json *result = json_object(), *list = json_ensure_array(result, member);
        bool ready = true;
        for (size_t i = 0; i < registry->n_clusters; i++) {
                if (only && registry->clusters[i] != only)
                        continue;
                CLEANUP(json_free) Json *one = answer(registry->clusters[i]);
                ready = ready && json_get_bool(one, "ready", true);
                JSON_FOREACH(entry, json_get(one, member))
                {
                        json_append(list, json_copy(entry));
                }
        }
        if (answer == cluster_check)
                json_set_bool(result, "ready", ready);
        *ret = result;
        return 0;
}

static Json *status_list(Cluster *cluster)
{
        Json *result = json_object();
        json_append(json_ensure_array(result, "clusters"), cluster_status(cluster));
        return result;
}

int registry_status(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        for (size_t i = 0; cluster && i < registry->n_unusable; i++)
                if (strcmp(registry->unusable[i].name, cluster) == 0) {
                        *ret = json_object();
                        json_append(json_ensure_array(*ret, "clusters"), unusable_status(&registry->unusable[i]));
                        return 0;
                }
        int r = gather(registry, cluster, "clusters", status_list, ret, reterr);
        for (size_t i = 0; r >= 0 && !cluster && i < registry->n_unusable; i++)
                json_append(json_get_mutable(*ret, "clusters"), unusable_status(&registry->unusable[i]));
        return r;
}

static Json *unusable_checks(const Registry *registry)
{
        Json *checks = json_array();
        for (size_t i = 0; i < registry->n_unusable; i++) {
                CLEANUP(json_free) Json *one = json_array();
                check_add(one, CHECK_UNUSABLE, NULL, "%s", registry->unusable[i].why);
                Json *check = json_copy(json_at(one, 0));
                json_set_string(check, "cluster", registry->unusable[i].name);
                json_append(checks, check);
        }
        return checks;
}

int registry_check(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        int r = gather(registry, cluster, "checks", cluster_check, ret, reterr);
        CLEANUP(json_free) Json *unusable = unusable_checks(registry);
        JSON_FOREACH(check, r >= 0 && !cluster ? unusable : NULL)
        {
                json_append(json_get_mutable(*ret, "checks"), json_copy(check));
                json_set_bool(*ret, "ready", false);
        }
        return r;
}

int registry_plan(Registry *registry, const char *cluster, const char *procedure, const Json *options,
                  registry_later_fn done, void *userdata, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_plan(one, procedure, options, done, userdata, reterr);
}

/* Of a copy under way the disk knows less than the cluster. */
static void add_progress(const Question *question, const Cluster *cluster, Json *answer)
{
        const Json *state = cluster_fetch_state(cluster);
        const char *run = json_get_string(state, "run"), *failure = json_get_string(state, "failure");
        if (!run || (question->run && !text_equal(question->run, run)))
                return;
        CLEANUP(json_free) Json *before = json_copy(json_get(answer, "rescues"));
        Json *after = json_array();
        bool there = false;
        JSON_FOREACH(entry, before)
        {
                Json *json = json_copy(entry);
                if (text_equal(json_get_string(json, "run"), run) &&
                    text_equal(json_get_string(json, "cluster"), cluster_name(cluster))) {
                        there = true;
                        json_set(json, "progress", json_copy(state));
                }
                json_append(after, json);
        }
        /* Nothing of it is on the disk yet, or nothing ever will be. */
        if (!there && (question->run || !failure)) {
                Json *json = json_object();
                json_set_string(json, "cluster", cluster_name(cluster));
                json_set_string(json, "run", run);
                json_set_string(json, "state", failure ? "failed" : "partial");
                json_set(json, "progress", json_copy(state));
                json_append(after, json);
        }
        json_set(answer, "rescues", after);
}

static void on_listed(Json *answer, void *userdata)
{
        Question *question = userdata;
        Registry *registry = question->registry;
        registry_later_fn done_fn = question->done;
        void *whom = question->userdata;
        question->task = NULL;
        for (size_t i = 0; i < registry->n_clusters; i++)
                if (!question->cluster || text_equal(question->cluster, cluster_name(registry->clusters[i])))
                        add_progress(question, registry->clusters[i], answer);
        (void) json_ensure_array(answer, "rescues");
        forget_question(question);
        done_fn(answer, whom);
}

int registry_rescues(Registry *registry, const char *cluster, const char *run, registry_later_fn done, void *userdata,
                     Failure *reterr)
{
        Cluster *only = NULL;
        int r = cluster ? get(registry, cluster, &only, reterr) : 0;
        if (r < 0)
                return r;
        Question *question = ALLOC(Question);
        *question = (Question){ .next = registry->questions,
                                .registry = registry,
                                .cluster = alloc_string(cluster),
                                .run = alloc_string(run),
                                .done = done,
                                .userdata = userdata };
        registry->questions = question;
        SavedLogsPlace *places = ALLOC_ARRAY(SavedLogsPlace, registry->n_clusters + 1);
        size_t n = 0;
        for (size_t i = 0; i < registry->n_clusters; i++)
                if (!only || registry->clusters[i] == only)
                        places[n++] = (SavedLogsPlace){ cluster_name(registry->clusters[i]),
                                                        cluster_directory(registry->clusters[i]) };
        question->task = savedlogs_list(registry->loop, places, n, run, on_listed, question);
        free(places);
        return 0;
}

static void on_history(Json *answer, void *userdata)
{
        Question *question = userdata;
        registry_later_fn done_fn = question->done;
        void *whom = question->userdata;
        question->history = NULL;
        forget_question(question);
        done_fn(answer, whom);
}

int registry_history(Registry *registry, const char *cluster, registry_later_fn done, void *userdata, Failure *reterr)
{
        Cluster *only = NULL;
        int r = cluster ? get(registry, cluster, &only, reterr) : 0;
        if (r < 0)
                return r;
        Question *question = ALLOC(Question);
        *question = (Question){ .next = registry->questions, .registry = registry, .done = done, .userdata = userdata };
        registry->questions = question;
        CLEANUP(mem_free) HistoryPlace *places = ALLOC_ARRAY(HistoryPlace, registry->n_clusters + 1);
        size_t n = 0;
        for (size_t i = 0; i < registry->n_clusters; i++)
                if (!only || registry->clusters[i] == only)
                        places[n++] = (HistoryPlace){ cluster_name(registry->clusters[i]),
                                                      cluster_directory(registry->clusters[i]) };
        question->history = history_read(registry->loop, places, n, on_history, question);
        return 0;
}

static void forget_check(Check *check)
{
        Registry *registry = check->registry;
        Check **at = &registry->checks;
        while (*at != check)
                at = &(*at)->next;
        *at = check->next;
        examination_free(check->examination);
        free(check);
}

static void on_examined(Examination *examination, Json *answer, void *userdata)
{
        Check *check = userdata;
        registry_later_fn done_fn = check->done;
        void *whom = check->userdata;
        forget_check(check);
        done_fn(answer, whom);
}

static int parse_kind(const char *what, bool mesh, CheckKind *ret, Failure *reterr)
{
        *ret = check_kind_from_string(what);
        if ((int) *ret < 0)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "there is no check \"%s\": only ready, ssh, replication, failover and config", what);
        if (mesh && *ret != CHECK_KIND_SSH)
                return failure_set(reterr, FAILURE_INVALID, 0, "mesh goes with the check of ssh only");
        return 0;
}

int registry_examine(Registry *registry, const char *cluster, const char *what, bool mesh, registry_later_fn done,
                     void *userdata, Failure *reterr)
{
        Cluster *only = NULL;
        CheckKind kind;
        int r = parse_kind(what, mesh, &kind, reterr);
        if (r >= 0 && cluster)
                r = get(registry, cluster, &only, reterr);
        if (r < 0)
                return r;
        Check *check = ALLOC(Check);
        *check = (Check){ .next = registry->checks, .registry = registry, .done = done, .userdata = userdata };
        registry->checks = check;
        if (kind == CHECK_KIND_CONFIG)
                check->examination = examination_of_config(registry->loop, registry->path, on_examined, check);
        else
                check->examination = examination_of_clusters(
                        registry->loop, only ? &only : registry->clusters, only ? 1 : registry->n_clusters, kind, mesh,
                        only ? json_array() : unusable_checks(registry), on_examined, check);
        return 0;
}

void registry_metrics(Registry *registry, registry_later_fn done, void *userdata)
{
        scrape_ask(registry->scrape, done, userdata);
}

void registry_forget(Registry *registry, void *userdata)
{
        scrape_forget(registry->scrape, userdata);
        for (Check *check = registry->checks, *next; check; check = next) {
                next = check->next;
                if (check->userdata == userdata)
                        forget_check(check);
        }
        for (Question *question = registry->questions, *next; question; question = next) {
                next = question->next;
                if (question->userdata == userdata)
                        forget_question(question);
        }
        for (size_t i = registry->n_reloaders; i-- > 0;)
                if (registry->reloaders[i].userdata == userdata)
                        registry->reloaders[i] = registry->reloaders[--registry->n_reloaders];
        for (size_t i = 0; i < registry->n_clusters; i++)
                cluster_plan_forget(registry->clusters[i], userdata);
}

int registry_report(Registry *registry, const char *cluster, const char *run, Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_report(one, run, ret, reterr);
}

int registry_events(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = cluster ? get(registry, cluster, &one, reterr) : 0;
        if (r < 0)
                return r;
        Json *result = json_object(), *list = json_ensure_array(result, "events");
        for (size_t i = 0; i < registry->n_events; i++) {
                const Json *event = registry->events[(registry->first_event + i) % EVENTS_KEPT];
                if (!cluster || text_equal(json_get_string(event, "cluster"), cluster))
                        json_append(list, json_copy(event));
        }
        *ret = result;
        return 0;
}

void registry_subscribe(Registry *registry, registry_event_fn fn, void *userdata)
{
        ALLOC_GROW(registry->subscribers, registry->n_subscribers);
        registry->subscribers[registry->n_subscribers++] = (Subscriber){ fn, userdata };
}

void registry_unsubscribe(Registry *registry, void *userdata)
{
        for (size_t i = 0; i < registry->n_subscribers; i++)
                if (registry->subscribers[i].userdata == userdata) {
                        registry->subscribers[i] = registry->subscribers[--registry->n_subscribers];
                        return;
                }
}

static int done(int r, Json **ret)
{
        if (r >= 0)
                *ret = json_object();
        return r;
}

int registry_failover(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                      Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_failover(one, options, asker->who, ret, reterr);
}

int registry_switch(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                    Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_switch(one, options, asker->who, ret, reterr);
}

int registry_purge(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                   Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_purge(one, server, asker->who, ret, reterr);
}

int registry_rejoin(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                    Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_rejoin(one, server, asker->who, ret, reterr);
}

int registry_rescue_fetch(Registry *registry, const char *cluster, const char *server, const Json *options,
                          const Asker *asker, Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : cluster_rescue_fetch(one, server, options, asker->who, ret, reterr);
}

int registry_pause(Registry *registry, const char *cluster, const char *reason, usec_t for_how_long, const Asker *asker,
                   Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : done(cluster_pause(one, reason, for_how_long, asker->who, reterr), ret);
}

int registry_resume(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : done(cluster_resume(one, asker->who, reterr), ret);
}

int registry_acknowledge(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : done(cluster_acknowledge(one, asker->who, reterr), ret);
}

static int get_of_server(const Registry *registry, const char *name, const char *server, Cluster **ret, Failure *reterr)
{
        Text names = { 0 };
        size_t n = 0;
        if (name)
                return get(registry, name, ret, reterr);
        for (size_t i = 0; i < registry->n_clusters; i++) {
                if (!cluster_config_find_server(cluster_config(registry->clusters[i]), server))
                        continue;
                *ret = registry->clusters[i];
                text_separate(&names, ", ");
                text_add(&names, cluster_name(registry->clusters[i]));
                n++;
        }
        CLEANUP(mem_free) char *list = text_take(&names);
        if (n == 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "no cluster has a server \"%s\"", server);
        return n == 1 ? 0
                      : failure_set(reterr, FAILURE_INVALID, 0, "%s have a server \"%s\": name the cluster, too", list,
                                    server);
}

int registry_server_down(Registry *registry, const char *cluster, const char *server, const char *reason,
                         usec_t for_how_long, const Asker *asker, Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get_of_server(registry, cluster, server, &one, reterr);
        return r < 0 ? r : done(cluster_server_down(one, server, reason, for_how_long, asker->who, reterr), ret);
}

int registry_server_up(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                       Failure *reterr)
{
        Cluster *one = NULL;
        int r = get_of_server(registry, cluster, server, &one, reterr);
        return r < 0 ? r : done(cluster_server_up(one, server, asker->who, reterr), ret);
}

int registry_run(Registry *registry, const char *cluster, const char *what, const Json *options, const Asker *asker,
                 Json **ret, Failure *reterr)
{
        Cluster *one = NULL;
        int r = get(registry, cluster, &one, reterr);
        return r < 0 ? r : done(cluster_run(one, what, options, asker->who, reterr), ret);
}
