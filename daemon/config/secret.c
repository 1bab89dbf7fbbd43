/* Reads secrets from files, credentials and programs. Owns the child while it runs; must never put what it read into a
 * failure or leave a copy behind. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "text.h"

extern char **environ;

typedef struct Buffer {
        char bytes[SECRET_MAX_BYTES + 2];
        size_t length;
} Buffer;

static int fill(int fd, const char *what, Buffer *buffer, Failure *reterr)
{
        for (;;) {
                if (buffer->length > SECRET_MAX_BYTES)
                        return failure_set(reterr, FAILURE_INVALID, 0, "%s gave more than %d bytes", what,
                                           SECRET_MAX_BYTES);
                ssize_t n = read(fd, buffer->bytes + buffer->length, sizeof buffer->bytes - 1 - buffer->length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? 1 : failure_errno(reterr, errno, "cannot read from %s", what);
                if (n == 0)
                        return 0;
                buffer->length += (size_t) n;
        }
}

/* The secret in the buffer, which is wiped. */
static int take(Buffer *buffer, const char *what, char **ret, Failure *reterr)
{
        if (buffer->length > 0 && buffer->bytes[buffer->length - 1] == '\n')
                buffer->length--;
        int r = 0;
        if (buffer->length == 0)
                r = failure_set(reterr, FAILURE_INVALID, 0, "%s gave nothing", what);
        else if (memchr(buffer->bytes, '\0', buffer->length))
                r = failure_set(reterr, FAILURE_INVALID, 0, "%s gave a NUL byte", what);
        else
                *ret = alloc_string_n(buffer->bytes, buffer->length);
        explicit_bzero(buffer, sizeof *buffer);
        return r;
}

static int read_path(const char *path, char **ret, Failure *reterr)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot open %s", path);
        Buffer buffer = { .length = 0 };
        int r = fill(fd, path, &buffer, reterr);
        close(fd);
        if (r > 0)
                r = failure_set(reterr, FAILURE_INVALID, 0, "%s is no file", path);
        if (r == 0)
                r = take(&buffer, path, ret, reterr);
        explicit_bzero(&buffer, sizeof buffer);
        return r;
}

int secret_read_file(const char *path, char **ret, Failure *reterr)
{
        int r = file_check_private(path, reterr);
        return r < 0 ? r : read_path(path, ret, reterr);
}

/* Not checked for being private: that is systemd's work, and it may show in an access list instead of the mode. */
int secret_read_credential(const char *name, char **ret, Failure *reterr)
{
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        if (text_is_empty(directory))
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "no credentials were passed to this process (LoadCredential= in its unit)");
        CLEANUP(mem_free) char *path = text_format("%s/%s", directory, name);
        return read_path(path, ret, reterr);
}

/* The daemon's own, without what it says to OpenSSL in it (main.c). */
static char **make_environment(void)
{
        size_t n = 0, kept = 0;
        while (environ[n])
                n++;
        char **environment = ALLOC_ARRAY(char *, n + 1);
        for (size_t i = 0; i < n; i++)
                if (strcmp(environ[i], "SSL_CERT_FILE=/dev/null") != 0)
                        environment[kept++] = environ[i];
        return environment;
}

/* Starts the program in a process group of its own, its standard output being the pipe's end. */
static int spawn(char *const *arguments, int out, pid_t *ret, Failure *reterr)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, usual;
        sigemptyset(&none);
        sigemptyset(&usual);
        sigaddset(&usual, SIGPIPE);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &usual);
        CLEANUP(mem_free) char **environment = make_environment();
        int error = posix_spawn(ret, arguments[0], &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return error ? failure_errno(reterr, error, "cannot run %s", arguments[0]) : 0;
}

static int fill_until(int fd, usec_t deadline, const char *what, Buffer *buffer, Failure *reterr)
{
        for (;;) {
                usec_t now = usec_now_monotonic();
                if (now >= deadline)
                        return failure_set(reterr, FAILURE_TIMEOUT, 0, "%s took too long and was ended", what);
                struct pollfd wait = { .fd = fd, .events = POLLIN };
                int n = poll(&wait, 1, (int) ((deadline - now + USEC_MSEC - 1) / USEC_MSEC));
                if (n < 0 && errno != EINTR)
                        return failure_errno(reterr, errno, "cannot wait for %s", what);
                if (n <= 0)
                        continue;
                int r = fill(fd, what, buffer, reterr);
                if (r <= 0)
                        return r;
        }
}

/* Waits for the end of the program, which has closed its output; ends it when the deadline passes. */
static int collect(pid_t pid, usec_t deadline, const char *what, Failure *reterr)
{
        int status;
        for (;;) {
                pid_t ended = waitpid(pid, &status, WNOHANG);
                if (ended == pid)
                        break;
                if (ended < 0 && errno != EINTR)
                        return failure_errno(reterr, errno, "cannot wait for %s", what);
                if (usec_now_monotonic() >= deadline) {
                        killpg(pid, SIGKILL);
                        waitpid(pid, &status, 0);
                        return failure_set(reterr, FAILURE_TIMEOUT, 0, "%s took too long and was ended", what);
                }
                poll(NULL, 0, 5);
        }
        if (WIFSIGNALED(status))
                return failure_set(reterr, FAILURE_EXIT, 128 + WTERMSIG(status), "%s ended by signal %d", what,
                                   WTERMSIG(status));
        if (WEXITSTATUS(status) != 0)
                return failure_set(reterr, FAILURE_EXIT, WEXITSTATUS(status), "%s ended with status %d", what,
                                   WEXITSTATUS(status));
        return 0;
}

int secret_read_command(char *const *arguments, usec_t timeout, char **ret, Failure *reterr)
{
        usec_t deadline = usec_add(usec_now_monotonic(), timeout);
        int ends[2];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return failure_errno(reterr, errno, "cannot make a pipe");
        fcntl(ends[1], F_SETFL, 0); /* the program's end blocks as usual */
        pid_t pid;
        int r = spawn(arguments, ends[1], &pid, reterr);
        close(ends[1]);
        Buffer buffer = { .length = 0 };
        if (r == 0) {
                r = fill_until(ends[0], deadline, arguments[0], &buffer, reterr);
                if (r < 0)
                        killpg(pid, SIGKILL);
                int ended = collect(pid, deadline, arguments[0], r < 0 ? NULL : reterr);
                r = r < 0 ? r : ended;
        }
        close(ends[0]);
        if (r == 0)
                r = take(&buffer, arguments[0], ret, reterr);
        explicit_bzero(&buffer, sizeof buffer);
        return r;
}
