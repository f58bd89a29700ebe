/* Convolution as a matrix product: each sample's patches unrolled into a matrix (im2col), then
 * BLAS. */
#ifndef REAL
#include "common/base/mem.h"
#include "worker/kernels/cpu/conv_paths.h"
#include "worker/kernels/cpu/gemm.h"
#include "worker/kernels/workspace.h"
#include <string.h>

/* The product's extents for one sample and one group: w (rows, depth), patches (depth, columns), y
 * (rows, columns). */
typedef struct gemm_extents {
    int64_t rows, depth, columns, c_in, x_plane;
    int is_pointwise; /* the patches are x itself */
} gemm_extents;

static gemm_extents extents_of(const syn_conv_dims *d)
{
    gemm_extents e = {.rows = d->c_out / d->groups,
                      .c_in = d->c_in / d->groups,
                      .columns = d->h_out * d->w_out,
                      .x_plane = d->h_in * d->w_in};
    e.depth = e.c_in * d->kh * d->kw;
    e.is_pointwise = d->kh == 1 && d->kw == 1 && d->stride[0] == 1 && d->stride[1] == 1 &&
                     d->padding[0] == 0 && d->padding[1] == 0;
    return e;
}

/* The outputs [begin, end) whose tap `offset` lies inside an axis of `extent`. */
static void inside(int64_t extent, int64_t n_out, int64_t stride, int64_t offset, int64_t range[2])
{
    int64_t begin = offset < 0 ? (-offset + stride - 1) / stride : 0;
    int64_t end = extent - offset > 0 ? (extent - offset - 1) / stride + 1 : 0;
    range[1] = end < n_out ? end : n_out;
    range[0] = begin < range[1] ? begin : range[1];
}

/* Parts of n samples that are summed on their own: up to 8, as long as the parts' sums stay in
 * cache. */
static int64_t parts_of(int64_t n, int64_t n_w)
{
    enum { MOST_PARTS = 8, MOST_SUMS = 1 << 20 };
    int64_t most = n < MOST_PARTS ? n : MOST_PARTS;
    int64_t fit = n_w > 0 ? MOST_SUMS / n_w : most;
    most = fit < most ? fit : most;
    return most > 1 ? most : 1;
}

#define SYN_BODY "worker/kernels/cpu/conv_gemm.c"
#include "worker/kernels/each_real.h"

#else

/* patches (c_in * kh * kw, h_out * w_out) of one sample's group. */
static void KERNEL(unroll)(const syn_conv_dims *d, int64_t c_in, const REAL *x, REAL *patches)
{
    for (int64_t row = 0; row < c_in * d->kh * d->kw; row++) {
        int64_t kw = row % d->kw, kh = row / d->kw % d->kh, c = row / d->kw / d->kh;
        int64_t top = kh * d->dilation[0] - d->padding[0];
        int64_t left = kw * d->dilation[1] - d->padding[1], in[2];
        inside(d->w_in, d->w_out, d->stride[1], left, in);
        for (int64_t oh = 0; oh < d->h_out; oh++, patches += d->w_out) {
            int64_t ih = oh * d->stride[0] + top, s = d->stride[1];
            if (ih < 0 || ih >= d->h_in || in[0] == in[1]) {
                memset(patches, 0, (size_t)d->w_out * sizeof(REAL));
                continue;
            }
            const REAL *from = x + (c * d->h_in + ih) * d->w_in + left;
            memset(patches, 0, (size_t)in[0] * sizeof(REAL));
            memset(patches + in[1], 0, (size_t)(d->w_out - in[1]) * sizeof(REAL));
            if (s == 1)
                memcpy(patches + in[0], from + in[0], (size_t)(in[1] - in[0]) * sizeof(REAL));
            else
                for (int64_t ow = in[0]; ow < in[1]; ow++)
                    patches[ow] = from[ow * s];
        }
    }
}

/* The transpose: adds every patch element to the x it came from. */
static void KERNEL(fold)(const syn_conv_dims *d, int64_t c_in, const REAL *patches, REAL *x)
{
    for (int64_t row = 0; row < c_in * d->kh * d->kw; row++) {
        int64_t kw = row % d->kw, kh = row / d->kw % d->kh, c = row / d->kw / d->kh;
        int64_t top = kh * d->dilation[0] - d->padding[0];
        int64_t left = kw * d->dilation[1] - d->padding[1], in[2];
        inside(d->w_in, d->w_out, d->stride[1], left, in);
        for (int64_t oh = 0; oh < d->h_out; oh++, patches += d->w_out) {
            int64_t ih = oh * d->stride[0] + top;
            if (ih < 0 || ih >= d->h_in)
                continue;
            REAL *to = x + (c * d->h_in + ih) * d->w_in;
            for (int64_t ow = in[0]; ow < in[1]; ow++)
                to[ow * d->stride[1] + left] += patches[ow];
        }
    }
}

static void KERNEL(forward_one)(const syn_conv_dims *d, const gemm_extents *e,
                                const syn_conv_arrays *a, int64_t at, REAL *patches)
{
    int64_t group = at % d->groups;
    const REAL *x = (const REAL *)a->x + at * e->c_in * e->x_plane;
    const REAL *w = (const REAL *)a->w + group * e->rows * e->depth, *bias = a->bias;
    REAL *y = (REAL *)a->y + at * e->rows * e->columns;
    if (!e->is_pointwise)
        KERNEL(unroll)(d, e->c_in, x, patches);
    for (int64_t r = 0; bias && r < e->rows; r++)
        for (int64_t i = 0; i < e->columns; i++)
            y[r * e->columns + i] = bias[group * e->rows + r];
    KERNEL(syn_gemm)
    (&(syn_gemm){.m = e->rows,
                 .n = e->columns,
                 .k = e->depth,
                 .lda = e->depth,
                 .ldb = e->columns,
                 .ldc = e->columns,
                 .alpha = 1,
                 .beta = bias ? 1 : 0},
     w, e->is_pointwise ? x : patches, y);
}

