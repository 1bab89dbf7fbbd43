/* The table of checks. Pure. Must never judge anything: it only knows what a finding means. */
#include "checklist.h"

#include <stdarg.h>

#include "enum.h"
#include "text.h"

static const char *const level_names[_CHECK_LEVEL_MAX] = {
        [CHECK_LEVEL_OK] = "ok",
        [CHECK_LEVEL_NOTE] = "note",
        [CHECK_LEVEL_WARNING] = "warning",
        [CHECK_LEVEL_ERROR] = "error",
};
ENUM_STRINGS(check_level, CheckLevel, level_names)

static const char *const kind_names[_CHECK_KIND_MAX] = {
        [CHECK_KIND_SSH] = "ssh",
        [CHECK_KIND_REPLICATION] = "replication",
        [CHECK_KIND_FAILOVER] = "failover",
        [CHECK_KIND_CONFIG] = "config",
};
ENUM_STRINGS(check_kind, CheckKind, kind_names)

#define SSH(level) CHECK_KIND_SSH, CHECK_LEVEL_##level
#define REPLICATION(level) CHECK_KIND_REPLICATION, CHECK_LEVEL_##level
#define FAILOVER(level) CHECK_KIND_FAILOVER, CHECK_LEVEL_##level
#define CONFIG(level) CHECK_KIND_CONFIG, CHECK_LEVEL_##level

