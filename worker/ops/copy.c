/* Copies: cloning, converting, and joining tensors along an axis. */
#include "worker/ops/op_internal.h"

#include <string.h>

static syn_status copy_to(syn_tensor *to, syn_tensor *from)
{
    syn_strided it;
    syn_strided_of(&it, to, &from, 1);
    syn_kernels->copy->copy(&it, (syn_dtype)to->dtype, (syn_dtype)from->dtype);
    return SYN_OK;
}

/* ---- clone ---- */

static syn_status clone_forward(syn_op_call *call)
{
    return copy_to(call->outputs[0], call->inputs[0]);
}

static void clone_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = call->grad_outputs[0];
}

const syn_op syn_op_clone = {
    .name = "clone",
    .doc = "A dense copy.",
    SYN_ARGS(SYN_TENSOR("input")),
    .dtypes = SYN_DTYPES_ALL,
    .infer = syn_infer_like,
    .forward = clone_forward,
    .backward = clone_backward,
    SYN_SAMPLES("(2,3)", "()", "(0,2)", "(20,30)"),
};

syn_tensor *syn_clone(syn_tensor *x)
{
    return syn_call1(&syn_op_clone, x);
}

static void contiguous_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    call->outputs[0] = syn_is_contiguous(x) ? x : syn_clone(x);
}

const syn_op syn_op_contiguous = {
    .name = "contiguous",
    .doc = "The tensor itself if its elements lie in row-major order, else a copy of which that is "
           "true.",
    SYN_ARGS(SYN_TENSOR("input")),
    .dtypes = SYN_DTYPES_ALL,
    .compose = contiguous_compose,
    SYN_SAMPLES("(2,3)"),
};

syn_tensor *syn_contiguous(syn_tensor *x)
{
    return x && syn_is_contiguous(x) ? x : syn_clone(x);
}

/* ---- to ---- */

static syn_status to_infer(syn_op_call *call, syn_meta *metas)
{
    syn_dtype dtype = call->attrs[0].dtype;
    if ((unsigned)dtype >= SYN_N_DTYPES)
        return SYN_OP_FAIL(call, "there is no dtype number %d", (int)dtype);
    syn_meta_like(&metas[0], call->inputs[0]);
    metas[0].dtype = dtype;
    return SYN_OK;
}

static void to_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_to(call->grad_outputs[0], (syn_dtype)call->inputs[0]->dtype);
}

const syn_op syn_op_to = {
    .name = "to",
    .doc = "Converts the dtype.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dtype", DTYPE)),
    .promotion = SYN_PROMOTE_ANY,
    .dtypes = SYN_DTYPES_ALL,
    .infer = to_infer,
    .forward = clone_forward,
    .backward = to_backward,
    SYN_SAMPLES("(2,3), f64", "(2,3), f32"),
};

syn_tensor *syn_to(syn_tensor *x, syn_dtype dtype)
{
    if (x && x->dtype == (unsigned char)dtype)
        return x;
    return syn_call(&syn_op_to, &x, 1, &SYN_DTYPE_OF(dtype), 1);
}

/* ---- cat and stack ---- */

/* Empty 1-d tensors join anything, as in PyTorch. */
static bool is_nothing(const syn_tensor *x)
{
    return x->ndim == 1 && x->dims[0] == 0;
}

static const syn_tensor *first_of(const syn_op_call *call)
{
    for (int i = 0; i < call->n_inputs; i++)
        if (!is_nothing(call->inputs[i]))
            return call->inputs[i];
    return call->n_inputs ? call->inputs[0] : NULL;
}

static syn_status cat_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *first = first_of(call);
    int dim;
    if (!first)
        return SYN_OP_FAIL(call, "there are no tensors to join");
    if (first->ndim == 0)
        return SYN_OP_FAIL(call, "tensors without axes cannot be joined; use stack");
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, first->ndim, &dim));
    syn_meta_like(&metas[0], first);
    metas[0].shape.dims[dim] = 0;
    for (int i = 0; i < call->n_inputs; i++) {
        const syn_tensor *x = call->inputs[i];
        if (is_nothing(x))
            continue;
        if (x->ndim != first->ndim)
            return SYN_OP_FAIL(call, "tensor %d has %d axes, the first has %d", i, x->ndim,
                               first->ndim);
        for (int d = 0; d < x->ndim; d++)
            if (d != dim && x->dims[d] != first->dims[d])
                return SYN_OP_FAIL(call, "tensor %d has extent %lld in axis %d, the first has %lld",
                                   i, (long long)x->dims[d], d, (long long)first->dims[d]);
        metas[0].shape.dims[dim] += x->dims[dim];
    }
    return SYN_OK;
}

