/* Reading events. Owns nothing; must never read beyond what was kept of an event, whatever the event says. */
#include "binlog.h"

#include <ctype.h>
#include <string.h>
#include <zlib.h>

#include "alloc.h"

enum {
        FORMAT_FIXED = 57,       /* version, server's version, created, header's length */
        FORMAT_TRAILER = 5,      /* algorithm and checksum */
        QUERY_FIXED = 13,        /* before the status variables */
        QUERY_WORDS = 64,        /* as much of a statement tells what it is */
        MYSQL_POST_LENGTHS = 150 /* MariaDB describes more types than this, MySQL less */
};

typedef struct TypeInfo {
        const char *name;
        BinlogPart part;
        uint32_t needed; /* of its body; UINT32_MAX: all */
} TypeInfo;

#define ALL UINT32_MAX

static const TypeInfo types[256] = {
        [1] = { "Start_v3", BINLOG_PART_FRAME },
        [BINLOG_TYPE_QUERY] = { "Query", BINLOG_PART_QUERY, QUERY_FIXED + UINT16_MAX + UINT8_MAX + 1 + QUERY_WORDS },
        [BINLOG_TYPE_STOP] = { "Stop", BINLOG_PART_FRAME },
        [BINLOG_TYPE_ROTATE] = { "Rotate", BINLOG_PART_FRAME, ALL },
        [BINLOG_TYPE_INTVAR] = { "Intvar", BINLOG_PART_PREAMBLE },
        [7] = { "Slave", BINLOG_PART_FRAME },
        [9] = { "Append_block", BINLOG_PART_BODY },
        [11] = { "Delete_file", BINLOG_PART_BODY },
        [BINLOG_TYPE_RAND] = { "RAND", BINLOG_PART_PREAMBLE },
        [BINLOG_TYPE_USER_VAR] = { "User var", BINLOG_PART_PREAMBLE },
        [BINLOG_TYPE_FORMAT] = { "Format_desc", BINLOG_PART_FRAME, ALL },
        [BINLOG_TYPE_XID] = { "Xid", BINLOG_PART_END },
        [17] = { "Begin_load_query", BINLOG_PART_BODY },
        [BINLOG_TYPE_EXECUTE_LOAD] = { "Execute_load_query", BINLOG_PART_STATEMENT },
        [BINLOG_TYPE_TABLE_MAP] = { "Table_map", BINLOG_PART_BODY },
        [20] = { "Write_rows_event_old", BINLOG_PART_BODY },
        [21] = { "Update_rows_event_old", BINLOG_PART_BODY },
        [22] = { "Delete_rows_event_old", BINLOG_PART_BODY },
        [23] = { "Write_rows_v1", BINLOG_PART_BODY },
        [24] = { "Update_rows_v1", BINLOG_PART_BODY },
        [25] = { "Delete_rows_v1", BINLOG_PART_BODY },
        [BINLOG_TYPE_INCIDENT] = { "Incident", BINLOG_PART_INCIDENT },
        [BINLOG_TYPE_HEARTBEAT] = { "Heartbeat", BINLOG_PART_FRAME, ALL },
        [28] = { "Ignorable", BINLOG_PART_BODY },
        [29] = { "Rows_query", BINLOG_PART_BODY },
        [30] = { "Write_rows", BINLOG_PART_BODY },
        [31] = { "Update_rows", BINLOG_PART_BODY },
        [32] = { "Delete_rows", BINLOG_PART_BODY },
        [BINLOG_TYPE_GTID] = { "Gtid", BINLOG_PART_GTID, ALL },
        [BINLOG_TYPE_ANONYMOUS_GTID] = { "Anonymous_Gtid", BINLOG_PART_GTID, ALL },
        [BINLOG_TYPE_PREVIOUS_GTIDS] = { "Previous_gtids", BINLOG_PART_FRAME, ALL },
        [36] = { "Transaction_context", BINLOG_PART_BODY },
        [37] = { "View_change", BINLOG_PART_BODY },
        [BINLOG_TYPE_XA_PREPARE] = { "XA_prepare", BINLOG_PART_END },
        [39] = { "Update_rows_partial", BINLOG_PART_BODY },
        [BINLOG_TYPE_PAYLOAD] = { "Transaction_payload", BINLOG_PART_WHOLE },
        [BINLOG_TYPE_HEARTBEAT_V2] = { "Heartbeat", BINLOG_PART_FRAME, ALL },
        [BINLOG_TYPE_TAGGED_GTID] = { "Gtid_tagged_log_event", BINLOG_PART_GTID, ALL },
        [BINLOG_TYPE_ANNOTATE_ROWS] = { "Annotate_rows", BINLOG_PART_BODY },
        [BINLOG_TYPE_CHECKPOINT] = { "Binlog_checkpoint", BINLOG_PART_FRAME },
        [BINLOG_TYPE_MARIADB_GTID] = { "Gtid", BINLOG_PART_GTID, ALL },
        [BINLOG_TYPE_GTID_LIST] = { "Gtid_list", BINLOG_PART_FRAME, ALL },
        [BINLOG_TYPE_START_ENCRYPTION] = { "Start_encryption", BINLOG_PART_FRAME },
        [BINLOG_TYPE_QUERY_COMPRESSED] = { "Query_compressed", BINLOG_PART_STATEMENT },
        [166] = { "Write_rows_compressed_v1", BINLOG_PART_BODY },
        [167] = { "Update_rows_compressed_v1", BINLOG_PART_BODY },
        [168] = { "Delete_rows_compressed_v1", BINLOG_PART_BODY },
        [169] = { "Write_rows_compressed", BINLOG_PART_BODY },
        [170] = { "Update_rows_compressed", BINLOG_PART_BODY },
        [171] = { "Delete_rows_compressed", BINLOG_PART_BODY },
};

