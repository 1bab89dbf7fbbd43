/* api.c: the table and the interface description say the same; calls are checked. The reader of varlink's interface
 * language here is for the test only; with fixtures as arguments it also says whether they are what is described. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api.h"
#include "file.h"
#include "text.h"

/* Reading an interface: {"type": {name: type}, "method": {name: {"in", "out"}}, "error": {name: type}}; a type is
 * {"kind", "optional", "of" | "fields" | "names" | "name"}. */
typedef struct Reader {
        const char *at;
} Reader;

static void skip_blank(Reader *reader)
{
        for (;;) {
                reader->at += strspn(reader->at, " \t\n");
                if (*reader->at != '#')
                        return;
                reader->at += strcspn(reader->at, "\n");
        }
}

static bool accept(Reader *reader, const char *token)
{
        skip_blank(reader);
        if (strncmp(reader->at, token, strlen(token)) != 0)
                return false;
        reader->at += strlen(token);
        return true;
}

static char *word(Reader *reader)
{
        skip_blank(reader);
        size_t length = 0;
        while (isalnum((unsigned char) reader->at[length]) || reader->at[length] == '_' || reader->at[length] == '.')
                length++;
        if (length == 0)
                fail_msg("a name is missing at \"%.40s\"", reader->at);
        char *name = alloc_string_n(reader->at, length);
        reader->at += length;
        return name;
}

static Json *read_type(Reader *reader);

static Json *read_members(Reader *reader)
{
        Json *type = json_object(), *fields = json_object(), *names = json_array();
        bool is_enum = false;
        while (!accept(reader, ")")) {
                CLEANUP(mem_free) char *name = word(reader);
                if (accept(reader, ":")) {
                        assert_false(json_has(fields, name));
                        json_set(fields, name, read_type(reader));
                } else {
                        is_enum = true;
                        json_append_string(names, name);
                }
                if (!accept(reader, ","))
                        assert_true(accept(reader, ")") && reader->at--);
        }
        json_set_string(type, "kind", is_enum ? "enum" : "struct");
        json_set(type, is_enum ? "names" : "fields", is_enum ? names : fields);
        json_free(is_enum ? fields : names);
        return type;
}

static Json *read_type(Reader *reader)
{
        bool optional = accept(reader, "?");
        const char *container = accept(reader, "[]") ? "array" : accept(reader, "[string]") ? "map" : NULL;
        Json *type;
        if (container) {
                type = json_object();
                json_set_string(type, "kind", container);
                json_set(type, "of", read_type(reader));
        } else if (accept(reader, "(")) {
                type = read_members(reader);
        } else {
                CLEANUP(mem_free) char *name = word(reader);
                type = json_object();
                json_set_string(type, "kind", isupper((unsigned char) *name) ? "named" : name);
                json_set_string(type, "name", name);
        }
        json_set_bool(type, "optional", optional);
        return type;
}

static Json *read_interface(const char *text, const char *name)
{
        Reader reader = { .at = text };
        Json *interface = json_object();
        assert_true(accept(&reader, "interface"));
        CLEANUP(mem_free) char *own_name = word(&reader);
        assert_string_equal(own_name, name);
        for (skip_blank(&reader); *reader.at; skip_blank(&reader)) {
                CLEANUP(mem_free) char *what = word(&reader);
                CLEANUP(mem_free) char *symbol = word(&reader);
                Json *members = json_ensure_object(interface, what);
                assert_true(text_equal(what, "type") || text_equal(what, "method") || text_equal(what, "error"));
                assert_false(json_has(members, symbol));
                Json *declared = read_type(&reader);
                if (text_equal(what, "method")) {
                        assert_true(accept(&reader, "->"));
                        Json *method = json_object();
                        json_set(method, "in", declared);
                        json_set(method, "out", read_type(&reader));
                        declared = method;
                }
                json_set(members, symbol, declared);
        }
        return interface;
}

/* Names that are used are declared, and each only once for all kinds. */
static void check_names(const Json *interface, const Json *type)
{
        if (text_equal(json_get_string(type, "kind"), "named") &&
            !json_has(json_get(interface, "type"), json_get_string(type, "name")))
                fail_msg("type %s is not declared", json_get_string(type, "name"));
        if (json_has(type, "of"))
                check_names(interface, json_get(type, "of"));
        JSON_FOREACH(field, json_get(type, "fields"))
        check_names(interface, field);
}

static const char *const kinds[] = {
        [API_STRING] = "string", [API_INT] = "int", [API_BOOL] = "bool", [API_OBJECT] = "struct"
};

