/* MHA's configuration to ours. Which key stands for a parameter is said by the table of keys; here is how its value is
 * written. Owns what it collects; must never put a password anywhere but into a file of its own. */
#include "import.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cnf.h"
#include "mha.h"
#include "text.h"
#include "tree.h"
#include "usec.h"

/* What stands for MHA's 100 MB. */
#define DELAY_LIMIT "96MiB"

/* The values of one map, as they are written, by the rows of the table. */
typedef struct Sheet {
        char *values[SCHEMA_MAX_ROWS];
} Sheet;

typedef struct Source {
        const ImportRequest *request;
        Cnf app, global;
        CnfSection **servers; /* in MHA's order */
        size_t n_servers;
        Sheet cluster, daemon;
        Sheet *of_servers;
        Sheet *observers;
        size_t n_observers;
        Json *notes; /* outcomes that belong to no line */
        Json *errors;
        Import *result;
} Source;

/* --- what is said --------------------------------------------------------------------------------------------------- */

static void complain(const Source *source, const CnfEntry *entry, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static void complain(const Source *source, const CnfEntry *entry, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *text = text_vformat(format, arguments);
        va_end(arguments);
        CLEANUP(mem_free) char *line = text_format("%s:%zu: %s", entry->file, entry->line, text);
        json_append_string(source->errors, line);
}

static void say(CnfEntry *entry, bool look, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(CnfEntry *entry, bool look, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        free(entry->outcome);
        entry->outcome = text_vformat(format, arguments);
        entry->warns = look;
        va_end(arguments);
}

static void note(Source *source, const char *name, bool look, const char *outcome)
{
        Json *json = json_object();
        json_set_string(json, "name", name);
        json_set_string(json, "outcome", outcome);
        json_set_bool(json, "look", look);
        json_append(source->notes, json);
}

/* --- values --------------------------------------------------------------------------------------------------------- */

static void put(Sheet *sheet, SchemaScope scope, const char *path, char *value)
{
        const SchemaRow *row = schema_find(scope, path);
        if (!row) {
                free(value); /* a test looks at every path */
                return;
        }
        free(sheet->values[row - schema_rows]);
        sheet->values[row - schema_rows] = value;
}

/* The entry's parameter becomes a key. */
static void become(CnfEntry *entry, Sheet *sheet, SchemaScope scope, const char *path, char *value)
{
        say(entry, false, "%s%s: %s", scope == SCHEMA_SERVER ? "servers: " : "", path, value);
        put(sheet, scope, path, value);
}

static void become_text(CnfEntry *entry, Sheet *sheet, SchemaScope scope, const char *path)
{
        become(entry, sheet, scope, path, tree_write_scalar(entry->value));
}

static bool is_number(const char *text)
{
        return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 10;
}

static bool is_on(const CnfEntry *entry)
{
        return is_number(entry->value) && atoi(entry->value) >= 1;
}

static bool is_name(const char *text)
{
        size_t length = strlen(text);
        return length > 0 && length <= 63 && isalnum((unsigned char) text[0]) &&
               strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

/* Words as a shell would see them, quotes and backslashes gone. */
static char **split(const char *text, size_t *ret_n)
{
        char **words = NULL;
        size_t n = 0;
        for (;;) {
                text += strspn(text, " \t");
                if (!*text)
                        break;
                Text word = { 0 };
                for (char quote = 0; *text && (quote || !strchr(" \t", *text)); text++) {
                        if (quote ? *text == quote : *text == '\'' || *text == '"')
                                quote = quote ? 0 : *text;
                        else if (*text == '\\' && quote != '\'' && text[1])
                                text_add_n(&word, ++text, 1);
                        else
                                text_add_n(&word, text, 1);
                }
                ALLOC_GROW(words, n);
                words[n++] = text_take(&word);
        }
        *ret_n = n;
        return words;
}

static void free_words(char **words, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(words[i]);
        free(words);
}

/* --- who says what -------------------------------------------------------------------------------------------------- */

static bool is_default(const char *name)
{
        return strcmp(name, "server default") == 0;
}

/* The entry that counts for a server, NULL when there is none or its value is empty. */
static CnfEntry *given(Source *source, CnfSection *server, const char *name)
{
        CnfEntry *entry = cnf_entry(server, name);
        if (!entry && mha_find(name)->inherited) {
                entry = cnf_entry(cnf_section(&source->app, "server default"), name);
                entry = entry ? entry : cnf_entry(cnf_section(&source->global, "server default"), name);
        }
        return entry && *entry->value ? entry : NULL;
}

static bool is_own(const CnfSection *server, const CnfEntry *entry)
{
        return server->n_entries > 0 && entry >= server->entries && entry < server->entries + server->n_entries;
}

/* For what is a matter of the whole cluster here: the first server's; others that differ are told. */
static CnfEntry *common(Source *source, const char *name)
{
        CnfEntry *first = NULL;
        for (size_t i = 0; i < source->n_servers; i++) {
                CnfEntry *entry = given(source, source->servers[i], name);
                first = first ? first : entry;
                if (!entry || entry == first || entry->outcome)
                        continue;
                if (strcmp(entry->value, first->value) == 0)
                        say(entry, false, "the same as in %s:%zu", first->file, first->line);
                else
                        say(entry, true, "not taken over: it holds for the whole cluster here, and %s:%zu counts",
                            first->file, first->line);
        }
        return first;
}

/* --- servers -------------------------------------------------------------------------------------------------------- */

/* By a label of a server before it, or by another server's section, which is what a server without a label is called. */
static bool name_is_taken(const Source *source, const CnfSection *server, const char *name)
{
        const SchemaRow *row = schema_find(SCHEMA_SERVER, "name");
        for (size_t i = 0; i < source->n_servers; i++)
                if (text_equal(source->of_servers[i].values[row - schema_rows], name) ||
                    (source->servers[i] != server && text_equal(source->servers[i]->name, name)))
                        return true;
        return false;
}

static void import_name(Source *source, CnfSection *server, Sheet *sheet)
{
        CnfEntry *label = given(source, server, "node_label");
        bool taken = label && name_is_taken(source, server, label->value);
        if (label && is_name(label->value) && !taken)
                become_text(label, sheet, SCHEMA_SERVER, "name");
        else {
                put(sheet, SCHEMA_SERVER, "name", tree_write_scalar(server->name));
                if (label)
                        say(label, true, "not taken over: %s; the server is called %s",
                            taken ? "another server is called that" : "it cannot be a name", server->name);
        }
}

static void import_host(Source *source, CnfSection *server, Sheet *sheet)
{
        CnfEntry *host = given(source, server, "hostname"), *ip = given(source, server, "ip");
        CnfEntry *ssh_host = given(source, server, "ssh_host"), *ssh_ip = given(source, server, "ssh_ip");
        if (!host) {
                CLEANUP(mem_free)
                char *line = text_format("%s:%zu: [%s] has no hostname", source->app.file, server->line, server->name);
                json_append_string(source->errors, line);
                return;
        }
        become_text(ip ? ip : host, sheet, SCHEMA_SERVER, "host");
        if (ip && strcmp(ip->value, host->value) != 0)
                become_text(host, sheet, SCHEMA_SERVER, "mha_hostname");
        else if (ip)
                say(host, false, "the same as ip");
        if (ssh_host && strcmp(ssh_host->value, host->value) != 0)
                become_text(ssh_host, sheet, SCHEMA_SERVER, "ssh_host");
        else if (ssh_host)
                say(ssh_host, false, "the same as hostname");
        if (ssh_ip)
                say(ssh_ip, false, "not taken over: MHA does not look at it either; see ssh_host");
}

static bool expect_number(const Source *source, const CnfEntry *entry, long least, long most)
{
        if (is_number(entry->value) && atol(entry->value) >= least && atol(entry->value) <= most)
                return true;
        complain(source, entry, "%s must be a whole number from %ld to %ld", entry->name, least, most);
        return false;
}

/* A time in seconds becomes a key, or the most that the key may be; what became of it, or NULL when it is none. */
static char *put_seconds(Source *source, const char *path, const char *value, bool *look)
{
        long most = (long) (schema_find(SCHEMA_CLUSTER, path)->max / USEC_SEC);
        if (!is_number(value) || atol(value) < 1)
                return NULL;
        bool more = atol(value) > most;
        *look = *look || more;
        put(&source->cluster, SCHEMA_CLUSTER, path, text_format("%lds", more ? most : atol(value)));
        return text_format("%s: %lds%s", path, more ? most : atol(value),
                           more ? ", which is the most that it may be here" : "");
}

static void become_seconds(Source *source, CnfEntry *entry, const char *path)
{
        bool look = false;
        CLEANUP(mem_free) char *outcome = put_seconds(source, path, entry->value, &look);
        if (outcome)
                say(entry, look, "%s", outcome);
        else
                complain(source, entry, "%s must be a whole number of seconds from 1 on", entry->name);
}

/* Of a default section it is a key of the cluster, where there is one; of a server's own it is the server's. */
static void import_own_or_all(Source *source, CnfSection *server, Sheet *sheet, const char *name, const char *of_all,
                              bool number)
{
        CnfEntry *entry = given(source, server, name);
        if (!entry || (number && !expect_number(source, entry, 1, 65535)))
                return;
        if (of_all && !is_own(server, entry))
                become_text(entry, &source->cluster, SCHEMA_CLUSTER, of_all);
        else
                become_text(entry, sheet, SCHEMA_SERVER, name);
}

static void import_binlog_directory(Source *source, CnfSection *server, Sheet *sheet)
{
        CnfEntry *entry = given(source, server, "master_binlog_dir");
        if (!entry)
                return;
        if (strchr(entry->value, ','))
                say(entry, true,
                    "not taken over: there are several, and the server itself is asked; set servers: binlog_directory "
                    "if it may be dead from the start");
        else if (entry->value[0] != '/')
                say(entry, true, "not taken over: no absolute path");
        else
                become_text(entry, sheet, SCHEMA_SERVER, "binlog_directory");
}

static void import_promotion(Source *source, CnfSection *server, Sheet *sheet)
{
        CnfEntry *candidate = given(source, server, "candidate_master"), *no = given(source, server, "no_master");
        if (candidate && is_on(candidate))
                become(candidate, sheet, SCHEMA_SERVER, "promotion", alloc_string("prefer"));
        else if (candidate)
                say(candidate, false, "the default here, too");
        if (no && is_on(no)) {
                become(no, sheet, SCHEMA_SERVER, "promotion", alloc_string("never"));
                if (candidate && is_on(candidate))
                        say(candidate, true, "not taken over: no_master goes before it");
        } else if (no)
                say(no, false, "the default here, too");
}

static void import_servers(Source *source)
{
        source->of_servers = ALLOC_ARRAY(Sheet, source->n_servers);
        for (size_t i = 0; i < source->n_servers; i++) {
                CnfSection *server = source->servers[i];
                Sheet *sheet = &source->of_servers[i];
                import_name(source, server, sheet);
                import_host(source, server, sheet);
                import_own_or_all(source, server, sheet, "port", NULL, true);
                import_own_or_all(source, server, sheet, "ssh_port", "ssh.port", true);
                import_own_or_all(source, server, sheet, "ssh_user", "ssh.user", false);
                import_binlog_directory(source, server, sheet);
                import_promotion(source, server, sheet);
        }
}

/* --- the cluster ---------------------------------------------------------------------------------------------------- */

static void import_secret(Source *source, const char *name, const char *section)
{
        CnfEntry *entry = common(source, name);
        if (!entry)
                return;
        Import *result = source->result;
        ImportFile *file = &result->secrets[result->n_secrets++];
        CLEANUP(mem_free) char *key = text_format("%s.password_file", section);
        *file = (ImportFile){
                .path = text_format("%s/%s.%s.password", source->request->directory, result->cluster, section),
                .text = text_format("%s\n", entry->value),
                .secret = true,
        };
        become(entry, &source->cluster, SCHEMA_CLUSTER, key, tree_write_scalar(file->path));
}

static void import_accounts(Source *source)
{
        CnfEntry *user = common(source, "user"), *replication = common(source, "repl_user");
        if (user)
                become_text(user, &source->cluster, SCHEMA_CLUSTER, "sql.user");
        else {
                put(&source->cluster, SCHEMA_CLUSTER, "sql.user", alloc_string("root"));
                note(source, "user", false, "sql.user: root, as MHA does when it is not given");
        }
        import_secret(source, "password", "sql");
        if (replication)
                become_text(replication, &source->cluster, SCHEMA_CLUSTER, "replication.user");
        else
                note(source, "repl_user", true,
                     "not given, and MHA reads it from the replicas: write it under replication.user (SHOW SLAVE "
                     "STATUS "
                     "says it)");
        import_secret(source, "repl_password", "replication");
}

/* One word of ssh_options, or a word and its value; gives how many words it used, 0 when it means nothing here. */
static size_t import_ssh_option(Source *source, char *const *words, size_t n, bool *strict, Text *said)
{
        static const struct {
                const char *option, *path;
        } files[] = { { "UserKnownHostsFile=", "ssh.known_hosts_file" }, { "IdentityFile=", "ssh.identity_file" } };
        const char *word = words[0], *next = n > 1 ? words[1] : "";
        size_t used = 1;
        if (strcmp(word, "-i") == 0 && *next == '/') {
                put(&source->cluster, SCHEMA_CLUSTER, "ssh.identity_file", tree_write_scalar(next));
                text_separate(said, ", ");
                text_addf(said, "ssh.identity_file: %s", next);
                return 2;
        }
        if (strcmp(word, "-o") == 0) {
                word = next;
                used = 2;
        } else if (text_starts_with(word, "-o")) {
                word += 2;
        } else {
                return 0;
        }
        for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
                size_t length = strlen(files[i].option);
                if (strncasecmp(word, files[i].option, length) != 0 || word[length] != '/' ||
                    strcmp(word + length, "/dev/null") == 0)
                        continue;
                put(&source->cluster, SCHEMA_CLUSTER, files[i].path, tree_write_scalar(word + length));
                text_separate(said, ", ");
                text_addf(said, "%s: %s", files[i].path, word + length);
                return used;
        }
        if (strcasecmp(word, "StrictHostKeyChecking=yes") == 0) {
                *strict = true;
                text_separate(said, ", ");
                text_add(said, "ssh.strict_host_keys: true");
                return used;
        }
        return strcasecmp(word, "StrictHostKeyChecking=no") == 0 ||
                               strcasecmp(word, "UserKnownHostsFile=/dev/null") == 0
                       ? used
                       : 0;
}

static const char *const programs[] = { "master_ip_failover_script", "master_ip_online_change_script",
                                        "shutdown_script", "report_script", "init_conf_load_script" };

static bool has_program(Source *source)
{
        for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
                if (common(source, programs[i]))
                        return true;
        return false;
}

static void import_ssh(Source *source)
{
        CnfEntry *timeout = common(source, "ssh_connection_timeout"), *options = common(source, "ssh_options");
        bool strict = false, key = false;
        if (timeout)
                become_seconds(source, timeout, "ssh.connect_timeout");
        if (options) {
                Text said = { 0 }, rest = { 0 };
                size_t n = 0;
                char **words = split(options->value, &n);
                for (size_t i = 0; i < n;) {
                        size_t used = import_ssh_option(source, words + i, n - i, &strict, &said);
                        if (used == 0) {
                                text_separate(&rest, " ");
                                text_add(&rest, words[i]);
                        }
                        i += used ? used : 1;
                }
                free_words(words, n);
                key = said.data && strstr(said.data, "ssh.identity_file: ");
                if (has_program(source)) {
                        put(&source->cluster, SCHEMA_CLUSTER, "hooks.mha.ssh_options",
                            tree_write_scalar(options->value));
                        text_separate(&said, ", ");
                        text_add(&said, "hooks.mha.ssh_options for the scripts");
                }
                CLEANUP(mem_free) char *taken = text_take(&said);
                CLEANUP(mem_free) char *left = text_take(&rest);
                say(options, *left, "%s%s%s%s", *taken ? taken : "nothing of it has a meaning here",
                    *left ? "; not taken over: " : "", left, *left ? " (no program ssh is run)" : "");
        }
        if (!key)
                note(source, "SSH key", true,
                     "MHA logs in with the key of whoever runs it (~/.ssh); mhad needs one that its own user can read: "
                     "make it with ssh-keygen, append its .pub to authorized_keys on each host, and name it in "
                     "ssh.identity_file");
        if (strict)
                return;
        put(&source->cluster, SCHEMA_CLUSTER, "ssh.strict_host_keys", alloc_string("false"));
        note(source, "host keys", true,
             "ssh.strict_host_keys: false, as with MHA: whoever answers as a host is believed. Better: ssh-keyscan "
             "HOST... > "
             "known_hosts, name it in ssh.known_hosts_file and take that line out");
}

static void import_detection(Source *source)
{
        CnfEntry *interval = common(source, "ping_interval"), *ping = common(source, "ping_type");
        if (interval)
                become_seconds(source, interval, "detection.ping_interval");
        if (!ping)
                return;
        static const char *const types[] = { "SELECT", "CONNECT", "INSERT" }, *const ours[] = { "select", "connect",
                                                                                                "insert" };
        for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
                if (strcasecmp(ping->value, types[i]) == 0) {
                        become(ping, &source->cluster, SCHEMA_CLUSTER, "detection.ping", alloc_string(ours[i]));
                        return;
                }
        complain(source, ping, "ping_type must be SELECT, CONNECT or INSERT");
}

static void import_failover(Source *source)
{
        CnfEntry *delay = common(source, "check_repl_delay");
        if (delay)
                become(delay, &source->cluster, SCHEMA_CLUSTER, "failover.max_unapplied",
                       alloc_string(is_on(delay) ? DELAY_LIMIT : "none"));
        const char *action = NULL;
        for (size_t i = 0; i < source->n_servers; i++) {
                const CnfEntry *entry = given(source, source->servers[i], "ignore_fail");
                if (entry && (!action || is_on(entry)))
                        action = is_on(entry) ? "continue" : "abort";
        }
        for (size_t i = 0; action && i < source->n_servers; i++) {
                CnfEntry *entry = given(source, source->servers[i], "ignore_fail");
                if (entry)
                        become(entry, &source->cluster, SCHEMA_CLUSTER, "failover.on_unreachable_replica",
                               alloc_string(action));
                if (entry && !is_on(entry) && strcmp(action, "continue") == 0)
                        say(entry, true,
                            "not taken over: for the whole cluster it is failover.on_unreachable_replica: "
                            "continue");
        }
}

/* --- second opinions ------------------------------------------------------------------------------------------------ */

static bool is_same_host(const Source *source, const char *a, const char *b)
{
        return strcmp(a, b) == 0 || (source->request->is_same_host && source->request->is_same_host(a, b));
}

static const char *server_at(Source *source, const char *host)
{
        static const char *const names[] = { "hostname", "ip", "ssh_host" };
        for (size_t i = 0; i < source->n_servers; i++)
                for (size_t k = 0; k < ARRAY_LENGTH(names); k++) {
                        const CnfEntry *entry = given(source, source->servers[i], names[k]);
                        if (entry && is_same_host(source, entry->value, host))
                                return source->servers[i]->name;
                }
        return NULL;
}

static void add_observer(Source *source, const char *host, const char *user, const char *port, Text *said)
{
        const char *server = server_at(source, host);
        text_separate(said, ", ");
        if (server) {
                text_addf(said, "%s is %s, which is asked anyway", host, server);
                return;
        }
        ALLOC_GROW(source->observers, source->n_observers);
        Sheet *sheet = &source->observers[source->n_observers++];
        *sheet = (Sheet){ 0 };
        put(sheet, SCHEMA_OBSERVER, "name",
            is_name(host) ? tree_write_scalar(host) : text_format("observer%zu", source->n_observers));
        put(sheet, SCHEMA_OBSERVER, "host", tree_write_scalar(host));
        if (user)
                put(sheet, SCHEMA_OBSERVER, "ssh_user", tree_write_scalar(user));
        if (port)
                put(sheet, SCHEMA_OBSERVER, "ssh_port", tree_write_scalar(port));
        text_addf(said, "%s becomes an observer", host);
}

/* The value of an option in one of the ways in which it may be written, or NULL; *at moves to its last word. */
static const char *option_value(char *const *words, size_t n, size_t *at, const char *name, const char *letter)
{
        const char *word = words[*at];
        size_t length = strlen(name);
        if (text_starts_with(word, name) && word[length] == '=')
                return word + length + 1;
        if ((strcmp(word, name) != 0 && !text_equal(word, letter)) || *at + 1 >= n)
                return NULL;
        return words[++*at];
}

/* --- programs ------------------------------------------------------------------------------------------------------- */

/* Scripts that are told a password. */
static bool is_told_password(const char *name)
{
        return text_starts_with(name, "master_ip_") || strcmp(name, "secondary_check_script") == 0;
}

/* It is run as MHA runs it. */
static void import_program(Source *source, const char *name)
{
        CnfEntry *entry = common(source, name);
        if (!entry)
                return;
        CLEANUP(mem_free) char *path = text_format("hooks.mha.%s", name);
        become_text(entry, &source->cluster, SCHEMA_CLUSTER, path);
        if (is_told_password(name))
                say(entry, true,
                    "%s: %s; passwords are in its environment unless hooks.mha_password_arguments is true%s", path,
                    entry->value,
                    text_starts_with(name, "master_ip_")
                            ? "; a --command=start that fails is reported, and the run goes on"
                            : "; one that hangs is ended after hooks.mha.secondary_check_timeout, and forbids a "
                              "failover as any status but 0 does");
}

static void import_secondary_check(Source *source)
{
        CnfEntry *entry = common(source, "secondary_check_script");
        if (!entry)
                return;
        size_t n = 0;
        char **words = split(entry->value, &n);
        const char *slash = n ? strrchr(words[0], '/') : NULL, *program = slash ? slash + 1 : n ? words[0] : "";
        if (strcmp(program, "masterha_secondary_check") != 0) {
                import_program(source, "secondary_check_script");
                free_words(words, n);
                return;
        }
        const char *user = NULL, *port = NULL, *timeout = NULL, *value;
        bool look = false;
        Text said = { 0 };
        for (int round = 0; round < 2; round++) /* the account first: it holds for all hosts */
                for (size_t i = 1; i < n; i++) {
                        if ((value = option_value(words, n, &i, "--user", NULL)))
                                user = value;
                        else if ((value = option_value(words, n, &i, "--port", NULL)))
                                port = value;
                        else if ((value = option_value(words, n, &i, "--timeout", NULL)))
                                timeout = value;
                        else if ((value = option_value(words, n, &i, "--secondary_host", "-s")) && round == 1)
                                add_observer(source, value, user, port, &said);
                }
        CLEANUP(mem_free) char *text = text_take(&said);
        CLEANUP(mem_free)
        char *limit = timeout ? put_seconds(source, "detection.confirm_timeout", timeout, &look) : NULL;
        look = look || (timeout && !limit);
        say(entry, look, "%s%s%s%s", *text ? text : "it names no host; the replicas are asked anyway",
            *text ? "; a host that cannot be asked does not forbid a failover, as it did with MHA" : "",
            limit     ? "; "
            : timeout ? "; not taken over: --timeout, which is no number of seconds"
                      : "",
            limit ? limit : "");
        free_words(words, n);
}

static void import_programs(Source *source)
{
        for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
                import_program(source, programs[i]);
}

/* --- the daemon ----------------------------------------------------------------------------------------------------- */

static void import_daemon(Source *source)
{
        CnfEntry *level = common(source, "log_level"), *folder = common(source, "manager_workdir");
        if (level)
                become(level, &source->daemon, SCHEMA_MAIN, "daemon.log_level",
                       alloc_string(strcasecmp(level->value, "debug") == 0 ? "debug" : "info"));
        if (folder)
                say(folder, false,
                    "not taken over: journals and reports of all clusters are in daemon.state_directory");
}

/* --- what is left --------------------------------------------------------------------------------------------------- */

static void explain_rest(Cnf *cnf, CnfSection *section, CnfEntry *entry)
{
        const MhaParameter *parameter = mha_find(entry->name);
        const CnfEntry *last = cnf_entry(section, entry->name);
        CLEANUP(mem_free) char *keys = mha_keys(entry->name);
        if (last != entry)
                say(entry, false, "line %zu says it again and counts", last->line);
        else if (text_starts_with(section->name, "binlog"))
                say(entry, true,
                    "not taken over: binlog servers are not read; what is missing comes from the old "
                    "primary's host and from the replicas");
        else if (is_default(section->name) && !parameter->inherited)
                say(entry, true, "not taken over: in a default section it has no effect in MHA either");
        else if (!*entry->value)
                say(entry, false, "empty, as if it were not given");
        else if (!keys)
                say(entry, false, "not needed: %s", parameter->remark);
        else
                say(entry, false, "not taken over: a nearer section says it");
}

static void report(Source *source, Cnf *cnf)
{
        for (size_t i = 0; i < cnf->n_sections; i++)
                for (size_t k = 0; k < cnf->sections[i].n_entries; k++) {
                        CnfEntry *entry = &cnf->sections[i].entries[k];
                        if (!entry->outcome)
                                explain_rest(cnf, &cnf->sections[i], entry);
                        CLEANUP(mem_free) char *place = text_format("%s:%zu", entry->file, entry->line);
                        Json *json = json_object();
                        json_set_string(json, "place", place);
                        json_set_string(json, "name", entry->name);
                        json_set_string(json, "outcome", entry->outcome);
                        json_set_bool(json, "look", entry->warns);
                        json_append(source->result->outcomes, json);
                }
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* MHA takes one quote away at the beginning and one at the end, if one is there. */
static void unquote(char *value)
{
        size_t length = strlen(value);
        if (length == 0 || !strchr("'\"", value[length - 1]))
                return;
        value[--length] = '\0';
        if (length > 0 && strchr("'\"", value[0]))
                memmove(value, value + 1, length);
}

static void check_entries(Source *source, CnfSection *section)
{
        for (size_t i = 0; i < section->n_entries; i++) {
                CnfEntry *entry = &section->entries[i];
                const char *nearest = mha_nearest(entry->name);
                unquote(entry->value);
                if (!mha_find(entry->name))
                        complain(source, entry,
                                 nearest ? "MHA knows no parameter %s (did you mean %s?)" : "MHA knows no parameter %s",
                                 entry->name, nearest);
        }
}

static void add_server(Source *source, CnfSection *section)
{
        ALLOC_GROW(source->servers, source->n_servers);
        source->servers[source->n_servers++] = section;
}

static void check_sections(Source *source)
{
        for (size_t i = 0; i < source->app.n_sections; i++) {
                CnfSection *section = &source->app.sections[i];
                bool server = text_starts_with(section->name, "server") && section->name[6];
                check_entries(source, section);
                if (is_default(section->name) || (text_starts_with(section->name, "binlog") && section->name[6]))
                        continue;
                if (server) {
                        add_server(source, section);
                        continue;
                }
                CLEANUP(mem_free)
                char *line = text_format("%s:%zu: MHA knows no section [%s], only [server default], [serverN] and "
                                         "[binlogN]",
                                         source->app.file, section->line, section->name);
                json_append_string(source->errors, line);
        }
        CnfSection *global = cnf_section(&source->global, "server default");
        if (global)
                check_entries(source, global);
        if (source->n_servers == 0 && json_length(source->errors) == 0) {
                CLEANUP(mem_free) char *line = text_format("%s: there is no [serverN]", source->app.file);
                json_append_string(source->errors, line);
        }
}

static long number_of(const CnfSection *section)
{
        const char *digits = section->name + strcspn(section->name, "0123456789");
        return *digits ? atol(digits) : -1;
}

static int compare_numbers(const void *a, const void *b)
{
        long x = number_of(*(CnfSection *const *) a), y = number_of(*(CnfSection *const *) b);
        return (x > y) - (x < y);
}

static int compare_section_names(const void *a, const void *b)
{
        return strcmp((*(CnfSection *const *) a)->name, (*(CnfSection *const *) b)->name);
}

static void sort_servers(Source *source)
{
        bool numbers = true;
        for (size_t i = 0; i < source->n_servers; i++)
                numbers = numbers && number_of(source->servers[i]) >= 0;
        if (source->n_servers)
                qsort(source->servers, source->n_servers, sizeof *source->servers,
                      numbers ? compare_numbers : compare_section_names);
}

/* The file's name without its last extension, in the letters that a cluster may have. */
static char *cluster_name(const char *file)
{
        const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
        char *name = alloc_string_n(base, dot && dot > base ? (size_t) (dot - base) : strlen(base));
        for (char *c = name; *c; c++)
                if (isupper((unsigned char) *c))
                        *c = (char) tolower((unsigned char) *c);
                else if (!isalnum((unsigned char) *c) && (c == name || !strchr("_.-", *c)))
                        *c = '-';
        if (*name == '-' || *name == '\0')
                *name = 'c';
        return name;
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static bool has_below(const Sheet *sheet, SchemaScope scope, const char *section)
{
        size_t length = strlen(section);
        SCHEMA_FOREACH(row, scope)
        if (sheet->values[row - schema_rows] && text_starts_with(row->path, section) && row->path[length] == '.')
                return true;
        return false;
}

static int depth_of(const SchemaRow *row)
{
        int depth = 0;
        for (const char *c = row->path; *c; c++)
                depth += *c == '.';
        return depth;
}

/* The sections of a map, in the order of the table. */
static void write_sheet(Text *out, const Sheet *sheet, SchemaScope scope)
{
        SCHEMA_FOREACH(row, scope)
        {
                const char *value = sheet->values[row - schema_rows];
                int indent = 2 * depth_of(row);
                if (row->type == SCHEMA_SECTION && has_below(sheet, scope, row->path))
                        text_addf(out, "%s%*s%s:\n", indent ? "" : "\n", indent, "", schema_leaf(row));
                else if (value)
                        text_addf(out, "%*s%s: %s\n", indent, "", schema_leaf(row), value);
        }
}

static void write_list(Text *out, const char *key, const Sheet *sheets, size_t n, SchemaScope scope)
{
        if (n)
                text_addf(out, "%s:\n", key);
        for (size_t i = 0; i < n; i++) {
                const char *lead = "  - ";
                SCHEMA_FOREACH(row, scope)
                {
                        const char *value = sheets[i].values[row - schema_rows];
                        if (!value)
                                continue;
                        text_addf(out, "%s%s: %s\n", lead, row->path, value);
                        lead = "    ";
                }
        }
}

static char *write_cluster(const Source *source)
{
        Text out = { 0 };
        text_addf(&out,
                  "# Made by mhactl import out of %s. Every key: man mhad.yaml; MHA's names: man mhad-from-mha\n\n",
                  source->app.file);
        text_addf(&out, "cluster: %s\n\n", source->result->cluster);
        write_list(&out, "servers", source->of_servers, source->n_servers, SCHEMA_SERVER);
        if (source->n_observers)
                text_add(&out, "\n");
        write_list(&out, "observers", source->observers, source->n_observers, SCHEMA_OBSERVER);
        write_sheet(&out, &source->cluster, SCHEMA_CLUSTER);
        return text_take(&out);
}

static void sheet_done(Sheet *sheet)
{
        for (size_t i = 0; i < SCHEMA_MAX_ROWS; i++)
                free(sheet->values[i]);
}

static void source_done(Source *source)
{
        for (size_t i = 0; source->of_servers && i < source->n_servers; i++)
                sheet_done(&source->of_servers[i]);
        for (size_t i = 0; i < source->n_observers; i++)
                sheet_done(&source->observers[i]);
        sheet_done(&source->cluster);
        sheet_done(&source->daemon);
        free(source->of_servers);
        free(source->observers);
        free(source->servers);
        cnf_done(&source->app);
        cnf_done(&source->global);
        json_free(source->notes);
}

static void convert(Source *source)
{
        import_servers(source);
        import_accounts(source);
        import_ssh(source);
        import_detection(source);
        import_failover(source);
        import_secondary_check(source);
        import_programs(source);
        import_daemon(source);
}

static void write_all(Source *source)
{
        Import *result = source->result;
        Text main = { 0 };
        write_sheet(&main, &source->daemon, SCHEMA_MAIN);
        result->main = text_take(&main);
        result->yaml = (ImportFile){
                .path = text_format("%s/clusters.d/%s.yaml", source->request->directory, result->cluster),
                .text = write_cluster(source),
        };
        report(source, &source->global);
        report(source, &source->app);
        JSON_FOREACH(outcome, source->notes)
        {
                json_append(result->outcomes, json_copy(outcome));
        }
}

int import_read(const ImportRequest *request, Import *ret, Json *errors)
{
        Import result = { .cluster = cluster_name(request->file), .outcomes = json_array() };
        Source source = { .request = request, .notes = json_array(), .errors = json_array(), .result = &result };
        if (request->global_text)
                cnf_parse(request->global_file, request->global_text, &source.global, source.errors);
        cnf_parse(request->file, request->text, &source.app, source.errors);
        check_sections(&source);
        sort_servers(&source);
        if (json_length(source.errors) == 0)
                convert(&source);
        int r = json_length(source.errors) ? -EINVAL : 0;
        if (r == 0)
                write_all(&source);
        JSON_FOREACH(error, source.errors)
        {
                json_append_string(errors, json_string(error));
        }
        json_free(source.errors);
        source_done(&source);
        if (r < 0)
                import_done(&result);
        else
                *ret = result;
        return r;
}

static void file_done(ImportFile *file)
{
        free(file->path);
        text_wipe(file->text);
}

void import_done(Import *import)
{
        free(import->cluster);
        file_done(&import->yaml);
        for (size_t i = 0; i < import->n_secrets; i++)
                file_done(&import->secrets[i]);
        free(import->main);
        json_free(import->outcomes);
        *import = (Import){ 0 };
}
