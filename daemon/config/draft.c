/* Maps of YAML to structs, key by key as the table says. Owns the cluster while it is drafted; must never act on a
 * value, only keep it. */
#include "draft.h"

#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "value.h"

/* The reading of one map and of the sections in it. */
typedef struct Walk {
        Reading *reading;
        SchemaScope scope;
        void *object;    /* what the rows' members are in */
        Origin *origins; /* may be NULL */
        Draft *draft;    /* where servers go; NULL in `defaults`, which must not have any */
        Draft *base;     /* where `defaults` go; NULL but in the main file */
} Walk;

static void walk_map(Walk *walk, const char *section, const Tree *map);

static void set_defaults(SchemaScope scope, void *object)
{
        SCHEMA_FOREACH(row, scope)
        if (value_has_member(row))
                value_reset(row, object);
}

Draft draft_new(void)
{
        Draft draft = { .config = ALLOC(ClusterConfig) };
        set_defaults(SCHEMA_CLUSTER, draft.config);
        return draft;
}

Draft draft_inherit(const Draft *from)
{
        Draft draft = *from;
        draft.config = cluster_config_copy(from->config);
        draft.server_places = NULL;
        return draft;
}

void draft_done(Draft *draft)
{
        draft->config = cluster_config_free(draft->config);
        free(draft->server_places);
        draft->server_places = NULL;
}

/* --- walking a map -------------------------------------------------------------------------------------------------- */

static void complain_unknown(Walk *walk, const char *section, const Tree *child)
{
        CLEANUP(mem_free) char *shown = reading_quote_key(child->key);
        CLEANUP(mem_free) char *word = reading_cut_key(child->key);
        const char *nearest = schema_nearest(walk->scope, section, word);
        if (nearest)
                reading_error(walk->reading, child->place_of_key, "unknown key %s (did you mean \"%s\"?)", shown,
                              nearest);
        else
                reading_error(walk->reading, child->place_of_key, "unknown key %s", shown);
}

static bool is_same_secret(const SchemaRow *row, const char *path, SchemaScope scope)
{
        const SchemaRow *other = schema_find(scope, path);
        return other && value_is_secret(other) && other->offset == row->offset;
}

/* A secret is given in one form only. */
static bool expect_single_secret(Walk *walk, const SchemaRow *row, const char *section, const Tree *map, size_t i)
{
        for (size_t earlier = 0; earlier < i; earlier++) {
                const Tree *child = map->children[earlier];
                CLEANUP(mem_free) char *path = text_format("%s.%s", section, child->key);
                if (!is_same_secret(row, path, walk->scope))
                        continue;
                reading_error(walk->reading, map->children[i]->place_of_key,
                              "%s: there is %s already; only one of them may be given", row->path, child->key);
                return false;
        }
        return true;
}

static void reset_section(const Walk *walk, const char *section)
{
        size_t length = strlen(section);
        SCHEMA_FOREACH(row, walk->scope)
        if (value_has_member(row) && text_starts_with(row->path, section) && row->path[length] == '.')
                value_reset(row, walk->object);
}

static void set_origin(Walk *walk, const SchemaRow *row, TreePlace place)
{
        if (walk->origins)
                walk->origins[row - schema_rows] = (Origin){ .file = walk->reading->file, .place = place };
}

static void walk_section(Walk *walk, const SchemaRow *row, const Tree *tree)
{
        set_origin(walk, row, tree->place_of_key);
        if (tree_is_null(tree))
                reset_section(walk, row->path);
        else if (tree->kind == TREE_MAP)
                walk_map(walk, row->path, tree);
        else if (!tree_is_blank(tree)) /* all its keys may be commented out */
                reading_error(walk->reading, tree->place, "%s must be a map of keys and values", row->path);
}

static void walk_value(Walk *walk, const SchemaRow *row, const Tree *tree)
{
        set_origin(walk, row, tree->place);
        if (tree_is_null(tree) && row->required)
                reading_error(walk->reading, tree->place, "%s must not be null", row->path);
        else if (tree_is_null(tree))
                value_reset(row, walk->object);
        else
                value_read(walk->reading, row, tree, walk->object);
}

static void expect_all(Walk *walk, const Tree *map)
{
        SCHEMA_FOREACH(row, walk->scope)
        if (row->required && !tree_get(map, row->path))
                reading_error(walk->reading, map->place, "%s is missing", row->path);
}

