/* What must hold between several keys of a cluster. Pure but for the look at a default file; must never change the
 * draft. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "draft.h"
#include "host.h"
#include "text.h"
#include "value.h"

static void check_required(const Draft *draft, Reading *reading)
{
        if (reading->offline && draft->config->hooks.mha.init_conf_load_script)
                return; /* it may say what is missing */
        SCHEMA_FOREACH(row, SCHEMA_CLUSTER)
        if (row->required && !draft_mentions(draft, row->path))
                draft_error(draft, reading, row->path, "%s is missing", row->path);
}

static bool is_same_place(const Server *a, const Server *b)
{
        return a->port == b->port && host_is_same(a->host, b->host);
}

static void check_duplicates(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        for (size_t i = 0; i < config->n_servers; i++)
                for (size_t j = 0; j < i; j++)
                        if (is_same_place(&config->servers[i], &config->servers[j])) {
                                const Server *server = &config->servers[i];
                                CLEANUP(mem_free) char *place = host_and_port(server->host, server->port);
                                reading_error(reading, draft->server_places[i], "%s is the server \"%s\" already",
                                              place, config->servers[j].name);
                                break;
                        }
}

static void check_servers(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        size_t n_promotable = 0;
        if (!draft_mentions(draft, "servers"))
                return;
        for (size_t i = 0; i < config->n_servers; i++)
                n_promotable += config->servers[i].promotion != PROMOTION_NEVER;
        if (config->n_servers == 0)
                draft_error(draft, reading, "servers", "servers: there must be at least one");
        else if (config->n_servers == 1)
                draft_warn(draft, reading, "servers", "servers: with only one there is nothing to fail over to");
        else if (n_promotable < 2)
                draft_warn(draft, reading, "servers",
                           "servers: promotion is \"never\" on all but %zu: there may be nothing to fail over to",
                           n_promotable);
        check_duplicates(draft, reading);
}

static void check_accounts(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        static const char *const forms[] = { "password", "password_file", "password_credential", "password_command" };
        bool sql = config->sql.password, replication = config->replication.password;
        for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
                CLEANUP(mem_free) char *of_sql = text_format("sql.%s", forms[i]);
                CLEANUP(mem_free) char *of_replication = text_format("replication.%s", forms[i]);
                sql = sql || draft_mentions(draft, of_sql);
                replication = replication || draft_mentions(draft, of_replication);
        }
        if (!sql && !config->sql.tls.key_file)
                draft_warn(draft, reading, "sql", "sql: the account has no password");
        if (!replication)
                draft_warn(draft, reading, "replication", "replication: the account has no password");
}

static void check_tls(const Draft *draft, Reading *reading)
{
        const SqlTlsConfig *tls = &draft->config->sql.tls;
        if (tls->mode == SQL_TLS_VERIFY && !tls->ca_file && !draft_mentions(draft, "sql.tls.ca_file"))
                draft_error(draft, reading, "sql.tls.mode", "sql.tls.mode: \"verify\" needs sql.tls.ca_file");
        if (!tls->certificate_file != !tls->key_file &&
            draft_mentions(draft, "sql.tls.certificate_file") != draft_mentions(draft, "sql.tls.key_file"))
                draft_error(draft, reading, "sql.tls", "sql.tls: certificate_file and key_file must be given together");
}

static void check_replication(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        if (config->replication.connect_retry % USEC_SEC)
                draft_error(draft, reading, "replication.connect_retry",
                            "replication.connect_retry must be whole seconds");
        if (config->detection.heartbeat_stale <= 2 * config->replication.heartbeat)
                draft_warn(draft, reading, "detection.heartbeat_stale",
                           "detection.heartbeat_stale should be more than twice replication.heartbeat");
}

static void check_ssh(const Draft *draft, Reading *reading)
{
        const SshConfig *ssh = &draft->config->ssh;
        if (!ssh->enabled) {
                if (draft->config->n_observers)
                        draft_warn(draft, reading, "observers", "observers cannot be asked: ssh.enabled is false");
                return;
        }
        if (!reading->offline && !ssh->identity_file && !draft_mentions(draft, "ssh.identity_file"))
                draft_error(draft, reading, "ssh",
                            "ssh.identity_file is missing, and the daemon's user has no key in ~/.ssh: make one with "
                            "ssh-keygen, let the hosts accept it, and name it, or set ssh.enabled to false");
        if (!ssh->strict_host_keys) {
                draft_warn(draft, reading, "ssh.strict_host_keys",
                           "ssh.strict_host_keys is off: whoever answers as one of the hosts is believed");
                return;
        }
        /* A path that was written down was looked at when it was read. */
        if (reading->offline || draft_mentions(draft, "ssh.known_hosts_file"))
                return;
        if (!ssh->known_hosts_file)
                draft_error(draft, reading, "ssh", "ssh.known_hosts_file is missing");
        else if (access(ssh->known_hosts_file, R_OK) < 0)
                draft_error(draft, reading, "ssh",
                            "ssh.known_hosts_file: cannot read %s: %s (make it with ssh-keyscan, or set ssh.enabled to "
                            "false)",
                            ssh->known_hosts_file, strerror(errno));
}

static void check_address(const Draft *draft, Reading *reading)
{
        const AddressConfig *address = &draft->config->address;
        if (!address->ip) {
                if ((address->label || address->device) && !draft_mentions(draft, "address.ip"))
                        draft_warn(draft, reading, "address", "address.ip is missing: there is no address");
                return;
        }
        if (!address->device && !draft_mentions(draft, "address.device"))
                draft_error(draft, reading, "address", "address.device is missing");
        if (address->label && strchr(address->ip, ':'))
                draft_error(draft, reading, "address.label", "address.label: an IPv6 address cannot have one");
        if (!draft->config->ssh.enabled)
                draft_error(draft, reading, "address", "address: it is moved over SSH, but ssh.enabled is false");
}

