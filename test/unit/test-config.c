/* The configuration: what is read, what is inherited, every kind of error with its place, secrets, reload. */
#include <errno.h>
#include <ftw.h>
#include <pwd.h>
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

static char folder[] = "/tmp/mhad-test-config-XXXXXX";

/* --- a configuration in a folder of its own ------------------------------------------------------------------------- */

static char *in_folder(const char *name)
{
        return text_format("%s/%s", folder, name);
}

/* '@' in text stands for the folder. */
static void put_mode(const char *name, const char *text, mode_t mode)
{
        CLEANUP(mem_free) char *path = in_folder(name);
        Text bytes = { 0 };
        for (const char *c = text; *c; c++)
                if (*c == '@')
                        text_add(&bytes, folder);
                else
                        text_add_n(&bytes, c, 1);
        assert_int_equal(file_replace(path, bytes.data ? bytes.data : "", bytes.length, mode, NULL), 0);
        assert_int_equal(chmod(path, mode), 0);
        text_done(&bytes);
}

static void put(const char *name, const char *text)
{
        put_mode(name, text, 0644);
}

static void drop(const char *name)
{
        CLEANUP(mem_free) char *path = in_folder(name);
        unlink(path);
}

static void make_folder(const char *name)
{
        CLEANUP(mem_free) char *path = in_folder(name);
        assert_int_equal(mkdir(path, 0700), 0);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
        return remove(path);
}

static int set_up(void **state)
{
        strcpy(folder + strlen(folder) - 6, "XXXXXX");
        assert_non_null(mkdtemp(folder));
        make_folder("clusters.d");
        put("mhad.yaml", "");
        put("known_hosts", "");
        put_mode("secret", "s3cret\n", 0600);
        put_mode("key", "", 0600);
        return 0;
}

