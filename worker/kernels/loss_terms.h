/* What one pair (x, target) contributes to each element-wise loss, and the derivative by x. */
#ifndef WORKER_KERNELS_LOSS_TERMS_H
#define WORKER_KERNELS_LOSS_TERMS_H

#include "worker/kernels/loss.h"
#include <math.h>

static inline double syn_loss_term(const syn_loss_args *a, double x, double target)
{
    double distance = fabs(x - target);
    switch (a->kind) {
    case SYN_LOSS_MSE:
        return (x - target) * (x - target);
    case SYN_LOSS_SMOOTH_L1:
        return distance < a->beta ? 0.5 * distance * distance / a->beta : distance - 0.5 * a->beta;
    case SYN_LOSS_BCE_WITH_LOGITS:
        return (x > 0 ? x : 0) - x * target + log1p(exp(-fabs(x)));
    case SYN_LOSS_KL_DIV:
        return target > 0 ? target * (log(target) - x) : 0;
    }
    return 0;
}

static inline double syn_loss_slope(const syn_loss_args *a, double x, double target)
{
    double difference = x - target;
    switch (a->kind) {
    case SYN_LOSS_MSE:
        return 2 * difference;
    case SYN_LOSS_SMOOTH_L1:
        if (fabs(difference) < a->beta)
            return difference / a->beta;
        return (difference > 0) - (difference < 0);
    case SYN_LOSS_BCE_WITH_LOGITS:
        return 1 / (1 + exp(-x)) - target;
    case SYN_LOSS_KL_DIV:
        return target > 0 ? -target : 0;
    }
    return 0;
}

#endif
