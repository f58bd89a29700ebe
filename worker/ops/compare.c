/* Comparisons, and the choice between two tensors by a condition. */
#include "worker/ops/op_internal.h"

#define COMPARISON(op_name, text)                                          \
    static syn_status op_name##_forward(syn_op_call *call)                 \
    {                                                                      \
        return syn_run_map(call, syn_kernels->elementwise->op_name, NULL); \
    }                                                                      \
    const syn_op syn_op_##op_name = {                                      \
        .name = #op_name,                                                  \
        .doc = text,                                                       \
        SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other")),                \
        .flags = SYN_OP_NO_GRAD,                                           \
        .dtypes = SYN_DTYPES_REAL,                                         \
        .promotion = SYN_PROMOTE_COMMON,                                   \
        .infer = syn_infer_compare,                                        \
        .forward = op_name##_forward,                                      \
        SYN_SAMPLES("(2,3), (2,3)", "(2,3), (3)", "(2,3), 0.5"),           \
    };                                                                     \
    syn_tensor *syn_##op_name(syn_tensor *a, syn_tensor *b)                \
    {                                                                      \
        return syn_call2(&syn_op_##op_name, a, b);                         \
    }
COMPARISON(eq, "Whether elements are equal.")
COMPARISON(ne, "Whether elements differ.")
COMPARISON(lt, "Whether elements are less.")
COMPARISON(le, "Whether elements are less or equal.")
COMPARISON(gt, "Whether elements are greater.")
COMPARISON(ge, "Whether elements are greater or equal.")

static syn_status where_forward(syn_op_call *call)
{
    return syn_run_map(call, syn_kernels->elementwise->where, NULL);
}

static void where_backward(syn_backward_call *call)
{
    syn_tensor *condition = call->inputs[0], *grad = call->grad_outputs[0];
    syn_tensor *zero = syn_number(0, syn_tensor_dtype(grad));
    if (call->needs_grad[1])
        call->grad_inputs[1] = syn_where(condition, grad, zero);
    if (call->needs_grad[2])
        call->grad_inputs[2] = syn_where(condition, zero, grad);
}

const syn_op syn_op_where = {
    .name = "where",
    .doc = "Elements of input where the condition holds, else of other.",
    SYN_ARGS(SYN_TENSOR_IN("condition", SYN_DTYPES_BOOL), SYN_TENSOR("input"), SYN_TENSOR("other")),
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUT(0),
    .infer = syn_infer_broadcast,
    .forward = where_forward,
    .backward = where_backward,
    SYN_SAMPLES("(2,3)b, (2,3), (2,3)", "(3)b, (2,3), (2,1)", "(2,3)b, (2,3), 0.5"),
};

syn_tensor *syn_where(syn_tensor *condition, syn_tensor *a, syn_tensor *b)
{
    return syn_call3(&syn_op_where, condition, a, b);
}
