/* Files read, changed and written for an operator; what they mean is decided in config/. Owns nothing between calls; must
 * never leave a file behind that the daemon would refuse, nor a secret that others can read. */
#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "edit.h"
#include "file.h"
#include "import.h"
#include "schema.h"
#include "text.h"

#define CNF_MAX_BYTES ((size_t) 1024 * 1024)

static void print_all(const Json *messages, const char *after)
{
        JSON_FOREACH(message, messages)
        {
                fprintf(stderr, "%s%s\n", json_string(message), after);
        }
}

static int fail(const Failure *failure)
{
        fprintf(stderr, "mhad: %s\n", failure->text);
        return EXIT_FAILURE;
}

static bool exists(const char *path)
{
        return access(path, F_OK) == 0;
}

/* --- import --------------------------------------------------------------------------------------------------------- */

/* No name is looked up twice: where nobody answers, each takes seconds. */
static struct Lookup {
        char *name;
        struct addrinfo *found;
} lookups[64];

static const struct addrinfo *look_up(const char *name)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        size_t i = 0;
        while (i < ARRAY_LENGTH(lookups) && lookups[i].name && strcmp(lookups[i].name, name) != 0)
                i++;
        if (i == ARRAY_LENGTH(lookups))
                return NULL;
        if (!lookups[i].name) {
                lookups[i].name = alloc_string(name);
                if (getaddrinfo(name, NULL, &hints, &lookups[i].found) != 0)
                        lookups[i].found = NULL;
        }
        return lookups[i].found;
}

static void forget_lookups(void)
{
        for (size_t i = 0; i < ARRAY_LENGTH(lookups); i++) {
                free(lookups[i].name);
                if (lookups[i].found)
                        freeaddrinfo(lookups[i].found);
                lookups[i] = (struct Lookup){ 0 };
        }
}

static bool is_same_host(const char *a, const char *b)
{
        for (const struct addrinfo *x = look_up(a); x; x = x->ai_next)
                for (const struct addrinfo *y = look_up(b); y; y = y->ai_next)
                        if (x->ai_addrlen == y->ai_addrlen && memcmp(x->ai_addr, y->ai_addr, x->ai_addrlen) == 0)
                                return true;
        return false;
}

static void print_outcomes(const Json *outcomes)
{
        int width = 0;
        JSON_FOREACH(outcome, outcomes)
        {
                const char *place = json_get_string(outcome, "place");
                int length = place ? (int) strlen(place) : 0;
                width = length > width ? length : width;
        }
        JSON_FOREACH(outcome, outcomes)
        {
                const char *place = json_get_string(outcome, "place");
                printf("%s %-*s  %s -> %s\n", json_get_bool(outcome, "look", false) ? "!" : " ", width,
                       place ? place : "", json_get_string(outcome, "name"), json_get_string(outcome, "outcome"));
        }
}

/* A secret is for the daemon alone, which does not run as root. */
static int write_file(const ImportFile *file, Failure *reterr)
{
        int r = file_replace(file->path, file->text, strlen(file->text), file->secret ? 0600 : 0644, reterr);
        const struct passwd *user = file->secret && geteuid() == 0 ? getpwnam(FILE_DAEMON_USER) : NULL;
        if (r >= 0 && user && chown(file->path, user->pw_uid, user->pw_gid) < 0)
                r = failure_errno(reterr, errno, "cannot give %s to %s", file->path, FILE_DAEMON_USER);
        if (r >= 0)
                printf("written: %s%s\n", file->path,
                       !file->secret ? ""
                       : user        ? " (for mhad alone)"
                                     : " (mode 0600: it has to belong to the user that mhad runs as)");
        return r;
}

static int expect_absent(const Import *import, Failure *reterr)
{
        const char *paths[IMPORT_SECRETS_MAX + 1] = { import->yaml.path };
        for (size_t i = 0; i < import->n_secrets; i++)
                paths[i + 1] = import->secrets[i].path;
        for (size_t i = 0; i < import->n_secrets + 1; i++)
                if (exists(paths[i]))
                        return failure_set(reterr, FAILURE_INVALID, 0,
                                           "%s exists already: nothing was written; move it away or give another "
                                           "--output-dir",
                                           paths[i]);
        return 0;
}

