/* The metrics by HTTP from outside: a child runs the real loop and the real listener with a registry of its own; the test is
 * its client, well-behaved and not. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "endpoint.h"
#include "listener.h"
#include "log.h"
#include "text.h"

#define MANY 200
#define LONG ((size_t) 3 * 1024 * 1024)

static char address[32], other[32];
static pid_t child;

/* The registry of the child: an answer takes a moment, and with the first question after SIGUSR2 for ever. */
struct Registry {
        Loop *loop;
        bool silent, large;
        size_t n_waiting;
        struct {
                registry_later_fn done;
                void *userdata;
        } waiting[MANY];
        Timer *timer;
};

static void on_time(void *userdata)
{
        Registry *registry = userdata;
        while (registry->n_waiting > 0 && !registry->silent) {
                size_t i = --registry->n_waiting;
                CLEANUP(mem_free) char *large = alloc_zero(1, LONG + 1);
                memset(large, 'x', LONG);
                Json *answer = json_object();
                json_set_string(answer, "text", registry->large ? large : "up 1\n");
                registry->waiting[i].done(answer, registry->waiting[i].userdata);
        }
}

void registry_metrics(Registry *registry, registry_later_fn done, void *userdata)
{
        registry->waiting[registry->n_waiting].done = done;
        registry->waiting[registry->n_waiting++].userdata = userdata;
        timer_set_in(registry->timer, 2 * USEC_MSEC);
}

void registry_forget(Registry *registry, void *userdata)
{
        for (size_t i = registry->n_waiting; i-- > 0;)
                if (registry->waiting[i].userdata == userdata)
                        registry->waiting[i] = registry->waiting[--registry->n_waiting];
}

typedef struct Daemon {
        Registry registry;
        Listener *listener;
        bool elsewhere;
} Daemon;

static void on_hup(void *userdata)
{
        Daemon *daemon = userdata;
        daemon->elsewhere = !daemon->elsewhere;
        listener_set(daemon->listener, daemon->elsewhere ? other : address);
}

static void on_usr1(void *userdata)
{
        Daemon *daemon = userdata;
        daemon->registry.large = true;
}

static void on_usr2(void *userdata)
{
        Daemon *daemon = userdata;
        daemon->registry.silent = true;
}

static void on_term(void *userdata)
{
        Daemon *daemon = userdata;
        loop_exit(daemon->registry.loop, 0);
}

static int serve(int ready)
{
        Daemon daemon = { 0 };
        int r = loop_new(&daemon.registry.loop);
        daemon.registry.timer = timer_new(daemon.registry.loop, 0, on_time, &daemon.registry);
        daemon.listener = listener_new(daemon.registry.loop, &daemon.registry);
        (void) loop_signal(daemon.registry.loop, SIGHUP, on_hup, &daemon);
        (void) loop_signal(daemon.registry.loop, SIGUSR1, on_usr1, &daemon);
        (void) loop_signal(daemon.registry.loop, SIGUSR2, on_usr2, &daemon);
        (void) loop_signal(daemon.registry.loop, SIGTERM, on_term, &daemon);
        listener_set(daemon.listener, address);
        listener_set(daemon.listener, address);
        if (write(ready, "", 1) == 1)
                r = loop_run(daemon.registry.loop);
        listener_free(daemon.listener);
        timer_free(daemon.registry.timer);
        loop_free(daemon.registry.loop);
        return r;
}

/* A port that nobody has at the moment. */
static void choose(char *ret)
{
        struct sockaddr_in where = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        socklen_t length = sizeof where;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &where, length), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &where, &length), 0);
        close(fd);
        sprintf(ret, "127.0.0.1:%u", ntohs(where.sin_port));
}

static int start(void **state)
{
        int ready[2];
        char byte;
        choose(address);
        choose(other);
        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0)
                _exit(serve(ready[1]) < 0);
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return 0;
}

/* It ends well, whatever was done to it. */
static int stop(void **state)
{
        int status = 0;
        kill(child, SIGTERM);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return 0;
}

static int try_connect(const char *where)
{
        struct sockaddr_storage to;
        socklen_t length;
        assert_int_equal(endpoint_parse(where, &to, &length), 0);
        int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const struct timeval patience = { .tv_sec = 20 };
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
        if (connect(fd, (struct sockaddr *) &to, length) == 0)
                return fd;
        int error = errno;
        close(fd);
        return -error;
}

