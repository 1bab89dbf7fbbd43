/* The configuration: YAML files to checked structs. What each member means, its default and its bounds stand in one
 * place, the table of schema.c; mhad.yaml(5) is made from it. */
#pragma once

#include "json.h"
#include "script.h"
#include "server.h"
#include "tls.h"
#include "usec.h"

typedef enum LogLevel {
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
        _LOG_LEVEL_MAX,
        _LOG_LEVEL_INVALID = -22,
} LogLevel;

typedef struct DaemonConfig {
        char *state_directory;
        char *socket;
        char *socket_group; /* NULL: only root and the daemon's own user may change things */
        LogLevel log_level;
} DaemonConfig;

typedef struct MetricsConfig {
        char *listen; /* "127.0.0.1:9104"; NULL: nowhere */
        bool allow_remote;
} MetricsConfig;

typedef struct SqlTlsConfig {
        SqlTls mode;
        char *ca_file, *certificate_file, *key_file; /* each may be NULL */
} SqlTlsConfig;

typedef struct SqlConfig {
        char *user;
        char *password; /* from whichever form was given; NULL: none */
        SqlTlsConfig tls;
} SqlConfig;

typedef enum ReplicationTls {
        REPLICATION_TLS_KEEP, /* as the replica has it */
        REPLICATION_TLS_ON,
        REPLICATION_TLS_OFF,
        _REPLICATION_TLS_MAX,
        _REPLICATION_TLS_INVALID = -22,
} ReplicationTls;

typedef struct ReplicationConfig {
        char *user;
        char *password; /* NULL: none */
        ReplicationTls tls;
        usec_t heartbeat;
        usec_t connect_retry; /* whole seconds */
} ReplicationConfig;

typedef struct SshConfig {
        bool enabled;
        char *user;
        uint16_t port;
        char *identity_file; /* NULL: there is none, and no SSH; a default key was looked for when the file was read */
        char *known_hosts_file;
        bool strict_host_keys;
        Sudo sudo;
        usec_t connect_timeout;
} SshConfig;

typedef enum DetectionPing {
        DETECTION_PING_SELECT,
        DETECTION_PING_CONNECT,
        DETECTION_PING_INSERT,
        _DETECTION_PING_MAX,
        _DETECTION_PING_INVALID = -22,
} DetectionPing;

typedef enum DetectionAction {
        DETECTION_ACTION_REPORT,
        DETECTION_ACTION_FAILOVER,
        _DETECTION_ACTION_MAX,
        _DETECTION_ACTION_INVALID = -22,
} DetectionAction;

typedef struct DetectionConfig {
        DetectionPing ping;
        usec_t ping_interval;
        usec_t ping_timeout;
        usec_t connect_timeout;
        usec_t restart_grace;
        usec_t confirm_timeout;
        usec_t status_interval;
        usec_t heartbeat_stale;
        DetectionAction on_stalled;
        char *ping_table; /* "schema.table" */
} DetectionConfig;

typedef struct AddressConfig {
        char *ip; /* "10.0.0.100/24"; NULL: there is no address */
        char *device;
        char *label; /* may be NULL */
} AddressConfig;

typedef enum FencePolicy {
        FENCE_POLICY_ATTEMPTED,
        FENCE_POLICY_REQUIRED,
        _FENCE_POLICY_MAX,
        _FENCE_POLICY_INVALID = -22,
} FencePolicy;

typedef struct FenceConfig {
        FencePolicy policy;
        bool stop_process;
        char *command; /* NULL: the built-in stop */
        usec_t timeout;
} FenceConfig;

/* Scripts written for MHA: shell commands that arguments are added to, or NULL. */
typedef struct MhaScriptsConfig {
        char *master_ip_failover_script, *master_ip_online_change_script, *shutdown_script, *report_script;
        char *secondary_check_script;
        char *init_conf_load_script;
        char *ssh_options; /* for the scripts */
        usec_t secondary_check_timeout;
} MhaScriptsConfig;

/* Each hook is an argument list that ends with NULL, or NULL: no such hook. */
typedef struct HooksConfig {
        char **prepare, **stop, **start, **report, **shutdown, **abort, **status;
        usec_t timeout;
        MhaScriptsConfig mha;
        bool mha_password_arguments;
} HooksConfig;

/* Reports by mail. */
typedef struct MailConfig {
        char *to;   /* addresses, separated by commas; NULL: no mail */
        char *from; /* NULL: as the program does */
        char *program;
        usec_t timeout;
} MailConfig;

typedef enum FailoverMode {
        FAILOVER_MODE_AUTOMATIC,
        FAILOVER_MODE_MONITOR, /* says what it would do */
        _FAILOVER_MODE_MAX,
        _FAILOVER_MODE_INVALID = -22,
} FailoverMode;

typedef enum FailoverUnreachable {
        FAILOVER_UNREACHABLE_CONTINUE,
        FAILOVER_UNREACHABLE_ABORT,
        _FAILOVER_UNREACHABLE_MAX,
        _FAILOVER_UNREACHABLE_INVALID = -22,
} FailoverUnreachable;

typedef enum FailoverRejoin {
        FAILOVER_REJOIN_MANUAL,
        FAILOVER_REJOIN_AUTOMATIC,
        _FAILOVER_REJOIN_MAX,
        _FAILOVER_REJOIN_INVALID = -22,
} FailoverRejoin;

#define CONFIG_NO_LIMIT UINT64_MAX

