/* MHA's configuration to ours: every parameter is spoken of, what was made loads, errors have their line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "file.h"
#include "import.h"
#include "mha.h"
#include "text.h"

#define MAIN "/etc/mhad/mhad.yaml"

static const char *data;

/* Those of MHA 0.58. */
static const char *const every[] = {
        "hostname",
        "ip",
        "port",
        "node_label",
        "ssh_host",
        "ssh_ip",
        "ssh_port",
        "ssh_connection_timeout",
        "ssh_options",
        "ssh_user",
        "user",
        "password",
        "repl_user",
        "repl_password",
        "disable_log_bin",
        "handle_raw_binlog",
        "master_pid_file",
        "master_binlog_dir",
        "remote_workdir",
        "manager_workdir",
        "manager_log",
        "log_level",
        "check_repl_delay",
        "check_repl_filter",
        "latest_priority",
        "multi_tier_slave",
        "candidate_master",
        "no_master",
        "ignore_fail",
        "skip_init_ssh_check",
        "skip_reset_slave",
        "use_gtid_auto_pos",
        "ping_interval",
        "ping_type",
        "secondary_check_script",
        "master_ip_failover_script",
        "master_ip_online_change_script",
        "shutdown_script",
        "report_script",
        "init_conf_load_script",
        "client_bindir",
        "client_libdir",
};

static char *read_data(const char *name)
{
        CLEANUP(mem_free) char *path = text_format("%s/mha/%s", data, name);
        char *text = NULL;
        assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
        return text;
}

static Import import_text(const char *file, const char *text, const char *global)
{
        const ImportRequest request = { .file = file,
                                        .text = text,
                                        .global_file = "default.cnf",
                                        .global_text = global,
                                        .directory = "/etc/mhad" };
        CLEANUP(json_free) Json *errors = json_array();
        Import import = { 0 };
        int r = import_read(&request, &import, errors);
        assert_null(json_string(json_at(errors, 0)));
        assert_int_equal(r, 0);
        return import;
}

/* What was made, as the daemon would take it. */
static Config *load(const Import *import)
{
        CLEANUP(json_free) Json *errors = json_array();
        const ConfigEdit edits[] = { { import->yaml.path, import->yaml.text }, { MAIN, import->main } };
        Config *config = NULL;
        (void) config_load_edited(MAIN, edits, 2, &config, errors, NULL);
        assert_null(json_string(json_at(errors, 0)));
        assert_non_null(config);
        assert_int_equal(config->n_clusters, 1);
        return config;
}

static const Json *outcome_of(const Import *import, const char *place, const char *name)
{
        JSON_FOREACH(outcome, import->outcomes)
        if (text_equal(json_get_string(outcome, "place"), place) && text_equal(json_get_string(outcome, "name"), name))
                return outcome;
        fail_msg("nothing is said of %s in %s", name, place ? place : "no line");
        return NULL;
}

static void expect_outcome(const Import *import, const char *place, const char *name, bool look, const char *word)
{
        const Json *outcome = outcome_of(import, place, name);
        const char *text = json_get_string(outcome, "outcome");
        if (!strstr(text, word))
                fail_msg("%s: \"%s\" does not say \"%s\"", name, text, word);
        assert_int_equal(json_get_bool(outcome, "look", !look), look);
}

static void expect_no_secret(const Import *import, const char *secret)
{
        CLEANUP(mem_free) char *said = json_print(import->outcomes);
        assert_null(strstr(said, secret));
        assert_null(strstr(import->yaml.text, secret));
        assert_null(strstr(import->main, secret));
}

static void test_table(void **state)
{
        assert_int_equal(mha_n_parameters, ARRAY_LENGTH(every));
        for (size_t i = 0; i < ARRAY_LENGTH(every); i++) {
                const MhaParameter *parameter = mha_find(every[i]);
                CLEANUP(mem_free) char *keys = mha_keys(every[i]);
                if (!parameter)
                        fail_msg("%s is not in the table", every[i]);
                if (!keys && !parameter->remark)
                        fail_msg("neither a key stands for %s, nor is it said why none is needed", every[i]);
        }
        CLEANUP(mem_free) char *keys = mha_keys("ssh_port");
        assert_string_equal(keys, "servers: ssh_port, ssh.port");
        assert_string_equal(mha_nearest("candidat_master"), "candidate_master");
        assert_null(mha_nearest("nothing_like_it_at_all"));
}

