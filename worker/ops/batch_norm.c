/* Batch normalisation (Ioffe and Szegedy, 2015): by the batch in training, by running statistics in
 * evaluation. */
#include "worker/kernels/norm.h"
#include "worker/ops/spatial.h"

enum { X, RUNNING_MEAN, RUNNING_VAR, WEIGHT, BIAS };
enum { TRAINING, MOMENTUM, EPS };

static const syn_norm_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->norm[syn_real_index(x)];
}

static void *data_or_null(const syn_tensor *x)
{
    return x ? x->data : NULL;
}

/* x (N, C, ...) */
static syn_norm_dims dims_of(const syn_tensor *x)
{
    syn_norm_dims d = {.n = x->dims[0], .channels = x->dims[1], .inner = 1, .groups = 1};
    for (int axis = 2; axis < x->ndim; axis++)
        d.inner *= x->dims[axis];
    return d;
}

static syn_status batch_norm_infer(syn_op_call *call, syn_meta *metas)
{
    static const char *const names[] = {"input", "running_mean", "running_var", "weight", "bias"};
    const syn_tensor *x = call->inputs[X];
    bool is_training = call->attrs[TRAINING].i != 0;
    if (x->ndim < 2)
        return SYN_OP_FAIL(call, "the input has %d axes; (N, C, ...) is needed", x->ndim);
    for (int i = RUNNING_MEAN; i <= BIAS; i++) {
        const syn_tensor *p = call->inputs[i];
        if (p && (p->ndim != 1 || p->dims[0] != x->dims[1]))
            return SYN_OP_FAIL(call, "%s has to be of shape (%lld)", names[i],
                               (long long)x->dims[1]);
        if (p && i <= RUNNING_VAR && !syn_is_contiguous(p))
            return SYN_OP_FAIL(call, "%s has to be contiguous", names[i]);
    }
    if (!is_training && (!call->inputs[RUNNING_MEAN] || !call->inputs[RUNNING_VAR]))
        return SYN_OP_FAIL(call, "evaluation needs running_mean and running_var");
    syn_norm_dims d = dims_of(x);
    if (is_training && d.n * d.inner == 1)
        return SYN_OP_FAIL(call, "training needs more than one value a channel");
    syn_meta_like(&metas[0], x);
    syn_meta_set(&metas[1], (syn_dtype)x->dtype, 1, &x->dims[1]);
    metas[2] = metas[1];
    return SYN_OK;
}

/* The batch's statistics into mean and rstd, and into the running ones: those take the unbiased
 * variance. */
static void measure(syn_op_call *call, const syn_norm_dims *d, void *mean, void *rstd)
{
    const syn_norm_kernels *kernels = kernels_of(call->inputs[X]);
    syn_tensor *running_mean = call->inputs[RUNNING_MEAN], *running_var = call->inputs[RUNNING_VAR];
    double momentum = syn_value_number(&call->attrs[MOMENTUM]), n = (double)(d->n * d->inner);
    kernels->batch_stats(d, call->inputs[X]->data, mean, rstd); /* rstd holds the variance */
    if (running_mean) {
        kernels->batch_track(d->channels, (const double[]){momentum, 1}, mean, running_mean->data);
        syn_tensor_bump_version(running_mean, "batch_norm");
    }
    if (running_var) {
        kernels->batch_track(d->channels, (const double[]){momentum, n / (n - 1)}, rstd,
                             running_var->data);
        syn_tensor_bump_version(running_var, "batch_norm");
    }
    kernels->batch_rstd(d->channels, syn_value_number(&call->attrs[EPS]), rstd, rstd);
}

static syn_status batch_norm_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[X];
    const syn_norm_kernels *kernels = kernels_of(x);
    syn_norm_dims d = dims_of(x);
    void *mean = call->outputs[1]->data, *rstd = call->outputs[2]->data;
    if (d.n * d.inner == 0)
        return SYN_OK;
    if (call->attrs[TRAINING].i) {
        measure(call, &d, mean, rstd);
    } else {
        SYN_TRY(syn_tensor_read(call->inputs[RUNNING_MEAN], mean));
        kernels->batch_rstd(d.channels, syn_value_number(&call->attrs[EPS]),
                            call->inputs[RUNNING_VAR]->data, rstd);
    }
    kernels->batch_apply(&d, &(syn_norm_forward){.x = x->data,
                                                 .weight = data_or_null(call->inputs[WEIGHT]),
                                                 .bias = data_or_null(call->inputs[BIAS]),
                                                 .y = call->outputs[0]->data,
                                                 .mean = mean,
                                                 .rstd = rstd});
    return SYN_OK;
}

/* A statistic or parameter (C) beside x as (N, C, inner). */
static syn_tensor *beside(syn_tensor *p)
{
    return syn_unsqueeze(p, -1);
}

