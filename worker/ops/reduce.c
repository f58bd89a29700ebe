/* Reductions over axes. */
#include "worker/ops/op_internal.h"

#include <string.h>

/* ---- Which axes ---- */

typedef struct axes {
    bool is_reduced[SYN_MAX_DIMS];
    int64_t n_each; /* elements combined into one */
} axes;

/* `dim` is none, an empty list (both: all axes) or a list; numbers may count from the end. */
static syn_status axes_of(const syn_op_call *call, const syn_value *dim, axes *out)
{
    const syn_tensor *x = call->inputs[0];
    bool is_all = dim->kind == SYN_VALUE_NONE || dim->n == 0;
    out->n_each = 1;
    for (int d = 0; d < x->ndim; d++)
        out->is_reduced[d] = is_all;
    for (int i = 0; !is_all && i < dim->n; i++) {
        int d;
        SYN_TRY(syn_infer_dim(call, dim->ints[i], x->ndim, &d));
        if (x->ndim == 0)
            continue;
        if (out->is_reduced[d])
            return SYN_OP_FAIL(call, "axis %lld is named twice", (long long)dim->ints[i]);
        out->is_reduced[d] = true;
    }
    for (int d = 0; d < x->ndim; d++)
        out->n_each *= out->is_reduced[d] ? x->dims[d] : 1;
    return SYN_OK;
}

static void reduced_shape(const syn_tensor *x, const axes *a, bool keepdim, syn_shape *shape)
{
    shape->ndim = 0;
    for (int d = 0; d < x->ndim; d++)
        if (!a->is_reduced[d])
            shape->dims[shape->ndim++] = x->dims[d];
        else if (keepdim)
            shape->dims[shape->ndim++] = 1;
}

/* Operand 0 is the (dense) output with stride 0 along reduced axes, operand 1 the input. */
static void strided_of(const syn_tensor *out, const syn_tensor *x, const axes *a, syn_strided *it)
{
    int64_t step = (int64_t)syn_dtype_size((syn_dtype)out->dtype);
    int64_t size = (int64_t)syn_dtype_size((syn_dtype)x->dtype);
    it->ndim = x->ndim;
    it->n_operands = 2;
    it->data[0] = out->data;
    it->data[1] = x->data;
    for (int d = x->ndim - 1; d >= 0; d--) {
        it->dims[d] = x->dims[d];
        it->strides[1][d] = x->strides[d] * size;
        it->strides[0][d] = a->is_reduced[d] ? 0 : step;
        step *= a->is_reduced[d] ? 1 : x->dims[d];
    }
}

/* `grad` of the reduced shape, with the reduced axes back as extents of 1. */
static syn_tensor *with_axes(syn_tensor *grad, const syn_tensor *x, const axes *a)
{
    syn_shape shape;
    reduced_shape(x, a, true, &shape);
    return syn_reshape(grad, shape);
}

/* The axes in a backward call, where they were checked before. */
static axes axes_again(const syn_backward_call *call)
{
    axes a;
    syn_op_call forward = {.op = call->op, .inputs = call->inputs, .n_inputs = 1};
    SYN_BUG_ON(axes_of(&forward, &call->attrs[0], &a) != SYN_OK);
    return a;
}

static syn_tensor *spread(const syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    axes a = axes_again(call);
    syn_tensor *grad = with_axes(call->grad_outputs[0], x, &a);
    return syn_expand(grad, syn_tensor_shape(x));
}

#define REDUCE_ARGS                                                           \
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INTS, SYN_FALLBACK_NONE), \
             SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(0)))

static syn_value dims_value(const int *dims, int n, int64_t room[SYN_MAX_DIMS])
{
    n = n < SYN_MAX_DIMS ? n : SYN_MAX_DIMS;
    for (int i = 0; i < n; i++)
        room[i] = dims[i];
    return n ? SYN_INTS_OF(room, n) : SYN_NONE;
}

/* ---- Sums and means ---- */

static syn_status sum_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    axes a;
    SYN_TRY(axes_of(call, &call->attrs[0], &a));
    reduced_shape(x, &a, call->attrs[1].i, &metas[0].shape);
    metas[0].dtype = syn_is_floating(x) ? (syn_dtype)x->dtype : SYN_I64;
    return SYN_OK;
}

