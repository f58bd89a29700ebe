/* The layers of the curve cases, each a few expressions. */
#include "tests/conformance/net.h"

#include <string.h>

enum { MAX_SAVED = 64 };

/* What the layers of one forward share. */
typedef struct layer_run {
    const layer_net *net;
    const char *names[MAX_SAVED];
    syn_tensor *saved[MAX_SAVED];
    int n_saved;
} layer_run;

typedef syn_tensor *(*layer_fn)(layer_run *run, const json_t *layer, syn_tensor *x);

/* ---- Reading a layer ---- */

static double number(const json_t *layer, const char *key, double fallback)
{
    const json_t *value = json_object_get(layer, key);

    return json_is_number(value) ? json_number_value(value) : fallback;
}

static int64_t integer(const json_t *layer, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(layer, key);

    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

/* A pair given as one number or as two. */
static void pair(const json_t *layer, const char *key, int64_t fallback, int64_t out[2])
{
    const json_t *value = json_object_get(layer, key);

    for (size_t i = 0; i < 2; i++)
        out[i] = json_is_array(value) ? json_integer_value(json_array_get(value, i))
                                      : integer(layer, key, fallback);
}

static syn_tensor *find(syn_parameters list, const char *prefix, const char *name)
{
    char wanted[256];

    (void)snprintf(wanted, sizeof wanted, "%s.%s", prefix ? prefix : "", name);
    for (int i = 0; i < list.n; i++)
        if (strcmp(list.items[i].name, wanted) == 0)
            return list.items[i].tensor;
    return NULL;
}

/* The layer's parameter, NULL if it has none of that name. */
static syn_tensor *param(const layer_run *run, const json_t *layer, const char *name)
{
    return find(syn_module_parameters(run->net->module),
                json_string_value(json_object_get(layer, "p")), name);
}

static syn_tensor *buffer(const layer_run *run, const json_t *layer, const char *name)
{
    return find(syn_module_buffers(run->net->module),
                json_string_value(json_object_get(layer, "p")), name);
}

static syn_conv_options conv_options(const json_t *layer)
{
    syn_conv_options options = {.groups = integer(layer, "groups", 1)};

    pair(layer, "stride", 1, options.stride);
    pair(layer, "padding", 0, options.padding);
    pair(layer, "dilation", 1, options.dilation);
    pair(layer, "output_padding", 0, options.output_padding);
    return options;
}

static syn_pool_options pool_options(const json_t *layer)
{
    syn_pool_options options;

    pair(layer, "kernel", 1, options.kernel);
    pair(layer, "stride", 0, options.stride);
    options.padding[0] = options.padding[1] = 0;
    return options;
}

/* ---- Layers ---- */

static syn_tensor *run_linear(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_linear_op(x, param(r, l, "weight"), param(r, l, "bias"));
}

static syn_tensor *run_conv2d(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_conv2d(x, param(r, l, "weight"), param(r, l, "bias"), conv_options(l));
}

static syn_tensor *run_conv_transpose2d(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_conv_transpose2d(x, param(r, l, "weight"), param(r, l, "bias"), conv_options(l));
}

static syn_tensor *run_max_pool2d(layer_run *r, const json_t *l, syn_tensor *x)
{
    (void)r;
    return syn_max_pool2d(x, pool_options(l));
}

static syn_tensor *run_avg_pool2d(layer_run *r, const json_t *l, syn_tensor *x)
{
    (void)r;
    return syn_avg_pool2d(x, pool_options(l));
}

static syn_tensor *run_adaptive_avg_pool2d(layer_run *r, const json_t *l, syn_tensor *x)
{
    int64_t size[2];

    (void)r;
    pair(l, "size", 1, size);
    return syn_adaptive_avg_pool2d(x, size[0], size[1]);
}

/* Layers that are one expression of x. */
#define DEFINE_UNARY(name)                                                      \
    static syn_tensor *run_##name(layer_run *r, const json_t *l, syn_tensor *x) \
    {                                                                           \
        (void)r;                                                                \
        (void)l;                                                                \
        return syn_##name(x);                                                   \
    }
DEFINE_UNARY(relu)
DEFINE_UNARY(tanh)
DEFINE_UNARY(sigmoid)
DEFINE_UNARY(gelu)
DEFINE_UNARY(silu)
DEFINE_UNARY(softplus)

static syn_tensor *run_leaky_relu(layer_run *r, const json_t *l, syn_tensor *x)
{
    (void)r;
    return syn_leaky_relu(x, number(l, "slope", 0.01));
}

static syn_tensor *run_flatten(layer_run *r, const json_t *l, syn_tensor *x)
{
    (void)r;
    (void)l;
    return syn_flatten(x, 1);
}

static syn_tensor *run_reshape(layer_run *r, const json_t *l, syn_tensor *x)
{
    const json_t *dims = json_object_get(l, "shape");
    syn_shape shape = {.ndim = 1, .dims = {-1}};

    (void)r;
    for (size_t i = 0; i < json_array_size(dims) && shape.ndim < SYN_MAX_DIMS; i++)
        shape.dims[shape.ndim++] = json_integer_value(json_array_get(dims, i));
    return syn_reshape(x, shape);
}

static syn_tensor *run_batch_norm(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_batch_norm(x, param(r, l, "weight"), param(r, l, "bias"),
                          buffer(r, l, "running_mean"), buffer(r, l, "running_var"), true,
                          number(l, "momentum", 0.1), 1e-5);
}

static syn_tensor *run_group_norm(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_group_norm(x, integer(l, "groups", 1), param(r, l, "weight"), param(r, l, "bias"),
                          1e-5);
}

static syn_tensor *run_layer_norm(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_layer_norm(x, 1, param(r, l, "weight"), param(r, l, "bias"), 1e-5);
}

static syn_tensor *run_save(layer_run *r, const json_t *l, syn_tensor *x)
{
    const char *name = json_string_value(json_object_get(l, "as"));

    if (name && r->n_saved < MAX_SAVED) {
        r->names[r->n_saved] = name;
        r->saved[r->n_saved++] = x;
    }
    return x;
}

static syn_tensor *run_add(layer_run *r, const json_t *l, syn_tensor *x)
{
    const char *name = json_string_value(json_object_get(l, "from"));

    for (int i = r->n_saved - 1; name && i >= 0; i--)
        if (strcmp(r->names[i], name) == 0)
            return syn_add(x, r->saved[i]);
    return NULL;
}

static syn_tensor *run_interpolate(layer_run *r, const json_t *l, syn_tensor *x)
{
    const char *mode = json_string_value(json_object_get(l, "mode"));
    bool is_bilinear = mode && strcmp(mode, "bilinear") == 0;
    int64_t size[2];

    (void)r;
    pair(l, "size", 1, size);
    return syn_interpolate2d(x, size[0], size[1], is_bilinear ? SYN_BILINEAR : SYN_NEAREST,
                             json_is_true(json_object_get(l, "align_corners")));
}

static syn_tensor *run_embedding(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_embedding(param(r, l, "weight"), x);
}

static syn_tensor *run_mean(layer_run *r, const json_t *l, syn_tensor *x)
{
    const json_t *dim = json_object_get(l, "dim");
    int dims[SYN_MAX_DIMS] = {0}, n = 0;

    (void)r;
    if (json_is_integer(dim))
        dims[n++] = (int)json_integer_value(dim);
    for (size_t i = 0; i < json_array_size(dim) && n < SYN_MAX_DIMS; i++)
        dims[n++] = (int)json_integer_value(json_array_get(dim, i));
    return syn_mean_dims(x, dims, n, false);
}

static syn_tensor *run_lstm(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_lstm(x, param(r, l, "weight_ih_l0"), param(r, l, "weight_hh_l0"),
                    param(r, l, "bias_ih_l0"), param(r, l, "bias_hh_l0"));
}

static syn_tensor *run_pos_add(layer_run *r, const json_t *l, syn_tensor *x)
{
    return syn_add(x, syn_slice(param(r, l, "weight"), 0, 0, syn_tensor_size(x, 1), 1));
}

static syn_tensor *run_attn(layer_run *r, const json_t *l, syn_tensor *x)
{
    int64_t b = syn_tensor_size(x, 0), t = syn_tensor_size(x, 1), width = syn_tensor_size(x, 2);
    int64_t heads = integer(l, "heads", 1);
    syn_tensor *part[3];
    syn_tensor *qkv = syn_linear_op(x, param(r, l, "c_attn.weight"), param(r, l, "c_attn.bias"));

    if (heads < 1)
        return NULL;
    for (int i = 0; i < 3; i++) {
        part[i] = syn_slice(qkv, 2, i * width, (i + 1) * width, 1);
        part[i] = syn_reshape(part[i], SYN_SHAPE(b, t, heads, width / heads));
        part[i] = syn_transpose(part[i], 1, 2);
    }
    x = syn_attention(part[0], part[1], part[2], true, 0, true);
    x = syn_reshape(syn_transpose(x, 1, 2), SYN_SHAPE(b, t, width));
    return syn_linear_op(x, param(r, l, "c_proj.weight"), param(r, l, "c_proj.bias"));
}

static const struct {
    const char *op;
    layer_fn run;
} layers[] = {
    {"linear", run_linear},
    {"conv2d", run_conv2d},
    {"conv_transpose2d", run_conv_transpose2d},
    {"max_pool2d", run_max_pool2d},
    {"avg_pool2d", run_avg_pool2d},
    {"adaptive_avg_pool2d", run_adaptive_avg_pool2d},
    {"relu", run_relu},
    {"tanh", run_tanh},
    {"sigmoid", run_sigmoid},
    {"gelu", run_gelu},
    {"silu", run_silu},
    {"softplus", run_softplus},
    {"leaky_relu", run_leaky_relu},
    {"flatten", run_flatten},
    {"reshape", run_reshape},
    {"batch_norm", run_batch_norm},
    {"group_norm", run_group_norm},
    {"layer_norm", run_layer_norm},
    {"save", run_save},
    {"add", run_add},
    {"interpolate", run_interpolate},
    {"embedding", run_embedding},
    {"mean", run_mean},
    {"lstm", run_lstm},
    {"pos_add", run_pos_add},
    {"attn", run_attn},
};

static layer_fn find_layer(const json_t *layer)
{
    const char *op = json_string_value(json_object_get(layer, "op"));

    for (size_t i = 0; op && i < sizeof layers / sizeof *layers; i++)
        if (strcmp(layers[i].op, op) == 0)
            return layers[i].run;
    return NULL;
}

const char *net_find_unknown(const json_t *list)
{
    size_t i;
    json_t *layer;

    json_array_foreach(list, i, layer)
    {
        if (!find_layer(layer)) {
            const char *op = json_string_value(json_object_get(layer, "op"));
            return op ? op : "?";
        }
    }
    return NULL;
}

bool net_has_layer(const json_t *list, const char *op)
{
    size_t i;
    json_t *layer;

    json_array_foreach(list, i, layer)
    {
        const char *name = json_string_value(json_object_get(layer, "op"));
        if (name && strcmp(name, op) == 0)
            return true;
    }
    return false;
}

syn_tensor *net_forward(const layer_net *net, syn_tensor *x)
{
    layer_run r = {.net = net};
    size_t i;
    json_t *layer;

    json_array_foreach(net->layers, i, layer)
    {
        layer_fn run_layer = find_layer(layer);
        x = run_layer && x ? run_layer(&r, layer, x) : NULL;
    }
    return x;
}
