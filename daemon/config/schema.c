/* The table of all keys. Constant. A new key is a member in config.h and a row here, and nothing else. */
#include "schema.h"

#include <string.h>

#include "config.h"
#include "enum.h"
#include "text.h"

static const char *const log_levels[] = { [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug", NULL };
static const char *const sql_tls[] = {
        [SQL_TLS_OFF] = "off", [SQL_TLS_REQUIRED] = "required", [SQL_TLS_VERIFY] = "verify", NULL
};
static const char *const replication_tls[] = {
        [REPLICATION_TLS_KEEP] = "keep", [REPLICATION_TLS_ON] = "on", [REPLICATION_TLS_OFF] = "off", NULL
};
static const char *const sudos[] = {
        [SUDO_NOTHING] = "false", [SUDO_ALL] = "true", [SUDO_COMMANDS] = "commands", NULL
};
static const char *const pings[] = {
        [DETECTION_PING_SELECT] = "select",
        [DETECTION_PING_CONNECT] = "connect",
        [DETECTION_PING_INSERT] = "insert",
        NULL,
};
static const char *const actions[] = {
        [DETECTION_ACTION_REPORT] = "report", [DETECTION_ACTION_FAILOVER] = "failover", NULL
};
static const char *const policies[] = {
        [FENCE_POLICY_ATTEMPTED] = "attempted", [FENCE_POLICY_REQUIRED] = "required", NULL
};
static const char *const modes[] = {
        [FAILOVER_MODE_AUTOMATIC] = "automatic", [FAILOVER_MODE_MONITOR] = "monitor", NULL
};
static const char *const unreachables[] = {
        [FAILOVER_UNREACHABLE_CONTINUE] = "continue", [FAILOVER_UNREACHABLE_ABORT] = "abort", NULL
};
static const char *const rejoins[] = { [FAILOVER_REJOIN_MANUAL] = "manual",
                                       [FAILOVER_REJOIN_AUTOMATIC] = "automatic",
                                       NULL };
static const char *const tails[] = {
        [RESCUE_TAIL_PROCEED] = "proceed", [RESCUE_TAIL_HOLD] = "hold", NULL
};
static const char *const kills[] = {
        [SWITCHOVER_KILL_ALL] = "all",
        [SWITCHOVER_KILL_NONE] = "none",
        [SWITCHOVER_KILL_AFTER_GRACE] = "after-grace",
        NULL,
};
static const char *const tiers[] = {
        [SWITCHOVER_TIER_STAY] = "stay", [SWITCHOVER_TIER_FOLLOW] = "follow", NULL
};
static const char *const promotions[] = {
        [PROMOTION_ALLOW] = "allow", [PROMOTION_PREFER] = "prefer", [PROMOTION_NEVER] = "never", NULL
};

ENUM_TO_STRING(failover_mode, FailoverMode, modes)
ENUM_FROM_STRING(switchover_tier, SwitchoverTier, tiers)

/* clang-format off */
#define MAIN(path_, type_, member_) .scope = SCHEMA_MAIN, .path = path_, .type = type_, .offset = offsetof(Config, member_)
#define CLUSTER(path_, type_, member_) .scope = SCHEMA_CLUSTER, .path = path_, .type = type_, .offset = offsetof(ClusterConfig, member_)
#define SERVER(path_, type_, member_) .scope = SCHEMA_SERVER, .path = path_, .type = type_, .offset = offsetof(Server, member_)
#define OBSERVER(path_, type_, member_) .scope = SCHEMA_OBSERVER, .path = path_, .type = type_, .offset = offsetof(Server, member_)
#define SECTION(scope_, path_) .scope = scope_, .path = path_, .type = SCHEMA_SECTION
#define SECRET(section, mha_, meaning_) \
        { CLUSTER(#section ".password", SCHEMA_SECRET, section.password), .mha = mha_, .meaning = meaning_ }, \
        { CLUSTER(#section ".password_file", SCHEMA_SECRET_FILE, section.password), \
          .meaning = "A file that holds the password and nothing else; it must belong to root or to the daemon's user and nobody else may read it (mode 0600). One final newline is not part of the password." }, \
        { CLUSTER(#section ".password_credential", SCHEMA_SECRET_CREDENTIAL, section.password), \
          .meaning = "The name of a systemd credential that holds the password (LoadCredential= or LoadCredentialEncrypted= of systemd.exec(5))." }, \
        { CLUSTER(#section ".password_command", SCHEMA_SECRET_COMMAND, section.password), \
          .meaning = "A program and its arguments, run without a shell when the configuration is loaded; what it prints is the password (one final newline is not). It must end with status 0 within 5 s." }

const SchemaRow schema_rows[] = {
        { SECTION(SCHEMA_MAIN, "daemon"), .meaning = "The daemon itself." },
        { MAIN("daemon.state_directory", SCHEMA_PATH, daemon.state_directory), .otherwise = "/var/lib/mhad", .effect = SCHEMA_RESTART, .mha = "manager_workdir",
          .meaning = "Where the journal of runs, rescued binary logs and reports are kept, one folder a cluster. It must survive a reboot." },
        { MAIN("daemon.socket", SCHEMA_PATH, daemon.socket), .otherwise = "/run/mhad/control", .effect = SCHEMA_RESTART, .max = 107,
          .meaning = "The Unix socket that mhactl(1) talks to." },
        { MAIN("daemon.socket_group", SCHEMA_GROUP, daemon.socket_group), .unset = "only root and the daemon's own user may", .effect = SCHEMA_RESTART,
          .meaning = "A group whose members may change things through the socket, not only look at them." },
        { MAIN("daemon.log_level", SCHEMA_CHOICE, daemon.log_level), .otherwise = "info", .choices = log_levels, .mha = "log_level",
          .meaning = "How much is written to the journal; debug adds what is asked and answered, never a secret." },
        { SECTION(SCHEMA_MAIN, "metrics"), .meaning = "Figures for monitoring by HTTP, as mhactl metrics prints them: mhad-metrics(7)." },
        { MAIN("metrics.listen", SCHEMA_ENDPOINT, metrics.listen), .unset = "there is no such listener",
          .meaning = "Where they are offered, below /metrics: 127.0.0.1:9104 or [::1]:9104. Nobody has to say who he is there, and nothing is encrypted." },
        { MAIN("metrics.allow_remote", SCHEMA_BOOL, metrics.allow_remote), .otherwise = "false",
          .meaning = "Whether that address may be one that other hosts can reach: they learn the names, roles and states of all clusters and servers." },
        { .scope = SCHEMA_MAIN, .path = "defaults", .type = SCHEMA_DEFAULTS, .mha = "[server default]",
          .meaning = "Any key of a cluster but cluster, servers and observers: it holds for every cluster that does not say otherwise." },

        { CLUSTER("cluster", SCHEMA_CLUSTER_NAME, name), .required = true,
          .meaning = "The cluster's name, unique: lower-case letters, digits, and after the first character _ . -, at most 63 in all." },
        { .scope = SCHEMA_CLUSTER, .path = "servers", .type = SCHEMA_SERVERS, .required = true, .mha = "[serverN]",
          .meaning = "The database servers. Who is primary is read from them, not from here; their order decides only between candidates that are otherwise equal." },
        { .scope = SCHEMA_CLUSTER, .path = "observers", .type = SCHEMA_OBSERVERS, .mha = "secondary_check_script -s",
          .meaning = "Further hosts that can be reached by SSH and are asked whether they see the primary. They need no database." },

        { SERVER("name", SCHEMA_SERVER_NAME, name), .required = true, .mha = "N of [serverN]",
          .meaning = "A short name, unique in the cluster: letters, digits, and after the first character _ . -, at most 63 in all." },
        { SERVER("host", SCHEMA_HOST, host), .required = true, .mha = "hostname, ip",
          .meaning = "Name or address of the database, as the daemon and the other servers reach it: 10.0.0.1, fd00::1 (without brackets), db1.example. Of a name with several addresses the one is used that answers." },
        { SERVER("mha_hostname", SCHEMA_HOST, mha_hostname), .unset = "as host", .effect = SCHEMA_NEXT_RUN, .mha = "hostname",
          .meaning = "What MHA's scripts are told as the server's host (--orig_master_host, --new_slave_hosts, ...), when host is not that name. Nothing else goes by it." },
        { SERVER("port", SCHEMA_PORT, port), .otherwise = "3306", .min = 1, .max = 65535, .mha = "port",
          .meaning = "Port of the database. It tells the servers of one host apart." },
        { SERVER("ssh_host", SCHEMA_HOST, ssh_host), .unset = "as host", .mha = "ssh_host, ssh_ip",
          .meaning = "Name or address for SSH, where that has a network of its own. Servers with the same ssh_host and ssh_port are taken to be on one host." },
        { SERVER("ssh_port", SCHEMA_PORT, ssh_port), .unset = "as ssh.port", .min = 1, .max = 65535, .mha = "ssh_port",
          .meaning = "Port for SSH." },
        { SERVER("ssh_user", SCHEMA_ACCOUNT, ssh_user), .unset = "as ssh.user", .mha = "ssh_user",
          .meaning = "Account for SSH." },
        { SERVER("binlog_directory", SCHEMA_PATH, binlog_directory), .unset = "asked from the server while it runs", .mha = "master_binlog_dir",
          .meaning = "Where the server keeps its binary logs." },
        { SERVER("promotion", SCHEMA_CHOICE, promotion), .otherwise = "allow", .choices = promotions, .mha = "candidate_master (prefer), no_master (never)",
          .meaning = "Whether it may become primary: allow, prefer (before those that are allowed), never." },

        { OBSERVER("name", SCHEMA_SERVER_NAME, name), .required = true,
          .meaning = "A short name, unique among servers and observers of the cluster." },
        { OBSERVER("host", SCHEMA_HOST, ssh_host), .required = true,
          .meaning = "Name or address for SSH." },
        { OBSERVER("ssh_port", SCHEMA_PORT, ssh_port), .unset = "as ssh.port", .min = 1, .max = 65535,
          .meaning = "Port for SSH." },
        { OBSERVER("ssh_user", SCHEMA_ACCOUNT, ssh_user), .unset = "as ssh.user",
          .meaning = "Account for SSH." },

        { SECTION(SCHEMA_CLUSTER, "sql"), .meaning = "The account of the databases that mhad itself uses." },
        { CLUSTER("sql.user", SCHEMA_TEXT, sql.user), .required = true, .max = 80, .mha = "user",
          .meaning = "Its name, the same on every server." },
        SECRET(sql, "password", "The password itself. Allowed only in a file that nobody but its owner can read (mode 0600). At most one of the four forms of password may be given."),
        { SECTION(SCHEMA_CLUSTER, "sql.tls"), .meaning = "TLS between the daemon and the databases." },
        { CLUSTER("sql.tls.mode", SCHEMA_CHOICE, sql.tls.mode), .otherwise = "off", .choices = sql_tls,
          .meaning = "off; required (encrypted or not at all; with ca_file, the server's certificate must be signed by one of those); verify (and it must be issued to that host)." },
        { CLUSTER("sql.tls.ca_file", SCHEMA_FILE, sql.tls.ca_file),
          .meaning = "The certificates of those who may sign a server's certificate (PEM)." },
        { CLUSTER("sql.tls.certificate_file", SCHEMA_FILE, sql.tls.certificate_file),
          .meaning = "The daemon's own certificate (PEM), for accounts that demand one." },
        { CLUSTER("sql.tls.key_file", SCHEMA_KEY_FILE, sql.tls.key_file),
          .meaning = "The key of certificate_file (PEM); nobody else may read it." },

        { SECTION(SCHEMA_CLUSTER, "replication"), .meaning = "The account with which a replica fetches from its primary, and how it does. Without a password here a replica keeps the one that it has, until a failover feeds it what it lacks: it has none afterwards, as the account should have none then." },
        { CLUSTER("replication.user", SCHEMA_TEXT, replication.user), .required = true, .max = 80, .effect = SCHEMA_NEXT_RUN, .mha = "repl_user",
          .meaning = "Its name, the same on every server." },
        SECRET(replication, "repl_password", "The password itself; see sql.password."),
        { CLUSTER("replication.tls", SCHEMA_CHOICE, replication.tls), .otherwise = "keep", .choices = replication_tls, .effect = SCHEMA_NEXT_RUN,
          .meaning = "TLS between replica and primary when a replica is pointed at a new one: keep as the replica has it, on, off." },
        { CLUSTER("replication.heartbeat", SCHEMA_DURATION, replication.heartbeat), .otherwise = "1s", .min = 100 * USEC_MSEC, .max = USEC_MINUTE, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How often an idle primary says to its replicas that it lives (MASTER_HEARTBEAT_PERIOD), set whenever a replica is pointed at a new primary." },
        { CLUSTER("replication.connect_retry", SCHEMA_DURATION, replication.connect_retry), .otherwise = "1s", .min = USEC_SEC, .max = USEC_HOUR, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long a replica waits before it connects again to its primary (MASTER_CONNECT_RETRY); whole seconds." },

        { SECTION(SCHEMA_CLUSTER, "ssh"), .meaning = "SSH from the daemon to the hosts of servers and observers." },
        { CLUSTER("ssh.enabled", SCHEMA_BOOL, ssh.enabled), .otherwise = "true",
          .meaning = "Without SSH there are no second opinions but the replicas', the old primary cannot be stopped, and the address cannot be moved." },
        { CLUSTER("ssh.user", SCHEMA_ACCOUNT, ssh.user), .otherwise = "root", .mha = "ssh_user",
          .meaning = "The account on the hosts." },
        { CLUSTER("ssh.port", SCHEMA_PORT, ssh.port), .otherwise = "22", .min = 1, .max = 65535, .mha = "ssh_port",
          .meaning = "The port." },
        { CLUSTER("ssh.identity_file", SCHEMA_KEY_FILE, ssh.identity_file), .unset = "~/.ssh/id_ed25519, id_ecdsa or id_rsa of the daemon's user", .mha = "ssh_options (-i)",
          .meaning = "The private key, without a passphrase; nobody else may read it." },
        { CLUSTER("ssh.known_hosts_file", SCHEMA_FILE, ssh.known_hosts_file), .otherwise = "/etc/mhad/known_hosts", .mha = "ssh_options (UserKnownHostsFile)",
          .meaning = "The host keys, in the form of ssh-keyscan(1), by the name that is configured or by the address. By the address only when the name is none by RFC 1123: with \"_\" in it, or \"-\" at the end of a label." },
        { CLUSTER("ssh.strict_host_keys", SCHEMA_BOOL, ssh.strict_host_keys), .otherwise = "true", .mha = "always off",
          .meaning = "Whether a host whose key is not in known_hosts_file is refused. A key that is there and differs is refused always." },
        { CLUSTER("ssh.sudo", SCHEMA_CHOICE, ssh.sudo), .otherwise = "false", .choices = sudos,
          .meaning = "For an account that is not root. true: all that is done on a host is run by sudo -n, which has to allow everything. commands: only the few commands that need it are; mhad-privileges(7) has the lines for sudoers." },
        { CLUSTER("ssh.connect_timeout", SCHEMA_DURATION, ssh.connect_timeout), .otherwise = "2s", .min = 50 * USEC_MSEC, .max = USEC_MINUTE, .mha = "ssh_connection_timeout",
          .meaning = "How long connecting and logging in may take." },

        { SECTION(SCHEMA_CLUSTER, "detection"), .meaning = "How a dead primary is found." },
        { CLUSTER("detection.ping", SCHEMA_CHOICE, detection.ping), .otherwise = "select", .choices = pings, .mha = "ping_type",
          .meaning = "select: SELECT 1 on a connection that stays open; connect: a new connection each time; insert: a row is written to ping_table, so that a primary whose storage hangs is noticed." },
        { CLUSTER("detection.ping_interval", SCHEMA_DURATION, detection.ping_interval), .otherwise = "1s", .min = 100 * USEC_MSEC, .max = USEC_MINUTE, .mha = "ping_interval",
          .meaning = "How often each server is pinged. A connection that breaks is noticed at once, not at the next ping." },
        { CLUSTER("detection.ping_timeout", SCHEMA_DURATION, detection.ping_timeout), .otherwise = "1s", .min = 50 * USEC_MSEC, .max = USEC_MINUTE,
          .meaning = "How long a ping may take before the server is suspected." },
        { CLUSTER("detection.connect_timeout", SCHEMA_DURATION, detection.connect_timeout), .otherwise = "1s", .min = 50 * USEC_MSEC, .max = USEC_MINUTE,
          .meaning = "How long connecting to a server may take, greeting and login included." },
        { CLUSTER("detection.restart_grace", SCHEMA_DURATION, detection.restart_grace), .otherwise = "700ms", .min = 0, .max = 10 * USEC_MINUTE,
          .meaning = "How long a primary whose process is gone may take to be back (its service manager may restart it) before it counts as dead." },
        { CLUSTER("detection.confirm_timeout", SCHEMA_DURATION, detection.confirm_timeout), .otherwise = "1s", .min = 50 * USEC_MSEC, .max = USEC_MINUTE, .mha = "secondary_check_script",
          .meaning = "How long replicas and observers, all asked at once, have to say whether they see the primary." },
        { CLUSTER("detection.status_interval", SCHEMA_DURATION, detection.status_interval), .otherwise = "1s", .min = 100 * USEC_MSEC, .max = 10 * USEC_MINUTE,
          .meaning = "How often replication, read_only and positions are read from each server." },
        { CLUSTER("detection.heartbeat_stale", SCHEMA_DURATION, detection.heartbeat_stale), .otherwise = "3s", .min = 200 * USEC_MSEC, .max = 10 * USEC_MINUTE,
          .meaning = "When a replica that has heard nothing from the primary for so long no longer counts as seeing it. More than twice replication.heartbeat." },
        { CLUSTER("detection.on_stalled", SCHEMA_CHOICE, detection.on_stalled), .otherwise = "report", .choices = actions,
          .meaning = "What to do with a primary that greets but whose statements hang, as when its storage does." },
        { CLUSTER("detection.ping_table", SCHEMA_TABLE, detection.ping_table), .otherwise = "infra.chk_mhad", .mha = "infra.chk_masterha",
          .meaning = "The table of ping: insert, as schema.table. It is made where it does not exist." },

        { SECTION(SCHEMA_CLUSTER, "address"), .meaning = "The virtual IP address of the primary, which applications connect to. Without it, hooks.start has to tell them." },
        { CLUSTER("address.ip", SCHEMA_NETWORK_ADDRESS, address.ip), .effect = SCHEMA_NEXT_RUN, .mha = "master_ip_failover_script",
          .meaning = "Address and length of its network: 10.0.0.100/24 or fd00::64/64." },
        { CLUSTER("address.device", SCHEMA_DEVICE, address.device), .effect = SCHEMA_NEXT_RUN,
          .meaning = "The network device that it is put on, the same on every server." },
        { CLUSTER("address.label", SCHEMA_DEVICE, address.label), .effect = SCHEMA_NEXT_RUN,
          .meaning = "Its label, which ip(8) wants to begin with the device: eth0:mhad. IPv4 only." },

        { SECTION(SCHEMA_CLUSTER, "fence"), .meaning = "How it is made sure that the old primary cannot take writes any more, before the new one is opened." },
        { CLUSTER("fence.policy", SCHEMA_CHOICE, fence.policy), .otherwise = "attempted", .choices = policies, .effect = SCHEMA_NEXT_RUN,
          .meaning = "required: no automatic failover unless the old primary is proved to be fenced; attempted: also when nobody that can be asked reaches it." },
        { CLUSTER("fence.stop_process", SCHEMA_BOOL, fence.stop_process), .otherwise = "true", .effect = SCHEMA_NEXT_RUN, .mha = "shutdown_script --command=stopssh",
          .meaning = "Whether the database process of the old primary, a frozen one too, is stopped over SSH, so that its service manager does not start it again by itself." },
        { CLUSTER("fence.command", SCHEMA_TEXT, fence.command), .unset = "the built-in stop", .max = 4096, .effect = SCHEMA_NEXT_RUN,
          .meaning = "A shell command that stops the database, run on the old primary's host over SSH. MHAD_SERVER, MHAD_PORT and MHAD_DATADIR (empty when it was never known) in its environment say which, where a host has several. Status 0 says that it is stopped." },
        { CLUSTER("fence.timeout", SCHEMA_DURATION, fence.timeout), .otherwise = "5s", .min = 100 * USEC_MSEC, .max = USEC_HOUR, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long each rung of the fence may take." },

        { SECTION(SCHEMA_CLUSTER, "hooks"), .meaning = "Programs that the daemon runs on its own host, without a shell, with JSON on their standard input (see mhad(8))." },
        { CLUSTER("hooks.prepare", SCHEMA_ARGUMENTS, hooks.prepare), .effect = SCHEMA_NEXT_RUN,
          .meaning = "Before anything is changed; a status other than 0 aborts the run." },
        { CLUSTER("hooks.stop", SCHEMA_ARGUMENTS, hooks.stop), .effect = SCHEMA_NEXT_RUN, .mha = "master_ip_failover_script --command=stop",
          .meaning = "Takes the applications away from the old primary." },
        { CLUSTER("hooks.start", SCHEMA_ARGUMENTS, hooks.start), .effect = SCHEMA_NEXT_RUN, .mha = "master_ip_failover_script --command=start",
          .meaning = "Leads the applications to the new primary, which is open already." },
        { CLUSTER("hooks.report", SCHEMA_ARGUMENTS, hooks.report), .effect = SCHEMA_NEXT_RUN, .mha = "report_script",
          .meaning = "After the run, whatever its outcome, with the report." },
        { CLUSTER("hooks.shutdown", SCHEMA_ARGUMENTS, hooks.shutdown), .effect = SCHEMA_NEXT_RUN, .mha = "shutdown_script",
          .meaning = "Powers the host of the old primary off, when the database could not be stopped over SSH. Status 0 says that it is off; other servers on that host go down with it, and none of them is promoted then." },
        { CLUSTER("hooks.abort", SCHEMA_ARGUMENTS, hooks.abort), .effect = SCHEMA_NEXT_RUN,
          .meaning = "When a run is taken back: once for each of the hooks stop and prepare that was run, in this order, to take back what that one did." },
        { CLUSTER("hooks.status", SCHEMA_ARGUMENTS, hooks.status), .mha = "master_ip_failover_script --command=status",
          .meaning = "Says whether the hooks would work, and changes nothing: asked by mhactl check replication, by the checks of a switchover, and whenever a primary is found. A status other than 0 is an error of the check, and forbids the switchover, with the first line of its standard error." },
        { CLUSTER("hooks.timeout", SCHEMA_DURATION, hooks.timeout), .otherwise = "30s", .min = 100 * USEC_MSEC, .max = USEC_HOUR, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long a hook may run before it is ended and counts as failed." },
        { CLUSTER("hooks.mha_password_arguments", SCHEMA_BOOL, hooks.mha_password_arguments), .otherwise = "false", .effect = SCHEMA_NEXT_RUN, .mha = "always on",
          .meaning = "Whether MHA's scripts get passwords as arguments, as from MHA, where everybody on the host can read them; else they are in their environment, each under the argument's name in capitals (NEW_MASTER_PASSWORD)." },

        { SECTION(SCHEMA_CLUSTER, "hooks.mha"), .meaning = "Scripts that were written for MHA, run unchanged: shell commands to which MHA's arguments are added (see mhad(8)). Each takes the place of hooks of its own." },
        { CLUSTER("hooks.mha.master_ip_failover_script", SCHEMA_COMMAND, hooks.mha.master_ip_failover_script), .max = 4096, .effect = SCHEMA_NEXT_RUN, .mha = "master_ip_failover_script",
          .meaning = "In a failover, in the place of hooks.stop and hooks.start." },
        { CLUSTER("hooks.mha.master_ip_online_change_script", SCHEMA_COMMAND, hooks.mha.master_ip_online_change_script), .max = 4096, .effect = SCHEMA_NEXT_RUN, .mha = "master_ip_online_change_script",
          .meaning = "In a switchover, in the place of hooks.stop and hooks.start." },
        { CLUSTER("hooks.mha.shutdown_script", SCHEMA_COMMAND, hooks.mha.shutdown_script), .max = 4096, .effect = SCHEMA_NEXT_RUN, .mha = "shutdown_script",
          .meaning = "In the place of hooks.shutdown." },
        { CLUSTER("hooks.mha.report_script", SCHEMA_COMMAND, hooks.mha.report_script), .max = 4096, .effect = SCHEMA_NEXT_RUN, .mha = "report_script",
          .meaning = "After a failover, in the place of hooks.report." },
        { CLUSTER("hooks.mha.secondary_check_script", SCHEMA_COMMAND, hooks.mha.secondary_check_script), .max = 4096, .mha = "secondary_check_script",
          .meaning = "Asked when the primary does not answer, whether others reach it. A status other than 0 forbids a failover by itself, as with MHA; it is asked again and again." },
        { CLUSTER("hooks.mha.secondary_check_timeout", SCHEMA_DURATION, hooks.mha.secondary_check_timeout), .otherwise = "6s", .min = 100 * USEC_MSEC, .max = 10 * USEC_MINUTE,
          .meaning = "How long secondary_check_script may take before it is ended, which forbids a failover like a status other than 0. A failover waits so long for it." },
        { CLUSTER("hooks.mha.ssh_options", SCHEMA_TEXT, hooks.mha.ssh_options), .max = 4096, .effect = SCHEMA_NEXT_RUN, .mha = "ssh_options",
          .meaning = "Options for ssh(1), given to the scripts as --ssh_options (to secondary_check_script as --options). They are of no meaning to mhad itself." },
        { CLUSTER("hooks.mha.init_conf_load_script", SCHEMA_COMMAND, hooks.mha.init_conf_load_script), .max = 4096, .mha = "init_conf_load_script",
          .meaning = "Run when the configuration is loaded, for at most 5 s: it prints lines of MHA's parameters (user, password, repl_user, repl_password, ssh_user, ssh_port, ping_type, ping_interval and MHA's scripts), which override what the files say. When it fails without any of them, the configuration is not used." },

        { SECTION(SCHEMA_CLUSTER, "mail"), .meaning = "The report of each run by mail, through a program that takes mail as sendmail(8) does; beside hooks.report." },
        { CLUSTER("mail.to", SCHEMA_TEXT, mail.to), .unset = "no mail", .max = 1000, .mha = "--to of samples of report_script",
          .meaning = "Addresses, separated by commas." },
        { CLUSTER("mail.from", SCHEMA_TEXT, mail.from), .unset = "what the program makes of the daemon's user", .max = 254,
          .meaning = "The sender's address." },
        { CLUSTER("mail.program", SCHEMA_PATH, mail.program), .otherwise = "/usr/sbin/sendmail",
          .meaning = "It is run with -i -t (and -f), with the mail on its standard input, and with the privileges of the daemon: none. One that needs more (setuid or setgid, as with most local mail systems) does not work before hooks-with-privileges.conf is installed, see mhad(8)." },
        { CLUSTER("mail.timeout", SCHEMA_DURATION, mail.timeout), .otherwise = "30s", .min = 100 * USEC_MSEC, .max = USEC_HOUR,
          .meaning = "How long it may run before it is ended. That a mail could not be sent is logged; nothing waits for it." },

        { SECTION(SCHEMA_CLUSTER, "failover"), .meaning = "When and how a failover is done." },
        { CLUSTER("failover.mode", SCHEMA_CHOICE, failover.mode), .otherwise = "automatic", .choices = modes, .mha = "whether masterha_manager runs",
          .meaning = "automatic; monitor: says what it would do and waits for mhactl failover." },
        { CLUSTER("failover.flap_window", SCHEMA_DURATION, failover.flap_window), .otherwise = "8h", .min = 0, .max = 30 * USEC_DAY, .mha = "--last_failover_minute",
          .meaning = "For so long after a failover there is no other one by itself, unless somebody says mhactl acknowledge." },
        { CLUSTER("failover.apply_timeout", SCHEMA_DURATION, failover.apply_timeout), .otherwise = "10m", .min = USEC_SEC, .max = 7 * USEC_DAY, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long the candidate may take to apply what it has received, and so long again, before that, each of the steps that copy logs to be saved or give it what it lacks: as long as the slowest of them needs." },
        { CLUSTER("failover.max_unapplied", SCHEMA_SIZE, failover.max_unapplied), .otherwise = "none", .effect = SCHEMA_NEXT_RUN, .mha = "check_repl_delay",
          .meaning = "A replica with more than this received but not applied is not promoted; none: no limit." },
        { CLUSTER("failover.allow_newer_version", SCHEMA_BOOL, failover.allow_newer_version), .otherwise = "false", .effect = SCHEMA_NEXT_RUN,
          .meaning = "Whether a replica may be promoted whose version is newer than another replica's, which may then be unable to follow it." },
        { CLUSTER("failover.on_unreachable_replica", SCHEMA_CHOICE, failover.on_unreachable_replica), .otherwise = "continue", .choices = unreachables, .effect = SCHEMA_NEXT_RUN, .mha = "ignore_fail",
          .meaning = "What to do when a replica cannot be reached either: continue without it and report it; abort: no failover by itself as long as one that was not taken out (mhactl server down) cannot be reached." },
        { CLUSTER("failover.storm_limit", SCHEMA_COUNT, failover.storm_limit), .otherwise = "0", .min = 0, .max = 100000,
          .meaning = "When the primaries on so many hosts, or more, are lost within 10 s of each other, the cluster is not failed over by itself: that looks like the network. A host that carries several primaries counts once. 0: a third of the hosts that carry primaries and one more, from six on; with fewer never. A number above that of the hosts: never." },
        { CLUSTER("failover.set_read_only", SCHEMA_BOOL, failover.set_read_only), .otherwise = "true", .effect = SCHEMA_NEXT_RUN,
          .meaning = "Whether read_only is set on every replica (where there is super_read_only, that too)." },
        { CLUSTER("failover.repoint_timeout", SCHEMA_DURATION, failover.repoint_timeout), .otherwise = "60s", .min = USEC_SEC, .max = USEC_DAY, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long a replica may take to follow the new primary before it is left and reported." },
        { CLUSTER("failover.rejoin", SCHEMA_CHOICE, failover.rejoin), .otherwise = "manual", .choices = rejoins, .mha = "nothing: by hand",
          .meaning = "What becomes of a former primary that is back and was made read-only. manual: it waits for mhactl rejoin. automatic: it is attached as a replica when it is proved that it has nothing that the primary lacks, and its sync_binlog and innodb_flush_log_at_trx_commit are 1: else a crash of its host may have cost it transactions, and a person has to say so." },
        { CLUSTER("failover.purge_relay_logs", SCHEMA_DURATION, failover.purge_relay_logs), .otherwise = "0s", .min = 0, .max = 365 * USEC_DAY, .mha = "purge_relay_logs, by cron",
          .meaning = "How often relay logs that are applied are removed from replicas where relay_log_purge is off, one replica after the other; only what every other replica has received, and not while a server may need it that cannot be asked. 0s: when somebody says mhactl purge-relay-logs." },
        { CLUSTER("failover.keep_runs", SCHEMA_COUNT, failover.keep_runs), .otherwise = "50", .min = 1, .max = 10000,
          .meaning = "How many ended runs stay in the journal, with their reports." },

        { CLUSTER("failover.remove_dead_primary", SCHEMA_BOOL, failover.remove_dead_primary), .otherwise = "false", .mha = "--remove_dead_master_conf",
          .meaning = "Whether a primary that died is taken out when the failover is complete: it is remembered as taken out, is no candidate and raises no alarm, until it rejoins, mhactl server up has it count again, or mhactl server remove takes it out of this file, which the daemon does not write." },

        { SECTION(SCHEMA_CLUSTER, "rescue"), .meaning = "How a failover saves what the old primary had logged and a replica lacks: it is copied over SSH, from the old primary's binary logs or from replicas' relay logs, and fed to the replicas in the dead primary's place." },
        { CLUSTER("rescue.enabled", SCHEMA_BOOL, rescue.enabled), .otherwise = "true", .effect = SCHEMA_NEXT_RUN, .mha = "the opposite of --skip_save_master_binlog",
          .meaning = "Whether it is done at all. It needs SSH to the servers' hosts." },
        { CLUSTER("rescue.on_unreachable_tail", SCHEMA_CHOICE, rescue.on_unreachable_tail), .otherwise = "proceed", .choices = tails, .effect = SCHEMA_NEXT_RUN, .mha = "always proceeds",
          .meaning = "What to do when the old primary's binary logs cannot be read, so that nobody knows what only it had, or when its host is lost while they are copied. proceed: go on and report what is not known. hold: take the run back, try again later, and wait for somebody to say mhactl failover --accept-loss. What is known to be on a host that answers, and cannot be copied (no room in the folder for rescued logs, no permission, encrypted logs, failover.apply_timeout), is never passed over: the run is taken back, and says what to do." },
        { CLUSTER("rescue.ssh_patience", SCHEMA_DURATION, rescue.ssh_patience), .otherwise = "0s", .min = 0, .max = USEC_HOUR, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long a host that does not answer is tried by SSH for the sake of its logs. Nobody can write meanwhile. 0s: no longer than the fence tries it anyway, but 30 s with on_unreachable_tail: hold." },
        { CLUSTER("rescue.listen", SCHEMA_HOST, rescue.listen), .unset = "replicas come through the SSH session to their own host", .effect = SCHEMA_NEXT_RUN,
          .meaning = "An address of the daemon's host that the replicas can reach and that feeds are offered on. Nothing is encrypted there." },
        { CLUSTER("rescue.listen_port", SCHEMA_COUNT, rescue.listen_port), .otherwise = "0", .min = 0, .max = 65535, .effect = SCHEMA_NEXT_RUN,
          .meaning = "The port of rescue.listen, for one feed at a time; 0: any, one a feed." },
        { CLUSTER("rescue.keep_age", SCHEMA_DURATION, rescue.keep_age), .otherwise = "30d", .min = 0, .max = 3650 * USEC_DAY,
          .meaning = "How long saved logs are kept after their run; 0: however old they are. What the last failover saved that lost something stays." },
        { CLUSTER("rescue.keep_bytes", SCHEMA_SIZE, rescue.keep_bytes), .otherwise = "none",
          .meaning = "How much of a cluster's saved logs is kept at most, beside those of the last run; the oldest go first. none: no limit." },

        { SECTION(SCHEMA_CLUSTER, "switchover"), .meaning = "When and how a switchover (mhactl switch) is done." },
        { CLUSTER("switchover.max_lag", SCHEMA_DURATION, switchover.max_lag), .otherwise = "30s", .min = USEC_SEC, .max = USEC_DAY, .effect = SCHEMA_NEXT_RUN, .mha = "seconds_behind_master",
          .meaning = "Refused when a replica is farther behind, unless it is so on purpose. Before writes are blocked, the candidate catches up." },
        { CLUSTER("switchover.running_updates_limit", SCHEMA_DURATION, switchover.running_updates_limit), .otherwise = "1s", .min = USEC_SEC, .max = USEC_DAY, .effect = SCHEMA_NEXT_RUN, .mha = "--running_updates_limit",
          .meaning = "Refused when a statement that may change data has been running on the primary for so long, or a transaction with changes has been open." },
        { CLUSTER("switchover.running_seconds_limit", SCHEMA_DURATION, switchover.running_seconds_limit), .otherwise = "10s", .min = USEC_SEC, .max = USEC_DAY, .effect = SCHEMA_NEXT_RUN, .mha = "--running_seconds_limit",
          .meaning = "Refused when any statement of a client has been running on the candidate for so long." },
        { CLUSTER("switchover.max_write_block", SCHEMA_DURATION, switchover.max_write_block), .otherwise = "5s", .min = 100 * USEC_MSEC, .max = 10 * USEC_MINUTE, .effect = SCHEMA_NEXT_RUN,
          .meaning = "How long writes may be blocked before the new primary is opened; past it, everything is taken back." },
        { CLUSTER("switchover.kill_sessions", SCHEMA_CHOICE, switchover.kill_sessions), .otherwise = "all", .choices = kills, .effect = SCHEMA_NEXT_RUN,
          .meaning = "Which client sessions are ended on the old primary. all: with MySQL in the write block, so that what a session with temporary tables logs when it ends is before the end of the log; with MariaDB, where that is not logged, as soon as the new primary is open, unless they hold the block up. after-grace: those whose statements hold the block up at once, the others kill_grace later, so that reads may end; those that came by the virtual address lose their connection with it. none. In any case those that wait for the lock. With MySQL 5, and where binlog_format is STATEMENT, choose all when clients use temporary tables: what a session logs that ends after the end leaves transactions on the old primary that no other has. Never replication, the server's own or the daemon's." },
        { CLUSTER("switchover.kill_grace", SCHEMA_DURATION, switchover.kill_grace), .otherwise = "5s", .min = USEC_SEC, .max = USEC_HOUR, .effect = SCHEMA_NEXT_RUN,
          .meaning = "For kill_sessions: after-grace." },
        { CLUSTER("switchover.demote", SCHEMA_BOOL, switchover.demote), .otherwise = "true", .effect = SCHEMA_NEXT_RUN, .mha = "--orig_master_is_new_slave",
          .meaning = "Whether the old primary becomes a replica of the new one; else it stays as it is, read-only." },
        { CLUSTER("switchover.multi_tier", SCHEMA_CHOICE, switchover.multi_tier), .otherwise = "stay", .choices = tiers, .effect = SCHEMA_NEXT_RUN,
          .meaning = "What becomes of replicas of replicas. stay: each goes on following the server that it follows. follow: they follow the new primary itself. mhactl switch --multi-tier says otherwise for once." },
};
/* clang-format on */
const size_t schema_n_rows = ARRAY_LENGTH(schema_rows);
_Static_assert(ARRAY_LENGTH(schema_rows) <= SCHEMA_MAX_ROWS, "SCHEMA_MAX_ROWS is too small");

const SchemaRow *schema_find(SchemaScope scope, const char *path)
{
        SCHEMA_FOREACH(row, scope)
                if (strcmp(row->path, path) == 0)
                        return row;
        return NULL;
}

const char *schema_leaf(const SchemaRow *row)
{
        const char *dot = strrchr(row->path, '.');
        return dot ? dot + 1 : row->path;
}

static bool is_directly_below(const SchemaRow *row, const char *section)
{
        size_t length = strlen(section);
        if (length == 0)
                return !strchr(row->path, '.');
        return text_starts_with(row->path, section) && row->path[length] == '.' && !strchr(row->path + length + 1, '.');
}

const char *schema_nearest(SchemaScope scope, const char *section, const char *key)
{
        const char *names[SCHEMA_MAX_ROWS];
        size_t n = 0;
        SCHEMA_FOREACH(row, scope)
                if (is_directly_below(row, section))
                        names[n++] = schema_leaf(row);
        return text_nearest(key, names, n);
}

static const char *const effect_names[_SCHEMA_EFFECT_MAX] = {
        [SCHEMA_AT_ONCE] = "at once",
        [SCHEMA_NEXT_RUN] = "at the next run",
        [SCHEMA_RESTART] = "after a restart",
};
ENUM_TO_STRING(schema_effect, SchemaEffect, effect_names)

static const char *const type_words[_SCHEMA_TYPE_MAX] = {
        [SCHEMA_SECTION] = "map",
        [SCHEMA_DEFAULTS] = "map",
        [SCHEMA_SERVERS] = "list of maps",
        [SCHEMA_OBSERVERS] = "list of maps",
        [SCHEMA_BOOL] = "true or false",
        [SCHEMA_PORT] = "port",
        [SCHEMA_COUNT] = "number",
        [SCHEMA_DURATION] = "duration",
        [SCHEMA_SIZE] = "size (64MiB) or none",
        [SCHEMA_CHOICE] = "choice",
        [SCHEMA_TEXT] = "text",
        [SCHEMA_CLUSTER_NAME] = "name",
        [SCHEMA_SERVER_NAME] = "name",
        [SCHEMA_HOST] = "host name or address",
        [SCHEMA_ACCOUNT] = "account",
        [SCHEMA_GROUP] = "group",
        [SCHEMA_PATH] = "absolute path",
        [SCHEMA_FILE] = "absolute path of a file that can be read",
        [SCHEMA_KEY_FILE] = "absolute path of a private file",
        [SCHEMA_NETWORK_ADDRESS] = "address/length",
        [SCHEMA_ENDPOINT] = "address:port",
        [SCHEMA_DEVICE] = "network device",
        [SCHEMA_TABLE] = "schema.table",
        [SCHEMA_COMMAND] = "shell command",
        [SCHEMA_ARGUMENTS] = "list: an absolute program and its arguments",
        [SCHEMA_SECRET] = "secret",
        [SCHEMA_SECRET_FILE] = "absolute path of a private file",
        [SCHEMA_SECRET_CREDENTIAL] = "name",
        [SCHEMA_SECRET_COMMAND] = "list: an absolute program and its arguments",
};

static char *describe_choices(const SchemaRow *row)
{
        Text out = { 0 };
        for (const char *const *choice = row->choices; *choice; choice++) {
                text_separate(&out, " | ");
                text_add(&out, *choice);
        }
        return text_take(&out);
}

char *schema_describe_type(const SchemaRow *row)
{
        if (row->type == SCHEMA_CHOICE)
                return describe_choices(row);
        if (row->type == SCHEMA_COUNT)
                return text_format("number from %ju to %ju", (uintmax_t) row->min, (uintmax_t) row->max);
        if (row->type == SCHEMA_DURATION) {
                CLEANUP(mem_free) char *min = usec_format(row->min), *max = usec_format(row->max);
                return text_format("duration from %s to %s", min, max);
        }
        return alloc_string(type_words[row->type]);
}
