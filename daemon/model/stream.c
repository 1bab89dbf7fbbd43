/* What a feed sends. Owns where each replica believes to stand; must never let it believe in a place that the next event
 * or heartbeat denies. */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct Stream {
        TransactionFilter *filter; /* NULL: by position */
        Position at;               /* where the log goes on */
        Position believed;         /* where the replica thinks that it does; unset: it does not know */
        Group group;
        bool skips; /* the transaction under way */
        uint64_t n_skipped;
};

static void put(uint8_t *bytes, uint64_t value, size_t length)
{
        for (size_t i = 0; i < length; i++, value >>= 8)
                bytes[i] = (uint8_t) value;
}

static void add_event(Text *out, uint8_t type, uint32_t server_id, uint32_t end, uint16_t flags, const Text *body,
                      bool checksum)
{
        uint8_t header[BINLOG_HEADER_LENGTH] = { 0 };
        size_t start = out->length, length = sizeof header + body->length;
        header[4] = type;
        put(header + 5, server_id, 4);
        put(header + 9, length + (checksum ? BINLOG_CHECKSUM_LENGTH : 0), 4);
        put(header + 13, end, 4);
        put(header + 17, flags, 2);
        text_add_n(out, (const char *) header, sizeof header);
        text_add_n(out, body->data, body->length);
        if (checksum) {
                uint8_t sum[BINLOG_CHECKSUM_LENGTH];
                put(sum, binlog_digest((const uint8_t *) out->data + start, length), sizeof sum);
                text_add_n(out, (const char *) sum, sizeof sum);
        }
}

void stream_add_rotate(Text *out, uint32_t server_id, const Position *to, bool checksum)
{
        CLEANUP(text_done) Text body = { 0 };
        uint8_t offset[8];
        put(offset, to->offset, sizeof offset);
        text_add_n(&body, (const char *) offset, sizeof offset);
        text_add(&body, to->file);
        add_event(out, BINLOG_TYPE_ROTATE, server_id, 0, BINLOG_FLAG_ARTIFICIAL, &body, checksum);
}

/* The protocol's length-encoded number. */
static size_t put_lenenc(uint8_t bytes[9], uint64_t value)
{
        size_t length = value < 0xfb ? 0 : value <= UINT16_MAX ? 2 : value < 1 << 24 ? 3 : 8;
        if (length == 0) {
                bytes[0] = (uint8_t) value;
                return 1;
        }
        bytes[0] = (uint8_t) (length == 2 ? 0xfc : length == 3 ? 0xfd : 0xfe);
        put(bytes + 1, value, length);
        return length + 1;
}

static void add_field(Text *body, uint8_t tag, const void *bytes, size_t length)
{
        uint8_t head[10] = { tag };
        size_t n = 1 + put_lenenc(head + 1, length);
        text_add_n(body, (const char *) head, n);
        text_add_n(body, bytes, length);
}

void stream_add_heartbeat(Text *out, bool v2, uint32_t server_id, const Position *at, bool checksum)
{
        CLEANUP(text_done) Text body = { 0 };
        if (!v2) {
                text_add(&body, at->file);
                add_event(out, BINLOG_TYPE_HEARTBEAT, server_id, (uint32_t) at->offset, 0, &body, checksum);
                return;
        }
        uint8_t offset[9];
        size_t n = put_lenenc(offset, at->offset);
        add_field(&body, 1, at->file, strlen(at->file));
        add_field(&body, 2, offset, n);
        text_add_n(&body, "", 1);
        add_event(out, BINLOG_TYPE_HEARTBEAT_V2, server_id, (uint32_t) at->offset, 0, &body, checksum);
}

