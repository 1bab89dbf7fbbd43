/* A cluster's configuration while it is read: its values, and where each of them was written. */
#pragma once

#include "config.h"
#include "reading.h"
#include "schema.h"

/* Where the value of a row was written; file NULL: nowhere, it is the default. */
typedef struct Origin {
        const char *file; /* lent */
        TreePlace place;
} Origin;

typedef struct Draft {
        ClusterConfig *config;
        Origin origins[SCHEMA_MAX_ROWS]; /* by the row's index; sections too */
        TreePlace *server_places;        /* of each server's host */
} Draft;

/* A draft with all defaults. End with draft_done(). */
Draft draft_new(void);
/* One that begins with what another has (from `defaults`). */
Draft draft_inherit(const Draft *from);
void draft_done(Draft *draft);

/* Reads a cluster's file, or the main file (whose `defaults` go to base). What is wrong is noted in reading. */
void draft_read_cluster(Draft *draft, Reading *reading, const Tree *tree);
void draft_read_main(Config *config, Draft *base, Reading *reading, const Tree *tree);

/* Runs the cluster's init_conf_load_script, if there is one, and lays what it prints over the draft (load_script.c). */
void draft_run_script(Draft *draft, Reading *reading);

/* Notes an error (or a warning) where the value of a key was written, else where its section was, else at the top. */
void draft_error(const Draft *draft, Reading *reading, const char *path, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
void draft_warn(const Draft *draft, Reading *reading, const char *path, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* Whether the key stands in a file at all, right or wrong. */
bool draft_mentions(const Draft *draft, const char *path);
/* What must hold between several keys, once the cluster's file was read (check.c). */
void draft_check(const Draft *draft, Reading *reading);
