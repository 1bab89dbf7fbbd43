/* A server of a cluster as the operator described it: who and where. What it does is observation.h's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"

typedef enum Promotion {
        PROMOTION_ALLOW,
        PROMOTION_PREFER,
        PROMOTION_NEVER,
        _PROMOTION_MAX,
        _PROMOTION_INVALID = -22,
} Promotion;

typedef struct Server {
        char *name; /* unique in its cluster */
        char *host; /* name or address of the database */
        char *mha_hostname; /* what MHA's scripts are told as its host; NULL: host */
        uint16_t port;
        char *ssh_host; /* equals host unless it was given */
        uint16_t ssh_port;
        char *ssh_user;
        char *binlog_directory; /* NULL: asked from the server */
        Promotion promotion;
        bool observer; /* SSH only: gives second opinions, has no database */
} Server;

const char *promotion_to_string(Promotion promotion);
Promotion promotion_from_string(const char *name);

void server_done(Server *server); /* frees what is in it */
Server server_copy(const Server *server);
/* Which machine it is on, as far as the configuration tells: where SSH to it leads. address is what host resolves to, or
 * NULL. Equal for servers that share a host. The caller frees it. */
char *server_place(const Server *server, const char *address);
Json *server_to_json(const Server *server);
/* NULL members get their defaults (port 3306, SSH 22). Ends with server_done(). FAILURE_INVALID without a name or host. */
int server_from_json(const Json *json, Server *ret, Failure *reterr);
