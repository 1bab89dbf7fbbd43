/* What one replica is sent, event by event: goes through the pieces of a store in a window of one file, and puts into the
 * protocol's output what the replica is to have (model/stream.h decides). */
#pragma once

#include "binlog.h"
#include "feed.h"
#include "stream.h"

typedef struct FeedStore {
        struct FeedStorePiece *pieces;
        size_t n_pieces;
        Position end;
        GtidFamily family;
} FeedStore;

void feed_store_init(FeedStore *store, const FeedParams *params);
void feed_store_done(FeedStore *store);
/* Whether the events of a file (NULL: the first) have checksums; yes when that cannot be told. */
bool feed_store_has_checksums(const FeedStore *store, const char *file);

typedef enum FeedStep {
        FEED_STEP_ON,
        FEED_STEP_WAIT, /* for the disk: ready() will be called */
        FEED_STEP_END,  /* nothing is left */
        FEED_STEP_BAD,  /* reterr says why */
} FeedStep;

typedef struct FeedReader FeedReader;
/* The store and the request outlive it. -EINVAL and a sentence when it cannot begin where the request says. */
int feed_reader_new(Loop *loop, const FeedStore *store, const FeedWireRequest *request, const Position *expected,
                    loop_fn ready, void *userdata, FeedReader **ret, Failure *reterr);
FeedReader *feed_reader_free(FeedReader *reader);
/* One event, or a part of a long one, or what makes none. */
FeedStep feed_reader_step(FeedReader *reader, FeedWire *out, Failure *reterr);
bool feed_reader_is_between_events(const FeedReader *reader);
/* At the end: tells the replica where it stands, in case it could not know, and that there is no more. */
int feed_reader_level(FeedReader *reader, FeedWire *out, Failure *reterr);
void feed_reader_heartbeat(FeedReader *reader, FeedWire *out);
/* Fills in from, reached, sent, left, n_skipped and n_holes. */
void feed_reader_progress(const FeedReader *reader, FeedProgress *progress);
