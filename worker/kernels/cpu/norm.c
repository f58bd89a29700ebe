/* Normalisation in vector loops. Statistics take two passes (the second from cache), so that they
 * do not cancel. */
#ifndef REAL
#include "worker/kernels/norm.h"
#include "common/base/mem.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/workspace.h"
#include <math.h>
#include <string.h>

/* The weights' gradient is summed over at most so many chunks of rows, then over the chunks in
 * order: the number of threads does not show in the result. */
enum { GRADIENT_CHUNKS = 16 };

#define SYN_BODY "worker/kernels/cpu/norm.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                            \
    {                                                                                          \
        .layer = layer_##type, .layer_backward = layer_backward_##type, .group = group_##type, \
        .group_backward = group_backward_##type, .batch_stats = batch_stats_##type,            \
        .batch_apply = batch_apply_##type, .batch_backward = batch_backward_##type             \
    }
const syn_norm_kernels syn_norm_cpu[] = {TABLE(f32), TABLE(f64)};

#else

#include "worker/kernels/cpu/lanes.h"

/* ---- Runs of adjacent elements ---- */

/* Adds the sums of grad_y and of grad_y * (x - mean). */
SYN_INLINE void KERNEL(run_gradient_sums)(int64_t n, const REAL *grad_y, const REAL *x, REAL mean,
                                          double sums[2])
{
    sums[0] += (double)KERNEL(sum_of)(n, grad_y, grad_y, 0);
    sums[1] += (double)KERNEL(sum_of_products_about)(n, grad_y, x, mean);
}

/* y = (x - shift) * scale + offset */
SYN_INLINE void KERNEL(run_affine)(int64_t n, const REAL *x, const REAL terms[3], REAL *y)
{
    REAL shift = terms[0], scale = terms[1], offset = terms[2];
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - shift) * scale + offset;
}

/* grad_x = a * grad_y + b * (x - mean) + c */
SYN_INLINE void KERNEL(run_gradient)(int64_t n, const REAL *grad_y, const REAL *x,
                                     const REAL terms[4], REAL *grad_x)
{
    REAL mean = terms[0], a = terms[1], b = terms[2], c = terms[3];
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        grad_x[i] = a * grad_y[i] + (b * (x[i] - mean) + c);
}

/* Long runs in pieces, whose sums are added in double. */
enum { KERNEL(PIECE) = 4096 };

SYN_INLINE void KERNEL(set_stats)(int64_t n_runs, int64_t n, int64_t step, const REAL *x,
                                  double stats[2])
{
    double sum = 0, squares = 0, count = (double)(n_runs * n);
    for (int64_t r = 0; r < n_runs; r++)
        for (int64_t at = 0; at < n; at += KERNEL(PIECE)) {
            int64_t length = n - at < KERNEL(PIECE) ? n - at : KERNEL(PIECE);
            sum += (double)KERNEL(sum_of)(length, x + r * step + at, x + r * step + at, 0);
        }
    REAL mean = (REAL)(sum / count);
    for (int64_t r = 0; r < n_runs; r++)
        for (int64_t at = 0; at < n; at += KERNEL(PIECE)) {
            int64_t length = n - at < KERNEL(PIECE) ? n - at : KERNEL(PIECE);
            const REAL *run = x + r * step + at;
            squares += (double)KERNEL(sum_of_squares_about)(length, run, run, mean);
        }
    double rest = sum / count - (double)mean; /* what rounding the mean took from it */
    stats[0] = sum / count;
    stats[1] = squares / count - rest * rest;
}

/* ---- Layer norm ---- */

SYN_MULTIARCH static void KERNEL(layer_rows)(const syn_norm_dims *d, const syn_norm_forward *a,
                                             int64_t begin, int64_t end)
{
    const REAL *weight = a->weight, *bias = a->bias;
    int64_t n = d->channels;
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)a->x + r * n;
        REAL *y = (REAL *)a->y + r * n;
        double stats[2];
        KERNEL(set_stats)(1, n, 0, x, stats);
        REAL mean = (REAL)stats[0], rstd = (REAL)(1 / sqrt(stats[1] + a->eps));
        ((REAL *)a->mean)[r] = mean;
        ((REAL *)a->rstd)[r] = rstd;
        if (weight && bias) {
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                y[i] = (x[i] - mean) * rstd * weight[i] + bias[i];
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * rstd * (weight ? weight[i] : 1) + (bias ? bias[i] : 0);
    }
}

