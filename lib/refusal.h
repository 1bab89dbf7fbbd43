/* Why an order was refused, as something a script can tell apart: a failure's code, a name in the control API, an exit
 * status of mhactl. */
#pragma once

typedef enum Refusal {
        REFUSAL_NONE,
        REFUSAL_PRIMARY_ALREADY = 1000, /* codes of a failure of kind FAILURE_INVALID; errno and SQL have others */
        REFUSAL_UNKNOWN_SERVER,
        REFUSAL_SERVER_DOWN,
        REFUSAL_NOT_A_REPLICA,
        REFUSAL_PAUSED,
        REFUSAL_RUN_UNDER_WAY,
        REFUSAL_TWO_WRITABLE,
        REFUSAL_NO_PRIMARY,
        REFUSAL_NOT_STEADY,
        REFUSAL_CHECKS,
        REFUSAL_NOBODY_TO_ASK,
        REFUSAL_DECLINED,
        REFUSAL_TOO_LATE,
        REFUSAL_NO_RUN,
        REFUSAL_OTHER_MANAGER,
        REFUSAL_OTHER_PRIMARY,
        _REFUSAL_END,
} Refusal;

/* NULL for a code that is none. */
const char *refusal_to_string(int code);
/* REFUSAL_NONE for an unknown name, or NULL. */
Refusal refusal_from_string(const char *name);
/* The exit status of mhactl; 0 for a code that is none. */
int refusal_exit_status(int code);
