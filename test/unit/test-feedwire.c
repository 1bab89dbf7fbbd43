/* The server's side of the protocol, byte by byte, from a client of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "feedwire.h"
#include "text.h"

#define USER "feed"
#define PASSWORD "s3cret-of-the-feed"
#define MARIADB "10.11.19-MariaDB-0+deb12u1"
#define MYSQL56 "5.6.24-log"
#define MYSQL9 "9.7.4"

enum { CAPABILITIES = 0x8a205 | 0x80000, LONGEST = 0xffffff };

static FeedWire *wire;

static void start(const char *version)
{
        FeedWireParams params = { .version = version,
                                  .user = USER,
                                  .password = PASSWORD,
                                  .thread_id = 7,
                                  .server_id = 99,
                                  .server_uuid = "0badcafe-0000-4000-8000-00000000feed",
                                  .gtid_mode = true,
                                  .crc32 = true,
                                  .now = 1234567890 };
        for (size_t i = 0; i < sizeof params.scramble; i++)
                params.scramble[i] = (uint8_t) (i * 37);
        wire = feedwire_new(&params);
}

static int stop(void **state)
{
        wire = feedwire_free(wire);
        return 0;
}

/* The next packet of the output: its payload, lent until the output changes. */
static const uint8_t *next_packet(size_t *ret_length, uint8_t *ret_sequence)
{
        static uint8_t copy[4096];
        size_t length;
        const uint8_t *bytes = feedwire_output(wire, &length);
        assert_true(length >= 4);
        size_t payload = (size_t) bytes[0] | (size_t) bytes[1] << 8 | (size_t) bytes[2] << 16;
        assert_true(length >= 4 + payload && payload <= sizeof copy);
        *ret_sequence = bytes[3];
        *ret_length = payload;
        memcpy(copy, bytes + 4, payload);
        feedwire_sent(wire, 4 + payload);
        return copy;
}

static size_t n_output(void)
{
        size_t length;
        (void) feedwire_output(wire, &length);
        return length;
}

static FeedWirePhase send_packet(uint8_t sequence, const void *payload, size_t length)
{
        uint8_t header[4] = { (uint8_t) length, (uint8_t) (length >> 8), (uint8_t) (length >> 16), sequence };
        (void) feedwire_receive(wire, header, 4);
        return feedwire_receive(wire, payload, length);
}

static FeedWirePhase ask(const char *text)
{
        CLEANUP(mem_free) char *command = text_format("\x03%s", text);
        return send_packet(0, command, strlen(command));
}

/* What a greeting says. */
static void read_greeting(char scramble[20], char plugin[64])
{
        size_t length;
        uint8_t sequence;
        const uint8_t *packet = next_packet(&length, &sequence);
        assert_int_equal(sequence, 0);
        assert_int_equal(packet[0], 10);
        size_t at = 1 + strlen((const char *) packet + 1) + 1;
        assert_int_equal(packet[at], 7);
        memcpy(scramble, packet + at + 4, 8);
        unsigned low = packet[at + 13] | (unsigned) packet[at + 14] << 8;
        unsigned high = packet[at + 18] | (unsigned) packet[at + 19] << 8;
        unsigned capabilities = low | high << 16;
        assert_true(capabilities & 0x80000);     /* plugins */
        assert_false(capabilities & 0x01000000); /* EOF packets stay */
        assert_false(capabilities & 0x08000000); /* no query attributes */
        assert_false(capabilities & 0x800);      /* no TLS */
        assert_int_equal(packet[at + 20], 21);
        memcpy(scramble + 8, packet + at + 31, 12);
        snprintf(plugin, 64, "%s", (const char *) packet + at + 44);
        assert_int_equal(at + 44 + strlen(plugin) + 1, length);
        for (int i = 0; i < 20; i++)
                assert_true(scramble[i] != '\0');
}

static void hash(const EVP_MD *kind, const void *a, size_t a_length, const void *b, size_t b_length, uint8_t *ret)
{
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_DigestInit_ex(context, kind, NULL);
        EVP_DigestUpdate(context, a, a_length);
        EVP_DigestUpdate(context, b, b_length);
        EVP_DigestFinal_ex(context, ret, NULL);
        EVP_MD_CTX_free(context);
}

