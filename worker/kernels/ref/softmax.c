/* Softmax and cross-entropy, one row at a time, in double. */
#ifndef REAL
#include "worker/kernels/softmax.h"
#include <math.h>

int64_t syn_target_find_invalid(const syn_cross_entropy_args *a, int64_t *n_counted_out)
{
    int64_t n_counted = 0;
    for (int64_t r = 0; r < a->rows; r++) {
        int64_t class = syn_target_class(a, r);
        if (class == a->ignored_class)
            continue;
        if (class < 0 || class >= a->classes)
            return r;
        n_counted++;
    }
    *n_counted_out = n_counted;
    return -1;
}

#define SYN_BODY "worker/kernels/ref/softmax.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                             \
    {                                                                                           \
        .softmax = softmax_##type, .softmax_backward = softmax_backward_##type,                 \
        .log_softmax = log_softmax_##type, .log_softmax_backward = log_softmax_backward_##type, \
        .cross_entropy = cross_entropy_##type,                                                  \
        .cross_entropy_backward = cross_entropy_backward_##type                                 \
    }
const syn_softmax_kernels syn_softmax_ref[] = {TABLE(f32), TABLE(f64)};

#else

/* The largest of n elements `step` apart, and log(sum(exp(x - largest))). */
static double KERNEL(log_sum_exp)(int64_t n, int64_t step, const REAL *x, double *largest_out)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        if ((double)x[i * step] > largest || isnan((double)x[i * step]))
            largest = (double)x[i * step];
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)x[i * step] - largest);
    *largest_out = largest;
    return log(sum);
}

static void KERNEL(softmax)(const syn_softmax_dims *d, const void *x_data, void *y_data)
{
    for (int64_t row = 0; row < d->outer * d->inner; row++) {
        int64_t at = row / d->inner * d->n * d->inner + row % d->inner;
        const REAL *x = (const REAL *)x_data + at;
        REAL *y = (REAL *)y_data + at;
        double largest, log_sum = KERNEL(log_sum_exp)(d->n, d->inner, x, &largest);
        for (int64_t i = 0; i < d->n; i++)
            y[i * d->inner] = (REAL)exp((double)x[i * d->inner] - largest - log_sum);
    }
}

static void KERNEL(log_softmax)(const syn_softmax_dims *d, const void *x_data, void *y_data)
{
    for (int64_t row = 0; row < d->outer * d->inner; row++) {
        int64_t at = row / d->inner * d->n * d->inner + row % d->inner;
        const REAL *x = (const REAL *)x_data + at;
        REAL *y = (REAL *)y_data + at;
        double largest, log_sum = KERNEL(log_sum_exp)(d->n, d->inner, x, &largest);
        for (int64_t i = 0; i < d->n; i++)
            y[i * d->inner] = (REAL)((double)x[i * d->inner] - largest - log_sum);
    }
}

/* grad_x = y (grad_y - sum(grad_y y)) */
static void KERNEL(softmax_backward)(const syn_softmax_dims *d, const void *grad_y_data,
                                     const void *y_data, void *grad_x_data)
{
    for (int64_t row = 0; row < d->outer * d->inner; row++) {
        int64_t at = row / d->inner * d->n * d->inner + row % d->inner;
        const REAL *y = (const REAL *)y_data + at, *grad_y = (const REAL *)grad_y_data + at;
        REAL *grad_x = (REAL *)grad_x_data + at;
        double sum = 0;
        for (int64_t i = 0; i < d->n * d->inner; i += d->inner)
            sum += (double)grad_y[i] * (double)y[i];
        for (int64_t i = 0; i < d->n * d->inner; i += d->inner)
            grad_x[i] = (REAL)((double)y[i] * ((double)grad_y[i] - sum));
    }
}

/* grad_x = grad_y - exp(y) sum(grad_y) */
static void KERNEL(log_softmax_backward)(const syn_softmax_dims *d, const void *grad_y_data,
                                         const void *y_data, void *grad_x_data)
{
    for (int64_t row = 0; row < d->outer * d->inner; row++) {
        int64_t at = row / d->inner * d->n * d->inner + row % d->inner;
        const REAL *y = (const REAL *)y_data + at, *grad_y = (const REAL *)grad_y_data + at;
        REAL *grad_x = (REAL *)grad_x_data + at;
        double sum = 0;
        for (int64_t i = 0; i < d->n * d->inner; i += d->inner)
            sum += (double)grad_y[i];
        for (int64_t i = 0; i < d->n * d->inner; i += d->inner)
            grad_x[i] = (REAL)((double)grad_y[i] - exp((double)y[i]) * sum);
    }
}

/* The target distribution is (1 - smoothing) at the class plus smoothing / classes everywhere
 * (Szegedy et al., 2016). */
static double KERNEL(cross_entropy)(const syn_cross_entropy_args *a, void *log_sum_data)
{
    const REAL *x = a->logits;
    REAL *log_sum = log_sum_data;
    double total = 0, uniform = a->label_smoothing / (double)a->classes;
    for (int64_t r = 0; r < a->rows; r++, x += a->classes) {
        double largest, sum = KERNEL(log_sum_exp)(a->classes, 1, x, &largest) + largest;
        log_sum[r] = (REAL)sum;
        int64_t class = syn_target_class(a, r);
        if (class == a->ignored_class)
            continue;
        total += (1 - a->label_smoothing) * (sum - (double)x[class]);
        for (int64_t c = 0; uniform != 0 && c < a->classes; c++)
            total += uniform * (sum - (double)x[c]);
    }
    return total;
}

static void KERNEL(cross_entropy_backward)(const syn_cross_entropy_args *a,
                                           const void *log_sum_data, double scale, void *grad_data)
{
    const REAL *x = a->logits, *log_sum = log_sum_data;
    REAL *grad = grad_data;
    double uniform = a->label_smoothing / (double)a->classes;
    for (int64_t r = 0; r < a->rows; r++, x += a->classes, grad += a->classes) {
        int64_t class = syn_target_class(a, r);
        for (int64_t c = 0; c < a->classes; c++) {
            double wanted = uniform + (c == class ? 1 - a->label_smoothing : 0);
            double got = exp((double)x[c] - (double)log_sum[r]);
            grad[c] = (REAL)(class == a->ignored_class ? 0 : scale * (got - wanted));
        }
    }
}

#endif
