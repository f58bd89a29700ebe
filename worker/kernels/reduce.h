/* Reductions: operand 0 of the index space has stride 0 along the reduced axes. */
#ifndef WORKER_KERNELS_REDUCE_H
#define WORKER_KERNELS_REDUCE_H

#include "worker/kernels/strided.h"

#include <syncline/dtype.h>

/* The index space is not simplified: axes as the input has them. By the dtype of the input; the
 * reduced index space may be empty for sum and prod only. */
typedef void (*syn_reduce_fn)(const syn_strided *it, const double *params);

typedef struct syn_reduce_kernels {
    /* Sums times params[0]; bool and integers sum into i64, f16 and bf16 are not summed. Results do
     * not depend on the number of threads. Accumulated in blocks, so the error grows with the
     * logarithm of the length. */
    syn_reduce_fn sum[SYN_N_DTYPES];
    syn_reduce_fn amax[SYN_N_DTYPES], amin[SYN_N_DTYPES]; /* NaN wins */
    /* Operand 0 is i64: the row-major number of the first greatest (least) element among the
     * reduced axes; the first NaN wins. */
    syn_reduce_fn argmax[SYN_N_DTYPES], argmin[SYN_N_DTYPES];
} syn_reduce_kernels;

extern const syn_reduce_kernels syn_reduce_ref[], syn_reduce_cpu[];

#endif
