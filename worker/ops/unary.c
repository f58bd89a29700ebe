/* Element-wise operators of one tensor, without parameters. */
#include "worker/ops/op_internal.h"

#define ONE_TENSOR SYN_ARGS(SYN_TENSOR("input"))

/* The block of an operator y = f(x) whose kernel is called as it is. */
#define UNARY(op_name, text, ...) UNARY_BLOCK(op_name, text, __VA_ARGS__)
#define UNARY_BLOCK(op_name, text, dtype_set, promotion_rule, saved, ...)  \
    static syn_status op_name##_forward(syn_op_call *call)                 \
    {                                                                      \
        return syn_run_map(call, syn_kernels->elementwise->op_name, NULL); \
    }                                                                      \
    const syn_op syn_op_##op_name = {                                      \
        .name = #op_name,                                                  \
        .doc = text,                                                       \
        ONE_TENSOR,                                                        \
        .dtypes = dtype_set,                                               \
        .promotion = promotion_rule,                                       \
        .saves = saved,                                                    \
        .infer = syn_infer_like,                                           \
        .forward = op_name##_forward,                                      \
        .backward = op_name##_backward,                                    \
        SYN_SAMPLES(__VA_ARGS__),                                          \
    };                                                                     \
    syn_tensor *syn_##op_name(syn_tensor *x)                               \
    {                                                                      \
        return syn_call1(&syn_op_##op_name, x);                            \
    }
#define ON_NUMBERS SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT, SYN_PROMOTE_COMMON
#define ON_FLOATS  SYN_DTYPES_FLOAT, SYN_PROMOTE_FLOAT
#define INPUT      SYN_SAVE_INPUT(0)
#define OUTPUT     SYN_SAVE_OUTPUT(0)

/* grad_x as an expression of x (the input), y (the output) and grad. */
#define BACKWARD(op_name, expression)                                                          \
    static void op_name##_backward(syn_backward_call *call)                                    \
    {                                                                                          \
        syn_tensor *x = call->inputs[0], *y = call->outputs[0], *grad = call->grad_outputs[0]; \
        (void)x, (void)y, (void)grad;                                                          \
        call->grad_inputs[0] = expression;                                                     \
    }

BACKWARD(neg, syn_neg(grad))
BACKWARD(abs, syn_mul(grad, syn_sign(x)))
BACKWARD(sign, NULL)
BACKWARD(exp, syn_mul(grad, y))
BACKWARD(log, syn_div(grad, x))
BACKWARD(sqrt, syn_div(grad, syn_mul_scalar(y, 2)))
BACKWARD(rsqrt, syn_mul(grad, syn_mul_scalar(syn_pow_scalar(y, 3), -0.5)))
BACKWARD(reciprocal, syn_neg(syn_mul(grad, syn_square(y))))
BACKWARD(square, syn_mul(grad, syn_mul_scalar(x, 2)))
BACKWARD(sin, syn_mul(grad, syn_cos(x)))
BACKWARD(cos, syn_neg(syn_mul(grad, syn_sin(x))))
BACKWARD(erf, syn_mul(grad, syn_mul_scalar(syn_exp(syn_neg(syn_square(x))), 1.1283791670955126)))
BACKWARD(tanh, syn_call2(&syn_op_tanh_backward, grad, y))
BACKWARD(sigmoid, syn_call2(&syn_op_sigmoid_backward, grad, y))
BACKWARD(relu, syn_call2(&syn_op_relu_backward, grad, y))
BACKWARD(silu, syn_call2(&syn_op_silu_backward, grad, x))
BACKWARD(softplus, syn_call2(&syn_op_softplus_backward, grad, x))

UNARY(neg, "Minus each element.", ON_NUMBERS, 0, "(2,3)", "()", "(0,3)")
UNARY(abs, "Absolute values.", ON_NUMBERS, INPUT, "(2,3)")
UNARY(sign, "-1, 0 or 1 by the sign.", ON_NUMBERS, 0, "(2,3)")
UNARY(square, "Squares.", ON_NUMBERS, INPUT, "(2,3)")
UNARY(exp, "e to the power of each element.", ON_FLOATS, OUTPUT, "(2,3)", "()")
UNARY(log, "Natural logarithms.", ON_FLOATS, INPUT, "(2,3)+")
UNARY(sqrt, "Square roots.", ON_FLOATS, OUTPUT, "(2,3)+")
UNARY(rsqrt, "Reciprocals of square roots.", ON_FLOATS, OUTPUT, "(2,3)+")
UNARY(reciprocal, "Reciprocals.", ON_FLOATS, OUTPUT, "(2,3)+")
UNARY(sin, "Sines.", ON_FLOATS, INPUT, "(2,3)")
UNARY(cos, "Cosines.", ON_FLOATS, INPUT, "(2,3)")
UNARY(erf, "The error function.", ON_FLOATS, INPUT, "(2,3)")
UNARY(tanh, "Hyperbolic tangents.", ON_FLOATS, OUTPUT, "(2,3)")
UNARY(sigmoid, "1 / (1 + exp(-x)).", ON_FLOATS, OUTPUT, "(2,3)")
UNARY(relu, "max(x, 0).", ON_NUMBERS, OUTPUT, "(2,3)")
UNARY(silu, "x * sigmoid(x).", ON_FLOATS, INPUT, "(2,3)")
UNARY(softplus, "log(1 + exp(x)), and x itself above 20.", ON_FLOATS, INPUT, "(2,3)")

/* ---- Their backward steps in one pass: (grad, what was saved) -> grad_x ---- */

#define FUSED(op_name, text, saved_name)                                                       \
    static syn_status op_name##_forward(syn_op_call *call)                                     \
    {                                                                                          \
        return syn_run_map(call, syn_kernels->elementwise->op_name, NULL);                     \
    }                                                                                          \
    static void op_name##_backward(syn_backward_call *call)                                    \
    {                                                                                          \
        syn_tensor *grad = call->inputs[0], *saved = call->inputs[1];                          \
        if (call->needs_grad[0])                                                               \
            call->grad_inputs[0] = syn_call2(&syn_op_##op_name, call->grad_outputs[0], saved); \
        if (call->needs_grad[1])                                                               \
            call->grad_inputs[1] = op_name##_curvature(call->grad_outputs[0], grad, saved);    \
    }                                                                                          \
    const syn_op syn_op_##op_name = {                                                          \
        .name = #op_name,                                                                      \
        .doc = text,                                                                           \
        SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR(saved_name)),                           \
        .flags = SYN_OP_INTERNAL,                                                              \
        .dtypes = SYN_DTYPES_FLOAT,                                                            \
        .saves = SYN_SAVE_INPUTS,                                                              \
        .infer = syn_infer_broadcast,                                                          \
        .forward = op_name##_forward,                                                          \
        .backward = op_name##_backward,                                                        \
        SYN_SAMPLES("(2,3), (2,3)"),                                                           \
    };

