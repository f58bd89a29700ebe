/* Pooling. Every operator here is linear but the maximum, which is linear once its places are
 * known. */
#include "worker/kernels/pool.h"
#include "common/base/mem.h"
#include "worker/ops/spatial.h"
#include <string.h>

static const int64_t zeros[] = {0, 0}, ones[] = {1, 1};

static const syn_pool_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->pool[syn_real_index(x)];
}

/* Planes and extents of an image x of `ndim` axes. */
static void read_planes(int ndim, const int64_t *dims, syn_pool_dims *d)
{
    d->planes = 1;
    for (int axis = 0; axis < ndim - 2; axis++)
        d->planes *= dims[axis];
    d->h_in = dims[ndim - 2];
    d->w_in = dims[ndim - 1];
}

/* Kernel, stride and padding (attributes first .. first + 2), then the output's extents. torch's
 * rule for ceil_mode: the last window has to start inside the image or its near padding. */
static syn_status read_windows(const syn_op_call *call, int first, bool is_ceil, syn_pool_dims *d)
{
    SYN_TRY(syn_pair_of(call, first, NULL, 1, d->kernel));
    SYN_TRY(syn_pair_of(call, first + 1, d->kernel, 1, d->stride));
    SYN_TRY(syn_pair_of(call, first + 2, zeros, 0, d->padding));
    const int64_t in[] = {d->h_in, d->w_in};
    int64_t *out[] = {&d->h_out, &d->w_out};
    for (int axis = 0; axis < 2; axis++) {
        if (d->padding[axis] > d->kernel[axis] / 2)
            return SYN_OP_FAIL(call, "padding %lld is more than half the kernel's extent %lld",
                               (long long)d->padding[axis], (long long)d->kernel[axis]);
        int64_t span = d->dilation[axis] * (d->kernel[axis] - 1) + 1, stride = d->stride[axis];
        int64_t room = in[axis] + 2 * d->padding[axis] - span + (is_ceil ? stride - 1 : 0);
        if (room < 0)
            return SYN_OP_FAIL(call,
                               "the window spans %lld of the padded image's %lld elements "
                               "along axis %d",
                               (long long)span, (long long)(in[axis] + 2 * d->padding[axis]), axis);
        *out[axis] = room / stride + 1;
        if (is_ceil && (*out[axis] - 1) * stride >= in[axis] + d->padding[axis])
            --*out[axis];
    }
    return SYN_OK;
}

/* ---- Maximum ---- */

enum { M_KERNEL, M_STRIDE, M_PADDING, M_DILATION, M_CEIL };

static syn_status max_dims(const syn_op_call *call, syn_pool_dims *d)
{
    const syn_tensor *x = call->inputs[0];
    memset(d, 0, sizeof(*d));
    SYN_TRY(syn_check_image(call, x));
    read_planes(x->ndim, x->dims, d);
    if (d->h_in > INT32_MAX / d->w_in)
        return SYN_OP_FAIL(call, "the image has more than 2^31 elements a plane");
    SYN_TRY(syn_pair_of(call, M_DILATION, ones, 1, d->dilation));
    return read_windows(call, M_KERNEL, call->attrs[M_CEIL].i != 0, d);
}

static syn_status max_infer(syn_op_call *call, syn_meta *metas)
{
    syn_pool_dims d;
    SYN_TRY(max_dims(call, &d));
    syn_meta_image(&metas[0], call->inputs[0], d.h_out, d.w_out);
    metas[1] = metas[0];
    metas[1].dtype = call->op == &syn_op_max_pool2d ? SYN_I32 : SYN_I64;
    return SYN_OK;
}

static syn_status max_pool2d_forward(syn_op_call *call)
{
    syn_pool_dims d;
    SYN_TRY(max_dims(call, &d));
    kernels_of(call->inputs[0])
        ->max(&d, call->inputs[0]->data, call->outputs[0]->data, call->outputs[1]->data);
    return SYN_OK;
}

static void max_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    syn_tensor *index = call->outputs[1];
    if (!call->needs_grad[0])
        return;
    if (index->dtype != SYN_I32)
        index = syn_to(index, SYN_I32);
    call->grad_inputs[0] =
        syn_call(&syn_op_max_pool2d_backward, (syn_tensor *[]){call->grad_outputs[0], index}, 2,
                 (const syn_value[]){SYN_INTS_OF(x->dims, x->ndim)}, 1);
}

