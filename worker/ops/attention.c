/* Scaled dot-product attention (Vaswani et al., 2017), of separate queries, keys and values or of
 * their packed projection. */
#include "worker/kernels/attention.h"
#include "worker/ops/spatial.h"
#include <math.h>

enum { Q, K, V, DROPOUT };

/* (B, heads, T, d) as rows of adjacent elements that do not overlap: itself or a copy. */
static syn_tensor *as_rows(syn_tensor *x)
{
    bool is_adjacent = x->strides[3] == 1 || x->dims[3] == 1;
    bool is_apart = x->strides[2] >= x->dims[3] && x->strides[2] <= INT32_MAX;
    return is_adjacent && is_apart ? x : syn_contiguous(x);
}

static syn_attention_strides strides_of(const syn_tensor *x)
{
    return (syn_attention_strides){x->strides[0], x->strides[1], x->strides[2]};
}

static const syn_attention_kernels *kernels_of(const syn_tensor *x)
{
    return &syn_kernels->attention[syn_real_index(x)];
}

static syn_status check_dropout(const syn_op_call *call, const syn_tensor *mask,
                                const int64_t dims[4])
{
    bool fits = !mask || mask->ndim == 4;
    for (int axis = 0; mask && fits && axis < 4; axis++)
        fits = mask->dims[axis] == dims[axis];
    return fits ? SYN_OK : SYN_OP_FAIL(call, "the dropout factors are not of the scores' shape");
}

/* ---- The gradient by operators, for those who differentiate it again ---- */

typedef struct attention_terms {
    syn_tensor *q, *k, *v, *dropout;
    double scale;
    bool causal;
} attention_terms;

static syn_tensor *transpose_last(syn_tensor *x)
{
    return syn_transpose(x, -2, -1);
}

static syn_tensor *probabilities(const attention_terms *t)
{
    syn_tensor *scores = syn_mul_scalar(syn_matmul(t->q, transpose_last(t->k)), t->scale);
    if (!scores)
        return NULL;
    if (t->causal) {
        syn_tensor *i = syn_unsqueeze(syn_arange(scores->dims[2], SYN_I64), 1);
        syn_tensor *is_seen = syn_le(syn_arange(scores->dims[3], SYN_I64), i);
        scores = syn_where(is_seen, scores,
                           syn_full(SYN_SCALAR, -(double)INFINITY, (syn_dtype)scores->dtype));
    }
    return syn_softmax(scores, -1);
}

static void gradients(const attention_terms *t, syn_tensor *grad, syn_tensor *out[3])
{
    syn_tensor *p = probabilities(t), *kept = t->dropout ? syn_mul(p, t->dropout) : p;
    out[V] = syn_matmul(transpose_last(kept), grad);
    syn_tensor *grad_p = syn_matmul(grad, transpose_last(t->v));
    grad_p = t->dropout ? syn_mul(grad_p, t->dropout) : grad_p;
    syn_tensor *sum = syn_sum_dims(syn_mul(grad_p, p), (const int[]){-1}, 1, true);
    syn_tensor *scores = syn_mul_scalar(syn_mul(p, syn_sub(grad_p, sum)), t->scale);
    out[Q] = syn_matmul(scores, t->k);
    out[K] = syn_matmul(transpose_last(scores), t->q);
}

/* ---- attention: q, k, v (B, heads, T, d) ---- */

static syn_status attention_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *q = call->inputs[Q], *k = call->inputs[K], *v = call->inputs[V];
    if (q->ndim != 4 || k->ndim != 4 || v->ndim != 4)
        return SYN_OP_FAIL(call, "query, key and value have to be (B, heads, T, d)");
    for (int axis = 0; axis < 4; axis++)
        if (k->dims[axis] != v->dims[axis] || (axis != 2 && k->dims[axis] != q->dims[axis]))
            return SYN_OP_FAIL(call, "query, key and value differ along axis %d", axis);
    const int64_t scores[] = {q->dims[0], q->dims[1], q->dims[2], k->dims[2]};
    SYN_TRY(check_dropout(call, call->inputs[DROPOUT], scores));
    syn_meta_like(&metas[0], q);
    syn_meta_set(&metas[1], (syn_dtype)q->dtype, 4, scores);
    return SYN_OK;
}

