/* Convolution on the CPU: chooses a path by the extents alone, so that a shape always gives the
 * same bits. */
#include "worker/kernels/cpu/conv_paths.h"
#include <string.h>

/* Nothing to multiply: the result is the bias or zero. */
static int is_empty(syn_conv_kind kind, const syn_conv_dims *d, const syn_conv_arrays *a,
                    size_t size)
{
    int64_t n_x = d->n * d->c_in * d->h_in * d->w_in, n_y = d->n * d->c_out * d->h_out * d->w_out;
    int64_t n_w = d->c_out * (d->c_in / d->groups) * d->kh * d->kw;
    if (n_x && n_y && n_w)
        return 0;
    if (kind == SYN_CONV_GRAD_INPUT)
        memset(a->x, 0, (size_t)n_x * size);
    else if (kind == SYN_CONV_GRAD_WEIGHT)
        memset(a->w, 0, (size_t)n_w * size);
    return 1;
}

/* oneDNN's blocked layouts beat im2col by 1.2 to 3 times, except for 1 x 1 kernels, where the
 * conversion of the layout costs more than it saves, and for the gradient of 1-3 input channels,
 * which blocks of 16 channels waste. */
static int prefers_gemm(syn_conv_kind kind, const syn_conv_dims *d)
{
    int is_pointwise = d->kh == 1 && d->kw == 1 && d->stride[0] == 1 && d->stride[1] == 1 &&
                       d->padding[0] == 0 && d->padding[1] == 0;
    return is_pointwise || (kind == SYN_CONV_GRAD_INPUT && d->c_in / d->groups <= 3);
}

static syn_status run_f32(syn_conv_kind kind, const syn_conv_dims *d, const syn_conv_arrays *a)
{
    if (is_empty(kind, d, a, sizeof(float))) {
        if (kind == SYN_CONV_FORWARD)
            return syn_conv_ref[0].forward(d, a->x, a->w, a->bias, a->y);
        return SYN_OK;
    }
    if (syn_conv_direct_suits(kind, d))
        return syn_conv_direct(kind, d, a);
    if (!prefers_gemm(kind, d)) {
        syn_status status = syn_conv_dnnl(kind, d, a);
        if (status != SYN_UNIMPLEMENTED)
            return status;
    }
    return syn_conv_gemm_f32(kind, d, a);
}

static syn_status run_f64(syn_conv_kind kind, const syn_conv_dims *d, const syn_conv_arrays *a)
{
    if (is_empty(kind, d, a, sizeof(double))) {
        if (kind == SYN_CONV_FORWARD)
            return syn_conv_ref[1].forward(d, a->x, a->w, a->bias, a->y);
        return SYN_OK;
    }
    return syn_conv_gemm_f64(kind, d, a);
}

/* The three kernels of one type; inputs lose their const only to share one struct with outputs. */
#define CONV_KERNELS(type)                                                                         \
    static syn_status forward_##type(const syn_conv_dims *d, const void *x, const void *w,         \
                                     const void *bias, void *y)                                    \
    {                                                                                              \
        return run_##type(SYN_CONV_FORWARD, d,                                                     \
                          &(syn_conv_arrays){(void *)x, (void *)w, (void *)bias, y});              \
    }                                                                                              \
    static syn_status grad_input_##type(const syn_conv_dims *d, const void *grad_y, const void *w, \
                                        void *grad_x)                                              \
    {                                                                                              \
        return run_##type(SYN_CONV_GRAD_INPUT, d,                                                  \
                          &(syn_conv_arrays){grad_x, (void *)w, NULL, (void *)grad_y});            \
    }                                                                                              \
    static syn_status grad_weight_##type(const syn_conv_dims *d, const void *grad_y,               \
                                         const void *x, void *grad_w)                              \
    {                                                                                              \
        return run_##type(SYN_CONV_GRAD_WEIGHT, d,                                                 \
                          &(syn_conv_arrays){(void *)x, grad_w, NULL, (void *)grad_y});            \
    }
CONV_KERNELS(f32)
CONV_KERNELS(f64)

/* What is not here is ref's. */
#define TABLE(type)                                                 \
    {                                                               \
        .forward = forward_##type, .grad_input = grad_input_##type, \
        .grad_weight = grad_weight_##type                           \
    }
const syn_conv_kernels syn_conv_cpu[] = {TABLE(f32), TABLE(f64)};
