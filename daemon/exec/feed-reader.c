/* Reads a store for one replica. Owns a window of one file and the helper thread that fills it when its bytes are not in
 * memory; must never hold more than the window, nor wait for a disk. (Format descriptions, a few hundred bytes at the
 * head of files that are about to be read, are read at once.) */
#include "feed-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "alloc.h"
#include "relaylog.h"
#include "text.h"
#include "worker.h"

#define WINDOW ((size_t) 256 * 1024)
#define PART_MAX ((size_t) 64 * 1024) /* of an event at a time */

typedef struct FeedStorePiece {
        char *file, *path;
        uint64_t offset, from, to;
        uint32_t relay_server_id; /* 0: the primary's own log */
        uint8_t *format;          /* of the file, when the caller knows it */
        size_t format_length;
        uint64_t behind; /* bytes in all pieces after this one */
} Piece;

/* Bytes of a file: in the hands of a thread or of the loop, never of both. */
typedef struct Window {
        int fd;
        uint64_t offset; /* of the first byte */
        size_t length;
        bool sure; /* what was read to the end, not only what was in memory: less than asked for is the file's end */
        int error; /* errno */
        uint8_t *bytes;
} Window;

struct FeedReader {
        Loop *loop;
        const FeedStore *store;
        const FeedWireRequest *request;
        loop_fn ready;
        void *userdata;

        size_t i;       /* piece */
        uint64_t at;    /* in the primary's file: where the next event begins */
        uint64_t where; /* the same in the piece's path */
        size_t open;    /* which piece the window's file belongs to; SIZE_MAX: none */
        Window *window; /* NULL while a thread has it */
        Worker *worker;
        Window *lent;

        Stream *stream;
        RelayLog *relay;      /* of a piece that is in a relay log */
        BinlogFormat format;  /* of the bytes that are read */
        BinlogFormat primary; /* of the primary's file that is sent */
        char primary_file[POSITION_FILE_MAX];
        bool checked;   /* that nothing is missing before the first file */
        uint64_t left;  /* of the event that is being sent */
        uint64_t place; /* behind it, in the primary's file */

        Position first, reached;
        uint64_t sent;
        unsigned n_holes;
};

/* The store. */

static bool has_head(const Piece *piece)
{
        return piece->relay_server_id == 0 && piece->from <= BINLOG_MAGIC_LENGTH && piece->to > BINLOG_MAGIC_LENGTH;
}

