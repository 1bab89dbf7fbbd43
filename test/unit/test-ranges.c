/* The index of what is held of a log: holes, torn ends, several sources, what a replica lacks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ranges.h"
#include "sample.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define UUID2 "22222222-2222-2222-2222-222222222222"

/* The log of these tests: behind its head each file has transactions of three events, of 121 bytes in all. */
enum { HEAD = 127, GTID = 48, BEGIN = 42, XID = 31, GROUP = GTID + BEGIN + XID };

static Position at(const char *file, uint64_t offset)
{
        Position position = { .offset = offset };
        strcpy(position.file, file);
        return position;
}

static Position group_at(const char *file, uint64_t group)
{
        return at(file, HEAD + group * GROUP);
}

/* How the next events are placed. */
static bool guessed, corrected;
static const char *stored_in; /* NULL: in the primary's own file, at the same place */
static uint64_t stored_at;

static void add(Ranges *ranges, size_t source, const char *file, uint64_t start, const Text *bytes)
{
        static BinlogFormat format;
        const uint8_t *event = (const uint8_t *) bytes->data;
        BinlogEvent parsed = { .header = binlog_header(event),
                               .bytes = event,
                               .kept = bytes->length - (event[4] == BINLOG_TYPE_FORMAT ? 0 : 4),
                               .body_length = bytes->length - 4 - BINLOG_HEADER_LENGTH,
                               .digest = binlog_digest(event, bytes->length - 4),
                               .format = &format };
        RangesEvent placed = { .event = &parsed, .start = at(file, start), .end = start + bytes->length };
        placed.stored = placed.start;
        if (stored_in) {
                placed.stored = at(stored_in, stored_at);
                stored_at += bytes->length;
        }
        placed.guessed = guessed;
        placed.corrected = corrected;
        assert_int_equal(ranges_add(ranges, source, &placed, NULL), 0);
}

static void add_head(Ranges *ranges, size_t source, const char *file)
{
        CLEANUP(text_done) Text log = { 0 };
        sample_add_head(&log, 1);
        memmove(log.data, log.data + 4, log.length - 4);
        log.length -= 4;
        add(ranges, source, file, 4, &log);
}

/* The n-th event behind the head; the transactions of a file are numbered from first_sequence on. */
static void add_event(Ranges *ranges, size_t source, const char *file, uint64_t n, uint64_t first_sequence)
{
        CLEANUP(text_done) Text log = { 0 };
        uint64_t start = HEAD + n / 3 * GROUP;
        if (n % 3 == 0)
                sample_add_gtid(&log, 0x11, first_sequence + n / 3, 1);
        else if (n % 3 == 1)
                sample_add_query(&log, "BEGIN", 1);
        else
                sample_add_xid(&log, 1);
        start += n % 3 > 0 ? GTID : 0;
        start += n % 3 > 1 ? BEGIN : 0;
        add(ranges, source, file, start, &log);
}

static void add_events(Ranges *ranges, size_t source, const char *file, uint64_t from, uint64_t to,
                       uint64_t first_sequence)
{
        for (uint64_t n = from; n < to; n++)
                add_event(ranges, source, file, n, first_sequence);
}

static void add_groups(Ranges *ranges, size_t source, const char *file, uint64_t from, uint64_t to, uint64_t first)
{
        add_events(ranges, source, file, from * 3, to * 3, first);
}

static void add_rotate(Ranges *ranges, size_t source, const char *file, uint64_t n_groups, const char *next)
{
        CLEANUP(text_done) Text log = { 0 }, body = { 0 };
        text_add_n(&body, "\4\0\0\0\0\0\0\0", 8);
        text_add(&body, next);
        sample_add_event(&log, &(SampleEvent){ .type = BINLOG_TYPE_ROTATE,
                                               .server_id = 1,
                                               .end = 1,
                                               .body = body.data,
                                               .length = body.length });
        add(ranges, source, file, HEAD + n_groups * GROUP, &log);
}

static void add_file(Ranges *ranges, size_t source, const char *file, uint64_t n_groups, const char *next,
                     uint64_t first)
{
        add_head(ranges, source, file);
        add_groups(ranges, source, file, 0, n_groups, first);
        if (next)
                add_rotate(ranges, source, file, n_groups, next);
}

