/* A real database server and a real sshd for tests, on loopback addresses, in a folder of their own that vanishes with
 * them. Needs root and the installed packages. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LIVE_ADDRESS "127.0.0.77"
#define LIVE_USER "mhad"
#define LIVE_PASSWORD "qu'ote\\d$"

typedef struct Live {
        char folder[64];
        bool made_run_sshd;
        uint16_t sql_port, ssh_port;
        pid_t sql, ssh; /* 0 when not running */
} Live;

bool live_is_possible(void);
void live_start(Live *live); /* everything, and waits until it answers */
void live_stop(Live *live);
void live_start_sql(Live *live);
void live_kill_sql(Live *live); /* -9, and reaps it */
void live_start_ssh(Live *live);
void live_stop_ssh(Live *live); /* the listener only: its sessions go on */
/* Runs a shell command with printf's arguments; its output goes nowhere. False when it fails. */
bool live_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *live_path(const Live *live, const char *name); /* in the folder; free with free() */
uint16_t live_free_port(void);
