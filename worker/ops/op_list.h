/* The index of operators: each names the descriptor syn_op_<name> of one block in
 * worker/ops/<family>.c, once. */
#ifndef WORKER_OPS_OP_LIST_H
#define WORKER_OPS_OP_LIST_H

#define SYN_OP_LIST(X)                  \
    /* binary.c */                      \
    X(add)                              \
    X(sub)                              \
    X(mul)                              \
    X(div)                              \
    X(true_divide)                      \
    X(pow)                              \
    X(maximum)                          \
    X(minimum)                          \
    /* compare.c */                     \
    X(eq)                               \
    X(ne)                               \
    X(lt)                               \
    X(le)                               \
    X(gt)                               \
    X(ge)                               \
    X(where)                            \
    /* unary.c */                       \
    X(neg)                              \
    X(abs)                              \
    X(sign)                             \
    X(square)                           \
    X(exp)                              \
    X(log)                              \
    X(sqrt)                             \
    X(rsqrt)                            \
    X(reciprocal)                       \
    X(sin)                              \
    X(cos)                              \
    X(erf)                              \
    X(tanh)                             \
    X(sigmoid)                          \
    X(relu)                             \
    X(silu)                             \
    X(softplus)                         \
    X(tanh_backward)                    \
    X(sigmoid_backward)                 \
    X(relu_backward)                    \
    X(silu_backward)                    \
    X(softplus_backward)                \
    /* gelu.c */                        \
    X(gelu)                             \
    X(gelu_backward)                    \
    /* unary_scalar.c */                \
    X(leaky_relu)                       \
    X(leaky_relu_backward)              \
    X(clamp)                            \
    X(clamp_backward)                   \
    /* reduce.c */                      \
    X(sum)                              \
    X(mean)                             \
    X(amax)                             \
    X(amin)                             \
    X(argmax)                           \
    X(argmin)                           \
    /* view.c */                        \
    X(view)                             \
    X(reshape)                          \
    X(flatten)                          \
    X(permute)                          \
    X(transpose)                        \
    X(expand)                           \
    X(unsqueeze)                        \
    X(squeeze)                          \
    /* slice.c */                       \
    X(slice)                            \
    X(select)                           \
    X(slice_backward)                   \
    X(select_backward)                  \
    /* copy.c */                        \
    X(clone)                            \
    X(contiguous)                       \
    X(to)                               \
    X(cat)                              \
    X(stack)                            \
    /* inplace.c */                     \
    X(copy_)                            \
    X(fill_)                            \
    X(zero_)                            \
    X(add_)                             \
    X(mul_)                             \
    /* matmul.c */                      \
    X(matmul)                           \
    X(linear)                           \
    /* embedding.c */                   \
    X(embedding)                        \
    X(embedding_backward)               \
    /* random.c */                      \
    X(dropout_with_key)                 \
    X(dropout)                          \
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
    X(lstm_backward)                    \
    /* maths.c */                       \
    X(exp2)                             \
    X(expm1)                            \
    X(log2)                             \
    X(log10)                            \
    X(log1p)                            \
    X(tan)                              \
    X(sinh)                             \
    X(cosh)                             \
    X(asin)                             \
    X(acos)                             \
    X(atan)                             \
    X(asinh)                            \
    X(acosh)                            \
    X(atanh)                            \
    X(erfc)                             \
    X(floor)                            \
    X(ceil)                             \
    X(trunc)                            \
    X(round)                            \
    X(atan2)                            \
    X(copysign)                         \
    X(hypot)                            \
    X(logaddexp)                        \
    X(xlogy)                            \
    X(fmax)                             \
    X(fmin)                             \
    X(fmod)                             \
    X(remainder)                        \
    X(floor_divide)                     \
    X(trunc_divide)                     \
    X(bitwise_and)                      \
    X(bitwise_or)                       \
    X(bitwise_xor)                      \
    X(bitwise_left_shift)               \
    X(bitwise_right_shift)              \
    X(gcd)                              \
    /* pick.c */                        \
    X(index_select)                     \
    X(index_select_backward)            \
    X(flip)                             \
    X(roll)                             \
    X(repeat)                           \
    X(repeat_interleave)                \
    X(pad)                              \
    /* getitem.c */                     \
    X(nonzero)                          \
    X(__getitem__)                      \
    X(masked_select)                    \
    X(masked_fill)                      \
    /* create.c */                      \
    X(full)                             \
    X(full_like)                        \
    X(eye)                              \
    X(arange)                           \
    X(linspace)                         \
    X(type)                             \
    X(detach)                           \
    X(zeros)                            \
    X(ones)                             \
    X(empty)                            \
    X(zeros_like)                       \
    X(ones_like)                        \
    X(to_bool)                          \
    X(to_byte)                          \
    X(to_char)                          \
    X(to_short)                         \
    X(to_int)                           \
    X(to_long)                          \
    X(to_half)                          \
    X(to_bfloat16)                      \
    X(to_float)                         \
    X(to_double)                        \
    /* activation.c */                  \
    X(isclose)                          \
    X(lerp)                             \
    X(elu)                              \
    X(celu)                             \
    X(selu)                             \
    X(hardtanh)                         \
    X(relu6)                            \
    X(hardsigmoid)                      \
    X(hardswish)                        \
    X(mish)                             \
    X(softsign)                         \
    X(tanhshrink)                       \
    X(logsigmoid)                       \
    X(hardshrink)                       \
    X(softshrink)                       \
    X(threshold)                        \
    X(deg2rad)                          \
    X(rad2deg)                          \
    X(frac)                             \
    X(logit)                            \
    X(isnan)                            \
    X(isinf)                            \
    X(isfinite)                         \
    X(signbit)                          \
    X(bitwise_not)                      \
    X(logical_not)                      \
    /* dunder.c */                      \
    X(__invert__)                       \
    X(clip)                             \
    X(__pow__)                          \
    X(__rpow__)                         \
    X(__rsub__)                         \
    X(rsub)                             \
    X(__radd__)                         \
    X(__rmul__)                         \
    X(__rtruediv__)                     \
    X(__rdiv__)                         \
    X(__mod__)                          \
    X(__rmod__)                         \
    X(__floordiv__)                     \
    X(__rmatmul__)                      \
    X(__and__)                          \
    X(__or__)                           \
    X(__xor__)                          \
    X(__rand__)                         \
    X(__ror__)                          \
    X(__rxor__)                         \
    X(__lshift__)                       \
    X(__rshift__)                       \
    X(logical_and)                      \
    X(logical_or)                       \
    X(logical_xor)                      \
    /* gather.c */                      \
    X(gather)                           \
    X(scatter_with)                     \
    X(scatter_add)                      \
    X(scatter)                          \
    X(scatter_reduce)                   \
    /* order.c */                       \
    X(order)                            \
    X(sort)                             \
    X(argsort)                          \
    X(topk)                             \
    X(cummax)                           \
    X(cummin)                           \
    X(max)                              \
    X(min)

#endif
