/* Convolutions. Two of the three kernels are the third one's derivatives, so the operators close
 * under differentiation. */
#include "worker/kernels/conv.h"
#include "worker/ops/spatial.h"
#include <string.h>

static const int64_t zeros[] = {0, 0}, ones[] = {1, 1};

/* ---- Extents ---- */

/* Whether padding is the word "same": the output is as large as the image. */
static bool is_same(const syn_value *padding)
{
    return padding->kind == SYN_VALUE_STRING && strcmp(padding->string, "same") == 0;
}

/* Stride, padding, dilation (attributes `first` .. `first` + 2) and groups (the one after). */
static syn_status read_options(const syn_op_call *call, int first, syn_conv_dims *d)
{
    const syn_value *padding = &call->attrs[first + 1];
    SYN_TRY(syn_pair_of(call, first, ones, 1, d->stride));
    SYN_TRY(syn_pair_of(call, first + 2, ones, 1, d->dilation));
    d->padding[0] = d->padding[1] = 0;
    if (padding->kind != SYN_VALUE_STRING)
        SYN_TRY(syn_pair_of(call, first + 1, zeros, 0, d->padding));
    else if (!is_same(padding) && strcmp(padding->string, "valid") != 0)
        return SYN_OP_FAIL(call, "padding is \"%s\"; numbers, same or valid are possible",
                           padding->string);
    else if (is_same(padding) && (d->stride[0] != 1 || d->stride[1] != 1))
        return SYN_OP_FAIL(call, "padding \"same\" wants a stride of 1");
    d->groups = call->attrs[first + 3].i;
    if (d->groups < 1)
        return SYN_OP_FAIL(call, "groups is %lld; it has to be at least 1", (long long)d->groups);
    return SYN_OK;
}

/* x (N, C, H, W) or (C, H, W) and w (c_out, c_in / groups, kh, kw) into d, checked against each
 * other. */
static syn_status read_arrays(const syn_op_call *call, int x_ndim, const int64_t *x,
                              const int64_t *w, syn_conv_dims *d)
{
    int lead = x_ndim - 3;
    if (lead != 0 && lead != 1)
        return SYN_OP_FAIL(call, "the image has %d axes; (N, C, H, W) or (C, H, W) is possible",
                           x_ndim);
    d->n = lead ? x[0] : 1;
    d->c_in = x[lead];
    d->h_in = x[lead + 1];
    d->w_in = x[lead + 2];
    d->c_out = w[0];
    d->kh = w[2];
    d->kw = w[3];
    if (d->c_in != w[1] * d->groups)
        return SYN_OP_FAIL(call,
                           "the weight takes %lld channels in %lld groups, the image has %lld",
                           (long long)w[1], (long long)d->groups, (long long)d->c_in);
    if (d->c_out % d->groups)
        return SYN_OP_FAIL(call, "%lld output channels do not divide into %lld groups",
                           (long long)d->c_out, (long long)d->groups);
    return SYN_OK;
}

/* The output's extents. What "same" pads unevenly is one more on the far side, which follows from
 * the extents. */
static syn_status find_output(const syn_op_call *call, const syn_value *padding, syn_conv_dims *d)
{
    int64_t *out[] = {&d->h_out, &d->w_out};
    const int64_t in[] = {d->h_in, d->w_in}, kernel[] = {d->kh, d->kw};
    for (int axis = 0; axis < 2; axis++) {
        int64_t span = d->dilation[axis] * (kernel[axis] - 1) + 1;
        if (is_same(padding))
            d->padding[axis] = (span - 1) / 2;
        int64_t padded = in[axis] + (is_same(padding) ? span - 1 : 2 * d->padding[axis]);
        if (kernel[axis] < 1 || span > padded)
            return SYN_OP_FAIL(call,
                               "the kernel spans %lld of the padded image's %lld elements "
                               "along axis %d",
                               (long long)span, (long long)padded, axis);
        *out[axis] = (padded - span) / d->stride[axis] + 1;
    }
    return SYN_OK;
}

