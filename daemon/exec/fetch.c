/* Copies a remote file. Owns the local file, two SSH tasks (the bytes, and the host's checksum of them) and one helper
 * thread at a time, which writes and digests what has come and at the end waits for the disk. The loop never touches the
 * file: while a thread has it in its hands, bytes gather, and when there are too many the host is made to wait. */
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "alloc.h"
#include "compose.h"
#include "enum.h"
#include "file.h"
#include "text.h"
#include "worker.h"

#define PATIENCE (20 * USEC_SEC)
#define PROGRESS_INTERVAL (100 * USEC_MSEC)
#define WRITE_SIZE ((size_t) 256 * 1024)  /* not before so much has gathered is it written */
#define GATHER_MAX ((size_t) 1024 * 1024) /* the host waits */
#define READ_SIZE ((size_t) 256 * 1024)
#define DIGEST_SPEED (10 * 1024 * 1024) /* bytes a second: what a slow host digests at least */
#define FILE_MODE 0600

static const char *const end_names[_FETCH_END_MAX] = {
        [FETCH_DONE] = "done",           [FETCH_LOST] = "lost",     [FETCH_NO_FILE] = "no-file",
        [FETCH_FORBIDDEN] = "forbidden", [FETCH_SHORT] = "short",   [FETCH_LOCAL] = "local",
        [FETCH_DIFFERENT] = "different", [FETCH_FAILED] = "failed",
};
ENUM_TO_STRING(fetch_end, FetchEnd, end_names)

/* The local file: in the hands of the thread or of the loop, never of both. */
typedef struct Target {
        char *path;
        int fd;
        EVP_MD_CTX *digest;
        uint64_t wanted;  /* bytes when it is whole */
        uint64_t length;  /* bytes that are written and digested */
        bool afresh;      /* throw away what is there */
        Text bytes;       /* to be written next */
        int error;        /* errno */
        const char *what; /* was tried then */
        char sha256[65];
} Target;

struct Fetch {
        Loop *loop;
        SshLink *link;
        char *remote;
        uint64_t from, to, wanted;
        Sudo sudo;
        usec_t patience;

        SshTask *size_task, *stream, *digest_task;
        Target *target; /* NULL while a thread has it */
        Target *lent;   /* the same then */
        Worker *worker;
        Timer *reporter; /* deferred */

        Text gathered;
        uint64_t received; /* of wanted, with what was here before */
        bool paused, streamed, sealed, digested;
        bool again; /* it is the second time, from the beginning */
        char digest[65];
        usec_t told;

        FetchResult result;
        fetch_progress_fn progress;
        fetch_done_fn done;
        void *userdata;
};

/* The thread's work. */

static Target *target_free(Target *target)
{
        if (!target)
                return NULL;
        if (target->fd >= 0)
                close(target->fd);
        EVP_MD_CTX_free(target->digest);
        text_done(&target->bytes);
        free(target->path);
        free(target);
        return NULL;
}

static void target_drop(void *data)
{
        target_free(data);
}

static void target_fail(Target *target, const char *what)
{
        target->error = errno ? errno : EIO;
        target->what = what;
}

static void digest_begin(Target *target)
{
        if (!target->digest)
                target->digest = EVP_MD_CTX_new();
        if (!target->digest || EVP_DigestInit_ex(target->digest, EVP_sha256(), NULL) != 1)
                abort();
}

static void digest_add(Target *target, const void *bytes, size_t length)
{
        if (EVP_DigestUpdate(target->digest, bytes, length) != 1)
                abort();
}

/* What an earlier try has left. */
static void digest_rest(Target *target)
{
        CLEANUP(mem_free) char *buffer = alloc_zero(1, READ_SIZE);
        for (;;) {
                ssize_t n = pread(target->fd, buffer, READ_SIZE, (off_t) target->length);
                if (n < 0)
                        target_fail(target, "read");
                if (n <= 0)
                        return;
                digest_add(target, buffer, (size_t) n);
                target->length += (uint64_t) n;
        }
}

