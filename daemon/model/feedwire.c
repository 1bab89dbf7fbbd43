/* The server's side of the replication protocol: framing, login, questions. Owns what has come of the packet that is
 * not complete and what is to be sent; must never crash on any bytes, nor keep more of them than one packet. */
#include "feedwire.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "alloc.h"
#include "enum.h"
#include "flavour.h"
#include "text.h"

enum {
        HEADER = 4,
        PACKET_MAX = 0xffffff, /* what is longer goes on in the next packet */
        INPUT_LIMIT = 1024 * 1024,
        LOGIN_LIMIT = 8 * 1024,
        QUESTION_MAX = 64, /* of a question's text, without white space: enough to know it by */
        TOKEN_MAX = 32,
};

enum {
        CAPABILITY_LONG_PASSWORD = 0x1,
        CAPABILITY_LONG_FLAG = 0x4,
        CAPABILITY_PROTOCOL_41 = 0x200,
        CAPABILITY_TLS = 0x800,
        CAPABILITY_TRANSACTIONS = 0x2000,
        CAPABILITY_SECURE_CONNECTION = 0x8000,
        CAPABILITY_PLUGIN_AUTH = 0x80000,
        CAPABILITIES = CAPABILITY_LONG_PASSWORD | CAPABILITY_LONG_FLAG | CAPABILITY_PROTOCOL_41 |
                       CAPABILITY_TRANSACTIONS | CAPABILITY_SECURE_CONNECTION | CAPABILITY_PLUGIN_AUTH,
};

enum {
        COMMAND_QUIT = 0x01,
        COMMAND_QUERY = 0x03,
        COMMAND_PROCESS_KILL = 0x0c,
        COMMAND_PING = 0x0e,
        COMMAND_BINLOG_DUMP = 0x12,
        COMMAND_REGISTER = 0x15,
        COMMAND_BINLOG_DUMP_GTID = 0x1e,
};

enum {
        DUMP_FLAG_ANNOTATE = 2,     /* MariaDB */
        DUMP_FLAG_HEARTBEAT_V2 = 2, /* MySQL */
};

#define STATUS_AUTOCOMMIT 0x0002
#define CHARSET_UTF8 33

typedef struct Plugin {
        const char *name, *digest;
        size_t length; /* of the digest, and of the token that shows the password */
} Plugin;

static const Plugin plugin_native = { "mysql_native_password", "SHA1", 20 };
static const Plugin plugin_caching = { "caching_sha2_password", "SHA256", 32 };

struct FeedWire {
        FeedWirePhase phase;
        Failure failure;

        char *version_text, *user, *password, *server_uuid;
        uint8_t scramble[FEEDWIRE_SCRAMBLE];
        uint32_t thread_id, server_id;
        bool gtid_mode, crc32;
        uint64_t now;
        Version version;
        const Plugin *plugin;

        bool switched;     /* the other side was told to use our plugin: its next packet is the token */
        char *asking_user; /* until then */

        Text in;
        size_t to_ignore; /* bytes of the packet that comes, while dumping */
        Text out;
        size_t out_sent;
        uint8_t sequence;
        uint64_t event_left;    /* bytes of the event that are still to be added, and its first byte */
        size_t packet_left;     /* of these in the packet that was begun */
        bool packet_is_longest; /* another one follows, if only an empty one */

        char *connect_state; /* MariaDB: @slave_connect_state */
        FeedWireRequest request;
};

static const char *const phase_names[_FEEDWIRE_PHASE_MAX] = {
        [FEEDWIRE_LOGIN] = "login",
        [FEEDWIRE_ASKING] = "asking",
        [FEEDWIRE_DUMPING] = "dumping",
        [FEEDWIRE_ENDED] = "ended",
};
ENUM_TO_STRING(feedwire_phase, FeedWirePhase, phase_names)

/* Reading: a part of a packet; what is beyond its end is zero, and bad says so. */

typedef struct Cursor {
        const uint8_t *bytes;
        size_t left;
        bool bad;
} Cursor;

static const uint8_t *take(Cursor *cursor, uint64_t length)
{
        if (length > cursor->left) {
                cursor->bad = true;
                cursor->left = 0;
                return NULL;
        }
        const uint8_t *bytes = cursor->bytes;
        cursor->bytes += length;
        cursor->left -= (size_t) length;
        return bytes;
}

