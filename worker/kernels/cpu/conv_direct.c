/* Convolution of few channels as loops over image rows: oneDNN's blocks of 16 channels would be
 * mostly empty. Vectors run along the width; a block of output channels stays in registers. f32,
 * stride and dilation 1, one group. */
#include "worker/kernels/backend.h"
#include "worker/kernels/cpu/conv_paths.h"
#include "worker/kernels/workspace.h"
#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <string.h>

#define REAL         float
#define KERNEL(name) name##_f32
#include "worker/kernels/cpu/lanes.h"

enum { N_PARTS = 8, MOST_TAPS = 7 };

/* One sample's convolution: x (c_in, h, w) is padded to (c_in, h_padded, w_padded) first. */
typedef struct direct {
    int64_t c_in, h, w, h_padded, w_padded, top, left;
    int64_t c_out, h_out, w_out, kh, kw;
} direct;

static bool is_padded(const direct *d)
{
    return d->h_padded != d->h || d->w_padded != d->w;
}

/* The sample with its margin; the margin of `room` is zero already. */
static const float *padded(const direct *d, const float *x, float *room)
{
    if (!is_padded(d))
        return x;
    for (int64_t c = 0; c < d->c_in; c++)
        for (int64_t row = 0; row < d->h; row++)
            memcpy(room + (c * d->h_padded + row + d->top) * d->w_padded + d->left,
                   x + (c * d->h + row) * d->w, (size_t)d->w * sizeof(float));
    return room;
}

static size_t padded_bytes(const direct *d)
{
    return is_padded(d)
               ? syn_workspace_round((size_t)(d->c_in * d->h_padded * d->w_padded) * sizeof(float))
               : 0;
}

/* ---- y = conv(x, w) for a block of channels: w is packed as (c_in, kh, kw, block) ---- */

/* name(d, x, w, bias, y): `block` channels at once. The last vector of a row begins early enough to
 * end with it, and computes some elements again; rows shorter than a vector read zeros of the
 * margin. */
#define DIRECT_BLOCK(name, block)                                                               \
    SYN_MULTIARCH static void name(const direct *d, const float *x, const float *w,             \
                                   const float *bias, float *y)                                 \
    {                                                                                           \
        enum { WIDTH = LANES_f32 };                                                             \
        size_t short_row = (size_t)d->w_out * sizeof(float);                                    \
        int64_t plane = d->h_out * d->w_out, taps = d->kh * d->kw;                              \
        for (int64_t oh = 0; oh < d->h_out; oh++) {                                             \
            int64_t first = oh < d->top ? d->top - oh : 0; /* rows of the margin add nothing */ \
            int64_t below = d->h + d->top - oh, last = d->kh < below ? d->kh : below;           \
            for (int64_t at = 0; at < d->w_out; at += WIDTH) {                                  \
                int64_t ow = at + WIDTH <= d->w_out || !at ? at : d->w_out - WIDTH;             \
                lanes_f32 sums[block];                                                          \
                for (int c = 0; c < (block); c++)                                               \
                    sums[c] = (lanes_f32){0} + (bias ? bias[c] : 0);                            \
                for (int64_t ci = 0; ci < d->c_in; ci++) {                                      \
                    const float *tap = w + (ci * taps + first * d->kw) * (block);               \
                    const float *row = x + (ci * d->h_padded + oh + first) * d->w_padded + ow;  \
                    for (int64_t kh = first; kh < last; kh++, row += d->w_padded)               \
                        for (int64_t kw = 0; kw < d->kw; kw++, tap += (block)) {                \
                            lanes_f32 v = *(const lanes_f32 *)(row + kw);                       \
                            for (int c = 0; c < (block); c++)                                   \
                                sums[c] += v * tap[c];                                          \
                        }                                                                       \
                }                                                                               \
                for (int c = 0; c < (block); c++) {                                             \
                    float *to = y + c * plane + oh * d->w_out + ow;                             \
                    if (d->w_out < WIDTH)                                                       \
                        memcpy(to, &sums[c], short_row);                                        \
                    else                                                                        \
                        *(lanes_f32 *)to = sums[c];                                             \
                }                                                                               \
            }                                                                                   \
        }                                                                                       \
    }
DIRECT_BLOCK(block_8, 8)
DIRECT_BLOCK(block_6, 6)
DIRECT_BLOCK(block_4, 4)
DIRECT_BLOCK(block_2, 2)
DIRECT_BLOCK(block_1, 1)

