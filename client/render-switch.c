/* A switchover before it begins: who follows whom now and then, and what its checks found. */
#include "render.h"

#include "cleanup.h"

static void add_node(Text *out, const Look *look, const char *first, const char *name, const char *note, bool last)
{
        const char *branch = look->lines ? (last ? "└─ " : "├─ ") : (last ? "`- " : "|- ");
        render_add(out, look, TONE_PLAIN, "%s%s%s", first, note ? "" : branch, name);
        render_add(out, look, TONE_FAINT, "%s%s", note && *note ? "  " : "", note ? note : "");
        text_add(out, "\n");
}

static const char *follower(const Json *server, const char *source)
{
        const char *name = json_get_string(server, "name");
        return text_equal(json_get_string(server, "source"), source) ? name : NULL;
}

/* The primary and those that follow it; instead of the candidate the old primary stands below, when it follows. */
static void add_tree(Text *out, const Look *look, const char *title, const char *top, const char *old,
                     const char *instead, const Json *servers)
{
        size_t n = 0, i = 0;
        JSON_FOREACH(server, servers)
        {
                const char *name = follower(server, old);
                n += name && (!text_equal(name, top) || instead);
        }
        add_node(out, look, title, top, "(primary)", false);
        JSON_FOREACH(server, servers)
        {
                const char *name = follower(server, old);
                if (!name || (text_equal(name, top) && !instead))
                        continue;
                i++;
                add_node(out, look, "          ", text_equal(name, top) ? instead : name, NULL, i == n);
        }
}

void render_switch(Text *out, const Look *look, const Json *status, const Json *plan, bool demote)
{
        const Json *cluster = json_at(json_get(status, "clusters"), 0), *servers = json_get(cluster, "servers");
        const char *old = json_get_string(cluster, "primary"), *candidate = NULL;
        JSON_FOREACH(step, json_get(json_get(plan, "plan"), "steps"))
        {
                const char *decided = json_get_string(json_get(step, "decided"), "candidate");
                candidate = decided ? decided : candidate;
        }
        if (!old || !candidate)
                return;
        render_add(out, look, TONE_STRONG, "%s: %s hands the primary role over to %s",
                   render_or(cluster, "cluster", "?"), old, candidate);
        text_add(out, "\n\n");
        add_tree(out, look, "  now:    ", old, old, NULL, servers);
        add_tree(out, look, "  then:   ", candidate, old, demote ? old : NULL, servers);
        if (!demote)
                add_node(out, look, "          ", old, "(read-only, follows nobody)", true);
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
