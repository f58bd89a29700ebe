/* Element-wise operators of two tensors. */
#include "worker/ops/op_internal.h"

#include <math.h>
#include <string.h>

#define BINARY_FORWARD(name)                                            \
    static syn_status name##_forward(syn_op_call *call)                 \
    {                                                                   \
        return syn_run_map(call, syn_kernels->elementwise->name, NULL); \
    }
BINARY_FORWARD(mul)
BINARY_FORWARD(pow)
BINARY_FORWARD(maximum)
BINARY_FORWARD(minimum)

#define TWO_TENSORS SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"))
#define WITH_ALPHA                                     \
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"), \
             SYN_ARG_OR("alpha", NUMBER, SYN_FALLBACK_INT(1)))
#define BROADCAST_SAMPLES "(2,3), (2,3)", "(2,3), (3)", "(2,1), (1,3)", "(), (4)", "(0,3), (3)"

/* ---- Sums ---- */

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

const syn_op syn_op_add = {
    .name = "add",
    .doc = "Adds element by element: input + alpha * other.",
    WITH_ALPHA,
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .infer = syn_infer_broadcast,
    .forward = add_forward,
    .backward = add_backward,
    SYN_SAMPLES(BROADCAST_SAMPLES, "(2,3), (3), alpha=2"),
};

syn_tensor *syn_add(syn_tensor *a, syn_tensor *b)
{
    return syn_call(&syn_op_add, (syn_tensor *[]){a, b}, 2, &SYN_INT_OF(1), 1);
}

static syn_status sub_forward(syn_op_call *call)
{
    double alpha = -syn_value_number(&call->attrs[0]);
    if (alpha == -1)
        return syn_run_map(call, syn_kernels->elementwise->sub, NULL);
    return syn_run_map(call, syn_kernels->elementwise->add_scaled, &alpha);
}

static void sub_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0];
    double alpha = syn_value_number(&call->attrs[0]);
    if (call->needs_grad[0])
        call->grad_inputs[0] = grad;
    if (call->needs_grad[1])
        call->grad_inputs[1] = alpha == 1 ? syn_neg(grad) : syn_mul_scalar(grad, -alpha);
}

const syn_op syn_op_sub = {
    .name = "sub",
    .doc = "Subtracts element by element: input - alpha * other.",
    WITH_ALPHA,
    .dtypes = SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT,
    .promotion = SYN_PROMOTE_COMMON,
    .infer = syn_infer_broadcast,
    .forward = sub_forward,
    .backward = sub_backward,
    SYN_SAMPLES(BROADCAST_SAMPLES, "(2,3), (3), alpha=0.5"),
};

syn_tensor *syn_sub(syn_tensor *a, syn_tensor *b)
{
    return syn_call(&syn_op_sub, (syn_tensor *[]){a, b}, 2, &SYN_INT_OF(1), 1);
}

/* ---- Products ---- */

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
    TWO_TENSORS,
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS,
    .infer = syn_infer_broadcast,
    .forward = mul_forward,
    .backward = mul_backward,
    SYN_SAMPLES(BROADCAST_SAMPLES),
};

syn_tensor *syn_mul(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_mul, a, b);
}

static syn_status div_forward(syn_op_call *call)
{
    return syn_run_map(call, syn_kernels->elementwise->div, NULL);
}

static void div_backward(syn_backward_call *call)
{
    syn_tensor *b = call->inputs[1], *quotient = syn_div(call->grad_outputs[0], b);
    if (call->needs_grad[0])
        call->grad_inputs[0] = quotient;
    if (call->needs_grad[1])
        call->grad_inputs[1] = syn_neg(syn_mul(quotient, syn_div(call->inputs[0], b)));
}

const syn_op syn_op_true_divide = {
    .name = "true_divide",
    .doc = "Divides element by element; integers give floats.",
    TWO_TENSORS,
    .dtypes = SYN_DTYPES_FLOAT,
    .promotion = SYN_PROMOTE_FLOAT,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS_0,
    .infer = syn_infer_broadcast,
    .forward = div_forward,
    .backward = div_backward,
    SYN_SAMPLES("(2,3), (2,3)+", "(2,3), (3)+", "(2,1), (1,3)+", "(), (4)+"),
};

syn_tensor *syn_div(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_true_divide, a, b);
}

static void div_compose(syn_op_call *call)
{
    const char *mode = call->attrs[0].kind == SYN_VALUE_NONE ? "" : call->attrs[0].string;
    const syn_op *op = strcmp(mode, "floor") == 0   ? &syn_op_floor_divide
                       : strcmp(mode, "trunc") == 0 ? &syn_op_trunc_divide
                       : *mode                      ? NULL
                                                    : &syn_op_true_divide;
    call->outputs[0] =
        op ? syn_call2(op, call->inputs[0], call->inputs[1])
           : syn_stick(SYN_OP_FAIL(call, "rounding mode \"%s\"; floor or trunc is possible", mode));
}

const syn_op syn_op_div = {
    .name = "div",
    .doc = "Divides element by element; rounded down or towards 0 where rounding_mode says so.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"),
             SYN_ARG_OR("rounding_mode", STRING, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_REAL,
    .compose = div_compose,
    SYN_SAMPLES("(2,3), (2,3)+", "(2,3)d, (3)+, rounding_mode='floor'",
                "(2,3)d, (3)+, rounding_mode='trunc'"),
};

