/* Elements taken and put by an index tensor along one axis. */
#include "worker/ops/compose.h"

#include "worker/kernels/element.h"

#include <math.h>
#include <string.h>

/* ---- Walking an index: where each of its elements points in `whole`, where it stands in `part`
 * ---- */

typedef struct walker {
    const syn_tensor *index; /* dense i64 */
    int dim;
    int64_t extent, whole_steps[SYN_MAX_DIMS], part_steps[SYN_MAX_DIMS];
} walker;

static void dense_steps(const syn_tensor *x, int64_t *steps)
{
    int64_t step = 1;
    for (int d = x->ndim - 1; d >= 0; step *= x->dims[d--])
        steps[d] = step;
}

/* The index has to lie within both, `whole` along `dim` excepted. */
static syn_status walker_of(const syn_op_call *call, const syn_tensor *whole,
                            const syn_tensor *part, syn_tensor *index, walker *out)
{
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, whole->ndim, &out->dim));
    if (!(out->index = syn_contiguous(syn_to(index, SYN_I64))))
        return syn_error_status();
    out->extent = whole->ndim ? whole->dims[out->dim] : 1;
    dense_steps(whole, out->whole_steps);
    dense_steps(part, out->part_steps);
    const int64_t *at = out->index->data;
    for (int64_t i = 0; i < out->index->numel; i++)
        if (at[i] < 0 || at[i] >= out->extent)
            return SYN_OP_FAIL(call, "index %lld (element %lld) is outside an axis of extent %lld",
                               (long long)at[i], (long long)i, (long long)out->extent);
    return SYN_OK;
}

static void offsets(const walker *w, int64_t i, int64_t *whole, int64_t *part)
{
    const syn_tensor *index = w->index;
    int64_t rest = i, picked = ((const int64_t *)index->data)[i];
    *whole = *part = 0;
    for (int d = index->ndim - 1; d >= 0; rest /= index->dims[d--]) {
        int64_t place = rest % index->dims[d];
        *part += place * w->part_steps[d];
        *whole += (d == w->dim ? picked : place) * w->whole_steps[d];
    }
}

static syn_status check_shapes(const syn_op_call *call, const syn_tensor *whole,
                               const syn_tensor *index, const syn_tensor *part)
{
    int dim;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, whole->ndim, &dim));
    if (index->numel == 0)
        return SYN_OK;
    int axes = whole->ndim ? whole->ndim : 1, index_axes = index->ndim ? index->ndim : 1;
    if (index_axes != axes || (part && (part->ndim ? part->ndim : 1) != axes))
        return SYN_OP_FAIL(call, "the index has %d axes, not %d", index->ndim, whole->ndim);
    for (int d = 0; d < index->ndim; d++) {
        int64_t most = whole->ndim == 0 ? 1 : whole->dims[d];
        int64_t there = !part ? index->dims[d] : part->ndim == 0 ? 1 : part->dims[d];
        if ((d != dim && index->dims[d] > most) || index->dims[d] > there)
            return SYN_OP_FAIL(call, "the index has extent %lld in axis %d, which is too much",
                               (long long)index->dims[d], d);
    }
    return SYN_OK;
}

/* ---- gather ---- */

static syn_status gather_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0], *index = call->inputs[1];
    SYN_TRY(check_shapes(call, x, index, NULL));
    syn_meta_set(&metas[0], (syn_dtype)x->dtype, index->ndim, index->dims);
    return SYN_OK;
}

static syn_status gather_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    walker w;
    SYN_TRY(walker_of(call, x, call->outputs[0], call->inputs[1], &w));
    size_t size = syn_dtype_size((syn_dtype)x->dtype);
    for (int64_t i = 0; i < w.index->numel; i++) {
        int64_t from, to;
        offsets(&w, i, &from, &to);
        memcpy((char *)call->outputs[0]->data + (size_t)to * size,
               (char *)x->data + (size_t)from * size, size);
    }
    return SYN_OK;
}

enum { PUT, ADD, MULTIPLY, GREATEST, LEAST };

static syn_tensor *put(syn_tensor *x, int64_t dim, syn_tensor *index, syn_tensor *src, int mode)
{
    return syn_call(&syn_op_scatter_with, (syn_tensor *[]){x, index, src}, 3,
                    (syn_value[]){SYN_INT_OF(dim), SYN_INT_OF(mode)}, 2);
}

static syn_tensor *take(syn_tensor *x, int64_t dim, syn_tensor *index)
{
    return syn_call(&syn_op_gather, (syn_tensor *[]){x, index}, 2, &SYN_INT_OF(dim), 1);
}

static void gather_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    call->grad_inputs[0] = put(syn_zeros(syn_tensor_shape(x), (syn_dtype)x->dtype),
                               call->attrs[0].i, call->inputs[1], call->grad_outputs[0], ADD);
}

const syn_op syn_op_gather = {
    .name = "gather",
    .doc = "Elements by an index tensor along an axis, all other coordinates the index's own.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_TENSOR_IN("index", SYN_DTYPES_INDEX)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_ALL,
    .saves = SYN_SAVE_INPUT(1),
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
    SYN_SAMPLES("(3,4), 0, (2,4)i3", "(3,4), 1, (2,5)i4", "(3), -1, (4)i3"),
};

