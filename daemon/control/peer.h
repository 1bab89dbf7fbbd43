/* Who is at the other end of a connection, and whether he may change anything. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "failure.h"

#define PEER_NO_GROUP ((gid_t) -1)

typedef struct Peer {
        char who[80]; /* for the record: "root (uid 0, pid 4711)" */
        uid_t uid;
        bool may_change;
        bool trusted; /* root, or the user that we run as */
} Peer;

/* From the kernel's credentials of a connected Unix socket, as they were when it connected. Root, the user that we run
 * as and members of group may change. Asks no name service, so it never waits. */
int peer_read(int fd, gid_t group, Peer *ret, Failure *reterr);
