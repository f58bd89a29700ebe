/* Sums in vector loops: along rows where the reduced axis is the innermost, else over
 * columns. */
#include "worker/kernels/cpu/reduce_plan.h"

enum {
    BLOCK = 1024, /* elements whose sum is formed in the type itself, in LANES parts */
    LANES = 32,
    ROWS = 64, /* rows whose column sums are formed in the type itself */
};

/* ---- Sums of floats: blocks in the type, blocks added up in double ---- */

#define SUM_KERNELS(name, T)                                                                     \
    SYN_MULTIARCH static double sum_block_##name(int64_t n, const char *in, int64_t stride)      \
    {                                                                                            \
        T lanes[LANES] = {0};                                                                    \
        int64_t i = 0;                                                                           \
        if (stride == (int64_t)sizeof(T)) {                                                      \
            const T *x = (const T *)(const void *)in;                                            \
            for (; i + LANES <= n; i += LANES)                                                   \
                for (int j = 0; j < LANES; j++)                                                  \
                    lanes[j] += x[i + j];                                                        \
        }                                                                                        \
        for (int j = 0; i < n; i++, j = (j + 1) % LANES)                                         \
            lanes[j] += *(const T *)(const void *)(in + i * stride);                             \
        double sum = 0;                                                                          \
        for (int j = 0; j < LANES; j++)                                                          \
            sum += (double)lanes[j];                                                             \
        return sum;                                                                              \
    }                                                                                            \
    static double sum_row_##name(int64_t n, const char *in, int64_t stride)                      \
    {                                                                                            \
        double sum = 0;                                                                          \
        if (n < LANES) {                                                                         \
            for (int64_t i = 0; i < n; i++)                                                      \
                sum += (double)*(const T *)(const void *)(in + i * stride);                      \
            return sum;                                                                          \
        }                                                                                        \
        for (int64_t i = 0; i < n; i += BLOCK)                                                   \
            sum += sum_block_##name(n - i < BLOCK ? n - i : BLOCK, in + i * stride, stride);     \
        return sum;                                                                              \
    }                                                                                            \
    static double sum_all_##name(const plan *p, const char *in)                                  \
    {                                                                                            \
        int last = p->n_reduced - 1;                                                             \
        if (last < 0)                                                                            \
            return (double)*(const T *)(const void *)in;                                         \
        int64_t inner = p->reduced[last], rows = inner ? p->n_each / inner : 0;                  \
        double sum = 0;                                                                          \
        for (int64_t r = 0; r < rows; r++)                                                       \
            sum += sum_row_##name(inner, in + offset_of(r, last, p->reduced, p->reduced_in),     \
                                  p->reduced_in[last]);                                          \
        return sum;                                                                              \
    }                                                                                            \
    SYN_MULTIARCH static void add_rows_##name(const plan *p, const char *in, int64_t width,      \
                                              double *sums)                                      \
    {                                                                                            \
        int64_t stride = p->kept_in[p->n_kept - 1];                                              \
        for (int64_t r0 = 0; r0 < p->n_each; r0 += ROWS) {                                       \
            T block[STRIP] = {0};                                                                \
            int64_t end = r0 + ROWS < p->n_each ? r0 + ROWS : p->n_each;                         \
            for (int64_t r = r0; r < end; r++) {                                                 \
                const char *row = in + offset_of(r, p->n_reduced, p->reduced, p->reduced_in);    \
                if (stride == (int64_t)sizeof(T))                                                \
                    for (int64_t j = 0; j < width; j++)                                          \
                        block[j] += ((const T *)(const void *)row)[j];                           \
                else                                                                             \
                    for (int64_t j = 0; j < width; j++)                                          \
                        block[j] += *(const T *)(const void *)(row + j * stride);                \
            }                                                                                    \
            for (int64_t j = 0; j < width; j++)                                                  \
                sums[j] += (double)block[j];                                                     \
        }                                                                                        \
    }                                                                                            \
    static void sum_output_##name(int64_t i, const void *context)                                \
    {                                                                                            \
        const job *j = context;                                                                  \
        const plan *p = &j->p;                                                                   \
        const char *in = j->it->data[1] + offset_of(i, p->n_kept, p->kept, p->kept_in);          \
        char *out = j->it->data[0] + offset_of(i, p->n_kept, p->kept, p->kept_out);              \
        *(T *)(void *)out = (T)(j->params[0] * sum_all_##name(p, in));                           \
    }                                                                                            \
    static void sum_strip_##name(int64_t i, const void *context)                                 \
    {                                                                                            \
        const job *j = context;                                                                  \
        const plan *p = &j->p;                                                                   \
        double sums[STRIP] = {0};                                                                \
        int last = p->n_kept - 1;                                                                \
        int64_t width = p->kept[last], outer = i / j->n_strips, begin = i % j->n_strips * STRIP; \
        int64_t n = width - begin < STRIP ? width - begin : STRIP;                               \
        const char *in = j->it->data[1] + offset_of(outer, last, p->kept, p->kept_in) +          \
                         begin * p->kept_in[last];                                               \
        char *out = j->it->data[0] + offset_of(outer, last, p->kept, p->kept_out) +              \
                    begin * p->kept_out[last];                                                   \
        add_rows_##name(p, in, n, sums);                                                         \
        for (int64_t k = 0; k < n; k++)                                                          \
            *(T *)(void *)(out + k * p->kept_out[last]) = (T)(j->params[0] * sums[k]);           \
    }                                                                                            \
    static void sum_##name(const syn_strided *it, const double *params)                          \
    {                                                                                            \
        job j = {.it = it, .params = params, .p = plan_of(it)};                                  \
        const plan *p = &j.p;                                                                    \
        bool is_parallel = p->n_outputs * p->n_each >= SYN_PARALLEL_MIN;                         \
        if (p->n_outputs == 1 && p->n_reduced == 1 && is_parallel) {                             \
            *(T *)(void *)it->data[0] = (T)(params[0] * sum_long_##name(p, it->data[1]));        \
        } else if (is_row_wise(p)) {                                                             \
            syn_parallel_for(p->n_outputs, is_parallel, sum_output_##name, &j);                  \
        } else {                                                                                 \
            int64_t width = p->kept[p->n_kept - 1];                                              \
            j.n_strips = (width + STRIP - 1) / STRIP;                                            \
            syn_parallel_for(width ? p->n_outputs / width *j.n_strips : 0, is_parallel,          \
                             sum_strip_##name, &j);                                              \
        }                                                                                        \
    }

/* One long row: blocks summed in parallel, at most as many as fit, then added in order. */
enum { MAX_PARTS = 256 };
typedef struct row_parts {
    const char *in;
    double *parts;
    int64_t n, part, stride;
} row_parts;

#define SUM_LONG(name)                                                                        \
    static double sum_row_##name(int64_t n, const char *in, int64_t stride);                  \
    static void sum_part_##name(int64_t i, const void *context)                               \
    {                                                                                         \
        const row_parts *r = context;                                                         \
        r->parts[i] = sum_row_##name((i + 1) * r->part < r->n ? r->part : r->n - i * r->part, \
                                     r->in + i * r->part * r->stride, r->stride);             \
    }                                                                                         \
    static double sum_long_##name(const plan *p, const char *in)                              \
    {                                                                                         \
        double parts[MAX_PARTS], sum = 0;                                                     \
        int64_t n = p->n_each;                                                                \
        int64_t part = ((n + MAX_PARTS - 1) / MAX_PARTS + BLOCK - 1) / BLOCK * BLOCK;         \
        int64_t n_parts = (n + part - 1) / part;                                              \
        row_parts r = {in, parts, n, part, p->reduced_in[0]};                                 \
        syn_parallel_for(n_parts, true, sum_part_##name, &r);                                 \
        for (int64_t i = 0; i < n_parts; i++)                                                 \
            sum += parts[i];                                                                  \
        return sum;                                                                           \
    }
SUM_LONG(f32)
SUM_LONG(f64)
SUM_KERNELS(f32, float)
SUM_KERNELS(f64, double)

/* ---- Sums of integers ---- */

/* Over the reduced axes of each output; NEXT sees the element x. */
#define EACH(name, T, OUT, DECLARE, NEXT, RESULT)                                                 \
    static void name##_output(int64_t o, const void *context)                                     \
    {                                                                                             \
        const job *j = context;                                                                   \
        const plan *p = &j->p;                                                                    \
        int last = p->n_reduced - 1;                                                              \
        int64_t inner = last < 0 ? 1 : p->reduced[last],                                          \
                step = last < 0 ? 0 : p->reduced_in[last];                                        \
        int64_t rows = inner ? p->n_each / inner : 0;                                             \
        const char *in = j->it->data[1] + offset_of(o, p->n_kept, p->kept, p->kept_in);           \
        char *out = j->it->data[0] + offset_of(o, p->n_kept, p->kept, p->kept_out);               \
        DECLARE;                                                                                  \
        for (int64_t r = 0; r < rows; r++) {                                                      \
            const char *row = last < 0 ? in : in + offset_of(r, last, p->reduced, p->reduced_in); \
            for (int64_t i = 0; i < inner; i++) {                                                 \
                const T x = *(const T *)(const void *)(row + i * step);                           \
                NEXT;                                                                             \
            }                                                                                     \
        }                                                                                         \
        *(OUT *)(void *)out = (OUT)(RESULT);                                                      \
    }                                                                                             \
    static void name(const syn_strided *it, const double *params)                                 \
    {                                                                                             \
        job j = {.it = it, .params = params, .p = plan_of(it)};                                   \
        syn_parallel_for(j.p.n_outputs, j.p.n_outputs *j.p.n_each >= SYN_PARALLEL_MIN,            \
                         name##_output, &j);                                                      \
    }
#define INTEGER_SUM(DT, T) EACH(sum_##DT, T, int64_t, uint64_t sum = 0, sum += (uint64_t)x, sum)
SYN_INTEGER_TYPES(INTEGER_SUM)

#define INTEGER_ROW(name)                                                                       \
    [SYN_BOOL] = name##_U8, [SYN_U8] = name##_U8, [SYN_I8] = name##_I8, [SYN_I16] = name##_I16, \
    [SYN_I32] = name##_I32, [SYN_I64] = name##_I64
#define EXTREME_ROW(name)                                                                         \
    .name = {                                                                                     \
        [SYN_BOOL] = syn_##name##_u8, [SYN_U8] = syn_##name##_u8,   [SYN_I8] = syn_##name##_i8,   \
        [SYN_I16] = syn_##name##_i16, [SYN_I32] = syn_##name##_i32, [SYN_I64] = syn_##name##_i64, \
        [SYN_F32] = syn_##name##_f32, [SYN_F64] = syn_##name##_f64},

const syn_reduce_kernels syn_reduce_cpu[] = {
    {.sum = {INTEGER_ROW(sum), [SYN_F32] = sum_f32, [SYN_F64] = sum_f64},
     EXTREME_ROW(amax) EXTREME_ROW(amin) EXTREME_ROW(argmax) EXTREME_ROW(argmin)}};