/* clang-format off */
static const CheckRow rows[_CHECK_ID_MAX] = {
        [CHECK_SSH] = { "ssh", SSH(OK), "All that mhad does by SSH can be done on this host.", NULL },
        [CHECK_SSH_DISABLED] = { "ssh_disabled", SSH(WARNING), "ssh.enabled is false: there are no second opinions but the replicas', the old primary cannot be stopped, the address cannot be moved, and what only a dead primary has cannot be saved.", "set ssh.enabled and give mhad a key" },
        [CHECK_SSH_UNREACHABLE] = { "ssh_unreachable", SSH(ERROR), "No SSH session to the host comes about.", "see that sshd runs there, that ssh_host and ssh_port are right, and that no firewall is between" },
        [CHECK_SSH_HOST_KEY] = { "ssh_host_key", SSH(ERROR), "The host's key is not the one in ssh.known_hosts_file, or is not in it.", "when the key is right, put it there: ssh-keygen -R removes an old one, ssh-keyscan fetches the new one" },
        [CHECK_SSH_LOGIN] = { "ssh_login", SSH(ERROR), "The host does not let the account of ssh.user in with the key of ssh.identity_file.", "append the public key to ~/.ssh/authorized_keys of that account there; sshd's log says more" },
        [CHECK_SSH_COMMAND] = { "ssh_command", SSH(ERROR), "The account can log in, but commands are not carried out.", "give it a POSIX shell, and no forced command in authorized_keys" },
        [CHECK_SSH_SUDO] = { "ssh_sudo", SSH(ERROR), "ssh.sudo is set, and sudo -n does not run a shell there.", "allow it in sudoers: USER ALL=(root) NOPASSWD: ALL; or ssh.sudo: commands, which needs less: mhad-privileges(7)" },
        [CHECK_SSH_RIGHTS] = { "ssh_rights", SSH(ERROR), "The account can neither stop the database nor change addresses.", "use root, or an account with sudo and ssh.sudo: mhad-privileges(7) has the lines for sudoers" },
        [CHECK_SSH_FORWARDING] = { "ssh_forwarding", SSH(ERROR), "sshd forbids to forward connections (direct-tcpip): the host cannot give a second opinion.", "in its sshd_config: AllowTcpForwarding yes, and no PermitOpen, DisableForwarding or restrict that forbids it" },
        [CHECK_SSH_PATH] = { "ssh_path", SSH(WARNING), "From this host another server's database port cannot be reached: it would take that server for dead.", "see to the firewall and the names between the two; a replica needs that way after a failover, too" },
        [CHECK_SSH_REVERSE] = { "ssh_reverse", SSH(ERROR), "sshd forbids ports of its host that lead to mhad: the replica there cannot be fed what it lacks of a dead primary.", "in its sshd_config: AllowTcpForwarding yes, and no PermitListen that forbids it; or set rescue.listen" },
        [CHECK_SSH_BINLOGS] = { "ssh_binlogs", SSH(ERROR), "The binary logs of this server cannot be read by SSH: when it dies as the primary, what only it has is lost.", "let the account read the directory (root, or a member of its group: mhad-privileges(7)), and set binlog_directory when it is another one than the server says" },
        [CHECK_SSH_ADDRESS] = { "ssh_address", SSH(ERROR), "The address could not be put on this host or taken from it.", "install iproute2 there, set address.device, and use an account that may change addresses" },
        [CHECK_SSH_ANNOUNCEMENT] = { "ssh_announcement", SSH(WARNING), "Nothing there can tell the network that the address has moved.", "install perl or arping there" },
        [CHECK_SSH_PROGRAMS] = { "ssh_programs", SSH(ERROR), "A program that mhad needs on the host is not there.", "install it; ss is in iproute2" },
        [CHECK_SSH_SYSTEMD] = { "ssh_systemd", SSH(NOTE), "The host is not run by systemd: the process of a fenced database is killed, and whatever supervises it may start it again.", "when something there restarts the database, set fence.command to what stops it for good" },
        [CHECK_SSH_CLOCK] = { "ssh_clock", SSH(WARNING), "The host's clock is not that of mhad's host: lags and times in reports are wrong by as much.", "run chrony or another client of NTP on both" },
        [CHECK_SSH_MESH] = { "ssh_mesh", SSH(ERROR), "With --mesh: the account cannot log in from this host to another one by its own keys, as MHA wanted it. mhad does not need that.", "exchange keys if other programs need it; mhad itself works without" },

        [CHECK_REPLICATION] = { "replication", REPLICATION(OK), "Nothing is wrong with this server.", NULL },
        [CHECK_UNANSWERED] = { "unanswered", REPLICATION(ERROR), "The server could not be asked, or did not understand a question.", "see what mhactl status says about it" },
        [CHECK_DOWNTIME] = { "downtime", REPLICATION(NOTE), "The server was taken out for a while, and is not checked.", "mhactl server up, when it is back" },
        [CHECK_ACCOUNT_PRIVILEGES] = { "account_privileges", REPLICATION(ERROR), "The account of sql lacks a privilege.", "GRANT it on *.* to the account on that server; mhad-privileges(7) has the statements" },
        [CHECK_REPLICATION_ACCOUNT] = { "replication_account", REPLICATION(ERROR), "The replication account does not exist on a server that may become the primary, or lacks REPLICATION SLAVE there.", "CREATE USER and GRANT REPLICATION SLAVE ON *.* on the primary, so that it replicates" },
        [CHECK_REPLICATION_ACCOUNT_UNKNOWN] = { "replication_account_unknown", REPLICATION(NOTE), "Whether the replication account is there cannot be seen.", "GRANT SELECT ON mysql.* to the account of sql" },
        [CHECK_REPLICATION_USER] = { "replication_user", REPLICATION(NOTE), "A replica replicates with another account than replication.user; a failover makes it use that one.", "see that replication.user is the account that you want" },
        [CHECK_REPLICATION_PASSWORD] = { "replication_password", REPLICATION(WARNING), "No password of the replication account is configured. One that only the replicas know is lost to a replica that a failover feeds, for the feed has a password of its own: it replicates without a password afterwards.", "configure replication.password, unless the account has none, as with a certificate" },
        [CHECK_ERRANT] = { "errant", REPLICATION(ERROR), "A replica has transactions that its primary lacks: it is another database, and a switchover refuses.", "look at them with mysqlbinlog; then make it anew from a backup, or, when they are harmless, give the primary empty transactions of the same ids" },
        [CHECK_PURGED] = { "purged", REPLICATION(ERROR), "The primary has purged binary logs that a replica still needs.", "make the replica anew from a backup" },
        [CHECK_PURGED_ELSEWHERE] = { "purged_elsewhere", REPLICATION(WARNING), "A server that may become the primary has purged binary logs that a replica still needs: after its promotion that one could not follow.", "let the replica catch up; keep binary logs longer (binlog_expire_logs_seconds, expire_logs_days)" },
        [CHECK_GTID_MIXED] = { "gtid_mixed", REPLICATION(WARNING), "Some servers or replicas use global transaction ids and others do not: all are treated as by position.", "use one mode on all of them" },
        [CHECK_GTID_LOOSE] = { "gtid_loose", REPLICATION(NOTE), "gtid_strict_mode is off: the server takes transactions out of order without a word.", "SET GLOBAL gtid_strict_mode = ON, and in the option file" },
        [CHECK_VERSION_OLDER] = { "version_older", REPLICATION(WARNING), "The server is of an older series than the primary: replication from newer to older is not supported.", "upgrade replicas first; set promotion: never meanwhile" },
        [CHECK_LOG_SLAVE_UPDATES] = { "log_slave_updates", REPLICATION(WARNING), "The replica does not write what it replicates into its own binary log: others cannot get it from there when it is promoted.", "log_slave_updates (log_replica_updates) = ON in the option file, and restart it" },
        [CHECK_RELAY_LOG_PURGE] = { "relay_log_purge", REPLICATION(NOTE), "By position only relay logs can give a replica what it lacks when the primary's host is gone, whatever is in the replicas' own binary logs: one that removes them as soon as they are applied may have nothing left to give.", "SET GLOBAL relay_log_purge = OFF, and in the option file; mhactl purge-relay-logs removes them in time" },
        [CHECK_RELAY_LOG_RECOVERY] = { "relay_log_recovery", REPLICATION(WARNING), "The replica keeps its position in files: after a crash it may apply transactions twice.", "relay_log_info_repository = TABLE and relay_log_recovery = ON" },
        [CHECK_BINLOG_FILTERS] = { "binlog_filters", REPLICATION(ERROR), "binlog_do_db or binlog_ignore_db differ between servers, or from the filters of replication: after a promotion replicas miss other databases than before.", "use the same on all servers; better none" },
        [CHECK_BINLOG_FORMAT] = { "binlog_format", REPLICATION(WARNING), "The binary log holds statements, not rows: replicas may come to other results, and triggers and functions are run again.", "binlog_format = ROW" },
        [CHECK_SEMI_SYNC_OFF] = { "semi_sync_off", REPLICATION(NOTE), "Replication is asynchronous: what was committed in the moment before the primary's host is lost is only on that host.", "semi-synchronous replication bounds the loss to nothing, at the price of a round trip a commit; its time-out must be longer than it takes to fence a primary" },
        [CHECK_SEMI_SYNC_INACTIVE] = { "semi_sync_inactive", REPLICATION(WARNING), "Semi-synchronous replication is enabled, but not at work, or not on every server that may become the primary: commits wait for nobody now or after a failover.", "enable the role of the primary and that of the replica on each server, and start the receivers again" },
        [CHECK_SEMI_SYNC_LOCKS] = { "semi_sync_locks", REPLICATION(WARNING), "Commits wait for more acknowledgements than replicas give them, or would when one replica is gone: they stand for the time-out of semi-sync then.", "lower the number of replicas to wait for, or have more of them" },
        [CHECK_SEMI_SYNC_WAIT_POINT] = { "semi_sync_wait_point", REPLICATION(WARNING), "The primary commits before it waits (AFTER_COMMIT): others see what may be lost with it.", "rpl_semi_sync_master_wait_point (rpl_semi_sync_source_wait_point) = AFTER_SYNC" },
        [CHECK_DURABILITY] = { "durability", REPLICATION(WARNING), "After a crash of the server's host, acknowledged transactions may be missing from its log or its tables.", "sync_binlog = 1 and innodb_flush_log_at_trx_commit = 1" },
        [CHECK_HEARTBEAT] = { "heartbeat", REPLICATION(WARNING), "The replica would notice late that its primary is cut off.", "slave_net_timeout (replica_net_timeout) = 4; the heartbeat is set to replication.heartbeat by the next failover or switchover, or by hand by CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD (CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD)" },
        [CHECK_VARIABLES] = { "variables", REPLICATION(WARNING), "A variable that decides what data means is not the same on all servers: the application would meet another database after a failover.", "set it to the same value everywhere, in the option files too" },
        [CHECK_SETTINGS] = { "settings", REPLICATION(NOTE), "A variable that decides how much a server bears or keeps is not the same on all servers.", "when it is not on purpose, set it to the same value everywhere" },
        [CHECK_PRIMARY_KEY] = { "primary_key", REPLICATION(WARNING), "Tables without a primary key: with rows in the binary log replicas read the whole table for each row that changes, and lag.", "give them primary keys" },
        [CHECK_PRIMARY_KEY_UNKNOWN] = { "primary_key_unknown", REPLICATION(NOTE), "Which tables have no primary key cannot be seen.", "GRANT SELECT ON *.* to the account of sql" },
        [CHECK_HOOK_STATUS] = { "hook_status", REPLICATION(ERROR), "The hook status, or a script of MHA's with --command=status, says that the hooks would not work, or did not end.", "see what it says when it is run by hand with the same input, as mhad's user; it has some seconds to end" },
        [CHECK_HOOK] = { "hook", REPLICATION(ERROR), "The program of a hook cannot be run by mhad.", "see that the path is right and that mhad's user may execute it" },

        [CHECK_CANDIDATE] = { "candidate", FAILOVER(OK), "Who would be promoted if the primary died now, and why.", NULL },
        [CHECK_NO_CANDIDATE] = { "no_candidate", FAILOVER(ERROR), "Nobody could be promoted if the primary died now.", "see what mhactl check replication says about the replicas" },
        [CHECK_GUARD] = { "guard", FAILOVER(ERROR), "There would be no failover by itself, for this reason.", "the sentence says what to type" },
        [CHECK_LOSS] = { "loss", FAILOVER(OK), "What would be lost at most: nothing that was acknowledged.", NULL },
        [CHECK_LOSS_POSSIBLE] = { "loss_possible", FAILOVER(WARNING), "What would be lost at most, and when.", "semi-synchronous replication, SSH to the primary's host, and logs on storage that survives the host" },
        [CHECK_DURATION] = { "duration", FAILOVER(OK), "How long nobody could write, from the times of the configuration.", NULL },
        [CHECK_REPLICA_DIES] = { "replica_dies", FAILOVER(OK), "What would change if this replica died now.", NULL },
        [CHECK_LAST_REPLICA] = { "last_replica", FAILOVER(WARNING), "If this replica died now, the primary's death would leave nobody to be promoted.", "have another replica that can be promoted" },

        [CHECK_SCRIPTS] = { "scripts", FAILOVER(ERROR), "The hook status, or a script of MHA's with --command=status, said that the hooks would not work when the primary was found.", "mhactl check replication asks anew" },
        [CHECK_SCRIPTS_WELL] = { "scripts_well", FAILOVER(OK), "The hook status and MHA's scripts said that the hooks would work when the primary was found.", NULL },
        [CHECK_UNUSABLE] = { "unusable", FAILOVER(ERROR), "The cluster is configured and cannot be watched.", "the sentence says why; restart mhad when it is mended" },

        [CHECK_CONFIG] = { "config", CONFIG(OK), "The configuration on disk has no errors.", NULL },
        [CHECK_CONFIG_ERROR] = { "config_error", CONFIG(ERROR), "The configuration on disk cannot be used: a reload would be refused, and a start would fail.", "the line names file, line and column" },
        [CHECK_CONFIG_WARNING] = { "config_warning", CONFIG(WARNING), "The configuration on disk is allowed, but unwise.", "the line names file, line and column" },
};