static syn_status check_weight(const syn_op_call *call, const syn_tensor *w)
{
    return w->ndim == 4 ? SYN_OK : SYN_OP_FAIL(call, "the weight has %d axes, not 4", w->ndim);
}

static syn_status check_bias(const syn_op_call *call, const syn_tensor *bias, int64_t channels)
{
    if (!bias || (bias->ndim == 1 && bias->dims[0] == channels))
        return SYN_OK;
    return SYN_OP_FAIL(call, "the bias has to be of shape (%lld)", (long long)channels);
}

/* The extents of y = conv(x, w) as the caller of a derivative gives them. */
static syn_status check_gradient(const syn_op_call *call, const syn_tensor *y,
                                 const syn_conv_dims *d)
{
    const int64_t want[] = {d->n, d->c_out, d->h_out, d->w_out};
    for (int axis = 0; axis < y->ndim; axis++)
        if (y->dims[axis] != want[4 - y->ndim + axis])
            return SYN_OP_FAIL(call, "the gradient's extent %d is %lld, not %lld", axis,
                               (long long)y->dims[axis], (long long)want[4 - y->ndim + axis]);
    return SYN_OK;
}

static const syn_conv_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->conv[syn_real_index(x)];
}

static double conv_flops_of(const syn_conv_dims *d)
{
    double products = (double)(d->n * d->c_out * d->h_out * d->w_out) * (double)(d->kh * d->kw);
    return 2 * products * (double)(d->c_in / d->groups);
}

/* ---- conv2d ---- */

static syn_status conv2d_dims(const syn_op_call *call, syn_conv_dims *d)
{
    const syn_tensor *x = call->inputs[0], *w = call->inputs[1];
    SYN_TRY(check_weight(call, w));
    SYN_TRY(read_options(call, 0, d));
    SYN_TRY(read_arrays(call, x->ndim, x->dims, w->dims, d));
    SYN_TRY(check_bias(call, call->inputs[2], d->c_out));
    return find_output(call, &call->attrs[1], d);
}

static syn_status conv2d_infer(syn_op_call *call, syn_meta *metas)
{
    syn_conv_dims d;
    SYN_TRY(conv2d_dims(call, &d));
    syn_meta_image(&metas[0], call->inputs[0], d.h_out, d.w_out);
    metas[0].shape.dims[metas[0].shape.ndim - 3] = d.c_out;
    return SYN_OK;
}

static syn_status conv2d_forward(syn_op_call *call)
{
    syn_conv_dims d;
    const syn_tensor *x = call->inputs[0], *bias = call->inputs[2];
    SYN_TRY(conv2d_dims(call, &d));
    return kernels_of(x)->forward(&d, x->data, call->inputs[1]->data, bias ? bias->data : NULL,
                                  call->outputs[0]->data);
}

static double conv2d_flops(const syn_op_call *call)
{
    syn_conv_dims d;
    return conv2d_dims(call, &d) == SYN_OK ? conv_flops_of(&d) : 0;
}

static syn_value dims_value(const syn_tensor *x)
{
    return SYN_INTS_OF(x->dims, x->ndim);
}

/* The derivative by the image of `shape`; `options` are stride, padding, dilation, groups. */
static syn_tensor *grad_input(syn_tensor *grad, syn_tensor *weight, const syn_tensor *shape,
                              const syn_value *options)
{
    return syn_call(
        &syn_op_conv2d_grad_input, (syn_tensor *[]){grad, weight}, 2,
        (const syn_value[]){dims_value(shape), options[0], options[1], options[2], options[3]}, 5);
}

static syn_tensor *grad_weight(syn_tensor *grad, syn_tensor *input, const syn_tensor *shape,
                               const syn_value *options)
{
    return syn_call(
        &syn_op_conv2d_grad_weight, (syn_tensor *[]){grad, input}, 2,
        (const syn_value[]){dims_value(shape), options[0], options[1], options[2], options[3]}, 5);
}

