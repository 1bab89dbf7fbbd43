/* The table of methods, and calls checked against it. Pure; must never know what a method does. */
#include "api.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

#define SERVICE "org.varlink.service"
#define MHAD "org.mhad"

static const ApiParameter procedure_options[API_PARAMETERS_MAX] = {
        { "from", API_STRING },        { "to", API_STRING },      { "ignore_last_failover", API_BOOL },
        { "accept_loss", API_STRING }, { "no_demote", API_BOOL }, { "multi_tier", API_STRING },
};
static const ApiParameter switch_options[API_PARAMETERS_MAX] = {
        { "from", API_STRING },
        { "to", API_STRING },
        { "no_demote", API_BOOL },
        { "multi_tier", API_STRING },
};
static const ApiParameter failover_options[API_PARAMETERS_MAX] = {
        { "from", API_STRING },
        { "to", API_STRING },
        { "ignore_last_failover", API_BOOL },
        { "accept_loss", API_STRING },
};
static const ApiParameter fetch_options[API_PARAMETERS_MAX] = {
        { "from", API_STRING },
        { "to", API_STRING },
};
static const ApiParameter run_options[API_PARAMETERS_MAX] = {
        { "server", API_STRING },
        { "verdict", API_STRING },
        { "reason", API_STRING },
};

/* clang-format off */
#define ANY_CLUSTER { "cluster", API_STRING, false }
#define ONE_CLUSTER { "cluster", API_STRING, true }
#define OPTIONS(members) { "options", API_OBJECT, false, members }

static const ApiMethod methods[_API_MAX] = {
        [API_GET_INFO] = { SERVICE, "GetInfo", API_READS, "what this service is" },
        [API_GET_INTERFACE_DESCRIPTION] = { SERVICE, "GetInterfaceDescription", API_READS, "the text of an interface",
                { { "interface", API_STRING, true } } },
        [API_STATUS] = { MHAD, "Status", API_READS, "the clusters, their servers and what would happen now",
                { ANY_CLUSTER } },
        [API_CHECK] = { MHAD, "Check", API_READS, "whether a failover would succeed, and what stands in its way",
                { ANY_CLUSTER, { "what", API_STRING }, { "mesh", API_BOOL } } },
        [API_PLAN] = { MHAD, "Plan", API_READS, "what a procedure would do, step by step",
                { ONE_CLUSTER, { "procedure", API_STRING, true }, OPTIONS(procedure_options) } },
        [API_FAILOVER] = { MHAD, "Failover", API_CHANGES, "fail over a cluster whose primary is dead",
                { ONE_CLUSTER, OPTIONS(failover_options) } },
        [API_SWITCH] = { MHAD, "Switch", API_CHANGES, "hand the primary role of a healthy cluster over",
                { ONE_CLUSTER, OPTIONS(switch_options) } },
        [API_REJOIN] = { MHAD, "Rejoin", API_CHANGES, "have a former primary that is back follow the primary",
                { ONE_CLUSTER, { "server", API_STRING, true } } },
        [API_PURGE] = { MHAD, "PurgeRelayLogs", API_CHANGES, "remove relay logs that every replica has received",
                { ONE_CLUSTER, { "server", API_STRING, true } } },
        [API_PAUSE] = { MHAD, "Pause", API_CHANGES, "switch automatic failover off for a while",
                { ONE_CLUSTER, { "reason", API_STRING }, { "for_ms", API_INT } } },
        [API_RESUME] = { MHAD, "Resume", API_CHANGES, "switch automatic failover on again", { ONE_CLUSTER } },
        [API_ACKNOWLEDGE] = { MHAD, "Acknowledge", API_CHANGES, "say that the last failover was seen: the next may come",
                { ONE_CLUSTER } },
        [API_RUN] = { MHAD, "Run", API_CHANGES, "retry, override, abandon or cancel a run",
                { ONE_CLUSTER, { "what", API_STRING, true }, OPTIONS(run_options) } },
        [API_SERVER_DOWN] = { MHAD, "ServerDown", API_CHANGES, "take a server out for a while: no candidate, no alarm",
                { ANY_CLUSTER, { "server", API_STRING, true }, { "reason", API_STRING }, { "for_ms", API_INT } } },
        [API_SERVER_UP] = { MHAD, "ServerUp", API_CHANGES, "have a server count again",
                { ANY_CLUSTER, { "server", API_STRING, true } } },
        [API_EVENTS] = { MHAD, "Events", API_READS, "the last events, and with \"more\" each new one", { ANY_CLUSTER } },
        [API_REPORT] = { MHAD, "Report", API_READS, "the report of a failover", { ANY_CLUSTER, { "run", API_STRING } } },
        [API_HISTORY] = { MHAD, "History", API_READS, "the runs that have ended", { ANY_CLUSTER } },
        [API_RESCUES] = { MHAD, "Rescues", API_READS, "the binary logs that are saved", { ANY_CLUSTER, { "run", API_STRING } } },
        [API_RESCUE_FETCH] = { MHAD, "RescueFetch", API_CHANGES, "save a server's binary log, to look at it",
                { ONE_CLUSTER, { "server", API_STRING, true }, OPTIONS(fetch_options) } },
        [API_METRICS] = { MHAD, "Metrics", API_READS, "figures for monitoring, in Prometheus' text format" },
        [API_RELOAD] = { MHAD, "Reload", API_CHANGES, "take a changed configuration over" },
        [API_VERSION] = { MHAD, "Version", API_READS, "the running program's version" },
};
/* clang-format on */