static size_t make_token(const char *plugin, const char *password, const char *scramble, uint8_t token[32])
{
        bool native = text_equal(plugin, "mysql_native_password");
        const EVP_MD *kind = native ? EVP_sha1() : EVP_sha256();
        size_t n = native ? 20 : 32;
        uint8_t once[32], twice[32], mask[32];
        hash(kind, password, strlen(password), "", 0, once);
        hash(kind, once, n, "", 0, twice);
        if (native)
                hash(kind, scramble, 20, twice, n, mask);
        else
                hash(kind, twice, n, scramble, 20, mask);
        for (size_t i = 0; i < n; i++)
                token[i] = once[i] ^ mask[i];
        return n;
}

static FeedWirePhase send_login(const char *user, const char *plugin, const uint8_t *token, size_t n)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        uint8_t head[32] = { CAPABILITIES & 0xff, (CAPABILITIES >> 8) & 0xff, CAPABILITIES >> 16, 0, 0, 0, 0, 1, 33 };
        text_add_n(&payload, (const char *) head, sizeof head);
        text_add_n(&payload, user, strlen(user) + 1);
        uint8_t length = (uint8_t) n;
        text_add_n(&payload, (const char *) &length, 1);
        text_add_n(&payload, (const char *) token, n);
        text_add_n(&payload, plugin, strlen(plugin) + 1);
        return send_packet(1, payload.data, payload.length);
}

static FeedWirePhase login(const char *user, const char *password)
{
        char scramble[20], plugin[64];
        uint8_t token[32];
        read_greeting(scramble, plugin);
        size_t n = make_token(plugin, password, scramble, token);
        return send_login(user, plugin, token, n);
}

static void expect_ok(uint8_t wanted)
{
        size_t length;
        uint8_t sequence;
        const uint8_t *packet = next_packet(&length, &sequence);
        assert_int_equal(packet[0], 0);
        assert_int_equal(sequence, wanted);
        assert_int_equal(length, 7);
}

static void expect_error(unsigned wanted)
{
        size_t length;
        uint8_t sequence;
        const uint8_t *packet = next_packet(&length, &sequence);
        assert_int_equal(packet[0], 0xff);
        assert_int_equal(packet[1] | packet[2] << 8, wanted);
        assert_int_equal(packet[3], '#');
}

static void log_in(const char *version)
{
        start(version);
        assert_int_equal(login(USER, PASSWORD), FEEDWIRE_ASKING);
        if (text_equal(version, MYSQL9)) {
                size_t length;
                uint8_t sequence;
                const uint8_t *packet = next_packet(&length, &sequence);
                assert_int_equal(length, 2);
                assert_memory_equal(packet, "\x01\x03", 2);
                expect_ok(3);
        } else
                expect_ok(2);
        assert_int_equal(n_output(), 0);
}

static void test_login(void **state)
{
        static const char *const versions[] = { MARIADB, MYSQL56, "5.7.44-log",    "8.0.36",
                                                "8.4.1", MYSQL9,  "11.8.3-MariaDB" };
        for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
                char scramble[20], plugin[64];
                start(versions[i]);
                read_greeting(scramble, plugin);
                bool caching = versions[i][0] == '8' || versions[i][0] == '9';
                assert_string_equal(plugin, caching ? "caching_sha2_password" : "mysql_native_password");
                stop(NULL);
        }
        log_in(MARIADB);
        stop(NULL);
        log_in(MYSQL9);
}

