/* The greatest and least elements of rows and columns in vector loops, and where they are. */
#include "worker/kernels/cpu/reduce_plan.h"

enum { LANES = 32 };

/* Whether x takes the place of best; the first NaN stays. */
#define GREATER_INTEGER(x, best) ((x) > (best))
#define LESS_INTEGER(x, best)    ((x) < (best))
#define GREATER_FLOAT(x, best)   ((x) > (best) || ((x) != (x) && (best) == (best)))
#define LESS_FLOAT(x, best)      ((x) < (best) || ((x) != (x) && (best) == (best)))

/* The extreme of one row. */
#define ROW(name, dt, T, WINS)                                                        \
    SYN_MULTIARCH static T name##_row_##dt(int64_t n, const char *in, int64_t stride) \
    {                                                                                 \
        T best = *(const T *)(const void *)in, lanes[LANES];                          \
        int64_t i = 0;                                                                \
        if (stride == (int64_t)sizeof(T) && n >= LANES) {                             \
            const T *x = (const T *)(const void *)in;                                 \
            for (int j = 0; j < LANES; j++)                                           \
                lanes[j] = x[j];                                                      \
            for (i = LANES; i + LANES <= n; i += LANES)                               \
                for (int j = 0; j < LANES; j++) {                                     \
                    const T candidate = x[i + j], before = lanes[j];                  \
                    lanes[j] = WINS(candidate, before) ? candidate : before;          \
                }                                                                     \
            for (int j = 0; j < LANES; j++)                                           \
                best = WINS(lanes[j], best) ? lanes[j] : best;                        \
        }                                                                             \
        for (; i < n; i++) {                                                          \
            const T x = *(const T *)(const void *)(in + i * stride);                  \
            best = WINS(x, best) ? x : best;                                          \
        }                                                                             \
        return best;                                                                  \
    }                                                                                 \
    static T name##_all_##dt(const plan *p, const char *in)                           \
    {                                                                                 \
        int last = p->n_reduced - 1;                                                  \
        T best = *(const T *)(const void *)in;                                        \
        if (last < 0)                                                                 \
            return best;                                                              \
        int64_t n = p->reduced[last], n_rows = p->n_each / n;                         \
        for (int64_t r = 0; r < n_rows; r++) {                                        \
            const char *row = in + offset_of(r, last, p->reduced, p->reduced_in);     \
            const T x = name##_row_##dt(n, row, p->reduced_in[last]);                 \
            best = WINS(x, best) ? x : best;                                          \
        }                                                                             \
        return best;                                                                  \
    }

/* The extremes of `width` columns, and the numbers of their rows. */
#define COLUMNS(name, dt, T, WINS)                                                              \
    SYN_MULTIARCH static void name##_columns_##dt(const plan *p, const char *in, int64_t width, \
                                                  T *best, int64_t *at)                         \
    {                                                                                           \
        int64_t stride = p->kept_in[p->n_kept - 1];                                             \
        for (int64_t j = 0; j < width; j++) {                                                   \
            best[j] = *(const T *)(const void *)(in + j * stride);                              \
            at[j] = 0;                                                                          \
        }                                                                                       \
        for (int64_t r = 1; r < p->n_each; r++) {                                               \
            const char *row = in + offset_of(r, p->n_reduced, p->reduced, p->reduced_in);       \
            for (int64_t j = 0; j < width; j++) {                                               \
                const T x = *(const T *)(const void *)(row + j * stride), before = best[j];     \
                const bool wins = WINS(x, before);                                              \
                best[j] = wins ? x : before;                                                    \
                at[j] = wins ? r : at[j];                                                       \
            }                                                                                   \
        }                                                                                       \
    }                                                                                           \
    SYN_MULTIARCH static void name##_values_##dt(const plan *p, const char *in, int64_t width,  \
                                                 T *best)                                       \
    {                                                                                           \
        for (int64_t j = 0; j < width; j++)                                                     \
            best[j] = ((const T *)(const void *)in)[j];                                         \
        for (int64_t r = 1; r < p->n_each; r++) {                                               \
            const char *at = in + offset_of(r, p->n_reduced, p->reduced, p->reduced_in);        \
            const T *row = (const T *)(const void *)at;                                         \
            for (int64_t j = 0; j < width; j++) {                                               \
                const T x = row[j], before = best[j];                                           \
                best[j] = WINS(x, before) ? x : before;                                         \
            }                                                                                   \
        }                                                                                       \
    }

/* Input and output of kept element `i`. */
static const char *input_of(const job *j, int64_t i)
{
    return j->it->data[1] + offset_of(i, j->p.n_kept, j->p.kept, j->p.kept_in);
}

static void *output_of(const job *j, int64_t i)
{
    return j->it->data[0] + offset_of(i, j->p.n_kept, j->p.kept, j->p.kept_out);
}

/* Where strip `i` of the innermost kept axis begins, and how wide it is. */
static int64_t strip_of(const job *j, int64_t i, int64_t *first_out)
{
    int64_t width = j->p.kept[j->p.n_kept - 1], begin = i % j->n_strips * STRIP;
    *first_out = i / j->n_strips * width + begin;
    return width - begin < STRIP ? width - begin : STRIP;
}

