/* Preloaded into mhad by the tests: appends the arguments and the environment of each program that mhad starts to the file
 * MHAD_NOTE_EXEC, however short its life may be. */
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int execve(const char *path, char *const *argv, char *const *environment);
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *argv, char *const *environment);

static void note(const char *const *words, int fd)
{
        for (; *words; words++) {
                (void) !write(fd, *words, strlen(*words));
                (void) !write(fd, "\n", 1);
        }
}

static void note_program(char *const *argv, char *const *environment)
{
        const char *path = getenv("MHAD_NOTE_EXEC");
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        if (fd < 0)
                return;
        note((const char *const *) argv, fd);
        note((const char *const *) environment, fd);
        close(fd);
}

int execve(const char *path, char *const *argv, char *const *environment)
{
        int (*real)(const char *, char *const *, char *const *);
        *(void **) &real = dlsym(RTLD_NEXT, "execve");
        note_program(argv, environment);
        return real(path, argv, environment);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *argv, char *const *environment)
{
        int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
                    char *const *);
        *(void **) &real = dlsym(RTLD_NEXT, "posix_spawn");
        note_program(argv, environment);
        return real(pid, path, actions, attributes, argv, environment);
}
