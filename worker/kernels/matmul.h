/* Matrix products of strided matrices, in batches. */
#ifndef WORKER_KERNELS_MATMUL_H
#define WORKER_KERNELS_MATMUL_H

#include <stdint.h>
#include <syncline/dtype.h>

/* For each of n_batch: c (m, n) = a (m, k) b (k, n) + beta c. Strides in elements; c's columns are
 * adjacent. */
typedef struct syn_matmul_args {
    int64_t m, n, k, n_batch;
    const void *a, *b, *bias;
    void *c;
    int64_t a_row, a_column, b_row, b_column, c_row;
    int64_t a_batch, b_batch, c_batch;
} syn_matmul_args;

typedef void (*syn_matmul_fn)(const syn_matmul_args *args);

typedef struct syn_matmul_kernels {
    syn_matmul_fn matmul[SYN_N_DTYPES];
} syn_matmul_kernels;

extern const syn_matmul_kernels syn_matmul_ref[], syn_matmul_cpu[];

#endif
