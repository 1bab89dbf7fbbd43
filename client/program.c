/* The daemon's program as a child or in our place. Owns nothing; must never give it a secret as an argument. */
#include "program.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "text.h"

const char *program_path(void)
{
        const char *environment = getenv("MHAD_PROGRAM");
        return text_is_empty(environment) ? MHAD_PROGRAM : environment;
}

/* posix_spawn() and execv() promise not to change them. */
static char **make_argv(const char *const *arguments)
{
        size_t n = 0;
        while (arguments[n])
                n++;
        char **argv = ALLOC_ARRAY(char *, n + 2);
        argv[0] = (char *) program_path();
        for (size_t i = 0; i < n; i++)
                argv[i + 1] = (char *) arguments[i];
        return argv;
}

int program_become(const char *const *arguments)
{
        CLEANUP(mem_free) char **argv = make_argv(arguments);
        fflush(stdout);
        execv(argv[0], argv);
        return -errno;
}

int program_run(const char *const *arguments, bool aside)
{
        extern char **environ;
        posix_spawn_file_actions_t actions;
        CLEANUP(mem_free) char **argv = make_argv(arguments);
        pid_t pid;
        int status, r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        if (aside)
                r = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