/* "db1 binlog.000001:4-1337, …; holes; end E, last L, torn T; n groups; gtids". */
static char *describe(const Ranges *ranges, const RangesAnswer *answer)
{
        Text text = { 0 };
        for (size_t i = 0; i < answer->n_pieces; i++) {
                CLEANUP(mem_free) char *from = position_format(&answer->pieces[i].from);
                text_separate(&text, ", ");
                text_addf(&text, "%s %s-%llu", ranges_source(ranges, answer->pieces[i].source), from,
                          (unsigned long long) answer->pieces[i].to);
        }
        for (size_t i = 0; i < answer->n_holes; i++)
                text_addf(&text, "; %s", answer->holes[i].text);
        CLEANUP(mem_free) char *end = position_format(&answer->end);
        CLEANUP(mem_free) char *last = position_format(&answer->last);
        CLEANUP(mem_free) char *torn = position_format(&answer->torn);
        text_addf(&text, "; end %s", end);
        if (strcmp(end, last) != 0)
                text_addf(&text, ", last %s", last);
        if (torn[0])
                text_addf(&text, ", torn %s", torn);
        text_addf(&text, "; %s%llu", answer->n_groups_exact ? "" : "at most ", (unsigned long long) answer->n_groups);
        if (answer->runs.n_runs > 0) {
                CLEANUP(gtid_free)
                GtidSet *set = transaction_runs_to_set(&answer->runs, answer->runs.runs[0].first.family);
                CLEANUP(mem_free) char *gtids = gtid_format(set);
                text_addf(&text, "; %s", gtids);
        }
        return text_take(&text);
}

/* The same, and again after a way through JSON. */
static void assert_answer(const Ranges *ranges, Position from, const char *expected)
{
        CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &from);
        CLEANUP(mem_free) char *text = describe(ranges, &answer);
        assert_string_equal(text, expected);

        CLEANUP(json_free) Json *json = ranges_to_json(ranges);
        CLEANUP(ranges_free) Ranges *copy = NULL;
        assert_int_equal(ranges_from_json(json, &copy, NULL), 0);
        CLEANUP(ranges_answer_done) RangesAnswer again = ranges_ask(copy, &from);
        CLEANUP(mem_free) char *copied = describe(copy, &again);
        assert_string_equal(copied, expected);
        CLEANUP(json_free) Json *back = ranges_to_json(copy);
        CLEANUP(mem_free) char *one = json_print(json);
        CLEANUP(mem_free) char *other = json_print(back);
        assert_string_equal(one, other);
}

static const Position anywhere = { 0 };

static void test_whole(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db1 = ranges_add_source(ranges, "db1");
        add_file(ranges, db1, "log.000001", 10, "log.000002", 1);
        add_file(ranges, db1, "log.000002", 10, "log.000003", 11);
        add_file(ranges, db1, "log.000003", 5, NULL, 21);
        ranges_pause(ranges, db1);
        assert_answer(
                ranges, anywhere,
                "db1 log.000001:4-1378, db1 log.000002:4-1378, db1 log.000003:4-732; end log.000003:732; 25; " UUID
                ":1-25");
        assert_answer(ranges, at("log.000003", 4), "db1 log.000003:4-732; end log.000003:732; 5; " UUID ":21-25");
        assert_answer(ranges, group_at("log.000003", 5), "; end log.000003:732; 0");
        assert_answer(ranges, at("log.000004", 4), "; end log.000004:4; 0");
        assert_answer(ranges, at("log.000003", 99999), "; end log.000003:99999; 0");
        /* Inside a block the transactions before count too; at a border they do not. */
        assert_answer(ranges, group_at("log.000003", 2),
                      "db1 log.000003:369-732; end log.000003:732; at most 5; " UUID ":21-25");
        Position inside = group_at("log.000003", 2);
        CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &inside);
        assert_int_equal(answer.pieces[0].stored.offset, answer.pieces[0].stored_at);
        assert_true(answer.pieces[0].stored_at < inside.offset);
        size_t length;
        assert_non_null(ranges_format(ranges, "log.000002", &length));
        assert_int_equal(length, HEAD - 4);
        assert_null(ranges_format(ranges, "log.000009", &length));
}

