/* The control socket from outside: a child runs the real loop, the real control and a registry of its own; the test is
 * its client, well-behaved and not. Time for patience runs a hundred times as fast (the wrapped timer_set()). */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "api.h"
#include "control.h"
#include "frame.h"
#include "session.h"
#include "text.h"

#define NOBODY 65534
#define GROUP "daemon" /* a group that every Debian has */
#define NO_REPLY "nothing"

/* The registry of the child. */
struct Registry {
        Loop *loop;
        struct {
                registry_event_fn fn;
                void *userdata;
        } subscribers[CONTROL_CLIENTS_MAX];
        Json *plan;
        Timer *plan_timer;
        registry_later_fn plan_fn;
        void *plan_userdata;
        Timer *reload_timer;
        registry_reload_fn reload_fn;
        void *reload_userdata;
        char last_asker[100];
};

static Json *say(const char *name, const char *value)
{
        Json *json = json_object();
        json_set_string(json, name, value);
        return json;
}

static Json *make_event(const char *cluster, const char *text)
{
        Json *event = say("text", text);
        json_set_string(event, "cluster", cluster);
        return event;
}

int registry_status(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        if (text_equal(cluster, "stranger"))
                return failure_set(reterr, FAILURE_INVALID, ENOENT, "no cluster stranger; there are: shop");
        *ret = say("asker", text_equal(cluster, "foreign") ? "\xff\xc3\xa4\xc3\"\xed\xa0\x80" : registry->last_asker);
        json_ensure_array(*ret, "clusters");
        return 0;
}

int registry_check(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        return failure_set(reterr, FAILURE_SYSTEM, EIO, "the disk is gone");
}

/* A plan takes a moment; that of "nothing" is never made. */
static void plan_done(void *userdata)
{
        Registry *registry = userdata;
        registry->plan_timer = NULL;
        Json *answer = json_object();
        json_set(answer, "plan", TAKE(registry->plan));
        registry->plan_fn(answer, registry->plan_userdata);
}

int registry_plan(Registry *registry, const char *cluster, const char *procedure, const Json *options,
                  registry_later_fn done, void *userdata, Failure *reterr)
{
        if (text_equal(procedure, "nothing"))
                return 0;
        if (registry->plan)
                return failure_set(reterr, FAILURE_INVALID, 0, "busy");
        registry->plan = say("procedure", procedure);
        json_set(registry->plan, "options", json_copy(options));
        registry->plan_fn = done;
        registry->plan_userdata = userdata;
        registry->plan_timer = loop_defer(registry->loop, plan_done, registry);
        return 0;
}

int registry_examine(Registry *registry, const char *cluster, const char *what, bool mesh, registry_later_fn done,
                     void *userdata, Failure *reterr)
{
        if (!text_equal(what, "ssh"))
                return failure_set(reterr, FAILURE_INVALID, 0, "there is no check \"%s\"", what);
        return registry_plan(registry, cluster, mesh ? "mesh" : "no mesh", NULL, done, userdata, reterr);
}

int registry_rescues(Registry *registry, const char *cluster, const char *run, registry_later_fn done, void *userdata,
                     Failure *reterr)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "nothing is saved");
}

int registry_rescue_fetch(Registry *registry, const char *cluster, const char *server, const Json *options,
                          const Asker *asker, Json **ret, Failure *reterr)
{
        *ret = say("run", server);
        return 0;
}

void registry_metrics(Registry *registry, registry_later_fn done, void *userdata)
{
        (void) registry_plan(registry, NULL, "metrics", NULL, done, userdata, NULL);
}

void registry_forget(Registry *registry, void *userdata)
{
        if (registry->reload_timer && registry->reload_userdata == userdata)
                registry->reload_timer = timer_free(registry->reload_timer);
        if (!registry->plan || registry->plan_userdata != userdata)
                return;
        registry->plan_timer = timer_free(registry->plan_timer);
        registry->plan = json_free(registry->plan);
}

int registry_report(Registry *registry, const char *cluster, const char *run, Json **ret, Failure *reterr)
{
        *ret = say("run", run);
        return 0;
}

int registry_history(Registry *registry, const char *cluster, registry_later_fn done, void *userdata, Failure *reterr)
{
        return registry_plan(registry, cluster, "history", NULL, done, userdata, reterr);
}

