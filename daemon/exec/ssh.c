/* One SSH session. Owns the libssh session, its Io, its tasks and their channels. libssh calls back in the middle of
 * its own work, so its callbacks only note what came; tasks are stepped afterwards and reported from the loop, one at a
 * time. Must never block: libssh makes its socket blocking while it connects, so that is undone after each call. Ports on
 * the host are forward.c's. */
#include "ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "address.h"
#include "alloc.h"
#include "file.h"
#include "host.h"
#include "hostkey.h"
#include "scrub.h"
#include "ssh-inside.h"

#define OUTPUT_MAX (64 * 1024)
#define IDENTITY_MAX ((size_t) 16000) /* read in one piece, of which no copy is left */
#define CHANNELS_MAX 8 /* sshd's default limit is 10, and it counts those that it has not yet cleared away */
#define RETRY_DELAY (20 * USEC_MSEC)
#define PUMP 4096                  /* libssh reads so much at a time */
#define PUMPS_MAX 32               /* before others have their turn */
#define SILENCE_MAX (5 * USEC_SEC) /* of TCP, on a session that is up */

struct SshIdentity {
        ssh_key key;
};

typedef enum TaskState {
        TASK_QUEUED,
        TASK_OPENING,    /* its channel */
        TASK_REQUESTING, /* the command */
        TASK_RUNNING,
        TASK_DONE, /* to be reported */
} TaskState;

struct SshTask {
        SshLink *link;
        SshTask *previous, *next;
        TaskState state;
        Timer *timer;
        usec_t began;

        char *command; /* NULL for a probe */
        bool listens;  /* its standard input is open */
        char *words;   /* what is to be told to it */
        char *host;    /* of a probe */
        uint16_t port;

        ssh_channel channel;
        uint32_t number; /* libssh's number of the channel: it stands in the sentence when opening fails */
        struct ssh_channel_callbacks_struct callbacks;
        ssh_channel canary; /* of a probe: opened beside it, to know that the host itself still answers */
        bool host_answers;
        bool eof, closed, cut;
        Text out, err; /* a probe's bytes are in out */

        usec_t patience; /* of a stream; 0 for the others */
        usec_t heard;    /* when bytes came, or when it was told to go on */
        Input input;
        bool *gone; /* while on_bytes is called: set when the task is destroyed */

        int exit_status;
        Failure failure;
        Greeting greeting;
        ssh_bytes_fn on_bytes;
        ssh_result_fn on_result;
        greeting_fn on_greeting;
        void *userdata;
};

static void serve(SshLink *link);

/* Identity. */

static int refuse_passphrase(const char *prompt, char *buffer, size_t length, int echo, int verify, void *userdata)
{
        *(bool *) userdata = true;
        return -1;
}

int ssh_identity_load(const char *file, SshIdentity **ret, Failure *reterr)
{
        int r = file_check_private(file, reterr);
        if (r < 0)
                return r;
        bool encrypted = false;
        ssh_key key = NULL;
        char *text = NULL;
        (void) ssh_init();
        if ((r = file_read(file, IDENTITY_MAX, &text, NULL, reterr)) < 0)
                return r;
        scrub_begin(); /* the library frees copies of the text as they are */
        r = ssh_pki_import_privkey_base64(text, NULL, refuse_passphrase, &encrypted, &key);
        scrub_end();
        text_wipe(text);
        if (r != SSH_OK) {
                if (encrypted)
                        return failure_set(reterr, FAILURE_INVALID, 0,
                                           "the SSH key %s has a passphrase, which nobody can type here; make one "
                                           "without: ssh-keygen -t ed25519 -N '' -f FILE",
                                           file);
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is not an SSH private key", file);
        }
        *ret = ALLOC(SshIdentity);
        (*ret)->key = key;
        return 0;
}

SshIdentity *ssh_identity_free(SshIdentity *identity)
{
        if (!identity)
                return NULL;
        ssh_key_free(identity->key);
        free(identity);
        return NULL;
}

/* Reporting: from the loop, one at a time, tasks before the state of the link. */

