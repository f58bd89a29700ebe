/* What compositions share: picking along an axis, and saying what is wrong. */
#ifndef WORKER_OPS_COMPOSE_H
#define WORKER_OPS_COMPOSE_H

#include "worker/ops/op_internal.h"

/* Sticks a sentence as the call's failure. */
#define SYN_COMPOSE_FAIL(call, ...) ((void)syn_stick(SYN_OP_FAIL(call, __VA_ARGS__)))

/* Places index[0 .. n) of axis `dim`, in that order; differentiable. */
syn_tensor *syn_pick(syn_tensor *x, int dim, const int64_t *index, int64_t n);

/* The axis that an attribute names, checked; false with the error stuck. */
static inline bool syn_compose_dim(const syn_op_call *call, int64_t dim, int ndim, int *dim_out)
{
    if (syn_infer_dim(call, dim, ndim, dim_out) == SYN_OK)
        return true;
    (void)syn_stick(SYN_INVALID_ARGUMENT);
    return false;
}

#endif