/* Over all axes but the channels'. */
static syn_tensor *grad_bias(syn_tensor *grad)
{
    return grad->ndim == 4 ? syn_sum_dims(grad, (const int[]){0, 2, 3}, 3, false)
                           : syn_sum_dims(grad, (const int[]){1, 2}, 2, false);
}

static void conv2d_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0], *x = call->inputs[0], *w = call->inputs[1];
    if (call->needs_grad[0])
        call->grad_inputs[0] = grad_input(grad, w, x, call->attrs);
    if (call->needs_grad[1])
        call->grad_inputs[1] = grad_weight(grad, x, w, call->attrs);
    if (call->needs_grad[2])
        call->grad_inputs[2] = grad_bias(grad);
}

#define PADDING_ARG                                                     \
    {                                                                   \
        .name = "padding", .kind = SYN_VALUE_INTS, .is_optional = true, \
        .fallback = SYN_FALLBACK_INT(0), .takes_string = true           \
    }
#define OPTION_ARGS                                               \
    SYN_ARG_OR("stride", INTS, SYN_FALLBACK_INT(1)), PADDING_ARG, \
        SYN_ARG_OR("dilation", INTS, SYN_FALLBACK_INT(1)),        \
        SYN_ARG_OR("groups", INT, SYN_FALLBACK_INT(1))

const syn_op syn_op_conv2d = {
    .name = "conv2d",
    .doc = "Cross-correlates images (N, C, H, W) with a weight (out, C / groups, kh, kw).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("weight"), SYN_OPTIONAL_TENSOR("bias"), OPTION_ARGS),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_INPUT(1) | SYN_SAVE_CROSS,
    .infer = conv2d_infer,
    .forward = conv2d_forward,
    .backward = conv2d_backward,
    .flops = conv2d_flops,
    SYN_SAMPLES("(2,3,6,5), (4,3,3,2), (4)", "(2,2,5,5), (3,2,3,3), padding=1",
                "(2,4,7,7), (6,2,3,3), (6), stride=[2,1], padding=[1,2], groups=2",
                "(1,2,7,7), (2,1,2,2), dilation=2, groups=2", "(4,6,6), (2,2,1,1), (2), groups=2",
                "(1,1,4,4), (1,1,2,2), stride=3", "(2,2,5,6), (3,2,2,4), (3), padding='same'",
                "(1,2,5,5), (2,1,3,2), padding='valid', dilation=2, groups=2"),
};

syn_tensor *syn_conv2d(syn_tensor *x, syn_tensor *weight, syn_tensor *bias,
                       syn_conv_options options)
{
    const int64_t stride[] = {options.stride[0] ? options.stride[0] : 1,
                              options.stride[1] ? options.stride[1] : 1};
    const int64_t dilation[] = {options.dilation[0] ? options.dilation[0] : 1,
                                options.dilation[1] ? options.dilation[1] : 1};
    const syn_value attrs[] = {SYN_INTS_OF(stride, 2), SYN_INTS_OF(options.padding, 2),
                               SYN_INTS_OF(dilation, 2),
                               SYN_INT_OF(options.groups ? options.groups : 1)};
    return syn_call(&syn_op_conv2d, (syn_tensor *[]){x, weight, bias}, 3, attrs, 4);
}

/* ---- The derivatives ---- */

static syn_status grad_input_dims(const syn_op_call *call, syn_conv_dims *d)
{
    const syn_tensor *grad = call->inputs[0], *w = call->inputs[1];
    const syn_value *shape = &call->attrs[0];
    SYN_TRY(check_weight(call, w));
    SYN_TRY(read_options(call, 1, d));
    SYN_TRY(read_arrays(call, shape->n, shape->ints, w->dims, d));
    if (grad->ndim != shape->n)
        return SYN_OP_FAIL(call, "the gradient has %d axes, the image %d", grad->ndim, shape->n);
    SYN_TRY(find_output(call, &call->attrs[2], d));
    return check_gradient(call, grad, d);
}

