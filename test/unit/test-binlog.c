/* Binary and relay logs of real servers, whole, torn, damaged, encrypted and very long. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "group.h"
#include "relaylog.h"
#include "sample.h"

#define UUID9 "3f4ef876-e65c-11f1-9c5b-c6f04aa52951"

/* A log as a text: "4 Format_desc; 127 Previous_gtids [set]; 198( Gtid uuid:18; 277) Transaction_payload; …". */
typedef struct Listing {
        Text text;
        Group group;
        RelayLog *relay; /* then events have their places in the primary's log: "binlog.000003:198-277" */
} Listing;

static void add_place(Listing *listing, const BinlogEvent *event)
{
        static const char *const kinds[] = { "own", "", "unplaced ", "ignored ", "empty " };
        RelayEvent relay;
        assert_int_equal(relaylog_step(listing->relay, event, &relay, NULL), 0);
        if (position_is_set(&relay.left))
                text_addf(&listing->text, "%s:%llu -> %s; ", relay.left.file, (unsigned long long) relay.left.offset,
                          relay.next);
        if (relay.kind == RELAY_OWN)
                text_add(&listing->text, relay.format ? "format" : "own");
        else
                text_addf(&listing->text, "%s%s:%llu-%llu%s%s%s", kinds[relay.kind], relay.start.file,
                          (unsigned long long) relay.start.offset, (unsigned long long) relay.end,
                          relay.rewritten ? "!" : "", relay.guessed ? "?" : "", relay.corrected ? "~" : "");
}

static void list(const BinlogEvent *event, void *userdata)
{
        static const char *const marks[] = { "", "(", "", ")", "()" };
        Listing *listing = userdata;
        text_separate(&listing->text, "; ");
        if (listing->relay) {
                add_place(listing, event);
                return;
        }
        int step = group_step(&listing->group, event, NULL);
        assert_true(step >= 0);
        text_addf(&listing->text, "%llu%s %s", (unsigned long long) event->offset, marks[step],
                  binlog_type_to_string(event->header.type));
        if (binlog_part(event->header.type) == BINLOG_PART_GTID) {
                CLEANUP(mem_free) char *id = transaction_format(&listing->group.gtid.id);
                text_addf(&listing->text, " %s", id);
        }
        if (event->header.type == BINLOG_TYPE_PREVIOUS_GTIDS || event->header.type == BINLOG_TYPE_GTID_LIST) {
                CLEANUP(gtid_free) GtidSet *set = NULL;
                assert_int_equal(binlog_read_gtid_set(event, &set, NULL), 0);
                CLEANUP(mem_free) char *text = gtid_format(set);
                text_addf(&listing->text, " [%s]", text);
        }
        Position next;
        if (event->header.type == BINLOG_TYPE_ROTATE) {
                assert_int_equal(binlog_read_rotate(event, &next, NULL), 0);
                CLEANUP(mem_free) char *text = position_format(&next);
                text_addf(&listing->text, " %s", text);
        }
}

/* In chunks of any size it is the same. */
static void assert_log(const char *name, const char *expected)
{
        size_t length;
        CLEANUP(mem_free) uint8_t *bytes = sample_load(name, &length);
        for (size_t chunk = 1; chunk < 2 * length; chunk = chunk * 3 + 1) {
                Listing listing = { 0 };
                Failure failure = { 0 };
                uint64_t end;
                assert_int_equal(sample_read(LOGREADER_BINARY, bytes, length, chunk, list, &listing, &end, &failure),
                                 LOGREADER_MORE);
                assert_int_equal(end, length);
                assert_string_equal(listing.text.data, expected);
                text_done(&listing.text);
        }
}

static void assert_relay(const char *name, const Position *start, const char *expected)
{
        size_t length;
        CLEANUP(mem_free) uint8_t *bytes = sample_load(name, &length);
        Listing listing = { .relay = relaylog_new(2, start) };
        Failure failure = { 0 };
        uint64_t end;
        assert_int_equal(sample_read(LOGREADER_RELAY, bytes, length, length, list, &listing, &end, &failure),
                         LOGREADER_MORE);
        assert_int_equal(end, length);
        assert_string_equal(listing.text.data, expected);
        text_done(&listing.text);
        relaylog_free(listing.relay);
}