/* What has fields has a name: generators of bindings make nothing usable of it otherwise. */
static void check_parameters(const Json *interface, const char *where, const ApiParameter *list, const Json *fields)
{
        size_t n = 0;
        for (; n < API_PARAMETERS_MAX && list[n].name; n++) {
                const Json *field = json_get(fields, list[n].name), *type = field;
                if (list[n].members)
                        type = json_get(json_get(interface, "type"), json_get_string(field, "name"));
                if (!type || !text_equal(json_get_string(type, "kind"), kinds[list[n].type]) ||
                    json_get_bool(field, "optional", false) == list[n].required)
                        fail_msg("%s: parameter %s differs", where, list[n].name);
                if (list[n].members)
                        check_parameters(interface, where, list[n].members, json_get(type, "fields"));
        }
        if (json_length(fields) != n)
                fail_msg("%s: the description has other parameters than the table", where);
}

static void test_table_is_description(void **state)
{
        size_t described = 0;
        for (size_t i = 0; api_interface_name(i); i++) {
                const char *name = api_interface_name(i);
                CLEANUP(json_free) Json *interface = read_interface(api_interface_description(name), name);
                const Json *described_methods = json_get(interface, "method");
                JSON_FOREACH(method, described_methods)
                {
                        check_names(interface, json_get(method, "in"));
                        check_names(interface, json_get(method, "out"));
                        assert_false(json_has(json_get(interface, "type"), method->string));
                }
                JSON_FOREACH(type, json_get(interface, "type"))
                check_names(interface, type);
                described += json_length(described_methods);
                for (ApiId id = 0; id < _API_MAX; id++) {
                        if (!text_equal(api_method(id)->interface, name))
                                continue;
                        const Json *method = json_get(described_methods, api_method(id)->name);
                        if (!method)
                                fail_msg("%s is not described", api_method(id)->name);
                        check_parameters(interface, api_method(id)->name, api_method(id)->parameters,
                                         json_get(json_get(method, "in"), "fields"));
                }
        }
        assert_int_equal(described, _API_MAX);
}

static void expect_error(const char *declared_in, const char *full_name)
{
        CLEANUP(json_free) Json *interface = read_interface(api_interface_description(declared_in), declared_in);
        assert_true(text_starts_with(full_name, declared_in));
        if (!json_has(json_get(interface, "error"), full_name + strlen(declared_in) + 1))
                fail_msg("%s is not described", full_name);
}

static void test_errors_are_described(void **state)
{
        expect_error("org.varlink.service", API_ERROR_INTERFACE_NOT_FOUND);
        expect_error("org.varlink.service", API_ERROR_METHOD_NOT_FOUND);
        expect_error("org.varlink.service", API_ERROR_METHOD_NOT_IMPLEMENTED);
        expect_error("org.varlink.service", API_ERROR_INVALID_PARAMETER);
        expect_error("org.varlink.service", API_ERROR_PERMISSION_DENIED);
        expect_error("org.mhad", API_ERROR_REFUSED);
        expect_error("org.mhad", API_ERROR_UNKNOWN_CLUSTER);
        expect_error("org.mhad", API_ERROR_FAILED);
        expect_error("org.mhad", API_ERROR_CONFIGURATION_REJECTED);
}

static void test_rows_are_complete(void **state)
{
        for (ApiId id = 0; id < _API_MAX; id++) {
                assert_non_null(api_method(id)->name);
                assert_non_null(api_method(id)->doc);
                const char *error = NULL;
                CLEANUP(mem_free) char *name = api_full_name(id);
                assert_int_equal(api_find(name, &error), id);
                assert_null(error);
        }
}

