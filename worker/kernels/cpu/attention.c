/* Attention by BLAS products, one head of one sample at a time, so that its scores stay in cache.
 */
#ifndef REAL
#include "worker/kernels/attention.h"
#include "common/base/mem.h"
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/gemm.h"
#include "worker/kernels/cpu/vec_math.h"
#include "worker/kernels/workspace.h"
#include <math.h>
#include <string.h>

/* Elements of the longest vectors. */
enum { VECTOR = 16 };

/* What a causal mask leaves of a product: columns up to the row's number, terms up to it, or terms
 * from it on. */
typedef enum mask_use { UNMASKED, COLUMNS_UP_TO_ROW, DEPTH_UP_TO_ROW, DEPTH_FROM_ROW } mask_use;

/* A product's extents, factor and mask. */
typedef struct extents {
    int64_t m, n, k;
    double alpha;
    mask_use mask;
} extents;

/* Keys or values of a head that tiles may read over and over. */
enum { CACHED_BYTES = 512 << 10 };

#define SYN_BODY "worker/kernels/cpu/attention.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                            \
    {                                                          \
        .forward = forward_##type, .backward = backward_##type \
    }
const syn_attention_kernels syn_attention_cpu[] = {TABLE(f32), TABLE(f64)};

#else

#define VEC_EXP KERNEL(syn_vec_exp_of_negative)

#include "worker/kernels/cpu/lanes.h"

#include "worker/kernels/cpu/tiles.h"

/* A matrix of one head: its first element, the step between its rows, and whether a product takes
 * it transposed. */
typedef struct KERNEL(matrix) {
    REAL *data;
    int64_t step;
    bool is_transposed;
} KERNEL(matrix);

static KERNEL(matrix)
    KERNEL(head_of)(const void *data, syn_attention_strides s, int64_t batch, int64_t head)
{
    return (KERNEL(matrix)){(REAL *)data + batch * s.batch + head * s.head, s.position, false};
}

static KERNEL(matrix) KERNEL(transposed)(KERNEL(matrix) m)
{
    m.is_transposed = true;
    return m;
}

static size_t KERNEL(room_bytes)(const syn_attention_dims *d)
{
    return syn_workspace_round((size_t)(d->n_keys * d->head_dim) * sizeof(REAL));
}

/* Whether our own tiles do: they know of the mask, but want whole vectors and operands in cache. */
static bool KERNEL(is_in_cache)(const syn_attention_dims *d)
{
    return d->head_dim % KERNEL(LANES) == 0 && d->n_keys % KERNEL(LANES) == 0 &&
           KERNEL(room_bytes)(d) <= CACHED_BYTES;
}

/* c (m, n) = alpha a b; `room` holds a transposed b, and is NULL for BLAS. */
static void KERNEL(multiply)(const extents *e, REAL *room, KERNEL(matrix) a, KERNEL(matrix) b,
                             KERNEL(matrix) c)
{
    if (!room) {
        KERNEL(syn_gemm)
        (&(syn_gemm){.transpose_a = a.is_transposed,
                     .transpose_b = b.is_transposed,
                     .m = e->m,
                     .n = e->n,
                     .k = e->k,
                     .lda = a.step,
                     .ldb = b.step,
                     .ldc = c.step,
                     .alpha = e->alpha},
         a.data, b.data, c.data);
        return;
    }
    if (b.is_transposed) {
        KERNEL(transpose)(e->n, e->k, b.data, b.step, room);
        b = (KERNEL(matrix)){room, e->n, false};
    }
    KERNEL(multiply_in_cache)
    (&(KERNEL(product)){.m = e->m,
                        .n = e->n,
                        .k = e->k,
                        .a = a.data,
                        .b = b.data,
                        .c = c.data,
                        .a_row = a.is_transposed ? 1 : a.step,
                        .a_column = a.is_transposed ? a.step : 1,
                        .b_row = b.step,
                        .c_row = c.step,
                        .alpha = (REAL)e->alpha,
                        .mask = e->mask});
}

/* Turns scores (n_queries, n_keys) into probabilities in place. Rows are walked in whole vectors,
 * and what the mask hides is replaced on the way: a rest of single elements would cost more than
 * the vectors. */
