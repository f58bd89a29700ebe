/* Pooling and resampling, plane by plane; the common 2 x 2 windows in vector loops. */
#ifndef REAL
#include "worker/kernels/pool.h"
#include "common/base/mem.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/window.h"
#include "worker/kernels/workspace.h"
#include <math.h>
#include <string.h>

/* A whole number of 2 x 2 windows side by side: what most convolutional networks pool by. */
static bool is_halving(const syn_pool_dims *d)
{
    for (int axis = 0; axis < 2; axis++)
        if (d->kernel[axis] != 2 || d->stride[axis] != 2 || d->padding[axis] != 0 ||
            d->dilation[axis] != 1)
            return false;
    return d->h_out * 2 <= d->h_in && d->w_out * 2 <= d->w_in;
}

static bool is_parallel(const syn_pool_dims *d)
{
    return d->planes * d->h_in * d->w_in >= SYN_PARALLEL_MIN;
}

/* Where along an axis the averages look, and by how much they divide there. */
typedef struct span {
    int64_t begin, end, divisor;
} span;

static span pool_span(const syn_pool_dims *d, int axis, int64_t output)
{
    syn_window window = syn_pool_window(d, axis, output);
    return (span){window.begin, window.end, d->divisor ? 1 : syn_pool_extent(d, axis, output)};
}

static span adaptive_span(const syn_pool_dims *d, int axis, int64_t output)
{
    syn_window window = syn_adaptive_window(d, axis, output);
    return (span){window.begin, window.end, window.end - window.begin};
}

typedef span (*span_fn)(const syn_pool_dims *dims, int axis, int64_t output);

#define SYN_BODY "worker/kernels/cpu/pool.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                              \
    {                                                                                            \
        .max = max_##type, .max_backward = max_backward_##type, .max_gather = max_gather_##type, \
        .average = average_##type, .average_backward = average_backward_##type,                  \
        .adaptive = adaptive_##type, .adaptive_backward = adaptive_backward_##type,              \
        .resample = resample_##type, .resample_backward = resample_backward_##type               \
    }
const syn_pool_kernels syn_pool_cpu[] = {TABLE(f32), TABLE(f64)};

#else

/* ---- Maximum ---- */

/* One row of 2 x 2 windows. A value replaces the best if it is larger or NaN. */
SYN_INLINE void KERNEL(max_halving_row)(int64_t n, const REAL *top, int64_t w_in, int32_t first,
                                        REAL *y, int32_t *index)
{
    const REAL *bottom = top + w_in;
    int32_t below = (int32_t)w_in;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        REAL best = top[2 * i], b = top[2 * i + 1], c = bottom[2 * i], d = bottom[2 * i + 1];
        int32_t where = 0;
        where = b > best || b != b ? 1 : where;
        best = b > best || b != b ? b : best;
        where = c > best || c != c ? below : where;
        best = c > best || c != c ? c : best;
        where = d > best || d != d ? below + 1 : where;
        best = d > best || d != d ? d : best;
        y[i] = best;
        index[i] = first + 2 * (int32_t)i + where;
    }
}

SYN_MULTIARCH static void KERNEL(max_halving)(const syn_pool_dims *d, const REAL *x, REAL *y,
                                              int32_t *index)
{
    for (int64_t oh = 0; oh < d->h_out; oh++)
        KERNEL(max_halving_row)
    (d->w_out, x + 2 * oh * d->w_in, d->w_in, (int32_t)(2 * oh * d->w_in), y + oh * d->w_out,
     index + oh * d->w_out);
}

