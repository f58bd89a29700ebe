/* Learning rates as pure functions of the step. */
#include <math.h>
#include <syncline/optim.h>

/* nanoGPT's get_lr (Karpathy): linear warm-up, then half a cosine down to min_lr. */
static double warmup_cosine(const syn_schedule *s, int64_t step)
{
    if (step < s->warmup)
        return s->lr * (double)(step + 1) / (double)(s->warmup + 1);
    if (step > s->decay)
        return s->min_lr;

    double length = (double)(s->decay - s->warmup);
    double done = length > 0 ? (double)(step - s->warmup) / length : 0;
    return s->min_lr + 0.5 * (1 + cos(M_PI * done)) * (s->lr - s->min_lr);
}

double syn_schedule_lr(const syn_schedule *schedule, int64_t step)
{
    switch (schedule->type) {
    case SYN_CONSTANT:
        return schedule->lr;
    case SYN_STEP:
        return schedule->step_size > 0
                   ? schedule->lr * pow(schedule->gamma, (double)(step / schedule->step_size))
                   : schedule->lr;
    case SYN_WARMUP_COSINE:
        return warmup_cosine(schedule, step);
    }
    return schedule->lr;
}
