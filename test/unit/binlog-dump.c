/* Lists a log as the model understands it, for the tests: one JSON object a line.
 *
 *   binlog-dump events FILE                        each event of one file
 *   binlog-dump primary NAME FILE…                 the index of a primary's own files
 *   binlog-dump relay NAME SERVER_ID START FILE…   of a replica's relay logs (START: a position, or "-"), with each
 *                                                  event and its place before it
 *   binlog-dump … + …                              of several sources in one: what they have in common, what is there
 *                                                  and the index itself
 *   binlog-dump ask FROM FILE                      what an index (the line of a file) answers from a position on
 *   binlog-dump stream LOG POSITION                how a feed of that file begins there, and how it ends, in hexadecimal
 *
 * MHAD_CHUNK is how many bytes are read at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "logreader.h"
#include "ranges.h"
#include "relaylog.h"
#include "stream.h"

static size_t chunk = 64 * 1024;

static const char *base(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

static void print(Json *json)
{
        CLEANUP(mem_free) char *text = json_print(json);
        puts(text);
        json_free(json);
}

static Json *describe(const BinlogEvent *event, const BinlogGtid *gtid, GroupStep step)
{
        Json *json = json_object();
        json_set_int(json, "pos", (int64_t) event->offset);
        json_set_string(json, "type", binlog_type_to_string(event->header.type));
        json_set_int(json, "code", event->header.type);
        json_set_int(json, "server_id", event->header.server_id);
        json_set_int(json, "length", event->header.length);
        json_set_int(json, "end", event->header.end);
        json_set_int(json, "crc", event->digest);
        json_set_string(json, "step", group_step_to_string(step));
        if (binlog_part(event->header.type) == BINLOG_PART_GTID) {
                CLEANUP(mem_free) char *text = transaction_format(&gtid->id);
                json_set_string(json, "gtid", text);
        }
        Position position;
        if (event->header.type == BINLOG_TYPE_ROTATE && binlog_read_rotate(event, &position, NULL) == 0) {
                CLEANUP(mem_free) char *text = position_format(&position);
                json_set_string(json, "rotate", text);
        }
        if (event->header.type == BINLOG_TYPE_PREVIOUS_GTIDS || event->header.type == BINLOG_TYPE_GTID_LIST) {
                CLEANUP(gtid_free) GtidSet *set = NULL;
                if (binlog_read_gtid_set(event, &set, NULL) == 0) {
                        CLEANUP(mem_free) char *text = gtid_format(set);
                        json_set_string(json, "set", text);
                }
        }
        return json;
}

typedef int (*event_fn)(const BinlogEvent *event, const char *path, void *userdata, Failure *reterr);

/* A torn tail is told on standard error, and is no failure. */
static int read_log(const char *path, LogReaderKind kind, event_fn seen, void *userdata, uint64_t *ret_end,
                    Failure *reterr)
{
        CLEANUP(logreader_free) LogReader *reader = logreader_new(kind);
        CLEANUP(mem_free) uint8_t *buffer = ALLOC_ARRAY(uint8_t, chunk);
        FILE *file = fopen(path, "re");
        int r = file ? LOGREADER_MORE : failure_errno(reterr, errno, "cannot open %s", path);
        while (r >= 0) {
                size_t left = fread(buffer, 1, chunk, file);
                const uint8_t *bytes = buffer;
                if (left == 0)
                        break;
                for (;;) {
                        BinlogEvent event;
                        r = logreader_take(reader, &bytes, &left, &event, reterr);
                        if (r <= 0)
                                break;
                        r = seen(&event, path, userdata, reterr);
                        if (r < 0)
                                break;
                }
        }
        if (file)
                fclose(file);
        if (r >= 0 && logreader_taken(reader) != logreader_offset(reader))
                fprintf(stderr, "%s: torn at %llu\n", path, (unsigned long long) logreader_offset(reader));
        *ret_end = logreader_offset(reader);
        return r;
}

static int list_event(const BinlogEvent *event, const char *path, void *userdata, Failure *reterr)
{
        Group *group = userdata;
        int step = group_step(group, event, reterr);
        if (step >= 0)
                print(describe(event, &group->gtid, (GroupStep) step));
        return step;
}

typedef struct Index {
        Ranges *ranges;
        size_t source;
        RelayLog *relay;
} Index;

static int index_primary(const BinlogEvent *event, const char *path, void *userdata, Failure *reterr)
{
        Index *index = userdata;
        RangesEvent placed = { .event = event, .end = event->offset + event->header.length };
        strncpy(placed.start.file, base(path), sizeof placed.start.file - 1);
        placed.start.offset = event->offset;
        placed.stored = placed.start;
        return ranges_add(index->ranges, index->source, &placed, reterr);
}