/* Calls, and what is said about them: "" when all is well, "?" when it is no call. */
static void test_calls(void **state)
{
        static const struct {
                const char *message, *error, *detail;
        } cases[] = {
                { "{\"method\":\"org.mhad.Status\"}", "", NULL },
                { "{\"method\":\"org.mhad.Status\",\"parameters\":null,\"more\":null}", "", NULL },
                { "{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":\"caf\xc3\xa9\"}}", "", NULL },
                { "{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":null}}", "", NULL },
                { "{\"method\":\"org.mhad.Status\",\"parameters\":{\"cluster\":1}}", "InvalidParameter", "cluster" },
                { "{\"method\":\"org.mhad.Status\",\"parameters\":{\"clusters\":\"a\"}}", "InvalidParameter",
                  "clusters" },
                { "{\"method\":\"org.mhad.Resume\"}", "InvalidParameter", "cluster" },
                { "{\"method\":\"org.mhad.Resume\",\"parameters\":{\"cluster\":null}}", "InvalidParameter", "cluster" },
                { "{\"method\":\"org.mhad.Pause\",\"parameters\":{\"cluster\":\"a\",\"for_ms\":1000}}", "", NULL },
                { "{\"method\":\"org.mhad.Pause\",\"parameters\":{\"cluster\":\"a\",\"for_ms\":1.5}}",
                  "InvalidParameter", "for_ms" },
                { "{\"method\":\"org.mhad.Pause\",\"parameters\":{\"cluster\":\"a\",\"for_ms\":-1}}",
                  "InvalidParameter", "for_ms" },
                { "{\"method\":\"org.mhad.Pause\",\"parameters\":{\"cluster\":\"a\",\"for_ms\":1e300}}",
                  "InvalidParameter", "for_ms" },
                { "{\"method\":\"org.mhad.Failover\",\"parameters\":{\"cluster\":\"a\",\"options\":{\"to\":\"b\"}}}",
                  "", NULL },
                { "{\"method\":\"org.mhad.Failover\",\"parameters\":{\"cluster\":\"a\",\"options\":{\"to\":7}}}",
                  "InvalidParameter", "options.to" },
                { "{\"method\":\"org.mhad.Failover\",\"parameters\":{\"cluster\":\"a\",\"options\":{\"x\":7}}}",
                  "InvalidParameter", "options.x" },
                { "{\"method\":\"org.mhad.Failover\",\"parameters\":{\"cluster\":\"a\",\"options\":[]}}",
                  "InvalidParameter", "options" },
                { "{\"method\":\"org.mhad.Version\",\"upgrade\":true}", "InvalidParameter", "upgrade" },
                { "{\"method\":\"org.mhad.Nothing\"}", "MethodNotFound", "org.mhad.Nothing" },
                { "{\"method\":\"org.other.Status\"}", "InterfaceNotFound", "org.other" },
                { "{\"method\":\"Status\"}", "InterfaceNotFound", "Status" },
                { "{\"method\":\"\"}", "InterfaceNotFound", "" },
                { "{\"method\":\"org.mhad.\"}", "MethodNotFound", "org.mhad." },
                { "", "?", NULL },
                { "hello", "?", NULL },
                { "[]", "?", NULL },
                { "{}", "?", NULL },
                { "{\"method\":7}", "?", NULL },
                { "{\"method\":\"org.mhad.Status\"} x", "?", NULL },
                { "{\"method\":\"org.mhad.Status\",\"parameters\":[]}", "?", NULL },
                { "{\"method\":\"org.mhad.Status\",\"more\":1}", "?", NULL },
                { "{\"method\":\"org.mhad.Status\",\"oneway\":\"yes\"}", "?", NULL },
                { "{\"method\":\"\xff\"}", "?", NULL },
                { "{\"method\":\"\xc0\x80\"}", "?", NULL },
                { "{\"method\":\"\xed\xa0\x80\"}", "?", NULL },
                { "{\"method\":\"\xf4\x90\x80\x80\"}", "?", NULL },
                { "{\"method\":\"\xe2\x82", "?", NULL },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                __attribute__((cleanup(api_call_done_cleanup))) ApiCall call = { 0 };
                int error = api_call_parse(cases[i].message, strlen(cases[i].message), &call);
                const char *got = error < 0 ? "?" : call.error ? strrchr(call.error, '.') + 1 : "";
                if (!text_equal(got, cases[i].error) || !text_equal(call.detail, cases[i].detail))
                        fail_msg("row %zu: \"%s\", %s", i, got, call.detail);
        }
}

/* A time in microseconds, say: other languages take nothing with an exponent for an integer. */
static void test_integers_have_no_exponent(void **state)
{
        static const char text[] = "{\"times\":[1795375026835850,1795375026000000,-9000000000000000,1e15,15,0.5],"
                                   "\"inside\":{\"time\":1795375026835851}}";
        CLEANUP(json_free) Json *json = NULL;
        assert_int_equal(json_parse(text, strlen(text), &json, NULL), 0);
        for (int i = 0; i < 2; i++) { /* it is not changed by that */
                CLEANUP(mem_free) char *printed = json_print(json);
                assert_string_equal(
                        printed,
                        "{\"times\":[1795375026835850,1795375026000000,-9000000000000000,1000000000000000,15,0.5],"
                        "\"inside\":{\"time\":1795375026835851}}");
                CLEANUP(mem_free) char *pretty = json_print_pretty(json);
                assert_non_null(strstr(pretty, "1795375026000000"));
        }
        assert_int_equal(json_get_int(json_get(json, "inside"), "time", 0), 1795375026835851);
}

