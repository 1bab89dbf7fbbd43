/* The primary's log in a replica's. Owns where it stands; must never give an event a place that it does not name. */
#include "relaylog.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

struct RelayLog {
        uint32_t own_id;
        Position at;  /* where the primary's log goes on */
        bool guessed; /* where it goes on is */
        char began[POSITION_FILE_MAX];
        Group group;
        BinlogFormat format;
        /* What of MariaDB's log is before where we stand: what the last list said, and the last of each domain since. */
        GtidSet *listed;
        TransactionId *since;
        size_t n_since;
        /* Where we stood before the primary went on elsewhere, as long as no transaction has come since. */
        Position left;
};

RelayLog *relaylog_new(uint32_t own_id, const Position *start)
{
        RelayLog *log = ALLOC(RelayLog);
        log->own_id = own_id;
        log->at = *start;
        group_enter_anywhere(&log->group);
        return log;
}

RelayLog *relaylog_free(RelayLog *log)
{
        if (log) {
                gtid_free(log->listed);
                free(log->since);
        }
        free(log);
        return NULL;
}

const char *relaylog_began_in(const RelayLog *log)
{
        return log->began;
}

const Position *relaylog_position(const RelayLog *log)
{
        return &log->at;
}

const BinlogFormat *relaylog_format(const RelayLog *log)
{
        return &log->format;
}

bool relaylog_file_after(const char *file, char ret[POSITION_FILE_MAX])
{
        size_t length = strlen(file), i = length;
        if (length + 2 > POSITION_FILE_MAX || length == 0 || !isdigit((unsigned char) file[length - 1]))
                return false;
        memcpy(ret, file, length + 1);
        while (i > 0 && ret[i - 1] == '9')
                ret[--i] = '0';
        if (i > 0 && isdigit((unsigned char) ret[i - 1])) {
                ret[i - 1]++;
                return true;
        }
        memmove(ret + i + 1, ret + i, length - i + 1);
        ret[i] = '1';
        return true;
}

bool relaylog_file_before(const char *file, char ret[POSITION_FILE_MAX])
{
        size_t length = strlen(file), stem = length;
        while (stem > 0 && isdigit((unsigned char) file[stem - 1]))
                stem--;
        if (length >= POSITION_FILE_MAX || strspn(file + stem, "0") == length - stem)
                return false;
        char name[POSITION_FILE_MAX];
        memcpy(name, file, length + 1);
        size_t i = length - 1;
        for (; name[i] == '0'; i--)
                name[i] = '9';
        name[i]--;
        /* The digits are six at least, and more only when they must be. */
        if (name[stem] == '0' && length - stem > 6)
                memmove(name + stem, name + stem + 1, length - stem);
        if (strspn(name + stem, "0") == strlen(name + stem))
                return false;
        memcpy(ret, name, POSITION_FILE_MAX);
        return true;
}

static bool is_own(const RelayLog *log, const BinlogEvent *event)
{
        switch (event->header.type) {
        case BINLOG_TYPE_FORMAT:
        case BINLOG_TYPE_ROTATE:
        case BINLOG_TYPE_STOP:
        case BINLOG_TYPE_PREVIOUS_GTIDS:
        case BINLOG_TYPE_START_ENCRYPTION:
                return event->header.server_id == log->own_id || (event->header.flags & BINLOG_FLAG_RELAY);
        default:
                return false;
        }
}

static bool is_artificial(const BinlogEvent *event)
{
        return (event->header.flags & BINLOG_FLAG_ARTIFICIAL) ||
               (event->header.end == 0 && binlog_part(event->header.type) == BINLOG_PART_FRAME);
}

/* Positions on the wire have 32 bits; the one that is meant is the nearest to where we stand. */
static uint64_t widen(const RelayLog *log, uint32_t offset)
{
        if (!position_is_set(&log->at) || log->at.offset == 0)
                return offset;
        int32_t distance = (int32_t) (offset - (uint32_t) log->at.offset);
        uint64_t wide = log->at.offset + (uint64_t) (int64_t) distance;
        return distance < 0 && wide > log->at.offset ? offset : wide;
}

