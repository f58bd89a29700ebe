/* Element-wise operators on the C library's functions, of one and two tensors. */
#include "worker/kernels/maths.h"
#include "worker/ops/op_internal.h"

#define BLOCK(op_name, text, arguments, dtype_set, rule, saved, infers, ...) \
    static syn_status op_name##_forward(syn_op_call *call)                   \
    {                                                                        \
        return syn_run_map(call, syn_maths.op_name, NULL);                   \
    }                                                                        \
    const syn_op syn_op_##op_name = {                                        \
        .name = #op_name,                                                    \
        .doc = text,                                                         \
        arguments,                                                           \
        .dtypes = dtype_set,                                                 \
        .promotion = rule,                                                   \
        .saves = saved,                                                      \
        .infer = infers,                                                     \
        .forward = op_name##_forward,                                        \
        .backward = op_name##_backward,                                      \
        SYN_SAMPLES(__VA_ARGS__),                                            \
    };
#define ONE SYN_ARGS(SYN_TENSOR("input"))
#define TWO SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"))

/* grad_x as an expression of x (the input), y (the output) and grad. */
#define UNARY(op_name, text, saved, expression, ...)                                           \
    static void op_name##_backward(syn_backward_call *call)                                    \
    {                                                                                          \
        syn_tensor *x = call->inputs[0], *y = call->outputs[0], *grad = call->grad_outputs[0]; \
        (void)x, (void)y, (void)grad;                                                          \
        call->grad_inputs[0] = expression;                                                     \
    }                                                                                          \
    BLOCK(op_name, text, ONE, SYN_DTYPES_FLOAT, SYN_PROMOTE_FLOAT, saved, syn_infer_like,      \
          __VA_ARGS__)
#define X SYN_SAVE_INPUT(0)
#define Y SYN_SAVE_OUTPUT(0)

static const double ln_2 = 0.69314718055994530942, ln_10 = 2.30258509299404568402;

/* x^2 + c and c - x^2 */
static syn_tensor *square_plus(syn_tensor *x, double c)
{
    return syn_add_scalar(syn_square(x), c);
}

static syn_tensor *minus_square(double c, syn_tensor *x)
{
    return syn_add_scalar(syn_neg(syn_square(x)), c);
}

UNARY(exp2, "2 to the power of the element.", Y, syn_mul(grad, syn_mul_scalar(y, ln_2)), "(2,3)")
UNARY(expm1, "exp(x) - 1, exact near 0.", Y, syn_mul(grad, syn_add_scalar(y, 1)), "(2,3)")
UNARY(log2, "The logarithm to base 2.", X, syn_div(grad, syn_mul_scalar(x, ln_2)), "(2,3)+")
UNARY(log10, "The logarithm to base 10.", X, syn_div(grad, syn_mul_scalar(x, ln_10)), "(2,3)+")
UNARY(log1p, "log(1 + x), exact near 0.", X, syn_div(grad, syn_add_scalar(x, 1)), "(2,3)+")
UNARY(tan, "The tangent.", Y, syn_mul(grad, square_plus(y, 1)), "(2,3)~")
UNARY(sinh, "The hyperbolic sine.", X, syn_mul(grad, syn_call1(&syn_op_cosh, x)), "(2,3)")
UNARY(cosh, "The hyperbolic cosine.", X, syn_mul(grad, syn_call1(&syn_op_sinh, x)), "(2,3)")
UNARY(asin, "The arc sine.", X, syn_mul(grad, syn_rsqrt(minus_square(1, x))), "(2,3)~")
UNARY(acos, "The arc cosine.", X, syn_neg(syn_mul(grad, syn_rsqrt(minus_square(1, x)))), "(2,3)~")
UNARY(atan, "The arc tangent.", X, syn_div(grad, square_plus(x, 1)), "(2,3)")
UNARY(asinh, "The inverse hyperbolic sine.", X, syn_mul(grad, syn_rsqrt(square_plus(x, 1))),
      "(2,3)")
UNARY(acosh, "The inverse hyperbolic cosine.", X, syn_mul(grad, syn_rsqrt(square_plus(x, -1))),
      "(2,3)>")
UNARY(atanh, "The inverse hyperbolic tangent.", X, syn_div(grad, minus_square(1, x)), "(2,3)~")
UNARY(erfc, "1 - erf(x).", X,
      syn_mul(grad, syn_mul_scalar(syn_exp(syn_neg(syn_square(x))), -1.1283791670955126)), "(2,3)")

/* ---- Rounding ---- */

