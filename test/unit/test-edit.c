/* Edits of a cluster's file: what is meant changes, every other byte stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edit.h"
#include "text.h"
#include "tree.h"

static const char block[] = "# Our cluster\n"
                            "cluster: app1 # the shop\n"
                            "servers:\n"
                            "  # in the cellar\n"
                            "  - name: db1\n"
                            "    host: 10.0.0.1 # rack 3\n"
                            "    #promotion: allow\n"
                            "  - name: db2 # \xc3\xbc\n"
                            "    port: 3307   # not the usual one\n"
                            "    host: 10.0.0.2\n"
                            "\n"
                            "# The account\n"
                            "sql: { user: mhad }\n";
static const char mixed[] = "servers: # all\n"
                            "- { name: db1, host: 10.0.0.1 } # first\n"
                            "- { name: \"db2\", host: 10.0.0.2, port: 3307 }";
static const char flow[] = "servers: [{name: db1, host: a}, {name: db2, port: 3307, host: b}]\ncluster: x\n";

/* Values that go over several lines. */
static const char folded[] = "servers:\n"
                             "  - name: db1\n"
                             "    host: >-\n"
                             "      10.0.0.1\n"
                             "    promotion: never\n"
                             "  - name: db2\n"
                             "    ssh_host: |\n"
                             "      10.0.0.9\n"
                             "\n"
                             "    # of the shop\n"
                             "    host: \"10.0.\n"
                             "      0.2\"\n"
                             "    port: 3307\n"
                             "  - name: db3\n"
                             "    promotion: never\n"
                             "    host: >-\n"
                             "      10.0.0.3\n"
                             "  - name: db4\n"
                             "    host:\n"
                             "      10.0.0.4\n"
                             "    port:\n"
                             "    hosts:\n"
                             "      - a\n"
                             "      - >-\n"
                             "        b\n"
                             "    label: |+\n"
                             "      c\n"
                             "\n"
                             "cluster: x\n";

typedef enum What { ADD, REMOVE, SET } What;

typedef struct Case {
        const char *text;
        What what;
        const char *name;
        EditPair pairs[3];
        const char *gone, *instead; /* the only difference */
} Case;

static const Case cases[] = {
        { block,
          ADD,
          "db3",
          { { "host", "::1" }, { "port", "3308" } },
          "    host: 10.0.0.2\n",
          "    host: 10.0.0.2\n  - name: db3\n    host: \"::1\"\n    port: 3308\n" },
        { mixed, ADD, "db3", { { "host", "c" } }, "port: 3307 }", "port: 3307 }\n- { name: db3, host: c }\n" },
        { flow, ADD, "db3", { { "host", "c" } }, "host: b}]", "host: b}, { name: db3, host: c }]" },
        { block, REMOVE, "db1", { { 0 } }, "  - name: db1\n    host: 10.0.0.1 # rack 3\n    #promotion: allow\n", "" },
        { block,
          REMOVE,
          "db2",
          { { 0 } },
          "  - name: db2 # \xc3\xbc\n    port: 3307   # not the usual one\n    host: 10.0.0.2\n",
          "" },
        { mixed, REMOVE, "db1", { { 0 } }, "- { name: db1, host: 10.0.0.1 } # first\n", "" },
        { mixed, REMOVE, "db2", { { 0 } }, "- { name: \"db2\", host: 10.0.0.2, port: 3307 }", "" },
        { flow, REMOVE, "db1", { { 0 } }, "{name: db1, host: a}, ", "" },
        { flow, REMOVE, "db2", { { 0 } }, ", {name: db2, port: 3307, host: b}", "" },
        { block, SET, "db2", { { "port", "3309" } }, "port: 3307   #", "port: 3309   #" },
        { block, SET, "db2", { { "host", "a \"b\"" } }, "host: 10.0.0.2\n", "host: \"a \\\"b\\\"\"\n" },
        { block, SET, "db2", { { "port", NULL } }, "    port: 3307   # not the usual one\n", "" },
        { block, SET, "db1", { { "promotion", "never" } }, "rack 3\n", "rack 3\n    promotion: never\n" },
        { block, SET, "db1", { { "promotion", "never" }, { "promotion", NULL } }, "", "" },
        { mixed, SET, "db2", { { "port", NULL } }, ", port: 3307", "" },
        { mixed,
          SET,
          "db1",
          { { "port", "1" }, { "ssh_user", "me" } },
          "10.0.0.1 }",
          "10.0.0.1, port: 1, ssh_user: me }" },
        { flow, SET, "db2", { { "port", NULL } }, "port: 3307, ", "" },
        { flow, SET, "db2", { { "host", "c" } }, "host: b}]", "host: c}]" },
        { folded, SET, "db1", { { "host", NULL } }, "    host: >-\n      10.0.0.1\n", "" },
        { folded, SET, "db2", { { "ssh_host", NULL } }, "    ssh_host: |\n      10.0.0.9\n\n", "" },
        { folded, SET, "db2", { { "host", NULL } }, "    host: \"10.0.\n      0.2\"\n", "" },
        { folded, SET, "db3", { { "host", NULL } }, "    host: >-\n      10.0.0.3\n", "" },
        { folded, SET, "db3", { { "port", "1" } }, "      10.0.0.3\n", "      10.0.0.3\n    port: 1\n" },
        { folded, SET, "db4", { { "host", NULL } }, "    host:\n      10.0.0.4\n", "" },
        { folded, SET, "db4", { { "port", NULL } }, "    port:\n", "" },
        { folded, SET, "db4", { { "port", "1" } }, "    port:\n", "    port: 1\n" },
        { folded, SET, "db4", { { "hosts", NULL } }, "    hosts:\n      - a\n      - >-\n        b\n", "" },
        { folded, SET, "db4", { { "label", NULL } }, "    label: |+\n      c\n\n", "" },
        { folded, REMOVE, "db3", { { 0 } }, "  - name: db3\n    promotion: never\n    host: >-\n      10.0.0.3\n", "" },
        { folded, ADD, "db5", { { "port", "1" } }, "      c\n\n", "      c\n\n  - name: db5\n    port: 1\n" },
};

