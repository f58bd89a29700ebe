/* Element-wise losses, summed in double. */
#ifndef REAL
#include "worker/kernels/loss.h"
#include "worker/kernels/loss_terms.h"

#define SYN_BODY "worker/kernels/ref/loss.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                    \
    {                                                  \
        .sum = sum_##type, .backward = backward_##type \
    }
const syn_loss_kernels syn_loss_ref[] = {TABLE(f32), TABLE(f64)};

#else

static double KERNEL(sum)(const syn_loss_args *a)
{
    const REAL *x = a->x, *target = a->target;
    double sum = 0;
    for (int64_t i = 0; i < a->n; i++)
        sum += syn_loss_term(a, (double)x[i], (double)target[i]);
    return sum;
}

static void KERNEL(backward)(const syn_loss_args *a, double scale, void *grad_x_data)
{
    const REAL *x = a->x, *target = a->target;
    REAL *grad_x = grad_x_data;
    for (int64_t i = 0; i < a->n; i++)
        grad_x[i] = (REAL)(scale * syn_loss_slope(a, (double)x[i], (double)target[i]));
}

#endif
