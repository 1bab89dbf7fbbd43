/* Gathering the metrics. Owns the text, while it is put together and for a second after; must never look at more than one
 * cluster at a time. */
#include "scrape.h"

#include "text.h"

#define FRESH USEC_SEC

typedef struct Asker {
        scrape_fn done;
        void *userdata;
} Asker;

struct Scrape {
        Loop *loop;
        ScrapeSource source;
        Metrics *metrics; /* while they are gathered */
        size_t next;      /* cluster */
        Timer *turn;      /* deferred */
        Timer *stale;     /* then the text goes */
        char *text;
        Asker *askers;
        size_t n_askers;
};

static void answer(Scrape *scrape)
{
        while (scrape->n_askers > 0) {
                Asker asker = scrape->askers[--scrape->n_askers];
                Json *json = json_object();
                json_set_string(json, "text", scrape->text);
                asker.done(json, asker.userdata);
        }
}

static void drop(Scrape *scrape)
{
        scrape->metrics = metrics_free(scrape->metrics);
        scrape->next = 0;
        free(TAKE(scrape->text));
}

static void on_stale(void *userdata)
{
        Scrape *scrape = userdata;
        free(TAKE(scrape->text));
}

static void on_turn(void *userdata)
{
        Scrape *scrape = userdata;
        scrape->turn = NULL;
        if (scrape->text) {
                answer(scrape);
                return;
        }
        if (!scrape->metrics)
                scrape->metrics = metrics_new();
        if (scrape->source.add_cluster(scrape->next++, scrape->metrics, scrape->source.userdata)) {
                scrape->turn = loop_defer(scrape->loop, on_turn, scrape);
                return;
        }
        scrape->source.add_process(scrape->metrics, scrape->source.userdata);
        char *text = metrics_print(scrape->metrics);
        drop(scrape);
        scrape->text = text;
        timer_set_in(scrape->stale, FRESH);
        answer(scrape);
}

Scrape *scrape_new(Loop *loop, const ScrapeSource *source)
{
        Scrape *scrape = ALLOC(Scrape);
        *scrape = (Scrape){ .loop = loop, .source = *source };
        scrape->stale = timer_new(loop, 100 * USEC_MSEC, on_stale, scrape);
        return scrape;
}

Scrape *scrape_free(Scrape *scrape)
{
        if (!scrape)
                return NULL;
        drop(scrape);
        timer_free(scrape->turn);
        timer_free(scrape->stale);
        free(scrape->askers);
        free(scrape);
        return NULL;
}

void scrape_ask(Scrape *scrape, scrape_fn done, void *userdata)
{
        ALLOC_GROW(scrape->askers, scrape->n_askers);
        scrape->askers[scrape->n_askers++] = (Asker){ done, userdata };
        if (!scrape->turn)
                scrape->turn = loop_defer(scrape->loop, on_turn, scrape);
}

void scrape_forget(Scrape *scrape, void *userdata)
{
        for (size_t i = scrape->n_askers; i-- > 0;)
                if (scrape->askers[i].userdata == userdata)
                        scrape->askers[i] = scrape->askers[--scrape->n_askers];
}

void scrape_restart(Scrape *scrape)
{
        drop(scrape);
        timer_stop(scrape->stale);
}