/* Of these the level is said by the problem itself. */
static const CheckRow problems[_PROBLEM_MAX] = {
        [PROBLEM_NO_PRIMARY] = { "no_primary", REPLICATION(ERROR), "No server can be told to be the primary.", "start the primary, or make one server writable and let the others follow it" },
        [PROBLEM_TWO_PRIMARIES] = { "two_primaries", REPLICATION(ERROR), "Two servers that do not follow each other are writable.", "SET GLOBAL read_only = ON on the one that is not the primary, at once; then compare the data" },
        [PROBLEM_ALL_READ_ONLY] = { "all_read_only", REPLICATION(ERROR), "The primary is read-only: nobody can write.", "SET GLOBAL read_only = OFF on it, when it is the right one" },
        [PROBLEM_AMBIGUOUS_PRIMARY] = { "ambiguous_primary", REPLICATION(ERROR), "Servers disagree on who is the primary.", "see whom each replica follows, and make exactly one root writable; bring back who was the primary last, or take it out with mhactl server remove" },
        [PROBLEM_WRITABLE_REPLICA] = { "writable_replica", REPLICATION(WARNING), "A replica can be written to: a stray write makes it another database.", "read_only = ON on it, and in its option file" },
        [PROBLEM_UNKNOWN_SOURCE] = { "unknown_source", REPLICATION(ERROR), "A server follows one that is not in the configuration.", "add that server to the cluster, or point the replica at the primary" },
        [PROBLEM_OTHER_SOURCE] = { "other_source", REPLICATION(WARNING), "A server follows another one than the primary, or a dead one.", "point it at the primary" },
        [PROBLEM_ALONE] = { "alone", REPLICATION(WARNING), "A server neither replicates nor is the primary.", "attach it, or take it out of the configuration" },
        [PROBLEM_SEVERAL_CHANNELS] = { "several_channels", REPLICATION(ERROR), "A server replicates over several channels; only the default one is supported.", "take the others away, or the server out of the cluster" },
        [PROBLEM_RECEIVER_STOPPED] = { "receiver_stopped", REPLICATION(WARNING), "A replica's receiver is stopped.", "START SLAVE IO_THREAD (START REPLICA IO_THREAD)" },
        [PROBLEM_RECEIVER_ERROR] = { "receiver_error", REPLICATION(WARNING), "A replica cannot receive.", "the error says why: mostly the account, the network, or logs that were purged" },
        [PROBLEM_APPLIER_STOPPED] = { "applier_stopped", REPLICATION(WARNING), "A replica's applier is stopped.", "START SLAVE SQL_THREAD (START REPLICA SQL_THREAD)" },
        [PROBLEM_APPLIER_ERROR] = { "applier_error", REPLICATION(WARNING), "A replica cannot apply: it is never promoted.", "the error says why; when the data differ, make it anew from a backup" },
        [PROBLEM_LAG] = { "lag", REPLICATION(WARNING), "A replica is farther behind than switchover.max_lag.", "see what it is busy with; parallel appliers and primary keys help" },
        [PROBLEM_DELAYED] = { "delayed", REPLICATION(WARNING), "A replica is behind on purpose: it is never promoted.", NULL },
        [PROBLEM_NO_BINLOG] = { "no_binlog", REPLICATION(WARNING), "A replica writes no binary log: it is never promoted.", "log_bin in its option file, and restart it" },
        [PROBLEM_FILTERS_DIFFER] = { "filters_differ", REPLICATION(WARNING), "A replica has other filters than another one: it lacks data and is never promoted as long as there is another one.", "use the same filters on all replicas; better none" },
        [PROBLEM_SERVER_DOWN] = { "server_down", REPLICATION(WARNING), "A server other than the primary does not answer.", "start it, or take it out of the configuration" },
        [PROBLEM_SERVER_ERROR] = { "server_error", REPLICATION(WARNING), "A server lives, but does not let mhad in.", "see to the account of sql, max_connections and blocked hosts there" },
        [PROBLEM_SERVER_UNREADABLE] = { "server_unreadable", REPLICATION(WARNING), "A server answers, but does not say what has to be known of it: it is never promoted, and a failover leaves it out.", "mhactl check replication says what its account lacks, mhad-privileges(7) what to GRANT; or take it out with mhactl server down" },
        [PROBLEM_SERVER_UNASKED] = { "server_unasked", REPLICATION(WARNING), "No attempt to ask a server gets as far as to it: its name does not resolve, or TLS does not come about. Whether it lives is not known.", "see to its host in the configuration, to the names that this host resolves, and to sql.tls; or take it out with mhactl server down" },
        [PROBLEM_DUPLICATE_ID] = { "duplicate_id", REPLICATION(ERROR), "Two servers have the same server_id or UUID.", "give each a server_id of its own; a copied data directory must lose its auto.cnf" },
        [PROBLEM_MIXED_FLAVOURS] = { "mixed_flavours", REPLICATION(ERROR), "MySQL and MariaDB are mixed in one cluster.", "use one of them" },
        [PROBLEM_LOCKED] = { "locked", REPLICATION(WARNING), "Writers on the primary wait for more replicas to acknowledge (semi-sync) than can do so: nothing is written until the time-out of semi-sync.", "start the receivers of the replicas, or wait for fewer (rpl_semi_sync_source_wait_for_replica_count), or not at all" },
        [PROBLEM_OTHER_MANAGER] = { "other_manager", REPLICATION(ERROR), "Another manager, of MHA or another mhad, has MHA's lock on a server.", "end it (masterha_stop), or set failover.mode: monitor here" },
};
/* clang-format on */

