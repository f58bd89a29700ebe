/* Convolution as seven nested loops. */
#ifndef REAL
#include "worker/kernels/conv.h"
#include <stddef.h>

/* Calls `visit` for every product of the convolution, as offsets into x, w and y. */
#define FOR_EACH_PRODUCT(d, x_at, w_at, y_at)                                                   \
    for (int64_t n = 0; n < (d)->n; n++)                                                        \
        for (int64_t co = 0; co < (d)->c_out; co++)                                             \
            for (int64_t oh = 0; oh < (d)->h_out; oh++)                                         \
                for (int64_t ow = 0; ow < (d)->w_out; ow++)                                     \
                    for (int64_t ci = 0; ci < (d)->c_in / (d)->groups; ci++)                    \
                        for (int64_t kh = 0; kh < (d)->kh; kh++)                                \
                            for (int64_t kw = 0, x_at, w_at, y_at; kw < (d)->kw; kw++)          \
                                if (product_is_inside(                                          \
                                        d, (const int64_t[]){n, co, oh, ow, ci, kh, kw}, &x_at, \
                                        &w_at, &y_at))

/* Whether the tap lies inside x (not in the padding), and the three offsets. `at` is n, co, oh, ow,
 * ci, kh, kw. */
static int product_is_inside(const syn_conv_dims *d, const int64_t at[7], int64_t *x_at,
                             int64_t *w_at, int64_t *y_at)
{
    int64_t c_in = d->c_in / d->groups;
    int64_t ih = at[2] * d->stride[0] - d->padding[0] + at[5] * d->dilation[0];
    int64_t iw = at[3] * d->stride[1] - d->padding[1] + at[6] * d->dilation[1];
    if (ih < 0 || ih >= d->h_in || iw < 0 || iw >= d->w_in)
        return 0;
    int64_t group = at[1] / (d->c_out / d->groups);
    *x_at = ((at[0] * d->c_in + group * c_in + at[4]) * d->h_in + ih) * d->w_in + iw;
    *w_at = ((at[1] * c_in + at[4]) * d->kh + at[5]) * d->kw + at[6];
    *y_at = ((at[0] * d->c_out + at[1]) * d->h_out + at[2]) * d->w_out + at[3];
    return 1;
}

#define SYN_BODY "worker/kernels/ref/conv.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                    \
    {                                                                  \
        .forward = forward_##type, .grad_input = grad_input_##type,    \
        .grad_weight = grad_weight_##type, .add_bias = add_bias_##type \
    }
const syn_conv_kernels syn_conv_ref[] = {TABLE(f32), TABLE(f64)};

#else

static syn_status KERNEL(forward)(const syn_conv_dims *d, const void *x_data, const void *w_data,
                                  const void *bias_data, void *y_data)
{
    const REAL *x = x_data, *w = w_data, *bias = bias_data;
    REAL *y = y_data;
    int64_t plane = d->h_out * d->w_out;
    for (int64_t i = 0; i < d->n * d->c_out * plane; i++)
        y[i] = bias ? bias[i / plane % d->c_out] : 0;
    FOR_EACH_PRODUCT(d, x_at, w_at, y_at)
    y[y_at] += x[x_at] * w[w_at];
    return SYN_OK;
}

static syn_status KERNEL(grad_input)(const syn_conv_dims *d, const void *grad_y_data,
                                     const void *w_data, void *grad_x_data)
{
    const REAL *grad_y = grad_y_data, *w = w_data;
    REAL *grad_x = grad_x_data;
    for (int64_t i = 0; i < d->n * d->c_in * d->h_in * d->w_in; i++)
        grad_x[i] = 0;
    FOR_EACH_PRODUCT(d, x_at, w_at, y_at)
    grad_x[x_at] += grad_y[y_at] * w[w_at];
    return SYN_OK;
}

static syn_status KERNEL(grad_weight)(const syn_conv_dims *d, const void *grad_y_data,
                                      const void *x_data, void *grad_w_data)
{
    const REAL *grad_y = grad_y_data, *x = x_data;
    REAL *grad_w = grad_w_data;
    for (int64_t i = 0; i < d->c_out * (d->c_in / d->groups) * d->kh * d->kw; i++)
        grad_w[i] = 0;
    FOR_EACH_PRODUCT(d, x_at, w_at, y_at)
    grad_w[w_at] += grad_y[y_at] * x[x_at];
    return SYN_OK;
}

static void KERNEL(add_bias)(int64_t n, int64_t c, int64_t plane, const void *bias, void *y)
{
    for (int64_t row = 0; row < n * c; row++)
        for (int64_t i = row * plane; i < (row + 1) * plane; i++)
            ((REAL *)y)[i] += ((const REAL *)bias)[row % c];
}

#endif
