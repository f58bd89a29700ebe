/* Softmax and cross-entropy in vector loops over rows; over columns where the axis is not the last
 * one. */
#ifndef REAL
#include "worker/kernels/softmax.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/vec_math.h"
#include <math.h>

/* Columns of one strip when the axis is not the last. */
enum { STRIP = 64 };

/* Which of the four element-wise forms a walk over rows computes. */
typedef enum row_kind { SOFTMAX, LOG_SOFTMAX, SOFTMAX_BACKWARD, LOG_SOFTMAX_BACKWARD } row_kind;

/* Rows given to one thread at a time: about 8192 elements; a function of the extents, so that sums
 * do not depend on threads. */
static int64_t rows_per_chunk(int64_t length)
{
    return length >= 8192 ? 1 : 8192 / (length > 0 ? length : 1);
}

#define SYN_BODY "worker/kernels/cpu/softmax.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                             \
    {                                                                                           \
        .softmax = softmax_##type, .softmax_backward = softmax_backward_##type,                 \
        .log_softmax = log_softmax_##type, .log_softmax_backward = log_softmax_backward_##type, \
        .cross_entropy = cross_entropy_##type,                                                  \
        .cross_entropy_backward = cross_entropy_backward_##type                                 \
    }
const syn_softmax_kernels syn_softmax_cpu[] = {TABLE(f32), TABLE(f64)};

#else

#define VEC_EXP KERNEL(syn_vec_exp_of_negative)

#include "worker/kernels/cpu/lanes.h"

/* log(sum(exp(x - largest))), by way of a buffer in the first-level cache. */
SYN_INLINE REAL KERNEL(row_log_sum)(int64_t n, const REAL *x, REAL largest)
{
    REAL powers[256], sum = 0;
    for (int64_t at = 0; at < n; at += 256) {
        int64_t length = n - at < 256 ? n - at : 256;
#pragma omp simd
        for (int64_t i = 0; i < length; i++)
            powers[i] = VEC_EXP(x[at + i] - largest);
        sum += KERNEL(sum_of)(length, powers, powers, 0);
    }
    return (REAL)log((double)sum);
}

SYN_INLINE void KERNEL(row_softmax)(int64_t n, const REAL *x, REAL *y)
{
    REAL largest = KERNEL(max_of)(n, x);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = VEC_EXP(x[i] - largest);
    REAL scale = 1 / KERNEL(sum_of)(n, y, y, 0);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] *= scale;
}

SYN_INLINE void KERNEL(row_log_softmax)(int64_t n, const REAL *x, REAL *y)
{
    REAL largest = KERNEL(max_of)(n, x), log_sum = KERNEL(row_log_sum)(n, x, largest);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] - largest - log_sum;
}

SYN_INLINE void KERNEL(row_softmax_backward)(int64_t n, const REAL *grad_y, const REAL *y,
                                             REAL *grad_x)
{
    REAL sum = KERNEL(sum_of_products)(n, grad_y, y, 0);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        grad_x[i] = y[i] * (grad_y[i] - sum);
}

SYN_INLINE void KERNEL(row_log_softmax_backward)(int64_t n, const REAL *grad_y, const REAL *y,
                                                 REAL *grad_x)
{
    REAL sum = KERNEL(sum_of)(n, grad_y, grad_y, 0);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        grad_x[i] = grad_y[i] - VEC_EXP(y[i]) * sum;
}

/* `a` is x, or grad_y with `y` for the backward kinds. */
SYN_MULTIARCH static void KERNEL(some_rows)(row_kind kind, const int64_t extents[2], const REAL *a,
                                            const REAL *y, REAL *out)
{
    int64_t n = extents[1];
    for (int64_t r = 0; r < extents[0]; r++, a += n, out += n) {
        if (kind == SOFTMAX)
            KERNEL(row_softmax)(n, a, out);
        else if (kind == LOG_SOFTMAX)
            KERNEL(row_log_softmax)(n, a, out);
        else if (kind == SOFTMAX_BACKWARD)
            KERNEL(row_softmax_backward)(n, a, y + r * n, out);
        else
            KERNEL(row_log_softmax_backward)(n, a, y + r * n, out);
    }
}