static syn_status conv2d_grad_input_infer(syn_op_call *call, syn_meta *metas)
{
    syn_conv_dims d;
    SYN_TRY(grad_input_dims(call, &d));
    syn_meta_set(&metas[0], (syn_dtype)call->inputs[0]->dtype, call->attrs[0].n,
                 call->attrs[0].ints);
    return SYN_OK;
}

static syn_status conv2d_grad_input_forward(syn_op_call *call)
{
    syn_conv_dims d;
    SYN_TRY(grad_input_dims(call, &d));
    return kernels_of(call->inputs[0])
        ->grad_input(&d, call->inputs[0]->data, call->inputs[1]->data, call->outputs[0]->data);
}

static syn_tensor *conv_again(syn_tensor *x, syn_tensor *weight, const syn_value *options)
{
    return syn_call(&syn_op_conv2d, (syn_tensor *[]){x, weight, NULL}, 3, options, 4);
}

static void conv2d_grad_input_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0], *y = call->inputs[0], *w = call->inputs[1];
    if (call->needs_grad[0])
        call->grad_inputs[0] = conv_again(grad, w, call->attrs + 1);
    if (call->needs_grad[1])
        call->grad_inputs[1] = grad_weight(y, grad, w, call->attrs + 1);
}

static double conv2d_grad_input_flops(const syn_op_call *call)
{
    syn_conv_dims d;
    return grad_input_dims(call, &d) == SYN_OK ? conv_flops_of(&d) : 0;
}

const syn_op syn_op_conv2d_grad_input = {
    .name = "conv2d_grad_input",
    .doc = "The derivative of conv2d by its input.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("weight"), SYN_ARG("input_size", INTS),
             OPTION_ARGS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS,
    .infer = conv2d_grad_input_infer,
    .forward = conv2d_grad_input_forward,
    .backward = conv2d_grad_input_backward,
    .flops = conv2d_grad_input_flops,
    SYN_SAMPLES(
        "(2,4,4,4), (4,3,3,2), input_size=[2,3,6,5]",
        "(2,6,4,9), (6,2,3,3), input_size=[2,4,7,7], stride=[2,1], padding=[1,2], groups=2"),
};

static syn_status grad_weight_dims(const syn_op_call *call, syn_conv_dims *d)
{
    const syn_tensor *grad = call->inputs[0], *x = call->inputs[1];
    const syn_value *shape = &call->attrs[0];
    if (shape->n != 4)
        return SYN_OP_FAIL(call, "the weight has %d axes, not 4", shape->n);
    SYN_TRY(read_options(call, 1, d));
    SYN_TRY(read_arrays(call, x->ndim, x->dims, shape->ints, d));
    if (grad->ndim != x->ndim)
        return SYN_OP_FAIL(call, "the gradient has %d axes, the image %d", grad->ndim, x->ndim);
    SYN_TRY(find_output(call, &call->attrs[2], d));
    return check_gradient(call, grad, d);
}

static syn_status conv2d_grad_weight_infer(syn_op_call *call, syn_meta *metas)
{
    syn_conv_dims d;
    SYN_TRY(grad_weight_dims(call, &d));
    syn_meta_set(&metas[0], (syn_dtype)call->inputs[0]->dtype, 4, call->attrs[0].ints);
    return SYN_OK;
}

static syn_status conv2d_grad_weight_forward(syn_op_call *call)
{
    syn_conv_dims d;
    SYN_TRY(grad_weight_dims(call, &d));
    return kernels_of(call->inputs[0])
        ->grad_weight(&d, call->inputs[0]->data, call->inputs[1]->data, call->outputs[0]->data);
}

static void conv2d_grad_weight_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0], *y = call->inputs[0], *x = call->inputs[1];
    if (call->needs_grad[0])
        call->grad_inputs[0] = conv_again(x, grad, call->attrs + 1);
    if (call->needs_grad[1])
        call->grad_inputs[1] = grad_input(y, grad, x, call->attrs + 1);
}

