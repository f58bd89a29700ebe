/* Durations in buckets. */
#include "common/base/histogram.h"

const double syn_histogram_bounds[SYN_HISTOGRAM_N_BOUNDS] = {
    0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 600, 3600,
};

void syn_histogram_observe(syn_histogram *histogram, double seconds)
{
    int i = 0;
    while (i < SYN_HISTOGRAM_N_BOUNDS && !(seconds <= syn_histogram_bounds[i]))
        i++;
    histogram->counts[i]++;
    histogram->n++;
    histogram->sum += seconds;
}
