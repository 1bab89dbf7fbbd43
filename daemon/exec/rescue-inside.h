/* The parts of a rescue, for its own files only: what was ordered and copied (rescue-copy.c), what is in it
 * (rescue-index.c), and the feeds out of it (rescue-feed.c). */
#pragma once

#include "feed.h"
#include "fetch.h"
#include "pool.h"
#include "ranges.h"
#include "rescue.h"
#include "saved.h"

/* Copying. */

typedef struct SavedFile {
        char *file, *path; /* in the primary's log (of a relay log: its own name), and on the host */
        uint64_t from, to; /* as ordered */
        char *local;       /* where the copy is */
        char *head;        /* a copy of the head of a file that is not there from its beginning; else NULL */
        bool head_copied, copied, indexed, verified;
        uint64_t size; /* of the copy */
        char sha256[65];
} SavedFile;

typedef enum SourceState {
        SOURCE_COPYING,
        SOURCE_INDEXING,
        SOURCE_DONE,
        SOURCE_FAILED,
        _SOURCE_STATE_MAX,
} SourceState;

typedef struct SavedSource SavedSource;
struct SavedSource {
        SavedSource *next;
        Rescue *rescue;
        char *server;
        bool relay;
        uint32_t own_id;
        Position start;
        Position around;  /* only the file of it: in which the relay log stands that is being applied */
        SavedFile *files; /* in the order of the log */
        size_t n_files;
        size_t number; /* in the index, when in_index */
        bool in_index;
        bool apart; /* through a session of its own */
        bool bad;   /* a copy cannot be read: nothing more is indexed before it is ordered again */

        PoolClaim *claim;
        SshLink *link; /* when apart */
        Fetch *fetch;
        SavedFile *fetching;
        Fetch *head_fetch; /* at the same time, of its head */
        uint64_t fetched;  /* so far */
        Timer *again;
        unsigned n_tries;
        FetchEnd end; /* of the last copy that failed, or of reading it */
        Failure failure;
        Failure damage; /* the first place in a copy where the rest of the file cannot be read */
};

const char *source_state_to_string(SourceState state);
SourceState source_state(const SavedSource *source);
/* A new source, or more files for one that is there; goes on with what is not copied yet. */
int source_order(Rescue *rescue, const Json *input, Failure *reterr);
void source_free(SavedSource *source);
SavedSource *source_find(const Rescue *rescue, const char *server);
/* Where the copies of binary logs begin; unset when there are none. */
Position source_begin(const Rescue *rescue);
Json *source_describe(const SavedSource *source);
/* What is on disk, so that another process finds it; and that again. */
int source_save_all(Rescue *rescue, Failure *reterr);
void source_load_all(Rescue *rescue);
/* With what is not copied yet. */
void source_go_on(Rescue *rescue);

/* Indexing: in a thread, which has the index meanwhile. */

typedef struct Indexing Indexing;
typedef struct IndexWriter IndexWriter;
/* First of all: with the index that another process has left. */
void indexing_load(Rescue *rescue);
/* Begins with what is copied and not indexed, if there is anything and nothing is under way; when there is nothing left,
 * the index goes to the disk. */
void indexing_start(Rescue *rescue);
void indexing_stop(Rescue *rescue);

/* Feeding. */

typedef struct Standin Standin;
int standin_order(Rescue *rescue, const Json *input, Failure *reterr);
void standin_end(Rescue *rescue, const char *server);
void standin_free(Standin *standin);
Standin *standin_find(const Rescue *rescue, const char *server);
const char *standin_password(const Standin *standin);
const char *standin_server(const Standin *standin);
Json *standin_describe(const Standin *standin);
Standin *standin_next(const Standin *standin);

struct Rescue {
        Loop *loop;
        const RescueSettings *settings;
        char *run, *directory;
        char *why; /* it was ordered, for people; may be NULL */
        rescue_pool_fn pool;
        void *userdata;

        SavedSource *sources;
        Position *borders;
        size_t n_borders, n_told; /* to the index */
        Ranges *ranges;           /* NULL while a thread has it */
        Json *differences;        /* in it, as "differ"; NULL: nobody has looked */
        Indexing *indexing;
        IndexWriter *writer;
        bool unwritten;        /* what is on disk is not the whole index */
        Failure index_failure; /* why it is not */
        Standin *standins;
        char uuid[37];
};
