/* A command on a host that is started before it is wanted: it prints a line when it is ready, reads the line "go" from its
 * standard input, and only then does what it is for. It must end by itself when its standard input ends before. */
#pragma once

#include "ssh.h"

typedef struct Talk Talk;

/* Its first line. Not called when it ends before. Either function may free the talk. */
typedef void (*talk_greeted_fn)(Talk *talk, const char *line, void *userdata);
/* It has ended; result->out is what it printed after its first line. */
typedef void (*talk_ended_fn)(Talk *talk, const SshResult *result, void *userdata);

/* Begins; it has to print something at least each so long as patience. */
Talk *talk_new(SshLink *link, const char *command, usec_t patience, talk_greeted_fn greeted, talk_ended_fn ended,
               void *userdata);
/* The word, at any time, once. */
void talk_go(Talk *talk);
/* Without a call; takes NULL. A command that has its word goes on running on the host, the others end. */
Talk *talk_free(Talk *talk);
