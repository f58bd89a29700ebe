/* Pooling and resampling of planes: arrays (planes, h, w), where planes is batch times channels. */
#ifndef WORKER_KERNELS_POOL_H
#define WORKER_KERNELS_POOL_H

#include <stdbool.h>
#include <stdint.h>

/* Output (i, j) sees the elements i * stride - padding + k * dilation, k < kernel, that lie inside
 * the plane. */
typedef struct syn_pool_dims {
    int64_t planes, h_in, w_in, h_out, w_out;
    int64_t kernel[2], stride[2], padding[2];
    int64_t dilation[2]; /* max only; averages want 1 */
    int64_t divisor;     /* averages: divide by this; 0: by the window's area */
    bool count_padding;  /* averages: the window's area includes padding */
} syn_pool_dims;

/* How an output pixel reads the input. */
typedef struct syn_resample_dims {
    int64_t planes, h_in, w_in, h_out, w_out;
    double scale[2]; /* input pixels an output pixel, 0: from the extents */
    bool bilinear, align_corners;
    bool exact; /* nearest to the pixel's centre, not to its corner */
} syn_resample_dims;

/* Gradients are sums over the windows that saw an element; grad_x is overwritten. Arrays are dense.
 */
typedef struct syn_pool_kernels {
    /* The largest element (the first of equals; NaN above all) and where it was, row * w_in +
     * column; -infinity and -1 where a window sees nothing. */
    void (*max)(const syn_pool_dims *dims, const void *x, void *y, int32_t *index);
    void (*max_backward)(const syn_pool_dims *dims, const void *grad_y, const int32_t *index,
                         void *grad_x);
    /* y = x[index], the transpose of max_backward. */
    void (*max_gather)(const syn_pool_dims *dims, const void *x, const int32_t *index, void *y);
    /* The sum of the window over its divisor, as torch.nn.functional.avg_pool2d. */
    void (*average)(const syn_pool_dims *dims, const void *x, void *y);
    void (*average_backward)(const syn_pool_dims *dims, const void *grad_y, void *grad_x);
    /* Windows [floor(i * in / out), ceil((i + 1) * in / out)), as
     * torch.nn.functional.adaptive_avg_pool2d. Uses only the extents of dims. */
    void (*adaptive)(const syn_pool_dims *dims, const void *x, void *y);
    void (*adaptive_backward)(const syn_pool_dims *dims, const void *grad_y, void *grad_x);
    /* As torch.nn.functional.interpolate with size=. */
    void (*resample)(const syn_resample_dims *dims, const void *x, void *y);
    void (*resample_backward)(const syn_resample_dims *dims, const void *grad_y, void *grad_x);
} syn_pool_kernels;

extern const syn_pool_kernels syn_pool_ref[];
extern const syn_pool_kernels syn_pool_cpu[];

#endif