int registry_events(Registry *registry, const char *cluster, Json **ret, Failure *reterr)
{
        *ret = json_object();
        json_append(json_ensure_array(*ret, "events"), make_event("shop", "old"));
        return 0;
}

void registry_subscribe(Registry *registry, registry_event_fn fn, void *userdata)
{
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                if (!registry->subscribers[i].fn) {
                        registry->subscribers[i].fn = fn;
                        registry->subscribers[i].userdata = userdata;
                        return;
                }
        abort();
}

void registry_unsubscribe(Registry *registry, void *userdata)
{
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                if (registry->subscribers[i].userdata == userdata) {
                        registry->subscribers[i].fn = NULL;
                        registry->subscribers[i].userdata = NULL;
                        return;
                }
        abort();
}

int registry_failover(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                      Failure *reterr)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "the primary is alive");
}

int registry_switch(Registry *registry, const char *cluster, const Json *options, const Asker *asker, Json **ret,
                    Failure *reterr)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "it is the primary already");
}

int registry_purge(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                   Failure *reterr)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "it is no replica");
}

int registry_rejoin(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                    Failure *reterr)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "it follows already");
}

/* The event of "big" is 256 KiB long. */
int registry_pause(Registry *registry, const char *cluster, const char *reason, usec_t for_how_long, const Asker *asker,
                   Json **ret, Failure *reterr)
{
        snprintf(registry->last_asker, sizeof registry->last_asker, "%s", asker->who);
        Text text = { 0 };
        text_addf(&text, "%s for %llu", reason ? reason : "no reason", (unsigned long long) for_how_long);
        while (text_equal(reason, "big") && text.length < 256 * 1024)
                text_add(&text, "0123456789abcdef");
        CLEANUP(json_free) Json *event = make_event(cluster, text.data);
        text_done(&text);
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                if (registry->subscribers[i].fn)
                        registry->subscribers[i].fn(event, registry->subscribers[i].userdata);
        return 0;
}

int registry_resume(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr)
{
        return 0;
}

int registry_acknowledge(Registry *registry, const char *cluster, const Asker *asker, Json **ret, Failure *reterr)
{
        return 0;
}

int registry_server_down(Registry *registry, const char *cluster, const char *server, const char *reason,
                         usec_t for_how_long, const Asker *asker, Json **ret, Failure *reterr)
{
        CLEANUP(mem_free) char *text = text_format("%s for %llu", server, (unsigned long long) for_how_long);
        *ret = say("down", text);
        return 0;
}

int registry_server_up(Registry *registry, const char *cluster, const char *server, const Asker *asker, Json **ret,
                       Failure *reterr)
{
        return failure_set(reterr, FAILURE_INVALID, 0, "it was not taken out");
}

int registry_run(Registry *registry, const char *cluster, const char *what, const Json *options, const Asker *asker,
                 Json **ret, Failure *reterr)
{
        *ret = say("what", what);
        return 0;
}

static void reload_done(void *userdata)
{
        Registry *registry = userdata;
        registry->reload_timer = NULL;
        CLEANUP(json_free) Json *errors = json_array();
        json_append_string(errors, "mhad.yaml:3:1: unknown key");
        Failure failure;
        (void) failure_set(&failure, FAILURE_INVALID, 0, "the configuration has 1 error");
        registry->reload_fn(errors, &failure, registry->reload_userdata);
}

void registry_reload(Registry *registry, registry_reload_fn done, void *userdata)
{
        registry->reload_fn = done;
        registry->reload_userdata = userdata;
        if (!registry->reload_timer)
                registry->reload_timer = loop_defer(registry->loop, reload_done, registry);
}

void __real_timer_set(Timer *timer, usec_t at);
void __wrap_timer_set(Timer *timer, usec_t at);
void __wrap_timer_set(Timer *timer, usec_t at)
{
        usec_t now = usec_now_monotonic();
        __real_timer_set(timer, at > now && at != USEC_INFINITY ? now + (at - now) / 100 : at);
}

/* The child. */
static char folder[] = "/tmp/mhad-control-XXXXXX";
static char path[sizeof folder + 16];
static pid_t server;

static void on_term(void *userdata)
{
        loop_exit(userdata, 0);
}

