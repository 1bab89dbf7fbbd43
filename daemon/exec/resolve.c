/* Names to addresses. Owns what it has learned and the helper threads, a few at most; must never ask a name server from
 * the loop's own thread. */
#include "resolve.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "address.h"
#include "alloc.h"
#include "worker.h"

#define THREADS_MAX 8
#define RETRY_INTERVAL (1 * USEC_SEC) /* of a name that could not be resolved */
/* For how long an address is kept that does not answer: one that has answered, one of which none has. */
#define KEEP_GOOD USEC_MINUTE
#define KEEP_UNKNOWN (10 * USEC_SEC)

/* What a helper thread works on. */
typedef struct Lookup {
        char *name;
        char **addresses;
        size_t n_addresses;
        int error; /* of getaddrinfo(3) */
} Lookup;

/* Which of a name's addresses is used at a port. */
typedef struct Choice {
        struct Choice *next;
        uint16_t port;
        char *address; /* NULL: the first */
        bool good;     /* it has answered */
        size_t n_failed;
        usec_t failing_since; /* 0: it is not */
} Choice;

typedef struct Entry {
        struct Entry *next;
        Resolver *resolver;
        char *name;
        char **addresses; /* the last good answer */
        size_t n_addresses;
        Choice *choices;
        Failure failure; /* of the last attempt */
        usec_t next_lookup;
        bool wanted; /* a lookup waits for a free thread */
        Lookup *lookup;
        Worker *worker;
} Entry;

struct ResolverQuery {
        ResolverQuery *next;
        Resolver *resolver;
        Entry *entry;
        uint16_t port;
        Timer *timer;
        resolver_fn done;
        void *userdata;
};

struct Resolver {
        Loop *loop;
        usec_t refresh;
        Entry *entries;
        ResolverQuery *queries;
        size_t n_threads;
};

static void free_addresses(char **addresses, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(addresses[i]);
        free(addresses);
}

static void lookup_free(void *data)
{
        Lookup *lookup = data;
        free_addresses(lookup->addresses, lookup->n_addresses);
        free(lookup->name);
        free(lookup);
}

/* In the thread. */

static void add_family(Lookup *lookup, const struct addrinfo *found, int family)
{
        for (; found; found = found->ai_next) {
                if (found->ai_family != family)
                        continue;
                char *address = address_format(found->ai_addr, found->ai_addrlen);
                if (!address)
                        continue;
                ALLOC_GROW(lookup->addresses, lookup->n_addresses);
                lookup->addresses[lookup->n_addresses++] = address;
        }
}

static void look_up(void *data)
{
        Lookup *lookup = data;
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
        lookup->error = getaddrinfo(lookup->name, NULL, &hints, &found);
        if (lookup->error)
                return;
        add_family(lookup, found, AF_INET);
        add_family(lookup, found, AF_INET6);
        freeaddrinfo(found);
}

/* In the loop. */

static void query_remove(ResolverQuery *query)
{
        ResolverQuery **at = &query->resolver->queries;
        while (*at != query)
                at = &(*at)->next;
        *at = query->next;
        timer_free(query->timer);
        free(query);
}

static Choice *choice_of(Entry *entry, uint16_t port)
{
        for (Choice *choice = entry->choices; choice; choice = choice->next)
                if (choice->port == port)
                        return choice;
        Choice *choice = ALLOC(Choice);
        *choice = (Choice){ .next = entry->choices, .port = port };
        entry->choices = choice;
        return choice;
}

/* Its index among the addresses of today. */
static size_t chosen(const Entry *entry, const Choice *choice)
{
        for (size_t i = 0; choice->address && i < entry->n_addresses; i++)
                if (strcmp(entry->addresses[i], choice->address) == 0)
                        return i;
        return 0;
}

static void query_report(void *userdata)
{
        ResolverQuery *query = userdata;
        Entry *entry = query->entry;
        resolver_fn done = query->done;
        void *owner = query->userdata;
        Failure failure = entry->failure;
        if (entry->n_addresses == 0 && failure.kind == FAILURE_NONE)
                failure_set(&failure, FAILURE_TIMEOUT, 0, "the address of %s could not be found in time", entry->name);
        size_t n = entry->n_addresses, first = chosen(entry, choice_of(entry, query->port));
        query_remove(query);
        if (n == 0) {
                done(NULL, 0, &failure, owner);
                return;
        }
        CLEANUP(mem_free) const char **ordered = ALLOC_ARRAY(const char *, n);
        for (size_t i = 0; i < n; i++)
                ordered[i] = entry->addresses[(first + i) % n];
        done(ordered, n, NULL, owner);
}

static void start_lookups(Resolver *resolver);

static void accept_answer(Entry *entry)
{
        Lookup *lookup = entry->lookup;
        if (lookup->n_addresses == 0) {
                failure_set(&entry->failure, FAILURE_SYSTEM, EHOSTUNREACH, "cannot find the address of %s: %s",
                            entry->name, lookup->error ? gai_strerror(lookup->error) : "it has none");
                entry->next_lookup = usec_now_monotonic() + RETRY_INTERVAL;
                return;
        }
        free_addresses(entry->addresses, entry->n_addresses);
        entry->addresses = TAKE(lookup->addresses);
        entry->n_addresses = lookup->n_addresses;
        lookup->n_addresses = 0;
        entry->failure.kind = FAILURE_NONE;
        entry->next_lookup = usec_add(usec_now_monotonic(), entry->resolver->refresh);
}

