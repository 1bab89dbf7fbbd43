/* mhactl check ssh: what is asked of each host, and what the answers mean. Pure. */
#pragma once

#include "checklist.h"
#include "facts.h"
#include "script.h"
#include "usec.h"

typedef enum SshPath {
        SSH_PATH_UNASKED, /* the other server is down itself */
        SSH_PATH_REACHED,
        SSH_PATH_FORBIDDEN, /* sshd does not forward */
        SSH_PATH_FAILED,
        _SSH_PATH_MAX,
} SshPath;

/* From the host to the database port of another server. */
typedef struct SshWay {
        const char *to;
        SshPath path;
        const char *text;
        const Reply *mesh; /* of ssh_check_mesh(); NULL: not asked for */
} SshWay;

/* What was found out about one host. */
typedef struct SshLook {
        const char *server;
        bool observer;
        CheckId refused;            /* how far it came: CHECK_SSH is all the way, else which check failed */
        const char *failure;        /* the sentence to that */
        const Reply *reply;         /* of ssh_check_script() */
        usec_t asked, answered;     /* when, by our wall clock */
        const char *listen_failure; /* NULL: a port of it led here */
        const SshWay *ways;
        size_t n_ways;
} SshLook;

/* One shell script that changes nothing, for `sh -c` by the account of SSH (and sudo). */
char *ssh_check_script(const Facts *facts, const char *server);
/* One that logs in from this host to another as MHA did, for the account itself. */
char *ssh_check_mesh(const char *user, const char *host, uint16_t port);
/* Appends to results. */
void ssh_check_judge(const Facts *facts, const SshLook *look, Json *results);
