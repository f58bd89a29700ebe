/* How much of a step's communication was hidden behind the backward pass. */
#ifndef WORKER_PARALLEL_OVERLAP_H
#define WORKER_PARALLEL_OVERLAP_H

#include "worker/parallel/data_parallel.h"

/* Fills in hidden_ms, exposed_ms, bytes and bytes_per_s from the buckets' times, which do not
 * intersect (one thread runs them in order). `backward_end_ns`: when the step began to wait.
 * Without `is_concurrent` the computing thread itself communicated: nothing was hidden. Pure. */
void syn_overlap_compute(syn_overlap *overlap, uint64_t backward_end_ns, bool is_concurrent);

#endif