static void test_guide(void **state)
{
        CLEANUP(mem_free) char *text = read_data("app1.cnf");
        __attribute__((cleanup(import_done_cleanup))) Import import = import_text("/etc/masterha/app1.cnf", text, NULL);
        CLEANUP(config_free) Config *config = load(&import);
        const ClusterConfig *cluster = &config->clusters[0];
        assert_string_equal(cluster->name, "app1");
        assert_int_equal(cluster->n_servers, 3);
        assert_string_equal(cluster->servers[0].name, "server1");
        assert_string_equal(cluster->servers[0].host, "172.30.105.104");
        assert_string_equal(cluster->servers[0].binlog_directory, "/mysqlbinlogs");
        assert_int_equal(cluster->servers[1].promotion, PROMOTION_PREFER);
        assert_int_equal(cluster->servers[2].promotion, PROMOTION_NEVER);
        assert_int_equal(cluster->n_observers, 2);
        assert_string_equal(cluster->sql.user, "mhauser");
        assert_string_equal(cluster->replication.user, "repluser");
        assert_int_equal(cluster->detection.ping_interval, USEC_SEC);
        assert_true(cluster->failover.max_unapplied == CONFIG_NO_LIMIT);
        assert_false(cluster->ssh.strict_host_keys);
        assert_int_equal(import.n_secrets, 2);
        assert_string_equal(import.secrets[0].path, "/etc/mhad/app1.sql.password");
        assert_string_equal(import.secrets[0].text, "wangzongyu\n");
        assert_true(import.secrets[0].secret);
        assert_string_equal(import.secrets[1].path, "/etc/mhad/app1.replication.password");
        expect_no_secret(&import, "wangzongyu");
        expect_outcome(&import, "/etc/masterha/app1.cnf:11", "shutdown_script", false, "empty");
        assert_string_equal(cluster->hooks.mha.master_ip_failover_script, "/usr/bin/master_ip_failover");
        assert_string_equal(cluster->hooks.mha.master_ip_online_change_script, "/usr/bin/master_ip_online_change");
        assert_null(cluster->hooks.mha.shutdown_script);
        assert_null(cluster->hooks.mha.secondary_check_script); /* its hosts are observers */
}

static void test_every(void **state)
{
        CLEANUP(mem_free) char *text = read_data("every.cnf");
        CLEANUP(mem_free) char *global = read_data("default.cnf");
        __attribute__((cleanup(import_done_cleanup))) Import import = import_text("every.cnf", text, global);
        CLEANUP(config_free) Config *config = load(&import);
        const ClusterConfig *cluster = &config->clusters[0];
        for (size_t i = 0; i < ARRAY_LENGTH(every); i++) {
                bool said = false;
                JSON_FOREACH(outcome, import.outcomes)
                said = said ||
                       (json_get_string(outcome, "place") && text_equal(json_get_string(outcome, "name"), every[i]));
                if (!said)
                        fail_msg("nothing is said of %s", every[i]);
        }
        /* In the order of their numbers. */
        assert_int_equal(cluster->n_servers, 3);
        const Server *first = &cluster->servers[0], *second = &cluster->servers[1], *tenth = &cluster->servers[2];
        assert_string_equal(first->name, "server1");
        assert_string_equal(first->host, "db1.example.com");
        assert_string_equal(first->ssh_host, "db1.example.com");
        assert_int_equal(first->port, 3307);
        assert_null(first->binlog_directory);
        assert_int_equal(first->promotion, PROMOTION_ALLOW);
        assert_string_equal(second->name, "second");
        assert_string_equal(second->host, "10.0.0.2");
        assert_string_equal(second->mha_hostname, "db2.example.com"); /* scripts are told the same as before */
        assert_null(first->mha_hostname);
        assert_string_equal(second->ssh_host, "db2-mgmt.example.com");
        assert_string_equal(second->binlog_directory, "/data/binlog");
        assert_int_equal(second->promotion, PROMOTION_PREFER);
        assert_string_equal(tenth->name, "server10");
        assert_int_equal(tenth->port, 3308);
        assert_string_equal(tenth->ssh_user, "backup");
        assert_int_equal(tenth->promotion, PROMOTION_NEVER);
        assert_int_equal(cluster->n_observers, 1);
        assert_string_equal(cluster->observers[0].ssh_host, "far1");
        assert_string_equal(cluster->observers[0].ssh_user, "probe");
        assert_int_equal(cluster->observers[0].ssh_port, 2022);
        assert_string_equal(cluster->sql.user, "mha_manager");
        assert_string_equal(cluster->ssh.user, "mysql");
        assert_int_equal(cluster->ssh.port, 2222);
        assert_string_equal(cluster->ssh.identity_file, "/etc/mha/id_rsa");
        assert_string_equal(cluster->ssh.known_hosts_file, "/etc/mha/known_hosts");
        assert_true(cluster->ssh.strict_host_keys);
        assert_int_equal(cluster->ssh.connect_timeout, 4 * USEC_SEC);
        assert_int_equal(cluster->detection.ping, DETECTION_PING_INSERT);
        assert_int_equal(cluster->detection.ping_interval, 2 * USEC_SEC);
        assert_int_equal(cluster->failover.max_unapplied, 96 << 20);
        assert_int_equal(cluster->failover.on_unreachable_replica, FAILOVER_UNREACHABLE_CONTINUE);
        assert_int_equal(config->daemon.log_level, LOG_LEVEL_DEBUG);
        assert_string_equal(import.secrets[0].text, "p@ss \"w\\ord\"\n");
        assert_string_equal(import.secrets[1].text, "it's = secret\n");
        expect_no_secret(&import, "secret\"");
        expect_no_secret(&import, "p@ss");
        expect_outcome(&import, "every.cnf:10", "ssh_options", true, "Compression=yes");
        expect_outcome(&import, "every.cnf:35", "candidate_master", true, "default section");
        expect_outcome(&import, "every.cnf:40", "candidate_master", true, "no_master");
        expect_outcome(&import, "every.cnf:45", "hostname", false, "servers: mha_hostname: db2.example.com");
        expect_outcome(&import, "every.cnf:51", "ignore_fail", false, "continue");
        expect_outcome(&import, "every.cnf:58", "ignore_fail", true, "whole cluster");
        expect_outcome(&import, "every.cnf:59", "ping_interval", false, "line 60 says it again");
        expect_outcome(&import, "every.cnf:63", "hostname", true, "binlog servers");
        expect_outcome(&import, "default.cnf:4", "password", false, "nearer");
        expect_outcome(&import, "every.cnf:28", "master_ip_failover_script", true, "start that fails is reported");
        expect_outcome(&import, "every.cnf:27", "secondary_check_script", false, "does not forbid a failover");
        expect_outcome(&import, "every.cnf:27", "secondary_check_script", false, "db2.example.com is server2");
}