static syn_status run_sum(syn_op_call *call, bool is_mean)
{
    axes a;
    syn_strided it;
    SYN_TRY(axes_of(call, &call->attrs[0], &a));
    double scale = is_mean ? 1.0 / (double)a.n_each : 1;
    strided_of(call->outputs[0], call->inputs[0], &a, &it);
    syn_kernels->reduce->sum[call->inputs[0]->dtype](&it, &scale);
    return SYN_OK;
}

static syn_status sum_forward(syn_op_call *call)
{
    return run_sum(call, false);
}

static void sum_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = spread(call);
}

const syn_op syn_op_sum = {
    .name = "sum",
    .doc = "Sums over axes, or over all of them; bool and integers sum into i64.",
    REDUCE_ARGS,
    .dtypes = SYN_DTYPES_REAL,
    .infer = sum_infer,
    .forward = sum_forward,
    .backward = sum_backward,
    SYN_SAMPLES("(2,3)", "(2,3), dim=[0]", "(2,3,4), dim=[-1,0], keepdim=true", "(2,3,4), dim=[1]",
                "()", "(0,3), dim=[0]", "(70,5), dim=[0]", "(5,70), dim=[1]"),
};

syn_tensor *syn_sum_dims(syn_tensor *x, const int *dims, int n_dims, bool keepdim)
{
    int64_t room[SYN_MAX_DIMS];
    syn_value attrs[] = {dims_value(dims, n_dims, room), SYN_BOOL_OF(keepdim)};
    return syn_call(&syn_op_sum, &x, 1, attrs, 2);
}

syn_tensor *syn_sum(syn_tensor *x)
{
    return syn_sum_dims(x, NULL, 0, false);
}

static syn_status mean_forward(syn_op_call *call)
{
    return run_sum(call, true);
}

static void mean_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    axes a = axes_again(call);
    syn_tensor *grad = with_axes(call->grad_outputs[0], x, &a);
    grad = syn_mul_scalar(grad, 1.0 / (double)a.n_each);
    call->grad_inputs[0] = syn_expand(grad, syn_tensor_shape(x));
}

const syn_op syn_op_mean = {
    .name = "mean",
    .doc = "Means over axes, or over all of them.",
    REDUCE_ARGS,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = sum_infer,
    .forward = mean_forward,
    .backward = mean_backward,
    SYN_SAMPLES("(2,3)", "(2,3), dim=[0]", "(2,3,4), dim=[-1,0], keepdim=true"),
};

syn_tensor *syn_mean_dims(syn_tensor *x, const int *dims, int n_dims, bool keepdim)
{
    int64_t room[SYN_MAX_DIMS];
    syn_value attrs[] = {dims_value(dims, n_dims, room), SYN_BOOL_OF(keepdim)};
    return syn_call(&syn_op_mean, &x, 1, attrs, 2);
}

syn_tensor *syn_mean(syn_tensor *x)
{
    return syn_mean_dims(x, NULL, 0, false);
}

/* ---- Extremes ---- */

static syn_status check_not_empty(const syn_op_call *call, const axes *a)
{
    if (a->n_each == 0)
        return SYN_OP_FAIL(call, "the reduced axes have no elements to choose from");
    return SYN_OK;
}

static syn_status amax_infer(syn_op_call *call, syn_meta *metas)
{
    axes a;
    SYN_TRY(axes_of(call, &call->attrs[0], &a));
    SYN_TRY(check_not_empty(call, &a));
    reduced_shape(call->inputs[0], &a, call->attrs[1].i, &metas[0].shape);
    metas[0].dtype = (syn_dtype)call->inputs[0]->dtype;
    return SYN_OK;
}

static syn_status run_extreme(syn_op_call *call, const syn_reduce_fn *kernels)
{
    axes a;
    syn_strided it;
    SYN_TRY(axes_of(call, &call->attrs[0], &a));
    strided_of(call->outputs[0], call->inputs[0], &a, &it);
    kernels[call->inputs[0]->dtype](&it, NULL);
    return SYN_OK;
}

static syn_status amax_forward(syn_op_call *call)
{
    return run_extreme(call, syn_kernels->reduce->amax);
}

static syn_status amin_forward(syn_op_call *call)
{
    return run_extreme(call, syn_kernels->reduce->amin);
}