static void test_wrong_login(void **state)
{
        static const struct {
                const char *user, *password;
        } wrong[] = { { USER, "other" }, { "root", PASSWORD }, { USER, "" }, { "\x1b[2J", PASSWORD }, { "", "" } };
        for (size_t i = 0; i < 2 * ARRAY_LENGTH(wrong); i++) {
                start(i % 2 ? MYSQL9 : MARIADB);
                assert_int_equal(login(wrong[i / 2].user, wrong[i / 2].password), FEEDWIRE_ENDED);
                expect_error(1045);
                assert_int_equal(feedwire_failure(wire)->kind, FAILURE_INVALID);
                assert_null(strchr(feedwire_failure(wire)->text, '\x1b'));
                assert_int_equal(ask("SELECT 1"), FEEDWIRE_ENDED);
                assert_int_equal(n_output(), 0);
                stop(NULL);
        }
        /* No token, a short one, one for another scramble. */
        for (size_t n = 0; n <= 20; n += 5) {
                uint8_t token[32];
                char scramble[20], plugin[64];
                start(MARIADB);
                read_greeting(scramble, plugin);
                make_token(plugin, PASSWORD, scramble, token);
                if (n == 20)
                        token[0] ^= 1;
                assert_int_equal(send_login(USER, plugin, token, n), FEEDWIRE_ENDED);
                expect_error(1045);
                stop(NULL);
        }
}

static void test_switch(void **state)
{
        char scramble[20], plugin[64];
        uint8_t token[32], sequence;
        size_t length;
        start(MYSQL9);
        read_greeting(scramble, plugin);
        make_token("mysql_native_password", PASSWORD, scramble, token);
        assert_int_equal(send_login(USER, "mysql_native_password", token, 20), FEEDWIRE_LOGIN);
        const uint8_t *packet = next_packet(&length, &sequence);
        assert_int_equal(packet[0], 0xfe);
        assert_int_equal(sequence, 2);
        assert_string_equal((const char *) packet + 1, plugin);
        assert_memory_equal(packet + 1 + strlen(plugin) + 1, scramble, 20);
        size_t n = make_token(plugin, PASSWORD, scramble, token);
        assert_int_equal(send_packet(3, token, n), FEEDWIRE_ASKING);
        packet = next_packet(&length, &sequence);
        assert_memory_equal(packet, "\x01\x03", 2);
        expect_ok(5);
}

/* The text of a result set: "a=b" of its rows, "-" for none, "E1193", "OK". */
static char *answer(void)
{
        Text text = { 0 };
        size_t length;
        uint8_t sequence, expected = 1;
        const uint8_t *packet = next_packet(&length, &sequence);
        assert_int_equal(sequence, expected++);
        if (packet[0] == 0xff) {
                text_addf(&text, "E%u", packet[1] | (unsigned) packet[2] << 8);
                return text_take(&text);
        }
        if (packet[0] == 0) {
                text_add(&text, "OK");
                return text_take(&text);
        }
        unsigned columns = packet[0], eofs = 0;
        while (eofs < 2) {
                packet = next_packet(&length, &sequence);
                assert_int_equal(sequence, expected++);
                if (packet[0] == 0xfe && length == 5) {
                        eofs++;
                        continue;
                }
                if (eofs == 0) {
                        assert_memory_equal(packet,
                                            "\x03"
                                            "def",
                                            4);
                        continue;
                }
                size_t at = 0;
                for (unsigned i = 0; i < columns; i++) {
                        text_separate(&text, "=");
                        if (packet[at] == 0xfb) {
                                text_add(&text, "NULL");
                                at++;
                        } else {
                                text_add_n(&text, (const char *) packet + at + 1, packet[at]);
                                at += 1 + packet[at];
                        }
                }
                assert_int_equal(at, length);
        }
        if (text.length == 0)
                text_add(&text, "-");
        assert_int_equal(n_output(), 0);
        return text_take(&text);
}

static void expect_answer(const char *wanted)
{
        CLEANUP(mem_free) char *got = answer();
        assert_string_equal(got, wanted);
}