/* Whether MariaDB's receiver may have uncompressed it. */
static bool may_be_rewritten(const BinlogEvent *event)
{
        uint8_t type = event->header.type;
        return event->format->flavour == FLAVOUR_MARIADB &&
               (type == BINLOG_TYPE_QUERY || (type >= 23 && type <= 25) || (type >= 30 && type <= 32));
}

/* By what the event says of itself. */
static void place_event(RelayLog *log, const BinlogEvent *event, RelayEvent *ret)
{
        uint64_t start = widen(log, event->header.end - event->header.length);
        uint64_t end = start + event->header.length;
        /* What was left out on receipt is whole transactions, so within one the next event has no other place. */
        bool inside = !group_is_closed(&log->group) && log->at.offset != 0;
        if (start != log->at.offset && inside && log->guessed)
                ret->corrected = true;
        else if (start != log->at.offset && inside && may_be_rewritten(event)) {
                uint64_t real = log->at.offset + (uint32_t) (event->header.end - (uint32_t) log->at.offset);
                if (real > log->at.offset && real - log->at.offset < INT32_MAX) {
                        ret->rewritten = true;
                        start = log->at.offset;
                        end = real;
                }
        }
        ret->start.offset = start;
        ret->end = end;
        log->guessed = false;
}

static void place(RelayLog *log, const BinlogEvent *event, RelayEvent *ret)
{
        ret->start = log->at;
        ret->kind = position_is_set(&log->at) ? RELAY_EVENT : RELAY_UNPLACED;
        if (event->header.end != 0)
                place_event(log, event, ret);
        else if (log->at.offset != 0) {
                ret->end = log->at.offset + event->header.length;
                ret->guessed = log->guessed = true;
        } else {
                ret->kind = RELAY_UNPLACED;
                return;
        }
        log->at.offset = ret->end;
}

static bool is_next_file(const Position *at, const Position *next)
{
        char before[POSITION_FILE_MAX];
        return position_is_set(at) && next->offset == BINLOG_MAGIC_LENGTH && relaylog_file_before(next->file, before) &&
               strcmp(before, at->file) == 0;
}

/* Relay logs whose first ones were removed begin without any name. The first that comes must fit where we stand. */
static void find_began(RelayLog *log, const BinlogEvent *event, const Position *next)
{
        uint64_t at = log->at.offset;
        if (log->began[0] || position_is_set(&log->at))
                return;
        bool end = !is_artificial(event) && event->header.server_id != 0;
        if (!end && at != 0 && (event->header.server_id == 0 ? next->offset > at : next->offset == at))
                memcpy(log->began, next->file, sizeof log->began);
        else if (end && (at == 0 || event->header.end - event->header.length == (uint32_t) at))
                (void) relaylog_file_before(next->file, log->began);
}

/* A sender that goes on farther on may leave transactions out, or nothing: that is seen at the list that comes next. */
static void note_jump(RelayLog *log, const Position *next)
{
        bool stands = log->at.offset != 0 && !log->guessed && group_is_closed(&log->group);
        if (!position_is_set(&log->left) && position_is_set(&log->at) && stands)
                log->left = log->at;
        if (!position_comparable(&log->left, next) || position_compare(&log->left, next) >= 0)
                log->left = (Position){ 0 };
}

static int step_rotate(RelayLog *log, const BinlogEvent *event, RelayEvent *ret, Failure *reterr)
{
        Position next;
        int r = binlog_read_rotate(event, &next, reterr);
        if (r < 0)
                return r;
        find_began(log, event, &next);
        if (event->header.server_id == 0) {
                if (position_is_set(&log->at) && strcmp(next.file, log->at.file) == 0 && next.offset > log->at.offset) {
                        ret->kind = RELAY_IGNORED;
                        ret->start = log->at;
                        ret->end = next.offset;
                }
        } else if (is_artificial(event) || event->header.timestamp == 0) {
                if (is_next_file(&log->at, &next)) {
                        ret->left = log->at;
                        memcpy(ret->next, next.file, sizeof ret->next);
                }
                note_jump(log, &next);
                if (strcmp(next.file, log->at.file) != 0 || next.offset != log->at.offset)
                        group_enter_anywhere(&log->group);
        } else {
                /* Relay logs end where the primary's do: where only the file is known, this ends the one before. */
                if (log->at.offset == 0 && strcmp(next.file, log->at.file) == 0)
                        relaylog_file_before(next.file, log->at.file);
                place(log, event, ret);
                group_reset(&log->group);
        }
        log->at = next;
        log->guessed = false;
        return 0;
}

