/* Names of losses, compared and printed. Pure. Must never take one loss for another. */
#include "loss.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "alloc.h"
#include "text.h"

/* So much of a name can be typed, and a few of them told in one sentence. */
enum { NAME_LONGEST = 160, NAME_CUT = 120 };

static uint64_t digest(const char *text)
{
        uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
        for (; *text; text++)
                hash = (hash ^ (unsigned char) *text) * UINT64_C(1099511628211);
        return hash;
}

static char *name_of(const char *loss)
{
        if (strlen(loss) <= NAME_LONGEST)
                return alloc_string(loss);
        return text_format("%.*s...%016" PRIx64, (int) NAME_CUT, loss, digest(loss));
}

/* Up to a semicolon. */
static bool is_same(const char *a, const char *b)
{
        for (;; a++, b++) {
                while (isspace((unsigned char) *a))
                        a++;
                while (isspace((unsigned char) *b))
                        b++;
                bool a_ends = !*a || *a == ';';
                if (a_ends || !*b)
                        return a_ends && !*b;
                if (*a != *b)
                        return false;
        }
}

bool loss_is_named(const char *said, const char *loss)
{
        if (text_is_empty(loss))
                return false;
        CLEANUP(mem_free) char *name = name_of(loss);
        for (const char *part = said; part; part = strchr(part, ';')) {
                part += *part == ';';
                if (is_same(part, name))
                        return true;
        }
        return false;
}

/* What was accepted up to here, and this. */
static char *add_name(const Facts *facts, const char *loss)
{
        const char *before = facts_string(facts, "accepted_loss");
        CLEANUP(mem_free) char *name = name_of(loss);
        if (loss_is_named(before, loss))
                return alloc_string(before);
        return text_format("%s%s%s", before ? before : "", before ? "; " : "", name);
}

bool loss_is_accepted(const Facts *facts, const char *loss, Json *learned)
{
        if (!loss_is_named(facts_config_string(facts, "election.accept_loss"), loss))
                return false;
        CLEANUP(mem_free) char *all = add_name(facts, loss);
        json_set_string(learned, "accepted_loss", all);
        return true;
}

char *loss_remedy(const Facts *facts, const char *loss)
{
        const char *said = facts_config_string(facts, "election.accept_loss");
        CLEANUP(mem_free) char *all = add_name(facts, loss);
        CLEANUP(mem_free) char *quoted = text_quote_shell(all);
        CLEANUP(mem_free)
        char *other = said ? text_format("That is not what was accepted ('%.*s'). ", (int) NAME_CUT, said) : NULL;
        return text_format("%sTo go on without it: mhactl failover %s --accept-loss %s", other ? other : "",
                           facts_string(facts, "cluster"), quoted);
}
