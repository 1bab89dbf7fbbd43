/* The folders of saved logs. Owns a thread a task; must never follow a symbolic link or leave the file system when it
 * removes something. */
#include "savedlogs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "binlog.h"
#include "file.h"
#include "saved.h"
#include "text.h"
#include "worker.h"

#define REPORT_MAX ((size_t) 16 * 1024 * 1024)
#define DEPTH_MAX 4 /* a run's folder has one level of folders */
/* Of a run that is being removed: whoever finds it goes on. */
#define REMOVING ".removing-"

typedef struct Place {
        char *cluster, *directory;
} Place;

/* In the hands of the thread or of the loop, never of both. */
typedef struct Job {
        Place *places;
        size_t n_places;
        char *run;
        bool trim;
        usec_t age, now;
        uint64_t bytes;
        Json *hold;
        Json *answer;
} Job;

struct SavedLogs {
        Worker *worker;
        Timer *report; /* deferred: no thread could be had */
        Job *job;
        savedlogs_fn done;
        void *userdata;
};

static void job_free(Job *job)
{
        for (size_t i = 0; i < job->n_places; i++) {
                free(job->places[i].cluster);
                free(job->places[i].directory);
        }
        free(job->places);
        free(job->run);
        json_free(job->hold);
        json_free(job->answer);
        free(job);
}

static void job_drop(void *data)
{
        job_free(data);
}

/* Looking. */

/* One run's folder. */
typedef struct Found {
        char *run, *directory;
        usec_t time;
        uint64_t bytes;
        dev_t device;
        Json *report;
} Found;

typedef struct Runs {
        Found *items;
        size_t n_items;
} Runs;

static void runs_done(Runs *runs)
{
        for (size_t i = 0; i < runs->n_items; i++) {
                free(runs->items[i].run);
                free(runs->items[i].directory);
                json_free(runs->items[i].report);
        }
        free(runs->items);
}

static uint64_t bytes_below(int parent, const char *name, int depth)
{
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *directory = fd < 0 ? NULL : fdopendir(fd);
        uint64_t bytes = 0;
        if (!directory) {
                if (fd >= 0)
                        close(fd);
                return 0;
        }
        for (const struct dirent *entry; (entry = readdir(directory));) {
                struct stat status;
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                    fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (S_ISREG(status.st_mode))
                        bytes += (uint64_t) status.st_size;
                else if (S_ISDIR(status.st_mode) && depth > 0)
                        bytes += bytes_below(fd, entry->d_name, depth - 1);
        }
        closedir(directory);
        return bytes;
}

static Json *read_json(const char *path, size_t limit)
{
        CLEANUP(mem_free) char *text = NULL;
        size_t length = 0;
        Json *json = NULL;
        if (file_read(path, limit, &text, &length, NULL) < 0 || json_parse(text, length, &json, NULL) < 0)
                return NULL;
        return json;
}

/* When something was last saved in it. */
static usec_t time_of(const Found *found, const struct stat *folder)
{
        struct stat note;
        CLEANUP(mem_free) char *path = text_format("%s/%s", found->directory, SAVED_NOTE);
        const struct timespec *time = &folder->st_mtim;
        if (lstat(path, &note) == 0)
                time = &note.st_mtim;
        return (usec_t) time->tv_sec * USEC_SEC + (usec_t) time->tv_nsec / 1000;
}

static void add_run(Runs *runs, const char *state_directory, const char *run)
{
        Found found = { .directory = text_format("%s/rescue/%s", state_directory, run) };
        struct stat status;
        if (lstat(found.directory, &status) < 0 || !S_ISDIR(status.st_mode)) {
                free(found.directory);
                return;
        }
        CLEANUP(mem_free) char *report = text_format("%s/reports/%s.json", state_directory, run);
        found.run = alloc_string(run);
        found.time = time_of(&found, &status);
        found.device = status.st_dev;
        found.bytes = bytes_below(AT_FDCWD, found.directory, DEPTH_MAX);
        found.report = read_json(report, REPORT_MAX);
        ALLOC_GROW(runs->items, runs->n_items);
        runs->items[runs->n_items++] = found;
}

