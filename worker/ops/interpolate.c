/* Resampling of images: nearest neighbour and bilinear, with torch's arithmetic of positions. */
#include "worker/kernels/pool.h"
#include "worker/ops/spatial.h"
#include <math.h>
#include <string.h>

/* The attributes of the operator that resamples and of its transpose, which has the input's extents
 * instead. */
enum { R_SIZE, R_BILINEAR, R_ALIGN_CORNERS, R_SCALES, R_EXACT, N_ATTRS };

/* Planes and extents of the image and of the result, and how the one maps to the other. */
static syn_status resample_dims(const syn_op_call *call, int ndim, const int64_t *in,
                                const int64_t out[2], syn_resample_dims *d)
{
    const syn_value *scales = &call->attrs[R_SCALES];
    *d = (syn_resample_dims){.planes = 1,
                             .h_in = in[ndim - 2],
                             .w_in = in[ndim - 1],
                             .h_out = out[0],
                             .w_out = out[1],
                             .bilinear = call->attrs[R_BILINEAR].i != 0,
                             .align_corners = call->attrs[R_ALIGN_CORNERS].i != 0,
                             .exact = call->attrs[R_EXACT].i != 0};
    for (int axis = 0; axis < ndim - 2; axis++)
        d->planes *= in[axis];
    if (scales->kind == SYN_VALUE_FLOATS && scales->n == 2)
        memcpy(d->scale, scales->floats, sizeof(d->scale));
    if (d->h_out < 1 || d->w_out < 1 || d->h_in < 1 || d->w_in < 1)
        return SYN_OP_FAIL(call, "an image of %lld x %lld cannot become one of %lld x %lld",
                           (long long)d->h_in, (long long)d->w_in, (long long)d->h_out,
                           (long long)d->w_out);
    return SYN_OK;
}

static syn_status resample2d_infer(syn_op_call *call, syn_meta *metas)
{
    syn_resample_dims d;
    const syn_tensor *x = call->inputs[0];
    int64_t size[2];
    SYN_TRY(syn_check_image(call, x));
    SYN_TRY(syn_pair_of(call, R_SIZE, NULL, 1, size));
    SYN_TRY(resample_dims(call, x->ndim, x->dims, size, &d));
    syn_meta_image(&metas[0], x, size[0], size[1]);
    return SYN_OK;
}

static syn_status resample2d_forward(syn_op_call *call)
{
    syn_resample_dims d;
    const syn_tensor *x = call->inputs[0], *y = call->outputs[0];
    SYN_TRY(resample_dims(call, x->ndim, x->dims, y->dims + y->ndim - 2, &d));
    syn_kernels->pool[syn_real_index(x)].resample(&d, x->data, y->data);
    return SYN_OK;
}

static void resample2d_backward(syn_backward_call *call)
{
    const syn_tensor *x = call->inputs[0];
    const syn_value *a = call->attrs;
    const syn_value attrs[N_ATTRS] = {SYN_INTS_OF(x->dims, x->ndim), a[R_BILINEAR],
                                      a[R_ALIGN_CORNERS], a[R_SCALES], a[R_EXACT]};
    if (call->needs_grad[0])
        call->grad_inputs[0] =
            syn_call(&syn_op_resample2d_backward, call->grad_outputs, 1, attrs, N_ATTRS);
}

#define RESAMPLE_ARGS                                                \
    SYN_ARG_OR("bilinear", BOOL, SYN_FALLBACK_BOOL(false)),          \
        SYN_ARG_OR("align_corners", BOOL, SYN_FALLBACK_BOOL(false)), \
        SYN_ARG_OR("scales", FLOATS, SYN_FALLBACK_NONE),             \
        SYN_ARG_OR("exact", BOOL, SYN_FALLBACK_BOOL(false))

const syn_op syn_op_resample2d = {
    .name = "resample2d",
    .doc = "Images (N, C, H, W) at another size; `scales` are input pixels an output pixel.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG("size", INTS), RESAMPLE_ARGS),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = resample2d_infer,
    .forward = resample2d_forward,
    .backward = resample2d_backward,
    SYN_SAMPLES("(2,3,4,5), size=[7,8]", "(1,2,6,6), size=[3,4], bilinear=true",
                "(1,2,5,4), size=[3,7], exact=true",
                "(2,3,3), size=[5,1], bilinear=true, align_corners=true"),
};