static void test_mariadb(void **state)
{
        assert_log("mariadb-compressed.binlog",
                   "4 Format_desc; 256 Gtid_list [0-1-20]; 299 Binlog_checkpoint; 339 Binlog_checkpoint; "
                   "379( Gtid 0-1-21; 421 Annotate_rows; 499 Table_map; 547 Write_rows_compressed_v1; 620) Xid; "
                   "651( Gtid 0-1-22; 693 Intvar; 725 Query_compressed; 843) Xid; "
                   "874( Gtid 0-1-23; 916) Query_compressed; "
                   "1030( Gtid 0-1-24; 1078 Intvar; 1110 Query_compressed; 1217 Query; 1307) XA_prepare; "
                   "1347( Gtid 0-1-25; 1393) Query; "
                   "1486( Gtid 7-1-1; 1528 Annotate_rows; 1586 Table_map; 1634 Write_rows_v1; 1679) Xid; "
                   "1710 Rotate binlog.000004:4");
        assert_log("mariadb-statements.binlog",
                   "4 Format_desc; 256 Gtid_list []; 285 Binlog_checkpoint; 325( Gtid 0-1-1; 367) Query; "
                   "452( Gtid 0-1-2; 494) Query; 687( Gtid 0-1-3; 729) Query; 897( Gtid 0-1-4; 939) Query; "
                   "1095( Gtid 0-1-5; 1137 Annotate_rows; 1192 Table_map; 1240 Write_rows_v1; 1282) Xid; "
                   "1313( Gtid 0-1-6; 1355 Annotate_rows; 1413 Table_map; 1459 Write_rows_v1; 1504) Query; "
                   "1576( Gtid 0-1-7; 1618 Annotate_rows; 1671 Table_map; 1719 Write_rows_v1; 1759 Query; "
                   "1838 Annotate_rows; 1891 Table_map; 1939 Write_rows_v1; 1979) Xid; "
                   "2010( Gtid 0-1-8; 2052 Intvar; 2084 User var; 2125 Query; 2225) Xid; "
                   "2256( Gtid 0-1-9; 2298 Intvar; 2330 RAND; 2369 Query; 2468) Query; "
                   "2540( Gtid 0-1-10; 2582 Query; 2677) Xid; "
                   "2708( Gtid 0-1-11; 2750 Intvar; 2782 Query; 2878 Query; 2957 Intvar; 2989 Query; 3086 Query; "
                   "3167) Xid; 3198( Gtid 0-1-12; 3240 Intvar; 3272 Query; 3369) Query; "
                   "3441( Gtid 0-1-13; 3483 Intvar; 3515 Query; 3612) Query; 3686 Rotate binlog.000002:4");
}

static void test_mysql56(void **state)
{
        assert_log("mysql56-statements.binlog",
                   "4 Format_desc; 120() Query; 211() Query; 401() Query; 566() Query; "
                   "719( Query; 790 Table_map; 838 Write_rows; 882) Xid; "
                   "913( Query; 984 Table_map; 1030 Write_rows; 1077) Query; "
                   "1149( Query; 1220 Table_map; 1268 Write_rows; 1310 Query; 1389 Table_map; 1437 Write_rows; "
                   "1479) Xid; 1510( Query; 1587 Intvar; 1619 User var; 1660 Query; 1766) Xid; "
                   "1797( Query; 1874 Intvar; 1906 RAND; 1945 Query; 2050) Query; 2128( Query; 2205 Query; 2306) Xid; "
                   "2337( Query; 2414 Intvar; 2446 Query; 2548 Query; 2627 Intvar; 2659 Query; 2762 Query; 2843) Xid; "
                   "2874( Query; 2951 Intvar; 2983 Query; 3086) Query; 3164 Rotate binlog.000002:4");
}

static void test_mysql9(void **state)
{
        assert_log("mysql9-tagged.binlog",
                   "4 Format_desc; 127 Previous_gtids [" UUID9 ":1-17]; "
                   "198( Gtid " UUID9 ":18; 277) Transaction_payload; "
                   "467( Gtid " UUID9 ":19; 546) Transaction_payload; "
                   "730( Gtid " UUID9 ":20; 809 Query; 883 Query; 1076 Table_map; 1136 Write_rows; 1191) Xid; "
                   "1222( Gtid_tagged_log_event " UUID9 ":blue:1; 1302 Query; 1376 Table_map; 1433 Write_rows; "
                   "1478) Xid; "
                   "1509( Gtid_tagged_log_event " UUID9 ":blue:2; 1589 Query; 1663 Table_map; 1720 Write_rows; "
                   "1765) Xid; 1796( Gtid_tagged_log_event " UUID9 ":blue:3; 1876) Query; "
                   "1987( Gtid_tagged_log_event " UUID9 ":red:1; 2066 Query; 2140 Table_map; 2197 Write_rows; "
                   "2242) Xid; 2273 Rotate binlog.000004:4");
        assert_log("mysql9-unchecked.binlog",
                   "4 Format_desc; 127 Previous_gtids [" UUID9 ":1-20:blue:1-3:red:1]; "
                   "284( Gtid " UUID9 ":21; 359 Query; 429 Table_map; 482 Write_rows; 529) Xid; "
                   "556( Gtid " UUID9 ":22; 631 Query; 701 Table_map; 754 Write_rows; 801) Xid; "
                   "828 Rotate binlog.000006:4");
        assert_log("mysql9-in-use.binlog",
                   "4 Format_desc; 127 Previous_gtids [" UUID9 ":1-23:blue:1-3:red:1]; "
                   "288( Gtid " UUID9 ":24; 367 Query; 441 Table_map; 498 Write_rows; 551) Xid");
}

