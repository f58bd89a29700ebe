/* Python's operators under their names, and other names of operators. */
#include "worker/ops/compose.h"

#define TWO SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other"))

#define BETWEEN(op_name, target, first, second, text, ...)                                         \
    static void op_name##_compose(syn_op_call *call)                                               \
    {                                                                                              \
        call->outputs[0] = syn_call2(&syn_op_##target, call->inputs[first], call->inputs[second]); \
    }                                                                                              \
    const syn_op syn_op_##op_name = {                                                              \
        .name = #op_name,                                                                          \
        .doc = text,                                                                               \
        TWO,                                                                                       \
        .dtypes = SYN_DTYPES_REAL,                                                                 \
        .compose = op_name##_compose,                                                              \
        SYN_SAMPLES(__VA_ARGS__),                                                                  \
    };
BETWEEN(__pow__, pow, 0, 1, "input ** other", "(2,3)+, (2,3)")
BETWEEN(__rpow__, pow, 1, 0, "other ** input", "(2,3), 1.5")
BETWEEN(__rsub__, sub, 1, 0, "other - input", "(2,3), 2")
BETWEEN(rsub, sub, 1, 0, "other - input", "(2,3), (2,3)")
BETWEEN(__radd__, add, 1, 0, "other + input", "(2,3), 2")
BETWEEN(__rmul__, mul, 1, 0, "other * input", "(2,3), 2")
BETWEEN(__rtruediv__, true_divide, 1, 0, "other / input", "(2,3)+, 2")
BETWEEN(__rdiv__, true_divide, 1, 0, "other / input", "(2,3)+, 2")
BETWEEN(__mod__, remainder, 0, 1, "input % other", "(2,3)d, (2,3)+")
BETWEEN(__rmod__, remainder, 1, 0, "other % input", "(2,3)+, (2,3)d")
BETWEEN(__floordiv__, floor_divide, 0, 1, "input // other", "(2,3)d, (2,3)+")
BETWEEN(__rmatmul__, matmul, 1, 0, "other @ input", "(2,3), (4,2)")
BETWEEN(__and__, bitwise_and, 0, 1, "input & other", "(2,3)b, (2,3)b")
BETWEEN(__or__, bitwise_or, 0, 1, "input | other", "(2,3)b, (2,3)b")
BETWEEN(__xor__, bitwise_xor, 0, 1, "input ^ other", "(2,3)b, (2,3)b")
BETWEEN(__rand__, bitwise_and, 1, 0, "other & input", "(2,3)b, (2,3)b")
BETWEEN(__ror__, bitwise_or, 1, 0, "other | input", "(2,3)b, (2,3)b")
BETWEEN(__rxor__, bitwise_xor, 1, 0, "other ^ input", "(2,3)b, (2,3)b")
BETWEEN(__lshift__, bitwise_left_shift, 0, 1, "input << other", "(2,3)i9, 2")
BETWEEN(__rshift__, bitwise_right_shift, 0, 1, "input >> other", "(2,3)i9, 2")

static void invert_compose(syn_op_call *call)
{
    call->outputs[0] = syn_call1(&syn_op_bitwise_not, call->inputs[0]);
}

const syn_op syn_op___invert__ = {
    .name = "__invert__",
    .doc = "~input",
    SYN_ARGS(SYN_TENSOR("input")),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_BOOL | SYN_DTYPES_INTEGER,
    .compose = invert_compose,
    SYN_SAMPLES("(2,3)b", "(2,3)i9"),
};

static void clip_compose(syn_op_call *call)
{
    call->outputs[0] = syn_call(&syn_op_clamp, call->inputs, 1, call->attrs, 2);
}

const syn_op syn_op_clip = {
    .name = "clip",
    .doc = "clamp.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("min", NUMBER, SYN_FALLBACK_NONE),
             SYN_ARG_OR("max", NUMBER, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT,
    .compose = clip_compose,
    SYN_SAMPLES("(2,3), -0.5, 0.5"),
};

/* Logical operators look at whether elements are not 0. */
#define LOGICAL(op_name, target, text)                                                    \
    static void op_name##_compose(syn_op_call *call)                                      \
    {                                                                                     \
        call->outputs[0] = syn_call2(&syn_op_##target, syn_to(call->inputs[0], SYN_BOOL), \
                                     syn_to(call->inputs[1], SYN_BOOL));                  \
    }                                                                                     \
    const syn_op syn_op_##op_name = {                                                     \
        .name = #op_name,                                                                 \
        .doc = text,                                                                      \
        TWO,                                                                              \
        .flags = SYN_OP_NO_GRAD,                                                          \
        .dtypes = SYN_DTYPES_REAL,                                                        \
        .compose = op_name##_compose,                                                     \
        SYN_SAMPLES("(2,3)b, (3)b", "(2,3), (2,3)i2"),                                    \
    };
LOGICAL(logical_and, bitwise_and, "Whether both are not 0.")
LOGICAL(logical_or, bitwise_or, "Whether one is not 0.")
LOGICAL(logical_xor, bitwise_xor, "Whether exactly one is not 0.")
