/* Histograms of times. Pure. */
#include "histogram.h"

static const usec_t bounds[HISTOGRAM_BOUNDS] = {
        500, USEC_MSEC, 2500, 5 * USEC_MSEC, 10 * USEC_MSEC, 25 * USEC_MSEC, 100 * USEC_MSEC, 250 * USEC_MSEC, USEC_SEC
};

usec_t histogram_bound(size_t bucket)
{
        return bucket < HISTOGRAM_BOUNDS ? bounds[bucket] : USEC_INFINITY;
}

void histogram_add(Histogram *histogram, usec_t duration)
{
        size_t bucket = 0;
        while (duration > histogram_bound(bucket))
                bucket++;
        histogram->counts[bucket]++;
        histogram->sum = usec_add(histogram->sum, duration);
}
