/* Normalisation in two passes over each set: mean, then variance; sums in double. */
#ifndef REAL
#include "worker/kernels/norm.h"
#include <math.h>
#include <stddef.h>

/* The elements that share statistics: `n_outer` runs of `n_inner` adjacent elements, `step` apart.
 */
typedef struct norm_set {
    int64_t n_outer, n_inner, step;
} norm_set;

#define SYN_BODY "worker/kernels/ref/norm.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                           \
    {                                                                                         \
        .layer = layer_##type, .layer_backward = layer_backward_##type, .group = rows_##type, \
        .group_backward = rows_backward_##type, .batch_stats = batch_stats_##type,            \
        .batch_rstd = batch_rstd_##type, .batch_track = batch_track_##type,                   \
        .batch_apply = batch_apply_##type, .batch_backward = batch_backward_##type            \
    }
const syn_norm_kernels syn_norm_ref[] = {TABLE(f32), TABLE(f64)};

#else

static void KERNEL(set_stats)(norm_set set, const REAL *x, double *mean, double *variance)
{
    double sum = 0, squares = 0, n = (double)(set.n_outer * set.n_inner);
    for (int64_t o = 0; o < set.n_outer; o++)
        for (int64_t i = 0; i < set.n_inner; i++)
            sum += (double)x[o * set.step + i];
    *mean = sum / n;
    for (int64_t o = 0; o < set.n_outer; o++)
        for (int64_t i = 0; i < set.n_inner; i++)
            squares +=
                ((double)x[o * set.step + i] - *mean) * ((double)x[o * set.step + i] - *mean);
    *variance = squares / n;
}

/* Rows of `length` adjacent elements; element e of row r belongs to channel (r % groups) *
 * per_group + e / inner. */
static void KERNEL(rows)(const syn_norm_dims *d, const syn_norm_forward *a)
{
    const REAL *x = a->x, *weight = a->weight, *bias = a->bias;
    REAL *y = a->y, *mean = a->mean, *rstd = a->rstd;
    int64_t per_group = d->channels / d->groups, length = per_group * d->inner;
    for (int64_t r = 0; r < d->n * d->groups; r++, x += length, y += length) {
        double m, variance;
        KERNEL(set_stats)((norm_set){1, length, 0}, x, &m, &variance);
        double s = 1 / sqrt(variance + a->eps);
        mean[r] = (REAL)m;
        rstd[r] = (REAL)s;
        for (int64_t e = 0; e < length; e++) {
            int64_t c = r % d->groups * per_group + e / d->inner;
            double scaled = ((double)x[e] - m) * s * (double)(weight ? weight[c] : 1);
            y[e] = (REAL)(scaled + (double)(bias ? bias[c] : 0));
        }
    }
}

/* With h = (x - mean) rstd and g = grad_y weight: grad_x = rstd (g - mean(g) - h mean(g h)). */
static syn_status KERNEL(rows_backward)(const syn_norm_dims *d, const syn_norm_backward *a)
{
    const REAL *x = a->x, *grad_y = a->grad_y, *weight = a->weight;
    const REAL *mean = a->mean, *rstd = a->rstd;
    REAL *grad_x = a->grad_x, *grad_weight = a->grad_weight, *grad_bias = a->grad_bias;
    int64_t per_group = d->channels / d->groups, length = per_group * d->inner;
    for (int64_t c = 0; c < d->channels; c++) {
        if (grad_weight)
            grad_weight[c] = 0;
        if (grad_bias)
            grad_bias[c] = 0;
    }
    for (int64_t r = 0; r < d->n * d->groups; r++, x += length, grad_y += length) {
        double m = (double)mean[r], s = (double)rstd[r], sum_g = 0, sum_gh = 0;
        for (int64_t e = 0; e < length; e++) {
            int64_t c = r % d->groups * per_group + e / d->inner;
            double h = ((double)x[e] - m) * s;
            double g = (double)grad_y[e] * (double)(weight ? weight[c] : 1);
            sum_g += g;
            sum_gh += g * h;
            if (grad_weight)
                grad_weight[c] += (REAL)((double)grad_y[e] * h);
            if (grad_bias)
                grad_bias[c] += grad_y[e];
        }
        for (int64_t e = 0; grad_x && e < length; e++) {
            int64_t c = r % d->groups * per_group + e / d->inner;
            double h = ((double)x[e] - m) * s;
            double g = (double)grad_y[e] * (double)(weight ? weight[c] : 1);
            grad_x[r * length + e] = (REAL)(s * (g - (sum_g + h * sum_gh) / (double)length));
        }
    }
    return SYN_OK;
}