static void test_borders(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db1 = ranges_add_source(ranges, "db1");
        Position border = group_at("log.000003", 2);
        ranges_add_border(ranges, &border);
        add_groups(ranges, db1, "log.000003", 0, 5, 21); /* entered at a GTID */
        ranges_pause(ranges, db1);
        assert_answer(ranges, border, "db1 log.000003:369-732; end log.000003:732; 3; " UUID ":23-25");
        assert_answer(ranges, at("log.000003", 4),
                      "db1 log.000003:127-732; no source has log.000003:4 - log.000003:127; end log.000003:4, last "
                      "log.000003:732; 5; " UUID ":21-25");
        assert_answer(ranges, at("log.000001", 4),
                      "db1 log.000003:127-732; no source has log.000001:4 - log.000003:4; no source has log.000003:4 - "
                      "log.000003:127; end log.000001:4, last log.000003:732; 5; " UUID ":21-25");
        assert_answer(
                ranges, at("other.000001", 4),
                "db1 log.000003:127-732; other.000001 is a position in another log than log.000003; no source has "
                "log.000003:4 - log.000003:127; end other.000001:4, last log.000003:732; 5; " UUID ":21-25");
}

static void test_hole(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db1 = ranges_add_source(ranges, "db1");
        add_file(ranges, db1, "log.000001", 3, NULL, 1);
        add_groups(ranges, db1, "log.000001", 5, 7, 1);
        ranges_pause(ranges, db1);
        assert_answer(
                ranges, anywhere,
                "db1 log.000001:4-490, db1 log.000001:732-974; no source has log.000001:490 - log.000001:732; end "
                "log.000001:490, last log.000001:974; 5; " UUID ":1-3:6-7");
        /* Another source fills it. */
        size_t db2 = ranges_add_source(ranges, "db2");
        add_groups(ranges, db2, "log.000001", 2, 6, 1);
        ranges_pause(ranges, db2);
        assert_answer(
                ranges, anywhere,
                "db1 log.000001:4-490, db2 log.000001:490-853, db1 log.000001:853-974; end log.000001:974; at most "
                "9; " UUID ":1-7");
}

static void test_torn(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db1 = ranges_add_source(ranges, "db1");
        add_head(ranges, db1, "log.000001");
        add_events(ranges, db1, "log.000001", 0, 3 * 3 + 2, 1);
        ranges_pause(ranges, db1);
        assert_answer(ranges, anywhere,
                      "db1 log.000001:4-490; end log.000001:490, torn log.000001:580; 3; " UUID ":1-3");
        /* The primary was started again: what was torn is no part of its log. */
        Position end = at("log.000001", 580);
        add_file(ranges, db1, "log.000002", 2, NULL, 4);
        ranges_pause(ranges, db1);
        assert_answer(ranges, anywhere,
                      "db1 log.000001:4-490, db1 log.000002:4-369; where log.000001 ends is not known: no source has "
                      "seen it to its end; end log.000001:490, last log.000002:369, torn log.000001:580; 5; " UUID
                      ":1-5");
        ranges_end_file(ranges, &end, RANGES_END_CUT, NULL);
        assert_answer(ranges, anywhere,
                      "db1 log.000001:4-490, db1 log.000002:4-369; end log.000002:369, torn log.000001:580; 5; " UUID
                      ":1-5");
}

/* One source ends inside a transaction, another begins there. */
static void test_joined(void **state)
{
        for (uint64_t cut = 3 * 3 + 1; cut < 4 * 3; cut++) {
                CLEANUP(ranges_free) Ranges *ranges = ranges_new();
                size_t db1 = ranges_add_source(ranges, "db1"), db2 = ranges_add_source(ranges, "db2");
                add_events(ranges, db2, "log.000001", cut, 6 * 3, 1);
                add_head(ranges, db1, "log.000001");
                add_events(ranges, db1, "log.000001", 0, cut, 1);
                ranges_pause(ranges, db1);
                ranges_pause(ranges, db2);
                Position from = at("log.000001", 4);
                CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &from);
                assert_int_equal(answer.n_holes, 0);
                assert_int_equal(answer.n_groups, 6);
                assert_true(answer.n_groups_exact);
                assert_int_equal(answer.end.offset, HEAD + 6 * GROUP);
                CLEANUP(gtid_free) GtidSet *set = transaction_runs_to_set(&answer.runs, GTID_FAMILY_MYSQL);
                CLEANUP(mem_free) char *gtids = gtid_format(set);
                assert_string_equal(gtids, UUID ":1-6");
        }
}

