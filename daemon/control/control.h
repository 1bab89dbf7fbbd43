/* The control socket: anybody may connect and ask; whoever may change something is found by the kernel's credentials.
 * It speaks varlink, interface org.mhad (lib/org.mhad.varlink). */
#pragma once

#include "loop.h"
#include "registry.h"

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_CLIENTS_RESERVED 16 /* of these, kept free for those who may change something */
#define CONTROL_CLIENTS_OF_ONE 16   /* of one user, who is neither root nor ours */
#define CONTROL_QUESTIONS_MAX 4     /* at a time, that take time and servers, of those who may only ask */

typedef struct Control Control;

/* Listens on inherited_fd (a listening socket from the service manager, taken over on success) or, when that is
 * negative, on a new socket at path, replacing the file of a daemon that is gone. group (may be NULL) is the local
 * group whose members may use the changing methods; a group that does not exist has no members. */
int control_new(Loop *loop, Registry *registry, const char *path, int inherited_fd, const char *group, Control **ret,
                Failure *reterr);
/* The listening socket if it is of our own making, else -1. */
int control_socket(const Control *control);
/* Somebody else goes on listening on it: its file stays when we end. */
void control_leave_socket(Control *control);
/* Drops all connections; removes the socket file that it made. */
Control *control_free(Control *control);
DEFINE_CLEANUP(Control *, control_free)