static int newest_first(const void *a, const void *b)
{
        const Found *one = a, *other = b;
        if (one->time != other->time)
                return one->time > other->time ? -1 : 1;
        return strcmp(other->run, one->run);
}

static Runs find_runs(const char *state_directory, const char *only)
{
        Runs runs = { 0 };
        CLEANUP(mem_free) char *path = text_format("%s/rescue", state_directory);
        DIR *directory = opendir(path);
        for (const struct dirent *entry; directory && (entry = readdir(directory));)
                if (saved_is_plain_name(entry->d_name) && (!only || strcmp(entry->d_name, only) == 0))
                        add_run(&runs, state_directory, entry->d_name);
        if (directory)
                closedir(directory);
        if (runs.n_items > 0)
                qsort(runs.items, runs.n_items, sizeof *runs.items, newest_first);
        return runs;
}

/* How much of the head of a file makes a log of a part of it: its format description. */
static void add_head(const Found *found, Json *file)
{
        const char *server = json_get_string(file, "server"), *name = json_get_string(file, "file");
        uint8_t bytes[BINLOG_MAGIC_LENGTH + BINLOG_HEADER_LENGTH];
        if (json_get_int(file, "from", 0) <= 0)
                return;
        CLEANUP(mem_free) char *head = text_format("%s/%s.head", server, name);
        CLEANUP(mem_free) char *path = text_format("%s/%s", found->directory, head);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
        if (fd >= 0)
                close(fd);
        if (n != sizeof bytes || binlog_check_magic(bytes, NULL) < 0)
                return;
        BinlogHeader header = binlog_header(bytes + BINLOG_MAGIC_LENGTH);
        if (header.type != BINLOG_TYPE_FORMAT || header.length > BINLOG_FORMAT_MAX)
                return;
        Json *json = json_ensure_object(file, "head");
        json_set_string(json, "name", head);
        json_set_int(json, "bytes", BINLOG_MAGIC_LENGTH + (int64_t) header.length);
}

static Json *describe_all(const Found *found, const Json *note)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", found->directory, SAVED_INDEX);
        CLEANUP(mem_free) char *text = NULL;
        CLEANUP(ranges_free) Ranges *ranges = NULL;
        CLEANUP(json_free) Json *covers = NULL;
        size_t length = 0;
        if (file_read(path, SAVED_INDEX_MAX, &text, &length, NULL) >= 0)
                (void) saved_index_parse(text, length, &ranges, &covers, NULL);
        CLEANUP(json_free) Json *all = saved_describe(note, ranges);
        Json *json = json_copy(all), *files = json_array();
        JSON_FOREACH(entry, json_get(all, "files"))
        {
                Json *file = json_copy(entry);
                add_head(found, file);
                json_append(files, file);
        }
        json_set(json, "files", files);
        return json;
}

static const char *state_of(const Json *sources)
{
        const char *state = json_length(sources) > 0 ? "complete" : "partial";
        JSON_FOREACH(source, sources)
        {
                const char *own = json_get_string(source, "state");
                if (text_equal(own, "failed") || (text_equal(own, "partial") && text_equal(state, "complete")))
                        state = own;
        }
        return state;
}

static Json *describe_run(const char *cluster, const Found *found, bool all)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", found->directory, SAVED_NOTE);
        CLEANUP(json_free) Json *note = read_json(path, SAVED_NOTE_MAX);
        Json *json = all ? describe_all(found, note) : saved_describe(note, NULL);
        if (!all)
                json_set(json, "files", NULL);
        json_set_string(json, "cluster", cluster);
        json_set_string(json, "run", found->run);
        json_set_int(json, "time", (int64_t) found->time);
        json_set_int(json, "bytes", (int64_t) found->bytes);
        json_set_string(json, "directory", found->directory);
        json_set_string(json, "procedure", json_get_string(found->report, "procedure"));
        json_set_string(json, "loss", json_get_string(json_get(found->report, "loss"), "verdict"));
        json_set_string(json, "state", state_of(json_get(json, "sources")));
        return json;
}