#define MAX_ARGS                                           \
    SYN_TENSOR("input"), SYN_ARG("kernel_size", INTS),     \
        SYN_ARG_OR("stride", INTS, SYN_FALLBACK_NONE),     \
        SYN_ARG_OR("padding", INTS, SYN_FALLBACK_INT(0)),  \
        SYN_ARG_OR("dilation", INTS, SYN_FALLBACK_INT(1)), \
        SYN_ARG_OR("ceil_mode", BOOL, SYN_FALLBACK_BOOL(false))

const syn_op syn_op_max_pool2d = {
    .name = "max_pool2d",
    .doc =
        "The largest element of each window of images (N, C, H, W); stride None is the kernel's.",
    SYN_ARGS(MAX_ARGS),
    .n_outputs = 1,
    .n_extra = 1, /* where they were */
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_OUTPUT(1),
    .infer = max_infer,
    .forward = max_pool2d_forward,
    .backward = max_backward,
    SYN_SAMPLES("(2,3,6,6)d, kernel_size=2",
                "(2,2,7,8)d, kernel_size=[3,2], stride=[2,1], padding=1",
                "(3,7,7)d, kernel_size=2, ceil_mode=true",
                "(1,2,8,8)d, kernel_size=3, stride=2, padding=1, dilation=2"),
};

/* The kernel's 32-bit places are written into the second half of the 64-bit output, and widened
 * from the front: element i is read at or behind where it is written. */
static syn_status max_pool2d_with_indices_forward(syn_op_call *call)
{
    syn_pool_dims d;
    syn_tensor *index = call->outputs[1];
    char *wide = index->data, *narrow = wide + (size_t)index->numel * sizeof(int32_t);
    SYN_TRY(max_dims(call, &d));
    kernels_of(call->inputs[0])
        ->max(&d, call->inputs[0]->data, call->outputs[0]->data, (int32_t *)(void *)narrow);
    for (int64_t i = 0; i < index->numel; i++) {
        int32_t place;
        memcpy(&place, narrow + (size_t)i * sizeof(place), sizeof(place));
        int64_t widened = place;
        memcpy(wide + (size_t)i * sizeof(widened), &widened, sizeof(widened));
    }
    return SYN_OK;
}

const syn_op syn_op_max_pool2d_with_indices = {
    .name = "max_pool2d_with_indices",
    .doc = "max_pool2d, and where in its plane each maximum was (i64); return_indices is ignored.",
    SYN_ARGS(MAX_ARGS, SYN_ARG_OR("return_indices", BOOL, SYN_FALLBACK_BOOL(true))),
    .n_outputs = 2,
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_OUTPUT(1),
    .infer = max_infer,
    .forward = max_pool2d_with_indices_forward,
    .backward = max_backward,
    SYN_SAMPLES("(2,3,6,6)d, kernel_size=2", "(3,5,7)d, kernel_size=3, stride=1, padding=1"),
};

/* The image's extents from the attribute, the output's from the tensor. */
static syn_status scatter_dims(const syn_op_call *call, const syn_tensor *out, syn_pool_dims *d)
{
    const syn_value *shape = &call->attrs[0];
    if (shape->n != out->ndim || out->ndim < 2)
        return SYN_OP_FAIL(call, "the image has %d axes, the gradient %d", shape->n, out->ndim);
    memset(d, 0, sizeof(*d));
    read_planes(shape->n, shape->ints, d);
    d->h_out = out->dims[out->ndim - 2];
    d->w_out = out->dims[out->ndim - 1];
    if (d->planes * d->h_out * d->w_out != out->numel)
        return SYN_OP_FAIL(call, "the image's planes are not the gradient's");
    return SYN_OK;
}

/* Places come from a forward pass, but nothing keeps a caller from giving others. */
static syn_status check_places(const syn_op_call *call, const syn_tensor *index, int64_t plane)
{
    const int32_t *place = index->data;
    for (int64_t i = 0; i < index->numel; i++)
        if (place[i] < -1 || place[i] >= plane)
            return SYN_OP_FAIL(call, "place %d is outside a plane of %lld elements", place[i],
                               (long long)plane);
    return SYN_OK;
}

