/* Finding operators, and adding custom ones with all that built-in ones have. */
#include "tests/unit/worker/tensor/support.h"

#include <syncline/op.h>

static int reset(void **state)
{
    (void)state;
    syn_clear_error();
    return 0;
}

static void operators_are_found_by_name(void **state)
{
    (void)state;
    assert_string_equal(syn_op_find("matmul")->name, "matmul");
    assert_null(syn_op_find("matmull"));
    assert_null(syn_op_find(""));
    assert_null(syn_op_at(-1));
    assert_null(syn_op_at(syn_op_count()));
}

static void names_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < syn_op_count(); i++)
        assert_ptr_equal(syn_op_find(syn_op_at(i)->name), syn_op_at(i));
}

/* ---- square, as a user's program would add it ---- */

static syn_status cube_infer(syn_op_call *call, syn_meta *metas)
{
    metas[0].dtype = syn_tensor_dtype(call->inputs[0]);
    metas[0].shape = syn_tensor_shape(call->inputs[0]);
    return SYN_OK;
}

static syn_status cube_forward(syn_op_call *call)
{
    const float *x = syn_tensor_data(call->inputs[0]);
    float *y = syn_tensor_data(call->outputs[0]);
    for (int64_t i = 0; i < syn_tensor_numel(call->inputs[0]); i++)
        y[i] = x[i] * x[i] * x[i];
    return SYN_OK;
}

static void cube_backward(syn_backward_call *call)
{
    call->grad_inputs[0] =
        syn_mul(call->grad_outputs[0], syn_mul_scalar(syn_square(call->inputs[0]), 3));
}

static const syn_op op_cube = {.name = "test.cube",
                               .doc = "The third power.",
                               SYN_ARGS(SYN_TENSOR("input")),
                               .flags = SYN_OP_CONTIGUOUS,
                               .dtypes = 1u << SYN_F32,
                               .saves = SYN_SAVE_INPUT(0),
                               .infer = cube_infer,
                               .forward = cube_forward,
                               .backward = cube_backward};

static void a_custom_operator_is_called_differentiated_and_found(void **state)
{
    (void)state;
    int n = syn_op_count();
    assert_int_equal(syn_op_register(&op_cube), SYN_OK);
    assert_int_equal(syn_op_count(), n + 1);
    assert_ptr_equal(syn_op_at(n), &op_cube);
    SYN_SCOPE {
        syn_tensor *x = syn_requires_grad(F32(2)), *grad, *curvature;
        syn_tensor *y = syn_call(syn_op_find("test.cube"), &x, 1, NULL, 0);
        ASSERT_VALUES(y, 8);
        assert_int_equal(syn_grad(y, &x, 1, (syn_backward_options){.create_graph = true}, &grad),
                         SYN_OK);
        ASSERT_VALUES(grad, 12);
        assert_int_equal(syn_grad(grad, &x, 1, (syn_backward_options){0}, &curvature), SYN_OK);
        ASSERT_VALUES(curvature, 12);

        syn_tensor *wrong = F64(2);
        assert_null(syn_call(&op_cube, &wrong, 1, NULL, 0));
        assert_sticks("test.cube: (1): input is f64; it may be f32");
    }
}

static void a_second_operator_of_a_name_is_refused(void **state)
{
    static const syn_op twin = {.name = "mul", .infer = cube_infer, .forward = cube_forward};
    (void)state;
    assert_int_equal(syn_op_register(&twin), SYN_ALREADY_EXISTS);
    assert_string_equal(syn_error_message(), "there is an operator mul already");
}

static const syn_op lists = {.name = "test.lists",
                             SYN_ARGS(SYN_TENSORS("a"), SYN_TENSORS("b")),
                             .infer = cube_infer,
                             .forward = cube_forward};

static void a_descriptor_that_is_not_whole_is_refused(void **state)
{
    static const syn_op nameless = {.infer = cube_infer, .forward = cube_forward};
    static const syn_op idle = {.name = "test.idle"};
    (void)state;
    assert_int_equal(syn_op_register(NULL), SYN_INVALID_ARGUMENT);
    assert_int_equal(syn_op_register(&nameless), SYN_INVALID_ARGUMENT);
    assert_int_equal(syn_op_register(&idle), SYN_INVALID_ARGUMENT);
    assert_string_equal(syn_error_message(),
                        "operator test.idle needs infer and forward, or compose");
    assert_int_equal(syn_op_register(&lists), SYN_INVALID_ARGUMENT);
    assert_string_equal(syn_error_message(),
                        "operator test.lists has 2 tensor lists; one is possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(operators_are_found_by_name, reset),
        cmocka_unit_test_setup(names_are_unique, reset),
        cmocka_unit_test_setup(a_custom_operator_is_called_differentiated_and_found, reset),
        cmocka_unit_test_setup(a_second_operator_of_a_name_is_refused, reset),
        cmocka_unit_test_setup(a_descriptor_that_is_not_whole_is_refused, reset),
    };
    return cmocka_run_group_tests_name("worker/ops/registry", tests, NULL, NULL);
}