static uint64_t take_number(Cursor *cursor, size_t n)
{
        const uint8_t *bytes = take(cursor, n);
        uint64_t value = 0;
        for (size_t i = 0; bytes && i < n; i++)
                value |= (uint64_t) bytes[i] << (8 * i);
        return value;
}

/* Up to its NUL, or to the end of the packet when there is none. The caller frees it. */
static char *take_string(Cursor *cursor)
{
        const uint8_t *end = cursor->left > 0 ? memchr(cursor->bytes, '\0', cursor->left) : NULL;
        size_t length = end ? (size_t) (end - cursor->bytes) : cursor->left;
        char *string = alloc_string_n((const char *) cursor->bytes, length);
        (void) take(cursor, end ? length + 1 : length);
        return string;
}

/* Writing: packets into the output. */

static void put_number(Text *text, uint64_t value, size_t n)
{
        char bytes[8];
        for (size_t i = 0; i < n; i++)
                bytes[i] = (char) (value >> (8 * i));
        text_add_n(text, bytes, n);
}

static void put_string(Text *text, const char *string)
{
        text_add_n(text, string, strlen(string) + 1);
}

static void put_packet(FeedWire *wire, const Text *payload)
{
        put_number(&wire->out, payload->length, 3);
        put_number(&wire->out, wire->sequence++, 1);
        text_add_n(&wire->out, payload->data, payload->length);
}

static void answer_ok(FeedWire *wire)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        put_number(&payload, 0, 3); /* mark, rows, last id */
        put_number(&payload, STATUS_AUTOCOMMIT, 2);
        put_number(&payload, 0, 2);
        put_packet(wire, &payload);
}

static void answer_error(FeedWire *wire, unsigned error, const char *state, const char *text)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        put_number(&payload, 0xff, 1);
        put_number(&payload, error, 2);
        text_add(&payload, "#");
        text_add(&payload, state);
        text_add(&payload, text);
        put_packet(wire, &payload);
}

static void answer_eof(FeedWire *wire)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        put_number(&payload, 0xfe, 1);
        put_number(&payload, 0, 2);
        put_number(&payload, STATUS_AUTOCOMMIT, 2);
        put_packet(wire, &payload);
}

/* All that we say is shorter than 251 bytes. */
static void put_counted(Text *text, const char *string)
{
        size_t length = strlen(string) < 250 ? strlen(string) : 250;
        put_number(text, length, 1);
        text_add_n(text, string, length);
}

static void put_column(FeedWire *wire, const char *name)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        put_counted(&payload, "def");
        for (int i = 0; i < 3; i++)
                put_counted(&payload, "");
        put_counted(&payload, name);
        put_counted(&payload, "");
        put_number(&payload, 12, 1); /* of what follows */
        put_number(&payload, CHARSET_UTF8, 2);
        put_number(&payload, 250, 4);
        put_number(&payload, 0xfd, 1); /* a string */
        put_number(&payload, 0, 2);
        put_number(&payload, 0, 1);
        put_number(&payload, 0, 2);
        put_packet(wire, &payload);
}

/* One row at most. A value that is NULL is SQL's. */
static void answer_rows(FeedWire *wire, const char *const *columns, const char *const *values, size_t n, bool any)
{
        __attribute__((cleanup(text_done_cleanup))) Text count = { 0 }, row = { 0 };
        put_number(&count, n, 1);
        put_packet(wire, &count);
        for (size_t i = 0; i < n; i++)
                put_column(wire, columns[i]);
        answer_eof(wire);
        for (size_t i = 0; any && i < n; i++)
                if (values[i])
                        put_counted(&row, values[i]);
                else
                        put_number(&row, 0xfb, 1);
        if (any)
                put_packet(wire, &row);
        answer_eof(wire);
}

static void answer_value(FeedWire *wire, const char *column, const char *value)
{
        answer_rows(wire, &column, &value, 1, true);
}