static int64_t KERNEL(chunk_of)(int64_t rows)
{
    return (rows + GRADIENT_CHUNKS - 1) / GRADIENT_CHUNKS;
}

static void KERNEL(layer)(const syn_norm_dims *d, const syn_norm_forward *a)
{
    int64_t step = KERNEL(chunk_of)(d->n);
#pragma omp parallel for schedule(static) if (d->n * d->channels >= SYN_PARALLEL_MIN)
    for (int64_t r = 0; r < d->n; r += step)
        KERNEL(layer_rows)(d, a, r, r + step < d->n ? r + step : d->n);
}

/* Rows [begin, end): grad_x, and their share of the weights' gradients, added to sums (2,
 * channels). */
SYN_MULTIARCH static void KERNEL(layer_backward_rows)(const syn_norm_dims *d,
                                                      const syn_norm_backward *a,
                                                      const int64_t range[2], REAL *sums)
{
    int64_t n = d->channels;
    const REAL *weight = a->weight;
    REAL *grad_weight = sums, *grad_bias = sums + n;
    for (int64_t r = range[0]; r < range[1]; r++) {
        const REAL *x = (const REAL *)a->x + r * n, *grad_y = (const REAL *)a->grad_y + r * n;
        REAL mean = ((const REAL *)a->mean)[r], rstd = ((const REAL *)a->rstd)[r];
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            grad_weight[i] += grad_y[i] * ((x[i] - mean) * rstd);
            grad_bias[i] += grad_y[i];
        }
        if (!a->grad_x)
            continue;
        REAL *grad_x = (REAL *)a->grad_x + r * n; /* holds g, the gradient of h, for now */
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            grad_x[i] = weight ? grad_y[i] * weight[i] : grad_y[i];
        REAL mean_g = KERNEL(sum_of)(n, grad_x, grad_x, 0) / (REAL)n;
        REAL mean_gh = KERNEL(sum_of_products_about)(n, grad_x, x, mean) * rstd / (REAL)n;
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            grad_x[i] = rstd * (grad_x[i] - mean_g - (x[i] - mean) * rstd * mean_gh);
    }
}

/* out (n) = the sum of n_parts arrays, in order; NULL: not wanted. */
static void KERNEL(add_parts)(int64_t n_parts, int64_t n, int64_t step, const REAL *parts,
                              REAL *out)
{
    for (int64_t i = 0; out && i < n; i++) {
        double sum = 0;
        for (int64_t p = 0; p < n_parts; p++)
            sum += (double)parts[p * step + i];
        out[i] = (REAL)sum;
    }
}

static syn_status KERNEL(layer_backward)(const syn_norm_dims *d, const syn_norm_backward *a)
{
    size_t size = sizeof(REAL) * (size_t)(GRADIENT_CHUNKS * 2 * d->channels);
    REAL *parts = syn_workspace(size + 64, "layer norm's gradient");
    if (!parts)
        return SYN_RESOURCE_EXHAUSTED;
    memset(parts, 0, size);
    int64_t step = KERNEL(chunk_of)(d->n);
#pragma omp parallel for schedule(static) if (d->n * d->channels >= SYN_PARALLEL_MIN)
    for (int64_t chunk = 0; chunk < GRADIENT_CHUNKS; chunk++) {
        int64_t end = (chunk + 1) * step < d->n ? (chunk + 1) * step : d->n;
        KERNEL(layer_backward_rows)
        (d, a, (const int64_t[]){chunk * step, end}, parts + chunk * 2 * d->channels);
    }
    int64_t pair = 2 * d->channels;
    KERNEL(add_parts)(GRADIENT_CHUNKS, d->channels, pair, parts, a->grad_weight);
    KERNEL(add_parts)(GRADIENT_CHUNKS, d->channels, pair, parts + d->channels, a->grad_bias);
    return SYN_OK;
}