static int write_import(Import *import, const char *main_path, Failure *reterr)
{
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(json_free) Json *warnings = json_array();
        CLEANUP(config_free) Config *config = NULL;
        bool new_main = !exists(main_path);
        ImportFile main_file = { .path = (char *) main_path, .text = import->main };
        const ConfigEdit edits[] = { { import->yaml.path, import->yaml.text }, { main_path, import->main } };
        bool loads = config_load_edited(main_path, edits, new_main ? 2 : 1, &config, errors, warnings) >= 0;
        if (!loads) { /* the daemon does not read a file of another name */
                char *path = text_format("%s.incomplete", import->yaml.path);
                free(import->yaml.path);
                import->yaml.path = path;
        }
        int r = write_file(&import->yaml, reterr);
        for (size_t i = 0; r >= 0 && i < import->n_secrets; i++)
                r = write_file(&import->secrets[i], reterr);
        if (r >= 0 && new_main)
                r = write_file(&main_file, reterr);
        if (r < 0)
                return r;
        if (!new_main && *import->main)
                printf("for %s:\n%s", main_path, import->main);
        print_all(warnings, " (warning)");
        print_all(errors, "");
        return loads ? 0
                     : failure_set(reterr, FAILURE_INVALID, 0, "complete %s and take .incomplete off its name",
                                   import->yaml.path);
}

static int read_request(const ToolImport *order, ImportRequest *request, char **texts, Failure *reterr)
{
        int r = file_read(order->file, CNF_MAX_BYTES, &texts[0], NULL, reterr);
        if (r >= 0 && request->global_file)
                r = file_read(request->global_file, CNF_MAX_BYTES, &texts[1], NULL, reterr);
        request->text = texts[0];
        request->global_text = texts[1];
        return r;
}

static int import(const ToolImport *order, const char *directory)
{
        static const char default_global[] = "/etc/masterha_default.cnf";
        Failure failure = { 0 };
        char *texts[2] = { 0 };
        __attribute__((cleanup(import_done_cleanup))) Import import = { 0 };
        CLEANUP(json_free) Json *errors = json_array();
        ImportRequest request = {
                .file = order->file,
                .global_file = order->global            ? order->global
                               : exists(default_global) ? default_global
                                                        : NULL,
                .directory = directory,
                .is_same_host = is_same_host,
        };
        int r = read_request(order, &request, texts, &failure);
        bool read = r >= 0;
        if (read)
                r = import_read(&request, &import, errors);
        forget_lookups();
        text_wipe(texts[0]);
        text_wipe(texts[1]);
        if (read && r < 0) {
                print_all(errors, "");
                return EXIT_FAILURE;
        }
        CLEANUP(mem_free) char *folder = text_format("%s/clusters.d", directory);
        CLEANUP(mem_free) char *main_path = text_format("%s/mhad.yaml", directory);
        if (r >= 0)
                r = expect_absent(&import, &failure);
        if (r >= 0)
                r = file_make_directory(folder, 0755, &failure);
        if (r >= 0) {
                print_outcomes(import.outcomes);
                r = write_import(&import, main_path, &failure);
        }
        if (r < 0)
                return fail(&failure);
        printf("Lines with ! want to be looked at. Then: mhad --config %s --check-config; mhactl reload\n", main_path);
        return EXIT_SUCCESS;
}

int tool_import(const ToolImport *order)
{
        char directory[PATH_MAX];
        umask(022);
        if (!realpath(order->directory ? order->directory : "/etc/mhad", directory)) {
                fprintf(stderr, "mhad: %s: %s\n", order->directory, strerror(errno));
                return EXIT_FAILURE;
        }
        return import(order, directory);
}

/* --- servers -------------------------------------------------------------------------------------------------------- */

/* All that is wrong with the pairs is noted; the strings belong to storage. */
static size_t read_pairs(const ToolEdit *order, char **storage, EditPair *pairs, Json *errors)
{
        size_t n = 0;
        for (size_t i = 0; i < order->n_pairs; i++) {
                const char *equals = strchr(order->pairs[i], '=');
                CLEANUP(mem_free) char *key = alloc_string_n(order->pairs[i], strcspn(order->pairs[i], "="));
                const char *nearest = schema_nearest(SCHEMA_SERVER, "", key);
                CLEANUP(mem_free) char *wrong = NULL;
                if (!equals)
                        wrong = text_format("%s: say KEY=VALUE, or KEY= to take it out", order->pairs[i]);
                else if (!schema_find(SCHEMA_SERVER, key))
                        wrong = text_format(nearest ? "%s: a server has no such key (did you mean %s?)"
                                                    : "%s: a server has no such key",
                                            key, nearest);
                else if (strcmp(key, "name") == 0)
                        wrong = alloc_string("name: a server keeps its name; add one and remove the other");
                if (wrong)
                        json_append_string(errors, wrong);
                storage[n] = alloc_string(key);
                pairs[n] = (EditPair){ storage[n], equals && equals[1] ? equals + 1 : NULL };
                n++;
        }
        return n;
}