static void release_channel(SshTask *task)
{
        if (task->canary)
                ssh_channel_free(task->canary);
        task->canary = NULL;
        if (!task->channel)
                return;
        (void) ssh_remove_channel_callbacks(task->channel, &task->callbacks);
        ssh_channel_free(task->channel);
        task->channel = NULL;
        task->link->n_open--;
}

static void task_unlink(SshTask *task)
{
        SshLink *link = task->link;
        if (task->previous)
                task->previous->next = task->next;
        else
                link->tasks = task->next;
        if (task->next)
                task->next->previous = task->previous;
        link->n_tasks--;
}

static void task_destroy(SshTask *task)
{
        if (task->gone)
                *task->gone = true;
        release_channel(task);
        task_unlink(task);
        timer_free(task->timer);
        text_done(&task->out);
        text_done(&task->err);
        text_done(&task->input.bytes);
        free(task->command);
        free(task->words);
        free(task->host);
        free(task);
}

static void task_report(SshTask *task)
{
        ssh_result_fn on_result = task->on_result;
        greeting_fn on_greeting = task->on_greeting;
        void *userdata = task->userdata;
        Greeting greeting = task->greeting;
        CLEANUP(mem_free) char *out = text_take(&task->out), *err = text_take(&task->err);
        SshResult result = { task->failure, task->exit_status, out, err, task->cut };
        task_destroy(task);
        if (on_greeting)
                on_greeting(&greeting, userdata);
        else
                on_result(&result, userdata);
}

static SshTask *first_done(const SshLink *link)
{
        SshTask *task = link->tasks;
        while (task && task->state != TASK_DONE)
                task = task->next;
        return task;
}

static void announce(SshLink *link)
{
        bool first = !link->announced, dead = link->state == LINK_DEAD;
        Failure failure = link->failure;
        if (first ? link->state < LINK_UP : !dead)
                return;
        link->announced = true;
        ssh_link_ready_fn ready = link->ready;
        ssh_link_lost_fn lost = link->lost;
        if (dead) { /* the last word */
                link->ready = NULL;
                link->lost = NULL;
        }
        if (first && ready)
                ready(link, dead ? &failure : NULL, link->userdata);
        else if (!first && lost)
                lost(link, &failure, link->userdata);
}

/* Handing over bytes: of streams, and of what came through ports of the host. */

static bool has_bytes(const SshTask *task)
{
        return task->state == TASK_RUNNING && task->input.bytes.length > 0 && !task->input.held;
}

static SshTask *first_with_bytes(const SshLink *link)
{
        SshTask *task = link->tasks;
        while (task && !has_bytes(task))
                task = task->next;
        return task;
}

static void hand_over(SshTask *task)
{
        bool gone = false;
        Text bytes = task->input.bytes;
        task->input.bytes = (Text){ 0 };
        task->heard = usec_now_monotonic();
        /* cppcheck-suppress autoVariables ; it is taken back below, before this function ends */
        task->gone = &gone;
        task->on_bytes(bytes.data, bytes.length, task->userdata);
        if (!gone) {
                task->gone = NULL;
                if (!task->input.bytes.data) { /* its memory serves again */
                        bytes.length = 0;
                        task->input.bytes = bytes;
                        return;
                }
        }
        text_done(&bytes);
}

static bool is_due(SshLink *link)
{
        return first_with_bytes(link) || forward_is_due(link);
}

/* False when the link is gone. */
static bool deliver(SshLink *link)
{
        SshTask *task;
        link->delivering = true;
        while (!link->doomed && (task = first_with_bytes(link)))
                hand_over(task);
        if (!link->doomed)
                forward_deliver(link);
        link->delivering = false;
        if (link->doomed) {
                free(link);
                return false;
        }
        if (link->state == LINK_UP)
                serve(link); /* a stream that has handed over everything can end */
        else if (is_due(link))
                ssh_link_schedule(link);
        return true;
}

