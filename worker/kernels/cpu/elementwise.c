/* The walk over index spaces, and loops over bool and integers. */
#include "worker/kernels/cpu/elementwise.h"

#include "worker/kernels/cpu/parallel.h"

#include <stdbool.h>

enum { CHUNK = 16384 };

static inline void run_flat(const syn_strided *it, syn_loop_fn loop, const double *params,
                            int64_t begin, int64_t end)
{
    char *data[SYN_MAX_OPERANDS];
    int64_t strides[SYN_MAX_OPERANDS];
    for (int k = 0; k < it->n_operands; k++) {
        strides[k] = it->strides[k][it->ndim - 1];
        data[k] = it->data[k] + begin * strides[k];
    }
    loop(end - begin, data, strides, params);
}

/* Rows [begin, end) of the space's leading axes. */
static void run_rows(const syn_strided *it, syn_loop_fn loop, const double *params, int64_t begin,
                     int64_t end)
{
    int last = it->ndim - 1;
    int64_t index[SYN_MAX_DIMS], strides[SYN_MAX_OPERANDS], rest = begin;
    char *data[SYN_MAX_OPERANDS];
    for (int k = 0; k < it->n_operands; k++) {
        data[k] = it->data[k];
        strides[k] = it->strides[k][last];
    }
    for (int d = last - 1; d >= 0; d--) {
        index[d] = rest % it->dims[d];
        rest /= it->dims[d];
        for (int k = 0; k < it->n_operands; k++)
            data[k] += index[d] * it->strides[k][d];
    }
    for (int64_t row = begin; row < end; row++) {
        loop(it->dims[last], data, strides, params);
        for (int d = last - 1; d >= 0; d--) {
            for (int k = 0; k < it->n_operands; k++)
                data[k] += it->strides[k][d];
            if (++index[d] < it->dims[d])
                break;
            for (int k = 0; k < it->n_operands; k++)
                data[k] -= it->strides[k][d] * it->dims[d];
            index[d] = 0;
        }
    }
}

typedef struct job {
    const syn_strided *it;
    syn_loop_fn loop;
    const double *params;
    int64_t total, step; /* elements or rows, and how many of them a chunk has */
} job;

static void flat_chunk(int64_t c, const void *context)
{
    const job *j = context;
    int64_t end = (c + 1) * j->step;
    run_flat(j->it, j->loop, j->params, c * j->step, end < j->total ? end : j->total);
}

static void row_chunk(int64_t c, const void *context)
{
    const job *j = context;
    int64_t end = (c + 1) * j->step;
    run_rows(j->it, j->loop, j->params, c * j->step, end < j->total ? end : j->total);
}

void syn_run_loop(const syn_strided *it, syn_loop_fn loop, const double *params)
{
    int64_t inner = it->dims[it->ndim - 1], rows = 1;
    for (int d = 0; d < it->ndim - 1; d++)
        rows *= it->dims[d];
    if (rows == 1 && inner < SYN_PARALLEL_MIN) {
        run_flat(it, loop, params, 0, inner);
        return;
    }
    job j = {it, loop, params, rows == 1 ? inner : rows, CHUNK};
    if (rows > 1)
        j.step = CHUNK / (inner > 0 ? inner : 1) + 1;
    syn_parallel_for((j.total + j.step - 1) / j.step, rows * inner >= SYN_PARALLEL_MIN,
                     rows == 1 ? flat_chunk : row_chunk, &j);
}

#include "worker/kernels/cpu/loops.h"

/* ---- Integers wrap around, as in C's unsigned arithmetic and in NumPy ---- */

#define ADD(T, a, b)        (T)((uint64_t)(a) + (uint64_t)(b))
#define ADD_SCALED(T, a, b) (T)((uint64_t)(a) + (uint64_t)(int64_t)params[0] * (uint64_t)(b))
#define SUB(T, a, b)        (T)((uint64_t)(a) - (uint64_t)(b))
#define MUL(T, a, b)        (T)((uint64_t)(a) * (uint64_t)(b))
#define MAXIMUM(T, a, b)    ((a) > (b) ? (a) : (b))
#define MINIMUM(T, a, b)    ((a) < (b) ? (a) : (b))
#define EQ(T, a, b)         ((a) == (b))
#define NE(T, a, b)         ((a) != (b))
#define LT(T, a, b)         ((a) < (b))
#define LE(T, a, b)         ((a) <= (b))
#define GT(T, a, b)         ((a) > (b))
#define GE(T, a, b)         ((a) >= (b))
#define NEG(T, a)           (T)(-(uint64_t)(a))
#define ABS(T, a)           (T)((a) < 0 ? -(uint64_t)(a) : (uint64_t)(a))
#define SIGN(T, a)          (T)(((a) > 0) - ((a) < 0))
#define SQUARE(T, a)        (T)((uint64_t)(a) * (uint64_t)(a))
#define RELU(T, a)          (T)((a) < 0 ? 0 : (a))

