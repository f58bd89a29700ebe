/* The oracle of random arrays: one draw an element. */
#include "worker/kernels/random.h"

#include <syncline/random.h>

#define KERNELS(DT, T)                                                                  \
    static void uniform_##DT(int64_t n, uint64_t key, void *out)                        \
    {                                                                                   \
        for (int64_t i = 0; i < n; i++) {                                               \
            T value = (T)syn_random_uniform(key, (uint64_t)i);                          \
            ((T *)out)[i] = value < 1 ? value : 0; /* f32 may round up to 1 */          \
        }                                                                               \
    }                                                                                   \
    static void normal_##DT(int64_t n, uint64_t key, void *out)                         \
    {                                                                                   \
        for (int64_t i = 0; i < n; i++)                                                 \
            ((T *)out)[i] = (T)syn_random_normal(key, (uint64_t)i);                     \
    }                                                                                   \
    static void dropout_##DT(int64_t n, uint64_t key, double p, const void *x, void *y) \
    {                                                                                   \
        T scale = (T)(p < 1 ? 1 / (1 - p) : 0);                                         \
        uint64_t threshold = (uint64_t)(p * 0x1p32);                                    \
        for (int64_t i = 0; i < n; i++) {                                               \
            uint32_t words[4];                                                          \
            syn_philox(key, 0, (uint64_t)i / 4, words);                                 \
            ((T *)y)[i] = ((const T *)x)[i] * (words[i % 4] >= threshold ? scale : 0);  \
        }                                                                               \
    }
KERNELS(f32, float)
KERNELS(f64, double)

const syn_random_kernels syn_random_ref[] = {{
    .uniform = {[SYN_F32] = uniform_f32, [SYN_F64] = uniform_f64},
    .normal = {[SYN_F32] = normal_f32, [SYN_F64] = normal_f64},
    .dropout = {[SYN_F32] = dropout_f32, [SYN_F64] = dropout_f64},
}};
