/* The text of all metrics, gathered a cluster a turn of the loop: with hundreds of them it takes a while, and the watching
 * must not wait for it. */
#pragma once

#include "json.h"
#include "loop.h"
#include "metrics.h"

typedef struct Scrape Scrape;

/* What there is to tell. */
typedef struct ScrapeSource {
        bool (*add_cluster)(size_t i, Metrics *metrics, void *userdata); /* false: there is none of that number */
        void (*add_process)(Metrics *metrics, void *userdata);
        void *userdata;
} ScrapeSource;

/* answer is {"text"}, the callee's. */
typedef void (*scrape_fn)(Json *answer, void *userdata);

Scrape *scrape_new(Loop *loop, const ScrapeSource *source);
Scrape *scrape_free(Scrape *scrape);
DEFINE_CLEANUP(Scrape *, scrape_free)
/* done is called from the loop, with a text that is at most a second old: whoever asks oftener costs nothing. */
void scrape_ask(Scrape *scrape, scrape_fn done, void *userdata);
void scrape_forget(Scrape *scrape, void *userdata); /* done is not called for that userdata any more */
void scrape_restart(Scrape *scrape);                /* the clusters are others than before */