static void on_report(void *userdata)
{
        SshLink *link = userdata;
        link->reporter = NULL;
        if (is_due(link) && !deliver(link))
                return;
        SshTask *task = first_done(link);
        if (!task) {
                announce(link);
                return;
        }
        ssh_link_schedule(link); /* before calling out: the link may be gone afterwards */
        task_report(task);
}

void ssh_link_schedule(SshLink *link)
{
        if (!link->reporter)
                link->reporter = loop_defer(link->loop, on_report, link);
}

/* Ends. */

static void task_finish(SshTask *task)
{
        release_channel(task);
        timer_stop(task->timer);
        task->state = TASK_DONE;
        ssh_link_schedule(task->link);
}

static void task_fail(SshTask *task, const Failure *failure)
{
        task->failure = *failure;
        greeting_set(&task->greeting, GREETING_UNASKED, "%s", failure->text);
        task_finish(task);
}

/* The Io goes first: libssh closes its descriptor here, or has done so already when it ran into an error. */
static void disconnect(SshLink *link)
{
        link->io = io_free(link->io);
        timer_stop(link->timer);
        timer_stop(link->retry);
        for (SshTask *task = link->tasks; task; task = task->next)
                release_channel(task);
        forward_end(link);
        if (link->event) {
                (void) ssh_event_remove_session(link->event, link->session);
                ssh_event_free(link->event);
        }
        link->event = NULL;
        if (link->session) {
                if (link->state == LINK_UP)
                        ssh_disconnect(link->session);
                ssh_free(link->session);
        }
        link->session = NULL;
        link->state = LINK_DEAD;
}

/* link->failure says why. */
static void break_link(SshLink *link)
{
        disconnect(link);
        for (SshTask *task = link->tasks; task; task = task->next)
                if (task->state != TASK_DONE)
                        task_fail(task, &link->failure);
        ssh_link_schedule(link);
}

SshLink *ssh_link_free(SshLink *link)
{
        if (!link)
                return NULL;
        while (link->tasks)
                task_destroy(link->tasks);
        disconnect(link);
        forward_orphan(link);
        timer_free(link->timer);
        timer_free(link->retry);
        timer_free(link->reporter);
        free(link->name);
        free(link->address);
        free(link->user);
        free(link->known_hosts_file);
        link->doomed = true;
        if (!link->delivering)
                free(link);
        return NULL;
}

/* Tasks: what libssh tells. */

static void keep(SshTask *task, Text *text, const void *data, uint32_t length)
{
        size_t room = OUTPUT_MAX - text->length;
        if (length > room)
                task->cut = true;
        text_add_n(text, data, length < room ? length : room);
}

int input_take(Input *input, const void *data, uint32_t length)
{
        if (input->held || input->bytes.length - input->taken >= INPUT_MAX) {
                input->left = true;
                return 0;
        }
        text_add_n(&input->bytes, data, length);
        input->left = false;
        return (int) length;
}

bool input_refill(Input *input, ssh_channel channel)
{
        char buffer[16384];
        bool any = false;
        if (!input->left || input->held || input->bytes.length - input->taken > 0)
                return false;
        input->left = false;
        for (;;) {
                int n = ssh_channel_read_nonblocking(channel, buffer, sizeof buffer, 0);
                if (n <= 0)
                        return any;
                text_add_n(&input->bytes, buffer, (size_t) n);
                any = true;
        }
}

static int on_data(ssh_session session, ssh_channel channel, void *data, uint32_t length, int is_stderr, void *userdata)
{
        SshTask *task = userdata;
        if (task->on_bytes && !is_stderr)
                return input_take(&task->input, data, length);
        keep(task, is_stderr ? &task->err : &task->out, data, length);
        return (int) length;
}

static void on_eof(ssh_session session, ssh_channel channel, void *userdata)
{
        ((SshTask *) userdata)->eof = true;
}

static void on_close(ssh_session session, ssh_channel channel, void *userdata)
{
        ((SshTask *) userdata)->closed = true;
}

static void on_exit_status(ssh_session session, ssh_channel channel, int status, void *userdata)
{
        ((SshTask *) userdata)->exit_status = status;
}

