/* The hosts of a cluster asked by SSH. Owns a session of its own to each, so that nothing is found out by one that has been
 * there for long; must never judge what it finds. */
#include "checks-ssh.h"

#include <stdio.h>

#include "compose.h"
#include "ssh_check.h"
#include "text.h"

typedef struct Place Place;

/* From one host to another server. */
typedef struct Way {
        Place *place;
        const Server *to;
        SshTask *probe, *login;
        SshPath path;
        char text[200];
        Reply mesh;
} Way;

struct Place {
        SshChecks *checks;
        const Server *server;
        bool observer, settled;
        ResolverQuery *query;
        size_t n_addresses, n_tried;
        SshLink *link;
        SshTask *task;
        SshListener *listener;
        CheckId refused;
        char failure[400], listen_failure[400];
        Reply reply;
        usec_t asked, answered;
        bool listened;
        Way *ways;
        size_t n_ways;
};

struct SshChecks {
        Loop *loop;
        Resolver *resolver;
        SshChecksPlan plan;
        Json *results;
        ssh_checks_fn done;
        void *userdata;
        Timer *timer; /* the end, and the call of done from the loop */
        Place *places;
        size_t n_places;
        bool told;
};

static void take_result(Reply *reply, const SshResult *result)
{
        *reply = (Reply){
                .run = true,
                .failure = result->failure,
                .exit_status = result->exit_status,
                .out = alloc_string(result->out ? result->out : ""),
                .err = alloc_string(result->err ? result->err : ""),
        };
}

static void close_place(Place *place)
{
        place->query = resolver_abandon(place->query);
        place->task = ssh_task_abandon(place->task);
        place->listener = ssh_listener_free(place->listener);
        for (size_t i = 0; i < place->n_ways; i++) {
                place->ways[i].probe = ssh_task_abandon(place->ways[i].probe);
                place->ways[i].login = ssh_task_abandon(place->ways[i].login);
        }
        place->link = ssh_link_free(place->link);
}

/* Judges in the order of the configuration, whoever came first. */
static void tell(void *userdata)
{
        SshChecks *checks = userdata;
        for (size_t i = 0; i < checks->n_places; i++) {
                Place *place = &checks->places[i];
                SshWay *ways = ALLOC_ARRAY(SshWay, place->n_ways + 1);
                for (size_t k = 0; k < place->n_ways; k++)
                        ways[k] = (SshWay){ place->ways[k].to->name, place->ways[k].path, place->ways[k].text,
                                            place->ways[k].mesh.run ? &place->ways[k].mesh : NULL };
                SshLook look = {
                        .server = place->server->name,
                        .observer = place->observer,
                        .refused = place->refused,
                        .failure = place->failure,
                        .reply = &place->reply,
                        .asked = place->asked,
                        .answered = place->answered,
                        .listen_failure = *place->listen_failure ? place->listen_failure : NULL,
                        .ways = ways,
                        .n_ways = place->n_ways,
                };
                if (checks->plan.only < 0 || (size_t) checks->plan.only == i)
                        ssh_check_judge(checks->plan.facts, &look, checks->results);
                free(ways);
        }
        checks->done(checks->userdata);
}

static void settle(Place *place)
{
        SshChecks *checks = place->checks;
        place->settled = true;
        for (size_t i = 0; i < checks->n_places; i++)
                if (!checks->places[i].settled)
                        return;
        if (!checks->told)
                timer_set_in(checks->timer, 0);
        checks->told = true;
}

static void refuse(Place *place, CheckId id, const char *text)
{
        place->refused = id;
        (void) snprintf(place->failure, sizeof place->failure, "%s", text);
        settle(place);
}

/* All that was asked of a host has ended. */
static void look_for_end(Place *place)
{
        bool pending = place->task || !place->listened;
        for (size_t i = 0; i < place->n_ways; i++)
                pending = pending || place->ways[i].probe || place->ways[i].login;
        if (!pending && !place->settled)
                settle(place);
}

static void on_script(const SshResult *result, void *userdata)
{
        Place *place = userdata;
        place->task = NULL;
        place->answered = loop_now_real(place->checks->loop);
        take_result(&place->reply, result);
        look_for_end(place);
}

static void on_probe(const Greeting *greeting, void *userdata)
{
        Way *way = userdata;
        way->probe = NULL;
        way->path = greeting_is_alive(greeting) ? SSH_PATH_REACHED
                    : greeting->forbidden       ? SSH_PATH_FORBIDDEN
                                                : SSH_PATH_FAILED;
        (void) snprintf(way->text, sizeof way->text, "%s", greeting->text);
        look_for_end(way->place);
}

static void on_login(const SshResult *result, void *userdata)
{
        Way *way = userdata;
        way->login = NULL;
        take_result(&way->mesh, result);
        look_for_end(way->place);
}

static void on_accept(Wire *wire, const char *peer, void *userdata)
{
        (void) wire_free(wire);
}

static void on_listening(SshListener *listener, uint16_t port, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        place->listened = true;
        if (failure)
                (void) snprintf(place->listen_failure, sizeof place->listen_failure, "%s", failure->text);
        look_for_end(place);
}