static void test_format(void **state)
{
        size_t length;
        BinlogFormat format;
        CLEANUP(mem_free) uint8_t *bytes = sample_load("mysql9-in-use.binlog", &length);
        assert_int_equal(binlog_read_format(bytes + 4, 123, &format, NULL), 0);
        assert_int_equal(format.flavour, FLAVOUR_MYSQL);
        assert_string_equal(format.version, "9.7.4-2");
        assert_true(format.in_use && format.checksum && format.created != 0);
        CLEANUP(mem_free) uint8_t *unchecked = sample_load("mariadb-unchecked.binlog", &length);
        assert_int_equal(binlog_read_format(unchecked + 4, 252, &format, NULL), 0);
        assert_int_equal(format.flavour, FLAVOUR_MARIADB);
        assert_true(!format.in_use && !format.checksum && format.created == 0);
        unchecked[4 + 251] ^= 1;
        assert_int_equal(binlog_read_format(unchecked + 4, 252, &format, NULL), -EPROTO);
        assert_int_equal(binlog_read_format(bytes + 4, 60, &format, NULL), -EINVAL);
}

/* Relay logs. */

static void test_relay_tagged(void **state)
{
        Position nowhere = { 0 };
        assert_relay("mysql9-tagged.relay", &nowhere,
                     "own; own; own; binlog.000003:4-127; ignored binlog.000003:127-198; "
                     "binlog.000003:198-277; binlog.000003:277-467; binlog.000003:467-546; binlog.000003:546-730; "
                     "binlog.000003:730-809; binlog.000003:809-883; binlog.000003:883-1076; binlog.000003:1076-1136; "
                     "binlog.000003:1136-1191; binlog.000003:1191-1222; binlog.000003:1222-1302; "
                     "binlog.000003:1302-1376; binlog.000003:1376-1433; binlog.000003:1433-1478; "
                     "binlog.000003:1478-1509; binlog.000003:1509-1589; binlog.000003:1589-1663; "
                     "binlog.000003:1663-1720; binlog.000003:1720-1765; binlog.000003:1765-1796; "
                     "binlog.000003:1796-1876; binlog.000003:1876-1987; binlog.000003:1987-2066; "
                     "binlog.000003:2066-2140; binlog.000003:2140-2197; binlog.000003:2197-2242; "
                     "binlog.000003:2242-2273; own");
}

/* What came compressed has its place all the same. */
static void test_relay_rewritten(void **state)
{
        Position before = { .file = "binlog.000002", .offset = 304287 };
        assert_relay("mariadb-compressed.relay", &before,
                     "own; binlog.000002:304287 -> binlog.000003; own; binlog.000003:4-256; binlog.000003:256-299; "
                     "binlog.000003:299-339; binlog.000003:339-379; binlog.000003:379-421; binlog.000003:421-499; "
                     "binlog.000003:499-547; binlog.000003:547-620!; binlog.000003:620-651; binlog.000003:651-693; "
                     "binlog.000003:693-725; binlog.000003:725-843!; binlog.000003:843-874; binlog.000003:874-916; "
                     "binlog.000003:916-1030!; binlog.000003:1030-1078; binlog.000003:1078-1110; "
                     "binlog.000003:1110-1217!; binlog.000003:1217-1307; binlog.000003:1307-1347; "
                     "binlog.000003:1347-1393; binlog.000003:1393-1486; binlog.000003:1486-1528; "
                     "binlog.000003:1528-1586; binlog.000003:1586-1634; binlog.000003:1634-1679; "
                     "binlog.000003:1679-1710; own");
}

