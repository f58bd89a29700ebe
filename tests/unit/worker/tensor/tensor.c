/* Making tensors, looking into them, wrapping memory; refused shapes. */
#include "tests/unit/worker/tensor/support.h"

#include "worker/tensor/tensor.h"

static void tensors_are_row_major(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_zeros(SYN_SHAPE(2, 3, 4), SYN_F32);

        assert_shape(x, SYN_SHAPE(2, 3, 4));
        assert_int_equal(syn_tensor_stride(x, 0), 12);
        assert_int_equal(syn_tensor_stride(x, -1), 1);
        assert_int_equal(syn_tensor_numel(x), 24);
        assert_true(syn_tensor_is_contiguous(x));
        assert_int_equal(syn_tensor_size(x, -2), 3);
        assert_int_equal((uintptr_t)syn_tensor_data(x) % 64, 0);
    }
}

static void every_dtype_is_filled(void **state)
{
    (void)state;
    for (int t = 0; t < SYN_N_DTYPES; t++)
        SYN_SCOPE {
            syn_tensor *x = syn_ones(SYN_SHAPE(3), (syn_dtype)t);
            if (t < SYN_C64)
                ASSERT_VALUES(x, 1, 1, 1);
            assert_true(syn_item(syn_select(x, 0, 2)) == 1);
            assert_int_equal(syn_tensor_dtype(x), t);
        }
}

static void arange_counts(void **state)
{
    (void)state;
    SYN_SCOPE {
        ASSERT_VALUES(syn_arange(4, SYN_F32), 0, 1, 2, 3);
        assert_shape(syn_arange(0, SYN_I64), SYN_SHAPE(0));
    }
}

static void read_gathers_strided_elements(void **state)
{
    float out[6];
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_transpose(syn_reshape(F32(1, 2, 3, 4, 5, 6), SYN_SHAPE(2, 3)), 0, 1);

        assert_int_equal(syn_tensor_read(x, out), SYN_OK);

        assert_memory_equal(out, ((float[]){1, 4, 2, 5, 3, 6}), sizeof out);
    }
}

static void write_scatters_and_counts_as_a_change(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_zeros(SYN_SHAPE(2, 2), SYN_F32), *view = syn_transpose(x, 0, 1);
        unsigned before = syn_tensor_version(x);

        assert_int_equal(syn_tensor_write(view, (float[]){1, 2, 3, 4}), SYN_OK);

        ASSERT_VALUES(x, 1, 3, 2, 4);
        assert_true(syn_tensor_version(x) != before);
    }
}

static void reading_nothing_is_an_error(void **state)
{
    (void)state;
    float out[1];
    assert_int_equal(syn_tensor_read(NULL, out), SYN_INVALID_ARGUMENT);
    SYN_SCOPE {
        assert_int_equal(syn_tensor_write(syn_zeros(SYN_SHAPE(1), SYN_F32), NULL),
                         SYN_INVALID_ARGUMENT);
        assert_int_equal(syn_tensor_read(syn_zeros(SYN_SHAPE(0), SYN_F32), NULL), SYN_OK);
    }
}

static void null_has_no_properties(void **state)
{
    (void)state;
    assert_int_equal(syn_tensor_ndim(NULL), 0);
    assert_int_equal(syn_tensor_numel(NULL), 0);
    assert_int_equal(syn_tensor_size(NULL, 0), 0);
    assert_null(syn_tensor_data(NULL));
    assert_true(isnan(syn_item(NULL)));
    assert_false(syn_failed());
    syn_tensor_unref(NULL);
    assert_null(syn_tensor_ref(NULL));
}

static void item_wants_one_element(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_true(syn_item(syn_scalar(2.5, SYN_F64)) == 2.5);
        assert_true(isnan(syn_item(syn_zeros(SYN_SHAPE(2, 3), SYN_F32))));
        assert_sticks("item: (2, 3): there are 6 elements");
    }
}

static void bad_shapes_are_refused_with_their_values(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_zeros(SYN_SHAPE(2, -1), SYN_F32));
        assert_sticks("shape (2, -1) has a negative extent");
        assert_null(syn_zeros(SYN_SHAPE(INT64_MAX, 2), SYN_F32));
        assert_sticks("too many elements");
        assert_null(syn_zeros(SYN_SHAPE(INT64_MAX, 0, INT64_MAX), SYN_F32));
        assert_sticks("too many elements");
        assert_null(syn_zeros((syn_shape){17, {0}}, SYN_F32));
        assert_sticks("0 to 16 axes, not 17");
        assert_null(syn_zeros(SYN_SHAPE(1), SYN_N_DTYPES));
        assert_sticks("no dtype number 12");
    }
}

static void wrapped_memory_is_used_in_place(void **state)
{
    float data[3] = {1, 2, 3};
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_wrap_data(data, SYN_SHAPE(3), SYN_F32, NULL);
        assert_non_null(syn_mul_scalar_(x, 2));
    }
    assert_true(data[0] == 2 && data[2] == 6);
}

static void large_and_small_tensors_are_freed_as_they_came(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 3000000; n = n * 3 + 1)
        SYN_SCOPE {
            syn_tensor *x = syn_full(SYN_SHAPE(n), 3, SYN_F32);
            assert_true(((float *)syn_tensor_data(x))[n - 1] == 3);
        }
}

static void a_long_chain_is_released_without_recursion(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(syn_zeros(SYN_SHAPE(1), SYN_F32));
        for (int i = 0; i < 200000; i++) {
            syn_tensor *next = NULL;
            SYN_SCOPE {
                next = syn_keep(syn_neg(x));
            }
            syn_tensor *previous = x;
            x = next;
            if (i)
                syn_tensor_unref(previous);
        }
        assert_true(syn_item(x) == 0);
        syn_tensor_unref(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_row_major),
        cmocka_unit_test(every_dtype_is_filled),
        cmocka_unit_test(arange_counts),
        cmocka_unit_test(read_gathers_strided_elements),
        cmocka_unit_test(write_scatters_and_counts_as_a_change),
        cmocka_unit_test(reading_nothing_is_an_error),
        cmocka_unit_test(null_has_no_properties),
        cmocka_unit_test(item_wants_one_element),
        cmocka_unit_test(bad_shapes_are_refused_with_their_values),
        cmocka_unit_test(wrapped_memory_is_used_in_place),
        cmocka_unit_test(large_and_small_tensors_are_freed_as_they_came),
        cmocka_unit_test(a_long_chain_is_released_without_recursion),
    };
    return cmocka_run_group_tests_name("worker/tensor/tensor", tests, NULL, NULL);
}