static int read_head(const Piece *piece, uint64_t offset, BinlogFormat *ret, Failure *reterr)
{
        uint8_t bytes[BINLOG_FORMAT_MAX];
        int fd = open(piece->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot open %s", piece->path);
        ssize_t n = pread(fd, bytes, sizeof bytes, (off_t) offset);
        int error = errno;
        close(fd);
        if (n < 0)
                return failure_errno(reterr, error, "cannot read %s", piece->path);
        BinlogHeader header = { 0 };
        if (n >= BINLOG_HEADER_LENGTH)
                header = binlog_header(bytes);
        if (header.type != BINLOG_TYPE_FORMAT || header.length > (size_t) n)
                return failure_set(reterr, FAILURE_INVALID, 0, "%s has no format description", piece->path);
        return binlog_read_format(bytes, header.length, ret, reterr);
}

static int read_format(const Piece *piece, BinlogFormat *ret, Failure *reterr)
{
        if (piece->format)
                return binlog_read_format(piece->format, piece->format_length, ret, reterr);
        return read_head(piece, piece->offset + BINLOG_MAGIC_LENGTH - piece->from, ret, reterr);
}

/* A piece that tells the file's own format, or else the nearest before it, or else any: all are of one server. */
static const Piece *find_format(const FeedStore *store, const char *file)
{
        const Piece *found = NULL, *any = NULL;
        bool passed = false;
        for (size_t i = 0; i < store->n_pieces; i++) {
                const Piece *piece = &store->pieces[i];
                bool same = text_equal(piece->file, file);
                if (!has_head(piece) && !piece->format)
                        continue;
                if (same)
                        return piece;
                Position a = { 0 }, b = { 0 };
                snprintf(a.file, sizeof a.file, "%s", piece->file);
                snprintf(b.file, sizeof b.file, "%s", file);
                passed = passed || position_compare(&a, &b) > 0;
                if (!passed)
                        found = piece;
                any = piece;
        }
        return found ? found : any;
}

static void add_piece(FeedStore *store, const FeedPiece *piece)
{
        Position begin = { .offset = piece->from };
        uint64_t to = piece->to;
        snprintf(begin.file, sizeof begin.file, "%s", piece->file);
        if (text_equal(piece->file, store->end.file) && to > store->end.offset)
                to = store->end.offset;
        else if (position_comparable(&begin, &store->end) && position_compare(&begin, &store->end) > 0)
                return;
        if (to <= piece->from)
                return;
        Piece *added = &store->pieces[store->n_pieces++];
        *added = (Piece){
                .file = alloc_string(begin.file),
                .path = alloc_string(piece->path),
                .offset = piece->offset,
                .from = piece->from,
                .to = to,
                .relay_server_id = piece->relay_server_id,
                .format_length = piece->format_length,
        };
        if (piece->format_length > 0) {
                added->format = alloc_zero(1, piece->format_length);
                memcpy(added->format, piece->format, piece->format_length);
        }
}

void feed_store_init(FeedStore *store, const FeedParams *params)
{
        Version version;
        bool mariadb = version_parse(params->version, &version, NULL) == 0 && version.flavour == FLAVOUR_MARIADB;
        *store = (FeedStore){ .end = params->end, .family = mariadb ? GTID_FAMILY_MARIADB : GTID_FAMILY_MYSQL };
        store->pieces = ALLOC_ARRAY(Piece, params->n_pieces + 1);
        for (size_t i = 0; i < params->n_pieces; i++)
                add_piece(store, &params->pieces[i]);
        uint64_t behind = 0;
        for (size_t i = store->n_pieces; i > 0; i--) {
                store->pieces[i - 1].behind = behind;
                behind += store->pieces[i - 1].to - store->pieces[i - 1].from;
        }
}

void feed_store_done(FeedStore *store)
{
        for (size_t i = 0; i < store->n_pieces; i++) {
                free(store->pieces[i].file);
                free(store->pieces[i].path);
                free(store->pieces[i].format);
        }
        free(store->pieces);
        *store = (FeedStore){ 0 };
}

bool feed_store_has_checksums(const FeedStore *store, const char *file)
{
        BinlogFormat format;
        if (store->n_pieces == 0)
                return true;
        const Piece *piece = find_format(store, file ? file : store->pieces[0].file);
        int r = piece ? read_format(piece, &format, NULL)
                      : read_head(&store->pieces[0], BINLOG_MAGIC_LENGTH, &format, NULL);
        return r < 0 || format.checksum;
}

/* The window. */

static Window *window_free(Window *window)
{
        if (!window)
                return NULL;
        if (window->fd >= 0)
                close(window->fd);
        free(window->bytes);
        free(window);
        return NULL;
}

static void window_drop(void *data)
{
        window_free(data);
}

static void work_read(void *data)
{
        Window *window = data;
        ssize_t n = pread(window->fd, window->bytes, WINDOW, (off_t) window->offset);
        window->error = n < 0 ? errno : 0;
        window->length = n < 0 ? 0 : (size_t) n;
        window->sure = true;
}

static void on_read(void *userdata)
{
        FeedReader *reader = userdata;
        reader->worker = worker_release(reader->worker, NULL);
        reader->window = TAKE(reader->lent);
        reader->ready(reader->userdata);
}

static FeedStep cannot_read(const Piece *piece, int error, Failure *reterr)
{
        failure_errno(reterr, error, "cannot read %s", piece->path);
        return FEED_STEP_BAD;
}

static bool window_has(const Window *window, uint64_t offset, size_t n)
{
        return offset >= window->offset && offset - window->offset <= window->length &&
               window->length - (size_t) (offset - window->offset) >= n;
}

/* Only what is in memory already; nothing when that cannot be told. */
static void window_glance(Window *window, uint64_t offset)
{
        struct iovec vector = { .iov_base = window->bytes, .iov_len = WINDOW };
        ssize_t n = preadv2(window->fd, &vector, 1, (off_t) offset, RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) /* a file system in memory, or an old kernel */
                n = pread(window->fd, window->bytes, WINDOW, (off_t) offset);
        window->offset = offset;
        window->length = n < 0 ? 0 : (size_t) n;
        window->sure = false;
}

static FeedStep window_wait(FeedReader *reader, const Piece *piece, Failure *reterr)
{
        reader->worker = worker_start(reader->loop, work_read, reader->window, on_read, reader);
        if (!reader->worker)
                return cannot_read(piece, errno, reterr);
        reader->lent = TAKE(reader->window);
        return FEED_STEP_WAIT;
}

static FeedStep open_piece(FeedReader *reader, const Piece *piece, Failure *reterr)
{
        if (reader->open == reader->i)
                return FEED_STEP_ON;
        Window *window = reader->window;
        if (window->fd >= 0)
                close(window->fd);
        window->length = 0;
        window->sure = false;
        window->fd = open(piece->path, O_RDONLY | O_CLOEXEC);
        if (window->fd < 0)
                return cannot_read(piece, errno, reterr);
        (void) posix_fadvise(window->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        reader->open = reader->i;
        return FEED_STEP_ON;
}

/* At least n bytes (no more than the window holds) at the place of the reader. */
static FeedStep look(FeedReader *reader, size_t n, const uint8_t **ret, size_t *ret_length, Failure *reterr)
{
        if (!reader->window)
                return FEED_STEP_WAIT;
        const Piece *piece = &reader->store->pieces[reader->i];
        FeedStep step = open_piece(reader, piece, reterr);
        if (step != FEED_STEP_ON)
                return step;
        Window *window = reader->window;
        uint64_t offset = reader->where;
        if (!window_has(window, offset, n) && !(window->offset == offset && window->sure))
                window_glance(window, offset);
        if (window->error)
                return cannot_read(piece, window->error, reterr);
        if (!window_has(window, offset, n)) {
                if (!window->sure)
                        return window_wait(reader, piece, reterr);
                failure_set(reterr, FAILURE_INVALID, 0, "%s ends before its time", piece->path);
                return FEED_STEP_BAD;
        }
        *ret = window->bytes + (offset - window->offset);
        *ret_length = window->length - (size_t) (offset - window->offset);
        return FEED_STEP_ON;
}

/* What is sent that is in no file as it is sent. */

static void emit(FeedReader *reader, FeedWire *out, const Text *event)
{
        feedwire_begin_event(out, event->length);
        feedwire_add(out, event->data, event->length);
        reader->sent += event->length;
}

static void emit_rotate(FeedReader *reader, FeedWire *out, const Position *to)
{
        __attribute__((cleanup(text_done_cleanup))) Text event = { 0 };
        stream_add_rotate(&event, reader->primary.server_id, to, reader->primary.checksum);
        emit(reader, out, &event);
}

static int emit_format(FeedReader *reader, FeedWire *out, bool in_file, Failure *reterr)
{
        __attribute__((cleanup(text_done_cleanup))) Text event = { 0 };
        int r = stream_add_format(&event, reader->primary.bytes, reader->primary.length, in_file, reterr);
        if (r == 0)
                emit(reader, out, &event);
        return r;
}

/* The first version of a heartbeat has 32 bits for the position: beyond them there is none. */
void feed_reader_heartbeat(FeedReader *reader, FeedWire *out)
{
        __attribute__((cleanup(text_done_cleanup))) Text event = { 0 };
        const Position *at = stream_position(reader->stream);
        bool v2 = reader->request->heartbeat_v2;
        if (!stream_is_known(reader->stream) || (!v2 && at->offset > UINT32_MAX))
                return;
        stream_add_heartbeat(&event, v2, reader->primary.server_id, at, reader->primary.checksum);
        emit(reader, out, &event);
}

static int load_primary(FeedReader *reader, const char *file, Failure *reterr)
{
        if (text_equal(reader->primary_file, file))
                return 0;
        const Piece *piece = find_format(reader->store, file);
        if (!piece && reader->primary.length > 0)
                return 0;
        if (!piece)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "no format description of %s, nor of another file, is at hand", file);
        int r = read_format(piece, &reader->primary, reterr);
        if (r == 0)
                snprintf(reader->primary_file, sizeof reader->primary_file, "%s", file);
        return r;
}

/* Tells the replica where it is now, because it could not know. */
static int announce(FeedReader *reader, FeedWire *out, const Position *at, Failure *reterr)
{
        int r = load_primary(reader, at->file, reterr);
        if (r < 0)
                return r;
        emit_rotate(reader, out, at);
        return emit_format(reader, out, false, reterr);
}

/* Who asks by GTID gets a transaction anew of which it had the beginning: the format description from the head of a file
 * tells MySQL's parallel appliers to forget that. Without it they die of the second beginning. */
static int begin_file(FeedReader *reader, FeedWire *out, const Position *at, Failure *reterr)
{
        Position head = { .offset = BINLOG_MAGIC_LENGTH };
        memcpy(head.file, at->file, sizeof head.file);
        int r = load_primary(reader, at->file, reterr);
        if (r < 0)
                return r;
        emit_rotate(reader, out, &head);
        return emit_format(reader, out, true, reterr);
}

int feed_reader_level(FeedReader *reader, FeedWire *out, Failure *reterr)
{
        if (!stream_is_known(reader->stream)) {
                int r = announce(reader, out, stream_position(reader->stream), reterr);
                if (r < 0)
                        return r;
                stream_announced(reader->stream);
        }
        reader->reached = *stream_position(reader->stream);
        feed_reader_heartbeat(reader, out);
        return 0;
}

/* Going on. */

static FeedStep bad(const FeedReader *reader, const char *what, Failure *reterr)
{
        failure_set(reterr, FAILURE_INVALID, 0, "%s:%" PRIu64 ": %s", reader->store->pieces[reader->i].file, reader->at,
                    what);
        return FEED_STEP_BAD;
}

/* Where a piece is entered: at its beginning, or at a position within. */
static int enter_piece(FeedReader *reader, uint64_t at, Failure *reterr)
{
        const Piece *piece = &reader->store->pieces[reader->i];
        reader->relay = relaylog_free(reader->relay);
        reader->at = at;
        reader->where = piece->offset + (piece->relay_server_id ? 0 : at - piece->from);
        int r = load_primary(reader, piece->file, piece->relay_server_id ? NULL : reterr);
        if (piece->relay_server_id == 0) {
                reader->format = reader->primary;
                return r;
        }
        /* A relay log brings it along, behind its own. */
        if (r < 0)
                r = read_head(piece, BINLOG_MAGIC_LENGTH, &reader->format, reterr);
        else
                reader->format = reader->primary;
        if (r < 0)
                return r;
        Position start = { .offset = piece->from };
        snprintf(start.file, sizeof start.file, "%s", piece->file);
        reader->relay = relaylog_new(piece->relay_server_id, &start);
        return 0;
}

static FeedStep next_piece(FeedReader *reader, Failure *reterr)
{
        const Piece *last = &reader->store->pieces[reader->i];
        if (reader->i + 1 >= reader->store->n_pieces)
                return FEED_STEP_END;
        const Piece *next = &reader->store->pieces[++reader->i];
        const Position *known = stream_position(reader->stream);
        bool rotated = !text_equal(known->file, last->file);
        bool hole = text_equal(last->file, next->file)
                            ? next->from != last->to
                            : next->from > BINLOG_MAGIC_LENGTH || (rotated && !text_equal(known->file, next->file));
        reader->n_holes += hole;
        return enter_piece(reader, next->from, reterr) < 0 ? FEED_STEP_BAD : FEED_STEP_ON;
}

static FeedStep check_magic(FeedReader *reader, Failure *reterr)
{
        const uint8_t *bytes;
        size_t length;
        FeedStep step = look(reader, BINLOG_MAGIC_LENGTH, &bytes, &length, reterr);
        if (step != FEED_STEP_ON)
                return step;
        Failure failure;
        if (binlog_check_magic(bytes, &failure) < 0)
                return bad(reader, failure.text, reterr);
        reader->at += BINLOG_MAGIC_LENGTH;
        reader->where += BINLOG_MAGIC_LENGTH;
        return FEED_STEP_ON;
}

/* What was there before the first file must be with the replica already. */
static FeedStep check_beginning(FeedReader *reader, const BinlogEvent *event, Failure *reterr)
{
        const GtidSet *has = reader->request->set;
        bool list = event->header.type == BINLOG_TYPE_PREVIOUS_GTIDS || event->header.type == BINLOG_TYPE_GTID_LIST;
        if (!reader->request->gtid || reader->checked)
                return FEED_STEP_ON;
        reader->checked = list || binlog_part(event->header.type) == BINLOG_PART_GTID;
        if (!list || event->kept < event->header.length)
                return FEED_STEP_ON;
        CLEANUP(gtid_free) GtidSet *before = NULL;
        if (binlog_read_gtid_set(event, &before, reterr) < 0)
                return FEED_STEP_BAD;
        if (gtid_is_empty(before) || gtid_contains(has, before))
                return FEED_STEP_ON;
        CLEANUP(gtid_free) GtidSet *missing = gtid_subtract(before, has);
        CLEANUP(mem_free) char *text = gtid_describe(missing);
        failure_set(reterr, FAILURE_INVALID, 0, "the replica lacks %.250s, which is older than all that is at hand",
                    text);
        return FEED_STEP_BAD;
}

static BinlogEvent make_event(const FeedReader *reader, const BinlogHeader *header, const uint8_t *bytes, size_t kept)
{
        size_t around = BINLOG_HEADER_LENGTH + (reader->format.checksum ? BINLOG_CHECKSUM_LENGTH : 0);
        return (BinlogEvent){
                .header = *header,
                .offset = reader->where,
                .bytes = bytes,
                .kept = kept,
                .body_length = header->length > around ? header->length - around : 0,
                .format = &reader->format,
        };
}

static FeedStep pass(FeedReader *reader, const BinlogHeader *header, uint64_t place)
{
        reader->where += header->length;
        reader->at = place;
        return FEED_STEP_ON;
}

static void set_primary(FeedReader *reader, const Piece *piece)
{
        reader->primary = reader->format;
        snprintf(reader->primary_file, sizeof reader->primary_file, "%s", piece->file);
}

static int take_format(FeedReader *reader, const BinlogEvent *event, Failure *reterr)
{
        int r = binlog_read_format(event->bytes, event->header.length, &reader->format, reterr);
        if (r == 0 && !reader->relay)
                set_primary(reader, &reader->store->pieces[reader->i]);
        return r;
}

/* Since MariaDB 11.4 the events within a transaction do not say where they end (binlog_legacy_event_pos). In the primary's
 * own file that is no riddle: one stands behind the other. */
static bool need_not_say_its_end(const BinlogEvent *event)
{
        return event->format->flavour == FLAVOUR_MARIADB && binlog_part(event->header.type) != BINLOG_PART_FRAME;
}

/* Which place of the primary's log the event has: 1, 0 when none that is wanted, -1 when something is wrong. */
static int find_place(FeedReader *reader, const BinlogEvent *event, Position *ret_start, uint64_t *ret_end,
                      Failure *reterr)
{
        const Piece *piece = &reader->store->pieces[reader->i];
        *ret_start = (Position){ .offset = reader->at };
        snprintf(ret_start->file, sizeof ret_start->file, "%s", piece->file);
        *ret_end = reader->at + event->header.length;
        if (!reader->relay) {
                if ((uint32_t) *ret_end == event->header.end || (event->header.end == 0 && need_not_say_its_end(event)))
                        return 1;
                (void) bad(reader, "no event begins there", reterr);
                return -1;
        }
        RelayEvent relayed;
        if (relaylog_step(reader->relay, event, &relayed, reterr) < 0)
                return -1;
        if (relayed.format)
                set_primary(reader, piece);
        if (relayed.kind != RELAY_EVENT || !text_equal(relayed.start.file, piece->file) || relayed.end <= reader->at)
                return 0;
        bool moved = relayed.rewritten || relayed.guessed || relayed.corrected; /* then its end is all that counts */
        if (relayed.start.offset != reader->at && !moved) {
                (void) bad(reader, "no event begins there", reterr);
                return -1;
        }
        *ret_end = relayed.end;
        return 1;
}

static FeedStep send_event(FeedReader *reader, FeedWire *out, const BinlogEvent *event, const Position *start,
                           uint64_t end, Failure *reterr)
{
        StreamDecision decision;
        if (stream_decide(reader->stream, event, start, end, &decision, reterr) < 0)
                return FEED_STEP_BAD;
        bool unwanted = event->header.type == BINLOG_TYPE_ANNOTATE_ROWS && !reader->request->annotate;
        if (decision.action == STREAM_DROP || unwanted) {
                reader->reached = *stream_position(reader->stream);
                return pass(reader, &event->header, end);
        }
        bool format = decision.action == STREAM_SEND_FORMAT;
        if (!position_is_set(&reader->first)) {
                reader->first = *start;
                if (reader->request->gtid && !format && begin_file(reader, out, start, reterr) < 0)
                        return FEED_STEP_BAD;
        }
        if (decision.announce && format)
                emit_rotate(reader, out, start);
        else if (decision.announce && announce(reader, out, start, reterr) < 0)
                return FEED_STEP_BAD;
        if (format) {
                if (emit_format(reader, out, true, reterr) < 0)
                        return FEED_STEP_BAD;
                reader->reached = *stream_position(reader->stream);
                return pass(reader, &event->header, end);
        }
        feedwire_begin_event(out, event->header.length);
        reader->left = event->header.length;
        reader->place = end;
        return FEED_STEP_ON;
}

static size_t wanted_bytes(const BinlogHeader *header)
{
        uint32_t needed = binlog_bytes_needed(header->type);
        size_t n = header->length < needed ? header->length : needed;
        return n < WINDOW ? n : WINDOW;
}

static FeedStep take_event(FeedReader *reader, FeedWire *out, Failure *reterr)
{
        const Piece *piece = &reader->store->pieces[reader->i];
        const uint8_t *bytes;
        size_t length;
        FeedStep step = look(reader, BINLOG_HEADER_LENGTH, &bytes, &length, reterr);
        if (step != FEED_STEP_ON)
                return step;
        BinlogHeader header = binlog_header(bytes);
        if (header.length < BINLOG_HEADER_LENGTH)
                return bad(reader, "no event begins there", reterr);
        size_t wanted = wanted_bytes(&header);
        step = look(reader, wanted, &bytes, &length, reterr);
        if (step != FEED_STEP_ON)
                return step;
        BinlogEvent event = make_event(reader, &header, bytes, wanted);
        if (header.type == BINLOG_TYPE_START_ENCRYPTION)
                return bad(reader, "the log is encrypted from there on", reterr);
        if (header.type == BINLOG_TYPE_FORMAT && take_format(reader, &event, reterr) < 0)
                return FEED_STEP_BAD;
        Position start;
        uint64_t end;
        int r = find_place(reader, &event, &start, &end, reterr);
        if (r < 0)
                return FEED_STEP_BAD;
        if (r == 0)
                return pass(reader, &header, reader->at);
        if (end > piece->to)
                return bad(reader, "the event there goes beyond what may be sent", reterr);
        step = check_beginning(reader, &event, reterr);
        return step == FEED_STEP_ON ? send_event(reader, out, &event, &start, end, reterr) : step;
}

static FeedStep send_rest(FeedReader *reader, FeedWire *out, Failure *reterr)
{
        const uint8_t *bytes;
        size_t n;
        FeedStep step = look(reader, 1, &bytes, &n, reterr);
        if (step != FEED_STEP_ON)
                return step;
        if (n > reader->left)
                n = (size_t) reader->left;
        if (n > PART_MAX)
                n = PART_MAX;
        feedwire_add(out, bytes, n);
        reader->sent += n;
        reader->where += n;
        reader->left -= n;
        if (reader->left == 0) {
                reader->at = reader->place;
                reader->reached = *stream_position(reader->stream);
        }
        return FEED_STEP_ON;
}

FeedStep feed_reader_step(FeedReader *reader, FeedWire *out, Failure *reterr)
{
        if (reader->left > 0)
                return send_rest(reader, out, reterr);
        if (reader->at >= reader->store->pieces[reader->i].to)
                return next_piece(reader, reterr);
        if (reader->at == 0 && !reader->relay)
                return check_magic(reader, reterr);
        return take_event(reader, out, reterr);
}

bool feed_reader_is_between_events(const FeedReader *reader)
{
        return reader->left == 0;
}

void feed_reader_progress(const FeedReader *reader, FeedProgress *progress)
{
        const Piece *piece = &reader->store->pieces[reader->i];
        progress->from = reader->first;
        progress->reached = reader->reached;
        progress->sent = reader->sent;
        progress->left = piece->behind + (piece->to > reader->at ? piece->to - reader->at : 0);
        progress->n_skipped = stream_n_skipped(reader->stream);
        progress->n_holes = reader->n_holes;
}

/* Where a request stands in the store. */

static int refuse_start(const Position *position, const char *why, Failure *reterr)
{
        CLEANUP(mem_free) char *text = position_format(position);
        return failure_set(reterr, FAILURE_INVALID, 0, "the replica asks for %s: %s", text, why);
}

static int find_start(FeedReader *reader, const Position *expected, Position *ret, Failure *reterr)
{
        const FeedStore *store = reader->store;
        Position from = reader->request->from;
        if (from.file[0] == '\0')
                snprintf(from.file, sizeof from.file, "%s", store->pieces[0].file);
        if (text_equal(from.file, expected->file) && (uint32_t) expected->offset == from.offset)
                from.offset = expected->offset;
        if (from.offset < BINLOG_MAGIC_LENGTH)
                from.offset = BINLOG_MAGIC_LENGTH;
        if (position_comparable(&from, &store->end) && position_compare(&from, &store->end) > 0)
                return refuse_start(&from, "that is beyond the end of the primary's log", reterr);
        for (size_t i = 0; i < store->n_pieces; i++) {
                const Piece *piece = &store->pieces[i];
                bool last = i + 1 == store->n_pieces || !text_equal(store->pieces[i + 1].file, piece->file);
                if (!text_equal(piece->file, from.file) || from.offset < piece->from || from.offset > piece->to ||
                    (from.offset == piece->to && !last))
                        continue;
                reader->i = i;
                *ret = from;
                return 0;
        }
        return refuse_start(&from, "nothing of that place is at hand", reterr);
}

static int begin(FeedReader *reader, const Position *expected, Failure *reterr)
{
        const FeedStore *store = reader->store;
        if (store->n_pieces == 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "nothing is at hand");
        Position from = { .offset = store->pieces[0].from };
        snprintf(from.file, sizeof from.file, "%s", store->pieces[0].file);
        uint64_t at = from.offset;
        if (!reader->request->gtid) {
                int r = find_start(reader, expected, &from, reterr);
                if (r < 0)
                        return r;
                const Piece *piece = &store->pieces[reader->i];
                bool head = from.offset == BINLOG_MAGIC_LENGTH && piece->from == 0; /* then its magic is looked at */
                at = head ? 0 : from.offset;
        }
        reader->stream = stream_new(&from, store->family, reader->request->gtid ? reader->request->set : NULL);
        return enter_piece(reader, at, reterr);
}

int feed_reader_new(Loop *loop, const FeedStore *store, const FeedWireRequest *request, const Position *expected,
                    loop_fn ready, void *userdata, FeedReader **ret, Failure *reterr)
{
        FeedReader *reader = ALLOC(FeedReader);
        *reader = (FeedReader){
                .loop = loop,
                .store = store,
                .request = request,
                .ready = ready,
                .userdata = userdata,
                .open = SIZE_MAX,
        };
        reader->window = ALLOC(Window);
        reader->window->fd = -1;
        reader->window->bytes = alloc_zero(1, WINDOW);
        int r = begin(reader, expected, reterr);
        if (r < 0)
                feed_reader_free(reader);
        else
                *ret = reader;
        return r;
}

FeedReader *feed_reader_free(FeedReader *reader)
{
        if (!reader)
                return NULL;
        if (reader->worker)
                worker_release(reader->worker, window_drop);
        window_free(reader->window);
        stream_free(reader->stream);
        relaylog_free(reader->relay);
        free(reader);
        return NULL;
}
