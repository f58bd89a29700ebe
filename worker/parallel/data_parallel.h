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

/* The step loop's order for every rank:
 *     for each micro-batch but the last: syn_data_parallel_set_sync(module, false); forward,
 * syn_backward syn_data_parallel_set_sync(module, true); forward, syn_backward    <- buckets leave
 * while it runs; it waits for them syn_data_parallel_finish(module) <- gradients are the sum over
 * the ranks syn_comm_agree(...); clip; optimizer step; zero the gradients A rank whose batch is
 * empty, or whose forward or backward failed, calls syn_data_parallel_abandon instead of the rest,
 * then agrees like the others. */

/* false: the next backward passes only accumulate; nothing is sent. Starts as true. */
void syn_data_parallel_set_sync(syn_module *module, bool sync);
/* Makes sure that every bucket was launched and reduced since the last finish, also on a rank whose
 * backward reached no parameter. Called by itself at the end of each backward that reached a
 * parameter (with sync on); calling it again is harmless. Collective with the others' backward. */
syn_status syn_data_parallel_finish(syn_module *module);
/* A rank that cannot complete its step takes part in the remaining buckets with whatever they hold,
 * so that the others do not hang; the sums are worthless and the agreement that follows must say
 * so. Does nothing when this step's buckets were reduced. */
void syn_data_parallel_abandon(syn_module *module);

/* What communication cost in one step. */
typedef struct syn_bucket_timing {
    uint64_t ready_ns, start_ns,
        end_ns; /* monotonic: launched, begun on the comm thread, finished */
    size_t bytes;
    const char
        *first_name; /* of the parameter that comes first in the bucket; borrowed from the module */
    const char *algorithm; /* static */
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
