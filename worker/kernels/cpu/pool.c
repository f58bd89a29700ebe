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

/* Columns that a strip of outputs sees at most. */
enum { WIDEST = 512 };

/* Output columns [first_out, + n_out) and the input columns [first_in, + n_in) they see. */
typedef struct strip {
    int64_t first_out, n_out, first_in, n_in;
} strip;

/* The longest strip from `first` on, and its outputs' columns. */
static strip strip_from(const syn_pool_dims *d, span_fn find, int64_t first, span *columns)
{
    strip s = {.first_out = first, .first_in = find(d, 1, first).begin};
    for (int64_t ow = first; ow < d->w_out && s.n_out < WIDEST; ow++) {
        span c = find(d, 1, ow);
        if (c.end - s.first_in > WIDEST)
            break;
        s.n_in = c.end - s.first_in > s.n_in ? c.end - s.first_in : s.n_in;
        columns[s.n_out++] = c;
    }
    return s;
}

/* Where the output columns [first, + n) of a resampling read. */
typedef struct tap_strip {
    int64_t first, n;
    syn_tap taps[WIDEST];
} tap_strip;

static bool has_wide_window(const syn_pool_dims *d, span_fn find)
{
    for (int64_t ow = 0; ow < d->w_out; ow++)
        if (find(d, 1, ow).end - find(d, 1, ow).begin > WIDEST)
            return true;
    return false;
}

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

/* `n` windows of 2 x 2 side by side; n is a constant where this is used. A value replaces the best
 * if it is larger or NaN. */
SYN_INLINE void KERNEL(max_halving_some)(int n, const REAL *top, const REAL *bottom, int32_t below,
                                         REAL *y, int32_t *index)
{
#pragma omp simd
    for (int i = 0; i < n; i++) {
        REAL best = top[2 * i], b = top[2 * i + 1], c = bottom[2 * i], d = bottom[2 * i + 1];
        int32_t where = 2 * i, right = where + 1;
        bool is_more = (b > best) | (b != b);
        best = is_more ? b : best;
        where = is_more ? right : where;
        is_more = (c > best) | (c != c);
        best = is_more ? c : best;
        where = is_more ? right - 1 + below : where;
        is_more = (d > best) | (d != d);
        y[i] = is_more ? d : best;
        index[i] = is_more ? right + below : where;
    }
}

/* Rows in pieces of `width` windows, the last of which ends with the row and may repeat some. A
 * rest of single windows would be slow: its branches follow the data. */
SYN_INLINE void KERNEL(max_halving_rows)(const syn_pool_dims *d, int width, const REAL *x, REAL *y,
                                         int32_t *index)
{
    int32_t below = (int32_t)d->w_in;
    for (int64_t oh = 0; oh < d->h_out; oh++, x += 2 * d->w_in, y += d->w_out, index += d->w_out)
        for (int64_t at = 0; at < d->w_out; at += width) {
            int64_t i = at + width <= d->w_out ? at : d->w_out - width;
            KERNEL(max_halving_some)
            (width, x + 2 * i, x + 2 * i + d->w_in, below, y + i, index + i);
            int32_t first = (int32_t)(2 * (oh * d->w_in + i));
            for (int k = 0; k < width; k++)
                index[i + k] += first;
        }
}

