/* The message catalog has an entry for each event, and no other. The catalog's path is the argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "text.h"

static const char *path;

static char *read_catalog(void)
{
        static char text[128 * 1024];
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        size_t n = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[n] = '\0';
        return text;
}

/* The text of an entry, after its header, or NULL when it is not as journalctl wants it. */
static const char *body_of(const char *catalog, EventId id)
{
        CLEANUP(mem_free) char *head = text_format("\n-- %s\nSubject: ", event_message_id(id));
        const char *found = strstr(catalog, head);
        if (!found || strstr(found + 1, head))
                return NULL;
        const char *subject = found + strlen(head), *blank = strstr(subject, "\n\n"), *next = strstr(subject, "\n-- ");
        if (*subject == '\n' || !blank || (next && next < blank))
                return NULL;
        return blank + 2;
}

static void test_each_event(void **state)
{
        const char *catalog = read_catalog();
        for (EventId id = 0; id < _EVENT_MAX; id++) {
                const char *body = body_of(catalog, id);
                if (!body)
                        fail_msg("%s (%s): no entry, or two, or one without a subject", event_to_string(id),
                                 event_message_id(id));
                assert_true(body && *body != '\n' && strlen(body) > 20);
        }
}

static void test_no_other(void **state)
{
        int n = 0;
        for (const char *entry = read_catalog(); (entry = strstr(entry, "\n-- ")); entry++)
                n++;
        assert_int_equal(n, _EVENT_MAX);
}

static void test_ids_differ(void **state)
{
        for (EventId a = 0; a < _EVENT_MAX; a++) {
                assert_int_equal(strspn(event_message_id(a), "0123456789abcdef"), 32);
                assert_int_equal(strlen(event_message_id(a)), 32);
                for (EventId b = 0; b < a; b++)
                        assert_string_not_equal(event_message_id(a), event_message_id(b));
        }
}

static void on_log(EventId id, const LogFields *fields, const char *message, void *userdata)
{
        snprintf(userdata, 100, "%s", message);
}

/* Nobody forges a record, or speaks to the terminal of who reads it. */
static void test_one_line(void **state)
{
        char message[100] = "";
        log_set_tap(on_log, message);
        log_event(EVENT_WARNING, NULL, "db1 says: %s", "no\n2026-11-22 run-completed: all is well\x1b[2J\x7f\r.");
        log_set_tap(NULL, NULL);
        assert_string_equal(message, "db1 says: no 2026-11-22 run-completed: all is well [2J  .");
}

int main(int argc, char *argv[])
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_event),
                cmocka_unit_test(test_no_other),
                cmocka_unit_test(test_ids_differ),
                cmocka_unit_test(test_one_line),
        };
        path = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
