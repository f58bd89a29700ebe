/* Layer, group and batch normalisation. The backward kernels are used where nobody differentiates
 * the gradient again; else the gradient is written with operators. */
#include "worker/kernels/norm.h"
#include "worker/ops/spatial.h"

static const syn_norm_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->norm[syn_real_index(x)];
}

static void *data_or_null(const syn_tensor *x)
{
    return x ? x->data : NULL;
}

static syn_status check_affine(const syn_op_call *call, const syn_tensor *x, const char *name,
                               int ndim, const int64_t *dims)
{
    bool fits = !x || x->ndim == ndim;
    for (int axis = 0; x && fits && axis < ndim; axis++)
        fits = x->dims[axis] == dims[axis];
    char text[128];
    return fits ? SYN_OK
                : SYN_OP_FAIL(call, "the %s has to be of shape %s", name,
                              syn_shape_format(text, sizeof text, ndim, dims));
}

/* ---- The gradient by operators ---- */

/* With h = (x - mean) rstd over `axes` and g the gradient of h: grad_x = rstd (g - mean(g) - h
 * mean(g h)). */
typedef struct normalised {
    syn_tensor *h, *rstd;
} normalised;

static normalised normalise(syn_tensor *x, const int *axes, int n_axes, double eps)
{
    syn_tensor *centred = syn_sub(x, syn_mean_dims(x, axes, n_axes, true));
    syn_tensor *variance = syn_mean_dims(syn_square(centred), axes, n_axes, true);
    syn_tensor *rstd = syn_rsqrt(syn_add_scalar(variance, eps));
    return (normalised){syn_mul(centred, rstd), rstd};
}

static syn_tensor *normalised_gradient(normalised n, syn_tensor *g, const int *axes, int n_axes)
{
    syn_tensor *mean_g = syn_mean_dims(g, axes, n_axes, true);
    syn_tensor *mean_gh = syn_mean_dims(syn_mul(g, n.h), axes, n_axes, true);
    syn_tensor *rest = syn_sub(syn_sub(g, mean_g), syn_mul(n.h, mean_gh));
    return syn_mul(rest, n.rstd);
}

/* Sets grad_inputs[first ..] to what the fused operator returned, where needed. */
static void take_gradients(syn_backward_call *call, syn_tensor *const *results, const int inputs[3])
{
    for (int i = 0; i < 3; i++)
        if (inputs[i] < call->n_inputs && call->needs_grad[inputs[i]])
            call->grad_inputs[inputs[i]] = results[i];
}

/* One of the fused backward operators: gradients of x, weight and bias. */
static bool call_fused(const syn_op *op, syn_tensor *const inputs[5], const syn_value *attrs,
                       int n_attrs, syn_tensor *results[3])
{
    syn_outputs outputs = {results, 3, 0};
    return syn_call_outputs(op, inputs, 5, attrs, n_attrs, &outputs);
}

/* Outputs of a fused backward operator: x's shape, and twice one parameter for each channel. */
static void fused_metas(const syn_op_call *call, int64_t channels, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[1];
    syn_meta_like(&metas[0], x);
    for (int i = 1; i < 3; i++)
        syn_meta_set(&metas[i], (syn_dtype)x->dtype, 1, &channels);
}

static syn_norm_backward fused_arrays(const syn_op_call *call)
{
    return (syn_norm_backward){.grad_y = call->inputs[0]->data,
                               .x = call->inputs[1]->data,
                               .mean = call->inputs[2]->data,
                               .rstd = call->inputs[3]->data,
                               .weight = data_or_null(call->inputs[4]),
                               .grad_x = call->outputs[0]->data,
                               .grad_weight = call->outputs[1]->data,
                               .grad_bias = call->outputs[2]->data};
}

#define FUSED_ARGS                                                                          \
    SYN_TENSOR("grad_output"), SYN_TENSOR("input"), SYN_TENSOR("mean"), SYN_TENSOR("rstd"), \
        SYN_OPTIONAL_TENSOR("weight")

/* ---- layer_norm ---- */

/* The normalised axes as one of `channels` elements, the others as n rows. */
static syn_norm_dims layer_dims(const syn_tensor *x, int n_axes)
{
    syn_norm_dims d = {.n = 1, .channels = 1, .inner = 1, .groups = 1};
    for (int axis = 0; axis < x->ndim; axis++)
        *(axis < x->ndim - n_axes ? &d.n : &d.channels) *= x->dims[axis];
    return d;
}

