/* Streams, reverse forwards and fetches over a real sshd. Not in the unit suite: `meson test --suite live`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fetch.h"
#include "file.h"
#include "live.h"
#include "ssh.h"
#include "text.h"

#define BIG (64 * 1024 * 1024)

static Live live;
static Loop *loop;
static SshIdentity *identity;
static SshLink *link_;
static bool link_ready, link_lost;
static usec_t longest, last_beat;
static Timer *beat;

static void on_beat(void *userdata)
{
        usec_t now = loop_now(loop);
        if (last_beat && now - last_beat > longest)
                longest = now - last_beat;
        last_beat = now;
        timer_set_in(beat, 5 * USEC_MSEC);
}

static bool spin(const bool *until, usec_t timeout)
{
        usec_t end = usec_add(loop_now(loop), timeout);
        last_beat = 0;
        timer_set_in(beat, 0);
        while (!*until && loop_now(loop) < end)
                loop_turn(loop, 10 * USEC_MSEC);
        timer_stop(beat);
        return *until;
}

static void pass(usec_t time)
{
        bool never = false;
        spin(&never, time);
}

static usec_t in(usec_t delay)
{
        return usec_add(loop_now(loop), delay);
}

static void on_ready(SshLink *link, const Failure *failure, void *userdata)
{
        if (failure)
                print_error("%s\n", failure->text);
        link_ready = !failure;
}

static void on_lost(SshLink *link, const Failure *failure, void *userdata)
{
        link_lost = true;
}

static int connect_link(void **state)
{
        CLEANUP(mem_free) char *known = live_path(&live, "known");
        SshParams params = { .name = LIVE_ADDRESS,
                             .address = LIVE_ADDRESS,
                             .port = live.ssh_port,
                             .user = "root",
                             .identity = identity,
                             .known_hosts_file = known };
        link_ready = link_lost = false;
        link_ = ssh_link_new(loop, &params, in(10 * USEC_SEC), on_ready, on_lost, NULL);
        return spin(&link_ready, 10 * USEC_SEC) ? 0 : -1;
}

static int free_link(void **state)
{
        link_ = ssh_link_free(link_);
        return 0;
}

/* What it has cost us, not the host: the machine may be busy with other things. */
static void tell_speed(const char *what, usec_t began, clock_t cpu)
{
        double megabytes = BIG / 1e6, seconds = (double) (loop_now(loop) - began) / 1e6;
        double ours = (double) (clock() - cpu) / CLOCKS_PER_SEC;
        print_message("%s: %.0f MB/s, %.2f ms of CPU a MB, longest turn %.1f ms\n", what, megabytes / seconds,
                      ours * 1000 / megabytes, (double) longest / 1000);
}

/* Streams. */

typedef struct Flow {
        SshTask *task;
        uint64_t bytes, sum;
        size_t largest;
        unsigned n;
        uint64_t stop_at; /* pause or free when so much has come */
        bool done, free_it, abandon_it;
        Failure failure;
        int status;
        char err[200];
} Flow;

static void on_bytes(const void *bytes, size_t length, void *userdata)
{
        Flow *flow = userdata;
        for (size_t i = 0; i < length; i += 512)
                flow->sum = flow->sum * 31 + ((const uint8_t *) bytes)[i];
        flow->bytes += length;
        flow->n++;
        if (length > flow->largest)
                flow->largest = length;
        if (!flow->stop_at || flow->bytes < flow->stop_at)
                return;
        flow->stop_at = 0;
        if (flow->free_it)
                link_ = ssh_link_free(link_);
        else if (flow->abandon_it)
                flow->task = ssh_task_abandon(flow->task);
        else
                ssh_task_pause(flow->task);
}

static void on_done(const SshResult *result, void *userdata)
{
        Flow *flow = userdata;
        flow->done = true;
        flow->failure = result->failure;
        flow->status = result->exit_status;
        snprintf(flow->err, sizeof flow->err, "%s", result->err);
        assert_string_equal(result->out, "");
}

