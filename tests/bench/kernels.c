/* Times the heavy kernels at the shapes of LeNet, ResNet and a small GPT: best time, GFLOP/s or
 * GB/s. Arguments choose the cases whose names hold one of them. */
#include "worker/kernels/attention.h"
#include "worker/kernels/conv.h"
#include "worker/kernels/gelu.h"
#include "worker/kernels/norm.h"
#include "worker/kernels/pool.h"
#include "worker/kernels/rnn.h"
#include "worker/kernels/softmax.h"
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 16 << 20 }; /* floats of each buffer */

static float *buffers[8];
static int32_t *places;
static int64_t *classes;
static char **wanted;
static int n_wanted;

/* ---- Measuring ---- */

typedef void (*run_fn)(const void *shape);

typedef struct work {
    double flops, bytes;
} work;

static int is_wanted(const char *name)
{
    for (int i = 0; i < n_wanted; i++)
        if (strstr(name, wanted[i]))
            return 1;
    return n_wanted == 0;
}

/* With one thread the processor's time, which leaves out what other programs took; else the
 * clock's. */
static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of many runs: other programs only add to the time. */
static void measure(const char *name, run_fn run, const void *shape, work w)
{
    double best = INFINITY;
    if (!is_wanted(name))
        return;
    run(shape);
    double start = now_seconds();
    for (int i = 0; i < 5 || (i < 2000 && now_seconds() - start < 0.15); i++) {
        double before = now_seconds();
        run(shape);
        double seconds = now_seconds() - before;
        best = seconds < best ? seconds : best;
    }
    printf("%-38s %9.1f us", name, 1e6 * best);
    if (w.flops > 0)
        printf(" %8.1f GFLOP/s", 1e-9 * w.flops / best);
    if (w.bytes > 0)
        printf(" %8.1f GB/s", 1e-9 * w.bytes / best);
    printf("\n");
}

/* ---- Convolution ---- */

typedef struct conv_case {
    const char *name;
    int64_t n, c_in, h, c_out, k, stride, padding;
} conv_case;

static const conv_case conv_cases[] = {
    {"lenet conv1", 64, 1, 28, 6, 5, 1, 2},         {"lenet conv2", 64, 6, 14, 16, 5, 1, 0},
    {"cifar 3-32", 64, 3, 32, 32, 3, 1, 1},         {"cifar 32-64", 64, 32, 16, 64, 3, 1, 1},
    {"resnet 64 56x56", 8, 64, 56, 64, 3, 1, 1},    {"resnet 128-256 s2", 8, 128, 28, 256, 3, 2, 1},
    {"resnet 64-128 1x1", 8, 64, 56, 128, 1, 1, 0},
};

static syn_conv_dims conv_dims(const conv_case *c)
{
    int64_t out = (c->h + 2 * c->padding - c->k) / c->stride + 1;
    return (syn_conv_dims){.n = c->n,
                           .c_in = c->c_in,
                           .h_in = c->h,
                           .w_in = c->h,
                           .c_out = c->c_out,
                           .h_out = out,
                           .w_out = out,
                           .kh = c->k,
                           .kw = c->k,
                           .stride = {c->stride, c->stride},
                           .padding = {c->padding, c->padding},
                           .dilation = {1, 1},
                           .groups = 1};
}

static void conv_forward(const void *shape)
{
    (void)syn_conv_cpu[0].forward(shape, buffers[0], buffers[1], buffers[2], buffers[3]);
}

static void conv_grad_input(const void *shape)
{
    (void)syn_conv_cpu[0].grad_input(shape, buffers[0], buffers[1], buffers[3]);
}

static void conv_grad_weight(const void *shape)
{
    (void)syn_conv_cpu[0].grad_weight(shape, buffers[0], buffers[1], buffers[3]);
}

static void measure_conv(void)
{
    static const struct {
        const char *name;
        run_fn run;
    } kinds[] = {{"forward", conv_forward},
                 {"grad input", conv_grad_input},
                 {"grad weight", conv_grad_weight}};
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++)
        for (int kind = 0; kind < 3; kind++) {
            syn_conv_dims d = conv_dims(&conv_cases[i]);
            double flops =
                2 * (double)(d.n * d.c_out * d.h_out * d.w_out) * (double)(d.c_in * d.kh * d.kw);
            char name[64];
            (void)snprintf(name, sizeof name, "%s %s", conv_cases[i].name, kinds[kind].name);
            measure(name, kinds[kind].run, &d, (work){flops, 0});
        }
}

/* ---- Pooling ---- */

static void max_pool(const void *shape)
{
    syn_pool_cpu[0].max(shape, buffers[0], buffers[1], places);
}

static void max_pool_backward(const void *shape)
{
    syn_pool_cpu[0].max_backward(shape, buffers[1], places, buffers[2]);
}

static void average_pool(const void *shape)
{
    syn_pool_cpu[0].average(shape, buffers[0], buffers[1]);
}

static void average_pool_backward(const void *shape)
{
    syn_pool_cpu[0].average_backward(shape, buffers[1], buffers[2]);
}