/* ---- Group norm ---- */

SYN_MULTIARCH static void KERNEL(group_row)(const syn_norm_dims *d, const syn_norm_forward *a,
                                            int64_t row)
{
    int64_t n_channels = d->channels / d->groups, first = row % d->groups * n_channels;
    const REAL *x = (const REAL *)a->x + row * n_channels * d->inner;
    const REAL *weight = a->weight, *bias = a->bias;
    REAL *y = (REAL *)a->y + row * n_channels * d->inner;
    double stats[2];
    KERNEL(set_stats)(1, n_channels * d->inner, 0, x, stats);
    REAL mean = (REAL)stats[0], rstd = (REAL)(1 / sqrt(stats[1] + a->eps));
    ((REAL *)a->mean)[row] = mean;
    ((REAL *)a->rstd)[row] = rstd;
    for (int64_t c = 0; c < n_channels; c++) {
        REAL scale = rstd * (weight ? weight[first + c] : 1);
        KERNEL(run_affine)
        (d->inner, x + c * d->inner, (const REAL[]){mean, scale, bias ? bias[first + c] : 0},
         y + c * d->inner);
    }
}

static void KERNEL(group)(const syn_norm_dims *d, const syn_norm_forward *a)
{
#pragma omp parallel for schedule(static) if (d->n * d->channels * d->inner >= SYN_PARALLEL_MIN)
    for (int64_t row = 0; row < d->n * d->groups; row++)
        KERNEL(group_row)(d, a, row);
}

/* One group of one sample: grad_x, and for each of its channels the sums of grad_y h and of grad_y.
 */
SYN_MULTIARCH static void KERNEL(group_backward_row)(const syn_norm_dims *d,
                                                     const syn_norm_backward *a, int64_t row,
                                                     REAL *const parts[2])
{
    int64_t n_channels = d->channels / d->groups, first = row % d->groups * n_channels;
    int64_t start = row * n_channels * d->inner;
    const REAL *x = (const REAL *)a->x + start, *grad_y = (const REAL *)a->grad_y + start;
    const REAL *weight = a->weight;
    REAL mean = ((const REAL *)a->mean)[row], rstd = ((const REAL *)a->rstd)[row];
    double sum_g = 0, sum_gh = 0, count = (double)(n_channels * d->inner);
    for (int64_t c = 0; c < n_channels; c++) {
        double sums[2] = {0, 0}, w = (double)(weight ? weight[first + c] : 1);
        KERNEL(run_gradient_sums)
        (d->inner, grad_y + c * d->inner, x + c * d->inner, mean, sums);
        sums[1] *= (double)rstd;
        parts[0][row * n_channels + c] = (REAL)sums[1];
        parts[1][row * n_channels + c] = (REAL)sums[0];
        sum_g += w * sums[0];
        sum_gh += w * sums[1];
    }
    REAL of_h = (REAL)(-(double)rstd * (double)rstd * sum_gh / count);
    REAL rest = (REAL)(-(double)rstd * sum_g / count);
    for (int64_t c = 0; a->grad_x && c < n_channels; c++) {
        REAL scale = rstd * (weight ? weight[first + c] : 1);
        KERNEL(run_gradient)
        (d->inner, grad_y + c * d->inner, x + c * d->inner, (const REAL[]){mean, scale, of_h, rest},
         (REAL *)a->grad_x + start + c * d->inner);
    }
}

static syn_status KERNEL(group_backward)(const syn_norm_dims *d, const syn_norm_backward *a)
{
    size_t n = (size_t)(d->n * d->channels);
    REAL *block = syn_workspace(2 * n * sizeof(REAL) + 64, "group norm's gradient");
    if (!block)
        return SYN_RESOURCE_EXHAUSTED;
    REAL *const parts[] = {block, block + n};
#pragma omp parallel for schedule(static) if (d->n * d->channels * d->inner >= SYN_PARALLEL_MIN)
    for (int64_t row = 0; row < d->n * d->groups; row++)
        KERNEL(group_backward_row)(d, a, row, parts);
    KERNEL(add_parts)(d->n, d->channels, d->channels, parts[0], a->grad_weight);
    KERNEL(add_parts)(d->n, d->channels, d->channels, parts[1], a->grad_bias);
    return SYN_OK;
}