const CheckRow *check_row(CheckId id)
{
        return &rows[id];
}

const CheckRow *check_problem_row(ProblemId id)
{
        return &problems[id];
}

static void add(Json *results, const CheckRow *row, CheckLevel level, const char *server, const char *text)
{
        Json *result = json_object();
        json_set_string(result, "server", server);
        json_set_string(result, "level", check_level_to_string(level));
        json_set_string(result, "id", row->name);
        json_set_string(result, "text", text);
        json_set_string(result, "remedy", level == CHECK_LEVEL_OK ? NULL : row->remedy);
        json_append(results, result);
}

void check_add(Json *results, CheckId id, const char *server, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        add(results, &rows[id], rows[id].level, server, text);
}

void check_add_as(Json *results, CheckId id, CheckLevel level, const char *server, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        add(results, &rows[id], level, server, text);
}

void check_add_problem(Json *results, const Problem *problem, const char *server)
{
        add(results, &problems[problem->id], problem->blocks ? CHECK_LEVEL_ERROR : CHECK_LEVEL_WARNING, server,
            problem->text);
}

bool check_has(const Json *results, const char *server, CheckLevel level)
{
        JSON_FOREACH(result, results)
        {
                bool concerns = !server || text_equal(json_get_string(result, "server"), server);
                CheckLevel found = check_level_from_string(json_get_string(result, "level"));
                if (concerns && (int) found >= (int) level)
                        return true;
        }
        return false;
}
