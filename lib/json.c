/* cJSON behind NULL-safe helpers. Owns nothing. */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

static Json *checked(Json *json)
{
        if (!json)
                abort();
        return json;
}

Json *json_free(Json *json)
{
        cJSON_Delete(json);
        return NULL;
}

Json *json_object(void)
{
        return checked(cJSON_CreateObject());
}

Json *json_array(void)
{
        return checked(cJSON_CreateArray());
}

Json *json_copy(const Json *json)
{
        return json ? checked(cJSON_Duplicate(json, true)) : NULL;
}

int json_parse(const char *text, size_t length, Json **ret, Failure *reterr)
{
        const char *end = NULL;
        Json *json = cJSON_ParseWithLengthOpts(text, length, &end, false);
        if (!json)
                return failure_set(reterr, FAILURE_INVALID, 0, "not JSON (at byte %zu)",
                                   end ? (size_t) (end - text) : 0);
        for (; end < text + length; end++)
                if (!strchr(" \t\r\n", *end)) {
                        json_free(json);
                        return failure_set(reterr, FAILURE_INVALID, 0, "something follows the JSON value (at byte %zu)",
                                           (size_t) (end - text));
                }
        *ret = json;
        return 0;
}

/* cJSON writes whole numbers of more than 15 digits with an exponent when they end in 0, which others do not take for
 * integers. They are spelled for it, and made numbers again after. */
static bool is_long_integer(const cJSON *item)
{
        return cJSON_IsNumber(item) && fabs(item->valuedouble) >= 1e15 &&
               fabs(item->valuedouble) <= (double) JSON_INT_MAX && floor(item->valuedouble) == item->valuedouble;
}

static void spell_integers(cJSON *item)
{
        for (; item; item = item->next) {
                spell_integers(item->child);
                if (is_long_integer(item)) {
                        item->valuestring = text_format("%" PRId64, (int64_t) item->valuedouble);
                        item->type ^= cJSON_Number ^ cJSON_Raw;
                }
        }
}

static void unspell_integers(cJSON *item)
{
        for (; item; item = item->next) {
                unspell_integers(item->child);
                if (cJSON_IsRaw(item)) {
                        free(item->valuestring);
                        item->valuestring = NULL;
                        item->type ^= cJSON_Number ^ cJSON_Raw;
                }
        }
}

static char *print(const Json *json, char *(*print_by)(const cJSON *) )
{
        spell_integers(json->child);
        char *text = print_by(json);
        unspell_integers(json->child);
        if (!text)
                abort();
        return text;
}

char *json_print(const Json *json)
{
        return print(json, cJSON_PrintUnformatted);
}

char *json_print_pretty(const Json *json)
{
        return print(json, cJSON_Print);
}

void json_set(Json *object, const char *name, Json *value)
{
        cJSON_DeleteItemFromObjectCaseSensitive(object, name);
        if (value)
                cJSON_AddItemToObject(object, name, value);
}

void json_set_string(Json *object, const char *name, const char *value)
{
        json_set(object, name, value ? checked(cJSON_CreateString(value)) : NULL);
}

void json_set_int(Json *object, const char *name, int64_t value)
{
        int64_t kept = value > JSON_INT_MAX ? JSON_INT_MAX : value < -JSON_INT_MAX ? -JSON_INT_MAX : value;
        json_set(object, name, checked(cJSON_CreateNumber((double) kept)));
}

void json_set_real(Json *object, const char *name, double value)
{
        json_set(object, name, checked(cJSON_CreateNumber(value)));
}

void json_set_bool(Json *object, const char *name, bool value)
{
        json_set(object, name, checked(cJSON_CreateBool(value)));
}

void json_append(Json *array, Json *value)
{
        cJSON_AddItemToArray(array, checked(value));
}

void json_append_string(Json *array, const char *value)
{
        json_append(array, cJSON_CreateString(value));
}

void json_set_null(Json *object, const char *name)
{
        json_set(object, name, checked(cJSON_CreateNull()));
}

const Json *json_get(const Json *object, const char *name)
{
        return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

Json *json_get_mutable(Json *object, const char *name)
{
        return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

const char *json_get_string(const Json *object, const char *name)
{
        return json_string(json_get(object, name));
}

int64_t json_get_int(const Json *object, const char *name, int64_t otherwise)
{
        const Json *member = json_get(object, name);
        if (!cJSON_IsNumber(member) || !isfinite(member->valuedouble) ||
            fabs(member->valuedouble) > (double) JSON_INT_MAX)
                return otherwise;
        return (int64_t) member->valuedouble;
}

bool json_get_bool(const Json *object, const char *name, bool otherwise)
{
        const Json *member = json_get(object, name);
        return cJSON_IsBool(member) ? cJSON_IsTrue(member) : otherwise;
}

bool json_has(const Json *object, const char *name)
{
        return json_get(object, name) != NULL;
}

size_t json_length(const Json *array)
{
        return array ? (size_t) cJSON_GetArraySize(array) : 0;
}

const Json *json_at(const Json *array, size_t index)
{
        return array ? cJSON_GetArrayItem(array, (int) index) : NULL;
}

const char *json_string(const Json *json)
{
        return cJSON_IsString(json) ? json->valuestring : NULL;
}

const char *json_name(const Json *json)
{
        return json ? json->string : NULL;
}

bool json_array_contains(const Json *array, const char *string)
{
        JSON_FOREACH(element, array)
        {
                const char *value = json_string(element);
                if (value && strcmp(value, string) == 0)
                        return true;
        }
        return false;
}

Json *json_ensure_object(Json *object, const char *name)
{
        Json *member = json_get_mutable(object, name);
        if (!cJSON_IsObject(member))
                json_set(object, name, member = json_object());
        return member;
}

Json *json_ensure_array(Json *object, const char *name)
{
        Json *member = json_get_mutable(object, name);
        if (!cJSON_IsArray(member))
                json_set(object, name, member = json_array());
        return member;
}

void json_merge(Json *into, const Json *from)
{
        JSON_FOREACH(element, from)
        {
                if (cJSON_IsNull(element))
                        json_set(into, element->string, NULL);
                else if (cJSON_IsObject(element))
                        json_merge(json_ensure_object(into, element->string), element);
                else
                        json_set(into, element->string, json_copy(element));
        }
}