typedef void (*block_fn)(const direct *d, const float *x, const float *w, const float *bias,
                         float *y);

static const struct {
    int64_t channels;
    block_fn run;
} blocks[] = {{8, block_8}, {6, block_6}, {4, block_4}, {2, block_2}, {1, block_1}};

/* The largest block that fits into the channels left. */
static int block_for(int64_t channels_left)
{
    int i = 0;
    while (blocks[i].channels > channels_left)
        i++;
    return i;
}

/* w (c_out, c_in, kh, kw), or for the input's gradient its transpose with the taps turned round,
 * packed block by block. */
static void pack(const direct *d, const float *w, bool is_transposed, float *out)
{
    int64_t taps = d->kh * d->kw;
    for (int64_t co = 0; co < d->c_out;) {
        int64_t block = blocks[block_for(d->c_out - co)].channels;
        for (int64_t ci = 0; ci < d->c_in; ci++)
            for (int64_t tap = 0; tap < taps; tap++)
                for (int64_t c = 0; c < block; c++)
                    *out++ = is_transposed ? w[(ci * d->c_out + co + c) * taps + taps - 1 - tap]
                                           : w[((co + c) * d->c_in + ci) * taps + tap];
        co += block;
    }
}

static void convolve_sample(const direct *d, const float *x, const float *packed, const float *bias,
                            float *y)
{
    for (int64_t co = 0; co < d->c_out;) {
        int i = block_for(d->c_out - co);
        blocks[i].run(d, x, packed + co * d->c_in * d->kh * d->kw, bias ? bias + co : NULL,
                      y + co * d->h_out * d->w_out);
        co += blocks[i].channels;
    }
}

/* All samples. `is_transposed` as for pack. */
static syn_status convolve(const direct *d, int64_t n, const float *const in[3], float *y,
                           bool is_transposed)
{
    size_t weights =
        syn_workspace_round((size_t)(d->c_out * d->c_in * d->kh * d->kw) * sizeof(float));
    size_t image = padded_bytes(d), n_threads = (size_t)omp_get_max_threads();
    char *memory = syn_workspace(weights + n_threads * image, "a convolution");
    if (!memory)
        return SYN_RESOURCE_EXHAUSTED;
    float *packed = (float *)(void *)memory;
    pack(d, in[1], is_transposed, packed);
    memset(memory + weights, 0, n_threads * image);
#pragma omp parallel for schedule(static) if (n > 1)
    for (int64_t i = 0; i < n; i++) {
        char *room = memory + weights + (size_t)omp_get_thread_num() * image;
        const float *x = padded(d, in[0] + i * d->c_in * d->h * d->w, (float *)(void *)room);
        convolve_sample(d, x, packed, in[2], y + i * d->c_out * d->h_out * d->w_out);
    }
    return SYN_OK;
}

/* ---- grad_w: lanes along the width collect products ---- */

/* Channels taken at a time: 3 where that divides them and 4 does not. */
static int64_t block_of(const direct *d)
{
    return d->c_out % 4 && d->c_out % 3 == 0 ? 3 : 4;
}

/* Adds one sample's products to sums (kw, block) of one input channel and kernel row. x is its
 * first padded row. The last vector of a row overlaps the one before, and `fresh` blanks what that
 * one has counted. */
#define GRADIENT_BLOCK(name, n_taps, block)                                                     \
    SYN_MULTIARCH static void name(const direct *d, const float *x, const float *grad_y,        \
                                   const float *fresh, lanes_f32 *sums)                         \
    {                                                                                           \
        lanes_f32 s[n_taps][block];                                                             \
        int64_t plane = d->h_out * d->w_out;                                                    \
        memcpy(s, sums, sizeof(s));                                                             \
        for (int64_t oh = 0; oh < d->h_out; oh++)                                               \
            for (int64_t at = 0; at < d->w_out; at += LANES_f32) {                              \
                bool is_last = at + LANES_f32 > d->w_out;                                       \
                int64_t ow = is_last ? d->w_out - LANES_f32 : at;                               \
                lanes_f32 g[block];                                                             \
                for (int c = 0; c < (block); c++)                                               \
                    g[c] = *(const lanes_f32 *)(grad_y + c * plane + oh * d->w_out + ow);       \
                for (int c = 0; is_last && c < (block); c++)                                    \
                    g[c] *= *(const lanes_f32 *)fresh;                                          \
                for (int t = 0; t < (n_taps); t++) {                                            \
                    lanes_f32 v = *(const volatile lanes_f32 *)(x + oh * d->w_padded + ow + t); \
                    for (int c = 0; c < (block); c++)                                           \
                        s[t][c] += v * g[c];                                                    \
                }                                                                               \
            }                                                                                   \
        memcpy(sums, s, sizeof(s));                                                             \
    }