/* --- servers and observers ------------------------------------------------------------------------------------------ */

static Server read_server(Walk *walk, SchemaScope scope, const Tree *tree)
{
        Server server = { .observer = scope == SCHEMA_OBSERVER };
        if (tree->kind != TREE_MAP) {
                reading_error(walk->reading, tree->place, "must be a map with name, host and so on");
                return server;
        }
        set_defaults(scope, &server);
        Walk inner = { .reading = walk->reading, .scope = scope, .object = &server };
        walk_map(&inner, "", tree);
        expect_all(&inner, tree);
        return server;
}

static TreePlace place_of(const Tree *map, const char *key)
{
        const Tree *value = tree_get(map, key);
        return value ? value->place : map->place;
}

static void append_server(Draft *draft, const Tree *tree, Server server)
{
        ClusterConfig *config = draft->config;
        if (server.observer) {
                ALLOC_GROW(config->observers, config->n_observers);
                config->observers[config->n_observers++] = server;
                return;
        }
        size_t n_places = config->n_servers;
        ALLOC_GROW(draft->server_places, n_places);
        draft->server_places[n_places] = place_of(tree, "host");
        ALLOC_GROW(config->servers, config->n_servers);
        config->servers[config->n_servers++] = server;
}

static bool is_known_name(const ClusterConfig *config, const char *name)
{
        for (size_t i = 0; i < config->n_servers; i++)
                if (text_equal(config->servers[i].name, name))
                        return true;
        for (size_t i = 0; i < config->n_observers; i++)
                if (text_equal(config->observers[i].name, name))
                        return true;
        return false;
}

static void walk_servers(Walk *walk, SchemaScope scope, const SchemaRow *row, const Tree *list)
{
        set_origin(walk, row, list->place_of_key);
        if (list->kind != TREE_LIST) {
                reading_error(walk->reading, list->place, "%s must be a list", row->path);
                return;
        }
        for (size_t i = 0; i < list->n_children && !reading_is_hopeless(walk->reading); i++) {
                const Tree *tree = list->children[i];
                Server server = read_server(walk, scope, tree);
                if (server.name && is_known_name(walk->draft->config, server.name))
                        reading_error(walk->reading, place_of(tree, "name"), "the name \"%s\" is used twice",
                                      server.name);
                append_server(walk->draft, tree, server);
        }
}

/* --- maps ----------------------------------------------------------------------------------------------------------- */

static void walk_defaults(Walk *walk, const Tree *tree)
{
        Walk inner = { .reading = walk->reading,
                       .scope = SCHEMA_CLUSTER,
                       .object = walk->base->config,
                       .origins = walk->base->origins };
        if (tree->kind == TREE_MAP)
                walk_map(&inner, "", tree);
        else if (!tree_is_blank(tree) && !tree_is_null(tree))
                reading_error(walk->reading, tree->place, "defaults must be a map of keys and values");
}

static bool is_of_one_cluster(const SchemaRow *row)
{
        return row->type == SCHEMA_CLUSTER_NAME || row->type == SCHEMA_SERVERS || row->type == SCHEMA_OBSERVERS;
}

static void walk_row(Walk *walk, const SchemaRow *row, const Tree *tree)
{
        if (is_of_one_cluster(row) && !walk->draft)
                reading_error(walk->reading, tree->place_of_key, "%s belongs in the file of a cluster", row->path);
        else if (row->type == SCHEMA_SECTION)
                walk_section(walk, row, tree);
        else if (row->type == SCHEMA_DEFAULTS)
                walk_defaults(walk, tree);
        else if (row->type == SCHEMA_SERVERS)
                walk_servers(walk, SCHEMA_SERVER, row, tree);
        else if (row->type == SCHEMA_OBSERVERS)
                walk_servers(walk, SCHEMA_OBSERVER, row, tree);
        else
                walk_value(walk, row, tree);
}

static void walk_child(Walk *walk, const char *section, const Tree *map, size_t i)
{
        const Tree *child = map->children[i], *twin = tree_twin(map, i);
        CLEANUP(mem_free) char *path = *section ? text_format("%s.%s", section, child->key) : alloc_string(child->key);
        const SchemaRow *row = schema_find(walk->scope, path);
        if (!row)
                complain_unknown(walk, section, child);
        else if (twin)
                reading_error(walk->reading, child->place_of_key, "%s is given twice, first in line %zu", path,
                              twin->place_of_key.line);
        else if (!value_is_secret(row) || expect_single_secret(walk, row, section, map, i))
                walk_row(walk, row, child);
}

