/* Sums over virtual shards have one shape, whoever owns which of them: every table of every small
 * number of shards. */
#include "worker/parallel/shard_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 13 };

/* An "addition" that tells order and shape: neither commutative nor associative. */
static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t x = a * 0x9e3779b97f4a7c15u + (b ^ (b >> 29)) * 0xbf58476d1ce4e5b9u + 1;
    return x ^ (x >> 31);
}

static uint64_t term(int shard)
{
    return add((uint64_t)shard + 1, 77);
}

/* The definition. */
static uint64_t direct_sum(int first, int n)
{
    if (n == 1)
        return term(first);
    int left = 1;
    while (left * 2 < n)
        left *= 2;
    return add(direct_sum(first, left), direct_sum(first + left, n - left));
}

/* Pushes one sum and merges; returns the new height. */
static int push(uint64_t *stack, int height, uint64_t sum, int merges)
{
    stack[height++] = sum;
    assert_true(merges < height);
    for (; merges > 0; merges--, height--)
        stack[height - 2] = add(stack[height - 2], stack[height - 1]);
    return height;
}

/* One worker: shard by shard; what remains must be the sums of its cover. */
static int sum_range(int n_shards, syn_shard_range range, uint64_t *sums, syn_shard_range *nodes)
{
    int height = 0, highest = 0;

    for (int s = range.first; s < range.first + range.n; s++) {
        syn_shard_range leaf = {s, 1};
        height = push(sums, height, term(s), syn_shard_tree_merges(n_shards, range.first, leaf));
        highest = height > highest ? height : highest;
    }
    assert_int_equal(highest, syn_shard_tree_height(n_shards, range));
    assert_int_equal(height, syn_shard_tree_cover(n_shards, range, nodes));
    for (int i = 0; i < height; i++)
        assert_true(sums[i] == direct_sum(nodes[i].first, nodes[i].n));
    return height;
}

static void every_table_gives_the_direct_sum(void **state)
{
    (void)state;
    for (int v = 1; v <= MOST; v++) {
        /* Bit i of `cuts`: a new worker begins after shard i. */
        for (unsigned cuts = 0; cuts < 1u << (v - 1); cuts++) {
            uint64_t total[SYN_SHARD_TREE_HEIGHT];
            int height = 0;
            for (int first = 0, s = 0; s < v; s++) {
                if (s < v - 1 && !(cuts >> s & 1))
                    continue;
                uint64_t sums[SYN_SHARD_TREE_HEIGHT];
                syn_shard_range nodes[SYN_SHARD_TREE_HEIGHT];
                int n = sum_range(v, (syn_shard_range){first, s + 1 - first}, sums, nodes);
                for (int i = 0; i < n; i++)
                    height = push(total, height, sums[i], syn_shard_tree_merges(v, 0, nodes[i]));
                first = s + 1;
            }
            assert_int_equal(height, 1);
            assert_true(total[0] == direct_sum(0, v));
        }
    }
}

static void an_even_range_of_a_power_of_two_is_one_subtree(void **state)
{
    syn_shard_range nodes[SYN_SHARD_TREE_HEIGHT];
    (void)state;

    for (int v = 1; v <= 1024; v *= 2)
        for (int n = 1; n <= v; n *= 2)
            for (int first = 0; first < v; first += n)
                assert_int_equal(syn_shard_tree_cover(v, (syn_shard_range){first, n}, nodes), 1);
}

static void the_stack_stays_low_for_the_most_shards(void **state)
{
    syn_shard_range nodes[SYN_SHARD_TREE_HEIGHT];
    (void)state;

    assert_int_equal(syn_shard_tree_height(65536, (syn_shard_range){0, 65536}), 16);
    assert_int_equal(syn_shard_tree_cover(65536, (syn_shard_range){1, 65534}, nodes), 30);
    assert_true(syn_shard_tree_height(65536, (syn_shard_range){1, 65534}) <= 30);
}

static void nothing_is_covered_by_nothing(void **state)
{
    syn_shard_range nodes[SYN_SHARD_TREE_HEIGHT];
    (void)state;

    assert_int_equal(syn_shard_tree_cover(8, (syn_shard_range){3, 0}, nodes), 0);
    assert_int_equal(syn_shard_tree_height(8, (syn_shard_range){3, 0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_gives_the_direct_sum),
        cmocka_unit_test(an_even_range_of_a_power_of_two_is_one_subtree),
        cmocka_unit_test(the_stack_stays_low_for_the_most_shards),
        cmocka_unit_test(nothing_is_covered_by_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