static syn_status layer_norm_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    int64_t one[1];
    const syn_value *shape = &call->attrs[0];
    int n_axes = shape->kind == SYN_VALUE_INT ? 1 : shape->n;
    const int64_t *axes = shape->kind == SYN_VALUE_INT ? one : shape->ints;
    one[0] = shape->i;
    bool fits = n_axes >= 1 && n_axes <= x->ndim;
    for (int axis = 0; fits && axis < n_axes; axis++)
        fits = x->dims[x->ndim - n_axes + axis] == axes[axis];
    char text[128];
    if (!fits)
        return SYN_OP_FAIL(call, "the input's last axes are not normalized_shape %s",
                           syn_shape_format(text, sizeof text, n_axes, axes));
    SYN_TRY(check_affine(call, call->inputs[1], "weight", n_axes, axes));
    SYN_TRY(check_affine(call, call->inputs[2], "bias", n_axes, axes));
    int64_t n = layer_dims(x, n_axes).n;
    syn_meta_like(&metas[0], x);
    syn_meta_set(&metas[1], (syn_dtype)x->dtype, 1, &n);
    metas[2] = metas[1];
    return SYN_OK;
}

static int layer_axes(const syn_value *shape)
{
    return shape->kind == SYN_VALUE_INT ? 1 : shape->n;
}

static syn_status layer_norm_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    syn_norm_dims d = layer_dims(x, layer_axes(&call->attrs[0]));
    kernels_of(x)->layer(&d, &(syn_norm_forward){.x = x->data,
                                                 .weight = data_or_null(call->inputs[1]),
                                                 .bias = data_or_null(call->inputs[2]),
                                                 .eps = syn_value_number(&call->attrs[1]),
                                                 .y = call->outputs[0]->data,
                                                 .mean = call->outputs[1]->data,
                                                 .rstd = call->outputs[2]->data});
    return SYN_OK;
}

static void layer_norm_by_operators(syn_backward_call *call, int n_axes)
{
    syn_tensor *grad = call->grad_outputs[0], *x = call->inputs[0], *weight = call->inputs[1];
    int axes[SYN_MAX_DIMS], leading[SYN_MAX_DIMS], n_leading = x->ndim - n_axes;
    for (int i = 0; i < x->ndim; i++)
        *(i < n_leading ? &leading[i] : &axes[i - n_leading]) = i;
    normalised n = normalise(x, axes, n_axes, syn_value_number(&call->attrs[1]));
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            normalised_gradient(n, weight ? syn_mul(grad, weight) : grad, axes, n_axes);
    syn_tensor *by_weight = syn_mul(grad, n.h);
    if (weight && call->needs_grad[1]) /* summed to the weight's shape by the engine */
        call->grad_inputs[1] = by_weight;
    if (call->inputs[2] && call->needs_grad[2])
        call->grad_inputs[2] = n_leading ? syn_sum_dims(grad, leading, n_leading, false) : grad;
}

static void layer_norm_backward(syn_backward_call *call)
{
    int n_axes = layer_axes(&call->attrs[0]);
    syn_tensor *x = call->inputs[0], *weight = call->inputs[1], *results[3];
    if (syn_grad_is_enabled()) {
        layer_norm_by_operators(call, n_axes);
        return;
    }
    syn_tensor *const inputs[] = {call->grad_outputs[0], x, call->outputs[1], call->outputs[2],
                                  weight};
    if (!call_fused(&syn_op_layer_norm_backward, inputs, (const syn_value[]){SYN_INT_OF(n_axes)}, 1,
                    results))
        return;
    syn_shape shape = {.ndim = n_axes};
    for (int axis = 0; axis < n_axes; axis++)
        shape.dims[axis] = x->dims[x->ndim - n_axes + axis];
    for (int i = 1; i < 3 && n_axes > 1; i++)
        results[i] = syn_reshape(results[i], shape);
    take_gradients(call, results, (const int[]){0, 1, 2});
}

const syn_op syn_op_layer_norm = {
    .name = "layer_norm",
    .doc = "Subtracts the mean over the last axes, divides by the standard deviation, scales and "
           "shifts (Ba et al., 2016).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("normalized_shape", INTS), SYN_OPTIONAL_TENSOR("weight"),
             SYN_OPTIONAL_TENSOR("bias"), SYN_ARG_OR("eps", FLOAT, SYN_FALLBACK_FLOAT(1e-5))),
    .n_outputs = 1,
    .n_extra = 2, /* mean and 1 / standard deviation of each row */
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_INPUT(1) | SYN_SAVE_OUTPUT(1) | SYN_SAVE_OUTPUT(2),
    .infer = layer_norm_infer,
    .forward = layer_norm_forward,
    .backward = layer_norm_backward,
    SYN_SAMPLES("(4,5), normalized_shape=[5]", "(2,3,6), [6], (6), (6)",
                "(2,3,4), [3,4], (3,4), (3,4), eps=0.1", "(3,4), [4], (4)"),
};

