/* Durable file operations. Owns nothing; must never leave a half-written file under the final name. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

int file_write_all(int fd, const char *bytes, size_t length)
{
        while (length) {
                ssize_t n = write(fd, bytes, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                bytes += n;
                length -= (size_t) n;
        }
        return 0;
}

int file_sync_parent(const char *path, Failure *reterr)
{
        CLEANUP(mem_free) char *directory = alloc_string(path);
        char *slash = strrchr(directory, '/');
        if (slash == directory)
                slash[1] = '\0';
        else if (slash)
                *slash = '\0';
        int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot open the directory of %s", path);
        int r = fsync(fd) < 0 ? errno : 0;
        close(fd);
        return r ? failure_errno(reterr, r, "cannot sync the directory of %s", path) : 0;
}

/* like: whose owner and mode it gets; NULL: ours, and what open() made of mode. */
static int replace(const char *path, const void *bytes, size_t length, mode_t mode, const struct stat *like,
                   Failure *reterr)
{
        CLEANUP(mem_free) char *temporary = text_format("%s.new", path);
        int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot create %s", temporary);
        int r = file_write_all(fd, bytes, length);
        if (r == 0 && like && (fchown(fd, like->st_uid, like->st_gid) < 0 || fchmod(fd, like->st_mode & 07777) < 0))
                r = -errno;
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r == 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0) {
                unlink(temporary);
                return failure_errno(reterr, r, "cannot write %s", path);
        }
        return file_sync_parent(path, reterr);
}

int file_replace(const char *path, const void *bytes, size_t length, mode_t mode, Failure *reterr)
{
        return replace(path, bytes, length, mode, NULL, reterr);
}

int file_rewrite(const char *path, const void *bytes, size_t length, Failure *reterr)
{
        struct stat like;
        if (stat(path, &like) < 0)
                return failure_errno(reterr, errno, "cannot look at %s", path);
        return replace(path, bytes, length, 0600, &like, reterr);
}

int file_read(const char *path, size_t limit, char **ret, size_t *ret_length, Failure *reterr)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return failure_errno(reterr, errno, "cannot open %s", path);
        Text content = { 0 };
        char chunk[16384];
        int r = 0;
        for (;;) {
                ssize_t n = read(fd, chunk, sizeof chunk);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        r = failure_errno(reterr, errno, "cannot read %s", path);
                        break;
                }
                if (n == 0)
                        break;
                if (content.length + (size_t) n > limit) {
                        r = failure_set(reterr, FAILURE_INVALID, 0, "%s is larger than %zu bytes", path, limit);
                        break;
                }
                text_add_n(&content, chunk, (size_t) n);
        }
        close(fd);
        explicit_bzero(chunk, sizeof chunk); /* there may be a password in it */
        if (r < 0) {
                text_done(&content);
                return r;
        }
        if (ret_length)
                *ret_length = content.length;
        *ret = text_take(&content);
        return 0;
}

int file_make_directory(const char *path, mode_t mode, Failure *reterr)
{
        CLEANUP(mem_free) char *part = alloc_string(path);
        for (char *slash = part + 1;; slash++) {
                if (*slash && *slash != '/')
                        continue;
                char kept = *slash;
                *slash = '\0';
                if (mkdir(part, mode) < 0 && errno != EEXIST)
                        return failure_errno(reterr, errno, "cannot make the directory %s", part);
                if (!kept)
                        return 0;
                *slash = kept;
        }
}

/* Whoever starts the daemon by hand, or has it check its files, may be root: then they are the daemon's. */
static bool is_daemon(uid_t user)
{
        if (user == geteuid() || geteuid() != 0)
                return user == geteuid();
        const struct passwd *daemon = getpwnam(FILE_DAEMON_USER);
        return daemon && user == daemon->pw_uid;
}

int file_check_private(const char *path, Failure *reterr)
{
        struct stat status;
        if (stat(path, &status) < 0)
                return failure_errno(reterr, errno, "cannot open %s", path);
        if (status.st_mode & 077)
                return failure_set(reterr, FAILURE_INVALID, 0,
                                   "%s holds a secret but others can read it (mode %04o): chmod 600 it", path,
                                   (unsigned) status.st_mode & 07777);
        if (status.st_uid != 0 && !is_daemon(status.st_uid))
                return failure_set(reterr, FAILURE_INVALID, 0, "%s holds a secret but belongs to another user (uid %u)",
                                   path, status.st_uid);
        return 0;
}
