/* What libmariadb's errors are taken for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "evidence.h"

static void test_evidence(void **state)
{
        static const struct {
                unsigned number;
                const char *text;
                int socket_error;
                SqlEvidence evidence;
        } rows[] = {
                { 1045, "Access denied", 0, SQL_EVIDENCE_ERROR },
                { 1040, "Too many connections", 0, SQL_EVIDENCE_ERROR },
                { 3159, "Connections using insecure transport are prohibited", 0, SQL_EVIDENCE_ERROR },
                { 4031, "The client was disconnected by the server because of inactivity", 0, SQL_EVIDENCE_ERROR },
                { 2002, "Can't connect to server on '10.0.0.1' (111)", 0, SQL_EVIDENCE_REFUSED },
                { 2002, "Can't connect to server on '10.0.0.1' (113)", 0, SQL_EVIDENCE_UNREACHABLE },
                { 2002, "Can't connect to server on '10.0.0.1' (110)", 0, SQL_EVIDENCE_SILENCE },
                { 2002, "Can't connect to server on '10.0.0.1' (24)", 0, SQL_EVIDENCE_NONE },
                { 2002, "no number", 0, SQL_EVIDENCE_NONE },
                { 2002, "", 0, SQL_EVIDENCE_NONE },
                { 2013, "Lost connection to server during query", 0, SQL_EVIDENCE_EOF },
                { 2013, "Lost connection to server during query", ECONNRESET, SQL_EVIDENCE_RESET },
                { 2013, "Lost connection to server during query", ETIMEDOUT, SQL_EVIDENCE_SILENCE },
                { 2013, "Lost connection to server at 'handshake', system error: 104", 0, SQL_EVIDENCE_RESET },
                { 2006, "Server has gone away", 0, SQL_EVIDENCE_EOF },
                { 2026, "TLS/SSL error: self-signed certificate", 0, SQL_EVIDENCE_NONE },
                { 2002,
                  "Received error packet before completion of TLS handshake. The authenticity of the following error "
                  "cannot be verified: 1040 - Too many connections",
                  0, SQL_EVIDENCE_ERROR },
                { 0, "", 0, SQL_EVIDENCE_NONE },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
                assert_int_equal(evidence_of(rows[i].number, rows[i].text, rows[i].socket_error), rows[i].evidence);
}

/* What a failed attempt proves of the server, from the numbers on. */
static void test_attempt(void **state)
{
        static const struct {
                unsigned number;
                const char *text;
                int socket_error;
                SqlPhase phase;
                bool fresh;
                Evidence evidence;
        } rows[] = {
                { 2002, "Can't connect to server on 'db1' (111)", 0, SQL_PHASE_CONNECTING, true, EVIDENCE_REFUSED },
                { 2002, "Can't connect to server on 'db1' (113)", 0, SQL_PHASE_CONNECTING, true, EVIDENCE_SILENT },
                { 2002, "Can't connect to server on 'db1' (101)", 0, SQL_PHASE_CONNECTING, true, EVIDENCE_SILENT },
                { 2002, "Can't connect to server on 'db1' (110)", 0, SQL_PHASE_CONNECTING, true, EVIDENCE_SILENT },
                { 2002, "Can't connect to server on 'db1' (24)", 0, SQL_PHASE_CONNECTING, true, EVIDENCE_UNKNOWN },
                { 2002, "Can't connect", 0, SQL_PHASE_CONNECTING, true, EVIDENCE_UNKNOWN },
                { 2013, "Lost connection, system error: 110", 0, SQL_PHASE_GREETING, true, EVIDENCE_FROZEN },
                { 2013, "Lost connection, system error: 104", 0, SQL_PHASE_GREETING, true, EVIDENCE_REFUSED },
                { 2013, "Lost connection to server during query", 0, SQL_PHASE_QUERY, false, EVIDENCE_REFUSED },
                { 2013, "Lost connection to server during query", ECONNRESET, SQL_PHASE_QUERY, false,
                  EVIDENCE_REFUSED },
                { 2013, "Lost connection to server during query", EPIPE, SQL_PHASE_QUERY, true, EVIDENCE_REFUSED },
                { 2013, "Lost connection to server during query", ETIMEDOUT, SQL_PHASE_QUERY, false, EVIDENCE_SILENT },
                { 2006, "Server has gone away", 0, SQL_PHASE_IDLE, false, EVIDENCE_REFUSED },
                /* The fault may be on this side. */
                { 2005, "Unknown host", 0, SQL_PHASE_LOOKUP, true, EVIDENCE_UNKNOWN },
                { 2008, "Out of memory", 0, SQL_PHASE_QUERY, true, EVIDENCE_UNKNOWN },
                { 2026, "TLS/SSL error: self-signed certificate", 0, SQL_PHASE_AUTHENTICATION, true, EVIDENCE_UNKNOWN },
                { 2026, "TLS/SSL error: Connection reset by peer", 0, SQL_PHASE_AUTHENTICATION, true,
                  EVIDENCE_UNKNOWN },
                { 2059, "Plugin cannot be loaded", 0, SQL_PHASE_AUTHENTICATION, true, EVIDENCE_UNKNOWN },
                /* Whatever it is that the server says, it lives. */
                { 1053, "Server shutdown in progress", 0, SQL_PHASE_QUERY, false, EVIDENCE_ERROR },
                { 3159, "Insecure transport", 0, SQL_PHASE_AUTHENTICATION, true, EVIDENCE_ERROR },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                SqlEvidence evidence = evidence_of(rows[i].number, rows[i].text, rows[i].socket_error);
                assert_int_equal(evidence_of_attempt(evidence, rows[i].phase, rows[i].fresh), rows[i].evidence);
        }
        static const unsigned mha[] = { 1040, 1042, 1043, 1044, 1045, 1129, 1130, 1203, 1226, 1251, 1275 };
        for (size_t i = 0; i < ARRAY_LENGTH(mha); i++) {
                SqlEvidence evidence = evidence_of(mha[i], "", 0);
                assert_int_equal(evidence_of_attempt(evidence, SQL_PHASE_AUTHENTICATION, true), EVIDENCE_ERROR);
        }
}

