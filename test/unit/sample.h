/* Logs for tests: real ones out of data/, and events made by hand. */
#pragma once

#include "logreader.h"

/* The folder of the samples: the test's first argument. */
void sample_init(int argc, char **argv);
/* A whole file; free with free(). */
uint8_t *sample_load(const char *name, size_t *ret_length);

/* Calls seen with each event of a log, which is given in chunks of that many bytes. What the reader returned last;
 * *ret_end is where the last complete event ends. */
typedef void (*sample_fn)(const BinlogEvent *event, void *userdata);
int sample_read(LogReaderKind kind, const uint8_t *bytes, size_t length, size_t chunk, sample_fn seen, void *userdata,
                uint64_t *ret_end, Failure *reterr);

/* An event by hand, with a checksum. */
typedef struct SampleEvent {
        uint8_t type;
        uint32_t server_id, end;
        uint16_t flags;
        const void *body;
        size_t length;
} SampleEvent;

void sample_add_event(Text *out, const SampleEvent *event);
/* The same for a log of MySQL: its magic and format description (of a recent version, or of another one of at most 49
 * characters); a GTID (uuid of one repeated byte), a BEGIN, an XID. */
void sample_add_head(Text *out, uint32_t server_id);
void sample_add_head_of(Text *out, uint32_t server_id, const char *version);
void sample_add_gtid(Text *out, uint8_t uuid, uint64_t sequence, uint32_t end);
void sample_add_query(Text *out, const char *query, uint32_t end);
void sample_add_xid(Text *out, uint32_t end);
