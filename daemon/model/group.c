/* Transactions from events. Owns nothing; must never call a transaction complete that the log has only in part. */
#include "group.h"

#include <string.h>

#include "enum.h"

static const char *const steps[] = {
        [GROUP_OUTSIDE] = "outside", [GROUP_BEGIN] = "begin", [GROUP_INSIDE] = "inside",
        [GROUP_END] = "end",         [GROUP_ALONE] = "alone",
};
ENUM_TO_STRING(group_step, GroupStep, steps)

static const BinlogGtid no_gtid = { .id.anonymous = true };

bool group_is_closed(const Group *group)
{
        return group->state == GROUP_CLOSED;
}

void group_enter_anywhere(Group *group)
{
        *group = (Group){ .state = GROUP_UNKNOWN, .gtid = no_gtid };
}

void group_reset(Group *group)
{
        *group = (Group){ .gtid = no_gtid };
}

static GroupStep go(Group *group, GroupState state, GroupStep step)
{
        group->state = state;
        return step;
}

/* One that ends here, or is all of a transaction. */
static GroupStep finish(Group *group)
{
        if (group->state == GROUP_CLOSED) {
                group->gtid = no_gtid;
                return GROUP_ALONE;
        }
        return go(group, GROUP_CLOSED, GROUP_END);
}

/* One that begins here without a GTID, or goes on. */
static GroupStep enter(Group *group, GroupState state)
{
        if (group->state != GROUP_CLOSED)
                return go(group, state, GROUP_INSIDE);
        group->gtid = no_gtid;
        return go(group, state, GROUP_BEGIN);
}

static bool takes_one_statement(const Group *group)
{
        return group->gtid.standalone || group->gtid.completed_xa;
}

static int step_gtid(Group *group, const BinlogEvent *event, Failure *reterr)
{
        BinlogGtid gtid;
        int r = binlog_read_gtid(event, &gtid, reterr);
        if (r < 0)
                return r;
        group->gave_up = group->state != GROUP_CLOSED && group->state != GROUP_UNKNOWN;
        group->gtid = gtid;
        bool implies_begin = event->header.type == BINLOG_TYPE_MARIADB_GTID && !takes_one_statement(group);
        return (int) go(group, implies_begin ? GROUP_OPEN : GROUP_NAMED, GROUP_BEGIN);
}

static GroupStep step_begin(Group *group, const BinlogEvent *event)
{
        /* Only where there are no GTIDs does it tell that the one before was never finished. */
        if (group->state == GROUP_OPEN && group->gtid.id.anonymous && event->format->flavour == FLAVOUR_MYSQL) {
                group->gave_up = true;
                return go(group, GROUP_OPEN, GROUP_BEGIN);
        }
        if (group->state == GROUP_UNKNOWN)
                return GROUP_INSIDE;
        return enter(group, GROUP_OPEN);
}

/* A statement that neither begins nor ends a transaction by its words. */
static GroupStep step_statement(Group *group)
{
        switch (group->state) {
        case GROUP_CLOSED:
        case GROUP_NAMED:
        case GROUP_PREAMBLE:
                return finish(group);
        case GROUP_OPEN:
        case GROUP_UNKNOWN:
        case _GROUP_STATE_MAX:
                break;
        }
        return GROUP_INSIDE;
}

static int step_query(Group *group, const BinlogEvent *event, Failure *reterr)
{
        BinlogQuery query;
        int r = binlog_read_query(event, &query, reterr);
        if (r < 0)
                return r;
        if (group->state == GROUP_NAMED && takes_one_statement(group))
                return (int) finish(group);
        switch (query) {
        case BINLOG_QUERY_BEGIN:
        case BINLOG_QUERY_XA_START:
                return (int) step_begin(group, event);
        case BINLOG_QUERY_COMMIT:
        case BINLOG_QUERY_ROLLBACK:
        case BINLOG_QUERY_XA_ROLLBACK:
                return (int) finish(group);
        case BINLOG_QUERY_OTHER:
        case _BINLOG_QUERY_MAX:
                break;
        }
        return (int) step_statement(group);
}

static GroupStep step_preamble(Group *group)
{
        bool keeps = group->state == GROUP_OPEN || group->state == GROUP_UNKNOWN || takes_one_statement(group);
        return enter(group, keeps && group->state != GROUP_CLOSED ? group->state : GROUP_PREAMBLE);
}

static GroupStep step_body(Group *group)
{
        if (group->state == GROUP_UNKNOWN || (group->state == GROUP_NAMED && takes_one_statement(group)))
                return GROUP_INSIDE;
        return enter(group, GROUP_OPEN);
}

int group_step(Group *group, const BinlogEvent *event, Failure *reterr)
{
        group->gave_up = false;
        switch (binlog_part(event->header.type)) {
        case BINLOG_PART_FRAME:
                return GROUP_OUTSIDE;
        case BINLOG_PART_GTID:
                return step_gtid(group, event, reterr);
        case BINLOG_PART_PREAMBLE:
                return (int) step_preamble(group);
        case BINLOG_PART_QUERY:
                return step_query(group, event, reterr);
        case BINLOG_PART_STATEMENT:
                return (int) step_statement(group);
        case BINLOG_PART_BODY:
                return (int) step_body(group);
        case BINLOG_PART_END:
        case BINLOG_PART_WHOLE:
                return (int) finish(group);
        case BINLOG_PART_INCIDENT:
                return (int) step_statement(group);
        case _BINLOG_PART_MAX:
        case _BINLOG_PART_INVALID:
                break;
        }
        return GROUP_OUTSIDE;
}