static void serve(int ready)
{
        CLEANUP(loop_free) Loop *loop = NULL;
        CLEANUP(control_free) Control *control = NULL;
        Registry registry = { 0 };
        Failure failure = { 0 };
        if (loop_new(&registry.loop) < 0 || !(loop = registry.loop) || loop_signal(loop, SIGTERM, on_term, loop) < 0 ||
            control_new(loop, &registry, path, -1, GROUP, &control, &failure) < 0) {
                fprintf(stderr, "%s\n", failure.text);
                exit(1);
        }
        close(ready);
        if (loop_run(loop) != 0)
                exit(1);
        control = control_free(control);
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
                if (registry.subscribers[i].fn)
                        exit(1);
}

static int start(void **state)
{
        int ready[2];
        char byte;
        if (pipe(ready) < 0 || (server = fork()) < 0)
                return -1;
        if (server == 0) {
                close(ready[0]);
                serve(ready[1]);
                exit(0);
        }
        close(ready[1]);
        int unused = (int) read(ready[0], &byte, 1);
        close(ready[0]);
        return unused;
}

static int stop(void **state)
{
        int status;
        kill(server, SIGTERM);
        if (waitpid(server, &status, 0) != server || status != 0 || access(path, F_OK) == 0)
                fail_msg("the server ended badly: %x", (unsigned) status);
        return 0;
}

/* The client. */
typedef struct Client {
        int fd;
        Frame in;
} Client;

static Client join(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct timeval patience = { .tv_sec = 10 };
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        Client client = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .in = frame_make(64 << 20) };
        assert_int_equal(connect(client.fd, (struct sockaddr *) &address, sizeof address), 0);
        setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        return client;
}

static void leave(Client *client)
{
        close(client->fd);
        frame_done(&client->in);
}

static void put(Client *client, const char *bytes, size_t length)
{
        while (length > 0) {
                ssize_t n = send(client->fd, bytes, length, MSG_NOSIGNAL);
                if (n <= 0)
                        return;
                bytes += n;
                length -= (size_t) n;
        }
}

static void put_call(Client *client, const char *call)
{
        put(client, call, strlen(call) + 1);
}

/* The next message, or NULL when the connection is over. A server that does not answer is a failure of the test. */
static Json *get(Client *client)
{
        const char *message;
        size_t length;
        Json *json = NULL;
        while (frame_next(&client->in, &message, &length) == 0) {
                char bytes[65536];
                ssize_t n = recv(client->fd, bytes, sizeof bytes, 0);
                if (n < 0 && errno == EAGAIN)
                        fail_msg("no answer");
                if (n <= 0)
                        return NULL;
                frame_add(&client->in, bytes, (size_t) n);
        }
        assert_int_equal(json_parse(message, length, &json, NULL), 0);
        return json;
}

static void expect(Client *client, const char *message)
{
        CLEANUP(json_free) Json *json = get(client);
        CLEANUP(mem_free) char *text = json ? json_print(json) : alloc_string(NO_REPLY);
        assert_string_equal(text, message);
}

/* One call on a connection of its own: only the name of the error, or "" when it went well. */
static char *outcome(const char *call)
{
        Client client = join();
        put_call(&client, call);
        CLEANUP(json_free) Json *json = get(&client);
        leave(&client);
        const char *error = json_get_string(json, "error");
        return alloc_string(!json ? NO_REPLY : error ? strrchr(error, '.') + 1 : "");
}

static void expect_outcome(const char *call, const char *expected)
{
        CLEANUP(mem_free) char *got = outcome(call);
        if (!text_equal(got, expected))
                fail_msg("%s: \"%s\" instead of \"%s\"", call, got, expected);
}

static void expect_alive(void)
{
        expect_outcome("{\"method\":\"org.mhad.Version\"}", "");
}