/* ---- Batch norm ---- */

SYN_MULTIARCH static void KERNEL(channel_stats)(const syn_norm_dims *d, const REAL *x,
                                                double stats[2])
{
    KERNEL(set_stats)(d->n, d->inner, d->channels * d->inner, x, stats);
}

static void KERNEL(batch_stats)(const syn_norm_dims *d, const void *x, void *mean, void *variance)
{
#pragma omp parallel for schedule(static) if (d->n * d->channels * d->inner >= SYN_PARALLEL_MIN)
    for (int64_t c = 0; c < d->channels; c++) {
        double stats[2];
        KERNEL(channel_stats)(d, (const REAL *)x + c * d->inner, stats);
        ((REAL *)mean)[c] = (REAL)stats[0];
        ((REAL *)variance)[c] = (REAL)(stats[1] > 0 || stats[1] != stats[1] ? stats[1] : 0);
    }
}

SYN_MULTIARCH static void KERNEL(apply_sample)(const syn_norm_dims *d, const syn_norm_forward *a,
                                               int64_t sample)
{
    const REAL *weight = a->weight, *bias = a->bias, *mean = a->mean, *rstd = a->rstd;
    int64_t at = sample * d->channels * d->inner;
    for (int64_t c = 0; c < d->channels; c++, at += d->inner) {
        REAL scale = rstd[c] * (weight ? weight[c] : 1);
        KERNEL(run_affine)
        (d->inner, (const REAL *)a->x + at, (const REAL[]){mean[c], scale, bias ? bias[c] : 0},
         (REAL *)a->y + at);
    }
}

static void KERNEL(batch_apply)(const syn_norm_dims *d, const syn_norm_forward *a)
{
#pragma omp parallel for schedule(static) if (d->n * d->channels * d->inner >= SYN_PARALLEL_MIN)
    for (int64_t sample = 0; sample < d->n; sample++)
        KERNEL(apply_sample)(d, a, sample);
}

SYN_MULTIARCH static void KERNEL(batch_backward_channel)(const syn_norm_dims *d, bool training,
                                                         const syn_norm_backward *a, int64_t c)
{
    int64_t step = d->channels * d->inner;
    const REAL *x = (const REAL *)a->x + c * d->inner;
    const REAL *grad_y = (const REAL *)a->grad_y + c * d->inner, *weight = a->weight;
    REAL mean = ((const REAL *)a->mean)[c], rstd = ((const REAL *)a->rstd)[c];
    double sums[2] = {0, 0}, count = (double)(d->n * d->inner);
    for (int64_t n = 0; n < d->n; n++)
        KERNEL(run_gradient_sums)(d->inner, grad_y + n * step, x + n * step, mean, sums);
    sums[1] *= (double)rstd;
    if (a->grad_weight)
        ((REAL *)a->grad_weight)[c] = (REAL)sums[1];
    if (a->grad_bias)
        ((REAL *)a->grad_bias)[c] = (REAL)sums[0];
    double scale = (double)rstd * (double)(weight ? weight[c] : 1);
    double of_h = training ? -scale * (double)rstd * sums[1] / count : 0;
    double rest = training ? -scale * sums[0] / count : 0;
    for (int64_t n = 0; a->grad_x && n < d->n; n++)
        KERNEL(run_gradient)
    (d->inner, grad_y + n * step, x + n * step,
     (const REAL[]){mean, (REAL)scale, (REAL)of_h, (REAL)rest},
     (REAL *)a->grad_x + n * step + c * d->inner);
}

static syn_status KERNEL(batch_backward)(const syn_norm_dims *d, bool training,
                                         const syn_norm_backward *a)
{
#pragma omp parallel for schedule(static) if (d->n * d->channels * d->inner >= SYN_PARALLEL_MIN)
    for (int64_t c = 0; c < d->channels; c++)
        KERNEL(batch_backward_channel)(d, training, a, c);
    return SYN_OK;
}

#endif
