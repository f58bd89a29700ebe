/* Dtype promotion against PyTorch's table, for tensors, 0-d tensors and numbers; refusals. */
#include "tests/unit/worker/tensor/support.h"

#include "worker/ops/dispatch.h"

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

/* torch.promote_types for bool, u8, i8, i16, i32, i64, f16, bf16, f32, f64, c64, c128, above the
 * diagonal; the initials of b u c s i l h w f d F D. */
static void pairs_promote_as_in_pytorch(void **state)
{
    static const char *const names = "bucsilhwfdFD";
    static const char *const table[] = {"bucsilhwfdFD", "uussilhwfdFD", "cscsilhwfdFD",
                                        "ssssilhwfdFD", "iiiiilhwfdFD", "llllllhwfdFD",
                                        "hhhhhhhffdFD", "wwwwwwfwfdFD", "fffffffffdFD",
                                        "ddddddddddDD", "FFFFFFFFFDFD", "DDDDDDDDDDDD"};
    (void)state;
    for (int a = 0; a < SYN_N_DTYPES; a++)
        for (int b = 0; b < SYN_N_DTYPES; b++) {
            char expected = table[a][b], got = names[syn_promote_types((syn_dtype)a, (syn_dtype)b)];
            if (got != expected)
                fail_msg("%s and %s give %c, not %c", syn_dtype_name((syn_dtype)a),
                         syn_dtype_name((syn_dtype)b), got, expected);
        }
}

static void scalars_count_only_by_category(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *vector_f32 = F32(1), *scalar_f64 = syn_scalar(1, SYN_F64), *vector_i64 = I64(1);
        syn_tensor *vector_u8 = syn_ones(SYN_SHAPE(1), SYN_U8),
                   *scalar_i64 = syn_scalar(1, SYN_I64);

        assert_int_equal(syn_result_type((syn_tensor *[]){vector_f32, scalar_f64}, 2), SYN_F32);
        assert_int_equal(syn_result_type((syn_tensor *[]){vector_i64, scalar_f64}, 2), SYN_F64);
        assert_int_equal(syn_result_type((syn_tensor *[]){vector_u8, scalar_i64}, 2), SYN_U8);
        assert_int_equal(syn_result_type((syn_tensor *[]){vector_u8, vector_i64}, 2), SYN_I64);
    }
}

static void numbers_are_weaker_than_scalars(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *real = syn_number(0.5, SYN_F64), *scalar_f64 = syn_scalar(1, SYN_F64);
        syn_tensor *whole = syn_number(2, SYN_I64), *vector_i32 = syn_ones(SYN_SHAPE(1), SYN_I32);

        assert_int_equal(syn_result_type((syn_tensor *[]){vector_i32, real}, 2), SYN_F32);
        assert_int_equal(syn_result_type((syn_tensor *[]){vector_i32, whole}, 2), SYN_I32);
        assert_int_equal(syn_result_type((syn_tensor *[]){scalar_f64, real}, 2), SYN_F64);
        assert_int_equal(
            syn_result_type((syn_tensor *[]){syn_ones(SYN_SHAPE(1), SYN_F16), real}, 2), SYN_F16);
    }
}

static void sums_have_the_promoted_dtype(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_int_equal(syn_tensor_dtype(syn_add(I64(1), F32(2))), SYN_F32);
        assert_int_equal(syn_tensor_dtype(syn_add_scalar(I64(1), 2)), SYN_I64);
        assert_int_equal(syn_tensor_dtype(syn_add_scalar(I64(1), 2.5)), SYN_F32);
        ASSERT_VALUES(syn_add_scalar(I64(1), 2.5), 3.5);
        assert_int_equal(syn_tensor_dtype(syn_mul_scalar(F64(1), 2)), SYN_F64);
    }
}

static void division_of_integers_gives_floats(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_div(I64(3), I64(2));
        assert_int_equal(syn_tensor_dtype(x), SYN_F32);
        ASSERT_VALUES(x, 1.5);
    }
}

static void a_dtype_without_kernels_is_refused_by_name(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_mean(I64(1)));
        assert_sticks("mean: (1): input is i64; it may be");
        assert_null(syn_embedding(F32(1), F32(1)));
        assert_sticks("embedding: (1) x (1): indices is f32; it may be");
    }
}

static void a_target_keeps_its_dtype(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = F32(1);
        assert_ptr_equal(syn_add_(x, F64(2), 1), x);
        ASSERT_VALUES(x, 3);
        assert_null(syn_add_(I64(1), F32(2), 1));
        assert_sticks("the result is f32, which the target's i64 cannot hold");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pairs_promote_as_in_pytorch, reset),
        cmocka_unit_test_setup(scalars_count_only_by_category, reset),
        cmocka_unit_test_setup(numbers_are_weaker_than_scalars, reset),
        cmocka_unit_test_setup(sums_have_the_promoted_dtype, reset),
        cmocka_unit_test_setup(division_of_integers_gives_floats, reset),
        cmocka_unit_test_setup(a_dtype_without_kernels_is_refused_by_name, reset),
        cmocka_unit_test_setup(a_target_keeps_its_dtype, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/promote", tests, NULL, NULL);
}