const char *binlog_type_to_string(uint8_t type)
{
        return types[type].name ? types[type].name : "Unknown";
}

/* An unknown type is passed through and changes nothing. */
BinlogPart binlog_part(uint8_t type)
{
        return types[type].name ? types[type].part : BINLOG_PART_BODY;
}

uint32_t binlog_bytes_needed(uint8_t type)
{
        return types[type].needed == ALL ? ALL : BINLOG_HEADER_LENGTH + types[type].needed;
}

static uint64_t number(const uint8_t *bytes, size_t length)
{
        uint64_t value = 0;
        for (size_t i = length; i > 0; i--)
                value = value << 8 | bytes[i - 1];
        return value;
}

BinlogHeader binlog_header(const uint8_t bytes[BINLOG_HEADER_LENGTH])
{
        return (BinlogHeader){
                .timestamp = (uint32_t) number(bytes, 4),
                .type = bytes[4],
                .server_id = (uint32_t) number(bytes + 5, 4),
                .length = (uint32_t) number(bytes + 9, 4),
                .end = (uint32_t) number(bytes + 13, 4),
                .flags = (uint16_t) number(bytes + 17, 2),
        };
}

int binlog_check_magic(const uint8_t bytes[BINLOG_MAGIC_LENGTH], Failure *reterr)
{
        if (memcmp(bytes, "\xfe\x62\x69\x6e", BINLOG_MAGIC_LENGTH) == 0)
                return 0;
        if (memcmp(bytes, "\xfd\x62\x69\x6e", BINLOG_MAGIC_LENGTH) == 0)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "the log is encrypted (binlog_encryption): only its own server can read it");
        return failure_set(reterr, FAILURE_INVALID, 0, "it does not begin as a binary log does");
}

