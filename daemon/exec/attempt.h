/* One attempt to connect with libmariadb: its parameters, its options, and how far it has come. Stepwise for the loop,
 * or as a whole for a helper thread. */
#pragma once

#include <mysql.h>

#include "sql.h"

typedef struct Attempt Attempt;

Attempt *attempt_new(const SqlParams *params, usec_t deadline);
/* Closes the connection unless it was taken, and wipes the password. */
Attempt *attempt_free(Attempt *attempt);

/* The library's wait mask (MYSQL_WAIT_…), 0 when the attempt has ended. */
int attempt_start(Attempt *attempt);
int attempt_continue(Attempt *attempt, int ready);
/* All of it, blocking, until it has ended or its deadline has passed. */
void attempt_run(Attempt *attempt);

SqlPhase attempt_phase(const Attempt *attempt); /* also while another thread runs it */
int attempt_fd(const Attempt *attempt);
/* After the end: the open connection, the caller's from now on; or NULL with a failure and what it says. */
MYSQL *attempt_take(Attempt *attempt, SqlEvidence *reterr_evidence, Failure *reterr);
