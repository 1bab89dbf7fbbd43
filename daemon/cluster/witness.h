/* Second opinions: what stands at the primary's SQL port as seen from the hosts of the replicas and observers, through SSH.
 * Sessions are opened when somebody asks and closed some time after. */
#pragma once

#include "config.h"
#include "greeting.h"
#include "loop.h"
#include "resolve.h"
#include "ssh.h"
#include "verdict.h"

typedef struct Witnesses Witnesses;
typedef void (*witnesses_fn)(void *userdata); /* an opinion has come or changed; from the loop */

/* One place for each server and then each observer of the configuration. identity may be NULL: nobody can be asked. */
Witnesses *witnesses_new(Loop *loop, Resolver *resolver, const SshIdentity *identity, const ClusterConfig *config,
                         witnesses_fn changed, void *userdata);
Witnesses *witnesses_free(Witnesses *witnesses);

/* Starts asking everybody but the suspect itself, whose host is only tried for SSH; asks again by itself until told to
 * stop. No-op while it is under way for the same suspect. */
void witnesses_ask(Witnesses *witnesses, size_t suspect);
/* Stops asking; opinions are forgotten, sessions close after a while. */
void witnesses_rest(Witnesses *witnesses);

size_t witnesses_n(const Witnesses *witnesses);
TunnelOpinion witnesses_opinion(const Witnesses *witnesses, size_t i);
usec_t witnesses_tried_at(const Witnesses *witnesses,
                          size_t i); /* when the attempt that the opinion is of began; 0: none */
const char *witnesses_text(const Witnesses *witnesses, size_t i); /* what came back, or why nothing did; "" */
bool witnesses_is_pending(const Witnesses *witnesses, size_t i);  /* a first answer may still come in time */
/* Whether SSH to that host works: 1 yes, 0 no, -1 not known yet. */
int witnesses_ssh(const Witnesses *witnesses, size_t i);
