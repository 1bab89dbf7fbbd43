/* Failures as values. Owns nothing; must never log. */
#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int kind_to_error(FailureKind kind, int code)
{
        switch (kind) {
        case FAILURE_NONE:
                return 0;
        case FAILURE_SYSTEM:
                return code > 0 ? -code : -EIO;
        case FAILURE_TIMEOUT:
                return -ETIMEDOUT;
        case FAILURE_PROTOCOL:
                return -EPROTO;
        case FAILURE_INVALID:
                return -EINVAL;
        case FAILURE_CANCELLED:
                return -ECANCELED;
        case FAILURE_SQL:
        case FAILURE_SSH:
        case FAILURE_EXIT:
        case _FAILURE_MAX:
        case _FAILURE_INVALID:
                return -EREMOTEIO;
        }
        return -EREMOTEIO;
}

int failure_set(Failure *failure, FailureKind kind, int code, const char *format, ...)
{
        if (failure) {
                failure->kind = kind;
                failure->code = code;
                va_list arguments;
                va_start(arguments, format);
                vsnprintf(failure->text, sizeof failure->text, format, arguments);
                va_end(arguments);
        }
        return kind_to_error(kind, code);
}

int failure_errno(Failure *failure, int error, const char *format, ...)
{
        if (error < 0)
                error = -error;
        if (failure) {
                failure->kind = FAILURE_SYSTEM;
                failure->code = error;
                va_list arguments;
                va_start(arguments, format);
                vsnprintf(failure->text, sizeof failure->text, format, arguments);
                va_end(arguments);
                size_t length = strlen(failure->text);
                snprintf(failure->text + length, sizeof failure->text - length, ": %s", strerror(error));
        }
        return error ? -error : -EIO;
}