/* ---- scatter ---- */

static syn_status scatter_infer(syn_op_call *call, syn_meta *metas)
{
    SYN_TRY(check_shapes(call, call->inputs[0], call->inputs[1], call->inputs[2]));
    int64_t mode = call->attrs[1].i;
    if (mode < PUT || mode > LEAST)
        return SYN_OP_FAIL(call, "there is no mode %lld", (long long)mode);
    syn_meta_like(&metas[0], call->inputs[0]);
    return SYN_OK;
}

static double combine(double a, double b, int64_t mode)
{
    if (mode == GREATEST || mode == LEAST)
        return isnan(a) || isnan(b) ? NAN : mode == GREATEST ? fmax(a, b) : fmin(a, b);
    return mode == ADD ? a + b : mode == MULTIPLY ? a * b : b;
}

static int64_t combine_whole(int64_t a, int64_t b, int64_t mode)
{
    if (mode == GREATEST || mode == LEAST)
        return (a > b) == (mode == GREATEST) ? a : b;
    return mode == ADD        ? (int64_t)((uint64_t)a + (uint64_t)b)
           : mode == MULTIPLY ? (int64_t)((uint64_t)a * (uint64_t)b)
                              : b;
}

static syn_status scatter_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0], *src = call->inputs[2];
    syn_tensor *y = call->outputs[0];
    syn_dtype dtype = (syn_dtype)x->dtype;
    size_t size = syn_dtype_size(dtype);
    walker w;
    memcpy(y->data, x->data, (size_t)x->numel * size);
    SYN_TRY(walker_of(call, x, src, call->inputs[1], &w));
    for (int64_t i = 0; i < w.index->numel; i++) {
        int64_t whole, part;
        offsets(&w, i, &whole, &part);
        char *to = (char *)y->data + (size_t)whole * size;
        const char *from = (const char *)src->data + (size_t)part * size;
        if (syn_is_floating(x))
            syn_element_set(dtype, to,
                            combine(syn_element_get(dtype, to), syn_element_get(dtype, from),
                                    call->attrs[1].i));
        else
            syn_element_set_int(dtype, to,
                                combine_whole(syn_element_get_int(dtype, to),
                                              syn_element_get_int(dtype, from), call->attrs[1].i));
    }
    return SYN_OK;
}

static syn_tensor *like(const syn_tensor *x, double value)
{
    return syn_full(syn_tensor_shape(x), value, (syn_dtype)x->dtype);
}

/* Where several won, each has an equal share. */
static void extreme_backward(syn_backward_call *call, int64_t dim, syn_tensor *index)
{
    syn_tensor *x = call->inputs[0], *y = call->outputs[0], *src = call->inputs[2];
    syn_dtype dtype = (syn_dtype)x->dtype;
    syn_tensor *x_wins = syn_to(syn_eq(x, y), dtype);
    syn_tensor *src_wins = syn_to(syn_eq(src, take(y, dim, index)), dtype);
    syn_tensor *share =
        syn_div(call->grad_outputs[0],
                syn_maximum(put(x_wins, dim, index, src_wins, ADD), syn_number_for(x, 1)));
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_mul(share, x_wins);
    if (call->needs_grad[2])
        call->grad_inputs[2] = syn_mul(take(share, dim, index), src_wins);
}

static void scatter_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0], *index = call->inputs[1], *src = call->inputs[2];
    int64_t dim = call->attrs[0].i, mode = call->attrs[1].i;
    if (mode == GREATEST || mode == LEAST) {
        extreme_backward(call, dim, index);
        return;
    }
    syn_tensor *by_result = mode == MULTIPLY ? syn_mul(grad, call->outputs[0]) : grad;
    if (call->needs_grad[0])
        call->grad_inputs[0] = mode == PUT        ? put(grad, dim, index, like(src, 0), PUT)
                               : mode == MULTIPLY ? syn_div(by_result, call->inputs[0])
                                                  : grad;
    if (!call->needs_grad[2])
        return;
    syn_tensor *part = take(by_result, dim, index);
    call->grad_inputs[2] = mode == MULTIPLY ? syn_div(part, src) : part;
}

const syn_op syn_op_scatter_with = {
    .name = "scatter_with",
    .doc =
        "src combined into input by index along an axis: put, added, multiplied, the greatest or "
        "the least (mode 0 to 4).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_TENSOR_IN("index", SYN_DTYPES_INDEX),
             SYN_TENSOR("src"), SYN_ARG("mode", INT)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_REAL,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_OUTPUT(0),
    .infer = scatter_infer,
    .forward = scatter_forward,
    .backward = scatter_backward,
    SYN_SAMPLES("(3,4), 0, (2,4)i3, (2,4), 1", "(3,4)+, 1, (2,2)i4, (2,2)+, 2",
                "(3,4), 0, (2,4)i3, (2,4), 3", "(3,4), 0, (2,4)i3, (2,4), 4"),
};