static int join(void)
{
        int fd = try_connect(address);
        assert_true(fd >= 0);
        return fd;
}

static void say(int fd, const char *words)
{
        assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
}

/* All until the end of the connection. */
static char *hear(int fd)
{
        Text text = { 0 };
        char bytes[65536];
        ssize_t n;
        while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
                text_add_n(&text, bytes, (size_t) n);
        close(fd);
        return text_take(&text);
}

#define CLOSE "Host: a\r\nConnection: close\r\n\r\n"

static char *ask(const char *first_line)
{
        int fd = join();
        say(fd, first_line);
        say(fd, "\r\n" CLOSE);
        return hear(fd);
}

static void expect(const char *first_line, const char *status, const char *body)
{
        CLEANUP(mem_free) char *answer = ask(first_line);
        if (!text_starts_with(answer, status) || !strstr(answer, body))
                fail_msg("%s: %s", first_line, answer);
}

static void test_answers(void **state)
{
        expect("GET /metrics HTTP/1.1", "HTTP/1.1 200 ", "\r\n\r\nup 1\n");
        expect("GET /metrics HTTP/1.0", "HTTP/1.", "\r\n\r\nup 1\n");
        expect("GET /metrics?x=%2e HTTP/1.1", "HTTP/1.1 200 ",
               "Content-Type: text/plain; version=0.0.4; charset=utf-8");
        expect("GET / HTTP/1.1", "HTTP/1.1 404 ", "nothing here but /metrics");
        expect("GET /metrics/ HTTP/1.1", "HTTP/1.1 404 ", "nothing here but /metrics");
        expect("PUT /metrics HTTP/1.1", "HTTP/1.1 405 ", "Allow: GET, HEAD");
        expect("DELETE /metrics HTTP/1.1", "HTTP/1.1 405 ", "can only be read");
        CLEANUP(mem_free) char *head = ask("HEAD /metrics HTTP/1.1");
        assert_true(text_starts_with(head, "HTTP/1.1 200 ") && strstr(head, "Content-Length: 5\r\n"));
        assert_null(strstr(head, "up 1"));
}

static void test_malformed(void **state)
{
        static const char *const rows[] = {
                "garbage\r\n\r\n",
                "GET\r\n\r\n",
                "GET /metrics HTTP/9.9\r\n\r\n",
                "\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n",
                "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
                "GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                int fd = join();
                say(fd, rows[i]);
                shutdown(fd, SHUT_WR);
                free(hear(fd));
                expect("GET /metrics HTTP/1.1", "HTTP/1.1 200 ", "up 1");
        }
        /* A line that never ends is not kept. */
        int fd = join();
        char bytes[65536];
        memset(bytes, 'a', sizeof bytes);
        (void) send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        CLEANUP(mem_free) char *answer = hear(fd);
        assert_true(*answer == '\0' || text_starts_with(answer, "HTTP/1.1 4"));
}

/* Those who say nothing, or half a request, keep nobody out. */
static void test_idle(void **state)
{
        int fds[MANY];
        for (size_t i = 0; i < MANY; i++) {
                fds[i] = join();
                if (i % 2)
                        say(fds[i], "GET /metr");
        }
        usec_t began = usec_now_monotonic();
        for (int i = 0; i < 5; i++)
                expect("GET /metrics HTTP/1.1", "HTTP/1.1 200 ", "up 1");
        assert_true(usec_now_monotonic() - began < LISTENER_PATIENCE * USEC_SEC);
        /* The oldest had to go, the newest are still there. */
        char byte;
        assert_true(recv(fds[0], &byte, 1, 0) <= 0);
        say(fds[MANY - 1], "ics HTTP/1.1\r\n" CLOSE);
        CLEANUP(mem_free) char *answer = hear(fds[MANY - 1]);
        assert_true(text_starts_with(answer, "HTTP/1.1 200 "));
        for (size_t i = 0; i < MANY - 1; i++)
                close(fds[i]);
}

