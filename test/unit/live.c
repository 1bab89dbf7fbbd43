/* Starts and ends servers for tests. Owns the folder and the two processes; ends nothing that it did not start. */
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text.h"
#include "usec.h"

static void die(const char *what)
{
        fprintf(stderr, "live: %s: %s\n", what, strerror(errno));
        abort();
}

bool live_shell(const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *command = text_vformat(format, arguments);
        va_end(arguments);
        CLEANUP(mem_free) char *quiet = text_format("{ %s ; } >/dev/null 2>&1 </dev/null", command);
        sigset_t none, before; /* the loop blocks SIGCHLD, which the shell would inherit */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, &before);
        int status = system(quiet);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return status == 0;
}

bool live_is_possible(void)
{
        return geteuid() == 0 && live_shell("command -v mariadbd && command -v mariadb-install-db && "
                                            "test -x /usr/sbin/sshd && command -v openssl && command -v ssh-keygen");
}

char *live_path(const Live *live, const char *name)
{
        return text_format("%s/%s", live->folder, name);
}

static struct sockaddr_in loopback(uint16_t port)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
        inet_pton(AF_INET, LIVE_ADDRESS, &address.sin_addr);
        return address;
}

uint16_t live_free_port(void)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = loopback(0);
        socklen_t length = sizeof address;
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &length) < 0)
                die("no free port");
        close(fd);
        return ntohs(address.sin_port);
}

/* The server speaks first: a byte means that it is ready. */
static bool speaks(uint16_t port)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = loopback(port);
        struct timeval timeout = { .tv_sec = 1 };
        char byte;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        bool answer = connect(fd, (struct sockaddr *) &address, sizeof address) == 0 && recv(fd, &byte, 1, 0) == 1;
        close(fd);
        return answer;
}

static void wait_for(uint16_t port, const char *what)
{
        for (int i = 0; i < 600; i++) {
                if (speaks(port))
                        return;
                usleep(50000);
        }
        die(what);
}

static pid_t spawn(const Live *live, const char *log, char *const *argv)
{
        pid_t pid = fork();
        if (pid < 0)
                die("fork");
        if (pid > 0)
                return pid;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test crashes */
        CLEANUP(mem_free) char *path = live_path(live, log);
        int fd = open(path, O_CREAT | O_APPEND | O_WRONLY, 0600);
        dup2(fd, 1);
        dup2(fd, 2);
        execv(argv[0], argv);
        _exit(127);
}

static void end_process(pid_t *pid)
{
        if (*pid <= 0)
                return;
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
        *pid = 0;
}

static void write_file(const Live *live, const char *name, const char *text)
{
        CLEANUP(mem_free) char *path = live_path(live, name);
        FILE *file = fopen(path, "we");
        if (!file || fputs(text, file) < 0 || fclose(file) != 0)
                die(path);
}

static void prepare_sql(Live *live)
{
        const char *folder = live->folder;
        bool good = live_shell("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca "
                               "-keyout ca-key.pem -out ca.pem && openssl req -newkey rsa:2048 -nodes -subj /CN=server "
                               "-keyout server-key.pem -out server.csr && "
                               "printf 'subjectAltName=IP:%s,DNS:localhost' > san && openssl x509 -req -in server.csr "
                               "-days 2 -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile san -out right.pem && "
                               "cp right.pem server.pem && echo subjectAltName=DNS:elsewhere > san && openssl x509 -req "
                               "-in server.csr -days 2 -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile san "
                               "-out elsewhere.pem && "
                               "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other-ca "
                               "-keyout other-key.pem -out other.pem",
                               folder, LIVE_ADDRESS);
        good = good && live_shell("mariadb-install-db --no-defaults --user=root --datadir=%s/data --skip-test-db "
                                  "--auth-root-authentication-method=normal",
                                  folder);
        if (!good)
                die("preparing the database");
        CLEANUP(mem_free) char *literal = text_quote_sql(LIVE_PASSWORD);
        CLEANUP(mem_free)
        char *accounts = text_format("CREATE USER IF NOT EXISTS " LIVE_USER "@'%%' IDENTIFIED BY %s;\n"
                                     "GRANT ALL ON *.* TO " LIVE_USER "@'%%' WITH GRANT OPTION;\n",
                                     literal);
        write_file(live, "init.sql", accounts);
}

