/* Optimizer updates as they read in PyTorch's source, one operation a line. */
#ifndef REAL
#include "worker/kernels/optim.h"

#include <math.h>

#define SYN_BODY "worker/kernels/ref/optim.c"
#include "worker/kernels/each_real.h"

#define TABLE(type)                                                                         \
    {                                                                                       \
        .sgd = sgd_##type, .adam = adam_##type, .rmsprop = rmsprop_##type,                  \
        .adagrad = adagrad_##type, .sum_squares = sum_squares_##type, .scale = scale_##type \
    }
const syn_optim_kernels syn_optim_ref[] = {TABLE(f32), TABLE(f64)};

#else

static void KERNEL(sgd)(const syn_update *u, const syn_sgd_args *a)
{
    REAL *param = u->param, *buffer = u->state[0];
    const REAL *grad = u->grad;

    for (int64_t i = 0; i < u->n; i++) {
        double d = (double)grad[i];
        if (a->maximize)
            d = -d;
        if (a->weight_decay != 0)
            d = d + a->weight_decay * (double)param[i];
        if (a->momentum != 0) {
            double b = d;
            if (!a->is_first)
                b = a->momentum * (double)buffer[i] + (1 - a->dampening) * d;
            buffer[i] = (REAL)b;
            d = a->nesterov ? d + a->momentum * b : b;
        }
        param[i] = (REAL)((double)param[i] - a->lr * d);
    }
}

static void KERNEL(adam)(const syn_update *u, const syn_adam_args *a)
{
    REAL *param = u->param, *m = u->state[0], *v = u->state[1], *v_max = u->state[2];
    const REAL *grad = u->grad;
    double correction1 = 1 - pow(a->beta1, (double)a->step);
    double correction2 = 1 - pow(a->beta2, (double)a->step);

    for (int64_t i = 0; i < u->n; i++) {
        double g = a->maximize ? -(double)grad[i] : (double)grad[i], p = (double)param[i];
        if (a->is_decoupled)
            p = p * (1 - a->lr * a->weight_decay);
        else if (a->weight_decay != 0)
            g = g + a->weight_decay * p;
        double m_new = a->beta1 * (double)m[i] + (1 - a->beta1) * g;
        double v_new = a->beta2 * (double)v[i] + (1 - a->beta2) * g * g;
        double v_used = v_new;
        m[i] = (REAL)m_new;
        v[i] = (REAL)v_new;
        if (v_max) {
            if (v_used < (double)v_max[i])
                v_used = (double)v_max[i];
            v_max[i] = (REAL)v_used;
        }
        double denominator = sqrt(v_used) / sqrt(correction2) + a->eps;
        param[i] = (REAL)(p - a->lr / correction1 * m_new / denominator);
    }
}

static void KERNEL(rmsprop)(const syn_update *u, const syn_rmsprop_args *a)
{
    REAL *param = u->param, *square = u->state[0], *buffer = u->state[1], *mean = u->state[2];
    const REAL *grad = u->grad;

    for (int64_t i = 0; i < u->n; i++) {
        double g = a->maximize ? -(double)grad[i] : (double)grad[i], p = (double)param[i];
        if (a->weight_decay != 0)
            g = g + a->weight_decay * p;
        double s = a->alpha * (double)square[i] + (1 - a->alpha) * g * g;
        square[i] = (REAL)s;
        if (a->is_centered) {
            double average = a->alpha * (double)mean[i] + (1 - a->alpha) * g;
            mean[i] = (REAL)average;
            s = s - average * average;
        }
        double change = g / (sqrt(s) + a->eps);
        if (a->momentum != 0) {
            change = a->momentum * (double)buffer[i] + change;
            buffer[i] = (REAL)change;
        }
        param[i] = (REAL)(p - a->lr * change);
    }
}

static void KERNEL(adagrad)(const syn_update *u, const syn_adagrad_args *a)
{
    REAL *param = u->param, *sum = u->state[0];
    const REAL *grad = u->grad;

    for (int64_t i = 0; i < u->n; i++) {
        double g = a->maximize ? -(double)grad[i] : (double)grad[i], p = (double)param[i];
        if (a->weight_decay != 0)
            g = g + a->weight_decay * p;
        double s = (double)sum[i] + g * g;
        sum[i] = (REAL)s;
        param[i] = (REAL)(p - a->lr * g / (sqrt(s) + a->eps));
    }
}

static double KERNEL(sum_squares)(int64_t n, const void *data)
{
    const REAL *x = data;
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void KERNEL(scale)(int64_t n, void *data, double factor)
{
    REAL *x = data;

    for (int64_t i = 0; i < n; i++)
        x[i] = (REAL)((double)x[i] * factor);
}

#endif
