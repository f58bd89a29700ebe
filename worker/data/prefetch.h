/* A thread that prepares the next batches of a rank while the step computes. */
#ifndef WORKER_DATA_PREFETCH_H
#define WORKER_DATA_PREFETCH_H

#include "worker/data/sampler.h"

typedef struct syn_prefetch syn_prefetch;

typedef struct syn_prefetch_options {
    uint64_t seed;
    int64_t batch_size;     /* global */
    int64_t first_step;     /* the first batch that syn_prefetch_next gives */
    int64_t last_step;      /* steps first_step..last_step-1; 0: without end */
    int rank, size;         /* this rank's slice of each batch */
    const int64_t *weights; /* copied: syn_slice_weighted over `size` ranks; NULL: syn_slice_even */
    int64_t n_shards, first_shard, n_own_shards; /* n_shards > 0, instead of rank, size, weights:
                                                    shards first_shard.. of syn_slice_even over
                                                    n_shards */
    int depth;                                   /* batches prepared ahead; 0 means 2 */
    bool augment;
} syn_prefetch_options;

/* Starts the thread. The data set is borrowed until syn_prefetch_free. */
syn_status syn_prefetch_new(const syn_dataset *dataset, const syn_prefetch_options *options,
                            syn_prefetch **prefetch_out);
/* Waits for the next step's batch; it is borrowed until the next call. An error of the thread is
 * returned here with its sentence, at the step where it happened and at every call after it;
 * SYN_OUT_OF_RANGE past last_step. */
syn_status syn_prefetch_next(syn_prefetch *prefetch, const syn_batch **batch_out);
/* Stops and joins the thread, whatever it is doing. */
void syn_prefetch_free(syn_prefetch *prefetch);

#endif
