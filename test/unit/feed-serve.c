/* Serves files of a primary to replicas, for test/integration/test_feed.py: feed-serve CONFIG, a file of JSON. Fetches
 * over SSH what it is told to, opens its feeds, and says on standard output, one JSON object a line, what happens. Ends
 * with its standard input; "stop NAME" there ends one feed from this side. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "feed.h"
#include "fetch.h"
#include "file.h"
#include "json.h"
#include "text.h"

typedef struct Served {
        const char *name;
        Feed *feed;
        SshLink *link;
        SshListener *listener;
        uint64_t last_sent;
        FeedState last_state;
} Served;

static Loop *loop;
static Json *config;
static SshIdentity *identity;
static Served served[16];
static size_t n_served, n_fetched;
static SshLink *fetch_link;
static usec_t last_beat, longest;
static Timer *beat, *ticker;

static void say(Json *line)
{
        CLEANUP(mem_free) char *text = json_print(line);
        json_free(line);
        puts(text);
        fflush(stdout);
}

static void die(const char *what, const Failure *failure)
{
        Json *line = json_object();
        json_set_string(line, "died", what);
        json_set_string(line, "failure", failure ? failure->text : NULL);
        say(line);
        _exit(1);
}

/* The most that it ever was; 0 where sanitizers make it meaningless. */
static int64_t rss_kb(void)
{
#ifdef __SANITIZE_ADDRESS__
        return 0;
#endif
        CLEANUP(mem_free) char *text = NULL;
        if (file_read("/proc/self/status", 65536, &text, NULL, NULL) < 0)
                return 0;
        const char *at = strstr(text, "VmHWM:");
        return at ? strtoll(at + 6, NULL, 10) : 0;
}

static void tell(Served *one)
{
        const FeedProgress *progress = feed_progress(one->feed);
        CLEANUP(mem_free) char *from = position_format(&progress->from);
        CLEANUP(mem_free) char *reached = position_format(&progress->reached);
        Json *line = json_object();
        json_set_string(line, "feed", one->name);
        json_set_string(line, "state", feed_state_to_string(progress->state));
        json_set_string(line, "from", from);
        json_set_string(line, "reached", reached);
        json_set_int(line, "sent", (int64_t) progress->sent);
        json_set_int(line, "left", (int64_t) progress->left);
        json_set_int(line, "skipped", (int64_t) progress->n_skipped);
        json_set_int(line, "holes", progress->n_holes);
        json_set_int(line, "logins", progress->n_logins);
        json_set_int(line, "refused", progress->n_refused);
        json_set_string(line, "failure", progress->failure.kind ? progress->failure.text : NULL);
        json_set_int(line, "rss_kb", rss_kb());
        json_set_real(line, "longest_ms", (double) longest / 1000);
        json_set_real(line, "at", (double) loop_now(loop) / 1e6);
        say(line);
}

static void on_changed(Feed *feed, void *userdata)
{
        tell(userdata);
}

static void tell_port(const Served *one, uint16_t port)
{
        Json *line = json_object();
        json_set_string(line, "feed", one->name);
        json_set_int(line, "port", port);
        say(line);
}

static void on_listening(SshListener *listener, uint16_t port, const Failure *failure, void *userdata)
{
        Served *one = userdata;
        if (failure)
                die("listening", failure);
        tell_port(one, port);
}

static void on_accept(Wire *wire, const char *peer, void *userdata)
{
        feed_attach(wire, peer, ((Served *) userdata)->feed);
}

static void on_lost(SshLink *link, const Failure *failure, void *userdata)
{
        die("link", failure);
}

static void on_ready(SshLink *link, const Failure *failure, void *userdata)
{
        if (failure)
                die("link", failure);
}

static SshLink *connect_to(const char *address)
{
        SshParams params = { .name = address,
                             .address = address,
                             .port = 22,
                             .user = "root",
                             .identity = identity,
                             .accept_unknown = true };
        return ssh_link_new(loop, &params, usec_add(loop_now(loop), 10 * USEC_SEC), on_ready, on_lost, NULL);
}

static void add_pieces(const Json *from, FeedPiece *pieces, size_t *n)
{
        const Json *piece;
        cJSON_ArrayForEach(piece, json_get(from, "pieces"))
        {
                pieces[(*n)++] = (FeedPiece){
                        .file = json_get_string(piece, "file"),
                        .path = json_get_string(piece, "path"),
                        .offset = (uint64_t) json_get_int(piece, "offset", 0),
                        .from = (uint64_t) json_get_int(piece, "from", 0),
                        .to = (uint64_t) json_get_int(piece, "to", 0),
                        .relay_server_id = (uint32_t) json_get_int(piece, "relay", 0),
                };
        }
}

