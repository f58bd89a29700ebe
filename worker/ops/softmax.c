/* Softmax and its logarithm along one axis. */
#include "worker/kernels/softmax.h"
#include "worker/ops/spatial.h"

enum { DIM, DTYPE };

static const syn_softmax_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->softmax[syn_real_index(x)];
}

static syn_softmax_dims dims_of(const syn_tensor *x, int dim)
{
    syn_softmax_dims d = {1, 1, 1};
    for (int axis = 0; axis < x->ndim; axis++)
        *(axis < dim ? &d.outer : axis > dim ? &d.inner : &d.n) *= x->dims[axis];
    return d;
}

/* The axis of a call whose shape has been checked. */
static int axis_of(int64_t dim, const syn_tensor *x)
{
    return (int)(dim < 0 && x->ndim ? dim + x->ndim : dim < 0 ? 0 : dim);
}

/* Result dtype: `dtype` if given, else the input's. */
static syn_status softmax_infer(syn_op_call *call, syn_meta *metas)
{
    int dim;
    const syn_tensor *x = call->inputs[0];
    const syn_value *dtype = &call->attrs[DTYPE];
    SYN_TRY(syn_infer_dim(call, call->attrs[DIM].i, x->ndim, &dim));
    syn_meta_like(&metas[0], x);
    if (dtype->kind == SYN_VALUE_DTYPE)
        metas[0].dtype = dtype->dtype;
    if (!(SYN_DTYPES_FLOAT >> metas[0].dtype & 1))
        return SYN_OP_FAIL(call, "the input is %s; give a floating dtype to convert it to",
                           syn_dtype_name(metas[0].dtype));
    return SYN_OK;
}

static syn_tensor *converted(const syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    return x->dtype == call->outputs[0]->dtype ? x : syn_to(x, (syn_dtype)call->outputs[0]->dtype);
}

static syn_status softmax_forward(syn_op_call *call)
{
    syn_tensor *x = converted(call), *y = call->outputs[0];
    if (!x)
        return syn_error_status();
    syn_softmax_dims d = dims_of(x, axis_of(call->attrs[DIM].i, x));
    kernels_of(x)->softmax(&d, x->data, y->data);
    return SYN_OK;
}

/* The gradient in the input's own dtype. */
static syn_tensor *gradient(const syn_op *op, const syn_backward_call *call)
{
    syn_tensor *grad =
        syn_call(op, (syn_tensor *[]){call->grad_outputs[0], call->outputs[0]}, 2, call->attrs, 1);
    const syn_tensor *x = call->inputs[0];
    return grad && grad->dtype != x->dtype ? syn_to(grad, (syn_dtype)x->dtype) : grad;
}

static void softmax_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] = gradient(&syn_op_softmax_backward, call);
}

const syn_op syn_op_softmax = {
    .name = "softmax",
    .doc = "exp(x) over its sum along an axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT),
             SYN_ARG_OR("dtype", DTYPE, SYN_FALLBACK_NONE)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_REAL,
    .saves = SYN_SAVE_OUTPUT(0),
    .infer = softmax_infer,
    .forward = softmax_forward,
    .backward = softmax_backward,
    SYN_SAMPLES("(3,5), dim=-1", "(2,4,3), dim=1", "(4,2), dim=0", "(), dim=0"),
};

static syn_status backward_infer(syn_op_call *call, syn_meta *metas)
{
    int dim;
    if (!syn_same_shape(call->inputs[0], call->inputs[1]))
        return SYN_OP_FAIL(call, "the gradient and the output differ in shape");
    SYN_TRY(syn_infer_dim(call, call->attrs[DIM].i, call->inputs[0]->ndim, &dim));
    return syn_infer_like(call, metas);
}

static syn_status softmax_backward_forward(syn_op_call *call)
{
    const syn_tensor *grad = call->inputs[0];
    syn_softmax_dims d = dims_of(grad, axis_of(call->attrs[DIM].i, grad));
    kernels_of(grad)->softmax_backward(&d, grad->data, call->inputs[1]->data,
                                       call->outputs[0]->data);
    return SYN_OK;
}

static syn_tensor *sum_along(syn_tensor *x, const syn_value *dim)
{
    int axis = x ? axis_of(dim->i, x) : 0;
    return x && x->ndim ? syn_sum_dims(x, &axis, 1, true) : x;
}

/* r = y (g - sum(g y)). By g it is its own adjoint; by y, with u the gradient of r: u (g - sum(g
 * y)) - g sum(u y). */