uint32_t binlog_digest(const uint8_t *bytes, size_t length)
{
        uLong crc = crc32_z(0, NULL, 0);
        if (length < BINLOG_HEADER_LENGTH || bytes[4] != BINLOG_TYPE_FORMAT)
                return (uint32_t) crc32_z(crc, bytes, length);
        uint8_t flags = bytes[17] & (uint8_t) ~BINLOG_FLAG_IN_USE;
        crc = crc32_z(crc, bytes, 17);
        crc = crc32_z(crc, &flags, 1);
        return (uint32_t) crc32_z(crc, bytes + 18, length - 18);
}

int binlog_read_format(const uint8_t *bytes, size_t length, BinlogFormat *ret, Failure *reterr)
{
        if (length > BINLOG_FORMAT_MAX || length < BINLOG_HEADER_LENGTH + FORMAT_FIXED + FORMAT_TRAILER)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "its format description has %zu bytes: written by a server that is too old", length);
        const uint8_t *body = bytes + BINLOG_HEADER_LENGTH;
        if (number(body, 2) != 4 || body[56] != BINLOG_HEADER_LENGTH)
                return failure_set(reterr, FAILURE_INVALID, 0, "a log of version %u is not known",
                                   (unsigned) number(body, 2));
        BinlogHeader header = binlog_header(bytes);
        BinlogFormat format = {
                .length = length,
                .server_id = header.server_id,
                .in_use = header.flags & BINLOG_FLAG_IN_USE,
                .created = (uint32_t) number(body + 52, 4),
                .n_post_lengths = length - BINLOG_HEADER_LENGTH - FORMAT_FIXED - FORMAT_TRAILER,
        };
        memcpy(format.bytes, bytes, length);
        memcpy(format.version, body + 2, 50);
        if (format.n_post_lengths > sizeof format.post_lengths)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "its format description names %zu types of events",
                                   format.n_post_lengths);
        memcpy(format.post_lengths, body + FORMAT_FIXED, format.n_post_lengths);
        format.flavour = format.n_post_lengths > MYSQL_POST_LENGTHS ? FLAVOUR_MARIADB : FLAVOUR_MYSQL;

        uint8_t algorithm = bytes[length - FORMAT_TRAILER];
        if (algorithm > 1)
                return failure_set(reterr, FAILURE_INVALID, 0, "checksums of kind %u are not known", algorithm);
        format.checksum = algorithm == 1;
        uint32_t checksum = (uint32_t) number(bytes + length - BINLOG_CHECKSUM_LENGTH, 4);
        if (checksum != binlog_digest(bytes, length - BINLOG_CHECKSUM_LENGTH))
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "the checksum of its format description is wrong");
        *ret = format;
        return 0;
}

/* Bodies are read by a cursor that stays at the end and remembers that it was asked for more. */

typedef struct Cursor {
        const uint8_t *at;
        size_t left;
        bool short_of;
} Cursor;

static Cursor body_cursor(const BinlogEvent *event)
{
        size_t kept = event->kept > BINLOG_HEADER_LENGTH ? event->kept - BINLOG_HEADER_LENGTH : 0;
        return (Cursor){ .at = event->bytes + BINLOG_HEADER_LENGTH,
                         .left = kept < event->body_length ? kept : event->body_length };
}

/* NULL when there are not that many. */
static const uint8_t *take(Cursor *cursor, uint64_t length)
{
        if (cursor->short_of || length > cursor->left) {
                cursor->short_of = true;
                return NULL;
        }
        const uint8_t *bytes = cursor->at;
        cursor->at += length;
        cursor->left -= (size_t) length;
        return bytes;
}

static uint64_t take_number(Cursor *cursor, size_t length)
{
        const uint8_t *bytes = take(cursor, length);
        return bytes ? number(bytes, length) : 0;
}

/* MySQL's variable-length number: as many bytes follow the first as it has ones at its low end. */
static uint64_t take_varlen(Cursor *cursor)
{
        uint8_t first = (uint8_t) take_number(cursor, 1);
        size_t more = first == UINT8_MAX ? 8 : (size_t) __builtin_ctz(~(unsigned) first);
        uint64_t rest = take_number(cursor, more);
        return more == 8 ? rest : (uint64_t) first >> (more + 1) | rest << (7 - more);
}

