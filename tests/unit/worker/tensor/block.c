/* The caching allocator: sizes, alignment, reuse, threads. */
#include "worker/tensor/block.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void blocks_of_every_size_are_aligned_and_do_not_overlap(void **state)
{
    enum { N = 400 };
    static char *blocks[N];
    static size_t sizes[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        sizes[i] = (size_t)(i * i * 5) + (size_t)i % 3;
        blocks[i] = syn_block_alloc(sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], i & 0xff, sizes[i]);
    }
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < sizes[i]; k += 61)
            assert_int_equal((unsigned char)blocks[i][k], i & 0xff);
        syn_block_free(blocks[i], sizes[i]);
    }
}

static void sizes_at_the_edges_of_classes_hold(void **state)
{
    (void)state;
    for (int power = 6; power < 24; power++)
        for (int step = -1; step <= 1; step++) {
            size_t size = ((size_t)1 << power) + (size_t)step;
            char *block = syn_block_alloc(size);
            assert_non_null(block);
            block[0] = block[size - 1] = 1;
            syn_block_free(block, size);
        }
}

static void nothing_is_freed_and_zero_bytes_are_a_block(void **state)
{
    (void)state;
    syn_block_free(NULL, 100);
    void *block = syn_block_alloc(0);
    assert_non_null(block);
    syn_block_free(block, 0);
}

#ifndef SYN_SANITIZED
static void a_freed_block_is_handed_out_again(void **state)
{
    (void)state;
    size_t sizes[] = {64, 5000, 100000, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *first = syn_block_alloc(sizes[i]);
        syn_block_free(first, sizes[i]);

        void *second = syn_block_alloc(sizes[i]);

        assert_ptr_equal(first, second);
        syn_block_free(second, sizes[i]);
    }
}

static void large_blocks_lie_on_huge_pages_and_are_counted(void **state)
{
    (void)state;
    size_t before = syn_block_get_stats().in_use_bytes;
    void *block = syn_block_alloc(5 << 20);

    assert_int_equal((uintptr_t)block % (2 << 20), 0);
    assert_true(syn_block_get_stats().in_use_bytes >= before + (5 << 20));
    syn_block_free(block, 5 << 20);
    assert_int_equal(syn_block_get_stats().in_use_bytes, before);
}

static void trimming_gives_cached_blocks_back(void **state)
{
    (void)state;
    syn_block_free(syn_block_alloc(40 << 20), 40 << 20);
    size_t before = syn_block_get_stats().mapped_bytes;

    syn_block_trim();

    assert_true(syn_block_get_stats().mapped_bytes + (40 << 20) <= before);
}
#endif

static void an_absurd_size_is_refused(void **state)
{
    (void)state;
    assert_null(syn_block_alloc((size_t)1 << 60));
}

static void an_allocation_can_be_made_to_fail(void **state)
{
    (void)state;
    syn_mem_fail_after(2);
    void *first = syn_block_alloc(64);

    assert_non_null(first);
    assert_null(syn_block_alloc(64));
    assert_true(syn_mem_has_failed());
    syn_mem_fail_after(0);
    syn_block_free(first, 64);
}

enum { N_BLOCKS = 2000 };
static void *passed_on[N_BLOCKS];

static void *free_them(void *unused)
{
    (void)unused;
    for (int i = 0; i < N_BLOCKS; i++)
        syn_block_free(passed_on[i], 200);
    syn_block_thread_flush();
    return NULL;
}

static void another_thread_may_free(void **state)
{
    pthread_t thread;
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N_BLOCKS; i++) {
            passed_on[i] = syn_block_alloc(200);
            assert_non_null(passed_on[i]);
            memset(passed_on[i], round, 200);
        }
        assert_int_equal(pthread_create(&thread, NULL, free_them, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_every_size_are_aligned_and_do_not_overlap),
        cmocka_unit_test(sizes_at_the_edges_of_classes_hold),
        cmocka_unit_test(nothing_is_freed_and_zero_bytes_are_a_block),
#ifndef SYN_SANITIZED
        cmocka_unit_test(a_freed_block_is_handed_out_again),
        cmocka_unit_test(large_blocks_lie_on_huge_pages_and_are_counted),
        cmocka_unit_test(trimming_gives_cached_blocks_back),
#endif
        cmocka_unit_test(an_absurd_size_is_refused),
        cmocka_unit_test(an_allocation_can_be_made_to_fail),
        cmocka_unit_test(another_thread_may_free),
    };
    return cmocka_run_group_tests_name("worker/tensor/block", tests, NULL, NULL);
}