static syn_tensor *tanh_backward_curvature(syn_tensor *outer, syn_tensor *grad, syn_tensor *y)
{
    return syn_mul(syn_mul(outer, grad), syn_mul_scalar(y, -2));
}

static syn_tensor *sigmoid_backward_curvature(syn_tensor *outer, syn_tensor *grad, syn_tensor *y)
{
    return syn_mul(syn_mul(outer, grad), syn_add_scalar(syn_mul_scalar(y, -2), 1));
}

static syn_tensor *relu_backward_curvature(syn_tensor *outer, syn_tensor *grad, syn_tensor *y)
{
    (void)outer, (void)grad, (void)y;
    return NULL;
}

/* s (1 - s) (2 + x (1 - 2 s)) for s = sigmoid(x) */
static syn_tensor *silu_backward_curvature(syn_tensor *outer, syn_tensor *grad, syn_tensor *x)
{
    syn_tensor *s = syn_sigmoid(x), *slope = syn_add_scalar(syn_mul_scalar(s, -2), 1);
    syn_tensor *factor = syn_add_scalar(syn_mul(x, slope), 2);
    return syn_mul(syn_call2(&syn_op_sigmoid_backward, syn_mul(outer, grad), s), factor);
}

static syn_tensor *softplus_backward_curvature(syn_tensor *outer, syn_tensor *grad, syn_tensor *x)
{
    syn_tensor *slope = syn_call2(&syn_op_sigmoid_backward, syn_mul(outer, grad), syn_sigmoid(x));
    return syn_where(syn_gt(x, syn_number_for(x, 20)), syn_number_for(x, 0), slope);
}

FUSED(tanh_backward, "grad_output * (1 - output^2).", "output")
FUSED(sigmoid_backward, "grad_output * output * (1 - output).", "output")
FUSED(relu_backward, "grad_output where output is positive, else 0.", "output")
FUSED(silu_backward, "grad_output times the derivative of silu.", "input")
FUSED(softplus_backward, "grad_output times the derivative of softplus.", "input")
