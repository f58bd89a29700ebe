/* Samplers: which samples a step takes, and which part of them a rank takes; pure functions of
 * (seed, step). */
#ifndef WORKER_DATA_SAMPLER_H
#define WORKER_DATA_SAMPLER_H

#include "worker/data/dataset.h"

/* Any step can be asked for in any order, so a run resumes without replaying what came before.
 * Images: epoch e is a permutation keyed by (seed, e), cut into batches; its last batch may be
 * smaller. Text: every window of step s is drawn with (seed, s, index in the batch), so all batches
 * are full. Not shared by threads. */
typedef struct syn_sampler {
    uint64_t seed;
    int64_t n;            /* samples of an epoch */
    int64_t n_range;      /* text: windows are drawn from 0..n_range-1; 0: permutations */
    int64_t batch_size;   /* global */
    int64_t cached_epoch; /* whose permutation `order` is; -1: none */
    int64_t *order;       /* owned */
} syn_sampler;

/* Fails if batch_size is below 1 or above the samples of an epoch. */
syn_status syn_sampler_init(syn_sampler *sampler, const syn_dataset *dataset, uint64_t seed,
                            int64_t batch_size);
void syn_sampler_release(syn_sampler *sampler);

int64_t syn_sampler_steps_per_epoch(const syn_sampler *sampler);
int64_t syn_sampler_epoch_of(const syn_sampler *sampler, int64_t step);
/* Samples in the global batch of this step (the last one of an epoch may have fewer). */
int64_t syn_sampler_batch_n(const syn_sampler *sampler, int64_t step);
/* Writes the samples first..first+n-1 of the global batch of `step`. */
syn_status syn_sampler_indices(syn_sampler *sampler, int64_t step, int64_t first, int64_t n,
                               int64_t *samples_out);
/* The key for syn_batch_request.augment_key at this step. */
uint64_t syn_sampler_augment_key(const syn_sampler *sampler, int64_t step);

/* A run of consecutive positions. */
typedef struct syn_slice_range {
    int64_t first, n;
} syn_slice_range;
/* Part `part` of `n_parts` of n positions: contiguous, in order, sizes differing by at most one
 * (the first are larger). For ranks of a batch and for micro-batches of a rank alike; parts may be
 * empty. */
syn_slice_range syn_slice_even(int64_t n, int64_t part, int64_t n_parts);
/* In proportion to `weights` (none negative, not all 0), by rounding the cumulative sums down;
 * exact where they sum to n. */
syn_slice_range syn_slice_weighted(int64_t n, int64_t part, const int64_t *weights,
                                   int64_t n_parts);

#endif