static void check_ports(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        for (size_t i = 1; config->address.ip && i < config->n_servers; i++)
                if (config->servers[i].port != config->servers[0].port) {
                        draft_warn(draft, reading, "address",
                                   "address: \"%s\" and \"%s\" have different ports: with the role the port changes, "
                                   "too, at which clients of the address find the primary",
                                   config->servers[0].name, config->servers[i].name);
                        return;
                }
}

static void check_shared_hosts(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        const HooksConfig *hooks = &config->hooks;
        const char *key = hooks->shutdown ? "hooks.shutdown" : "hooks.mha.shutdown_script";
        if (!hooks->shutdown && !hooks->mha.shutdown_script)
                return;
        for (size_t i = 0; i < config->n_servers; i++)
                for (size_t j = 0; j < i; j++) {
                        const Server *a = &config->servers[j], *b = &config->servers[i];
                        CLEANUP(mem_free) char *one = a->ssh_host ? server_place(a, NULL) : NULL;
                        CLEANUP(mem_free) char *other = b->ssh_host ? server_place(b, NULL) : NULL;
                        if (!one || !text_equal(one, other))
                                continue;
                        draft_warn(
                                draft, reading, key,
                                "%s: \"%s\" and \"%s\" are on one host: when it is powered off for one, the other goes "
                                "down, too",
                                key, a->name, b->name);
                        return;
                }
}

static bool has_stop_or_start(const HooksConfig *hooks)
{
        return hooks->stop || hooks->start;
}

static void check_scripts(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        const HooksConfig *hooks = &config->hooks;
        const MhaScriptsConfig *mha = &hooks->mha;
        const struct {
                const char *path;
                bool both;
                const char *other;
        } doubles[] = {
                { "hooks.mha.master_ip_failover_script", mha->master_ip_failover_script && has_stop_or_start(hooks),
                  "hooks.stop and hooks.start" },
                { "hooks.mha.master_ip_online_change_script",
                  mha->master_ip_online_change_script && has_stop_or_start(hooks), "hooks.stop and hooks.start" },
                { "hooks.mha.shutdown_script", mha->shutdown_script && hooks->shutdown, "hooks.shutdown" },
                { "hooks.mha.report_script", mha->report_script && hooks->report, "hooks.report" },
        };
        for (size_t i = 0; i < ARRAY_LENGTH(doubles); i++)
                if (doubles[i].both)
                        draft_error(draft, reading, doubles[i].path, "%s: it takes the place of %s: leave one out",
                                    doubles[i].path, doubles[i].other);
        bool failover = mha->master_ip_failover_script, online = mha->master_ip_online_change_script;
        if (failover != online && !config->address.ip && !has_stop_or_start(hooks))
                draft_warn(
                        draft, reading,
                        failover ? "hooks.mha.master_ip_failover_script" : "hooks.mha.master_ip_online_change_script",
                        "%s is missing: in a %s nothing tells the applications who is primary",
                        failover ? "hooks.mha.master_ip_online_change_script" : "hooks.mha.master_ip_failover_script",
                        failover ? "switchover" : "failover");
}

static void check_fence(const Draft *draft, Reading *reading)
{
        const ClusterConfig *config = draft->config;
        bool can_stop = config->ssh.enabled && config->fence.stop_process;
        if (config->fence.policy == FENCE_POLICY_REQUIRED && !can_stop && !config->hooks.shutdown &&
            !config->hooks.mha.shutdown_script)
                draft_warn(draft, reading, "fence.policy",
                           "fence.policy: \"required\" can never be satisfied without stop_process over SSH or "
                           "hooks.shutdown");
        if (config->fence.command && !can_stop)
                draft_warn(draft, reading, "fence.command", "fence.command is never run: %s is false",
                           config->ssh.enabled ? "fence.stop_process" : "ssh.enabled");
}

static bool is_address(const char *from, size_t length)
{
        static const char allowed[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~@-";
        return length > 0 && length <= 254 && *from != '-' && strspn(from, allowed) >= length;
}

static bool are_addresses(const char *list)
{
        for (const char *at = list;; at++) {
                at += strspn(at, " ");
                size_t length = strcspn(at, ", ");
                if (!is_address(at, length))
                        return false;
                at += length;
                at += strspn(at, " ");
                if (*at != ',')
                        return *at == '\0';
        }
}

static void check_mail(const Draft *draft, Reading *reading)
{
        const MailConfig *mail = &draft->config->mail;
        if (mail->from && !is_address(mail->from, strlen(mail->from)))
                draft_error(draft, reading, "mail.from", "mail.from: must be an address");
        if (mail->to && !are_addresses(mail->to))
                draft_error(draft, reading, "mail.to", "mail.to: must be addresses, separated by commas");
        if (mail->to && !reading->offline && access(mail->program, X_OK) < 0)
                draft_warn(draft, reading, "mail", "mail: nothing can be sent: cannot run %s: %s", mail->program,
                           strerror(errno));
}

void draft_check(const Draft *draft, Reading *reading)
{
        check_required(draft, reading);
        check_servers(draft, reading);
        check_accounts(draft, reading);
        check_tls(draft, reading);
        check_replication(draft, reading);
        check_ssh(draft, reading);
        check_address(draft, reading);
        check_ports(draft, reading);
        check_shared_hosts(draft, reading);
        check_fence(draft, reading);
        check_scripts(draft, reading);
        check_mail(draft, reading);
}
