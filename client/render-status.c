/* The state of the clusters as a tree: who replicates from whom, what is wrong, what would happen now. */
#include "render.h"

#include <string.h>

#include "cleanup.h"
#include "host.h"

#define POSITION_SHOWN 64

static const char *health_word(const char *health)
{
        static const char *const words[][2] = { { "ok", "healthy" },
                                                { "warning", "degraded" },
                                                { "suspect", "suspect" },
                                                { "held", "waiting for an operator" },
                                                { "running", "run under way" },
                                                { "halted", "halted" } };
        for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
                if (text_equal(health, words[i][0]))
                        return words[i][1];
        return health ? health : "unknown";
}

static void add_headline(Text *out, const Look *look, const Json *cluster)
{
        const char *health = json_get_string(cluster, "health"), *state = render_or(cluster, "state", "unknown");
        int64_t since = json_get_int(cluster, "since", 0);
        Tone tone = render_tone(health);
        render_add(out, look, tone, "%s ", render_mark(look, health));
        render_add(out, look, TONE_STRONG, "%s", render_or(cluster, "cluster", "?"));
        text_add(out, "  ");
        render_add(out, look, tone, "%s", health_word(health));
        if (!text_equal(state, health_word(health)))
                render_add(out, look, TONE_FAINT, ", %s", state);
        if (since > 0) {
                CLEANUP(mem_free) char *duration = usec_format_human(usec_sub(look->now, (usec_t) since));
                render_add(out, look, TONE_FAINT, " for %s", duration);
        }
        bool automatic = text_equal(json_get_string(cluster, "mode"), "automatic");
        render_add(out, look, automatic ? TONE_FAINT : TONE_WARN, "%s",
                   automatic ? ", automatic failover" : ", only watched: no automatic failover");
        text_add(out, "\n");
}

static void add_paused(Text *out, const Look *look, const Json *paused)
{
        if (!paused)
                return;
        const char *reason = json_get_string(paused, "reason");
        int64_t until = json_get_int(paused, "until", 0);
        render_add(out, look, TONE_WARN, "  paused by %s", render_or(paused, "by", "somebody"));
        if (until > 0) {
                CLEANUP(mem_free) char *end = render_ago(look, (usec_t) until);
                render_add(out, look, TONE_WARN, ", ends %s", end);
        }
        render_add(out, look, TONE_PLAIN, "%s%s", reason ? ": " : "", reason ? reason : "");
        text_add(out, "\n");
}

static void add_address(Text *out, const Look *look, const Json *address)
{
        if (!address)
                return;
        const char *on = json_get_string(address, "on"), *device = json_get_string(address, "device");
        render_add(out, look, TONE_PLAIN, "  address %s", render_or(address, "ip", "?"));
        render_add(out, look, TONE_PLAIN, "%s%s", on ? " on " : "", on ? on : "");
        render_add(out, look, TONE_FAINT, "%s%s%s", device ? " (" : "", device ? device : "", device ? ")" : "");
        text_add(out, "\n");
}

/* One line for each server. */

/* "MariaDB 10.11.6" of "10.11.6-MariaDB-log". */
static void cell_version(Columns *columns, const Json *server)
{
        const char *flavour = json_get_string(server, "flavour"), *version = render_or(server, "version", "");
        const char *name = text_equal(flavour, "mysql") ? "MySQL " : text_equal(flavour, "mariadb") ? "MariaDB " : "";
        columns_cell(columns, TONE_PLAIN, "%s%.*s", name, (int) strcspn(version, "-"), version);
}

