/* Moving the address with ip(8) over SSH. Pure: builds shell text, reads its output. Must never trust that a command
 * worked: the next ask looks. */
#include "virtual_address.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static const char *configured(const Facts *facts)
{
        return facts_config_string(facts, "address.ip");
}

bool address_skip(const Facts *facts)
{
        return text_is_empty(configured(facts));
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
        const char *space = reply->out ? strchr(reply->out, ' ') : NULL;
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
        if (device)
                judge_as(judgement, VERDICT_MET, "%s is on %s", configured(facts), device);
        else
                judge_as(judgement, VERDICT_UNMET, "%s is not there yet", configured(facts));
}

/* A host address of the same network that is not the address itself: the highest but one or two. For IPv4 only; free with
 * free(), NULL when the network is too small. */
static char *neighbour_of(const char *ip_with_prefix)
{
        CLEANUP(mem_free) char *ip = bare(ip_with_prefix);
        const char *slash = strchr(ip_with_prefix, '/');
        int prefix = slash ? atoi(slash + 1) : 32;
        struct in_addr address;
        if (inet_pton(AF_INET, ip, &address) != 1 || prefix < 8 || prefix > 29)
                return NULL;
        uint32_t own = ntohl(address.s_addr), broadcast = own | (UINT32_MAX >> prefix), other = broadcast - 1;
        if (other == own)
                other--;
        address.s_addr = htonl(other);
        char text[INET_ADDRSTRLEN];
        return alloc_string(inet_ntop(AF_INET, &address, text, sizeof text));
}

/* A gratuitous ARP request, now and some more times in the background, from perl: that is on most hosts, needs no module
 * for it, and ends when the first is on the wire. Words: device, address. */
static const char perl_announces[] =
        "perl -e '($d, $i) = @ARGV; open F, \"/sys/class/net/$d/address\"; ($h = <F>) =~ s/[:\\n]//g; "
        "open F, \"/sys/class/net/$d/ifindex\"; $n = int <F>; "
        "($m, $a) = (pack(\"H12\", $h), pack(\"C4\", split /\\./, $i)); "
        "$f = \"\\xff\" x 6 . $m . pack(\"nnnCCn\", 0x0806, 1, 0x0800, 6, 4, 1) . $m . $a . \"\\0\" x 6 . $a; "
        "socket S, 17, 3, unpack(\"S\", pack \"n\", 0x0806) or exit 1; "
        "for (0, 0.02, 0.2, 1, 2) { select undef, undef, undef, $_; $_ and `ip -o addr show to $i` !~ /./ and exit; "
        "send(S, $f, 0, pack(\"SniSCCa8\", 17, 0x0806, $n, 1, 0, 6, \"\\xff\" x 6)) or exit 1; "
        "$_ or !fork or exit 0 }'";

/* Tells the network where the address is now. Without perl and arping(8) any packet that the address itself sends to an
 * unused neighbour does it too: its ARP request makes every host that knows the address take the sender's link address from
 * it (RFC 826). Repeated as long as the address is there, because Linux may ignore such a change for a second. */
static char *announcement(const char *ip_with_prefix, const char *device)
{
        CLEANUP(mem_free) char *ip = bare(ip_with_prefix);
        CLEANUP(mem_free) char *other = neighbour_of(ip_with_prefix);
        if (strchr(ip, ':')) /* IPv6: the kernel announces by itself when duplicate address detection is skipped */
                return alloc_string(":");
        Text packets = { 0 };
        if (other)
                text_addf(
                        &packets,
                        "ip route replace %s/32 dev %s src %s; for pause in 0 0.3 1.2; do sleep $pause; here || break; "
                        "ip neigh flush to %s dev %s; bash -c 'echo >/dev/udp/%s/9'; done; "
                        "ip route del %s/32 dev %s src %s",
                        other, device, ip, other, device, other, other, device, ip);
        else
                text_add(&packets, ":");
        CLEANUP(mem_free) char *fallback = text_take(&packets);
        return text_format("{ %s %s %s || { ( here() { ip -o addr show to %s | grep -q .; }; "
                           "if command -v arping; then for n in 1 2 3; do here && arping -q -U -c 1 -I %s %s; done; "
                           "else %s; fi ) & } } </dev/null >/dev/null 2>&1",
                           perl_announces, device, ip, ip, device, ip, fallback);
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

/* joined: between the adding and the telling, "&&" or ";". */
static void add(const Facts *facts, const char *joined, Script *script)
{
        const char *ip = configured(facts), *label = facts_config_string(facts, "address.label");
        CLEANUP(mem_free) char *device = text_quote_shell(facts_config_string(facts, "address.device"));
        CLEANUP(mem_free) char *quoted = text_quote_shell(ip);
        CLEANUP(mem_free) char *quoted_label = label ? text_quote_shell(label) : NULL;
        CLEANUP(mem_free) char *announce = announcement(ip, device);
        CLEANUP(mem_free) char *list = listing(ip);
        script_ssh(script, "ip addr add %s dev %s%s%s%s %s { %s\n}; %s", quoted, device, label ? " label " : "",
                   label ? quoted_label : "", strchr(ip, ':') ? " nodad" : "", joined, announce, list);
}

void act_address_add(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        add(facts, "&&", script);
}

void act_address_keep(const Facts *facts, const char *server, const Replies *seen, Script *script)
{
        add(facts, "2>/dev/null;", script);
}