static void note_transaction(RelayLog *log)
{
        const TransactionId *id = &log->group.gtid.id;
        size_t i = 0;
        if (id->anonymous || id->family != GTID_FAMILY_MARIADB)
                return;
        while (i < log->n_since && log->since[i].domain != id->domain)
                i++;
        if (i == log->n_since) {
                ALLOC_GROW(log->since, log->n_since);
                log->since[log->n_since++] = *id;
        } else if (log->since[i].sequence < id->sequence)
                log->since[i] = *id;
}

/* The caller frees it. */
static GtidSet *before_here(const RelayLog *log)
{
        CLEANUP(text_done) Text text = { 0 };
        CLEANUP(gtid_free) GtidSet *since = NULL;
        for (size_t i = 0; i < log->n_since; i++) {
                CLEANUP(mem_free) char *id = transaction_format(&log->since[i]);
                text_separate(&text, ",");
                text_add(&text, id);
        }
        if (gtid_parse(GTID_FAMILY_MARIADB, text.data, &since, NULL) < 0)
                since = gtid_new(GTID_FAMILY_MARIADB);
        return log->listed ? gtid_union(log->listed, since) : TAKE(since);
}

/* Says what is in the log before it. When all of that is before where we stood, there is none in between. */
static int step_list(RelayLog *log, const BinlogEvent *event, RelayEvent *ret, Failure *reterr)
{
        CLEANUP(gtid_free) GtidSet *list = NULL;
        int r = binlog_read_gtid_set(event, &list, reterr);
        if (r < 0)
                return r;
        CLEANUP(gtid_free) GtidSet *before = before_here(log);
        bool made = is_artificial(event), turned = strcmp(log->left.file, log->at.file) != 0;
        /* One that is made for a connection may stand behind transactions that were skipped. */
        bool here = !made || event->header.end == (uint32_t) log->at.offset;
        if (position_is_set(&log->left) && here && gtid_contains(before, list)) {
                if (turned) {
                        ret->left = log->left;
                        memcpy(ret->next, log->at.file, sizeof ret->next);
                }
                if (made) {
                        ret->kind = RELAY_EMPTY;
                        ret->start = log->at;
                        ret->start.offset = turned ? BINLOG_MAGIC_LENGTH : log->left.offset;
                        ret->end = log->at.offset;
                }
        }
        log->left = (Position){ 0 };
        log->n_since = 0;
        gtid_free(log->listed);
        log->listed = gtid_union(before, list);
        return 0;
}

static int step_event(RelayLog *log, const BinlogEvent *event, RelayEvent *ret, Failure *reterr)
{
        uint64_t before = log->at.offset;
        bool known = position_is_set(&log->at) && before != 0;
        place(log, event, ret);
        if (known && ret->start.offset != before && !ret->corrected)
                group_enter_anywhere(&log->group);
        int r = group_step(&log->group, event, reterr);
        if (r > GROUP_OUTSIDE)
                log->left = (Position){ 0 };
        if (r == GROUP_END || r == GROUP_ALONE)
                note_transaction(log);
        return r < 0 ? r : 0;
}

int relaylog_step(RelayLog *log, const BinlogEvent *event, RelayEvent *ret, Failure *reterr)
{
        *ret = (RelayEvent){ .kind = RELAY_OWN };
        if (is_own(log, event))
                return 0;
        ret->format = event->header.type == BINLOG_TYPE_FORMAT;
        if (ret->format)
                log->format = *event->format;
        if (event->header.type == BINLOG_TYPE_ROTATE)
                return step_rotate(log, event, ret, reterr);
        int r = event->header.type == BINLOG_TYPE_GTID_LIST ? step_list(log, event, ret, reterr) : 0;
        if (r < 0 || is_artificial(event))
                return r;
        return step_event(log, event, ret, reterr);
}
