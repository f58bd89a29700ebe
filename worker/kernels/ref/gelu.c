/* GELU by the C library's erfc, in double. */
#ifndef REAL
#include "worker/kernels/gelu.h"
#include <math.h>

#define SYN_BODY "worker/kernels/ref/gelu.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                            \
    {                                                          \
        .forward = forward_##type, .backward = backward_##type \
    }
const syn_gelu_kernels syn_gelu_ref[] = {TABLE(f32), TABLE(f64)};

#else

static void KERNEL(forward)(int64_t n, const void *x_data, void *y_data)
{
    const REAL *x = x_data;
    REAL *y = y_data;
    for (int64_t i = 0; i < n; i++)
        y[i] = (REAL)((double)x[i] * 0.5 * erfc(-(double)x[i] * M_SQRT1_2));
}

static void KERNEL(backward)(int64_t n, const void *x_data, const void *grad_y_data,
                             void *grad_x_data)
{
    const REAL *x = x_data, *grad_y = grad_y_data;
    REAL *grad_x = grad_x_data;
    for (int64_t i = 0; i < n; i++) {
        double a = (double)x[i];
        double density = exp(-a * a / 2) * (M_SQRT1_2 * M_2_SQRTPI / 2);
        grad_x[i] = (REAL)((double)grad_y[i] * (0.5 * erfc(-a * M_SQRT1_2) + a * density));
    }
}

#endif