/* Rows as of SHOW VARIABLES; none when the value is NULL. */
static void answer_variable(FeedWire *wire, const char *name, const char *value)
{
        const char *const columns[] = { "Variable_name", "Value" };
        const char *const values[] = { name, value };
        answer_rows(wire, columns, values, 2, value);
}

/* Ends. */

static void end(FeedWire *wire, FailureKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void end(FeedWire *wire, FailureKind kind, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        failure_set(&wire->failure, kind, 0, "%s", text);
        wire->phase = FEEDWIRE_ENDED;
}

static void end_well(FeedWire *wire)
{
        wire->phase = FEEDWIRE_ENDED;
}

static char *printable(const char *text)
{
        char *copy = alloc_string_n(text, strnlen(text, 80));
        for (char *c = copy; *c; c++)
                if (!isprint((unsigned char) *c))
                        *c = '?';
        return copy;
}

void feedwire_refuse(FeedWire *wire, unsigned error, const char *text)
{
        if (wire->event_left == 0 && wire->phase != FEEDWIRE_ENDED)
                answer_error(wire, error, "HY000", text);
        if (wire->phase != FEEDWIRE_ENDED)
                end(wire, FAILURE_CANCELLED, "%s", text);
}

/* The login. */

static void digest(const Plugin *plugin, const void *a, size_t a_length, const void *b, size_t b_length, uint8_t *ret)
{
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        unsigned length;
        if (!context || EVP_DigestInit_ex(context, EVP_get_digestbyname(plugin->digest), NULL) != 1 ||
            EVP_DigestUpdate(context, a, a_length) != 1 || EVP_DigestUpdate(context, b, b_length) != 1 ||
            EVP_DigestFinal_ex(context, ret, &length) != 1)
                abort(); /* a libcrypto without SHA-1 or SHA-256, or no memory */
        EVP_MD_CTX_free(context);
}

/* native: SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))); caching_sha2 the same with SHA-256 and the scramble
 * behind. */
static void make_token(const FeedWire *wire, uint8_t ret[TOKEN_MAX])
{
        const Plugin *plugin = wire->plugin;
        uint8_t once[TOKEN_MAX], twice[TOKEN_MAX], mask[TOKEN_MAX];
        digest(plugin, wire->password, strlen(wire->password), "", 0, once);
        digest(plugin, once, plugin->length, "", 0, twice);
        if (plugin == &plugin_native)
                digest(plugin, wire->scramble, FEEDWIRE_SCRAMBLE, twice, plugin->length, mask);
        else
                digest(plugin, twice, plugin->length, wire->scramble, FEEDWIRE_SCRAMBLE, mask);
        for (size_t i = 0; i < plugin->length; i++)
                ret[i] = once[i] ^ mask[i];
        OPENSSL_cleanse(once, sizeof once);
        OPENSSL_cleanse(twice, sizeof twice);
}

static bool is_right(const FeedWire *wire, const char *user, const uint8_t *token, size_t length)
{
        uint8_t expected[TOKEN_MAX];
        make_token(wire, expected);
        bool right = length == wire->plugin->length && CRYPTO_memcmp(token, expected, length) == 0;
        OPENSSL_cleanse(expected, sizeof expected);
        return right && !text_is_empty(wire->password) && text_equal(user, wire->user);
}

static void judge_login(FeedWire *wire, const char *user, const uint8_t *token, size_t length)
{
        if (!is_right(wire, user, token, length)) {
                CLEANUP(mem_free) char *name = printable(user);
                CLEANUP(mem_free) char *text = text_format("Access denied for user '%s'", name);
                answer_error(wire, 1045, "28000", text);
                end(wire, FAILURE_INVALID, "a login as '%s' with a wrong name or password was refused", name);
                return;
        }
        if (wire->plugin == &plugin_caching) { /* "known to me": without this word it would send the password itself */
                __attribute__((cleanup(text_done_cleanup))) Text known = { 0 };
                put_number(&known, 0x0301, 2);
                put_packet(wire, &known);
        }
        answer_ok(wire);
        wire->phase = FEEDWIRE_ASKING;
}

static void switch_plugin(FeedWire *wire, char *user)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        put_number(&payload, 0xfe, 1);
        put_string(&payload, wire->plugin->name);
        text_add_n(&payload, (const char *) wire->scramble, FEEDWIRE_SCRAMBLE);
        put_number(&payload, 0, 1);
        put_packet(wire, &payload);
        wire->switched = true;
        wire->asking_user = user;
}

