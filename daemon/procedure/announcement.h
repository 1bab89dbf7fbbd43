/* How a host gets an address, and a network learns that it has it now, as shell text for that host. */
#pragma once

/* A script for script_ssh_on_word(): adds the address to the device, unless there is a file of the name of mark (a word of the shell; NULL: in
 * any case), and, when the address is there then, sends a gratuitous ARP request (IPv4) or an unsolicited neighbour advertisement
 * (IPv6) by whatever the host has, the first before it ends and some more in the background for as long as the address is
 * there. Prints how, in a line of its own, and lists the address. All words are of the configuration, which lets nothing
 * pass that a shell would have to be kept from. label may be NULL. Free with free(). */
char *announcement_add(const char *ip_with_prefix, const char *device, const char *label, const char *mark);
/* What it says to ip(8): "addr add …"; free with free(). */
char *announcement_addition(const char *ip_with_prefix, const char *device, const char *label);
/* The sentence for the line with which a host's output begins when it was run there; NULL when it was not. */
const char *announcement_result(const char *out);
/* What comes after that line, if there is one; takes NULL. */
const char *announcement_skip(const char *out);
