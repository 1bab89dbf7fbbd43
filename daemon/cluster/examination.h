/* mhactl check over clusters, or of the configuration on disk: what takes its time. */
#pragma once

#include "cluster.h"

typedef struct Examination Examination;
/* answer is {"what", "checks": […], "ready": no error was found}, and the callee's; the examination is to be freed then. */
typedef void (*examination_fn)(Examination *examination, Json *answer, void *userdata);

/* A few clusters at a time; all that one is asked about, at once. checks (taken over) is what is known before. */
Examination *examination_of_clusters(Loop *loop, Cluster *const *clusters, size_t n, CheckKind kind, bool mesh,
                                     Json *checks, examination_fn done, void *userdata);
/* As a start of the daemon would read it, by a process of its own: it may take long. */
Examination *examination_of_config(Loop *loop, const char *path, examination_fn done, void *userdata);
/* That cluster is about to be freed. */
void examination_lose(Examination *examination, const Cluster *cluster);
Examination *examination_free(Examination *examination); /* takes NULL */
