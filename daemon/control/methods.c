/* One thin handler a row of lib/api: parameters out of the call, the registry's answer back. Owns nothing; must never
 * decide anything about a cluster. */
#include "methods.h"

#include <errno.h>
#include <unistd.h>

#include "refusal.h"
#include "text.h"

/* A call on its way: what the handlers need. */
typedef struct Request {
        Registry *registry;
        const Json *parameters;
        const char *cluster; /* NULL when it is not given */
        Asker asker;
        const Later *later;
} Request;

typedef int (*method_fn)(const Request *request, Json **ret, Failure *reterr);

static const char *parameter(const Request *request, const char *name)
{
        return json_get_string(request->parameters, name);
}

static int get_info(const Request *request, Json **ret, Failure *reterr)
{
        Json *info = json_object();
        json_set_string(info, "vendor", "mhad");
        json_set_string(info, "product", "mhad");
        json_set_string(info, "version", api_version());
        json_set_string(info, "url", "");
        Json *interfaces = json_ensure_array(info, "interfaces");
        for (size_t i = 0; api_interface_name(i); i++)
                json_append_string(interfaces, api_interface_name(i));
        *ret = info;
        return 0;
}

static int status(const Request *request, Json **ret, Failure *reterr)
{
        return registry_status(request->registry, request->cluster, ret, reterr);
}

/* Whoever may only ask must not keep servers and hosts busy. */
static int too_busy(Failure *reterr)
{
        return failure_set(reterr, FAILURE_CANCELLED, 0,
                           "mhad is busy with questions of others that take time: try again, or ask as root");
}

static int check(const Request *request, Json **ret, Failure *reterr)
{
        const char *what = parameter(request, "what");
        bool at_once = !what || text_equal(what, "ready");
        if (!at_once && !request->later->may_busy)
                return too_busy(reterr);
        if (!at_once)
                return registry_examine(request->registry, request->cluster, what,
                                        json_get_bool(request->parameters, "mesh", false), request->later->answered,
                                        request->later->userdata, reterr);
        return registry_check(request->registry, request->cluster, ret, reterr);
}

static int plan(const Request *request, Json **ret, Failure *reterr)
{
        if (!request->later->may_busy)
                return too_busy(reterr);
        return registry_plan(request->registry, request->cluster, parameter(request, "procedure"),
                             json_get(request->parameters, "options"), request->later->answered,
                             request->later->userdata, reterr);
}

static int failover(const Request *request, Json **ret, Failure *reterr)
{
        return registry_failover(request->registry, request->cluster, json_get(request->parameters, "options"),
                                 &request->asker, ret, reterr);
}

static int switch_over(const Request *request, Json **ret, Failure *reterr)
{
        return registry_switch(request->registry, request->cluster, json_get(request->parameters, "options"),
                               &request->asker, ret, reterr);
}

static int purge(const Request *request, Json **ret, Failure *reterr)
{
        return registry_purge(request->registry, request->cluster, parameter(request, "server"), &request->asker, ret,
                              reterr);
}

static int rejoin(const Request *request, Json **ret, Failure *reterr)
{
        return registry_rejoin(request->registry, request->cluster, parameter(request, "server"), &request->asker, ret,
                               reterr);
}

static usec_t for_how_long(const Request *request)
{
        int64_t milliseconds = json_get_int(request->parameters, "for_ms", -1);
        bool endless = milliseconds < 0 || (usec_t) milliseconds > USEC_INFINITY / USEC_MSEC;
        return endless ? USEC_INFINITY : (usec_t) milliseconds * USEC_MSEC;
}

static int pause_cluster(const Request *request, Json **ret, Failure *reterr)
{
        return registry_pause(request->registry, request->cluster, parameter(request, "reason"), for_how_long(request),
                              &request->asker, ret, reterr);
}

static int server_down(const Request *request, Json **ret, Failure *reterr)
{
        return registry_server_down(request->registry, request->cluster, parameter(request, "server"),
                                    parameter(request, "reason"), for_how_long(request), &request->asker, ret, reterr);
}

static int server_up(const Request *request, Json **ret, Failure *reterr)
{
        return registry_server_up(request->registry, request->cluster, parameter(request, "server"), &request->asker,
                                  ret, reterr);
}

static int resume(const Request *request, Json **ret, Failure *reterr)
{
        return registry_resume(request->registry, request->cluster, &request->asker, ret, reterr);
}

static int acknowledge(const Request *request, Json **ret, Failure *reterr)
{
        return registry_acknowledge(request->registry, request->cluster, &request->asker, ret, reterr);
}

static int run(const Request *request, Json **ret, Failure *reterr)
{
        return registry_run(request->registry, request->cluster, parameter(request, "what"),
                            json_get(request->parameters, "options"), &request->asker, ret, reterr);
}

static int events(const Request *request, Json **ret, Failure *reterr)
{
        return registry_events(request->registry, request->cluster, ret, reterr);
}

static int report(const Request *request, Json **ret, Failure *reterr)
{
        return registry_report(request->registry, request->cluster, parameter(request, "run"), ret, reterr);
}

static int history(const Request *request, Json **ret, Failure *reterr)
{
        if (!request->later->may_busy)
                return too_busy(reterr);
        return registry_history(request->registry, request->cluster, request->later->answered, request->later->userdata,
                                reterr);
}