static syn_status resample2d_backward_infer(syn_op_call *call, syn_meta *metas)
{
    syn_resample_dims d;
    const syn_tensor *grad = call->inputs[0];
    const syn_value *shape = &call->attrs[R_SIZE];
    if (shape->n != grad->ndim || grad->ndim < 2)
        return SYN_OP_FAIL(call, "the image has %d axes, the gradient %d", shape->n, grad->ndim);
    SYN_TRY(resample_dims(call, shape->n, shape->ints, grad->dims + grad->ndim - 2, &d));
    if (d.planes * d.h_out * d.w_out != grad->numel)
        return SYN_OP_FAIL(call, "the image's planes are not the gradient's");
    syn_meta_set(&metas[0], (syn_dtype)grad->dtype, shape->n, shape->ints);
    return SYN_OK;
}

static syn_status resample2d_backward_forward(syn_op_call *call)
{
    syn_resample_dims d;
    const syn_tensor *grad = call->inputs[0], *y = call->outputs[0];
    SYN_TRY(resample_dims(call, y->ndim, y->dims, grad->dims + grad->ndim - 2, &d));
    syn_kernels->pool[syn_real_index(grad)].resample_backward(&d, grad->data, y->data);
    return SYN_OK;
}

static void resample2d_backward_backward(syn_backward_call *call)
{
    const syn_tensor *y = call->inputs[0];
    const syn_value *a = call->attrs;
    const syn_value attrs[N_ATTRS] = {SYN_INTS_OF(y->dims + y->ndim - 2, 2), a[R_BILINEAR],
                                      a[R_ALIGN_CORNERS], a[R_SCALES], a[R_EXACT]};
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_call(&syn_op_resample2d, call->grad_outputs, 1, attrs, N_ATTRS);
}

const syn_op syn_op_resample2d_backward = {
    .name = "resample2d_backward",
    .doc = "The transpose of resample2d.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_ARG("input_size", INTS), RESAMPLE_ARGS),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = resample2d_backward_infer,
    .forward = resample2d_backward_forward,
    .backward = resample2d_backward_backward,
    SYN_SAMPLES("(2,3,7,8), input_size=[2,3,4,5], bilinear=true"),
};

syn_tensor *syn_interpolate2d(syn_tensor *x, int64_t height, int64_t width,
                              syn_interpolate_mode mode, bool align_corners)
{
    const int64_t size[] = {height, width};
    return syn_call(&syn_op_resample2d, &x, 1,
                    (const syn_value[]){SYN_INTS_OF(size, 2), SYN_BOOL_OF(mode == SYN_BILINEAR),
                                        SYN_BOOL_OF(align_corners)},
                    3);
}

/* ---- interpolate, torch's front door ---- */

enum { I_SIZE, I_SCALE_FACTOR, I_MODE, I_ALIGN_CORNERS, I_RECOMPUTE };

/* The size asked for along axis `axis` of `n_axes`, and the scale it implies (0: from the extents).
 */
static syn_status wanted_extent(const syn_op_call *call, const int axis[2], int64_t in,
                                int64_t *size, double *scale)
{
    const syn_value *sizes = &call->attrs[I_SIZE], *factors = &call->attrs[I_SCALE_FACTOR];
    bool recomputes = call->attrs[I_RECOMPUTE].kind == SYN_VALUE_BOOL && call->attrs[I_RECOMPUTE].i;
    *scale = 0;
    if (sizes->kind == SYN_VALUE_INT || sizes->kind == SYN_VALUE_INTS) {
        if (sizes->kind == SYN_VALUE_INTS && sizes->n != 1 && sizes->n != axis[1])
            return SYN_OP_FAIL(call, "size has %d numbers for %d axes", sizes->n, axis[1]);
        *size = sizes->kind == SYN_VALUE_INT ? sizes->i : sizes->ints[sizes->n > 1 ? axis[0] : 0];
        return SYN_OK;
    }
    if (factors->kind == SYN_VALUE_FLOATS && factors->n != 1 && factors->n != axis[1])
        return SYN_OP_FAIL(call, "scale_factor has %d numbers for %d axes", factors->n, axis[1]);
    double factor = factors->kind == SYN_VALUE_FLOATS
                        ? factors->floats[factors->n > 1 ? axis[0] : 0]
                        : syn_value_number(factors);
    if (!(factor > 0) || !((double)in * factor < 1e9))
        return SYN_OP_FAIL(call, "size or a positive scale_factor is needed");
    *size = (int64_t)floor((double)in * factor);
    *scale = recomputes ? 0 : 1 / factor;
    return SYN_OK;
}

