/* Element-wise losses: chunks summed in double in a fixed order. */
#ifndef REAL
#include "worker/kernels/loss.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/loss_terms.h"

enum { CHUNK = 8192 };

#define SYN_BODY "worker/kernels/cpu/loss.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                    \
    {                                                  \
        .sum = sum_##type, .backward = backward_##type \
    }
const syn_loss_kernels syn_loss_cpu[] = {TABLE(f32), TABLE(f64)};

#else

/* Squares are the common case, and vectorise. */
SYN_MULTIARCH static double KERNEL(square_chunk)(int64_t n, const REAL *x, const REAL *target)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)target[i]) * ((double)x[i] - (double)target[i]);
    return sum;
}

static double KERNEL(sum_chunk)(const syn_loss_args *a, int64_t begin, int64_t end)
{
    const REAL *x = a->x, *target = a->target;
    double sum = 0;
    if (a->kind == SYN_LOSS_MSE)
        return KERNEL(square_chunk)(end - begin, x + begin, target + begin);
    for (int64_t i = begin; i < end; i++)
        sum += syn_loss_term(a, (double)x[i], (double)target[i]);
    return sum;
}

static double KERNEL(sum)(const syn_loss_args *a)
{
    double total = 0;
#pragma omp parallel for ordered schedule(static, 1) if (a->n >= SYN_PARALLEL_MIN)
    for (int64_t at = 0; at < a->n; at += CHUNK) {
        double part = KERNEL(sum_chunk)(a, at, at + CHUNK < a->n ? at + CHUNK : a->n);
#pragma omp ordered
        total += part;
    }
    return total;
}

SYN_MULTIARCH static void KERNEL(square_slopes)(int64_t n, double scale, const REAL *const in[2],
                                                REAL *grad_x)
{
    REAL factor = (REAL)(2 * scale);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        grad_x[i] = factor * (in[0][i] - in[1][i]);
}

static void KERNEL(slope_chunk)(const syn_loss_args *a, const int64_t range[2], double scale,
                                REAL *grad_x)
{
    const REAL *x = (const REAL *)a->x, *target = a->target;
    if (a->kind == SYN_LOSS_MSE) {
        const REAL *const in[] = {x + range[0], target + range[0]};
        KERNEL(square_slopes)(range[1] - range[0], scale, in, grad_x + range[0]);
        return;
    }
    for (int64_t i = range[0]; i < range[1]; i++)
        grad_x[i] = (REAL)(scale * syn_loss_slope(a, (double)x[i], (double)target[i]));
}

static void KERNEL(backward)(const syn_loss_args *a, double scale, void *grad_x)
{
#pragma omp parallel for schedule(static) if (a->n >= SYN_PARALLEL_MIN)
    for (int64_t at = 0; at < a->n; at += CHUNK) {
        int64_t end = at + CHUNK < a->n ? at + CHUNK : a->n;
        KERNEL(slope_chunk)(a, (const int64_t[]){at, end}, scale, grad_x);
    }
}

#endif
