/* Layer, group and batch normalisation: y = (x - mean) * rstd * weight + bias, rstd = 1 /
 * sqrt(variance + eps). */
#ifndef WORKER_KERNELS_NORM_H
#define WORKER_KERNELS_NORM_H

#include <stdbool.h>
#include <stdint.h>
#include <syncline/status.h>

/* x is (n, channels, inner). Layer norm: n rows of `channels` elements, inner 1; group norm:
 * `groups` runs of channels of each sample; batch norm: each channel over n and inner. */
typedef struct syn_norm_dims {
    int64_t n, channels, inner, groups;
} syn_norm_dims;

/* Arrays are dense and of the kernel's type. weight and bias (channels) may be NULL: 1 and 0.
 * Statistics: layer norm n, group norm n * groups, batch norm `channels` of them. */
typedef struct syn_norm_forward {
    const void *x, *weight, *bias;
    double eps;
    void *y, *mean, *rstd;
} syn_norm_forward;

/* Outputs that are NULL are not computed. */
typedef struct syn_norm_backward {
    const void *grad_y, *x, *mean, *rstd, *weight;
    void *grad_x, *grad_weight, *grad_bias;
} syn_norm_backward;

typedef struct syn_norm_kernels {
    /* Writes y, mean and rstd. Follows torch.nn.functional.layer_norm and group_norm (biased
     * variance). */
    void (*layer)(const syn_norm_dims *dims, const syn_norm_forward *a);
    syn_status (*layer_backward)(const syn_norm_dims *dims, const syn_norm_backward *a);
    void (*group)(const syn_norm_dims *dims, const syn_norm_forward *a);
    syn_status (*group_backward)(const syn_norm_dims *dims, const syn_norm_backward *a);
    /* Each channel's mean and biased variance. */
    void (*batch_stats)(const syn_norm_dims *dims, const void *x, void *mean, void *variance);
    /* rstd (channels) = 1 / sqrt(variance + eps). */
    void (*batch_rstd)(int64_t channels, double eps, const void *variance, void *rstd);
    /* running (channels) = (1 - momentum) running + momentum factor stat. */
    void (*batch_track)(int64_t channels, const double momentum_factor[2], const void *stat,
                        void *running);
    /* Reads mean and rstd, writes y. */
    void (*batch_apply)(const syn_norm_dims *dims, const syn_norm_forward *a);
    /* `training`: mean and rstd are functions of x; else constants. */
    syn_status (*batch_backward)(const syn_norm_dims *dims, bool training,
                                 const syn_norm_backward *a);
} syn_norm_kernels;

extern const syn_norm_kernels syn_norm_ref[];
extern const syn_norm_kernels syn_norm_cpu[];

#endif
