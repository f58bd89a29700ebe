/* Views: shapes, sharing, refusals. */
#include "tests/unit/worker/tensor/support.h"

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static syn_tensor *matrix(void)
{
    return syn_reshape(syn_arange(6, SYN_F32), SYN_SHAPE(2, 3));
}

static void reshape_infers_one_extent_and_shares(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = matrix(), *y = syn_reshape(x, SYN_SHAPE(3, -1));
        assert_shape(y, SYN_SHAPE(3, 2));
        assert_ptr_equal(syn_tensor_data(x), syn_tensor_data(y));
        assert_shape(syn_reshape(syn_zeros(SYN_SHAPE(0, 3), SYN_F32), SYN_SHAPE(3, 0)),
                     SYN_SHAPE(3, 0));
    }
}

static void reshape_of_a_transposition_copies(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = matrix(), *t = syn_transpose(x, 0, 1),
                   *flat = syn_reshape(t, SYN_SHAPE(-1));
        assert_ptr_not_equal(syn_tensor_data(flat), syn_tensor_data(x));
        ASSERT_VALUES(flat, 0, 3, 1, 4, 2, 5);
        assert_ptr_equal(syn_tensor_data(syn_reshape(t, SYN_SHAPE(3, 1, 2))), syn_tensor_data(x));
    }
}

static void reshape_views_where_strides_allow_it(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_reshape(syn_arange(24, SYN_F32), SYN_SHAPE(2, 3, 4));
        syn_tensor *part = syn_slice(x, 1, 0, 2, 1), *y = syn_reshape(part, SYN_SHAPE(2, 8));
        assert_ptr_equal(syn_tensor_data(y), syn_tensor_data(x));
        ASSERT_VALUES(y, 0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 18, 19);
        syn_tensor *moved = syn_permute(x, (int[]){2, 0, 1}, 3),
                   *z = syn_reshape(moved, SYN_SHAPE(2, 2, 6));
        assert_ptr_equal(syn_tensor_data(z), syn_tensor_data(x));
        assert_int_equal(syn_tensor_stride(z, 0), 2);
    }
}

static void impossible_shapes_are_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_reshape(matrix(), SYN_SHAPE(4, -1)));
        assert_sticks("reshape: (2, 3): shape (4, -1) does not hold 6 elements");
        assert_null(syn_reshape(matrix(), SYN_SHAPE(-1, -1)));
        assert_sticks("only one extent may be -1");
        assert_null(syn_reshape(matrix(), SYN_SHAPE(7)));
        assert_sticks("does not hold 6 elements");
        assert_null(syn_expand(matrix(), SYN_SHAPE(3, 3)));
        assert_sticks("expand: (2, 3): extent 2 cannot become 3");
        assert_null(syn_permute(matrix(), (int[]){0, 0}, 2));
        assert_sticks("axis 0 is named twice");
        assert_null(syn_transpose(matrix(), 0, 2));
        assert_sticks("axis 2 is outside [-2, 1]");
        assert_null(syn_select(matrix(), 0, 2));
        assert_sticks("select: (2, 3): index 2 is outside axis 0 of extent 2");
        assert_null(syn_slice(matrix(), 0, 0, 1, 0));
        assert_sticks("step 0 is not positive");
    }
}

static void slices_follow_pythons_rules(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_arange(5, SYN_F32);
        ASSERT_VALUES(syn_slice(x, 0, 1, 4, 1), 1, 2, 3);
        ASSERT_VALUES(syn_slice(x, 0, 0, 5, 2), 0, 2, 4);
        ASSERT_VALUES(syn_slice(x, 0, -2, 100, 1), 3, 4);
        assert_shape(syn_slice(x, 0, 4, 2, 1), SYN_SHAPE(0));
        assert_shape(syn_slice(x, 0, 10, 20, 1), SYN_SHAPE(0));
    }
}

static void extents_of_1_come_and_go(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_shape(syn_unsqueeze(matrix(), -1), SYN_SHAPE(2, 3, 1));
        assert_shape(syn_squeeze(syn_zeros(SYN_SHAPE(2, 1, 3), SYN_F32), 1), SYN_SHAPE(2, 3));
        assert_shape(syn_squeeze(matrix(), 0), SYN_SHAPE(2, 3));
        assert_shape(syn_flatten(syn_zeros(SYN_SHAPE(2, 3, 4), SYN_F32), 1), SYN_SHAPE(2, 12));
        assert_shape(syn_flatten(syn_scalar(1, SYN_F32), 0), SYN_SHAPE(1));
    }
}

static void contiguous_and_to_return_the_tensor_itself_where_they_can(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = matrix();
        assert_ptr_equal(syn_contiguous(x), x);
        assert_ptr_equal(syn_to(x, SYN_F32), x);
        assert_true(syn_tensor_is_contiguous(syn_contiguous(syn_transpose(x, 0, 1))));
        assert_ptr_not_equal(syn_clone(x), x);
    }
}

static void joining_checks_its_parts(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *mixed[] = {matrix(), F32(1, 2)},
                   *uneven[] = {matrix(), syn_transpose(matrix(), 0, 1)};
        syn_tensor *scalars[] = {syn_scalar(1, SYN_F32)}, *dtypes[] = {F32(1), I64(2), F64(3)};
        assert_null(syn_cat(mixed, 2, 0));
        assert_sticks("tensor 1 has 1 axes, the first has 2");
        assert_null(syn_cat(uneven, 2, 0));
        assert_sticks("tensor 1 has extent 2 in axis 1, the first has 3");
        assert_null(syn_cat(scalars, 1, 0));
        assert_sticks("cannot be joined; use stack");
        assert_null(syn_stack(mixed, 2, 0));
        assert_sticks("tensor 1 has another shape than the first");
        assert_null(syn_cat(NULL, 0, 0));
        assert_sticks("there are no tensors to join");
        assert_int_equal(syn_tensor_dtype(syn_cat(dtypes, 3, 0)), SYN_F64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reshape_infers_one_extent_and_shares, reset),
        cmocka_unit_test_setup(reshape_of_a_transposition_copies, reset),
        cmocka_unit_test_setup(reshape_views_where_strides_allow_it, reset),
        cmocka_unit_test_setup(impossible_shapes_are_refused, reset),
        cmocka_unit_test_setup(slices_follow_pythons_rules, reset),
        cmocka_unit_test_setup(extents_of_1_come_and_go, reset),
        cmocka_unit_test_setup(contiguous_and_to_return_the_tensor_itself_where_they_can, reset),
        cmocka_unit_test_setup(joining_checks_its_parts, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/view", tests, NULL, NULL);
}