static void test_questions(void **state)
{
        static const struct {
                const char *question, *answer;
        } table[] = {
                { "SELECT UNIX_TIMESTAMP()", "1234567890" },
                { "SHOW VARIABLES LIKE 'SERVER_ID'", "server_id=99" },
                { "show  variables\tlike 'server_id'", "server_id=99" },
                { "SELECT @@GLOBAL.SERVER_ID", "99" },
                { "SET @master_heartbeat_period= 1000000000", "OK" },
                { "SET @master_binlog_checksum= @@global.binlog_checksum", "OK" },
                { "SELECT @master_binlog_checksum", "CRC32" },
                { "SELECT @source_binlog_checksum", "CRC32" },
                { "SELECT @@GLOBAL.GTID_MODE", "ON" },
                { "SELECT @@GLOBAL.SERVER_UUID", "0badcafe-0000-4000-8000-00000000feed" },
                { "SHOW VARIABLES LIKE 'SERVER_UUID'", "server_uuid=0badcafe-0000-4000-8000-00000000feed" },
                { "SELECT binlog_gtid_pos('binlog.000001',4)", "NULL" },
                { "SELECT @@GLOBAL.gtid_domain_id", "0" },
                { "SHOW VARIABLES LIKE 'rpl_semi_sync_master_enabled'", "-" },
                { "SELECT @@global.rpl_semi_sync_source_enabled", "E1193" },
                { "SELECT @@global.anything", "E1193" },
                { "SHOW ANYTHING", "E1193" },
                { "KILL 17", "OK" },
                { "SET @anything = 1", "OK" },
                { "DROP DATABASE mysql", "E1064" },
                { "", "E1064" },
                { "\xff\xfe", "E1064" },
        };
        log_in(MYSQL9);
        for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
                assert_int_equal(ask(table[i].question), FEEDWIRE_ASKING);
                expect_answer(table[i].answer);
        }
        assert_int_equal(send_packet(0, "\x0e", 1), FEEDWIRE_ASKING);
        expect_ok(1);
        assert_int_equal(send_packet(0,
                                     "\x15"
                                     "anything",
                                     9),
                         FEEDWIRE_ASKING);
        expect_ok(1);
        assert_int_equal(send_packet(0,
                                     "\x02"
                                     "mysql",
                                     6),
                         FEEDWIRE_ASKING);
        expect_error(1047);
        assert_int_equal(send_packet(0, "\x01", 1), FEEDWIRE_ENDED);
        assert_int_equal(feedwire_failure(wire)->kind, FAILURE_NONE);
}

static void test_dump(void **state)
{
        static const char dump[] = "\x12\x9a\x02\x00\x00\x02\x00\x05\x00\x00\x00"
                                   "binlog.000007";
        log_in(MARIADB);
        ask("SET @master_heartbeat_period= 2500000000");
        expect_answer("OK");
        assert_int_equal(send_packet(0, dump, sizeof dump - 1), FEEDWIRE_DUMPING);
        const FeedWireRequest *request = feedwire_request(wire);
        assert_false(request->gtid);
        assert_string_equal(request->from.file, "binlog.000007");
        assert_int_equal(request->from.offset, 0x29a);
        assert_int_equal(request->server_id, 5);
        assert_int_equal(request->heartbeat_usec, 2500000);
        assert_true(request->annotate);
        assert_false(request->heartbeat_v2);
        assert_int_equal(n_output(), 0);
        stop(NULL);

        log_in(MARIADB);
        ask("SET @slave_connect_state='0-1-20,7-1-3'");
        expect_answer("OK");
        assert_int_equal(send_packet(0, dump, sizeof dump - 1), FEEDWIRE_DUMPING);
        assert_true(feedwire_request(wire)->gtid);
        CLEANUP(mem_free) char *set = gtid_format(feedwire_request(wire)->set);
        assert_string_equal(set, "0-1-20,7-1-3");
        stop(NULL);

        log_in(MARIADB);
        ask("SET @slave_connect_state='nonsense'");
        expect_answer("OK");
        assert_int_equal(send_packet(0, dump, sizeof dump - 1), FEEDWIRE_ENDED);
        expect_error(1236);
        stop(NULL);

        log_in(MYSQL9);
        assert_int_equal(send_packet(0, dump, 9), FEEDWIRE_ENDED);
}

/* uuid 00112233-…: 1-4, and with the tag blue 7-9. */
static const char uuid[] = "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";

static void add_number(Text *text, uint64_t value, size_t n)
{
        for (size_t i = 0; i < n; i++)
                text_add_n(text, (const char[]){ (char) (value >> (8 * i)) }, 1);
}