GRADIENT_BLOCK(gradient_1_3, 1, 3)
GRADIENT_BLOCK(gradient_2_3, 2, 3)
GRADIENT_BLOCK(gradient_3_3, 3, 3)
GRADIENT_BLOCK(gradient_4_3, 4, 3)
GRADIENT_BLOCK(gradient_5_3, 5, 3)
GRADIENT_BLOCK(gradient_6_3, 6, 3)
GRADIENT_BLOCK(gradient_7_3, 7, 3)
GRADIENT_BLOCK(gradient_1_4, 1, 4)
GRADIENT_BLOCK(gradient_2_4, 2, 4)
GRADIENT_BLOCK(gradient_3_4, 3, 4)
GRADIENT_BLOCK(gradient_4_4, 4, 4)
GRADIENT_BLOCK(gradient_5_4, 5, 4)
GRADIENT_BLOCK(gradient_6_4, 6, 4)
GRADIENT_BLOCK(gradient_7_4, 7, 4)

typedef void (*gradient_fn)(const direct *d, const float *x, const float *grad_y,
                            const float *fresh, lanes_f32 *sums);

/* By taps of a kernel row, and by channels of a block less 3. */
static const gradient_fn gradients[][2] = {
    {gradient_1_3, gradient_1_4}, {gradient_2_3, gradient_2_4}, {gradient_3_3, gradient_3_4},
    {gradient_4_3, gradient_4_4}, {gradient_5_3, gradient_5_4}, {gradient_6_3, gradient_6_4},
    {gradient_7_3, gradient_7_4}};

/* Adds to sums (c_out / block, c_in, kh, kw, block). */
static void add_sample(const direct *d, const float *x, const float *grad_y, lanes_f32 *sums)
{
    float fresh[16];
    int64_t block = block_of(d), counted = (16 - d->w_out % 16) % 16;
    for (int64_t l = 0; l < 16; l++)
        fresh[l] = l < counted ? 0 : 1;
    for (int64_t co = 0; co < d->c_out; co += block)
        for (int64_t ci = 0; ci < d->c_in; ci++)
            for (int64_t kh = 0; kh < d->kh; kh++, sums += d->kw * block)
                gradients[d->kw - 1][block - 3](d, x + (ci * d->h_padded + kh) * d->w_padded,
                                                grad_y + co * d->h_out * d->w_out, fresh, sums);
}

SYN_MULTIARCH static float total_of(const lanes_f32 *sums)
{
    return tree_sum_f32(sums);
}

/* grad_w from the parts' sums, added in order. */
static void collect(const direct *d, int64_t n_sums, const lanes_f32 *sums, float *grad_w)
{
    int64_t taps = d->kh * d->kw, block = block_of(d);
    for (int64_t co = 0; co < d->c_out; co++)
        for (int64_t ci = 0; ci < d->c_in; ci++)
            for (int64_t tap = 0; tap < taps; tap++) {
                int64_t at = ((co / block * d->c_in + ci) * taps + tap) * block + co % block;
                double total = 0;
                for (int part = 0; part < N_PARTS; part++)
                    total += (double)total_of(&sums[part * n_sums + at]);
                grad_w[(co * d->c_in + ci) * taps + tap] = (float)total;
            }
}

/* Samples are divided into N_PARTS parts, whatever the number of threads. Where c_out is no
 * multiple of the block, each gradient is copied to a place that has zeros behind it. */
