/* The Gaussian error linear unit with its derivatives: the erf form, and its approximation by tanh.
 */
#include "worker/kernels/gelu.h"
#include "worker/ops/spatial.h"
#include <string.h>

static const syn_gelu_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->gelu[syn_real_index(x)];
}

static bool is_tanh_form(const syn_value *approximate)
{
    return strcmp(approximate->string, "tanh") == 0;
}

/* t = tanh(k (x + 0.044715 x^3)), k = sqrt(2 / pi): the approximation is x (1 + t) / 2. */
static syn_tensor *tanh_term(syn_tensor *x)
{
    syn_tensor *cubic = syn_mul(x, syn_add_scalar(syn_mul_scalar(syn_square(x), 0.044715), 1));
    return syn_tanh(syn_mul_scalar(cubic, 0.79788456080286536));
}

static syn_status gelu_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_value *approximate = &call->attrs[0];
    if (!is_tanh_form(approximate) && strcmp(approximate->string, "none") != 0)
        return SYN_OP_FAIL(call, "approximate is \"%s\"; none or tanh is possible",
                           approximate->string);
    return syn_infer_like(call, metas);
}

static syn_status gelu_forward(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    if (!is_tanh_form(&call->attrs[0])) {
        kernels_of(x)->forward(x->numel, x->data, call->outputs[0]->data);
        return SYN_OK;
    }
    syn_status status = SYN_OK;
    SYN_NO_GRAD {
        syn_tensor *y = syn_mul(x, syn_mul_scalar(syn_add_scalar(tanh_term(x), 1), 0.5));
        status = y ? syn_tensor_read(y, call->outputs[0]->data) : syn_error_status();
    }
    return status;
}

/* (1 + t) / 2 + x (1 - t^2) k (1 + 3 * 0.044715 x^2) / 2 */
static syn_tensor *tanh_form_slope(syn_tensor *x)
{
    syn_tensor *t = tanh_term(x), *rest = syn_add_scalar(syn_neg(syn_square(t)), 1);
    syn_tensor *inner = syn_add_scalar(syn_mul_scalar(syn_square(x), 3 * 0.044715), 1);
    syn_tensor *second = syn_mul(syn_mul(x, rest), syn_mul_scalar(inner, 0.39894228040143268));
    return syn_add(syn_mul_scalar(syn_add_scalar(t, 1), 0.5), second);
}

static void gelu_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0], *x = call->inputs[0];
    call->grad_inputs[0] = is_tanh_form(&call->attrs[0])
                               ? syn_mul(grad, tanh_form_slope(x))
                               : syn_call2(&syn_op_gelu_backward, grad, x);
}

const syn_op syn_op_gelu = {
    .name = "gelu",
    .doc = "x * P(X <= x) for X standard normal; approximate='tanh' is the form by tanh.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("approximate", STRING, SYN_FALLBACK_STRING("none"))),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0),
    .infer = gelu_infer,
    .forward = gelu_forward,
    .backward = gelu_backward,
    SYN_SAMPLES("(2,3)", "()", "(0,3)", "(3,4), approximate='tanh'"),
};

syn_tensor *syn_gelu(syn_tensor *x)
{
    return syn_call(&syn_op_gelu, &x, 1, (const syn_value[]){SYN_STRING_OF("none")}, 1);
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
