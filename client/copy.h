/* Saved logs, copied out of the daemon's folder. */
#pragma once

#include "json.h"

/* All copied files of a rescue (as the daemon describes one) into directory/SERVER/NAME, a part of a log with its head before
 * it. What is there is not overwritten. The checksums are those that the daemon noted when it copied. */
int copy_rescue(const Json *rescue, const char *directory, size_t *ret_n, int64_t *ret_bytes, Failure *reterr);
