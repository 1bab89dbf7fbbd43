/* What this process takes of the machine, as the kernel says. */
#pragma once

#include <stdint.h>

#include "usec.h"

typedef struct Resources {
        uint64_t memory; /* resident, in bytes; 0: not known */
        usec_t cpu;      /* used so far */
        unsigned open_fds, max_fds;
} Resources;

Resources resources_read(void);