typedef struct FailoverConfig {
        FailoverMode mode;
        usec_t flap_window;
        usec_t apply_timeout;
        uint64_t max_unapplied; /* bytes, or CONFIG_NO_LIMIT */
        bool allow_newer_version;
        FailoverUnreachable on_unreachable_replica;
        unsigned storm_limit; /* hosts; 0: chosen from the number of those that carry primaries */
        bool set_read_only;
        usec_t repoint_timeout;
        FailoverRejoin rejoin;
        usec_t purge_relay_logs; /* how often; 0: never */
        unsigned keep_runs;
        bool remove_dead_primary;
} FailoverConfig;

typedef enum RescueTail {
        RESCUE_TAIL_PROCEED,
        RESCUE_TAIL_HOLD,
        _RESCUE_TAIL_MAX,
        _RESCUE_TAIL_INVALID = -22,
} RescueTail;

typedef struct RescueConfig {
        bool enabled;
        RescueTail on_unreachable_tail;
        usec_t ssh_patience;
        char *listen;         /* NULL: replicas come through their own SSH sessions */
        unsigned listen_port; /* 0: any */
        usec_t keep_age;
        uint64_t keep_bytes; /* or CONFIG_NO_LIMIT */
} RescueConfig;

typedef enum SwitchoverKill {
        SWITCHOVER_KILL_ALL,
        SWITCHOVER_KILL_NONE,
        SWITCHOVER_KILL_AFTER_GRACE,
        _SWITCHOVER_KILL_MAX,
        _SWITCHOVER_KILL_INVALID = -22,
} SwitchoverKill;

typedef enum SwitchoverTier {
        SWITCHOVER_TIER_STAY,
        SWITCHOVER_TIER_FOLLOW,
        _SWITCHOVER_TIER_MAX,
        _SWITCHOVER_TIER_INVALID = -22,
} SwitchoverTier;

typedef struct SwitchoverConfig {
        usec_t max_lag;
        usec_t running_updates_limit, running_seconds_limit;
        usec_t max_write_block;
        SwitchoverKill kill_sessions;
        usec_t kill_grace;
        bool demote;
        SwitchoverTier multi_tier;
} SwitchoverConfig;

typedef struct ClusterConfig {
        char *name;
        char *file; /* where it was read from */
        Server *servers;
        size_t n_servers;
        Server *observers;
        size_t n_observers;
        SqlConfig sql;
        ReplicationConfig replication;
        SshConfig ssh;
        DetectionConfig detection;
        AddressConfig address;
        FenceConfig fence;
        HooksConfig hooks;
        MailConfig mail;
        FailoverConfig failover;
        RescueConfig rescue;
        SwitchoverConfig switchover;
} ClusterConfig;

typedef struct Config {
        DaemonConfig daemon;
        MetricsConfig metrics;
        ClusterConfig *clusters; /* in alphabetical order of their files */
        size_t n_clusters;
} Config;

#define CONFIG_DEFAULT_PATH "/etc/mhad/mhad.yaml"

const char *failover_mode_to_string(FailoverMode mode);
SwitchoverTier switchover_tier_from_string(const char *name);

/* Reads the main file and every clusters.d/NAME.yaml beside it, and the secrets they name. All errors are appended to
 * errors (strings "file:line:column: text"), none of which holds a secret; -EINVAL when there is one, and *ret is not
 * set. What is allowed but unwise is appended to warnings, in the same form. Both arrays are lent; warnings may be NULL.
 *
 * It reads files and may run password commands (5 s each at most), so it blocks; it shares nothing with other threads. */
int config_load(const char *path, Config **ret, Json *errors, Json *warnings);
/* The same from the text of the files alone: no secret is read, no program is run, nothing that is named has to exist. */
int config_load_offline(const char *path, Config **ret, Json *errors, Json *warnings);
/* A file as it would be. */
typedef struct ConfigEdit {
        const char *path, *text;
} ConfigEdit;
/* config_load_offline() as if these files, which need not exist, had these texts. */
int config_load_edited(const char *path, const ConfigEdit *edits, size_t n_edits, Config **ret, Json *errors,
                       Json *warnings);
Config *config_free(Config *config); /* wipes the secrets */
DEFINE_CLEANUP(Config *, config_free)

/* NULL when there is none of that name. */
const ClusterConfig *config_find_cluster(const Config *config, const char *name);
/* What a reload would change: {"added": [names], "removed": [names], "changed": {name: [keys]}, "daemon": [keys],
 * "restart": [those of them that need a restart]}. A changed list of servers is the key "servers". */
Json *config_diff(const Config *old, const Config *new);
bool config_diff_is_empty(const Json *diff);

/* A deep copy to keep while the configuration it came from goes; end with cluster_config_free(). */
ClusterConfig *cluster_config_copy(const ClusterConfig *cluster);
ClusterConfig *cluster_config_free(ClusterConfig *cluster);
DEFINE_CLEANUP(ClusterConfig *, cluster_config_free)
/* Whether everything but the file's name is the same, secrets included. */
bool cluster_config_equal(const ClusterConfig *a, const ClusterConfig *b);
/* What a run freezes: all keys but secrets and servers, as objects by section ("fence": {"policy": "attempted", …}).
 * A duration X is an integer X_ms; a hook that is given is true; a password is has_password, true or false; what is
 * not given is absent. */
Json *cluster_config_to_json(const ClusterConfig *cluster);
const Server *cluster_config_find_server(const ClusterConfig *cluster, const char *name);
