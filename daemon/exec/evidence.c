/* From error numbers to evidence. Pure: must never look at a connection itself. */
#include "evidence.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <errmsg.h>

#include "alloc.h"
#include "enum.h"

static const char *const phase_names[_SQL_PHASE_MAX] = {
        [SQL_PHASE_LOOKUP] = "lookup",     [SQL_PHASE_CONNECTING] = "connecting",
        [SQL_PHASE_GREETING] = "greeting", [SQL_PHASE_AUTHENTICATION] = "authentication",
        [SQL_PHASE_IDLE] = "idle",         [SQL_PHASE_QUERY] = "query",
};
ENUM_TO_STRING(sql_phase, SqlPhase, phase_names)

static const char *const evidence_names[_SQL_EVIDENCE_MAX] = {
        [SQL_EVIDENCE_NONE] = "none",       [SQL_EVIDENCE_ERROR] = "error", [SQL_EVIDENCE_REFUSED] = "refused",
        [SQL_EVIDENCE_RESET] = "reset",     [SQL_EVIDENCE_EOF] = "eof",     [SQL_EVIDENCE_UNREACHABLE] = "unreachable",
        [SQL_EVIDENCE_SILENCE] = "silence",
};
ENUM_TO_STRING(sql_evidence, SqlEvidence, evidence_names)

bool evidence_is_server_error(unsigned number)
{
        bool client = (number >= 2000 && number < 3000) || (number >= 5000 && number < 6000);
        return number != 0 && !client;
}

SqlEvidence evidence_of_errno(int error)
{
        switch (error) {
        case ECONNREFUSED:
                return SQL_EVIDENCE_REFUSED;
        case ECONNRESET:
        case EPIPE:
                return SQL_EVIDENCE_RESET;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EHOSTDOWN:
        case ENETDOWN:
                return SQL_EVIDENCE_UNREACHABLE;
        case ETIMEDOUT:
                return SQL_EVIDENCE_SILENCE;
        default:
                return SQL_EVIDENCE_NONE;
        }
}

/* libmariadb keeps the errno of connect(2) and of the first read in its sentence only: "… (111)", "… error: 104". */
static int errno_in_text(const char *text)
{
        size_t end = strlen(text);
        if (end > 0 && text[end - 1] == ')')
                end--;
        size_t start = end;
        while (start > 0 && isdigit((unsigned char) text[start - 1]))
                start--;
        return start < end && end - start < 6 ? atoi(text + start) : 0;
}

/* An error packet in the place of a greeting, where TLS was asked for: libmariadb has no number for it. Whoever sent it, a
 * server lives there. */
static bool is_error_before_tls(const char *text)
{
        return strstr(text, "error packet before completion of TLS handshake") != NULL;
}

SqlEvidence evidence_of(unsigned number, const char *text, int socket_error)
{
        if (evidence_is_server_error(number) || is_error_before_tls(text))
                return SQL_EVIDENCE_ERROR;
        switch (number) {
        case CR_CONNECTION_ERROR:
        case CR_CONN_HOST_ERROR:
                return evidence_of_errno(socket_error ? socket_error : errno_in_text(text));
        case CR_SERVER_LOST:
        case CR_SERVER_GONE_ERROR:
        case CR_SERVER_LOST_EXTENDED: {
                SqlEvidence evidence = evidence_of_errno(socket_error ? socket_error : errno_in_text(text));
                return evidence == SQL_EVIDENCE_NONE ? SQL_EVIDENCE_EOF : evidence;
        }
        default:
                return SQL_EVIDENCE_NONE;
        }
}

