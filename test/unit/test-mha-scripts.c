/* MHA's arguments, to the letter and in order, and what its exit statuses mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fence.h"
#include "hooks.h"
#include "mha_scripts.h"

static Facts facts_from(const char *procedure, const char *config)
{
        static const char servers[] =
                "{\"order\": [\"db1\", \"db2\"], \"old_primary\": \"db1\", \"candidate\": \"db2\", \"servers\": {"
                "\"db1\": {\"name\": \"db1\", \"host\": \"one\", \"address\": \"10.0.0.1\", \"port\": 3306, "
                "\"ssh_host\": \"one\", \"ssh_port\": 22, \"ssh_user\": \"root\"},"
                "\"db2\": {\"name\": \"db2\", \"host\": \"two\", \"address\": \"10.0.0.2\", \"port\": 3307, "
                "\"ssh_host\": \"two-ssh\", \"ssh_port\": 2222, \"ssh_user\": \"op\"}}}";
        Facts facts = facts_new("app1", "r1", procedure);
        CLEANUP(json_free) Json *json = NULL;
        CLEANUP(json_free) Json *more = NULL;
        assert_int_equal(json_parse(servers, strlen(servers), &json, NULL), 0);
        assert_int_equal(json_parse(config, strlen(config), &more, NULL), 0);
        json_merge(facts.root, json);
        json_merge(json_get_mutable(facts.root, "config"), more);
        return facts;
}

/* Separated by blanks. */
static char *said(const Script *script, const char *name)
{
        Text text = { 0 };
        assert_int_equal(script->n_items, 1);
        assert_string_equal(script->items[0].text, name);
        JSON_FOREACH(argument, json_get(script->items[0].input, "arguments"))
        {
                text_separate(&text, " ");
                text_add(&text, json_string(argument));
        }
        return text_take(&text);
}

#define EXPECT(name, expected, call)                                                                                   \
        do {                                                                                                           \
                CLEANUP(script_done) Script script = { 0 };                                                            \
                call;                                                                                                  \
                CLEANUP(mem_free) char *words = said(&script, name);                                                   \
                assert_string_equal(words, expected);                                                                  \
        } while (0)

#define ALL                                                                                                            \
        "{\"sql\": {\"user\": \"mha\"}, \"detection\": {\"ping\": \"insert\"}, \"hooks\": {\"mha\": {"                 \
        "\"master_ip_failover_script\": true, \"master_ip_online_change_script\": true, \"shutdown_script\": true, "   \
        "\"report_script\": true, \"secondary_check_script\": true%s}}}"
#define ORIG "--orig_master_host=one --orig_master_ip=10.0.0.1 --orig_master_port=3306"
#define NEW "--new_master_host=two --new_master_ip=10.0.0.2 --new_master_port=3307"
#define NEW_SSH "--new_master_ssh_host=two-ssh --new_master_ssh_ip=two-ssh --new_master_ssh_port=2222"

static Facts with_all(const char *procedure, const char *more)
{
        CLEANUP(mem_free) char *config = text_format(ALL, more);
        return facts_from(procedure, config);
}

static void test_failover(void **state)
{
        const char *name = "mha.master_ip_failover_script";
        CLEANUP(facts_done) Facts facts = with_all("failover", "");
        assert_string_equal(mha_script_for(&facts, "stop"), name);
        assert_string_equal(mha_script_for(&facts, "start"), name);
        assert_null(mha_script_for(&facts, "prepare"));
        EXPECT(name, "--command=status --ssh_user=root " ORIG, mha_ask(&facts, name, "status", &script));
        EXPECT(name, ORIG " --command=stop", ask_stop_hook(&facts, "", &script));
        json_set_bool(json_get_mutable(json_get_mutable(facts.root, "servers"), "db1"), "ssh_works", true);
        EXPECT(name, ORIG " --command=stopssh --ssh_user=root", ask_stop_hook(&facts, "", &script));
        EXPECT(name,
               "--command=start --ssh_user=op " ORIG " " NEW " --new_master_user=mha " NEW_SSH
               " --new_master_password=${sql_password}",
               ask_start_hook(&facts, "", &script));
        EXPECT(name,
               "--command=start --ssh_user=root --orig_master_host=two --orig_master_ip=10.0.0.2 "
               "--orig_master_port=3307 --new_master_host=one --new_master_ip=10.0.0.1 --new_master_port=3306 "
               "--new_master_user=mha --orig_master_ssh_host=two-ssh --orig_master_ssh_ip=two-ssh "
               "--orig_master_ssh_port=2222 --new_master_password=${sql_password}",
               ask_abort_stop_hook(&facts, "", &script));
}

