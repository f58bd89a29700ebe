/* Views: other extents and strides of the same elements; their backward steps move the gradient
 * back. */
#include "worker/ops/op_internal.h"

#include "common/base/mem.h"

#include <string.h>

static void meta_of(syn_meta *meta, const syn_tensor *x)
{
    syn_meta_like(meta, x);
    memcpy(meta->strides, x->strides, (size_t)x->ndim * sizeof *x->strides);
    meta->offset = 0;
}

#define AS_INTS(shape) SYN_INTS_OF((shape)->dims, (shape)->ndim)

static void grad_in_input_shape(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_reshape(call->grad_outputs[0], syn_tensor_shape(call->inputs[0]));
}

/* ---- view and reshape ---- */

/* The asked-for extents with -1 inferred. */
static syn_status resolve_shape(const syn_op_call *call, const syn_value *asked, syn_shape *shape)
{
    const syn_tensor *x = call->inputs[0];
    int64_t known = 1;
    int unknown = -1;
    char text[160];
    if (asked->n > SYN_MAX_DIMS)
        return SYN_OP_FAIL(call, "%d axes are too many; %d are possible", asked->n, SYN_MAX_DIMS);
    shape->ndim = asked->n;
    for (int d = 0; d < asked->n; d++) {
        shape->dims[d] = asked->ints[d];
        if (asked->ints[d] == -1 && unknown < 0)
            unknown = d;
        else if (asked->ints[d] < 0)
            return SYN_OP_FAIL(call, "shape %s: only one extent may be -1, and none less",
                               syn_shape_format(text, sizeof text, asked->n, asked->ints));
        else if (__builtin_mul_overflow(known, asked->ints[d], &known))
            return SYN_OP_FAIL(call, "the shape has too many elements");
    }
    if (unknown >= 0 && known > 0 && x->numel % known == 0)
        shape->dims[unknown] = x->numel / known;
    else if (unknown >= 0 || known != x->numel)
        return SYN_OP_FAIL(call, "shape %s does not hold %lld elements",
                           syn_shape_format(text, sizeof text, asked->n, asked->ints),
                           (long long)x->numel);
    return SYN_OK;
}

/* Strides of the new shape over the same elements in the same order; false if there are none. Each
 * run of old axes that lie one behind the other in memory is cut anew. */
static bool restride(const syn_tensor *x, const syn_shape *shape, int64_t *strides)
{
    if (x->numel == 0 || syn_is_contiguous(x)) {
        int64_t stride = 1;
        for (int d = shape->ndim - 1; d >= 0; d--) {
            strides[d] = stride;
            stride *= shape->dims[d] ? shape->dims[d] : 1;
        }
        return true;
    }
    int to = shape->ndim - 1;
    int64_t run = 1, cut = 1, base = x->ndim ? x->strides[x->ndim - 1] : 1;
    for (int d = x->ndim - 1; d >= 0; d--) {
        run *= x->dims[d];
        bool ends = d == 0 || (x->dims[d - 1] != 1 && x->strides[d - 1] != run * base);
        if (!ends)
            continue;
        for (; to >= 0 && (cut < run || shape->dims[to] == 1); to--) {
            strides[to] = cut * base;
            cut *= shape->dims[to];
        }
        if (cut != run)
            return false;
        if (d > 0) {
            base = x->strides[d - 1];
            run = cut = 1;
        }
    }
    return to < 0;
}

static syn_status view_infer(syn_op_call *call, syn_meta *metas)
{
    SYN_TRY(resolve_shape(call, &call->attrs[0], &metas[0].shape));
    metas[0].dtype = (syn_dtype)call->inputs[0]->dtype;
    metas[0].offset = 0;
    if (!restride(call->inputs[0], &metas[0].shape, metas[0].strides))
        return SYN_OP_FAIL(call, "its strides allow no view of that shape; use reshape");
    return SYN_OK;
}

const syn_op syn_op_view = {
    .name = "view",
    .doc = "The same elements under other extents; -1 is inferred.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("size", INTS)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = view_infer,
    .backward = grad_in_input_shape,
    SYN_SAMPLES("(2,3), [3,2]", "(2,3), [-1]", "(2,3), [2,1,3]", "(0,3), [3,0]", "(), [1]"),
};

static void reshape_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    syn_meta meta;
    syn_op_call probe = *call;
    if (resolve_shape(&probe, &call->attrs[0], &meta.shape) != SYN_OK) {
        (void)syn_stick(SYN_INVALID_ARGUMENT);
        return;
    }
    if (!restride(x, &meta.shape, meta.strides))
        x = syn_clone(x);
    call->outputs[0] = syn_call(&syn_op_view, &x, 1, &AS_INTS(&meta.shape), 1);
}

