/* An address with a port, as it is written: 127.0.0.1:9104, [::1]:9104. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* -EINVAL when it is neither; names are not looked up. */
int endpoint_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length);
/* Whether only this host can reach it. False for what cannot be parsed. */
bool endpoint_is_loopback(const char *text);
