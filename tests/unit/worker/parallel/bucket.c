/* Which parameters share a bucket. */
#include "worker/parallel/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void the_last_registered_parameters_come_first(void **state)
{
    const size_t bytes[] = {400, 300, 200, 100};
    const syn_dtype dtypes[] = {SYN_F32, SYN_F32, SYN_F32, SYN_F32};
    int bucket[4];
    (void)state;

    int n = syn_bucket_plan(bytes, dtypes, 4, 100, 500, bucket);

    assert_int_equal(n, 3);
    assert_int_equal(bucket[3], 0);
    assert_int_equal(bucket[2], 1);
    assert_int_equal(bucket[1], 1);
    assert_int_equal(bucket[0], 2);
}

static void a_bucket_is_full_once_it_has_reached_its_limit(void **state)
{
    const size_t bytes[] = {10, 10, 10, 10, 10};
    const syn_dtype dtypes[] = {SYN_F32, SYN_F32, SYN_F32, SYN_F32, SYN_F32};
    int bucket[5];
    (void)state;

    int n = syn_bucket_plan(bytes, dtypes, 5, 11, 30, bucket);

    assert_int_equal(n, 2);
    assert_int_equal(bucket[4], 0);
    assert_int_equal(bucket[3], 0);
    assert_int_equal(bucket[2], 1);
    assert_int_equal(bucket[0], 1);
}

static void a_bucket_holds_one_type(void **state)
{
    const size_t bytes[] = {8, 8, 4, 8};
    const syn_dtype dtypes[] = {SYN_F64, SYN_F64, SYN_F32, SYN_F64};
    int bucket[4];
    (void)state;

    int n = syn_bucket_plan(bytes, dtypes, 4, 1000, 1000, bucket);

    assert_int_equal(n, 3);
    assert_int_equal(bucket[3], 0);
    assert_int_equal(bucket[2], 1);
    assert_int_equal(bucket[1], 2);
    assert_int_equal(bucket[0], 2);
}

static void a_parameter_larger_than_the_limit_has_a_bucket_of_its_own(void **state)
{
    const size_t bytes[] = {5, 1000, 5};
    const syn_dtype dtypes[] = {SYN_F32, SYN_F32, SYN_F32};
    int bucket[3];
    (void)state;

    int n = syn_bucket_plan(bytes, dtypes, 3, 1, 10, bucket);

    assert_int_equal(n, 3);
    assert_int_equal(bucket[2], 0);
    assert_int_equal(bucket[1], 1);
    assert_int_equal(bucket[0], 2);
}

static void empty_parameters_and_no_parameters_are_fine(void **state)
{
    const size_t bytes[] = {0, 0};
    const syn_dtype dtypes[] = {SYN_F32, SYN_F32};
    int bucket[2] = {-1, -1};
    (void)state;

    assert_int_equal(syn_bucket_plan(bytes, dtypes, 0, 1, 1, bucket), 0);
    assert_int_equal(syn_bucket_plan(bytes, dtypes, 2, 1, 1, bucket), 1);
    assert_int_equal(bucket[0], 0);
    assert_int_equal(bucket[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_registered_parameters_come_first),
        cmocka_unit_test(a_bucket_is_full_once_it_has_reached_its_limit),
        cmocka_unit_test(a_bucket_holds_one_type),
        cmocka_unit_test(a_parameter_larger_than_the_limit_has_a_bucket_of_its_own),
        cmocka_unit_test(empty_parameters_and_no_parameters_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
