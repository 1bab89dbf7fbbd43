/* The hosts of a cluster asked by SSH, all at once, for mhactl check. */
#pragma once

#include "config.h"
#include "facts.h"
#include "loop.h"
#include "resolve.h"
#include "ssh.h"

typedef struct SshChecks SshChecks;
typedef void (*ssh_checks_fn)(void *userdata);

typedef struct SshChecksPlan {
        const ClusterConfig *config; /* lent, as all of this */
        const SshIdentity *identity;
        const Facts *facts;
        const bool *alive; /* one a server: whether its database answers */
        ssize_t only;      /* only this server's host; -1: all hosts */
        bool mesh;         /* also from each to each other by the hosts' own keys */
        usec_t deadline;   /* absolute */
} SshChecksPlan;

/* Appends its findings to results and calls done, once, from the loop; it is to be freed then. */
SshChecks *ssh_checks_new(Loop *loop, Resolver *resolver, const SshChecksPlan *plan, Json *results, ssh_checks_fn done,
                          void *userdata);
SshChecks *ssh_checks_free(SshChecks *checks); /* takes NULL; calls nobody */