static void on_exit_signal(ssh_session session, ssh_channel channel, const char *name, int core, const char *message,
                           const char *language, void *userdata)
{
        SshTask *task = userdata;
        task->exit_status = 128;
        for (int i = 1; i < NSIG; i++)
                if (text_equal(sigabbrev_np(i), name))
                        task->exit_status = 128 + i;
}

/* Tasks: their steps. Each returns true when it got on, so that the others are looked at again: any call of libssh
 * may have taken in what concerns another channel. */

static ssh_channel new_channel(SshLink *link)
{
        ssh_channel channel = ssh_channel_new(link->session);
        if (!channel)
                abort(); /* out of memory is the only cause */
        return channel;
}

static bool step_queued(SshTask *task)
{
        SshLink *link = task->link;
        if (link->state != LINK_UP || link->held || link->n_open >= CHANNELS_MAX)
                return false;
        task->channel = new_channel(link);
        task->callbacks = (struct ssh_channel_callbacks_struct){
                .userdata = task,
                .channel_data_function = on_data,
                .channel_eof_function = on_eof,
                .channel_close_function = on_close,
                .channel_exit_status_function = on_exit_status,
                .channel_exit_signal_function = on_exit_signal,
        };
        ssh_callbacks_init(&task->callbacks);
        (void) ssh_set_channel_callbacks(task->channel, &task->callbacks);
        link->n_open++;
        task->number = 0;
        task->state = TASK_OPENING;
        return true;
}

/* "Channel opening failure: channel 43 error (2) Connection refused". False when the session's last sentence is about
 * another channel or about something else. */
static bool read_refusal(const SshTask *task, unsigned *ret_code, const char **ret_text)
{
        unsigned number;
        int at = 0;
        const char *sentence = strstr(ssh_get_error(task->link->session), "channel ");
        if (!sentence || sscanf(sentence, "channel %u error (%u) %n", &number, ret_code, &at) < 2 || at == 0)
                return false;
        *ret_text = sentence + at;
        return number == task->number;
}