/* A deadline that passed: what it proves depends on how far the attempt had come. */
static void test_silence(void **state)
{
        static const Evidence expected[_SQL_PHASE_MAX][2] = {
                [SQL_PHASE_LOOKUP] = { EVIDENCE_UNKNOWN, EVIDENCE_UNKNOWN },
                [SQL_PHASE_CONNECTING] = { EVIDENCE_SILENT, EVIDENCE_SILENT },
                [SQL_PHASE_GREETING] = { EVIDENCE_FROZEN, EVIDENCE_FROZEN },
                [SQL_PHASE_AUTHENTICATION] = { EVIDENCE_HUNG, EVIDENCE_HUNG },
                [SQL_PHASE_IDLE] = { EVIDENCE_SILENT, EVIDENCE_SILENT },
                [SQL_PHASE_QUERY] = { EVIDENCE_SILENT, EVIDENCE_HUNG }, /* a new connection will tell more */
        };
        for (int phase = 0; phase < _SQL_PHASE_MAX; phase++)
                for (int fresh = 0; fresh < 2; fresh++)
                        assert_int_equal(evidence_of_attempt(SQL_EVIDENCE_SILENCE, (SqlPhase) phase, fresh),
                                         expected[phase][fresh]);
}

/* Each pair of evidence and phase has a sentence. */
static void test_sentences(void **state)
{
        for (int evidence = 0; evidence < _SQL_EVIDENCE_MAX; evidence++)
                for (int phase = 0; phase < _SQL_PHASE_MAX; phase++) {
                        Failure failure = { 0 };
                        evidence_describe((SqlEvidence) evidence, (SqlPhase) phase, "a:1", 2013, "text", &failure);
                        assert_int_equal(failure.kind, FAILURE_SQL);
                        assert_int_equal(failure.code, 2013);
                        assert_true(strlen(failure.text) > 3);
                        evidence_describe_timeout((SqlPhase) phase, "a:1", 1500 * USEC_MSEC, &failure);
                        assert_int_equal(failure.kind, FAILURE_TIMEOUT);
                        assert_string_not_equal(sql_phase_to_string((SqlPhase) phase), "?");
                        assert_string_not_equal(sql_evidence_to_string((SqlEvidence) evidence), "?");
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_evidence), cmocka_unit_test(test_attempt),
                                            cmocka_unit_test(test_silence), cmocka_unit_test(test_sentences) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
