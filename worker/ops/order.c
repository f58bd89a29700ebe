/* The order of elements along an axis: sorting, running extremes, extremes with their places. */
#include "worker/ops/compose.h"

#include "common/base/mem.h"
#include "worker/kernels/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ASCENDING, DESCENDING, RUNNING_MAX, RUNNING_MIN };

/* ---- Places along lines ---- */

typedef struct place {
    double real;
    int64_t whole, index;
} place;

/* NaN is greater than all numbers. */
static int compare(const place *a, const place *b)
{
    if (isnan(a->real) || isnan(b->real))
        return isnan(a->real) - isnan(b->real);
    if (a->real != b->real)
        return a->real < b->real ? -1 : 1;
    return (a->whole > b->whole) - (a->whole < b->whole);
}

static int by_value(const void *p, const void *q)
{
    const place *a = p, *b = q;
    int order = compare(a, b);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

static int by_value_down(const void *p, const void *q)
{
    const place *a = p, *b = q;
    int order = compare(b, a);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* The last of equals so far; a NaN stays. */
static void run_extremes(place *line, int64_t n, bool is_max)
{
    int64_t best = 0;
    place at = n ? line[0] : (place){0};
    for (int64_t i = 0; i < n; i++) {
        int order = compare(&line[i], &at);
        bool is_nan = isnan(line[i].real), was_nan = isnan(at.real);
        if (is_nan || (!was_nan && (is_max ? order >= 0 : order <= 0))) {
            at = line[i];
            best = i;
        }
        line[i].index = best;
    }
}

static syn_status order_infer(syn_op_call *call, syn_meta *metas)
{
    int dim;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, call->inputs[0]->ndim, &dim));
    syn_meta_like(&metas[0], call->inputs[0]);
    metas[0].dtype = SYN_I64;
    return SYN_OK;
}

static void order_line(const syn_tensor *x, int64_t first, int64_t step, int64_t n, int64_t how,
                       place *line)
{
    syn_dtype dtype = (syn_dtype)x->dtype;
    bool is_real = syn_is_floating(x);
    for (int64_t i = 0; i < n; i++) {
        const char *at = (const char *)x->data + (size_t)(first + i * step) * syn_dtype_size(dtype);
        line[i].real = is_real ? syn_element_get(dtype, at) : 0;
        line[i].whole = is_real ? 0 : syn_element_get_int(dtype, at);
        line[i].index = i;
    }
    if (how == ASCENDING || how == DESCENDING)
        qsort(line, (size_t)n, sizeof *line, how == ASCENDING ? by_value : by_value_down);
    else
        run_extremes(line, n, how == RUNNING_MAX);
}

static syn_status order_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    int64_t *out = call->outputs[0]->data, inner = 1;
    int dim;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim, &dim));
    int64_t n = x->ndim ? x->dims[dim] : 1;
    for (int d = dim + 1; d < x->ndim; d++)
        inner *= x->dims[d];
    place *line = syn_malloc((size_t)n * sizeof *line);
    if (!line)
        return syn_fail_memory((size_t)n * sizeof *line, "an axis");
    for (int64_t k = 0; k < x->numel / n; k++) {
        int64_t first = k / inner * inner * n + k % inner;
        order_line(x, first, inner, n, call->attrs[1].i, line);
        for (int64_t i = 0; i < n; i++)
            out[first + i * inner] = line[i].index;
    }
    syn_free(line);
    return SYN_OK;
}

const syn_op syn_op_order = {
    .name = "order",
    .doc = "Places along an axis: sorted up or down (stable), of the greatest or least so far "
           "(how 0 to 3).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_ARG("how", INT)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_REAL,
    .infer = order_infer,
    .forward = order_forward,
    SYN_SAMPLES("(3,4), 0, 0", "(3,4), 1, 1", "(3,4), 0, 2", "(3,4), -1, 3"),
};

static syn_tensor *order(syn_tensor *x, int64_t dim, int how)
{
    return syn_call(&syn_op_order, &x, 1, (syn_value[]){SYN_INT_OF(dim), SYN_INT_OF(how)}, 2);
}

/* outputs: the values at the places, and the places. */
static void values_at(syn_op_call *call, int64_t dim, syn_tensor *index)
{
    call->outputs[0] =
        syn_call(&syn_op_gather, (syn_tensor *[]){call->inputs[0], index}, 2, &SYN_INT_OF(dim), 1);
    call->outputs[1] = index;
}

/* ---- Operators ---- */

#define RUNNING(op_name, how, text)                             \
    static void op_name##_compose(syn_op_call *call)            \
    {                                                           \
        int64_t dim = call->attrs[0].i;                         \
        values_at(call, dim, order(call->inputs[0], dim, how)); \
    }                                                           \
    const syn_op syn_op_##op_name = {                           \
        .name = #op_name,                                       \
        .doc = text,                                            \
        SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT)),     \
        .n_outputs = 2,                                         \
        .dtypes = SYN_DTYPES_REAL,                              \
        .compose = op_name##_compose,                           \
        SYN_SAMPLES("(3,4)d, 0", "(3,4)d, -1"),                 \
    };