static syn_status max_pool2d_backward_infer(syn_op_call *call, syn_meta *metas)
{
    syn_pool_dims d;
    SYN_TRY(scatter_dims(call, call->inputs[0], &d));
    if (!syn_same_shape(call->inputs[0], call->inputs[1]))
        return SYN_OP_FAIL(call, "the gradient and the places differ in shape");
    syn_meta_set(&metas[0], (syn_dtype)call->inputs[0]->dtype, call->attrs[0].n,
                 call->attrs[0].ints);
    return SYN_OK;
}

static syn_status max_pool2d_backward_forward(syn_op_call *call)
{
    syn_pool_dims d;
    SYN_TRY(scatter_dims(call, call->inputs[0], &d));
    SYN_TRY(check_places(call, call->inputs[1], d.h_in * d.w_in));
    kernels_of(call->inputs[0])
        ->max_backward(&d, call->inputs[0]->data, call->inputs[1]->data, call->outputs[0]->data);
    return SYN_OK;
}

static void max_pool2d_backward_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            syn_call2(&syn_op_max_pool2d_gather, call->grad_outputs[0], call->inputs[1]);
}

const syn_op syn_op_max_pool2d_backward = {
    .name = "max_pool2d_backward",
    .doc = "Adds each gradient to the place its maximum came from.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR_IN("places", 1u << SYN_I32),
             SYN_ARG("input_size", INTS)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = max_pool2d_backward_infer,
    .forward = max_pool2d_backward_forward,
    .backward = max_pool2d_backward_backward,
};

/* Places (…, h, w) of images (…, H, W): same planes. */
static syn_status gather_dims(const syn_op_call *call, syn_pool_dims *d)
{
    const syn_tensor *x = call->inputs[0], *index = call->inputs[1];
    memset(d, 0, sizeof(*d));
    if (x->ndim != index->ndim || x->ndim < 2)
        return SYN_OP_FAIL(call, "the image has %d axes, the places %d", x->ndim, index->ndim);
    read_planes(x->ndim, x->dims, d);
    d->h_out = index->dims[x->ndim - 2];
    d->w_out = index->dims[x->ndim - 1];
    if (d->planes * d->h_out * d->w_out != index->numel)
        return SYN_OP_FAIL(call, "the image's planes are not those of the places");
    return SYN_OK;
}

static syn_status max_pool2d_gather_infer(syn_op_call *call, syn_meta *metas)
{
    syn_pool_dims d;
    SYN_TRY(gather_dims(call, &d));
    syn_meta_like(&metas[0], call->inputs[1]);
    metas[0].dtype = (syn_dtype)call->inputs[0]->dtype;
    return SYN_OK;
}

static syn_status max_pool2d_gather_forward(syn_op_call *call)
{
    syn_pool_dims d;
    SYN_TRY(gather_dims(call, &d));
    SYN_TRY(check_places(call, call->inputs[1], d.h_in * d.w_in));
    kernels_of(call->inputs[0])
        ->max_gather(&d, call->inputs[0]->data, call->inputs[1]->data, call->outputs[0]->data);
    return SYN_OK;
}

static void max_pool2d_gather_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_call(&syn_op_max_pool2d_backward,
                                        (syn_tensor *[]){call->grad_outputs[0], call->inputs[1]}, 2,
                                        (const syn_value[]){SYN_INTS_OF(x->dims, x->ndim)}, 1);
}

const syn_op syn_op_max_pool2d_gather = {
    .name = "max_pool2d_gather",
    .doc = "The elements at the places where maxima were.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR_IN("places", 1u << SYN_I32)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = max_pool2d_gather_infer,
    .forward = max_pool2d_gather_forward,
    .backward = max_pool2d_gather_backward,
};

static int pool_attrs(const syn_pool_options *options, syn_value attrs[3])
{
    bool has_stride = options->stride[0] && options->stride[1];
    attrs[0] = SYN_INTS_OF(options->kernel, 2);
    attrs[1] = has_stride ? SYN_INTS_OF(options->stride, 2) : SYN_NONE;
    attrs[2] = SYN_INTS_OF(options->padding, 2);
    return 3;
}

syn_tensor *syn_max_pool2d(syn_tensor *x, syn_pool_options options)
{
    syn_value attrs[3];
    int n = pool_attrs(&options, attrs);
    return syn_call(&syn_op_max_pool2d, &x, 1, attrs, n);
}

