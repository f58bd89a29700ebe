/* Sums in a fixed shape over the ranks: the bits of the direct sum over the tree, for every table.
 */
#include "tests/mpi/check.h"

#include "common/base/mem.h"
#include "worker/parallel/shard_tree.h"

enum { MOST_SHARDS = 6, MOST_COUNT = 1003 };

/* Numbers whose f32 and f64 sums depend on the order. */
static double term(int shard, size_t i)
{
    return (shard % 2 ? -1 : 1) * (1.1e-3 * (double)(i % 97 + 1) * (shard + 1) + 1e4 * (shard % 3));
}

static void fill(void *out, syn_dtype dtype, int shard, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dtype == SYN_F64)
            ((double *)out)[i] = term(shard, i);
        else
            ((float *)out)[i] = (float)term(shard, i);
    }
}

/* The definition, into out. */
static void direct_sum(void *out, syn_dtype dtype, syn_shard_range range, size_t count)
{
    double right[MOST_COUNT];
    int left = 1;

    if (range.n == 1) {
        fill(out, dtype, range.first, count);
        return;
    }
    while (left * 2 < range.n)
        left *= 2;
    direct_sum(out, dtype, (syn_shard_range){range.first, left}, count);
    direct_sum(right, dtype, (syn_shard_range){range.first + left, range.n - left}, count);
    for (size_t i = 0; i < count; i++) {
        if (dtype == SYN_F64)
            ((double *)out)[i] = ((double *)out)[i] + right[i];
        else
            ((float *)out)[i] = ((float *)out)[i] + ((float *)right)[i];
    }
}

/* One table: this rank's subtrees are summed directly, the rest by the ranks. */
static void check_table(int n_shards, const int *table, syn_dtype dtype, size_t count)
{
    int n_parts[16], merges[MOST_SHARDS], n = 0;
    static double memory[MOST_SHARDS][MOST_COUNT], out[MOST_COUNT], expected[MOST_COUNT];
    void *parts[MOST_SHARDS];
    syn_comm_tree *tree = NULL;
    syn_comm_work work = {.label = "test"};

    for (int r = 0, first = 0; r < world_size(); first += table[r++]) {
        syn_shard_range nodes[SYN_SHARD_TREE_HEIGHT];
        n_parts[r] = syn_shard_tree_cover(n_shards, (syn_shard_range){first, table[r]}, nodes);
        for (int i = 0; i < n_parts[r]; i++) {
            merges[n++] = syn_shard_tree_merges(n_shards, 0, nodes[i]);
            if (r == world_rank()) {
                direct_sum(memory[i], dtype, nodes[i], count);
                parts[i] = memory[i];
            }
        }
    }
    memset(out, 0x55, sizeof out);
    CHECK_OK(syn_comm_tree_new(syn_comm_world(), n_parts, merges, &tree));
    syn_comm_post_tree_sum(tree, parts, out, count, dtype, &work);
    CHECK_OK(syn_comm_wait(&work));
    syn_comm_tree_free(tree);

    direct_sum(expected, dtype, (syn_shard_range){0, n_shards}, count);
    CHECK(memcmp(out, expected, count * syn_dtype_size(dtype)) == 0);
}

/* Calls check_table for all ways to give `left` shards to ranks rank.., also none. */
static void each_table(int n_shards, int *table, int rank, int left, size_t count)
{
    if (rank == world_size() - 1) {
        table[rank] = left;
        check_table(n_shards, table, SYN_F32, count);
        check_table(n_shards, table, SYN_F64, count);
        return;
    }
    for (int n = 0; n <= left; n++) {
        table[rank] = n;
        each_table(n_shards, table, rank + 1, left - n, count);
    }
}

static void every_table_gives_the_bits_of_the_direct_sum(void)
{
    int table[16];
    for (int v = 1; v <= MOST_SHARDS; v++)
        each_table(v, table, 0, v, 37);
}

static void pieces_and_empty_segments_change_nothing(void)
{
    static const size_t counts[] = {0, 1, 2, 5, MOST_COUNT};
    int table[16];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t chunk = 16; chunk <= 4096; chunk *= 16) {
            syn_comm_set_chunk_bytes(chunk);
            each_table(3, table, 0, 3, counts[c]);
        }
    syn_comm_set_chunk_bytes((size_t)1 << 30);
}

static void a_list_that_leaves_more_or_less_than_one_sum_is_refused(void)
{
    int n_parts[16] = {2}, merges[2] = {0, 0};
    syn_comm_tree *tree = NULL;

    CHECK(syn_comm_tree_new(syn_comm_world(), n_parts, merges, &tree) == SYN_INVALID_ARGUMENT);
    CHECK(strcmp(syn_error_message(), "2 sums remain of 2 parts, not one") == 0);
    merges[1] = 2;
    CHECK(syn_comm_tree_new(syn_comm_world(), n_parts, merges, &tree) == SYN_INVALID_ARGUMENT);
    n_parts[0] = 0;
    CHECK(syn_comm_tree_new(syn_comm_world(), n_parts, merges, &tree) == SYN_INVALID_ARGUMENT);
    CHECK(!tree);
}

static void other_types_are_refused_by_name(void)
{
    int n_parts[16], merges[16];
    int64_t mine = 1, out = 0;
    void *parts[] = {&mine};
    syn_comm_tree *tree = NULL;
    syn_comm_work work = {.label = "test"};
    for (int r = 0; r < world_size(); r++) {
        n_parts[r] = 1;
        merges[r] = r > 0;
    }
    CHECK_OK(syn_comm_tree_new(syn_comm_world(), n_parts, merges, &tree));

    syn_comm_post_tree_sum(tree, parts, &out, 1, SYN_I64, &work);

    CHECK(syn_comm_wait(&work) == SYN_UNIMPLEMENTED);
    CHECK(strstr(syn_error_message(), "sums of i64"));
    syn_comm_tree_free(tree);
    syn_comm_tree_free(NULL);
}

int main(int argc, char **argv)
{
    if (syn_comm_start(&argc, &argv) != SYN_OK)
        return 1;
    RUN(every_table_gives_the_bits_of_the_direct_sum);
    RUN(pieces_and_empty_segments_change_nothing);
    RUN(a_list_that_leaves_more_or_less_than_one_sum_is_refused);
    RUN(other_types_are_refused_by_name);
    syn_comm_stop();
    return 0;
}