static syn_attention_dims attention_dims(const syn_tensor *q, const syn_tensor *k,
                                         const syn_tensor *v, bool causal)
{
    return (syn_attention_dims){.batch = q->dims[0],
                                .heads = q->dims[1],
                                .n_queries = q->dims[2],
                                .n_keys = k->dims[2],
                                .head_dim = q->dims[3],
                                .q = strides_of(q),
                                .k = strides_of(k),
                                .v = strides_of(v),
                                .scale = 1 / sqrt((double)q->dims[3]),
                                .causal = causal};
}

static syn_status attention_forward(syn_op_call *call)
{
    syn_tensor *x[3], *mask = call->inputs[DROPOUT], *o = call->outputs[0];
    for (int i = Q; i <= V; i++)
        if (!(x[i] = as_rows(call->inputs[i])))
            return syn_error_status();
    if (mask && !(mask = syn_contiguous(mask)))
        return syn_error_status();
    syn_attention_dims d = attention_dims(x[Q], x[K], x[V], call->attrs[0].i != 0);
    d.o = strides_of(o);
    return kernels_of(o)->forward(&d, &(syn_attention_forward){.q = x[Q]->data,
                                                               .k = x[K]->data,
                                                               .v = x[V]->data,
                                                               .dropout = mask ? mask->data : NULL,
                                                               .o = o->data,
                                                               .probs = call->outputs[1]->data});
}

static void attention_backward(syn_backward_call *call)
{
    syn_tensor *results[3];
    syn_tensor *const *x = call->inputs;
    if (syn_grad_is_enabled()) {
        attention_terms t = {
            x[Q], x[K], x[V], x[DROPOUT], 1 / sqrt((double)x[Q]->dims[3]), call->attrs[0].i != 0};
        gradients(&t, call->grad_outputs[0], results);
    } else {
        syn_outputs outputs = {results, 3, 0};
        syn_tensor *const inputs[] = {call->grad_outputs[0], x[Q], x[K], x[V], x[DROPOUT],
                                      call->outputs[1]};
        if (!syn_call_outputs(&syn_op_attention_backward, inputs, 6, call->attrs, 1, &outputs))
            return;
    }
    for (int i = Q; i <= V; i++)
        if (call->needs_grad[i])
            call->grad_inputs[i] = results[i];
}

static double attention_flops(const syn_op_call *call)
{
    const syn_tensor *q = call->inputs[Q], *k = call->inputs[K];
    return 4 * (double)(q->numel) * (double)k->dims[2];
}

const syn_op syn_op_attention = {
    .name = "attention",
    .doc = "softmax(q k' / sqrt(d)) v for (B, heads, T, d); is_causal hides later keys; dropout "
           "holds a factor for each probability.",
    SYN_ARGS(SYN_TENSOR("query"), SYN_TENSOR("key"), SYN_TENSOR("value"),
             SYN_OPTIONAL_TENSOR("dropout"),
             SYN_ARG_OR("is_causal", BOOL, SYN_FALLBACK_BOOL(false))),
    .n_outputs = 1,
    .n_extra = 1, /* the probabilities */
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_OUTPUT(1),
    .infer = attention_infer,
    .forward = attention_forward,
    .backward = attention_backward,
    .flops = attention_flops,
    SYN_SAMPLES("(2,2,3,4), (2,2,3,4), (2,2,3,4)",
                "(1,2,4,3), (1,2,4,3), (1,2,4,3), is_causal=true",
                "(2,1,2,3), (2,1,5,3), (2,1,5,3)"),
};

