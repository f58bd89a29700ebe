/* Printing, compared with what PyTorch prints. */
#include "tests/unit/worker/tensor/support.h"

static void whole_floats_have_a_point(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(F32(1, 2, 3, 4), SYN_SHAPE(2, 2));

        assert_string_equal(printed(x), "tensor([[1., 2.],\n        [3., 4.]])\n");
    }
}

static void fractions_have_four_digits_and_columns_align(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(F32(0.5F, -10.25F, 0)),
                            "tensor([  0.5000, -10.2500,   0.0000])\n");
    }
}

static void wide_ranges_are_scientific(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(F32(1e-5F, 1)), "tensor([1.0000e-05, 1.0000e+00])\n");
        assert_string_equal(printed(F32(1e9F)), "tensor([1.0000e+09])\n");
    }
}

static void infinities_do_not_widen_columns(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(F32(1, INFINITY, NAN)), "tensor([1., inf, nan])\n");
        assert_string_equal(printed(F32(0, 0)), "tensor([0., 0.])\n");
    }
}

static void integers_and_bool_align(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(I64(1, -20, 300)), "tensor([  1, -20, 300])\n");
        assert_string_equal(printed(syn_gt(F32(1, -1), syn_zeros(SYN_SHAPE(2), SYN_F32))),
                            "tensor([ True, False])\n");
    }
}

static void scalars_and_other_dtypes_are_named(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(syn_scalar(2.5, SYN_F32)), "tensor(2.5000)\n");
        assert_string_equal(printed(syn_scalar(2.5, SYN_F64)), "tensor(2.5000, dtype=f64)\n");
    }
}

static void empty_tensors_show_their_size(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(syn_zeros(SYN_SHAPE(0), SYN_F32)), "tensor([])\n");
        assert_string_equal(printed(syn_zeros(SYN_SHAPE(0, 3), SYN_F32)),
                            "tensor([], size=(0, 3))\n");
    }
}

static void past_1000_elements_the_middle_is_left_out(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(syn_arange(2000, SYN_I64)),
                            "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])\n");
    }
}

static void long_rows_are_broken(void **state)
{
    (void)state;
    SYN_SCOPE {
        const char *text = printed(syn_arange(30, SYN_I64));

        assert_string_equal(
            text, "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, "
                  "16, 17,\n        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])\n");
    }
}

static void blocks_of_more_axes_are_separated(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_string_equal(printed(syn_zeros(SYN_SHAPE(2, 1, 2), SYN_F32)),
                            "tensor([[[0., 0.]],\n\n        [[0., 0.]]])\n");
    }
}

static void the_graph_shows(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1));

        assert_string_equal(printed(x), "tensor([1.], requires_grad=True)\n");
        assert_string_equal(printed(syn_mul(x, x)), "tensor([1.], grad_fn=<mul>)\n");
    }
}

static void views_print_their_own_elements(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_transpose(syn_reshape(F32(1, 2, 3, 4), SYN_SHAPE(2, 2)), 0, 1);

        assert_string_equal(printed(x), "tensor([[1., 3.],\n        [2., 4.]])\n");
        assert_string_equal(printed(NULL), "None\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_floats_have_a_point),
        cmocka_unit_test(fractions_have_four_digits_and_columns_align),
        cmocka_unit_test(wide_ranges_are_scientific),
        cmocka_unit_test(infinities_do_not_widen_columns),
        cmocka_unit_test(integers_and_bool_align),
        cmocka_unit_test(scalars_and_other_dtypes_are_named),
        cmocka_unit_test(empty_tensors_show_their_size),
        cmocka_unit_test(past_1000_elements_the_middle_is_left_out),
        cmocka_unit_test(long_rows_are_broken),
        cmocka_unit_test(blocks_of_more_axes_are_separated),
        cmocka_unit_test(the_graph_shows),
        cmocka_unit_test(views_print_their_own_elements),
    };
    return cmocka_run_group_tests_name("worker/tensor/print", tests, NULL, NULL);
}