/* MariaDB 11 says within a transaction nowhere where an event stands, only at its end. */
static void test_relay_guessed(void **state)
{
        Position nowhere = { 0 };
        assert_relay("mariadb11-compressed.relay", &nowhere,
                     "own; own; binlog.000006:4-256; binlog.000006:256-299; binlog.000006:299-339; "
                     "binlog.000006:339-381; binlog.000006:381-459?; binlog.000006:459-507?; "
                     "binlog.000006:507-2555?; binlog.000006:581-612~; binlog.000006:612-652; "
                     "binlog.000006:652-694; binlog.000006:694-747?; binlog.000006:747-795?; "
                     "binlog.000006:795-2843?; binlog.000006:869-900~; binlog.000006:900-942; "
                     "binlog.000006:942-1010?; binlog.000006:1010-1058?; binlog.000006:1058-2100?; "
                     "binlog.000006:2114-2145~; binlog.000006:2145-2187; binlog.000006:2187-2219?; "
                     "binlog.000006:2219-2327?; binlog.000006:2337-2368~; binlog.000006:2368-2410; "
                     "binlog.000006:2410-2524!; binlog.000006:2524-2576; binlog.000006:2576-2608?; "
                     "binlog.000006:2608-2705?; binlog.000006:2705-2795?; binlog.000006:2805-2845~; "
                     "binlog.000006:2845-2896; binlog.000006:2896-2989; binlog.000006:2989-3031; "
                     "binlog.000006:3031-3063?; binlog.000006:3063-3164?; binlog.000006:3164-3195; own");
}

/* A receiver that began again: by GTID the file is sent from its head, less what the replica has. */
static void test_relay_again(void **state)
{
        Position nowhere = { 0 };
        assert_relay("mysql9-again.relay", &nowhere,
                     "own; own; own; binlog.000002:4-127; ignored binlog.000002:127-198; "
                     "ignored binlog.000002:198-302951; binlog.000002:302951-303030; binlog.000002:303030-303104; "
                     "binlog.000002:303104-303161; binlog.000002:303161-303216; binlog.000002:303216-303247; "
                     "binlog.000002:303247-303324; binlog.000002:303324-303435; binlog.000002:303435-303512; "
                     "binlog.000002:303512-303639; own");
        assert_relay("mysql56-again.relay", &nowhere,
                     "own; own; own; binlog.000002:4-120; ignored binlog.000002:120-191; "
                     "ignored binlog.000002:191-302346; binlog.000002:302346-302394; binlog.000002:302394-302465; "
                     "binlog.000002:302465-302513; binlog.000002:302513-302567; binlog.000002:302567-302598; "
                     "binlog.000002:302598-302646; binlog.000002:302646-302743; binlog.000002:302743-302791; "
                     "binlog.000002:302791-302906; own");
        assert_relay("mariadb-again.relay", &nowhere,
                     "own; own; binlog.000002:4-256; binlog.000002:256-299; binlog.000002:299-339; "
                     "binlog.000002:302992-303032; own; binlog.000002:303703-303745; binlog.000002:303745-303810; "
                     "binlog.000002:303810-303858; binlog.000002:303858-303910; binlog.000002:303910-303941; "
                     "binlog.000002:303941-303983; binlog.000002:303983-304083; binlog.000002:304083-304125; "
                     "binlog.000002:304125-304243; own");
}

/* By its index the primary went on behind the head of its next file: what shows at the list that the second relay log has. */
static char *list_jump(size_t of_first)
{
        Position nowhere = { 0 };
        Listing listing = { .relay = relaylog_new(2, &nowhere) };
        for (int i = 0; i < 2; i++) {
                size_t length;
                uint64_t end;
                CLEANUP(mem_free)
                uint8_t *bytes = sample_load(i ? "mariadb11-index-2.relay" : "mariadb11-index-1.relay", &length);
                length = i == 0 && of_first < length ? of_first : length;
                assert_int_equal(sample_read(LOGREADER_RELAY, bytes, length, length, list, &listing, &end, NULL),
                                 LOGREADER_MORE);
                if (i == 0) {
                        text_done(&listing.text);
                        text_add(&listing.text, "");
                }
        }
        relaylog_free(listing.relay);
        return text_take(&listing.text);
}

static void test_relay_index(void **state)
{
        enum { BEFORE_THE_LAST = 1601, WITHIN_THE_LAST = 1787 };
        CLEANUP(mem_free) char *whole = list_jump(SIZE_MAX);
        CLEANUP(mem_free) char *lacking = list_jump(BEFORE_THE_LAST);
        CLEANUP(mem_free) char *torn = list_jump(WITHIN_THE_LAST);
        assert_string_equal(whole, "own; own; format; binlog.000001:1522 -> binlog.000002; empty binlog.000002:4-299; "
                                   "binlog.000002:299-339; binlog.000002:339-381; binlog.000002:381-442?; "
                                   "binlog.000002:442-488?; binlog.000002:488-533?; binlog.000002:533-564; own");
        /* Of what was sent in between nothing may be missing: neither a whole transaction nor the end of one. */
        assert_null(strstr(lacking, "->"));
        assert_null(strstr(lacking, "empty"));
        assert_null(strstr(torn, "->"));
        assert_null(strstr(torn, "empty"));
}

