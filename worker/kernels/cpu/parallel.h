/* Loops over chunks, by several threads or by the calling one. */
#ifndef WORKER_KERNELS_CPU_PARALLEL_H
#define WORKER_KERNELS_CPU_PARALLEL_H

#include <stdbool.h>
#include <stdint.h>

/* Calls body(i, context) for all i in [0, n). An OpenMP region with one thread still costs 0.3 us
 * for its team; without is_parallel there is none. */
static inline void syn_parallel_for(int64_t n, bool is_parallel,
                                    void (*body)(int64_t i, const void *context),
                                    const void *context)
{
    if (!is_parallel || n < 2) {
        for (int64_t i = 0; i < n; i++)
            body(i, context);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++)
        body(i, context);
}

#endif
