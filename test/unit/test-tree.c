/* YAML to a tree: places, limits, refusals, garbage. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"
#include "tree.h"

static Tree *parse(const char *text)
{
        Tree *tree = NULL;
        TreePlace place;
        Failure failure = { 0 };
        int r = tree_parse(text, strlen(text), &tree, &place, &failure);
        assert_string_equal(failure.text, "");
        assert_int_equal(r, 0);
        return tree;
}

static void assert_refused(const char *text, const char *expected)
{
        Tree *tree = NULL;
        TreePlace place;
        Failure failure = { 0 };
        assert_int_equal(tree_parse(text, strlen(text), &tree, &place, &failure), -EINVAL);
        assert_null(tree);
        assert_int_equal(failure.kind, FAILURE_INVALID);
        CLEANUP(mem_free) char *found = text_format("%zu:%zu: %s", place.line, place.column, failure.text);
        assert_string_equal(found, expected);
}

static void test_places(void **state)
{
        CLEANUP(tree_free) Tree *tree = parse("# comment\na: one\nb:\n  - 'two'\n  - c: [3]\n");
        assert_int_equal(tree->kind, TREE_MAP);
        assert_int_equal(tree->n_children, 2);
        const Tree *a = tree_get(tree, "a"), *b = tree_get(tree, "b");
        assert_string_equal(a->text, "one");
        assert_true(a->plain);
        assert_int_equal(a->place_of_key.line, 2);
        assert_int_equal(a->place_of_key.column, 1);
        assert_int_equal(a->place.column, 4);
        assert_int_equal(b->kind, TREE_LIST);
        assert_string_equal(b->children[0]->text, "two");
        assert_false(b->children[0]->plain);
        const Tree *c = tree_get(b->children[1], "c");
        assert_int_equal(c->place_of_key.line, 5);
        assert_int_equal(c->place_of_key.column, 5);
        assert_int_equal(c->place.column, 8);
        assert_string_equal(c->children[0]->text, "3");
        assert_null(tree_get(tree, "d"));
        assert_null(tree_get(NULL, "a"));
        assert_null(tree_get(a, "a"));
}

static void test_empty(void **state)
{
        static const char *const texts[] = { "", "\n", "# nothing\n", "---\n", "---\n...\n" };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                CLEANUP(tree_free) Tree *tree = parse(texts[i]);
                assert_int_equal(tree->kind, TREE_MAP);
                assert_int_equal(tree->n_children, 0);
        }
}

static void test_null(void **state)
{
        CLEANUP(tree_free) Tree *tree = parse("a:\nb: null\nc: ~\nd: 'null'\ne: ''\n");
        assert_true(tree_is_blank(tree_get(tree, "a")));
        assert_false(tree_is_null(tree_get(tree, "a")));
        assert_true(tree_is_null(tree_get(tree, "b")));
        assert_true(tree_is_null(tree_get(tree, "c")));
        assert_false(tree_is_null(tree_get(tree, "d")));
        assert_false(tree_is_blank(tree_get(tree, "e")));
}

static void test_twins(void **state)
{
        CLEANUP(tree_free) Tree *tree = parse("a: 1\nb: 2\na: 3\n");
        assert_null(tree_twin(tree, 0));
        assert_null(tree_twin(tree, 1));
        assert_ptr_equal(tree_twin(tree, 2), tree->children[0]);
}

static void test_nul(void **state)
{
        CLEANUP(tree_free) Tree *tree = parse("a: \"x\\0y\"\n");
        assert_int_equal(tree_get(tree, "a")->length, 3);
        assert_refused("\"x\\0y\": 1\n", "1:1: a key must not contain a NUL byte");
}

static void test_refusals(void **state)
{
        assert_refused("a: &x 1\n", "1:4: anchors (&name) are not allowed");
        assert_refused("a: &x [1]\n", "1:4: anchors (&name) are not allowed");
        assert_refused("a: {b: *x}\n", "1:8: aliases (*name) are not allowed");
        assert_refused("a: !!str 1\n", "1:4: tags (!name) are not allowed");
        assert_refused("a: !x {}\n", "1:4: tags (!name) are not allowed");
        assert_refused("&x a: 1\n", "1:1: anchors and tags are not allowed");
        assert_refused("[a]: 1\n", "1:1: a key must be a plain word");
        assert_refused("a: 1\n---\nb: 2\n", "2:1: there must be only one document in a file");
        assert_refused("a: 1\n b: 2\n", "2:3: not valid YAML: mapping values are not allowed in this context");
        assert_refused("a: [1\n",
                       "2:1: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence");
        assert_refused("a: 1\nb: \xff\n", "2:4: not valid UTF-8 text: invalid leading UTF-8 octet");
        assert_refused("a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", "1:19: nested too deeply");
}

static void test_too_large(void **state)
{
        size_t length = TREE_MAX_BYTES + 1;
        CLEANUP(mem_free) char *text = alloc_zero(length, 1);
        memset(text, ' ', length);
        Tree *tree = NULL;
        TreePlace place;
        Failure failure = { 0 };
        assert_int_equal(tree_parse(text, length, &tree, &place, &failure), -EINVAL);

        Text many = { 0 };
        text_add(&many, "[");
        for (size_t i = 0; i <= TREE_MAX_NODES; i++)
                text_add(&many, "1,");
        text_add(&many, "]");
        assert_int_equal(tree_parse(many.data, many.length, &tree, &place, &failure), -EINVAL);
        assert_string_equal(failure.text, "too many values");
        text_done(&many);
}

/* Whatever the bytes are, there is a tree or a failure with a place, and nothing leaks (ASan says so). */
static void test_garbage(void **state)
{
        static const char *const pieces[] = {
                "a",           ": ",   "- ",   "\n",   "  ", "[",      "]", "{",     "}",     ",",   "&x ",
                "*x",          "'",    "\"",   "|\n",  "? ", "!t ",    "#", "---\n", "...\n", "\\0", "\t",
                "%YAML 1.1\n", "\xc3", "\xbc", "\xff", "~",  "a: 1\n", "@", "`",     ">-\n",
        };
        uint32_t seed = 1;
        for (int round = 0; round < 20000; round++) {
                char text[256] = "";
                size_t length = 0;
                for (int i = 0; i < 24; i++) {
                        seed = seed * 1664525 + 1013904223;
                        const char *piece = pieces[(seed >> 16) % ARRAY_LENGTH(pieces)];
                        memcpy(text + length, piece, strlen(piece));
                        length += strlen(piece);
                }
                CLEANUP(tree_free) Tree *tree = NULL;
                TreePlace place;
                Failure failure = { 0 };
                int r = tree_parse(text, length, &tree, &place, &failure);
                assert_true(r < 0 ? failure.text[0] && place.line > 0 && !tree : tree != NULL);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),    cmocka_unit_test(test_empty),   cmocka_unit_test(test_null),
                cmocka_unit_test(test_twins),     cmocka_unit_test(test_nul),     cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_too_large), cmocka_unit_test(test_garbage),
        };
        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