static int tear_down(void **state)
{
        return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* One line a message, without the folder. */
static char *lines_of(const Json *messages)
{
        Text out = { 0 };
        JSON_FOREACH(message, messages)
        {
                const char *line = json_string(message);
                for (const char *at; (at = strstr(line, folder)); line = at + strlen(folder) + 1)
                        text_add_n(&out, line, (size_t) (at - line));
                text_addf(&out, "%s\n", line);
        }
        return text_take(&out);
}

static int load_with(bool offline, Config **ret, char **ret_errors, char **ret_warnings)
{
        CLEANUP(mem_free) char *path = in_folder("mhad.yaml");
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(json_free) Json *warnings = json_array();
        int r = (offline ? config_load_offline : config_load)(path, ret, errors, warnings);
        *ret_errors = lines_of(errors);
        *ret_warnings = lines_of(warnings);
        return r;
}

static Config *load(void)
{
        Config *config = NULL;
        CLEANUP(mem_free) char *errors = NULL;
        CLEANUP(mem_free) char *warnings = NULL;
        int r = load_with(false, &config, &errors, &warnings);
        assert_string_equal(errors, "");
        assert_int_equal(r, 0);
        return config;
}

static void assert_errors_with(int expected_r, const char *expected)
{
        Config *config = NULL;
        CLEANUP(mem_free) char *errors = NULL;
        CLEANUP(mem_free) char *warnings = NULL;
        int r = load_with(false, &config, &errors, &warnings);
        assert_string_equal(errors, expected);
        assert_null(strstr(errors, "s3cret"));
        assert_int_equal(r, expected_r);
        assert_null(config);
}

static void assert_errors(const char *expected)
{
        assert_errors_with(-EINVAL, expected);
}

/* One of them may be gone at the next attempt. */
static void assert_errors_for_now(const char *expected)
{
        assert_errors_with(-EAGAIN, expected);
}

static void assert_warnings(const char *expected)
{
        Config *config = NULL;
        CLEANUP(mem_free) char *errors = NULL;
        CLEANUP(mem_free) char *warnings = NULL;
        assert_int_equal(load_with(false, &config, &errors, &warnings), 0);
        config_free(config);
        assert_string_equal(warnings, expected);
}

/* A cluster without any fault; what is appended begins in line 12. */
#define GOOD_NAMED(name, net)                                                                                          \
        "cluster: " name "\n"                                                                                          \
        "servers:\n"                                                                                                   \
        "  - name: db1\n"                                                                                              \
        "    host: " net ".1\n"                                                                                        \
        "  - name: db2\n"                                                                                              \
        "    host: " net ".2\n"                                                                                        \
        "sql: {user: mhad, password_file: @/secret}\n"                                                                 \
        "replication: {user: repl, password_file: @/secret}\n"                                                         \
        "ssh:\n"                                                                                                       \
        "  {known_hosts_file: @/known_hosts, identity_file: @/key}\n"                                                  \
        "# end\n"
#define GOOD GOOD_NAMED("app1", "10.0.0")

static void put_after_good(const char *more)
{
        CLEANUP(mem_free) char *text = text_format(GOOD "%s", more);
        put("clusters.d/a.yaml", text);
}

/* --- what is read --------------------------------------------------------------------------------------------------- */

static void test_defaults(void **state)
{
        put_after_good("");
        CLEANUP(config_free) Config *config = load();
        assert_string_equal(config->daemon.state_directory, "/var/lib/mhad");
        assert_string_equal(config->daemon.socket, "/run/mhad/control");
        assert_null(config->daemon.socket_group);
        assert_int_equal(config->daemon.log_level, LOG_LEVEL_INFO);
        assert_int_equal(config->n_clusters, 1);

        const ClusterConfig *c = &config->clusters[0];
        assert_string_equal(c->name, "app1");
        assert_int_equal(c->n_servers, 2);
        assert_int_equal(c->n_observers, 0);
        assert_string_equal(c->servers[1].name, "db2");
        assert_string_equal(c->servers[1].host, "10.0.0.2");
        assert_string_equal(c->servers[1].ssh_host, "10.0.0.2");
        assert_int_equal(c->servers[1].port, 3306);
        assert_int_equal(c->servers[1].ssh_port, 22);
        assert_string_equal(c->servers[1].ssh_user, "root");
        assert_null(c->servers[1].binlog_directory);
        assert_int_equal(c->servers[1].promotion, PROMOTION_ALLOW);
        assert_false(c->servers[1].observer);
        assert_string_equal(c->sql.password, "s3cret");
        assert_int_equal(c->sql.tls.mode, SQL_TLS_OFF);
        assert_int_equal(c->replication.tls, REPLICATION_TLS_KEEP);
        assert_true(c->replication.heartbeat == USEC_SEC);
        assert_true(c->ssh.enabled && c->ssh.strict_host_keys && c->ssh.sudo == SUDO_NOTHING);
        assert_true(c->ssh.connect_timeout == 2 * USEC_SEC);
        assert_int_equal(c->detection.ping, DETECTION_PING_SELECT);
        assert_true(c->detection.ping_interval == USEC_SEC);
        assert_true(c->detection.restart_grace == 700 * USEC_MSEC);
        assert_true(c->detection.heartbeat_stale == 3 * USEC_SEC);
        assert_int_equal(c->detection.on_stalled, DETECTION_ACTION_REPORT);
        assert_string_equal(c->detection.ping_table, "infra.chk_mhad");
        assert_null(c->address.ip);
        assert_int_equal(c->fence.policy, FENCE_POLICY_ATTEMPTED);
        assert_true(c->fence.stop_process);
        assert_null(c->hooks.start);
        assert_true(c->hooks.timeout == 30 * USEC_SEC);
        assert_int_equal(c->failover.mode, FAILOVER_MODE_AUTOMATIC);
        assert_true(c->failover.flap_window == 8 * USEC_HOUR);
        assert_true(c->failover.max_unapplied == CONFIG_NO_LIMIT);
        assert_int_equal(c->failover.storm_limit, 0);
        assert_int_equal(c->failover.keep_runs, 50);
        assert_true(c->failover.set_read_only);
}

static void test_everything(void **state)
{
        put_mode("key", "k", 0600);
        put("ca", "c");
        put("mhad.yaml",
            "daemon:\n  state_directory: /srv/mhad\n  socket: /tmp/s\n  socket_group: root\n  log_level: debug\n");
        put("clusters.d/a.yaml",
            "cluster: a.b-c_1\n"
            "servers:\n"
            "  - {name: DB1, host: db1.example.com, port: 3307, ssh_host: fe80::1%eth0, ssh_port: 2222, ssh_user: "
            "adm,\n"
            "     binlog_directory: /var/log/mysql, promotion: prefer}\n"
            "  - {name: db2, host: '::1', promotion: never}\n"
            "observers: [{name: gate, host: gate.example.com}, {name: web, host: web, ssh_port: 23, ssh_user: w}]\n"
            "sql:\n"
            "  user: mhad\n"
            "  password_command: [/bin/echo, pw]\n"
            "  tls: {mode: verify, ca_file: @/ca, certificate_file: @/ca, key_file: @/key}\n"
            "replication: {user: 42, password_file: @/secret, tls: on, heartbeat: 500ms, connect_retry: 1m}\n"
            "ssh: {user: ops, port: 24, identity_file: @/key, known_hosts_file: @/known_hosts, sudo: commands}\n"
            "detection: {ping: insert, ping_interval: 100ms, restart_grace: 0, on_stalled: failover, ping_table: a.b}\n"
            "address: {ip: 10.0.0.100/24, device: eth0, label: 'eth0:v'}\n"
            "fence: {policy: required, command: systemctl stop mariadb, timeout: 1m30s}\n"
            "hooks: {prepare: [/bin/true], start: [/bin/echo, '', two words], timeout: 1s}\n"
            "failover: {mode: monitor, flap_window: 0s, max_unapplied: 64MiB, on_unreachable_replica: abort,\n"
            "  storm_limit: 3, set_read_only: false, keep_runs: 7}\n");
        CLEANUP(config_free) Config *config = load();
        assert_string_equal(config->daemon.state_directory, "/srv/mhad");
        assert_string_equal(config->daemon.socket_group, "root");
        assert_int_equal(config->daemon.log_level, LOG_LEVEL_DEBUG);
        const ClusterConfig *c = config_find_cluster(config, "a.b-c_1");
        assert_non_null(c);
        const Server *db1 = cluster_config_find_server(c, "DB1");
        assert_int_equal(db1->port, 3307);
        assert_string_equal(db1->ssh_host, "fe80::1%eth0");
        assert_int_equal(db1->ssh_port, 2222);
        assert_string_equal(db1->ssh_user, "adm");
        assert_string_equal(db1->binlog_directory, "/var/log/mysql");
        assert_int_equal(db1->promotion, PROMOTION_PREFER);
        assert_int_equal(c->servers[1].promotion, PROMOTION_NEVER);
        assert_int_equal(c->servers[1].ssh_port, 24);
        assert_string_equal(c->servers[1].ssh_user, "ops");
        assert_int_equal(c->n_observers, 2);
        assert_true(c->observers[0].observer);
        assert_string_equal(c->observers[0].host, "gate.example.com");
        assert_string_equal(c->observers[0].ssh_host, "gate.example.com");
        assert_string_equal(c->observers[0].ssh_user, "ops");
        assert_int_equal(c->observers[1].ssh_port, 23);
        assert_string_equal(c->sql.password, "pw");
        assert_int_equal(c->sql.tls.mode, SQL_TLS_VERIFY);
        assert_string_equal(c->replication.user, "42");
        assert_int_equal(c->replication.tls, REPLICATION_TLS_ON);
        assert_true(c->replication.connect_retry == USEC_MINUTE);
        assert_int_equal(c->ssh.sudo, SUDO_COMMANDS);
        assert_int_equal(c->detection.ping, DETECTION_PING_INSERT);
        assert_true(c->detection.restart_grace == 0);
        assert_int_equal(c->detection.on_stalled, DETECTION_ACTION_FAILOVER);
        assert_string_equal(c->address.label, "eth0:v");
        assert_int_equal(c->fence.policy, FENCE_POLICY_REQUIRED);
        assert_true(c->fence.timeout == 90 * USEC_SEC);
        assert_string_equal(c->hooks.start[0], "/bin/echo");
        assert_string_equal(c->hooks.start[1], "");
        assert_string_equal(c->hooks.start[2], "two words");
        assert_null(c->hooks.start[3]);
        assert_int_equal(c->failover.mode, FAILOVER_MODE_MONITOR);
        assert_true(c->failover.max_unapplied == 64 * 1024 * 1024);
        assert_int_equal(c->failover.on_unreachable_replica, FAILOVER_UNREACHABLE_ABORT);
        assert_int_equal(c->failover.keep_runs, 7);
}

static void test_files(void **state)
{
        put("clusters.d/b.yaml", GOOD_NAMED("one", "10.0.1"));
        put("clusters.d/a.yaml", GOOD_NAMED("two", "10.0.2"));
        put("clusters.d/.c.yaml", "no: yaml: at all");
        put("clusters.d/d.yaml.disabled", "no: yaml: at all");
        put("clusters.d/e.yml", "no: yaml: at all");
        CLEANUP(config_free) Config *config = load();
        assert_int_equal(config->n_clusters, 2);
        assert_string_equal(config->clusters[0].name, "two");
        assert_string_equal(config->clusters[1].name, "one");
        CLEANUP(mem_free) char *file = in_folder("clusters.d/a.yaml");
        assert_string_equal(config->clusters[0].file, file);
        assert_null(config_find_cluster(config, "three"));
        assert_null(config_find_cluster(config, NULL));
}

static void test_inheritance(void **state)
{
        put("mhad.yaml", "defaults:\n"
                         "  sql: {user: inherited, password_file: @/secret, tls: {mode: required}}\n"
                         "  replication: {user: repl, password_command: [/bin/echo, first]}\n"
                         "  ssh: {known_hosts_file: @/known_hosts, identity_file: @/key, port: 2200}\n"
                         "  detection: {ping_interval: 2s, ping_timeout: 3s}\n"
                         "  hooks: {start: [/bin/true, x], stop: [/bin/false]}\n"
                         "  address: {device: eth7}\n");
        put("clusters.d/a.yaml", "cluster: a\nservers: [{name: x, host: h1}, {name: y, host: h2}]\n");
        put("clusters.d/b.yaml", "cluster: b\nservers: [{name: x, host: h3}, {name: y, host: h4}]\n"
                                 "sql: {user: own, tls: null}\n"
                                 "replication: {password_command: [/bin/echo, second]}\n"
                                 "detection: {ping_interval: 5s, ping_timeout: null}\n"
                                 "hooks: {start: ~, report: [/bin/true]}\n"
                                 "address: {ip: 10.9.9.9/32}\n");
        CLEANUP(config_free) Config *config = load();
        const ClusterConfig *a = config_find_cluster(config, "a"), *b = config_find_cluster(config, "b");
        assert_string_equal(a->sql.user, "inherited");
        assert_string_equal(a->sql.password, "s3cret");
        assert_int_equal(a->sql.tls.mode, SQL_TLS_REQUIRED);
        assert_string_equal(a->replication.password, "first");
        assert_int_equal(a->servers[0].ssh_port, 2200);
        assert_true(a->detection.ping_interval == 2 * USEC_SEC);
        assert_string_equal(a->hooks.start[1], "x");
        assert_null(a->address.ip);

        assert_string_equal(b->sql.user, "own");
        assert_string_equal(b->sql.password, "s3cret");
        assert_int_equal(b->sql.tls.mode, SQL_TLS_OFF);
        assert_string_equal(b->replication.password, "second");
        assert_true(b->detection.ping_interval == 5 * USEC_SEC);
        assert_true(b->detection.ping_timeout == USEC_SEC);
        assert_null(b->hooks.start);
        assert_string_equal(b->hooks.stop[0], "/bin/false");
        assert_string_equal(b->hooks.report[0], "/bin/true");
        assert_string_equal(b->address.device, "eth7");
}

/* --- what is refused ------------------------------------------------------------------------------------------------ */

static const struct {
        const char *more, *expected;
} faults[] = {
        /* shape */
        { "detecton: {}\n", "clusters.d/a.yaml:12:1: unknown key \"detecton\" (did you mean \"detection\"?)\n" },
        { "detection:\n  ping_intervall: 1s\n",
          "clusters.d/a.yaml:13:3: unknown key \"ping_intervall\" (did you mean \"ping_interval\"?)\n" },
        { "quux: 1\n", "clusters.d/a.yaml:12:1: unknown key \"quux\"\n" },
        { "cluster: b\n", "clusters.d/a.yaml:12:1: cluster is given twice, first in line 1\n" },
        { "detection: {ping: select, ping: insert}\n",
          "clusters.d/a.yaml:12:27: detection.ping is given twice, first in line 12\n" },
        { "detection: 3\n", "clusters.d/a.yaml:12:12: detection must be a map of keys and values\n" },
        { "detection: {ping_interval: [1s]}\n",
          "clusters.d/a.yaml:12:28: detection.ping_interval must be one value, not a list or a map\n" },
        { "detection: {ping_interval: }\n", "clusters.d/a.yaml:12:28: detection.ping_interval has no value\n" },
        { "fence: {command: \"a\\0b\"}\n", "clusters.d/a.yaml:12:18: fence.command must not contain NUL bytes\n" },
        { "fence: {command: \"a\\nb\"}\n",
          "clusters.d/a.yaml:12:18: fence.command: \"a?b\" must not contain control characters\n" },
        { "fence: {command: ''}\n", "clusters.d/a.yaml:12:18: fence.command: \"\" must not be empty\n" },
        { "observers: {a: b}\n", "clusters.d/a.yaml:12:12: observers must be a list\n" },
        { "observers: [a]\n", "clusters.d/a.yaml:12:13: must be a map with name, host and so on\n" },
        { "observers: [{name: db1, host: x}]\n", "clusters.d/a.yaml:12:20: the name \"db1\" is used twice\n" },
        { "observers: [{name: o, host: x, promotion: 1}]\n", "clusters.d/a.yaml:12:32: unknown key \"promotion\"\n" },
        { "observers: [{host: x}]\n", "clusters.d/a.yaml:12:13: name is missing\n" },
        { "a: *b\n", "clusters.d/a.yaml:12:4: aliases (*name) are not allowed\n" },
        { "a: 'b\n", "clusters.d/a.yaml:13:1: not valid YAML: found unexpected end of stream while scanning a quoted "
                     "scalar\n" },
        /* values */
        { "detection: {ping_interval: 3}\n",
          "clusters.d/a.yaml:12:28: detection.ping_interval: \"3\" must be a duration with its unit, such as 500ms or "
          "3s\n" },
        { "detection: {ping_interval: 99ms}\n",
          "clusters.d/a.yaml:12:28: detection.ping_interval: \"99ms\" must be from 100ms to 1m\n" },
        { "detection: {ping_interval: 61s}\n",
          "clusters.d/a.yaml:12:28: detection.ping_interval: \"61s\" must be from 100ms to 1m\n" },
        { "detection: {ping_interval: 100500us}\n",
          "clusters.d/a.yaml:12:28: detection.ping_interval: \"100500us\" must be whole milliseconds\n" },
        { "detection: {ping: telnet}\n",
          "clusters.d/a.yaml:12:19: detection.ping: \"telnet\" must be one of select | connect | insert\n" },
        { "detection: {ping_table: t}\n",
          "clusters.d/a.yaml:12:25: detection.ping_table: \"t\" must be schema.table, of letters, digits, _ and $\n" },
        { "detection: {ping_table: 'a.b.c'}\n",
          "clusters.d/a.yaml:12:25: detection.ping_table: \"a.b.c\" must be schema.table, of letters, digits, _ and "
          "$\n" },
        { "failover: {set_read_only: maybe}\n",
          "clusters.d/a.yaml:12:27: failover.set_read_only: \"maybe\" must be true or false\n" },
        { "failover: {keep_runs: 0}\n",
          "clusters.d/a.yaml:12:23: failover.keep_runs: \"0\" must be from 1 to 10000\n" },
        { "failover: {keep_runs: -1}\n",
          "clusters.d/a.yaml:12:23: failover.keep_runs: \"-1\" must be a whole number\n" },
        { "failover: {keep_runs: 99999999999999999999}\n",
          "clusters.d/a.yaml:12:23: failover.keep_runs: \"99999999999999999999\" must be from 1 to 10000\n" },
        { "failover: {max_unapplied: 64}\n",
          "clusters.d/a.yaml:12:27: failover.max_unapplied: \"64\" must be a size with its unit, such as 64MiB, or "
          "none\n" },
        { "failover: {max_unapplied: 9999999TiB}\n",
          "clusters.d/a.yaml:12:27: failover.max_unapplied: \"9999999TiB\" must be a size with its unit, such as "
          "64MiB, or none\n" },
        { "replication: {}\n", "clusters.d/a.yaml:12:1: replication is given twice, first in line 8\n" },
        { "address: {ip: 10.0.0.100, device: eth0}\n",
          "clusters.d/a.yaml:12:15: address.ip: \"10.0.0.100\" must be an address with the length of its network, such "
          "as 10.0.0.100/24\n" },
        { "address: {ip: 10.0.0.100/33, device: eth0}\n",
          "clusters.d/a.yaml:12:15: address.ip: \"10.0.0.100/33\" must be an address with the length of its network, "
          "such as 10.0.0.100/24\n" },
        { "address: {ip: 10.0.0.300/24, device: eth0}\n",
          "clusters.d/a.yaml:12:15: address.ip: \"10.0.0.300/24\" must be an address with the length of its network, "
          "such as 10.0.0.100/24\n" },
        { "address: {ip: 10.0.0.100/24}\n", "clusters.d/a.yaml:12:1: address.device is missing\n" },
        { "address: {ip: 10.0.0.100/24, device: 'eth0; reboot'}\n",
          "clusters.d/a.yaml:12:38: address.device: \"eth0; reboot\" is no name of a network device (at most 15 "
          "characters)\n" },
        { "address: {ip: fd00::1/64, device: eth0, label: 'eth0:x'}\n",
          "clusters.d/a.yaml:12:48: address.label: an IPv6 address cannot have one\n" },
        { "mail: {to: 'root,'}\n", "clusters.d/a.yaml:12:12: mail.to: must be addresses, separated by commas\n" },
        { "mail: {to: '-oQ/tmp'}\n", "clusters.d/a.yaml:12:12: mail.to: must be addresses, separated by commas\n" },
        { "mail: {to: 'root dba'}\n", "clusters.d/a.yaml:12:12: mail.to: must be addresses, separated by commas\n" },
        { "mail: {to: 'root , dba', from: 'me <root>'}\n", "clusters.d/a.yaml:12:32: mail.from: must be an address\n" },
        { "hooks: {start: /bin/true}\n",
          "clusters.d/a.yaml:12:16: hooks.start must be a list of a program and its arguments\n" },
        { "hooks: {start: []}\n",
          "clusters.d/a.yaml:12:16: hooks.start must be a list of a program and its arguments\n" },
        { "hooks: {start: [true]}\n", "clusters.d/a.yaml:12:17: hooks.start: the program must be an absolute path\n" },
        { "hooks: {start: [/bin/true, [a]]}\n", "clusters.d/a.yaml:12:28: hooks.start must be a list of words\n" },
        { "hooks: {start: [/nonexistent]}\n",
          "clusters.d/a.yaml:12:17: hooks.start: cannot run /nonexistent: No such file or directory\n" },
};

static void test_faults(void **state)
{
        for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
                put_after_good(faults[i].more);
                assert_errors(faults[i].expected);
        }
}