static void test_flags(void **state)
{
        static const char message[] = "{\"method\":\"org.mhad.Events\",\"more\":true,\"oneway\":true}";
        __attribute__((cleanup(api_call_done_cleanup))) ApiCall call = { 0 };
        assert_int_equal(api_call_parse(message, strlen(message), &call), 0);
        assert_int_equal(call.id, API_EVENTS);
        assert_true(call.more && call.oneway);
        assert_non_null(call.parameters);
}

/* Fixtures of the client's tests: what they show must be what is described. */
static bool conforms(const Json *interface, const Json *type, const Json *value, const char *where);

static bool conforms_struct(const Json *interface, const Json *type, const Json *value, const char *where)
{
        bool ok = cJSON_IsObject(value);
        JSON_FOREACH(field, json_get(type, "fields"))
        {
                const Json *member = json_get(value, field->string);
                CLEANUP(mem_free) char *path = text_format("%s.%s", where, field->string);
                if (member && !cJSON_IsNull(member)) {
                        ok = conforms(interface, field, member, path) && ok;
                } else if (!json_get_bool(field, "optional", false)) {
                        print_error("%s is missing\n", path);
                        ok = false;
                }
        }
        JSON_FOREACH(member, value)
        if (!json_has(json_get(type, "fields"), member->string)) {
                print_error("%s.%s is not described\n", where, member->string);
                ok = false;
        }
        return ok;
}

static bool conforms_each(const Json *interface, const Json *type, const Json *value, const char *where)
{
        bool ok = cJSON_IsArray(value) || cJSON_IsObject(value);
        JSON_FOREACH(element, value)
        ok = conforms(interface, json_get(type, "of"), element, where) && ok;
        return ok;
}

static bool conforms(const Json *interface, const Json *type, const Json *value, const char *where)
{
        const char *kind = json_get_string(type, "kind");
        bool ok = false;
        if (text_equal(kind, "named"))
                return conforms(interface, json_get(json_get(interface, "type"), json_get_string(type, "name")), value,
                                where);
        if (text_equal(kind, "struct"))
                return conforms_struct(interface, type, value, where);
        if (text_equal(kind, "array") || text_equal(kind, "map"))
                return conforms_each(interface, type, value, where);
        if (text_equal(kind, "enum"))
                ok = json_string(value) && json_array_contains(json_get(type, "names"), json_string(value));
        else if (text_equal(kind, "string"))
                ok = cJSON_IsString(value);
        else if (text_equal(kind, "int"))
                ok = cJSON_IsNumber(value);
        else if (text_equal(kind, "bool"))
                ok = cJSON_IsBool(value);
        else if (text_equal(kind, "object"))
                ok = cJSON_IsObject(value);
        if (!ok)
                print_error("%s is no %s\n", where, kind);
        return ok;
}

static const char *fixtures;

static bool check_fixture(const Json *interface, const char *name)
{
        static const struct {
                const char *prefix, *method;
        } kinds_of_fixture[] = { { "status", "Status" }, { "check", "Check" },     { "plan", "Plan" },
                                 { "report", "Report" }, { "history", "History" }, { "events", "Events" },
                                 { "rescue", "Rescues" } };
        CLEANUP(mem_free) char *path = text_format("%s/%s", fixtures, name);
        CLEANUP(mem_free) char *text = NULL;
        CLEANUP(json_free) Json *json = NULL;
        size_t length;
        if (!strstr(name, ".json") || file_read(path, 1 << 20, &text, &length, NULL) < 0)
                return true;
        assert_int_equal(json_parse(text, length, &json, NULL), 0);
        for (size_t i = 0; i < ARRAY_LENGTH(kinds_of_fixture); i++)
                if (text_starts_with(name, kinds_of_fixture[i].prefix))
                        return conforms(
                                interface,
                                json_get(json_get(json_get(interface, "method"), kinds_of_fixture[i].method), "out"),
                                json, name);
        return true;
}

static void test_fixtures(void **state)
{
        CLEANUP(json_free) Json *interface = read_interface(api_interface_description("org.mhad"), "org.mhad");
        DIR *folder = fixtures ? opendir(fixtures) : NULL;
        bool ok = true;
        for (struct dirent *entry; folder && (entry = readdir(folder));)
                ok = check_fixture(interface, entry->d_name) && ok;
        if (folder)
                closedir(folder);
        assert_true(ok);
}

int main(int argc, char **argv)
{
        fixtures = argc > 1 ? argv[1] : NULL;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table_is_description),
                cmocka_unit_test(test_errors_are_described),
                cmocka_unit_test(test_rows_are_complete),
                cmocka_unit_test(test_calls),
                cmocka_unit_test(test_integers_have_no_exponent),
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_fixtures),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