/* Clients that do not read what they asked for, and that go before they have it. */
static void test_not_read(void **state)
{
        kill(child, SIGUSR1);
        int fds[40];
        for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
                fds[i] = join();
                say(fds[i], "GET /metrics HTTP/1.1\r\n" CLOSE);
                if (i % 2)
                        close(fds[i]);
        }
        CLEANUP(mem_free) char *answer = ask("GET /metrics HTTP/1.1");
        assert_true(strlen(answer) > LONG);
        for (size_t i = 0; i < ARRAY_LENGTH(fds); i += 2)
                close(fds[i]);
}

/* It ends, and moves, while there are questions to which there is no answer. */
static void test_waiting(void **state)
{
        kill(child, SIGUSR2);
        int fds[20];
        for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
                fds[i] = join();
                say(fds[i], "GET /metrics HTTP/1.1\r\n" CLOSE);
        }
        expect("GET / HTTP/1.1", "HTTP/1.1 404 ", "");
        kill(child, SIGHUP);
        for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
                free(hear(fds[i]));
        int fd = -1;
        for (int i = 0; i < 1000 && fd < 0; i++, usleep(5000)) /* the old connections end before it listens anew */
                fd = try_connect(other);
        assert_true(fd >= 0);
        say(fd, "GET /metrics HTTP/1.1\r\n" CLOSE);
        assert_int_equal(try_connect(address), -ECONNREFUSED);
        usleep(50000);
        close(fd);
}

static char last_warning[500];

static void on_log(EventId id, const LogFields *fields, const char *message, void *userdata)
{
        if (id == EVENT_WARNING)
                snprintf(last_warning, sizeof last_warning, "%s", message);
}

/* An address that is taken is no reason to end, and is had as soon as it is free. */
static void test_taken(void **state)
{
        struct sockaddr_storage where;
        socklen_t length;
        Registry registry = { 0 };
        choose(address);
        assert_int_equal(endpoint_parse(address, &where, &length), 0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &where, length), 0);
        assert_int_equal(listen(fd, 1), 0);
        log_set_tap(on_log, NULL);
        assert_int_equal(loop_new(&registry.loop), 0);
        Listener *listener = listener_new(registry.loop, &registry);
        listener_set(listener, address);
        assert_non_null(strstr(last_warning, address));
        assert_non_null(strstr(last_warning, "Address already in use"));
        assert_non_null(strstr(last_warning, "mhactl reload"));
        close(fd);
        *last_warning = '\0';
        listener_set(listener, address);
        assert_string_equal(last_warning, "");
        fd = try_connect(address);
        assert_true(fd >= 0);
        close(fd);
        listener_set(listener, NULL);
        assert_int_equal(try_connect(address), -ECONNREFUSED);
        listener_free(listener);
        loop_free(registry.loop);
        log_set_tap(NULL, NULL);
}

static void test_endpoint(void **state)
{
        static const struct {
                const char *text;
                bool good, loopback;
        } rows[] = {
                { "127.0.0.1:9104", true, true },
                { "127.255.0.9:1", true, true },
                { "[::1]:65535", true, true },
                { "0.0.0.0:9104", true, false },
                { "10.0.0.1:9104", true, false },
                { "[::]:9104", true, false },
                { "[fe80::1]:9104", true, false },
                { "128.0.0.1:80", true, false },
                { "localhost:9104", false, false },
                { "127.0.0.1", false, false },
                { "127.0.0.1:", false, false },
                { "127.0.0.1:0", false, false },
                { "127.0.0.1:65536", false, false },
                { "127.0.0.1:99999999999", false, false },
                { "127.0.0.1:80x", false, false },
                { "::1:80", false, false },
                { "[::1]", false, false },
                { "[]:80", false, false },
                { "[127.0.0.1]:80", false, false },
                { ":80", false, false },
                { "", false, false },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                struct sockaddr_storage where;
                socklen_t length = 0;
                assert_int_equal(endpoint_parse(rows[i].text, &where, &length) == 0, rows[i].good);
                assert_int_equal(endpoint_is_loopback(rows[i].text), rows[i].loopback);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_endpoint),
                cmocka_unit_test_setup_teardown(test_answers, start, stop),
                cmocka_unit_test_setup_teardown(test_malformed, start, stop),
                cmocka_unit_test_setup_teardown(test_idle, start, stop),
                cmocka_unit_test_setup_teardown(test_not_read, start, stop),
                cmocka_unit_test_setup_teardown(test_waiting, start, stop),
                cmocka_unit_test(test_taken),
        };
        return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
