/* Which input elements an output element of a pooling or a resampling reads, along one axis. */
#ifndef WORKER_KERNELS_WINDOW_H
#define WORKER_KERNELS_WINDOW_H

#include "worker/kernels/pool.h"

/* Elements begin, begin + step, ... below end. */
typedef struct syn_window {
    int64_t begin, end, step;
} syn_window;

typedef syn_window (*syn_window_fn)(const syn_pool_dims *dims, int axis, int64_t output);

static inline syn_window syn_pool_window(const syn_pool_dims *d, int axis, int64_t output)
{
    int64_t extent = axis ? d->w_in : d->h_in, step = d->dilation[axis];
    int64_t begin = output * d->stride[axis] - d->padding[axis];
    int64_t end = begin + (d->kernel[axis] - 1) * step + 1;
    if (begin < 0)
        begin += (-begin + step - 1) / step * step;
    return (syn_window){begin, end > extent ? extent : end, step};
}

static inline syn_window syn_adaptive_window(const syn_pool_dims *d, int axis, int64_t output)
{
    int64_t in = axis ? d->w_in : d->h_in, out = axis ? d->w_out : d->h_out;
    return (syn_window){output * in / out, ((output + 1) * in + out - 1) / out, 1};
}

/* The extent of an average's window along an axis, by which it is divided. Padding counts up to the
 * padded edge only (ceil_mode can place windows beyond it). */
static inline int64_t syn_pool_extent(const syn_pool_dims *d, int axis, int64_t output)
{
    syn_window window = syn_pool_window(d, axis, output);
    if (!d->count_padding)
        return window.end > window.begin ? window.end - window.begin : 0;
    int64_t begin = output * d->stride[axis] - d->padding[axis];
    int64_t edge = (axis ? d->w_in : d->h_in) + d->padding[axis], end = begin + d->kernel[axis];
    return (end < edge ? end : edge) - begin;
}

static inline int64_t syn_adaptive_extent(const syn_pool_dims *d, int axis, int64_t output)
{
    syn_window window = syn_adaptive_window(d, axis, output);
    return window.end - window.begin;
}

/* (1 - weight) * x[low] + weight * x[high] */
typedef struct syn_tap {
    int64_t low, high;
    double weight;
} syn_tap;

/* torch computes source positions in the tensor's own type, which decides which pixel "nearest"
 * takes at ties: hence one function for each type. The arithmetic is that of
 * ATen/native/UpSample.h. */
#define SYN_DEFINE_RESAMPLE_TAP(name, real)                                          \
    static inline syn_tap name(const syn_resample_dims *d, int axis, int64_t at)     \
    {                                                                                \
        int64_t in = axis ? d->w_in : d->h_in, out = axis ? d->w_out : d->h_out;     \
        double given = d->scale[axis];                                               \
        real scale = given > 0 ? (real)given : (real)in / (real)out, source;         \
        if (!d->bilinear) {                                                          \
            int64_t low = (int64_t)(float)(((real)at + (d->exact ? (real)0.5 : 0)) * \
                                           scale); /* torch: floorf */               \
            low = low < in - 1 ? low : in - 1;                                       \
            return (syn_tap){low, low, 0};                                           \
        }                                                                            \
        if (d->align_corners) {                                                      \
            scale = out > 1 ? (real)(in - 1) / (real)(out - 1) : 0;                  \
            source = scale * (real)at;                                               \
        } else {                                                                     \
            source = scale * ((real)at + (real)0.5) - (real)0.5;                     \
            source = source < 0 ? 0 : source;                                        \
        }                                                                            \
        int64_t low = (int64_t)source;                                               \
        low = low < in - 1 ? low : in - 1;                                           \
        return (syn_tap){low, low + (low < in - 1), (double)(source - (real)low)};   \
    }
SYN_DEFINE_RESAMPLE_TAP(syn_resample_tap_f32, float)
SYN_DEFINE_RESAMPLE_TAP(syn_resample_tap_f64, double)
#undef SYN_DEFINE_RESAMPLE_TAP

#endif
