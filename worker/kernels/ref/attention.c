/* Attention, one query at a time, in double. */
#ifndef REAL
#include "worker/kernels/attention.h"
#include "common/base/mem.h"
#include <math.h>

static int64_t element(syn_attention_strides s, int64_t batch, int64_t head, int64_t position)
{
    return batch * s.batch + head * s.head + position * s.position;
}

#define SYN_BODY "worker/kernels/ref/attention.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                            \
    {                                                          \
        .forward = forward_##type, .backward = backward_##type \
    }
const syn_attention_kernels syn_attention_ref[] = {TABLE(f32), TABLE(f64)};

#else

/* One query's probabilities p over the keys it sees, 0 for the others. */
static void KERNEL(query_softmax)(const syn_attention_dims *d, int64_t n_seen, const REAL *q,
                                  const REAL *k, REAL *p)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < d->n_keys; j++) {
        double score = 0;
        for (int64_t c = 0; c < d->head_dim; c++)
            score += (double)q[c] * (double)k[j * d->k.position + c];
        p[j] = j < n_seen ? (REAL)(score * d->scale) : -(REAL)INFINITY;
        largest = (double)p[j] > largest ? (double)p[j] : largest;
    }
    for (int64_t j = 0; j < d->n_keys; j++)
        sum += exp((double)p[j] - largest);
    for (int64_t j = 0; j < d->n_keys; j++)
        p[j] = (REAL)(exp((double)p[j] - largest) / sum);
}

static syn_status KERNEL(forward)(const syn_attention_dims *d, const syn_attention_forward *a)
{
    REAL *p = a->probs;
    const REAL *drop = a->dropout;
    for (int64_t b = 0; b < d->batch; b++)
        for (int64_t h = 0; h < d->heads; h++)
            for (int64_t i = 0; i < d->n_queries; i++, p += d->n_keys) {
                const REAL *q = (const REAL *)a->q + element(d->q, b, h, i);
                const REAL *k = (const REAL *)a->k + element(d->k, b, h, 0);
                const REAL *v = (const REAL *)a->v + element(d->v, b, h, 0);
                REAL *o = (REAL *)a->o + element(d->o, b, h, i);
                KERNEL(query_softmax)(d, d->causal ? i + 1 : d->n_keys, q, k, p);
                for (int64_t c = 0; c < d->head_dim; c++) {
                    double sum = 0;
                    for (int64_t j = 0; j < d->n_keys; j++)
                        sum += (double)(drop ? p[j] * drop[j] : p[j]) *
                               (double)v[j * d->v.position + c];
                    o[c] = (REAL)sum;
                }
                drop = drop ? drop + d->n_keys : drop;
            }
    return SYN_OK;
}

/* Adds one query's share to grad_k and grad_v, and writes its grad_q. ds_j = p_j (dp_j - sum_j p_j
 * dp_j) scale. */
static void KERNEL(query_backward)(const syn_attention_dims *d, const syn_attention_backward *a,
                                   const int64_t at[3], double *dp)
{
    int64_t b = at[0], h = at[1], i = at[2];
    const REAL *q = (const REAL *)a->q + element(d->q, b, h, i);
    const REAL *k = (const REAL *)a->k + element(d->k, b, h, 0);
    const REAL *v = (const REAL *)a->v + element(d->v, b, h, 0);
    const REAL *grad_o = (const REAL *)a->grad_o + element(d->o, b, h, i);
    REAL *grad_q = (REAL *)a->grad_q + element(d->q, b, h, i);
    REAL *grad_k = (REAL *)a->grad_k + element(d->k, b, h, 0);
    REAL *grad_v = (REAL *)a->grad_v + element(d->v, b, h, 0);
    int64_t row = ((b * d->heads + h) * d->n_queries + i) * d->n_keys;
    const REAL *p = (const REAL *)a->probs + row;
    const REAL *drop = a->dropout ? (const REAL *)a->dropout + row : NULL;
    double sum = 0;
    for (int64_t j = 0; j < d->n_keys; j++) {
        dp[j] = 0;
        for (int64_t c = 0; c < d->head_dim; c++)
            dp[j] += (double)grad_o[c] * (double)v[j * d->v.position + c];
        dp[j] *= (double)(drop ? drop[j] : 1);
        sum += dp[j] * (double)p[j];
    }
    for (int64_t c = 0; c < d->head_dim; c++)
        grad_q[c] = 0;
    for (int64_t j = 0; j < d->n_keys; j++) {
        double ds = (double)p[j] * (dp[j] - sum) * d->scale;
        for (int64_t c = 0; c < d->head_dim; c++) {
            grad_q[c] += (REAL)(ds * (double)k[j * d->k.position + c]);
            grad_k[j * d->k.position + c] += (REAL)(ds * (double)q[c]);
            grad_v[j * d->v.position + c] += (drop ? p[j] * drop[j] : p[j]) * grad_o[c];
        }
    }
}

static syn_status KERNEL(backward)(const syn_attention_dims *d, const syn_attention_backward *a)
{
    double *dp = syn_malloc((size_t)(d->n_keys + 1) * sizeof(*dp));
    if (!dp)
        return syn_fail_memory((size_t)(d->n_keys + 1) * sizeof(*dp), "attention's gradient");
    for (int64_t b = 0; b < d->batch; b++)
        for (int64_t h = 0; h < d->heads; h++) {
            for (int64_t j = 0; j < d->n_keys; j++)
                for (int64_t c = 0; c < d->head_dim; c++) {
                    ((REAL *)a->grad_k)[element(d->k, b, h, j) + c] = 0;
                    ((REAL *)a->grad_v)[element(d->v, b, h, j) + c] = 0;
                }
            for (int64_t i = 0; i < d->n_queries; i++)
                KERNEL(query_backward)(d, a, (const int64_t[]){b, h, i}, dp);
        }
    syn_free(dp);
    return SYN_OK;
}

#endif