static syn_status cat_forward(syn_op_call *call)
{
    syn_tensor *whole = call->outputs[0];
    int dim;
    int64_t at = 0;
    SYN_TRY(syn_infer_dim(call, call->attrs[0].i, whole->ndim, &dim));
    for (int i = 0; i < call->n_inputs; i++) {
        syn_tensor *x = call->inputs[i];
        if (is_nothing(x))
            continue;
        syn_tensor *part =
            syn_tensor_view_of(whole, x->ndim, x->dims, whole->strides, at * whole->strides[dim]);
        if (!part)
            return SYN_RESOURCE_EXHAUSTED;
        if (x->numel)
            (void)copy_to(part, x);
        syn_tensor_unref(part);
        at += x->dims[dim];
    }
    return SYN_OK;
}

static void cat_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0];
    int64_t dim = call->attrs[0].i, at = 0;
    dim += dim < 0 ? grad->ndim : 0;
    for (int i = 0; i < call->n_inputs; i++) {
        if (is_nothing(call->inputs[i]))
            continue;
        int64_t end = at + call->inputs[i]->dims[dim];
        if (call->needs_grad[i])
            call->grad_inputs[i] = syn_slice(grad, (int)dim, at, end, 1);
        at = end;
    }
}

const syn_op syn_op_cat = {
    .name = "cat",
    .doc = "Joins tensors along an existing axis.",
    SYN_ARGS(SYN_TENSORS("tensors"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_INT(0))),
    .dtypes = SYN_DTYPES_ALL,
    .promotion = SYN_PROMOTE_COMMON,
    .infer = cat_infer,
    .forward = cat_forward,
    .backward = cat_backward,
    SYN_SAMPLES("{(2,3), (1,3)}", "{(2,3), (2,1), (2,2)}, 1", "{(2,3)}, -1", "{(0), (2)}"),
};

syn_tensor *syn_cat(syn_tensor *const *tensors, int n, int dim)
{
    return syn_call(&syn_op_cat, tensors, n, &SYN_INT_OF(dim), 1);
}

static void stack_compose(syn_op_call *call)
{
    enum { MOST = 1024 };
    syn_tensor *columns[MOST];
    int n = call->n_inputs, dim;
    if (n == 0 || n > MOST) {
        (void)syn_stick(SYN_OP_FAIL(call, "%d tensors cannot be stacked; 1 to %d can", n, MOST));
        return;
    }
    if (syn_infer_dim(call, call->attrs[0].i, call->inputs[0]->ndim + 1, &dim) != SYN_OK) {
        (void)syn_stick(SYN_INVALID_ARGUMENT);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (!syn_same_shape(call->inputs[i], call->inputs[0])) {
            (void)syn_stick(SYN_OP_FAIL(call, "tensor %d has another shape than the first", i));
            return;
        }
        columns[i] = syn_unsqueeze(call->inputs[i], dim);
    }
    call->outputs[0] = syn_cat(columns, n, dim);
}

const syn_op syn_op_stack = {
    .name = "stack",
    .doc = "Joins tensors of one shape along a new axis.",
    SYN_ARGS(SYN_TENSORS("tensors"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_INT(0))),
    .dtypes = SYN_DTYPES_ALL,
    .compose = stack_compose,
    SYN_SAMPLES("{(2,3), (2,3)}", "{(2), (2), (2)}, -1", "{(), ()}"),
};

syn_tensor *syn_stack(syn_tensor *const *tensors, int n, int dim)
{
    return syn_call(&syn_op_stack, tensors, n, &SYN_INT_OF(dim), 1);
}