static void test_methods(void **state)
{
        expect_outcome("{\"method\":\"org.varlink.service.GetInfo\"}", "");
        expect_outcome("{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                       "{\"interface\":\"org.mhad\"}}",
                       "");
        expect_outcome("{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                       "{\"interface\":\"org.x\"}}",
                       "InterfaceNotFound");
        expect_outcome("{\"method\":\"org.mhad.Status\"}", "");
        expect_outcome("{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":\"stranger\"}}", "UnknownCluster");
        expect_outcome("{\"method\":\"org.mhad.Check\"}", "Failed");
        expect_outcome("{\"method\":\"org.mhad.Failover\",\"parameters\":{\"cluster\":\"shop\"}}", "Refused");
        expect_outcome("{\"method\":\"org.mhad.Resume\",\"parameters\":{\"cluster\":\"shop\"}}", "");
        expect_outcome("{\"method\":\"org.mhad.Acknowledge\",\"parameters\":{\"cluster\":\"shop\"}}", "");
        expect_outcome("{\"method\":\"org.mhad.Run\",\"parameters\":{\"cluster\":\"shop\",\"what\":\"retry\"}}", "");
        expect_outcome("{\"method\":\"org.mhad.History\"}", "");
        expect_outcome("{\"method\":\"org.mhad.Version\",\"upgrade\":true}", "InvalidParameter");
        expect_outcome("{\"method\":\"org.mhad.Nothing\"}", "MethodNotFound");
        expect_outcome("{\"method\":\"org.nothing.Nothing\"}", "InterfaceNotFound");
        Client client = join();
        put_call(&client, "{\"method\":\"org.mhad.Reload\"}");
        expect(&client, "{\"error\":\"org.mhad.ConfigurationRejected\",\"parameters\":{\"reason\":"
                        "\"the configuration has 1 error\",\"errors\":[\"mhad.yaml:3:1: unknown key\"]}}");
        put_call(&client,
                 "{\"method\":\"org.mhad.Plan\",\"parameters\":{\"cluster\":\"shop\",\"procedure\":\"failover\","
                 "\"options\":{\"to\":\"db2\"}}}");
        expect(&client, "{\"parameters\":{\"plan\":{\"procedure\":\"failover\",\"options\":{\"to\":\"db2\"}}}}");
        leave(&client);
}

/* Every method of the table has somebody who answers it. */
static void test_every_method(void **state)
{
        for (ApiId id = 0; id < _API_MAX; id++) {
                CLEANUP(json_free) Json *call = api_make_call(id, NULL, false);
                const ApiParameter *parameters = api_method(id)->parameters;
                for (size_t i = 0; i < API_PARAMETERS_MAX && parameters[i].name; i++)
                        if (parameters[i].required)
                                json_set_string(json_ensure_object(call, "parameters"), parameters[i].name, "x");
                CLEANUP(mem_free) char *text = json_print(call);
                CLEANUP(mem_free) char *got = outcome(text);
                assert_string_not_equal(got, NO_REPLY);
                assert_string_not_equal(got, "InvalidParameter");
                assert_string_not_equal(got, "MethodNotImplemented");
        }
}

static void test_pipelining(void **state)
{
        Client client = join();
        Text calls = { 0 };
        for (int i = 0; i < 500; i++) {
                text_addf(&calls, "{\"method\":\"org.mhad.Report\",\"parameters\":{\"run\":\"%d\"}}", i);
                text_add_n(&calls, "", 1);
        }
        put(&client, calls.data, calls.length);
        text_done(&calls);
        shutdown(client.fd, SHUT_WR);
        for (int i = 0; i < 500; i++) {
                CLEANUP(mem_free) char *answer = text_format("{\"parameters\":{\"run\":\"%d\"}}", i);
                expect(&client, answer);
        }
        expect(&client, NO_REPLY);
        leave(&client);
}

static void test_byte_by_byte(void **state)
{
        static const char call[] = "{\"method\":\"org.mhad.Report\"}";
        Client client = join();
        for (size_t i = 0; i < sizeof call; i++) {
                put(&client, call + i, 1);
                usleep(1000);
        }
        expect(&client, "{\"parameters\":{}}");
        leave(&client);
}

static void test_oneway(void **state)
{
        Client client = join();
        put_call(&client, "{\"method\":\"org.mhad.Report\",\"parameters\":{\"run\":\"silent\"},\"oneway\":true}");
        put_call(&client, "{\"method\":\"org.mhad.Nothing\",\"oneway\":true}");
        put_call(&client, "{\"method\":\"org.mhad.Events\",\"oneway\":true,\"more\":true}");
        put_call(&client, "{\"method\":\"org.mhad.Report\",\"parameters\":{\"run\":\"loud\"}}");
        expect(&client, "{\"parameters\":{\"run\":\"loud\"}}");
        leave(&client);
}

#define PLAN(procedure)                                                                                                \
        "{\"method\":\"org.mhad.Plan\",\"parameters\":{\"cluster\":\"shop\",\"procedure\":\"" procedure "\"}"

/* An answer that comes later keeps its place among the others, or is given up. */
static void test_later(void **state)
{
        Client client = join();
        put_call(&client, PLAN("a") "}");
        put_call(&client, PLAN("b") ",\"oneway\":true}");
        put_call(&client, "{\"method\":\"org.mhad.Report\"}");
        put_call(&client, PLAN("nothing") "}");
        put_call(&client, PLAN("c") "}");
        expect(&client, "{\"parameters\":{\"plan\":{\"procedure\":\"a\"}}}");
        expect(&client, "{\"parameters\":{}}");
        expect(&client, "{\"error\":\"org.mhad.Failed\",\"parameters\":{\"reason\":"
                        "\"the answer could not be had in time\"}}");
        expect(&client, "{\"parameters\":{\"plan\":{\"procedure\":\"c\"}}}");
        leave(&client);
        for (int i = 0; i < CONTROL_CLIENTS_MAX / 2; i++) {
                Client hasty = join();
                put_call(&hasty, PLAN("hasty") "}");
                leave(&hasty);
        }
        expect_alive();
}

static void pause_shop(const char *reason)
{
        CLEANUP(mem_free)
        char *call = text_format("{\"method\":\"org.mhad.Pause\",\"parameters\":{\"cluster\":\"shop\","
                                 "\"reason\":\"%s\",\"for_ms\":7}}",
                                 reason);
        expect_outcome(call, "");
}

static void test_follow(void **state)
{
        Client all = join(), other = join();
        put_call(&all, "{\"method\":\"org.mhad.Events\",\"more\":true}");
        put_call(&other, "{\"method\":\"org.mhad.Events\",\"more\":true,\"parameters\":{\"cluster\":\"other\"}}");
        expect(&all, "{\"parameters\":{\"events\":[{\"text\":\"old\",\"cluster\":\"shop\"}]},\"continues\":true}");
        expect(&other, "{\"parameters\":{\"events\":[{\"text\":\"old\",\"cluster\":\"shop\"}]},\"continues\":true}");
        pause_shop("backup");
        expect(&all, "{\"parameters\":{\"events\":[{\"text\":\"backup for 7000\",\"cluster\":\"shop\"}]},"
                     "\"continues\":true}");
        leave(&all);
        char byte;
        assert_int_equal(recv(other.fd, &byte, 1, MSG_DONTWAIT), -1);
        leave(&other);
        Client once = join();
        put_call(&once, "{\"method\":\"org.mhad.Events\"}");
        expect(&once, "{\"parameters\":{\"events\":[{\"text\":\"old\",\"cluster\":\"shop\"}]}}");
        leave(&once);
}

/* What a server says may be no text, and an answer is one all the same. */
static void test_answers_are_text(void **state)
{
        Client client = join();
        put_call(&client, "{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":\"foreign\"}}");
        CLEANUP(json_free) Json *json = get(&client);
        assert_string_equal(json_get_string(json_get(json, "parameters"), "asker"), "?\xc3\xa4?\"???");
        leave(&client);
}

static void test_asker_is_recorded(void **state)
{
        pause_shop("x");
        CLEANUP(mem_free) char *wanted = text_format("(uid %u, pid %d)", getuid(), getpid());
        Client client = join();
        put_call(&client, "{\"method\":\"org.mhad.Status\"}");
        CLEANUP(json_free) Json *json = get(&client);
        assert_non_null(strstr(json_get_string(json_get(json, "parameters"), "asker"), wanted));
        leave(&client);
}

/* Ends while 100 × 256 KiB wait for one who never reads; nobody else notices. */
static void test_slow_reader(void **state)
{
        Client slow = join();
        put_call(&slow, "{\"method\":\"org.mhad.Events\",\"more\":true}");
        for (int i = 0; i < 100; i++)
                pause_shop("big");
        size_t read_after = 0;
        for (;;) {
                static char bytes[65536];
                ssize_t n = recv(slow.fd, bytes, sizeof bytes, 0);
                if (n <= 0)
                        break;
                read_after += (size_t) n;
        }
        assert_in_range(read_after, 1, SESSION_OUTPUT_MAX);
        leave(&slow);
}

/* One who sends calls without reading answers is not read any further, and then dropped. */
static void test_never_reads(void **state)
{
        static const char call[] = "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":"
                                   "{\"interface\":\"org.mhad\"}}";
        Client client = join();
        int sent = 0;
        while (sent < 1000000 && send(client.fd, call, sizeof call, MSG_NOSIGNAL) == sizeof call)
                sent++;
        assert_in_range(sent, 1, 100000);
        leave(&client);
        expect_alive();
}

static void test_incomplete(void **state)
{
        Client client = join(), idle = join();
        put(&client, "{\"method\":", 10);
        expect(&client, NO_REPLY);
        leave(&client);
        put_call(&idle, "{\"method\":\"org.mhad.Report\"}");
        expect(&idle, "{\"parameters\":{}}");
        leave(&idle);
}

static void expect_padded(size_t length, const char *expected)
{
        char *message = alloc_zero(1, length + 1);
        memset(message, ' ', length);
        memcpy(message, "{\"method\":\"org.mhad.Version\"}", 29);
        CLEANUP(mem_free) char *got = outcome(message);
        free(message);
        assert_string_equal(got, expected);
}

static void test_size_limit(void **state)
{
        expect_padded(API_MESSAGE_MAX, "");
        expect_padded(API_MESSAGE_MAX + 1, NO_REPLY);
        expect_padded(20 * API_MESSAGE_MAX, NO_REPLY);
}

/* Damaged calls, by a seed that is printed when it matters. */
static size_t damage(char *message, size_t length, unsigned *seed)
{
        for (int i = 0; i < 1 + rand_r(seed) % 4; i++) {
                size_t at = (size_t) rand_r(seed) % length;
                switch (rand_r(seed) % 4) {
                case 0:
                        message[at] = (char) rand_r(seed);
                        break;
                case 1:
                        length = at + 1;
                        break;
                case 2:
                        memset(message + at, "[{\"\\\xff"[rand_r(seed) % 5], length - at);
                        break;
                case 3:
                        message[at] = "{}[]\",:0e-\0"[rand_r(seed) % 11];
                        break;
                }
        }
        return length;
}

static void test_malformed(void **state)
{
        static const char *const calls[] = {
                "{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":\"shop\"}}",
                ("{\"method\":\"org.mhad.Run\",\"parameters\":{\"cluster\":\"shop\",\"what\":\"override\",\"options\":"
                 "{\"server\":\"db2\",\"verdict\":\"met\",\"reason\":\"\\u00e4\"}}}"),
                "{\"method\":\"org.mhad.Pause\",\"parameters\":{\"cluster\":\"shop\",\"for_ms\":1e3},\"more\":false}",
        };
        unsigned seed = (unsigned) time(NULL);
        print_message("seed %u\n", seed);
        for (int i = 0; i < 10000; i++) {
                char message[300] = { 0 };
                strcpy(message, calls[i % 3]);
                size_t length = damage(message, strlen(message), &seed);
                Client client = join();
                put(&client, message, length);
                put(&client, "\0{\"method\":\"org.mhad.Version\"}", 31);
                shutdown(client.fd, SHUT_WR);
                for (Json *json; (json = get(&client));)
                        json_free(json);
                leave(&client);
        }
        expect_alive();
}

static void test_deep(void **state)
{
        Text text = { 0 };
        text_add(&text, "{\"method\":\"org.mhad.Status\",\"parameters\":");
        for (int i = 0; i < 100000; i++)
                text_add(&text, "[");
        CLEANUP(mem_free) char *got = outcome(text.data);
        text_done(&text);
        assert_string_equal(got, NO_REPLY);
        expect_alive();
}

static bool is_served(Client *client)
{
        put_call(client, "{\"method\":\"org.mhad.Version\"}");
        CLEANUP(json_free) Json *json = get(client);
        const char *error = json_get_string(json, "error");
        assert_true(!error || text_equal(error, API_ERROR_REFUSED));
        return json && !error;
}

static void test_too_many(void **state)
{
        enum { N = 70 };
        Client clients[N];
        for (int i = 0; i < N; i++)
                clients[i] = join();
        for (int i = 0; i < N; i++)
                assert_int_equal(is_served(&clients[i]), i < CONTROL_CLIENTS_MAX);
        for (int i = 0; i < N; i++)
                leave(&clients[i]);
        for (int i = 0; i < 100; i++) {
                Client client = join();
                bool served = is_served(&client);
                leave(&client);
                if (served)
                        return;
                usleep(10000);
        }
        fail_msg("places are not free again");
}

/* Runs fn as somebody else; its failed assertions end that process with another status. */
static void as(uid_t uid, gid_t group, void (*fn)(void))
{
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                if (setgroups(group != (gid_t) -1, &group) < 0 || setgid(NOBODY) < 0 || setuid(uid) < 0)
                        _exit(2);
                fn();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void must(bool ok, int line)
{
        if (ok)
                return;
        fprintf(stderr, "line %d does not hold\n", line);
        _exit(1);
}
#define MUST(condition) must(condition, __LINE__)

static void changes_by(const char *expected)
{
        for (ApiId id = 0; id < _API_MAX; id++) {
                CLEANUP(mem_free) char *name = api_full_name(id);
                bool of_server = id == API_SERVER_DOWN || id == API_SERVER_UP || id == API_REJOIN || id == API_PURGE ||
                                 id == API_RESCUE_FETCH;
                CLEANUP(mem_free)
                char *call = text_format("{\"method\":\"%s\",\"parameters\":{\"cluster\":\"shop\"%s}}", name,
                                         id == API_RUN ? ",\"what\":\"retry\""
                                         : of_server   ? ",\"server\":\"db1\""
                                                       : "");
                if (id == API_RELOAD)
                        call[strlen(call) - strlen("{\"cluster\":\"shop\"}}")] = '\0', strcat(call, "{}}");
                if (api_method(id)->access == API_READS)
                        continue;
                CLEANUP(mem_free) char *got = outcome(call);
                if (text_equal(expected, "PermissionDenied"))
                        MUST(text_equal(got, expected));
                else
                        MUST(!text_equal(got, "PermissionDenied") && !text_equal(got, NO_REPLY));
        }
        CLEANUP(mem_free) char *got = outcome("{\"method\":\"org.mhad.Status\"}");
        MUST(text_equal(got, ""));
}

/* As many questions that take time as strangers may have: the next is refused; what is answered at once, or asks no server,
 * is not. */
static void stranger_keeps_busy(void)
{
        Client clients[CONTROL_QUESTIONS_MAX];
        bool refused = false;
        for (int attempt = 0; attempt < 20 && !refused; attempt++) { /* they are given up after a while */
                for (size_t i = 0; i < CONTROL_QUESTIONS_MAX; i++) {
                        clients[i] = join();
                        put_call(&clients[i], PLAN("nothing") "}");
                }
                CLEANUP(mem_free) char *got = outcome(PLAN("nothing") "}");
                MUST(text_equal(got, "Refused") || text_equal(got, "Failed"));
                refused = text_equal(got, "Refused");
                CLEANUP(mem_free) char *at_once = outcome("{\"method\":\"org.mhad.Status\"}");
                MUST(text_equal(at_once, ""));
                CLEANUP(mem_free) char *metrics = outcome("{\"method\":\"org.mhad.Metrics\"}");
                MUST(text_equal(metrics, ""));
                for (size_t i = 0; i < CONTROL_QUESTIONS_MAX; i++)
                        leave(&clients[i]);
        }
        MUST(refused);
}

static void stranger_asks(void)
{
        changes_by("PermissionDenied");
        expect_padded(SESSION_STRANGER_MESSAGE_MAX, "");
        expect_padded(SESSION_STRANGER_MESSAGE_MAX + 1, NO_REPLY);
}

static void member_asks(void)
{
        changes_by("");
}

static void test_permission(void **state)
{
        const struct group *group = getgrnam(GROUP);
        if (getuid() != 0 || !group)
                skip();
        as(NOBODY, (gid_t) -1, stranger_asks);
        as(NOBODY, (gid_t) -1, stranger_keeps_busy);
        as(NOBODY, group->gr_gid, member_asks);
}

/* One user holds all places that he can have, says so, and waits. */
static void crowd(int told)
{
        enum { N = CONTROL_CLIENTS_OF_ONE };
        Client clients[N + 5];
        for (int i = 0; i < N + 5; i++)
                clients[i] = join();
        for (int i = 0; i < N + 5; i++)
                MUST(is_served(&clients[i]) == (i < N));
        MUST(write(told, "", 1) == 1);
        pause();
}

static pid_t start_crowd(uid_t uid)
{
        int ends[2];
        char byte;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(ends[0]);
                if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(uid) < 0)
                        _exit(2);
                prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user is asked again */
                crowd(ends[1]);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        return pid;
}

static void is_asked(void)
{
        Client client = join();
        MUST(is_served(&client));
        leave(&client);
}

static void is_turned_away(void)
{
        Client client = join();
        MUST(!is_served(&client));
        leave(&client);
}

/* Nobody takes the places of other users, and all together not those of an operator. */
static void test_reserved(void **state)
{
        enum { CROWDS = (CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_RESERVED) / CONTROL_CLIENTS_OF_ONE };
        pid_t crowds[CROWDS];
        if (getuid() != 0)
                skip();
        for (uid_t i = 0; i < CROWDS; i++) {
                as(NOBODY - CROWDS, (gid_t) -1, is_asked);
                crowds[i] = start_crowd(NOBODY - i);
                as(NOBODY - i, (gid_t) -1, is_turned_away);
        }
        as(NOBODY - CROWDS, (gid_t) -1, is_turned_away);
        expect_alive();
        for (int i = 0; i < CROWDS; i++) {
                assert_int_equal(waitpid(crowds[i], NULL, WNOHANG), 0);
                kill(crowds[i], SIGKILL);
                waitpid(crowds[i], NULL, 0);
        }
}

/* Where it may listen; these need no child. */
static int listen_error(const char *at, int fd)
{
        CLEANUP(loop_free) Loop *loop = NULL;
        CLEANUP(control_free) Control *control = NULL;
        Registry registry = { 0 };
        Failure failure = { 0 };
        assert_int_equal(loop_new(&loop), 0);
        int error = control_new(loop, &registry, at, fd, NULL, &control, &failure);
        assert_true(error == 0 ? control && failure.kind == FAILURE_NONE : !control && failure.text[0]);
        struct stat info;
        if (error == 0 && fd < 0)
                assert_true(stat(at, &info) == 0 && (info.st_mode & 07777) == 0666);
        return error;
}

static int listening_socket(const char *at)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof address.sun_path, "%s", at);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(fd, 5), 0);
        return fd;
}

