/* Matrix products. */
#include "worker/ops/op_internal.h"

#include "common/base/mem.h"

#include <string.h>

/* ---- matmul ---- */

/* Operands as matrices: a 1-d left one is a row, a 1-d right one a column. */
typedef struct product {
    int64_t m, n, k;
    int n_batch_dims;
    int64_t batch[SYN_MAX_DIMS];
    int64_t a_batch[SYN_MAX_DIMS], b_batch[SYN_MAX_DIMS]; /* strides, 0 where broadcast */
    int64_t a_row, a_column, b_row, b_column;
} product;

static syn_status broadcast_batch(const syn_op_call *call, const syn_tensor *a, const syn_tensor *b,
                                  product *p)
{
    int na = a->ndim > 2 ? a->ndim - 2 : 0, nb = b->ndim > 2 ? b->ndim - 2 : 0;
    int n = na > nb ? na : nb;
    p->n_batch_dims = n;
    for (int d = 0; d < n; d++) {
        int ia = d - (n - na), ib = d - (n - nb);
        int64_t ea = ia < 0 ? 1 : a->dims[ia], eb = ib < 0 ? 1 : b->dims[ib];
        if (ea != eb && ea != 1 && eb != 1)
            return SYN_OP_FAIL(call, "batch extents %lld and %lld do not broadcast", (long long)ea,
                               (long long)eb);
        p->batch[d] = ea == 1 ? eb : ea;
        p->a_batch[d] = ia < 0 || ea == 1 ? 0 : a->strides[ia];
        p->b_batch[d] = ib < 0 || eb == 1 ? 0 : b->strides[ib];
    }
    return SYN_OK;
}

static syn_status product_of(const syn_op_call *call, const syn_tensor *a, const syn_tensor *b,
                             product *p)
{
    if (a->ndim == 0 || b->ndim == 0)
        return SYN_OP_FAIL(call, "both operands need at least one axis");
    int ra = a->ndim - 2, rb = b->ndim - 2;
    p->m = ra < 0 ? 1 : a->dims[ra];
    p->a_row = ra < 0 ? 0 : a->strides[ra];
    p->k = a->dims[a->ndim - 1];
    p->a_column = a->strides[a->ndim - 1];
    p->n = rb < 0 ? 1 : b->dims[b->ndim - 1];
    p->b_column = rb < 0 ? 0 : b->strides[b->ndim - 1];
    p->b_row = rb < 0 ? b->strides[0] : b->strides[rb];
    int64_t inner = rb < 0 ? b->dims[0] : b->dims[rb];
    if (p->k != inner)
        return SYN_OP_FAIL(call, "inner extents %lld and %lld differ", (long long)p->k,
                           (long long)inner);
    return broadcast_batch(call, a, b, p);
}

static syn_status matmul_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *a = call->inputs[0], *b = call->inputs[1];
    product p;
    SYN_TRY(product_of(call, a, b, &p));
    syn_meta_set(&metas[0], (syn_dtype)a->dtype, p.n_batch_dims, p.batch);
    if (a->ndim > 1)
        metas[0].shape.dims[metas[0].shape.ndim++] = p.m;
    if (b->ndim > 1)
        metas[0].shape.dims[metas[0].shape.ndim++] = p.n;
    return SYN_OK;
}

/* Batches of a that lie one behind the other with a single b are one tall matrix. */
static void fold_batch(product *p)
{
    while (p->n_batch_dims > 0) {
        int last = p->n_batch_dims - 1;
        bool can_fold = p->b_batch[last] == 0 &&
                        (p->a_batch[last] == p->m * p->a_row || p->batch[last] == 1 || p->m == 1);
        if (!can_fold)
            return;
        if (p->m == 1 && p->batch[last] != 1)
            p->a_row = p->a_batch[last];
        p->m *= p->batch[last];
        p->n_batch_dims--;
    }
}

static int64_t magnitude(int64_t stride)
{
    return stride < 0 ? -stride : stride;
}

/* BLAS wants rows or columns that are adjacent. */
static bool has_adjacent(int64_t rows, int64_t columns, int64_t row, int64_t column)
{
    return (column == 1 && magnitude(row) >= columns && row > 0) ||
           (row == 1 && magnitude(column) >= rows && column > 0) || rows * columns <= 1 ||
           (columns == 1 && row > 0) || (rows == 1 && column > 0);
}