static void cell_life(Columns *columns, const Look *look, const Json *server)
{
        int64_t ping = json_get_int(server, "ping_us", -1), last_good = json_get_int(server, "last_good", 0);
        if (json_get_bool(server, "up", false)) {
                if (ping >= 0)
                        columns_cell(columns, TONE_FAINT, "%.1f ms", (double) ping / 1000);
                else
                        columns_cell(columns, TONE_GOOD, "up");
                return;
        }
        const char *evidence = render_or(server, "evidence", "unknown");
        if (last_good <= 0) {
                columns_cell(columns, TONE_BAD, "%s", evidence);
                return;
        }
        CLEANUP(mem_free) char *since = usec_format_human(usec_sub(look->now, (usec_t) last_good));
        columns_cell(columns, TONE_BAD, "%s for %s", evidence, since);
}

static void cell_lag(Columns *columns, const Json *server)
{
        int64_t lag = json_get_int(server, "lag_ms", -1), delay = json_get_int(server, "delay_ms", 0);
        CLEANUP(mem_free) char *behind = render_duration(lag);
        CLEANUP(mem_free) char *wanted = render_duration(delay);
        Tone tone = lag >= 10000 && lag > delay + 10000 ? TONE_WARN : TONE_PLAIN;
        if (lag < 0)
                columns_cell(columns, TONE_FAINT, "lag unknown");
        else if (delay > 0)
                columns_cell(columns, tone, "lag %s (delayed %s)", behind, wanted);
        else
                columns_cell(columns, tone, "lag %s", behind);
}

static void cell_replication(Columns *columns, const Json *server)
{
        const char *receiver = json_get_string(server, "receiver"), *applier = json_get_string(server, "applier");
        bool receives = text_equal(receiver, "yes"), applies = text_equal(applier, "yes");
        if (!json_get_bool(server, "up", false) || (!receiver && !applier))
                columns_cell(columns, TONE_PLAIN, "%s", "");
        else if (receives && applies)
                cell_lag(columns, server);
        else if (!receives && !applies && !text_equal(receiver, "connecting"))
                columns_cell(columns, TONE_BAD, "stopped");
        else
                columns_cell(columns, TONE_BAD, "%s%s%s",
                             receives                             ? ""
                             : text_equal(receiver, "connecting") ? "connecting"
                                                                  : "receiver stopped",
                             receives || applies ? "" : ", ", applies ? "" : "applier stopped");
}

static void cell_writable(Columns *columns, const Json *server)
{
        bool primary = text_equal(json_get_string(server, "role"), "primary");
        bool read_only = json_get_bool(server, "read_only", false);
        if (!json_has(server, "read_only") || !json_get_bool(server, "up", false))
                columns_cell(columns, TONE_PLAIN, "%s", "");
        else
                columns_cell(columns, primary == read_only ? TONE_WARN : TONE_FAINT, "%s",
                             read_only ? "read-only" : "writable");
}

static void cell_promotion(Columns *columns, const Json *server)
{
        const char *promotion = json_get_string(server, "promotion");
        columns_cell(columns, TONE_FAINT, "%s",
                     text_equal(promotion, "prefer")  ? "preferred"
                     : text_equal(promotion, "never") ? "never promoted"
                                                      : "");
}

static void cell_position(Columns *columns, const Look *look, const Json *server)
{
        const char *position = render_or(server, "gtid", render_or(server, "position", ""));
        size_t length = 0, shown = 0;
        while (position[length] && shown < POSITION_SHOWN)
                shown += (position[++length] & 0xC0) != 0x80;
        columns_cell(columns, TONE_FAINT, "%.*s%s", (int) length, position,
                     !position[length] ? ""
                     : look->lines     ? "…"
                                       : "...");
}

/* The tree. */

typedef struct Tree {
        const Look *look;
        const Json *servers;
        Columns *columns;
        bool *shown;
} Tree;

static bool is_source(const Json *server, const char *name)
{
        return text_equal(json_get_string(server, "source"), name) &&
               !text_equal(json_get_string(server, "name"), name);
}

static bool has_replicas(const Tree *tree, const char *name)
{
        size_t i = 0;
        JSON_FOREACH(server, tree->servers)
        if (!tree->shown[i++] && is_source(server, name))
                return true;
        return false;
}

