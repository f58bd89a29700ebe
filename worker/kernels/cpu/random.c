/* Random arrays in parallel chunks; the numbers are ref's, bit for bit. */
#include "worker/kernels/random.h"

#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/parallel.h"
#include "worker/kernels/philox.h"

#include <syncline/random.h>

enum { BLOCKS = 64, CHUNK = 4 * BLOCKS };

/* The words of BLOCKS counters from `first` on: four arrays, so that the rounds vectorise over
 * blocks. */
SYN_MULTIARCH static void philox_blocks(uint64_t key, uint64_t first, uint32_t words[4][BLOCKS])
{
    for (int i = 0; i < BLOCKS; i++) {
        uint32_t block[4];
        syn_philox_block(key, 0, first + (uint64_t)i, block);
        words[0][i] = block[0];
        words[1][i] = block[1];
        words[2][i] = block[2];
        words[3][i] = block[3];
    }
}

typedef struct job {
    int64_t n;
    uint64_t key;
    double p;
    const void *x;
    void *out;
} job;

#define KERNELS(DT, T)                                                                            \
    static void uniform_chunk_##DT(int64_t c, const void *context)                                \
    {                                                                                             \
        const job *j = context;                                                                   \
        int64_t end = (c + 1) * CHUNK < j->n ? (c + 1) * CHUNK : j->n;                            \
        for (int64_t i = c * CHUNK; i < end; i++) {                                               \
            T value = (T)syn_random_uniform(j->key, (uint64_t)i);                                 \
            ((T *)j->out)[i] = value < 1 ? value : 0;                                             \
        }                                                                                         \
    }                                                                                             \
    static void uniform_##DT(int64_t n, uint64_t key, void *out)                                  \
    {                                                                                             \
        job j = {.n = n, .key = key, .out = out};                                                 \
        syn_parallel_for((n + CHUNK - 1) / CHUNK, n >= SYN_PARALLEL_MIN, uniform_chunk_##DT, &j); \
    }                                                                                             \
    static void normal_chunk_##DT(int64_t c, const void *context)                                 \
    {                                                                                             \
        const job *j = context;                                                                   \
        int64_t end = (c + 1) * CHUNK < j->n ? (c + 1) * CHUNK : j->n;                            \
        for (int64_t i = c * CHUNK; i < end; i++)                                                 \
            ((T *)j->out)[i] = (T)syn_random_normal(j->key, (uint64_t)i);                         \
    }                                                                                             \
    static void normal_##DT(int64_t n, uint64_t key, void *out)                                   \
    {                                                                                             \
        job j = {.n = n, .key = key, .out = out};                                                 \
        syn_parallel_for((n + CHUNK - 1) / CHUNK, n >= SYN_PARALLEL_MIN / 8, normal_chunk_##DT,   \
                         &j);                                                                     \
    }                                                                                             \
    static void dropout_chunk_##DT(int64_t c, const void *context)                                \
    {                                                                                             \
        const job *j = context;                                                                   \
        uint32_t words[4][BLOCKS];                                                                \
        T scale = (T)(j->p < 1 ? 1 / (1 - j->p) : 0);                                             \
        uint64_t threshold = (uint64_t)(j->p * 0x1p32);                                           \
        int64_t begin = c * CHUNK, end = begin + CHUNK < j->n ? begin + CHUNK : j->n;             \
        philox_blocks(j->key, (uint64_t)(c * BLOCKS), words);                                     \
        for (int64_t i = begin; i < end; i++) {                                                   \
            uint32_t word = words[(i - begin) % 4][(i - begin) / 4];                              \
            ((T *)j->out)[i] = word >= threshold ? ((const T *)j->x)[i] * scale : 0;              \
        }                                                                                         \
    }                                                                                             \
    static void dropout_##DT(int64_t n, uint64_t key, double p, const void *x, void *y)           \
    {                                                                                             \
        job j = {n, key, p, x, y};                                                                \
        syn_parallel_for((n + CHUNK - 1) / CHUNK, n >= SYN_PARALLEL_MIN, dropout_chunk_##DT, &j); \
    }
KERNELS(f32, float)
KERNELS(f64, double)

const syn_random_kernels syn_random_cpu[] = {{
    .uniform = {[SYN_F32] = uniform_f32, [SYN_F64] = uniform_f64},
    .normal = {[SYN_F32] = normal_f32, [SYN_F64] = normal_f64},
    .dropout = {[SYN_F32] = dropout_f32, [SYN_F64] = dropout_f64},
}};
