/* What a feed sends: the events for the connection, byte for byte as servers make them, and what is left out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relaylog.h"
#include "sample.h"
#include "stream.h"

#define UUID9 "3f4ef876-e65c-11f1-9c5b-c6f04aa52951"

static void assert_bytes(Text *bytes, const char *expected)
{
        CLEANUP(text_done) Text hex = { 0 };
        for (size_t i = 0; i < bytes->length; i++)
                text_addf(&hex, "%02x", (unsigned char) bytes->data[i]);
        assert_string_equal(hex.data, expected);
        text_done(bytes);
}

/* As MySQL 9.7 sent them. */
static void test_events(void **state)
{
        Position start = { .file = "binlog.000001", .offset = 340 }, end = { .file = "binlog.000001", .offset = 623 };
        Text out = { 0 };
        stream_add_rotate(&out, 1, &start, true);
        assert_bytes(&out, "0000000004010000002c000000000000002000540100000000000062696e6c6f672e303030303031b2b6a8b4");
        stream_add_heartbeat(&out, false, 1, &end, true);
        assert_bytes(&out, "000000001b01000000240000006f020000000062696e6c6f672e30303030303100eb0e67");
        stream_add_heartbeat(&out, true, 1, &end, true);
        assert_bytes(&out, "0000000029010000002c0000006f0200000000010d62696e6c6f672e3030303030310203fc6f02003ed0f0ff");
        stream_add_heartbeat(&out, false, 1, &end, false);
        assert_bytes(&out, "000000001b01000000200000006f020000000062696e6c6f672e303030303031");
}

static void test_heartbeat_v2(void **state)
{
        static const uint64_t offsets[] = { 4, 0xfa, 0xfb, 0xffff, 0x10000, 0xffffff, 0x1000000, (uint64_t) 5 << 32 };
        for (size_t i = 0; i < ARRAY_LENGTH(offsets); i++) {
                Position at = { .file = "binlog.000001", .offset = offsets[i] }, back;
                CLEANUP(text_done) Text out = { 0 };
                stream_add_heartbeat(&out, true, 1, &at, false);
                BinlogEvent event = { .header = binlog_header((const uint8_t *) out.data),
                                      .bytes = (const uint8_t *) out.data,
                                      .kept = out.length,
                                      .body_length = out.length - BINLOG_HEADER_LENGTH };
                assert_int_equal(binlog_read_heartbeat(&event, &back, NULL), 0);
                assert_true(position_equal(&at, &back));
                for (size_t cut = BINLOG_HEADER_LENGTH; cut < out.length; cut++) {
                        event.kept = cut;
                        assert_int_equal(binlog_read_heartbeat(&event, &back, NULL), -EPROTO);
                }
        }
}

static void test_format(void **state)
{
        static const char *const names[] = { "mysql9-in-use.binlog", "mariadb-statements.binlog",
                                             "mariadb-unchecked.binlog", "mysql56-statements.binlog" };
        for (size_t i = 0; i < 2 * ARRAY_LENGTH(names); i++) {
                size_t length;
                bool in_file = i % 2;
                CLEANUP(mem_free) uint8_t *bytes = sample_load(names[i / 2], &length);
                CLEANUP(text_done) Text out = { 0 };
                BinlogFormat before, after;
                length = binlog_header(bytes + 4).length;
                assert_int_equal(binlog_read_format(bytes + 4, length, &before, NULL), 0);
                assert_int_equal(stream_add_format(&out, bytes + 4, length, in_file, NULL), 0);
                assert_int_equal(out.length, length);
                assert_int_equal(binlog_read_format((uint8_t *) out.data, out.length, &after, NULL), 0);
                assert_true(!after.in_use && after.created == 0 && after.checksum == before.checksum);
                assert_int_equal(binlog_header((uint8_t *) out.data).end, in_file ? length + 4 : 0);
                assert_int_equal(stream_add_format(&out, bytes, length, in_file, NULL), -EINVAL);
        }
}

/* A feed as a text: "R198 F0" (rotate, format not in the file), then the events' places, "-" where one is left out. */
typedef struct Feed {
        Stream *stream;
        RelayLog *relay;
        Text text;
} Feed;

static void feed_event(const BinlogEvent *event, void *userdata)
{
        Feed *feed = userdata;
        Position start = { .file = "binlog.000003", .offset = event->offset };
        uint64_t end = event->offset + event->header.length;
        if (feed->relay) {
                RelayEvent relay;
                assert_int_equal(relaylog_step(feed->relay, event, &relay, NULL), 0);
                if (relay.kind != RELAY_EVENT)
                        return;
                start = relay.start;
                end = relay.end;
        }
        StreamDecision decision;
        assert_int_equal(stream_decide(feed->stream, event, &start, end, &decision, NULL), 0);
        text_separate(&feed->text, " ");
        if (decision.action == STREAM_DROP) {
                text_add(&feed->text, "-");
                return;
        }
        if (decision.announce)
                text_addf(&feed->text, "R%llu%s ", (unsigned long long) start.offset,
                          decision.action == STREAM_SEND_FORMAT ? "" : " F0");
        text_addf(&feed->text, "%s%llu", decision.action == STREAM_SEND_FORMAT ? "F" : "",
                  (unsigned long long) start.offset);
}