static int rescues(const Request *request, Json **ret, Failure *reterr)
{
        if (!request->later->may_busy)
                return too_busy(reterr);
        return registry_rescues(request->registry, request->cluster, parameter(request, "run"),
                                request->later->answered, request->later->userdata, reterr);
}

static int rescue_fetch(const Request *request, Json **ret, Failure *reterr)
{
        return registry_rescue_fetch(request->registry, request->cluster, parameter(request, "server"),
                                     json_get(request->parameters, "options"), &request->asker, ret, reterr);
}

/* What is known, put into words a cluster a turn of the loop: nobody is kept busy by it. */
static int metrics(const Request *request, Json **ret, Failure *reterr)
{
        registry_metrics(request->registry, request->later->answered, request->later->userdata);
        return 0;
}

static int reload(const Request *request, Json **ret, Failure *reterr)
{
        registry_reload(request->registry, request->later->reloaded, request->later->userdata);
        return 0;
}

static int version(const Request *request, Json **ret, Failure *reterr)
{
        *ret = json_object();
        json_set_string(*ret, "product", "mhad");
        json_set_string(*ret, "version", api_version());
        json_set_int(*ret, "pid", getpid());
        return 0;
}

/* One has errors of its own and is answered by itself below: the interface's text. */
static const method_fn handlers[_API_MAX] = {
        [API_GET_INFO] = get_info,
        [API_STATUS] = status,
        [API_CHECK] = check,
        [API_PLAN] = plan,
        [API_FAILOVER] = failover,
        [API_PAUSE] = pause_cluster,
        [API_RESUME] = resume,
        [API_ACKNOWLEDGE] = acknowledge,
        [API_RUN] = run,
        [API_EVENTS] = events,
        [API_REPORT] = report,
        [API_HISTORY] = history,
        [API_VERSION] = version,
        [API_SWITCH] = switch_over,
        [API_REJOIN] = rejoin,
        [API_PURGE] = purge,
        [API_SERVER_DOWN] = server_down,
        [API_SERVER_UP] = server_up,
        [API_RESCUES] = rescues,
        [API_RESCUE_FETCH] = rescue_fetch,
        [API_METRICS] = metrics,
        [API_RELOAD] = reload,
};

static Answer answer_error(const char *error, const char *name, const char *value)
{
        Answer answer = { .error = error, .parameters = json_object() };
        if (name)
                json_set_string(answer.parameters, name, value);
        return answer;
}

static Answer answer_failure(const Failure *failure, const char *cluster)
{
        if (failure->kind == FAILURE_INVALID && failure->code == ENOENT && cluster) {
                Answer answer = answer_error(API_ERROR_UNKNOWN_CLUSTER, "reason", failure->text);
                json_set_string(answer.parameters, "cluster", cluster);
                return answer;
        }
        bool refused = failure->kind == FAILURE_INVALID || failure->kind == FAILURE_CANCELLED;
        Answer answer = answer_error(refused ? API_ERROR_REFUSED : API_ERROR_FAILED, "reason", failure->text);
        if (refused)
                json_set_string(answer.parameters, "id", refusal_to_string(failure->code));
        return answer;
}

static Answer describe_interface(const Json *parameters)
{
        const char *interface = json_get_string(parameters, "interface");
        const char *description = api_interface_description(interface);
        if (!description)
                return answer_error(API_ERROR_INTERFACE_NOT_FOUND, "interface", interface);
        Answer answer = { .parameters = json_object() };
        json_set_string(answer.parameters, "description", description);
        return answer;
}

Answer methods_reloaded(const Json *errors, const Failure *failure)
{
        if (!failure)
                return (Answer){ 0 };
        if (json_length(errors) == 0)
                return answer_failure(failure, NULL);
        Answer answer = answer_error(API_ERROR_CONFIGURATION_REJECTED, "reason", failure->text);
        json_set(answer.parameters, "errors", json_copy(errors));
        return answer;
}

static Answer handle(Registry *registry, const ApiCall *call, const Peer *peer, const Later *later)
{
        Request request = {
                .registry = registry,
                .parameters = call->parameters,
                .cluster = json_get_string(call->parameters, "cluster"),
                .asker = { .who = peer->who },
                .later = later,
        };
        Failure failure = { 0 };
        Answer answer = { .follow = call->id == API_EVENTS && call->more && !call->oneway };
        if (handlers[call->id](&request, &answer.parameters, &failure) < 0)
                return answer_failure(&failure, request.cluster);
        answer.later = call->id == API_PLAN || call->id == API_RESCUES || call->id == API_HISTORY ||
                       call->id == API_METRICS || call->id == API_RELOAD ||
                       (call->id == API_CHECK && !answer.parameters);
        answer.busy = answer.later && call->id != API_METRICS;
        return answer;
}

Answer methods_answer(Registry *registry, const ApiCall *call, const Peer *peer, const Later *later)
{
        if (call->error)
                return answer_error(call->error, call->detail_name, call->detail);
        if (api_method(call->id)->access == API_CHANGES && !peer->may_change)
                return answer_error(API_ERROR_PERMISSION_DENIED, NULL, NULL);
        if (call->id == API_GET_INTERFACE_DESCRIPTION)
                return describe_interface(call->parameters);
        return handle(registry, call, peer, later);
}