/* The gradient by operators, for those who differentiate it again. */
static void by_operators(syn_backward_call *call)
{
    static const int axes[] = {0, 2};
    syn_tensor *x = call->inputs[X], *weight = call->inputs[WEIGHT], *centred, *rstd;
    syn_norm_dims d = dims_of(x);
    syn_shape flat = SYN_SHAPE(d.n, d.channels, d.inner), shape = {.ndim = x->ndim};
    for (int axis = 0; axis < x->ndim; axis++)
        shape.dims[axis] = x->dims[axis];
    syn_tensor *grad = syn_reshape(call->grad_outputs[0], flat), *y = syn_reshape(x, flat);
    bool is_training = call->attrs[TRAINING].i != 0;
    if (is_training) {
        centred = syn_sub(y, syn_mean_dims(y, axes, 2, true));
        syn_tensor *variance = syn_mean_dims(syn_square(centred), axes, 2, true);
        rstd = syn_rsqrt(syn_add_scalar(variance, syn_value_number(&call->attrs[EPS])));
    } else {
        centred = syn_sub(y, beside(call->outputs[1]));
        rstd = beside(call->outputs[2]);
    }
    syn_tensor *h = syn_mul(centred, rstd), *g = weight ? syn_mul(grad, beside(weight)) : grad;
    if (call->inputs[WEIGHT] && call->needs_grad[WEIGHT])
        call->grad_inputs[WEIGHT] = syn_sum_dims(syn_mul(grad, h), axes, 2, false);
    if (call->inputs[BIAS] && call->needs_grad[BIAS])
        call->grad_inputs[BIAS] = syn_sum_dims(grad, axes, 2, false);
    if (!call->needs_grad[X])
        return;
    if (is_training) {
        syn_tensor *mean_gh = syn_mean_dims(syn_mul(g, h), axes, 2, true);
        g = syn_sub(syn_sub(g, syn_mean_dims(g, axes, 2, true)), syn_mul(h, mean_gh));
    }
    call->grad_inputs[X] = syn_reshape(syn_mul(g, rstd), shape);
}

static void batch_norm_backward(syn_backward_call *call)
{
    syn_tensor *results[3];
    syn_outputs outputs = {results, 3, 0};
    syn_tensor *const inputs[] = {call->grad_outputs[0], call->inputs[X], call->outputs[1],
                                  call->outputs[2], call->inputs[WEIGHT]};
    if (syn_grad_is_enabled()) {
        by_operators(call);
        return;
    }
    if (!syn_call_outputs(&syn_op_batch_norm_backward, inputs, 5, call->attrs, 1, &outputs))
        return;
    static const int targets[] = {X, WEIGHT, BIAS};
    for (int i = 0; i < 3; i++)
        if (call->inputs[targets[i]] && call->needs_grad[targets[i]])
            call->grad_inputs[targets[i]] = results[i];
}

const syn_op syn_op_batch_norm = {
    .name = "batch_norm",
    .doc = "Normalises each channel of (N, C, ...) over the batch; in training updates "
           "running_mean and running_var in place.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_OPTIONAL_TENSOR("running_mean"),
             SYN_OPTIONAL_TENSOR("running_var"), SYN_OPTIONAL_TENSOR("weight"),
             SYN_OPTIONAL_TENSOR("bias"), SYN_ARG_OR("training", BOOL, SYN_FALLBACK_BOOL(false)),
             SYN_ARG_OR("momentum", FLOAT, SYN_FALLBACK_FLOAT(0.1)),
             SYN_ARG_OR("eps", FLOAT, SYN_FALLBACK_FLOAT(1e-5))),
    .n_outputs = 1,
    .n_extra = 2,
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(X) | SYN_SAVE_INPUT(WEIGHT) | SYN_SAVE_OUTPUT(1) | SYN_SAVE_OUTPUT(2),
    .infer = batch_norm_infer,
    .forward = batch_norm_forward,
    .backward = batch_norm_backward,
    SYN_SAMPLES("(4,3,2,2), none, none, none, none, training=true",
                "(5,3), none, none, (3), (3), training=true",
                "(2,3,4), none, none, (3), none, training=true, eps=0.1"),
};

static syn_status batch_norm_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[1];
    if (x->ndim < 2 || !syn_same_shape(call->inputs[0], x))
        return SYN_OP_FAIL(call, "the gradient and the input differ in shape");
    for (int i = 2; i < 5; i++)
        if (call->inputs[i] && call->inputs[i]->numel != x->dims[1])
            return SYN_OP_FAIL(call, "the statistics are not those of %lld channels",
                               (long long)x->dims[1]);
    syn_meta_like(&metas[0], x);
    syn_meta_set(&metas[1], (syn_dtype)x->dtype, 1, &x->dims[1]);
    metas[2] = metas[1];
    return SYN_OK;
}

static syn_status batch_norm_backward_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[1];
    syn_norm_dims d = dims_of(x);
    return kernels_of(x)->batch_backward(&d, call->attrs[0].i != 0,
                                         &(syn_norm_backward){
                                             .grad_y = call->inputs[0]->data,
                                             .x = x->data,
                                             .mean = call->inputs[2]->data,
                                             .rstd = call->inputs[3]->data,
                                             .weight = data_or_null(call->inputs[4]),
                                             .grad_x = call->outputs[0]->data,
                                             .grad_weight = call->outputs[1]->data,
                                             .grad_bias = call->outputs[2]->data,
                                         });
}

const syn_op syn_op_batch_norm_backward = {
    .name = "batch_norm_backward",
    .doc = "The gradients of batch_norm by input, weight and bias, in one pass.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"), SYN_TENSOR("mean"), SYN_TENSOR("rstd"),
             SYN_OPTIONAL_TENSOR("weight"), SYN_ARG("training", BOOL)),
    .n_outputs = 3,
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = batch_norm_backward_infer,
    .forward = batch_norm_backward_forward,
};

syn_tensor *syn_batch_norm(syn_tensor *x, syn_tensor *weight, syn_tensor *bias,
                           syn_tensor *running_mean, syn_tensor *running_var, bool training,
                           double momentum, double eps)
{
    return syn_call(
        &syn_op_batch_norm, (syn_tensor *[]){x, running_mean, running_var, weight, bias}, 5,
        (const syn_value[]){SYN_BOOL_OF(training), SYN_FLOAT_OF(momentum), SYN_FLOAT_OF(eps)}, 3);
}
