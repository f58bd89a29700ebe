/* Optimizer updates in one pass over memory each: parameter, gradient and state are read and
 * written once. */
#ifndef REAL
#include "worker/kernels/optim.h"

#include "common/base/mem.h"
#include "worker/kernels/backend.h"

#include <math.h>

#define SYN_BODY "worker/kernels/cpu/optim.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                         \
    {                                                                                       \
        .sgd = sgd_##type, .adam = adam_##type, .rmsprop = rmsprop_##type,                  \
        .adagrad = adagrad_##type, .sum_squares = sum_squares_##type, .scale = scale_##type \
    }
const syn_optim_kernels syn_optim_cpu[] = {TABLE(f32), TABLE(f64)};

#else

/* The loops work on pieces, so that OpenMP's outlined functions call code compiled for the
 * processor (SYN_MULTIARCH does not reach into an outlined body). Elements do not depend on each
 * other: results do not depend on the number of threads. */
enum { KERNEL(PIECE) = 16384 };
#define EACH_PIECE(count, call)                                                                  \
    do {                                                                                         \
        int64_t n_all = (count);                                                                 \
        _Pragma(                                                                                 \
            "omp parallel for schedule(static) if (n_all >= SYN_PARALLEL_MIN)") for (int64_t     \
                                                                                         first = \
                                                                                             0;  \
                                                                                     first <     \
                                                                                     n_all;      \
                                                                                     first +=    \
                                                                                     KERNEL(     \
                                                                                         PIECE)) \
        {                                                                                        \
            int64_t n = n_all - first < KERNEL(PIECE) ? n_all - first : KERNEL(PIECE);           \
            call;                                                                                \
        }                                                                                        \
    } while (0)

/* ---- SGD ---- */

SYN_MULTIARCH static void KERNEL(sgd_plain)(int64_t n, REAL *restrict param,
                                            const REAL *restrict grad, const syn_sgd_args *a)
{
    const REAL lr = (REAL)a->lr, decay = (REAL)a->weight_decay;
    const REAL sign = a->maximize ? (REAL)-1 : (REAL)1;

    for (int64_t i = 0; i < n; i++)
        param[i] -= lr * (sign * grad[i] + decay * param[i]);
}

SYN_MULTIARCH static void KERNEL(sgd_momentum)(int64_t n, REAL *restrict param,
                                               const REAL *restrict grad, REAL *restrict buffer,
                                               const syn_sgd_args *a)
{
    const REAL lr = (REAL)a->lr, decay = (REAL)a->weight_decay;
    const REAL sign = a->maximize ? (REAL)-1 : (REAL)1;
    const REAL keep = a->is_first ? 0 : (REAL)a->momentum;
    const REAL take = a->is_first ? 1 : (REAL)(1 - a->dampening);
    const REAL look = a->nesterov ? 1 : 0, weight = a->nesterov ? (REAL)a->momentum : 1;

    for (int64_t i = 0; i < n; i++) {
        REAL d = sign * grad[i] + decay * param[i];
        buffer[i] = keep * buffer[i] + take * d;
        param[i] -= lr * (look * d + weight * buffer[i]);
    }
}

static void KERNEL(sgd)(const syn_update *u, const syn_sgd_args *a)
{
    REAL *param = u->param, *buffer = u->state[0];
    const REAL *grad = u->grad;

    if (a->momentum == 0)
        EACH_PIECE(u->n, KERNEL(sgd_plain)(n, param + first, grad + first, a));
    else
        EACH_PIECE(u->n, KERNEL(sgd_momentum)(n, param + first, grad + first, buffer + first, a));
}

/* ---- Adam and AdamW ---- */

/* The numbers of one step, so that no piece computes powers. */
typedef struct KERNEL(adam_step) {
    REAL beta1, beta2, one_minus_beta1, one_minus_beta2;
    REAL sign, shrink, decay, root2, eps, step_size;
} KERNEL(adam_step);