/* The protocol's length-encoded number. */
static uint64_t take_lenenc(Cursor *cursor)
{
        uint64_t first = take_number(cursor, 1);
        if (first < 0xfb)
                return first;
        return take_number(cursor, first == 0xfc ? 2 : first == 0xfd ? 3 : 8);
}

static int too_short(const BinlogEvent *event, Failure *reterr)
{
        return failure_set(reterr, FAILURE_PROTOCOL, 0, "the %s event at %llu is too short for what it says",
                           binlog_type_to_string(event->header.type), (unsigned long long) event->offset);
}

static int wrong(const BinlogEvent *event, Failure *reterr)
{
        return failure_set(reterr, FAILURE_PROTOCOL, 0, "the %s event at %llu cannot be understood",
                           binlog_type_to_string(event->header.type), (unsigned long long) event->offset);
}

static int set_position(const BinlogEvent *event, const uint8_t *name, size_t length, uint64_t offset, Position *ret,
                        Failure *reterr)
{
        Position position = { .offset = offset };
        if (length == 0 || length >= POSITION_FILE_MAX || memchr(name, '\0', length) || memchr(name, '/', length) ||
            offset > BINLOG_OFFSET_MAX)
                return wrong(event, reterr);
        memcpy(position.file, name, length);
        *ret = position;
        return 0;
}

int binlog_read_rotate(const BinlogEvent *event, Position *ret, Failure *reterr)
{
        Cursor cursor = body_cursor(event);
        uint64_t offset = take_number(&cursor, 8);
        if (cursor.short_of)
                return too_short(event, reterr);
        return set_position(event, cursor.at, cursor.left, offset, ret, reterr);
}

int binlog_read_heartbeat(const BinlogEvent *event, Position *ret, Failure *reterr)
{
        Cursor cursor = body_cursor(event);
        if (event->header.type == BINLOG_TYPE_HEARTBEAT)
                return set_position(event, cursor.at, cursor.left, event->header.end, ret, reterr);
        Cursor name = { 0 };
        uint64_t offset = 0;
        for (uint64_t tag; (tag = take_lenenc(&cursor)) != 0 && !cursor.short_of;) {
                uint64_t length = take_lenenc(&cursor);
                Cursor value = { .at = take(&cursor, length), .left = (size_t) length };
                if (cursor.short_of)
                        break;
                if (tag == 1)
                        name = value;
                else if (tag == 2)
                        offset = take_lenenc(&value);
                if (value.short_of)
                        return too_short(event, reterr);
        }
        if (cursor.short_of)
                return too_short(event, reterr);
        return set_position(event, name.at, name.left, offset, ret, reterr);
}

/* GTIDs. */

static void format_uuid(const uint8_t bytes[16], char ret[TRANSACTION_UUID_LENGTH + 1])
{
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < 16; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *ret++ = '-';
                *ret++ = digits[bytes[i] >> 4];
                *ret++ = digits[bytes[i] & 15];
        }
        *ret = '\0';
}

static bool set_tag(const uint8_t *bytes, uint64_t length, char ret[TRANSACTION_TAG_MAX + 1])
{
        if (!bytes || length > TRANSACTION_TAG_MAX)
                return false;
        for (size_t i = 0; i < length; i++) {
                if (!isalnum(bytes[i]) && bytes[i] != '_')
                        return false;
                ret[i] = (char) tolower(bytes[i]);
        }
        ret[length] = '\0';
        return true;
}