static void open_feed(const Json *wish)
{
        Served *one = &served[n_served++];
        static FeedPiece pieces[256];
        FeedParams params = {
                .pieces = pieces,
                .version = json_get_string(wish, "version"),
                .user = json_get_string(wish, "user"),
                .password = json_get_string(wish, "password"),
                .server_id = (uint32_t) json_get_int(wish, "server_id", 0),
                .server_uuid = json_get_string(wish, "server_uuid"),
                .gtid_mode = cJSON_IsTrue(json_get(wish, "gtid_mode")),
        };
        Failure failure;
        add_pieces(wish, pieces, &params.n_pieces);
        if (position_parse(json_get_string(wish, "end"), &params.end, &failure) < 0)
                die("end", &failure);
        one->name = json_get_string(wish, "name");
        one->feed = feed_new(loop, &params, on_changed, one);
        const char *listen = json_get_string(wish, "listen");
        if (listen) {
                uint16_t port = 0;
                if (feed_listen(one->feed, listen, 0, json_get_string(wish, "from"), &port, &failure) < 0)
                        die("listen", &failure);
                tell_port(one, port);
                return;
        }
        one->link = connect_to(json_get_string(wish, "ssh"));
        one->listener =
                ssh_link_listen(one->link, usec_add(loop_now(loop), 10 * USEC_SEC), on_listening, on_accept, one);
}

static void open_feeds(void)
{
        const Json *wish;
        cJSON_ArrayForEach(wish, json_get(config, "feeds"))
        {
                open_feed(wish);
        }
}

static void fetch_next(void);

static void on_fetched(const FetchResult *result, void *userdata)
{
        Json *line = json_object();
        json_set_string(line, "fetched", fetch_end_to_string(result->end));
        json_set_string(line, "failure", result->failure.kind ? result->failure.text : NULL);
        json_set_int(line, "size", (int64_t) result->size);
        json_set_bool(line, "verified", result->verified);
        json_set_real(line, "at", (double) loop_now(loop) / 1e6);
        json_set_int(line, "rss_kb", rss_kb());
        json_set_real(line, "longest_ms", (double) longest / 1000);
        say(line);
        n_fetched++;
        fetch_next();
}

static void fetch_next(void)
{
        const Json *wish = cJSON_GetArrayItem(json_get(config, "fetches"), (int) n_fetched);
        if (!wish) {
                open_feeds();
                return;
        }
        if (!fetch_link)
                fetch_link = connect_to(json_get_string(wish, "ssh"));
        FetchParams params = { .remote = json_get_string(wish, "remote"),
                               .local = json_get_string(wish, "local"),
                               .from = (uint64_t) json_get_int(wish, "from", 0) };
        fetch_start(loop, fetch_link, &params, NULL, on_fetched, NULL);
}

static void on_input(int fd, uint32_t revents, void *userdata)
{
        char line[256] = { 0 };
        ssize_t n = read(fd, line, sizeof line - 1);
        if (n <= 0) {
                loop_exit(loop, 0);
                return;
        }
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < n_served; i++)
                if (text_starts_with(line, "stop ") && text_equal(line + 5, served[i].name))
                        feed_stop(served[i].feed);
}

static void on_beat(void *userdata)
{
        usec_t now = loop_now(loop);
        if (last_beat && now - last_beat > longest)
                longest = now - last_beat;
        last_beat = now;
        timer_set_in(beat, 5 * USEC_MSEC);
}

static void on_tick(void *userdata)
{
        for (size_t i = 0; i < n_served; i++) {
                const FeedProgress *progress = feed_progress(served[i].feed);
                if (progress->sent != served[i].last_sent || progress->state != served[i].last_state)
                        tell(&served[i]);
                served[i].last_sent = progress->sent;
                served[i].last_state = progress->state;
        }
        timer_set_in(ticker, 100 * USEC_MSEC);
}

int main(int argc, char **argv)
{
        Failure failure;
        CLEANUP(mem_free) char *text = NULL;
        size_t length;
        if (argc != 2 || file_read(argv[1], 1 << 20, &text, &length, &failure) < 0 ||
            json_parse(text, length, &config, &failure) < 0)
                die("configuration", argc == 2 ? &failure : NULL);
        const char *key = json_get_string(config, "identity");
        if (key && ssh_identity_load(key, &identity, &failure) < 0)
                die("identity", &failure);
        if (loop_new(&loop) < 0)
                die("loop", NULL);
        Io *input = io_new(loop, 0, EPOLLIN, on_input, NULL);
        beat = timer_new(loop, 1, on_beat, NULL);
        ticker = timer_new(loop, 1, on_tick, NULL);
        timer_set_in(beat, 0);
        timer_set_in(ticker, 0);
        fetch_next();
        int r = loop_run(loop);
        for (size_t i = 0; i < n_served; i++) {
                feed_free(served[i].feed);
                ssh_listener_free(served[i].listener);
                ssh_link_free(served[i].link);
        }
        ssh_link_free(fetch_link);
        timer_free(beat);
        timer_free(ticker);
        io_free(input);
        loop_free(loop);
        ssh_identity_free(identity);
        json_free(config);
        return r;
}