static syn_status attention_backward_infer(syn_op_call *call, syn_meta *metas)
{
    const syn_tensor *grad = call->inputs[0], *q = call->inputs[1], *p = call->inputs[5];
    if (q->ndim != 4 || p->ndim != 4 || !syn_same_shape(grad, q) ||
        p->numel != q->dims[0] * q->dims[1] * q->dims[2] * call->inputs[2]->dims[2])
        return SYN_OP_FAIL(call, "the gradient and the query differ in shape");
    for (int i = 0; i < 3; i++)
        syn_meta_like(&metas[i], call->inputs[1 + i]);
    return SYN_OK;
}

static syn_status attention_backward_forward(syn_op_call *call)
{
    syn_tensor *const *x = call->inputs, *const *out = call->outputs;
    syn_attention_dims d = attention_dims(x[1], x[2], x[3], call->attrs[0].i != 0);
    d.o = strides_of(x[0]);
    return kernels_of(x[0])->backward(&d,
                                      &(syn_attention_backward){.q = x[1]->data,
                                                                .k = x[2]->data,
                                                                .v = x[3]->data,
                                                                .dropout = x[4] ? x[4]->data : NULL,
                                                                .probs = x[5]->data,
                                                                .grad_o = x[0]->data,
                                                                .grad_q = out[0]->data,
                                                                .grad_k = out[1]->data,
                                                                .grad_v = out[2]->data});
}

const syn_op syn_op_attention_backward = {
    .name = "attention_backward",
    .doc = "The gradients of attention by query, key and value, in one pass.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("query"), SYN_TENSOR("key"), SYN_TENSOR("value"),
             SYN_OPTIONAL_TENSOR("dropout"), SYN_TENSOR("probabilities"),
             SYN_ARG_OR("is_causal", BOOL, SYN_FALLBACK_BOOL(false))),
    .n_outputs = 3,
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = attention_backward_infer,
    .forward = attention_backward_forward,
};

/* The factors 0 or 1 / (1 - p) of each probability, drawn from the thread's generator; NULL where
 * nothing is dropped. */
static syn_tensor *dropout_factors(syn_shape shape, syn_dtype dtype, double p, bool training)
{
    if (!training || p == 0)
        return NULL;
    syn_tensor *factors = NULL;
    SYN_NO_GRAD {
        factors = syn_dropout(syn_ones(shape, dtype), p, true);
    }
    return factors;
}

syn_tensor *syn_attention(syn_tensor *q, syn_tensor *k, syn_tensor *v, bool causal,
                          double dropout_p, bool training)
{
    if (!q || !k || !v)
        return NULL;
    syn_tensor *factors = NULL;
    if (training && dropout_p != 0 && q->ndim == 4 && k->ndim == 4) {
        syn_shape shape = SYN_SHAPE(q->dims[0], q->dims[1], q->dims[2], k->dims[2]);
        if (!(factors = dropout_factors(shape, (syn_dtype)q->dtype, dropout_p, training)))
            return NULL;
    }
    return syn_call(&syn_op_attention, (syn_tensor *[]){q, k, v, factors}, 4,
                    (const syn_value[]){SYN_BOOL_OF(causal)}, 1);
}

/* ---- attention_packed: qkv (B, T, 3C), heads side by side in each third -> (B, T, C); nothing is
 * copied ---- */

static syn_status packed_dims(const syn_op_call *call, const syn_tensor *qkv, int64_t heads,
                              syn_attention_dims *d)
{
    if (qkv->ndim != 3 || heads < 1 || qkv->dims[2] % (3 * heads))
        return SYN_OP_FAIL(call, "(B, T, 3 C) is needed, with C divisible by %lld heads",
                           (long long)heads);
    int64_t steps = qkv->dims[1], width = qkv->dims[2] / 3, head_dim = width / heads;
    syn_attention_strides packed = {steps * 3 * width, head_dim, 3 * width};
    *d = (syn_attention_dims){.batch = qkv->dims[0],
                              .heads = heads,
                              .n_queries = steps,
                              .n_keys = steps,
                              .head_dim = head_dim,
                              .q = packed,
                              .k = packed,
                              .v = packed,
                              .o = {steps * width, head_dim, width},
                              .scale = 1 / sqrt((double)head_dim)};
    return SYN_OK;
}

