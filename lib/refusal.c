/* The table of refusals. Constant. A name and an exit status, once given, are never used for anything else. */
#include "refusal.h"

#include "cleanup.h"
#include "text.h"

#define ROW(code) [(code) -REFUSAL_PRIMARY_ALREADY]

static const struct {
        const char *name;
        int exit_status;
} rows[] = {
        ROW(REFUSAL_PRIMARY_ALREADY) = { "primary-already", 20 },
        ROW(REFUSAL_UNKNOWN_SERVER) = { "unknown-server", 21 },
        ROW(REFUSAL_SERVER_DOWN) = { "server-down", 22 },
        ROW(REFUSAL_NOT_A_REPLICA) = { "not-a-replica", 23 },
        ROW(REFUSAL_PAUSED) = { "paused", 24 },
        ROW(REFUSAL_RUN_UNDER_WAY) = { "run-under-way", 25 },
        ROW(REFUSAL_TWO_WRITABLE) = { "two-writable", 26 },
        ROW(REFUSAL_NO_PRIMARY) = { "no-primary", 27 },
        ROW(REFUSAL_NOT_STEADY) = { "not-steady", 28 },
        ROW(REFUSAL_CHECKS) = { "checks-failed", 29 },
        ROW(REFUSAL_NOBODY_TO_ASK) = { "nobody-to-ask", 30 },
        ROW(REFUSAL_DECLINED) = { "declined", 31 },
        ROW(REFUSAL_TOO_LATE) = { "too-late", 32 },
        ROW(REFUSAL_NO_RUN) = { "no-run", 33 },
        ROW(REFUSAL_OTHER_MANAGER) = { "other-manager", 34 },
        ROW(REFUSAL_OTHER_PRIMARY) = { "other-primary", 35 },
};
_Static_assert(ARRAY_LENGTH(rows) == _REFUSAL_END - REFUSAL_PRIMARY_ALREADY, "a refusal lacks its row");

static bool is_one(int code)
{
        return code >= REFUSAL_PRIMARY_ALREADY && code < _REFUSAL_END;
}

const char *refusal_to_string(int code)
{
        return is_one(code) ? rows[code - REFUSAL_PRIMARY_ALREADY].name : NULL;
}

Refusal refusal_from_string(const char *name)
{
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
                if (text_equal(rows[i].name, name))
                        return (Refusal) (REFUSAL_PRIMARY_ALREADY + (int) i);
        return REFUSAL_NONE;
}

int refusal_exit_status(int code)
{
        return is_one(code) ? rows[code - REFUSAL_PRIMARY_ALREADY].exit_status : 0;
}