static const struct {
        const char *name, *description;
} interfaces[] = {
        {
                SERVICE,
#include "org.varlink.service.inc"
        },
        {
                MHAD,
#include "org.mhad.inc"
        },
};

const ApiMethod *api_method(ApiId id)
{
        return &methods[id];
}

char *api_full_name(ApiId id)
{
        return text_format("%s.%s", methods[id].interface, methods[id].name);
}

const char *api_interface_description(const char *interface)
{
        for (size_t i = 0; i < ARRAY_LENGTH(interfaces); i++)
                if (text_equal(interface, interfaces[i].name))
                        return interfaces[i].description;
        return NULL;
}

const char *api_interface_name(size_t index)
{
        return index < ARRAY_LENGTH(interfaces) ? interfaces[index].name : NULL;
}

const char *api_version(void)
{
        return MHAD_VERSION;
}

ApiId api_find(const char *full_name, const char **ret_error)
{
        const char *dot = strrchr(full_name, '.');
        CLEANUP(mem_free) char *interface = alloc_string_n(full_name, dot ? (size_t) (dot - full_name) : 0);
        if (!api_interface_description(interface)) {
                *ret_error = API_ERROR_INTERFACE_NOT_FOUND;
                return _API_INVALID;
        }
        for (int id = 0; id < _API_MAX; id++)
                if (text_equal(methods[id].interface, interface) && text_equal(methods[id].name, dot + 1))
                        return (ApiId) id;
        *ret_error = API_ERROR_METHOD_NOT_FOUND;
        return _API_INVALID;
}

static bool has_type(const Json *value, ApiType type)
{
        switch (type) {
        case API_STRING:
                return cJSON_IsString(value);
        case API_INT:
                return cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= 9007199254740992.0 &&
                       floor(value->valuedouble) == value->valuedouble;
        case API_BOOL:
                return cJSON_IsBool(value);
        case API_OBJECT:
                return cJSON_IsObject(value);
        }
        return false;
}

static const ApiParameter *find_parameter(const ApiParameter *list, const char *name)
{
        for (size_t i = 0; i < API_PARAMETERS_MAX && list[i].name; i++)
                if (text_equal(list[i].name, name))
                        return &list[i];
        return NULL;
}

static char *find_invalid(const ApiParameter *list, const Json *object)
{
        JSON_FOREACH(value, object)
        {
                const ApiParameter *parameter = find_parameter(list, value->string);
                if (!parameter)
                        return alloc_string(value->string);
                if (cJSON_IsNull(value) && !parameter->required)
                        continue;
                if (!has_type(value, parameter->type))
                        return alloc_string(parameter->name);
                CLEANUP(mem_free) char *member = NULL;
                if (parameter->members && (member = find_invalid(parameter->members, value)))
                        return text_format("%s.%s", parameter->name, member);
        }
        for (size_t i = 0; i < API_PARAMETERS_MAX && list[i].name; i++)
                if (list[i].required && !json_has(object, list[i].name))
                        return alloc_string(list[i].name);
        return NULL;
}

char *api_find_invalid(const ApiMethod *method, const Json *parameters)
{
        return find_invalid(method->parameters, parameters);
}