const syn_op syn_op_reshape = {
    .name = "reshape",
    .doc = "The elements under other extents: a view where the strides allow it, else a copy.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("shape", INTS)),
    .dtypes = SYN_DTYPES_ALL,
    .compose = reshape_compose,
    SYN_SAMPLES("(2,3), [3,2]", "(2,3,4), [6,-1]"),
};

syn_tensor *syn_reshape(syn_tensor *x, syn_shape shape)
{
    return syn_call(&syn_op_reshape, &x, 1, &AS_INTS(&shape), 1);
}

static void flatten_compose(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    int start, end;
    if (syn_infer_dim(call, call->attrs[0].i, x->ndim, &start) != SYN_OK ||
        syn_infer_dim(call, call->attrs[1].i, x->ndim, &end) != SYN_OK) {
        (void)syn_stick(SYN_INVALID_ARGUMENT);
        return;
    }
    if (start > end) {
        (void)syn_stick(SYN_OP_FAIL(call, "axis %d is after axis %d", start, end));
        return;
    }
    syn_shape shape = {.ndim = 0};
    for (int d = 0; d < start; d++)
        shape.dims[shape.ndim++] = x->dims[d];
    int64_t merged = 1;
    for (int d = start; d <= end && d < x->ndim; d++)
        merged *= x->dims[d];
    shape.dims[shape.ndim++] = merged;
    for (int d = end + 1; d < x->ndim; d++)
        shape.dims[shape.ndim++] = x->dims[d];
    call->outputs[0] = syn_reshape(call->inputs[0], shape);
}

const syn_op syn_op_flatten = {
    .name = "flatten",
    .doc = "Makes one axis of those from start_dim to end_dim.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("start_dim", INT, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("end_dim", INT, SYN_FALLBACK_INT(-1))),
    .dtypes = SYN_DTYPES_ALL,
    .compose = flatten_compose,
    SYN_SAMPLES("(2,3,4)", "(2,3,4), 1", "(2,3,4), 0, 1", "()"),
};

syn_tensor *syn_flatten(syn_tensor *x, int start_dim)
{
    return syn_call(&syn_op_flatten, &x, 1, (syn_value[]){SYN_INT_OF(start_dim), SYN_INT_OF(-1)},
                    2);
}

/* ---- Axes in another order ---- */

static syn_status permute_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    const syn_value *dims = &call->attrs[0];
    bool seen[SYN_MAX_DIMS] = {0};
    if (dims->n != x->ndim)
        return SYN_OP_FAIL(call, "%d axes are named, there are %d", dims->n, x->ndim);
    metas[0].dtype = (syn_dtype)x->dtype;
    metas[0].offset = 0;
    metas[0].shape.ndim = x->ndim;
    for (int i = 0; i < dims->n; i++) {
        int d;
        SYN_TRY(syn_infer_dim(call, dims->ints[i], x->ndim, &d));
        if (seen[d])
            return SYN_OP_FAIL(call, "axis %lld is named twice", (long long)dims->ints[i]);
        seen[d] = true;
        metas[0].shape.dims[i] = x->dims[d];
        metas[0].strides[i] = x->strides[d];
    }
    return SYN_OK;
}

static void permute_backward(syn_backward_call *call)
{
    const syn_value *dims = &call->attrs[0];
    int inverse[SYN_MAX_DIMS];
    for (int i = 0; i < dims->n; i++)
        inverse[dims->ints[i] < 0 ? dims->ints[i] + dims->n : dims->ints[i]] = i;
    call->grad_inputs[0] = syn_permute(call->grad_outputs[0], inverse, dims->n);
}

const syn_op syn_op_permute = {
    .name = "permute",
    .doc = "The axes in another order.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dims", INTS)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = permute_infer,
    .backward = permute_backward,
    SYN_SAMPLES("(2,3,4), [2,0,1]", "(2,3,4), [0,-1,1]", "(2,3), [1,0]"),
};

syn_tensor *syn_permute(syn_tensor *x, const int *dims, int n_dims)
{
    int64_t room[SYN_MAX_DIMS];
    n_dims = n_dims < SYN_MAX_DIMS ? n_dims : SYN_MAX_DIMS;
    for (int i = 0; i < n_dims; i++)
        room[i] = dims[i];
    return syn_call(&syn_op_permute, &x, 1, &SYN_INTS_OF(room, n_dims), 1);
}

static syn_status transpose_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    int a, b;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim, &a));
    SYN_TRY(syn_infer_dim(call, call->attrs[1].i, x->ndim, &b));
    meta_of(&metas[0], x);
    if (x->ndim == 0)
        return SYN_OK;
    metas[0].shape.dims[a] = x->dims[b];
    metas[0].shape.dims[b] = x->dims[a];
    metas[0].strides[a] = x->strides[b];
    metas[0].strides[b] = x->strides[a];
    return SYN_OK;
}

static void transpose_backward(syn_backward_call *call)
{
    call->grad_inputs[0] =
        syn_transpose(call->grad_outputs[0], (int)call->attrs[0].i, (int)call->attrs[1].i);
}