static const struct {
        const char *text, *expected;
} whole_files[] = {
        { "", "clusters.d/a.yaml:1:1: cluster is missing\n"
              "clusters.d/a.yaml:1:1: servers is missing\n"
              "clusters.d/a.yaml:1:1: sql.user is missing\n"
              "clusters.d/a.yaml:1:1: replication.user is missing\n" },
        { "- a\n", "clusters.d/a.yaml:1:1: must be a map of keys and values\n"
                   "clusters.d/a.yaml:1:1: cluster is missing\n"
                   "clusters.d/a.yaml:1:1: servers is missing\n"
                   "clusters.d/a.yaml:1:1: sql.user is missing\n"
                   "clusters.d/a.yaml:1:1: replication.user is missing\n" },
        /* all errors are listed, each where it is */
        { "cluster: App 1\n"
          "servers:\n"
          "  - {name: db1, host: a}\n"
          "  - {name: db1, host: b, port: 70000}\n"
          "  - {name: -db, host: a}\n"
          "  - {host: 'a b', promotion: yes}\n"
          "sql: {password_file: secret}\n"
          "replication: {user: repl, connect_retry: 1500ms}\n",
          "clusters.d/a.yaml:1:10: cluster: \"App 1\" is no name of a cluster: lower-case letters, digits and, after "
          "the "
          "first character, _ . -\n"
          "clusters.d/a.yaml:4:32: port: \"70000\" must be from 1 to 65535\n"
          "clusters.d/a.yaml:4:12: the name \"db1\" is used twice\n"
          "clusters.d/a.yaml:5:12: name: \"-db\" is no name of a server: letters, digits and, after the first "
          "character, "
          "_ . -\n"
          "clusters.d/a.yaml:6:12: host: \"a b\" is neither a host name nor an address\n"
          "clusters.d/a.yaml:6:30: promotion: \"yes\" must be one of allow | prefer | never\n"
          "clusters.d/a.yaml:6:5: name is missing\n"
          "clusters.d/a.yaml:7:22: sql.password_file: must be an absolute path\n"
          "clusters.d/a.yaml:7:1: sql.user is missing\n"
          "clusters.d/a.yaml:5:23: a:3306 is the server \"db1\" already\n"
          "clusters.d/a.yaml:8:42: replication.connect_retry must be whole seconds\n" },
        { "cluster: a\nservers: []\nsql: {user: m}\nreplication: {user: r}\n",
          "clusters.d/a.yaml:2:1: servers: there must be at least one\n" },
        { "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m, tls: {mode: verify}}\nreplication: {user: r}\n",
          "clusters.d/a.yaml:3:28: sql.tls.mode: \"verify\" needs sql.tls.ca_file\n" },
        { "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m, tls: {certificate_file: @/known_hosts}}\n"
          "replication: {user: r}\n",
          "clusters.d/a.yaml:3:16: sql.tls: certificate_file and key_file must be given together\n" },
        { "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m, tls: {ca_file: @/none}}\nreplication: {user: r}\n",
          "clusters.d/a.yaml:3:31: sql.tls.ca_file: cannot read none: No such file or directory\n" },
        { "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m}\nreplication: {user: r}\n"
          "ssh: {identity_file: @/known_hosts}\n",
          "clusters.d/a.yaml:5:22: ssh.identity_file: known_hosts holds a secret but others can read it (mode 0644): "
          "chmod 600 it\n" },
        { "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m}\nreplication: {user: r}\n"
          "address: {ip: 10.0.0.1/8, device: e}\nssh: {enabled: false}\n",
          "clusters.d/a.yaml:5:1: address: it is moved over SSH, but ssh.enabled is false\n" },
        { "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: null}\nreplication: {user: ''}\n",
          "clusters.d/a.yaml:3:13: sql.user must not be null\n"
          "clusters.d/a.yaml:4:21: replication.user: \"\" must not be empty\n" },
};

