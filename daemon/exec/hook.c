/* A local program. Owns its pipes and, until it has ended, the duty to reap it, which outlives an abandoned hook. The
 * child must never get a descriptor, a signal mask or an environment of ours. */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "text.h"

#define OUTPUT_MAX (64 * 1024)
#define KILL_DELAY (2 * USEC_SEC)
#define GIVE_UP_DELAY (1 * USEC_SEC) /* after SIGKILL: it hangs in the kernel */
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

typedef enum State {
        STATE_RUNNING,
        STATE_TERMINATED, /* SIGTERM was sent */
        STATE_KILLED,     /* SIGKILL was sent */
        STATE_GIVEN_UP,
        STATE_ENDED,
} State;

typedef struct Stream {
        Hook *hook;
        int fd;
        Io *io;
        Text text;
} Stream;

struct Hook {
        Loop *loop;
        State state;
        char *name;
        pid_t pid;
        Child *child;
        Timer *timer;
        usec_t began;
        Stream in, out, err; /* in.text is what is still to be written from in_done on */
        size_t in_done;
        bool timed_out;
        int exit_status;
        Failure failure;
        hook_fn done; /* NULL when abandoned or left */
        void *userdata;
};

/* Streams. */

static void stream_close(Stream *stream)
{
        stream->io = io_free(stream->io);
        if (stream->fd >= 0)
                close(stream->fd);
        stream->fd = -1;
}

static void on_writable(int fd, uint32_t revents, void *userdata)
{
        Stream *stream = userdata;
        Hook *hook = stream->hook;
        ssize_t n = write(fd, stream->text.data + hook->in_done, stream->text.length - hook->in_done);
        if (n > 0)
                hook->in_done += (size_t) n;
        bool failed = n < 0 && errno != EAGAIN && errno != EINTR; /* it need not read what it is told */
        if (failed || hook->in_done == stream->text.length)
                stream_close(stream);
}

typedef enum Progress { PROGRESS_SOME, PROGRESS_NONE, PROGRESS_END } Progress;

/* What goes beyond the limit is read and thrown away, so that the program is not held up. */
static Progress read_some(Stream *stream)
{
        char buffer[4096];
        ssize_t n = read(stream->fd, buffer, sizeof buffer);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? PROGRESS_NONE : PROGRESS_END;
        size_t room = OUTPUT_MAX - stream->text.length;
        text_add_n(&stream->text, buffer, (size_t) n < room ? (size_t) n : room);
        return n > 0 ? PROGRESS_SOME : PROGRESS_END;
}

static void on_readable(int fd, uint32_t revents, void *userdata)
{
        Stream *stream = userdata;
        if (read_some(stream) == PROGRESS_END)
                stream_close(stream);
}

/* The end of the program counts, not that of its pipes: a grandchild may hold them for days. */
static void drain(Stream *stream)
{
        for (int i = 0; stream->fd >= 0 && i < OUTPUT_MAX / 4096 && read_some(stream) == PROGRESS_SOME; i++)
                ;
        stream_close(stream);
}

/* Ends. */

static void hook_free(Hook *hook)
{
        stream_close(&hook->in);
        stream_close(&hook->out);
        stream_close(&hook->err);
        text_done(&hook->in.text);
        text_done(&hook->out.text);
        text_done(&hook->err.text);
        child_free(hook->child);
        timer_free(hook->timer);
        free(hook->name);
        free(hook);
}

static const char *text_or_empty(const Text *text)
{
        return text->data ? text->data : "";
}

static void report(Hook *hook)
{
        hook_fn done = TAKE(hook->done);
        if (!done)
                return;
        HookResult result = { hook->failure, hook->exit_status, text_or_empty(&hook->out.text),
                              text_or_empty(&hook->err.text) };
        done(&result, hook->userdata);
}

static void judge(Hook *hook, int status)
{
        hook->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (hook->timed_out) {
                CLEANUP(mem_free) char *waited = usec_format_human(usec_now_monotonic() - hook->began);
                failure_set(&hook->failure, FAILURE_TIMEOUT, 0, "%s did not end by itself and was ended after %s",
                            hook->name, waited);
        } else if (WIFSIGNALED(status))
                failure_set(&hook->failure, FAILURE_EXIT, hook->exit_status, "%s was ended by signal %d", hook->name,
                            WTERMSIG(status));
        else if (hook->exit_status != 0)
                failure_set(&hook->failure, FAILURE_EXIT, hook->exit_status, "%s ended with status %d", hook->name,
                            hook->exit_status);
}

static void on_child(pid_t pid, int status, void *userdata)
{
        Hook *hook = userdata;
        hook->state = STATE_ENDED;
        drain(&hook->out);
        drain(&hook->err);
        judge(hook, status);
        report(hook);
        hook_free(hook);
}

static void escalate(Hook *hook)
{
        switch (hook->state) {
        case STATE_RUNNING:
                (void) kill(-hook->pid, SIGTERM);
                hook->state = STATE_TERMINATED;
                timer_set_in(hook->timer, KILL_DELAY);
                return;
        case STATE_TERMINATED:
                (void) kill(-hook->pid, SIGKILL);
                hook->state = STATE_KILLED;
                timer_set_in(hook->timer, GIVE_UP_DELAY);
                return;
        case STATE_KILLED:
                hook->state = STATE_GIVEN_UP;
                failure_set(&hook->failure, FAILURE_TIMEOUT, 0, "%s cannot be ended, it hangs in the kernel",
                            hook->name);
                report(hook);
                return;
        case STATE_GIVEN_UP:
        case STATE_ENDED:
                break;
        }
}

static void on_timer(void *userdata)
{
        Hook *hook = userdata;
        if (!hook->child) { /* it was never started */
                report(hook);
                hook_free(hook);
                return;
        }
        hook->timed_out = true;
        escalate(hook);
}

