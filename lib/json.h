/* JSON values: cJSON with ownership and NULL-safe access. Nothing else includes cJSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "cleanup.h"
#include "failure.h"

typedef cJSON Json;

Json *json_free(Json *json); /* takes NULL, returns NULL */
DEFINE_CLEANUP(Json *, json_free)

Json *json_object(void);
Json *json_array(void);
Json *json_copy(const Json *json);
/* Parses exactly one value; depth is limited by cJSON. FAILURE_INVALID otherwise. */
int json_parse(const char *text, size_t length, Json **ret, Failure *reterr);
char *json_print(const Json *json);        /* one line; free with free() */
char *json_print_pretty(const Json *json); /* for people; free with free() */

/* What a double holds exactly. A number beyond comes from a damaged file or a server that talks nonsense. */
#define JSON_INT_MAX INT64_C(9000000000000000)
/* Set a member, replacing one of that name. Of an integer beyond JSON_INT_MAX only so much is kept. */
void json_set_string(Json *object, const char *name, const char *value); /* NULL removes the member */
void json_set_int(Json *object, const char *name, int64_t value);
void json_set_real(Json *object, const char *name, double value);
void json_set_bool(Json *object, const char *name, bool value);
void json_set_null(Json *object, const char *name);         /* in what is merged: takes the member away */
void json_set(Json *object, const char *name, Json *value); /* takes value over; NULL removes the member */
void json_append(Json *array, Json *value);                 /* takes value over */
void json_append_string(Json *array, const char *value);

/* Members; object may be NULL or of another type. The default when it is absent or of another type. */
const Json *json_get(const Json *object, const char *name);
Json *json_get_mutable(Json *object, const char *name);
const char *json_get_string(const Json *object, const char *name); /* NULL */
int64_t json_get_int(const Json *object, const char *name, int64_t otherwise);
bool json_get_bool(const Json *object, const char *name, bool otherwise);
bool json_has(const Json *object, const char *name);
size_t json_length(const Json *array);
const Json *json_at(const Json *array, size_t index);
const char *json_string(const Json *json); /* NULL when it is no string */
const char *json_name(const Json *json);   /* what it is called in the object that it stands in; NULL elsewhere */
bool json_array_contains(const Json *array, const char *string);

/* The member of that name, which is made an object when it is absent. */
Json *json_ensure_object(Json *object, const char *name);
Json *json_ensure_array(Json *object, const char *name);
/* Deep merge: objects are merged by member, everything else is replaced; null removes the member (RFC 7386). */
void json_merge(Json *into, const Json *from);

#define JSON_FOREACH(element, container)                                                                               \
        for (const Json *element = (container) ? (container)->child : NULL; element; element = element->next)
/* The same of what may be changed; the element itself must stay where it is. */
#define JSON_FOREACH_MUTABLE(element, container)                                                                       \
        for (Json *element = (container) ? (container)->child : NULL; element; element = element->next)