static void test_whole_files(void **state)
{
        put("mhad.yaml", "defaults: {ssh: {known_hosts_file: @/known_hosts, identity_file: @/key}}\n");
        for (size_t i = 0; i < ARRAY_LENGTH(whole_files); i++) {
                put("clusters.d/a.yaml", whole_files[i].text);
                assert_errors(whole_files[i].expected);
        }
}

static void test_known_hosts(void **state)
{
        if (access("/etc/mhad/known_hosts", R_OK) == 0)
                skip();
        const char *text = "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m}\nreplication: {user: r}\n"
                           "ssh: {identity_file: @/key}\n";
        put("clusters.d/a.yaml", text);
        assert_errors("clusters.d/a.yaml:5:1: ssh.known_hosts_file: cannot read /etc/mhad/known_hosts: No such file or "
                      "directory (make it with ssh-keyscan, or set ssh.enabled to false)\n");
        put("mhad.yaml", "defaults:\n  ssh: {enabled: false}\n");
        CLEANUP(config_free) Config *config = load();
        assert_false(config->clusters[0].ssh.enabled);
}

static void test_metrics(void **state)
{
        put_after_good("");
        put("mhad.yaml", "metrics:\n  listen: \"[::1]:9104\"\n");
        CLEANUP(config_free) Config *config = load();
        assert_string_equal(config->metrics.listen, "[::1]:9104");
        assert_false(config->metrics.allow_remote);
        put("mhad.yaml", "metrics: {listen: 0.0.0.0:9104, allow_remote: true}\n");
        CLEANUP(config_free) Config *remote = load();
        assert_string_equal(remote->metrics.listen, "0.0.0.0:9104");
        CLEANUP(json_free) Json *diff = config_diff(config, remote);
        CLEANUP(mem_free) char *shown = json_print(diff);
        assert_non_null(strstr(shown, "\"daemon\":[\"metrics.listen\",\"metrics.allow_remote\"],\"restart\":[]"));
        put("mhad.yaml", "metrics:\n  listen: 10.0.0.1:9104\n");
        assert_errors("mhad.yaml:2:11: metrics.listen: other hosts can reach 10.0.0.1:9104: take 127.0.0.1, or say "
                      "metrics.allow_remote: true\n");
        put("mhad.yaml", "metrics:\n  listen: localhost:9104\n");
        assert_errors("mhad.yaml:2:11: metrics.listen: \"localhost:9104\" must be an address with a port, such as "
                      "127.0.0.1:9104 or [::1]:9104\n");
        put("mhad.yaml", "metrics: null\n");
        CLEANUP(config_free) Config *none = load();
        assert_null(none->metrics.listen);
}

