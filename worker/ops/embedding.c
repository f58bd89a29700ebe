/* Rows of a table by index. */
#include "worker/ops/op_internal.h"

#include <string.h>

static syn_status embedding_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *weight = call->inputs[0], *index = call->inputs[1];
    if (weight->ndim != 2)
        return SYN_OP_FAIL(call, "the table has %d axes, not 2", weight->ndim);
    if (index->ndim == SYN_MAX_DIMS)
        return SYN_OP_FAIL(call, "the index has too many axes");
    syn_meta_set(&metas[0], (syn_dtype)weight->dtype, index->ndim, index->dims);
    metas[0].shape.dims[metas[0].shape.ndim++] = weight->dims[1];
    return SYN_OK;
}

/* The index as dense 64-bit numbers within [0, n_rows); owned by the caller's scope. */
static syn_status check_index(const syn_op_call *call, syn_tensor *index, int64_t n_rows,
                              syn_tensor **dense_out)
{
    syn_tensor *dense = syn_contiguous(syn_to(index, SYN_I64));
    if (!dense)
        return syn_error_status();
    const int64_t *at = dense->data;
    for (int64_t i = 0; i < dense->numel; i++)
        if (at[i] < 0 || at[i] >= n_rows)
            return SYN_OP_FAIL(call, "index %lld (element %lld) is outside a table of %lld rows",
                               (long long)at[i], (long long)i, (long long)n_rows);
    *dense_out = dense;
    return SYN_OK;
}

static syn_status embedding_forward(syn_op_call *call)
{
    const syn_tensor *weight = call->inputs[0];
    syn_tensor *index = NULL;
    SYN_TRY(check_index(call, call->inputs[1], weight->dims[0], &index));
    syn_rows_args args = {.n_index = index->numel,
                          .n_rows = weight->dims[0],
                          .width = weight->dims[1],
                          .index = index->data,
                          .from = weight->data,
                          .to = call->outputs[0]->data};
    syn_kernels->index->take_rows(&args, syn_dtype_size((syn_dtype)weight->dtype));
    return SYN_OK;
}

static void embedding_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_call(&syn_op_embedding_backward,
                                    (syn_tensor *[]){call->grad_outputs[0], call->inputs[1]}, 2,
                                    &SYN_INT_OF(call->inputs[0]->dims[0]), 1);
}

const syn_op syn_op_embedding = {
    .name = "embedding",
    .doc = "Rows of weight by index.",
    SYN_ARGS(SYN_TENSOR("weight"), SYN_TENSOR_IN("indices", SYN_DTYPES_INDEX)),
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = embedding_infer,
    .forward = embedding_forward,
    .backward = embedding_backward,
    SYN_SAMPLES("(5,3), (4)i5", "(5,3), (2,2)i5", "(5,3), ()i5", "(5,3), (0)i5"),
};

syn_tensor *syn_embedding(syn_tensor *weight, syn_tensor *index)
{
    return syn_call2(&syn_op_embedding, weight, index);
}

/* ---- Backward: rows added up where they came from ---- */

static syn_status embedding_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *grad = call->inputs[0];
    int64_t dims[2] = {call->attrs[0].i, grad->ndim ? grad->dims[grad->ndim - 1] : 0};
    const syn_tensor *index = call->inputs[1];
    bool is_same = grad->ndim == index->ndim + 1;
    for (int d = 0; is_same && d < index->ndim; d++)
        is_same = grad->dims[d] == index->dims[d];
    if (!is_same)
        return SYN_OP_FAIL(call, "the gradient has to have the index's axes and one more");
    syn_meta_set(&metas[0], (syn_dtype)grad->dtype, 2, dims);
    return SYN_OK;
}

static syn_status embedding_backward_forward(syn_op_call *call)
{
    syn_tensor *table = call->outputs[0], *index = NULL;
    SYN_TRY(check_index(call, call->inputs[1], table->dims[0], &index));
    memset(table->data, 0, (size_t)table->numel * syn_dtype_size((syn_dtype)table->dtype));
    syn_rows_args args = {.n_index = index->numel,
                          .n_rows = table->dims[0],
                          .width = table->dims[1],
                          .index = index->data,
                          .from = call->inputs[0]->data,
                          .to = table->data};
    syn_kernels->index->add_rows[table->dtype](&args);
    return SYN_OK;
}

static void embedding_backward_backward(syn_backward_call *call)
{
    call->grad_inputs[0] = syn_embedding(call->grad_outputs[0], call->inputs[1]);
}

const syn_op syn_op_embedding_backward = {
    .name = "embedding_backward",
    .doc = "A table of num_weights rows to which the gradient's rows are added by index.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR_IN("indices", SYN_DTYPES_INDEX),
             SYN_ARG("num_weights", INT)),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(1),
    .infer = embedding_backward_infer,
    .forward = embedding_backward_forward,
    .backward = embedding_backward_backward,
    SYN_SAMPLES("(4,3), (4)i5, 5"),
};
