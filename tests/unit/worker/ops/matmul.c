/* Matrix products: layouts, batches, integers, threads, refusals. */
#include "tests/unit/worker/tensor/support.h"

#include <omp.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

/* sum over l of a[i, l] b[l, j] by the definition */
static double by_definition(syn_tensor *a, syn_tensor *b, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t l = 0; l < syn_tensor_size(a, 1); l++)
        sum += syn_item(syn_select(syn_select(a, 0, i), 0, l)) *
               syn_item(syn_select(syn_select(b, 0, l), 0, j));
    return sum;
}

static void assert_product(syn_tensor *a, syn_tensor *b)
{
    syn_tensor *c = syn_matmul(a, b);
    assert_shape(c, SYN_SHAPE(syn_tensor_size(a, 0), syn_tensor_size(b, 1)));
    for (int64_t i = 0; i < syn_tensor_size(c, 0); i++)
        for (int64_t j = 0; j < syn_tensor_size(c, 1); j++)
            assert_true(fabs(syn_item(syn_select(syn_select(c, 0, i), 0, j)) -
                             by_definition(a, b, i, j)) < 1e-4);
}

static void every_layout_of_the_operands_gives_the_same_product(void **state)
{
    static const int64_t sizes[][3] = {{3, 4, 5}, {1, 7, 3}, {6, 1, 2}, {5, 3, 1}, {19, 23, 17}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        SYN_SCOPE {
            int64_t m = sizes[s][0], k = sizes[s][1], n = sizes[s][2];
            syn_tensor *a = syn_randn(SYN_SHAPE(m, k), SYN_F32),
                       *b = syn_randn(SYN_SHAPE(k, n), SYN_F32);
            syn_tensor *at = syn_transpose(syn_randn(SYN_SHAPE(k, m), SYN_F32), 0, 1);
            syn_tensor *bt = syn_transpose(syn_randn(SYN_SHAPE(n, k), SYN_F32), 0, 1);
            syn_tensor *gaps = syn_slice(syn_randn(SYN_SHAPE(m, 2 * k), SYN_F32), 1, 0, 2 * k, 2);
            syn_tensor *rows = syn_slice(syn_randn(SYN_SHAPE(2 * m, k), SYN_F32), 0, 0, 2 * m, 2);
            syn_tensor *same = syn_expand(syn_randn(SYN_SHAPE(1, k), SYN_F32), SYN_SHAPE(m, k));
            assert_product(a, b);
            assert_product(at, b);
            assert_product(a, bt);
            assert_product(at, bt);
            assert_product(gaps, bt);
            assert_product(rows, b);
            assert_product(same, b);
        }
}

static void batches_broadcast(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *a = syn_randn(SYN_SHAPE(2, 1, 3, 4), SYN_F32);
        syn_tensor *b = syn_randn(SYN_SHAPE(5, 4, 2), SYN_F32), *c = syn_matmul(a, b);
        assert_shape(c, SYN_SHAPE(2, 5, 3, 2));
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 5; j++) {
                syn_tensor *part = syn_select(syn_select(c, 0, i), 0, j);
                syn_tensor *alone =
                    syn_matmul(syn_select(syn_select(a, 0, i), 0, 0), syn_select(b, 0, j));
                assert_true(syn_item(syn_amax(syn_abs(syn_flatten(syn_sub(part, alone), 0)), 0,
                                              false)) < 1e-6);
            }
    }
}

static void permuted_batches_are_walked_in_place(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_randn(SYN_SHAPE(2, 7, 3, 4), SYN_F32); /* as attention's heads lie */
        syn_tensor *q = syn_transpose(x, 1, 2), *k = syn_transpose(q, -2, -1);
        syn_tensor *near = syn_matmul(q, k),
                   *exact = syn_matmul(syn_contiguous(q), syn_contiguous(k));
        assert_shape(near, SYN_SHAPE(2, 3, 7, 7));
        assert_true(syn_item(syn_amax(syn_abs(syn_flatten(syn_sub(near, exact), 0)), 0, false)) <
                    1e-5);
    }
}