static double conv2d_grad_weight_flops(const syn_op_call *call)
{
    syn_conv_dims d;
    return grad_weight_dims(call, &d) == SYN_OK ? conv_flops_of(&d) : 0;
}

const syn_op syn_op_conv2d_grad_weight = {
    .name = "conv2d_grad_weight",
    .doc = "The derivative of conv2d by its weight.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("input"), SYN_ARG("weight_size", INTS),
             OPTION_ARGS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS,
    .infer = conv2d_grad_weight_infer,
    .forward = conv2d_grad_weight_forward,
    .backward = conv2d_grad_weight_backward,
    .flops = conv2d_grad_weight_flops,
    SYN_SAMPLES(
        "(2,4,4,4), (2,3,6,5), weight_size=[4,3,3,2]",
        "(2,6,4,9), (2,4,7,7), weight_size=[6,2,3,3], stride=[2,1], padding=[1,2], groups=2"),
};

/* ---- conv_transpose2d: grad_input with image and gradient in exchanged roles ---- */

enum { T_STRIDE, T_PADDING, T_OUTPUT_PADDING, T_GROUPS, T_DILATION };

/* d describes the convolution whose derivative this is: its output is our input. */
static syn_status transposed_dims(const syn_op_call *call, syn_conv_dims *d)
{
    const syn_tensor *x = call->inputs[0], *w = call->inputs[1];
    int64_t more[2];
    int lead = x->ndim - 3;
    SYN_TRY(check_weight(call, w));
    if (lead != 0 && lead != 1)
        return SYN_OP_FAIL(call, "the image has %d axes; (N, C, H, W) or (C, H, W) is possible",
                           x->ndim);
    SYN_TRY(syn_pair_of(call, T_STRIDE, ones, 1, d->stride));
    SYN_TRY(syn_pair_of(call, T_PADDING, zeros, 0, d->padding));
    SYN_TRY(syn_pair_of(call, T_OUTPUT_PADDING, zeros, 0, more));
    SYN_TRY(syn_pair_of(call, T_DILATION, ones, 1, d->dilation));
    d->groups = call->attrs[T_GROUPS].i;
    d->n = lead ? x->dims[0] : 1;
    d->c_out = x->dims[lead];
    d->c_in = w->dims[1] * d->groups;
    d->kh = w->dims[2];
    d->kw = w->dims[3];
    d->h_out = x->dims[lead + 1];
    d->w_out = x->dims[lead + 2];
    if (d->groups < 1 || d->c_out != w->dims[0] || d->c_out % d->groups)
        return SYN_OP_FAIL(call,
                           "the weight takes %lld channels in %lld groups, the image has %lld",
                           (long long)w->dims[0], (long long)d->groups, (long long)d->c_out);
    SYN_TRY(check_bias(call, call->inputs[2], d->c_in));
    int64_t *extent[] = {&d->h_in, &d->w_in};
    for (int axis = 0; axis < 2; axis++) {
        int64_t n = axis ? d->w_out : d->h_out, kernel = axis ? d->kw : d->kh;
        if (more[axis] >= d->stride[axis] && more[axis] >= d->dilation[axis])
            return SYN_OP_FAIL(call,
                               "output_padding %lld has to be smaller than the stride or the "
                               "dilation",
                               (long long)more[axis]);
        *extent[axis] = (n - 1) * d->stride[axis] - 2 * d->padding[axis] +
                        d->dilation[axis] * (kernel - 1) + more[axis] + 1;
        if (*extent[axis] < 1)
            return SYN_OP_FAIL(call, "the output would have %lld elements along axis %d",
                               (long long)*extent[axis], axis);
    }
    return SYN_OK;
}

static syn_status conv_transpose2d_infer(syn_op_call *call, syn_meta *metas)
{
    syn_conv_dims d;
    SYN_TRY(transposed_dims(call, &d));
    syn_meta_image(&metas[0], call->inputs[0], d.h_in, d.w_in);
    metas[0].shape.dims[metas[0].shape.ndim - 3] = d.c_in;
    return SYN_OK;
}