static void resample(const void *shape)
{
    syn_pool_cpu[0].resample(shape, buffers[0], buffers[1]);
}

static void measure_pool(void)
{
    const int64_t shapes[][2] = {{64 * 6, 28}, {64 * 16, 10}, {64 * 64, 32}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t h = shapes[i][1];
        syn_pool_dims d = {.planes = shapes[i][0],
                           .h_in = h,
                           .w_in = h,
                           .h_out = h / 2,
                           .w_out = h / 2,
                           .kernel = {2, 2},
                           .stride = {2, 2},
                           .dilation = {1, 1}};
        double n = (double)(d.planes * h * h), forward = n * 4 + n / 4 * 8;
        char name[64];
        (void)snprintf(name, sizeof name, "pool %lldx%lldx%lld", (long long)d.planes, (long long)h,
                       (long long)h);
        char kind[96];
        (void)snprintf(kind, sizeof kind, "%s max", name);
        measure(kind, max_pool, &d, (work){0, forward});
        (void)snprintf(kind, sizeof kind, "%s max backward", name);
        measure(kind, max_pool_backward, &d, (work){0, forward});
        (void)snprintf(kind, sizeof kind, "%s average", name);
        measure(kind, average_pool, &d, (work){0, n * 5});
        (void)snprintf(kind, sizeof kind, "%s average backward", name);
        measure(kind, average_pool_backward, &d, (work){0, n * 5});
    }
    syn_resample_dims d = {.planes = 512, .h_in = 16, .w_in = 16, .h_out = 32, .w_out = 32};
    measure("resample 512x16x16 nearest", resample, &d, (work){0, 512.0 * 16 * 16 * 20});
    d.bilinear = true;
    measure("resample 512x16x16 bilinear", resample, &d, (work){0, 512.0 * 16 * 16 * 20});
}

/* ---- Normalisation ---- */

static void layer_norm(const void *shape)
{
    syn_norm_cpu[0].layer(shape, &(syn_norm_forward){buffers[0], buffers[1], buffers[2], 1e-5,
                                                     buffers[3], buffers[4], buffers[5]});
}

static syn_norm_backward norm_gradients(void)
{
    return (syn_norm_backward){buffers[0], buffers[6], buffers[4], buffers[5],
                               buffers[1], buffers[3], buffers[2], buffers[7]};
}

static void layer_norm_backward(const void *shape)
{
    syn_norm_backward a = norm_gradients();
    (void)syn_norm_cpu[0].layer_backward(shape, &a);
}

static void group_norm(const void *shape)
{
    syn_norm_cpu[0].group(shape, &(syn_norm_forward){buffers[0], buffers[1], buffers[2], 1e-5,
                                                     buffers[3], buffers[4], buffers[5]});
}

static void batch_norm(const void *shape)
{
    syn_norm_cpu[0].batch_stats(shape, buffers[0], buffers[4], buffers[5]);
    syn_norm_cpu[0].batch_apply(shape, &(syn_norm_forward){buffers[0], buffers[1], buffers[2], 1e-5,
                                                           buffers[3], buffers[4], buffers[5]});
}

static void batch_norm_backward(const void *shape)
{
    syn_norm_backward a = norm_gradients();
    (void)syn_norm_cpu[0].batch_backward(shape, true, &a);
}

static void measure_norm(void)
{
    syn_norm_dims gpt = {768, 128, 1, 1}, wide = {1024, 1024, 1, 1}, image = {8, 64, 56 * 56, 8};
    double small = 768 * 128 * 4, large = 1024 * 1024 * 4, planes = 8 * 64 * 56.0 * 56 * 4;
    measure("layer norm 768x128", layer_norm, &gpt, (work){0, 2 * small});
    measure("layer norm 768x128 backward", layer_norm_backward, &gpt, (work){0, 3 * small});
    measure("layer norm 1024x1024", layer_norm, &wide, (work){0, 2 * large});
    measure("layer norm 1024x1024 backward", layer_norm_backward, &wide, (work){0, 3 * large});
    measure("group norm 8x64x56x56", group_norm, &image, (work){0, 2 * planes});
    measure("batch norm 8x64x56x56", batch_norm, &image, (work){0, 3 * planes});
    measure("batch norm 8x64x56x56 backward", batch_norm_backward, &image, (work){0, 5 * planes});
}

/* ---- Softmax, cross-entropy, GELU ---- */

static void softmax(const void *shape)
{
    syn_softmax_cpu[0].softmax(shape, buffers[0], buffers[1]);
}

static void softmax_backward(const void *shape)
{
    syn_softmax_cpu[0].softmax_backward(shape, buffers[0], buffers[1], buffers[2]);
}

static void cross_entropy(const void *shape)
{
    (void)syn_softmax_cpu[0].cross_entropy(shape, buffers[1]);
}

static void cross_entropy_backward(const void *shape)
{
    syn_softmax_cpu[0].cross_entropy_backward(shape, buffers[1], 1e-3, buffers[2]);
}