SYN_MULTIARCH static void KERNEL(softmax_rows)(const syn_attention_dims *d, REAL *scores)
{
    int32_t n_keys = (int32_t)d->n_keys;
    for (int64_t i = 0; i < d->n_queries; i++, scores += n_keys) {
        int32_t n = d->causal && i + 1 < n_keys ? (int32_t)i + 1 : n_keys;
        int32_t whole = (n + VECTOR - 1) / VECTOR * VECTOR;
        whole = whole < n_keys ? whole : n_keys;
#pragma omp simd
        for (int32_t j = n & -VECTOR; j < whole; j++)
            scores[j] = j < n ? scores[j] : -(REAL)INFINITY;
        REAL largest = KERNEL(max_of)(whole, scores);
#pragma omp simd
        for (int32_t j = 0; j < whole; j++)
            scores[j] = VEC_EXP(scores[j] - largest);
        REAL scale = 1 / KERNEL(sum_of)(whole, scores, scores, 0);
#pragma omp simd
        for (int32_t j = 0; j < whole; j++)
            scores[j] *= scale;
        if (whole < n_keys)
            memset(scores + whole, 0, (size_t)(n_keys - whole) * sizeof(REAL));
    }
}

SYN_MULTIARCH static void KERNEL(multiply_elements)(int64_t n, const REAL *a, const REAL *b,
                                                    REAL *out)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

/* grad_p becomes the gradient of the unscaled scores: p (grad_p - sum(grad_p p)) scale, and 0 where
 * the mask hides. */
SYN_MULTIARCH static void KERNEL(softmax_rows_backward)(const syn_attention_dims *d, const REAL *p,
                                                        REAL *grad_p)
{
    REAL scale = (REAL)d->scale;
    for (int64_t i = 0; i < d->n_queries; i++, p += d->n_keys, grad_p += d->n_keys) {
        int64_t n = d->causal && i + 1 < d->n_keys ? (i + VECTOR) / VECTOR * VECTOR : d->n_keys;
        n = n < d->n_keys ? n : d->n_keys;
        REAL sum = KERNEL(sum_of_products)(n, grad_p, p, 0);
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            grad_p[j] = p[j] * (grad_p[j] - sum) * scale;
        if (n < d->n_keys)
            memset(grad_p + n, 0, (size_t)(d->n_keys - n) * sizeof(REAL));
    }
}

static syn_status KERNEL(forward_head)(const syn_attention_dims *d, const syn_attention_forward *a,
                                       int64_t at)
{
    int64_t b = at / d->heads, h = at % d->heads, n_scores = d->n_queries * d->n_keys;
    size_t room_bytes = KERNEL(room_bytes)(d);
    char *block = syn_workspace(room_bytes + (size_t)n_scores * sizeof(REAL), "attention");
    if (!block)
        return SYN_RESOURCE_EXHAUSTED;
    REAL *room = KERNEL(is_in_cache)(d) ? (REAL *)(void *)block : NULL;
    KERNEL(matrix) q = KERNEL(head_of)(a->q, d->q, b, h), k = KERNEL(head_of)(a->k, d->k, b, h);
    KERNEL(matrix) v = KERNEL(head_of)(a->v, d->v, b, h), o = KERNEL(head_of)(a->o, d->o, b, h);
    KERNEL(matrix) p = {(REAL *)a->probs + at * n_scores, d->n_keys, false};
    mask_use columns = d->causal ? COLUMNS_UP_TO_ROW : UNMASKED;
    mask_use depth = d->causal ? DEPTH_UP_TO_ROW : UNMASKED;
    KERNEL(multiply)
    (&(extents){d->n_queries, d->n_keys, d->head_dim, d->scale, columns}, room, q,
     KERNEL(transposed)(k), p);
    KERNEL(softmax_rows)(d, p.data);
    if (a->dropout) {
        REAL *kept = (REAL *)(void *)(block + room_bytes);
        KERNEL(multiply_elements)(n_scores, p.data, (const REAL *)a->dropout + at * n_scores, kept);
        p.data = kept;
    }
    KERNEL(multiply)(&(extents){d->n_queries, d->head_dim, d->n_keys, 1, depth}, room, p, v, o);
    return SYN_OK;
}

