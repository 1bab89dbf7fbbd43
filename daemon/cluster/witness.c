/* Asking others about the primary. Owns one SSH session and one probe a host; must never conclude anything. */
#include "witness.h"

#include <stdio.h>

#include "text.h"

typedef struct Place {
        Witnesses *witnesses;
        const Server *server;
        ResolverQuery *query;
        SshLink *link;
        SshTask *task;
        Timer *timer; /* the next round; also the end of a rest */
        bool failed;  /* the last attempt to get a session failed */
        bool answered;
        TunnelOpinion opinion;
        usec_t asked_at, tried_at; /* of the present attempt, and of the one that the opinion is of */
        char text[200];
} Place;

struct Witnesses {
        Loop *loop;
        Resolver *resolver;
        const SshIdentity *identity;
        const ClusterConfig *config;
        witnesses_fn changed;
        void *userdata;
        bool asking;
        size_t suspect;
        Place *places;
        size_t n_places;
};

/* Between two rounds while somebody waits for the answer, and how long a session is kept warm after. */
#define ROUND_INTERVAL (300 * USEC_MSEC)
#define REST_TIME (30 * USEC_SEC)

static void ask(Place *place);

static usec_t deadline_in(const Witnesses *witnesses, usec_t timeout)
{
        return usec_add(loop_now(witnesses->loop), timeout);
}

static bool is_suspect(const Place *place)
{
        return (size_t) (place - place->witnesses->places) == place->witnesses->suspect;
}

static void settle(Place *place, TunnelOpinion opinion, const char *text)
{
        Witnesses *witnesses = place->witnesses;
        bool news = !place->answered || place->opinion != opinion;
        place->answered = true;
        place->opinion = opinion;
        snprintf(place->text, sizeof place->text, "%s", text);
        if (witnesses->asking)
                timer_set_in(place->timer, ROUND_INTERVAL);
        if (news && witnesses->asking)
                witnesses->changed(witnesses->userdata);
}

static void on_probe(const Greeting *greeting, void *userdata)
{
        Place *place = userdata;
        place->task = NULL;
        place->tried_at = place->asked_at;
        settle(place, greeting_opinion(greeting->kind), greeting->text);
}

static void close_link(Place *place)
{
        place->query = resolver_abandon(place->query);
        place->task = ssh_task_abandon(place->task);
        place->link = ssh_link_free(place->link);
}

static void on_ready(SshLink *link, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        resolver_note(place->witnesses->resolver, place->server->ssh_host, place->server->ssh_port,
                      ssh_link_stage(link) != SSH_STAGE_CONNECT);
        place->failed = failure != NULL;
        if (failure) {
                close_link(place);
                settle(place, TUNNEL_SAYS_NOTHING, failure->text);
        } else {
                ask(place);
        }
}

static void on_lost(SshLink *link, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        close_link(place);
        place->failed = true;
        settle(place, TUNNEL_SAYS_NOTHING, failure->text);
}

static void on_resolved(const char *const *addresses, size_t n, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        Witnesses *witnesses = place->witnesses;
        place->query = NULL;
        if (n == 0) {
                place->failed = true;
                settle(place, TUNNEL_SAYS_NOTHING, failure->text);
                return;
        }
        const Server *server = place->server;
        SshParams params = {
                .name = server->ssh_host,
                .address = addresses[0],
                .port = server->ssh_port,
                .user = server->ssh_user,
                .identity = witnesses->identity,
                .known_hosts_file = witnesses->config->ssh.known_hosts_file,
                .accept_unknown = !witnesses->config->ssh.strict_host_keys,
        };
        place->link =
                ssh_link_new(witnesses->loop, &params, deadline_in(witnesses, witnesses->config->ssh.connect_timeout),
                             on_ready, on_lost, place);
}

