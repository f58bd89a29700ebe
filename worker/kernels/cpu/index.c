/* Rows by index, copied and added in parallel. */
#include "worker/kernels/index.h"

#include "worker/kernels/backend.h"

#include <string.h>

static void take_rows(const syn_rows_args *a, size_t element_bytes)
{
    size_t bytes = (size_t)a->width * element_bytes;
#pragma omp parallel for schedule(static) if (a->n_index * a->width >= SYN_PARALLEL_MIN)
    for (int64_t i = 0; i < a->n_index; i++)
        memcpy((char *)a->to + (size_t)i * bytes,
               (const char *)a->from + (size_t)a->index[i] * bytes, bytes);
}

enum { STRIP = 64 };

/* Threads share the columns, so that every sum is formed in the order of the index. */
#define ADD_ROWS(name, T)                                                                                                                               \
    static void add_rows_##name(const syn_rows_args *a)                                                                                                 \
    {                                                                                                                                                   \
        int64_t n_strips = (a->width + STRIP - 1) / STRIP;                                                                                              \
        SYN_PRAGMA(omp parallel for schedule(static) if (a->n_index * a->width >= SYN_PARALLEL_MIN)) for (int64_t strip = 0; strip < n_strips; strip++) \
        {                                                                                                                                               \
            int64_t begin = strip * STRIP;                                                                                                              \
            int64_t n = a->width - begin < STRIP ? a->width - begin : STRIP;                                                                            \
            for (int64_t i = 0; i < a->n_index; i++) {                                                                                                  \
                T *to = (T *)a->to + a->index[i] * a->width + begin;                                                                                    \
                const T *from = (const T *)a->from + i * a->width + begin;                                                                              \
                for (int64_t j = 0; j < n; j++)                                                                                                         \
                    to[j] += from[j];                                                                                                                   \
            }                                                                                                                                           \
        }                                                                                                                                               \
    }
ADD_ROWS(f32, float)
ADD_ROWS(f64, double)

const syn_index_kernels syn_index_cpu[] = {
    {.take_rows = take_rows, .add_rows = {[SYN_F32] = add_rows_f32, [SYN_F64] = add_rows_f64}}};