const syn_op syn_op_transpose = {
    .name = "transpose",
    .doc = "Two axes exchanged.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim0", INT), SYN_ARG("dim1", INT)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = transpose_infer,
    .backward = transpose_backward,
    SYN_SAMPLES("(2,3), 0, 1", "(2,3,4), -1, 0"),
};

syn_tensor *syn_transpose(syn_tensor *x, int dim0, int dim1)
{
    return syn_call(&syn_op_transpose, &x, 1, (syn_value[]){SYN_INT_OF(dim0), SYN_INT_OF(dim1)}, 2);
}

/* ---- expand ---- */

static syn_status expand_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    const syn_value *size = &call->attrs[0];
    int lead = size->n - x->ndim;
    if (lead < 0 || size->n > SYN_MAX_DIMS)
        return SYN_OP_FAIL(call, "%d extents do not name %d axes", size->n, x->ndim);
    metas[0].dtype = (syn_dtype)x->dtype;
    metas[0].offset = 0;
    metas[0].shape.ndim = size->n;
    for (int d = 0; d < size->n; d++) {
        int64_t have = d < lead ? 1 : x->dims[d - lead], want = size->ints[d];
        if (want == -1 && d >= lead)
            want = have;
        if (want < 0 || (have != 1 && have != want))
            return SYN_OP_FAIL(call, "extent %lld cannot become %lld", (long long)have,
                               (long long)want);
        metas[0].shape.dims[d] = want;
        metas[0].strides[d] = d < lead || (have == 1 && want != 1) ? 0 : x->strides[d - lead];
    }
    return SYN_OK;
}

/* The sum over the expanded axes is what every gradient of a broadcast shape gets. */
static void expand_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = call->grad_outputs[0];
}

const syn_op syn_op_expand = {
    .name = "expand",
    .doc = "Repeats axes of extent 1 without copying; -1 keeps an extent.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("size", INTS)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = expand_infer,
    .backward = expand_backward,
    SYN_SAMPLES("(2,1), [2,3]", "(3), [2,-1]", "(), [2,2]", "(1,3), [0,3]"),
};

syn_tensor *syn_expand(syn_tensor *x, syn_shape shape)
{
    return syn_call(&syn_op_expand, &x, 1, &AS_INTS(&shape), 1);
}

/* ---- Extents of 1 ---- */

static syn_status unsqueeze_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    int dim;
    if (x->ndim == SYN_MAX_DIMS)
        return SYN_OP_FAIL(call, "it has %d axes already", SYN_MAX_DIMS);
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, x->ndim + 1, &dim));
    metas[0].dtype = (syn_dtype)x->dtype;
    metas[0].offset = 0;
    metas[0].shape.ndim = x->ndim + 1;
    for (int d = 0; d <= x->ndim; d++) {
        int from = d < dim ? d : d - 1;
        metas[0].shape.dims[d] = d == dim ? 1 : x->dims[from];
        metas[0].strides[d] = d != dim        ? x->strides[from]
                              : dim < x->ndim ? x->dims[dim] * x->strides[dim]
                                              : 1;
    }
    return SYN_OK;
}

const syn_op syn_op_unsqueeze = {
    .name = "unsqueeze",
    .doc = "Inserts an axis of extent 1.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = unsqueeze_infer,
    .backward = grad_in_input_shape,
    SYN_SAMPLES("(2,3), 0", "(2,3), -1", "(2,3), 1", "(), 0"),
};

syn_tensor *syn_unsqueeze(syn_tensor *x, int dim)
{
    return syn_call(&syn_op_unsqueeze, &x, 1, &SYN_INT_OF(dim), 1);
}

static syn_status squeeze_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    const syn_value *dim = &call->attrs[0];
    int only = -1;
    if (dim->kind != SYN_VALUE_NONE)
        SYN_TRY(syn_infer_dim(call, dim->i, x->ndim, &only));
    metas[0].dtype = (syn_dtype)x->dtype;
    metas[0].offset = 0;
    metas[0].shape.ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        if (x->dims[d] == 1 && (only < 0 || only == d))
            continue;
        metas[0].strides[metas[0].shape.ndim] = x->strides[d];
        metas[0].shape.dims[metas[0].shape.ndim++] = x->dims[d];
    }
    return SYN_OK;
}

const syn_op syn_op_squeeze = {
    .name = "squeeze",
    .doc = "Drops an axis if its extent is 1, or all such axes.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_NONE)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = squeeze_infer,
    .backward = grad_in_input_shape,
    SYN_SAMPLES("(2,1,3), 1", "(2,1,3), 0", "(1,2,1)"),
};

syn_tensor *syn_squeeze(syn_tensor *x, int dim)
{
    return syn_call(&syn_op_squeeze, &x, 1, &SYN_INT_OF(dim), 1);
}