static void list(Job *job)
{
        Json *rescues = json_ensure_array(job->answer, "rescues");
        for (size_t i = 0; i < job->n_places; i++) {
                Runs runs = find_runs(job->places[i].directory, job->run);
                for (size_t k = 0; k < runs.n_items; k++)
                        json_append(rescues, describe_run(job->places[i].cluster, &runs.items[k], job->run != NULL));
                runs_done(&runs);
        }
}

/* Removing. */

static int remove_below(int parent, const char *name, dev_t device, int depth, Failure *reterr)
{
        struct stat status;
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot open the folder %s", name);
        if (fstat(fd, &status) < 0 || status.st_dev != device || depth == 0) {
                close(fd);
                return failure_set(reterr, FAILURE_INVALID, 0, "%s: %s is %s and is left alone", name, name,
                                   depth == 0 ? "too deep" : "on another file system");
        }
        DIR *directory = fdopendir(fd);
        if (!directory) {
                int error = errno;
                close(fd);
                return failure_errno(reterr, error, "cannot read the folder %s", name);
        }
        int r = 0;
        for (const struct dirent *entry; r >= 0 && (entry = readdir(directory));) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                        r = failure_errno(reterr, errno, "cannot look at %s", entry->d_name);
                else if (S_ISDIR(status.st_mode))
                        r = remove_below(fd, entry->d_name, device, depth - 1, reterr);
                else if (unlinkat(fd, entry->d_name, 0) < 0)
                        r = failure_errno(reterr, errno, "cannot remove %s", entry->d_name);
        }
        closedir(directory);
        if (r >= 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
                r = failure_errno(reterr, errno, "cannot remove the folder %s", name);
        return r;
}

static void note_failure(Job *job, const char *what, const Failure *failure)
{
        CLEANUP(mem_free) char *text = text_format("%s: %s", what, failure->text);
        json_append_string(json_ensure_array(job->answer, "failures"), text);
}

/* Whether anything is mounted below: nothing of it is touched then. */
static bool is_one_device(int parent, const char *name, dev_t device, int depth)
{
        struct stat status;
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *directory = fd < 0 ? NULL : fdopendir(fd);
        if (!directory) {
                if (fd >= 0)
                        close(fd);
                return false;
        }
        bool one = fstat(fd, &status) == 0 && status.st_dev == device;
        for (const struct dirent *entry; one && (entry = readdir(directory));) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                one = fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_dev == device &&
                      (!S_ISDIR(status.st_mode) || (depth > 0 && is_one_device(fd, entry->d_name, device, depth - 1)));
        }
        closedir(directory);
        return one;
}

static void remove_run(Job *job, int rescues, dev_t device, const Found *found, const char *why)
{
        Failure failure;
        CLEANUP(mem_free) char *name = text_format("%s%s", REMOVING, found->run);
        if (!is_one_device(rescues, found->run, device, DEPTH_MAX)) {
                failure_set(&failure, FAILURE_INVALID, 0,
                            "not all of it is on the file system of the other saved logs: it is left alone");
                note_failure(job, found->directory, &failure);
                return;
        }
        if (renameat(rescues, found->run, rescues, name) < 0) {
                failure_errno(&failure, errno, "cannot remove it");
                note_failure(job, found->directory, &failure);
                return;
        }
        if (remove_below(rescues, name, device, DEPTH_MAX, &failure) < 0) {
                note_failure(job, found->directory, &failure);
                return;
        }
        Json *json = json_object();
        json_set_string(json, "run", found->run);
        json_set_int(json, "bytes", (int64_t) found->bytes);
        json_set_string(json, "why", why);
        json_append(json_ensure_array(job->answer, "removed"), json);
}

/* What a former process has begun to remove. */
static void finish_removing(Job *job, const char *path, int rescues, dev_t device)
{
        DIR *directory = opendir(path);
        for (const struct dirent *entry; directory && (entry = readdir(directory));) {
                Failure failure;
                if (text_starts_with(entry->d_name, REMOVING) &&
                    remove_below(rescues, entry->d_name, device, DEPTH_MAX, &failure) < 0)
                        note_failure(job, path, &failure);
        }
        if (directory)
                closedir(directory);
}