static int edit(const Case *one, char **ret, Failure *reterr)
{
        size_t n = 0;
        while (n < ARRAY_LENGTH(one->pairs) && one->pairs[n].key)
                n++;
        if (one->what == ADD)
                return edit_add_server(one->text, one->name, one->pairs, n, ret, reterr);
        if (one->what == SET)
                return edit_set_server(one->text, one->name, one->pairs, n, ret, reterr);
        return edit_remove_server(one->text, one->name, ret, reterr);
}

static void test_edits(void **state)
{
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                const Case *one = &cases[i];
                CLEANUP(mem_free) char *text = NULL;
                Failure failure = { 0 };
                if (edit(one, &text, &failure) < 0)
                        fail_msg("case %zu: %s", i, failure.text);
                const char *at = strstr(one->text, one->gone);
                assert_non_null(at);
                CLEANUP(mem_free)
                char *expected = text_format("%.*s%s%s", (int) (at - one->text), one->text, one->instead,
                                             at + strlen(one->gone));
                assert_string_equal(text, expected);
                CLEANUP(tree_free) Tree *tree = NULL;
                TreePlace place;
                assert_int_equal(tree_parse(text, strlen(text), &tree, &place, NULL), 0);
        }
}

static void test_refusals(void **state)
{
        static const struct {
                Case one;
                const char *says;
        } refused[] = {
                { { block, ADD, "db2", { { "host", "x" } } }, "there is a server db2 already (line 8)" },
                { { block, REMOVE, "db9", { { 0 } } }, "there is no server db9, only db1, db2" },
                { { block, SET, "db1", { { "port", NULL } } }, "db1 has no port" },
                { { "cluster: a\n", REMOVE, "db1", { { 0 } } }, "there is no list of servers" },
                { { "servers: []\n", ADD, "db1", { { 0 } } }, "there is no list of servers" },
                { { "servers: [db1]\n", ADD, "db1", { { 0 } } }, "there is no list of servers" },
                { { "servers:\n  -\n    name: db1\n", REMOVE, "db1", { { 0 } } }, "by hand" },
                { { "servers:\n  - name: db1\n    host: >\n      a\n", SET, "db1", { { "host", "b" } } }, "by hand" },
                { { "servers:\n  - host: >-\n      a\n    name: db1\n", SET, "db1", { { "host", NULL } } }, "by hand" },
                { { "servers:\n  - name: db1\n    ? host\n    ? port\n", SET, "db1", { { "host", NULL } } },
                  "by hand" },
                { { "servers:\n  - name: db1\n    host: a\r    port: 1\n", SET, "db1", { { "host", NULL } } },
                  "by hand" },
                { { "servers: [", SET, "db1", { { 0 } } }, "line" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
                char *text = NULL;
                Failure failure = { 0 };
                if (strcmp(refused[i].one.text, "servers: [") == 0)
                        assert_int_equal(edit_remove_server("servers: [", "db1", &text, &failure), -EINVAL);
                else
                        assert_int_equal(edit(&refused[i].one, &text, &failure), -EINVAL);
                assert_null(text);
                if (!strstr(failure.text, refused[i].says))
                        fail_msg("case %zu: %s", i, failure.text);
        }
}

static void test_scalars(void **state)
{
        static const char *const texts[] = { "a",   "10.0.0.1", "::1",     "",         "null",     "-x",
                                             "#x",  "a: b",     "a\"b\\c", "\x01\x7f", "\xc3\xbc", "@x",
                                             " x ", "{x}",      "3",       "true",     "%x",       "a,b" };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                CLEANUP(mem_free) char *written = tree_write_scalar(texts[i]);
                CLEANUP(mem_free) char *line = text_format("[{k: %s}]\n", written);
                CLEANUP(tree_free) Tree *tree = NULL;
                TreePlace place;
                assert_int_equal(tree_parse(line, strlen(line), &tree, &place, NULL), 0);
                assert_string_equal(tree_get(tree->children[0], "k")->text, texts[i]);
                assert_false(tree_is_null(tree_get(tree->children[0], "k")));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_edits),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_scalars),
        };
        return cmocka_run_group_tests_name("edit", tests, NULL, NULL);
}