static bool says(const Json *problems, const char *text)
{
        JSON_FOREACH(problem, problems)
        if (json_string(problem) && strstr(json_string(problem), text))
                return true;
        return false;
}

static void add_downtime(Tree *tree, const Json *downtime, const char *stem, const char *line)
{
        const char *reason = json_get_string(downtime, "reason");
        int64_t until = json_get_int(downtime, "until", 0);
        if (!downtime)
                return;
        CLEANUP(mem_free) char *end = until > 0 ? render_ago(tree->look, (usec_t) until) : NULL;
        CLEANUP(mem_free)
        char *text = text_format("  %s%staken out by %s%s%s%s%s", stem, line, render_or(downtime, "by", "somebody"),
                                 end ? ", ends " : "", end ? end : "", reason ? ": " : "", reason ? reason : "");
        columns_below(tree->columns, TONE_WARN, text);
}

static void add_problems(Tree *tree, const Json *server, const char *stem, bool has_children)
{
        const char *line = !has_children ? "   " : tree->look->lines ? "│  " : "|  ";
        const char *evidence = json_get_string(server, "evidence_text");
        add_downtime(tree, json_get(server, "downtime"), stem, line);
        if (evidence && !json_get_bool(server, "up", false) && !says(json_get(server, "problems"), evidence)) {
                CLEANUP(mem_free) char *text = text_format("  %s%s%s", stem, line, evidence);
                columns_below(tree->columns, TONE_FAINT, text);
        }
        JSON_FOREACH(problem, json_get(server, "problems"))
        {
                CLEANUP(mem_free)
                char *text = text_format("  %s%s! %s", stem, line, json_string(problem) ? json_string(problem) : "?");
                columns_below(tree->columns, TONE_WARN, text);
        }
}

static void cell_role(Columns *columns, const Json *server)
{
        const char *role = render_or(server, "role", "unknown");
        bool up = json_get_bool(server, "up", false), primary = text_equal(role, "primary");
        Tone tone = !up ? TONE_BAD : primary ? TONE_GOOD : strstr(role, "replica") ? TONE_PLAIN : TONE_WARN;
        CLEANUP(mem_free) char *words = alloc_string(role);
        for (char *c = words; *c; c++)
                if (*c == '_')
                        *c = '-';
        columns_cell(columns, tone, "%s", words);
}

static void add_server(Tree *tree, const Json *server, const char *stem, const char *branch)
{
        Columns *columns = tree->columns;
        columns_row(columns);
        columns_cell(columns, TONE_PLAIN, "%s%s%s", stem, branch, render_or(server, "name", "?"));
        cell_role(columns, server);
        CLEANUP(mem_free)
        char *place = host_and_port(render_or(server, "host", "?"), (uint64_t) json_get_int(server, "port", 3306));
        columns_cell(columns, TONE_PLAIN, "%s", place);
        cell_version(columns, server);
        cell_life(columns, tree->look, server);
        cell_replication(columns, server);
        cell_writable(columns, server);
        cell_promotion(columns, server);
        cell_position(columns, tree->look, server);
}

static void add_branch(Tree *tree, size_t index, const char *stem, const char *branch, const char *next)
{
        const Json *server = json_at(tree->servers, index);
        const char *name = render_or(server, "name", "");
        CLEANUP(mem_free) char *below = text_format("%s%s", stem, next);
        tree->shown[index] = true;
        add_server(tree, server, stem, branch);
        add_problems(tree, server, below, has_replicas(tree, name));
        for (size_t i = 0; i < json_length(tree->servers); i++) {
                if (tree->shown[i] || !is_source(json_at(tree->servers, i), name))
                        continue;
                tree->shown[i] = true;
                bool more = has_replicas(tree, name), lines = tree->look->lines;
                add_branch(tree, i, below, more ? (lines ? "├─ " : "|- ") : (lines ? "└─ " : "`- "),
                           more ? (lines ? "│  " : "|  ") : "   ");
        }
}