SYN_MULTIARCH static void KERNEL(adam_plain)(int64_t n, REAL *restrict param,
                                             const REAL *restrict grad, REAL *restrict m,
                                             REAL *restrict v, const KERNEL(adam_step) * step)
{
    const KERNEL(adam_step) s = *step;

    for (int64_t i = 0; i < n; i++) {
        REAL p = param[i] * s.shrink, g = s.sign * grad[i] + s.decay * p;
        m[i] = s.beta1 * m[i] + s.one_minus_beta1 * g;
        v[i] = s.beta2 * v[i] + s.one_minus_beta2 * g * g;
        REAL root = sizeof(REAL) == 4 ? (REAL)sqrtf((float)v[i]) : (REAL)sqrt((double)v[i]);
        param[i] = p - s.step_size * m[i] / (root / s.root2 + s.eps);
    }
}

SYN_MULTIARCH static void KERNEL(adam_max)(int64_t n, const syn_update *u, int64_t first,
                                           const KERNEL(adam_step) * step)
{
    const KERNEL(adam_step) s = *step;
    REAL *restrict param = (REAL *)u->param + first, *restrict m = (REAL *)u->state[0] + first;
    REAL *restrict v = (REAL *)u->state[1] + first, *restrict v_max = (REAL *)u->state[2] + first;
    const REAL *restrict grad = (const REAL *)u->grad + first;

    for (int64_t i = 0; i < n; i++) {
        REAL p = param[i] * s.shrink, g = s.sign * grad[i] + s.decay * p;
        m[i] = s.beta1 * m[i] + s.one_minus_beta1 * g;
        v[i] = s.beta2 * v[i] + s.one_minus_beta2 * g * g;
        v_max[i] = v[i] < v_max[i] ? v_max[i] : v[i];
        REAL root = sizeof(REAL) == 4 ? (REAL)sqrtf((float)v_max[i]) : (REAL)sqrt((double)v_max[i]);
        param[i] = p - s.step_size * m[i] / (root / s.root2 + s.eps);
    }
}

static void KERNEL(adam)(const syn_update *u, const syn_adam_args *a)
{
    double correction1 = 1 - pow(a->beta1, (double)a->step);
    double correction2 = 1 - pow(a->beta2, (double)a->step);
    const KERNEL(adam_step) step = {
        .beta1 = (REAL)a->beta1,
        .beta2 = (REAL)a->beta2,
        .one_minus_beta1 = (REAL)(1 - a->beta1),
        .one_minus_beta2 = (REAL)(1 - a->beta2),
        .sign = a->maximize ? (REAL)-1 : (REAL)1,
        .shrink = a->is_decoupled ? (REAL)(1 - a->lr * a->weight_decay) : (REAL)1,
        .decay = a->is_decoupled ? (REAL)0 : (REAL)a->weight_decay,
        .root2 = (REAL)sqrt(correction2),
        .eps = (REAL)a->eps,
        .step_size = (REAL)(a->lr / correction1),
    };
    REAL *param = u->param, *m = u->state[0], *v = u->state[1];
    const REAL *grad = u->grad;

    if (u->state[2])
        EACH_PIECE(u->n, KERNEL(adam_max)(n, u, first, &step));
    else
        EACH_PIECE(u->n,
                   KERNEL(adam_plain)(n, param + first, grad + first, m + first, v + first, &step));
}

/* ---- RMSprop and Adagrad ---- */

