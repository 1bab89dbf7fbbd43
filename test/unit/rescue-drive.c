/* Carries scripts out for test/integration/test_saved_logs.py: rescue-drive CONFIG, a file of JSON ({"servers": […],
 * "identity", "directory", "sql_user", "sql_password", "known_hosts", "sudo"}). Each line of standard input is {"server",
 * "tag", "script"}; each line of standard output its replies. Ends with its standard input. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "exec.h"
#include "file.h"
#include "text.h"

static Loop *loop;
static Exec *exec;

static void die(const char *what, const Failure *failure)
{
        fprintf(stderr, "%s: %s\n", what, failure ? failure->text : "");
        _exit(1);
}

static void on_done(Replies *replies, void *userdata)
{
        CLEANUP(json_free) Json *line = json_array();
        for (size_t i = 0; i < replies->n_items; i++) {
                const Reply *reply = &replies->items[i];
                Json *json = json_object();
                json_set_string(json, "failure", reply->failure.kind != FAILURE_NONE ? reply->failure.text : NULL);
                json_set_string(json, "out", reply->out);
                json_append(line, json);
        }
        CLEANUP(mem_free) char *text = json_print(line);
        puts(text);
        fflush(stdout);
        replies_free(replies);
}

static void carry_out(const char *line)
{
        CLEANUP(json_free) Json *json = NULL;
        CLEANUP(script_done) Script script = { 0 };
        Failure failure;
        if (json_parse(line, strlen(line), &json, &failure) < 0 ||
            script_from_json(json_get(json, "script"), &script, &failure) < 0)
                die("input", &failure);
        exec_run(exec, json_get_string(json, "server"), json_get_string(json, "tag"), &script,
                 usec_add(loop_now(loop), 30 * USEC_SEC), on_done, NULL);
}

static void on_input(int fd, uint32_t revents, void *userdata)
{
        static Text text;
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0) {
                text_done(&text);
                loop_exit(loop, 0);
                return;
        }
        text_add_n(&text, chunk, (size_t) n);
        for (char *end; (end = strchr(text.data, '\n'));) {
                *end = '\0';
                carry_out(text.data);
                size_t length = (size_t) (end + 1 - text.data);
                memmove(text.data, end + 1, text.length - length + 1);
                text.length -= length;
        }
}

int main(int argc, char **argv)
{
        Failure failure;
        CLEANUP(mem_free) char *text = NULL;
        CLEANUP(json_free) Json *config = NULL;
        SshIdentity *identity = NULL;
        Server servers[8];
        size_t n = 0, length;
        if (argc != 2 || file_read(argv[1], 1 << 20, &text, &length, &failure) < 0 ||
            json_parse(text, length, &config, &failure) < 0)
                die("configuration", argc == 2 ? &failure : NULL);
        if (ssh_identity_load(json_get_string(config, "identity"), &identity, &failure) < 0)
                die("identity", &failure);
        JSON_FOREACH(server, json_get(config, "servers"))
        {
                if (n < ARRAY_LENGTH(servers) && server_from_json(server, &servers[n++], &failure) < 0)
                        die("server", &failure);
        }
        if (loop_new(&loop) < 0)
                die("loop", NULL);
        Resolver *resolver = resolver_new(loop, USEC_MINUTE);
        ExecConfig settings = { .servers = servers,
                                .n_servers = n,
                                .sql_user = json_get_string(config, "sql_user"),
                                .sql_password = json_get_string(config, "sql_password"),
                                .identity = identity,
                                .known_hosts_file = json_get_string(config, "known_hosts"),
                                .accept_unknown_hosts = !json_has(config, "known_hosts"),
                                .sudo = json_get_bool(config, "sudo", false) ? SUDO_ALL : SUDO_NOTHING,
                                .rescue.directory = json_get_string(config, "directory"),
                                .resolver = resolver };
        if (exec_new(loop, &settings, &exec) < 0)
                die("exec", NULL);
        Io *input = io_new(loop, 0, EPOLLIN, on_input, NULL);
        int r = loop_run(loop);
        io_free(input);
        exec_free(exec);
        for (size_t i = 0; i < n; i++)
                server_done(&servers[i]);
        resolver_free(resolver);
        loop_free(loop);
        ssh_identity_free(identity);
        return r;
}
