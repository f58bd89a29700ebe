/* Modules: parameters and buffers under dotted names (as in PyTorch's state dicts), composed into
 * networks. */
#ifndef SYNCLINE_NN_H
#define SYNCLINE_NN_H

#include <syncline/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct syn_module syn_module;

/* A named parameter or buffer. */
typedef struct syn_named_tensor {
    const char *name;   /* "0.weight"; borrowed from the module */
    syn_tensor *tensor; /* borrowed */
} syn_named_tensor;
/* All of them in registration order; items are owned by the module and valid until it changes or is
 * freed. */
typedef struct syn_parameters {
    const syn_named_tensor *items;
    int n;
} syn_parameters;

/* Constructors return NULL with the sticky error set. The caller owns the module (syn_module_free);
 * a container takes its children. Initialisation follows PyTorch's defaults (kaiming-uniform with a
 * = sqrt(5)), drawn from the thread's generator, in f32. */
syn_module *syn_linear(int64_t in_features, int64_t out_features);
syn_module *syn_linear_no_bias(int64_t in_features, int64_t out_features);
syn_module *syn_conv2d_module(int64_t in_channels, int64_t out_channels, int64_t kernel,
                              syn_conv_options options);
syn_module *syn_max_pool2d_module(syn_pool_options options);
syn_module *syn_avg_pool2d_module(syn_pool_options options);
syn_module *syn_flatten_module(void); /* from axis 1 */
syn_module *syn_relu_module(void);
syn_module *syn_tanh_module(void);
syn_module *syn_gelu_module(void);
syn_module *syn_sigmoid_module(void);
syn_module *syn_dropout_module(double p);
syn_module *syn_layer_norm_module(int64_t features);
syn_module *syn_batch_norm2d_module(int64_t channels);
syn_module *syn_embedding_module(int64_t n, int64_t features);
/* syn_sequential(a, b, c): runs them in order; children are named "0", "1", ... Takes them, also
 * when it fails. */
#define syn_sequential(...)                                 \
    SYN_AT(syn_sequential_of((syn_module *[]){__VA_ARGS__}, \
                             (int)(sizeof((syn_module *[]){__VA_ARGS__}) / sizeof(syn_module *))))
syn_module *syn_sequential_of(syn_module *const *children, int n);

/* A module of one's own: `forward` gets `state`, which `release` frees. Add parameters and children
 * by name. */
typedef syn_tensor *(*syn_module_forward_fn)(syn_module *self, void *state, syn_tensor *x);
syn_module *syn_module_new(const char *kind, syn_module_forward_fn forward, void *state,
                           void (*release)(void *));
/* Takes one reference of `tensor` (give a kept tensor), marks it as requiring grad, and returns it;
 * NULL on failure. */
syn_tensor *syn_module_add_parameter(syn_module *module, const char *name, syn_tensor *tensor);
syn_tensor *syn_module_add_buffer(syn_module *module, const char *name, syn_tensor *tensor);
/* Takes the child and returns it. */
syn_module *syn_module_add_child(syn_module *module, const char *name, syn_module *child);
/* Registers an alias: the same parameter under a second place is listed once (tied weights). */
void *syn_module_state(const syn_module *module);

void syn_module_free(syn_module *module);
syn_tensor *syn_module_forward(syn_module *module, syn_tensor *x);
syn_parameters syn_module_parameters(syn_module *module);
syn_parameters syn_module_buffers(syn_module *module);
void syn_module_train(syn_module *module,
                      bool training); /* recursively; modules start in training mode */
bool syn_module_is_training(const syn_module *module);
/* Converts all floating parameters and buffers. */
syn_status syn_module_to(syn_module *module, syn_dtype dtype);
/* Prints the structure and the number of parameters. */
void syn_module_print(const syn_module *module, FILE *out);

/* ---- Model zoo
 * ------------------------------------------------------------------------------------------------
 */
typedef enum syn_activation_kind { SYN_RELU, SYN_TANH, SYN_GELU } syn_activation_kind;
typedef struct syn_mlp_options {
    int64_t in_features, out_features;
    const int64_t *hidden;
    int n_hidden;
    syn_activation_kind activation;
    double dropout;
} syn_mlp_options;
syn_module *syn_mlp(syn_mlp_options options); /* flattens x (N, ...) first */
/* LeCun et al. 1998 as commonly trained: conv 6@5x5 pad 2, pool, conv 16@5x5, pool, 120, 84,
 * classes; ReLU, max pooling. x (N, 1, 28, 28). */
syn_module *syn_lenet5(int64_t classes);
typedef struct syn_gpt_options {
    int64_t vocabulary, block, n_layers, n_heads, width;
    double dropout;
} syn_gpt_options;
/* A decoder as GPT-2: x (B, T) of token indices -> logits (B, T, vocabulary). Pre-norm blocks,
 * GELU, head tied to the embedding; normal(0, 0.02) initialisation, residual projections scaled by
 * 1/sqrt(2 n_layers). */
syn_module *syn_gpt(syn_gpt_options options);

/* Constructors and forward passes note the caller's file and line for their errors. */
#ifndef SYN_NO_CALLER_MACROS
#define syn_linear(...)              SYN_AT(syn_linear(__VA_ARGS__))
#define syn_linear_no_bias(...)      SYN_AT(syn_linear_no_bias(__VA_ARGS__))
#define syn_conv2d_module(...)       SYN_AT(syn_conv2d_module(__VA_ARGS__))
#define syn_max_pool2d_module(...)   SYN_AT(syn_max_pool2d_module(__VA_ARGS__))
#define syn_avg_pool2d_module(...)   SYN_AT(syn_avg_pool2d_module(__VA_ARGS__))
#define syn_flatten_module(...)      SYN_AT(syn_flatten_module(__VA_ARGS__))
#define syn_relu_module(...)         SYN_AT(syn_relu_module(__VA_ARGS__))
#define syn_tanh_module(...)         SYN_AT(syn_tanh_module(__VA_ARGS__))
#define syn_gelu_module(...)         SYN_AT(syn_gelu_module(__VA_ARGS__))
#define syn_sigmoid_module(...)      SYN_AT(syn_sigmoid_module(__VA_ARGS__))
#define syn_dropout_module(...)      SYN_AT(syn_dropout_module(__VA_ARGS__))
#define syn_layer_norm_module(...)   SYN_AT(syn_layer_norm_module(__VA_ARGS__))
#define syn_batch_norm2d_module(...) SYN_AT(syn_batch_norm2d_module(__VA_ARGS__))
#define syn_embedding_module(...)    SYN_AT(syn_embedding_module(__VA_ARGS__))
#define syn_module_forward(...)      SYN_AT(syn_module_forward(__VA_ARGS__))
#define syn_mlp(...)                 SYN_AT(syn_mlp(__VA_ARGS__))
#define syn_lenet5(...)              SYN_AT(syn_lenet5(__VA_ARGS__))
#define syn_gpt(...)                 SYN_AT(syn_gpt(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
