/* Standing in for the dead primary towards one replica: the way to it, the login, the feed. Owns one SSH session for each
 * replica (or a listening port), kept up as long as the feed is wanted. Must never let in who has not the password. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "alloc.h"
#include "enum.h"
#include "rescue-inside.h"
#include "text.h"

#define PASSWORD_LENGTH 24
#define LINK_TIMEOUT (10 * USEC_SEC)
#define TRY_AGAIN (500 * USEC_MSEC)

struct Standin {
        Standin *next;
        Rescue *rescue;
        char *server, *expected, *wanted_end, *address;
        char *password;
        Feed *feed;
        Position end;
        uint16_t port;

        PoolClaim *claim;
        SshLink *link;
        SshListener *listener;
        Timer *again;
        Failure failure; /* of the way, as long as there is none */
};

static void open_way(Standin *standin);

Standin *standin_find(const Rescue *rescue, const char *server)
{
        Standin *standin = rescue->standins;
        while (standin && !text_equal(standin->server, server))
                standin = standin->next;
        return standin;
}

Standin *standin_next(const Standin *standin)
{
        return standin->next;
}

const char *standin_password(const Standin *standin)
{
        return standin->password;
}

const char *standin_server(const Standin *standin)
{
        return standin->server;
}

/* The way. */

static void close_way(Standin *standin)
{
        standin->claim = pool_abandon(standin->claim);
        standin->listener = ssh_listener_free(standin->listener);
        standin->link = ssh_link_free(standin->link);
        standin->again = timer_free(standin->again);
        standin->port = 0;
}

static void on_again(void *userdata)
{
        Standin *standin = userdata;
        close_way(standin);
        open_way(standin);
}

static void way_failed(Standin *standin, const Failure *failure)
{
        standin->failure = *failure;
        standin->port = 0;
        if (!standin->again)
                standin->again = timer_new(standin->rescue->loop, 10 * USEC_MSEC, on_again, standin);
        timer_set_in(standin->again, TRY_AGAIN);
}

static void on_link_end(SshLink *link, const Failure *failure, void *userdata)
{
        if (failure)
                way_failed(userdata, failure);
}

static void on_listening(SshListener *listener, uint16_t port, const Failure *failure, void *userdata)
{
        Standin *standin = userdata;
        if (failure) {
                way_failed(standin, failure);
                return;
        }
        standin->failure = (Failure){ 0 };
        standin->port = port;
}

static void on_accept(Wire *wire, const char *peer, void *userdata)
{
        feed_attach(wire, peer, ((Standin *) userdata)->feed);
}

static void on_link(Sql *sql, SshLink *link, const Failure *failure, void *userdata)
{
        Standin *standin = userdata;
        standin->claim = NULL;
        if (failure) {
                way_failed(standin, failure);
                return;
        }
        standin->link = link;
        standin->listener = ssh_link_listen(link, usec_add(loop_now(standin->rescue->loop), LINK_TIMEOUT), on_listening,
                                            on_accept, standin);
}

static void open_way(Standin *standin)
{
        Rescue *rescue = standin->rescue;
        Failure failure;
        if (rescue->settings->listen) {
                if (feed_listen(standin->feed, rescue->settings->listen, rescue->settings->port, standin->address,
                                &standin->port, &failure) < 0)
                        way_failed(standin, &failure);
                return;
        }
        Pool *pool = rescue->pool(standin->server, rescue->userdata);
        if (!pool) {
                failure_set(&failure, FAILURE_INVALID, 0, "there is no server %s in the cluster", standin->server);
                way_failed(standin, &failure);
                return;
        }
        standin->claim =
                pool_claim_own_ssh(pool, usec_add(loop_now(rescue->loop), LINK_TIMEOUT), on_link_end, on_link, standin);
}

/* The feed. */

void standin_free(Standin *standin)
{
        close_way(standin);
        feed_free(standin->feed);
        free(standin->server);
        free(standin->expected);
        free(standin->wanted_end);
        free(standin->address);
        text_wipe(standin->password);
        free(standin);
}

void standin_end(Rescue *rescue, const char *server)
{
        Standin **at = &rescue->standins;
        while (*at && !text_equal((*at)->server, server))
                at = &(*at)->next;
        Standin *standin = *at;
        if (!standin)
                return;
        *at = standin->next;
        standin_free(standin);
}

static char *new_password(void)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        unsigned char random[PASSWORD_LENGTH];
        if (getrandom(random, sizeof random, 0) != sizeof random)
                abort(); /* cannot fail for so few bytes (getrandom(2)) */
        char *password = ALLOC_ARRAY(char, PASSWORD_LENGTH + 1);
        for (size_t i = 0; i < PASSWORD_LENGTH; i++)
                password[i] = letters[random[i] % (sizeof letters - 1)];
        explicit_bzero(random, sizeof random);
        return password;
}

static const SavedSource *source_number(const Rescue *rescue, size_t number)
{
        const SavedSource *source = rescue->sources;
        while (source && !(source->in_index && source->number == number))
                source = source->next;
        return source;
}

