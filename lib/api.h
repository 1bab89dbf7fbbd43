/* The control API as data: what may be called, by whom and with what. Daemon, client and tests read the same table; the
 * interface description that is served (org.mhad.varlink) says the same in varlink's own language. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

typedef enum ApiId {
        API_GET_INFO,
        API_GET_INTERFACE_DESCRIPTION,
        API_STATUS,
        API_CHECK,
        API_PLAN,
        API_FAILOVER,
        API_SWITCH,
        API_REJOIN,
        API_PURGE,
        API_PAUSE,
        API_RESUME,
        API_ACKNOWLEDGE,
        API_RUN,
        API_SERVER_DOWN,
        API_SERVER_UP,
        API_EVENTS,
        API_REPORT,
        API_HISTORY,
        API_RESCUES,
        API_RESCUE_FETCH,
        API_METRICS,
        API_RELOAD,
        API_VERSION,
        _API_MAX,
        _API_INVALID = -22,
} ApiId;

typedef enum ApiAccess {
        API_READS,   /* anybody who reaches the socket */
        API_CHANGES, /* root, the daemon's own user, members of its group */
} ApiAccess;

typedef enum ApiType {
        API_STRING,
        API_INT, /* a whole number that is not negative */
        API_BOOL,
        API_OBJECT, /* with members of its own */
} ApiType;

#define API_PARAMETERS_MAX 6

typedef struct ApiParameter {
        const char *name; /* NULL ends the list */
        ApiType type;
        bool required;
        const struct ApiParameter *members; /* of an object; as many as API_PARAMETERS_MAX, ended the same way */
} ApiParameter;

typedef struct ApiMethod {
        const char *interface, *name;
        ApiAccess access;
        const char *doc; /* one line for people */
        ApiParameter parameters[API_PARAMETERS_MAX];
} ApiMethod;

/* Errors of varlink itself and our own. */
#define API_ERROR_INTERFACE_NOT_FOUND "org.varlink.service.InterfaceNotFound"
#define API_ERROR_METHOD_NOT_FOUND "org.varlink.service.MethodNotFound"
#define API_ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define API_ERROR_INVALID_PARAMETER "org.varlink.service.InvalidParameter"
#define API_ERROR_PERMISSION_DENIED "org.varlink.service.PermissionDenied"
#define API_ERROR_REFUSED "org.mhad.Refused"
#define API_ERROR_UNKNOWN_CLUSTER "org.mhad.UnknownCluster"
#define API_ERROR_FAILED "org.mhad.Failed"
#define API_ERROR_CONFIGURATION_REJECTED "org.mhad.ConfigurationRejected"

#define API_SOCKET "/run/mhad/control"
#define API_MESSAGE_MAX ((size_t) 1024 * 1024) /* the longest call, without its NUL */

const ApiMethod *api_method(ApiId id);
char *api_full_name(ApiId id); /* "org.mhad.Status"; free with free() */
/* By its full name; *ret_error is the varlink error for a name that is not there. */
ApiId api_find(const char *full_name, const char **ret_error);
/* The text of an interface's description; NULL for an unknown one. */
const char *api_interface_description(const char *interface);
const char *api_interface_name(size_t index); /* NULL beyond the last one */
const char *api_version(void);

/* One call as it came in. */
typedef struct ApiCall {
        ApiId id; /* an _API_INVALID comes with an error */
        Json *parameters;
        bool more, oneway;
        /* What is wrong with it, as a varlink error whose parameter is named detail_name; NULL when nothing is. */
        const char *error;
        const char *detail_name;
        char *detail;
} ApiCall;

/* -EPROTO for what is no call at all: there is nobody to answer to then. Everything else is in ret->error. */
int api_call_parse(const char *message, size_t length, ApiCall *ret);
void api_call_done(ApiCall *call);
static inline void api_call_done_cleanup(ApiCall *call)
{
        api_call_done(call);
}
/* The dotted path of the first parameter that is unknown, missing or of the wrong type; NULL when all is well. Free
 * with free(). */
char *api_find_invalid(const ApiMethod *method, const Json *parameters);

/* Replaces what is no UTF-8, in place: a message with other bytes in it, from a server that says such, is none to its
 * reader. */
void api_make_text(char *bytes);

/* Messages without their NUL; parameters are taken over and may be NULL. */
Json *api_make_call(ApiId id, Json *parameters, bool more);
Json *api_make_reply(Json *parameters, bool continues);
Json *api_make_error(const char *error, Json *parameters);
