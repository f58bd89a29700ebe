/* Shape rules and the running of element-wise kernels, shared by operator blocks. */
#include "worker/ops/op_internal.h"

#include <string.h>

syn_status syn_infer_like(syn_op_call *call, syn_meta *metas)
{
    syn_meta_like(&metas[0], call->inputs[0]);
    return SYN_OK;
}

/* The broadcast shape of all inputs (NumPy's rule: aligned at the last axis, extents equal or 1).
 */
static syn_status broadcast(const syn_op_call *call, int first, syn_shape *shape)
{
    const syn_tensor *a = call->inputs[first];
    shape->ndim = a->ndim;
    memcpy(shape->dims, a->dims, (size_t)a->ndim * sizeof *a->dims);
    for (int i = first + 1; i < call->n_inputs; i++) {
        const syn_tensor *x = call->inputs[i];
        if (!x)
            continue;
        int lead = x->ndim - shape->ndim;
        if (lead > 0) {
            memmove(shape->dims + lead, shape->dims, (size_t)shape->ndim * sizeof *shape->dims);
            memcpy(shape->dims, x->dims, (size_t)lead * sizeof *shape->dims);
            shape->ndim = x->ndim;
        }
        for (int d = 0; d < x->ndim; d++) {
            int64_t *extent = &shape->dims[shape->ndim - x->ndim + d];
            if (*extent == x->dims[d] || x->dims[d] == 1)
                continue;
            if (*extent != 1)
                return SYN_OP_FAIL(call, "extents %lld and %lld of axis %d do not broadcast",
                                   (long long)*extent, (long long)x->dims[d], d - x->ndim);
            *extent = x->dims[d];
        }
    }
    return SYN_OK;
}

/* The dtype of the last input: of those that were promoted in any operator that broadcasts. */
syn_status syn_infer_broadcast(syn_op_call *call, syn_meta *metas)
{
    metas[0].dtype = (syn_dtype)call->inputs[call->n_inputs - 1]->dtype;
    if (call->op->flags & SYN_OP_IN_PLACE) {
        const syn_tensor *target = call->inputs[0];
        syn_shape shape;
        SYN_TRY(broadcast(call, 0, &shape));
        bool is_same = shape.ndim == target->ndim;
        for (int d = 0; is_same && d < shape.ndim; d++)
            is_same = shape.dims[d] == target->dims[d];
        if (!is_same)
            return SYN_OP_FAIL(call, "the source does not broadcast to the target's shape");
        syn_meta_like(&metas[0], target);
        return SYN_OK;
    }
    return broadcast(call, 0, &metas[0].shape);
}

syn_status syn_infer_compare(syn_op_call *call, syn_meta *metas)
{
    metas[0].dtype = SYN_BOOL;
    return broadcast(call, 0, &metas[0].shape);
}

syn_status syn_infer_dim(const syn_op_call *call, int64_t dim, int ndim, int *dim_out)
{
    int64_t axes = ndim ? ndim : 1, from_start = dim < 0 ? dim + axes : dim;
    if (from_start < 0 || from_start >= axes)
        return SYN_OP_FAIL(call, "axis %lld is outside [%lld, %lld]", (long long)dim,
                           (long long)-axes, (long long)(axes - 1));
    *dim_out = (int)from_start;
    return SYN_OK;
}

/* ---- Element-wise kernels ---- */

static bool is_plain(const syn_tensor *x, const syn_tensor *output)
{
    return syn_same_shape(x, output) && syn_is_contiguous(x);
}

static void add_operand(syn_strided *it, const syn_tensor *x, const syn_tensor *output)
{
    int k = it->n_operands++, lead = output->ndim - x->ndim;
    int64_t size = (int64_t)syn_dtype_size((syn_dtype)x->dtype);
    it->data[k] = x->data;
    for (int d = 0; d < output->ndim; d++)
        it->strides[k][d] = d < lead || (x->dims[d - lead] == 1 && output->dims[d] != 1)
                                ? 0
                                : x->strides[d - lead] * size;
}

