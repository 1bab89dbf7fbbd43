/* Statements and answers of MHA's advisory locks. Pure; owns the texts of a MhaLocking. */
#include "mhalock.h"

#include <inttypes.h>
#include <stdlib.h>

#include "text.h"

static const char *const names[_MHA_LOCK_MAX] = {
        [MHA_LOCK_MONITOR] = "MHA_Master_High_Availability_Monitor",
        [MHA_LOCK_FAILOVER] = "MHA_Master_High_Availability_Failover",
};

void mha_locking_done(MhaLocking *locking)
{
        free(locking->session);
        free(locking->manager);
        *locking = (MhaLocking){ 0 };
}

void mha_locking_reset(MhaLocking *locking)
{
        locking->held = MHA_LOCK_NONE;
}

static void set_manager(MhaLocking *locking, char *manager)
{
        free(locking->manager);
        locking->manager = manager;
}

void mha_locking_forget(MhaLocking *locking)
{
        set_manager(locking, NULL);
        locking->holder = 0;
        locking->was_ours = false;
}

char *mha_locking_take(const MhaLocking *locking)
{
        if (locking->wanted == locking->held)
                return NULL;
        Text text = { 0 };
        text_add(&text, "SELECT CONNECTION_ID() AS own");
        if (locking->held != MHA_LOCK_NONE)
                text_addf(&text, ", RELEASE_LOCK('%s') AS released", names[locking->held]);
        if (locking->wanted != MHA_LOCK_NONE)
                text_addf(&text, ", GET_LOCK('%s', 0) AS got, IS_USED_LOCK('%s') AS holder", names[locking->wanted],
                          names[locking->wanted]);
        return text_take(&text);
}

static uint64_t number(const Reply *reply, const char *column)
{
        const char *value = reply_get(reply, 0, column);
        return value ? strtoull(value, NULL, 10) : 0;
}

void mha_locking_took(MhaLocking *locking, const Reply *reply)
{
        if (!reply_succeeded(reply) || reply->n_rows == 0)
                return;
        bool got = number(reply, "got") == 1;
        locking->own = number(reply, "own");
        locking->held = got ? locking->wanted : MHA_LOCK_NONE;
        locking->holder = got || locking->wanted == MHA_LOCK_NONE ? 0 : number(reply, "holder");
        locking->was_ours = false;
        if (!locking->holder)
                set_manager(locking, NULL);
}

char *mha_locking_holder(const MhaLocking *locking)
{
        uint64_t session = locking->holder ? locking->holder : locking->held != MHA_LOCK_NONE ? locking->own : 0;
        return session ? text_format("SELECT user, host FROM information_schema.processlist WHERE id = %" PRIu64,
                                     session)
                       : NULL;
}

void mha_locking_held(MhaLocking *locking, const Reply *reply)
{
        if (!reply_succeeded(reply) || reply->n_rows == 0)
                return; /* it has gone meanwhile */
        const char *user = reply_get(reply, 0, "user"), *host = reply_get(reply, 0, "host");
        if (!locking->holder) {
                free(locking->session);
                locking->session = text_format("%" PRIu64 "@%s", locking->own, host ? host : "");
                return;
        }
        CLEANUP(mem_free) char *session = text_format("%" PRIu64 "@%s", locking->holder, host ? host : "");
        locking->was_ours = text_equal(session, locking->session);
        set_manager(locking, locking->was_ours ? NULL
                                               : text_format("session %" PRIu64 " of %s from %s", locking->holder,
                                                             user ? user : "?", host ? host : "?"));
}

char *mha_locking_end(const MhaLocking *locking)
{
        return locking->was_ours ? text_format("KILL %" PRIu64, locking->holder) : NULL;
}