/* The last axis of the batch goes to the kernel, the others are walked here. */
static void run_batches(const product *p, syn_matmul_args *args, size_t size, syn_matmul_fn kernel)
{
    int last = p->n_batch_dims - 1;
    int64_t outer = 1, index[SYN_MAX_DIMS] = {0};
    const char *a = args->a, *b = args->b;
    char *c = args->c;
    args->n_batch = last < 0 ? 1 : p->batch[last];
    args->a_batch = last < 0 ? 0 : p->a_batch[last];
    args->b_batch = last < 0 ? 0 : p->b_batch[last];
    args->c_batch = p->m * p->n;
    for (int d = 0; d < last; d++)
        outer *= p->batch[d];
    for (int64_t i = 0; i < outer; i++) {
        int64_t at_a = 0, at_b = 0;
        for (int d = 0; d < last; d++) {
            at_a += index[d] * p->a_batch[d];
            at_b += index[d] * p->b_batch[d];
        }
        args->a = a + at_a * (int64_t)size;
        args->b = b + at_b * (int64_t)size;
        args->c = c + i * args->n_batch * args->c_batch * (int64_t)size;
        kernel(args);
        for (int d = last - 1; d >= 0 && ++index[d] == p->batch[d]; d--)
            index[d] = 0;
    }
}

static syn_status run_product(const syn_op_call *call, syn_tensor *a, syn_tensor *b,
                              syn_tensor *bias)
{
    product p;
    syn_tensor *out = call->outputs[0];
    syn_matmul_fn kernel = syn_kernels->matmul->matmul[a->dtype];
    SYN_TRY(product_of(call, a, b, &p));
    if (!has_adjacent(p.m, p.k, p.a_row, p.a_column)) {
        if (!(a = syn_clone(a)))
            return syn_error_status();
        SYN_TRY(product_of(call, a, b, &p));
    }
    if (!has_adjacent(p.k, p.n, p.b_row, p.b_column)) {
        if (!(b = syn_clone(b)))
            return syn_error_status();
        SYN_TRY(product_of(call, a, b, &p));
    }
    if (bias && !(bias = syn_contiguous(bias)))
        return syn_error_status();
    fold_batch(&p);
    syn_matmul_args args = {.m = p.m,
                            .n = p.n,
                            .k = p.k,
                            .a = a->data,
                            .b = b->data,
                            .bias = bias ? bias->data : NULL,
                            .c = out->data,
                            .a_row = p.a_row,
                            .a_column = p.a_column,
                            .b_row = p.b_row,
                            .b_column = p.b_column,
                            .c_row = p.n};
    run_batches(&p, &args, syn_dtype_size((syn_dtype)out->dtype), kernel);
    return SYN_OK;
}

/* What forward calls besides its kernel is no part of the graph. */
static syn_status product_without_graph(const syn_op_call *call, syn_tensor *a, syn_tensor *b,
                                        syn_tensor *bias)
{
    int was = syn_grad_enable(0);
    syn_status status = run_product(call, a, b, bias);
    (void)syn_grad_enable(was);
    return status;
}

static syn_status matmul_forward(syn_op_call *call)
{
    return product_without_graph(call, call->inputs[0], call->inputs[1], NULL);
}

/* (rows, columns) of all leading axes together. */
static syn_tensor *as_matrix(syn_tensor *x)
{
    return !x || x->ndim == 2 ? x : syn_reshape(x, SYN_SHAPE(-1, x->dims[x->ndim - 1]));
}

static syn_tensor *transposed(syn_tensor *x)
{
    return syn_transpose(x, -2, -1);
}

static void matmul_backward(syn_backward_call *call)
{
    syn_tensor *a = call->inputs[0], *b = call->inputs[1], *grad = call->grad_outputs[0];
    int a_dims = a->ndim, b_dims = b->ndim;
    if (b_dims == 1)
        grad = syn_unsqueeze(grad, -1);
    if (a_dims == 1)
        grad = syn_unsqueeze(grad, -2);
    if (call->needs_grad[0]) {
        syn_tensor *b_row = b_dims == 1 ? syn_unsqueeze(b, 0) : transposed(b);
        syn_tensor *grad_a = syn_matmul(grad, b_row);
        call->grad_inputs[0] = a_dims == 1 ? syn_squeeze(grad_a, -2) : grad_a;
    }
    if (!call->needs_grad[1])
        return;
    syn_tensor *grad_b;
    if (a_dims > 2 && b_dims <= 2) /* one tall product instead of a sum over batches */
        grad_b = syn_matmul(transposed(as_matrix(a)), as_matrix(grad));
    else
        grad_b = syn_matmul(a_dims == 1 ? syn_unsqueeze(a, 1) : transposed(a), grad);
    call->grad_inputs[1] = b_dims == 1 ? syn_squeeze(grad_b, -1) : grad_b;
}