/* A relay log begins anew wherever it likes, in the middle of a transaction too. */
static void test_turns(void **state)
{
        for (uint64_t cut = 4 * 3 - 1; cut <= 4 * 3 + 1; cut++) {
                CLEANUP(ranges_free) Ranges *ranges = ranges_new();
                size_t db2 = ranges_add_source(ranges, "db2");
                stored_in = "relay.000001";
                stored_at = 4;
                add_head(ranges, db2, "log.000001");
                add_events(ranges, db2, "log.000001", 0, cut, 1);
                stored_in = "relay.000002";
                stored_at = 1000;
                add_events(ranges, db2, "log.000001", cut, 6 * 3, 1);
                stored_in = NULL;
                ranges_pause(ranges, db2);
                CLEANUP(json_free) Json *json = ranges_to_json(ranges);
                CLEANUP(ranges_free) Ranges *copy = NULL;
                assert_int_equal(ranges_from_json(json, &copy, NULL), 0);

                uint64_t turn = HEAD + cut / 3 * GROUP + (cut % 3 > 0 ? GTID : 0) + (cut % 3 > 1 ? BEGIN : 0);
                CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(copy, &anywhere);
                assert_int_equal(answer.n_pieces, 2);
                assert_string_equal(answer.pieces[0].stored.file, "relay.000001");
                assert_int_equal(answer.pieces[0].stored.offset, 4);
                assert_int_equal(answer.pieces[0].to, turn);
                assert_string_equal(answer.pieces[1].stored.file, "relay.000002");
                assert_int_equal(answer.pieces[1].stored.offset, 1000);
                assert_int_equal(answer.pieces[1].stored_at, turn);
                assert_int_equal(answer.pieces[1].from.offset, turn);
                assert_int_equal(answer.pieces[1].to, HEAD + 6 * GROUP);
                assert_int_equal(answer.n_groups, 6);

                Position from = group_at("log.000001", 5);
                CLEANUP(ranges_answer_done) RangesAnswer later = ranges_ask(copy, &from);
                assert_int_equal(later.n_pieces, 1);
                assert_string_equal(later.pieces[0].stored.file, "relay.000002");
                assert_int_equal(later.pieces[0].stored_at, turn);
        }
}

static void test_files(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db1 = ranges_add_source(ranges, "db1");
        /* In any order. */
        add_file(ranges, db1, "log.000004", 1, NULL, 3);
        add_file(ranges, db1, "log.000001", 1, "log.000002", 1);
        ranges_pause(ranges, db1);
        assert_int_equal(ranges_n_files(ranges), 2);
        assert_string_equal(ranges_file(ranges, 1), "log.000004");
        assert_answer(ranges, anywhere,
                      "db1 log.000001:4-289, db1 log.000004:4-248; no source has the files between log.000001 and "
                      "log.000004; end log.000001:289, last log.000004:248; 2; " UUID ":1:3");
        add_file(ranges, db1, "log.000002", 1, "log.000004", 2); /* says so itself */
        ranges_pause(ranges, db1);
        assert_answer(ranges, anywhere,
                      "db1 log.000001:4-289, db1 log.000002:4-289, db1 log.000004:4-248; end log.000004:248; 3; " UUID
                      ":1-3");
        CLEANUP(text_done) Text log = { 0 };
        sample_add_xid(&log, 1);
        BinlogEvent event = { .header = binlog_header((const uint8_t *) log.data) };
        RangesEvent stranger = { .event = &event, .start = at("other.000001", 4), .end = 35 };
        Failure failure;
        assert_int_equal(ranges_add(ranges, db1, &stranger, &failure), -EINVAL);
        assert_non_null(strstr(failure.text, "not of one log"));
}

/* MySQL's receiver does not keep the list at a file's head. */
static void test_ignored(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db2 = ranges_add_source(ranges, "db2");
        add_head(ranges, db2, "log.000001");
        add_groups(ranges, db2, "log.000001", 1, 3, 1);
        ranges_pause(ranges, db2);
        const char *with_hole = "db2 log.000001:4-127, db2 log.000001:248-490; no source has log.000001:127 - "
                                "log.000001:248; end log.000001:127, last log.000001:490; 2; " UUID ":2-3";
        assert_answer(ranges, anywhere, with_hole);
        Position elsewhere = at("log.000001", 128), head = at("log.000001", HEAD);
        assert_false(ranges_add_ignored(ranges, &elsewhere, 248));
        assert_false(ranges_add_ignored(ranges, &head, HEAD + 30));
        assert_answer(ranges, anywhere, with_hole);
        assert_true(ranges_add_ignored(ranges, &head, 248));
        assert_answer(ranges, anywhere,
                      "db2 log.000001:4-127, db2 log.000001:248-490; end log.000001:490; 2; " UUID ":2-3");
}

