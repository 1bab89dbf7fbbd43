/* The greeting's parser: every kind of first packet, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "greeting.h"

#define MARIADB                                                                                                        \
        "\x0a"                                                                                                         \
        "5.5.5-10.11.19-MariaDB-log\0"                                                                                 \
        "\x2a\x01\x00\x00"                                                                                             \
        "12345678\0"                                                                                                   \
        "\xfe\xff\x2d\x02\x00\xff\x81\x15\0\0\0\0\0\0\x07\0\0\0"                                                       \
        "123456789012\0"                                                                                               \
        "mysql_native_password\0"
#define NO_TLS                                                                                                         \
        "\x0a"                                                                                                         \
        "8.0.36\0"                                                                                                     \
        "\x07\x00\x00\x00"                                                                                             \
        "12345678\0"                                                                                                   \
        "\xff\xf7\x2d"
#define TOO_MANY "\xff\x10\x04Too many connections"
#define WITH_STATE "\xff\x10\x04#08004Too many conne\nions"

#define BYTES(literal) literal, sizeof(literal) - 1

/* A packet's header before a payload. */
static size_t pack(uint8_t *packet, uint8_t sequence, const char *payload, size_t length)
{
        packet[0] = (uint8_t) length;
        packet[1] = packet[2] = 0;
        packet[3] = sequence;
        memcpy(packet + 4, payload, length);
        return length + 4;
}

static Greeting parse_raw(const void *bytes, size_t length)
{
        Greeting greeting = { .kind = _GREETING_MAX };
        assert_int_equal(greeting_parse(bytes, length, &greeting), 1);
        return greeting;
}

static Greeting parse(const char *payload, size_t length)
{
        uint8_t packet[256];
        return parse_raw(packet, pack(packet, 0, payload, length));
}

static void test_server(void **state)
{
        Greeting greeting = parse(BYTES(MARIADB));
        assert_int_equal(greeting.kind, GREETING_SERVER);
        assert_string_equal(greeting.version, "10.11.19-MariaDB-log");
        assert_int_equal(greeting.thread_id, 298);
        assert_true(greeting.tls);
        assert_true(greeting_is_alive(&greeting));
        greeting = parse(BYTES(NO_TLS));
        assert_string_equal(greeting.version, "8.0.36");
        assert_false(greeting.tls);
}

static void test_incomplete(void **state)
{
        uint8_t packet[256];
        size_t length = pack(packet, 0, BYTES(MARIADB));
        for (size_t n = 0; n < length; n++) {
                Greeting greeting = { .kind = _GREETING_MAX };
                assert_int_equal(greeting_parse(packet, n, &greeting), 0);
                assert_int_equal(greeting.kind, _GREETING_MAX);
        }
}

static void test_error(void **state)
{
        Greeting greeting = parse(BYTES(TOO_MANY));
        assert_int_equal(greeting.kind, GREETING_ERROR);
        assert_int_equal(greeting.error, 1040);
        assert_string_equal(greeting.text, "the server answers with error 1040: Too many connections");
        assert_true(greeting_is_alive(&greeting));
        greeting = parse(BYTES(WITH_STATE));
        assert_string_equal(greeting.text, "the server answers with error 1040: Too many conne?ions");
        greeting = parse(BYTES("\xff"));
        assert_int_equal(greeting.kind, GREETING_ERROR);
        assert_int_equal(greeting.error, 0);
}

static void test_strange(void **state)
{
        uint8_t packet[256];
        assert_int_equal(parse_raw(BYTES("SSH-2.0-OpenSSH_9.2p1\r\n")).kind, GREETING_STRANGE);
        assert_int_equal(parse_raw(BYTES("HTTP/1.1 400 Bad Request\r\n")).kind, GREETING_STRANGE);
        assert_int_equal(parse_raw(BYTES("\0\0\0\0\x0a")).kind, GREETING_STRANGE);       /* empty */
        assert_int_equal(parse_raw(BYTES("\xff\xff\x01\0\x0a")).kind, GREETING_STRANGE); /* too long */
        assert_int_equal(parse_raw(packet, pack(packet, 1, BYTES(TOO_MANY))).kind, GREETING_STRANGE);
        assert_int_equal(parse(BYTES("\x0a")).kind, GREETING_STRANGE);
        assert_int_equal(parse(BYTES("\x0a"
                                     "1234"))
                                 .kind,
                         GREETING_STRANGE); /* the version does not end */
        assert_int_equal(parse(BYTES("\x0a"
                                     "123\0"))
                                 .kind,
                         GREETING_STRANGE); /* nothing after it */
        assert_int_equal(parse(NO_TLS, sizeof NO_TLS - 3).kind, GREETING_STRANGE);
}

static void test_errno(void **state)
{
        static const struct {
                int error;
                GreetingKind kind;
        } rows[] = {
                { ECONNREFUSED, GREETING_REFUSED },     { ETIMEDOUT, GREETING_TIMEOUT },
                { EHOSTUNREACH, GREETING_UNREACHABLE }, { ENETUNREACH, GREETING_UNREACHABLE },
                { ECONNRESET, GREETING_CLOSED },        { EMFILE, GREETING_UNASKED },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                Greeting greeting;
                greeting_from_errno(&greeting, rows[i].error);
                assert_int_equal(greeting.kind, rows[i].kind);
                assert_false(greeting_is_alive(&greeting));
        }
}

static void test_names(void **state)
{
        for (int i = 0; i < _GREETING_MAX; i++)
                assert_string_not_equal(greeting_kind_to_string((GreetingKind) i), "?");
}

static void test_opinions(void **state)
{
        static const TunnelOpinion expected[_GREETING_MAX] = {
                [GREETING_SERVER] = TUNNEL_SAYS_GREETING, [GREETING_ERROR] = TUNNEL_SAYS_ERROR,
                [GREETING_REFUSED] = TUNNEL_SAYS_REFUSED, [GREETING_UNREACHABLE] = TUNNEL_SAYS_SILENT,
                [GREETING_TIMEOUT] = TUNNEL_SAYS_SILENT,  [GREETING_FROZEN] = TUNNEL_SAYS_FROZEN,
                [GREETING_CLOSED] = TUNNEL_SAYS_REFUSED,  [GREETING_STRANGE] = TUNNEL_SAYS_NOTHING,
                [GREETING_UNASKED] = TUNNEL_SAYS_NOTHING,
        };
        for (int i = 0; i < _GREETING_MAX; i++)
                assert_int_equal(greeting_opinion((GreetingKind) i), expected[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_server),   cmocka_unit_test(test_incomplete), cmocka_unit_test(test_error),
                cmocka_unit_test(test_strange),  cmocka_unit_test(test_errno),      cmocka_unit_test(test_names),
                cmocka_unit_test(test_opinions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