static double matmul_flops(const syn_op_call *call)
{
    const syn_tensor *a = call->inputs[0];
    return 2.0 * (double)call->outputs[0]->numel * (double)a->dims[a->ndim - 1];
}

const syn_op syn_op_matmul = {
    .name = "matmul",
    .doc = "Matrix products, the leading axes broadcast; 1-d operands are vectors.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("other")),
    .dtypes = SYN_DTYPES_INTEGER | SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_CROSS,
    .infer = matmul_infer,
    .forward = matmul_forward,
    .backward = matmul_backward,
    .flops = matmul_flops,
    SYN_SAMPLES("(2,3), (3,4)", "(2,2,3), (3,4)", "(2,2,3), (2,3,2)", "(2,1,2,3), (3,3,2)",
                "(3), (3)", "(2,3), (3)", "(3), (3,2)", "(2,2,3), (3)", "(3), (2,3,2)",
                "(0,3), (3,2)", "(2,0), (0,3)", "(20,30), (30,17)"),
};

syn_tensor *syn_matmul(syn_tensor *a, syn_tensor *b)
{
    return syn_call2(&syn_op_matmul, a, b);
}

/* ---- linear ---- */

static syn_status linear_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *x = call->inputs[0], *weight = call->inputs[1], *bias = call->inputs[2];
    if (x->ndim == 0 || weight->ndim != 2)
        return SYN_OP_FAIL(call, "the weight has 2 axes and the input at least 1");
    if (x->dims[x->ndim - 1] != weight->dims[1])
        return SYN_OP_FAIL(call, "the input has %lld features, the weight takes %lld",
                           (long long)x->dims[x->ndim - 1], (long long)weight->dims[1]);
    if (bias && (bias->ndim != 1 || bias->dims[0] != weight->dims[0]))
        return SYN_OP_FAIL(call, "the bias has to have the weight's %lld outputs",
                           (long long)weight->dims[0]);
    syn_meta_like(&metas[0], x);
    metas[0].shape.dims[x->ndim - 1] = weight->dims[0];
    return SYN_OK;
}

static syn_status linear_forward(syn_op_call *call)
{
    const syn_tensor *weight = call->inputs[1];
    syn_tensor *flipped =
        syn_tensor_view_of(weight, 2, (int64_t[]){weight->dims[1], weight->dims[0]},
                           (int64_t[]){weight->strides[1], weight->strides[0]}, 0);
    if (!flipped)
        return SYN_RESOURCE_EXHAUSTED;
    syn_status status = product_without_graph(call, call->inputs[0], flipped, call->inputs[2]);
    syn_tensor_unref(flipped);
    return status;
}

static void linear_backward(syn_backward_call *call)
{
    syn_tensor *x = call->inputs[0], *weight = call->inputs[1], *grad = call->grad_outputs[0];
    if (call->needs_grad[0])
        call->grad_inputs[0] = syn_matmul(grad, weight);
    if (call->needs_grad[1] && x->ndim == 1)
        call->grad_inputs[1] = syn_matmul(syn_unsqueeze(grad, 1), syn_unsqueeze(x, 0));
    else if (call->needs_grad[1])
        call->grad_inputs[1] = syn_matmul(transposed(as_matrix(grad)), as_matrix(x));
    if (call->inputs[2] && call->needs_grad[2])
        call->grad_inputs[2] = grad; /* summed over the leading axes as any broadcast */
}

static double linear_flops(const syn_op_call *call)
{
    return 2.0 * (double)call->outputs[0]->numel * (double)call->inputs[1]->dims[1];
}

const syn_op syn_op_linear = {
    .name = "linear",
    .doc = "input times the transposed weight, plus the bias.",
    SYN_ARGS(SYN_TENSOR("input"), SYN_TENSOR("weight"), SYN_OPTIONAL_TENSOR("bias")),
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUT(0) | SYN_SAVE_INPUT(1),
    .infer = linear_infer,
    .forward = linear_forward,
    .backward = linear_backward,
    .flops = linear_flops,
    SYN_SAMPLES("(4,3), (2,3), (2)", "(2,2,3), (4,3), (4)", "(3), (2,3), (2)", "(4,3), (2,3), none",
                "(0,3), (2,3), (2)"),
};

syn_tensor *syn_linear_op(syn_tensor *x, syn_tensor *weight, syn_tensor *bias)
{
    return syn_call3(&syn_op_linear, x, weight, bias);
}
