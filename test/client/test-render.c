/* Renderings from fixtures: x.json beside x.txt, the method by the first word of the name. With UPDATE set in the
 * environment the texts are written instead of compared: look at what changed. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arguments.h"
#include "file.h"
#include "render.h"

#define NOW ((usec_t) 1795339007000000)

static const char *folder;

static void render_full_plan(Text *out, const Look *look, const Json *plan)
{
        render_plan(out, look, plan, true);
}

static const struct {
        const char *prefix;
        void (*render)(Text *out, const Look *look, const Json *answer);
} kinds[] = {
        { "status-", render_status },   { "check-", render_check },     { "plan-", render_full_plan },
        { "report-", render_report },   { "history-", render_history }, { "events-", render_events },
        { "rescues-", render_rescues }, { "rescue-", render_rescue },
};

static Json *load(const char *name)
{
        CLEANUP(mem_free) char *path = text_format("%s/%s", folder, name);
        CLEANUP(mem_free) char *bytes = NULL;
        Json *json = NULL;
        size_t length;
        assert_int_equal(file_read(path, 1 << 20, &bytes, &length, NULL), 0);
        assert_int_equal(json_parse(bytes, length, &json, NULL), 0);
        return json;
}

static bool compare(const char *name, const char *suffix, const char *got)
{
        CLEANUP(mem_free) char *path = text_format("%s/%.*s%s", folder, (int) strcspn(name, "."), name, suffix);
        CLEANUP(mem_free) char *expected = NULL;
        if (getenv("UPDATE"))
                return file_replace(path, got, strlen(got), 0644, NULL) == 0;
        if (file_read(path, 1 << 20, &expected, NULL, NULL) == 0 && strcmp(got, expected) == 0)
                return true;
        print_error("%s differs; it is now:\n%s\n", path, got);
        return false;
}

static bool check(const char *name)
{
        bool ok = true, known = false;
        CLEANUP(json_free) Json *answer = load(name);
        for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
                if (!text_starts_with(name, kinds[i].prefix))
                        continue;
                known = true;
                const Look look = { .lines = true, .now = NOW };
                Text text = { 0 };
                kinds[i].render(&text, &look, answer);
                ok = compare(name, ".txt", text.data) && ok;
                text_done(&text);
        }
        return ok && known;
}

static void test_fixtures(void **state)
{
        DIR *directory = opendir(folder);
        bool ok = true;
        size_t n = 0;
        assert_non_null(directory);
        for (struct dirent *entry; (entry = readdir(directory));)
                if (strstr(entry->d_name, ".json")) {
                        ok = check(entry->d_name) && ok;
                        n++;
                }
        closedir(directory);
        assert_true(ok && n >= 10);
}

/* Plain ASCII when the terminal has no more; colours only when asked for, and always ended. */
static void test_looks(void **state)
{
        CLEANUP(json_free) Json *answer = load("status-running.json");
        Text text = { 0 };
        const Look ascii = { .now = NOW }, colour = { .colour = true, .lines = true, .now = NOW };
        render_status(&text, &ascii, answer);
        for (const char *c = text.data; *c; c++)
                assert_true(*c == '\n' || (*c >= ' ' && *c < 0x7f));
        text_done(&text);
        render_status(&text, &colour, answer);
        size_t begun = 0, ended = 0;
        for (const char *c = text.data; (c = strchr(c, '\x1b')); c++) {
                bool end = strncmp(c, "\x1b[0m", 4) == 0;
                begun += !end;
                ended += end;
        }
        assert_true(begun > 10 && begun == ended);
        text_done(&text);
}

/* Whatever is missing or of another type, nothing breaks. */
static void test_nonsense(void **state)
{
        static const char *const texts[] = {
                "{}",
                "[]",
                "null",
                "7",
                "{\"clusters\":[{}],\"checks\":[{}],\"plan\":{\"steps\":[{}]},\"report\":{},\"runs\":[{}],\"events\":[{"
                "}]}",
                "{\"clusters\":7,\"checks\":\"x\",\"plan\":[],\"report\":[7],\"runs\":{\"a\":1},\"events\":[[]]}",
                "{\"clusters\":[{\"servers\":[{},{\"name\":7,\"source\":7},{\"name\":\"a\",\"source\":\"a\"},"
                "{\"name\":\"b\",\"source\":\"b\",\"problems\":[1]}],\"run\":{\"steps\":[{\"targets\":[1]}]},"
                "\"if_primary_died\":{},\"last_run\":{},\"paused\":{},\"problems\":[1],\"finding\":{}}]}",
        };
        const Look look = { .lines = true, .now = NOW };
        for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
                CLEANUP(json_free) Json *answer = NULL;
                assert_int_equal(json_parse(texts[i], strlen(texts[i]), &answer, NULL), 0);
                for (size_t k = 0; k < ARRAY_LENGTH(kinds); k++) {
                        Text text = { 0 };
                        kinds[k].render(&text, &look, answer);
                        text_done(&text);
                }
        }
}