static Feed *make_feed(Rescue *rescue, Standin *standin, const Json *input, const Position *expected,
                       const Position *end)
{
        Position from = position_is_set(expected) ? *expected : source_begin(rescue);
        CLEANUP(ranges_answer_done) RangesAnswer answer = ranges_ask(rescue->ranges, &from);
        FeedPiece *pieces = ALLOC_ARRAY(FeedPiece, answer.n_pieces);
        char **paths = ALLOC_ARRAY(char *, answer.n_pieces);
        for (size_t i = 0; i < answer.n_pieces; i++) {
                const RangesPiece *piece = &answer.pieces[i];
                const SavedSource *source = source_number(rescue, piece->source);
                uint64_t before = source->relay ? 0 : piece->from.offset - piece->stored_at;
                paths[i] = text_format("%s/%s/%s", rescue->directory, source->server, piece->stored.file);
                pieces[i] = (FeedPiece){ .file = piece->from.file,
                                         .path = paths[i],
                                         .offset = piece->stored.offset + before,
                                         .from = piece->from.offset,
                                         .to = piece->to,
                                         .relay_server_id = source->relay ? source->own_id : 0 };
                pieces[i].format = ranges_format(rescue->ranges, piece->from.file, &pieces[i].format_length);
        }
        standin->end = position_is_set(end) ? *end : answer.end;
        uint32_t own_id = UINT32_MAX - 2, replica_id = (uint32_t) json_get_int(input, "server_id", 0);
        FeedParams params = { .pieces = pieces,
                              .n_pieces = answer.n_pieces,
                              .end = standin->end,
                              .version = json_get_string(input, "version"),
                              .user = FEED_USER,
                              .password = standin->password,
                              .server_id = own_id == replica_id ? own_id - 1 : own_id,
                              .server_uuid = rescue->uuid,
                              .gtid_mode = json_get_bool(input, "gtid_mode", false),
                              .expected = *expected };
        Feed *feed = answer.n_pieces ? feed_new(rescue->loop, &params, NULL, NULL) : NULL;
        for (size_t i = 0; i < answer.n_pieces; i++)
                free(paths[i]);
        free(paths);
        free(pieces);
        return feed;
}

static bool is_wanted(const Standin *standin, const char *expected, const char *end)
{
        return feed_progress(standin->feed)->state != FEED_FAILED && text_equal(standin->expected, expected) &&
               text_equal(standin->wanted_end, end);
}

int standin_order(Rescue *rescue, const Json *input, Failure *reterr)
{
        const char *server = json_get_string(input, "server"), *version = json_get_string(input, "version");
        const char *expected_text = json_get_string(input, "expected"), *end_text = json_get_string(input, "end");
        Position expected = { 0 }, end = { 0 };
        expected_text = expected_text ? expected_text : "";
        end_text = end_text ? end_text : "";
        if (text_is_empty(server) || text_is_empty(version))
                return failure_set(reterr, FAILURE_INVALID, 0, "a feed needs the name and the version of its replica");
        if ((*expected_text && position_parse(expected_text, &expected, reterr) < 0) ||
            (*end_text && position_parse(end_text, &end, reterr) < 0))
                return -EINVAL;
        const Standin *known = standin_find(rescue, server);
        if (known && is_wanted(known, expected_text, end_text))
                return 0;
        if (!rescue->ranges)
                return failure_set(reterr, FAILURE_SYSTEM, EAGAIN, "the saved logs are still being indexed");
        standin_end(rescue, server);
        Standin *standin = ALLOC(Standin);
        *standin = (Standin){ .next = rescue->standins,
                              .rescue = rescue,
                              .server = alloc_string(server),
                              .expected = alloc_string(expected_text),
                              .wanted_end = alloc_string(end_text),
                              .address = alloc_string(json_get_string(input, "address")),
                              .password = new_password() };
        standin->feed = make_feed(rescue, standin, input, &expected, &end);
        if (!standin->feed) {
                standin_free(standin);
                return failure_set(reterr, FAILURE_INVALID, 0, "nothing is saved behind %s",
                                   *expected_text ? expected_text : "the beginning");
        }
        rescue->standins = standin;
        open_way(standin);
        return 0;
}

static void set_position(Json *json, const char *name, const Position *position)
{
        CLEANUP(mem_free) char *text = position_format(position);
        json_set_string(json, name, text);
}

Json *standin_describe(const Standin *standin)
{
        const FeedProgress *progress = feed_progress(standin->feed);
        const char *listen = standin->rescue->settings->listen;
        bool open = standin->port != 0;
        Json *json = json_object();
        json_set_string(json, "state",
                        progress->state == FEED_WAITING && !open ? "opening" : feed_state_to_string(progress->state));
        json_set_string(json, "host", listen ? listen : "127.0.0.1");
        json_set_int(json, "port", standin->port);
        json_set_string(json, "user", FEED_USER);
        set_position(json, "from", &progress->from);
        set_position(json, "reached", &progress->reached);
        set_position(json, "end", &standin->end);
        json_set_int(json, "sent", (int64_t) progress->sent);
        json_set_int(json, "left", (int64_t) progress->left);
        json_set_int(json, "n_skipped", (int64_t) progress->n_skipped);
        json_set_int(json, "n_holes", progress->n_holes);
        json_set_int(json, "n_logins", progress->n_logins);
        json_set_int(json, "n_refused", progress->n_refused);
        const Failure *failure = progress->failure.kind != FAILURE_NONE ? &progress->failure : &standin->failure;
        if (failure->kind != FAILURE_NONE)
                json_set_string(json, "failure", failure->text);
        return json;
}