static syn_status conv_transpose2d_forward(syn_op_call *call)
{
    syn_conv_dims d;
    const syn_tensor *x = call->inputs[0], *bias = call->inputs[2];
    const syn_conv_kernels *kernels = kernels_of(x);
    void *y = call->outputs[0]->data;
    SYN_TRY(transposed_dims(call, &d));
    SYN_TRY(kernels->grad_input(&d, x->data, call->inputs[1]->data, y));
    if (bias)
        kernels->add_bias(d.n, d.c_in, d.h_in * d.w_in, bias->data, y);
    return SYN_OK;
}

/* Output padding beyond the stride lets the convolution back see more positions than there were:
 * those are cut off. */
static syn_tensor *cut(syn_tensor *y, const syn_tensor *like)
{
    for (int axis = like->ndim - 2; y && axis < like->ndim; axis++)
        if (y->dims[axis] > like->dims[axis])
            y = syn_slice(y, axis, 0, like->dims[axis], 1);
    return y;
}

static void conv_transpose2d_backward(syn_backward_call *call)
{
    syn_tensor *grad = call->grad_outputs[0], *x = call->inputs[0], *w = call->inputs[1];
    const syn_value *a = call->attrs;
    const syn_value options[] = {a[T_STRIDE], a[T_PADDING], a[T_DILATION], a[T_GROUPS]};
    if (call->needs_grad[2])
        call->grad_inputs[2] = grad_bias(grad);
    syn_tensor *as_input = call->needs_grad[0] ? conv_again(grad, w, options) : NULL;
    if (call->needs_grad[0])
        call->grad_inputs[0] = cut(as_input, x);
    if (!call->needs_grad[1])
        return;
    /* The weight's gradient wants the gradient's extents to be those of x exactly. */
    syn_conv_dims d;
    syn_op_call forward = {.op = call->op,
                           .inputs = call->inputs,
                           .attrs = a,
                           .n_inputs = call->n_inputs,
                           .n_attrs = call->n_attrs};
    if (transposed_dims(&forward, &d) != SYN_OK)
        return;
    int64_t h = (d.h_out - 1) * d.stride[0] - 2 * d.padding[0] + d.dilation[0] * (d.kh - 1) + 1;
    int64_t v = (d.w_out - 1) * d.stride[1] - 2 * d.padding[1] + d.dilation[1] * (d.kw - 1) + 1;
    if (d.h_in - h >= d.stride[0])
        grad = syn_slice(grad, -2, 0, h, 1);
    if (grad && d.w_in - v >= d.stride[1])
        grad = syn_slice(grad, -1, 0, v, 1);
    call->grad_inputs[1] = grad ? grad_weight(x, grad, w, options) : NULL;
}

static double conv_transpose2d_flops(const syn_op_call *call)
{
    syn_conv_dims d;
    return transposed_dims(call, &d) == SYN_OK ? conv_flops_of(&d) : 0;
}

const syn_op syn_op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .doc = "The transpose of conv2d, also called deconvolution; weight (C, out / groups, kh, kw).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("weight"), SYN_OPTIONAL_TENSOR("bias"),
             SYN_ARG_OR("stride", INTS, SYN_FALLBACK_INT(1)),
             SYN_ARG_OR("padding", INTS, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("output_padding", INTS, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("groups", INT, SYN_FALLBACK_INT(1)),
             SYN_ARG_OR("dilation", INTS, SYN_FALLBACK_INT(1))),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_INPUT(1) | SYN_SAVE_CROSS,
    .infer = conv_transpose2d_infer,
    .forward = conv_transpose2d_forward,
    .backward = conv_transpose2d_backward,
    .flops = conv_transpose2d_flops,
    SYN_SAMPLES("(2,3,4,5), (3,2,3,2), (2)", "(2,4,3,3), (4,1,3,3), (2), stride=2, groups=2",
                "(1,2,3,4), (2,3,3,3), stride=[2,3], padding=1, output_padding=[1,2]",
                "(2,3,3), (2,2,2,2), dilation=2, output_padding=1"),
};

