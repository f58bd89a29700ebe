/* One update of one parameter, and sums over gradients: dense arrays of f32 or f64. */
#ifndef WORKER_KERNELS_OPTIM_H
#define WORKER_KERNELS_OPTIM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct syn_sgd_args {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize;
    bool is_first; /* momentum: the buffer is set to the gradient */
} syn_sgd_args;
typedef struct syn_adam_args {
    double lr, beta1, beta2, eps, weight_decay;
    bool
        is_decoupled; /* AdamW: the decay shrinks the parameter instead of adding to the gradient */
    bool maximize;
    int64_t step; /* of this update, from 1 */
} syn_adam_args;
typedef struct syn_rmsprop_args {
    double lr, alpha, eps, weight_decay, momentum;
    bool is_centered, maximize;
} syn_rmsprop_args;
typedef struct syn_adagrad_args {
    double lr, eps, weight_decay; /* lr: already decayed */
    bool maximize;
} syn_adagrad_args;

/* Parameter, gradient and state of n elements; state is updated in place, NULL where the options do
 * not need it. */
typedef struct syn_update {
    int64_t n;
    void *param;
    const void *grad;
    void *state[3];
} syn_update;

/* The order of operations is that of torch.optim's single-tensor functions (PyTorch 1.13). */
typedef struct syn_optim_kernels {
    /* state: momentum buffer. */
    void (*sgd)(const syn_update *u, const syn_sgd_args *args);
    /* state: exp_avg, exp_avg_sq, max_exp_avg_sq (AMSGrad) or NULL. */
    void (*adam)(const syn_update *u, const syn_adam_args *args);
    /* state: square_avg, momentum buffer or NULL, grad_avg (centered) or NULL. */
    void (*rmsprop)(const syn_update *u, const syn_rmsprop_args *args);
    /* state: sum. */
    void (*adagrad)(const syn_update *u, const syn_adagrad_args *args);
    /* The sum of squares in double, in an order that depends on n alone. */
    double (*sum_squares)(int64_t n, const void *x);
    void (*scale)(int64_t n, void *x, double factor);
} syn_optim_kernels;

/* By f32, f64. */
extern const syn_optim_kernels syn_optim_ref[];
extern const syn_optim_kernels syn_optim_cpu[];

#endif
