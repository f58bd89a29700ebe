/* Scaled dot-product attention: o = dropout(softmax(q k' * scale + causal mask)) v for each batch
 * and head. */
#ifndef WORKER_KERNELS_ATTENTION_H
#define WORKER_KERNELS_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

/* Steps between batches, heads and positions in elements; the elements of one position are
 * adjacent. */
typedef struct syn_attention_strides {
    int64_t batch, head, position;
} syn_attention_strides;

typedef struct syn_attention_dims {
    int64_t batch, heads, n_queries, n_keys, head_dim;
    syn_attention_strides q, k, v, o; /* gradients lie as the arrays they belong to */
    double scale;
    bool causal; /* query i sees keys 0..i */
} syn_attention_dims;

/* probs is (batch, heads, n_queries, n_keys), dense: the softmax, kept for the backward pass.
 * dropout is NULL or of the same shape and type: the factors 0 or 1 / (1 - p). */
typedef struct syn_attention_forward {
    const void *q, *k, *v, *dropout;
    void *o, *probs;
} syn_attention_forward;

typedef struct syn_attention_backward {
    const void *q, *k, *v, *dropout, *probs, *grad_o;
    void *grad_q, *grad_k, *grad_v;
} syn_attention_backward;

typedef struct syn_attention_kernels {
    syn_status (*forward)(const syn_attention_dims *dims, const syn_attention_forward *a);
    syn_status (*backward)(const syn_attention_dims *dims, const syn_attention_backward *a);
} syn_attention_kernels;

extern const syn_attention_kernels syn_attention_ref[];
extern const syn_attention_kernels syn_attention_cpu[];

#endif