SYN_MULTIARCH static void KERNEL(max_halving)(const syn_pool_dims *d, const REAL *x, REAL *y,
                                              int32_t *index)
{
    if (d->w_out >= 16)
        KERNEL(max_halving_rows)(d, 16, x, y, index);
    else if (d->w_out >= 8)
        KERNEL(max_halving_rows)(d, 8, x, y, index);
    else if (d->w_out >= 4)
        KERNEL(max_halving_rows)(d, 4, x, y, index);
    else
        KERNEL(max_halving_rows)(d, 1, x, y, index);
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

/* A window's sum is that of its columns' sums: rows are added first, in vectors. Images up to
 * WIDEST columns; wider ones go in strips of output columns, each with the input columns it sees.
 */
SYN_INLINE void KERNEL(average_strip)(const syn_pool_dims *d, span_fn find, const span *columns,
                                      const strip *s, const REAL *x, REAL *y)
{
    REAL sums[WIDEST];
    for (int64_t oh = 0; oh < d->h_out; oh++) {
        span rows = find(d, 0, oh);
        for (int64_t i = 0; i < s->n_in; i++)
            sums[i] = 0;
        for (int64_t ih = rows.begin; ih < rows.end; ih++) {
            const REAL *row = x + ih * d->w_in + s->first_in;
#pragma omp simd
            for (int64_t i = 0; i < s->n_in; i++)
                sums[i] += row[i];
        }
        for (int64_t k = 0; k < s->n_out; k++) {
            REAL sum = 0;
            for (int64_t iw = columns[k].begin; iw < columns[k].end; iw++)
                sum += sums[iw - s->first_in];
            int64_t divisor = d->divisor ? d->divisor : rows.divisor * columns[k].divisor;
            y[oh * d->w_out + s->first_out + k] = sum / (REAL)divisor;
        }
    }
}

SYN_INLINE void KERNEL(spread_strip)(const syn_pool_dims *d, span_fn find, const span *columns,
                                     const strip *s, const REAL *grad_y, REAL *grad_x)
{
    REAL sums[WIDEST];
    for (int64_t oh = 0; oh < d->h_out; oh++) {
        span rows = find(d, 0, oh);
        for (int64_t i = 0; i < s->n_in; i++)
            sums[i] = 0;
        for (int64_t k = 0; k < s->n_out; k++) {
            int64_t divisor = d->divisor ? d->divisor : rows.divisor * columns[k].divisor;
            REAL share = grad_y[oh * d->w_out + s->first_out + k] / (REAL)divisor;
            for (int64_t iw = columns[k].begin; iw < columns[k].end; iw++)
                sums[iw - s->first_in] += share;
        }
        for (int64_t ih = rows.begin; ih < rows.end; ih++) {
            REAL *row = grad_x + ih * d->w_in + s->first_in;
#pragma omp simd
            for (int64_t i = 0; i < s->n_in; i++)
                row[i] += sums[i];
        }
    }
}

SYN_MULTIARCH static void KERNEL(average_plane)(const syn_pool_dims *d, span_fn find, const REAL *x,
                                                REAL *y)
{
    span columns[WIDEST];
    for (int64_t ow = 0; ow < d->w_out;) {
        strip s = strip_from(d, find, ow, columns);
        KERNEL(average_strip)(d, find, columns, &s, x, y);
        ow += s.n_out;
    }
}

SYN_MULTIARCH static void KERNEL(spread_plane)(const syn_pool_dims *d, span_fn find,
                                               const REAL *grad_y, REAL *grad_x)
{
    span columns[WIDEST];
    memset(grad_x, 0, (size_t)(d->h_in * d->w_in) * sizeof(REAL));
    for (int64_t ow = 0; ow < d->w_out;) {
        strip s = strip_from(d, find, ow, columns);
        KERNEL(spread_strip)(d, find, columns, &s, grad_y, grad_x);
        ow += s.n_out;
    }
}

/* The window of one output alone is wider than a strip. */
static void KERNEL(average_wide)(const syn_pool_dims *d, span_fn find, const REAL *x, REAL *y)
{
    for (int64_t at = 0; at < d->h_out * d->w_out; at++) {
        span rows = find(d, 0, at / d->w_out), columns = find(d, 1, at % d->w_out);
        REAL sum = 0;
        for (int64_t ih = rows.begin; ih < rows.end; ih++)
            for (int64_t iw = columns.begin; iw < columns.end; iw++)
                sum += x[ih * d->w_in + iw];
        y[at] = sum / (REAL)(d->divisor ? d->divisor : rows.divisor * columns.divisor);
    }
}

static void KERNEL(spread_wide)(const syn_pool_dims *d, span_fn find, const REAL *grad_y,
                                REAL *grad_x)
{
    memset(grad_x, 0, (size_t)(d->h_in * d->w_in) * sizeof(REAL));
    for (int64_t at = 0; at < d->h_out * d->w_out; at++) {
        span rows = find(d, 0, at / d->w_out), columns = find(d, 1, at % d->w_out);
        int64_t divisor = d->divisor ? d->divisor : rows.divisor * columns.divisor;
        REAL share = grad_y[at] / (REAL)divisor;
        for (int64_t ih = rows.begin; ih < rows.end; ih++)
            for (int64_t iw = columns.begin; iw < columns.end; iw++)
                grad_x[ih * d->w_in + iw] += share;
    }
}

/* 2 x 2 windows: pieces of `width` windows, a constant, as for the maximum. */
SYN_INLINE void KERNEL(average_halving_rows)(const syn_pool_dims *d, int width, const REAL *x,
                                             REAL *y)
{
    REAL divisor = (REAL)(d->divisor ? d->divisor : 4);
    for (int64_t oh = 0; oh < d->h_out; oh++, x += 2 * d->w_in, y += d->w_out)
        for (int64_t at = 0; at < d->w_out; at += width) {
            int64_t first = at + width <= d->w_out ? at : d->w_out - width;
            const REAL *top = x + 2 * first, *bottom = top + d->w_in;
#pragma omp simd
            for (int i = 0; i < width; i++)
                y[first + i] =
                    (top[2 * i] + top[2 * i + 1] + bottom[2 * i] + bottom[2 * i + 1]) / divisor;
        }
}

SYN_INLINE void KERNEL(spread_halving_rows)(const syn_pool_dims *d, int width, const REAL *grad_y,
                                            REAL *grad_x)
{
    REAL divisor = (REAL)(d->divisor ? d->divisor : 4);
    for (int64_t oh = 0; oh < d->h_out; oh++, grad_x += 2 * d->w_in, grad_y += d->w_out)
        for (int64_t at = 0; at < d->w_out; at += width) {
            int64_t first = at + width <= d->w_out ? at : d->w_out - width;
            REAL *top = grad_x + 2 * first, *bottom = top + d->w_in;
#pragma omp simd
            for (int i = 0; i < 2 * width; i++)
                top[i] = bottom[i] = grad_y[first + i / 2] / divisor;
        }
}

SYN_MULTIARCH static void KERNEL(average_halving)(const syn_pool_dims *d, span_fn find,
                                                  const REAL *x, REAL *y)
{
    (void)find;
    if (d->w_out >= 8)
        KERNEL(average_halving_rows)(d, 8, x, y);
    else
        KERNEL(average_halving_rows)(d, 1, x, y);
}

SYN_MULTIARCH static void KERNEL(spread_halving)(const syn_pool_dims *d, span_fn find,
                                                 const REAL *grad_y, REAL *grad_x)
{
    (void)find;
    if (2 * d->h_out < d->h_in || 2 * d->w_out < d->w_in)
        memset(grad_x, 0, (size_t)(d->h_in * d->w_in) * sizeof(REAL));
    if (d->w_out >= 8)
        KERNEL(spread_halving_rows)(d, 8, grad_y, grad_x);
    else
        KERNEL(spread_halving_rows)(d, 1, grad_y, grad_x);
}

typedef void (*KERNEL(plane_fn))(const syn_pool_dims *d, span_fn find, const REAL *from, REAL *to);

static void KERNEL(each_average)(const syn_pool_dims *d, span_fn find, const REAL *x, REAL *y)
{
    KERNEL(plane_fn)
    run = is_halving(d) && find == pool_span ? KERNEL(average_halving)
          : has_wide_window(d, find)         ? KERNEL(average_wide)
                                             : KERNEL(average_plane);
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++)
        run(d, find, x + p * d->h_in * d->w_in, y + p * d->h_out * d->w_out);
}

