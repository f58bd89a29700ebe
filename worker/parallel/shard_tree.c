/* The tree over the virtual shards. */
#include "worker/parallel/shard_tree.h"

/* The greatest power of two below n > 1. */
static int left_size(int n)
{
    int size = 1;
    while (size < n - size)
        size *= 2;
    return size;
}

int syn_shard_tree_merges(int n_shards, int first, syn_shard_range node)
{
    syn_shard_range at = {0, n_shards};
    int merges = 0, end = node.first + node.n;

    while (at.n > node.n) {
        int left = left_size(at.n);
        merges += at.first >= first && at.first + at.n == end;
        if (node.first < at.first + left)
            at.n = left;
        else
            at = (syn_shard_range){at.first + left, at.n - left};
    }
    return merges;
}

int syn_shard_tree_cover(int n_shards, syn_shard_range range,
                         syn_shard_range nodes_out[SYN_SHARD_TREE_HEIGHT])
{
    int n = 0;

    for (int first = range.first; first < range.first + range.n; first += nodes_out[n++].n) {
        /* The greatest subtree that begins here and fits: on the way down from the root. */
        syn_shard_range at = {0, n_shards};
        while (at.first != first || at.n > range.first + range.n - first) {
            int left = left_size(at.n);
            if (first < at.first + left)
                at.n = left;
            else
                at = (syn_shard_range){at.first + left, at.n - left};
        }
        nodes_out[n] = at;
    }
    return n;
}

int syn_shard_tree_height(int n_shards, syn_shard_range range)
{
    int height = 0, highest = 0;

    for (int i = 0; i < range.n; i++) {
        height +=
            1 - syn_shard_tree_merges(n_shards, range.first, (syn_shard_range){range.first + i, 1});
        highest = height > highest ? height : highest;
    }
    return highest;
}