static int index_relay(const BinlogEvent *event, const char *path, void *userdata, Failure *reterr)
{
        Index *index = userdata;
        RelayEvent relay;
        int r = relaylog_step(index->relay, event, &relay, reterr);
        if (r < 0)
                return r;
        if (position_is_set(&relay.left))
                ranges_end_file(index->ranges, &relay.left, RANGES_END_FOLLOWED, relay.next);
        const Position *at = relaylog_position(index->relay);
        if (relay.format && position_is_set(at))
                ranges_set_format(index->ranges, at->file, relaylog_format(index->relay));
        if (relay.kind == RELAY_IGNORED)
                ranges_add_ignored(index->ranges, &relay.start, relay.end);
        if (relay.kind == RELAY_EMPTY)
                ranges_add_empty(index->ranges, &relay.start, relay.end);
        if (relay.kind != RELAY_EVENT)
                return 0;
        RangesEvent placed = { .event = event,
                               .start = relay.start,
                               .end = relay.end,
                               .rewritten = relay.rewritten,
                               .guessed = relay.guessed,
                               .corrected = relay.corrected };
        strncpy(placed.stored.file, base(path), sizeof placed.stored.file - 1);
        placed.stored.offset = event->offset;
        Json *json = json_object();
        json_set_string(json, "file", relay.start.file);
        json_set_int(json, "pos", (int64_t) relay.start.offset);
        json_set_int(json, "end", (int64_t) relay.end);
        json_set_string(json, "type", binlog_type_to_string(event->header.type));
        json_set_int(json, "crc", event->digest);
        json_set_bool(json, "rewritten", relay.rewritten || relay.corrected);
        json_set_bool(json, "guessed", relay.guessed);
        print(json);
        return ranges_add(index->ranges, index->source, &placed, reterr);
}

static Json *answer_to_json(const RangesAnswer *answer)
{
        Json *json = json_object(), *pieces = json_ensure_array(json, "pieces");
        for (size_t i = 0; i < answer->n_pieces; i++) {
                const RangesPiece *piece = &answer->pieces[i];
                Json *entry = json_object();
                json_set_int(entry, "source", (int64_t) piece->source);
                json_set_string(entry, "file", piece->from.file);
                json_set_int(entry, "from", (int64_t) piece->from.offset);
                json_set_int(entry, "to", (int64_t) piece->to);
                json_append(pieces, entry);
        }
        for (size_t i = 0; i < answer->n_holes; i++)
                json_append_string(json_ensure_array(json, "holes"), answer->holes[i].text);
        CLEANUP(mem_free) char *end = position_format(&answer->end);
        CLEANUP(mem_free) char *last = position_format(&answer->last);
        CLEANUP(mem_free) char *torn = position_format(&answer->torn);
        json_set_string(json, "end", end);
        json_set_string(json, "last", last);
        json_set_string(json, "torn", torn);
        json_set_int(json, "bytes", (int64_t) answer->bytes);
        json_set_int(json, "groups", (int64_t) answer->n_groups);
        json_set_bool(json, "exact", answer->n_groups_exact);
        if (answer->runs.n_runs > 0) {
                CLEANUP(gtid_free)
                GtidSet *set = transaction_runs_to_set(&answer->runs, answer->runs.runs[0].first.family);
                CLEANUP(mem_free) char *gtids = gtid_describe(set);
                json_set_string(json, "gtids", gtids);
        }
        return json;
}

static int fail(const Failure *failure)
{
        fprintf(stderr, "%s\n", failure->text);
        return 1;
}

static int ask(int argc, char **argv, Failure *failure)
{
        Position from = { 0 };
        if (argc < 4 || (strcmp(argv[2], "-") != 0 && position_parse(argv[2], &from, failure) < 0))
                return fail(failure);
        char *text = NULL;
        size_t capacity = 0;
        FILE *file = fopen(argv[3], "re");
        ssize_t length = file ? getline(&text, &capacity, file) : -1;
        if (file)
                fclose(file);
        CLEANUP(json_free) Json *json = NULL;
        CLEANUP(ranges_free) Ranges *ranges = NULL;
        bool read = length >= 0 && json_parse(text, (size_t) length, &json, failure) == 0 &&
                    ranges_from_json(json, &ranges, failure) == 0;
        free(text);
        if (!read)
                return fail(failure);
        CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &from);
        print(answer_to_json(&answer));
        return 0;
}

