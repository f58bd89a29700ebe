/* Products of dense row-major matrices: oneDNN or OpenBLAS, whichever is faster for the extents,
 * with results that do not depend on the number of threads in f32. */
#ifndef WORKER_KERNELS_CPU_GEMM_H
#define WORKER_KERNELS_CPU_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* c (m, n) = alpha op(a) op(b) + beta c + bias, where op transposes on request; steps between rows
 * in elements. bias (n), of the matrices' type, is added to each row; it may be NULL. Extents and
 * steps are below 2^31. */
typedef struct syn_gemm {
    bool transpose_a, transpose_b;
    int64_t m, n, k, lda, ldb, ldc;
    double alpha, beta;
    const void *bias;
} syn_gemm;

void syn_gemm_f32(const syn_gemm *g, const float *a, const float *b, float *c);
void syn_gemm_f64(const syn_gemm *g, const double *a, const double *b, double *c);

#endif