/* Equal extremes share the gradient evenly, as in PyTorch. */
static void amax_backward(syn_backward_call *call)
{
    syn_tensor *x = call->inputs[0];
    axes a = axes_again(call);
    int dims[SYN_MAX_DIMS], n = 0;
    for (int d = 0; d < x->ndim; d++)
        if (a.is_reduced[d])
            dims[n++] = d;
    syn_tensor *best = with_axes(call->outputs[0], x, &a);
    syn_tensor *wins = syn_to(syn_eq(x, best), (syn_dtype)x->dtype);
    syn_tensor *grad = with_axes(call->grad_outputs[0], x, &a);
    syn_tensor *share = n ? syn_div(grad, syn_sum_dims(wins, dims, n, true)) : grad;
    call->grad_inputs[0] = syn_mul(wins, share);
}

const syn_op syn_op_amax = {
    .name = "amax",
    .doc = "The greatest elements along axes.",
    REDUCE_ARGS,
    .dtypes = SYN_DTYPES_REAL,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_OUTPUT(0),
    .infer = amax_infer,
    .forward = amax_forward,
    .backward = amax_backward,
    SYN_SAMPLES("(2,3)", "(2,3), dim=[0]", "(2,3,4), dim=[-1,0], keepdim=true"),
};

syn_tensor *syn_amax(syn_tensor *x, int dim, bool keepdim)
{
    return syn_call(&syn_op_amax, &x, 1,
                    (syn_value[]){SYN_INTS_OF(&(int64_t){dim}, 1), SYN_BOOL_OF(keepdim)}, 2);
}

const syn_op syn_op_amin = {
    .name = "amin",
    .doc = "The least elements along axes.",
    REDUCE_ARGS,
    .dtypes = SYN_DTYPES_REAL,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_OUTPUT(0),
    .infer = amax_infer,
    .forward = amin_forward,
    .backward = amax_backward,
    SYN_SAMPLES("(2,3)", "(2,3), dim=[0]"),
};

/* ---- Where the extremes are ---- */

/* One axis, or none for the number in the flattened tensor. */
static syn_status one_axis(const syn_op_call *call, axes *a)
{
    const syn_value *dim = &call->attrs[0];
    syn_value list = dim->kind == SYN_VALUE_NONE ? SYN_NONE : SYN_INTS_OF(&dim->i, 1);
    return axes_of(call, &list, a);
}

static syn_status argmax_infer(syn_op_call *call, syn_meta *metas)
{
    axes a;
    SYN_TRY(one_axis(call, &a));
    SYN_TRY(check_not_empty(call, &a));
    reduced_shape(call->inputs[0], &a, call->attrs[1].i, &metas[0].shape);
    metas[0].dtype = SYN_I64;
    return SYN_OK;
}

static syn_status run_arg(syn_op_call *call, const syn_reduce_fn *kernels)
{
    axes a;
    syn_strided it;
    SYN_TRY(one_axis(call, &a));
    strided_of(call->outputs[0], call->inputs[0], &a, &it);
    kernels[call->inputs[0]->dtype](&it, NULL);
    return SYN_OK;
}

static syn_status argmax_forward(syn_op_call *call)
{
    return run_arg(call, syn_kernels->reduce->argmax);
}

static syn_status argmin_forward(syn_op_call *call)
{
    return run_arg(call, syn_kernels->reduce->argmin);
}

#define ARG_ARGS                                                             \
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("dim", INT, SYN_FALLBACK_NONE), \
             SYN_ARG_OR("keepdim", BOOL, SYN_FALLBACK_BOOL(0)))

const syn_op syn_op_argmax = {
    .name = "argmax",
    .doc = "The number of the first greatest element along an axis.",
    ARG_ARGS,
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_REAL,
    .infer = argmax_infer,
    .forward = argmax_forward,
    SYN_SAMPLES("(2,3)", "(2,3), dim=1", "(2,3,4), dim=-2, keepdim=true"),
};

syn_tensor *syn_argmax(syn_tensor *x, int dim)
{
    return syn_call(&syn_op_argmax, &x, 1, (syn_value[]){SYN_INT_OF(dim), SYN_BOOL_OF(0)}, 2);
}

const syn_op syn_op_argmin = {
    .name = "argmin",
    .doc = "The number of the first least element along an axis.",
    ARG_ARGS,
    .flags = SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_REAL,
    .infer = argmax_infer,
    .forward = argmin_forward,
    SYN_SAMPLES("(2,3)", "(2,3), dim=1"),
};
