/* mhad: arguments, the service manager's protocol, signals, run. Owns the loop, the registry and the control socket; must
 * never decide anything about a cluster. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "cluster.h"
#include "config.h"
#include "control.h"
#include "listener.h"
#include "log.h"
#include "loop.h"
#include "registry.h"
#include "text.h"
#include "tool.h"

/* Only there in a build with sanitizers. */
void __lsan_do_leak_check(void) __attribute__((weak));

/* So slowly that systemd does not give up (StartLimitBurst= of the unit). */
#define TRY_AGAIN_AFTER 2 /* seconds */

#define KEPT_SOCKET "control" /* its name in systemd's store of descriptors */

typedef struct Daemon {
        Loop *loop;
        Registry *registry;
        Control *control;
        Listener *listener;
} Daemon;

static void print_errors(const Json *errors)
{
        JSON_FOREACH(error, errors)
        {
                fprintf(stderr, "%s\n", json_string(error));
        }
}

static void log_errors(const Json *errors)
{
        JSON_FOREACH(error, errors)
        {
                log_event(EVENT_CONFIG_REJECTED, NULL, "%s", json_string(error));
        }
}

static int check_config(const char *path)
{
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(json_free) Json *warnings = json_array();
        CLEANUP(config_free) Config *config = NULL;
        int r = config_load(path, &config, errors, warnings);
        for (size_t i = 0; r >= 0 && i < config->n_clusters; i++)
                cluster_check_key(&config->clusters[i], errors);
        print_errors(errors);
        JSON_FOREACH(warning, warnings)
        {
                fprintf(stderr, "%s (warning)\n", json_string(warning));
        }
        if (json_length(errors) > 0) {
                printf("%zu error(s): the configuration cannot be used\n", json_length(errors));
                return EXIT_FAILURE;
        }
        printf("%s: %zu cluster(s), no errors\n", path, config->n_clusters);
        return EXIT_SUCCESS;
}

static void notify_status(void *userdata)
{
        Daemon *daemon = userdata;
        CLEANUP(mem_free) char *summary = registry_summary(daemon->registry);
        (void) sd_notifyf(0, "STATUS=%s", summary);
}

static void on_reloaded(const Json *errors, const Failure *failure, void *userdata)
{
        (void) sd_notify(0, "READY=1");
        notify_status(userdata);
}

static void reload(void *userdata)
{
        Daemon *daemon = userdata;
        (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long) usec_now_monotonic());
        registry_reload(daemon->registry, on_reloaded, daemon);
}

static void listen_anew(void *userdata)
{
        Daemon *daemon = userdata;
        listener_set(daemon->listener, registry_metrics_listen(daemon->registry));
}

static void stop(void *userdata)
{
        Daemon *daemon = userdata;
        (void) sd_notify(0, "STOPPING=1");
        log_event(EVENT_STOPPING, NULL, "told to stop; a run under way is resumed at the next start");
        loop_exit(daemon->loop, 0);
}

/* The socket that systemd listens on for us (mhad.socket) or has kept over our restart; else -1. */
static int inherited_socket(const char *path)
{
        char **names = NULL;
        int n = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);
        bool kept = n >= 1 && text_equal(names[0], KEPT_SOCKET);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        if (n < 1)
                return -1;
        if (!kept || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, /* listening= */ 1, path, 0) > 0)
                return SD_LISTEN_FDS_START;
        /* daemon.socket has changed meanwhile. */
        (void) sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" KEPT_SOCKET);
        close(SD_LISTEN_FDS_START);
        return -1;
}