static void flow_start(Flow *flow, const char *command, usec_t patience)
{
        flow->task = ssh_link_stream(link_, command, patience, on_bytes, on_done, flow);
        assert_int_equal(flow->n, 0);
}

static void test_stream(void **state)
{
        Flow flow = { 0 };
        flow_start(&flow, "printf 0123456789; echo wrong >&2; exit 7", 5 * USEC_SEC);
        assert_true(spin(&flow.done, 5 * USEC_SEC));
        assert_int_equal(flow.failure.kind, FAILURE_NONE);
        assert_int_equal(flow.bytes, 10);
        assert_int_equal(flow.status, 7);
        assert_string_equal(flow.err, "wrong\n");

        longest = 0;
        flow = (Flow){ 0 };
        usec_t began = loop_now(loop);
        clock_t cpu = clock();
        flow_start(&flow, "head -c 67108864 /dev/zero", 10 * USEC_SEC);
        assert_true(spin(&flow.done, 30 * USEC_SEC));
        assert_int_equal(flow.bytes, BIG);
        assert_int_equal(flow.status, 0);
        tell_speed("stream", began, cpu);
}

static void test_stream_pause(void **state)
{
        Flow flow = { .stop_at = 1000 * 1000 };
        CLEANUP(mem_free) char *mark = live_path(&live, "written");
        CLEANUP(mem_free)
        char *command = text_format("for i in $(seq 16); do head -c 1000000 /dev/zero; echo $i >%s; done", mark);
        flow_start(&flow, command, 2 * USEC_SEC);
        pass(3 * USEC_SEC); /* longer than its patience: a pause does not count */
        assert_false(flow.done);
        uint64_t before = flow.bytes;
        assert_true(before < 4 * 1000 * 1000);
        CLEANUP(mem_free) char *text = NULL;
        assert_int_equal(file_read(mark, 100, &text, NULL, NULL), 0);
        assert_true(atoi(text) < 8); /* the host waits */
        ssh_task_resume(flow.task);
        assert_true(spin(&flow.done, 10 * USEC_SEC));
        assert_int_equal(flow.failure.kind, FAILURE_NONE);
        assert_int_equal(flow.bytes, 16 * 1000 * 1000);
        assert_true(flow.largest <= 4 * 1024 * 1024);

        /* Again and again; the end comes while it is paused. */
        flow = (Flow){ .stop_at = 1 };
        flow_start(&flow, "head -c 5000000 /dev/zero", 10 * USEC_SEC);
        for (int i = 0; i < 2000 && !flow.done; i++) {
                pass(2 * USEC_MSEC);
                if (flow.done)
                        break;
                flow.stop_at = flow.bytes + 1;
                ssh_task_resume(flow.task);
        }
        assert_true(flow.done);
        assert_int_equal(flow.bytes, 5000000);
}

static void test_stream_ends(void **state)
{
        Flow flow = { 0 };
        flow_start(&flow, "echo a; sleep 9", USEC_SEC);
        assert_true(spin(&flow.done, 5 * USEC_SEC));
        assert_int_equal(flow.failure.kind, FAILURE_TIMEOUT);
        assert_int_equal(flow.bytes, 2);

        flow = (Flow){ 0 }; /* slow, but not silent */
        flow_start(&flow, "for i in 1 2 3 4 5 6; do echo a; sleep 0.3; done", USEC_SEC);
        assert_true(spin(&flow.done, 5 * USEC_SEC));
        assert_int_equal(flow.failure.kind, FAILURE_NONE);
        assert_int_equal(flow.bytes, 12);

        flow = (Flow){ .stop_at = 1, .abandon_it = true };
        flow_start(&flow, "head -c 67108864 /dev/zero", 5 * USEC_SEC);
        for (int i = 0; i < 100 && flow.task; i++)
                pass(50 * USEC_MSEC);
        assert_false(flow.done);
        assert_int_equal(ssh_link_n_tasks(link_), 0);

        flow = (Flow){ 0 };
        Flow other = { 0 };
        flow_start(&flow, "head -c 20000000 /dev/zero", 10 * USEC_SEC);
        flow_start(&other, "head -c 20000000 /dev/zero", 10 * USEC_SEC);
        assert_true(spin(&flow.done, 20 * USEC_SEC) && spin(&other.done, 20 * USEC_SEC));
        assert_int_equal(flow.bytes + other.bytes, 40000000);

        flow = (Flow){ 0 };
        flow_start(&flow, "kill -9 $(ps -o ppid= -p $$); sleep 3", 5 * USEC_SEC); /* its sshd */
        assert_true(spin(&flow.done, 6 * USEC_SEC));
        assert_int_equal(flow.failure.kind, FAILURE_SSH);
        assert_true(spin(&link_lost, USEC_SEC));
}