/* Layer norm is the case of one group with an inner extent of 1. */
static void KERNEL(layer)(const syn_norm_dims *d, const syn_norm_forward *a)
{
    KERNEL(rows)(&(syn_norm_dims){d->n, d->channels, 1, 1}, a);
}

static syn_status KERNEL(layer_backward)(const syn_norm_dims *d, const syn_norm_backward *a)
{
    return KERNEL(rows_backward)(&(syn_norm_dims){d->n, d->channels, 1, 1}, a);
}

static void KERNEL(batch_stats)(const syn_norm_dims *d, const void *x_data, void *mean_data,
                                void *variance_data)
{
    const REAL *x = x_data;
    REAL *mean = mean_data, *variance = variance_data;
    for (int64_t c = 0; c < d->channels; c++) {
        double m, v;
        KERNEL(set_stats)
        ((norm_set){d->n, d->inner, d->channels * d->inner}, x + c * d->inner, &m, &v);
        mean[c] = (REAL)m;
        variance[c] = (REAL)v;
    }
}

static void KERNEL(batch_rstd)(int64_t channels, double eps, const void *variance, void *rstd)
{
    for (int64_t c = 0; c < channels; c++)
        ((REAL *)rstd)[c] = (REAL)(1 / sqrt((double)((const REAL *)variance)[c] + eps));
}

static void KERNEL(batch_track)(int64_t channels, const double momentum_factor[2], const void *stat,
                                void *running)
{
    double momentum = momentum_factor[0], factor = momentum * momentum_factor[1];
    for (int64_t c = 0; c < channels; c++) {
        double old = (double)((REAL *)running)[c], new = (double)((const REAL *)stat)[c];
        ((REAL *)running)[c] = (REAL)((1 - momentum) * old + factor * new);
    }
}

static void KERNEL(batch_apply)(const syn_norm_dims *d, const syn_norm_forward *a)
{
    const REAL *x = a->x, *weight = a->weight, *bias = a->bias, *mean = a->mean, *rstd = a->rstd;
    REAL *y = a->y;
    for (int64_t i = 0; i < d->n * d->channels * d->inner; i++) {
        int64_t c = i / d->inner % d->channels;
        double scaled = ((double)x[i] - (double)mean[c]) * (double)rstd[c];
        y[i] = (REAL)(scaled * (double)(weight ? weight[c] : 1) + (double)(bias ? bias[c] : 0));
    }
}

static syn_status KERNEL(batch_backward)(const syn_norm_dims *d, bool training,
                                         const syn_norm_backward *a)
{
    const REAL *weight = a->weight, *mean = a->mean, *rstd = a->rstd;
    REAL *grad_weight = a->grad_weight, *grad_bias = a->grad_bias;
    int64_t step = d->channels * d->inner;
    for (int64_t c = 0; c < d->channels; c++) {
        const REAL *x = (const REAL *)a->x + c * d->inner;
        const REAL *grad_y = (const REAL *)a->grad_y + c * d->inner;
        REAL *grad_x = a->grad_x ? (REAL *)a->grad_x + c * d->inner : NULL;
        double m = (double)mean[c], s = (double)rstd[c], sum_g = 0, sum_gh = 0;
        double w = (double)(weight ? weight[c] : 1), count = (double)(d->n * d->inner);
        for (int64_t n = 0; n < d->n; n++)
            for (int64_t i = 0; i < d->inner; i++) {
                sum_g += (double)grad_y[n * step + i];
                sum_gh += (double)grad_y[n * step + i] * ((double)x[n * step + i] - m) * s;
            }
        if (grad_weight)
            grad_weight[c] = (REAL)sum_gh;
        if (grad_bias)
            grad_bias[c] = (REAL)sum_g;
        for (int64_t n = 0; grad_x && n < d->n; n++)
            for (int64_t i = 0; i < d->inner; i++) {
                double h = ((double)x[n * step + i] - m) * s;
                double mean_term = training ? (sum_g + h * sum_gh) / count : 0;
                grad_x[n * step + i] = (REAL)(w * s * ((double)grad_y[n * step + i] - mean_term));
            }
    }
    return SYN_OK;
}

#endif