/* Stream. */

static void print_hex(const char *name, const Text *bytes)
{
        printf("%s ", name);
        for (size_t i = 0; i < bytes->length; i++)
                printf("%02x", (unsigned char) bytes->data[i]);
        putchar('\n');
}

static int keep_format(const BinlogEvent *event, const char *path, void *userdata, Failure *reterr)
{
        BinlogFormat *format = userdata;
        if (format->length == 0)
                *format = *event->format;
        return 0;
}

static int stream(char **argv, Failure *failure)
{
        BinlogFormat format = { 0 };
        Position at;
        uint64_t end;
        if (read_log(argv[2], LOGREADER_BINARY, keep_format, &format, &end, failure) < 0 ||
            position_parse(argv[3], &at, failure) < 0)
                return fail(failure);
        Text rotate = { 0 }, description = { 0 }, v1 = { 0 }, v2 = { 0 };
        stream_add_rotate(&rotate, format.server_id, &at, format.checksum);
        stream_add_format(&description, format.bytes, format.length, false, NULL);
        stream_add_heartbeat(&v1, false, format.server_id, &at, format.checksum);
        stream_add_heartbeat(&v2, true, format.server_id, &at, format.checksum);
        print_hex("rotate", &rotate);
        print_hex("format", &description);
        print_hex("heartbeat", &v1);
        print_hex("heartbeat2", &v2);
        text_done(&rotate);
        text_done(&description);
        text_done(&v1);
        text_done(&v2);
        return 0;
}

/* Sources one after the other into one index: "primary NAME FILE… + relay NAME ID START FILE… + …". */
static int make_index(int argc, char **argv, Failure *failure)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        for (int i = 1; i < argc; i++) {
                bool is_relay = strcmp(argv[i], "relay") == 0;
                if (i + (is_relay ? 3 : 1) >= argc)
                        return failure_set(failure, FAILURE_INVALID, 0, "too few words"), fail(failure);
                Index index = { .ranges = ranges, .source = ranges_add_source(ranges, argv[++i]) };
                if (is_relay) {
                        Position start = { 0 };
                        uint32_t id = (uint32_t) strtoul(argv[++i], NULL, 10);
                        if (strcmp(argv[++i], "-") != 0 && position_parse(argv[i], &start, failure) < 0)
                                return fail(failure);
                        index.relay = relaylog_new(id, &start);
                }
                int r = 0;
                for (i++; r >= 0 && i < argc && strcmp(argv[i], "+") != 0; i++) {
                        Position end = { 0 };
                        r = read_log(argv[i], is_relay ? LOGREADER_RELAY : LOGREADER_BINARY,
                                     is_relay ? index_relay : index_primary, &index, &end.offset, failure);
                        strncpy(end.file, base(argv[i]), sizeof end.file - 1);
                        if (!is_relay && r >= 0 && i + 1 < argc && strcmp(argv[i + 1], "+") != 0)
                                ranges_end_file(ranges, &end, RANGES_END_CUT, NULL);
                }
                ranges_pause(ranges, index.source);
                relaylog_free(index.relay);
                if (r < 0)
                        return fail(failure);
        }
        size_t n;
        RangesOverlap *overlaps = ranges_compare(ranges, &n);
        for (size_t i = 0; i < n; i++) {
                Json *json = json_object();
                json_set_string(json, "overlap", ranges_verdict_to_string(overlaps[i].verdict));
                json_set_string(json, "file", overlaps[i].from.file);
                json_set_int(json, "from", (int64_t) overlaps[i].from.offset);
                json_set_int(json, "to", (int64_t) overlaps[i].to);
                print(json);
        }
        free(overlaps);
        CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &(Position){ 0 });
        print(answer_to_json(&answer));
        print(ranges_to_json(ranges));
        return 0;
}

int main(int argc, char **argv)
{
        Failure failure = { 0 };
        if (getenv("MHAD_CHUNK"))
                chunk = strtoul(getenv("MHAD_CHUNK"), NULL, 10) + (chunk == 0);
        if (argc == 3 && strcmp(argv[1], "events") == 0) {
                Group group = { 0 };
                uint64_t end;
                return read_log(argv[2], LOGREADER_RELAY, list_event, &group, &end, &failure) < 0 ? fail(&failure) : 0;
        }
        if (argc > 1 && strcmp(argv[1], "ask") == 0)
                return ask(argc, argv, &failure);
        if (argc == 4 && strcmp(argv[1], "stream") == 0)
                return stream(argv, &failure);
        return make_index(argc, argv, &failure);
}