static syn_status layer_norm_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[1];
    int64_t n_axes = call->attrs[0].i;
    if (n_axes < 1 || n_axes > x->ndim || !syn_same_shape(call->inputs[0], x))
        return SYN_OP_FAIL(call, "the gradient and the input differ in shape");
    syn_norm_dims d = layer_dims(x, (int)n_axes);
    if (call->inputs[2]->numel != d.n || call->inputs[3]->numel != d.n ||
        (call->inputs[4] && call->inputs[4]->numel != d.channels))
        return SYN_OP_FAIL(call, "the statistics are not those of %lld rows", (long long)d.n);
    fused_metas(call, d.channels, metas);
    return SYN_OK;
}

static syn_status layer_norm_backward_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[1];
    syn_norm_dims d = layer_dims(x, (int)call->attrs[0].i);
    syn_norm_backward arrays = fused_arrays(call);
    return kernels_of(x)->layer_backward(&d, &arrays);
}

const syn_op syn_op_layer_norm_backward = {
    .name = "layer_norm_backward",
    .doc = "The gradients of layer_norm by input, weight and bias, in one pass.",
    SYN_ARGS(FUSED_ARGS, SYN_ARG("n_axes", INT)),
    .n_outputs = 3,
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = layer_norm_backward_infer,
    .forward = layer_norm_backward_forward,
};

syn_tensor *syn_layer_norm(syn_tensor *x, int n_dims, syn_tensor *weight, syn_tensor *bias,
                           double eps)
{
    if (!x)
        return NULL;
    int n = n_dims < 0 ? 0 : n_dims > x->ndim ? x->ndim : n_dims;
    return syn_call(&syn_op_layer_norm, (syn_tensor *[]){x, weight, bias}, 3,
                    (const syn_value[]){SYN_INTS_OF(x->dims + x->ndim - n, n), SYN_FLOAT_OF(eps)},
                    2);
}

/* ---- group_norm ---- */

/* x (N, C, ...) */
static syn_norm_dims channel_dims(const syn_tensor *x, int64_t groups)
{
    syn_norm_dims d = {.n = x->dims[0], .channels = x->dims[1], .inner = 1, .groups = groups};
    for (int axis = 2; axis < x->ndim; axis++)
        d.inner *= x->dims[axis];
    return d;
}

static syn_status group_norm_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0];
    int64_t groups = call->attrs[0].i;
    if (x->ndim < 2)
        return SYN_OP_FAIL(call, "the input has %d axes; (N, C, ...) is needed", x->ndim);
    if (groups < 1 || x->dims[1] % groups)
        return SYN_OP_FAIL(call, "%lld channels do not divide into %lld groups",
                           (long long)x->dims[1], (long long)groups);
    SYN_TRY(check_affine(call, call->inputs[1], "weight", 1, &x->dims[1]));
    SYN_TRY(check_affine(call, call->inputs[2], "bias", 1, &x->dims[1]));
    syn_meta_like(&metas[0], x);
    syn_meta_set(&metas[1], (syn_dtype)x->dtype, 2, (const int64_t[]){x->dims[0], groups});
    metas[2] = metas[1];
    return SYN_OK;
}

static syn_status group_norm_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0];
    syn_norm_dims d = channel_dims(x, call->attrs[0].i);
    kernels_of(x)->group(&d, &(syn_norm_forward){.x = x->data,
                                                 .weight = data_or_null(call->inputs[1]),
                                                 .bias = data_or_null(call->inputs[2]),
                                                 .eps = syn_value_number(&call->attrs[1]),
                                                 .y = call->outputs[0]->data,
                                                 .mean = call->outputs[1]->data,
                                                 .rstd = call->outputs[2]->data});
    return SYN_OK;
}

static syn_shape shape_of(const syn_tensor *x)
{
    syn_shape shape = {.ndim = x->ndim};
    for (int axis = 0; axis < x->ndim; axis++)
        shape.dims[axis] = x->dims[axis];
    return shape;
}