SYN_MULTIARCH static void KERNEL(rmsprop_piece)(int64_t n, const syn_update *u, int64_t first,
                                                const syn_rmsprop_args *a)
{
    REAL *restrict param = (REAL *)u->param + first, *restrict square = (REAL *)u->state[0] + first;
    REAL *buffer = u->state[1], *mean = u->state[2];
    const REAL *restrict grad = (const REAL *)u->grad + first;
    const REAL alpha = (REAL)a->alpha, rest = (REAL)(1 - a->alpha), decay = (REAL)a->weight_decay;
    const REAL sign = a->maximize ? (REAL)-1 : (REAL)1, eps = (REAL)a->eps, lr = (REAL)a->lr;

    for (int64_t i = 0; i < n; i++) {
        REAL g = sign * grad[i] + decay * param[i];
        square[i] = alpha * square[i] + rest * g * g;
        REAL s = square[i];
        if (mean) {
            REAL average = alpha * mean[first + i] + rest * g;
            mean[first + i] = average;
            s -= average * average;
        }
        REAL root = sizeof(REAL) == 4 ? (REAL)sqrtf((float)s) : (REAL)sqrt((double)s);
        REAL change = g / (root + eps);
        if (buffer)
            change = buffer[first + i] = (REAL)a->momentum * buffer[first + i] + change;
        param[i] -= lr * change;
    }
}

static void KERNEL(rmsprop)(const syn_update *u, const syn_rmsprop_args *a)
{
    EACH_PIECE(u->n, KERNEL(rmsprop_piece)(n, u, first, a));
}

SYN_MULTIARCH static void KERNEL(adagrad_piece)(int64_t n, REAL *restrict param,
                                                const REAL *restrict grad, REAL *restrict sum,
                                                const syn_adagrad_args *a)
{
    const REAL lr = (REAL)a->lr, eps = (REAL)a->eps, decay = (REAL)a->weight_decay;
    const REAL sign = a->maximize ? (REAL)-1 : (REAL)1;

    for (int64_t i = 0; i < n; i++) {
        REAL g = sign * grad[i] + decay * param[i];
        sum[i] += g * g;
        REAL root = sizeof(REAL) == 4 ? (REAL)sqrtf((float)sum[i]) : (REAL)sqrt((double)sum[i]);
        param[i] -= lr * g / (root + eps);
    }
}

static void KERNEL(adagrad)(const syn_update *u, const syn_adagrad_args *a)
{
    REAL *param = u->param, *sum = u->state[0];
    const REAL *grad = u->grad;

    EACH_PIECE(u->n, KERNEL(adagrad_piece)(n, param + first, grad + first, sum + first, a));
}

/* ---- Norms ---- */

/* Sixteen partial sums, added pairwise. */
SYN_MULTIARCH static double KERNEL(sum_piece)(int64_t n, const REAL *x)
{
    enum { LANES = 16 };
    double lanes[LANES] = {0};
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < n; i++)
        lanes[i % LANES] += (double)x[i] * (double)x[i];
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++)
            lanes[k] += lanes[k + width];
    return lanes[0];
}

static double KERNEL(sum_squares)(int64_t n_elements, const void *data)
{
    const REAL *x = data;
    int64_t n_pieces = (n_elements + KERNEL(PIECE) - 1) / KERNEL(PIECE);
    double sum = 0;
    double *sums =
        n_elements >= SYN_PARALLEL_MIN ? syn_malloc((size_t)n_pieces * sizeof *sums) : NULL;

    if (sums)
        EACH_PIECE(n_elements, sums[first / KERNEL(PIECE)] = KERNEL(sum_piece)(n, x + first));
    for (int64_t i = 0; i < n_pieces; i++) {
        int64_t first = i * KERNEL(PIECE), left = n_elements - first;
        sum += sums ? sums[i]
                    : KERNEL(sum_piece)(left < KERNEL(PIECE) ? left : KERNEL(PIECE), x + first);
    }
    syn_free(sums);
    return sum;
}

SYN_MULTIARCH static void KERNEL(scale_piece)(int64_t n, REAL *x, REAL factor)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void KERNEL(scale)(int64_t n_elements, void *data, double factor)
{
    REAL *x = data;

    EACH_PIECE(n_elements, KERNEL(scale_piece)(n, x + first, (REAL)factor));
}

#undef EACH_PIECE
#endif
