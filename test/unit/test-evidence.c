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
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_evidence), cmocka_unit_test(test_sentences) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
