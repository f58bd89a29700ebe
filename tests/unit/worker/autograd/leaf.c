/* Leaves: requiring, setting, zeroing and detaching gradients; recording switched off. */
#include "tests/unit/worker/tensor/support.h"

#include "worker/tensor/tensor.h"

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static void only_floating_tensors_require_gradients(void **state)
{
    (void)state;
    SYN_SCOPE {
        assert_null(syn_requires_grad(I64(1)));
        assert_sticks("requires_grad: only floating tensors have gradients, not i64");
        assert_null(syn_requires_grad(NULL));
        assert_false(syn_failed());
        assert_false(syn_tensor_requires_grad(NULL));
        assert_null(syn_grad_of(NULL));
    }
}

static void results_require_gradients_if_an_input_does(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1)), *y = F32(2);
        assert_true(syn_tensor_requires_grad(syn_mul(x, y)));
        assert_false(syn_tensor_requires_grad(syn_mul(y, y)));
        assert_false(syn_tensor_requires_grad(syn_gt(x, y)));
    }
}

static void a_set_gradient_is_accumulated_in_place(void **state)
{
    float bucket[4] = {0};
    (void)state;
    SYN_SCOPE {
        syn_tensor *flat = syn_wrap_data(bucket, SYN_SHAPE(4), SYN_F32, NULL);
        syn_tensor *x = syn_requires_grad(F32(1, 2)), *view = syn_slice(flat, 0, 2, 4, 1);
        assert_int_equal(syn_set_grad(x, view), SYN_OK);
        for (int i = 0; i < 2; i++)
            assert_int_equal(syn_backward(syn_sum(syn_square(x))), SYN_OK);

        assert_ptr_equal(syn_grad_of(x), view);
        assert_true(bucket[2] == 4 && bucket[3] == 8 && bucket[1] == 0);
    }
}

static void zeroing_a_set_gradient_keeps_its_memory(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1, 2)), *grad = syn_ones(SYN_SHAPE(2), SYN_F32);
        assert_int_equal(syn_set_grad(x, grad), SYN_OK);

        syn_zero_grad(x);

        assert_ptr_equal(syn_grad_of(x), grad);
        ASSERT_VALUES(grad, 0, 0);
    }
}

static void zeroing_an_own_gradient_releases_it(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1));
        assert_int_equal(syn_backward(syn_square(x)), SYN_OK);

        syn_zero_grad(x);

        assert_null(syn_grad_of(x));
        syn_zero_grad(x);
        syn_zero_grad(NULL);
    }
}

static void a_gradient_of_another_shape_or_dtype_is_refused(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1, 2));
        assert_int_equal(syn_set_grad(x, F32(1)), SYN_INVALID_ARGUMENT);
        assert_string_equal(syn_error_message(),
                            "set_grad: the gradient is f32 (1), its tensor f32 (2)");
        assert_int_equal(syn_set_grad(x, F64(1, 2)), SYN_INVALID_ARGUMENT);
        assert_int_equal(syn_set_grad(NULL, NULL), SYN_INVALID_ARGUMENT);
    }
}

static void a_gradient_can_be_taken_away(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1));
        assert_int_equal(syn_set_grad(x, F32(5)), SYN_OK);
        assert_int_equal(syn_set_grad(x, NULL), SYN_OK);
        assert_null(syn_grad_of(x));
        assert_int_equal(syn_backward(syn_square(x)), SYN_OK);
        ASSERT_VALUES(syn_grad_of(x), 2);
    }
}

static void nothing_is_recorded_inside_no_grad(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(1));
        assert_true(syn_grad_is_enabled());
        SYN_NO_GRAD {
            assert_false(syn_grad_is_enabled());
            assert_false(syn_tensor_requires_grad(syn_square(x)));
            SYN_NO_GRAD {
                assert_false(syn_grad_is_enabled());
            }
            assert_false(syn_grad_is_enabled());
        }
        assert_true(syn_grad_is_enabled());
    }
}

static void detaching_shares_the_data_and_stops_gradients(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(3)), *y = syn_square(x), *d = syn_detach(y);

        assert_ptr_equal(syn_tensor_data(d), syn_tensor_data(y));
        assert_false(syn_tensor_requires_grad(d));
        assert_int_equal(syn_backward(syn_mul(y, d)), SYN_OK);
        ASSERT_VALUES(syn_grad_of(x), 54);
        assert_null(syn_detach(NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_floating_tensors_require_gradients, reset),
        cmocka_unit_test_setup(results_require_gradients_if_an_input_does, reset),
        cmocka_unit_test_setup(a_set_gradient_is_accumulated_in_place, reset),
        cmocka_unit_test_setup(zeroing_a_set_gradient_keeps_its_memory, reset),
        cmocka_unit_test_setup(zeroing_an_own_gradient_releases_it, reset),
        cmocka_unit_test_setup(a_gradient_of_another_shape_or_dtype_is_refused, reset),
        cmocka_unit_test_setup(a_gradient_can_be_taken_away, reset),
        cmocka_unit_test_setup(nothing_is_recorded_inside_no_grad, reset),
        cmocka_unit_test_setup(detaching_shares_the_data_and_stops_gradients, reset),
    };
    return cmocka_run_group_tests_name("worker/autograd/leaf", tests, NULL, NULL);
}