static void read_login(FeedWire *wire, Cursor packet)
{
        if (wire->switched) {
                judge_login(wire, wire->asking_user, packet.bytes, packet.left);
                return;
        }
        uint32_t capabilities = (uint32_t) take_number(&packet, 4) & CAPABILITIES;
        (void) take(&packet, 4 + 1 + 23);
        if (packet.bad || packet.left == 0 || !(capabilities & CAPABILITY_PROTOCOL_41)) {
                end(wire, FAILURE_PROTOCOL, "what connected speaks no protocol that is known");
                return;
        }
        CLEANUP(mem_free) char *user = take_string(&packet);
        size_t length = (size_t) take_number(&packet, 1);
        const uint8_t *token = take(&packet, length);
        CLEANUP(mem_free) char *name = capabilities & CAPABILITY_PLUGIN_AUTH ? take_string(&packet) : NULL;
        if (packet.bad) {
                end(wire, FAILURE_PROTOCOL, "what connected sent a login that is cut off");
                return;
        }
        const char *plugin = name ? name : plugin_native.name;
        if (text_equal(plugin, wire->plugin->name))
                judge_login(wire, user, token, length);
        else if (capabilities & CAPABILITY_PLUGIN_AUTH)
                switch_plugin(wire, TAKE(user));
        else
                judge_login(wire, user, NULL, 0);
}

static void greet(FeedWire *wire)
{
        __attribute__((cleanup(text_done_cleanup))) Text payload = { 0 };
        const char *scramble = (const char *) wire->scramble;
        put_number(&payload, 10, 1);
        put_string(&payload, wire->version_text);
        put_number(&payload, wire->thread_id, 4);
        text_add_n(&payload, scramble, 8);
        put_number(&payload, 0, 1);
        put_number(&payload, CAPABILITIES & 0xffff, 2);
        put_number(&payload, CHARSET_UTF8, 1);
        put_number(&payload, STATUS_AUTOCOMMIT, 2);
        put_number(&payload, CAPABILITIES >> 16, 2);
        put_number(&payload, FEEDWIRE_SCRAMBLE + 1, 1);
        put_number(&payload, 0, 8);
        put_number(&payload, 0, 2);
        text_add_n(&payload, scramble + 8, FEEDWIRE_SCRAMBLE - 8);
        put_number(&payload, 0, 1);
        put_string(&payload, wire->plugin->name);
        put_packet(wire, &payload);
}

/* Questions. */

typedef enum Answer {
        ANSWER_TIME,
        ANSWER_SERVER_ID,
        ANSWER_SERVER_ID_VARIABLE,
        ANSWER_UUID,
        ANSWER_UUID_VARIABLE,
        ANSWER_CHECKSUM,
        ANSWER_GTID_MODE,
        ANSWER_DOMAIN,
        ANSWER_NULL,
        ANSWER_VERSION,
        ANSWER_EMPTY, /* as SHOW VARIABLES for what is not there */
        ANSWER_SET,
        ANSWER_OK,
        ANSWER_UNKNOWN, /* variable */
        ANSWER_ERROR,
} Answer;

/* By its beginning, without white space and in capitals; the first that fits. */
static const struct {
        const char *question;
        Answer answer;
} questions[] = {
        { "SELECTUNIX_TIMESTAMP()", ANSWER_TIME },
        { "SHOWVARIABLESLIKE'SERVER_ID'", ANSWER_SERVER_ID_VARIABLE },
        { "SHOWVARIABLESLIKE'SERVER_UUID'", ANSWER_UUID_VARIABLE },
        { "SHOWVARIABLESLIKE", ANSWER_EMPTY },
        { "SHOWGLOBALVARIABLESLIKE", ANSWER_EMPTY },
        { "SELECT@@GLOBAL.SERVER_ID", ANSWER_SERVER_ID },
        { "SELECT@@GLOBAL.SERVER_UUID", ANSWER_UUID },
        { "SELECT@MASTER_BINLOG_CHECKSUM", ANSWER_CHECKSUM },
        { "SELECT@SOURCE_BINLOG_CHECKSUM", ANSWER_CHECKSUM },
        { "SELECT@@GLOBAL.GTID_MODE", ANSWER_GTID_MODE },
        { "SELECT@@GLOBAL.GTID_DOMAIN_ID", ANSWER_DOMAIN },
        { "SELECTBINLOG_GTID_POS(", ANSWER_NULL },
        { "SELECTVERSION()", ANSWER_VERSION },
        { "SET", ANSWER_SET },
        { "KILL", ANSWER_OK },
        { "SELECT", ANSWER_UNKNOWN },
        { "SHOW", ANSWER_UNKNOWN },
        { "", ANSWER_ERROR },
};

