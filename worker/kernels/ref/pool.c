/* Pooling and resampling, one output element at a time. */
#ifndef REAL
#include "worker/kernels/pool.h"
#include "worker/kernels/window.h"
#include <math.h>

typedef struct window_kind {
    syn_window_fn window;
    int64_t (*extent)(const syn_pool_dims *dims, int axis, int64_t output);
} window_kind;

static const window_kind pool_windows = {syn_pool_window, syn_pool_extent};
static const window_kind adaptive_windows = {syn_adaptive_window, syn_adaptive_extent};

#define SYN_BODY "worker/kernels/ref/pool.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                              \
    {                                                                                            \
        .max = max_##type, .max_backward = max_backward_##type, .max_gather = max_gather_##type, \
        .average = average_##type, .average_backward = average_backward_##type,                  \
        .adaptive = adaptive_##type, .adaptive_backward = adaptive_backward_##type,              \
        .resample = resample_##type, .resample_backward = resample_backward_##type               \
    }
const syn_pool_kernels syn_pool_ref[] = {TABLE(f32), TABLE(f64)};

#else

static void KERNEL(max)(const syn_pool_dims *d, const void *x_data, void *y_data, int32_t *index)
{
    const REAL *x = x_data;
    REAL *y = y_data;
    int64_t at = 0;
    for (int64_t plane = 0; plane < d->planes; plane++, x += d->h_in * d->w_in)
        for (int64_t oh = 0; oh < d->h_out; oh++)
            for (int64_t ow = 0; ow < d->w_out; ow++, at++) {
                syn_window rows = syn_pool_window(d, 0, oh), columns = syn_pool_window(d, 1, ow);
                REAL best = -(REAL)INFINITY;
                int64_t is_seen = rows.begin < rows.end && columns.begin < columns.end;
                int64_t where = is_seen ? rows.begin * d->w_in + columns.begin : -1;
                for (int64_t ih = rows.begin; ih < rows.end; ih += rows.step)
                    for (int64_t iw = columns.begin; iw < columns.end; iw += columns.step) {
                        REAL value = x[ih * d->w_in + iw];
                        if (value > best || isnan(value)) {
                            best = value;
                            where = ih * d->w_in + iw;
                        }
                    }
                y[at] = best;
                index[at] = (int32_t)where;
            }
}

static void KERNEL(max_backward)(const syn_pool_dims *d, const void *grad_y_data,
                                 const int32_t *index, void *grad_x_data)
{
    const REAL *grad_y = grad_y_data;
    REAL *grad_x = grad_x_data;
    int64_t n_out = d->h_out * d->w_out, n_in = d->h_in * d->w_in;
    for (int64_t i = 0; i < d->planes * n_in; i++)
        grad_x[i] = 0;
    for (int64_t i = 0; i < d->planes * n_out; i++)
        if (index[i] >= 0)
            grad_x[i / n_out * n_in + index[i]] += grad_y[i];
}

static void KERNEL(max_gather)(const syn_pool_dims *d, const void *x_data, const int32_t *index,
                               void *y_data)
{
    const REAL *x = x_data;
    REAL *y = y_data;
    int64_t n_out = d->h_out * d->w_out, n_in = d->h_in * d->w_in;
    for (int64_t i = 0; i < d->planes * n_out; i++)
        y[i] = index[i] >= 0 ? x[i / n_out * n_in + index[i]] : 0;
}

/* The mean over windows, and its transpose, for both kinds of windows: `divisor` 0 means the
 * window's own area. */
static void KERNEL(average_windows)(const syn_pool_dims *d, window_kind kind, const REAL *x,
                                    REAL *y)
{
    for (int64_t plane = 0; plane < d->planes; plane++, x += d->h_in * d->w_in)
        for (int64_t oh = 0; oh < d->h_out; oh++)
            for (int64_t ow = 0; ow < d->w_out; ow++) {
                syn_window rows = kind.window(d, 0, oh), columns = kind.window(d, 1, ow);
                int64_t divisor =
                    d->divisor ? d->divisor : kind.extent(d, 0, oh) * kind.extent(d, 1, ow);
                REAL sum = 0;
                for (int64_t ih = rows.begin; ih < rows.end; ih++)
                    for (int64_t iw = columns.begin; iw < columns.end; iw++)
                        sum += x[ih * d->w_in + iw];
                *y++ = sum / (REAL)divisor;
            }
}

