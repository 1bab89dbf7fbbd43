/* saved.c: what stands on the disk beside saved logs is described when it can be true, and refused when it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "saved.h"
#include "text.h"

#define COVERS(sources) "{\"covers\":{\"borders\":0,\"sources\":[" sources "]},"
#define DB1 "{\"server\":\"db1\",\"files\":[{\"file\":\"binlog.000001\",\"from\":0,\"size\":300}]}"
#define RANGES(sources) "\"ranges\":{\"family\":\"mysql\",\"sources\":[" sources "]}}"

static void test_names(void **state)
{
        static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "/a", NULL };
        for (size_t i = 0; bad[i]; i++)
                assert_false(saved_is_plain_name(bad[i]));
        assert_false(saved_is_plain_name(NULL));
        assert_true(saved_is_plain_name("binlog.000001"));
        CLEANUP(mem_free) char *whole = saved_copy_name("binlog.000001", 0);
        CLEANUP(mem_free) char *part = saved_copy_name("binlog.000001", (uint64_t) 5 << 30);
        assert_string_equal(whole, "binlog.000001");
        assert_string_equal(part, "binlog.000001@5368709120");
}

static void test_index(void **state)
{
        static const struct {
                const char *text, *why; /* NULL: it is taken */
        } rows[] = {
                { COVERS(DB1) RANGES("\"db1\""), NULL },
                { COVERS("") RANGES(""), NULL },
                { "", "not JSON" },
                { "{}", "what it covers" },
                { COVERS(DB1) RANGES(""), "what it covers" },
                { COVERS(DB1) RANGES("\"db2\""), "a source" },
                { COVERS(DB1 "," DB1) RANGES("\"db1\",\"db1\""), "a source" },
                { COVERS("{\"server\":\"db1\",\"files\":[{\"file\":\"../x\",\"from\":0,\"size\":1}]}")
                          RANGES("\"db1\""),
                  "a file" },
                { COVERS("{\"server\":\"db1\",\"files\":[{\"file\":\"x.1\",\"from\":-1,\"size\":1}]}")
                          RANGES("\"db1\""),
                  "a file" },
                { "{\"covers\":{\"borders\":-1,\"sources\":[]}," RANGES(""), "what it covers" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
                CLEANUP(ranges_free) Ranges *ranges = NULL;
                CLEANUP(json_free) Json *covers = NULL;
                Failure failure = { 0 };
                int r = saved_index_parse(rows[i].text, strlen(rows[i].text), &ranges, &covers, &failure);
                assert_int_equal(r < 0, rows[i].why != NULL);
                if (rows[i].why)
                        assert_non_null(strstr(failure.text, rows[i].why));
                if (r < 0)
                        continue;
                CLEANUP(mem_free) char *again = saved_index_print(ranges, covers);
                assert_true(text_starts_with(again, "{\"covers\":{\"borders\":0"));
        }
}

static void test_note(void **state)
{
        static const char note[] =
                "{\"why\":\"ordered\",\"sources\":[{\"server\":\"db1\",\"kind\":\"binlog\",\"damage\":\"at "
                "4\",\"files\":["
                "{\"file\":\"binlog.000001\",\"from\":687,\"to\":900,\"size\":213,\"copied\":true,\"verified\":true},"
                "{\"file\":\"binlog.000002\",\"from\":0,\"to\":900,\"size\":0},"
                "{\"file\":\"../../etc/shadow\",\"from\":0,\"to\":1}]},{\"server\":\"../db2\",\"files\":[]}]}";
        CLEANUP(json_free) Json *json = NULL;
        assert_int_equal(json_parse(note, strlen(note), &json, NULL), 0);
        CLEANUP(json_free) Json *all = saved_describe(json, NULL);
        CLEANUP(mem_free) char *text = json_print(all);
        assert_string_equal(
                text,
                "{\"why\":\"ordered\",\"sources\":[{\"server\":\"db1\",\"kind\":\"binlog\",\"state\":\"partial\","
                "\"damage\":\"at 4\",\"n_files\":2,\"n_copied\":1,\"bytes\":213,\"verified\":false}],\"files\":["
                "{\"server\":\"db1\",\"file\":\"binlog.000001\",\"name\":\"db1/binlog.000001@687\",\"from\":687,"
                "\"to\":900,\"size\":213,\"copied\":true,\"verified\":true},"
                "{\"server\":\"db1\",\"file\":\"binlog.000002\",\"name\":\"db1/binlog.000002\",\"from\":0,\"to\":900,"
                "\"size\":0,\"copied\":false,\"verified\":false}]}");
        static const char large[] = "{\"sources\":[{\"server\":\"db1\",\"files\":[{\"file\":\"x.1\",\"copied\":true,"
                                    "\"from\":9007199254740991,\"size\":9007199254740991}]}]}";
        CLEANUP(json_free) Json *too_large = NULL;
        assert_int_equal(json_parse(large, strlen(large), &too_large, NULL), 0);
        CLEANUP(json_free) Json *described = saved_describe(too_large, NULL);
        assert_int_equal(json_length(json_get(described, "files")), 1);
        CLEANUP(json_free) Json *nothing = saved_describe(NULL, NULL);
        assert_int_equal(json_length(json_get(nothing, "sources")), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_index),
                cmocka_unit_test(test_note),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