static Answer find_answer(const char *text)
{
        char squeezed[QUESTION_MAX + 1];
        size_t n = 0;
        for (const char *c = text; *c && n < QUESTION_MAX; c++)
                if (!isspace((unsigned char) *c))
                        squeezed[n++] = (char) toupper((unsigned char) *c);
        squeezed[n] = '\0';
        size_t i = 0;
        while (!text_starts_with(squeezed, questions[i].question))
                i++;
        return questions[i].answer;
}

/* What is given to a variable: behind its name, white space and "=". */
static const char *find_value(const char *text, const char *variable)
{
        const char *at = strcasestr(text, variable);
        if (!at)
                return NULL;
        at += strlen(variable);
        at += strspn(at, " \t\r\n");
        if (*at != '=')
                return NULL;
        at++;
        return at + strspn(at, " \t\r\n");
}

static void note_variables(FeedWire *wire, const char *text)
{
        const char *value = find_value(text, "_heartbeat_period");
        if (value)
                wire->request.heartbeat_usec = strtoull(value, NULL, 10) / 1000;
        value = find_value(text, "@slave_connect_state");
        if (value && *value == '\'') {
                free(wire->connect_state);
                wire->connect_state = alloc_string_n(value + 1, strcspn(value + 1, "'"));
        }
}

static void answer(FeedWire *wire, const char *text)
{
        char number[24];
        switch (find_answer(text)) {
        case ANSWER_TIME:
                snprintf(number, sizeof number, "%" PRIu64, wire->now);
                answer_value(wire, "UNIX_TIMESTAMP()", number);
                return;
        case ANSWER_SERVER_ID:
                snprintf(number, sizeof number, "%" PRIu32, wire->server_id);
                answer_value(wire, "@@GLOBAL.SERVER_ID", number);
                return;
        case ANSWER_SERVER_ID_VARIABLE:
                snprintf(number, sizeof number, "%" PRIu32, wire->server_id);
                answer_variable(wire, "server_id", number);
                return;
        case ANSWER_UUID:
                answer_value(wire, "@@GLOBAL.SERVER_UUID", wire->server_uuid);
                return;
        case ANSWER_UUID_VARIABLE:
                answer_variable(wire, "server_uuid", wire->server_uuid);
                return;
        case ANSWER_CHECKSUM:
                answer_value(wire, "binlog_checksum", wire->crc32 ? "CRC32" : "NONE");
                return;
        case ANSWER_GTID_MODE:
                answer_value(wire, "@@GLOBAL.GTID_MODE", wire->gtid_mode ? "ON" : "OFF");
                return;
        case ANSWER_DOMAIN:
                answer_value(wire, "@@GLOBAL.gtid_domain_id", "0");
                return;
        case ANSWER_NULL:
                answer_value(wire, "binlog_gtid_pos", NULL);
                return;
        case ANSWER_VERSION:
                answer_value(wire, "VERSION()", wire->version_text);
                return;
        case ANSWER_EMPTY:
                answer_variable(wire, "", NULL);
                return;
        case ANSWER_SET:
                note_variables(wire, text);
                answer_ok(wire);
                return;
        case ANSWER_OK:
                answer_ok(wire);
                return;
        case ANSWER_UNKNOWN:
                answer_error(wire, 1193, "HY000", "Unknown system variable");
                return;
        case ANSWER_ERROR:
                answer_error(wire, 1064, "42000", "Only what a replica asks is answered here");
                return;
        }
}

