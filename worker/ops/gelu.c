/* The Gaussian error linear unit in the erf form, with its derivatives. */
#include "worker/kernels/gelu.h"
#include "worker/ops/spatial.h"

static const syn_gelu_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->gelu[syn_real_index(x)];
}

static syn_status gelu_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    kernels_of(x)->forward(x->numel, x->data, call->outputs[0]->data);
    return SYN_OK;
}

static void gelu_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_call2(&syn_op_gelu_backward, call->grad_outputs[0], call->inputs[0]);
}

const syn_op syn_op_gelu = {
    .name = "gelu",
    .doc = "x * P(X <= x) for X standard normal (the erf form).",
    SYN_ARGS(SYN_TENSOR("input")),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0),
    .infer = syn_infer_like,
    .forward = gelu_forward,
    .backward = gelu_backward,
    SYN_SAMPLES("(2,3)", "()", "(0,3)"),
};

syn_tensor *syn_gelu(syn_tensor *x)
{
    return syn_call1(&syn_op_gelu, x);
}

static syn_status gelu_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *grad = call->inputs[0], *x = call->inputs[1];
    bool is_same = grad->ndim == x->ndim;
    for (int d = 0; is_same && d < x->ndim; d++)
        is_same = grad->dims[d] == x->dims[d];
    if (!is_same)
        return SYN_OP_FAIL(call, "the gradient has to have the input's shape");
    syn_meta_like(&metas[0], x);
    return SYN_OK;
}

static syn_status gelu_backward_forward(syn_op_call *call)
{
    const syn_tensor *grad = call->inputs[0], *x = call->inputs[1];
    kernels_of(x)->backward(x->numel, x->data, grad->data, call->outputs[0]->data);
    return SYN_OK;
}

/* The second derivative is phi(x) (2 - x^2), phi the normal density. */
static void gelu_backward_backward(syn_backward_call *call)
{
    syn_tensor *outer = call->grad_outputs[0], *grad = call->inputs[0], *x = call->inputs[1];

    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_call2(&syn_op_gelu_backward, outer, x);
    if (call->needs_grad[1]) {
        syn_tensor *square = syn_square(x);
        syn_tensor *density =
            syn_mul_scalar(syn_exp(syn_mul_scalar(square, -0.5)), 0.39894228040143268);
        syn_tensor *curvature = syn_mul(density, syn_add_scalar(syn_neg(square), 2));
        call->grad_inputs[1] = syn_mul(syn_mul(outer, grad), curvature);
    }
}

const syn_op syn_op_gelu_backward = {
    .name = "gelu_backward",
    .doc = "grad_output times the derivative of gelu.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input")),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS,
    .infer = gelu_backward_infer,
    .forward = gelu_backward_forward,
    .backward = gelu_backward_backward,
    SYN_SAMPLES("(2,3), (2,3)", "(), ()"),
};
