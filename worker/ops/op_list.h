/* The index of operators: each names the descriptor syn_op_<name> of one block in
 * worker/ops/<family>.c, once. */
#ifndef WORKER_OPS_OP_LIST_H
#define WORKER_OPS_OP_LIST_H

#define SYN_OP_LIST(X)                  \
    /* binary.c */                      \
    X(mul)                              \
    /* conv.c */                        \
    X(conv2d)                           \
    X(conv2d_grad_input)                \
    X(conv2d_grad_weight)               \
    X(conv_transpose2d)                 \
    X(conv1d)                           \
    X(conv_transpose1d)                 \
    /* pool.c */                        \
    X(max_pool2d)                       \
    X(max_pool2d_with_indices)          \
    X(max_pool2d_backward)              \
    X(max_pool2d_gather)                \
    X(avg_pool2d)                       \
    X(avg_pool2d_backward)              \
    X(adaptive_avg_pool2d)              \
    X(adaptive_avg_pool2d_backward)     \
    X(max_pool1d)                       \
    X(avg_pool1d)                       \
    X(adaptive_avg_pool1d)              \
    /* interpolate.c */                 \
    X(resample2d)                       \
    X(resample2d_backward)              \
    X(interpolate)                      \
    /* norm.c */                        \
    X(layer_norm)                       \
    X(layer_norm_backward)              \
    X(group_norm)                       \
    X(group_norm_backward)              \
    /* batch_norm.c */                  \
    X(batch_norm)                       \
    X(batch_norm_backward)              \
    /* softmax.c */                     \
    X(softmax)                          \
    X(softmax_backward)                 \
    X(log_softmax)                      \
    X(log_softmax_backward)             \
    X(softmin)                          \
    /* cross_entropy.c */               \
    X(cross_entropy_rows)               \
    X(cross_entropy_rows_backward)      \
    X(cross_entropy)                    \
    X(nll_loss)                         \
    /* attention.c */                   \
    X(attention)                        \
    X(attention_backward)               \
    X(attention_packed)                 \
    X(attention_packed_backward)        \
    /* loss.c */                        \
    X(elementwise_loss)                 \
    X(elementwise_loss_backward)        \
    X(mse_loss)                         \
    X(l1_loss)                          \
    X(smooth_l1_loss)                   \
    X(huber_loss)                       \
    X(binary_cross_entropy_with_logits) \
    X(kl_div)                           \
    /* rnn.c */                         \
    X(lstm)                             \
    X(lstm_backward)

#endif