/* The one that ssh(1) would take is taken; without one SSH would silently not be there. */
static void test_key(void **state)
{
        put("clusters.d/a.yaml", "cluster: a\nservers: [{name: a, host: h}]\nsql: {user: m}\nreplication: {user: r}\n"
                                 "ssh: {known_hosts_file: @/known_hosts}\n");
        const char *home = getpwuid(geteuid())->pw_dir;
        CLEANUP(mem_free) char *key = NULL;
        static const char *const names[] = { "id_ed25519", "id_ecdsa", "id_rsa" };
        for (size_t i = 0; i < ARRAY_LENGTH(names) && !key; i++) {
                CLEANUP(mem_free) char *path = text_format("%s/.ssh/%s", home, names[i]);
                key = access(path, R_OK) == 0 ? alloc_string(path) : NULL;
        }
        if (!key) {
                assert_errors(
                        "clusters.d/a.yaml:5:1: ssh.identity_file is missing, and the daemon's user has no key in "
                        "~/.ssh: make one with ssh-keygen, let the hosts accept it, and name it, or set "
                        "ssh.enabled to false\n");
                return;
        }
        CLEANUP(config_free) Config *config = load();
        assert_string_equal(config->clusters[0].ssh.identity_file, key);
}

static void test_main_faults(void **state)
{
        put_after_good("");
        put("mhad.yaml",
            "daemon:\n  sockt: /x\n  socket_group: no-such-group\n  state_directory: var\n"
            "defaults:\n  servers: []\n  cluster: x\n  sql: {user: 1, usr: 2}\n  detection: {ping_interval: 1}\n");
        assert_errors(
                "mhad.yaml:2:3: unknown key \"sockt\" (did you mean \"socket\"?)\n"
                "mhad.yaml:3:17: daemon.socket_group: there is no group of that name\n"
                "mhad.yaml:4:20: daemon.state_directory: \"var\" must be an absolute path\n"
                "mhad.yaml:6:3: servers belongs in the file of a cluster\n"
                "mhad.yaml:7:3: cluster belongs in the file of a cluster\n"
                "mhad.yaml:8:18: unknown key \"usr\" (did you mean \"user\"?)\n"
                "mhad.yaml:9:30: detection.ping_interval: \"1\" must be a duration with its unit, such as 500ms or "
                "3s\n");
        put("mhad.yaml", "[]\n");
        assert_errors("mhad.yaml:1:1: must be a map of keys and values\n");
        put("mhad.yaml", "defaults: 1\ndaemon: x\n");
        assert_errors("mhad.yaml:1:11: defaults must be a map of keys and values\n"
                      "mhad.yaml:2:9: daemon must be a map of keys and values\n");
        drop("mhad.yaml");
        assert_errors("cannot open mhad.yaml: No such file or directory\n");
}

/* A fault in what is inherited is said once, where it was written. */
static void test_inherited_faults(void **state)
{
        put("mhad.yaml", "defaults:\n  address:\n    ip: 10.0.0.1/8\n  replication: {connect_retry: 1100ms}\n");
        put("clusters.d/a.yaml", GOOD_NAMED("a", "10.0.1"));
        put("clusters.d/b.yaml", GOOD_NAMED("b", "10.0.2"));
        assert_errors("mhad.yaml:4:32: replication.connect_retry must be whole seconds\n"
                      "mhad.yaml:2:3: address.device is missing\n"
                      "mhad.yaml:3:9: address.ip: 10.0.0.1/8 is the address of cluster \"a\" already\n");
}

static void test_between_clusters(void **state)
{
        put("clusters.d/a.yaml", GOOD_NAMED("app1", "10.0.1") "address: {ip: 10.0.0.9/24, device: eth0}\n");
        put("clusters.d/b.yaml", GOOD_NAMED("app1", "10.0.1") "address: {ip: 10.0.0.9/16, device: eth0}\n");
        assert_errors("clusters.d/b.yaml:1:10: cluster: the name \"app1\" is used in clusters.d/a.yaml already\n"
                      "clusters.d/b.yaml:12:15: address.ip: 10.0.0.9/16 is the address of cluster \"app1\" already\n"
                      "clusters.d/b.yaml:4:11: 10.0.1.1:3306 is a server of cluster \"app1\" already\n"
                      "clusters.d/b.yaml:6:11: 10.0.1.2:3306 is a server of cluster \"app1\" already\n");
}

/* Two clusters may share hosts, but no port of one; an address is the same in every spelling. */
static void test_shared_hosts(void **state)
{
        static const char text[] =
                "cluster: %s\nservers: [{name: db1, host: \"%s\", port: %d}, {name: db2, host: \"fd00::2\", port: "
                "%d}]\n"
                "sql: {user: m, password_file: @/secret}\nreplication: {user: r, password_file: @/secret}\nssh: "
                "{enabled: false}\n";
        CLEANUP(mem_free) char *a = text_format(text, "a", "fd00::1", 3306, 3306);
        CLEANUP(mem_free) char *b = text_format(text, "b", "fd00:0::1", 3307, 3307);
        CLEANUP(mem_free) char *c = text_format(text, "b", "fd00:0::1", 3306, 3307);
        put("clusters.d/a.yaml", a);
        put("clusters.d/b.yaml", b);
        assert_warnings("");
        put("clusters.d/b.yaml", c);
        assert_errors("clusters.d/b.yaml:2:29: [fd00:0::1]:3306 is a server of cluster \"a\" already\n");
        CLEANUP(mem_free) char *d = text_format(text, "b", "fd00:0::2", 3307, 3307);
        put("clusters.d/b.yaml", d);
        assert_errors("clusters.d/b.yaml:2:73: [fd00::2]:3307 is the server \"db1\" already\n");
        put_after_good("");
        put("clusters.d/b.yaml",
            "cluster: b\nservers: [{name: db1, host: h, ssh_host: m}, {name: db2, host: i, ssh_host: M, port: 3307}]\n"
            "sql: {user: m, password_file: @/secret}\nreplication: {user: r, password_file: @/secret}\nssh: "
            "{known_hosts_file: @/known_hosts, identity_file: @/key}\n"
            "address: {ip: 'fd00::9/64', device: eth0}\nhooks: {shutdown: [/bin/true]}\n");
        assert_warnings(
                "clusters.d/b.yaml:6:1: address: \"db1\" and \"db2\" have different ports: with the role the port "
                "changes, too, at which clients of the address find the primary\n"
                "clusters.d/b.yaml:7:19: hooks.shutdown: \"db1\" and \"db2\" are on one host: when it is powered off "
                "for one, the other goes down, too\n");
}

