/* Layers: linear, convolution, pooling, normalisation, embedding, activations, and running them in
 * order. */
#include "worker/nn/init.h"
#include "worker/nn/module.h"
#include "worker/tensor/tensor.h"

#include <stdio.h>

/* ---- Linear ---- */

static syn_tensor *linear_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)state;
    return syn_linear_op(x, syn_module_own(self, 0), syn_module_own(self, 1));
}

static syn_module *new_linear(int64_t in, int64_t out, bool bias)
{
    if (!syn_nn_is_positive("Linear", "in_features", in) ||
        !syn_nn_is_positive("Linear", "out_features", out))
        return NULL;
    return syn_layer_new(linear_forward, NULL, 0, "Linear(%lld, %lld%s)", (long long)in,
                         (long long)out, bias ? "" : ", bias=false");
}

static syn_module *make_linear(int64_t in, int64_t out, bool bias)
{
    double bound = syn_init_fan_bound(in);
    syn_module *module = new_linear(in, out, bias);

    if (!module || !syn_init_uniform(module, "weight", SYN_SHAPE(out, in), bound) ||
        (bias && !syn_init_uniform(module, "bias", SYN_SHAPE(out), bound))) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

syn_module *syn_linear(int64_t in_features, int64_t out_features)
{
    return make_linear(in_features, out_features, true);
}

syn_module *syn_linear_no_bias(int64_t in_features, int64_t out_features)
{
    return make_linear(in_features, out_features, false);
}

syn_module *syn_linear_normal(int64_t in_features, int64_t out_features, double std)
{
    syn_module *module = new_linear(in_features, out_features, true);

    if (!module || !syn_init_normal(module, "weight", SYN_SHAPE(out_features, in_features), std) ||
        !syn_init_constant(module, "bias", SYN_SHAPE(out_features), 0)) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

/* ---- Convolution and pooling ---- */

static syn_tensor *conv2d_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_conv_options *options = state;

    return syn_conv2d(x, syn_module_own(self, 0), syn_module_own(self, 1), *options);
}

syn_module *syn_conv2d_module(int64_t in_channels, int64_t out_channels, int64_t kernel,
                              syn_conv_options options)
{
    int64_t groups = options.groups ? options.groups : 1;

    if (!syn_nn_is_positive("Conv2d", "in_channels", in_channels) ||
        !syn_nn_is_positive("Conv2d", "out_channels", out_channels) ||
        !syn_nn_is_positive("Conv2d", "kernel", kernel) ||
        !syn_nn_is_positive("Conv2d", "groups", groups))
        return NULL;
    if (in_channels % groups || out_channels % groups)
        return SYN_NN_FAIL("Conv2d: %lld groups do not divide %lld input and %lld output channels",
                           (long long)groups, (long long)in_channels, (long long)out_channels);

    int64_t fan_in = 0;
    if (__builtin_mul_overflow(in_channels / groups, kernel, &fan_in) ||
        __builtin_mul_overflow(fan_in, kernel, &fan_in))
        return SYN_NN_FAIL("Conv2d: %lld channels with a kernel of %lld are too many",
                           (long long)in_channels, (long long)kernel);
    syn_module *module = syn_layer_new(
        conv2d_forward, &options, sizeof options,
        "Conv2d(%lld, %lld, kernel=%lld, stride=%lld, padding=%lld)", (long long)in_channels,
        (long long)out_channels, (long long)kernel,
        (long long)(options.stride[0] ? options.stride[0] : 1), (long long)options.padding[0]);
    double bound = syn_init_fan_bound(fan_in);
    syn_shape shape = SYN_SHAPE(out_channels, in_channels / groups, kernel, kernel);
    if (!module || !syn_init_uniform(module, "weight", shape, bound) ||
        !syn_init_uniform(module, "bias", SYN_SHAPE(out_channels), bound)) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

static syn_tensor *max_pool2d_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_pool_options *options = state;

    (void)self;
    return syn_max_pool2d(x, *options);
}

syn_module *syn_max_pool2d_module(syn_pool_options options)
{
    return syn_layer_new(max_pool2d_forward, &options, sizeof options, "MaxPool2d(%lld)",
                         (long long)options.kernel[0]);
}

static syn_tensor *avg_pool2d_forward(syn_module *self, void *state, syn_tensor *x)
{
    const syn_pool_options *options = state;

    (void)self;
    return syn_avg_pool2d(x, *options);
}

syn_module *syn_avg_pool2d_module(syn_pool_options options)
{
    return syn_layer_new(avg_pool2d_forward, &options, sizeof options, "AvgPool2d(%lld)",
                         (long long)options.kernel[0]);
}

/* ---- Without parameters ---- */

static syn_tensor *flatten_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)self;
    (void)state;
    return syn_flatten(x, 1);
}

syn_module *syn_flatten_module(void)
{
    return syn_layer_new(flatten_forward, NULL, 0, "Flatten()");
}