/* One strip of up to STRIP columns of an (n, inner) array, forward kinds. */
SYN_MULTIARCH static void KERNEL(strip_forward)(row_kind kind, const syn_softmax_dims *d,
                                                int64_t width, const REAL *x, REAL *y)
{
    REAL largest[STRIP], sum[STRIP];
    for (int64_t j = 0; j < width; j++) {
        largest[j] = -(REAL)INFINITY;
        sum[j] = 0;
    }
    for (int64_t i = 0; i < d->n; i++)
        for (int64_t j = 0; j < width; j++)
            largest[j] = x[i * d->inner + j] > largest[j] ? x[i * d->inner + j] : largest[j];
    for (int64_t i = 0; i < d->n; i++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
            REAL shifted = x[i * d->inner + j] - largest[j], power = VEC_EXP(shifted);
            sum[j] += power;
            y[i * d->inner + j] = kind == SOFTMAX ? power : shifted;
        }
    for (int64_t j = 0; j < width; j++)
        sum[j] = kind == SOFTMAX ? 1 / sum[j] : (REAL)log((double)sum[j]);
    for (int64_t i = 0; i < d->n; i++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
            REAL value = y[i * d->inner + j];
            y[i * d->inner + j] = kind == SOFTMAX ? value * sum[j] : value - sum[j];
        }
}

SYN_MULTIARCH static void KERNEL(strip_backward)(row_kind kind, const syn_softmax_dims *d,
                                                 int64_t width, const REAL *const in[2],
                                                 REAL *grad_x)
{
    const REAL *grad_y = in[0], *y = in[1];
    REAL sum[STRIP] = {0};
    for (int64_t i = 0; i < d->n; i++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
            int64_t at = i * d->inner + j;
            sum[j] += kind == SOFTMAX_BACKWARD ? grad_y[at] * y[at] : grad_y[at];
        }
    for (int64_t i = 0; i < d->n; i++)
#pragma omp simd
        for (int64_t j = 0; j < width; j++) {
            int64_t at = i * d->inner + j;
            grad_x[at] = kind == SOFTMAX_BACKWARD ? y[at] * (grad_y[at] - sum[j])
                                                  : grad_y[at] - VEC_EXP(y[at]) * sum[j];
        }
}

static void KERNEL(walk_rows)(row_kind kind, const syn_softmax_dims *d, const REAL *a,
                              const REAL *y, REAL *out)
{
    int64_t step = rows_per_chunk(d->n);
#pragma omp parallel for schedule(static) if (d->outer * d->n >= SYN_PARALLEL_MIN)
    for (int64_t row = 0; row < d->outer; row += step) {
        int64_t rows = d->outer - row < step ? d->outer - row : step, at = row * d->n;
        KERNEL(some_rows)(kind, (const int64_t[]){rows, d->n}, a + at, y ? y + at : y, out + at);
    }
}

static void KERNEL(walk_strips)(row_kind kind, const syn_softmax_dims *d, const REAL *a,
                                const REAL *y, REAL *out)
{
    int64_t strips = (d->inner + STRIP - 1) / STRIP, total = d->outer * d->n * d->inner;
#pragma omp parallel for schedule(static) if (total >= SYN_PARALLEL_MIN)
    for (int64_t s = 0; s < d->outer * strips; s++) {
        int64_t column = s % strips * STRIP, at = s / strips * d->n * d->inner + column;
        int64_t width = d->inner - column < STRIP ? d->inner - column : STRIP;
        if (y)
            KERNEL(strip_backward)(kind, d, width, (const REAL *const[]){a + at, y + at}, out + at);
        else
            KERNEL(strip_forward)(kind, d, width, a + at, out + at);
    }
}

static void KERNEL(walk)(row_kind kind, const syn_softmax_dims *d, const void *a, const void *y,
                         void *out)
{
    if (d->inner == 1)
        KERNEL(walk_rows)(kind, d, a, y, out);
    else
        KERNEL(walk_strips)(kind, d, a, y, out);
}