static void test_many_errors(void **state)
{
        Text text = { 0 };
        for (int i = 0; i < 5000; i++)
                text_addf(&text, "k%d: 1\n", i);
        put("clusters.d/a.yaml", text.data);
        text_done(&text);
        CLEANUP(mem_free) char *path = in_folder("mhad.yaml");
        CLEANUP(json_free) Json *errors = json_array();
        Config *config = NULL;
        assert_int_equal(config_load(path, &config, errors, NULL), -EINVAL);
        assert_int_equal(json_length(errors), 100);
}

/* --- what is unwise ------------------------------------------------------------------------------------------------- */

static void test_warnings(void **state)
{
        assert_warnings("mhad.yaml:1:1: there are no clusters: no file clusters.d/NAME.yaml\n");
        put_after_good("");
        assert_warnings("");
        put("clusters.d/a.yaml", "cluster: a\nservers: [{name: a, host: h}]\nobservers: [{name: o, host: o}]\n"
                                 "sql: {user: m}\nreplication: {user: r}\nssh: {enabled: false}\n"
                                 "detection: {heartbeat_stale: 2s}\nfence: {policy: required, command: x}\n"
                                 "address: {device: eth0}\n");
        assert_warnings(
                "clusters.d/a.yaml:2:1: servers: with only one there is nothing to fail over to\n"
                "clusters.d/a.yaml:4:1: sql: the account has no password\n"
                "clusters.d/a.yaml:5:1: replication: the account has no password\n"
                "clusters.d/a.yaml:7:30: detection.heartbeat_stale should be more than twice "
                "replication.heartbeat\n"
                "clusters.d/a.yaml:3:1: observers cannot be asked: ssh.enabled is false\n"
                "clusters.d/a.yaml:9:1: address.ip is missing: there is no address\n"
                "clusters.d/a.yaml:8:17: fence.policy: \"required\" can never be satisfied without stop_process "
                "over SSH or hooks.shutdown\n"
                "clusters.d/a.yaml:8:36: fence.command is never run: ssh.enabled is false\n");
}

/* --- secrets -------------------------------------------------------------------------------------------------------- */

#define WITH_SQL(form)                                                                                                 \
        "cluster: a\nservers: [{name: a, host: h}, {name: b, host: i}]\nssh: {known_hosts_file: @/known_hosts, "       \
        "identity_file: @/key}\n"                                                                                      \
        "replication: {user: r, password_file: @/secret}\nsql:\n  user: m\n" form

static void test_secrets(void **state)
{
        put("clusters.d/a.yaml", WITH_SQL("  password: s3cret\n"));
        assert_errors(
                "clusters.d/a.yaml:7:13: sql.password: clusters.d/a.yaml holds a secret but others can read it (mode "
                "0644): chmod 600 it\n");
        put_mode("clusters.d/a.yaml", WITH_SQL("  password: s3cret\n"), 0600);
        CLEANUP(config_free) Config *config = load();
        assert_string_equal(config->clusters[0].sql.password, "s3cret");

        put_mode("clusters.d/a.yaml", WITH_SQL("  password: [s3cret]\n"), 0600);
        assert_errors("clusters.d/a.yaml:7:13: sql.password must be one value, not a list or a map\n");
        put_mode("clusters.d/a.yaml", WITH_SQL("  password:\n"), 0600);
        assert_errors("clusters.d/a.yaml:7:12: sql.password has no value\n");
        put_mode("clusters.d/a.yaml", WITH_SQL("  password: s3cret\n  password_file: @/secret\n"), 0600);
        assert_errors("clusters.d/a.yaml:8:3: sql.password_file: there is password already; only one of them may be "
                      "given\n");
        put("mhad.yaml", "defaults: {ssh: {known_hosts_file: @/known_hosts, identity_file: @/key}}\n");
        put("clusters.d/a.yaml", "sql: {user: m, password:s3cret}\n");
        assert_errors("clusters.d/a.yaml:1:16: unknown key \"password…\" (did you mean \"password\"?)\n"
                      "clusters.d/a.yaml:1:1: cluster is missing\n"
                      "clusters.d/a.yaml:1:1: servers is missing\n"
                      "clusters.d/a.yaml:1:1: replication.user is missing\n");
}

static void test_secret_forms(void **state)
{
        put("clusters.d/a.yaml", WITH_SQL("  password_file: @/none\n"));
        assert_errors("clusters.d/a.yaml:7:18: sql.password_file: cannot open none: No such file or directory\n");
        put_mode("secret", "s3cret\n", 0604);
        put("clusters.d/a.yaml", WITH_SQL("  password_command: [/bin/echo, x]\n"));
        assert_errors("clusters.d/a.yaml:4:39: replication.password_file: secret holds a secret but others can read it "
                      "(mode 0604): chmod 600 it\n");
        put_mode("secret", "s3cret\n", 0600);
        put_mode("key", "", 0600);
        put("clusters.d/a.yaml", WITH_SQL("  password_command: [/bin/sh, -c, 'echo s3cret; exit 1']\n"));
        assert_errors_for_now("clusters.d/a.yaml:7:21: sql.password_command: /bin/sh ended with status 1\n");
        put("clusters.d/a.yaml", WITH_SQL("  password_command: echo s3cret\n"));
        assert_errors("clusters.d/a.yaml:7:21: sql.password_command must be a list of a program and its arguments\n");
        put("clusters.d/a.yaml", WITH_SQL("  password_credential: ../s3cret\n"));
        assert_errors("clusters.d/a.yaml:7:24: sql.password_credential: must be the name of a credential\n");
        unsetenv("CREDENTIALS_DIRECTORY");
        put("clusters.d/a.yaml", WITH_SQL("  password_credential: secret\n"));
        assert_errors("clusters.d/a.yaml:7:24: sql.password_credential: no credentials were passed to this process "
                      "(LoadCredential= in its unit)\n");
        setenv("CREDENTIALS_DIRECTORY", folder, 1);
        CLEANUP(config_free) Config *config = load();
        assert_string_equal(config->clusters[0].sql.password, "s3cret");
}

/* --- copies, JSON, reload ------------------------------------------------------------------------------------------- */