/* ---- Average ---- */

enum { A_KERNEL, A_STRIDE, A_PADDING, A_CEIL, A_COUNT_PADDING, A_DIVISOR };

/* attributes from `first` on; d holds the extents of the image. */
static syn_status average_windows(const syn_op_call *call, int first, syn_pool_dims *d)
{
    const syn_value *divisor = &call->attrs[first + A_DIVISOR];
    d->dilation[0] = d->dilation[1] = 1;
    d->count_padding = call->attrs[first + A_COUNT_PADDING].i != 0;
    d->divisor = divisor->kind == SYN_VALUE_INT ? divisor->i : 0;
    if (divisor->kind == SYN_VALUE_INT && d->divisor == 0)
        return SYN_OP_FAIL(call, "divisor_override is 0");
    return read_windows(call, first, call->attrs[first + A_CEIL].i != 0, d);
}

static syn_status average_dims(const syn_op_call *call, syn_pool_dims *d)
{
    const syn_tensor *x = call->inputs[0];
    memset(d, 0, sizeof(*d));
    SYN_TRY(syn_check_image(call, x));
    read_planes(x->ndim, x->dims, d);
    return average_windows(call, 0, d);
}

static syn_status avg_pool2d_infer(syn_op_call *call, syn_meta *metas)
{
    syn_pool_dims d;
    SYN_TRY(average_dims(call, &d));
    syn_meta_image(&metas[0], call->inputs[0], d.h_out, d.w_out);
    return SYN_OK;
}

static syn_status avg_pool2d_forward(syn_op_call *call)
{
    syn_pool_dims d;
    SYN_TRY(average_dims(call, &d));
    kernels_of(call->inputs[0])->average(&d, call->inputs[0]->data, call->outputs[0]->data);
    return SYN_OK;
}

static void avg_pool2d_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    syn_value attrs[7] = {SYN_INTS_OF(x->dims, x->ndim)};
    memcpy(attrs + 1, call->attrs, 6 * sizeof(*attrs));
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            syn_call(&syn_op_avg_pool2d_backward, call->grad_outputs, 1, attrs, 7);
}

#define AVERAGE_ARGS                                                             \
    SYN_ARG("kernel_size", INTS), SYN_ARG_OR("stride", INTS, SYN_FALLBACK_NONE), \
        SYN_ARG_OR("padding", INTS, SYN_FALLBACK_INT(0)),                        \
        SYN_ARG_OR("ceil_mode", BOOL, SYN_FALLBACK_BOOL(false)),                 \
        SYN_ARG_OR("count_include_pad", BOOL, SYN_FALLBACK_BOOL(true)),          \
        SYN_ARG_OR("divisor_override", INT, SYN_FALLBACK_NONE)

const syn_op syn_op_avg_pool2d = {
    .name = "avg_pool2d",
    .doc = "The mean of each window of images (N, C, H, W); stride None is the kernel's.",
    SYN_ARGS(SYN_TENSOR("input"), AVERAGE_ARGS),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = avg_pool2d_infer,
    .forward = avg_pool2d_forward,
    .backward = avg_pool2d_backward,
    SYN_SAMPLES("(2,3,6,6), kernel_size=2", "(2,2,7,8), kernel_size=[3,2], stride=[2,1], padding=1",
                "(3,7,7), kernel_size=3, stride=2, padding=1, ceil_mode=true",
                "(1,2,5,5), kernel_size=3, padding=1, count_include_pad=false",
                "(1,2,5,5), kernel_size=2, divisor_override=3"),
};

static syn_status avg_pool2d_backward_dims(const syn_op_call *call, syn_pool_dims *d)
{
    const syn_tensor *grad = call->inputs[0];
    SYN_TRY(scatter_dims(call, grad, d));
    int64_t h = d->h_out, w = d->w_out;
    SYN_TRY(average_windows(call, 1, d));
    if (h != d->h_out || w != d->w_out)
        return SYN_OP_FAIL(call, "the gradient's image is %lld x %lld, not %lld x %lld",
                           (long long)h, (long long)w, (long long)d->h_out, (long long)d->w_out);
    return SYN_OK;
}

