/* Putting an address on a host, with gratuitous ARP and unsolicited neighbour advertisements from what a minimal host has.
 * Pure: builds shell text, reads its output. Must never claim that somebody was told when nothing could be sent. */
#include "announcement.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define TOLD_BY "told by "

/* All that takes long comes before the word: perl has read this, has its packet and its socket, and ip(8) waits for its
 * line. Nothing is done, and 9 is the status, when no word comes within a minute or its standard input ends.
 *
 * A mark forbids the adding. Who sets it looks for the address afterwards; so it is looked at again when the address is
 * there, for it may have come in between.
 *
 * Raw frames, now and some more times in the background, from perl: that is on most hosts (Debian's perl-base is
 * essential), needs no module for it, and ends when the first is on the wire. An ARP request for oneself makes every host
 * that knows the address take the link address from it; so does a neighbour advertisement with the override flag, to all
 * nodes, for IPv6, where the kernel sends none by itself for an address without duplicate address detection. Repeated,
 * because Linux may ignore a change of ARP for a second. Words: device, address, address in hexadecimal digits, address
 * with its prefix, mark (may be empty), the line for ip(8). */
static const char perl_adds[] =
        "perl -e '($d, $i, $a, $c, $k, $l) = @ARGV; $a = pack \"H*\", $a; "
        "open F, \"/sys/class/net/$d/address\"; ($h = <F>) =~ s/[:\\n]//g; $m = pack \"H12\", $h; "
        "open F, \"/sys/class/net/$d/ifindex\"; $n = int <F>; "
        "if (length $a == 4) { ($t, $g) = (0x0806, \"\\xff\" x 6); "
        "$p = pack(\"nnCCn\", 1, 0x0800, 6, 4, 1) . $m . $a . \"\\0\" x 6 . $a } "
        "else { ($t, $g, $o) = (0x86dd, \"\\x33\\x33\\0\\0\\0\\1\", \"\\xff\\2\" . \"\\0\" x 13 . \"\\1\"); "
        "$p = pack(\"nnN\", 0x8800, 0, 0x20000000) . $a . \"\\2\\1\" . $m; "
        "$s = unpack \"%32n*\", $a . $o . pack(\"NN\", 32, 58) . $p; "
        "$s = ($s & 0xffff) + ($s >> 16) for 1, 2; substr($p, 2, 2) = pack \"n\", ~$s & 0xffff; "
        "$p = pack(\"NnCC\", 0x60000000, 32, 58, 255) . $a . $o . $p } "
        "$f = $g . $m . pack(\"n\", $t) . $p; $w = pack(\"SniSCCa8\", 17, $t, $n, 1, 0, 6, $g); "
        "socket S, 17, 3, unpack(\"S\", pack \"n\", $t) or exit 1; pipe R, W or exit 1; "
        "open O, \">&STDOUT\"; open STDOUT, \">&W\"; $x = open P, \"|-\", \"ip -o -force -batch -\"; "
        "open STDOUT, \">&O\"; close O; close W; $x or exit 1; "
        "$| = 1; print \"ready\\n\"; $r = \"\\1\"; "
        "select($r, undef, undef, 60) && sysread(STDIN, $_, 9) && $_ eq \"go\\n\" or exit 9; "
        "print P $k && -e $k ? \"\" : \"$l\\n\", \"addr show to $i\\n\"; close P; @l = <R>; "
        "if ($k && -e $k) { @l and system qw(ip addr del), $c, \"dev\", $d; exit 0 } "
        "print @l ? \"told by \" . (send(S, $f, 0, $w) ? \"perl\" : \"nothing\") . \"\\n\" : \"\", @l; "
        "exit 0 if !@l || !defined($x = fork) || $x; "
        "open STDIN, \"/dev/null\"; open STDOUT, \">/dev/null\"; open STDERR, \">/dev/null\"; "
        "for (0.02, 0.2, 1, 2) { select undef, undef, undef, $_; `ip -o addr show to $i` =~ /./ or exit; "
        "send S, $f, 0, $w }'";

/* A host address of the same network that is not the address itself: the highest but one or two. NULL when the network is
 * too small, and for IPv6. */
static char *neighbour_of(const char *ip, int prefix)
{
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

static char *in_hexadecimal(const char *ip)
{
        unsigned char bytes[sizeof(struct in6_addr)];
        bool v6 = strchr(ip, ':');
        Text text = { 0 };
        if (inet_pton(v6 ? AF_INET6 : AF_INET, ip, bytes) == 1)
                for (size_t i = 0; i < (v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr)); i++)
                        text_addf(&text, "%02x", bytes[i]);
        return text_take(&text);
}