static void test_copy(void **state)
{
        put_after_good("observers: [{name: o, host: h}]\nhooks: {start: [/bin/true, x]}\n");
        CLEANUP(config_free) Config *config = load();
        CLEANUP(cluster_config_free) ClusterConfig *copy = cluster_config_copy(&config->clusters[0]);
        assert_true(cluster_config_equal(copy, &config->clusters[0]));
        assert_ptr_not_equal(copy->sql.password, config->clusters[0].sql.password);
        config = config_free(config);
        assert_string_equal(copy->sql.password, "s3cret");
        assert_string_equal(copy->hooks.start[1], "x");
        assert_string_equal(copy->observers[0].name, "o");
        assert_string_equal(copy->servers[1].name, "db2");
}

static void test_equal(void **state)
{
        static const char *const changes[] = {
                "observers: [{name: o, host: h}]\n", "hooks: {start: [/bin/true]}\n",
                "failover: {keep_runs: 51}\n",       "fence: {command: x}\n",
                "detection: {ping: connect}\n",      "failover: {set_read_only: false}\n",
                "failover: {max_unapplied: 1B}\n",
        };
        put_after_good("");
        CLEANUP(config_free) Config *before = load();
        for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
                put_after_good(changes[i]);
                CLEANUP(config_free) Config *after = load();
                assert_false(cluster_config_equal(&before->clusters[0], &after->clusters[0]));
        }
}

static void test_json(void **state)
{
        put_after_good(
                "address: {ip: 10.0.0.9/24, device: eth0}\nhooks: {start: [/bin/true]}\nfence: {command: stop it}\n");
        CLEANUP(config_free) Config *config = load();
        CLEANUP(json_free) Json *json = cluster_config_to_json(&config->clusters[0]);
        CLEANUP(mem_free) char *text = json_print(json);
        assert_null(strstr(text, "s3cret"));
        assert_null(strstr(text, "\"password"));
        assert_string_equal(json_get_string(json, "cluster"), "app1");
        const Json *fence = json_get(json, "fence"), *hooks = json_get(json, "hooks"),
                   *address = json_get(json, "address");
        assert_string_equal(json_get_string(fence, "policy"), "attempted");
        assert_string_equal(json_get_string(fence, "command"), "stop it");
        assert_int_equal(json_get_int(fence, "timeout_ms", 0), 5000);
        assert_true(json_get_bool(fence, "stop_process", false));
        assert_true(json_get_bool(hooks, "start", false));
        assert_false(json_has(hooks, "stop"));
        assert_string_equal(json_get_string(address, "ip"), "10.0.0.9/24");
        assert_false(json_has(address, "label"));
        const Json *replication = json_get(json, "replication"), *failover = json_get(json, "failover");
        assert_true(json_get_bool(replication, "has_password", false));
        assert_string_equal(json_get_string(replication, "user"), "repl");
        assert_int_equal(json_get_int(replication, "heartbeat_ms", 0), 1000);
        assert_string_equal(json_get_string(failover, "mode"), "automatic");
        assert_int_equal(json_get_int(failover, "apply_timeout_ms", 0), 600000);
        assert_false(json_has(failover, "max_unapplied"));
        assert_string_equal(json_get_string(json_get(json_get(json, "sql"), "tls"), "mode"), "off");
}

static void assert_diff(const Config *a, const Config *b, const char *expected)
{
        CLEANUP(json_free) Json *diff = config_diff(a, b);
        CLEANUP(mem_free) char *text = json_print(diff);
        assert_string_equal(text, expected);
        assert_int_equal(config_diff_is_empty(diff), strcmp(text, "{\"added\":[],\"removed\":[],\"changed\":{},"
                                                                  "\"daemon\":[],\"restart\":[]}") == 0);
}

static void test_reload(void **state)
{
        put("clusters.d/a.yaml", GOOD_NAMED("a", "10.0.1"));
        put("clusters.d/b.yaml", GOOD_NAMED("b", "10.0.2"));
        put("clusters.d/c.yaml", GOOD_NAMED("c", "10.0.3"));
        CLEANUP(config_free) Config *before = load();
        CLEANUP(config_free) Config *same = load();
        assert_diff(before, same, "{\"added\":[],\"removed\":[],\"changed\":{},\"daemon\":[],\"restart\":[]}");

        put("mhad.yaml", "daemon: {log_level: debug, socket: /x}\n");
        put("clusters.d/a.yaml", GOOD_NAMED("d", "10.0.1"));
        put("clusters.d/b.yaml", GOOD_NAMED("b", "10.0.9") "failover: {mode: monitor}\n");
        put_mode("secret", "changed", 0600);
        CLEANUP(config_free) Config *after = load();
        assert_diff(before, after,
                    "{\"added\":[\"d\"],\"removed\":[\"a\"],\"changed\":{"
                    "\"b\":[\"servers\",\"sql.password\",\"replication.password\",\"failover.mode\"],"
                    "\"c\":[\"sql.password\",\"replication.password\"]},"
                    "\"daemon\":[\"daemon.socket\",\"daemon.log_level\"],\"restart\":[\"daemon.socket\"]}");
}

/* --- MHA's scripts -------------------------------------------------------------------------------------------------- */

static void test_mha_scripts(void **state)
{
        put_after_good("hooks:\n  mha_password_arguments: yes\n  mha:\n"
                       "    master_ip_failover_script: /bin/sh -c 'exit 0'\n    secondary_check_script: check -s a\n"
                       "    master_ip_online_change_script: \"/bin/tru\\x65\"\n");
        CLEANUP(config_free) Config *config = load();
        const HooksConfig *hooks = &config->clusters[0].hooks;
        assert_true(hooks->mha_password_arguments);
        assert_string_equal(hooks->mha.master_ip_failover_script, "/bin/sh -c 'exit 0'");
        assert_string_equal(hooks->mha.secondary_check_script, "check -s a");
        CLEANUP(json_free) Json *json = cluster_config_to_json(&config->clusters[0]);
        const Json *mha = json_get(json_get(json, "hooks"), "mha");
        assert_true(json_get_bool(mha, "master_ip_failover_script", false)); /* the words may hold a secret */
        assert_false(json_has(mha, "shutdown_script"));

        put_after_good("hooks:\n  stop: [/bin/true]\n  report: [/bin/true]\n  mha:\n"
                       "    master_ip_failover_script: /bin/true\n    report_script: /bin/true\n"
                       "    shutdown_script: /nowhere/power -x\n");
        assert_errors("clusters.d/a.yaml:18:22: hooks.mha.shutdown_script: cannot run /nowhere/power: No such file or "
                      "directory\n"
                      "clusters.d/a.yaml:16:32: hooks.mha.master_ip_failover_script: it takes the place of hooks.stop "
                      "and hooks.start: leave one out\n"
                      "clusters.d/a.yaml:17:20: hooks.mha.report_script: it takes the place of hooks.report: leave one "
                      "out\n");
        put_after_good("hooks: {mha: {master_ip_failover_script: /bin/true}}\n");
        assert_warnings("clusters.d/a.yaml:12:42: hooks.mha.master_ip_online_change_script is missing: in a switchover "
                        "nothing tells the applications who is primary\n");
}