static void assert_feed(const char *name, bool relay, const char *has, uint64_t n_skipped, const char *end,
                        const char *expected)
{
        size_t length;
        uint64_t offset;
        CLEANUP(mem_free) uint8_t *bytes = sample_load(name, &length);
        CLEANUP(gtid_free) GtidSet *set = NULL;
        GtidFamily family = strncmp(name, "mariadb", 7) == 0 ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL;
        Position start = { .file = "binlog.000003", .offset = 4 }, nowhere = { 0 };
        if (has)
                assert_int_equal(gtid_parse(family, has, &set, NULL), 0);
        Feed feed = { .stream = stream_new(&start, family, set), .relay = relay ? relaylog_new(2, &nowhere) : NULL };
        assert_int_equal(sample_read(relay ? LOGREADER_RELAY : LOGREADER_BINARY, bytes, length, length, feed_event,
                                     &feed, &offset, NULL),
                         0);
        assert_string_equal(feed.text.data, expected);
        assert_int_equal(stream_n_skipped(feed.stream), n_skipped);
        CLEANUP(mem_free) char *position = position_format(stream_position(feed.stream));
        assert_string_equal(position, end);
        /* A heartbeat comes only where the replica knows to be. */
        if (!stream_is_known(feed.stream))
                stream_announced(feed.stream);
        assert_true(stream_is_known(feed.stream));
        text_done(&feed.text);
        stream_free(feed.stream);
        relaylog_free(feed.relay);
}

static void test_from_file(void **state)
{
        assert_feed("mysql9-tagged.binlog", false, NULL, 0, "binlog.000004:4",
                    "R4 F4 127 198 277 467 546 730 809 883 1076 1136 1191 1222 1302 1376 1433 1478 1509 1589 1663 1720 "
                    "1765 1796 1876 1987 2066 2140 2197 2242 2273");
        assert_feed(
                "mysql9-tagged.binlog", false, UUID9 ":1-18:20:blue:2", 3, "binlog.000004:4",
                "R4 F4 127 - - R467 F0 467 546 - - - - - - R1222 F0 1222 1302 1376 1433 1478 - - - - - R1796 F0 1796 "
                "1876 1987 2066 2140 2197 2242 2273");
        assert_feed(
                "mariadb-compressed.binlog", false, "0-1-24", 4, "binlog.000004:4",
                "R4 F4 256 299 339 - - - - - - - - - - - - - - - - R1347 F0 1347 1393 1486 1528 1586 1634 1679 1710");
}

/* Without the list at the head, and with events that have another length than in the primary's file. */
static void test_from_relay_log(void **state)
{
        assert_feed(
                "mysql9-tagged.relay", true, UUID9 ":1-20", 3, "binlog.000003:2273",
                "R4 F4 - - - - - - - - - - R1222 F0 1222 1302 1376 1433 1478 1509 1589 1663 1720 1765 1796 1876 1987 "
                "2066 2140 2197 2242");
        assert_feed(
                "mariadb-compressed.relay", true, NULL, 0, "binlog.000003:1710",
                "R4 F4 256 299 339 379 421 499 547 620 R651 F0 651 693 725 843 R874 F0 874 916 R1030 F0 1030 1078 1110 "
                "1217 1307 R1347 F0 1347 1393 1486 1528 1586 1634 1679");
}

/* MariaDB 11: places within a transaction are guesses, and a transaction is left out to its very end. */
static void test_guessed(void **state)
{
        assert_feed(
                "mariadb11-compressed.relay", true, "0-1-27", 5, "binlog.000006:3195",
                "R4 F4 256 299 - - - - - R612 F0 612 - - - - - - - - - - - - - - - - R2524 F0 2524 2576 2608 2705 2805 "
                "R2845 F0 2845 2896 2989 3031 3063 3164");
}

/* MySQL does not count a STOP, and what is for the connection is not the log's. */
static void test_left_out(void **state)
{
        BinlogFormat format = { .flavour = FLAVOUR_MYSQL };
        Position start = { .file = "binlog.000003", .offset = 100 };
        CLEANUP(stream_free) Stream *stream = stream_new(&start, GTID_FAMILY_MYSQL, NULL);
        static const struct {
                uint8_t type;
                uint16_t flags;
        } rows[] = { { BINLOG_TYPE_STOP, 0 },
                     { BINLOG_TYPE_HEARTBEAT, 0 },
                     { BINLOG_TYPE_HEARTBEAT_V2, 0 },
                     { BINLOG_TYPE_GTID_LIST, BINLOG_FLAG_ARTIFICIAL },
                     { BINLOG_TYPE_START_ENCRYPTION, 0 } };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                BinlogEvent event = { .header = { .type = rows[i].type, .flags = rows[i].flags, .length = 23 },
                                      .format = &format };
                StreamDecision decision;
                assert_int_equal(stream_decide(stream, &event, &start, 123, &decision, NULL), 0);
                assert_int_equal(decision.action, STREAM_DROP);
        }
        assert_int_equal(stream_position(stream)->offset, 123);
        assert_false(stream_is_known(stream));
}

int main(int argc, char **argv)
{
        sample_init(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_events),    cmocka_unit_test(test_heartbeat_v2),   cmocka_unit_test(test_format),
                cmocka_unit_test(test_from_file), cmocka_unit_test(test_from_relay_log), cmocka_unit_test(test_guessed),
                cmocka_unit_test(test_left_out),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