int stream_add_format(Text *out, const uint8_t *bytes, size_t length, bool in_file, Failure *reterr)
{
        BinlogFormat format;
        int r = binlog_read_format(bytes, length, &format, reterr);
        if (r < 0)
                return r;
        uint8_t *event = format.bytes;
        put(event + 17, (uint16_t) (event[17] | event[18] << 8) & (uint16_t) ~(BINLOG_FLAG_IN_USE | BINLOG_FLAG_RELAY),
            2);
        if (!in_file)
                put(event + 13, 0, 4);
        put(event + BINLOG_HEADER_LENGTH + 52, 0, 4); /* created */
        put(event + length - BINLOG_CHECKSUM_LENGTH, binlog_digest(event, length - BINLOG_CHECKSUM_LENGTH),
            BINLOG_CHECKSUM_LENGTH);
        text_add_n(out, (const char *) event, length);
        return 0;
}

/* Decisions. */

Stream *stream_new(const Position *from, GtidFamily family, const GtidSet *has)
{
        Stream *stream = ALLOC(Stream);
        stream->at = *from;
        stream->filter = has ? transaction_filter_new(family, has) : NULL;
        group_reset(&stream->group);
        return stream;
}

Stream *stream_free(Stream *stream)
{
        if (stream)
                transaction_filter_free(stream->filter);
        free(stream);
        return NULL;
}

const Position *stream_position(const Stream *stream)
{
        return &stream->at;
}

bool stream_is_known(const Stream *stream)
{
        return position_equal(&stream->believed, &stream->at);
}

void stream_announced(Stream *stream)
{
        stream->believed = stream->at;
}

uint64_t stream_n_skipped(const Stream *stream)
{
        return stream->n_skipped;
}

static StreamAction decide(Stream *stream, const BinlogEvent *event, GroupStep step)
{
        bool begins = step == GROUP_BEGIN || step == GROUP_ALONE;
        if (begins) {
                stream->skips = stream->filter && transaction_filter_has(stream->filter, &stream->group.gtid.id);
                stream->n_skipped += stream->skips;
        }
        if (step != GROUP_OUTSIDE)
                return stream->skips ? STREAM_DROP : STREAM_SEND;
        switch (event->header.type) {
        case BINLOG_TYPE_STOP: /* MySQL does not count it, and then stands before where it should */
        case BINLOG_TYPE_HEARTBEAT:
        case BINLOG_TYPE_HEARTBEAT_V2:
        case BINLOG_TYPE_START_ENCRYPTION:
                return STREAM_DROP;
        case BINLOG_TYPE_FORMAT:
                return STREAM_SEND_FORMAT;
        default:
                return event->header.flags & BINLOG_FLAG_ARTIFICIAL ? STREAM_DROP : STREAM_SEND;
        }
}

/* Where the replica thinks to stand behind an event: it adds lengths, and believes a ROTATE. */
static int believe(Stream *stream, const BinlogEvent *event, Failure *reterr)
{
        if (event->header.type != BINLOG_TYPE_ROTATE) {
                stream->believed.offset += event->header.length;
                return 0;
        }
        /* The file that follows is announced all the same. */
        Position next;
        int r = binlog_read_rotate(event, &next, reterr);
        if (r < 0)
                return r;
        stream->at = next;
        stream->believed = (Position){ 0 };
        return 0;
}

int stream_decide(Stream *stream, const BinlogEvent *event, const Position *start, uint64_t end, StreamDecision *ret,
                  Failure *reterr)
{
        int step = group_step(&stream->group, event, reterr);
        if (step < 0)
                return step;
        if (step == GROUP_OUTSIDE)
                group_reset(&stream->group); /* in the primary's own log these stand between transactions only */
        StreamDecision decision = { .action = decide(stream, event, (GroupStep) step) };
        bool within = step == GROUP_INSIDE || step == GROUP_END;
        stream->at = *start;
        stream->at.offset = end;
        if (decision.action != STREAM_DROP) {
                /* Within a transaction only rewritten events make a difference, and that waits until its end. */
                decision.announce = !within && !position_equal(&stream->believed, start);
                if (decision.announce)
                        stream->believed = *start;
                int r = believe(stream, event, reterr);
                if (r < 0)
                        return r;
        }
        *ret = decision;
        return 0;
}