/* An activation: a module around an expression of one tensor. */
#define DEFINE_ACTIVATION(name, kind)                                               \
    static syn_tensor *name##_forward(syn_module *self, void *state, syn_tensor *x) \
    {                                                                               \
        (void)self;                                                                 \
        (void)state;                                                                \
        return syn_##name(x);                                                       \
    }                                                                               \
    syn_module *syn_##name##_module(void)                                           \
    {                                                                               \
        return syn_layer_new(name##_forward, NULL, 0, kind);                        \
    }
DEFINE_ACTIVATION(relu, "ReLU()")
DEFINE_ACTIVATION(tanh, "Tanh()")
DEFINE_ACTIVATION(gelu, "GELU()")
DEFINE_ACTIVATION(sigmoid, "Sigmoid()")

static syn_tensor *dropout_forward(syn_module *self, void *state, syn_tensor *x)
{
    const double *p = state;

    return syn_dropout(x, *p, self->is_training);
}

syn_module *syn_dropout_module(double p)
{
    if (!(p >= 0 && p <= 1))
        return SYN_NN_FAIL("Dropout: p is %g, it must be at least 0 and at most 1", p);
    return syn_layer_new(dropout_forward, &p, sizeof p, "Dropout(%g)", p);
}

/* ---- Normalisation and embedding ---- */

static syn_tensor *layer_norm_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)state;
    return syn_layer_norm(x, 1, syn_module_own(self, 0), syn_module_own(self, 1), 1e-5);
}

syn_module *syn_layer_norm_module(int64_t features)
{
    if (!syn_nn_is_positive("LayerNorm", "features", features))
        return NULL;

    syn_module *module =
        syn_layer_new(layer_norm_forward, NULL, 0, "LayerNorm(%lld)", (long long)features);
    if (!module || !syn_init_constant(module, "weight", SYN_SHAPE(features), 1) ||
        !syn_init_constant(module, "bias", SYN_SHAPE(features), 0)) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

/* Buffers 0 to 2: running_mean, running_var, num_batches_tracked. */
static syn_tensor *batch_norm2d_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)state;
    syn_tensor *y = syn_batch_norm(x, syn_module_own(self, 0), syn_module_own(self, 1),
                                   syn_module_own_buffer(self, 0), syn_module_own_buffer(self, 1),
                                   self->is_training, 0.1, 1e-5);
    if (y && self->is_training) {
        int64_t *n_batches = syn_tensor_data(syn_module_own_buffer(self, 2));
        ++*n_batches;
    }
    return y;
}

static bool add_buffer(syn_module *module, const char *name, syn_shape shape, double value,
                       syn_dtype dtype)
{
    bool added = false;

    SYN_SCOPE {
        syn_tensor *x = syn_full(shape, value, dtype);
        added = syn_module_add_buffer(module, name, syn_keep(x)) != NULL;
    }
    return added;
}

syn_module *syn_batch_norm2d_module(int64_t channels)
{
    if (!syn_nn_is_positive("BatchNorm2d", "channels", channels))
        return NULL;

    syn_shape shape = SYN_SHAPE(channels);
    syn_module *module =
        syn_layer_new(batch_norm2d_forward, NULL, 0, "BatchNorm2d(%lld)", (long long)channels);
    if (!module || !syn_init_constant(module, "weight", shape, 1) ||
        !syn_init_constant(module, "bias", shape, 0) ||
        !add_buffer(module, "running_mean", shape, 0, SYN_F32) ||
        !add_buffer(module, "running_var", shape, 1, SYN_F32) ||
        !add_buffer(module, "num_batches_tracked", SYN_SCALAR, 0, SYN_I64)) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

static syn_tensor *embedding_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)state;
    return syn_embedding(syn_module_own(self, 0), x);
}

syn_module *syn_embedding_module(int64_t n, int64_t features)
{
    return syn_embedding_normal(n, features, 1);
}

syn_module *syn_embedding_normal(int64_t n, int64_t features, double std)
{
    if (!syn_nn_is_positive("Embedding", "n", n) ||
        !syn_nn_is_positive("Embedding", "features", features))
        return NULL;

    syn_module *module = syn_layer_new(embedding_forward, NULL, 0, "Embedding(%lld, %lld)",
                                       (long long)n, (long long)features);
    if (!module || !syn_init_normal(module, "weight", SYN_SHAPE(n, features), std)) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}

/* ---- In order ---- */

static syn_tensor *sequential_forward(syn_module *self, void *state, syn_tensor *x)
{
    (void)state;
    for (size_t i = 0; i < self->children.n; i++)
        x = syn_module_forward(self->children.items[i].module, x);
    return x;
}

syn_module *syn_sequential_of(syn_module *const *children, int n)
{
    syn_module *module = syn_layer_new(sequential_forward, NULL, 0, "Sequential");
    bool complete = module != NULL;

    /* All children are taken, also after a failure. */
    for (int i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        if (!complete)
            syn_module_free(children[i]);
        else if (!syn_module_add_child(module, name, children[i]))
            complete = false;
    }
    if (!complete) {
        syn_module_free(module);
        return NULL;
    }
    return module;
}