static void test_stream_freed(void **state)
{
        Flow flow = { .stop_at = 100000, .free_it = true };
        flow_start(&flow, "head -c 67108864 /dev/zero", 5 * USEC_SEC);
        for (int i = 0; i < 100 && link_; i++)
                pass(50 * USEC_MSEC);
        assert_null(link_);
        assert_false(flow.done);
}

/* Ports. */

typedef struct Guest {
        Wire *wire;
        char peer[64];
        uint64_t read, written, to_write;
        bool ended, broken, got_some;
        bool hold; /* do not read */
} Guest;

static Guest guests[8];
static size_t n_guests;
static bool listening, failed, some_guest;
static uint16_t port;
static Failure listen_failure;

static void on_listening(SshListener *listener, uint16_t opened, const Failure *failure, void *userdata)
{
        listening = true;
        failed = failure;
        port = opened;
        if (failure)
                listen_failure = *failure;
}

static void on_guest(void *userdata)
{
        Guest *guest = userdata;
        static char bytes[65536];
        ssize_t n;
        while ((n = wire_read(guest->wire, bytes, sizeof bytes)) > 0) {
                guest->read += (uint64_t) n;
                guest->got_some = true;
        }
        guest->ended = guest->ended || n == 0;
        guest->broken = guest->broken || (n < 0 && n != -EAGAIN);
        memset(bytes, 'x', sizeof bytes);
        while (guest->written < guest->to_write) {
                uint64_t left = guest->to_write - guest->written;
                n = wire_write(guest->wire, bytes, left < sizeof bytes ? (size_t) left : sizeof bytes);
                if (n < 0) {
                        guest->broken = guest->broken || n != -EAGAIN;
                        return;
                }
                guest->written += (uint64_t) n;
        }
}

static void on_accept(Wire *wire, const char *peer, void *userdata)
{
        Guest *guest = &guests[n_guests++];
        *guest = (Guest){ .wire = wire, .to_write = *(uint64_t *) userdata };
        snprintf(guest->peer, sizeof guest->peer, "%s", peer);
        wire_watch(wire, on_guest, guest);
        on_guest(guest);
        some_guest = true;
}

static SshListener *listen_there(uint64_t *to_write)
{
        n_guests = 0;
        listening = failed = some_guest = false;
        SshListener *listener = ssh_link_listen(link_, in(5 * USEC_SEC), on_listening, on_accept, to_write);
        assert_false(listening);
        assert_true(spin(&listening, 6 * USEC_SEC));
        return listener;
}

static int visit(void)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
        if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0) {
                close(fd);
                return -1;
        }
        fcntl(fd, F_SETFL, O_NONBLOCK);
        return fd;
}

