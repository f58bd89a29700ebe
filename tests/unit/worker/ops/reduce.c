/* Reductions: accuracy, ties, NaN, layouts, independence of threads. */
#include "tests/unit/worker/tensor/support.h"

#include <omp.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static void long_sums_stay_accurate(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_full(SYN_SHAPE(10000000), 0.1, SYN_F32);
        double exact = 10000000.0 * (double)0.1F;
        assert_true(fabs(syn_item(syn_sum(x)) - exact) / exact < 1e-6);
        assert_true(fabs(syn_item(syn_mean(x)) - (double)0.1F) / 0.1 < 1e-6);
    }
}

static void column_sums_stay_accurate(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_full(SYN_SHAPE(1000000, 3), 0.1, SYN_F32);
        syn_tensor *s = syn_sum_dims(x, (int[]){0}, 1, false);
        double exact = 1000000.0 * (double)0.1F;
        for (int i = 0; i < 3; i++)
            assert_true(fabs(syn_item(syn_select(s, 0, i)) - exact) / exact < 1e-6);
    }
}

static void sums_do_not_depend_on_the_number_of_threads(void **state)
{
    static const int dims[][2] = {{0, 1}, {0, 0}, {1, 1}};
    float results[3][2];
    int before = omp_get_max_threads();
    (void)state;
    SYN_SCOPE {
        syn_manual_seed(1);
        syn_tensor *x = syn_randn(SYN_SHAPE(700, 600), SYN_F32);
        for (int t = 0; t < 2; t++) {
            omp_set_num_threads(t ? 3 : 1);
            for (int i = 0; i < 3; i++) {
                int n = i == 0 ? 2 : 1;
                syn_tensor *s = syn_reshape(syn_sum_dims(x, dims[i], n, false), SYN_SHAPE(-1));
                results[i][t] = ((float *)syn_tensor_data(s))[0];
            }
        }
        for (int i = 0; i < 3; i++)
            assert_true(results[i][0] == results[i][1]);
    }
    omp_set_num_threads(before);
}

static void integers_and_bool_sum_into_i64(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *s = syn_sum(syn_full(SYN_SHAPE(300), 255, SYN_U8));
        assert_int_equal(syn_tensor_dtype(s), SYN_I64);
        ASSERT_VALUES(s, 76500);
        ASSERT_VALUES(syn_sum(syn_ones(SYN_SHAPE(7), SYN_BOOL)), 7);
    }
}

static void sums_of_nothing_are_0_and_means_nan(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_sum(syn_zeros(SYN_SHAPE(0), SYN_F32)), 0);
        ASSERT_VALUES(syn_mean(syn_zeros(SYN_SHAPE(0), SYN_F32)), NAN);
        ASSERT_VALUES(syn_sum_dims(syn_zeros(SYN_SHAPE(0, 2), SYN_F32), (int[]){0}, 1, false), 0,
                      0);
    }
}

static void nan_wins_among_extremes(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_amax(F32(1, NAN, 3), 0, false), NAN);
        ASSERT_VALUES(syn_argmax(F32(1, NAN, 3), 0), 1);
    }
}

static void argmax_takes_the_first_of_equals(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_argmax(F32(1, 3, 3, 2), 0), 1);
        syn_tensor *x = syn_reshape(F32(1, 5, 5, 2, 7, 7), SYN_SHAPE(2, 3));
        ASSERT_VALUES(syn_argmax(x, 1), 1, 1);
        ASSERT_VALUES(syn_argmax(x, 0), 1, 1, 1);
        ASSERT_VALUES(syn_argmax(syn_transpose(x, 0, 1), 0), 1, 1);
    }
}

static void equal_greatest_elements_share_the_gradient(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1, 3, 3));
        assert_int_equal(syn_backward(syn_amax(x, 0, false)), SYN_OK);
        ASSERT_VALUES(syn_grad_of(x), 0, 0.5, 0.5);
    }
}

static void wrong_axes_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_zeros(SYN_SHAPE(2, 3), SYN_F32);
        assert_null(syn_sum_dims(x, (int[]){2}, 1, false));
        assert_sticks("sum: (2, 3): axis 2 is outside [-2, 1]");
        assert_null(syn_sum_dims(x, (int[]){0, -2}, 2, false));
        assert_sticks("axis -2 is named twice");
        assert_null(syn_amax(syn_zeros(SYN_SHAPE(0, 3), SYN_F32), 0, false));
        assert_sticks("amax: (0, 3): the reduced axes have no elements");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(long_sums_stay_accurate, reset),
        cmocka_unit_test_setup(column_sums_stay_accurate, reset),
        cmocka_unit_test_setup(sums_do_not_depend_on_the_number_of_threads, reset),
        cmocka_unit_test_setup(integers_and_bool_sum_into_i64, reset),
        cmocka_unit_test_setup(sums_of_nothing_are_0_and_means_nan, reset),
        cmocka_unit_test_setup(nan_wins_among_extremes, reset),
        cmocka_unit_test_setup(argmax_takes_the_first_of_equals, reset),
        cmocka_unit_test_setup(equal_greatest_elements_share_the_gradient, reset),
        cmocka_unit_test_setup(wrong_axes_are_refused, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/reduce", tests, NULL, NULL);
}