static void work_open(void *data)
{
        Target *target = data;
        struct stat status;
        errno = 0;
        if (target->fd < 0)
                target->fd = open(target->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
        if (target->fd < 0 || fstat(target->fd, &status) < 0) {
                target_fail(target, "open");
                return;
        }
        if (!S_ISREG(status.st_mode)) {
                errno = EINVAL;
                target_fail(target, "use");
                return;
        }
        uint64_t keep = target->afresh ? 0 : target->wanted;
        if ((uint64_t) status.st_size > keep && ftruncate(target->fd, (off_t) keep) < 0) {
                target_fail(target, "shorten");
                return;
        }
        target->length = 0;
        digest_begin(target);
        digest_rest(target);
}

static void work_write(void *data)
{
        Target *target = data;
        size_t at = 0;
        errno = 0;
        while (at < target->bytes.length) {
                ssize_t n =
                        pwrite(target->fd, target->bytes.data + at, target->bytes.length - at, (off_t) target->length);
                if (n <= 0) {
                        if (n < 0 && errno == EINTR)
                                continue;
                        target_fail(target, "write");
                        return;
                }
                digest_add(target, target->bytes.data + at, (size_t) n);
                /* The disk begins now, so that the end has not to wait for everything. */
                (void) sync_file_range(target->fd, (off_t) target->length, n, SYNC_FILE_RANGE_WRITE);
                target->length += (uint64_t) n;
                at += (size_t) n;
        }
        target->bytes.length = 0;
}

static void work_seal(void *data)
{
        Target *target = data;
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned length;
        Failure failure;
        errno = 0;
        if (fsync(target->fd) < 0) {
                target_fail(target, "sync");
                return;
        }
        if (file_sync_parent(target->path, &failure) < 0) {
                target->error = failure.code ? failure.code : EIO;
                target->what = "sync the directory of";
                return;
        }
        if (EVP_DigestFinal_ex(target->digest, digest, &length) != 1)
                abort();
        for (unsigned i = 0; i < length && i < 32; i++)
                snprintf(target->sha256 + (size_t) 2 * i, 3, "%02x", digest[i]);
}

/* Ends. */

Fetch *fetch_abandon(Fetch *fetch)
{
        if (!fetch)
                return NULL;
        ssh_task_abandon(fetch->size_task);
        ssh_task_abandon(fetch->stream);
        ssh_task_abandon(fetch->digest_task);
        if (fetch->worker)
                worker_release(fetch->worker, target_drop);
        target_free(fetch->target);
        timer_free(fetch->reporter);
        text_done(&fetch->gathered);
        free(fetch->remote);
        free(fetch);
        return NULL;
}

static void on_report(void *userdata)
{
        Fetch *fetch = userdata;
        fetch->reporter = NULL;
        FetchResult result = fetch->result;
        fetch_done_fn done = fetch->done;
        void *whom = fetch->userdata;
        fetch_abandon(fetch);
        done(&result, whom);
}

/* The result says how; the first word counts. */
static void finish(Fetch *fetch, FetchEnd end)
{
        if (fetch->reporter)
                return;
        fetch->result.end = end;
        if (fetch->target) {
                fetch->result.size = fetch->target->length;
                memcpy(fetch->result.sha256, fetch->target->sha256, sizeof fetch->result.sha256);
        }
        fetch->reporter = loop_defer(fetch->loop, on_report, fetch);
}

static void fail_remote(Fetch *fetch, const SshResult *result, const char *what)
{
        Failure *failure = &fetch->result.failure;
        const char *words = result->err ? result->err : "";
        if (result->failure.kind != FAILURE_NONE) {
                *failure = result->failure;
                finish(fetch, FETCH_LOST);
                return;
        }
        if (text_is_empty(words))
                words = "the host does not say why";
        size_t length = strcspn(words, "\n");
        failure_set(failure, FAILURE_EXIT, result->exit_status, "cannot %s %s: %.*s", what, fetch->remote,
                    (int) (length < 200 ? length : 200), words);
        if (strstr(words, "No such file"))
                finish(fetch, FETCH_NO_FILE);
        else if (strstr(words, "Permission denied") || strstr(words, "sudo:") || strstr(words, "not permitted"))
                finish(fetch, FETCH_FORBIDDEN);
        else
                finish(fetch, FETCH_FAILED);
}

static bool fail_local(Fetch *fetch)
{
        Target *target = fetch->target;
        if (!target->error)
                return false;
        failure_errno(&fetch->result.failure, target->error, "cannot %s %s", target->what, target->path);
        finish(fetch, FETCH_LOCAL);
        return true;
}

/* The thread. */

static void lend(Fetch *fetch, worker_fn work, loop_fn done)
{
        Target *target = fetch->target;
        fetch->worker = worker_start(fetch->loop, work, target, done, fetch);
        if (!fetch->worker) {
                failure_errno(&fetch->result.failure, errno, "cannot start a thread");
                finish(fetch, FETCH_LOCAL);
                return;
        }
        fetch->lent = TAKE(fetch->target);
}

static void take_back(Fetch *fetch)
{
        fetch->worker = worker_release(fetch->worker, NULL);
        fetch->target = TAKE(fetch->lent);
}

static void step(Fetch *fetch);

static void on_written(void *userdata)
{
        Fetch *fetch = userdata;
        take_back(fetch);
        if (fetch->reporter) {
                fetch->result.size = fetch->target->length;
                return;
        }
        if (!fail_local(fetch))
                step(fetch);
}

static void on_sealed(void *userdata)
{
        Fetch *fetch = userdata;
        take_back(fetch);
        fetch->sealed = true;
        if (!fail_local(fetch))
                step(fetch);
}

static void start_stream(Fetch *fetch);

static void on_opened(void *userdata)
{
        Fetch *fetch = userdata;
        take_back(fetch);
        if (fail_local(fetch))
                return;
        fetch->received = fetch->target->length;
        fetch->result.resumed = fetch->received;
        start_stream(fetch);
}

static void open_target(Fetch *fetch, bool afresh)
{
        fetch->target->wanted = fetch->wanted;
        fetch->target->afresh = afresh;
        lend(fetch, work_open, on_opened);
}

/* The end: everything is written, the disk has it, and the host has said what it should be. */

static void start_over(Fetch *fetch)
{
        fetch->again = true;
        fetch->streamed = fetch->sealed = fetch->digested = false;
        fetch->digest[0] = '\0';
        open_target(fetch, true);
}

static void conclude(Fetch *fetch)
{
        bool same = text_equal(fetch->digest, fetch->target->sha256);
        if (fetch->digest[0] != '\0' && !same && fetch->result.resumed > 0 && !fetch->again) {
                start_over(fetch);
                return;
        }
        if (fetch->digest[0] != '\0' && !same) {
                failure_set(&fetch->result.failure, FAILURE_PROTOCOL, 0,
                            "%s is not what the host has in %s: it was changed while it was read, or a disk is bad",
                            fetch->target->path, fetch->remote);
                finish(fetch, FETCH_DIFFERENT);
                return;
        }
        fetch->result.verified = same;
        finish(fetch, FETCH_DONE);
}

/* Whatever is to be done next, whenever something has ended. */
static void step(Fetch *fetch)
{
        if (!fetch->target)
                return;
        if (fetch->gathered.length >= WRITE_SIZE || (fetch->streamed && fetch->gathered.length > 0)) {
                Text empty = fetch->target->bytes;
                fetch->target->bytes = fetch->gathered;
                fetch->gathered = empty;
                lend(fetch, work_write, on_written);
        } else if (fetch->streamed && fetch->result.failure.kind != FAILURE_NONE)
                finish(fetch, fetch->result.end);
        else if (fetch->streamed && !fetch->sealed)
                lend(fetch, work_seal, on_sealed);
        else if (fetch->sealed && fetch->digested)
                conclude(fetch);
        if (fetch->paused && fetch->stream && fetch->gathered.length < GATHER_MAX) {
                fetch->paused = false;
                ssh_task_resume(fetch->stream);
        }
}

/* The host. */

static void tell(Fetch *fetch)
{
        usec_t now = loop_now(fetch->loop);
        if (!fetch->progress || (fetch->received < fetch->wanted && now < usec_add(fetch->told, PROGRESS_INTERVAL)))
                return;
        fetch->told = now;
        fetch->progress(fetch->received, fetch->wanted, fetch->userdata);
}

static void on_bytes(const void *bytes, size_t length, void *userdata)
{
        Fetch *fetch = userdata;
        if (length > fetch->wanted - fetch->received)
                length = (size_t) (fetch->wanted - fetch->received);
        text_add_n(&fetch->gathered, bytes, length);
        fetch->received += length;
        if (fetch->gathered.length >= GATHER_MAX) {
                fetch->paused = true;
                ssh_task_pause(fetch->stream);
        }
        step(fetch);
        tell(fetch); /* last: it may abandon us */
}

static void on_streamed(const SshResult *result, void *userdata)
{
        Fetch *fetch = userdata;
        FetchResult *ours = &fetch->result;
        fetch->stream = NULL;
        fetch->streamed = true;
        bool whole = fetch->received == fetch->wanted;
        if (!whole && result->failure.kind != FAILURE_NONE) {
                ours->failure = result->failure;
                ours->end = FETCH_LOST;
        } else if (!whole && !text_is_empty(result->err)) {
                fail_remote(fetch, result, "read");
                return;
        } else if (!whole) {
                failure_set(&ours->failure, FAILURE_PROTOCOL, 0,
                            "%s ended after %" PRIu64 " of %" PRIu64 " bytes: it was cut while it was read",
                            fetch->remote, fetch->received, fetch->wanted);
                ours->end = FETCH_SHORT;
        }
        step(fetch); /* what came is kept, also then */
}

static void on_digest(const SshResult *result, void *userdata)
{
        Fetch *fetch = userdata;
        fetch->digest_task = NULL;
        fetch->digested = true;
        if (result->failure.kind == FAILURE_NONE && result->exit_status == 0 &&
            strspn(result->out, "0123456789abcdef") == 64)
                memcpy(fetch->digest, result->out, 64);
        step(fetch);
}

/* Not cat: only a part may be wanted. A byte is counted from 1 there. */
static char *part_command(const Fetch *fetch, uint64_t skip, const char *behind)
{
        CLEANUP(mem_free) char *path = text_quote_shell(fetch->remote);
        CLEANUP(mem_free)
        char *script = text_format("LC_ALL=C; export LC_ALL; tail -c +%" PRIu64 " -- %s | head -c %" PRIu64 "%s",
                                   fetch->from + skip + 1, path, fetch->wanted - skip, behind);
        return compose_command(script, fetch->sudo);
}

static void start_stream(Fetch *fetch)
{
        if (!fetch->digest_task) {
                CLEANUP(mem_free) char *command = part_command(fetch, 0, " | sha256sum");
                usec_t time = usec_add(fetch->patience, fetch->wanted / DIGEST_SPEED * USEC_SEC);
                fetch->digest_task =
                        ssh_link_exec(fetch->link, command, usec_add(loop_now(fetch->loop), time), on_digest, fetch);
        }
        if (fetch->received == fetch->wanted) {
                fetch->streamed = true;
                step(fetch);
                return;
        }
        CLEANUP(mem_free) char *command = part_command(fetch, fetch->received, "");
        fetch->stream = ssh_link_stream(fetch->link, command, fetch->patience, on_bytes, on_streamed, fetch);
}

static bool judge_size(Fetch *fetch, const char *text)
{
        char *behind;
        errno = 0;
        uint64_t size = strtoull(text, &behind, 10);
        if (errno || behind == text || *behind != '\n') {
                failure_set(&fetch->result.failure, FAILURE_PROTOCOL, 0, "stat of %s gave no size", fetch->remote);
                finish(fetch, FETCH_FAILED);
                return false;
        }
        uint64_t to = fetch->to ? fetch->to : size;
        if (to > size || fetch->from > to) {
                failure_set(&fetch->result.failure, FAILURE_PROTOCOL, 0,
                            "%s has %" PRIu64 " bytes, and those up to %" PRIu64 " are wanted", fetch->remote, size,
                            to > size ? to : fetch->from);
                finish(fetch, FETCH_SHORT);
                return false;
        }
        fetch->wanted = to - fetch->from;
        return true;
}

static void on_size(const SshResult *result, void *userdata)
{
        Fetch *fetch = userdata;
        fetch->size_task = NULL;
        if (result->failure.kind != FAILURE_NONE || result->exit_status != 0)
                fail_remote(fetch, result, "read");
        else if (judge_size(fetch, result->out))
                open_target(fetch, false);
}

Fetch *fetch_start(Loop *loop, SshLink *link, const FetchParams *params, fetch_progress_fn progress, fetch_done_fn done,
                   void *userdata)
{
        Fetch *fetch = ALLOC(Fetch);
        *fetch = (Fetch){
                .loop = loop,
                .link = link,
                .remote = alloc_string(params->remote),
                .from = params->from,
                .to = params->to,
                .sudo = params->sudo,
                .patience = params->patience ? params->patience : PATIENCE,
                .progress = progress,
                .done = done,
                .userdata = userdata,
        };
        fetch->target = ALLOC(Target);
        *fetch->target = (Target){ .path = alloc_string(params->local), .fd = -1 };
        CLEANUP(mem_free) char *path = text_quote_shell(fetch->remote);
        CLEANUP(mem_free) char *script = text_format("LC_ALL=C stat -L -c %%s -- %s", path);
        CLEANUP(mem_free) char *command = compose_command(script, fetch->sudo);
        fetch->size_task = ssh_link_exec(link, command, usec_add(loop_now(loop), fetch->patience), on_size, fetch);
        return fetch;
}