static void test_errors(void **state)
{
        static const char text[] = "port=1\n"
                                   "[server default]\n"
                                   "password=verysecret\n"
                                   "passwrod=verysecret\n"
                                   "no equals sign\n"
                                   "ping_interval=soon\n"
                                   "ping_type=GUESS\n"
                                   "[servers]\n"
                                   "[server]\n"
                                   "[server1]\n"
                                   "port=99999\n";
        static const char *const expected[] = { "app.cnf:1: a parameter before the first [section]",
                                                "app.cnf:5: neither a [section] nor name=value",
                                                "app.cnf:4: MHA knows no parameter passwrod (did you mean password?)",
                                                "app.cnf:9: MHA knows no section [server]" };
        const ImportRequest request = { .file = "app.cnf", .text = text, .directory = "/etc/mhad" };
        CLEANUP(json_free) Json *errors = json_array();
        Import import = { 0 };
        assert_int_equal(import_read(&request, &import, errors), -EINVAL);
        CLEANUP(mem_free) char *all = json_print(errors);
        assert_null(strstr(all, "verysecret"));
        assert_int_equal(json_length(errors), ARRAY_LENGTH(expected));
        for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
                assert_true(text_starts_with(json_string(json_at(errors, i)), expected[i]));
}

static void test_value_errors(void **state)
{
        static const char text[] = "[server default]\n"
                                   "ping_interval=soon\n"
                                   "ping_type=GUESS\n"
                                   "ssh_connection_timeout=0\n"
                                   "[server1]\n"
                                   "port=99999\n";
        static const char *const places[] = { "app.cnf:5: [server1] has no hostname", "app.cnf:6: port must be",
                                              "app.cnf:4: ssh_connection_timeout", "app.cnf:2: ping_interval must be",
                                              "app.cnf:3: ping_type must be" };
        const ImportRequest request = { .file = "app.cnf", .text = text, .directory = "/etc/mhad" };
        CLEANUP(json_free) Json *errors = json_array();
        Import import = { 0 };
        assert_int_equal(import_read(&request, &import, errors), -EINVAL);
        assert_int_equal(json_length(errors), ARRAY_LENGTH(places));
        for (size_t i = 0; i < ARRAY_LENGTH(places); i++)
                assert_true(text_starts_with(json_string(json_at(errors, i)), places[i]));
}

