/* Softmax, its logarithm, and cross-entropy with class indices. */
#ifndef WORKER_KERNELS_SOFTMAX_H
#define WORKER_KERNELS_SOFTMAX_H

#include <stdint.h>
#include <syncline/dtype.h>

/* An array (outer, n, inner), dense; the softmax runs over the middle axis. */
typedef struct syn_softmax_dims {
    int64_t outer, n, inner;
} syn_softmax_dims;

/* logits (rows, classes); target (rows) of i64, i32 or u8. */
typedef struct syn_cross_entropy_args {
    int64_t rows, classes;
    const void *logits, *target;
    syn_dtype target_dtype;
    int64_t ignored_class; /* stands for "no target": the row counts for nothing */
    double label_smoothing;
} syn_cross_entropy_args;

typedef struct syn_softmax_kernels {
    void (*softmax)(const syn_softmax_dims *dims, const void *x, void *y);
    void (*softmax_backward)(const syn_softmax_dims *dims, const void *grad_y, const void *y,
                             void *grad_x);
    void (*log_softmax)(const syn_softmax_dims *dims, const void *x, void *y);
    void (*log_softmax_backward)(const syn_softmax_dims *dims, const void *grad_y, const void *y,
                                 void *grad_x);
    /* The sum of the rows' losses, and each row's log(sum(exp(logits))). Targets are valid. */
    double (*cross_entropy)(const syn_cross_entropy_args *a, void *log_sum);
    /* grad_logits = scale * d(sum of losses) / d(logits). */
    void (*cross_entropy_backward)(const syn_cross_entropy_args *a, const void *log_sum,
                                   double scale, void *grad_logits);
} syn_softmax_kernels;

extern const syn_softmax_kernels syn_softmax_ref[];
extern const syn_softmax_kernels syn_softmax_cpu[];

/* Element `row` of the targets. */
static inline int64_t syn_target_class(const syn_cross_entropy_args *a, int64_t row)
{
    switch (a->target_dtype) {
    case SYN_U8:
        return ((const uint8_t *)a->target)[row];
    case SYN_I32:
        return ((const int32_t *)a->target)[row];
    default:
        return ((const int64_t *)a->target)[row];
    }
}

/* The first row whose class is neither in [0, classes) nor ignored, -1 if there is none; and how
 * many rows count. */
int64_t syn_target_find_invalid(const syn_cross_entropy_args *a, int64_t *n_counted_out);

#endif