static void gelu(const void *shape)
{
    syn_gelu_cpu[0].forward(*(const int64_t *)shape, buffers[0], buffers[1]);
}

static void gelu_backward(const void *shape)
{
    syn_gelu_cpu[0].backward(*(const int64_t *)shape, buffers[0], buffers[1], buffers[2]);
}

static void measure_elementwise(void)
{
    syn_softmax_dims rows = {768, 65, 1}, wide = {768, 5000, 1}, columns = {16, 64, 256};
    int64_t n = 768 * 512;
    measure("softmax 768x65", softmax, &rows, (work){0, 8 * 768.0 * 65});
    measure("softmax 768x65 backward", softmax_backward, &rows, (work){0, 12 * 768.0 * 65});
    measure("softmax 768x5000", softmax, &wide, (work){0, 8 * 768.0 * 5000});
    measure("softmax 16x64x256 axis 1", softmax, &columns, (work){0, 8 * 16 * 64 * 256.0});
    syn_cross_entropy_args args = {768, 65, buffers[0], classes, SYN_I64, -100, 0};
    measure("cross-entropy 768x65", cross_entropy, &args, (work){0, 4 * 768.0 * 65});
    measure("cross-entropy 768x65 backward", cross_entropy_backward, &args,
            (work){0, 8 * 768.0 * 65});
    measure("gelu 768x512", gelu, &n, (work){0, 8 * (double)n});
    measure("gelu 768x512 backward", gelu_backward, &n, (work){0, 12 * (double)n});
}

/* ---- Attention and LSTM ---- */

static void attention(const void *shape)
{
    const syn_attention_dims *d = shape;
    int64_t width = d->heads * d->head_dim;
    (void)syn_attention_cpu[0].forward(d, &(syn_attention_forward){buffers[0], buffers[0] + width,
                                                                   buffers[0] + 2 * width, NULL,
                                                                   buffers[1], buffers[2]});
}

static void attention_backward(const void *shape)
{
    const syn_attention_dims *d = shape;
    int64_t width = d->heads * d->head_dim;
    (void)syn_attention_cpu[0].backward(
        d, &(syn_attention_backward){buffers[0], buffers[0] + width, buffers[0] + 2 * width, NULL,
                                     buffers[2], buffers[1], buffers[3], buffers[3] + width,
                                     buffers[3] + 2 * width});
}

static void lstm(const void *shape)
{
    (void)syn_rnn_cpu[0].lstm(shape,
                              &(syn_lstm_forward){buffers[0], buffers[1], buffers[2], buffers[3],
                                                  buffers[3], buffers[4], buffers[5], buffers[6]});
}

static void lstm_backward(const void *shape)
{
    (void)syn_rnn_cpu[0].lstm_backward(
        shape,
        &(syn_lstm_backward){buffers[0], buffers[0], buffers[1], buffers[2], buffers[4], buffers[5],
                             buffers[6], buffers[7], buffers[3], buffers[7] + MOST / 2,
                             buffers[3] + MOST / 2, buffers[7] + MOST / 4});
}

static void measure_sequences(void)
{
    const int64_t shapes[][4] = {{12, 64, 4, 32}, {12, 256, 6, 64}, {1, 1024, 12, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t batch = shapes[i][0], steps = shapes[i][1], heads = shapes[i][2],
                dim = shapes[i][3];
        syn_attention_strides packed = {steps * 3 * heads * dim, dim, 3 * heads * dim};
        syn_attention_dims d = {batch,
                                heads,
                                steps,
                                steps,
                                dim,
                                packed,
                                packed,
                                packed,
                                {steps * heads * dim, dim, heads * dim},
                                1 / sqrt((double)dim),
                                true};
        double flops = 4 * (double)(batch * heads * steps * steps * dim);
        char name[96];
        (void)snprintf(name, sizeof name, "attention %lldx%lldx%lldx%lld", (long long)batch,
                       (long long)heads, (long long)steps, (long long)dim);
        measure(name, attention, &d, (work){flops, 0});
        (void)strcat(name, " backward");
        measure(name, attention_backward, &d, (work){2.5 * flops, 0});
    }
    syn_lstm_dims d = {32, 50, 64, 128};
    double flops = 2.0 * 32 * 50 * 4 * 128 * (64 + 128);
    measure("lstm 32x50x64-128", lstm, &d, (work){flops, 0});
    measure("lstm 32x50x64-128 backward", lstm_backward, &d, (work){2 * flops, 0});
}

int main(int argc, char **argv)
{
    wanted = argv + 1;
    n_wanted = argc - 1;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        if (!(buffers[i] = malloc((size_t)MOST * sizeof(float))))
            return 1;
        for (int64_t j = 0; j < MOST; j++)
            buffers[i][j] = (float)((j * 7919 + (int64_t)i) % 2001 - 1000) * 1e-3F;
    }
    if (!(places = calloc(MOST, sizeof *places)) || !(classes = calloc(768, sizeof *classes)))
        return 1;
    measure_conv();
    measure_pool();
    measure_norm();
    measure_elementwise();
    measure_sequences();
    return 0;
}
