/* Rows by index, copied and added in parallel. */
#include "worker/kernels/index.h"

#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/parallel.h"

#include <string.h>

typedef struct job {
    const syn_rows_args *a;
    size_t bytes;
} job;

enum { STRIP = 64, ROWS = 16 };

static void take_some(int64_t chunk, const void *context)
{
    const job *j = context;
    int64_t end = (chunk + 1) * ROWS;
    for (int64_t i = chunk * ROWS; i < end && i < j->a->n_index; i++)
        memcpy((char *)j->a->to + (size_t)i * j->bytes,
               (const char *)j->a->from + (size_t)j->a->index[i] * j->bytes, j->bytes);
}

static void take_rows(const syn_rows_args *a, size_t element_bytes)
{
    job j = {a, (size_t)a->width * element_bytes};
    syn_parallel_for((a->n_index + ROWS - 1) / ROWS, a->n_index * a->width >= SYN_PARALLEL_MIN,
                     take_some, &j);
}

/* Threads share the columns, so that every sum is formed in the order of the index. */
#define ADD_ROWS(name, T)                                                                       \
    static void add_strip_##name(int64_t strip, const void *context)                            \
    {                                                                                           \
        const syn_rows_args *a = context;                                                       \
        int64_t begin = strip * STRIP, n = a->width - begin < STRIP ? a->width - begin : STRIP; \
        for (int64_t i = 0; i < a->n_index; i++) {                                              \
            T *to = (T *)a->to + a->index[i] * a->width + begin;                                \
            const T *from = (const T *)a->from + i * a->width + begin;                          \
            for (int64_t k = 0; k < n; k++)                                                     \
                to[k] += from[k];                                                               \
        }                                                                                       \
    }                                                                                           \
    static void add_rows_##name(const syn_rows_args *a)                                         \
    {                                                                                           \
        syn_parallel_for((a->width + STRIP - 1) / STRIP,                                        \
                         a->n_index * a->width >= SYN_PARALLEL_MIN, add_strip_##name, a);       \
    }
ADD_ROWS(f32, float)
ADD_ROWS(f64, double)

const syn_index_kernels syn_index_cpu[] = {
    {.take_rows = take_rows, .add_rows = {[SYN_F32] = add_rows_f32, [SYN_F64] = add_rows_f64}}};
