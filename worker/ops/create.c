/* Operators that make tensors from nothing, and conversions by name. */
#include "worker/ops/compose.h"

#include "worker/kernels/element.h"

#include <math.h>

static syn_dtype dtype_or(const syn_value *value, syn_dtype fallback)
{
    return value->kind == SYN_VALUE_NONE ? fallback : value->dtype;
}

/* What Python's torch makes of a number: bool, i64 or f32. */
static syn_dtype dtype_of_number(const syn_value *value)
{
    return value->kind == SYN_VALUE_BOOL  ? SYN_BOOL
           : value->kind == SYN_VALUE_INT ? SYN_I64
                                          : SYN_F32;
}

static bool size_of(const syn_op_call *call, const syn_value *size, syn_shape *out)
{
    if (size->n > SYN_MAX_DIMS) {
        SYN_COMPOSE_FAIL(call, "%d axes are too many", size->n);
        return false;
    }
    out->ndim = size->n;
    for (int d = 0; d < size->n; d++)
        out->dims[d] = size->ints[d];
    return true;
}

#define DTYPE_OR_NONE SYN_ARG_OR("dtype", DTYPE, SYN_FALLBACK_NONE)

/* name(size, dtype) and name_like(input, dtype), filled with a number. */
#define FILLED(op_name, number, text)                                                       \
    static void op_name##_compose(syn_op_call *call)                                        \
    {                                                                                       \
        syn_shape shape;                                                                    \
        if (size_of(call, &call->attrs[0], &shape))                                         \
            call->outputs[0] = syn_full(shape, number, dtype_or(&call->attrs[1], SYN_F32)); \
    }                                                                                       \
    const syn_op syn_op_##op_name = {                                                       \
        .name = #op_name,                                                                   \
        .doc = text,                                                                        \
        SYN_ARGS(SYN_ARG("size", INTS), DTYPE_OR_NONE),                                     \
        .flags = SYN_OP_NO_GRAD,                                                            \
        .dtypes = SYN_DTYPES_ALL,                                                           \
        .compose = op_name##_compose,                                                       \
        SYN_SAMPLES("[2,3]", "[2], i64"),                                                   \
    };
#define FILLED_LIKE(op_name, number, text)                                \
    static void op_name##_compose(syn_op_call *call)                      \
    {                                                                     \
        const syn_tensor *x = call->inputs[0];                            \
        syn_dtype dtype = dtype_or(&call->attrs[0], (syn_dtype)x->dtype); \
        call->outputs[0] = syn_full(syn_tensor_shape(x), number, dtype);  \
    }                                                                     \
    const syn_op syn_op_##op_name = {                                     \
        .name = #op_name,                                                 \
        .doc = text,                                                      \
        SYN_ARGS(SYN_TENSOR("input"), DTYPE_OR_NONE),                     \
        .flags = SYN_OP_NO_GRAD,                                          \
        .dtypes = SYN_DTYPES_ALL,                                         \
        .compose = op_name##_compose,                                     \
        SYN_SAMPLES("(2,3)", "(2,3), i64"),                               \
    };
FILLED(zeros, 0, "A tensor of zeros.")
FILLED(ones, 1, "A tensor of ones.")
FILLED(empty, 0, "A tensor whose elements are yet to be written.")
FILLED_LIKE(zeros_like, 0, "Zeros of the input's shape and dtype.")
FILLED_LIKE(ones_like, 1, "Ones of the input's shape and dtype.")

static void full_compose(syn_op_call *call)
{
    syn_shape shape;
    const syn_value *value = &call->attrs[1];
    if (size_of(call, &call->attrs[0], &shape))
        call->outputs[0] = syn_full(shape, syn_value_number(value),
                                    dtype_or(&call->attrs[2], dtype_of_number(value)));
}

const syn_op syn_op_full = {
    .name = "full",
    .doc = "A tensor of one number.",
    SYN_ARGS(SYN_ARG("size", INTS), SYN_ARG("fill_value", NUMBER), DTYPE_OR_NONE),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_ALL,
    .compose = full_compose,
    SYN_SAMPLES("[2,3], 1.5", "[2], 3", "[], true"),
};

static void full_like_compose(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    call->outputs[0] = syn_full(syn_tensor_shape(x), syn_value_number(&call->attrs[0]),
                                dtype_or(&call->attrs[1], (syn_dtype)x->dtype));
}

const syn_op syn_op_full_like = {
    .name = "full_like",
    .doc = "One number in the input's shape and dtype.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("fill_value", NUMBER), DTYPE_OR_NONE),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_ALL,
    .compose = full_like_compose,
    SYN_SAMPLES("(2,3), 1.5"),
};

static void eye_compose(syn_op_call *call)
{
    int64_t n = call->attrs[0].i, m = call->attrs[1].kind == SYN_VALUE_NONE ? n : call->attrs[1].i;
    syn_dtype dtype = dtype_or(&call->attrs[2], SYN_F32);
    syn_tensor *y = syn_zeros(SYN_SHAPE(n, m), dtype);
    for (int64_t i = 0; y && i < n && i < m; i++)
        syn_element_set(dtype, (char *)y->data + (size_t)(i * m + i) * syn_dtype_size(dtype), 1);
    call->outputs[0] = y;
}

const syn_op syn_op_eye = {
    .name = "eye",
    .doc = "Ones on the diagonal of an (n, m) matrix.",
    SYN_ARGS(SYN_ARG("n", INT), SYN_ARG_OR("m", INT, SYN_FALLBACK_NONE), DTYPE_OR_NONE),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_ALL,
    .compose = eye_compose,
    SYN_SAMPLES("3", "2, 3", "0"),
};