/* One that has its ip apart is told by its name, as MHA did. */
static void test_hostname(void **state)
{
        const char *name = "mha.master_ip_failover_script", *shutdown = "mha.shutdown_script";
        CLEANUP(facts_done) Facts facts = with_all("failover", "");
        Json *db1 = json_get_mutable(json_get_mutable(facts.root, "servers"), "db1");
        json_set_string(db1, "host", "10.0.0.1");
        json_set_string(db1, "ssh_host", "one");
        json_set_string(db1, "mha_hostname", "one");
        EXPECT(name, "--command=status --ssh_user=root " ORIG, mha_ask(&facts, name, "status", &script));
        EXPECT(shutdown, "--command=status --ssh_user=root --host=one --ip=10.0.0.1",
               mha_ask(&facts, shutdown, "status", &script));
        EXPECT("mha.secondary_check_script",
               "--user=root --master_host=one --master_ip=10.0.0.1 --master_port=3306 --master_user=mha "
               "--master_password=${sql_password} --ping_type=INSERT",
               mha_ask_secondary(&facts, &script));
        static const char text[] = "{\"outcome\": \"completed\", \"new_primary\": \"db2\", \"text\": \"\", "
                                   "\"steps\": [{\"name\": \"stop-receivers\", \"started\": 5}], \"servers\": "
                                   "[{\"name\": \"db1\", \"state\": \"replica\"}]}";
        CLEANUP(json_free) Json *report = NULL;
        assert_int_equal(json_parse(text, strlen(text), &report, NULL), 0);
        EXPECT("mha.report_script",
               "--orig_master_host=one --new_master_host=two --new_slave_hosts=one --conf=/etc/x.yaml "
               "--subject=app1: MySQL Master failover one(10.0.0.1:3306) to two(10.0.0.2:3307) succeeded --body=",
               mha_ask_report(&facts, report, "/etc/x.yaml", &script));
}

static void test_ssh_options(void **state)
{
        const char *name = "mha.master_ip_failover_script";
        CLEANUP(facts_done) Facts facts = with_all("failover", ", \"ssh_options\": \"-i key\"");
        EXPECT(name,
               "--command=start --ssh_user=op " ORIG " " NEW " --new_master_user=mha --ssh_options=-i key " NEW_SSH
               " --new_master_password=${sql_password}",
               ask_start_hook(&facts, "", &script));
        EXPECT("mha.secondary_check_script",
               "--user=root --master_host=one --master_ip=10.0.0.1 --master_port=3306 --master_user=mha "
               "--master_password=${sql_password} --ping_type=INSERT --options=-i key",
               mha_ask_secondary(&facts, &script));
}

static void test_online_change(void **state)
{
        const char *name = "mha.master_ip_online_change_script";
        CLEANUP(facts_done) Facts facts = with_all("switchover", "");
        const char *both = "--orig_master_password=${sql_password} --new_master_password=${sql_password}";
        CLEANUP(mem_free)
        char *plain = text_format("--command=stop " ORIG " --orig_master_user=mha " NEW
                                  " --new_master_user=mha --orig_master_ssh_user=root --new_master_ssh_user=op " NEW_SSH
                                  " --orig_master_is_new_slave %s",
                                  both);
        EXPECT(name, plain, ask_stop_hook(&facts, "", &script));
        json_set_bool(facts.root, "no_demote", true);
        CLEANUP(mem_free)
        char *kept = text_format("--command=start " ORIG " --orig_master_user=mha " NEW
                                 " --new_master_user=mha --orig_master_ssh_user=root --new_master_ssh_user=op " NEW_SSH
                                 " %s",
                                 both);
        EXPECT(name, kept, ask_start_hook(&facts, "", &script));
        assert_null(mha_script_for(&facts, "shutdown"));
        EXPECT("mha.secondary_check_script",
               "--user=root --master_host=one --master_ip=10.0.0.1 --master_port=3306 --master_user=mha "
               "--master_password=${sql_password} --ping_type=INSERT",
               mha_ask_secondary(&facts, &script));
}

static void test_shutdown(void **state)
{
        const char *name = "mha.shutdown_script";
        CLEANUP(facts_done) Facts facts = with_all("failover", "");
        assert_false(skip_shutdown_hook(&facts));
        EXPECT(name, "--command=stop --host=one --ip=10.0.0.1 --port=3306", ask_shutdown_hook(&facts, "", &script));
        Json *db1 = json_get_mutable(json_get_mutable(facts.root, "servers"), "db1");
        json_set_string(db1, "still_runs", "mariadbd");
        json_set_string(db1, "pid_file", "/run/pid");
        EXPECT(name, "--command=stopssh --ssh_user=root --host=one --ip=10.0.0.1 --port=3306 --pid_file=/run/pid",
               ask_shutdown_hook(&facts, "", &script));
        EXPECT(name, "--command=status --ssh_user=root --host=one --ip=10.0.0.1",
               mha_ask(&facts, name, "status", &script));
}

static Judgement judge(const Facts *facts, step_judge_fn fn, int status, const char *err)
{
        Judgement judgement = { 0 };
        Reply reply = { .run = true, .exit_status = status, .out = (char *) "", .err = (char *) err };
        if (status)
                failure_set(&reply.failure, FAILURE_EXIT, status, "x ended with status %d", status);
        Replies replies = { .items = &reply, .n_items = 1 };
        fn(facts, "", &replies, &judgement);
        return judgement;
}

