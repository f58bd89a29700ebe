/* Walking an index space with vector loops over its last axis, in parallel where that pays. */
#ifndef WORKER_KERNELS_CPU_ELEMENTWISE_H
#define WORKER_KERNELS_CPU_ELEMENTWISE_H

#include "worker/kernels/backend.h"
#include "worker/kernels/elementwise.h"

/* n elements from data[k] on, strides[k] bytes apart. */
typedef void (*syn_loop_fn)(int64_t n, char *const *data, const int64_t *strides,
                            const double *params);

/* Splits the space in chunks that do not depend on the number of threads and runs `loop` over their
 * rows. */
void syn_run_loop(const syn_strided *it, syn_loop_fn loop, const double *params);

#endif
