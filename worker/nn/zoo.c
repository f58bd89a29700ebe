/* The model zoo: a multilayer perceptron, LeNet-5, and a GPT-2-like decoder. */
#include "worker/nn/init.h"
#include "worker/nn/module.h"
#include "worker/tensor/tensor.h"

#include <math.h>
#include <stdio.h>

/* ---- MLP ---- */

static syn_module *activation_of(syn_activation_kind kind)
{
    switch (kind) {
    case SYN_RELU:
        return syn_relu_module();
    case SYN_TANH:
        return syn_tanh_module();
    case SYN_GELU:
        return syn_gelu_module();
    }
    return SYN_NN_FAIL("there is no activation number %d", (int)kind);
}

syn_module *syn_mlp(syn_mlp_options options)
{
    enum { MOST = 64 };
    syn_module *children[3 * MOST + 2];
    int n = 0;
    int64_t width = options.in_features;

    if (options.n_hidden < 0 || options.n_hidden > MOST)
        return SYN_NN_FAIL("MLP: %d hidden layers, at most %d are possible", options.n_hidden,
                           MOST);
    children[n++] = syn_flatten_module();
    for (int i = 0; i < options.n_hidden; i++) {
        children[n++] = syn_linear(width, options.hidden[i]);
        children[n++] = activation_of(options.activation);
        if (options.dropout != 0)
            children[n++] = syn_dropout_module(options.dropout);
        width = options.hidden[i];
    }
    children[n++] = syn_linear(width, options.out_features);
    return syn_sequential_of(children, n);
}

/* ---- LeNet-5 ---- */

/* Children by position. */
enum { LENET_CONV1, LENET_CONV2, LENET_FC1, LENET_FC2, LENET_FC3 };

static syn_tensor *run(syn_module *self, int child, syn_tensor *x)
{
    return syn_module_forward(self->children.items[child].module, x);
}

static syn_tensor *lenet5_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_pool_options pool = {.kernel = {2, 2}};

    (void)state;
    x = syn_max_pool2d(syn_relu(run(self, LENET_CONV1, x)), pool);
    x = syn_max_pool2d(syn_relu(run(self, LENET_CONV2, x)), pool);
    x = syn_flatten(x, 1);
    x = syn_relu(run(self, LENET_FC1, x));
    x = syn_relu(run(self, LENET_FC2, x));
    return run(self, LENET_FC3, x);
}

/* Adds the children under these names, taking all of them; the module, or NULL if any of it failed.
 */
static syn_module *with_children(syn_module *module, const char *const *names,
                                 syn_module *const *children, int n)
{
    bool complete = module != NULL;

    for (int i = 0; i < n; i++) {
        if (!complete)
            syn_module_free(children[i]);
        else if (!syn_module_add_child(module, names[i], children[i]))
            complete = false;
    }
    if (!complete) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

syn_module *syn_lenet5(int64_t classes)
{
    if (!syn_nn_is_positive("LeNet5", "classes", classes))
        return NULL;
    return with_children(syn_layer_new(lenet5_forward, NULL, 0, "LeNet5"),
                         (const char *const[]){"conv1", "conv2", "fc1", "fc2", "fc3"},
                         (syn_module *[]){
                             syn_conv2d_module(1, 6, 5, (syn_conv_options){.padding = {2, 2}}),
                             syn_conv2d_module(6, 16, 5, (syn_conv_options){.groups = 1}),
                             syn_linear(400, 120),
                             syn_linear(120, 84),
                             syn_linear(84, classes),
                         },
                         5);
}

/* ---- GPT: names as in nanoGPT's state dict ---- */

/* Children of an attention and of a feed-forward module. */
enum { C_ATTN, C_PROJ };
enum { C_FC, C_FC_PROJ };
/* Children of a block and of the transformer. */
enum { LN_1, ATTN, LN_2, MLP };
enum { WTE, WPE, BLOCKS, LN_F };

static syn_tensor *gpt_attention_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_gpt_options *options = state;

    x = syn_attention_packed(run(self, C_ATTN, x), options->n_heads, true, options->dropout,
                             self->is_training);
    return syn_dropout(run(self, C_PROJ, x), options->dropout, self->is_training);
}

static syn_tensor *gpt_mlp_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_gpt_options *options = state;

    x = run(self, C_FC_PROJ, syn_gelu(run(self, C_FC, x)));
    return syn_dropout(x, options->dropout, self->is_training);
}

static syn_tensor *gpt_block_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)state;
    x = syn_add(x, run(self, ATTN, run(self, LN_1, x)));
    return syn_add(x, run(self, MLP, run(self, LN_2, x)));
}