static void softmax_backward_backward(syn_backward_call *call)
{
    syn_tensor *u = call->grad_outputs[0], *g = call->inputs[0], *y = call->inputs[1];
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            syn_call(&syn_op_softmax_backward, (syn_tensor *[]){u, y}, 2, call->attrs, 1);
    if (!call->needs_grad[1])
        return;
    syn_tensor *direct = syn_mul(u, syn_sub(g, sum_along(syn_mul(g, y), call->attrs)));
    call->grad_inputs[1] = syn_sub(direct, syn_mul(g, sum_along(syn_mul(u, y), call->attrs)));
}

const syn_op syn_op_softmax_backward = {
    .name = "softmax_backward",
    .doc = "The gradient of softmax by its input, from its output.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("output"), SYN_ARG("dim", INT)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS,
    .infer = backward_infer,
    .forward = softmax_backward_forward,
    .backward = softmax_backward_backward,
    SYN_SAMPLES("(3,5), (3,5), dim=-1", "(2,4,3), (2,4,3), dim=1"),
};

static syn_tensor *call_softmax(const syn_op *op, syn_tensor *x, int dim)
{
    return syn_call(op, &x, 1, (const syn_value[]){SYN_INT_OF(dim), SYN_NONE}, 2);
}

syn_tensor *syn_softmax(syn_tensor *x, int dim)
{
    return call_softmax(&syn_op_softmax, x, dim);
}

/* ---- The logarithm ---- */

static syn_status log_softmax_forward(syn_op_call *call)
{
    syn_tensor *x = converted(call), *y = call->outputs[0];
    if (!x)
        return syn_error_status();
    syn_softmax_dims d = dims_of(x, axis_of(call->attrs[DIM].i, x));
    kernels_of(x)->log_softmax(&d, x->data, y->data);
    return SYN_OK;
}

static void log_softmax_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] = gradient(&syn_op_log_softmax_backward, call);
}

const syn_op syn_op_log_softmax = {
    .name = "log_softmax",
    .doc = "x - log(sum(exp(x))) along an axis.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT),
             SYN_ARG_OR("dtype", DTYPE, SYN_FALLBACK_NONE)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_REAL,
    .saves = SYN_SAVE_OUTPUT(0),
    .infer = softmax_infer,
    .forward = log_softmax_forward,
    .backward = log_softmax_backward,
    SYN_SAMPLES("(3,5), dim=-1", "(2,4,3), dim=1", "(4,2), dim=0", "(), dim=0"),
};

static syn_status log_softmax_backward_forward(syn_op_call *call)
{
    const syn_tensor *grad = call->inputs[0];
    syn_softmax_dims d = dims_of(grad, axis_of(call->attrs[DIM].i, grad));
    kernels_of(grad)->log_softmax_backward(&d, grad->data, call->inputs[1]->data,
                                           call->outputs[0]->data);
    return SYN_OK;
}

/* r = g - exp(y) sum(g). By g: u - sum(u exp(y)); by y: -u exp(y) sum(g). */
static void log_softmax_backward_backward(syn_backward_call *call)
{
    syn_tensor *u = call->grad_outputs[0], *g = call->inputs[0];
    syn_tensor *weighted = syn_mul(u, syn_exp(call->inputs[1]));
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_sub(u, sum_along(weighted, call->attrs));
    if (call->needs_grad[1])
        call->grad_inputs[1] = syn_neg(syn_mul(weighted, sum_along(g, call->attrs)));
}

const syn_op syn_op_log_softmax_backward = {
    .name = "log_softmax_backward",
    .doc = "The gradient of log_softmax by its input, from its output.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("output"), SYN_ARG("dim", INT)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS,
    .infer = backward_infer,
    .forward = log_softmax_backward_forward,
    .backward = log_softmax_backward_backward,
    SYN_SAMPLES("(3,5), (3,5), dim=-1", "(2,4,3), (2,4,3), dim=1"),
};

syn_tensor *syn_log_softmax(syn_tensor *x, int dim)
{
    return call_softmax(&syn_op_log_softmax, x, dim);
}

static void softmin_compose(syn_op_call *call)
{
    syn_tensor *x = syn_neg(call->inputs[0]);
    call->outputs[0] = x ? syn_call(&syn_op_softmax, &x, 1, call->attrs, 2) : NULL;
}

const syn_op syn_op_softmin = {
    .name = "softmin",
    .doc = "softmax(-x).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("dim", INT),
             SYN_ARG_OR("dtype", DTYPE, SYN_FALLBACK_NONE)),
    .dtypes = SYN_DTYPES_REAL,
    .compose = softmin_compose,
    SYN_SAMPLES("(3,5), dim=-1"),
};