/* ---- Powers ---- */

/* d a^b / d a = b a^(b-1), and 0 for b = 0 also where a is 0. */
static syn_tensor *pow_grad_base(syn_tensor *grad, syn_tensor *a, syn_tensor *b)
{
    if (b->is_number) {
        double exponent = syn_item(b);
        if (exponent == 0)
            return NULL;
        return syn_mul(grad, syn_mul_scalar(syn_pow_scalar(a, exponent - 1), exponent));
    }
    syn_tensor *slope = syn_mul(b, syn_pow(a, syn_add_scalar(b, -1)));
    syn_tensor *zero = syn_number(0, (syn_dtype)a->dtype);
    return syn_mul(grad, syn_where(syn_eq(b, zero), zero, slope));
}

/* d a^b / d b = a^b log a, and 0 where a is 0 and b is not negative. */
static syn_tensor *pow_grad_exponent(const syn_backward_call *call)
{
    syn_tensor *a = call->inputs[0], *b = call->inputs[1];
    syn_tensor *zero = syn_number(0, (syn_dtype)a->dtype);
    syn_tensor *is_zero = syn_mul(syn_eq(a, zero), syn_ge(b, zero));
    syn_tensor *slope = syn_where(is_zero, zero, syn_mul(call->outputs[0], syn_log(a)));
    return syn_mul(call->grad_outputs[0], slope);
}

static void pow_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            pow_grad_base(call->grad_outputs[0], call->inputs[0], call->inputs[1]);
    if (call->needs_grad[1])
        call->grad_inputs[1] = pow_grad_exponent(call);
}

const syn_op syn_op_pow = {
    .name = "pow",
    .doc = "Raises to powers element by element.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("exponent")),
    .dtypes = SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_OUTPUT(0),
    .infer = syn_infer_broadcast,
    .forward = pow_forward,
    .backward = pow_backward,
    SYN_SAMPLES("(2,3)+, (2,3)", "(2,3)+, (3)", "(2,3), 2", "(2,3), 3", "(2,3)+, 0.5", "(2,3)+, -1",
                "(2,3), 0"),
};

syn_tensor *syn_pow(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_pow, a, b);
}

/* ---- Extremes ---- */

/* Where both are equal each takes half, as in PyTorch. */
static syn_tensor *extreme_grad(syn_tensor *grad, syn_tensor *wins, syn_tensor *ties)
{
    syn_tensor *zero = syn_number(0, syn_tensor_dtype(grad));
    return syn_where(ties, syn_mul_scalar(grad, 0.5), syn_where(wins, grad, zero));
}

static void extreme_backward(syn_backward_call *call,
                             syn_tensor *(*is_better)(syn_tensor *, syn_tensor *))
{
    syn_tensor *a = call->inputs[0], *b = call->inputs[1], *ties = syn_eq(a, b);
    if (call->needs_grad[0])
        call->grad_inputs[0] = extreme_grad(call->grad_outputs[0], is_better(a, b), ties);
    if (call->needs_grad[1])
        call->grad_inputs[1] = extreme_grad(call->grad_outputs[0], is_better(b, a), ties);
}

static void maximum_backward(syn_backward_call *call)
{
    extreme_backward(call, syn_gt);
}

static void minimum_backward(syn_backward_call *call)
{
    extreme_backward(call, syn_lt);
}

const syn_op syn_op_maximum = {
    .name = "maximum",
    .doc = "The greater of two elements; NaN if either is.",
    TWO_TENSORS,
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUTS,
    .infer = syn_infer_broadcast,
    .forward = maximum_forward,
    .backward = maximum_backward,
    SYN_SAMPLES(BROADCAST_SAMPLES),
};

syn_tensor *syn_maximum(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_maximum, a, b);
}

const syn_op syn_op_minimum = {
    .name = "minimum",
    .doc = "The lesser of two elements; NaN if either is.",
    TWO_TENSORS,
    .dtypes = SYN_DTYPES_REAL,
    .promotion = SYN_PROMOTE_COMMON,
    .saves = SYN_SAVE_INPUTS,
    .infer = syn_infer_broadcast,
    .forward = minimum_forward,
    .backward = minimum_backward,
    SYN_SAMPLES(BROADCAST_SAMPLES),
};

syn_tensor *syn_minimum(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_minimum, a, b);
}

/* ---- With a number ---- */

syn_tensor *syn_number_for(const syn_tensor *x, double value)
{
    if (!x)
        return NULL;
    if (syn_is_floating(x))
        return syn_number(value, (syn_dtype)x->dtype);
    return syn_number(value, value == floor(value) ? SYN_I64 : SYN_F32);
}

syn_tensor *syn_add_scalar(syn_tensor *a, double b)
{
    return syn_add(a, syn_number_for(a, b));
}

syn_tensor *syn_mul_scalar(syn_tensor *a, double b)
{
    return syn_mul(a, syn_number_for(a, b));
}

syn_tensor *syn_pow_scalar(syn_tensor *a, double b)
{
    return syn_pow(a, syn_number_for(a, b));
}