/* Gradients of weight and bias from those of each element, both (N, C, inner). */
static void take_affine_gradients(syn_backward_call *call, const int inputs[2], syn_tensor *grad,
                                  syn_tensor *h)
{
    static const int axes[] = {0, 2};
    if (call->inputs[inputs[0]] && call->needs_grad[inputs[0]])
        call->grad_inputs[inputs[0]] = syn_sum_dims(syn_mul(grad, h), axes, 2, false);
    if (call->inputs[inputs[1]] && call->needs_grad[inputs[1]])
        call->grad_inputs[inputs[1]] = syn_sum_dims(grad, axes, 2, false);
}

static void group_norm_by_operators(syn_backward_call *call)
{
    syn_tensor *x = call->inputs[0], *weight = call->inputs[1];
    syn_norm_dims d = channel_dims(x, call->attrs[0].i);
    syn_shape flat = SYN_SHAPE(d.n, d.channels, d.inner);
    syn_shape grouped = SYN_SHAPE(d.n, d.groups, d.channels / d.groups * d.inner);
    syn_tensor *grad = syn_reshape(call->grad_outputs[0], flat);
    normalised n =
        normalise(syn_reshape(x, grouped), (const int[]){2}, 1, syn_value_number(&call->attrs[1]));
    if (call->needs_grad[0]) {
        syn_tensor *g = weight ? syn_mul(grad, syn_unsqueeze(weight, -1)) : grad;
        g = normalised_gradient(n, syn_reshape(g, grouped), (const int[]){2}, 1);
        call->grad_inputs[0] = syn_reshape(g, shape_of(x));
    }
    take_affine_gradients(call, (const int[]){1, 2}, grad, syn_reshape(n.h, flat));
}

static void group_norm_backward(syn_backward_call *call)
{
    syn_tensor *results[3];
    syn_tensor *const inputs[] = {call->grad_outputs[0], call->inputs[0], call->outputs[1],
                                  call->outputs[2], call->inputs[1]};
    if (syn_grad_is_enabled())
        group_norm_by_operators(call);
    else if (call_fused(&syn_op_group_norm_backward, inputs, call->attrs, 1, results))
        take_gradients(call, results, (const int[]){0, 1, 2});
}

const syn_op syn_op_group_norm = {
    .name = "group_norm",
    .doc = "Normalises runs of channels of each sample (N, C, ...) (Wu and He, 2018).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("num_groups", INT), SYN_OPTIONAL_TENSOR("weight"),
             SYN_OPTIONAL_TENSOR("bias"), SYN_ARG_OR("eps", FLOAT, SYN_FALLBACK_FLOAT(1e-5))),
    .n_outputs = 1,
    .n_extra = 2,
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_INPUT(1) | SYN_SAVE_OUTPUT(1) | SYN_SAVE_OUTPUT(2),
    .infer = group_norm_infer,
    .forward = group_norm_forward,
    .backward = group_norm_backward,
    SYN_SAMPLES("(2,4,3,3), num_groups=2", "(2,6,5), 3, (6), (6)", "(3,4), 1, (4), (4)"),
};

static syn_status group_norm_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[1];
    int64_t groups = call->attrs[0].i;
    if (x->ndim < 2 || groups < 1 || x->dims[1] % groups || !syn_same_shape(call->inputs[0], x))
        return SYN_OP_FAIL(call, "the gradient and the input differ in shape");
    if (call->inputs[2]->numel != x->dims[0] * groups ||
        call->inputs[3]->numel != x->dims[0] * groups ||
        (call->inputs[4] && call->inputs[4]->numel != x->dims[1]))
        return SYN_OP_FAIL(call, "the statistics are not those of %lld groups", (long long)groups);
    fused_metas(call, x->dims[1], metas);
    return SYN_OK;
}

static syn_status group_norm_backward_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[1];
    syn_norm_dims d = channel_dims(x, call->attrs[0].i);
    syn_norm_backward arrays = fused_arrays(call);
    return kernels_of(x)->group_backward(&d, &arrays);
}

const syn_op syn_op_group_norm_backward = {
    .name = "group_norm_backward",
    .doc = "The gradients of group_norm by input, weight and bias, in one pass.",
    SYN_ARGS(FUSED_ARGS, SYN_ARG("num_groups", INT)),
    .n_outputs = 3,
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = group_norm_backward_infer,
    .forward = group_norm_backward_forward,
};

syn_tensor *syn_group_norm(syn_tensor *x, int64_t groups, syn_tensor *weight, syn_tensor *bias,
                           double eps)
{
    return syn_call(&syn_op_group_norm, (syn_tensor *[]){x, weight, bias}, 3,
                    (const syn_value[]){SYN_INT_OF(groups), SYN_FLOAT_OF(eps)}, 2);
}