static void read_bytes(const Text *log, Listing *listing, LogReaderKind kind)
{
        Failure failure = { 0 };
        uint64_t end;
        assert_int_equal(
                sample_read(kind, (const uint8_t *) log->data, log->length, log->length, list, listing, &end, &failure),
                LOGREADER_MORE);
}

static void add_rotate(Text *out, uint32_t server_id, const char *file, uint32_t end, uint16_t flags)
{
        CLEANUP(text_done) Text body = { 0 };
        text_add_n(&body, "\4\0\0\0\0\0\0\0", 8);
        text_add(&body, file);
        sample_add_event(out, &(SampleEvent){ .type = BINLOG_TYPE_ROTATE,
                                              .server_id = server_id,
                                              .end = end,
                                              .flags = flags,
                                              .body = body.data,
                                              .length = body.length });
}

/* Where nothing says which file the first events are in, the first ROTATE behind them does. */
static void test_relay_origin(void **state)
{
        CLEANUP(text_done) Text log = { 0 };
        sample_add_head(&log, 2);
        sample_add_gtid(&log, 0x11, 7, 1048);
        sample_add_query(&log, "DROP TABLE t", 1097);
        add_rotate(&log, 1, "binlog.000010", 1141, 0);
        sample_add_gtid(&log, 0x11, 8, 175);
        Position nowhere = { 0 };
        Listing listing = { .relay = relaylog_new(2, &nowhere) };
        read_bytes(&log, &listing, LOGREADER_RELAY);
        assert_string_equal(listing.text.data, "own; unplaced :1000-1048; unplaced :1048-1097; unplaced :1097-1141; "
                                               "binlog.000010:127-175");
        assert_string_equal(relaylog_began_in(listing.relay), "binlog.000009");
        text_done(&listing.text);
        relaylog_free(listing.relay);

        Position origin = { .file = "binlog.000009" };
        listing.relay = relaylog_new(2, &origin);
        read_bytes(&log, &listing, LOGREADER_RELAY);
        assert_string_equal(listing.text.data, "own; binlog.000009:1000-1048; binlog.000009:1048-1097; "
                                               "binlog.000009:1097-1141; binlog.000010:127-175");
        text_done(&listing.text);
        relaylog_free(listing.relay);
}