/* Where the queries, keys or values begin. */
static void *third(const syn_tensor *qkv, int which)
{
    size_t width = (size_t)(qkv->dims[2] / 3) * syn_dtype_size((syn_dtype)qkv->dtype);
    return (char *)qkv->data + (size_t)which * width;
}

static syn_status attention_packed_infer(syn_op_call *call, syn_meta *metas)
{
    syn_attention_dims d;
    const syn_tensor *qkv = call->inputs[0];
    SYN_TRY(packed_dims(call, qkv, call->attrs[0].i, &d));
    const int64_t scores[] = {d.batch, d.heads, d.n_queries, d.n_keys};
    SYN_TRY(check_dropout(call, call->inputs[1], scores));
    syn_meta_like(&metas[0], qkv);
    metas[0].shape.dims[2] /= 3;
    syn_meta_set(&metas[1], (syn_dtype)qkv->dtype, 4, scores);
    return SYN_OK;
}

static syn_status attention_packed_forward(syn_op_call *call)
{
    syn_attention_dims d;
    const syn_tensor *qkv = call->inputs[0], *mask = call->inputs[1];
    SYN_TRY(packed_dims(call, qkv, call->attrs[0].i, &d));
    d.causal = call->attrs[1].i != 0;
    return kernels_of(qkv)->forward(&d,
                                    &(syn_attention_forward){.q = third(qkv, Q),
                                                             .k = third(qkv, K),
                                                             .v = third(qkv, V),
                                                             .dropout = mask ? mask->data : NULL,
                                                             .o = call->outputs[0]->data,
                                                             .probs = call->outputs[1]->data});
}

/* (B, T, C) as (B, heads, T, d), and back. */
static syn_tensor *split_heads(syn_tensor *x, const syn_attention_dims *d)
{
    return syn_transpose(syn_reshape(x, SYN_SHAPE(d->batch, d->n_queries, d->heads, d->head_dim)),
                         1, 2);
}

static syn_tensor *join_heads(syn_tensor *x, const syn_attention_dims *d)
{
    return syn_reshape(syn_transpose(x, 1, 2),
                       SYN_SHAPE(d->batch, d->n_queries, d->heads * d->head_dim));
}

static syn_tensor *packed_by_operators(syn_backward_call *call)
{
    syn_attention_dims d;
    syn_tensor *qkv = call->inputs[0], *x[3], *out[3];
    syn_op_call forward = {.op = call->op, .inputs = call->inputs, .n_inputs = call->n_inputs};
    if (packed_dims(&forward, qkv, call->attrs[0].i, &d) != SYN_OK)
        return NULL;
    int64_t width = d.heads * d.head_dim;
    for (int i = Q; i <= V; i++)
        x[i] = split_heads(syn_slice(qkv, 2, i * width, (i + 1) * width, 1), &d);
    attention_terms t = {x[Q], x[K], x[V], call->inputs[1], d.scale, call->attrs[1].i != 0};
    gradients(&t, split_heads(call->grad_outputs[0], &d), out);
    for (int i = Q; i <= V; i++)
        if (!(out[i] = join_heads(out[i], &d)))
            return NULL;
    return syn_cat(out, 3, 2);
}

static void attention_packed_backward(syn_backward_call *call)
{
    if (!call->needs_grad[0])
        return;
    syn_tensor *const inputs[] = {call->grad_outputs[0], call->inputs[0], call->inputs[1],
                                  call->outputs[1]};
    call->grad_inputs[0] = syn_grad_is_enabled() ? packed_by_operators(call)
                                                 : syn_call(&syn_op_attention_packed_backward,
                                                            inputs, 4, call->attrs, 2);
}

static double attention_packed_flops(const syn_op_call *call)
{
    const syn_tensor *qkv = call->inputs[0];
    return 4 * (double)qkv->numel / 3 * (double)qkv->dims[1];
}