/* MySQL 5.6 at times leaves out the marker, too: believed where there is no room for a transaction beside the list. */
static void test_ignored_without_marker(void **state)
{
        static const struct {
                const char *version;
                uint64_t gap;
                bool gtid; /* the next event is one, else it is a statement */
                bool ignored;
        } rows[] = {
                { "5.6.9", 31, true, true },   { "5.6.9", 71, true, true },   { "5.6.9", 111, true, true },
                { "5.6.9", 119, true, false }, { "5.6.9", 70, true, false },  { "5.6.9", 23, true, false },
                { "5.6.9", 31, false, true },  { "5.6.9", 63, false, true },  { "5.6.9", 71, false, false },
                { "9.7.4", 31, true, false },  { "9.7.4", 31, false, false },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                CLEANUP(ranges_free) Ranges *ranges = ranges_new();
                CLEANUP(text_done) Text head = { 0 }, next = { 0 };
                size_t db2 = ranges_add_source(ranges, "db2");
                sample_add_head_of(&head, 1, rows[i].version);
                memmove(head.data, head.data + BINLOG_MAGIC_LENGTH, head.length -= BINLOG_MAGIC_LENGTH);
                add(ranges, db2, "log.000001", BINLOG_MAGIC_LENGTH, &head);
                if (rows[i].gtid)
                        sample_add_gtid(&next, 0x11, 1, 1);
                else
                        sample_add_query(&next, "CREATE DATABASE a", 1);
                add(ranges, db2, "log.000001", HEAD + rows[i].gap, &next);
                ranges_pause(ranges, db2);
                CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(ranges, &anywhere);
                if ((answer.n_holes == 0) != rows[i].ignored)
                        fail_msg("%s, %d before %s: %zu holes", rows[i].version, (int) rows[i].gap,
                                 rows[i].gtid ? "a GTID" : "a statement", answer.n_holes);
        }
}

/* Places that were guessed count only once the end of the transaction is known. */
static void test_guessed(void **state)
{
        for (int variant = 0; variant < 3; variant++) {
                CLEANUP(ranges_free) Ranges *ranges = ranges_new();
                CLEANUP(text_done) Text xid = { 0 }, query = { 0 };
                size_t db2 = ranges_add_source(ranges, "db2");
                add_file(ranges, db2, "log.000001", 2, NULL, 1);
                add_event(ranges, db2, "log.000001", 6, 1);
                guessed = true;
                sample_add_query(&query, "BEGIN and much more than there was", 1);
                add(ranges, db2, "log.000001", HEAD + 2 * GROUP + GTID, &query);
                guessed = false;
                corrected = variant > 0;
                sample_add_xid(&xid, 1);
                if (variant > 0)
                        add(ranges, db2, "log.000001", HEAD + 2 * GROUP + GTID + BEGIN, &xid);
                corrected = false;
                if (variant == 2)
                        add_event(ranges, db2, "log.000001", 9, 1);
                ranges_pause(ranges, db2);
                assert_answer(
                        ranges, anywhere,
                        variant == 0 ? "db2 log.000001:4-369; end log.000001:369, torn log.000001:417; 2; " UUID ":1-2"
                        : variant == 1 ? "db2 log.000001:4-127, db2 log.000001:127-490; end log.000001:490; 3; " UUID
                                         ":1-3"
                                       : "db2 log.000001:4-127, db2 log.000001:127-490; end log.000001:490, torn "
                                         "log.000001:538; 3; " UUID ":1-3");
        }
}

/* Comparing. */

static void assert_overlaps(const Ranges *ranges, const char *expected)
{
        size_t n;
        CLEANUP(mem_free) RangesOverlap *overlaps = ranges_compare(ranges, &n);
        CLEANUP(text_done) Text text = { 0 };
        for (size_t i = 0; i < n; i++) {
                text_separate(&text, ", ");
                text_addf(&text, "%llu-%llu %s", (unsigned long long) overlaps[i].from.offset,
                          (unsigned long long) overlaps[i].to, ranges_verdict_to_string(overlaps[i].verdict));
        }
        assert_string_equal(text.data ? text.data : "", expected);
}

