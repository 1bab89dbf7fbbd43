/* The table of MHA's parameters. Constant. */
#include "mha.h"

#include <ctype.h>
#include <string.h>

#include "text.h"

/* clang-format off */
const MhaParameter mha_parameters[] = {
        { "hostname", false, "where ip is given, host is that, and this is only what scripts are told" },
        { "ip", false, "goes before hostname" },
        { "port", true, NULL },
        { "node_label", false, "becomes the server's name" },
        { "ssh_host", false, NULL },
        { "ssh_ip", false, "MHA ignores it; here ssh_host may be an address" },
        { "ssh_port", true, NULL },
        { "ssh_connection_timeout", true, NULL },
        { "ssh_options", true, "no program ssh is run: -i, UserKnownHostsFile and StrictHostKeyChecking have keys, the rest has no meaning" },
        { "ssh_user", true, NULL },
        { "user", true, NULL },
        { "password", true, "kept in a file of its own" },
        { "repl_user", true, "required here: it is not read from the replicas" },
        { "repl_password", true, "kept in a file of its own" },
        { "disable_log_bin", true, "missing events reach a replica by replication itself, not through a client" },
        { "handle_raw_binlog", true, "missing events are never turned into text" },
        { "master_pid_file", true, "the process is found on the host" },
        { "master_binlog_dir", true, "asked from the server while it runs; one folder, where a dead server's logs are" },
        { "remote_workdir", true, "nothing is kept on the hosts" },
        { "manager_workdir", true, "one folder for all clusters" },
        { "manager_log", true, "the journal of systemd: journalctl -u mhad" },
        { "log_level", true, "one level for all clusters" },
        { "check_repl_delay", true, "1 is a limit of 96MiB, 0 is none; a difference of the log's file alone disqualifies nobody" },
        { "check_repl_filter", true, "filters are always compared; a replica whose filters differ is not promoted" },
        { "latest_priority", true, "the most advanced replica is never passed over at the price of a transaction; the order of servers is only a tie-breaker" },
        { "multi_tier_slave", true, "who replicates from whom is read from the servers" },
        { "candidate_master", false, NULL },
        { "no_master", false, NULL },
        { "ignore_fail", false, "of the whole cluster: continue (1) or abort (0)" },
        { "skip_init_ssh_check", false, "an unreachable host is reported and holds nothing up" },
        { "skip_reset_slave", true, "a new primary never stays a replica" },
        { "use_gtid_auto_pos", true, "whether a replica is pointed by GTID is read from the replica" },
        { "ping_interval", true, "the pings' time-outs are keys of their own" },
        { "ping_type", true, NULL },
        { "secondary_check_script", true, "replicas are asked in any case; further hosts of masterha_secondary_check become observers" },
        { "master_ip_failover_script", true, "an address that only moves from host to host needs no script: see address" },
        { "master_ip_online_change_script", true, "an address that only moves from host to host needs no script: see address" },
        { "shutdown_script", true, NULL },
        { "report_script", true, NULL },
        { "init_conf_load_script", true, "password_file, a credential or password_command tell a secret without it" },
        { "client_bindir", true, "no program of the database is run" },
        { "client_libdir", true, "no program of the database is run" },
};
/* clang-format on */
const size_t mha_n_parameters = ARRAY_LENGTH(mha_parameters);

const MhaParameter *mha_find(const char *name)
{
        for (size_t i = 0; i < mha_n_parameters; i++)
                if (strcmp(mha_parameters[i].name, name) == 0)
                        return &mha_parameters[i];
        return NULL;
}

const char *mha_nearest(const char *name)
{
        const char *names[ARRAY_LENGTH(mha_parameters)];
        for (size_t i = 0; i < mha_n_parameters; i++)
                names[i] = mha_parameters[i].name;
        return strlen(name) < 64 ? text_nearest(name, names, mha_n_parameters) : NULL;
}

static bool is_of_word(char c)
{
        return isalnum((unsigned char) c) || c == '_' || c == '-' || c == '.';
}

bool mha_is_meant(const SchemaRow *row, const char *name)
{
        size_t length = strlen(name);
        for (const char *at = row->mha; at && (at = strstr(at, name)); at += length)
                if ((at == row->mha || !is_of_word(at[-1])) && !is_of_word(at[length]))
                        return true;
        return false;
}

char *mha_keys(const char *name)
{
        static const char *const prefixes[_SCHEMA_SCOPE_MAX] = {
                [SCHEMA_SERVER] = "servers: ", [SCHEMA_OBSERVER] = "observers: "
        };
        Text keys = { 0 };
        for (size_t i = 0; i < schema_n_rows; i++)
                if (mha_is_meant(&schema_rows[i], name)) {
                        const char *prefix = prefixes[schema_rows[i].scope];
                        text_separate(&keys, ", ");
                        text_addf(&keys, "%s%s", prefix ? prefix : "", schema_rows[i].path);
                }
        return keys.length ? text_take(&keys) : NULL;
}