static void fill_plain(syn_strided *it, const syn_tensor *x)
{
    int k = it->n_operands++;
    it->data[k] = x->data;
    it->strides[k][0] = (int64_t)syn_dtype_size((syn_dtype)x->dtype);
}

void syn_strided_of(syn_strided *it, const syn_tensor *output, syn_tensor *const *inputs, int n)
{
    bool is_flat = syn_is_contiguous(output);
    for (int i = 0; i < n && is_flat; i++)
        is_flat = is_plain(inputs[i], output);
    it->n_operands = 0;
    if (is_flat) {
        it->ndim = 1;
        it->dims[0] = output->numel;
        fill_plain(it, output);
        for (int i = 0; i < n; i++)
            fill_plain(it, inputs[i]);
        return;
    }
    it->ndim = output->ndim;
    memcpy(it->dims, output->dims, (size_t)output->ndim * sizeof *output->dims);
    add_operand(it, output, output);
    for (int i = 0; i < n; i++)
        add_operand(it, inputs[i], output);
    syn_strided_simplify(it);
}

enum { SETTLE_MIN = 4096 };

/* Whether the elements lie across the output's: reading them row by row would touch a line of cache
 * for each. */
static bool lies_across(const syn_tensor *x, const syn_tensor *output)
{
    if (x->numel < SETTLE_MIN || x->ndim < 2 || !syn_same_shape(x, output))
        return false;
    int inner_x = 0, inner_output = 0; /* the axes of the least strides */
    for (int d = 0; d < x->ndim; d++) {
        if (x->strides[d] <= 0)
            return false;
        if (x->dims[d] > 1 && (x->strides[d] < x->strides[inner_x] || x->dims[inner_x] == 1))
            inner_x = d;
        if (x->dims[d] > 1 &&
            (output->strides[d] < output->strides[inner_output] || x->dims[inner_output] == 1))
            inner_output = d;
    }
    return inner_x != inner_output;
}

/* Inputs that lie across are copied first, which is done in tiles; `copies` are to be unref'd. */
static syn_status settle(const syn_op_call *call, syn_tensor **inputs, syn_tensor **copies)
{
    for (int i = 0; i < call->n_inputs; i++) {
        inputs[i] = call->inputs[i];
        copies[i] = NULL;
        if (!lies_across(inputs[i], call->outputs[0]) || inputs[i] == call->outputs[0] ||
            !syn_is_contiguous(call->outputs[0]))
            continue;
        copies[i] =
            syn_tensor_new_owned((syn_dtype)inputs[i]->dtype, inputs[i]->ndim, inputs[i]->dims);
        if (!copies[i])
            return SYN_RESOURCE_EXHAUSTED;
        syn_strided it;
        syn_strided_of(&it, copies[i], &inputs[i], 1);
        syn_kernels->copy->copy(&it, (syn_dtype)inputs[i]->dtype, (syn_dtype)inputs[i]->dtype);
        inputs[i] = copies[i];
    }
    return SYN_OK;
}

syn_status syn_run_map(syn_op_call *call, const syn_map_fn *kernels, const double *params)
{
    syn_strided it;
    syn_tensor *inputs[SYN_MAX_OPERANDS], *copies[SYN_MAX_OPERANDS] = {NULL};
    syn_dtype dtype = (syn_dtype)call->inputs[call->n_inputs - 1]->dtype;
    if (!kernels[dtype])
        return SYN_OP_FAIL(call, "there is no kernel for %s", syn_dtype_name(dtype));
    if (call->outputs[0]->numel < SETTLE_MIN || call->n_inputs == 1) {
        syn_strided_of(&it, call->outputs[0], call->inputs, call->n_inputs);
        kernels[dtype](&it, params);
        return SYN_OK;
    }
    syn_status status = settle(call, inputs, copies);
    if (status == SYN_OK) {
        syn_strided_of(&it, call->outputs[0], inputs, call->n_inputs);
        kernels[dtype](&it, params);
    }
    for (int i = 0; i < call->n_inputs; i++)
        syn_tensor_unref(copies[i]);
    return status;
}