/* src without what the index does not reach. */
static syn_tensor *reached(syn_tensor *src, const syn_tensor *index)
{
    for (int d = 0; src && d < src->ndim && d < index->ndim; d++)
        if (src->dims[d] > index->dims[d])
            src = syn_slice(src, d, 0, index->dims[d], 1);
    return src;
}

static void scatter_add_compose(syn_op_call *call)
{
    call->outputs[0] = put(call->inputs[0], call->attrs[0].i, call->inputs[1],
                           reached(call->inputs[2], call->inputs[1]), ADD);
}

const syn_op syn_op_scatter_add = {
    .name = "scatter_add",
    .doc = "src added to input by index along an axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_TENSOR_IN("index", SYN_DTYPES_INDEX),
             SYN_TENSOR("src")),
    .dtypes = SYN_DTYPES_REAL,
    .compose = scatter_add_compose,
    SYN_SAMPLES("(3,4), 0, (2,4)i3, (2,4)", "(3,4), 1, (2,2)i4, (3,4)"),
};

static void scatter_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0], *index = call->inputs[1], *src = call->inputs[2];
    const syn_value *value = &call->attrs[1], *reduce = &call->attrs[2];
    const char *how = reduce->kind == SYN_VALUE_NONE ? "" : reduce->string;
    int mode = strcmp(how, "add") == 0 ? ADD : strcmp(how, "multiply") == 0 ? MULTIPLY : PUT;
    if (mode == PUT && *how)
        SYN_COMPOSE_FAIL(call, "reduce is \"%s\"; add or multiply is possible", how);
    else if (!src == (value->kind == SYN_VALUE_NONE))
        SYN_COMPOSE_FAIL(call, "either src or value has to be given");
    else
        call->outputs[0] = put(
            x, call->attrs[0].i, index,
            src ? reached(src, index)
                : syn_full(syn_tensor_shape(index), syn_value_number(value), (syn_dtype)x->dtype),
            mode);
}

const syn_op syn_op_scatter = {
    .name = "scatter",
    .doc = "src, or one value, put into input by index along an axis; added or multiplied where "
           "reduce says so.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_TENSOR_IN("index", SYN_DTYPES_INDEX),
             SYN_OPTIONAL_TENSOR("src"), SYN_ARG_OR("value", NUMBER, SYN_FALLBACK_NONE),
             SYN_ARG_OR("reduce", STRING, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_REAL,
    .compose = scatter_compose,
    SYN_SAMPLES("(3,4), 0, (2,4)i3, none, 1.5", "(3,4), 1, (2,2)i4, (2,2), reduce='add'"),
};

/* ---- scatter_reduce ---- */

static void scatter_reduce_compose(syn_op_call *call)
{
    static const char *const names[] = {"", "sum", "prod", "amax", "amin"};
    static const double neutral[] = {0, 0, 1, -INFINITY, INFINITY};
    syn_tensor *x = call->inputs[0], *index = call->inputs[1];
    syn_tensor *src = reached(call->inputs[2], index);
    const char *reduce = call->attrs[1].string;
    int64_t dim = call->attrs[0].i;
    bool is_mean = strcmp(reduce, "mean") == 0, with_self = call->attrs[2].i;
    int mode = is_mean ? ADD : LEAST;
    while (mode > PUT && !is_mean && strcmp(reduce, names[mode]) != 0)
        mode--;
    if (mode == PUT) {
        SYN_COMPOSE_FAIL(call, "reduce is \"%s\"; sum, prod, mean, amax or amin is possible",
                         reduce);
        return;
    }
    syn_tensor *start =
        with_self ? x
                  : put(x, dim, index,
                        syn_full(syn_tensor_shape(index), neutral[mode], (syn_dtype)x->dtype), PUT);
    syn_tensor *y = put(start, dim, index, src, mode);
    if (is_mean) {
        syn_tensor *ones = syn_full(syn_tensor_shape(index), 1, (syn_dtype)x->dtype);
        syn_tensor *n = put(like(x, with_self), dim, index, ones, ADD);
        n = syn_maximum(n, syn_number_for(x, 1));
        y = syn_call2(syn_is_floating(x) ? &syn_op_true_divide : &syn_op_floor_divide, y, n);
    }
    call->outputs[0] = y;
}

const syn_op syn_op_scatter_reduce = {
    .name = "scatter_reduce",
    .doc = "src reduced into input by index along an axis: sum, prod, mean, amax or amin.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_TENSOR_IN("index", SYN_DTYPES_INDEX),
             SYN_TENSOR("src"), SYN_ARG("reduce", STRING),
             SYN_ARG_OR("include_self", BOOL, SYN_FALLBACK_BOOL(true))),
    .dtypes = SYN_DTYPES_REAL,
    .compose = scatter_reduce_compose,
    SYN_SAMPLES("(3,4), 0, (2,4)i3, (2,4), 'sum'", "(3,4), 0, (2,4)i3, (2,4), 'mean'",
                "(3,4), 0, (2,4)i3, (2,4), 'sum', false"),
};
