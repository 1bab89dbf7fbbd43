/* Moving the address with ip(8) over SSH. Pure: builds shell text, reads its output. Must never trust that a command
 * worked: the next ask looks. */
#include "virtual_address.h"

#include <string.h>

#include "announcement.h"
#include "text.h"

static const char *configured(const Facts *facts)
{
        return facts_config_string(facts, "address.ip");
}

bool address_skip(const Facts *facts)
{
        return text_is_empty(configured(facts));
}

bool address_skip_moving(const Facts *facts)
{
        return address_skip(facts) ||
               facts_same_host(facts, facts_string(facts, "old_primary"), facts_string(facts, "candidate"));
}

/* "10.0.0.100/24" without its prefix length. */
static char *bare(const char *ip_with_prefix)
{
        return alloc_string_n(ip_with_prefix, strcspn(ip_with_prefix, "/"));
}

/* One line an interface that has it: "2: eth0    inet 10.0.0.100/24 scope …". */
static char *listing(const char *ip_with_prefix)
{
        CLEANUP(mem_free) char *ip = bare(ip_with_prefix);
        CLEANUP(mem_free) char *quoted = text_quote_shell(ip);
        return text_format("ip -o addr show to %s", quoted);
}

void ask_address(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(mem_free) char *command = listing(configured(facts));
        script_ssh(script, "%s", command);
}

/* The device that has the address, from the listing; free with free(). NULL when none has. */
static char *found_on(const Reply *reply)
{
        const char *line = announcement_skip(reply->out), *space = line ? strchr(line, ' ') : NULL;
        if (!space)
                return NULL;
        space += strspn(space, " ");
        return alloc_string_n(space, strcspn(space, " @\n"));
}

static bool listed(const Replies *replies, Judgement *judgement)
{
        const Reply *reply = replies_at(replies, 0);
        if (reply_succeeded(reply) && reply->exit_status == 0)
                return true;
        judge_as(judgement, VERDICT_UNMET, "cannot list the addresses: %s",
                 reply->failure.kind != FAILURE_NONE ? reply->failure.text : "ip failed");
        return false;
}

static void learn_rung(Judgement *judgement, const char *result, const char *guarantee)
{
        Json *rung = json_object();
        json_set_string(rung, "result", result);
        json_set_string(rung, "guarantee", guarantee);
        json_set(json_ensure_object(judge_learned(judgement), "fence"), "address", rung);
}

void judge_address_absent(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (!listed(replies, judgement))
                return;
        CLEANUP(mem_free) char *device = found_on(replies_at(replies, 0));
        if (device) {
                judge_as(judgement, VERDICT_UNMET, "%s is still on %s", configured(facts), device);
                return;
        }
        learn_rung(judgement, "the address is not on the host",
                   "no client reaches the old primary by the address; one that knows its own address still could");
        judge_as(judgement, VERDICT_MET, "%s is not on the host", configured(facts));
}

char *address_removal(const char *ip_with_prefix)
{
        CLEANUP(mem_free) char *list = listing(ip_with_prefix);
        return text_format("%s | while read -r index device family address rest; do "
                           "ip addr del \"$address\" dev \"${device%%%%@*}\"; done",
                           list);
}

void act_address_remove(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(mem_free) char *command = address_removal(configured(facts));
        CLEANUP(mem_free) char *list = listing(configured(facts));
        script_ssh(script, "%s; %s", command, list);
}

void judge_address_present(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (!listed(replies, judgement))
                return;
        CLEANUP(mem_free) char *device = found_on(replies_at(replies, 0));
        if (!device) {
                const char *err = replies_at(replies, 0)->err;
                judge_as(judgement, VERDICT_UNMET, "%s is not there yet%s%.*s", configured(facts),
                         text_is_empty(err) ? "" : ": ", (int) strcspn(err ? err : "", "\n"), err ? err : "");
                return;
        }
        const char *announced = announcement_result(replies_at(replies, 0)->out);
        judge_as(judgement, VERDICT_MET, "%s is on %s%s%s", configured(facts), device, announced ? ": " : "",
                 announced ? announced : "");
}

void judge_address_in_place(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_address_present(facts, server, replies, judgement);
        if (judgement->verdict == VERDICT_UNMET && reply_succeeded(replies_at(replies, 0)))
                judge_as(judgement, VERDICT_HOPELESS, "the address %s is not on its host", configured(facts));
}

void judge_address_elsewhere(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        if (!listed(replies, judgement))
                return;
        CLEANUP(mem_free) char *device = found_on(replies_at(replies, 0));
        if (device)
                judge_as(judgement, VERDICT_HOPELESS, "the address %s is on its host (%s) already", configured(facts),
                         device);
        else
                judge_as(judgement, VERDICT_MET, "its host answers and does not have the address");
}

/* A mark on the host that the run was taken back there: a command that a daemon sent before it died may arrive late. */
static char *mark_of(const Facts *facts)
{
        return text_format("\"${marks:-/run}\"/mhad-%s-undone", facts_string(facts, "run"));
}

void ask_address_withdrawn(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(mem_free) char *list = listing(configured(facts));
        CLEANUP(mem_free) char *mark = mark_of(facts);
        script_ssh(script, "%s && if [ -e %s ]; then echo withdrawn; fi", list, mark);
}

void judge_address_withdrawn(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        judge_address_absent(facts, server, replies, judgement);
        const char *out = replies_at(replies, 0)->out;
        if (judgement->verdict == VERDICT_MET && !(out && strstr(out, "withdrawn")))
                judge_as(judgement, VERDICT_UNMET, "%s is not there, and might still be put there", configured(facts));
}

void act_address_withdraw(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(mem_free) char *removal = address_removal(configured(facts));
        CLEANUP(mem_free) char *mark = mark_of(facts);
        script_ssh(script, ": >%s; %s", mark, removal);
}

static char *adding(const Facts *facts, const char *mark)
{
        return announcement_add(configured(facts), facts_config_string(facts, "address.device"),
                                facts_config_string(facts, "address.label"), mark);
}

static char *marked_adding(const Facts *facts)
{
        CLEANUP(mem_free) char *mark = mark_of(facts);
        return adding(facts, mark);
}

void act_address_add(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(mem_free) char *text = marked_adding(facts);
        script_ssh_on_word(script, text);
}

void act_address_keep(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        CLEANUP(mem_free) char *text = adding(facts, NULL);
        script_ssh_on_word(script, text);
}

void ask_address_ready(const Facts *facts, const char *server, Script *script)
{
        CLEANUP(mem_free) char *text = marked_adding(facts);
        if (!json_get_bool(facts->root, "planning", false))
                script_ready(script, text);
}

void judge_address_ready(const Facts *facts, const char *server, const Replies *replies, Judgement *judgement)
{
        bool ready = text_equal(replies_at(replies, 0)->out, "ready");
        judge_as(judgement, VERDICT_MET, "%s",
                 replies->n_items == 0 ? "made ready when it is time"
                 : ready               ? "it has all that it needs and waits for the word"
                                       : "it lacks perl, or an ip(8) that could wait: it starts when it gets the word");
}