syn_tensor *syn_conv_transpose2d(syn_tensor *x, syn_tensor *weight, syn_tensor *bias,
                                 syn_conv_options options)
{
    const int64_t stride[] = {options.stride[0] ? options.stride[0] : 1,
                              options.stride[1] ? options.stride[1] : 1};
    const int64_t dilation[] = {options.dilation[0] ? options.dilation[0] : 1,
                                options.dilation[1] ? options.dilation[1] : 1};
    const syn_value attrs[] = {SYN_INTS_OF(stride, 2), SYN_INTS_OF(options.padding, 2),
                               SYN_INTS_OF(options.output_padding, 2),
                               SYN_INT_OF(options.groups ? options.groups : 1),
                               SYN_INTS_OF(dilation, 2)};
    return syn_call(&syn_op_conv_transpose2d, (syn_tensor *[]){x, weight, bias}, 3, attrs, 5);
}

/* ---- One axis: images of height 1 ---- */

static void conv1d_compose(syn_op_call *call)
{
    int64_t room[3][3];
    syn_tensor *x = syn_unsqueeze(call->inputs[0], -2), *w = syn_unsqueeze(call->inputs[1], -2);
    const syn_value attrs[] = {syn_pair_from_one(&call->attrs[0], 1, room[0]),
                               syn_pair_from_one(&call->attrs[1], 0, room[1]),
                               syn_pair_from_one(&call->attrs[2], 1, room[2]), call->attrs[3]};
    syn_tensor *y = syn_call(&syn_op_conv2d, (syn_tensor *[]){x, w, call->inputs[2]}, 3, attrs, 4);
    call->outputs[0] = y ? syn_squeeze(y, -2) : NULL;
}

const syn_op syn_op_conv1d = {
    .name = "conv1d",
    .doc = "Cross-correlates sequences (N, C, L) with a weight (out, C / groups, k).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("weight"), SYN_OPTIONAL_TENSOR("bias"), OPTION_ARGS),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = conv1d_compose,
    SYN_SAMPLES("(2,3,6), (4,3,3), (4)", "(2,4,7), (6,2,3), stride=2, padding=1, groups=2"),
};

static void conv_transpose1d_compose(syn_op_call *call)
{
    int64_t room[4][3];
    syn_tensor *x = syn_unsqueeze(call->inputs[0], -2), *w = syn_unsqueeze(call->inputs[1], -2);
    const syn_value attrs[] = {syn_pair_from_one(&call->attrs[T_STRIDE], 1, room[0]),
                               syn_pair_from_one(&call->attrs[T_PADDING], 0, room[1]),
                               syn_pair_from_one(&call->attrs[T_OUTPUT_PADDING], 0, room[2]),
                               call->attrs[T_GROUPS],
                               syn_pair_from_one(&call->attrs[T_DILATION], 1, room[3])};
    syn_tensor *const inputs[] = {x, w, call->inputs[2]};
    syn_tensor *y = syn_call(&syn_op_conv_transpose2d, inputs, 3, attrs, 5);
    call->outputs[0] = y ? syn_squeeze(y, -2) : NULL;
}

const syn_op syn_op_conv_transpose1d = {
    .name = "conv_transpose1d",
    .doc = "The transpose of conv1d; weight (C, out / groups, k).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("weight"), SYN_OPTIONAL_TENSOR("bias"),
             SYN_ARG_OR("stride", INTS, SYN_FALLBACK_INT(1)),
             SYN_ARG_OR("padding", INTS, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("output_padding", INTS, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("groups", INT, SYN_FALLBACK_INT(1)),
             SYN_ARG_OR("dilation", INTS, SYN_FALLBACK_INT(1))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = conv_transpose1d_compose,
    SYN_SAMPLES("(2,3,4), (3,2,3), (2)", "(1,2,3), (2,3,3), stride=2, output_padding=1"),
};
