/* Files to a checked Config, and what can be done with one. Owns the drafts while it loads; must never let a file with
 * an error through. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "draft.h"
#include "endpoint.h"
#include "file.h"
#include "host.h"
#include "text.h"
#include "value.h"

/* --- clusters ------------------------------------------------------------------------------------------------------- */

static void free_servers(Server *servers, size_t n)
{
        for (size_t i = 0; i < n; i++)
                server_done(&servers[i]);
        free(servers);
}

static Server *copy_servers(const Server *servers, size_t n)
{
        Server *copy = NULL;
        if (n)
                copy = ALLOC_ARRAY(Server, n);
        for (size_t i = 0; i < n; i++)
                copy[i] = server_copy(&servers[i]);
        return copy;
}

static void cluster_done(ClusterConfig *cluster)
{
        SCHEMA_FOREACH(row, SCHEMA_CLUSTER)
        if (value_has_member(row))
                value_done(row, cluster);
        free_servers(cluster->servers, cluster->n_servers);
        free_servers(cluster->observers, cluster->n_observers);
        free(cluster->file);
}

ClusterConfig *cluster_config_free(ClusterConfig *cluster)
{
        if (!cluster)
                return NULL;
        cluster_done(cluster);
        free(cluster);
        return NULL;
}

ClusterConfig *cluster_config_copy(const ClusterConfig *cluster)
{
        ClusterConfig *copy = ALLOC(ClusterConfig);
        *copy = *cluster;
        SCHEMA_FOREACH(row, SCHEMA_CLUSTER)
        if (value_has_member(row))
                value_unshare(row, copy);
        copy->servers = copy_servers(cluster->servers, cluster->n_servers);
        copy->observers = copy_servers(cluster->observers, cluster->n_observers);
        copy->file = alloc_string(cluster->file);
        return copy;
}

static bool equal_servers(const Server *a, size_t n_a, const Server *b, size_t n_b)
{
        if (n_a != n_b)
                return false;
        for (size_t i = 0; i < n_a; i++)
                SCHEMA_FOREACH(row, SCHEMA_SERVER)
        if (!value_equal(row, &a[i], &b[i]))
                return false;
        return true;
}

static bool equal_row(const SchemaRow *row, const ClusterConfig *a, const ClusterConfig *b)
{
        if (row->type == SCHEMA_SERVERS)
                return equal_servers(a->servers, a->n_servers, b->servers, b->n_servers);
        if (row->type == SCHEMA_OBSERVERS)
                return equal_servers(a->observers, a->n_observers, b->observers, b->n_observers);
        return !value_has_member(row) || value_equal(row, a, b);
}

bool cluster_config_equal(const ClusterConfig *a, const ClusterConfig *b)
{
        SCHEMA_FOREACH(row, SCHEMA_CLUSTER)
        if (!equal_row(row, a, b))
                return false;
        return true;
}

/* The object that holds the row's leaf: the one for "sql.tls" of "sql.tls.mode". */
static Json *section_of(Json *json, const SchemaRow *row)
{
        CLEANUP(mem_free) char *path = alloc_string(row->path);
        char *rest = path;
        for (char *dot; (dot = strchr(rest, '.')); rest = dot + 1) {
                *dot = '\0';
                json = json_ensure_object(json, rest);
        }
        return json;
}

Json *cluster_config_to_json(const ClusterConfig *cluster)
{
        Json *json = json_object();
        SCHEMA_FOREACH(row, SCHEMA_CLUSTER)
        if (value_has_member(row) && (value_is_secret(row) || value_is_set(row, cluster)))
                value_to_json(row, cluster, section_of(json, row));
        return json;
}

const Server *cluster_config_find_server(const ClusterConfig *cluster, const char *name)
{
        for (size_t i = 0; name && i < cluster->n_servers; i++)
                if (strcmp(cluster->servers[i].name, name) == 0)
                        return &cluster->servers[i];
        return NULL;
}