/* What MHA would find out by itself and we must be told. */
static void test_missing(void **state)
{
        __attribute__((cleanup(import_done_cleanup))) Import import =
                import_text("/x/My App.v2.cnf", "[server1]\nhostname=::1\n", NULL);
        assert_string_equal(import.cluster, "my-app.v2");
        assert_int_equal(import.n_secrets, 0);
        assert_non_null(strstr(import.yaml.text, "host: \"::1\"\n"));
        assert_non_null(strstr(import.yaml.text, "user: root\n"));
        expect_outcome(&import, NULL, "repl_user", true, "replication.user");
        CLEANUP(json_free) Json *errors = json_array();
        const ConfigEdit edits[] = { { import.yaml.path, import.yaml.text }, { MAIN, import.main } };
        Config *config = NULL;
        assert_int_equal(config_load_edited(MAIN, edits, 2, &config, errors, NULL), -EINVAL);
        assert_int_equal(json_length(errors), 1);
        assert_non_null(strstr(json_string(json_at(errors, 0)), "replication.user is missing"));
}

/* What MHA allows and the table of keys does not is no reason to give up; what cannot be taken over is told. */
static void test_limits(void **state)
{
        static const char text[] = "[server default]\n"
                                   "repl_user=repl\n"
                                   "ping_interval=120\n"
                                   "ssh_connection_timeout=61\n"
                                   "secondary_check_script=masterha_secondary_check -s far1 --timeout=9\n"
                                   "[server1]\n"
                                   "hostname=a\n"
                                   "node_label=server2\n"
                                   "[server2]\n"
                                   "hostname=b\n"
                                   "node_label=second\n"
                                   "[server3]\n"
                                   "hostname=c\n"
                                   "node_label=second\n";
        __attribute__((cleanup(import_done_cleanup))) Import import = import_text("app.cnf", text, NULL);
        CLEANUP(config_free) Config *config = load(&import);
        const ClusterConfig *cluster = &config->clusters[0];
        assert_int_equal(cluster->detection.ping_interval, 60 * USEC_SEC);
        assert_int_equal(cluster->ssh.connect_timeout, 60 * USEC_SEC);
        assert_int_equal(cluster->detection.confirm_timeout, 9 * USEC_SEC);
        assert_string_equal(cluster->servers[0].name, "server1");
        assert_string_equal(cluster->servers[1].name, "second");
        assert_string_equal(cluster->servers[2].name, "server3");
        expect_outcome(&import, "app.cnf:3", "ping_interval", true, "detection.ping_interval: 60s, which is the most");
        expect_outcome(&import, "app.cnf:4", "ssh_connection_timeout", true, "ssh.connect_timeout: 60s");
        expect_outcome(&import, "app.cnf:5", "secondary_check_script", false, "detection.confirm_timeout: 9s");
        expect_outcome(&import, "app.cnf:5", "secondary_check_script", false, "far1 becomes an observer");
        expect_outcome(&import, "app.cnf:8", "node_label", true, "another server is called that");
        expect_outcome(&import, "app.cnf:14", "node_label", true, "another server is called that");
}

static void test_secondary_timeout(void **state)
{
        static const struct {
                const char *option;
                bool look;
                const char *says;
        } cases[] = { { "--timeout 90", true, "detection.confirm_timeout: 60s, which is the most" },
                      { "--timeout=soon", true, "not taken over: --timeout" },
                      { "--timeout=5", false, "the replicas are asked anyway; detection.confirm_timeout: 5s" } };
        for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
                CLEANUP(mem_free)
                char *text = text_format("[server1]\nhostname=a\nsecondary_check_script=masterha_secondary_check %s\n",
                                         cases[i].option);
                __attribute__((cleanup(import_done_cleanup))) Import import = import_text("app.cnf", text, NULL);
                expect_outcome(&import, "app.cnf:3", "secondary_check_script", cases[i].look, cases[i].says);
        }
}

static void test_nothing(void **state)
{
        const ImportRequest request = { .file = "app.cnf", .text = "# only a comment", .directory = "/etc/mhad" };
        CLEANUP(json_free) Json *errors = json_array();
        Import import = { 0 };
        assert_int_equal(import_read(&request, &import, errors), -EINVAL);
        assert_string_equal(json_string(json_at(errors, 0)), "app.cnf: there is no [serverN]");
}

int main(int argc, char *argv[])
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_guide),
                cmocka_unit_test(test_every),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_value_errors),
                cmocka_unit_test(test_missing),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_secondary_timeout),
        };
        data = argc > 1 ? argv[1] : ".";
        return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
