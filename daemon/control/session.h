/* One connection of the control socket: messages in, answers out in their order, never more memory or time for it than
 * the limits below. */
#pragma once

#include "cleanup.h"
#include "loop.h"
#include "peer.h"
#include "registry.h"

#define SESSION_OUTPUT_MAX ((size_t) 4 * 1024 * 1024)     /* unread answers, beyond which a client is dropped */
#define SESSION_STRANGER_MESSAGE_MAX ((size_t) 64 * 1024) /* the longest call of somebody who may only ask */
#define SESSION_ANSWER_PATIENCE (20 * USEC_SEC)           /* for an answer that is given later */
#define SESSION_RELOAD_PATIENCE (80 * USEC_SEC)           /* for one that programs have a part in */
#define SESSION_PATIENCE (30 * USEC_SEC)                  /* for the rest of a message, or for a client to read on */

typedef struct Session Session;

/* Whoever owns the sessions. */
typedef struct SessionOwner {
        /* One has a call to be answered: session_answer() it soon, one session a turn of the loop. */
        void (*waiting)(void *userdata);
        /* Whether one of somebody who may only ask may keep servers, hosts or disks busy. */
        bool (*patient)(void *userdata);
        /* Called once, from the loop, when the connection is over: free it. */
        void (*ended)(Session *session, void *userdata);
        void *userdata;
} SessionOwner;

/* Takes the connected, non-blocking descriptor over. */
Session *session_new(Loop *loop, Registry *registry, int fd, const Peer *peer, const SessionOwner *owner);
const Peer *session_peer(const Session *session);
bool session_is_busy(const Session *session); /* awaits an answer that keeps servers, hosts or disks busy */
bool session_is_waiting(const Session *session);
void session_answer(Session *session); /* one call */
Session *session_free(Session *session);
DEFINE_CLEANUP(Session *, session_free)
