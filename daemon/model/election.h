/* Which replica becomes primary, which one gives what it lacks, and why no other: a function of facts. Compared is
 * what was received, never only what was executed.
 *
 * Told by the operator: that one or none. Else, of the eligible ones, in this order: loses nothing; has its log of use to
 * the others; has no errant transactions; is preferred; received most; has least left to apply; stands first in the
 * configuration. Never eligible: promotion never, taken out by an operator, not reachable, not replicating, no binary log,
 * delayed, applier broken, filters of its own, more unapplied than allowed; by position also replicas of replicas; and, unless
 * logs are saved and fed, whoever lacks what another received and nobody gives. Not eligible as long as another one is:
 * replication filters that leave out more than the old primary's log does, or a log with other filters than that (when that one
 * hands over: never); newer than a living replica; log_slave_updates off (GTID). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "facts.h"
#include "observation.h"
#include "server.h"

typedef enum ElectionMode {
        ELECTION_POSITION,
        ELECTION_MYSQL_GTID,
        ELECTION_MARIADB_GTID,
        _ELECTION_MODE_MAX,
        _ELECTION_MODE_INVALID = -22,
} ElectionMode;

typedef struct Candidate {
        char *name;
        char *downtime; /* why an operator has taken it out for a while; NULL: nobody has */
        Promotion promotion;
        bool reachable;
        bool log_bin, log_slave_updates;
        bool replicates;  /* it has a channel at all */
        bool sub_replica; /* of another candidate: its positions are of another log */
        bool applier_running;
        int applier_errno;
        char *applier_error;
        int64_t delay;
        Version version;
        char *filters;
        bool binlog_read; /* whether these of its own log are known */
        char *binlog_do_db, *binlog_ignore_db;
        char *server_uuid;
        Position received, applied;
        uint64_t unapplied;                    /* bytes of relay log, as far as can be told */
        GtidSet *gtid_received, *gtid_applied; /* NULL in position mode */
} Candidate;

typedef struct ElectionInput {
        ElectionMode mode;
        Candidate *candidates; /* in the order of the configuration */
        size_t n_candidates;
        char *told;           /* by the operator; NULL: nobody */
        bool hands_over;      /* the old primary lives: there is no need to be content with less */
        bool binlog_read;     /* what the old primary lets into its log is known */
        char *binlog_do_db, *binlog_ignore_db;
        GtidSet *old_primary; /* what that was last seen to have executed; NULL in position mode or when not known */
        bool allow_newer_version;
        uint64_t max_unapplied; /* bytes; 0: any amount */
        bool rescue;            /* what a candidate lacks and no donor gives is saved from logs, and fed to it */
        char *accept_loss;      /* what may be lost, as an operator names it (loss.h); NULL: nothing */
} ElectionInput;

typedef struct ElectionRank {
        size_t index; /* into the candidates */
        bool eligible;
        char why[300]; /* why it won, or why it did not */
        char *missing; /* what it lacks of all that was received; NULL: nothing */
        char *errant;  /* transactions of its own that others lack; NULL: none */
} ElectionRank;

typedef struct Election {
        ElectionRank *ranks; /* best first, all candidates */
        size_t n_ranks;
        ssize_t candidate; /* index into the candidates; -1: none */
        ssize_t donor;     /* who has what the candidate lacks; -1: it lacks nothing, or nobody can give it */
        char *loss;        /* what is lost by choosing it, NULL: nothing that anybody received and that may be saved */
        char *to_accept; /* what would be lost by one that could be chosen if that were accepted; NULL: there is none */
        char why[300];     /* why this one, or why none */
} Election;

const char *election_mode_to_string(ElectionMode mode); /* "position", "mysql_gtid", "mariadb_gtid" */
ElectionMode election_mode_from_string(const char *name);
/* How these replicate: by GTID only when all do that replicate at all, for positions they all have. */
ElectionMode election_mode_of(const ServerView *const *views, size_t n);

/* From a run's facts: the servers of "replicas" (else all but "old_primary"), each object as server_to_json() and
 * server_view_to_json() wrote it; "mode" (else as the replicas replicate), "told_candidate", and of the frozen
 * configuration "election.allow_newer_version", "election.max_unapplied", "election.accept_loss", "rescue.enabled" and
 * "ssh.enabled"; "not_saved" says that saving was tried in vain. */
int election_from_facts(const Facts *facts, ElectionInput *ret, Failure *reterr);
void election_input_done(ElectionInput *input);
static inline void election_input_done_cleanup(ElectionInput *input)
{
        election_input_done(input);
}
Election election_hold(const ElectionInput *input);
void election_done(Election *election);
static inline void election_done_cleanup(Election *election)
{
        election_done(election);
}
/* {"candidate", "donor", "loss", "why", "ranks": [{"server", "eligible", "why", "missing", "errant"}]}. */
Json *election_to_json(const Election *election, const ElectionInput *input);
