/* Dense arrays of random numbers, a pure function of the key. */
#ifndef WORKER_KERNELS_RANDOM_H
#define WORKER_KERNELS_RANDOM_H

#include <stdint.h>
#include <syncline/dtype.h>

typedef struct syn_random_kernels {
    void (*uniform[SYN_N_DTYPES])(int64_t n, uint64_t key, void *out); /* [0, 1) */
    void (*normal[SYN_N_DTYPES])(int64_t n, uint64_t key, void *out);
    /* y = x / (1 - p) where element i's 32 random bits (word i % 4 of block i / 4) are at least p
     * 2^32, else 0. */
    void (*dropout[SYN_N_DTYPES])(int64_t n, uint64_t key, double p, const void *x, void *y);
} syn_random_kernels;

extern const syn_random_kernels syn_random_ref[], syn_random_cpu[];

#endif
