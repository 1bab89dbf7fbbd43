/* Calls to the daemon: blocking, with a limit on the wait, and errors in words. */
#pragma once

#include <stdbool.h>

#include "api.h"
#include "usec.h"

#define CALL_PATIENCE (30 * USEC_SEC)
#define CALL_RELOAD_PATIENCE (90 * USEC_SEC) /* programs that give passwords have their time */

typedef struct Call Call; /* a connection */

typedef struct Reply {
        char *error; /* the varlink error, NULL when it went well */
        Json *parameters;
        bool continues; /* there will be more */
} Reply;

/* Every failure here and below that has to do with reaching the daemon is of another kind than FAILURE_INVALID. */
int call_open(const char *path, Call **ret, Failure *reterr);
Call *call_close(Call *call);
DEFINE_CLEANUP(Call *, call_close)
/* parameters are taken over. */
int call_send(Call *call, ApiId id, Json *parameters, bool more, Failure *reterr);
/* FAILURE_TIMEOUT when nothing has come in time; the connection is still of use then. */
int call_receive(Call *call, usec_t timeout, Reply *ret, Failure *reterr);
void reply_done(Reply *reply);
static inline void reply_done_cleanup(Reply *reply)
{
        reply_done(reply);
}
/* The daemon's error in words: FAILURE_INVALID. */
int reply_failure(const Reply *reply, Failure *reterr);

/* Open, send, receive, close; an error of the daemon is a failure. */
int call_once(const char *path, ApiId id, Json *parameters, Json **ret, Failure *reterr);
