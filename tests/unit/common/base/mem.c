/* Allocations that fail on demand, and arenas. */
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static void only_the_chosen_allocation_fails(void **state)
{
    (void)state;
    syn_mem_fail_after(2);
    void *first = syn_malloc(1), *second = syn_malloc(1), *third = syn_malloc(1);

    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    assert_true(syn_mem_has_failed());
    syn_mem_fail_after(0);
    assert_false(syn_mem_has_failed());
    syn_free(first);
    syn_free(third);
}

static void every_function_that_allocates_can_fail(void **state)
{
    (void)state;
    char *kept = syn_strdup("kept");

    syn_mem_fail_after(1);
    assert_null(syn_malloc(1));
    syn_mem_fail_after(1);
    assert_null(syn_calloc(1, 1));
    syn_mem_fail_after(1);
    assert_null(syn_realloc(kept, 100));
    syn_mem_fail_after(1);
    assert_null(syn_strdup("x"));
    syn_mem_fail_after(1);
    assert_null(syn_strndup("x", 1));
    syn_mem_fail_after(0);
    assert_string_equal(kept, "kept");
    syn_free(kept);
    syn_free(NULL);
}

static void *allocate(void *unused)
{
    (void)unused;
    void *p = syn_malloc(1);
    syn_free(p);
    return p ? (void *)1 : NULL;
}

static void other_threads_do_not_fail(void **state)
{
    (void)state;
    pthread_t thread;
    void *result;

    syn_mem_fail_after(1);
    assert_int_equal(pthread_create(&thread, NULL, allocate, NULL), 0);
    assert_int_equal(pthread_join(thread, &result), 0);

    assert_non_null(result);
    assert_false(syn_mem_has_failed());
    syn_mem_fail_after(0);
}

static void nothing_is_still_a_pointer(void **state)
{
    (void)state;
    void *a = syn_malloc(0), *b = syn_calloc(0, 8), *c = syn_realloc(NULL, 0);

    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    syn_free(a);
    syn_free(b);
    syn_free(c);
}

static void strndup_copies_exactly_so_many_bytes(void **state)
{
    (void)state;
    char *copy = syn_strndup("abcdef", 3);

    assert_string_equal(copy, "abc");
    syn_free(copy);
}

static void the_sentence_of_failed_memory_names_size_and_purpose(void **state)
{
    (void)state;
    assert_int_equal(syn_fail_memory(12, "a bucket"), SYN_RESOURCE_EXHAUSTED);
    assert_string_equal(syn_error_message(), "out of memory allocating 12 bytes for a bucket");
}

static void arena_memory_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    syn_arena arena = {0};
    unsigned char *last = NULL;

    for (size_t size = 1; size < 3000; size += 7) {
        unsigned char *p = syn_arena_alloc(&arena, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    syn_arena_release(&arena);
    assert_null(arena.chunks);
    syn_arena_release(&arena);
}

static void an_arena_gives_blocks_larger_than_its_chunks(void **state)
{
    (void)state;
    syn_arena arena = {0};
    char *small = syn_arena_strdup(&arena, "small"), *large = syn_arena_alloc(&arena, 1 << 20);

    assert_non_null(large);
    memset(large, 1, 1 << 20);
    assert_string_equal(small, "small");
    assert_string_equal(syn_arena_printf(&arena, "%d-%s", 7, small), "7-small");
    syn_arena_release(&arena);
}

static void an_arena_without_memory_gives_null(void **state)
{
    (void)state;
    syn_arena arena = {0};

    syn_mem_fail_after(1);
    assert_null(syn_arena_alloc(&arena, 8));
    syn_mem_fail_after(1);
    assert_null(syn_arena_strdup(&arena, "x"));
    syn_mem_fail_after(1);
    assert_null(syn_arena_printf(&arena, "%d", 1));
    syn_mem_fail_after(0);
    assert_null(syn_arena_alloc(&arena, SIZE_MAX));
    assert_null(syn_arena_alloc(&arena, SIZE_MAX / 2 + 1));
    syn_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_chosen_allocation_fails),
        cmocka_unit_test(every_function_that_allocates_can_fail),
        cmocka_unit_test(other_threads_do_not_fail),
        cmocka_unit_test(nothing_is_still_a_pointer),
        cmocka_unit_test(strndup_copies_exactly_so_many_bytes),
        cmocka_unit_test(the_sentence_of_failed_memory_names_size_and_purpose),
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(an_arena_gives_blocks_larger_than_its_chunks),
        cmocka_unit_test(an_arena_without_memory_gives_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