void live_start_sql(Live *live)
{
        const char *folder = live->folder;
        char *arguments[] = {
                text_format("/usr/sbin/mariadbd"),
                text_format("--no-defaults"),
                text_format("--user=root"),
                text_format("--datadir=%s/data", folder),
                text_format("--socket=%s/sql.sock", folder),
                text_format("--pid-file=%s/sql.pid", folder),
                text_format("--port=%u", live->sql_port),
                text_format("--bind-address=" LIVE_ADDRESS),
                text_format("--skip-name-resolve"),
                text_format("--init-file=%s/init.sql", folder),
                text_format("--ssl-ca=%s/ca.pem", folder),
                text_format("--ssl-cert=%s/server.pem", folder),
                text_format("--ssl-key=%s/server-key.pem", folder),
                NULL,
        };
        live->sql = spawn(live, "sql.log", arguments);
        for (char **argument = arguments; *argument; argument++)
                free(*argument);
        wait_for(live->sql_port, "mariadbd does not answer");
}

void live_kill_sql(Live *live)
{
        end_process(&live->sql);
}

static void prepare_ssh(Live *live)
{
        const char *folder = live->folder;
        if (!live_shell(
                    "cd %s && ssh-keygen -q -t ed25519 -N '' -f host-key && ssh-keygen -q -t ed25519 -N '' -f key && "
                    "ssh-keygen -q -t ed25519 -N secret -f locked-key && cp key.pub authorized && "
                    "ssh-keygen -q -t ed25519 -N '' -f other-key",
                    folder))
                die("preparing sshd");
        if (mkdir("/run/sshd", 0755) == 0)
                live->made_run_sshd = true;
        CLEANUP(mem_free)
        char *config = text_format(
                "Port %u\nListenAddress " LIVE_ADDRESS "\nHostKey %s/host-key\nAuthorizedKeysFile %s/authorized\n"
                "PidFile none\nLogLevel DEBUG1\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
                "PasswordAuthentication no\nMatch LocalPort %u\n",
                live->ssh_port, folder, folder, live->ssh_port);
        write_file(live, "sshd.conf", config);
        live_shell("cd %s && printf '[%s]:%u ' > known && cat host-key.pub >> known && "
                   "printf '[db1]:%u ' > known-name && cat host-key.pub >> known-name && "
                   "printf '[%s]:%u ' > known-changed && cat other-key.pub >> known-changed && : > known-empty",
                   folder, LIVE_ADDRESS, live->ssh_port, live->ssh_port, LIVE_ADDRESS, live->ssh_port);
}

void live_start_ssh(Live *live)
{
        CLEANUP(mem_free) char *config = live_path(live, "sshd.conf"), *log = live_path(live, "ssh.log");
        char *arguments[] = { (char[]){ "/usr/sbin/sshd" }, (char[]){ "-D" }, (char[]){ "-E" }, log,
                              (char[]){ "-f" },             config,           NULL };
        live->ssh = spawn(live, "ssh.log", arguments);
        wait_for(live->ssh_port, "sshd does not answer");
}

void live_stop_ssh(Live *live)
{
        end_process(&live->ssh);
}

void live_start(Live *live)
{
        *live = (Live){ .folder = "/tmp/mhad-live-XXXXXX" };
        if (!mkdtemp(live->folder))
                die("mkdtemp");
        live->sql_port = live_free_port();
        live->ssh_port = live_free_port();
        prepare_sql(live);
        prepare_ssh(live);
        live_start_sql(live);
        live_start_ssh(live);
}

void live_stop(Live *live)
{
        live_kill_sql(live);
        live_stop_ssh(live);
        if (live->made_run_sshd)
                rmdir("/run/sshd");
        live_shell("rm -rf --one-file-system %s", live->folder);
}