static void ask(Place *place)
{
        Witnesses *witnesses = place->witnesses;
        if (!witnesses->identity || place->task || place->query || (place->link && !ssh_link_is_up(place->link)))
                return;
        place->asked_at = loop_now(witnesses->loop);
        if (!place->link) {
                place->query = resolver_query(witnesses->resolver, place->server->ssh_host, place->server->ssh_port,
                                              deadline_in(witnesses, witnesses->config->ssh.connect_timeout),
                                              on_resolved, place);
                return;
        }
        if (is_suspect(place)) {
                settle(place, TUNNEL_SAYS_NOTHING, "SSH to the host works");
                return;
        }
        const Server *suspect = witnesses->places[witnesses->suspect].server;
        place->task =
                ssh_link_probe(place->link, suspect->host, suspect->port,
                               deadline_in(witnesses, witnesses->config->detection.confirm_timeout), on_probe, place);
}

static void on_timer(void *userdata)
{
        Place *place = userdata;
        if (place->witnesses->asking)
                ask(place);
        else
                close_link(place);
}

void witnesses_ask(Witnesses *witnesses, size_t suspect)
{
        if (witnesses->asking && witnesses->suspect == suspect)
                return;
        witnesses->asking = true;
        witnesses->suspect = suspect;
        for (size_t i = 0; i < witnesses->n_places; i++) {
                Place *place = &witnesses->places[i];
                place->answered = false;
                place->opinion = TUNNEL_SAYS_NOTHING;
                place->tried_at = 0;
                place->task = ssh_task_abandon(place->task);
                place->text[0] = '\0';
                ask(place);
        }
}

void witnesses_rest(Witnesses *witnesses)
{
        if (!witnesses->asking)
                return;
        witnesses->asking = false;
        for (size_t i = 0; i < witnesses->n_places; i++)
                timer_set_in(witnesses->places[i].timer, REST_TIME);
}

Witnesses *witnesses_new(Loop *loop, Resolver *resolver, const SshIdentity *identity, const ClusterConfig *config,
                         witnesses_fn changed, void *userdata)
{
        Witnesses *witnesses = ALLOC(Witnesses);
        *witnesses = (Witnesses){
                .loop = loop,
                .resolver = resolver,
                .identity = identity,
                .config = config,
                .changed = changed,
                .userdata = userdata,
                .n_places = config->n_servers + config->n_observers,
        };
        witnesses->places = ALLOC_ARRAY(Place, witnesses->n_places);
        for (size_t i = 0; i < witnesses->n_places; i++) {
                Place *place = &witnesses->places[i];
                place->witnesses = witnesses;
                place->server = i < config->n_servers ? &config->servers[i] : &config->observers[i - config->n_servers];
                place->timer = timer_new(loop, USEC_MSEC, on_timer, place);
        }
        return witnesses;
}

Witnesses *witnesses_free(Witnesses *witnesses)
{
        if (!witnesses)
                return NULL;
        for (size_t i = 0; i < witnesses->n_places; i++) {
                close_link(&witnesses->places[i]);
                timer_free(witnesses->places[i].timer);
        }
        free(witnesses->places);
        free(witnesses);
        return NULL;
}

size_t witnesses_n(const Witnesses *witnesses)
{
        return witnesses->n_places;
}

TunnelOpinion witnesses_opinion(const Witnesses *witnesses, size_t i)
{
        return witnesses->places[i].opinion;
}

usec_t witnesses_tried_at(const Witnesses *witnesses, size_t i)
{
        return witnesses->places[i].tried_at;
}

const char *witnesses_text(const Witnesses *witnesses, size_t i)
{
        return witnesses->places[i].text;
}

bool witnesses_is_pending(const Witnesses *witnesses, size_t i)
{
        return witnesses->asking && witnesses->identity && !witnesses->places[i].answered;
}

int witnesses_ssh(const Witnesses *witnesses, size_t i)
{
        const Place *place = &witnesses->places[i];
        if (place->link && ssh_link_is_up(place->link))
                return 1;
        return place->failed ? 0 : -1;
}