static void KERNEL(max_plane)(const syn_pool_dims *d, const REAL *x, REAL *y, int32_t *index)
{
    for (int64_t oh = 0; oh < d->h_out; oh++) {
        syn_window rows = syn_pool_window(d, 0, oh);
        for (int64_t ow = 0; ow < d->w_out; ow++) {
            syn_window columns = syn_pool_window(d, 1, ow);
            REAL best = -(REAL)INFINITY;
            int64_t where = rows.begin < rows.end && columns.begin < columns.end
                                ? rows.begin * d->w_in + columns.begin
                                : -1;
            for (int64_t ih = rows.begin; ih < rows.end; ih += rows.step)
                for (int64_t iw = columns.begin; iw < columns.end; iw += columns.step) {
                    REAL value = x[ih * d->w_in + iw];
                    if (value > best || value != value) {
                        best = value;
                        where = ih * d->w_in + iw;
                    }
                }
            *y++ = best;
            *index++ = (int32_t)where;
        }
    }
}

static void KERNEL(max)(const syn_pool_dims *d, const void *x, void *y, int32_t *index)
{
    int64_t n_in = d->h_in * d->w_in, n_out = d->h_out * d->w_out;
    bool halves = is_halving(d);
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++)
        (halves ? KERNEL(max_halving) : KERNEL(max_plane))(
            d, (const REAL *)x + p * n_in, (REAL *)y + p * n_out, index + p * n_out);
}

static void KERNEL(max_backward)(const syn_pool_dims *d, const void *grad_y, const int32_t *index,
                                 void *grad_x)
{
    int64_t n_in = d->h_in * d->w_in, n_out = d->h_out * d->w_out;
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++) {
        REAL *to = (REAL *)grad_x + p * n_in;
        memset(to, 0, (size_t)n_in * sizeof(REAL));
        for (int64_t i = 0; i < n_out; i++)
            if (index[p * n_out + i] >= 0)
                to[index[p * n_out + i]] += ((const REAL *)grad_y)[p * n_out + i];
    }
}

static void KERNEL(max_gather)(const syn_pool_dims *d, const void *x, const int32_t *index, void *y)
{
    int64_t n_in = d->h_in * d->w_in, n_out = d->h_out * d->w_out;
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++)
        for (int64_t i = p * n_out; i < (p + 1) * n_out; i++)
            ((REAL *)y)[i] = index[i] >= 0 ? ((const REAL *)x)[p * n_in + index[i]] : 0;
}

/* ---- Averages ---- */

static void KERNEL(average_plane)(const syn_pool_dims *d, span_fn find, const REAL *x, REAL *y)
{
    for (int64_t oh = 0; oh < d->h_out; oh++) {
        span rows = find(d, 0, oh);
        for (int64_t ow = 0; ow < d->w_out; ow++) {
            span columns = find(d, 1, ow);
            REAL sum = 0;
            for (int64_t ih = rows.begin; ih < rows.end; ih++)
                for (int64_t iw = columns.begin; iw < columns.end; iw++)
                    sum += x[ih * d->w_in + iw];
            *y++ = sum / (REAL)(d->divisor ? d->divisor : rows.divisor * columns.divisor);
        }
    }
}

static void KERNEL(spread_plane)(const syn_pool_dims *d, span_fn find, const REAL *grad_y,
                                 REAL *grad_x)
{
    memset(grad_x, 0, (size_t)(d->h_in * d->w_in) * sizeof(REAL));
    for (int64_t oh = 0; oh < d->h_out; oh++) {
        span rows = find(d, 0, oh);
        for (int64_t ow = 0; ow < d->w_out; ow++) {
            span columns = find(d, 1, ow);
            REAL share =
                *grad_y++ / (REAL)(d->divisor ? d->divisor : rows.divisor * columns.divisor);
            for (int64_t ih = rows.begin; ih < rows.end; ih++)
                for (int64_t iw = columns.begin; iw < columns.end; iw++)
                    grad_x[ih * d->w_in + iw] += share;
        }
    }
}

static void KERNEL(each_average)(const syn_pool_dims *d, span_fn find, const REAL *x, REAL *y)
{
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++)
        KERNEL(average_plane)(d, find, x + p * d->h_in * d->w_in, y + p * d->h_out * d->w_out);
}

