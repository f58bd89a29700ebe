/* Activations and other functions of one tensor, composed; bends are where PyTorch has them. */
#include "worker/ops/compose.h"

#include <math.h>

#define NUMBER(i) syn_value_number(&call->attrs[i])

static syn_tensor *above(syn_tensor *x, double bound)
{
    return syn_gt(x, syn_number_for(x, bound));
}

static syn_tensor *below(syn_tensor *x, double bound)
{
    return syn_lt(x, syn_number_for(x, bound));
}

/* value where the condition holds, else y */
static syn_tensor *put_where(syn_tensor *condition, double value, syn_tensor *y)
{
    return syn_where(condition, syn_number_for(y, value), y);
}

/* low at or below `low`, high at or above `high`, between them y; bounds belong to the constants.
 */
static syn_tensor *between(syn_tensor *x, double low, double high, syn_tensor *y,
                           const double *ends)
{
    y = put_where(syn_le(x, syn_number_for(x, low)), ends[0], y);
    return put_where(syn_ge(x, syn_number_for(x, high)), ends[1], y);
}

/* scale * (x where positive, else alpha * (exp(x * steepness) - 1)) */
static syn_tensor *exponential(syn_tensor *x, double alpha, double scale, double steepness)
{
    syn_tensor *negative = syn_mul_scalar(syn_clamp(x, -INFINITY, 0), steepness);
    syn_tensor *low = syn_mul_scalar(syn_call1(&syn_op_expm1, negative), alpha * scale);
    return syn_where(above(x, 0), scale == 1 ? x : syn_mul_scalar(x, scale), low);
}

#define FUNCTION(op_name, text, arguments, expression, ...) \
    static void op_name##_compose(syn_op_call *call)        \
    {                                                       \
        syn_tensor *x = call->inputs[0];                    \
        call->outputs[0] = expression;                      \
    }                                                       \
    const syn_op syn_op_##op_name = {                       \
        .name = #op_name,                                   \
        .doc = text,                                        \
        arguments,                                          \
        .dtypes = SYN_DTYPES_FLOAT,                         \
        .compose = op_name##_compose,                       \
        SYN_SAMPLES(__VA_ARGS__),                           \
    };
#define ONE                    SYN_ARGS(SYN_TENSOR("input"))
#define WITH(name, value)      SYN_ARGS(SYN_TENSOR("input"), OPTION(name, value))
#define OPTION(name, value)    SYN_ARG_OR(name, FLOAT, SYN_FALLBACK_FLOAT(value))
#define AND_OPTION(a, x, b, y) SYN_ARGS(SYN_TENSOR("input"), OPTION(a, x), OPTION(b, y))

FUNCTION(elu, "x where positive, else alpha (exp(x) - 1).", WITH("alpha", 1),
         exponential(x, NUMBER(0), 1, 1), "(2,3)", "(2,3), 0.5")
FUNCTION(celu, "x where positive, else alpha (exp(x / alpha) - 1).", WITH("alpha", 1),
         exponential(x, NUMBER(0), 1, 1 / NUMBER(0)), "(2,3)", "(2,3), 0.5")
FUNCTION(selu, "elu scaled so that layers keep mean and variance.", ONE,
         exponential(x, 1.6732632423543772848, 1.0507009873554804934, 1), "(2,3)")
FUNCTION(hardtanh, "x between min_val and max_val, these beyond.",
         AND_OPTION("min_val", -1, "max_val", 1),
         between(x, NUMBER(0), NUMBER(1), x, (double[]){NUMBER(0), NUMBER(1)}), "(2,3)",
         "(2,3), -0.5, 0.7")
FUNCTION(relu6, "x between 0 and 6, these beyond.", ONE, between(x, 0, 6, x, (double[]){0, 6}),
         "(2,3)")
FUNCTION(hardsigmoid, "(x + 3) / 6 between 0 and 1.", ONE,
         between(x, -3, 3, syn_mul_scalar(syn_add_scalar(x, 3), 1.0 / 6), (double[]){0, 1}),
         "(2,3)")
