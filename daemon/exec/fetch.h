/* Copies one file of a host, or a part of it, into a local file over an SSH session, so that it survives a power cut and
 * goes on where it stopped. Nothing is asked of the host but sh, stat, tail, head, and sha256sum where it is there. */
#pragma once

#include "script.h"
#include "ssh.h"

typedef struct FetchParams {
        const char *remote; /* absolute */
        const char *local;  /* made when it is not there; what it holds already is the beginning of an earlier try */
        uint64_t from, to;  /* bytes of the remote file; to == 0: to the end that it has when this begins */
        Sudo sudo;
        usec_t patience; /* fails when the host sends nothing for so long; 0 for 20 s */
} FetchParams;

typedef enum FetchEnd {
        FETCH_DONE,
        FETCH_LOST,      /* the session ended or the host is silent: worth another try */
        FETCH_NO_FILE,   /* it is not there (any more): never was, or purged */
        FETCH_FORBIDDEN, /* permission denied on the host, or sudo does not let us */
        FETCH_SHORT,     /* it is smaller than what is wanted, or was cut under our hands */
        FETCH_LOCAL,     /* our own disk: full, not writable, failing */
        FETCH_DIFFERENT, /* what is here now is not what is there: a bad disk, or the file was changed while it was read */
        FETCH_FAILED,    /* anything else */
        _FETCH_END_MAX,
        _FETCH_END_INVALID = -22,
} FetchEnd;

const char *fetch_end_to_string(FetchEnd end);

typedef struct FetchResult {
        FetchEnd end;
        Failure failure;  /* FAILURE_NONE for FETCH_DONE */
        uint64_t size;    /* of the local file */
        uint64_t resumed; /* so much of it was here already */
        bool verified;    /* the host's own SHA-256 of these bytes is the same; false: it has no sha256sum */
        char sha256[65];  /* in hexadecimal; "" unless done */
} FetchResult;

typedef struct Fetch Fetch;
/* total is 0 until the size is known; not called more often than each 100 ms. NULL when nobody wants to know. */
typedef void (*fetch_progress_fn)(uint64_t done, uint64_t total, void *userdata);
typedef void (*fetch_done_fn)(const FetchResult *result, void *userdata);

/* The fetch is gone when done is called. It has no deadline but patience: however large, it may take its time as long as
 * bytes come. When it ends well, the file and its directory entry are on the disk. */
Fetch *fetch_start(Loop *loop, SshLink *link, const FetchParams *params, fetch_progress_fn progress, fetch_done_fn done,
                   void *userdata);
/* Ends it without calling done; what has come stays in the local file. Takes NULL. */
Fetch *fetch_abandon(Fetch *fetch);
DEFINE_CLEANUP(Fetch *, fetch_abandon)