#define ROUNDING(op_name, text)                                                             \
    static void op_name##_backward(syn_backward_call *call)                                 \
    {                                                                                       \
        (void)call; /* constant between the steps */                                        \
    }                                                                                       \
    BLOCK(op_name, text, ONE, SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT, SYN_PROMOTE_COMMON, 0, \
          syn_infer_like, "(2,3)d")
ROUNDING(floor, "The greatest whole number not above the element.")
ROUNDING(ceil, "The least whole number not below the element.")
ROUNDING(trunc, "The whole part, towards 0.")
ROUNDING(round, "The nearest whole number; halves to even.")

/* ---- Two tensors ---- */

/* The gradients as expressions of a, b (the inputs), y (the output) and grad. */
#define GRADIENTS(op_name, by_first, by_second)                                               \
    static void op_name##_backward(syn_backward_call *call)                                   \
    {                                                                                         \
        syn_tensor *a = call->inputs[0], *b = call->inputs[1], *grad = call->grad_outputs[0]; \
        syn_tensor *y = call->outputs[0];                                                     \
        (void)a, (void)b, (void)y, (void)grad;                                                \
        if (call->needs_grad[0])                                                              \
            call->grad_inputs[0] = by_first;                                                  \
        if (call->needs_grad[1])                                                              \
            call->grad_inputs[1] = by_second;                                                 \
    }
#define FLOAT_BINARY(op_name, text, by_first, by_second, ...)      \
    GRADIENTS(op_name, by_first, by_second)                        \
    BLOCK(op_name, text, TWO, SYN_DTYPES_FLOAT, SYN_PROMOTE_FLOAT, \
          SYN_SAVE_INPUTS | SYN_SAVE_OUTPUT(0), syn_infer_broadcast, __VA_ARGS__)

static syn_tensor *zero_like(const syn_tensor *x)
{
    return syn_number_for(x, 0);
}

/* grad where the condition holds, else 0 */
static syn_tensor *only_where(syn_tensor *condition, syn_tensor *grad)
{
    return syn_where(condition, grad, zero_like(grad));
}

static syn_tensor *sum_of_squares(syn_tensor *a, syn_tensor *b)
{
    return syn_add(syn_square(a), syn_square(b));
}

static syn_tensor *is_nan(syn_tensor *x)
{
    return syn_ne(x, x);
}

/* Of fmax and fmin: the one that is not NaN; the first where both are equal or NaN. */
static syn_tensor *takes_first(syn_tensor *is_better, syn_tensor *b)
{
    return syn_call2(&syn_op_bitwise_or, is_better, is_nan(b));
}

static syn_tensor *takes_second(syn_tensor *is_better, syn_tensor *b)
{
    syn_tensor *first = takes_first(is_better, b);
    return first ? syn_eq(first, syn_number(0, SYN_BOOL)) : NULL;
}

/* d copysign(a, b) / d a = 1 where the sign stays, -1 where it turns, 0 at 0. */
static syn_tensor *copysign_slope(syn_tensor *a, syn_tensor *y)
{
    return only_where(syn_ne(a, zero_like(a)), syn_div(y, a));
}

FLOAT_BINARY(atan2, "The angle of the point (other, input).",
             syn_mul(grad, syn_div(b, sum_of_squares(a, b))),
             syn_mul(grad, syn_neg(syn_div(a, sum_of_squares(a, b)))), "(2,3)+, (2,3)",
             "(2,1)+, (3)+")
FLOAT_BINARY(copysign, "The magnitude of input with the sign of other.",
             syn_mul(grad, copysign_slope(a, y)), NULL, "(2,3), (2,3)", "(2,3), (3)")
FLOAT_BINARY(hypot, "The root of the sum of squares.", syn_mul(grad, syn_div(a, y)),
             syn_mul(grad, syn_div(b, y)), "(2,3)+, (2,3)", "(2,1), (3)+")
FLOAT_BINARY(logaddexp, "log(exp(input) + exp(other)).", syn_mul(grad, syn_exp(syn_sub(a, y))),
             syn_mul(grad, syn_exp(syn_sub(b, y))), "(2,3), (2,3)", "(2,1), (3)")
FLOAT_BINARY(xlogy, "input * log(other), 0 where input is 0.",
             syn_mul(grad, only_where(syn_ne(a, zero_like(a)), syn_log(b))),
             syn_mul(grad, syn_div(a, b)), "(2,3), (2,3)+", "(2,1), (3)+")
FLOAT_BINARY(fmax, "The greater element; the other one where one is NaN.",
             only_where(takes_first(syn_ge(a, b), b), grad),
             only_where(takes_second(syn_ge(a, b), b), grad), "(2,3), (2,3)", "(2,3), (3)")