/* For IPv4 alone. Without perl and arping(8) any packet that the address itself sends to an unused neighbour does it too:
 * its own ARP request makes every host that knows the address take the link address from it (RFC 826). What stays in the
 * background keeps no copy of the standard output, or the command would last as long. */
static void add_others(Text *text, const char *ip, const char *prefix, const char *device)
{
        CLEANUP(mem_free) char *other = neighbour_of(ip, prefix ? atoi(prefix) : 32);
        text_addf(
                text,
                "if command -v arping >/dev/null && "
                "{ [ -z \"$by_sudo\" ] || sudo -n -l arping -q -U -c 1 -I %s %s >/dev/null 2>&1; }; then told=arping; "
                "( for n in 1 2 3; do here && arping -q -U -c 1 -I %s %s; done ) </dev/null >/dev/null 2>&1 & ",
                device, ip, device, ip);
        if (other)
                text_addf(text,
                          "elif [ -z \"$by_sudo\" ] && command -v bash >/dev/null; then told=packets; "
                          "( ip route replace %s/32 dev %s src %s; for pause in 0 0.3 1.2; do sleep $pause; "
                          "here || break; ip neigh flush to %s dev %s; bash -c 'echo >/dev/udp/%s/9'; done; "
                          "ip route del %s/32 dev %s src %s ) </dev/null >/dev/null 2>&1 & ",
                          other, device, ip, other, device, other, other, device, ip);
        text_add(text, "fi; ");
}

/* Without duplicate address detection, which would keep it from being used for a second; and, as a second address of IPv4
 * is not, not to be chosen by the host for connections of its own, which would break when it moves on. */
char *announcement_addition(const char *ip_with_prefix, const char *device, const char *label)
{
        return text_format("addr add %s dev %s%s%s%s", ip_with_prefix, device, label ? " label " : "",
                           label ? label : "", strchr(ip_with_prefix, ':') ? " nodad preferred_lft 0" : "");
}

char *announcement_add(const char *ip_with_prefix, const char *device, const char *label, const char *mark)
{
        const char *slash = strchr(ip_with_prefix, '/');
        CLEANUP(mem_free) char *ip = alloc_string_n(ip_with_prefix, strcspn(ip_with_prefix, "/"));
        CLEANUP(mem_free) char *digits = in_hexadecimal(ip);
        bool v6 = strchr(ip, ':');
        CLEANUP(mem_free) char *add = announcement_addition(ip_with_prefix, device, label);
        Text text = { 0 };
        text_addf(&text, "ip -batch /dev/null 2>/dev/null && %s %s %s %s %s %s '%s' || [ $? = 9 ] || { ", perl_adds,
                  device, ip, digits, ip_with_prefix, mark ? mark : "''", add);
        text_addf(&text, "here() { ip -o addr show to %s | grep -q .; }; echo later; read -r word; [ \"$word\" = go ]",
                  ip);
        if (mark)
                text_addf(&text, " && [ ! -e %s ]", mark);
        text_addf(&text, " && ip %s; ", add);
        if (mark)
                text_addf(&text, "[ ! -e %s ] || ip addr del %s dev %s; ", mark, ip_with_prefix, device);
        text_add(&text, "if here; then told=nothing; ");
        if (!v6)
                add_others(&text, ip, slash ? slash + 1 : NULL, device);
        text_addf(&text, "echo \"%s$told\"; fi; ip -o addr show to %s; }", TOLD_BY, ip);
        return text_take(&text);
}

const char *announcement_result(const char *out)
{
        static const char *const sentences[][2] = {
                { "perl", "the network was told" },
                { "arping", "the network was told by arping" },
                { "packets", "the network learns it from packets that were sent" },
        };
        if (!text_starts_with(out, TOLD_BY))
                return NULL;
        for (size_t i = 0; i < ARRAY_LENGTH(sentences); i++)
                if (text_starts_with(out + strlen(TOLD_BY), sentences[i][0]))
                        return sentences[i][1];
        return "THE NETWORK WAS NOT TOLD, as its host has neither perl nor another program for it, or the account "
               "of SSH may not use it: who knows the address from before may look for it on the other host for a "
               "minute";
}

const char *announcement_skip(const char *out)
{
        const char *end = text_starts_with(out, TOLD_BY) ? strchr(out, '\n') : NULL;
        return end ? end + 1 : out;
}