static void expect(const Facts *facts, step_judge_fn fn, int status, Verdict verdict, const char *why)
{
        Judgement judgement = judge(facts, fn, status, "it said so\n");
        assert_int_equal(judgement.verdict, verdict);
        if (!strstr(judgement.why, why))
                fail_msg("\"%s\" is not in \"%s\"", why, judgement.why);
        json_free(judgement.learned);
}

static void test_statuses(void **state)
{
        CLEANUP(facts_done) Facts facts = with_all("failover", "");
        expect(&facts, judge_stop_hook, 0, VERDICT_MET, "ended well");
        expect(&facts, judge_stop_hook, 10, VERDICT_MET, "status 10, so it goes on: it said so");
        expect(&facts, judge_stop_hook, 1, VERDICT_HOPELESS, "status 1: it said so");
        expect(&facts, judge_start_hook, 10, VERDICT_MET, "goes on");
        expect(&facts, judge_prepare_hook, 10, VERDICT_HOPELESS, "10"); /* that is none of MHA's */
}

static void test_shutdown_statuses(void **state)
{
        static const struct {
                int status;
                Verdict verdict;
                const char *why;
        } cases[] = {
                { 0, VERDICT_MET, "its host is off" },
                { 10, VERDICT_MET, "its process is gone" },
                { 1, VERDICT_HOPELESS, "shutdown_script: the script ended with status 1" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                CLEANUP(facts_done) Facts facts = with_all("failover", "");
                json_set_bool(facts.root, "unreachable_for_all", true);
                Judgement judgement = judge(&facts, judge_shutdown_hook, cases[i].status, ""), enough = { 0 };
                facts_learn(&facts, NULL, judgement.learned);
                json_free(judgement.learned);
                decide_fence_is_enough(&facts, &enough);
                json_free(enough.learned);
                assert_int_equal(enough.verdict, cases[i].verdict);
                assert_non_null(strstr(enough.why, cases[i].why));
        }
}

/* Only what was run is taken back. */
static void test_abort(void **state)
{
        CLEANUP(facts_done)
        Facts facts = facts_from("switchover", "{\"hooks\": {\"prepare\": true, \"stop\": true, \"abort\": true}}");
        assert_true(skip_abort_stop_hook(&facts) && skip_abort_prepare_hook(&facts));
        json_append_string(json_ensure_array(facts.root, "hooks_run"), "prepare");
        assert_true(skip_abort_stop_hook(&facts));
        assert_false(skip_abort_prepare_hook(&facts));
        CLEANUP(script_done) Script script = { 0 };
        ask_abort_prepare_hook(&facts, "", &script);
        assert_string_equal(script.items[0].text, "abort");
        assert_string_equal(json_get_string(script.items[0].input, "undoes"), "prepare");

        CLEANUP(facts_done) Facts mha = with_all("switchover", "");
        assert_true(skip_abort_stop_hook(&mha));
        json_append_string(json_ensure_array(mha.root, "hooks_run"), "mha.master_ip_online_change_script");
        assert_false(skip_abort_stop_hook(&mha));
}

static void test_report(void **state)
{
        static const char text[] =
                "{\"outcome\": \"completed\", \"new_primary\": \"db2\", \"text\": \"what happened\", "
                "\"steps\": [{\"name\": \"stop-receivers\", \"started\": 5}], "
                "\"servers\": [{\"name\": \"db1\", \"state\": \"replica\"}, {\"name\": \"db2\", \"state\": "
                "\"primary\"}]}";
        CLEANUP(facts_done) Facts facts = with_all("failover", "");
        CLEANUP(json_free) Json *report = NULL;
        assert_int_equal(json_parse(text, strlen(text), &report, NULL), 0);
        EXPECT("mha.report_script",
               "--orig_master_host=one --new_master_host=two --new_slave_hosts=one --conf=/etc/x.yaml "
               "--subject=app1: MySQL Master failover one(10.0.0.1:3306) to two(10.0.0.2:3307) succeeded "
               "--body=what happened",
               mha_ask_report(&facts, report, "/etc/x.yaml", &script));
        json_set_string(report, "outcome", "aborted");
        json_set(report, "new_primary", NULL);
        EXPECT("mha.report_script",
               "--orig_master_host=one --conf=/etc/x.yaml --subject=app1: MySQL Master failover one(10.0.0.1:3306) "
               "--body=what happened",
               mha_ask_report(&facts, report, "/etc/x.yaml", &script));
        json_set(report, "steps", NULL); /* nothing was touched */
        CLEANUP(script_done) Script script = { 0 };
        mha_ask_report(&facts, report, "/etc/x.yaml", &script);
        assert_true(script_is_empty(&script));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_failover),
                cmocka_unit_test(test_hostname),
                cmocka_unit_test(test_ssh_options),
                cmocka_unit_test(test_online_change),
                cmocka_unit_test(test_shutdown),
                cmocka_unit_test(test_statuses),
                cmocka_unit_test(test_shutdown_statuses),
                cmocka_unit_test(test_abort),
                cmocka_unit_test(test_report),
        };
        return cmocka_run_group_tests_name("mha-scripts", tests, NULL, NULL);
}
