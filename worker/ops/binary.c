/* Element-wise operators of two tensors. */
#include "worker/kernels/elementwise.h"
#include "worker/ops/op_internal.h"

static syn_status mul_forward(syn_op_call *call)
{
    return syn_run_map(call, syn_kernels->elementwise->mul, NULL);
}

static void mul_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0];
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_mul(grad, call->inputs[1]);
    if (call->needs_grad[1])
        call->grad_inputs[1] = syn_mul(grad, call->inputs[0]);
}

const syn_op syn_op_mul = {
    .name = "mul",
    .doc = "Multiplies element by element.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other")),
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS,
    .infer = syn_infer_broadcast,
    .forward = mul_forward,
    .backward = mul_backward,
    SYN_SAMPLES("(2,3), (2,3)", "(2,3), (3)", "(2,1), (1,3)", "(), (4)"),
};

syn_tensor *syn_mul(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_mul, a, b);
}
