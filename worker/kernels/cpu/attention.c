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

#define SYN_BODY "worker/kernels/cpu/attention.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                            \
    {                                                          \
        .forward = forward_##type, .backward = backward_##type \
    }
const syn_attention_kernels syn_attention_cpu[] = {TABLE(f32), TABLE(f64)};

#else

#define VEC_EXP KERNEL(syn_vec_exp)

#include "worker/kernels/cpu/lanes.h"

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

/* c (m, n) = alpha a b; `extents` is m, n, k. */
static void KERNEL(multiply)(const int64_t extents[3], REAL alpha, KERNEL(matrix) a,
                             KERNEL(matrix) b, KERNEL(matrix) c)
{
    KERNEL(syn_gemm)
    (&(syn_gemm){.transpose_a = a.is_transposed,
                 .transpose_b = b.is_transposed,
                 .m = extents[0],
                 .n = extents[1],
                 .k = extents[2],
                 .lda = a.step,
                 .ldb = b.step,
                 .ldc = c.step,
                 .alpha = (double)alpha},
     a.data, b.data, c.data);
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

SYN_MULTIARCH static void KERNEL(product)(int64_t n, const REAL *a, const REAL *b, REAL *out)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

/* grad_p becomes the gradient of the unscaled scores: p (grad_p - sum(grad_p p)) scale. */
SYN_MULTIARCH static void KERNEL(softmax_rows_backward)(const syn_attention_dims *d, const REAL *p,
                                                        REAL *grad_p)
{
    REAL scale = (REAL)d->scale;
    for (int64_t i = 0; i < d->n_queries; i++, p += d->n_keys, grad_p += d->n_keys) {
        REAL sum = KERNEL(sum_of_products)(d->n_keys, grad_p, p, 0);
#pragma omp simd
        for (int64_t j = 0; j < d->n_keys; j++)
            grad_p[j] = p[j] * (grad_p[j] - sum) * scale;
    }
}

static syn_status KERNEL(forward_head)(const syn_attention_dims *d, const syn_attention_forward *a,
                                       int64_t at)
{
    int64_t b = at / d->heads, h = at % d->heads, n_scores = d->n_queries * d->n_keys;
    KERNEL(matrix) q = KERNEL(head_of)(a->q, d->q, b, h), k = KERNEL(head_of)(a->k, d->k, b, h);
    KERNEL(matrix) v = KERNEL(head_of)(a->v, d->v, b, h), o = KERNEL(head_of)(a->o, d->o, b, h);
    KERNEL(matrix) p = {(REAL *)a->probs + at * n_scores, d->n_keys, false};
    const int64_t scores[] = {d->n_queries, d->n_keys, d->head_dim};
    const int64_t output[] = {d->n_queries, d->head_dim, d->n_keys, false};
    KERNEL(multiply)(scores, (REAL)d->scale, q, KERNEL(transposed)(k), p);
    KERNEL(softmax_rows)(d, p.data);
    if (a->dropout) {
        REAL *kept = syn_workspace((size_t)n_scores * sizeof(REAL), "attention's dropout");
        if (!kept)
            return SYN_RESOURCE_EXHAUSTED;
        KERNEL(product)(n_scores, p.data, (const REAL *)a->dropout + at * n_scores, kept);
        p.data = kept;
    }
    KERNEL(multiply)(output, 1, p, v, o);
    return SYN_OK;
}

static syn_status KERNEL(backward_head)(const syn_attention_dims *d,
                                        const syn_attention_backward *a, int64_t at)
{
    int64_t b = at / d->heads, h = at % d->heads, n_scores = d->n_queries * d->n_keys;
    size_t size = syn_workspace_round((size_t)n_scores * sizeof(REAL));
    char *block = syn_workspace(2 * size, "attention's gradient");
    if (!block)
        return SYN_RESOURCE_EXHAUSTED;
    KERNEL(matrix) q = KERNEL(head_of)(a->q, d->q, b, h), k = KERNEL(head_of)(a->k, d->k, b, h);
    KERNEL(matrix) v = KERNEL(head_of)(a->v, d->v, b, h);
    KERNEL(matrix) grad_o = KERNEL(head_of)(a->grad_o, d->o, b, h);
    KERNEL(matrix) grad_q = KERNEL(head_of)(a->grad_q, d->q, b, h);
    KERNEL(matrix) grad_k = KERNEL(head_of)(a->grad_k, d->k, b, h);
    KERNEL(matrix) grad_v = KERNEL(head_of)(a->grad_v, d->v, b, h);
    KERNEL(matrix) p = {(REAL *)a->probs + at * n_scores, d->n_keys, false};
    KERNEL(matrix) grad_p = {(REAL *)(void *)block, d->n_keys, false};
    KERNEL(matrix) kept = p;
    const REAL *drop = a->dropout ? (const REAL *)a->dropout + at * n_scores : NULL;
    const int64_t scores[] = {d->n_queries, d->n_keys, d->head_dim};
    const int64_t by_query[] = {d->n_queries, d->head_dim, d->n_keys, false};
    const int64_t by_key[] = {d->n_keys, d->head_dim, d->n_queries};
    KERNEL(multiply)(scores, 1, grad_o, KERNEL(transposed)(v), grad_p);
    if (drop) {
        kept.data = (REAL *)(void *)(block + size);
        KERNEL(product)(n_scores, p.data, drop, kept.data);
        KERNEL(product)(n_scores, grad_p.data, drop, grad_p.data);
    }
    KERNEL(multiply)(by_key, 1, KERNEL(transposed)(kept), grad_o, grad_v);
    KERNEL(softmax_rows_backward)(d, p.data, grad_p.data);
    KERNEL(multiply)(by_query, 1, grad_p, k, grad_q);
    KERNEL(multiply)(by_key, 1, KERNEL(transposed)(grad_p), q, grad_k);
    return SYN_OK;
}

static syn_status KERNEL(forward)(const syn_attention_dims *d, const syn_attention_forward *a)
{
    int n_failed = 0;
#pragma omp parallel for schedule(static) reduction(+ : n_failed)
    for (int64_t at = 0; at < d->batch * d->heads; at++)
        n_failed += KERNEL(forward_head)(d, a, at) != SYN_OK;
    return n_failed ? syn_fail_memory(sizeof(REAL) * (size_t)(d->n_queries * d->n_keys),
                                      "attention's dropout")
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
