/* From chunks to events. Owns the kept bytes of one event; must never hold more of it than is needed, nor believe a
 * length before the bytes are there. */
#include "logreader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "alloc.h"

enum { KEPT_MAX = 64 * 1024 * 1024 }; /* for the longest list of GTIDs */

struct LogReader {
        LogReaderKind kind;
        BinlogFormat format;
        bool began;       /* the magic was seen */
        bool first_event; /* the next event is the second of the file */
        bool wants_heads, gave_head;
        bool failed;
        uint64_t offset; /* of the event under way */
        uint64_t done;   /* bytes taken of it */
        uint8_t *kept;
        size_t n_kept, capacity;
        BinlogHeader header; /* valid once done >= BINLOG_HEADER_LENGTH */
        size_t to_keep;
        uint64_t covered; /* by the checksum */
        uLong digest;
        uint8_t checksum[BINLOG_CHECKSUM_LENGTH];
};

LogReader *logreader_new(LogReaderKind kind)
{
        LogReader *reader = ALLOC(LogReader);
        reader->kind = kind;
        return reader;
}

LogReader *logreader_new_at(LogReaderKind kind, uint64_t offset, const BinlogFormat *format)
{
        LogReader *reader = logreader_new(kind);
        reader->began = true;
        reader->offset = offset;
        reader->format = *format;
        return reader;
}

LogReader *logreader_free(LogReader *reader)
{
        if (reader)
                free(reader->kept);
        free(reader);
        return NULL;
}

void logreader_want_heads(LogReader *reader)
{
        reader->wants_heads = true;
}

uint64_t logreader_offset(const LogReader *reader)
{
        return reader->offset;
}

uint64_t logreader_taken(const LogReader *reader)
{
        return reader->offset + reader->done;
}

const BinlogFormat *logreader_format(const LogReader *reader)
{
        return &reader->format;
}

/* Keeps bytes up to a number of them; as many as there are. */
static void keep(LogReader *reader, size_t wanted, const uint8_t **bytes, size_t *length)
{
        size_t n = wanted - reader->n_kept;
        if (n > *length)
                n = *length;
        if (reader->n_kept + n > reader->capacity) {
                reader->capacity = (reader->n_kept + n) * 2;
                reader->kept = alloc_resize(reader->kept, reader->capacity, 1);
        }
        memcpy(reader->kept + reader->n_kept, *bytes, n);
        reader->n_kept += n;
        reader->done += n;
        *bytes += n;
        *length -= n;
}

static bool has_checksum(const LogReader *reader)
{
        return reader->header.type == BINLOG_TYPE_FORMAT || reader->format.checksum;
}

static int refuse(const LogReader *reader, Failure *reterr, const char *why)
{
        return failure_set(reterr, FAILURE_PROTOCOL, 0, "at %llu %s", (unsigned long long) reader->offset, why);
}

static int check_header(const LogReader *reader, Failure *reterr)
{
        const BinlogHeader *header = &reader->header;
        bool is_format = header->type == BINLOG_TYPE_FORMAT;
        uint64_t least = BINLOG_HEADER_LENGTH + (has_checksum(reader) ? BINLOG_CHECKSUM_LENGTH : 0);
        if (header->type == 0 || header->length < least || (is_format && header->length > BINLOG_FORMAT_MAX))
                return refuse(reader, reterr, "there is no event");
        if (reader->format.length == 0 && !is_format)
                return refuse(reader, reterr, "the log begins without a format description");
        if (reader->kind == LOGREADER_BINARY && header->end != 0 &&
            header->end != (uint32_t) (reader->offset + header->length))
                return refuse(reader, reterr, "there is an event that belongs elsewhere in the log");
        /* In a relay log it may come from the primary, whose events are sent decrypted. */
        if (header->type == BINLOG_TYPE_START_ENCRYPTION && (reader->kind == LOGREADER_BINARY || reader->first_event))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "the log is encrypted (encrypt_binlog): only its own server can read it");
        uint32_t needed = binlog_bytes_needed(header->type);
        if (needed == UINT32_MAX && header->length > KEPT_MAX)
                return refuse(reader, reterr, "there is a list that is too long to be true");
        return 0;
}

/* Once the header is there. */
static int begin_event(LogReader *reader, Failure *reterr)
{
        reader->header = binlog_header(reader->kept);
        int r = check_header(reader, reterr);
        if (r < 0)
                return r;
        uint32_t length = reader->header.length, needed = binlog_bytes_needed(reader->header.type);
        reader->to_keep = needed < length ? needed : length;
        reader->covered = length - (has_checksum(reader) ? BINLOG_CHECKSUM_LENGTH : 0);
        if (reader->to_keep > reader->covered && reader->header.type != BINLOG_TYPE_FORMAT)
                reader->to_keep = (size_t) reader->covered;
        reader->digest = crc32_z(0, NULL, 0);
        if (reader->header.type != BINLOG_TYPE_FORMAT)
                reader->digest = crc32_z(reader->digest, reader->kept, BINLOG_HEADER_LENGTH);
        return 0;
}

