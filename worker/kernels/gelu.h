/* The Gaussian error linear unit in the erf form, x * P(X <= x) for X standard normal (Hendrycks
 * and Gimpel, 2016). */
#ifndef WORKER_KERNELS_GELU_H
#define WORKER_KERNELS_GELU_H

#include <stdint.h>

typedef struct syn_gelu_kernels {
    void (*forward)(int64_t n, const void *x, void *y);
    void (*backward)(int64_t n, const void *x, const void *grad_y, void *grad_x);
} syn_gelu_kernels;

extern const syn_gelu_kernels syn_gelu_ref[];
/* f32 within 4 ulp of the exact value, also in the tails. */
extern const syn_gelu_kernels syn_gelu_cpu[];

#endif
