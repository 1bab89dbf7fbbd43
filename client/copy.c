/* Saved logs, copied out. Owns nothing; must never overwrite a file, nor leave one that is not what the daemon has saved. */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "alloc.h"
#include "file.h"
#include "text.h"

#define CHUNK ((size_t) 256 * 1024)

typedef struct Copying {
        EVP_MD_CTX *digest;
        char *buffer;
        int64_t bytes;
} Copying;

/* "db1/binlog.000001", and nothing that leads elsewhere. */
static bool is_name(const char *name)
{
        const char *slash = name ? strchr(name, '/') : NULL;
        return slash && slash > name && name[0] != '.' && slash[1] != '.' && slash[1] != '\0' &&
               !strchr(slash + 1, '/');
}

static int open_saved(const char *path, Failure *reterr)
{
        struct stat status;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
                return fd;
        if (fd >= 0) {
                close(fd);
                return failure_set(reterr, FAILURE_INVALID, 0, "%s is no file: somebody else has put it there", path);
        }
        if (errno == EACCES || errno == EPERM)
                return failure_set(reterr, FAILURE_INVALID, errno,
                                   "the saved logs can be read by root and mhad's own user only: run this as root (%s)",
                                   path);
        return failure_errno(reterr, errno, "cannot open %s", path);
}

/* The folder of one server: ours, and no link to elsewhere. */
static int open_place(const char *path, Failure *reterr)
{
        struct stat status;
        int r = file_make_directory(path, 0700, reterr);
        if (r < 0)
                return r;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid())
                return fd;
        if (fd < 0 && errno != ELOOP && errno != ENOTDIR)
                return failure_errno(reterr, errno, "cannot open %s", path);
        if (fd >= 0)
                close(fd);
        return failure_set(reterr, FAILURE_INVALID, 0, "%s is no folder of yours: name another one to copy to", path);
}

static int write_all(int fd, const char *bytes, size_t length, const char *path, Failure *reterr)
{
        while (length > 0) {
                ssize_t n = write(fd, bytes, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return failure_errno(reterr, errno, "cannot write %s", path);
                bytes += n;
                length -= (size_t) n;
        }
        return 0;
}

/* limit: so many bytes and no more, -1 for all; digested: they count for the checksum. */
static int copy_bytes(Copying *copying, const char *from, int to, const char *to_path, int64_t limit, bool digested,
                      Failure *reterr)
{
        int fd = open_saved(from, reterr);
        if (fd < 0)
                return fd;
        int r = 0;
        while (r >= 0 && limit != 0) {
                size_t want = limit < 0 || (uint64_t) limit > CHUNK ? CHUNK : (size_t) limit;
                ssize_t n = read(fd, copying->buffer, want);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        r = failure_errno(reterr, errno, "cannot read %s", from);
                if (n <= 0)
                        break;
                if (digested && EVP_DigestUpdate(copying->digest, copying->buffer, (size_t) n) != 1)
                        r = failure_set(reterr, FAILURE_SYSTEM, ENOMEM, "no checksum of %s can be made", from);
                if (r >= 0)
                        r = write_all(to, copying->buffer, (size_t) n, to_path, reterr);
                copying->bytes += n;
                limit -= limit > 0 ? n : 0;
        }
        close(fd);
        return r;
}

static int check_digest(Copying *copying, const char *wanted, const char *path, Failure *reterr)
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        Text text = { 0 };
        if (EVP_DigestFinal_ex(copying->digest, digest, &length) != 1)
                return failure_set(reterr, FAILURE_SYSTEM, ENOMEM, "no checksum of %s can be made", path);
        for (unsigned i = 0; i < length; i++)
                text_addf(&text, "%02x", digest[i]);
        CLEANUP(mem_free) char *found = text_take(&text);
        if (!wanted || text_equal(found, wanted))
                return 0;
        return failure_set(reterr, FAILURE_INVALID, 0,
                           "%s is not what was saved: its checksum has changed since, so the disk is bad or somebody "
                           "has changed it",
                           path);
}

static int copy_file(Copying *copying, const Json *rescue, const Json *file, const char *directory, Failure *reterr)
{
        const char *folder = json_get_string(rescue, "directory"), *name = json_get_string(file, "name");
        const Json *head = json_get(file, "head");
        if (!folder || !is_name(name) || (head && !is_name(json_get_string(head, "name"))))
                return failure_set(reterr, FAILURE_INVALID, 0, "mhad names a file that it cannot have saved");
        CLEANUP(mem_free) char *from = text_format("%s/%s", folder, name);
        CLEANUP(mem_free) char *to = text_format("%s/%s", directory, name);
        CLEANUP(mem_free) char *place = text_format("%s/%.*s", directory, (int) (strchr(name, '/') - name), name);
        CLEANUP(mem_free) char *head_path = head ? text_format("%s/%s", folder, json_get_string(head, "name")) : NULL;
        int r = open_saved(from, reterr); /* before anything is made */
        if (r < 0)
                return r;
        close(r);
        int into = open_place(place, reterr);
        if (into < 0)
                return into;
        const char *base = strchr(name, '/') + 1;
        int fd = openat(into, base, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
                r = failure_errno(reterr, errno, "cannot make %s", to);
                close(into);
                return r;
        }
        if (EVP_DigestInit_ex(copying->digest, EVP_sha256(), NULL) != 1)
                r = failure_set(reterr, FAILURE_SYSTEM, ENOMEM, "no checksum of %s can be made", from);
        if (r >= 0 && head)
                r = copy_bytes(copying, head_path, fd, to, json_get_int(head, "bytes", 0), false, reterr);
        if (r >= 0)
                r = copy_bytes(copying, from, fd, to, -1, true, reterr);
        if (r >= 0)
                r = check_digest(copying, json_get_string(file, "sha256"), from, reterr);
        if (r >= 0 && fsync(fd) < 0)
                r = failure_errno(reterr, errno, "cannot write %s", to);
        close(fd);
        if (r < 0)
                (void) unlinkat(into, base, 0);
        close(into);
        return r;
}

int copy_rescue(const Json *rescue, const char *directory, size_t *ret_n, int64_t *ret_bytes, Failure *reterr)
{
        CLEANUP(mem_free) char *buffer = alloc_zero(1, CHUNK);
        Copying copying = { .digest = EVP_MD_CTX_new(), .buffer = buffer };
        size_t n = 0;
        int r = copying.digest ? 0 : failure_set(reterr, FAILURE_SYSTEM, ENOMEM, "no checksums can be made");
        JSON_FOREACH(file, json_get(rescue, "files"))
        {
                if (r < 0 || !json_get_bool(file, "copied", false) || json_get_int(file, "size", 0) == 0)
                        continue;
                r = copy_file(&copying, rescue, file, directory, reterr);
                n++;
        }
        EVP_MD_CTX_free(copying.digest);
        if (r >= 0 && n == 0)
                r = failure_set(reterr, FAILURE_INVALID, 0, "nothing is saved there");
        if (r < 0)
                return r;
        *ret_n = n;
        *ret_bytes = copying.bytes;
        return 0;
}