/* The phase of a session that was good before proves less than that of a new one. */
static Evidence evidence_of_silence(SqlPhase phase, bool fresh)
{
        switch (phase) {
        case SQL_PHASE_LOOKUP:
                return EVIDENCE_UNKNOWN;
        case SQL_PHASE_GREETING:
                return EVIDENCE_FROZEN;
        case SQL_PHASE_AUTHENTICATION:
                return EVIDENCE_HUNG;
        case SQL_PHASE_QUERY:
                return fresh ? EVIDENCE_HUNG : EVIDENCE_SILENT;
        case SQL_PHASE_CONNECTING:
        case SQL_PHASE_IDLE:
        case _SQL_PHASE_MAX:
                return EVIDENCE_SILENT;
        }
        return EVIDENCE_SILENT;
}

Evidence evidence_of_attempt(SqlEvidence evidence, SqlPhase phase, bool fresh)
{
        switch (evidence) {
        case SQL_EVIDENCE_NONE:
                return EVIDENCE_UNKNOWN;
        case SQL_EVIDENCE_ERROR:
                return EVIDENCE_ERROR;
        case SQL_EVIDENCE_REFUSED:
        case SQL_EVIDENCE_RESET:
        case SQL_EVIDENCE_EOF:
                return EVIDENCE_REFUSED;
        case SQL_EVIDENCE_UNREACHABLE:
                return EVIDENCE_SILENT;
        case SQL_EVIDENCE_SILENCE:
                return evidence_of_silence(phase, fresh);
        case _SQL_EVIDENCE_MAX:
                break;
        }
        return EVIDENCE_UNKNOWN;
}

static const char *phase_clause(SqlPhase phase)
{
        switch (phase) {
        case SQL_PHASE_LOOKUP:
        case SQL_PHASE_CONNECTING:
                return "while connecting";
        case SQL_PHASE_GREETING:
                return "before it had greeted";
        case SQL_PHASE_AUTHENTICATION:
                return "during the login";
        case SQL_PHASE_IDLE:
                return "while idle";
        case SQL_PHASE_QUERY:
        case _SQL_PHASE_MAX:
                return "during a statement";
        }
        return "";
}

void evidence_describe(SqlEvidence evidence, SqlPhase phase, const char *peer, unsigned number, const char *text,
                       Failure *ret)
{
        int code = (int) number;
        switch (evidence) {
        case SQL_EVIDENCE_REFUSED:
                failure_set(ret, FAILURE_SQL, code, "%s refuses connections: nobody listens", peer);
                return;
        case SQL_EVIDENCE_RESET:
                failure_set(ret, FAILURE_SQL, code, "%s reset the connection %s", peer, phase_clause(phase));
                return;
        case SQL_EVIDENCE_EOF:
                failure_set(ret, FAILURE_SQL, code, "%s closed the connection %s", peer, phase_clause(phase));
                return;
        case SQL_EVIDENCE_UNREACHABLE:
                failure_set(ret, FAILURE_SQL, code, "there is no way to %s, the network says", peer);
                return;
        case SQL_EVIDENCE_SILENCE:
                failure_set(ret, FAILURE_SQL, code, "nothing comes back from %s any more", peer);
                return;
        case SQL_EVIDENCE_NONE:
        case SQL_EVIDENCE_ERROR:
        case _SQL_EVIDENCE_MAX:
                failure_set(ret, FAILURE_SQL, code, "%s", text);
        }
}

static const char *silence_clause(SqlPhase phase)
{
        switch (phase) {
        case SQL_PHASE_LOOKUP:
                return "the name of the server could not be looked up";
        case SQL_PHASE_CONNECTING:
                return "no answer to the connection attempt";
        case SQL_PHASE_GREETING:
                return "the port is open, but nothing greets";
        case SQL_PHASE_AUTHENTICATION:
                return "the server greeted, but did not finish the login";
        case SQL_PHASE_IDLE:
        case SQL_PHASE_QUERY:
        case _SQL_PHASE_MAX:
                return "no answer to the statement";
        }
        return "";
}

void evidence_describe_timeout(SqlPhase phase, const char *peer, usec_t waited, Failure *ret)
{
        CLEANUP(mem_free) char *time = usec_format_human(waited);
        failure_set(ret, FAILURE_TIMEOUT, 0, "%s: %s within %s", peer, silence_clause(phase), time);
}
