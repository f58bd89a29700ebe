/* Sums and products along an axis so far, and whole products. */
#include "worker/ops/compose.h"

#include "worker/kernels/element.h"

#include <math.h>

/* ---- cumsum ---- */

static syn_status cumsum_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    int dim;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim, &dim));
    syn_meta_like(&metas[0], x);
    metas[0].dtype = syn_is_floating(x) ? (syn_dtype)x->dtype : SYN_I64;
    return SYN_OK;
}

static void sum_line(const syn_tensor *x, syn_tensor *y, int64_t at, int64_t step, int64_t n)
{
    syn_dtype from = (syn_dtype)x->dtype, to = (syn_dtype)y->dtype;
    size_t from_size = syn_dtype_size(from), to_size = syn_dtype_size(to);
    bool is_real = syn_is_floating(x);
    double real = 0;
    uint64_t whole = 0;
    for (int64_t i = 0; i < n; i++, at += step) {
        const char *source = (const char *)x->data + (size_t)at * from_size;
        char *target = (char *)y->data + (size_t)at * to_size;
        if (is_real)
            syn_element_set(to, target, real += syn_element_get(from, source));
        else
            syn_element_set_int(to, target,
                                (int64_t)(whole += (uint64_t)syn_element_get_int(from, source)));
    }
}

static syn_status cumsum_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    int dim;
    int64_t inner = 1;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim, &dim));
    int64_t n = x->ndim ? x->dims[dim] : 1;
    for (int d = dim + 1; d < x->ndim; d++)
        inner *= x->dims[d];
    for (int64_t k = 0; k < x->numel / n; k++)
        sum_line(x, call->outputs[0], k / inner * inner * n + k % inner, inner, n);
    return SYN_OK;
}

static syn_tensor *flipped(syn_tensor *x, int64_t dim)
{
    return syn_call(&syn_op_flip, &x, 1, &SYN_INTS_OF(&dim, 1), 1);
}

static void cumsum_backward(syn_backward_call *call)
{
    int64_t dim = call->attrs[0].i;
    syn_tensor *grad = flipped(call->grad_outputs[0], dim);
    call->grad_inputs[0] = flipped(syn_call(&syn_op_cumsum, &grad, 1, call->attrs, 1), dim);
}

const syn_op syn_op_cumsum = {
    .name = "cumsum",
    .doc = "The sum so far along an axis; bool and integers sum into i64.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_REAL,
    .infer = cumsum_infer,
    .forward = cumsum_forward,
    .backward = cumsum_backward,
    SYN_SAMPLES("(2,3), 0", "(2,3,4), 1", "(3), -1", "(), 0"),
};

/* ---- By doubling: each step joins what lies 1, 2, 4, ... places before ---- */

/* The places 0 .. n-s of an axis, after s places of `neutral`. */
static syn_tensor *moved(syn_tensor *x, int dim, int64_t s, double neutral)
{
    if (!x)
        return NULL;
    syn_shape edge = syn_tensor_shape(x);
    edge.dims[dim] = s;
    syn_tensor *parts[2] = {syn_full(edge, neutral, (syn_dtype)x->dtype),
                            syn_slice(x, dim, 0, x->dims[dim] - s, 1)};
    return syn_cat(parts, 2, dim);
}

static void scan(syn_op_call *call, syn_tensor *x, const syn_op *join, double neutral)
{
    int dim;
    if (!x || !syn_compose_dim(call, call->attrs[0].i, x->ndim, &dim))
        return;
    int64_t n = x->ndim ? x->dims[dim] : 1;
    syn_tensor *y = x;
    for (int64_t s = 1; s < n; s *= 2)
        y = syn_call2(join, moved(y, dim, s, neutral), y);
    call->outputs[0] = y == call->inputs[0] ? syn_clone(y) : y;
}

static void cumprod_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    scan(call, syn_is_floating(x) ? x : syn_to(x, SYN_I64), &syn_op_mul, 1);
}

const syn_op syn_op_cumprod = {
    .name = "cumprod",
    .doc = "The product so far along an axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT)),
    .dtypes = SYN_DTYPES_REAL,
    .compose = cumprod_compose,
    SYN_SAMPLES("(2,3), 0", "(2,5), 1"),
};

static void logcumsumexp_compose(syn_op_call *call)
{
    scan(call, call->inputs[0], &syn_op_logaddexp, -INFINITY);
}

const syn_op syn_op_logcumsumexp = {
    .name = "logcumsumexp",
    .doc = "The logarithm of the sum so far of exponentials along an axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT)),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = logcumsumexp_compose,
    SYN_SAMPLES("(2,3), 0", "(2,5), 1"),
};

/* ---- prod: halves multiplied until one is left, so that zeros need no special rule ---- */

static syn_tensor *product(syn_tensor *x, int dim)
{
    while (x && x->dims[dim] > 1) {
        int64_t half = x->dims[dim] / 2;
        syn_tensor *y =
            syn_mul(syn_slice(x, dim, 0, half, 1), syn_slice(x, dim, half, 2 * half, 1));
        syn_tensor *parts[2] = {y, syn_slice(x, dim, 2 * half, x->dims[dim], 1)};
        x = x->dims[dim] % 2 ? syn_cat(parts, 2, dim) : y;
    }
    return x;
}

static void prod_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *axis = &call->attrs[0];
    bool keepdim = call->attrs[1].i;
    int dim = 0;
    if (!syn_is_floating(x))
        x = syn_to(x, SYN_I64);
    if (axis->kind == SYN_VALUE_NONE)
        x = syn_flatten(x, 0);
    else if (!x || !syn_compose_dim(call, axis->i, x->ndim, &dim))
        return;
    if (x && x->ndim == 0) {
        call->outputs[0] = syn_clone(x);
        return;
    }
    if (x && x->dims[dim] == 0) {
        syn_shape shape = syn_tensor_shape(x);
        shape.dims[dim] = 1;
        x = syn_full(shape, 1, (syn_dtype)x->dtype);
    }
    x = product(x, dim);
    call->outputs[0] = keepdim && axis->kind != SYN_VALUE_NONE ? x : syn_squeeze(x, dim);
}

const syn_op syn_op_prod = {
    .name = "prod",
    .doc = "The product along an axis, or of all elements; bool and integers give i64.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_NONE),
             SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(false))),
    .dtypes = SYN_DTYPES_REAL,
    .compose = prod_compose,
    SYN_SAMPLES("(2,3)", "(2,3), 1", "(5,2), 0, true"),
};