/* Dumps. */

static bool is_mariadb(const FeedWire *wire)
{
        return wire->version.flavour == FLAVOUR_MARIADB;
}

static void take_file(FeedWire *wire, Cursor *packet, size_t length)
{
        const uint8_t *name = take(packet, length);
        if (!name || length >= POSITION_FILE_MAX)
                return;
        memcpy(wire->request.from.file, name, length);
        wire->request.from.file[length] = '\0';
}

static void begin_dump(FeedWire *wire)
{
        text_done(&wire->in);
        wire->phase = FEEDWIRE_DUMPING;
}

static void read_dump(FeedWire *wire, Cursor packet)
{
        FeedWireRequest *request = &wire->request;
        request->from.offset = take_number(&packet, 4);
        unsigned flags = (unsigned) take_number(&packet, 2);
        request->server_id = (uint32_t) take_number(&packet, 4);
        take_file(wire, &packet, packet.left);
        if (packet.bad) {
                end(wire, FAILURE_PROTOCOL, "the request for the log is cut off");
                return;
        }
        request->annotate = is_mariadb(wire) && flags & DUMP_FLAG_ANNOTATE;
        request->heartbeat_v2 = !is_mariadb(wire) && flags & DUMP_FLAG_HEARTBEAT_V2;
        if (is_mariadb(wire) && wire->connect_state) {
                if (gtid_parse(GTID_FAMILY_MARIADB, wire->connect_state, &request->set, &wire->failure) < 0) {
                        feedwire_refuse(wire, 1236, "The replica's position is no GTID position");
                        return;
                }
                request->gtid = true;
        }
        begin_dump(wire);
}

static void read_dump_gtid(FeedWire *wire, Cursor packet)
{
        FeedWireRequest *request = &wire->request;
        unsigned flags = (unsigned) take_number(&packet, 2);
        request->server_id = (uint32_t) take_number(&packet, 4);
        take_file(wire, &packet, (size_t) take_number(&packet, 4));
        request->from.offset = take_number(&packet, 8);
        uint64_t length = take_number(&packet, 4);
        const uint8_t *set = take(&packet, length);
        if (packet.bad) {
                end(wire, FAILURE_PROTOCOL, "the request for the log is cut off");
                return;
        }
        if (feedwire_decode_set(set, (size_t) length, &request->set, &wire->failure) < 0) {
                feedwire_refuse(wire, 1236, "The replica's set of GTIDs is malformed");
                return;
        }
        request->gtid = true;
        request->heartbeat_v2 = flags & DUMP_FLAG_HEARTBEAT_V2;
        begin_dump(wire);
}

static bool take_intervals(Cursor *cursor, const char *name, Text *text)
{
        for (uint64_t n = take_number(cursor, 8); n > 0 && !cursor->bad; n--) {
                uint64_t first = take_number(cursor, 8), behind = take_number(cursor, 8);
                if (cursor->bad || first == 0 || behind <= first || behind > (uint64_t) INT64_MAX + 1)
                        return false;
                text_separate(text, ",");
                text_addf(text, "%s:%" PRIu64 "-%" PRIu64, name, first, behind - 1);
        }
        return !cursor->bad;
}

static bool take_name(Cursor *cursor, bool tagged, char *ret, size_t size)
{
        const uint8_t *uuid = take(cursor, 16);
        size_t at = 0;
        for (size_t i = 0; uuid && i < 16; i++)
                at += (size_t) snprintf(ret + at, size - at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                        uuid[i]);
        size_t length = tagged ? (size_t) take_number(cursor, 1) : 0;
        if (length % 2 != 0 || length / 2 > 32)
                return false;
        const uint8_t *tag = take(cursor, length / 2); /* the length as a number of variable size: of one byte */
        for (size_t i = 0; tag && i < length / 2; i++)
                if (!isalnum(tag[i]) && tag[i] != '_')
                        return false;
        if (cursor->bad)
                return false;
        if (length > 0)
                snprintf(ret + at, size - at, ":%.*s", (int) (length / 2), (const char *) tag);
        return true;
}

