/* Two-dimensional convolution on dense NCHW arrays: the product and its two gradients. */
#ifndef WORKER_KERNELS_CONV_H
#define WORKER_KERNELS_CONV_H

#include <stdint.h>
#include <syncline/dtype.h>
#include <syncline/status.h>

/* x (n, c_in, h_in, w_in), w (c_out, c_in / groups, kh, kw), y (n, c_out, h_out, w_out), all
 * row-major. The caller has checked that the extents agree; any of them may be 0 except strides,
 * dilations and groups. */
typedef struct syn_conv_dims {
    int64_t n, c_in, h_in, w_in;
    int64_t c_out, h_out, w_out;
    int64_t kh, kw;
    int64_t stride[2], padding[2], dilation[2];
    int64_t groups;
} syn_conv_dims;

/* Follows torch.nn.functional.conv2d (a cross-correlation). A transposed convolution is grad_input
 * with x and y in exchanged roles. All return RESOURCE_EXHAUSTED when there is no memory for a
 * workspace. */
typedef struct syn_conv_kernels {
    /* y = x * w + bias; bias (c_out) may be NULL. */
    syn_status (*forward)(const syn_conv_dims *dims, const void *x, const void *w, const void *bias,
                          void *y);
    /* grad_x from grad_y and w. */
    syn_status (*grad_input)(const syn_conv_dims *dims, const void *grad_y, const void *w,
                             void *grad_x);
    /* grad_w from grad_y and x. */
    syn_status (*grad_weight)(const syn_conv_dims *dims, const void *grad_y, const void *x,
                              void *grad_w);
    /* y (n, c, plane) += bias (c). */
    void (*add_bias)(int64_t n, int64_t c, int64_t plane, const void *bias, void *y);
} syn_conv_kernels;

/* Readable loops; the oracle of the tests. */
extern const syn_conv_kernels syn_conv_ref[];
/* f32: oneDNN, f64: im2col and BLAS. */
extern const syn_conv_kernels syn_conv_cpu[];

#endif