static int read_mariadb_gtid(const BinlogEvent *event, BinlogGtid *gtid, Failure *reterr)
{
        enum { STANDALONE = 1, GROUP_COMMIT = 2, DDL = 32, PREPARED_XA = 64, COMPLETED_XA = 128 };
        Cursor cursor = body_cursor(event);
        gtid->id = (TransactionId){ .family = GTID_FAMILY_MARIADB, .server = event->header.server_id };
        gtid->id.sequence = take_number(&cursor, 8);
        gtid->id.domain = (uint32_t) take_number(&cursor, 4);
        uint64_t flags = take_number(&cursor, 1);
        if (flags & GROUP_COMMIT)
                gtid->group_commit = take_number(&cursor, 8);
        gtid->standalone = flags & STANDALONE;
        gtid->ddl = flags & DDL;
        gtid->prepared_xa = flags & PREPARED_XA;
        gtid->completed_xa = flags & COMPLETED_XA;
        return cursor.short_of ? too_short(event, reterr) : 0;
}

static int read_mysql_gtid(const BinlogEvent *event, BinlogGtid *gtid, Failure *reterr)
{
        Cursor cursor = body_cursor(event);
        take(&cursor, 1);
        const uint8_t *uuid = take(&cursor, 16);
        uint64_t sequence = take_number(&cursor, 8);
        if (cursor.short_of)
                return too_short(event, reterr);
        gtid->id.anonymous = event->header.type == BINLOG_TYPE_ANONYMOUS_GTID;
        if (gtid->id.anonymous)
                return 0;
        format_uuid(uuid, gtid->id.uuid);
        gtid->id.sequence = sequence;
        return 0;
}

/* Fields with numbers, in their order; those up to the tag are always there. */
static int read_tagged_gtid(const BinlogEvent *event, BinlogGtid *gtid, Failure *reterr)
{
        enum { FIELD_FLAGS, FIELD_UUID, FIELD_SEQUENCE, FIELD_TAG };
        Cursor cursor = body_cursor(event);
        for (int i = 0; i < 3; i++) /* version, size, last field that must be understood */
                take_varlen(&cursor);
        if (take_varlen(&cursor) != FIELD_FLAGS)
                return wrong(event, reterr);
        take_varlen(&cursor);
        if (take_varlen(&cursor) != FIELD_UUID)
                return wrong(event, reterr);
        uint8_t uuid[16];
        for (size_t i = 0; i < sizeof uuid; i++)
                uuid[i] = (uint8_t) take_varlen(&cursor);
        format_uuid(uuid, gtid->id.uuid);
        if (take_varlen(&cursor) != FIELD_SEQUENCE)
                return wrong(event, reterr);
        gtid->id.sequence = take_varlen(&cursor) >> 1; /* signed: the sign is the lowest bit */
        if (take_varlen(&cursor) != FIELD_TAG)
                return wrong(event, reterr);
        uint64_t length = take_varlen(&cursor);
        const uint8_t *tag = take(&cursor, length);
        if (cursor.short_of)
                return too_short(event, reterr);
        return set_tag(tag, length, gtid->id.tag) ? 0 : wrong(event, reterr);
}

int binlog_read_gtid(const BinlogEvent *event, BinlogGtid *ret, Failure *reterr)
{
        BinlogGtid gtid = { 0 };
        int r = event->header.type == BINLOG_TYPE_MARIADB_GTID  ? read_mariadb_gtid(event, &gtid, reterr)
                : event->header.type == BINLOG_TYPE_TAGGED_GTID ? read_tagged_gtid(event, &gtid, reterr)
                                                                : read_mysql_gtid(event, &gtid, reterr);
        if (r < 0)
                return r;
        if (!gtid.id.anonymous && gtid.id.sequence == 0)
                return wrong(event, reterr);
        *ret = gtid;
        return 0;
}

/* The text of one source's intervals. */
static int add_intervals(Cursor *cursor, Text *text)
{
        uint64_t n = take_number(cursor, 8);
        if (n == 0)
                return -1;
        for (; n > 0; n--) {
                uint64_t first = take_number(cursor, 8), behind = take_number(cursor, 8);
                if (cursor->short_of || first == 0 || behind <= first)
                        return -1;
                text_addf(text, ":%llu-%llu", (unsigned long long) first, (unsigned long long) (behind - 1));
        }
        return 0;
}