int feedwire_decode_set(const void *bytes, size_t length, GtidSet **ret, Failure *reterr)
{
        Cursor cursor = { .bytes = bytes, .left = length };
        __attribute__((cleanup(text_done_cleanup))) Text text = { 0 };
        uint64_t count = take_number(&cursor, 8);
        unsigned format = (unsigned) (count >> 56);
        count = format == 1 ? count << 8 >> 16 : count;
        bool good = format <= 1 && !cursor.bad;
        char name[80];
        for (; good && count > 0; count--)
                good = take_name(&cursor, format == 1, name, sizeof name) && take_intervals(&cursor, name, &text);
        if (!good || cursor.left > 0)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "a set of GTIDs is malformed");
        if (gtid_parse(GTID_FAMILY_MYSQL, text.data, ret, reterr) < 0)
                return failure_set(reterr, FAILURE_PROTOCOL, 0, "a set of GTIDs is malformed");
        return 0;
}

/* Packets. */

static void read_command(FeedWire *wire, Cursor packet)
{
        CLEANUP(mem_free) char *text = NULL;
        switch (take_number(&packet, 1)) {
        case COMMAND_QUIT:
                end_well(wire);
                return;
        case COMMAND_QUERY:
                text = take_string(&packet);
                answer(wire, text);
                return;
        case COMMAND_PROCESS_KILL:
        case COMMAND_PING:
        case COMMAND_REGISTER:
                answer_ok(wire);
                return;
        case COMMAND_BINLOG_DUMP:
                read_dump(wire, packet);
                return;
        case COMMAND_BINLOG_DUMP_GTID:
                read_dump_gtid(wire, packet);
                return;
        default:
                answer_error(wire, 1047, "08S01", "Unknown command");
        }
}

/* While dumping there is only one thing worth to be understood: that it ends. */
static size_t ignore(FeedWire *wire, const uint8_t *bytes, size_t length)
{
        if (wire->to_ignore > 0) {
                size_t n = length < wire->to_ignore ? length : wire->to_ignore;
                wire->to_ignore -= n;
                return n;
        }
        text_add_n(&wire->in, (const char *) bytes, 1);
        if (wire->in.length < HEADER)
                return 1;
        Cursor header = { .bytes = (const uint8_t *) wire->in.data, .left = wire->in.length };
        size_t payload = (size_t) take_number(&header, 3);
        if (wire->in.length == HEADER && payload == 1)
                return 1; /* its one byte says what it is */
        if (wire->in.length > HEADER && wire->in.data[HEADER] == COMMAND_QUIT)
                end_well(wire);
        wire->to_ignore = wire->in.length > HEADER ? 0 : payload;
        wire->in.length = 0;
        return 1;
}

/* Bytes up to the end of the packet at most; the packet is read when it is complete. */
static size_t gather(FeedWire *wire, const uint8_t *bytes, size_t length)
{
        size_t wanted = HEADER, payload = 0;
        if (wire->in.length >= HEADER) {
                Cursor header = { .bytes = (const uint8_t *) wire->in.data, .left = HEADER };
                payload = (size_t) take_number(&header, 3);
                wanted += payload;
        }
        size_t n = wanted - wire->in.length;
        if (n > length)
                n = length;
        text_add_n(&wire->in, (const char *) bytes, n);
        if (wire->in.length < HEADER || wire->in.length < wanted)
                return n;
        Cursor packet = { .bytes = (const uint8_t *) wire->in.data, .left = wire->in.length };
        payload = (size_t) take_number(&packet, 3);
        uint8_t sequence = (uint8_t) take_number(&packet, 1);
        if (payload == 0 || payload > (wire->phase == FEEDWIRE_LOGIN ? LOGIN_LIMIT : INPUT_LIMIT))
                end(wire, FAILURE_PROTOCOL, "what connected sent a packet of %zu bytes, which no replica does",
                    payload);
        else if (packet.left == payload) {
                Text owned = wire->in;
                wire->in = (Text){ 0 };
                wire->sequence = (uint8_t) (sequence + 1);
                if (wire->phase == FEEDWIRE_LOGIN)
                        read_login(wire, packet);
                else
                        read_command(wire, packet);
                text_done(&owned);
        }
        return n;
}

