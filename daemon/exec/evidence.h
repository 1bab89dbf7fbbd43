/* What an error of libmariadb says about the server. Pure. */
#pragma once

#include "observation.h"
#include "sql.h"

/* An error that the server sent, not one that the client library made up. */
bool evidence_is_server_error(unsigned number);
/* number and text as of mysql_errno() and mysql_error(); socket_error is what SO_ERROR held, or 0. */
SqlEvidence evidence_of(unsigned number, const char *text, int socket_error);
SqlEvidence evidence_of_errno(int error);
/* What an attempt that ended so, in that phase, proves of the server; fresh: nothing was answered on that connection
 * before. What may have failed on this side (a name, TLS, a limit of this process) proves nothing. */
Evidence evidence_of_attempt(SqlEvidence evidence, SqlPhase phase, bool fresh);
/* One sentence for the operator; peer is "10.0.0.1:3306". */
void evidence_describe(SqlEvidence evidence, SqlPhase phase, const char *peer, unsigned number, const char *text,
                       Failure *ret);
/* The same for a deadline that passed after waiting. */
void evidence_describe_timeout(SqlPhase phase, const char *peer, usec_t waited, Failure *ret);