FLOAT_BINARY(fmin, "The lesser element; the other one where one is NaN.",
             only_where(takes_first(syn_le(a, b), b), grad),
             only_where(takes_second(syn_le(a, b), b), grad), "(2,3), (2,3)", "(2,3), (3)")

/* ---- Division with remainder ---- */

/* Integers cannot be divided by 0; floats can. */
static syn_status run_division(syn_op_call *call, const syn_map_fn *kernels)
{
    const syn_tensor *divisor = call->inputs[1];
    if (!syn_is_floating(divisor)) {
        syn_tensor *zeros = syn_eq(call->inputs[1], syn_number(0, (syn_dtype)divisor->dtype));
        syn_tensor *n = syn_sum(zeros);
        if (!n)
            return syn_error_status();
        if (syn_item(n) > 0)
            return SYN_OP_FAIL(call, "an integer is divided by 0");
    }
    return syn_run_map(call, kernels, NULL);
}

#define DIVISION(op_name, text, by_first, by_second)                                \
    GRADIENTS(op_name, by_first, by_second)                                         \
    static syn_status op_name##_forward(syn_op_call *call)                          \
    {                                                                               \
        return run_division(call, syn_maths.op_name);                               \
    }                                                                               \
    const syn_op syn_op_##op_name = {                                               \
        .name = #op_name,                                                           \
        .doc = text,                                                                \
        TWO,                                                                        \
        .dtypes = SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT,                            \
        .promotion = SYN_PROMOTE_COMMON,                                            \
        .saves = SYN_SAVE_INPUTS,                                                   \
        .infer = syn_infer_broadcast,                                               \
        .forward = op_name##_forward,                                               \
        .backward = op_name##_backward,                                             \
        SYN_SAMPLES("(2,3)d, (2,3)+", "(2,3)d, (3)+", "(2,3)i9, 4", "(2,3)d, 0.7"), \
    };
DIVISION(fmod, "What division towards 0 leaves; the sign of input.", grad,
         syn_neg(syn_mul(grad, syn_call2(&syn_op_trunc_divide, a, b))))
DIVISION(remainder, "What division downwards leaves; the sign of other.", grad,
         syn_neg(syn_mul(grad, syn_call2(&syn_op_floor_divide, a, b))))
DIVISION(floor_divide, "The quotient, rounded down.", NULL, NULL)
DIVISION(trunc_divide, "The quotient, rounded towards 0.", NULL, NULL)

/* ---- Bits ---- */

#define BITS(op_name, kernel, dtype_set, text, ...)        \
    static syn_status op_name##_forward(syn_op_call *call) \
    {                                                      \
        return syn_run_map(call, syn_maths.kernel, NULL);  \
    }                                                      \
    const syn_op syn_op_##op_name = {                      \
        .name = #op_name,                                  \
        .doc = text,                                       \
        TWO,                                               \
        .flags = SYN_OP_NO_GRAD,                           \
        .dtypes = dtype_set,                               \
        .promotion = SYN_PROMOTE_COMMON,                   \
        .infer = syn_infer_broadcast,                      \
        .forward = op_name##_forward,                      \
        SYN_SAMPLES(__VA_ARGS__),                          \
    };
#define BITS_AND_BOOL SYN_DTYPES_INTEGER | SYN_DTYPES_BOOL
BITS(bitwise_and, bitwise_and, BITS_AND_BOOL, "Bits set in both; logical and of bool.",
     "(2,3)i9, (2,3)i9", "(2,3)b, (3)b")
BITS(bitwise_or, bitwise_or, BITS_AND_BOOL, "Bits set in either; logical or of bool.",
     "(2,3)i9, (3)i9", "(2,3)b, (3)b")
BITS(bitwise_xor, bitwise_xor, BITS_AND_BOOL, "Bits set in one only.", "(2,3)i9, (3)i9",
     "(2,3)b, (3)b")
BITS(bitwise_left_shift, shift_left, SYN_DTYPES_INTEGER, "Bits moved up by other.",
     "(2,3)i9, (3)i9", "(2,3)i9, 70")
BITS(bitwise_right_shift, shift_right, SYN_DTYPES_INTEGER,
     "Bits moved down by other, copies of the sign above.", "(2,3)i99, (3)i9", "(2,3)i99, 70")
BITS(gcd, gcd, SYN_DTYPES_INTEGER, "The greatest common divisor.", "(2,3)i99, (3)i9")