static void test_listening(void **state)
{
        CLEANUP(mem_free) char *at = text_format("%s/new/control", folder);
        CLEANUP(mem_free) char *parent = text_format("%s/new", folder);
        static const char long_name[] =
                "/tmp/a-name-that-is-much-too-long-for-a-socket-because-only-a-hundred-and-seven-"
                "bytes-fit-into-the-address-of-one";
        assert_int_equal(listen_error(at, -1), 0);
        assert_int_equal(access(at, F_OK), -1);
        assert_int_equal(listen_error(long_name, -1), -EINVAL);
        assert_int_equal(listen_error(NULL, -1), -EINVAL);

        int fd = listening_socket(at);
        assert_int_equal(listen_error(at, -1), -EINVAL);
        close(fd);
        assert_int_equal(listen_error(at, -1), 0);

        close(open(at, O_CREAT | O_WRONLY, 0600));
        assert_int_equal(listen_error(at, -1), -EINVAL);
        unlink(at);

        fd = listening_socket(at);
        assert_int_equal(listen_error(NULL, fd), 0);
        assert_int_equal(access(at, F_OK), 0);
        unlink(at);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(listen_error(NULL, fd), -EINVAL);
        close(fd);
        rmdir(parent);
}

int main(void)
{
        if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
                return 1;
        snprintf(path, sizeof path, "%s/control", folder);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_methods, start, stop),
                cmocka_unit_test_setup_teardown(test_every_method, start, stop),
                cmocka_unit_test_setup_teardown(test_pipelining, start, stop),
                cmocka_unit_test_setup_teardown(test_byte_by_byte, start, stop),
                cmocka_unit_test_setup_teardown(test_oneway, start, stop),
                cmocka_unit_test_setup_teardown(test_later, start, stop),
                cmocka_unit_test_setup_teardown(test_follow, start, stop),
                cmocka_unit_test_setup_teardown(test_answers_are_text, start, stop),
                cmocka_unit_test_setup_teardown(test_asker_is_recorded, start, stop),
                cmocka_unit_test_setup_teardown(test_slow_reader, start, stop),
                cmocka_unit_test_setup_teardown(test_never_reads, start, stop),
                cmocka_unit_test_setup_teardown(test_incomplete, start, stop),
                cmocka_unit_test_setup_teardown(test_size_limit, start, stop),
                cmocka_unit_test_setup_teardown(test_malformed, start, stop),
                cmocka_unit_test_setup_teardown(test_deep, start, stop),
                cmocka_unit_test_setup_teardown(test_too_many, start, stop),
                cmocka_unit_test_setup_teardown(test_permission, start, stop),
                cmocka_unit_test_setup_teardown(test_reserved, start, stop),
                cmocka_unit_test(test_listening),
        };
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        rmdir(folder);
        return failed;
}
