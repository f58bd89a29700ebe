/* Durations fall into the right buckets. */
#include "common/base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void bounds_ascend_from_100_microseconds_to_an_hour(void **state)
{
    (void)state;
    assert_true(syn_histogram_bounds[0] == 1e-4);
    assert_true(syn_histogram_bounds[SYN_HISTOGRAM_N_BOUNDS - 1] == 3600);
    for (int i = 1; i < SYN_HISTOGRAM_N_BOUNDS; i++)
        assert_true(syn_histogram_bounds[i] > syn_histogram_bounds[i - 1]);
}

static void an_observation_counts_in_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    for (int i = 0; i < SYN_HISTOGRAM_N_BOUNDS; i++) {
        syn_histogram h = {0};
        syn_histogram_observe(&h, syn_histogram_bounds[i]);
        syn_histogram_observe(&h, syn_histogram_bounds[i] * 1.0001);
        assert_int_equal(h.counts[i], 1);
        assert_int_equal(h.counts[i + 1], 1);
        assert_int_equal(h.n, 2);
    }
}

static void sum_and_number_add_up(void **state)
{
    (void)state;
    syn_histogram h = {0};

    syn_histogram_observe(&h, 0.5);
    syn_histogram_observe(&h, 0);
    syn_histogram_observe(&h, 1e6);

    assert_int_equal(h.n, 3);
    assert_true(h.sum == 1000000.5);
    assert_int_equal(h.counts[0], 1);
    assert_int_equal(h.counts[SYN_HISTOGRAM_N_BOUNDS], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_ascend_from_100_microseconds_to_an_hour),
        cmocka_unit_test(an_observation_counts_in_the_first_bucket_that_holds_it),
        cmocka_unit_test(sum_and_number_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