static void test_compare(void **state)
{
        for (int variant = 0; variant < 3; variant++) {
                CLEANUP(ranges_free) Ranges *ranges = ranges_new();
                size_t db1 = ranges_add_source(ranges, "db1"), db2 = ranges_add_source(ranges, "db2");
                Position border = group_at("log.000001", 2), other = group_at("log.000001", 4);
                ranges_add_border(ranges, &border);
                if (variant > 0)
                        ranges_add_border(ranges, &other);
                add_file(ranges, db1, "log.000001", 6, NULL, 1);
                add_groups(ranges, db2, "log.000001", 2, 4, variant == 2 ? 101 : 1);
                ranges_pause(ranges, db1);
                ranges_pause(ranges, db2);
                assert_overlaps(ranges, variant == 0   ? "369-611 uncompared"
                                        : variant == 1 ? "369-611 agree"
                                                       : "369-611 differ");
        }
}

/* Blocks have the same borders wherever a source begins, and are few. */
static void test_many(void **state)
{
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        size_t db1 = ranges_add_source(ranges, "db1"), db2 = ranges_add_source(ranges, "db2");
        add_file(ranges, db1, "log.000001", 10000, NULL, 1);
        add_groups(ranges, db2, "log.000001", 100, 9000, 1);
        ranges_pause(ranges, db1);
        ranges_pause(ranges, db2);
        assert_overlaps(ranges, "12227-262213 uncompared, 262213-1048592 agree, 1048592-1089127 uncompared");
        assert_answer(ranges, anywhere, "db1 log.000001:4-1210127; end log.000001:1210127; 10000; " UUID ":1-10000");
        CLEANUP(json_free) Json *json = ranges_to_json(ranges);
        CLEANUP(mem_free) char *text = json_print(json);
        assert_in_range(strlen(text), 500, 4000);
}

/* By GTID. */

static void assert_lacks(const Ranges *ranges, const char *has, const char *wanted, const char *expected,
                         const char *expected_lacks, const char *expected_missing)
{
        CLEANUP(gtid_free) GtidSet *set = NULL;
        CLEANUP(gtid_free) GtidSet *all = NULL;
        CLEANUP(gtid_free) GtidSet *lacks = NULL;
        CLEANUP(gtid_free) GtidSet *missing = NULL;
        assert_int_equal(gtid_parse(GTID_FAMILY_MYSQL, has, &set, NULL), 0);
        assert_int_equal(gtid_parse(GTID_FAMILY_MYSQL, wanted, &all, NULL), 0);
        CLEANUP(ranges_answer_done)
        RangesAnswer answer = ranges_ask_gtid(ranges, GTID_FAMILY_MYSQL, set, all, &lacks, &missing);
        CLEANUP(mem_free) char *text = describe(ranges, &answer);
        CLEANUP(mem_free) char *lacks_text = gtid_format(lacks);
        CLEANUP(mem_free) char *missing_text = gtid_format(missing);
        assert_string_equal(text, expected);
        assert_string_equal(lacks_text, expected_lacks);
        assert_string_equal(missing_text, expected_missing);
}

/* The same with lists at the heads of files. */
static Ranges *with_lists(const Ranges *ranges, const char *const *lists, size_t n)
{
        CLEANUP(json_free) Json *json = ranges_to_json(ranges);
        Ranges *with = NULL;
        for (size_t i = 0; i < n; i++)
                json_set_string((Json *) json_at(json_get(json, "files"), i), "before", lists[i]);
        assert_int_equal(ranges_from_json(json, &with, NULL), 0);
        return with;
}

static void test_gtid(void **state)
{
        CLEANUP(ranges_free) Ranges *bare = ranges_new();
        size_t db1 = ranges_add_source(bare, "db1");
        add_file(bare, db1, "log.000001", 10, "log.000002", 1);
        add_file(bare, db1, "log.000002", 10, NULL, 11);
        ranges_pause(bare, db1);
        CLEANUP(ranges_free) Ranges *ranges = with_lists(bare, (const char *[]){ "", UUID ":1-10" }, 2);
        assert_lacks(ranges, UUID ":1-15", UUID ":1-22",
                     "db1 log.000002:4-1337; end log.000002:1337; 10; " UUID ":11-20", UUID ":16-20", UUID ":21-22");
        assert_lacks(ranges, UUID ":1-20", NULL, "db1 log.000002:4-1337; end log.000002:1337; 10; " UUID ":11-20", "",
                     "");
        assert_lacks(ranges, UUID ":1-4:6-20", UUID ":1-20",
                     "db1 log.000001:4-1378, db1 log.000002:4-1337; end log.000002:1337; 20; " UUID ":1-20",
                     UUID ":5", "");
        /* What is older than all that is there is a hole before it. */
        CLEANUP(ranges_free) Ranges *late = with_lists(bare, (const char *[]){ UUID2 ":1-7", UUID ":1-10," UUID2 ":1-7" }, 2);
        assert_lacks(late, UUID2 ":1-4", NULL,
                     "db1 log.000001:127-1378, db1 log.000002:4-1337; " UUID2 ":5-7 is lacked, too, and older than "
                     "log.000001; end , last log.000002:1337; 20; " UUID ":1-20",
                     UUID ":1-20", "");
        assert_lacks(late, UUID ":1-20," UUID2 ":1-4", NULL,
                     "; " UUID2 ":5-7 is lacked, too, and older than log.000001; end ; 0", "", "");
        assert_lacks(bare, UUID ":1-15", NULL,
                     "db1 log.000002:127-1337; what is older than log.000001 may be lacked, too; end , last "
                     "log.000002:1337; 10; " UUID ":11-20",
                     UUID ":16-20", "");
        assert_lacks(bare, UUID ":1-20", NULL, "; end ; 0", "", "");
}