static void vectors_are_rows_and_columns(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *m = syn_reshape(F32(1, 2, 3, 4), SYN_SHAPE(2, 2));
        ASSERT_VALUES(syn_matmul(F32(1, 2), F32(3, 4)), 11);
        ASSERT_VALUES(syn_matmul(m, F32(1, 10)), 21, 43);
        ASSERT_VALUES(syn_matmul(F32(1, 10), m), 31, 42);
    }
}

static void nothing_to_sum_gives_zeros(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(
            syn_matmul(syn_zeros(SYN_SHAPE(2, 0), SYN_F32), syn_zeros(SYN_SHAPE(0, 2), SYN_F32)), 0,
            0, 0, 0);
        syn_tensor *y = syn_linear_op(syn_zeros(SYN_SHAPE(2, 0), SYN_F32),
                                      syn_zeros(SYN_SHAPE(2, 0), SYN_F32), F32(5, 6));
        ASSERT_VALUES(y, 5, 6, 5, 6);
    }
}

static void integers_wrap_around(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_full(SYN_SHAPE(1, 2), 100, SYN_U8);
        ASSERT_VALUES(syn_matmul(x, syn_full(SYN_SHAPE(2, 1), 3, SYN_U8)), 600 % 256);
        assert_int_equal(syn_tensor_dtype(syn_matmul(I64(1), I64(2))), SYN_I64);
    }
}

static void products_do_not_depend_on_the_number_of_threads(void **state)
{
    int before = omp_get_max_threads();
    (void)state;
    SYN_SCOPE {
        syn_tensor *a = syn_randn(SYN_SHAPE(300, 200), SYN_F32),
                   *b = syn_randn(SYN_SHAPE(200, 250), SYN_F32);
        omp_set_num_threads(1);
        syn_tensor *one = syn_matmul(a, b);
        omp_set_num_threads(2);
        syn_tensor *two = syn_matmul(a, b);
        assert_memory_equal(syn_tensor_data(one), syn_tensor_data(two), 300 * 250 * 4);
    }
    omp_set_num_threads(before);
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(
            syn_matmul(syn_zeros(SYN_SHAPE(2, 3), SYN_F32), syn_zeros(SYN_SHAPE(2, 3), SYN_F32)));
        assert_sticks("matmul: (2, 3) x (2, 3): inner extents 3 and 2 differ");
        assert_null(syn_matmul(syn_zeros(SYN_SHAPE(2, 1, 3), SYN_F32),
                               syn_zeros(SYN_SHAPE(3, 3, 1), SYN_F32)));
        assert_sticks("batch extents 2 and 3 do not broadcast");
        assert_null(syn_matmul(syn_scalar(1, SYN_F32), F32(1)));
        assert_sticks("both operands need at least one axis");
        assert_null(syn_linear_op(F32(1, 2), syn_zeros(SYN_SHAPE(4, 3), SYN_F32), NULL));
        assert_sticks("linear: (2) x (4, 3): the input has 2 features, the weight takes 3");
        assert_null(syn_linear_op(F32(1, 2), syn_zeros(SYN_SHAPE(4, 2), SYN_F32), F32(1)));
        assert_sticks("the bias has to have the weight's 4 outputs");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_layout_of_the_operands_gives_the_same_product, reset),
        cmocka_unit_test_setup(batches_broadcast, reset),
        cmocka_unit_test_setup(permuted_batches_are_walked_in_place, reset),
        cmocka_unit_test_setup(vectors_are_rows_and_columns, reset),
        cmocka_unit_test_setup(nothing_to_sum_gives_zeros, reset),
        cmocka_unit_test_setup(integers_wrap_around, reset),
        cmocka_unit_test_setup(products_do_not_depend_on_the_number_of_threads, reset),
        cmocka_unit_test_setup(shapes_that_do_not_fit_are_refused, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/matmul", tests, NULL, NULL);
}
