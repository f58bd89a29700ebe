/* Conversions between all dtypes, and copies of large and strided tensors. */
#include "tests/unit/worker/tensor/support.h"

#include "worker/kernels/backend.h"

static void every_pair_of_dtypes_converts_as_the_oracle_does(void **state)
{
    (void)state;
    for (int from = 0; from < SYN_N_DTYPES; from++)
        for (int to = 0; to < SYN_N_DTYPES; to++)
            SYN_SCOPE {
                char values[2][40 * 16] = {{0}}, parts[2][14 * 16] = {{0}};
                syn_tensor *x =
                    syn_to(syn_mul_scalar(syn_arange(40, SYN_F32), 1.75), (syn_dtype)from);
                syn_tensor *strided = syn_slice(x, 0, 0, 40, 3);
                for (int pass = 0; pass < 2; pass++) {
                    (void)syn_backend_use(pass ? "ref" : "cpu");
                    assert_int_equal(syn_tensor_read(syn_to(x, (syn_dtype)to), values[pass]),
                                     SYN_OK);
                    assert_int_equal(syn_tensor_read(syn_to(strided, (syn_dtype)to), parts[pass]),
                                     SYN_OK);
                }
                (void)syn_backend_use("cpu");
                assert_memory_equal(values[0], values[1], sizeof values[0]);
                assert_memory_equal(parts[0], parts[1], sizeof parts[0]);
            }
}

static void conversions_truncate_and_saturate(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_to(F32(1.9F, -1.9F, 300, NAN), SYN_I8), 1, -1, 127, 0);
        ASSERT_VALUES(syn_to(F32(0, 0.5F, -3), SYN_BOOL), 0, 1, 1);
        ASSERT_VALUES(syn_to(F32(1 + 0x1p-9F), SYN_BF16), 1);
    }
}

static void transpositions_of_all_extents_are_right(void **state)
{
    static const int64_t extents[][2] = {{8, 8}, {31, 33}, {100, 70}, {9, 300}, {257, 8}};
    (void)state;
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++)
        for (int wide = 0; wide < 2; wide++)
            SYN_SCOPE {
                int64_t m = extents[i][0], n = extents[i][1];
                syn_tensor *x =
                    syn_reshape(syn_arange(m * n, wide ? SYN_F64 : SYN_F32), SYN_SHAPE(m, n));
                syn_tensor *t = syn_to(syn_contiguous(syn_transpose(x, 0, 1)), SYN_F64);
                const double *values = syn_tensor_data(t);
                for (int64_t r = 0; r < n; r++)
                    for (int64_t c = 0; c < m; c++)
                        assert_true(values[r * m + c] == (double)(c * n + r));
            }
}

static void planes_inside_larger_tensors_are_transposed(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(syn_arange(3 * 20 * 30, SYN_F32), SYN_SHAPE(3, 20, 30));
        const float *values = syn_tensor_data(syn_contiguous(syn_transpose(x, 1, 2)));
        for (int p = 0; p < 3; p++)
            for (int r = 0; r < 30; r++)
                for (int c = 0; c < 20; c++)
                    assert_true(values[(p * 30 + r) * 20 + c] == (float)((p * 20 + c) * 30 + r));
    }
}

static void fills_reach_every_element_and_no_other(void **state)
{
    (void)state;
    for (int t = 0; t < SYN_N_DTYPES; t++)
        SYN_SCOPE {
            syn_tensor *x = syn_zeros(SYN_SHAPE(4, 5), (syn_dtype)t);
            assert_non_null(syn_fill_(syn_slice(x, 1, 0, 5, 2), 1));
            for (int i = 0; i < 20; i++)
                assert_true(syn_item(syn_select(syn_select(x, 0, i / 5), 0, i % 5)) ==
                            (i % 5 % 2 ? 0 : 1));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_dtypes_converts_as_the_oracle_does),
        cmocka_unit_test(conversions_truncate_and_saturate),
        cmocka_unit_test(transpositions_of_all_extents_are_right),
        cmocka_unit_test(planes_inside_larger_tensors_are_transposed),
        cmocka_unit_test(fills_reach_every_element_and_no_other),
    };
    return cmocka_run_group_tests_name("worker/ops/copy", tests, NULL, NULL);
}