static syn_status gradient_of_weight(const direct *d, int64_t n, const float *const in[2],
                                     float *grad_w)
{
    int64_t block = block_of(d), channels = (d->c_out + block - 1) / block * block;
    int64_t n_sums = channels * d->c_in * d->kh * d->kw, plane = d->h_out * d->w_out;
    size_t sums_bytes = N_PARTS * (size_t)n_sums * sizeof(lanes_f32), image = padded_bytes(d);
    bool is_ragged = channels != d->c_out;
    size_t gradient = is_ragged ? (size_t)(channels * plane) * sizeof(float) : 0;
    gradient = syn_workspace_round(gradient);
    char *memory = syn_workspace(sums_bytes + N_PARTS * (image + gradient), "a convolution");
    if (!memory)
        return SYN_RESOURCE_EXHAUSTED;
    memset(memory, 0, sums_bytes + N_PARTS * (image + gradient));
    lanes_f32 *sums = (lanes_f32 *)(void *)memory;
#pragma omp parallel for schedule(static) if (n > 1)
    for (int part = 0; part < N_PARTS; part++) {
        char *room = memory + sums_bytes + (size_t)part * (image + gradient);
        for (int64_t i = n * part / N_PARTS; i < n * (part + 1) / N_PARTS; i++) {
            const float *x = padded(d, in[1] + i * d->c_in * d->h * d->w, (float *)(void *)room);
            const float *grad_y = in[0] + i * d->c_out * plane;
            if (is_ragged) {
                memcpy(room + image, grad_y, (size_t)(d->c_out * plane) * sizeof(float));
                grad_y = (const float *)(void *)(room + image);
            }
            add_sample(d, x, grad_y, sums + part * n_sums);
        }
    }
    collect(d, n_sums, sums, grad_w);
    return SYN_OK;
}

/* ---- The path ---- */

/* Rows are read as at least one vector. */
static int64_t whole_vectors(int64_t width)
{
    return width < LANES_f32 ? LANES_f32 : width;
}

static direct forward_of(const syn_conv_dims *d)
{
    return (direct){.c_in = d->c_in,
                    .h = d->h_in,
                    .w = d->w_in,
                    .h_padded = d->h_out + d->kh - 1,
                    .w_padded = whole_vectors(d->w_out) + d->kw - 1,
                    .top = d->padding[0],
                    .left = d->padding[1],
                    .c_out = d->c_out,
                    .h_out = d->h_out,
                    .w_out = d->w_out,
                    .kh = d->kh,
                    .kw = d->kw};
}

/* The convolution of grad_y with the turned kernel, padded by what the kernel overhangs. */
static direct backward_of(const syn_conv_dims *d)
{
    return (direct){.c_in = d->c_out,
                    .h = d->h_out,
                    .w = d->w_out,
                    .h_padded = d->h_in + d->kh - 1,
                    .w_padded = whole_vectors(d->w_in) + d->kw - 1,
                    .top = d->kh - 1 - d->padding[0],
                    .left = d->kw - 1 - d->padding[1],
                    .c_out = d->c_in,
                    .h_out = d->h_in,
                    .w_out = d->w_in,
                    .kh = d->kh,
                    .kw = d->kw};
}

bool syn_conv_direct_suits(syn_conv_kind kind, const syn_conv_dims *d)
{
    enum { MOST_BYTES = 256 << 10 }; /* of a padded sample: it is read for each row */
    for (int axis = 0; axis < 2; axis++)
        if (d->stride[axis] != 1 || d->dilation[axis] != 1)
            return false;
    direct f = kind == SYN_CONV_GRAD_INPUT ? backward_of(d) : forward_of(d);
    bool fits = d->groups == 1 && f.top >= 0 && f.left >= 0 && f.h + f.top <= f.h_padded &&
                f.w + f.left <= f.w_padded &&
                f.c_in * f.h_padded * f.w_padded * (int64_t)sizeof(float) <= MOST_BYTES;
    if (kind == SYN_CONV_GRAD_WEIGHT)
        return fits && d->c_in <= 3 && d->c_out <= 16 && d->kw <= MOST_TAPS && d->w_out >= 16;
    return fits && f.w_out >= 9 && ((f.c_out >= 4 && f.c_out < 12) || f.c_in <= 3);
}

syn_status syn_conv_direct(syn_conv_kind kind, const syn_conv_dims *d, const syn_conv_arrays *a)
{
    direct f = kind == SYN_CONV_GRAD_INPUT ? backward_of(d) : forward_of(d);
    if (kind == SYN_CONV_FORWARD)
        return convolve(&f, d->n, (const float *const[]){a->x, a->w, a->bias}, a->y, false);
    if (kind == SYN_CONV_GRAD_INPUT)
        return convolve(&f, d->n, (const float *const[]){a->y, a->w, NULL}, a->x, true);
    return gradient_of_weight(&f, d->n, (const float *const[]){a->y, a->x}, a->w);
}
