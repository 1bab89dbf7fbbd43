/* The events of binary and relay logs, as MySQL 5.6 to 9.x and MariaDB 10.5 to 11.x write them: header, format
 * description, and the few bodies that matter here. What an event does to rows is never looked at. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flavour.h"
#include "gtid.h"
#include "position.h"
#include "text.h"
#include "transaction.h"

enum {
        BINLOG_MAGIC_LENGTH = 4, /* before the first event of a file */
        BINLOG_HEADER_LENGTH = 19,
        BINLOG_CHECKSUM_LENGTH = 4,
        BINLOG_FORMAT_MAX = 512, /* a format description is shorter (MariaDB 252 bytes, MySQL 9 123) */
};

/* No file is as long: what says so is damaged. (JSON holds integers up to 2^53.) */
#define BINLOG_OFFSET_MAX ((uint64_t) 1 << 52)

/* As numbered on the wire; more of them exist. */
typedef enum BinlogType {
        BINLOG_TYPE_QUERY = 2,
        BINLOG_TYPE_STOP = 3,
        BINLOG_TYPE_ROTATE = 4,
        BINLOG_TYPE_INTVAR = 5,
        BINLOG_TYPE_RAND = 13,
        BINLOG_TYPE_USER_VAR = 14,
        BINLOG_TYPE_FORMAT = 15,
        BINLOG_TYPE_XID = 16,
        BINLOG_TYPE_EXECUTE_LOAD = 18,
        BINLOG_TYPE_TABLE_MAP = 19,
        BINLOG_TYPE_INCIDENT = 26,
        BINLOG_TYPE_HEARTBEAT = 27,
        BINLOG_TYPE_GTID = 33,
        BINLOG_TYPE_ANONYMOUS_GTID = 34,
        BINLOG_TYPE_PREVIOUS_GTIDS = 35,
        BINLOG_TYPE_XA_PREPARE = 38,
        BINLOG_TYPE_PAYLOAD = 40, /* a whole transaction, compressed */
        BINLOG_TYPE_HEARTBEAT_V2 = 41,
        BINLOG_TYPE_TAGGED_GTID = 42,
        BINLOG_TYPE_ANNOTATE_ROWS = 160,
        BINLOG_TYPE_CHECKPOINT = 161,
        BINLOG_TYPE_MARIADB_GTID = 162,
        BINLOG_TYPE_GTID_LIST = 163,
        BINLOG_TYPE_START_ENCRYPTION = 164,
        BINLOG_TYPE_QUERY_COMPRESSED = 165,
} BinlogType;

enum {
        BINLOG_FLAG_IN_USE = 0x1, /* of a format description: the file was not closed */
        BINLOG_FLAG_ARTIFICIAL = 0x20,
        BINLOG_FLAG_RELAY = 0x40, /* a replica wrote it on its own account */
};

/* What an event is to the transactions. */
typedef enum BinlogPart {
        BINLOG_PART_FRAME,    /* stands between transactions, or anywhere in a relay log: format, rotate, lists, … */
        BINLOG_PART_GTID,     /* begins one */
        BINLOG_PART_PREAMBLE, /* belongs to the statement that follows */
        BINLOG_PART_QUERY,    /* begins, belongs to or ends one, as its words say */
        BINLOG_PART_BODY,
        BINLOG_PART_STATEMENT, /* as a query that is neither begin nor end */
        BINLOG_PART_END,
        BINLOG_PART_WHOLE, /* all but the GTID of one */
        BINLOG_PART_INCIDENT,
        _BINLOG_PART_MAX,
        _BINLOG_PART_INVALID = -22,
} BinlogPart;

typedef struct BinlogHeader {
        uint32_t timestamp;
        uint8_t type;
        uint32_t server_id;
        uint32_t length; /* of the whole event */
        uint32_t end;    /* where the primary's file goes on, modulo 2^32; 0 for what is in no file */
        uint16_t flags;
} BinlogHeader;

/* What a format description says of the events behind it. */
typedef struct BinlogFormat {
        uint8_t bytes[BINLOG_FORMAT_MAX]; /* the event itself */
        size_t length;                    /* 0: none was seen yet */
        Flavour flavour;
        char version[51]; /* as the server calls itself */
        uint32_t server_id, created;
        bool in_use;
        bool checksum; /* CRC32 at the end of each event (a format description has one in any case) */
        uint8_t post_lengths[256];
        size_t n_post_lengths;
} BinlogFormat;

typedef struct BinlogEvent {
        BinlogHeader header;
        uint64_t offset;      /* where it begins in the file that is read */
        const uint8_t *bytes; /* the event from its header on, as far as it was kept: lent until the reader goes on */
        size_t kept;
        size_t body_length; /* without header and checksum */
        uint32_t digest;    /* CRC32 of all but the checksum */
        const BinlogFormat *format;
} BinlogEvent;

typedef enum BinlogQuery {
        BINLOG_QUERY_BEGIN,
        BINLOG_QUERY_COMMIT,
        BINLOG_QUERY_ROLLBACK,
        BINLOG_QUERY_XA_START,
        BINLOG_QUERY_XA_ROLLBACK,
        BINLOG_QUERY_OTHER,
        _BINLOG_QUERY_MAX,
} BinlogQuery;

typedef struct BinlogGtid {
        TransactionId id;
        bool standalone; /* MariaDB: one statement follows, and no end */
        bool ddl;        /* MariaDB */
        bool prepared_xa, completed_xa;
        uint64_t group_commit; /* MariaDB: the same for what was committed together; 0: none */
} BinlogGtid;

/* As SHOW BINLOG EVENTS names it; "Unknown" for the rest. */
const char *binlog_type_to_string(uint8_t type);
BinlogPart binlog_part(uint8_t type);
/* How many bytes from its header on have to be kept for the functions below; UINT32_MAX: all. */
uint32_t binlog_bytes_needed(uint8_t type);

BinlogHeader binlog_header(const uint8_t bytes[BINLOG_HEADER_LENGTH]);
/* The first bytes of a file; an encrypted file and what is no log at all are refused. */
int binlog_check_magic(const uint8_t bytes[BINLOG_MAGIC_LENGTH], Failure *reterr);
/* The CRC32 of an event less its checksum, with the in-use flag of a format description as the servers take it: off. */
uint32_t binlog_digest(const uint8_t *bytes, size_t length);

/* The whole event, its checksum verified. */
int binlog_read_format(const uint8_t *bytes, size_t length, BinlogFormat *ret, Failure *reterr);
/* The bodies. FAILURE_PROTOCOL for an event that is too short for what it says. */
int binlog_read_rotate(const BinlogEvent *event, Position *ret, Failure *reterr);
int binlog_read_gtid(const BinlogEvent *event, BinlogGtid *ret, Failure *reterr);
/* Of PREVIOUS_GTIDS (MySQL) and GTID_LIST (MariaDB). */
int binlog_read_gtid_set(const BinlogEvent *event, GtidSet **ret, Failure *reterr);
int binlog_read_query(const BinlogEvent *event, BinlogQuery *ret, Failure *reterr);
/* Of both versions. */
int binlog_read_heartbeat(const BinlogEvent *event, Position *ret, Failure *reterr);