static void test_listen(void **state)
{
        uint64_t to_write = 5;
        SshListener *listener = listen_there(&to_write);
        assert_false(failed);
        int a = visit(), b;
        assert_true(a >= 0);
        assert_true(spin(&some_guest, 2 * USEC_SEC));
        assert_string_equal(guests[0].peer, "127.0.0.1");
        assert_int_equal(send(a, "hello world", 11, 0), 11);
        assert_true(spin(&guests[0].got_some, 2 * USEC_SEC));
        assert_int_equal(guests[0].read, 11);
        char bytes[16];
        pass(50 * USEC_MSEC);
        assert_int_equal(recv(a, bytes, sizeof bytes, 0), 5);

        some_guest = false;
        b = visit();
        assert_true(spin(&some_guest, 2 * USEC_SEC));
        close(b);
        assert_true(spin(&guests[1].ended, 2 * USEC_SEC));
        wire_free(guests[1].wire);

        /* A command beside them still knows which channel is its own. */
        Flow flow = { 0 };
        flow_start(&flow, "echo x", 5 * USEC_SEC);
        assert_true(spin(&flow.done, 2 * USEC_SEC));

        /* Our end closes; then the port goes, and what came through it stays. */
        some_guest = false;
        b = visit();
        assert_true(spin(&some_guest, 2 * USEC_SEC));
        wire_free(guests[2].wire);
        pass(100 * USEC_MSEC);
        assert_int_equal(recv(b, bytes, sizeof bytes, 0), 5);
        assert_int_equal(recv(b, bytes, sizeof bytes, 0), 0);
        close(b);
        ssh_listener_free(listener);
        pass(200 * USEC_MSEC);
        assert_int_equal(visit(), -1);
        guests[0].got_some = false;
        assert_int_equal(send(a, "more", 4, 0), 4);
        assert_true(spin(&guests[0].got_some, 2 * USEC_SEC));

        /* Two at once on one session. */
        SshListener *first = ssh_link_listen(link_, in(5 * USEC_SEC), on_listening, on_accept, &to_write);
        listener = listen_there(&to_write);
        pass(200 * USEC_MSEC);
        ssh_listener_free(first);
        ssh_listener_free(listener);

        /* The session ends: the wire says so, also when the link is gone. */
        link_ = ssh_link_free(link_);
        assert_true(spin(&guests[0].broken, USEC_SEC) || guests[0].ended);
        wire_free(guests[0].wire);
        close(a);
}

static void test_listen_lost(void **state)
{
        uint64_t to_write = 0;
        SshListener *listener = listen_there(&to_write);
        int a = visit();
        assert_true(spin(&some_guest, 2 * USEC_SEC));
        Flow flow = { 0 };
        flow_start(&flow, "kill -9 $(ps -o ppid= -p $$); sleep 3", 5 * USEC_SEC);
        assert_true(spin(&guests[0].broken, 2 * USEC_SEC));
        wire_free(guests[0].wire);
        ssh_listener_free(listener);
        close(a);
}

static void test_listen_much(void **state)
{
        uint64_t to_write = BIG;
        SshListener *listener = listen_there(&to_write);
        int a = visit();
        assert_true(spin(&some_guest, 2 * USEC_SEC));
        pass(500 * USEC_MSEC); /* nobody reads there */
        assert_true(guests[0].written < 16 * 1024 * 1024);
        longest = 0;
        usec_t began = loop_now(loop);
        clock_t cpu = clock();
        static char bytes[1 << 20];
        uint64_t got = 0;
        while (got < BIG && loop_now(loop) < began + 30 * USEC_SEC) {
                loop_turn(loop, USEC_MSEC);
                ssize_t n;
                while ((n = recv(a, bytes, sizeof bytes, 0)) > 0)
                        got += (uint64_t) n;
        }
        assert_int_equal(got, BIG);
        tell_speed("reverse forward", began, cpu);
        wire_free(guests[0].wire);
        ssh_listener_free(listener);
        close(a);
}

/* Fetches. */

static FetchResult fetched;
static bool fetch_done;
static uint64_t progress_done, progress_total;
static unsigned n_progress;

static void on_fetched(const FetchResult *result, void *userdata)
{
        fetched = *result;
        fetch_done = true;
}

static void on_progress(uint64_t done, uint64_t total, void *userdata)
{
        assert_true(done <= total);
        progress_done = done;
        progress_total = total;
        n_progress++;
}

static Fetch *fetch_begin(const char *remote, const char *local, uint64_t from, uint64_t to)
{
        fetch_done = false;
        progress_done = n_progress = 0;
        FetchParams params = { .remote = remote, .local = local, .from = from, .to = to, .patience = 5 * USEC_SEC };
        return fetch_start(loop, link_, &params, on_progress, on_fetched, NULL);
}

