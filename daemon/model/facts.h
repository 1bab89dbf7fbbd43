/* What a run knows: a JSON document that is a fold over the run's journal, so that memory after a resume equals memory
 * before. Step functions see nothing else.
 *
 *   { "cluster": "app1", "run": "r…", "procedure": "failover",
 *     "config":  { … frozen at the start: policies, accounts without secrets, address, hooks … },
 *     "order":   ["db1", "db2", "db3"],                   servers in the order of the configuration
 *     "servers": { "db1": { "host": …, "port": …, … and what was learned about it … }, … },
 *     "old_primary": "db1", "candidate": "db3", …          decisions
 *   } */
#pragma once

#include "json.h"

typedef struct Facts {
        Json *root;
} Facts;

Facts facts_new(const char *cluster, const char *run, const char *procedure);
Facts facts_copy(const Facts *facts);
void facts_done(Facts *facts);
static inline void facts_done_cleanup(Facts *facts)
{
        facts_done(facts);
}
/* Merges what was learned: about one server, or about the run when server is NULL. */
void facts_learn(Facts *facts, const char *server, const Json *learned);

/* One server's object (NULL when unknown), and its members. */
const Json *facts_server(const Facts *facts, const char *server);
const char *facts_server_string(const Facts *facts, const char *server, const char *name);
int64_t facts_server_int(const Facts *facts, const char *server, const char *name, int64_t otherwise);
bool facts_server_bool(const Facts *facts, const char *server, const char *name, bool otherwise);
/* Whether two servers are on one host, by where SSH leads ("place"): what is done to a host meets both. */
bool facts_same_host(const Facts *facts, const char *a, const char *b);
/* Members of the run, and of the frozen configuration by path ("fence.policy"). */
const char *facts_string(const Facts *facts, const char *name);
const Json *facts_config(const Facts *facts, const char *path);
const char *facts_config_string(const Facts *facts, const char *path);
int64_t facts_config_int(const Facts *facts, const char *path, int64_t otherwise);
bool facts_config_bool(const Facts *facts, const char *path, bool otherwise);
/* The servers' names in the order of the configuration. */
size_t facts_n_servers(const Facts *facts);
const char *facts_server_name(const Facts *facts, size_t i);