static syn_status avg_pool2d_backward_infer(syn_op_call *call, syn_meta *metas)
{
    syn_pool_dims d;
    SYN_TRY(avg_pool2d_backward_dims(call, &d));
    syn_meta_set(&metas[0], (syn_dtype)call->inputs[0]->dtype, call->attrs[0].n,
                 call->attrs[0].ints);
    return SYN_OK;
}

static syn_status avg_pool2d_backward_forward(syn_op_call *call)
{
    syn_pool_dims d;
    SYN_TRY(avg_pool2d_backward_dims(call, &d));
    kernels_of(call->inputs[0])
        ->average_backward(&d, call->inputs[0]->data, call->outputs[0]->data);
    return SYN_OK;
}

static void avg_pool2d_backward_backward(syn_backward_call *call)
{
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            syn_call(&syn_op_avg_pool2d, call->grad_outputs, 1, call->attrs + 1, 6);
}

const syn_op syn_op_avg_pool2d_backward = {
    .name = "avg_pool2d_backward",
    .doc = "The transpose of avg_pool2d.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_ARG("input_size", INTS), AVERAGE_ARGS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = avg_pool2d_backward_infer,
    .forward = avg_pool2d_backward_forward,
    .backward = avg_pool2d_backward_backward,
    SYN_SAMPLES("(2,3,3,3), input_size=[2,3,6,6], kernel_size=2"),
};

syn_tensor *syn_avg_pool2d(syn_tensor *x, syn_pool_options options)
{
    syn_value attrs[3];
    int n = pool_attrs(&options, attrs);
    return syn_call(&syn_op_avg_pool2d, &x, 1, attrs, n);
}

/* ---- Adaptive average ---- */

static syn_status adaptive_avg_pool2d_infer(syn_op_call *call, syn_meta *metas)
{
    int64_t size[2];
    SYN_TRY(syn_check_image(call, call->inputs[0]));
    SYN_TRY(syn_pair_of(call, 0, NULL, 0, size));
    syn_meta_image(&metas[0], call->inputs[0], size[0], size[1]);
    return SYN_OK;
}

static syn_status adaptive_avg_pool2d_forward(syn_op_call *call)
{
    const syn_tensor *x = call->inputs[0], *y = call->outputs[0];
    syn_pool_dims d = {.h_out = y->dims[y->ndim - 2], .w_out = y->dims[y->ndim - 1]};
    read_planes(x->ndim, x->dims, &d);
    kernels_of(x)->adaptive(&d, x->data, y->data);
    return SYN_OK;
}

static void adaptive_avg_pool2d_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_call(&syn_op_adaptive_avg_pool2d_backward, call->grad_outputs, 1,
                                        (const syn_value[]){SYN_INTS_OF(x->dims, x->ndim)}, 1);
}

const syn_op syn_op_adaptive_avg_pool2d = {
    .name = "adaptive_avg_pool2d",
    .doc = "Means over windows that divide images (N, C, H, W) into output_size parts.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("output_size", INTS)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = adaptive_avg_pool2d_infer,
    .forward = adaptive_avg_pool2d_forward,
    .backward = adaptive_avg_pool2d_backward,
    SYN_SAMPLES("(2,3,6,6), output_size=1", "(2,2,7,5), output_size=[3,2]",
                "(3,4,4), output_size=[5,6]"),
};

static syn_status adaptive_avg_pool2d_backward_infer(syn_op_call *call, syn_meta *metas)
{
    syn_pool_dims d;
    SYN_TRY(scatter_dims(call, call->inputs[0], &d));
    syn_meta_set(&metas[0], (syn_dtype)call->inputs[0]->dtype, call->attrs[0].n,
                 call->attrs[0].ints);
    return SYN_OK;
}

static syn_status adaptive_avg_pool2d_backward_forward(syn_op_call *call)
{
    syn_pool_dims d;
    SYN_TRY(scatter_dims(call, call->inputs[0], &d));
    kernels_of(call->inputs[0])
        ->adaptive_backward(&d, call->inputs[0]->data, call->outputs[0]->data);
    return SYN_OK;
}

static void adaptive_avg_pool2d_backward_backward(syn_backward_call *call)
{
    const syn_tensor *y = call->inputs[0];
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_adaptive_avg_pool2d(call->grad_outputs[0], y->dims[y->ndim - 2],
                                                       y->dims[y->ndim - 1]);
}

