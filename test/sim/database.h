/* A database server as far as a failover can tell: replication by file and offset or by global transaction ids, in the
 * words of its version's dialect, and the host's shell as far as the fence and the address use it. Transactions are
 * numbered; each server has its own log in which each has another size, so that a position taken for another server's is
 * noticed. */
#pragma once

#include "observation.h"
#include "sim.h"

typedef enum EventState { EVENT_NONE, EVENT_RESTS, EVENT_RUNS } EventState;

typedef struct Database {
        Sim *sim;
        SimServer *server;
        Version version;
        char version_text[40], uuid[40];
        const Dialect *dialect;
        unsigned id;
        bool gtid;     /* replicates by global transaction ids */
        bool ssh_dead; /* its host is gone */
        bool has_address;
        bool read_only, super_read_only;
        struct Database *source; /* NULL: follows nobody */
        bool receiver_on, connected, applier_on;
        int receiver_errno, applier_errno;
        uint64_t received, applied; /* the last transaction of its source's that it has, and that it carried out */
        unsigned tail;              /* bytes received of a transaction whose end nobody sent */
        uint64_t log;               /* the last transaction in its own log */
        bool holed;                 /* it skipped transactions */
        bool stuck;                 /* its applier makes no headway */
        bool fails;                 /* its applier stops at once when it is started and has something to do */
        usec_t slow_stop;           /* so much later it says that its receiver has stopped */
        unsigned n_opened;
        usec_t now;
        /* Of a primary that is alive. */
        bool written;    /* clients write to it whenever it lets them */
        bool privileged; /* some of them by the address, with an account that read_only does not bind */
        bool locked;     /* by the daemon's session */
        char held[40], tried[40];
        unsigned session;  /* the daemon's, from 1 on */
        unsigned named_by; /* the session that has the run's user lock; 0: none */
        unsigned left;     /* a session whose connection is lost and that does not know; 0: none */
        bool left_locked;
        bool no_address; /* its host cannot be given one */
        bool marked;     /* its host was told that the run was taken back */
        unsigned port;
        uint64_t purged;         /* its relay logs up to this transaction are gone */
        unsigned torn;           /* bytes in its log of a transaction that it never ended */
        uint64_t stands_in_from; /* of a stand-in for a dead primary: what it has begins behind this */
        bool rewritten;          /* clients wrote to it before it had everything */
        /* Its only scheduled event. */
        EventState event;
        bool scheduler_off;
} Database;

/* All before the first statement. Two servers that can be written to at once are the world's violation, and two on which
 * the event runs. */
Database *database_add(Sim *sim, const char *name, const char *version, bool gtid);
Database *database_of(const SimServer *server);
/* Its own log: where a transaction ends in it, which one ends at or before an offset and how much follows, and its name. */
uint64_t database_offset(const Database *database, uint64_t transaction);
uint64_t database_transaction(const Database *database, uint64_t offset, unsigned *ret_more);
void database_file(const Database *database, char *ret, size_t size);
uint64_t database_last(const char *gtid_set); /* the number of the last transaction in it */
void database_follow(Database *replica, Database *source, uint64_t received, uint64_t applied);
/* What a daemon that watched it knows of it. */
ServerView *database_view(Database *database);
/* The daemon is dead, or its session is: so is its lock. */
void database_end_session(Database *database);
/* The daemon is gone without a word: its session lives on, and it begins another. */
void database_leave_session(Database *database);
bool database_is_locked(const Database *database);
/* Lets it become what it is by now. */
void database_catch_up(Sim *sim);