static syn_tensor *interpolate_image(const syn_op_call *call, syn_tensor *image, int n_axes)
{
    const char *mode = call->attrs[I_MODE].string;
    bool is_linear = strcmp(mode, n_axes == 2 ? "bilinear" : "linear") == 0;
    bool is_area = strcmp(mode, "area") == 0;
    int64_t size[2] = {1, 1};
    double scales[2] = {1, 1};
    bool is_exact = strcmp(mode, "nearest-exact") == 0;
    if (!is_linear && !is_area && !is_exact && strcmp(mode, "nearest") != 0)
        return syn_stick(
            SYN_OP_FAIL(call,
                        "mode %s is not possible for %d axes; nearest, nearest-exact, area or "
                        "%s is",
                        mode, n_axes + 2, n_axes == 2 ? "bilinear" : "linear"));
    for (int axis = 0; axis < n_axes; axis++) {
        int at = 2 - n_axes + axis;
        syn_status status = wanted_extent(call, (const int[]){axis, n_axes}, image->dims[2 + at],
                                          &size[at], &scales[at]);
        if (status != SYN_OK)
            return syn_stick(status);
    }
    if (is_area)
        return syn_adaptive_avg_pool2d(image, size[0], size[1]);
    bool aligns =
        call->attrs[I_ALIGN_CORNERS].kind == SYN_VALUE_BOOL && call->attrs[I_ALIGN_CORNERS].i;
    return syn_call(&syn_op_resample2d, &image, 1,
                    (const syn_value[]){SYN_INTS_OF(size, 2),
                                        SYN_BOOL_OF(is_linear),
                                        SYN_BOOL_OF(aligns),
                                        {.kind = SYN_VALUE_FLOATS, .n = 2, .floats = scales},
                                        SYN_BOOL_OF(is_exact)},
                    N_ATTRS);
}

static void interpolate_compose(syn_op_call *call)
{
    syn_tensor *x = call->inputs[0];
    if (x->ndim != 3 && x->ndim != 4) {
        (void)syn_stick(SYN_OP_FAIL(call,
                                    "the input has %d axes; (N, C, L) or (N, C, H, W) is "
                                    "possible",
                                    x->ndim));
        return;
    }
    if (x->ndim == 4) {
        call->outputs[0] = interpolate_image(call, x, 2);
        return;
    }
    syn_tensor *image = syn_unsqueeze(x, 2);
    syn_tensor *y = image ? interpolate_image(call, image, 1) : NULL;
    call->outputs[0] = y ? syn_squeeze(y, 2) : NULL;
}

const syn_op syn_op_interpolate = {
    .name = "interpolate",
    .doc = "Resamples (N, C, L) or (N, C, H, W) to `size` or by `scale_factor`; modes nearest, "
           "nearest-exact, linear, bilinear, area.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_ARG_OR("size", INTS, SYN_FALLBACK_NONE),
             SYN_ARG_OR("scale_factor", FLOATS, SYN_FALLBACK_NONE),
             SYN_ARG_OR("mode", STRING, SYN_FALLBACK_STRING("nearest")),
             SYN_ARG_OR("align_corners", BOOL, SYN_FALLBACK_NONE),
             SYN_ARG_OR("recompute_scale_factor", BOOL, SYN_FALLBACK_NONE),
             SYN_ARG_OR("antialias", BOOL, SYN_FALLBACK_BOOL(false))),
    .dtypes = SYN_DTYPES_FLOAT,
    .compose = interpolate_compose,
    SYN_SAMPLES("(2,3,4,5), size=[7,8]", "(1,2,4,4), scale_factor=2.0, mode='bilinear'",
                "(2,3,5), size=8, mode='linear', align_corners=true",
                "(1,2,4,4), size=3, mode='area'"),
};