static int add_mysql_sources(Cursor *cursor, Text *text)
{
        uint64_t n = take_number(cursor, 8);
        bool tagged = n >> 56 == 1; /* then the low byte says so too */
        if (tagged)
                n = n << 8 >> 16;
        for (; n > 0; n--) {
                const uint8_t *uuid = take(cursor, 16);
                uint64_t length = tagged && uuid ? take_varlen(cursor) : 0;
                char name[TRANSACTION_UUID_LENGTH + 1], tag[TRANSACTION_TAG_MAX + 1];
                if (!uuid || !set_tag(take(cursor, length), length, tag))
                        return -1;
                format_uuid(uuid, name);
                text_separate(text, ",");
                text_addf(text, "%s%s%s", name, tag[0] ? ":" : "", tag);
                if (add_intervals(cursor, text) < 0)
                        return -1;
        }
        return cursor->short_of ? -1 : 0;
}

static int add_mariadb_list(Cursor *cursor, Text *text)
{
        uint64_t n = take_number(cursor, 4) & 0x0fffffff; /* the rest are flags */
        for (; n > 0 && !cursor->short_of; n--) {
                uint64_t domain = take_number(cursor, 4), server = take_number(cursor, 4);
                uint64_t sequence = take_number(cursor, 8);
                text_separate(text, ",");
                text_addf(text, "%llu-%llu-%llu", (unsigned long long) domain, (unsigned long long) server,
                          (unsigned long long) sequence);
        }
        return cursor->short_of ? -1 : 0;
}

int binlog_read_gtid_set(const BinlogEvent *event, GtidSet **ret, Failure *reterr)
{
        bool mariadb = event->header.type == BINLOG_TYPE_GTID_LIST;
        CLEANUP(text_done) Text text = { 0 };
        Cursor cursor = body_cursor(event);
        if ((mariadb ? add_mariadb_list(&cursor, &text) : add_mysql_sources(&cursor, &text)) < 0)
                return wrong(event, reterr);
        return gtid_parse(mariadb ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL, text.data, ret, reterr);
}

/* Statements. */

/* The words at the beginning, followed by no further letter. */
static bool begins_with(const char *query, size_t length, const char *words)
{
        size_t n = strlen(words);
        return length >= n && strncasecmp(query, words, n) == 0 &&
               (length == n || !(isalnum((unsigned char) query[n]) || query[n] == '_'));
}

static BinlogQuery classify(const char *query, size_t length)
{
        if (begins_with(query, length, "BEGIN"))
                return BINLOG_QUERY_BEGIN;
        if (begins_with(query, length, "COMMIT"))
                return BINLOG_QUERY_COMMIT;
        if (begins_with(query, length, "ROLLBACK TO") || begins_with(query, length, "ROLLBACK WORK TO"))
                return BINLOG_QUERY_OTHER;
        if (begins_with(query, length, "ROLLBACK"))
                return BINLOG_QUERY_ROLLBACK;
        if (begins_with(query, length, "XA START") || begins_with(query, length, "XA BEGIN"))
                return BINLOG_QUERY_XA_START;
        if (begins_with(query, length, "XA ROLLBACK"))
                return BINLOG_QUERY_XA_ROLLBACK;
        return BINLOG_QUERY_OTHER;
}

int binlog_read_query(const BinlogEvent *event, BinlogQuery *ret, Failure *reterr)
{
        Cursor cursor = body_cursor(event);
        take(&cursor, 8); /* thread, duration */
        uint64_t database = take_number(&cursor, 1);
        take(&cursor, 2); /* error */
        uint64_t variables = take_number(&cursor, 2);
        take(&cursor, variables + database + 1);
        if (cursor.short_of)
                return too_short(event, reterr);
        *ret = classify((const char *) cursor.at, cursor.left);
        return 0;
}