FUNCTION(hardswish, "x hardsigmoid(x).", ONE,
         put_where(below(x, -3), 0,
                   syn_where(above(x, 3), x,
                             syn_mul_scalar(syn_mul(x, syn_add_scalar(x, 3)), 1.0 / 6))),
         "(2,3)")
FUNCTION(mish, "x tanh(softplus(x)).", ONE, syn_mul(x, syn_tanh(syn_softplus(x))), "(2,3)")
FUNCTION(softsign, "x / (1 + |x|).", ONE, syn_div(x, syn_add_scalar(syn_abs(x), 1)), "(2,3)")
FUNCTION(tanhshrink, "x - tanh(x).", ONE, syn_sub(x, syn_tanh(x)), "(2,3)")
FUNCTION(logsigmoid, "log(sigmoid(x)).", ONE,
         syn_sub(syn_clamp(x, -INFINITY, 0),
                 syn_call1(&syn_op_log1p, syn_exp(syn_neg(syn_abs(x))))),
         "(2,3)")
FUNCTION(hardshrink, "x beyond lambd on either side of 0, else 0.", WITH("lambd", 0.5),
         syn_where(syn_le(syn_abs(x), syn_number_for(x, NUMBER(0))), syn_number_for(x, 0), x),
         "(2,3)", "(2,3), 0.1")
FUNCTION(softshrink, "x moved towards 0 by lambd, 0 within it.", WITH("lambd", 0.5),
         syn_where(above(x, NUMBER(0)), syn_add_scalar(x, -NUMBER(0)),
                   syn_where(below(x, -NUMBER(0)), syn_add_scalar(x, NUMBER(0)),
                             syn_mul_scalar(x, 0))),
         "(2,3)", "(2,3), 0.1")
FUNCTION(threshold, "x above the threshold, else the value.",
         SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("threshold", FLOAT), SYN_ARG("value", FLOAT)),
         put_where(syn_le(x, syn_number_for(x, NUMBER(0))), NUMBER(1), x), "(2,3), 0.1, 2")
FUNCTION(deg2rad, "Degrees in radians.", ONE, syn_mul_scalar(x, M_PI / 180), "(2,3)")
FUNCTION(rad2deg, "Radians in degrees.", ONE, syn_mul_scalar(x, 180 / M_PI), "(2,3)")
FUNCTION(frac, "What is behind the point, with x's sign.", ONE,
         syn_sub(x, syn_call1(&syn_op_trunc, x)), "(2,3)d")
FUNCTION(logit, "log(x / (1 - x)), x brought within [eps, 1 - eps] first.",
         SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("eps", FLOAT, SYN_FALLBACK_NONE)),
         syn_log(syn_div(call->attrs[0].kind ? syn_clamp(x, NUMBER(0), 1 - NUMBER(0)) : x,
                         syn_add_scalar(syn_neg(call->attrs[0].kind
                                                    ? syn_clamp(x, NUMBER(0), 1 - NUMBER(0))
                                                    : x),
                                        1))),
         "(2,3)~", "(2,3)~, 0.1")

/* ---- What elements are ---- */

#define QUESTION(op_name, text, expression, ...)     \
    static void op_name##_compose(syn_op_call *call) \
    {                                                \
        syn_tensor *x = call->inputs[0];             \
        call->outputs[0] = expression;               \
    }                                                \
    const syn_op syn_op_##op_name = {                \
        .name = #op_name,                            \
        .doc = text,                                 \
        ONE,                                         \
        .flags = SYN_OP_NO_GRAD,                     \
        .dtypes = SYN_DTYPES_REAL,                   \
        .compose = op_name##_compose,                \
        SYN_SAMPLES(__VA_ARGS__),                    \
    };

static syn_tensor *magnitude(syn_tensor *x)
{
    return syn_is_floating(x) ? syn_abs(x) : syn_zeros(syn_tensor_shape(x), SYN_F32);
}

static syn_tensor *inverted(syn_tensor *x)
{
    if (x && x->dtype == SYN_BOOL)
        return syn_eq(x, syn_number(0, SYN_BOOL));
    return syn_call2(&syn_op_bitwise_xor, x, syn_number(-1, SYN_I64));
}

