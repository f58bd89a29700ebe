/* Gradients and totals of a step summed over its virtual shards: the same bits whoever computed
 * which shard. */
#ifndef WORKER_PARALLEL_SHARD_SUM_H
#define WORKER_PARALLEL_SHARD_SUM_H

#include "worker/comm/comm.h"
#include "worker/parallel/data_parallel.h"
#include "worker/parallel/shard_tree.h"

/* What is summed in f64 beside the gradients: a loss sum and a number of samples, say. */
enum { SYN_SHARD_TOTALS = 2 };

/* The sums of one data-parallel module. */
typedef struct syn_shard_sum syn_shard_sum;

/* For a module made data parallel over `comm`, which both must outlive. `table[r]`: shards of rank
 * r, none negative, at least one shard in all; the same on all ranks, which take their shards in
 * rank order. Turns the module's own reduction off. Needs memory for the gradients of as many
 * subtrees as a rank has in the making: 1 + log2 of its shards, twice as many for ragged ranges.
 * Not collective, but a failure may be this rank's alone: agree afterwards. */
syn_status syn_shard_sum_new(syn_module *module, syn_comm *comm, const int *table,
                             syn_shard_sum **sum_out);
void syn_shard_sum_free(syn_shard_sum *sum);
/* The shards of a rank by a table. Pure. */
syn_shard_range syn_shard_sum_range(const int *table, int rank);

/* The step's order, on every rank, from zeroed gradients: for each of the rank's shards, forward,
 * syn_backward (of scaled losses, several times if it has micro-batches), syn_shard_sum_push; then
 * syn_shard_sum_finish. A rank that failed goes on with finish, and agrees afterwards that the sums
 * are worthless. */

/* Takes the gradients and totals of the rank's next shard, and zeroes the gradients. */
syn_status syn_shard_sum_push(syn_shard_sum *sum, const double totals[SYN_SHARD_TOTALS]);
/* Leaves in the gradients and in `totals_out` the sums over all shards, on all ranks, and gets
 * ready for the next step. Collective. */
syn_status syn_shard_sum_finish(syn_shard_sum *sum, double totals_out[SYN_SHARD_TOTALS]);
/* What the last finish cost: all of it is exposed. Borrowed until the next. */
void syn_shard_sum_get_overlap(const syn_shard_sum *sum, syn_overlap *overlap_out);

#endif
