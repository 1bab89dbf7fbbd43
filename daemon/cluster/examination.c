/* What several clusters answer to one question, or a process of our own that reads the configuration. Owns the answer while
 * it grows; must never judge. */
#include "examination.h"

#include <string.h>
#include <unistd.h>

#include "hook.h"
#include "text.h"

/* Both shorter than SESSION_ANSWER_PATIENCE. */
#define CONFIG_TIMEOUT (15 * USEC_SEC)
#define CLUSTERS_TIMEOUT (17 * USEC_SEC)
/* How many are asked at a time: each means a session to every server. */
#define CLUSTERS_MOST 8

typedef struct Item {
        Examination *examination;
        Cluster *cluster;
        enum { ITEM_WAITING, ITEM_ASKED, ITEM_ENDED } state;
} Item;

struct Examination {
        CheckKind kind;
        bool mesh;
        Json *checks;
        Item *items;
        size_t n_items;
        Hook *hook;
        Timer *timer; /* the end of patience, or soon when all is said */
        examination_fn done;
        void *userdata;
};

static void add_unanswered(Item *item, const char *why)
{
        CLEANUP(json_free) Json *one = json_array();
        check_add(one, CHECK_UNANSWERED, NULL, "%s", why);
        Json *check = json_copy(json_at(one, 0));
        json_set_string(check, "cluster", cluster_name(item->cluster));
        json_append(item->examination->checks, check);
}

static void give_up(Item *item, const char *why)
{
        if (item->state == ITEM_ENDED)
                return;
        if (item->state == ITEM_ASKED)
                cluster_examine_forget(item->cluster, item);
        item->state = ITEM_ENDED;
        add_unanswered(item, why);
}

static void end(void *userdata)
{
        Examination *examination = userdata;
        Json *answer = json_object();
        for (size_t i = 0; i < examination->n_items; i++)
                give_up(&examination->items[i], "it could not be checked in time: check it alone");
        json_set_string(answer, "what", check_kind_to_string(examination->kind));
        json_set_bool(answer, "ready", !check_has(examination->checks, NULL, CHECK_LEVEL_ERROR));
        json_set(answer, "checks", TAKE(examination->checks));
        examination->done(examination, answer, examination->userdata);
}

static void on_results(Json *results, void *userdata);

/* As many as may be asked at a time; the end when there is none left. */
static void go_on(Examination *examination)
{
        size_t n_asked = 0, n_left = 0;
        for (size_t i = 0; i < examination->n_items; i++)
                n_asked += examination->items[i].state == ITEM_ASKED;
        for (size_t i = 0; i < examination->n_items; i++) {
                Item *item = &examination->items[i];
                if (item->state == ITEM_WAITING && n_asked < CLUSTERS_MOST) {
                        item->state = ITEM_ASKED;
                        n_asked++;
                        cluster_examine(item->cluster, examination->kind, examination->mesh, on_results, item);
                }
                n_left += item->state != ITEM_ENDED;
        }
        if (n_left == 0)
                timer_set_in(examination->timer, 0);
}

static void on_results(Json *results, void *userdata)
{
        Item *item = userdata;
        item->state = ITEM_ENDED;
        JSON_FOREACH(result, results)
        {
                json_append(item->examination->checks, json_copy(result));
        }
        json_free(results);
        go_on(item->examination);
}

static Examination *make(Loop *loop, CheckKind kind, Json *checks, examination_fn done, void *userdata)
{
        Examination *examination = ALLOC(Examination);
        *examination = (Examination){ .kind = kind, .checks = checks, .done = done, .userdata = userdata };
        examination->timer = timer_new(loop, USEC_MSEC, end, examination);
        return examination;
}

Examination *examination_of_clusters(Loop *loop, Cluster *const *clusters, size_t n, CheckKind kind, bool mesh,
                                     Json *checks, examination_fn done, void *userdata)
{
        Examination *examination = make(loop, kind, checks, done, userdata);
        examination->mesh = mesh;
        examination->n_items = n;
        examination->items = ALLOC_ARRAY(Item, n + 1);
        for (size_t i = 0; i < n; i++)
                examination->items[i] = (Item){ .examination = examination, .cluster = clusters[i] };
        timer_set_in(examination->timer, CLUSTERS_TIMEOUT);
        go_on(examination);
        return examination;
}

void examination_lose(Examination *examination, const Cluster *cluster)
{
        for (size_t i = 0; i < examination->n_items; i++)
                if (examination->items[i].cluster == cluster)
                        give_up(&examination->items[i], "it was configured anew meanwhile: check it again");
        if (examination->n_items > 0)
                go_on(examination);
}

static void add_lines(Json *checks, const char *text)
{
        static const char warned[] = " (warning)";
        for (const char *line = text; line && *line;) {
                size_t length = strcspn(line, "\n");
                CLEANUP(mem_free) char *one = alloc_string_n(line, length);
                size_t tail = strlen(warned);
                bool warning = length > tail && strcmp(one + length - tail, warned) == 0;
                if (warning)
                        one[length - tail] = '\0';
                if (length > 0)
                        check_add(checks, warning ? CHECK_CONFIG_WARNING : CHECK_CONFIG_ERROR, NULL, "%s", one);
                line += length + (line[length] == '\n');
        }
}

static void on_read(const HookResult *result, void *userdata)
{
        Examination *examination = userdata;
        examination->hook = NULL;
        add_lines(examination->checks, result->err);
        bool told = check_has(examination->checks, NULL, CHECK_LEVEL_ERROR);
        if (result->failure.kind == FAILURE_NONE)
                check_add(examination->checks, CHECK_CONFIG, NULL, "%.*s",
                          (int) strcspn(result->out ? result->out : "", "\n"), result->out ? result->out : "");
        else if (!told)
                check_add(examination->checks, CHECK_CONFIG_ERROR, NULL, "%s", result->failure.text);
        timer_set_in(examination->timer, 0);
}

/* As this process has it, credentials and all, but for what systemd means for this process alone. */
static const char **make_environment(void)
{
        static const char *const ours[] = { "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_" };
        size_t n = 0, kept = 0;
        while (environ[n])
                n++;
        const char **environment = ALLOC_ARRAY(const char *, n + 1);
        for (size_t i = 0; i < n; i++) {
                bool passed = true;
                for (size_t k = 0; k < ARRAY_LENGTH(ours); k++)
                        passed = passed && !text_starts_with(environ[i], ours[k]);
                if (passed)
                        environment[kept++] = environ[i];
        }
        return environment;
}

Examination *examination_of_config(Loop *loop, const char *path, examination_fn done, void *userdata)
{
        const char *const arguments[] = { "/proc/self/exe", "--check-config", "--config", path, NULL };
        Examination *examination = make(loop, CHECK_KIND_CONFIG, json_array(), done, userdata);
        CLEANUP(mem_free) const char **environment = make_environment();
        examination->hook = hook_run(loop, "mhad --check-config", arguments, NULL, environment,
                                     usec_add(loop_now(loop), CONFIG_TIMEOUT), on_read, examination);
        return examination;
}

Examination *examination_free(Examination *examination)
{
        if (!examination)
                return NULL;
        for (size_t i = 0; i < examination->n_items; i++)
                if (examination->items[i].state == ITEM_ASKED)
                        cluster_examine_forget(examination->items[i].cluster, &examination->items[i]);
        hook_abandon(examination->hook);
        timer_free(examination->timer);
        json_free(examination->checks);
        free(examination->items);
        free(examination);
        return NULL;
}