const syn_op syn_op_attention_packed = {
    .name = "attention_packed",
    .doc = "Self-attention of a packed projection (B, T, 3 C), queries, keys and values side by "
           "side -> (B, T, C).",
    SYN_ARGS(SYN_TENSOR("qkv"), SYN_OPTIONAL_TENSOR("dropout"), SYN_ARG("n_heads", INT),
             SYN_ARG_OR("is_causal", BOOL, SYN_FALLBACK_BOOL(false))),
    .n_outputs = 1,
    .n_extra = 1,
    .flags = SYN_OP_CONTIGUOUS,
    .dtypes = SYN_DTYPES_FLOAT,
    .saves = SYN_SAVE_INPUTS | SYN_SAVE_OUTPUT(1),
    .infer = attention_packed_infer,
    .forward = attention_packed_forward,
    .backward = attention_packed_backward,
    .flops = attention_packed_flops,
    SYN_SAMPLES("(2,3,12), n_heads=2", "(1,4,6), n_heads=1, is_causal=true"),
};

static syn_status attention_packed_backward_infer(syn_op_call *call, syn_meta *metas)
{
    syn_attention_dims d;
    const syn_tensor *grad = call->inputs[0], *qkv = call->inputs[1];
    SYN_TRY(packed_dims(call, qkv, call->attrs[0].i, &d));
    if (grad->numel * 3 != qkv->numel ||
        call->inputs[3]->numel != d.batch * d.heads * d.n_queries * d.n_keys)
        return SYN_OP_FAIL(call, "the gradient is not of the output's shape");
    syn_meta_like(&metas[0], qkv);
    return SYN_OK;
}

static syn_status attention_packed_backward_forward(syn_op_call *call)
{
    syn_attention_dims d;
    const syn_tensor *qkv = call->inputs[1], *mask = call->inputs[2], *out = call->outputs[0];
    SYN_TRY(packed_dims(call, qkv, call->attrs[0].i, &d));
    d.causal = call->attrs[1].i != 0;
    return kernels_of(qkv)->backward(&d,
                                     &(syn_attention_backward){.q = third(qkv, Q),
                                                               .k = third(qkv, K),
                                                               .v = third(qkv, V),
                                                               .dropout = mask ? mask->data : NULL,
                                                               .probs = call->inputs[3]->data,
                                                               .grad_o = call->inputs[0]->data,
                                                               .grad_q = third(out, Q),
                                                               .grad_k = third(out, K),
                                                               .grad_v = third(out, V)});
}

const syn_op syn_op_attention_packed_backward = {
    .name = "attention_packed_backward",
    .doc = "The gradient of attention_packed by the packed projection.",
    SYN_ARGS(SYN_TENSOR("grad_output"), SYN_TENSOR("qkv"), SYN_OPTIONAL_TENSOR("dropout"),
             SYN_TENSOR("probabilities"), SYN_ARG("n_heads", INT),
             SYN_ARG_OR("is_causal", BOOL, SYN_FALLBACK_BOOL(false))),
    .flags = SYN_OP_CONTIGUOUS | SYN_OP_INTERNAL | SYN_OP_NO_GRAD,
    .dtypes = SYN_DTYPES_FLOAT,
    .infer = attention_packed_backward_infer,
    .forward = attention_packed_backward_forward,
};

syn_tensor *syn_attention_packed(syn_tensor *qkv, int64_t n_heads, bool causal, double dropout_p,
                                 bool training)
{
    if (!qkv)
        return NULL;
    syn_tensor *factors = NULL;
    if (training && dropout_p != 0 && qkv->ndim == 3) {
        syn_shape shape = SYN_SHAPE(qkv->dims[0], n_heads, qkv->dims[1], qkv->dims[1]);
        if (!(factors = dropout_factors(shape, (syn_dtype)qkv->dtype, dropout_p, training)))
            return NULL;
    }
    return syn_call(&syn_op_attention_packed, (syn_tensor *[]){qkv, factors}, 2,
                    (const syn_value[]){SYN_INT_OF(n_heads), SYN_BOOL_OF(causal)}, 2);
}