static syn_status KERNEL(backward_head)(const syn_attention_dims *d,
                                        const syn_attention_backward *a, int64_t at)
{
    int64_t b = at / d->heads, h = at % d->heads, n_scores = d->n_queries * d->n_keys;
    size_t size = syn_workspace_round((size_t)n_scores * sizeof(REAL));
    char *block = syn_workspace(2 * size + KERNEL(room_bytes)(d), "attention's gradient");
    if (!block)
        return SYN_RESOURCE_EXHAUSTED;
    REAL *room = KERNEL(is_in_cache)(d) ? (REAL *)(void *)(block + 2 * size) : NULL;
    KERNEL(matrix) q = KERNEL(head_of)(a->q, d->q, b, h), k = KERNEL(head_of)(a->k, d->k, b, h);
    KERNEL(matrix) v = KERNEL(head_of)(a->v, d->v, b, h);
    KERNEL(matrix) grad_o = KERNEL(head_of)(a->grad_o, d->o, b, h);
    KERNEL(matrix) grad_q = KERNEL(head_of)(a->grad_q, d->q, b, h);
    KERNEL(matrix) grad_k = KERNEL(head_of)(a->grad_k, d->k, b, h);
    KERNEL(matrix) grad_v = KERNEL(head_of)(a->grad_v, d->v, b, h);
    KERNEL(matrix) p = {(REAL *)a->probs + at * n_scores, d->n_keys, false}, kept = p;
    KERNEL(matrix) grad_p = {(REAL *)(void *)block, d->n_keys, false};
    const REAL *drop = a->dropout ? (const REAL *)a->dropout + at * n_scores : NULL;
    bool causal = d->causal;
    const extents scores = {d->n_queries, d->n_keys, d->head_dim, 1,
                            causal ? COLUMNS_UP_TO_ROW : UNMASKED};
    const extents by_query = {d->n_queries, d->head_dim, d->n_keys, 1,
                              causal ? DEPTH_UP_TO_ROW : UNMASKED};
    const extents by_key = {d->n_keys, d->head_dim, d->n_queries, 1,
                            causal ? DEPTH_FROM_ROW : UNMASKED};
    KERNEL(multiply)(&scores, room, grad_o, KERNEL(transposed)(v), grad_p);
    if (drop) {
        kept.data = (REAL *)(void *)(block + size);
        KERNEL(multiply_elements)(n_scores, p.data, drop, kept.data);
        KERNEL(multiply_elements)(n_scores, grad_p.data, drop, grad_p.data);
    }
    KERNEL(multiply)(&by_key, room, KERNEL(transposed)(kept), grad_o, grad_v);
    KERNEL(softmax_rows_backward)(d, p.data, grad_p.data);
    KERNEL(multiply)(&by_query, room, grad_p, k, grad_q);
    KERNEL(multiply)(&by_key, room, KERNEL(transposed)(grad_p), q, grad_k);
    return SYN_OK;
}

static syn_status KERNEL(forward)(const syn_attention_dims *d, const syn_attention_forward *a)
{
    int n_failed = 0;
#pragma omp parallel for schedule(static) reduction(+ : n_failed)
    for (int64_t at = 0; at < d->batch * d->heads; at++)
        n_failed += KERNEL(forward_head)(d, a, at) != SYN_OK;
    return n_failed
               ? syn_fail_memory(sizeof(REAL) * (size_t)(d->n_queries * d->n_keys), "attention")
               : SYN_OK;
}

static syn_status KERNEL(backward)(const syn_attention_dims *d, const syn_attention_backward *a)
{
    int n_failed = 0;
#pragma omp parallel for schedule(static) reduction(+ : n_failed)
    for (int64_t at = 0; at < d->batch * d->heads; at++)
        n_failed += KERNEL(backward_head)(d, a, at) != SYN_OK;
    return n_failed ? syn_fail_memory(2 * sizeof(REAL) * (size_t)(d->n_queries * d->n_keys),
                                      "attention's gradient")
                    : SYN_OK;
}

#undef VEC_EXP
#endif