/* --- loading -------------------------------------------------------------------------------------------------------- */

typedef struct Loader {
        Config *config;
        Reading reading; /* its file is the one being read */
        Draft base;      /* what `defaults` say */
        Draft *drafts;   /* one for each of config's clusters, which own the values */
        char **files;
        size_t n_files;
        const ConfigEdit *edits;
        size_t n_edits;
} Loader;

static const ConfigEdit *find_edit(const Loader *loader, const char *path)
{
        for (size_t i = 0; i < loader->n_edits; i++)
                if (strcmp(loader->edits[i].path, path) == 0)
                        return &loader->edits[i];
        return NULL;
}

static int read_bytes(const Loader *loader, const char *path, char **ret, size_t *ret_length, Failure *reterr)
{
        const ConfigEdit *edit = find_edit(loader, path);
        if (!edit)
                return file_read(path, TREE_MAX_BYTES, ret, ret_length, reterr);
        *ret = alloc_string(edit->text);
        *ret_length = strlen(edit->text);
        return 0;
}

static Tree *read_tree(Loader *loader, const char *path)
{
        char *bytes;
        size_t length;
        Failure failure;
        if (read_bytes(loader, path, &bytes, &length, &failure) < 0) {
                json_append_string(loader->reading.errors, failure.text);
                return NULL;
        }
        Tree *tree = NULL;
        TreePlace place;
        if (tree_parse(bytes, length, &tree, &place, &failure) < 0)
                reading_error(&loader->reading, place, "%s", failure.text);
        explicit_bzero(bytes, length);
        free(bytes);
        return tree;
}

static void load_main(Loader *loader, const char *path)
{
        loader->reading.file = path;
        CLEANUP(tree_free) Tree *tree = read_tree(loader, path);
        if (!tree)
                return;
        draft_read_main(loader->config, &loader->base, &loader->reading, tree);
        const MetricsConfig *metrics = &loader->config->metrics;
        if (metrics->listen && !metrics->allow_remote && !endpoint_is_loopback(metrics->listen))
                reading_error(&loader->reading, tree_get(tree_get(tree, "metrics"), "listen")->place,
                              "metrics.listen: other hosts can reach %s: take 127.0.0.1, or say metrics.allow_remote: "
                              "true",
                              metrics->listen);
}

static void load_cluster(Loader *loader, const char *path)
{
        loader->reading.file = path;
        CLEANUP(tree_free) Tree *tree = read_tree(loader, path);
        if (!tree)
                return;
        Draft draft = draft_inherit(&loader->base);
        draft.config->file = alloc_string(path);
        draft_read_cluster(&draft, &loader->reading, tree);
        draft_check(&draft, &loader->reading);

        Config *config = loader->config;
        size_t n_drafts = config->n_clusters;
        ALLOC_GROW(loader->drafts, n_drafts);
        ALLOC_GROW(config->clusters, config->n_clusters);
        loader->drafts[n_drafts] = draft;
        config->clusters[config->n_clusters++] = *draft.config;
        free(draft.config);
}

static bool is_cluster_name(const char *name)
{
        size_t length = strlen(name);
        return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".yaml") == 0;
}

