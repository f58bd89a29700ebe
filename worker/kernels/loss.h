/* Element-wise losses, summed, and their gradients with respect to the input. */
#ifndef WORKER_KERNELS_LOSS_H
#define WORKER_KERNELS_LOSS_H

#include <stdint.h>

/* X(NAME, what one pair of elements contributes). */
#define SYN_LOSS_LIST(X)                                                    \
    X(MSE, "(x - t)^2")                                                     \
    X(SMOOTH_L1, "d^2 / (2 beta) if d = |x - t| < beta, else d - beta / 2") \
    X(BCE_WITH_LOGITS, "max(x, 0) - x t + log(1 + exp(-|x|))")              \
    X(KL_DIV, "t (log t - x), 0 where t = 0; x is a log-probability")

typedef enum syn_loss_kind {
#define SYN_LOSS_ENUM(name, formula) SYN_LOSS_##name,
    SYN_LOSS_LIST(SYN_LOSS_ENUM)
#undef SYN_LOSS_ENUM
} syn_loss_kind;

typedef struct syn_loss_args {
    syn_loss_kind kind;
    int64_t n;
    double beta; /* smooth_l1 only */
    const void *x, *target;
} syn_loss_args;

typedef struct syn_loss_kernels {
    double (*sum)(const syn_loss_args *a);
    /* grad_x = scale * d(sum) / dx. */
    void (*backward)(const syn_loss_args *a, double scale, void *grad_x);
} syn_loss_kernels;

extern const syn_loss_kernels syn_loss_ref[];
extern const syn_loss_kernels syn_loss_cpu[];

#endif