static void on_lookup_done(void *userdata)
{
        Entry *entry = userdata;
        Resolver *resolver = entry->resolver;
        entry->worker = worker_release(entry->worker, NULL);
        resolver->n_threads--;
        accept_answer(entry);
        lookup_free(TAKE(entry->lookup));
        for (ResolverQuery *query = resolver->queries; query; query = query->next)
                if (query->entry == entry)
                        timer_set(query->timer, 0);
        start_lookups(resolver);
}

static void start_lookup(Entry *entry)
{
        entry->wanted = false;
        entry->lookup = ALLOC(Lookup);
        entry->lookup->name = alloc_string(entry->name);
        entry->worker = worker_start(entry->resolver->loop, look_up, entry->lookup, on_lookup_done, entry);
        if (entry->worker) {
                entry->resolver->n_threads++;
                return;
        }
        failure_errno(&entry->failure, errno, "cannot start a thread to look %s up", entry->name);
        entry->next_lookup = usec_now_monotonic() + RETRY_INTERVAL;
        lookup_free(TAKE(entry->lookup));
}

static void start_lookups(Resolver *resolver)
{
        for (Entry *entry = resolver->entries; entry && resolver->n_threads < THREADS_MAX; entry = entry->next)
                if (entry->wanted)
                        start_lookup(entry);
}

static Entry *find_entry(Resolver *resolver, const char *name)
{
        for (Entry *entry = resolver->entries; entry; entry = entry->next)
                if (strcmp(entry->name, name) == 0)
                        return entry;
        Entry *entry = ALLOC(Entry);
        *entry = (Entry){ .resolver = resolver, .next = resolver->entries, .name = alloc_string(name) };
        Address literal;
        if (address_parse(name, 0, &literal) == 0) {
                entry->addresses = ALLOC_ARRAY(char *, 1);
                entry->addresses[0] = address_format((const struct sockaddr *) &literal.socket, literal.length);
                entry->n_addresses = 1;
                entry->next_lookup = USEC_INFINITY;
        }
        resolver->entries = entry;
        return entry;
}

void resolver_note(Resolver *resolver, const char *name, uint16_t port, bool answered)
{
        Entry *entry = find_entry(resolver, name);
        Choice *choice = choice_of(entry, port);
        if (entry->n_addresses < 2)
                return;
        size_t i = chosen(entry, choice);
        usec_t now = usec_now_monotonic();
        if (answered) {
                choice->good = true;
                choice->failing_since = 0;
        } else {
                if (!choice->failing_since)
                        choice->failing_since = now;
                bool first_round = !choice->good && ++choice->n_failed < entry->n_addresses;
                if (!first_round && now - choice->failing_since < (choice->good ? KEEP_GOOD : KEEP_UNKNOWN))
                        return;
                choice->failing_since = now;
                i = (i + 1) % entry->n_addresses;
        }
        free(choice->address);
        choice->address = alloc_string(entry->addresses[i]);
}

ResolverQuery *resolver_query(Resolver *resolver, const char *name, uint16_t port, usec_t deadline, resolver_fn done,
                              void *userdata)
{
        Entry *entry = find_entry(resolver, name);
        bool due = !entry->worker && !entry->wanted && usec_now_monotonic() >= entry->next_lookup;
        if (due) {
                entry->wanted = true;
                start_lookups(resolver);
        }
        ResolverQuery *query = ALLOC(ResolverQuery);
        *query = (ResolverQuery){
                .resolver = resolver,
                .next = resolver->queries,
                .entry = entry,
                .port = port,
                .done = done,
                .userdata = userdata,
        };
        resolver->queries = query;
        query->timer = timer_new(resolver->loop, USEC_MSEC, query_report, query);
        bool under_way = entry->worker || entry->wanted;
        timer_set(query->timer, entry->n_addresses > 0 || !under_way ? 0 : deadline);
        return query;
}

ResolverQuery *resolver_abandon(ResolverQuery *query)
{
        if (query)
                query_remove(query);
        return NULL;
}

Resolver *resolver_new(Loop *loop, usec_t refresh)
{
        Resolver *resolver = ALLOC(Resolver);
        *resolver = (Resolver){ .loop = loop, .refresh = refresh };
        return resolver;
}

static void entry_free(Entry *entry)
{
        worker_release(entry->worker, lookup_free);
        free_addresses(entry->addresses, entry->n_addresses);
        for (Choice *choice = entry->choices, *next; choice; choice = next) {
                next = choice->next;
                free(choice->address);
                free(choice);
        }
        free(entry->name);
        free(entry);
}

Resolver *resolver_free(Resolver *resolver)
{
        if (!resolver)
                return NULL;
        while (resolver->queries)
                query_remove(resolver->queries);
        while (resolver->entries) {
                Entry *entry = resolver->entries;
                resolver->entries = entry->next;
                entry_free(entry);
        }
        free(resolver);
        return NULL;
}
