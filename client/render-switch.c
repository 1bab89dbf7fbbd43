/* A switchover or a failover before it begins: who follows whom now and then, and what its checks found. */
#include "render.h"

#include "cleanup.h"

/* Who follows whom, now or then. */
typedef struct Tree {
        const Json *servers, *raised; /* raised: the replicas of replicas that will follow the new primary itself */
        const char *old, *new;        /* new: NULL for how it is now */
        bool demote;
        bool dead;   /* the old one is */
        size_t left; /* servers that are not shown yet: whatever the answer says, each is there once at most */
} Tree;

static const char *source_of(const Tree *tree, const Json *server)
{
        const char *name = json_get_string(server, "name"), *source = json_get_string(server, "source");
        if (!tree->new)
                return source;
        if (text_equal(name, tree->old))
                return tree->demote ? tree->new : NULL;
        return text_equal(source, tree->old) || json_has(tree->raised, name) ? tree->new : source;
}

static size_t count_followers(const Tree *tree, const char *of)
{
        const char *top = tree->new ? tree->new : tree->old;
        size_t n = 0;
        JSON_FOREACH(server, tree->servers)
        n += text_equal(source_of(tree, server), of) && !text_equal(json_get_string(server, "name"), top);
        return n;
}

/* Those that follow it, and those that follow them. */
static void add_followers(Text *out, const Look *look, Tree *tree, const char *of, const char *indent)
{
        const char *top = tree->new ? tree->new : tree->old;
        size_t n = count_followers(tree, of);
        JSON_FOREACH(server, tree->servers)
        {
                const char *name = json_get_string(server, "name");
                if (!text_equal(source_of(tree, server), of) || text_equal(name, top) || tree->left == 0)
                        continue;
                tree->left--;
                bool last = --n == 0;
                const char *branch = look->lines ? (last ? "└─ " : "├─ ") : (last ? "`- " : "|- ");
                render_add(out, look, TONE_PLAIN, "%s%s%s", indent, branch, name);
                text_add(out, "\n");
                CLEANUP(mem_free) char *below = text_format("%s%s", indent, last ? "   " : look->lines ? "│  " : "|  ");
                add_followers(out, look, tree, name, below);
        }
}

static void add_top(Text *out, const Look *look, const char *first, const char *name, const char *note)
{
        render_add(out, look, TONE_PLAIN, "%s%s", first, name);
        render_add(out, look, TONE_FAINT, "  %s", note);
        text_add(out, "\n");
}

static void add_tree(Text *out, const Look *look, const char *title, Tree *tree)
{
        const char *top = tree->new ? tree->new : tree->old;
        add_top(out, look, title, top, tree->dead && !tree->new ? "(primary, dead)" : "(primary)");
        tree->left = json_length(tree->servers);
        add_followers(out, look, tree, top, "          ");
        if (tree->new && !tree->demote)
                add_top(out, look, "          ", tree->old, tree->dead ? "(dead)" : "(read-only, follows nobody)");
}

const char *render_candidate(const Json *answer)
{
        const char *candidate = NULL;
        JSON_FOREACH(step, json_get(json_get(answer, "plan"), "steps"))
        {
                const char *decided = json_get_string(json_get(step, "decided"), "candidate");
                candidate = decided ? decided : candidate;
        }
        return candidate;
}

void render_switch(Text *out, const Look *look, const Json *status, const Json *answer)
{
        const Json *cluster = json_at(json_get(status, "clusters"), 0);
        Tree now = { .servers = json_get(cluster, "servers"), .old = json_get_string(cluster, "primary") };
        Tree then = now;
        now.dead = then.dead = text_equal(json_get_string(json_get(answer, "plan"), "procedure"), "failover");
        then.demote = !then.dead;
        then.new = render_candidate(answer);
        JSON_FOREACH(step, json_get(json_get(answer, "plan"), "steps"))
        {
                const char *name = json_get_string(step, "name");
                if (text_equal(name, "demote"))
                        then.demote = !text_equal(json_get_string(step, "state"), "skipped");
                else if (text_equal(name, "raise-sub-replicas"))
                        then.raised = json_get(step, "targets");
        }
        if (!now.old || !then.new)
                return;
        if (then.dead)
                render_add(out, look, TONE_STRONG, "%s: %s takes the place of %s", render_or(cluster, "cluster", "?"),
                           then.new, now.old);
        else
                render_add(out, look, TONE_STRONG, "%s: %s hands the primary role over to %s",
                           render_or(cluster, "cluster", "?"), now.old, then.new);
        text_add(out, "\n\n");
        add_tree(out, look, "  now:    ", &now);
        add_tree(out, look, "  then:   ", &then);
}

static const char *check_verdict(const Json *step, const Json *target)
{
        if (!target)
                return text_equal(json_get_string(step, "state"), "unknown") ? "hopeless" : "met";
        const char *verdict = json_get_string(target, "verdict");
        return verdict ? verdict : "unmet";
}

static bool add_found(Text *out, const Look *look, const Json *step, const Json *target)
{
        const char *verdict = check_verdict(step, target), *why = json_get_string(target ? target : step, "why");
        bool good = text_equal(verdict, "met");
        render_add(out, look, good ? TONE_GOOD : TONE_BAD, "  %-4s", good ? "ok" : "no");
        render_add(out, look, TONE_PLAIN, "%s%s%s", target ? render_target(target) : "", target ? ": " : "",
                   why ? why : render_or(step, "goal", "?"));
        text_add(out, "\n");
        return good;
}

bool render_checks(Text *out, const Look *look, const Json *answer)
{
        const Json *plan = json_get(answer, "plan");
        bool good = true;
        JSON_FOREACH(step, json_get(plan, "steps"))
        {
                const Json *targets = json_get(step, "targets");
                if (!json_get_bool(step, "check", false) || text_equal(json_get_string(step, "state"), "skipped"))
                        continue;
                JSON_FOREACH(target, targets)
                {
                        good = add_found(out, look, step, target) && good;
                }
                if (json_length(targets) == 0)
                        good = add_found(out, look, step, NULL) && good;
        }
        JSON_FOREACH(reason, json_get(plan, "blocked"))
        {
                render_add(out, look, TONE_BAD, "  no  ");
                render_add(out, look, TONE_PLAIN, "%s", json_string(reason) ? json_string(reason) : "?");
                text_add(out, "\n");
                good = false;
        }
        return good;
}
