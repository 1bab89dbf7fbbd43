/* How often something took how long, in fixed buckets. */
#pragma once

#include <stddef.h>

#include "usec.h"

#define HISTOGRAM_BOUNDS 9

typedef struct Histogram {
        uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* of each bucket alone; the last is above all bounds */
        usec_t sum;
} Histogram;

/* The longest time that falls into a bucket; USEC_INFINITY for the last. */
usec_t histogram_bound(size_t bucket);
void histogram_add(Histogram *histogram, usec_t duration);
