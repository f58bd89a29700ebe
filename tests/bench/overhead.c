/* What an expression costs beside its arithmetic: x*y+z forward and backward on 4 elements, and a
 * step of the 2-5-1 net. */
#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <syncline/syncline.h>

enum { ROUNDS = 20, STEPS = 5000 };

/* The best of several rounds, in microseconds a call. */
static double time_of(void (*step)(void *), void *user)
{
    double best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = syn_clock_monotonic_ns();
        for (int i = 0; i < STEPS; i++)
            step(user);
        double us = (double)(syn_clock_monotonic_ns() - begin) / STEPS / 1000;
        best = us < best ? us : best;
    }
    return best;
}

typedef struct three {
    syn_tensor *x, *y, *z, *ones;
} three;

static void forward(void *user)
{
    three *t = user;
    SYN_SCOPE {
        (void)syn_add(syn_mul(t->x, t->y), t->z);
    }
}

static void forward_backward(void *user)
{
    three *t = user;
    SYN_SCOPE {
        syn_tensor *w = syn_add(syn_mul(t->x, t->y), t->z);
        (void)syn_backward_with(w, (syn_backward_options){.grad_output = t->ones});
    }
    syn_zero_grad(t->x);
    syn_zero_grad(t->y);
    syn_zero_grad(t->z);
}

typedef struct net {
    syn_tensor *x, *y, *w1, *b1, *w2, *b2;
} net;

static void train_step(void *user)
{
    net *n = user;
    syn_tensor *parameters[] = {n->w1, n->b1, n->w2, n->b2};
    SYN_SCOPE {
        syn_tensor *h = syn_relu(syn_linear_op(n->x, n->w1, n->b1));
        syn_tensor *loss = syn_mse_loss(syn_linear_op(h, n->w2, n->b2), n->y);
        (void)syn_backward(loss);
        SYN_NO_GRAD {
            for (int i = 0; i < 4; i++) {
                (void)syn_add_(parameters[i], syn_grad_of(parameters[i]), -0.01);
                syn_zero_grad(parameters[i]);
            }
        }
    }
}

static syn_tensor *leaf(syn_shape shape)
{
    return syn_requires_grad(syn_randn(shape, SYN_F32));
}

int main(void)
{
    three t = {leaf(SYN_SHAPE(4)), leaf(SYN_SHAPE(4)), leaf(SYN_SHAPE(4)),
               syn_ones(SYN_SHAPE(4), SYN_F32)};
    net n = {syn_randn(SYN_SHAPE(64, 2), SYN_F32),
             syn_randn(SYN_SHAPE(64, 1), SYN_F32),
             leaf(SYN_SHAPE(5, 2)),
             leaf(SYN_SHAPE(5)),
             leaf(SYN_SHAPE(1, 5)),
             leaf(SYN_SHAPE(1))};
    int was = syn_grad_enable(0);
    printf("x*y+z forward, not recorded   %8.3f us\n", time_of(forward, &t));
    (void)syn_grad_enable(was);
    printf("x*y+z forward, recorded       %8.3f us\n", time_of(forward, &t));
    printf("x*y+z forward and backward    %8.3f us\n", time_of(forward_backward, &t));
    printf("2-5-1 net, one step of 64     %8.3f us\n", time_of(train_step, &n));
    return syn_finish();
}