static void add_interval(Text *text, uint64_t first, uint64_t behind)
{
        add_number(text, 1, 8);
        add_number(text, first, 8);
        add_number(text, behind, 8);
}

static void make_set(Text *text, bool tagged)
{
        add_number(text, tagged ? 1ULL << 56 | 2 << 8 | 1 : 1, 8);
        text_add_n(text, uuid, 16);
        if (tagged)
                add_number(text, 0, 1);
        add_interval(text, 1, 5);
        if (!tagged)
                return;
        text_add_n(text, uuid, 16);
        add_number(text, 8, 1);
        text_add(text, "blue");
        add_interval(text, 7, 10);
}

static void test_sets(void **state)
{
        for (int tagged = 0; tagged < 2; tagged++) {
                __attribute__((cleanup(text_done_cleanup))) Text set = { 0 }, dump = { 0 };
                CLEANUP(gtid_free) GtidSet *decoded = NULL;
                make_set(&set, tagged);
                assert_int_equal(feedwire_decode_set(set.data, set.length, &decoded, NULL), 0);
                CLEANUP(mem_free) char *text = gtid_format(decoded);
                assert_string_equal(text, tagged ? "00112233-4455-6677-8899-aabbccddeeff:1-4:blue:7-9"
                                                 : "00112233-4455-6677-8899-aabbccddeeff:1-4");
                for (size_t n = 0; n < set.length; n++) {
                        GtidSet *nothing = NULL;
                        assert_true(feedwire_decode_set(set.data, n, &nothing, NULL) < 0);
                        assert_null(nothing);
                }
                log_in(MYSQL9);
                add_number(&dump, 0x1e, 1);
                add_number(&dump, 2, 2);
                add_number(&dump, 6, 4);
                add_number(&dump, 12, 4);
                text_add_n(&dump, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
                add_number(&dump, 4, 8);
                add_number(&dump, set.length, 4);
                text_add_n(&dump, set.data, set.length);
                assert_int_equal(send_packet(0, dump.data, dump.length), FEEDWIRE_DUMPING);
                assert_true(feedwire_request(wire)->gtid && feedwire_request(wire)->heartbeat_v2);
                assert_true(gtid_equal(feedwire_request(wire)->set, decoded));
                assert_string_equal(feedwire_request(wire)->from.file, "");
                stop(NULL);
        }
        CLEANUP(gtid_free) GtidSet *empty = NULL;
        assert_int_equal(feedwire_decode_set("\0\0\0\0\0\0\0", 8, &empty, NULL), 0);
        assert_true(gtid_is_empty(empty));
        GtidSet *none = NULL;
        assert_true(feedwire_decode_set("\xff\xff\xff\xff\xff\xff\xff\0", 8, &none, NULL) < 0);
        assert_true(feedwire_decode_set("\x01\0\0\0\0\0\0\x02", 8, &none, NULL) < 0);
}

static void begin_dump(void)
{
        static const char dump[] = "\x12\x04\x00\x00\x00\x00\x00\x05\x00\x00\x00"
                                   "binlog.000001";
        log_in(MYSQL56);
        assert_int_equal(send_packet(0, dump, sizeof dump - 1), FEEDWIRE_DUMPING);
}

/* Takes an event of some length out in packets; gives their number. */
static unsigned check_event(size_t event, uint8_t *sequence)
{
        static char piece[100000];
        unsigned n = 0;
        size_t left = event, got = 0, in_packet = 0;
        bool longest = true, header_due = true;
        feedwire_begin_event(wire, event);
        do {
                size_t add = left < sizeof piece ? left : sizeof piece, length, at = 0;
                memset(piece, 'e', sizeof piece);
                feedwire_add(wire, piece, add);
                left -= add;
                const uint8_t *bytes = feedwire_output(wire, &length);
                while (at < length) {
                        if (header_due) {
                                in_packet = bytes[at] | (size_t) bytes[at + 1] << 8 | (size_t) bytes[at + 2] << 16;
                                assert_int_equal(bytes[at + 3], *sequence);
                                (*sequence)++;
                                assert_true(longest);
                                longest = in_packet == LONGEST;
                                header_due = false;
                                at += 4;
                                n++;
                        }
                        size_t take = length - at < in_packet ? length - at : in_packet;
                        at += take;
                        got += take;
                        in_packet -= take;
                        header_due = in_packet == 0;
                }
                feedwire_sent(wire, length);
        } while (left > 0);
        assert_int_equal(got, event + 1);
        assert_false(longest);
        return n;
}

static void test_events(void **state)
{
        uint8_t sequence = 1;
        begin_dump();
        assert_int_equal(check_event(0, &sequence), 1);
        assert_int_equal(check_event(19, &sequence), 1);
        assert_int_equal(check_event(LONGEST - 2, &sequence), 1);
        assert_int_equal(check_event(LONGEST - 1, &sequence), 2); /* and an empty one */
        assert_int_equal(check_event(LONGEST, &sequence), 2);
        assert_int_equal(check_event((size_t) 2 * LONGEST - 1, &sequence), 3);
        for (int i = 0; i < 300; i++)
                assert_int_equal(check_event(100, &sequence), 1);
        feedwire_refuse(wire, 1236, "no more");
        expect_error(1236);
        assert_int_equal(feedwire_phase(wire), FEEDWIRE_ENDED);
}

static void test_while_dumping(void **state)
{
        begin_dump();
        static uint8_t noise[100000]; /* acknowledgements of a semi-sync replica, and more */
        noise[0] = 0xef;
        assert_int_equal(send_packet(0, noise, 40), FEEDWIRE_DUMPING);
        assert_int_equal(send_packet(0, noise, sizeof noise), FEEDWIRE_DUMPING);
        assert_int_equal(send_packet(0, noise, 1), FEEDWIRE_DUMPING);
        assert_int_equal(send_packet(0, noise, 0), FEEDWIRE_DUMPING);
        assert_int_equal(send_packet(0, "\x01\x01", 2), FEEDWIRE_DUMPING);
        assert_int_equal(n_output(), 0);
        assert_int_equal(send_packet(0, "\x01", 1), FEEDWIRE_ENDED);
        assert_int_equal(feedwire_failure(wire)->kind, FAILURE_NONE);
}

static void test_rubbish(void **state)
{
        static const char *const rubbish[] = { "GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                                               "SSH-2.0-OpenSSH_9.2\r\n" };
        for (size_t i = 0; i < ARRAY_LENGTH(rubbish); i++) {
                start(MARIADB);
                size_t before = n_output();
                for (const char *c = rubbish[i]; *c; c++)
                        (void) feedwire_receive(wire, c, 1);
                for (int n = 0; n < 10000; n++)
                        (void) feedwire_receive(wire, "xxxxxxxxxxxxxxxx", 16);
                assert_int_equal(feedwire_phase(wire), FEEDWIRE_ENDED);
                assert_true(n_output() < before + 100);
                stop(NULL);
        }
        log_in(MYSQL9);
        static uint8_t header[4] = { 0xff, 0xff, 0xff, 0 };
        assert_int_equal(feedwire_receive(wire, header, 4), FEEDWIRE_ENDED);
        assert_int_equal(feedwire_failure(wire)->kind, FAILURE_PROTOCOL);
}

static void test_names(void **state)
{
        for (int i = 0; i < _FEEDWIRE_PHASE_MAX; i++)
                assert_string_not_equal(feedwire_phase_to_string((FeedWirePhase) i), "?");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_login, stop),   cmocka_unit_test_teardown(test_wrong_login, stop),
                cmocka_unit_test_teardown(test_switch, stop),  cmocka_unit_test_teardown(test_questions, stop),
                cmocka_unit_test_teardown(test_dump, stop),    cmocka_unit_test_teardown(test_sets, stop),
                cmocka_unit_test_teardown(test_events, stop),  cmocka_unit_test_teardown(test_while_dumping, stop),
                cmocka_unit_test_teardown(test_rubbish, stop), cmocka_unit_test(test_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
