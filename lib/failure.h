/* Why one operation failed, as one value that travels with its cause: an errno, an SQL error number, an SSH or exit
 * status, a deadline. Library code fills it and never logs; whoever decides what it means reports it, once. */
#pragma once

#include <stdbool.h>

typedef enum FailureKind {
        FAILURE_NONE,
        FAILURE_SYSTEM,   /* code: errno */
        FAILURE_SQL,      /* code: error number of the server, or of the client library (2000 to 2999) */
        FAILURE_SSH,      /* code: 0; connection, host key, authentication or channel */
        FAILURE_EXIT,     /* code: exit status of a command (128 + signal when ended by one) */
        FAILURE_TIMEOUT,  /* its deadline passed */
        FAILURE_PROTOCOL, /* the other side said something that it must not say */
        FAILURE_INVALID,  /* bad input: configuration, argument, file */
        FAILURE_CANCELLED,
        _FAILURE_MAX,
        _FAILURE_INVALID = -22,
} FailureKind;

typedef struct Failure {
        FailureKind kind;
        int code;
        char text[400]; /* one sentence without the final period, for the operator */
} Failure;

/* Fills *failure when it is not NULL; the text is cut to fit. Returns a negative errno that suits the kind, so that
 * `return failure_set(reterr, …)` ends a function. */
int failure_set(Failure *failure, FailureKind kind, int code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* FAILURE_SYSTEM with strerror() of errno appended: "cannot open X: No such file or directory". */
int failure_errno(Failure *failure, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
