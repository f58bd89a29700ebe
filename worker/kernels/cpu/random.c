/* Random arrays in vectors and parallel chunks: ref's numbers (normal ones within some units of the
 * last place in f64). */
#include "worker/kernels/random.h"

#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/libmvec.h"
#include "worker/kernels/cpu/parallel.h"

#include <string.h>

enum { BLOCKS = 64, CHUNK = 4 * BLOCKS };

/* The words of BLOCKS counters from `first` on: each word of all blocks is an array, so that the
 * rounds vectorise over blocks. Philox4x32-10, as in philox.h. */
SYN_MULTIARCH static void philox_blocks(uint64_t key, uint64_t first, uint32_t words[4][BLOCKS])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int i = 0; i < BLOCKS; i++) {
        words[0][i] = (uint32_t)(first + (uint64_t)i);
        words[1][i] = (uint32_t)((first + (uint64_t)i) >> 32);
        words[2][i] = words[3][i] = 0;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * words[0][i],
                     p1 = (uint64_t)0xCD9E8D57u * words[2][i];
            words[0][i] = (uint32_t)(p1 >> 32) ^ words[1][i] ^ k0;
            words[1][i] = (uint32_t)p1;
            words[2][i] = (uint32_t)(p0 >> 32) ^ words[3][i] ^ k1;
            words[3][i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* 53 bits of two words each, as syn_random_uniform. */
SYN_MULTIARCH static void units(const uint32_t *high, const uint32_t *low, double *out)
{
    for (int i = 0; i < BLOCKS; i++)
        out[i] = (double)(int64_t)(((uint64_t)high[i] << 32 | low[i]) >> 11) * 0x1p-53;
}

/* Box and Muller, as syn_random_normal. */
SYN_MULTIARCH static void normals(const double *u, const double *v, double *out)
{
    for (int i = 0; i < BLOCKS; i++)
        out[i] = sqrt(-2 * log(1 - u[i])) * cos(6.283185307179586 * v[i]);
}

/* Element 4 i + j has word j of block i. */
#define KEEP(DT, T)                                                                             \
    SYN_MULTIARCH static void keep_##DT(uint32_t words[4][BLOCKS], uint32_t threshold, T scale, \
                                        const T *x, T *y)                                       \
    {                                                                                           \
        for (int i = 0; i < BLOCKS; i++)                                                        \
            for (int j = 0; j < 4; j++)                                                         \
                y[4 * i + j] = x[4 * i + j] * (words[j][i] >= threshold ? scale : 0);           \
    }
KEEP(f32, float)
KEEP(f64, double)

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
        uint32_t words[4][BLOCKS];                                                                \
        double u[BLOCKS];                                                                         \
        T *out = (T *)j->out + c * BLOCKS;                                                        \
        int64_t n = (c + 1) * BLOCKS < j->n ? BLOCKS : j->n - c * BLOCKS;                         \
        philox_blocks(j->key, (uint64_t)(c * BLOCKS), words);                                     \
        units(words[0], words[1], u);                                                             \
        for (int64_t i = 0; i < n; i++) {                                                         \
            T value = (T)u[i];                                                                    \
            out[i] = value < 1 ? value : 0;                                                       \
        }                                                                                         \
    }                                                                                             \
    static void uniform_##DT(int64_t n, uint64_t key, void *out)                                  \
    {                                                                                             \
        job j = {.n = n, .key = key, .out = out};                                                 \
        syn_parallel_for((n + BLOCKS - 1) / BLOCKS, n >= SYN_PARALLEL_MIN, uniform_chunk_##DT,    \
                         &j);                                                                     \
    }                                                                                             \
    static void normal_chunk_##DT(int64_t c, const void *context)                                 \
    {                                                                                             \
        const job *j = context;                                                                   \
        uint32_t words[4][BLOCKS];                                                                \
        double u[BLOCKS], v[BLOCKS], x[BLOCKS];                                                   \
        T *out = (T *)j->out + c * BLOCKS;                                                        \
        int64_t n = (c + 1) * BLOCKS < j->n ? BLOCKS : j->n - c * BLOCKS;                         \
        philox_blocks(j->key, (uint64_t)(c * BLOCKS), words);                                     \
        units(words[0], words[1], u);                                                             \
        units(words[2], words[3], v);                                                             \
        normals(u, v, x);                                                                         \
        for (int64_t i = 0; i < n; i++)                                                           \
            out[i] = (T)x[i];                                                                     \
    }                                                                                             \
    static void normal_##DT(int64_t n, uint64_t key, void *out)                                   \
    {                                                                                             \
        job j = {.n = n, .key = key, .out = out};                                                 \
        syn_parallel_for((n + BLOCKS - 1) / BLOCKS, n >= SYN_PARALLEL_MIN / 4, normal_chunk_##DT, \
                         &j);                                                                     \
    }                                                                                             \
    static void dropout_chunk_##DT(int64_t c, const void *context)                                \
    {                                                                                             \
        const job *j = context;                                                                   \
        uint32_t words[4][BLOCKS];                                                                \
        T scale = (T)(j->p < 1 ? 1 / (1 - j->p) : 0), rest_x[CHUNK] = {0}, rest_y[CHUNK];         \
        double wanted = j->p * 0x1p32;                                                            \
        uint32_t threshold = wanted < 0x1p32 ? (uint32_t)wanted : UINT32_MAX;                     \
        const T *x = (const T *)j->x + c * CHUNK;                                                 \
        T *y = (T *)j->out + c * CHUNK;                                                           \
        philox_blocks(j->key, (uint64_t)(c * BLOCKS), words);                                     \
        if ((c + 1) * CHUNK <= j->n) {                                                            \
            keep_##DT(words, threshold, scale, x, y);                                             \
            return;                                                                               \
        }                                                                                         \
        size_t n = (size_t)(j->n - c * CHUNK);                                                    \
        memcpy(rest_x, x, n * sizeof(T));                                                         \
        keep_##DT(words, threshold, scale, rest_x, rest_y);                                       \
        memcpy(y, rest_y, n * sizeof(T));                                                         \
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
