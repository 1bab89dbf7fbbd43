/* The facts of a run: access to one JSON document. Owns it; must never know where a fact came from. */
#include "facts.h"

#include <string.h>

#include "text.h"

Facts facts_new(const char *cluster, const char *run, const char *procedure)
{
        Facts facts = { .root = json_object() };
        json_set_string(facts.root, "cluster", cluster);
        json_set_string(facts.root, "run", run);
        json_set_string(facts.root, "procedure", procedure);
        json_set(facts.root, "config", json_object());
        json_set(facts.root, "order", json_array());
        json_set(facts.root, "servers", json_object());
        return facts;
}

Facts facts_copy(const Facts *facts)
{
        return (Facts){ .root = json_copy(facts->root) };
}

void facts_done(Facts *facts)
{
        facts->root = json_free(facts->root);
}

void facts_learn(Facts *facts, const char *server, const Json *learned)
{
        if (!learned)
                return;
        if (text_is_empty(server))
                json_merge(facts->root, learned);
        else
                json_merge(json_ensure_object(json_ensure_object(facts->root, "servers"), server), learned);
}

const Json *facts_server(const Facts *facts, const char *server)
{
        return server ? json_get(json_get(facts->root, "servers"), server) : NULL;
}

const char *facts_server_string(const Facts *facts, const char *server, const char *name)
{
        return json_get_string(facts_server(facts, server), name);
}

int64_t facts_server_int(const Facts *facts, const char *server, const char *name, int64_t otherwise)
{
        return json_get_int(facts_server(facts, server), name, otherwise);
}

bool facts_server_bool(const Facts *facts, const char *server, const char *name, bool otherwise)
{
        return json_get_bool(facts_server(facts, server), name, otherwise);
}

bool facts_same_host(const Facts *facts, const char *a, const char *b)
{
        const char *one = facts_server_string(facts, a, "place"), *other = facts_server_string(facts, b, "place");
        return one && text_equal(one, other);
}

const char *facts_string(const Facts *facts, const char *name)
{
        return json_get_string(facts->root, name);
}

const Json *facts_config(const Facts *facts, const char *path)
{
        const Json *json = json_get(facts->root, "config");
        while (json && *path) {
                const char *dot = strchrnul(path, '.');
                CLEANUP(mem_free) char *name = alloc_string_n(path, (size_t) (dot - path));
                json = json_get(json, name);
                path = *dot ? dot + 1 : dot;
        }
        return json;
}

/* The object that holds the last part of path, and that part. */
static const Json *parent_of(const Facts *facts, const char *path, const char **ret_name)
{
        const char *dot = strrchr(path, '.');
        *ret_name = dot ? dot + 1 : path;
        CLEANUP(mem_free) char *parent = alloc_string_n(path, dot ? (size_t) (dot - path) : 0);
        return facts_config(facts, parent);
}

const char *facts_config_string(const Facts *facts, const char *path)
{
        return json_string(facts_config(facts, path));
}

int64_t facts_config_int(const Facts *facts, const char *path, int64_t otherwise)
{
        const char *name;
        const Json *parent = parent_of(facts, path, &name);
        return json_get_int(parent, name, otherwise);
}

bool facts_config_bool(const Facts *facts, const char *path, bool otherwise)
{
        const char *name;
        const Json *parent = parent_of(facts, path, &name);
        return json_get_bool(parent, name, otherwise);
}

size_t facts_n_servers(const Facts *facts)
{
        return json_length(json_get(facts->root, "order"));
}

const char *facts_server_name(const Facts *facts, size_t i)
{
        return json_string(json_at(json_get(facts->root, "order"), i));
}