/* Whoever connects while we are being restarted waits for the next of us instead of being refused. */
static void keep_socket(Control *control)
{
        int fd = control_socket(control);
        if (fd >= 0 && sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" KEPT_SOCKET, &fd, 1) > 0)
                control_leave_socket(control);
}

/* What the configuration gets from programs may be there at the next attempt, and a run under way waits for it. */
static int end_for_now(void)
{
        log_event(EVENT_ERROR, NULL,
                  "a program that the configuration needs has failed: systemd starts mhad again in "
                  "%d s",
                  TRY_AGAIN_AFTER);
        (void) sd_notify(0, "STATUS=cannot start: a program that the configuration needs has failed");
        (void) sleep(TRY_AGAIN_AFTER);
        return EXIT_FAILURE;
}

static int run(const char *path)
{
        Daemon daemon = { 0 };
        Failure failure = { 0 };
        CLEANUP(json_free) Json *errors = NULL;
        int status = EXIT_FAILURE;
        int r = loop_new(&daemon.loop);
        if (r < 0) {
                log_event(EVENT_ERROR, NULL, "cannot make an event loop: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        r = registry_new(daemon.loop, path, &daemon.registry, &errors, &failure);
        if (r >= 0)
                r = control_new(daemon.loop, daemon.registry, registry_socket_path(daemon.registry),
                                inherited_socket(registry_socket_path(daemon.registry)),
                                registry_socket_group(daemon.registry), &daemon.control, &failure);
        if (r >= 0) {
                keep_socket(daemon.control);
                daemon.listener = listener_new(daemon.loop, daemon.registry);
                listen_anew(&daemon);
                registry_on_reload(daemon.registry, listen_anew, &daemon);
                registry_on_change(daemon.registry, notify_status, &daemon);
                (void) loop_signal(daemon.loop, SIGTERM, stop, &daemon);
                (void) loop_signal(daemon.loop, SIGINT, stop, &daemon);
                (void) loop_signal(daemon.loop, SIGHUP, reload, &daemon);
                (void) loop_watchdog(daemon.loop);
                CLEANUP(mem_free) char *summary = registry_summary(daemon.registry);
                log_event(EVENT_STARTED, NULL, "mhad " MHAD_VERSION " watches: %s", summary);
                (void) sd_notifyf(0, "READY=1\nSTATUS=%s", summary);
                r = loop_run(daemon.loop);
        } else {
                log_errors(errors);
                log_event(EVENT_ERROR, NULL, "cannot start: %s", failure.text);
                if (errors && json_length(errors) > 0)
                        status = r == -EAGAIN ? end_for_now() : EX_CONFIG;
        }
        listener_free(daemon.listener);
        control_free(daemon.control);
        registry_free(daemon.registry);
        loop_free(daemon.loop);
        return r < 0 ? status : EXIT_SUCCESS;
}

static void usage(FILE *to)
{
        fputs("mhad [--config FILE] [--check-config] [--debug] [--version] [--help]\n"
              "mhad --import FILE [--global FILE] [--output-dir DIR]\n"
              "mhad [--config FILE] --edit-server add|remove|set CLUSTER SERVER [KEY=VALUE...]\n"
              "Keeps MySQL and MariaDB replication clusters writable. See mhad(8).\n"
              "\n"
              "  -c, --config FILE   configuration (default: " CONFIG_DEFAULT_PATH ")\n"
              "      --check-config  check it, list all errors, and end\n"
              "      --debug         log what happens in detail\n"
              "      --version       print the version\n"
              "      --import FILE   make files out of a configuration of MHA, and end: mhactl import\n"
              "      --edit-server WHAT  change a server in its cluster's file, and end: mhactl server\n",
              to);
}

static bool is_edit(const char *what)
{
        return text_equal(what, "add") || text_equal(what, "remove") || text_equal(what, "set");
}

typedef struct Order {
        const char *path;
        bool check;
        ToolImport import;
        ToolEdit edit;
} Order;

/* Fills *ret; -1, or the status to end with at once. */
static int parse_arguments(int argc, char *argv[], Order *ret)
{
        enum { OPT_CHECK = 256, OPT_DEBUG, OPT_VERSION, OPT_IMPORT, OPT_GLOBAL, OPT_OUTPUT_DIR, OPT_EDIT };
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "check-config", no_argument, NULL, OPT_CHECK },
                { "debug", no_argument, NULL, OPT_DEBUG },
                { "version", no_argument, NULL, OPT_VERSION },
                { "help", no_argument, NULL, 'h' },
                { "import", required_argument, NULL, OPT_IMPORT },
                { "global", required_argument, NULL, OPT_GLOBAL },
                { "output-dir", required_argument, NULL, OPT_OUTPUT_DIR },
                { "edit-server", required_argument, NULL, OPT_EDIT },
                { 0 },
        };
        for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0;) {
                switch (c) {
                case 'c':
                        ret->path = optarg;
                        break;
                case OPT_CHECK:
                        ret->check = true;
                        break;
                case OPT_DEBUG:
                        log_set_debug(true);
                        break;
                case OPT_IMPORT:
                        ret->import.file = optarg;
                        break;
                case OPT_GLOBAL:
                        ret->import.global = optarg;
                        break;
                case OPT_OUTPUT_DIR:
                        ret->import.directory = optarg;
                        break;
                case OPT_EDIT:
                        ret->edit.what = optarg;
                        break;
                case OPT_VERSION:
                        puts("mhad " MHAD_VERSION);
                        return EXIT_SUCCESS;
                case 'h':
                        usage(stdout);
                        return EXIT_SUCCESS;
                default:
                        usage(stderr);
                        return 2;
                }
        }
        bool edits = is_edit(ret->edit.what) && argc - optind >= 2;
        if (edits) {
                ret->edit.config = ret->path;
                ret->edit.cluster = argv[optind];
                ret->edit.server = argv[optind + 1];
                ret->edit.pairs = argv + optind + 2;
                ret->edit.n_pairs = (size_t) (argc - optind - 2);
        } else if (optind < argc || ret->edit.what) {
                usage(stderr);
                return 2;
        }
        return -1;
}

/* Passwords will be in memory, whatever we are told to do: no core file, no debugger of another user, no file that others
 * can read. */
static void protect(void)
{
        umask(077);
        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
}

static void set_up_libraries(void)
{
        signal(SIGPIPE, SIG_IGN);
        /* Or libmariadb has OpenSSL load all certificates of the machine for each TLS connection, 30 ms of work, of which
         * no mode of ours makes use: certificates are checked against ca_file only. */
        (void) setenv("SSL_CERT_FILE", "/dev/null", 0);
        /* What the library of the databases allocates for each answer would sweep the small free pieces together. */
        (void) mallopt(M_MXFAST, 0);
        /* The stack of 256 KiB that it keeps for each connection is hardly touched, and takes no memory where nothing else
         * was before. */
        (void) mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

int main(int argc, char *argv[])
{
        Order order = { .path = CONFIG_DEFAULT_PATH };
        protect();
        int status = parse_arguments(argc, argv, &order);
        if (status >= 0)
                return status;
        set_up_libraries();
        if (order.edit.what)
                return tool_edit_server(&order.edit);
        if (order.import.file)
                return tool_import(&order.import);
        return order.check ? check_config(order.path) : run(order.path);
}
