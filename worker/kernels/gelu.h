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
/* f32: relative error below 6e-7 for x > -4, and below 5e-6 in the tail, where the value itself is
 * below 1e-4. */
extern const syn_gelu_kernels syn_gelu_cpu[];

#endif