static bool has_lost(const Found *found)
{
        const char *verdict = json_get_string(json_get(found->report, "loss"), "verdict");
        return verdict && !text_equal(verdict, "none");
}

static void trim(Job *job)
{
        struct stat status;
        CLEANUP(mem_free) char *path = text_format("%s/rescue", job->places[0].directory);
        int rescues = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (rescues < 0)
                return; /* nothing was ever saved */
        if (fstat(rescues, &status) == 0) {
                finish_removing(job, path, rescues, status.st_dev);
                Runs runs = find_runs(job->places[0].directory, NULL);
                uint64_t bytes = 0;
                bool lost = false;
                CLEANUP(json_free) Json *hold = json_copy(job->hold);
                for (size_t i = 0; i < runs.n_items; i++) {
                        bytes += i > 0 ? runs.items[i].bytes : 0;
                        if (has_lost(&runs.items[i]) && !lost) {
                                json_append_string(hold, runs.items[i].run);
                                lost = true;
                        }
                }
                for (size_t i = runs.n_items; i-- > 0;) {
                        const Found *found = &runs.items[i];
                        bool old = job->age && usec_sub(job->now, found->time) > job->age;
                        bool large = job->bytes && i > 0 && bytes > job->bytes;
                        if (!(old || large) || json_array_contains(hold, found->run))
                                continue;
                        remove_run(job, rescues, status.st_dev, found, old ? "age" : "size");
                        bytes -= i > 0 ? found->bytes : 0;
                }
                runs_done(&runs);
        }
        close(rescues);
}

static void work(void *data)
{
        Job *job = data;
        job->answer = json_object();
        if (job->trim)
                trim(job);
        else
                list(job);
}

/* Tasks. */

static void on_done(void *userdata)
{
        SavedLogs *task = userdata;
        savedlogs_fn done = task->done;
        void *whom = task->userdata;
        Json *answer = TAKE(task->job->answer);
        worker_release(task->worker, NULL);
        job_free(task->job);
        free(task);
        done(answer, whom);
}

static void on_no_thread(void *userdata)
{
        SavedLogs *task = userdata;
        task->report = NULL;
        on_done(task);
}

static SavedLogs *start(Loop *loop, Job *job, savedlogs_fn done, void *userdata)
{
        SavedLogs *task = ALLOC(SavedLogs);
        *task = (SavedLogs){ .job = job, .done = done, .userdata = userdata };
        task->worker = worker_start(loop, work, job, on_done, task);
        if (!task->worker) {
                Failure failure;
                failure_errno(&failure, errno, "cannot start a thread");
                job->answer = json_object();
                json_append_string(json_ensure_array(job->answer, "failures"), failure.text);
                task->report = loop_defer(loop, on_no_thread, task);
        }
        return task;
}

static void add_place(Job *job, const char *cluster, const char *directory)
{
        ALLOC_GROW(job->places, job->n_places);
        job->places[job->n_places++] = (Place){ alloc_string(cluster), alloc_string(directory) };
}

SavedLogs *savedlogs_list(Loop *loop, const SavedLogsPlace *places, size_t n_places, const char *run, savedlogs_fn done,
                          void *userdata)
{
        Job *job = ALLOC(Job);
        job->run = alloc_string(run);
        for (size_t i = 0; i < n_places; i++)
                add_place(job, places[i].cluster, places[i].directory);
        return start(loop, job, done, userdata);
}

SavedLogs *savedlogs_trim(Loop *loop, const char *directory, const SavedLogsLimits *limits, savedlogs_fn done,
                          void *userdata)
{
        Job *job = ALLOC(Job);
        *job = (Job){ .trim = true,
                      .age = limits->age,
                      .bytes = limits->bytes,
                      .now = loop_now_real(loop),
                      .hold = json_array() };
        add_place(job, NULL, directory);
        for (const char *const *run = limits->hold; *run; run++)
                json_append_string(job->hold, *run);
        return start(loop, job, done, userdata);
}

SavedLogs *savedlogs_abandon(SavedLogs *task)
{
        if (!task)
                return NULL;
        if (task->worker)
                worker_release(task->worker, job_drop);
        else
                job_free(task->job);
        timer_free(task->report);
        free(task);
        return NULL;
}