static syn_module *gpt_block(const syn_gpt_options *options)
{
    int64_t width = options->width;
    double std = 0.02, residual_std = 0.02 / sqrt(2 * (double)options->n_layers);
    const char *const parts[] = {"c_attn", "c_proj"}, *const feed[] = {"c_fc", "c_proj"};
    syn_module *attention = with_children(
        syn_layer_new(gpt_attention_forward, options, sizeof *options, "CausalSelfAttention"),
        parts,
        (syn_module *[]){
            syn_linear_normal(width, 3 * width, std),
            syn_linear_normal(width, width, residual_std),
        },
        2);
    syn_module *mlp =
        with_children(syn_layer_new(gpt_mlp_forward, options, sizeof *options, "FeedForward"), feed,
                      (syn_module *[]){
                          syn_linear_normal(width, 4 * width, std),
                          syn_linear_normal(4 * width, width, residual_std),
                      },
                      2);
    return with_children(syn_layer_new(gpt_block_forward, NULL, 0, "Block"),
                         (const char *const[]){"ln_1", "attn", "ln_2", "mlp"},
                         (syn_module *[]){
                             syn_layer_norm_module(width),
                             attention,
                             syn_layer_norm_module(width),
                             mlp,
                         },
                         4);
}

static syn_tensor *transformer_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_gpt_options *options = state;

    syn_tensor *positions = syn_module_own(self->children.items[WPE].module, 0);
    positions = syn_slice(positions, 0, 0, syn_tensor_size(x, 1), 1);
    x = syn_add(run(self, WTE, x), positions);
    x = syn_dropout(x, options->dropout, self->is_training);
    return run(self, LN_F, run(self, BLOCKS, x));
}

static syn_tensor *gpt_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_gpt_options *options = state;
    syn_module *transformer = self->children.items[0].module;

    if (syn_tensor_ndim(x) != 2 || syn_tensor_size(x, 1) > options->block)
        return SYN_NN_FAIL("GPT: takes tokens of shape (B, T) with T up to %lld, not %d axes of "
                           "which the last has %lld",
                           (long long)options->block, syn_tensor_ndim(x),
                           (long long)syn_tensor_size(x, -1));
    syn_tensor *head = syn_module_own(transformer->children.items[WTE].module, 0);
    return syn_linear_op(run(self, 0, x), head, NULL);
}

static bool gpt_options_are_valid(const syn_gpt_options *options)
{
    if (!syn_nn_is_positive("GPT", "vocabulary", options->vocabulary) ||
        !syn_nn_is_positive("GPT", "block", options->block) ||
        !syn_nn_is_positive("GPT", "n_layers", options->n_layers) ||
        !syn_nn_is_positive("GPT", "n_heads", options->n_heads) ||
        !syn_nn_is_positive("GPT", "width", options->width))
        return false;
    if (options->width % options->n_heads) {
        (void)SYN_NN_FAIL("GPT: width %lld is not a multiple of n_heads %lld",
                          (long long)options->width, (long long)options->n_heads);
        return false;
    }
    if (options->n_layers > 4096 || options->width > 1 << 20) {
        (void)SYN_NN_FAIL("GPT: %lld layers of width %lld are too many, the limits are 4096 and %d",
                          (long long)options->n_layers, (long long)options->width, 1 << 20);
        return false;
    }
    if (!(options->dropout >= 0 && options->dropout < 1)) {
        (void)SYN_NN_FAIL("GPT: dropout is %g, it must be at least 0 and below 1",
                          options->dropout);
        return false;
    }
    return true;
}

static syn_module *gpt_blocks(const syn_gpt_options *options)
{
    syn_module *blocks = syn_sequential_of(NULL, 0);

    for (int64_t i = 0; i < options->n_layers; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%lld", (long long)i);
        if (!syn_module_add_child(blocks, name, gpt_block(options))) {
            syn_module_free(blocks);
            return NULL;
        }
    }
    return blocks;
}

syn_module *syn_gpt(syn_gpt_options options)
{
    if (!gpt_options_are_valid(&options))
        return NULL;

    syn_module *transformer =
        with_children(syn_layer_new(transformer_forward, &options, sizeof options, "Transformer"),
                      (const char *const[]){"wte", "wpe", "h", "ln_f"},
                      (syn_module *[]){
                          syn_embedding_normal(options.vocabulary, options.width, 0.02),
                          syn_embedding_normal(options.block, options.width, 0.02),
                          gpt_blocks(&options),
                          syn_layer_norm_module(options.width),
                      },
                      4);
    return with_children(syn_layer_new(gpt_forward, &options, sizeof options, "GPT"),
                         (const char *const[]){"transformer"}, (syn_module *[]){transformer}, 1);
}