/* The next bytes of the body: into the checksum, or, behind what it covers, aside. */
static void take_body(LogReader *reader, const uint8_t *bytes, size_t length)
{
        size_t covered = 0;
        if (reader->done < reader->covered) {
                uint64_t left = reader->covered - reader->done;
                covered = left < length ? (size_t) left : length;
                reader->digest = crc32_z(reader->digest, bytes, covered);
        }
        for (size_t i = covered; i < length; i++)
                reader->checksum[reader->done + i - reader->covered] = bytes[i];
}

static void lend(const LogReader *reader, BinlogEvent *ret)
{
        *ret = (BinlogEvent){
                .header = reader->header,
                .offset = reader->offset,
                .bytes = reader->kept,
                .kept = reader->n_kept,
                .body_length = (size_t) reader->covered - BINLOG_HEADER_LENGTH,
                .digest = (uint32_t) reader->digest,
                .format = &reader->format,
        };
}

static int end_event(LogReader *reader, BinlogEvent *ret, Failure *reterr)
{
        if (reader->header.type == BINLOG_TYPE_FORMAT) {
                int r = binlog_read_format(reader->kept, reader->n_kept, &reader->format, reterr);
                if (r < 0)
                        return r;
                reader->digest = binlog_digest(reader->kept, (size_t) reader->covered);
        } else if (has_checksum(reader)) {
                const uint8_t *c = reader->checksum;
                uint32_t stored =
                        (uint32_t) c[0] | (uint32_t) c[1] << 8 | (uint32_t) c[2] << 16 | (uint32_t) c[3] << 24;
                if (stored != (uint32_t) reader->digest)
                        return refuse(reader, reterr, "there is an event with a wrong checksum");
        }
        lend(reader, ret);
        reader->first_event = reader->offset == BINLOG_MAGIC_LENGTH;
        reader->offset += reader->done;
        reader->done = 0;
        reader->n_kept = 0;
        reader->gave_head = false;
        return LOGREADER_EVENT;
}

static int take_magic(LogReader *reader, const uint8_t **bytes, size_t *length, Failure *reterr)
{
        keep(reader, BINLOG_MAGIC_LENGTH, bytes, length);
        if (reader->n_kept < BINLOG_MAGIC_LENGTH)
                return LOGREADER_MORE;
        int r = binlog_check_magic(reader->kept, reterr);
        if (r < 0)
                return r;
        reader->began = true;
        reader->offset = BINLOG_MAGIC_LENGTH;
        reader->done = 0;
        reader->n_kept = 0;
        return LOGREADER_EVENT;
}

static int take_event(LogReader *reader, const uint8_t **bytes, size_t *length, BinlogEvent *ret, Failure *reterr)
{
        if (reader->done < BINLOG_HEADER_LENGTH) {
                keep(reader, BINLOG_HEADER_LENGTH, bytes, length);
                if (reader->done < BINLOG_HEADER_LENGTH)
                        return LOGREADER_MORE;
                int r = begin_event(reader, reterr);
                if (r < 0)
                        return r;
        }
        if (reader->n_kept < reader->to_keep) {
                const uint8_t *from = *bytes;
                uint64_t done = reader->done;
                keep(reader, reader->to_keep, bytes, length);
                uint64_t now = reader->done;
                reader->done = done;
                if (reader->header.type != BINLOG_TYPE_FORMAT)
                        take_body(reader, from, (size_t) (now - done));
                reader->done = now;
                if (reader->n_kept < reader->to_keep)
                        return LOGREADER_MORE;
        }
        if (reader->wants_heads && !reader->gave_head) {
                reader->gave_head = true;
                lend(reader, ret);
                return LOGREADER_HEAD;
        }
        uint64_t left = reader->header.length - reader->done;
        size_t n = left < *length ? (size_t) left : *length;
        take_body(reader, *bytes, n);
        reader->done += n;
        *bytes += n;
        *length -= n;
        return n == left ? end_event(reader, ret, reterr) : LOGREADER_MORE;
}

int logreader_take(LogReader *reader, const uint8_t **bytes, size_t *length, BinlogEvent *ret, Failure *reterr)
{
        int r = LOGREADER_EVENT;
        if (reader->failed)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "the log could not be read on");
        if (!reader->began)
                r = take_magic(reader, bytes, length, reterr);
        if (r == LOGREADER_EVENT)
                r = take_event(reader, bytes, length, ret, reterr);
        reader->failed = r < 0;
        return r;
}
