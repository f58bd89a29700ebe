/* Parts of a tensor along one axis, and the way back of their gradients. */
#include "worker/ops/op_internal.h"

#include <stdint.h>
#include <string.h>

/* ---- slice ---- */

typedef struct span {
    int dim;
    int64_t start, step, length;
} span;

/* Python's rules: bounds from the end if negative, clamped; none stands for an end. */
static syn_status span_of(const syn_op_call *call, const syn_tensor *x, const syn_value *attrs,
                          span *out)
{
    SYN_TRY(syn_infer_dim(call, attrs[0].i, x->ndim, &out->dim));
    if (x->ndim == 0)
        return SYN_OP_FAIL(call, "a tensor without axes cannot be sliced");
    int64_t extent = x->dims[out->dim];
    int64_t start = attrs[1].kind == SYN_VALUE_NONE ? 0 : attrs[1].i;
    int64_t stop = attrs[2].kind == SYN_VALUE_NONE ? extent : attrs[2].i;
    out->step = attrs[3].i;
    if (out->step < 1)
        return SYN_OP_FAIL(call, "step %lld is not positive", (long long)out->step);
    start += start < 0 ? extent : 0;
    stop += stop < 0 ? extent : 0;
    start = start < 0 ? 0 : start > extent ? extent : start;
    stop = stop < start ? start : stop > extent ? extent : stop;
    out->start = start;
    out->length = (stop - start) / out->step + ((stop - start) % out->step != 0);
    return SYN_OK;
}

static void slice_meta(const syn_tensor *x, const span *s, syn_meta *meta)
{
    syn_meta_like(meta, x);
    memcpy(meta->strides, x->strides, (size_t)x->ndim * sizeof *x->strides);
    meta->shape.dims[s->dim] = s->length;
    meta->strides[s->dim] = x->strides[s->dim] * s->step;
    meta->offset = s->length ? s->start * x->strides[s->dim] : 0;
}

static syn_status slice_infer(syn_op_call *call, syn_meta *metas)
{
    span s;
    SYN_TRY(span_of(call, call->inputs[0], call->attrs, &s));
    slice_meta(call->inputs[0], &s, &metas[0]);
    return SYN_OK;
}

/* The attributes of a *_backward: the extents of the input, then those of the view. */
static void part_backward(syn_backward_call *call, const syn_op *op)
{
    syn_value attrs[SYN_MAX_DIMS];
    syn_shape shape = syn_tensor_shape(call->inputs[0]);
    attrs[0] = SYN_INTS_OF(shape.dims, shape.ndim);
    memcpy(attrs + 1, call->attrs, (size_t)call->n_attrs * sizeof *attrs);
    call->grad_inputs[0] = syn_call(op, call->grad_outputs, 1, attrs, call->n_attrs + 1);
}

static void slice_backward(syn_backward_call *call)
{
    part_backward(call, &syn_op_slice_backward);
}

#define SPAN_ARGS                                                                             \
    SYN_ARG_OR("dim", INT, SYN_FALLBACK_INT(0)), SYN_ARG_OR("start", INT, SYN_FALLBACK_NONE), \
        SYN_ARG_OR("end", INT, SYN_FALLBACK_NONE), SYN_ARG_OR("step", INT, SYN_FALLBACK_INT(1))

const syn_op syn_op_slice = {
    .name = "slice",
    .doc = "Elements start, start + step, ... before end along an axis.",
    SYN_ARGS(SYN_TENSOR("input"), SPAN_ARGS),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = slice_infer,
    .backward = slice_backward,
    SYN_SAMPLES("(5,3), 0, 1, 4", "(2,5), 1, 0, 5, 2", "(4,2), 0, -3, -1", "(3), 0, 2, 2"),
};

syn_tensor *syn_slice(syn_tensor *x, int dim, int64_t start, int64_t stop, int64_t step)
{
    return syn_call(
        &syn_op_slice, &x, 1,
        (syn_value[]){SYN_INT_OF(dim), SYN_INT_OF(start), SYN_INT_OF(stop), SYN_INT_OF(step)}, 4);
}

/* ---- select ---- */

static syn_status place_of(const syn_op_call *call, const syn_tensor *x, const syn_value *attrs,
                           span *out)
{
    SYN_TRY(syn_infer_dim(call, attrs[0].i, x->ndim, &out->dim));
    if (x->ndim == 0)
        return SYN_OP_FAIL(call, "a tensor without axes has nothing to select");
    int64_t extent = x->dims[out->dim], index = attrs[1].i;
    out->start = index < 0 ? index + extent : index;
    out->step = out->length = 1;
    if (out->start < 0 || out->start >= extent)
        return SYN_OP_FAIL(call, "index %lld is outside axis %d of extent %lld", (long long)index,
                           out->dim, (long long)extent);
    return SYN_OK;
}

static void drop_axis(syn_meta *meta, int dim)
{
    meta->shape.ndim--;
    for (int d = dim; d < meta->shape.ndim; d++) {
        meta->shape.dims[d] = meta->shape.dims[d + 1];
        meta->strides[d] = meta->strides[d + 1];
    }
}

