/* The examples that are installed: they are valid, the defaults they show are the defaults, and no key is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "file.h"
#include "schema.h"
#include "text.h"

#define LIMIT 100000

static const char *source;
static char folder[] = "/tmp/mhad-test-examples-XXXXXX";

static char *read_example(const char *name)
{
        CLEANUP(mem_free) char *path = text_format("%s/etc/%s", source, name);
        char *text = NULL;
        assert_int_equal(file_read(path, LIMIT, &text, NULL, NULL), 0);
        return text;
}

static void write_file(const char *name, const char *text)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", folder, name);
        assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), 0);
}

/* "#key: value" is a default, "# words" is prose. */
static char *show_defaults(const char *text)
{
        Text out = { 0 };
        for (const char *c = text; *c; c++) {
                bool at_start = out.length == 0 || strchr("\n ", out.data[out.length - 1]);
                size_t word = strspn(c + 1, "abcdefghijklmnopqrstuvwxyz_");
                if (*c != '#' || !at_start || word == 0 || c[1 + word] != ':')
                        text_add_n(&out, c, 1);
        }
        return text_take(&out);
}

static Config *load(const char *main_text, const char *cluster_text)
{
        write_file("mhad.yaml", main_text);
        write_file("clusters.d/example.yaml", cluster_text);
        CLEANUP(mem_free) char *path = text_format("%s/mhad.yaml", folder);
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(json_free) Json *warnings = json_array();
        Config *config = NULL;
        config_load_offline(path, &config, errors, warnings);
        assert_null(json_string(json_at(errors, 0)));
        assert_null(json_string(json_at(warnings, 0)));
        assert_non_null(config);
        return config;
}

static void test_valid(void **state)
{
        CLEANUP(mem_free) char *main_text = read_example("mhad.yaml");
        CLEANUP(mem_free) char *cluster_text = read_example("clusters.d/example.yaml.disabled");
        CLEANUP(config_free) Config *config = load(main_text, cluster_text);
        assert_int_equal(config->n_clusters, 1);
        assert_string_equal(config->clusters[0].name, "app1");
        assert_int_equal(config->clusters[0].n_servers, 3);
}

static void test_defaults(void **state)
{
        CLEANUP(mem_free) char *main_text = read_example("mhad.yaml");
        CLEANUP(mem_free) char *cluster_text = read_example("clusters.d/example.yaml.disabled");
        CLEANUP(mem_free) char *full_main_text = show_defaults(main_text);
        CLEANUP(mem_free) char *full_cluster_text = show_defaults(cluster_text);
        assert_true(strlen(cluster_text) > strlen(full_cluster_text) + 20);
        CLEANUP(config_free) Config *config = load(main_text, cluster_text);
        CLEANUP(config_free) Config *full = load(full_main_text, full_cluster_text);
        CLEANUP(json_free) Json *diff = config_diff(config, full);
        CLEANUP(mem_free) char *shown = json_print(diff);
        assert_string_equal(shown, "{\"added\":[],\"removed\":[],\"changed\":{},\"daemon\":[],\"restart\":[]}");
}

static void test_complete(void **state)
{
        CLEANUP(mem_free) char *main_text = read_example("mhad.yaml");
        CLEANUP(mem_free) char *cluster_text = read_example("clusters.d/example.yaml.disabled");
        for (size_t i = 0; i < schema_n_rows; i++) {
                CLEANUP(mem_free) char *key = text_format("%s:", schema_leaf(&schema_rows[i]));
                if (!strstr(main_text, key) && !strstr(cluster_text, key))
                        fail_msg("no example has the key %s", schema_rows[i].path);
        }
}

static int set_up(void **state)
{
        CLEANUP(mem_free) char *clusters = NULL;
        if (!mkdtemp(folder))
                return -1;
        clusters = text_format("%s/clusters.d", folder);
        return mkdir(clusters, 0700);
}

static int tear_down(void **state)
{
        static const char *const names[] = { "/clusters.d/example.yaml", "/clusters.d", "/mhad.yaml", "" };
        for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
                CLEANUP(mem_free) char *path = text_format("%s%s", folder, names[i]);
                remove(path);
        }
        return 0;
}

int main(int argc, char *argv[])
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_complete),
        };
        source = argc > 1 ? argv[1] : ".";
        return cmocka_run_group_tests_name("examples", tests, set_up, tear_down);
}