#pragma GCC diagnostic ignored "-Wtype-limits"
#define INTEGER_KERNELS(DT, T)                        \
    BINARY_KERNEL(, add, DT, T, T, ADD)               \
    BINARY_KERNEL(, add_scaled, DT, T, T, ADD_SCALED) \
    BINARY_KERNEL(, sub, DT, T, T, SUB)               \
    BINARY_KERNEL(, mul, DT, T, T, MUL)               \
    BINARY_KERNEL(, maximum, DT, T, T, MAXIMUM)       \
    BINARY_KERNEL(, minimum, DT, T, T, MINIMUM)       \
    BINARY_KERNEL(, eq, DT, T, uint8_t, EQ)           \
    BINARY_KERNEL(, ne, DT, T, uint8_t, NE)           \
    BINARY_KERNEL(, lt, DT, T, uint8_t, LT)           \
    BINARY_KERNEL(, le, DT, T, uint8_t, LE)           \
    BINARY_KERNEL(, gt, DT, T, uint8_t, GT)           \
    BINARY_KERNEL(, ge, DT, T, uint8_t, GE)           \
    UNARY_KERNEL(, neg, DT, T, NEG)                   \
    UNARY_KERNEL(, abs, DT, T, ABS)                   \
    UNARY_KERNEL(, sign, DT, T, SIGN)                 \
    UNARY_KERNEL(, square, DT, T, SQUARE)             \
    UNARY_KERNEL(, relu, DT, T, RELU)                 \
    WHERE_KERNEL(, where, DT, T)
SYN_INTEGER_TYPES(INTEGER_KERNELS)

/* bool is 0 or 1: sums are "or", products "and". */
#define OR(T, a, b)  (T)((a) | (b))
#define AND(T, a, b) (T)((a) & (b))
BINARY_KERNEL(, add, BOOL, uint8_t, uint8_t, OR)
BINARY_KERNEL(, mul, BOOL, uint8_t, uint8_t, AND)

#define INTEGER_ENTRIES(name)                                                                   \
    [SYN_U8] = name##_U8, [SYN_I8] = name##_I8, [SYN_I16] = name##_I16, [SYN_I32] = name##_I32, \
    [SYN_I64] = name##_I64
#define FLOAT_ENTRIES(name) [SYN_F32] = syn_##name##_f32, [SYN_F64] = syn_##name##_f64
#define BINARY_ROW(name) \
    .name = {FLOAT_ENTRIES(name), INTEGER_ENTRIES(name), [SYN_BOOL] = name##_BOOL},
#define UNARY_ROW(name) .name = {FLOAT_ENTRIES(name), INTEGER_ENTRIES(name)},
#define FLOAT_ROW(name) .name = {FLOAT_ENTRIES(name)},

#define add_scaled_BOOL add_BOOL
#define sub_BOOL        NULL
#define maximum_BOOL    add_BOOL
#define minimum_BOOL    mul_BOOL
#define eq_BOOL         eq_U8
#define ne_BOOL         ne_U8
#define lt_BOOL         lt_U8
#define le_BOOL         le_U8
#define gt_BOOL         gt_U8
#define ge_BOOL         ge_U8
#define where_BOOL      where_U8
#define clamp_U8        NULL
#define clamp_I8        NULL
#define clamp_I16       NULL
#define clamp_I32       NULL
#define clamp_I64       NULL

const syn_elementwise_kernels syn_elementwise_cpu[] = {
    {SYN_BINARY_KERNELS(BINARY_ROW) SYN_FLOAT_BINARY_KERNELS(FLOAT_ROW)
         SYN_COMPARE_KERNELS(BINARY_ROW) SYN_UNARY_KERNELS(UNARY_ROW)
             SYN_FLOAT_UNARY_KERNELS(FLOAT_ROW) FLOAT_ROW(pow) BINARY_ROW(where)}};