static void KERNEL(each_spread)(const syn_pool_dims *d, span_fn find, const REAL *grad_y,
                                REAL *grad_x)
{
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++)
        KERNEL(spread_plane)
    (d, find, grad_y + p * d->h_out * d->w_out, grad_x + p * d->h_in * d->w_in);
}

static void KERNEL(average)(const syn_pool_dims *d, const void *x, void *y)
{
    KERNEL(each_average)(d, pool_span, x, y);
}

static void KERNEL(average_backward)(const syn_pool_dims *d, const void *grad_y, void *grad_x)
{
    KERNEL(each_spread)(d, pool_span, grad_y, grad_x);
}

static void KERNEL(adaptive)(const syn_pool_dims *d, const void *x, void *y)
{
    syn_pool_dims own = *d;
    own.divisor = 0;
    KERNEL(each_average)(&own, adaptive_span, x, y);
}

static void KERNEL(adaptive_backward)(const syn_pool_dims *d, const void *grad_y, void *grad_x)
{
    syn_pool_dims own = *d;
    own.divisor = 0;
    KERNEL(each_spread)(&own, adaptive_span, grad_y, grad_x);
}

/* ---- Resampling ---- */

static void KERNEL(resample_row)(const syn_resample_dims *d, syn_tap row, const REAL *x, REAL *y)
{
    const REAL *low = x + row.low * d->w_in, *high = x + row.high * d->w_in;
    REAL a = (REAL)row.weight;
    for (int64_t ow = 0; ow < d->w_out; ow++) {
        syn_tap column = KERNEL(syn_resample_tap)(d, 1, ow);
        REAL b = (REAL)column.weight;
        y[ow] = d->bilinear ? (1 - a) * ((1 - b) * low[column.low] + b * low[column.high]) +
                                  a * ((1 - b) * high[column.low] + b * high[column.high])
                            : low[column.low];
    }
}

static void KERNEL(resample_row_backward)(const syn_resample_dims *d, syn_tap row,
                                          const REAL *grad_y, REAL *grad_x)
{
    REAL *low = grad_x + row.low * d->w_in, *high = grad_x + row.high * d->w_in;
    REAL a = (REAL)row.weight;
    for (int64_t ow = 0; ow < d->w_out; ow++) {
        syn_tap column = KERNEL(syn_resample_tap)(d, 1, ow);
        REAL b = (REAL)column.weight;
        if (!d->bilinear) {
            low[column.low] += grad_y[ow];
            continue;
        }
        low[column.low] += grad_y[ow] * (1 - a) * (1 - b);
        low[column.high] += grad_y[ow] * (1 - a) * b;
        high[column.low] += grad_y[ow] * a * (1 - b);
        high[column.high] += grad_y[ow] * a * b;
    }
}

static void KERNEL(resample)(const syn_resample_dims *d, const void *x, void *y)
{
    int64_t n_in = d->h_in * d->w_in, n_rows = d->planes * d->h_out;
#pragma omp parallel for schedule(static) if (n_rows * d->w_out >= SYN_PARALLEL_MIN)
    for (int64_t r = 0; r < n_rows; r++)
        KERNEL(resample_row)
    (d, KERNEL(syn_resample_tap)(d, 0, r % d->h_out), (const REAL *)x + r / d->h_out * n_in,
     (REAL *)y + r * d->w_out);
}

static void KERNEL(resample_backward)(const syn_resample_dims *d, const void *grad_y, void *grad_x)
{
    int64_t n_in = d->h_in * d->w_in, n_out = d->h_out * d->w_out;
#pragma omp parallel for schedule(static) if (d->planes * n_out >= SYN_PARALLEL_MIN)
    for (int64_t p = 0; p < d->planes; p++) {
        REAL *to = (REAL *)grad_x + p * n_in;
        memset(to, 0, (size_t)n_in * sizeof(REAL));
        for (int64_t oh = 0; oh < d->h_out; oh++)
            KERNEL(resample_row_backward)
        (d, KERNEL(syn_resample_tap)(d, 0, oh), (const REAL *)grad_y + p * n_out + oh * d->w_out,
         to);
    }
}

#endif
