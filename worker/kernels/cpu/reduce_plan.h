/* How a reduction walks: the kept and the reduced axes apart. */
#ifndef WORKER_KERNELS_CPU_REDUCE_PLAN_H
#define WORKER_KERNELS_CPU_REDUCE_PLAN_H

#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/parallel.h"
#include "worker/kernels/elementwise.h"
#include "worker/kernels/reduce.h"

#include <stdbool.h>
#include <stddef.h>

/* The axes apart: kept ones lead to outputs, reduced ones to what is combined; both from outer to
 * inner. */
typedef struct plan {
    int n_kept, n_reduced;
    int64_t kept[SYN_MAX_DIMS], reduced[SYN_MAX_DIMS];
    int64_t kept_in[SYN_MAX_DIMS], kept_out[SYN_MAX_DIMS], reduced_in[SYN_MAX_DIMS];
    int64_t n_outputs, n_each;
} plan;

static inline plan plan_of(const syn_strided *it)
{
    plan p = {.n_outputs = 1, .n_each = 1};
    syn_strided s = *it;
    for (int k = 0; k < 2; k++) /* order by the input: swap the operands for the sorting */
        for (int d = 0; d < s.ndim; d++)
            s.strides[k][d] = it->strides[1 - k][d];
    syn_strided_simplify(&s);
    for (int d = 0; d < s.ndim; d++) {
        if (s.strides[1][d] == 0) {
            p.reduced[p.n_reduced] = s.dims[d];
            p.reduced_in[p.n_reduced++] = s.strides[0][d];
            p.n_each *= s.dims[d];
        } else {
            p.kept[p.n_kept] = s.dims[d];
            p.kept_in[p.n_kept] = s.strides[0][d];
            p.kept_out[p.n_kept++] = s.strides[1][d];
            p.n_outputs *= s.dims[d];
        }
    }
    return p;
}

static inline int64_t magnitude(int64_t stride)
{
    return stride < 0 ? -stride : stride;
}

/* Whether the innermost axis of the input is reduced. */
static inline bool is_row_wise(const plan *p)
{
    if (p->n_reduced == 0 || p->n_kept == 0)
        return p->n_kept == 0;
    return magnitude(p->reduced_in[p->n_reduced - 1]) < magnitude(p->kept_in[p->n_kept - 1]);
}

/* Byte offset of element `i` of a row-major index space. */
static inline int64_t offset_of(int64_t i, int n, const int64_t *dims, const int64_t *strides)
{
    int64_t offset = 0;
    for (int d = n - 1; d > 0; d--) {
        offset += i % dims[d] * strides[d];
        i /= dims[d];
    }
    return n > 0 ? offset + i * strides[0] : 0;
}

typedef struct job {
    const syn_strided *it;
    const double *params;
    plan p;
    int64_t n_strips;
} job;

/* Columns of one strip where the kept axis is the innermost. */
enum { STRIP = 128 };

#define SYN_DECLARE_EXTREME(name)                                       \
    void syn_##name##_u8(const syn_strided *it, const double *params);  \
    void syn_##name##_i8(const syn_strided *it, const double *params);  \
    void syn_##name##_i16(const syn_strided *it, const double *params); \
    void syn_##name##_i32(const syn_strided *it, const double *params); \
    void syn_##name##_i64(const syn_strided *it, const double *params); \
    void syn_##name##_f32(const syn_strided *it, const double *params); \
    void syn_##name##_f64(const syn_strided *it, const double *params);
SYN_DECLARE_EXTREME(amax)
SYN_DECLARE_EXTREME(amin)
SYN_DECLARE_EXTREME(argmax)
SYN_DECLARE_EXTREME(argmin)

#endif
