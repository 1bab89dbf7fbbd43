/* Whether a host is the one that known_hosts means, with sentences that say what to type when it is not. */
#pragma once

#include <libssh/libssh.h>
#include <stdbool.h>

#include "failure.h"

/* Before connecting: the name under which the host stands in known_hosts, the operator's or its address (always that
 * of a name that libssh does not take); lent. Leaves
 * the session's host set to the address. */
const char *hostkey_lookup_name(ssh_session session, const char *name, const char *address);
/* After the key exchange, with the session's host set to the lookup name. */
int hostkey_check(ssh_session session, const char *name, unsigned port, const char *known_hosts_file,
                  bool accept_unknown, Failure *reterr);