RUNNING(cummax, RUNNING_MAX, "The greatest element so far along an axis, and its place.")
RUNNING(cummin, RUNNING_MIN, "The least element so far along an axis, and its place.")

#define SORT_OPTIONS                                              \
    SYN_ARG_OR("dim", INT, SYN_FALLBACK_INT(-1)),                 \
        SYN_ARG_OR("descending", BOOL, SYN_FALLBACK_BOOL(false)), \
        SYN_ARG_OR("stable", BOOL, SYN_FALLBACK_BOOL(false))

static void sort_compose(syn_op_call *call)
{
    int64_t dim = call->attrs[0].i;
    values_at(call, dim, order(call->inputs[0], dim, call->attrs[1].i ? DESCENDING : ASCENDING));
}

const syn_op syn_op_sort = {
    .name = "sort",
    .doc = "The elements along an axis in order, equals as they stood, and their places; NaN is "
           "the greatest.",
    SYN_ARGS(SYN_TENSOR("input"), SORT_OPTIONS),
    .n_outputs = 2,
    .dtypes = SYN_DTYPES_REAL,
    .compose = sort_compose,
    SYN_SAMPLES("(3,4)d", "(3,4)d, 0, true"),
};

static void argsort_compose(syn_op_call *call)
{
    call->outputs[0] =
        order(call->inputs[0], call->attrs[0].i, call->attrs[1].i ? DESCENDING : ASCENDING);
}

const syn_op syn_op_argsort = {
    .name = "argsort",
    .doc = "The places of the elements along an axis in order.",
    SYN_ARGS(SYN_TENSOR("input"), SORT_OPTIONS),
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_REAL,
    .compose = argsort_compose,
    SYN_SAMPLES("(3,4)d", "(3,4)d, 0, true"),
};

static void topk_compose(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    int dim;
    int64_t k = call->attrs[0].i;
    if (!syn_compose_dim(call, call->attrs[1].i, x->ndim, &dim))
        return;
    int64_t extent = x->ndim ? x->dims[dim] : 1;
    if (k < 0 || k > extent) {
        SYN_COMPOSE_FAIL(call, "there are no %lld of %lld elements", (long long)k,
                         (long long)extent);
        return;
    }
    syn_tensor *index = order(call->inputs[0], dim, call->attrs[2].i ? DESCENDING : ASCENDING);
    values_at(call, dim, x->ndim ? syn_slice(index, dim, 0, k, 1) : index);
}

const syn_op syn_op_topk = {
    .name = "topk",
    .doc = "The k greatest (or least) elements along an axis in order, and their places.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("k", INT), SYN_ARG_OR("dim", INT, SYN_FALLBACK_INT(-1)),
             SYN_ARG_OR("largest", BOOL, SYN_FALLBACK_BOOL(true)),
             SYN_ARG_OR("sorted", BOOL, SYN_FALLBACK_BOOL(true))),
    .n_outputs = 2,
    .dtypes = SYN_DTYPES_REAL,
    .compose = topk_compose,
    SYN_SAMPLES("(3,4)d, 2", "(3,4)d, 1, 0, false"),
};

/* max and min: over all, along an axis with places, or of two tensors. */
static void extreme_compose(syn_op_call *call, const syn_op *all, const syn_op *places,
                            const syn_op *of_two)
{
    syn_tensor *x = call->inputs[0];
    const syn_value *dim = &call->attrs[0];
    if (call->inputs[1]) {
        call->outputs[0] = syn_call2(of_two, x, call->inputs[1]);
    } else if (dim->kind == SYN_VALUE_NONE) {
        call->outputs[0] = syn_call1(all, x);
    } else {
        syn_value kept[] = {*dim, SYN_BOOL_OF(true)};
        call->n_outputs = 2;
        values_at(call, dim->i, syn_call(places, &x, 1, kept, 2));
        for (int i = 0; i < 2 && !call->attrs[1].i; i++)
            call->outputs[i] = syn_squeeze(call->outputs[i], (int)dim->i);
    }
}

#define EXTREME(op_name, all, places, of_two, text)                                \
    static void op_name##_compose(syn_op_call *call)                               \
    {                                                                              \
        extreme_compose(call, &syn_op_##all, &syn_op_##places, &syn_op_##of_two);  \
    }                                                                              \
    const syn_op syn_op_##op_name = {                                              \
        .name = #op_name,                                                          \
        .doc = text,                                                               \
        SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_NONE),   \
                 SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(false)),            \
                 SYN_OPTIONAL_TENSOR("other")),                                    \
        .dtypes = SYN_DTYPES_REAL,                                                 \
        .compose = op_name##_compose,                                              \
        SYN_SAMPLES("(3,4)d", "(3,4)d, 0", "(3,4)d, 1, true", "(3,4), other=(4)"), \
    };
EXTREME(max, amax, argmax, maximum,
        "The greatest element; along an axis with its place; or of two tensors.")
EXTREME(min, amin, argmin, minimum,
        "The least element; along an axis with its place; or of two tensors.")
