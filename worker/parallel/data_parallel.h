/* Data parallelism as the step loop sees it: accumulation, finishing or abandoning a step, what
 * communication cost. */
#ifndef WORKER_PARALLEL_DATA_PARALLEL_H
#define WORKER_PARALLEL_DATA_PARALLEL_H

#include "worker/comm/comm.h"

#include <syncline/parallel.h>

/* syn_data_parallel_with over a group instead of all ranks. Collective over the group, which must
 * outlive the module. `manifest` is more text that must be the same on all ranks, lines of "name:
 * value\n" (data fingerprint, seed, version); NULL: none. */
syn_status syn_data_parallel_over(syn_module *module, syn_comm *comm,
                                  syn_data_parallel_options options, const char *manifest);
/* Undoes it: gradients keep their values and belong to the module again. Not collective; no step
 * may be under way. */
void syn_data_parallel_remove(syn_module *module);

/* The module's buckets, for sums in another way; NULL if it is not data parallel. Borrowed. */
struct syn_buckets *syn_data_parallel_buckets(const syn_module *module);

/* The step loop's order, on every rank:
 *  1. for each micro-batch but the last: syn_data_parallel_set_sync(module, false), forward,
 *     syn_backward;
 *  2. syn_data_parallel_set_sync(module, true), forward, syn_backward: buckets leave while it runs;
 *  3. syn_data_parallel_finish(module): the gradients are the sums over the ranks;
 *  4. syn_comm_agree, clip, optimizer step, zero the gradients.
 * Per step either 3 or abandoning, once. A rank whose forward or backward failed calls
 * syn_data_parallel_abandon instead of the rest of 1 to 3, then agrees like the others; one whose
 * batch is empty goes on with 3. */

/* A rank that cannot complete its step takes part in the remaining buckets with whatever they hold,
 * so that the others do not hang; the sums are worthless and the agreement that follows must say
 * so. Does nothing when this step's buckets were reduced. */
void syn_data_parallel_abandon(syn_module *module);

/* What communication cost in one step. */
typedef struct syn_bucket_timing {
    uint64_t ready_ns; /* monotonic: launched */
    uint64_t start_ns; /* begun on the comm thread */
    uint64_t end_ns;   /* finished */
    size_t bytes;
    const char *first_name; /* of its first parameter; borrowed from the module */
    const char *algorithm;  /* static */
} syn_bucket_timing;
typedef struct syn_overlap {
    double hidden_ms;   /* communication while backward was still running */
    double exposed_ms;  /* communication that the step waited for */
    size_t bytes;       /* reduced, per rank */
    double bytes_per_s; /* bytes over the time in which any bucket was in flight */
    int n_buckets;
    const syn_bucket_timing *buckets; /* in launch order; borrowed, valid until the next step */
} syn_overlap;
/* Of the last finished step; zeros before the first. */
void syn_data_parallel_get_overlap(const syn_module *module, syn_overlap *overlap_out);

#endif