static bool is_root(const Json *servers, const Json *server)
{
        JSON_FOREACH(other, servers)
        if (is_source(server, json_get_string(other, "name")))
                return false;
        return true;
}

/* Primaries first, then others that follow nobody, then what only follows itself in a ring. */
static void add_servers(Text *out, const Look *look, const Json *servers)
{
        CLEANUP(columns_free) Columns *columns = columns_new(look);
        CLEANUP(mem_free) bool *shown = ALLOC_ARRAY(bool, json_length(servers) + 1);
        Tree tree = { .look = look, .servers = servers, .columns = columns, .shown = shown };
        for (int round = 0; round < 3; round++)
                for (size_t i = 0; i < json_length(servers); i++) {
                        const Json *server = json_at(servers, i);
                        bool primary = text_equal(json_get_string(server, "role"), "primary");
                        if (!shown[i] && (round == 0 ? primary : round == 2 || is_root(servers, server)))
                                add_branch(&tree, i, "", "", "");
                }
        columns_print(columns, "  ", out);
}

static void add_observers(Text *out, const Look *look, const Json *observers)
{
        Text names = { 0 };
        JSON_FOREACH(observer, observers)
        {
                text_separate(&names, ", ");
                text_addf(&names, "%s (%s)", render_or(observer, "name", "?"), render_or(observer, "host", "?"));
        }
        if (names.length) {
                render_add(out, look, TONE_FAINT, "  observers: %s", names.data);
                text_add(out, "\n");
        }
        text_done(&names);
}

/* Those of one server stand under it already. */
static void add_cluster_problems(Text *out, const Look *look, const Json *problems)
{
        JSON_FOREACH(problem, problems)
        {
                bool blocks = json_get_bool(problem, "blocks", false);
                const char *server = json_get_string(problem, "server");
                if (server && !blocks)
                        continue;
                render_add(out, look, blocks ? TONE_BAD : TONE_WARN, "  ! %s%s%s%s", server ? server : "",
                           server ? ": " : "", render_or(problem, "text", "?"),
                           blocks ? " (blocks automatic failover)" : "");
                text_add(out, "\n");
        }
}

static void add_finding(Text *out, const Look *look, const Json *cluster)
{
        const Json *finding = json_get(cluster, "finding");
        const char *health = json_get_string(cluster, "health");
        if (!finding || text_equal(health, "ok") || text_equal(health, "warning"))
                return;
        render_add(out, look, render_tone(health), "  %s", render_or(finding, "text", "?"));
        render_add(out, look, TONE_FAINT, " [%s]", render_or(finding, "row", "?"));
        text_add(out, "\n");
}

static void add_list(Text *out, const Look *look, Tone tone, const Json *list)
{
        JSON_FOREACH(line, list)
        {
                render_add(out, look, tone, "    - %s", json_string(line) ? json_string(line) : "?");
                text_add(out, "\n");
        }
}

static bool is_down(const Json *cluster, const char *name)
{
        JSON_FOREACH(server, json_get(cluster, "servers"))
        if (name && text_equal(json_get_string(server, "name"), name))
                return !json_get_bool(server, "up", false);
        return false;
}

static void add_prospect(Text *out, const Look *look, const Json *forecast)
{
        const char *duration = json_get_string(forecast, "duration"), *at_most = json_get_string(forecast, "at_most");
        if (duration) {
                render_add(out, look, TONE_FAINT, "    nobody could write for %s", duration);
                text_add(out, "\n");
        }
        if (at_most) {
                render_add(out, look, TONE_FAINT, "    at most lost: %s", at_most);
                text_add(out, "\n");
        }
}