static void KERNEL(softmax)(const syn_softmax_dims *d, const void *x, void *y)
{
    KERNEL(walk)(SOFTMAX, d, x, NULL, y);
}

static void KERNEL(log_softmax)(const syn_softmax_dims *d, const void *x, void *y)
{
    KERNEL(walk)(LOG_SOFTMAX, d, x, NULL, y);
}

static void KERNEL(softmax_backward)(const syn_softmax_dims *d, const void *grad_y, const void *y,
                                     void *grad_x)
{
    KERNEL(walk)(SOFTMAX_BACKWARD, d, grad_y, y, grad_x);
}

static void KERNEL(log_softmax_backward)(const syn_softmax_dims *d, const void *grad_y,
                                         const void *y, void *grad_x)
{
    KERNEL(walk)(LOG_SOFTMAX_BACKWARD, d, grad_y, y, grad_x);
}

/* ---- Cross-entropy ---- */

SYN_MULTIARCH static double KERNEL(some_losses)(const syn_cross_entropy_args *a,
                                                const int64_t range[2], REAL *log_sum)
{
    double total = 0, uniform = a->label_smoothing / (double)a->classes;
    for (int64_t r = range[0]; r < range[1]; r++) {
        const REAL *x = (const REAL *)a->logits + r * a->classes;
        REAL largest = KERNEL(max_of)(a->classes, x);
        log_sum[r] = largest + KERNEL(row_log_sum)(a->classes, x, largest);
        int64_t class = syn_target_class(a, r);
        if (class == a->ignored_class)
            continue;
        total += (1 - a->label_smoothing) * ((double)log_sum[r] - (double)x[class]);
        if (uniform == 0)
            continue;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < a->classes; c++)
            sum += (double)(log_sum[r] - x[c]);
        total += uniform * sum;
    }
    return total;
}

static double KERNEL(cross_entropy)(const syn_cross_entropy_args *a, void *log_sum)
{
    int64_t step = rows_per_chunk(a->classes);
    double total = 0;
#pragma omp parallel for ordered schedule(static, 1) if (a->rows * a->classes >= SYN_PARALLEL_MIN)
    for (int64_t row = 0; row < a->rows; row += step) {
        int64_t end = row + step < a->rows ? row + step : a->rows;
        double part = KERNEL(some_losses)(a, (const int64_t[]){row, end}, log_sum);
#pragma omp ordered
        total += part;
    }
    return total;
}

SYN_MULTIARCH static void KERNEL(some_loss_gradients)(const syn_cross_entropy_args *a,
                                                      const int64_t range[2], const REAL *log_sum,
                                                      double scale, REAL *grad)
{
    REAL factor = (REAL)scale, at_class = (REAL)(scale * (1 - a->label_smoothing));
    REAL uniform = (REAL)(scale * a->label_smoothing / (double)a->classes);
    for (int64_t r = range[0]; r < range[1]; r++) {
        const REAL *x = (const REAL *)a->logits + r * a->classes;
        REAL *g = grad + r * a->classes, shift = log_sum[r];
        int64_t class = syn_target_class(a, r);
        if (class == a->ignored_class) {
            memset(g, 0, (size_t)a->classes * sizeof(*g));
            continue;
        }
#pragma omp simd
        for (int64_t c = 0; c < a->classes; c++)
            g[c] = factor * VEC_EXP(x[c] - shift) - uniform;
        g[class] -= at_class;
    }
}

static void KERNEL(cross_entropy_backward)(const syn_cross_entropy_args *a, const void *log_sum,
                                           double scale, void *grad)
{
    int64_t step = rows_per_chunk(a->classes);
#pragma omp parallel for schedule(static) if (a->rows * a->classes >= SYN_PARALLEL_MIN)
    for (int64_t row = 0; row < a->rows; row += step) {
        int64_t end = row + step < a->rows ? row + step : a->rows;
        KERNEL(some_loss_gradients)(a, (const int64_t[]){row, end}, log_sum, scale, grad);
    }
}

#undef VEC_EXP
#endif