/* Runs over outputs where rows are reduced, else over strips of columns. */
static void run(const syn_strided *it, void (*by_rows)(int64_t, const void *),
                void (*by_columns)(int64_t, const void *))
{
    job j = {.it = it, .p = plan_of(it)};
    bool is_parallel = j.p.n_outputs * j.p.n_each >= SYN_PARALLEL_MIN;
    if (is_row_wise(&j.p)) {
        syn_parallel_for(j.p.n_outputs, is_parallel, by_rows, &j);
        return;
    }
    int64_t width = j.p.kept[j.p.n_kept - 1];
    j.n_strips = (width + STRIP - 1) / STRIP;
    syn_parallel_for(width ? j.p.n_outputs / width * j.n_strips : 0, is_parallel, by_columns, &j);
}

/* Whether numbers along the reduced axes, row-major, are steps along one axis. */
static bool has_one_axis(const syn_strided *it)
{
    int inner = -1;
    for (int d = it->ndim - 1; d >= 0; d--) {
        if (it->strides[0][d] != 0 || it->dims[d] == 1)
            continue;
        if (inner >= 0 && it->strides[1][d] != it->strides[1][inner] * it->dims[inner])
            return false;
        inner = d;
    }
    return plan_of(it).n_reduced <= 1;
}

/* a<name>: the elements; arg<name>: their numbers. */
#define KERNELS(name, dt, DT, T)                                           \
    static void name##_output_##dt(int64_t i, const void *context)         \
    {                                                                      \
        const job *j = context;                                            \
        *(T *)output_of(j, i) = name##_all_##dt(&j->p, input_of(j, i));    \
    }                                                                      \
    static void name##_strip_##dt(int64_t i, const void *context)          \
    {                                                                      \
        const job *j = context;                                            \
        T best[STRIP];                                                     \
        int64_t at[STRIP], first, n = strip_of(j, i, &first);              \
        if (j->p.kept_in[j->p.n_kept - 1] == (int64_t)sizeof(T))           \
            name##_values_##dt(&j->p, input_of(j, first), n, best);        \
        else                                                               \
            name##_columns_##dt(&j->p, input_of(j, first), n, best, at);   \
        for (int64_t k = 0; k < n; k++)                                    \
            *(T *)output_of(j, first + k) = best[k];                       \
    }                                                                      \
    static void name##_output_number_##dt(int64_t i, const void *context)  \
    {                                                                      \
        const job *j = context;                                            \
        const char *in = input_of(j, i);                                   \
        const T best = name##_all_##dt(&j->p, in);                         \
        int64_t at = 0, stride = j->p.n_reduced ? j->p.reduced_in[0] : 0;  \
        for (; at + 1 < j->p.n_each; at++) {                               \
            const T x = *(const T *)(const void *)(in + at * stride);      \
            if (x == best || x != x)                                       \
                break;                                                     \
        }                                                                  \
        *(int64_t *)output_of(j, i) = at;                                  \
    }                                                                      \
    static void name##_strip_numbers_##dt(int64_t i, const void *context)  \
    {                                                                      \
        const job *j = context;                                            \
        T best[STRIP];                                                     \
        int64_t at[STRIP], first, n = strip_of(j, i, &first);              \
        name##_columns_##dt(&j->p, input_of(j, first), n, best, at);       \
        for (int64_t k = 0; k < n; k++)                                    \
            *(int64_t *)output_of(j, first + k) = at[k];                   \
    }                                                                      \
    void syn_a##name##_##dt(const syn_strided *it, const double *params)   \
    {                                                                      \
        (void)params;                                                      \
        run(it, name##_output_##dt, name##_strip_##dt);                    \
    }                                                                      \
    void syn_arg##name##_##dt(const syn_strided *it, const double *params) \
    {                                                                      \
        if (has_one_axis(it))                                              \
            run(it, name##_output_number_##dt, name##_strip_numbers_##dt); \
        else                                                               \
            syn_reduce_ref[0].arg##name[SYN_##DT](it, params);             \
    }

#define EXTREME(name, dt, DT, T, WINS) \
    ROW(name, dt, T, WINS)             \
    COLUMNS(name, dt, T, WINS)         \
    KERNELS(name, dt, DT, T)
#define INTEGER(dt, DT, T) \
    EXTREME(max, dt, DT, T, GREATER_INTEGER) EXTREME(min, dt, DT, T, LESS_INTEGER)
#define FLOAT(dt, DT, T) EXTREME(max, dt, DT, T, GREATER_FLOAT) EXTREME(min, dt, DT, T, LESS_FLOAT)
INTEGER(u8, U8, uint8_t)
INTEGER(i8, I8, int8_t)
INTEGER(i16, I16, int16_t)
INTEGER(i32, I32, int32_t)
INTEGER(i64, I64, int64_t)
FLOAT(f32, F32, float)
FLOAT(f64, F64, double)
