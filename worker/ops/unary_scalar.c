/* Element-wise operators of one tensor with numbers as parameters. */
#include "worker/ops/op_internal.h"

#include <math.h>

/* ---- leaky_relu ---- */

static syn_status leaky_relu_forward(syn_op_call *call)
{
    double slope = syn_value_number(&call->attrs[0]);
    return syn_run_map(call, syn_kernels->elementwise->leaky_relu, &slope);
}

static void leaky_relu_backward(syn_backward_call *call)
{
    call->grad_inputs[0] =
        syn_call(&syn_op_leaky_relu_backward,
                 (syn_tensor *[]){call->grad_outputs[0], call->inputs[0]}, 2, call->attrs, 1);
}

const syn_op syn_op_leaky_relu = {
    .name = "leaky_relu",
    .doc = "x where positive, else negative_slope * x.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("negative_slope", FLOAT, SYN_FALLBACK_FLOAT(0.01))),
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0),
    .infer = syn_infer_like,
    .forward = leaky_relu_forward,
    .backward = leaky_relu_backward,
    SYN_SAMPLES("(2,3)", "(2,3), 0.2"),
};

syn_tensor *syn_leaky_relu(syn_tensor *x, double slope)
{
    return syn_call(&syn_op_leaky_relu, &x, 1, &SYN_FLOAT_OF(slope), 1);
}

static syn_status leaky_relu_backward_forward(syn_op_call *call)
{
    double slope = syn_value_number(&call->attrs[0]);
    return syn_run_map(call, syn_kernels->elementwise->leaky_relu_backward, &slope);
}

/* Linear in grad_output, constant in x but for the kink. */
static void leaky_relu_backward_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_call(
            call->op, (syn_tensor *[]){call->grad_outputs[0], call->inputs[1]}, 2, call->attrs, 1);
}

const syn_op syn_op_leaky_relu_backward = {
    .name = "leaky_relu_backward",
    .doc = "grad_output where x is positive, else negative_slope * grad_output.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"), SYN_ARG("negative_slope", FLOAT)),
    .flags = SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = syn_infer_broadcast,
    .forward = leaky_relu_backward_forward,
    .backward = leaky_relu_backward_backward,
    SYN_SAMPLES("(2,3), (2,3), 0.1"),
};

/* ---- clamp ---- */

/* Bounds that were left out are infinite. */
static void bounds_of(const syn_value *attrs, double bounds[2])
{
    bounds[0] = attrs[0].kind == SYN_VALUE_NONE ? -INFINITY : syn_value_number(&attrs[0]);
    bounds[1] = attrs[1].kind == SYN_VALUE_NONE ? INFINITY : syn_value_number(&attrs[1]);
}

static syn_status clamp_forward(syn_op_call *call)
{
    double bounds[2];
    bounds_of(call->attrs, bounds);
    if (bounds[0] > bounds[1]) /* the upper one wins */
        bounds[0] = bounds[1];
    return syn_run_map(call, syn_kernels->elementwise->clamp, bounds);
}

static void clamp_backward(syn_backward_call *call)
{
    call->grad_inputs[0] =
        syn_call(&syn_op_clamp_backward, (syn_tensor *[]){call->grad_outputs[0], call->inputs[0]},
                 2, call->attrs, 2);
}

const syn_op syn_op_clamp = {
    .name = "clamp",
    .doc = "min where below it, max where above it, else the element.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("min", NUMBER, SYN_FALLBACK_NONE),
             SYN_ARG_OR("max", NUMBER, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0),
    .infer = syn_infer_like,
    .forward = clamp_forward,
    .backward = clamp_backward,
    SYN_SAMPLES("(2,3), -0.5, 0.5", "(2,3), min=0", "(2,3), max=0.2"),
};

syn_tensor *syn_clamp(syn_tensor *x, double low, double high)
{
    return syn_call(&syn_op_clamp, &x, 1, (syn_value[]){SYN_FLOAT_OF(low), SYN_FLOAT_OF(high)}, 2);
}

static syn_status clamp_backward_forward(syn_op_call *call)
{
    double bounds[2];
    bounds_of(call->attrs, bounds);
    return syn_run_map(call, syn_kernels->elementwise->clamp_backward, bounds);
}

static void clamp_backward_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_call(
            call->op, (syn_tensor *[]){call->grad_outputs[0], call->inputs[1]}, 2, call->attrs, 2);
}

const syn_op syn_op_clamp_backward = {
    .name = "clamp_backward",
    .doc = "grad_output where x is within the bounds, else 0.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"),
             SYN_ARG_OR("min", NUMBER, SYN_FALLBACK_NONE),
             SYN_ARG_OR("max", NUMBER, SYN_FALLBACK_NONE)),
    .flags = SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = syn_infer_broadcast,
    .forward = clamp_backward_forward,
    .backward = clamp_backward_backward,
    SYN_SAMPLES("(2,3), (2,3), -0.5, 0.5"),
};
