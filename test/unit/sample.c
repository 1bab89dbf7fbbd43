/* Logs for tests. Owns the folder's name. */
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file.h"

static const char *folder = "test/unit/data";

void sample_init(int argc, char **argv)
{
        if (argc > 1)
                folder = argv[1];
}

uint8_t *sample_load(const char *name, size_t *ret_length)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", folder, name);
        char *bytes = NULL;
        assert_int_equal(file_read(path, 1 << 20, &bytes, ret_length, NULL), 0);
        return (uint8_t *) bytes;
}

int sample_read(LogReaderKind kind, const uint8_t *bytes, size_t length, size_t chunk, sample_fn seen, void *userdata,
                uint64_t *ret_end, Failure *reterr)
{
        CLEANUP(logreader_free) LogReader *reader = logreader_new(kind);
        int r = LOGREADER_MORE;
        while (r >= 0 && length > 0) {
                size_t n = chunk < length ? chunk : length, left = n;
                /* A copy of the exact size, so that reading beyond it is seen. */
                CLEANUP(mem_free) uint8_t *copy = ALLOC_ARRAY(uint8_t, n);
                memcpy(copy, bytes, n);
                const uint8_t *at = copy;
                BinlogEvent event;
                while ((r = logreader_take(reader, &at, &left, &event, reterr)) > 0)
                        seen(&event, userdata);
                bytes += n;
                length -= n;
        }
        *ret_end = logreader_offset(reader);
        return r;
}

static void put(uint8_t *bytes, uint64_t value, size_t length)
{
        for (size_t i = 0; i < length; i++, value >>= 8)
                bytes[i] = (uint8_t) value;
}

void sample_add_event(Text *out, const SampleEvent *event)
{
        uint8_t header[BINLOG_HEADER_LENGTH] = { 1, 0, 0, 0, event->type };
        uint8_t checksum[BINLOG_CHECKSUM_LENGTH];
        size_t start = out->length;
        put(header + 5, event->server_id, 4);
        put(header + 9, sizeof header + event->length + sizeof checksum, 4);
        put(header + 13, event->end, 4);
        put(header + 17, event->flags, 2);
        text_add_n(out, (const char *) header, sizeof header);
        text_add_n(out, event->body, event->length);
        put(checksum, binlog_digest((const uint8_t *) out->data + start, out->length - start), sizeof checksum);
        text_add_n(out, (const char *) checksum, sizeof checksum);
}

void sample_add_head(Text *out, uint32_t server_id)
{
        sample_add_head_of(out, server_id, "9.7.4");
}

void sample_add_head_of(Text *out, uint32_t server_id, const char *version)
{
        uint8_t body[57 + 42 + 1] = { 4, 0 };
        memcpy(body + 2, version, strlen(version));
        body[56] = BINLOG_HEADER_LENGTH;
        body[sizeof body - 1] = 1;
        text_add_n(out, "\xfe\x62\x69\x6e", BINLOG_MAGIC_LENGTH);
        sample_add_event(out, &(SampleEvent){ .type = BINLOG_TYPE_FORMAT,
                                              .server_id = server_id,
                                              .end = BINLOG_MAGIC_LENGTH + 19 + sizeof body + 4,
                                              .body = body,
                                              .length = sizeof body });
}

void sample_add_gtid(Text *out, uint8_t uuid, uint64_t sequence, uint32_t end)
{
        uint8_t body[25];
        memset(body, uuid, sizeof body);
        put(body + 17, sequence, 8);
        sample_add_event(
                out,
                &(SampleEvent){
                        .type = BINLOG_TYPE_GTID, .server_id = 1, .end = end, .body = body, .length = sizeof body });
}

void sample_add_query(Text *out, const char *query, uint32_t end)
{
        CLEANUP(text_done) Text body = { 0 };
        text_add_n(&body, "\0\0\0\0\0\0\0\0\0\0\0\0\0", 13);
        text_add_n(&body, "", 1);
        text_add(&body, query);
        sample_add_event(out, &(SampleEvent){ .type = BINLOG_TYPE_QUERY,
                                              .server_id = 1,
                                              .end = end,
                                              .body = body.data,
                                              .length = body.length });
}

void sample_add_xid(Text *out, uint32_t end)
{
        sample_add_event(
                out,
                &(SampleEvent){
                        .type = BINLOG_TYPE_XID, .server_id = 1, .end = end, .body = "\1\0\0\0\0\0\0\0", .length = 8 });
}
