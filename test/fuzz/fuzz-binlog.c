/* Whatever bytes stand in a log. Checksums are put right first, or nothing would come through; then the log is read as a
 * primary's and as a replica's, in chunks of two sizes, which must make no difference; what was understood of it is
 * indexed, sent, written as JSON and read back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "logreader.h"
#include "ranges.h"
#include "relaylog.h"
#include "stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Pass {
        Ranges *ranges;
        RelayLog *relay;
        Stream *stream;
        uint64_t n_events, digest, end;
        int result;
} Pass;

static void require(bool condition)
{
        if (!condition)
                abort();
}

static void repair(uint8_t *bytes, size_t size)
{
        size_t at = BINLOG_MAGIC_LENGTH;
        while (at + BINLOG_HEADER_LENGTH + BINLOG_CHECKSUM_LENGTH <= size) {
                uint32_t length = binlog_header(bytes + at).length;
                if (length < BINLOG_HEADER_LENGTH + BINLOG_CHECKSUM_LENGTH || length > size - at)
                        return;
                uint32_t digest = binlog_digest(bytes + at, length - BINLOG_CHECKSUM_LENGTH);
                for (size_t i = 0; i < BINLOG_CHECKSUM_LENGTH; i++)
                        bytes[at + length - BINLOG_CHECKSUM_LENGTH + i] = (uint8_t) (digest >> 8 * i);
                at += length;
        }
}

static void send_event(Pass *pass, const BinlogEvent *event, const Position *start, uint64_t end)
{
        StreamDecision decision;
        CLEANUP(text_done) Text out = { 0 };
        if (stream_decide(pass->stream, event, start, end, &decision, NULL) < 0)
                return;
        if (decision.action == STREAM_SEND_FORMAT)
                require(stream_add_format(&out, event->bytes, event->kept, true, NULL) == 0);
        if (decision.announce)
                stream_add_rotate(&out, 9, start, true);
        if (stream_is_known(pass->stream)) {
                Position position;
                BinlogEvent heartbeat = { 0 };
                out.length = 0;
                stream_add_heartbeat(&out, true, 9, stream_position(pass->stream), false);
                heartbeat.header = binlog_header((const uint8_t *) out.data);
                heartbeat.bytes = (const uint8_t *) out.data;
                heartbeat.kept = out.length;
                heartbeat.body_length = out.length - BINLOG_HEADER_LENGTH;
                require(binlog_read_heartbeat(&heartbeat, &position, NULL) == 0);
                require(position_equal(&position, stream_position(pass->stream)));
        }
}

static void look(Pass *pass, const BinlogEvent *event)
{
        RangesEvent placed = { .event = event, .end = event->offset + event->header.length };
        RelayEvent relay = { .kind = RELAY_EVENT };
        CLEANUP(gtid_free) GtidSet *set = NULL;
        strcpy(placed.start.file, "log.000001");
        placed.start.offset = event->offset;
        placed.stored = placed.start;
        pass->n_events++;
        pass->digest = pass->digest * 31 + event->digest + event->header.type;
        if (event->header.type == BINLOG_TYPE_PREVIOUS_GTIDS || event->header.type == BINLOG_TYPE_GTID_LIST)
                binlog_read_gtid_set(event, &set, NULL);
        if (pass->relay) {
                if (relaylog_step(pass->relay, event, &relay, NULL) < 0)
                        return;
                if (position_is_set(&relay.left))
                        ranges_end_file(pass->ranges, &relay.left, RANGES_END_FOLLOWED, relay.next);
                if (relay.kind == RELAY_IGNORED)
                        ranges_add_ignored(pass->ranges, &relay.start, relay.end);
                if (relay.kind == RELAY_EMPTY)
                        ranges_add_empty(pass->ranges, &relay.start, relay.end);
                placed.start = relay.start;
                placed.end = relay.end;
                placed.rewritten = relay.rewritten;
                placed.guessed = relay.guessed;
                placed.corrected = relay.corrected;
        }
        if (relay.kind != RELAY_EVENT)
                return;
        send_event(pass, event, &placed.start, placed.end);
        ranges_add(pass->ranges, 0, &placed, NULL);
}

static void ask(const Ranges *ranges)
{
        CLEANUP(gtid_free) GtidSet *has = gtid_new(GTID_FAMILY_MYSQL);
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *missing = NULL;
        CLEANUP(ranges_answer_done) RangesAnswer all = ranges_ask(ranges, &(Position){ 0 });
        CLEANUP(ranges_answer_done)
        RangesAnswer some = ranges_ask_gtid(ranges, GTID_FAMILY_MYSQL, has, has, &lacks, &missing);
        size_t n;
        free(ranges_compare(ranges, &n));
        for (size_t i = 0; i < some.n_pieces; i++)
                require(some.pieces[i].from.offset < some.pieces[i].to);
        for (size_t i = 0; i < all.n_pieces; i++)
                require(all.pieces[i].from.offset < all.pieces[i].to);
        for (size_t i = 0; i < all.n_holes; i++)
                require(all.holes[i].text && all.holes[i].text[0]);

        CLEANUP(json_free) Json *json = ranges_to_json(ranges);
        CLEANUP(ranges_free) Ranges *copy = NULL;
        if (ranges_from_json(json, &copy, NULL) < 0)
                return; /* a file's name with a NUL or two families in one log */
        CLEANUP(ranges_answer_done) RangesAnswer again = ranges_ask(copy, &(Position){ 0 });
        require(again.bytes == all.bytes && again.n_holes == all.n_holes && again.n_groups == all.n_groups);
}

static Pass read_log(LogReaderKind kind, const uint8_t *data, size_t size, size_t chunk)
{
        Pass pass = { .ranges = ranges_new(), .stream = stream_new(&(Position){ 0 }, GTID_FAMILY_MYSQL, NULL) };
        CLEANUP(logreader_free) LogReader *reader = logreader_new(kind);
        ranges_add_source(pass.ranges, "source");
        if (kind == LOGREADER_RELAY)
                pass.relay = relaylog_new(2, &(Position){ .file = "binlog.000001", .offset = 4 });
        for (size_t at = 0; at < size && pass.result >= 0; at += chunk) {
                const uint8_t *bytes = data + at;
                size_t left = size - at < chunk ? size - at : chunk;
                BinlogEvent event;
                Failure failure = { 0 };
                while ((pass.result = logreader_take(reader, &bytes, &left, &event, &failure)) > 0)
                        look(&pass, &event);
                require(pass.result < 0 ? failure.text[0] != '\0' : left == 0);
        }
        pass.end = logreader_offset(reader);
        ranges_pause(pass.ranges, 0);
        ask(pass.ranges);
        ranges_free(pass.ranges);
        relaylog_free(pass.relay);
        stream_free(pass.stream);
        return pass;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(mem_free) uint8_t *copy = ALLOC_ARRAY(uint8_t, size + 1);
        if (size > 0)
                memcpy(copy, data, size);
        repair(copy, size);
        for (int kind = LOGREADER_BINARY; kind < _LOGREADER_KIND_MAX; kind++) {
                Pass whole = read_log((LogReaderKind) kind, copy, size, size + 1);
                Pass pieces = read_log((LogReaderKind) kind, copy, size, 1 + size % 37);
                require(whole.n_events == pieces.n_events && whole.digest == pieces.digest && whole.end == pieces.end &&
                        (whole.result < 0) == (pieces.result < 0));
        }
        return 0;
}