static syn_status select_infer(syn_op_call *call, syn_meta *metas)
{
    span s;
    SYN_TRY(place_of(call, call->inputs[0], call->attrs, &s));
    slice_meta(call->inputs[0], &s, &metas[0]);
    drop_axis(&metas[0], s.dim);
    return SYN_OK;
}

static void select_backward(syn_backward_call *call)
{
    part_backward(call, &syn_op_select_backward);
}

const syn_op syn_op_select = {
    .name = "select",
    .doc = "One place of an axis, without that axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT), SYN_ARG("index", INT)),
    .flags = SYN_OP_VIEW,
    .dtypes = SYN_DTYPES_ALL,
    .infer = select_infer,
    .backward = select_backward,
    SYN_SAMPLES("(2,3), 0, 1", "(2,3), 1, -1", "(3), 0, 0"),
};

syn_tensor *syn_select(syn_tensor *x, int dim, int64_t index)
{
    return syn_call(&syn_op_select, &x, 1, (syn_value[]){SYN_INT_OF(dim), SYN_INT_OF(index)}, 2);
}

/* ---- Backward: zeros of the input's shape, with the gradient in its part ---- */

/* What the part of a dense whole of these extents looks like. */
static syn_status part_of(const syn_op_call *call, bool is_select, syn_meta *part)
{
    const syn_value *sizes = &call->attrs[0];
    syn_tensor whole = {.ndim = (unsigned char)sizes->n, .dtype = call->inputs[0]->dtype};
    int64_t stride = 1;
    span s;
    SYN_TRY(syn_shape_check(sizes->n, sizes->ints, (syn_dtype)whole.dtype, &whole.numel));
    for (int d = sizes->n - 1; d >= 0; d--) {
        whole.dims[d] = sizes->ints[d];
        whole.strides[d] = stride;
        stride *= sizes->ints[d] ? sizes->ints[d] : 1;
    }
    if (is_select)
        SYN_TRY(place_of(call, &whole, call->attrs + 1, &s));
    else
        SYN_TRY(span_of(call, &whole, call->attrs + 1, &s));
    slice_meta(&whole, &s, part);
    if (is_select)
        drop_axis(part, s.dim);
    return SYN_OK;
}

static syn_status part_infer(syn_op_call *call, bool is_select, syn_meta *metas)
{
    const syn_value *sizes = &call->attrs[0];
    const syn_tensor *grad = call->inputs[0];
    syn_meta part;
    SYN_TRY(part_of(call, is_select, &part));
    bool is_same = grad->ndim == part.shape.ndim;
    for (int d = 0; is_same && d < grad->ndim; d++)
        is_same = grad->dims[d] == part.shape.dims[d];
    if (!is_same)
        return SYN_OP_FAIL(call, "the gradient does not have the shape of the part");
    syn_meta_set(&metas[0], (syn_dtype)grad->dtype, sizes->n, sizes->ints);
    return SYN_OK;
}

static syn_status slice_backward_infer(syn_op_call *call, syn_meta *metas)
{
    return part_infer(call, false, metas);
}

static syn_status select_backward_infer(syn_op_call *call, syn_meta *metas)
{
    return part_infer(call, true, metas);
}

static syn_status put_part(syn_op_call *call, bool is_select)
{
    syn_tensor *whole = call->outputs[0];
    syn_meta meta;
    syn_strided it;
    SYN_TRY(part_of(call, is_select, &meta));
    memset(whole->data, 0, (size_t)whole->numel * syn_dtype_size((syn_dtype)whole->dtype));
    syn_tensor *part =
        syn_tensor_view_of(whole, meta.shape.ndim, meta.shape.dims, meta.strides, meta.offset);
    if (!part)
        return SYN_RESOURCE_EXHAUSTED;
    syn_strided_of(&it, part, call->inputs, 1);
    if (part->numel)
        syn_kernels->copy->copy(&it, (syn_dtype)whole->dtype, (syn_dtype)whole->dtype);
    syn_tensor_unref(part);
    return SYN_OK;
}

static syn_status slice_backward_forward(syn_op_call *call)
{
    return put_part(call, false);
}

static void slice_backward_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_call(&syn_op_slice, call->grad_outputs, 1, call->attrs + 1, 4);
}

const syn_op syn_op_slice_backward = {
    .name = "slice_backward",
    .doc = "Zeros of input_sizes with grad_output in the slice.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_ARG("input_sizes", INTS), SPAN_ARGS),
    .flags = SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = slice_backward_infer,
    .forward = slice_backward_forward,
    .backward = slice_backward_backward,
    SYN_SAMPLES("(3,3), [5,3], 0, 1, 4", "(2,3), [2,5], 1, 0, 5, 2"),
};

static syn_status select_backward_forward(syn_op_call *call)
{
    return put_part(call, true);
}

static void select_backward_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_call(&syn_op_select, call->grad_outputs, 1, call->attrs + 1, 2);
}

const syn_op syn_op_select_backward = {
    .name = "select_backward",
    .doc = "Zeros of input_sizes with grad_output at the selected place.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_ARG("input_sizes", INTS), SYN_ARG("dim", INT),
             SYN_ARG("index", INT)),
    .flags = SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = select_backward_infer,
    .forward = select_backward_forward,
    .backward = select_backward_backward,
    SYN_SAMPLES("(3), [2,3], 0, 1"),
};