/* start + i * step for i in [0, n), the last exactly `end` where that is a number. */
static syn_tensor *ramp(double start, double step, double end, int64_t n, syn_dtype dtype)
{
    syn_tensor *y = syn_empty(SYN_SHAPE(n), dtype);
    for (int64_t i = 0; y && i < n; i++) {
        bool is_near_end = !isnan(end) && i >= n / 2;
        double value = is_near_end ? end - step * (double)(n - 1 - i) : start + step * (double)i;
        syn_element_set(dtype, (char *)y->data + (size_t)i * syn_dtype_size(dtype), value);
    }
    return y;
}

static void arange_compose(syn_op_call *call)
{
    bool has_end = call->attrs[1].kind != SYN_VALUE_NONE;
    const syn_value *first = &call->attrs[0], *last = has_end ? &call->attrs[1] : first;
    const syn_value *by = &call->attrs[2];
    double start = has_end ? syn_value_number(first) : 0;
    double end = syn_value_number(last), step = syn_value_number(by);
    bool is_whole = first->kind != SYN_VALUE_FLOAT && last->kind != SYN_VALUE_FLOAT &&
                    by->kind != SYN_VALUE_FLOAT;
    double n = ceil((end - start) / step);
    if (!(n >= 0 && n < 9e15))
        SYN_COMPOSE_FAIL(call, "there is no way from %g to %g by steps of %g", start, end, step);
    else
        call->outputs[0] = ramp(start, step, NAN, (int64_t)n,
                                dtype_or(&call->attrs[3], is_whole ? SYN_I64 : SYN_F32));
}

const syn_op syn_op_arange = {
    .name = "arange",
    .doc = "start, start + step, ... before end; from 0 where only one number is given.",
    SYN_ARGS(SYN_ARG_OR("start", NUMBER, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("end", NUMBER, SYN_FALLBACK_NONE),
             SYN_ARG_OR("step", NUMBER, SYN_FALLBACK_INT(1)), DTYPE_OR_NONE),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_ALL,
    .compose = arange_compose,
    SYN_SAMPLES("5", "1, 6, 2", "0, 1, 0.25", "5, 0, -2"),
};

static void linspace_compose(syn_op_call *call)
{
    double start = syn_value_number(&call->attrs[0]), end = syn_value_number(&call->attrs[1]);
    int64_t n = call->attrs[2].i;
    syn_dtype dtype = dtype_or(&call->attrs[3], SYN_F32);
    if (dtype == SYN_BOOL)
        SYN_COMPOSE_FAIL(call, "bool numbers have no distances");
    else if (n < 0)
        SYN_COMPOSE_FAIL(call, "%lld steps are not possible", (long long)n);
    else if (n == 1)
        call->outputs[0] = ramp(start, 0, NAN, n, dtype);
    else
        call->outputs[0] = ramp(start, (end - start) / (double)(n - 1), end, n, dtype);
}

const syn_op syn_op_linspace = {
    .name = "linspace",
    .doc = "So many numbers at equal distances from start to end, both included.",
    SYN_ARGS(SYN_ARG("start", NUMBER), SYN_ARG("end", NUMBER), SYN_ARG("steps", INT),
             DTYPE_OR_NONE),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_ALL,
    .compose = linspace_compose,
    SYN_SAMPLES("0, 1, 5", "3, -3, 4", "2, 3, 1", "0, 1, 0"),
};

/* ---- Conversions by name ---- */

#define CONVERSION(op_name, dtype_name, text)                         \
    static void op_name##_compose(syn_op_call *call)                  \
    {                                                                 \
        call->outputs[0] = syn_to(call->inputs[0], SYN_##dtype_name); \
    }                                                                 \
    const syn_op syn_op_##op_name = {                                 \
        .name = #op_name + sizeof "to_" - 1,                          \
        .doc = text,                                                  \
        SYN_ARGS(SYN_TENSOR("input")),                                \
        .flags = SYN_OP_NO_GRAD * (SYN_##dtype_name != SYN_F64),      \
        .dtypes = SYN_DTYPES_ALL,                                     \
        .compose = op_name##_compose,                                 \
        SYN_SAMPLES("(2,3)"),                                         \
    };
CONVERSION(to_bool, BOOL, "Whether elements are not 0.")
CONVERSION(to_byte, U8, "Converts to u8.")
CONVERSION(to_char, I8, "Converts to i8.")
CONVERSION(to_short, I16, "Converts to i16.")
CONVERSION(to_int, I32, "Converts to i32.")
CONVERSION(to_long, I64, "Converts to i64.")
CONVERSION(to_half, F16, "Converts to f16.")
CONVERSION(to_bfloat16, BF16, "Converts to bf16.")
CONVERSION(to_float, F32, "Converts to f32.")
CONVERSION(to_double, F64, "Converts to f64.")

static void type_compose(syn_op_call *call)
{
    call->outputs[0] = syn_to(call->inputs[0], call->attrs[0].dtype);
}

const syn_op syn_op_type = {
    .name = "type",
    .doc = "Converts the dtype.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dtype", DTYPE)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = type_compose,
    SYN_SAMPLES("(2,3), f64"),
};

static void detach_compose(syn_op_call *call)
{
    call->outputs[0] = syn_detach(call->inputs[0]);
}

const syn_op syn_op_detach = {
    .name = "detach",
    .doc = "The same elements, outside the graph.",
    SYN_ARGS(SYN_TENSOR("input")),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_ALL,
    .compose = detach_compose,
    SYN_SAMPLES("(2,3)"),
};