static FetchEnd fetch_it(const char *remote, const char *local, uint64_t from, uint64_t to)
{
        fetch_begin(remote, local, from, to);
        assert_false(fetch_done);
        assert_true(spin(&fetch_done, 30 * USEC_SEC));
        if (fetched.end != FETCH_DONE)
                print_message("%s: %s\n", fetch_end_to_string(fetched.end), fetched.failure.text);
        return fetched.end;
}

static bool same(const char *a, const char *b, uint64_t from, uint64_t length)
{
        return live_shell("cd %s && tail -c +%llu %s | head -c %llu | cmp - %s", live.folder,
                          (unsigned long long) from + 1, a, (unsigned long long) length, b);
}

static void test_fetch(void **state)
{
        CLEANUP(mem_free) char *remote = live_path(&live, "it's a log");
        CLEANUP(mem_free) char *local = live_path(&live, "copy");
        assert_true(live_shell("cd %s && head -c 67108864 /dev/urandom >\"it's a log\"", live.folder));
        longest = 0;
        usec_t began = loop_now(loop);
        clock_t cpu = clock();
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_DONE);
        tell_speed("fetch", began, cpu);
        assert_true(fetched.verified);
        assert_int_equal(fetched.size, BIG);
        assert_int_equal(fetched.resumed, 0);
        assert_int_equal(progress_done, BIG);
        assert_int_equal(progress_total, BIG);
        assert_true(same("it*", "copy", 0, BIG));

        /* Again: it is all there. Half of it; a little too much; damaged. */
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_DONE);
        assert_int_equal(fetched.resumed, BIG);
        assert_int_equal(truncate(local, BIG / 2 + 17), 0);
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_DONE);
        assert_int_equal(fetched.resumed, BIG / 2 + 17);
        assert_true(same("it*", "copy", 0, BIG));
        assert_true(live_shell("cd %s && echo more >>copy", live.folder));
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_DONE);
        assert_int_equal(fetched.size, BIG);
        assert_true(
                live_shell("cd %s && truncate -s 1000000 copy && printf WRONG | dd of=copy conv=notrunc seek=5 bs=1",
                           live.folder));
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_DONE);
        assert_true(fetched.verified && same("it*", "copy", 0, BIG));

        /* Parts of it. */
        unlink(local);
        assert_int_equal(fetch_it(remote, local, 1000003, 2000005), FETCH_DONE);
        assert_int_equal(fetched.size, 1000002);
        assert_true(same("it*", "copy", 1000003, 1000002));
        unlink(local);
        assert_int_equal(fetch_it(remote, local, BIG, 0), FETCH_DONE);
        assert_int_equal(fetched.size, 0);
        assert_int_equal(fetch_it(remote, local, 0, BIG + 1), FETCH_SHORT);
        assert_int_equal(fetch_it(remote, local, BIG + 1, 0), FETCH_SHORT);
}