static void KERNEL(spread_windows)(const syn_pool_dims *d, window_kind kind, const REAL *grad_y,
                                   REAL *grad_x)
{
    for (int64_t i = 0; i < d->planes * d->h_in * d->w_in; i++)
        grad_x[i] = 0;
    for (int64_t plane = 0; plane < d->planes; plane++, grad_x += d->h_in * d->w_in)
        for (int64_t oh = 0; oh < d->h_out; oh++)
            for (int64_t ow = 0; ow < d->w_out; ow++) {
                syn_window rows = kind.window(d, 0, oh), columns = kind.window(d, 1, ow);
                int64_t divisor =
                    d->divisor ? d->divisor : kind.extent(d, 0, oh) * kind.extent(d, 1, ow);
                REAL share = *grad_y++ / (REAL)divisor;
                for (int64_t ih = rows.begin; ih < rows.end; ih++)
                    for (int64_t iw = columns.begin; iw < columns.end; iw++)
                        grad_x[ih * d->w_in + iw] += share;
            }
}

static void KERNEL(average)(const syn_pool_dims *d, const void *x, void *y)
{
    KERNEL(average_windows)(d, pool_windows, x, y);
}

static void KERNEL(average_backward)(const syn_pool_dims *d, const void *grad_y, void *grad_x)
{
    KERNEL(spread_windows)(d, pool_windows, grad_y, grad_x);
}

static void KERNEL(adaptive)(const syn_pool_dims *d, const void *x, void *y)
{
    syn_pool_dims own = *d;
    own.divisor = 0;
    KERNEL(average_windows)(&own, adaptive_windows, x, y);
}

static void KERNEL(adaptive_backward)(const syn_pool_dims *d, const void *grad_y, void *grad_x)
{
    syn_pool_dims own = *d;
    own.divisor = 0;
    KERNEL(spread_windows)(&own, adaptive_windows, grad_y, grad_x);
}

static void KERNEL(resample)(const syn_resample_dims *d, const void *x_data, void *y_data)
{
    const REAL *x = x_data;
    REAL *y = y_data;
    for (int64_t plane = 0; plane < d->planes; plane++, x += d->h_in * d->w_in)
        for (int64_t oh = 0; oh < d->h_out; oh++)
            for (int64_t ow = 0; ow < d->w_out; ow++) {
                syn_tap row = KERNEL(syn_resample_tap)(d, 0, oh);
                syn_tap column = KERNEL(syn_resample_tap)(d, 1, ow);
                const REAL *low = x + row.low * d->w_in, *high = x + row.high * d->w_in;
                REAL a = (REAL)row.weight, b = (REAL)column.weight;
                *y++ = (1 - a) * ((1 - b) * low[column.low] + b * low[column.high]) +
                       a * ((1 - b) * high[column.low] + b * high[column.high]);
            }
}

static void KERNEL(resample_backward)(const syn_resample_dims *d, const void *grad_y_data,
                                      void *grad_x_data)
{
    const REAL *grad_y = grad_y_data;
    REAL *grad_x = grad_x_data;
    for (int64_t i = 0; i < d->planes * d->h_in * d->w_in; i++)
        grad_x[i] = 0;
    for (int64_t plane = 0; plane < d->planes; plane++, grad_x += d->h_in * d->w_in)
        for (int64_t oh = 0; oh < d->h_out; oh++)
            for (int64_t ow = 0; ow < d->w_out; ow++, grad_y++) {
                syn_tap row = KERNEL(syn_resample_tap)(d, 0, oh);
                syn_tap column = KERNEL(syn_resample_tap)(d, 1, ow);
                REAL *low = grad_x + row.low * d->w_in, *high = grad_x + row.high * d->w_in;
                REAL a = (REAL)row.weight, b = (REAL)column.weight;
                low[column.low] += *grad_y * (1 - a) * (1 - b);
                low[column.high] += *grad_y * (1 - a) * b;
                high[column.low] += *grad_y * a * (1 - b);
                high[column.high] += *grad_y * a * b;
            }
}

#endif
