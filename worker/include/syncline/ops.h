/* Tensor expressions under PyTorch's names. Each returns a scope-owned tensor, or NULL with the
 * sticky error set. Shapes broadcast and dtypes promote as in NumPy/PyTorch; every floating
 * expression is differentiable. */
#ifndef SYNCLINE_OPS_H
#define SYNCLINE_OPS_H

#include <syncline/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Element-wise, binary. */
syn_tensor *syn_add(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_sub(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_mul(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_div(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_pow(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_maximum(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_minimum(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_eq(syn_tensor *a, syn_tensor *b); /* comparisons give bool tensors, no gradient */
syn_tensor *syn_ne(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_lt(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_le(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_gt(syn_tensor *a, syn_tensor *b);
syn_tensor *syn_ge(syn_tensor *a, syn_tensor *b);
/* With a number: the tensor's dtype category decides, as in PyTorch. */
syn_tensor *syn_add_scalar(syn_tensor *a, double b);
syn_tensor *syn_mul_scalar(syn_tensor *a, double b);
syn_tensor *syn_pow_scalar(syn_tensor *a, double b);
/* condition ? a : b; condition is bool. */
syn_tensor *syn_where(syn_tensor *condition, syn_tensor *a, syn_tensor *b);

/* Element-wise, unary. */
syn_tensor *syn_neg(syn_tensor *x);
syn_tensor *syn_abs(syn_tensor *x);
syn_tensor *syn_sign(syn_tensor *x);
syn_tensor *syn_exp(syn_tensor *x);
syn_tensor *syn_log(syn_tensor *x);
syn_tensor *syn_sqrt(syn_tensor *x);
syn_tensor *syn_rsqrt(syn_tensor *x);
syn_tensor *syn_reciprocal(syn_tensor *x);
syn_tensor *syn_square(syn_tensor *x);
syn_tensor *syn_sin(syn_tensor *x);
syn_tensor *syn_cos(syn_tensor *x);
syn_tensor *syn_erf(syn_tensor *x);
syn_tensor *syn_tanh(syn_tensor *x);
syn_tensor *syn_sigmoid(syn_tensor *x);
syn_tensor *syn_relu(syn_tensor *x);
syn_tensor *syn_gelu(syn_tensor *x); /* the erf form */
syn_tensor *syn_silu(syn_tensor *x);
syn_tensor *syn_softplus(syn_tensor *x); /* beta 1, threshold 20 */
syn_tensor *syn_leaky_relu(syn_tensor *x, double slope);
syn_tensor *syn_clamp(syn_tensor *x, double low, double high);
/* Converts the dtype (a copy unless it already is of that dtype). */
syn_tensor *syn_to(syn_tensor *x, syn_dtype dtype);

/* Reductions. `dims` may be negative; n_dims 0 means all axes. keepdim keeps them with extent 1. */
syn_tensor *syn_sum_dims(syn_tensor *x, const int *dims, int n_dims, bool keepdim);
syn_tensor *syn_mean_dims(syn_tensor *x, const int *dims, int n_dims, bool keepdim);
syn_tensor *syn_sum(syn_tensor *x);
syn_tensor *syn_mean(syn_tensor *x);
syn_tensor *syn_amax(syn_tensor *x, int dim, bool keepdim);
syn_tensor *syn_argmax(syn_tensor *x, int dim); /* i64, first on ties */

/* Views and shapes. reshape and flatten copy only where no view exists. -1 in a shape is inferred.
 */
syn_tensor *syn_reshape(syn_tensor *x, syn_shape shape);
syn_tensor *syn_flatten(syn_tensor *x, int start_dim);
syn_tensor *syn_transpose(syn_tensor *x, int dim0, int dim1);
syn_tensor *syn_permute(syn_tensor *x, const int *dims, int n_dims);
syn_tensor *syn_expand(syn_tensor *x, syn_shape shape);
syn_tensor *syn_slice(syn_tensor *x, int dim, int64_t start, int64_t stop, int64_t step);
syn_tensor *syn_select(syn_tensor *x, int dim, int64_t index);
syn_tensor *syn_unsqueeze(syn_tensor *x, int dim);
syn_tensor *syn_squeeze(syn_tensor *x, int dim);
syn_tensor *syn_contiguous(syn_tensor *x);
syn_tensor *syn_clone(syn_tensor *x);
syn_tensor *syn_cat(syn_tensor *const *tensors, int n, int dim);
syn_tensor *syn_stack(syn_tensor *const *tensors, int n, int dim);

/* Matrix products: (..., m, k) x (..., k, n), broadcasting the leading axes; 1-d operands as in
 * torch.matmul. */
syn_tensor *syn_matmul(syn_tensor *a, syn_tensor *b);
/* x (..., in) times weight (out, in) transposed plus bias (out) or NULL. */
syn_tensor *syn_linear_op(syn_tensor *x, syn_tensor *weight, syn_tensor *bias);

/* Convolution and pooling on (N, C, H, W). weight (out, in / groups, kh, kw); transposed: (in, out
 * / groups, kh, kw). */
typedef struct syn_conv_options {
    int64_t stride[2], padding[2], dilation[2]; /* 0 in stride or dilation means 1 */
    int64_t output_padding[2];                  /* transposed only */
    int64_t groups;                             /* 0 means 1 */
} syn_conv_options;
syn_tensor *syn_conv2d(syn_tensor *x, syn_tensor *weight, syn_tensor *bias,
                       syn_conv_options options);
syn_tensor *syn_conv_transpose2d(syn_tensor *x, syn_tensor *weight, syn_tensor *bias,
                                 syn_conv_options options);
typedef struct syn_pool_options {
    int64_t kernel[2], stride[2], padding[2]; /* stride 0 means the kernel's extent */
} syn_pool_options;
syn_tensor *syn_max_pool2d(syn_tensor *x, syn_pool_options options);
syn_tensor *syn_avg_pool2d(syn_tensor *x,
                           syn_pool_options options); /* padding counts, as PyTorch's default */
syn_tensor *syn_adaptive_avg_pool2d(syn_tensor *x, int64_t height, int64_t width);
typedef enum syn_interpolate_mode { SYN_NEAREST, SYN_BILINEAR } syn_interpolate_mode;
/* To (height, width); align_corners for bilinear as in PyTorch. */
syn_tensor *syn_interpolate2d(syn_tensor *x, int64_t height, int64_t width,
                              syn_interpolate_mode mode, bool align_corners);

/* Normalisation. weight and bias may be NULL. */
syn_tensor *syn_layer_norm(syn_tensor *x, int n_dims, syn_tensor *weight, syn_tensor *bias,
                           double eps);
syn_tensor *syn_group_norm(syn_tensor *x, int64_t groups, syn_tensor *weight, syn_tensor *bias,
                           double eps);
/* In training, normalises by the batch and updates running_mean/running_var (unbiased) in place;
 * else uses them. */
syn_tensor *syn_batch_norm(syn_tensor *x, syn_tensor *weight, syn_tensor *bias,
                           syn_tensor *running_mean, syn_tensor *running_var, bool training,
                           double momentum, double eps);

syn_tensor *syn_softmax(syn_tensor *x, int dim);
syn_tensor *syn_log_softmax(syn_tensor *x, int dim);
/* Keeps each element with probability 1-p, scaled by 1/(1-p), drawn from the thread's generator; x
 * itself if !training. */
syn_tensor *syn_dropout(syn_tensor *x, double p, bool training);
/* Rows of weight (n, d) by index (i64, i32 or u8, any shape) -> index.shape + (d). */
syn_tensor *syn_embedding(syn_tensor *weight, syn_tensor *index);
/* q, k, v (B, heads, T, d) -> (B, heads, T, d); scale 1/sqrt(d); causal masks keys after the query.
 */
syn_tensor *syn_attention(syn_tensor *q, syn_tensor *k, syn_tensor *v, bool causal,
                          double dropout_p, bool training);
/* The same for a packed projection qkv (B, T, 3 C), heads side by side in each third -> (B, T, C):
 * no copies. */
syn_tensor *syn_attention_packed(syn_tensor *qkv, int64_t n_heads, bool causal, double dropout_p,
                                 bool training);
/* One layer, batch first: x (B, T, in), zero initial state, gates in PyTorch's order i f g o -> (B,
 * T, hidden). */
syn_tensor *syn_lstm(syn_tensor *x, syn_tensor *weight_ih, syn_tensor *weight_hh,
                     syn_tensor *bias_ih, syn_tensor *bias_hh);

/* Losses; the mean over all elements (mse, smooth_l1, bce) or rows (cross-entropy). */
syn_tensor *syn_mse_loss(syn_tensor *x, syn_tensor *target);
syn_tensor *syn_smooth_l1_loss(syn_tensor *x, syn_tensor *target, double beta);
syn_tensor *syn_bce_with_logits(syn_tensor *x, syn_tensor *target);
/* logits (N, C), target (N) of i64, i32 or u8 class indices. */
syn_tensor *syn_cross_entropy(syn_tensor *logits, syn_tensor *target, double label_smoothing);
/* batchmean KL(target || exp(input)); input holds log-probabilities, target probabilities. */
syn_tensor *syn_kl_div(syn_tensor *input, syn_tensor *target);

/* In place, through views; refused while a gradient is recorded through the target leaf. Return the
 * target. */
syn_tensor *syn_copy_(syn_tensor *target, syn_tensor *source);
syn_tensor *syn_fill_(syn_tensor *target, double value);
syn_tensor *syn_zero_(syn_tensor *target);
syn_tensor *syn_add_(syn_tensor *target, syn_tensor *x, double alpha); /* target += alpha * x */
syn_tensor *syn_mul_scalar_(syn_tensor *target, double value);

/* Every expression notes where it stands in the user's source, for error sentences. Files that
 * implement expressions define SYN_NO_CALLER_MACROS. */
#ifndef SYN_NO_CALLER_MACROS
#define syn_add(...)                 SYN_AT(syn_add(__VA_ARGS__))
#define syn_sub(...)                 SYN_AT(syn_sub(__VA_ARGS__))
#define syn_mul(...)                 SYN_AT(syn_mul(__VA_ARGS__))
#define syn_div(...)                 SYN_AT(syn_div(__VA_ARGS__))
#define syn_pow(...)                 SYN_AT(syn_pow(__VA_ARGS__))
#define syn_maximum(...)             SYN_AT(syn_maximum(__VA_ARGS__))
#define syn_minimum(...)             SYN_AT(syn_minimum(__VA_ARGS__))
#define syn_eq(...)                  SYN_AT(syn_eq(__VA_ARGS__))
#define syn_ne(...)                  SYN_AT(syn_ne(__VA_ARGS__))
#define syn_lt(...)                  SYN_AT(syn_lt(__VA_ARGS__))
#define syn_le(...)                  SYN_AT(syn_le(__VA_ARGS__))
#define syn_gt(...)                  SYN_AT(syn_gt(__VA_ARGS__))
#define syn_ge(...)                  SYN_AT(syn_ge(__VA_ARGS__))
#define syn_add_scalar(...)          SYN_AT(syn_add_scalar(__VA_ARGS__))
#define syn_mul_scalar(...)          SYN_AT(syn_mul_scalar(__VA_ARGS__))
#define syn_pow_scalar(...)          SYN_AT(syn_pow_scalar(__VA_ARGS__))
#define syn_where(...)               SYN_AT(syn_where(__VA_ARGS__))
#define syn_neg(...)                 SYN_AT(syn_neg(__VA_ARGS__))
#define syn_abs(...)                 SYN_AT(syn_abs(__VA_ARGS__))
#define syn_sign(...)                SYN_AT(syn_sign(__VA_ARGS__))
#define syn_exp(...)                 SYN_AT(syn_exp(__VA_ARGS__))
#define syn_log(...)                 SYN_AT(syn_log(__VA_ARGS__))
#define syn_sqrt(...)                SYN_AT(syn_sqrt(__VA_ARGS__))
#define syn_rsqrt(...)               SYN_AT(syn_rsqrt(__VA_ARGS__))
#define syn_reciprocal(...)          SYN_AT(syn_reciprocal(__VA_ARGS__))
#define syn_square(...)              SYN_AT(syn_square(__VA_ARGS__))
#define syn_sin(...)                 SYN_AT(syn_sin(__VA_ARGS__))
#define syn_cos(...)                 SYN_AT(syn_cos(__VA_ARGS__))
#define syn_erf(...)                 SYN_AT(syn_erf(__VA_ARGS__))
#define syn_tanh(...)                SYN_AT(syn_tanh(__VA_ARGS__))
#define syn_sigmoid(...)             SYN_AT(syn_sigmoid(__VA_ARGS__))
#define syn_relu(...)                SYN_AT(syn_relu(__VA_ARGS__))
#define syn_gelu(...)                SYN_AT(syn_gelu(__VA_ARGS__))
#define syn_silu(...)                SYN_AT(syn_silu(__VA_ARGS__))
#define syn_softplus(...)            SYN_AT(syn_softplus(__VA_ARGS__))
#define syn_leaky_relu(...)          SYN_AT(syn_leaky_relu(__VA_ARGS__))
#define syn_clamp(...)               SYN_AT(syn_clamp(__VA_ARGS__))
#define syn_to(...)                  SYN_AT(syn_to(__VA_ARGS__))
#define syn_sum_dims(...)            SYN_AT(syn_sum_dims(__VA_ARGS__))
#define syn_mean_dims(...)           SYN_AT(syn_mean_dims(__VA_ARGS__))
#define syn_sum(...)                 SYN_AT(syn_sum(__VA_ARGS__))
#define syn_mean(...)                SYN_AT(syn_mean(__VA_ARGS__))
#define syn_amax(...)                SYN_AT(syn_amax(__VA_ARGS__))
#define syn_argmax(...)              SYN_AT(syn_argmax(__VA_ARGS__))
#define syn_reshape(...)             SYN_AT(syn_reshape(__VA_ARGS__))
#define syn_flatten(...)             SYN_AT(syn_flatten(__VA_ARGS__))
#define syn_transpose(...)           SYN_AT(syn_transpose(__VA_ARGS__))
#define syn_permute(...)             SYN_AT(syn_permute(__VA_ARGS__))
#define syn_expand(...)              SYN_AT(syn_expand(__VA_ARGS__))
#define syn_slice(...)               SYN_AT(syn_slice(__VA_ARGS__))
#define syn_select(...)              SYN_AT(syn_select(__VA_ARGS__))
#define syn_unsqueeze(...)           SYN_AT(syn_unsqueeze(__VA_ARGS__))
#define syn_squeeze(...)             SYN_AT(syn_squeeze(__VA_ARGS__))
#define syn_contiguous(...)          SYN_AT(syn_contiguous(__VA_ARGS__))
#define syn_clone(...)               SYN_AT(syn_clone(__VA_ARGS__))
#define syn_cat(...)                 SYN_AT(syn_cat(__VA_ARGS__))
#define syn_stack(...)               SYN_AT(syn_stack(__VA_ARGS__))
#define syn_matmul(...)              SYN_AT(syn_matmul(__VA_ARGS__))
#define syn_linear_op(...)           SYN_AT(syn_linear_op(__VA_ARGS__))
#define syn_conv2d(...)              SYN_AT(syn_conv2d(__VA_ARGS__))
#define syn_conv_transpose2d(...)    SYN_AT(syn_conv_transpose2d(__VA_ARGS__))
#define syn_max_pool2d(...)          SYN_AT(syn_max_pool2d(__VA_ARGS__))
#define syn_avg_pool2d(...)          SYN_AT(syn_avg_pool2d(__VA_ARGS__))
#define syn_adaptive_avg_pool2d(...) SYN_AT(syn_adaptive_avg_pool2d(__VA_ARGS__))
#define syn_interpolate2d(...)       SYN_AT(syn_interpolate2d(__VA_ARGS__))
#define syn_layer_norm(...)          SYN_AT(syn_layer_norm(__VA_ARGS__))
#define syn_group_norm(...)          SYN_AT(syn_group_norm(__VA_ARGS__))
#define syn_batch_norm(...)          SYN_AT(syn_batch_norm(__VA_ARGS__))
#define syn_softmax(...)             SYN_AT(syn_softmax(__VA_ARGS__))
#define syn_log_softmax(...)         SYN_AT(syn_log_softmax(__VA_ARGS__))
#define syn_dropout(...)             SYN_AT(syn_dropout(__VA_ARGS__))
#define syn_embedding(...)           SYN_AT(syn_embedding(__VA_ARGS__))
#define syn_attention(...)           SYN_AT(syn_attention(__VA_ARGS__))
#define syn_attention_packed(...)    SYN_AT(syn_attention_packed(__VA_ARGS__))
#define syn_lstm(...)                SYN_AT(syn_lstm(__VA_ARGS__))
#define syn_mse_loss(...)            SYN_AT(syn_mse_loss(__VA_ARGS__))
#define syn_smooth_l1_loss(...)      SYN_AT(syn_smooth_l1_loss(__VA_ARGS__))
#define syn_bce_with_logits(...)     SYN_AT(syn_bce_with_logits(__VA_ARGS__))
#define syn_cross_entropy(...)       SYN_AT(syn_cross_entropy(__VA_ARGS__))
#define syn_kl_div(...)              SYN_AT(syn_kl_div(__VA_ARGS__))
#define syn_copy_(...)               SYN_AT(syn_copy_(__VA_ARGS__))
#define syn_fill_(...)               SYN_AT(syn_fill_(__VA_ARGS__))
#define syn_zero_(...)               SYN_AT(syn_zero_(__VA_ARGS__))
#define syn_add_(...)                SYN_AT(syn_add_(__VA_ARGS__))
#define syn_mul_scalar_(...)         SYN_AT(syn_mul_scalar_(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
