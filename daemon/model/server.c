/* A configured server as a value. Owns its strings; must never look a name up. */
#include "server.h"

#include <stdlib.h>

#include "enum.h"
#include "host.h"
#include "text.h"

static const char *const promotion_names[_PROMOTION_MAX] = {
        [PROMOTION_ALLOW] = "allow",
        [PROMOTION_PREFER] = "prefer",
        [PROMOTION_NEVER] = "never",
};
ENUM_STRINGS(promotion, Promotion, promotion_names)

void server_done(Server *server)
{
        free(server->name);
        free(server->host);
        free(server->mha_hostname);
        free(server->ssh_host);
        free(server->ssh_user);
        free(server->binlog_directory);
        *server = (Server){ 0 };
}

Server server_copy(const Server *server)
{
        Server copy = *server;
        copy.name = alloc_string(server->name);
        copy.host = alloc_string(server->host);
        copy.mha_hostname = alloc_string(server->mha_hostname);
        copy.ssh_host = alloc_string(server->ssh_host);
        copy.ssh_user = alloc_string(server->ssh_user);
        copy.binlog_directory = alloc_string(server->binlog_directory);
        return copy;
}

char *server_place(const Server *server, const char *address)
{
        bool apart = !text_equal(server->ssh_host, server->host);
        CLEANUP(mem_free) char *host = host_canonical(apart || !address ? server->ssh_host : address);
        return host_and_port(host, server->ssh_port);
}

Json *server_to_json(const Server *server)
{
        Json *json = json_object();
        json_set_string(json, "name", server->name);
        json_set_string(json, "host", server->host);
        json_set_string(json, "mha_hostname", server->mha_hostname);
        json_set_int(json, "port", server->port);
        json_set_string(json, "ssh_host", server->ssh_host);
        json_set_int(json, "ssh_port", server->ssh_port);
        json_set_string(json, "ssh_user", server->ssh_user);
        json_set_string(json, "binlog_directory", server->binlog_directory);
        json_set_string(json, "promotion", promotion_to_string(server->promotion));
        if (server->observer)
                json_set_bool(json, "observer", true);
        return json;
}

static int get_port(const Json *json, const char *name, uint16_t otherwise, uint16_t *ret, Failure *reterr)
{
        int64_t port = json_get_int(json, name, otherwise);
        if (port < 1 || port > 65535)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is not a port number", name);
        *ret = (uint16_t) port;
        return 0;
}

int server_from_json(const Json *json, Server *ret, Failure *reterr)
{
        Server server = { 0 };
        const char *name = json_get_string(json, "name"), *host = json_get_string(json, "host");
        const char *ssh_host = json_get_string(json, "ssh_host"), *promotion = json_get_string(json, "promotion");
        if (text_is_empty(name) || text_is_empty(host))
                return failure_set(reterr, FAILURE_INVALID, 0, "a server has no name or no host");
        int r = get_port(json, "port", 3306, &server.port, reterr);
        if (r >= 0)
                r = get_port(json, "ssh_port", 22, &server.ssh_port, reterr);
        if (r < 0)
                return r;
        server.promotion = promotion ? promotion_from_string(promotion) : PROMOTION_ALLOW;
        if (server.promotion < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "server %s: unknown promotion \"%s\"", name, promotion);
        server.observer = json_get_bool(json, "observer", false);
        server.name = alloc_string(name);
        server.host = alloc_string(host);
        server.mha_hostname = alloc_string(json_get_string(json, "mha_hostname"));
        server.ssh_host = alloc_string(ssh_host ? ssh_host : host);
        server.ssh_user = alloc_string(json_get_string(json, "ssh_user"));
        server.binlog_directory = alloc_string(json_get_string(json, "binlog_directory"));
        *ret = server;
        return 0;
}