static void KERNEL(each_spread)(const syn_pool_dims *d, span_fn find, const REAL *grad_y,
                                REAL *grad_x)
{
    KERNEL(plane_fn)
    run = is_halving(d) && find == pool_span ? KERNEL(spread_halving)
          : has_wide_window(d, find)         ? KERNEL(spread_wide)
                                             : KERNEL(spread_plane);
#pragma omp parallel for schedule(static) if (is_parallel(d))
    for (int64_t p = 0; p < d->planes; p++)
        run(d, find, grad_y + p * d->h_out * d->w_out, grad_x + p * d->h_in * d->w_in);
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

/* Part of an output row from two input rows; nearest neighbours have but one. */
SYN_MULTIARCH static void KERNEL(resample_row)(const syn_resample_dims *d, const tap_strip *s,
                                               syn_tap row, const REAL *x, REAL *y)
{
    const REAL *low = x + row.low * d->w_in, *high = x + row.high * d->w_in;
    REAL a = (REAL)row.weight;
    for (int64_t i = 0; !d->bilinear && i < s->n; i++)
        y[s->first + i] = low[s->taps[i].low];
    for (int64_t i = 0; d->bilinear && i < s->n; i++) {
        const syn_tap *t = &s->taps[i];
        REAL b = (REAL)t->weight;
        y[s->first + i] = (1 - a) * ((1 - b) * low[t->low] + b * low[t->high]) +
                          a * ((1 - b) * high[t->low] + b * high[t->high]);
    }
}

static void KERNEL(resample_row_backward)(const syn_resample_dims *d, const tap_strip *s,
                                          syn_tap row, const REAL *grad_y, REAL *grad_x)
{
    REAL *low = grad_x + row.low * d->w_in, *high = grad_x + row.high * d->w_in;
    REAL a = (REAL)row.weight;
    for (int64_t i = 0; !d->bilinear && i < s->n; i++)
        low[s->taps[i].low] += grad_y[s->first + i];
    for (int64_t i = 0; d->bilinear && i < s->n; i++) {
        const syn_tap *t = &s->taps[i];
        REAL b = (REAL)t->weight, g = grad_y[s->first + i];
        low[t->low] += g * (1 - a) * (1 - b);
        low[t->high] += g * (1 - a) * b;
        high[t->low] += g * a * (1 - b);
        high[t->high] += g * a * b;
    }
}

static void KERNEL(find_taps)(const syn_resample_dims *d, int64_t first, tap_strip *s)
{
    s->first = first;
    s->n = d->w_out - first < WIDEST ? d->w_out - first : WIDEST;
    for (int64_t i = 0; i < s->n; i++)
        s->taps[i] = KERNEL(syn_resample_tap)(d, 1, first + i);
}

static void KERNEL(resample)(const syn_resample_dims *d, const void *x, void *y)
{
    int64_t n_in = d->h_in * d->w_in, n_rows = d->planes * d->h_out;
    for (int64_t first = 0; first < d->w_out; first += WIDEST) {
        tap_strip s;
        KERNEL(find_taps)(d, first, &s);
#pragma omp parallel for schedule(static) if (n_rows * s.n >= SYN_PARALLEL_MIN)
        for (int64_t r = 0; r < n_rows; r++) {
            syn_tap row = KERNEL(syn_resample_tap)(d, 0, r % d->h_out);
            const REAL *plane = (const REAL *)x + r / d->h_out * n_in;
            KERNEL(resample_row)(d, &s, row, plane, (REAL *)y + r * d->w_out);
        }
    }
}

static void KERNEL(resample_backward)(const syn_resample_dims *d, const void *grad_y, void *grad_x)
{
    int64_t n_in = d->h_in * d->w_in, n_out = d->h_out * d->w_out;
    memset(grad_x, 0, (size_t)(d->planes * n_in) * sizeof(REAL));
    for (int64_t first = 0; first < d->w_out; first += WIDEST) {
        tap_strip s;
        KERNEL(find_taps)(d, first, &s);
#pragma omp parallel for schedule(static) if (d->planes * n_out >= SYN_PARALLEL_MIN)
        for (int64_t r = 0; r < d->planes; r++)
            for (int64_t oh = 0; oh < d->h_out; oh++) {
                syn_tap row = KERNEL(syn_resample_tap)(d, 0, oh);
                const REAL *from = (const REAL *)grad_y + r * n_out + oh * d->w_out;
                KERNEL(resample_row_backward)(d, &s, row, from, (REAL *)grad_x + r * n_in);
            }
    }
}

#endif
