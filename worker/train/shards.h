/* Virtual shards in a training run: which rank computes which, and what they need. */
#ifndef WORKER_TRAIN_SHARDS_H
#define WORKER_TRAIN_SHARDS_H

#include <stdint.h>
#include <syncline/status.h>

/* Fills table[0..n_ranks-1] with the shards of each rank, contiguous in rank order: `text` says how
 * many ("5,1,2": every rank at least one, together n_shards), NULL divides evenly, the first ranks
 * get more. INVALID_ARGUMENT if there are more ranks than shards, or the text does not fit. Pure.
 */
syn_status syn_shard_table(int64_t n_shards, int n_ranks, const char *text, int *table_out);

#endif