/* The start. */

typedef struct Pipes {
        int in[2], out[2], err[2];
} Pipes;

static void close_pipe(int pipe[2])
{
        for (int i = 0; i < 2; i++)
                if (pipe[i] >= 0)
                        close(pipe[i]);
}

static int open_pipes(Pipes *pipes)
{
        *pipes = (Pipes){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
        if (pipe2(pipes->in, O_CLOEXEC) < 0 || pipe2(pipes->out, O_CLOEXEC) < 0 || pipe2(pipes->err, O_CLOEXEC) < 0) {
                int error = errno;
                close_pipe(pipes->in);
                close_pipe(pipes->out);
                close_pipe(pipes->err);
                return -error;
        }
        return 0;
}

static void say(const char *text)
{
        ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
        (void) ignored;
}

/* In the child, between fork and exec: other threads' locks may be held for ever here, so nothing but system calls. */
static void become(const char *const *argv, char *const *environment, const Pipes *pipes, pid_t daemon)
{
        sigset_t none;
        sigemptyset(&none);
        (void) setpgid(0, 0);
        /* The next daemon takes back what this hook has done, or runs it again: it must not be at work still. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != daemon)
                _exit(127);
        for (int i = 1; i < NSIG; i++)
                (void) signal(i, SIG_DFL);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(pipes->in[0], STDIN_FILENO) < 0 || dup2(pipes->out[1], STDOUT_FILENO) < 0 ||
            dup2(pipes->err[1], STDERR_FILENO) < 0)
                _exit(127);
        (void) close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
        if (chdir("/") == 0)
                (void) execve(argv[0], (char *const *) argv, environment);
        const char *cause = strerrordesc_np(errno);
        say("cannot execute ");
        say(argv[0]);
        say(": ");
        say(cause ? cause : "unknown error");
        say("\n");
        _exit(127);
}

static bool has_variable(char *const *environment, const char *name)
{
        for (; *environment; environment++)
                if (text_starts_with(*environment, name))
                        return true;
        return false;
}

static char **make_environment(const char *const *extra)
{
        size_t n = 0;
        while (extra && extra[n])
                n++;
        char **environment = ALLOC_ARRAY(char *, n + 3);
        const char *language = getenv("LANG");
        for (size_t i = 0; i < n; i++)
                environment[i] = alloc_string(extra[i]);
        if (!has_variable(environment, "PATH="))
                environment[n++] = alloc_string(PATH);
        if (!has_variable(environment, "LANG="))
                environment[n++] = text_format("LANG=%s", language ? language : "C.UTF-8");
        return environment;
}

static void free_environment(char **environment)
{
        for (char **variable = environment; *variable; variable++)
                text_wipe(*variable);
        free(environment);
}

static void stream_open(Stream *stream, Hook *hook, int fd, uint32_t events, io_fn fn)
{
        (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        stream->hook = hook;
        stream->fd = fd;
        stream->io = io_new(hook->loop, fd, events, fn, stream);
}

static void open_streams(Hook *hook, const Pipes *pipes)
{
        close(pipes->in[0]);
        close(pipes->out[1]);
        close(pipes->err[1]);
        stream_open(&hook->in, hook, pipes->in[1], EPOLLOUT, on_writable);
        stream_open(&hook->out, hook, pipes->out[0], EPOLLIN, on_readable);
        stream_open(&hook->err, hook, pipes->err[0], EPOLLIN, on_readable);
        if (hook->in.text.length == 0)
                stream_close(&hook->in);
}

static int start(Hook *hook, const char *const *argv, const char *const *extra)
{
        Pipes pipes;
        int r = open_pipes(&pipes);
        if (r < 0)
                return r;
        char **environment = make_environment(extra);
        pid_t daemon = getpid();
        hook->pid = fork();
        int error = errno;
        if (hook->pid == 0)
                become(argv, environment, &pipes, daemon);
        free_environment(environment);
        if (hook->pid < 0) {
                close_pipe(pipes.in);
                close_pipe(pipes.out);
                close_pipe(pipes.err);
                return -error;
        }
        (void) setpgid(hook->pid, hook->pid); /* in both, so that it is true whoever runs first */
        open_streams(hook, &pipes);
        hook->child = child_new(hook->loop, hook->pid, on_child, hook);
        if (hook->child)
                return 0;
        (void) kill(-hook->pid, SIGKILL);
        return -ECHILD;
}

Hook *hook_run(Loop *loop, const char *name, const char *const *argv, const char *input, const char *const *environment,
               usec_t deadline, hook_fn done, void *userdata)
{
        Hook *hook = ALLOC(Hook);
        *hook = (Hook){ .loop = loop, .exit_status = -1, .done = done, .userdata = userdata };
        hook->in.fd = hook->out.fd = hook->err.fd = -1;
        hook->name = alloc_string(name);
        hook->began = usec_now_monotonic();
        hook->timer = timer_new(loop, USEC_MSEC, on_timer, hook);
        if (input)
                text_add(&hook->in.text, input);
        int r = start(hook, argv, environment);
        if (r < 0) {
                failure_errno(&hook->failure, r, "cannot start %s", name);
                deadline = 0;
        }
        timer_set(hook->timer, deadline);
        return hook;
}

Hook *hook_abandon(Hook *hook)
{
        if (!hook)
                return NULL;
        hook->done = NULL;
        if (!hook->child)
                hook_free(hook);
        else if (hook->state == STATE_RUNNING)
                escalate(hook);
        return NULL;
}

Hook *hook_leave(Hook *hook)
{
        if (!hook)
                return NULL;
        hook->done = NULL;
        if (!hook->child)
                hook_free(hook);
        return NULL;
}