/* That nothing but the servers of that cluster changes. */
static bool is_as_meant(const Config *before, const Config *after, const char *cluster)
{
        CLEANUP(json_free) Json *diff = config_diff(before, after);
        const Json *changed = json_get(diff, "changed"), *keys = json_get(changed, cluster);
        return json_length(json_get(diff, "added")) == 0 && json_length(json_get(diff, "removed")) == 0 &&
               json_length(json_get(diff, "daemon")) == 0 && json_length(changed) == 1 && json_length(keys) == 1 &&
               json_array_contains(keys, "servers");
}

static int edit_text(const ToolEdit *order, const char *text, char **ret, Json *errors, Failure *reterr)
{
        CLEANUP(mem_free) EditPair *pairs = ALLOC_ARRAY(EditPair, order->n_pairs + 1);
        char **storage = ALLOC_ARRAY(char *, order->n_pairs + 1);
        size_t n = read_pairs(order, storage, pairs, errors);
        int r;
        if (json_length(errors))
                r = failure_set(reterr, FAILURE_INVALID, 0, "nothing was changed");
        else if (strcmp(order->what, "add") == 0)
                r = edit_add_server(text, order->server, pairs, n, ret, reterr);
        else if (strcmp(order->what, "set") == 0)
                r = edit_set_server(text, order->server, pairs, n, ret, reterr);
        else
                r = edit_remove_server(text, order->server, ret, reterr);
        for (size_t i = 0; i < n; i++)
                free(storage[i]);
        free(storage);
        return r;
}

static int check_edit(const ToolEdit *order, const Config *before, const char *path, const char *text, Json *errors,
                      Failure *reterr)
{
        const ConfigEdit edit = { path, text };
        CLEANUP(config_free) Config *after = NULL;
        if (config_load_edited(order->config, &edit, 1, &after, errors, NULL) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "nothing was changed: it would have %s (places as they would be)",
                                   json_length(errors) == 1 ? "this error" : "these errors");
        if (!is_as_meant(before, after, order->cluster))
                return failure_set(
                        reterr, FAILURE_INVALID, 0,
                        "nothing was changed: either that is how it is already, or %s is written in a way that is "
                        "not understood",
                        path);
        return 0;
}

static int edit_file(const ToolEdit *order, const Config *before, const char *path, const char *real, Json *errors,
                     Failure *reterr)
{
        char *text = NULL, *edited = NULL, *again = NULL;
        int r = file_read(path, CNF_MAX_BYTES, &text, NULL, reterr);
        if (r >= 0)
                r = edit_text(order, text, &edited, errors, reterr);
        if (r >= 0)
                r = check_edit(order, before, path, edited, errors, reterr);
        if (r >= 0)
                r = file_read(path, CNF_MAX_BYTES, &again, NULL, reterr);
        if (r >= 0 && strcmp(text, again) != 0)
                r = failure_set(reterr, FAILURE_INVALID, 0, "%s was changed by somebody else meanwhile: try again",
                                path);
        if (r >= 0)
                r = file_rewrite(real, edited, strlen(edited), reterr);
        text_wipe(text);
        text_wipe(edited);
        text_wipe(again);
        return r;
}

int tool_edit_server(const ToolEdit *order)
{
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(config_free) Config *before = NULL;
        Failure failure = { 0 };
        char path[PATH_MAX];
        if (config_load_offline(order->config, &before, errors, NULL) < 0) {
                print_all(errors, "");
                fputs("mhad: the configuration has errors already: mend them first\n", stderr);
                return EXIT_FAILURE;
        }
        const ClusterConfig *cluster = config_find_cluster(before, order->cluster);
        if (!cluster) {
                fprintf(stderr, "mhad: there is no cluster %s beside %s\n", order->cluster, order->config);
                return EXIT_FAILURE;
        }
        if (!realpath(cluster->file, path)) {
                fprintf(stderr, "mhad: %s: %s\n", cluster->file, strerror(errno));
                return EXIT_FAILURE;
        }
        if (edit_file(order, before, cluster->file, path, errors, &failure) < 0) {
                print_all(errors, "");
                return fail(&failure);
        }
        printf("changed: %s\n", path);
        return EXIT_SUCCESS;
}
