/* Peer credentials. Owns nothing; must never ask a name service: that can block for seconds. */
#include "peer.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc.h"

static bool is_member(int fd, gid_t group)
{
        socklen_t size = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
                return false;
        CLEANUP(mem_free) gid_t *groups = alloc_zero(1, size);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return false;
        for (size_t i = 0; i < size / sizeof *groups; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

/* Of local users only. */
static void write_name(uid_t uid, char *name, size_t size)
{
        snprintf(name, size, "somebody");
        FILE *file = fopen("/etc/passwd", "re");
        for (struct passwd *user; file && (user = fgetpwent(file));)
                if (user->pw_uid == uid) {
                        snprintf(name, size, "%s", user->pw_name);
                        break;
                }
        if (file)
                fclose(file);
}

int peer_read(int fd, gid_t group, Peer *ret, Failure *reterr)
{
        struct ucred credentials;
        socklen_t size = sizeof credentials;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return failure_errno(reterr, errno, "cannot find out who connected");
        bool trusted = credentials.uid == 0 || credentials.uid == geteuid();
        bool may_change = trusted || (group != PEER_NO_GROUP && (credentials.gid == group || is_member(fd, group)));
        char name[33] = "somebody";
        if (may_change)
                write_name(credentials.uid, name, sizeof name);
        *ret = (Peer){ .uid = credentials.uid, .may_change = may_change, .trusted = trusted };
        snprintf(ret->who, sizeof ret->who, "%s (uid %u, pid %d)", name, credentials.uid, credentials.pid);
        return 0;
}
