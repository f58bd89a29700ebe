/* The one binary tree in whose shape everything of a step is summed over its virtual shards: pure
 * functions. */
#ifndef WORKER_PARALLEL_SHARD_TREE_H
#define WORKER_PARALLEL_SHARD_TREE_H

/* Shards first..first+n-1. */
typedef struct syn_shard_range {
    int first, n;
} syn_shard_range;

/* The tree over n shards: one shard is a leaf; otherwise the left child holds the greatest power of
 * two of shards that is smaller than n, the right child the rest. It is what a binary counter
 * builds: terms are pushed onto a stack in order, and after each push some of the newest sums are
 * added pairwise, older + newer. */

/* The most sums that a range, and its sums' stack, can consist of. */
enum { SYN_SHARD_TREE_HEIGHT = 64 };

/* How often the two newest sums on the stack are added after the subtree `node` was pushed, when
 * the stack began with shard `first`: the subtrees above `node` that end where it ends and begin at
 * `first` or later. */
int syn_shard_tree_merges(int n_shards, int first, syn_shard_range node);
/* The subtrees that lie in a range and in no greater subtree of it, in order: what is left on the
 * stack after the range. Returns their number, at most SYN_SHARD_TREE_HEIGHT. */
int syn_shard_tree_cover(int n_shards, syn_shard_range range,
                         syn_shard_range nodes_out[SYN_SHARD_TREE_HEIGHT]);
/* The greatest number of sums on the stack while the range is pushed shard by shard; 0 for an empty
 * range. A term that is merged at once takes no place. */
int syn_shard_tree_height(int n_shards, syn_shard_range range);

#endif