#define WITH_SCRIPT(script)                                                                                            \
        "cluster: app1\nservers: [{name: db1, host: 10.0.0.1}, {name: db2, host: 10.0.0.2}]\n"                         \
        "replication: {user: repl, password_file: @/secret}\nssh: {known_hosts_file: @/known_hosts, identity_file: "   \
        "@/secret}\n"                                                                                                  \
        "hooks: {mha: {init_conf_load_script: \"" script "\"}}\n"

/* Overrides what the file says, fills in what is required, and is told of what it cannot say. */
static void test_load_script(void **state)
{
        put("clusters.d/a.yaml",
            WITH_SCRIPT(
                    "echo user=mha; echo 'password=a=s3cret '; echo \\\"repl_user='other'\\\"; echo ping_type=CONNECT; "
                    "echo ping_interval=2; echo ssh_user=op; echo ssh_port=2222; echo 'report_script=/bin/true -v'"));
        CLEANUP(config_free) Config *config = load();
        const ClusterConfig *c = &config->clusters[0];
        assert_string_equal(c->sql.user, "mha");
        assert_string_equal(c->sql.password, "a=s3cret ");
        assert_string_equal(c->replication.user, "other");
        assert_int_equal(c->detection.ping, DETECTION_PING_CONNECT);
        assert_int_equal(c->detection.ping_interval, 2 * USEC_SEC);
        assert_string_equal(c->servers[0].ssh_user, "op");
        assert_int_equal(c->servers[1].ssh_port, 2222);
        assert_string_equal(c->hooks.mha.report_script, "/bin/true -v");

        put("clusters.d/a.yaml",
            WITH_SCRIPT("echo user=mha; echo password=s3cret; echo no_master=1; echo s3cret; exit 3"));
        assert_warnings(
                "clusters.d/a.yaml:5:38: hooks.mha.init_conf_load_script: its parameter \"no_master\" is ignored, "
                "say it here instead\n"
                "clusters.d/a.yaml:5:38: hooks.mha.init_conf_load_script: it printed a line that is not "
                "name=value\n"
                "clusters.d/a.yaml:5:38: hooks.mha.init_conf_load_script: it ended with status 3\n");
        put_after_good("hooks: {mha: {init_conf_load_script: 'exit 3'}}\n");
        assert_errors_for_now(
                "clusters.d/a.yaml:12:38: hooks.mha.init_conf_load_script: it ended with status 3 and gave "
                "nothing\n");
        put_after_good("hooks: {mha: {init_conf_load_script: 'echo cannot reach the vault; false'}}\n");
        assert_errors_for_now(
                "clusters.d/a.yaml:12:38: hooks.mha.init_conf_load_script: it ended with status 1 and gave "
                "nothing\n");
        put("clusters.d/a.yaml", WITH_SCRIPT("echo user=mha; echo ping_interval=often"));
        assert_errors("clusters.d/a.yaml:5:38: detection.ping_interval: \"oftens\" must be a duration with its unit, "
                      "such as 500ms or 3s\n");
        put("clusters.d/a.yaml", WITH_SCRIPT("echo user=mha; sleep 60"));
        assert_errors_for_now(
                "clusters.d/a.yaml:5:38: hooks.mha.init_conf_load_script: /bin/sh took too long and was ended\n"
                "clusters.d/a.yaml:1:1: sql.user is missing\n");

        Config *offline = NULL;
        CLEANUP(mem_free) char *errors = NULL;
        CLEANUP(mem_free) char *warnings = NULL;
        put("clusters.d/a.yaml", WITH_SCRIPT("exit 1"));
        assert_int_equal(load_with(true, &offline, &errors, &warnings), 0);
        config_free(offline);
        assert_errors_for_now(
                "clusters.d/a.yaml:5:38: hooks.mha.init_conf_load_script: it ended with status 1 and gave "
                "nothing\n"
                "clusters.d/a.yaml:1:1: sql.user is missing\n");
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

static bool ends_with_period(const char *text)
{
        return *text && text[strlen(text) - 1] == '.';
}

static void test_schema(void **state)
{
        for (size_t i = 0; i < schema_n_rows; i++) {
                const SchemaRow *row = &schema_rows[i];
                assert_ptr_equal(schema_find(row->scope, row->path), row); /* no path stands twice */
                assert_true(ends_with_period(row->meaning));
                assert_true((row->type == SCHEMA_CHOICE) == (row->choices != NULL));
                assert_false(row->required && row->otherwise);
                if (row->type == SCHEMA_DURATION)
                        assert_true(row->otherwise && row->min < row->max);
        }
}

static void test_enums(void **state)
{
        for (int i = 0; i < _PROMOTION_MAX; i++)
                assert_string_equal(promotion_to_string((Promotion) i),
                                    schema_find(SCHEMA_SERVER, "promotion")->choices[i]);
        for (int i = 0; i < _SQL_TLS_MAX; i++)
                assert_string_equal(sql_tls_to_string((SqlTls) i),
                                    schema_find(SCHEMA_CLUSTER, "sql.tls.mode")->choices[i]);
}

/* Whatever stands in the files, there is a configuration or errors, and offline nothing is run. */
static void test_garbage(void **state)
{
        static const char *const pieces[] = {
                "cluster: a\n",
                "servers:\n",
                "  - {name: a, host: b}\n",
                "sql:\n",
                "  user: x\n",
                "  password: y\n",
                "replication: {user: r}\n",
                "  tls: {mode: verify}\n",
                "ssh: {enabled: no}\n",
                "hooks: {start: [/x]}\n",
                "detection: null\n",
                "observers: [{name: o, host: o}]\n",
                "  ",
                "- ",
                ": ",
                "[",
                "}",
                "\n",
                "~",
                "'",
                "  password_command: [/bin/false]\n",
                "failover: {max_unapplied: 1MiB}\n",
                "address: {ip: 1.2.3.4/8}\n",
        };
        uint32_t seed = 7;
        for (int round = 0; round < 300; round++) {
                Text text = { 0 };
                for (int i = 0; i < 12; i++) {
                        seed = seed * 1664525 + 1013904223;
                        text_add(&text, pieces[(seed >> 16) % ARRAY_LENGTH(pieces)]);
                }
                put("clusters.d/a.yaml", text.data);
                text_done(&text);
                CLEANUP(config_free) Config *config = NULL;
                CLEANUP(mem_free) char *errors = NULL;
                CLEANUP(mem_free) char *warnings = NULL;
                int r = load_with(true, &config, &errors, &warnings);
                assert_true(r == 0 ? config && !*errors : !config && *errors);
        }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASE(test_defaults),
                CASE(test_everything),
                CASE(test_files),
                CASE(test_inheritance),
                CASE(test_faults),
                CASE(test_whole_files),
                CASE(test_known_hosts),
                CASE(test_metrics),
                CASE(test_key),
                CASE(test_main_faults),
                CASE(test_inherited_faults),
                CASE(test_between_clusters),
                CASE(test_shared_hosts),
                CASE(test_many_errors),
                CASE(test_warnings),
                CASE(test_secrets),
                CASE(test_secret_forms),
                CASE(test_copy),
                CASE(test_equal),
                CASE(test_json),
                CASE(test_reload),
                CASE(test_mha_scripts),
                CASE(test_load_script),
                cmocka_unit_test(test_schema),
                cmocka_unit_test(test_enums),
                CASE(test_garbage),
        };
        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