static void KERNEL(grad_input_one)(const syn_conv_dims *d, const gemm_extents *e,
                                   const syn_conv_arrays *a, int64_t at, REAL *patches)
{
    REAL *x = (REAL *)a->x + at * e->c_in * e->x_plane;
    const REAL *w = (const REAL *)a->w + at % d->groups * e->rows * e->depth;
    const REAL *y = (const REAL *)a->y + at * e->rows * e->columns;
    KERNEL(syn_gemm)
    (&(syn_gemm){.transpose_a = true,
                 .m = e->depth,
                 .n = e->columns,
                 .k = e->rows,
                 .lda = e->depth,
                 .ldb = e->columns,
                 .ldc = e->columns,
                 .alpha = 1},
     w, y, e->is_pointwise ? x : patches);
    if (e->is_pointwise)
        return;
    memset(x, 0, (size_t)(e->c_in * e->x_plane) * sizeof(REAL));
    KERNEL(fold)(d, e->c_in, patches, x);
}

/* Where a part of the weights' gradient is summed. */
typedef struct KERNEL(target) {
    REAL *w, *patches;
    bool is_first;
} KERNEL(target);

/* One sample's group, added to w, or put there if it is the first. */
static void KERNEL(grad_weight_one)(const syn_conv_dims *d, const gemm_extents *e,
                                    const syn_conv_arrays *a, int64_t at, KERNEL(target) to)
{
    const REAL *x = (const REAL *)a->x + at * e->c_in * e->x_plane;
    const REAL *y = (const REAL *)a->y + at * e->rows * e->columns;
    if (!e->is_pointwise)
        KERNEL(unroll)(d, e->c_in, x, to.patches);
    KERNEL(syn_gemm)
    (&(syn_gemm){.transpose_b = true,
                 .m = e->rows,
                 .n = e->depth,
                 .k = e->columns,
                 .lda = e->columns,
                 .ldb = e->columns,
                 .ldc = e->depth,
                 .alpha = 1,
                 .beta = to.is_first ? 0 : 1},
     y, e->is_pointwise ? x : to.patches, to.w + at % d->groups * e->rows * e->depth);
}

/* Samples in parts that the extents decide, each summed in order, then the parts in order: one sum,
 * whatever the number of threads. */
static syn_status KERNEL(grad_weight)(const syn_conv_dims *d, const gemm_extents *e,
                                      const syn_conv_arrays *a, size_t patches_bytes)
{
    int64_t n_w = d->groups * e->rows * e->depth, n_parts = parts_of(d->n, n_w);
    size_t sums = syn_workspace_round((size_t)(n_parts * n_w) * sizeof(REAL));
    size_t each = syn_workspace_round(patches_bytes);
    char *memory = syn_workspace(sums + (size_t)n_parts * each, "the patches of a convolution");
    if (!memory)
        return SYN_RESOURCE_EXHAUSTED;
    REAL *parts = n_parts > 1 ? (REAL *)(void *)memory : a->w, *w = a->w;
#pragma omp parallel for schedule(static) if (n_parts > 1)
    for (int64_t part = 0; part < n_parts; part++) {
        KERNEL(target)
        to = {parts + part * n_w, (REAL *)(void *)(memory + sums + (size_t)part * each), true};
        int64_t begin = d->n * part / n_parts, end = d->n * (part + 1) / n_parts;
        for (int64_t at = begin * d->groups; at < end * d->groups; at++) {
            to.is_first = at < (begin + 1) * d->groups;
            KERNEL(grad_weight_one)(d, e, a, at, to);
        }
    }
    for (int64_t i = 0; n_parts > 1 && i < n_w; i++) {
        w[i] = parts[i];
        for (int64_t part = 1; part < n_parts; part++)
            w[i] += parts[part * n_w + i];
    }
    return SYN_OK;
}

syn_status KERNEL(syn_conv_gemm)(syn_conv_kind kind, const syn_conv_dims *d,
                                 const syn_conv_arrays *a)
{
    gemm_extents e = extents_of(d);
    size_t size = e.is_pointwise ? 64 : (size_t)(e.depth * e.columns) * sizeof(REAL);
    if (kind == SYN_CONV_GRAD_WEIGHT)
        return KERNEL(grad_weight)(d, &e, a, size);
    int n_failed = 0;
#pragma omp parallel for schedule(static) reduction(+ : n_failed) if (d->n * d->groups > 1)
    for (int64_t at = 0; at < d->n * d->groups; at++) {
        REAL *patches = syn_workspace(size, "the patches of a convolution");
        if (!patches)
            n_failed++;
        else if (kind == SYN_CONV_FORWARD)
            KERNEL(forward_one)(d, &e, a, at, patches);
        else
            KERNEL(grad_input_one)(d, &e, a, at, patches);
    }
    return n_failed ? syn_fail_memory(size, "the patches of a convolution") : SYN_OK;
}

#endif