FeedWirePhase feedwire_receive(FeedWire *wire, const void *bytes, size_t length)
{
        const uint8_t *at = bytes;
        while (length > 0 && wire->phase != FEEDWIRE_ENDED) {
                size_t n = wire->phase == FEEDWIRE_DUMPING ? ignore(wire, at, length) : gather(wire, at, length);
                at += n;
                length -= n;
        }
        return wire->phase;
}

/* Events. */

static void begin_packet(FeedWire *wire)
{
        wire->packet_left = wire->event_left < PACKET_MAX ? (size_t) wire->event_left : PACKET_MAX;
        wire->packet_is_longest = wire->packet_left == PACKET_MAX;
        put_number(&wire->out, wire->packet_left, 3);
        put_number(&wire->out, wire->sequence++, 1);
}

void feedwire_begin_event(FeedWire *wire, uint64_t length)
{
        if (wire->phase != FEEDWIRE_DUMPING)
                return;
        wire->event_left = length + 1;
        begin_packet(wire);
        feedwire_add(wire, "", 1);
}

void feedwire_add(FeedWire *wire, const void *bytes, size_t length)
{
        const char *at = bytes;
        if (length > wire->event_left)
                length = (size_t) wire->event_left;
        while (length > 0) {
                size_t n = length < wire->packet_left ? length : wire->packet_left;
                text_add_n(&wire->out, at, n);
                at += n;
                length -= n;
                wire->packet_left -= n;
                wire->event_left -= n;
                if (wire->packet_left == 0 && wire->packet_is_longest)
                        begin_packet(wire);
        }
}

/* The object. */

/* The bytes must be no NUL, or they would end where they are taken for a string. */
static void set_scramble(FeedWire *wire, const uint8_t *bytes)
{
        for (size_t i = 0; i < FEEDWIRE_SCRAMBLE; i++)
                wire->scramble[i] = (uint8_t) (bytes[i] % 94 + 33);
}

FeedWire *feedwire_new(const FeedWireParams *params)
{
        FeedWire *wire = ALLOC(FeedWire);
        *wire = (FeedWire){
                .version_text = alloc_string_n(params->version, strnlen(params->version, 60)),
                .user = alloc_string(params->user),
                .password = alloc_string(params->password),
                .server_uuid = alloc_string(params->server_uuid ? params->server_uuid : ""),
                .thread_id = params->thread_id,
                .server_id = params->server_id,
                .gtid_mode = params->gtid_mode,
                .crc32 = params->crc32,
                .now = params->now,
        };
        set_scramble(wire, params->scramble);
        if (version_parse(params->version, &wire->version, NULL) < 0)
                wire->version = (Version){ .flavour = FLAVOUR_MYSQL };
        bool caching = !is_mariadb(wire) && version_at_least(&wire->version, 8, 0, 0);
        wire->plugin = caching ? &plugin_caching : &plugin_native;
        greet(wire);
        return wire;
}

FeedWire *feedwire_free(FeedWire *wire)
{
        if (!wire)
                return NULL;
        text_wipe(wire->password);
        free(wire->version_text);
        free(wire->user);
        free(wire->server_uuid);
        free(wire->asking_user);
        free(wire->connect_state);
        gtid_free(wire->request.set);
        text_done(&wire->in);
        text_done(&wire->out);
        free(wire);
        return NULL;
}

FeedWirePhase feedwire_phase(const FeedWire *wire)
{
        return wire->phase;
}

const Failure *feedwire_failure(const FeedWire *wire)
{
        return &wire->failure;
}

const FeedWireRequest *feedwire_request(const FeedWire *wire)
{
        return &wire->request;
}

const uint8_t *feedwire_output(const FeedWire *wire, size_t *ret_length)
{
        *ret_length = wire->out.length - wire->out_sent;
        return (const uint8_t *) wire->out.data + wire->out_sent;
}

void feedwire_sent(FeedWire *wire, size_t length)
{
        wire->out_sent += length;
        size_t left = wire->out.length - wire->out_sent;
        if (left > 0 && wire->out_sent < wire->out.length / 2)
                return;
        if (left > 0)
                memmove(wire->out.data, wire->out.data + wire->out_sent, left);
        wire->out.length = left;
        wire->out_sent = 0;
}