const syn_op syn_op_adaptive_avg_pool2d_backward = {
    .name = "adaptive_avg_pool2d_backward",
    .doc = "The transpose of adaptive_avg_pool2d.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_ARG("input_size", INTS)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = adaptive_avg_pool2d_backward_infer,
    .forward = adaptive_avg_pool2d_backward_forward,
    .backward = adaptive_avg_pool2d_backward_backward,
    SYN_SAMPLES("(2,2,3,2), input_size=[2,2,7,5]"),
};

syn_tensor *syn_adaptive_avg_pool2d(syn_tensor *x, int64_t height, int64_t width)
{
    const int64_t size[] = {height, width};
    return syn_call(&syn_op_adaptive_avg_pool2d, &x, 1, (const syn_value[]){SYN_INTS_OF(size, 2)},
                    1);
}

/* ---- One axis: images of height 1 ---- */

/* y = op(x as an image of height 1, attrs). */
static syn_tensor *call_on_line(const syn_op *op, syn_tensor *x, const syn_value *attrs, int n)
{
    syn_tensor *image = syn_unsqueeze(x, -2);
    syn_tensor *y = image ? syn_call(op, &image, 1, attrs, n) : NULL;
    return y ? syn_squeeze(y, -2) : NULL;
}

static void max_pool1d_compose(syn_op_call *call)
{
    int64_t room[4][3];
    const syn_value attrs[] = {syn_pair_from_one(&call->attrs[M_KERNEL], 1, room[0]),
                               syn_pair_from_one(&call->attrs[M_STRIDE], 1, room[1]),
                               syn_pair_from_one(&call->attrs[M_PADDING], 0, room[2]),
                               syn_pair_from_one(&call->attrs[M_DILATION], 1, room[3]),
                               call->attrs[M_CEIL]};
    call->outputs[0] = call_on_line(&syn_op_max_pool2d, call->inputs[0], attrs, 5);
}

const syn_op syn_op_max_pool1d = {
    .name = "max_pool1d",
    .doc = "The largest element of each window of sequences (N, C, L).",
    SYN_ARGS(MAX_ARGS),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = max_pool1d_compose,
    SYN_SAMPLES("(2,3,6)d, kernel_size=2", "(2,7)d, kernel_size=3, stride=2, padding=1"),
};

static void avg_pool1d_compose(syn_op_call *call)
{
    int64_t room[3][3];
    const syn_value attrs[] = {syn_pair_from_one(&call->attrs[A_KERNEL], 1, room[0]),
                               syn_pair_from_one(&call->attrs[A_STRIDE], 1, room[1]),
                               syn_pair_from_one(&call->attrs[A_PADDING], 0, room[2]),
                               call->attrs[A_CEIL], call->attrs[A_COUNT_PADDING]};
    call->outputs[0] = call_on_line(&syn_op_avg_pool2d, call->inputs[0], attrs, 5);
}

const syn_op syn_op_avg_pool1d = {
    .name = "avg_pool1d",
    .doc = "The mean of each window of sequences (N, C, L).",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("kernel_size", INTS),
             SYN_ARG_OR("stride", INTS, SYN_FALLBACK_NONE),
             SYN_ARG_OR("padding", INTS, SYN_FALLBACK_INT(0)),
             SYN_ARG_OR("ceil_mode", BOOL, SYN_FALLBACK_BOOL(false)),
             SYN_ARG_OR("count_include_pad", BOOL, SYN_FALLBACK_BOOL(true))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = avg_pool1d_compose,
    SYN_SAMPLES("(2,3,6), kernel_size=2", "(2,7), kernel_size=3, stride=2, padding=1"),
};

static void adaptive_avg_pool1d_compose(syn_op_call *call)
{
    int64_t room[3];
    const syn_value attrs[] = {syn_pair_from_one(&call->attrs[0], 1, room)};
    call->outputs[0] = call_on_line(&syn_op_adaptive_avg_pool2d, call->inputs[0], attrs, 1);
}

const syn_op syn_op_adaptive_avg_pool1d = {
    .name = "adaptive_avg_pool1d",
    .doc = "Means over windows that divide sequences (N, C, L) into output_size parts.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("output_size", INTS)),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = adaptive_avg_pool1d_compose,
    SYN_SAMPLES("(2,3,7), output_size=3"),
};
