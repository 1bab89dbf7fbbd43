/* The saved logs of one run, and the feeds out of them: what a script's rescue items (SCRIPT_RESCUE) order and ask.
 * Everything returns at once; copies, indexing and feeds go on by themselves, and "look" tells how far they are. What was
 * copied is found again after a restart, with its index; what was not is copied then. Orders do no harm when they are
 * given twice.
 *
 * collect  {"server", "kind": "binlog"|"relay", "files": [{"file", "path", "from", "to"}], "start", "around",
 *          "borders": […], "own_id", "apart", "why"}
 *          Copies files, in the order of the log, from a server's host, and indexes them. file is the name, path where it
 *          is on the host; from and to are bytes of it (from 0 or an event's beginning; to 0: to its end). For relay logs
 *          start is where the primary's log stands at the first event of the first file ("" when not known), own_id the
 *          replica's server_id, and around the primary's file in which what is applied stands ("", too). borders are
 *          positions that stand between two transactions for certain. Given again with the same files it goes on with what
 *          failed; other files are copied as well. apart: through an SSH session of its own. why, for people, stands in
 *          the note.
 * feed     {"server", "version", "server_id", "gtid_mode", "expected", "end", "address"}
 *          Stands in for the dead primary towards a replica, whose version, server_id and mode these are. expected is the
 *          position that it will ask for ("" by GTID), end that of the last complete transaction to send ("": of all
 *          that is there). address is where the replica comes from, when feeds do not go through SSH. A feed that has
 *          failed or is for something else is begun anew.
 * unfeed   {"server"}
 *          Ends it.
 * look     {"questions": [{"name", "from"} | {"name", "from", "family": "mysql"|"mariadb", "has", "wanted"}]}
 *          "from": a position, what is there behind it. With a family: what of it a server lacks that has the set, and what
 *          of "wanted" (may be absent) is neither there nor had; from may be "" then, and all that is saved is looked at.
 *
 * All of them answer:
 *   {"directory": "…", "failure": why the index cannot be kept, "writing": it is not on the disk yet,
 *    "sources": {"db1": {"state": "copying"|"indexing"|"done"|"failed", "kind", "n_files", "n_done", "bytes", "total",
 *                        "verified": bool, "end": a FetchEnd, "failure": "…", "damage": "…"}},
 *    "answers": {"db2": {"complete": bool, "bytes", "n_transactions", "exact": bool, "end", "last", "torn", "gtids": "…",
 *                        "holes": ["sentence", …], "lacks": "gtid set", "missing": "gtid set"}},
 *    "differ":  ["db1 and db2 differ between … and …"],
 *    "feeds":   {"db2": {"state": "opening"|"waiting"|"sending"|"level"|"failed", "host", "port", "user", "from", "reached",
 *                        "end", "sent", "left", "n_skipped", "n_holes", "n_logins", "n_refused", "failure"}}}
 * complete: nothing is missing between from (or what it has) and end. Positions are "file:offset", "" when unset. n_… and
 * bytes are numbers. port is 0 until replicas can come; the password of a feed stands in a script as ${feed_password}.
 * Sources are there once they were ordered; answers when they were asked for, and not while something is being indexed. The
 * port of a feed changes when its session was lost: the replica must be pointed at it again. */
#pragma once

#include "pool.h"
#include "script.h"

typedef struct Rescue Rescue;

typedef struct RescueSettings {
        const char *directory; /* of the cluster's rescues: one folder for each run is made in it */
        const char *listen;    /* address for feeds; NULL: they go through the replica's SSH session */
        uint16_t port;         /* with listen; 0: any */
        Sudo sudo;
} RescueSettings;

/* What a feed and a copy go through to a server of the cluster; NULL for an unknown name. */
typedef Pool *(*rescue_pool_fn)(const char *server, void *userdata);

/* settings and pools are lent. */
Rescue *rescue_new(Loop *loop, const RescueSettings *settings, const char *run, rescue_pool_fn pool, void *userdata);
/* Ends copies and feeds; the files stay. Takes NULL, returns NULL. */
Rescue *rescue_free(Rescue *rescue);
DEFINE_CLEANUP(Rescue *, rescue_free)
const char *rescue_run(const Rescue *rescue);
/* Fills reply->out, or reply->failure. */
void rescue_do(Rescue *rescue, const char *verb, const Json *input, Reply *reply);
/* The password of the feed for a server; NULL when there is none. Lent. */
const char *rescue_password(const Rescue *rescue, const char *server);
