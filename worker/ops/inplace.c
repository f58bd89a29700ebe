/* Operators that overwrite their first tensor. */
#include "worker/ops/op_internal.h"

#include "worker/kernels/element.h"

/* ---- copy_ ---- */

static syn_status copy_forward(syn_op_call *call)
{
    syn_strided it;
    syn_tensor *target = call->outputs[0];
    syn_strided_of(&it, target, call->inputs + 1, 1);
    syn_kernels->copy->copy(&it, (syn_dtype)target->dtype, (syn_dtype)call->inputs[1]->dtype);
    return SYN_OK;
}

static void copy_backward(syn_backward_call *call)
{
    if (call->needs_grad[1])
        call->grad_inputs[1] = call->grad_outputs[0];
}

const syn_op syn_op_copy_ = {
    .name = "copy_",
    .doc = "Overwrites input with src, converted and broadcast.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("src")),
    .flags = SYN_OP_IN_PLACE,
    .dtypes = SYN_DTYPES_ALL,
    .promotion = SYN_PROMOTE_ANY,
    .infer = syn_infer_broadcast,
    .forward = copy_forward,
    .backward = copy_backward,
    SYN_SAMPLES("(2,3), (2,3)", "(2,3), (3)"),
};

syn_tensor *syn_copy_(syn_tensor *target, syn_tensor *source)
{
    return syn_call2(&syn_op_copy_, target, source);
}

/* ---- fill_ and zero_ ---- */

static syn_status fill_with(syn_op_call *call, double value)
{
    double element[2];
    syn_strided it;
    syn_tensor *target = call->outputs[0];
    syn_element_set((syn_dtype)target->dtype, element, value);
    syn_strided_of(&it, target, NULL, 0);
    syn_kernels->copy->fill(&it, (syn_dtype)target->dtype, element);
    return SYN_OK;
}

static syn_status fill_forward(syn_op_call *call)
{
    return fill_with(call, syn_value_number(&call->attrs[0]));
}

/* What was there before has no influence any more. */
static void no_grad(syn_backward_call *call)
{
    (void)call;
}

const syn_op syn_op_fill_ = {
    .name = "fill_",
    .doc = "Overwrites all elements with a number.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("value", NUMBER)),
    .flags = SYN_OP_IN_PLACE,
    .dtypes = SYN_DTYPES_ALL,
    .infer = syn_infer_like,
    .forward = fill_forward,
    .backward = no_grad,
    SYN_SAMPLES("(2,3), 1.5"),
};

syn_tensor *syn_fill_(syn_tensor *target, double value)
{
    return syn_call(&syn_op_fill_, &target, 1, &SYN_FLOAT_OF(value), 1);
}

static syn_status zero_forward(syn_op_call *call)
{
    return fill_with(call, 0);
}

const syn_op syn_op_zero_ = {
    .name = "zero_",
    .doc = "Overwrites all elements with 0.",
    SYN_ARGS(SYN_TENSOR("input")),
    .flags = SYN_OP_IN_PLACE,
    .dtypes = SYN_DTYPES_ALL,
    .infer = syn_infer_like,
    .forward = zero_forward,
    .backward = no_grad,
    SYN_SAMPLES("(2,3)"),
};

syn_tensor *syn_zero_(syn_tensor *target)
{
    return syn_call1(&syn_op_zero_, target);
}

/* ---- add_ and mul_ ---- */

static syn_status add_forward(syn_op_call *call)
{
    double alpha = syn_value_number(&call->attrs[0]);
    if (alpha == 1)
        return syn_run_map(call, syn_kernels->elementwise->add, NULL);
    return syn_run_map(call, syn_kernels->elementwise->add_scaled, &alpha);
}

static void add_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0];
    double alpha = syn_value_number(&call->attrs[0]);
    if (call->needs_grad[0])
        call->grad_inputs[0] = grad;
    if (call->needs_grad[1])
        call->grad_inputs[1] = alpha == 1 ? grad : syn_mul_scalar(grad, alpha);
}

const syn_op syn_op_add_ = {
    .name = "add_",
    .doc = "input += alpha * other.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"),
             SYN_ARG_OR("alpha", NUMBER, SYN_FALLBACK_INT(1))),
    .flags = SYN_OP_IN_PLACE,
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .infer = syn_infer_broadcast,
    .forward = add_forward,
    .backward = add_backward,
    SYN_SAMPLES("(2,3), (2,3)", "(2,3), (3), alpha=2"),
};

syn_tensor *syn_add_(syn_tensor *target, syn_tensor *x, double alpha)
{
    return syn_call(&syn_op_add_, (syn_tensor *[]){target, x}, 2, &SYN_FLOAT_OF(alpha), 1);
}

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

const syn_op syn_op_mul_ = {
    .name = "mul_",
    .doc = "input *= other.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other")),
    .flags = SYN_OP_IN_PLACE,
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS,
    .infer = syn_infer_broadcast,
    .forward = mul_forward,
    .backward = mul_backward,
    SYN_SAMPLES("(2,3), (2,3)", "(2,3), 3"),
};

syn_tensor *syn_mul_scalar_(syn_tensor *target, double value)
{
    return syn_call2(&syn_op_mul_, target, syn_number_for(target, value));
}
