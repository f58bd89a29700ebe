/* Optimizers and learning-rate schedules, with torch.optim's meanings and defaults. */
#ifndef SYNCLINE_OPTIM_H
#define SYNCLINE_OPTIM_H

#include <syncline/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct syn_optimizer syn_optimizer;

typedef struct syn_sgd_options {
    double lr; /* 0 means 0.01 */
    double momentum, dampening, weight_decay;
    bool nesterov, maximize;
    bool decay_2d_only; /* weight decay on parameters of two or more dimensions only */
} syn_sgd_options;
typedef struct syn_adam_options {
    double lr;           /* 0 means 1e-3 */
    double beta1, beta2; /* both 0 means 0.9, 0.999 */
    double eps;          /* 0 means 1e-8 */
    double weight_decay;
    bool amsgrad, maximize;
    bool decay_2d_only;
} syn_adam_options;

typedef struct syn_rmsprop_options {
    double lr;    /* 0 means 0.01 */
    double alpha; /* 0 means 0.99 */
    double eps;   /* 0 means 1e-8 */
    double weight_decay, momentum;
    bool centered, maximize;
    bool decay_2d_only;
} syn_rmsprop_options;
typedef struct syn_adagrad_options {
    double lr; /* 0 means 0.01 */
    double lr_decay, weight_decay, initial_accumulator_value;
    double eps; /* 0 means 1e-10 */
    bool maximize;
    bool decay_2d_only;
} syn_adagrad_options;

/* The optimizer keeps references to the module's parameters (f32 or f64); convert the module
 * before. NULL with the sticky error set on failure. */
syn_optimizer *syn_sgd(syn_parameters parameters, syn_sgd_options options);
syn_optimizer *syn_adam(syn_parameters parameters,
                        syn_adam_options options); /* L2: decay added to the gradient */
syn_optimizer *syn_adamw(syn_parameters parameters, syn_adam_options options); /* decoupled decay */
syn_optimizer *syn_rmsprop(syn_parameters parameters, syn_rmsprop_options options);
syn_optimizer *syn_adagrad(syn_parameters parameters, syn_adagrad_options options);
void syn_optimizer_free(syn_optimizer *optimizer);
/* One update of every parameter that has a gradient. Errors (no memory for state) stick. */
void syn_optimizer_step(syn_optimizer *optimizer);
void syn_optimizer_zero_grad(syn_optimizer *optimizer);
double syn_optimizer_get_lr(const syn_optimizer *optimizer);
void syn_optimizer_set_lr(syn_optimizer *optimizer, double lr);
/* State tensors for checkpoints: "exp_avg.<parameter>", ... in a fixed order, allocated on first
 * call if need be. Names and list are owned by the optimizer. To resume: write the tensors
 * (syn_tensor_write) and set the step. */
syn_parameters syn_optimizer_state(syn_optimizer *optimizer);
/* Updates made so far. Setting it says that every parameter has had so many. */
int64_t syn_optimizer_get_step(const syn_optimizer *optimizer);
void syn_optimizer_set_step(syn_optimizer *optimizer, int64_t step);

/* L2 norm of all gradients together, accumulated in double in registration order. */
double syn_grad_norm(syn_parameters parameters);
/* Scales all gradients so that their norm is at most max_norm (torch.nn.utils.clip_grad_norm_);
 * returns the norm before. */
double syn_clip_grad_norm(syn_parameters parameters, double max_norm);

/* The learning rate of step n (from 0): a pure function, so that resuming needs no state. */
typedef enum syn_schedule_type { SYN_CONSTANT, SYN_STEP, SYN_WARMUP_COSINE } syn_schedule_type;
typedef struct syn_schedule {
    syn_schedule_type type;
    double lr;
    int64_t step_size; /* step: lr * gamma^(n div step_size) */
    double gamma;
    int64_t warmup, decay; /* cosine: n < warmup: lr (n+1)/(warmup+1); n > decay: min_lr; else
                              between by half a cosine */
    double min_lr;
} syn_schedule;
double syn_schedule_lr(const syn_schedule *schedule, int64_t step);

/* Constructors note the caller's file and line for their errors. */
#ifndef SYN_NO_CALLER_MACROS
#define syn_sgd(...)     SYN_AT(syn_sgd(__VA_ARGS__))
#define syn_adam(...)    SYN_AT(syn_adam(__VA_ARGS__))
#define syn_adamw(...)   SYN_AT(syn_adamw(__VA_ARGS__))
#define syn_rmsprop(...) SYN_AT(syn_rmsprop(__VA_ARGS__))
#define syn_adagrad(...) SYN_AT(syn_adagrad(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif
#endif