static void ask(Place *place)
{
        SshChecks *checks = place->checks;
        usec_t deadline = checks->plan.deadline;
        CLEANUP(mem_free) char *script = ssh_check_script(checks->plan.facts, place->server->name);
        CLEANUP(mem_free) char *command = compose_command(script, checks->plan.config->ssh.sudo);
        place->asked = loop_now_real(checks->loop);
        place->task = ssh_link_exec(place->link, command, deadline, on_script, place);
        place->listener = ssh_link_listen(place->link, deadline, on_listening, on_accept, place);
        for (size_t i = 0; i < place->n_ways; i++) {
                Way *way = &place->ways[i];
                size_t number = (size_t) (way->to - checks->plan.config->servers);
                if (checks->plan.alive[number])
                        way->probe = ssh_link_probe(place->link, way->to->host, way->to->port, deadline, on_probe, way);
                if (checks->plan.mesh && !place->observer) {
                        CLEANUP(mem_free)
                        char *login = ssh_check_mesh(way->to->ssh_user, way->to->ssh_host, way->to->ssh_port);
                        way->login = ssh_link_exec(place->link, login, deadline, on_login, way);
                }
        }
}

static CheckId check_of(SshStage stage)
{
        return stage == SSH_STAGE_HOST_KEY ? CHECK_SSH_HOST_KEY
               : stage == SSH_STAGE_LOGIN  ? CHECK_SSH_LOGIN
                                           : CHECK_SSH_UNREACHABLE;
}

static void look_up(Place *place);

static void on_ready(SshLink *link, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        bool answered = ssh_link_stage(link) != SSH_STAGE_CONNECT;
        resolver_note(place->checks->resolver, place->server->ssh_host, place->server->ssh_port, answered);
        if (failure && !answered && ++place->n_tried < place->n_addresses) {
                place->link = ssh_link_free(place->link);
                look_up(place);
        } else if (failure)
                refuse(place, check_of(ssh_link_stage(link)), failure->text);
        else
                ask(place);
}

static void on_lost(SshLink *link, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        if (!place->settled)
                refuse(place, CHECK_SSH_UNREACHABLE, failure->text);
}

static void on_resolved(const char *const *addresses, size_t n, const Failure *failure, void *userdata)
{
        Place *place = userdata;
        const SshChecksPlan *plan = &place->checks->plan;
        const Server *server = place->server;
        place->query = NULL;
        place->n_addresses = n;
        if (n == 0) {
                refuse(place, CHECK_SSH_UNREACHABLE, failure->text);
                return;
        }
        SshParams params = {
                .name = server->ssh_host,
                .address = addresses[0],
                .port = server->ssh_port,
                .user = server->ssh_user,
                .identity = plan->identity,
                .known_hosts_file = plan->config->ssh.known_hosts_file,
                .accept_unknown = !plan->config->ssh.strict_host_keys,
        };
        usec_t patience = usec_add(loop_now(place->checks->loop), plan->config->ssh.connect_timeout);
        place->link = ssh_link_new(place->checks->loop, &params, patience < plan->deadline ? patience : plan->deadline,
                                   on_ready, on_lost, place);
}

static void look_up(Place *place)
{
        place->query = resolver_query(place->checks->resolver, place->server->ssh_host, place->server->ssh_port,
                                      place->checks->plan.deadline, on_resolved, place);
}

static void make_ways(Place *place)
{
        const ClusterConfig *config = place->checks->plan.config;
        place->ways = ALLOC_ARRAY(Way, config->n_servers);
        for (size_t i = 0; i < config->n_servers; i++)
                if (&config->servers[i] != place->server)
                        place->ways[place->n_ways++] = (Way){ .place = place, .to = &config->servers[i] };
}

SshChecks *ssh_checks_new(Loop *loop, Resolver *resolver, const SshChecksPlan *plan, Json *results, ssh_checks_fn done,
                          void *userdata)
{
        const ClusterConfig *config = plan->config;
        SshChecks *checks = ALLOC(SshChecks);
        *checks = (SshChecks){ .loop = loop,
                               .resolver = resolver,
                               .plan = *plan,
                               .results = results,
                               .done = done,
                               .userdata = userdata,
                               .n_places = config->n_servers + config->n_observers };
        checks->timer = timer_new(loop, USEC_MSEC, tell, checks);
        checks->places = ALLOC_ARRAY(Place, checks->n_places);
        for (size_t i = 0; i < checks->n_places; i++) {
                Place *place = &checks->places[i];
                place->checks = checks;
                place->observer = i >= config->n_servers;
                place->server = place->observer ? &config->observers[i - config->n_servers] : &config->servers[i];
                place->refused = CHECK_SSH;
                place->settled = plan->only >= 0 && (size_t) plan->only != i;
                if (place->settled)
                        continue;
                make_ways(place);
                look_up(place);
        }
        return checks;
}

SshChecks *ssh_checks_free(SshChecks *checks)
{
        if (!checks)
                return NULL;
        for (size_t i = 0; i < checks->n_places; i++) {
                Place *place = &checks->places[i];
                close_place(place);
                free(place->reply.out);
                free(place->reply.err);
                for (size_t k = 0; k < place->n_ways; k++) {
                        free(place->ways[k].mesh.out);
                        free(place->ways[k].mesh.err);
                }
                free(place->ways);
        }
        free(checks->places);
        timer_free(checks->timer);
        free(checks);
        return NULL;
}