static size_t utf8_length(const unsigned char *c, size_t left)
{
        size_t length = c[0] < 0x80 ? 1 : c[0] < 0xC2 ? 0 : c[0] < 0xE0 ? 2 : c[0] < 0xF0 ? 3 : c[0] < 0xF5 ? 4 : 0;
        if (length == 0 || length > left)
                return 0;
        for (size_t i = 1; i < length; i++)
                if ((c[i] & 0xC0) != 0x80)
                        return 0;
        bool overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90);
        bool outside = (c[0] == 0xED && c[1] >= 0xA0) || (c[0] == 0xF4 && c[1] >= 0x90);
        return overlong || outside ? 0 : length;
}

/* What comes in is shown to others (a reason, a name), so it must be text. */
static bool is_utf8(const char *bytes, size_t length)
{
        for (size_t i = 0; i < length;) {
                size_t n = utf8_length((const unsigned char *) bytes + i, length - i);
                if (n == 0)
                        return false;
                i += n;
        }
        return true;
}

void api_make_text(char *bytes)
{
        for (size_t left = strlen(bytes); left > 0;) {
                size_t n = utf8_length((const unsigned char *) bytes, left);
                if (n == 0)
                        *bytes = '?';
                n += n == 0;
                bytes += n;
                left -= n;
        }
}

static bool is_optional_bool(const Json *object, const char *name)
{
        const Json *value = json_get(object, name);
        return !value || cJSON_IsBool(value) || cJSON_IsNull(value);
}

static bool is_call(const Json *json)
{
        const Json *parameters = json_get(json, "parameters");
        return json_get_string(json, "method") &&
               (!parameters || cJSON_IsObject(parameters) || cJSON_IsNull(parameters)) &&
               is_optional_bool(json, "more") && is_optional_bool(json, "oneway") && is_optional_bool(json, "upgrade");
}

static void call_is_wrong(ApiCall *call, const char *error, const char *detail_name, char *detail)
{
        call->error = error;
        call->detail_name = detail_name;
        call->detail = detail;
}

static void check_call(ApiCall *call, const Json *json)
{
        const char *name = json_get_string(json, "method"), *error = NULL;
        call->id = api_find(name, &error);
        if (call->id < 0) {
                bool no_interface = text_equal(error, API_ERROR_INTERFACE_NOT_FOUND);
                const char *dot = strrchr(name, '.');
                size_t length = no_interface && dot ? (size_t) (dot - name) : strlen(name);
                call_is_wrong(call, error, no_interface ? "interface" : "method", alloc_string_n(name, length));
                return;
        }
        if (json_get_bool(json, "upgrade", false)) {
                call_is_wrong(call, API_ERROR_INVALID_PARAMETER, "parameter", alloc_string("upgrade"));
                return;
        }
        char *invalid = api_find_invalid(&methods[call->id], call->parameters);
        if (invalid)
                call_is_wrong(call, API_ERROR_INVALID_PARAMETER, "parameter", invalid);
}

int api_call_parse(const char *message, size_t length, ApiCall *ret)
{
        CLEANUP(json_free) Json *json = NULL;
        if (!is_utf8(message, length) || json_parse(message, length, &json, NULL) < 0 || !is_call(json))
                return -EPROTO;
        const Json *parameters = json_get(json, "parameters");
        *ret = (ApiCall){
                .parameters = cJSON_IsObject(parameters) ? json_copy(parameters) : json_object(),
                .more = json_get_bool(json, "more", false),
                .oneway = json_get_bool(json, "oneway", false),
        };
        check_call(ret, json);
        return 0;
}

void api_call_done(ApiCall *call)
{
        json_free(call->parameters);
        free(call->detail);
        *call = (ApiCall){ 0 };
}

Json *api_make_call(ApiId id, Json *parameters, bool more)
{
        Json *call = json_object();
        CLEANUP(mem_free) char *name = api_full_name(id);
        json_set_string(call, "method", name);
        json_set(call, "parameters", parameters ? parameters : json_object());
        if (more)
                json_set_bool(call, "more", true);
        return call;
}

Json *api_make_reply(Json *parameters, bool continues)
{
        Json *reply = json_object();
        json_set(reply, "parameters", parameters ? parameters : json_object());
        if (continues)
                json_set_bool(reply, "continues", true);
        return reply;
}

Json *api_make_error(const char *error, Json *parameters)
{
        Json *reply = json_object();
        json_set_string(reply, "error", error);
        json_set(reply, "parameters", parameters ? parameters : json_object());
        return reply;
}
