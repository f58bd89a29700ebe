/* What counts as hidden and what as exposed. */
#include "worker/parallel/overlap.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { MS = 1000000 };

static syn_overlap compute(const syn_bucket_timing *buckets, int n, uint64_t backward_end_ns,
                           bool is_concurrent)
{
    syn_overlap overlap = {.buckets = buckets, .n_buckets = n};
    syn_overlap_compute(&overlap, backward_end_ns, is_concurrent);
    return overlap;
}

static void what_ran_before_backward_ended_is_hidden(void **state)
{
    const syn_bucket_timing buckets[] = {
        {.ready_ns = 1 * MS, .start_ns = 2 * MS, .end_ns = 4 * MS, .bytes = 1000},
        {.ready_ns = 3 * MS, .start_ns = 5 * MS, .end_ns = 8 * MS, .bytes = 3000}};
    (void)state;

    syn_overlap o = compute(buckets, 2, 20 * MS, true);

    assert_true(fabs(o.hidden_ms - 5) < 1e-9);
    assert_true(fabs(o.exposed_ms - 0) < 1e-9);
    assert_int_equal(o.bytes, 4000);
    assert_true(fabs(o.bytes_per_s - 4000 / 5e-3) < 1e-3);
}

static void what_ran_after_backward_ended_is_exposed(void **state)
{
    const syn_bucket_timing buckets[] = {{.start_ns = 10 * MS, .end_ns = 14 * MS},
                                         {.start_ns = 14 * MS, .end_ns = 16 * MS}};
    (void)state;

    syn_overlap o = compute(buckets, 2, 9 * MS, true);

    assert_true(fabs(o.hidden_ms - 0) < 1e-9);
    assert_true(fabs(o.exposed_ms - 7) < 1e-9);
}

static void a_bucket_under_way_at_the_end_is_split(void **state)
{
    const syn_bucket_timing buckets[] = {{.start_ns = 4 * MS, .end_ns = 10 * MS}};
    (void)state;

    syn_overlap o = compute(buckets, 1, 7 * MS, true);

    assert_true(fabs(o.hidden_ms - 3) < 1e-9);
    assert_true(fabs(o.exposed_ms - 3) < 1e-9);
}

static void without_a_thread_of_its_own_nothing_is_hidden(void **state)
{
    const syn_bucket_timing buckets[] = {{.start_ns = 4 * MS, .end_ns = 10 * MS}};
    (void)state;

    syn_overlap o = compute(buckets, 1, 20 * MS, false);

    assert_true(fabs(o.hidden_ms - 0) < 1e-9);
    assert_true(fabs(o.exposed_ms - 6) < 1e-9);
}

static void no_buckets_cost_nothing(void **state)
{
    (void)state;

    syn_overlap o = compute(NULL, 0, 5 * MS, true);

    assert_true(o.hidden_ms == 0 && o.exposed_ms == 0 && o.bytes_per_s == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ran_before_backward_ended_is_hidden),
        cmocka_unit_test(what_ran_after_backward_ended_is_exposed),
        cmocka_unit_test(a_bucket_under_way_at_the_end_is_split),
        cmocka_unit_test(without_a_thread_of_its_own_nothing_is_hidden),
        cmocka_unit_test(no_buckets_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
