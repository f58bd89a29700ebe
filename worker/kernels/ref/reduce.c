/* The oracle of reductions: for every kept element, all reduced ones in order, in double precision
 * or 64 bits. */
#include "worker/kernels/reduce.h"

#include "worker/kernels/element.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum reduction { SUM, AMAX, AMIN, ARGMAX, ARGMIN } reduction;

typedef struct accumulator {
    double real;
    int64_t integer, best_at, n;
} accumulator;

static bool is_better(reduction kind, bool is_float, const accumulator *a, double real,
                      int64_t integer)
{
    bool wants_more = kind == AMAX || kind == ARGMAX;
    if (a->n == 0)
        return true;
    if (!is_float)
        return wants_more ? integer > a->integer : integer < a->integer;
    if (isnan(a->real) || isnan(real))
        return !isnan(a->real);
    return wants_more ? real > a->real : real < a->real;
}

static void take(accumulator *a, reduction kind, syn_dtype dtype, const void *at)
{
    double real = syn_element_get(dtype, at);
    int64_t integer = syn_element_get_int(dtype, at);
    bool is_float = syn_dtype_get_kind(dtype) >= SYN_KIND_FLOAT;
    if (kind == SUM) {
        a->real += real;
        a->integer = (int64_t)((uint64_t)a->integer + (uint64_t)integer);
    } else if (is_better(kind, is_float, a, real, integer)) {
        a->real = real;
        a->integer = integer;
        a->best_at = a->n;
    }
    a->n++;
}

static void store(const accumulator *a, reduction kind, syn_dtype dtype, const double *params,
                  void *out)
{
    bool is_float = syn_dtype_get_kind(dtype) >= SYN_KIND_FLOAT;
    if (kind == ARGMAX || kind == ARGMIN)
        *(int64_t *)out = a->best_at;
    else if (is_float)
        syn_element_set(dtype, out, kind == SUM ? a->real * params[0] : a->real);
    else
        syn_element_set_int(kind == SUM ? SYN_I64 : dtype, out, a->integer);
}

/* Advances the index over the axes that are reduced (or kept); false after the last. */
static bool next(const syn_strided *it, int64_t *index, bool reduced)
{
    for (int d = it->ndim - 1; d >= 0; d--) {
        if ((it->strides[0][d] == 0) != reduced)
            continue;
        if (++index[d] < it->dims[d])
            return true;
        index[d] = 0;
    }
    return false;
}

static void reduce(const syn_strided *it, const double *params, reduction kind, syn_dtype dtype)
{
    int64_t index[SYN_MAX_DIMS] = {0};
    bool is_empty = false;
    for (int d = 0; d < it->ndim; d++)
        is_empty |= it->dims[d] == 0;
    do {
        accumulator a = {0};
        char *out = it->data[0];
        for (int d = 0; d < it->ndim; d++)
            out += index[d] * it->strides[0][d];
        do {
            char *at = it->data[1];
            for (int d = 0; d < it->ndim; d++)
                at += index[d] * it->strides[1][d];
            if (!is_empty)
                take(&a, kind, dtype, at);
        } while (next(it, index, true));
        store(&a, kind, dtype, params, out);
    } while (next(it, index, false));
}

#define KERNEL(name, KIND, DT)                                           \
    static void name##_##DT(const syn_strided *it, const double *params) \
    {                                                                    \
        reduce(it, params, KIND, SYN_##DT);                              \
    }
#define KERNELS(DT)            \
    KERNEL(sum, SUM, DT)       \
    KERNEL(amax, AMAX, DT)     \
    KERNEL(amin, AMIN, DT)     \
    KERNEL(argmax, ARGMAX, DT) \
    KERNEL(argmin, ARGMIN, DT)
KERNELS(BOOL)
KERNELS(U8)
KERNELS(I8)
KERNELS(I16)
KERNELS(I32)
KERNELS(I64)
KERNELS(F32)
KERNELS(F64)

#define ROW(name)                                                                      \
    .name = {[SYN_BOOL] = name##_BOOL, [SYN_U8] = name##_U8,   [SYN_I8] = name##_I8,   \
             [SYN_I16] = name##_I16,   [SYN_I32] = name##_I32, [SYN_I64] = name##_I64, \
             [SYN_F32] = name##_F32,   [SYN_F64] = name##_F64}
const syn_reduce_kernels syn_reduce_ref[] = {
    {ROW(sum), ROW(amax), ROW(amin), ROW(argmax), ROW(argmin)}};
