/* Host names and addresses as text. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The same name, or the same address in whatever spelling: "fd00:0:0::1" and "fd00::1", "::ffff:10.0.0.1" and "10.0.0.1".
 * NULL and "" equal nothing. Never looks a name up. */
bool host_is_same(const char *a, const char *b);
/* The one spelling of an address, or a name in small letters. The caller frees it. */
char *host_canonical(const char *host);
/* "10.0.0.1:3306", "[fd00::1]:3306", "db1:3306". The caller frees it. */
char *host_and_port(const char *host, uint64_t port);
