/* What several clusters answer to one question, or a process of our own that reads the configuration. Owns the answer while
 * it grows; must never judge. */
#include "examination.h"

#include <string.h>

#include "hook.h"
#include "text.h"

/* Shorter than SESSION_ANSWER_PATIENCE. */
#define CONFIG_TIMEOUT (15 * USEC_SEC)

struct Examination {
        const char *what;
        Json *checks;
        size_t n_left;
        Hook *hook;
        Timer *timer;
        examination_fn done;
        void *userdata;
};

static Examination *make(CheckKind kind, Json *checks, examination_fn done, void *userdata)
{
        Examination *examination = ALLOC(Examination);
        *examination = (Examination){
                .what = check_kind_to_string(kind), .checks = checks, .done = done, .userdata = userdata
        };
        return examination;
}

static void end(void *userdata)
{
        Examination *examination = userdata;
        Json *answer = json_object();
        examination->timer = NULL;
        json_set_string(answer, "what", examination->what);
        json_set_bool(answer, "ready", !check_has(examination->checks, NULL, CHECK_LEVEL_ERROR));
        json_set(answer, "checks", TAKE(examination->checks));
        examination->done(examination, answer, examination->userdata);
}

static void on_results(Json *results, void *userdata)
{
        Examination *examination = userdata;
        JSON_FOREACH(result, results)
        {
                json_append(examination->checks, json_copy(result));
        }
        json_free(results);
        if (--examination->n_left == 0)
                end(examination);
}

Examination *examination_of_clusters(Loop *loop, Cluster *const *clusters, size_t n, CheckKind kind, bool mesh,
                                     Json *checks, examination_fn done, void *userdata)
{
        Examination *examination = make(kind, checks, done, userdata);
        examination->n_left = n;
        for (size_t i = 0; i < n; i++)
                cluster_examine(clusters[i], kind, mesh, on_results, examination);
        if (n == 0)
                examination->timer = loop_defer(loop, end, examination);
        return examination;
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
        end(examination);
}

Examination *examination_of_config(Loop *loop, const char *path, examination_fn done, void *userdata)
{
        const char *const arguments[] = { "/proc/self/exe", "--check-config", "--config", path, NULL };
        Examination *examination = make(CHECK_KIND_CONFIG, json_array(), done, userdata);
        examination->hook = hook_run(loop, "mhad --check-config", arguments, NULL, NULL,
                                     usec_add(loop_now(loop), CONFIG_TIMEOUT), on_read, examination);
        return examination;
}

Examination *examination_free(Examination *examination, Cluster *const *clusters, size_t n)
{
        if (!examination)
                return NULL;
        for (size_t i = 0; i < n; i++)
                cluster_examine_forget(clusters[i], examination);
        hook_abandon(examination->hook);
        timer_free(examination->timer);
        json_free(examination->checks);
        free(examination);
        return NULL;
}