/* The same, as all that can come first tells it; nothing is made of what does not fit. */
static void test_relay_began_in(void **state)
{
        static const struct {
                bool events; /* that end at 1097 come before */
                uint32_t server_id, end;
                uint64_t next;
                const char *began;
        } rows[] = {
                { true, 1, 1141, 4, "binlog.000009" },
                { true, 1, 1142, 4, "" },
                { false, 1, 1141, 4, "binlog.000009" },
                { true, 1, 0, 1097, "binlog.000010" },
                { true, 1, 0, 4, "" },
                { true, 0, 1200, 1500, "binlog.000010" },
                { true, 0, 1200, 1000, "" },
                { false, 1, 0, 4, "" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                CLEANUP(text_done) Text log = { 0 }, body = { 0 };
                sample_add_head(&log, 2);
                if (rows[i].events)
                        sample_add_query(&log, "DROP TABLE t", 1097);
                uint8_t place[8] = { (uint8_t) rows[i].next, (uint8_t) (rows[i].next >> 8) };
                text_add_n(&body, (const char *) place, sizeof place);
                text_add(&body, "binlog.000010");
                sample_add_event(&log, &(SampleEvent){ .type = BINLOG_TYPE_ROTATE,
                                                       .server_id = rows[i].server_id,
                                                       .end = rows[i].end,
                                                       .body = body.data,
                                                       .length = body.length });
                add_rotate(&log, 1, "binlog.000077", 5000, 0); /* what comes later changes nothing */
                Position nowhere = { 0 };
                Listing listing = { .relay = relaylog_new(2, &nowhere) };
                read_bytes(&log, &listing, LOGREADER_RELAY);
                if (strcmp(relaylog_began_in(listing.relay), rows[i].began) != 0)
                        fail_msg("row %zu: %s", i, relaylog_began_in(listing.relay));
                text_done(&listing.text);
                relaylog_free(listing.relay);
        }
}

static void test_file_before(void **state)
{
        char before[POSITION_FILE_MAX];
        assert_true(relaylog_file_before("binlog.000010", before));
        assert_string_equal(before, "binlog.000009");
        assert_true(relaylog_file_before("binlog.1000000", before));
        assert_string_equal(before, "binlog.999999");
        assert_true(relaylog_file_before("a.2000000", before));
        assert_string_equal(before, "a.1999999");
        assert_false(relaylog_file_before("binlog.000001", before));
        assert_false(relaylog_file_before("binlog.000000", before));
        assert_false(relaylog_file_before("binlog", before));
        assert_false(relaylog_file_before("", before));
}

static void test_file_after(void **state)
{
        char after[POSITION_FILE_MAX];
        assert_true(relaylog_file_after("binlog.000009", after));
        assert_string_equal(after, "binlog.000010");
        assert_true(relaylog_file_after("binlog.999999", after));
        assert_string_equal(after, "binlog.1000000");
        assert_true(relaylog_file_after("9", after));
        assert_string_equal(after, "10");
        assert_false(relaylog_file_after("binlog", after));
        assert_false(relaylog_file_after("", after));
        char longest[POSITION_FILE_MAX];
        memset(longest, '9', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        assert_false(relaylog_file_after(longest, after));
}

/* Beyond 4 GiB. */

static const uint64_t gib4 = (uint64_t) 1 << 32, before_4gib = ((uint64_t) 1 << 32) - 100;

static void add_around_4gib(Text *log)
{
        uint32_t at = (uint32_t) before_4gib;
        sample_add_gtid(log, 0x11, 7, at += 48);
        sample_add_query(log, "BEGIN", at += 42);
        sample_add_query(log, "INSERT INTO t VALUES (1)", at += 61);
        sample_add_xid(log, at + 31);
}

static void test_beyond_4gib(void **state)
{
        CLEANUP(text_done) Text head = { 0 }, log = { 0 };
        sample_add_head(&head, 1);
        BinlogFormat format;
        assert_int_equal(binlog_read_format((const uint8_t *) head.data + 4, head.length - 4, &format, NULL), 0);
        add_around_4gib(&log);
        CLEANUP(logreader_free) LogReader *reader = logreader_new_at(LOGREADER_BINARY, before_4gib, &format);
        const uint8_t *at = (const uint8_t *) log.data;
        size_t left = log.length;
        Listing listing = { 0 };
        BinlogEvent event;
        while (logreader_take(reader, &at, &left, &event, NULL) > 0)
                list(&event, &listing);
        assert_string_equal(listing.text.data,
                            "4294967196( Gtid 11111111-1111-1111-1111-111111111111:7; 4294967244 Query; "
                            "4294967286 Query; 4294967347) Xid");
        text_done(&listing.text);
        assert_int_equal(logreader_offset(reader), before_4gib + 182);
}

static void test_relay_beyond_4gib(void **state)
{
        CLEANUP(text_done) Text log = { 0 };
        sample_add_head(&log, 2);
        add_around_4gib(&log);
        add_around_4gib(&log); /* once more, after a reconnect */
        Position start = { .file = "binlog.000003", .offset = 2 * gib4 + before_4gib };
        Listing listing = { .relay = relaylog_new(2, &start) };
        read_bytes(&log, &listing, LOGREADER_RELAY);
        assert_string_equal(listing.text.data,
                            "own; binlog.000003:12884901788-12884901836; binlog.000003:12884901836-12884901878; "
                            "binlog.000003:12884901878-12884901939; binlog.000003:12884901939-12884901970; "
                            "binlog.000003:12884901788-12884901836; binlog.000003:12884901836-12884901878; "
                            "binlog.000003:12884901878-12884901939; binlog.000003:12884901939-12884901970");
        text_done(&listing.text);
        relaylog_free(listing.relay);
}

/* Damage. */

static void count(const BinlogEvent *event, void *userdata)
{
        ++*(size_t *) userdata;
}

/* Cut anywhere, what is before the torn event is there. */
static void test_torn(void **state)
{
        size_t length;
        CLEANUP(mem_free) uint8_t *bytes = sample_load("mysql9-in-use.binlog", &length);
        static const uint64_t ends[] = { 4, 127, 288, 367, 441, 498, 551, 582 };
        for (size_t cut = 4; cut <= length; cut++) {
                size_t n = 0, whole = 0;
                uint64_t end;
                assert_int_equal(sample_read(LOGREADER_BINARY, bytes, cut, 16, count, &n, &end, NULL), LOGREADER_MORE);
                for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
                        if (ends[i] <= cut)
                                whole = i;
                assert_int_equal(end, ends[whole]);
                assert_int_equal(n, whole);
        }
}

/* Any changed bit is seen, except in the flag that the checksum leaves out. */
static void test_damaged(void **state)
{
        size_t length;
        CLEANUP(mem_free) uint8_t *bytes = sample_load("mysql9-in-use.binlog", &length);
        for (size_t bit = 0; bit < length * 8; bit++) {
                size_t n = 0;
                uint64_t end;
                Failure failure = { 0 };
                if (bit == (4 + 17) * 8)
                        continue;
                bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
                int r = sample_read(LOGREADER_BINARY, bytes, length, length, count, &n, &end, &failure);
                assert_true(r < 0 || end < length);
                assert_true(end <= bit / 8);
                assert_true(r >= 0 || failure.text[0]);
                bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
}

static void assert_refused(const char *bytes, size_t length, LogReaderKind kind, const char *expected)
{
        size_t n = 0;
        uint64_t end;
        Failure failure = { 0 };
        assert_true(sample_read(kind, (const uint8_t *) bytes, length, length, count, &n, &end, &failure) < 0);
        assert_non_null(strstr(failure.text, expected));
}

static void test_refused(void **state)
{
        assert_refused("\xfd\x62\x69\x6e....", 8, LOGREADER_BINARY, "encrypted (binlog_encryption)");
        assert_refused("MZ..", 4, LOGREADER_BINARY, "does not begin as a binary log");

        CLEANUP(text_done) Text log = { 0 };
        sample_add_head(&log, 1);
        size_t head = log.length;
        SampleEvent encryption = {
                .type = BINLOG_TYPE_START_ENCRYPTION, .server_id = 1, .body = "\1....", .length = 5
        };
        sample_add_event(&log, &encryption);
        assert_refused(log.data, log.length, LOGREADER_BINARY, "encrypted (encrypt_binlog)");
        assert_refused(log.data, log.length, LOGREADER_RELAY, "encrypted (encrypt_binlog)");

        log.length = head;
        sample_add_xid(&log, (uint32_t) head + 32);
        assert_refused(log.data, log.length, LOGREADER_BINARY, "belongs elsewhere");
        log.length = head;
        text_add_n(&log, (char[64]){ 0 }, 64);
        assert_refused(log.data, log.length, LOGREADER_BINARY, "there is no event");
        assert_refused("\xfe\x62\x69\x6e\1\0\0\0\2\1\0\0\0\x40\0\0\0\0\0\0\0\0\0", 23, LOGREADER_BINARY,
                       "begins without a format description");
}

/* The primary's START_ENCRYPTION in a relay log that is not encrypted: it is sent along, its events decrypted. */
static void test_encryption_passed_on(void **state)
{
        CLEANUP(text_done) Text log = { 0 };
        size_t n = 0;
        uint64_t end;
        sample_add_head(&log, 2);
        add_rotate(&log, 1, "binlog.000001", 0, BINLOG_FLAG_ARTIFICIAL);
        SampleEvent encryption = {
                .type = BINLOG_TYPE_START_ENCRYPTION, .server_id = 1, .body = "\1....", .length = 5
        };
        sample_add_event(&log, &encryption);
        assert_int_equal(sample_read(LOGREADER_RELAY, (const uint8_t *) log.data, log.length, 5, count, &n, &end, NULL),
                         LOGREADER_MORE);
        assert_int_equal(n, 3);
}

/* Heads come before their events, and the rest of the event behind them. */
static void test_heads(void **state)
{
        size_t length;
        CLEANUP(mem_free) uint8_t *bytes = sample_load("mysql9-tagged.binlog", &length);
        CLEANUP(logreader_free) LogReader *reader = logreader_new(LOGREADER_BINARY);
        logreader_want_heads(reader);
        const uint8_t *at = bytes;
        size_t left = length;
        uint64_t expected = 4;
        for (BinlogEvent event; left > 0;) {
                assert_int_equal(logreader_take(reader, &at, &left, &event, NULL), LOGREADER_HEAD);
                assert_int_equal(event.offset, expected);
                assert_int_equal(logreader_offset(reader), expected);
                assert_memory_equal(event.bytes, bytes + event.offset, event.kept);
                assert_int_equal(logreader_taken(reader), event.offset + event.kept);
                assert_int_equal(logreader_take(reader, &at, &left, &event, NULL), LOGREADER_EVENT);
                expected += event.header.length;
                assert_ptr_equal(at, bytes + expected);
        }
}

/* Transactions that are entered in the middle, never finished, or have no frame at all. */

static const char *steps_of(Group *group, const char *const *queries)
{
        static char result[64];
        BinlogFormat format = { .flavour = FLAVOUR_MYSQL };
        size_t n = 0;
        for (; *queries; queries++) {
                static const char marks[] = { '.', '(', '-', ')', '1' };
                CLEANUP(text_done) Text bytes = { 0 };
                sample_add_query(&bytes, *queries, 0);
                if (strcmp(*queries, "XID") == 0) {
                        bytes.length = 0;
                        sample_add_xid(&bytes, 0);
                } else if (strcmp(*queries, "GTID") == 0) {
                        bytes.length = 0;
                        sample_add_gtid(&bytes, 0x11, 1, 0);
                } else if (strcmp(*queries, "INTVAR") == 0)
                        bytes.data[4] = BINLOG_TYPE_INTVAR;
                else if (strcmp(*queries, "INCIDENT") == 0)
                        bytes.data[4] = BINLOG_TYPE_INCIDENT;
                BinlogEvent event = { .header = binlog_header((const uint8_t *) bytes.data),
                                      .bytes = (const uint8_t *) bytes.data,
                                      .kept = bytes.length - 4,
                                      .body_length = bytes.length - 4 - BINLOG_HEADER_LENGTH,
                                      .format = &format };
                int step = group_step(group, &event, NULL);
                assert_in_range(step, GROUP_OUTSIDE, GROUP_ALONE);
                if (group->gave_up)
                        result[n++] = '!';
                result[n++] = marks[step];
        }
        result[n] = '\0';
        return result;
}

#define assert_steps(state_, expected, ...)                                                                            \
        do {                                                                                                           \
                Group group = { .state = state_ };                                                                     \
                assert_string_equal(steps_of(&group, (const char *const[]){ __VA_ARGS__, NULL }), expected);           \
        } while (0)

static void test_groups(void **state)
{
        assert_steps(GROUP_CLOSED, "(-)1", "BEGIN", "INSERT", "XID", "DROP TABLE t");
        assert_steps(GROUP_CLOSED, "(---)", "begin", "savepoint x", "ROLLBACK TO `x`", "ROLLBACK WORK TO x",
                     "rollback");
        assert_steps(GROUP_CLOSED, "(-)", "BEGIN", "COMMITTED", "COMMIT");
        assert_steps(GROUP_CLOSED, "()1", "INTVAR", "CREATE TABLE t SELECT 1", "DROP TABLE t");
        assert_steps(GROUP_CLOSED, "()()", "GTID", "DROP TABLE t", "GTID", "INCIDENT");
        assert_steps(GROUP_CLOSED, "(--)", "GTID", "INTVAR", "BEGIN", "COMMIT");
        assert_steps(GROUP_CLOSED, "(-)()", "XA START X'1'", "INSERT", "XA ROLLBACK X'1'", "GTID", "XA COMMIT X'1'");
        assert_steps(GROUP_CLOSED, "()11", "GTID", "XA ROLLBACK X'1'", "XA COMMIT X'1'", "INCIDENT");
        assert_steps(GROUP_CLOSED, "(-!()", "GTID", "BEGIN", "GTID", "DROP TABLE t");
        assert_steps(GROUP_CLOSED, "(-!(-)", "BEGIN", "INSERT", "BEGIN", "INSERT", "XID");
        assert_steps(GROUP_UNKNOWN, "--)1", "BEGIN", "INSERT", "XID", "DROP TABLE t");
        assert_steps(GROUP_UNKNOWN, "-()", "DROP TABLE t", "GTID", "DROP TABLE t");
}

int main(int argc, char **argv)
{
        sample_init(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mariadb),        cmocka_unit_test(test_mysql56),
                cmocka_unit_test(test_mysql9),         cmocka_unit_test(test_format),
                cmocka_unit_test(test_relay_tagged),   cmocka_unit_test(test_relay_rewritten),
                cmocka_unit_test(test_relay_guessed),  cmocka_unit_test(test_relay_again),
                cmocka_unit_test(test_relay_index),    cmocka_unit_test(test_relay_origin),
                cmocka_unit_test(test_relay_began_in), cmocka_unit_test(test_file_before),
                cmocka_unit_test(test_beyond_4gib),    cmocka_unit_test(test_relay_beyond_4gib),
                cmocka_unit_test(test_torn),           cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_refused),        cmocka_unit_test(test_encryption_passed_on),
                cmocka_unit_test(test_heads),          cmocka_unit_test(test_file_after),
                cmocka_unit_test(test_groups),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
