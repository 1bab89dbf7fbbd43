/* Where a transaction begins and ends: MySQL's and MariaDB's groups of events, with and without GTIDs. The events are
 * given in the order of the primary's log; the log may be cut anywhere at its beginning and its end. */
#pragma once

#include "binlog.h"

typedef enum GroupState {
        GROUP_CLOSED,   /* a transaction may begin */
        GROUP_NAMED,    /* behind a GTID */
        GROUP_PREAMBLE, /* behind what belongs to one statement */
        GROUP_OPEN,     /* until it is committed or rolled back */
        GROUP_UNKNOWN,  /* the log was entered in the middle */
        _GROUP_STATE_MAX,
} GroupState;

typedef enum GroupStep {
        GROUP_OUTSIDE, /* the event belongs to no transaction */
        GROUP_BEGIN,
        GROUP_INSIDE,
        GROUP_END,
        GROUP_ALONE, /* it is a whole transaction */
        _GROUP_STEP_MAX,
} GroupStep;

/* Zero-initialised it stands between two transactions. */
typedef struct Group {
        GroupState state;
        BinlogGtid gtid; /* of the one that is open or was the last; anonymous without a GTID */
        bool gave_up;    /* the event began a transaction while another was open: that one was never finished */
} Group;

const char *group_step_to_string(GroupStep step);
/* A GroupStep, or an error when the event cannot be understood. */
int group_step(Group *group, const BinlogEvent *event, Failure *reterr);
/* Whether the log may be cut behind the last event. */
bool group_is_closed(const Group *group);
/* Where it is not known whether the next event begins a transaction; between two. */
void group_enter_anywhere(Group *group);
void group_reset(Group *group);