static void add_forecast(Text *out, const Look *look, const Json *cluster)
{
        const Json *forecast = json_get(cluster, "if_primary_died");
        const char *primary = json_get_string(cluster, "primary"), *candidate = json_get_string(forecast, "candidate");
        const Json *blockers = json_get(forecast, "blockers"), *hold = json_get(forecast, "hold");
        const char *why = json_get_string(forecast, "why");
        if (!forecast || json_has(cluster, "run"))
                return;
        render_add(out, look, TONE_PLAIN, is_down(cluster, primary) ? "  With %s gone, " : "  If %s died now, ",
                   primary ? primary : "the primary");
        bool possible = json_length(blockers) == 0 && candidate;
        if (!possible)
                render_add(out, look, TONE_BAD, "there would be no failover");
        else
                render_add(out, look, TONE_PLAIN, "%s would take over", candidate);
        if (possible && json_length(hold) > 0)
                render_add(out, look, TONE_WARN, ", once an operator says so");
        const char *loss = json_get_string(forecast, "loss");
        render_add(out, look, TONE_FAINT, "%s%s", why ? ": " : "", why ? why : "");
        render_add(out, look, TONE_FAINT, "%s%s", loss ? "; loss: " : "", loss ? loss : "");
        text_add(out, "\n");
        if (!is_down(cluster, primary))
                add_prospect(out, look, forecast);
        add_list(out, look, TONE_BAD, blockers);
        add_list(out, look, TONE_WARN, hold);
}

static void add_run(Text *out, const Look *look, const Json *run)
{
        if (!run)
                return;
        const char *state = json_get_string(run, "state");
        render_add(out, look, render_tone(state), "  %s %s", render_or(run, "procedure", "run"),
                   state ? state : "under way");
        int64_t number = json_get_int(run, "number", 0), total = json_get_int(run, "total", 0);
        if (number > 0)
                render_add(out, look, TONE_PLAIN, ", step %lld of %lld", (long long) number, (long long) total);
        render_add(out, look, TONE_FAINT, " (run %s%s)", render_or(run, "run", "?"),
                   json_get_bool(run, "no_return_passed", false) ? ", past the point of no return" : "");
        text_add(out, "\n");
        if (json_has(run, "why")) {
                render_add(out, look, TONE_STRONG, "    %s", render_or(run, "why", "?"));
                text_add(out, "\n");
        }
        render_steps(out, look, json_get(run, "steps"), "    ");
}

static void add_last_run(Text *out, const Look *look, const Json *run)
{
        if (!run)
                return;
        const char *outcome = render_or(run, "outcome", "ended"), *summary = json_get_string(run, "summary");
        int64_t ended = json_get_int(run, "ended", 0);
        render_add(out, look, TONE_PLAIN, "  Last %s ", render_or(run, "procedure", "run"));
        render_add(out, look, render_tone(outcome), "%s", outcome);
        if (ended > 0) {
                CLEANUP(mem_free) char *ago = render_ago(look, (usec_t) ended);
                render_add(out, look, TONE_PLAIN, " %s", ago);
        }
        render_add(out, look, TONE_FAINT, "%s%s", summary ? ": " : "", summary ? summary : "");
        text_add(out, "\n");
}

static void add_cluster(Text *out, const Look *look, const Json *cluster)
{
        add_headline(out, look, cluster);
        add_paused(out, look, json_get(cluster, "paused"));
        add_address(out, look, json_get(cluster, "address"));
        text_add(out, "\n");
        add_servers(out, look, json_get(cluster, "servers"));
        add_observers(out, look, json_get(cluster, "observers"));
        text_add(out, "\n");
        add_cluster_problems(out, look, json_get(cluster, "problems"));
        add_finding(out, look, cluster);
        add_run(out, look, json_get(cluster, "run"));
        add_run(out, look, json_get(cluster, "background"));
        add_forecast(out, look, cluster);
        add_last_run(out, look, json_get(cluster, "last_run"));
}

void render_status(Text *out, const Look *look, const Json *status)
{
        bool first = true;
        JSON_FOREACH(cluster, json_get(status, "clusters"))
        {
                if (!first)
                        text_add(out, "\n");
                first = false;
                add_cluster(out, look, cluster);
        }
        if (first)
                text_add(out, "no clusters are configured\n");
}
