/* Initial values of parameters, drawn from the thread's generator, in f32. */
#ifndef WORKER_NN_INIT_H
#define WORKER_NN_INIT_H

#include <stdbool.h>
#include <syncline/nn.h>

/* Each makes a parameter of that shape, adds it to the module under the name, and says whether that
 * worked (else the sticky error is set). */
/* Uniform in [-bound, bound). torch.nn.init.kaiming_uniform_ with a = sqrt(5) is bound 1 /
 * sqrt(fan_in). */
bool syn_init_uniform(syn_module *module, const char *name, syn_shape shape, double bound);
/* 1 / sqrt(fan_in), 0 where fan_in is 0. */
double syn_init_fan_bound(int64_t fan_in);
bool syn_init_normal(syn_module *module, const char *name, syn_shape shape, double std);
bool syn_init_constant(syn_module *module, const char *name, syn_shape shape, double value);

#endif