/* The sign of -0 is found by what it makes of 1. */
static syn_tensor *has_sign(syn_tensor *x)
{
    if (!syn_is_floating(x))
        return syn_lt(x, syn_number(0, SYN_I64));
    return below(syn_call2(&syn_op_copysign, syn_number_for(x, 1), x), 0);
}

QUESTION(isnan, "Whether elements are NaN.", syn_ne(x, x), "(2,3)")
QUESTION(isinf, "Whether elements are infinite.",
         syn_eq(magnitude(x), syn_number(INFINITY, SYN_F32)), "(2,3)")
QUESTION(isfinite, "Whether elements are neither NaN nor infinite.",
         syn_lt(magnitude(x), syn_number(INFINITY, SYN_F32)), "(2,3)")
QUESTION(signbit, "Whether the sign is negative, of -0 too.", has_sign(x), "(2,3)")
QUESTION(bitwise_not, "All bits turned; logical not of bool.",
         syn_is_floating(x) ? syn_stick(SYN_OP_FAIL(call, "floating numbers have no bits"))
                            : inverted(x),
         "(2,3)b", "(2,3)i9")
QUESTION(logical_not, "Whether elements are 0.", syn_eq(x, syn_number_for(x, 0)), "(2,3)")

/* ---- Two and three tensors ---- */

static void isclose_compose(syn_op_call *call)
{
    syn_tensor *a = call->inputs[0], *b = call->inputs[1];
    if (a->dtype != b->dtype) {
        SYN_COMPOSE_FAIL(call, "dtypes %s and %s differ", syn_dtype_name((syn_dtype)a->dtype),
                         syn_dtype_name((syn_dtype)b->dtype));
        return;
    }
    if (!(NUMBER(0) >= 0 && NUMBER(1) >= 0)) {
        SYN_COMPOSE_FAIL(call, "a tolerance is negative");
        return;
    }
    syn_tensor *close = syn_eq(a, b);
    if (syn_is_floating(a) || NUMBER(0) != 0 || NUMBER(1) != 0) {
        syn_tensor *p = syn_is_floating(a) ? a : syn_to(a, SYN_F64);
        syn_tensor *q = syn_is_floating(b) ? b : syn_to(b, SYN_F64);
        syn_tensor *allowed = syn_add_scalar(syn_mul_scalar(syn_abs(q), NUMBER(0)), NUMBER(1));
        syn_tensor *distance = syn_abs(syn_sub(p, q));
        syn_tensor *is_finite = syn_lt(distance, syn_number(INFINITY, SYN_F32));
        syn_tensor *near = syn_call2(&syn_op_bitwise_and, is_finite, syn_le(distance, allowed));
        close = syn_call2(&syn_op_bitwise_or, close, near);
    }
    if (call->attrs[2].i)
        close = syn_call2(&syn_op_bitwise_or, close,
                          syn_call2(&syn_op_bitwise_and, syn_ne(a, a), syn_ne(b, b)));
    call->outputs[0] = close;
}

const syn_op syn_op_isclose = {
    .name = "isclose",
    .doc = "Whether |input - other| <= atol + rtol |other|.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"), OPTION("rtol", 1e-5), OPTION("atol", 1e-8),
             SYN_ARG_OR("equal_nan", BOOL, SYN_FALLBACK_BOOL(false))),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_REAL,
    .compose = isclose_compose,
    SYN_SAMPLES("(2,3), (2,3)", "(2,3), (3), atol=1", "(2,3), (3), equal_nan=true"),
};

static void lerp_compose(syn_op_call *call)
{
    syn_tensor *a = call->inputs[0], *b = call->inputs[1], *weight = call->inputs[2];
    call->outputs[0] = syn_add(a, syn_mul(weight, syn_sub(b, a)));
}

const syn_op syn_op_lerp = {
    .name = "lerp",
    .doc = "input + weight (end - input).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("end"), SYN_TENSOR("weight")),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = lerp_compose,
    SYN_SAMPLES("(2,3), (2,3), (2,3)", "(2,3), (3), 0.3"),
};
