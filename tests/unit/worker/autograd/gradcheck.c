/* The checks themselves: right gradients pass, wrong ones are named. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static syn_tensor *polynomial(syn_tensor *const *inputs, int n, void *user)
{
    (void)n, (void)user;
    return syn_mul(syn_pow_scalar(inputs[0], 3), inputs[1]);
}

static void right_gradients_pass_once_and_twice(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *inputs[] = {syn_requires_grad(F64(1, -2)), syn_requires_grad(F64(3))};
        assert_int_equal(syn_gradcheck(polynomial, inputs, 2, NULL), SYN_OK);
        assert_int_equal(syn_gradgradcheck(polynomial, inputs, 2, NULL), SYN_OK);
        ASSERT_VALUES(inputs[0], 1, -2);
        assert_null(syn_grad_of(inputs[0]));
    }
}

/* ---- A custom operator whose backward is wrong on request ---- */

static double factor = 2;

static syn_status double_infer(syn_op_call *call, syn_meta *metas)
{
    metas[0].dtype = syn_tensor_dtype(call->inputs[0]);
    metas[0].shape = syn_tensor_shape(call->inputs[0]);
    return SYN_OK;
}

static syn_status double_forward(syn_op_call *call)
{
    const double *x = syn_tensor_data(call->inputs[0]);
    double *y = syn_tensor_data(call->outputs[0]);
    for (int64_t i = 0; i < syn_tensor_numel(call->inputs[0]); i++)
        y[i] = 2 * x[i];
    return SYN_OK;
}

static void double_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_mul_scalar(call->grad_outputs[0], factor);
}

static const syn_op op_double = {.name = "test.double",
                                 .doc = "Twice the input.",
                                 SYN_ARGS(SYN_TENSOR("input")),
                                 .flags = SYN_OP_CONTIGUOUS,
                                 .dtypes = 1u << SYN_F64,
                                 .infer = double_infer,
                                 .forward = double_forward,
                                 .backward = double_backward};

static syn_tensor *call_double(syn_tensor *const *inputs, int n, void *user)
{
    (void)user;
    return syn_call(&op_double, inputs, n, NULL, 0);
}

static void a_wrong_gradient_is_named_with_both_numbers(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F64(1, 2));
        factor = 2;
        assert_int_equal(syn_gradcheck(call_double, &x, 1, NULL), SYN_OK);

        factor = 3;
        assert_int_equal(syn_gradcheck(call_double, &x, 1, NULL), SYN_FAILED_PRECONDITION);

        assert_non_null(
            strstr(syn_error_message(), "gradcheck: input 0, element 0: backward says"));
    }
}

static void inputs_have_to_be_f64_and_one_has_to_require_a_gradient(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *narrow[] = {syn_requires_grad(F32(1)), F64(1)};
        assert_int_equal(syn_gradcheck(polynomial, narrow, 2, NULL), SYN_INVALID_ARGUMENT);
        assert_non_null(strstr(syn_error_message(), "input 0 is f32; differences need f64"));

        syn_tensor *none[] = {F64(1), F64(1)};
        assert_int_equal(syn_gradcheck(polynomial, none, 2, NULL), SYN_INVALID_ARGUMENT);
        assert_non_null(strstr(syn_error_message(), "no input requires a gradient"));
    }
}

static syn_tensor *failing(syn_tensor *const *inputs, int n, void *user)
{
    (void)n, (void)user;
    return syn_matmul(inputs[0], F64(1, 2, 3));
}

static void a_function_that_fails_passes_its_sentence_on(void **state)
{
    (void)state;
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F64(1, 2));
        assert_int_equal(syn_gradcheck(failing, &x, 1, NULL), SYN_INVALID_ARGUMENT);
        assert_sticks("matmul: (2) x (3)");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(right_gradients_pass_once_and_twice, reset),
        cmocka_unit_test_setup(a_wrong_gradient_is_named_with_both_numbers, reset),
        cmocka_unit_test_setup(inputs_have_to_be_f64_and_one_has_to_require_a_gradient, reset),
        cmocka_unit_test_setup(a_function_that_fails_passes_its_sentence_on, reset),
    };
    return cmocka_run_group_tests_name("worker/autograd/gradcheck", tests, NULL, NULL);
}