/* The command line. */

static const Verb verbs[] = {
        { "status", "[CLUSTER]", 0, 1, OPTION_BIT(OPTION_WATCH), "shows", NULL },
        { "pause", "CLUSTER", 1, 1, OPTION_BIT(OPTION_FOR), "pauses", NULL },
};

static int parse(Arguments *arguments, Failure *failure, const char *line)
{
        static char words[200];
        static char *argv[12];
        int argc = 0;
        strcpy(words, line);
        for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
                argv[argc++] = word;
        argv[argc] = NULL;
        *arguments = (Arguments){ 0 };
        return arguments_parse(argc, argv, verbs, ARRAY_LENGTH(verbs), arguments, failure);
}

static void test_arguments(void **state)
{
        Arguments arguments;
        Failure failure;
        assert_int_equal(parse(&arguments, &failure, "mhactl status"), 0);
        assert_string_equal(arguments.verb->name, "status");
        assert_null(arguments.words[0]);
        assert_int_equal(parse(&arguments, &failure, "mhactl --json pause shop --for 1h"), 0);
        assert_string_equal(arguments.words[0], "shop");
        assert_string_equal(arguments.options[OPTION_FOR], "1h");
        assert_string_equal(arguments.options[OPTION_JSON], "");
        assert_int_equal(parse(&arguments, &failure, "mhactl pause --for=2h -- -odd-"), 0);
        assert_string_equal(arguments.words[0], "-odd-");
        assert_string_equal(arguments.options[OPTION_FOR], "2h");
        assert_int_equal(parse(&arguments, &failure, "mhactl status -w"), 0);
        assert_non_null(arguments.options[OPTION_WATCH]);
        assert_int_equal(parse(&arguments, &failure, "mhactl pause --help"), 0);
        assert_int_equal(parse(&arguments, &failure, "mhactl --version"), 0);
}

static void test_wrong_arguments(void **state)
{
        static const char *const cases[][2] = {
                { "mhactl", "a verb is missing, such as status" },
                { "mhactl satus", "unknown verb satus: did you mean status?" },
                { "mhactl frobnicate", "unknown verb frobnicate" },
                { "mhactl status --jsn", "unknown option --jsn: did you mean --json?" },
                { "mhactl status --for 1h", "--for does not go with status" },
                { "mhactl pause", "too few arguments: mhactl pause CLUSTER" },
                { "mhactl status a b", "too many arguments: mhactl status [CLUSTER]" },
                { "mhactl status a b c d", "too many arguments: mhactl status [CLUSTER]" },
                { "mhactl pause shop --for", "--for needs a value: TIME" },
                { "mhactl pause shop --for=", "--for needs a value: TIME" },
                { "mhactl status --json=yes", "--json takes no value" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                Arguments arguments;
                Failure failure = { 0 };
                assert_true(parse(&arguments, &failure, cases[i][0]) < 0);
                assert_string_equal(failure.text, cases[i][1]);
        }
}

static void test_help(void **state)
{
        Text text = { 0 };
        arguments_help(&text, NULL, verbs, ARRAY_LENGTH(verbs));
        assert_non_null(strstr(text.data, "pause CLUSTER"));
        text_done(&text);
        arguments_help(&text, &verbs[1], verbs, ARRAY_LENGTH(verbs));
        assert_non_null(strstr(text.data, "--for TIME"));
        assert_null(strstr(text.data, "--watch"));
        text_done(&text);
}

int main(int argc, char **argv)
{
        folder = argc > 1 ? argv[1] : ".";
        setenv("TZ", "UTC", 1);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fixtures),        cmocka_unit_test(test_looks),
                cmocka_unit_test(test_nonsense),        cmocka_unit_test(test_arguments),
                cmocka_unit_test(test_wrong_arguments), cmocka_unit_test(test_help),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
