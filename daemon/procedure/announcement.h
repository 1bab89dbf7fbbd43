/* How a network learns that an address has moved to another host, as shell text for the host that has it now. */
#pragma once

/* Sends a gratuitous ARP request (IPv4) or an unsolicited neighbour advertisement (IPv6) by whatever the host has, the
 * first before it ends and some more in the background for as long as the address is there, and prints how, in a line of
 * its own. device is quoted for a shell. Free with free(). */
char *announcement(const char *ip_with_prefix, const char *device);
/* The sentence for the line with which a host's output begins when it was run there; NULL when it was not. */
const char *announcement_result(const char *out);
/* What comes after that line, if there is one; takes NULL. */
const char *announcement_skip(const char *out);