static void walk_map(Walk *walk, const char *section, const Tree *map)
{
        for (size_t i = 0; i < map->n_children && !reading_is_hopeless(walk->reading); i++)
                walk_child(walk, section, map, i);
}

/* The account and the port of SSH come from the cluster where the server has none of its own. */
static void complete_server(Server *server, const SshConfig *ssh)
{
        if (!server->ssh_user)
                server->ssh_user = alloc_string(ssh->user);
        if (!server->ssh_port)
                server->ssh_port = ssh->port;
        if (!server->ssh_host)
                server->ssh_host = alloc_string(server->host);
        if (!server->observer)
                return;
        server->host = alloc_string(server->ssh_host);
        server->port = 3306; /* it has none, but a port is never 0 */
}

/* The key that ssh(1) would take, too. */
static void find_key(SshConfig *ssh)
{
        static const char *const names[] = { "id_ed25519", "id_ecdsa", "id_rsa" };
        char buffer[16384];
        struct passwd user, *found = NULL;
        if (getpwuid_r(geteuid(), &user, buffer, sizeof buffer, &found) != 0 || !found)
                return;
        for (size_t i = 0; i < ARRAY_LENGTH(names) && !ssh->identity_file; i++) {
                char *path = text_format("%s/.ssh/%s", user.pw_dir, names[i]);
                if (access(path, R_OK) == 0)
                        ssh->identity_file = path;
                else
                        free(path);
        }
}

void draft_read_cluster(Draft *draft, Reading *reading, const Tree *tree)
{
        if (tree->kind != TREE_MAP) {
                reading_error(reading, tree->place, "must be a map of keys and values");
                return;
        }
        ClusterConfig *config = draft->config;
        Walk walk = {
                .reading = reading, .scope = SCHEMA_CLUSTER, .object = config, .origins = draft->origins, .draft = draft
        };
        walk_map(&walk, "", tree);
        draft_run_script(draft, reading);
        if (!reading->offline && config->ssh.enabled && !draft_mentions(draft, "ssh.identity_file"))
                find_key(&config->ssh);
        for (size_t i = 0; i < config->n_servers; i++)
                complete_server(&config->servers[i], &config->ssh);
        for (size_t i = 0; i < config->n_observers; i++)
                complete_server(&config->observers[i], &config->ssh);
}

void draft_read_main(Config *config, Draft *base, Reading *reading, const Tree *tree)
{
        set_defaults(SCHEMA_MAIN, config);
        Walk walk = { .reading = reading, .scope = SCHEMA_MAIN, .object = config, .base = base };
        if (tree->kind == TREE_MAP)
                walk_map(&walk, "", tree);
        else
                reading_error(reading, tree->place, "must be a map of keys and values");
}

/* --- places --------------------------------------------------------------------------------------------------------- */

bool draft_mentions(const Draft *draft, const char *path)
{
        return draft->origins[schema_find(SCHEMA_CLUSTER, path) - schema_rows].file != NULL;
}

static const Origin *find_origin(const Draft *draft, const char *path)
{
        CLEANUP(mem_free) char *prefix = alloc_string(path);
        for (;;) {
                const SchemaRow *row = schema_find(SCHEMA_CLUSTER, prefix);
                if (row && draft->origins[row - schema_rows].file)
                        return &draft->origins[row - schema_rows];
                char *dot = strrchr(prefix, '.');
                if (!dot)
                        return NULL;
                *dot = '\0';
        }
}

/* The reading of the file where the key was written, and the place in it. */
static Reading locate(const Draft *draft, const Reading *reading, const char *path, TreePlace *ret_place)
{
        Reading there = *reading;
        const Origin *origin = find_origin(draft, path);
        *ret_place = origin ? origin->place : (TreePlace){ 1, 1 };
        if (origin)
                there.file = origin->file;
        return there;
}

void draft_error(const Draft *draft, Reading *reading, const char *path, const char *format, ...)
{
        TreePlace place;
        Reading there = locate(draft, reading, path, &place);
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        reading_error(&there, place, "%s", text);
}

void draft_warn(const Draft *draft, Reading *reading, const char *path, const char *format, ...)
{
        TreePlace place;
        Reading there = locate(draft, reading, path, &place);
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        reading_warn(&there, place, "%s", text);
}
