/* Counts of durations in fixed buckets, as Prometheus histograms want them. Used by one thread at a
 * time. */
#ifndef COMMON_BASE_HISTOGRAM_H
#define COMMON_BASE_HISTOGRAM_H

#include <stdint.h>

enum { SYN_HISTOGRAM_N_BOUNDS = 14 };
/* Upper bounds in seconds, ascending, from 100 microseconds to an hour. */
extern const double syn_histogram_bounds[SYN_HISTOGRAM_N_BOUNDS];

/* Starts as {0}. counts[i] are the observations of bucket i alone (the last one: above all bounds).
 */
typedef struct syn_histogram {
    uint64_t counts[SYN_HISTOGRAM_N_BOUNDS + 1];
    uint64_t n;
    double sum;
} syn_histogram;

void syn_histogram_observe(syn_histogram *histogram, double seconds);

#endif
