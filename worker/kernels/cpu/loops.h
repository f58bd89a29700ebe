/* Loops over one row of operands, as macros over the C type: dense, one operand constant, or
 * strided. */
#ifndef WORKER_KERNELS_CPU_LOOPS_H
#define WORKER_KERNELS_CPU_LOOPS_H

#include "worker/kernels/cpu/elementwise.h"

#include <stdbool.h>

/* Element i of an operand. */
#define SYN_AT_STRIDE(T, p, i, stride) (*(T *)(void *)((p) + (i) * (stride)))

/* An exact overlap of output and input (in place) carries no dependency from one element to
 * another. */
#define SYN_INDEPENDENT _Pragma("GCC ivdep")

/* name_DT: out = EXPR(T, a, b), for T from T. ARCH: SYN_MULTIARCH or nothing. */
#define BINARY_KERNEL(ARCH, name, DT, T, OUT, EXPR)                                     \
    ARCH static void name##_##DT##_loop(int64_t n, char *const *data, const int64_t *s, \
                                        const double *params)                           \
    {                                                                                   \
        const int64_t size = (int64_t)sizeof(T);                                        \
        OUT *out = (OUT *)(void *)data[0];                                              \
        const T *a = (const T *)(void *)data[1], *b = (const T *)(void *)data[2];       \
        (void)params;                                                                   \
        if (s[0] == (int64_t)sizeof(OUT) && s[1] == size && s[2] == size) {             \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++)                                             \
                out[i] = EXPR(T, a[i], b[i]);                                           \
        } else if (s[0] == (int64_t)sizeof(OUT) && s[1] == size && s[2] == 0) {         \
            const T second = *b;                                                        \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++)                                             \
                out[i] = EXPR(T, a[i], second);                                         \
        } else if (s[0] == (int64_t)sizeof(OUT) && s[1] == 0 && s[2] == size) {         \
            const T first = *a;                                                         \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++)                                             \
                out[i] = EXPR(T, first, b[i]);                                          \
        } else {                                                                        \
            for (int64_t i = 0; i < n; i++) {                                           \
                const T x = SYN_AT_STRIDE(const T, data[1], i, s[1]);                   \
                const T y = SYN_AT_STRIDE(const T, data[2], i, s[2]);                   \
                SYN_AT_STRIDE(OUT, data[0], i, s[0]) = EXPR(T, x, y);                   \
            }                                                                           \
        }                                                                               \
    }                                                                                   \
    static void name##_##DT(const syn_strided *it, const double *params)                \
    {                                                                                   \
        syn_run_loop(it, name##_##DT##_loop, params);                                   \
    }

#define UNARY_KERNEL(ARCH, name, DT, T, EXPR)                                           \
    ARCH static void name##_##DT##_loop(int64_t n, char *const *data, const int64_t *s, \
                                        const double *params)                           \
    {                                                                                   \
        T *out = (T *)(void *)data[0];                                                  \
        const T *a = (const T *)(void *)data[1];                                        \
        (void)params;                                                                   \
        if (s[0] == (int64_t)sizeof(T) && s[1] == (int64_t)sizeof(T)) {                 \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++)                                             \
                out[i] = EXPR(T, a[i]);                                                 \
        } else {                                                                        \
            for (int64_t i = 0; i < n; i++) {                                           \
                const T x = SYN_AT_STRIDE(const T, data[1], i, s[1]);                   \
                SYN_AT_STRIDE(T, data[0], i, s[0]) = EXPR(T, x);                        \
            }                                                                           \
        }                                                                               \
    }                                                                                   \
    static void name##_##DT(const syn_strided *it, const double *params)                \
    {                                                                                   \
        syn_run_loop(it, name##_##DT##_loop, params);                                   \
    }

#define WHERE_KERNEL(ARCH, name, DT, T)                                                 \
    ARCH static void name##_##DT##_loop(int64_t n, char *const *data, const int64_t *s, \
                                        const double *params)                           \
    {                                                                                   \
        const int64_t size = (int64_t)sizeof(T);                                        \
        T *out = (T *)(void *)data[0];                                                  \
        const uint8_t *condition = (const uint8_t *)(void *)data[1];                    \
        const T *a = (const T *)(void *)data[2], *b = (const T *)(void *)data[3];       \
        bool is_dense = s[0] == size && s[1] == 1;                                      \
        (void)params;                                                                   \
        if (is_dense && s[2] == size && s[3] == size) {                                 \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++) {                                           \
                const T x = a[i], y = b[i];                                             \
                out[i] = condition[i] ? x : y;                                          \
            }                                                                           \
        } else if (is_dense && s[2] == size && s[3] == 0 && n > 0) {                    \
            const T y = *b;                                                             \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++) {                                           \
                const T x = a[i];                                                       \
                out[i] = condition[i] ? x : y;                                          \
            }                                                                           \
        } else if (is_dense && s[2] == 0 && s[3] == size && n > 0) {                    \
            const T x = *a;                                                             \
            SYN_INDEPENDENT                                                             \
            for (int64_t i = 0; i < n; i++) {                                           \
                const T y = b[i];                                                       \
                out[i] = condition[i] ? x : y;                                          \
            }                                                                           \
        } else {                                                                        \
            for (int64_t i = 0; i < n; i++) {                                           \
                const T x = SYN_AT_STRIDE(const T, data[2], i, s[2]);                   \
                const T y = SYN_AT_STRIDE(const T, data[3], i, s[3]);                   \
                SYN_AT_STRIDE(T, data[0], i, s[0]) =                                    \
                    SYN_AT_STRIDE(const uint8_t, data[1], i, s[1]) ? x : y;             \
            }                                                                           \
        }                                                                               \
    }                                                                                   \
    static void name##_##DT(const syn_strided *it, const double *params)                \
    {                                                                                   \
        syn_run_loop(it, name##_##DT##_loop, params);                                   \
    }

/* The float kernels live in a file of their own. */
#define SYN_DECLARE_FLOAT(name)                                         \
    void syn_##name##_f32(const syn_strided *it, const double *params); \
    void syn_##name##_f64(const syn_strided *it, const double *params);
SYN_BINARY_KERNELS(SYN_DECLARE_FLOAT)
SYN_FLOAT_BINARY_KERNELS(SYN_DECLARE_FLOAT)
SYN_COMPARE_KERNELS(SYN_DECLARE_FLOAT)
SYN_UNARY_KERNELS(SYN_DECLARE_FLOAT)
SYN_FLOAT_UNARY_KERNELS(SYN_DECLARE_FLOAT)
SYN_DECLARE_FLOAT(pow)
SYN_DECLARE_FLOAT(where)

#endif