typedef struct Whole {
        Ranges *ranges;
        size_t source;
} Whole;

static void add_real(const BinlogEvent *event, void *userdata)
{
        Whole *whole = userdata;
        RangesEvent placed = { .event = event,
                               .start = at("binlog.000003", event->offset),
                               .end = event->offset + event->header.length };
        placed.stored = placed.start;
        assert_int_equal(ranges_add(whole->ranges, whole->source, &placed, NULL), 0);
}

/* The list at a file's head tells that all before is there already, whatever holes there are. */
static void test_gtid_list(void **state)
{
        size_t length;
        uint64_t end;
        CLEANUP(mem_free) uint8_t *bytes = sample_load("mysql9-tagged.binlog", &length);
        CLEANUP(ranges_free) Ranges *ranges = ranges_new();
        Whole whole = { .ranges = ranges, .source = ranges_add_source(ranges, "db1") };
        sample_read(LOGREADER_BINARY, bytes, length, length, add_real, &whole, &end, NULL);
        ranges_pause(ranges, whole.source);
#define UUID9 "3f4ef876-e65c-11f1-9c5b-c6f04aa52951"
        assert_lacks(ranges, UUID9 ":1-19", UUID9 ":1-20:blue:1-3:red:1-2",
                     "db1 binlog.000003:4-2317; end binlog.000003:2317; 7; " UUID9 ":18-20:blue:1-3:red:1",
                     UUID9 ":20:blue:1-3:red:1", UUID9 ":red:2");
}

static void test_mariadb_runs(void **state)
{
        TransactionRuns runs = { 0 };
        TransactionId id = { .family = GTID_FAMILY_MARIADB, .domain = 0, .server = 1, .sequence = 101 };
        for (int i = 0; i < 5; i++, id.sequence++) {
                transaction_runs_add(&runs, &id);
                TransactionId other = {
                        .family = GTID_FAMILY_MARIADB, .domain = 7, .server = 1, .sequence = id.sequence
                };
                transaction_runs_add(&runs, &other);
        }
        assert_int_equal(runs.n_runs, 2);
        CLEANUP(mem_free) char *text = transaction_format_run(&runs.runs[0]);
        assert_string_equal(text, "0-1-101..105");
        CLEANUP(gtid_free) GtidSet *set = transaction_runs_to_set(&runs, GTID_FAMILY_MARIADB);
        CLEANUP(mem_free) char *described = gtid_describe(set);
        assert_string_equal(described, "0-1-101..105,7-1-101..105");
        TransactionRun run;
        assert_int_equal(transaction_parse_run(GTID_FAMILY_MARIADB, text, &run, NULL), 0);
        assert_int_equal(run.last, 105);
        assert_int_equal(transaction_parse_run(GTID_FAMILY_MARIADB, "0-1-9..3", &run, NULL), -EINVAL);
        assert_int_equal(transaction_parse_run(GTID_FAMILY_MYSQL, UUID ":blue:3-4", &run, NULL), 0);
        assert_string_equal(run.first.tag, "blue");
        assert_int_equal(transaction_parse_run(GTID_FAMILY_MYSQL, UUID ":1-2,", &run, NULL), -EINVAL);
        assert_int_equal(transaction_parse_run(GTID_FAMILY_MYSQL, NULL, &run, NULL), -EINVAL);
        transaction_runs_done(&runs);
}