/* sshd tells by strerror() what its connect(2) met. */
static void judge_refusal(SshTask *task, unsigned code, const char *text)
{
        static const struct {
                const char *words;
                int error;
        } known[] = {
                { "Connection refused", ECONNREFUSED },     { "Connection timed out", ETIMEDOUT },
                { "No route to host", EHOSTUNREACH },       { "Network is unreachable", ENETUNREACH },
                { "Connection reset by peer", ECONNRESET },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
                if (strstr(text, known[i].words)) {
                        greeting_from_errno(&task->greeting, known[i].error);
                        return;
                }
        greeting_set(&task->greeting, GREETING_UNASKED,
                     code == 1 ? "sshd on %s forbids forwarding (AllowTcpForwarding, PermitOpen): %s"
                               : "%s cannot connect there: %s",
                     task->link->name, text);
        task->greeting.forbidden = code == 1;
}

/* A session: those that sshd has not yet cleared away count against its limit. A probe: nobody can say why it was
 * refused, because another one was in the same moment. Either is worth another try in a little while. */
static void try_again(SshTask *task)
{
        release_channel(task);
        task->state = TASK_QUEUED;
        task->link->held = true;
        timer_set_in(task->link->retry, RETRY_DELAY);
}

static void open_refused(SshTask *task)
{
        unsigned code;
        const char *text;
        if (!task->command && read_refusal(task, &code, &text)) {
                judge_refusal(task, code, text);
                task_finish(task);
        } else
                try_again(task);
}

static bool watch_canary(SshTask *task)
{
        if (task->host_answers)
                return false;
        if (!task->canary) {
                task->canary = new_channel(task->link);
                task->link->last_number++;
        }
        if (ssh_channel_open_session(task->canary) == SSH_AGAIN)
                return false;
        task->host_answers = true; /* by a refusal, too */
        ssh_channel_free(task->canary);
        task->canary = NULL;
        return true;
}

static bool step_opening(SshTask *task)
{
        if (task->number == 0) /* libssh gives the next one in the first of these calls */
                task->number = ++task->link->last_number;
        int r = task->command ? ssh_channel_open_session(task->channel)
                              : ssh_channel_open_forward(task->channel, task->host, task->port, "127.0.0.1", 0);
        if (r == SSH_AGAIN)
                return task->command ? false : watch_canary(task);
        if (r == SSH_OK)
                task->state = task->command ? TASK_REQUESTING : TASK_RUNNING;
        else
                open_refused(task);
        return true;
}

static bool step_requesting(SshTask *task)
{
        int r = ssh_channel_request_exec(task->channel, task->command);
        if (r == SSH_AGAIN)
                return false;
        if (r != SSH_OK) {
                Failure failure;
                failure_set(&failure, FAILURE_SSH, 0, "sshd on %s does not start the command", task->link->name);
                task_fail(task, &failure);
                return true;
        }
        if (!task->listens)
                (void) ssh_channel_send_eof(task->channel); /* nothing comes on its standard input */
        task->state = TASK_RUNNING;
        return true;
}

/* Few enough that a window has room for them. */
static bool tell(SshTask *task)
{
        if (!task->words)
                return false;
        CLEANUP(mem_free) char *words = TAKE(task->words);
        (void) ssh_channel_write(task->channel, words, (uint32_t) strlen(words));
        (void) ssh_channel_send_eof(task->channel);
        task->listens = false;
        return true;
}

static bool step_command(SshTask *task)
{
        if (tell(task) || input_refill(&task->input, task->channel))
                return true;
        if (!task->closed || task->input.left || task->input.bytes.length > 0)
                return false;
        if (task->exit_status < 0)
                failure_set(&task->failure, FAILURE_SSH, 0, "%s closed the channel without an exit status",
                            task->link->name);
        task->link->warm = true;
        task_finish(task);
        return true;
}

static bool step_probe(SshTask *task)
{
        if (greeting_parse(task->out.data, task->out.length, &task->greeting) == 0) {
                if (!task->eof && !task->closed)
                        return false;
                greeting_set(&task->greeting, GREETING_CLOSED, "the connection was closed before the server greeted");
        }
        task_finish(task);
        return true;
}

static bool task_step(SshTask *task)
{
        switch (task->state) {
        case TASK_QUEUED:
                return step_queued(task);
        case TASK_OPENING:
                return step_opening(task);
        case TASK_REQUESTING:
                return step_requesting(task);
        case TASK_RUNNING:
                return task->command ? step_command(task) : step_probe(task);
        case TASK_DONE:
                break;
        }
        return false;
}

/* A stream may take its time as long as it does not rest. */
static bool is_patient(SshTask *task)
{
        usec_t now = usec_now_monotonic();
        if (task->patience == 0)
                return false;
        if (task->input.held)
                task->heard = now;
        if (usec_add(task->heard, task->patience) <= now)
                return false;
        timer_set(task->timer, usec_add(task->heard, task->patience));
        return true;
}

static void on_task_deadline(void *userdata)
{
        SshTask *task = userdata;
        SshLink *link = task->link;
        if (is_patient(task))
                return;
        CLEANUP(mem_free) char *waited = usec_format_human(usec_now_monotonic() - task->began);
        Failure failure;
        if (task->patience && task->state == TASK_RUNNING)
                failure_set(&failure, FAILURE_TIMEOUT, 0, "the command on %s has sent nothing for too long",
                            link->name);
        else if (task->command && task->state == TASK_RUNNING)
                failure_set(&failure, FAILURE_TIMEOUT, 0, "the command on %s did not end within %s", link->name,
                            waited);
        else if (task->command)
                failure_set(&failure, FAILURE_TIMEOUT, 0, "sshd on %s did not start the command within %s", link->name,
                            waited);
        else
                failure_set(&failure, FAILURE_TIMEOUT, 0, "%s could not be asked within %s", link->name, waited);
        TaskState state = task->state;
        task_fail(task, &failure);
        if (!task->command && state == TASK_RUNNING)
                greeting_set(&task->greeting, GREETING_FROZEN, "the port is open, but nothing greets");
        else if (!task->command && state == TASK_OPENING && task->host_answers)
                greeting_set(&task->greeting, GREETING_TIMEOUT, "no answer to the connection attempt");
        if (link->state == LINK_UP)
                serve(link); /* a slot is free */
}

/* The session. */

static void restore_nonblocking(SshLink *link)
{
        int fd = ssh_get_fd(link->session);
        if (fd >= 0)
                (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* sshd delays small packets until it has run its first command, and we delay their acknowledgement: 40 ms a time. To be
 * called before and after whatever may read. */
static void hurry(SshLink *link)
{
        int on = 1;
        if (!link->warm)
                (void) setsockopt(ssh_get_fd(link->session), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static void update_events(SshLink *link)
{
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        if (!link->io)
                return;
        hurry(link);
        bool writing = ssh_get_poll_flags(link->session) & SSH_WRITE_PENDING;
        if (link->state == LINK_CONNECT &&
            getpeername(ssh_get_fd(link->session), (struct sockaddr *) &peer, &length) < 0)
                writing = true;
        io_set_events(link->io, EPOLLIN | (writing ? EPOLLOUT : 0u));
}

static bool is_gone(const SshLink *link)
{
        return !ssh_is_connected(link->session) || ssh_get_status(link->session) & (SSH_CLOSED | SSH_CLOSED_ERROR);
}

static void lose(SshLink *link)
{
        const char *text = ssh_get_error(link->session);
        failure_set(&link->failure, FAILURE_SSH, 0, "the SSH session to %s has ended%s%s", link->name,
                    text_is_empty(text) ? "" : ": ", text);
        break_link(link);
}

static void serve(SshLink *link)
{
        bool progress = true;
        while (progress && !is_gone(link)) {
                progress = false;
                for (SshTask *task = link->tasks; task; task = task->next)
                        progress |= task_step(task);
                progress |= forward_step(link);
        }
        if (is_gone(link)) {
                lose(link);
                return;
        }
        update_events(link);
        if (!link->turning && is_due(link))
                ssh_link_schedule(link);
}

void ssh_link_stir(SshLink *link)
{
        if (link->state == LINK_UP)
                serve(link);
}

static void come_up(SshLink *link)
{
        timer_stop(link->timer);
        link->state = LINK_UP;
        link->stage = SSH_STAGE_UP;
        address_set_keepalive(ssh_get_fd(link->session), SILENCE_MAX);
        link->event = ssh_event_new();
        (void) ssh_event_add_session(link->event, link->session);
        forward_start(link);
        ssh_link_schedule(link);
        serve(link);
}

static void fail(SshLink *link, const char *text)
{
        CLEANUP(mem_free) char *place = host_and_port(link->address, link->port);
        failure_set(&link->failure, FAILURE_SSH, 0, "SSH to %s (%s): %s", link->name, place, text);
        break_link(link);
}

static void step_login(SshLink *link)
{
        switch ((enum ssh_auth_e) ssh_userauth_publickey(link->session, NULL, link->identity->key)) {
        case SSH_AUTH_AGAIN:
                update_events(link);
                return;
        case SSH_AUTH_SUCCESS:
                come_up(link);
                return;
        case SSH_AUTH_DENIED: {
                CLEANUP(mem_free) char *text = text_format("the key is not accepted for user %s", link->user);
                fail(link, text);
                return;
        }
        case SSH_AUTH_PARTIAL:
                fail(link, "the host wants more than the key");
                return;
        case SSH_AUTH_INFO:
        case SSH_AUTH_ERROR:
                break;
        }
        fail(link, ssh_get_error(link->session));
}

static void on_io(int fd, uint32_t revents, void *userdata);

static void step_connect(SshLink *link)
{
        int r = ssh_connect(link->session);
        restore_nonblocking(link);
        if (r != SSH_AGAIN && r != SSH_OK) {
                fail(link, ssh_get_error(link->session));
                return;
        }
        if (!link->io) {
                (void) fcntl(ssh_get_fd(link->session), F_SETFD, FD_CLOEXEC);
                link->io = io_new(link->loop, ssh_get_fd(link->session), EPOLLIN | EPOLLOUT, on_io, link);
                /* The connection is to the address; from here on the host's name only matters for known_hosts. */
                (void) ssh_options_set(link->session, SSH_OPTIONS_HOST, link->lookup_name);
        }
        if (r == SSH_AGAIN) {
                update_events(link);
                return;
        }
        link->stage = SSH_STAGE_HOST_KEY;
        if (hostkey_check(link->session, link->lookup_name, link->port, link->known_hosts_file, link->accept_unknown,
                          &link->failure) < 0) {
                break_link(link);
                return;
        }
        link->state = LINK_LOGIN;
        link->stage = SSH_STAGE_LOGIN;
        step_login(link);
}

static void pump(SshLink *link)
{
        int waiting = 0;
        if (ioctl(ssh_get_fd(link->session), FIONREAD, &waiting) < 0)
                waiting = 0;
        for (int i = 0; i == 0 || (i < PUMPS_MAX && i * PUMP < waiting && !is_gone(link)); i++)
                (void) ssh_event_dopoll(link->event, 0);
}

static void turn(SshLink *link)
{
        link->turning = true;
        pump(link);
        serve(link);
        link->turning = false;
        if (link->state == LINK_UP && is_due(link))
                (void) deliver(link);
}

static void on_io(int fd, uint32_t revents, void *userdata)
{
        SshLink *link = userdata;
        hurry(link);
        switch (link->state) {
        case LINK_CONNECT:
                step_connect(link);
                return;
        case LINK_LOGIN:
                step_login(link);
                return;
        case LINK_UP:
                turn(link);
                return;
        case LINK_DEAD:
                break;
        }
}

static void on_deadline(void *userdata)
{
        SshLink *link = userdata;
        CLEANUP(mem_free) char *waited = usec_format_human(usec_now_monotonic() - link->began);
        CLEANUP(mem_free) char *place = host_and_port(link->address, link->port);
        failure_set(&link->failure, FAILURE_TIMEOUT, 0, "SSH to %s (%s): %s within %s", link->name, place,
                    link->state == LINK_LOGIN ? "the login did not end" : "no session", waited);
        break_link(link);
}

static void on_retry(void *userdata)
{
        SshLink *link = userdata;
        link->held = false;
        serve(link);
}

static bool set_options(SshLink *link)
{
        int no = 0, yes = 1;
        unsigned port = link->port;
        ssh_session session = link->session;
        bool good = ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) == SSH_OK &&
                    ssh_options_set(session, SSH_OPTIONS_NODELAY, &yes) == SSH_OK &&
                    ssh_options_set(session, SSH_OPTIONS_PORT, &port) == SSH_OK &&
                    ssh_options_set(session, SSH_OPTIONS_USER, link->user) == SSH_OK &&
                    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, link->known_hosts_file) == SSH_OK &&
                    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == SSH_OK;
        ssh_set_blocking(session, 0);
        link->lookup_name = hostkey_lookup_name(session, link->name, link->address);
        return good;
}

static void open_session(SshLink *link)
{
        link->session = ssh_new();
        if (!link->session)
                abort();
        /* libssh resolves names while we wait for it, so it must not be given one. */
        if (!address_is_literal(link->address) || !set_options(link))
                fail(link, "a parameter is invalid");
        else
                step_connect(link);
}

SshLink *ssh_link_new(Loop *loop, const SshParams *params, usec_t deadline, ssh_link_ready_fn ready,
                      ssh_link_lost_fn lost, void *userdata)
{
        (void) ssh_init();
        SshLink *link = ALLOC(SshLink);
        *link = (SshLink){
                .loop = loop,
                .name = alloc_string(params->name),
                .address = alloc_string(params->address),
                .user = alloc_string(params->user),
                .known_hosts_file = alloc_string(params->known_hosts_file ? params->known_hosts_file : "/dev/null"),
                .port = params->port,
                .accept_unknown = params->accept_unknown,
                .identity = params->identity,
                .last_number = 42, /* libssh's first channel is number 43 */
                .began = usec_now_monotonic(),
                .ready = ready,
                .lost = lost,
                .userdata = userdata,
        };
        link->timer = timer_new(loop, USEC_MSEC, on_deadline, link);
        link->retry = timer_new(loop, USEC_MSEC, on_retry, link);
        timer_set(link->timer, deadline);
        open_session(link);
        return link;
}

SshStage ssh_link_stage(const SshLink *link)
{
        return link->stage;
}

bool ssh_link_is_up(const SshLink *link)
{
        return link->state == LINK_UP;
}

bool ssh_link_is_broken(const SshLink *link)
{
        return link->state == LINK_DEAD;
}

size_t ssh_link_n_tasks(const SshLink *link)
{
        return link->n_tasks;
}

/* Tasks: given and taken back. */

static SshTask *task_new(SshLink *link, usec_t deadline, void *userdata)
{
        SshTask *task = ALLOC(SshTask);
        *task = (SshTask){ .link = link, .exit_status = -1, .began = usec_now_monotonic(), .userdata = userdata };
        task->timer = timer_new(link->loop, USEC_MSEC, on_task_deadline, task);
        timer_set(task->timer, deadline);
        SshTask **end = &link->tasks;
        while (*end) {
                task->previous = *end;
                end = &(*end)->next;
        }
        *end = task;
        link->n_tasks++;
        return task;
}

static SshTask *task_begin(SshTask *task)
{
        if (task->link->state == LINK_DEAD)
                task_fail(task, &task->link->failure);
        else if (task->link->state == LINK_UP)
                serve(task->link);
        return task;
}

SshTask *ssh_link_exec(SshLink *link, const char *command, usec_t deadline, ssh_result_fn done, void *userdata)
{
        SshTask *task = task_new(link, deadline, userdata);
        task->command = alloc_string(command);
        task->on_result = done;
        return task_begin(task);
}

static SshTask *stream_new(SshLink *link, const char *command, usec_t patience, ssh_bytes_fn on_bytes,
                           ssh_result_fn done, void *userdata)
{
        SshTask *task = task_new(link, usec_add(usec_now_monotonic(), patience), userdata);
        task->command = alloc_string(command);
        task->patience = patience;
        task->heard = task->began;
        task->on_bytes = on_bytes;
        task->on_result = done;
        return task;
}

SshTask *ssh_link_stream(SshLink *link, const char *command, usec_t patience, ssh_bytes_fn on_bytes, ssh_result_fn done,
                         void *userdata)
{
        return task_begin(stream_new(link, command, patience, on_bytes, done, userdata));
}

SshTask *ssh_link_talk(SshLink *link, const char *command, usec_t patience, ssh_bytes_fn on_bytes, ssh_result_fn done,
                       void *userdata)
{
        SshTask *task = stream_new(link, command, patience, on_bytes, done, userdata);
        task->listens = true;
        return task_begin(task);
}

void ssh_task_tell(SshTask *task, const char *words)
{
        if (!task->listens || task->words)
                return;
        task->words = alloc_string(words);
        ssh_link_stir(task->link);
}

void ssh_task_pause(SshTask *task)
{
        task->input.held = true;
}

void ssh_task_resume(SshTask *task)
{
        task->input.held = false;
        task->heard = usec_now_monotonic();
        ssh_link_stir(task->link);
}

SshTask *ssh_link_probe(SshLink *link, const char *host, uint16_t port, usec_t deadline, greeting_fn done,
                        void *userdata)
{
        SshTask *task = task_new(link, deadline, userdata);
        task->host = alloc_string(host);
        task->port = port;
        task->on_greeting = done;
        return task_begin(task);
}

SshTask *ssh_task_abandon(SshTask *task)
{
        if (!task)
                return NULL;
        SshLink *link = task->link;
        task_destroy(task);
        if (link->state == LINK_UP)
                serve(link); /* what libssh has to send, and a slot that is free */
        return NULL;
}