static void test_fetch_fails(void **state)
{
        CLEANUP(mem_free) char *local = live_path(&live, "copy");
        CLEANUP(mem_free) char *remote = live_path(&live, "log");
        unlink(local);
        assert_int_equal(fetch_it("/nowhere/binlog.000001", local, 0, 0), FETCH_NO_FILE);
        assert_non_null(strstr(fetched.failure.text, "No such file"));
        assert_int_equal(fetch_it("/", local, 0, 10), FETCH_FAILED);
        assert_true(live_shell("cd %s && head -c 30000000 /dev/urandom >log", live.folder));
        assert_int_equal(fetch_it(remote, "/nowhere/copy", 0, 0), FETCH_LOCAL);
        assert_non_null(strstr(fetched.failure.text, "/nowhere/copy"));
        assert_int_equal(fetch_it(remote, "/proc/version", 0, 0), FETCH_LOCAL);

        /* A full disk. */
        assert_true(live_shell("mkdir %s/small && mount -t tmpfs -o size=10M mhad-test %s/small", live.folder,
                               live.folder));
        CLEANUP(mem_free) char *small = live_path(&live, "small/copy");
        FetchEnd end = fetch_it(remote, small, 0, 0);
        live_shell("umount %s/small", live.folder);
        assert_int_equal(end, FETCH_LOCAL);
        assert_int_equal(fetched.failure.code, ENOSPC);
        assert_non_null(strstr(fetched.failure.text, "No space left"));

        /* The host is lost in the middle, and the rest comes later. */
        fetch_begin(remote, local, 0, 0);
        while (progress_done == 0 && !fetch_done)
                loop_turn(loop, USEC_MSEC);
        Flow flow = { 0 };
        flow_start(&flow, "kill -9 $(ps -o ppid= -p $$); sleep 3", 5 * USEC_SEC);
        assert_true(spin(&fetch_done, 5 * USEC_SEC));
        if (fetched.end != FETCH_DONE) { /* it may have been faster */
                assert_int_equal(fetched.end, FETCH_LOST);
                struct stat status;
                assert_int_equal(stat(local, &status), 0);
                assert_true(status.st_size > 0);
        }
        free_link(NULL);
        assert_int_equal(connect_link(NULL), 0);
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_DONE);
        assert_true(fetched.resumed > 0 && fetched.verified && same("log", "copy", 0, 30000000));

        /* Abandoned anywhere. */
        for (int i = 0; i < 20; i++) {
                unlink(local);
                Fetch *fetch = fetch_begin(remote, local, 0, 0);
                pass((usec_t) i * 7 * USEC_MSEC);
                if (!fetch_done)
                        fetch_abandon(fetch);
        }
        pass(200 * USEC_MSEC);
}

static void test_fetch_forbidden(void **state)
{
        if (!live_shell("id nobody && command -v setpriv")) {
                print_message("no user nobody\n");
                return;
        }
        /* sshd lets only root in here; so the shell is made to be somebody else's by the command it is given. */
        CLEANUP(mem_free) char *remote = live_path(&live, "secret");
        CLEANUP(mem_free) char *local = live_path(&live, "copy");
        assert_true(live_shell(
                "cd %s && echo x >secret && chmod 000 secret && mkdir -p bin && "
                "printf '#!/bin/sh\\necho \"tail: cannot open: Permission denied\" >&2\\n' >bin/tail && "
                "chmod 755 bin/tail && cp authorized authorized.before && "
                "printf 'environment=\"X=1\",command=\"PATH=%s/bin:$PATH sh -c \\\"$SSH_ORIGINAL_COMMAND\\\"\" ' "
                ">authorized && cat authorized.before >>authorized",
                live.folder, live.folder));
        free_link(NULL);
        assert_int_equal(connect_link(NULL), 0);
        assert_int_equal(fetch_it(remote, local, 0, 0), FETCH_FORBIDDEN);
        live_shell("cd %s && mv authorized.before authorized", live.folder);
}

static int begin(void **state)
{
        live_start(&live);
        if (loop_new(&loop) < 0)
                return -1;
        CLEANUP(mem_free) char *key = live_path(&live, "key");
        beat = timer_new(loop, 1, on_beat, NULL);
        return ssh_identity_load(key, &identity, NULL);
}

static int end(void **state)
{
        timer_free(beat);
        ssh_identity_free(identity);
        loop_free(loop);
        live_stop(&live);
        return 0;
}

int main(void)
{
#define LINKED(name) cmocka_unit_test_setup_teardown(name, connect_link, free_link)
        const struct CMUnitTest tests[] = {
                LINKED(test_stream),          LINKED(test_stream_pause), LINKED(test_stream_ends),
                LINKED(test_stream_freed),    LINKED(test_listen),       LINKED(test_listen_lost),
                LINKED(test_listen_much),     LINKED(test_fetch),        LINKED(test_fetch_fails),
                LINKED(test_fetch_forbidden),
        };
        if (!live_is_possible()) {
                print_message("needs root, mariadbd and sshd\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, begin, end);
}