/* What a file says is not believed. */
/* What is not in range is not there, whatever is on both sides of it. */
static void test_filter(void **state)
{
        CLEANUP(gtid_free) GtidSet *set = NULL;
        assert_int_equal(gtid_parse(GTID_FAMILY_MYSQL, UUID ":1-4:6-20:blue:3", &set, NULL), 0);
        CLEANUP(transaction_filter_free) TransactionFilter *filter = transaction_filter_new(GTID_FAMILY_MYSQL, set);
        static const struct {
                const char *run;
                bool has;
        } rows[] = {
                { UUID ":1", true },      { UUID ":4", true },
                { UUID ":5", false },     { UUID ":1-10", false },
                { UUID ":6-20", true },   { UUID ":21", false },
                { UUID ":blue:3", true }, { UUID ":blue:2", false },
                { UUID ":red:3", false }, { "22222222-2222-2222-2222-222222222222:1", false },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                TransactionRun run;
                assert_int_equal(transaction_parse_run(GTID_FAMILY_MYSQL, rows[i].run, &run, NULL), 0);
                assert_int_equal(transaction_filter_has_run(filter, &run), rows[i].has);
        }
        assert_false(transaction_filter_has(filter, &(TransactionId){ .anonymous = true }));
}

static void test_filter_mariadb(void **state)
{
        CLEANUP(gtid_free) GtidSet *set = NULL;
        assert_int_equal(gtid_parse(GTID_FAMILY_MARIADB, "0-1-100,7-2-5", &set, NULL), 0);
        CLEANUP(transaction_filter_free) TransactionFilter *filter = transaction_filter_new(GTID_FAMILY_MARIADB, set);
        TransactionId id = { .family = GTID_FAMILY_MARIADB, .domain = 0, .server = 9, .sequence = 100 };
        assert_true(transaction_filter_has(filter, &id));
        id.sequence++;
        assert_false(transaction_filter_has(filter, &id));
        id.domain = 7;
        assert_false(transaction_filter_has(filter, &id));
        id.sequence = 5;
        assert_true(transaction_filter_has(filter, &id));
        id.domain = 1;
        assert_false(transaction_filter_has(filter, &id));
}

static void test_damaged_json(void **state)
{
        static const char *const wrong[] = {
                "{\"sources\": [1]}",
                "{\"borders\": [\"x\"]}",
                "{\"files\": [{\"name\": \"log.000001\"}]}",
                "{\"files\": [{\"name\": \"log.000001\", \"end\": \"rotate\"}]}",
                "{\"files\": [{\"name\": \"a.02\", \"end\": \"unknown\"}, {\"name\": \"a.01\", \"end\": \"unknown\"}]}",
                "{\"files\": [{\"name\": \"log.000001\", \"end\": \"unknown\", \"format\": \"xy\"}]}",
                "{\"files\": [{\"name\": \"log.000001\", \"end\": \"unknown\", \"before\": \"xy\"}]}",
                "{\"files\": [{\"name\": \"log.000001\", \"end\": \"unknown\", \"ignored\": [{}]}]}",
                "{\"spans\": [{\"source\": 0, \"file\": \"log.000001\"}]}",
        };
        for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
                CLEANUP(json_free) Json *json = NULL;
                Ranges *ranges = NULL;
                Failure failure = { 0 };
                assert_int_equal(json_parse(wrong[i], strlen(wrong[i]), &json, NULL), 0);
                assert_int_equal(ranges_from_json(json, &ranges, &failure), -EINVAL);
                assert_non_null(strstr(failure.text, "damaged"));
                assert_null(ranges);
        }
}

int main(int argc, char **argv)
{
        sample_init(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole),        cmocka_unit_test(test_borders),
                cmocka_unit_test(test_hole),         cmocka_unit_test(test_torn),
                cmocka_unit_test(test_joined),       cmocka_unit_test(test_files),
                cmocka_unit_test(test_ignored),      cmocka_unit_test(test_ignored_without_marker),
                cmocka_unit_test(test_compare),
                cmocka_unit_test(test_many),         cmocka_unit_test(test_gtid),
                cmocka_unit_test(test_gtid_list),    cmocka_unit_test(test_guessed),
                cmocka_unit_test(test_mariadb_runs), cmocka_unit_test(test_damaged_json),
                cmocka_unit_test(test_filter),       cmocka_unit_test(test_filter_mariadb),
                cmocka_unit_test(test_turns),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
