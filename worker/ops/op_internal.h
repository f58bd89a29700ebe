/* Helpers that operator blocks share: shape rules, running element-wise kernels, reading
 * attributes. */
#ifndef WORKER_OPS_OP_INTERNAL_H
#define WORKER_OPS_OP_INTERNAL_H

#ifndef SYN_NO_CALLER_MACROS
#define SYN_NO_CALLER_MACROS
#endif

#include "worker/kernels/backend.h"
#include "worker/kernels/copy.h"
#include "worker/kernels/elementwise.h"
#include "worker/kernels/index.h"
#include "worker/kernels/matmul.h"
#include "worker/kernels/random.h"
#include "worker/kernels/reduce.h"
#include "worker/tensor/tensor.h"

#include <syncline/autograd.h>
#include <syncline/op.h>
#include <syncline/ops.h>

/* The descriptors of the index list. */
#define SYN_OP_DECLARE(name) extern const syn_op syn_op_##name;
#include "worker/ops/op_list.h"
SYN_OP_LIST(SYN_OP_DECLARE)
#undef SYN_OP_DECLARE

/* ---- Metas for infer ---- */

static inline void syn_meta_set(syn_meta *meta, syn_dtype dtype, int ndim, const int64_t *dims)
{
    meta->dtype = dtype;
    meta->shape.ndim = ndim;
    for (int d = 0; d < ndim; d++)
        meta->shape.dims[d] = dims[d];
}

static inline void syn_meta_like(syn_meta *meta, const syn_tensor *x)
{
    syn_meta_set(meta, (syn_dtype)x->dtype, x->ndim, x->dims);
}

/* An output of input 0's shape and dtype. */
syn_status syn_infer_like(syn_op_call *call, syn_meta *metas);
/* All inputs broadcast together; the dtype is input 0's, or bool. */
syn_status syn_infer_broadcast(syn_op_call *call, syn_meta *metas);
syn_status syn_infer_compare(syn_op_call *call, syn_meta *metas);
/* `dim` counted from the end if negative, checked against ndim (a 0-d tensor counts as 1-d). */
syn_status syn_infer_dim(const syn_op_call *call, int64_t dim, int ndim, int *dim_out);

/* ---- Running element-wise kernels: output 0 and all inputs, broadcast ---- */

/* Operand 0 is the output, the others the inputs, broadcast to it; simplified. */
void syn_strided_of(syn_strided *it, const syn_tensor *output, syn_tensor *const *inputs, int n);
/* kernels: one a dtype of the (promoted) inputs. params: what the kernel reads beside its operands,
 * or NULL. */
syn_status syn_run_map(syn_op_call *call, const syn_map_fn *kernels, const double *params);

/* A number as an operand beside x: of x's dtype if that is floating; else a whole number counts as
 * an integer. */
syn_tensor *syn_number_for(const syn_tensor *x, double value);

/* ---- Calls of one to four tensors without other arguments ---- */

static inline syn_tensor *syn_call1(const syn_op *op, syn_tensor *a)
{
    return syn_call(op, &a, 1, NULL, 0);
}

static inline syn_tensor *syn_call2(const syn_op *op, syn_tensor *a, syn_tensor *b)
{
    return syn_call(op, (syn_tensor *[]){a, b}, 2, NULL, 0);
}

static inline syn_tensor *syn_call3(const syn_op *op, syn_tensor *a, syn_tensor *b, syn_tensor *c)
{
    return syn_call(op, (syn_tensor *[]){a, b, c}, 3, NULL, 0);
}

#endif