static int is_cluster_file(const struct dirent *entry)
{
        return is_cluster_name(entry->d_name);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_file(Loader *loader, const char *path)
{
        for (size_t i = 0; i < loader->n_files; i++)
                if (strcmp(loader->files[i], path) == 0)
                        return;
        ALLOC_GROW(loader->files, loader->n_files);
        loader->files[loader->n_files++] = alloc_string(path);
}

/* Edited files of the folder that do not exist yet. */
static void add_edits(Loader *loader, const char *directory)
{
        size_t length = strlen(directory);
        for (size_t i = 0; i < loader->n_edits; i++) {
                const char *path = loader->edits[i].path;
                if (text_starts_with(path, directory) && path[length] == '/' && !strchr(path + length + 1, '/') &&
                    is_cluster_name(path + length + 1))
                        add_file(loader, path);
        }
}

static void find_files(Loader *loader, const char *main_path)
{
        const char *slash = strrchr(main_path, '/');
        CLEANUP(mem_free)
        char *directory = text_format("%.*sclusters.d", slash ? (int) (slash - main_path + 1) : 0, main_path);
        struct dirent **entries;
        int n = scandir(directory, &entries, is_cluster_file, compare_names);
        TreePlace top = { 1, 1 };
        bool readable = n >= 0 || errno == ENOENT;
        if (!readable)
                reading_error(&loader->reading, top, "cannot read the folder %s: %s", directory, strerror(errno));
        for (int i = 0; i < n; i++) {
                CLEANUP(mem_free) char *file = text_format("%s/%s", directory, entries[i]->d_name);
                add_file(loader, file);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        add_edits(loader, directory);
        if (readable && loader->n_files == 0)
                reading_warn(&loader->reading, top, "there are no clusters: no file %s/NAME.yaml", directory);
}

/* --- what must hold between clusters -------------------------------------------------------------------------------- */

static void compare_addresses(Loader *loader, const ClusterConfig *a, const Draft *draft)
{
        const char *mine = draft->config->address.ip, *theirs = a->address.ip;
        if (!mine || !theirs)
                return;
        CLEANUP(mem_free) char *one = alloc_string_n(mine, strcspn(mine, "/"));
        CLEANUP(mem_free) char *other = alloc_string_n(theirs, strcspn(theirs, "/"));
        if (host_is_same(one, other))
                draft_error(draft, &loader->reading, "address.ip",
                            "address.ip: %s is the address of cluster \"%s\" already", mine, a->name ? a->name : "?");
}

static void compare_servers(Loader *loader, const ClusterConfig *a, const Draft *draft)
{
        const ClusterConfig *b = draft->config;
        for (size_t i = 0; i < b->n_servers; i++)
                for (size_t j = 0; j < a->n_servers; j++)
                        if (b->servers[i].port == a->servers[j].port &&
                            host_is_same(b->servers[i].host, a->servers[j].host)) {
                                CLEANUP(mem_free) char *place = host_and_port(b->servers[i].host, b->servers[i].port);
                                reading_error(&loader->reading, draft->server_places[i],
                                              "%s is a server of cluster \"%s\" already", place,
                                              a->name ? a->name : "?");
                        }
}

static void compare_clusters(Loader *loader, const ClusterConfig *a, const Draft *draft)
{
        if (a->name && text_equal(a->name, draft->config->name))
                draft_error(draft, &loader->reading, "cluster", "cluster: the name \"%s\" is used in %s already",
                            a->name, a->file);
        compare_addresses(loader, a, draft);
        compare_servers(loader, a, draft);
}

static void check_clusters(Loader *loader)
{
        Config *config = loader->config;
        for (size_t i = 0; i < config->n_clusters; i++) {
                loader->reading.file = config->clusters[i].file;
                loader->drafts[i].config = &config->clusters[i];
                for (size_t j = 0; j < i && !reading_is_hopeless(&loader->reading); j++)
                        compare_clusters(loader, &config->clusters[j], &loader->drafts[i]);
        }
}

static void loader_done(Loader *loader)
{
        draft_done(&loader->base);
        for (size_t i = 0; i < loader->config->n_clusters; i++)
                free(loader->drafts[i].server_places);
        free(loader->drafts);
        for (size_t i = 0; i < loader->n_files; i++)
                free(loader->files[i]);
        free(loader->files);
}

static int load(const char *path, bool offline, const ConfigEdit *edits, size_t n_edits, Config **ret, Json *errors,
                Json *warnings)
{
        CLEANUP(config_free) Config *config = ALLOC(Config);
        Loader loader = {
                .config = config,
                .reading = { .offline = offline, .errors = json_array(), .warnings = warnings },
                .base = draft_new(),
                .edits = edits,
                .n_edits = n_edits,
        };
        load_main(&loader, path);
        find_files(&loader, path);
        for (size_t i = 0; i < loader.n_files && !reading_is_hopeless(&loader.reading); i++)
                load_cluster(&loader, loader.files[i]);
        check_clusters(&loader);
        loader_done(&loader);

        size_t n_errors = json_length(loader.reading.errors);
        JSON_FOREACH(error, loader.reading.errors)
        json_append_string(errors, json_string(error));
        json_free(loader.reading.errors);
        if (n_errors)
                return loader.reading.transient ? -EAGAIN : -EINVAL;
        *ret = TAKE(config);
        return 0;
}

int config_load(const char *path, Config **ret, Json *errors, Json *warnings)
{
        return load(path, false, NULL, 0, ret, errors, warnings);
}

int config_load_offline(const char *path, Config **ret, Json *errors, Json *warnings)
{
        return load(path, true, NULL, 0, ret, errors, warnings);
}

int config_load_edited(const char *path, const ConfigEdit *edits, size_t n_edits, Config **ret, Json *errors,
                       Json *warnings)
{
        return load(path, true, edits, n_edits, ret, errors, warnings);
}

Config *config_free(Config *config)
{
        if (!config)
                return NULL;
        SCHEMA_FOREACH(row, SCHEMA_MAIN)
        if (value_has_member(row))
                value_done(row, config);
        for (size_t i = 0; i < config->n_clusters; i++)
                cluster_done(&config->clusters[i]);
        free(config->clusters);
        free(config);
        return NULL;
}

const ClusterConfig *config_find_cluster(const Config *config, const char *name)
{
        for (size_t i = 0; name && i < config->n_clusters; i++)
                if (strcmp(config->clusters[i].name, name) == 0)
                        return &config->clusters[i];
        return NULL;
}

/* --- comparing ------------------------------------------------------------------------------------------------------ */

static void diff_daemon(const Config *old, const Config *new, Json *diff)
{
        Json *keys = json_ensure_array(diff, "daemon"), *restart = json_ensure_array(diff, "restart");
        SCHEMA_FOREACH(row, SCHEMA_MAIN)
        {
                if (!value_has_member(row) || value_equal(row, old, new))
                        continue;
                json_append_string(keys, row->path);
                if (row->effect == SCHEMA_RESTART)
                        json_append_string(restart, row->path);
        }
}

static void diff_cluster(const ClusterConfig *old, const ClusterConfig *new, Json *changed)
{
        if (cluster_config_equal(old, new))
                return;
        Json *keys = json_ensure_array(changed, new->name);
        SCHEMA_FOREACH(row, SCHEMA_CLUSTER)
        if (!equal_row(row, old, new))
                json_append_string(keys, row->path);
}

Json *config_diff(const Config *old, const Config *new)
{
        Json *diff = json_object();
        Json *added = json_ensure_array(diff, "added"), *removed = json_ensure_array(diff, "removed");
        Json *changed = json_ensure_object(diff, "changed");
        for (size_t i = 0; i < new->n_clusters; i++) {
                const ClusterConfig *before = config_find_cluster(old, new->clusters[i].name);
                if (before)
                        diff_cluster(before, &new->clusters[i], changed);
                else
                        json_append_string(added, new->clusters[i].name);
        }
        for (size_t i = 0; i < old->n_clusters; i++)
                if (!config_find_cluster(new, old->clusters[i].name))
                        json_append_string(removed, old->clusters[i].name);
        diff_daemon(old, new, diff);
        return diff;
}

bool config_diff_is_empty(const Json *diff)
{
        JSON_FOREACH(part, diff)
        if (json_length(part) > 0)
                return false;
        return true;
}
